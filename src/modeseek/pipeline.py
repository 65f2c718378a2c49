"""The whole of mean shift on one screen: sketch, climb, label.

Points become a density (a sketch of them where that pays, the points themselves where not); starts climb it to
its modes; modes become labels. `cluster` chooses the route:

- **proven**, ``fidelity="certified"``: a spline sketch, its kernel sums tabulated with bounds of their error; a flood
  finds modes and cores, tubes prove cells and points, what is left climbs on the points;
- **dense**, up to a few hundred points, or more than three columns: every point climbs on all points;
- **points**, ``fidelity="exact"``: every distinct point climbs on the points within reach, in float64;
- **cells**, ``fidelity="fast"``: a spline sketch, its kernel sums tabulated, and cells that climb for the points
  they hold; where the grid would be too large, weighted cell means stand in for the points.
"""

from functools import partial

import numpy as np
from numpy.typing import NDArray

from modeseek.cells import bit_patterns, cell_indices, cell_means
from modeseek.certificate import BOUNDARY, CLIMBED, UNDECIDED, certify, everything_climbed
from modeseek.certify import ProvenLabels, Tubes, recount
from modeseek.climb import ModeFinder
from modeseek.fields import REACH, Ints, reach_of_tail
from modeseek.fields.bounds import cell_bounds
from modeseek.fields.dense import DenseField
from modeseek.fields.grid import GridField, newton_over_all
from modeseek.fields.nodes import node_box
from modeseek.fields.table import TableField
from modeseek.flood import flood
from modeseek.label import UNKNOWN, CellLabels, KeyLabels, label_cells, label_sub_cells
from modeseek.result import Clustering, Problem, finish
from modeseek.sketch import Bins, DensitySketch, bin_points

DENSE_POINTS = 512  # below, compiling and tabulating cost more than they save
POLISH_PAIRS = 20_000_000  # modes x points that polishing on the raw points may cost
SPACINGS = {1: (0.125, 0.25, 0.5), 2: (0.25, 0.5), 3: (1 / 3, 0.5)}  # in bandwidths, finest first
SPLIT = {1: 9, 2: 5, 3: 5}  # sub-cells per axis of a mixed cell
MIN_NODES, NODES_PER_POINT, MAX_NODES = 1 << 18, 16, 1 << 23  # what a table may cost
PROVEN_SPACINGS = {1: (1 / 16, 1 / 64), 2: (1 / 12, 1 / 24, 1 / 36), 3: (1 / 4, 1 / 6, 1 / 8)}  # coarsest first
PROVEN_DEGREE = 3
PROVEN_TAIL = 1e-6  # of the lightest point: the most that what is out of reach may weigh
MOST_OPEN = 0.5  # of the points: with more open after the cells a finer table is taken at once
MOST_UNDECIDED = 1e-3  # of the points: with more open after the points' own tubes too
STEPS = 20.0  # of an exact climb, about
CHEAP_PAIRS = 3e7  # exact climbs of all points that cost less than a table
EXACT_PAIRS, EXACT_POINTS = 4e9, 1 << 22  # most pairs, and points to sort, that exact climbs of a few may cost
SPARSE_SPACING = 0.25  # cells of the sparse route, in bandwidths
SPARSE_SPLIT = 2


def cluster(problem: Problem, fidelity: str) -> Clustering:
    """Cluster by mean shift: ``fidelity`` is "certified", "fast" or "exact"."""
    if problem.n <= DENSE_POINTS or problem.d > 3:
        return _every_point(problem, dense=True)
    if fidelity == "exact" or (fidelity == "certified" and exact_work(problem, problem.n) <= CHEAP_PAIRS):
        return _every_point(problem, dense=False)
    if fidelity == "certified":
        return _proven(problem)
    spacings = affordable_spacings(problem, SPACINGS[problem.d])
    if spacings:
        return _by_cells(problem, spacings[0])
    if problem.n <= MIN_NODES // NODES_PER_POINT:
        return _every_point(problem, dense=False)
    return _by_sparse_cells(problem)


def affordable_spacings(problem: Problem, spacings: tuple[float, ...]) -> list[float]:
    """Return the spacings whose table is worth its cost for so many points."""
    budget = min(MAX_NODES, max(MIN_NODES, NODES_PER_POINT * problem.n))
    low, high = problem.bounds
    return [s for s in spacings if node_box(low, high, low, s * problem.bandwidth).n_nodes <= budget]


def exact_work(problem: Problem, starts: int) -> float:
    """Estimate the pairs that exact climbs of so many starts sum: points within reach, times steps."""
    extent = np.maximum(problem.bounds[1] - problem.bounds[0], problem.bandwidth)
    share = float(np.minimum(2.0 * REACH * problem.bandwidth / extent, 1.0).prod())
    return float(starts) * problem.n * share * STEPS


