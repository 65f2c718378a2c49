"""Walks of groups of queries down the leaves of `halving`: the nearest, those within radii, how many.

Up to LEAF queries that lie near each other walk together. A node is left out if its box is farther from theirs than
what any of them still looks for. Squared distances are sums of squared differences, column by column in float64, and
so are those of boxes: each operation is monotonic, rounding included, so that no box is ever farther than a point of it
by one bit, and ties are ties.
"""

import numpy as np
from numba import types
from numba.extending import overload

from modeseek.engines.cpu import as_written, inline_as_written, kernel
from modeseek.engines.cpu.halving import LEAF
from modeseek.engines.cpu.lanes import bits, greater, insert, load, lowest, plus_product, spread, store, up_to

MANY = 5  # columns from which SIMD is better than exact ties
BLIND = 4  # leaves of a node whose halves are both looked at then: many boxes reach each other
TINY = 1e-320  # more than squares that vanish amount to
LOOK = 5  # products of a query and a leaf that take as long as the look at its box
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


@kernel
def _about(boxes, node, low, high):
    """Return the squared distance of a node's box and another, added up in any order, a little too small."""
    total = 0.0
    for c in range(low.size):
        under, over = low[c] - boxes[node, 1, c], boxes[node, 0, c] - high[c]
        gap = under if under > over else over
        gap = gap if gap > 0.0 else 0.0
        total += gap * gap
    return total * (1.0 - 1e-12)


@inline_as_written
def _between(boxes, node, low, high, d):
    """Return the squared distance of a node's box and another; for many columns at least nearly."""
    if d > MANY:
        return _about(boxes, node, low, high)
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
def squares_from(blocks, start, queries, i, d):
    """Return the squared distances of one query from the points of a leaf."""
    difference = load(blocks, start * d) - spread(queries[i])
    total = difference * difference
    for c in range(1, d):
        difference = load(blocks, start * d + c * LEAF) - spread(queries[c * LEAF + i])
        total = total + difference * difference
    return total


@as_written
def sink(squares, numbers, square, number, k):
    """Put a neighbour in the place of the farthest of k: a heap whose top is the last place, whose end is place 0."""
    h = 0
    while 2 * h + 1 < k:
        child = 2 * h + 1
        at = k - 1 - child
        if child + 1 < k and (
            squares[at - 1] > squares[at] or (squares[at - 1] == squares[at] and numbers[at - 1] > numbers[at])
        ):
            child, at = child + 1, at - 1
        if squares[at] < square or (squares[at] == square and numbers[at] < number):
            break
        squares[k - 1 - h], numbers[k - 1 - h] = squares[at], numbers[at]
        h = child
    squares[k - 1 - h], numbers[k - 1 - h] = square, number


