r"""Climbs in many columns: paths that have come together move as one, and the first modes catch most of the others.

The means of the groups climb first: they start near the modes, and there are few of them. Where several come to rest
together, or places are few, exact sums over all points lead on to the mode. There a ball is set, wherever the closest
points, and the groups of the others as points, say that steps contract: with weights p_i at the mode z and
y_i = x_i - m(z),

    |m(z + u) - m(z)| <= q(|u|) |u|,      q(s) = largest eigenvalue of  sum_i p_i e^{s |y_i|} y_i y_i^T,

as in `traps`. On the sphere u leans towards z by no more than e = s h / 2, and what moves m along z does not turn it.
With q for the directions across z alone, and r = sum_i p_i e^{s |y_i|} (y_i.z / |z|)^2 along it, the Cauchy-Schwarz
inequality leaves

    across:  (q + e sqrt(q r)) s,      along:  |m(z)| - (sqrt(q r) + e r) s,

the ratio of which is the tangent of the angle to z. What enters a ball has arrived. Every point then starts; after one
or two steps most are in a ball, and rows of a tile that come together follow the first of them.

None of this is proven, as sums are not exact: `modeseek.audit` says how good it is.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from modeseek.engines.threads import run_chunks, single_threaded_blas
from modeseek.fields import Floats, Ints, log_normaliser
from modeseek.fields.closest_sums import ClosestSums
from modeseek.fields.traps import CONTRACTION, Traps
from modeseek.neighbors.groups import nearest

LINK = 8.0  # resting points closer than LINK * tol bandwidths belong together
SAME = 1e-3  # bandwidths between positions of one mode
MERGED = 0.02  # bandwidths at which a path follows another, and
TOGETHER = 0.5  # factor by which the step before has brought them together
JITTER = 20  # steps of one length that count as rest where they are short: sums jump where groups come and go
JUMP = 0.05  # bandwidths that such a step may have
RADII = (0.1, 0.3, 0.7, 1.2)  # of balls, in bandwidths
CLOSEST_OF_BALLS = 1024
POLISHING = 100  # exact steps
LARGEST_LOG = 10.0  # of a weight: steps contract with far smaller ones alone
FEW_PLACES = 256  # up to which exact sums lead on from where a single climb came to rest, too
SETTLED = 1e-7  # bandwidths
ROWS_AT_ONCE = 1 << 15  # climbs that go together
PLACES_AT_ONCE = 1 << 10


class ClosestField(ClosestSums):
    """Mean shift on the closest points, the others in groups: see `ClosestSums` for the parameters.

    Attributes
    ----------
    traps : Traps
        Modes found so far, in bandwidths, and the balls around them.
    """

    def __init__(self, points: NDArray[Any], weights: Floats, bandwidth: float, **options: Any):
        super().__init__(points, weights, bandwidth, **options)
        d = self.points.shape[1]
        self.traps = Traps.none(d)
        self._places = np.empty((0, d))  # where climbs on these sums come to rest
        self._mode_of_place = np.empty(0, np.int64)

    def shift(self, queries: Floats, n_jobs: int | None = None) -> tuple[Floats, Floats]:
        """Return the mean and the unnormalised density at each query."""
        means, logs = self._shift(self.scaled(queries), n_jobs)
        return self.original(means), np.exp(logs)

    def _shift(self, q: NDArray[np.floating], n_jobs: int | None) -> tuple[NDArray[np.floating], Floats]:
        """Return means and the log of the density, all lengths in bandwidths."""
        means, logs = np.empty_like(q), np.empty(len(q))
        with single_threaded_blas():
            tiles = self.tiles(q, np.arange(len(q)), n_jobs)

            def work(_: int, tile: int, __: int) -> None:
                rows, own = tiles[tile]
                means[rows], logs[rows] = self.step(q[rows], own)

            run_chunks(len(tiles), work, n_jobs, 1)
        return means, logs

    def log_density(self, queries: Floats, n_jobs: int | None = None) -> Floats:
        """Return the log of the normalised density at each query, normalised as in space."""
        _, logs = self._shift(self.scaled(queries), n_jobs)
        return logs - log_normaliser(float(self.weights.sum()), self.points.shape[1], self.bandwidth)

    def climb(self, starts: Floats, *, tol: float, max_iter: int, n_jobs: int | None = None) -> tuple[Floats, Ints]:
        """Climb every start to rest, or into a ball: then it ends at the mode. With ``tol=0`` there are no balls."""
        x = self.scaled(starts)
        with single_threaded_blas():
            if tol > 0.0 and not len(self.traps):
                self.find_modes(tol, max_iter, n_jobs)
            mode, steps = self._climb(x, tol, max_iter, n_jobs)
        x = self.original(x)
        x[mode >= 0] = self.modes[mode[mode >= 0]]
        return x, steps

    @property
    def modes(self) -> Floats:
        """The modes found so far."""
        return self.original(self.traps.centres)

    def find_modes(self, tol: float, max_iter: int, n_jobs: int | None = None) -> int:
        """Find the modes that the means of the groups climb to; return the most steps."""
        with single_threaded_blas():
            x = self.put_back(self.means, self.means).copy()
            _, steps = self._climb(x, tol, max_iter, n_jobs)
            self._settle(x, tol, n_jobs)
        return int(np.abs(steps).max())

    def climb_all(self, tol: float, max_iter: int, n_jobs: int | None = None) -> tuple[Ints, Ints]:
        """Climb from every point of positive weight; return its mode and steps, in the order of ``order``."""
        mode, steps = np.empty(len(self.points), np.int64), np.empty(len(self.points), np.int64)
        with single_threaded_blas():
            for start in range(0, len(self.points), ROWS_AT_ONCE):
                part = slice(start, start + ROWS_AT_ONCE)
                x = self.points[part].copy()
                mode[part], steps[part] = self._climb(x, tol, max_iter, n_jobs)
                rest = mode[part] < 0
                mode[part][rest] = self._settle(x[rest], tol, n_jobs)
        return mode, steps

    # ------------------------------------------------------------------------------------------------ climbs

    def _climb(self, x: NDArray[np.floating], tol: float, max_iter: int, n_jobs: int | None) -> tuple[Ints, Ints]:
        """Climb the rows of x, in place; return the mode that caught each, -1 for none, and its steps.

        Steps are negative where max_iter cut a climb short.
        """
        mode, steps = np.full(len(x), -1), np.full(len(x), -max_iter)
        finest = self.finest if tol > 0.0 else 0.0
        leader, previous = np.arange(len(x)), np.full(len(x), np.inf)
        moving, shortest, since = np.ones(len(x), bool), np.full(len(x), np.inf), np.zeros(len(x), np.int64)
        for n in range(1, max_iter + 1):
            tiles = self.tiles(x, np.flatnonzero(moving), n_jobs)

            def work(_: int, tile: int, __: int, n: int = n, tiles: list[tuple[Ints, Ints]] = tiles) -> None:
                part, own = tiles[tile]
                before = x[part]
                after, _density = self.step(before, own)
                x[part] = after
                length = np.sqrt(np.square(after - before, dtype=np.float64).sum(axis=1))
                done = np.zeros(len(part), bool)
                if tol > 0.0 and len(self.traps):
                    index, done = self.traps.catch(after, np.zeros(len(part)))
                    mode[part[done]] = index[done]
                with np.errstate(divide="ignore", invalid="ignore"):
                    q = length / previous[part]
                done |= (length <= tol) & (
                    (length <= max(1e-9 * tol, finest)) | ((n > 1) & (length <= tol * (1.0 - q)))
                )
                shorter = length < 0.9 * shortest[part]
                shortest[part] = np.where(shorter, length, shortest[part])
                since[part] = np.where(shorter, 0, since[part] + 1)
                done |= (
                    (tol > 0.0) & (since[part] >= JITTER) & (length <= np.clip(1.5 * shortest[part], 0.1 * tol, JUMP))
                )
                previous[part] = length
                steps[part[done]] = n
                moving[part[done]] = False
                left = part[~done]
                if tol > 0.0 and left.size:
                    led = left[_followers(before[~done], after[~done])]
                    leader[led], moving[led] = left[0], False

            run_chunks(len(tiles), work, n_jobs, 1)
            if not moving.any():
                break
        led = np.flatnonzero(leader != np.arange(len(x)))
        head = leader[led]
        while (leader[head] != head).any():
            head = leader[head]
        x[led], mode[led], steps[led] = x[head], mode[head], steps[head]
        return mode, steps

    # ------------------------------------------------------------------------------------------------- modes

    def _settle(self, x: NDArray[np.floating], tol: float, n_jobs: int | None) -> Ints:
        """Return the mode of each resting point, adding modes that are new."""
        at = x.astype(np.float64)
        mode = np.full(len(at), -1)
        link = LINK * tol
        for start in range(0, len(at), PLACES_AT_ONCE):
            part = slice(start, start + PLACES_AT_ONCE)
            index, distance = Traps(self._places, np.zeros(len(self._places))).nearest(at[part])
            known = distance <= link
            mode[part][known] = self._mode_of_place[index[known]]
            new = start + np.flatnonzero(~known)
            if new.size:
                group, first = _leaders(at[new], link)
                mode[new] = self._add(at[new[first]], np.bincount(group), n_jobs)[group]
        return mode

    def _add(self, places: Floats, counts: Ints, n_jobs: int | None) -> Ints:
        """Add the modes of new places, in which so many climbs came to rest; return the mode of each place."""
        tops, several = places.copy(), np.flatnonzero((counts > 1) | (len(places) <= FEW_PLACES))
        tops[several] = self._polish(tops[several], n_jobs)
        index, distance = self.traps.nearest(tops)
        mode = np.where(distance <= SAME, index, -1)
        new = np.flatnonzero(mode < 0)
        if new.size:
            group, first = _leaders(tops[new], SAME)
            mode[new] = len(self.traps) + group
            centres = tops[new[first]]
            radii = np.zeros(len(centres))
            shared = np.flatnonzero(np.bincount(group, counts[new]) > 1)

            def work(_: int, i: int, __: int) -> None:
                radii[shared[i]] = self._radius(centres[shared[i]])

            run_chunks(len(shared), work, n_jobs, 1)
            self.traps = self.traps.and_more(centres, radii)
        self._places = np.vstack([self._places, places])
        self._mode_of_place = np.append(self._mode_of_place, mode)
        return mode

    def _polish(self, x: Floats, n_jobs: int | None) -> Floats:
        """Climb on exact sums."""
        moving = np.arange(len(x))
        for _ in range(POLISHING):
            if not moving.size:
                break
            after = self.whole(x[moving], n_jobs)
            length = np.sqrt(np.square(after - x[moving]).sum(axis=1))
            x[moving] = after
            moving = moving[length > SETTLED]
        return x

    def _radius(self, mode: Floats) -> float:
        """Return the radius of the ball around a mode in which steps contract, 0 where not even the least does."""
        z = mode.astype(self.dtype)
        near = self.near_groups(self._logs_of_groups(z[None]), nearest(z[None], self.means), CLOSEST_OF_BALLS)
        far = np.setdiff1d(np.arange(len(self.means)), near)
        x = np.concatenate([self._rows_of(near, self.points), self.means[far]]).astype(np.float64)
        logs = -0.5 * np.square(x - mode).sum(axis=1)
        logs[: len(x) - len(far)] += self._rows_of(near, self.log_weights)
        logs[len(x) - len(far) :] = self._logs_of_groups(z[None])[0][far]
        logs -= logs.max()
        logs -= np.log(np.exp(logs).sum())
        mean = np.exp(logs) @ x
        x -= mean
        away = np.sqrt(np.square(x).sum(axis=1))
        length, along = 1.0, np.zeros(len(x))
        if self.sphere:
            length, along = float(mean @ mode) * self.bandwidth**2, x @ mode * self.bandwidth
            x -= along[:, None] * mode * self.bandwidth
        radius = 0.0
        for s in RADII:
            grown = np.exp(np.minimum(logs + s * away, LARGEST_LOG))
            across = _largest_eigenvalue((x * np.sqrt(grown)[:, None]).astype(np.float32))
            if not _contracts(s, across, float(grown @ np.square(along)), length, 0.5 * s * self.bandwidth):
                break
            radius = s
        return radius


def _contracts(s: float, across: float, along: float, length: float, lean: float) -> bool:
    """Tell whether a step from distance s of a mode ends nearer to it; ``along`` is 0 away from the sphere."""
    both = np.sqrt(across * along)
    return across + lean * both < CONTRACTION * (length - 2.0 * lean * (both + lean * along))


def _followers(before: NDArray[np.floating], after: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Tell which rows of a tile have come so close to the first that they may go with it.

    Only where the last step has brought them together: near a saddle it takes apart what is as close.
    """
    apart = np.square(before - before[:1]).sum(axis=1)
    now = np.square(after - after[:1]).sum(axis=1)
    found = (now <= MERGED**2) & (now <= TOGETHER**2 * apart)
    found[:1] = False
    return found


def _leaders(x: Floats, within: float) -> tuple[Ints, Ints]:
    """Group rows: each joins the first group whose first row is close enough; return groups and first rows."""
    half = 0.5 * np.einsum("ij,ij->i", x, x)
    close = half[:, None] + half - x @ x.T <= 0.5 * within * within + 1e-12 * half.max()
    group, first = np.full(len(x), -1), list[int]()
    for r in range(len(x)):
        if group[r] < 0:
            group[close[r] & (group < 0)] = len(first)
            first.append(r)
    return group, np.array(first)


def _largest_eigenvalue(y: NDArray[np.float32]) -> float:
    """Return the largest eigenvalue of y^T y."""
    gram = y.T @ y if len(y) >= y.shape[1] else y @ y.T
    return float(np.linalg.eigvalsh(gram)[-1])
