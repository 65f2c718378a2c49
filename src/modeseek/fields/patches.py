"""The patch field: where points lie too far apart for one mesh, each crowded patch of them has its own.

Points in cells of side reach belong to one patch if their cells touch, so points of two patches are out of reach of
each other. Crowded patches are meshes; all other points together are one tile field. One far outlier then costs
nothing, where a mesh over everything would be mostly empty or not fit in memory.
"""

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from modeseek.cells import cell_indices, distinct_rows
from modeseek.fields import Floats, Ints
from modeseek.fields.dense import DenseField
from modeseek.fields.mesh import MeshField
from modeseek.fields.tiles import TileField, compact_order


def patches(points: Floats, reach: float, least: int) -> list[Ints]:
    """Return the rows of each patch of at least so many points, in a fixed order."""
    cell, first = distinct_rows(cell_indices(points, points.min(axis=0), reach))
    corners = cell_indices(points[first], points.min(axis=0), reach)
    pairs = cKDTree(corners).query_pairs(1.5, p=np.inf, output_type="ndarray")
    graph = coo_array((np.ones(len(pairs), bool), (pairs[:, 0], pairs[:, 1])), shape=(len(first), len(first)))
    n_patches, patch = connected_components(graph, directed=False)
    sizes = np.bincount(patch, np.bincount(cell), n_patches)
    patch_of_row = patch[cell]
    return [np.flatnonzero(patch_of_row == p) for p in np.flatnonzero(sizes >= least)]


class PatchField:
    """Mean shift on a mesh for each crowded patch, and on tiles for the rest.

    Parameters
    ----------
    points : ndarray of shape (n, d), d <= 3
        Points.
    weights : ndarray of shape (n,)
        Weights above 0.
    bandwidth : float
        Standard deviation of the Gaussian.
    crowded : list of ndarray
        Rows of the patches that get a mesh.
    n_jobs : int, optional
        Threads.
    """

    def __init__(
        self, points: Floats, weights: Floats, bandwidth: float, crowded: list[Ints], n_jobs: int | None = None
    ):
        self.points, self.weights, self.bandwidth = points, weights, bandwidth
        self.moved = np.empty_like(points)
        self.fields: list[MeshField | TileField] = []
        rest = np.ones(len(points), bool)
        for rows in crowded:
            mesh = MeshField(points[rows], weights[rows], bandwidth, n_jobs)
            self.moved[rows] = mesh.advance(n_jobs)
            self.fields.append(mesh)
            rest[rows] = False
        rows = np.flatnonzero(rest)
        if len(rows):
            rows = rows[compact_order(points[rows])]
            tiles = TileField(points[rows], weights[rows], bandwidth)
            self.moved[rows] = tiles.advance(n_jobs)
            self.fields.append(tiles)

    def advance(self, n_jobs: int | None = None) -> Floats:
        """Return where each point moves in one step; this is let go then."""
        moved, self.moved = self.moved, np.empty((0, self.moved.shape[1]))
        return moved

    def carry(self, queries: Floats, n_jobs: int | None = None) -> Floats:
        """Return where other points move in one step: by every patch within their reach."""
        total = np.zeros(len(queries))
        steps = np.zeros_like(queries)
        for part in self.fields:
            ends, density = part.means(queries, n_jobs)
            total += density
            steps += density[:, None] * (ends - queries)
            if isinstance(part, MeshField):
                part.forget()
        lost = total == 0.0
        out = queries + steps / np.where(lost, 1.0, total)[:, None]
        if lost.any():
            out[lost] = DenseField(self.points, self.weights, self.bandwidth).carry(queries[lost], n_jobs)
        return out
