"""Kernels of searches for neighbours: values of pairs, those under a threshold written down, and exact distances.

A tile of queries meets tile after tile of points. What a pair's value means, and which threshold proves that a point
is too far, is known to `engines.gpu.screens`; the twins are in `engines.gpu.pairs`. No matrix of pairs is stored. Pairs
under the threshold are few: each takes the next place in its query's room by an integer atomic. Their order there is
that of the race, and whoever reads them sorts them.
"""

from typing import Any

import torch
import triton
import triton.language as tl

# queries and points of a tile, and columns at a time: what leaves accumulators and addresses in registers
TILES = {"direct": (64, 64, 0), "tf32": (128, 64, 128), "ieee": (64, 64, 32)}
SMALL = (64, 64, 32)  # where shared memory does not hold the tiles of TF32
SHARED = 160 << 10  # bytes of it that they take
STAGES = 2  # tiles of points on their way: more do not fit into shared memory
PROGRAMS = 1024  # that keep a large GPU busy
PAIRS = 256


@triton.jit
def _record(
    value, queries, columns, upper, lower, possible, sure, starts_ptr, counts_ptr, found_ptr, values_ptr, m,
    STORE: tl.constexpr, SURE: tl.constexpr,
):  # fmt: skip
    """Count the pairs under the thresholds; write down those that the lower one does not settle."""
    hit = value <= upper[:, None]
    if SURE:
        certain = value < lower[:, None]
        sure += tl.sum(certain.to(tl.int32), 1)
        hit = hit & (value >= lower[:, None])
    many = tl.sum(hit.to(tl.int32), 1)
    if STORE:
        if tl.max(many, 0) > 0:
            base = tl.atomic_add(counts_ptr + queries, many, mask=many > 0)
            start = tl.load(starts_ptr + queries, mask=many > 0, other=0).to(tl.int32) + base
            end = tl.load(starts_ptr + queries + 1, mask=many > 0, other=0).to(tl.int32)
            at = start[:, None] + tl.cumsum(hit.to(tl.int32), 1) - 1
            fits = hit & (at < end[:, None])
            tl.store(found_ptr + at, columns[None, :] + tl.zeros_like(queries)[:, None].to(tl.int32), mask=fits)
            tl.store(values_ptr + at, value, mask=fits)
    else:
        possible += many
    return possible, sure


@triton.jit
def _finish(queries, possible, sure, counts_ptr, sure_ptr, m, STORE: tl.constexpr, SURE: tl.constexpr):
    """Add what one program counted: integers, in any order."""
    if SURE:
        tl.atomic_add(sure_ptr + queries, sure, mask=(queries < m) & (sure > 0))
    if not STORE:
        tl.atomic_add(counts_ptr + queries, possible, mask=(queries < m) & (possible > 0))


