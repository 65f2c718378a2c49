"""Where climbs of the flat kernel start: the corners of occupied bins, or places that the caller names.

Comaniciu and Meer (2002) start from a tessellation of space; scikit-learn rounds the points to a grid.
"""

import warnings
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from modeseek.cells import bit_patterns, distinct_rows
from modeseek.engines import data

FLOAT32_BINS = 1 << 14  # bins from the origin up to which float32 holds a seed to a thousandth of a bin


def get_bin_seeds(X: ArrayLike, bin_size: float, min_bin_freq: int = 1) -> NDArray[Any]:
    """Find starts for `mean_shift`: points rounded to a grid.

    The seeds are bin_size * round(x / bin_size) for every point x, each once, in the order in which they first occur.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features)
        Points.
    bin_size : float
        Spacing of the grid, usually the bandwidth; 0 returns X.
    min_bin_freq : int, default=1
        Least number of points that round to a seed.

    Returns
    -------
    ndarray of shape (n_seeds, n_features)
        Seeds; as in scikit-learn they are rounded to float32 in between, but only up to 16 384 bins from the origin,
        where that moves none by more than a thousandth of a bin. If all bins hold one point each, X, with a warning.

    Raises
    ------
    ValueError
        If X is empty or not finite, ``bin_size`` is negative or not finite, or no bin holds enough points.

    See Also
    --------
    sklearn.cluster.get_bin_seeds : Loops over the points, and returns no seeds where no bin holds enough points.

    References
    ----------
    D. Comaniciu and P. Meer, "Mean shift: a robust approach toward feature space analysis", IEEE PAMI 24 (2002).

    Examples
    --------
    >>> import modeseek as ms
    >>> ms.get_bin_seeds([[0.1, 0.2], [3.9, 4.3], [4.1, 3.8]], 2.0).tolist()
    [[0.0, 0.0], [4.0, 4.0]]
    """
    points = data.as_points(X)
    data.bounds(points)
    least = data.whole(min_bin_freq, "min_bin_freq", 1)
    if bin_size == 0:
        return points
    data.positive(bin_size, "bin_size")
    return bin_seeds(points, np.empty(0), bin_size, least)


def bin_seeds(points: NDArray[Any], weights: NDArray[np.float64], bin_size: float, least: int) -> NDArray[Any]:
    """Do as `get_bin_seeds` for points that are checked, a point of weight 2 counting as two (length 0: all one)."""
    if weights.size:
        points, weights = points[weights > 0.0], weights[weights > 0.0]
    bins = np.round(points / bin_size)
    if not np.isfinite(bins).all():
        raise ValueError(f"bin_size={bin_size:g} is too small for X: the number of a bin overflows. Use a larger one.")
    number, first = distinct_rows(bins, bit_patterns)
    chosen = bins[first[np.bincount(number, weights if weights.size else None) >= least]]
    if not len(chosen):
        raise ValueError(
            f"No bin of side {bin_size:g} holds min_bin_freq={least} points. Use a larger bin_size or bandwidth, or a "
            "smaller min_bin_freq."
        )
    if len(chosen) == (weights.sum() if weights.size else len(points)):
        warnings.warn(f"Every point has a bin of side {bin_size:g} to itself: the points are the seeds.", stacklevel=3)
        return points
    near = np.abs(chosen).max() <= FLOAT32_BINS
    return np.multiply(chosen.astype(np.float32 if near else np.float64), bin_size)


def as_seeds(seeds: ArrayLike, n_columns: int) -> NDArray[np.float64]:
    """Return seeds as float64, or say what is wrong with them."""
    places = np.asarray(seeds)
    if places.dtype.kind not in "biuf":
        raise TypeError(f"seeds must hold real numbers, got dtype {places.dtype}.")
    if places.ndim != 2 or not len(places) or places.shape[1] != n_columns:
        raise ValueError(
            f"seeds must have shape (n_seeds, {n_columns}), a row for each start and a column for each of X, "
            f"got {places.shape}."
        )
    places = places.astype(np.float64)
    data.bounds(places, name="seeds")
    return places
