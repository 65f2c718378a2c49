"""Sums that do not depend on their order: of floats, exactly, or in fixed point.

A float is an integer of 53 bits times a power of two. `Exact` adds the halves of such integers for every power apart;
the sum is rounded once, when it is asked for. `fixed` rounds every number to a multiple of 2^-52 of the largest first,
and adds integers: quicker, and as exact as one number of that size is.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from modeseek.fields import Floats, Ints

HALF = 26  # bits
LEAST = -1126  # exponent of the least bit of a float64, mantissas being integers
ROWS_AT_ONCE = 1 << 24  # of so many halves the sum in float64 is exact


@dataclass(frozen=True)
class Exact:
    """Sums of floats by label: for every exponent the sums of high and of low halves, (2, k)."""

    k: int
    parts: dict[int, Ints]

    @classmethod
    def of(cls, values: Floats, labels: NDArray[np.integer] | None = None, k: int = 1) -> "Exact":
        """Sum finite values, by label where there are labels in 0..k-1."""
        parts: dict[int, Ints] = {}
        for start in range(0, len(values), ROWS_AT_ONCE):
            some = slice(start, start + ROWS_AT_ONCE)
            mantissa, exponent = np.frexp(values[some])
            whole = (mantissa * 2.0**53).astype(np.int64)
            own = np.zeros(len(whole), np.int64) if labels is None else labels[some]
            for e in np.unique(exponent).tolist():
                at = exponent == e
                sums = _halves(whole[at], own[at], k)
                parts[e - 53] = parts[e - 53] + sums if e - 53 in parts else sums
        return cls(k, parts)

    def plus(self, other: "Exact") -> "Exact":
        """Return the sum of both."""
        parts = dict(self.parts)
        for e, sums in other.parts.items():
            parts[e] = parts[e] + sums if e in parts else sums
        return Exact(self.k, parts)

    def floats(self) -> Floats:
        """Return the sums, (k,), each rounded once."""
        totals = [0] * self.k
        for e, (high, low) in self.parts.items():
            for j in np.flatnonzero((high != 0) | (low != 0)).tolist():
                totals[j] += ((int(high[j]) << HALF) + int(low[j])) << (e - LEAST)
        return np.array([total / (1 << -LEAST) for total in totals])


def fixed(values: Floats, labels: NDArray[np.integer], k: int, unit: float) -> Ints:
    """Return sums by label, high and low halves (2, k), of values rounded to multiples of ``unit``, a power of two.

    No value may be larger than 2^52 units.
    """
    whole = np.rint(values / unit).astype(np.int64)
    total = np.zeros((2, k), np.int64)
    for start in range(0, len(whole), ROWS_AT_ONCE):
        some = slice(start, start + ROWS_AT_ONCE)
        total += _halves(whole[some], labels[some], k)
    return total


def unit_of(largest: float) -> float:
    """Return the unit of `fixed` for values up to so large."""
    return 2.0 ** (np.ceil(np.log2(largest)) - 52.0) if largest > 0.0 else 1.0


def as_floats(sums: Ints, unit: float) -> Floats:
    """Return what `fixed` has summed, each rounded once."""
    high, low = sums
    return np.array([float((int(a) << HALF) + int(b)) * unit for a, b in zip(high, low, strict=True)])


def _halves(whole: Ints, labels: NDArray[np.integer], k: int) -> Ints:
    """Return the sums by label of high and low halves of integers of up to 53 bits."""
    high = whole >> HALF
    low = whole - (high << HALF)
    return np.array([np.bincount(labels, part, k) for part in (high, low)]).astype(np.int64)
