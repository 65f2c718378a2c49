"""Which field sums the points, from a modelled cost: pairs that are left after pruning, times seconds a pair.

The model knows what a pair costs each field, how many steps a climb takes there (traps end it after a few), and what
loading the compiled kernels takes; pairs are counted on a sample. It is right to a factor of two or so, while the
fields differ by ten and more.
"""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from modeseek.fields import REACH, Field, Floats
from modeseek.fields.blocks import BlocksField
from modeseek.fields.dense import DenseField
from modeseek.fields.grid import GridField

DENSE_POINTS = 512  # below, loading compiled kernels costs more than they save, whatever the model says
LOADING = 0.1  # seconds
STEPS, STEPS_TO_TRAP = 15, 3
DENSE_PAIR, GRID_PAIR, BLOCKS_PAIR, BLOCKS_COLUMN = 5e-9, 2e-9, 0.4e-9, 0.04e-9  # seconds a pair (and column)
SAMPLE = 64  # blocks whose pairs are counted


class PointField(Field, Protocol):
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


def seconds_of_exact_climbs(n: int, bounds: Floats, bandwidth: float) -> float:
    """Estimate what it costs to let every one of n points climb on the points."""
    pair = BLOCKS_PAIR + BLOCKS_COLUMN * bounds.shape[1]
    in_blocks = STEPS_TO_TRAP * pair * pairs_within_reach(n, n, bounds, bandwidth)
    return min(STEPS * DENSE_PAIR * float(n) ** 2, LOADING + in_blocks)