def _proven(problem: Problem) -> Clustering:
    """Prove labels cell by cell, then point by point, on ever finer tables until few are open; those climb exactly."""
    spacings = affordable_spacings(problem, PROVEN_SPACINGS[problem.d])
    if not spacings:
        return _every_point(problem, dense=False)
    labels = np.empty(problem.n, np.int32)
    for spacing in spacings:
        sketch, tubes = _prove_cells(problem, spacing)
        problem.report("look up")
        counts = tubes.table.assign(problem.points, labels, problem.n_jobs)
        if counts.unknown > MOST_OPEN * problem.n and spacing != spacings[-1]:
            continue
        problem.report(f"prove {counts.unknown} points")
        rows = np.flatnonzero(labels == UNKNOWN) if counts.unknown else np.empty(0, np.int64)
        labels[rows] = tubes.settle_points(problem.points[rows], problem.n_jobs)
        codes = np.where(labels[rows] == UNKNOWN, UNDECIDED, BOUNDARY).astype(np.uint8)
        if np.count_nonzero(codes == UNDECIDED) <= MOST_UNDECIDED * problem.n:
            break
    table = ProvenLabels(tubes)
    for settle, code in ((_climb_exactly, CLIMBED), (_follow, UNDECIDED)):
        lost = np.flatnonzero(labels[rows] == UNKNOWN)
        if lost.size:
            labels[rows[lost]] = found = settle(problem, table, rows[lost])
            codes[lost[found != UNKNOWN]] = code
    finder = ModeFinder(tubes.field, None, **problem.climbing)
    finder.positions, finder.n_iter = tubes.traps.centres, tubes.n_iter
    result = finish(problem, finder, table, labels, recount(counts, labels[rows]), sketch)
    radii = tubes.traps.radii[: len(result.modes)]  # in the order of the labels now
    result.certificate = certify(result.modes, radii, spacing, tubes.largest_error(), problem.n, rows, codes)
    return result


def _prove_cells(problem: Problem, spacing: float) -> tuple[DensitySketch, Tubes]:
    """Sketch, tabulate, bound, flood, and prove what can be proven for whole cells; number the modes by mass."""
    problem.report(f"sketch, nodes {spacing:.3g} bandwidths apart")
    sketch, _ = make_sketch(problem, spacing, PROVEN_DEGREE)
    problem.report("tabulate")
    reach = reach_of_tail(problem.total_weight, problem.lightest, PROVEN_TAIL)
    field = TableField(
        sketch.nodes(), problem.bandwidth, sketch.kernel_bandwidth(),
        lightest=problem.lightest, reach=reach, n_jobs=problem.n_jobs,
    )  # fmt: skip
    problem.report("bound the errors")
    bounds = cell_bounds(field, problem.lightest, problem.n_jobs)
    problem.report("flood")
    tubes = Tubes.of(field, bounds, flood(field, bounds, problem.lightest))
    problem.report("prove cells")
    tubes.settle_cells(problem.n, problem.lightest, problem.n_jobs)
    modes = tubes.traps.centres
    if len(modes) * problem.n <= POLISH_PAIRS:
        problem.report("polish")
        modes[:] = newton_over_all(problem.points, problem.weights, problem.bandwidth, modes, problem.n_jobs)
    tubes.relabel(np.argsort(np.argsort(-tubes.table.masses(sketch.masses.reshape(-1), len(modes)))).astype(np.int32))
    return sketch, tubes


def _climb_exactly(problem: Problem, table: ProvenLabels, rows: Ints) -> NDArray[np.int32]:
    """Climb from rows on the points themselves, if that is affordable; UNKNOWN where it is not or proves nothing."""
    unknown = np.full(len(rows), UNKNOWN, np.int32)
    if problem.n > EXACT_POINTS or exact_work(problem, len(rows)) > EXACT_PAIRS:
        return unknown
    problem.report(f"climb {len(rows)} points exactly")
    exact = GridField(problem.points, problem.weights, problem.bandwidth)
    keys = KeyLabels(problem.points[rows], bit_patterns)
    keys.labels = table.tubes.climb_exactly(exact, problem.points[rows[keys.first_rows]], problem.n_jobs)
    table.climbed = keys
    return keys.labels[keys.numbers]


def _follow(problem: Problem, table: ProvenLabels, rows: Ints) -> NDArray[np.int32]:
    """Label rows by their tabulated paths; where those end at no mode known so far, there is one more."""
    problem.report(f"follow {len(rows)} paths that prove nothing")
    return table.tubes.follow(problem.points[rows], problem.n_jobs, add=True)


