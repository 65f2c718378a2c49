"""Exact nearest neighbours and neighbours within radii: leaves of sixteen points, walked by groups of queries.

The distance of q and x is sqrt(sum_c (q_c - x_c)^2), columns added one after the other in float64; of rows at the same
distance the lower one comes first, and a point at exactly the radius is within it. Points are halved along the widest
column until sixteen are left (J. L. Bentley, "Multidimensional binary search trees used for associative searching",
Comm. ACM 18, 1975); queries that lie near each other walk down together, so that what a walk costs is shared
(`modeseek.engines.cpu.leaves`). From `SCREENED` columns on float32 sorts out what is surely too far.

It knows nothing of metrics, estimators or which structure a problem should take (`modeseek.neighbors.choose`).
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from modeseek.engines.threads import run_chunks
from modeseek.neighbors import pairs

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

SUBTREE = 1024  # leaves that one task makes
LITERAL = 3  # up to so many columns each number of them has a kernel of its own
SCREENED = 5  # columns from which float32 pays
GROUPS = 128  # of queries in a chunk
FEW_LEAVES = 256  # are walked
TRIED = 16  # walks that tell how much the tree leaves out
PAIRS = 2  # queries and leaves that meet in a walk, for each leaf, in the time that pairs take
ALONE = 8  # a group's queries should be no sparser than this many times the points; else each walks by itself


class LeafTree:
    """Leaves of sixteen points, and the boxes of all halves above them.

    Parameters
    ----------
    points : ndarray of shape (n, d), float32 or float64
        Finite; not kept.
    n_jobs : int, optional
        Threads; results are the same to the bit for any number.

    Notes
    -----
    Memory: 8 d + 8 bytes a point for the leaves and their boxes' 3 d, from `SCREENED` columns on another 6 d; twice
    that while it is built. Searches add what they return.
    """

    def __init__(self, points: NDArray[Any], n_jobs: int | None = None):
        self.n_jobs = n_jobs
        self.shape = points.shape
        d = points.shape[1]
        order, boxes, least, blocks = _halve(points, n_jobs)
        self.order, self.boxes, self.least, self.blocks = order, boxes, least, blocks
        self.dims: Any = (0,) * d if d <= LITERAL else d
        self._screen(d >= SCREENED)

    def _screen(self, wanted: bool) -> None:
        """Make the float32 copy of the leaves, about the middle of the data, in units of what they span."""
        from modeseek.engines.cpu import halving, leaves

        low, high = self.boxes[0]
        self.centre = 0.5 * low + 0.5 * high
        span = float((high - low).max())
        self.scale = 2.0 ** np.ceil(np.log2(span)) if span > 1e-300 else 1.0
        n = len(self.order) if wanted else 0
        count = -(-n // halving.LEAF)
        self.singles = np.empty(self.blocks.size if wanted else 0, np.float32)
        self.halves = np.empty(count * halving.LEAF, np.float32)
        self.single_boxes = ((self.boxes[: 2 * count] - self.centre) / self.scale).astype(np.float32)

        def work(_: int, start: int, stop: int) -> None:
            leaves.to_singles(
                start, stop, self.blocks, n, self.shape[1], self.centre, self.scale, self.singles, self.halves
            )

        run_chunks(count, work, self.n_jobs, 1 << 12)

    def nearest(self, queries: NDArray[Any] | None, k: int) -> tuple[Floats, Ints]:
        """Return distances and rows, (m, k), of the k nearest points by rising distance.

        queries : None asks for each point's neighbours among the others; k is at most n, or n - 1 then.
        """
        if queries is None and self._pairs_are_quicker(k):
            return pairs.nearest(
                self.order, self.blocks, self.singles, self.halves, self.scale, self.shape[1], k, self.n_jobs
            )
        return self._walk(queries, k, None)[:2]

    def _pairs_are_quicker(self, k: int) -> bool:
        """Return whether walks of a few leaves meet so much that it is quicker to let every two leaves meet once."""
        from modeseek.engines.cpu import halving

        count = len(self.halves) // halving.LEAF  # 0 if there are no columns in float32
        if count < FEW_LEAVES:
            return False
        met = self._walk(None, k, np.linspace(0, count - 1, TRIED).astype(np.int64))[2]
        return met > PAIRS * TRIED * count

    def _walk(self, queries: NDArray[Any] | None, k: int, groups: Ints | None) -> tuple[Floats, Ints, int]:
        """Return distances and rows as walks down the tree find them, those of some groups or all, and what was met."""
        from modeseek.engines.cpu import leaves

        points, order, size = self._groups(queries)
        distances, rows = np.empty((len(order), k)), np.empty((len(order), k), np.int64)
        met: list[int] = []

        def walk(start: int, stop: int) -> int:
            return leaves.nearest(
                start, stop, queries is None, points, order, size, self.dims, self.blocks, self.order, self.boxes,
                self.least, self.singles, self.halves, self.single_boxes, self.centre, self.scale, k, distances, rows,
            )  # fmt: skip

        if groups is None:
            run_chunks(
                -(-len(order) // size), lambda _, start, stop: met.append(walk(start, stop)), self.n_jobs, GROUPS
            )
        else:
            run_chunks(
                len(groups), lambda _, i, __: met.append(walk(int(groups[i]), int(groups[i]) + 1)), self.n_jobs, 1
            )
        return distances, rows, sum(met)

    def count_within(self, queries: NDArray[Any] | None, radii: Floats) -> Ints:
        """Return how many points lie within the radius of each query (None: of each point, itself not counted)."""
        counts = np.empty(self.shape[0] if queries is None else len(queries), np.int64)
        self._within(queries, radii, counts, np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0))
        return counts

    def within(self, queries: NDArray[Any] | None, radii: Floats, far: bool = True) -> tuple[Ints, Ints, Floats]:
        """Return (indptr, rows, distances) of the points within the radius of each query; in the order of the leaves.

        far : False leaves distances out; they are empty then.
        """
        counts = self.count_within(queries, radii)
        indptr = np.append(0, np.cumsum(counts))
        rows = np.empty(indptr[-1], np.int64)
        distances = np.empty(indptr[-1] if far else 0)
        if rows.size:
            self._within(queries, radii, counts, indptr, rows, distances)
        return indptr, rows, distances

    def _within(
        self, queries: NDArray[Any] | None, radii: Floats, counts: Ints, starts: Ints, rows: Ints, distances: Floats
    ) -> None:
        from modeseek.engines.cpu import leaves

        points, order, size = self._groups(queries)
        with np.errstate(over="ignore"):
            squares = np.ascontiguousarray(radii * radii)

        def work(_: int, start: int, stop: int) -> None:
            leaves.within(
                start, stop, queries is None, points, order, size, self.dims, self.blocks, self.order, self.boxes,
                squares, counts, starts, rows, distances,
            )  # fmt: skip

        run_chunks(-(-len(order) // size), work, self.n_jobs, GROUPS)

    def _groups(self, queries: NDArray[Any] | None) -> tuple[NDArray[Any], NDArray[Any], int]:
        """Return queries, the order in which they are asked for, and how many walk together."""
        from modeseek.engines.cpu import halving

        if queries is None:
            return np.empty((0, self.shape[1])), self.order, halving.LEAF
        queries = np.require(queries, np.float64, ["C", "W"])
        if ALONE * len(queries) < self.shape[0]:
            return queries, np.arange(len(queries), dtype=self.order.dtype), 1
        return queries, _halve(queries, self.n_jobs)[0], halving.LEAF


def _halve(points: NDArray[Any], n_jobs: int | None) -> tuple[NDArray[Any], Floats, NDArray[Any], Floats]:
    """Return the rows leaf by leaf, the box and the least row of each node, and the coordinates, leaf by leaf."""
    from modeseek.engines.cpu import halving

    n, d = points.shape
    kind = np.int32 if n < 2**31 else np.int64
    count = -(-n // halving.LEAF)
    columns, rows = np.empty((d, n)), np.empty(n, kind)
    order, boxes, least = np.empty(n, kind), np.empty((2 * count - 1, 2, d)), np.empty(2 * count - 1, kind)
    blocks = np.empty((count, d, halving.LEAF))
    scratch = np.empty(n), np.empty(n, kind), np.empty(n), np.empty(n, kind)

    def copy(_: int, start: int, stop: int) -> None:
        columns[:, start:stop] = points[start:stop].T
        rows[start:stop] = np.arange(start, stop)

    run_chunks(n, copy, n_jobs, 1 << 16)
    nodes = [(0, 0, count)]  # node, first leaf, leaves
    while nodes[0][2] > SUBTREE:  # levels of few large nodes: one task each

        def split(_: int, i: int, __: int, nodes: list[tuple[int, int, int]] = nodes) -> None:
            node, first, many = nodes[i]
            start, stop = first * halving.LEAF, min((first + many) * halving.LEAF, n)
            sample = np.empty(halving.SAMPLE)
            least[node] = halving.halve(columns, rows, start, stop, many, boxes[node], *scratch, sample)

        run_chunks(len(nodes), split, n_jobs, 1)
        lefts = [(many + 1) // 2 for _, _, many in nodes]
        nodes = [
            half
            for (node, first, many), left in zip(nodes, lefts, strict=True)
            for half in ((node + 1, first, left), (node + 2 * left, first + left, many - left))
        ]

    def finish(_: int, i: int, __: int) -> None:
        halving.subtree(columns, rows, *nodes[i], boxes, least, *scratch, blocks, order)

    run_chunks(len(nodes), finish, n_jobs, 1)
    return order, boxes, least, blocks.reshape(-1)
