"""DBSCAN on sorted cells: which pairs of points are near, which points are core, what border points belong to.

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

ROUNDED = {"enable_fp_fusion": False}
LONG = 2048  # points of a run that one lane of a narrow block still goes through
NARROW, WIDE = (32, 4), (1, 512)  # queries and points of a block
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
def run_of(keys, starts, m, target, top, REACH: tl.constexpr):
    """Return where the points begin and end of the cells whose keys are within ``REACH`` of each of a block."""
    begin = lower_bound(keys, m, target - REACH, top)
    end = begin
    for step in tl.static_range(2 * REACH + 1):
        inside = begin + step < m
        near_by = inside & (tl.load(keys + begin + step, mask=inside, other=0) <= target + REACH)
        end += near_by.to(tl.int64)
    return tl.load(starts + begin), tl.load(starts + end)


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
        first, last = run_of(keys, starts, m, key + tl.load(rows + r), top, REACH)
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
        first, last = run_of(keys, starts, m, key + tl.load(rows + r), top, REACH)
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
            of_point, own, q, len(q), cells.rows, len(cells.rows), top_power(cells), values, found,
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
            q, len(q), cells.rows, len(cells.rows), top_power(cells), values, found,
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


def top_power(cells: Any) -> int:
    """Return the highest power of two up to the number of cells."""
    return 1 << (len(cells.keys).bit_length() - 1)