def _every_point(problem: Problem, dense: bool) -> Clustering:
    """Every distinct point climbs on the points."""
    problem.report("merge repeats")
    keys = KeyLabels(problem.points, bit_patterns)
    points = np.asarray(problem.points[keys.first_rows], np.float64)
    weights = problem.weights if problem.weights.size else None
    weights = np.bincount(keys.numbers, weights).astype(np.float64)
    make_field = DenseField if dense else GridField
    field = make_field(points, weights, problem.bandwidth)
    found = _climb_keys(problem, ModeFinder(field, field, **problem.climbing), keys)
    found.certificate = everything_climbed(found.modes, problem.n)
    return found


def _by_cells(problem: Problem, spacing: float) -> Clustering:
    """Sketch the points, tabulate its kernel sums, climb for whole cells and label by cell."""
    problem.report("sketch")
    sketch, bins = make_sketch(problem, spacing)
    problem.report("tabulate")
    lost_variance = bins.lost_variance if bins else 0.0
    nodes, h = sketch.nodes(), float(np.hypot(sketch.kernel_bandwidth(), np.sqrt(lost_variance)))
    field = TableField(nodes, problem.bandwidth, h, lightest=problem.lightest, n_jobs=problem.n_jobs)
    occupied = nodes.occupied()
    on_nodes = GridField(nodes.positions(occupied), nodes.weights(occupied), h)
    finder = ModeFinder(field, on_nodes, **problem.climbing)
    problem.report("climb")
    cells = label_cells(field, finder)
    problem.report("climb the borders")
    table = label_sub_cells(problem.points, field, finder, cells, SPLIT[problem.d], problem.n_jobs)
    problem.report("polish")
    _polish_and_order(problem, finder, table, sketch)
    problem.report("label")
    if bins is not None and table.is_complete():
        labels, counts = bins.index, table.assign_bins(problem.points, bins, problem.n_jobs)
    else:
        labels = np.empty(problem.n, np.int32)
        counts = table.assign(problem.points, labels, problem.n_jobs)
    return finish(problem, finder, table, labels, counts, sketch)


def _polish_and_order(problem: Problem, finder: ModeFinder, table: CellLabels, sketch: DensitySketch) -> None:
    """Polish the modes on the points themselves and number them by mass: nearly the final numbers."""
    if finder.n_modes * problem.n <= POLISH_PAIRS:
        finder.positions = newton_over_all(
            problem.points, problem.weights, problem.bandwidth, finder.positions, problem.n_jobs
        )
    order = np.argsort(-table.masses(sketch.masses.reshape(-1), finder.n_modes), kind="stable")
    finder.positions = finder.positions[order]
    table.relabel(np.argsort(order).astype(np.int32))


def make_sketch(problem: Problem, spacing: float, degree: int = 2) -> tuple[DensitySketch, Bins | None]:
    """Sketch the points, quadratically by way of bins where that is quicker."""
    heaviest = float(problem.weights.max()) if problem.weights.size else 1.0
    sketch = DensitySketch(
        problem.bandwidth,
        spacing=spacing,
        origin=problem.bounds[0],
        weight_scale=2.0 ** np.ceil(np.log2(heaviest)),
        degree=degree,
    )
    bins = None
    if degree == 2 and not problem.weights.size:
        bins = bin_points(problem.points, problem.bounds, sketch.delta, problem.n_jobs)
    points, weights = (bins.means, bins.counts) if bins else (problem.points, problem.weights)
    return sketch.add_scanned(points, weights, problem.bounds, problem.n_jobs), bins


def _by_sparse_cells(problem: Problem) -> Clustering:
    """Cluster where a dense grid would be too large: means of occupied cells stand in for the points."""
    problem.report("sort into cells")
    h = problem.bandwidth
    means, weights, lost_variance = cell_means(problem.points, problem.weights, SPARSE_SPACING * h)
    kernel_bandwidth = float(np.sqrt(h * h + lost_variance))
    reach = reach_of_tail(float(weights.sum()), problem.lightest)
    field = GridField(means, weights, kernel_bandwidth, factor=(h / kernel_bandwidth) ** 2, reach=reach)
    side = SPARSE_SPACING / SPARSE_SPLIT * h
    keys = KeyLabels(problem.points, partial(cell_indices, origin=problem.bounds[0], side=side))
    return _climb_keys(problem, ModeFinder(field, field, **problem.climbing), keys)


def _climb_keys(problem: Problem, finder: ModeFinder, keys: KeyLabels) -> Clustering:
    """Climb from the first point of each key; every point takes the mode of its key."""
    problem.report("climb")
    keys.labels = finder.find(np.asarray(problem.points[keys.first_rows], np.float64)).astype(np.int32)
    problem.report("label")
    labels = np.empty(problem.n, np.int32)
    return finish(problem, finder, keys, labels, keys.assign(problem.points, labels, problem.n_jobs))
