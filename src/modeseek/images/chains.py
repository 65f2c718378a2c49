"""From starts to modes along a lattice: climbs that come to one cell of it go on as one.

A climb that has left its start goes on from the middle of the cell of the lattice that it has come to (where that is
no higher, as along a narrow ridge, from its very place). What happens there depends on the place alone, so it is found
out once, in whatever part of the picture it lies, and parts may be worked on one after the other in any order. Places
rise from one to the next: chains end in places of rest. They are known by whole numbers, exactly, whatever the part.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from modeseek.engines.cpu.joint_cells import GRID
from modeseek.engines.threads import run_chunks
from modeseek.images.cells import UNIT, Cells, Floats, Grid, Ints, Part, Singles, gather
from modeseek.images.spaces import Picture

REACH = 4.5  # bandwidths beyond which pixels do not count: with 4, modes on long ridges lie elsewhere
WIDEST = 1.13  # times the reach: cells have a width of their own
FIRST_FAR, FAR = 0.75, 0.5  # bandwidths after which a climb has left its start, or where it went on from
FARTHEST = 3.0 * FIRST_FAR  # bandwidths from there that a climb can come (see `joint_shift.climb`: steps are 1 at most)
MARGIN = 0.5  # bandwidths between a place and the middle of its cell of the lattice, at most
SLOW, LONGEST = 0.05, 0.25  # bandwidths: steps from which on Newton's are taken, and the longest of these
TOL, MAX_ITER = 3e-3, 1000
STARTS_AT_ONCE = 128
KEPT = 1 << 29  # bytes of cells of parts
MOVED = 1


@dataclass
class Ends:
    """Where climbs end, numbered as they are found: places of rest, and places to go on from in other parts."""

    d: int
    positions: list[Floats] = field(default_factory=list)  # from the picture's corner; of those to go on from, NaN
    leads_to: list[tuple[Ints, Ints]] = field(default_factory=list)  # numbers of those to go on from, and their ends
    count: int = 0
    number: dict[int, int] = field(default_factory=dict)  # of places to go on from, by their keys
    open: dict[int, Ints] = field(default_factory=dict)  # places that nobody has climbed from, by their keys

    def at_rest(self, positions: Floats) -> Ints:
        """Add places of rest; return their numbers."""
        self.positions.append(positions)
        return self._numbered(len(positions))

    def elsewhere(self, keys: NDArray[np.uint64], places: Ints) -> Ints:
        """Return the numbers of places in other parts; new ones are open."""
        numbers = np.empty(len(keys), np.int64)
        new: list[int] = []
        for i, key in enumerate(keys.tolist()):
            if key not in self.number:
                self.number[key] = self.count + len(new)
                self.open[key] = places[i]
                new.append(i)
            numbers[i] = self.number[key]
        self.positions.append(np.full((len(new), self.d), np.nan))
        self._numbered(len(new))
        return numbers

    def link(self, numbers: list[int], to: Ints) -> None:
        """Let ends that are places to go on from lead to other ends."""
        self.leads_to.append((np.array(numbers), to))

    def _numbered(self, k: int) -> Ints:
        numbers = np.arange(self.count, self.count + k)
        self.count += k
        return numbers

    def resolved(self) -> tuple[Floats, Ints]:
        """Return all positions and, for each end, the place of rest that it leads to."""
        links = np.arange(self.count)
        for numbers, to in self.leads_to:
            links[numbers] = to
        links = _ultimate(links)
        return np.concatenate(self.positions) if self.positions else np.empty((0, self.d)), links


def climb_picture(
    picture: Picture, grid: Grid, parts: list[Part], ends: Ends, n_jobs: int | None
) -> Iterator[tuple[NDArray[np.int32], Ints]]:
    """Climb from every part; yield each pixel's start, and the end of each start.

    After the last part, ``ends`` knows where all of them lead to.
    """
    halo = [int(np.ceil((REACH * WIDEST + FARTHEST + MARGIN) * s / UNIT)) for s in grid.scale[: len(grid.shape)]]
    kept, room = {}, KEPT  # cells of the first parts are kept for those who go on there
    for i, part in enumerate(parts):
        cells = gather(picture, grid, part, halo, n_jobs)
        yield cells.start_of, _Chains(cells, ends, n_jobs).from_starts()
        room -= cells.blocks.nbytes
        if room > 0:
            kept[i] = cells.without_starts()
    while ends.open:
        corners = np.array([part.low for part in parts])
        keys = list(ends.open)
        places = np.array([ends.open[key] for key in keys])
        groups = np.floor(places[:, : len(grid.shape)] / (GRID * UNIT)).astype(np.int64)
        groups = np.clip(groups, 0, np.array(grid.groups) - 1)
        owner = np.array([int(np.flatnonzero((corners <= g).all(axis=1))[-1]) for g in groups])
        for i in np.unique(owner).tolist():
            mine = np.flatnonzero(owner == i)
            cells = kept[i] if i in kept else gather(picture, grid, parts[i], halo, n_jobs)
            for j in mine:
                del ends.open[keys[j]]
            reached = _Chains(cells, ends, n_jobs).from_places(places[mine])
            ends.link([ends.number[keys[j]] for j in mine], reached)


class _Chains:
    """Chains in one part."""

    def __init__(self, cells: Cells, ends: Ends, n_jobs: int | None):
        self.cells, self.ends, self.n_jobs = cells, ends, n_jobs
        ns = len(cells.grid.shape)
        self.corner = np.zeros(cells.grid.d)  # of the part's cells from the picture's corner, in units
        self.corner[:ns] = cells.origin * UNIT
        self.sides = cells.grid.sides
        low, high = (np.array(edge) * UNIT * GRID for edge in (cells.part.low, cells.part.high))
        # climbs may leave the picture: what is beyond its edge belongs to the part at the edge
        self.low = np.where(np.array(cells.part.low) == 0, -np.inf, low)
        self.high = np.where(np.array(cells.part.high) == np.array(cells.grid.groups), np.inf, high)

    def from_starts(self) -> Ints:
        """Return the end of every start."""
        return self._follow(self.cells.starts, FIRST_FAR)

    def from_places(self, places: Ints) -> Ints:
        """Return the end of places to go on from."""
        return self._follow(self._positions(places), FAR)

    def _places(self, z: Singles) -> Ints:
        """Return positions as whole numbers: along axes of place in 1 / `GRID`, values as their bits."""
        ns, places = len(self.low), np.empty(z.shape, np.int64)
        places[:, :ns] = np.rint((z[:, :ns] + self.corner[:ns]) * GRID)
        places[:, ns:] = np.ascontiguousarray(z[:, ns:]).view(np.int32)
        return places

    def _positions(self, places: Ints) -> Singles:
        """Undo `_places`."""
        ns, z = len(self.low), np.empty(places.shape, np.float32)
        z[:, :ns] = places[:, :ns] / GRID - self.corner[:ns]
        z[:, ns:] = places[:, ns:].astype(np.int32).view(np.float32)
        return z

    def _follow(self, x: Singles, far: float) -> Ints:
        """Climb from x, and on from place to place as long as they lie in this part; return the ends."""
        numbers, starts = _Numbers(), self._climb(x, far)
        steps, towards = [starts], []
        while True:
            last = steps[-1]
            places, new = numbers.of(last.keys)
            towards.append(places)
            if not new.size:
                return self._ends(steps, towards)
            steps.append(self._go_on(last.places[new], last.keys[new]))

    def _go_on(self, places: Ints, keys: NDArray[np.uint64]) -> "_Step":
        """Climb from places in this part; the others are ends for now."""
        where = places[:, : len(self.low)]
        inside = ((where >= self.low) & (where < self.high)).all(axis=1)
        step = self._climb(self._positions(places[inside]), FAR)
        end = np.empty(len(places), np.int64)
        end[inside] = step.end
        end[~inside] = self.ends.elsewhere(keys[~inside], places[~inside])
        return _Step(end, step.places, step.keys)

    def _climb(self, x: Singles, far: float) -> "_Step":
        from modeseek.engines.cpu import joint_cells, joint_shift

        c, z, state = self.cells, np.array(x), np.empty(len(x), np.int8)
        scale, sides = c.grid.scale, self.sides.astype(np.float32)

        def work(_: int, a: int, b: int) -> None:
            joint_shift.climb(
                c.blocks, c.boxes, c.begins, c.dims, UNIT, scale, REACH, z[a:b], sides, far, SLOW, TOL,
                LONGEST, MAX_ITER, state[a:b],
            )  # fmt: skip

        run_chunks(len(z), work, self.n_jobs, STARTS_AT_ONCE)
        moved = state == MOVED
        places = self._places(z[moved])
        keys = np.empty(len(places), np.uint64)
        joint_cells.mix_rows(places, keys)
        end = np.full(len(x), -1)
        end[~moved] = self.ends.at_rest(z[~moved] + self.corner)
        return _Step(end, places, keys)

    @staticmethod
    def _ends(steps: list["_Step"], towards: list[Ints]) -> Ints:
        """Return where the first step's climbs end, given where those of all later steps end or go on."""
        end = np.concatenate([step.end for step in steps[1:]] or [np.empty(0, np.int64)])
        links = np.arange(len(end))
        links[end < 0] = np.concatenate(towards[1:] or [links[:0]])
        reached = steps[0].end.copy()
        reached[reached < 0] = end[_ultimate(links)[towards[0]]]
        return reached


