r"""The rounds of blurring mean shift: points that move by each other, and become one where they coincide.

A round moves every point to the mean m(x) of the points as they lie when it begins. Which field sums them is chosen
anew for each round, by a modelled cost, as there are ever fewer points: a mesh (or a mesh for each patch) where they
are crowded, tiles of points where they are few. This module knows no clusters.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from modeseek.cells import bit_patterns, cell_indices, distinct_rows, hashes
from modeseek.fields import Floats, Ints
from modeseek.fields.dense import DenseField
from modeseek.fields.mesh import MeshField, mesh_size
from modeseek.fields.nodes import extent
from modeseek.fields.patches import PatchField, patches
from modeseek.fields.tiles import TileField, compact_order, pairs_within, reach_for, sweep_tiles
from modeseek.result import Problem

DENSE_POINTS = 512  # up to here nothing is compiled
COINCIDE = 1e-8  # bandwidths: points this close are one
WORTH_MERGING = 0.9  # of the points: merging must leave fewer
SAMPLE = 512  # points that tell whether merging is worth it
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
    n_rounds: int = 0
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


def move(problem: Problem, batch_size: int | None = None, keep: bool = True) -> Blurred:
    """Run the rounds: ``max_iter`` of them, or until none moves a point by more than ``tol`` bandwidths.

    The fields of the rounds are kept if asked for; only other points need them.
    """
    blurred = _start(problem)
    rounds = _simultaneous(blurred, problem) if batch_size is None else _in_batches(blurred, problem, batch_size)
    for number in range(problem.max_iter):
        problem.report(f"round {number + 1}, {len(blurred.positions)} points")
        moved_by, way = next(rounds)  # way (m,) of each point, in bandwidths
        blurred.n_rounds += 1
        if keep:
            blurred.rounds.append(moved_by)
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


def _simultaneous(blurred: Blurred, problem: Problem) -> Iterator[tuple[MovingField, Floats]]:
    """Move all points, round after round; yield what moved them, and the way of each."""
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
        way = _lengths(blurred.positions - x) / h
        _merge(blurred)
        yield moved_by, way


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
    side = COINCIDE * blurred.bandwidth
    sample = x[:: -(-len(x) // SAMPLE)]
    steps = np.diff(np.sort(sample[:, 0]))
    if len(x) == 1 or np.count_nonzero(steps <= side) < (1.0 - WORTH_MERGING) * len(steps):
        return  # the quickest look: along one axis
    low, high = extent(x)
    by_cell = float((high - low).max()) < 2.0**50 * side

    def keys(points: Floats) -> Ints:
        return cell_indices(points, low, side) if by_cell else bit_patterns(points)

    if len(np.unique(hashes(keys(sample)))) > WORTH_MERGING * len(sample):
        return
    number, first = distinct_rows(keys(x))
    if len(first) > WORTH_MERGING * len(x):
        return
    total = np.bincount(number, w).astype(np.float64)
    offsets = x - x[first][number]  # small: sums do not cancel
    shift = np.stack([np.bincount(number, w * column) for column in offsets.T], axis=-1) / total[:, None]
    blurred.positions, blurred.weights = x[first] + shift, total
    blurred.owners = np.where(blurred.owners >= 0, number[blurred.owners], -1)


def _reorder(blurred: Blurred, order: Ints) -> None:
    """Let the points have another order."""
    blurred.positions, blurred.weights = blurred.positions[order], blurred.weights[order]
    rank = np.argsort(order)
    blurred.owners = np.where(blurred.owners >= 0, rank[blurred.owners], -1)


# --------------------------------------------------------------------------------------------- batch by batch


def _in_batches(blurred: Blurred, problem: Problem, batch: int) -> Iterator[tuple[MovingField, Floats]]:
    """Move batches of rows in place, round after round; yield what moved them, and the way of each.

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
        yield moved_by, _lengths(blurred.positions - x) / h
