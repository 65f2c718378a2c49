r"""Clusters of very many points in up to three columns, by cells that most rounds only look at as a whole.

Points are sorted once, by the cells of a grid; cells know their box and their moments. Then a round costs as much as
one over the cells, and over those points whose cells straddle a border between clusters (``engines.cpu.voronoi``). Sums
are made anew every round, cells in order: nothing drifts.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from modeseek.engines import data
from modeseek.engines.threads import n_workers, run_chunks
from modeseek.kmeans.nearest import Floats, Points, pack, unit_of

POINTS_PER_CELL = 16
MOST_CELLS = 1 << 16
FEWEST_POINTS = 1 << 11  # sorting fewer is no gain
MOST_COLUMNS = 3
CROWDED = 32.0  # times as many points in the cell of a point as in even cells: the grid is too coarse where points are
BUCKETS_AT_ONCE = 16
PIECES = 8  # of the points, when sorting
CELLS_AT_ONCE = 1 << 12  # a multiple of a tile's


class CellClusters:
    """Labels and sums of the clusters, on cells; beside the points, a sorted copy of them and 20 bytes a point."""

    def __init__(self, points: Points, k: int, places: "Places"):
        from modeseek.engines.cpu import voronoi

        self.points, self.k, self.kernels, self.places = points, k, voronoi, places
        n, d = points.x.shape
        self.owners = np.full(places.n, -1, np.int32)
        self.inner = np.full(n, -1, np.int32)
        lanes, most = voronoi.LANES, places.most
        self.work = [
            (
                np.empty(5 * lanes, np.float32),
                np.empty(lanes, np.uint8),
                np.empty(k),
                np.empty(d),
                np.empty(k, np.int64),
                np.empty(2 * most),
                np.empty(most, np.int32),
            )
            for _ in range(n_workers(places.n, points.n_jobs, CELLS_AT_ONCE))
        ]
        pieces = -(-places.n // CELLS_AT_ONCE)
        self.pieces = np.zeros((pieces, k, d)), np.zeros((pieces, k)), np.zeros((pieces, k), np.int64)

    def assign(self, centres: Floats) -> int:
        """Label cells and points by the nearest centre and add them up; return how many labels changed."""
        return self._assign(centres, (self.points.base, centres), 0.0)

    def settle(self, centres: Floats) -> None:
        """Label points once more, by centres in the coordinates of the user."""
        base = self.points.base
        rounding = 0.0
        if base.any():
            largest = max(float(np.abs(self.places.ends).max()), float(np.abs(centres).max()))
            rounding = 8.0 * np.finfo(float).eps * largest * np.sqrt(len(base))
        self._assign(centres - base, (np.zeros_like(base), centres), rounding)

    @property
    def labels(self) -> NDArray[np.int32]:
        """The label of each row."""
        out = np.empty(len(self.inner), np.int32)

        def work(_: int, first: int, last: int) -> None:
            self.kernels.hand_out(self.places.starts, self.places.order, self.owners, self.inner, first, last, out)

        run_chunks(self.places.n, work, self.points.n_jobs, CELLS_AT_ONCE)
        return out

    def _assign(self, centres: Floats, exact: tuple[Floats, Floats], rounding: float) -> int:
        places, points = self.places, self.points
        frame = points.base, points.origin, places.unit
        layout = pack(centres, points.origin, places.unit, places.width)
        columns = np.ascontiguousarray(centres.T)
        between = np.sqrt(sum(np.square(column[:, None] - column) for column in columns))
        changed = np.zeros(len(self.pieces[0]), np.int64)
        state = self.owners, self.inner

        def work(worker: int, first: int, last: int) -> None:
            piece = first // CELLS_AT_ONCE
            out = tuple(pieces[piece] for pieces in self.pieces)
            for values in out:
                values.fill(0)
            changed[piece] = self.kernels.assign_cells(
                places.cells, frame, layout, columns, between, exact, rounding, first, last,
                self.work[worker], state, out,
            )  # fmt: skip

        run_chunks(places.n, work, points.n_jobs, CELLS_AT_ONCE)
        self.sums, self.masses, self.counts = (pieces.sum(axis=0) for pieces in self.pieces)
        return int(changed.sum())


class Places:
    """Points sorted by the cells of a grid, and what is known of each occupied cell. See `places_of`."""

    def __init__(self, points: Points, sizes: NDArray[np.int64], ends: Floats):
        from modeseek.engines.cpu import lloyd, voronoi

        self.ends = ends
        n, d = points.x.shape
        n_cells = int(sizes.prod())
        span = ends[1] - ends[0]
        scale = np.where(span > 0.0, sizes / np.where(span > 0.0, span, 1.0), 0.0)
        grid = ends[0], scale, sizes
        buckets, chunk = -(-n_cells // (1 << voronoi.BUCKET)), -(-n // PIECES)
        counts = np.zeros((PIECES, buckets), np.int64)
        run_chunks(
            n,
            lambda _, start, stop: voronoi.count_buckets(points.x, *grid, start, stop, counts[start // chunk]),
            points.n_jobs,
            chunk,
        )
        edges = np.append(0, np.cumsum(counts.sum(axis=0)))
        places = edges[:-1] + np.cumsum(counts, axis=0) - counts
        bucketed = np.empty(n, np.int32), np.empty_like(points.x), np.empty_like(points.weights)
        run_chunks(
            n,
            lambda _, start, stop: voronoi.to_buckets(
                points.x, points.weights, *grid, start, stop, places[start // chunk], *bucketed
            ),
            points.n_jobs,
            chunk,
        )
        starts = np.empty(n_cells + 1, np.int64)
        starts[-1] = n
        self.order, x, w = np.empty(n, np.int32), np.empty((d, n), points.x.dtype), np.empty_like(points.weights)

        def sort(_: int, start: int, stop: int) -> None:
            for b in range(start, stop):
                voronoi.sort_bucket(
                    bucketed, *grid, edges[b], edges[b + 1], b << voronoi.BUCKET, starts, (self.order, x, w)
                )

        run_chunks(buckets, sort, points.n_jobs, BUCKETS_AT_ONCE)
        held = np.diff(starts)
        seen = float(np.square(held.astype(np.float64)).sum()) / n  # points in the cell of a point, on average
        self.crowded = seen > CROWDED * max(n / n_cells, 1.0)
        if self.crowded:
            return
        self.starts = np.append(starts[:-1][held > 0], n).astype(np.int32)
        self.n, self.most = len(self.starts) - 1, int(held.max())
        self.width = lloyd.padded(d)
        self.unit = unit_of(ends - points.base - points.origin)
        tiles = -(-self.n // lloyd.LANES)
        self.cells: tuple[Any, ...] = (
            x,
            w,
            self.starts,
            np.zeros((tiles, self.width * lloyd.LANES), np.float32),
            np.zeros(tiles * lloyd.LANES),
            np.zeros(tiles * lloyd.LANES),
            np.empty((self.n, d)),
            np.empty(self.n),
            np.empty(self.n, np.int64),
        )

        def work(_: int, first: int, last: int) -> None:
            voronoi.describe(points.base, points.origin, self.unit, first, last, self.cells)

        run_chunks(self.n, work, points.n_jobs, CELLS_AT_ONCE)


def places_of(points: Points) -> Places | None:
    """Sort points by cells of about equal sides, or return None where that would not pay.

    That is where points are few, have more than three columns, or lie so unevenly that most share a few cells.
    """
    n, d = points.x.shape
    if n < FEWEST_POINTS or n >= 1 << 31 or d > MOST_COLUMNS:
        return None
    ends = data.bounds(points.x, points.n_jobs)
    span = ends[1] - ends[0]
    wide = span > 0.0
    if not wide.any():
        return None
    wanted = min(MOST_CELLS, n // POINTS_PER_CELL)
    sizes = np.ones(d, np.int64)
    side = float(np.exp((np.log(span[wide]).sum() - np.log(wanted)) / wide.sum()))
    sizes[wide] = np.clip(np.round(span[wide] / side), 1, wanted)
    if sizes.prod() > 2 * MOST_CELLS:  # one axis is far longer than others
        sizes = np.where(span == span.max(), wanted, 1)
        if sizes.prod() > 2 * MOST_CELLS:
            return None
    places = Places(points, sizes, ends)
    return None if places.crowded else places
