r"""Mean shift in tiles: one matrix product gives the exponents, one more the means.

For a tile of queries q and one pack of points x, both about the middle c of the queries and in bandwidths,

    -s_qi = (q - c).(x_i - c) - |q - c|^2 / 2 - |x_i - c|^2 / 2,     g_qi = w_i exp(-s_qi),

and the sums of g, g s, g s^2 and g (x - c) over i. Packs hold the points of blocks within reach of the tile; the
rest are never touched. About c the terms of s are small, so that they cancel little; the sums over packs are kept
in float64 even where a tile is float32. The products are BLAS (``np.dot``), which the caller keeps to one thread.
"""

import numpy as np
from numba import types
from numba.extending import overload

from modeseek.engines.cpu import FINITE_AWARE, inline, kernel
from modeseek.engines.cpu.points import _exp_neg

PACK = 256  # points of one pack: with 128 queries, exponents stay in the second cache
CUT64 = 36.7368005696771  # = 53 ln 2: weights below 2^-53 are left out
CUT32 = np.float32(80.0)  # exp(-80) is still a normal float32
_ZERO, _ONE, _HALF = np.float32(0.0), np.float32(1.0), np.float32(0.5)
_PER_LN2, _LN2_HIGH, _LN2_LOW = np.float32(1.4426950408889634), np.float32(0.693359375), np.float32(-2.12194440e-4)
_C3, _C4, _C5, _C6 = np.float32(1 / 6), np.float32(1 / 24), np.float32(1 / 120), np.float32(1 / 720)


def work_size(m, d):
    """Return how many numbers a tile of up to m queries needs to work."""
    return 2 * m * d + m + 2 * PACK + PACK * d + PACK * m


@inline
def _exp_neg32(s):
    """exp(-s) for 0 <= s <= 80 to 4e-7, relative: 2^k times a Taylor polynomial on [-ln 2 / 2, ln 2 / 2]."""
    k = np.int32(_HALF + s * _PER_LN2)
    r = np.float32(k) * _LN2_HIGH - s
    r = np.float32(r + np.float32(k) * _LN2_LOW)
    p = _C5 + r * _C6
    p = _C4 + r * p
    p = _C3 + r * p
    p = _HALF + r * p
    p = _ONE + r * p
    p = np.float32(_ONE + r * p)
    return np.int32(p.view(np.int32) - np.int32(np.int32(k) << np.int32(23))).view(np.float32)


def _weigh(values, half_q, half_x, w, out):
    """Turn (q - c).(x - c) into weights, in place, and add the sums of g, g s and g s^2 to out[:, :3]."""
    raise NotImplementedError("compiled only")


@overload(_weigh, jit_options={"nogil": True, "error_model": "numpy", "fastmath": FINITE_AWARE, "forceinline": True})
def _choose_weigh(values, half_q, half_x, w, out):
    def single(values, half_q, half_x, w, out):
        for r in range(values.shape[0]):
            row, b = values[r], half_q[r]
            s0 = s1 = s2 = _ZERO
            for i in range(row.size):
                s = max(half_x[i] + b - row[i], _ZERO)
                g = w[i] * _exp_neg32(min(s, CUT32)) if s < CUT32 else _ZERO
                row[i] = g
                s0 += g
                s1 += g * s
                s2 += g * s * s
            out[r, 0] += s0
            out[r, 1] += s1
            out[r, 2] += s2

    def double(values, half_q, half_x, w, out):
        for r in range(values.shape[0]):
            row, b = values[r], half_q[r]
            s0 = s1 = s2 = 0.0
            for i in range(row.size):
                s = max(half_x[i] + b - row[i], 0.0)
                g = w[i] * _exp_neg(min(s, CUT64)) if s < CUT64 else 0.0
                row[i] = g
                s0 += g
                s1 += g * s
                s2 += g * s * s
            out[r, 0] += s0
            out[r, 1] += s1
            out[r, 2] += s2

    return single if values.dtype == types.float32 else double


@kernel
def near_blocks(lower, upper, centres, radii, low, high, middle, radius, reach, near):
    """Write to near the blocks that may hold points within reach of a box and ball; return how many there are.

    Neither the gap between the boxes nor that between the balls exceeds the distance of any two points in them.
    """
    found = 0
    for b in range(lower.shape[0]):
        gap2 = 0.0
        apart2 = 0.0
        for k in range(lower.shape[1]):
            gap = max(max(lower[b, k] - high[k], low[k] - upper[b, k]), 0.0)
            gap2 += gap * gap
            difference = centres[b, k] - middle[k]
            apart2 += difference * difference
        far = reach + radius + radii[b]
        if gap2 <= reach * reach and apart2 <= far * far:
            near[found] = b
            found += 1
    return found


@kernel
def tile_sums(points, weights, starts, lower, upper, centres, radii, reach, queries, near, box, work, out):
    """Fill out (m, 4 + d) for one tile of queries (m, d); return the number of pairs that were summed.

    A row of out: the sums of g, g s and g s^2, |q - c|^2 / 2, and the mean of the points, or q where none is within
    reach. ``work`` is the memory of the tile, its dtype the precision of the products; ``box`` (3, d) and
    ``near`` (blocks,) are scratch.
    """
    m, d = queries.shape
    low, high, middle = box[0], box[1], box[2]
    for k in range(d):
        low[k] = high[k] = queries[0, k]
        for r in range(1, m):
            low[k] = min(low[k], queries[r, k])
            high[k] = max(high[k], queries[r, k])
        middle[k] = 0.5 * (low[k] + high[k])
    a = m * d
    q = work[:a].reshape(m, d)
    pulls = work[a : 2 * a].reshape(m, d)
    half_q = work[2 * a : 2 * a + m]
    a = 2 * a + m
    half_x = work[a : a + PACK]
    w = work[a + PACK : a + 2 * PACK]
    x = work[a + 2 * PACK : a + 2 * PACK + PACK * d]
    values = work[a + 2 * PACK + PACK * d :]
    out[:, :] = 0.0
    radius2 = 0.0
    for r in range(m):
        norm = 0.0
        for k in range(d):
            q[r, k] = queries[r, k] - middle[k]
            norm += np.float64(q[r, k]) * q[r, k]
        half_q[r] = 0.5 * norm
        out[r, 3] = 0.5 * norm
        radius2 = max(radius2, norm)

    found = near_blocks(lower, upper, centres, radii, low, high, middle, np.sqrt(radius2), reach, near)
    pairs = 0
    i = 0
    while i < found:
        n = 0
        while i < found and n + starts[near[i] + 1] - starts[near[i]] <= PACK:
            for p in range(starts[near[i]], starts[near[i] + 1]):
                norm = 0.0
                for k in range(d):
                    x[n * d + k] = points[p, k] - middle[k]
                    norm += np.float64(x[n * d + k]) * x[n * d + k]
                half_x[n] = 0.5 * norm
                w[n] = weights[p]
                n += 1
            i += 1
        packed = x[: n * d].reshape(n, d)
        tile = values[: m * n].reshape(m, n)
        np.dot(q, packed.T, tile)
        _weigh(tile, half_q, half_x[:n], w[:n], out)
        np.dot(tile, packed, pulls)
        for r in range(m):
            for k in range(d):
                out[r, 4 + k] += pulls[r, k]
        pairs += m * n

    for r in range(m):
        if out[r, 0] > 0.0:
            for k in range(d):
                out[r, 4 + k] = out[r, 4 + k] / out[r, 0] + middle[k]
        else:
            for k in range(d):
                out[r, 4 + k] = queries[r, k]
    return pairs
