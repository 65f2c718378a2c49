"""DBSCAN, exact: by cells in up to three columns, by a tree of boxes in more, by all pairs where points are few.

A point is core if the points within eps of it, itself among them, weigh at least min_samples. Core points within eps of
each other are of one cluster; a point that is not core belongs to the first cluster that has a core point within eps.
All three give the same labels: distances are tested as |x - y|^2 <= eps^2, in float64, on the coordinates as given.
Neighbours are never listed.

Source: M. Ester, H.-P. Kriegel, J. Sander and X. Xu, "A density-based algorithm for discovering clusters in large
spatial databases with noise", KDD (1996) 226-231.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from modeseek.dbscan import blocks, cells, pairs

FEW = 512  # rows: below this nothing is compiled
SMALLEST, LARGEST = 1e-150, 1e150  # squares of what is between can be told from 0 and infinity


def cluster(
    points: NDArray[Any],
    bounds: NDArray[np.float64],
    eps: float,
    min_samples: int,
    weights: NDArray[np.float64],
    n_jobs: int | None = None,
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Cluster points.

    Parameters
    ----------
    points : ndarray of shape (n, d), float32 or float64
        Points.
    bounds : ndarray of shape (2, d)
        Least and greatest value of each column.
    eps : float
        Largest distance of neighbours.
    min_samples : int
        Least weight around a core point.
    weights : ndarray of shape (n,) or (0,)
        Weights, of any sign; none if all are one.
    n_jobs : int, optional
        Threads.

    Returns
    -------
    labels : ndarray of shape (n,)
        Clusters, numbered as their first core points come; -1 for noise.
    core : ndarray of shape (n,)
        Whether each point is core.

    Raises
    ------
    ValueError
        If squares of eps or of the data's extent underflow or overflow.

    Examples
    --------
    >>> x = np.array([[0.0], [1.0], [2.0], [9.0]])
    >>> print(*cluster(x, np.array([[0.0], [9.0]]), 1.0, 3, np.empty(0)))
    [ 0  0  0 -1] [False  True False False]
    """
    check_scale(bounds, eps)
    if len(points) <= FEW:
        return pairs.cluster(points, eps, min_samples, weights)
    points = np.ascontiguousarray(points)
    grid = cells.Grid.over(bounds, eps)
    if grid is None:
        return blocks.cluster(points, eps, min_samples, weights, n_jobs)
    return cells.cluster(points, grid, eps, min_samples, weights, n_jobs)


def check_scale(bounds: NDArray[np.float64], eps: float) -> None:
    """Raise ValueError where squares of eps or of the data's extent cannot be told from 0 or infinity."""
    with np.errstate(over="ignore"):
        spread = float((bounds[1] - bounds[0]).max())
    if spread > 0.0 and (eps < SMALLEST or not spread < LARGEST):
        raise ValueError(
            f"With eps={eps:g} and data that span {spread:g} in one column, squares of distances underflow or "
            f"overflow. Divide X and eps by a common scale first."
        )
