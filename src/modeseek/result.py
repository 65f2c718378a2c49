"""What a clustering starts from and what it gives: the problem, the result, and how modes are numbered."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from modeseek.certificate import Certificate
from modeseek.climb import ModeFinder
from modeseek.engines.threads import run_chunks
from modeseek.fields import Field, Floats
from modeseek.label import UNKNOWN, Counts
from modeseek.sketch import DensitySketch


@dataclass(frozen=True)
class Problem:
    """Points, weights (length 0: all one), their bounds, and how to climb."""

    points: NDArray[Any]
    weights: Floats
    bounds: Floats
    bandwidth: float
    tol: float = 1e-3
    max_iter: int = 300
    n_jobs: int | None = None
    report: Callable[[str], None] = lambda stage: None

    @property
    def n(self) -> int:
        """Number of points."""
        return len(self.points)

    @property
    def d(self) -> int:
        """Number of columns."""
        return int(self.points.shape[1])

    @property
    def total_weight(self) -> float:
        """Sum of the weights."""
        return float(self.weights.sum()) if self.weights.size else float(self.n)

    @property
    def lightest(self) -> float:
        """Least weight above 0."""
        return float(self.weights[self.weights > 0].min()) if self.weights.size else 1.0

    @property
    def climbing(self) -> dict[str, Any]:
        """The keyword arguments of a climb."""
        return {"tol": self.tol, "max_iter": self.max_iter, "n_jobs": self.n_jobs}


class LabelTable(Protocol):
    """Labels that a fit has settled, by position."""

    def assign(self, points: NDArray[Any], out: NDArray[np.int32], n_jobs: int | None = None) -> Counts:
        """Write the label of each row to ``out``, UNKNOWN where there is none; return the rows of each label."""
        ...

    def relabel(self, names: NDArray[np.int32]) -> None:
        """Replace label i by names[i]."""
        ...


@dataclass
class Clustering:
    """What a fit found; `label` gives any point, new or old, the label that the fit gives it."""

    modes: Floats  # (k, d), by decreasing weight
    weights: Floats  # (k,)
    labels: NDArray[np.int32]  # (n,)
    n_iter: int
    n_unsettled: int
    field: Field
    table: LabelTable
    sketch: DensitySketch | None
    certificate: Certificate | None = None

    def label(self, points: NDArray[Any], **climbing: Any) -> NDArray[np.int32]:
        """Label points: by table where the fit has settled their place, by climbing elsewhere."""
        out = np.full(len(points), UNKNOWN, np.int32)
        if self.table.assign(points, out, climbing["n_jobs"]).unknown:
            climb_unknown(points, out, self.field, self.modes, **climbing)
        return out


def climb_unknown(
    points: NDArray[Any], labels: NDArray[np.int32], field: Field, modes: Floats, **climbing: Any
) -> None:
    """Give every UNKNOWN row the mode that its point climbs to."""
    rows = np.flatnonzero(labels == UNKNOWN)
    ends, _ = field.climb(np.asarray(points[rows], np.float64), **climbing)
    labels[rows] = cKDTree(modes).query(ends)[1]


def finish(
    problem: Problem,
    finder: ModeFinder,
    table: LabelTable,
    labels: NDArray[np.int32],
    counts: Counts,
    sketch: DensitySketch | None = None,
) -> Clustering:
    """Label what has no label yet, weigh the clusters, drop the empty ones, number them by decreasing weight."""
    modes, k = finder.positions, finder.n_modes
    members = np.zeros(k, np.int64)
    members[: len(counts.members)] = counts.members
    if counts.unknown:
        climb_unknown(problem.points, labels, finder.field, modes, **problem.climbing)
        members = np.bincount(labels, minlength=k)
    weights = members.astype(np.float64)
    if problem.weights.size:
        weights[:] = np.bincount(labels, problem.weights, minlength=k)
    order = np.lexsort((*modes.T[::-1], -weights, members == 0))
    if not np.array_equal(order, np.arange(k)):
        names = np.argsort(order).astype(np.int32)
        rename(labels, names, problem.n_jobs)
        table.relabel(names)
    kept = order[: int((members > 0).sum())]
    return Clustering(
        modes[kept], weights[kept], labels, finder.n_iter, finder.n_unsettled, finder.field, table, sketch
    )


def rename(labels: NDArray[np.int32], names: NDArray[np.int32], n_jobs: int | None) -> None:
    """Replace label i by names[i], in place."""

    def work(_: int, start: int, stop: int) -> None:
        labels[start:stop] = names[labels[start:stop]]

    run_chunks(len(labels), work, n_jobs)
