r"""The blocks field: compact blocks of points, dense tiles between those within reach; any dimension.

    m(q) = sum_i w_i exp(-|q - x_i|^2 / 2 h^2) x_i / sum_i w_i exp(-|q - x_i|^2 / 2 h^2)

Points and queries are grouped as the leaves of a kd-tree. A tile of queries meets the blocks within REACH, so that
only weights below one rounding error of the weight at distance zero are left out; where no block is far, in many
dimensions, what remains is the dense form in cache-sized tiles, of which BLAS does two thirds or more.

A climb goes a long way to a mode that others have reached before, so a few pilots go first, and their modes become
traps (see ``traps``). The others then climb in float32 tiles with a bound on their distance from the exact path,

    delta' <= tr(Cov) / h^2 e^{2 delta R} delta + eta,

eta bounding the rounding of one step; one that is in a trap with all its delta has arrived, as the exact path has.
Whatever is not decided before delta grows too large climbs again from its start in float64. So labels are those of
float64, whatever the tiles were.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike, NDArray

from modeseek.cells import distinct_rows
from modeseek.engines.threads import run_chunks, single_threaded_blas
from modeseek.fields import CONCAVE, REACH, Floats, Ints
from modeseek.fields.block_sums import WIDEST, BlockSums
from modeseek.fields.compact import compact_groups, without
from modeseek.fields.traps import SAME, Traps, trap_radius

ROUNDING = 2.0**-24  # of float32
LARGEST_ERROR = 0.05  # bandwidths that a float32 climb may be off
PILOTS = 128  # one start of so many goes first, then four times as many, while these still find new modes
FRUITFUL = 0.02  # new modes by start
MAX_DRIFT = 0.1  # bandwidths that polishing may move a resting point
NEWTON_STEPS = 12
SETTLED = 1e-10  # bandwidths
ROWS_AT_ONCE = 1 << 13  # climbs that go together: 64 tiles keep the threads busy, and their memory is fixed
HESSIANS_AT_ONCE = 1 << 20  # values
SAME_REST = 0.02  # bandwidths, about: of resting points closer than this one is polished


class BlocksField(BlockSums):
    """Mean shift over the points of blocks within reach.

    Parameters
    ----------
    points : array-like of shape (n, d)
        Points.
    weights : array-like of shape (n,)
        Weights; length 0 means unit weights. Points of weight 0 are dropped.
    bandwidth : float
        Standard deviation h of the Gaussian.

    Attributes
    ----------
    n_pairs : int
        Weights computed so far.
    n_again : int
        Climbs that float32 could not decide.
    traps : Traps
        Modes found so far and the balls around them.
    """

    def __init__(self, points: ArrayLike, weights: ArrayLike, bandwidth: float):
        super().__init__(points, weights, bandwidth)
        self.traps = Traps.none(self.points.shape[1])
        self.n_again = 0

    # ------------------------------------------------------------------------------------------------ climbs

    def climb(self, starts: Floats, *, tol: float, max_iter: int, n_jobs: int | None = None) -> tuple[Floats, Ints]:
        """Climb every start to rest, or into a trap: then it ends at the mode. With ``tol=0`` there are no traps."""
        x, steps = self._scaled(starts), np.zeros(len(starts), np.int64)
        if not len(x):
            return x, steps
        order, _ = compact_groups(x, WIDEST)
        with single_threaded_blas():
            if tol == 0.0:
                for rows in _batches(order):
                    x[rows], steps[rows] = self._to_rest(x[rows], Traps.none(x.shape[1]), tol, max_iter, n_jobs)
            else:
                self._by_rounds(x, order, steps, tol, max_iter, n_jobs)
        x *= self.bandwidth
        x += self.centre
        return x, steps

    def _by_rounds(self, x: Floats, order: Ints, steps: Ints, tol: float, max_iter: int, n_jobs: int | None) -> None:
        """Climb a few starts first, and more while these still find new modes; then the rest. Ends replace starts."""
        waiting = np.ones(len(x), bool)
        stride = PILOTS
        while waiting.any():
            chosen = order[stride // 2 :: stride] if stride > 1 else order
            chosen = chosen[waiting[chosen]]
            waiting[chosen] = False
            known = len(self.traps)
            again = sum(self._climb(x, rows, steps, tol, max_iter, n_jobs) for rows in _batches(chosen))
            stride = stride // 4 if len(self.traps) - known > FRUITFUL * again else 1

    def _climb(self, x: Floats, rows: Ints, steps: Ints, tol: float, max_iter: int, n_jobs: int | None) -> int:
        """Climb the chosen rows of x, in place; return how many no trap that was known could decide."""
        if len(self.traps):
            x[rows], steps[rows] = self._roughly(x[rows], tol, max_iter, n_jobs)
            rows = rows[steps[rows] < 0]
            self.n_again += len(rows)
        if rows.size:
            x[rows], steps[rows] = self._to_rest(x[rows], self.traps, tol, max_iter, n_jobs)
            self._add_traps(x[rows], n_jobs)
        return len(rows)

    def _to_rest(self, x: Floats, traps: Traps, tol: float, max_iter: int, n_jobs: int | None) -> tuple[Floats, Ints]:
        """Climb in float64 until a climb rests or is caught; steps are negative where max_iter cut it short.

        x is written over with the ends.
        """
        order, tiles = compact_groups(x, WIDEST)
        ends, steps = x, np.full(len(x), -max_iter, np.int64)
        x, previous = x[order], np.full(len(x), np.inf)
        before = x
        for n in range(max_iter + 1):
            mode, done = traps.catch(x, np.zeros(len(x)))
            x[done] = traps.centres[mode[done]]
            if n:
                length = np.sqrt(np.square(x - before).sum(axis=1))
                with np.errstate(divide="ignore", invalid="ignore"):
                    q = length / previous
                done |= (length <= tol) & ((length <= 1e-9 * tol) | ((n > 1) & (length <= tol * (1.0 - q))))
                previous = length
            ends[order] = x
            steps[order[done]] = max(n, 1)
            if done.all() or n == max_iter:
                break
            x, order, previous, tiles = x[~done], order[~done], previous[~done], without(tiles, ~done)
            if n & (n + 1) == 0 and n:  # after 1, 3, 7 ... steps
                again, tiles = compact_groups(x, WIDEST)
                x, order, previous = x[again], order[again], previous[again]
            before = x
            x = self._step(x, tiles, np.float64, n_jobs)[:, 4:]
        return ends, steps

    def _roughly(self, x: Floats, tol: float, max_iter: int, n_jobs: int | None) -> tuple[Floats, Ints]:
        """Climb in float32 until a climb is caught for certain; steps are negative where it was not.

        x is written over with the ends of those that are caught.
        """
        order, tiles = compact_groups(x, WIDEST)
        ends, steps = x, np.full(len(x), -1, np.int64)
        x, error = x[order], np.zeros(len(x))
        for n in range(max_iter + 1):
            mode, done = self.traps.catch(x, error)
            ends[order[done]] = self.traps.centres[mode[done]]
            steps[order[done]] = max(n, 1)
            kept = ~done & (error <= LARGEST_ERROR)
            if n == max_iter or not kept.any():
                break
            x, order, error, tiles = x[kept], order[kept], error[kept], without(tiles, kept)
            sums = self._step(x, tiles, np.float32, n_jobs)
            error = self._error(x, sums, error)
            error[np.square(sums[:, 4:] - x).sum(axis=1) <= tol * tol] = np.inf  # it rests where no trap is
            x = sums[:, 4:]
        return ends, steps

    def _error(self, x: Floats, sums: Floats, error: Floats) -> Floats:
        """Bound the distance of a float32 step from that of the exact path, in bandwidths.

        With a = |q - c|, the exponent of a point at distance r is off by at most u (A + B r + C r^2): the product
        of d terms in any order, the two norms, two sums, coordinates rounded about c, and the exponential.
        """
        from modeseek.engines.cpu.block_tiles import PACK

        d = x.shape[1]
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            density, a = sums[:, 0], np.sqrt(2.0 * sums[:, 3])
            r2, r4 = 2.1 * sums[:, 1] / density, 4.2 * sums[:, 2] / density  # means of r^2 and r^4, a little more
            variance = 1.05 * np.maximum(r2 / 1.05 - np.square(sums[:, 4:] - x).sum(axis=1), 1e-3 * r2)
            r = np.sqrt(r2)
            exponents = (d + 5) * a * a + 11 + (d + 7) * a * r + 3.5 * np.sqrt(r4)
            rounding = ROUNDING * (1.1 * exponents * np.sqrt(variance) + (2.2 * PACK + 2) * (a + r))
            left_out = 2.0 * REACH * np.exp(-0.5 * REACH**2) * self.total / density
            growth = variance * np.exp(2.0 * REACH * error) + 1e-6
            bound = growth * error + rounding + left_out
        return np.where(np.isfinite(bound), bound, np.inf)

    # ------------------------------------------------------------------------------------------------- modes

    def _add_traps(self, resting: Floats, n_jobs: int | None) -> None:
        """Set a trap at each new mode near the resting points."""
        _, distance = self.traps.nearest(resting)
        resting = resting[distance > SAME]
        if not resting.size:
            return
        _, first = distinct_rows(resting, lambda part: np.round(part / SAME_REST).astype(np.int64))
        places = resting[first]
        at_once = max(1, HESSIANS_AT_ONCE // places.shape[1] ** 2)
        for start in range(0, len(places), at_once):
            modes = self._settle(places[start : start + at_once], n_jobs)
            self.traps = self.traps.and_more(modes, self._radii(modes, n_jobs))

    def _radii(self, modes: Floats, n_jobs: int | None) -> Floats:
        radii = np.zeros(len(modes))

        def work(_: int, i: int, __: int) -> None:
            z = modes[i]
            radii[i] = trap_radius(self.points, self.weights, self._rows_near(z), z, self._beyond(z))

        run_chunks(len(modes), work, n_jobs, 1)
        return radii

    def _settle(self, start: Floats, n_jobs: int | None) -> Floats:
        """Newton's method with the first Hessian, from resting points; return the distinct new modes it finds."""
        hessian = np.empty((len(start), start.shape[1], start.shape[1]))

        def work(_: int, i: int, __: int) -> None:
            hessian[i] = self._hessian(start[i])[1]

        run_chunks(len(start), work, n_jobs, 1)
        concave = np.linalg.eigvalsh(hessian)[:, 0] > CONCAVE
        if not concave.any():
            return start[:0]
        start, hessian = start[concave], hessian[concave]
        order, tiles = compact_groups(start, WIDEST)
        start, hessian = start[order], hessian[order]
        z, settled = start.copy(), np.zeros(len(start), bool)
        for _ in range(NEWTON_STEPS):
            s = self._step(z, tiles, np.float64, n_jobs)[:, 4:] - z
            step = np.linalg.solve(hessian, s[:, :, None])[:, :, 0]
            z += step
            settled = np.square(step).sum(axis=1) <= SETTLED**2
            if settled.all():
                break
        z = z[settled & (np.square(z - start).sum(axis=1) <= MAX_DRIFT**2)]
        z = z[self.traps.nearest(z)[1] > SAME]
        kept: list[int] = []
        for i in range(len(z)):
            if not kept or np.square(z[kept] - z[i]).sum(axis=1).min() > SAME**2:
                kept.append(i)
        return z[kept]

    def newton(self, queries: Floats, n_jobs: int | None = None) -> tuple[Floats, NDArray[np.bool_]]:
        """Return the Newton step to the stationary point near each query, and whether log f is concave there."""
        q = self._scaled(queries)
        steps, concave = np.zeros_like(q), np.zeros(len(q), bool)
        mode, distance = self.traps.nearest(q)
        known = distance <= SETTLED
        known[known] = self.traps.radii[mode[known]] > 0.0
        concave[known] = True
        rest = np.flatnonzero(~known)

        def work(_: int, i: int, __: int) -> None:
            s, hessian = self._hessian(q[rest[i]])
            concave[rest[i]] = np.linalg.eigvalsh(hessian)[0] > CONCAVE
            if concave[rest[i]]:
                steps[rest[i]] = np.linalg.solve(hessian, s)

        with single_threaded_blas():
            run_chunks(len(rest), work, n_jobs, 1)
        return steps * self.bandwidth, concave


def _batches(rows: Ints) -> Iterator[Ints]:
    """Cut rows in compact order into parts that climb one after the other."""
    return (rows[start : start + ROWS_AT_ONCE] for start in range(0, len(rows), ROWS_AT_ONCE))
