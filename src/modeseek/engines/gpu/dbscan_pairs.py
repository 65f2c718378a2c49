"""DBSCAN on tensors in any number of columns: tiles of all pairs that are within eps along one axis.

Points are cut into slabs along their widest axis, and sorted within each by slabs of two more. A block of points is
compared with the run of points in its own slabs and those next to them. So the work is quadratic at worst, and the
memory linear. Where Triton runs, its kernels do this in one launch each, and leave out tiles whose boxes are apart.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from modeseek.engines import triton
from modeseek.engines.gpu.components import flattened, unite

AXES = 3  # along which points are sorted
FINEST = 2.0**-40  # of the extent: rounding is far below the part of a slab that eps leaves
WIDER = 1.002  # times eps: what is within eps is in the same slab or the next
BLOCK = 1 << 10  # points that are compared with others at once
AT_ONCE = 1 << 22  # pairs


@dataclass(frozen=True)
class Slabs:
    """Points (d, n) and the slab of each along the widest axis, rising."""

    points: torch.Tensor
    slab: torch.Tensor  # (n,)

    def take(self, which: torch.Tensor) -> "Slabs":
        """Return some of the points."""
        return Slabs(self.points[:, which].contiguous(), self.slab[which])

    def runs(self, others: "Slabs", size: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the runs of others, [begin, end), that blocks of ``size`` points reach; they begin at whole blocks."""
        n = len(self.slab)
        first = torch.arange(0, n, size, device=self.slab.device)
        last = (first + (size - 1)).clamp_(max=n - 1)
        begin = torch.searchsorted(others.slab, self.slab[first] - 1)
        return begin // size * size, torch.searchsorted(others.slab, self.slab[last] + 1, right=True)

    def boxes(self, size: int) -> torch.Tensor:
        """Return the least and the greatest coordinates of blocks of ``size`` points, (2, d, blocks)."""
        n = len(self.slab)
        whole = n // size * size
        parts = [self.points[:, :whole].unflatten(1, (-1, size))] if whole else []
        parts += [self.points[:, None, whole:]] if whole < n else []
        return torch.stack([torch.cat([end(part, 2) for part in parts], 1) for end in (torch.amin, torch.amax)])


def sort_slabs(points: torch.Tensor, bounds: NDArray[np.float64], eps: float) -> tuple[Slabs, torch.Tensor]:
    """Sort points (n, d) by slabs along their widest axes; return their rows in that order too."""
    spans = bounds[1] - bounds[0]
    order = torch.arange(len(points), device=points.device)
    slab = torch.zeros_like(order)
    for axis in np.argsort(spans, kind="stable")[-AXES:].tolist():  # the widest last: it decides
        width = max(WIDER * eps, FINEST * float(spans[axis]))
        slab = ((points[:, axis].double() - float(bounds[0][axis])) / width).long()[order]
        slab, by_slab = torch.sort(slab, stable=True)
        order = order[by_slab]
    columns = torch.empty((points.shape[1], len(points)), dtype=points.dtype, device=points.device)
    for column, values in zip(columns, points.T, strict=True):
        column.copy_(values[order])
    return Slabs(columns, slab), order


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
    total = torch.zeros(len(slabs.slab), dtype=torch.float64, device=slabs.slab.device)
    for q, p, near in _tiles(slabs, slabs, eps):
        total[q] += near.sum(1) if weights is None else near.double() @ weights[p]
    return total >= needed


def _link(slabs: Slabs, eps: float) -> torch.Tensor:
    roots = torch.arange(len(slabs.slab), device=slabs.slab.device)
    for q, p, near in _tiles(slabs, slabs, eps):
        a, b = torch.nonzero(near & (roots[q][:, None] != roots[p])).unbind(1)
        roots = unite(roots, a + q.start, b + p.start)
    return roots


def _least_labels(queries: Slabs, slabs: Slabs, labels: torch.Tensor, eps: float) -> torch.Tensor:
    none = torch.iinfo(torch.int32).max
    best = torch.full((len(queries.slab),), none, dtype=torch.int32, device=labels.device)
    for q, p, near in _tiles(queries, slabs, eps):
        best[q] = torch.minimum(best[q], torch.where(near, labels[p], none).amin(1))
    return torch.where(best == none, -1, best)


def _tiles(queries: Slabs, slabs: Slabs, eps: float) -> Iterator[tuple[slice, slice, torch.Tensor]]:
    """Go through tiles of queries and points within reach along the axis, and which of their pairs are near."""
    n = len(queries.slab)
    for block, (begin, end) in enumerate(zip(*(ends.tolist() for ends in queries.runs(slabs, BLOCK)), strict=True)):
        q = slice(block * BLOCK, min((block + 1) * BLOCK, n))
        for first in range(begin, end, AT_ONCE // BLOCK):
            p = slice(first, min(first + AT_ONCE // BLOCK, end))
            squares = torch.zeros(1, dtype=torch.float64, device=slabs.slab.device)
            for x, y in zip(queries.points, slabs.points, strict=True):
                difference = x[q].double()[:, None] - y[p].double()
                squares = squares + difference * difference
            yield q, p, squares <= eps * eps
