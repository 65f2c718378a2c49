"""Kernels that add up rows by the group they are in, and square their distances from it; twins: `engines.gpu.groups`.

Sums are float64 and have one order: a program adds one piece of one group, row after row, and what the pieces give is
added again in the same way. No atomics: the same bits every time.
"""

import torch
import triton
import triton.language as tl

VALUES = 2048  # of a tile
COLUMNS = 128


@triton.jit
def _add_pieces(
    values_ptr, order_ptr, weights_ptr, anchors_ptr, anchor_step, first_ptr, last_ptr, owner_ptr, out_ptr, D,
    ROWS: tl.constexpr, BLOCK_D: tl.constexpr, ORDERED: tl.constexpr, WEIGHTED: tl.constexpr, ANCHORED: tl.constexpr,
):  # fmt: skip
    piece = tl.program_id(0).to(tl.int64)
    dims = tl.program_id(1) * BLOCK_D + tl.arange(0, BLOCK_D)
    first, last = tl.load(first_ptr + piece), tl.load(last_ptr + piece)
    total = tl.zeros((ROWS, BLOCK_D), tl.float64)
    anchor = tl.zeros((BLOCK_D,), tl.float64)
    if ANCHORED:
        anchor = tl.load(anchors_ptr + tl.load(owner_ptr + piece) * anchor_step + dims, mask=dims < D, other=0.0)
    for at in range(first, last, ROWS):
        places = at + tl.arange(0, ROWS).to(tl.int64)
        inside = (places < last)[:, None] & (dims < D)[None, :]
        rows = places
        if ORDERED:
            rows = tl.load(order_ptr + places, mask=places < last, other=0)
        value = tl.load(values_ptr + rows[:, None] * D + dims[None, :], mask=inside, other=0.0).to(tl.float64)
        value = tl.where(inside, value - anchor[None, :], 0.0)
        if WEIGHTED:
            value *= tl.load(weights_ptr + rows, mask=places < last, other=0.0)[:, None]
        total += value
    tl.store(out_ptr + piece * D + dims, tl.sum(total, 0), mask=dims < D)


@triton.jit
def _squares(
    x_ptr, labels_ptr, base_ptr, centres_ptr, out_ptr, n, D, ROWS: tl.constexpr, BLOCK_D: tl.constexpr
):  # fmt: skip
    rows = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)
    there = rows < n
    label = tl.load(labels_ptr + rows, mask=there, other=0).to(tl.int64)
    total = tl.zeros((ROWS,), tl.float64)
    for begin in range(0, D, BLOCK_D):
        dims = begin + tl.arange(0, BLOCK_D)
        inside = there[:, None] & (dims < D)[None, :]
        x = tl.load(x_ptr + rows[:, None] * D + dims[None, :], mask=inside, other=0.0).to(tl.float64)
        centre = tl.load(centres_ptr + label[:, None] * D + dims[None, :], mask=inside, other=0.0)
        difference = x - tl.load(base_ptr + dims, mask=dims < D, other=0.0)[None, :] - centre
        total += tl.sum(tl.where(inside, difference * difference, 0.0), 1)
    tl.store(out_ptr + rows, total, mask=there)


def add_pieces(
    values: torch.Tensor, order: torch.Tensor | None, weights: torch.Tensor | None, anchors: torch.Tensor | None,
    first: torch.Tensor, last: torch.Tensor, owner: torch.Tensor,
) -> torch.Tensor:  # fmt: skip
    """Launch the sums of pieces: see `engines.gpu.groups.add_pieces`."""
    d = values.shape[1]
    out = torch.empty(len(first), d, dtype=torch.float64, device=values.device)
    block = min(COLUMNS, triton.next_power_of_2(d))
    with torch.cuda.device_of(values):
        _add_pieces[(len(first), triton.cdiv(d, block))](
            values, values if order is None else order, values if weights is None else weights,
            out if anchors is None else anchors, d if anchors is not None and len(anchors) > 1 else 0,
            first, last, owner, out, d,
            ROWS=max(1, min(256, VALUES // block)), BLOCK_D=block,
            ORDERED=order is not None, WEIGHTED=weights is not None, ANCHORED=anchors is not None,
            num_warps=4, enable_fp_fusion=True,
        )  # fmt: skip
    return out


def own_squares(points: torch.Tensor, labels: torch.Tensor, base: torch.Tensor, centres: torch.Tensor) -> torch.Tensor:
    """Launch the squared distances: see `engines.gpu.groups.own_squares`."""
    n, d = points.shape
    out = torch.empty(n, dtype=torch.float64, device=points.device)
    block = min(COLUMNS, triton.next_power_of_2(d))
    rows = max(1, min(256, VALUES // block))
    with torch.cuda.device_of(points):
        _squares[(triton.cdiv(n, rows),)](
            points, labels, base, centres, out, n, d, ROWS=rows, BLOCK_D=block, num_warps=4, enable_fp_fusion=True
        )
    return out
