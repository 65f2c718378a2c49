r"""Climbs over the cells of a picture: sums over place and value at once, steps of mean shift, steps of Newton.

Cells have mass w_i, mean p_i and variances; with v_ik = h_k^2 + variance along axis k, and c = exp(-R^2 / 2),

    f(z) = sum_i w_i prod_k (h_k^2 / v_ik)^(1/2) max(0, exp(-q_i) - c),      q_i = sum_k (p_ik - z_k)^2 / 2 v_ik,

which tends smoothly to 0 at R bandwidths: what is farther than that need not be looked at. Steps are
h^2 grad log f; near rest, where they become short, Newton's step along each eigenvector of the Hessian of log f,
uphill where it curves upwards (Dauphin et al., NIPS 2014), with a largest length that adapts.

Cells lie in blocks of sixteen, each with a box: first boxes are looked at, sixteen at once, then the blocks within
reach. Lanes are summed apart, and last with one another, so that a sum does not depend on which blocks were skipped.
"""

from math import floor, sqrt

import numpy as np

from modeseek.engines.cpu import inline, kernel
from modeseek.engines.cpu.joint_cells import GRID
from modeseek.engines.cpu.lanes import WIDTH, greater, load, lowest, plus_product, spread, store, up_to

FURTHER = 1.5  # steps of mean shift are this much longer: up to 2 they still climb
FLATTEST = 1e-3  # curvature that Newton's step divides by, at least
RISE = 1.001  # times what it was: then the density is higher for sure, whatever a bound leaves out
LOST = 1e-6  # of the density that rounding may take without a step having led down
FARTHEST = np.float32(-24.0)  # exponents are no lower than that
WIDEST = 1.26  # times h^2, at most, is what v can be: cells are a bandwidth wide, and pixels may lie at both ends
BEYOND = 1.001  # boxes are looked for a little farther than the reach: their own rounding
_ZERO, _HALF = np.float32(0.0), np.float32(-0.5)


@inline
def _exp(t):
    """exp(t) for sixteen t from `FARTHEST` to 0, to a relative 1e-5: Taylor at t / 64, squared six times."""
    one = spread(np.float32(1.0))
    t = t * spread(np.float32(1.0 / 64.0))
    p = plus_product(spread(np.float32(1 / 24)), t, spread(np.float32(1 / 120)))
    p = plus_product(spread(np.float32(1 / 6)), t, p)
    p = plus_product(spread(np.float32(0.5)), t, p)
    p = plus_product(one, t, p)
    p = plus_product(one, t, p)
    p = p * p
    p = p * p
    p = p * p
    p = p * p
    p = p * p
    return p * p


@inline
def _add_block(block, z, cut, curved, e, lanes):
    """Add a block's part of the sums to lanes (1 + d + d d, 16)."""
    d = z.size
    q = spread(_ZERO)
    for k in range(d):
        u = load(block, (1 + k) * WIDTH) - spread(z[k])
        w = u * load(block, (1 + d + k) * WIDTH)
        store(e, k * WIDTH, w)
        q = plus_product(q, u, w)
    g = _exp(greater(q * spread(_HALF), spread(FARTHEST)))
    g = load(block, 0) * greater(g - spread(cut), spread(_ZERO))
    store(lanes, 0, load(lanes, 0) + g)
    for k in range(d):
        at = (1 + k) * WIDTH
        store(lanes, at, plus_product(load(lanes, at), g, load(e, k * WIDTH)))
    if curved:
        for k in range(d):
            gk = g * load(e, k * WIDTH)
            for j in range(k, d):
                at = (1 + d + k * d + j) * WIDTH
                term = plus_product(load(lanes, at), gk, load(e, j * WIDTH))
                if j == k:
                    term = term - g * load(block, (1 + d + k) * WIDTH)
                store(lanes, at, term)


