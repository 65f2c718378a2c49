r"""Labels by cell on a device, as `engines.cpu.lookup` finds them, with the arithmetic of the same float64 operations.

A table holds for each node a label >= 0, or UNKNOWN, or -2 - b for a mixed cell, whose s^d sub-cells are entries
b * s^d ... of its blocks. Points stay where they are; what goes to the CPU are the numbers of points of each label, and
the rows that have none.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from modeseek.engines import triton
from modeseek.engines.gpu.memory import room_for

UNKNOWN = -1
ROWS = 1 << 22  # that the twin works on at once
ROWS_PER_SCAN = 1 << 28  # Torch finds no more than 2^31 places at once, in a mask of so many bytes
MOST_COUNTED = 1023  # labels that a kernel counts while it looks them up


@dataclass(frozen=True)
class Table:
    """A table of labels on a device."""

    corner: tuple[float, ...]  # of the first node's cell
    per_unit: float
    shape: tuple[int, ...]
    split: int
    cells: torch.Tensor  # flat, int32
    blocks: torch.Tensor  # flat, int32; never empty

    @classmethod
    def on(
        cls,
        device: str,
        corner: NDArray[np.float64],
        per_unit: float,
        shape: tuple[int, ...],
        split: int,
        cells: NDArray[np.int32],
        blocks: NDArray[np.int32],
    ) -> "Table":
        """Move a table to a device."""
        some = blocks if len(blocks) else np.full(1, UNKNOWN, np.int32)
        with room_for("a table of labels", 4.0 * (len(cells) + len(some)), device):
            parts = (torch.from_numpy(part.copy()).to(device) for part in (cells, some))
        return cls(tuple(map(float, corner)), float(per_unit), shape, split, *parts)


def label(points: torch.Tensor, table: Table, n_labels: int) -> tuple[torch.Tensor, NDArray[np.int64]]:
    """Return the label of each row, (n,) int32, and how many have none, label 0, label 1, ...: (n_labels + 1,)."""
    with room_for(f"{len(points)} labels", 4.0 * len(points), str(points.device)):
        labels = torch.empty(len(points), dtype=torch.int32, device=points.device)
    if triton.runs_on(points):
        from modeseek.engines.triton.lookup import label as launch

        counts = launch(points, table, labels, n_labels if n_labels <= MOST_COUNTED else None)
        return labels, count(labels, n_labels) if counts is None else counts.cpu().numpy()
    for start in range(0, len(points), ROWS):
        found = entries(points[start : start + ROWS], table)
        mixed = found < UNKNOWN
        labels[start : start + ROWS] = torch.where(mixed, table.blocks[torch.where(mixed, -2 - found, 0)], found)
    return labels, count(labels, n_labels)


def entries(points: torch.Tensor, table: Table) -> torch.Tensor:
    """Return for each row a label, UNKNOWN, or -2 - (its index into the blocks): (n,) int64."""
    n, device = len(points), points.device
    cell, sub = (torch.zeros(n, dtype=torch.int64, device=device) for _ in range(2))
    inside = torch.ones(n, dtype=torch.bool, device=device)
    for axis, length in enumerate(table.shape):
        a = (points[:, axis].double() - table.corner[axis]) * table.per_unit
        here = (a >= 0.0) & (a < length)
        a = torch.where(here, a, 0.0)
        index = a.long()
        cell, sub = cell * length + index, sub * table.split + ((a - index) * table.split).long()
        inside &= here
    found = torch.where(inside, table.cells[torch.where(inside, cell, 0)].long(), UNKNOWN)
    return torch.where(found < UNKNOWN, -2 - ((-2 - found) * table.split ** len(table.shape) + sub), found)


def count(labels: torch.Tensor, n_labels: int) -> NDArray[np.int64]:
    """Return how many rows have no label (-1), label 0, label 1, ..."""
    total = torch.zeros(n_labels + 1, dtype=torch.int64, device=labels.device)
    for start in range(0, len(labels), ROWS):
        total += torch.bincount(labels[start : start + ROWS] + 1, minlength=n_labels + 1)
    return np.asarray(total.cpu().numpy())


def weigh(labels: torch.Tensor, weights: torch.Tensor, n_labels: int) -> NDArray[np.float64]:
    """Return the weight of the rows of each label, in float64: row by row of 2^22 at once, each in a fixed order.

    Sums are made in fixed point, of 2^-38 of the largest weight, so that they do not depend on the order of adding.
    """
    unit = 2.0 ** (38.0 - float(torch.ceil(torch.log2(weights.max()))))
    total = torch.zeros(n_labels, dtype=torch.float64, device=labels.device)
    for start in range(0, len(labels), ROWS):
        sums = torch.zeros(n_labels + 1, dtype=torch.int64, device=labels.device)
        part = labels[start : start + ROWS].long() + 1
        sums.index_add_(0, part, torch.round(weights[start : start + ROWS] * unit).long())
        total += sums[1:].double() / unit
    return np.asarray(total.cpu().numpy())


def unknown_rows(labels: torch.Tensor) -> NDArray[np.int64]:
    """Return the rows without a label, ascending."""
    parts = [
        torch.nonzero(labels[start : start + ROWS_PER_SCAN] == UNKNOWN).flatten().cpu().numpy() + start
        for start in range(0, len(labels), ROWS_PER_SCAN)
    ]
    return np.concatenate(parts)


def rename(labels: torch.Tensor, names: NDArray[np.int32]) -> None:
    """Replace label i by names[i], in place; -1 stands for the last name."""
    shifted = torch.from_numpy(np.append(names[-1:], names).astype(np.int32)).to(labels.device)
    if triton.runs_on(labels):
        from modeseek.engines.triton.lookup import rename as launch

        launch(labels, shifted)
        return
    for start in range(0, len(labels), ROWS):
        part = labels[start : start + ROWS]
        part.copy_(shifted[(part + 1).long()])
