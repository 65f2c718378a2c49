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

They are bounds, not samples: between nodes k^ and k1^ are polynomials of u and x, and on a part of their range these
are no larger than their largest Bernstein coefficient (R. T. Farouki, "The Bernstein polynomial basis", Comput. Aided
Geom. Des. 29, 2012). For k stands its cubic Taylor polynomial, and what that leaves out at most.
"""

from dataclasses import dataclass
from functools import lru_cache
from math import comb, factorial

import numpy as np

from modeseek.fields import Floats, Ints
from modeseek.fields.table import kernel_taps

FINE = 16  # parts of a node spacing, of u and of x, each with its bound
BEYOND = 3  # node spacings past the reach that are looked at; beyond, k itself is the error
ROUNDING = 2.0**-42  # of a Bernstein coefficient, of the sizes of those that it is computed from: 2^11 half units

SPLINES: dict[int, dict[int, tuple[float, ...]]] = {  # powers of the offset u, of each node that mass goes to
    2: {-1: (0.125, -0.5, 0.5), 0: (0.75, 0.0, -1.0), 1: (0.125, 0.5, 0.5)},
    3: {
        -1: (1 / 6, -0.5, 0.5, -1 / 6),
        0: (2 / 3, 0.0, -1.0, 0.5),
        1: (1 / 6, 0.5, 0.5, -0.5),
        2: (0.0, 0.0, 0.0, 1 / 6),
    },
}
START = {2: -0.5, 3: 0.0}  # u runs from here on, over 1


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
    taps = kernel_taps(kernel_bandwidth / spacing, reach)
    last = len(taps[0]) // 2 + BEYOND  # nodes on each side of x
    even, odd = (np.pad(t, last + 8 - len(t) // 2) for t in taps)
    even, odd = even / kernel_bandwidth, odd * (spacing / kernel_bandwidth**3)
    # x = -(n + w) with n = -1, 0, ... and 0 <= w <= 1, so that d = spacing (n + u + w); d < 0 is the mirror image
    n = np.arange(-1, last + 1)
    d = np.zeros((len(n), 2, 2))
    d[:, 0, 0], d[:, 1, 0], d[:, 0, 1] = spacing * n, spacing, spacing
    k0, k1 = (_pieces(t, n, degree, np.stack(list(SPLINES[3].values()))) for t in (even, odd))
    value, slope = np.array([[1.0], [4.0], [1.0], [0.0]]) / 6.0, np.array([[-0.5], [0.0], [0.5], [0.0]]) / spacing
    of_node = ((even, value), (even, slope), (odd, slope))
    value0, slope0, slope1 = (_pieces(t, n, degree, one) for t, one in of_node)
    along = d[:, :, :1]

    begin = np.add.outer(FINE * n, round(FINE * START[degree]) + np.arange(FINE))  # of parts, spacing / FINE apart
    both = np.add.outer(begin, np.arange(FINE))
    gaussian = [one[both - both.min()] for one in _gaussian(np.arange(both.min(), both.max() + 1), spacing / FINE)]
    bounds = {
        "e0": (_bound(k0, degree, *gaussian), both),
        "e1": (_bound(_sum(k1, -_times(d, k0)), degree), both),
        "e2": (_bound(_sum(slope1, _times(along, _times(along, value0)), -value0), degree), begin),
        "d1": (_bound(_sum(slope0, _times(along, value0)), degree), begin),
    }
    return AxisErrors(0.5 * spacing, **{name: _by_distance(*found, 2 * last + 1) for name, found in bounds.items()})


def deposit_weights(u: float, degree: int) -> dict[int, float]:
    """Return the weights of a point at offset u from node 0, by node, as the deposit gives them."""
    if degree == 2:
        return {-1: 0.5 * (0.5 - u) ** 2, 0: 0.75 - u * u, 1: 0.5 * (0.5 + u) ** 2}
    v = 1.0 - u
    return {-1: v**3 / 6, 0: 2 / 3 - u * u * (1.0 - u / 2), 1: 2 / 3 - v * v * (1.0 - v / 2), 2: u**3 / 6}


def bernstein(degree: int, start: float, parts: int) -> Floats:
    """Return what takes coefficients of powers to Bernstein coefficients on each of so many parts of a unit from start.

    (parts, degree + 1, degree + 1). A polynomial lies between the least and the largest of them.
    """
    powers = range(degree + 1)
    begin: Floats = start + np.arange(parts) / parts
    binomial = np.array([[float(comb(a, b)) for b in powers] for a in powers])
    # (begin + t / parts)^a by powers of t, then powers of t by Bernstein polynomials
    moved = [[binomial[a, i] * begin ** max(a - i, 0) / float(parts) ** i for a in powers] for i in powers]
    return np.einsum("ki,iap->pka", binomial / binomial[degree], np.array(moved))


def _pieces(taps: Floats, n: Ints, degree: int, local: Floats) -> Floats:
    """Sum taps by the splines of a point: polynomials of u and w, (pieces, powers of u, powers of w).

    ``local`` (4, powers of w) is what the taps at the four nodes around x add there.
    """
    out = np.zeros((len(n), degree + 1, local.shape[1]))
    for j, powers in SPLINES[degree].items():
        around = np.stack([taps[len(taps) // 2 + j + n + i] for i in range(-1, 3)], axis=1)
        out += np.array(powers)[:, None] * (around @ local)[:, None]
    return out


def _times(a: Floats, b: Floats) -> Floats:
    """Multiply polynomials, piece by piece."""
    out = np.zeros((len(a), a.shape[1] + b.shape[1] - 1, a.shape[2] + b.shape[2] - 1))
    for i, j in np.ndindex(a.shape[1:]):
        out[:, i : i + b.shape[1], j : j + b.shape[2]] += a[:, i, j, None, None] * b
    return out


def _sum(*polynomials: Floats) -> Floats:
    """Add polynomials, piece by piece."""
    out = np.zeros(np.max([p.shape for p in polynomials], axis=0))
    for p in polynomials:
        out[:, : p.shape[1], : p.shape[2]] += p
    return out


def _bound(polynomials: Floats, degree: int, less: Floats | float = 0.0, beside: Floats | float = 0.0) -> Floats:
    """Bound polynomials, less others given by Bernstein coefficients, on each part: (pieces, parts of u[, of w]).

    ``beside`` is what the others leave out.
    """
    powers_u, powers_w = polynomials.shape[1:]
    if np.ndim(less):
        polynomials = _sum(polynomials, np.zeros((1, 4, 4)).repeat(len(polynomials), axis=0))
        powers_u, powers_w = polynomials.shape[1:]
    by_u = bernstein(powers_u - 1, START[degree], FINE) @ polynomials[:, None]
    size = ROUNDING * np.abs(polynomials).sum(axis=(1, 2))
    if powers_w == 1:
        return np.abs(by_u[..., 0]).max(axis=2) + size[:, None]
    by_both = by_u[:, :, None] @ bernstein(powers_w - 1, 0.0, FINE).transpose(0, 2, 1)
    return np.abs(by_both - less).max(axis=(3, 4)) + size[:, None, None] + beside


def _gaussian(begin: Ints, step: float) -> tuple[Floats, Floats]:
    """Return exp(-d^2 / 2) on parts where d = step (begin + s + t), 0 <= s, t <= 1, and what that leaves out.

    As cubics of s and t by Taylor's theorem, in Bernstein coefficients (..., 4, 4).
    """
    middle = step * (begin + 1.0)
    k = np.exp(-0.5 * middle * middle)
    slopes = k, -middle * k, (middle**2 - 1.0) * k, (3.0 - middle**2) * middle * k
    change = np.zeros((1, 2, 2))
    change[0, 0, 0], change[0, 1, 0], change[0, 0, 1] = -step, step, step  # s + t - 1
    to_bernstein, power, out = bernstein(3, 0.0, 1)[0], np.ones((1, 1, 1)), np.zeros((*begin.shape, 4, 4))
    for q, slope in enumerate(slopes):
        square = np.zeros((4, 4))
        square[: q + 1, : q + 1] = power[0] / factorial(q)
        out += slope[..., None, None] * (to_bernstein @ square @ to_bernstein.T)
        power = _times(power, change)
    nearest, farthest = np.maximum(np.abs(middle) - step, 0.0), np.abs(middle) + step
    fourth = (farthest**4 + 6.0 * farthest**2 + 3.0) * np.exp(-0.5 * nearest * nearest)
    return out, fourth * step**4 / 24.0 + ROUNDING * k


def _by_distance(bound: Floats, begin: Ints, count: int) -> Floats:
    """Return the largest bound on each interval of |d|, half a spacing long; parts may lie in two of them."""
    width = 1 if begin.ndim == 2 else 2
    low, high = np.minimum(np.abs(begin), np.abs(begin + width)), np.maximum(np.abs(begin), np.abs(begin + width))
    low[(begin < 0) & (begin + width > 0)] = 0
    out = np.zeros(count)
    for interval in (low // (FINE // 2), (high - 1) // (FINE // 2)):
        np.maximum.at(out, np.minimum(interval, count - 1), bound)
    return out
