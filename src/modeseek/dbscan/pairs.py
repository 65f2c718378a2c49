"""DBSCAN of few points: all pairs, in NumPy."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse.csgraph import connected_components


def cluster(
    points: NDArray[Any], eps: float, min_samples: int, weights: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return the label of each point, and whether it is core."""
    n = len(points)
    squares = np.zeros((n, n))
    for column in points.T.astype(np.float64):
        squares += np.square(column[:, None] - column)
    near = squares <= eps * eps
    core = (near @ weights if weights.size else near.sum(axis=1)) >= min_samples
    rows = np.flatnonzero(core)
    labels = np.full(n, -1)
    if rows.size:
        _, part = connected_components(near[np.ix_(rows, rows)], directed=False)
        first = np.unique(part, return_index=True)[1]
        number = np.argsort(np.argsort(first))[part]
        reached = np.where(near[:, rows], number, n).min(axis=1)
        labels = np.where(reached < n, reached, -1)
        labels[rows] = number
    return labels.astype(np.int64), core
