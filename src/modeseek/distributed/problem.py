"""What a route on grids asks of all points, asked of the partitions they are in: `DaskProblem`.

To the client come grids of masses, numbers of points of each label, single points: a sample, one of each sub-cell of
small inputs, and those that no cell settles. The labels of these are kept, sorted by row; all others follow from the
cells.
"""

import dataclasses
from dataclasses import dataclass
from typing import Any, cast

import dask
import numpy as np
from numpy.typing import NDArray

from modeseek.distributed import sparse, tasks
from modeseek.distributed.keeping import kept, room_for
from modeseek.distributed.looks import sample_rows
from modeseek.distributed.parts import Parts, lazy
from modeseek.distributed.sums import Exact
from modeseek.fields import Field, Floats, Ints
from modeseek.fields.grid import POINTS_PER_CHUNK, GridField
from modeseek.fields.nodes import node_box
from modeseek.label import UNKNOWN, CellLabels, Counts
from modeseek.places import Places, placing_pays
from modeseek.result import Problem
from modeseek.sketch import BinCounts, Bins, DensitySketch, binning_pays

PLACE_BYTES = 4  # of a row, between the stages of a fit


class Rows:
    """Rows of partitions, as NumPy asks for them: single ones come to the client, all of them never do.

    What was asked for is remembered, together with the rows that routes look at.
    """

    def __init__(self, parts: Parts):
        self.parts, self.shape, self.dtype = parts, (parts.n, parts.d), parts.dtype
        self.known, self.points = parts.sampled

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: Ints) -> NDArray[Any]:
        rows = np.asarray(rows, np.int64)
        place = np.searchsorted(self.known, rows)
        if not len(self.known) or (self.known[np.minimum(place, len(self.known) - 1)] != rows).any():
            wanted = np.union1d(rows, [] if len(self.known) else sample_rows(len(self))).astype(np.int64)
            self.remember(wanted, self.parts.take(wanted))
            place = np.searchsorted(self.known, rows)
        return self.points[place]

    def remember(self, rows: Ints, points: NDArray[Any]) -> None:
        """Keep rows, in ascending order, instead of what was known; few ones beside it."""
        if len(rows) > len(self.known):
            self.known, self.points = rows, points
            return
        rows, first = np.unique(np.concatenate([self.known, rows]), return_index=True)
        self.known, self.points = rows, np.concatenate([self.points, points])[first]


@dataclass(frozen=True)
class KeptPlaces(Places):
    """How many points lie where; which ones stays with their partitions."""

    placed: tuple[Any, ...]  # delayed, of those that have rows; empty where nothing is kept


@dataclass
class Labels:
    """Codes of labels with their partitions, and what they stand for now."""

    coded: list[Any]  # delayed, of those that have rows
    names: NDArray[np.int32]  # of each code, and of no label
    late: NDArray[np.int32]  # labels of the rows that no cell settles

    def rename_labels(self, names: NDArray[np.int32]) -> None:
        """Replace label i by names[i]; -1 stands for the last name."""
        self.names, self.late = names[self.names], names[self.late]


@dataclass
class Open:
    """Rows that no cell settles, and what the others weigh by label."""

    rows: Ints = dataclasses.field(default_factory=lambda: np.empty(0, np.int64))
    weights: Floats = dataclasses.field(default_factory=lambda: np.empty(0))  # of these rows
    members: Ints = dataclasses.field(default_factory=lambda: np.empty(0, np.int64))  # of each label, others alone
    masses: Exact | None = None  # their weights


