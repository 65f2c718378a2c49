"""The whole of mean shift on one screen: sketch, climb, label.

Points become a density (a sketch of them where that pays, the points themselves where not); starts climb it to
its modes; modes become labels. `cluster` chooses the route:

- **points**, few of them, more than three columns, or ``fidelity="exact"``: every distinct point climbs on the
  points, as float64 does; `choose_field` says whether they are summed densely, by grid cells or in blocks;
- **proven**, ``fidelity="certified"``: a spline sketch, its kernel sums tabulated with bounds of their errors; a flood
  finds modes and cores, tubes prove cells and points, what is left climbs on the points;
- **closest points**, many rows of many columns, ``fidelity="fast"`` or directions: every point climbs on the points
  that are closest and on means of the others (`embeddings`);
- **sphere**, directions: every point climbs along the sphere, or, where that is much work, cells do (`spherical`);
- **cells**, ``fidelity="fast"``: a spline sketch, its kernel sums tabulated, and cells that climb for the points
  they hold; where the grid would cost more than that, by a model, weighted cell means stand in for the points, or
  every point climbs.

That is the Gaussian; other kernels have routes of their own (`modeseek.any_kernel`).
"""

from collections.abc import Callable
from functools import partial

import numpy as np

from modeseek.any_kernel import cluster_with_kernel
from modeseek.cells import bit_patterns, cell_indices, cell_means, coordinates
from modeseek.certificate import everything_climbed, nothing_decided
from modeseek.climb import ModeFinder
from modeseek.costs import (
    DENSE_POINTS,
    PointField,
    choose_field,
    seconds_of_climbs,
    seconds_of_exact_climbs,
    seconds_of_table,
)
from modeseek.embeddings import FEW_COLUMNS, at_rest, few_are_enough, on_closest
from modeseek.fields import Floats, reach_of_tail
from modeseek.fields.adaptive import AdaptiveField
from modeseek.fields.grid import GridField
from modeseek.kernels import GAUSSIAN
from modeseek.label import CellLabels, KeyLabels, label_cells, label_sub_cells
from modeseek.prepare import MAX_NODES, affordable_spacings, make_sketch, n_nodes, polish_modes, table_and_finder
from modeseek.proven import by_proof, seconds_of_proof
from modeseek.result import Clustering, Problem, finish
from modeseek.sketch import DensitySketch
from modeseek.sphere import normalise
from modeseek.spherical import by_cells, cells_pay, sphere_field

SPACINGS = {1: (0.125, 0.25, 0.5), 2: (0.25, 0.5), 3: (1 / 3, 0.5)}  # in bandwidths, finest first
SPLIT = {1: 9, 2: 5, 3: 5}  # sub-cells per axis of a mixed cell
PATIENCE = 600.0  # seconds of exact climbs, where no table is possible, before labels are left undecided instead
SPARSE_SPACING = 0.25  # cells of the sparse route, in bandwidths
SPARSE_SPLIT = 2


Route = Callable[[Problem], Clustering]


def cluster(problem: Problem, fidelity: str) -> Clustering:
    """Cluster by mean shift: ``fidelity`` is "certified", "fast" or "exact"."""
    return route_of(problem, fidelity)(problem)


def route_of(problem: Problem, fidelity: str) -> Route:
    """Choose the route of a problem."""
    if problem.kernel is not GAUSSIAN:
        return partial(cluster_with_kernel, fidelity=fidelity)
    if problem.own.size:
        return _every_point
    if few_are_enough(problem, fidelity):
        return on_closest
    if problem.metric == "sphere":
        return by_cells if cells_pay(problem, fidelity) else _every_point
    if problem.n <= DENSE_POINTS or problem.d > 3 or fidelity == "exact":
        return _every_point
    if fidelity == "certified":
        proof = seconds_of_proof(problem)
        exact = seconds_of_exact_climbs(problem.points, problem.bounds, problem.bandwidth, min(proof, PATIENCE))
        if proof < exact:
            return by_proof
        return _every_point if exact <= PATIENCE else _by_sparse_cells
    spacings = affordable_spacings(problem, SPACINGS[problem.d])
    return partial(by_table, spacing=spacings[0]) if spacings else _as_costs_least(problem)


