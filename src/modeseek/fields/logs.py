r"""Logarithms of kernel sums far from all points, where the sums themselves underflow.

The few nearest points, at distances r_j in bandwidths, bound a sum from below, and all beyond a radius R from above:

    sum_j w_j exp(-r_j^2 / 2)  <=  sum_i w_i exp(-r_i^2 / 2),        sum_{r_i > R} ...  <=  exp(-R^2 / 2) sum_i w_i.

So R follows beyond which all points together weigh less than a tolerance. Far out that leaves a thin shell of points,
which a kd-tree finds; exponentials are taken relative to the largest.
"""

import math
from itertools import pairwise

import numpy as np
from scipy.spatial import cKDTree

from modeseek.engines.threads import effective_n_jobs
from modeseek.fields import Floats, Ints

NEAREST = 8  # points that bound a sum from below
LEFT_OUT = 1e-9  # of each sum
TRUSTED = 1e-8  # of all weight: a lower sum within REACH may lack more than 1e-8 of itself
PAIRS_AT_ONCE = 1 << 22
FARTHEST = 1e150  # bandwidths: squares of longer distances overflow


def log_sums_of_tree(
    points: Floats, weights: Floats, queries: Floats, n_jobs: int | None = None, left_out: float = LEFT_OUT
) -> Floats:
    """Return log sum_i w_i exp(-|q - x_i|^2 / 2) at each query, (m,), all lengths in bandwidths.

    Of each sum ``left_out`` is left out at most; -inf where squares of distances overflow.
    """
    if not weights.all():
        points, weights = points[weights > 0.0], weights[weights > 0.0]
    tree, workers = cKDTree(points), effective_n_jobs(n_jobs)
    out = np.full(len(queries), -np.inf)
    rows = np.flatnonzero((np.abs(queries) < FARTHEST).all(axis=1))
    distance, near = tree.query(queries[rows], np.arange(1, min(NEAREST, len(points)) + 1), workers=workers)
    half = 0.5 * np.square(distance)
    least = np.log((weights[near] * np.exp(half[:, :1] - half)).sum(axis=1)) - half[:, 0]
    radius = np.sqrt(2.0 * (math.log(float(weights.sum()) / left_out) - least))
    radius = np.maximum(radius, distance[:, 0]) * (1.0 + 1e-12)  # whatever is rounded, the nearest is inside
    counts = tree.query_ball_point(queries[rows], radius, return_length=True, workers=workers)
    for part in _parts(np.asarray(counts)):
        at = rows[part]
        found = tree.query_ball_point(queries[at], radius[part], return_sorted=True, workers=workers)
        out[at] = _log_sums_of_lists(points, weights, queries[at], [np.asarray(f, np.int64) for f in found])
    return out


def _parts(counts: Ints) -> list[slice]:
    """Cut queries into runs of so many pairs, or of one query."""
    ends = np.flatnonzero(np.diff(np.cumsum(counts) // PAIRS_AT_ONCE)) + 1
    return [slice(a, b) for a, b in pairwise([0, *ends.tolist(), len(counts)]) if b > a]


def _log_sums_of_lists(points: Floats, weights: Floats, queries: Floats, near: list[Ints]) -> Floats:
    """Sum over the points listed for each query, at least one, by log-sum-exp."""
    sizes = np.array([len(part) for part in near])
    index, owner = np.concatenate(near), np.repeat(np.arange(len(near)), sizes)
    exponents = -0.5 * np.square(points[index] - queries[owner]).sum(axis=1)
    first = np.cumsum(sizes) - sizes
    highest = np.maximum.reduceat(exponents, first)
    sums = np.add.reduceat(weights[index] * np.exp(exponents - highest[owner]), first)
    return np.asarray(highest + np.log(sums))
