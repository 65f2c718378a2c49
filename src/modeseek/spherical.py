r"""Mean shift on the unit sphere of space for many points: sorted cells stand in for them, blocks climb for theirs.

The mean x_c of the points of a cell lies inside the sphere, by their variance, so that with u on the sphere

    sum_i w_i exp(u.x_i / h^2)  ~  sum_c w_c exp(-(1 - |x_c|^2) / 2 h^2) exp(-|u - x_c|^2 / 2 (h^2 + v)),

v being the variance along the surface that is lost in the cells. Where a table of these sums all around the sphere is
small, climbs read it. Blocks as wide as a bandwidth climb first, one point for each. A block whose occupied neighbours
all reach the same mode is *interior*: its points take that label, and a climb that enters it has arrived. What is left
is cut finer, twice. So the work follows the borders between basins.

Labels are those of exact spherical mean shift except near such borders; nothing of this is proven.
"""

import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modeseek.cells import cell_means
from modeseek.certificate import nothing_decided
from modeseek.climb import ModeFinder
from modeseek.costs import DENSE_POINTS, FLOAT64, seconds_of_exact_climbs
from modeseek.engines.threads import run_chunks
from modeseek.fields import Floats, Ints, reach_of_tail
from modeseek.fields.directions import (
    Known,
    SphereBlocks,
    SphereDense,
    SphereGrid,
    SphereTable,
    moments_of_sums,
    on_sphere,
    steps_on_sphere,
)
from modeseek.fields.grid import MAX_REFINEMENT, sums_over_points
from modeseek.label import UNKNOWN, Counts
from modeseek.prepare import POLISH_PAIRS, affordable_spacings, make_sketch
from modeseek.result import Clustering, Problem, finish

SPACINGS = (1 / 3, 0.5)  # of the nodes of a table, in bandwidths, finest first
SIDE = 0.25  # of the cells that stand in for points, in bandwidths
BLOCKS = (1.0, 0.5, 0.125)  # sides of the blocks that climb, in bandwidths: the second is half the first
FINEST = 1e-6  # side of a cell: smaller ones have no numbers of 63 bits
EXACT_SECONDS = {"certified": 5.0, "fast": 0.5}  # that exact climbs may take instead of cells
ROWS_AT_ONCE = 1 << 14


def sphere_field(points: Floats, weights: Floats, bandwidth: float) -> tuple[SphereDense | SphereBlocks, str]:
    """Return the field on which all points climb, and why in words."""
    if len(points) <= DENSE_POINTS:
        return SphereDense(points, weights, bandwidth), f"dense: no more than {DENSE_POINTS} points"
    return SphereBlocks(points, weights, bandwidth), "blocks on the sphere"


def cells_pay(problem: Problem, fidelity: str) -> bool:
    """Tell whether cells are to stand in for the points: on the sphere of space, where all climbs are too much work."""
    if problem.d != 3 or problem.n <= DENSE_POINTS or fidelity == "exact":
        return False
    if BLOCKS[-1] * problem.bandwidth < FINEST:
        return False
    enough = EXACT_SECONDS[fidelity]
    return FLOAT64 * seconds_of_exact_climbs(problem.points, problem.bounds, problem.bandwidth, enough) > enough


@dataclass
class Level:
    """Blocks of one side: their sorted numbers, and a label for each, UNKNOWN where it has more than one."""

    side: float
    keys: Ints
    labels: NDArray[np.int32]

    @property
    def span(self) -> int:
        """Blocks along one axis, and one more at either end."""
        return span(self.side)

    def look_up(self, keys: Ints) -> NDArray[np.int32]:
        """Return the label of each block by its number, UNKNOWN where there is none."""
        place = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
        return np.where(self.keys[place] == keys, self.labels[place], np.int32(UNKNOWN))

    def keep_interior(self, wider: "Level | None") -> None:
        """Leave a label only to blocks all of whose neighbours have the same, or are empty.

        Neighbours may lie in interior blocks of twice the side.
        """
        labels = self.labels.copy()
        for a, b, c in itertools.product((-1, 0, 1), repeat=3):
            keys = self.keys + (a * self.span + b) * self.span + c
            beside = self.look_up(keys)
            if wider is not None:
                places = keys // self.span**2 // 2, keys // self.span % self.span // 2, keys % self.span // 2
                around = wider.look_up((places[0] * wider.span + places[1]) * wider.span + places[2])
                beside = np.where(beside == UNKNOWN, around, beside)
            labels[(beside != UNKNOWN) & (beside != self.labels)] = UNKNOWN
        self.labels = labels


@dataclass
class LevelLabels:
    """Labels by block, from wide blocks to narrow ones."""

    levels: list[Level]

    def assign(self, points: NDArray[Any], out: NDArray[np.int32], n_jobs: int | None = None) -> Counts:
        """Write the label of each row to ``out``, UNKNOWN where there is none; return the rows of each label."""

        def work(_: int, start: int, stop: int) -> None:
            part, found = np.asarray(points[start:stop], np.float64), out[start:stop]
            found[:] = UNKNOWN
            for level in self.levels:
                rows = np.flatnonzero(found == UNKNOWN)
                found[rows] = level.look_up(numbers(part[rows], level.side))

        run_chunks(len(points), work, n_jobs, ROWS_AT_ONCE)
        total = np.bincount(out + 1, minlength=2)
        return Counts(int(total[0]), total[1:])

    def relabel(self, names: NDArray[np.int32]) -> None:
        """Replace label i by names[i]."""
        for level in self.levels:
            level.labels = np.where(level.labels >= 0, names[level.labels], UNKNOWN).astype(np.int32)


