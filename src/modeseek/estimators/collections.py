"""What estimators do with collections of Dask. Nothing of it is imported before one comes in."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted, validate_data

from modeseek.bandwidth import METHODS, estimate_of_parts, refuse_rule
from modeseek.engines import data, namespaces
from modeseek.engines.weights import as_kernel
from modeseek.forms import Form, shown_bandwidth, warn_of_scales
from modeseek.geometry import Plain, choose_geometry, number_of
from modeseek.kernels import GAUSSIAN
from modeseek.result import Clustering

USUAL = {"metric": "euclidean", "standardize": False, "blurring": False, "assign": "basin"}


def type_of(model: Any, X: Any, reset: bool) -> np.dtype[Any]:
    """Note or check the columns of a collection by their names and number; return the type to read values as."""
    from modeseek.distributed.parts import example_of

    if not reset:
        check_is_fitted(model)
    example = example_of(X)
    return validate_data(model, example, reset=reset, dtype=namespaces.precision(example)).dtype


def ask(model: Any, method: str, X: Any, tail: tuple[int, ...] = (), kind: Any = np.int32) -> Any:
    """Return what a fitted model says of the rows of a collection, lazily."""
    from modeseek.distributed import asking

    return asking.ask(model, method, X, type_of(model, X, reset=False), tail, kind)


def read(model: Any, X: Any, sample_weight: Any) -> Any:
    """Return the partitions of a collection, of which the columns are noted in the model."""
    from modeseek.distributed import parts

    dtype = type_of(model, X, reset=True)
    return parts.read(X, sample_weight, dtype, model.n_features_in_)


def cut_alike(labels: NDArray[Any], sizes: tuple[int, ...]) -> Any:
    """Return labels as a Dask array in the partitions that the points came in."""
    import dask.array as da

    return da.from_array(labels, chunks=(sizes,))


def fit_gathered(model: Any, parts: Any) -> None:
    """Fit a small collection as points in memory."""
    names = model.__dict__.get("feature_names_in_")
    points, weights = parts.gather()
    model.fit(points, sample_weight=weights if parts.weights is not None else None)
    if names is not None:
        model.feature_names_in_ = names
    model.labels_ = cut_alike(model.labels_, parts.sizes)


def refused_by_mean_shift(model: Any, parts: Any) -> list[str]:
    """Return the settings of a model that need all points in one place."""
    settings = [f"{name}={getattr(model, name)!r}" for name, usual in USUAL.items() if getattr(model, name) != usual]
    if as_kernel(model.kernel) is not GAUSSIAN:
        settings.append(f"kernel={model.kernel!r}")
    if model.fidelity == "exact":
        settings.append('fidelity="exact"')
    number, h = number_of(model.bandwidth), model.bandwidth
    if isinstance(h, str) and h != "auto":
        settings.append(f"bandwidth={h!r}")
    elif number is None and np.shape(h) not in ((parts.d,), (parts.d, parts.d)):
        settings.append(f"bandwidth of shape {np.shape(h)}")
    if parts.d > 3:
        settings.append(f"clustering in {parts.d} columns")
    return settings


def cluster_parts(model: Any, parts: Any, options: dict[str, Any]) -> tuple[Clustering, Form, Any]:
    """Cluster partitions where they are; return what was found, the form, and lazy labels."""
    from modeseek.distributed import routes
    from modeseek.distributed.problem import DaskProblem

    geometry = choose_geometry("euclidean", model.bandwidth, np.empty((0, parts.d)), parts.bounds)
    if not isinstance(geometry, Plain):
        parts = parts.mapped(geometry.into)
    h = geometry.bandwidth
    if np.isnan(h):
        if isinstance(model.bandwidth, str) and model.bandwidth in METHODS:
            refuse_rule(model.bandwidth)
        warn_of_scales(parts.evenly(1000), np.empty(0))
        h = estimate_of_parts(parts, model.n_jobs)
        geometry = Plain(h)
    data.check_scale(parts.bounds, h)
    form = Form(geometry, h, np.empty(0), shown_bandwidth(geometry, model.bandwidth, h))
    problem = DaskProblem.of(parts, h, **options)
    found = routes.cluster(problem, model.fidelity)
    persistence = float(model.min_persistence) if model.merge == "persistence" else None
    routes.gather_modes(problem, found, persistence, float(model.min_cluster_size), bool(model.cluster_all))
    return found, form, routes.labels_of(problem, found)


# ---- k-means ------------------------------------------------------------------------------------------------------


def starts(parts: Any, n: int, start: Callable[[Any], NDArray[Any]], init: Any) -> list[NDArray[Any]]:
    """Return centres to start from, (k, d) each: drawn among points that are evenly spaced in the order of rows."""
    from modeseek.distributed import kmeans

    some = kmeans.sample(parts, 1) if isinstance(init, str) else np.empty((0, parts.d), parts.dtype)
    return [start(some) for _ in range(n)]


def lloyd(
    parts: Any, starts: list[NDArray[Any]], max_iter: int, tol: float, report: Callable[[str], None] | None
) -> Any:
    """Return what Lloyd's rounds find from the best of some starts."""
    from modeseek.distributed import kmeans

    frame = kmeans.frame_of(parts)
    tol *= kmeans.variance(parts, frame)
    found = [kmeans.lloyd(parts, frame, start, max_iter, tol, report) for start in starts]
    return min(found, key=lambda each: each.inertia)


def labels_by_centres(model: Any, parts: Any) -> Any:
    """Return the nearest centre of every row, lazily."""
    from modeseek.distributed import asking

    return asking.ask_parts(model, "predict", parts, (), np.int32)


def distances(model: Any, X: Any) -> Any:
    """Return the distances of rows from all centres, lazily."""
    return ask(model, "transform", X, (len(model.cluster_centers_),), type_of(model, X, reset=False))


def inertia(model: Any, X: Any, sample_weight: Any) -> float:
    """Return the weighted sum of squared distances of rows from the nearest centres."""
    from modeseek.distributed import kmeans, parts

    dtype = type_of(model, X, reset=False)
    return kmeans.inertia(parts.read(X, sample_weight, dtype, model.n_features_in_), model.cluster_centers_)
