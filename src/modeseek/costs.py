"""Which field sums the points, from a modelled cost: pairs that are left after pruning, times seconds a pair.

The model knows what a pair costs each field, how many steps a climb takes there (traps end it after a few), and what
loading the compiled kernels takes; pairs are counted on a sample. It is right to a factor of two or so, while the
fields differ by ten and more.

Whether all points climb at all, or a table is made, is decided before there is a field. Steps are what differs most
then: around clear modes wide traps end a climb after a few, on a plateau or among the shallow modes of noise it creeps
for hundreds, mostly in float64. So a few climbs are tried on a sample of the points.

The fast route has a model of its own, of climbs that end only where they rest: those on ridges then take most steps
of all. It is coarser, a factor of ten is possible, but what it compares errs alike.
"""

import math
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from modeseek.fields import REACH, Floats, GaussianField, Ints
from modeseek.fields.blocks import BlocksField
from modeseek.fields.compact import LEAF
from modeseek.fields.dense import DenseField
from modeseek.fields.grid import GridField

DENSE_POINTS = 512  # below, loading compiled kernels costs more than they save, whatever the model says
LOADING = 0.1  # seconds
STEPS, STEPS_TO_TRAP = 15, 3
DENSE_PAIR, GRID_PAIR, BLOCKS_PAIR, BLOCKS_COLUMN = 5e-9, 2e-9, 0.4e-9, 0.04e-9  # seconds a pair (and column)
SAMPLE = 64  # blocks whose pairs are counted
STEPS_TO_REST = 1000  # on ridges, too
STEPS_OF_BLOCKS, BLOCK, RAGGED = 500, 600, 3.0  # steps; pairs a point beside those in reach, and times those in reach
NODE_SECONDS = {1: 0.15e-6, 2: 0.3e-6, 3: 0.5e-6}  # sketching, tabulating, labelling, a node
TABLE_STEP = {1: 1e-8, 2: 3e-8, 3: 1e-7}  # seconds
PROVEN_NODE = {1: 1e-6, 2: 0.7e-6, 3: 1.2e-6}  # the same with bounds and flood, seconds a node
TUBE_STEP = 5e-8  # seconds
UNSORTED_PAIR, SORTED_POINT = 1e-9, 1.5e-7  # seconds: a pair of a step over all points, and what sorting costs a point
BALL = {1: 2.0, 2: math.pi, 3: 4.0 / 3.0 * math.pi}  # volume of the unit ball
QUERIES, OTHERS = 64, 1 << 14  # of the sample on which neighbours are counted
TRIED, TRIED_ON, TRIED_STEPS = 8, 4096, 100  # climbs that are tried, points of their sample, steps at most
CUT_SHORT = 300  # steps of a climb that was cut short
CREEPING = 20  # steps to rest: with more than these traps are too small to end climbs
FLOAT64 = 2.5  # what a pair costs in float64, where bounds of float32 grow too large, beside float32
TOL = 1e-3  # bandwidths: tolerance of the climbs that are tried
TILE = 60e-6  # seconds of a step for each tile, whatever its pairs


class PointField(GaussianField, Protocol):
    """A field on points, which polishes too."""

    def newton(self, queries: Floats) -> tuple[Floats, NDArray[np.bool_]]:
        """Return the Newton step to the stationary point near each query, and whether log f is concave there."""
        ...


def choose_field(points: Floats, weights: Floats, bandwidth: float) -> tuple[PointField, str]:
    """Return the field on which climbs from all the points cost least, and why in words.

    Parameters
    ----------
    points : ndarray of shape (n, d)
        Points.
    weights : ndarray of shape (n,)
        Their weights.
    bandwidth : float
        Standard deviation of the Gaussian.
    """
    n, d = points.shape
    if n <= DENSE_POINTS:
        return DenseField(points, weights, bandwidth), f"dense: no more than {DENSE_POINTS} points"
    seconds = {"dense": STEPS * DENSE_PAIR * n * n}
    if seconds["dense"] <= LOADING:
        return DenseField(points, weights, bandwidth), f"dense: about {seconds['dense']:.2g} s"
    blocks = BlocksField(points, weights, bandwidth)
    in_blocks, in_reach = blocks.pairs_left(REACH, SAMPLE)
    seconds["blocks"] = LOADING + STEPS_TO_TRAP * (BLOCKS_PAIR + BLOCKS_COLUMN * d) * in_blocks
    if d <= 3:
        seconds["grid"] = LOADING + STEPS * GRID_PAIR * in_reach
    best = min(seconds, key=lambda name: seconds[name])
    why = f"{in_blocks / (1.0 * n * n):.1%} of all pairs in blocks within reach; modelled: " + ", ".join(
        f"{name} {cost:.2g} s" for name, cost in sorted(seconds.items(), key=lambda item: item[1])
    )
    if best == "grid":
        return GridField(points, weights, bandwidth), f"grid: {why}"
    if best == "dense":
        return DenseField(points, weights, bandwidth), f"dense: {why}"
    return blocks, f"blocks: {why}"