def asks_for_passes(route: Route) -> bool:
    """Tell whether a route only asks for sums and labels of all points, and for some rows: it needs no array of all."""
    return getattr(route, "func", route) in (by_proof, by_table)


def _as_costs_least(problem: Problem) -> Route:
    """Take the fast route that costs least where every table is large beside the number of points."""
    problem.report("choose a route")
    h = problem.bandwidth
    reach = reach_of_tail(problem.total_weight, problem.lightest) * h
    on_points, sparse = seconds_of_climbs(problem.points, reach, SPARSE_SPACING * h)
    for spacing in affordable_spacings(problem, SPACINGS[problem.d], MAX_NODES)[-1:]:
        if seconds_of_table(problem.n, n_nodes(problem, spacing), problem.d) < min(on_points, sparse):
            return partial(by_table, spacing=spacing)
    return _every_point if on_points < sparse else _by_sparse_cells


def _every_point(problem: Problem) -> Clustering:
    """Every distinct point climbs on the points, summed as costs least."""
    problem.report("merge repeats")
    keys = KeyLabels(problem.points, bit_patterns)
    points = coordinates(keys.keys)
    if problem.metric == "sphere":
        points = normalise(points)
    weights = problem.weights if problem.weights.size else None
    weights = np.bincount(keys.numbers, weights).astype(np.float64)
    problem.report("choose how to sum")
    finder, why = _finder_on_points(problem, points, weights)
    found = _climb_keys(problem, finder, keys, points, why)
    found.certificate = everything_climbed(found.modes, problem.n)
    return found


def _finder_on_points(problem: Problem, points: Floats, weights: Floats) -> tuple[ModeFinder, str]:
    """Return what finds the modes that points climb to on the points, and why in words it sums as it does."""
    if problem.metric == "sphere" and problem.d > FEW_COLUMNS:
        return at_rest(problem, points, weights), "dense: many columns"
    field: PointField
    if problem.own.size:  # repeats may differ in bandwidth
        field, why = AdaptiveField(problem.points, problem.weights, problem.own), "a bandwidth for each point"
    elif problem.metric == "sphere":
        field, why = sphere_field(points, weights, problem.bandwidth)
    else:
        field, why = choose_field(points, weights, problem.bandwidth)
    return ModeFinder(field, field, **problem.climbing), why


def by_table(problem: Problem, spacing: float) -> Clustering:
    """Sketch the points, tabulate its kernel sums, climb for whole cells and label by cell."""
    problem.report("sketch")
    sketch, bins = make_sketch(problem, spacing)
    problem.report("tabulate")
    field, finder = table_and_finder(problem, sketch, bins.lost_variance if bins else 0.0)
    problem.report("climb")
    cells = label_cells(field, finder)
    problem.report("climb the borders")
    first = problem.first_in_sub_cells
    table = label_sub_cells(problem.n, first, field, finder, cells, SPLIT[problem.d])
    problem.report("polish")
    _polish_and_order(problem, finder, table, sketch)
    problem.report("label")
    labels, counts, _ = problem.look_up(table, bins.places if bins else None)
    return finish(problem, finder, table, labels, counts, sketch)


def _polish_and_order(problem: Problem, finder: ModeFinder, table: CellLabels, sketch: DensitySketch) -> None:
    """Polish the modes on the points themselves and number them by mass: nearly the final numbers."""
    finder.positions = polish_modes(problem, finder.positions)
    order = np.argsort(-table.masses(sketch.masses.reshape(-1), finder.n_modes), kind="stable")
    finder.positions = finder.positions[order]
    table.relabel(np.argsort(order).astype(np.int32))


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
    starts = np.asarray(problem.points[keys.first_rows], np.float64)
    found = _climb_keys(problem, ModeFinder(field, field, guide=field, **problem.climbing), keys, starts)
    found.certificate = nothing_decided(found.modes, problem.n)
    return found


def _climb_keys(problem: Problem, finder: ModeFinder, keys: KeyLabels, starts: Floats, why: str = "") -> Clustering:
    """Climb from one point of each key; every point takes the mode of its key."""
    problem.report(f"climb ({why})" if why else "climb")
    keys.labels = finder.find(starts).astype(np.int32)
    problem.report("label")
    labels = np.empty(problem.n, np.int32)
    return finish(problem, finder, keys, labels, keys.assign(problem.points, labels, problem.n_jobs))
