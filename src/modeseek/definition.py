r"""Mean shift by its definition over all raw points, quick enough to check a sample with.

    x <- m(x) = sum_i w_i e^{-s_i} x_i / sum_i w_i e^{-s_i},      s_i = |x - x_i|^2 / 2h^2,      in float64.

The sums leave out only points that together weigh less than 1e-12 of the lightest point. Where there are many
points in one or two columns, steps are made on `modeseek.expansions` of the same sums, exact to rounding, and
checked against the plain sums at some of the starts.

This module shares no code with the fields that a fit sums and climbs on: it is there to check them.
"""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from modeseek.engines.threads import run_chunks
from modeseek.expansions import MAX_CELLS, SIDE, Expansions

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

LEFT_OUT = 1e-12  # of the lightest point: the most that everything beyond the reach weighs
FARTHEST = 128.0**0.5  # bandwidths beyond which compiled weights are 0
NUMPY_POINTS = 512  # below, compiling costs more than it saves
CELLS_PER_REACH = 6
MAX_CELLS_PER_AXIS = 1 << 20
QUERIES_PER_CHUNK = 16
COLUMNS_AT_ONCE = 1 << 14
PAIRS_PER_CELL = 20_000  # starts x points that cost as much as expanding one cell
CHECKED = 32  # starts at which expansions are compared with plain sums
AGREE = 1e-9  # bandwidths by which a step may differ