@inline
def _within_reach(boxes, stride, first, scaled, limit):
    """Return the mask of sixteen boxes, from one on, that are within reach of a place in bandwidths."""
    d = scaled.size
    far = spread(_ZERO)
    for k in range(d):
        u = load(boxes, k * stride + first) - spread(scaled[k])
        gap = greater(greater(u, spread(_ZERO) - u) - load(boxes, (d + k) * stride + first), spread(_ZERO))
        far = plus_product(far, gap, gap)
    return up_to(far, load(boxes, 2 * d * stride + first) * spread(limit))


@inline
def _sum_lanes(lanes, at):
    total = 0.0
    for i in range(WIDTH):
        total += lanes[at * WIDTH + i]
    return total


@inline
def _add_run(blocks, boxes, start, stop, z, scaled, limit, cut, curved, e, lanes):
    """Add the blocks of a run that are within reach."""
    size, stride = (1 + 2 * z.size) * WIDTH, boxes.shape[1]
    flat, table = blocks.reshape(blocks.size), boxes.reshape(boxes.size)
    for first in range(start, stop, WIDTH):
        near = _within_reach(table, stride, first, scaled, limit)
        if stop - first < WIDTH:
            near &= (1 << (stop - first)) - 1
        while near != 0:
            b = first + lowest(near)
            near &= near - 1
            _add_block(flat[b * size : (b + 1) * size], z, cut, curved, e, lanes)


@inline
def _add_run_5(blocks, boxes, start, stop, z, scaled, limit, cut, curved, lanes):
    """Do as `_add_run` for five columns, sums in registers: it takes half the time. `curved` must be a literal."""
    size, stride = 11 * WIDTH, boxes.shape[1]
    flat, table = blocks.reshape(blocks.size), boxes.reshape(boxes.size)
    z0, z1, z2, z3, z4 = spread(z[0]), spread(z[1]), spread(z[2]), spread(z[3]), spread(z[4])
    total, s0, s1 = load(lanes, 0), load(lanes, WIDTH), load(lanes, 2 * WIDTH)
    s2, s3, s4 = load(lanes, 3 * WIDTH), load(lanes, 4 * WIDTH), load(lanes, 5 * WIDTH)
    s00 = load(lanes, 6 * WIDTH)
    s01 = load(lanes, 7 * WIDTH)
    s02 = load(lanes, 8 * WIDTH)
    s03 = load(lanes, 9 * WIDTH)
    s04 = load(lanes, 10 * WIDTH)
    s11 = load(lanes, 12 * WIDTH)
    s12 = load(lanes, 13 * WIDTH)
    s13 = load(lanes, 14 * WIDTH)
    s14 = load(lanes, 15 * WIDTH)
    s22 = load(lanes, 18 * WIDTH)
    s23 = load(lanes, 19 * WIDTH)
    s24 = load(lanes, 20 * WIDTH)
    s33 = load(lanes, 24 * WIDTH)
    s34 = load(lanes, 25 * WIDTH)
    s44 = load(lanes, 30 * WIDTH)
    for first in range(start, stop, WIDTH):
        near = _within_reach(table, stride, first, scaled, limit)
        if stop - first < WIDTH:
            near &= (1 << (stop - first)) - 1
        while near != 0:
            at = (first + lowest(near)) * size
            near &= near - 1
            u0 = load(flat, at + WIDTH) - z0
            u1 = load(flat, at + 2 * WIDTH) - z1
            u2 = load(flat, at + 3 * WIDTH) - z2
            u3 = load(flat, at + 4 * WIDTH) - z3
            u4 = load(flat, at + 5 * WIDTH) - z4
            e0 = u0 * load(flat, at + 6 * WIDTH)
            e1 = u1 * load(flat, at + 7 * WIDTH)
            e2 = u2 * load(flat, at + 8 * WIDTH)
            e3 = u3 * load(flat, at + 9 * WIDTH)
            e4 = u4 * load(flat, at + 10 * WIDTH)
            q = plus_product(plus_product(plus_product(plus_product(u0 * e0, u1, e1), u2, e2), u3, e3), u4, e4)
            g = _exp(greater(q * spread(_HALF), spread(FARTHEST)))
            g = load(flat, at) * greater(g - spread(cut), spread(_ZERO))
            total = total + g
            s0 = plus_product(s0, g, e0)
            s1 = plus_product(s1, g, e1)
            s2 = plus_product(s2, g, e2)
            s3 = plus_product(s3, g, e3)
            s4 = plus_product(s4, g, e4)
            if curved:
                g0 = g * e0
                s00 = plus_product(s00, g0, e0) - g * load(flat, at + 6 * WIDTH)
                s01 = plus_product(s01, g0, e1)
                s02 = plus_product(s02, g0, e2)
                s03 = plus_product(s03, g0, e3)
                s04 = plus_product(s04, g0, e4)
                g1 = g * e1
                s11 = plus_product(s11, g1, e1) - g * load(flat, at + 7 * WIDTH)
                s12 = plus_product(s12, g1, e2)
                s13 = plus_product(s13, g1, e3)
                s14 = plus_product(s14, g1, e4)
                g2 = g * e2
                s22 = plus_product(s22, g2, e2) - g * load(flat, at + 8 * WIDTH)
                s23 = plus_product(s23, g2, e3)
                s24 = plus_product(s24, g2, e4)
                g3 = g * e3
                s33 = plus_product(s33, g3, e3) - g * load(flat, at + 9 * WIDTH)
                s34 = plus_product(s34, g3, e4)
                g4 = g * e4
                s44 = plus_product(s44, g4, e4) - g * load(flat, at + 10 * WIDTH)
    store(lanes, 0, total)
    store(lanes, WIDTH, s0)
    store(lanes, 2 * WIDTH, s1)
    store(lanes, 3 * WIDTH, s2)
    store(lanes, 4 * WIDTH, s3)
    store(lanes, 5 * WIDTH, s4)
    if curved:
        store(lanes, 6 * WIDTH, s00)
        store(lanes, 7 * WIDTH, s01)
        store(lanes, 8 * WIDTH, s02)
        store(lanes, 9 * WIDTH, s03)
        store(lanes, 10 * WIDTH, s04)
        store(lanes, 12 * WIDTH, s11)
        store(lanes, 13 * WIDTH, s12)
        store(lanes, 14 * WIDTH, s13)
        store(lanes, 15 * WIDTH, s14)
        store(lanes, 18 * WIDTH, s22)
        store(lanes, 19 * WIDTH, s23)
        store(lanes, 20 * WIDTH, s24)
        store(lanes, 24 * WIDTH, s33)
        store(lanes, 25 * WIDTH, s34)
        store(lanes, 30 * WIDTH, s44)


