r"""Starts -> modes: climb each start on a field, then match where they rest.

A mode is a stationary point of the density at which it is concave. Resting points are matched by location at
the tolerance of the climb, one of each group is polished by Newton's method on the points themselves (or on the
sketch where that is all there is), and polished modes that coincide are one. A resting point that Newton does
not confirm (a saddle, a ridge not yet climbed) climbs on with a finer tolerance, and where asked for is led the rest
of the way by long steps uphill: a ridge may be so flat that mean shift needs a million steps along it. This module
knows nothing of labels, cells or files.
"""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from modeseek.cells import distinct_rows
from modeseek.fields import Field, Floats, Ints
from modeseek.fields.table import TableField

LINK = 8.0  # resting points closer than LINK * tol bandwidths belong together
MAX_DRIFT = 0.1  # bandwidths that polishing may move a resting point and still speak for it
FINER = (1e-3, 0.0)  # factors on tol when an unconfirmed resting point climbs on; 0: no further
PLATEAU = 0.5  # bandwidths: unconfirmed resting points closer than this are one flat top
PATIENCE = 10  # times max_iter that it may then take
NEWTON_STEPS = 30
SETTLED = 1e-10  # bandwidths
APART = 0.05  # bandwidths: resting places closer than about this are led uphill together
STRIDE, LONGEST_STRIDE = 0.25, 1.0  # bandwidths: the first step uphill, and the most that one may grow to
SHORTEST_STRIDE = 1e-6  # bandwidths: where a shorter step does not lead up either, nothing does
ASCENT_STEPS = 200


class NewtonField(Protocol):
    """A field that knows its second derivatives."""

    def newton(self, queries: Floats) -> tuple[Floats, NDArray[np.bool_]]:
        """Return the Newton step to the stationary point near each query, and whether log f is concave there."""
        ...


class UphillField(NewtonField, Protocol):
    """A field that knows long steps uphill, too."""

    def uphill(self, queries: Floats, n_jobs: int | None = None) -> tuple[Floats, NDArray[np.bool_], Floats]:
        """Return a step uphill from each query, whether log f is concave there, and the density."""
        ...


