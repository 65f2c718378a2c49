"""What a clustering starts from and what it gives: the problem, the result, and how modes are numbered.

A problem knows what a route on grids asks of all points: to add them to a sketch, to sum over them, to look their
labels up. On a device of Torch the same is done there (`modeseek.on_device.grids`), and the routes are the same code.
"""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol, cast, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from modeseek.certificate import Certificate
from modeseek.climb import ModeFinder
from modeseek.costs import pairs_within_reach
from modeseek.engines.data import SMALL
from modeseek.engines.packed import SmallPickles
from modeseek.engines.threads import run_chunks
from modeseek.fields import Field, Floats, GaussianField, Ints
from modeseek.fields.grid import GridField, sums_over_points
from modeseek.kernels import GAUSSIAN, Kernel
from modeseek.label import UNKNOWN, CellLabels, Counts
from modeseek.places import Places
from modeseek.sketch import Bins, DensitySketch, bin_points


@dataclass(frozen=True)
class Problem:
    """Points, weights (length 0: all one), their bounds, and how to climb."""

    speed: ClassVar[float] = 1.0  # of sums over all points: how many times as many cost as much as on the CPU
    on_device: ClassVar[bool] = False  # whether a device of Torch sums, which sorts nothing and deposits quickly

    points: NDArray[Any]
    weights: Floats
    bounds: Floats
    bandwidth: float
    tol: float = 1e-3
    max_iter: int = 300
    n_jobs: int | None = None
    report: Callable[[str], None] = lambda stage: None
    kernel: Kernel = GAUSSIAN
    metric: str = "euclidean"  # of the points: "euclidean", or "sphere" if they are unit vectors
    own: Floats = field(default_factory=lambda: np.empty(0))  # a bandwidth for each point; length 0: all the same

    @property
    def n(self) -> int:
        """Number of points."""
        return len(self.points)

    @property
    def d(self) -> int:
        """Number of columns."""
        return int(self.points.shape[1])

    @property
    def weighted(self) -> bool:
        """Whether points have weights."""
        return bool(self.weights.size)

    @property
    def total_weight(self) -> float:
        """Sum of the weights."""
        return float(self.weights.sum()) if self.weights.size else float(self.n)

    @property
    def lightest(self) -> float:
        """Least weight above 0."""
        return float(self.weights[self.weights > 0].min()) if self.weights.size else 1.0

    @property
    def heaviest(self) -> float:
        """Greatest weight."""
        return float(self.weights.max()) if self.weights.size else 1.0

    def add_to(self, sketch: DensitySketch) -> DensitySketch:
        """Deposit all points."""
        return sketch.add_scanned(self.points, self.weights, self.bounds, self.n_jobs)

    def place_in(self, sketch: DensitySketch) -> Places | None:
        """Deposit all points, and tell where they lie, if that pays."""
        return sketch.add_placed(self.points, self.bounds, self.n_jobs)

    def bins(self, delta: float) -> Bins | None:
        """Sum all points up in bins, if that pays."""
        return bin_points(self.points, self.bounds, delta, self.n_jobs)

    def sums(self, places: Floats) -> Floats:
        """Return sums over all points around a few places, as `GridField.sums` does."""
        return sums_over_points(self.points, self.weights, self.bandwidth, places, self.n_jobs)

    def exact_field(self) -> Field:
        """Return all points as they are, to climb on."""
        return GridField(self.points, self.weights, self.bandwidth)

    def pairs(self, starts: int) -> float:
        """Estimate the pairs that one step of so many starts sums on the `exact_field`."""
        return pairs_within_reach(starts, self.n, self.bounds, self.bandwidth)

    def look_up(self, table: CellLabels, places: Places | None = None) -> tuple[Any, Counts, Ints]:
        """Return the label of each row, the rows of each label, and which have none."""
        return table.label(self.points, places, self.n_jobs)

    def first_in_sub_cells(self, table: CellLabels) -> tuple[Ints, Floats]:
        """Return the sub-cells that hold points, and the first point in each."""
        owners, rows = table.first_rows(self.points, self.n_jobs)
        return owners, np.asarray(self.points[rows], np.float64)

    def write(self, labels: Any, rows: Ints, found: NDArray[Any]) -> None:
        """Set the labels of some rows."""
        labels[rows] = found

    def unknown(self, labels: Any) -> Ints:
        """Return the rows that have no label."""
        return np.flatnonzero(labels == UNKNOWN)

    def weigh(self, labels: Any, k: int, weights: bool = True) -> Floats:
        """Return the weight of the points of each label; without ``weights`` their number."""
        return np.bincount(labels, self.weights if weights else None, k).astype(np.float64)

    def as_wide(self) -> "Problem":
        """Return the problem with the bandwidth of a Gaussian as wide as the kernel: grids are measured in it."""
        return dataclasses.replace(self, bandwidth=self.kernel.width(self.d) * self.bandwidth)

    @property
    def climbing(self) -> dict[str, Any]:
        """The keyword arguments of a climb."""
        return {"tol": self.tol, "max_iter": self.max_iter, "n_jobs": self.n_jobs}


