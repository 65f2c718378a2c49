"""Pixels gathered into cells of place and value, and cells packed into blocks of sixteen that lie close together.

A square of a few pixels holds few different values, so its pixels fall into few cells of the values' space. Sums go
over such cells; climbs start at the means of narrower ones in wider squares, all of whose pixels climb as one. The
cells of a group of squares are halved along their widest axis, again and again, until sixteen are left.
"""

import numpy as np

from modeseek.engines.cpu import exact_kernel, inline_as_written
from modeseek.engines.cpu.lanes import WIDTH

GRID = 1 << 14  # places are multiples of 1 / GRID: then differences of places are exact in float32


@inline_as_written
def _mix(h, k):
    """Return a hash of h and one more integer (the finalizer of SplitMix64)."""
    h = (h ^ np.uint64(k)) + np.uint64(0x9E3779B97F4A7C15)
    h = (h ^ (h >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    h = (h ^ (h >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return h ^ (h >> np.uint64(31))


@inline_as_written
def _snapped(x, k, ns):
    """Return a place to the grid's precision, a value as it is."""
    return np.rint(x * GRID) / GRID if k < ns else x


@exact_kernel
def mix_rows(numbers, keys):
    """Hash the rows of whole numbers (m, d)."""
    for i in range(numbers.shape[0]):
        h = np.uint64(1)
        for k in range(numbers.shape[1]):
            h = _mix(h, numbers[i, k])
        keys[i] = h


@exact_kernel
def sort_square(values, pixels, side, keys, rows):
    """Order the pixels of a square by the cells of their values, as keys and rows say."""
    n = pixels.size
    for i in range(n):
        h = np.uint64(1)
        for c in range(values.shape[1]):
            h = _mix(h, int(np.floor(values[pixels[i], c] / side)))
        keys[i] = h
    order = np.argsort(keys[:n], kind="mergesort")
    kept = keys[:n].copy()
    for i in range(n):
        rows[i] = pixels[order[i]]
        keys[i] = kept[order[i]]


@exact_kernel
def longest_run(firsts):
    """Return the length of the longest run."""
    longest = 0
    for t in range(firsts.size - 1):
        longest = max(longest, firsts[t + 1] - firsts[t])
    return longest


@exact_kernel
def gather(values, places, corners, pixels, firsts, side, masses, moments, counts):
    """Gather squares into cells; square t holds the run firsts[t]..firsts[t + 1] of `pixels`.

    places (p, axes) are counted from the corner of a square's group, which is corners[t] from that of the part.
    masses (room,) and moments (2 d, room) get mass, means and variances; rooms are as long as `pixels`, and a square's
    cells lie where its pixels do in the run. counts (squares,) gets their numbers.
    """
    ns, d = places.shape[1], places.shape[1] + values.shape[1]
    longest = longest_run(firsts)
    keys, rows = np.empty(longest, np.uint64), np.empty(longest, np.int64)
    total, squares = np.empty(d), np.empty(d)
    for t in range(firsts.size - 1):
        n = firsts[t + 1] - firsts[t]
        sort_square(values, pixels[firsts[t] : firsts[t + 1]], side, keys, rows)
        cell, i = firsts[t], 0
        while i < n:
            total[:] = 0.0
            squares[:] = 0.0
            j = i
            while j < n and keys[j] == keys[i]:
                for q in range(d):
                    v = places[rows[j], q] if q < ns else values[rows[j], q - ns]
                    total[q] += v
                    squares[q] += v * v
                j += 1
            masses[cell] = j - i
            for q in range(d):
                mean = total[q] / (j - i)
                moments[q, cell] = _snapped(mean, q, ns) + (corners[t, q] if q < ns else 0.0)
                moments[d + q, cell] = max(0.0, squares[q] / (j - i) - mean * mean)
            cell += 1
            i = j
        counts[t] = cell - firsts[t]


@exact_kernel
def gather_starts(values, places, corners, pixels, firsts, side, starts, of_pixel):
    """Gather squares into the means of cells, (room, d), and of_pixel, the cell of each pixel; return their number."""
    ns, d = places.shape[1], places.shape[1] + values.shape[1]
    longest = longest_run(firsts)
    keys, rows = np.empty(longest, np.uint64), np.empty(longest, np.int64)
    total = np.empty(d)
    cell = 0
    for t in range(firsts.size - 1):
        n = firsts[t + 1] - firsts[t]
        sort_square(values, pixels[firsts[t] : firsts[t + 1]], side, keys, rows)
        i = 0
        while i < n:
            total[:] = 0.0
            j = i
            while j < n and keys[j] == keys[i]:
                of_pixel[rows[j]] = cell
                for q in range(d):
                    total[q] += places[rows[j], q] if q < ns else values[rows[j], q - ns]
                j += 1
            for q in range(d):
                mean = _snapped(total[q] / (j - i), q, ns)
                starts[cell, q] = mean + (corners[t, q] if q < ns else 0.0)
            cell += 1
            i = j
    return cell


@exact_kernel
def halve(moments, scale, members):
    """Order cells so that each sixteen in a row lie close together, by halving; members (n,) are changed."""
    d = scale.size
    stack = np.empty((64, 2), np.int64)
    stack[0, 0], stack[0, 1] = 0, members.size
    depth = 1
    while depth > 0:
        depth -= 1
        a, b = stack[depth, 0], stack[depth, 1]
        blocks = (b - a + WIDTH - 1) // WIDTH
        if blocks < 2:
            continue
        axis, widest = 0, -1.0
        for k in range(d):
            low = high = moments[k, members[a]]
            for i in range(a + 1, b):
                low, high = min(low, moments[k, members[i]]), max(high, moments[k, members[i]])
            if (high - low) / scale[k] > widest:
                axis, widest = k, (high - low) / scale[k]
        part = members[a:b].copy()
        order = np.argsort(moments[axis][part], kind="mergesort")
        for i in range(b - a):
            members[a + i] = part[order[i]]
        middle = a + WIDTH * (blocks // 2)
        stack[depth, 0], stack[depth, 1] = a, middle
        stack[depth + 1, 0], stack[depth + 1, 1] = middle, b
        depth += 2


@exact_kernel
def pack(masses, moments, scale, members, first_block, blocks, boxes):
    """Write cells, ordered by `halve`, into blocks from one on.

    blocks[b] is (1 + 2 d, 16): w prod h_k / v_k^(1/2), means, 1 / v_k, where v_k = h_k^2 + variance. boxes[:, b] is
    the middle of a block (d), half its extent (d), and the most that any v_k is in h_k^2; lengths in bandwidths.
    """
    d = scale.size
    for a in range(0, members.size, WIDTH):
        b = first_block + a // WIDTH
        n = min(WIDTH, members.size - a)
        most = 1.0
        for i in range(WIDTH):
            cell = members[a + min(i, n - 1)]
            mass = masses[cell] if i < n else 0.0
            for k in range(d):
                h2 = scale[k] * scale[k]
                v = h2 + moments[d + k, cell]
                mass *= np.sqrt(h2 / v)
                most = max(most, v / h2)
                blocks[b, 1 + k, i] = moments[k, cell]
                blocks[b, 1 + d + k, i] = 1.0 / v
            blocks[b, 0, i] = mass
        for k in range(d):
            low = high = moments[k, members[a]]
            for i in range(1, n):
                v = moments[k, members[a + i]]
                low, high = min(low, v), max(high, v)
            boxes[k, b] = 0.5 * (low + high) / scale[k]
            boxes[d + k, b] = 0.5 * (high - low) / scale[k]
        boxes[2 * d, b] = most
