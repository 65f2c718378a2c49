r"""Points to grid nodes: tensor-product quadratic B-splines in int64 fixed point, and integer cell moments.

The quadratic B-spline gives the node nearest to a point, at offset u in [-1/2, 1/2], and its two neighbours

    b_{-1} = (1/2 - u)^2 / 2,   b_0 = 3/4 - u^2,   b_{+1} = (1/2 + u)^2 / 2.

They sum to one, reproduce the mean, and have the same variance 1/4 for every u. Weights are products over the
axes, rounded to integers of 1/unit, so that sums are exact: any order of adding gives the same bits.
``w`` has one weight per row, or length 0 for unit weights. Grids are C-ordered and flat; node indices count
from ``origin``, wherever the grid begins, so that a point's weights do not depend on the grid; ``offset`` is
the flat index of the grid's first node.
"""

from math import floor

import numpy as np

from modeseek.engines.cpu import inline, kernel

MOMENT_BITS = 20  # offsets in a cell are stored as integers of 2^-20 cell widths


@inline
def _split(a):
    """Nearest node and the three spline weights of a coordinate in node units."""
    i = np.int64(floor(a + 0.5))
    u = a - i
    below = 0.5 * (0.5 - u) * (0.5 - u)
    above = 0.5 * (0.5 + u) * (0.5 + u)
    return i, below, 1.0 - below - above, above


@kernel
def deposit_1d(x, w, origin, per_node, unit, grid, shape, offset):
    """Add the points of x (n, 1) to grid."""
    for r in range(x.shape[0]):
        m = unit if w.size == 0 else unit * w[r]
        i, a0, a1, a2 = _split((x[r, 0] - origin[0]) * per_node)
        k = i - 1 - offset
        grid[k] += np.int64(m * a0 + 0.5)
        grid[k + 1] += np.int64(m * a1 + 0.5)
        grid[k + 2] += np.int64(m * a2 + 0.5)


@kernel
def deposit_2d(x, w, origin, per_node, unit, grid, shape, offset):
    """Add the points of x (n, 2) to grid."""
    for r in range(x.shape[0]):
        m = unit if w.size == 0 else unit * w[r]
        i, a0, a1, a2 = _split((x[r, 0] - origin[0]) * per_node)
        j, b0, b1, b2 = _split((x[r, 1] - origin[1]) * per_node)
        a0, a1, a2 = m * a0, m * a1, m * a2
        k = (i - 1) * shape[1] + j - 1 - offset
        grid[k] += np.int64(a0 * b0 + 0.5)
        grid[k + 1] += np.int64(a0 * b1 + 0.5)
        grid[k + 2] += np.int64(a0 * b2 + 0.5)
        k += shape[1]
        grid[k] += np.int64(a1 * b0 + 0.5)
        grid[k + 1] += np.int64(a1 * b1 + 0.5)
        grid[k + 2] += np.int64(a1 * b2 + 0.5)
        k += shape[1]
        grid[k] += np.int64(a2 * b0 + 0.5)
        grid[k + 1] += np.int64(a2 * b1 + 0.5)
        grid[k + 2] += np.int64(a2 * b2 + 0.5)


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
                grid[k] += np.int64(ab * c0 + 0.5)
                grid[k + 1] += np.int64(ab * c1 + 0.5)
                grid[k + 2] += np.int64(ab * c2 + 0.5)


@kernel
def cell_moments_2d(x, origin, per_cell, moments, shape):
    """Add to moments (cells, 4): count, sum of u, sum of v, sum of u^2 + v^2 (offsets u, v in [0, 1))."""
    scale = 1 << MOMENT_BITS
    for r in range(x.shape[0]):
        a = (x[r, 0] - origin[0]) * per_cell
        b = (x[r, 1] - origin[1]) * per_cell
        i = np.int64(a)  # the origin lies below the data, so this is the floor
        j = np.int64(b)
        a -= i
        b -= j
        k = (i * shape[1] + j) * 4
        moments[k] += 1
        moments[k + 1] += np.int64(a * scale)
        moments[k + 2] += np.int64(b * scale)
        moments[k + 3] += np.int64((a * a + b * b) * scale)


DEPOSIT = {1: deposit_1d, 2: deposit_2d, 3: deposit_3d}
