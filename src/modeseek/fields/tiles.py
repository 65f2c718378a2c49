r"""The tile field: points in compact tiles, sums over the tiles within reach, float64, d <= 3.

As the grid field, but laid out for points that all move at once: a tile of queries looks up its neighbours together,
and nothing needs to be sorted again while the points move, for a mean-shift step never tears a tile apart. Weights
beyond ``reach`` are left out; a caller chooses it so that all of them together are negligible beside the weight of
one point (`reach_for`).
"""

import math

import numpy as np
from numpy.typing import NDArray

from modeseek.engines.threads import n_workers, run_chunks
from modeseek.fields import Floats, Ints
from modeseek.fields.dense import DenseField

TILE = 32
LEFT_OUT = 1e-8  # of the lightest point: what all weights beyond reach may add up to
LOST = 1e6  # times that: where a query finds no more than this, it is summed over all points
SAMPLE = 64, 1024  # rows on either side of the pairs that an estimate looks at
NARROW = 1e-3  # bandwidths: the points of a tile no wider than this pull as one, at their mean
PAIRS_PER_CHUNK = 1 << 22  # of points and queries: fewer are not worth a thread


def reach_for(weights: Floats) -> float:
    """Return the reach in bandwidths beyond which all mass weighs at most LEFT_OUT of the lightest point."""
    return math.sqrt(2.0 * math.log(float(weights.sum()) / float(weights.min()) / LEFT_OUT))


def compact_order(x: Floats) -> Ints:
    """Return an order of the rows that makes tiles compact: halves along the longest side (Bentley 1975)."""
    from modeseek.engines.cpu import tiles

    order = np.arange(len(x))
    tiles.compact_order(x, TILE, order, np.empty((64, 2), np.int64))
    return order


