r"""The inner loops of k-means: which centre is nearest, by tiles of points in float32 that prove what they say.

About an origin in the midst of the points, the nearest centre is the one of the greatest

    s_j = x.c_j - |c_j|^2 / 2,        |x - c_j|^2 = |x|^2 - 2 s_j.

A tile holds 128 points, column by column, so that a product with a centre is one multiplication of SIMD width; the best
two scores of each point stay in the first cache. With u = 2^-24 and C = max |c_j|, a score in float32 is off by at most

    E = (d + 6) u (|x| C + C^2 / 2) (1 + 1 %):

rounded factors, d + 1 rounded sums. Where the best two are within 2E, the point is compared with every centre in
float64, by differences, and the first of equally near ones wins. So labels are those of float64 throughout.

Between rounds every point keeps a bound on its distance from its own centre and one on that from all others, as in
G. Hamerly, "Making k-means even faster", SDM 2010; while they do not meet, nothing else of the point is read.
"""

import numpy as np
from numba import njit

from modeseek.engines.cpu import FINITE_AWARE, inline, kernel, unfused_kernel

LANES = 128  # points of a tile
_L1, _L2, _L3, _L4, _L5, _L6, _L7 = (LANES * i for i in range(1, 8))
_ONE = np.float32(1.0)
_LEAST = np.float32(-3e38)
_UP, _DOWN = 1.0 + 1e-6, 1.0 - 1e-6  # more than what rounding of one bound can take away
_UP32, _DOWN32 = 1.0 + 1.2e-7, 1.0 - 1.2e-7  # so that storing in float32 rounds the safe way
_TINY = 1e-37  # and where it would be less than a normal number


