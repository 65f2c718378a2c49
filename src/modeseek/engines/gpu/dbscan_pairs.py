"""DBSCAN on tensors in any number of columns: tiles of all pairs that are within eps along one axis.

Points are sorted along their widest axis; a block of them is compared with the run of points that it reaches there. So
the work is quadratic at worst, and the memory linear. Where Triton runs, its kernels do this in one launch each.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch

from modeseek.engines import triton
from modeseek.engines.gpu.components import flattened, unite

BLOCK = 1 << 10  # points that are compared with others at once
AT_ONCE = 1 << 22  # pairs


@dataclass(frozen=True)
class Slabs:
    """Points (d, n) whose coordinates along one axis rise, these in float64, and what surely is out of reach there."""

    points: torch.Tensor
    along: torch.Tensor  # (n,)
    reach: float

    def take(self, which: torch.Tensor) -> "Slabs":
        """Return some of the points."""
        return Slabs(self.points[:, which].contiguous(), self.along[which], self.reach)

    def runs(self, others: "Slabs", size: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the runs of others, [begin, end), that blocks of ``size`` points reach."""
        n = len(self.along)
        first = torch.arange(0, n, size, device=self.along.device)
        last = (first + (size - 1)).clamp_(max=n - 1)
        begin = torch.searchsorted(others.along, self.along[first] - self.reach)
        return begin, torch.searchsorted(others.along, self.along[last] + self.reach, right=True)


def sort_slabs(points: torch.Tensor, axis: int, eps: float, furthest: float) -> tuple[Slabs, torch.Tensor]:
    """Sort points (n, d), none further than ``furthest`` from zero, along an axis; return their rows too."""
    along, order = torch.sort(points[:, axis].double(), stable=True)
    columns = torch.empty((points.shape[1], len(points)), dtype=points.dtype, device=points.device)
    for column, values in zip(columns, points.T, strict=True):
        column.copy_(values[order])
    return Slabs(columns, along, eps * (1.0 + 1e-6) + furthest * 2.0**-50), order


def core_points(slabs: Slabs, weights: torch.Tensor | None, needed: float, eps: float) -> torch.Tensor:
    """Return whether each point is core: whether those within eps of it weigh at least ``needed``."""
    if triton.runs_on(slabs.points):
        from modeseek.engines.triton.dbscan_pairs import are_core

        return are_core(slabs, weights, needed, eps)
    return _are_core(slabs, weights, needed, eps)


def link(slabs: Slabs, eps: float) -> torch.Tensor:
    """Return the first of all points that hang together with each, by steps of at most eps."""
    if triton.runs_on(slabs.points):
        from modeseek.engines.triton.dbscan_pairs import link_points

        return flattened(link_points(slabs, eps))
    return _link(slabs, eps)


def first_labels(queries: Slabs, slabs: Slabs, labels: torch.Tensor, eps: float) -> torch.Tensor:
    """Return the least label (int32), of those of points, within eps of each query; -1 where there is none."""
    if triton.runs_on(labels):
        from modeseek.engines.triton.dbscan_pairs import least_labels

        return least_labels(queries, slabs, labels, eps)
    return _least_labels(queries, slabs, labels, eps)


def _are_core(slabs: Slabs, weights: torch.Tensor | None, needed: float, eps: float) -> torch.Tensor:
    total = torch.zeros(len(slabs.along), dtype=torch.float64, device=slabs.along.device)
    for q, p, near in _tiles(slabs, slabs, eps):
        total[q] += near.sum(1) if weights is None else near.double() @ weights[p]
    return total >= needed


def _link(slabs: Slabs, eps: float) -> torch.Tensor:
    roots = torch.arange(len(slabs.along), device=slabs.along.device)
    for q, p, near in _tiles(slabs, slabs, eps):
        a, b = torch.nonzero(near & (roots[q][:, None] != roots[p])).unbind(1)
        roots = unite(roots, a + q.start, b + p.start)
    return roots


def _least_labels(queries: Slabs, slabs: Slabs, labels: torch.Tensor, eps: float) -> torch.Tensor:
    none = torch.iinfo(torch.int32).max
    best = torch.full((len(queries.along),), none, dtype=torch.int32, device=labels.device)
    for q, p, near in _tiles(queries, slabs, eps):
        best[q] = torch.minimum(best[q], torch.where(near, labels[p], none).amin(1))
    return torch.where(best == none, -1, best)


def _tiles(queries: Slabs, slabs: Slabs, eps: float) -> Iterator[tuple[slice, slice, torch.Tensor]]:
    """Go through tiles of queries and points within reach along the axis, and which of their pairs are near."""
    n = len(queries.along)
    for block, (begin, end) in enumerate(zip(*(ends.tolist() for ends in queries.runs(slabs, BLOCK)), strict=True)):
        q = slice(block * BLOCK, min((block + 1) * BLOCK, n))
        for first in range(begin, end, AT_ONCE // BLOCK):
            p = slice(first, min(first + AT_ONCE // BLOCK, end))
            squares = torch.zeros(1, dtype=torch.float64, device=slabs.along.device)
            for x, y in zip(queries.points, slabs.points, strict=True):
                difference = x[q].double()[:, None] - y[p].double()
                squares = squares + difference * difference
            yield q, p, squares <= eps * eps
