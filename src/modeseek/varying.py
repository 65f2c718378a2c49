r"""Bandwidths for each point, by rule: wide where points are few, narrow where they crowd.

``"adaptive-knn"``: h_i is the distance to the k-th neighbour, k = sqrt(W) rounded up for points of total weight W
(Loftsgaarden and Quesenberry, "A nonparametric estimate of a multivariate density function", Ann. Math. Stat. 36,
1965).

``"abramson"``: h_i = h (f(x_i) / G)^(-1/2), f the density by the fixed bandwidth h, which `estimate_bandwidth` chooses,
and G the geometric mean of the f(x_i), so that that of the h_i is h (Abramson, "On bandwidth variation in kernel
estimates: a square root law", Ann. Statist. 10, 1982).
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from modeseek.cells import bit_patterns, coordinates
from modeseek.costs import choose_field
from modeseek.engines.threads import effective_n_jobs
from modeseek.fields import Floats
from modeseek.label import KeyLabels

QUERIES_AT_ONCE = 1 << 21  # neighbours held at once

RULES = ("adaptive-knn", "abramson")


def is_several(bandwidth: Any) -> bool:
    """Tell whether a bandwidth is more than one number: an array, or a rule that gives one for each point."""
    return np.ndim(bandwidth) > 0 or (isinstance(bandwidth, str) and bandwidth in RULES)


def neighbour_distances(points: NDArray[Any], weights: Floats, n_jobs: int | None = None) -> Floats:
    """Return the distance of each point to its k-th neighbour, k = sqrt(W) rounded up.

    Weights count as repeats: the distance is the least within which there are points of weight k + 1, the point itself
    among them. Where that is 0, among repeats, it is the distance to the nearest other point.

    Parameters
    ----------
    points : ndarray of shape (n, d)
        Points.
    weights : ndarray of shape (n,)
        Weights; length 0 means unit weights.
    n_jobs : int, optional
        Threads.

    Returns
    -------
    ndarray of shape (n,)
        Distances above 0; all 1 where no two points differ.

    Examples
    --------
    >>> neighbour_distances(np.array([[0.0], [1.0], [3.0]]), np.empty(0))
    array([3., 2., 3.])
    """
    keys = KeyLabels(points, bit_patterns)
    x = coordinates(keys.keys)
    w = np.bincount(keys.numbers, weights if weights.size else None).astype(np.float64)
    x, w = x[w > 0.0], w[w > 0.0]
    if len(x) == 1:
        return np.ones(len(points))
    total = float(w.sum())
    wanted = min(np.ceil(np.sqrt(total)) + 1.0, total)
    k = int(min(len(x), max(2, np.ceil(wanted / w.min()))))
    tree = cKDTree(x)
    queries = coordinates(keys.keys)  # points of weight 0 have a bandwidth too, though nothing depends on it
    found = np.empty(len(queries))
    if (w == 1.0).all() and len(x) == len(queries):
        found[:] = tree.query(queries, [k], workers=effective_n_jobs(n_jobs))[0][:, 0]
        return found[keys.numbers]
    return _weighted(tree, w, queries, wanted, k, n_jobs)[keys.numbers]


def _weighted(tree: cKDTree, w: Floats, queries: Floats, wanted: float, k: int, n_jobs: int | None) -> Floats:
    """Return the least distance above 0 within which there is so much weight, among the k nearest."""
    found = np.empty(len(queries))
    rows = max(1, QUERIES_AT_ONCE // k)
    for start in range(0, len(queries), rows):
        part = slice(start, start + rows)
        distances, nearest = tree.query(queries[part], k, workers=effective_n_jobs(n_jobs))
        reached = np.cumsum(w[nearest], axis=1) >= wanted * (1.0 - 1e-12)
        enough = np.where(reached.any(axis=1), reached.argmax(axis=1), k - 1)
        first = (distances > 0.0).argmax(axis=1)
        found[part] = distances[np.arange(len(distances)), np.maximum(enough, first)]
    return found


def square_root_law(points: NDArray[Any], weights: Floats, bandwidth: float, n_jobs: int | None = None) -> Floats:
    """Return Abramson's bandwidths about a fixed one.

    Parameters
    ----------
    points : ndarray of shape (n, d)
        Points.
    weights : ndarray of shape (n,)
        Weights; length 0 means unit weights.
    bandwidth : float
        The fixed bandwidth h, of the density that they follow, and their geometric mean.
    n_jobs : int, optional
        Threads.

    Returns
    -------
    ndarray of shape (n,)
        Bandwidths.

    Examples
    --------
    >>> h = square_root_law(np.array([[0.0], [0.1], [0.2], [5.0]]), np.empty(0), 0.5)
    >>> print(h.round(2))
    [0.44 0.44 0.44 0.75]
    """
    keys = KeyLabels(points, bit_patterns)
    x = coordinates(keys.keys)
    w = np.bincount(keys.numbers, weights if weights.size else None).astype(np.float64)
    field, _ = choose_field(x, w, bandwidth)
    density = field.shift(x)[1]
    kept = w > 0.0
    log_density = np.log(np.maximum(density, w[kept].min() * 1e-300))
    log_mean = float(w[kept] @ log_density[kept] / w[kept].sum())
    spread = np.clip(-0.5 * (log_density - log_mean), -300.0, 300.0)
    return (bandwidth * np.exp(spread))[keys.numbers]
