r"""Mean shift on tabulated sums: one cubic B-spline interpolation a step.

``table`` holds, for each node of a C-ordered grid, the spline coefficients of the density T0 and of the
kernel-weighted displacement sums T1 (in node units), side by side: (nodes, 2) in 1-D, (nodes, 4) in 2-D and
3-D. One step is x <- x + factor * T1(x) / T0(x). Positions are in node units.

``settled`` holds, for each node, whether everything in its cell is known to reach one mode: a climb that has
made a step into such a cell ends there. ``steps`` gets the number of steps of each climb: negative if max_iter
cut it short, 0 if the start is lost, T0 <= negligible: there is nothing to climb within reach.
"""

from math import floor, sqrt

import numpy as np

from modeseek.engines.cpu import inline, kernel


@inline
def _cubic(a):
    """First node and the four cubic B-spline weights around a coordinate."""
    i = np.int64(floor(a))
    u = a - i
    v = 1.0 - u
    w0 = v * v * v * (1.0 / 6.0)
    w3 = u * u * u * (1.0 / 6.0)
    w1 = 2.0 / 3.0 - u * u * (1.0 - 0.5 * u)
    return i - 1, w0, w1, 1.0 - w0 - w1 - w3, w3


@inline
def _sums_1d(table, shape, x):
    i, a0, a1, a2, a3 = _cubic(x)
    k = i * 2
    t = a0 * table[k] + a1 * table[k + 2] + a2 * table[k + 4] + a3 * table[k + 6]
    s = a0 * table[k + 1] + a1 * table[k + 3] + a2 * table[k + 5] + a3 * table[k + 7]
    return t, s


@inline
def _row(t, b0, b1, b2, b3):
    """Weighted sum of four consecutive nodes t (16 values), all four channels."""
    return (
        b0 * t[0] + b1 * t[4] + b2 * t[8] + b3 * t[12],
        b0 * t[1] + b1 * t[5] + b2 * t[9] + b3 * t[13],
        b0 * t[2] + b1 * t[6] + b2 * t[10] + b3 * t[14],
        b0 * t[3] + b1 * t[7] + b2 * t[11] + b3 * t[15],
    )


@inline
def _sums_2d(table, shape, x, y):
    i, a0, a1, a2, a3 = _cubic(x)
    j, b0, b1, b2, b3 = _cubic(y)
    stride = shape[1] * 4
    k = i * stride + j * 4
    t0, x0, y0, _ = _row(table[k : k + 16], b0, b1, b2, b3)
    t1, x1, y1, _ = _row(table[k + stride : k + stride + 16], b0, b1, b2, b3)
    t2, x2, y2, _ = _row(table[k + 2 * stride : k + 2 * stride + 16], b0, b1, b2, b3)
    t3, x3, y3, _ = _row(table[k + 3 * stride : k + 3 * stride + 16], b0, b1, b2, b3)
    t = a0 * t0 + a1 * t1 + a2 * t2 + a3 * t3
    return t, a0 * x0 + a1 * x1 + a2 * x2 + a3 * x3, a0 * y0 + a1 * y1 + a2 * y2 + a3 * y3


@inline
def _sums_3d(table, shape, x, y, z):
    i, a0, a1, a2, a3 = _cubic(x)
    j, b0, b1, b2, b3 = _cubic(y)
    l, c0, c1, c2, c3 = _cubic(z)
    stride = shape[2] * 4
    t = sx = sy = sz = 0.0
    for p in range(4):
        a = a0 if p == 0 else (a1 if p == 1 else (a2 if p == 2 else a3))
        k = ((i + p) * shape[1] + j) * stride + l * 4
        for q in range(4):
            ab = a * (b0 if q == 0 else (b1 if q == 1 else (b2 if q == 2 else b3)))
            r0, r1, r2, r3 = _row(table[k + q * stride : k + q * stride + 16], c0, c1, c2, c3)
            t += ab * r0
            sx += ab * r1
            sy += ab * r2
            sz += ab * r3
    return t, sx, sy, sz


@inline
def _rests(step2, previous2, tol2):
    """Tell whether the way still to go, |s| / (1 - q) with q = |s| / |s_previous|, is below the tolerance."""
    if step2 > tol2:
        return False
    if step2 < 1e-18 * tol2:
        return True
    q = sqrt(step2 / previous2)
    return q < 1.0 and step2 <= tol2 * (1.0 - q) * (1.0 - q)


@inline
def _inside(a, length):
    """Tell whether interpolation at coordinate a reads only nodes 0 .. length - 1."""
    return a >= 1.0 and a < length - 2


@kernel
def climb_1d(table, shape, factor, negligible, settled, tol, max_iter, x, steps):
    """Move each row of x (m, 1) to where it rests."""
    for r in range(x.shape[0]):
        a = x[r, 0]
        previous = np.inf
        n = 0
        resting = False
        while n < max_iter and not resting:
            if not _inside(a, shape[0]):
                break
            t, s = _sums_1d(table, shape, a)
            if t <= negligible:
                break
            n += 1
            s *= factor / t
            a += s
            resting = (n > 1 and _rests(s * s, previous, tol * tol)) or settled[np.int64(a + 0.5)]
            previous = s * s
        x[r, 0] = a
        steps[r] = n if resting else -n


@kernel
def climb_2d(table, shape, factor, negligible, settled, tol, max_iter, x, steps):
    """Move each row of x (m, 2) to where it rests."""
    for r in range(x.shape[0]):
        a = x[r, 0]
        b = x[r, 1]
        previous = np.inf
        n = 0
        resting = False
        while n < max_iter and not resting:
            if not (_inside(a, shape[0]) and _inside(b, shape[1])):
                break
            t, sa, sb = _sums_2d(table, shape, a, b)
            if t <= negligible:
                break
            n += 1
            c = factor / t
            sa *= c
            sb *= c
            a += sa
            b += sb
            s = sa * sa + sb * sb
            k = np.int64(a + 0.5) * shape[1] + np.int64(b + 0.5)
            resting = (n > 1 and _rests(s, previous, tol * tol)) or settled[k]
            previous = s
        x[r, 0] = a
        x[r, 1] = b
        steps[r] = n if resting else -n


@kernel
def climb_3d(table, shape, factor, negligible, settled, tol, max_iter, x, steps):
    """Move each row of x (m, 3) to where it rests."""
    for r in range(x.shape[0]):
        a = x[r, 0]
        b = x[r, 1]
        c = x[r, 2]
        previous = np.inf
        n = 0
        resting = False
        while n < max_iter and not resting:
            if not (_inside(a, shape[0]) and _inside(b, shape[1]) and _inside(c, shape[2])):
                break
            t, sa, sb, sc = _sums_3d(table, shape, a, b, c)
            if t <= negligible:
                break
            n += 1
            f = factor / t
            sa *= f
            sb *= f
            sc *= f
            a += sa
            b += sb
            c += sc
            s = sa * sa + sb * sb + sc * sc
            k = (np.int64(a + 0.5) * shape[1] + np.int64(b + 0.5)) * shape[2] + np.int64(c + 0.5)
            resting = (n > 1 and _rests(s, previous, tol * tol)) or settled[k]
            previous = s
        x[r, 0] = a
        x[r, 1] = b
        x[r, 2] = c
        steps[r] = n if resting else -n


CLIMB = {1: climb_1d, 2: climb_2d, 3: climb_3d}
