r"""Points to grid nodes: tensor-product B-splines in int64 fixed point; points to bins, in counts.

The quadratic B-spline gives the node nearest to a point, at offset u in [-1/2, 1/2], and its two neighbours

    b_{-1} = (1/2 - u)^2 / 2,   b_0 = 3/4 - u^2,   b_{+1} = (1/2 + u)^2 / 2.

They sum to one, reproduce the mean, and have the same variance 1/4 for every u. The cubic one gives the node below,
at offset u in [0, 1], its neighbour below and two above

    (1 - u)^3 / 6,   2/3 - u^2 (1 - u / 2),   the same with 1 - u for u,   u^3 / 6,

with variance 1/3, and the same third moment for every u too. Weights are products over the axes, rounded to integers
of 1/unit, so that sums are exact: any order of adding gives the same bits. ``w`` has one weight per row, or length 0
for unit weights. Grids are C-ordered and flat; node indices count from ``origin``, wherever the grid begins, so that
a point's weights do not depend on the grid; ``offset`` is
the flat index of the grid's first node.
"""

from math import floor

import numpy as np

from modeseek.engines.cpu import inline, kernel
from modeseek.engines.cpu.table import _cubic

OFFSET_BITS = 20  # offsets in a bin are stored as integers of 2^-20 bin widths
_ROWS = 2048  # rows that stay in the first cache between counting and sampling


@inline
def _split(a):
    """Nearest node and the three spline weights of a coordinate in node units."""
    i = np.int64(floor(a + 0.5))
    u = a - i
    below = 0.5 * (0.5 - u) * (0.5 - u)
    above = 0.5 * (0.5 + u) * (0.5 + u)
    return i, below, 1.0 - below - above, above


@inline
def _add(row, m, c0, c1, c2):
    """Add mass m with spline weights c to three neighbouring nodes (a slice: no index can be negative)."""
    row[0] += np.int64(m * c0 + 0.5)
    row[1] += np.int64(m * c1 + 0.5)
    row[2] += np.int64(m * c2 + 0.5)


@kernel
def deposit_1d(x, w, origin, per_node, unit, grid, shape, offset):
    """Add the points of x (n, 1) to grid."""
    for r in range(x.shape[0]):
        m = unit if w.size == 0 else unit * w[r]
        i, a0, a1, a2 = _split((x[r, 0] - origin[0]) * per_node)
        k = i - 1 - offset
        _add(grid[k : k + 3], m, a0, a1, a2)


@kernel
def deposit_2d(x, w, origin, per_node, unit, grid, shape, offset):
    """Add the points of x (n, 2) to grid."""
    for r in range(x.shape[0]):
        m = unit if w.size == 0 else unit * w[r]
        i, a0, a1, a2 = _split((x[r, 0] - origin[0]) * per_node)
        j, b0, b1, b2 = _split((x[r, 1] - origin[1]) * per_node)
        k = (i - 1) * shape[1] + j - 1 - offset
        _add(grid[k : k + 3], m * a0, b0, b1, b2)
        k += shape[1]
        _add(grid[k : k + 3], m * a1, b0, b1, b2)
        k += shape[1]
        _add(grid[k : k + 3], m * a2, b0, b1, b2)


@kernel
def deposit_3d(x, w, origin, per_node, unit, grid, shape, offset):
    """Add the points of x (n, 3) to grid."""
    for r in range(x.shape[0]):
        m = unit if w.size == 0 else unit * w[r]
        i, a0, a1, a2 = _split((x[r, 0] - origin[0]) * per_node)
        j, b0, b1, b2 = _split((x[r, 1] - origin[1]) * per_node)
        l, c0, c1, c2 = _split((x[r, 2] - origin[2]) * per_node)
        for p in range(3):
            a = m * (a0 if p == 0 else (a1 if p == 1 else a2))
            for q in range(3):
                ab = a * (b0 if q == 0 else (b1 if q == 1 else b2))
                k = ((i - 1 + p) * shape[1] + j - 1 + q) * shape[2] + l - 1 - offset
                _add(grid[k : k + 3], ab, c0, c1, c2)


@inline
def _add_cubic(row, m, c0, c1, c2, c3):
    """Add mass m with spline weights c to four neighbouring nodes."""
    row[0] += np.int64(m * c0 + 0.5)
    row[1] += np.int64(m * c1 + 0.5)
    row[2] += np.int64(m * c2 + 0.5)
    row[3] += np.int64(m * c3 + 0.5)


