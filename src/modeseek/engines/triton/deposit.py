r"""Points to the masses of nodes, and to counts of bins: the kernels of `engines.gpu.deposit`.

One lane for each node that a point writes to. The nodes of a row lie side by side, so that a point is few wide atomic
additions. Many points fall on few nodes. Hence *patches* where points are many and nodes are few: 4^d numbers side by
side for every cell between nodes, which a point in it changes at once, added up on the nodes at the end. Hence *copies*
too: small grids are there several times, and programs take turns, so that fewer of them wait for the same address.
Numbers are int64: no order of adding changes a sum, and none overflows that the masses do not.
"""

import math

import torch
import triton
import triton.language as tl

from modeseek.engines.gpu.deposit import SCALE, Lattice, fold

LANES = 1024  # points times nodes of a program
COPIED = 1 << 22  # bytes: smaller grids are copied until they fill this
MOST_COPIES = 64
MANY = 1 << 16  # points: with fewer nothing is crowded
ROWS = 1024  # of a program that counts


@triton.jit
def _power(t, degree: tl.constexpr, k: tl.constexpr):
    """Coefficient of u^k in the weight of node t of a spline, as `engines.gpu.deposit.SPLINE` has it."""
    if degree == 2:
        if k == 0:
            return tl.where(t == 1, 1.5, 0.25).to(tl.float64)
        if k == 1:
            return tl.where(t == 0, -1.0, tl.where(t == 1, 0.0, 1.0)).to(tl.float64)
        if k == 2:
            return tl.where(t == 1, -2.0, 1.0).to(tl.float64)
        return tl.where(t == 0, 0.0, 0.0).to(tl.float64)
    if k == 0:
        return tl.where(t == 1, 4.0, tl.where(t == 3, 0.0, 1.0)).to(tl.float64)
    if k == 1:
        return tl.where(t == 0, -3.0, tl.where(t == 2, 3.0, 0.0)).to(tl.float64)
    if k == 2:
        return tl.where(t == 1, -6.0, tl.where(t == 3, 0.0, 3.0)).to(tl.float64)
    return tl.where(t == 0, -1.0, tl.where(t == 1, 3.0, tl.where(t == 2, -3.0, 1.0))).to(tl.float64)


@triton.jit
def _deposit(
    x, w, frame, geometry, masses, n, size, copies,
    D: tl.constexpr, DEGREE: tl.constexpr, WEIGHTED: tl.constexpr, PATCHED: tl.constexpr,
    ROWS: tl.constexpr, TAPS: tl.constexpr,
):  # fmt: skip
    """Add ROWS points to one copy of the masses (or patches), which has ``size`` numbers.

    ``frame`` holds the origin, nodes to a unit of length, and the mass of a weight of one; ``geometry`` the strides of
    the flat index of a node, and the flat index of the first node of the box.
    """
    program = tl.program_id(0)
    rows = program.to(tl.int64) * ROWS + tl.arange(0, ROWS)
    inside = rows < n
    taps = tl.arange(0, TAPS)
    per_unit = tl.load(frame + 3)
    mass = tl.full([ROWS], 0.0, tl.float64) + tl.load(frame + 4)
    if WEIGHTED:
        mass *= tl.load(w + rows, mask=inside, other=0.0)
    share = mass[:, None]
    node = tl.full([ROWS], 0, tl.int64) - tl.load(geometry + 3)
    tap_node = tl.full([TAPS], 0, tl.int64)
    used = taps >= 0
    for axis in tl.static_range(D):
        stride = tl.load(geometry + axis)
        a = (tl.load(x + rows * D + axis, mask=inside, other=0.0).to(tl.float64) - tl.load(frame + axis)) * per_unit
        cell = tl.floor(a + 0.5) if DEGREE == 2 else tl.floor(a)
        u = (a - cell)[:, None]
        node += (cell.to(tl.int64) - 1) * stride
        t = (taps >> (2 * (D - 1 - axis))) & 3
        used = used & (t <= DEGREE)
        tap_node += t * stride
        t = t[None, :]
        weight = ((_power(t, DEGREE, 3) * u + _power(t, DEGREE, 2)) * u + _power(t, DEGREE, 1)) * u
        share = share * (weight + _power(t, DEGREE, 0))
    place = node[:, None] * TAPS + taps[None, :] if PATCHED else node[:, None] + tap_node[None, :]
    place += (program % copies).to(tl.int64) * size
    tl.atomic_add(masses + place, (share + 0.5).to(tl.int64), mask=inside[:, None] & used[None, :], sem="relaxed")


