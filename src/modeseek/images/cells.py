"""Cells of a part of a picture: what climbs in it need, no more of the picture than is within their reach.

Places are counted in units of two squares from a corner that lies on a grid of groups of four squares, whatever part
is looked at; so the cells of a group, and every sum over them, are the same bits in every part.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modeseek.engines.threads import run_chunks
from modeseek.images.spaces import Picture, Tile

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]
Ints = NDArray[np.int64]

PER_UNIT = 2  # squares in a unit of length, which is about a bandwidth
GROUP = 4  # squares along the side of a group
UNIT = GROUP / PER_UNIT  # side of a group, in units
WIDE = 1.0  # bandwidths along the side of a cell of values that sums go over
START = 0.35  # of one whose pixels climb as one; those are gathered from two squares along each axis
BROADEST = 1.25  # bandwidths that two squares may be wide; else one
SIDE = 0.25  # bandwidths along the side of a cell of the lattice; rounded to a power of two along axes of place
NARROWEST = 0.1  # pixels: with any smaller bandwidth neighbours weigh nothing, as with this one
WIDEST = 1000.0  # times the picture: with any larger bandwidth all pixels weigh the same, as with this one
COLUMNS = 5  # fewer are filled up with columns of zeros: compiled loops are unrolled for five
MOST_PIXELS = 1 << 16  # gathered at a time
MAX_GROUPS = 200  # along a part: places must be exact in float32


@dataclass(frozen=True)
class Grid:
    """Bandwidths, and the squares and groups that they ask for."""

    shape: tuple[int, ...]  # of the picture, pixels
    spatial: tuple[float, ...]  # bandwidths, pixels
    color: float  # bandwidth, in the picture's values
    channels: int
    squares: tuple[int, ...] = field(init=False)  # sides, pixels

    def __post_init__(self) -> None:
        within = (min(max(h, NARROWEST), WIDEST * n) for h, n in zip(self.spatial, self.shape, strict=True))
        object.__setattr__(self, "spatial", tuple(within))
        object.__setattr__(self, "squares", tuple(max(1, round(h / PER_UNIT)) for h in self.spatial))

    @property
    def scale(self) -> Singles:
        """Bandwidths in the units of the columns: places in units of two squares, values in bandwidths."""
        places = [h / (PER_UNIT * s) for h, s in zip(self.spatial, self.squares, strict=True)]
        return np.array(places + [1.0] * (self.d - len(places)), np.float32)

    @property
    def paired(self) -> bool:
        """Whether starts are gathered from two squares along each axis."""
        return all(2 * s <= BROADEST * h for s, h in zip(self.squares, self.spatial, strict=True))

    @property
    def sides(self) -> Floats:
        """Sides of the lattice's cells, in the units of the columns; powers of two, so that parts begin on it."""
        return np.exp2(np.rint(np.log2(SIDE * self.scale.astype(np.float64))))

    @property
    def d(self) -> int:
        """Columns of a position, those of zeros included."""
        return max(COLUMNS, len(self.shape) + self.channels)

    @property
    def groups(self) -> tuple[int, ...]:
        """Groups along each axis."""
        return tuple(-(-n // (GROUP * s)) for n, s in zip(self.shape, self.squares, strict=True))

    def pixels(self, low: Sequence[int], high: Sequence[int]) -> Tile:
        """Return the pixels of a box of groups."""
        edges = zip(low, high, self.squares, self.shape, strict=True)
        return tuple(slice(a * GROUP * s, min(b * GROUP * s, n)) for a, b, s, n in edges)

    def parts(self, pixels: int) -> list["Part"]:
        """Cut the picture into parts of about so many pixels, whole groups, in raster order."""
        side = pixels ** (1 / len(self.shape))
        counts = [
            min(MAX_GROUPS, max(1, round(side / (GROUP * s)))) if n * s * GROUP > 1.5 * side or n > MAX_GROUPS else n
            for s, n in zip(self.squares, self.groups, strict=True)
        ]
        starts = itertools.product(*(range(0, n, c) for n, c in zip(self.groups, counts, strict=True)))
        return [
            Part(low, tuple(min(a + c, n) for a, c, n in zip(low, counts, self.groups, strict=True))) for low in starts
        ]


@dataclass(frozen=True)
class Part:
    """A box of groups, from `low` up to, not including, `high`."""

    low: tuple[int, ...]
    high: tuple[int, ...]


@dataclass
class Cells:
    """Cells of a part and of what is within reach of it, and the starts of its climbs.

    ``blocks``, ``boxes``, ``begins``, ``dims`` are what `modeseek.engines.cpu.joint_shift` sums over; ``starts``
    (m, d) are positions from the corner of group ``origin``; ``start_of`` is each pixel's start, -1 for none.
    """

    grid: Grid
    part: Part
    origin: Ints
    dims: Ints
    blocks: Singles
    boxes: Singles
    begins: Ints
    starts: Singles
    start_of: NDArray[np.int32]

    def without_starts(self) -> "Cells":
        """Return the same cells, for those who come from elsewhere."""
        return replace(self, starts=self.starts[:0], start_of=self.start_of[:0])


def gather(picture: Picture, grid: Grid, part: Part, halo: Sequence[int], n_jobs: int | None) -> Cells:
    """Gather a part of a picture, with a margin of so many groups around it."""
    low = np.array([max(0, a - w) for a, w in zip(part.low, halo, strict=True)])
    high = np.array([min(n, b + w) for b, w, n in zip(part.high, halo, grid.groups, strict=True)])
    dims = high - low
    whole = grid.pixels(part.low, part.high)
    start_of = np.full([s.stop - s.start for s in whole], -1, np.int32)
    runs = list(_runs(grid, low, high))
    made: list[Any] = [None] * len(runs)

    def work(_: int, first: int, last: int) -> None:
        for i in range(first, last):
            made[i] = _gather_run(picture, grid, part, low, *runs[i])

    run_chunks(len(runs), work, n_jobs, 1)
    counts = np.concatenate([run.blocks_of_group for run in made])
    begins = np.concatenate([[0], np.cumsum(counts)])
    n_blocks = int(begins[-1])
    blocks = np.concatenate([run.blocks for run in made])
    boxes = np.zeros((made[0].boxes.shape[0], n_blocks + 16), np.float32)  # sixteen are read at a time
    at = n_starts = 0
    for run in made:
        boxes[:, at : at + run.boxes.shape[1]] = run.boxes
        at += run.boxes.shape[1]
        if run.where is not None:
            start_of[run.where] = np.where(run.start_of >= 0, run.start_of + n_starts, -1)
            n_starts += len(run.starts)
    starts = np.concatenate([run.starts for run in made])
    return Cells(grid, part, low, dims, blocks, boxes, begins, starts, start_of)


def _runs(grid: Grid, low: Ints, high: Ints) -> Any:
    """Yield boxes of groups that lie side by side along a row, in raster order, none with too many pixels."""
    size = prod(GROUP * s for s in grid.squares)
    most = max(1, MOST_PIXELS // size)
    rows = itertools.product(*(range(a, b) for a, b in zip(low[:-1].tolist(), high[:-1].tolist(), strict=True)))
    for row in rows:
        for a in range(int(low[-1]), int(high[-1]), most):
            yield (*row, a), (*(k + 1 for k in row), min(a + most, int(high[-1])))


@dataclass
class _Run:
    blocks_of_group: Ints
    blocks: Singles
    boxes: Singles
    starts: Singles
    start_of: NDArray[np.int32]
    where: Tile | None  # in the part; None outside of it


def _gather_run(
    picture: Picture, grid: Grid, part: Part, origin: Ints, low: tuple[int, ...], high: tuple[int, ...]
) -> _Run:
    from modeseek.engines.cpu import joint_cells

    tile = grid.pixels(low, high)
    shape = tuple(s.stop - s.start for s in tile)
    used, values = picture.used(tile), np.zeros((prod(shape), grid.d - len(shape)))
    if used.any():
        values[:, : grid.channels] = picture.values(tile).reshape(-1, grid.channels)
    values /= grid.color
    pixels, firsts, pair_firsts = _in_squares(shape, grid.squares, high[-1] - low[-1])
    if not used.all():
        kept = used.reshape(-1)[pixels]
        before = np.concatenate([[0], np.cumsum(kept)])
        pixels, firsts, pair_firsts = pixels[kept], before[firsts], before[pair_firsts]
    places, group_corners = _places(shape, grid.squares, high[-1] - low[-1])
    group_corners = group_corners + (np.array(low) - origin) * UNIT
    per_group, pairs = GROUP ** len(shape), (GROUP // 2) ** len(shape)
    corners, d, scale = np.repeat(group_corners, per_group, axis=0), grid.d, grid.scale.astype(np.float64)
    masses, moments, counts = np.empty(len(pixels)), np.empty((2 * d, len(pixels))), np.zeros(len(corners), np.int64)
    joint_cells.gather(values, places, corners, pixels, firsts, WIDE, masses, moments, counts)
    members = _members(firsts[:-1], counts)
    of_group = counts.reshape(-1, per_group).sum(axis=1)
    n_blocks = -(-of_group // 16)
    ends, first_block = np.cumsum(of_group), np.cumsum(n_blocks) - n_blocks
    blocks = np.zeros((int(n_blocks.sum()), 1 + 2 * d, 16), np.float32)
    boxes = np.zeros((2 * d + 1, len(blocks)), np.float32)
    for g in range(len(of_group)):
        of = members[ends[g] - of_group[g] : ends[g]]
        joint_cells.halve(moments, scale, of)
        joint_cells.pack(masses, moments, scale, of, first_block[g], blocks, boxes)
    first, last = max(part.low[-1] - low[-1], 0), min(part.high[-1], high[-1]) - low[-1]  # groups of the part itself
    across = zip(low[:-1], high[:-1], part.low[:-1], part.high[:-1], strict=True)
    if first >= last or any(b <= p or a >= q for a, b, p, q in across):
        return _Run(n_blocks, blocks, boxes, np.empty((0, d), np.float32), np.empty(0, np.int32), None)
    if not grid.paired:
        pair_firsts, pairs = firsts, per_group
    chosen = pair_firsts[first * pairs : last * pairs + 1]
    starts, start_of = np.empty((chosen[-1] - chosen[0], d), np.float32), np.full(prod(shape), -1, np.int32)
    corners = np.repeat(group_corners[first:last], pairs, axis=0)
    count = joint_cells.gather_starts(values, places, corners, pixels, chosen, START, starts, start_of)
    cut, where = [], []  # what lies in the part: of the run's pixels, of the part's
    for of_part, of_run in zip(grid.pixels(part.low, part.high), tile, strict=True):
        first, last = max(of_part.start, of_run.start), min(of_part.stop, of_run.stop)
        cut.append(slice(first - of_run.start, last - of_run.start))
        where.append(slice(first - of_part.start, last - of_part.start))
    start_of = start_of.reshape(shape)[tuple(cut)]
    return _Run(n_blocks, blocks, boxes, starts[:count], start_of, tuple(where))


def _members(firsts: Ints, counts: Ints) -> Ints:
    """Return firsts[t], firsts[t] + 1, ..., counts[t] of them, for every t in turn."""
    total = np.cumsum(counts)
    return np.arange(total[-1]) + np.repeat(firsts - (total - counts), counts)


@lru_cache(maxsize=16)
def _in_squares(shape: tuple[int, ...], sides: tuple[int, ...], groups: int) -> tuple[Ints, Ints, Ints]:
    """Return the pixels of a run of groups: group by group, in it by pairs of squares along each axis, and by squares.

    Second and third, where in that order each square begins, and each pair (in fact four squares, or eight).
    """
    n, key = len(shape), np.zeros(shape, np.int64)
    for axis, (m, s) in enumerate(zip(shape, sides, strict=True)):
        square = np.arange(m) // s
        pair, odd = square % GROUP // 2, square % 2
        part = pair * 2 ** (n - 1 - axis) * 2**n + odd * 2 ** (n - 1 - axis)
        if axis == n - 1:
            part += square // GROUP * GROUP**n
        key += part.reshape([-1 if k == axis else 1 for k in range(n)])
    order = np.argsort(key.reshape(-1), kind="stable")
    counts = np.bincount(key.reshape(-1), minlength=groups * GROUP**n)
    firsts = np.concatenate([[0], np.cumsum(counts)])
    return order, firsts, firsts[:: 2**n]


@lru_cache(maxsize=16)
def _places(shape: tuple[int, ...], sides: tuple[int, ...], groups: int) -> tuple[Floats, Floats]:
    """Return the places of the pixels of a run in their groups, and of the groups in the run, in units."""
    axes = [(np.arange(n) % (GROUP * s) + 0.5) / (PER_UNIT * s) for n, s in zip(shape, sides, strict=True)]
    places = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, len(shape))
    corners = np.zeros((groups, len(shape)))
    corners[:, -1] = np.arange(groups) * UNIT
    return places, corners
