r"""Proven labels: cells in cores and traps, cells and points whose tubes arrive there, exact climbs for the rest.

A cell's tube is the ball around its centre's path that holds the exact path of everything in the cell. If it ends
among cells of one label, the cell has that label: exact mean shift takes every point of it to the same mode. Cells
whose tube is lost are halved again and again, from high density to low, so that most tubes soon meet cells that are
proven already; where halving no longer pays every point has its own tube, of radius zero at the start. What is still
open climbs on the points themselves. What even that leaves open is reported, with the label of its tabulated path.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modeseek.cells import distinct_rows
from modeseek.climb import ascend, group_by_location, polish
from modeseek.engines.threads import run_chunks
from modeseek.fields import Field, Floats, Ints
from modeseek.fields.bounds import CellBounds
from modeseek.fields.grid import GridField
from modeseek.fields.near import NearBounds
from modeseek.fields.table import TableField
from modeseek.flood import Flood, Traps, step_lengths
from modeseek.label import UNKNOWN, CellLabels, Counts, KeyLabels

SPLIT = {1: 16, 2: 8, 3: 4}  # most sub-cells of a cell along each axis, a power of 2
MAX_SUB_CELLS = 1 << 26
TUBE_STEPS, FOLLOW_STEPS = 2000, 4000  # a tube that takes longer is lost
CUBES = 8  # times fewer steps with three columns, where a step reads four times as much and tubes seldom arrive late
QUICK, MANY_POINTS = 30, 5  # steps of tubes, and points that a sub-cell must hold for its tube to pay with so few
SLOW = 0.1  # node spacings a step
STARTS_PER_CHUNK = 256
ROWS_PER_GATHER = 4096
STARTS_PER_ROUND = 1 << 10  # tubes of one round see what the rounds before have proven
MOST_ROUNDS = 64
FOLLOW_TOL, FOLLOW_REACH = 1e-6, 0.05  # bandwidths: of paths that prove nothing, and from their ends to a mode
FIRST_STEPS, EXACT_STEPS = 1, 1 << 13  # of exact climbs before the first tube, then twice as many, ..., the last
SAMPLE = 500  # points whose tubes say whether a table is fine enough
SLIVER = 1e-6  # node spacings: rounding of the border of a sub-cell, generously


@dataclass
class Tubes:
    """Tubes on a table, and the labels they have proven so far."""

    field: TableField
    bounds: CellBounds | NearBounds
    traps: Traps
    table: CellLabels
    n_iter: int = 0  # steps of the longest tube
    n_steps: int = 0  # of all tubes

    @classmethod
    def of(cls, field: TableField, bounds: CellBounds, found: Flood, finer: int = 1) -> "Tubes":
        """Start from what the flood has proven; sub-cells may be finer than `SPLIT` by a power of 2."""
        nodes = field.nodes
        split = finer * SPLIT[len(field.shape)]
        table = CellLabels(nodes.origin, nodes.delta, nodes.box, split, found.certified, np.empty(0, np.int32))
        return cls(field, bounds, found.traps, table)

    def run(self, starts: Floats, radius: float, max_iter: int, n_jobs: int | None) -> NDArray[np.int64]:
        """Return the label that the tube around each start (node units) arrives at, UNKNOWN where it is lost."""
        from modeseek.engines.cpu.tubes import TUBES

        field, nodes = self.field, self.field.nodes
        kernel, shape = TUBES[len(field.shape)], field.shape
        sums, near = field.table, self.bounds.near
        traps = np.column_stack([(self.traps.centres - nodes.corner), self.traps.radii]) / nodes.delta
        labels, steps = np.empty(len(starts), np.int64), np.empty(len(starts), np.int64)

        def work(_: int, start: int, stop: int) -> None:
            kernel(
                sums, shape, field.factor, near, field.bandwidth / nodes.delta,
                self.table.cells, self.table.blocks, self.table.split.bit_length() - 1, traps, max_iter,
                starts[start:stop], radius, labels[start:stop], steps[start:stop],
            )  # fmt: skip

        run_chunks(len(starts), work, n_jobs, STARTS_PER_CHUNK)
        self.n_iter = max(self.n_iter, int(steps.max(initial=0)))
        self.n_steps += int(steps.sum())
        return labels

    def relabel(self, names: NDArray[np.int32]) -> None:
        """Replace label i by names[i], UNKNOWN for none: of cells, and of the traps themselves."""
        self.table.relabel(names)
        kept = np.flatnonzero(names >= 0)
        self.traps = self.traps.reordered(kept[np.argsort(names[kept])])
        beside = self.bounds.near[:, 5]
        beside[beside >= 0.0] = names[beside[beside >= 0.0].astype(np.int64)]

    # ---- cells ---------------------------------------------------------------------------------------------------

    def open_cells(self, n: int, lightest: float, counts: Ints | None = None) -> tuple[Ints, Floats]:
        """Return the cells without a label that may hold some of the ``n`` points, and about how many each holds.

        ``counts`` are the points in each cell (flat), where these are known.
        """
        nodes, unlabelled = self.field.nodes, self.table.cells == UNKNOWN
        if counts is not None:
            cells = np.flatnonzero(unlabelled & (counts > 0))
            return cells, np.asarray(counts[cells], np.float64)
        masses = nodes.masses.reshape(-1)
        # the node nearest to a point has at least this share of it; with less a cell holds no point
        share = (0.75 - 0.25 if nodes.degree == 2 else 0.479) ** len(self.field.shape)
        cells = np.flatnonzero(unlabelled & (masses >= 0.99 * share * lightest * nodes.units_per_weight))
        return cells, np.asarray(masses[cells] * (n / max(float(masses.sum()), 1.0)), np.float64)

    def settle_cells(self, open_cells: Ints, points: Floats, n_jobs: int | None = None) -> None:
        """Prove cells, then halves of cells, as long as that is less work than proving the points they hold."""
        nodes, cells, d = self.field.nodes, self.table.cells, len(self.field.shape)
        assert isinstance(self.bounds, CellBounds)
        order = np.argsort(-self.bounds.high[open_cells], kind="stable")
        open_cells, points = open_cells[order], points[order]
        whole = np.stack(np.unravel_index(open_cells, nodes.box.shape), axis=-1).astype(np.float64)

        def settle(rows: Ints, label: NDArray[np.int64]) -> None:
            cells[open_cells[rows]] = label

        lost = self._rounds(whole, 0.5, settle, n_jobs)
        points = points[lost]
        # where paths are slow sub-cells pay whatever they hold: paths from elsewhere end in them
        worth = (points > self._least_points() * 2**d) | self._slow(whole[lost])
        if worth.any():
            self._settle_sub_cells(open_cells[lost[worth]], whole[lost[worth]], points[worth], n_jobs)

    def _least_points(self) -> int:
        """Return how many points a sub-cell must hold for its tube to pay: few, where the tubes of points are long."""
        return 1 if self.n_iter > QUICK else MANY_POINTS

    def _most_steps(self) -> int:
        """Return how many steps of a tube are worth while in so many columns."""
        return TUBE_STEPS // CUBES if len(self.field.shape) == 3 else TUBE_STEPS

    def _slow(self, places: Floats) -> NDArray[np.bool_]:
        """Tell where (node units) a step is short."""
        nodes = self.field.nodes
        return step_lengths(self.field, places * nodes.delta + nodes.corner) < SLOW * nodes.delta

    def _settle_sub_cells(self, mixed: Ints, corners: Floats, points: Floats, n_jobs: int | None) -> None:
        d, table = len(self.field.shape), self.table
        split = table.split
        while split > 2 and len(mixed) * split**d > MAX_SUB_CELLS:
            split //= 2
        table.split = split
        table.cells[mixed] = -2 - np.arange(len(mixed), dtype=np.int32)
        table.blocks = np.full(len(mixed) * split**d, UNKNOWN, np.int32)
        blocks = table.blocks.reshape(-1, *[split] * d)
        halves = np.indices((2,) * d).reshape(d, -1).T
        owner, corner, parts = np.arange(len(mixed)), np.zeros((len(mixed), d), np.int64), 1
        while parts < split and len(owner):
            parts *= 2
            owner = np.repeat(owner, len(halves))
            corner = (2 * corner[:, None] + halves).reshape(-1, d)
            centres = corners[owner] + (corner + 0.5) / parts - 0.5
            size = split // parts
            inside = np.indices((size,) * d).reshape(d, -1).T

            def settle(
                rows: Ints, label: NDArray[np.int64], owner=owner, corner=corner, size=size, inside=inside
            ) -> None:
                at = corner[rows][:, None] * size + inside
                blocks[(owner[rows][:, None], *np.moveaxis(at, -1, 0))] = label[:, None]

            lost = self._rounds(centres, 0.5 / parts, settle, n_jobs)
            worth = (points[owner[lost]] > self._least_points() * float(2 * parts) ** d) | self._slow(centres[lost])
            owner, corner = owner[lost[worth]], corner[lost[worth]]

    def _rounds(self, centres: Floats, half: float, settle: Any, n_jobs: int | None) -> Ints:
        """Run the tubes of cells (node units, most dense first) in rounds; return the rows whose tube was lost."""
        rounds = int(np.clip(len(centres) // STARTS_PER_ROUND, 1, MOST_ROUNDS))
        lost = []
        for rows in np.array_split(np.arange(len(centres)), rounds):
            radius = half * np.sqrt(centres.shape[1]) + SLIVER
            label = self.run(centres[rows], radius, self._most_steps(), n_jobs)
            proven = label >= 0
            settle(rows[proven], label[proven])
            lost.append(rows[~proven])
        return np.concatenate(lost) if lost else np.empty(0, np.int64)

    # ---- points --------------------------------------------------------------------------------------------------

    def lost_share(self, points: NDArray[Any], n_jobs: int | None = None) -> float:
        """Estimate the share of the points that will be left open, from the tubes of a few."""
        rows = sample_of(len(points))
        return float((self.settle_points(points, rows, n_jobs) == UNKNOWN).mean())

    def settle_points(self, points: NDArray[Any], rows: Ints, n_jobs: int | None = None) -> NDArray[np.int64]:
        """Return the proven label of each row of points by its own tube, UNKNOWN where it is lost."""
        nodes = self.field.nodes
        if not isinstance(points, np.ndarray):  # rows that lie elsewhere come at once
            points, rows = points[rows], np.arange(len(rows))
        starts = np.empty((len(rows), points.shape[1]))

        def gather(_: int, start: int, stop: int) -> None:
            starts[start:stop] = (points[rows[start:stop]].astype(np.float64) - nodes.corner) / nodes.delta

        run_chunks(len(rows), gather, n_jobs, ROWS_PER_GATHER)
        rounding = (
            8.0 * float(np.spacing(np.abs(nodes.corner).max() + nodes.delta * max(self.field.shape))) / nodes.delta
        )
        return self.run(starts, rounding + SLIVER * 1e-3, self._most_steps(), n_jobs)

    def follow(self, points: NDArray[Any], n_jobs: int | None = None, *, add: bool = False) -> NDArray[np.int32]:
        """Return the label of the cell that each point's tabulated path enters, or of the mode nearest to its end.

        That proves nothing. A path that ends near none of the modes, at a saddle or on a slow ridge, is led on uphill.
        With ``add`` a maximum where that ends is one more mode, without a trap.
        """
        near, cells = FOLLOW_REACH * self.field.bandwidth, self.table.cells
        ends, _ = self.field.climb(
            np.asarray(points, np.float64), tol=FOLLOW_TOL, max_iter=FOLLOW_STEPS, n_jobs=n_jobs, settled=cells >= 0
        )
        entered = cells[self.field.nodes.nearest(ends)]
        elsewhere = np.flatnonzero((entered < 0) & (self.traps.nearest(ends, near) == UNKNOWN))
        if elsewhere.size:
            ends[elsewhere], confirmed = self._uphill(ends[elsewhere], near, n_jobs)
            if add:
                # where there is no mode at all the ends are the best there is
                some = len(self.traps.radii) or confirmed.any()
                self._add_modes(ends[elsewhere[confirmed]] if some else ends[elsewhere], near)
        return np.where(entered < 0, self.traps.nearest(ends, np.inf), entered).astype(np.int32)

    def _add_modes(self, places: Floats, near: float) -> None:
        """Add places that are not near a mode, one of each group of near ones, without traps."""
        new = places[self.traps.nearest(places, near) == UNKNOWN]
        if len(new):
            self.traps = self.traps.with_places(new[group_by_location(new, 0.5 * near)[1]])

    def _uphill(self, places: Floats, side: float, n_jobs: int | None) -> tuple[Floats, NDArray[np.bool_]]:
        """Lead places uphill, from the middles of the cells they are in; return the ends, and which are maxima."""
        nodes, h = self.field.nodes, self.field.bandwidth
        part, first = distinct_rows(np.floor(places / side).astype(np.int64))
        guide = GridField(*nodes.as_points(), self.field.kernel_bandwidth)
        middles = (np.floor(places[first] / side) + 0.5) * side
        tops, confirmed = polish(guide, ascend(guide, middles, h, n_jobs), h)
        return tops[part], confirmed[part]

    def climb_exactly(
        self, exact: Field, points: NDArray[Any], most: float, n_jobs: int | None = None
    ) -> NDArray[np.int32]:
        """Climb on the points themselves until a tube from there arrives; UNKNOWN where none does.

        A tube is lost where paths part: a few exact steps lead away from there. ``most`` is how many steps may be
        made, of all climbs together; a climb that is not free after `EXACT_STEPS` rests on a saddle or a flat top.
        """
        x = np.array(points, np.float64)
        labels = np.full(len(x), UNKNOWN, np.int32)
        lost, steps = np.arange(len(x)), FIRST_STEPS
        while lost.size and steps <= EXACT_STEPS and lost.size * steps <= most:
            x[lost], _ = exact.climb(x[lost], tol=0.0, max_iter=steps, n_jobs=n_jobs)
            most -= lost.size * steps
            labels[lost] = self.settle_points(x, lost, n_jobs)
            lost, steps = lost[labels[lost] == UNKNOWN], 2 * steps
        return labels

    def largest_error(self) -> float:
        """Return the largest bound of a step's error over the cells that hold labelled points, in bandwidths."""
        used = (self.table.cells != UNKNOWN) & (self.field.nodes.masses.reshape(-1) > 0)
        return float(self.bounds.near[used, 4].max(initial=0.0))


