r"""The proven route: labels equal to those of exact mean shift, in time linear in the number of points.

    sketch -> tabulate -> bound the errors -> flood -> prove cells -> prove points -> climb exactly what is left

It is tried on a coarse table first, and on a finer one where that leaves too much open. Only points whose labels even
the finest cannot prove climb on the points themselves; what is too much work is left undecided, and reported.
"""

import numpy as np
from numpy.typing import NDArray

from modeseek.cells import bit_patterns
from modeseek.certificate import BOUNDARY, CLIMBED, UNDECIDED, certify
from modeseek.certify import ProvenLabels, Tubes, recount
from modeseek.climb import ModeFinder
from modeseek.costs import GRID_PAIR, LOADING, pairs_within_reach
from modeseek.fields import Ints, reach_of_tail
from modeseek.fields.bounds import cell_bounds
from modeseek.fields.grid import GridField
from modeseek.fields.table import TableField
from modeseek.flood import flood
from modeseek.label import UNKNOWN, KeyLabels
from modeseek.places import Places
from modeseek.prepare import affordable_spacings, make_sketch, n_nodes, polish_modes
from modeseek.result import Clustering, Problem, finish
from modeseek.sketch import UNIT_BITS, DensitySketch

SPACINGS = {
    1: (1 / 16, 1 / 64),
    2: (1 / 8, 1 / 9, 1 / 24, 1 / 36),
    3: (1 / 8, 1 / 10, 1 / 16),
}  # in bandwidths, coarsest first
MANY = 300_000  # points: with so many the coarsest spacing of several leaves too many open
MAX_NODES = 1 << 23
NODE_SECONDS = {1: 1e-6, 2: 0.7e-6, 3: 1.2e-6}  # sketching, tabulating, bounds and flood, a node
CUBIC_POINTS = 3_000_000  # up to these cubic splines, with low bounds of error; beyond patches, or quadratic splines
TAIL = 1e-6  # of the lightest point: the most that what is out of reach may weigh
MOST_LOST = 0.01  # of a few points: with more of their tubes lost a finer table is taken at once
MOST_UNDECIDED = 1e-3  # of all points: with more open in the end a finer table is taken too
EXACT_PAIRS, EXACT_POINTS = 5e8, 1 << 22  # most pairs, and points to sort, that exact climbs of a few may cost
EXACT_STEPS = 64  # that they take, about, until a tube from there arrives


def tables(problem: Problem) -> list[float]:
    """Return the node spacings, in bandwidths, that may be tried for so many points.

    There are none where a point may be so light beside others that the integer masses of a sketch lose it.
    """
    heaviest = float(problem.weights.max()) if problem.weights.size else 1.0
    if 4.0**problem.d * 2.0 * heaviest > 2.0**UNIT_BITS * problem.lightest:
        return []
    spacings = affordable_spacings(problem, SPACINGS[problem.d], MAX_NODES)
    return spacings[1:] if len(spacings) > 2 and problem.n > MANY else spacings


def seconds_of_proof(problem: Problem) -> float:
    """Estimate what the first table costs; infinity if no table is affordable."""
    spacings = tables(problem)
    return LOADING + _seconds_of_table(problem, spacings[0]) if spacings else np.inf


def _seconds_of_table(problem: Problem, spacing: float) -> float:
    """Estimate what a table of this spacing costs, with its bounds and flood."""
    return NODE_SECONDS[problem.d] * n_nodes(problem, spacing)


def by_proof(problem: Problem) -> Clustering:
    """Prove labels cell by cell, then point by point, on ever finer tables until few are open; those climb exactly."""
    spacings = tables(problem)
    for spacing, finer in zip(spacings, [*spacings[1:], None], strict=True):
        sketch, tubes, places = flooded(problem, spacing)
        problem.report("prove a few points")
        hard = tubes.lost_share(problem.points, problem.n_jobs) > MOST_LOST
        if hard and finer is not None:
            continue
        in_cells = None if places is None else places.in_cells(sketch.box)
        cells, points = tubes.open_cells(problem.n, problem.lightest, in_cells)
        if hard or points.sum() > len(cells):
            problem.report(f"prove {len(cells)} cells")
            tubes.settle_cells(cells, points, problem.n_jobs)
        _number_modes(problem, tubes, sketch.masses.reshape(-1) if in_cells is None else in_cells)
        problem.report("look up")
        labels, counts, rows = tubes.table.label(problem.points, places, problem.n_jobs)
        problem.report(f"prove {counts.unknown} points")
        labels[rows] = tubes.settle_points(problem.points[rows], problem.n_jobs)
        codes = np.where(labels[rows] == UNKNOWN, UNDECIDED, BOUNDARY).astype(np.uint8)
        if finer is None or _is_enough(problem, int((codes == UNDECIDED).sum()), finer):
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


