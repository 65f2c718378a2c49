r"""Every distinct point climbs on the points, on a device: exact mean shift in any number of columns.

The CPU decides what is small: whether Newton's method confirms the places where a few pilots rest, how large the traps
around modes are (`fields.traps`), and which places of rest are one. Points, labels and all sums stay on the device.
"""

import numpy as np
import torch

from modeseek.any_kernel import FINER
from modeseek.engines.gpu import needs_float64, room_for
from modeseek.engines.gpu.distinct import distinct_rows, sums_by_group
from modeseek.fields import Floats
from modeseek.kernels import GAUSSIAN
from modeseek.on_device.field import PointsOnDevice
from modeseek.on_device.modes import DeviceModeFinder, DeviceRestFinder
from modeseek.on_device.problem import DeviceProblem


def every_point(problem: DeviceProblem) -> tuple[Floats, torch.Tensor, PointsOnDevice]:
    """Cluster by exact mean shift: every distinct point climbs in float64 to rest, or into a trap around a mode.

    Of the data nothing goes to the CPU; what does are places of rest (one of each cell of some thousandths of a
    bandwidth), modes, and their second moments.

    Parameters
    ----------
    problem : DeviceProblem
        Points and weights on a device, and how to climb; its kernel is a built-in one.

    Returns
    -------
    modes : ndarray of shape (k, d), float64
        Modes by decreasing weight of their clusters, those of equal weight by their coordinates: as on the CPU.
    labels : tensor of shape (n,), int32
        The mode of each point, on the device.
    field : PointsOnDevice
        What labels other points: ``field.label(points, modes)`` and ``field.log_density(points)`` take tensors (n, d)
        on the device and return tensors (n,), int32 and float64; ``field.n_iter`` and ``field.n_unsettled`` are what
        the fit needed; ``field.cluster_weights`` is (k,) float64 in NumPy.

    Raises
    ------
    ValueError
        If the kernel is a user's function, or the device has no float64.
    MemoryError
        If the device runs out of memory.
    """
    if problem.kernel.function is not None:
        raise ValueError(
            f"kernel={problem.kernel.name} is a Python function, and cannot be computed on device {problem.device!r}. "
            'Pass device="cpu": the data are copied to the CPU then.'
        )
    needs_float64(problem.device, "Mean shift on all points")
    n, d = problem.n, problem.d
    with room_for(f"climbs of {n} points of {d} columns on all points", 8.0 * n * (6 * d + 16), problem.device):
        problem.report("merge repeats")
        number, first = distinct_rows(problem.points)
        weights = _weights(problem, number, len(first))
        field = PointsOnDevice(problem.points[first], weights, problem.bandwidth, problem.kernel)
        field.tol, field.max_iter = problem.tol, problem.max_iter
        problem.report("climb (on a device)")
        finder = _finder(problem, field)
        index = finder.find_rows()
        field.n_iter, field.n_unsettled = finder.n_iter, finder.n_unsettled
        problem.report("label")
        return _finished(field, finder.positions, index, number, weights)


def _weights(problem: DeviceProblem, number: torch.Tensor, m: int) -> torch.Tensor | None:
    """Return the weights of the distinct points; None if all are one."""
    if problem.weights is not None:
        return sums_by_group(problem.weights.double(), number, m)
    return None if m == len(number) else torch.bincount(number, minlength=m).double()


def _finder(problem: DeviceProblem, field: PointsOnDevice) -> DeviceModeFinder:
    if problem.kernel is GAUSSIAN:
        return DeviceModeFinder(field, **problem.climbing)
    tol = FINER * problem.tol if problem.kernel.continuous else problem.tol
    return DeviceRestFinder(field, **problem.climbing | {"tol": tol})


def _finished(
    field: PointsOnDevice, modes: Floats, index: torch.Tensor, number: torch.Tensor, weights: torch.Tensor | None
) -> tuple[Floats, torch.Tensor, PointsOnDevice]:
    """Give modes numbers by decreasing weight, and leave out those that no point climbs to."""
    k = len(modes)
    members = torch.bincount(index, minlength=k).cpu().numpy()
    totals = members.astype(np.float64) if weights is None else sums_by_group(weights, index, k).cpu().numpy()
    order = np.lexsort((*modes.T[::-1], -totals, members == 0))
    kept = order[: int((members > 0).sum())]
    names = np.zeros(k, np.int32)
    names[kept] = np.arange(len(kept))
    labels = torch.from_numpy(names).to(index.device)[index]
    field.keep_labels(labels)
    field.cluster_weights = totals[kept]
    return modes[kept], labels[number], field
