r"""Tubes on tabulated sums: the ball that surely holds an exact path, step by step, until one label holds it.

A ball of radius r around the tabulated path x_t holds every exact path that starts in a ball around x_0:

    r_{t+1} = sup |J| r_t + eta.

``near`` (nodes, 6) holds what bounds J and eta in balls of up to one node spacing (``fields.bounds.CellBounds``): the
largest eigenvalue of J - I is at most the one interpolated between the nodes at x_t, what the interpolated J changes
over r, and the slack of that. Positions and radii are in node units, eta in
bandwidths, ``width`` bandwidths to a node.

A tube has arrived when its ball touches only sub-cells of one label >= 0 (``cells`` and ``blocks`` as in ``lookup``,
2^bits sub-cells to a cell along each axis), or when it lies in a trap: ``near`` names the trap beside each cell,
``traps`` (k, d + 1) holds centres and radii. It is lost when its ball has grown beyond one node spacing, or where the
exact step may be none at all.
"""

from math import floor, sqrt

import numpy as np

from modeseek.engines.cpu import inline, kernel
from modeseek.engines.cpu.table import _inside, _sums_1d, _sums_2d, _sums_3d

UNKNOWN = -1
_WIDEST = 1.0  # node spacings: what ``near`` is valid for
_ROUNDING = 2e-9  # node spacings a step: positions are float64 of up to 2^23 nodes, a bit is 2^-30


@inline
def _entry_1d(cells, blocks, bits, shape, i):
    """Label of sub-cell i, counted from the corner of the first cell."""
    e = np.int64(cells[i >> bits])
    return e if e >= UNKNOWN else np.int64(blocks[((-2 - e) << bits) + (i & ((1 << bits) - 1))])


@inline
def _entry_2d(cells, blocks, bits, shape, i, j):
    e = np.int64(cells[(i >> bits) * shape[1] + (j >> bits)])
    last = (1 << bits) - 1
    return e if e >= UNKNOWN else np.int64(blocks[((((-2 - e) << bits) + (i & last)) << bits) + (j & last)])


@inline
def _entry_3d(cells, blocks, bits, shape, i, j, l):
    e = np.int64(cells[((i >> bits) * shape[1] + (j >> bits)) * shape[2] + (l >> bits)])
    if e >= UNKNOWN:
        return e
    last = (1 << bits) - 1
    return np.int64(blocks[((((((-2 - e) << bits) + (i & last)) << bits) + (j & last)) << bits) + (l & last)])


@inline
def _span(x, r, bits, length):
    """First and last sub-cell that [x - r, x + r] touches."""
    first = max(np.int64(floor((x - r + 0.5) * (1 << bits))), 0)
    return first, min(np.int64(floor((x + r + 0.5) * (1 << bits))), (length << bits) - 1)


@inline
def _cut(first, last, bits, i):
    """First and last sub-cell within cell i of those from first to last."""
    return max(first, i << bits), min(last, ((i + 1) << bits) - 1)


@inline
def _held_1d(cells, blocks, bits, shape, x0, r):
    """Label of all sub-cells that the ball touches if they have the same one, else UNKNOWN."""
    label = _entry_1d(cells, blocks, bits, shape, np.int64((x0 + 0.5) * (1 << bits)))
    if label < 0:
        return UNKNOWN
    first, last = _span(x0, r, bits, shape[0])
    for i in range(first >> bits, (last >> bits) + 1):
        e = np.int64(cells[i])
        if e == label:
            continue
        if e >= UNKNOWN:
            return UNKNOWN
        low, high = _cut(first, last, bits, i)
        start = (-2 - e - i) << bits
        for p in range(low, high + 1):
            if blocks[start + p] != label:
                return UNKNOWN
    return label


@inline
def _held_2d(cells, blocks, bits, shape, x0, x1, r):
    size = 1 << bits
    label = _entry_2d(cells, blocks, bits, shape, np.int64((x0 + 0.5) * size), np.int64((x1 + 0.5) * size))
    if label < 0:
        return UNKNOWN
    first0, last0 = _span(x0, r, bits, shape[0])
    first1, last1 = _span(x1, r, bits, shape[1])
    for i in range(first0 >> bits, (last0 >> bits) + 1):
        for j in range(first1 >> bits, (last1 >> bits) + 1):
            e = np.int64(cells[i * shape[1] + j])
            if e == label:
                continue
            if e >= UNKNOWN:
                return UNKNOWN
            low0, high0 = _cut(first0, last0, bits, i)
            low1, high1 = _cut(first1, last1, bits, j)
            for p in range(low0, high0 + 1):
                start = ((((-2 - e - i) << bits) + p) - j) << bits
                for q in range(low1, high1 + 1):
                    if blocks[start + q] != label:
                        return UNKNOWN
    return label


@inline
def _held_3d(cells, blocks, bits, shape, x0, x1, x2, r):
    size = 1 << bits
    own = np.int64((x0 + 0.5) * size), np.int64((x1 + 0.5) * size), np.int64((x2 + 0.5) * size)
    label = _entry_3d(cells, blocks, bits, shape, own[0], own[1], own[2])
    if label < 0:
        return UNKNOWN
    first0, last0 = _span(x0, r, bits, shape[0])
    first1, last1 = _span(x1, r, bits, shape[1])
    first2, last2 = _span(x2, r, bits, shape[2])
    for i in range(first0 >> bits, (last0 >> bits) + 1):
        for j in range(first1 >> bits, (last1 >> bits) + 1):
            for l in range(first2 >> bits, (last2 >> bits) + 1):
                e = np.int64(cells[(i * shape[1] + j) * shape[2] + l])
                if e == label:
                    continue
                if e >= UNKNOWN:
                    return UNKNOWN
                low0, high0 = _cut(first0, last0, bits, i)
                low1, high1 = _cut(first1, last1, bits, j)
                low2, high2 = _cut(first2, last2, bits, l)
                for p in range(low0, high0 + 1):
                    for q in range(low1, high1 + 1):
                        start = (((((-2 - e - i) << bits) + p - j) << bits) + q - l) << bits
                        for t in range(low2, high2 + 1):
                            if blocks[start + t] != label:
                                return UNKNOWN
    return label


