r"""Sums of Gaussians that each have a bandwidth of their own, over blocks within reach of a query.

Points lie in blocks, as columns: the loops over a block are SIMD. A block is skipped where even its widest Gaussian is
negligible at the query.
"""

from modeseek.engines.cpu import inline, kernel
from modeseek.engines.cpu.points import _exp_neg


@inline
def _exp_neg_far(s):
    """exp(-s) for 0 <= s <= 300 to 1e-9, and to 1e-12 up to 160: that of s / 16, squared four times."""
    p = _exp_neg(s * (1.0 / 16.0))
    p *= p
    p *= p
    p *= p
    p *= p
    return p


@inline
def _weigh(e, c, cut):
    """Turn squared distances into the Gaussians of a block, in place."""
    for i in range(e.size):
        s = e[i] * c[i]
        e[i] = _exp_neg_far(min(s, cut)) if s < cut else 0.0


@inline
def _add_squares(column, q, e):
    for i in range(e.size):
        difference = column[i] - q
        e[i] += difference * difference


@inline
def _total(e, a):
    total = 0.0
    for i in range(e.size):
        total += e[i] * a[i]
    return total


@inline
def _pull(e, a, column, q):
    total = 0.0
    for i in range(e.size):
        total += e[i] * a[i] * (column[i] - q)
    return total


@kernel
def sums(columns, pull, mass, c, starts, lower, upper, reach2, cuts, queries, e, out):
    """Fill out (m, 2 + d): the sums of mass g, of pull g, and of pull g (x - q).

    ``columns`` is (d, n), ``c`` 1 / 2h^2 of each point, ``reach2`` and ``cuts`` the squared reach and the largest
    exponent of each block; ``e`` is scratch as long as a block.
    """
    d = columns.shape[0]
    for r in range(queries.shape[0]):
        q, sums_ = queries[r], out[r]
        sums_[:] = 0.0
        for b in range(reach2.size):
            gap2 = 0.0
            for k in range(d):
                gap = max(max(lower[b, k] - q[k], q[k] - upper[b, k]), 0.0)
                gap2 += gap * gap
            if gap2 > reach2[b]:
                continue
            start, stop = starts[b], starts[b + 1]
            part = e[: stop - start]
            part[:] = 0.0
            for k in range(d):
                _add_squares(columns[k, start:stop], q[k], part)
            _weigh(part, c[start:stop], cuts[b])
            sums_[0] += _total(part, mass[start:stop])
            a = pull[start:stop]
            sums_[1] += _total(part, a)
            for k in range(d):
                sums_[2 + k] += _pull(part, a, columns[k, start:stop], q[k])
