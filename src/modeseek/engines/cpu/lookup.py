r"""Labels by cell: a point's cell is that of its nearest node; mixed cells are cut into s^d sub-cells.

``cells`` holds for each node a label >= 0, or UNKNOWN, or -2 - b for a mixed cell, whose sub-cells are the
entries b * s^d ... of ``blocks``. Looking up is two passes over a chunk that stays in cache: `entries` finds for
each row a label, UNKNOWN (also beyond the grid), or -2 - (its index into blocks); `resolve` reads the blocks.
``corner`` is the lower corner of the first node's cell: coordinates less it, in node units, truncate to cells, once it
is known that they are within the grid: numbers beyond int64 would become any integer.
"""

import numpy as np

from modeseek.engines.cpu import kernel

UNKNOWN = -1


@kernel
def entries_1d(x, corner, per_node, shape, cells, s, out):
    """Write the entry of each row of x (n, 1)."""
    origin = corner[0]
    length = shape[0]
    for r in range(x.shape[0]):
        a = (x[r, 0] - origin) * per_node
        i = np.int64(a)
        e = np.int64(UNKNOWN)
        if 0.0 <= a < length:
            e = np.int64(cells[i])
            if e < UNKNOWN:
                e = -2 - ((-2 - e) * s + np.int64((a - i) * s))
        out[r] = e


@kernel
def entries_2d(x, corner, per_node, shape, cells, s, out):
    """Write the entry of each row of x (n, 2)."""
    origin0, origin1 = corner[0], corner[1]
    length0, length1 = shape[0], shape[1]
    for r in range(x.shape[0]):
        a = (x[r, 0] - origin0) * per_node
        b = (x[r, 1] - origin1) * per_node
        i = np.int64(a)
        j = np.int64(b)
        e = np.int64(UNKNOWN)
        if 0.0 <= a < length0 and 0.0 <= b < length1:
            e = np.int64(cells[i * length1 + j])
            if e < UNKNOWN:
                e = -2 - (((-2 - e) * s + np.int64((a - i) * s)) * s + np.int64((b - j) * s))
        out[r] = e


@kernel
def entries_3d(x, corner, per_node, shape, cells, s, out):
    """Write the entry of each row of x (n, 3)."""
    origin0, origin1, origin2 = corner[0], corner[1], corner[2]
    length0, length1, length2 = shape[0], shape[1], shape[2]
    for r in range(x.shape[0]):
        a = (x[r, 0] - origin0) * per_node
        b = (x[r, 1] - origin1) * per_node
        c = (x[r, 2] - origin2) * per_node
        i = np.int64(a)
        j = np.int64(b)
        l = np.int64(c)
        e = np.int64(UNKNOWN)
        if 0.0 <= a < length0 and 0.0 <= b < length1 and 0.0 <= c < length2:
            e = np.int64(cells[(i * length1 + j) * length2 + l])
            if e < UNKNOWN:
                sub = ((-2 - e) * s + np.int64((a - i) * s)) * s + np.int64((b - j) * s)
                e = -2 - (sub * s + np.int64((c - l) * s))
        out[r] = e


ENTRIES = {1: entries_1d, 2: entries_2d, 3: entries_3d}


@kernel
def resolve(entries, blocks, counts):
    """Replace entries by labels, in place, and add to counts[1 + label] the number of its rows."""
    for r in range(entries.size):
        e = entries[r]
        if e < UNKNOWN:
            e = blocks[-2 - e]
            entries[r] = e
        counts[e + 1] += 1


@kernel
def resolve_bins_2d(x, corner, per_node, shape, cells, s, blocks, bin_labels, index, out, counts, unknown):
    """Write the labels of rows in bins (of `bin_2d`); write the rows without one to ``unknown``, return how many.

    ``bin_labels`` has the label of each bin, UNKNOWN, or -2 where there are several: only rows in those are read again,
    and added to counts[1 + label]. ``out`` may be ``index``; UNKNOWN is the highest number of an unsigned type.
    """
    origin0, origin1, length1 = corner[0], corner[1], shape[1]
    found = 0
    for r in range(index.size):
        e = np.int64(bin_labels[index[r]])
        if e < 0:
            if e < UNKNOWN:
                # the arithmetic of entries_2d, so that the same point has the same sub-cell
                a = (x[r, 0] - origin0) * per_node
                b = (x[r, 1] - origin1) * per_node
                i = np.int64(a)
                j = np.int64(b)
                e = -2 - np.int64(cells[i * length1 + j])
                e = np.int64(blocks[(e * s + np.int64((a - i) * s)) * s + np.int64((b - j) * s)])
                counts[e + 1] += 1
            if e == UNKNOWN:
                unknown[found] = r
                found += 1
        out[r] = e
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
