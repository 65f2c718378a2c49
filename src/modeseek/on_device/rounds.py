r"""The rounds of blurring mean shift on a device: points that move by each other, and become one where they coincide.

A round moves every point to the mean m(x) of the points as they lie when it begins, all of them or batch by batch in
place (`modeseek.rounds` has the same on the CPU). Lengths are in bandwidths about the middle of the data. This module
knows no clusters.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

import torch

from modeseek.engines.gpu.compact import compact_order
from modeseek.engines.gpu.distinct import distinct_rows, sums_by_group
from modeseek.engines.gpu.shift import BLOCK, WORTH_LISTS, Cloud, cloud, sums
from modeseek.on_device.problem import DeviceProblem
from modeseek.rounds import COINCIDE, MAX_RATIO, WORTH_MERGING

LEFT_OUT = 1e-9  # of a point's own weight: the most that all points out of reach may weigh beside it


@dataclass
class DeviceBlurred:
    """Where the data have moved, and the clouds that moved them: one for each round."""

    positions: torch.Tensor  # (m, d)
    weights: torch.Tensor  # (m,)
    owners: torch.Tensor  # (n,) the point that each row has become, -1 for rows of weight 0
    centre: torch.Tensor  # (d,) of the data
    bandwidth: float
    rounds: list[Cloud] = field(default_factory=list)
    n_rounds: int = 0
    n_moving: int = 0  # points that the last round moved by more than the tolerance

    def into(self, points: torch.Tensor) -> torch.Tensor:
        """Return points of the data in the coordinates of the rounds."""
        return ((points.to(self.centre.dtype) - self.centre) / self.bandwidth).to(self.positions.dtype)

    def back(self, places: torch.Tensor) -> torch.Tensor:
        """Return places in the coordinates of the data."""
        return places.to(self.centre.dtype) * self.bandwidth + self.centre

    def carry(self, x: torch.Tensor) -> torch.Tensor:
        """Return where other points are carried by the rounds."""
        for moved_by in self.rounds:
            x = carried(moved_by, x)
        return x

    def rows(self, points: torch.Tensor) -> torch.Tensor:
        """Return where each row of the data has moved, (n, d), in the coordinates of the data."""
        out = self.positions[self.owners]
        idle = torch.nonzero(self.owners < 0)[:, 0]
        if len(idle):
            out[idle] = self.carry(self.into(points[idle]))
        return self.back(out)


def carried(moved_by: Cloud, x: torch.Tensor) -> torch.Tensor:
    """Return where one round carries points."""
    return x + sums(moved_by, x, pruned=False).steps


def move(
    problem: DeviceProblem, batch_size: int | None = None, *, keep: bool = True, dtype: torch.dtype = torch.float64
) -> DeviceBlurred:
    """Run the rounds: ``max_iter`` of them, or until none moves a point by more than ``tol`` bandwidths."""
    blurred = _start(problem, dtype)
    rounds = _simultaneous(blurred) if batch_size is None else _in_batches(blurred, batch_size)
    for number in range(problem.max_iter):
        problem.report(f"round {number + 1}, {len(blurred.positions)} points")
        moved_by, way = next(rounds)
        blurred.n_rounds += 1
        if keep:
            blurred.rounds.append(moved_by)
        blurred.n_moving = int((way > problem.tol).sum())
        if blurred.n_moving == 0:
            break
    return blurred


def _start(problem: DeviceProblem, dtype: torch.dtype) -> DeviceBlurred:
    """Points about the middle of their bounds; those of weight 0 pull nothing and are left out."""
    middle = torch.from_numpy(0.5 * problem.bounds[0] + 0.5 * problem.bounds[1])
    wide = torch.float32 if problem.device.startswith("mps") else torch.float64
    centre = middle.to(wide).to(problem.points.device)
    rows, owners = problem.points, torch.arange(problem.n, device=problem.points.device)
    weights = torch.ones(problem.n, dtype=dtype, device=rows.device)
    if problem.weights is not None:
        kept = problem.weights > 0.0
        rows, weights = rows[kept], (problem.weights[kept] / problem.weights.max()).to(dtype)
        owners = torch.where(kept, torch.cumsum(kept, 0) - 1, -1)
    positions = ((rows.to(wide) - centre) / problem.bandwidth).to(dtype)
    return DeviceBlurred(positions, weights, owners, centre, problem.bandwidth)


def _simultaneous(blurred: DeviceBlurred) -> Iterator[tuple[Cloud, torch.Tensor]]:
    """Move all points, round after round; yield what moved them, and the way of each."""
    total, least = float(blurred.weights.sum()), float(blurred.weights.min())
    reach = math.sqrt(2.0 * math.log(total / (LEFT_OUT * least))) if total <= MAX_RATIO * least else math.inf
    _merge(blurred)
    if len(blurred.positions) >= WORTH_LISTS:  # once: points that move together stay together
        _reorder(blurred, compact_order(blurred.positions, BLOCK))
    while True:
        moved_by = cloud(blurred.positions, blurred.weights, reach=reach)
        steps = sums(moved_by, blurred.positions, relative=False).steps
        blurred.positions = blurred.positions + steps
        _merge(blurred)
        yield moved_by, steps.square().sum(dim=1).sqrt()


def _in_batches(blurred: DeviceBlurred, batch: int) -> Iterator[tuple[Cloud, torch.Tensor]]:
    """Move batches of rows in place, round after round; yield what moved them, and the way of each.

    A new point is carried as if it were a batch of its own after the last: by the points where a round leaves them.
    """
    places = [part[part >= 0] for part in blurred.owners.split(batch)]
    while True:
        before = blurred.positions
        moved_by = cloud(before, blurred.weights)
        x = before.clone()
        for rows in places:
            x[rows] = x[rows] + sums(moved_by, x[rows], pruned=False, relative=False).steps
            moved_by.columns[:, rows] = x[rows].T
        blurred.positions = x
        yield moved_by, (x - before).square().sum(dim=1).sqrt()


def _merge(blurred: DeviceBlurred) -> None:
    """Let points that coincide become one of their weights' sum, where that leaves clearly fewer."""
    x, w = blurred.positions, blurred.weights
    low = x.amin(dim=0)
    by_cell = float((x.amax(dim=0) - low).max()) < 2.0**50 * COINCIDE
    number, first = distinct_rows(torch.floor((x - low) / COINCIDE).long() if by_cell else x)
    if len(first) > WORTH_MERGING * len(x):
        return
    total = sums_by_group(w, number, len(first))
    offsets = (x - x[first][number]) * w[:, None]  # small: sums do not cancel
    shift = torch.stack([sums_by_group(column, number, len(first)) for column in offsets.T], dim=1) / total[:, None]
    blurred.positions, blurred.weights = x[first] + shift, total
    blurred.owners = torch.where(blurred.owners >= 0, number[blurred.owners], -1)


def _reorder(blurred: DeviceBlurred, order: torch.Tensor) -> None:
    """Let the points have another order."""
    blurred.positions, blurred.weights = blurred.positions[order], blurred.weights[order]
    rank = torch.empty_like(order)
    rank[order] = torch.arange(len(order), device=order.device)
    blurred.owners = torch.where(blurred.owners >= 0, rank[blurred.owners], -1)
