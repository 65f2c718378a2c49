"""What stands in for scikit-learn's MeanShift takes its parameters: which go together, and where climbs start."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from modeseek.seeds import as_seeds, bin_seeds

# parameters that have no meaning where points belong to the nearest centre, and what they must be there
BASIN_ONLY: dict[str, object] = {"blurring": False, "merge": "location", "min_cluster_size": 1}


def check_assign(model: Any) -> None:
    """Refuse parameters of one meaning of a cluster beside the other."""
    if model.assign == "nearest":
        if model.metric != "euclidean":
            raise ValueError(f'assign="nearest" needs metric="euclidean", got metric={model.metric!r}.')
        if model.standardize:
            raise ValueError('standardize=True is of use with assign="basin" only: scale X first (StandardScaler).')
        if np.ndim(model.bandwidth) or (
            isinstance(model.bandwidth, str) and model.bandwidth not in ("auto", "quantile")
        ):
            raise ValueError(f'assign="nearest" takes one number as bandwidth, or None, got {model.bandwidth!r}.')
        if not (isinstance(model.kernel, str) and model.kernel == "flat"):
            raise ValueError(f'assign="nearest" needs kernel="flat", got kernel={model.kernel!r}.')
        for name, value in BASIN_ONLY.items():
            if getattr(model, name) != value:
                raise ValueError(f'{name}={getattr(model, name)!r} is of use with assign="basin" only.')
        return
    if model.seeds is not None or model.bin_seeding:
        name = "seeds" if model.seeds is not None else "bin_seeding"
        raise ValueError(f'{name} is of use with assign="nearest" only: with assign="basin" every point climbs.')
    if model.max_iter < 1:
        raise ValueError(f'max_iter must be at least 1, got {model.max_iter}; 0 is of use with assign="nearest" only.')


def find_seeds(model: Any, points: NDArray[Any], weights: NDArray[Any]) -> NDArray[Any] | None:
    """Return where climbs start; None: from every point."""
    if model.seeds is not None:
        return as_seeds(model.seeds, points.shape[1])
    if not model.bin_seeding:
        return None
    # a number of the caller's own type: seeds are rounded as scikit-learn rounds them
    chosen = model.bandwidth is None or isinstance(model.bandwidth, str)
    bandwidth = np.float64(model.bandwidth_) if chosen else model.bandwidth
    return bin_seeds(points, weights, bandwidth, model.min_bin_freq)
