r"""Weight functions g(r) of mean shift, ``r = |x - x_i| / h``, and the densities that their means climb.

``g`` is the *weight* of the mean, as in the notebook and in scikit-learn. The density that the iteration climbs,
``f(x) = sum_i w_i K(|x - x_i| / h)``, is made of the *shadow* of ``g`` (Cheng 1995), ::

    K(r) = integral of 2 t g(t) from r to infinity,    here divided by K(0),

so that grad f is proportional to ``(m(x) - x) sum_i w_i g(|x - x_i| / h)``: Gaussian weights climb a Gaussian density,
flat weights an Epanechnikov one. Bandwidths of two kernels correspond where their shadows have the same variance,
``equivalent_bandwidth``. Here are formulas only; how they are summed is the business of ``fields``.

Y. Cheng, "Mean shift, mode seeking, and clustering", IEEE PAMI 17 (1995).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Formula = Callable[[ArrayLike], Floats]


def gaussian(r: ArrayLike) -> Floats:
    """Gaussian weight, g(r) = exp(-r^2 / 2); h is its standard deviation. Its shadow is itself."""
    return np.exp(-0.5 * np.square(np.asarray(r, dtype=float)))


def triangular(r: ArrayLike) -> Floats:
    """Triangular weight, g(r) = max(0, 1 - r). Its shadow is 1 - 3 r^2 + 2 r^3 up to r = 1."""
    return np.maximum(0.0, 1.0 - np.asarray(r, dtype=float))


def epanechnikov(r: ArrayLike) -> Floats:
    """Epanechnikov weight, g(r) = max(0, 1 - r^2). Its shadow is the biweight."""
    return np.maximum(0.0, 1.0 - np.square(np.asarray(r, dtype=float)))


def biweight(r: ArrayLike) -> Floats:
    """Biweight, g(r) = max(0, 1 - r^2)^2. Its shadow is the triweight, max(0, 1 - r^2)^3."""
    return np.square(epanechnikov(r))


def flat(r: ArrayLike) -> Floats:
    """Flat weight, g(r) = 1 if r <= 1 else 0. Its shadow is the Epanechnikov weight."""
    return np.where(np.asarray(r, dtype=float) <= 1.0, 1.0, 0.0)


def _triangular_shadow(r: ArrayLike) -> Floats:
    t = np.minimum(np.asarray(r, dtype=float), 1.0)
    return np.square(1.0 - t) * (1.0 + 2.0 * t)


def _triweight(r: ArrayLike) -> Floats:
    return epanechnikov(r) ** 3


KERNELS: dict[str, Formula] = {
    "gaussian": gaussian,
    "triangular": triangular,
    "epanechnikov": epanechnikov,
    "biweight": biweight,
    "flat": flat,
}
SHADOWS: dict[str, Formula] = {
    "gaussian": gaussian,
    "triangular": _triangular_shadow,
    "epanechnikov": biweight,
    "biweight": _triweight,
    "flat": epanechnikov,
}
VARIANCES: dict[str, Callable[[int], float]] = {  # of the shadow, along each of d axes, in h^2
    "gaussian": lambda d: 1.0,
    "triangular": lambda d: (d + 3.0) / ((d + 4.0) * (d + 5.0)),
    "epanechnikov": lambda d: 1.0 / (d + 6.0),
    "biweight": lambda d: 1.0 / (d + 8.0),
    "flat": lambda d: 1.0 / (d + 4.0),
}
QUADRATURE = 1 << 14  # steps of the integrals of a user's weight
HALF_OF_GAUSSIAN = math.sqrt(2.0 * math.log(2.0))  # where the Gaussian has half its height


@dataclass(frozen=True)
class Kernel:
    """A weight function and what has to be known to sum it.

    Attributes
    ----------
    name : str
        Its name.
    weight : callable
        g(r) for an array of distances in bandwidths.
    support : float
        Bandwidths beyond which g is 0, or below one rounding error of its largest value; infinite where it hardly
        fades.
    half : float
        Bandwidths beyond which g is below half its largest value.
    continuous : bool
        Whether g has no jump.
    function : callable, optional
        The user's g(r), of one distance; None for a kernel of `KERNELS`.
    """

    name: str
    weight: Formula
    support: float
    half: float
    continuous: bool = True
    function: Callable[[float], Any] | None = None

    def shadow(self, r: ArrayLike) -> Floats:
        """Return K(r) / K(0) for an array of distances in bandwidths.

        Raises
        ------
        ValueError
            If the weight fades so slowly that it has no shadow.
        """
        if self.name in SHADOWS and self.function is None:
            return SHADOWS[self.name](r)
        if not math.isfinite(self.support):
            raise ValueError(
                f"The kernel {self.name} does not fade: the density that its means climb has no finite height. "
                "Use a kernel that falls to 0."
            )
        t = np.linspace(0.0, self.support, QUADRATURE + 1)
        pieces = self._simpson(2.0 * t, 1)
        rest = np.append(np.cumsum(pieces[::-1])[::-1], 0.0)
        return np.interp(np.asarray(r, dtype=float), t, rest / rest[0], right=0.0)

    def variance(self, d: int) -> float:
        """Return the variance of the shadow along each of d axes in h^2; infinite where the weight hardly fades.

        With M_k the integral of r^k g(r), it is M_(d+3) / ((d + 2) M_(d+1)).
        """
        if self.name in VARIANCES and self.function is None:
            return VARIANCES[self.name](d)
        if not math.isfinite(self.support):
            return math.inf
        t = np.linspace(0.0, 1.0, QUADRATURE + 1)
        second, zeroth = self._simpson(t, d + 3).sum(), self._simpson(t, d + 1).sum()
        return self.support**2 * float(second / zeroth) / (d + 2.0)

    def width(self, d: int) -> float:
        """Return the standard deviation in h of the Gaussian that is about as wide: of the shadow, or by half heights.

        The lesser of the two, so that a grid fine enough for that Gaussian is so for this kernel.
        """
        return min(math.sqrt(self.variance(d)), self.half)

    def of_gaussian(self, d: int) -> float:
        """Return the bandwidth of this kernel that corresponds to a Gaussian of standard deviation 1."""
        variance = self.variance(d)
        return 1.0 / math.sqrt(variance) if math.isfinite(variance) else HALF_OF_GAUSSIAN / self.half

    def _simpson(self, t: Floats, power: int) -> Floats:
        """Integrate g(r) t^power over each of QUADRATURE parts of the support, t growing evenly along it."""
        r = np.linspace(0.0, self.support, 2 * QUADRATURE + 1)
        fine = np.linspace(t[0], t[-1], len(r)) ** power * self.weight(r)
        return (fine[:-2:2] + 4.0 * fine[1:-1:2] + fine[2::2]) / 6.0


FADED = math.sqrt(2.0 * 53.0 * math.log(2.0))  # exp(-FADED^2 / 2) = 2^-53
BUILT_IN = {
    "gaussian": Kernel("gaussian", gaussian, FADED, HALF_OF_GAUSSIAN),
    "triangular": Kernel("triangular", triangular, 1.0, 0.5),
    "epanechnikov": Kernel("epanechnikov", epanechnikov, 1.0, math.sqrt(0.5)),
    "biweight": Kernel("biweight", biweight, 1.0, math.sqrt(1.0 - math.sqrt(0.5))),
    "flat": Kernel("flat", flat, 1.0, 1.0, continuous=False),
}

GAUSSIAN = BUILT_IN["gaussian"]


def equivalent_bandwidth(bandwidth: float, kernel: str, to: str, n_features: int) -> float:
    r"""Convert a bandwidth from one kernel to another: their shadows then have the same variance along every axis.

    With v(g, d) = M_(d+3) / ((d + 2) M_(d+1)), M_k the integral of r^k g(r), it is h sqrt(v(kernel, d) / v(to, d)).

    Parameters
    ----------
    bandwidth : float
        h of the first kernel.
    kernel, to : str
        Names of `KERNELS`.
    n_features : int
        Number of columns d: a compact kernel gets wider with it.

    Returns
    -------
    float
        h of the second kernel.

    Raises
    ------
    ValueError
        If a name is not known, the bandwidth is not positive, or there is no column.

    Examples
    --------
    >>> from modeseek.kernels import equivalent_bandwidth
    >>> round(equivalent_bandwidth(1.0, "gaussian", "flat", n_features=2), 3)
    2.449
    """
    for name in (kernel, to):
        if name not in BUILT_IN:
            raise ValueError(f"unknown kernel {name!r}; known are {', '.join(BUILT_IN)}.")
    if not (math.isfinite(bandwidth) and bandwidth > 0.0):
        raise ValueError(f"bandwidth must be a finite number above 0, got {bandwidth!r}.")
    if n_features < 1:
        raise ValueError(f"n_features must be at least 1, got {n_features!r}.")
    ratio = BUILT_IN[kernel].variance(n_features) / BUILT_IN[to].variance(n_features)
    return float(bandwidth) * math.sqrt(ratio)
