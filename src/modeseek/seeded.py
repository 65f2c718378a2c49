r"""Mean shift as scikit-learn does it: flat kernel, climbs from seeds, points to the nearest centre.

A seed moves to the mean of the points within h of it until a step is at most ``tol`` h long,

    m(x) = mean of { x_i : |x_i - x| <= h }.

Where seeds end are candidates. By falling number of points in the last ball, and where these are equal by falling
coordinates, each candidate that is not within h of an earlier centre is a centre. A point belongs to the nearest one.

Every seed takes the steps of scikit-learn, so centres, their order, labels and the number of steps are the same; but
all seeds step together, equal ones as one, and neighbours share what their balls share (`BallField`).

D. Comaniciu and P. Meer, "Mean shift: a robust approach toward feature space analysis", IEEE PAMI 24 (2002).
"""

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from scipy.spatial.distance import cdist

from modeseek.cells import bit_patterns, distinct_rows
from modeseek.engines.threads import run_chunks
from modeseek.fields import Floats, Ints
from modeseek.fields.balls import BallField, compact_order, groups_in_order
from modeseek.result import Clusters, Problem

NOISE = -1
FEW_CENTRES = 64  # up to here every point is compared with every centre
PAIRS_AT_ONCE = 1 << 20
TIE = 1e-12  # of the distance: centres so close to equally near are compared exactly
SAMPLE = 2000  # rows that tell whether rows repeat
REGROUP = 3  # steps after which seeds keep their groups for a while: at first they draw together


@dataclass
class SeededClusters(Clusters):
    """Centres in scikit-learn's order; `label` gives any point, new or old, the nearest."""

    field: BallField
    n_iter: int
    n_unsettled: int  # seeds that max_iter stopped
    reach: float  # points farther from every centre are noise; infinite: none

    def label(self, points: NDArray[Any], **climbing: Any) -> NDArray[np.int32]:
        """Return the nearest centre of each point, the first of several, or NOISE."""
        return nearest(points, self.modes, self.reach, climbing.get("n_jobs"))

    def path(self, starts: Floats, tol: float, max_iter: int) -> Floats:
        """Return the positions at every step, (n_steps + 1, m, d); those that rest repeat."""
        positions, moving = [np.array(starts, np.float64)], np.ones(len(starts), bool)
        for _ in range(max_iter + 1):
            means, _ = self.field.shift(positions[-1])
            positions.append(np.where(moving[:, None], means, positions[-1]))
            moving &= _lengths(means - positions[-2]) > tol * self.field.radius
            if not moving.any():
                break
        return np.stack(positions)


def cluster_from_seeds(problem: Problem, seeds: NDArray[Any] | None, cluster_all: bool) -> SeededClusters:
    """Cluster by climbs of the flat kernel.

    Parameters
    ----------
    problem : Problem
        Points, weights and how to climb; its bandwidth is the radius.
    seeds : ndarray of shape (k, d) or None
        Where climbs start; None: from every point that has a weight.
    cluster_all : bool
        Whether points farther than the radius from every centre are put to the nearest, or are noise.

    Returns
    -------
    SeededClusters
        Centres in scikit-learn's order, and labels.

    Raises
    ------
    ValueError
        If no seed has a point within the radius.
    """
    problem.report("merge repeats")
    if seeds is not None and _hardly_repeats(problem.points):
        points = np.ascontiguousarray(problem.points, np.float64)
        weights = problem.weights if problem.weights.size else np.ones(problem.n)
        starts = _each_once(np.asarray(seeds, np.float64))
    else:
        number, first = distinct_rows(problem.points, bit_patterns)
        points = np.asarray(problem.points[first], np.float64)
        weights = np.bincount(number, problem.weights if problem.weights.size else None).astype(np.float64)
        starts = _each_once(points[number[weights[number] > 0.0]] if seeds is None else np.asarray(seeds, np.float64))
    problem.report(f"climb from {len(starts[0])} seeds")
    field = BallField(points, weights, problem.bandwidth, len(starts[0]))
    ends, totals, n_iter, n_unsettled = climb_together(field, starts[0], **problem.climbing)
    _report_lost(totals[starts[1]], problem.bandwidth)
    problem.report("remove near duplicates")
    centres = _centres(ends[starts[1]], totals[starts[1]], problem.bandwidth)
    problem.report("label")
    reach = np.inf if cluster_all else problem.bandwidth
    labels = nearest(problem.points, centres, reach, problem.n_jobs)
    inside = labels >= 0
    members = np.bincount(
        labels[inside], problem.weights[inside] if problem.weights.size else None, minlength=len(centres)
    )
    return SeededClusters(centres, members.astype(np.float64), labels, field, n_iter, n_unsettled, reach)


