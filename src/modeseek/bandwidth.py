r"""Choosing the bandwidth: the scale at which the clusters of a sample stay the same the longest.

On a sample, climb at the finest scale, then let its modes climb on at ever larger ones: the number of clusters
that hold more than a few points falls step by step. A count that persists over a long range of log h is
structure, one that passes quickly is not (scale-space clustering: Leung, Zhang & Xu, PAMI 2000; Chakravarthy &
Ghosh 1996). The bandwidth is the middle, in log h, of the longest such range.
"""

import warnings
from numbers import Real

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial.distance import cdist
from sklearn.utils import check_random_state

from modeseek.climb import ModeFinder
from modeseek.engines import data
from modeseek.fields import Floats
from modeseek.fields.dense import DenseField
from modeseek.neighbor_distance import half_distance_of_distinct, mean_neighbor_distance

METHODS = ("auto", "quantile")
SAMPLE = 500  # points that climb
RATIO = 1.15  # of neighbouring scales
FINEST = 0.005  # of the spread: no scale below it
NEIGHBOR = 4  # the finest scale is the median distance to this neighbour
SMALLEST = 0.02  # of the sample: smaller clusters do not count
TOL, MAX_ITER = 1e-3, 200


def estimate_bandwidth(
    X: ArrayLike,
    *,
    method: str = "auto",
    quantile: float | None = None,
    n_samples: int | None = None,
    sample_weight: ArrayLike | None = None,
    random_state: int | np.random.RandomState | None = None,
    n_jobs: int | None = None,
) -> float:
    """Estimate a bandwidth for `MeanShift` from the data.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features)
        Points.
    method : {"auto", "quantile"}, default="auto"
        "auto": the standard deviation h of a Gaussian kernel, the middle, in log h, of the longest range of scales over
        which the number of clusters (of at least 2 % of the sample) stays the same. At most 500 points, evenly spaced
        in the order given, are looked at. "quantile": scikit-learn's rule, the radius of a flat kernel: the mean
        distance of a point from its k-th neighbour, k = quantile * n rounded down, itself being the first.
    quantile : float, optional
        Share of the points, 0 to 1, that are neighbours; to give it selects ``method="quantile"``. None: 0.3.
    n_samples : int, optional
        With "quantile": how many points, drawn at random, to look at. None: all.
    sample_weight : array-like of shape (n_samples,), optional
        Weights of the points; rows of weight 0 are left out. With "quantile" a point of weight 2 counts as two.
    random_state : int, RandomState or None
        Decides which points are drawn; None is 0, scikit-learn's default, so that results repeat.
    n_jobs : int, optional
        Threads; None means all cores.

    Returns
    -------
    float
        The bandwidth, in the units of X: always above 0, and 1.0 where all rows are equal, and any bandwidth gives the
        same single cluster. Where the distances of the quantile rule are 0 (data that repeat, or k = 1), half the mean
        distance of distinct points from the nearest other, with a warning: most stay clusters of their own.

    Raises
    ------
    ValueError
        If X is empty or not finite, or a parameter is out of range.

    References
    ----------
    Y. Leung, J.-S. Zhang and Z.-B. Xu, "Clustering by scale-space filtering", IEEE PAMI 22 (2000).

    Examples
    --------
    >>> import modeseek as ms
    >>> _, X = ms.textbook.make_data()
    >>> 1.5 < ms.estimate_bandwidth(X) < 5
    True
    >>> round(float(ms.estimate_bandwidth([[1, 1], [2, 1], [1, 0], [4, 7], [3, 5], [3, 6]], quantile=0.5)), 4)
    1.6191
    """
    points = data.as_points(X)
    weights = data.as_weights(sample_weight, len(points))
    data.bounds(points, n_jobs)
    method = _method(method, quantile, n_samples)
    if method == "quantile" and n_samples is not None:
        rows = check_random_state(0 if random_state is None else random_state).permutation(len(points))[:n_samples]
        points, weights = points[rows], weights[rows] if weights.size else weights
    if weights.size:
        points, weights = points[weights > 0.0], weights[weights > 0.0]
    if method == "quantile":
        return _by_quantile(np.asarray(points, np.float64), weights, 0.3 if quantile is None else quantile, n_jobs)
    rows = np.unique(np.linspace(0, len(points) - 1, SAMPLE).round().astype(np.int64))
    sample = np.asarray(points[rows], np.float64)
    return longest_scale(sample - sample.mean(axis=0), n_jobs)


