r"""The sums of the definition over raw points, for the audit: float64, no table, no grid of masses.

    m(x) - x = sum_i w_i e^{-s_i} (x_i - x) / sum_i w_i e^{-s_i},      s_i = |x_i - x|^2 / 2,

lengths in bandwidths. Written apart from the kernels of the fit, which it checks, and sharing none of their code.
Points are contiguous columns (d, n); ``starts`` and ``stops`` are the runs of them to be summed. A run is read
block by block, each block once for all queries of a chunk, so that it comes from the first cache.
"""

from math import sqrt

from modeseek.engines.cpu import inline, kernel

BLOCK = 512  # points of a block: with their weights and exponents a few pages


@inline
def _exp_minus(s):
    """exp(-s) to a relative 2e-14 for 0 <= s < 64, 0 beyond: a Taylor polynomial at s / 64, squared six times."""
    t = min(s, 64.0) * (-1 / 64)
    p = 1 / 3628800 + t * (1 / 39916800)
    p = 1 / 5040 + t * (1 / 40320 + t * (1 / 362880 + t * p))
    p = 1 / 24 + t * (1 / 120 + t * (1 / 720 + t * p))
    p = 1 + t * (1 + t * (1 / 2 + t * (1 / 6 + t * p)))
    p *= p
    p *= p
    p *= p
    p *= p
    p *= p
    p *= p
    return p if s < 64.0 else 0.0


@kernel
def pulls_3(points, w, starts, stops, x, sums):
    """Add to sums (m, 4) the weight and the weighted displacements around each row of x (m, 3)."""
    for r in range(starts.size):
        for start in range(starts[r], stops[r], BLOCK):
            stop = min(start + BLOCK, stops[r])
            # slices: indices that cannot be negative, so that the loop is SIMD
            px, py, pz, pw = points[0, start:stop], points[1, start:stop], points[2, start:stop], w[start:stop]
            for q in range(x.shape[0]):
                x0, x1, x2 = x[q, 0], x[q, 1], x[q, 2]
                s = s0 = s1 = s2 = 0.0
                for i in range(px.size):
                    d0 = px[i] - x0
                    d1 = py[i] - x1
                    d2 = pz[i] - x2
                    g = pw[i] * _exp_minus(0.5 * (d0 * d0 + d1 * d1 + d2 * d2))
                    s += g
                    s0 += g * d0
                    s1 += g * d1
                    s2 += g * d2
                sums[q, 0] += s
                sums[q, 1] += s0
                sums[q, 2] += s1
                sums[q, 3] += s2


@kernel
def pulls(points, w, starts, stops, x, sums, g):
    """Do as `pulls_3` for any number of columns: sums is (m, 1 + d), g (BLOCK,) is room for the weights."""
    d = points.shape[0]
    for r in range(starts.size):
        for start in range(starts[r], stops[r], BLOCK):
            stop = min(start + BLOCK, stops[r])
            pw = w[start:stop]
            for q in range(x.shape[0]):
                _half_squares(points, start, stop, x[q], g)
                total = 0.0
                for i in range(pw.size):
                    g[i] = pw[i] * _exp_minus(g[i])
                    total += g[i]
                if total == 0.0:  # far from all of the block
                    continue
                sums[q, 0] += total
                for k in range(d):
                    column, at, pull = points[k, start:stop], x[q, k], 0.0
                    for i in range(column.size):
                        pull += g[i] * (column[i] - at)
                    sums[q, 1 + k] += pull


@inline
def _half_squares(points, start, stop, x, s):
    """Set s to |x_i - x|^2 / 2 over a block."""
    s[:] = 0.0
    for k in range(points.shape[0]):
        column, at = points[k, start:stop], x[k]
        for i in range(column.size):
            difference = column[i] - at
            s[i] += 0.5 * difference * difference


@kernel
def moments(points, w, starts, stops, x, tilt, first, second, g):
    """Add sum g u to first (d,) and sum g u u^T to second (d, d; its upper half); return sum g.

    u = x_i - x and g = w_i exp(-|u|^2 / 2 + tilt |u|). The exponent is at most tilt^2 / 2, and is written as
    tilt^2 / 2 - (|u| - tilt)^2 / 2; the first factor is left to the caller.
    """
    d = points.shape[0]
    total = 0.0
    for r in range(starts.size):
        for start in range(starts[r], stops[r], BLOCK):
            stop = min(start + BLOCK, stops[r])
            pw, of_block = w[start:stop], 0.0
            _half_squares(points, start, stop, x, g)
            for i in range(pw.size):
                away = sqrt(2.0 * g[i]) - tilt
                g[i] = pw[i] * _exp_minus(0.5 * away * away)
                of_block += g[i]
            if of_block == 0.0:
                continue
            total += of_block
            for k in range(d):
                column, at, sum1 = points[k, start:stop], x[k], 0.0
                for i in range(column.size):
                    sum1 += g[i] * (column[i] - at)
                first[k] += sum1
                for l in range(k, d):
                    other, at2, sum2 = points[l, start:stop], x[l], 0.0
                    for i in range(column.size):
                        sum2 += g[i] * (column[i] - at) * (other[i] - at2)
                    second[k, l] += sum2
    return total
