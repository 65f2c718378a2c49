"""The kernel of k-means++: squared distances of all rows from candidates, float64; twin: `engines.gpu.seeding`."""

import torch
import triton
import triton.language as tl

MOST = 8  # candidates of a launch
VALUES = 4096  # of a tile: rows, candidates, columns
COLUMNS = 16


@triton.jit
def _candidates(
    x_ptr, weights_ptr, closest_ptr, candidates_ptr, out_ptr, n, D,
    ROWS: tl.constexpr, COUNT: tl.constexpr, BLOCK_D: tl.constexpr, WEIGHTED: tl.constexpr, TAKE: tl.constexpr,
):  # fmt: skip
    """Lower the squared distances from the closest seed (TAKE), or add up what each candidate would make of them."""
    rows = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)
    there = rows < n
    number = tl.arange(0, COUNT)
    total = tl.zeros((ROWS, COUNT), tl.float64)
    for begin in range(0, D, BLOCK_D):
        dims = begin + tl.arange(0, BLOCK_D)
        inside = there[:, None] & (dims < D)[None, :]
        x = tl.load(x_ptr + rows[:, None] * D + dims[None, :], mask=inside, other=0.0).to(tl.float64)
        c = tl.load(candidates_ptr + number[:, None] * D + dims[None, :], mask=(dims < D)[None, :], other=0.0)
        difference = x[:, None, :] - c[None, :, :]
        total += tl.sum(difference * difference, 2)
    closest = tl.load(closest_ptr + rows, mask=there, other=0.0)
    total = tl.where(there[:, None], tl.minimum(total, closest[:, None]), 0.0)
    if TAKE:
        tl.store(closest_ptr + rows, tl.sum(total, 1), mask=there)
    else:
        if WEIGHTED:
            total *= tl.load(weights_ptr + rows, mask=there, other=0.0)[:, None]
        tl.store(out_ptr + tl.program_id(0).to(tl.int64) * COUNT + number, tl.sum(total, 0))


def _launch(
    points: torch.Tensor, weights: torch.Tensor | None, closest: torch.Tensor, candidates: torch.Tensor, take: bool
) -> torch.Tensor:
    n, d = points.shape
    count = len(candidates)
    block = min(COLUMNS, triton.next_power_of_2(d))
    rows = min(256, VALUES // (max(count, 2) * block))
    tiles = triton.cdiv(n, rows)
    out = closest if take else torch.empty(tiles, count, dtype=torch.float64, device=points.device)
    with torch.cuda.device_of(points):
        _candidates[(tiles,)](
            points, closest if weights is None else weights, closest, candidates, out, n, d,
            ROWS=rows, COUNT=count, BLOCK_D=block, WEIGHTED=weights is not None, TAKE=take,
            num_warps=4, enable_fp_fusion=True,
        )  # fmt: skip
    return out


def take_in(points: torch.Tensor, closest: torch.Tensor, seed: torch.Tensor) -> None:
    """Lower squared distances where a seed, (1, d) float64, is closer."""
    _launch(points, None, closest, seed, take=True)


def potentials(
    points: torch.Tensor, weights: torch.Tensor | None, closest: torch.Tensor, candidates: torch.Tensor
) -> torch.Tensor:
    """Return the weighted sum of squared distances with each candidate, (trials, d) float64, as one more seed."""
    found = []
    for start in range(0, len(candidates), MOST):
        part = candidates[start : start + MOST]
        wanted = triton.next_power_of_2(len(part))
        padded = torch.cat([part, part[:1].expand(wanted - len(part), -1)]).contiguous()
        found.append(_launch(points, weights, closest, padded, take=False).sum(0)[: len(part)])
    return torch.cat(found)
