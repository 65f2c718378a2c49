r"""Lloyd's rounds on the partitions of a Dask collection: labels where the points are, sums in fixed point.

Every round sends the centres out, labels each point by the nearest (in float64, as `kmeans.nearest` does), and adds up
offsets from the middle of the data by label, rounded to 2^-52 of the largest: integers, which no order changes. So the
centres have the same bits for any number of partitions and workers; from those of points in memory, which are added up
in float64, they differ by rounding. Labels are not kept between rounds: they follow from the centres.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from modeseek.distributed.parts import Parts
from modeseek.distributed.sums import as_floats, fixed, unit_of
from modeseek.fields import Floats, Ints
from modeseek.kmeans.nearest import check_span, nearest

SEEDS_FROM, PER_CLUSTER = 1 << 17, 64  # points, evenly spaced, that starts are drawn from


class Frame(NamedTuple):
    """From where offsets count, and the units of what is summed: offsets, their squares, weights."""

    middle: Floats
    offset: float
    square: float
    weight: float


class Sums(NamedTuple):
    """Fixed-point sums of offsets (d, 2, k), of weights (2, k), of squared distances (2, k), and numbers of points.

    Squared distances are summed in the end only.
    """

    offsets: Ints
    weights: Ints
    squares: Ints
    counts: Ints


@dataclass
class Found:
    """Where the rounds ended."""

    centres: NDArray[Any]
    inertia: float
    n_iter: int
    masses: Floats
    distinct: int  # clusters that have points


def frame_of(parts: Parts) -> Frame:
    """Choose where offsets count from."""
    check_span(parts.bounds)
    low, high = parts.bounds
    middle = 0.5 * low + 0.5 * high
    heaviest = max(look.heaviest for look in parts.looks)
    reach = 2.0 * float((high - middle).max())
    return Frame(
        middle, unit_of(heaviest * reach), unit_of(heaviest * len(low) * (4.0 * reach) ** 2), unit_of(heaviest)
    )


def variance(parts: Parts, frame: Frame) -> float:
    """Return the mean variance of the columns; weights do not count."""
    reach = 2.0 * float((parts.bounds[1] - frame.middle).max())
    units = unit_of(reach), unit_of(reach * reach)
    first, second = parts.combine(_moments, _add_pairs, frame.middle, *units)
    means = np.array([as_floats(column, units[0])[0] for column in first]) / parts.n
    squares = np.array([as_floats(column, units[1])[0] for column in second]) / parts.n
    return float(np.maximum(squares - np.square(means), 0.0).mean())


def lloyd(
    parts: Parts,
    frame: Frame,
    start: NDArray[Any],
    max_iter: int,
    tol: float,
    report: Callable[[str], None] | None = None,
) -> Found:
    """Run Lloyd's rounds from a start, until nothing changes, or squared shifts sum to at most ``tol``."""
    centres, before, n_iter = np.asarray(start, np.float64), None, 0
    for n_iter in range(1, max_iter + 1):
        sums = parts.combine(_round, _add, centres, frame, False)
        new = _means(parts, frame, sums, centres)
        shift = float(np.square(new - centres).sum())
        same = before is not None and all(np.array_equal(a, b) for a, b in zip(sums[:2], before[:2], strict=True))
        centres, before = new, sums
        if report:
            report(f"Iteration {n_iter - 1}: squared shifts of the centres sum to {shift:g}.")
        if same or shift <= tol:
            break
    published = np.ascontiguousarray(centres.astype(parts.dtype))
    sums = parts.combine(_round, _add, published.astype(np.float64), frame, True)
    inertia = float(as_floats(sums.squares.sum(axis=1, keepdims=True), frame.square)[0])
    return Found(published, inertia, n_iter, as_floats(sums.weights, frame.weight), int((sums.counts > 0).sum()))


