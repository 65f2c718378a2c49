r"""Points to and from a mesh of B-splines of degree 7: deposit of masses, and one mean-shift step on a table.

A coordinate a = i + u in node units, 0 <= u < 1, touches the eight nodes i - 3 .. i + 4; their weights are the pieces
of the spline at u and, for it is symmetric, at 1 - u. Meshes are C-ordered and flat. ``grid`` holds int64 masses in
units of 1/unit; ``table`` holds for each node four coefficients: of the density T0 and of the displacement sums along
each axis, in node units. Points are rows of x (n, d) in units of the data; ``corner`` is the position of the first
node.
"""

from math import floor

import numpy as np

from modeseek.engines.cpu import inline, kernel


@inline
def _pieces(u):
    """First four pieces of the spline, times 7!."""
    u2 = u * u
    first = u2 * u2 * u2 * u
    second = 1.0 + u * (7.0 + u * (21.0 + u * (35.0 + u * (35.0 + u * (21.0 + u * (7.0 - 7.0 * u))))))
    third = 120.0 + u * (392.0 + u * (504.0 + u * (280.0 + u2 * (-84.0 + u * (-42.0 + 21.0 * u)))))
    fourth = 1191.0 + u * (1715.0 + u * (315.0 + u * (-665.0 + u * (-315.0 + u * (105.0 + u * (105.0 - 35.0 * u))))))
    return first, second, third, fourth


@inline
def _spread(a):
    """Return the first of the eight nodes around a coordinate, and their weights."""
    i = np.int64(floor(a))
    c = 1.0 / 5040.0
    w7, w6, w5, w4 = _pieces(a - i)
    w0, w1, w2, w3 = _pieces(1.0 - (a - i))
    return i - 3, w0 * c, w1 * c, w2 * c, w3 * c, w4 * c, w5 * c, w6 * c, w7 * c


@inline
def _pick(k, w0, w1, w2, w3, w4, w5, w6, w7):
    """Return the k-th of eight weights."""
    low = (w0 if k == 0 else w1) if k < 2 else (w2 if k == 2 else w3)
    high = (w4 if k == 4 else w5) if k < 6 else (w6 if k == 6 else w7)
    return low if k < 4 else high


@inline
def _add(row, m, c0, c1, c2, c3, c4, c5, c6, c7):
    """Add mass m with spline weights c to eight neighbouring nodes (a slice: no index can be negative)."""
    row[0] += np.int64(m * c0 + 0.5)
    row[1] += np.int64(m * c1 + 0.5)
    row[2] += np.int64(m * c2 + 0.5)
    row[3] += np.int64(m * c3 + 0.5)
    row[4] += np.int64(m * c4 + 0.5)
    row[5] += np.int64(m * c5 + 0.5)
    row[6] += np.int64(m * c6 + 0.5)
    row[7] += np.int64(m * c7 + 0.5)


@inline
def _channel(t, k, c0, c1, c2, c3, c4, c5, c6, c7):
    low = c0 * t[k] + c1 * t[k + 4] + c2 * t[k + 8] + c3 * t[k + 12]
    return low + (c4 * t[k + 16] + c5 * t[k + 20] + c6 * t[k + 24] + c7 * t[k + 28])


@inline
def _row(t, c0, c1, c2, c3, c4, c5, c6, c7):
    """Weighted sum of eight consecutive nodes t (32 values), all four channels."""
    return (
        _channel(t, 0, c0, c1, c2, c3, c4, c5, c6, c7),
        _channel(t, 1, c0, c1, c2, c3, c4, c5, c6, c7),
        _channel(t, 2, c0, c1, c2, c3, c4, c5, c6, c7),
        _channel(t, 3, c0, c1, c2, c3, c4, c5, c6, c7),
    )


@kernel
def deposit_1d(x, w, corner, per_node, shape, unit, grid):
    """Add the points of x (n, 1) of weights w (n,) to grid."""
    for r in range(x.shape[0]):
        k, c0, c1, c2, c3, c4, c5, c6, c7 = _spread((x[r, 0] - corner[0]) * per_node)
        _add(grid[k : k + 8], unit * w[r], c0, c1, c2, c3, c4, c5, c6, c7)


@kernel
def deposit_2d(x, w, corner, per_node, shape, unit, grid):
    """Add the points of x (n, 2) of weights w (n,) to grid."""
    for r in range(x.shape[0]):
        i, b0, b1, b2, b3, b4, b5, b6, b7 = _spread((x[r, 0] - corner[0]) * per_node)
        k, c0, c1, c2, c3, c4, c5, c6, c7 = _spread((x[r, 1] - corner[1]) * per_node)
        k += i * shape[1]
        mass = unit * w[r]
        for q in range(8):
            m = mass * _pick(q, b0, b1, b2, b3, b4, b5, b6, b7)
            _add(grid[k : k + 8], m, c0, c1, c2, c3, c4, c5, c6, c7)
            k += shape[1]


