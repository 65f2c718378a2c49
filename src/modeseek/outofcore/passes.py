"""One pass over all rows: something is summed slab by slab, from its last checkpoint on, while a thread reads ahead.

What a pass sums up is an `Sum`: it takes rows in order, and can be written down and taken up again between two slabs.
Of the rows that somebody may ask for (`wish`) their coordinates are kept as they come by.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from modeseek.engines import data
from modeseek.fields import Floats
from modeseek.outofcore.dataset import Dataset, Ints
from modeseek.outofcore.journal import Arrays, Journal

SECONDS = 10.0  # between two checkpoints
NO_ROWS = np.empty(0, np.int64)
BOUNDS = "find bounds"  # the pass that is made for them alone


@dataclass(frozen=True)
class Progress:
    """How far a run is."""

    stage: str  # what is being done, in words
    done: int  # rows
    total: int | None  # None: not known yet


class Sum(Protocol):
    """What a pass sums up."""

    def add(self, points: NDArray[Any], first: int) -> None:
        """Add rows, of which the first has this number."""
        ...

    def arrays(self) -> Arrays:
        """Return all that there is so far."""
        ...

    def go_on(self, arrays: Arrays, rows: int) -> None:
        """Begin from what `arrays` returned after so many rows."""
        ...


class LooseBounds(Exception):
    """The bounds that files state are not those of their rows."""


@dataclass
class Passes:
    """Runs passes over a data set, one after the other, and remembers them in a journal."""

    dataset: Dataset
    journal: Journal
    progress: Callable[[Progress], None] = lambda progress: None
    n_jobs: int | None = None
    seconds: float = SECONDS
    number: int = 0  # of the passes begun so far
    wish: Ints = field(default_factory=lambda: NO_ROWS)
    known: "Gathered | None" = None  # rows that came by
    found: "Gathered | None" = None  # rows that a look-up left open
    ends: "Extent | None" = None  # of the last pass

    def run(self, name: str, what: Sum, bounds: Floats | None = None) -> int:
        """Sum over all rows; see, where ``bounds`` are given, that they are those of the rows. Return its number."""
        number, self.number = self.number, self.number + 1
        ends = Extent(self.dataset)
        wanted = Gathered(self.wish, self.dataset) if self.known is None and self.wish.size else None
        sums = {"sum": what, "ends": ends} | ({} if wanted is None else {"wish": wanted})
        before = self.journal.load(number, name)
        row, done = 0, False
        if before is not None:
            row, done, arrays = before
            for part, one in sums.items():
                one.go_on({key.split(".", 1)[1]: a for key, a in arrays.items() if key.split(".", 1)[0] == part}, row)
        if not done:
            row = self._sum(number, name, list(sums.values()), sums, row, bounds)
        self.ends = ends
        if bounds is not None and not np.array_equal(bounds, ends.bounds):
            raise LooseBounds
        if wanted is not None:
            self.known = wanted
        return number

    def _sum(
        self, number: int, name: str, parts: list[Sum], sums: dict[str, Sum], row: int, bounds: Floats | None
    ) -> int:
        def save(done: bool) -> None:
            arrays = {f"{part}.{key}": a for part, one in sums.items() for key, a in one.arrays().items()}
            self.journal.save(number, name, row, done, arrays)

        saved, total = time.monotonic(), self.dataset.n
        ends = sums["ends"]
        assert isinstance(ends, Extent)
        self.progress(Progress(name, row, total))
        looks = bounds is not None or name == BOUNDS
        for first, points in self.dataset.slabs(row, self.n_jobs):
            if looks:
                self._look_at(ends, points, first, bounds)
            for one in parts:
                if one is not ends:
                    one.add(points, first)
            row = first + len(points)
            self.progress(Progress(name, row, total))
            if time.monotonic() - saved >= self.seconds:
                save(done=False)
                saved = time.monotonic()
        save(done=True)
        return row

    def _look_at(self, ends: "Extent", points: NDArray[Any], first: int, bounds: Floats | None) -> None:
        """Look at every value before a kernel does that trusts rows to be finite and within bounds."""
        ends.add(points, first, self.n_jobs)
        if bounds is not None and not ((ends.bounds[0] >= bounds[0]).all() and (ends.bounds[1] <= bounds[1]).all()):
            raise LooseBounds

    def rows(self, rows: Ints) -> NDArray[Any]:
        """Return single rows, in the order asked: from what came by, or by another pass."""
        rows = np.asarray(rows, np.int64)
        for known in (self.known, self.found):
            if known is not None and known.has(rows):
                return known.take(rows)
        wanted = Gathered(np.unique(rows), self.dataset)
        self.run("gather rows", wanted)
        return wanted.take(rows)


class Extent:
    """Bounds of the rows, and how many each file has."""

    def __init__(self, dataset: Dataset):
        self.dataset = dataset
        self.bounds: Floats = np.array([np.full(dataset.d, np.inf), np.full(dataset.d, -np.inf)])

    def add(self, points: NDArray[Any], first: int, n_jobs: int | None = None) -> None:
        """Widen the bounds."""
        try:
            low, high = data.bounds(points, n_jobs)
        except ValueError:
            self.dataset.refuse_non_finite(points, first)
            raise
        self.bounds = np.array([np.minimum(self.bounds[0], low), np.maximum(self.bounds[1], high)]) + 0.0

    def arrays(self) -> Arrays:
        """Return bounds and rows of files, -1 where they are not known."""
        rows = np.array([-1 if n is None else n for n in self.dataset.rows], np.int64)
        return {"bounds": self.bounds, "rows": rows}

    def go_on(self, arrays: Arrays, rows: int) -> None:
        """Begin from these bounds; rows of files that have been read to their end are known."""
        self.bounds = arrays["bounds"]
        for k, n in enumerate(arrays["rows"].tolist()):
            if self.dataset.rows[k] is None and n >= 0:
                self.dataset.rows[k] = n


class Nothing:
    """What a pass sums that is made for the bounds alone."""

    def add(self, points: NDArray[Any], first: int) -> None:
        """Do nothing."""

    def arrays(self) -> Arrays:
        """Return nothing."""
        return {}

    def go_on(self, arrays: Arrays, rows: int) -> None:
        """Do nothing."""


class Gathered:
    """Coordinates of some rows, given in ascending order."""

    def __init__(self, wanted: Ints, dataset: Dataset):
        self.wanted = wanted
        self.points = np.zeros((len(wanted), dataset.d), dataset.dtype)

    @classmethod
    def of(cls, rows: Ints, points: NDArray[Any], dataset: Dataset) -> "Gathered":
        """Return rows that are known already."""
        made = cls(rows[:0], dataset)
        made.wanted, made.points = rows, points
        return made

    def add(self, points: NDArray[Any], first: int) -> None:
        """Keep those of the rows that are wanted."""
        start, stop = np.searchsorted(self.wanted, [first, first + len(points)])
        self.points[start:stop] = points[self.wanted[start:stop] - first]

    def arrays(self) -> Arrays:
        """Return the coordinates."""
        return {"points": self.points}

    def go_on(self, arrays: Arrays, rows: int) -> None:
        """Begin from these."""
        self.points[:] = arrays["points"]

    def has(self, rows: Ints) -> bool:
        """Tell whether all these rows are here."""
        place = np.searchsorted(self.wanted, rows)
        inside = place < len(self.wanted)
        return bool(inside.all() and (self.wanted[place] == rows).all())

    def take(self, rows: Ints) -> NDArray[Any]:
        """Return the coordinates of some of the rows."""
        return self.points[np.searchsorted(self.wanted, rows)]
