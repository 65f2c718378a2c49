r"""Trap balls: what enters one has arrived at its mode.

Let z be a mode, y_i = x_i - z in bandwidths, and w_i the weights of the points at z (kernel and own) with sum W. At
x = z + u the weights are w_i exp(y_i.u - |u|^2 / 2), and their sum is at least W exp(-|u|^2 / 2) (Jensen's
inequality; the mean of y_i is 0 at a mode). So the Jacobian J of the step, the covariance of the points under the
weights at x, has norm at most

    q(s) = largest eigenvalue of  sum_i w_i exp(s |y_i|) y_i y_i^T / W,      s = |u|,

and, J being integrated along the ray from z to x, |m(x) - z| <= Q(r) |x - z| on the ball of radius r, with
Q(r) = int_0^r q(s) ds / r. Where Q(r) < 1 every step from the ball leads closer to z by that factor: z is the only
mode in it, and every path that enters ends there. q is convex in s, so the trapezoidal rule bounds Q from above.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from modeseek.fields import REACH, Floats, Ints
from modeseek.fields.compact import ROWS_AT_ONCE

RADII = (0.1, 0.3, 0.7, 1.2, 1.8, 2.5)  # bandwidths at which q is computed
CONTRACTION = 0.98  # what Q(r) may be at most
IGNORED = 0.05  # of q, the least terms of which are bounded by their trace
VALUES_AT_ONCE = 1 << 16  # distances held at once: so few stay in the second cache
SAME = 1e-6  # bandwidths between two positions of one mode


@dataclass(frozen=True)
class Traps:
    """Balls (centres in bandwidths) in which every path ends at the centre."""

    centres: Floats  # (k, d)
    radii: Floats  # (k,); 0: nothing is caught

    @classmethod
    def none(cls, d: int) -> "Traps":
        """Return no traps, in d dimensions."""
        return cls(np.empty((0, d)), np.empty(0))

    def __len__(self) -> int:
        return len(self.radii)

    def and_more(self, centres: Floats, radii: Floats) -> "Traps":
        """Return these balls and more: those who read them meanwhile see the old ones, whole."""
        return Traps(np.concatenate([self.centres, centres]), np.concatenate([self.radii, radii]))

    def nearest(self, x: Floats) -> tuple[Ints, Floats]:
        """Return the nearest centre of each row and its distance, infinite where there are none."""
        index, distance = np.zeros(len(x), np.int64), np.full(len(x), np.inf)
        if not len(self):
            return index, distance
        norms = 0.5 * np.einsum("ij,ij->i", self.centres, self.centres)
        rows = max(1, VALUES_AT_ONCE // max(self.centres.shape))
        for start in range(0, len(x), rows):
            part = slice(start, start + rows)
            index[part] = (x[part] @ self.centres.T - norms).argmax(axis=1)  # rounding may choose another: harmless
            distance[part] = np.sqrt(np.square(x[part] - self.centres[index[part]]).sum(axis=1))
        return index, distance

    def catch(self, x: Floats, error: Floats) -> tuple[Ints, NDArray[np.bool_]]:
        """Return the nearest trap of each row, and whether it holds all positions within ``error`` of the row."""
        index, distance = self.nearest(x)
        radius = self.radii[index] if len(self) else np.zeros(len(x))
        return index, distance + error < radius


def trap_radius(
    points: Floats,
    own: Floats,
    near: Ints,
    mode: Floats,
    outside: float,
    mean: Floats | None = None,
    contraction: float = CONTRACTION,
) -> float:
    """Return the radius of the trap around a mode, in bandwidths; 0 if there is none.

    Offsets from the mode are computed anew wherever they are needed, a few rows at a time.

    Parameters
    ----------
    points : ndarray of shape (n, d)
        Points in bandwidths.
    own : ndarray of shape (n,)
        Their own weights.
    near : ndarray of int
        Which of them are near: at least those within REACH of the mode.
    mode : ndarray of shape (d,)
        The mode.
    outside : float
        Total of the own weights of all points that are not near.
    mean : ndarray of shape (d,), optional
        The mean of the points under the weights at the mode, where that is not the mode: on a sphere.
    contraction : float
        What Q(r) may be at most.
    """
    squares = _squares(points, near, mode)
    weights = own[near] * np.exp(-0.5 * squares)
    beside = 0.0
    if mean is not None:
        squares, beside = _squares(points, near, mean), float(np.linalg.norm(mean - mode))
        mode = mean
    kept = weights > 0.0
    near, squares, weights = near[kept], squares[kept], weights[kept]
    outside /= weights.sum()
    weights /= weights.sum()
    distances = np.sqrt(squares)

    def bound(s: float) -> float:
        # exp(s (r + b) - r^2 / 2) (r + b)^2 falls with r beyond REACH
        tail = outside * (REACH + beside) ** 2 * math.exp((s - 0.5 * REACH) * REACH + s * beside)
        grown = weights * np.exp(s * distances)
        return _largest(points, near, mode, grown, grown * squares) + tail

    return radius_of(bound, contraction)


def radius_of(bound: Callable[[float], float], contraction: float = CONTRACTION) -> float:
    """Return the radius up to which the integral of a convex bound q(s) keeps Q(r) at ``contraction`` or less."""
    radius, integral, before = 0.0, 0.0, bound(0.0)
    if before >= contraction:
        return 0.0
    for s in RADII:
        q = bound(s)
        if integral + 0.5 * (before + q) * (s - radius) > contraction * s:
            # the chord lies above q: where does its integral meet the line?
            slope, excess = (q - before) / (s - radius), before - contraction
            room = contraction * radius - integral
            return radius + (1.0 - 1e-9) * (math.sqrt(excess * excess + 2.0 * slope * room) - excess) / slope
        integral += 0.5 * (before + q) * (s - radius)
        radius, before = s, q
    return radius


def _squares(points: Floats, near: Ints, place: Floats) -> Floats:
    """Return the squared distances of the points from a place."""
    return np.concatenate([np.einsum("ij,ij->i", offsets, offsets) for _, offsets in _offsets(points, near, place)])


def _largest(points: Floats, near: Ints, mode: Floats, weights: Floats, traces: Floats) -> float:
    """Bound the largest eigenvalue of sum_i w_i y_i y_i^T from above; many small terms by their traces."""
    ascending = np.sort(traces)
    dropped = int(np.searchsorted(np.cumsum(ascending), IGNORED))
    if dropped == len(traces):
        return IGNORED
    kept = traces >= ascending[dropped]
    near, roots = near[kept], np.sqrt(weights[kept])
    scaled = ((y * roots[part, None]).astype(np.float32) for part, y in _offsets(points, near, mode))
    n, d = len(near), len(mode)
    if d <= n:
        gram = sum((y.T @ y for y in scaled), np.zeros((d, d)))
    else:
        y = np.concatenate(list(scaled))
        gram = (y @ y.T).astype(np.float64)
    # of sums of no more than max(n, d) products in float32, in any order
    rounding = (max(n, d) + 8) * 2.0**-24 * float(traces[kept].sum())
    return float(np.linalg.eigvalsh(gram)[-1]) + rounding + float(traces[~kept].sum())


def _offsets(points: Floats, rows: Ints, mode: Floats) -> Iterator[tuple[slice, Floats]]:
    """Yield parts of the rows and the offsets of their points from the mode."""
    for start in range(0, len(rows), ROWS_AT_ONCE):
        part = slice(start, start + ROWS_AT_ONCE)
        yield part, points[rows[part]] - mode