@inline
def _layer(near, k, row, u, v):
    """Largest eigenvalue of J - I interpolated between nodes k, k + 1 and those a ``row`` on."""
    below = (1.0 - v) * near[k, 0] + v * near[k + 1, 0]
    above = (1.0 - v) * near[k + row, 0] + v * near[k + row + 1, 0]
    return (1.0 - u) * below + u * above


@inline
def _grow(near, k, bend, r, width):
    """Radius after a step from a place in cell k, ``bend`` the interpolated eigenvalue."""
    growth = 1.0 + bend + near[k, 2] + near[k, 3] * r
    return max(growth, 0.0) * r + near[k, 4] * width + _ROUNDING


@kernel
def tubes_1d(table, shape, factor, near, width, cells, blocks, bits, traps, max_iter, x, radius, labels, steps):
    """Write to labels (m,) what each tube from x (m, 1) arrives at, UNKNOWN if it is lost, and its number of steps."""
    for row in range(x.shape[0]):
        a, r = x[row, 0], radius
        label = UNKNOWN
        n = 0
        while n < max_iter:
            if not (r <= _WIDEST and _inside(a, shape[0])):
                break
            label = _held_1d(cells, blocks, bits, shape, a, r)
            if label >= 0:
                break
            k = np.int64(a + 0.5)
            trap = np.int64(near[k, 5])
            if trap >= 0 and abs(a - traps[trap, 0]) + r <= traps[trap, 1]:
                label = trap
                break
            i = np.int64(a)
            u = a - i
            r = _grow(near, k, (1.0 - u) * near[i, 0] + u * near[i + 1, 0], r, width)
            n += 1
            t, s = _sums_1d(table, shape, a)
            s *= factor / t
            a += s
            if not abs(s) > near[k, 4] * width:
                break
        labels[row] = label
        steps[row] = n


@kernel
def tubes_2d(table, shape, factor, near, width, cells, blocks, bits, traps, max_iter, x, radius, labels, steps):
    """Do as `tubes_1d` from x (m, 2)."""
    for row in range(x.shape[0]):
        a, b, r = x[row, 0], x[row, 1], radius
        label = UNKNOWN
        n = 0
        while n < max_iter:
            if not (r <= _WIDEST and _inside(a, shape[0]) and _inside(b, shape[1])):
                break
            label = _held_2d(cells, blocks, bits, shape, a, b, r)
            if label >= 0:
                break
            k = np.int64(a + 0.5) * shape[1] + np.int64(b + 0.5)
            trap = np.int64(near[k, 5])
            if trap >= 0:
                d0 = a - traps[trap, 0]
                d1 = b - traps[trap, 1]
                if sqrt(d0 * d0 + d1 * d1) + r <= traps[trap, 2]:
                    label = trap
                    break
            i = np.int64(a)
            j = np.int64(b)
            r = _grow(near, k, _layer(near, i * shape[1] + j, shape[1], a - i, b - j), r, width)
            n += 1
            t, sa, sb = _sums_2d(table, shape, a, b)
            c = factor / t
            sa *= c
            sb *= c
            a += sa
            b += sb
            if not sqrt(sa * sa + sb * sb) > near[k, 4] * width:
                break
        labels[row] = label
        steps[row] = n


@kernel
def tubes_3d(table, shape, factor, near, width, cells, blocks, bits, traps, max_iter, x, radius, labels, steps):
    """Do as `tubes_1d` from x (m, 3)."""
    for row in range(x.shape[0]):
        a, b, c, r = x[row, 0], x[row, 1], x[row, 2], radius
        label = UNKNOWN
        n = 0
        while n < max_iter:
            if not (r <= _WIDEST and _inside(a, shape[0]) and _inside(b, shape[1]) and _inside(c, shape[2])):
                break
            label = _held_3d(cells, blocks, bits, shape, a, b, c, r)
            if label >= 0:
                break
            k = (np.int64(a + 0.5) * shape[1] + np.int64(b + 0.5)) * shape[2] + np.int64(c + 0.5)
            trap = np.int64(near[k, 5])
            if trap >= 0:
                d0 = a - traps[trap, 0]
                d1 = b - traps[trap, 1]
                d2 = c - traps[trap, 2]
                if sqrt(d0 * d0 + d1 * d1 + d2 * d2) + r <= traps[trap, 3]:
                    label = trap
                    break
            i = np.int64(a)
            j = np.int64(b)
            l = np.int64(c)
            first = (i * shape[1] + j) * shape[2] + l
            bend = (a - i) * _layer(near, first + shape[1] * shape[2], shape[2], b - j, c - l)
            bend += (1.0 - (a - i)) * _layer(near, first, shape[2], b - j, c - l)
            r = _grow(near, k, bend, r, width)
            n += 1
            t, sa, sb, sc = _sums_3d(table, shape, a, b, c)
            f = factor / t
            sa *= f
            sb *= f
            sc *= f
            a += sa
            b += sb
            c += sc
            if not sqrt(sa * sa + sb * sb + sc * sc) > near[k, 4] * width:
                break
        labels[row] = label
        steps[row] = n


TUBES = {1: tubes_1d, 2: tubes_2d, 3: tubes_3d}
