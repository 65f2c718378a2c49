"""Occupied cells by sorting: for exact repeats of points, and for data spread too wide for a grid."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


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
    return (np.asarray(points, np.float64) + 0.0).view(np.int64)


def compress(index: Ints) -> tuple[list[Ints], Ints, Ints]:
    """Assign numbers to the distinct rows of ``index`` (n, d), axis by axis, so that no key can overflow.

    Returns the sorted keys of each level (for `find`), the number of each row (n,), and the first row of each.
    """
    levels = []
    number = np.zeros(len(index), np.int64)
    first = np.zeros(1, np.int64)
    for column in index.T:
        values, rank = np.unique(column, return_inverse=True)
        keys, first, number = np.unique(number * len(values) + rank, return_index=True, return_inverse=True)
        levels += [values, keys]
    return levels, number, first


def hashes(keys: Ints) -> Ints:
    """Hash rows of integers: equal rows have equal hashes, and others hardly ever."""
    mixed = np.zeros(len(keys), np.int64)
    for column in keys.T:
        mixed = (mixed ^ column) * np.int64(-7046029254386353131)  # wraps around
        mixed ^= mixed >> 29
    return mixed


def distinct_rows(keys: Ints) -> tuple[Ints, Ints]:
    """Return the number of each row among the distinct rows, and the first row of each, which gives their order."""
    mixed = hashes(keys)
    distinct = np.unique(mixed)
    number = np.searchsorted(distinct, mixed)
    first = np.empty(len(distinct), np.int64)
    first[number[::-1]] = np.arange(len(keys) - 1, -1, -1)  # the last to be written is the first row
    if not np.array_equal(keys[first][number], keys):  # two rows, one hash
        _, number, first = compress(keys)
    order = np.argsort(first)
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    return rank[number], first[order]


def find(levels: list[Ints], index: Ints) -> Ints:
    """Return the number of each row of ``index`` by the levels of `compress`, -1 where it is not among them."""
    number = np.zeros(len(index), np.int64)
    for values, keys, column in zip(levels[::2], levels[1::2], index.T, strict=True):
        rank, known = _position(values, column)
        known &= number >= 0
        number, found = _position(keys, np.where(known, number, 0) * len(values) + rank)
        number[~(known & found)] = -1
    return number


def _position(ordered: Ints, wanted: Ints) -> tuple[Ints, NDArray[np.bool_]]:
    place = np.minimum(np.searchsorted(ordered, wanted), len(ordered) - 1)
    return place, ordered[place] == wanted


def cell_means(points: NDArray[Any], weights: Floats, side: float) -> tuple[Floats, Floats, float]:
    """Means and weights of the occupied cells, and the weighted variance per axis lost within them."""
    origin = points.min(axis=0).astype(np.float64)
    _, number, first = compress(cell_indices(points, origin, side))
    w = weights if weights.size else np.ones(len(points))
    total = np.bincount(number, w).astype(np.float64)
    offsets = points - points[first].astype(np.float64)[number]  # small: sums do not cancel
    sums = np.stack([np.bincount(number, w * column) for column in offsets.T], axis=-1)
    kept = total > 0.0
    shift = sums / np.where(kept, total, 1.0)[:, None]
    spread = float((w[:, None] * np.square(offsets - shift[number])).sum() / total.sum())
    means = np.asarray(points[first] + shift, np.float64)
    return means[kept], total[kept], spread / points.shape[1]
