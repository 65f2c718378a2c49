r"""The exact answer, by the definition and nothing else.

    x <- m(x) = sum_i w_i e^{-s_i} x_i / sum_i w_i e^{-s_i},      s_i = |x - x_i|^2 / 2h^2,

in float64 over *all* points (no tree, no grid, no cut-off, no path ended early) until |m(x) - x| <= 1e-9 h.
Independent of the engines of the package: it shares no code with them.

Fast enough to check thousands of starts because the loops run along contiguous columns, block by block in the
first cache, and e^{-s} is plain arithmetic that vectorizes: a Taylor polynomial of e^{-s/64}, squared six times.
Beyond s = 64 it returns e^{-64} = 2e-28: as every start is a data point and its density can only rise, the sum
of the weights is at least 1, so this changes no step by more than n 2e-28 of the width of the data.
"""

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray

BLOCK = 512  # points, with their weights and exponents: a few pages, in the first cache
STARTS_PER_TASK = 8
PAIRS = 15e9  # point-start pairs that one case may cost
WITHIN = 0.05  # bandwidths between an exact end and the centre that stands for it

_FAST = {"reassoc", "contract", "nnan", "ninf", "nsz", "arcp"}
_THREADS = os.cpu_count() or 1

Floats = NDArray[np.float64]


@njit(inline="always")
def _exp_minus(s):
    t = min(s, 64.0) * (-1 / 64)
    p = 1 / 3628800 + t * (1 / 39916800)
    p = 1 / 5040 + t * (1 / 40320 + t * (1 / 362880 + t * p))
    p = 1 / 24 + t * (1 / 120 + t * (1 / 720 + t * p))
    p = 1 + t * (1 + t * (1 / 2 + t * (1 / 6 + t * p)))
    p *= p
    p *= p
    p *= p
    p *= p
    p *= p
    p *= p
    return p


@njit(cache=True, nogil=True, fastmath=_FAST)
def _gaussians(s, out):
    for i in range(len(s)):
        out[i] = _exp_minus(s[i])


@njit(cache=True, nogil=True, fastmath=_FAST)
def _add_pulls(points, weights, at, pulls, masses):
    """Add sum_i w_i g_i (x_i - x) to pulls (m, d) and sum_i w_i g_i to masses (m,).

    points is (d, n), weights (n,), at (m, d); lengths are in units of h sqrt(2), so that s = |x_i - x|^2.
    """
    d, n = points.shape
    buffer = np.empty(BLOCK)  # s, then w g
    for start in range(0, n, BLOCK):
        stop = min(start + BLOCK, n)
        w = weights[start:stop]
        for q in range(len(at)):
            buffer[:] = 0.0
            for k in range(d):
                x = at[q, k]
                column = points[k, start:stop]
                for i in range(stop - start):
                    difference = column[i] - x
                    buffer[i] += difference * difference
            mass = 0.0
            for i in range(stop - start):
                g = _exp_minus(buffer[i]) * w[i]
                buffer[i] = g
                mass += g
            masses[q] += mass
            for k in range(d):
                x = at[q, k]
                column = points[k, start:stop]
                pull = 0.0
                for i in range(stop - start):
                    pull += buffer[i] * (column[i] - x)
                pulls[q, k] += pull


def exp_error() -> float:
    """Return the largest error of the kernel's exponential against NumPy's, for exponents of 0 to 100."""
    s = np.linspace(0.0, 100.0, 200_001)
    ours = np.empty_like(s)
    _gaussians(s, ours)
    return float(np.abs(ours - np.exp(-s)).max())


