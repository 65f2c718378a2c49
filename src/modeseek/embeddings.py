"""The route of many rows of many columns: where climbs on all points are not affordable, they are on the closest ones.

On the closest points (`modeseek.fields.closest`) time grows as n, memory is one more copy of the points. Nothing is
proven there, so that every label is *undecided* in the certificate; `MeanShift.audit` says how many are right.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from modeseek.cells import VALUES_AT_ONCE, bit_patterns, hashes
from modeseek.certificate import nothing_decided
from modeseek.climb import ModeFinder
from modeseek.engines.threads import run_chunks
from modeseek.fields import Floats, Ints
from modeseek.fields.closest import ClosestField
from modeseek.fields.closest_sums import CLOSEST
from modeseek.fields.directions import SphereDense
from modeseek.label import UNKNOWN, Counts
from modeseek.result import Clustering, Problem, finish

STEPS = 15
PAIR, PAIR_AND_COLUMN = 2e-9, 4e-11  # seconds of a step over all points, on one core
QUICK, PATIENCE = 2.0, 600.0  # seconds that climbs on all points may take, in "fast" and otherwise
FINER = 1e-3  # factor on tol for climbs that are not polished at their ends
PATIENCE_AT_REST = 10  # times max_iter that a slow climb may take more, as where ends are polished
FEW = 4 * CLOSEST  # points, and
FEW_COLUMNS = 16  # columns, up to which the closest ones are most of the work


def seconds_on_all(problem: Problem) -> float:
    """Estimate what climbs of all points on all points take."""
    return STEPS * (PAIR + PAIR_AND_COLUMN * problem.d) * float(problem.n) ** 2


def rows_are_many(problem: Problem) -> bool:
    """Tell whether the closest points are a small part of all."""
    return problem.n > FEW and problem.d > FEW_COLUMNS


def few_are_enough(problem: Problem, fidelity: str) -> bool:
    """Tell whether the closest points are all that is affordable, with this fidelity."""
    if fidelity == "certified" and problem.metric == "euclidean":
        return False
    allowed = {"fast": QUICK, "certified": PATIENCE, "exact": np.inf}[fidelity]
    return rows_are_many(problem) and seconds_on_all(problem) > allowed


def at_rest(problem: Problem, points: Floats, weights: Floats) -> ModeFinder:
    """Return a finder for directions of many columns on all points.

    There Newton's steps, and the traps that end climbs in fewer columns, cost more than climbs to the end.
    """
    climbing = problem.climbing | {"tol": FINER * problem.tol, "max_iter": (1 + PATIENCE_AT_REST) * problem.max_iter}
    return ModeFinder(SphereDense(points, weights, problem.bandwidth), None, **climbing)


def on_closest(problem: Problem, closest: int = CLOSEST) -> Clustering:
    """Cluster by climbs on the closest points."""
    problem.report("group")
    sphere = problem.metric == "sphere"
    field = ClosestField(
        problem.points, problem.weights, problem.bandwidth, sphere=sphere, closest=closest, n_jobs=problem.n_jobs
    )
    finder = ModeFinder(field, None, **problem.climbing)
    problem.report("find modes")
    finder.n_iter = field.find_modes(**problem.climbing)
    problem.report("climb")
    mode, steps = field.climb_all(**problem.climbing)
    finder.positions, finder.n_unsettled = field.modes, int((steps < 0).sum())
    finder.n_iter = max(finder.n_iter, int(np.abs(steps).max()))
    problem.report("label")
    labels = np.full(problem.n, UNKNOWN, np.int32)
    labels[field.order] = mode
    table = RowLabels(problem.points, labels)
    found = finish(problem, finder, table, labels, table.assign(problem.points, labels, problem.n_jobs))
    found.certificate = nothing_decided(found.modes, problem.n)
    return found


class RowLabels:
    """Labels of rows, found by two hashes of 64 bits, so that no copy of the rows is kept.

    Parameters
    ----------
    points : ndarray of shape (n, d)
        Rows.
    labels : ndarray of shape (n,)
        Their labels; equal rows get that of the first of them that has one.
    """

    def __init__(self, points: NDArray[Any], labels: NDArray[np.int32]):
        first, second = np.empty(len(points), np.int64), np.empty(len(points), np.int64)
        rows = max(1, VALUES_AT_ONCE // points.shape[1])
        for start in range(0, len(points), rows):
            part = slice(start, start + rows)
            first[part], second[part] = _two_hashes(points[part])
        known = np.flatnonzero(labels != UNKNOWN)
        self.first, index = np.unique(first[known], return_index=True)
        self.second, self.labels = second[known[index]], labels[known[index]]

    def assign(self, points: NDArray[Any], out: NDArray[np.int32], n_jobs: int | None = None) -> Counts:
        """Write the label of each row to ``out``, UNKNOWN where there is none; return the rows of each label."""

        def work(_: int, start: int, stop: int) -> None:
            first, second = _two_hashes(points[start:stop])
            place = np.minimum(np.searchsorted(self.first, first), len(self.first) - 1)
            same = (self.first[place] == first) & (self.second[place] == second)
            out[start:stop] = np.where(same, self.labels[place], UNKNOWN)

        run_chunks(len(points), work, n_jobs, max(1, VALUES_AT_ONCE // points.shape[1]))
        total = np.bincount(out + 1, minlength=int(self.labels.max()) + 2)
        return Counts(int(total[0]), total[1:])

    def relabel(self, names: NDArray[np.int32]) -> None:
        """Replace label i by names[i]."""
        self.labels = names[self.labels]


def _two_hashes(points: NDArray[Any]) -> tuple[Ints, Ints]:
    patterns = bit_patterns(points)
    return hashes(patterns), hashes(patterns[:, ::-1] ^ np.int64(0x5851F42D4C957F2D))
