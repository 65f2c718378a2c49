"""Approximate neighbours behind the verbs of `modeseek.neighbors.choose`: hash tables, tuned when points come."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from modeseek.neighbors.lsh import Settings
from modeseek.neighbors.lsh_tuning import tune

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

RECALL, NEIGHBORS, SAMPLE = 0.9, 10, 600  # the share of so many neighbours that a sample of so many points must find


def chosen_by_itself(n: int) -> dict[str, Any]:
    """Return what `tune` is asked for where a search among so many points chooses all settings itself."""
    return {
        "given": Settings(n_tables=4),
        "n_hashes": None,
        "width": None,
        "n_probes": None,
        "recall": RECALL,
        "k": max(1, min(NEIGHBORS, n - 1)),
        "n_queries": SAMPLE,
    }


class HashSearch:
    """Points in hash tables (`modeseek.neighbors.lsh`), always the same for the same points.

    Parameters
    ----------
    points : ndarray of shape (n, d), float32 or float64
        Finite; kept, not copied where it is C-contiguous.
    n_jobs : int, optional
        Threads; results are the same to the bit for any number.
    """

    def __init__(self, points: NDArray[Any], n_jobs: int | None = None):
        self.tuned = tune(np.ascontiguousarray(points), **chosen_by_itself(len(points)), n_jobs=n_jobs)
        self.index = self.tuned.index
        self.n_jobs = n_jobs

    def nearest(self, queries: NDArray[Any] | None, k: int) -> tuple[Floats, Ints]:
        """Return distances and rows, (m, k), of the k nearest candidates by rising distance, ties by lower row."""
        self.index.n_jobs = self.n_jobs
        if queries is not None:
            return self.index.nearest(queries, k)
        distances, rows = self.index.nearest(self.index.X, k + 1)
        others = rows != np.arange(len(rows))[:, None]
        others[others.all(axis=1), -1] = False  # repeats took its place: the last is one too many
        return distances[others].reshape(-1, k), rows[others].reshape(-1, k)

    def count_within(self, queries: NDArray[Any] | None, radii: Floats) -> Ints:
        """Return how many candidates are within the radius of each query (None: of each point, itself not counted)."""
        self.index.n_jobs = self.n_jobs
        if queries is not None:
            return self.index.count_within(queries, radii)
        return self.index.count_within(self.index.X, radii) - 1  # the first bucket visited is its own

    def within(self, queries: NDArray[Any] | None, radii: Floats, far: bool = True) -> tuple[Ints, Ints, Floats]:
        """Return (indptr, rows, distances) of the candidates within the radius of each query, by rising row."""
        self.index.n_jobs = self.n_jobs
        indptr, rows, distances = self.index.within(self.index.X if queries is None else queries, radii)
        if queries is None:
            counts = np.diff(indptr)
            others = rows != np.repeat(np.arange(len(counts)), counts)
            indptr, rows, distances = np.append(0, np.cumsum(counts - 1)), rows[others], distances[others]
        return indptr, rows, distances if far else np.empty(0)
