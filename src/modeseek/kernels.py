"""Weight functions g(r) of mean shift, r = |x - x_i| / h.

``g`` is the *weight* of the mean, as in the notebook and in scikit-learn; the density that the iteration
climbs belongs to the *shadow* of ``g`` (Cheng 1995): Gaussian weights climb a Gaussian density, flat weights
an Epanechnikov one. Here are the formulas only; how they are summed is the business of ``fields``.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]


def gaussian(r: ArrayLike) -> Floats:
    """Gaussian weight, g(r) = exp(-r^2 / 2); h is its standard deviation."""
    return np.exp(-0.5 * np.square(np.asarray(r, dtype=float)))


def triangular(r: ArrayLike) -> Floats:
    """Triangular weight, g(r) = max(0, 1 - r)."""
    return np.maximum(0.0, 1.0 - np.asarray(r, dtype=float))


def epanechnikov(r: ArrayLike) -> Floats:
    """Epanechnikov weight, g(r) = max(0, 1 - r^2)."""
    return np.maximum(0.0, 1.0 - np.square(np.asarray(r, dtype=float)))


def biweight(r: ArrayLike) -> Floats:
    """Biweight, g(r) = max(0, 1 - r^2)^2."""
    return np.square(epanechnikov(r))


def flat(r: ArrayLike) -> Floats:
    """Flat weight, g(r) = 1 if r <= 1 else 0."""
    return np.where(np.asarray(r, dtype=float) <= 1.0, 1.0, 0.0)


KERNELS: dict[str, Callable[[ArrayLike], Floats]] = {
    "gaussian": gaussian,
    "triangular": triangular,
    "epanechnikov": epanechnikov,
    "biweight": biweight,
    "flat": flat,
}
