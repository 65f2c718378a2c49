r"""Sums of any weight g over points in tiles, any number of columns, float64.

A loop is written once, around a name ``weight`` of one argument, the squared distance in bandwidths, and compiled for
each weight with that name bound to it (`bound`): the weight is part of the loop, not called from it. Those of the
built-in kernels are cached on disk; those of users' functions live as long as the process.

``tiles`` (t, d, m) holds the columns of m points to a tile, ``w`` (t, m) their weights (0: no point is there), ``low``
and ``high`` (t, d) the corners of the boxes of tiles, ``outer_low`` and ``outer_high`` those of FAN tiles together.
``inverse`` is 1 / h^2; no tile farther than ``reach2`` / ``inverse`` is read. ``s`` (m,) and ``step`` (d,) are scratch.
"""

from functools import lru_cache
from math import sqrt
from types import FunctionType
from typing import Any, NamedTuple

import numba
import numpy as np
from numba.extending import is_jitted

from modeseek.engines.cpu import FINITE_AWARE, inline, kernel
from modeseek.engines.cpu.table import _rests

FAN = 16


@inline
def gaussian(s):
    """Return exp(-r^2 / 2), s = r^2."""
    return np.exp(-0.5 * s)


@inline
def triangular(s):
    """Return max(0, 1 - r), s = r^2."""
    return max(0.0, 1.0 - sqrt(s))


@inline
def epanechnikov(s):
    """Return max(0, 1 - r^2), s = r^2."""
    return max(0.0, 1.0 - s)


@inline
def biweight(s):
    """Return max(0, 1 - r^2)^2, s = r^2."""
    return max(0.0, 1.0 - s) * max(0.0, 1.0 - s)


@inline
def flat(s):
    """Return 1 up to r = 1, s = r^2."""
    return 1.0 if s <= 1.0 else 0.0


WEIGHTS = {
    "gaussian": gaussian,
    "triangular": triangular,
    "epanechnikov": epanechnikov,
    "biweight": biweight,
    "flat": flat,
}


@inline
def _gap2(low, high, q):
    """Squared distance of a query from a box; 0 inside."""
    total = 0.0
    for k in range(q.size):
        gap = max(max(low[k] - q[k], q[k] - high[k]), 0.0)
        total += gap * gap
    return total


def weight(s):
    """Stand for the weight that a loop is compiled for."""
    raise NotImplementedError


def add_up(tiles, w, low, high, outer_low, outer_high, inverse, reach2, q, s, step):
    """Set step to sum_i w_i g (x_i - q), and return sum_i w_i g."""
    total = 0.0
    step[:] = 0.0
    for c in range(outer_low.shape[0]):
        if _gap2(outer_low[c], outer_high[c], q) * inverse > reach2:
            continue
        for t in range(c * FAN, min((c + 1) * FAN, tiles.shape[0])):
            if _gap2(low[t], high[t], q) * inverse > reach2:
                continue
            s[:] = 0.0
            for k in range(q.size):
                column, a = tiles[t, k], q[k]
                for i in range(s.size):
                    s[i] += (column[i] - a) * (column[i] - a)
            mass, here = 0.0, w[t]
            for i in range(s.size):
                g = here[i] * weight(s[i] * inverse)
                s[i] = g
                mass += g
            total += mass
            for k in range(q.size):
                column, a, pull = tiles[t, k], q[k], 0.0
                for i in range(s.size):
                    pull += s[i] * (column[i] - a)
                step[k] += pull
    return total


def sums(tiles, w, low, high, outer_low, outer_high, inverse, reach2, x, s, steps, totals):
    """Fill steps (m, d) and totals (m,) with the sums around the rows of x (m, d)."""
    for r in range(x.shape[0]):
        totals[r] = add_up(tiles, w, low, high, outer_low, outer_high, inverse, reach2, x[r], s, steps[r])


def climb(tiles, w, low, high, outer_low, outer_high, inverse, reach2, tol, tiny, max_iter, x, s, step, steps):
    """Move each row of x (m, d) to where it rests.

    A step of ``tiny`` or less is rounding. ``steps`` gets the number of steps: negative if max_iter cut it short, 0
    where nothing is within reach of the start.
    """
    for r in range(x.shape[0]):
        q = x[r]
        previous = np.inf
        n = 0
        resting = False
        while n < max_iter and not resting:
            total = add_up(tiles, w, low, high, outer_low, outer_high, inverse, reach2, q, s, step)
            if not total > 0.0:
                break
            n += 1
            length2 = 0.0
            for k in range(q.size):
                step[k] /= total
                q[k] += step[k]
                length2 += step[k] * step[k]
            resting = length2 <= tiny * tiny or (n > 1 and _rests(length2, previous, tol * tol))
            previous = length2
        steps[r] = n if resting else -n


def evaluate(r, out):
    """Set out to the weights at distances r in bandwidths."""
    for i in range(r.size):
        out[i] = weight(r[i] * r[i])


class Loops(NamedTuple):
    """Loops compiled for one weight."""

    sums: Any
    climb: Any
    evaluate: Any


def bound(function: Any, name: str, compiler: Any, **names: Any) -> Any:
    """Compile a copy of a function in which some global names stand for others."""
    copy = FunctionType(function.__code__, {**function.__globals__, **names}, f"{function.__name__}_{name}")
    copy.__qualname__ = copy.__name__  # what Numba calls its file on disk
    return compiler(copy)


def _loops(name: str, weigh: Any, compiler: Any, helper: Any) -> Loops:
    add = bound(add_up, name, helper, weight=weigh)
    return Loops(
        bound(sums, name, compiler, add_up=add),
        bound(climb, name, compiler, add_up=add),
        bound(evaluate, name, compiler, weight=weigh),
    )


def _in_memory(function: Any) -> Any:
    return numba.njit(nogil=True, error_model="numpy", fastmath=FINITE_AWARE, forceinline=True)(function)


@lru_cache
def loops(name: str) -> Loops:
    """Return the loops of a built-in kernel."""
    return _loops(name, WEIGHTS[name], kernel, _in_memory)


@lru_cache
def loops_of(function: Any) -> Loops:
    """Return the loops of a user's g(r)."""
    g = function if is_jitted(function) else _in_memory(function)

    def weigh(s):
        return 1.0 * g(sqrt(s))

    return _loops("users", _in_memory(weigh), _in_memory, _in_memory)
