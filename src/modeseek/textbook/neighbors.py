"""Nearest neighbours by looking at every pair, and locality-sensitive hashing by its definition.

The distance of q to x is |q - x| = sqrt(sum_k (q_k - x_k)^2), in float64 of the differences. Of rows at the same
distance the lower one comes first, so that there is one right answer.

Source: M. Datar, N. Immorlica, P. Indyk and V. Mirrokni, "Locality-sensitive hashing scheme based on p-stable
distributions", Symposium on Computational Geometry (2004) 253-262.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from modeseek.textbook.arrays import float_copy, integer, positive

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def k_nearest(Q: ArrayLike, X: ArrayLike, k: int) -> tuple[Floats, Ints]:
    """Return the k rows of X nearest to each row of Q.

    Parameters
    ----------
    Q : array of shape (m, d)
        Queries.
    X : array of shape (n, d)
        Points.
    k : int
        Neighbours of each query, at most n.

    Returns
    -------
    distances : ndarray of shape (m, k)
        In rising order.
    rows : ndarray of shape (m, k)
        Rows of X; of equal distances the lower row is first.

    Raises
    ------
    ValueError
        If k exceeds n, or an array is not a finite (n, d).

    Examples
    --------
    >>> distances, rows = k_nearest([[0.0, 0.0]], [[3.0, 4.0], [0.0, 1.0], [1.0, 0.0]], 2)
    >>> print(distances, rows)
    [[1. 1.]] [[1 2]]
    """
    queries, points = _pair(Q, X)
    k = integer("k", k, 1)
    if k > len(points):
        raise ValueError(f"k must be at most the number of points, {len(points)}, got {k}")
    distances, rows = np.empty((len(queries), k)), np.empty((len(queries), k), np.int64)
    for i, q in enumerate(queries):
        squares = ((points - q) ** 2).sum(1)
        rows[i] = np.argsort(squares, kind="stable")[:k]
        distances[i] = np.sqrt(squares[rows[i]])
    return distances, rows


def within(Q: ArrayLike, X: ArrayLike, radius: float) -> list[Ints]:
    """Return, for each row of Q, the rows of X at a distance of at most ``radius``, in rising order.

    Parameters
    ----------
    Q : array of shape (m, d)
        Queries.
    X : array of shape (n, d)
        Points.
    radius : float
        Largest distance, positive; ``|q - x|^2 <= radius^2`` is what is tested, in float64.

    Returns
    -------
    list of m ndarrays
        Rows of X.

    Examples
    --------
    >>> within([[0.0], [9.0]], [[1.0], [0.0], [1.5]], 1.0)
    [array([0, 1]), array([], dtype=int64)]
    """
    queries, points = _pair(Q, X)
    square = positive("radius", radius) ** 2
    return [np.flatnonzero(((points - q) ** 2).sum(1) <= square) for q in queries]


def lsh_candidates(Q: ArrayLike, X: ArrayLike, directions: ArrayLike, offsets: ArrayLike, width: float) -> list[Ints]:
    """Return, for each row of Q, the rows of X that share a bucket with it in at least one table.

    Table t has the hashes ``floor((a.x + b) / width)``, one for each of its directions a and offsets b; two points
    share a bucket of it if all of them agree. Directions are drawn from the normal distribution, offsets uniformly
    from [0, width).

    Parameters
    ----------
    Q : array of shape (m, d)
        Queries.
    X : array of shape (n, d)
        Points.
    directions : array of shape (n_tables, n_hashes, d)
        The a of each hash.
    offsets : array of shape (n_tables, n_hashes)
        The b of each hash.
    width : float
        Width of a bucket along a direction, positive.

    Returns
    -------
    list of m ndarrays
        Rows of X, in rising order.

    Examples
    --------
    >>> lsh_candidates([[0.5]], [[0.9], [1.1], [0.0]], [[[1.0]]], [[0.0]], 1.0)
    [array([0, 2])]
    """
    queries, points = _pair(Q, X)
    a, b, width = np.asarray(directions, np.float64), np.asarray(offsets, np.float64), positive("width", width)
    if a.ndim != 3 or a.shape[2] != points.shape[1] or b.shape != a.shape[:2]:
        raise ValueError(
            f"directions must have shape (n_tables, n_hashes, {points.shape[1]}) and offsets (n_tables, n_hashes), "
            f"got {a.shape} and {b.shape}"
        )
    keys_q, keys_x = (np.floor((np.einsum("thd,nd->nth", a, z) + b) / width) for z in (queries, points))
    return [np.flatnonzero((keys_x == key).all(2).any(1)) for key in keys_q]


def _pair(Q: ArrayLike, X: ArrayLike) -> tuple[Floats, Floats]:
    """Return queries and points as float64 of the same number of columns."""
    queries = float_copy("Q", np.asarray(Q, np.float64))
    points = float_copy("X", np.asarray(X, np.float64))
    if queries.shape[1] != points.shape[1]:
        raise ValueError(f"Q and X must have the same number of columns, got {queries.shape[1]} and {points.shape[1]}")
    return queries, points