@dataclass(frozen=True)
class SketchProblem(Problem):
    """The nodes of a sketch in place of the points, of which no more is known."""

    sketch: DensitySketch = dataclasses.field(kw_only=True)
    of_points: float = dataclasses.field(kw_only=True)  # least weight above 0

    @property
    def lightest(self) -> float:
        """Least weight of a point above 0: that of a node says nothing."""
        return self.of_points


@runtime_checkable
class MayBePutAway(Protocol):
    """What a fitted model can keep in less memory, until it is asked about points."""

    def put_away(self) -> None:
        """Give up what follows from the rest."""
        ...


@runtime_checkable
class KeptLabels(Protocol):
    """Labels of all rows that are no array in memory."""

    def rename_labels(self, names: NDArray[np.int32]) -> None:
        """Replace label i by names[i]; -1 stands for the last name."""
        ...


class LabelTable(Protocol):
    """Labels that a fit has settled, by position."""

    def assign(self, points: NDArray[Any], out: NDArray[np.int32], n_jobs: int | None = None) -> Counts:
        """Write the label of each row to ``out``, UNKNOWN where there is none; return the rows of each label."""
        ...

    def relabel(self, names: NDArray[np.int32]) -> None:
        """Replace label i by names[i]."""
        ...


@dataclass
class Clusters(SmallPickles):
    """Modes and the clusters they make up: one each as a fit leaves them; `gather` puts several into one, or none."""

    _packed: ClassVar[tuple[str, ...]] = ("labels",)

    modes: Floats  # (k, d), by decreasing weight
    weights: Floats  # (k,), of the points that climb to each mode
    labels: Any  # (n,) int32, by cluster: an array, or a tensor where the points are
    sketch: DensitySketch | None = dataclasses.field(default=None, kw_only=True)
    certificate: Certificate | None = dataclasses.field(default=None, kw_only=True)
    clusters: NDArray[np.int32] | None = dataclasses.field(default=None, kw_only=True)  # of each mode, -1: noise
    heads: Ints | None = dataclasses.field(default=None, kw_only=True)  # the mode that names each cluster

    @property
    def centers(self) -> Floats:
        """The mode that each cluster is named after."""
        return self.modes if self.heads is None else self.modes[self.heads]

    @property
    def cluster_weights(self) -> Floats:
        """Weight of the points of each cluster."""
        if self.clusters is None or self.heads is None:
            return self.weights
        inside = self.clusters >= 0
        return np.bincount(self.clusters[inside], self.weights[inside], len(self.heads)).astype(np.float64)

    def gather(self, clusters: Ints, n_clusters: int, n_jobs: int | None = None) -> None:
        """Put cluster i (a mode, at first) into clusters[i] (-1: noise), and number by decreasing weight.

        A cluster is named after the heaviest of its modes; at equal weight the one named after a heavier mode,
        and of these the one that was first, comes first.
        """
        by_mode = clusters if self.clusters is None else np.append(clusters, -1)[self.clusters]
        inside = np.flatnonzero(by_mode >= 0)
        heads = np.full(n_clusters, len(self.modes))
        np.minimum.at(heads, by_mode[inside], inside)  # modes come by decreasing weight
        totals = np.bincount(by_mode[inside], self.weights[inside], n_clusters)
        order = np.lexsort((heads, -totals))
        names = np.append(np.argsort(order), -1).astype(np.int32)  # the last entry names noise
        rename(self.labels, np.append(names[clusters], -1).astype(np.int32), n_jobs)
        self.clusters, self.heads = names[by_mode], heads[order]

    def put_away(self) -> None:
        """Keep in less memory what is needed only when points are asked about: fitted models may be kept for long."""

    def label(self, points: NDArray[Any], **climbing: Any) -> NDArray[np.int32]:
        """Label points, old or new, as the fit does."""
        raise NotImplementedError

    def log_density(self, points: NDArray[Any], n_jobs: int | None = None) -> Floats:
        """Return the log of the normalised density of the fit at points, old or new."""
        raise NotImplementedError

    def by_cluster(self, labels: NDArray[np.int32]) -> NDArray[np.int32]:
        """Turn labels by mode into labels by cluster."""
        return labels if self.clusters is None else self.clusters[labels]


