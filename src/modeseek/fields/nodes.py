"""Nodes of a regular grid with mass on them: geometry shared by the sketch, the table and the labels."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from modeseek.engines.packed import SmallPickles

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def extent(points: Floats) -> tuple[Floats, Floats]:
    """Return minimum and maximum of each column; column by column, which is quicker where there are few."""
    return np.array([c.min() for c in points.T]), np.array([c.max() for c in points.T])


@dataclass(frozen=True)
class Box:
    """A range of grid nodes: index of the first along each axis, and how many."""

    lower: tuple[int, ...]
    shape: tuple[int, ...]

    @property
    def n_nodes(self) -> int:
        """Number of nodes, as a Python integer that cannot overflow."""
        count = 1
        for length in self.shape:
            count *= length
        return count

    def slices(self, inner: "Box") -> tuple[slice, ...]:
        """Return where ``inner`` lies in an array over this box."""
        return tuple(
            slice(i - o, i - o + length) for i, o, length in zip(inner.lower, self.lower, inner.shape, strict=True)
        )

    def union(self, other: "Box") -> "Box":
        """Return the smallest box that holds both."""
        lower = tuple(map(min, self.lower, other.lower))
        upper = (max(a + m, b + n) for a, m, b, n in zip(self.lower, self.shape, other.lower, other.shape, strict=True))
        return Box(lower, tuple(u - a for u, a in zip(upper, lower, strict=True)))


# Splines touch two nodes beyond the nearest, interpolation there reads two more; bounds of what is interpolated come
# from differences over two, over the cells around, around the cells that a ball may touch.
MARGIN = 6


def node_box(low: Floats, high: Floats, origin: Floats, delta: float, margin: int = MARGIN) -> Box:
    """Return the nodes around points between ``low`` and ``high``."""
    # as Python integers: indices may be beyond int64 before the caller has refused them
    first = [int(v) for v in np.floor((low - origin) / delta + 0.5)]
    last = [int(v) for v in np.floor((high - origin) / delta + 0.5)]
    return Box(
        tuple(f - margin for f in first),
        tuple(b - f + 1 + 2 * margin for f, b in zip(first, last, strict=True)),
    )


def cell_corner(origin: Floats, box: Box, delta: float) -> Floats:
    """Return the lower corner of the first node's cell: positions less it, over delta, truncate to cells."""
    return origin + (np.array(box.lower) - 0.5) * delta


@dataclass(frozen=True)
class Nodes(SmallPickles):
    """Masses on the nodes of a box, in integers, ``units_per_weight`` to a weight of one.

    The position of a node is origin + index * delta.
    """

    _packed: ClassVar[tuple[str, ...]] = ("masses",)

    masses: NDArray[np.int64]
    box: Box
    origin: Floats
    delta: float
    units_per_weight: float
    degree: int = 2  # of the splines that put the masses there
    rounding: float = 0.0  # share of every point that rounding took from its masses or added, beyond whole units

    @property
    def corner(self) -> Floats:
        """Position of the first node of the box."""
        return self.origin + np.array(self.box.lower) * self.delta

    @property
    def total_weight(self) -> float:
        """Sum of the masses as a weight."""
        return float(self.masses.sum()) / self.units_per_weight

    def occupied(self) -> Ints:
        """Return the flat indices of the nodes that hold mass."""
        return np.flatnonzero(self.masses)

    def positions(self, flat: Ints) -> Floats:
        """Return the positions of nodes given by flat index, (m, d)."""
        index = np.stack(np.unravel_index(flat, self.box.shape), axis=-1)
        return self.origin + (index + np.array(self.box.lower)) * self.delta

    def weights(self, flat: Ints) -> Floats:
        """Return the weights of nodes given by flat index, (m,)."""
        return self.masses.reshape(-1)[flat] / self.units_per_weight

    def as_points(self) -> tuple[Floats, Floats]:
        """Return the positions and the weights of the nodes that hold mass."""
        occupied = self.occupied()
        return self.positions(occupied), self.weights(occupied)

    def nearest(self, positions: Floats) -> Ints:
        """Return the flat index of the node nearest to each position in the box."""
        index = np.floor((positions - self.corner) / self.delta + 0.5).astype(np.int64)
        return np.ravel_multi_index(tuple(index.T), self.box.shape, mode="clip")
