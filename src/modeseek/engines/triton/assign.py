"""Kernels that find the nearest centre of each row: screens on the matrix units, and float64 for what they leave open.

A screen holds a tile of rows and passes over the centres: products, half the squares taken off, and of each row the
best two scores and the number of the best, in registers; no matrix of rows and centres is stored. What a score may be
off by is known to `engines.gpu.assign` (bounds and their derivation, twins in plain Torch). Rows whose best two are
too close for that are appended to a list, by one integer atomic of a tile: the order of the list is that of the race,
but each row of it is looked at by itself.

The number of the centre is kept in the lowest bits of its score, so that one maximum finds both.
"""

from functools import lru_cache
from typing import TYPE_CHECKING

import torch
import triton
import triton.language as tl

if TYPE_CHECKING:
    from modeseek.engines.gpu.assign import Frame, Layout, Open

ROWS, CENTRES = 128, 128  # of a tile of a screen
FEW_CENTRES = 32  # of a tile in few columns
WHOLE = 128  # columns up to which a tile of rows is loaded once
PIECE = 64  # columns at a time beyond
OPEN_ROWS, OPEN_CENTRES = 16, 64  # of a tile of the exact kernel
SHARED = 100_000  # bytes
PROGRAMS = 2048  # that share a list whose length only the device knows
SHIFT = tl.constexpr(2048.0)  # 2^11: brings what half precision cuts off back into its range
LEAST = tl.constexpr(-3e38)


@triton.jit
def _centred(x_ptr, rows, dims, there, origin_ptr, unit, D, WIDE: tl.constexpr):
    """Load rows less the origin, in units, as float32: of float64 (or hostile scales) the difference is float64."""
    inside = there[:, None] & (dims < D)[None, :]
    x = tl.load(x_ptr + rows[:, None] * D + dims[None, :], mask=inside, other=0.0)
    origin = tl.load(origin_ptr + dims, mask=dims < D, other=0.0)
    if WIDE:
        v = ((x.to(tl.float64) - origin[None, :]) * unit).to(tl.float32)
    else:
        v = (x - origin.to(tl.float32)[None, :]) * unit.to(tl.float32)
    return tl.where(inside, v, 0.0)


@triton.jit
def _halves(v, SPLIT: tl.constexpr):
    """Split numbers into halves: the leading one, what it cuts off (times SHIFT), and what both leave, in float32."""
    leading = v.to(tl.float16)
    rest = v - leading.to(tl.float32)
    following = (rest * SHIFT).to(tl.float16)
    if SPLIT:
        rest = rest - following.to(tl.float32) / SHIFT
    return leading, following, rest


@triton.jit
def _best_two(scores, cols, first, best, second, label, CENTRES: tl.constexpr):
    """Take a tile of scores into the best two of each row; the last bits of a score become its column."""
    packed = ((scores.to(tl.int32, bitcast=True) & -CENTRES) | cols[None, :]).to(tl.float32, bitcast=True)
    here = tl.max(packed, 1)
    column = here.to(tl.int32, bitcast=True) & (CENTRES - 1)
    others = tl.max(tl.where(cols[None, :] == column[:, None], LEAST, packed), 1)
    second = tl.maximum(tl.maximum(second, others), tl.minimum(best, here))
    label = tl.where(here > best, first + column, label)
    return tl.maximum(best, here), second, label


@triton.jit
def _settle(
    rows, there, best, second, label, norm, rest, slack_ptr, labels_ptr, open_ptr, count_ptr
):  # fmt: skip
    """Store labels, and append the rows whose best two scores are too close to the list of open ones."""
    slack = tl.load(slack_ptr) * tl.sqrt(rest) + tl.load(slack_ptr + 1) * tl.sqrt(norm)
    slack += tl.load(slack_ptr + 2) + tl.load(slack_ptr + 3) * norm
    tl.store(labels_ptr + rows, label, mask=there)
    undecided = (there & ~(best - second > slack)).to(tl.int32)  # NaN is undecided, too
    at = tl.atomic_add(count_ptr, tl.sum(undecided, 0)) + tl.cumsum(undecided, 0) - 1
    tl.store(open_ptr + at, rows.to(open_ptr.dtype.element_ty), mask=undecided > 0)


@triton.jit
def _rows(tile, rows_ptr, n, ROWS: tl.constexpr, LISTED: tl.constexpr):
    """Return the rows of a tile, those of a list if there is one, and which of them exist."""
    at = tl.arange(0, ROWS).to(tl.int64) + tile * ROWS
    there = at < n
    rows = tl.load(rows_ptr + at, mask=there, other=0) if LISTED else at
    return rows.to(tl.int64), there


@triton.jit
def _products(leading, following, leading_ptr, following_ptr, at, scores, small, SPLIT: tl.constexpr):
    """Add the products of rows and a tile of centres, and of what the leading halves cut off."""
    c = tl.trans(tl.load(leading_ptr + at))
    scores = tl.dot(leading, c, scores)
    if SPLIT:
        small = tl.dot(following, c, small)
        small = tl.dot(leading, tl.trans(tl.load(following_ptr + at)), small)
    return scores, small


