"""What one look at a partition tells: rows, bounds, weights, what is not finite, and a few of its points."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from modeseek.distributed.sums import Exact
from modeseek.engines import data
from modeseek.fields import Floats, Ints

EVENLY = (500, 4096)  # rows of samples that routes look at: fetched together


class Look(NamedTuple):
    """What is known of a partition after one look."""

    n: int
    bounds: Floats  # (2, d); infinite and the wrong way round without rows
    total: Exact  # of the weights
    lightest: float  # above 0; infinite where there is none
    heaviest: float
    n_held: int  # rows of weight above 0
    held: Floats  # their bounds
    whole: bool  # whether all weights are whole numbers
    sample: NDArray[Any]  # points of the rows that were asked for


def sample_rows(n: int) -> Ints:
    """Return the rows of the samples that routes look at, in order."""
    ends, middles = EVENLY
    k = min(n, middles)
    return np.union1d(np.linspace(0, n - 1, ends).astype(np.int64), (2 * np.arange(k) + 1) * n // (2 * k))


def as_block(block: Any, dtype: np.dtype[Any], d: int) -> NDArray[Any]:
    """Return a partition, an array or a frame, as contiguous rows of a type."""
    if hasattr(block, "tocsr") or type(block).__module__.startswith("sparse"):
        raise TypeError(f"X has sparse partitions ({type(block).__name__}): pass dense ones.")
    points = np.asarray(block)
    if points.ndim != 2 or points.shape[1] != d:
        raise ValueError(f"A partition of X has shape {points.shape}, where {d} columns are expected.")
    return np.ascontiguousarray(points, dtype)


def look(number: int, block: Any, weights: Any, dtype: np.dtype[Any], d: int, rows: Ints) -> Look:
    """Look at a partition; ``rows`` of a sample beyond its end are left out."""
    points = as_block(block, dtype, d)
    n, sample = len(points), points[rows[rows < len(points)]]
    nothing = np.array([np.full(d, np.inf), np.full(d, -np.inf)])
    with in_partition(number):
        own = np.empty(0) if weights is None else _checked(weights, n)
        bounds = data.bounds(points, 1) if n else nothing
    if weights is None or not n:
        held = 1.0 if n else np.inf, 1.0 if n else 0.0, n, bounds
        return Look(n, bounds, Exact.of(own), *held, True, sample)
    above = own > 0.0
    held_bounds = bounds if above.all() else (data.bounds(points[above], 1) if above.any() else nothing)
    least, whole = float(own[above].min()) if above.any() else np.inf, bool((own == np.rint(own)).all())
    return Look(n, bounds, Exact.of(own), least, float(own.max()), int(above.sum()), held_bounds, whole, sample)


def union(bounds: list[Floats]) -> Floats:
    """Return the bounds of all."""
    return np.array([np.min([b[0] for b in bounds], axis=0), np.max([b[1] for b in bounds], axis=0)])


@contextmanager
def in_partition(number: int) -> Iterator[None]:
    """Let errors say in which partition they were."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"In partition {number} (counted from 0): {error}") from error


def _checked(weights: Any, n: int) -> Floats:
    """Return the weights of a partition; all of them may be zero."""
    own = np.asarray(weights)
    if own.ndim == 1 and len(own) == n and not own.any() and own.dtype.kind in "biuf":
        return np.zeros(n)
    return data.as_weights(own, n)
