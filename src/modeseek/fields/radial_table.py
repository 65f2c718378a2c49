r"""The table of any weight g: sums over a sketch's masses at every node, by Fourier transforms.

    T0(y) = sum_z p_z G(y - z),    T1(y) = sum_z p_z G1(y - z),    G ~ g(|y - z| / h),    G1 ~ g(|y - z| / h) (z - y)

A weight with a jump or a kink cannot be taken at the nodes alone: how many nodes lie in a ball depends on where it is.
So G is the mean of g over the cell around each node, from a finer grid. That mean, the splines that deposit the points
and what bins lose widen the kernel by a known variance v an axis, which a second difference takes back,

    G <- G - v / 2 (sum of second differences along the axes),

so that sums over many points are right to fourth order in the spacing, as those of the Gaussian table. They are
wrong by more where a few points decide: nothing is claimed of labels that come from here.

Where no point is in reach, transforms leave noise of about 1e-16 of the largest sum: densities below 1e-8 of it are
taken for nothing, and a climb that starts there goes to the nearest node with a density.
"""

import math

import numpy as np
from numpy.typing import NDArray
from scipy import fft
from scipy.spatial import cKDTree

from modeseek.engines.threads import effective_n_jobs
from modeseek.fields import TAIL, Floats, Ints
from modeseek.fields.nodes import Nodes
from modeseek.fields.table import NOISE, TableField
from modeseek.kernels import Kernel

FINE = {1: 32, 2: 8, 3: 4}  # parts of a cell along each axis
SAMPLES = 1 << 23  # places at which g is evaluated, at most
PREFILTER = 32  # nodes after which the spline's prefilter is below 2^-53
MAX_TRANSFORM = 1 << 24  # values


def transform_shape(shape: tuple[int, ...], radius: int) -> tuple[int, ...]:
    """Return the lengths of transforms of so many nodes with taps of a radius: no sum wraps around into another."""
    return tuple(
        fft.next_fast_len(n + half + PREFILTER, real=True)
        for n, half in zip(shape, _halves(shape, radius), strict=True)
    )


def _halves(shape: tuple[int, ...], radius: int) -> tuple[int, ...]:
    """Return how many nodes away taps are needed: no farther than the grid and the prefilter around it are wide."""
    return tuple(min(radius, n - 1 + PREFILTER) for n in shape)


def tap_radius(support: float, bandwidth: float, delta: float) -> int:
    """Return how many nodes away a kernel's taps reach: past its support by the second difference."""
    return math.ceil(min(support * bandwidth / delta, 2.0**40)) + 2


