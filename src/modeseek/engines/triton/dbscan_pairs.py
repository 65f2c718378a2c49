"""DBSCAN in any number of columns: tiles of the pairs that are within eps along one axis.

Pairs are near as in `engines.triton.dbscan`: sums of squares in float32, in float64 where these do not decide. Tiles
whose boxes are further apart than eps are not looked at, nor those whose points are known to hang together.
"""

from typing import Any

import torch
import triton
import triton.language as tl

from modeseek.engines.gpu.dbscan import limits
from modeseek.engines.triton.dbscan import NONE, ROUNDED
from modeseek.engines.triton.union_find import ALONE, find_all, join_all

TILE, WARPS = 64, 8  # a tile has float64 sums too where float32 does not decide
LINK_TILE = 32  # of one warp
MOST_AXES = 64  # of boxes
FAR = tl.constexpr(1e15)  # its square is inside float32, and beyond that of any eps that float32 decides about


@triton.jit
def near(queries, n_queries, q, points, n, p, valid, limits, d, T: tl.constexpr):
    """Return which of the pairs of blocks q and p are near, where ``valid``; limits: eps^2, sure, not excluded."""
    mine, there = q < n_queries, p < n
    squares = tl.zeros((T, T), tl.float32)
    for k in range(d):
        x = tl.load(queries + tl.cast(n_queries, tl.int64) * k + q, mask=mine, other=0.0)
        y = tl.load(points + tl.cast(n, tl.int64) * k + p, mask=there, other=0.0)
        difference = tl.minimum(tl.abs(x[:, None] - y[None, :]), FAR).to(tl.float32)
        squares += difference * difference
    sure = valid & (squares <= tl.load(limits + 1).to(tl.float32))
    unsure = valid & ~sure & (squares <= tl.load(limits + 2).to(tl.float32))
    if tl.max(tl.max(unsure.to(tl.int32), 1), 0) > 0:
        exact = tl.zeros((T, T), tl.float64)
        for k in range(d):
            x = tl.load(queries + tl.cast(n_queries, tl.int64) * k + q, mask=mine, other=0.0)
            y = tl.load(points + tl.cast(n, tl.int64) * k + p, mask=there, other=0.0)
            wide = x.to(tl.float64)[:, None] - y.to(tl.float64)[None, :]
            wide = tl.where(unsure, wide, 0.0)
            exact += wide * wide
        sure = sure | (unsure & (exact <= tl.load(limits)))
    return sure


@triton.jit
def reaches(boxes, n_boxes, block, others, n_others, other, limits, d, AXES: tl.constexpr):
    """Tell whether the boxes of two blocks may have near points; without AXES that is not asked."""
    near_by = n_boxes > 0
    if AXES > 0:
        k = tl.arange(0, AXES)
        mask, below = k < d, k.to(tl.int64)
        low = tl.load(boxes + below * n_boxes + block, mask=mask, other=0.0).to(tl.float64)
        high = tl.load(boxes + (below + d) * n_boxes + block, mask=mask, other=0.0).to(tl.float64)
        other_low = tl.load(others + below * n_others + other, mask=mask, other=0.0).to(tl.float64)
        other_high = tl.load(others + (below + d) * n_others + other, mask=mask, other=0.0).to(tl.float64)
        gap = tl.maximum(tl.maximum(other_low - high, low - other_high), 0.0)
        near_by = tl.sum(gap * gap, 0) <= tl.load(limits + 4)
    return near_by


