r"""Labels by cell: a point's cell is that of its nearest node; mixed cells are cut into s^d sub-cells.

``cells`` holds for each node a label >= 0, or UNKNOWN, or -2 - b for a mixed cell whose sub-cells are
entries b * s^d ... of ``blocks``. Points beyond the grid are UNKNOWN. (n, d) rows, d = 1, 2 or 3.
"""

from math import floor

import numpy as np

from modeseek.engines.cpu import inline, kernel

UNKNOWN = -1


@inline
def _entry(x, r, origin, per_node, lower, shape, cells, s):
    """Entry of row r: a label, UNKNOWN, or -2 - (index into blocks)."""
    k = np.int64(0)
    sub = np.int64(0)
    for j in range(shape.size):
        a = (x[r, j] - origin[j]) * per_node + 0.5
        f = floor(a)
        if not (f >= lower[j] and f < lower[j] + shape[j]):
            return np.int64(UNKNOWN)
        k = k * shape[j] + np.int64(f) - lower[j]
        sub = sub * s + min(np.int64((a - f) * s), s - 1)
    label = np.int64(cells[k])
    if label < UNKNOWN:
        return -2 - ((-2 - label) * s ** shape.size + sub)
    return label


@kernel
def mark(x, first_row, origin, per_node, lower, shape, cells, s, rows):
    """Set rows[b] to the least row number seen in sub-cell b; rows of interior cells are passed over."""
    for r in range(x.shape[0]):
        e = _entry(x, r, origin, per_node, lower, shape, cells, s)
        if e < UNKNOWN:
            rows[-2 - e] = min(rows[-2 - e], first_row + r)


@kernel
def look_up(x, origin, per_node, lower, shape, cells, s, blocks, out):
    """Write the label of each row to out; return how many are UNKNOWN."""
    unknown = 0
    for r in range(x.shape[0]):
        e = _entry(x, r, origin, per_node, lower, shape, cells, s)
        if e < UNKNOWN:
            e = np.int64(blocks[-2 - e])
        out[r] = e
        unknown += e == UNKNOWN
    return unknown
