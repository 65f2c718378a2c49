"""Places of rest that are one mode, and the mode of every pixel."""

from typing import Any

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from modeseek.images.cells import Floats, Grid, Ints
from modeseek.images.chains import Ends, climb_picture
from modeseek.images.spaces import Picture, Tile

ALIKE = 0.02  # bandwidths: places of rest that round to the same multiples are one from the beginning
SAME = 0.1  # bandwidths between places of rest of one mode
PART = 1 << 22  # pixels worked on at a time


def find_modes(
    picture: Picture, grid: Grid, modes: Any, part: int | None, n_jobs: int | None
) -> tuple[Floats, list[Tile]]:
    """Write the mode of every pixel into `modes`, an int32 array of the picture's shape; -1 where it takes no part.

    Returns the values of the modes (k, channels), and the tiles worked on.
    """
    parts = grid.parts(part or PART)
    tiles = [grid.pixels(p.low, p.high) for p in parts]
    ends = Ends(grid.d)
    for tile, (start_of, end) in zip(tiles, climb_picture(picture, grid, parts, ends, n_jobs), strict=True):
        numbers = np.append(end, -1)
        modes[tile] = numbers[start_of]
    positions, towards = ends.resolved()
    positions = positions / grid.scale
    rests = np.unique(towards)
    mode_of_rest, centers = match(positions[rests]) if len(rests) else (rests, positions)
    mode_of_end = np.append(mode_of_rest[np.searchsorted(rests, towards)], -1)
    for tile in tiles:
        modes[tile] = mode_of_end[np.asarray(modes[tile])]
    ns = len(grid.shape)
    return centers[:, ns : ns + grid.channels] * grid.color, tiles


def match(positions: Floats) -> tuple[Ints, Floats]:
    """Return the mode of each place of rest, and the modes: the means of places that are linked by `SAME`."""
    _, cell = np.unique(np.floor(positions / ALIKE).astype(np.int64), axis=0, return_inverse=True)
    cell = cell.reshape(-1)
    points = _means(positions, cell)
    pairs = cKDTree(points).query_pairs(SAME, output_type="ndarray")
    links = coo_array((np.ones(len(pairs), bool), (pairs[:, 0], pairs[:, 1])), shape=(len(points), len(points)))
    mode = connected_components(links, directed=False)[1]
    return mode[cell].astype(np.int64), _means(points, mode)


def _means(points: Floats, group: Ints) -> Floats:
    """Return the mean of the points of each group, the same bits in whatever order they come, and how often."""
    distinct, first = np.unique(points, axis=0, return_index=True)
    group = group[first]
    counts = np.bincount(group)
    return np.stack([np.bincount(group, column) for column in distinct.T], axis=1) / counts[:, None]
