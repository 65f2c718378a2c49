r"""Mean shift by its definition in many columns: plain matrix products over all points, in float64.

    x <- m(x) = sum_i w_i e^{-|x - x_i|^2 / 2h^2} x_i / sum_i w_i e^{-|x - x_i|^2 / 2h^2},

nothing left out; with directions, rows are divided by their lengths, and so is every mean. A climb ends where the way
still to go, |step| / (1 - q) with q the quotient of its last two steps, is below `REST` bandwidths. Points are read and
converted a few rows at a time, whatever their type and wherever they lie.

In up to three columns sums over directions are those of `modeseek.definition`, as the chord's Gaussian is that of
space.

In hundreds of columns the traps of `modeseek.exact` would cost more than the climbs. This module shares no code with
the fields that a fit sums and climbs on: it is there to check them.
"""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from modeseek.definition import Definition
from modeseek.engines.threads import run_chunks, single_threaded_blas

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

REST = 1e-5  # bandwidths
MAX_STEPS = 5000
TOGETHER = 1e-2  # bandwidths between ends of one mode
FEW_COLUMNS = 3  # up to which directions are summed as `modeseek.definition` sums points: within reach
QUERIES_AT_ONCE = 256
ROWS_AT_ONCE = 1 << 11


class Products:
    """Sums over all points.

    Parameters
    ----------
    points : ndarray of shape (n, d), float32 or float64
        Points; no copy is made.
    weights : array-like of shape (n,)
        Weights, at least 0; length 0 means unit weights.
    bandwidth : float
        Standard deviation of the Gaussian.
    sphere : bool, default False
        Whether directions are compared, not points.
    n_jobs : int, optional
        Threads.
    """

    def __init__(
        self,
        points: NDArray[Any],
        weights: ArrayLike,
        bandwidth: float,
        *,
        sphere: bool = False,
        n_jobs: int | None = None,
    ):
        self.points, self.bandwidth, self.sphere, self.n_jobs = points, bandwidth, sphere, n_jobs
        w = np.asarray(weights, np.float64)
        with np.errstate(divide="ignore"):
            self.log_weights = np.log(w) if w.size else np.zeros(len(points))
        self.near: Definition | None = None
        if sphere and points.shape[1] <= FEW_COLUMNS:
            self.near = Definition(_directions(points.astype(np.float64)), w, bandwidth, n_jobs)
        self.origin = np.zeros(points.shape[1]) if sphere else np.asarray(points.mean(axis=0, dtype=np.float64))

    def scaled(self, x: ArrayLike) -> Floats:
        """Return positions in bandwidths about the mean of the points; directions about the origin."""
        rows = np.asarray(x, np.float64) - self.origin
        return (_directions(rows) if self.sphere else rows) / self.bandwidth

    def original(self, x: Floats) -> Floats:
        """Undo `scaled`."""
        return x * self.bandwidth + self.origin

    def step(self, x: Floats) -> Floats:
        """Return m(x) for each row of x, in bandwidths."""
        if self.near is not None:
            return self._step_near(self.near, x)
        means = np.empty_like(x)

        def work(_: int, start: int, stop: int) -> None:
            means[start:stop] = self._means(x[start:stop])

        with single_threaded_blas():
            run_chunks(len(x), work, self.n_jobs, QUERIES_AT_ONCE)
        return means

    def _step_near(self, definition: Definition, x: Floats) -> Floats:
        """Do as `step` by directions in few columns, on sorted points within reach."""
        order = np.lexsort(np.floor(x / 2.0).T[::-1])
        at = definition.scaled(self.original(x[order]))
        means = np.empty_like(x)
        means[order] = self.scaled(definition.original(at + definition.shift(at)))
        return means

    def _means(self, x: Floats) -> Floats:
        """Sum over parts of the points; what is summed so far is scaled by e^{-top}, top the highest exponent yet."""
        top, total, pulls = np.full(len(x), -np.inf), np.zeros(len(x)), np.zeros_like(x)
        half = 0.5 * np.square(x).sum(axis=1)[:, None]
        for start in range(0, len(self.points), ROWS_AT_ONCE):
            part = slice(start, start + ROWS_AT_ONCE)
            y = self.scaled(self.points[part])
            logs = x @ y.T - half + (self.log_weights[part] - 0.5 * np.square(y).sum(axis=1))
            higher = np.maximum(top, logs.max(axis=1))
            known = np.isfinite(higher)
            fading = np.exp(np.where(known, top - np.where(known, higher, 0.0), 0.0))
            weights = np.exp(logs - np.where(known, higher, 0.0)[:, None])
            total = fading * total + weights.sum(axis=1)
            pulls = fading[:, None] * pulls + weights @ y
            top = higher
        means = pulls / total[:, None]
        return _directions(means) / self.bandwidth if self.sphere else means

    def climb(self, starts: ArrayLike) -> tuple[Ints, Floats]:
        """Climb each start to rest; return numbers of the modes, and where each climb ends.

        Ends within `TOGETHER` bandwidths have one number; it is -1 where `MAX_STEPS` did not bring a climb to rest.
        """
        x = self.scaled(starts)
        moving, previous = np.arange(len(x)), np.full(len(x), np.inf)
        for _ in range(MAX_STEPS):
            if not moving.size:
                break
            after = self.step(x[moving])
            length = np.sqrt(np.square(after - x[moving]).sum(axis=1))
            x[moving] = after
            with np.errstate(divide="ignore", invalid="ignore"):
                rests = (length <= 1e-9 * REST) | (length <= REST * (1.0 - length / previous[moving]))
            rests &= np.isfinite(previous[moving]) | (length == 0.0)
            previous[moving] = length
            moving = moving[~rests]
        number = numbers(x)
        number[moving] = -1
        return number, self.original(x)


def numbers(ends: Floats) -> Ints:
    """Tell ends apart by location: each has the number of the first one within `TOGETHER` of it."""
    number, firsts = np.full(len(ends), -1), 0
    for r in range(len(ends)):
        if number[r] < 0:
            left = np.flatnonzero(number < 0)
            near = np.square(ends[left] - ends[r]).sum(axis=1) <= TOGETHER**2
            number[left[near]] = firsts
            firsts += 1
    return number


def _directions(x: Floats) -> Floats:
    """Divide rows by their lengths; a zero row stays."""
    largest = np.abs(x).max(axis=1, keepdims=True)
    x = x / np.where(largest > 0.0, largest, 1.0)
    length = np.sqrt(np.square(x).sum(axis=1, keepdims=True))
    return x / np.where(length > 0.0, length, 1.0)
