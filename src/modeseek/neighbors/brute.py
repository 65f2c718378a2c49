"""Exact nearest neighbours and neighbours within radii by looking at every pair, in NumPy: nothing is compiled.

Squared distances are sums of squared differences, column by column in float64; of rows at the same distance the lower
one comes first. For few pairs, and to check the others by.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

PAIRS_AT_ONCE = 1 << 18


class AllPairs:
    """The points, and nothing else.

    Parameters
    ----------
    points : ndarray of shape (n, d), float32 or float64
        Finite; kept, not copied.
    n_jobs : int, optional
        Without effect.

    Notes
    -----
    Memory: what is returned, and a few MB.
    """

    def __init__(self, points: NDArray[Any], n_jobs: int | None = None):
        self.points, self.n_jobs = points, n_jobs

    def nearest(self, queries: NDArray[Any] | None, k: int) -> tuple[Floats, Ints]:
        """Return distances and rows, (m, k), of the k nearest points by rising distance (`LeafTree.nearest`)."""
        m = len(self.points if queries is None else queries)
        distances, rows = np.empty((m, k)), np.empty((m, k), np.int64)
        for part, squares in self._squares(queries):
            limit = np.partition(squares, k - 1, axis=1)[:, k - 1 : k]
            query, row = np.nonzero(squares <= limit)
            found = squares[query, row]
            order = np.lexsort((row, found, query))
            first = np.searchsorted(query, np.arange(len(squares)))  # order keeps queries together
            chosen = order[first[:, None] + np.arange(k)]
            rows[part], distances[part] = row[chosen], np.sqrt(found[chosen])
        return distances, rows

    def count_within(self, queries: NDArray[Any] | None, radii: Floats) -> Ints:
        """Return how many points lie within the radius of each query (None: of each point, itself not counted)."""
        counts = [(squares <= self._limits(radii[part])).sum(axis=1) for part, squares in self._squares(queries)]
        return np.concatenate(counts).astype(np.int64)

    def within(self, queries: NDArray[Any] | None, radii: Floats, far: bool = True) -> tuple[Ints, Ints, Floats]:
        """Return (indptr, rows, distances) of the points within the radius of each query (`LeafTree.within`)."""
        counts, rows, distances = [np.zeros(1, np.int64)], [], []
        for part, squares in self._squares(queries):
            inside = squares <= self._limits(radii[part])
            counts.append(inside.sum(axis=1))
            rows.append(np.nonzero(inside)[1])
            distances.append(np.sqrt(squares[inside]) if far else np.empty(0))
        return np.cumsum(np.concatenate(counts)), np.concatenate(rows), np.concatenate(distances)

    @staticmethod
    def _limits(radii: Floats) -> Floats:
        """Return squared radii, as a column; less than the distance of a point from itself, which does not count."""
        with np.errstate(over="ignore"):
            return np.minimum(radii * radii, np.finfo(np.float64).max)[:, None]

    def _squares(self, queries: NDArray[Any] | None) -> Iterator[tuple[slice, Floats]]:
        """Yield squared distances of a few queries from all points; infinite from itself."""
        asked = self.points if queries is None else queries
        at_once = max(1, PAIRS_AT_ONCE // len(self.points))
        columns = np.array(self.points.T, np.float64, order="C")
        for start in range(0, len(asked), at_once):
            part = slice(start, min(start + at_once, len(asked)))
            squares = np.zeros((part.stop - start, len(self.points)))
            for column, values in zip(columns, np.asarray(asked[part].T, np.float64), strict=True):
                squares += np.square(column - values[:, None])
            if queries is None:
                own = np.arange(part.stop - start)
                squares[own, own + start] = np.inf
            yield part, squares