@inline
def sums(blocks, boxes, begins, dims, unit, scale, reach, cut, z, scaled, curved, e, lanes, first, second):
    """Return f(z); first becomes h grad log f, and second, if curved, h H h, H the Hessian of log f.

    dims are the groups of squares along the axes of place, `unit` their side; scale (d,) are the h_k.
    """
    d, ns = z.size, dims.size
    lanes[: (1 + d + d * d if curved else 1 + d) * WIDTH] = 0.0
    for k in range(d):
        scaled[k] = z[k] / scale[k]
    wide = sqrt(WIDEST * BEYOND) * reach
    limit = np.float32(BEYOND * reach * reach)
    x, y = ns - 1, ns - 2
    low = max(0, floor((z[y] - wide * scale[y]) / unit))
    high = min(dims[y] - 1, floor((z[y] + wide * scale[y]) / unit))
    shallow = max(0, floor((z[0] - wide * scale[0]) / unit)) if ns == 3 else 0
    deep = min(dims[0] - 1, floor((z[0] + wide * scale[0]) / unit)) if ns == 3 else 0
    for plane in range(shallow, deep + 1):
        depth = max(max(plane * unit - z[0], z[0] - (plane + 1) * unit), 0.0) / scale[0] if ns == 3 else 0.0
        for row in range(low, high + 1):
            height = max(max(row * unit - z[y], z[y] - (row + 1) * unit), 0.0) / scale[y]
            rest = WIDEST * limit - height * height - depth * depth
            if rest <= 0.0:
                continue
            half = sqrt(rest) * scale[x]
            left = max(0, floor((z[x] - half) / unit))
            right = min(dims[x] - 1, floor((z[x] + half) / unit))
            if left > right:
                continue
            base = (plane * dims[y] + row) * dims[x]
            start, stop = begins[base + left], begins[base + right + 1]
            if d == 5 and not curved:
                _add_run_5(blocks, boxes, start, stop, z, scaled, limit, cut, False, lanes)
            elif d == 5:
                _add_run_5(blocks, boxes, start, stop, z, scaled, limit, cut, True, lanes)
            else:
                _add_run(blocks, boxes, start, stop, z, scaled, limit, cut, curved, e, lanes)
    total = _sum_lanes(lanes, 0)
    if total <= 0.0:
        first[:] = 0.0
        if curved:
            second[:] = 0.0
        return total
    for k in range(d):
        first[k] = _sum_lanes(lanes, 1 + k) / total * scale[k]
    if curved:
        for k in range(d):
            for j in range(k, d):
                part = _sum_lanes(lanes, 1 + d + k * d + j) / total * scale[k] * scale[j]
                second[k, j] = part - first[k] * first[j]
                second[j, k] = second[k, j]
    return total


