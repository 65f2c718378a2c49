"""What `MeanShift` asks of a device of Torch. Torch is imported inside, once there are tensors."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from modeseek.engines import data
from modeseek.engines.devices import refuse_on
from modeseek.geometry import number_of, per_point
from modeseek.result import Clustering
from modeseek.streams import Stream
from modeseek.varying import RULES

Floats = NDArray[np.float64]


def unknown_to_devices(model: Any) -> list[str]:
    """Return the parameters of a model, with their values, that only the CPU knows."""
    settings = []
    if model.metric != "euclidean":
        settings.append(f"metric={model.metric!r}")
    if model.assign == "nearest":
        settings.append('assign="nearest"')
    if isinstance(model.bandwidth, str) and model.bandwidth in RULES:
        settings.append(f"bandwidth={model.bandwidth!r}")
    if callable(model.kernel):
        settings.append("a kernel that is a function")
    return settings


def refuse_own_bandwidths(model: Any, points: Any, device: str | None) -> None:
    """Refuse one bandwidth for each point on a device."""
    several = device is not None and number_of(model.bandwidth) is None
    if several and per_point(model.bandwidth, *points.shape) is not None:
        refuse_on(device, "one bandwidth for each point")


def rests_on_device(found: Any) -> bool:
    """Tell whether what a fit found is asked on a device, and not by a grid on the CPU."""
    return not isinstance(found.labels, np.ndarray) and not isinstance(found, Clustering)


def cluster_on_device(
    model: Any, points: Any, weights: Any, bounds: Floats, bandwidth: float, options: dict[str, Any]
) -> Any:
    """Cluster tensors by the route that the parameters of a model ask for, and put modes into clusters."""
    from modeseek.on_device import routes
    from modeseek.on_device.problem import DeviceProblem

    problem = DeviceProblem(points, weights, bounds, bandwidth, **options)
    found = routes.blur(problem, model.batch_size) if model.blurring else routes.cluster(problem, model.fidelity)
    persistence = float(model.min_persistence) if model.merge == "persistence" else None
    routes.gather(problem, found, persistence, float(model.min_cluster_size), bool(model.cluster_all))
    return found


def label_on_device(found: Any, points: Any, climbing: dict[str, Any]) -> Any:
    """Label a tensor of points, in the coordinates of the fit."""
    from modeseek.on_device import routes

    return routes.label(found, points, **climbing)


def density_on_device(found: Any, points: Any, n_jobs: int | None) -> Any:
    """Return the log density of the fit at a tensor of points, in its coordinates."""
    from modeseek.on_device import routes

    return routes.log_density(found, points, n_jobs)


def add_on_device(stream: Stream, points: Any, sample_weight: Any, **forgetting: Any) -> None:
    """Add a tensor of points to a stream."""
    from modeseek.engines import gpu

    weights = gpu.as_tensor_weights(sample_weight, len(points), str(points.device))
    bounds = gpu.bounds(points)
    data.check_scale(bounds, stream.sketch.bandwidth)
    stream.add_tensor(points, weights, bounds, **forgetting)


def weighted_sum_on_device(values: Any, sample_weight: Any) -> float:
    """Return the sum of a tensor of values, each times its weight, if there are any."""
    from modeseek.engines.gpu import as_tensor_weights

    weights = as_tensor_weights(sample_weight, len(values), str(values.device))
    return float(values.sum() if weights is None else (values * weights).sum())
