"""Nearest neighbours of points among themselves where no tree leaves much out: every two leaves meet once, not twice.

Leaves are put into 2^t blocks. In round r block i meets block i xor r: no block is in two meetings of a round, so that
threads share nothing, and blocks that lie near each other in the tree meet first. Lists of the best are sets ordered by
distance and row, which do not depend on the order of meetings.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from modeseek.engines.threads import run_chunks

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

BLOCK = 64  # leaves at most: columns and lists of two blocks stay in the second cache


def nearest(
    order: NDArray[Any], blocks: Floats, singles: NDArray[np.float32], halves: NDArray[np.float32], scale: float,
    d: int, k: int, n_jobs: int | None,
) -> tuple[Floats, Ints]:  # fmt: skip
    """Return distances and rows, (n, k), of each point's nearest among the others.

    order, blocks, singles, halves, scale : what a `LeafTree` holds.

    Notes
    -----
    Memory: 16 max(k, 16) + 16 + d bytes a point beside what is returned.
    """
    from modeseek.engines.cpu import halving, leaves, pairs

    n, places, room = len(order), len(halves), max(k, halving.LEAF)
    firsts = _cut(places // halving.LEAF)
    span = -(-int(np.diff(firsts).max()) // halving.LEAF) * halving.LEAF
    edges = _edges(singles.reshape(-1, d, halving.LEAF), n, firsts, span)
    best, best_rows = np.full((places, room), leaves.HUGE), np.full((places, room), 2**62)
    best[:, : room - k] = -1.0
    bounds, limits = np.full(places, leaves.HUGE), np.full(places, 3e38, np.float32)
    bounds[n:], limits[n:] = -1.0, -1.0
    reaches, block_reaches = limits.copy(), np.full((len(firsts) - 1) * span, -1.0, np.float32)
    lists = best.reshape(-1), best_rows.reshape(-1), bounds, limits, reaches, block_reaches

    def within(_: int, start: int, stop: int) -> None:
        pairs.meet_within(start, stop, firsts, d, scale, order, blocks, singles, halves, *lists, span, room, k)

    run_chunks(len(firsts) - 1, within, n_jobs, 1)
    every = np.arange(len(firsts) - 1)
    for r in range(1, len(every)):
        lefts = every[every < (every ^ r)]

        def meet(_: int, start: int, stop: int, lefts: Ints = lefts, rights: Ints = lefts ^ r) -> None:
            pairs.meet(
                start, stop, lefts, rights, firsts, d, scale, order, blocks, singles, halves, edges, *lists, span,
                room, k,
            )  # fmt: skip

        run_chunks(len(lefts), meet, n_jobs, 1)
    distances, rows = np.empty((n, k)), np.empty((n, k), np.int64)

    def write(_: int, start: int, stop: int) -> None:
        pairs.write(start, stop, order, *lists[:2], room, k, distances, rows)

    run_chunks(n, write, n_jobs, 1 << 13)
    return distances, rows


def _cut(count: int) -> Ints:
    """Return where blocks of leaves begin, and the end: halves of halves, as the tree's nodes are."""
    sizes = [count]
    while max(sizes) > BLOCK:
        sizes = [half for size in sizes for half in ((size + 1) // 2, size // 2)]
    return np.append(0, np.cumsum(sizes))


def _edges(singles: NDArray[np.float32], n: int, firsts: Ints, span: int) -> NDArray[np.float32]:
    """Return the edges of the leaves' boxes, sixteen leaves side by side, (blocks x span / 16, 2, d, 16)."""
    count, d, leaf = singles.shape
    blocks = len(firsts) - 1
    low, high = singles.min(2), singles.max(2)
    last = singles[-1, :, : n - (count - 1) * leaf]  # other places hold no point
    low[-1], high[-1] = last.min(1), last.max(1)
    edges = np.zeros((blocks * span, 2, d), np.float32)
    block = np.repeat(np.arange(blocks), np.diff(firsts))
    places = block * span + np.arange(count) - firsts[block]
    edges[places, 0], edges[places, 1] = low, high
    return np.ascontiguousarray(edges.reshape(-1, leaf, 2, d).transpose(0, 2, 3, 1)).reshape(-1)
