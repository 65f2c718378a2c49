"""k-means and DBSCAN by their definitions.

Sources: S. P. Lloyd, "Least squares quantization in PCM", IEEE Trans. Inf. Theory 28 (1982) 129-137; M. Ester,
H.-P. Kriegel, J. Sander and X. Xu, "A density-based algorithm for discovering clusters in large spatial databases with
noise", KDD (1996) 226-231.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from modeseek.textbook.arrays import float_copy, integer, positive
from modeseek.textbook.neighbors import Floats, Ints, k_nearest, within


def kmeans(
    X: ArrayLike, centers: ArrayLike, rounds: int, sample_weight: ArrayLike | None = None
) -> tuple[Floats, Ints, float]:
    """Lloyd's algorithm: points go to the nearest centre, centres to the mean of their points.

    Parameters
    ----------
    X : array of shape (n, d)
        Points.
    centers : array of shape (k, d)
        Where the centres start.
    rounds : int
        How often all centres move.
    sample_weight : array of shape (n,), optional
        Weights of the points, 1 by default.

    Returns
    -------
    centers : ndarray of shape (k, d)
        After the last round. A centre that owns no weight stays where it is.
    labels : ndarray of shape (n,)
        The nearest of them for each point; of equally near ones the first.
    inertia : float
        ``sum_i w_i |x_i - c(x_i)|^2``.

    Examples
    --------
    >>> centers, labels, inertia = kmeans([[0.0], [1.0], [8.0], [9.0]], [[0.0], [1.0]], 3)
    >>> print(centers.ravel(), labels, inertia)
    [0.5 8.5] [0 0 1 1] 1.0
    """
    points, moved = float_copy("X", np.asarray(X, np.float64)), float_copy("centers", np.asarray(centers, np.float64))
    w = _weights(sample_weight, len(points))
    for _ in range(integer("rounds", rounds, 0)):
        labels = k_nearest(points, moved, 1)[1][:, 0]
        for j in range(len(moved)):
            mine = labels == j
            if w[mine].sum() > 0:
                moved[j] = (w[mine, None] * points[mine]).sum(0) / w[mine].sum()
    distances, nearest = k_nearest(points, moved, 1)
    return moved, nearest[:, 0], float((w * distances[:, 0] ** 2).sum())


def dbscan(X: ArrayLike, eps: float, min_samples: float, sample_weight: ArrayLike | None = None) -> tuple[Ints, Ints]:
    """Density-based clusters: core points within eps of each other are of one cluster, and so is what they reach.

    A point is *core* if the points within ``eps`` of it, itself among them, weigh at least ``min_samples``.

    Parameters
    ----------
    X : array of shape (n, d)
        Points.
    eps : float
        Largest distance of neighbours, positive.
    min_samples : float
        Least weight around a core point.
    sample_weight : array of shape (n,), optional
        Weights of the points, 1 by default.

    Returns
    -------
    labels : ndarray of shape (n,)
        Clusters are numbered as their first core points come; a point that is not core has the first cluster that
        has a core point within eps of it, or -1.
    core : ndarray
        The rows of the core points, in rising order.

    Examples
    --------
    >>> labels, core = dbscan([[0.0], [1.0], [2.0], [9.0]], 1.0, 3)
    >>> print(labels, core)
    [ 0  0  0 -1] [1]
    """
    near = within(X, X, positive("eps", eps))
    w = _weights(sample_weight, len(near))
    is_core = np.array([w[rows].sum() >= min_samples for rows in near])
    labels, found = np.full(len(near), -1), 0
    for first in np.flatnonzero(is_core):
        if labels[first] >= 0:
            continue
        stack = [first]
        while stack:
            row = stack.pop()
            if labels[row] < 0:
                labels[row] = found
                if is_core[row]:
                    stack.extend(near[row][labels[near[row]] < 0])
        found += 1
    return labels, np.flatnonzero(is_core)


def _weights(sample_weight: ArrayLike | None, n: int) -> NDArray[np.float64]:
    """Return a weight for every point."""
    w = np.ones(n) if sample_weight is None else np.asarray(sample_weight, np.float64)
    if w.shape != (n,) or not np.isfinite(w).all():
        raise ValueError(f"sample_weight must hold {n} finite numbers, one for each point, got shape {w.shape}")
    return w