def sample_of(n: int) -> Ints:
    """Return the rows, of n, whose tubes say whether a table is fine enough."""
    return np.unique(np.linspace(0, n - 1, SAMPLE).astype(np.int64))


@dataclass
class ProvenLabels:
    """Where a fit looks labels up: by cell, by the tube of a point, by what climbed exactly, by tabulated path."""

    tubes: Tubes
    climbed: KeyLabels | None = None

    def assign(self, points: NDArray[Any], out: NDArray[np.int32], n_jobs: int | None = None) -> Counts:
        """Write the label of each row to ``out``, UNKNOWN where there is none; return the rows of each label."""
        counts = self.tubes.table.assign(points, out, n_jobs)
        if not counts.unknown:
            return counts
        rows = np.flatnonzero(out == UNKNOWN)
        out[rows] = self.tubes.settle_points(points, rows, n_jobs)
        lost = rows[out[rows] == UNKNOWN]
        if self.climbed is not None and lost.size:
            found = np.empty(len(lost), np.int32)
            self.climbed.assign(points[lost], found, n_jobs)
            out[lost] = found
            lost = lost[found == UNKNOWN]
        if lost.size:
            out[lost] = self.tubes.follow(points[lost], n_jobs)
        return recount(counts, out[rows])

    def put_away(self) -> None:
        """Keep little memory until points are asked about."""
        for part in (self.tubes.bounds, self.climbed):
            if isinstance(part, NearBounds | KeyLabels):
                part.put_away()

    def relabel(self, names: NDArray[np.int32]) -> None:
        """Replace label i by names[i]."""
        self.tubes.relabel(names)
        if self.climbed is not None:
            self.climbed.relabel(names)


def recount(counts: Counts, labels: NDArray[Any]) -> Counts:
    """Add to the rows of each label those that have found theirs since."""
    members = np.bincount(labels[labels >= 0], minlength=len(counts.members)).astype(np.int64)
    members[: len(counts.members)] += counts.members
    return Counts(int((labels == UNKNOWN).sum()), members)
