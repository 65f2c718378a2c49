"""DBSCAN on sorted cells: which points are core, which cells hang together, what border points belong to.

A pair of points is near if sum_k (x_k - y_k)^2 <= eps^2, in float64 and column by column. Differences are made in the
dtype of the points, squares and sums in float32: with u = 2^-24 and d columns that is off by less than (d + 4) u parts
of the sum, as no difference of given numbers is ever off by more than u parts of itself. What is closer to eps^2 than
that is decided in float64; so are all pairs where eps^2 would leave the range of float32. Products must be rounded
before they are added, as on the CPU: kernels are compiled without fused multiply-add (`ROUNDED`).

Points lie column by column, (d, n), sorted by cell; the cells within reach of one are a few runs of keys, one for each
row of the grid, and so are their points.
"""

from typing import Any

import torch
import triton
import triton.language as tl

from modeseek.engines.gpu.cells import REACH
from modeseek.engines.gpu.dbscan import limits
from modeseek.engines.triton.union_find import find, find_all, join

ROUNDED = {"enable_fp_fusion": False}
LONG = 2048  # points of a run that one lane of a narrow block still goes through
NARROW, WIDE = (32, 4), (1, 512)  # queries and points of a block
TILE = 16
NONE = tl.constexpr(2**31 - 1)


@triton.jit
def near(queries, n_queries, q, points, n, p, valid, limits, D: tl.constexpr):
    """Return which pairs of two index blocks that broadcast are near; limits: eps^2, sure, not excluded."""
    squares = tl.zeros(valid.shape, tl.float32)
    for k in tl.static_range(D):
        x = tl.load(queries + tl.cast(n_queries, tl.int64) * k + q)
        y = tl.load(points + tl.cast(n, tl.int64) * k + p, mask=valid, other=0.0)
        difference = tl.where(valid, x - y, 0.0).to(tl.float32)
        squares += difference * difference
    sure = valid & (squares <= tl.load(limits + 1).to(tl.float32))
    unsure = valid & ~sure & (squares <= tl.load(limits + 2).to(tl.float32))
    if tl.max(tl.max(unsure.to(tl.int32), 1), 0) > 0:
        exact = tl.zeros(valid.shape, tl.float64)
        for k in tl.static_range(D):
            x = tl.load(queries + tl.cast(n_queries, tl.int64) * k + q)
            y = tl.load(points + tl.cast(n, tl.int64) * k + p, mask=unsure, other=0.0)
            wide = tl.where(unsure, x.to(tl.float64) - y.to(tl.float64), 0.0)
            exact += wide * wide
        sure = sure | (unsure & (exact <= tl.load(limits)))
    return sure


@triton.jit
def lower_bound(keys, m, target, top):
    """Return the number of keys less than each of a block of targets; top is the highest power of two up to m."""
    at = tl.zeros(target.shape, tl.int64)
    step = tl.cast(top, tl.int64)
    while step > 0:
        probe = at + step
        inside = probe <= m
        less = inside & (tl.load(keys + probe - 1, mask=inside, other=0) < target)
        at = tl.where(less, probe, at)
        step = step // 2
    return at