@dataclass(frozen=True)
class DaskProblem(Problem):
    """A problem whose points are partitions; ``points`` gives single rows of them."""

    parts: Parts = dataclasses.field(kw_only=True)
    open: Open = dataclasses.field(default_factory=Open, kw_only=True)

    @classmethod
    def of(cls, parts: Parts, bandwidth: float, **options: Any) -> "DaskProblem":
        """Return the problem of clustering partitions."""
        rows = cast(Any, Rows(parts))
        return cls(rows, np.empty(0), parts.bounds, bandwidth, **options, parts=parts)

    @property
    def weighted(self) -> bool:
        """Whether points have weights."""
        return self.parts.weights is not None

    @property
    def total_weight(self) -> float:
        """Sum of the weights."""
        return self.parts.total_weight

    @property
    def lightest(self) -> float:
        """Least weight above 0."""
        return min(look.lightest for look in self.parts.looks) * self.parts.factor

    @property
    def heaviest(self) -> float:
        """Greatest weight."""
        return max(look.heaviest for look in self.parts.looks) * self.parts.factor

    def add_to(self, sketch: DensitySketch) -> DensitySketch:
        """Deposit all points."""
        sketch.make_room(self.n, self.d, self.total_weight, self.bounds)
        found = self.parts.combine(tasks.deposit, sparse.add, sketch.emptied(), sketch.box)
        return sketch.add_masses(found.dense())

    def place_in(self, sketch: DensitySketch) -> Places | None:
        """Deposit all points, and tell where they lie, if that pays."""
        assert sketch.origin is not None
        box = node_box(self.bounds[0], self.bounds[1], sketch.origin, sketch.delta)
        if not placing_pays(self.n, self.d, self.bounds, box, sketch.delta):
            return None
        found, placed = self._placed(tasks.place, box, sketch.origin, sketch.delta)
        masses, counts = (part.dense() for part in found.sums)
        sketch.take_placed(self.n, box, masses)
        return KeptPlaces(2, counts, np.empty(0, np.int32), placed)

    def bins(self, delta: float) -> Bins | None:
        """Sum all points up in bins, if that pays."""
        if not binning_pays(self.n, self.d, self.bounds, delta):
            return None
        firsts = [(int(first),) for first in self.parts.firsts[:-1]]
        found, placed = self._placed(tasks.count_in_bins, self.n, self.bounds, delta, own=firsts)
        offsets, counts = (part.dense() for part in found.sums)
        counter = BinCounts(self.n, self.bounds, delta, 1)
        counter.go_on(counts, offsets)
        bins = counter.bins(found.sample, counter.places(found.sample))
        return dataclasses.replace(bins, places=KeptPlaces(2, counts, np.empty(0, np.int32), placed))

    def _placed(self, work: Any, *args: Any, own: Any = None) -> tuple[tasks.Placed, tuple[Any, ...]]:
        """Return what lies where in all, and in each partition, kept there if there is room."""
        keep = room_for(PLACE_BYTES * self.n)
        placed = self.parts.each(work, *args, keep, own=own)
        few = self.parts.few(placed, tasks.add_placed)
        if not keep:
            return tasks.add_placed(list(dask.compute(*few))), ()
        placed, found = kept(placed, few)
        return tasks.add_placed(list(found)), tuple(placed)

    def sums(self, places: Floats) -> Floats:
        """Return sums over all points around a few places: of the same chunks of rows, in the same order, as always."""
        heads = self.parts.heads(POINTS_PER_CHUNK)
        total = np.zeros((len(places), 10))
        for chunks in self.parts.map(tasks.sums_around, self.bandwidth, places, own=heads):
            for chunk in chunks:
                total += chunk
        return total

    def exact_field(self) -> Field:
        """Return all points as they are, to climb on: they come to the client, and routes ask where they are few."""
        points, weights = self.parts.gather()
        return GridField(points, weights, self.bandwidth)

    def look_up(self, table: CellLabels, places: Places | None = None) -> tuple[Labels, Counts, Ints]:
        """Return labels, the rows of each, and those that have none, of which the points come to the client."""
        placed = places.placed if isinstance(places, KeptPlaces) else ()
        entries = table.of_bins(places.per_node) if places is not None and placed else None
        filled = [i for i, n in enumerate(self.parts.sizes) if n]
        own: list[tuple[Any, ...]] = [(None,)] * len(self.parts.sizes)
        for i, one in zip(filled, placed, strict=False):
            own[i] = (one,)
        looked = self.parts.each(tasks.look_up, table, entries, own=own)
        for i, one in zip(filled, looked, strict=True):
            own[i] = (one,)
        coded = self.parts.each(tasks.codes_of, table, entries, own=own)
        room = room_for(self.n * tasks.code_type(table.highest() + 1)().itemsize)
        coded, found = kept(coded, looked) if room else (coded, dask.compute(*looked))
        rows = np.concatenate([self.parts.firsts[i] + part.rows for i, part in zip(filled, found, strict=True)])
        cast(Rows, self.points).remember(rows, np.concatenate([part.points for part in found]))
        members = np.asarray(np.sum([part.members for part in found], axis=0), np.int64)
        masses = found[0].masses
        for part in found[1:]:
            masses = masses.plus(part.masses)
        self.open.rows, self.open.members, self.open.masses = rows, members, masses
        self.open.weights = np.concatenate([part.weights for part in found])
        names = np.append(np.arange(len(members)), UNKNOWN).astype(np.int32)
        labels = Labels(coded, names, np.full(len(rows), UNKNOWN, np.int32))
        return labels, Counts(len(rows), members), rows

    def first_in_sub_cells(self, table: CellLabels) -> tuple[Ints, Floats]:
        """Return the sub-cells that hold points, and the first point in each."""
        found = self.parts.map(tasks.first_in_sub_cells, table)  # in the order of rows
        owners, first = np.unique(np.concatenate([part[0] for part in found]), return_index=True)
        return owners, np.concatenate([part[1] for part in found])[first]

    def write(self, labels: Any, rows: Ints, found: NDArray[Any]) -> None:
        """Set the labels of some of the rows that cells do not settle."""
        labels.late[np.searchsorted(self.open.rows, rows)] = found

    def unknown(self, labels: Any) -> Ints:
        """Return the rows that have no label."""
        return self.open.rows[labels.late == UNKNOWN]

    def weigh(self, labels: Any, k: int, weights: bool = True) -> Floats:
        """Return the weight of the points of each label, rounded once; without ``weights`` their number."""
        state = self.open
        if not weights or state.masses is None or not self.weighted:
            total = np.bincount(labels.late, minlength=k)
            total[: len(state.members)] += state.members
            return total.astype(np.float64)
        own = Exact.of(state.weights, labels.late, k)
        others = {e: np.pad(sums, ((0, 0), (0, k - sums.shape[1]))) for e, sums in state.masses.parts.items()}
        return own.plus(Exact(k, others)).floats()

    def lazy_labels(self, labels: Labels) -> Any:
        """Return the labels of all rows as a Dask array, of which nothing is computed yet."""
        coded, rows, firsts = iter(labels.coded), self.open.rows, self.parts.firsts
        blocks: list[Any] = []
        for i, n in enumerate(self.parts.sizes):
            late = labels.late[slice(*np.searchsorted(rows, firsts[i : i + 2]))]
            blocks.append((next(coded), labels.names, late) if n else (np.empty(0, np.uint8), labels.names, late))
        return lazy(blocks, self.parts.sizes, (), np.int32, tasks.label)