@kernel
def deposit_3d(x, w, corner, per_node, shape, unit, grid):
    """Add the points of x (n, 3) of weights w (n,) to grid."""
    for r in range(x.shape[0]):
        i, a0, a1, a2, a3, a4, a5, a6, a7 = _spread((x[r, 0] - corner[0]) * per_node)
        j, b0, b1, b2, b3, b4, b5, b6, b7 = _spread((x[r, 1] - corner[1]) * per_node)
        l, c0, c1, c2, c3, c4, c5, c6, c7 = _spread((x[r, 2] - corner[2]) * per_node)
        mass = unit * w[r]
        for p in range(8):
            ma = mass * _pick(p, a0, a1, a2, a3, a4, a5, a6, a7)
            k = ((i + p) * shape[1] + j) * shape[2] + l
            for q in range(8):
                m = ma * _pick(q, b0, b1, b2, b3, b4, b5, b6, b7)
                _add(grid[k : k + 8], m, c0, c1, c2, c3, c4, c5, c6, c7)
                k += shape[2]


@inline
def _inside(a, length):
    """Tell whether interpolation at coordinate a reads only nodes 0 .. length - 1."""
    return a >= 3.0 and a < length - 4


@kernel
def step_1d(x, corner, per_node, shape, table, least, out, density):
    """Write to out (n, 1) where each row of x moves in one step, and to density (n,) T0 there.

    A row beyond the mesh, or where T0 <= least, stays; its density is 0.
    """
    for r in range(x.shape[0]):
        out[r, 0] = x[r, 0]
        density[r] = 0.0
        a = (x[r, 0] - corner[0]) * per_node
        if not _inside(a, shape[0]):
            continue
        k, c0, c1, c2, c3, c4, c5, c6, c7 = _spread(a)
        t0, t1, _, _ = _row(table[4 * k : 4 * k + 32], c0, c1, c2, c3, c4, c5, c6, c7)
        if t0 > least:
            density[r] = t0
            out[r, 0] += t1 / (t0 * per_node)


@kernel
def step_2d(x, corner, per_node, shape, table, least, out, density):
    """Do as `step_1d` for two columns."""
    for r in range(x.shape[0]):
        out[r, 0] = x[r, 0]
        out[r, 1] = x[r, 1]
        density[r] = 0.0
        a = (x[r, 0] - corner[0]) * per_node
        b = (x[r, 1] - corner[1]) * per_node
        if not (_inside(a, shape[0]) and _inside(b, shape[1])):
            continue
        i, b0, b1, b2, b3, b4, b5, b6, b7 = _spread(a)
        j, c0, c1, c2, c3, c4, c5, c6, c7 = _spread(b)
        k = 4 * (i * shape[1] + j)
        t0 = t1 = t2 = 0.0
        for q in range(8):
            m = _pick(q, b0, b1, b2, b3, b4, b5, b6, b7)
            s0, s1, s2, _ = _row(table[k : k + 32], c0, c1, c2, c3, c4, c5, c6, c7)
            t0 += m * s0
            t1 += m * s1
            t2 += m * s2
            k += 4 * shape[1]
        if t0 > least:
            density[r] = t0
            scale = 1.0 / (t0 * per_node)
            out[r, 0] += t1 * scale
            out[r, 1] += t2 * scale


@kernel
def step_3d(x, corner, per_node, shape, table, least, out, density):
    """Do as `step_1d` for three columns."""
    for r in range(x.shape[0]):
        for axis in range(3):
            out[r, axis] = x[r, axis]
        density[r] = 0.0
        a = (x[r, 0] - corner[0]) * per_node
        b = (x[r, 1] - corner[1]) * per_node
        c = (x[r, 2] - corner[2]) * per_node
        if not (_inside(a, shape[0]) and _inside(b, shape[1]) and _inside(c, shape[2])):
            continue
        i, a0, a1, a2, a3, a4, a5, a6, a7 = _spread(a)
        j, b0, b1, b2, b3, b4, b5, b6, b7 = _spread(b)
        l, c0, c1, c2, c3, c4, c5, c6, c7 = _spread(c)
        t0 = t1 = t2 = t3 = 0.0
        for p in range(8):
            ma = _pick(p, a0, a1, a2, a3, a4, a5, a6, a7)
            k = 4 * (((i + p) * shape[1] + j) * shape[2] + l)
            for q in range(8):
                m = ma * _pick(q, b0, b1, b2, b3, b4, b5, b6, b7)
                s0, s1, s2, s3 = _row(table[k : k + 32], c0, c1, c2, c3, c4, c5, c6, c7)
                t0 += m * s0
                t1 += m * s1
                t2 += m * s2
                t3 += m * s3
                k += 4 * shape[2]
        if t0 > least:
            density[r] = t0
            scale = 1.0 / (t0 * per_node)
            out[r, 0] += t1 * scale
            out[r, 1] += t2 * scale
            out[r, 2] += t3 * scale


DEPOSIT = {1: deposit_1d, 2: deposit_2d, 3: deposit_3d}
STEP = {1: step_1d, 2: step_2d, 3: step_3d}
