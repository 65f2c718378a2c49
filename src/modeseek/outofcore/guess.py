r"""Labels guessed while rows are read for the sketch, so that files need not be read again to be labelled.

A fit of the first rows shows roughly where clusters will be. From then on each row is noted with the *hill* of its bin,
the cluster that the first rows have there; where another hill is near, or rows are so few that their labels would be
proven one by one, the row itself is kept ("open"), as the first rows are. When the labels of cells are known, for good,
a hill stands for a label if every bin of it that holds rows has that label and no other; open rows are looked up as
ever. If a single bin differs, nothing of the guess is used, and the files are read once more. So no label rests on a
guess; what it saves is a pass.
"""

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from modeseek.fields import Floats, Ints
from modeseek.fields.nodes import Box, cell_corner
from modeseek.label import UNKNOWN, CellLabels, label_cells
from modeseek.outofcore.journal import Arrays
from modeseek.outofcore.passes import NEVER
from modeseek.places import in_cells
from modeseek.prepare import table_and_finder
from modeseek.result import Problem
from modeseek.sketch import DensitySketch

LEAST_ROWS = 1 << 24  # with fewer, reading them again costs next to nothing
FIRST = 32  # the first of so many parts of the rows are guessed from
ROWS_PER_NODE = 64  # with fewer, a fit costs more than it saves
REACH = 2  # cells around the border of a hill where rows are open: borders move when more rows come
LEAST_IN_CELL = 600.0  # rows in the end; sub-cells of cells with fewer may be left to their rows
AROUND = 3  # cells along an axis whose mean tells how many rows a cell will have; the least of as many means counts
MOST_OPEN = 0.4  # of the rows
MOST_HILLS = 127  # of most rows: numbers of one byte


class Noted(NamedTuple):
    """Rows that have been noted one after the other: where they begin, and how many they are."""

    first: int  # the number of the first row among all
    rows: int
    opened: int  # open rows that come before
    open_rows: int


class Known(NamedTuple):
    """A guess that holds."""

    guess: "Guess"
    labels: NDArray[np.int32]  # of hills
    counts: Ints  # rows that each label has by them