@as_written
def put_in_order(squares, numbers, k):
    """Let a heap of k as `sink` makes rise by square, then by number: the farthest goes to its end, and so on."""
    for end in range(k - 1):  # place of the heap's end
        square, number = squares[end], numbers[end]
        squares[end], numbers[end] = squares[k - 1], numbers[k - 1]
        sink(squares[end + 1 : k], numbers[end + 1 : k], square, number, k - 1 - end)
    for j in range(k // 2):
        squares[j], squares[k - 1 - j] = squares[k - 1 - j], squares[j]
        numbers[j], numbers[k - 1 - j] = numbers[k - 1 - j], numbers[j]


@inline_as_written
def show(squares, mask, rows, start, i, best, best_rows, room, k):
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
            sink(mine, mine_rows, square, row, room)


@inline_as_written
def _screen_reach(boxes, node, columns, d):
    """Return the squared distance of each query from a node's box, in float32."""
    zero = spread(np.float32(0.0))
    total = zero
    for c in range(d):
        q = load(columns, c * LEAF)
        gap = greater(greater(spread(boxes[node, 0, c]) - q, q - spread(boxes[node, 1, c])), zero)
        total = plus_product(total, gap, gap)
    return total


@inline_as_written
def slack_of(bound, scale, norm, half, d):
    """Return what a float32 sum of |x|^2 / 2 - q.x may be at most if x is within a bound, and the same for boxes.

    About the middle of the data, in units of ``scale``. With M = |q| + bound >= |x| and u = 2^-24, coordinates,
    products and sums err by 2 u (d + 8) M^2 at most.
    """
    if bound > 1e300:
        return np.float32(3e38), np.float32(3e38)
    square = (bound + TINY) / scale / scale
    reach = norm + np.sqrt(square)
    slack = 1.2e-7 * (d + 8) * reach * reach + 1e-36
    return np.float32(0.5 * square + slack - half), np.float32(square + 2.0 * slack)


@as_written
def nearest(
    first, last, homes, points, order, size, dims, blocks, rows, boxes, least, singles, halves, single_boxes, centre,
    scale, k, distances, numbers,
):  # fmt: skip
    """Find the k nearest of the queries ``points[order[i]]``, groups first:last of ``size`` each.

    homes: queries are the points, group g those of leaf g, and none is its own neighbour. With ``singles``, blocks in
    float32 about the centre, what float32 shows to be too far is not looked at in float64. Returns how many pairs of
    a query and a leaf met in float32, each group's look at a leaf's box counted as `LOOK` of them.
    """
    d = width(dims)
    met = 0
    L, m = blocks.size // (d * LEAF), order.size
    room = max(k, LEAF)
    screened = singles.size > 0
    queries = np.zeros(d * LEAF)
    low, high = np.empty(d), np.empty(d)
    squares, bounds = np.empty(LEAF), np.empty(LEAF)
    best, best_rows = np.empty(LEAF * room), np.empty(LEAF * room, np.int64)
    columns, minus = np.zeros(d * LEAF, np.float32), np.zeros(d * LEAF, np.float32)
    norms, half = np.zeros(LEAF), np.zeros(LEAF)
    limits, reaches = np.empty(LEAF, np.float32), np.empty(LEAF, np.float32)
    nodes = np.empty((128, 3), np.int64)
    gaps = np.empty(128)
    for g in range(first, last):
        begin = g * size
        quick = screened
        count = min(size, m - begin)
        for c in range(d):
            low[c], high[c] = np.inf, -np.inf
        for i in range(LEAF):
            bounds[i] = limits[i] = reaches[i] = -1.0
        for i in range(count):
            bounds[i] = HUGE
            norm = 0.0
            for c in range(d):
                v = blocks[(g * d + c) * LEAF + i] if homes else points[order[begin + i], c]
                queries[c * LEAF + i] = v
                low[c] = v if v < low[c] else low[c]
                high[c] = v if v > high[c] else high[c]
                if screened:
                    short = np.float32((v - centre[c]) / scale)
                    columns[c * LEAF + i], minus[i * d + c] = short, -short
                    norm += np.float64(short) * np.float64(short)
            quick &= norm < 1e30  # of a query further out float32 could not tell
            norms[i], half[i] = np.sqrt(norm), 0.5 * norm
            limits[i], reaches[i] = slack_of(HUGE, scale, norms[i], half[i], d)
            for j in range(room):
                best[i * room + j] = HUGE if j >= room - k else -1.0
                best_rows[i * room + j] = np.int64(2**62)
        worst, last_row = HUGE, np.int64(2**62)
        home = np.int64(-1)
        if homes:
            home = g
            for i in range(count):
                found = squares_from(blocks, g * LEAF, queries, i, d)
                store(squares, 0, found)
                mask = up_to(found, spread(HUGE)) & ~(np.int64(1) << i)
                show(squares, mask, rows, g * LEAF, i, best, best_rows, room, k)
                bounds[i] = best[i * room + room - 1]
                limits[i], reaches[i] = slack_of(bounds[i], scale, norms[i], half[i], d)
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
                gap_a = gap_b = gap
                if d <= MANY or leaves > BLIND:
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
            start = leaf * LEAF
            if quick:
                who = up_to(_screen_reach(single_boxes, node, columns, d), load(reaches, 0))
                met += LOOK + bits(who)
                seen = np.int64(0)
                while who:  # four at a time: products take four cycles to come out
                    a = lowest(who)
                    who &= who - 1
                    b = lowest(who) if who else a
                    who &= who - 1
                    p = lowest(who) if who else a
                    who &= who - 1
                    q = lowest(who) if who else a
                    who &= who - 1
                    sum_a = load(halves, start)
                    sum_b, sum_p, sum_q = sum_a, sum_a, sum_a
                    for c in range(d):
                        x = load(singles, start * d + c * LEAF)
                        sum_a = plus_product(sum_a, x, spread(minus[a * d + c]))
                        sum_b = plus_product(sum_b, x, spread(minus[b * d + c]))
                        sum_p = plus_product(sum_p, x, spread(minus[p * d + c]))
                        sum_q = plus_product(sum_q, x, spread(minus[q * d + c]))
                    seen |= np.int64(up_to(sum_a, spread(limits[a])) != 0) << a
                    seen |= np.int64(up_to(sum_b, spread(limits[b])) != 0) << b
                    seen |= np.int64(up_to(sum_p, spread(limits[p])) != 0) << p
                    seen |= np.int64(up_to(sum_q, spread(limits[q])) != 0) << q
                who = seen
            else:
                who = up_to(_reach(boxes, node, queries, d), load(bounds, 0))
            if who == 0:
                continue
            while who:
                i = lowest(who)
                who &= who - 1
                found = squares_from(blocks, start, queries, i, d)
                mask = up_to(found, spread(bounds[i]))
                if mask:
                    store(squares, 0, found)
                    show(squares, mask, rows, start, i, best, best_rows, room, k)
                    bounds[i] = best[i * room + room - 1]
                    if quick:
                        limits[i], reaches[i] = slack_of(bounds[i], scale, norms[i], half[i], d)
            worst, last_row = bounds[0], best_rows[room - 1]
            for i in range(1, count):
                worst, last_row = max(worst, bounds[i]), max(last_row, best_rows[i * room + room - 1])
        for i in range(count):
            row = order[begin + i]
            if room > LEAF:
                put_in_order(best[i * room : (i + 1) * room], best_rows[i * room : (i + 1) * room], room)
            for j in range(k):
                distances[row, j] = np.sqrt(best[i * room + room - k + j])
                numbers[row, j] = best_rows[i * room + room - k + j]
    return met


@as_written
def to_singles(first, last, blocks, count, d, centre, scale, singles, halves):
    """Write leaves first:last in float32 about the centre, and half the squared norms; places without a point: inf."""
    for leaf in range(first, last):
        for i in range(LEAF):
            norm = 0.0
            for c in range(d):
                at = leaf * LEAF * d + c * LEAF + i
                short = np.float32((blocks[at] - centre[c]) / scale) if leaf * LEAF + i < count else np.float32(0.0)
                singles[at] = short
                norm += np.float64(short) * np.float64(short)
            halves[leaf * LEAF + i] = 0.5 * norm if leaf * LEAF + i < count else np.inf


@inline_as_written
def _farthest(boxes, node, low, high, d):
    """Return the largest squared distance of a place in a node's box and one in another."""
    total = 0.0
    for c in range(d):
        under, over = boxes[node, 1, c] - low[c], high[c] - boxes[node, 0, c]
        gap = under if under > over else over
        total += gap * gap
    return total


@as_written
def within(
    first, last, homes, points, order, size, dims, blocks, rows, boxes, radii2, counts, starts, numbers, distances
):
    """Count the points within the squared radius of each query, or, given ``numbers``, write which, and how far.

    homes: queries are the points, group g those of leaf g; none is counted as its own neighbour. ``starts[q]``: where
    the part of query q begins.
    """
    d = width(dims)
    n, m = rows.size, order.size
    L = blocks.size // (d * LEAF)
    fill = numbers.size > 0
    far = distances.size > 0
    queries = np.zeros(d * LEAF)
    low, high = np.empty(d), np.empty(d)
    squares, bounds = np.empty(LEAF), np.empty(LEAF)
    found = np.empty(LEAF, np.int64)
    nodes = np.empty((128, 3), np.int64)
    for g in range(first, last):
        begin = g * size
        count = min(size, m - begin)
        for c in range(d):
            low[c], high[c] = np.inf, -np.inf
        for i in range(LEAF):
            bounds[i] = -1.0
            found[i] = 0
        most, fewest = -1.0, HUGE
        for i in range(count):
            bounds[i] = min(radii2[order[begin + i]], HUGE)
            most, fewest = max(most, bounds[i]), min(fewest, bounds[i])
            for c in range(d):
                v = blocks[(g * d + c) * LEAF + i] if homes else points[order[begin + i], c]
                queries[c * LEAF + i] = v
                low[c] = v if v < low[c] else low[c]
                high[c] = v if v > high[c] else high[c]
        nodes[0, 0], nodes[0, 1], nodes[0, 2] = 0, 0, L
        top = 1
        while top:
            top -= 1
            node, leaf, leaves = nodes[top, 0], nodes[top, 1], nodes[top, 2]
            if _between(boxes, node, low, high, d) > most:
                continue
            start = leaf * LEAF
            if not fill and _farthest(boxes, node, low, high, d) <= fewest:
                inside = min((leaf + leaves) * LEAF, n) - start
                for i in range(count):
                    found[i] += inside
                if homes and leaf <= g < leaf + leaves:
                    for i in range(count):
                        found[i] -= 1
                continue
            if leaves > 1:
                left = (leaves + 1) // 2
                nodes[top, 0], nodes[top, 1], nodes[top, 2] = node + 2 * left, leaf + left, leaves - left
                nodes[top + 1, 0], nodes[top + 1, 1], nodes[top + 1, 2] = node + 1, leaf, left
                top += 2
                continue
            who = up_to(_reach(boxes, node, queries, d), load(bounds, 0))
            while who:
                i = lowest(who)
                who &= who - 1
                near = squares_from(blocks, start, queries, i, d)
                mask = up_to(near, spread(bounds[i]))
                if homes and leaf == g:
                    mask &= ~(np.int64(1) << i)
                if not fill:
                    found[i] += bits(mask)
                elif mask:
                    store(squares, 0, near)
                    at = starts[order[begin + i]]
                    while mask:
                        j = lowest(mask)
                        mask &= mask - 1
                        numbers[at + found[i]] = rows[start + j]
                        if far:
                            distances[at + found[i]] = np.sqrt(squares[j])
                        found[i] += 1
        for i in range(count):
            counts[order[begin + i]] = found[i]
