r"""The adaptive field: every point has a Gaussian of its own bandwidth; any dimension, float64.

    f(x) = sum_i w_i h_i^-d g_i,   g_i = exp(-|x - x_i|^2 / 2 h_i^2),    m(x) = sum_i a_i g_i x_i / sum_i a_i g_i,

with a_i = w_i h_i^-(d + 2). A step m(x) - x is the gradient of f over B = sum_i a_i g_i, and never lowers f (Comaniciu,
Ramesh and Meer, "The variable bandwidth mean shift and data-driven scale selection", ICCV 2001).

*Reach.* What a point is left out for weighs less than one rounding error of the least a_j: as far as
h_i sqrt(2 ln(2^53 a_i / min a)). Blocks are the leaves of a kd-tree, skipped where that of none in them suffices.

*Modes.* With v_i = x_i - x and E the mean under weights a_i g_i, a place of rest is a mode where

    I - E[v v^T / h^2] + (B / f) s s^T,     s = m(x) - x,

is positive definite: it is the negative Hessian of log f times f / B. Newton's step solves it for s.

*Traps.* Let z be a mode, p_i the weights there (sum 1), r_i = |v_i|, b_i = h_i^-2, b = sum p_i b_i. At z + u the
weights are p_i e_i, e_i = exp(b_i (v_i.u - |u|^2 / 2)), their sum is at least exp(-|c| s - b s^2 / 2), s = |u|,
c = sum p_i b_i v_i (Jensen), and N(u) = sum_i p_i e_i v_i has along u the derivative
sum_i p_i e_i b_i v_i (v_i.u / s - s), so that

    |N(u)| <= exp(b s^2 / 2) int_0^s (q1(t) + t q2(t)) dt,
    q1(t) = largest eigenvalue of sum_i p_i b_i e^(t r_i b_i) v v^T,
    q2(t) = sum_i p_i |b_i - b| r_i e^(t r_i b_i)

(Gronwall; what is left of b_i - b is b |N|). So |m(z + u) - z| <= exp(|c| s + b s^2) int_0^s (q1 + t q2) dt. Where that
is less than s for all s up to a radius, each step in the ball leads closer to z. Both integrands are convex: the
trapezoidal rule bounds them from above.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from modeseek.cells import distinct_rows
from modeseek.engines.threads import run_chunks
from modeseek.fields import CONCAVE, Floats, Ints, log_normaliser
from modeseek.fields.compact import LEAF, compact_groups, extents
from modeseek.fields.traps import CONTRACTION, Traps

BITS = 53.0 * np.log(2.0)
LONGEST = 300.0  # exponent beyond which the kernel's exponential is not right
DENSE_PAIRS = 1 << 18  # points squared: up to these NumPy is quicker than loading a kernel
TILE_VALUES = 1 << 18
QUERIES_PER_CHUNK = 32
PILOTS = 64  # climbs that look for the first modes; each batch is four times as large as the one before
MOST_AT_ONCE = 1 << 14
RADII = (0.1, 0.2, 0.35, 0.5, 0.75, 1.0, 1.5)  # of traps, in bandwidths at the mode
NEWTON_STEPS, MAX_DRIFT, SETTLED = 12, 0.1, 1e-10  # bandwidths
SAME_REST = 0.02  # bandwidths, about: of resting points closer than this one is polished
SAME = 1e-6  # bandwidths between two positions of one mode


class AdaptiveField:
    """Mean shift with a bandwidth for every point.

    Parameters
    ----------
    points : array-like of shape (n, d)
        Points.
    weights : array-like of shape (n,)
        Weights; length 0 means unit weights. Points of weight 0 are dropped.
    bandwidths : ndarray of shape (n,)
        Standard deviations h_i of their Gaussians.

    Attributes
    ----------
    bandwidth : float
        The least of them: modes further apart than a small part of it are different.
    traps : Traps
        Modes found so far and the balls around them.
    """

    def __init__(self, points: ArrayLike, weights: ArrayLike, bandwidths: Floats):
        x, h = np.asarray(points, np.float64), np.asarray(bandwidths, np.float64)
        w = np.asarray(weights, np.float64) if np.size(weights) else np.ones(len(x))
        if not w.all():
            x, h, w = x[w > 0.0], h[w > 0.0], w[w > 0.0]
        self.centre = x.mean(axis=0)
        x = x - self.centre
        order, self.starts = compact_groups(x)
        self.points, self.h, w = x[order], h[order], w[order]
        d = x.shape[1]
        self.bandwidth, self.total = float(h.min()), float(w.sum())
        self.log_pull = np.log(w) - (d + 2) * np.log(self.h / self.bandwidth)  # of a_i min(h)^(d + 2)
        self.scale = -d * np.log(self.bandwidth)  # log f is that of the sums of a_i h_i^2 / min(h)^2, and this
        self.least = float(self.log_pull.min())
        self.cuts = BITS + self.log_pull - self.least
        self.lower, self.upper, _, _ = extents(self.points, self.starts)
        block_cuts = np.maximum.reduceat(self.cuts, self.starts[:-1])
        widest = np.maximum.reduceat(np.square(self.h) * self.cuts, self.starts[:-1])
        self.block_cuts, self.reach2 = block_cuts, 2.0 * widest
        self.compiled = len(x) ** 2 > DENSE_PAIRS and float(block_cuts.max()) <= LONGEST
        self.columns = np.ascontiguousarray(self.points.T)
        self.pull = np.exp(self.log_pull - self.least)
        self.mass = self.pull * np.square(self.h / self.bandwidth)
        self.c = 0.5 / np.square(self.h)
        self.traps = Traps.none(d)

    # -------------------------------------------------------------------------------------------------- sums

    def shift(self, queries: Floats, n_jobs: int | None = None) -> tuple[Floats, Floats]:
        """Return the mean and the unnormalised density f at each query."""
        means, log_density, _ = self._shift(np.asarray(queries, np.float64) - self.centre, n_jobs)
        return means + self.centre, np.exp(log_density + self.scale)

    def log_density(self, queries: Floats, n_jobs: int | None = None) -> Floats:
        """Return the log of the normalised density at each query."""
        _, log_density, _ = self._shift(np.asarray(queries, np.float64) - self.centre, n_jobs)
        return log_density + self.scale - log_normaliser(self.total, self.points.shape[1], 1.0)

    def _shift(self, q: Floats, n_jobs: int | None) -> tuple[Floats, Floats, Floats]:
        """Return means, log f less ``scale``, and f / B at each query: the local bandwidth, squared."""
        if not self.compiled:
            return self._shift_over_all(q, n_jobs)
        from modeseek.engines.cpu import adaptive

        out = np.empty((len(q), 2 + q.shape[1]))

        def work(_: int, start: int, stop: int) -> None:
            adaptive.sums(
                self.columns, self.pull, self.mass, self.c, self.starts, self.lower, self.upper, self.reach2,
                self.block_cuts, q[start:stop], np.empty(LEAF), out[start:stop],
            )  # fmt: skip

        run_chunks(len(q), work, n_jobs, QUERIES_PER_CHUNK)
        faint = np.flatnonzero(out[:, 1] < 0.5)  # less than any point has where it lies
        total = np.where(out[:, 1] > 0.0, out[:, 1], 1.0)
        means = q + out[:, 2:] / total[:, None]
        with np.errstate(divide="ignore"):
            log_density = np.log(out[:, 0]) + self.least
        width2 = out[:, 0] / total * self.bandwidth**2
        if faint.size:
            means[faint], log_density[faint], width2[faint] = self._shift_over_all(q[faint], n_jobs)
        return means, log_density, width2

    def _shift_over_all(self, q: Floats, n_jobs: int | None) -> tuple[Floats, Floats, Floats]:
        """Sum over all points in NumPy, however faint the density."""
        means, log_density, width2 = np.empty_like(q), np.empty(len(q)), np.empty(len(q))

        def work(_: int, start: int, stop: int) -> None:
            offsets, weights, most = self._weights_at(q[start:stop])
            total = weights.sum(axis=1)
            mass = weights @ np.square(self.h / self.bandwidth)
            means[start:stop] = q[start:stop] + np.einsum("qi,iqk->qk", weights, offsets) / total[:, None]
            log_density[start:stop] = np.log(mass) + most
            width2[start:stop] = mass / total * self.bandwidth**2

        run_chunks(len(q), work, n_jobs, max(1, TILE_VALUES // self.points.size))
        return means, log_density, width2

    def _weights_at(self, q: Floats) -> tuple[Floats, Floats, Floats]:
        """Return offsets x_i - q (n, m, d), weights a_i g_i (m, n) over the largest, and the log of that."""
        offsets = self.points[:, None] - q
        exponents = self.log_pull - np.einsum("iqk,iqk->qi", offsets, offsets) * self.c
        most = exponents.max(axis=1)
        return offsets, np.exp(exponents - most[:, None]), most

    # ------------------------------------------------------------------------------------------------ climbs

    def climb(self, starts: Floats, *, tol: float, max_iter: int, n_jobs: int | None = None) -> tuple[Floats, Ints]:
        """Climb every start to rest, or into a trap: then it ends at the mode. With ``tol=0`` there are no traps.

        It rests when the way still to go is less than ``tol`` times the local bandwidth, sqrt(f / B).
        """
        x = np.asarray(starts, np.float64) - self.centre
        steps = np.zeros(len(x), np.int64)
        order = compact_groups(x)[0] if len(x) else np.empty(0, np.int64)
        waiting = np.ones(len(x), bool)
        size = PILOTS
        while waiting.any():
            rows = order[waiting[order]]
            if len(rows) > size:
                rows = rows[np.linspace(0, len(rows) - 1, size).astype(np.int64)]
            waiting[rows] = False
            x[rows], steps[rows], free = self._to_rest(x[rows], tol, max_iter, n_jobs)
            if tol > 0.0:
                self._add_traps(x[rows[free]], n_jobs)
            size = min(4 * size, MOST_AT_ONCE)
        return x + self.centre, steps

    def _to_rest(
        self, starts: Floats, tol: float, max_iter: int, n_jobs: int | None
    ) -> tuple[Floats, Ints, NDArray[np.bool_]]:
        """Return where climbs end, their steps (negative where cut short), and which are in no trap."""
        x, steps, free = starts.copy(), np.full(len(starts), -max_iter, np.int64), np.ones(len(starts), bool)
        active, previous = np.arange(len(x)), np.full(len(x), np.inf)
        for n in range(max_iter + 1):
            if tol > 0.0:
                mode, caught = self.traps.catch(x[active], np.zeros(len(active)))
                home = active[caught]
                x[home], steps[home], free[home] = self.traps.centres[mode[caught]], max(n, 1), False
                active = active[~caught]
            if n == max_iter or not active.size:
                break
            means, _, width2 = self._shift(x[active], n_jobs)
            length = np.sqrt(np.square(means - x[active]).sum(axis=1) / width2)
            x[active] = means
            with np.errstate(divide="ignore", invalid="ignore"):
                q = length / previous[active]
            rests = (length <= tol) & ((length <= 1e-9 * tol) | ((n > 0) & (length <= tol * (1.0 - q))))
            previous[active] = length
            steps[active[rests]] = n + 1
            active = active[~rests]
        return x, steps, free

    # ------------------------------------------------------------------------------------------------- modes

    def newton(self, queries: Floats) -> tuple[Floats, NDArray[np.bool_]]:
        """Return Newton's step to the place of rest near each query, and whether log f is concave there."""
        q = np.asarray(queries, np.float64) - self.centre
        steps, concave = np.zeros_like(q), np.zeros(len(q), bool)
        mode, distance = self.traps.nearest(q)
        known = distance <= SETTLED * self.bandwidth
        known[known] = self.traps.radii[mode[known]] > 0.0
        concave[known] = True
        for r in np.flatnonzero(~known):
            steps[r], concave[r] = self._newton(q[r])
        return steps, concave

    def _newton(self, q: Floats) -> tuple[Floats, bool]:
        s, hessian = self._hessian(q)
        if np.linalg.eigvalsh(hessian)[0] <= CONCAVE:
            return np.zeros_like(s), False
        return np.asarray(np.linalg.solve(hessian, s), np.float64), True

    def _hessian(self, q: Floats) -> tuple[Floats, Floats]:
        offsets, log_p, b = self._around(q)
        p = np.exp(log_p)
        s = p @ offsets
        second = (offsets * (p * b)[:, None]).T @ offsets
        return s, np.eye(len(q)) - second + np.outer(s, s) / float(p @ (1.0 / b))

    def _around(self, q: Floats, margin: float = 0.0) -> tuple[Floats, Floats, Floats]:
        """Return offsets, logarithms of weights (sum 1) and h^-2 of the points within reach of a ball around q."""
        gap = np.maximum(np.maximum(self.lower - q, q - self.upper), 0.0)
        near = np.sqrt(np.square(gap).sum(axis=1)) <= np.sqrt(self.reach2) + margin
        rows = np.flatnonzero(np.repeat(near, np.diff(self.starts)))
        if not rows.size:
            rows = np.arange(len(self.points))
        offsets = self.points[rows] - q
        exponents = self.log_pull[rows] - np.einsum("ij,ij->i", offsets, offsets) * self.c[rows]
        exponents -= exponents.max()
        return offsets, exponents - np.log(np.exp(exponents).sum()), 2.0 * self.c[rows]

    def _add_traps(self, resting: Floats, n_jobs: int | None) -> None:
        """Set a trap at each new mode that Newton's method finds near the resting points."""
        resting = resting[~self.traps.catch(resting, np.zeros(len(resting)))[1]]
        if not len(resting):
            return
        places = resting[self._apart(resting, n_jobs)]
        found: dict[int, tuple[Floats, float]] = {}

        def work(_: int, i: int, __: int) -> None:
            z = self._settle(places[i])
            if z is not None:
                found[i] = (z, self._trap_radius(z))

        run_chunks(len(places), work, n_jobs, 1)
        for i in sorted(found):
            z, radius = found[i]
            width = self._width(z)
            if radius > 0.0 and self.traps.nearest(z[None])[1][0] > SAME * width:
                self.traps = self.traps.and_more(z[None], np.array([radius]))

    def _apart(self, resting: Floats, n_jobs: int | None) -> Ints:
        """Return rows of resting points so far from each other that they may rest at different modes."""
        octave = np.round(0.5 * np.log2(self._shift(resting, n_jobs)[2])).astype(np.int64)
        cells = np.floor(resting / (SAME_REST * np.exp2(octave))[:, None]).astype(np.int64)
        return distinct_rows(np.column_stack([octave, cells]))[1]

    def _width(self, z: Floats) -> float:
        """Return the local bandwidth."""
        return float(np.sqrt(self._shift(z[None], 1)[2][0]))

    def _settle(self, start: Floats) -> Floats | None:
        """Return the mode that Newton's method finds close by, if it does."""
        z, width = start.copy(), self._width(start)
        for _ in range(NEWTON_STEPS):
            step, concave = self._newton(z)
            z = z + step
            if not concave or np.square(z - start).sum() > (MAX_DRIFT * width) ** 2:
                return None
            if np.square(step).sum() <= (SETTLED * width) ** 2:
                return z
        return None

    def _trap_radius(self, z: Floats) -> float:
        """Return the radius of the trap of a mode; 0 if none is proven."""
        width = self._width(z)
        largest = RADII[-1] * width
        offsets, log_p, b = self._around(z, largest)
        p = np.exp(log_p)
        r = np.sqrt(np.einsum("ij,ij->i", offsets, offsets))
        mean_b, c = float(p @ b), float(np.linalg.norm((p * b) @ offsets))
        # (x + t)^2 exp(-x^2 / 2) falls with x: the most that each point left out may add to either integrand
        x = np.sqrt(2.0 * self.cuts.max()) + largest / self.bandwidth
        log_total = float(self._shift_over_all(z[None], 1)[1][0]) - 2.0 * np.log(width / self.bandwidth)  # log B
        left_out = 2.0 * len(self.points) * x * x * np.exp(self.least - BITS - log_total)

        def integrand(t: float) -> float:
            with np.errstate(over="ignore", invalid="ignore"):
                grown = np.exp(log_p + t * r * b)
                second = (offsets * (grown * b)[:, None]).T @ offsets
                spread = t * float(grown @ (np.abs(b - mean_b) * r))
            return float(np.linalg.eigvalsh(second)[-1]) + spread + left_out if np.isfinite(second).all() else np.inf

        radius, integral, last, before = 0.0, 0.0, 0.0, integrand(0.0)
        for share in RADII:
            s = share * width
            now = integrand(s)
            integral += 0.5 * (before + now) * (s - last)
            if not np.exp(c * s + mean_b * s * s) * integral < CONTRACTION * s:
                break
            radius, last, before = s, s, now
        return radius
