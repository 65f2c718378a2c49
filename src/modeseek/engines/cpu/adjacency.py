"""Small regions joined to the neighbour of nearest mean: pairs of regions that touch, and a heap by size.

A region is named by the rank of its first pixel, and what is joined by the least name: so the name of a region tells
where its first pixel comes among all. Members of a region are a linked list; each keeps its own neighbours.
"""

import numpy as np
from numba import njit

from modeseek.engines.cpu import exact_kernel
from modeseek.engines.cpu.union_find import find

LOW = np.int64(0xFFFFFFFF)  # the half of a key that holds a name


@njit(inline="always")
def _note(a, b, numbers, small, seen, pairs, n):
    """Write the pair of regions of two labels unless both are large, or it was seen lately; return the new count."""
    if a < 0 or b < 0 or a == b:
        return n
    p, q = numbers[a], numbers[b]
    if p == q or not (small[p] or small[q]):
        return n
    key = (np.int64(min(p, q)) << 32) | np.int64(max(p, q))
    slot = ((key >> 32) * 31 + key) & (len(seen) - 1)
    if seen[slot] == key:
        return n
    seen[slot] = key
    pairs[n] = key
    return n + 1


@exact_kernel
def touching(labels, numbers, small, r0, r1, seen, pairs):
    """Write pairs of regions that touch in the rows r0 to r1 of a tile, or above them; return how many.

    Rows of all layers count on. ``seen`` (a power of two long, -1) drops most repetitions.
    """
    height, width = labels.shape[1], labels.shape[2]
    n = 0
    for row in range(r0, r1):
        z, y = row // height, row % height
        for x in range(width):
            a = labels[z, y, x]
            if x > 0:
                n = _note(a, labels[z, y, x - 1], numbers, small, seen, pairs, n)
            if y > 0:
                n = _note(a, labels[z, y - 1, x], numbers, small, seen, pairs, n)
            if z > 0:
                n = _note(a, labels[z - 1, y, x], numbers, small, seen, pairs, n)
    return n


@exact_kernel
def touching_across(labels_a, numbers_a, labels_b, numbers_b, small, seen, pairs):
    """Write pairs of regions that touch across the seam of two tiles; return how many."""
    n = 0
    for i in range(len(labels_a)):
        if labels_a[i] >= 0 and labels_b[i] >= 0:
            p, q = numbers_a[labels_a[i]], numbers_b[labels_b[i]]
            if p != q and (small[p] or small[q]):
                key = (np.int64(min(p, q)) << 32) | np.int64(max(p, q))
                slot = ((key >> 32) * 31 + key) & (len(seen) - 1)
                if seen[slot] != key:
                    seen[slot] = key
                    pairs[n] = key
                    n += 1
    return n


@exact_kernel
def count_neighbours(pairs, small, ends):
    """Add the number of neighbours of each small region r to ``ends[r + 1]``."""
    for i in range(len(pairs)):
        a, b = pairs[i] >> 32, pairs[i] & LOW
        ends[a + 1] += small[a]
        ends[b + 1] += small[b]


@exact_kernel
def list_neighbours(pairs, small, place, neighbours):
    """Write the neighbours of small regions from ``place[r]`` on."""
    for i in range(len(pairs)):
        a, b = pairs[i] >> 32, pairs[i] & LOW
        if small[a]:
            neighbours[place[a]] = b
            place[a] += 1
        if small[b]:
            neighbours[place[b]] = a
            place[b] += 1


@njit(inline="always")
def _sink(heap, n, at):
    """Move an entry down to where no lesser one is below it."""
    key = heap[at]
    while 2 * at + 1 < n:
        child = 2 * at + 1
        if child + 1 < n and heap[child + 1] < heap[child]:
            child += 1
        if heap[child] >= key:
            break
        heap[at] = heap[child]
        at = child
    heap[at] = key


@njit(inline="always")
def _rise(heap, at):
    """Move an entry up to where no greater one is above it."""
    key = heap[at]
    while at > 0 and heap[(at - 1) >> 1] > key:
        heap[at] = heap[(at - 1) >> 1]
        at = (at - 1) >> 1
    heap[at] = key


@njit(inline="always")
def _nearest(r, starts, neighbours, following, sizes, means, parent):
    """Return the neighbour of region r whose mean is nearest: of equals the largest, then the first; -1: none."""
    best, least = np.int64(-1), np.inf
    member = r
    while member >= 0:
        for e in range(starts[member], starts[member + 1]):
            q = np.int64(find(parent, neighbours[e]))
            if q == r:
                continue
            if q == best:
                continue
            distance = 0.0
            for k in range(means.shape[1]):
                difference = means[q, k] - means[r, k]
                distance += difference * difference
            equal = best >= 0 and distance == least
            if (
                best < 0
                or distance < least
                or (equal and (sizes[q] > sizes[best] or (sizes[q] == sizes[best] and q < best)))
            ):
                best, least = q, distance
        member = following[member]
    return best


@exact_kernel
def join_small(min_size, starts, neighbours, sizes, sums, means, parent, following, last, heap):
    """Join regions of fewer than ``min_size`` pixels, the smallest first, of equals that of the first pixel.

    ``heap`` has room for one entry a small region: an entry is a size and a name, void once the region has grown.
    The smaller of two is walked over, so no pixel's border is walked over more than log2(n) times.
    """
    n = 0
    for r in range(len(sizes)):
        if sizes[r] < min_size:
            heap[n] = (sizes[r] << 32) | r
            n += 1
    for at in range(n // 2 - 1, -1, -1):
        _sink(heap, n, at)
    while n > 0:
        key = heap[0]
        n -= 1
        heap[0] = heap[n]
        _sink(heap, n, 0)
        r = key & LOW
        if parent[r] != r or sizes[r] != key >> 32:
            continue
        best = _nearest(r, starts, neighbours, following, sizes, means, parent)
        if best < 0:
            continue
        root, child = min(r, best), max(r, best)
        parent[child] = root
        following[last[root]] = child
        last[root] = last[child]
        sizes[root] += sizes[child]
        for k in range(sums.shape[1]):
            sums[root, k] += sums[child, k]
            means[root, k] = sums[root, k] / sizes[root]
        if sizes[root] < min_size:
            heap[n] = (sizes[root] << 32) | root
            _rise(heap, n)
            n += 1