@triton.jit
def _products(
    q_ptr, x_ptr, half_ptr, upper_ptr, lower_ptr, starts_ptr, counts_ptr, sure_ptr, found_ptr, values_ptr,
    m, first, stop, share, D: tl.constexpr, BLOCK_D: tl.constexpr, QUERIES: tl.constexpr, POINTS: tl.constexpr,
    STORE: tl.constexpr, SURE: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Value of a pair: half - q.x, products by the matrix units."""
    queries = tl.program_id(0).to(tl.int64) * QUERIES + tl.arange(0, QUERIES)
    piece = tl.arange(0, BLOCK_D)
    upper = tl.load(upper_ptr + queries, mask=queries < m, other=float("-inf"))
    lower = tl.load(lower_ptr + queries, mask=queries < m, other=float("-inf"))
    q_at = q_ptr + queries[:, None] * D + piece[None, :]
    begin = first + tl.program_id(1) * share
    end = tl.minimum(begin + share, stop)
    possible = tl.zeros((QUERIES,), tl.int32)
    sure = tl.zeros((QUERIES,), tl.int32)
    if D == BLOCK_D:
        q = tl.load(q_at, mask=queries[:, None] < m, other=0.0)
    for at in range(begin, end, POINTS):
        columns = at + tl.arange(0, POINTS)
        there = columns < end
        x_at = x_ptr + columns[None, :].to(tl.int64) * D + piece[:, None]
        if D == BLOCK_D:
            x = tl.load(x_at, mask=there[None, :], other=0.0)
            product = tl.dot(q, x, input_precision=PRECISION)
        else:
            product = tl.zeros((QUERIES, POINTS), tl.float32)
            for c in range(0, D, BLOCK_D):
                part = tl.load(q_at + c, mask=queries[:, None] < m, other=0.0)
                x = tl.load(x_at + c, mask=there[None, :], other=0.0)
                product = tl.dot(part, x, product, input_precision=PRECISION)
        half = tl.load(half_ptr + columns, mask=there, other=float("inf"))
        possible, sure = _record(
            half[None, :] - product, queries, columns, upper, lower, possible, sure,
            starts_ptr, counts_ptr, found_ptr, values_ptr, m, STORE, SURE,
        )  # fmt: skip
    _finish(queries, possible, sure, counts_ptr, sure_ptr, m, STORE, SURE)


@triton.jit
def _differences(
    q_ptr, x_ptr, upper_ptr, lower_ptr, starts_ptr, counts_ptr, sure_ptr, found_ptr, values_ptr,
    m, n, first, stop, share, D: tl.constexpr, QUERIES: tl.constexpr, POINTS: tl.constexpr,
    STORE: tl.constexpr, SURE: tl.constexpr,
):  # fmt: skip
    """Value of a pair: the sum of squared differences, column by column; q and x hold column after column."""
    queries = tl.program_id(0).to(tl.int64) * QUERIES + tl.arange(0, QUERIES)
    upper = tl.load(upper_ptr + queries, mask=queries < m, other=float("-inf"))
    lower = tl.load(lower_ptr + queries, mask=queries < m, other=float("-inf"))
    begin = first + tl.program_id(1) * share
    end = tl.minimum(begin + share, stop)
    possible = tl.zeros((QUERIES,), tl.int32)
    sure = tl.zeros((QUERIES,), tl.int32)
    for at in range(begin, end, POINTS):
        columns = at + tl.arange(0, POINTS)
        there = columns < end
        value = tl.where(there, 0.0, float("inf"))[None, :] + tl.zeros((QUERIES, POINTS), tl.float32)
        q_at = q_ptr + queries
        x_at = x_ptr + columns
        for _ in tl.static_range(D):
            q = tl.load(q_at, mask=queries < m, other=0.0)
            x = tl.load(x_at, mask=there, other=0.0)
            q_at += m
            x_at += n
            difference = q[:, None] - x[None, :]
            value += difference * difference
        possible, sure = _record(
            value, queries, columns, upper, lower, possible, sure,
            starts_ptr, counts_ptr, found_ptr, values_ptr, m, STORE, SURE,
        )  # fmt: skip
    _finish(queries, possible, sure, counts_ptr, sure_ptr, m, STORE, SURE)


@triton.jit
def _squares(q_ptr, x_ptr, query_ptr, row_ptr, out_ptr, count, d, scale, PAIRS: tl.constexpr):
    """Squared distances of pairs in float64, columns added one after the other, each operation rounded."""
    pair = tl.program_id(0).to(tl.int64) * PAIRS + tl.arange(0, PAIRS)
    there = pair < count
    q_at = q_ptr + tl.load(query_ptr + pair, mask=there, other=0).to(tl.int64) * d
    x_at = x_ptr + tl.load(row_ptr + pair, mask=there, other=0).to(tl.int64) * d
    factor = tl.load(scale)
    total = tl.zeros((PAIRS,), tl.float64)
    for c in range(0, d):
        q = tl.load(q_at + c, mask=there, other=0.0).to(tl.float64)
        x = tl.load(x_at + c, mask=there, other=0.0).to(tl.float64)
        difference = (x - q) * factor
        total += difference * difference
    tl.store(out_ptr + pair, total, mask=there)


def collect(
    kind: str, q: torch.Tensor, x: torch.Tensor, half: torch.Tensor, upper: torch.Tensor, lower: torch.Tensor | None,
    span: tuple[int, int], counts: torch.Tensor, sure: torch.Tensor, room: Any,
) -> None:  # fmt: skip
    """Launch a screen (see `engines.gpu.pairs.collect`); tensors are contiguous, and laid out as `Screen` does."""
    first, stop = span
    m = len(upper)
    if m == 0 or stop <= first:
        return
    queries, points, piece = _tile(kind, x)
    tiles = triton.cdiv(m, queries)
    splits = max(1, min(triton.cdiv(PROGRAMS, tiles), triton.cdiv(stop - first, points), 65535))
    share = triton.cdiv(triton.cdiv(stop - first, splits), points) * points
    grid = (tiles, triton.cdiv(stop - first, share))
    starts, found, values = room if room is not None else (counts, counts, upper)
    flags = {"STORE": room is not None, "SURE": lower is not None, "QUERIES": queries, "POINTS": points}
    flags |= {"num_warps": 8, "enable_fp_fusion": True}
    least = upper if lower is None else lower
    with torch.cuda.device_of(x):
        if kind == "direct":
            _differences[grid](
                q, x, upper, least, starts, counts, sure, found, values, m, x.shape[1], first, stop, share,
                D=len(x), **flags,
            )  # fmt: skip
            return
        d = x.shape[1]
        _products[grid](
            q, x, half, upper, least, starts, counts, sure, found, values, m, first, stop, share,
            D=d, BLOCK_D=_piece(d, piece), PRECISION=kind, num_stages=STAGES, **flags,
        )  # fmt: skip


def _tile(kind: str, x: torch.Tensor) -> tuple[int, int, int]:
    """Return the tile of a kind of screen that a device has room for."""
    if kind == "tf32" and x.is_cuda:
        properties = torch.cuda.get_device_properties(x.device)
        if getattr(properties, "shared_memory_per_block_optin", 0) < SHARED:
            return SMALL
    return TILES[kind]


def _piece(d: int, most: int) -> int:
    """Return how many of the columns are multiplied at a time: all, or a power of two that divides them."""
    return min(d, most, d & -d)


def squares(Q: torch.Tensor, X: torch.Tensor, query: torch.Tensor, row: torch.Tensor, scale: float) -> torch.Tensor:
    """Return the squared distances of pairs (query, row), float64, times the square of a power of two."""
    out = torch.empty(len(row), dtype=torch.float64, device=X.device)
    if len(row):
        factor = torch.tensor([scale], dtype=torch.float64, device=X.device)
        with torch.cuda.device_of(X):
            _squares[(triton.cdiv(len(row), PAIRS),)](
                Q, X, query, row, out, len(row), X.shape[1], factor, PAIRS=PAIRS, num_warps=4, enable_fp_fusion=False
            )
    return out
