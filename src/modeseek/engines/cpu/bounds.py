r"""Bounds over the cells of a table's nodes: five passes over flat arrays, in 1 to 3 dimensions alike.

``steps`` are the flat offsets to the next node along each axis. Nodes near the border lack neighbours; what is
computed for them means nothing. `local` looks at one node, `differences` and `gather` at J between neighbours,
`over_cells` and `widen` carry both to whole cells and to balls around places in them. ``fields.bounds`` explains the
formulas.
"""

from math import acos, cos, exp, pi, sqrt

import numpy as np

from modeseek.engines.cpu import inline, kernel

# E max / E of 1, 2, 3 times at which Brownian motions leave an interval from its middle, rounded up
TOGETHER = (1.0, 1.4107, 1.6816)


@inline
def _eigenvalues(h, d, ends):
    """Write least and largest eigenvalue of a symmetric matrix to ends (2,)."""
    if d == 1:
        ends[0] = ends[1] = h[0]
    elif d == 2:  # h = (00, 01, 11)
        middle = 0.5 * (h[0] + h[2])
        radius = sqrt(0.25 * (h[0] - h[2]) * (h[0] - h[2]) + h[1] * h[1])
        ends[0] = middle - radius
        ends[1] = middle + radius
    else:  # h = (00, 01, 02, 11, 12, 22)
        middle = (h[0] + h[3] + h[5]) / 3.0
        a, b, c = h[0] - middle, h[3] - middle, h[5] - middle
        square = (a * a + b * b + c * c + 2.0 * (h[1] * h[1] + h[2] * h[2] + h[4] * h[4])) / 6.0
        p = sqrt(square)
        if p < 1e-12:
            ends[0] = middle - 2e-12
            ends[1] = middle + 2e-12
        else:
            det = a * (b * c - h[4] * h[4]) - h[1] * (h[1] * c - h[4] * h[2]) + h[2] * (h[1] * h[4] - b * h[2])
            angle = acos(min(max(det / (2.0 * square * p), -1.0), 1.0)) / 3.0
            slack = 1e-7 * p  # near a double eigenvalue the angle loses half its digits
            ends[1] = middle + 2.0 * p * cos(angle) + slack
            ends[0] = middle + 2.0 * p * cos(angle + 2.0 * pi / 3.0) - slack


@inline
def _at_nodes(table, channels, channel, derivative, steps, start, stop, a, b):
    """Write to a[: stop - start] what the cubic spline of a channel is at nodes, or its slope along an axis.

    From the coefficients (1, 4, 1) / 6 for values and (-1, 0, 1) / 2 for slopes, axis by axis.
    """
    halo = 0
    for e in steps[1:]:
        halo += e
    length = stop - start + 2 * halo
    first = (start - halo) * channels + channel
    far = steps[0] * channels
    below, here, above = table[first - far :], table[first:], table[first + far :]
    if derivative == 0:
        for k in range(length):
            a[k] = 0.5 * (above[k * channels] - below[k * channels])
    else:
        for k in range(length):
            a[k] = (below[k * channels] + above[k * channels]) * (1.0 / 6.0) + here[k * channels] * (4.0 / 6.0)
    for axis in range(1, steps.size):
        e = steps[axis]
        length -= 2 * e
        low, middle, high, out = a[:length], a[e : e + length], a[2 * e : 2 * e + length], b[:length]
        if axis == derivative:
            for k in range(length):
                out[k] = 0.5 * (high[k] - low[k])
        else:
            for k in range(length):
                out[k] = (low[k] + high[k]) * (1.0 / 6.0) + middle[k] * (4.0 / 6.0)
        a[:length] = out


