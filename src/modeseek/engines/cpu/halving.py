"""Points into leaves of equal size: ranges are halved along their widest column until a leaf is left.

A node of L leaves is the range of its points; its two halves hold (L + 1) // 2 and L // 2 leaves. Nodes are numbered
in the order of a walk, so that those of a node are node + 1 and node + 2 * left leaves, and need not be stored. Halves
are found by selection (R. W. Floyd and R. L. Rivest, "Expected time bounds for selection", Comm. ACM 18, 1975); of
equal coordinates the lower row goes left, so that repeats of a point lie in leaves by rising row.
"""

import numpy as np

from modeseek.engines.cpu import as_written, inline_as_written

LEAF = 16  # points: two registers of a column
SAMPLE = 33  # of a range, to choose what it is parted by
FEW = 24  # are sorted
NONE = 1e300  # coordinate of a place in a leaf that holds no point: its squared distance is infinite


@inline_as_written
def _sort(key, idx, lo, hi, rows):
    """Sort the pairs of a short range by key, and by row where keys are equal."""
    for i in range(lo + 1, hi):
        v, w = key[i], idx[i]
        j = i - 1
        while j >= lo and (key[j] > v or (key[j] == v and rows[idx[j]] > rows[w])):
            key[j + 1], idx[j + 1] = key[j], idx[j]
            j -= 1
        key[j + 1], idx[j + 1] = v, w


@inline_as_written
def _pivot(key, lo, hi, target, sample):
    """Return a key a little beyond that of the target, on the side where more is left to look at."""
    size = hi - lo
    s = SAMPLE if size >= 256 else 7
    for j in range(s):
        v = key[lo + (2 * j + 1) * size // (2 * s)]
        i = j - 1
        while i >= 0 and sample[i] > v:
            sample[i + 1] = sample[i]
            i -= 1
        sample[i + 1] = v
    shift = 3 if s == SAMPLE else 1
    rank = (target - lo) * s // size
    rank += shift if 2 * (target - lo) < size else -shift
    return sample[min(max(rank, 0), s - 1)]


@inline_as_written
def _part(key, idx, lo, hi, pivot, or_equal, spare_key, spare_idx):
    """Put keys below the pivot (or equal to it) first, in the order they have; return where the others begin."""
    s = lo
    t = 0
    for i in range(lo, hi):
        v, w = key[i], idx[i]
        key[s], idx[s] = v, w
        spare_key[t], spare_idx[t] = v, w
        goes = np.int64(v <= pivot) if or_equal else np.int64(v < pivot)
        s += goes
        t += 1 - goes
    for i in range(t):
        key[s + i], idx[s + i] = spare_key[i], spare_idx[i]
    return s


@as_written
def select(key, idx, target, rows, spare_key, spare_idx, sample):
    """Order pairs so that those before the target are not greater, by key and then by row, and those after not less."""
    lo, hi = 0, key.size
    while hi - lo > FEW:
        pivot = _pivot(key, lo, hi, target, sample)
        m = _part(key, idx, lo, hi, pivot, False, spare_key, spare_idx)
        if target < m:
            hi = m
            continue
        if 8 * (m - lo) >= hi - lo:
            lo = m
            continue
        end = _part(key, idx, m, hi, pivot, True, spare_key, spare_idx)
        if target >= end:
            lo = end
        else:
            lo, hi = m, end
            for i in range(lo, hi):  # they are equal, and there will be no such range again
                key[i] = rows[idx[i]]
    _sort(key, idx, lo, hi, rows)


@as_written
def halve(columns, rows, start, stop, leaves, box, key, idx, spare_key, spare_idx, sample):
    """Write the box (2, d) of the points start:stop and part them; return the least of their rows.

    ``columns`` (d, n) and ``rows`` (n,) are reordered; the four last are scratch, of which start:stop is used.
    """
    d = columns.shape[0]
    size = stop - start
    least = rows[start]
    for i in range(start, stop):
        least = min(least, rows[i])
    axis = 0
    widest = -1.0
    for c in range(d):
        column = columns[c, start:stop]
        low = high = column[0]
        for i in range(size):
            v = column[i]
            low = v if v < low else low
            high = v if v > high else high
        box[0, c], box[1, c] = low, high
        if high - low > widest:
            widest, axis = high - low, c
    if leaves == 1:
        return least
    keys, index = key[start:stop], idx[start:stop]
    spare, spare_index = spare_key[start:stop], spare_idx[start:stop]
    part, numbers = columns[axis, start:stop], rows[start:stop]
    for i in range(size):
        keys[i] = part[i]
        index[i] = i
    select(keys, index, (leaves + 1) // 2 * LEAF, numbers, spare, spare_index, sample)
    for c in range(d):
        column = columns[c, start:stop]
        for i in range(size):
            spare[i] = column[index[i]]
        for i in range(size):
            column[i] = spare[i]
    for i in range(size):
        spare_index[i] = numbers[index[i]]
    for i in range(size):
        numbers[i] = spare_index[i]
    return least


@as_written
def subtree(columns, rows, node, first, leaves, boxes, least, key, idx, spare_key, spare_idx, blocks, block_rows):
    """Halve the leaves first:first + leaves, all the way down, and write them to the blocks."""
    d, n = columns.shape
    sample = np.empty(SAMPLE)
    nodes = np.empty((64, 3), np.int64)
    nodes[0, 0], nodes[0, 1], nodes[0, 2] = node, first, leaves
    top = 1
    while top:
        top -= 1
        v, f, many = nodes[top, 0], nodes[top, 1], nodes[top, 2]
        start, stop = f * LEAF, min((f + many) * LEAF, n)
        least[v] = halve(columns, rows, start, stop, many, boxes[v], key, idx, spare_key, spare_idx, sample)
        if many > 1:
            left = (many + 1) // 2
            nodes[top, 0], nodes[top, 1], nodes[top, 2] = v + 2 * left, f + left, many - left
            nodes[top + 1, 0], nodes[top + 1, 1], nodes[top + 1, 2] = v + 1, f, left
            top += 2
            continue
        for i in range(start, stop):
            block_rows[i] = rows[i]
        for c in range(d):
            for i in range(stop - start):
                blocks[f, c, i] = columns[c, start + i]
            for i in range(stop - start, LEAF):
                blocks[f, c, i] = NONE
