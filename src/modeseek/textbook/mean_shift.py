"""Mean shift as a textbook would write it: the definition that every fast engine is tested against.

One step moves x to the weighted mean of the points, each weighted by a function g of its distance to x::

    m(x) = sum_i g(|x - x_i|) x_i / sum_i g(|x - x_i|),     g(d) = exp(-d^2 / 2h^2) / (h sqrt(2 pi))

*Blurring* mean shift (`one_update`, `meanshift_loop`, `meanshift`) moves the data themselves, X <- m(X), for
a few rounds: the fast.ai notebook. *Standard* mean shift (`climb`, `modes`) leaves the points where they are
and lets every start climb their density, x <- m(x), until it rests: the clusters are the basins of the modes.

Source: fast.ai course22p2 ("From Deep Learning Foundations to Stable Diffusion"), lesson *mean shift*;
K. Fukunaga and L. Hostetler, IEEE Trans. Inf. Theory 21 (1975) 32-40; Y. Cheng, IEEE Trans. Pattern Anal.
Mach. Intell. 17 (1995) 790-799.

NumPy arrays and Torch tensors (any device) are treated alike, and Torch is never imported unless asked for.
Slow and plain on purpose: no trees, no truncation, no compiled code.
"""

import math
import warnings
from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.typing import ArrayLike, NDArray

from modeseek.textbook.arrays import Array, check_points, copy, float_copy, integer, is_floating, namespace, positive

Weight = Callable[[Array], Array]  # distances -> weights

_TILE = 1 << 14  # numbers in the largest temporary of `climb`: small enough to stay in cache


# ---------------------------------------------------------------------------------------- weight functions


def gaussian(d: Array, bw: float) -> Array:
    """Gaussian weight of the distance `d`: the normal density with standard deviation `bw`.

    Parameters
    ----------
    d : array, tensor or number
        Distances.
    bw : float
        Bandwidth, positive.

    Returns
    -------
    array, tensor or number
        exp(-d^2 / 2 bw^2) / (bw sqrt(2 pi)), of the shape of `d`.

    Examples
    --------
    >>> print(gaussian(np.array([0.0, 2.5, 5.0]), 2.5).round(4))
    [0.1596 0.0968 0.0216]
    """
    bw = positive("bw", bw)
    return namespace(d).exp(-0.5 * (d / bw) ** 2) / (bw * math.sqrt(2 * math.pi))


def tri(d: Array, i: float) -> Array:
    """Triangular weight of the distance `d`: 1 at 0, falling in a straight line to 0 at `i`.

    Parameters
    ----------
    d : array, tensor or number
        Distances.
    i : float
        Distance from which on the weight is zero, positive.

    Returns
    -------
    array, tensor or number
        max(0, i - d) / i, of the shape of `d`.

    Examples
    --------
    >>> print(tri(np.array([0.0, 2.0, 8.0, 9.0]), 8))
    [1.   0.75 0.   0.  ]
    """
    i = positive("i", i)
    return namespace(d).clip(-d + i, 0, None) / i


NOTEBOOK_WEIGHT: Weight = partial(tri, i=8)  # what the notebook's one_update uses


# ------------------------------------------------------------------------- blurring mean shift: the notebook


def dist_b(a: Array, b: Array) -> Array:
    """Euclidean distance of every row of `b` to every row of `a`.

    Parameters
    ----------
    a : array or tensor of shape (n, d)
        All points.
    b : array or tensor of shape (m, d)
        A batch of points.

    Returns
    -------
    array or tensor of shape (m, n)
        Entry (i, j) is ``|a[j] - b[i]|``. The squares are added one coordinate at a time, so memory is m x n.

    Examples
    --------
    >>> print(dist_b(np.array([[0.0, 0.0], [3.0, 4.0]]), np.array([[0.0, 4.0]])))
    [[4. 3.]]
    """
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[1] or a.shape[1] == 0:
        raise ValueError(f"a and b must be (n, d) and (m, d), d >= 1; got {tuple(a.shape)} and {tuple(b.shape)}")
    xp = namespace(a, b)
    squares: Array = sum((a[None, :, k] - b[:, None, k]) ** 2 for k in range(a.shape[1]))
    return xp.sqrt(squares)


