r"""Modes -> labels, cell by cell.

A point's cell is that of its nearest node. Blocks of 2^d cells climb first, one cell for each; a block whose
occupied neighbours all reach the same mode is *interior*, and its cells take that label. The cells of the other
blocks climb on their own, and so, where neighbouring cells differ, do sub-cells: from one of their points where
points are few, from their centres where they are many. A climb that enters an interior cell has arrived. The
work follows the border between basins, not the number of points.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from modeseek.cells import VALUES_AT_ONCE, Keys, RowNumbers, distinct_rows
from modeseek.climb import ModeFinder
from modeseek.engines.packed import SmallPickles
from modeseek.engines.threads import n_workers, run_chunks
from modeseek.fields import Floats
from modeseek.fields.nodes import Box, cell_corner
from modeseek.fields.table import TableField
from modeseek.places import Places

UNKNOWN = -1
POINTS_PER_CENTRE = 8  # with more points than this a sub-cell, sub-cells climb from their centres
MAX_SUB_CELLS = 1 << 26  # 256 MiB of labels; beyond, cells are cut less finely


class Counts(NamedTuple):
    """How many rows have no label, and how many have each."""

    unknown: int
    members: NDArray[np.int64]


class Uniform(NamedTuple):
    """What `CellLabels` of very many rows are looked up in: made once, as it costs a look at every cell."""

    labels: NDArray[np.signedinteger]  # of each cell, flat: -2 where its sub-cells have more than one
    highest: int


@dataclass
class CellLabels(SmallPickles):
    """A look-up table of labels over the nodes of a box."""

    _packed: ClassVar[tuple[str, ...]] = ("cells", "blocks")

    origin: Floats
    delta: float
    box: Box
    split: int  # sub-cells of a mixed cell along each axis
    cells: NDArray[np.int32]  # flat: label, UNKNOWN, or -2 - block
    blocks: NDArray[np.int32]  # flat: labels of the sub-cells of mixed cells

    def geometry(self) -> tuple[Floats, NDArray[np.int64]]:
        """Return the lower corner of the first node's cell, and the number of nodes along each axis."""
        return cell_corner(self.origin, self.box, self.delta), np.array(self.box.shape, np.int64)

    def masses(self, node_masses: NDArray[np.int64], k: int) -> Floats:
        """Sum the masses of each label's cells; that of a mixed cell is shared by its sub-cells."""
        interior, mixed = np.flatnonzero(self.cells >= 0), np.flatnonzero(self.cells < UNKNOWN)
        total = np.zeros(k) + np.bincount(self.cells[interior], node_masses[interior], k)
        if not len(mixed):
            return total
        sub = self.blocks.reshape(len(mixed), -1)[-2 - self.cells[mixed]]
        known = sub >= 0
        share = node_masses[mixed] / np.maximum(known.sum(axis=-1), 1)
        return total + np.bincount(sub[known], np.broadcast_to(share[:, None], sub.shape)[known], k)

    def highest(self) -> int:
        """Return the highest label."""
        return max(int(self.cells.max()), int(self.blocks.max(initial=UNKNOWN)))

    def assign(
        self,
        points: NDArray[Any],
        out: NDArray[np.signedinteger],
        n_jobs: int | None = None,
        table: Uniform | None = None,
    ) -> Counts:
        """Write the label of each row to ``out``, UNKNOWN where there is none; return the rows of each label.

        ``table`` may be what `uniform` returned, for many rows.
        """
        from modeseek.engines.cpu.lookup import BLOCK_ROWS, label_rows

        corner, shape = self.geometry()
        entries, highest = Uniform(self.cells, self.highest()) if table is None else table
        workers = n_workers(len(points), n_jobs)
        counts = np.zeros((workers, highest + 3), np.int64)  # of rows without a label second
        nodes, mixed = np.empty((workers, BLOCK_ROWS), np.int32), np.empty((workers, BLOCK_ROWS + 1), np.int16)

        def work(worker: int, start: int, stop: int) -> None:
            rows = np.ascontiguousarray(points[start:stop])
            label_rows(
                rows, corner, 1.0 / self.delta, shape, entries, self.cells, self.split, self.blocks, out[start:stop],
                counts[worker], nodes[worker], mixed[worker],
            )  # fmt: skip

        run_chunks(len(points), work, n_jobs)
        total = counts.sum(axis=0)
        return Counts(int(total[1]), total[2:])

    def uniform(self, dtype: Any = np.int32) -> Uniform:
        """Return the label of each cell, also of mixed ones whose sub-cells are of one label."""
        return Uniform(self.of_bins(1).astype(dtype), self.highest())

    def label(
        self, points: NDArray[Any], places: Places | None = None, n_jobs: int | None = None
    ) -> tuple[NDArray[np.int32], Counts, NDArray[np.int64]]:
        """Return the label of each row, the rows of each label, and which have none.

        Where their places are known, ``places.index`` becomes the labels, and points are read again only where a bin
        has more than one label.
        """
        if places is not None:
            return places.index, *self._assign_places(points, places, n_jobs)
        labels = np.empty(len(points), np.int32)
        table = self.uniform() if len(points) > len(self.cells) + len(self.blocks) else None  # pays for itself
        counts = self.assign(points, labels, n_jobs, table)
        return labels, counts, np.flatnonzero(labels == UNKNOWN) if counts.unknown else np.empty(0, np.int64)

    def _assign_places(
        self, points: NDArray[Any], places: Places, n_jobs: int | None
    ) -> tuple[Counts, NDArray[np.int64]]:
        """Turn ``places.index`` into labels in place, as `assign` would give them."""
        entries = self.of_bins(places.per_node)
        counts, rows = self.assign_bins(points, places.index, entries, places.index, n_jobs)
        total = self.in_bins(entries, places.counts) + counts
        return Counts(int(total[0]), total[1:]), rows

    def assign_bins(
        self,
        points: NDArray[Any],
        index: NDArray[np.int32],
        entries: NDArray[np.int32],
        out: NDArray[np.integer],
        n_jobs: int | None = None,
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Write the labels of rows in bins to ``out``, given `of_bins`; return which have none.

        Returned first is how many rows in bins of several labels have none, and each; `in_bins` has the others.
        ``out`` may be ``index``; UNKNOWN is the highest number of an unsigned type.
        """
        from modeseek.engines.cpu.lookup import resolve_bins_2d

        corner, shape = self.geometry()
        counts = np.zeros((n_workers(len(points), n_jobs), self.highest() + 2), np.int64)
        open_rows: dict[int, NDArray[np.int64]] = {}

        def work(worker: int, start: int, stop: int) -> None:
            rows, unknown = np.ascontiguousarray(points[start:stop]), np.empty(stop - start, np.int64)
            found = resolve_bins_2d(
                rows, corner, 1.0 / self.delta, shape, self.cells, self.split, self.blocks, entries,
                index[start:stop], out[start:stop], counts[worker], unknown,
            )  # fmt: skip
            open_rows[start] = start + unknown[:found]

        run_chunks(len(points), work, n_jobs)
        rows = [open_rows[start] for start in sorted(open_rows)]
        return counts.sum(axis=0), np.concatenate(rows) if rows else np.empty(0, np.int64)

    def in_bins(self, entries: NDArray[np.int32], counts: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the points without a label, and of each, in bins that have one or none."""
        return np.bincount(np.maximum(entries, -2) + 2, counts, self.highest() + 3).astype(np.int64)[1:]

    def of_bins(self, per_node: int) -> NDArray[np.int32]:
        """Return the label of each bin (flat), UNKNOWN where it has none, -2 where it has more than one."""
        entries = self.cells.reshape(self.box.shape)
        for axis in range(entries.ndim):
            entries = np.repeat(entries, per_node, axis)
        if self.split % per_node:
            return np.where(entries < UNKNOWN, np.int32(-2), entries).reshape(-1)
        d, parts = entries.ndim, self.split // per_node  # sub-cells of a bin
        blocks = self.blocks.reshape(-1, *(per_node, parts) * d)
        parts_last = tuple(range(2, 2 * d + 1, 2))
        lowest, highest = blocks.min(axis=parts_last), blocks.max(axis=parts_last)
        one = np.where(lowest == highest, highest, np.int32(-2))
        mixed = np.flatnonzero(self.cells < UNKNOWN)
        corners = np.stack(np.unravel_index(mixed, self.box.shape), axis=-1) * per_node
        places = tuple(
            (c[(slice(None), *(None,) * d)] + np.arange(per_node)[(slice(None), *(None,) * (d - 1 - a))])
            for a, c in enumerate(corners.T)
        )
        entries[places] = one[-2 - self.cells[mixed]]
        return entries.reshape(-1)

    def first_rows(
        self, points: NDArray[Any], n_jobs: int | None = None
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the sub-cells that hold points (indices into ``blocks``) and the least row in each."""
        from modeseek.engines.cpu.lookup import BLOCK_ROWS, sub_cells

        corner, shape = self.geometry()
        found = np.empty(len(points), np.int32)
        nodes = np.empty((n_workers(len(points), n_jobs), BLOCK_ROWS), np.int32)

        def work(worker: int, start: int, stop: int) -> None:
            rows = np.ascontiguousarray(points[start:stop])
            sub_cells(rows, corner, 1.0 / self.delta, shape, self.cells, self.split, found[start:stop], nodes[worker])

        run_chunks(len(points), work, n_jobs)
        rows = np.flatnonzero(found != UNKNOWN)
        owners, first = np.unique(found[rows], return_index=True)
        return owners.astype(np.int64), rows[first]

    def sub_centres(self) -> Floats:
        """Return the centres of all sub-cells, in the order of ``blocks``."""
        d = len(self.box.shape)
        mixed = np.flatnonzero(self.cells < UNKNOWN)
        mixed = mixed[np.argsort(-2 - self.cells[mixed])]  # in the order of their blocks
        nodes = np.stack(np.unravel_index(mixed, self.box.shape), axis=-1) + np.array(self.box.lower)
        offsets = (np.indices((self.split,) * d).reshape(d, -1).T + 0.5) / self.split - 0.5
        return self.origin + ((nodes[:, None, :] + offsets[None]) * self.delta).reshape(-1, d)

    def relabel(self, names: NDArray[np.int32]) -> None:
        """Replace label i by names[i]."""
        for table in (self.cells, self.blocks):
            known = table >= 0
            table[known] = names[table[known]]


def name_rows(codes: NDArray[Any], names: NDArray[np.int32], late: NDArray[np.int32]) -> NDArray[np.int32]:
    """Return the name of each code; UNKNOWN, of unsigned types the highest number, stands for what comes late."""
    from modeseek.engines.cpu.lookup import name_codes

    labels = np.empty(len(codes), np.int32)
    name_codes(codes, names, np.array(UNKNOWN).astype(codes.dtype)[()], late, labels)
    return labels


def label_cells(field: TableField, finder: ModeFinder) -> NDArray[np.int32]:
    """Climb for every occupied cell; return the label of each node's cell (flat), UNKNOWN where it is empty."""
    nodes, shape = field.nodes, field.nodes.box.shape
    occupied = nodes.occupied()
    blocks = tuple(-(-length // 2) for length in shape)
    block = np.ravel_multi_index(tuple(i // 2 for i in np.unravel_index(occupied, shape)), blocks)
    found, first = np.unique(block, return_index=True)
    block_labels = np.full(np.prod(blocks), UNKNOWN, np.int32)
    block_labels[found] = finder.find(nodes.positions(occupied[first]))

    labels = np.full(nodes.box.n_nodes, UNKNOWN, np.int32)
    mixed = mixed_cells(block_labels, blocks)[block]
    labels[occupied[~mixed]] = block_labels[block[~mixed]]
    rest = occupied[mixed]
    labels[rest] = finder.find_or_absorb(nodes.positions(rest), labels)
    return labels


def label_sub_cells(
    n: int,
    first: Callable[[CellLabels], tuple[NDArray[np.int64], Floats]],
    field: TableField,
    finder: ModeFinder,
    labels: NDArray[np.int32],
    split: int,
) -> CellLabels:
    """Cut the cells whose neighbours have another label into split^d sub-cells, and climb for those with points.

    ``first`` finds the sub-cells that hold some of the ``n`` points, and one point in each.
    """
    nodes = field.nodes
    mixed = np.flatnonzero(mixed_cells(labels, nodes.box.shape))
    cells = labels.copy()
    cells[mixed] = -2 - np.arange(len(mixed), dtype=np.int32)
    while split > 1 and len(mixed) * split ** len(nodes.box.shape) > MAX_SUB_CELLS:
        split -= 1
    blocks = np.full(len(mixed) * split ** len(nodes.box.shape), UNKNOWN, np.int32)
    table = CellLabels(nodes.origin, nodes.delta, nodes.box, split, cells, blocks)
    if not len(mixed):
        return table
    if n > POINTS_PER_CENTRE * len(blocks):
        blocks[:] = finder.find_or_absorb(table.sub_centres(), cells)
    else:
        owners, places = first(table)
        blocks[owners] = finder.find_or_absorb(places, cells)
    return table


def mixed_cells(labels: NDArray[np.int32], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Tell which cells have, among themselves and their occupied neighbours (3^d), more than one label.

    ``labels`` is flat and holds UNKNOWN in empty cells, which neither decide nor are decided.
    """
    grid = labels.reshape(shape)
    highest = grid.astype(np.int64)
    lowest = np.where(grid == UNKNOWN, np.iinfo(np.int64).max, highest)
    for axis in range(grid.ndim):
        highest = _spread(highest, axis, np.maximum)
        lowest = _spread(lowest, axis, np.minimum)
    return ((highest != lowest) & (grid != UNKNOWN)).reshape(-1)


def _spread(values: NDArray[np.int64], axis: int, extreme: np.ufunc) -> NDArray[np.int64]:
    """Take the extreme over each entry and its two neighbours along an axis."""
    moved = np.moveaxis(values, axis, 0)
    out = values.copy()
    target = np.moveaxis(out, axis, 0)
    extreme(target[1:], moved[:-1], out=target[1:])
    extreme(target[:-1], moved[1:], out=target[:-1])
    return out


class KeyLabels(SmallPickles):
    """Labels by key, found by hash: of distinct points, or of cells too widely spread for a table.

    Parameters
    ----------
    points : ndarray of shape (n, d)
        Points to number by key.
    key : callable
        Maps points (m, d) to integers (m, d); points of equal rows share one label.

    Attributes
    ----------
    keys : ndarray of shape (k, d)
        The distinct keys.
    first_rows : ndarray of shape (k,)
        The first row of ``points`` of each key.
    numbers : ndarray of shape (n,)
        Which key each row has.
    labels : ndarray of shape (k,)
        Label of each key, UNKNOWN until set.
    """

    _packed = ("labels",)

    def __init__(self, points: NDArray[Any], key: Keys):
        self.key = key
        self.numbers, self.first_rows = distinct_rows(points, key)
        self._known = RowNumbers(key(points[self.first_rows]))
        self.labels = np.full(len(self.first_rows), UNKNOWN, np.int32)

    @property
    def keys(self) -> NDArray[np.int64]:
        """The distinct keys."""
        return self._known.rows

    def assign(self, points: NDArray[Any], out: NDArray[np.int32], n_jobs: int | None = None) -> Counts:
        """Write the label of each row to ``out``, UNKNOWN where there is none; return the rows of each label."""

        def work(_: int, start: int, stop: int) -> None:
            number = self._known.find(self.key(points[start:stop]))
            out[start:stop] = np.where(number >= 0, self.labels[number], UNKNOWN)

        run_chunks(len(points), work, n_jobs, max(1, VALUES_AT_ONCE // points.shape[1]))
        total = np.bincount(out + 1, minlength=int(self.labels.max()) + 2)
        return Counts(int(total[0]), total[1:])

    def put_away(self) -> None:
        """Forget which row has which key."""
        self.numbers = self.first_rows = np.empty(0, np.int64)
        self.labels = self.labels[self._known.reorder()]

    def relabel(self, names: NDArray[np.int32]) -> None:
        """Replace label i by names[i]."""
        self.labels = np.where(self.labels >= 0, names[self.labels], UNKNOWN).astype(np.int32)
