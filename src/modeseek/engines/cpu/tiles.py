r"""Sums over points in tiles: only the tiles within reach of a tile of queries are read, float64, d <= 3.

    out_q = (sum_i w_i g, sum_i w_i g dx, sum_i w_i g dy, sum_i w_i g dz),    g = exp(-c |x_i - q|^2)

A tile is ``tile`` consecutive points; ``low`` and ``high`` (tiles, 3) are the corners of its box. Any order of the
points gives the same sums up to rounding, but only an order that keeps tiles small is quick. Three contiguous columns;
lower dimensions are padded with zero columns in front (``flat``: at least one).
"""

import numpy as np

from modeseek.engines.cpu import inline, kernel
from modeseek.engines.cpu.points import _exp_neg, _sum_run


@inline
def _gap2(low, high, other_low, other_high):
    """Squared distance of two boxes; 0 where they overlap."""
    total = 0.0
    for k in range(3):
        gap = max(max(low[k] - other_high[k], other_low[k] - high[k]), 0.0)
        total += gap * gap
    return total


@inline
def _runs_within(low, high, q_low, q_high, radius2, runs):
    """List in ``runs`` the ranges of tiles within reach of a box: first, end, first, end ...; return their number."""
    k = 0
    for u in range(low.shape[0]):
        if _gap2(low[u], high[u], q_low, q_high) < radius2:
            if k > 0 and runs[2 * k - 1] == u:
                runs[2 * k - 1] = u + 1
            else:
                runs[2 * k] = u
                runs[2 * k + 1] = u + 1
                k += 1
    return k


@inline
def _sum_flat_run(py, pz, w, y, z, c, cut, s):
    """Do as `_sum_run` where all first coordinates are the same: up to two dimensions, a tenth less work."""
    s0 = s2 = s3 = 0.0
    for i in range(py.size):
        dy = py[i] - y
        dz = pz[i] - z
        e = (dy * dy + dz * dz) * c
        g = w[i] * _exp_neg(min(e, cut)) if e < cut else 0.0
        s0 += g
        s2 += g * dy
        s3 += g * dz
    s[0] += s0
    s[2] += s2
    s[3] += s3


@inline
def _sum_runs(px, py, pz, w, flat, tile, runs, k, x, y, z, c, cut, s):
    """Sum over the points of k ranges of tiles around a query."""
    s[:] = 0.0
    for j in range(k):
        start = runs[2 * j] * tile
        stop = min(runs[2 * j + 1] * tile, px.size)
        if flat:
            _sum_flat_run(py[start:stop], pz[start:stop], w[start:stop], y, z, c, cut, s)
        else:
            _sum_run(px[start:stop], py[start:stop], pz[start:stop], w[start:stop], x, y, z, c, cut, s)


@inline
def _select(x, axis, order, first, end, middle):
    """Reorder order[first:end] so that no coordinate before ``middle`` is above one from there on (Hoare 1961)."""
    low = first
    high = end - 1
    random = np.uint64(1)
    while low < high:
        random = random * np.uint64(6364136223846793005) + np.uint64(1442695040888963407)
        pivot = x[order[low + np.int64(random >> np.uint64(33)) % (high - low + 1)], axis]
        i = low
        j = high
        while i <= j:
            while x[order[i], axis] < pivot:
                i += 1
            while x[order[j], axis] > pivot:
                j -= 1
            if i <= j:
                order[i], order[j] = order[j], order[i]
                i += 1
                j -= 1
        if middle <= j:
            high = j
        elif middle >= i:
            low = i
        else:
            break


@kernel
def compact_order(x, tile, order, stack):
    """Reorder ``order`` (n,) so that tiles of rows of x (n, d) are compact.

    Rows are halved along the longest side of their box, and the halves again. Halves are whole numbers of tiles.
    ``stack`` (>= 64, 2) is scratch.
    """
    stack[0, 0] = 0
    stack[0, 1] = x.shape[0]
    top = 1
    while top > 0:
        top -= 1
        first, end = stack[top, 0], stack[top, 1]
        if end - first <= tile:
            continue
        axis = 0
        longest = -1.0
        for k in range(x.shape[1]):
            low = high = x[order[first], k]
            for i in range(first, end):
                a = x[order[i], k]
                low = a if a < low else low
                high = a if a > high else high
            if high - low > longest:
                longest = high - low
                axis = k
        middle = first + (end - first + tile - 1) // tile // 2 * tile
        _select(x, axis, order, first, end, middle)
        stack[top, 0], stack[top, 1] = first, middle
        stack[top + 1, 0], stack[top + 1, 1] = middle, end
        top += 2


@kernel
def boxes(px, py, pz, tile, low, high):
    """Write the corners of the box of each tile."""
    for u in range(low.shape[0]):
        start = u * tile
        stop = min(start + tile, px.size)
        x, y, z = px[start:stop], py[start:stop], pz[start:stop]
        low[u, 0], low[u, 1], low[u, 2] = x.min(), y.min(), z.min()
        high[u, 0], high[u, 1], high[u, 2] = x.max(), y.max(), z.max()


@kernel
def sums(px, py, pz, w, flat, low, high, tile, c, cut, qx, qy, qz, q_low, q_high, first, end, runs, out):
    """Fill the rows of out (m, 4) of the queries in their tiles [first, end)."""
    radius2 = cut / c
    for t in range(first, end):
        k = _runs_within(low, high, q_low[t], q_high[t], radius2, runs)
        size2 = 0.0
        for axis in range(3):
            size2 += (q_high[t, axis] - q_low[t, axis]) * (q_high[t, axis] - q_low[t, axis])
        for r in range(t * tile, min((t + 1) * tile, qx.size)):
            if size2 > 0.25 * radius2:  # a tile that straddles clusters: each query looks up its own neighbours
                q = out[r, 1:]
                q[0], q[1], q[2] = qx[r], qy[r], qz[r]
                k = _runs_within(low, high, q, q, radius2, runs)
            _sum_runs(px, py, pz, w, flat, tile, runs, k, qx[r], qy[r], qz[r], c, cut, out[r])


@kernel
def sweep(px, py, pz, w, flat, low, high, tile, c, cut, place, batch, first, end, runs, s, moved):
    """Move the rows [first, end), batch after batch and in place: a batch sees where those before it have gone.

    ``place`` (n,) is where each row is among the points, -1 for none; ``first`` is the beginning of a batch.
    ``moved`` (batch, 3) and ``s`` (4,) are scratch. Boxes grow with the points that leave them.
    """
    for start in range(first, end, batch):
        stop = min(start + batch, end)
        for r in range(start, stop):
            i = place[r]
            if i >= 0:
                m = moved[r - start]
                m[0], m[1], m[2] = px[i], py[i], pz[i]
                k = _runs_within(low, high, m, m, cut / c, runs)
                _sum_runs(px, py, pz, w, flat, tile, runs, k, m[0], m[1], m[2], c, cut, s)
                for axis in range(3):
                    m[axis] += s[1 + axis] / s[0]
        for r in range(start, stop):
            i = place[r]
            if i >= 0:
                m = moved[r - start]
                px[i], py[i], pz[i] = m[0], m[1], m[2]
                u = np.int64(i // tile)
                for axis in range(3):
                    low[u, axis] = min(low[u, axis], m[axis])
                    high[u, axis] = max(high[u, axis], m[axis])
