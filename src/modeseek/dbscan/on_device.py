"""DBSCAN on a device of Torch: the same labels as on the CPU, number for number; nothing but counts leaves the device.

Up to three columns points are sorted into the cells of `dbscan.cells`; where one far point would make these too many,
gaps along the axes are left out first. In more columns, or where cells are too many even so, tiles of pairs are
compared, of points sorted by slabs.
"""

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from modeseek import dbscan
from modeseek.dbscan import cells as grids
from modeseek.engines.gpu import cells, dbscan_pairs, needs_float64, room_for, where_it_lies
from modeseek.engines.gpu import dbscan as dbscan_cells

BYTES = 64  # a point, besides two copies of its coordinates: keys, rows, cells and labels, and the sort's room


def cluster(
    points: torch.Tensor, bounds: NDArray[np.float64], eps: float, min_samples: int, weights: torch.Tensor | None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Cluster points on their device.

    Parameters
    ----------
    points : tensor of shape (n, d), float32 or float64
        Points.
    bounds : ndarray of shape (2, d)
        Least and greatest value of each column.
    eps : float
        Largest distance of neighbours.
    min_samples : int
        Least weight around a core point.
    weights : tensor of shape (n,), float64, optional
        Weights, of any sign.

    Returns
    -------
    labels : tensor of shape (n,), int64
        Clusters, numbered as their first core points come; -1 for noise.
    core : tensor of shape (n,), bool
        Whether each point is core.

    Raises
    ------
    ValueError
        If the device has no float64, or squares of eps or of the data's extent underflow or overflow.
    MemoryError
        If the device has not enough memory.
    """
    device = str(points.device)
    needs_float64(device, "DBSCAN")
    dbscan.check_scale(bounds, eps)
    n, d = points.shape
    needed = n * (2 * d * points.element_size() + BYTES)
    with torch.cuda.device_of(points), room_for(f"{n} points of {d} columns in cells", needed, device):
        keyed = _keys(points, bounds, eps)
        if keyed is None:
            return _by_pairs(points, bounds, eps, min_samples, weights)
        return _by_cells(points, *keyed, eps, min_samples, weights)


def as_weights(sample_weight: Any, n: int, device: str) -> torch.Tensor | None:
    """Return weights of any sign, an array or a tensor, as float64 on a device; None if all are one."""
    if sample_weight is None:
        return None
    weights = where_it_lies(sample_weight)
    if weights.is_complex() or weights.shape not in ((), (n,)):
        raise ValueError(
            f"sample_weight must hold {n} real numbers, got {weights.dtype} of shape {tuple(weights.shape)}."
        )
    weights = weights.to(device, torch.float64).expand(n).contiguous()
    if not bool(torch.isfinite(weights).all()):
        row = int(torch.nonzero(~torch.isfinite(weights))[0])
        raise ValueError(f"Input sample_weight contains NaN or infinity (first at entry {row}).")
    if not bool(weights.any()):
        raise ValueError("Every sample_weight is zero: no point can be core.")
    return weights


def _keys(points: torch.Tensor, bounds: NDArray[np.float64], eps: float) -> tuple[torch.Tensor, list[int]] | None:
    """Return the keys of the points' cells, and their strides; None where there are no cells to be had."""
    grid, d = grids.Grid.over(bounds, eps), points.shape[1]
    if grid is not None:
        strides = [int(stride) for stride in grid.strides]
        return cells.grid_keys(points, grid.origin.tolist(), grid.per_side, grid.most.tolist(), strides), strides
    if d > grids.MOST_COLUMNS:
        return None
    return cells.stacked_keys(points, eps, math.sqrt(d) / (eps * grids.SHORTER))


def _by_cells(
    points: torch.Tensor,
    keys: torch.Tensor,
    strides: list[int],
    eps: float,
    min_samples: int,
    weights: torch.Tensor | None,
) -> tuple[torch.Tensor, torch.Tensor]:
    sorted_cells, order = cells.sort_cells(points, keys, strides)
    del keys
    core = dbscan_cells.core_points(sorted_cells, None if weights is None else weights[order], float(min_samples), eps)
    labels = torch.full((len(points),), -1, dtype=torch.int64, device=points.device)
    if bool(core.any()):
        rest = sorted_cells.points[:, ~core].contiguous()
        rest_keys = sorted_cells.key_of_point[~core]
        core_cells = dbscan_cells.core_cells(sorted_cells, core)
        del sorted_cells
        rows = order[core]
        least = rows[core_cells.starts[:-1]]  # within a cell rows rise
        number = _numbered(dbscan_cells.link(core_cells, eps), least)[core_cells.of_point]
        labels[rows] = number.long()
        if len(rest_keys):
            labels[order[~core]] = dbscan_cells.first_labels(rest, rest_keys, core_cells, number, eps).long()
    return labels, _in_rows(core, order)


def _by_pairs(
    points: torch.Tensor, bounds: NDArray[np.float64], eps: float, min_samples: int, weights: torch.Tensor | None
) -> tuple[torch.Tensor, torch.Tensor]:
    slabs, order = dbscan_pairs.sort_slabs(points, bounds, eps)
    core = dbscan_pairs.core_points(slabs, None if weights is None else weights[order], float(min_samples), eps)
    labels = torch.full((len(points),), -1, dtype=torch.int64, device=points.device)
    if bool(core.any()):
        cores, rows = slabs.take(core), order[core]
        number = _numbered(dbscan_pairs.link(cores, eps), rows)
        labels[rows] = number.long()
        rest = slabs.take(~core)
        if len(rest.slab):
            labels[order[~core]] = dbscan_pairs.first_labels(rest, cores, number, eps).long()
    return labels, _in_rows(core, order)


def _numbered(roots: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
    """Return the cluster (int32) of each of what hangs together: clusters are numbered by their least rows."""
    least = torch.full_like(rows, torch.iinfo(torch.int64).max).scatter_reduce_(0, roots, rows, "amin")
    heads = torch.nonzero(roots == torch.arange(len(roots), device=roots.device)).flatten()
    number = torch.empty(len(roots), dtype=torch.int32, device=roots.device)
    order = heads[torch.argsort(least[heads])]
    number[order] = torch.arange(len(order), dtype=torch.int32, device=roots.device)
    return number[roots]


def _in_rows(flags: torch.Tensor, order: torch.Tensor) -> torch.Tensor:
    """Put flags of sorted points back into the order of the rows."""
    out = torch.empty_like(flags)
    out[order] = flags
    return out