def span(side: float) -> int:
    """Return how many blocks there may be along an axis, with one more at either end."""
    return int(np.ceil(2.0 / side)) + 4


def numbers(points: Floats, side: float) -> Ints:
    """Return the number of the block that each unit vector is in."""
    a, b, c = (np.floor((column + 1.0) / side).astype(np.int64) for column in points.T)
    return (a * span(side) + b) * span(side) + c


def by_cells(problem: Problem) -> Clustering:
    """Cluster points on the sphere of space by cells and blocks."""
    problem.report("sort into cells")
    on_cells = _cells(problem)
    finder = ModeFinder(_table(problem, on_cells) or on_cells, on_cells, guide=on_cells, **problem.climbing)
    levels: list[Level] = []
    labels = np.full(problem.n, UNKNOWN, np.int32)
    for part in BLOCKS:
        rows = np.flatnonzero(labels == UNKNOWN)
        if not rows.size:
            break
        level = _climb_level(problem, finder, rows, part * problem.bandwidth, levels)
        if part != BLOCKS[-1]:
            level.keep_interior(levels[0] if levels else None)
        labels[rows] = level.look_up(_numbers(problem, rows, level.side))
        levels.append(level)
    problem.report("polish")
    finder.positions = _polished(problem, finder.positions)
    problem.report("label")
    table = LevelLabels(levels)
    members = np.bincount(labels, minlength=finder.n_modes)
    found = finish(problem, finder, table, labels, Counts(0, members))
    found.certificate = nothing_decided(found.modes, problem.n)
    return found


def _table(problem: Problem, on_cells: SphereGrid) -> SphereTable | None:
    """Return the field of sums tabulated all around the sphere, if it is small enough."""
    spacings = affordable_spacings(problem, SPACINGS)
    if not spacings:
        return None
    problem.report("tabulate")
    sketch, _ = make_sketch(problem, spacings[0], bins=False)
    return SphereTable(
        on_cells, sketch.nodes(), problem.bandwidth, sketch.kernel_bandwidth(),
        lightest=problem.lightest, n_jobs=problem.n_jobs,
    )  # fmt: skip


def _cells(problem: Problem) -> SphereGrid:
    """Return the field of the cells' means."""
    h = problem.bandwidth
    means, weights, lost = cell_means(problem.points, problem.weights, SIDE * h)
    inside = 1.0 - np.einsum("ij,ij->i", means, means)
    weights = weights * np.exp(-0.5 * np.maximum(inside, 0.0) / h**2)
    summed = float(np.sqrt(h * h + 1.5 * lost))  # two of three axes lie in the surface
    reach = reach_of_tail(float(weights.sum()), problem.lightest)
    return SphereGrid(means, weights, summed, factor=(h / summed) ** 2, reach=reach, total=problem.total_weight)


def _climb_level(problem: Problem, finder: ModeFinder, rows: Ints, side: float, levels: list[Level]) -> Level:
    """Climb from one point of every block of the rows, until a climb rests or enters an interior block."""
    problem.report(f"climb for blocks of {side / problem.bandwidth:g} bandwidths")
    keys, first = np.unique(_numbers(problem, rows, side), return_index=True)
    field = finder.field
    assert isinstance(field, SphereGrid | SphereTable)
    known = _known(levels)
    ends, steps, labels = field.climb_into(problem.points[rows[first]], **problem.climbing, known=known)
    free = labels < 0
    if free.any():
        labels[free] = finder.match(ends[free], steps[free])
    return Level(side, keys, labels)


def _known(levels: list[Level]) -> Known | None:
    """Return the interior blocks of all levels, the first's cut in eight once there are two: their sides are halved."""
    if not levels:
        return None
    first, last = levels[0], levels[-1]
    keys, labels = first.keys[first.labels >= 0], first.labels[first.labels >= 0]
    if last is not first:
        a, b, c = keys // first.span**2, keys // first.span % first.span, keys % first.span
        parts = itertools.product((0, 1), repeat=3)
        cut = [((2 * a + i) * last.span + 2 * b + j) * last.span + 2 * c + k for i, j, k in parts]
        keys = np.concatenate([*cut, last.keys[last.labels >= 0]])
        labels = np.concatenate([labels] * 8 + [last.labels[last.labels >= 0]])
        keys, unique = np.unique(keys, return_index=True)
        labels = labels[unique]
    return last.side, last.span, keys, labels


def _numbers(problem: Problem, rows: Ints, side: float) -> Ints:
    """Return the numbers of the blocks of some rows."""
    out = np.empty(len(rows), np.int64)

    def work(_: int, start: int, stop: int) -> None:
        out[start:stop] = numbers(problem.points[rows[start:stop]], side)

    run_chunks(len(rows), work, problem.n_jobs, ROWS_AT_ONCE)
    return out


def _polished(problem: Problem, modes: Floats) -> Floats:
    """Move modes by one Newton step along the sphere on all points, unless there are too many of both."""
    if len(modes) * problem.n > POLISH_PAIRS:
        return modes
    u = on_sphere(modes)
    sums = sums_over_points(problem.points, problem.weights, problem.bandwidth, u, problem.n_jobs)
    step, concave = steps_on_sphere(u, *moments_of_sums(u, sums, problem.bandwidth))
    small = concave & (np.square(step).sum(axis=1) < np.square(MAX_REFINEMENT * problem.bandwidth))
    return u + np.where(small[:, None], step, 0.0)
