"""Compact groups of points: median splits on the widest axis, as the leaves of a kd-tree."""

import numpy as np
from numpy.typing import NDArray

from modeseek.fields import Floats, Ints

LEAF = 128
ROWS_AT_ONCE = 16 * LEAF  # of the points that NumPy gathers: so much is fixed, and stays in the caches


def compact_groups(x: Floats, widest: float = np.inf) -> tuple[Ints, Ints]:
    """Order rows so that neighbours are near each other; return the order, and where its groups start (and end).

    Groups have LEAF rows, the last has what is left; fewer where a group would be wider than ``widest``.
    """
    order = np.arange(len(x))
    starts = []
    stack = [(0, len(x))]
    while stack:
        start, stop = stack.pop()
        size = stop - start
        low, high = _box(x, order[start:stop])
        axis = int((high - low).argmax())
        if size == 1 or (size <= LEAF and high[axis] - low[axis] <= widest):
            starts.append(start)
            continue
        middle = LEAF * ((size + LEAF) // (2 * LEAF)) if size > LEAF else size // 2
        order[start:stop] = order[start:stop][np.argpartition(x[order[start:stop], axis], middle)]
        stack += [(start + middle, stop), (start, start + middle)]  # the left half is next: starts are ascending
    return order, np.array([*starts, len(x)], np.int64)


def _box(x: Floats, rows: Ints) -> tuple[Floats, Floats]:
    """Return the least and the greatest of each column in some rows, a few rows at a time."""
    low, high = x[rows[0]], x[rows[0]]
    for start in range(0, len(rows), ROWS_AT_ONCE):
        part = x[rows[start : start + ROWS_AT_ONCE]]
        low, high = np.minimum(low, part.min(axis=0)), np.maximum(high, part.max(axis=0))
    return low, high


def extents(x: Floats, starts: Ints) -> tuple[Floats, Floats, Floats, Floats]:
    """Return lower and upper corners, middles and radii of consecutive groups of rows."""
    low, high = np.minimum.reduceat(x, starts[:-1]), np.maximum.reduceat(x, starts[:-1])
    middle = 0.5 * (low + high)
    radius2 = np.empty(len(middle))
    for b in range(len(middle)):
        radius2[b] = np.square(x[starts[b] : starts[b + 1]] - middle[b]).sum(axis=1).max()
    return low, high, middle, np.sqrt(radius2) * (1.0 + 1e-12)


def without(starts: Ints, kept: NDArray[np.bool_]) -> Ints:
    """Return the starts of the groups once rows that are not kept are gone; empty groups go too."""
    sizes = np.add.reduceat(kept.astype(np.int64), starts[:-1])
    return np.append(0, np.cumsum(sizes[sizes > 0]))
