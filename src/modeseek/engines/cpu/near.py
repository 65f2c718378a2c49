"""Which of a run of sorted points are near one point: counts, weights, hits.

Points are columns (d, n), d <= 3. Two are near when the sum of the squares of the differences of their coordinates, in
float64 and rounded as written, is at most eps^2: what scikit-learn's trees compute.
"""

import numpy as np
from numba import njit

from modeseek.engines.cpu import exact_kernel, kernel

BLOCK = 64  # points that are tested before a look at the result
HEAVY = 1 << 14  # pairs of points of two cells beyond which boxes are split
LIGHT = 1 << 8


@njit(inline="always", error_model="numpy")
def _square1(points, x, q):
    dx = x - np.float64(points[0, q])
    return dx * dx


@njit(inline="always", error_model="numpy")
def _square2(points, x, y, q):
    dx, dy = x - np.float64(points[0, q]), y - np.float64(points[1, q])
    return dx * dx + dy * dy


@njit(inline="always", error_model="numpy")
def _square3(points, x, y, z, q):
    dx, dy, dz = x - np.float64(points[0, q]), y - np.float64(points[1, q]), z - np.float64(points[2, q])
    return (dx * dx + dy * dy) + dz * dz


@njit(inline="always", error_model="numpy")
def place(points, p):
    """Return the coordinates of a point, with zeros for those that it does not have."""
    x = np.float64(points[0, p])
    y = np.float64(points[1, p]) if points.shape[0] > 1 else 0.0
    z = np.float64(points[2, p]) if points.shape[0] > 2 else 0.0
    return x, y, z


@exact_kernel
def count_near(points, p, start, stop, eps2, enough):
    """Count the points of a run that are near a point; stop soon after ``enough``."""
    x, y, z = place(points, p)
    d = points.shape[0]
    count = 0
    while start < stop and count < enough:
        end = min(start + BLOCK, stop)
        if d == 2:
            for q in range(start, end):
                count += _square2(points, x, y, q) <= eps2
        elif d == 3:
            for q in range(start, end):
                count += _square3(points, x, y, z, q) <= eps2
        else:
            for q in range(start, end):
                count += _square1(points, x, q) <= eps2
        start = end
    return count


@exact_kernel
def weigh_near(points, weights, p, start, stop, eps2):
    """Sum the weights of the points of a run that are near a point, in their order."""
    x, y, z = place(points, p)
    d = points.shape[0]
    total = 0.0
    for q in range(start, stop):
        if d == 2:
            square = _square2(points, x, y, q)
        elif d == 3:
            square = _square3(points, x, y, z, q)
        else:
            square = _square1(points, x, q)
        if square <= eps2:
            total += weights[q]
    return total


@exact_kernel
def touches(points, core, p, start, stop, eps2):
    """Return whether a core point of a run is near a point."""
    x, y, z = place(points, p)
    d = points.shape[0]
    while start < stop:
        end = min(start + BLOCK, stop)
        hits = 0
        if d == 2:
            for q in range(start, end):
                hits += core[q] & (_square2(points, x, y, q) <= eps2)
        elif d == 3:
            for q in range(start, end):
                hits += core[q] & (_square3(points, x, y, z, q) <= eps2)
        else:
            for q in range(start, end):
                hits += core[q] & (_square1(points, x, q) <= eps2)
        if hits:
            return True
        start = end
    return False


@kernel
def _enclose(points, start, stop, box):
    """Write the least and the greatest of each coordinate in a run."""
    for k in range(points.shape[0]):
        low = high = points[k, start]
        for q in range(start + 1, stop):
            low, high = min(low, points[k, q]), max(high, points[k, q])
        box[0, k], box[1, k] = low, high


@exact_kernel
def linked(points, core, a0, a1, b0, b1, eps2, box):
    """Return whether a core point of one run is near one of another; ``box`` (2, d) is to work in."""
    if (a1 - a0) * (b1 - b0) > HEAVY:
        return _linked_boxes(points, core, a0, a1, b0, b1, eps2)
    boxed = b1 - b0 > 4 and a1 - a0 > 2
    if boxed:
        _enclose(points, b0, b1, box)
    for p in range(a0, a1):
        if core[p]:
            off = 0.0
            if boxed:
                for k in range(points.shape[0]):
                    v = np.float64(points[k, p])
                    t = max(box[0, k] - v, v - box[1, k], 0.0)
                    off += t * t
            if off <= eps2 and touches(points, core, p, b0, b1, eps2):
                return True
    return False


@exact_kernel
def _rows_of_core(core, start, stop):
    rows = np.empty(stop - start, np.int64)
    found = 0
    for q in range(start, stop):
        if core[q]:
            rows[found] = q
            found += 1
    return rows[:found]


@exact_kernel
def _enclose_rows(points, rows, box):
    """Write the box of some points; return its widest axis."""
    axis, widest = 0, -1.0
    for k in range(points.shape[0]):
        low = high = np.float64(points[k, rows[0]])
        for row in rows:
            low, high = min(low, np.float64(points[k, row])), max(high, np.float64(points[k, row]))
        box[0, k], box[1, k] = low, high
        if high - low > widest:
            axis, widest = k, high - low
    return axis


@exact_kernel
def _split(points, rows, axis, middle):
    """Put the points up to ``middle`` first; return how many they are."""
    below = 0
    for i in range(len(rows)):
        row = rows[i]
        if np.float64(points[axis, row]) <= middle:
            rows[i] = rows[below]
            rows[below] = row
            below += 1
    return below


@exact_kernel
def _linked_boxes(points, core, a0, a1, b0, b1, eps2):
    """Do as `linked` for many pairs: boxes that may hold a near pair are split, until they are small."""
    d = points.shape[0]
    a, b = _rows_of_core(core, a0, a1), _rows_of_core(core, b0, b1)
    ours, theirs = np.empty((2, d)), np.empty((2, d))
    stack = [(0, len(a), 0, len(b))]
    while len(stack) > 0:
        a0, a1, b0, b1 = stack.pop()
        if a1 == a0 or b1 == b0:
            continue
        mine = _enclose_rows(points, a[a0:a1], ours)
        other = _enclose_rows(points, b[b0:b1], theirs)
        least, most = 0.0, 0.0
        for k in range(d):
            gap = max(theirs[0, k] - ours[1, k], ours[0, k] - theirs[1, k], 0.0)
            least += gap * gap
            reach = max(theirs[1, k] - ours[0, k], ours[1, k] - theirs[0, k])
            most += reach * reach
        if least > eps2:
            continue
        if most <= eps2:
            return True
        if (a1 - a0) * (b1 - b0) <= LIGHT:
            for i in range(a0, a1):
                for j in range(b0, b1):
                    square = 0.0
                    for k in range(d):
                        t = np.float64(points[k, a[i]]) - np.float64(points[k, b[j]])
                        square += t * t
                    if square <= eps2:
                        return True
        elif ours[1, mine] - ours[0, mine] >= theirs[1, other] - theirs[0, other]:
            middle = ours[0, mine] + 0.5 * (ours[1, mine] - ours[0, mine])
            cut = a0 + _split(points, a[a0:a1], mine, min(middle, np.nextafter(ours[1, mine], -np.inf)))
            stack.append((a0, cut, b0, b1))
            stack.append((cut, a1, b0, b1))
        else:
            middle = theirs[0, other] + 0.5 * (theirs[1, other] - theirs[0, other])
            cut = b0 + _split(points, b[b0:b1], other, min(middle, np.nextafter(theirs[1, other], -np.inf)))
            stack.append((a0, a1, b0, cut))
            stack.append((a0, a1, cut, b1))
    return False
