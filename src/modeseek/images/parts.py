"""What one tile of a picture holds of regions: parts of them, and what is needed to unite these with others.

Which parts make a region is not known here.
"""

from dataclasses import dataclass
from math import frexp, ldexp
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modeseek.engines.cpu import regions as kernels
from modeseek.images.tiles import Seam, Tile

Faces = dict[tuple[int, int], NDArray[np.int32]]  # by axis, and 0 for the first plane, -1 for the last


@dataclass
class Part:
    """What one tile holds of regions: their sizes, first pixels and sums; labels and modes at its faces."""

    sizes: NDArray[np.int64]  # (n,)
    firsts: NDArray[np.int64]  # (n,)
    sums: NDArray[np.int64]  # (n, channels)
    labels: Faces
    modes: Faces


def find_part(
    tile: Tile, modes: NDArray[Any], values: NDArray[Any], scale: float, merge2: float, out: NDArray[np.int32]
) -> Part:
    """Find the regions of a tile as if there were no others; ``out`` gets their numbers within the tile."""
    own = tile.read(modes)
    if own.max() >= len(values):
        raise ValueError(f"modes holds {own.max()}, but values only has {len(values)} rows")
    own = own.astype(np.int32, copy=False)
    labels, numbers = np.empty_like(own), np.empty(own.size, np.int32)
    n = kernels.label_tile(own, values, merge2, labels, numbers)
    sizes, firsts, sums = np.zeros(n, np.int64), np.empty(n, np.int64), np.zeros((n, values.shape[1]), np.int64)
    shape = (1,) * (3 - out.ndim) + out.shape
    kernels.measure_tile(own, numbers, values, scale, tile.start, shape, labels, sizes, firsts, sums)
    out[tile.where] = labels.reshape(out[tile.where].shape)
    return Part(sizes, firsts, sums, _faces(labels, tile, shape), _faces(own, tile, shape))


def _faces(pixels: NDArray[Any], tile: Tile, shape: tuple[int, ...]) -> Faces:
    """Copy the planes at which a tile touches others."""
    faces = {}
    for axis in range(3):
        if tile.start[axis] > 0:
            faces[axis, 0] = pixels.take(0, axis)
        if tile.stop[axis] < shape[axis]:
            faces[axis, -1] = pixels.take(-1, axis)
    return faces


def both_sides(faces: list[Faces], seam: Seam) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Return the pixels on the two sides of a seam, flat, from the faces of all tiles."""
    before, after = faces[seam.before][seam.axis, -1], faces[seam.after][seam.axis, 0]
    return np.ravel(before[seam.of_before]), np.ravel(after[seam.of_after])


def power_of_two(largest: float, n: int) -> float:
    """Return the scale at which n numbers no larger than ``largest`` add up to less than 2**62."""
    return ldexp(1.0, min(62 - frexp(n)[1] - frexp(largest)[1], 1023)) if largest else 1.0