def deposit(
    points: torch.Tensor,
    weights: torch.Tensor | None,
    lattice: Lattice,
    unit: float,
    degree: int,
    *,
    patched: bool = False,
    copies: int | None = None,
) -> torch.Tensor:
    """Do as `engines.gpu.deposit.deposit`; ``patched`` writes to patches of cells, and ``copies`` share the work."""
    n, d = points.shape
    taps = 4**d
    size = lattice.n_nodes * (taps if patched else 1)
    if copies is None:
        copies = 1 if n < MANY else max(1, min(MOST_COPIES, COPIED // (8 * size)))
    masses = torch.zeros((copies, size), dtype=torch.int64, device=points.device)
    frame = _tensor([*_padded(lattice.origin), lattice.per_unit, unit / SCALE[degree] ** d], torch.float64, points)
    geometry = _tensor([*_padded(lattice.strides), lattice.offset], torch.int64, points)
    rows = LANES // taps
    with torch.cuda.device_of(points):
        _deposit[(triton.cdiv(n, rows),)](
            points, points if weights is None else weights, frame, geometry, masses, n, size, copies,
            D=d, DEGREE=degree, WEIGHTED=weights is not None, PATCHED=patched, ROWS=rows, TAPS=taps,
            enable_fp_fusion=False,
        )  # fmt: skip
    total = masses[0] if copies == 1 else masses.sum(dim=0)
    return fold(total, lattice.shape) if patched else total


@triton.jit
def _count_bins(x, frame, geometry, counts, n, size, copies, D: tl.constexpr, ROWS: tl.constexpr):
    """Count ROWS points in one copy of the bins; ``frame`` holds the corner and bins to a unit of length."""
    program = tl.program_id(0)
    rows = program.to(tl.int64) * ROWS + tl.arange(0, ROWS)
    inside = rows < n
    per_unit = tl.load(frame + 3)
    flat = tl.full([ROWS], 0, tl.int64) + (program % copies).to(tl.int64) * size
    for axis in tl.static_range(D):
        a = (tl.load(x + rows * D + axis, mask=inside, other=0.0).to(tl.float64) - tl.load(frame + axis)) * per_unit
        flat += a.to(tl.int64) * tl.load(geometry + axis)
    tl.atomic_add(counts + flat, 1, mask=inside, sem="relaxed")


def count_bins(
    points: torch.Tensor,
    corner: tuple[float, ...],
    per_unit: float,
    shape: tuple[int, ...],
    copies: int | None = None,
) -> torch.Tensor:
    """Do as `engines.gpu.deposit.count_bins`."""
    n, d = points.shape
    size = math.prod(shape)
    if copies is None:
        copies = 1 if n < MANY else max(1, min(MOST_COPIES, COPIED // (4 * size)))
    counts = torch.zeros((copies, size), dtype=torch.int32, device=points.device)
    frame = _tensor([*_padded(corner), per_unit], torch.float64, points)
    geometry = _tensor([math.prod(shape[k + 1 :]) for k in range(d)], torch.int64, points)
    with torch.cuda.device_of(points):
        _count_bins[(triton.cdiv(n, ROWS),)](points, frame, geometry, counts, n, size, copies, D=d, ROWS=ROWS)
    return counts.sum(dim=0, dtype=torch.int32)


def _padded(values: tuple) -> list:
    """Return one value an axis, of three; kernels take float64 and int64 from tensors: as arguments they lose bits."""
    return [*values, *[0] * (3 - len(values))]


def _tensor(values: list, dtype: torch.dtype, like: torch.Tensor) -> torch.Tensor:
    return torch.tensor(values, dtype=dtype, device=like.device)
