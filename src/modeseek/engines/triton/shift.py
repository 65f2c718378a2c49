r"""Kernel sums over all points, for tiles of queries, as fused attention makes them: no n x m matrix is ever stored.

    offsets(q) = sum_i w_i g(|q - x_i| / h) (x_i - q),     total(q) = sum_i w_i g(|q - x_i| / h)

A program holds a tile of queries and walks over blocks of points: squared distances, by differences or by a product,
weights, and the product of these with the coordinates. The Gaussian is summed relative to the largest exponent so far,
which rises as nearer points are met, so that no sum underflows however far a query is. Coordinates are taken about the
middle of the tile of queries, so that neither product cancels more than it must.

Blocks may be those of a list for each tile (what is out of reach is not in it), and split into parts, for several
programs to a tile: parts are added by the caller, in order. Dao et al., "FlashAttention" (2022), have the tiling.
"""

from typing import Any

import torch
import triton
import triton.language as tl

WIDEST = 128  # columns: beyond, a tile of sums does not fit into registers
BLOCK = 64  # points
PROGRAMS = 1024  # so many fill any GPU a few times over


@triton.jit
def _weight(r2, KERNEL: tl.constexpr):
    if KERNEL == "flat":
        g = tl.where(r2 <= 1.0, 1.0, 0.0).to(r2.dtype)
    elif KERNEL == "triangular":
        g = tl.maximum(1.0 - tl.sqrt(r2), 0.0)
    else:
        g = tl.maximum(1.0 - r2, 0.0)
        if KERNEL == "biweight":
            g = g * g
    return g