class ModeFinder:
    """Climbs starts, batch after batch, and keeps the modes they reach.

    Parameters
    ----------
    field : Field
        What is climbed.
    polisher : NewtonField or None
        Where resting points are polished; None: they are matched as they are.
    tol : float
        Tolerance of a climb in bandwidths.
    max_iter : int
        Most steps of one climb.
    n_jobs : int, optional
        Threads.
    guide : UphillField, optional
        Leads resting places that are not confirmed uphill to modes, in steps that are not those of mean shift: for
        routes that prove nothing. Without it they count as modes where they are.

    Attributes
    ----------
    positions : ndarray of shape (k, d)
        The modes found so far.
    n_iter : int
        Steps of the longest climb so far.
    n_unsettled : int
        Climbs that max_iter cut short and that no mode was confirmed for, or only by a guide and while their steps
        were still longer than what links resting places.
    """

    def __init__(
        self,
        field: Field,
        polisher: NewtonField | None,
        *,
        tol: float,
        max_iter: int,
        n_jobs: int | None = None,
        guide: UphillField | None = None,
    ):
        self.field, self.polisher, self.guide = field, polisher, guide
        self.tol, self.max_iter, self.n_jobs = tol, max_iter, n_jobs
        self.link = LINK * tol * field.bandwidth
        self.positions: Floats = np.empty((0, 0))
        self.n_iter = self.n_unsettled = 0

    @property
    def n_modes(self) -> int:
        """Number of modes found so far."""
        return len(self.positions)

    def find(self, starts: Floats) -> Ints:
        """Climb to rest; return the mode of each start, an index into ``positions``."""
        return self.match(*self._climb(starts))

    def find_or_absorb(self, starts: Floats, labels: NDArray[np.int32]) -> Ints:
        """Climb on a table field until a climb rests or enters a cell that has a label (>= 0) and take that."""
        field = self.field
        assert isinstance(field, TableField)
        ends, steps = self._climb(starts, settled=labels >= 0)
        index = labels[field.nodes.nearest(ends)].astype(np.int64)
        free = index < 0
        if free.any():
            index[free] = self.match(ends[free], steps[free])
        return index

    def _climb(self, starts: Floats, **options: object) -> tuple[Floats, Ints]:
        ends, steps = self.field.climb(starts, tol=self.tol, max_iter=self.max_iter, n_jobs=self.n_jobs, **options)
        self.n_iter = max(self.n_iter, int(np.abs(steps).max(initial=0)))
        return ends, steps

    def match(self, ends: Floats, steps: Ints) -> Ints:
        """Return the mode of each resting point, adding modes that are new."""
        group, first = group_by_location(ends, self.link)
        reached, confirmed = ends[first], np.zeros(len(first), bool)
        polisher = self.polisher
        for finer in FINER if polisher is not None else ():
            assert polisher is not None
            reached, confirmed = polish(polisher, reached, self.field.bandwidth)
            doubtful = ~confirmed[group]
            if finer == 0.0 or not doubtful.any():
                break
            ends[doubtful], more = self.field.climb(
                ends[doubtful], tol=self.tol * finer, max_iter=PATIENCE * self.max_iter, n_jobs=self.n_jobs
            )
            steps[doubtful] = np.copysign(np.abs(steps[doubtful]) + np.abs(more), more)
            group, first = group_by_location(ends, self.link)
            reached = ends[first]
        self.n_iter = max(self.n_iter, int(np.abs(steps).max(initial=0)))
        unsettled = (steps < 0) & ~confirmed[group]
        if self.guide is not None and not confirmed.all():
            group, reached, confirmed = self._lead(self.guide, ends, group, reached, confirmed)
            unsettled[unsettled] = ~confirmed[group[unsettled]] | self._in_flight(ends[unsettled])
        elif polisher is not None and not confirmed.all():
            reached = self._farthest(ends, group, reached, confirmed)
        self.n_unsettled += int(unsettled.sum())
        index = self._number(reached)
        flat = np.flatnonzero(~confirmed)
        if len(flat) > 1 and polisher is not None:  # a connected set of stationary points is one mode
            together, first = group_by_location(reached[flat], PLATEAU * self.field.bandwidth)
            index[flat] = index[flat[first]][together]
        return index[group]

    def _farthest(self, ends: Floats, group: Ints, reached: Floats, confirmed: NDArray[np.bool_]) -> Floats:
        """Return the places reached; of a group that is not confirmed, its densest end, whichever row comes first.

        Along a ridge climbs may be cut short one behind another.
        """
        rows = np.flatnonzero(~confirmed[group])
        rows = rows[np.argsort(self.field.shift(ends[rows])[1], kind="stable")]
        reached = reached.copy()
        reached[group[rows]] = ends[rows]  # the last one stays
        return reached

    def _lead(
        self, guide: UphillField, ends: Floats, group: Ints, reached: Floats, confirmed: NDArray[np.bool_]
    ) -> tuple[Ints, Floats, NDArray[np.bool_]]:
        """Lead what rests unconfirmed uphill; return the groups of all ends, where they get to, and what is confirmed.

        Groups are single linkage, and may be as long as the ridge they lie on: they are cut up before.
        """
        rows = np.flatnonzero(~confirmed[group])
        h = self.field.bandwidth
        part, first = distinct_rows(np.floor((ends[rows] - ends[rows].min(axis=0)) / (APART * h)).astype(np.int64))
        tops, on_top = polish(guide, ascend(guide, ends[rows[first]], h, self.n_jobs), h)
        group = (np.cumsum(confirmed) - 1)[group]
        group[rows] = int(confirmed.sum()) + part
        return group, np.vstack([reached[confirmed], tops]), np.append(confirmed[confirmed], on_top)

    def _in_flight(self, places: Floats) -> NDArray[np.bool_]:
        """Tell where a step is so long that the place is none of rest, by any tolerance."""
        moved = self.field.shift(places)[0] - places
        return np.sqrt(np.square(moved).sum(axis=1)) > self.link

    def _number(self, reached: Floats) -> Ints:
        """Return the index of each position among the modes: of a known one within the link, or of a new one."""
        index = np.full(len(reached), -1)
        known = self.n_modes
        if known:
            distance, nearest = cKDTree(self.positions).query(reached, distance_upper_bound=self.link)
            index = np.where(np.isfinite(distance), nearest, -1)
        new = index < 0
        if new.any():
            group, first = group_by_location(reached[new], self.link)
            index[new] = known + group
            found = reached[new][first]
            self.positions = np.vstack([self.positions, found]) if known else found
        return index


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


def ascend(field: UphillField, positions: Floats, bandwidth: float, n_jobs: int | None = None) -> Floats:
    """Go uphill from each position until Newton's method can find the mode; return where that is.

    A step that does not lead up is cut down until it does, as in a trust region; where none does, the place is flat.
    """
    x, radius = positions.copy(), np.full(len(positions), STRIDE)
    step, concave, density = field.uphill(x, n_jobs)
    active = np.arange(len(x))
    for _ in range(ASCENT_STEPS):
        length = np.sqrt(np.square(step[active]).sum(axis=1)) / bandwidth
        going = (~concave[active] | (length > SHORTEST_STRIDE)) & (radius[active] > SHORTEST_STRIDE)
        active, length = active[going], length[going]
        if not active.size:
            break
        stride = np.minimum(length, radius[active])
        trial = x[active] + step[active] * (stride / np.maximum(length, SHORTEST_STRIDE))[:, None]
        there, concave_there, density_there = field.uphill(trial, n_jobs)
        up = density_there > density[active]
        risen = active[up]
        x[risen], step[risen], concave[risen] = trial[up], there[up], concave_there[up]
        density[risen] = density_there[up]
        radius[risen] = np.minimum(2.0 * radius[risen], LONGEST_STRIDE)
        radius[active[~up]] = 0.25 * stride[~up]
    return x


def group_by_location(x: Floats, link: float) -> tuple[NDArray[np.int64], Ints]:
    """Single linkage at distance ``link``: group of each row, and the first row of each group."""
    low = x.min(axis=0)
    cell, first = distinct_rows(x, lambda part: np.floor((part - low) / (0.25 * link)).astype(np.int64))
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
