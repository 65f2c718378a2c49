"""Points sorted by cell: counting sort on a small grid, radix sort of packed keys on a large one.

Both are stable, and parts of the rows count and write on their own: the order is that of the rows within each cell,
whatever the number of parts. Points come as rows (n, d) and leave as columns (d, n).
"""

from numba import njit

from modeseek.engines.cpu import exact_kernel


@njit(inline="always", error_model="numpy")
def _key(points, i, origin, per_side, most, strides):
    key = 0
    for k in range(points.shape[1]):
        index = int((points[i, k] - origin[k]) * per_side)
        key += min(index, most[k]) * strides[k]
    return key


@exact_kernel
def count_cells(points, start, stop, origin, per_side, most, strides, counts):
    """Count the points of each cell of a grid."""
    for i in range(start, stop):
        counts[_key(points, i, origin, per_side, most, strides)] += 1


@exact_kernel
def offsets(counts):
    """Replace counts (parts, bins) by where the points of each part and bin go."""
    total = 0
    for b in range(counts.shape[1]):
        for part in range(counts.shape[0]):
            total += counts[part, b]
            counts[part, b] = total - counts[part, b]


@exact_kernel
def scatter_cells(points, start, stop, origin, per_side, most, strides, places, columns, order):
    """Write points and their rows where their cells lie."""
    for i in range(start, stop):
        key = _key(points, i, origin, per_side, most, strides)
        p = places[key]
        places[key] = p + 1
        order[p] = i
        for k in range(points.shape[1]):
            columns[k, p] = points[i, k]


@exact_kernel
def occupied(first, n, keys, starts):
    """List the cells that hold points, from where each cell of a grid starts; return how many there are."""
    m = 0
    for b in range(len(first)):
        stop = first[b + 1] if b + 1 < len(first) else n
        if stop > first[b]:
            if len(keys):
                keys[m] = b
                starts[m] = first[b]
            m += 1
    return m


@exact_kernel
def find_keys(points, start, stop, origin, per_side, most, strides, keys):
    """Write the key of the cell of each point."""
    for i in range(start, stop):
        keys[i] = _key(points, i, origin, per_side, most, strides)


@exact_kernel
def count_digits(keys, start, stop, shift, counts):
    """Count the digits of keys."""
    for i in range(start, stop):
        counts[(keys[i] >> shift) & (len(counts) - 1)] += 1


@exact_kernel
def scatter_digits(keys, order, start, stop, shift, places, new_keys, new_order):
    """Write keys and rows where their digits lie; an empty ``order`` is that of the rows."""
    for i in range(start, stop):
        digit = (keys[i] >> shift) & (len(places) - 1)
        p = places[digit]
        places[digit] = p + 1
        new_keys[p] = keys[i]
        new_order[p] = order[i] if len(order) else i


@exact_kernel
def gather(points, order, start, stop, columns):
    """Write points in their new order."""
    for p in range(start, stop):
        for k in range(points.shape[1]):
            columns[k, p] = points[order[p], k]


@exact_kernel
def runs(sorted_keys, keys, starts):
    """List runs of equal keys; return how many there are."""
    m = 0
    for i in range(len(sorted_keys)):
        if i == 0 or sorted_keys[i] != sorted_keys[i - 1]:
            if len(keys):
                keys[m] = sorted_keys[i]
                starts[m] = i
            m += 1
    return m
