"""Which route a clustering on a device takes, and what a fitted model does there.

Up to three columns, with the Gaussian, points are summed on a grid (`grids`), unless so few are to climb that climbs on
all points cost less; every other clustering climbs on all points (`points`), or moves them all (`blurring`).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from modeseek import climb
from modeseek.certificate import everything_climbed
from modeseek.costs import DENSE_POINTS
from modeseek.engines.devices import refuse_on
from modeseek.engines.gpu import lookup
from modeseek.fields.table import TableField
from modeseek.kernels import GAUSSIAN
from modeseek.on_device import grids, points
from modeseek.on_device.blurring import cluster_by_blurring
from modeseek.on_device.field import PointsOnDevice
from modeseek.on_device.grids import GridProblem
from modeseek.on_device.problem import DeviceProblem
from modeseek.orphans import settle_orphans
from modeseek.persistence import merge_by_persistence
from modeseek.pipeline import SPACINGS, by_table
from modeseek.prepare import affordable_spacings
from modeseek.proven import by_proof, seconds_of_proof
from modeseek.result import Clustering, Clusters, Problem, SketchProblem
from modeseek.sketch import DensitySketch

STEPS = 30  # of a climb until a trap ends it, about
PAIR = {"cuda": 5e-12, "cpu": 1e-7}  # seconds of a pair in float64, about: estimates that are not measured yet
PATIENCE = 600.0  # seconds of climbs that nobody asked for
FEW = 20_000  # points that may go to the CPU, where something small is decided
ORPHANS = (1 / 8, 1 / 4, 1 / 2)  # spacings of the nodes that stand for more, in bandwidths


def cluster(problem: DeviceProblem, fidelity: str) -> Clusters:
    """Cluster by mean shift on a device: ``fidelity`` is "certified", "fast" or "exact"."""
    if problem.kernel is not GAUSSIAN or problem.d > 3 or problem.n <= DENSE_POINTS or fidelity == "exact":
        return every_point(problem)
    grid = GridProblem.of(problem)
    exact = STEPS * PAIR.get(problem.device.split(":")[0], PAIR["cuda"]) * float(problem.n) ** 2
    if fidelity == "certified" and seconds_of_proof(grid) < np.inf:
        return every_point(problem) if exact < seconds_of_proof(grid) else by_proof(grid)
    spacings = affordable_spacings(grid, SPACINGS[problem.d]) if fidelity == "fast" else []
    if spacings:
        return by_table(grid, spacings[0])
    if exact > PATIENCE:
        raise ValueError(
            f"The data span too many bandwidths for a grid, and {problem.n} points are too many to climb on all of "
            'them. Remove outliers, use a larger bandwidth, or pass device="cpu": the data are copied to the CPU then.'
        )
    return every_point(problem)


def every_point(problem: DeviceProblem) -> Clusters:
    """Let every distinct point climb on the points."""
    modes, labels, field = points.every_point(problem)
    found = DeviceClusters(modes, field.cluster_weights, labels, field, field.n_iter, field.n_unsettled)
    found.certificate = everything_climbed(modes, problem.n)
    return found


def blur(problem: DeviceProblem, batch_size: int | None) -> Clusters:
    """Let points move each other until they come together."""
    found = cluster_by_blurring(problem, batch_size)
    labels = found.labels.clone()  # those of clusters may be renamed
    return DeviceClusters(found.centers, found.cluster_weights, labels, found, found.n_iter, found.n_unsettled)


@dataclass
class DeviceClusters(Clusters):
    """Clusters of points that climbed on all points, or moved, on a device."""

    field: Any  # PointsOnDevice or DeviceBlurredClusters
    n_iter: int
    n_unsettled: int

    @property
    def device(self) -> torch.device:
        """Where the points are."""
        return torch.device(self.labels.device)

    def label(self, points: Any, **climbing: Any) -> Any:
        """Label points as the fit does: a tensor on the device, or an array, which is copied to it."""
        if not isinstance(points, torch.Tensor):
            return self.label(self._moved(points)).cpu().numpy()
        climbed = isinstance(self.field, PointsOnDevice)
        labels = self.field.label(points, self.modes) if climbed else self.field.label(points)
        if self.clusters is not None:
            lookup.rename(labels, self.clusters)
        return labels

    def log_density(self, points: Any, n_jobs: int | None = None) -> Any:
        """Return the log of the normalised density, of a tensor or an array."""
        if not isinstance(points, torch.Tensor):
            return self.field.log_density(self._moved(points)).cpu().numpy()
        return self.field.log_density(points)

    def path(self, points: NDArray[Any], tol: float, max_iter: int) -> NDArray[np.float64]:
        """Return the positions of a few points at every step."""
        if isinstance(self.field, PointsOnDevice):
            return climb.path(self.field, points, tol=tol, max_iter=max_iter)
        return np.asarray(self.field.path(self._moved(points)).cpu().numpy())

    def _moved(self, points: NDArray[Any]) -> torch.Tensor:
        return torch.from_numpy(np.array(points)).to(self.device)


def gather(problem: DeviceProblem, found: Clusters, persistence: float | None, least: float, attach: bool) -> None:
    """Put modes into clusters, in place: by persistence, and those that are too light, as for points of the CPU.

    Where no sketch stands for the points, up to `FEW` of them go to the CPU for it; of more, a sketch is made.
    """
    if persistence is not None:
        merge_by_persistence(GridProblem.of(problem), found, persistence)
    light = least > 1.0 and bool((found.cluster_weights < least).any())
    if not light:
        return
    settle_orphans(_sources(problem, found) if attach else GridProblem.of(problem), found, least, attach)


def _sources(problem: DeviceProblem, found: Clusters) -> Problem:
    """Return what wider densities are made from, on the CPU."""
    grid = GridProblem.of(problem)
    if found.sketch is not None:
        return grid
    if problem.n <= FEW:
        weights = np.empty(0) if problem.weights is None else problem.weights.double().cpu().numpy()
        rows = problem.points.cpu().numpy()
        return Problem(rows, weights, problem.bounds, problem.bandwidth, kernel=problem.kernel, **problem.climbing)
    spacings = affordable_spacings(grid, ORPHANS) if problem.d <= 3 else []
    if not spacings:
        refuse_on(
            problem.device, f"cluster_all=True with min_cluster_size for {problem.n} points of {problem.d} columns"
        )
    sketch = DensitySketch(problem.bandwidth, spacing=spacings[0], origin=problem.bounds[0], degree=3)
    nodes = grid.add_to(sketch).nodes()
    positions, weights = nodes.as_points()
    return SketchProblem(
        positions, weights, problem.bounds, problem.bandwidth, kernel=problem.kernel, **problem.climbing,
        sketch=sketch, of_points=problem.lightest,
    )  # fmt: skip


def label(found: Any, tensor: torch.Tensor, **climbing: Any) -> torch.Tensor:
    """Label points on a device, old or new, as the fit does."""
    if isinstance(found, DeviceClusters):
        return found.label(tensor.to(found.device))
    if grids.labels_by_cell(found):
        return grids.label(found, tensor, **climbing)
    refuse_on(str(tensor.device), "what was fitted on the CPU, point by point,")
    raise AssertionError


def log_density(found: Any, tensor: torch.Tensor, n_jobs: int | None = None) -> torch.Tensor:
    """Return the log of the normalised density of the fit at points on a device, float64."""
    if isinstance(found, DeviceClusters):
        return found.log_density(tensor.to(found.device))
    if isinstance(found, Clustering) and isinstance(found.field, TableField):
        return grids.log_density(found.field, tensor, n_jobs)
    refuse_on(str(tensor.device), "the density of what was fitted on the CPU, point by point,")
    raise AssertionError
