"""Regions of a tile of a picture: touching pixels of like modes, by union-find; their sizes, sums and boxes.

Arrays of pixels are (Z, H, W): a picture is one layer. All sums are of integers, so that no order shows.
"""

import numpy as np

from modeseek.engines.cpu import exact_kernel
from modeseek.engines.cpu.union_find import find, unite


@exact_kernel
def compact(parent, n):
    """Turn n parents into numbers of sets, in the order of their least members; return how many sets there are."""
    sets = 0
    for i in range(n):
        if parent[i] == i:
            parent[i] = sets
            sets += 1
        else:
            parent[i] = parent[parent[i]]  # a parent is less than i: it holds its number by now
    return sets


@exact_kernel
def _alike(values, a, b, merge2):
    """Whether two modes, neither of them masked, belong to one region where they touch."""
    if a == b:
        return True
    total = 0.0
    for k in range(values.shape[1]):
        difference = np.float64(values[a, k]) - np.float64(values[b, k])
        total += difference * difference
    return total < merge2


@exact_kernel
def _meet(modes, labels, values, merge2, parent, m, own):
    """Return the label of a run of pixels of mode m and label ``own`` (-1: none yet) once it met what is beside."""
    last = np.int32(-1)
    for i in range(len(modes)):
        other = modes[i]
        if other == last:
            continue
        last = other
        if other >= 0 and _alike(values, m, other, merge2):
            if own < 0:
                own = labels[i]
            elif own != labels[i]:
                unite(parent, find(parent, own), find(parent, labels[i]))
    return own


@exact_kernel
def label_tile(modes, values, merge2, labels, parent):
    """Give each pixel a number of its region; return how many regions there are. ``parent``: one entry a pixel.

    Modes belong together if their squared distance is less than ``merge2``. Masked pixels get -1. The numbers are to
    be looked up in ``parent``: then regions are numbered in the order of their first pixels.
    """
    depth, height, width = modes.shape
    n = 0
    for z in range(depth):
        for y in range(height):
            row, out = modes[z, y], labels[z, y]
            x = 0
            while x < width:
                m = row[x]
                stop = x + 1
                while stop < width and row[stop] == m:
                    stop += 1
                own = np.int32(-1)
                if m >= 0:
                    if x > 0:
                        own = _meet(row[x - 1 : x], out[x - 1 : x], values, merge2, parent, m, own)
                    if y > 0:
                        own = _meet(modes[z, y - 1, x:stop], labels[z, y - 1, x:stop], values, merge2, parent, m, own)
                    if z > 0:
                        own = _meet(modes[z - 1, y, x:stop], labels[z - 1, y, x:stop], values, merge2, parent, m, own)
                    if own < 0:
                        own = np.int32(n)
                        parent[n] = n
                        n += 1
                out[x:stop] = own
                x = stop
    return compact(parent, n)


@exact_kernel
def measure_tile(modes, numbers, values, scale, start, shape, labels, sizes, firsts, sums):
    """Replace labels by ``numbers`` and add up pixels and rounded values * scale (int64) of each region.

    ``start`` is where the tile begins in a picture of the given shape; ``firsts`` are places in raster order.
    """
    depth, height, width = modes.shape
    firsts[:] = -1
    for z in range(depth):
        for y in range(height):
            row = ((start[0] + z) * shape[1] + start[1] + y) * shape[2] + start[2]
            x = 0
            while x < width:
                m = modes[z, y, x]
                stop = x + 1
                while stop < width and modes[z, y, stop] == m:
                    stop += 1
                if m >= 0:
                    r = numbers[labels[z, y, x]]
                    labels[z, y, x:stop] = r
                    if firsts[r] < 0:
                        firsts[r] = row + x
                    sizes[r] += stop - x
                    for k in range(values.shape[1]):
                        sums[r, k] += (stop - x) * np.int64(np.rint(values[m, k] * scale))
                x = stop


@exact_kernel
def unite_seam(modes_a, labels_a, offset_a, modes_b, labels_b, offset_b, values, merge2, parent):
    """Unite regions of two tiles across a seam: pixel i of one side touches pixel i of the other."""
    for i in range(len(modes_a)):
        a, b = modes_a[i], modes_b[i]
        if a >= 0 and b >= 0 and _alike(values, a, b, merge2):
            unite(parent, find(parent, offset_a + labels_a[i]), find(parent, offset_b + labels_b[i]))


@exact_kernel
def gather(numbers, sizes, firsts, sums, all_sizes, all_firsts, all_sums):
    """Add up parts of regions: part i belongs to region ``numbers[i]``. ``all_firsts`` begin as large as can be."""
    for i in range(len(numbers)):
        r = numbers[i]
        all_sizes[r] += sizes[i]
        all_firsts[r] = min(all_firsts[r], firsts[i])
        for k in range(sums.shape[1]):
            all_sums[r, k] += sums[i, k]


@exact_kernel
def relabel(labels, numbers):
    """Replace labels (flat) by their numbers; -1 stays."""
    for i in range(len(labels)):
        if labels[i] >= 0:
            labels[i] = numbers[labels[i]]


@exact_kernel
def survey(labels, start, low, high, places):
    """Widen boxes [low, high) of regions (n, 3) by the pixels of a tile, and add the pixels' places to ``places``."""
    depth, height, width = labels.shape
    for z in range(depth):
        for y in range(height):
            x = 0
            while x < width:
                r = labels[z, y, x]
                stop = x + 1
                while stop < width and labels[z, y, stop] == r:
                    stop += 1
                if r >= 0:
                    run = stop - x
                    first, last = start[2] + x, start[2] + stop
                    low[r, 0] = min(low[r, 0], start[0] + z)
                    low[r, 1] = min(low[r, 1], start[1] + y)
                    low[r, 2] = min(low[r, 2], first)
                    high[r, 0] = max(high[r, 0], start[0] + z + 1)
                    high[r, 1] = max(high[r, 1], start[1] + y + 1)
                    high[r, 2] = max(high[r, 2], last)
                    places[r, 0] += run * (start[0] + z)
                    places[r, 1] += run * (start[1] + y)
                    places[r, 2] += (first + last - 1) * run // 2
                x = stop


@exact_kernel
def add_pixels(labels, pixels, scale, sums):
    """Add pixels (n, channels), times ``scale`` and rounded to integers, to the sums of their regions."""
    for i in range(len(labels)):
        r = labels[i]
        if r >= 0:
            for k in range(pixels.shape[1]):
                sums[r, k] += np.int64(np.rint(pixels[i, k] * scale))
