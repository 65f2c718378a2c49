r"""Blurring mean shift: the data themselves move, round after round, and end in one place for each cluster.

    X <- m(X),    m(x) = sum_i w_i g(|x - x_i| / h) x_i / sum_i w_i g(|x - x_i| / h),    g(r) = exp(-r^2 / 2)

where the sums are over the points as they lie at the beginning of the round (Fukunaga & Hostetler 1975; Cheng 1995).
A Gaussian cluster of variance s^2 has variance s^2 (s^2 / (s^2 + h^2))^2 a round later: it shrinks cubically
(Carreira-Perpinan, "Fast nonparametric clustering with Gaussian blurring mean-shift", ICML 2006), and points that
coincide become one weighted point, so late rounds cost next to nothing. Clusters attract each other for ever, if
faintly, so blurring ends when a round moves no point by more than a tolerance.

With a batch size the update is in place: a batch sees the batches before it where they have just moved to. That is
the fast.ai notebook's form; its result depends on the batch size and on the order of the rows.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import cKDTree

from modeseek.cells import bit_patterns, cell_indices, distinct_rows, hashes
from modeseek.climb import group_by_location
from modeseek.engines import data
from modeseek.fields import Floats, Ints
from modeseek.fields.dense import DenseField
from modeseek.fields.mesh import MeshField, mesh_size
from modeseek.fields.nodes import extent
from modeseek.fields.patches import PatchField, patches
from modeseek.fields.tiles import TileField, compact_order, pairs_within, reach_for, sweep_tiles
from modeseek.label import KeyLabels
from modeseek.result import Problem

DENSE_POINTS = 512  # up to here nothing is compiled
COINCIDE = 1e-8  # bandwidths: points this close are one
WORTH_MERGING = 0.9  # of the points: merging must leave fewer
SAMPLE = 512  # points that tell whether merging is worth it
TOGETHER = 0.1  # bandwidths: at the end, points linked by shorter distances have come together
MAX_NODES = 1 << 23  # 256 MiB of tables
MAX_RATIO = 1e12  # of all weight and the least one: beyond, exponentials in tiles are not exact enough
FEW_PAIRS = 4_000_000  # so few are summed before a mesh is considered
# nanoseconds: a pair of points; a node and tap; a point on a mesh, by 8^(d - 2); a point to be put into patches
PAIR, NODE, POINT, PATCHING = 0.8, 0.15, 100.0, 1000.0
CROWD = 2000  # points of a patch that may have a mesh


class MovingField(Protocol):
    """The points as they lie when a round begins."""

    def advance(self, n_jobs: int | None = None) -> Floats:
        """Return where each of the points moves in the round."""
        ...

    def carry(self, queries: Floats, n_jobs: int | None = None) -> Floats:
        """Return where other points move in the round."""
        ...


@dataclass
class Blurred:
    """Where the data have moved, and the fields that moved them: one for each round."""

    positions: Floats  # (m, d), distinct points about ``centre``
    weights: Floats  # (m,)
    owners: Ints  # (n,) the point that each row has become, -1 for rows of weight 0
    centre: Floats
    bandwidth: float
    rounds: list[MovingField] = field(default_factory=list)
    n_moving: int = 0  # rows that the last round moved by more than the tolerance

    def carry(self, points: NDArray[Any], n_jobs: int | None = None) -> Floats:
        """Return where other points are carried by the rounds, (m, d)."""
        x = points - self.centre
        for moved_by in self.rounds:
            x = moved_by.carry(x, n_jobs)
        return x + self.centre

    def rows(self, points: NDArray[Any], n_jobs: int | None = None) -> Floats:
        """Return where each row of the data has moved, (n, d)."""
        out = self.positions[self.owners] + self.centre
        idle = self.owners < 0
        if idle.any():
            out[idle] = self.carry(points[idle], n_jobs)
        return out


def blur(
    X: ArrayLike,
    bandwidth: float,
    *,
    n_rounds: int = 5,
    batch_size: int | None = None,
    sample_weight: ArrayLike | None = None,
    n_jobs: int | None = None,
) -> NDArray[Any]:
    r"""Move points by blurring mean shift with a Gaussian kernel, and return them.

    Each round moves every point to the weighted mean of its surroundings, x <- m(x). This is the fast.ai notebook's
    ``meanshift(data, bs)`` with ``batch_size=bs``, and its simultaneous form without.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features)
        Points; left unchanged.
    bandwidth : float
        Standard deviation h of the Gaussian, in the units of X.
    n_rounds : int, default=5
        Number of rounds.
    batch_size : int, optional
        None: all points of a round move at once. A number: rows move in place, so many at a time, and a batch sees
        those before it where they have just moved to; the result then depends on the number.
    sample_weight : array-like of shape (n_samples,), optional
        Weights, at least 0: a point of weight 2 pulls like two; one of weight 0 is moved but pulls nothing.
    n_jobs : int, optional
        Threads; None and -1 mean all cores. The result is the same to the bit for any number.

    Returns
    -------
    ndarray of shape (n_samples, n_features)
        The moved points, in the dtype of X (float64 for integers). Computed in float64: within 1e-5 bandwidths, and
        mostly far closer, of the sums over all points.

    Raises
    ------
    ValueError
        If X is empty or not finite, or a parameter is out of range.
    TypeError
        If X does not hold real numbers, or a number is not one.

    See Also
    --------
    MeanShift : ``MeanShift(blurring=True)`` clusters by it.

    Examples
    --------
    >>> import numpy as np
    >>> import modeseek as ms
    >>> X = np.array([[0.0], [4.0], [20.0]])
    >>> ms.blur(X, 2.5, n_rounds=1).ravel().round(4)
    array([ 0.8702,  3.1298, 20.    ])
    >>> ms.blur(X, 2.5, n_rounds=1, batch_size=1).ravel().round(4)
    array([ 0.8702,  3.0187, 20.    ])
    """
    h = data.positive(bandwidth, "bandwidth")
    points = data.as_points(X)
    weights = data.as_weights(sample_weight, len(points))
    bounds = data.bounds(points, n_jobs)
    data.check_scale(bounds, h)
    n_rounds = data.whole(n_rounds, "n_rounds", 0)
    if batch_size is not None:
        batch_size = data.whole(batch_size, "batch_size", 1)
    problem = Problem(points, weights, bounds, h, tol=-1.0, max_iter=n_rounds, n_jobs=n_jobs)
    return move(problem, batch_size).rows(points, n_jobs).astype(points.dtype)


def move(problem: Problem, batch_size: int | None = None) -> Blurred:
    """Run the rounds: ``max_iter`` of them, or until none moves a point by more than ``tol`` bandwidths."""
    blurred = _start(problem)
    rounds = _simultaneous(blurred, problem) if batch_size is None else _in_batches(blurred, problem, batch_size)
    for number in range(problem.max_iter):
        problem.report(f"round {number + 1}, {len(blurred.positions)} points")
        way = next(rounds)  # (m,) of each point, in bandwidths
        moving = way > problem.tol
        if not moving.any():
            blurred.n_moving = 0
            break
        blurred.n_moving = int(moving.sum())
    return blurred


def _start(problem: Problem) -> Blurred:
    """Points about the middle of their bounds; those of weight 0 pull nothing and are left out."""
    centre = 0.5 * problem.bounds[0] + 0.5 * problem.bounds[1]
    kept = problem.weights > 0.0 if problem.weights.size else np.ones(problem.n, bool)
    positions = problem.points[kept] - centre
    weights = problem.weights[kept] if problem.weights.size else np.ones(problem.n)
    owners = np.where(kept, np.cumsum(kept) - 1, -1)
    return Blurred(positions, weights, owners, centre, problem.bandwidth)


def _is_dense(blurred: Blurred, n: int) -> bool:
    """Tell whether sums are over all points: few of them, many columns, or weights of very different size."""
    w = blurred.weights
    return n <= DENSE_POINTS or blurred.positions.shape[1] > 3 or float(w.sum()) > MAX_RATIO * float(w.min())


# ------------------------------------------------------------------------------------------ all points at once


def _simultaneous(blurred: Blurred, problem: Problem) -> Iterator[Floats]:
    """Move all points, round after round; yield the way of each."""
    h, n_jobs = problem.bandwidth, problem.n_jobs
    dense, sorted_ = _is_dense(blurred, problem.n), False
    _merge(blurred)
    while True:
        x, w = blurred.positions, blurred.weights
        moved_by: MovingField | None = DenseField(x, w, h) if dense else _crowd_field(x, w, h, n_jobs)
        if moved_by is None:
            if not sorted_:  # once: points that move together stay together
                _reorder(blurred, compact_order(x))
                x, w, sorted_ = blurred.positions, blurred.weights, True
            moved_by = TileField(x, w, h)
        blurred.positions = moved_by.advance(n_jobs)
        blurred.rounds.append(moved_by)
        way = _lengths(blurred.positions - x) / h
        _merge(blurred)
        yield way


def _crowd_field(x: Floats, weights: Floats, h: float, n_jobs: int | None) -> MovingField | None:
    """Return a mesh, or meshes, where that is quicker than summing pairs of points; else None."""
    if len(x) ** 2 <= FEW_PAIRS:
        return None
    pairs = pairs_within(x, reach_for(weights) * h)
    nodes, cost = _mesh_cost(x, weights, h)
    if nodes <= MAX_NODES and cost < PAIR * pairs:
        return MeshField(x, weights, h, n_jobs)
    if PAIR * pairs < PATCHING * len(x):
        return None
    crowded = []
    for rows in patches(x, reach_for(weights) * h, CROWD):
        nodes, cost = _mesh_cost(x[rows], weights[rows], h)
        if nodes <= MAX_NODES and cost < PAIR * float(len(rows)) ** 2:
            crowded.append(rows)
    return PatchField(x, weights, h, crowded, n_jobs) if crowded else None


def _mesh_cost(x: Floats, weights: Floats, h: float) -> tuple[int, float]:
    """Return the nodes of a mesh, and the nanoseconds of a round on it."""
    d = x.shape[1]
    nodes, taps = mesh_size(x, weights, h)
    return nodes, NODE * nodes * taps * (d * (d + 3) / 2) + POINT * len(x) * 8.0 ** (d - 2)


def _lengths(x: Floats) -> Floats:
    """Return the length of each row."""
    return np.sqrt(np.einsum("ij,ij->i", x, x))


def _merge(blurred: Blurred) -> None:
    """Let points that coincide become one of their weights' sum, where that leaves clearly fewer."""
    x, w = blurred.positions, blurred.weights
    (low, high), side = extent(x), COINCIDE * blurred.bandwidth
    by_cell = float((high - low).max()) < 2.0**50 * side

    def keys(points: Floats) -> Ints:
        return cell_indices(points, low, side) if by_cell else bit_patterns(points)

    sample = hashes(keys(x[:: -(-len(x) // SAMPLE)]))
    if len(np.unique(sample)) > WORTH_MERGING * len(sample):
        return
    number, first = distinct_rows(keys(x))
    if len(first) > WORTH_MERGING * len(x):
        return
    total = np.bincount(number, w)
    offsets = x - x[first][number]  # small: sums do not cancel
    shift = np.stack([np.bincount(number, w * column) for column in offsets.T], axis=-1) / total[:, None]
    blurred.positions, blurred.weights = x[first] + shift, total
    blurred.owners = np.where(blurred.owners >= 0, number[blurred.owners], -1)


def _reorder(blurred: Blurred, order: Ints) -> None:
    """Let the points have another order."""
    blurred.positions, blurred.weights = blurred.positions[order], blurred.weights[order]
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    blurred.owners = np.where(blurred.owners >= 0, rank[blurred.owners], -1)


# --------------------------------------------------------------------------------------------- batch by batch


def _in_batches(blurred: Blurred, problem: Problem, batch: int) -> Iterator[Floats]:
    """Move batches of rows in place, round after round; yield the way of each point.

    A new point is carried as if it were a batch of its own after the last: by the points where a round leaves them.
    """
    h = problem.bandwidth
    dense = _is_dense(blurred, problem.n)
    if not dense:
        _reorder(blurred, compact_order(blurred.positions))
    place = blurred.owners  # of each row of the data, -1 for none
    while True:
        x, w = blurred.positions, blurred.weights
        moved_by: MovingField
        if dense:
            moved_by = DenseField(x, w, h)
            for start in range(0, len(place), batch):
                rows = place[start : start + batch]
                moved_by.move(rows[rows >= 0], problem.n_jobs)
            blurred.positions = moved_by.positions()
        else:
            blurred.positions = sweep_tiles(x, w, place, batch, h)
            moved_by = TileField(blurred.positions, w, h)
        blurred.rounds.append(moved_by)
        yield _lengths(blurred.positions - x) / h


# --------------------------------------------------------------------------------------------------- clustering


@dataclass
class BlurredClusters:
    """What blurring found; `label` gives any point, new or old, the label that the fit gives it."""

    modes: Floats  # (k, d), by decreasing weight
    weights: Floats  # (k,)
    labels: NDArray[np.int32]  # (n,)
    blurred: Blurred
    groups: NDArray[np.int32]  # (m,) the label of each distinct point at the end
    points: NDArray[Any]  # (n, d) a copy of the data: their labels are known, not found again
    sketch: None = None
    known: KeyLabels | None = None

    @property
    def n_iter(self) -> int:
        """Number of rounds."""
        return len(self.blurred.rounds)

    @property
    def n_unsettled(self) -> int:
        """Points that the last round moved by more than the tolerance."""
        return self.blurred.n_moving

    def label(self, points: NDArray[Any], n_jobs: int | None = None, **_: object) -> NDArray[np.int32]:
        """Label points: those of the fit as the fit did, others by the cluster nearest to where they are carried."""
        if self.known is None:  # the first call pays for sorting the data
            known = KeyLabels(self.points, bit_patterns)
            known.labels[known.numbers] = self.labels
            self.known = known
        out = np.empty(len(points), np.int32)
        if self.known.assign(points, out, n_jobs).unknown:
            rows = np.flatnonzero(out < 0)
            out[rows] = self._nearest(self.blurred.carry(points[rows], n_jobs))
        return out

    def _nearest(self, positions: Floats) -> NDArray[np.int32]:
        blurred = self.blurred
        return self.groups[cKDTree(blurred.positions).query(positions - blurred.centre)[1]]

    def path(self, points: NDArray[Any], n_jobs: int | None = None) -> Floats:
        """Return the positions of points after each round, (n_rounds + 1, m, d), the first being the points."""
        x = points - self.blurred.centre
        path = [x]
        for moved_by in self.blurred.rounds:
            path.append(moved_by.carry(path[-1], n_jobs))
        return np.stack(path) + self.blurred.centre


def cluster_by_blurring(problem: Problem, batch_size: int | None = None) -> BlurredClusters:
    """Blur, and let points that have come together be one cluster."""
    blurred = move(problem, batch_size)
    problem.report("label")
    x, w = blurred.positions, blurred.weights
    group, _ = group_by_location(x, TOGETHER * problem.bandwidth)
    weights = np.bincount(group, w)
    modes = np.stack([np.bincount(group, w * column) for column in x.T], axis=-1) / weights[:, None]
    order = np.lexsort((*modes.T[::-1], -weights))
    groups = np.argsort(order).astype(np.int32)[group]
    labels = groups[blurred.owners]
    found = BlurredClusters(
        modes[order] + blurred.centre, weights[order], labels, blurred, groups, problem.points.copy()
    )  # fmt: skip
    idle = np.flatnonzero(blurred.owners < 0)
    if len(idle):
        labels[idle] = found._nearest(blurred.carry(problem.points[idle], problem.n_jobs))
    return found
