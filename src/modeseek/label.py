r"""Modes -> labels, cell by cell.

A point's cell is that of its nearest node. Each cell that holds points climbs once, from its centre. A cell
whose occupied neighbours all reach the same mode is *interior*: its points take that label. Any other cell is
cut into s^d sub-cells, which climb on their own, from one of their points where points are few, from their
centres where they are many. The work follows the border between basins, not the number of points.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modeseek.cells import compress, find
from modeseek.engines.threads import n_workers, run_chunks
from modeseek.fields import Floats
from modeseek.sketch import Box

UNKNOWN = -1
NO_ROW = np.iinfo(np.int64).max


@dataclass
class CellLabels:
    """A look-up table of labels over the nodes of a box."""

    origin: Floats
    delta: float
    box: Box
    split: int  # sub-cells of a mixed cell along each axis
    cells: NDArray[np.int32]  # flat: label, UNKNOWN, or -2 - block
    blocks: NDArray[np.int32]  # flat: labels of the sub-cells of mixed cells

    def _arguments(self) -> tuple[Any, ...]:
        lower, shape = np.array(self.box.lower, np.int64), np.array(self.box.shape, np.int64)
        return self.origin, 1.0 / self.delta, lower, shape, self.cells, self.split

    def assign(
        self, points: NDArray[Any], out: NDArray[np.int32], n_jobs: int | None = None
    ) -> int:
        """Write the label of each row to ``out``; return how many are UNKNOWN."""
        from modeseek.engines.cpu.lookup import look_up

        unknown = np.zeros(n_workers(len(points), n_jobs), np.int64)

        def work(worker: int, start: int, stop: int) -> None:
            rows = np.ascontiguousarray(points[start:stop])
            unknown[worker] += look_up(rows, *self._arguments(), self.blocks, out[start:stop])

        run_chunks(len(points), work, n_jobs)
        return int(unknown.sum())

    def first_rows(self, points: NDArray[Any], n_jobs: int | None = None) -> NDArray[np.int64]:
        """Return the least row of ``points`` in each sub-cell, NO_ROW where there is none."""
        from modeseek.engines.cpu.lookup import mark

        rows = np.full((n_workers(len(points), n_jobs), len(self.blocks)), NO_ROW)

        def work(worker: int, start: int, stop: int) -> None:
            mark(np.ascontiguousarray(points[start:stop]), start, *self._arguments(), rows[worker])

        run_chunks(len(points), work, n_jobs)
        return rows.min(axis=0)

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


def mixed_cells(labels: NDArray[np.int32], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Tell which cells have, among themselves and their occupied neighbours (3^d), more than one label.

    ``labels`` is flat and holds UNKNOWN in empty cells, which neither decide nor are decided.
    """
    grid = labels.reshape(shape)
    highest = grid.astype(np.int64)
    lowest = np.where(grid == UNKNOWN, NO_ROW, highest)
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


class KeyLabels:
    """Labels by key, found by binary search: of distinct points, or of cells too widely spread for a table.

    Parameters
    ----------
    points : ndarray of shape (n, d)
        Points to number by key.
    key : callable
        Maps points (m, d) to integers (m, d); points of equal rows share one label.

    Attributes
    ----------
    first_rows : ndarray of shape (k,)
        A row of ``points`` for each key.
    numbers : ndarray of shape (n,)
        Which key each row has.
    labels : ndarray of shape (k,)
        Label of each key, UNKNOWN until set.
    """

    def __init__(self, points: NDArray[Any], key: Callable[[NDArray[Any]], NDArray[np.int64]]):
        self.key = key
        self.levels, self.numbers, self.first_rows = compress(key(points))
        self.labels = np.full(len(self.first_rows), UNKNOWN, np.int32)

    def assign(self, points: NDArray[Any], out: NDArray[np.int32], n_jobs: int | None = None) -> int:
        """Write the label of each row to ``out``; return how many are UNKNOWN."""

        def work(_: int, start: int, stop: int) -> None:
            number = find(self.levels, self.key(points[start:stop]))
            out[start:stop] = np.where(number >= 0, self.labels[number], UNKNOWN)

        run_chunks(len(points), work, n_jobs)
        return int((out == UNKNOWN).sum())

    def relabel(self, names: NDArray[np.int32]) -> None:
        """Replace label i by names[i]."""
        self.labels = names[self.labels]
