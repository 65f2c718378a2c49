r"""Rules that give one bandwidth from the spread of the data, or from the distances of points.

With n points (the sum of whole weights), d columns and s the root mean variance of the columns:

- *scott*: s n^(-1/(d+4)); *silverman*: s (4 / ((d+2) n))^(1/(d+4)), in one column 0.9 min(s, IQR / 1.349) n^(-1/5).
  Both are for the density itself, of one normal cluster.
- *normal*: s (4 / ((d+4) n))^(1/(d+6)): least mean squared error of the *gradient* of the density, which is what mean
  shift follows, for one normal cluster.
- *plugin*: the same without the normal cluster. The error of the gradient is least for ::

      h^(d+6) = (d+2) (d/2) (4 pi)^(-d/2) / (n Q_6),     Q_2r = int |w|^(2r) |f^(w)|^2 dw / (2 pi)^d,

  f^ the Fourier transform of the density. Q_6 is estimated from pairs of points, ::

      Q_2r ~ m^-2 sum_ij (-Laplace)^r N(x_i - x_j; 2 g^2),     g^(d+2r+2) = C_2r / (m Q_(2r+2)),

  C_2r being Q_2r of a normal density of variance 1; Q_8 the same way, with Q_10 of one normal cluster.
- *knn*: the median distance to the k-th neighbour, k = sqrt(n), over sqrt(d+2): the standard deviation along an axis of
  an even ball of that radius.
- *third*: where a Gaussian covers a third of the data: the mean over all pairs of ``exp(-|x_i - x_j|^2 / 2 h^2)`` is
  1/3.

J. E. Chacón, T. Duong and M. P. Wand, "Asymptotics for general multivariate kernel density derivative estimators",
Statistica Sinica 21 (2011); J. E. Chacón and T. Duong, "Data-driven density derivative estimation, with applications to
nonparametric clustering and bump hunting", Electron. J. Statist. 7 (2013); B. W. Silverman, "Density Estimation for
Statistics and Data Analysis" (1986); D. W. Scott, "Multivariate Density Estimation" (1992).
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.spatial import cKDTree
from scipy.spatial.distance import pdist
from scipy.special import eval_genlaguerre, gamma

from modeseek.fields import Floats
from modeseek.scale_space import as_counts, evenly

PAIRED = 2000  # points whose pairs are looked at
NEIGHBOURS = 20_000  # points among which neighbours are looked for
QUARTILES = 1.349  # their distance in a normal density, in standard deviations
ROWS_AT_ONCE = 1 << 16


def variances(points: Any, weights: Any) -> tuple[float, Floats]:
    """Return the number of points and the variance of each column; of tensors (weights: or None), where they lie."""
    if not isinstance(points, np.ndarray):
        from modeseek.engines.gpu import columns

        return columns.variances(points, weights)
    w = as_counts(weights) if weights.size else np.ones(len(points))
    total, origin = float(w.sum()), np.asarray(points[0], np.float64)
    first, second = np.zeros(points.shape[1]), np.zeros(points.shape[1])
    for start in range(0, len(points), ROWS_AT_ONCE):
        x, part = points[start : start + ROWS_AT_ONCE] - origin, w[start : start + ROWS_AT_ONCE]
        first += part @ x
        second += part @ np.square(x)
    return total, (second / total - np.square(first / total)).clip(0.0)


def spread(points: NDArray, weights: Floats) -> tuple[float, float]:
    """Return the number of points and the root mean variance of the columns."""
    total, variance = variances(points, weights)
    return total, float(np.sqrt(variance.mean()))


def scott(points: NDArray, weights: Floats) -> float:
    """Return Scott's rule."""
    n, s = spread(points, weights)
    return s * n ** (-1.0 / (points.shape[1] + 4.0))


