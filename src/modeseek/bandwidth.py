"""Choosing one bandwidth for the data, by one of several rules: which there are, and what they have in common."""

import warnings
from collections.abc import Callable
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import check_random_state

from modeseek import rules
from modeseek.cells import cell_means
from modeseek.coverage import self_coverage
from modeseek.engines import data
from modeseek.engines.devices import device_of
from modeseek.engines.namespaces import is_dask
from modeseek.fields import Floats
from modeseek.neighbor_distance import half_distance_of_distinct, mean_neighbor_distance, of_masses
from modeseek.scale_space import BandwidthPath, evenly, path_of, path_of_parts, path_on_device

METHODS = ("auto", "third", "quantile", "normal", "plugin", "silverman", "scott", "knn", "self-coverage")
EXACT = 20_000  # points up to which scikit-learn's rule looks at all pairs
CELLS = 3000  # occupied by a sample of them, that stand in for more points
SAMPLE = 10_000  # points that do, in more than three columns


def estimate_bandwidth(
    X: ArrayLike,
    *,
    method: str = "auto",
    quantile: float | None = None,
    n_samples: int | None = None,
    sample_weight: ArrayLike | None = None,
    random_state: int | np.random.RandomState | None = None,
    n_jobs: int | None = None,
    device: Any = "auto",
) -> float:
    """Estimate a bandwidth for `MeanShift` from the data.

    All but "quantile" give the standard deviation h of a Gaussian.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features)
        Points.
    method : str, default="auto"
        "auto": from the clusters at every scale: one at which they stand apart, or else at which their number stays
        the same longest (`bandwidth_path`); one cluster only where no other number lasts, with a warning.
        "third": where the Gaussian covers a third of the data.
        "quantile": scikit-learn's rule, the radius of a flat kernel: the mean distance of a point from its k-th
        neighbour, k = quantile * n rounded down, itself being the first.
        "normal": normal reference for the gradient of the density, which mean shift follows.
        "plugin": plug-in rule for it, which knows no normal reference but in its last stage.
        "silverman", "scott": their rules, for the density itself.
        "knn": by the median distance to the k-th neighbour, k = sqrt(n).
        "self-coverage": where the share of the points that are within h of a mode stops growing (Einbeck 2011).
        `modeseek.rules` has the formulas.
    quantile : float, optional
        Share of the points, 0 to 1, that are neighbours; to give it selects ``method="quantile"``. None: 0.3.
    n_samples : int, optional
        How many points, drawn at random, to look at. None: all.
    sample_weight : array-like of shape (n_samples,), optional
        Weights of the points: whole ones count points. Rows of weight 0 are left out.
    random_state : int, RandomState or None
        Decides which points are drawn; None is 0, scikit-learn's default, so that results repeat.
    n_jobs : int, optional
        Threads; None means all cores.
    device : str or torch.device, default="auto"
        Where to work: "auto" is where X lies. On a GPU "auto" sums the points there; for the
        other rules up to 20 000 of them, evenly spaced in the order given, stand for all, and go to the CPU.

    Returns
    -------
    float
        The bandwidth, in the units of X: always above 0, and 1.0 where all rows are equal, and any bandwidth gives the
        same single cluster. Where a rule finds 0 (data that repeat, or k = 1), half the mean distance of distinct
        points from the nearest other, with a warning: most stay clusters of their own. "quantile" looks at all pairs
        of up to 20 000 points; of more, cells stand in for the points (up to three columns; within 0.3 % at a quantile
        of 0.3, 2 % at 0.01), or 10 000 of them, evenly spaced in the order given.

    Raises
    ------
    ValueError
        If X is empty or not finite, or a parameter is out of range.

    See Also
    --------
    bandwidth_path : Clusters at every scale, and why "auto" chooses what it does.

    References
    ----------
    J. E. Chacón and T. Duong, "Data-driven density derivative estimation, with applications to nonparametric clustering
    and bump hunting", Electron. J. Statist. 7 (2013). J. Einbeck, "Bandwidth selection for mean-shift based
    unsupervised learning techniques: a unified approach via self-coverage", J. Pattern Recognition Research 6 (2011).

    Examples
    --------
    >>> import modeseek as ms
    >>> _, X = ms.textbook.make_data()
    >>> 1.5 < ms.estimate_bandwidth(X) < 6
    True
    >>> round(ms.estimate_bandwidth(X, method="normal"), 3)
    7.612
    >>> round(float(ms.estimate_bandwidth([[1, 1], [2, 1], [1, 0], [4, 7], [3, 5], [3, 6]], quantile=0.5)), 4)
    1.6191
    """
    method = _method(method, quantile)
    if is_dask(X):
        from modeseek.distributed.parts import read

        refuse_rule(method, n_samples)
        return estimate_of_parts(read(X, sample_weight), n_jobs)
    on = device_of(device, X)
    if on is not None:
        from modeseek.engines import gpu
        from modeseek.engines.gpu import columns

        tensor = gpu.as_tensor(X, on)
        own = gpu.as_tensor_weights(sample_weight, len(tensor), on)
        if n_samples is not None:
            tensor, own = columns.take(tensor, own, _drawn(len(tensor), n_samples, random_state))
        return estimate_on_device(tensor, own, method, quantile, n_jobs)
    points = data.as_points(X)
    weights = data.as_weights(sample_weight, len(points))
    data.bounds(points, n_jobs)  # refuses what is not finite
    if n_samples is not None:
        rows = _drawn(len(points), n_samples, random_state)
        points, weights = points[rows], weights[rows] if weights.size else weights
    if weights.size:
        points, weights = points[weights > 0.0], weights[weights > 0.0]
    q = 0.3 if quantile is None else quantile
    if method == "auto":
        return _by_path(points, weights, n_jobs)
    found = _RULES[method](points, weights, q, n_jobs)
    if found > 0.0:
        return found
    found = half_distance_of_distinct(np.asarray(points, np.float64))
    which = f", quantile={q:g}," if method == "quantile" else ""
    warnings.warn(
        f"The distances that method={method!r}{which} goes by are all 0: the bandwidth is {found:g}, half the mean "
        "distance of distinct points. " + ("Use a larger quantile." if method == "quantile" else 'Use method="auto".'),
        UserWarning,
        stacklevel=2,
    )
    return found