def inertia(parts: Parts, centres: NDArray[Any]) -> float:
    """Return the weighted sum of squared distances from the nearest centres."""
    largest = float(np.abs(centres - parts.bounds[:, None]).max())
    heaviest = max(look.heaviest for look in parts.looks)
    frame = frame_of(parts)._replace(square=unit_of(heaviest * parts.d * (2.0 * largest) ** 2))
    sums = parts.combine(_round, _add, np.asarray(centres, np.float64), frame, True)
    return float(as_floats(sums.squares.sum(axis=1, keepdims=True), frame.square)[0])


def sample(parts: Parts, k: int) -> NDArray[Any]:
    """Return points to draw starts from."""
    return np.ascontiguousarray(parts.evenly(max(SEEDS_FROM, PER_CLUSTER * k)).astype(parts.dtype))


def _means(parts: Parts, frame: Frame, sums: Sums, centres: Floats) -> Floats:
    """Return where centres go; those without points to the points furthest from their centres."""
    offsets = np.stack([as_floats(column, frame.offset) for column in sums.offsets], axis=-1)
    masses = np.where(sums.counts > 0, as_floats(sums.weights, frame.weight), 0.0)
    empty = np.flatnonzero(sums.counts == 0)
    if empty.size:
        found = [row for part in parts.map(_furthest, centres, len(empty)) for row in part]
        found.sort(key=lambda row: -row[0])  # stable: of equally far ones the first
        if found[0][0] > 0.0:
            for new, (_, label, weight, point) in zip(empty, found, strict=False):
                pull = weight * (point - frame.middle)
                offsets[label] -= pull
                masses[label] -= weight
                offsets[new], masses[new] = pull, weight
    held = masses > 0.0
    means = frame.middle + offsets / np.where(held, masses, 1.0)[:, None]
    means[~held] = means[masses.argmax()]
    return means


# ---- tasks --------------------------------------------------------------------------------------------------------


def _round(points: NDArray[Any], weights: Floats, centres: Floats, frame: Frame, last: bool) -> Sums:
    labels, k = nearest(points, centres, 1), len(centres)
    w = weights if weights.size else np.ones(len(points))
    columns, squares = [], np.zeros(len(points))
    for j in range(points.shape[1]):
        own = points[:, j].astype(np.float64)
        columns.append(fixed(w * (own - frame.middle[j]), labels, k, frame.offset))
        if last:
            squares += np.square(own - centres[labels, j])
    counts = np.bincount(labels[w > 0.0], minlength=k)
    return Sums(
        np.array(columns), fixed(w, labels, k, frame.weight), fixed(w * squares, labels, k, frame.square), counts
    )  # fmt: skip


def _moments(
    points: NDArray[Any], weights: Floats, middle: Floats, unit: float, of_squares: float
) -> tuple[Ints, Ints]:
    none = np.zeros(len(points), np.int64)
    offsets = [column.astype(np.float64) - m for column, m in zip(points.T, middle, strict=True)]
    return (
        np.array([fixed(column, none, 1, unit) for column in offsets]),
        np.array([fixed(np.square(column), none, 1, of_squares) for column in offsets]),
    )


def _furthest(points: NDArray[Any], weights: Floats, centres: Floats, most: int) -> list[tuple[float, int, float, Any]]:
    labels = nearest(points, centres, 1)
    squares = np.square(points.astype(np.float64) - centres[labels]).sum(axis=1)
    rows = np.argsort(-squares, kind="stable")[:most]
    return [
        (float(squares[i]), int(labels[i]), float(weights[i]) if weights.size else 1.0, points[i].astype(np.float64))
        for i in rows
    ]


def _add(parts: list[Sums]) -> Sums:
    return Sums(*(np.sum(np.stack(column), axis=0) for column in zip(*parts, strict=True)))


def _add_pairs(parts: list[tuple[Ints, Ints]]) -> tuple[Ints, Ints]:
    return sum(part[0] for part in parts), sum(part[1] for part in parts)  # type: ignore[return-value]
