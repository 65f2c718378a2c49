"""A balanced tree of boxes over rows: halves of halves along the widest axis, down to blocks of LEAF rows.

Nodes are numbered in preorder: the first child of node v is v + 1, and v + size[v] is the next node that is not below
v. So a walk needs no stack. Blocks hold coordinates by axis, (axes, LEAF): axes are filled up with zeros to a multiple
of four, blocks with NaN, which is near nothing.
"""

import numpy as np
from numba import njit

from modeseek.engines.cpu import exact_kernel

LEAF = 32


@exact_kernel
def _enclose(points, rows, start, stop, box):
    """Write the box of some rows; return its widest axis."""
    d = points.shape[1]
    for k in range(d):
        box[0, k], box[1, k] = np.inf, -np.inf
    for i in range(start, stop):
        for k in range(d):
            v = np.float64(points[rows[i], k])
            box[0, k], box[1, k] = min(box[0, k], v), max(box[1, k], v)
    axis = 0
    for k in range(1, d):
        if box[1, k] - box[0, k] > box[1, axis] - box[0, axis]:
            axis = k
    return axis


@exact_kernel
def _select(points, rows, axis, low, high, place):
    """Order rows[low:high] so far that those before ``place`` are not above those after it (C. A. R. Hoare's FIND)."""
    high -= 1
    state = np.uint64(high - low)
    while low < high:
        state = state * np.uint64(6364136223846793005) + np.uint64(1442695040888963407)
        pivot = points[rows[low + np.int64((state >> np.uint64(33)) % np.uint64(high - low + 1))], axis]
        i, j = low, high
        while i <= j:
            while points[rows[i], axis] < pivot:
                i += 1
            while points[rows[j], axis] > pivot:
                j -= 1
            if i <= j:
                rows[i], rows[j] = rows[j], rows[i]
                i += 1
                j -= 1
        if place <= j:
            high = j
        elif place >= i:
            low = i
        else:
            return


@exact_kernel
def halve(points, rows, v, first, many, boxes, size, leaf):
    """Find the box of a node of ``many`` blocks, and part its rows."""
    start, stop = first * LEAF, min((first + many) * LEAF, len(rows))
    axis = _enclose(points, rows, start, stop, boxes[v])
    size[v], leaf[v] = 2 * many - 1, first
    if many > 1:
        _select(points, rows, axis, start, stop, start + (many + 1) // 2 * LEAF)


@exact_kernel
def grow(points, rows, v, first, many, boxes, size, leaf, blocks):
    """Do as `halve` for all nodes below one, and fill the blocks."""
    stack = [(v, first, many)]
    while len(stack) > 0:
        v, first, many = stack.pop()
        halve(points, rows, v, first, many, boxes, size, leaf)
        if many > 1:
            left = (many + 1) // 2
            stack.append((v + 1, first, left))
            stack.append((v + 2 * left, first + left, many - left))
            continue
        start = first * LEAF
        for j in range(LEAF):
            for k in range(blocks.shape[1]):
                blocks[first, k, j] = 0.0
            for k in range(points.shape[1]):
                blocks[first, k, j] = points[rows[start + j], k] if start + j < len(rows) else np.nan


@njit(inline="always", error_model="numpy")
def ends(a, b):
    """Return bounds of the squared distances of points in two boxes, rounded as these are."""
    least, most = 0.0, 0.0
    for k in range(a.shape[1]):
        gap = max(b[0, k] - a[1, k], a[0, k] - b[1, k], 0.0)
        reach = max(b[1, k] - a[0, k], a[1, k] - b[0, k])
        least += gap * gap
        most += reach * reach
    return least, most


@njit(inline="always", error_model="numpy")
def outside(block, j, box):
    """Return the squared distance of point j of a block from a box."""
    least = 0.0
    for k in range(box.shape[1]):
        v = np.float64(block[k, j])
        gap = max(box[0, k] - v, v - box[1, k], 0.0)
        least += gap * gap
    return least


@exact_kernel
def squares(block, j, other, eps2, found):
    """Write the squared distances of point j of a block from those of another; return False if all are above eps2.

    Sums grow from axis to axis, rounded as they are: once all are above, so they end.
    """
    for i in range(LEAF):
        found[i] = 0.0
    for k in range(0, block.shape[0], 4):
        a, b = np.float64(block[k, j]), np.float64(block[k + 1, j])
        c, e = np.float64(block[k + 2, j]), np.float64(block[k + 3, j])
        hits = 0
        for i in range(LEAF):
            ta, tb = a - np.float64(other[k, i]), b - np.float64(other[k + 1, i])
            tc, te = c - np.float64(other[k + 2, i]), e - np.float64(other[k + 3, i])
            s = (((found[i] + ta * ta) + tb * tb) + tc * tc) + te * te
            found[i] = s
            hits += s <= eps2
        if hits == 0:
            return False
    return True
