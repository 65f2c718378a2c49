r"""The routes of a fit with another kernel than the Gaussian.

- **points**: few of them, more than three columns, ``fidelity="exact"``, or where it costs little: every distinct
  point climbs on the points, in float64; compact kernels count exactly the points within h. Nothing is approximated.
- **cells**: a spline sketch, the kernel's sums tabulated on its grid, and cells that climb for the points they hold, as
  the Gaussian's fast route does.
- **sparse cells**: where the grid would be too large, the means of occupied cells stand in for the points.

No bounds are known of what the last two leave out: with ``fidelity="certified"`` they say that nothing is decided.
"""

from functools import partial

import numpy as np

from modeseek.cells import bit_patterns, cell_indices, cell_means, coordinates
from modeseek.certificate import everything_climbed, nothing_decided
from modeseek.costs import DENSE_POINTS, neighbours
from modeseek.fields import Floats
from modeseek.fields.nodes import node_box
from modeseek.fields.radial import RadialField, TiledRadialField, shift_over_all
from modeseek.fields.radial_dense import DenseRadialField
from modeseek.fields.radial_table import MAX_TRANSFORM, RadialTable, tap_radius, transform_shape
from modeseek.kernels import Kernel
from modeseek.label import KeyLabels, label_cells, label_sub_cells
from modeseek.prepare import POLISH_PAIRS, affordable_spacings, make_sketch
from modeseek.resting import RestFinder
from modeseek.result import Clustering, Problem, finish

SPACINGS = {1: (0.125, 0.25, 0.5), 2: (0.25, 0.5), 3: (1 / 3, 0.5)}  # in widths of the kernel, finest first
SPLIT = {1: 9, 2: 5, 3: 5}  # sub-cells per axis of a mixed cell
SPARSE_SPACING, SPARSE_SPLIT = 0.25, 2  # cells of the sparse route, in widths of the kernel, and their parts
STEPS, PAIR, RAGGED = 25, 0.7e-9, 2.0  # of an exact climb; seconds a pair; pairs in tiles to those within reach
BLOCK = 100  # pairs a point beside those
FINER = 0.01  # of tol: no trap catches a climb on the points that creeps past a saddle, so it must rest for good
LITTLE = 1.0  # seconds: exact climbs that cost no more are always made
PATIENCE = 600.0  # seconds of exact climbs after which cells stand in for the points, where there is no table
NEARBY = 0.05  # widths: over so much a table's Jacobian is taken
MAX_REFINEMENT = 0.1  # widths that one last step may move a mode


def cluster_with_kernel(problem: Problem, fidelity: str) -> Clustering:
    """Cluster by mean shift with the problem's kernel: ``fidelity`` is "certified", "fast" or "exact"."""
    if problem.n <= DENSE_POINTS or problem.d > 3 or fidelity == "exact":
        return _every_point(problem)
    spacing, seconds = _spacing(problem), _seconds(problem)
    if seconds <= (LITTLE if spacing else PATIENCE):
        return _every_point(problem)
    found = _by_cells(problem, spacing) if spacing else _by_sparse_cells(problem)
    if fidelity == "certified":
        found.certificate = nothing_decided(found.modes, problem.n)
    return found


def radial_field(points: Floats, weights: Floats, bandwidth: float, kernel: Kernel) -> RadialField:
    """Return the field that sums so many points at least cost."""
    if len(points) <= DENSE_POINTS and kernel.function is None:
        return DenseRadialField(points, weights, bandwidth, kernel)
    return TiledRadialField(points, weights, bandwidth, kernel)


def _seconds(problem: Problem) -> float:
    """Estimate what exact climbs of all points cost."""
    near = float(neighbours(problem.points, problem.kernel.support * problem.bandwidth).mean())
    return problem.n * STEPS * PAIR * min(RAGGED * near + BLOCK, 1.0 * problem.n)


def _every_point(problem: Problem) -> Clustering:
    """Every distinct point climbs on the points."""
    problem.report("merge repeats")
    keys = KeyLabels(problem.points, bit_patterns)
    points = coordinates(keys.keys)
    weights = np.bincount(keys.numbers, problem.weights if problem.weights.size else None).astype(np.float64)
    found = _climb_keys(problem, radial_field(points, weights, problem.bandwidth, problem.kernel), keys, points)
    found.certificate = everything_climbed(found.modes, problem.n)
    return found


