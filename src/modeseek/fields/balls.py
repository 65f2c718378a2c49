r"""The flat kernel: means of the points within a radius of each query, exact, any number of columns.

    m(q) = sum_{|x_i - q| <= r} w_i x_i / W(q),    W(q) = sum_{|x_i - q| <= r} w_i

A point at exactly the radius counts. Coordinates are summed as they are: sums of integers are exact, so that points
which reach the same set come to the same place, to the bit.
"""

import numpy as np
from numpy.typing import ArrayLike
from scipy.spatial import cKDTree
from scipy.spatial.distance import cdist

from modeseek.engines.threads import run_chunks
from modeseek.fields import Floats, Ints
from modeseek.fields.compact import LEAF, compact_groups

PAIRS = 1 << 20  # queries times points up to which NumPy is quicker than loading compiled kernels
PAIRS_AT_ONCE = 1 << 18
FEW = 2048  # queries
GROUPS, SMALLEST = 64, 4  # groups that queries are cut into, and their least size
GROUPS_OF_NEAR, NEAR = 16, 0.1  # groups that those near each other are cut into, and the share of the radius
GROUPS_AT_ONCE = 8  # groups of queries that one thread takes; fewer where there are few, so that all threads have some


class BallField:
    """Means over balls around queries.

    Parameters
    ----------
    points : array-like of shape (n, d)
        Points.
    weights : array-like of shape (n,)
        Weights, at least 0; those of weight 0 do not count.
    radius : float
        Radius of the balls.
    n_queries : int
        About how many queries there will be at once: it decides whether NumPy sums, or compiled kernels.
    """

    def __init__(self, points: ArrayLike, weights: ArrayLike, radius: float, n_queries: int):
        x, w = np.asarray(points, np.float64), np.asarray(weights, np.float64)
        if not w.all():
            x, w = x[w > 0.0], w[w > 0.0]
        self.bandwidth = self.radius = radius
        self.dense = len(x) * n_queries <= PAIRS
        self.starts = np.array([0, len(x)])
        if not self.dense:
            order, self.starts = _leaves(x)
            x, w = x[order], w[order]
        self.points = x
        self.table = np.column_stack([x * w[:, None], w])  # what is summed
        if not self.dense:
            largest = float(np.abs(x).max())
            self.slack = 1e-12 * radius + 4.0 * np.finfo(float).eps * x.shape[1] ** 0.5 * (largest + radius)
            self.low = np.minimum.reduceat(x, self.starts[:-1])
            self.high = np.maximum.reduceat(x, self.starts[:-1])
            self.blocks = np.add.reduceat(self.table, self.starts[:-1])
            self.columns, self.weights = np.ascontiguousarray(x.T), w

    def shift(self, queries: Floats) -> tuple[Floats, Floats]:
        """Return the mean of the ball around each query, (m, d), and its weight, (m,); where that is 0, the query."""
        return self.means(queries, *compact_order(queries, self.dense))

    def means(self, queries: Floats, order: Ints, groups: Ints, n_jobs: int | None = None) -> tuple[Floats, Floats]:
        """Do as `shift`, where ``queries[order]`` is known to come in compact groups (`compact_order`)."""
        q = np.ascontiguousarray(queries[order], np.float64)
        sums = self._by_pairs(q) if self.dense else self._by_groups(q, groups, n_jobs)
        weights = sums[:, -1:]
        here = np.where(weights > 0.0, sums[:, :-1] / np.where(weights > 0.0, weights, 1.0), q)
        means, totals = np.empty_like(q), np.empty(len(q))
        means[order], totals[order] = here, weights[:, 0]
        return means, totals

    def _by_pairs(self, q: Floats) -> Floats:
        rows = max(1, PAIRS_AT_ONCE // len(self.points))
        sums = np.empty((len(q), self.table.shape[1]))
        for start in range(0, len(q), rows):
            squares = cdist(q[start : start + rows], self.points, "sqeuclidean")
            sums[start : start + rows] = (squares <= self.radius * self.radius).astype(np.float64) @ self.table
        return sums

    def _by_groups(self, q: Floats, groups: Ints, n_jobs: int | None) -> Floats:
        from modeseek.engines.cpu import balls

        d = q.shape[1]
        sums = np.empty((len(q), d + 1))

        def work(_: int, first: int, last: int) -> None:
            rim, squares, centre, inside = (
                np.empty((d + 1, balls.RIM)),
                np.empty(balls.RIM),
                np.empty(d),
                np.empty(d + 1),
            )
            balls.sums_in_balls(
                self.columns,
                self.weights,
                self.starts,
                self.low,
                self.high,
                self.blocks,
                self.radius,
                self.slack,
                q,
                groups,
                first,
                last,
                sums,
                rim,
                squares,
                centre,
                inside,
            )

        n_groups = len(groups) - 1
        run_chunks(n_groups, work, n_jobs, min(GROUPS_AT_ONCE, max(1, n_groups // GROUPS_AT_ONCE)))
        return sums


def _leaves(x: Floats, most: int = LEAF) -> tuple[Ints, Ints]:
    """Return an order of the points in which the leaves of a kd-tree come one after the other, and where they start.

    It differs from `compact_groups` in that leaves may have fewer points than the most; and it is found sooner.
    """
    tree = cKDTree(x, leafsize=most)
    starts: list[int] = []
    stack = [tree.tree]
    while stack:
        node = stack.pop()
        if node.split_dim < 0:
            starts += range(node.start_idx, node.end_idx, most)  # equal points are not split
        else:
            stack += [node.greater, node.lesser]  # the lesser half is next: starts are ascending
    return np.asarray(tree.indices, np.int64), np.array([*starts, len(x)], np.int64)


def compact_order(queries: Floats, dense: bool = False) -> tuple[Ints, Ints]:
    """Return an order of the queries in which neighbours are near each other, and where its groups start (and end).

    Few queries are far apart, and a large group would share nothing: these come in small ones.
    """
    if dense or not len(queries):
        return np.arange(len(queries)), np.array([0, len(queries)])
    return _leaves(queries, SMALLEST) if len(queries) <= FEW else compact_groups(queries)


def groups_in_order(queries: Floats, radius: float) -> Ints:
    """Return where groups of ordered queries start (and end): the fewer queries, the smaller, so that threads share.

    Groups of a few queries grow as long as the next are within a small part of the radius of their first: these have
    nearly the same ball. There are GROUPS_OF_NEAR of them at least, if there are so many queries.
    """
    n = len(queries)
    size = min(max(n // GROUPS, SMALLEST), LEAF)
    if n > FEW:
        return np.append(np.arange(0, n, size), n)
    most = min(max(n // GROUPS_OF_NEAR, size), LEAF)
    starts, start = [], 0
    while start < n:
        starts.append(start)
        part = queries[start : start + most]
        far = np.flatnonzero(np.square(part - part[0]).sum(axis=1) > (NEAR * radius) ** 2)
        start += max(min(size, n - start), int(far[0]) if far.size else len(part))
    return np.array([*starts, n])