@kernel
def local(
    table, channels, steps, scales, sums, coarse, start, stop,
    density, shift, hessian, highest, lowest, eta, wrong, second, fourth, eighth, d, work,
):  # fmt: skip
    """Fill the entries start .. stop of density, shift (d, n), hessian (d (d + 1) / 2, n) and what bounds them there.

    ``scales``: the weight of a unit of density, the bandwidths of a unit of shift, the factor of slopes, node spacing,
    and half diagonal of a cell in bandwidths. ``sums`` (7, cells) are those of ``fields.bounds``, ``coarse`` (n,) the
    cell of each node. ``lowest`` comes negated; ``second`` to ``eighth`` get moments of |d| and |d - s|. An unknown
    node has an infinite ``wrong``. ``work`` (5 + d (d + 1), stop - start + 2 sum(steps[1:])) is scratch.
    """
    side = scales[3]
    reach = scales[4]
    rows = 1 + d * (d + 1)
    a, b, h, ends = work[rows], work[rows + 1], work[rows + 2], work[rows + 3]
    _at_nodes(table, channels, 0, -1, steps, start, stop, a, b)
    work[0, : stop - start] = a[: stop - start]
    for channel in range(1, d + 1):
        for derivative in range(-1, d):
            _at_nodes(table, channels, channel, derivative, steps, start, stop, a, b)
            work[1 + (channel - 1) * (d + 1) + derivative + 1, : stop - start] = a[: stop - start]
    for k in range(stop - start):
        p = start + k
        total = work[0, k]
        cell = coarse[p]
        f = total * scales[0]
        density[p] = f
        if not f > 2.0 * sums[4, cell]:
            continue
        speed2 = 0.0
        one_norm = 0.0
        for i in range(d):
            s = scales[1] * work[1 + i * (d + 1), k] / total
            shift[i, p] = s
            speed2 += s * s
            one_norm += abs(s)
        n = 0
        for i in range(d):
            for j in range(i, d):
                slope = 0.5 * (work[2 + i * (d + 1) + j, k] + work[2 + j * (d + 1) + i, k])
                h[n] = scales[2] * slope / total - shift[i, p] * shift[j, p]
                hessian[n, p] = h[n]
                n += 1
        _eigenvalues(h, d, ends)
        lowest[p] = -ends[0]
        highest[p] = ends[1]
        # the least density in the cell: log f bends down by at most |x|^2 / 2, J being positive
        surely = f - sums[4, cell]
        here = (sums[5, cell] + sqrt(speed2) * sums[4, cell]) / surely  # error of the step at the node
        least = surely * exp(-0.5 * side * one_norm - here * reach - 0.5 * reach * reach)
        m2 = sums[1, cell] / least
        r4 = sums[2, cell] / least
        r8 = sums[3, cell] / least
        e0 = sums[4, cell] / least
        e1 = sums[5, cell] / least
        e2 = sums[6, cell] / least
        if not e0 < 0.25:
            continue
        fastest = sqrt(speed2) + here + reach * max(m2 - 1.0, 1.0)  # anywhere in the cell
        eta[p] = (e1 + fastest * e0) / (1.0 - e0)
        wrong[p] = (e2 + m2 * e0) / (1.0 - e0) + (2.0 * fastest + eta[p]) * eta[p]
        second[p] = m2
        r2 = min(m2, sqrt(r4))
        fourth[p] = r4 + 4.0 * fastest * sqrt(r2 * r4) + 6.0 * fastest * fastest * r2
        eighth[p] = _eighth_moment(r2, r4, r8, fastest)


@inline
def _eighth_moment(r2, r4, r8, s):
    """Bound E(|d| + s)^8 by the moments of |d|, those between by their neighbours."""
    r6 = sqrt(r4 * r8)
    r5, r7 = sqrt(r4 * r6), sqrt(r6 * r8)
    r1, r3 = sqrt(r2), sqrt(r2 * r4)
    s2 = s * s
    even = r8 + s2 * (28.0 * r6 + s2 * (70.0 * r4 + s2 * (28.0 * r2 + s2)))
    return even + 8.0 * s * (r7 + s2 * (7.0 * r5 + s2 * (7.0 * r3 + s2 * r1)))