@kernel
def deposit_cubic_1d(x, w, origin, per_node, unit, grid, shape, offset):
    """Add the points of x (n, 1) to grid."""
    for r in range(x.shape[0]):
        m = unit if w.size == 0 else unit * w[r]
        i, a0, a1, a2, a3 = _cubic((x[r, 0] - origin[0]) * per_node)
        k = i - offset
        _add_cubic(grid[k : k + 4], m, a0, a1, a2, a3)


@kernel
def deposit_cubic_2d(x, w, origin, per_node, unit, grid, shape, offset):
    """Add the points of x (n, 2) to grid."""
    stride = shape[1]
    for r in range(x.shape[0]):
        m = unit if w.size == 0 else unit * w[r]
        i, a0, a1, a2, a3 = _cubic((x[r, 0] - origin[0]) * per_node)
        j, b0, b1, b2, b3 = _cubic((x[r, 1] - origin[1]) * per_node)
        k = i * stride + j - offset
        _add_cubic(grid[k : k + 4], m * a0, b0, b1, b2, b3)
        k += stride
        _add_cubic(grid[k : k + 4], m * a1, b0, b1, b2, b3)
        k += stride
        _add_cubic(grid[k : k + 4], m * a2, b0, b1, b2, b3)
        k += stride
        _add_cubic(grid[k : k + 4], m * a3, b0, b1, b2, b3)


@kernel
def deposit_cubic_3d(x, w, origin, per_node, unit, grid, shape, offset):
    """Add the points of x (n, 3) to grid."""
    for r in range(x.shape[0]):
        m = unit if w.size == 0 else unit * w[r]
        i, a0, a1, a2, a3 = _cubic((x[r, 0] - origin[0]) * per_node)
        j, b0, b1, b2, b3 = _cubic((x[r, 1] - origin[1]) * per_node)
        l, c0, c1, c2, c3 = _cubic((x[r, 2] - origin[2]) * per_node)
        for p in range(4):
            a = m * (a0 if p == 0 else (a1 if p == 1 else (a2 if p == 2 else a3)))
            for q in range(4):
                ab = a * (b0 if q == 0 else (b1 if q == 1 else (b2 if q == 2 else b3)))
                k = ((i + p) * shape[1] + j + q) * shape[2] + l - offset
                _add_cubic(grid[k : k + 4], ab, c0, c1, c2, c3)


@kernel
def bin_2d(x, corner, per_node, bins, stride, counts, offsets, index):
    """Count the points of every bin, and sum the offsets of every ``stride``-th row in its bin.

    There are 2 x 2 bins to a node's cell; ``bins`` is their number along each axis. The bin of each row is
    written to ``index``. ``offsets`` (bins, 4) gets, of the rows sampled, number, sum of u and sum of v in
    [0, 1); the fourth entry only aligns. Counting is one write a point, offsets are three: hence the sample.
    """
    scale = 1 << OFFSET_BITS
    origin0, origin1, length1 = corner[0], corner[1], bins[1]
    per_bin = 2.0 * per_node
    for start in range(0, x.shape[0], _ROWS):
        stop = min(start + _ROWS, x.shape[0])
        for r in range(start, stop):
            # the corner lies below the data, so truncation is the floor
            k = np.int64((x[r, 0] - origin0) * per_bin) * length1 + np.int64((x[r, 1] - origin1) * per_bin)
            index[r] = k
            counts[k : k + 1][0] += 1
        for r in range(start + (-start) % stride, stop, stride):
            a = (x[r, 0] - origin0) * per_bin
            b = (x[r, 1] - origin1) * per_bin
            k = 4 * np.int64(index[r])
            sums = offsets[k : k + 4]
            sums[0] += 1
            sums[1] += np.int64((a - np.int64(a)) * scale)
            sums[2] += np.int64((b - np.int64(b)) * scale)


DEPOSIT = {
    (2, 1): deposit_1d,
    (2, 2): deposit_2d,
    (2, 3): deposit_3d,
    (3, 1): deposit_cubic_1d,
    (3, 2): deposit_cubic_2d,
    (3, 3): deposit_cubic_3d,
}  # by degree of the spline and number of columns