def estimate_on_device(
    points: Any, weights: Any, method: str = "auto", quantile: float | None = None, n_jobs: int | None = None
) -> float:
    """Do as `estimate_bandwidth` for tensors; weights are None or a tensor."""
    from modeseek.engines import gpu
    from modeseek.engines.gpu import columns

    bounds = gpu.bounds(points)
    points, weights = columns.of_weight(points, weights)
    if method == "auto":
        if (bounds[0] == bounds[1]).all():
            return 1.0
        return chosen_of(path_on_device(points, weights, bounds, n_jobs=n_jobs))
    some, own = columns.few(points, weights, EXACT)
    return estimate_bandwidth(some, method=method, quantile=quantile, sample_weight=own, n_jobs=n_jobs)


def estimate_of_parts(parts: Any, n_jobs: int | None = None) -> float:
    """Do as `estimate_bandwidth` with ``method="auto"`` for `distributed.parts.Parts`."""
    if (parts.held[0] == parts.held[1]).all():
        return 1.0
    return chosen_of(path_of_parts(parts, n_jobs=n_jobs))


def refuse_rule(method: str, n_samples: int | None = None) -> None:
    """Refuse what looks at all points in one place."""
    if method != "auto" or n_samples is not None:
        asked = f"method={method!r}" if n_samples is None else f"n_samples={n_samples!r}"
        raise ValueError(
            f'Of a Dask collection only method="auto" chooses a bandwidth, got {asked}: estimate it from a sample, '
            "ms.estimate_bandwidth(X[::1000].compute(), ...)."
        )


def _drawn(n: int, n_samples: int, random_state: int | np.random.RandomState | None) -> NDArray[np.int64]:
    """Return the rows of a random sample."""
    data.whole(n_samples, "n_samples", 1)
    drawn = check_random_state(0 if random_state is None else random_state).permutation(n)[:n_samples]
    return np.asarray(drawn, np.int64)


def _method(method: str, quantile: object) -> str:
    """Return the rule that the parameters select, or say what is wrong with them."""
    if method not in METHODS:
        raise ValueError(f"method must be one of {', '.join(map(repr, METHODS))}, got {method!r}.")
    if quantile is None:
        return method
    if isinstance(quantile, bool) or not isinstance(quantile, Real):
        raise TypeError(f"quantile must be a number, got {quantile!r}.")
    if not 0.0 <= float(quantile) <= 1.0:
        raise ValueError(f"quantile must be between 0 and 1, got {quantile!r}.")
    return "quantile"


def _by_path(points: NDArray[Any], weights: Floats, n_jobs: int | None) -> float:
    """Return what the path chooses; say so where it is one cluster."""
    if not (points != points[0]).any():
        return 1.0
    return chosen_of(path_of(points, weights, n_jobs=n_jobs))


def chosen_of(path: BandwidthPath) -> float:
    """Return the bandwidth of a path; say so where it is one cluster."""
    if path.chosen is None:
        warnings.warn(
            f"At no scale do clusters stand out from chance for long: the bandwidth {path.bandwidth:g}, the spread of "
            "the data, makes one cluster of them. ms.bandwidth_path(X) shows every scale.",
            UserWarning,
            stacklevel=4,
        )
    return path.bandwidth


def _by_quantile(points: NDArray[Any], weights: Floats, quantile: float, n_jobs: int | None) -> float:
    """Return scikit-learn's estimate."""
    n, d = points.shape
    if n > EXACT and d <= 3:
        return of_masses(*_cells(points, weights), quantile, n_jobs)
    if n > EXACT:
        points, weights = evenly(points, weights, SAMPLE), np.empty(0)
    x = np.asarray(points, np.float64)
    return np.float64(mean_neighbor_distance(x, weights, quantile, n_jobs))  # its type decides how bins are rounded


def _cells(points: NDArray[Any], weights: Floats) -> tuple[Floats, Floats]:
    """Return the means and weights of occupied cells, of a side at which a sample occupies CELLS of them."""
    sample = evenly(points, weights, EXACT)
    side = float(np.ptp(sample, axis=0).max()) / CELLS ** (1.0 / points.shape[1])
    for _ in range(8):
        occupied = len(np.unique(np.floor((sample - sample[0]) / side), axis=0))
        if occupied >= 0.7 * CELLS:
            break
        side *= max(0.5, (occupied / CELLS) ** (1.0 / points.shape[1]))
    means, masses, _ = cell_means(points, weights, side)
    return means, masses


def _rule(rule: Callable[[NDArray[Any], Floats], float]) -> Callable[[NDArray[Any], Floats, float, int | None], float]:
    return lambda points, weights, quantile, n_jobs: rule(points, weights)


_RULES: dict[str, Callable[[NDArray[Any], Floats, float, int | None], float]] = {
    "third": _rule(rules.third),
    "quantile": _by_quantile,
    "normal": _rule(rules.normal),
    "plugin": _rule(rules.plugin),
    "silverman": _rule(rules.silverman),
    "scott": _rule(rules.scott),
    "knn": _rule(rules.neighbours),
    "self-coverage": lambda points, weights, quantile, n_jobs: self_coverage(points, weights, n_jobs),
}