def _is_enough(problem: Problem, undecided: int, finer: float) -> bool:
    """Tell whether so few points are open that a finer table does not pay, or that they climb exactly in less time."""
    pairs = EXACT_STEPS * pairs_within_reach(undecided, problem.n, problem.bounds, problem.bandwidth)
    affordable = problem.n <= EXACT_POINTS and pairs <= EXACT_PAIRS
    cheaper = affordable and GRID_PAIR * pairs <= _seconds_of_table(problem, finer)
    return cheaper or undecided <= MOST_UNDECIDED * problem.n


def flooded(problem: Problem, spacing: float) -> tuple[DensitySketch, Tubes, Places | None]:
    """Sketch, tabulate, bound the errors, and flood: what is proven before the first tube."""
    problem.report(f"sketch, nodes {spacing:.3g} bandwidths apart")
    sketch, places = sketch_and_places(problem, spacing)
    problem.report("tabulate")
    reach = reach_of_tail(problem.total_weight, problem.lightest, TAIL)
    field = TableField(
        sketch.nodes(), problem.bandwidth, sketch.kernel_bandwidth(),
        lightest=problem.lightest, reach=reach, n_jobs=problem.n_jobs,
    )  # fmt: skip
    problem.report("bound the errors")
    bounds = cell_bounds(field, problem.lightest, problem.n_jobs)
    problem.report("flood")
    return sketch, Tubes.of(field, bounds, flood(field, bounds, problem.lightest)), places


def sketch_and_places(problem: Problem, spacing: float) -> tuple[DensitySketch, Places | None]:
    """Sketch the points, in one pass with their places where they are many."""
    if problem.n > CUBIC_POINTS and not problem.weights.size:
        sketch = DensitySketch(problem.bandwidth, spacing=spacing, origin=problem.bounds[0], degree=3)
        places = sketch.add_placed(problem.points, problem.bounds, problem.n_jobs)
        if places is not None:
            return sketch, places
    cubic = problem.n <= CUBIC_POINTS or problem.d == 3  # where depositing is never most of the work
    sketch, _ = make_sketch(problem, spacing, 3 if cubic else 2, bins=False)
    return sketch, None


def _number_modes(problem: Problem, tubes: Tubes, held: Ints) -> None:
    """Polish the modes and number them by what the cells proven so far hold: nearly the final numbers."""
    problem.report("polish")
    modes = tubes.traps.centres
    modes[:] = polish_modes(problem, modes)
    tubes.relabel(np.argsort(np.argsort(-tubes.table.masses(held, len(modes)))).astype(np.int32))


def _climb_exactly(problem: Problem, table: ProvenLabels, rows: Ints) -> NDArray[np.int32]:
    """Climb from rows on the points themselves, if that is affordable; UNKNOWN where it is not or proves nothing."""
    keys = KeyLabels(problem.points[rows], bit_patterns)
    pairs = pairs_within_reach(1, problem.n, problem.bounds, problem.bandwidth)  # of one step
    if problem.n > EXACT_POINTS or len(keys.labels) * pairs > EXACT_PAIRS:
        return np.full(len(rows), UNKNOWN, np.int32)
    problem.report(f"climb {len(keys.labels)} points exactly")
    exact = GridField(problem.points, problem.weights, problem.bandwidth)
    starts = problem.points[rows[keys.first_rows]]
    keys.labels = table.tubes.climb_exactly(exact, starts, EXACT_PAIRS / pairs, problem.n_jobs)
    table.climbed = keys
    return keys.labels[keys.numbers]


def _follow(problem: Problem, table: ProvenLabels, rows: Ints) -> NDArray[np.int32]:
    """Label rows by their tabulated paths; where those end at no mode known so far, there is one more."""
    problem.report(f"follow {len(rows)} paths that prove nothing")
    return table.tubes.follow(problem.points[rows], problem.n_jobs, add=True)