def _method(method: str, quantile: object, n_samples: object) -> str:
    """Return the rule that the parameters select, or say what is wrong with them."""
    if method not in METHODS:
        raise ValueError(f"method must be one of {', '.join(map(repr, METHODS))}, got {method!r}.")
    if quantile is not None:
        if isinstance(quantile, bool) or not isinstance(quantile, Real):
            raise TypeError(f"quantile must be a number, got {quantile!r}.")
        if not 0.0 <= float(quantile) <= 1.0:
            raise ValueError(f"quantile must be between 0 and 1, got {quantile!r}.")
        method = "quantile"
    if n_samples is not None:
        data.whole(n_samples, "n_samples", 1)
        if method != "quantile":
            raise ValueError(f'n_samples={n_samples} is of use with method="quantile" only.')
    return method


def _by_quantile(points: Floats, weights: Floats, quantile: float, n_jobs: int | None) -> float:
    """Return scikit-learn's estimate; what takes its place where that is 0."""
    found = mean_neighbor_distance(points, weights, quantile, n_jobs)
    if found > 0.0:
        return np.float64(found)  # scikit-learn's type: it decides how `get_bin_seeds` rounds
    found = half_distance_of_distinct(points)
    warnings.warn(
        f"The distances to the k-th neighbour, quantile={quantile:g}, are all 0: the bandwidth is {found:g}, half the "
        "mean distance of distinct points. Use a larger quantile.",
        UserWarning,
        stacklevel=3,
    )
    return found


def longest_scale(sample: Floats, n_jobs: int | None) -> float:
    """Return the middle of the longest range of scales with the same number of clusters."""
    spread = float(np.sqrt(np.linalg.eigvalsh(np.atleast_2d(np.cov(sample.T, bias=True)))[-1].clip(0)))
    if len(sample) < 2 or spread <= 1e-12 * np.abs(sample).max():
        return spread if spread > 0.0 else 1.0
    scales = _scales(sample, spread)
    counts = _cluster_counts(sample, scales, n_jobs)
    change = np.flatnonzero(np.diff(counts)) + 1
    first, last = np.append(0, change), np.append(change, len(counts)) - 1
    best = int(np.argmax(last - first))  # the finer of two equally long ranges
    return float(np.sqrt(scales[first[best]] * scales[last[best]]))


def _scales(sample: Floats, spread: float) -> Floats:
    """Return the geometric series of bandwidths, from the distance of close neighbours to the spread."""
    distances = cdist(sample, sample)
    k = min(NEIGHBOR, len(sample) - 1)
    close = float(np.median(np.partition(distances, k, axis=1)[:, k]))
    # rounded data repeat: below their resolution every value is a cluster, at any scale
    distinct = float(np.median(np.where(distances > 0.0, distances, np.inf).min(axis=1)))
    finest = min(max(close, distinct, FINEST * spread), 0.5 * spread)
    n = int(np.ceil(np.log(spread / finest) / np.log(RATIO))) + 1
    return np.geomspace(finest, spread, n)


def _cluster_counts(sample: Floats, scales: Floats, n_jobs: int | None) -> NDArray[np.int64]:
    """Count the clusters at every scale that hold at least SMALLEST of the sample."""
    starts, labels = sample, np.arange(len(sample))
    least = max(2.0, SMALLEST * len(sample))
    counts = np.empty(len(scales), np.int64)
    for k, h in enumerate(scales):
        field = DenseField(sample, np.empty(0), float(h))
        finder = ModeFinder(field, None, tol=TOL, max_iter=MAX_ITER, n_jobs=n_jobs)
        labels = finder.find(starts)[labels]
        starts = finder.positions
        counts[k] = max(1, int((np.bincount(labels) >= least).sum()))
    return counts
