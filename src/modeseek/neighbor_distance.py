r"""The mean distance to the k-th neighbour, k = q n: scikit-learn's rule for a bandwidth, exactly and faster.

The distance r_k(x) of a point from its k-th neighbour changes by no more than x moves. So for a tile of points within
rho of its centre c, points nearer to c than r_k(c) - 2 rho are among the k nearest of every point of the tile, those
beyond r_k(c) + 2 rho of none, and only the shell between is sorted.
"""

import numpy as np
from scipy.spatial import cKDTree
from scipy.spatial.distance import cdist

from modeseek.cells import bit_patterns, distinct_rows
from modeseek.engines.threads import run_chunks
from modeseek.fields import Floats
from modeseek.fields.compact import compact_groups

BINS, MASSES_AT_ONCE = 512, 64
MARGIN = 1e-9  # of a distance: more than it is rounded by


def mean_neighbor_distance(x: Floats, weights: Floats, quantile: float, n_jobs: int | None = None) -> float:
    """Return the mean distance of the points from their k-th neighbour, each being its own first.

    Parameters
    ----------
    x : ndarray of shape (n, d)
        Points.
    weights : ndarray of shape (n,)
        Weights above 0: a point of weight 2 counts as two; length 0 means unit weights.
    quantile : float
        k = q n rounded down, at least 1. With weights q times their sum, rounded down where all are whole.

    Returns
    -------
    float
        sum_i w_i r_k(x_i) / sum_i w_i, at least 0.
    """
    w = weights if weights.size else np.ones(len(x))
    total = float(w.sum())
    rank = quantile * total
    if (w == np.rint(w)).all():
        rank = float(int(rank))
    rank = max(rank, float(w.min()))
    order, starts = compact_groups(x)
    x, w, equal = x[order], w[order], not weights.size
    distances = np.empty(len(x))

    def work(_: int, first: int, last: int) -> None:
        for t in range(first, last):
            tile = slice(starts[t], starts[t + 1])
            distances[tile] = _of_tile(x[tile], x, w, rank, equal)

    run_chunks(len(starts) - 1, work, n_jobs, 1)
    return float(np.dot(w, distances) / total)


def _of_tile(tile: Floats, x: Floats, w: Floats, rank: float, equal: bool) -> Floats:
    """Return the distance of each point of a tile from its neighbour of that rank."""
    centre = tile.mean(axis=0, keepdims=True)
    rho = float(cdist(centre, tile).max())
    from_centre = cdist(centre, x)
    middle = float(_ranked(from_centre, w, rank, equal)[0])
    slack = 2.0 * rho + MARGIN * (middle + rho)
    nearer = from_centre[0] < middle - slack
    shell = (from_centre[0] <= middle + slack) & ~nearer
    return _ranked(cdist(tile, x[shell]), w[shell], rank - float(w[nearer].sum()), equal)


def _ranked(distances: Floats, w: Floats, rank: float, equal: bool) -> Floats:
    """Return for each row the least distance up to which the weights sum to ``rank``."""
    if equal:
        k = min(max(int(rank), 1), distances.shape[1]) - 1
        return np.partition(distances, k, axis=1)[:, k]
    order = np.argsort(distances, axis=1, kind="stable")
    sums = np.cumsum(w[order], axis=1)
    k = np.minimum((sums < rank * (1.0 - 1e-12)).sum(axis=1), distances.shape[1] - 1)
    return np.take_along_axis(distances, np.take_along_axis(order, k[:, None], axis=1), axis=1)[:, 0]


def half_distance_of_distinct(x: Floats) -> float:
    """Return half the mean distance of distinct points from the nearest other; 1.0 if there is one only."""
    _, first = distinct_rows(x, bit_patterns)
    if len(first) < 2:
        return 1.0
    distinct = x[first]
    return 0.5 * float(cKDTree(distinct).query(distinct, k=2)[0][:, 1].mean())


def of_masses(x: Floats, masses: Floats, quantile: float, n_jobs: int | None = None) -> float:
    """Return the mean distance within which there is a share of all mass, about places that stand for many points.

    The mass within a distance is counted in BINS steps and taken to grow linearly within one.
    """
    rank = quantile * float(masses.sum())
    if rank <= 0.0:
        return 0.0
    distances = np.empty(len(x))

    def work(_: int, start: int, stop: int) -> None:
        from_tile = cdist(x[start:stop], x)
        widest = from_tile.max(axis=1) * (1.0 + 1e-12)
        step = np.where(widest > 0.0, widest, 1.0) / BINS
        bins = (from_tile / step[:, None]).astype(np.int64) + BINS * np.arange(stop - start)[:, None]
        counts = np.bincount(bins.reshape(-1), np.broadcast_to(masses, bins.shape).reshape(-1), BINS * (stop - start))
        counts = counts.reshape(-1, BINS)
        sums = np.cumsum(counts, axis=1)
        k = np.minimum((sums < rank).sum(axis=1), BINS - 1)
        rows = np.arange(stop - start)
        inside = counts[rows, k]
        part = (rank - (sums[rows, k] - inside)) / np.where(inside > 0.0, inside, 1.0)
        distances[start:stop] = (k + np.clip(part, 0.0, 1.0)) * step

    run_chunks(len(x), work, n_jobs, MASSES_AT_ONCE)
    return float(masses @ distances / masses.sum())
