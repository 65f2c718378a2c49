r"""Sums over all points around a few places, in float64: the kernel of `engines.gpu.sums`.

A lane holds a place and its ten sums in registers, and walks over a slice of the points, one after the other, which all
lanes read at once.
Every slice writes sums of its own, which are added up in their order: the same bits each time.
"""

import torch
import triton
import triton.language as tl

PLACES = 128  # of a program
SLICE = 1 << 14  # points of a program, or more, where there would be too many slices
MOST_SLICES = 1 << 12
SUMS = 10


@triton.jit
def _sums(
    x, w, q, frame, out, n, m, per_slice,
    D: tl.constexpr, WEIGHTED: tl.constexpr, PLACES: tl.constexpr, SUMS: tl.constexpr,
):  # fmt: skip
    """Write the sums around PLACES places over one slice of the points; ``frame`` holds 1 / 2h^2 and the cut."""
    place = tl.program_id(0).to(tl.int64) * PLACES + tl.arange(0, PLACES)
    known = place < m
    c = tl.load(frame)
    cut = tl.load(frame + 1)
    none = tl.full([PLACES], 0.0, tl.float64)
    q0 = tl.load(q + place * D, mask=known, other=0.0) if D > 2 else none
    q1 = tl.load(q + place * D + (D - 2), mask=known, other=0.0) if D > 1 else none
    q2 = tl.load(q + place * D + (D - 1), mask=known, other=0.0)
    s, s0, s1, s2 = none, none, none, none
    s00, s01, s02, s11, s12, s22 = none, none, none, none, none, none
    first = tl.program_id(1).to(tl.int64) * per_slice
    for row in tl.range(first, tl.minimum(first + per_slice, n), loop_unroll_factor=4):
        d2 = tl.load(x + row * D + (D - 1)).to(tl.float64) - q2
        d1 = tl.load(x + row * D + (D - 2)).to(tl.float64) - q1 if D > 1 else none
        d0 = tl.load(x + row * D).to(tl.float64) - q0 if D > 2 else none
        r = (d0 * d0 + d1 * d1 + d2 * d2) * c
        g = tl.where(r <= cut, tl.exp(-r), 0.0)
        if WEIGHTED:
            g *= tl.load(w + row)
        g0 = g * d0
        g1 = g * d1
        g2 = g * d2
        s += g
        s0 += g0
        s1 += g1
        s2 += g2
        s00 += g0 * d0
        s01 += g0 * d1
        s02 += g0 * d2
        s11 += g1 * d1
        s12 += g1 * d2
        s22 += g2 * d2
    here = out + (tl.program_id(1).to(tl.int64) * m + place) * SUMS
    tl.store(here, s, mask=known)
    tl.store(here + 1, s0, mask=known)
    tl.store(here + 2, s1, mask=known)
    tl.store(here + 3, s2, mask=known)
    tl.store(here + 4, s00, mask=known)
    tl.store(here + 5, s01, mask=known)
    tl.store(here + 6, s02, mask=known)
    tl.store(here + 7, s11, mask=known)
    tl.store(here + 8, s12, mask=known)
    tl.store(here + 9, s22, mask=known)


def sums_over(
    points: torch.Tensor, weights: torch.Tensor | None, bandwidth: float, q: torch.Tensor, reach: float
) -> torch.Tensor:
    """Return the ten sums around each place of q (m, d), float64; of columns that are missing they are 0."""
    (n, d), m = points.shape, len(q)
    per_slice = max(SLICE, triton.cdiv(n, MOST_SLICES))
    slices = triton.cdiv(n, per_slice)
    frame = torch.tensor([0.5 / bandwidth**2, 0.5 * reach * reach], dtype=torch.float64, device=points.device)
    out = torch.empty((slices, m, SUMS), dtype=torch.float64, device=points.device)
    with torch.cuda.device_of(points):
        _sums[(triton.cdiv(m, PLACES), slices)](
            points, points if weights is None else weights, q, frame, out, n, m, per_slice,
            D=d, WEIGHTED=weights is not None, PLACES=PLACES, SUMS=SUMS,
        )  # fmt: skip
    return out.sum(dim=0)
