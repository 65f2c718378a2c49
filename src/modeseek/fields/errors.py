r"""How far one deposited, tabulated and interpolated point is from itself: error functions of one axis.

Sketch, table and interpolation together replace the Gaussian of a point x_i by a product over the axes of

    k^(x) = sum_j b_j(u) G(z_j - x),

with b the spline weights of the point on its three nodes z_j, u its offset from the nearest, and G the cubic spline
through the Gaussian of variance h'^2 at the nodes, cut at the reach. G is known, so the errors of k^ are too: with
d = x_i - x, k = exp(-d^2 / 2) and A = h' / h (lengths in bandwidths),

    E0(|d|) = sup |k^ / (A k) - 1|,                        of the density,
    E1(|d|) = sup |(k1^ - d k^) / (A k)|,                  of the first moment, k1^ the same with d-weighted G,
    E2(|d|) = sup |(dk1^/dx - (d^2 - 1) k^) / (A k)|,      of its derivative, at nodes,
    D1(|d|) = sup |(dk^/dx - d k^) / (A k)|,               of the density's derivative, at nodes,

the suprema over all offsets u and all x. They bound every later error and need no assumption on the density.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from modeseek.fields.table import kernel_taps

Floats = NDArray[np.float64]

FINE = 16  # places looked at per node spacing, for u and for x
BEYOND = 3  # node spacings past the reach that are looked at; beyond, k itself is the error
INFLATION = 1.05  # for what lies between the places looked at: the errors are smooth at the scale of a node


@dataclass(frozen=True)
class AxisErrors:
    """The error functions times k: their largest values on intervals [i, i + 1) * step of |d|, in bandwidths."""

    step: float
    e0: Floats
    e1: Floats
    e2: Floats
    d1: Floats

    def largest(self, values: Floats, low: Floats, high: Floats) -> Floats:
        """Return the largest value over the intervals that [low, high] touches; arrays of distances."""
        end = len(values) - 1
        first = np.minimum((low / self.step).astype(np.int64), end)
        last = np.minimum((high / self.step).astype(np.int64), end)
        out = values[first]
        for k in range(1, int((last - first).max(initial=0)) + 1):
            out = np.maximum(out, values[np.minimum(first + k, last)])
        return out


@lru_cache(maxsize=32)
def axis_errors(spacing: float, degree: int, kernel_bandwidth: float, reach: float) -> AxisErrors:
    """Tabulate the error functions; ``spacing`` of the nodes and ``kernel_bandwidth`` h' in bandwidths h.

    ``degree`` is that of the deposit's splines; ``reach`` is in kernel bandwidths.
    """
    width = kernel_bandwidth / spacing
    taps0, taps1 = kernel_taps(width, reach)
    factor, amplitude = kernel_bandwidth**-2, kernel_bandwidth
    margin = len(taps0) // 2 + 2 * BEYOND  # nodes on each side of x
    span = (margin - BEYOND) * FINE
    taps0, taps1 = (np.pad(t, margin + 1 - len(t) // 2) for t in (taps0, taps1))
    G0, G1 = _cubic_spline(taps0)[FINE:-FINE], factor * spacing * _cubic_spline(taps1)[FINE:-FINE]
    slope0 = (taps0[2:] - taps0[:-2]) / (2 * spacing)  # dG/dz at the nodes
    slope1 = factor * (taps1[2:] - taps1[:-2]) / 2
    count = 2 * (span // FINE) + 1
    largest = {name: np.zeros(count) for name in ("e0", "e1", "e2", "d1")}
    x = np.arange(-span, span + 1)  # in units of 1 / FINE nodes, as the offset of the point
    nodes = slice(0, None, FINE)
    for offset in range(-FINE // 2, FINE // 2 + 1) if degree == 2 else range(FINE + 1):
        spline = deposit_weights(offset / FINE, degree)
        d = spacing * (offset - x) / FINE
        k = np.exp(-0.5 * d * d)
        place = {j: j * FINE - x + margin * FINE for j in spline}
        k0 = np.sum([b * G0[place[j]] for j, b in spline.items()], axis=0) / amplitude
        k1 = np.sum([b * G1[place[j]] for j, b in spline.items()], axis=0) / amplitude
        _raise(largest["e0"], d / (0.5 * spacing), k0 - k)
        _raise(largest["e1"], d / (0.5 * spacing), k1 - d * k0)
        d, k0 = d[nodes], k0[nodes]
        node = {j: place[j][nodes] // FINE for j in spline}
        minus_dk0 = np.sum([b * slope0[node[j]] for j, b in spline.items()], axis=0) / amplitude
        minus_dk1 = np.sum([b * slope1[node[j]] for j, b in spline.items()], axis=0) / amplitude
        _raise(largest["d1"], d / (0.5 * spacing), minus_dk0 + d * k0)
        _raise(largest["e2"], d / (0.5 * spacing), minus_dk1 + (d * d - 1.0) * k0)
    return AxisErrors(0.5 * spacing, **{name: INFLATION * values for name, values in largest.items()})


def _raise(largest: Floats, place: Floats, error: Floats) -> None:
    """Raise the largest value of the interval of each place to its error; of both intervals where they meet."""
    for rounding in (-1e-6, 1e-6):
        interval = np.clip((np.abs(place) + rounding).astype(np.int64), 0, len(largest) - 1)
        np.maximum.at(largest, interval, np.abs(error))


def deposit_weights(u: float, degree: int) -> dict[int, float]:
    """Return the weights of a point at offset u from node 0, by node, as the deposit gives them."""
    if degree == 2:
        return {-1: 0.5 * (0.5 - u) ** 2, 0: 0.75 - u * u, 1: 0.5 * (0.5 + u) ** 2}
    v = 1.0 - u
    return {-1: v**3 / 6, 0: 2 / 3 - u * u * (1.0 - u / 2), 1: 2 / 3 - v * v * (1.0 - v / 2), 2: u**3 / 6}


def _cubic_spline(coefficients: Floats) -> Floats:
    """Sum the cubic B-splines of the coefficients, FINE values to a node, from the first node to the last."""
    t = np.abs(np.arange(-2 * FINE, 2 * FINE + 1) / FINE)
    spline = np.where(t < 1.0, 2 / 3 - t * t * (1.0 - 0.5 * t), np.maximum(2.0 - t, 0.0) ** 3 / 6)
    impulses = np.zeros((len(coefficients) - 1) * FINE + 1)
    impulses[::FINE] = coefficients
    return np.convolve(impulses, spline)[2 * FINE : -2 * FINE]
