"""The whole of mean shift on one screen: sketch, climb, label.

Points become a density (a sketch of them where that pays, the points themselves where not); starts climb it to
its modes; modes become labels. `cluster` chooses the route:

- **dense**, up to a few hundred points, or more than three columns: every point climbs on all points;
- **points**, ``fidelity="exact"``: every distinct point climbs on the points within reach, in float64;
- **cells**, ``fidelity="fast"``: a spline sketch, its kernel sums tabulated, and cells that climb for the points
  they hold; where the grid would be too large, weighted cell means stand in for the points.
"""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modeseek.climb import Modes, find_modes
from modeseek.fields.dense import DenseField
from modeseek.fields.grid import GridField
from modeseek.fields.table import TableField
from modeseek.cells import bit_patterns, cell_indices, cell_means
from modeseek.label import NO_ROW, UNKNOWN, CellLabels, KeyLabels, mixed_cells
from modeseek.result import Clustering, Problem, finish
from modeseek.sketch import DensitySketch, bin_points, node_box

DENSE_POINTS = 512  # below, compiling and tabulating cost more than they save
POLISH_PAIRS = 20_000_000  # modes x points that polishing on the raw points may cost
SPACINGS = {1: (0.125, 0.25, 0.5), 2: (0.25, 0.5), 3: (1 / 3, 0.5)}  # in bandwidths, finest first
SPLIT = {1: 9, 2: 5, 3: 5}  # sub-cells per axis of a mixed cell
MIN_NODES, NODES_PER_POINT, MAX_NODES = 1 << 18, 16, 1 << 23  # what a table may cost
POINTS_PER_CENTRE = 8  # with more points than this a sub-cell, sub-cells climb from their centres
SPARSE_SPACING = 0.25  # cells of the sparse route, in bandwidths
SPARSE_SPLIT = 4


def cluster(problem: Problem, fidelity: str) -> Clustering:
    """Cluster by mean shift: ``fidelity`` is "fast" or "exact"."""
    if problem.n <= DENSE_POINTS or problem.d > 3:
        return _every_point(problem, dense=True)
    if fidelity == "exact":
        return _every_point(problem, dense=False)
    spacing = affordable_spacing(problem)
    if spacing is not None:
        return _by_cells(problem, spacing)
    if problem.n <= MIN_NODES // NODES_PER_POINT:
        return _every_point(problem, dense=False)
    return _by_sparse_cells(problem)


def affordable_spacing(problem: Problem) -> float | None:
    """Return the finest spacing whose table is worth its cost for so many points; None if there is none."""
    budget = min(MAX_NODES, max(MIN_NODES, NODES_PER_POINT * problem.n))
    for spacing in SPACINGS[problem.d]:
        low, high = problem.bounds
        if node_box(low, high, low, spacing * problem.bandwidth).n_nodes <= budget:
            return spacing
    return None


def _every_point(problem: Problem, dense: bool) -> Clustering:
    """Every distinct point climbs on the points."""
    problem.report("climb every point")
    keys = KeyLabels(problem.points, bit_patterns)
    points = np.asarray(problem.points[keys.first_rows], np.float64)
    weights = problem.weights if problem.weights.size else None
    weights = np.bincount(keys.numbers, weights).astype(np.float64)
    make_field = DenseField if dense else GridField
    field = make_field(points, weights, problem.bandwidth)
    modes = find_modes(field, points, lambda k: field, **problem.climbing)
    return _label_keys(problem, field, modes, keys)


