r"""Labels by cell: a point's cell is that of its nearest node; mixed cells are cut into s^d sub-cells.

``cells`` holds for each node a label >= 0, or UNKNOWN, or -2 - b for a mixed cell, whose sub-cells are the entries
b * s^d ... of ``blocks``. ``corner`` is the lower corner of the first node's cell: coordinates less it, in node units,
truncate to cells, once it is known that they are within the grid: numbers beyond int64 would become any integer. Rows
are looked up by blocks that stay in cache: first their nodes, which SIMD finds, then what the nodes hold.
"""

import numpy as np

from modeseek.engines.cpu import exact_kernel, kernel

UNKNOWN = -1
BLOCK_ROWS = 1024


@exact_kernel
def _along(x, corner, per_node):
    """Return a coordinate in node units, rounded alike in every kernel: a point has one cell, and one sub-cell."""
    return (x - corner) * per_node


@kernel
def _nodes_of(x, corner, per_node, shape, out):
    """Write the flat number of the node of each row, -1 beyond the grid."""
    none = np.int32(UNKNOWN)
    if x.shape[1] == 1:
        for r in range(x.shape[0]):
            a = _along(x[r, 0], corner[0], per_node)
            inside = (a >= 0.0) & (a < shape[0])
            out[r] = np.int32(a if inside else 0.0) if inside else none
    elif x.shape[1] == 2:
        length = np.int32(shape[1])
        for r in range(x.shape[0]):
            a = _along(x[r, 0], corner[0], per_node)
            b = _along(x[r, 1], corner[1], per_node)
            inside = (a >= 0.0) & (a < shape[0]) & (b >= 0.0) & (b < shape[1])
            flat = np.int32(a if inside else 0.0) * length + np.int32(b if inside else 0.0)
            out[r] = flat if inside else none
    else:
        length, depth = np.int32(shape[1]), np.int32(shape[2])
        for r in range(x.shape[0]):
            a = _along(x[r, 0], corner[0], per_node)
            b = _along(x[r, 1], corner[1], per_node)
            c = _along(x[r, 2], corner[2], per_node)
            inside = (a >= 0.0) & (a < shape[0]) & (b >= 0.0) & (b < shape[1]) & (c >= 0.0) & (c < shape[2])
            flat = np.int32(a if inside else 0.0) * length + np.int32(b if inside else 0.0)
            flat = flat * depth + np.int32(c if inside else 0.0)
            out[r] = flat if inside else none


@kernel
def _sub_cell(x, r, corner, per_node, cell, s):
    """Return the index into blocks of row r, which lies in a mixed cell."""
    index = -2 - np.int64(cell)
    for j in range(x.shape[1]):
        a = _along(x[r, j], corner[j], per_node)
        index = index * s + np.int64((a - np.int64(a)) * s)
    return index


@kernel
def label_rows(x, corner, per_node, shape, table, cells, s, blocks, out, counts, nodes, mixed):
    """Write the label of each row of x (n, d), UNKNOWN where it has none; add to counts[2 + label] its rows.

    ``table`` is ``cells``, or what `CellLabels.uniform` made of them. ``nodes`` (BLOCK_ROWS,) and ``mixed``
    (BLOCK_ROWS + 1,) are scratch: rows in mixed cells are few, and are looked up when the others are done.
    """
    for start in range(0, x.shape[0], BLOCK_ROWS):
        rows, labels = x[start : start + BLOCK_ROWS], out[start : start + BLOCK_ROWS]
        _nodes_of(rows, corner, per_node, shape, nodes)
        found = 0
        for r in range(labels.size):
            node = np.int64(nodes[r])
            e = np.int64(table[node]) if node >= 0 else np.int64(UNKNOWN)
            labels[r] = e
            mixed[found] = r
            found += np.int64(e < UNKNOWN)
            counts[max(e, -2) + 2] += 1
        for k in range(found):
            r = np.int64(mixed[k])
            e = np.int64(blocks[_sub_cell(rows, r, corner, per_node, cells[nodes[r]], s)])
            labels[r] = e
            counts[e + 2] += 1
    counts[0] = 0


@kernel
def sub_cells(x, corner, per_node, shape, cells, s, out, nodes):
    """Write the index into blocks of each row of x (n, d), UNKNOWN where its cell is not mixed."""
    for start in range(0, x.shape[0], BLOCK_ROWS):
        rows, found = x[start : start + BLOCK_ROWS], out[start : start + BLOCK_ROWS]
        _nodes_of(rows, corner, per_node, shape, nodes)
        for r in range(found.size):
            node = np.int64(nodes[r])
            cell = np.int64(cells[node]) if node >= 0 else np.int64(UNKNOWN)
            found[r] = _sub_cell(rows, r, corner, per_node, cell, s) if cell < UNKNOWN else UNKNOWN


@kernel
def resolve_bins_2d(x, corner, per_node, shape, cells, s, blocks, bin_labels, index, out, counts, unknown):
    """Write the labels of rows in bins (of `bin_2d`); write the rows without one to ``unknown``, return how many.

    ``bin_labels`` has the label of each bin, UNKNOWN, or -2 where there are several: only rows in those are read again,
    and added to counts[1 + label]. ``out`` may be ``index``; UNKNOWN is the highest number of an unsigned type.
    """
    length1 = shape[1]
    found = 0
    for r in range(index.size):
        e = np.int64(bin_labels[index[r]])
        if e < 0:
            if e < UNKNOWN:
                i = np.int64(_along(x[r, 0], corner[0], per_node))
                j = np.int64(_along(x[r, 1], corner[1], per_node))
                e = np.int64(blocks[_sub_cell(x, r, corner, per_node, cells[i * length1 + j], s)])
                counts[e + 1] += 1
            if e == UNKNOWN:
                unknown[found] = r
                found += 1
        out[r] = e
    return found


@kernel
def hills_of_bins(bins, hills, out, rows):
    """Write the hill of each row's bin; write the rows of none (UNKNOWN) to ``rows`` (n + 1,), return how many."""
    found = 0
    for r in range(bins.size):
        hill = hills[bins[r]]
        out[r] = hill
        rows[found] = r
        found += np.int64(hill == UNKNOWN)
    return found


@kernel
def rename(labels, names):
    """Replace label i by names[i], in place; -1 stands for the last name."""
    last = names.size - 1
    for r in range(labels.size):
        e = np.int64(labels[r])
        labels[r] = names[e if e >= 0 else last]


@kernel
def name_codes(codes, names, unknown, late, out):
    """Write names[code] of each row; those of code ``unknown`` get the entries of ``late``, in order."""
    k = 0
    for r in range(codes.size):
        code = codes[r]
        if code == unknown:
            out[r] = late[k]
            k += 1
        else:
            out[r] = names[code]
