"""Small regions joined to the neighbour of nearest mean: pairs of regions that touch, and a heap by size.

A region is named by the rank of its first pixel, and what is joined by the least name: so the name of a region tells
where its first pixel comes among all. Members of a region are a linked list; each keeps its own neighbours.
"""

import numpy as np

from modeseek.engines.cpu import exact_kernel
from modeseek.engines.cpu.union_find import find

LOW = np.int64(0xFFFFFFFF)  # the half of a key that holds a name


@exact_kernel
def _touching(a, b, numbers_a, numbers_b, small, seen, pairs, n):
    """Write pairs of regions of labels a[i] and b[i] from ``pairs[n]`` on; return the new count.

    Pairs of large regions are left out, and most repetitions: ``seen`` is a power of two long.
    """
    last_a, last_b = np.int32(-1), np.int32(-1)
    for i in range(len(a)):
        if a[i] == last_a and b[i] == last_b:
            continue
        last_a, last_b = a[i], b[i]
        if last_a < 0 or last_b < 0:
            continue
        p, q = numbers_a[last_a], numbers_b[last_b]
        if p != q and (small[p] or small[q]):
            low, high = np.int64(min(p, q)), np.int64(max(p, q))
            key = (low << 32) | high
            slot = (low * 31 + high) & (len(seen) - 1)
            if seen[slot] != key:
                seen[slot] = key
                pairs[n] = key
                n += 1
    return n


@exact_kernel
def touching(labels, numbers, small, r0, r1, seen, pairs):
    """Write pairs of regions that touch in the rows r0 to r1 of a tile, or above them; return how many.

    Rows of all layers count on.
    """
    height, width = labels.shape[1], labels.shape[2]
    n = 0
    for r in range(r0, r1):
        z, y = r // height, r % height
        row = labels[z, y]
        n = _touching(row[1:], row[: width - 1], numbers, numbers, small, seen, pairs, n)
        if y > 0:
            n = _touching(row, labels[z, y - 1], numbers, numbers, small, seen, pairs, n)
        if z > 0:
            n = _touching(row, labels[z - 1, y], numbers, numbers, small, seen, pairs, n)
    return n


@exact_kernel
def touching_across(labels_a, numbers_a, labels_b, numbers_b, small, seen, pairs):
    """Write pairs of regions that touch across the seam of two tiles; return how many."""
    return _touching(labels_a, labels_b, numbers_a, numbers_b, small, seen, pairs, 0)


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


@exact_kernel
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


@exact_kernel
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
            n += 1  # last, not yet in its place: the neighbour's void entry comes first, and then it sinks from the top
