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

from modeseek.certify import ProvenLabels
from modeseek.distributed import sparse
from modeseek.distributed.parts import Parts, lazy, share
from modeseek.distributed.sparse import Sparse
from modeseek.distributed.sums import Exact
from modeseek.engines import data
from modeseek.engines.threads import ROWS_PER_CHUNK
from modeseek.fields import Field, Floats, Ints
from modeseek.fields.grid import POINTS_PER_CHUNK, GridField, sums_over_points
from modeseek.fields.nodes import Box, node_box
from modeseek.label import UNKNOWN, CellLabels, Counts
from modeseek.places import Patches, Places, placing_pays
from modeseek.result import Clustering, Problem
from modeseek.sketch import UNIT_BITS, BinCounts, Bins, DensitySketch, binning_pays

EVENLY = (500, 4096)  # rows of samples that routes look at: fetched together


class Rows:
    """Rows of partitions, as NumPy asks for them: single ones come to the client, all of them never do.

    What was asked for is remembered, together with the rows that routes look at.
    """

    def __init__(self, parts: Parts):
        self.parts, self.shape, self.dtype = parts, (parts.n, parts.d), parts.dtype
        self.known, self.points = np.empty(0, np.int64), np.empty((0, parts.d), parts.dtype)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: Ints) -> NDArray[Any]:
        rows = np.asarray(rows, np.int64)
        place = np.searchsorted(self.known, rows)
        if not len(self.known) or (self.known[np.minimum(place, len(self.known) - 1)] != rows).any():
            wanted = np.unique(np.concatenate([rows, *([] if len(self.known) else self._samples())]))
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

    def _samples(self) -> list[Ints]:
        ends, middles = EVENLY
        k = min(len(self), middles)
        return [np.linspace(0, len(self) - 1, ends).astype(np.int64), (2 * np.arange(k) + 1) * len(self) // (2 * k)]


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
        found = self.parts.combine(_deposit, sparse.add, sketch.emptied(), sketch.box)
        return sketch.add_masses(found.dense())

    def place_in(self, sketch: DensitySketch) -> Places | None:
        """Deposit all points, and count how many lie where, if that pays; where each one lies is not kept."""
        assert sketch.origin is not None
        box = node_box(self.bounds[0], self.bounds[1], sketch.origin, sketch.delta)
        if not placing_pays(self.n, self.d, self.bounds, box, sketch.delta):
            return None
        masses, counts = self.parts.combine(_place, sparse.add_each, box, sketch.origin, sketch.delta)
        sketch.take_placed(self.n, box, masses.dense())
        return Places(2, counts.dense(), np.empty(0, np.int32))

    def bins(self, delta: float) -> Bins | None:
        """Sum all points up in bins, if that pays."""
        if not binning_pays(self.n, self.d, self.bounds, delta):
            return None
        counts, offsets = self._combined(_bin, sparse.add_each, self.n, self.bounds, delta)
        counter = BinCounts(self.n, self.bounds, delta, 1)
        counter.go_on(counts.dense(), offsets.dense())
        sample = self.points[np.arange(*counter.sample().indices(self.n))]
        return counter.bins(sample, counter.places(sample))

    def _combined(self, work: Any, merge: Any, *args: Any) -> Any:
        """Do as `Parts.combine` with work that is told the first row of its partition."""
        firsts = [(int(first),) for first in self.parts.firsts[:-1]]
        found = self.parts.each(work, *args, own=firsts)
        return self.parts.merged(found, merge)

    def sums(self, places: Floats) -> Floats:
        """Return sums over all points around a few places: of the same chunks of rows, in the same order, as always."""
        heads = self.parts.heads(POINTS_PER_CHUNK)
        total = np.zeros((len(places), 10))
        for chunks in self.parts.map(_sums, self.bandwidth, places, own=heads):
            for chunk in chunks:
                total += chunk
        return total

    def exact_field(self) -> Field:
        """Return all points as they are, to climb on: they come to the client, and routes ask where they are few."""
        points, weights = self.parts.gather()
        return GridField(points, weights, self.bandwidth)

    def look_up(self, table: CellLabels, places: Places | None = None) -> tuple[NDArray[np.int32], Counts, Ints]:
        """Return labels of the rows that have none (UNKNOWN), the rows of each label, and which have none."""
        k = table.highest() + 1
        found = self.parts.map(_look_up, table, k)
        filled = [first for first, n in zip(self.parts.firsts, self.parts.sizes, strict=False) if n]
        rows = np.concatenate([first + part.rows for first, part in zip(filled, found, strict=True)])
        cast(Rows, self.points).remember(rows, np.concatenate([part.points for part in found]))
        members = np.asarray(np.sum([part.members for part in found], axis=0), np.int64)
        masses = found[0].masses
        for part in found[1:]:
            masses = masses.plus(part.masses)
        self.open.rows, self.open.members, self.open.masses = rows, members, masses
        self.open.weights = np.concatenate([part.weights for part in found])
        return np.full(len(rows), UNKNOWN, np.int32), Counts(len(rows), members), rows

    def first_in_sub_cells(self, table: CellLabels) -> tuple[Ints, Floats]:
        """Return the sub-cells that hold points, and the first point in each."""
        found = self.parts.map(_first_in_sub_cells, table)  # in the order of rows
        owners, first = np.unique(np.concatenate([part[0] for part in found]), return_index=True)
        return owners, np.concatenate([part[1] for part in found])[first]

    def write(self, labels: Any, rows: Ints, found: NDArray[Any]) -> None:
        """Set the labels of some of the rows that cells do not settle."""
        labels[np.searchsorted(self.open.rows, rows)] = found

    def unknown(self, labels: Any) -> Ints:
        """Return the rows that have no label."""
        return self.open.rows[labels == UNKNOWN]

    def weigh(self, labels: Any, k: int, weights: bool = True) -> Floats:
        """Return the weight of the points of each label, rounded once; without ``weights`` their number."""
        state = self.open
        if not weights or state.masses is None or not self.weighted:
            total = np.bincount(labels, minlength=k)
            total[: len(state.members)] += state.members
            return total.astype(np.float64)
        own = Exact.of(state.weights, labels, k)
        others = {e: np.pad(sums, ((0, 0), (0, k - sums.shape[1]))) for e, sums in state.masses.parts.items()}
        return own.plus(Exact(k, others)).floats()

    def lazy_labels(self, found: Clustering) -> Any:
        """Return the labels of all rows as a Dask array, of which nothing is computed yet."""
        table = found.table.tubes.table if isinstance(found.table, ProvenLabels) else found.table
        names, rows, firsts = share((table, found.clusters)), self.open.rows, self.parts.firsts
        label, blocks = dask.delayed(_label_block, pure=False), []
        for i, block in enumerate(self.parts.blocks):
            mine = slice(*np.searchsorted(rows, firsts[i : i + 2]))
            blocks.append(label(block, names, rows[mine] - firsts[i], found.labels[mine]))
        return lazy(blocks, self.parts.sizes, (), np.int32)


# ---- tasks --------------------------------------------------------------------------------------------------------


@dataclass
class LookUp:
    """What a partition tells of its labels."""

    rows: Ints  # without a label, counted from its first
    points: NDArray[Any]
    weights: Floats
    members: Ints  # of each label
    masses: Exact


def _deposit(points: NDArray[Any], weights: Floats, empty: DensitySketch, box: Box) -> Sparse:
    if weights.size and not weights.any():
        return Sparse(box.n_nodes, np.empty(0, np.int32), np.empty(0, np.int64))
    part = empty.copy().add_scanned(points, weights, data.bounds(points, 1), 1)
    occupied = np.flatnonzero(part.masses)
    index = np.stack(np.unravel_index(occupied, part.box.shape), axis=-1) + np.array(part.box.lower)
    flat = np.ravel_multi_index(tuple((index - np.array(box.lower)).T), box.shape)
    return Sparse(box.n_nodes, flat.astype(np.int32), part.masses.reshape(-1)[occupied])


def _place(points: NDArray[Any], weights: Floats, box: Box, origin: Floats, delta: float) -> tuple[Sparse, Sparse]:
    patches = Patches(box, origin, delta, 1 << UNIT_BITS, 1)
    patches.add(points)
    masses, counts = patches.totals()
    return Sparse.of(masses), Sparse.of(counts)


def _bin(
    points: NDArray[Any], weights: Floats, n: int, bounds: Floats, delta: float, first: int
) -> tuple[Sparse, Sparse]:
    counter = BinCounts(n, bounds, delta, 1)
    counter.add(points, first=first)
    counts, offsets = counter.totals()
    return Sparse.of(counts), Sparse.of(offsets)


def _sums(points: NDArray[Any], weights: Floats, bandwidth: float, places: Floats, skip: int, *pieces: Any) -> Any:
    more, own_more = pieces
    rows = np.concatenate([points[skip:], *more])
    own = np.concatenate([weights[skip:], *own_more]) if weights.size else weights
    return [
        sums_over_points(
            rows[k : k + POINTS_PER_CHUNK], own[k : k + POINTS_PER_CHUNK], bandwidth, places, 1
        )
        for k in range(0, len(rows), POINTS_PER_CHUNK)
    ]  # fmt: skip


def _look_up(points: NDArray[Any], weights: Floats, table: CellLabels, k: int) -> LookUp:
    members, masses, found = np.zeros(k, np.int64), Exact(k, {}), []
    for start in range(0, len(points), ROWS_PER_CHUNK):  # labels of so few rows stay in the cache
        some = slice(start, start + ROWS_PER_CHUNK)
        labels, counts, rows = table.label(points[some], None, 1)
        members[: len(counts.members)] += counts.members
        found.append(rows + start)
        if weights.size:
            known = labels >= 0
            masses = masses.plus(Exact.of(weights[some][known], labels[known], k))
    rows = np.concatenate(found)
    return LookUp(rows, points[rows], weights[rows] if weights.size else weights, members, masses)


def _first_in_sub_cells(points: NDArray[Any], weights: Floats, table: CellLabels) -> tuple[Ints, Floats]:
    owners, rows = table.first_rows(points, 1)
    return owners, np.asarray(points[rows], np.float64)


def _label_block(points: NDArray[Any], names: tuple[CellLabels, Any], rows: Ints, own: NDArray[np.int32]) -> Any:
    table, clusters = names
    if not len(points):
        return np.empty(0, np.int32)
    labels, _, _ = table.label(points, None, 1)
    if clusters is not None:
        labels = clusters[labels]
    labels[rows] = own
    return labels