class Definition:
    """Weights, means and covariances over all points; positions are in bandwidths about the middle of the data.

    Parameters
    ----------
    points : array of shape (n, d)
        Points.
    weights : array-like of shape (n,)
        Weights, at least 0; length 0 means unit weights.
    bandwidth : float
        Standard deviation of the Gaussian.
    n_jobs : int, optional
        Threads.
    """

    def __init__(self, points: NDArray[Any], weights: ArrayLike, bandwidth: float, n_jobs: int | None = None):
        w = np.asarray(weights, np.float64)
        if w.size and not (w > 0.0).all():
            points, w = points[w > 0.0], w[w > 0.0]
        n, self.d = points.shape
        self.bandwidth, self.n_jobs = bandwidth, n_jobs
        self.middle = (points.min(axis=0).astype(np.float64) + points.max(axis=0)) / 2
        self.pad = max(0, 3 - self.d)  # up to three columns: columns of zeros in front
        self.columns = np.zeros((self.pad + self.d, n))
        for k in range(self.d):
            self.columns[self.pad + k] = (points[:, k] - self.middle[k]) / bandwidth
        self.weights = w if w.size else np.ones(n)
        # the spacing of float64 at the farthest coordinate: positions are no finer
        self.finest = max(1e-12, 4.0 * float(np.spacing(np.abs(self.columns).max())))
        self.total, self.lightest = float(self.weights.sum()), float(self.weights.min())
        self.reach = min(FARTHEST, float(np.sqrt(2.0 * np.log(max(2.0, self.total / (LEFT_OUT * self.lightest))))))
        self.expansions: Expansions | None = None
        self._sort()

    def expand(self, starts: Floats) -> None:
        """Prepare quick steps for climbs from the rows of ``starts``, where that pays."""
        n = len(self.weights)
        if self.expansions is not None or self.d > 2 or n <= NUMPY_POINTS:
            return
        columns = self.columns[1:]
        extent = np.ptp(columns, axis=1) / SIDE
        # a column of zeros lies in the middle of its cell: on the edge, rounding would take steps out of it
        lower = np.where(extent > 0.0, self.lower[1:], self.lower[1:] - 0.5 * SIDE)
        if np.prod(extent + 1.0) > min(MAX_CELLS, n * len(starts) / PAIRS_PER_CELL):
            return
        dims = extent.astype(np.int64) + 1
        cells = ((columns - lower[:, None]) / SIDE).astype(np.int64)
        keys = cells[0] * dims[1] + cells[1]
        order = np.argsort(keys, kind="stable")
        runs = np.searchsorted(keys[order], np.arange(dims.prod() + 1))
        made = Expansions(
            columns[:, order], self.weights[order], runs, lower, (int(dims[0]), int(dims[1])), self.reach, self.n_jobs
        )
        some = starts[:: -(-len(starts) // CHECKED)]
        quick, _ = made.steps(some[:, 1:].copy(), 1, self.least)
        plain = self.shift(some)[:, 1:]
        if np.nanmax(np.abs(quick - plain), initial=0.0) <= AGREE:
            self.expansions = made

    @property
    def least(self) -> float:
        """Density below which sums are not trusted: at a start without weight of its own, far from the others."""
        return 1e-3 * self.lightest

    def _sort(self) -> None:
        """Sort points by cell, the last axis fastest, where not everything is within reach anyway."""
        self.lower, extent = self.columns.min(axis=1), np.ptp(self.columns, axis=1)
        self.sorted = self.d <= 3 and float(extent.max()) > self.reach
        if not self.sorted:
            return
        self.side = max(self.reach / CELLS_PER_REACH, float(extent.max()) / MAX_CELLS_PER_AXIS)
        self.dims = (extent / self.side).astype(np.int64) + 1
        cells = ((self.columns - self.lower[:, None]) / self.side).astype(np.int64)
        keys = (cells[0] * self.dims[1] + cells[1]) * self.dims[2] + cells[2]
        order = np.argsort(keys, kind="stable")
        self.columns, self.weights, keys = self.columns[:, order], self.weights[order], keys[order]
        self.first = np.flatnonzero(np.diff(keys, prepend=-1))
        self.keys, self.first = keys[self.first], np.append(self.first, len(keys))

    def scaled(self, positions: ArrayLike) -> Floats:
        """Return positions (m, d) in bandwidths about the middle, padded as the points are."""
        x = np.zeros((len(np.asarray(positions)), self.pad + self.d))
        x[:, self.pad :] = (np.asarray(positions, np.float64) - self.middle) / self.bandwidth
        return x

    def original(self, x: Floats) -> Floats:
        """Undo `scaled`."""
        return x[:, self.pad :] * self.bandwidth + self.middle

    def _runs(self, x: Floats) -> tuple[Ints, Ints]:
        """Return the runs of points that hold everything within reach of the rows of x."""
        if not self.sorted:
            return np.zeros(1, np.int64), np.full(1, len(self.weights))
        low, high = x.min(axis=0) - self.lower, x.max(axis=0) - self.lower
        first = np.clip(((low - self.reach) / self.side).astype(np.int64), 0, self.dims - 1)
        last = np.clip(((high + self.reach) / self.side).astype(np.int64), 0, self.dims - 1)
        rows, gaps = [], []  # cells along each of the first two axes, and their squared distances
        for k in range(2):
            cells = np.arange(first[k], last[k] + 1)
            gap = np.maximum(np.maximum(cells * self.side - high[k], low[k] - (cells + 1) * self.side), 0.0)
            rows.append(cells)
            gaps.append(np.square(gap))
        rest = self.reach**2 - np.add.outer(*gaps).reshape(-1)
        base = (np.add.outer(rows[0] * self.dims[1], rows[1]) * self.dims[2]).reshape(-1)[rest >= 0.0]
        span = np.sqrt(rest[rest >= 0.0])
        near = np.clip(np.floor((low[2] - span) / self.side).astype(np.int64), 0, self.dims[2] - 1)
        far = np.clip(np.floor((high[2] + span) / self.side).astype(np.int64), 0, self.dims[2] - 1)
        starts = self.first[np.searchsorted(self.keys, base + near)]
        stops = self.first[np.searchsorted(self.keys, base + far + 1)]
        kept = starts < stops
        return starts[kept], stops[kept]

    def shift(self, x: Floats) -> Floats:
        """Return m(x) - x for each row of x; rows near each other should be close by in x."""
        sums = np.zeros((len(x), 1 + x.shape[1]))
        if len(self.weights) <= NUMPY_POINTS:
            for r in range(len(x)):
                u, g = self._weights_at(x[r], 0.0)
                sums[r, 0], sums[r, 1:] = g.sum(), u @ g
        else:
            run_chunks(len(x), lambda _, a, b: self._add(x[a:b], sums[a:b]), self.n_jobs, QUERIES_PER_CHUNK)
        for r in np.flatnonzero(sums[:, 0] < self.least).tolist():
            u = self.columns - x[r][:, None]
            s = 0.5 * np.square(u).sum(axis=0)
            g = self.weights * np.exp(s.min() - s)
            sums[r, 0], sums[r, 1:] = g.sum(), u @ g
        return sums[:, 1:] / sums[:, :1]

    def advance(self, x: Floats, count: int) -> tuple[Floats, Floats]:
        """Let the rows of x make up to ``count`` steps, in place; return the lengths of the last and the one before.

        The latter is infinite where only one step was made.
        """
        last, before = np.zeros_like(x), np.full_like(x, np.inf)
        plain = np.ones(len(x), bool)
        if self.expansions is not None:
            moved = x[:, 1:].copy()
            last[:, 1:], before[:, 1:] = self.expansions.steps(moved, count, self.least)
            before[:, 0] = 0.0
            x[:, 1:] = moved
            plain = np.isnan(last[:, 1])
        if plain.any():
            last[plain], before[plain] = self.shift(x[plain]), np.inf
            x[plain] += last[plain]
        return np.sqrt(np.square(last).sum(axis=1)), np.sqrt(np.square(before).sum(axis=1))

    def _add(self, x: Floats, sums: Floats) -> None:
        from modeseek.engines.cpu import definition as compiled

        runs = self._runs(x)
        if self.pad + self.d == 3:
            compiled.pulls_3(self.columns, self.weights, *runs, x, sums)
        else:
            compiled.pulls(self.columns, self.weights, *runs, x, sums, np.empty(compiled.BLOCK))

    def _weights_at(self, x: Floats, tilt: float, part: slice = slice(None)) -> tuple[Floats, Floats]:
        u = self.columns[:, part] - x[:, None]
        away = np.sqrt(np.square(u).sum(axis=0)) - tilt
        return u, self.weights[part] * np.where(away < FARTHEST, np.exp(-0.5 * np.square(away)), 0.0)

    def moments(self, x: Floats, tilt: float = 0.0) -> tuple[float, Floats, Floats]:
        """Return sum g, sum g u / sum g and sum g u u^T for one position; g = w exp(tilt |u| - |u|^2 / 2)."""
        factor = float(np.exp(0.5 * tilt * tilt))
        total, first, second = 0.0, np.zeros(len(x)), np.zeros((len(x), len(x)))
        if len(self.weights) <= NUMPY_POINTS or self.d > 3:  # many columns: a matrix product over the few points near
            for start in range(0, len(self.weights), COLUMNS_AT_ONCE):
                u, g = self._weights_at(x, tilt, slice(start, start + COLUMNS_AT_ONCE))
                near = g > 0.0
                u, g = u[:, near], g[near]
                total, first, second = total + float(g.sum()), first + u @ g, second + (u * g) @ u.T
            return total * factor, first / total, second * factor
        from modeseek.engines.cpu import definition as compiled

        room = np.empty(compiled.BLOCK)
        total = compiled.moments(self.columns, self.weights, *self._runs(x[None]), x, tilt, first, second, room)
        return total * factor, first / total, (np.triu(second) + np.triu(second, 1).T) * factor
