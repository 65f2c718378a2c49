r"""Sums over all points around a few places, in float64, as `fields.grid.sums_over_points` gives them.

With s = |x - q|^2 / 2h^2 and g = w exp(-s), 0 beyond reach: the sums of g, g (x - q) and g (x - q)(x - q)^T around each
place q. Points are taken a fixed number at a time, and what these give is added up in their order.
"""

import numpy as np
import torch
from numpy.typing import NDArray

from modeseek.engines import triton

PAIRS = 1 << 22  # that the twin works on at once: 32 MiB a matrix
MOST_POINTS = 1 << 18
PLACES = 1 << 10
PAIRS_OF_COLUMNS = ((0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2))

Floats = NDArray[np.float64]


def sums_over(
    points: torch.Tensor, weights: torch.Tensor | None, bandwidth: float, places: Floats, reach: float
) -> Floats:
    """Return sums of g (1), g dx (3), g dx dx (6) around each place, (m, 10).

    Fewer than three columns are padded in front: sums of columns that are missing are 0.

    Parameters
    ----------
    points : tensor of shape (n, d), d <= 3
        Points.
    weights : tensor of shape (n,), optional
        Weights, float64; None: all one.
    bandwidth : float
        Standard deviation h of the Gaussian.
    places : ndarray of shape (m, d)
        Where.
    reach : float
        In bandwidths.
    """
    found = []
    for start in range(0, len(places), PLACES):
        q = torch.from_numpy(np.ascontiguousarray(places[start : start + PLACES])).to(points.device)
        if triton.runs_on(points):
            from modeseek.engines.triton.sums import sums_over as launch

            found.append(launch(points, weights, bandwidth, q, reach))
        else:
            found.append(sums_twin(points, weights, bandwidth, q, reach))
    return np.asarray(torch.cat(found).cpu().numpy())


def sums_twin(
    points: torch.Tensor, weights: torch.Tensor | None, bandwidth: float, q: torch.Tensor, reach: float
) -> torch.Tensor:
    """Return the ten sums around each place of q (m, d), in plain Torch."""
    (n, d), m = points.shape, len(q)
    total = torch.zeros((m, 10), dtype=torch.float64, device=points.device)
    moments = [(4 + k, i - (3 - d), j - (3 - d)) for k, (i, j) in enumerate(PAIRS_OF_COLUMNS) if i >= 3 - d]
    step = max(1, min(MOST_POINTS, PAIRS // m))
    for start in range(0, n, step):
        x = points[start : start + step].double()
        dx = x[None] - q[:, None]
        s = dx.square().sum(dim=2).mul_(0.5 / bandwidth**2)
        g = torch.where(s <= 0.5 * reach * reach, torch.exp(-s), 0.0)
        if weights is not None:
            g *= weights[start : start + step]
        total[:, 0] += g.sum(dim=1)
        total[:, 4 - d : 4] += (g[:, :, None] * dx).sum(dim=1)
        for k, i, j in moments:
            total[:, k] += (g * dx[:, :, i] * dx[:, :, j]).sum(dim=1)
    return total
