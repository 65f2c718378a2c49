r"""Logarithms of kernel sums far from all points, where the sums themselves underflow.

Relative to the nearest point, at distance r_0 in bandwidths, a sum is at least what has been summed of it so far, S,
and points beyond a radius R that holds

    exp(-(R^2 - r_0^2) / 2) sum_i w_i  <=  eps S,

are together less than eps of it. So a walk down a tree of boxes, near ones first, may leave out every box beyond R,
which falls as S grows, and boxes within R whose own weight at their nearest corner is as little. Far out that leaves a
thin shell of points.
"""

import math

import numpy as np

from modeseek.engines.threads import run_chunks
from modeseek.fields import Floats, Ints

LEFT_OUT = 1e-9  # of each sum
TRUSTED = 1e-8  # of all weight: a lower sum within REACH may lack more than 1e-8 of itself
FARTHEST = 1e150  # bandwidths: squares of longer distances overflow
LEAF = 8  # points
HALF = 10  # of the bits of each coordinate that order the points
ROUNDING = 1e-12  # of squares of distances, generously
QUERIES_PER_CHUNK = 512


def log_sums_of_tree(
    points: Floats,
    weights: Floats,
    queries: Floats,
    n_jobs: int | None = None,
    left_out: float = LEFT_OUT,
    left_out_far: float | None = None,
) -> Floats:
    """Return log sum_i w_i exp(-|q - x_i|^2 / 2) at each query, (m,), all lengths in bandwidths, in up to 3 columns.

    Of each sum ``left_out`` is left out at most, or ``left_out_far`` where no point is within 4 bandwidths; -inf where
    squares of distances overflow.
    """
    return LogSums(points, weights).at(queries, n_jobs, left_out, left_out_far)


class LogSums:
    """Kernel sums over a tree of points.

    Parameters
    ----------
    points : ndarray of shape (n, d), d <= 3
        Points, in bandwidths.
    weights : ndarray of shape (n,)
        Their weights, of which one is above 0.
    """

    def __init__(self, points: Floats, weights: Floats):
        kept = np.flatnonzero(weights > 0.0)
        order = kept[np.argsort(_along_a_curve(points[kept]), kind="stable")]
        n, d = len(order), points.shape[1]
        self.points, self.weights = np.zeros((3, n)), weights[order]
        self.points[3 - d :] = points[order].T
        n_leaves = 1 << max(0, math.ceil(math.log2(-(-n // LEAF))))
        self.first_leaf = n_leaves - 1
        self.low, self.high = np.full((2, 2 * n_leaves - 1, 3), np.inf)
        starts = np.arange(0, n, LEAF)
        leaves = slice(self.first_leaf, self.first_leaf + len(starts))
        self.low[leaves] = np.minimum.reduceat(self.points, starts, axis=1).T
        self.high[leaves] = np.maximum.reduceat(self.points, starts, axis=1).T
        self.held = np.zeros(2 * n_leaves - 1)
        self.held[leaves] = np.add.reduceat(self.weights, starts)
        for first in (2**level - 1 for level in reversed(range(n_leaves.bit_length() - 1))):
            self._cover(slice(first, 2 * first + 1), slice(2 * first + 1, 4 * first + 3))

    def _cover(self, nodes: slice, parts: slice) -> None:
        """Set the boxes of a level of nodes to hold those of their parts; what begins at infinity holds nothing."""
        low, high = self.low[parts].reshape(-1, 2, 3), self.high[parts].reshape(-1, 2, 3)
        self.held[nodes] = self.held[parts].reshape(-1, 2).sum(axis=1)
        self.low[nodes] = low.min(axis=1)
        self.high[nodes] = np.where(np.isinf(low[:, 1]), high[:, 0], high.max(axis=1))

    def at(
        self,
        queries: Floats,
        n_jobs: int | None = None,
        left_out: float = LEFT_OUT,
        left_out_far: float | None = None,
    ) -> Floats:
        """Do as `log_sums_of_tree`."""
        from modeseek.engines.cpu import far

        out = np.full(len(queries), -np.inf)
        rows = np.flatnonzero((np.abs(queries) < FARTHEST).all(axis=1))
        q, found = np.zeros((len(rows), 3)), np.empty(len(rows))
        q[:, 3 - queries.shape[1] :] = queries[rows]
        share = np.array([left_out, left_out if left_out_far is None else left_out_far])
        depth = 2 * len(self.low).bit_length() + 2

        def work(_: int, start: int, stop: int) -> None:
            far.log_sums(
                self.points, self.weights, self.low, self.high, self.held, LEAF, self.first_leaf, share, ROUNDING,
                q[start:stop], np.empty(depth, np.int64), np.empty(depth), found[start:stop],
            )  # fmt: skip

        run_chunks(len(rows), work, n_jobs, QUERIES_PER_CHUNK)
        out[rows] = found
        return out


def _along_a_curve(points: Floats) -> Ints:
    """Return numbers that order points along Morton's curve: what is near in the order is near in space, mostly."""
    low = points.min(axis=0)
    side = float((points.max(axis=0) - low).max())
    index = ((points - low) * ((2 ** (2 * HALF) - 1) / side) if side > 0.0 else np.zeros(points.shape)).astype(np.int64)
    d, digits = points.shape[1], np.arange(1 << HALF)
    spread = sum(((digits >> bit) & 1) << (d * bit) for bit in range(HALF))
    out = np.zeros(len(points), np.int64)
    for axis in range(d):
        out |= (spread[index[:, axis] >> HALF] << (d * HALF) | spread[index[:, axis] & (len(digits) - 1)]) << axis
    return out
