"""The inner loops of k-means++: squared distances from the closest seed, in float64.

A seed that is at least twice as far from another one as any point of that one's cluster can be closest to none of them:
most clusters, and all their points, are passed over.
"""

import numpy as np

from modeseek.engines.cpu import kernel

GROUP = 4  # candidates that are compared with a point together
BLOCK = 128  # points that stay in the first cache meanwhile


@kernel
def take_in(points, weights, within, candidate, number, start, stop, labels, closest, tops):
    """Take one more seed into the squared distances of points [start, stop); return their weighted sum.

    ``within`` tells of each cluster whether the seed may be closest to some of its points. The largest squared distance
    in each of these goes to ``tops``.
    """
    total = 0.0
    for i in range(start, stop):
        near = closest[i]
        a = labels[i]
        if within[a]:
            square = 0.0
            for t in range(points.shape[1]):
                difference = points[i, t] - candidate[t]
                square += difference * difference
            if square < near:
                closest[i] = near = square
                labels[i] = a = number
            if near > tops[a]:
                tops[a] = near
        total += weights[i] * near if weights.size else near
    return total


@kernel
def gains(points, weights, within, candidates, start, stop, labels, closest, out):
    """Add to out by how much each candidate would lower the weighted sum over points [start, stop).

    The number of candidates is a multiple of GROUP: so many share each number that is read of a point.
    """
    for begin in range(start, stop, BLOCK):
        end = min(begin + BLOCK, stop)
        for j in range(0, candidates.shape[0], GROUP):
            c0, c1, c2, c3 = candidates[j], candidates[j + 1], candidates[j + 2], candidates[j + 3]
            g0, g1, g2, g3 = 0.0, 0.0, 0.0, 0.0
            for i in range(begin, end):
                if not within[labels[i]]:
                    continue
                point = points[i]
                s0, s1, s2, s3 = 0.0, 0.0, 0.0, 0.0
                for t in range(points.shape[1]):
                    x = np.float64(point[t])
                    a, b, c, d = x - c0[t], x - c1[t], x - c2[t], x - c3[t]
                    s0 += a * a
                    s1 += b * b
                    s2 += c * c
                    s3 += d * d
                near, weight = closest[i], weights[i] if weights.size else 1.0
                g0 += weight * max(near - s0, 0.0)
                g1 += weight * max(near - s1, 0.0)
                g2 += weight * max(near - s2, 0.0)
                g3 += weight * max(near - s3, 0.0)
            out[j] += g0
            out[j + 1] += g1
            out[j + 2] += g2
            out[j + 3] += g3


@kernel
def rows_at(values, ends, weights, closest, chunk, out):
    """Write the rows at which the running weighted sum of squared distances reaches values.

    ``ends`` holds the running sum at the end of each chunk of rows.
    """
    for v in range(values.size):
        piece = 0
        while piece < ends.size - 1 and ends[piece] < values[v]:
            piece += 1
        row, last = piece * chunk, min((piece + 1) * chunk, closest.size) - 1
        wanted = values[v] - (ends[piece - 1] if piece > 0 else 0.0)
        total = weights[row] * closest[row] if weights.size else closest[row]
        while row < last and total < wanted:
            row += 1
            total += weights[row] * closest[row] if weights.size else closest[row]
        out[v] = row


@kernel
def boxes(x, starts, first, last, low, high):
    """Write the least and the greatest coordinates, (d, cells), of cells [first, last)."""
    for t in range(x.shape[0]):
        column = x[t]
        for c in range(first, last):
            least = greatest = np.float64(column[starts[c]])
            for i in range(starts[c] + 1, starts[c + 1]):
                value = np.float64(column[i])
                least = value if value < least else least
                greatest = value if value > greatest else greatest
            low[t, c], high[t, c] = least, greatest


@kernel
def _bounds_of(candidate, low, high, first, last, bounds):
    """Write the least squared distance that a point of each of cells [first, last) can have, rounded down."""
    n = last - first
    for r in range(n):
        bounds[r] = 0.0
    for t in range(candidate.size):
        at, least, greatest = candidate[t], low[t, first:last], high[t, first:last]
        for r in range(n):
            off = max(max(least[r] - at, at - greatest[r]), 0.0)
            bounds[r] += off * off * (1.0 - 1e-12)


@kernel
def gains_of_cells(x, weights, starts, low, high, near, tops, candidates, first, last, bounds, out):
    """Add to out by how much each candidate would lower the weighted sum over the points of cells [first, last)."""
    for begin in range(first, last, BLOCK):
        end = min(begin + BLOCK, last)
        for j in range(candidates.shape[0]):
            candidate = candidates[j]
            _bounds_of(candidate, low, high, begin, end, bounds)
            gain = 0.0
            for c in range(begin, end):
                if bounds[c - begin] >= tops[c]:
                    continue
                if x.shape[0] == 2:
                    at, to = candidate[0], candidate[1]
                    for i in range(starts[c], starts[c + 1]):
                        a, b = x[0, i] - at, x[1, i] - to
                        less = max(near[i] - (a * a + b * b), 0.0)
                        gain += weights[i] * less if weights.size else less
                    continue
                for i in range(starts[c], starts[c + 1]):
                    square = 0.0
                    for t in range(x.shape[0]):
                        difference = x[t, i] - candidate[t]
                        square += difference * difference
                    less = max(near[i] - square, 0.0)
                    gain += weights[i] * less if weights.size else less
            out[j] += gain


@kernel
def take_into_cells(x, order, starts, low, high, near, tops, candidate, first, last, bounds, closest):
    """Take one more seed into the squared distances of the points of cells [first, last), sorted and in their rows."""
    for begin in range(first, last, BLOCK):
        end = min(begin + BLOCK, last)
        _bounds_of(candidate, low, high, begin, end, bounds)
        for c in range(begin, end):
            if bounds[c - begin] >= tops[c]:
                continue
            top = 0.0
            for i in range(starts[c], starts[c + 1]):
                square = 0.0
                for t in range(x.shape[0]):
                    difference = x[t, i] - candidate[t]
                    square += difference * difference
                if square < near[i]:
                    near[i] = square
                    closest[order[i]] = square
                top = max(top, near[i])
            tops[c] = top


@kernel
def weighted_sum(weights, closest, start, stop):
    """Return the weighted sum of the squared distances of rows [start, stop)."""
    total = 0.0
    if weights.size:
        for i in range(start, stop):
            total += weights[i] * closest[i]
        return total
    for i in range(start, stop):
        total += closest[i]
    return total
