r"""Blurring mean shift on a device: `blur` for tensors, and clusters of points that came together.

The points themselves move, X <- m(X), round after round, and end in one place for each cluster (`modeseek.blurring`
has the mathematics and the sources). Points stay on the device; one of each small cell where they end goes to the CPU,
where those that are linked are told apart from those that are not.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from modeseek.climb import group_by_location
from modeseek.engines import data
from modeseek.engines.gpu import as_tensor, as_tensor_weights, bounds, needs_float64, room_for
from modeseek.engines.gpu.distinct import RowTable, sums_by_group
from modeseek.engines.gpu.rounds import FEW, blur_few, resolved
from modeseek.fields import Floats
from modeseek.on_device.climbs import nearest_row
from modeseek.on_device.field import PointsOnDevice
from modeseek.on_device.modes import cells
from modeseek.on_device.problem import DeviceProblem
from modeseek.on_device.rounds import DeviceBlurred, carried, move

SPREAD = 1e6  # of weights: beyond, float32 does not hold them side by side
TOGETHER = 0.1  # bandwidths: at the end, points linked by shorter distances have come together


def blur_on_device(
    X: Any, bandwidth: float, *, n_rounds: int, batch_size: int | None, sample_weight: Any, device: str
) -> torch.Tensor:
    """Return where points move, as a tensor on the device in the dtype of X: `modeseek.blur` has the parameters.

    Float32 is summed in float32, by differences, where that resolves 1e-5 of the bandwidth; else in float64.
    """
    points = as_tensor(X, device)
    weights = as_tensor_weights(sample_weight, len(points), device)
    n = len(points)
    batch = n if batch_size is None else min(batch_size, n)
    single = points.dtype == torch.float32
    if weights is None and n <= FEW and n_rounds > 0 and single:
        moved, ends = blur_few(points, bandwidth, n_rounds, batch)
        if np.isfinite(ends).all() and resolved(torch.float32, ends, bandwidth):
            data.check_scale(ends, bandwidth)
            return moved
    ends = bounds(points)
    data.check_scale(ends, bandwidth)
    if n_rounds == 0:
        return points.clone()
    single = single and resolved(torch.float32, ends, bandwidth)
    if weights is not None:
        single = single and float(weights.max()) <= SPREAD * float(weights[weights > 0.0].min())
    dtype = torch.float32 if single else torch.float64
    if dtype == torch.float64:
        needs_float64(device, "Blurring at this bandwidth")
    problem = DeviceProblem(points, weights, ends, bandwidth, tol=-1.0, max_iter=n_rounds)
    with room_for(f"rounds of {n} points of {problem.d} columns", 8.0 * n * (4 * problem.d + 8), device):
        blurred = move(problem, batch_size, keep=weights is not None, dtype=dtype)
        return blurred.rows(points).to(points.dtype)


@dataclass
class DeviceBlurredClusters:
    """What blurring found; `label` gives any point, new or old, the label that the fit gives it."""

    centers: Floats  # (k, d), by decreasing weight
    cluster_weights: Floats  # (k,)
    labels: torch.Tensor  # (n,) int32
    blurred: DeviceBlurred
    groups: torch.Tensor  # (m,) int32, the label of each distinct point at the end
    points: torch.Tensor  # (n, d) a copy of the data: their labels are known, not found again
    weights: torch.Tensor | None  # (n,)
    known: RowTable | None = None
    density: PointsOnDevice | None = None

    @property
    def n_iter(self) -> int:
        """Number of rounds."""
        return self.blurred.n_rounds

    @property
    def n_unsettled(self) -> int:
        """Points that the last round moved by more than the tolerance."""
        return self.blurred.n_moving

    def label(self, points: torch.Tensor) -> torch.Tensor:
        """Label points (n, d): those of the fit as the fit did, others by the cluster nearest to where they go."""
        x = self.blurred.into(points)
        if self.known is None:  # the first call pays for sorting the data
            self.known = RowTable(self.blurred.into(self.points))
        number = self.known.find(x)
        out = torch.where(number >= 0, self.labels[number.clamp(min=0)], -1)
        rows = torch.nonzero(out < 0)[:, 0]
        if len(rows):
            out[rows] = self._nearest(self.blurred.carry(x[rows]))
        return out

    def log_density(self, points: torch.Tensor) -> torch.Tensor:
        """Return the log of the normalised density of the data as they were before the first round, float64."""
        if self.density is None:
            self.density = PointsOnDevice(self.points, self.weights, self.blurred.bandwidth)
        return self.density.log_density(points)

    def path(self, points: torch.Tensor) -> torch.Tensor:
        """Return the positions of points after each round, (n_rounds + 1, m, d), the first being the points."""
        blurred = self.blurred
        x, path = blurred.into(points), [points.to(blurred.centre.dtype)]
        for moved_by in blurred.rounds:
            x = carried(moved_by, x)
            path.append(blurred.back(x))
        return torch.stack(path)

    def _nearest(self, places: torch.Tensor) -> torch.Tensor:
        return self.groups[nearest_row(places, self.blurred.positions)]


def cluster_by_blurring(problem: DeviceProblem, batch_size: int | None = None) -> DeviceBlurredClusters:
    """Blur, and let points that have come together be one cluster.

    Parameters
    ----------
    problem : DeviceProblem
        Points and weights on a device, and when to stop.
    batch_size : int, optional
        None: all points of a round move at once. A number: rows move in place, so many at a time.

    Returns
    -------
    DeviceBlurredClusters
        ``centers`` (NumPy, float64), ``cluster_weights``, ``labels`` (int32, on the device), ``n_iter``,
        ``n_unsettled``; ``label(points)``, ``log_density(points)`` and ``path(points)`` take tensors (n, d).

    Raises
    ------
    ValueError
        If the device has no float64.
    MemoryError
        If the device runs out of memory.
    """
    needs_float64(problem.device, "Clustering by blurring")
    n, d = problem.n, problem.d
    with room_for(f"rounds of {n} points of {d} columns", 8.0 * n * (6 * d + 8), problem.device):
        blurred = move(problem, batch_size)
        problem.report("label")
        return _clusters(problem, blurred)


def _clusters(problem: DeviceProblem, blurred: DeviceBlurred) -> DeviceBlurredClusters:
    """Link what has come together, and number clusters by decreasing weight."""
    x, w = blurred.positions, blurred.weights
    cell, first = cells(x, 0.25 * TOGETHER)
    group, first_of_group = group_by_location(x[first].cpu().numpy(), TOGETHER)
    k = int(group.max()) + 1
    group_of = torch.from_numpy(group).to(x.device)[cell]
    totals = sums_by_group(w, group_of, k)
    leaders = x[first[torch.from_numpy(first_of_group).to(x.device)]]  # offsets from them are short
    offsets = (x - leaders[group_of]) * w[:, None]
    shift = torch.stack([sums_by_group(column, group_of, k) for column in offsets.T], dim=1)
    modes = blurred.back(leaders + shift / totals[:, None]).cpu().numpy()
    heaviest = 1.0 if problem.weights is None else float(problem.weights.max())
    weights = totals.cpu().numpy() * heaviest
    order = np.lexsort((*modes.T[::-1], -weights))
    names = torch.from_numpy(np.argsort(order).astype(np.int32)).to(x.device)
    groups = names[group_of]
    labels = groups[blurred.owners]
    found = DeviceBlurredClusters(
        modes[order], weights[order], labels, blurred, groups, problem.points.clone(), _copy(problem.weights)
    )
    idle = torch.nonzero(blurred.owners < 0)[:, 0]
    if len(idle):
        labels[idle] = found._nearest(blurred.carry(blurred.into(problem.points[idle])))
    return found


def _copy(weights: torch.Tensor | None) -> torch.Tensor | None:
    return None if weights is None else weights.clone()
