"""Small regions and their neighbours: which touch, and which each of them joins.

Only pairs with a small region are written down: large ones are joined to, never to others. Pairs may repeat.
"""

from math import prod
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from modeseek.engines.cpu import adjacency as kernels
from modeseek.engines.threads import run_chunks
from modeseek.images.parts import both_sides

if TYPE_CHECKING:
    from modeseek.images.regions import Regions

PIXELS = 1 << 16  # at a time
SLOTS = 1 << 12  # pairs remembered, so that few are written twice


def joined(regions: "Regions", min_size: int) -> NDArray[np.int32]:
    """Return what each region has become part of, and add up the sizes and sums of what is joined, in place."""
    min_size = min(min_size, int(regions.sizes.sum()) + 1)
    if min_size >= 1 << 31:
        raise ValueError(f"min_size must be less than 2**31, got {min_size}")
    small = (regions.sizes < min_size).astype(np.uint8)
    parent = np.arange(len(regions), dtype=np.int32)
    if not small.any():
        return parent
    starts, neighbours = _neighbours(_pairs(regions, small), small)
    means = regions.sums / regions.sizes[:, None]
    following, last = np.full(len(regions), -1, np.int32), parent.copy()
    heap = np.empty(np.count_nonzero(small), np.int64)
    sizes, sums = regions.sizes, regions.sums
    kernels.join_small(min_size, starts, neighbours, sizes, sums, means, parent, following, last, heap)
    while (parent[parent] != parent).any():
        parent = parent[parent]
    return parent


def _pairs(regions: "Regions", small: NDArray[np.uint8]) -> list[NDArray[np.int64]]:
    """Return pairs of touching regions, one of them small, as keys: the lesser in the upper 32 bits."""
    tiles, offsets, numbers = regions.tiles, regions.offsets, regions.numbers
    found: list[list[NDArray[np.int64]]] = [[] for _ in tiles]

    def work(worker: int, start: int, stop: int) -> None:
        for i in range(start, stop):
            tile = tiles[i]
            labels, own = tile.read(regions.out), numbers[offsets[i] : offsets[i + 1]]
            rows, width = prod(tile.shape[:2]), tile.shape[2]
            step = max(1, PIXELS // width)
            room, seen = np.empty(3 * min(step, rows) * width, np.int64), np.full(SLOTS, -1)
            for r in range(0, rows, step):
                n = kernels.touching(labels, own, small, r, min(r + step, rows), seen, room)
                found[i].append(room[:n].copy())

    run_chunks(len(tiles), work, regions.n_jobs, chunk=1)
    across = []
    for seam in regions.seams:
        before, after = both_sides(regions.faces, seam)
        a, b = seam.before, seam.after
        of_a, of_b = numbers[offsets[a] : offsets[a + 1]], numbers[offsets[b] : offsets[b + 1]]
        room, seen = np.empty(len(before), np.int64), np.full(SLOTS, -1)
        across.append(room[: kernels.touching_across(before, of_a, after, of_b, small, seen, room)])
    return [pairs for several in found for pairs in several] + across


def _neighbours(
    pairs: list[NDArray[np.int64]], small: NDArray[np.uint8]
) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """Return the neighbours of small regions, one region after another, and where those of each begin."""
    starts = np.zeros(len(small) + 1, np.int64)
    for some in pairs:
        kernels.count_neighbours(some, small, starts)
    np.cumsum(starts, out=starts)
    place, neighbours = starts[:-1].copy(), np.empty(starts[-1], np.int32)
    for some in pairs:
        kernels.list_neighbours(some, small, place, neighbours)
    return starts, neighbours
