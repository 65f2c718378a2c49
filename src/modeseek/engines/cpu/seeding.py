"""The inner loops of k-means++: squared distances from the closest seed, tile by tile in float64.

A seed that is at least twice as far from another one as any point of that one's cluster can be closest to none of them:
most clusters, and all their points, are passed over.
"""

from modeseek.engines.cpu import kernel

LANES = 64  # points of a tile: in 16 columns 8 kB
_L1, _L2, _L3 = LANES, 2 * LANES, 3 * LANES


@kernel
def _squares_of_tile(candidate, tile, squares):
    """Write the squared distances of the points of a tile from a candidate."""
    d = candidate.size
    for r in range(LANES):
        squares[r] = 0.0
    for t in range(0, d - 3, 4):
        y = tile[t * LANES : (t + 4) * LANES]
        at0, at1, at2, at3 = candidate[t], candidate[t + 1], candidate[t + 2], candidate[t + 3]
        for r in range(LANES):
            a, b, c, e = y[r] - at0, y[_L1 + r] - at1, y[_L2 + r] - at2, y[_L3 + r] - at3
            squares[r] += a * a + b * b + c * c + e * e
    for t in range(d - d % 4, d):
        y, at = tile[t * LANES : (t + 1) * LANES], candidate[t]
        for r in range(LANES):
            difference = y[r] - at
            squares[r] += difference * difference


@kernel
def take_in(points, weights, within, candidate, number, start, stop, labels, closest, tops):
    """Take one more seed into the squared distances of points [start, stop); return their weighted sum.

    ``within`` tells of each cluster whether the seed may be closest to some of its points. The largest squared distance
    in each cluster goes to ``tops``.
    """
    total = 0.0
    for i in range(start, stop):
        near = closest[i]
        if within[labels[i]]:
            square = 0.0
            for t in range(points.shape[1]):
                difference = points[i, t] - candidate[t]
                square += difference * difference
            if square < near:
                closest[i] = near = square
                labels[i] = number
        total += weights[i] * near if weights.size else near
        if near > tops[labels[i]]:
            tops[labels[i]] = near
    return total


@kernel
def gains(points, weights, within, candidates, start, stop, labels, closest, work, out):
    """Add to out by how much each candidate would lower the weighted sum over points [start, stop)."""
    rows, tile, squares = work
    m = 0
    for i in range(start, stop):
        if within[labels[i]]:
            rows[m] = i
            m += 1
        if m == LANES or (m > 0 and i == stop - 1):
            for r in range(m):
                for t in range(points.shape[1]):
                    tile[t * LANES + r] = points[rows[r], t]
            for c in range(candidates.shape[0]):
                _squares_of_tile(candidates[c], tile, squares)
                gain = 0.0
                for r in range(m):
                    less = max(closest[rows[r]] - squares[r], 0.0)
                    gain += weights[rows[r]] * less if weights.size else less
                out[c] += gain
            m = 0