@triton.jit
def _screen(
    x_ptr, rows_ptr, n_ptr, n, origin_ptr, unit_ptr, slack_ptr, leading_ptr, following_ptr, half_ptr,
    labels_ptr, open_ptr, count_ptr, k, D,
    WIDTH: tl.constexpr, BLOCK_D: tl.constexpr, ROWS: tl.constexpr, CENTRES: tl.constexpr,
    SPLIT: tl.constexpr, LISTED: tl.constexpr, WIDE: tl.constexpr,
):  # fmt: skip
    """Scores by products of halves, accumulated in float32; with SPLIT also of what halves cut off."""
    if LISTED:
        n = tl.load(n_ptr)
    unit = tl.load(unit_ptr)
    dims, cols = tl.arange(0, BLOCK_D), tl.arange(0, CENTRES)
    for tile in range(tl.program_id(0), tl.cdiv(n, ROWS), tl.num_programs(0)):
        rows, there = _rows(tile, rows_ptr, n, ROWS, LISTED)
        if WIDTH == BLOCK_D:
            v = _centred(x_ptr, rows, dims, there, origin_ptr, unit, D, WIDE)
            leading, following, rest = _halves(v, SPLIT)
            norm, left = tl.sum(v * v, 1), tl.sum(rest * rest, 1)
        else:
            norm = tl.zeros((ROWS,), tl.float32)
            left = tl.zeros((ROWS,), tl.float32)
            for begin in range(0, WIDTH, BLOCK_D):
                v = _centred(x_ptr, rows, begin + dims, there, origin_ptr, unit, D, WIDE)
                _, _, rest = _halves(v, SPLIT)
                norm += tl.sum(v * v, 1)
                left += tl.sum(rest * rest, 1)
        best = tl.full((ROWS,), LEAST, tl.float32)
        second = tl.full((ROWS,), LEAST, tl.float32)
        label = tl.zeros((ROWS,), tl.int32)
        for first in range(0, k, CENTRES):
            at = (first + cols)[:, None].to(tl.int64) * WIDTH + dims[None, :]
            scores = tl.zeros((ROWS, CENTRES), tl.float32)
            small = tl.zeros((ROWS, CENTRES), tl.float32)
            if WIDTH == BLOCK_D:
                scores, small = _products(leading, following, leading_ptr, following_ptr, at, scores, small, SPLIT)
            else:
                for begin in range(0, WIDTH, BLOCK_D):
                    v = _centred(x_ptr, rows, begin + dims, there, origin_ptr, unit, D, WIDE)
                    a, b, _ = _halves(v, SPLIT)
                    scores, small = _products(a, b, leading_ptr, following_ptr, at + begin, scores, small, SPLIT)
            scores = scores - tl.load(half_ptr + first + cols)[None, :]
            if SPLIT:
                scores = scores + small / SHIFT
            best, second, label = _best_two(scores, cols, first, best, second, label, CENTRES)
        _settle(rows, there, best, second, label, norm, left, slack_ptr, labels_ptr, open_ptr, count_ptr)


@triton.jit
def _screen_few(
    x_ptr, n, origin_ptr, unit_ptr, slack_ptr, columns_ptr, half_ptr, labels_ptr, open_ptr, count_ptr, k,
    D: tl.constexpr, ROWS: tl.constexpr, CENTRES: tl.constexpr, WIDE: tl.constexpr,
):  # fmt: skip
    """Scores in few columns, by multiplications in float32; centres are given column by column."""
    unit = tl.load(unit_ptr)
    cols = tl.arange(0, CENTRES)
    rows = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)
    there = rows < n
    norm = tl.zeros((ROWS,), tl.float32)
    best = tl.full((ROWS,), LEAST, tl.float32)
    second = tl.full((ROWS,), LEAST, tl.float32)
    label = tl.zeros((ROWS,), tl.int32)
    for t in tl.static_range(D):
        v = _coordinate(x_ptr, rows, t, there, origin_ptr, unit, D, WIDE)
        norm += v * v
    for first in range(0, k, CENTRES):
        scores = tl.zeros((ROWS, CENTRES), tl.float32) - tl.load(half_ptr + first + cols)[None, :]
        for t in tl.static_range(D):
            v = _coordinate(x_ptr, rows, t, there, origin_ptr, unit, D, WIDE)
            scores += v[:, None] * tl.load(columns_ptr + t * k + first + cols)[None, :]
        best, second, label = _best_two(scores, cols, first, best, second, label, CENTRES)
    _settle(rows, there, best, second, label, norm, norm, slack_ptr, labels_ptr, open_ptr, count_ptr)


