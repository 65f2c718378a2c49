r"""Sums over the points in balls around queries: what a group of queries shares is summed once, its rim point by point.

    W(q) = sum_{|x_i - q| <= r} w_i,    S(q) = sum_{|x_i - q| <= r} w_i x_i

A group of queries lies within rho of its centre c. A point within r - rho of c is in the ball of every query, one
beyond r + rho in none; only those between, the *rim*, are compared query by query. Points come in compact blocks with
boxes and sums of their own, so that most are not looked at either. ``slack`` is more than any rounding error of a
distance: what is near a border goes to the rim, and there |x_i - q|^2 is summed in the order of the columns, every
operation rounded, as scikit-learn's trees do, so that ties come out the same.
"""

from math import sqrt

from modeseek.engines.cpu import inline, unfused_kernel

RIM = 1024  # points of the rim that are compared at once: they stay in the first caches


@inline
def _centre(queries, c):
    """Write the middle of the queries to c; return the radius around it."""
    for k in range(c.size):
        low = high = queries[0, k]
        for i in range(queries.shape[0]):
            low = min(low, queries[i, k])
            high = max(high, queries[i, k])
        c[k] = 0.5 * (low + high)
    largest = 0.0
    for i in range(queries.shape[0]):
        total = 0.0
        for k in range(c.size):
            t = queries[i, k] - c[k]
            total += t * t
        largest = max(largest, total)
    return sqrt(largest)


@inline
def _to_box(c, low, high):
    """Return the squared distances of c from the nearest and the farthest point of a box."""
    near = far = 0.0
    for k in range(c.size):
        below = low[k] - c[k]
        above = c[k] - high[k]
        t = max(max(below, above), 0.0)
        u = max(-below, -above)
        near += t * t
        far += u * u
    return near, far


@inline
def _distances(x, start, stop, q, squares):
    """Fill ``squares`` with the squared distances of some points from q, column by column."""
    a = x[0, start:stop]
    s = squares[: stop - start]
    origin = q[0]
    for j in range(s.size):
        t = a[j] - origin
        s[j] = t * t
    for k in range(1, q.size):
        b = x[k, start:stop]
        middle = q[k]
        for j in range(s.size):
            u = b[j] - middle
            s[j] = s[j] + u * u


@inline
def _compare(rim, n, queries, radius2, squares, sums):
    """Add to the sums of each query the n points of the rim that are in its ball."""
    d = queries.shape[1]
    w = rim[d, :n]
    s = squares[:n]
    for i in range(queries.shape[0]):
        _distances(rim, 0, n, queries[i], squares)
        total = 0.0
        for j in range(n):
            weight = w[j] if s[j] <= radius2 else 0.0
            s[j] = weight
            total += weight
        sums[i, d] += total
        if total > 0.0:
            for k in range(d):
                column = rim[k, :n]
                part = 0.0
                for j in range(n):
                    part += s[j] * column[j]
                sums[i, k] += part


@unfused_kernel
def sums_in_balls(
    x, w, starts, low, high, blocks, radius, slack, queries, groups, first, last, out, rim, squares, c, inside
):
    """Fill out (m, d + 1): S(q) and, last, W(q) of the queries (m, d) of groups ``first`` to ``last``.

    ``x`` (d, n) holds columns; block b is x[:, starts[b]:starts[b + 1]], at most RIM points in the box low[b], high[b],
    with the sums blocks[b] (d + 1). ``rim`` (d + 1, RIM), ``squares`` (RIM,), ``c`` (d,) and ``inside`` (d + 1,) are
    scratch.
    """
    d = x.shape[0]
    radius2 = radius * radius
    for g in range(first, last):
        mine = queries[groups[g] : groups[g + 1]]
        sums = out[groups[g] : groups[g + 1]]
        sums[:] = 0.0
        inside[:] = 0.0
        rho = _centre(mine, c)
        inner = radius - rho - slack
        inner2 = inner * inner if inner > 0.0 else -1.0
        outer2 = (radius + rho + slack) * (radius + rho + slack)
        n = 0
        for b in range(starts.size - 1):
            near, far = _to_box(c, low[b], high[b])
            if near > outer2:
                continue
            if far <= inner2:
                for k in range(d + 1):
                    inside[k] += blocks[b, k]
                continue
            start, stop = starts[b], starts[b + 1]
            if n + stop - start > RIM:
                _compare(rim, n, mine, radius2, squares, sums)
                n = 0
            _distances(x, start, stop, c, squares)
            for j in range(stop - start):
                i = start + j
                if squares[j] <= inner2:
                    for k in range(d):
                        inside[k] += w[i] * x[k, i]
                    inside[d] += w[i]
                elif squares[j] <= outer2:
                    for k in range(d):
                        rim[k, n] = x[k, i]
                    rim[d, n] = w[i]
                    n += 1
        _compare(rim, n, mine, radius2, squares, sums)
        for i in range(mine.shape[0]):
            for k in range(d + 1):
                sums[i, k] += inside[k]