@triton.jit
def _core_kernel(
    points, n, weights, keys, starts, m, cells, cell_weights, which, n_which, rows, n_rows, top, limits, out,
    REACH: tl.constexpr, LONG: tl.constexpr, WEIGHTED: tl.constexpr, SHORT: tl.constexpr,
    D: tl.constexpr, Q: tl.constexpr, P: tl.constexpr,
):  # fmt: skip
    lane = tl.cast(tl.program_id(0), tl.int64) * Q + tl.arange(0, Q)
    asked = lane < n_which
    q = tl.load(which + lane, mask=asked, other=0)
    cell = tl.load(cells + q)
    key = tl.load(keys + cell).to(tl.int64)
    own, end = tl.load(starts + cell), tl.load(starts + cell + 1)
    needed = tl.load(limits + 3)
    total = tl.load(cell_weights + cell)
    skipped = q < 0
    for r in range(n_rows):
        target = key + tl.load(rows + r)
        first = tl.load(starts + lower_bound(keys, m, target - REACH, top))
        last = tl.load(starts + lower_bound(keys, m, target + REACH + 1, top))
        if LONG > 0:
            skipped = skipped | (asked & (last - first > LONG))
        going = asked & ~skipped
        if SHORT:
            going = going & (total < needed)
        last = tl.where(going, last, first)
        longest = tl.max(last - first, 0)
        i = longest * 0
        while i < longest:
            p = first[:, None] + i + tl.arange(0, P)[None, :]
            valid = (p < last[:, None]) & ((p < own[:, None]) | (p >= end[:, None]))
            found = near(points, n, q[:, None], points, n, p, valid, limits, D)
            if WEIGHTED:
                w = tl.load(weights + p, mask=valid, other=0.0)
                total += tl.sum(tl.where(found, w, 0.0), 1)
            else:
                total += tl.sum(found.to(tl.int32), 1)
            i += P
            if SHORT:
                last = tl.where(total < needed, last, first)
                longest = tl.max(last - first, 0)
    enough = total >= needed
    left = skipped
    if SHORT:
        left = skipped & ~enough
    answer = tl.where(left, 2, enough.to(tl.int32))
    tl.store(out + lane, answer.to(tl.int8), mask=asked)


@triton.jit
def _label_kernel(
    queries, n_queries, query_keys, points, n, labels, keys, starts, m, which, n_which, rows, n_rows, top, limits, out,
    REACH: tl.constexpr, LONG: tl.constexpr, D: tl.constexpr, Q: tl.constexpr, P: tl.constexpr,
):  # fmt: skip
    lane = tl.cast(tl.program_id(0), tl.int64) * Q + tl.arange(0, Q)
    asked = lane < n_which
    q = tl.load(which + lane, mask=asked, other=0)
    key = tl.load(query_keys + q).to(tl.int64)
    best = tl.full((Q,), NONE, tl.int32)
    skipped = q < 0
    for r in range(n_rows):
        target = key + tl.load(rows + r)
        first = tl.load(starts + lower_bound(keys, m, target - REACH, top))
        last = tl.load(starts + lower_bound(keys, m, target + REACH + 1, top))
        if LONG > 0:
            skipped = skipped | (asked & (last - first > LONG))
        last = tl.where(asked & ~skipped, last, first)
        longest = tl.max(last - first, 0)
        i = longest * 0
        while i < longest:
            p = first[:, None] + i + tl.arange(0, P)[None, :]
            valid = p < last[:, None]
            label = tl.load(labels + p, mask=valid, other=NONE)
            valid = valid & (label < best[:, None])
            found = near(queries, n_queries, q[:, None], points, n, p, valid, limits, D)
            best = tl.minimum(best, tl.min(tl.where(found, label, NONE), 1))
            i += P
    answer = tl.where(skipped, -2, tl.where(best == NONE, -1, best))
    tl.store(out + lane, answer, mask=asked)


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
    LANES: tl.constexpr, D: tl.constexpr, T: tl.constexpr,
):  # fmt: skip
    """Unite one cell with those later ones, a step of keys away, that have a near pair of points with it."""
    c = tl.cast(tl.program_id(0), tl.int64)
    lane = tl.arange(0, LANES)
    asked = lane < n_steps
    target = tl.load(keys + c).to(tl.int64) + tl.load(steps + lane, mask=asked, other=0)
    at = lower_bound(keys, m, target, top)
    todo = asked & (at < m)
    todo = todo & (tl.load(keys + at, mask=todo, other=-1) == target)
    apart = tl.zeros((LANES,), tl.float64)
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
        next_lane = tl.min(tl.where(todo, lane, LANES), 0)
        other = tl.sum(tl.where(lane == next_lane, at, 0), 0)
        todo = todo & (lane != next_lane)
        a, b = find(parent, c), find(parent, other)
        if a != b:
            begin, end = tl.load(starts + c), tl.load(starts + c + 1)
            there, there_end = tl.load(starts + other), tl.load(starts + other + 1)
            if _touch(points, n, begin, end, there, there_end, boxes + other, m, limits, D, T) > 0:
                join(parent, a, b)


