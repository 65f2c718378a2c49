r"""The mesh field: a fast Gauss transform on a regular mesh, for many points that all move at once, d <= 3.

Points are deposited on nodes of spacing delta with B-splines of degree 7, the masses are correlated with a kernel, axis
by axis, and sums are interpolated with the same splines. The kernel K is the Gaussian with both splines taken out
(as in particle meshes, Hockney & Eastwood 1988, and non-uniform Fourier transforms, Dutt & Rokhlin 1993): its Fourier
transform is exp(-w^2/2) / sinc(w delta/2)^16, in bandwidths, so

    K(r) = exp(-r^2/2) E[ sinc((v + i r) delta/2)^-16 ],    v ~ N(0, 1),    sinc(z) = sin(z) / z,

and for the displacement sums (x - i v) joins the mean. Only aliases are left: relative to the weight of a point at
distance r the error is at most about 4 (r delta / 2 pi)^8, for one heavy point as for many. `spacing_for` chooses
delta by it, so that a step is right to STEP_ERROR bandwidths even where a heavy, far cluster moves a single point (in
practice to a hundredth of that).

The table of `fields.table` needs a sketch, which is mergeable, and is right to fourth order on the average over many
points; here the points of a cluster end up in one place, and there is no average.
"""

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from modeseek.engines.threads import n_workers, run_chunks
from modeseek.fields import Floats
from modeseek.fields.dense import DenseField
from modeseek.fields.nodes import Box, Nodes, extent, node_box
from modeseek.fields.table import tabulate
from modeseek.fields.tiles import reach_for

DEGREE = 7
MARGIN = 5  # nodes around the points that deposit and interpolation touch
STEP_ERROR = 1e-5  # bandwidths: the bound on what aliasing may add to a step; what is measured is far below
MASS_BITS = 61  # all masses together are below 2^MASS_BITS units
ROWS_PER_CHUNK = 1 << 15
LEAST = 1e-2  # of the lightest point: a query with a smaller density is summed over all points


def spacing_for(weights: Floats) -> float:
    """Return the spacing in bandwidths at which a step errs by at most about STEP_ERROR.

    A cluster of weight W matters to a point of weight w up to r = sqrt(2 log(W/w)); there an alias of relative size
    4 (r delta / 2 pi)^8 in both sums moves the point by up to 8 r (r delta / 2 pi)^8.
    """
    r = math.sqrt(2.0 * math.log(max(float(weights.sum()) / float(weights.min()), math.e)))
    return 2.0 * math.pi / r * (STEP_ERROR / (8.0 * r)) ** (1.0 / (DEGREE + 1))


def mesh_box(points: Floats, delta: float) -> Box:
    """Return the nodes around points; the lowest of them is the origin."""
    low, high = extent(points)
    return node_box(low, high, low, delta, MARGIN)


def mesh_size(points: Floats, weights: Floats, bandwidth: float) -> tuple[int, int]:
    """Return how many nodes a mesh would have, and how many taps its kernel along an axis."""
    spacing = spacing_for(weights)
    return mesh_box(points, spacing * bandwidth).n_nodes, 2 * (math.ceil(reach_for(weights) / spacing) + DEGREE) + 1


@lru_cache(maxsize=16)
def taps(spacing: float, reach: float) -> tuple[Floats, Floats]:
    """Return the kernel K and that of the displacement sums at nodes within reach, both in node units."""
    half = math.ceil(reach / spacing) + DEGREE
    r = spacing * np.arange(-half, half + 1)
    v = np.linspace(-10.0, 10.0, 161)
    normal = np.exp(-0.5 * v * v)
    normal /= normal.sum()
    z = (v + 1j * r[:, None]) * (0.5 * spacing)
    inverse = (np.where(z == 0, 1.0, z) / np.where(z == 0, 1.0, np.sin(z))) ** (2 * DEGREE + 2) * normal
    gauss = np.exp(-0.5 * r * r)
    moved = ((r[:, None] - 1j * v) * inverse).sum(axis=1).real
    return gauss * inverse.sum(axis=1).real, gauss * moved / spacing


