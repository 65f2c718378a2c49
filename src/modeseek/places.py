r"""Where points lie on a grid of nodes, kept so that labels need no second read of the points.

`Places` has the bin of each point. `place_points` finds it and deposits the points in the same pass, where they are
very many, of one weight, and in the plane.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modeseek.engines.threads import run_chunks, workers_with_grids
from modeseek.fields.nodes import Box, cell_corner

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

POINTS_PER_NODE = 4  # patches pay from so many points to a node on
RESOLVED = 2.0**-40  # node spacings: the most that coordinates in float64 may be rounded by


@dataclass(frozen=True)
class Places:
    """The bin of each point, of a grid that cuts the cells of nodes."""

    per_node: int  # bins of a node's cell along each axis
    counts: Ints  # points of each bin, flat
    index: NDArray[np.int32]  # (n,) the bin of each point

    def in_cells(self, box: Box) -> Ints:
        """Return the number of points in the cell of each node, flat."""
        return in_cells(self.counts, self.per_node, box).reshape(-1)


def in_cells(counts: Ints, per_node: int, box: Box) -> Ints:
    """Add up, over the cell of each node of the box, the points of its bins (flat, so many to a cell along an axis)."""
    bins = counts.reshape([side * per_node for side in box.shape])
    total = np.zeros(box.shape, np.int64)
    for corner in np.ndindex(*(per_node,) * bins.ndim):
        total += bins[tuple(slice(c, None, per_node) for c in corner)]
    return total


def place_points(
    points: NDArray[Any], bounds: Floats, box: Box, origin: Floats, delta: float, unit: int, n_jobs: int | None
) -> tuple[Ints, Places] | None:
    """Deposit points of weight one with cubic splines, and tell where they lie; None where this does not pay.

    Returns the masses of the nodes of the box, flat, of ``unit`` to a point, of which rounding loses or adds at most
    `patches.SHARE_LOST`. There are 2 x 2 bins to a cell.
    """
    n, d = points.shape
    if not placing_pays(n, d, bounds, box, delta):
        return None
    from modeseek.engines.cpu.patches import PATCH

    workers = workers_with_grids(points, box.n_nodes * (PATCH + 6) // 2, n_jobs)
    patches, index = Patches(box, origin, delta, unit, workers), np.empty(n, np.int32)
    patches.add(points, index)
    total = patches.totals()
    return total["masses"], Places(2, total["counts"], index)


def placing_pays(n: int, d: int, bounds: Floats, box: Box, delta: float) -> bool:
    """Tell whether so many points are to be placed: very many to a node, in the plane, and their bins are resolved."""
    if d != 2 or n < POINTS_PER_NODE * box.n_nodes or n >= 2**31 or 4 * box.n_nodes >= 2**31:
        return False
    return not np.spacing(np.abs(bounds).max()) > RESOLVED * delta


class Patches:
    """Patches of the cells of a box, and counts of its bins, of points that may come piece by piece.

    Sums are of integers: neither the pieces nor the number of workers change a bit of them.
    """

    def __init__(self, box: Box, origin: Floats, delta: float, unit: int, workers: int):
        from modeseek.engines.cpu import patches as kernels

        self._kernels, self.workers = kernels, workers
        self._corner, self._delta, self._length = cell_corner(origin, box, delta), delta, box.shape[1]
        self._step = unit >> kernels.PATCH_BITS
        self._counts = np.zeros((workers, 4 * box.n_nodes), np.int32)
        self._patches = _in_cache_lines(workers * box.n_nodes * kernels.PATCH).reshape(workers, -1)
        self._masses = np.zeros((workers, box.n_nodes), np.int64)
        self._offsets = np.empty((workers, 2 * kernels.BLOCK_ROWS), np.float32)
        self._cells = np.empty((workers, kernels.BLOCK_ROWS), np.int32)
        self._full = np.empty((workers, kernels.BLOCK_ROWS), np.int16)

    def add(self, points: NDArray[Any], index: NDArray[np.int32], first: int = 0, worker: int | None = None) -> None:
        """Add points (n, 2), and write the bin of each to ``index``.

        Several threads may add points at once, each as a worker of its own. What number the ``first`` point has among
        all makes no difference.
        """

        def work(number: int, start: int, stop: int) -> None:
            k = number if worker is None else worker
            rows = np.ascontiguousarray(points[start:stop])
            self._kernels.deposit_patches(
                rows, self._corner, 2.0 / self._delta, np.int32(self._length), index[start:stop],
                self._counts[k], self._patches[k], self._step, self._masses[k], self._offsets[k], self._cells[k],
                self._full[k],
            )  # fmt: skip

        run_chunks(len(points), work, self.workers if worker is None else 1)

    def totals(self) -> dict[str, Ints]:
        """Return the masses of the nodes and the counts of the bins so far, flat."""

        def fold(_: int, k: int, end: int) -> None:
            self._kernels.fold_patches(self._patches[k], self._length, self._step, self._masses[k])

        run_chunks(self.workers, fold, self.workers, 1)
        return {"masses": self._masses.sum(axis=0), "counts": self._counts.sum(axis=0, dtype=np.int64)}

    def go_on(self, masses: Ints, counts: Ints) -> None:
        """Begin from what `totals` returned before."""
        self._masses[0], self._counts[0] = masses, counts


def _in_cache_lines(size: int) -> NDArray[np.int32]:
    """Return so many zeros that begin with a cache line: a patch that straddles two takes nearly twice as long."""
    zeros = np.zeros(size + 16, np.int32)
    first = -zeros.ctypes.data % 64 // 4
    return zeros[first : first + size]