@triton.jit
def _coordinate(x_ptr, rows, t, there, origin_ptr, unit, D: tl.constexpr, WIDE: tl.constexpr):
    x = tl.load(x_ptr + rows * D + t, mask=there, other=0.0)
    origin = tl.load(origin_ptr + t)
    if WIDE:
        v = ((x.to(tl.float64) - origin) * unit).to(tl.float32)
    else:
        v = (x - origin.to(tl.float32)) * unit.to(tl.float32)
    return v


@triton.jit
def _exact(
    x_ptr, rows_ptr, n_ptr, base_ptr, columns_ptr, labels_ptr, k, D, ROWS: tl.constexpr, CENTRES: tl.constexpr
):  # fmt: skip
    """Squared differences in float64, added column by column, each operation rounded: the definition of a label."""
    n = tl.load(n_ptr)
    cols = tl.arange(0, CENTRES)
    for tile in range(tl.program_id(0), tl.cdiv(n, ROWS), tl.num_programs(0)):
        rows, there = _rows(tile, rows_ptr, n, ROWS, True)
        best = tl.full((ROWS,), float("inf"), tl.float64)
        label = tl.zeros((ROWS,), tl.int32)
        for first in range(0, k, CENTRES):
            inside = first + cols < k
            total = tl.zeros((ROWS, CENTRES), tl.float64)
            for t in range(0, D):
                x = tl.load(x_ptr + rows * D + t, mask=there, other=0.0).to(tl.float64) - tl.load(base_ptr + t)
                c = tl.load(columns_ptr + tl.cast(k, tl.int64) * t + first + cols, mask=inside, other=0.0)
                difference = x[:, None] - c[None, :]
                total += difference * difference
            total = tl.where(inside[None, :], total, float("inf"))
            here, column = tl.min(total, 1, return_indices=True, return_indices_tie_break_left=True)
            label = tl.where(here < best, first + column, label)
            best = tl.minimum(best, here)
        tl.store(labels_ptr + rows, label, mask=there)


@lru_cache
def fits(device: torch.device) -> bool:
    """Tell whether a device has the shared memory that a block of the screens takes: NVIDIA's from Ampere on do."""
    properties = torch.cuda.get_device_properties(device)
    return int(getattr(properties, "shared_memory_per_block_optin", 0)) >= SHARED


def screen(
    points: torch.Tensor,
    frame: "Frame",
    layout: "Layout",
    labels: torch.Tensor,
    left: "Open",
    only: "Open | None" = None,
) -> None:
    """Label rows by a screen, those of a list (by the one that splits numbers) or all; append what is open to ``left``.

    ``layout`` is what `engines.gpu.assign` made of the centres for this kind of screen.
    """
    n, d = points.shape
    rows, count = (left.rows, left.count) if only is None else (only.rows, only.count)
    height = ROWS if layout.width <= WHOLE else ROWS // 2
    tiles = triton.cdiv(n, height)
    with torch.cuda.device_of(points):
        _screen[(tiles if only is None else min(tiles, PROGRAMS),)](
            points, rows, count, n, frame.origin, layout.unit, layout.slack,
            layout.leading, layout.following, layout.half, labels, left.rows, left.count, len(layout.half), d,
            WIDTH=layout.width, BLOCK_D=layout.width if layout.width <= WHOLE else PIECE // (2 if layout.splits else 1),
            ROWS=height, CENTRES=layout.tile, SPLIT=layout.splits, LISTED=only is not None, WIDE=frame.wide,
            num_warps=8, num_stages=2 if layout.splits or layout.width > WHOLE else 3, enable_fp_fusion=True,
        )  # fmt: skip


def screen_few(points: torch.Tensor, frame: "Frame", layout: "Layout", labels: torch.Tensor, left: "Open") -> None:
    """Label all rows of few columns by a screen; append what is open to ``left``."""
    n, d = points.shape
    with torch.cuda.device_of(points):
        _screen_few[(triton.cdiv(n, ROWS),)](
            points, n, frame.origin, layout.unit, layout.slack, layout.leading, layout.half,
            labels, left.rows, left.count, len(layout.half),
            D=d, ROWS=ROWS, CENTRES=layout.tile, WIDE=frame.wide, num_warps=8, enable_fp_fusion=True,
        )  # fmt: skip


def exact(points: torch.Tensor, base: torch.Tensor, columns: torch.Tensor, labels: torch.Tensor, only: "Open") -> None:
    """Label the rows of a list by squared differences in float64; ``columns`` (d, k) are the centres'."""
    n, d = points.shape
    k = columns.shape[1]
    with torch.cuda.device_of(points):
        _exact[(min(triton.cdiv(n, OPEN_ROWS), PROGRAMS),)](
            points, only.rows, only.count, base, columns, labels, k, d,
            ROWS=OPEN_ROWS, CENTRES=min(OPEN_CENTRES, max(16, triton.next_power_of_2(k))),
            num_warps=4, enable_fp_fusion=False,
        )  # fmt: skip
