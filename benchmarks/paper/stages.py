"""A proof taken apart: the steps of `modeseek.proven.by_proof` on one table, each timed, any of them left out.

    flood (traps, cores)  ->  tubes of cells  ->  tubes of points  ->  steps and climbs on the raw points

Nothing is proven here in another way than by a fit: the same functions are called in the same order.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

import modeseek.flood
from benchmarks.certificate import timed
from modeseek.certify import ProvenLabels, Tubes
from modeseek.fields import Ints
from modeseek.flood import cells_around
from modeseek.label import UNKNOWN
from modeseek.proven import MOST_LOST, _climb_exactly, flooded
from modeseek.result import Problem


@dataclass(frozen=True)
class Without:
    """What is left out of a proof.

    *traps*: cells in them count for nothing, and no tube ends in one; cores still begin at the modes that traps prove.
    *cores*: only cells in traps are known after the flood. *cells*, *points*: tubes of cells, of points. *raw*: steps
    and climbs on the raw points.
    """

    traps: bool = False
    cores: bool = False
    cells: bool = False
    points: bool = False
    raw: bool = False


@dataclass
class Stage:
    """One step: its seconds, and the labels known after it (UNKNOWN: none)."""

    name: str
    seconds: float
    labels: NDArray[np.int32]

    @property
    def open(self) -> float:
        """Share of the points that have no label yet."""
        return float((self.labels == UNKNOWN).mean())


EVERYTHING = Without()


def stages(problem: Problem, spacing: float, without: Without = EVERYTHING) -> tuple[list[Stage], Tubes]:
    """Run a proof on a table of this spacing (in bandwidths), and return its stages and what they leave."""
    seconds, tubes = timed(lambda: _flood(problem, spacing, without))
    found = [Stage("flood", seconds, _known(problem, tubes))]
    if not without.cells:
        seconds, _ = timed(lambda: _settle_cells(problem, tubes, without.points))
        found.append(Stage("tubes of cells", seconds, _known(problem, tubes)))
    for name, left_out in (("tubes of points", without.points), ("raw points", without.raw)):
        if left_out:
            continue
        labels = found[-1].labels.copy()
        rows = np.flatnonzero(labels == UNKNOWN)
        seconds, settled = timed(lambda name=name, rows=rows: _settle_rows(problem, tubes, rows, name))
        labels[rows] = settled
        found.append(Stage(name, seconds, labels))
    return found, tubes


def _known(problem: Problem, tubes: Tubes) -> NDArray[np.int32]:
    labels = np.empty(problem.n, np.int32)
    tubes.table.assign(problem.points, labels, problem.n_jobs)
    return labels


def _settle_rows(problem: Problem, tubes: Tubes, rows: Ints, name: str) -> NDArray[np.integer]:
    if name == "tubes of points":
        return tubes.settle_points(problem.points, rows, problem.n_jobs)
    return _climb_exactly(problem, ProvenLabels(tubes), rows) if rows.size else np.empty(0, np.int32)


def _settle_cells(problem: Problem, tubes: Tubes, always: bool) -> None:
    """Do as `by_proof`: cells where they are fewer than open points, or where a sample of points is hard."""
    hard = always or tubes.lost_share(problem.points, problem.n_jobs) > MOST_LOST
    cells, points = tubes.open_cells(problem.n, problem.lightest)
    if hard or points.sum() > len(cells):
        tubes.settle_cells(cells, points, problem.n_jobs)


def _flood(problem: Problem, spacing: float, without: Without) -> Tubes:
    if without.traps:
        with _cores_only():
            _, tubes, _ = flooded(problem, spacing)
        tubes.bounds.near[:, 5] = UNKNOWN  # no trap is beside any cell
        tubes.traps.radii[:] = 0.0
        return tubes
    _, tubes, _ = flooded(problem, spacing)
    if without.cores:
        tubes.table.cells[:] = UNKNOWN
        for k, (nodes, far) in enumerate(cells_around(tubes.field, tubes.traps.centres, tubes.traps.radii)):
            tubes.table.cells[nodes[far <= tubes.traps.radii[k]]] = k
    return tubes


@contextmanager
def _cores_only() -> Iterator[None]:
    """Let a flood prove its traps as ever, but not label the cells in them."""

    def around(field, centres, radii):  # traps are looked for within one and the same radius, labelled within their own
        wanted = len(radii) and (radii == modeseek.flood.WIDEST * field.bandwidth).all()
        return cells_around(field, centres, radii) if wanted else iter(())

    try:
        modeseek.flood.cells_around = around
        yield
    finally:
        modeseek.flood.cells_around = cells_around
