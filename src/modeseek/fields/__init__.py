"""Only the closest points count: four ways to sum a kernel, one interface of two verbs.

``shift(queries)`` makes one mean-shift step and returns (means, densities); ``climb(starts, ...)`` repeats it
until each start rests. ``dense`` sums over everything (any dimension), ``blocks`` over compact blocks of points
within reach, in tiles (any dimension), ``grid`` over sorted points within reach (d <= 3), ``table`` interpolates
sums tabulated on a sketch's own grid (d <= 3).
"""

import math
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

# exp(-REACH^2 / 2) = 2^-53: a weight beyond is less than one rounding error of the weight at distance zero
REACH = 8.571674348652905

# least eigenvalue of I - J (the negative Hessian of log f, times h^2) that counts as a maximum
CONCAVE = 1e-9

# of the lightest point: the most that all mass beyond a shorter reach may weigh beside it
TAIL = 1e-3


def reach_of_tail(total: float, lightest: float, tail: float = TAIL) -> float:
    """Return the bandwidths beyond which all mass weighs less than ``tail`` of the lightest point: 4 to 7 usually."""
    return min(REACH, math.sqrt(2.0 * math.log(max(total / (tail * lightest), 2.0))))


def log_normaliser(total: float, d: int, bandwidth: float) -> float:
    """Return the log of sum_i w_i (2 pi h^2)^(d/2), which makes a kernel sum a density."""
    return math.log(total) + 0.5 * d * math.log(2.0 * math.pi) + d * math.log(bandwidth)


class Field(Protocol):
    """What `climb` needs of a density."""

    bandwidth: float

    def shift(self, queries: Floats) -> tuple[Floats, Floats]:
        """Return m(q), (m, d), and the unnormalised density at q, (m,)."""
        ...

    def climb(self, starts: Floats, *, tol: float, max_iter: int, n_jobs: int | None = None) -> tuple[Floats, Ints]:
        """Return where each start comes to rest, (m, d), and its number of steps, (m,).

        A climb rests when the way still to go, estimated as |step| / (1 - q) with q the ratio of its last two
        steps, is below ``tol`` bandwidths; the number of steps is negative where max_iter cut it short. A start
        with nothing in reach first makes one step over all points, so it lands among them.
        """
        ...


class GaussianField(Field, Protocol):
    """What a field of the Gaussian knows besides."""

    def log_density(self, queries: Floats, n_jobs: int | None = None) -> Floats:
        """Return the log of the normalised density at each query, (m,), however far from the points it is."""
        ...
