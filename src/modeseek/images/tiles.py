"""Tiles that make up a picture or a volume, and the seams where two of them touch.

Everything is three-dimensional: a picture is a volume of one layer. What a tile holds is not known here.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

Slices = tuple[slice, ...]
PIXELS_PER_TILE = 1 << 18


@dataclass(frozen=True)
class Tile:
    """A box of pixels [start, stop), and how it is cut out of the user's array."""

    where: Slices
    start: tuple[int, ...]
    stop: tuple[int, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """Layers, rows and columns of it."""
        return tuple(b - a for a, b in zip(self.start, self.stop, strict=True))

    def read(self, array: NDArray[Any], dtype: Any = None) -> NDArray[Any]:
        """Copy its pixels to memory, as an array (Z, H, W) or, with channels, (Z, H, W, C)."""
        pixels = np.array(array[self.where], dtype, order="C")
        return pixels.reshape(self.shape + pixels.shape[len(self.where) :])


@dataclass(frozen=True)
class Seam:
    """Where the last plane of tile ``before`` along an axis touches the first plane of tile ``after``."""

    axis: int
    before: int
    after: int
    of_before: Slices  # the shared part of each plane
    of_after: Slices


def bands(shape: Sequence[int], pixels: int = PIXELS_PER_TILE) -> list[Slices]:
    """Cut a picture into bands of whole rows, a volume into whole layers: each is one stretch of memory or of a file.

    Parameters
    ----------
    shape : sequence of int
        Of the picture or volume.
    pixels : int
        How many pixels a band has, about.

    Returns
    -------
    list of tuples of slices
        In raster order.

    Examples
    --------
    >>> [rows for rows, columns in bands((10, 100), pixels=400)]
    [slice(0, 4, None), slice(4, 8, None), slice(8, 10, None)]
    """
    step = max(1, pixels // max(1, prod(shape[1:])))
    rest = tuple(slice(0, n) for n in shape[1:])
    return [(slice(i, min(i + step, shape[0])), *rest) for i in range(0, shape[0], step)]


def check_tiles(tiles: Sequence[Slices], shape: tuple[int, ...]) -> list[Tile]:
    """Turn slices into tiles; raise if their pixels are not as many as the picture's."""
    checked = []
    for where in tiles:
        if len(where) != len(shape):
            raise ValueError(f"a tile needs one slice for each of {len(shape)} axes, got {where}")
        ranges = [cut.indices(n) for cut, n in zip(where, shape, strict=True)]
        if any(step != 1 for _, _, step in ranges):
            raise ValueError(f"tiles must not leave out pixels, got {where}")
        lift = [(0, 1)] * (3 - len(shape)) + [(a, b) for a, b, _ in ranges]
        tile = Tile(tuple(slice(a, b) for a, b, _ in ranges), *(tuple(ends) for ends in zip(*lift, strict=True)))
        if min(tile.shape) > 0:
            checked.append(tile)
    covered = sum(prod(tile.shape) for tile in checked)
    if covered != prod(shape):
        raise ValueError(f"tiles must cover each pixel once: they hold {covered} pixels, the picture {prod(shape)}")
    return checked


def seams(tiles: Sequence[Tile]) -> Iterator[Seam]:
    """Find all pairs of tiles that share a face or a part of one; raise if a face is not shared with any."""
    for axis in range(3):
        ending = defaultdict(list)
        for i, tile in enumerate(tiles):
            ending[tile.stop[axis]].append(i)
        for i, tile in enumerate(tiles):
            if tile.start[axis] == 0:
                continue
            open_pixels = prod(tile.shape) // tile.shape[axis]
            for j in ending[tile.start[axis]]:
                if seam := _shared(axis, tiles, j, i):
                    open_pixels -= prod(cut.stop - cut.start for cut in seam.of_after)
                    yield seam
            if open_pixels:
                raise ValueError(f"tiles must cover each pixel once: {tile.where} has no neighbour on a side")


def _shared(axis: int, tiles: Sequence[Tile], before: int, after: int) -> Seam | None:
    a, b = tiles[before], tiles[after]
    of_a, of_b = [], []
    for k in range(3):
        if k != axis:
            low, high = max(a.start[k], b.start[k]), min(a.stop[k], b.stop[k])
            if low >= high:
                return None
            of_a.append(slice(low - a.start[k], high - a.start[k]))
            of_b.append(slice(low - b.start[k], high - b.start[k]))
    return Seam(axis, before, after, tuple(of_a), tuple(of_b))
