"""Occupied cells by sorting: for exact repeats of points, and for data spread too wide for a grid."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Keys = Callable[[NDArray[Any]], Ints]  # maps points (m, d) to integers (m, d)

VALUES_AT_ONCE = 1 << 16  # keys of many rows are computed a few rows at a time: no copy of the data is made


def cell_indices(points: NDArray[Any], origin: Floats, side: float) -> Ints:
    """Index of each point's cell along each axis, (n, d)."""
    index = np.floor((points - origin) / side)
    if np.abs(index).max(initial=0.0) >= 2.0**53:
        raise ValueError(
            f"The data span more than 2^53 cells of side {side:g}; use a larger bandwidth, or remove outliers."
        )
    return index.astype(np.int64)


def bit_patterns(points: NDArray[Any]) -> Ints:
    """Map coordinates to integers, (n, d), equal exactly where the coordinates are (-0.0 is 0.0)."""
    patterns = np.array(points, np.float64, order="C")
    patterns += 0.0
    return patterns.view(np.int64)


def coordinates(patterns: Ints) -> Floats:
    """Return the points that have these bit patterns: the same memory."""
    return patterns.view(np.float64)


def compress(index: Ints) -> tuple[Ints, Ints]:
    """Assign numbers to the distinct rows of ``index`` (n, d), axis by axis, so that no key can overflow.

    Returns the number of each row (n,), which ascends with the rows, and the first row of each.
    """
    number = np.zeros(len(index), np.int64)
    first = np.zeros(1, np.int64)
    for column in index.T:
        values, rank = np.unique(column, return_inverse=True)
        _, first, number = np.unique(number * len(values) + rank, return_index=True, return_inverse=True)
    return number, first


def hashes(keys: Ints) -> Ints:
    """Hash rows of integers: equal rows have equal hashes, and others hardly ever."""
    mixed = np.zeros(len(keys), np.int64)
    for column in keys.T:
        mixed = (mixed ^ column) * np.int64(-7046029254386353131)  # wraps around
        mixed ^= mixed >> 29
    return mixed


def _parts(x: NDArray[Any]) -> Iterator[slice]:
    """Yield slices of rows that hold VALUES_AT_ONCE values or so."""
    rows = max(1, VALUES_AT_ONCE // x.shape[1])
    return (slice(start, start + rows) for start in range(0, len(x), rows))


def distinct_rows(points: NDArray[Any], key: Keys = np.asarray) -> tuple[Ints, Ints]:
    """Return the number of each row among the distinct keys, and the first row of each, which gives their order."""
    mixed = np.empty(len(points), np.int64)
    for part in _parts(points):
        mixed[part] = hashes(key(points[part]))
    distinct = np.unique(mixed)
    number = np.searchsorted(distinct, mixed)
    first = np.empty(len(distinct), np.int64)
    first[number[::-1]] = np.arange(len(points) - 1, -1, -1)  # the last to be written is the first row
    if not all(np.array_equal(key(points[first[number[part]]]), key(points[part])) for part in _parts(points)):
        number, first = compress(key(points))  # two rows, one hash
    order = np.argsort(first)
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    return rank[number], first[order]


class RowNumbers:
    """Finds rows of integers among distinct rows that are numbered as they come.

    Parameters
    ----------
    rows : ndarray of shape (k, d)
        The distinct rows.
    """

    def __init__(self, rows: Ints):
        self.rows = rows
        mixed = hashes(rows)
        self.order: Ints | None = np.argsort(mixed)  # None: the rows come by rising hash already
        self.hashes = mixed[self.order]

    def reorder(self) -> Ints:
        """Give rows the numbers of the order in which they are searched: less memory. Return the old numbers."""
        order = np.arange(len(self.rows)) if self.order is None else self.order
        self.rows, self.order = self.rows[order], None
        return order

    def __getstate__(self) -> dict[str, Any]:
        return {"rows": self.rows, "order": self.order}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.rows, self.order = state["rows"], state["order"]
        mixed = hashes(self.rows)
        self.hashes = mixed if self.order is None else mixed[self.order]

    def find(self, wanted: Ints) -> Ints:
        """Return the number of each wanted row, -1 where it is not among the rows."""
        number = np.full(len(wanted), -1)
        mixed = hashes(wanted)
        place = np.searchsorted(self.hashes, mixed)
        left = np.arange(len(wanted))
        while left.size:  # once, and again only where rows share a hash
            left = left[place[left] < len(self.hashes)]
            left = left[self.hashes[place[left]] == mixed[left]]
            found = place[left] if self.order is None else self.order[place[left]]
            same = (self.rows[found] == wanted[left]).all(axis=1)
            number[left[same]] = found[same]
            left = left[~same]
            place[left] += 1
        return number


def cell_means(points: NDArray[Any], weights: Floats, side: float) -> tuple[Floats, Floats, float]:
    """Means and weights of the occupied cells, and the weighted variance per axis lost within them."""
    origin = points.min(axis=0).astype(np.float64)
    number, first = compress(cell_indices(points, origin, side))
    w = weights if weights.size else np.ones(len(points))
    total = np.bincount(number, w).astype(np.float64)
    offsets = points - points[first].astype(np.float64)[number]  # small: sums do not cancel
    sums = np.stack([np.bincount(number, w * column) for column in offsets.T], axis=-1)
    kept = total > 0.0
    shift = sums / np.where(kept, total, 1.0)[:, None]
    spread = float((w[:, None] * np.square(offsets - shift[number])).sum() / total.sum())
    means = np.asarray(points[first] + shift, np.float64)
    return means[kept], total[kept], spread / points.shape[1]
