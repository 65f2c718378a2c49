r"""Kernel sums over points on a device: the step of mean shift, for any number of columns and any built-in weight.

    offsets(q) = sum_i w_i g(|q - x_i| / h) (x_i - q),     total(q) = sum_i w_i g(|q - x_i| / h),
    m(q) = q + offsets(q) / total(q)

A Gaussian is summed relative to the weight of the nearest point, exp(peak): neither a sum nor its logarithm is lost
however far q is. Squared distances come from differences where there are few columns, and for every other kernel: what
lies at distance h exactly counts. On a GPU that has Triton the fused kernel of `engines.triton.shift` does it; this is
the same in plain Torch, in chunks of bounded memory.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import torch

from modeseek.engines import triton
from modeseek.engines.gpu.compact import boxes, within
from modeseek.engines.gpu.memory import room_for

BLOCK = 64  # points of a block
DIFFERENCES = 16  # columns up to which distances are sums of squared differences
WIDEST = 128  # columns of the fused kernel; beyond, products take nearly all of the time
VALUES_AT_ONCE = {"cpu": 1 << 18}  # weights that the plain form holds at once
VALUES_ON_GPU = 1 << 26
BOXES_AT_ONCE = 1 << 26
SLACK = 1.0 + 1e-9  # of distances of boxes: rounding must not cost a point
FEW_ENOUGH = 0.6  # of all blocks in reach: with more a list does not pay
WORTH_LISTS = 1 << 13  # points


class Sums(NamedTuple):
    """Sums for m queries: the true ones are exp(peaks) times these."""

    offsets: torch.Tensor  # (m, d)
    totals: torch.Tensor  # (m,)
    peaks: torch.Tensor  # (m,)

    @property
    def steps(self) -> torch.Tensor:
        """m(q) - q, (m, d); 0 where no point is in reach."""
        totals = self.totals[:, None]
        return torch.where(totals > 0.0, self.offsets / totals, 0.0)


@dataclass(frozen=True)
class Cloud:
    """Points as they are summed: by column, padded to whole blocks.

    Attributes
    ----------
    columns : tensor of shape (d, padded)
        Coordinates.
    n : int
        Number of points.
    weights : tensor of shape (padded,) or None
        Weights, above 0.
    inverse : tensor of shape (1,)
        1 / h^2.
    kernel : str
        Name of the weight g.
    low, high : tensors of shape (blocks, d)
        Boxes of the blocks.
    box : tensor of shape (2, d)
        The box of all.
    reach : float
        Distance beyond which blocks are left out; infinite: none is.
    """

    columns: torch.Tensor
    n: int
    weights: torch.Tensor | None
    inverse: torch.Tensor
    kernel: str
    low: torch.Tensor
    high: torch.Tensor
    box: torch.Tensor
    reach: float

    @property
    def direct(self) -> bool:
        """Whether squared distances are sums of squared differences."""
        return self.kernel != "gaussian" or len(self.columns) <= DIFFERENCES

    @property
    def points(self) -> torch.Tensor:
        """The points, (n, d)."""
        return self.columns[:, : self.n].T


def cloud(
    points: torch.Tensor,
    weights: torch.Tensor | None = None,
    *,
    inverse: float = 1.0,
    kernel: str = "gaussian",
    reach: float = math.inf,
) -> Cloud:
    """Return points (n, d) as they are summed; with a reach, their order should be compact."""
    n, d = points.shape
    padded = BLOCK * -(-n // BLOCK)
    with room_for(f"{n} points of {d} columns", padded * (d + 1) * points.element_size(), str(points.device)):
        columns = points.new_zeros(d, padded)
        columns[:, :n] = points.T
        w = None
        if weights is not None:
            w = points.new_zeros(padded)
            w[:n] = weights
    low, high = boxes(points, BLOCK)
    box = torch.stack([low.amin(dim=0), high.amax(dim=0)])
    return Cloud(columns, n, w, points.new_full((1,), inverse), kernel, low, high, box, reach)


def sums(
    source: Cloud,
    queries: torch.Tensor,
    *,
    precision: str = "tf32x3",
    pruned: bool = True,
    relative: bool = True,
) -> Sums:
    """Return the kernel sums at queries (m, d).

    Parameters
    ----------
    source : Cloud
        The points.
    queries : tensor of shape (m, d)
        Where; in the dtype of the points. Where blocks are left out, their order should be compact.
    precision : str, default="tf32x3"
        Of products of float32: "ieee" and "tf32x3" are accurate to float32, "tf32" screens (eleven bits).
    pruned : bool, default=True
        Whether blocks beyond the reach may be left out: not for queries that have no point in reach.
    relative : bool, default=True
        Whether a Gaussian is summed relative to its largest term. False is quicker, for queries where the density is at
        least about the weight of one point: points themselves, and where they climb to.
    """
    if not len(queries):
        return Sums(queries.clone(), queries.new_empty(0), queries.new_empty(0))
    if fuses(queries):
        from modeseek.engines.triton.shift import TooLarge

        try:
            return fused(source, queries, precision, pruned, relative)
        except TooLarge:  # a GPU with less memory on its multiprocessors than the kernel was made for
            _too_small.add((queries.device, queries.dtype, queries.shape[1]))
    return plain(source, queries, relative)


def fuses(queries: torch.Tensor) -> bool:
    """Tell whether the Triton kernel sums at such queries: not on AMD, before Ampere, or beyond `WIDEST` columns."""
    if not triton.runs_on(queries) or queries.shape[1] > WIDEST:
        return False
    if (queries.device, queries.dtype, queries.shape[1]) in _too_small:
        return False
    return not queries.is_cuda or _multiplies_tf32(queries.device)


@lru_cache
def _multiplies_tf32(device: torch.device) -> bool:
    return torch.version.hip is None and torch.cuda.get_device_capability(device)[0] >= 8


_too_small: set[tuple[torch.device, torch.dtype, int]] = set()


def fused(
    source: Cloud, queries: torch.Tensor, precision: str = "tf32x3", pruned: bool = True, relative: bool = True
) -> Sums:
    """Return the sums by the Triton kernel; parts of what a tile sums are added in order."""
    from modeseek.engines.triton import shift

    if queries.dtype == torch.float64:
        precision = "ieee"
    rows = shift.rows_of_tile(queries.dtype, queries.shape[1])
    near = _lists(source, queries, rows) if pruned and math.isfinite(source.reach) else None
    offsets, totals, peaks = shift.sums(
        queries.T.contiguous(), source.columns, source.n, source.weights, source.inverse, source.box, source.kernel,
        direct=source.direct, relative=relative, near=near, precision=precision,
    )  # fmt: skip
    return _added(offsets, totals, peaks)


def _added(offsets: torch.Tensor, totals: torch.Tensor, peaks: torch.Tensor) -> Sums:
    """Add parts (parts, m, ...), each relative to its own peak."""
    if len(totals) == 1:
        return Sums(offsets[0], totals[0], peaks[0])
    peak = peaks.amax(dim=0)
    scale = torch.exp(peaks - torch.where(torch.isinf(peak), 0.0, peak))
    return Sums((scale[:, :, None] * offsets).sum(dim=0), (scale * totals).sum(dim=0), peak)


def _lists(source: Cloud, queries: torch.Tensor, rows: int) -> tuple[torch.Tensor, torch.Tensor] | None:
    """Return the blocks in reach of each tile of queries, as starts and lists; None where most are."""
    if source.n < WORTH_LISTS:
        return None
    low, high = boxes(queries, rows)
    at_once = max(1, BOXES_AT_ONCE // len(source.low))
    parts = []
    for start in range(0, len(low), at_once):
        tiles = slice(start, start + at_once)
        parts.append(within(low[tiles], high[tiles], source.low, source.high, SLACK * source.reach).nonzero())
    pairs = torch.cat([p + p.new_tensor([i * at_once, 0]) for i, p in enumerate(parts)])
    if len(pairs) > FEW_ENOUGH * len(low) * len(source.low):
        return None
    counts = torch.bincount(pairs[:, 0], minlength=len(low))
    starts = torch.zeros(len(low) + 1, dtype=torch.int32, device=queries.device)
    starts[1:] = counts.cumsum(0)
    return starts, pairs[:, 1].to(torch.int32)


# ------------------------------------------------------------------------------------------------ in plain Torch


def plain(source: Cloud, queries: torch.Tensor, relative: bool = True) -> Sums:
    """Return the sums over all points, a chunk of queries and of points at a time."""
    m = len(queries)
    values = VALUES_AT_ONCE.get(queries.device.type, VALUES_ON_GPU)
    columns = min(source.n, max(1 << 10, values // m))
    rows = max(1, values // columns)
    with _whole_products():
        done = [_rows_of(source, queries[start : start + rows], columns, relative) for start in range(0, m, rows)]
    return done[0] if len(done) == 1 else Sums(*(torch.cat(parts) for parts in zip(*done, strict=True)))


@contextmanager
def _whole_products() -> Iterator[None]:
    """Have products of float32 be those of float32, whatever the user has set."""
    before = torch.get_float32_matmul_precision()
    if before == "highest":
        yield
        return
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


def _rows_of(source: Cloud, q: torch.Tensor, columns: int, relative: bool) -> Sums:
    ends = ((start, min(start + columns, source.n)) for start in range(0, source.n, columns))
    found = [_chunk(source, q, start, stop, relative) for start, stop in ends]
    return _added(*(torch.stack(parts) for parts in zip(*found, strict=True)))


def _chunk(source: Cloud, q: torch.Tensor, start: int, stop: int, relative: bool) -> Sums:
    """Return the sums over some of the points."""
    x = source.columns[:, start:stop]
    middle = torch.minimum(torch.maximum(q, source.box[0]), source.box[1]).mean(dim=0)
    near_q, near_x = q - middle, x - middle[:, None]  # products cancel least about the middle
    if source.direct:
        r2 = q.new_zeros(len(q), stop - start)
        for k in range(len(x)):
            r2 += (q[:, k, None] - x[k]).square_()
    else:
        r2 = near_q @ near_x
        r2.mul_(-2.0).add_(near_q.square().sum(dim=1)[:, None]).add_(near_x.square().sum(dim=0)).clamp_(min=0.0)
    r2 *= source.inverse
    peak = q.new_zeros(len(q))
    if source.kernel == "gaussian":
        g = r2.mul_(-0.5)
        if relative:
            peak = g.amax(dim=1)
            g.sub_(torch.where(torch.isinf(peak), 0.0, peak)[:, None])
        g.exp_()
    else:
        g = WEIGHTS[source.kernel](r2)
    if source.weights is not None:
        g *= source.weights[start:stop]
    totals = g.sum(dim=1)
    if source.direct and q.dtype == torch.float32:  # differences lose nothing far from the middle
        offsets = [(g * (x[k] - q[:, k, None])).sum(dim=1) for k in range(len(x))]
        return Sums(torch.stack(offsets, dim=1), totals, peak)
    return Sums(g @ near_x.T - totals[:, None] * near_q, totals, peak)


WEIGHTS = {  # of r^2
    "flat": lambda r2: (r2 <= 1.0).to(r2.dtype),
    "triangular": lambda r2: (1.0 - r2.sqrt_()).clamp_(min=0.0),
    "epanechnikov": lambda r2: (1.0 - r2).clamp_(min=0.0),
    "biweight": lambda r2: (1.0 - r2).clamp_(min=0.0).square_(),
}
