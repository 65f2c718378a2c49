r"""Orphans: modes whose clusters are too light to stand on their own.

In exact mean shift every point far from the others is a mode, and a cluster, of its own. A least weight of a
cluster, ``min_cluster_size``, makes such modes *orphans*. Either they are noise, or each is attached to the cluster
that it reaches along a wider kernel: from the orphan, climb on the density of bandwidth H = h sqrt(2), and from
where that ends on the density of the fit. If this ends in a cluster that is kept, that is the orphan's cluster; if
not, the same again with H = 2h, 2h sqrt(2), ... An orphan that is still without a cluster once H exceeds the width
of the data joins the kept cluster with the nearest mode. All points of an orphan go with it.

The wide densities need no fine detail: means of the occupied cells of side H / 8 stand in for the points (up to
three columns), those of one H being made from those of the last, and the variance lost is given to the kernel.
"""

import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from modeseek.any_kernel import radial_field, widened
from modeseek.cells import cell_means
from modeseek.embeddings import rows_are_many
from modeseek.fields import Field, Floats, Ints, reach_of_tail
from modeseek.fields.adaptive import AdaptiveField
from modeseek.fields.closest import ClosestField
from modeseek.fields.dense import DenseField
from modeseek.fields.directions import SphereDense, SphereGrid
from modeseek.fields.grid import GridField
from modeseek.kernels import GAUSSIAN
from modeseek.result import Clusters, Problem
from modeseek.sphere import normalise

WIDER = 2.0**0.5  # factor from one bandwidth to the next
CELLS_PER_BANDWIDTH = 8  # with 4, orphans about to come loose went elsewhere


def settle_orphans(problem: Problem, found: Clusters, least: float, attach: bool) -> None:
    """Attach clusters lighter than ``least`` to others, or make them noise, in place.

    Parameters
    ----------
    problem : Problem
        What was clustered.
    found : Clusters
        Its modes by decreasing weight, and labels; gets its map from modes to clusters, and labels by cluster.
    least : float
        Least weight of a cluster; 1 or less keeps all.
    attach : bool
        Whether orphans are attached (True) or noise, -1 (False). With no cluster heavy enough, attaching keeps the
        heaviest; otherwise everything is noise. Either is said in a warning.
    """
    n_kept = int((found.cluster_weights >= least).sum())
    if least <= 1.0 or n_kept == len(found.centers):
        return
    if not n_kept:
        warnings.warn(
            f"No cluster reaches min_cluster_size={least:g}; the heaviest weighs {found.cluster_weights[0]:g}. "
            + ("All points are put into that one." if attach else "All points are noise (-1)."),
            UserWarning,
            stacklevel=3,
        )
        n_kept = int(attach)
    clusters = np.arange(len(found.centers))  # by decreasing weight: those kept come first
    clusters[n_kept:] = _attach(problem, found, n_kept) if attach else -1
    found.gather(clusters, n_kept, problem.n_jobs)


def _attach(problem: Problem, found: Clusters, n_kept: int) -> Ints:
    """Return the kept cluster of each orphan."""
    orphans = found.centers[n_kept:]
    cluster = np.full(len(orphans), -1)
    if n_kept == 1:
        return np.zeros(len(orphans), np.int64)
    for field in _wider_fields(problem, found):
        left = np.flatnonzero(cluster < 0)
        tops, _ = field.climb(orphans[left], **problem.climbing)
        reached = found.label(tops, **problem.climbing)
        cluster[left] = np.where(reached < n_kept, reached, -1)
        if (cluster >= 0).all():
            return cluster
    left = np.flatnonzero(cluster < 0)
    cluster[left] = cKDTree(found.centers[:n_kept]).query(orphans[left])[1]
    return cluster


def _wider_fields(problem: Problem, found: Clusters) -> Iterator[Field]:
    """Yield densities of growing bandwidth, until it exceeds the width of the data."""
    if problem.own.size or problem.metric == "sphere" or rows_are_many(problem):
        yield from _wider_fields_of_points(problem)
        return
    width = float((problem.bounds[1] - problem.bounds[0]).max())
    bandwidth = WIDER * problem.bandwidth
    points, weights, added = _sources(problem, found)
    wide = problem.kernel.width(problem.d)
    while bandwidth <= WIDER * width:
        if problem.d <= 3:
            points, weights, lost = cell_means(points, weights, wide * bandwidth / CELLS_PER_BANDWIDTH)
            added -= lost
        yield _wider_field(problem, points, weights, bandwidth, added)
        bandwidth *= WIDER


def _wider_fields_of_points(problem: Problem) -> Iterator[Field]:
    """Do as `_wider_fields` on the sphere, in many columns, or by widening every bandwidth by the same factor.

    On the sphere of space means of cells stand in for many points, to second order in their sides.
    """
    width = float((problem.bounds[1] - problem.bounds[0]).max())
    points, weights, factor = problem.points, problem.weights, WIDER
    many = rows_are_many(problem)
    if problem.metric == "sphere" and not many:
        points = normalise(points)
    while factor * problem.bandwidth <= WIDER * width:
        bandwidth = factor * problem.bandwidth
        if problem.own.size:
            yield AdaptiveField(points, weights, factor * problem.own)
        elif many:
            yield ClosestField(points, weights, bandwidth, sphere=problem.metric == "sphere", n_jobs=problem.n_jobs)
        elif problem.d == 3:
            points, weights, _ = cell_means(points, weights, bandwidth / CELLS_PER_BANDWIDTH)
            yield SphereGrid(points, weights, bandwidth)
        else:
            yield SphereDense(points, weights, bandwidth)
        factor *= WIDER


def _wider_field(problem: Problem, points: NDArray[Any], weights: Floats, bandwidth: float, added: float) -> Field:
    """Return the density of one bandwidth on points whose variance is too large by ``added`` along each axis."""
    if problem.kernel is not GAUSSIAN:
        summed = widened(problem.kernel, bandwidth, -added, problem.d)
        return radial_field(points, weights, summed, problem.kernel)
    if problem.d > 3:
        return DenseField(points, weights, bandwidth)
    summed = float(np.sqrt(bandwidth**2 - added))
    reach = reach_of_tail(float(weights.sum()), problem.lightest)
    return GridField(points, weights, summed, factor=(bandwidth / summed) ** 2, reach=reach)


def _sources(problem: Problem, found: Clusters) -> tuple[NDArray[Any], Floats, float]:
    """Return what the wide densities are made from: positions, weights, and the variance an axis they have too much."""
    sketch = found.sketch
    if sketch is None:
        return problem.points, problem.weights, 0.0
    nodes = sketch.nodes()
    return *nodes.as_points(), sketch.bandwidth**2 - sketch.kernel_bandwidth() ** 2