@inline
def _largest_around(values, steps, start, stop, a, b):
    """Write to a[: stop - start] the largest value over the 3^d nodes around each of start .. stop.

    Axis by axis, in contiguous loops; a and b hold stop - start + 2 sum(steps[1:]) numbers.
    """
    halo = 0
    for e in steps[1:]:
        halo += e
    length = stop - start + 2 * halo
    first, far = start - halo, steps[0]
    low, middle, high = values[first - far :], values[first : first + length], values[first + far :]
    for k in range(length):
        m = middle[k]
        m = low[k] if low[k] > m else m
        a[k] = high[k] if high[k] > m else m
    for axis in range(1, steps.size):
        e = steps[axis]
        length -= 2 * e
        low, middle, high, out = a[:length], a[e : e + length], a[2 * e : 2 * e + length], b[:length]
        for k in range(length):
            m = middle[k]
            m = low[k] if low[k] > m else m
            out[k] = high[k] if high[k] > m else m
        a[:length] = out


@kernel
def differences(steps, start, stop, hessian, swing, curve, four, d, work):
    """Bound how J changes around nodes: at most half way to the next, in second and in fourth differences.

    ``curve`` and ``four`` come with the factors that they have in the error of interpolation by cubics. ``work`` is
    scratch of (4, stop - start).
    """
    m = stop - start
    for axis in range(d):
        e = steps[axis]
        rise, fall, bend, along = work[0, :m], work[1, :m], work[2, :m], work[3, :m]
        work[:, :m] = 0.0
        i = 0
        for a in range(d):
            for b in range(a, d):
                times = 1.0 if a == b else 2.0
                h, up, down = hessian[i, start:stop], hessian[i, start + e : stop + e], hessian[i, start - e : stop - e]
                up2, down2 = hessian[i, start + 2 * e : stop + 2 * e], hessian[i, start - 2 * e : stop - 2 * e]
                for k in range(m):
                    r = up[k] - h[k]
                    f = h[k] - down[k]
                    w = 6.0 * h[k] - 4.0 * (up[k] + down[k]) + up2[k] + down2[k]
                    rise[k] += times * r * r
                    fall[k] += times * f * f
                    bend[k] += times * (r - f) * (r - f)
                    along[k] += times * w * w
                i += 1
        out0, out1, out2 = swing[start:stop], curve[start:stop], four[start:stop]
        for k in range(m):
            out0[k] += 0.5 * sqrt(rise[k] if rise[k] > fall[k] else fall[k])
            out1[k] += 0.125 * sqrt(bend[k])
            out2[k] += 3.0 / 128.0 * sqrt(along[k])
        for other in range(axis):  # mixed: second differences along both
            o = steps[other]
            along[:] = 0.0
            i = 0
            for a in range(d):
                for b in range(a, d):
                    times = 1.0 if a == b else 2.0
                    row = hessian[i]
                    h, up, down = row[start:stop], row[start + e : stop + e], row[start - e : stop - e]
                    next_, last = row[start + o : stop + o], row[start - o : stop - o]
                    c0, c1 = row[start + e + o : stop + e + o], row[start + e - o : stop + e - o]
                    c2, c3 = row[start - e + o : stop - e + o], row[start - e - o : stop - e - o]
                    for k in range(m):
                        w = 4.0 * h[k] - 2.0 * (up[k] + down[k] + next_[k] + last[k]) + c0[k] + c1[k] + c2[k] + c3[k]
                        along[k] += times * w * w
                    i += 1
            for k in range(m):
                out2[k] += 1.0 / 64.0 * sqrt(along[k])


@kernel
def gather(steps, scales, start, stop, highest, wrong, second, fourth, eighth, doubt, coarser, rest, d, work):
    """Bound what interpolation around nodes leaves out: linear of J itself, cubic of its fourth derivatives.

    ``work`` (6, stop - start + 2 sum(steps[1:])) is scratch.
    """
    side = scales[3]
    linear = TOGETHER[d - 1] * side * side / 8.0
    pairs, triples = 0.5 * d * (d - 1.0), 1.0 if d == 3 else 0.0
    sixth = side**6 * (0.38 * 3.0 / 128.0 * d + 0.5 / 64.0 * pairs + triples / 512.0)
    around = wrong, highest, second, fourth, eighth
    for i in range(5):
        _largest_around(around[i], steps, start, stop, work[i], work[5])
    for k in range(stop - start):
        p = start + k
        worst = work[0, k]
        doubt[p] = worst
        if not worst < np.inf:
            continue
        m2, m4, m8 = work[2, k], work[3, k], work[4, k]
        # J is above what is interpolated by the negative part of its second derivatives at most
        j = m2
        for _ in range(2):
            j = min(m2, 1.0 + work[1, k] + worst + linear * (m2 + 2.0 * j) * j)
        coarser[p] = linear * max(m4, (m2 + 2.0 * j) * j)
        rest[p] = sixth * _eighth_cumulant(m4, m8, j)


