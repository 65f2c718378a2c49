r"""Fields on the unit sphere: the chord's Gaussian, its mean put back on the sphere.

For unit vectors exp(-|u - x_i|^2 / 2 h^2) is proportional to exp(u.x_i / h^2), the kernel of von Mises and Fisher, and

    M(u) = sum_i w_i g_i x_i / sum_i w_i g_i,     m(u) = M(u) / |M(u)|

ascends f(u) = sum_i w_i g_i along the sphere. With C the covariance of the points under the weights at u, J = C / h^2,
and P = I - u u^T, the gradient of log f along the sphere is P M / h^2 and its negative Hessian

    ((M.u) P - P J P) / h^2:

a place of rest is a mode where this is positive on the tangent plane, and Newton's step t there solves
((M.u) I - J) t = P M.

*Traps.* Let z be a mode and R = M(z).z, so that M(z) = R z and y_i = (x_i - R z) / h have mean 0. M is defined in all
of space: its Jacobian at z + h v is the covariance of the y_i under weights w_i exp(y_i.v), as in ``traps``, so that
|M(u) - R z| <= Q(r) |u - z| wherever |u - z| <= r h. Then the angle between M(u) and z has a sine of at most
a = Q(r) |u - z| / R, and m(u) is within a (2 / (1 + sqrt(1 - a^2)))^(1/2) of z. Where that is less than |u - z|, every
step from the ball leads closer to z.

T. Kobayashi and N. Otsu, "Von Mises-Fisher mean shift for clustering on a hypersphere", ICPR 2010.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modeseek.engines.threads import run_chunks
from modeseek.fields import CONCAVE, Floats, Ints, log_normaliser
from modeseek.fields.blocks import BlocksField
from modeseek.fields.dense import DenseField
from modeseek.fields.grid import PAIRS_PER_CHUNK, QUERIES_PER_CHUNK, GridField
from modeseek.fields.logs import LEFT_OUT
from modeseek.fields.nodes import Nodes
from modeseek.fields.table import STARTS_PER_CHUNK, TableField
from modeseek.fields.traps import CONTRACTION, RADII, trap_radius
from modeseek.sphere import normalise

Known = tuple[float, int, Ints, NDArray[np.int32]]  # blocks: side, blocks along an axis, sorted numbers, labels
NOTHING_KNOWN: Known = (1.0, 0, np.empty(0, np.int64), np.empty(0, np.int32))
NOWHERE = 1e-15  # a mean as short as this is rounding: the pulls cancel


def on_sphere(x: Floats) -> Floats:
    """Return rows divided by their lengths; a zero row stays zero."""
    length = np.sqrt(np.einsum("...i,...i->...", x, x))
    return x / np.where(length > 0.0, length, 1.0)[..., None]


def land(means: Floats, queries: Floats) -> Floats:
    """Return means put back on the sphere; where the pulls cancel the query stays."""
    length = np.sqrt(np.einsum("ij,ij->i", means, means))
    kept = length > NOWHERE
    return np.where(kept[:, None], means / np.where(kept, length, 1.0)[:, None], queries)


def tangent_hessians(u: Floats, means: Floats, jacobians: Floats) -> Floats:
    """Return the negative Hessians (m, d, d) of log f along the sphere, times h^2 / (M.u); 1 in the direction of u.

    Where M.u is not above 0, no place is a mode: -I.
    """
    identity = np.eye(u.shape[1])
    resultant = np.einsum("ij,ij->i", means, u)
    away = identity - u[:, :, None] * u[:, None, :]
    pulled = away @ jacobians @ away
    hessians = identity - pulled / np.where(resultant > NOWHERE, resultant, 1.0)[:, None, None]
    hessians[resultant <= NOWHERE] = -identity
    return hessians


def steps_on_sphere(
    queries: Floats, means: Floats, jacobians: Floats, *, uphill: bool = False
) -> tuple[Floats, NDArray[np.bool_]]:
    """Return Newton's steps along the sphere, and whether log f is concave there; 0 where it is not.

    With ``uphill``, curvatures count at their absolute values, so that all steps lead up. M and J are those at
    ``on_sphere(queries)``; so is where the steps end.
    """
    u = on_sphere(queries)
    resultant = np.maximum(np.abs(np.einsum("ij,ij->i", means, u)), NOWHERE)
    gradient = (means - np.einsum("ij,ij->i", means, u)[:, None] * u) / resultant[:, None]
    curvatures, axes = np.linalg.eigh(tangent_hessians(u, means, jacobians))
    concave = curvatures[:, 0] > CONCAVE
    along = np.einsum("mij,mi->mj", axes, gradient) / np.maximum(np.abs(curvatures), CONCAVE)
    steps = np.einsum("mij,mj->mi", axes, along)
    if not uphill:
        steps[~concave] = 0.0
    return on_sphere(u + steps) - queries, concave


class SphereDense(DenseField):
    """Mean shift on the sphere over all points: what `DenseField` is in space. Queries may be of any length."""

    def climb(self, starts: Floats, *, tol: float, max_iter: int, n_jobs: int | None = None) -> tuple[Floats, Ints]:
        """Climb every start to rest."""
        return super().climb(normalise(starts), tol=tol, max_iter=max_iter, n_jobs=n_jobs)

    def log_density(self, queries: Floats, n_jobs: int | None = None) -> Floats:
        """Return the log of the density at each query, normalised as in space."""
        return super().log_density(normalise(queries), n_jobs)

    def _scaled_shift(self, q: Floats, n_jobs: int | None) -> tuple[Floats, Floats]:
        means, densities = super()._scaled_shift(q, n_jobs)
        landed = land(means * self.bandwidth + self.centre, q * self.bandwidth + self.centre)
        return (landed - self.centre) / self.bandwidth, densities

    def newton(self, queries: Floats) -> tuple[Floats, NDArray[np.bool_]]:
        """Return Newton's step to the place of rest near each query, and whether log f is concave there."""
        u = on_sphere(np.asarray(queries, np.float64))
        q = (u - self.centre) / self.bandwidth
        means, jacobians = np.empty_like(q), np.empty((*q.shape, q.shape[1]))
        for r in range(len(q)):
            exponents = self._exponents(q[r : r + 1])[0]
            weights = np.exp(exponents - exponents.max())
            if self.weights.size:
                weights *= self.weights
            weights /= weights.sum()
            offsets = self.points - q[r]
            s = weights @ offsets
            means[r] = u[r] + self.bandwidth * s
            jacobians[r] = (offsets * weights[:, None]).T @ offsets - np.outer(s, s)
        return steps_on_sphere(queries, means, jacobians)


