"""One pass over all rows: something is summed slab by slab, from its last checkpoint on, while threads read ahead.

What a pass sums up is a `Sum`, which can be written down and taken up again between two slabs. Slabs are worked on in
order, by several threads each, or where a sum allows it (`Sum.workers`) by one thread each and several at once: nobody
then waits for anybody, and a slab stays in the cache from one kernel to the next. Of the rows that somebody may ask for
(`wish`) their coordinates are kept as they come by.
"""

import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modeseek.engines import data
from modeseek.engines.threads import ROWS_PER_CHUNK, effective_n_jobs, in_order
from modeseek.fields import Floats
from modeseek.outofcore.dataset import Dataset, Ints, fill
from modeseek.outofcore.journal import Arrays, Journal
from modeseek.outofcore.reading import Columns

SECONDS = 10.0  # between two checkpoints
CHUNKS = (4, 32)  # of a slab that several threads work on, least and most
MANY = 1 << 30  # workers: as many as there are
NEVER = 1 << 62  # a row that does not come
NO_ROWS = np.empty(0, np.int64)
BOUNDS = "find bounds"  # the pass that is made for them alone


@dataclass(frozen=True)
class Progress:
    """How far a run is."""

    stage: str  # what is being done, in words
    done: int  # rows
    total: int | None  # None: not known yet


class Sum:
    """What a pass sums up."""

    workers = 1  # that may be at work at once; where it is one, slabs come in order

    def work(self, points: NDArray[Any], first: int, worker: int) -> Any:
        """Work on rows of which the first has this number, and return what `add` is to be given."""
        raise NotImplementedError

    def add(self, done: Any) -> None:
        """Add what `work` returned, in the order of rows, one at a time."""

    def arrays(self) -> Arrays:
        """Return all that there is so far."""
        raise NotImplementedError

    def go_on(self, arrays: Arrays, rows: int) -> None:
        """Begin from what `arrays` returned after so many rows."""
        raise NotImplementedError

    @property
    def pause(self) -> int:
        """The row at which `at_rest` should be called."""
        return NEVER

    def at_rest(self, rows: int) -> None:
        """Do what can be done when so many rows have been added, and no others are being worked on."""


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
    saved: float = field(default_factory=time.monotonic)  # when something was recorded last

    def run(self, name: str, what: Sum, bounds: Floats | None = None) -> int:
        """Sum over all rows; see, where ``bounds`` are given, that they are those of the rows. Return its number."""
        number, self.number = self.number, self.number + 1
        ends = Extent(self.dataset, bounds, name == BOUNDS, self.n_jobs)
        wanted = Gathered(self.wish, self.dataset) if self.known is None and self.wish.size else None
        # ends first: no kernel that trusts rows to be finite and within bounds may see others
        sums: dict[str, Sum] = {"ends": ends, "sum": what} | ({} if wanted is None else {"wish": wanted})
        before = self.journal.load(number, name)
        row, done = 0, False
        if before is not None:
            row, done, arrays = before
            for part, one in sums.items():
                one.go_on({key.split(".", 1)[1]: a for key, a in arrays.items() if key.split(".", 1)[0] == part}, row)
        if not done:
            row = self._sum(number, name, sums, row)
        self.ends = ends
        if bounds is not None and not np.array_equal(bounds, ends.bounds):
            raise LooseBounds
        if wanted is not None:
            self.known = wanted
        return number

    def need_not_run(self, name: str, what: Sum, known: Generator[tuple[int, Any]]) -> None:
        """Add what is known without a pass, and the rows so far; nothing is recorded, later passes keep numbers."""
        self.number += 1
        with closing(known) as done:
            for row, part in done:
                what.add(part)
                self.progress(Progress(name, row, self.dataset.n))

    def _due(self) -> bool:
        return time.monotonic() - self.saved >= self.seconds

    def _save_if_due(self, number: int, name: str, row: int, done: bool, sums: dict[str, Sum]) -> None:
        """Record a pass, also one that is done, if there is much to lose: to be there for good takes the disk long."""
        if self._due():
            arrays = {f"{part}.{key}": a for part, one in sums.items() for key, a in one.arrays().items()}
            self.journal.save(number, name, row, done, arrays)
            self.saved = time.monotonic()

    def _sum(self, number: int, name: str, sums: dict[str, Sum], row: int) -> int:
        total = self.dataset.n
        self.progress(Progress(name, row, total))
        with closing(self._work(list(sums.values()), row, self._due)) as summed:
            for row, settled in summed:
                self.progress(Progress(name, row, total))
                if settled:
                    self._save_if_due(number, name, row, False, sums)
        self._save_if_due(number, name, row, True, sums)
        return row

    def _work(self, sums: list[Sum], row: int, due: Callable[[], bool]) -> Generator[tuple[int, bool]]:
        """Sum up slab by slab from a row on; yield after each how many rows have been added, and whether no others.

        Workers may be ahead of what is added in order. When a checkpoint is due, or a sum asks for it, they come to a
        halt first.
        """
        n_jobs = effective_n_jobs(self.n_jobs)
        workers = min(n_jobs, *(one.workers for one in sums))
        rooms = [self.dataset.room(1) for _ in range(workers)] if workers > 1 else []

        def work(points: NDArray[Any], first: int, worker: int) -> tuple[int, list[Any]]:
            return first + len(points), [one.work(points, first, worker) for one in sums]

        def work_on(piece: tuple[int, list[Columns]], worker: int) -> tuple[int, list[Any]]:
            first, parts = piece
            return work(fill(parts, rooms[worker]), first, worker)

        def add(found: list[Any]) -> None:
            for one, part in zip(sums, found, strict=True):
                one.add(part)

        def rest(row: int) -> None:
            for one in sums:
                if row >= one.pause:
                    one.at_rest(row)

        def halts(piece: tuple[int, list[Columns]]) -> bool:
            return due() or piece[0] + ROWS_PER_CHUNK >= min(one.pause for one in sums)

        if workers == 1:
            with closing(self.dataset.slabs(row, int(np.clip(2 * n_jobs, *CHUNKS)))) as slabs:
                for first, points in slabs:
                    row, found = work(points, first, 0)
                    add(found)
                    rest(row)
                    yield row, True
            return
        with closing(self.dataset.pieces(row, 1)) as pieces:
            for piece in pieces:
                with closing(in_order(work_on, _until(halts, piece, pieces), workers)) as done:
                    for row, found in done:
                        add(found)
                        yield row, False
                rest(row)
                yield row, True

    def rows(self, rows: Ints) -> NDArray[Any]:
        """Return single rows, in the order asked: from what came by, or by another pass."""
        rows = np.asarray(rows, np.int64)
        for known in (self.known, self.found):
            if known is not None and known.has(rows):
                return known.take(rows)
        wanted = Gathered(np.unique(rows), self.dataset)
        self.run("gather rows", wanted)
        return wanted.take(rows)


