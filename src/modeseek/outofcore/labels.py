"""Labels of all rows, kept in a file as a look-up found them; new names and late labels are kept beside it."""

import os
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from modeseek.fields import Floats, Ints
from modeseek.label import UNKNOWN, CellLabels, Counts, name_rows
from modeseek.outofcore.guess import Guess, Known, Noted
from modeseek.outofcore.journal import Arrays
from modeseek.outofcore.passes import MANY, Sum

MOST_OPEN = 1 << 24  # rows without a label that are kept in memory


class LabelFile:
    """Labels as codes in a file, and what codes stand for now."""

    def __init__(self, path: Path, n: int, highest: int):
        self.path, self.n = path, n
        self.dtype = np.min_scalar_type(-max(highest + 2, 2))
        self.counts: Ints = np.zeros(highest + 1, np.int64)  # rows of each code
        self.names = np.append(np.arange(highest + 1), UNKNOWN).astype(np.int32)  # of each code; the last of UNKNOWN
        self.rows: Ints = np.empty(0, np.int64)  # that have no code, and their labels
        self.late: NDArray[np.int32] = np.empty(0, np.int32)
        self._known: Known | None = None

    def __len__(self) -> int:
        return self.n

    def __getitem__(self, part: slice) -> NDArray[np.int32]:
        start, stop, _ = part.indices(self.n)
        stop = max(start, stop)
        if self._known is None:
            return self._labels(start, stop, start, stop - start)
        guess, of_hills, _ = self._known
        hills = guess.hills_of(start, stop)
        late = self._labels(start, stop, guess.opened(start), int(np.count_nonzero(hills == UNKNOWN)))
        return name_rows(hills, self.names[of_hills], late)

    def _labels(self, start: int, stop: int, first: int, n: int) -> NDArray[np.int32]:
        """Return the labels of those of some rows that have codes in the file: n, from the ``first`` on."""
        codes = np.fromfile(self.path, self.dtype, n, offset=first * self.dtype.itemsize)
        return name_rows(codes, self.names, self.late[slice(*np.searchsorted(self.rows, [start, stop]))])

    def take_known(self, known: Known) -> None:
        """Take the labels of hills for the rows on them: the file has codes of open rows only."""
        self._known = known

    def write(self, rows: Ints, found: NDArray[Any]) -> None:
        """Set the labels of some of the open rows."""
        self.late[np.searchsorted(self.rows, rows)] = found

    def unknown(self) -> Ints:
        """Return the rows without a label."""
        return self.rows[self.late == UNKNOWN]

    def rename_labels(self, names: NDArray[np.int32]) -> None:
        """Replace label i by names[i]; -1 stands for the last name."""
        self.names, self.late = names[self.names], names[self.late]

    def count(self, k: int) -> Floats:
        """Return the number of rows of each of k labels."""
        inside, known = self.names[:-1], self.late >= 0
        kept = inside >= 0
        total = np.bincount(inside[kept], self.counts[kept], k)
        return np.asarray(total + np.bincount(self.late[known], minlength=k), np.float64)


class LookUp(Sum):
    """Looks labels up in a table of cells, writes them to a file, and keeps the rows that have none."""

    workers = MANY

    def __init__(self, table: CellLabels, labels: LabelFile, d: int, dtype: np.dtype[Any], n_jobs: int | None):
        self.table, self.labels, self.n_jobs = table, labels, n_jobs
        self._uniform = table.uniform(labels.dtype)
        self.counts: Ints = np.zeros(len(labels.counts) + 1, np.int64)  # of rows without a label first
        self._rows: list[Ints] = []
        self._points: list[NDArray[Any]] = [np.empty((0, d), dtype)]
        self._file: IO[bytes] | None = None

    def work(self, points: NDArray[Any], first: int, worker: int) -> tuple[NDArray[Any], Counts, Ints, NDArray[Any]]:
        """Look rows up; return their codes, the rows of each, and which have none."""
        codes = np.empty(len(points), self.labels.dtype)
        counts = self.table.assign(points, codes, self.n_jobs, self._uniform)
        rows = np.flatnonzero(codes == UNKNOWN) if counts.unknown else np.empty(0, np.int64)
        return codes, counts, rows + first, points[rows]

    def add(self, done: tuple[NDArray[Any], Counts, Ints, NDArray[Any]]) -> None:
        """Write codes to the file, and keep the rows that have none."""
        codes, counts, rows, points = done
        self.counts[0] += counts.unknown
        self.counts[1 : 1 + len(counts.members)] += counts.members
        if len(rows):
            self._rows.append(rows)
            self._points.append(points)
            if self.counts[0] > MOST_OPEN:
                raise ValueError(
                    f"more than {MOST_OPEN} rows lie where the sketch proves no label, too many to keep in memory: use "
                    'fidelity "fast", or a larger bandwidth'
                )
        if self._file is None:
            self._file = self.labels.path.open("wb")
        self._file.write(codes.data)

    def open_rows_of(self, guess: Guess, piece: Noted, worker: int) -> tuple[int, Any]:
        """Return the row after rows that have been noted, and what `work` returns of the open ones."""
        codes, counts, rows, points = self.work(guess.points(piece), 0, worker)
        if len(rows):
            rows = piece.first + np.flatnonzero(guess.hills_of(piece.first, piece.first + piece.rows) == UNKNOWN)[rows]
        return piece.first + piece.rows, (codes, counts, rows, points)

    def arrays(self) -> Arrays:
        """Return counts and open rows; what is in the file must be there for good first."""
        if self._file is not None:
            self._file.flush()
            os.fsync(self._file.fileno())
        rows, points = self.open_rows()
        return {"counts": self.counts, "rows": rows, "points": points}

    def go_on(self, arrays: Arrays, rows: int) -> None:
        """Begin from these; what the file holds beyond so many rows is cut off."""
        self.counts = arrays["counts"]
        self._rows, self._points = [arrays["rows"]], [arrays["points"]]
        if not self.labels.path.exists():  # the labels of a later look-up have taken their place
            return
        self._file = self.labels.path.open("r+b")
        self._file.truncate(rows * self.labels.dtype.itemsize)
        self._file.seek(0, 2)

    def open_rows(self) -> tuple[Ints, NDArray[Any]]:
        """Return the rows without a label so far, and their points."""
        self._rows = [np.concatenate(self._rows)] if self._rows else [np.empty(0, np.int64)]
        self._points = [np.concatenate(self._points)]
        return self._rows[0], self._points[0]

    def close(self) -> None:
        """Leave the file to its labels."""
        if self._file is not None:
            self._file.close()

    def finished(self) -> tuple[Counts, Ints, NDArray[Any]]:
        """Return counts, open rows and their points; from now on labels can be asked for."""
        rows, points = self.open_rows()
        self.labels.counts = self.counts[1:]
        self.labels.rows, self.labels.late = rows, np.full(len(rows), UNKNOWN, np.int32)
        return Counts(int(self.counts[0]), self.counts[1:]), rows, points