def _climb_keys(problem: Problem, field: RadialField, keys: KeyLabels, starts: Floats) -> Clustering:
    """Climb from one point of each key; every point takes the mode of its key."""
    problem.report("climb")
    tol = FINER * problem.tol if field.kernel.continuous else problem.tol
    finder = RestFinder(field, field.kernel.continuous, **problem.climbing | {"tol": tol})
    keys.labels = finder.find(starts).astype(np.int32)
    problem.report("label")
    labels = np.empty(problem.n, np.int32)
    return finish(problem, finder, keys, labels, keys.assign(problem.points, labels, problem.n_jobs))


def _spacing(problem: Problem) -> float | None:
    """Return the finest spacing, in widths of the kernel, whose table and transforms are affordable."""
    wide, (low, high) = problem.as_wide(), problem.bounds
    for spacing in affordable_spacings(wide, SPACINGS[problem.d]):
        delta = spacing * wide.bandwidth
        shape = node_box(low, high, low, delta).shape
        lengths = transform_shape(shape, tap_radius(problem.kernel.support, problem.bandwidth, delta))
        if np.prod(np.array(lengths, float)) <= MAX_TRANSFORM:
            return spacing
    return None


def _by_cells(problem: Problem, spacing: float) -> Clustering:
    """Sketch the points, tabulate the kernel's sums, climb for whole cells and label by cell."""
    problem.report("sketch")
    sketch, bins = make_sketch(problem.as_wide(), spacing)
    problem.report("tabulate")
    field = RadialTable(
        sketch.nodes(), problem.bandwidth, problem.kernel,
        lightest=problem.lightest, lost_variance=bins.lost_variance if bins else 0.0, n_jobs=problem.n_jobs,
    )  # fmt: skip
    finder = RestFinder(field, True, **problem.climbing)
    problem.report("climb")
    cells = label_cells(field, finder)
    problem.report("climb the borders")
    first = problem.first_in_sub_cells
    table = label_sub_cells(problem.n, first, field, finder, cells, SPLIT[problem.d])
    problem.report("polish")
    finder.positions = _polished(problem, field, finder.positions)
    problem.report("label")
    labels, counts, _ = problem.look_up(table, bins.places if bins else None)
    return finish(problem, finder, table, labels, counts, sketch)


def _polished(problem: Problem, field: RadialTable, modes: Floats) -> Floats:
    """Move modes by one step of Newton's method on m(x) = x: m over all points, its Jacobian from the table."""
    if len(modes) * problem.n > POLISH_PAIRS:
        return modes
    means = shift_over_all(problem.points, problem.weights, problem.bandwidth, problem.kernel, modes, problem.n_jobs)
    width = problem.as_wide().bandwidth
    rest = np.eye(problem.d) - _jacobians(field, modes, NEARBY * width)
    steps = means - modes
    sound = np.linalg.cond(rest) < 1e3
    steps[sound] = np.linalg.solve(rest[sound], steps[sound][:, :, None])[:, :, 0]
    small = np.square(steps).sum(axis=1) < np.square(MAX_REFINEMENT * width)
    return modes + np.where(small[:, None], steps, 0.0)


def _jacobians(field: RadialTable, places: Floats, reach: float) -> Floats:
    """Return the Jacobian of m at each place, (m, d, d), by central differences on a table."""
    d = places.shape[1]
    offsets = reach * np.concatenate([np.eye(d), -np.eye(d)])
    around = (places[:, None] + offsets).reshape(-1, d)
    means = field.climb(around, tol=0.0, max_iter=1)[0].reshape(-1, 2 * d, d)
    return ((means[:, :d] - means[:, d:]) / (2.0 * reach)).transpose(0, 2, 1)


def _by_sparse_cells(problem: Problem) -> Clustering:
    """Cluster where a dense grid would be too large: means of occupied cells stand in for the points."""
    problem.report("sort into cells")
    kernel, side = problem.kernel, SPARSE_SPACING * problem.as_wide().bandwidth
    means, weights, lost = cell_means(problem.points, problem.weights, side)
    field = radial_field(means, weights, widened(kernel, problem.bandwidth, lost, problem.d), kernel)
    parts = partial(cell_indices, origin=problem.bounds[0], side=side / SPARSE_SPLIT)
    keys = KeyLabels(problem.points, parts)
    return _climb_keys(problem, field, keys, np.asarray(problem.points[keys.first_rows], np.float64))


def widened(kernel: Kernel, bandwidth: float, variance: float, d: int) -> float:
    """Return the bandwidth at which the kernel makes up for a variance an axis that its points have lost."""
    return float(np.sqrt(bandwidth**2 + variance / kernel.variance(d)))
