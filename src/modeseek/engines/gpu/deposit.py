r"""Points to the masses of nodes, int64 in fixed point, as `engines.cpu.deposit` puts them there.

A point of weight w gives ``unit * w`` times a product of spline weights to each of (p + 1)^d nodes around it, rounded
to whole units: sums of integers are the same in any order, so that many may add at once. Points are read in float64,
where their cells and weights are found, so that masses differ from those of the CPU by the rounding of single deposits.
Bins hold counts alone: one integer a point instead of (p + 1)^d.
"""

import itertools
import math
from dataclasses import dataclass

import numpy as np
import torch

from modeseek.engines import triton
from modeseek.engines.gpu.memory import room_for

ROWS = 1 << 18  # that the twin works on at once
PATCHES = 1 << 25  # bytes: patches of cells pay where all of them stay in the cache of a GPU
POINTS_PER_NODE = 4  # and where points are so many
# powers of the offset u in the weights of a spline's nodes, times (p + 1)! / (p - 1)!: whole or exact in float64
SPLINE = {
    2: ((0.25, -1.0, 1.0, 0.0), (1.5, 0.0, -2.0, 0.0), (0.25, 1.0, 1.0, 0.0)),
    3: ((1.0, -3.0, 3.0, -1.0), (4.0, 0.0, -6.0, 3.0), (1.0, 3.0, 3.0, -3.0), (0.0, 0.0, 0.0, 1.0)),
}
SCALE = {2: 2.0, 3: 6.0}  # that these are too large by, along each axis


@dataclass(frozen=True)
class Lattice:
    """Nodes of a box: where node (0, ..., 0) is, how far apart they are, the first one of the box, and how many."""

    origin: tuple[float, ...]
    per_unit: float  # nodes to a unit of length
    lower: tuple[int, ...]
    shape: tuple[int, ...]

    @property
    def n_nodes(self) -> int:
        """Number of nodes."""
        return math.prod(self.shape)

    @property
    def strides(self) -> tuple[int, ...]:
        """Of the flat index of a node, along each axis."""
        return tuple(math.prod(self.shape[k + 1 :]) for k in range(len(self.shape)))

    @property
    def offset(self) -> int:
        """Flat index of the first node, counted from node (0, ..., 0)."""
        return sum(low * stride for low, stride in zip(self.lower, self.strides, strict=True))


def deposit(
    points: torch.Tensor, weights: torch.Tensor | None, lattice: Lattice, unit: float, degree: int
) -> torch.Tensor:
    """Return the masses of the nodes, (n_nodes,) int64, that points deposit.

    Parameters
    ----------
    points : tensor of shape (n, d), d <= 3
        Points, float32 or float64, at least two nodes inside the box.
    weights : tensor of shape (n,), float64, optional
        Their weights; None: all one.
    lattice : Lattice
        The nodes.
    unit : float
        Mass of a weight of one.
    degree : {2, 3}
        Of the splines.
    """
    n, d = points.shape
    if not triton.runs_on(points):
        return deposit_twin(points, weights, lattice, unit, degree)
    from modeseek.engines.triton.deposit import deposit as launch

    patched = d == 2 and n >= POINTS_PER_NODE * lattice.n_nodes and 8 * 16 * lattice.n_nodes <= PATCHES
    with room_for(f"the masses of {lattice.n_nodes} nodes", 8.0 * lattice.n_nodes, str(points.device)):
        return launch(points, weights, lattice, unit, degree, patched=patched)


def deposit_twin(
    points: torch.Tensor, weights: torch.Tensor | None, lattice: Lattice, unit: float, degree: int
) -> torch.Tensor:
    """Do as `deposit` in plain Torch: node by node of the spline, many points at once."""
    d = points.shape[1]
    masses = torch.zeros(lattice.n_nodes, dtype=torch.int64, device=points.device)
    scaled = unit / SCALE[degree] ** d
    for start in range(0, len(points), ROWS):
        rows = slice(start, start + ROWS)
        first, along = _splines(points[rows], lattice, degree)
        mass = torch.full_like(along[0][0], scaled)
        if weights is not None:
            mass *= weights[rows]
        for taps in itertools.product(range(degree + 1), repeat=d):
            share = mass
            for axis, tap in enumerate(taps):
                share = share * along[axis][tap]
            node = first + sum(tap * stride for tap, stride in zip(taps, lattice.strides, strict=True))
            masses.index_add_(0, node, (share + 0.5).long())
    return masses


def _splines(x: torch.Tensor, lattice: Lattice, degree: int) -> tuple[torch.Tensor, list[list[torch.Tensor]]]:
    """Return the flat index of the first node that each point writes to, and the weights along each axis."""
    first = torch.full((len(x),), -lattice.offset, dtype=torch.int64, device=x.device)
    along = []
    for axis, stride in enumerate(lattice.strides):
        a = (x[:, axis].double() - lattice.origin[axis]) * lattice.per_unit
        cell = torch.floor(a + 0.5) if degree == 2 else torch.floor(a)
        u = a - cell
        along.append([((c3 * u + c2) * u + c1) * u + c0 for c0, c1, c2, c3 in SPLINE[degree]])
        first += (cell.long() - 1) * stride
    return first, along


def count_bins(
    points: torch.Tensor, corner: tuple[float, ...], per_unit: float, shape: tuple[int, ...]
) -> torch.Tensor:
    """Return the number of points in each bin, flat, int32; ``corner`` is the lower corner of the first one."""
    if triton.runs_on(points):
        from modeseek.engines.triton.deposit import count_bins as launch

        return launch(points, corner, per_unit, shape)
    counts = torch.zeros(math.prod(shape), dtype=torch.int32, device=points.device)
    for start in range(0, len(points), ROWS):
        flat, _ = bins_of(points[start : start + ROWS], corner, per_unit, shape)
        counts += torch.bincount(flat, minlength=len(counts))
    return counts


def bins_of(
    points: torch.Tensor, corner: tuple[float, ...], per_unit: float, shape: tuple[int, ...]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the bin of each of a few points, flat, and where they are in it, (n, d), 0 to 1."""
    place = (points.double() - torch.tensor(corner, dtype=torch.float64, device=points.device)) * per_unit
    cell = place.long()  # the corner lies below the data, so truncation is the floor
    flat = torch.zeros(len(points), dtype=torch.int64, device=points.device)
    for axis, length in enumerate(shape):
        flat = flat * length + cell[:, axis]
    return flat, place - cell


def fold(patches: torch.Tensor, shape: tuple[int, ...]) -> torch.Tensor:
    """Add up patches (cells, 4^d) on the nodes that they are of: entry (t_1, ..., t_d) is so many nodes further."""
    d = len(shape)
    patches = patches.reshape(*shape, *(4,) * d)
    masses = torch.zeros(shape, dtype=torch.int64, device=patches.device)
    for taps in itertools.product(range(4), repeat=d):
        there = tuple(slice(tap, None) for tap in taps)
        here = tuple(slice(0, length - tap) for tap, length in zip(taps, shape, strict=True))
        places: tuple[slice | int, ...] = (*here, *taps)
        masses[there] += patches[places]
    return masses.reshape(-1)


def lattice_of(origin: np.ndarray, delta: float, lower: tuple[int, ...], shape: tuple[int, ...]) -> Lattice:
    """Return the nodes of a box of a grid of spacing ``delta`` around ``origin``."""
    return Lattice(tuple(float(o) for o in origin), 1.0 / delta, lower, shape)