@dataclass
class Clustering(Clusters):
    """What a fit found; `label` gives any point, new or old, the label that the fit gives it."""

    n_iter: int
    n_unsettled: int
    field: Field
    table: LabelTable

    def put_away(self) -> None:
        """Keep in less memory what is needed only when points are asked about."""
        for part in (self.field, self.table):
            if isinstance(part, MayBePutAway):
                part.put_away()

    def label(self, points: NDArray[Any], **climbing: Any) -> NDArray[np.int32]:
        """Label points: by table where the fit has settled their place, by climbing elsewhere."""
        return self.by_cluster(self.by_mode(points, **climbing))

    def by_mode(self, points: NDArray[Any], **climbing: Any) -> NDArray[np.int32]:
        """Return the mode that each point belongs to."""
        out = np.full(len(points), UNKNOWN, np.int32)
        if self.table.assign(points, out, climbing["n_jobs"]).unknown:
            climb_unknown(points, out, self.field, self.modes, **climbing)
        return out

    def log_density(self, points: NDArray[Any], n_jobs: int | None = None) -> Floats:
        """Return the log of the normalised density of the fit at points, old or new."""
        return cast(GaussianField, self.field).log_density(np.asarray(points, np.float64), n_jobs)


def climb_unknown(
    points: NDArray[Any], labels: NDArray[np.int32], field: Field, modes: Floats, **climbing: Any
) -> None:
    """Give every UNKNOWN row the mode that its point climbs to."""
    rows = np.flatnonzero(labels == UNKNOWN)
    labels[rows] = _modes_of(points[rows], field, modes, **climbing)


def _modes_of(points: NDArray[Any], field: Field, modes: Floats, **climbing: Any) -> Ints:
    """Return the mode that each point climbs to."""
    ends, _ = field.climb(np.asarray(points, np.float64), **climbing)
    return np.asarray(cKDTree(modes).query(ends)[1], np.int64)


def finish(
    problem: Problem,
    finder: ModeFinder,
    table: LabelTable,
    labels: Any,
    counts: Counts,
    sketch: DensitySketch | None = None,
) -> Clustering:
    """Label what has no label yet, weigh the clusters, drop the empty ones, number them by decreasing weight."""
    modes, k = finder.positions, finder.n_modes
    members = np.zeros(k, np.int64)
    members[: len(counts.members)] = counts.members
    if counts.unknown:
        rows = problem.unknown(labels)
        problem.write(labels, rows, _modes_of(problem.points[rows], finder.field, modes, **problem.climbing))
        members = problem.weigh(labels, k, weights=False).astype(np.int64)
    weights = members.astype(np.float64)
    if problem.weighted:
        weights[:] = problem.weigh(labels, k)
    order = np.lexsort((*modes.T[::-1], -weights, members == 0))
    kept = order[: int((members > 0).sum())]
    names = np.full(k, UNKNOWN, np.int32)  # a cell without points whose climb found a mode that no point has
    names[kept] = np.arange(len(kept))
    if not np.array_equal(names, np.arange(k)):
        rename(labels, names, problem.n_jobs)
        table.relabel(names)
    return Clustering(
        modes[kept], weights[kept], labels, finder.n_iter, finder.n_unsettled, finder.field, table, sketch=sketch
    )


def rename(labels: Any, names: NDArray[np.int32], n_jobs: int | None) -> None:
    """Replace label i by names[i], in place; -1 stands for the last name."""
    if isinstance(labels, KeptLabels):
        labels.rename_labels(names)
        return
    if not isinstance(labels, np.ndarray):
        from modeseek.engines.gpu import lookup as on_device

        on_device.rename(labels, names)
        return
    if len(labels) <= SMALL:  # quicker than loading a compiled kernel
        labels[:] = names[labels]
        return
    from modeseek.engines.cpu import lookup

    def work(_: int, start: int, stop: int) -> None:
        lookup.rename(labels[start:stop], names)

    run_chunks(len(labels), work, n_jobs)
