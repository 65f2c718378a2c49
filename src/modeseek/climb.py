r"""Starts -> modes: climb each start on a field, then match where they rest.

A mode is a stationary point of the density at which it is concave. Resting points are matched by location at
the tolerance of the climb, one of each group is polished by Newton's method on the points themselves (or on the
sketch where that is all there is), and polished modes that coincide are one. A resting point that Newton does
not confirm (a saddle, a ridge not yet climbed) climbs on with a finer tolerance. This module knows nothing of
labels, cells or files.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from modeseek.fields import Field, Floats, Ints

LINK = 8.0  # resting points closer than LINK * tol bandwidths belong together
MAX_DRIFT = 0.1  # bandwidths that polishing may move a resting point and still speak for it
FINER = 1e-3  # factor on tol when an unconfirmed resting point climbs on
ROUNDS = 3
NEWTON_STEPS = 30
SETTLED = 1e-10  # bandwidths


class NewtonField(Protocol):
    """A field that knows its second derivatives."""

    def newton(self, queries: Floats) -> tuple[Floats, NDArray[np.bool_]]:
        """Return the Newton step to the stationary point near each query, and whether log f is concave there."""
        ...


@dataclass(frozen=True)
class Modes:
    """Modes, the mode of each start, and how long the longest climb was."""

    positions: Floats  # (k, d)
    index: NDArray[np.int64]  # (m,)
    n_iter: int
    n_unsettled: int  # starts that did not come to rest within max_iter


def find_modes(
    field: Field,
    starts: Floats,
    polisher: Callable[[int], NewtonField] | None,
    *,
    tol: float,
    max_iter: int,
    n_jobs: int | None = None,
) -> Modes:
    """Climb every start and match the resting points.

    Parameters
    ----------
    field : Field
        What is climbed.
    starts : ndarray of shape (m, d)
        Where to begin.
    polisher : callable, optional
        Given the number of resting points to polish, returns the field to polish them on. None: match resting
        points as they are, without polishing.
    tol : float
        Tolerance of a climb in bandwidths.
    max_iter : int
        Most steps of one climb.
    n_jobs : int, optional
        Threads.
    """
    ends, steps = field.climb(starts, tol=tol, max_iter=max_iter, n_jobs=n_jobs)
    n_iter, n_unsettled = int(np.abs(steps).max()), int((steps < 0).sum())
    link = LINK * tol * field.bandwidth
    for attempt in range(ROUNDS):
        group, first = group_by_location(ends, link)
        positions = ends[first]
        if polisher is None:
            return Modes(positions, group, n_iter, n_unsettled)
        positions, confirmed = polish(polisher(len(positions)), positions, field.bandwidth)
        doubtful = ~confirmed[group]
        if not doubtful.any() or attempt == ROUNDS - 1:
            break
        finer = tol * FINER ** (attempt + 1)
        ends[doubtful], more = field.climb(ends[doubtful], tol=finer, max_iter=10 * max_iter, n_jobs=n_jobs)
    same, first = group_by_location(positions, link)
    return Modes(positions[first], same[group], n_iter, n_unsettled)


def polish(field: NewtonField, positions: Floats, bandwidth: float) -> tuple[Floats, NDArray[np.bool_]]:
    """Newton's method on log f; returns positions and which of them are confirmed maxima close by."""
    x = positions.copy()
    active = np.arange(len(x))
    confirmed = np.zeros(len(x), bool)
    for _ in range(NEWTON_STEPS):
        step, concave = field.newton(x[active])
        length = np.sqrt(np.square(step).sum(axis=1)) / bandwidth
        x[active] += step
        drift = np.sqrt(np.square(x[active] - positions[active]).sum(axis=1)) / bandwidth
        strayed = ~concave | (drift > MAX_DRIFT)
        settled = concave & ~strayed & (length <= SETTLED)
        confirmed[active[settled]] = True
        x[active[strayed]] = positions[active[strayed]]
        active = active[~(strayed | settled)]
        if not active.size:
            break
    confirmed[active] = True  # still creeping by less than MAX_DRIFT in the concave region: a flat top
    return x, confirmed


def group_by_location(x: Floats, link: float) -> tuple[NDArray[np.int64], Ints]:
    """Single linkage at distance ``link``: group of each row, and the first row of each group."""
    cells = np.floor((x - x.min(axis=0)) / (0.25 * link)).astype(np.int64)
    key = cells[:, 0]
    for k in range(1, x.shape[1]):  # compress as we go: the product of the extents may not fit 64 bits
        key = np.unique(key, return_inverse=True)[1] * (cells[:, k].max() + 1) + cells[:, k]
    _, first, cell = np.unique(key, return_index=True, return_inverse=True)
    pairs = cKDTree(x[first]).query_pairs(link, output_type="ndarray")
    graph = coo_array((np.ones(len(pairs), bool), (pairs[:, 0], pairs[:, 1])), shape=(len(first), len(first)))
    n_groups, component = connected_components(graph, directed=False)
    representative = np.full(n_groups, len(x))
    np.minimum.at(representative, component, first)
    order = np.argsort(representative)  # groups in order of their first row
    rank = np.empty(n_groups, np.int64)
    rank[order] = np.arange(n_groups)
    return rank[component][cell], representative[order]


def path(field: Field, starts: Floats, *, tol: float, max_iter: int) -> Floats:
    """Return the positions at every step, (n_steps + 1, m, d), until every start rests; resting ones repeat."""
    positions = [np.asarray(starts, np.float64)]
    for _ in range(max_iter):
        means, _ = field.climb(positions[-1], tol=0.0, max_iter=1)
        length = np.sqrt(np.square(means - positions[-1]).sum(axis=1))
        positions.append(np.where((length > 0.1 * tol * field.bandwidth)[:, None], means, positions[-1]))
        if (length <= 0.1 * tol * field.bandwidth).all():
            break
    return np.stack(positions)
