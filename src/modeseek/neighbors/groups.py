"""Compact groups of rows in many columns: a tree of k-means, cut where groups are small enough.

A group is split around means that are found on an evenly spread sample of its rows, by Lloyd's rounds (S. P. Lloyd,
"Least squares quantization in PCM", IEEE Trans. Inf. Theory 28, 1982); every row goes to the nearest mean. Distances
are matrix products, |x - c|^2 / 2 = |x|^2 / 2 - x.c + |c|^2 / 2, of which the first term is the same for all means.
Rows are read a few at a time, wherever they lie, so that nothing of the size of the data is made. No random numbers:
the same rows give the same groups.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modeseek.engines.threads import run_chunks, single_threaded_blas

Ints = NDArray[np.int64]
Read = Callable[[Ints], NDArray[Any]]  # rows -> their coordinates, (m, d)

LARGEST = 512  # rows of a group
BRANCHES = 256  # of one split
SAMPLED = 32  # rows of the sample for each branch
ROUNDS = 3
ROWS_AT_ONCE = 1 << 12


def spread(n: int, most: int) -> Ints:
    """Return up to so many of n rows: the middles of parts of equal length.

    Examples
    --------
    >>> print(spread(10, 2), spread(2, 10))
    [2 7] [0 1]
    """
    k = min(n, most)
    return (2 * np.arange(k) + 1) * n // (2 * k)


def nearest(x: NDArray[Any], centres: NDArray[Any]) -> Ints:
    """Return the nearest centre of each row; of equally near ones the first."""
    products = x @ centres.T
    products -= 0.5 * np.einsum("ij,ij->i", centres, centres)
    return products.argmax(axis=1)


def group_rows(n: int, read: Read, largest: int = LARGEST, n_jobs: int | None = None) -> tuple[Ints, Ints]:
    """Order rows so that neighbours are together.

    Parameters
    ----------
    n : int
        Rows.
    read : callable
        Returns the coordinates (m, d) of the rows it is given; they should not be far from 0.
    largest : int, default 256
        Most rows of a group.
    n_jobs : int, optional
        Threads; the result is the same for any number.

    Returns
    -------
    order : ndarray of shape (n,)
        The rows, group by group.
    starts : ndarray of shape (n_groups + 1,)
        Where in ``order`` each group starts, and n.

    Examples
    --------
    >>> X = np.array([[0.0], [9.0], [0.1], [9.1], [0.2], [9.2]])
    >>> order, starts = group_rows(6, X.__getitem__, largest=3)
    >>> print(order, starts)
    [0 2 4 1 3 5] [0 3 5 6]
    """
    done: list[Ints] = []
    waiting = [np.arange(n)]
    with single_threaded_blas():
        while waiting:
            large = [rows for rows in waiting if len(rows) > largest]
            done += [rows for rows in waiting if len(rows) <= largest]
            pieces: list[list[Ints]] = [[] for _ in large]

            def work(_: int, i: int, __: int, large: list[Ints] = large, pieces: list[list[Ints]] = pieces) -> None:
                pieces[i] = _split(large[i], read, largest, n_jobs)

            run_chunks(len(large), work, n_jobs, 1)
            waiting = [piece for parts in pieces for piece in parts]
    return np.concatenate(done), np.append(0, np.cumsum([len(rows) for rows in done]))


def _split(rows: Ints, read: Read, largest: int, n_jobs: int | None) -> list[Ints]:
    """Split rows around means; rows that do not part, as repeats do not, are cut as they come."""
    k = min(BRANCHES, -(-3 * len(rows) // (2 * largest)))
    sample = read(rows[spread(len(rows), SAMPLED * k)])
    centres = sample[spread(len(sample), k)]
    for _ in range(ROUNDS):
        centres = _means(sample, nearest(sample, centres), centres)
    number = np.empty(len(rows), np.int64)

    def work(_: int, start: int, stop: int) -> None:
        number[start:stop] = nearest(read(rows[start:stop]), centres)

    run_chunks(len(rows), work, n_jobs, ROWS_AT_ONCE)
    order = np.argsort(number, kind="stable")
    pieces = np.split(rows[order], np.flatnonzero(np.diff(number[order])) + 1)
    return pieces if len(pieces) > 1 else np.array_split(rows, -(-len(rows) // largest))


def _means(x: NDArray[Any], number: Ints, centres: NDArray[Any]) -> NDArray[Any]:
    """Return the mean of the rows of each number; a centre without rows stays where it is."""
    order = np.argsort(number, kind="stable")
    first = np.flatnonzero(np.diff(number[order], prepend=-1))
    moved = centres.copy()
    counts = np.diff(np.append(first, len(x)))
    moved[number[order[first]]] = np.add.reduceat(x[order], first) / counts[:, None].astype(x.dtype)
    return moved