@inline
def _factor(second, shift, lower):
    """Set lower to the Cholesky factor of -(second + shift I); return whether there is one."""
    d = second.shape[0]
    for k in range(d):
        for j in range(k + 1):
            rest = -second[k, j]
            if j == k:
                rest -= shift
            for i in range(j):
                rest -= lower[k, i] * lower[j, i]
            if j < k:
                lower[k, j] = rest / lower[j, j]
            elif rest > 0.0:
                lower[k, k] = sqrt(rest)
            else:
                return False
    return True


@inline
def _solve(lower, first, step):
    """Set step to the solution of lower lower^T step = first."""
    d = first.size
    for k in range(d):
        rest = first[k]
        for i in range(k):
            rest -= lower[k, i] * step[i]
        step[k] = rest / lower[k, k]
    for k in range(d - 1, -1, -1):
        rest = step[k]
        for i in range(k + 1, d):
            rest -= lower[i, k] * step[i]
        step[k] = rest / lower[k, k]


@inline
def _uphill(first, second, step):
    """Set step to Newton's along each eigenvector, uphill where it curves upwards; return the largest curvature."""
    curvature, axes = np.linalg.eigh(second)
    d = first.size
    step[:] = 0.0
    for a in range(d):
        along = 0.0
        for k in range(d):
            along += axes[k, a] * first[k]
        along /= max(abs(curvature[a]), FLATTEST)
        for k in range(d):
            step[k] += along * axes[k, a]
    return curvature[d - 1]


@inline
def _newton(first, second, step, lower):
    """Set step to Newton's, uphill along every axis; return its length, and whether all axes curve downwards.

    Where they do, by more than `FLATTEST`, it is the plain one, for a tenth of the time that eigenvectors take.
    """
    if _factor(second, FLATTEST, lower) and _factor(second, 0.0, lower):
        _solve(lower, first, step)
        downwards = True
    else:
        downwards = _uphill(first, second, step) < 0.0
    length = 0.0
    for k in range(first.size):
        length += step[k] * step[k]
    return sqrt(length), downwards


@inline
def _move(z, k, by, ns):
    """Move z along an axis, along one of place by a multiple of 1 / `GRID`: then the sum is exact."""
    if k < ns:
        by = np.rint(by * GRID) / GRID
    z[k] += np.float32(by)


@inline
def _lands_higher(blocks, boxes, begins, dims, unit, scale, reach, cut, z, side, y, first, f, least, room):
    """Return whether the density in the middle of z's cell of the lattice is above `least`.

    Known are f and h grad log f at y. The Hessian of log f is at least -1 / h^2, so
    log f(y + v) >= log f(y) + v.grad log f - |v|^2 / 2 h^2: mostly that is enough.
    `room` is for the sum where it is not; its first array becomes the middle.
    """
    middle, scaled, e, lanes, sink, none = room
    ns = dims.size
    gain = 0.0
    for k in range(z.size):
        if k < ns:
            middle[k] = (np.floor(z[k] / side[k]) + np.float32(0.5)) * side[k]
        else:  # in columns of zeros it is 0
            middle[k] = np.rint(z[k] / side[k]) * side[k]
        v = (middle[k] - y[k]) / scale[k]
        gain += v * first[k] - 0.5 * v * v
    if f * np.exp(gain) > RISE * least:
        return True
    return (
        sums(blocks, boxes, begins, dims, unit, scale, reach, cut, middle, scaled, False, e, lanes, sink, none) > least
    )


