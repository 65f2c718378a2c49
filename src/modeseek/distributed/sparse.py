"""Grids of integers on their way between machines: what is not zero, and where. They add up in any order."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from modeseek.fields import Ints


class Sparse(NamedTuple):
    """A flat array of integers of which most are zero."""

    size: int
    where: NDArray[np.integer]
    values: Ints

    @classmethod
    def of(cls, flat: NDArray[np.integer]) -> "Sparse":
        """Keep what is not zero."""
        index = np.flatnonzero(flat)
        return cls(len(flat), _narrow(index, len(flat)), flat[index].astype(np.int64))

    def dense(self) -> Ints:
        """Return the array."""
        flat = np.zeros(self.size, np.int64)
        flat[self.where] = self.values
        return flat


def add(parts: list[Sparse]) -> Sparse:
    """Return the sum of arrays of one size."""
    if len(parts) == 1:
        return parts[0]
    index = np.concatenate([part.where for part in parts])
    if len(index) > parts[0].size // 4:
        flat = np.zeros(parts[0].size, np.int64)
        for part in parts:
            flat[part.where] += part.values
        return Sparse.of(flat)
    found, place = np.unique(index, return_inverse=True)
    values = np.zeros(len(found), np.int64)
    np.add.at(values, place, np.concatenate([part.values for part in parts]))
    return Sparse(parts[0].size, found, values)


def add_each(parts: list[tuple[Sparse, ...]]) -> tuple[Sparse, ...]:
    """Add up tuples of arrays, place by place."""
    return tuple(add(list(column)) for column in zip(*parts, strict=True))


def _narrow(index: Ints, size: int) -> NDArray[np.integer]:
    return index.astype(np.int32) if size < 2**31 else index
