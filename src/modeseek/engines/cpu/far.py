"""Sums over a tree of points, relative to the nearest: for places so far out that the weights themselves underflow.

The tree is binary and full, stored as a heap: node i has the parts 2 i + 1 and 2 i + 2, and the last nodes are leaves,
``leaf`` points each (fewer in the last; none where the box begins at infinity). ``low`` and ``high`` (nodes, 3) are the
boxes, ``points`` (3, n) the columns in the order of the leaves, all in bandwidths.
"""

from math import exp, log

import numpy as np

from modeseek.engines.cpu import inline, kernel

FAR = 4.0
GROWN = 1.25  # times: a sum that has grown by so much says anew what may be left out


@inline
def _outside(low, high, node, a, b, c):
    """Square of the distance of a place from a box."""
    x = max(low[node, 0] - a, a - high[node, 0], 0.0)
    y = max(low[node, 1] - b, b - high[node, 1], 0.0)
    z = max(low[node, 2] - c, c - high[node, 2], 0.0)
    return x * x + y * y + z * z


@inline
def _parts(low, high, node, a, b, c):
    """Return the farther and the nearer part of a node, and the squares of their distances."""
    left, right = 2 * node + 1, 2 * node + 2
    to_left, to_right = _outside(low, high, left, a, b, c), _outside(low, high, right, a, b, c)
    if to_left <= to_right:
        left, right = right, left
        to_left, to_right = to_right, to_left
    return left, right, to_left, to_right


@kernel
def log_sums(points, weights, low, high, held, leaf, first_leaf, share, slack, queries, stack, squares, out):
    """Write log sum_i w_i exp(-|q - x_i|^2 / 2) of each query (m, 3) to out (m,).

    Of each sum at most share[1] is left out where the nearest point is at least FAR away, and share[0] elsewhere: half
    of it at most beyond a radius, half in boxes within it that count for so little. ``held`` are the weights in each
    box, ``slack`` is what rounding may do to squares; ``stack`` and ``squares`` are room for the nodes that wait.
    """
    n = weights.shape[0]
    for row in range(queries.shape[0]):
        a, b, c = queries[row, 0], queries[row, 1], queries[row, 2]
        nearest, least = np.inf, 0.0  # the sum is at least the weight of the nearest
        stack[0], squares[0] = 0, 0.0
        waiting = 1
        while waiting > 0:
            waiting -= 1
            node = stack[waiting]
            if squares[waiting] >= nearest:
                continue
            if node >= first_leaf:
                start = (node - first_leaf) * leaf
                for i in range(start, min(start + leaf, n)):
                    x, y, z = points[0, i] - a, points[1, i] - b, points[2, i] - c
                    square = x * x + y * y + z * z
                    if square < nearest:
                        nearest, least = square, weights[i]
                continue
            farther, nearer, to_farther, to_nearer = _parts(low, high, node, a, b, c)
            stack[waiting], squares[waiting] = farther, to_farther
            stack[waiting + 1], squares[waiting + 1] = nearer, to_nearer
            waiting += 2

        half = 0.5 * (share[1] if nearest >= FAR * FAR else share[0])
        budget = log(held[0] / half)
        total, lost = 0.0, 0.0
        farthest = max(nearest + 2.0 * (budget - log(least)), nearest) * (1.0 + slack)
        stack[0], squares[0] = 0, 0.0
        waiting = 1
        while waiting > 0:
            waiting -= 1
            node = stack[waiting]
            if squares[waiting] > farthest:
                continue
            most = held[node] * exp(0.5 * (nearest - squares[waiting]))
            if lost + most <= half * least:
                lost += most
                continue
            if node >= first_leaf:
                start = (node - first_leaf) * leaf
                for i in range(start, min(start + leaf, n)):
                    x, y, z = points[0, i] - a, points[1, i] - b, points[2, i] - c
                    square = x * x + y * y + z * z
                    if square <= farthest:
                        total += weights[i] * exp(0.5 * (nearest - square))
                if total > GROWN * least:
                    least = total
                    farthest = max(nearest + 2.0 * (budget - log(total)), nearest) * (1.0 + slack)
                continue
            farther, nearer, to_farther, to_nearer = _parts(low, high, node, a, b, c)
            if to_farther <= farthest:
                stack[waiting], squares[waiting] = farther, to_farther
                waiting += 1
            if to_nearer <= farthest:
                stack[waiting], squares[waiting] = nearer, to_nearer
                waiting += 1
        out[row] = log(total) - 0.5 * nearest
