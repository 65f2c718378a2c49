r"""Bounds over the cells of a table's nodes: five passes over flat arrays, in 1 to 3 dimensions alike.

``around`` holds the flat offsets of the 3^d nodes around one, in C order, its own in the middle; ``inner`` tells which
nodes have them all. `local` looks at one node, `differences` and `gather` at J between neighbours, `over_cells`
and `widen` carry both to whole cells and to balls around places in them. ``fields.bounds`` explains the formulas.
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


@kernel
def local(
    table, channels, around, stencils, scales, sums, coarse, inner, start, stop,
    density, shift, hessian, highest, lowest, eta, wrong, second, fourth, sixth, eighth, buffer,
):  # fmt: skip
    """Fill the entries start .. stop of density, shift (d, n), hessian (d (d + 1) / 2, n) and what bounds them there.

    ``stencils`` (d + 1, 3^d) give values and slopes at nodes from spline coefficients. ``scales``: the weight of a
    unit of density, the bandwidths of a unit of shift, the factor of slopes, node spacing, and half diagonal of a
    cell in bandwidths. ``sums`` (8, cells) are those of ``fields.bounds``, ``coarse`` (n,) the cell of each node.
    ``second`` to ``eighth`` get moments of |d| and |d - s|. An unknown node has an infinite ``wrong``.
    """
    d = stencils.shape[0] - 1
    moments = buffer[:16].reshape(4, 4)
    h = buffer[16:22]
    ends = buffer[22:24]
    side = scales[3]
    reach = scales[4]
    for p in range(start, stop):
        wrong[p] = np.inf
        if not inner[p]:
            continue
        for c in range(4):
            for b in range(4):
                moments[c, b] = 0.0
        for m in range(around.size):
            k = (p + around[m]) * channels
            moments[0, 0] += stencils[0, m] * table[k]
            for c in range(1, d + 1):
                t = table[k + c]
                for b in range(d + 1):
                    moments[c, b] += stencils[b, m] * t
        total = moments[0, 0]
        cell = coarse[p]
        f = total * scales[0]
        density[p] = f
        if not f > 2.0 * sums[5, cell]:
            continue
        speed2 = 0.0
        one_norm = 0.0
        for a in range(d):
            s = scales[1] * moments[1 + a, 0] / total
            shift[a, p] = s
            speed2 += s * s
            one_norm += abs(s)
        i = 0
        for a in range(d):
            for b in range(a, d):
                slope = 0.5 * (moments[1 + a, 1 + b] + moments[1 + b, 1 + a])
                h[i] = scales[2] * slope / total - shift[a, p] * shift[b, p]
                hessian[i, p] = h[i]
                i += 1
        _eigenvalues(h, d, ends)
        lowest[p] = ends[0]
        highest[p] = ends[1]
        # the least density in the cell: log f bends down by at most |x|^2 / 2, J being positive
        kappa = sums[5, cell] / (f - sums[5, cell])
        least = f / (1.0 + kappa) * exp(-0.5 * side * one_norm - reach - 0.5 * reach * reach)
        m2 = sums[1, cell] / least
        e0 = sums[5, cell] / least
        e1 = sums[6, cell] / least
        e2 = sums[7, cell] / least
        if not e0 < 0.25:
            continue
        fastest = sqrt(speed2) + reach * max(m2, 1.0) + 2.0 * e1  # anywhere in the cell
        eta[p] = (e1 + fastest * e0) / (1.0 - e0) + 1e-12 * (1.0 + fastest)
        wrong[p] = (e2 + (m2 + 1.0) * e0) / (1.0 - e0) + 2.0 * fastest * eta[p] + eta[p] * eta[p]
        second[p] = m2
        fourth[p] = (sqrt(sqrt(sums[2, cell] / least)) + fastest) ** 4
        sixth[p] = ((sums[3, cell] / least) ** (1.0 / 6.0) + fastest) ** 6
        eighth[p] = (sqrt(sqrt(sqrt(sums[4, cell] / least))) + fastest) ** 8


@inline
def _square(hessian, d, p, q, r, t, u, w0, w1, w2, w3, w4):
    """Squared norm of the sum of five symmetric matrices with weights."""
    total = 0.0
    i = 0
    for a in range(d):
        for b in range(a, d):
            row = hessian[i]
            v = w0 * row[p] + w1 * row[q] + w2 * row[r] + w3 * row[t] + w4 * row[u]
            total += v * v if a == b else 2.0 * v * v
            i += 1
    return total


@kernel
def differences(steps, inner, start, stop, hessian, swing, curve, four, d):
    """How J changes around each node: at most half way to its neighbours, in second and in fourth differences.

    ``curve`` and ``four`` come with the factors that they have in the error of interpolation by cubics.
    """
    for p in range(start, stop):
        swing[p] = curve[p] = four[p] = 0.0
        if not inner[p]:
            continue
        for axis in range(d):
            e = steps[axis]
            up, down = p + e, p - e
            rise = _square(hessian, d, p, up, p, p, p, -1.0, 1.0, 0.0, 0.0, 0.0)
            fall = _square(hessian, d, p, down, p, p, p, -1.0, 1.0, 0.0, 0.0, 0.0)
            swing[p] += 0.5 * sqrt(max(rise, fall))
            curve[p] += 0.125 * sqrt(_square(hessian, d, p, up, down, p, p, -2.0, 1.0, 1.0, 0.0, 0.0))
            along = _square(hessian, d, p, up, down, up + e, down - e, 6.0, -4.0, -4.0, 1.0, 1.0)
            four[p] += 3.0 / 128.0 * sqrt(along)
            for other in range(axis):  # mixed: second differences along both, each pair of axes twice
                o = steps[other]
                total = 0.0
                i = 0
                for a in range(d):
                    for b in range(a, d):
                        h = hessian[i]
                        v = 4.0 * h[p] - 2.0 * (h[up] + h[down] + h[p + o] + h[p - o])
                        v += h[up + o] + h[up - o] + h[down + o] + h[down - o]
                        total += v * v if a == b else 2.0 * v * v
                        i += 1
                four[p] += 2.0 / 64.0 * sqrt(total)


@kernel
def gather(
    around, scales, inner, start, stop, highest, wrong, second, fourth, sixth, eighth, four, doubt, coarser, beyond, d
):
    """Bound what interpolation around each node leaves out, linear or by cubics, and the errors that it takes over."""
    side = scales[3]
    axes, pairs = 1.0 * d, d * (d - 1.0)
    for p in range(start, stop):
        doubt[p] = np.inf
        if not inner[p]:
            continue
        worst = top = m2 = m4 = m6 = m8 = largest = 0.0
        for m in range(around.size):
            q = p + around[m]
            worst = max(worst, wrong[q])
            top = max(top, highest[q])
            m2 = max(m2, second[q])
            m4 = max(m4, fourth[q])
            m6 = max(m6, sixth[q])
            m8 = max(m8, eighth[q])
            largest = max(largest, four[q])
        doubt[p] = worst
        if not worst < np.inf:
            continue
        # J in the cells around, from a coarser remainder: its second derivative is a fourth cumulant
        coarser[p] = side * side / 8.0 * max(m4, (d + 2.0) * m2 * m2)
        j = min(1.0 + top + worst + coarser[p], m2)
        m3 = sqrt(m4 * j)
        m5 = sqrt(m6 * m4)
        cumulant = max(
            m8 + 420.0 * m4 * j * j + 560.0 * m3 * m3 * j,
            28.0 * m6 * j + 56.0 * m5 * m3 + 35.0 * m4 * m4 + 630.0 * j**4,
        )
        beyond[p] = largest + worst * (0.375 * axes + 0.25 * pairs)
        beyond[p] += side**6 * cumulant * (0.3 * 3.0 / 128.0 * axes + 0.5 / 64.0 * pairs)


@kernel
def over_cells(
    around, scales, inner, start, stop, density, shift, highest, lowest, eta, swing, curve, doubt, coarser, beyond,
    sums, coarse, known, low, high, near, maxima, stationary, d,
):  # fmt: skip
    """Carry the bounds from the nodes to all of their cells: what ``fields.bounds.CellBounds`` holds."""
    side = scales[3]
    reach = scales[4]
    share = 0.5**d  # the least weight of a node in what is interpolated in its cell
    for p in range(start, stop):
        high[p] = sums[0, coarse[p]]
        near[p, 0] = near[p, 1] = 0.0
        near[p, 2] = near[p, 3] = near[p, 4] = np.inf
        maxima[p] = True
        stationary[p] = True
        if not inner[p]:
            continue
        worst = turn = bent = rest = crude = 0.0
        top = -np.inf
        bottom = np.inf
        for m in range(around.size):
            q = p + around[m]
            worst = max(worst, doubt[q])
            turn = max(turn, swing[q])
            bent = max(bent, curve[q])
            rest = max(rest, beyond[q])
            crude = max(crude, coarser[q])
            top = max(top, highest[q])
            bottom = min(bottom, lowest[q])
        if not worst < np.inf:
            continue
        slack = worst + min(crude, 0.5 * d * worst + bent + rest)
        bend_high = share * highest[p] + (1.0 - share) * top + slack
        bend_low = max(share * lowest[p] + (1.0 - share) * bottom - slack, -1.0)
        known[p] = True
        near[p, 0] = highest[p]
        near[p, 1] = lowest[p]
        near[p, 2] = slack
        near[p, 3] = 2.0 * turn
        near[p, 4] = eta[p]
        maxima[p] = not highest[p] - turn - slack > 0.0
        speed2 = 0.0
        one_norm = 0.0
        for a in range(d):
            speed2 += shift[a, p] * shift[a, p]
            one_norm += abs(shift[a, p])
        stationary[p] = not sqrt(speed2) - eta[p] > max(abs(bend_low), abs(bend_high)) * reach
        f = density[p]
        kappa = sums[5, coarse[p]] / (f - sums[5, coarse[p]])
        slope = 0.5 * side * one_norm + eta[p] * reach
        high[p] = min(high[p], f * (1.0 + kappa) * exp(slope + 0.5 * max(bend_high, 0.0) * reach * reach))
        low[p] = f / (1.0 + kappa) * exp(-slope + 0.5 * min(bend_low, 0.0) * reach * reach)


@kernel
def widen(around, inner, start, stop, near, wide):
    """Copy ``near``, with slack, slope and error the largest over the cells around: valid for balls of one cell."""
    for p in range(start, stop):
        for c in range(5):
            wide[p, c] = near[p, c]
        wide[p, 5] = -1.0
        if not inner[p]:
            wide[p, 2] = np.inf
            continue
        for m in range(around.size):
            q = p + around[m]
            for c in range(2, 5):
                wide[p, c] = max(wide[p, c], near[q, c])
