"""Every two leaves meet once: sixteen by sixteen sums of products in float32, from which both sides take what is near.

With half the square of a distance, |q - x|^2 / 2 = (|q|^2 + |x|^2) / 2 - q.x, each side's limit can be told at once;
what passes either is measured in float64, as in `leaves`. Lists of the k best stand beside the leaves, so that two
calls may run at the same time if they share no block of leaves.
"""

import numpy as np

from modeseek.engines.cpu import as_written, inline_as_written
from modeseek.engines.cpu.halving import LEAF
from modeseek.engines.cpu.lanes import greater, insert, load, lowest, near_pairs, spread, store, up_to
from modeseek.engines.cpu.leaves import put_in_order, show, sink, slack_of, squares_from


@inline_as_written
def _tighten(i, d, scale, halves, best, bounds, limits, reaches, room):
    """Note what point i, whose list has changed, still looks for."""
    bounds[i] = best[(i + 1) * room - 1]
    limits[i], reaches[i] = slack_of(bounds[i], scale, np.sqrt(2.0 * np.float64(halves[i])), 0.0, d)


@as_written
def _settle(
    q, x, d, scale, masks, rows, blocks, halves, best, best_rows, bounds, limits, reaches, squares, room, k
):  # fmt: skip
    """Measure the pairs of masks, and write to the lists of both sides."""
    queries = blocks[q * d : (q + LEAF) * d]
    for i in range(LEAF):
        if masks[i] == 0:
            continue
        found = squares_from(blocks, x, queries, i, d)
        mine, theirs = up_to(found, spread(bounds[q + i])), up_to(found, load(bounds, x))
        if q == x:
            mine &= ~(np.int64(1) << i)
            theirs = np.int64(0)
        if mine | theirs == 0:
            continue
        store(squares, 0, found)
        if mine:
            show(squares, mine, rows, x, q + i, best, best_rows, room, k)
            _tighten(q + i, d, scale, halves, best, bounds, limits, reaches, room)
        row = np.int64(rows[q + i]) if theirs else np.int64(0)
        while theirs:
            j = lowest(theirs)
            theirs &= theirs - 1
            at = (x + j) * room
            if room == LEAF:
                values, numbers = insert(load(best, at), load(best_rows, at), squares[j], row)
                store(best, at, values)
                store(best_rows, at, numbers)
            elif squares[j] < bounds[x + j] or row < best_rows[at + room - 1]:
                sink(best[at : at + room], best_rows[at : at + room], squares[j], row, room)
            _tighten(x + j, d, scale, halves, best, bounds, limits, reaches, room)


@inline_as_written
def _turn(singles, q, d, minus):
    """Write the columns of a leaf with the other sign."""
    for c in range(d * LEAF):
        minus[c] = -singles[q * d + c]


@inline_as_written
def _farthest_reach(reaches, start):
    """Return the largest of a leaf."""
    most = reaches[start]
    for i in range(1, LEAF):
        most = max(most, reaches[start + i])
    return most


@as_written
def meet_within(
    first, last, firsts, d, scale, rows, blocks, singles, halves, best, best_rows, bounds, limits, reaches,
    block_reaches, span, room, k,
):  # fmt: skip
    """Let all leaves of each of the blocks first:last meet each other, neighbours in the order of leaves first."""
    minus, squares, masks = np.empty(d * LEAF, np.float32), np.empty(LEAF), np.empty(LEAF, np.int64)
    for block in range(first, last):
        start, stop = firsts[block], firsts[block + 1]
        for offset in range(stop - start):
            for leaf in range(start, stop - offset):
                q, x = leaf * LEAF, (leaf + offset) * LEAF
                _turn(singles, q, d, minus)
                if near_pairs(singles, minus, d, halves, limits, x, q, masks):
                    _settle(
                        q, x, d, scale, masks, rows, blocks, halves, best, best_rows, bounds, limits, reaches, squares,
                        room, k,
                    )  # fmt: skip
        for leaf in range(start, stop):
            block_reaches[block * span + leaf - start] = _farthest_reach(reaches, leaf * LEAF)


@as_written
def meet(
    first, last, lefts, rights, firsts, d, scale, rows, blocks, singles, halves, edges, best, best_rows, bounds, limits,
    reaches, block_reaches, span, room, k,
):  # fmt: skip
    """Let the leaves of block lefts[p] meet those of rights[p], for p in first:last.

    ``edges``: for each sixteen leaves of a block, of which there are ``span`` places, the lower and then the upper edge
    of their boxes, column by column. ``block_reaches`` (blocks x span): squares of how far leaves still look.
    """
    minus, squares, masks = np.empty(d * LEAF, np.float32), np.empty(LEAF), np.empty(LEAF, np.int64)
    zero = spread(np.float32(0.0))
    for p in range(first, last):
        left, right = lefts[p], rights[p]
        start = firsts[left]
        for leaf in range(start, firsts[left + 1]):
            place = left * span + leaf - start
            own = place // LEAF * 2 * d * LEAF + place % LEAF
            q = leaf * LEAF
            _turn(singles, q, d, minus)
            for group in range(span // LEAF):
                base = right * span + group * LEAF
                gaps = zero
                for c in range(d):
                    under = spread(edges[own + c * LEAF]) - load(edges, 2 * d * base + (d + c) * LEAF)
                    over = load(edges, 2 * d * base + c * LEAF) - spread(edges[own + (d + c) * LEAF])
                    gap = greater(greater(under, over), zero)
                    gaps = gaps + gap * gap
                who = up_to(gaps, greater(load(block_reaches, base), spread(block_reaches[place])))
                who &= (np.int64(1) << min(firsts[right + 1] - firsts[right] - group * LEAF, LEAF)) - 1
                while who:
                    j = lowest(who)
                    who &= who - 1
                    x = (firsts[right] + group * LEAF + j) * LEAF
                    if near_pairs(singles, minus, d, halves, limits, x, q, masks):
                        _settle(
                            q, x, d, scale, masks, rows, blocks, halves, best, best_rows, bounds, limits, reaches,
                            squares, room, k,
                        )  # fmt: skip
                        block_reaches[base + j] = _farthest_reach(reaches, x)
                        block_reaches[place] = _farthest_reach(reaches, q)


@as_written
def write(first, last, rows, best, best_rows, room, k, distances, numbers):
    """Write the lists of places first:last to the rows of their points."""
    for i in range(first, last):
        row = rows[i]
        if room > LEAF:
            put_in_order(best[i * room : (i + 1) * room], best_rows[i * room : (i + 1) * room], room)
        for j in range(k):
            distances[row, j] = np.sqrt(best[(i + 1) * room - k + j])
            numbers[row, j] = best_rows[(i + 1) * room - k + j]