@inline
def _eighth_cumulant(m4, m8, j):
    """Bound an eighth cumulant: mixed moments have either sign, so all terms count."""
    m3 = sqrt(m4 * j)
    m6 = sqrt(m4 * m8)
    m5 = sqrt(m6 * m4)
    odd = 56.0 * m5 * m3 + 560.0 * m3 * m3 * j
    return m8 + 28.0 * m6 * j + 35.0 * m4 * m4 + 420.0 * m4 * j * j + 630.0 * j**4 + odd


@kernel
def spread(steps, start, stop, doubt, rest, four, wide_doubt, beyond, d, work):
    """Bound what cubics leave out at nodes, from errors and remainders over two nodes around.

    ``work`` (3, stop - start + 2 sum(steps[1:])) is scratch.
    """
    taken_over = 0.375 * d + 0.125 * d * (d - 1.0)
    _largest_around(doubt, steps, start, stop, work[0], work[2])
    _largest_around(rest, steps, start, stop, work[1], work[2])
    for k in range(stop - start):
        p = start + k
        wide_doubt[p] = work[0, k]
        beyond[p] = four[p] + taken_over * work[0, k] + work[1, k]


@kernel
def over_cells(
    steps, scales, start, stop, density, shift, highest, lowest, eta, swing, curve, doubt, coarser, beyond,
    sums, coarse, known, low, high, near, maxima, stationary, d, work,
):  # fmt: skip
    """Carry the bounds from the nodes to all of their cells: what ``fields.bounds.CellBounds`` holds.

    ``lowest`` comes negated, ``doubt`` over two nodes around. ``work`` (6, stop - start + 2 sum(steps[1:])) is scratch.
    """
    side = scales[3]
    reach = scales[4]
    share = 0.5**d  # the least weight of a node in what is interpolated in its cell
    around = swing, curve, beyond, highest, lowest
    for i in range(5):
        _largest_around(around[i], steps, start, stop, work[i], work[5])
    for k in range(stop - start):
        p = start + k
        worst = doubt[p]
        if not worst < np.inf:
            continue
        slack = worst + min(coarser[p], 0.5 * d * worst + work[1, k] + work[2, k])
        bend_high = share * highest[p] + (1.0 - share) * work[3, k] + slack
        bend_low = max(-share * lowest[p] - (1.0 - share) * work[4, k] - slack, -1.0)
        known[p] = True
        near[0, p] = slack
        near[1, p] = 2.0 * work[0, k]
        near[2, p] = eta[p]
        maxima[p] = not highest[p] - work[0, k] - slack > 0.0
        speed2 = 0.0
        one_norm = 0.0
        for a in range(d):
            speed2 += shift[a, p] * shift[a, p]
            one_norm += abs(shift[a, p])
        stationary[p] = not sqrt(speed2) - eta[p] > max(abs(bend_low), abs(bend_high)) * reach
        f = density[p]
        kappa = sums[4, coarse[p]] / (f - sums[4, coarse[p]])
        slope = 0.5 * side * one_norm + eta[p] * reach
        high[p] = min(high[p], f * (1.0 + kappa) * exp(slope + 0.5 * max(bend_high, 0.0) * reach * reach))
        low[p] = f / (1.0 + kappa) * exp(-slope + 0.5 * min(bend_low, 0.0) * reach * reach)


@kernel
def widen(steps, start, stop, highest, lowest, near, wide, work):
    """Put together what tubes need: slack, change and error the largest over the cells around each node."""
    for i in range(3):
        _largest_around(near[i], steps, start, stop, work[i], work[3])
    for k in range(stop - start):
        p = start + k
        wide[p, 0] = highest[p]
        wide[p, 1] = -lowest[p]
        wide[p, 2] = work[0, k]
        wide[p, 3] = work[1, k]
        wide[p, 4] = work[2, k]