def _by_cells(problem: Problem, spacing: float) -> Clustering:
    """Sketch the points, tabulate its kernel sums, climb for whole cells and label by cell."""
    problem.report("sketch")
    sketch, lost_variance = make_sketch(problem, spacing)
    problem.report("climb")
    field = TableField(sketch, extra_variance=lost_variance, lightest=problem.lightest, n_jobs=problem.n_jobs)
    occupied = np.flatnonzero(sketch.masses)
    centres = field.node_positions(occupied)
    coarse = find_modes(field, centres, None, **problem.climbing)
    names = np.full(sketch.masses.size, UNKNOWN, np.int32)
    names[occupied] = coarse.index

    mixed = np.flatnonzero(mixed_cells(names, sketch.box.shape))
    split = SPLIT[problem.d]
    names[mixed] = -2 - np.arange(len(mixed), dtype=np.int32)
    blocks = np.full(len(mixed) * split**problem.d, UNKNOWN, np.int32)
    cells = CellLabels(field.origin, sketch.delta, sketch.box, split, names, blocks)
    starts, owners = _sub_cell_starts(problem, cells)

    problem.report("climb the borders")
    k = len(coarse.positions)
    modes = find_modes(field, np.vstack([coarse.positions, starts]), _polisher(problem, sketch), **problem.climbing)
    cells.relabel(modes.index[:k].astype(np.int32))
    blocks[owners] = modes.index[k:]
    mass = np.bincount(cells.cells[occupied].clip(0), sketch.masses.reshape(-1)[occupied], len(modes.positions))
    order = np.argsort(-mass, kind="stable")  # nearly the final order, so that labels seldom change again
    cells.relabel(np.argsort(order).astype(np.int32))
    modes = replace(modes, positions=modes.positions[order], n_iter=max(modes.n_iter, coarse.n_iter))

    problem.report("label")
    labels = np.empty(problem.n, np.int32)
    cells.assign(problem.points, labels, problem.n_jobs)
    return finish(problem, field, modes, labels, table=cells, sketch=sketch)


def make_sketch(problem: Problem, spacing: float) -> tuple[DensitySketch, float]:
    """Sketch the points; return it and the variance per axis lost by binning first where that is quicker."""
    heaviest = float(problem.weights.max()) if problem.weights.size else 1.0
    sketch = DensitySketch(
        problem.bandwidth,
        spacing=spacing,
        origin=problem.bounds[0],
        weight_scale=2.0 ** np.ceil(np.log2(heaviest)),
    )
    if not problem.weights.size:
        binned = bin_points(problem.points, problem.bounds, problem.bandwidth, problem.n_jobs)
        if binned is not None:
            means, counts, lost = binned
            return sketch.add_scanned(means, counts, problem.bounds, problem.n_jobs), lost
    return sketch.add_scanned(problem.points, problem.weights, problem.bounds, problem.n_jobs), 0.0


def _sub_cell_starts(problem: Problem, cells: CellLabels) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Where the sub-cells of mixed cells begin to climb, and which: their first points, or their centres."""
    if problem.n > POINTS_PER_CENTRE * len(cells.blocks):
        return cells.sub_centres(), np.arange(len(cells.blocks))
    rows = cells.first_rows(problem.points, problem.n_jobs)
    owners = np.flatnonzero(rows != NO_ROW)
    return np.asarray(problem.points[rows[owners]], np.float64), owners


def _polisher(problem: Problem, sketch: DensitySketch) -> Any:
    """Return a function of the number of modes that gives the field to polish them on."""

    def field(k: int) -> GridField:
        if k * problem.n <= POLISH_PAIRS:
            return GridField(problem.points, problem.weights, problem.bandwidth, n_visits=k)
        return GridField(*sketch.nodes(), sketch.kernel_bandwidth())

    return field


def _by_sparse_cells(problem: Problem) -> Clustering:
    """Cluster where a dense grid would be too large: means of occupied cells stand in for the points."""
    problem.report("sort into cells")
    h = problem.bandwidth
    means, weights, lost_variance = cell_means(problem.points, problem.weights, SPARSE_SPACING * h)
    kernel_bandwidth = float(np.sqrt(h * h + lost_variance))
    field = GridField(means, weights, kernel_bandwidth, factor=(h / kernel_bandwidth) ** 2)
    side = SPARSE_SPACING / SPARSE_SPLIT * h
    origin = problem.bounds[0]
    keys = KeyLabels(problem.points, lambda points: cell_indices(points, origin, side))
    problem.report("climb")
    starts = np.asarray(problem.points[keys.first_rows], np.float64)
    modes = find_modes(field, starts, lambda k: field, **problem.climbing)
    return _label_keys(problem, field, modes, keys)


def _label_keys(problem: Problem, field: DenseField | GridField, modes: Modes, keys: KeyLabels) -> Clustering:
    """Give every point the mode that its key climbed to."""
    problem.report("label")
    keys.labels = modes.index.astype(np.int32)
    return finish(problem, field, modes, keys.labels[keys.numbers], table=keys)