class SphereBlocks(BlocksField):
    """Mean shift on the sphere over the points of blocks within reach, in float64: what `BlocksField` is in space.

    Queries may be of any length.
    """

    def climb(self, starts: Floats, *, tol: float, max_iter: int, n_jobs: int | None = None) -> tuple[Floats, Ints]:
        """Climb every start to rest, or into a trap."""
        return super().climb(normalise(starts), tol=tol, max_iter=max_iter, n_jobs=n_jobs)

    def log_density(self, queries: Floats, n_jobs: int | None = None) -> Floats:
        """Return the log of the density at each query, normalised as in space."""
        return super().log_density(normalise(queries), n_jobs)

    def _step(self, x: Floats, tiles: Ints, dtype: type, n_jobs: int | None) -> Floats:
        out = super()._step(x, tiles, dtype, n_jobs)
        out[:, 4:] = self._scaled(land(self._unscaled(out[:, 4:]), self._unscaled(x)))
        return out

    def _unscaled(self, x: Floats) -> Floats:
        return x * self.bandwidth + self.centre

    def _roughly(self, x: Floats, tol: float, max_iter: int, n_jobs: int | None) -> tuple[Floats, Ints]:
        """Leave all climbs to float64: the bound of `BlocksField` is one of steps in space."""
        return x, np.full(len(x), -1, np.int64)

    def _hessian(self, z: Floats) -> tuple[Floats, Floats]:
        """Return m(z) - z and I less the Jacobian of m along the sphere; -I where nothing is near enough."""
        moments = self._moments(z)
        if moments is None:
            return np.zeros_like(z), -np.eye(len(z))
        s, products = moments
        place = self._unscaled(z)[None]
        mean = place + self.bandwidth * s
        hessian = tangent_hessians(on_sphere(place), mean, (products - np.outer(s, s))[None])[0]
        return (land(mean, place) - place)[0] / self.bandwidth, hessian

    def _radii(self, modes: Floats, n_jobs: int | None) -> Floats:
        radii = np.zeros(len(modes))

        def work(_: int, i: int, __: int) -> None:
            z = modes[i]
            moments = self._moments(z)
            if moments is None:
                return
            mean = z + moments[0]
            resultant = float(np.linalg.norm(self._unscaled(mean)))
            farthest = min(1.0, CONTRACTION * RADII[-1] * self.bandwidth)  # the largest sine: h Q(r) r / R
            bent = math.sqrt(2.0 / (1.0 + math.sqrt(1.0 - farthest * farthest)))
            radii[i] = trap_radius(
                self.points, self.weights, self._rows_near(z), z, self._beyond(z), mean, CONTRACTION * resultant / bent
            )

        run_chunks(len(modes), work, n_jobs, 1)
        return radii