def padded(d):
    """Return how many columns a tile of d columns has: tiles are multiplied two, four or eight columns at a time."""
    return 2 if d <= 2 else -(-d // 4) * 4


@inline
def _merge(state, i, a, b, number):
    """Take the scores of centres ``number`` and ``number + 1`` into the best two of point i."""
    best, second = state[i], state[_L1 + i]
    high = a if a > b else b
    low = b if a > b else a
    which = number if a >= b else number + _ONE
    rest = second if second > low else low
    cut = best if best < high else high
    state[_L1 + i] = cut if cut > rest else rest
    state[_L2 + i] = which if high > best else state[_L2 + i]
    state[i] = high if high > best else best


@njit(nogil=True, error_model="numpy", fastmath=FINITE_AWARE, forceinline=True)
def _best_two(x, centres, half, state, k, d):
    """Write the best two scores of each point, and the number of the best, to the first three rows of state.

    x (d, LANES) and centres (k, d) are flat, k is even, d as `padded` returns it. Indices are kept free of signs that
    the compiler could not rule out, or it would not use SIMD.
    """
    for i in range(LANES):
        state[i] = _LEAST
        state[_L1 + i] = _LEAST
        state[_L2 + i] = np.float32(0.0)
    last = d - (2 if d == 2 else 4 if d % 8 == 4 else 8)
    for j in range(0, k, 2):
        number = np.float32(j)
        a, b = centres[j * d : (j + 1) * d], centres[(j + 1) * d : (j + 2) * d]
        h0, h1 = half[j], half[j + 1]
        if d == 2:
            a0, a1, b0, b1 = a[0], a[1], b[0], b[1]
            for i in range(LANES):
                x0, x1 = x[i], x[_L1 + i]
                _merge(state, i, a0 * x0 + a1 * x1 - h0, b0 * x0 + b1 * x1 - h1, number)
            continue
        for i in range(LANES):
            state[_L3 + i] = -h0
            state[_L4 + i] = -h1
        for t in range(0, last, 8):
            a0, a1, a2, a3, a4, a5, a6, a7 = a[t], a[t + 1], a[t + 2], a[t + 3], a[t + 4], a[t + 5], a[t + 6], a[t + 7]
            b0, b1, b2, b3, b4, b5, b6, b7 = b[t], b[t + 1], b[t + 2], b[t + 3], b[t + 4], b[t + 5], b[t + 6], b[t + 7]
            y = x[t * LANES : (t + 8) * LANES]
            for i in range(LANES):
                x0, x1, x2, x3 = y[i], y[_L1 + i], y[_L2 + i], y[_L3 + i]
                x4, x5, x6, x7 = y[_L4 + i], y[_L5 + i], y[_L6 + i], y[_L7 + i]
                state[_L3 + i] += a0 * x0 + a1 * x1 + a2 * x2 + a3 * x3 + a4 * x4 + a5 * x5 + a6 * x6 + a7 * x7
                state[_L4 + i] += b0 * x0 + b1 * x1 + b2 * x2 + b3 * x3 + b4 * x4 + b5 * x5 + b6 * x6 + b7 * x7
        y = x[last * LANES :]
        a, b = a[last:], b[last:]
        a0, a1, a2, a3 = a[0], a[1], a[2], a[3]
        b0, b1, b2, b3 = b[0], b[1], b[2], b[3]
        if d - last == 4:
            for i in range(LANES):
                x0, x1, x2, x3 = y[i], y[_L1 + i], y[_L2 + i], y[_L3 + i]
                s = state[_L3 + i] + a0 * x0 + a1 * x1 + a2 * x2 + a3 * x3
                r = state[_L4 + i] + b0 * x0 + b1 * x1 + b2 * x2 + b3 * x3
                _merge(state, i, s, r, number)
            continue
        a4, a5, a6, a7 = a[4], a[5], a[6], a[7]
        b4, b5, b6, b7 = b[4], b[5], b[6], b[7]
        for i in range(LANES):
            x0, x1, x2, x3 = y[i], y[_L1 + i], y[_L2 + i], y[_L3 + i]
            x4, x5, x6, x7 = y[_L4 + i], y[_L5 + i], y[_L6 + i], y[_L7 + i]
            s = state[_L3 + i] + a0 * x0 + a1 * x1 + a2 * x2 + a3 * x3 + a4 * x4 + a5 * x5 + a6 * x6 + a7 * x7
            r = state[_L4 + i] + b0 * x0 + b1 * x1 + b2 * x2 + b3 * x3 + b4 * x4 + b5 * x5 + b6 * x6 + b7 * x7
            _merge(state, i, s, r, number)


@unfused_kernel
def _squares(point, columns, out):
    """Write the squared distances of a point from all centres, given as columns (d, k): sums in order, never fused."""
    for j in range(out.size):
        out[j] = 0.0
    for t in range(point.size):
        x = point[t]
        column = columns[t]
        for j in range(out.size):
            difference = x - column[j]
            out[j] += difference * difference


@kernel
def _first_two(squares):
    """Return the first of the least values, that value, and the least of the others."""
    number, least, second = 0, np.inf, np.inf
    for j in range(squares.size):
        if squares[j] < least:
            second = least
            least, number = squares[j], j
        elif squares[j] < second:
            second = squares[j]
    return number, least, second


@kernel
def assign(
    points, weights, base, origin, unit, tile_of, columns, centres, moves, labels, upper, lower, span, work, out
):
    """Give points [span[0], span[1]) the label of the nearest centre; return how many labels changed.

    Parameters
    ----------
    points : (n, d)
        As the user gave them.
    weights : (n,) or (0,)
        Empty where all are one.
    base, origin, unit : (d,), (d,), float
        A point is x - base to all exact arithmetic, and (x - base - origin) unit in a tile.
    tile_of : tuple of float32 (k', d'), float32 (k',), float
        Centres in a tile, half their squares, the greatest norm among them.
    columns, centres : (d, k), (k, d) float64
        Less the base.
    moves : tuple of (k,), (k,), int, float, float, float
        How far each centre moved since the bounds were true; half the distance from each to the nearest other one;
        which moved furthest; how far that was, and the furthest of the others; the power of 2 by which these and the
        bounds are multiplied, so that they fit float32.
    labels, upper, lower : (n,) int32, float32, float32
        Label -1: nothing is known. Where ``upper`` is empty no bounds are kept and no sums made.
    work : tuple
        Scratch: tile, state, rows, norms, squares, point.
    out : tuple of (k, d), (k,), (k,)
        What the points that changed their label add to the sums, masses and numbers of points of the clusters.
    """
    packed, half, greatest = tile_of
    shifts, separation, furthest, far, less_far, ruler = moves
    to_ruler = ruler / unit
    tile, state, rows, norms, squares, point = work
    sums, masses, counts = out
    d = points.shape[1]
    keeps = upper.size > 0
    width = tile.size // LANES
    error = (width + 6) * 5.960464477539063e-08 * 1.01
    moved = 0
    m = 0
    for i in range(span[0], span[1]):
        a = labels[i]
        if a >= 0:
            high = upper[i] + shifts[a]
            low = lower[i] - (less_far if a == furthest else far)
            limit = max(low, separation[a])
            if high >= limit:
                square = 0.0
                for t in range(d):
                    difference = points[i, t] - base[t] - centres[a, t]
                    square += difference * difference
                high = np.sqrt(square) * ruler * _UP
            if high < limit:
                upper[i] = high * _UP32 + _TINY
                lower[i] = max(low - _TINY, 0.0) * _DOWN32
            else:
                rows[m] = i
                m += 1
        else:
            rows[m] = i
            m += 1
        if m < LANES and not (m > 0 and i == span[1] - 1):
            continue

        for r in range(m):
            norm = 0.0
            for t in range(d):
                value = np.float32((points[rows[r], t] - base[t] - origin[t]) * unit)
                tile[t * LANES + r] = value
                norm += np.float64(value) * value
            norms[r] = norm
        _best_two(tile, packed, half, state, half.size, width)
        for r in range(m):
            row = rows[r]
            norm = norms[r]
            slack = error * (np.sqrt(norm) * greatest * _UP + 0.5 * greatest * greatest) + 1e-30
            best, second = np.float64(state[r]), np.float64(state[_L1 + r])
            if best - second > 2.0 * slack:
                number = np.int32(state[_L2 + r])
                high = np.sqrt(max(norm * (1.0 + 1.5e-7) - 2.0 * (best - slack), 0.0)) * to_ruler
                low = np.sqrt(max(norm * (1.0 - 1.5e-7) - 2.0 * (second + slack), 0.0)) * to_ruler
            else:
                for t in range(d):
                    point[t] = points[row, t] - base[t]
                _squares(point, columns, squares)
                number, high, low = _first_two(squares)
                high, low = np.sqrt(high) * ruler, np.sqrt(low) * ruler
            if keeps:
                upper[row] = high * _UP + _TINY
                lower[row] = min(max(low * _DOWN - _TINY, 0.0), 1e30)
            before = labels[row]
            if number == before:
                continue
            labels[row] = number
            moved += 1
            if not keeps:
                continue
            w = weights[row] if weights.size else 1.0
            masses[number] += w
            counts[number] += w > 0.0
            for t in range(d):
                sums[number, t] += w * (points[row, t] - base[t])
            if before >= 0:
                masses[before] -= w
                counts[before] -= w > 0.0
                for t in range(d):
                    sums[before, t] -= w * (points[row, t] - base[t])
        m = 0
    return moved


@kernel
def add_up(points, weights, base, labels, start, stop, sums, masses, counts):
    """Add weighted points, less the base, to the sums of their clusters."""
    for i in range(start, stop):
        w = weights[i] if weights.size else 1.0
        a = labels[i]
        masses[a] += w
        counts[a] += w > 0.0
        for t in range(points.shape[1]):
            sums[a, t] += w * (points[i, t] - base[t])


@kernel
def moments(points, base, start, stop, first, second):
    """Add up coordinates less the base, and their squares."""
    for i in range(start, stop):
        for t in range(points.shape[1]):
            x = points[i, t] - base[t]
            first[t] += x
            second[t] += x * x


@kernel
def own_squares(points, weights, base, centres, labels, start, stop, out):
    """Return the weighted sum of squared distances of points from their centres; write each to out, if it has room."""
    total = 0.0
    for i in range(start, stop):
        square = 0.0
        a = labels[i]
        for t in range(points.shape[1]):
            difference = points[i, t] - base[t] - centres[a, t]
            square += difference * difference
        total += weights[i] * square if weights.size else square
        if out.size:
            out[i] = square
    return total


@kernel
def separations(centres, columns, start, stop, squares, out):
    """Write half the distance from each centre to the nearest other one, rounded down."""
    for j in range(start, stop):
        _squares(centres[j], columns, squares)
        least = np.inf
        for i in range(squares.size):
            if i != j:
                least = min(least, squares[i])
        out[j] = 0.5 * np.sqrt(least) * _DOWN


@kernel
def distances(points, columns, start, stop, point, squares, out):
    """Write the distances of points [start, stop) from all centres."""
    for i in range(start, stop):
        for t in range(point.size):
            point[t] = points[i, t]
        _squares(point, columns, squares)
        for j in range(squares.size):
            out[i, j] = np.sqrt(squares[j])
