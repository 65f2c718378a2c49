"""Fitted models, given to a plot in place of labels or of a bandwidth; and what a plot asks them.

Nothing here computes mean shift: a bandwidth becomes a `MeanShift` that is fitted.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone

from modeseek.plotting import arrays

Floats = NDArray[np.float64]


def labels_and_centers(labels: Any, centers: Any, n: int) -> tuple[Any, Any]:
    """Return labels and centres, those of a fitted model where it stands in place of labels."""
    if not hasattr(labels, "fit"):
        return labels, centers
    found, name = getattr(labels, "labels_", None), type(labels).__name__
    if found is None:
        raise ValueError(f"labels is a {name} that is not fitted: call fit(X) first, or pass labels")
    if len(found) != n:
        raise ValueError(
            f"the {name} given as labels was fitted to {len(found):,} points, but X has {n:,}: pass the points of the "
            "fit, or labels=model.predict(X)"
        )
    return found, getattr(labels, "cluster_centers_", None) if centers is None else centers


def is_model(given: Any) -> bool:
    """Whether a `MeanShift` was given, fitted or not."""
    from modeseek.estimators import MeanShift

    return isinstance(given, MeanShift)


def is_fitted(model: Any) -> bool:
    """Whether a `MeanShift` has clusters."""
    return bool(model.__sklearn_is_fitted__())


def fitted(given: Any, points: Any, weights: Any = None) -> Any:
    """Return a fitted `MeanShift`: the one given, or one of the bandwidth given, fitted to the points.

    It takes arrays without warning, whatever names its columns have.
    """
    from modeseek.estimators import MeanShift

    if is_model(given):
        if not is_fitted(given):
            if points is None:
                raise ValueError("the model is not fitted: call fit(X) first")
            return clone(given).fit(points, sample_weight=weights)
        if points is not None and points.shape[1] != given.n_features_in_:
            raise ValueError(
                f"the model was fitted to {given.n_features_in_} columns, but X has {points.shape[1]}: they must be "
                "the same columns"
            )
        return nameless(given)
    if hasattr(given, "fit"):
        raise TypeError(f"bandwidth must be a bandwidth or a MeanShift, got {type(given).__name__}")
    return MeanShift(given).fit(points, sample_weight=weights)


def nameless(model: Any) -> Any:
    """Return a model that answers as this one does, and asks for no names of columns."""
    _ = model.labels_  # of a stream, clusters are found now
    twin = object.__new__(type(model))
    twin.__dict__.update(model.__dict__)
    twin.__dict__.pop("feature_names_in_", None)
    return twin


def labels_of(model: Any, n: int) -> NDArray[np.integer[Any]]:
    """Return the labels of the points of a fit, which must be so many."""
    labels = arrays.as_array(model.labels_)
    if len(labels) != n:
        raise ValueError(f"the model was fitted to {len(labels):,} points, but X has {n:,}: pass the points of the fit")
    return labels


def modes_of(model: Any) -> Floats:
    """Return the centres of the clusters, (k, d)."""
    return arrays.as_array(model.cluster_centers_).astype(np.float64)


def heading(model: Any) -> str:
    """Return the bandwidth of a model in words."""
    h = np.asarray(model.bandwidth_, np.float64)
    if h.ndim == 0:
        return f"bandwidth {float(h):.3g}"
    if h.ndim == 1 and len(h) == model.n_features_in_ <= 3:
        return f"bandwidth {' x '.join(f'{v:.3g}' for v in h)}"
    return "a bandwidth matrix" if h.ndim == 2 and h.shape[0] == h.shape[1] else "a bandwidth for each point"


def widths(model: Any) -> Floats:
    """Return how far the kernel of a model reaches along each axis, (d,): a standard deviation, in the units of X."""
    d, form = model.n_features_in_, model._form
    own = np.asarray(form.own, np.float64)
    if form.geometry.metric != "euclidean":
        return np.full(d, float(np.median(model.bandwidth_)))
    h = float(np.median(own)) if own.size else float(form.bandwidth)
    h = h if np.isfinite(h) else float(np.median(model.bandwidth_))
    steps = form.geometry.back(np.vstack([np.zeros(d), h * np.eye(d)]))
    return np.sqrt(np.square(steps[1:] - steps[0]).sum(axis=0))
