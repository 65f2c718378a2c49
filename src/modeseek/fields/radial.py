r"""Any weight g, any number of columns: sums over the points within its reach, in tiles, float64.

    m(q) = sum_i w_i g(|q - x_i| / h) x_i / sum_i w_i g(|q - x_i| / h)

A compact kernel counts exactly the points within h: tiles whose boxes are farther are left out, and nothing else.
Weights of a fading kernel are left out only where they are below one rounding error of the largest; one that hardly
fades is summed over all points. A place with no point in its reach has no mean; there a step leads to the nearest
point, as it does in the limit of a kernel that fades ever faster.

Coordinates are relative to the least of each column and in units of a power of 2: no bandwidth is too small for its
square, and differences of points are those of the data to the bit.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import cKDTree

from modeseek.engines.threads import n_workers, run_chunks
from modeseek.fields import Floats, Ints
from modeseek.fields.compact import compact_groups
from modeseek.kernels import Kernel

TILE = 32
STARTS_PER_CHUNK = 64
POINTS_PER_CHUNK = 1 << 15
OVER_ALL_TILE = 512
SLACK = 1.0 + 1e-9  # of squared distances of boxes: rounding must not cost a point
TINY = 1e-13  # bandwidths: steps no longer are rounding
ROUNDING = 4.0 * np.finfo(float).eps  # of the largest coordinate: nor are these


def inverse_square(bandwidth: float) -> float:
    """Return 1 / h^2, rounded so that h^2 / h^2 is not above 1: points at distance h are within h."""
    square = bandwidth * bandwidth
    inverse = 1.0 / square
    return inverse if square * inverse <= 1.0 else float(np.nextafter(inverse, 0.0))


class RadialField:
    """Mean shift with any kernel over the points within its reach.

    Parameters
    ----------
    points : array-like of shape (n, d)
        Points.
    weights : array-like of shape (n,)
        Weights; length 0 means unit weights.
    bandwidth : float
        h: distances are divided by it.
    kernel : Kernel
        The weight g.
    """

    def __init__(self, points: ArrayLike, weights: ArrayLike, bandwidth: float, kernel: Kernel):
        x, w = np.asarray(points, np.float64), np.asarray(weights, np.float64)
        if w.size and not w.all():
            x, w = x[w > 0.0], w[w > 0.0]
        self.bandwidth, self.kernel = bandwidth, kernel
        self.unit = 2.0 ** round(math.log2(bandwidth))
        self.origin = x.min(axis=0)
        self.points = (x - self.origin) / self.unit
        self.weights = w if w.size else np.ones(len(x))
        self.inverse = inverse_square(bandwidth / self.unit)
        self.reach2 = kernel.support**2 * SLACK
        self.tiny = max(TINY * bandwidth / self.unit, ROUNDING * float(self.points.max()))

    def shift(self, queries: Floats, n_jobs: int | None = None) -> tuple[Floats, Floats]:
        """Return the mean around each query, and the sum of the weights there: 0, and the nearest point, far away."""
        q = self._scaled(queries)
        steps, totals = self._sums(q, n_jobs)
        near = totals > 0.0
        means = q.copy()
        means[near] += steps[near] / totals[near, None]
        means[~near] = self._nearest(q[~near])
        return means * self.unit + self.origin, totals

    def climb(self, starts: Floats, *, tol: float, max_iter: int, n_jobs: int | None = None) -> tuple[Floats, Ints]:
        """Climb every start to rest; a start with nothing in reach first goes to the nearest point."""
        x = self._scaled(starts)
        steps = np.zeros(len(x), np.int64)
        tol *= self.bandwidth / self.unit
        self._climb(x, steps, tol, max_iter, n_jobs)
        lost = np.flatnonzero(steps == 0)
        if lost.size and max_iter > 0:
            landed, more = self._nearest(x[lost]), np.zeros(len(lost), np.int64)
            if max_iter > 1:
                self._climb(landed, more, tol, max_iter - 1, n_jobs)
            x[lost], steps[lost] = landed, np.where(more > 0, more + 1, more - 1)
        return x * self.unit + self.origin, steps

    def _scaled(self, queries: Floats) -> Floats:
        return np.ascontiguousarray((np.asarray(queries, np.float64) - self.origin) / self.unit)

    def _nearest(self, q: Floats) -> Floats:
        return self.points[cKDTree(self.points).query(q)[1]] if len(q) else q

    def _sums(self, q: Floats, n_jobs: int | None) -> tuple[Floats, Floats]:
        """Return sum_i w_i g (x_i - q), (m, d), and sum_i w_i g, (m,)."""
        raise NotImplementedError

    def _climb(self, x: Floats, steps: Ints, tol: float, max_iter: int, n_jobs: int | None) -> None:
        """Climb in place; steps are 0 where nothing is in reach of the start."""
        raise NotImplementedError


class TiledRadialField(RadialField):
    """The same in compiled loops over compact tiles."""

    def __init__(self, points: ArrayLike, weights: ArrayLike, bandwidth: float, kernel: Kernel):
        super().__init__(points, weights, bandwidth, kernel)
        order, _ = compact_groups(self.points)
        self.tiles = Tiles(self.points[order], self.weights[order], TILE)

    def _sums(self, q: Floats, n_jobs: int | None) -> tuple[Floats, Floats]:
        steps, totals = np.empty_like(q), np.empty(len(q))
        loop = compiled(self.kernel).sums

        def work(_: int, start: int, stop: int) -> None:
            rows = slice(start, stop)
            loop(*self.tiles.arrays, self.inverse, self.reach2, q[rows], np.empty(TILE), steps[rows], totals[rows])

        run_chunks(len(q), work, n_jobs, STARTS_PER_CHUNK)
        return steps, totals

    def _climb(self, x: Floats, steps: Ints, tol: float, max_iter: int, n_jobs: int | None) -> None:
        loop = compiled(self.kernel).climb

        def work(_: int, start: int, stop: int) -> None:
            rows = slice(start, stop)
            loop(
                *self.tiles.arrays, self.inverse, self.reach2, tol, self.tiny, max_iter,
                x[rows], np.empty(TILE), np.empty(x.shape[1]), steps[rows],
            )  # fmt: skip

        run_chunks(len(x), work, n_jobs, STARTS_PER_CHUNK)


class Tiles:
    """Points in tiles of a fixed size, filled up with points of weight 0, and boxes of the tiles and of FAN of them.

    Parameters
    ----------
    points : ndarray of shape (n, d)
        Points, in an order that keeps consecutive ones together.
    weights : ndarray of shape (n,)
        Their weights.
    size : int
        Points to a tile.
    """

    def __init__(self, points: Floats, weights: Floats, size: int):
        from modeseek.engines.cpu.radial import FAN

        n, d = points.shape
        count = -(-n // size)
        full = np.concatenate([points, np.broadcast_to(points[-1], (count * size - n, d))])
        w = np.zeros(count * size)
        w[:n] = weights
        tiles = np.ascontiguousarray(full.reshape(count, size, d).transpose(0, 2, 1))
        low, high = tiles.min(axis=2), tiles.max(axis=2)
        outer = np.arange(0, count, FAN)
        self.arrays = (
            tiles, w.reshape(count, size), low, high,
            np.minimum.reduceat(low, outer), np.maximum.reduceat(high, outer),
        )  # fmt: skip


def compiled(kernel: Kernel) -> Any:
    """Return the loops of a kernel."""
    from modeseek.engines.cpu.radial import loops, loops_of

    return loops(kernel.name) if kernel.function is None else loops_of(kernel.function)


def shift_over_all(
    points: NDArray[Any], weights: Floats, bandwidth: float, kernel: Kernel, queries: Floats, n_jobs: int | None = None
) -> Floats:
    """Return the mean around each query over all points as they lie in memory; with nothing in reach, the query."""
    origin, unit = np.asarray(queries, np.float64).mean(axis=0), 2.0 ** round(math.log2(bandwidth))
    q = (queries - origin) / unit
    arguments = inverse_square(bandwidth / unit), kernel.support**2 * SLACK, q
    loop = compiled(kernel).sums
    parts: dict[int, tuple[Floats, Floats]] = {}
    scratch = np.empty((n_workers(len(points), n_jobs, POINTS_PER_CHUNK), OVER_ALL_TILE))

    def work(worker: int, start: int, stop: int) -> None:
        w = weights[start:stop] if weights.size else np.ones(stop - start)
        tiles = Tiles((points[start:stop] - origin) / unit, w, OVER_ALL_TILE)
        parts[start] = np.empty_like(q), np.empty(len(q))
        loop(*tiles.arrays, *arguments, scratch[worker], *parts[start])

    run_chunks(len(points), work, n_jobs, POINTS_PER_CHUNK)
    steps, totals = np.zeros_like(q), np.zeros(len(q))
    for start in sorted(parts):
        steps += parts[start][0]
        totals += parts[start][1]
    near = totals > 0.0
    steps[near] /= totals[near, None]
    return queries + np.where(near[:, None], steps, 0.0) * unit
