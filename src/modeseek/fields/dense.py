r"""The dense field: weights between every query and every point, in tiles; NumPy and BLAS, any dimension.

    m(q) = sum_i w_i exp(-(|q - x_i|^2 - a) / 2 h^2) x_i / sum_i w_i exp(-(|q - x_i|^2 - a) / 2 h^2)

with a the least squared distance, so that the mean is right however far q is from the data. Coordinates are
centred first, so that |q|^2 + |x|^2 - 2 q.x does not cancel. It compiles nothing: the choice for small inputs.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from modeseek.engines.threads import run_chunks, single_threaded_blas
from modeseek.fields import CONCAVE, Floats, Ints, log_normaliser

TILE_VALUES = 1 << 19  # weights held at once by one thread


class DenseField:
    """Mean shift over all points.

    Parameters
    ----------
    points : array-like of shape (n, d)
        Points.
    weights : array-like of shape (n,)
        Weights; length 0 means unit weights.
    bandwidth : float
        Standard deviation of the Gaussian.
    """

    def __init__(self, points: ArrayLike, weights: ArrayLike, bandwidth: float):
        x = np.asarray(points, np.float64)
        self.bandwidth = bandwidth
        self.centre = x.mean(axis=0) if len(x) else np.zeros(x.shape[1])
        self.points = x - self.centre
        self.points /= bandwidth
        self.weights = np.asarray(weights, np.float64)
        if self.weights.size and not self.weights.all():
            kept = self.weights > 0.0
            self.points, self.weights = self.points[kept], self.weights[kept]
        self.half_norms = 0.5 * np.einsum("ij,ij->i", self.points, self.points)

    def shift(self, queries: Floats) -> tuple[Floats, Floats]:
        """Return the mean and the unnormalised density at each query."""
        q = (np.asarray(queries, np.float64) - self.centre) / self.bandwidth
        means, densities = self._scaled_shift(q, None)
        return means * self.bandwidth + self.centre, densities

    def carry(self, queries: Floats, n_jobs: int | None = None) -> Floats:
        """Return the mean at each query alone."""
        q = (queries - self.centre) / self.bandwidth
        return self._scaled_shift(q, n_jobs)[0] * self.bandwidth + self.centre

    def advance(self, n_jobs: int | None = None) -> Floats:
        """Return the mean at each point."""
        return self._scaled_shift(self.points, n_jobs)[0] * self.bandwidth + self.centre

    def move(self, rows: Ints, n_jobs: int | None = None) -> None:
        """Move some of the points (all of weight above 0) to their means, in place."""
        moved, _ = self._scaled_shift(self.points[rows], n_jobs)
        self.points[rows] = moved
        self.half_norms[rows] = 0.5 * np.einsum("ij,ij->i", moved, moved)

    def positions(self) -> Floats:
        """Return the points."""
        return self.points * self.bandwidth + self.centre

    def _scaled_shift(self, q: Floats, n_jobs: int | None) -> tuple[Floats, Floats]:
        means = np.empty_like(q)
        densities = np.empty(len(q))
        rows = max(1, TILE_VALUES // len(self.points))

        def work(_: int, start: int, stop: int) -> None:
            tile = q[start:stop]
            exponents = self._exponents(tile)
            nearest = exponents.max(axis=1)
            exponents -= nearest[:, None]
            np.exp(exponents, out=exponents)
            if self.weights.size:
                exponents *= self.weights
            sums = exponents.sum(axis=1)
            means[start:stop] = exponents @ self.points / sums[:, None]
            densities[start:stop] = sums * np.exp(nearest)

        with single_threaded_blas():  # the threads are ours; more of them would wait for each other
            run_chunks(len(q), work, n_jobs, rows)
        return means, densities

    def log_density(self, queries: Floats, n_jobs: int | None = None) -> Floats:
        """Return the log of the normalised density at each query, by log-sum-exp over all points."""
        with np.errstate(over="ignore"):
            q = (np.asarray(queries, np.float64) - self.centre) / self.bandwidth
        out = np.empty(len(q))
        total = float(self.weights.sum()) if self.weights.size else float(len(self.points))

        def work(_: int, start: int, stop: int) -> None:
            with np.errstate(over="ignore", invalid="ignore"):
                exponents = self._exponents(q[start:stop])
                nearest = exponents.max(axis=1)
                np.exp(exponents - nearest[:, None], out=exponents)
                sums = exponents @ self.weights if self.weights.size else exponents.sum(axis=1)
                # where even squares of distances overflow the exponents are -inf, or NaN
                out[start:stop] = np.where(nearest > -np.inf, nearest + np.log(sums), -np.inf)

        with single_threaded_blas():
            run_chunks(len(q), work, n_jobs, max(1, TILE_VALUES // len(self.points)))
        return out - log_normaliser(total, q.shape[1], self.bandwidth)

    def _exponents(self, tile: Floats) -> Floats:
        """-|q - x|^2 / 2 in bandwidths, (rows, n)."""
        if tile.shape[1] <= 3:  # differences are cheap, and exact
            squares = np.square(np.subtract.outer(tile[:, 0], self.points[:, 0]))
            for k in range(1, tile.shape[1]):
                squares += np.square(np.subtract.outer(tile[:, k], self.points[:, k]))
            return np.multiply(squares, -0.5, out=squares)
        exponents = tile @ self.points.T
        exponents -= self.half_norms
        exponents -= 0.5 * np.einsum("ij,ij->i", tile, tile)[:, None]
        return np.minimum(exponents, 0.0, out=exponents)

    def climb(self, starts: Floats, *, tol: float, max_iter: int, n_jobs: int | None = None) -> tuple[Floats, Ints]:
        """Climb every start to rest; those that rest drop out of the tiles."""
        x = (np.asarray(starts, np.float64) - self.centre) / self.bandwidth
        steps = np.zeros(len(x), np.int64)
        active = np.arange(len(x))
        previous = np.full(len(x), np.inf)
        for n in range(1, max_iter + 1):
            means, _ = self._scaled_shift(x[active], n_jobs)
            length = np.sqrt(np.square(means - x[active]).sum(axis=1))
            x[active] = means
            steps[active] = n
            with np.errstate(divide="ignore", invalid="ignore"):
                q = length / previous[active]
            rests = (length <= tol) & ((length <= 1e-9 * tol) | ((n > 1) & (length <= tol * (1.0 - q))))
            previous[active] = length
            active = active[~rests]
            if not active.size:
                break
        steps[active] *= -1
        return x * self.bandwidth + self.centre, steps

    def newton(self, queries: Floats) -> tuple[Floats, NDArray[np.bool_]]:
        """Return the Newton step to the stationary point near each query, and whether log f is concave there.

        With C the weighted covariance around q, the Jacobian of m is J = C / h^2; the step solves
        (I - J) step = m(q) - q, and log f is concave where all eigenvalues of J are below 1.
        """
        q = (np.asarray(queries, np.float64) - self.centre) / self.bandwidth
        steps, concave = np.zeros_like(q), np.zeros(len(q), bool)
        for r in range(len(q)):
            exponents = self._exponents(q[r : r + 1])[0]
            weights = np.exp(exponents - exponents.max())
            if self.weights.size:
                weights *= self.weights
            weights /= weights.sum()
            kept = weights > 1e-18
            weights, offsets = weights[kept], self.points[kept] - q[r]
            s = weights @ offsets
            jacobian = (offsets * weights[:, None]).T @ offsets - np.outer(s, s)
            hessian = np.eye(len(s)) - jacobian
            concave[r] = np.linalg.eigvalsh(hessian)[0] > CONCAVE
            if concave[r]:
                steps[r] = np.linalg.solve(hessian, s)
        return steps * self.bandwidth, concave