def one_update(X: Array, weight: Weight = NOTEBOOK_WEIGHT) -> None:
    """Move every point of `X` to its weighted mean, one after the other and **in place**.

    A point sees the points before it where they have just moved to, as in the notebook.

    Parameters
    ----------
    X : array or tensor of shape (n, d), floating point
        Points; overwritten.
    weight : callable, default tri(d, 8)
        Weights of the distances; must not be zero at distance 0.

    Examples
    --------
    >>> X = np.array([[0.0], [4.0], [20.0]])
    >>> one_update(X)
    >>> print(X.ravel().round(4))
    [ 1.3333  2.9333 20.    ]
    """
    check_points("X", X)
    if not is_floating(X):
        raise TypeError(f"X must be floating point to be updated in place, got {X.dtype}")
    xp = namespace(X)
    for i, x in enumerate(X):
        dist = xp.sqrt(((x - X) ** 2).sum(1))  # (n,)
        w = weight(dist)
        X[i] = (w[:, None] * X).sum(0) / w.sum()


def meanshift_loop(data: Array, rounds: int = 5, weight: Weight = NOTEBOOK_WEIGHT) -> Array:
    """Blurring mean shift, one point at a time: a copy of the data after `rounds` times `one_update`.

    Parameters
    ----------
    data : array or tensor of shape (n, d)
        Points; left unchanged. Integers are read as floating point.
    rounds : int, default 5
        Number of passes over the data.
    weight : callable, default tri(d, 8)
        Weights of the distances; must not be zero at distance 0.

    Returns
    -------
    array or tensor of shape (n, d)
        The moved points.

    Examples
    --------
    >>> print(meanshift_loop(np.array([[0.0], [4.0], [20.0]])).ravel().round(2))
    [ 2.35  2.36 20.  ]
    """
    rounds = integer("rounds", rounds, 0)
    X = float_copy("data", data)
    for _ in range(rounds):
        one_update(X, weight)
    return X


def meanshift(
    data: Array,
    bs: int = 500,
    *,
    rounds: int = 5,
    bandwidth: float = 2.5,
    weight: Weight | None = None,
    update: str = "batch",
) -> Array:
    """Blurring mean shift, a batch of points at a time.

    Parameters
    ----------
    data : array or tensor of shape (n, d)
        Points; left unchanged. Integers are read as floating point.
    bs : int, default 500
        Batch size; the largest temporaries are bs x n.
    rounds : int, default 5
        Number of passes over the data.
    bandwidth : float, default 2.5
        Standard deviation of the Gaussian weight; not used when `weight` is given.
    weight : callable, optional
        Weights of the distances, in place of the Gaussian; must not be zero at distance 0.
    update : {"batch", "simultaneous"}, default "batch"
        "batch" is the notebook's: a batch sees the batches before it where they have just moved to, so the
        answer depends on `bs`. With "simultaneous" all points of a round move from the same snapshot, and
        `bs` changes memory only (and the last bits).

    Returns
    -------
    array or tensor of shape (n, d)
        The moved points.

    Examples
    --------
    >>> X = np.array([[0.0], [4.0], [20.0]])
    >>> print(meanshift(X, rounds=1, update="simultaneous").ravel().round(4))
    [ 0.8702  3.1298 20.    ]
    >>> print(meanshift(X, bs=1, rounds=1).ravel().round(4))
    [ 0.8702  3.0187 20.    ]
    """
    bs, rounds = integer("bs", bs, 1), integer("rounds", rounds, 0)
    if update not in ("batch", "simultaneous"):
        raise ValueError(f'update must be "batch" or "simultaneous", got {update!r}')
    if weight is None:
        weight = partial(gaussian, bw=positive("bandwidth", bandwidth))
    X = float_copy("data", data)
    for _ in range(rounds):
        source = X if update == "batch" else copy(X)
        for i in range(0, len(X), bs):
            s = slice(i, i + bs)
            w = weight(dist_b(source, source[s]))  # (bs, n)
            X[s] = w @ source / w.sum(1)[:, None]
    return X


# -------------------------------------------------------------- standard mean shift: what engines must equal


