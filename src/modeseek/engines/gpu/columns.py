"""What is done to the columns of points on a device: whitened, their variances, and few rows that stand for all."""

import numpy as np
import torch
from numpy.typing import NDArray

from modeseek.engines.gpu.memory import room_for

Floats = NDArray[np.float64]
ROWS = 1 << 22  # at once
SUM_BITS = 61  # of sums of weights, in fixed point: the same for any order of adding


def whiten(points: torch.Tensor, origin: Floats, factor: Floats) -> torch.Tensor:
    """Solve factor @ u = x - origin for each row, float64, with the operations of `geometry.Whitened.into`."""
    n, d = points.shape
    with room_for(f"{n} whitened points of {d} columns", 8.0 * n * d, str(points.device)):
        white = torch.empty((n, d), dtype=torch.float64, device=points.device)
    for start in range(0, n, ROWS):
        rows = [points[start : start + ROWS, k].double() - float(origin[k]) for k in range(d)]
        for k in range(d):
            for j in range(k):
                if factor[k, j]:
                    rows[k] -= float(factor[k, j]) * rows[j]
            rows[k] /= float(factor[k, k])
            white[start : start + ROWS, k] = rows[k]
    return white


def variances(points: torch.Tensor, weights: torch.Tensor | None) -> tuple[float, Floats]:
    """Return the number of points and the variance of each column, as `modeseek.rules.variances` does."""
    d = points.shape[1]
    origin = points[0].double()
    sums = torch.zeros((3, d), dtype=torch.float64, device=points.device)
    for start in range(0, len(points), ROWS):
        x = points[start : start + ROWS].double() - origin
        w = x.new_ones(len(x)) if weights is None else weights[start : start + ROWS]
        sums[0] += w.sum()
        sums[1] += (w[:, None] * x).sum(dim=0)
        sums[2] += (w[:, None] * x.square()).sum(dim=0)
    total, first, second = sums.cpu().numpy()
    return float(total[0]), np.asarray((second / total - np.square(first / total)).clip(0.0))


def as_counts(weights: torch.Tensor | None) -> torch.Tensor | None:
    """Return weights in points, as `modeseek.scale_space.as_counts` does."""
    if weights is None or bool((weights == weights.round()).all()):
        return weights
    return weights * (float(weights.sum()) / float(weights.square().sum()))


def evenly(points: torch.Tensor, weights: torch.Tensor | None, most: int) -> Floats:
    """Return up to so many points, evenly spaced in the order given, by weight, in NumPy."""
    n = len(points)
    if weights is None:
        k = min(n, most)
        rows = torch.from_numpy((2 * np.arange(k) + 1) * n // (2 * k)).to(points.device)
    else:
        total = float(weights.sum())
        unit = 2.0 ** (SUM_BITS - np.ceil(np.log2(total)))
        sums = torch.cumsum((weights * unit).long(), dim=0)
        k = most if n > most else int(min(most, max(n, np.ceil(total))))
        wanted = (torch.arange(k, dtype=torch.float64, device=points.device) + 0.5) / k * sums[-1].double()
        rows = torch.searchsorted(sums, wanted.long()).clamp(max=n - 1)
    return np.asarray(points[rows].double().cpu().numpy())


def of_weight(points: torch.Tensor, weights: torch.Tensor | None) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Return the points of weight above 0, and their weights."""
    if weights is None or bool(weights.all()):
        return points, weights
    kept = weights > 0.0
    return points[kept], weights[kept]


def few(points: torch.Tensor, weights: torch.Tensor | None, most: int) -> tuple[Floats, Floats | None]:
    """Return at most so many points, and weights by which they stand for all, in NumPy."""
    n = len(points)
    if n <= most:
        return np.asarray(points.cpu().numpy()), None if weights is None else np.asarray(weights.cpu().numpy())
    counts = as_counts(weights)
    sample = evenly(points, counts, most)
    total = max(float(n) if counts is None else float(counts.sum()), float(len(sample)))
    # whole weights, which count points, and add up to as many as there are
    return sample, np.diff(np.floor(np.arange(len(sample) + 1) * (np.rint(total) / len(sample))))


def take(
    points: torch.Tensor, weights: torch.Tensor | None, rows: NDArray[np.int64]
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Return some rows, given in NumPy, and their weights."""
    there = torch.from_numpy(rows).to(points.device)
    return points[there], None if weights is None else weights[there]
