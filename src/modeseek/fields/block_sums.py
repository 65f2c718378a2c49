r"""Sums over blocks of points within reach, for tiles of queries; any dimension.

Points and queries are grouped as the leaves of a kd-tree. A tile of queries meets the blocks within REACH, so that
only weights below one rounding error of the weight at distance zero are left out. All lengths inside are in
bandwidths and about the mean of the points.
"""

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike, NDArray

from modeseek.engines.threads import n_workers, run_chunks, single_threaded_blas
from modeseek.fields import REACH, Floats, Ints, log_normaliser
from modeseek.fields.compact import LEAF, ROWS_AT_ONCE, compact_groups, extents
from modeseek.fields.dense import DenseField
from modeseek.fields.logs import TRUSTED

WIDEST = 128.0  # bandwidths: a wider tile of queries would lose digits about its middle
FAINT = 1e-6  # of all weight: a lower density may hang on points out of reach


class BlockSums:
    """Points in compact blocks, and kernel sums over them.

    Parameters
    ----------
    points : array-like of shape (n, d)
        Points.
    weights : array-like of shape (n,)
        Weights; length 0 means unit weights. Points of weight 0 are dropped.
    bandwidth : float
        Standard deviation h of the Gaussian.
    """

    def __init__(self, points: ArrayLike, weights: ArrayLike, bandwidth: float):
        x = np.asarray(points, np.float64)
        w = np.asarray(weights, np.float64) if np.size(weights) else np.ones(len(x))
        if not w.all():
            x, w = x[w > 0.0], w[w > 0.0]
        self.bandwidth = bandwidth
        self.centre = x.mean(axis=0)
        x = self._scaled(x)
        order, self.starts = compact_groups(x)
        self.points, self.weights = x[order], w[order]
        self.heaviest = float(w.max())
        self.weights /= self.heaviest  # so that float32 holds them
        self.total, self.lightest = float(self.weights.sum()), float(self.weights.min())
        self.block_weights = np.add.reduceat(self.weights, self.starts[:-1])
        self.lower, self.upper, self.middles, self.radii = extents(self.points, self.starts)
        self.n_pairs = 0

    def shift(self, queries: Floats, n_jobs: int | None = None) -> tuple[Floats, Floats]:
        """Return the mean and the unnormalised density at each query."""
        q = self._scaled(queries)
        if not len(q):
            return q, np.empty(0)
        order, tiles = compact_groups(q, WIDEST)
        out = np.empty((len(q), 4 + q.shape[1]))
        with single_threaded_blas():
            out[order] = self._step(q[order], tiles, np.float64, n_jobs)
        return out[:, 4:] * self.bandwidth + self.centre, out[:, 0] * self.heaviest

    def log_density(self, queries: Floats, n_jobs: int | None = None) -> Floats:
        """Return the log of the normalised density at each query; far from the points, over all of them."""
        out, queries = np.full(len(queries), -np.inf), np.asarray(queries, np.float64)
        with np.errstate(over="ignore"):
            q = self._scaled(queries)
        low, high = self.lower.min(axis=0) - REACH, self.upper.max(axis=0) + REACH
        near = np.flatnonzero(((q > low) & (q < high)).all(axis=1))
        with np.errstate(divide="ignore"):
            out[near] = np.log(self.shift(queries[near], n_jobs)[1])
        faint = np.flatnonzero(~(out > math.log(TRUSTED * self.total * self.heaviest)))
        out -= log_normaliser(self.total * self.heaviest, self.points.shape[1], self.bandwidth)
        if faint.size:
            rest = DenseField(self.points, self.weights, 1.0).log_density(q[faint], n_jobs)
            out[faint] = rest - self.points.shape[1] * math.log(self.bandwidth)
        return out

    def _scaled(self, x: Floats) -> Floats:
        x = np.asarray(x, np.float64) - self.centre
        x /= self.bandwidth
        return x

    def _step(self, x: Floats, tiles: Ints, dtype: type, n_jobs: int | None) -> Floats:
        """Return the rows of `tile_sums` for the tiles of x; in float64, over all points where too few are near."""
        from modeseek.engines.cpu.block_tiles import tile_sums, work_size

        d = x.shape[1]
        out = np.empty((len(x), 4 + d))
        pairs = np.zeros(len(tiles) - 1, np.int64)
        size = work_size(LEAF, d)
        scratch = [
            (np.empty(len(self.radii), np.int64), np.empty((3, d)), np.empty(size, dtype))
            for _ in range(n_workers(len(pairs), n_jobs, 1))
        ]

        def work(worker: int, tile: int, _: int) -> None:
            rows = slice(tiles[tile], tiles[tile + 1])
            pairs[tile] = tile_sums(
                self.points, self.weights, self.starts, self.lower, self.upper, self.middles, self.radii, REACH,
                x[rows], *scratch[worker], out[rows],
            )  # fmt: skip

        run_chunks(len(pairs), work, n_jobs, 1)
        self.n_pairs += int(pairs.sum())
        if dtype is np.float64:
            faint = np.flatnonzero(out[:, 0] < min(FAINT * self.total, 0.5 * self.lightest))
            if faint.size:
                out[faint, 4:], out[faint, 0] = DenseField(self.points, self.weights, 1.0).shift(x[faint])
                self.n_pairs += len(faint) * len(self.points)
        return out

    def pairs_left(self, reach: float, sample: int) -> tuple[float, float]:
        """Estimate from some blocks how many of the n^2 pairs of points are left in tiles, and how many in reach."""
        chosen = np.unique(np.linspace(0, len(self.radii) - 1, sample).astype(np.int64))
        sizes = np.diff(self.starts)
        in_tiles = in_reach = 0.0
        for b in chosen:
            gap = np.maximum(np.maximum(self.lower - self.upper[b], self.lower[b] - self.upper), 0.0)
            near = np.square(gap).sum(axis=1) <= reach * reach
            in_tiles += float(sizes[near].sum())
            for offsets, _ in self._around(self.points[self.starts[b]]):
                in_reach += float((np.einsum("ij,ij->i", offsets, offsets) <= reach * reach).sum())
        per_point = len(self.points) / len(chosen)
        return in_tiles * per_point, in_reach * per_point

    def _near(self, z: Floats) -> NDArray[np.bool_]:
        """Tell which blocks may hold points within reach of z."""
        gap = np.maximum(np.maximum(self.lower - z, z - self.upper), 0.0)
        return np.square(gap).sum(axis=1) <= REACH * REACH

    def _rows_near(self, z: Floats) -> Ints:
        """Return the rows of the points in blocks within reach of z."""
        return np.flatnonzero(np.repeat(self._near(z), np.diff(self.starts)))

    def _around(self, z: Floats) -> Iterator[tuple[Floats, Floats]]:
        """Yield offsets and own weights of the points in blocks within reach of z, a few rows at a time."""
        rows = self._rows_near(z)
        for start in range(0, len(rows), ROWS_AT_ONCE):
            part = rows[start : start + ROWS_AT_ONCE]
            offsets = self.points[part]
            offsets -= z
            yield offsets, self.weights[part]

    def _beyond(self, z: Floats) -> float:
        """Return the own weight of all points in other blocks."""
        return float(self.block_weights[~self._near(z)].sum())

    def _moments(self, z: Floats) -> tuple[Floats, Floats] | None:
        """Return the weighted means of offsets from z and of their products; None where nothing is near enough."""
        total, s, squares = 0.0, np.zeros_like(z), np.zeros((len(z), len(z)))
        for offsets, own in self._around(z):
            weights = own * np.exp(-0.5 * np.einsum("ij,ij->i", offsets, offsets))
            total += float(weights.sum())
            s += weights @ offsets
            offsets *= np.sqrt(weights)[:, None]
            squares += offsets.T @ offsets
        if total < min(FAINT * self.total, 0.5 * self.lightest):
            return None  # no mode is so faint
        return s / total, squares / total

    def _hessian(self, z: Floats) -> tuple[Floats, Floats]:
        """Return m(z) - z and I - J, the negative Hessian of log f times h^2; -I where nothing is near enough."""
        moments = self._moments(z)
        if moments is None:
            return np.zeros_like(z), -np.eye(len(z))
        s, products = moments
        return s, np.eye(len(z)) - products + np.outer(s, s)
