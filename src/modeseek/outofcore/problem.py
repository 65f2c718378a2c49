"""A problem whose points are in files: what a route asks of all points is answered by a pass over them."""

import dataclasses
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from modeseek.certify import sample_of
from modeseek.engines.threads import effective_n_jobs, in_order
from modeseek.fields import Field, Floats, Ints
from modeseek.fields.grid import GridField
from modeseek.fields.nodes import Box, node_box
from modeseek.label import CellLabels, Counts
from modeseek.outofcore.guess import Guess
from modeseek.outofcore.labels import LabelFile, LookUp
from modeseek.outofcore.passes import Gathered, Passes
from modeseek.outofcore.sums import AllRows, Deposit, FirstRows, InBins, SumsAround
from modeseek.places import Patches, Places, placing_pays
from modeseek.result import Problem
from modeseek.sketch import UNIT_BITS, BinCounts, Bins, DensitySketch, binning_pays

GRIDS = 1 << 28  # bytes that grids of several workers may take
LOOK_UP = "look labels up"  # the pass
PATCH_BYTES, BIN_BYTES = 88, 144  # of a node and worker


class Rows:
    """Rows of files, as NumPy asks for them: single ones come to memory, all of them never do."""

    def __init__(self, passes: Passes, n: int):
        self.passes, self.dtype = passes, passes.dataset.dtype
        self.shape = (n, passes.dataset.d)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: Ints) -> NDArray[Any]:
        return self.passes.rows(rows)


@dataclass(frozen=True)
class GuessedPlaces(Places):
    """The rows of each bin, and a guess of their labels; which bin a row is in is not known any more."""

    guess: Guess