def are_core(
    cells: Any,
    of_point: torch.Tensor,
    weights: torch.Tensor | None,
    own: torch.Tensor,
    which: torch.Tensor,
    needed: float,
    eps: float,
    short: bool,
) -> torch.Tensor:
    """Return whether some points are core; ``own`` is what their cells weigh, ``short``: no weight is negative."""
    d, n = cells.points.shape
    out = torch.empty(len(which), dtype=torch.int8, device=which.device)
    values = limits(eps, needed, d, which.device)

    def launch(q: torch.Tensor, found: torch.Tensor, long: int, sizes: tuple[int, int]) -> None:
        _core_kernel[(triton.cdiv(len(q), sizes[0]),)](
            cells.points, n, cells.points if weights is None else weights, cells.keys, cells.starts, len(cells.keys),
            of_point, own, q, len(q), cells.rows, len(cells.rows), _top(cells), values, found,
            REACH=REACH, LONG=long, WEIGHTED=weights is not None, SHORT=short, D=d, Q=sizes[0], P=sizes[1],
            num_warps=1 if sizes == NARROW else 4, **ROUNDED,
        )  # fmt: skip

    launch(which, out, LONG, NARROW)
    _again(which, out, 2, launch)
    return out > 0


def least_labels(
    points: torch.Tensor, keys: torch.Tensor, cells: Any, labels: torch.Tensor, which: torch.Tensor, eps: float
) -> torch.Tensor:
    """Return the least label (int32) within eps of some of the points (d, q), whose cells have these keys; -1: none."""
    d, n = cells.points.shape
    out = torch.empty(len(which), dtype=torch.int32, device=which.device)
    values = limits(eps, 0.0, d, which.device)

    def launch(q: torch.Tensor, found: torch.Tensor, long: int, sizes: tuple[int, int]) -> None:
        _label_kernel[(triton.cdiv(len(q), sizes[0]),)](
            points, points.shape[1], keys, cells.points, n, labels, cells.keys, cells.starts, len(cells.keys),
            q, len(q), cells.rows, len(cells.rows), _top(cells), values, found,
            REACH=REACH, LONG=long, D=d, Q=sizes[0], P=sizes[1], num_warps=1 if sizes == NARROW else 4, **ROUNDED,
        )  # fmt: skip

    launch(which, out, LONG, NARROW)
    _again(which, out, -2, launch)
    return out


def _again(which: torch.Tensor, out: torch.Tensor, sign: int, launch: Any) -> None:
    """Let wide blocks do what narrow ones left: those whose runs are long."""
    left = torch.nonzero(out == sign).flatten()
    if len(left):
        found = torch.empty(len(left), dtype=out.dtype, device=out.device)
        launch(which[left], found, 0, WIDE)
        out[left] = found


def link_cells(cells: Any, boxes: torch.Tensor, eps: float) -> torch.Tensor:
    """Return links of cells (m,) whose ends are the least of those that hang together; boxes: (2, d, m)."""
    d, n = cells.points.shape
    m = len(cells.keys)
    parent = torch.arange(m, device=cells.points.device)
    values = limits(eps, 0.0, d, parent.device)
    for steps in cells.steps:  # close cells first: what they join needs no test further away
        _link_kernel[(m,)](
            cells.points, n, cells.keys, cells.starts, m, boxes, steps, len(steps), _top(cells), values, parent,
            LANES=triton.next_power_of_2(len(steps)), D=d, T=TILE, num_warps=1, **ROUNDED,
        )  # fmt: skip
    return parent


def _top(cells: Any) -> int:
    """Return the highest power of two up to the number of cells."""
    return 1 << (len(cells.keys).bit_length() - 1)
