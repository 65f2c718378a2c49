"""Which cells of DBSCAN hang together: those with a pair of core points within eps of each other.

One program looks at one cell and all later ones within reach: those there are, whose boxes are within eps, and that do
not hang together with it as yet. Of these it looks for a near pair of points, tile by tile, and joins the two cells.
"""

from typing import Any

import torch
import triton
import triton.language as tl

from modeseek.engines.gpu.dbscan import limits
from modeseek.engines.triton.dbscan import ROUNDED, lower_bound, near, top_power
from modeseek.engines.triton.union_find import ALONE, find, find_all, join

TILE = 16
LANES = 64  # of a program that looks for the ends of one cell


@triton.jit
def _boxes_kernel(points, n, starts, m, boxes, D: tl.constexpr, P: tl.constexpr):
    """Write the least and the greatest coordinates of the points of one cell."""
    c = tl.cast(tl.program_id(0), tl.int64)
    begin, end = tl.load(starts + c), tl.load(starts + c + 1)
    for k in tl.static_range(D):
        column = points + tl.cast(n, tl.int64) * k
        low = tl.load(column + begin + tl.zeros((P,), tl.int64))
        high = low
        i = begin
        while i < end:
            p = i + tl.arange(0, P)
            x = tl.load(column + tl.minimum(p, end - 1))
            low, high = tl.minimum(low, x), tl.maximum(high, x)
            i += P
        tl.store(boxes + tl.cast(m, tl.int64) * k + c, tl.min(low, 0))
        tl.store(boxes + tl.cast(m, tl.int64) * (D + k) + c, tl.max(high, 0))


@triton.jit
def _touch(points, n, a, a_end, b, b_end, box, m, limits, D: tl.constexpr, T: tl.constexpr):
    """Tell (1 or 0) whether points [a, a_end) and [b, b_end) have a near pair; box + k m: the ends of those of b."""
    found = tl.cast(0, tl.int32)
    while (a < a_end) & (found == 0):
        q = a + tl.arange(0, T)
        mine = q < a_end
        outside = tl.zeros((T,), tl.float64)
        for k in tl.static_range(D):
            x = tl.load(points + tl.cast(n, tl.int64) * k + q, mask=mine, other=0.0).to(tl.float64)
            low = tl.load(box + tl.cast(m, tl.int64) * k).to(tl.float64)
            high = tl.load(box + tl.cast(m, tl.int64) * (D + k)).to(tl.float64)
            gap = tl.maximum(tl.maximum(low - x, x - high), 0.0)
            outside += gap * gap
        mine = mine & (outside <= tl.load(limits))
        p_first = tl.where(tl.max(mine.to(tl.int32), 0) > 0, b, b_end)
        while (p_first < b_end) & (found == 0):
            p = p_first + tl.arange(0, T)
            valid = mine[:, None] & (p < b_end)[None, :]
            inside = tl.where(mine, q, a)  # rows beyond the last are never read
            pairs = near(points, n, inside[:, None], points, n, p[None, :], valid, limits, D)
            found = tl.max(tl.max(pairs.to(tl.int32), 1), 0)
            p_first += T
        a += T
    return found


@triton.jit
def _link_kernel(
    points, n, keys, starts, m, boxes, steps, n_steps, top, limits, parent,
    STEPS: tl.constexpr, D: tl.constexpr, T: tl.constexpr,
):  # fmt: skip
    """Unite one cell with those later ones, a step of keys away, that have a near pair of points with it."""
    c = tl.cast(tl.program_id(0), tl.int64)
    lane = tl.arange(0, STEPS)
    asked = lane < n_steps
    target = tl.load(keys + c).to(tl.int64) + tl.load(steps + lane, mask=asked, other=0)
    at = lower_bound(keys, m, target, top)
    todo = asked & (at < m)
    todo = todo & (tl.load(keys + at, mask=todo, other=-1) == target)
    apart = tl.zeros((STEPS,), tl.float64)
    for k in tl.static_range(D):
        below, above = boxes + tl.cast(m, tl.int64) * k, boxes + tl.cast(m, tl.int64) * (D + k)
        low, high = tl.load(below + c).to(tl.float64), tl.load(above + c).to(tl.float64)
        there_low = tl.load(below + at, mask=todo, other=0.0).to(tl.float64)
        there_high = tl.load(above + at, mask=todo, other=0.0).to(tl.float64)
        gap = tl.maximum(tl.maximum(there_low - high, low - there_high), 0.0)
        apart += gap * gap
    todo = todo & (apart <= tl.load(limits))
    mine = tl.cast(find(parent, c), tl.int64)
    todo = todo & (find_all(parent, at, todo) != mine)
    while tl.max(todo.to(tl.int32), 0) > 0:
        next_lane = tl.min(tl.where(todo, lane, STEPS), 0)
        other = tl.sum(tl.where(lane == next_lane, at, 0), 0)
        todo = todo & (lane != next_lane)
        a, b = find(parent, c), find(parent, other)
        if a != b:
            begin, end = tl.load(starts + c), tl.load(starts + c + 1)
            there, there_end = tl.load(starts + other), tl.load(starts + other + 1)
            if _touch(points, n, begin, end, there, there_end, boxes + other, m, limits, D, T) > 0:
                join(parent, a, b)


def write_boxes(cells: Any, boxes: torch.Tensor) -> None:
    """Write the least and the greatest coordinates of the points of each cell to boxes (2, d, m)."""
    d, n = cells.points.shape
    m = len(cells.keys)
    _boxes_kernel[(m,)](cells.points, n, cells.starts, m, boxes, D=d, P=LANES, num_warps=1, **ROUNDED)


def link_cells(cells: Any, boxes: torch.Tensor, eps: float) -> torch.Tensor:
    """Return links of cells (m,) whose ends are the least of those that hang together; boxes: (2, d, m)."""
    d, n = cells.points.shape
    m = len(cells.keys)
    parent = torch.arange(m, device=cells.points.device)
    values = limits(eps, 0.0, d, parent.device)
    for steps in cells.steps:  # close cells first: what they join needs no test further away
        _link_kernel[(m,)](
            cells.points, n, cells.keys, cells.starts, m, boxes, steps, len(steps), top_power(cells), values, parent,
            STEPS=triton.next_power_of_2(len(steps)), D=d, T=TILE, **ALONE, **ROUNDED,
        )  # fmt: skip
    return parent
