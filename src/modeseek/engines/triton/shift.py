r"""Kernel sums over all points, for tiles of queries, as fused attention makes them: no n x m matrix is ever stored.

    offsets(q) = sum_i w_i g(|q - x_i| / h) (x_i - q),     total(q) = sum_i w_i g(|q - x_i| / h)

A program holds a tile of queries and walks over blocks of points: squared distances, by differences or by a product,
weights, and the product of these with the coordinates. The Gaussian is summed relative to the largest exponent so far,
which rises as nearer points are met, so that no sum underflows however far a query is; where every query has weight
near it, that is left out. Coordinates are taken about the middle of the tile of queries, all brought into the box of
the points, so that neither product cancels more than it must, and a query far out costs its neighbours nothing.

Blocks may be those of a list for each tile (what is out of reach is not in it), and split into parts, for several
programs to a tile: parts are added by the caller, in order. Dao et al., "FlashAttention" (2022), have the tiling.
"""

from typing import Any

import torch
import triton
import triton.language as tl
from triton.runtime.errors import OutOfResources as TooLarge

__all__ = ["TooLarge", "rows_of_tile", "sums"]

WIDEST = 128  # columns: beyond, a tile of sums does not fit into registers
BLOCK = 64  # points
PROGRAMS = 1024  # so many fill any GPU a few times over
LOG2_E = tl.constexpr(1.4426950408889634)
LN_2 = tl.constexpr(0.6931471805599453)


@triton.jit
def _weight(r2, KERNEL: tl.constexpr):
    if KERNEL == "flat":
        g = tl.where(r2 <= 1.0, 1.0, 0.0).to(r2.dtype)
    elif KERNEL == "triangular":
        g = tl.maximum(1.0 - tl.sqrt(r2), 0.0)
    else:
        tl.static_assert(KERNEL == "epanechnikov" or KERNEL == "biweight")  # no kernel is taken for another
        g = tl.maximum(1.0 - r2, 0.0)
        if KERNEL == "biweight":
            g = g * g
    return g


@triton.jit
def _split(a):
    """Split float32 into the part that tensor cores hold, rounded to eleven bits, and the rest."""
    high = ((a.to(tl.int32, bitcast=True) + 0x1000) & -0x2000).to(tl.float32, bitcast=True)
    return high, a - high


@triton.jit
def _product(a, b, PRECISION: tl.constexpr):
    """Multiply tiles; "tf32x3" sums three products of parts, to the accuracy of float32: all numbers are finite."""
    if PRECISION == "tf32x3":
        a_high, a_low = _split(a)
        b_high, b_low = _split(b)
        sums = tl.dot(a_low, b_high, input_precision="tf32")
        sums = tl.dot(a_high, b_low, sums, input_precision="tf32")
        return tl.dot(a_high, b_high, sums, input_precision="tf32")
    return tl.dot(a, b, input_precision=PRECISION, out_dtype=a.dtype)


