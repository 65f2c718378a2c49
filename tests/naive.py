"""Plain references and shared data: every engine is tested against these."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from sklearn.datasets import make_moons

import modeseek as ms

CENTRES = np.array([[0.0, 0, 0], [6, 1, -1], [1, 7, 2], [-5, 4, 6], [5, -6, 3]])


def mixture(n: int, d: int, seed: int = 0) -> tuple[np.ndarray, float]:
    """Five Gaussians of unequal size in d dimensions (float32), and a bandwidth that separates them."""
    rng = np.random.default_rng(seed)
    centres = np.pad(CENTRES, ((0, 0), (0, max(0, d - 3))))[:, :d] * (3.0 if d == 1 else 1.0)
    which = rng.choice(5, n, p=[0.3, 0.25, 0.2, 0.15, 0.1])
    return (centres[which] + rng.normal(size=(n, d))).astype(np.float32), 0.9


def wide_mixture(n: int, d: int, seed: int = 0) -> tuple[np.ndarray, float]:
    """Twelve overlapping Gaussians in many dimensions (float32), with a bandwidth that many dimensions need."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(12, d)) * 2.0
    return (centres[rng.integers(0, 12, n)] + rng.normal(size=(n, d))).astype(np.float32), 0.5 * d**0.5


def uniform(n: int, d: int, seed: int = 0) -> tuple[np.ndarray, float]:
    """Noise: many weak modes and long ridges, the hard case."""
    return np.random.default_rng(seed).uniform(size=(n, d)) * {1: 60, 2: 14, 3: 7}[d], 1.0


def sparse(n: int) -> tuple[np.ndarray, float]:
    """So few points within reach of each that only cells leave out enough."""
    return np.random.default_rng(0).uniform(size=(n, 2)) * 400, 1.0


def moons(n: int) -> tuple[np.ndarray, float]:
    """Two thin moons: curved ridges."""
    return make_moons(n, noise=0.1, random_state=0)[0], 0.15


def lattice(n: int) -> tuple[np.ndarray, float]:
    """Integers with many exact repeats, as 8-bit pictures have them."""
    rng = np.random.default_rng(0)
    centres = np.array([[10, 10], [25, 12], [14, 30]])
    return np.round(centres[rng.integers(0, 3, n)] + rng.normal(size=(n, 2)) * 3).astype(np.float32), 2.5


def with_outliers(n: int) -> tuple[np.ndarray, float]:
    """Clusters and single points so far out that a grid over everything would be too large."""
    X, h = mixture(n, 2)
    far = np.random.default_rng(1).uniform(-1e6, 1e6, (5, 2))
    return np.concatenate([X.astype(np.float64), far]), h


@dataclass(frozen=True)
class Route:
    """Data and parameters that take one route through the pipeline, and what it must reach."""

    name: str
    data: Callable[[], tuple[np.ndarray, float]]
    parameters: dict = field(default_factory=dict)
    agreement: float = 1.0
    mode_error: float = 1e-3

    def model(self, h: float, **more) -> ms.MeanShift:
        """Return an estimator for this route."""
        return ms.MeanShift(h, **self.parameters, **more)

    def __repr__(self) -> str:
        return self.name


EXACT = {"fidelity": "exact"}
ROUTES = [
    Route("dense, 2-D", lambda: mixture(400, 2)),
    Route("dense, 6-D", lambda: mixture(600, 6)),
    Route("blocks, 4-D", lambda: mixture(2600, 4)),
    Route("blocks, 6-D", lambda: mixture(2600, 6)),
    Route("blocks, 16-D", lambda: wide_mixture(2600, 16)),
    Route("points, 1-D", lambda: mixture(1500, 1), EXACT),
    Route("points, 2-D", lambda: uniform(700, 2), EXACT),
    Route("points, sparse", lambda: sparse(3000), EXACT),
    Route("points, 3-D", lambda: mixture(1000, 3), EXACT),
    Route("points, lattice", lambda: lattice(2000), EXACT),
    Route("cells, 1-D", lambda: uniform(1500, 1), agreement=0.995),
    Route("cells, 2-D", lambda: mixture(6000, 2), agreement=0.995),
    Route("cells, noise", lambda: uniform(2000, 2), agreement=0.99),
    Route("cells, moons", lambda: moons(1500), agreement=0.99),
    Route("cells, 3-D", lambda: mixture(2500, 3), agreement=0.995),
    Route("cells, lattice", lambda: lattice(6000), agreement=0.995),
    Route("sparse cells", lambda: with_outliers(16_500), agreement=0.99, mode_error=0.01),
]


def exact_labels(X: np.ndarray, starts: np.ndarray, h: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the mode of each start by the textbook's definition: (index, modes)."""
    ends = ms.textbook.climb(np.asarray(X, float), np.asarray(starts, float), h, tol=1e-9)
    modes, index = ms.textbook.modes(ends, h)
    return index, modes
