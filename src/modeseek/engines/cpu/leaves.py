"""Walks of groups of queries down the leaves of `halving`: the nearest, those within radii, how many.

Up to LEAF queries that lie near each other walk together. A node is left out if its box is farther from theirs than
what any of them still looks for. Squared distances are sums of squared differences, column by column in float64, and
so are those of boxes: each operation is monotonic, rounding included, so that no box is ever farther than a point of it
by one bit, and ties are ties.
"""

import numpy as np
from numba import types
from numba.extending import overload

from modeseek.engines.cpu import as_written, inline_as_written
from modeseek.engines.cpu.halving import LEAF
from modeseek.engines.cpu.lanes import greater, insert, load, lowest, spread, store, up_to

HUGE = 1.7976931348623157e308  # less than the squared distance of a place without a point


def width(dims):
    """Return the number of columns: of a tuple its length, known to the compiler; of a number the number."""
    raise NotImplementedError("compiled only")


@overload(width, inline="always")
def _choose_width(dims):
    if isinstance(dims, types.BaseTuple):
        n = len(dims)
        return lambda dims: n
    return lambda dims: dims


@inline_as_written
def _between(boxes, node, low, high, d):
    """Return the squared distance of a node's box and another."""
    total = 0.0
    for c in range(d):
        under, over = low[c] - boxes[node, 1, c], boxes[node, 0, c] - high[c]
        gap = under if under > over else over
        gap = gap if gap > 0.0 else 0.0
        total += gap * gap
    return total


@inline_as_written
def _reach(boxes, node, queries, d):
    """Return the squared distance of each query from a node's box."""
    total = spread(0.0)
    for c in range(d):
        q = load(queries, c * LEAF)
        gap = greater(greater(spread(boxes[node, 0, c]) - q, q - spread(boxes[node, 1, c])), spread(0.0))
        total = total + gap * gap
    return total


@inline_as_written
def _squares(blocks, start, queries, i, d):
    """Return the squared distances of one query from the points of a leaf."""
    difference = load(blocks, start * d) - spread(queries[i])
    total = difference * difference
    for c in range(1, d):
        difference = load(blocks, start * d + c * LEAF) - spread(queries[c * LEAF + i])
        total = total + difference * difference
    return total


@inline_as_written
def _insert(squares, numbers, square, number, k):
    """Put a neighbour into a sorted list, of which the last falls out."""
    j = k - 1
    while j > 0 and (squares[j - 1] > square or (squares[j - 1] == square and numbers[j - 1] > number)):
        squares[j], numbers[j] = squares[j - 1], numbers[j - 1]
        j -= 1
    squares[j], numbers[j] = square, number


@inline_as_written
def _show(squares, mask, rows, start, i, best, best_rows, room, k):
    """Show one query those points of a leaf that the mask tells."""
    if room == LEAF:
        values, numbers = load(best, i * LEAF), load(best_rows, i * LEAF)
        while mask:
            j = lowest(mask)
            mask &= mask - 1
            values, numbers = insert(values, numbers, squares[j], np.int64(rows[start + j]))
        store(best, i * LEAF, values)
        store(best_rows, i * LEAF, numbers)
        return
    mine, mine_rows = best[i * room : (i + 1) * room], best_rows[i * room : (i + 1) * room]
    while mask:
        j = lowest(mask)
        mask &= mask - 1
        square, row = squares[j], np.int64(rows[start + j])
        if square < mine[room - 1] or (square == mine[room - 1] and row < mine_rows[room - 1]):
            _insert(mine, mine_rows, square, row, room)


@as_written
def nearest(first, last, homes, points, order, size, dims, blocks, rows, boxes, least, k, distances, numbers):
    """Find the k nearest of the queries ``points[order[i]]``, groups first:last of ``size`` each.

    homes: group g is leaf g. own: a query is not its own neighbour (its row is that of the point).
    """
    d = width(dims)
    L, m = blocks.size // (d * LEAF), order.size
    room = max(k, LEAF)
    queries = np.zeros(d * LEAF)
    low, high = np.empty(d), np.empty(d)
    squares, bounds = np.empty(LEAF), np.empty(LEAF)
    best, best_rows = np.empty(LEAF * room), np.empty(LEAF * room, np.int64)
    nodes = np.empty((128, 3), np.int64)
    gaps = np.empty(128)
    for g in range(first, last):
        begin = g * size
        count = min(size, m - begin)
        for c in range(d):
            low[c], high[c] = np.inf, -np.inf
        for i in range(LEAF):
            bounds[i] = -1.0
        for i in range(count):
            bounds[i] = HUGE
            for c in range(d):
                v = np.float64(points[order[begin + i], c])
                queries[c * LEAF + i] = v
                low[c] = v if v < low[c] else low[c]
                high[c] = v if v > high[c] else high[c]
            for j in range(room):
                best[i * room + j] = HUGE if j >= room - k else -1.0
                best_rows[i * room + j] = np.int64(2**62)
        worst, last_row = HUGE, np.int64(2**62)
        home = np.int64(-1)
        if homes:
            home = g
            for i in range(count):
                found = _squares(blocks, g * LEAF, queries, i, d)
                store(squares, 0, found)
                mask = up_to(found, spread(HUGE)) & ~(np.int64(1) << i)
                _show(squares, mask, rows, g * LEAF, i, best, best_rows, room, k)
                bounds[i] = best[i * room + room - 1]
            worst, last_row = bounds[0], best_rows[room - 1]
            for i in range(1, count):
                worst, last_row = max(worst, bounds[i]), max(last_row, best_rows[i * room + room - 1])
        nodes[0, 0], nodes[0, 1], nodes[0, 2] = 0, 0, L
        gaps[0] = 0.0
        top = 1
        while top:
            top -= 1
            node, leaf, leaves, gap = nodes[top, 0], nodes[top, 1], nodes[top, 2], gaps[top]
            if gap > worst or (gap == worst and least[node] > last_row):
                continue
            if leaves > 1:
                left = (leaves + 1) // 2
                a, b = node + 1, node + 2 * left
                gap_a, gap_b = _between(boxes, a, low, high, d), _between(boxes, b, low, high, d)
                p, q = top, top + 1
                if gap_a > gap_b or (gap_a == gap_b and least[a] > least[b]):
                    p, q = q, p  # the nearer one is next
                nodes[q, 0], nodes[q, 1], nodes[q, 2], gaps[q] = a, leaf, left, gap_a
                nodes[p, 0], nodes[p, 1], nodes[p, 2], gaps[p] = b, leaf + left, leaves - left, gap_b
                top += 2
                continue
            if leaf == home:
                continue
            who = up_to(_reach(boxes, node, queries, d), load(bounds, 0))
            if who == 0:
                continue
            while who:
                i = lowest(who)
                who &= who - 1
                found = _squares(blocks, leaf * LEAF, queries, i, d)
                mask = up_to(found, spread(bounds[i]))
                if mask:
                    store(squares, 0, found)
                    _show(squares, mask, rows, leaf * LEAF, i, best, best_rows, room, k)
                    bounds[i] = best[i * room + room - 1]
            worst, last_row = bounds[0], best_rows[room - 1]
            for i in range(1, count):
                worst, last_row = max(worst, bounds[i]), max(last_row, best_rows[i * room + room - 1])
        for i in range(count):
            row = order[begin + i]
            for j in range(k):
                distances[row, j] = np.sqrt(best[i * room + room - k + j])
                numbers[row, j] = best_rows[i * room + room - k + j]
