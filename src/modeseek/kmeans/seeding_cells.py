r"""Squared distances from the closest seed, for very many points in up to three columns, on sorted cells.

A candidate can be closer than the seeds so far to a point of a cell only if it is closer to the cell's box than the
largest D_i of the cell: other cells are not looked at. After c seeds that leaves about a c-th of the points, so that k
seeds cost about n log k distances for each trial instead of n k. Distances are also kept row by row: draws go through
the rows in the order of the user, as they do without cells, and find the same seeds.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from modeseek.engines.threads import n_workers, run_chunks
from modeseek.kmeans.cells import CELLS_AT_ONCE, Places
from modeseek.kmeans.nearest import Floats, chunk_rows

Ints = NDArray[np.int64]


class ClosestOnCells:
    """Squared distances from the closest seed, sorted and by rows: 16 bytes a point, beside its place."""

    def __init__(self, places: Places, weights: Floats, k: int, n_jobs: int | None):
        from modeseek.engines.cpu import seeding

        self.places, self.weights, self.n_jobs, self.kernels = places, weights, n_jobs, seeding
        self.x, self.sorted_weights = places.cells[0], places.cells[1]
        d, n = self.x.shape
        self.near, self.closest = np.full(n, np.inf), np.full(n, np.inf)
        self.tops = np.full(places.n, np.inf)
        self.low, self.high = np.empty((d, places.n)), np.empty((d, places.n))
        self.chunk = chunk_rows(n, k)
        self.totals = np.zeros(-(-n // self.chunk))
        self.bounds = np.empty((n_workers(places.n, n_jobs, CELLS_AT_ONCE), seeding.BLOCK))
        run_chunks(
            places.n,
            lambda _, first, last: seeding.boxes(self.x, places.starts, first, last, self.low, self.high),
            n_jobs,
            CELLS_AT_ONCE,
        )

    def add(self, seed: NDArray[Any]) -> float:
        """Take in one more seed; return the weighted sum."""
        candidate, places = seed.astype(np.float64), self.places

        def take_in(worker: int, first: int, last: int) -> None:
            self.kernels.take_into_cells(
                self.x, places.order, places.starts, self.low, self.high, self.near, self.tops, candidate,
                first, last, self.bounds[worker], self.closest,
            )  # fmt: skip

        def add_up(_: int, start: int, stop: int) -> None:
            self.totals[start // self.chunk] = self.kernels.weighted_sum(self.weights, self.closest, start, stop)

        run_chunks(places.n, take_in, self.n_jobs, CELLS_AT_ONCE)
        run_chunks(len(self.closest), add_up, self.n_jobs, self.chunk)
        return float(self.totals.sum())

    def potentials(self, candidates: NDArray[Any]) -> Floats:
        """Return what the sum would be with each candidate."""
        c, places = candidates.astype(np.float64), self.places
        found = np.zeros((-(-places.n // CELLS_AT_ONCE), len(c)))

        def work(worker: int, first: int, last: int) -> None:
            self.kernels.gains_of_cells(
                self.x, self.sorted_weights, places.starts, self.low, self.high, self.near, self.tops, c,
                first, last, self.bounds[worker], found[first // CELLS_AT_ONCE],
            )  # fmt: skip

        run_chunks(places.n, work, self.n_jobs, CELLS_AT_ONCE)
        return np.asarray(self.totals.sum() - found.sum(axis=0))

    def rows_at(self, values: Floats) -> Ints:
        """Return the rows at which the running sum reaches values: first the chunk, then the row in it."""
        rows = np.empty(len(values), np.int64)
        self.kernels.rows_at(values, np.cumsum(self.totals), self.weights, self.closest, self.chunk, rows)
        return rows
