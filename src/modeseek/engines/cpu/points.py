r"""Mean shift on the points themselves, only the closest: sums over sorted runs in float64.

Points are three contiguous columns (lower dimensions are padded with zero columns in front), sorted by the
key of their cell, key = (cx * ny + cy) * nz + cz, so the points of one row of cells are one contiguous run.
A query visits the rows within its radius and sums runs: a SIMD loop without a test per point.
"""

from math import floor, sqrt

import numpy as np

from modeseek.engines.cpu import inline, kernel


@inline
def _exp_neg(s):
    """exp(-s) for 0 <= s <= 40 to 5e-15: a Taylor polynomial at s / 64, squared six times."""
    t = s * (-1.0 / 64.0)
    p = 1 / 40320 + t * (1 / 362880)
    p = 1 / 720 + t * (1 / 5040 + t * p)
    p = 1 / 24 + t * (1 / 120 + t * p)
    p = 1.0 + t * (1.0 + t * (0.5 + t * (1 / 6 + t * p)))
    p *= p
    p *= p
    p *= p
    p *= p
    p *= p
    p *= p
    return p


@inline
def _first(keys, key):
    """Index of the first of the sorted keys that is not below key."""
    lo = 0
    hi = keys.size
    while lo < hi:
        mid = (lo + hi) >> 1
        if keys[mid] < key:
            lo = mid + 1
        else:
            hi = mid
    return lo


@inline
def _row_span(q, radius2, lower, side, dims, cx, cy):
    """Cells along the last axis that a row (cx, cy) within the radius of q must offer: first, last (may be empty)."""
    gx = max(max(lower[0] + cx * side - q[0], q[0] - lower[0] - (cx + 1) * side), 0.0)
    gy = max(max(lower[1] + cy * side - q[1], q[1] - lower[1] - (cy + 1) * side), 0.0)
    rest = radius2 - gx * gx - gy * gy
    if rest < 0.0:
        return np.int64(1), np.int64(0)
    reach = sqrt(rest)
    first = max(np.int64(floor((q[2] - reach - lower[2]) / side)), 0)
    last = min(np.int64(floor((q[2] + reach - lower[2]) / side)), dims[2] - 1)
    return first, last


@inline
def _sum_run(px, py, pz, w, x, y, z, c, cut, s):
    """Add to s[0:4] the weight and weighted displacement sums of a run of points."""
    s0 = s1 = s2 = s3 = 0.0
    for i in range(px.size):
        dx = px[i] - x
        dy = py[i] - y
        dz = pz[i] - z
        e = (dx * dx + dy * dy + dz * dz) * c
        g = w[i] * _exp_neg(min(e, cut)) if e < cut else 0.0
        s0 += g
        s1 += g * dx
        s2 += g * dy
        s3 += g * dz
    s[0] += s0
    s[1] += s1
    s[2] += s2
    s[3] += s3


@inline
def _sum_run_squares(px, py, pz, w, x, y, z, c, cut, s):
    """Do as `_sum_run`, and add to s[4:10] the sums of the products xx, xy, xz, yy, yz, zz too."""
    s0 = s1 = s2 = s3 = xx = xy = xz = yy = yz = zz = 0.0
    for i in range(px.size):
        dx = px[i] - x
        dy = py[i] - y
        dz = pz[i] - z
        e = (dx * dx + dy * dy + dz * dz) * c
        g = w[i] * _exp_neg(min(e, cut)) if e < cut else 0.0
        gx = g * dx
        gy = g * dy
        gz = g * dz
        s0 += g
        s1 += gx
        s2 += gy
        s3 += gz
        xx += gx * dx
        xy += gx * dy
        xz += gx * dz
        yy += gy * dy
        yz += gy * dz
        zz += gz * dz
    s[0] += s0
    s[1] += s1
    s[2] += s2
    s[3] += s3
    s[4] += xx
    s[5] += xy
    s[6] += xz
    s[7] += yy
    s[8] += yz
    s[9] += zz


@inline
def _sums(px, py, pz, w, keys, runs, lower, side, dims, q, c, cut, squares, s):
    radius2 = cut / c
    radius = sqrt(radius2)
    for k in range(s.size):
        s[k] = 0.0
    x0 = max(np.int64(floor((q[0] - radius - lower[0]) / side)), 0)
    x1 = min(np.int64(floor((q[0] + radius - lower[0]) / side)), dims[0] - 1)
    y0 = max(np.int64(floor((q[1] - radius - lower[1]) / side)), 0)
    y1 = min(np.int64(floor((q[1] + radius - lower[1]) / side)), dims[1] - 1)
    for cx in range(x0, x1 + 1):
        for cy in range(y0, y1 + 1):
            first, last = _row_span(q, radius2, lower, side, dims, cx, cy)
            if first > last:
                continue
            base = (cx * dims[1] + cy) * dims[2]
            start = runs[_first(keys, base + first)]
            stop = runs[_first(keys, base + last + 1)]
            # slices: indices that cannot be negative, so the loop over a run is SIMD
            x, y, z, g = px[start:stop], py[start:stop], pz[start:stop], w[start:stop]
            if squares:
                _sum_run_squares(x, y, z, g, q[0], q[1], q[2], c, cut, s)
            else:
                _sum_run(x, y, z, g, q[0], q[1], q[2], c, cut, s)


@kernel
def sums_over_all(px, py, pz, w, c, cut, queries, out):
    """Add to out (m, 10) what `sums` gives, over all points: no cells, no order."""
    for r in range(queries.shape[0]):
        q = queries[r]
        _sum_run_squares(px, py, pz, w, q[0], q[1], q[2], c, cut, out[r])


@kernel
def sums(px, py, pz, w, keys, runs, lower, side, dims, c, cut, queries, out):
    """Fill out (m, 10): sum of g, of g * dx (3) and of g * dx * dx (6) around each query."""
    for r in range(queries.shape[0]):
        _sums(px, py, pz, w, keys, runs, lower, side, dims, queries[r], c, cut, True, out[r])


@kernel
def climb(px, py, pz, w, keys, runs, lower, side, dims, c, cut, factor, tol, max_iter, x, steps, s):
    """Move each row of x (m, 3) to its mode.

    ``steps`` (m,) gets the number of steps: negative if max_iter cut the climb short, 0 if no point is in reach.
    """
    for r in range(x.shape[0]):
        previous = np.inf
        n = 0
        resting = False
        while n < max_iter and not resting:
            _sums(px, py, pz, w, keys, runs, lower, side, dims, x[r], c, cut, False, s)
            if s[0] <= 0.0:
                break
            n += 1
            step2 = 0.0
            for k in range(3):
                step = factor * s[1 + k] / s[0]
                x[r, k] += step
                step2 += step * step
            if step2 <= 1e-18 * tol * tol:
                resting = True
            elif n > 1 and step2 <= tol * tol:
                q = sqrt(step2 / previous)
                resting = q < 1.0 and step2 <= tol * tol * (1.0 - q) * (1.0 - q)
            previous = step2
        steps[r] = n if resting else -n