@triton.jit
def _sums(
    q_ptr, x_ptr, w_ptr, inverse_ptr, starts_ptr, blocks_ptr, offsets_ptr, totals_ptr, peaks_ptr, m, n, stride,
    D: tl.constexpr, WIDE: tl.constexpr, ROWS: tl.constexpr, BLOCK: tl.constexpr, KERNEL: tl.constexpr,
    DIRECT: tl.constexpr, WEIGHTED: tl.constexpr, LISTED: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    tile, part, parts = tl.program_id(0), tl.program_id(1), tl.num_programs(1)
    rows = tile * ROWS + tl.arange(0, ROWS)
    in_tile = rows < m
    axis = tl.arange(0, WIDE)
    rows64, axis64 = rows.to(tl.int64), axis.to(tl.int64)
    held = in_tile[:, None] & (axis < D)[None, :]
    q = tl.load(q_ptr + axis64[None, :] * m + rows64[:, None], mask=held, other=0.0)  # (ROWS, WIDE)
    middle = tl.sum(q, axis=0) / tl.cast(tl.minimum(ROWS, m - tile * ROWS), q.dtype)  # (WIDE,)
    q = tl.where(held, q - middle[None, :], 0.0)
    q_norms = tl.sum(q * q, axis=1)
    inverse = tl.load(inverse_ptr)
    if LISTED:
        first, last = tl.load(starts_ptr + tile), tl.load(starts_ptr + tile + 1)
    else:
        first, last = 0, tl.cdiv(n, BLOCK)
    length = tl.cdiv(last - first, parts)
    begin = first + part * length
    peak = tl.full((ROWS,), float("-inf"), q.dtype)
    total = tl.zeros((ROWS,), q.dtype)
    sums = tl.zeros((ROWS, WIDE), q.dtype)
    for i in range(begin, tl.minimum(begin + length, last)):
        block = i
        if LISTED:
            block = tl.load(blocks_ptr + i)
        columns = block * BLOCK + tl.arange(0, BLOCK)
        there = columns < n
        columns64 = columns.to(tl.int64)
        # (WIDE, BLOCK); rows of x are padded to whole blocks
        x = tl.load(x_ptr + axis64[:, None] * stride + columns64[None, :], mask=(axis < D)[:, None], other=0.0)
        x = x - middle[:, None]
        if DIRECT:
            r2 = tl.zeros((ROWS, BLOCK), q.dtype)
            for k in range(D):
                a = tl.load(q_ptr + k * tl.cast(m, tl.int64) + rows64, mask=in_tile, other=0.0)
                b = tl.load(x_ptr + k * tl.cast(stride, tl.int64) + columns64)
                apart = a[:, None] - b[None, :]
                r2 += apart * apart
        else:
            product = tl.dot(q, x, input_precision=PRECISION, out_dtype=q.dtype)
            r2 = tl.maximum(q_norms[:, None] + tl.sum(x * x, axis=0)[None, :] - 2.0 * product, 0.0)
        r2 = r2 * inverse
        if KERNEL == "gaussian":
            exponent = tl.where(there[None, :], -0.5 * r2, float("-inf"))
            higher = tl.maximum(peak, tl.max(exponent, axis=1))
            level = tl.where(higher == float("-inf"), 0.0, higher)
            g = tl.exp(exponent - level[:, None])
            fading = tl.exp(peak - level)
            peak = higher
            total = total * fading
            sums = sums * fading[:, None]
        else:
            g = tl.where(there[None, :], _weight(r2, KERNEL), 0.0)
        if WEIGHTED:
            g = g * tl.load(w_ptr + columns64)[None, :]
        total += tl.sum(g, axis=1)
        sums += tl.dot(g, tl.trans(x), input_precision=PRECISION, out_dtype=q.dtype)
    if KERNEL != "gaussian":
        peak = tl.zeros((ROWS,), q.dtype)
    row = tl.cast(part, tl.int64) * m + rows64
    tl.store(offsets_ptr + row[:, None] * D + axis64[None, :], sums - total[:, None] * q, mask=held)
    tl.store(totals_ptr + row, total, mask=in_tile)
    tl.store(peaks_ptr + row, peak, mask=in_tile)


def rows_of_tile(dtype: torch.dtype, d: int) -> int:
    """Return how many queries a program holds: as many as leave their sums in registers."""
    wide = max(16, triton.next_power_of_2(d))
    if dtype == torch.float64:
        return 64 if wide <= 32 else 32
    return 128 if wide == 64 else 64


def sums(
    q: torch.Tensor,
    x: torch.Tensor,
    n: int,
    w: torch.Tensor | None,
    inverse: torch.Tensor,
    kernel: str,
    *,
    direct: bool,
    near: tuple[torch.Tensor, torch.Tensor] | None = None,
    precision: str = "ieee",
    parts: int | None = None,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return offsets (parts, m, d), totals (parts, m) and peaks (parts, m).

    Parameters
    ----------
    q : tensor of shape (d, m)
        Queries, by column, contiguous.
    x : tensor of shape (d, padded)
        Points, by column, contiguous, padded with anything finite to a multiple of `BLOCK`.
    n : int
        Number of points.
    w : tensor of shape (padded,) or None
        Weights of the points.
    inverse : tensor of shape (1,)
        1 / h^2, in the dtype of x.
    kernel : str
        Name of the weight.
    direct : bool
        Squared distances by differences; else by a product.
    near : tensors of shapes (tiles + 1,) and (entries,), optional
        Blocks of `BLOCK` points that each tile of `rows_of_tile` queries sums: where its list starts, and the lists.
    precision : str, default="ieee"
        Of the products: "ieee", "tf32x3" or "tf32".
    parts : int, optional
        Programs for each tile; None: as many as fill a GPU.
    """
    d, m = q.shape
    rows = rows_of_tile(q.dtype, d)
    wide = max(16, triton.next_power_of_2(d))
    tiles, blocks = triton.cdiv(m, rows), triton.cdiv(n, BLOCK)
    parts = parts or max(1, min(PROGRAMS // tiles, blocks // 4, 64))
    offsets = q.new_empty(parts, m, d)
    totals, peaks = q.new_empty(parts, m), q.new_empty(parts, m)
    starts, lists = near if near is not None else (inverse, inverse)  # not read
    options: dict[str, Any] = {"num_warps": 8 if rows * wide >= 4096 else 4, "enable_fp_fusion": kernel == "gaussian"}
    _sums[(tiles, parts)](
        q, x, x if w is None else w, inverse, starts, lists, offsets, totals, peaks, m, n, x.shape[1],
        D=d, WIDE=wide, ROWS=rows, BLOCK=BLOCK, KERNEL=kernel, DIRECT=direct, WEIGHTED=w is not None,
        LISTED=near is not None, PRECISION=precision, **options,
    )  # fmt: skip
    return offsets, totals, peaks