def _ultimate(links: Ints) -> Ints:
    """Follow links to their ends."""
    for _ in range(64):
        if (links[links] == links).all():
            return links
        links = links[links]
    raise RuntimeError("climbs go round in circles: please report this, with the picture and the bandwidths.")


class _Numbers:
    """Numbers of places, by their keys, in the order in which they are first asked for."""

    def __init__(self) -> None:
        self.keys, self.numbers = np.empty(0, np.uint64), np.empty(0, np.int64)  # by ascending key

    def of(self, keys: NDArray[np.uint64]) -> tuple[Ints, Ints]:
        """Return the number of each key, and where in ``keys`` new ones are first, in the order of their numbers."""
        distinct, first, which = np.unique(keys, return_index=True, return_inverse=True)
        at = np.searchsorted(self.keys, distinct)
        known = np.zeros(len(distinct), bool)
        inside = at < len(self.keys)
        known[inside] = self.keys[at[inside]] == distinct[inside]
        numbers = np.empty(len(distinct), np.int64)
        numbers[known] = self.numbers[at[known]]
        numbers[~known] = len(self.keys) + np.arange(np.count_nonzero(~known))
        both = np.concatenate([self.keys, distinct[~known]])
        order = np.argsort(both, kind="stable")  # two ascending runs: they are merged
        self.keys, self.numbers = both[order], np.concatenate([self.numbers, numbers[~known]])[order]
        return numbers[which], first[~known]


@dataclass
class _Step:
    """Where climbs have come to: an end, or -1 for those that go on, whose places and keys follow in their order."""

    end: Ints
    places: Ints
    keys: NDArray[np.uint64]