def _hardly_repeats(points: NDArray[Any]) -> bool:
    """Tell whether no row of a sample repeats: to merge the few that may would cost more than it saves."""
    sample = points[:: -(-len(points) // SAMPLE)]
    _, first = distinct_rows(sample, bit_patterns)
    return bool(len(first) == len(sample))


def _each_once(seeds: Floats) -> tuple[Floats, Ints]:
    """Return the distinct seeds, and the number of each seed among them."""
    number, first = distinct_rows(seeds, bit_patterns)
    return seeds[first], number


def climb_together(
    field: BallField, seeds: Floats, tol: float, max_iter: int, n_jobs: int | None
) -> tuple[Floats, Floats, int, int]:
    """Let every seed step until its step is at most ``tol`` radii long.

    Returns where each ends, the weight of its last ball (0: it has no neighbour), the number of steps of the longest
    climb as scikit-learn counts them (the last is not counted), and how many seeds max_iter stopped.
    """
    x, totals = seeds.copy(), np.zeros(len(seeds))
    moving, n_grouped = np.arange(len(seeds)), len(seeds) + 1
    for step in range(max_iter + 1):
        if step < REGROUP or 2 * len(moving) < n_grouped:
            order, _ = compact_order(x[moving], field.dense)
            moving, n_grouped = moving[order], len(moving)
        here = x[moving]
        means, weights = field.means(here, np.arange(len(moving)), groups_in_order(here, field.radius), n_jobs)
        x[moving], totals[moving] = means, weights
        moving = moving[(weights > 0.0) & ~(_lengths(means - here) <= tol * field.radius)]
        if not moving.size:
            break
    return x, totals, step, len(moving)


def _lengths(steps: Floats) -> Floats:
    return np.sqrt(np.square(steps).sum(axis=1))


def _report_lost(totals: Floats, radius: float) -> None:
    """Say how many seeds have no neighbour; refuse if none has."""
    n_lost = int((totals == 0.0).sum())
    if n_lost == len(totals):
        raise ValueError(
            f"No point was within bandwidth={radius:g} of any of the {n_lost} seeds. Use seeds among the points, or a "
            "larger bandwidth."
        )
    if n_lost:
        warnings.warn(
            f"{n_lost} of {len(totals)} seeds have no point within bandwidth={radius:g}, and lead to no cluster.",
            stacklevel=4,
        )


def _centres(ends: Floats, totals: Floats, radius: float) -> Floats:
    """Return the ends by falling weight of their balls, then by falling coordinates, none within r of one before."""
    ends, totals = ends[totals > 0.0], totals[totals > 0.0]
    number, first = distinct_rows(ends, bit_patterns)
    weights = np.empty(len(first))
    weights[number] = totals  # of seeds that end in one place the last counts, as in scikit-learn's dictionary
    places = ends[first]
    order = np.lexsort((*places.T[::-1], weights))[::-1]
    places = places[order]
    tree, left = cKDTree(places, balanced_tree=False), np.ones(len(places), bool)
    kept = []
    for i in range(len(places)):
        if left[i]:
            kept.append(i)
            near = np.array(tree.query_ball_point(places[i], radius * (1.0 + 1e-9)))
            left[near[_squares(places[near], places[i]) <= radius * radius]] = False
    return places[kept]


def nearest(
    points: NDArray[Any], centres: Floats, reach: float = np.inf, n_jobs: int | None = None
) -> NDArray[np.int32]:
    """Return the nearest centre of each point, the first of those equally near; NOISE beyond ``reach``."""
    labels = np.empty(len(points), np.int32)
    tree = cKDTree(centres) if len(centres) > FEW_CENTRES else None

    def work(_: int, start: int, stop: int) -> None:
        x = np.asarray(points[start:stop], np.float64)
        found = _nearest_of_few(x, centres) if tree is None else _nearest_of_many(x, centres, tree)
        far = np.sqrt(_squares(x, centres[found])) > reach
        labels[start:stop] = np.where(far, NOISE, found)

    run_chunks(len(points), work, n_jobs, PAIRS_AT_ONCE // FEW_CENTRES)
    return labels


def _nearest_of_few(x: Floats, centres: Floats) -> Ints:
    """Compare every point with every centre."""
    return cdist(x, centres, "sqeuclidean").argmin(axis=1)


def _nearest_of_many(x: Floats, centres: Floats, tree: cKDTree) -> Ints:
    """Do as `nearest`: a tree finds candidates; where two are equally near, all centres are compared."""
    distances, found = tree.query(x, k=2)
    rows = np.flatnonzero(distances[:, 1] <= distances[:, 0] * (1.0 + TIE))
    found = found[:, 0].astype(np.int64)
    at_once = max(1, PAIRS_AT_ONCE // len(centres))
    for start in range(0, len(rows), at_once):
        some = rows[start : start + at_once]
        found[some] = _nearest_of_few(x[some], centres)
    return found


def _squares(x: Floats, y: Floats) -> Floats:
    """Return the squared distances of rows, summed in the order of the columns."""
    total = np.zeros(len(x))
    for k in range(x.shape[1]):
        total += np.square(x[:, k] - y[..., k])
    return total