@triton.jit
def _core_kernel(
    points, n, weights, boxes, n_boxes, begins, ends, limits, out, d,
    WEIGHTED: tl.constexpr, SHORT: tl.constexpr, AXES: tl.constexpr, T: tl.constexpr,
):  # fmt: skip
    q = tl.cast(tl.program_id(0), tl.int64) * T + tl.arange(0, T)
    mine = q < n
    needed = tl.load(limits + 3)
    total = tl.zeros((T,), tl.float64)
    i, end = tl.load(begins + tl.program_id(0)), tl.load(ends + tl.program_id(0))
    while i < end:
        if reaches(boxes, n_boxes, tl.program_id(0), boxes, n_boxes, i // T, limits, d, AXES):
            p = i + tl.arange(0, T)
            found = near(points, n, q, points, n, p, mine[:, None] & (p < n)[None, :], limits, d, T)
            if WEIGHTED:
                w = tl.load(weights + p, mask=p < n, other=0.0)
                total += tl.sum(tl.where(found, w[None, :], 0.0), 1)
            else:
                total += tl.sum(found.to(tl.int32), 1).to(tl.float64)
        i += T
        if SHORT:
            lacking = tl.max((mine & (total < needed)).to(tl.int32), 0)
            i = tl.where(lacking > 0, i, end)
    tl.store(out + q, (total >= needed).to(tl.int8), mask=mine)


@triton.jit
def _join_tile(points, n, q, mine, p, parent, limits, d, T: tl.constexpr):
    """Join the sets of near pairs of two blocks of points."""
    there = p < n
    a, b = find_all(parent, tl.where(mine, q, 0), mine), find_all(parent, tl.where(there, p, 0), there)
    apart = mine[:, None] & there[None, :] & (a[:, None] != b[None, :])
    if tl.max(tl.max(apart.to(tl.int32), 1), 0) > 0:
        lane = tl.arange(0, T)
        apart = near(points, n, q, points, n, p, apart, limits, d, T)
        while tl.max(tl.max(apart.to(tl.int32), 1), 0) > 0:
            chosen = tl.min(tl.where(apart, lane[None, :], T), 1)
            other = tl.sum(tl.where(lane[None, :] == chosen[:, None], b[None, :], 0), 1)
            join_all(parent, a, other, chosen < T)
            a, b = find_all(parent, a, mine), find_all(parent, b, there)
            apart = apart & (a[:, None] != b[None, :])


@triton.jit
def _link_kernel(
    points, n, boxes, n_boxes, ends, limits, parent, d, AXES: tl.constexpr, T: tl.constexpr,
):  # fmt: skip
    i = tl.cast(tl.program_id(0), tl.int64) * T
    q, end = i + tl.arange(0, T), tl.load(ends + tl.program_id(0))
    while i < end:
        if reaches(boxes, n_boxes, tl.program_id(0), boxes, n_boxes, i // T, limits, d, AXES):
            _join_tile(points, n, q, q < n, i + tl.arange(0, T), parent, limits, d, T)
        i += T


@triton.jit
def _label_kernel(
    queries, n_queries, boxes, n_boxes, points, n, others, n_others, labels, begins, ends, limits, out, d,
    AXES: tl.constexpr, T: tl.constexpr,
):  # fmt: skip
    q = tl.cast(tl.program_id(0), tl.int64) * T + tl.arange(0, T)
    mine = q < n_queries
    best = tl.full((T,), NONE, tl.int32)
    i, end = tl.load(begins + tl.program_id(0)), tl.load(ends + tl.program_id(0))
    while i < end:
        if reaches(boxes, n_boxes, tl.program_id(0), others, n_others, i // T, limits, d, AXES):
            p = i + tl.arange(0, T)
            label = tl.load(labels + p, mask=p < n, other=NONE)
            sooner = mine[:, None] & (label[None, :] < best[:, None])
            if tl.max(tl.max(sooner.to(tl.int32), 1), 0) > 0:
                found = near(queries, n_queries, q, points, n, p, sooner, limits, d, T)
                best = tl.minimum(best, tl.min(tl.where(found, label[None, :], NONE), 1))
        i += T
    tl.store(out + q, tl.where(best == NONE, -1, best), mask=mine)


def are_core(slabs: Any, weights: torch.Tensor | None, needed: float, eps: float) -> torch.Tensor:
    """Return whether each point is core."""
    d, n = slabs.points.shape
    out = torch.empty(n, dtype=torch.int8, device=slabs.points.device)
    short = weights is None or not bool((weights < 0.0).any())
    blocks = triton.cdiv(n, TILE)
    _core_kernel[(blocks,)](
        slabs.points, n, slabs.points if weights is None else weights, slabs.boxes(TILE), blocks,
        *slabs.runs(slabs, TILE), limits(eps, needed, d, out.device), out, d,
        WEIGHTED=weights is not None, SHORT=short, AXES=_axes(d), T=TILE, num_warps=WARPS, **ROUNDED,
    )  # fmt: skip
    return out > 0


def link_points(slabs: Any, eps: float) -> torch.Tensor:
    """Return links of points whose ends are the first of those that hang together."""
    d, n = slabs.points.shape
    parent = torch.arange(n, device=slabs.points.device)
    _, ends = slabs.runs(slabs, LINK_TILE)
    blocks = triton.cdiv(n, LINK_TILE)
    _link_kernel[(blocks,)](
        slabs.points, n, slabs.boxes(LINK_TILE), blocks, ends, limits(eps, 0.0, d, parent.device), parent, d,
        AXES=_axes(d), T=LINK_TILE, **ALONE, **ROUNDED,
    )  # fmt: skip
    return parent


def least_labels(queries: Any, slabs: Any, labels: torch.Tensor, eps: float) -> torch.Tensor:
    """Return the least label (int32), of those of points, within eps of each query; -1 where there is none."""
    d, n = slabs.points.shape
    n_queries = len(queries.slab)
    blocks = triton.cdiv(n_queries, TILE)
    out = torch.empty(n_queries, dtype=torch.int32, device=labels.device)
    _label_kernel[(blocks,)](
        queries.points, n_queries, queries.boxes(TILE), blocks,
        slabs.points, n, slabs.boxes(TILE), triton.cdiv(n, TILE), labels, *queries.runs(slabs, TILE),
        limits(eps, 0.0, d, out.device), out, d, AXES=_axes(d), T=TILE, num_warps=WARPS, **ROUNDED,
    )  # fmt: skip
    return out


def _axes(d: int) -> int:
    """Return the room for the sides of a box; 0 where boxes of so many columns would hardly part points."""
    return triton.next_power_of_2(d) if d <= MOST_AXES else 0
