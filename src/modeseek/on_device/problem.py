"""What a clustering on a device starts from."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from modeseek.fields import Floats
from modeseek.kernels import GAUSSIAN, Kernel


@dataclass(frozen=True)
class DeviceProblem:
    """Points and weights (None: all one) as tensors, their bounds in NumPy, and how to climb."""

    points: torch.Tensor  # (n, d), contiguous
    weights: torch.Tensor | None  # (n,)
    bounds: Floats  # (2, d)
    bandwidth: float
    tol: float = 1e-3
    max_iter: int = 300
    n_jobs: int | None = None
    report: Callable[[str], None] = lambda stage: None
    kernel: Kernel = GAUSSIAN

    @property
    def n(self) -> int:
        """Number of points."""
        return len(self.points)

    @property
    def d(self) -> int:
        """Number of columns."""
        return int(self.points.shape[1])

    @property
    def device(self) -> str:
        """Where the points are."""
        return str(self.points.device)

    @property
    def total_weight(self) -> float:
        """Sum of the weights."""
        return float(self.n) if self.weights is None else float(self.weights.sum())

    @property
    def lightest(self) -> float:
        """Least weight above 0."""
        return 1.0 if self.weights is None else float(self.weights[self.weights > 0].min())

    @property
    def climbing(self) -> dict[str, Any]:
        """The keyword arguments of a climb."""
        return {"tol": self.tol, "max_iter": self.max_iter, "n_jobs": self.n_jobs}