@dataclass(frozen=True)
class FileProblem(Problem):
    """Rows of weight one in files; ``points`` gives single ones of them."""

    passes: Passes = dataclasses.field(kw_only=True)
    for_labels: bool = dataclasses.field(default=True, kw_only=True)  # whether they will be asked for

    @classmethod
    def of(cls, passes: Passes, bounds: Floats, bandwidth: float, **climbing: Any) -> "FileProblem":
        """Return the problem of clustering a data set whose rows have been counted."""
        n = passes.dataset.n
        assert n is not None
        passes.wish = sample_of(n)
        rows = cast(Any, Rows(passes, n))
        return cls(rows, np.empty(0), bounds, bandwidth, passes=passes, **climbing)

    def in_memory(self) -> Problem:
        """Return the same problem with all rows in memory."""
        return Problem(
            self._all_rows(),
            self.weights,
            self.bounds,
            self.bandwidth,
            self.tol,
            self.max_iter,
            self.n_jobs,
            self.report,
        )

    def _all_rows(self) -> NDArray[Any]:
        rows = AllRows(self.n, self.d, self.passes.dataset.dtype)
        self.passes.run("read", rows, self.bounds)
        return rows.points

    def add_to(self, sketch: DensitySketch) -> DensitySketch:
        """Deposit all rows."""
        self.passes.run("sketch", Deposit(sketch, self.bounds, self.n_jobs), self.bounds)
        return sketch

    def place_in(self, sketch: DensitySketch) -> Places | None:
        """Deposit all rows by way of patches, if that pays, and tell how many are in each bin."""
        assert sketch.origin is not None
        box = node_box(self.bounds[0], self.bounds[1], sketch.origin, sketch.delta)
        if not placing_pays(self.n, self.d, self.bounds, box, sketch.delta):
            return None
        workers = self._workers(PATCH_BYTES, box)
        patches = Patches(box, sketch.origin, sketch.delta, 1 << UNIT_BITS, workers)
        guess = self._sum_up_in_bins(patches, box, sketch.origin, sketch.delta)
        sums = patches.totals()
        sketch.take_placed(self.n, box, sums["masses"])
        return GuessedPlaces(2, sums["counts"], np.empty(0, np.int32), guess)

    def _sum_up_in_bins(self, sums: Patches | BinCounts, box: Box, origin: Floats, delta: float) -> Guess:
        """Sum all rows up by bins, and note the hills they are on."""
        path = self.passes.journal.labels_path(self.passes.number)
        guess = Guess.of(self, box, origin, delta, path, self.for_labels)
        with closing(guess):
            self.passes.run("sketch", InBins(sums, guess), self.bounds)
        self.passes.journal.forget_labels_before(path)
        return guess

    def bins(self, delta: float) -> Bins | None:
        """Sum all rows up in bins, if that pays."""
        if not binning_pays(self.n, self.d, self.bounds, delta):
            return None
        box = node_box(self.bounds[0], self.bounds[1], self.bounds[0], delta)
        counter = BinCounts(self.n, self.bounds, delta, self._workers(BIN_BYTES, box))
        sample = np.arange(*counter.sample().indices(self.n))
        self.passes.wish, self.passes.known = sample, None
        guess = self._sum_up_in_bins(counter, box, self.bounds[0], delta)
        some = self.passes.rows(sample)
        places = GuessedPlaces(2, counter.totals()["counts"], np.empty(0, np.int32), guess)
        return dataclasses.replace(counter.bins(some, counter.places(some)), places=places)

    def _workers(self, bytes_of_node: int, box: Box) -> int:
        """Return how many workers may have a grid of their own."""
        return max(1, min(effective_n_jobs(self.n_jobs), GRIDS // (bytes_of_node * box.n_nodes)))

    def sums(self, places: Floats) -> Floats:
        """Return sums over all rows around a few places."""
        around = SumsAround(places, self.bandwidth, self.n_jobs)
        self.passes.run(f"sum around {len(places)} places", around)
        return around.total

    def exact_field(self) -> Field:
        """Return all rows as they are, to climb on; routes ask for it where these are few."""
        return GridField(self._all_rows(), self.weights, self.bandwidth)

    def look_up(self, table: CellLabels, places: Places | None = None) -> tuple[Any, Counts, Ints]:
        """Write the label of each row to a file; return it, the rows of each label, and which have none."""
        passes, journal = self.passes, self.passes.journal
        path = journal.labels_path(passes.number)
        labels = LabelFile(path, self.n, table.highest())
        found = LookUp(table, labels, self.d, passes.dataset.dtype, self.n_jobs)
        journal.forget_lost_labels(passes.number, LOOK_UP, labels.dtype.itemsize)
        known = places.guess.labels(table, places.counts) if isinstance(places, GuessedPlaces) else None
        with closing(found):
            if known is None or journal.has(passes.number):
                passes.run(LOOK_UP, found)
                journal.forget_labels_before(path)
            else:
                work, pieces = partial(found.open_rows_of, known.guess), known.guess.pieces()
                found.counts[1:] += known.counts
                passes.need_not_run(LOOK_UP, found, in_order(work, pieces, effective_n_jobs(self.n_jobs)))
                labels.take_known(known)
        counts, rows, points = found.finished()
        passes.found = Gathered.of(rows, points, passes.dataset)
        return labels, counts, rows

    def first_in_sub_cells(self, table: CellLabels) -> tuple[Ints, Floats]:
        """Return the sub-cells that hold rows, and the first row in each."""
        first = FirstRows(table, self.d, self.passes.dataset.dtype, self.n_jobs)
        self.passes.run("find rows between clusters", first)
        return first.owners, np.asarray(first.points, np.float64)

    def write(self, labels: Any, rows: Ints, found: NDArray[Any]) -> None:
        """Set the labels of some rows."""
        labels.write(rows, found)

    def unknown(self, labels: Any) -> Ints:
        """Return the rows that have no label."""
        return np.asarray(labels.unknown())

    def weigh(self, labels: Any, k: int, weights: bool = True) -> Floats:
        """Return the number of rows of each label."""
        return np.asarray(labels.count(k))
