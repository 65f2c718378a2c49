r"""Logarithms of kernel sums far from all points, where the sums themselves underflow.

With r the distance of the nearest point, in bandwidths,

    log sum_i w_i exp(-r_i^2 / 2)  =  -r^2 / 2 + log sum_i w_i exp((r^2 - r_i^2) / 2),

and all points beyond R, R^2 = r^2 + 2 log(sum_i w_i / (w_min NEGLIGIBLE)), together weigh less than NEGLIGIBLE of the
nearest one. So a sum far out is over a thin shell of the points, which a kd-tree finds.
"""

import math
from itertools import pairwise

import numpy as np
from scipy.spatial import cKDTree

from modeseek.engines.threads import effective_n_jobs
from modeseek.fields import Floats, Ints

NEGLIGIBLE = 1e-9
TRUSTED = 1e-8  # of all weight: a lower sum within REACH may lack more than 1e-8 of itself
PAIRS_AT_ONCE = 1 << 22
FARTHEST = 1e150  # bandwidths: squares of longer distances overflow


def log_sums_of_tree(points: Floats, weights: Floats, queries: Floats, n_jobs: int | None = None) -> Floats:
    """Return log sum_i w_i exp(-|q - x_i|^2 / 2) at each query, (m,), all lengths in bandwidths.

    Relative to the sums, all over again 1e-9 is left out at most; -inf where squares of distances overflow.
    """
    if not weights.all():
        points, weights = points[weights > 0.0], weights[weights > 0.0]
    tree, workers = cKDTree(points), effective_n_jobs(n_jobs)
    out = np.full(len(queries), -np.inf)
    with np.errstate(over="ignore"):
        nearest, _ = tree.query(np.clip(queries, -FARTHEST, FARTHEST), workers=workers)
    rows = np.flatnonzero((np.abs(queries) < FARTHEST).all(axis=1) & (nearest < FARTHEST))
    spread = 2.0 * math.log(float(weights.sum()) / (float(weights.min()) * NEGLIGIBLE))
    # the nearest point itself is in the ball whatever is rounded
    radius = np.sqrt(np.square(nearest) + spread) * (1.0 + 1e-12)
    counts = tree.query_ball_point(queries[rows], radius[rows], return_length=True, workers=workers)
    for part in _parts(np.asarray(counts)):
        at = rows[part]
        found = tree.query_ball_point(queries[at], radius[at], return_sorted=True, workers=workers)
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
