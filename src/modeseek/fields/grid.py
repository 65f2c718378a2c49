r"""The grid field: points sorted by cell, sums over the contiguous runs within reach, float64, d <= 3.

Weights beyond ``reach`` bandwidths are left out. The default leaves out only weights smaller than one rounding
error of the weight at distance zero, so sums are those over all points up to rounding; this is the exact field.
The weights exp(-r^2/2) cut at R are those of the convex profile max(e^-s - e^-S, 0): the truncated iteration
still climbs its own density.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from modeseek.engines.threads import run_chunks
from modeseek.fields import CONCAVE, REACH, Floats, Ints, log_normaliser
from modeseek.fields.dense import DenseField
from modeseek.fields.logs import LEFT_OUT, TRUSTED, log_sums_of_tree

CELLS_PER_REACH = 4  # cell side = reach / 4: few rows to visit, little beyond the ball
MAX_CELLS_PER_AXIS = 1 << 20
QUERIES_PER_CHUNK = 64
PAIRS_PER_CHUNK = 1 << 20  # of one step: a climb of a few hundred steps then ends within a second
POINTS_PER_CHUNK = 1 << 14
MAX_REFINEMENT = 0.1  # bandwidths that one last step may move a mode


class GridField:
    """Mean shift over the points within reach.

    Parameters
    ----------
    points : array-like of shape (n, d), d <= 3
        Points; stored as float64 columns.
    weights : array-like of shape (n,)
        Weights; length 0 means unit weights.
    bandwidth : float
        Standard deviation h' of the Gaussian that is summed.
    factor : float, default=1.0
        A step is ``factor * (m(x) - x)``; a sketch's nodes take h^2 / h'^2.
    reach : float
        Radius of the sums in bandwidths.
    """

    def __init__(
        self,
        points: ArrayLike,
        weights: ArrayLike,
        bandwidth: float,
        *,
        factor: float = 1.0,
        reach: float = REACH,
    ):
        x = np.asarray(points)
        n, self.n_features = x.shape
        self.bandwidth = bandwidth
        self.factor = factor
        self.origin = x.min(axis=0).astype(np.float64)
        columns = np.zeros((3, n))
        for k in range(self.n_features):  # padded in front: the last column has the contiguous runs
            columns[3 - self.n_features + k] = x[:, k]
            columns[3 - self.n_features + k] -= self.origin[k]
        w = np.asarray(weights, np.float64) if np.size(weights) else np.ones(n)
        self.cut = 0.5 * reach * reach
        extent = columns.max(axis=1)
        self.side = max(reach * bandwidth / CELLS_PER_REACH, float(extent.max()) / MAX_CELLS_PER_AXIS)
        self.dims = (extent / self.side).astype(np.int64) + 1
        self.lower = np.zeros(3)
        cells = (columns / self.side).astype(np.int64)
        cell_keys = (cells[0] * self.dims[1] + cells[1]) * self.dims[2] + cells[2]
        if self.dims.max() > 1:
            order = np.argsort(cell_keys, kind="stable")
            columns, w, cell_keys = columns[:, order], w[order], cell_keys[order]
        first = np.flatnonzero(np.diff(cell_keys, prepend=-1))
        self.keys: NDArray[np.int64] = cell_keys[first]
        self.runs: NDArray[np.int64] = np.append(first, n)
        self.columns, self.weights = columns, w

    def _arguments(self) -> tuple[object, ...]:
        return (*self.columns, self.weights, self.keys, self.runs, self.lower, self.side, self.dims)

    def _padded(self, queries: Floats) -> Floats:
        q = np.zeros((len(queries), 3))
        np.subtract(queries, self.origin, out=q[:, 3 - self.n_features :])
        return q

    def sums(self, queries: Floats, n_jobs: int | None = None, reach: float | None = None) -> Floats:
        """Return sums of g (1), g * dx (3) and g * dx * dx (6) around each query, within ``reach``, (m, 10)."""
        from modeseek.engines.cpu import points

        q = self._padded(queries)
        out = np.empty((len(q), 10))
        c = 0.5 / self.bandwidth**2
        cut = self.cut if reach is None else 0.5 * reach * reach

        def work(_: int, start: int, stop: int) -> None:
            points.sums(*self._arguments(), c, cut, q[start:stop], out[start:stop])

        run_chunks(len(q), work, n_jobs, QUERIES_PER_CHUNK)
        return out

    def density(self, queries: Floats) -> Floats:
        """Return the unnormalised density sum_i w_i exp(-|q - x_i|^2 / 2h'^2)."""
        return self.sums(queries)[:, 0]

    def log_density(self, queries: Floats, n_jobs: int | None = None, left_out: float = LEFT_OUT) -> Floats:
        """Return the log of the normalised density at each query, right to about 1e-8 for the points as they are."""
        total, reach = float(self.weights.sum()), REACH * self.bandwidth
        out = np.full(len(queries), -np.inf)
        with np.errstate(over="ignore"):
            q = queries - self.origin
        last = (self.dims * self.side)[3 - self.n_features :]
        near = np.flatnonzero(((q > -reach) & (q < last + reach)).all(axis=1))
        with np.errstate(divide="ignore"):
            out[near] = np.log(self.sums(queries[near], n_jobs, REACH)[:, 0])
        faint = np.flatnonzero(~(out > math.log(TRUSTED * total)))
        if faint.size:
            columns = self.columns[3 - self.n_features :].T / self.bandwidth
            with np.errstate(over="ignore"):
                out[faint] = log_sums_of_tree(columns, self.weights, q[faint] / self.bandwidth, n_jobs, left_out)
        return out - log_normaliser(total, self.n_features, self.bandwidth)

    def shift(self, queries: Floats) -> tuple[Floats, Floats]:
        """Return the (relaxed) mean and the density at each query; a query with nothing in reach stays."""
        sums = self.sums(queries)
        density = sums[:, 0]
        step = sums[:, 4 - self.n_features : 4] / np.where(density > 0.0, density, 1.0)[:, None]
        return queries + self.factor * step, density

    def climb(self, starts: Floats, *, tol: float, max_iter: int, n_jobs: int | None = None) -> tuple[Floats, Ints]:
        """Climb every start to rest; a start with nothing in reach first steps onto the data over all points."""
        ends, steps = self._climb(starts, tol, max_iter, n_jobs)
        lost = steps == 0
        if lost.any():
            dense = DenseField(self.columns[3 - self.n_features :].T, self.weights, self.bandwidth)
            landed = dense.shift(ends[lost] - self.origin)[0] + self.origin
            ends[lost], steps[lost] = self._climb(landed, tol, max_iter, n_jobs)
        return ends, steps

    def _climb(self, starts: Floats, tol: float, max_iter: int, n_jobs: int | None) -> tuple[Floats, Ints]:
        from modeseek.engines.cpu import points

        q = self._padded(starts)
        steps = np.zeros(len(q), np.int64)
        c = 0.5 / self.bandwidth**2

        def work(_: int, start: int, stop: int) -> None:
            points.climb(
                *self._arguments(), c, self.cut, self.factor, tol * self.bandwidth, max_iter,
                q[start:stop], steps[start:stop], np.empty(4),
            )  # fmt: skip

        run_chunks(len(q), work, n_jobs, max(1, min(QUERIES_PER_CHUNK, PAIRS_PER_CHUNK // len(self.weights))))
        return q[:, 3 - self.n_features :] + self.origin, steps

    def newton(self, queries: Floats, n_jobs: int | None = None) -> tuple[Floats, NDArray[np.bool_]]:
        """Return the Newton step to the stationary point near each query, and whether log f is concave there."""
        step, concave = newton_steps(self.sums(queries, n_jobs), self.bandwidth)
        return step[:, 3 - self.n_features :], concave

    def uphill(self, queries: Floats, n_jobs: int | None = None) -> tuple[Floats, NDArray[np.bool_], Floats]:
        """Return the step of `uphill_steps` from each query, whether log f is concave there, and the density."""
        sums = self.sums(queries, n_jobs)
        step, concave = uphill_steps(sums, self.bandwidth)
        return step[:, 3 - self.n_features :], concave, sums[:, 0]


def newton_steps(sums: Floats, bandwidth: float) -> tuple[Floats, NDArray[np.bool_]]:
    """Return Newton steps (m, 3) from sums (m, 10), 0 where log f is not concave, and whether it is."""
    s, hessian = _step_and_hessian(sums, bandwidth)
    concave = np.linalg.eigvalsh(hessian)[:, 0] > CONCAVE
    step = np.zeros_like(s)
    step[concave] = np.linalg.solve(hessian[concave], s[concave][:, :, None])[:, :, 0]
    return step, concave & (sums[:, 0] > 0.0)


def uphill_steps(sums: Floats, bandwidth: float) -> tuple[Floats, NDArray[np.bool_]]:
    """Return steps (m, 3) uphill from sums (m, 10), and whether log f is concave.

    They are Newton's with the curvature along each principal axis taken at its absolute value: Newton's own where log
    f is concave, uphill everywhere (the step s of mean shift is the gradient of log f, times h^2), and long along a
    ridge, where mean shift creeps. They may be far too long: whoever makes them has to cut them short.
    """
    s, hessian = _step_and_hessian(sums, bandwidth)
    curvatures, axes = np.linalg.eigh(hessian)
    along = np.einsum("mij,mi->mj", axes, s) / np.maximum(np.abs(curvatures), CONCAVE)
    return np.einsum("mij,mj->mi", axes, along), (curvatures[:, 0] > CONCAVE) & (sums[:, 0] > 0.0)


def _step_and_hessian(sums: Floats, bandwidth: float) -> tuple[Floats, Floats]:
    """Return the steps of mean shift (m, 3) from sums (m, 10), and the negative Hessians of log f times h^2.

    With s = m(q) - q and C the weighted covariance around q, the Jacobian of m is J = C / h^2; the Hessian is I - J,
    and log f is concave in every direction where all eigenvalues of J are below 1.
    """
    density = np.where(sums[:, 0] > 0.0, sums[:, 0], 1.0)
    s = sums[:, 1:4] / density[:, None]
    rows, columns = np.triu_indices(3)
    covariance = np.empty((len(sums), 3, 3))
    covariance[:, rows, columns] = covariance[:, columns, rows] = sums[:, 4:] / density[:, None]
    covariance -= s[:, :, None] * s[:, None, :]
    return s, np.eye(3) - covariance / bandwidth**2


def newton_over_all(
    points: NDArray[Any], weights: Floats, bandwidth: float, queries: Floats, n_jobs: int | None = None
) -> Floats:
    """Make one Newton step from each query on all points as they lie in memory."""
    return newton_to(queries, sums_over_points(points, weights, bandwidth, queries, n_jobs), bandwidth)


def newton_to(queries: Floats, sums: Floats, bandwidth: float) -> Floats:
    """Make one Newton step from each query, with these sums around it, where log f is concave and the step small."""
    step, concave = newton_steps(sums, bandwidth)
    small = concave & (np.square(step).sum(axis=1) < np.square(MAX_REFINEMENT * bandwidth))
    return queries + np.where(small[:, None], step[:, 3 - queries.shape[1] :], 0.0)


def mean_of(queries: Floats, sums: Floats) -> Floats:
    """Return the mean around each query, with these sums around it; with nothing in reach, the query."""
    density = np.where(sums[:, 0] > 0.0, sums[:, 0], 1.0)
    return queries + sums[:, 4 - queries.shape[1] : 4] / density[:, None]


def sums_over_points(
    points: NDArray[Any],
    weights: Floats,
    bandwidth: float,
    queries: Floats,
    n_jobs: int | None,
    total: Floats | None = None,
) -> Floats:
    """Do as `GridField.sums` without sorting the points: chunk by chunk, added up in order.

    ``total`` are sums over the points before these, a whole number of chunks, and is added to.
    """
    from modeseek.engines.cpu.points import sums_over_all

    n, d = points.shape
    padded = np.zeros((len(queries), 3))
    padded[:, 3 - d :] = queries
    c, cut = 0.5 / bandwidth**2, 0.5 * REACH * REACH
    parts: dict[int, Floats] = {}

    def work(_: int, start: int, stop: int) -> None:
        columns = np.zeros((3, stop - start))
        columns[3 - d :] = points[start:stop].T
        w = weights[start:stop] if weights.size else np.ones(stop - start)
        parts[start] = np.zeros((len(queries), 10))
        sums_over_all(*columns, w, c, cut, padded, parts[start])

    run_chunks(n, work, n_jobs, POINTS_PER_CHUNK)
    total = np.zeros((len(queries), 10)) if total is None else total
    for start in sorted(parts):
        total += parts[start]
    return total