class RadialTable(TableField):
    """Mean shift with any kernel on sums tabulated from a sketch.

    Parameters
    ----------
    nodes : Nodes
        Masses on a grid of 1, 2 or 3 dimensions.
    bandwidth : float
        h.
    kernel : Kernel
        The weight g.
    lightest : float, default=1.0
        Least weight of a point.
    lost_variance : float, default=0.0
        Variance an axis that points have lost before they were deposited.
    shadow : bool, default=False
        Tabulate the kernel's shadow instead, for the density that is climbed.
    n_jobs : int, optional
        Threads.
    """

    def __init__(
        self,
        nodes: Nodes,
        bandwidth: float,
        kernel: Kernel,
        *,
        lightest: float = 1.0,
        lost_variance: float = 0.0,
        shadow: bool = False,
        n_jobs: int | None = None,
    ):
        self.kernel, self.lost_variance = kernel, lost_variance
        self.formula = kernel.shadow if shadow else kernel.weight
        super().__init__(nodes, bandwidth, bandwidth, lightest=lightest, reach=kernel.support, n_jobs=n_jobs)
        self.factor = 1.0
        density = self.density(nodes.positions(nodes.occupied()))
        floor = TAIL * lightest * nodes.units_per_weight
        self.negligible = max(floor, NOISE * float(density.max(initial=0.0)))
        self.homes = nodes.positions(nodes.occupied()[density > self.negligible])

    def _tabulate(self, reach: float, n_jobs: int | None) -> Floats:
        nodes, d = self.nodes, len(self.shape)
        radius = tap_radius(reach, self.bandwidth, nodes.delta)
        lengths = transform_shape(nodes.box.shape, radius)
        workers = effective_n_jobs(n_jobs)
        masses = fft.rfftn(nodes.masses.astype(np.float64), lengths, workers=workers)
        masses *= _prefilter(lengths)
        table = np.zeros((nodes.box.n_nodes, 2 if d == 1 else 4))
        for channel, taps in enumerate(self._taps(_halves(nodes.box.shape, radius))):
            sums = fft.rfftn(_wrapped(taps, lengths), workers=workers)
            sums *= masses
            whole = fft.irfftn(sums, lengths, workers=workers)
            table[:, channel] = whole[tuple(slice(n) for n in nodes.box.shape)].reshape(-1)
        return table.reshape(-1)

    def _taps(self, half: tuple[int, ...]) -> list[Floats]:
        """Return the taps of T0, and of T1 along each axis in nodes: arrays over the offsets y - z, -half to half."""
        d = len(half)
        fine = FINE[d] if math.isfinite(self.kernel.support) else 1
        while fine > 1 and np.prod([2.0 * h + 3.0 for h in half]) * fine**d > SAMPLES:
            fine -= 1
        places = (np.arange(fine) + 0.5) / fine - 0.5
        axes = [np.add.outer(np.arange(-h - 1, h + 2), places) for h in half]  # (2 half + 3, fine)
        scale = self.nodes.delta / self.bandwidth
        taps = [np.zeros([len(a) for a in axes]) for _ in range(d + 1)]
        for part in np.ndindex((fine,) * d):
            u = np.meshgrid(*(a[:, p] for a, p in zip(axes, part, strict=True)), indexing="ij", sparse=True)
            g = np.asarray(self.formula(scale * np.sqrt(sum(v * v for v in u))))
            taps[0] += g
            for k in range(d):
                taps[1 + k] -= g * u[k]
        spline = (self.nodes.degree + 1) / 12.0
        variance = spline + (1.0 - fine**-2.0) / 12.0 + self.lost_variance / self.nodes.delta**2
        return [_sharpened(t / fine**d, variance) for t in taps]

    def climb(
        self,
        starts: Floats,
        *,
        tol: float,
        max_iter: int,
        n_jobs: int | None = None,
        settled: NDArray[np.bool_] | None = None,
    ) -> tuple[Floats, Ints]:
        """Climb every start to rest, or into a cell of ``settled``; one with nothing in reach starts at a node."""
        if settled is None:
            settled = np.zeros(self.nodes.box.n_nodes, bool)
        ends, steps = self._climb(np.asarray(starts, np.float64), settled, tol, max_iter, n_jobs)
        lost = np.flatnonzero(steps == 0)
        if lost.size and len(self.homes) and max_iter > 0:
            ends[lost], steps[lost] = self.homes[cKDTree(self.homes).query(ends[lost])[1]], -1
            if max_iter > 1:
                ends[lost], steps[lost] = self._climb(ends[lost], settled, tol, max_iter - 1, n_jobs)
        return ends, steps


def _sharpened(taps: Floats, variance: float) -> Floats:
    """Take a variance an axis out of taps that have a margin of one, and the margin off."""
    inner = tuple(slice(1, -1) for _ in taps.shape)
    out = taps[inner].copy()
    for axis in range(taps.ndim):
        moved = np.moveaxis(taps, axis, 0)
        second = np.moveaxis(moved[2:] - 2.0 * moved[1:-1] + moved[:-2], 0, axis)
        others = tuple(slice(None) if a == axis else slice(1, -1) for a in range(taps.ndim))
        out -= 0.5 * variance * second[others]
    return out


def _wrapped(taps: Floats, lengths: tuple[int, ...]) -> Floats:
    """Lay taps around the first entry of an array of these lengths, negative offsets at its ends."""
    out = np.zeros(lengths)
    index = [np.arange(-(n // 2), n // 2 + 1) % length for n, length in zip(taps.shape, lengths, strict=True)]
    out[np.ix_(*index)] = taps
    return out


def _prefilter(lengths: tuple[int, ...]) -> Floats:
    """Return the transform of what turns samples into the coefficients of a cubic spline through them."""
    out = np.ones(())
    for axis, n in enumerate(lengths):
        frequency = np.arange(n // 2 + 1 if axis == len(lengths) - 1 else n) * (2.0 * np.pi / n)
        out = np.multiply.outer(out, 3.0 / (2.0 + np.cos(frequency)))
    return out
