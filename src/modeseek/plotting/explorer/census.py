"""Counts, weights, means and standard deviations of the clusters at every bandwidth.

Sums are taken once for each history (`modeseek.plotting.explorer.clusterings`), about the mean of all points and in
units of each column's spread, and added up for every bandwidth. Standard deviations divide by the weight of the
cluster, as `numpy.std` does. Nothing is known here of pages.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from modeseek.plotting.explorer.clusterings import Clusterings, Floats

CHUNK = 1 << 18  # rows summed at a time


@dataclass(frozen=True)
class Sums:
    """Of each of k histories."""

    counts: Floats  # (k,), points
    weights: Floats  # (k,)
    firsts: Floats  # (k, d), weighted sums of (x - origin) / unit
    squares: Floats  # (k, d), and of their squares
    origin: Floats  # (d,)
    unit: Floats  # (d,)


def sums_of(X: NDArray[np.floating], sample_weight: Floats | None, found: Clusterings) -> Sums:
    """Sum over the points of each history."""
    (n, d), k = X.shape, len(found.histories)
    origin, unit = X.mean(axis=0, dtype=np.float64), X.std(axis=0, dtype=np.float64)
    unit = np.where(unit > 0.0, unit, 1.0)
    counts, weights, firsts, squares = np.zeros(k), np.zeros(k), np.zeros((k, d)), np.zeros((k, d))
    for begin in range(0, n, CHUNK):
        rows = slice(begin, begin + CHUNK)
        codes, Z = found.codes[rows], (X[rows] - origin) / unit
        w = np.ones(len(codes)) if sample_weight is None else sample_weight[rows]
        counts += np.bincount(codes, minlength=k)
        weights += np.bincount(codes, w, k)
        for column in range(d):
            firsts[:, column] += np.bincount(codes, w * Z[:, column], k)
            squares[:, column] += np.bincount(codes, w * Z[:, column] ** 2, k)
    return Sums(counts, weights, firsts, squares, origin, unit)


@dataclass(frozen=True)
class Census:
    """The clusters at one bandwidth, the largest first; those beyond `means` are only counted."""

    counts: NDArray[np.int64]  # (c,), points
    weights: Floats  # (c,)
    means: Floats  # (r, d) of the r largest
    deviations: Floats  # (r, d)


def census(found: Clusterings, sums: Sums, stop: int, rows: int) -> Census:
    """Describe the clusters at one bandwidth, up to so many of them with their means."""
    labels, c = found.histories[:, stop], len(found.modes[stop])
    counts, weights = (np.bincount(labels, part, c).astype(np.float64) for part in (sums.counts, sums.weights))
    shown = labels < rows
    r = min(rows, c)

    def added(parts: Floats) -> Floats:
        return np.stack([np.bincount(labels[shown], part[shown], r) for part in parts.T], axis=1)

    mass = np.where(weights[:r] > 0.0, weights[:r], np.nan)[:, None]
    means = added(sums.firsts) / mass
    variances = (added(sums.squares) / mass - means**2).clip(0.0)
    return Census(counts.astype(np.int64), weights, means * sums.unit + sums.origin, np.sqrt(variances) * sums.unit)
