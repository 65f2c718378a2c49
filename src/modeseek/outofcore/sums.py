"""What passes sum up: masses of a sketch, patches or bins, sums around places, first points of sub-cells, all rows.

Each is a loop of a fit in memory, cut at slabs: kernels and borders of chunks are the same, and so are the bits.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from modeseek.fields import Floats, Ints
from modeseek.fields.grid import sums_over_points
from modeseek.label import CellLabels
from modeseek.outofcore.guess import Guess
from modeseek.outofcore.journal import Arrays
from modeseek.outofcore.passes import Sum
from modeseek.places import Patches
from modeseek.sketch import BinCounts, DensitySketch

NO_WEIGHTS = np.empty(0)
HILLS = "hills-"  # what names of arrays of a guess begin with


class Deposit(Sum):
    """Masses of a sketch."""

    def __init__(self, sketch: DensitySketch, bounds: Floats, n_jobs: int | None):
        self.sketch, self.bounds, self.n_jobs = sketch, bounds, n_jobs
        self._make_room(0)

    def work(self, points: NDArray[Any], first: int, worker: int) -> None:
        """Deposit rows."""
        self.sketch.add_scanned(points, NO_WEIGHTS, self.bounds, self.n_jobs)

    def arrays(self) -> Arrays:
        """Return the masses."""
        return {"masses": self.sketch.masses}

    def go_on(self, arrays: Arrays, rows: int) -> None:
        """Begin from these masses."""
        self._make_room(rows)
        self.sketch.masses[:] = arrays["masses"]

    def _make_room(self, rows: int) -> None:
        """Count so many rows as if they were here already."""
        self.sketch.make_room(rows, self.bounds.shape[1], float(rows), self.bounds)


class InBins(Sum):
    """What is summed up by bins: which bins rows are in is forgotten, once their hills are noted."""

    def __init__(self, sums: Patches | BinCounts, guess: Guess):
        self.sums, self.guess, self.workers = sums, guess, sums.workers
        self._scratch = [np.empty((2, 0), np.int32)] * self.workers  # new memory takes the system as long as all else

    def work(self, points: NDArray[Any], first: int, worker: int) -> Any:
        """Add rows, and look up their hills."""
        n = len(points)
        if self._scratch[worker].shape[1] <= n:
            self._scratch[worker] = np.empty((2, n + 1), np.int32)
        bins, rows = self._scratch[worker]
        self.sums.add(points, bins[:n], first, worker)
        return self.guess.look_up(points, bins[:n], rows)

    def add(self, done: Any) -> None:
        """Note hills."""
        self.guess.add(done)

    @property
    def pause(self) -> int:
        """The row at which there is enough to guess hills from."""
        return self.guess.pause

    def at_rest(self, rows: int) -> None:
        """Guess hills."""
        self.guess.make(rows, self.sums.totals()["counts"])

    def arrays(self) -> Arrays:
        """Return the sums, and what is known of hills."""
        return {**self.sums.totals(), **{HILLS + key: array for key, array in self.guess.arrays().items()}}

    def go_on(self, arrays: Arrays, rows: int) -> None:
        """Begin from these."""
        hills = {key.removeprefix(HILLS): array for key, array in arrays.items() if key.startswith(HILLS)}
        self.sums.go_on(**{key: array for key, array in arrays.items() if not key.startswith(HILLS)})
        self.guess.go_on(hills)


class SumsAround(Sum):
    """Kernel sums around a few places, added up chunk by chunk in the order of the rows."""

    def __init__(self, places: Floats, bandwidth: float, n_jobs: int | None):
        self.places, self.bandwidth, self.n_jobs = places, bandwidth, n_jobs
        self.total = np.zeros((len(places), 10))

    def work(self, points: NDArray[Any], first: int, worker: int) -> None:
        """Add rows."""
        sums_over_points(points, NO_WEIGHTS, self.bandwidth, self.places, self.n_jobs, self.total)

    def arrays(self) -> Arrays:
        """Return the sums."""
        return {"total": self.total}

    def go_on(self, arrays: Arrays, rows: int) -> None:
        """Begin from these."""
        self.total[:] = arrays["total"]


class FirstRows(Sum):
    """The first row in each sub-cell of a table, and its point."""

    def __init__(self, table: CellLabels, d: int, dtype: np.dtype[Any], n_jobs: int | None):
        self.table, self.n_jobs = table, n_jobs
        self.owners: Ints = np.empty(0, np.int64)
        self.points: NDArray[Any] = np.empty((0, d), dtype)

    def work(self, points: NDArray[Any], first: int, worker: int) -> None:
        """Look for sub-cells that had no row so far."""
        owners, rows = self.table.first_rows(points, self.n_jobs)
        self.owners, kept = np.unique(np.concatenate([self.owners, owners]), return_index=True)
        self.points = np.concatenate([self.points, points[rows]])[kept]

    def arrays(self) -> Arrays:
        """Return sub-cells and points."""
        return {"owners": self.owners, "points": self.points}

    def go_on(self, arrays: Arrays, rows: int) -> None:
        """Begin from these."""
        self.owners, self.points = arrays["owners"], arrays["points"]


class AllRows(Sum):
    """All rows, where they are few."""

    def __init__(self, n: int, d: int, dtype: np.dtype[Any]):
        self.points = np.zeros((n, d), dtype)
        self._n = 0

    def work(self, points: NDArray[Any], first: int, worker: int) -> None:
        """Copy rows."""
        self.points[first : first + len(points)] = points
        self._n = first + len(points)

    def arrays(self) -> Arrays:
        """Return the rows so far."""
        return {"points": self.points[: self._n]}

    def go_on(self, arrays: Arrays, rows: int) -> None:
        """Begin from these."""
        self.points[: len(arrays["points"])] = arrays["points"]
        self._n = len(arrays["points"])
