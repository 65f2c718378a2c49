"""What is done to one partition: tasks, pure functions of its points, weights, and what is shared."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modeseek.distributed import sparse
from modeseek.distributed.sparse import Sparse
from modeseek.distributed.sums import Exact
from modeseek.engines import data
from modeseek.engines.threads import ROWS_PER_CHUNK
from modeseek.fields import Floats, Ints
from modeseek.fields.grid import POINTS_PER_CHUNK, sums_over_points
from modeseek.fields.nodes import Box
from modeseek.label import UNKNOWN, CellLabels, name_rows
from modeseek.places import Patches
from modeseek.sketch import UNIT_BITS, BinCounts, DensitySketch

NOBODY = np.empty((0, 2))


@dataclass
class Placed:
    """What lies where: sums that travel, and the bin of each point, which stays; without it, points are read again."""

    sums: tuple[Sparse, ...]  # the second one: points of each bin
    sample: NDArray[Any]
    index: NDArray[np.int32] | None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "index": None}

    def __sizeof__(self) -> int:
        return sum(part.values.nbytes + part.where.nbytes for part in self.sums) + nbytes(self.index)


@dataclass
class LookUp:
    """What a partition tells of its labels; codes of all stay behind, for `codes_of`."""

    codes: NDArray[Any] | None  # the label, or the highest number of the type where there is none
    rows: Ints  # without a label, counted from its first
    points: NDArray[Any]
    weights: Floats
    members: Ints  # of each label
    masses: Exact  # their weights

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "codes": None}

    def __sizeof__(self) -> int:
        return sum(nbytes(part) for part in (self.codes, self.rows, self.points, self.weights, self.members))


def nbytes(array: NDArray[Any] | None) -> int:
    """Return the bytes of an array, if there is one."""
    return 0 if array is None else array.nbytes


def deposit(points: NDArray[Any], weights: Floats, empty: DensitySketch, box: Box) -> Sparse:
    """Deposit points on the nodes of a box."""
    if weights.size and not weights.any():
        return Sparse(box.n_nodes, np.empty(0, np.int32), np.empty(0, np.int64))
    part = empty.copy().add_scanned(points, weights, data.bounds(points, 1), 1)
    occupied = np.flatnonzero(part.masses)
    index = np.stack(np.unravel_index(occupied, part.box.shape), axis=-1) + np.array(part.box.lower)
    flat = np.ravel_multi_index(tuple((index - np.array(box.lower)).T), box.shape)
    return Sparse(box.n_nodes, flat.astype(np.int32), part.masses.reshape(-1)[occupied])


def place(points: NDArray[Any], weights: Floats, box: Box, origin: Floats, delta: float, keep: bool) -> Placed:
    """Deposit very many points by patches, and count them in bins."""
    patches, index = Patches(box, origin, delta, 1 << UNIT_BITS, 1), np.empty(len(points), np.int32)
    patches.add(points, index)
    sums = patches.totals()
    return Placed((Sparse.of(sums["masses"]), Sparse.of(sums["counts"])), NOBODY, index if keep else None)


def count_in_bins(
    points: NDArray[Any], weights: Floats, n: int, bounds: Floats, delta: float, keep: bool, first: int
) -> Placed:
    """Count points in bins, and sum offsets in them; the sample is of all ``n`` points, ``first`` come before these."""
    counter, index = BinCounts(n, bounds, delta, 1), np.empty(len(points), np.int32)
    counter.add(points, index, first)
    sums, sample = counter.totals(), points[-first % counter.sample().step :: counter.sample().step].copy()
    return Placed((Sparse.of(sums["offsets"]), Sparse.of(sums["counts"])), sample, index if keep else None)


def add_placed(parts: list[Placed]) -> Placed:
    """Add up what lies where, of partitions in their order."""
    sums = sparse.add_each([part.sums for part in parts])
    return Placed(sums, np.concatenate([part.sample for part in parts]), None)


def sums_around(
    points: NDArray[Any], weights: Floats, bandwidth: float, places: Floats, skip: int, *pieces: Any
) -> list[Floats]:
    """Return sums around places over whole chunks of rows, the last one completed by later partitions."""
    more, own_more = pieces
    rows = np.concatenate([points[skip:], *more])
    own = np.concatenate([weights[skip:], *own_more]) if weights.size else weights
    return [
        sums_over_points(
            rows[k : k + POINTS_PER_CHUNK], own[k : k + POINTS_PER_CHUNK], bandwidth, places, 1
        )
        for k in range(0, len(rows), POINTS_PER_CHUNK)
    ]  # fmt: skip


def look_up(points: NDArray[Any], weights: Floats, table: CellLabels, entries: Any, placed: Placed | None) -> LookUp:
    """Look labels up: of places where they are kept, of points elsewhere."""
    k = table.highest() + 1
    codes = np.empty(len(points), code_type(k))
    if placed is not None and placed.index is not None:
        bins = placed.sums[1]
        counts, rows = table.assign_bins(points, placed.index, entries, codes, 1)
        members = (counts + table.in_bins(entries[bins.where], bins.values))[1:]
        return LookUp(codes, rows, points[rows], weights, members, Exact(k, {}))
    members, masses, found, uniform = np.zeros(k, np.int64), Exact(k, {}), [], table.uniform()
    for start in range(0, len(points), ROWS_PER_CHUNK):  # labels of so few rows stay in the cache
        some = slice(start, start + ROWS_PER_CHUNK)
        labels = np.empty(len(points[some]), np.int32)
        part = table.assign(points[some], labels, 1, uniform)
        members[: len(part.members)] += part.members
        found.append(start + np.flatnonzero(labels == UNKNOWN))
        codes[some] = labels
        if weights.size:
            known = labels >= 0
            masses = masses.plus(Exact.of(weights[some][known], labels[known], k))
    rows = np.concatenate(found)
    return LookUp(codes, rows, points[rows], weights[rows] if weights.size else weights, members, masses)


def code_type(k: int) -> Any:
    """Return the smallest type for so many labels, and one code more."""
    return next((kind for kind in (np.uint8, np.uint16) if k <= np.iinfo(kind).max), np.int32)


def codes_of(
    points: NDArray[Any], weights: Floats, table: CellLabels, entries: Any, found: LookUp
) -> NDArray[Any]:  # fmt: skip
    """Return the codes of a look-up, or look up again where they stayed behind."""
    if found.codes is not None:
        return found.codes
    again = look_up(points, np.empty(0), table, entries, None).codes
    assert again is not None
    return again


def first_in_sub_cells(points: NDArray[Any], weights: Floats, table: CellLabels) -> tuple[Ints, Floats]:
    """Return the sub-cells that hold points, and the first point in each."""
    owners, rows = table.first_rows(points, 1)
    return owners, np.asarray(points[rows], np.float64)


def label(codes: NDArray[Any], names: NDArray[np.int32], late: NDArray[np.int32]) -> NDArray[np.int32]:
    """Return the labels of a partition: names of codes, and in their order those of rows that have none."""
    return name_rows(codes, names, late)