class SphereGrid(GridField):
    """Mean shift on the sphere in space, on sorted points within reach: what `GridField` is in space.

    Parameters
    ----------
    points, weights, bandwidth, options
        As for `GridField`.
    total : float, optional
        The weight of all points, where weights stand for more than they are.
    """

    def __init__(
        self, points: Floats, weights: Floats, bandwidth: float, *, total: float | None = None, **options: Any
    ):
        super().__init__(points, weights, bandwidth, **options)
        self.total = float(self.weights.sum()) if total is None else total

    def log_density(self, queries: Floats, n_jobs: int | None = None, left_out: float = LEFT_OUT) -> Floats:
        """Return the log of the density at each query, normalised as in space."""
        out = super().log_density(queries, n_jobs, left_out) + log_normaliser(
            float(self.weights.sum()), 3, self.bandwidth
        )
        return out - log_normaliser(self.total, 3, math.sqrt(self.factor) * self.bandwidth)

    def _means(self, queries: Floats, n_jobs: int | None = None) -> tuple[Floats, Floats, Floats]:
        """Return density, M and J (for the Gaussian that is summed) at ``on_sphere(queries)``."""
        u = on_sphere(queries)
        sums = self.sums(u, n_jobs)
        return sums[:, 0], *moments_of_sums(u, sums, self.bandwidth)

    def shift(self, queries: Floats) -> tuple[Floats, Floats]:
        """Return the mean, on the sphere, and the density at each query; a query with nothing in reach stays."""
        density, means, _ = self._means(queries)
        return land(queries + self.factor * (means - queries), queries), density

    def climb(self, starts: Floats, *, tol: float, max_iter: int, n_jobs: int | None = None) -> tuple[Floats, Ints]:
        """Climb every start to rest; one with nothing in reach first steps onto the data over all points."""
        ends, steps, _ = self.climb_into(starts, tol=tol, max_iter=max_iter, n_jobs=n_jobs)
        lost = steps == 0
        if lost.any():
            dense = SphereDense(self.columns.T + self.origin, self.weights, self.bandwidth)
            landed, _ = dense.shift(on_sphere(ends[lost]))
            ends[lost], steps[lost], _ = self.climb_into(landed, tol=tol, max_iter=max_iter, n_jobs=n_jobs)
        return ends, steps

    def climb_into(
        self, starts: Floats, *, tol: float, max_iter: int, n_jobs: int | None = None, known: Known | None = None
    ) -> tuple[Floats, Ints, NDArray[np.int32]]:
        """Climb until a climb rests or enters a known block; return ends, steps, and labels: -1 where it rests."""
        from modeseek.engines.cpu import sphere

        x = on_sphere(np.asarray(starts, np.float64))
        steps, found = np.zeros(len(x), np.int64), np.full(len(x), -1, np.int32)
        c = 0.5 / self.bandwidth**2

        def work(_: int, start: int, stop: int) -> None:
            rows = slice(start, stop)
            sphere.climb(
                *self._arguments(), self.origin, c, self.cut, self.factor, tol * self.bandwidth, max_iter,
                *(known or NOTHING_KNOWN), x[rows], steps[rows], found[rows], np.empty(4), np.empty(3),
            )  # fmt: skip

        run_chunks(len(x), work, n_jobs, max(1, min(QUERIES_PER_CHUNK, PAIRS_PER_CHUNK // len(self.weights))))
        return x, steps, found

    def newton(self, queries: Floats, n_jobs: int | None = None) -> tuple[Floats, NDArray[np.bool_]]:
        """Return Newton's step to the place of rest near each query, and whether log f is concave there."""
        density, means, jacobians = self._means(queries, n_jobs)
        steps, concave = steps_on_sphere(queries, means, jacobians)
        return steps, concave & (density > 0.0)

    def uphill(self, queries: Floats, n_jobs: int | None = None) -> tuple[Floats, NDArray[np.bool_], Floats]:
        """Return a step uphill from each query, whether log f is concave there, and the density."""
        density, means, jacobians = self._means(queries, n_jobs)
        steps, concave = steps_on_sphere(queries, means, jacobians, uphill=True)
        return steps, concave & (density > 0.0), density


class SphereTable(TableField):
    """Mean shift on the sphere in space, on sums tabulated around it: what `TableField` is in space.

    Parameters
    ----------
    beyond : SphereGrid
        Where starts climb for which the table has nothing in reach.
    nodes, bandwidth, kernel_bandwidth, options
        As for `TableField`.
    """

    def __init__(self, beyond: SphereGrid, nodes: Nodes, bandwidth: float, kernel_bandwidth: float, **options: Any):
        super().__init__(nodes, bandwidth, kernel_bandwidth, **options)
        self.beyond = beyond

    def log_density(self, queries: Floats, n_jobs: int | None = None) -> Floats:
        """Return the log of the density at each query, of the points beyond the table and within."""
        return self.beyond.log_density(queries, n_jobs)

    def climb(
        self, starts: Floats, *, tol: float, max_iter: int, n_jobs: int | None = None, settled: object = None
    ) -> tuple[Floats, Ints]:
        """Climb every start to rest."""
        ends, steps, _ = self.climb_into(starts, tol=tol, max_iter=max_iter, n_jobs=n_jobs)
        return ends, steps

    def climb_into(
        self, starts: Floats, *, tol: float, max_iter: int, n_jobs: int | None = None, known: Known | None = None
    ) -> tuple[Floats, Ints, NDArray[np.int32]]:
        """Climb until a climb rests or enters a known block; return ends, steps, and labels: -1 where it rests."""
        from modeseek.engines.cpu import sphere

        x = on_sphere(np.asarray(starts, np.float64))
        steps, found = np.zeros(len(x), np.int64), np.full(len(x), -1, np.int32)
        corner, delta = np.asarray(self.nodes.corner, np.float64), self.nodes.delta

        def work(_: int, start: int, stop: int) -> None:
            rows = slice(start, stop)
            sphere.climb_table(
                self.table, self.shape, corner, delta, self.factor, self.negligible, tol * self.bandwidth, max_iter,
                *(known or NOTHING_KNOWN), x[rows], steps[rows], found[rows], np.empty(3),
            )  # fmt: skip

        run_chunks(len(x), work, n_jobs, STARTS_PER_CHUNK)
        lost = np.flatnonzero(steps == 0)
        if lost.size:
            x[lost], steps[lost] = self.beyond.climb(x[lost], tol=tol, max_iter=max_iter, n_jobs=n_jobs)
        return x, steps, found


def moments_of_sums(u: Floats, sums: Floats, bandwidth: float) -> tuple[Floats, Floats]:
    """Return M and J from the sums (m, 10) around u."""
    density = np.where(sums[:, 0] > 0.0, sums[:, 0], 1.0)
    s = sums[:, 1:4] / density[:, None]
    rows, columns = np.triu_indices(3)
    covariance = np.empty((len(sums), 3, 3))
    covariance[:, rows, columns] = covariance[:, columns, rows] = sums[:, 4:] / density[:, None]
    covariance -= s[:, :, None] * s[:, None, :]
    return u + s, covariance / bandwidth**2