def _until(halts: Callable[[Any], bool], item: Any, items: Iterator[Any]) -> Iterator[Any]:
    """Yield an item, and more of them until there is a halt after one."""
    yield item
    while not halts(item) and (item := next(items, None)) is not None:
        yield item


class Extent(Sum):
    """Bounds of the rows, and how many each file has; with ``looks``, or bounds to keep within, all values are seen."""

    workers = MANY

    def __init__(self, dataset: Dataset, within: Floats | None, looks: bool, n_jobs: int | None):
        self.dataset, self.within, self.looks, self.n_jobs = dataset, within, looks, n_jobs
        self.bounds: Floats = np.array([np.full(dataset.d, np.inf), np.full(dataset.d, -np.inf)])

    def work(self, points: NDArray[Any], first: int, worker: int) -> Floats | None:
        """Return the bounds of some rows; raise if one is not finite or not where it should be."""
        if self.within is None and not self.looks:
            return None
        try:
            ends = data.bounds(points, self.n_jobs)
        except ValueError:
            self.dataset.refuse_non_finite(points, first)
            raise
        if self.within is not None and not ((ends[0] >= self.within[0]).all() and (ends[1] <= self.within[1]).all()):
            raise LooseBounds
        return ends

    def add(self, done: Floats | None) -> None:
        """Widen the bounds."""
        if done is not None:
            low, high = done
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


class Nothing(Sum):
    """What a pass sums that is made for the bounds alone."""

    workers = MANY

    def work(self, points: NDArray[Any], first: int, worker: int) -> None:
        """Do nothing."""

    def arrays(self) -> Arrays:
        """Return nothing."""
        return {}

    def go_on(self, arrays: Arrays, rows: int) -> None:
        """Do nothing."""


class Gathered(Sum):
    """Coordinates of some rows, given in ascending order."""

    workers = MANY

    def __init__(self, wanted: Ints, dataset: Dataset):
        self.wanted = wanted
        self.points = np.zeros((len(wanted), dataset.d), dataset.dtype)

    @classmethod
    def of(cls, rows: Ints, points: NDArray[Any], dataset: Dataset) -> "Gathered":
        """Return rows that are known already."""
        made = cls(rows[:0], dataset)
        made.wanted, made.points = rows, points
        return made

    def work(self, points: NDArray[Any], first: int, worker: int) -> None:
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