@inline
def _square_away(z, origin, scale):
    """Return the square of a distance in bandwidths."""
    total = 0.0
    for k in range(z.size):
        total += ((z[k] - origin[k]) / scale[k]) ** 2
    return total


@kernel
def climb(blocks, boxes, begins, dims, unit, scale, reach, x, side, far, slow, tol, longest, max_iter, state):
    """Let the rows of x climb until they have left for a higher place (state 1) or rest (state 2).

    Left is who is `far` bandwidths from where it began: for the middle of its cell of the lattice, of sides `side`
    (d,), if that is higher than where it began. If it is not, as along a narrow ridge, and the climb is twice as far,
    it has left for where it is: none comes farther than three times. That places rise makes chains of them end.
    Lengths are in bandwidths: `slow` that of a step from which on Newton's are taken, `longest` theirs at most, `tol`
    theirs at rest. Rows that use up `max_iter` sums have state 3.
    """
    d, ns = x.shape[1], dims.size
    z, before, origin, scaled = np.empty(d, np.float32), np.empty(d, np.float32), np.empty(d), np.empty(d, np.float32)
    first, second, step, lower = np.empty(d), np.empty((d, d)), np.empty(d), np.empty((d, d))
    e, lanes = np.empty(d * WIDTH, np.float32), np.empty((1 + d + d * d) * WIDTH, np.float32)
    room = np.empty(d, np.float32), scaled, e, lanes, np.empty(d), second
    cut = np.float32(np.exp(-0.5 * reach * reach))
    for row in range(x.shape[0]):
        z[:] = x[row]
        origin[:] = z
        newton, trust, length, height, least = False, longest, 0.0, -1.0, -1.0
        state[row] = 3
        for _ in range(max_iter):
            f = sums(blocks, boxes, begins, dims, unit, scale, reach, cut, z, scaled, newton, e, lanes, first, second)
            if least < 0.0:
                least = f
            if f < height * (1.0 - LOST):  # it led down: back three quarters of the way
                if length < tol:
                    state[row] = 2
                    break
                length *= 0.25
                trust = min(trust, length)
                for k in range(d):
                    by = 0.25 * (z[k] - before[k])
                    z[k] = before[k]
                    _move(z, k, by, ns)
                continue
            away = _square_away(z, origin, scale)
            if away > 4.0 * far * far:
                state[row] = 1 if f > least else 2
                break
            size = 0.0
            for k in range(d):
                size += first[k] * first[k]
            size = sqrt(size)
            if size < slow and not newton:
                newton, height = True, -1.0
                continue
            newton = newton and size <= 2.0 * slow
            most = 1.0 if away <= far * far else far
            if newton:
                length, downwards = _newton(first, second, step, lower)
                if length < tol and downwards:
                    for k in range(d):
                        _move(z, k, step[k] * scale[k], ns)
                    state[row] = 2
                    break
                most = trust
                trust = min(longest, 2.0 * trust)
            else:
                for k in range(d):
                    step[k] = FURTHER * first[k]
                length = FURTHER * size
            if length > most:
                for k in range(d):
                    step[k] *= most / length
                length = most
            before[:] = z
            for k in range(d):
                _move(z, k, step[k] * scale[k], ns)
            height = f
            if _square_away(z, origin, scale) > far * far and _lands_higher(
                blocks, boxes, begins, dims, unit, scale, reach, cut, z, side, before, first, f, least, room
            ):
                state[row] = 1
                z[:] = room[0]
                break
        x[row] = z