def distinct(points: NDArray[Any]) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Return the distinct rows and how often each occurs: the same density with fewer sums."""
    return np.unique(points, axis=0, return_counts=True)


def exact_ends(
    points: ArrayLike,
    starts: ArrayLike,
    bandwidth: float,
    weights: ArrayLike | None = None,
    tol: float = 1e-9,
    max_iter: int = 100_000,
) -> tuple[Floats, NDArray[np.int64]]:
    """Let every start climb until it rests; the starts must be among the points.

    Parameters
    ----------
    points : array of shape (n, d)
        All points.
    starts : array of shape (m, d)
        Rows of ``points``; equal ones are climbed once.
    bandwidth : float
        Standard deviation of the Gaussian.
    weights : array of shape (n,), optional
        Weights, at least 1.
    tol : float, default 1e-9
        Step in bandwidths at which a start rests.
    max_iter : int, default 100_000
        Most steps.

    Returns
    -------
    ends : array of shape (m, d)
        Where the paths end.
    steps : array of shape (m,)
        How many steps each took.
    """
    columns, w, origin = _prepared(points, weights, bandwidth)
    unit = bandwidth * np.sqrt(2.0)
    first, inverse = np.unique(np.asarray(starts, np.float64), axis=0, return_inverse=True)
    x = (first - origin) / unit
    steps = np.zeros(len(x), np.int64)
    moving = np.arange(len(x))
    with ThreadPoolExecutor(_THREADS) as pool:
        for _ in range(max_iter):
            if not len(moving):
                break
            step = _shifts(pool, columns, w, x[moving])
            x[moving] += step
            steps[moving] += 1
            moving = moving[np.sqrt((step**2).sum(1)) > tol / np.sqrt(2.0)]
    if len(moving):
        raise RuntimeError(f"{len(moving)} of {len(x)} starts are not at rest after {max_iter} steps")
    return (x * unit + origin)[inverse], steps[inverse]


def _prepared(points: ArrayLike, weights: ArrayLike | None, bandwidth: float) -> tuple[Floats, Floats, Floats]:
    """Return the points as columns about their middle, in units of h sqrt(2); the weights; the middle."""
    P = np.asarray(points)
    origin = (P.min(0).astype(np.float64) + P.max(0)) / 2
    columns = np.empty(P.shape[::-1])
    for k, column in enumerate(columns):
        np.subtract(P[:, k], origin[k], out=column, dtype=np.float64)
        column /= bandwidth * np.sqrt(2.0)
    w = np.ones(len(P)) if weights is None else np.ascontiguousarray(weights, dtype=np.float64)
    if w.shape != (len(P),) or w.min() < 1:
        raise ValueError("weights must be one number of at least 1 for each point")
    return columns, w, origin


def _shifts(pool: ThreadPoolExecutor, columns: Floats, weights: Floats, at: Floats) -> Floats:
    """Return m(x) - x for the rows x of ``at``."""
    pulls, masses = np.zeros_like(at), np.zeros(len(at))
    size = min(STARTS_PER_TASK, -(-len(at) // _THREADS))

    def work(first: int) -> None:
        part = slice(first, first + size)
        _add_pulls(columns, weights, at[part], pulls[part], masses[part])

    list(pool.map(work, range(0, len(at), size)))
    if masses.min() < 0.999:
        raise ValueError("a start is not one of the points")
    return pulls / masses[:, None]


@dataclass(frozen=True)
class Sample:
    """Some rows of the data and where their exact paths end."""

    rows: NDArray[np.int64]
    ends: Floats
    bandwidth: float

    def agreement(self, labels: ArrayLike, centers: ArrayLike, within: float = WITHIN) -> float:
        """Return the share of the sample whose label, out of those of all points, is right."""
        return agreement(np.asarray(labels)[self.rows], centers, self.ends, self.bandwidth, within)


def exact_sample(
    points: NDArray[Any],
    bandwidth: float,
    most: int = 5000,
    pairs: float = PAIRS,
    merge_repeats: bool = False,
    seed: int = 0,
) -> Sample:
    """Climb from a random sample of the points: ``most`` starts, or as many as ``pairs`` pairs pay for."""
    rng = np.random.default_rng(seed)
    weights: NDArray[np.int64] | None = None
    whole = points
    if merge_repeats:
        points, weights = distinct(points)
    some = np.unique(points[rng.integers(0, len(points), 20_000)], axis=0)  # a sketch of how long paths are
    steps = exact_ends(some, some[rng.integers(0, len(some), 64)], bandwidth, tol=1e-6)[1].mean() * 1.5
    size = int(min(most, len(whole), max(2, pairs / (len(points) * steps))))
    rows = rng.choice(len(whole), size, replace=False)
    ends, _ = exact_ends(points, whole[rows], bandwidth, weights)
    return Sample(rows, ends, bandwidth)


def agreement(
    labels_sample: ArrayLike, centers: ArrayLike, ends: ArrayLike, bandwidth: float, within: float = WITHIN
) -> float:
    """Return the share of a sample whose labels are those of the exact answer; modes are matched by location.

    Parameters
    ----------
    labels_sample : int array of shape (m,)
        The labels to be judged.
    centers : array of shape (k, d)
        The centre that each label stands for.
    ends : array of shape (m, d)
        The exact end of each point of the sample.
    bandwidth : float
        Bandwidth of the climb.
    within : float, default 0.05
        Largest distance, in bandwidths, of an end from its centre. Infinite for methods with another kernel,
        whose centres lie elsewhere.

    Returns
    -------
    float
        Share of the sample whose end has the centre of its label as the nearest centre, and within reach.
    """
    labels, E = np.asarray(labels_sample), np.asarray(ends, np.float64)
    squares = np.zeros((len(E), len(np.asarray(centers))))
    for k, column in enumerate(np.asarray(centers, np.float64).T):
        squares += (E[:, k, None] - column) ** 2
    near = np.sqrt(squares.min(1)) <= within * bandwidth
    return float(np.mean(near & (labels == squares.argmin(1))))