def silverman(points: NDArray, weights: Floats) -> float:
    """Return Silverman's rule."""
    (n, s), d = spread(points, weights), points.shape[1]
    if d > 1:
        return s * (4.0 / ((d + 2.0) * n)) ** (1.0 / (d + 4.0))
    low, high = np.quantile(evenly(points, as_counts(weights), NEIGHBOURS), [0.25, 0.75])
    narrow = float(high - low) / QUARTILES
    return 0.9 * (min(s, narrow) if narrow > 0.0 else s) * n**-0.2


def normal(points: NDArray, weights: Floats) -> float:
    """Return the normal reference for the gradient."""
    (n, s), d = spread(points, weights), points.shape[1]
    return s * (4.0 / ((d + 4.0) * n)) ** (1.0 / (d + 6.0))


def plugin(points: NDArray, weights: Floats) -> float:
    """Return the plug-in rule for the gradient."""
    (n, s), d = spread(points, weights), points.shape[1]
    if not s > 0.0:
        return 0.0
    sample = evenly(points, as_counts(weights), PAIRED) / s
    m, squares = len(sample), pdist(sample, "sqeuclidean")
    q = _of_normal(d, 5)
    for r in (4, 3):
        pilot = (_of_normal(d, r) / (m * q)) ** (1.0 / (d + 2 * r + 2))
        q = _functional(squares, m, d, r, pilot)
        if not q > 0.0:
            return normal(points, weights)
    return s * ((d + 2.0) * 0.5 * d * (4.0 * math.pi) ** (-0.5 * d) / (n * q)) ** (1.0 / (d + 6.0))


def _of_normal(d: int, r: int) -> float:
    """Return Q_2r of a normal density of variance 1."""
    return float((4.0 * math.pi) ** (-0.5 * d) * gamma(0.5 * d + r) / gamma(0.5 * d))


def _functional(squares: Floats, m: int, d: int, r: int, pilot: float) -> float:
    """Return the mean over all pairs of m points, each with itself too, of (-Laplace)^r N(x; 2 pilot^2).

    That is N(x; v) (2 / v)^r r! L_r(|x|^2 / 2 v), L_r the Laguerre polynomial of order d/2 - 1.
    """
    v = 2.0 * pilot**2
    near = squares[squares < 80.0 * v] / (2.0 * v)
    values = np.exp(-near) * eval_genlaguerre(r, 0.5 * d - 1.0, near)
    both = 2.0 * float(values.sum()) + m * float(eval_genlaguerre(r, 0.5 * d - 1.0, 0.0))
    return both * (2.0 / v) ** r * math.factorial(r) * (2.0 * math.pi * v) ** (-0.5 * d) / m**2


def neighbours(points: NDArray, weights: Floats) -> float:
    """Return the rule of the k-th neighbour."""
    (n, _), d = spread(points, weights), points.shape[1]
    sample = evenly(points, as_counts(weights), NEIGHBOURS)
    k = int(np.clip(round(math.sqrt(n) * len(sample) / n), 1, len(sample) - 1)) if len(sample) > 1 else 1
    if len(sample) < 2:
        return 0.0
    queries = sample[:: max(1, len(sample) // PAIRED)]
    return float(np.median(cKDTree(sample).query(queries, [k + 1])[0])) / math.sqrt(d + 2.0)


def third(points: NDArray, weights: Floats) -> float:
    """Return the bandwidth at which a Gaussian covers a third of the data."""
    sample = evenly(points, as_counts(weights), PAIRED)
    squares, m = pdist(sample, "sqeuclidean"), len(sample)
    if not squares.size or not squares.max() > 0.0:
        return 0.0
    scale = float(np.sqrt(squares.mean()))
    squares /= scale**2

    def lacking(log: float) -> float:
        covered = 2.0 * float(np.exp(-0.5 * squares * math.exp(-2.0 * log)).sum()) + m
        return covered / m**2 - 1.0 / 3.0

    low, high = -20.0, 5.0
    return scale * math.exp(brentq(lacking, low, high)) if lacking(low) < 0.0 else 0.0