def pairs_within_reach(starts: int, n: int, bounds: Floats, bandwidth: float) -> float:
    """Estimate the pairs that one step of so many starts sums, from the bounds (2, d) of the data alone."""
    extent = np.maximum(bounds[1] - bounds[0], bandwidth)
    return float(starts) * n * float(np.minimum(2.0 * REACH * bandwidth / extent, 1.0).prod())


def seconds_of_exact_climbs(points: NDArray[Any], bounds: Floats, bandwidth: float, enough: float = np.inf) -> float:
    """Estimate what it costs to let every point climb on the points.

    Parameters
    ----------
    points : ndarray of shape (n, d)
        Points.
    bounds : ndarray of shape (2, d)
        Their bounds.
    bandwidth : float
        Standard deviation of the Gaussian.
    enough : float, default infinite
        Seconds: where even evenly spread points and wide traps cost more, that is returned, and nothing is tried.
    """
    n, d = points.shape
    pair = BLOCKS_PAIR + BLOCKS_COLUMN * d
    least = LOADING + STEPS_TO_TRAP * pair * pairs_within_reach(n, n, bounds, bandwidth)
    least = min(STEPS * DENSE_PAIR * float(n) ** 2, least)
    if least > enough:
        return least
    steps, share = _try_climbs(points, bandwidth)
    dense = steps * DENSE_PAIR * float(n) ** 2
    if steps > CREEPING:
        pair *= FLOAT64
    else:
        steps = min(steps, STEPS_TO_TRAP)
    return min(dense, LOADING + steps * (pair * share * float(n) ** 2 + TILE * n / LEAF))


def _try_climbs(points: NDArray[Any], bandwidth: float) -> tuple[float, float]:
    """Return the mean steps to rest of a few climbs on a sample, and the share of all pairs in tiles within reach.

    Tiles are as wide as those of evenly spread points of the same variance.
    """
    n, d = points.shape
    sample = np.asarray(points[_spread(n, TRIED_ON)], np.float64)
    starts = sample[_spread(len(sample), TRIED)]
    width = np.sqrt(12.0) * sample.std(axis=0) * min(1.0, LEAF / n) ** (1.0 / d)
    near = np.abs(starts[:, None] - sample) <= REACH * bandwidth + width
    _, steps = DenseField(sample, [], bandwidth).climb(starts, tol=TOL, max_iter=TRIED_STEPS)
    return float(np.where(steps < 0, CUT_SHORT, steps).mean()), float(near.all(axis=2).mean())


def _spread(n: int, most: int) -> Ints:
    """Return up to so many of n rows: the middles of parts of equal length."""
    k = min(n, most)
    return (2 * np.arange(k) + 1) * n // (2 * k)


def seconds_of_table(n: int, n_nodes: int, d: int) -> float:
    """Estimate what it costs to tabulate the kernel on so many nodes and to climb there for the cells of n points."""
    return NODE_SECONDS[d] * n_nodes + STEPS_TO_REST * TABLE_STEP[d] * min(n, n_nodes)


def seconds_of_climbs(points: NDArray[Any], reach: float, side: float) -> tuple[float, float]:
    """Estimate what it costs to climb for every point on all points, and on the means of cells of a side.

    ``reach`` is the radius of the sums. Points are summed in blocks, of which many lie in reach only in part.
    """
    n, d = points.shape
    near = neighbours(points, reach)
    in_blocks = RAGGED * float(near.mean()) + BLOCK
    in_cells = float(np.minimum(near, BALL[d] * (reach / side) ** d).mean())
    on_points = STEPS_OF_BLOCKS * (BLOCKS_PAIR + BLOCKS_COLUMN * d) * in_blocks
    return n * on_points, n * STEPS_TO_REST * GRID_PAIR * in_cells


def neighbours(points: NDArray[Any], radius: float) -> Floats:
    """Estimate how many points there are within a radius of some of them, from as many more as is cheap."""
    n = len(points)
    queries = points[_spread(n, QUERIES)].astype(np.float64)
    others = points[_spread(n, OTHERS)].astype(np.float64)
    squares = sum(np.square(np.subtract.outer(q, x)) for q, x in zip(queries.T, others.T, strict=True))
    return np.count_nonzero(squares <= radius * radius, axis=1) * (n / len(others))