class MeshField:
    """Mean shift on sums from a mesh.

    Parameters
    ----------
    points : ndarray of shape (n, d), d <= 3
        Points.
    weights : ndarray of shape (n,)
        Weights above 0.
    bandwidth : float
        Standard deviation of the Gaussian.
    n_jobs : int, optional
        Threads.
    """

    def __init__(self, points: Floats, weights: Floats, bandwidth: float, n_jobs: int | None = None):
        self.points, self.weights, self.bandwidth = points, weights, bandwidth
        self.spacing, self.reach = spacing_for(weights), reach_for(weights)
        low, delta = extent(points)[0], self.spacing * bandwidth
        box = mesh_box(points, delta)
        # a power of two, so that sums of equal weights are exact
        unit = 2.0 ** (MASS_BITS - math.ceil(math.log2(float(weights.sum()))))
        self.nodes = Nodes(np.zeros(box.shape, np.int64), box, low, delta, unit)
        self._deposit(n_jobs)
        self._table: Floats | None = None

    def _geometry(self) -> tuple[Floats, float, NDArray[np.int64]]:
        nodes = self.nodes
        return nodes.corner, 1.0 / nodes.delta, np.array(nodes.box.shape, np.int64)

    def _deposit(self, n_jobs: int | None) -> None:
        from modeseek.engines.cpu.mesh import DEPOSIT

        points, weights, nodes = self.points, self.weights, self.nodes
        kernel, geometry = DEPOSIT[points.shape[1]], self._geometry()
        workers = n_workers(len(points), n_jobs, ROWS_PER_CHUNK)
        workers = min(workers, 1 + int(points.nbytes // nodes.masses.nbytes))  # copies no larger than the points
        grids = [nodes.masses.reshape(-1)] + [np.zeros(nodes.box.n_nodes, np.int64) for _ in range(workers - 1)]

        def work(worker: int, start: int, stop: int) -> None:
            kernel(points[start:stop], weights[start:stop], *geometry, nodes.units_per_weight, grids[worker])

        run_chunks(len(points), work, workers, ROWS_PER_CHUNK)
        for grid in grids[1:]:
            grids[0] += grid

    def _tabulated(self, n_jobs: int | None) -> Floats:
        if self._table is None:
            self._table = tabulate(self.nodes.masses, *taps(self.spacing, self.reach), 4, n_jobs)
        return self._table

    def advance(self, n_jobs: int | None = None) -> Floats:
        """Return where each point moves in one step; the table is let go."""
        moved = self.carry(self.points, n_jobs)
        self.forget()
        return moved

    def forget(self) -> None:
        """Let the table go; it is made again when it is needed."""
        self._table = None

    def carry(self, queries: Floats, n_jobs: int | None = None) -> Floats:
        """Return where points, old or new, move in one step."""
        out, density = self.means(queries, n_jobs)
        lost = density == 0.0
        if lost.any():
            out[lost] = DenseField(self.points, self.weights, self.bandwidth).carry(queries[lost], n_jobs)
        return out

    def means(self, queries: Floats, n_jobs: int | None = None) -> tuple[Floats, Floats]:
        """Return where queries move, and the density there: 0, and no move, where the points are out of reach."""
        from modeseek.engines.cpu.mesh import STEP

        kernel, table, geometry = STEP[queries.shape[1]], self._tabulated(n_jobs), self._geometry()
        out, density = np.empty_like(queries), np.empty(len(queries))
        least = LEAST * float(self.weights.min()) * self.nodes.units_per_weight

        def work(_: int, start: int, stop: int) -> None:
            kernel(queries[start:stop], *geometry, table, least, out[start:stop], density[start:stop])

        run_chunks(len(queries), work, n_jobs, ROWS_PER_CHUNK)
        density /= self.nodes.units_per_weight
        return out, density
