"""Clusters of a density sketch alone: of a stream of batches, or of sketches merged from many machines.

The masses of a sketch are integers, and its grid begins at the coordinate origin: how a stream is cut into batches, and
in which order they come, changes no bit of it, and so none of the clusters. The nodes stand in for the points. Cells
whose neighbours reach the same mode label what is in them; between basins every point climbs when it is asked for.

Old batches can be forgotten. With a *decay* all masses are multiplied by it before a batch is added, so that a batch
weighs decay^t after t more; places that hold less than a thousandth of a new point are emptied. With a *window* the
sketches of its batches are kept, and one that leaves is subtracted, to the bit: clusters are those of the batches in
the window alone.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from modeseek.climb import ModeFinder
from modeseek.engines import data
from modeseek.fields import Field, Floats
from modeseek.fields.grid import GridField
from modeseek.fields.table import TableField
from modeseek.label import UNKNOWN, CellLabels, Counts, label_cells, mixed_cells
from modeseek.result import Clustering, SketchProblem, finish
from modeseek.sketch import UNIT_BITS, DensitySketch

SPACINGS = {1: 1 / 8, 2: 1 / 4, 3: 1 / 3}  # of the nodes, in bandwidths, by number of columns
LIGHTEST = 2.0**-20  # least weight of a point, by which rounding of its masses is below a thousandth of it
FORGOTTEN = 2.0**-10  # of a new point: what has decayed to less no longer counts
MAX_TABLE = 1 << 23  # nodes: larger grids are mostly empty, and summed node by node


class Part(NamedTuple):
    """A batch in a window: its sketch, and the least weight of its points."""

    sketch: DensitySketch
    lightest: float


def empty_sketch(bandwidth: float, d: int) -> DensitySketch:
    """Return an empty sketch of the kind that streams are summed in: all of them merge."""
    return DensitySketch(bandwidth, spacing=SPACINGS[d], origin=np.zeros(d), degree=3)


@dataclass
class Stream:
    """What is kept of the batches seen so far: a sketch, the least weight of a point, and the last batch.

    With a window also the sketches of the batches in it, oldest first.
    """

    sketch: DensitySketch
    lightest: float
    dtype: np.dtype[Any]
    batch: Any  # a copy, where the points are: it is labelled when labels are asked for
    window: list[Part] | None = None  # None: all batches count

    @classmethod
    def begin(cls, bandwidth: object, d: int, dtype: np.dtype[Any]) -> "Stream":
        """Start an empty stream of so many columns."""
        if bandwidth is None or isinstance(bandwidth, str):
            raise ValueError(
                f"partial_fit needs a bandwidth given as a number, got bandwidth={bandwidth!r}: what is summed for one "
                "cannot be changed to another. ms.estimate_bandwidth(X) estimates it from a sample."
            )
        if d > 3:
            raise ValueError(
                f"partial_fit sums batches on a grid, of up to three columns; X has {d}. Use fit, or fewer columns."
            )
        return cls(empty_sketch(data.positive(bandwidth, "bandwidth"), d), np.inf, dtype, np.empty((0, d), dtype))

    @classmethod
    def resume(cls, sketch: DensitySketch) -> "Stream":
        """Go on from a sketch made elsewhere, which is left as it is."""
        d = sketch.n_features_in_
        if not sketch.masses.any():
            raise ValueError("This DensitySketch holds no mass: there is nothing to cluster.")
        dtype = np.dtype(np.float64)
        return cls(sketch.trimmed(), sketch.weight_scale, dtype, np.empty((0, d), dtype))

    def add(
        self,
        points: NDArray[Any],
        weights: Floats,
        bounds: Floats,
        n_jobs: int | None = None,
        *,
        decay: float | None = None,
        window: int | None = None,
    ) -> None:
        """Deposit a batch; ``weights`` of length 0 means unit weights. What went before decays, or leaves."""
        lightest = float(weights[weights > 0.0].min()) if weights.size else 1.0
        self._put(lambda to: to.add_scanned(points, weights, bounds, n_jobs), lightest, decay, window)
        self._added(points.dtype, points.copy())

    def add_tensor(
        self, points: Any, weights: Any, bounds: Floats, *, decay: float | None = None, window: int | None = None
    ) -> None:
        """Deposit a batch that a device of Torch holds, there; ``weights`` is None or a tensor."""
        lightest = 1.0 if weights is None else float(weights[weights > 0.0].min())
        self._put(lambda to: to.add_tensor(points, weights, bounds), lightest, decay, window)
        self._added(data.numpy_dtype(points), points.clone())

    def _put(
        self,
        deposit: Callable[[DensitySketch], DensitySketch],
        lightest: float,
        decay: float | None,
        window: int | None,
    ) -> None:
        """Deposit a batch, after what went before has decayed or left; a batch that is refused changes nothing."""
        self._check(lightest)
        if window is not None:
            self._slide(deposit, lightest, window)
        elif decay is not None:
            self._fade(deposit, lightest, decay)
        else:
            deposit(self.sketch)
            self.lightest, self.window = min(self.lightest, lightest), None

    def _fade(self, deposit: Callable[[DensitySketch], DensitySketch], lightest: float, decay: float) -> None:
        """Let what went before decay; what has become too light beside new points is forgotten for good."""
        faded = FORGOTTEN * lightest
        sketch = self.sketch.copy().decay(decay, least=faded).shrunk()
        deposit(sketch)
        self.sketch, self.window = sketch, None
        self.lightest = max(min(self.lightest * decay, lightest), faded)

    def _slide(self, deposit: Callable[[DensitySketch], DensitySketch], lightest: float, window: int) -> None:
        """Let batches leave that are no longer among the last ones; what came before there was a window is one."""
        kept = self.window
        if kept is None:
            kept = [Part(self.sketch.copy().shrunk(), self.lightest)] if self.sketch.total_weight_ else []
        n_leaving = max(0, len(kept) + 1 - window)
        leaving, kept = kept[:n_leaving], kept[n_leaving:]
        part = Part(deposit(self.sketch.emptied()).shrunk(), lightest)
        sketch = self.sketch.copy()
        for old in leaving:
            sketch.subtract(old.sketch)
        sketch = sketch.shrunk().merge(part.sketch)
        self.sketch, self.window = sketch, [*kept, part]
        self.lightest = min(each.lightest for each in self.window)

    def _check(self, lightest: float) -> None:
        """Refuse weights that the masses would lose."""
        if lightest < LIGHTEST * self.sketch.weight_scale:
            raise ValueError(
                f"sample_weight holds {lightest:g}, too light for masses in units of "
                f"{self.sketch.weight_scale * 2.0**-UNIT_BITS:g}: multiply all weights of the stream by one number."
            )

    def _added(self, dtype: np.dtype[Any], batch: Any) -> None:
        """Remember what was added."""
        self.dtype = np.result_type(self.dtype, dtype)
        self.batch = batch

    def problem(self, **climbing: Any) -> SketchProblem:
        """Return the nodes as the points to cluster."""
        sketch = self.sketch.trimmed()
        positions, weights = sketch.nodes().as_points()
        bounds = np.array([positions.min(axis=0), positions.max(axis=0)])
        lightest = min(self.lightest, sketch.total_weight_)
        return SketchProblem(
            positions, weights, bounds, sketch.bandwidth, **climbing, sketch=sketch, of_points=lightest
        )


def cluster_sketch(problem: SketchProblem) -> Clustering:
    """Find the modes of a sketch, and the cells that surely belong to one; weights are those of the nodes."""
    sketch, nodes, h = problem.sketch, problem.sketch.nodes(), problem.sketch.kernel_bandwidth()
    on_nodes = GridField(problem.points, problem.weights, h, factor=(problem.bandwidth / h) ** 2)
    field: Field = on_nodes
    occupied = nodes.occupied()
    if nodes.box.n_nodes <= MAX_TABLE:
        problem.report("tabulate")
        field = TableField(nodes, problem.bandwidth, h, lightest=problem.lightest, n_jobs=problem.n_jobs)
    finder = ModeFinder(field, on_nodes, guide=on_nodes, **problem.climbing)
    problem.report("climb")
    if isinstance(field, TableField):
        cells = label_cells(field, finder)
    else:
        cells = np.full(nodes.box.n_nodes, UNKNOWN, np.int32)
        cells[occupied] = finder.find(problem.points)
    labels = cells[occupied]
    cells[mixed_cells(cells, nodes.box.shape)] = UNKNOWN
    table = CellLabels(nodes.origin, nodes.delta, nodes.box, 1, cells, np.empty(0, np.int32))
    return finish(problem, finder, table, labels, Counts(0, np.bincount(labels)), sketch)
