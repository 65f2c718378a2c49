r"""The table field: kernel sums tabulated on the sketch's own grid, one cubic spline interpolation a step.

With masses p_z on nodes z and kernel bandwidth h' (both from the sketch), the sums

    T0(y) = sum_z p_z g(|y - z| / h'),    T1(y) = sum_z p_z g(|y - z| / h') (z - y)

are separable correlations, done once, axis by axis, at every node y. The cubic B-spline prefilter is applied to
the short kernel instead of to the grid, so the correlations give interpolation coefficients directly. A step,
x <- x + (h^2 / h'^2) T1(x) / T0(x), then costs 4^d reads however many points or neighbours there are.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solveh_banded

from modeseek.engines.threads import run_chunks
from modeseek.fields import TAIL, Floats, Ints, log_normaliser, reach_of_tail
from modeseek.fields.dense import DenseField
from modeseek.fields.logs import log_sums_of_tree
from modeseek.fields.nodes import MARGIN, Nodes

STARTS_PER_CHUNK = 2048
VALUES_PER_CHUNK = 1 << 16
QUERIES_PER_CHUNK = 1 << 13
LEFT_OUT, LEFT_OUT_FAR = 1e-6, 1e-3  # of sums over nodes, and of those far from all: less than the sketch is off there
LITTLE = 1 << 26  # bytes: tables up to this size are kept by fitted models
NOISE = 1e-8  # of the largest density: below it an interpolated density is noise, not data


def spline_coefficients(samples: Floats) -> Floats:
    """Cubic B-spline coefficients c with (c_{i-1} + 4 c_i + c_{i+1}) / 6 = samples_i, zero beyond the ends."""
    bands = np.ones((2, len(samples))) * np.array([[1 / 6], [4 / 6]])
    return solveh_banded(bands, samples)


def kernel_taps(width: float, reach: float) -> tuple[Floats, Floats]:
    """Return the spline coefficients of g(r / width) and r g(r / width) at the nodes within reach * width."""
    r = 1.0 * np.arange(-int(np.ceil(reach * width)), int(np.ceil(reach * width)) + 1)
    gauss = np.exp(-0.5 * np.square(r / width))
    return spline_coefficients(gauss), spline_coefficients(r * gauss)


def tabulate(masses: NDArray[np.int64], g: Floats, rg: Floats, channels: int, n_jobs: int | None) -> Floats:
    """Correlate masses with g for T0, and along each axis with rg for T1: (nodes * channels,), T0 first."""
    shape = masses.shape
    # T1 along axis k: rg on that axis, g on the others; partial results are shared, T0's path is all g
    fields: list[NDArray[np.float64]] = [masses.reshape(-1).astype(np.float64)]
    for axis in range(len(shape)):
        fields = [_correlate(f, g, shape, axis, n_jobs) for f in fields] + [
            _correlate(fields[0], rg, shape, axis, n_jobs)
        ]
    table = np.zeros((masses.size, channels))
    for k, f in enumerate(fields):
        table[:, k] = f
    return table.reshape(-1)


def _correlate(values: Floats, taps: Floats, shape: tuple[int, ...], axis: int, n_jobs: int | None) -> Floats:
    from modeseek.engines.cpu.convolve import correlate

    inner = math.prod(shape[axis + 1 :])
    out = np.empty_like(values)

    def work(_: int, start: int, stop: int) -> None:
        correlate(values, taps, inner, shape[axis], out, start, stop)

    run_chunks(values.size, work, n_jobs, VALUES_PER_CHUNK)
    return out


class TableField:
    """Mean shift on sums tabulated from a sketch.

    Parameters
    ----------
    nodes : Nodes
        Masses on a grid of 1, 2 or 3 dimensions.
    bandwidth : float
        Standard deviation h of the kernel whose steps are made.
    kernel_bandwidth : float
        Standard deviation h' of the kernel that is summed over the nodes.
    lightest : float, default=1.0
        Least weight of a point.
    reach : float, optional
        Radius of the sums in kernel bandwidths. Default: so large that the mass beyond is below 1e-3 of it, if that
        is possible; densities below 1e-8 of the largest are taken for noise then. With a reach of one's own every
        density is trusted that is above 1e-3 of the lightest point.
    n_jobs : int, optional
        Threads.
    """

    def __init__(
        self,
        nodes: Nodes,
        bandwidth: float,
        kernel_bandwidth: float,
        *,
        lightest: float = 1.0,
        reach: float | None = None,
        n_jobs: int | None = None,
    ):
        self.nodes = nodes
        self.bandwidth = bandwidth
        self.kernel_bandwidth = kernel_bandwidth
        self.factor = (bandwidth / kernel_bandwidth) ** 2
        self.shape = np.array(nodes.box.shape, np.int64)
        self.reach = reach_of_tail(nodes.total_weight, lightest) if reach is None else reach
        self.n_jobs = n_jobs
        self._table: Floats | None = None
        self.negligible = TAIL * lightest * nodes.units_per_weight
        if reach is None:
            self.negligible = max(self.negligible, NOISE * float(self.table.max()))

    @property
    def table(self) -> Floats:
        """The tabulated sums; they follow from the masses to the bit, and are tabulated anew where put away."""
        if self._table is None:
            self._table = self._tabulate(self.reach, self.n_jobs)
        return self._table

    def put_away(self) -> None:
        """Keep the masses alone, unless the table takes little memory: a fitted model may be kept for long."""
        self.nodes.masses.flags.writeable = False  # they have to stay what they are: sketches copy before they add
        if self._table is not None and self._table.nbytes > LITTLE:
            self._table = None

    def __getstate__(self) -> dict[str, Any]:
        return dict(self.__dict__, _table=None)

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self.put_away()

    def _tabulate(self, reach: float, n_jobs: int | None) -> Floats:
        g, rg = kernel_taps(self.kernel_bandwidth / self.nodes.delta, reach)
        return tabulate(self.nodes.masses, g, rg, 2 if len(self.shape) == 1 else 4, n_jobs)

    def shift(self, queries: Floats) -> tuple[Floats, Floats]:
        """Return the relaxed mean and the density (in fixed-point mass units) at each query."""
        ends, _ = self.climb(queries, tol=0.0, max_iter=1)
        return ends, self.density(queries)

    def density(self, queries: Floats) -> Floats:
        """Return T0 at each query; 0 beyond the table."""
        return self._density(self.table, queries)

    def _density(self, table: Floats, queries: Floats) -> Floats:
        from scipy.ndimage import map_coordinates

        t0 = table.reshape(*self.shape, -1)[..., 0]
        with np.errstate(over="ignore"):
            u = (np.asarray(queries, np.float64) - self.nodes.corner) / self.nodes.delta
        u = np.clip(u, -MARGIN, self.shape + MARGIN)  # beyond the table all is 0, and indices must not overflow
        values = map_coordinates(t0, u.T, order=3, prefilter=False, mode="grid-constant", cval=0.0)
        return np.where(self._inside(u), values, 0.0)

    def log_density(self, queries: Floats, n_jobs: int | None = None) -> Floats:
        """Return the log of the normalised density at each query, to the accuracy of the sketch.

        It is read from the table where points are near, and summed over the nodes where they are not.
        """
        nodes, table = self.nodes, self.table
        out = np.empty(len(queries))

        def work(_: int, start: int, stop: int) -> None:
            out[start:stop] = self._density(table, queries[start:stop])

        run_chunks(len(queries), work, n_jobs, QUERIES_PER_CHUNK)
        faint = np.flatnonzero(~(out > self.negligible / TAIL))
        with np.errstate(divide="ignore", invalid="ignore"):
            out = np.log(out / nodes.units_per_weight)
        out -= log_normaliser(nodes.total_weight, len(self.shape), self.kernel_bandwidth)
        if faint.size:
            out[faint] = self._log_density_over_nodes(queries[faint], n_jobs)
        return out

    def _log_density_over_nodes(self, queries: Floats, n_jobs: int | None) -> Floats:
        nodes, h = self.nodes, self.kernel_bandwidth
        places, weights = nodes.as_points()
        with np.errstate(over="ignore"):
            q = (queries - nodes.corner) / h
        sums = log_sums_of_tree((places - nodes.corner) / h, weights, q, n_jobs, LEFT_OUT, LEFT_OUT_FAR)
        return sums - log_normaliser(nodes.total_weight, len(self.shape), h)

    def _inside(self, u: Floats) -> NDArray[np.bool_]:
        """Tell which positions (node units) have all the nodes that interpolation reads."""
        return np.all((u >= 1.0) & (u < self.shape - 2), axis=1)

    def climb(
        self,
        starts: Floats,
        *,
        tol: float,
        max_iter: int,
        n_jobs: int | None = None,
        settled: NDArray[np.bool_] | None = None,
    ) -> tuple[Floats, Ints]:
        """Climb every start to rest, or into a cell of ``settled`` (flat, one entry a node).

        A start with nothing in reach first steps onto the data over all nodes.
        """
        if settled is None:
            settled = np.zeros(self.nodes.box.n_nodes, bool)
        ends, steps = self._climb(np.asarray(starts, np.float64), settled, tol, max_iter, n_jobs)
        lost = steps == 0
        if lost.any():
            everything = DenseField(*self.nodes.as_points(), self.bandwidth)
            landed, _ = everything.shift(ends[lost])
            ends[lost], steps[lost] = self._climb(landed, settled, tol, max_iter, n_jobs)
        return ends, steps

    def _climb(
        self, starts: Floats, settled: NDArray[np.bool_], tol: float, max_iter: int, n_jobs: int | None
    ) -> tuple[Floats, Ints]:
        from modeseek.engines.cpu.table import CLIMB

        kernel = CLIMB[len(self.shape)]
        table, corner, delta = self.table, self.nodes.corner, self.nodes.delta
        u = (starts - corner) / delta
        steps = np.zeros(len(u), np.int64)

        def work(_: int, start: int, stop: int) -> None:
            kernel(
                table, self.shape, self.factor, self.negligible, settled,
                tol * self.bandwidth / delta, max_iter, u[start:stop], steps[start:stop],
            )  # fmt: skip

        run_chunks(len(u), work, n_jobs, STARTS_PER_CHUNK)
        return u * delta + corner, steps
