r"""What a bandwidth and a metric ask for: coordinates to work in, and one bandwidth there, or one for each point.

A number, an array per axis, a matrix, an array per point, the name of a rule: `choose` turns any of them into a `Form`,
from which a fit makes its problem. It knows nothing of climbs.
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from modeseek.engines import data
from modeseek.fields import Floats
from modeseek.geometry import Geometry, Globe, Plain, Whitened, choose_geometry, number_of, per_point
from modeseek.result import Problem
from modeseek.rules import variances
from modeseek.sphere import normalise
from modeseek.varying import RULES, neighbour_distances, square_root_law

UNLIKE = 10.0  # ratio of the spreads of two columns above which one bandwidth hardly fits both


@dataclass(frozen=True)
class Form:
    """How a fit sees its points."""

    geometry: Geometry
    bandwidth: float  # in the coordinates of the fit
    own: Floats  # one bandwidth for each point, or of length 0
    shown: float | Floats  # the bandwidth as the user has it

    def problem(self, points: NDArray[Any], weights: Floats, bounds: Floats, **options: Any) -> Problem:
        """Return the problem of clustering points, given in the coordinates of the fit."""
        return Problem(
            points, weights, bounds, self.bandwidth, metric=self.geometry.metric, own=self.own, **options
        )  # fmt: skip

    @property
    def lacks(self) -> str:
        """What this form has that not every part knows, in words; empty for one bandwidth and the Euclidean metric."""
        if self.own.size:
            return "one bandwidth per point"
        return "angles on a sphere" if self.geometry.metric == "sphere" else ""

    def refuse(self, *asked: str) -> None:
        """Raise where something is asked for that needs one bandwidth and the Euclidean metric.

        Raises
        ------
        ValueError
            If this form is another, and anything is asked for.
        """
        if asked and self.lacks:
            raise ValueError(
                f"{asked[0]} works with one bandwidth (or one per axis, or a matrix) and "
                f'metric="euclidean", not with {self.lacks}.'
            )


PLAIN = Form(Plain(), np.nan, np.empty(0), np.nan)


def choose(
    bandwidth: Any,
    metric: str,
    points: NDArray[Any],
    weights: Floats,
    bounds: Floats,
    estimate: Callable[[NDArray[Any]], float],
    n_jobs: int | None = None,
    *,
    standardize: bool = False,
) -> tuple[Form, NDArray[Any], Floats]:
    """Return the form that a bandwidth and a metric ask for, the points in its coordinates, and their bounds.

    ``estimate`` chooses one bandwidth for points, where none is given. With ``standardize`` it is in standard
    deviations of each column.

    Raises
    ------
    ValueError
        If they do not fit together or with the points.
    """
    number, by_rule = number_of(bandwidth), isinstance(bandwidth, str) and bandwidth in RULES
    own = per_point(bandwidth, *points.shape) if number is None else None
    if metric != "euclidean" and (own is not None or by_rule):
        raise ValueError(f'metric="{metric}" takes one number as bandwidth (or None), not one per point.')
    if standardize:
        geometry: Geometry = _standardised(metric, bandwidth, points, weights, bounds)
    else:
        geometry = Plain() if own is not None else choose_geometry(metric, bandwidth, points, bounds)
    inside = geometry.into(points, n_jobs)
    bounds = geometry.bounds(inside, bounds, n_jobs)
    h = geometry.bandwidth
    if np.isnan(h) and own is None and not (by_rule and bandwidth == "adaptive-knn"):
        h = estimate(normalise(inside) if geometry.metric == "sphere" else inside)
        geometry = replace(cast(Any, geometry), bandwidth=h)
    if by_rule:
        own = (
            neighbour_distances(inside, weights, n_jobs)
            if bandwidth == "adaptive-knn"
            else (square_root_law(inside, weights, h, n_jobs))
        )
    if own is not None:
        data.check_scale(bounds, float(own.min()))
        return Form(geometry, float(own.min()), own, own), inside, bounds
    data.check_scale(bounds, h)
    return Form(geometry, h, np.empty(0), shown_bandwidth(geometry, bandwidth, h)), inside, bounds


def _standardised(metric: str, bandwidth: Any, points: NDArray[Any], weights: Floats, bounds: Floats) -> Geometry:
    """Return coordinates in which every column has standard deviation 1; one that is constant stays as it is."""
    number = number_of(bandwidth)
    if metric != "euclidean" or number is None:
        raise ValueError(
            f'standardize=True goes with metric="euclidean" and one number as bandwidth, or a rule; got '
            f"metric={metric!r}, bandwidth={bandwidth!r}."
        )
    deviations = np.sqrt(variances(points, weights)[1])
    factor = np.diag(np.where(deviations > 1e-12 * np.abs(bounds).max(axis=0), deviations, 1.0))
    return Whitened(0.5 * bounds[0] + 0.5 * bounds[1], factor, bandwidth=number)


def warn_of_scales(points: NDArray[Any], weights: Floats) -> None:
    """Say so if one bandwidth is chosen for columns of very different spread."""
    deviations = np.sqrt(variances(points, weights)[1])
    spread = deviations[deviations > 0.0]
    if spread.size > 1 and spread.max() > UNLIKE * spread.min():
        wide, narrow = int(deviations.argmax()), int(np.where(deviations > 0.0, deviations, np.inf).argmin())
        warnings.warn(
            f"Column {wide} has a standard deviation of {deviations[wide]:.3g}, column {narrow} one of "
            f"{deviations[narrow]:.3g}: one bandwidth for both hardly sees the second. standardize=True gives every "
            "column the same weight; bandwidth=[...] takes one number per column.",
            UserWarning,
            stacklevel=4,
        )


def shown_bandwidth(geometry: Geometry, bandwidth: Any, h: float) -> float | Floats:
    """Return the bandwidth as the user has it."""
    number = number_of(bandwidth)
    if number is None:
        return np.array(bandwidth, np.float64)
    if isinstance(geometry, Globe):
        return 2.0 * float(np.arcsin(min(0.5 * h, 1.0))) if np.isnan(number) else number
    return h
