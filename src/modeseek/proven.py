r"""The proven route: labels equal to those of exact mean shift, in time linear in the number of points.

    sketch -> tabulate -> bound the errors -> flood -> prove cells -> prove points -> climb exactly what is left

It is tried on a coarse table first, and on a finer one where that leaves too much open. Only points whose labels even
the finest cannot prove climb on the points themselves; what is too much work is left undecided, and reported.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from modeseek.cells import bit_patterns
from modeseek.certificate import BOUNDARY, CLIMBED, UNDECIDED, certify
from modeseek.certify import QUICK, ProvenLabels, Tubes, recount
from modeseek.climb import ModeFinder
from modeseek.costs import (
    GRID_PAIR,
    LOADING,
    PROVEN_NODE,
    SORTED_POINT,
    TUBE_STEP,
    UNSORTED_PAIR,
)
from modeseek.fields import Ints, reach_of_tail
from modeseek.fields.bounds import cell_bounds
from modeseek.fields.grid import mean_of
from modeseek.fields.near import NearBounds
from modeseek.fields.table import TableField
from modeseek.flood import flood
from modeseek.label import UNKNOWN, KeyLabels
from modeseek.places import Places
from modeseek.prepare import affordable_spacings, make_sketch, n_nodes, polish_modes
from modeseek.result import Clustering, Problem, finish
from modeseek.sketch import UNIT_BITS, DensitySketch

SPACINGS = {
    1: (1 / 16, 1 / 64),
    2: (1 / 7, 1 / 24, 1 / 36),
    3: (1 / 8, 1 / 10, 1 / 16),
}  # in bandwidths, coarsest first
STOPGAP = 1 / 9  # where only the coarsest spacing in the plane is affordable
MANY = 1_000_000  # points: with so many in three columns the coarsest spacing of several leaves too many open
MAX_NODES = 1 << 23
CUBIC_POINTS = 3_000_000  # up to these cubic splines, with low bounds of error; beyond patches, or quadratic splines
CROWDED, FINER = 1 << 24, 4  # points of a device from which sub-cells may be finer, and how much: fewer are left open
TAIL = 1e-6  # of the lightest point: the most that what is out of reach may weigh
MOST_LOST = 0.01  # of a few points: with more of their tubes lost a finer table is taken at once
MOST_UNDECIDED = 1e-3  # of all points: with more open in the end a finer table is taken too
STEP_PAIRS = 5e7  # most pairs of a few points and all, for one step without sorting
EXACT_PAIRS, EXACT_POINTS = 5e8, 1 << 22  # most pairs, and points to sort, that exact climbs of a few may cost
EXACT_STEPS = 8  # that they take, about, until a tube from there arrives, where tubes are quick


Settler = Callable[[Problem, ProvenLabels, Ints], NDArray[np.int32]]


def tables(problem: Problem) -> list[float]:
    """Return the node spacings, in bandwidths, that may be tried for so many points.

    There are none where a point may be so light beside others that the integer masses of a sketch lose it.
    """
    if 4.0**problem.d * 2.0 * problem.heaviest > 2.0**UNIT_BITS * problem.lightest:
        return []
    spacings = affordable_spacings(problem, SPACINGS[problem.d], MAX_NODES)
    if problem.d == 2 and len(spacings) == 1:
        spacings += affordable_spacings(problem, (STOPGAP,), MAX_NODES)
    return spacings[1:] if len(spacings) > 1 and problem.d == 3 and problem.n > MANY else spacings


def seconds_of_proof(problem: Problem) -> float:
    """Estimate what the first table costs; infinity if no table is affordable."""
    spacings = tables(problem)
    return LOADING + _seconds_of_table(problem, spacings[0]) if spacings else np.inf


def _seconds_of_table(problem: Problem, spacing: float) -> float:
    """Estimate what a table of this spacing costs, with its bounds and flood."""
    return PROVEN_NODE[problem.d] * n_nodes(problem, spacing)


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
        labels, counts, rows = problem.look_up(tubes.table, places)
        problem.report(f"prove {counts.unknown} points")
        settled = tubes.settle_points(problem.points, rows, problem.n_jobs)
        codes = np.where(settled == UNKNOWN, UNDECIDED, BOUNDARY).astype(np.uint8)
        n_lost = int((codes == UNDECIDED).sum())
        if finer is not None and _finer_pays(problem, tubes, n_lost, spacing, finer):
            continue
        table = ProvenLabels(tubes)
        _settle(problem, table, rows, settled, codes, _climb_exactly, CLIMBED)
        if finer is None or (codes == UNDECIDED).sum() <= MOST_UNDECIDED * problem.n:
            break
    _settle(problem, table, rows, settled, codes, _follow, UNDECIDED)
    problem.write(labels, rows, settled)
    finder = ModeFinder(tubes.field, None, **problem.climbing)
    finder.positions, finder.n_iter = tubes.traps.centres, tubes.n_iter
    result = finish(problem, finder, table, labels, recount(counts, settled), sketch)
    radii = tubes.traps.radii[: len(result.modes)]  # in the order of the labels now
    result.certificate = certify(result.modes, radii, spacing, tubes.largest_error(), problem.n, rows, codes)
    tubes.bounds = NearBounds(tubes.field, tubes.bounds.near, problem.lightest)
    return result


def _settle(
    problem: Problem, table: ProvenLabels, rows: Ints, settled: Ints, codes: NDArray[np.uint8], how: Settler, code: int
) -> None:
    """Settle the rows that are open in a way, and note the code of those that it settles."""
    lost = np.flatnonzero(settled == UNKNOWN)
    if lost.size:
        settled[lost] = found = how(problem, table, rows[lost])
        codes[lost[found != UNKNOWN]] = code


def _finer_pays(problem: Problem, tubes: Tubes, n_lost: int, spacing: float, finer: float) -> bool:
    """Tell whether to try a finer table for the points that are open: it costs less than exact climbs of these.

    Where climbs are likely to prove nothing it pays if the open points are too many to be left undecided.
    """
    quick, too_many = tubes.n_iter <= QUICK, n_lost > MOST_UNDECIDED * problem.n
    if not n_lost:
        return False
    if not _may_climb(problem, n_lost):
        return too_many
    table = _seconds_of_table(problem, finer) + TUBE_STEP * tubes.n_steps * spacing / finer
    if quick and n_lost * problem.n <= STEP_PAIRS * problem.speed:
        return table < UNSORTED_PAIR / problem.speed * n_lost * problem.n
    pairs, most = problem.pairs(n_lost * (EXACT_STEPS if quick else tubes.n_iter)), EXACT_PAIRS * problem.speed
    sorting = 0.0 if problem.on_device else SORTED_POINT * problem.n
    if table < sorting + GRID_PAIR / problem.speed * min(pairs, most):
        return True
    return too_many and pairs > most


def _may_climb(problem: Problem, n: int) -> bool:
    """Tell whether one step of so many climbs on the points is affordable, and sorting them where that is needed."""
    return (problem.on_device or problem.n <= EXACT_POINTS) and problem.pairs(n) <= EXACT_PAIRS * problem.speed


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
    finer = FINER if problem.on_device and problem.n > CROWDED else 1
    return sketch, Tubes.of(field, bounds, flood(field, bounds, problem.lightest), finer), places


def sketch_and_places(problem: Problem, spacing: float) -> tuple[DensitySketch, Places | None]:
    """Sketch the points, in one pass with their places where they are many."""
    few = problem.on_device or problem.n <= CUBIC_POINTS
    if not few and not problem.weighted:
        sketch = DensitySketch(problem.bandwidth, spacing=spacing, origin=problem.bounds[0], degree=3)
        places = problem.place_in(sketch)
        if places is not None:
            return sketch, places
    cubic = few or problem.d == 3  # where depositing is never most of the work
    sketch, _ = make_sketch(problem, spacing, 3 if cubic else 2, bins=False)
    return sketch, None


def _number_modes(problem: Problem, tubes: Tubes, held: Ints) -> None:
    """Polish the modes and number them by what the cells proven so far hold: nearly the final numbers."""
    problem.report("polish")
    modes = tubes.traps.centres
    modes[:] = polish_modes(problem, modes)
    tubes.relabel(np.argsort(np.argsort(-tubes.table.masses(held, len(modes)))).astype(np.int32))


def _climb_exactly(problem: Problem, table: ProvenLabels, rows: Ints) -> NDArray[np.int32]:
    """Climb from rows on the points themselves, if that is affordable; UNKNOWN where it is not or proves nothing.

    One step is mostly enough: where paths part it takes them further apart than the table can tell. Of few it costs
    less than sorting the points.
    """
    keys = KeyLabels(problem.points[rows], bit_patterns)
    places = problem.points[rows[keys.first_rows]].astype(np.float64)
    if len(places) * problem.n <= STEP_PAIRS * problem.speed:
        problem.report(f"step from {len(places)} points exactly")
        places = mean_of(places, problem.sums(places))
        keys.labels[:] = table.tubes.settle_points(places, np.arange(len(places)), problem.n_jobs)
    lost = np.flatnonzero(keys.labels == UNKNOWN)
    if lost.size and _may_climb(problem, lost.size):
        problem.report(f"climb {lost.size} points exactly")
        most = EXACT_PAIRS * problem.speed / problem.pairs(1)
        keys.labels[lost] = table.tubes.climb_exactly(problem.exact_field(), places[lost], most, problem.n_jobs)
    table.climbed = keys
    return keys.labels[keys.numbers]


def _follow(problem: Problem, table: ProvenLabels, rows: Ints) -> NDArray[np.int32]:
    """Label rows by their tabulated paths; where those end at no mode known so far, there is one more."""
    problem.report(f"follow {len(rows)} paths that prove nothing")
    return table.tubes.follow(problem.points[rows], problem.n_jobs, add=True)