def pairs_within(x: Floats, distance: float) -> float:
    """Estimate how many ordered pairs of rows are within a distance, from a sample of both (the same every time)."""
    few, many = (x[:: -(-len(x) // size)] for size in SAMPLE)
    squares = np.zeros((len(few), len(many)))
    for a, b in zip(few.T, many.T, strict=True):
        squares += np.square(np.subtract.outer(a, b))
    return float((squares <= distance * distance).mean()) * float(len(x)) ** 2


class TileField:
    """Mean shift over the points within reach, for points that move.

    Parameters
    ----------
    points : ndarray of shape (n, d), d <= 3
        Points, in an order that keeps consecutive ones together (`compact_order`).
    weights : ndarray of shape (n,)
        Weights above 0.
    bandwidth : float
        Standard deviation of the Gaussian.
    """

    def __init__(self, points: Floats, weights: Floats, bandwidth: float):
        self.points, self.weights, self.bandwidth = points, weights, bandwidth
        reach = reach_for(weights)
        self.scale, self.cut = 0.5 / bandwidth**2, 0.5 * reach * reach

    def advance(self, n_jobs: int | None = None) -> Floats:
        """Return where each point moves in one step."""
        tiles = _Tiles(self.points)
        sources, weights = tiles.summed_up(self.weights, NARROW * self.bandwidth)
        return self._moved(self.points, sources, weights, tiles, n_jobs)[0]

    def carry(self, queries: Floats, n_jobs: int | None = None) -> Floats:
        """Return where other points move in one step."""
        out, density = self.means(queries, n_jobs)
        lost = density == 0.0
        if lost.any():
            out[lost] = DenseField(self.points, self.weights, self.bandwidth).carry(queries[lost], n_jobs)
        return out

    def means(self, queries: Floats, n_jobs: int | None = None) -> tuple[Floats, Floats]:
        """Return where queries move, and the density there: 0, and no move, where the points are out of reach."""
        order = compact_order(queries)
        ordered = queries[order]
        sources, weights = _Tiles(self.points).summed_up(self.weights, NARROW * self.bandwidth)
        ends, density = self._moved(ordered, sources, weights, _Tiles(ordered), n_jobs)
        lost = density <= LOST * LEFT_OUT * self.weights.min()
        out, densities = np.empty_like(ends), np.empty(len(ends))
        out[order] = np.where(lost[:, None], ordered, ends)
        densities[order] = np.where(lost, 0.0, density)
        return out, densities

    def _moved(
        self, queries: Floats, sources: "_Tiles", weights: Floats, targets: "_Tiles", n_jobs: int | None
    ) -> tuple[Floats, Floats]:
        from modeseek.engines.cpu import tiles

        sums, flat = np.empty((len(queries), 4)), queries.shape[1] < 3
        n_tiles = len(targets.low)
        chunk = max(1, PAIRS_PER_CHUNK // (TILE * len(weights)))
        runs = np.empty((n_workers(n_tiles, n_jobs, chunk), 2 * len(sources.low)), np.int64)

        def work(worker: int, first: int, end: int) -> None:
            tiles.sums(
                *sources.columns, weights, flat, sources.low, sources.high, TILE, self.scale, self.cut,
                *targets.columns, targets.low, targets.high, first, end, runs[worker], sums,
            )  # fmt: skip

        run_chunks(n_tiles, work, n_jobs, chunk)
        density = sums[:, 0]
        step = sums[:, 4 - queries.shape[1] :] / np.where(density > 0.0, density, 1.0)[:, None]
        return queries + step, density


class _Tiles:
    """Points as three columns, and the boxes of their tiles."""

    def __init__(self, points: Floats):
        from modeseek.engines.cpu import tiles

        n, d = points.shape
        self.columns = np.zeros((3, n))
        self.columns[3 - d :] = points.T
        self.low, self.high = np.empty((2, -(-n // TILE), 3))
        tiles.boxes(*self.columns, TILE, self.low, self.high)

    def summed_up(self, weights: Floats, width: float) -> tuple["_Tiles", Floats]:
        """Return tiles in which the means of narrow tiles stand for their points, and the weights.

        With u the offsets from the mean, a weight at distance r changes by the factor 1 + O(r^2 |u|^2 / h^4), and the
        terms of first order cancel: a tile as wide as NARROW errs by about 1e-6 h where it matters most.
        """
        narrow = (self.high - self.low).max(axis=1) <= width
        if not narrow.any():
            return self, weights
        starts = np.arange(len(narrow)) * TILE
        total = np.add.reduceat(weights, starts)
        offsets = self.columns - np.repeat(self.low.T, TILE, axis=1)[:, : len(weights)]  # small: sums do not cancel
        means = self.low.T + np.add.reduceat(weights * offsets, starts, axis=1) / total
        wide = np.repeat(~narrow, TILE)[: len(weights)]
        points = np.concatenate([self.columns[:, wide], means[:, narrow]], axis=1)
        return _Tiles(points.T), np.concatenate([weights[wide], total[narrow]])


def sweep_tiles(points: Floats, weights: Floats, place: NDArray[np.int64], batch: int, bandwidth: float) -> Floats:
    """Move points once, batch after batch in the order of ``place``, each seeing where those before it have gone.

    Parameters
    ----------
    points, weights, bandwidth
        As for `TileField`.
    place : ndarray of shape (n_rows,)
        Row of ``points`` that each row of the data is, -1 for none.
    batch : int
        Rows of the data in a batch.

    Returns
    -------
    ndarray of shape (n, d)
        The moved points.
    """
    from modeseek.engines.cpu import tiles

    found, flat = _Tiles(points), points.shape[1] < 3
    scale, cut = 0.5 / bandwidth**2, 0.5 * reach_for(weights) ** 2
    runs, sums, moved = np.empty(2 * len(found.low), np.int64), np.empty(4), np.empty((min(batch, len(place)), 3))
    at_once = max(1, PAIRS_PER_CHUNK // (batch * len(points))) * batch  # an interrupt waits for so many rows
    for first in range(0, len(place), at_once):
        tiles.sweep(
            *found.columns, weights, flat, found.low, found.high, TILE, scale, cut,
            place, batch, first, min(first + at_once, len(place)), runs, sums, moved,
        )  # fmt: skip
    return np.ascontiguousarray(found.columns[3 - points.shape[1] :].T)
