r"""Climbs by plain sums with any weight g(r), for the audit: float64, points by cell, each climb to its own rest.

    m(x) - x = sum_i w_i g(|x_i - x| / h) (x_i - x) / sum_i w_i g(|x_i - x| / h)

Written apart from the loops of the fit, which it checks; distances are divided by h as they are, so that a point at
distance h is at r = 1. Loops are compiled for one weight each (`radial.bound`), without fused or reciprocal
arithmetic.

``points`` (d, n) are contiguous columns, sorted by cell; ``w`` (n,) their weights. Cells lie along three ``axes`` (3,),
-1 where there are fewer columns, the last axis fastest; ``keys`` (c,) are those of the occupied cells, ascending, and
``first`` (c + 1,) where their points start; ``side`` and ``dims`` (3,) say how large cells are and how many. Nothing
farther than ``reach`` is read.
"""

from functools import lru_cache
from math import exp, sqrt
from typing import Any, NamedTuple

import numba
import numpy as np
from numba.extending import is_jitted

from modeseek.engines.cpu import inline, unfused_kernel
from modeseek.engines.cpu.radial import bound

BLOCK = 512


@inline
def _gaussian(r):
    return exp(-0.5 * r * r)


@inline
def _triangular(r):
    return max(0.0, 1.0 - r)


@inline
def _epanechnikov(r):
    return max(0.0, 1.0 - r * r)


@inline
def _biweight(r):
    return max(0.0, 1.0 - r * r) ** 2


@inline
def _flat(r):
    return 1.0 if r <= 1.0 else 0.0


WEIGHTS = {
    "gaussian": _gaussian,
    "triangular": _triangular,
    "epanechnikov": _epanechnikov,
    "biweight": _biweight,
    "flat": _flat,
}


def weight(r):
    """Stand for the weight that a loop is compiled for."""
    raise NotImplementedError


def add_run(points, w, start, stop, h, x, g, pull):
    """Add sum_i w_i g (x_i - x) of a run of points to pull (d,), and return sum_i w_i g; g (BLOCK,) is room."""
    total = 0.0
    for begin in range(start, stop, BLOCK):
        end = min(begin + BLOCK, stop)
        g[:] = 0.0
        for k in range(x.size):
            column, at = points[k, begin:end], x[k]
            for i in range(column.size):
                away = column[i] - at
                g[i] += away * away
        here, mass = w[begin:end], 0.0
        for i in range(here.size):
            g[i] = here[i] * weight(sqrt(g[i]) / h)
            mass += g[i]
        total += mass
        for k in range(x.size):
            column, at, sum1 = points[k, begin:end], x[k], 0.0
            for i in range(column.size):
                sum1 += g[i] * (column[i] - at)
            pull[k] += sum1
    return total


@inline
def _first_and_last(center, reach, side, dim):
    """Return the cells along one axis that an interval meets."""
    last = dim - 1.0
    return (
        int(min(max(np.floor((center - reach) / side), 0.0), last)),
        int(min(max(np.floor((center + reach) / side), 0.0), last)),
    )


@inline
def _gap(cell, center, side):
    """Return the distance of a place from a cell along one axis."""
    return max(max(cell * side - center, center - (cell + 1) * side), 0.0)


def around(points, w, axes, keys, first, side, dims, reach, h, x, g, pull):
    """Set pull to sum_i w_i g (x_i - x) over all points within reach, and return sum_i w_i g."""
    total = 0.0
    pull[:] = 0.0
    a = x[axes[0]] if axes[0] >= 0 else 0.5 * side
    b = x[axes[1]] if axes[1] >= 0 else 0.5 * side
    c = x[axes[2]]
    i_first, i_last = _first_and_last(a, reach, side, dims[0])
    j_first, j_last = _first_and_last(b, reach, side, dims[1])
    for i in range(i_first, i_last + 1):
        gap_i = _gap(i, a, side)
        for j in range(j_first, j_last + 1):
            gap_j = _gap(j, b, side)
            rest = reach * reach - gap_i * gap_i - gap_j * gap_j
            if rest < 0.0:
                continue
            k_first, k_last = _first_and_last(c, sqrt(rest), side, dims[2])
            row = (i * dims[1] + j) * dims[2]
            start = first[np.searchsorted(keys, row + k_first)]
            stop = first[np.searchsorted(keys, row + k_last + 1)]
            total += add_run(points, w, start, stop, h, x, g, pull)
    return total


def climb(points, w, axes, keys, first, side, dims, reach, h, rest, tiny, max_steps, x, steps, g, pull):
    """Move each row of x (m, d) to where it rests, or ``max_steps`` steps.

    A climb rests where the way still to go, |step| / (1 - q) with q the quotient of its last two steps, is at most
    ``rest``; a step of at most ``tiny`` is rounding. ``steps`` (m,) gets their number, negative where they were not
    enough, and 0 where nothing is within reach of the start.
    """
    for r in range(x.shape[0]):
        at = x[r]
        previous = np.inf
        done = 0
        while True:
            total = around(points, w, axes, keys, first, side, dims, reach, h, at, g, pull)
            if not total > 0.0 or done == max_steps:
                steps[r] = -done
                break
            done += 1
            length = 0.0
            for k in range(at.size):
                step = pull[k] / total
                at[k] += step
                length += step * step
            length = sqrt(length)
            if length <= tiny or length <= rest * (1.0 - length / previous):
                steps[r] = done
                break
            previous = length


class Loops(NamedTuple):
    """Loops compiled for one weight."""

    climb: Any
    evaluate: Any


def evaluate(r, out):
    """Set out to the weights at distances r in bandwidths."""
    for i in range(r.size):
        out[i] = weight(r[i])


def _in_memory(function: Any) -> Any:
    return numba.njit(nogil=True, error_model="numpy", fastmath={"nsz", "reassoc"}, forceinline=True)(function)


def _loops(name: str, weigh: Any, compiler: Any) -> Loops:
    run = bound(add_run, name, _in_memory, weight=weigh)
    all_around = bound(around, name, _in_memory, add_run=run)
    return Loops(bound(climb, name, compiler, around=all_around), bound(evaluate, name, compiler, weight=weigh))


@lru_cache
def loops(name: str) -> Loops:
    """Return the loops of a built-in kernel."""
    return _loops(name, WEIGHTS[name], unfused_kernel)


@lru_cache
def loops_of(function: Any) -> Loops:
    """Return the loops of a user's g(r)."""
    g = function if is_jitted(function) else _in_memory(function)

    def weigh(r):
        return 1.0 * g(r)

    return _loops("users", _in_memory(weigh), _in_memory)
