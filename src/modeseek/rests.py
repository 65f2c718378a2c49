r"""Mean shift by its definition with any weight g(r): climbs over all points, in float64, that end at rest.

    x <- m(x) = sum_i w_i g(|x - x_i| / h) x_i / sum_i w_i g(|x - x_i| / h)

A compact kernel counts exactly the points within h. Weights of a fading one are left out only beyond its ``support``,
where none is above one rounding error of the largest; one that hardly fades is summed over all points. Points are
sorted by cell along the (up to) three widest columns, and only cells within reach are read. A place with nothing in
reach goes to the nearest point, as in the limit of a kernel that fades ever faster.

**Rest.** A climb ends where the way still to go, |step| / (1 - q) with q the quotient of its last two steps, is below
`REST` bandwidths, or its step is rounding. With a piecewise constant g, as the flat one, that is a step of 0: the
points within reach have their mean here, and no further step can change that.

**Same mode.** Where g is continuous, climbs up a hill come to its top within `REST`; ends within `TOGETHER` bandwidths,
directly or from one to the next, are one mode. Where g jumps, the density is made of paraboloids, and a hill has *many*
tops of nearly the same height: climbs come to an exact rest at whichever they meet first, some thousandths of h apart.
A fit counts places of rest within 8e-3 h of each other, and so from one to the next, as one mode. These chains are only
known when all points have climbed. In a sample, ends within `PLATEAU` bandwidths, and so from one to the next, are
taken for one mode, and if a fit has several modes that close to an end, any of them is right: an audit of flat weights
does not see a hill cut into tops closer than that.

This module shares no code with the fields that a fit sums and climbs on: it is there to check them.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from modeseek.engines.threads import run_chunks
from modeseek.kernels import Kernel

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

REST = 1e-10  # bandwidths still to go
TINY = 1e-13  # bandwidths: steps no longer are rounding
ROUNDING = 4.0 * np.finfo(float).eps  # of the largest coordinate: nor are these
MAX_STEPS = 10_000
TOGETHER = 1e-2  # bandwidths between ends of one mode
PLATEAU = 5e-2  # the same where g jumps
CELL_AXES = 3
CELLS_PER_REACH = 4
MAX_CELLS_PER_AXIS = 1 << 20
STARTS_PER_CHUNK = 8
SLACK = 1e-9  # of the reach: rounding must not cost a point
NUMPY_PAIRS = 1 << 17  # starts x points up to which compiling costs more than it saves


class PlainSums:
    """Points and how they are weighed.

    Parameters
    ----------
    points : ndarray of shape (n, d)
        Points.
    weights : array-like of shape (n,)
        Weights, at least 0; length 0 means unit weights.
    bandwidth : float
        h: distances are divided by it.
    kernel : Kernel
        The weight g.
    n_jobs : int, optional
        Threads.
    """

    def __init__(
        self, points: NDArray[Any], weights: ArrayLike, bandwidth: float, kernel: Kernel, n_jobs: int | None = None
    ):
        w = np.asarray(weights, np.float64)
        if w.size and not w.all():
            points, w = points[w > 0.0], w[w > 0.0]
        self.kernel, self.n_jobs, self.bandwidth = kernel, n_jobs, bandwidth
        # relative to a corner, and in a power of 2: differences are those of the data, and no square underflows
        self.unit = 2.0 ** round(math.log2(bandwidth))
        self.origin = points.min(axis=0).astype(np.float64)
        self.columns = np.empty((points.shape[1], len(points)))
        for k, column in enumerate(self.columns):
            np.subtract(points[:, k], self.origin[k], out=column, dtype=np.float64)
            column /= self.unit
        self.weights = w if w.size else np.ones(len(points))
        self.h = bandwidth / self.unit
        extent = self.columns.max(axis=1)
        self.tiny = max(TINY * self.h, ROUNDING * float(extent.max()))
        self.reach = (1.0 + SLACK) * kernel.support * self.h + 2.0 * ROUNDING * float(extent.max())
        self._sort(extent)

    def _sort(self, extent: Floats) -> None:
        """Sort points by cell along the widest columns, the widest fastest."""
        widest = np.sort(np.argsort(-extent, kind="stable")[:CELL_AXES])
        axes = np.full(CELL_AXES, -1)
        axes[CELL_AXES - len(widest) :] = widest
        span = np.where(axes >= 0, extent[axes], 0.0)
        largest = float(span.max())
        if math.isfinite(self.reach) and largest > 0.0:
            side = max(self.reach / CELLS_PER_REACH, largest / MAX_CELLS_PER_AXIS)
        else:
            side = 1.0 + largest  # one cell
        dims = (span / side).astype(np.int64) + 1
        keys = np.zeros(len(self.weights), np.int64)
        for axis, dim in zip(axes, dims, strict=True):
            keys *= dim
            if axis >= 0:
                keys += np.minimum((self.columns[axis] / side).astype(np.int64), dim - 1)
        order = np.argsort(keys, kind="stable")
        self.columns, self.weights, keys = self.columns[:, order], self.weights[order], keys[order]
        first = np.flatnonzero(np.diff(keys, prepend=-1))
        self.cells = axes, keys[first], np.append(first, len(keys)), side, dims

    def climb(self, starts: ArrayLike) -> tuple[Ints, Floats]:
        """Climb each start to rest; return numbers of the modes, and where each climb ends.

        The number is -1 where `MAX_STEPS` steps did not bring a climb to rest.
        """
        x = np.ascontiguousarray((np.asarray(starts, np.float64) - self.origin) / self.unit)
        steps = self._climb(x)
        lost = np.flatnonzero(steps == 0)
        if lost.size:
            landed = np.ascontiguousarray(self.columns.T[cKDTree(self.columns.T).query(x[lost])[1]])
            steps[lost] = self._climb(landed)
            x[lost] = landed
        number = chains(x / self.h, TOGETHER if self.kernel.continuous else PLATEAU)
        number[steps < 0] = -1
        return number, x * self.unit + self.origin

    def _climb(self, x: Floats) -> Ints:
        """Let the rows of x climb, in place; return their steps: 0 with nothing in reach, negative if not enough."""
        steps = np.zeros(len(x), np.int64)
        if x.shape[0] * len(self.weights) <= NUMPY_PAIRS and self.kernel.function is None:
            self._climb_together(x, steps)
            return steps
        from modeseek.engines.cpu import rests as compiled

        kernel = self.kernel
        loop = (compiled.loops(kernel.name) if kernel.function is None else compiled.loops_of(kernel.function)).climb
        # starts near each other end at about the same time
        order = np.lexsort(np.floor(x / self.h).T[::-1])
        sorted_x, sorted_steps = x[order], np.zeros(len(x), np.int64)

        def work(_: int, start: int, stop: int) -> None:
            loop(
                self.columns, self.weights, *self.cells, self.reach, self.h, REST * self.h, self.tiny, MAX_STEPS,
                sorted_x[start:stop], sorted_steps[start:stop], np.empty(compiled.BLOCK), np.empty(x.shape[1]),
            )  # fmt: skip

        run_chunks(len(x), work, self.n_jobs, STARTS_PER_CHUNK)
        x[order], steps[order] = sorted_x, sorted_steps
        return steps

    def _climb_together(self, x: Floats, steps: Ints) -> None:
        """Do as the compiled loop, in NumPy, over all points."""
        moving, previous = np.arange(len(x)), np.full(len(x), np.inf)
        for n in range(1, MAX_STEPS + 1):
            offsets = self.columns[None] - x[moving][:, :, None]  # (m, d, n)
            g = self.kernel.weight(np.sqrt(np.square(offsets).sum(axis=1)) / self.h) * self.weights
            total = g.sum(axis=1)
            near = total > 0.0
            moving, step = moving[near], np.einsum("mdn,mn->md", offsets[near], g[near]) / total[near, None]
            length = np.sqrt(np.square(step).sum(axis=1))
            x[moving] += step
            rests = (length <= self.tiny) | (length <= REST * self.h * (1.0 - length / previous[moving]))
            steps[moving] = np.where(rests, n, -n)
            previous[moving] = length
            moving = moving[~rests]
            if not moving.size:
                break


def chains(ends: Floats, link: float) -> Ints:
    """Tell ends apart by location: those within ``link`` of each other, and so from one to the next, have one number.

    Examples
    --------
    >>> import numpy as np
    >>> from modeseek.rests import chains
    >>> print(chains(np.array([[0.0], [0.5], [9.0], [1.0]]), 0.6))
    [0 0 1 0]
    """
    pairs = cKDTree(ends).query_pairs(link, output_type="ndarray")
    graph = coo_array((np.ones(len(pairs), bool), (pairs[:, 0], pairs[:, 1])), shape=(len(ends), len(ends)))
    return connected_components(graph, directed=False)[1].astype(np.int64)
