r"""The density of a table read at points on a device: cubic splines on the nodes, as `fields.table` reads them."""

import itertools

import numpy as np
import torch
from numpy.typing import NDArray

from modeseek.engines.gpu.deposit import SCALE, SPLINE

ROWS = 1 << 20  # at once


def interpolate(points: torch.Tensor, corner: NDArray[np.float64], delta: float, table: torch.Tensor) -> torch.Tensor:
    """Return the spline of these coefficients at each row, float64; 0 where a node that it needs is missing.

    Parameters
    ----------
    points : tensor of shape (n, d), d <= 3
        Where.
    corner : ndarray of shape (d,)
        Position of the first node.
    delta : float
        Distance of neighbouring nodes.
    table : tensor of d dimensions, float64
        Coefficients of the nodes.
    """
    n, d = points.shape
    out = torch.empty(n, dtype=torch.float64, device=points.device)
    flat, strides = table.reshape(-1), table.stride()
    for start in range(0, n, ROWS):
        x = points[start : start + ROWS]
        inside = torch.ones(len(x), dtype=torch.bool, device=x.device)
        first = torch.zeros(len(x), dtype=torch.int64, device=x.device)
        along = []
        for k in range(d):
            a = (x[:, k].double() - float(corner[k])) / delta
            here = (a >= 1.0) & (a < table.shape[k] - 2)
            a = torch.where(here, a, 1.0)
            cell = a.floor()
            u = a - cell
            along.append([((c3 * u + c2) * u + c1) * u + c0 for c0, c1, c2, c3 in SPLINE[3]])
            first += (cell.long() - 1) * strides[k]
            inside &= here
        total = torch.zeros(len(x), dtype=torch.float64, device=x.device)
        for taps in itertools.product(range(4), repeat=d):
            share = flat[first + sum(tap * stride for tap, stride in zip(taps, strides, strict=True))]
            for axis, tap in enumerate(taps):
                share = share * along[axis][tap]
            total += share
        out[start : start + ROWS] = torch.where(inside, total / SCALE[3] ** d, 0.0)
    return out