@triton.jit
def _sums(
    q_ptr, x_ptr, w_ptr, inverse_ptr, box_ptr, starts_ptr, blocks_ptr, offsets_ptr, totals_ptr, peaks_ptr, m, n, stride,
    D: tl.constexpr, WIDE: tl.constexpr, ROWS: tl.constexpr, BLOCK: tl.constexpr, KERNEL: tl.constexpr,
    DIRECT: tl.constexpr, WEIGHTED: tl.constexpr, LISTED: tl.constexpr,
    RELATIVE: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    tile, part, parts = tl.program_id(0), tl.program_id(1), tl.num_programs(1)
    rows = tile * ROWS + tl.arange(0, ROWS)
    in_tile = rows < m
    axis = tl.arange(0, WIDE)
    rows64, axis64 = rows.to(tl.int64), axis.to(tl.int64)
    held = in_tile[:, None] & (axis < D)[None, :]
    q = tl.load(q_ptr + axis64[None, :] * m + rows64[:, None], mask=held, other=0.0)  # (ROWS, WIDE)
    low = tl.load(box_ptr + axis, mask=axis < D, other=0.0)
    high = tl.load(box_ptr + D + axis, mask=axis < D, other=0.0)
    inner = tl.minimum(tl.maximum(q, low[None, :]), high[None, :])
    count = tl.cast(tl.minimum(ROWS, m - tile * ROWS), q.dtype)
    middle = tl.sum(tl.where(held, inner, 0.0), axis=0) / count  # (WIDE,)
    q = tl.where(held, q - middle[None, :], 0.0)
    inverse = tl.load(inverse_ptr)
    if KERNEL == "gaussian":
        inverse = -0.5 * LOG2_E * inverse  # weights are powers of 2
    q_norms = tl.sum(q * q, axis=1) * inverse
    if LISTED:
        first, last = tl.load(starts_ptr + tile), tl.load(starts_ptr + tile + 1)
    else:
        first, last = 0, tl.cdiv(n, BLOCK)
    length = tl.cdiv(last - first, parts)
    begin = first + part * length
    peak = tl.full((ROWS,), float("-inf"), q.dtype)
    total = tl.zeros((ROWS,), q.dtype)
    sums = tl.zeros((ROWS, WIDE), q.dtype)
    if D == WIDE and DIRECT and not RELATIVE:
        lanes = tl.zeros((ROWS, BLOCK), q.dtype)
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
            exponent = tl.zeros((ROWS, BLOCK), q.dtype)
            for k in range(D):
                a = tl.load(q_ptr + k * tl.cast(m, tl.int64) + rows64, mask=in_tile, other=0.0)
                b = tl.load(x_ptr + k * tl.cast(stride, tl.int64) + columns64)
                apart = a[:, None] - b[None, :]
                exponent += apart * apart
            exponent = exponent * inverse
        else:  # but for the norm of q
            product = _product(q, x, PRECISION)
            norms = tl.sum(x * x, axis=0) * inverse + tl.where(there, 0.0, float("-inf"))
            exponent = norms[None, :] - (2.0 * inverse) * product
            if not RELATIVE:
                exponent += q_norms[:, None]
        if D < WIDE:
            x = tl.where((axis == D)[:, None], 1.0, x)  # totals come with the sums
        if KERNEL == "gaussian" and DIRECT:
            exponent += tl.where(there, 0.0, float("-inf"))[None, :]
        if RELATIVE:
            higher = tl.maximum(peak, tl.max(exponent, axis=1))
            level = tl.where(higher == float("-inf"), 0.0, higher)
            g = tl.exp2(exponent - level[:, None])
            fading = tl.exp2(peak - level)
            peak = higher
            total = total * fading
            sums = sums * fading[:, None]
        elif KERNEL == "gaussian":
            g = tl.exp2(exponent)
        else:
            g = tl.where(there[None, :], _weight(exponent, KERNEL), 0.0)
        if WEIGHTED:
            g = g * tl.load(w_ptr + columns64)[None, :]
        if D == WIDE and (RELATIVE or not DIRECT):
            total += tl.sum(g, axis=1)
        elif D == WIDE:
            lanes += g
        sums += _product(g, tl.trans(x), PRECISION)
    if D < WIDE:
        total = tl.sum(tl.where((axis == D)[None, :], sums, 0.0), axis=1)
    elif DIRECT and not RELATIVE:
        total = tl.sum(lanes, axis=1)
    if not RELATIVE:
        peak = tl.zeros((ROWS,), q.dtype)
    elif not DIRECT:
        peak += q_norms
    row = tl.cast(part, tl.int64) * m + rows64
    tl.store(offsets_ptr + row[:, None] * D + axis64[None, :], sums - total[:, None] * q, mask=held)
    tl.store(totals_ptr + row, total, mask=in_tile)
    tl.store(peaks_ptr + row, peak * LN_2, mask=in_tile)


def rows_of_tile(dtype: torch.dtype, d: int) -> int:
    """Return how many queries a program holds."""
    return _shape(dtype, d)[1]


def _shape(dtype: torch.dtype, d: int) -> tuple[int, int, int]:
    """Return columns padded, queries of a program and its warps: what spills least when compiled for sm_90."""
    wide = max(16, triton.next_power_of_2(d))
    if dtype == torch.float64:
        return wide, *{64: (64, 8), 128: (32, 8)}.get(wide, (32, 4))
    return wide, *((64, 4) if wide <= 64 else (128, 8))  # two programs to a multiprocessor: one multiplies meanwhile


def sums(
    q: torch.Tensor,
    x: torch.Tensor,
    n: int,
    w: torch.Tensor | None,
    inverse: torch.Tensor,
    box: torch.Tensor,
    kernel: str,
    *,
    direct: bool,
    relative: bool = True,
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
    box : tensor of shape (2, d)
        The least and the greatest of each column of the points.
    kernel : str
        Name of the weight.
    direct : bool
        Squared distances by differences; else by a product.
    relative : bool, default=True
        Whether a Gaussian is summed relative to its largest term; else every query has some weight near it.
    near : tensors of shapes (tiles + 1,) and (entries,), optional
        Blocks of `BLOCK` points that each tile of `rows_of_tile` queries sums: where its list starts, and the lists.
    precision : str, default="ieee"
        Of the products: "ieee", "tf32x3" or "tf32".
    parts : int, optional
        Programs for each tile; None: as many as fill a GPU.
    """
    d, m = q.shape
    wide, rows, warps = _shape(q.dtype, d)
    tiles, blocks = triton.cdiv(m, rows), triton.cdiv(n, BLOCK)
    parts = parts or max(1, min(PROGRAMS // tiles, blocks // 4, 64))
    offsets = q.new_empty(parts, m, d)
    totals, peaks = q.new_empty(parts, m), q.new_empty(parts, m)
    starts, lists = near if near is not None else (inverse, inverse)  # not read
    # what lies at distance h exactly counts: squares are rounded as NumPy rounds them
    options: dict[str, Any] = {"num_warps": warps, "num_stages": 1, "enable_fp_fusion": kernel == "gaussian"}
    with torch.cuda.device_of(q):
        _sums[(tiles, parts)](
            q, x, x if w is None else w, inverse, box, starts, lists, offsets, totals, peaks, m, n, x.shape[1],
            D=d, WIDE=wide, ROWS=rows, BLOCK=BLOCK, KERNEL=kernel, DIRECT=direct, WEIGHTED=w is not None,
            LISTED=near is not None, RELATIVE=relative and kernel == "gaussian", PRECISION=precision, **options,
        )  # fmt: skip
    return offsets, totals, peaks
