r"""Bounds over the cells of a table's nodes: five passes over flat arrays, in 1 to 3 dimensions alike.

``steps`` are the flat offsets to the next node along each axis. Nodes near the border lack neighbours; what is
computed for them means nothing. `local` looks at one node, `differences` and `gather` at J between neighbours,
`over_cells` and `widen` carry both to whole cells and to balls around places in them. ``fields.bounds`` explains the
formulas.
"""

from math import acos, cos, exp, pi, sqrt

import numpy as np

from modeseek.engines.cpu import inline, kernel


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
        kappa = sums[4, cell] / (f - sums[4, cell])
        least = f / (1.0 + kappa) * exp(-0.5 * side * one_norm - reach - 0.5 * reach * reach)
        m2 = sums[1, cell] / least
        e0 = sums[4, cell] / least
        e1 = sums[5, cell] / least
        e2 = sums[6, cell] / least
        if not e0 < 0.25:
            continue
        fastest = sqrt(speed2) + reach * max(m2, 1.0) + 2.0 * e1  # anywhere in the cell
        eta[p] = (e1 + fastest * e0) / (1.0 - e0) + 1e-12 * (1.0 + fastest)
        wrong[p] = (e2 + (m2 + 1.0) * e0) / (1.0 - e0) + 2.0 * fastest * eta[p] + eta[p] * eta[p]
        second[p] = m2
        fourth[p] = (sqrt(sqrt(sums[2, cell] / least)) + fastest) ** 4
        eighth[p] = (sqrt(sqrt(sqrt(sums[3, cell] / least))) + fastest) ** 8


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
        for other in range(axis):  # mixed: second differences along both, each pair of axes twice
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
                out2[k] += 2.0 / 64.0 * sqrt(along[k])


@kernel
def gather(steps, scales, start, stop, highest, wrong, second, fourth, eighth, four, doubt, coarser, beyond, d, work):
    """Bound what interpolation around nodes leaves out, linear or by cubics, and the errors that it takes over.

    ``work`` (7, stop - start + 2 sum(steps[1:])) is scratch.
    """
    side = scales[3]
    axes, pairs = 1.0 * d, d * (d - 1.0)
    around = wrong, highest, second, fourth, eighth, four
    for i in range(6):
        _largest_around(around[i], steps, start, stop, work[i], work[6])
    for k in range(stop - start):
        p = start + k
        worst = work[0, k]
        doubt[p] = worst
        if not worst < np.inf:
            continue
        # J in the cells around, from a coarser remainder: its second derivative is a fourth cumulant
        m2, m4, m8 = work[2, k], work[3, k], work[4, k]
        coarser[p] = side * side / 8.0 * max(m4, (d + 2.0) * m2 * m2)
        j = min(1.0 + work[1, k] + worst + coarser[p], m2)
        m3 = sqrt(m4 * j)
        m6 = sqrt(m4 * m8)
        m5 = sqrt(m6 * m4)
        cumulant = max(
            m8 + 420.0 * m4 * j * j + 560.0 * m3 * m3 * j,
            28.0 * m6 * j + 56.0 * m5 * m3 + 35.0 * m4 * m4 + 630.0 * j**4,
        )
        beyond[p] = work[5, k] + worst * (0.375 * axes + 0.25 * pairs)
        beyond[p] += side**6 * cumulant * (0.3 * 3.0 / 128.0 * axes + 0.5 / 64.0 * pairs)


@kernel
def over_cells(
    steps, scales, start, stop, density, shift, highest, lowest, eta, swing, curve, doubt, coarser, beyond,
    sums, coarse, known, low, high, near, maxima, stationary, d, work,
):  # fmt: skip
    """Carry the bounds from the nodes to all of their cells: what ``fields.bounds.CellBounds`` holds.

    ``lowest`` comes negated. ``work`` (8, stop - start + 2 sum(steps[1:])) is scratch.
    """
    side = scales[3]
    reach = scales[4]
    share = 0.5**d  # the least weight of a node in what is interpolated in its cell
    around = doubt, swing, curve, beyond, coarser, highest, lowest
    for i in range(7):
        _largest_around(around[i], steps, start, stop, work[i], work[7])
    for k in range(stop - start):
        p = start + k
        worst = work[0, k]
        if not worst < np.inf:
            continue
        slack = worst + min(work[4, k], 0.5 * d * worst + work[2, k] + work[3, k])
        bend_high = share * highest[p] + (1.0 - share) * work[5, k] + slack
        bend_low = max(-share * lowest[p] - (1.0 - share) * work[6, k] - slack, -1.0)
        known[p] = True
        near[0, p] = slack
        near[1, p] = 2.0 * work[1, k]
        near[2, p] = eta[p]
        maxima[p] = not highest[p] - work[1, k] - slack > 0.0
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
