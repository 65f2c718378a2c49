"""Moments of the points of cells, and steps on the polynomials made from them (`modeseek.expansions`)."""

from math import floor

import numpy as np

from modeseek.engines.cpu import inline, kernel


@kernel
def moments(columns, w, runs, lower, side, n1, first, last, sums, powers):
    """Add to sums (cells, k, k) the moments of cells first .. last - 1 about their centres, in half sides.

    ``columns`` (2, n) are points in order of cells, ``runs`` where each cell begins, n1 the cells of a row.
    """
    k = powers.size
    for cell in range(first, last):
        c0 = lower[0] + (cell // n1 + 0.5) * side
        c1 = lower[1] + (cell % n1 + 0.5) * side
        block = sums[cell]
        for i in range(runs[cell], runs[cell + 1]):
            a = (columns[0, i] - c0) * (2.0 / side)
            b = (columns[1, i] - c1) * (2.0 / side)
            power = w[i]
            for j in range(k):
                powers[j] = power
                power *= b
            power = 1.0
            for j in range(k):
                row = block[j]
                for l in range(k):
                    row[l] += power * powers[l]
                power *= a


@inline
def _value_and_slopes(polynomial, k, a, b):
    """Value of a polynomial in a and b, (k * k) coefficients, and its two derivatives, by Horner's rule."""
    value = slope_a = slope_b = 0.0
    for j in range(k - 1, -1, -1):
        row = polynomial[j * k : (j + 1) * k]
        inner = slope = 0.0
        for l in range(k - 1, -1, -1):
            slope = slope * b + inner
            inner = inner * b + row[l]
        slope_a = slope_a * a + value
        value = value * a + inner
        slope_b = slope_b * a + slope
    return value, slope_a, slope_b


@kernel
def steps(polynomials, lower, side, dims, k, least, count, x, last, before):
    """Let each row of x (m, 2) make ``count`` steps x <- x + grad f / f; keep the last step and the one before.

    A row that leaves the box of cells, or finds a density below ``least``, stays, and its last step is NaN.
    """
    size = k * k
    for r in range(x.shape[0]):
        x0, x1 = x[r, 0], x[r, 1]
        for n in range(count):
            i = np.int64(floor((x0 - lower[0]) / side))
            j = np.int64(floor((x1 - lower[1]) / side))
            if i < 0 or j < 0 or i >= dims[0] or j >= dims[1]:
                last[r, 0] = last[r, 1] = np.nan
                break
            a = (x0 - lower[0]) * (2.0 / side) - (2 * i + 1)
            b = (x1 - lower[1]) * (2.0 / side) - (2 * j + 1)
            start = (i * dims[1] + j) * size
            value, slope_a, slope_b = _value_and_slopes(polynomials[start : start + size], k, a, b)
            if not value > least:
                last[r, 0] = last[r, 1] = np.nan
                break
            if n:
                before[r, 0], before[r, 1] = last[r, 0], last[r, 1]
            last[r, 0] = slope_a / value * (2.0 / side)
            last[r, 1] = slope_b / value * (2.0 / side)
            x0 += last[r, 0]
            x1 += last[r, 1]
        x[r, 0], x[r, 1] = x0, x1
