"""Points sorted by the cell they lie in, and the cells around each: what density-based clustering looks points up in.

A key is sum_k i_k stride_k of a cell's numbers i along the axes; a step along the last axis adds 1. Keys leave room for
empty cells at the borders of the grid, so that a run of keys never goes on into the next row.
"""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

REACH = 2  # cells: sides are a little shorter than eps / sqrt(d), d <= 3
LONGEST = 1 << 30  # cells along an axis, in one piece: then rounding moves borders by less than the margin of the sides
SHORT_KEYS = 1 << 30  # keys below this are sorted as 32 bits
ROWS = 1 << 24  # rows whose temporaries are there at once


@dataclass(frozen=True)
class Cells:
    """Sorted points; cells and where their points begin; steps of keys to what is within reach of a cell."""

    points: torch.Tensor  # (d, n)
    keys: torch.Tensor  # (m,), rising
    starts: torch.Tensor  # (m + 1,)
    rows: torch.Tensor  # (r,) to the middle of each row of cells within reach, its own first
    steps: tuple[torch.Tensor, torch.Tensor]  # to later cells: those that share a corner, those one further away

    @property
    def counts(self) -> torch.Tensor:
        """Number of points of each cell."""
        return self.starts.diff()

    @property
    def of_point(self) -> torch.Tensor:
        """Number of the cell of each point, (n,)."""
        return torch.repeat_interleave(self.counts, output_size=self.points.shape[1])

    @property
    def key_of_point(self) -> torch.Tensor:
        """Key of the cell of each point, (n,)."""
        return torch.repeat_interleave(self.keys, self.counts, output_size=self.points.shape[1])

    def run(self, keys: torch.Tensor, row: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return where the points of one row of cells begin and end, for cells with these keys."""
        target = keys.long() + row
        ends = (target - REACH).to(self.keys.dtype), (target + REACH + 1).to(self.keys.dtype)
        first, last = (self.starts[torch.searchsorted(self.keys, end)] for end in ends)
        return first, last


def sort_cells(points: torch.Tensor, keys: torch.Tensor, strides: Sequence[int]) -> tuple[Cells, torch.Tensor]:
    """Sort points (n, d) by the keys of their cells, and by row within each; return the rows in that order too."""
    if int(keys.max()) < SHORT_KEYS:
        keys = keys.int()
    keys, order = torch.sort(keys, stable=True)
    columns = torch.empty((points.shape[1], len(points)), dtype=points.dtype, device=points.device)
    for column, values in zip(columns, points.T, strict=True):
        torch.index_select(values, 0, order, out=column)
    return group(columns, keys, *around(strides, points.device)), order


def group(
    points: torch.Tensor, keys: torch.Tensor, rows: torch.Tensor, steps: tuple[torch.Tensor, torch.Tensor]
) -> Cells:
    """Return cells of points (d, n) that are sorted by their keys."""
    occupied, counts = torch.unique_consecutive(keys, return_counts=True)
    starts = torch.zeros(len(occupied) + 1, dtype=torch.int64, device=keys.device)
    torch.cumsum(counts, 0, out=starts[1:])
    return Cells(points, occupied, starts, rows, steps)


def around(strides: Sequence[int], device: torch.device) -> tuple[torch.Tensor, tuple[torch.Tensor, torch.Tensor]]:
    """Return the steps of keys to rows of cells within reach, and to later cells: close ones, and the others."""
    d = len(strides)
    offsets = sorted(
        itertools.product(range(-REACH, REACH + 1), repeat=d), key=lambda step: (sum(s * s for s in step), step)
    )
    keys = [(int(np.dot(step, strides)), max(map(abs, step))) for step in offsets]
    rows = [key for (key, _), step in zip(keys, offsets, strict=True) if step[-1] == 0]
    later = [[key for key, far in keys if key > 0 and (far > 1) == further] for further in (False, True)]
    close, beyond = (torch.tensor(steps, dtype=torch.int64, device=device) for steps in later)
    return torch.tensor(rows, dtype=torch.int64, device=device), (close, beyond)


def grid_keys(
    points: torch.Tensor, origin: Sequence[float], per_side: float, most: Sequence[int], strides: Sequence[int]
) -> torch.Tensor:
    """Return the keys of points in a grid: ``per_side`` cells per unit from ``origin``, up to ``most``."""
    keys = torch.zeros(len(points), dtype=torch.int64, device=points.device)
    for part, out in zip(points.split(ROWS), keys.split(ROWS), strict=True):
        for column, begin, last, stride in zip(part.T, origin, most, strides, strict=True):
            cell = ((column.double() - float(begin)) * per_side).long().clamp_(0, int(last))
            out += cell.mul_(int(stride))
    return keys


def stacked_keys(points: torch.Tensor, eps: float, per_side: float) -> tuple[torch.Tensor, list[int]] | None:
    """Return keys, and strides, where a grid over all points has too many cells: gaps along the axes are left out.

    A gap of more than 2 eps along one axis parts the points; what is between gaps is put end to end, with empty cells
    between. None where even that has too many cells.
    """
    numbers, counts = [], []
    for column in points.T:
        stacked = _without_gaps(column, eps, per_side)
        if stacked is None:
            return None
        numbers.append(stacked)
        counts.append(int(stacked.max()) + 1 + 2 * REACH)
    strides = [int(np.prod([1, *map(int, counts[k + 1 :])], dtype=object)) for k in range(len(counts))]
    if strides[0] * counts[0] >= 1 << 62:
        return None
    keys = torch.zeros_like(numbers[0])
    for number, stride in zip(numbers, strides, strict=True):
        keys += number.mul_(stride)
    return keys, strides


def _without_gaps(column: torch.Tensor, eps: float, per_side: float) -> torch.Tensor | None:
    """Return the number of each point's cell along one axis."""
    values, order = torch.sort(column.double())
    begins = torch.ones(len(values), dtype=torch.bool, device=values.device)
    begins[1:] = values.diff() > 2.0 * eps
    piece = torch.cumsum(begins, 0) - 1
    starts = torch.nonzero(begins).flatten()
    ends = torch.cat([starts[1:], starts.new_tensor([len(values)])]) - 1
    spans = (values[ends] - values[starts]) * per_side
    if not float(spans.max()) < LONGEST:
        return None
    lengths = spans.long() + 1 + 2 * REACH
    within = ((values - values[starts][piece]) * per_side).long()
    numbers = torch.empty_like(order)
    numbers[order] = (torch.cumsum(lengths, 0) - lengths)[piece] + within
    return numbers


def places(first: torch.Tensor, last: torch.Tensor, at_once: int) -> Iterator[tuple[torch.Tensor, ...]]:
    """Go through runs [first, last) of places, a bounded number at once.

    Yields
    ------
    which, place : ndarray of shape (at most at_once,)
        The number of the run, rising, and the place.
    lengths : ndarray of shape (len(first),)
        How many of these belong to each run.
    """
    ends = torch.cumsum(last - first, 0)
    begins = ends - (last - first)
    total = int(ends[-1]) if len(ends) else 0
    for start in range(0, total, at_once):
        stop = min(total, start + at_once)
        flat = torch.arange(start, stop, device=first.device)
        which = torch.searchsorted(ends, flat, right=True)
        yield which, first[which] + flat - begins[which], ends.clamp(start, stop) - begins.clamp(start, stop)