@dataclass
class Guess:
    """The hill of each row of a problem, and the points of open rows, in two files.

    Bins are 2^d to the cell of a node of the box.
    """

    problem: Problem
    box: Box
    origin: Floats
    delta: float
    path: Path
    begin: int  # rows that come before there is enough to guess from; NEVER: nothing is guessed
    hills: NDArray[np.int8] = field(default_factory=lambda: np.empty(0, np.int8))  # of each bin; UNKNOWN: open
    before: Ints = field(default_factory=lambda: np.empty(0, np.int64))  # of the first rows, those in each bin
    noted: list[tuple[int, int]] = field(default_factory=list)  # rows, and open ones of them, as they came
    n_open: int = 0
    _files: list[IO[bytes]] = field(default_factory=list)

    @classmethod
    def of(cls, problem: Problem, box: Box, origin: Floats, delta: float, path: Path, wanted: bool) -> "Guess":
        """Return what will be guessed of the rows of a problem: nothing, where that is not wanted or does not pay."""
        n = problem.n
        begin = n // FIRST if wanted and n >= max(LEAST_ROWS, ROWS_PER_NODE * box.n_nodes) else NEVER
        return cls(problem, box, origin, delta, path, begin)

    @property
    def pause(self) -> int:
        """The row at which `make` should be called."""
        return NEVER if len(self.hills) else self.begin

    def make(self, rows: int, counts: Ints) -> None:
        """Find hills by the rows of each bin (flat) that have come so far."""
        self.before = counts
        found = self._clusters()
        elsewhere, side = np.where(found == UNKNOWN, np.iinfo(np.int32).max, found), 2 * REACH + 1
        alone = ndimage.minimum_filter(elsewhere, side) == ndimage.maximum_filter(found, side)
        cells = in_cells(counts, 2, self.box)
        least = ndimage.minimum_filter(ndimage.uniform_filter(cells.astype(np.float64), AROUND), AROUND)
        inside = alone & (least * (self.problem.n / rows) >= LEAST_IN_CELL) & (found != UNKNOWN)
        if cells[~inside].sum() > MOST_OPEN * rows:
            self.give_up()
            return
        masses = np.bincount(found[inside], cells[inside])
        kept = np.argsort(-masses, kind="stable")[: min(MOST_HILLS, np.count_nonzero(masses))]
        numbers = np.full(len(masses) + 1, UNKNOWN, np.int8)  # the last entry is of UNKNOWN
        numbers[kept] = np.arange(len(kept))
        hills = numbers[np.where(inside, found, UNKNOWN)]
        for axis in range(hills.ndim):
            hills = np.repeat(hills, 2, axis)
        self.hills = hills.reshape(-1)

    def _clusters(self) -> NDArray[np.int32]:
        """Return the label of each cell that holds some of the first rows, as a fit of these finds it."""
        held = np.flatnonzero(self.before)
        bins = np.stack(np.unravel_index(held, [2 * side for side in self.box.shape]), axis=-1)
        bandwidth, n_jobs = self.problem.bandwidth, self.problem.n_jobs
        middles = cell_corner(self.origin, self.box, self.delta) + (bins + 0.5) * (self.delta / 2)
        sketch = DensitySketch(bandwidth, spacing=self.delta / bandwidth, origin=self.origin)
        sketch.add_scanned(
            middles, self.before[held].astype(np.float64), np.array([middles.min(0), middles.max(0)]), n_jobs
        )
        labels, box = label_cells(*table_and_finder(self.problem, sketch)), sketch.box
        found = np.full(self.box.shape, UNKNOWN, np.int32)
        held = np.flatnonzero(labels != UNKNOWN)  # in a box of their own
        places = np.stack(np.unravel_index(held, box.shape)) + np.subtract(box.lower, self.box.lower)[:, None]
        found[tuple(places)] = labels[held]
        return found

    def give_up(self) -> None:
        """Guess nothing any more."""
        while self._files:
            with suppress(OSError):  # of a full disk: what is still to be written is not wanted
                self._files.pop().close()
        for path in self._paths():
            path.unlink(missing_ok=True)
        self.begin, self.noted = NEVER, []
        self.hills, self.before = np.empty(0, np.int8), np.empty(0, np.int64)  # views would keep all of them

    def close(self) -> None:
        """Leave the files to who reads them."""
        while self._files:
            self._files.pop().close()

    def _paths(self) -> tuple[Path, Path]:
        return self.path, self.path.with_suffix(".open")

    @property
    def _row_bytes(self) -> int:
        return self.problem.d * self.problem.points.dtype.itemsize

    # ---- rows come -----------------------------------------------------------------------------------------------

    def look_up(
        self, points: NDArray[Any], bins: NDArray[np.int32], rows: NDArray[np.int32]
    ) -> tuple[NDArray[np.int8], NDArray[Any]] | None:
        """Return the hills of rows in these bins, and the points of the open ones; None where nothing is guessed.

        ``rows`` (m + 1,) is scratch.
        """
        from modeseek.engines.cpu.lookup import hills_of_bins

        if self.begin == NEVER:
            return None
        of_bins = self.hills  # may be given up meanwhile
        if not len(of_bins):
            return np.full(len(points), UNKNOWN, np.int8), points.copy()
        hills = np.empty(len(bins), np.int8)
        found = hills_of_bins(bins, of_bins, hills, rows)
        return hills, points[rows[:found]]

    def add(self, found: tuple[NDArray[np.int8], NDArray[Any]] | None) -> None:
        """Note rows, in their order; guess nothing any more where the disk has no room for that."""
        if found is None or self.begin == NEVER:
            return
        try:
            self._write(found)
        except OSError:
            self.give_up()
            return
        self.noted.append((len(found[0]), len(found[1])))
        self.n_open += len(found[1])
        if self.n_open > MOST_OPEN * self.problem.n:
            self.give_up()

    def _write(self, found: tuple[NDArray[Any], ...]) -> None:
        for path in self._paths() if not self._files else ():
            self._files.append(path.open("wb"))
        for file, array in zip(self._files, found, strict=True):
            file.write(array.data)
            file.flush()

    def arrays(self) -> Arrays:
        """Return what there is beside the files, once what they hold is there for good."""
        if self.begin == NEVER:
            return {}
        for file in self._files:
            os.fsync(file.fileno())
        return {"hills": self.hills, "before": self.before, "noted": np.array(self.noted, np.int64).reshape(-1, 2)}

    def go_on(self, arrays: Arrays) -> None:
        """Begin from these; guess nothing if they, or the files, are not there."""
        if "noted" not in arrays:
            self.give_up()
            return
        self.hills, self.before = arrays["hills"], arrays["before"]
        self.noted = [(int(rows), int(opened)) for rows, opened in arrays["noted"]]
        rows, self.n_open = (int(total) for total in arrays["noted"].sum(axis=0))
        sizes = rows, self.n_open * self._row_bytes
        paths = self._paths()
        if not all(path.exists() and path.stat().st_size >= size for path, size in zip(paths, sizes, strict=True)):
            self.give_up()
            return
        self._files = [path.open("r+b") for path in paths]
        for file, size in zip(self._files, sizes, strict=True):
            file.truncate(size)
            file.seek(0, 2)

    # ---- labels --------------------------------------------------------------------------------------------------

    def labels(self, table: CellLabels, counts: Ints) -> Known | None:
        """Return the label that each hill stands for; None, and the guess is given up, if it does not hold.

        ``counts`` are the rows of each bin in the end. A hill without rows stands for no label.
        """
        if not len(self.hills):
            return None
        assert (table.box, table.delta, *table.origin) == (self.box, self.delta, *self.origin)
        rows = counts - self.before
        held = np.flatnonzero((rows > 0) & (self.hills != UNKNOWN))
        hills, labels = self.hills[held], table.of_bins(2)[held]
        found = np.full(int(self.hills.max()) + 1, UNKNOWN, np.int32)
        found[hills] = labels
        if (labels < 0).any() or (found[hills] != labels).any():
            self.give_up()
            return None
        return Known(self, found, np.bincount(labels, rows[held], table.highest() + 1).astype(np.int64))

    def pieces(self) -> Iterator[Noted]:
        """Yield which rows have been noted at a time."""
        first, opened = 0, 0
        for rows, open_rows in self.noted:
            yield Noted(first, rows, opened, open_rows)
            first, opened = first + rows, opened + open_rows

    def points(self, piece: Noted) -> NDArray[Any]:
        """Return the points of the open ones of these rows."""
        d, dtype = self.problem.d, self.problem.points.dtype
        size, skipped = piece.open_rows * d, piece.opened * self._row_bytes
        return np.fromfile(self._paths()[1], dtype, size, offset=skipped).reshape(-1, d)

    def hills_of(self, start: int, stop: int) -> NDArray[np.int8]:
        """Return the hills of rows."""
        return np.fromfile(self.path, np.int8, stop - start, offset=start)

    def opened(self, row: int) -> int:
        """Return how many open rows come before a row."""
        rows, open_rows = self._marks
        k = int(np.searchsorted(rows, row, side="right")) - 1
        return int(open_rows[k]) + int(np.count_nonzero(self.hills_of(int(rows[k]), row) == UNKNOWN))

    @cached_property
    def _marks(self) -> Ints:
        """Rows where pieces begin and end, and the open rows before them; for when all have been noted."""
        return np.cumsum([(0, 0), *self.noted], axis=0).T