def climb(
    points: ArrayLike,
    starts: ArrayLike,
    bandwidth: float,
    weights: ArrayLike | None = None,
    tol: float = 1e-12,
    max_iter: int = 100_000,
) -> NDArray[np.float64]:
    """Let every start climb the Gaussian density of `points` until it rests.

    The iteration is ``x <- m(x)`` until ``|m(x) - x| <= tol * bandwidth``, in float64 and over all points. The
    largest exponent of each start is subtracted from its exponents, so a start far from every point moves
    too. A start on a saddle or a minimum rests there.

    Parameters
    ----------
    points : array of shape (n, d)
        Points that make the density; they do not move.
    starts : array of shape (m, d)
        Where the paths begin.
    bandwidth : float
        Standard deviation of the Gaussian, positive.
    weights : array of shape (n,), optional
        Weight of each point, not negative; default 1.
    tol : float, default 1e-12
        Length, in bandwidths, of a step that counts as rest. A step too short to change the float64
        coordinates is rest as well.
    max_iter : int, default 100_000
        Largest number of steps; a ``RuntimeWarning`` says how many starts did not come to rest.

    Returns
    -------
    array of shape (m, d)
        Where the paths end.

    Examples
    --------
    >>> points = np.array([[-1.0], [1.0], [10.0]])
    >>> print(climb(points, [[-5.0], [0.5], [99.0]], bandwidth=1.5).ravel().round(4) + 0.0)
    [ 0.  0. 10.]
    """
    h, tol = positive("bandwidth", bandwidth), positive("tol", tol)
    max_iter = integer("max_iter", max_iter, 0)
    P, logw = _weighted_points(points, weights)
    x = float_copy("starts", np.asarray(starts, dtype=np.float64))
    if x.shape[1] != P.shape[1]:
        raise ValueError(f"points have {P.shape[1]} coordinates, starts have {x.shape[1]}")
    centre = P.mean(0)  # a far origin must not cost digits
    P, x = np.ascontiguousarray((P - centre).T), x - centre  # (d, n) and (m, d)
    rows = max(1, _TILE // P.size)
    unrested = sum(_climb_tile(P, logw, x[i : i + rows], h, tol, max_iter) for i in range(0, len(x), rows))
    if unrested:
        message = f"{unrested} of {len(x)} starts not at rest after {max_iter} steps"
        warnings.warn(message, RuntimeWarning, stacklevel=2)
    return x + centre


def modes(ends: ArrayLike, bandwidth: float, tol: float = 1e-3) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Match end points of `climb` by location: ends within tol * bandwidth of a mode belong to it.

    Parameters
    ----------
    ends : array of shape (m, d)
        End points.
    bandwidth : float
        The bandwidth of the climb, positive.
    tol : float, default 1e-3
        Largest distance, in bandwidths, of an end to its mode: far above what `climb` leaves on any but the
        flattest top, far below the distance of two modes.

    Returns
    -------
    modes : array of shape (k, d)
        The first end that reached each mode, in the order of `ends`.
    index : array of shape (m,)
        Number of the mode of each end.

    Examples
    --------
    >>> found, index = modes([[5.0], [0.0], [5.0001]], bandwidth=1.0)
    >>> print(found.ravel(), index)
    [5. 0.] [0 1 0]
    """
    radius = positive("bandwidth", bandwidth) * positive("tol", tol)
    E = float_copy("ends", np.asarray(ends, dtype=np.float64))
    index = np.full(len(E), -1, dtype=np.int64)
    firsts: list[int] = []
    while (index < 0).any():
        first = int(np.argmax(index < 0))
        near = dist_b(E, E[first : first + 1])[0] <= radius
        index[near & (index < 0)] = len(firsts)
        firsts.append(first)
    return E[firsts], index


def _climb_tile(P: NDArray, logw: NDArray, x: NDArray, h: float, tol: float, max_iter: int) -> int:
    """Climb from the rows of `x`, in place, on the columns of `P`; return how many did not come to rest."""
    moving = np.arange(len(x))
    for _ in range(max_iter):
        if not len(moving):
            break
        here = x[moving]
        diff = P[:, None] - np.ascontiguousarray(here.T)[:, :, None]  # (d, b, n): sums run along memory
        exponent = logw - (diff**2).sum(0) / (2 * h * h)  # (b, n)
        w = np.exp(exponent - exponent.max(1, keepdims=True))
        step = ((w * diff).sum(2) / w.sum(1)).T  # m(x) - x, with no cancellation
        x[moving] = here + step
        rested = (np.sqrt((step**2).sum(1)) <= tol * h) | (here + step == here).all(1)
        moving = moving[~rested]
    return len(moving)


def _weighted_points(points: ArrayLike, weights: ArrayLike | None) -> tuple[NDArray, NDArray]:
    """Return the points of positive weight, and the logarithms of the weights."""
    P = float_copy("points", np.asarray(points, dtype=np.float64))
    w = np.ones(len(P)) if weights is None else np.asarray(weights, dtype=np.float64)
    if w.shape != (len(P),):
        raise ValueError(f"weights must have shape ({len(P)},), got {w.shape}")
    if not (np.isfinite(w).all() and (w >= 0).all() and (w > 0).any()):
        raise ValueError("weights must be finite and not negative, and at least one must be positive")
    return P[w > 0], np.log(w[w > 0])
