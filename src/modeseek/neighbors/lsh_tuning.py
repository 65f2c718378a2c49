"""Choosing the settings of hash tables for a recall that is asked for.

Recall is the share of the true k nearest neighbours that are found; as candidates are compared exactly, it is the share
that lie in a bucket that is visited. The nearest neighbours of a sample of the points (themselves left out) are found
among all points first. Then

1. for settings on a grid, tables of a part of the points and of these neighbours are followed bucket by bucket: how
   many buckets give the recall, and how many candidates that costs. The cheapest settings count, by candidates and not
   by time, so that the same data and seed give the same choice;
2. with these, tables of all points are made, and buckets are counted anew with other queries of the first two thirds of
   the sample;
3. the recall of an actual search of the last third is what is reported.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modeseek.engines.threads import run_chunks, single_threaded_blas
from modeseek.neighbors.lsh import FEW, PATIENCE, Floats, Frame, HashedPoints, Ints, Settings

SAMPLE = 3000  # queries
TRIED = 300  # of them, with settings of the grid
PART = 20_000  # points, with settings of the grid
MOST_PROBES, PROBES_TRIED = 2048, 512
ROWS_OF_TILE, QUERIES_OF_TILE = 2048, 128
WIDTHS = (1.5, 2.0, 3.0, 4.0, 6.0, 8.0)  # in distances to the k-th neighbour
HASHES = {
    "pstable": (3, 4, 6, 8, 12, 16, 24),
    "sign": (6, 8, 10, 12, 16, 20, 24, 28),
    "cross-polytope": (1, 2, 3, 4, 5, 6),
}
OVERSHOOT = 0.01  # of the recall, that the first bucket alone may have
COST_OF_PROBE, COST_OF_HASH = 5.0, 0.3  # in candidates


@dataclass(frozen=True)
class Sample:
    """Rows of the points, and their true neighbours."""

    rows: Ints
    neighbors: Ints  # (m, k)
    reach: Floats  # distance to the k-th


@dataclass(frozen=True)
class Tuned:
    """An index, and what it was seen to do."""

    index: HashedPoints
    recall: float  # of the last third of the sample
    n_queries: int  # in it


def true_neighbors(
    X: NDArray[Any], frame: Frame, points: NDArray[np.float32], rows: Ints, k: int, n_jobs: int | None
) -> Sample:
    """Find the k nearest of all points to some of them, themselves left out.

    Products in float32 keep some more than k of each; where rounding may have cost one, all points are compared.
    """
    from modeseek.engines.cpu import hashing

    n, d = points.shape
    kept = min(n, k + k // 2 + 17)
    squared = np.einsum("ij,ij->i", points, points, dtype=np.float64)
    halves = (0.5 * squared).astype(np.float32)
    largest = float(np.sqrt(squared.max()))
    squares, neighbors = np.empty((len(rows), k)), np.empty((len(rows), k), np.int64)

    def work(_: int, start: int, stop: int) -> None:
        mine = rows[start:stop]
        queries = points[mine]
        scores = np.full((len(mine), kept), -np.inf, np.float32)
        found = np.zeros((len(mine), kept), np.int32)
        for first in range(0, n, ROWS_OF_TILE):
            tile = points[first : first + ROWS_OF_TILE]
            hashing.offer(queries @ tile.T, halves[first : first + len(tile)], first, scores, found)
        differences = points[found] - queries[:, None]
        near = np.einsum("ijk,ijk->ij", differences, differences, dtype=np.float64)
        near[found == mine[:, None]] = np.inf
        order = np.argsort(near, axis=1, kind="stable")[:, :k]
        squares[start:stop] = np.take_along_axis(near, order, 1)
        neighbors[start:stop] = np.take_along_axis(found, order, 1)
        off = 2.0**-23 * (np.sqrt(d) + 4.0) * largest * (np.sqrt(squared[mine]) + largest)
        unsure = squares[start:stop, -1] > squared[mine] - 2.0 * (scores.min(axis=1) + off)
        if kept < n and unsure.any():
            again, at = np.empty((int(unsure.sum()), k)), np.empty((int(unsure.sum()), k), np.int64)
            hashing.nearest_of_all(points, points, mine[unsure], again, at)
            squares[start:stop][unsure], neighbors[start:stop][unsure] = again, at

    with single_threaded_blas():
        run_chunks(len(rows), work, n_jobs, QUERIES_OF_TILE)
    differences = frame.scale * (X[neighbors[:, -1]].astype(np.float64) - X[rows].astype(np.float64))
    return Sample(rows, neighbors, np.sqrt(np.square(differences).sum(axis=1)) / frame.scale)


def follow(
    index: HashedPoints, queries: NDArray[np.float32], itself: Ints, truth: Ints, counted: int, probes: int
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Return how many true neighbours and others are met in the first buckets, (m, probes) each."""
    from modeseek.engines.cpu import hashing

    back = np.empty(len(index.order), np.int32)
    back[index.order] = np.arange(len(back), dtype=np.int32)
    hits, seen = np.empty((2, len(queries), probes), np.int32)

    def work(_: int, start: int, stop: int) -> None:
        stamps, marks = np.zeros((2, len(back)), np.int32)
        hashing.curve(
            *index.parts(), queries[start:stop], back[itself[start:stop]], back[truth[start:stop]], index.order,
            counted, stamps, marks, hits[start:stop], seen[start:stop],
        )  # fmt: skip

    run_chunks(len(queries), work, index.n_jobs, 256)
    return hits, seen


def recall_and_cost(hits: NDArray[np.int32], seen: Floats, k: int, n: int, tables: int) -> tuple[Floats, Floats]:
    """Return recall and candidates after each number of buckets, means over the queries.

    Where candidates are fewer than k, an index goes on, and compares all points at last.
    """
    probes = hits.shape[1]
    enough = seen >= k
    first = np.where(enough.any(axis=1), enough.argmax(axis=1), probes + PATIENCE * tables)
    at = np.maximum(np.arange(probes)[None, :], first[:, None])
    lost = at > np.minimum(np.arange(probes) + PATIENCE * tables, probes - 1)[None, :]
    at = np.minimum(at, probes - 1)
    found = np.where(lost, k, np.take_along_axis(hits, at, 1))
    cost = np.where(lost, n, np.take_along_axis(seen, at, 1))
    return found.mean(axis=0) / k, cost.mean(axis=0) + COST_OF_PROBE * np.arange(1, probes + 1)


def grid(given: Settings, n_hashes: int | None, width: float | None, reach: float) -> Iterator[Settings]:
    """Yield the settings to try; what is given is kept."""
    for hashes in (n_hashes,) if n_hashes else HASHES[given.family]:
        if given.family != "pstable" or width:
            yield replace(given, n_hashes=hashes, width=width or 1.0)
        else:
            yield from (replace(given, n_hashes=hashes, width=factor * reach) for factor in WIDTHS)


def choose(
    points: NDArray[np.float32],
    frame: Frame,
    sample: Sample,
    settings: list[Settings],
    recall: float,
    n_jobs: int | None,
) -> Settings:
    """Return the settings that reach a recall with the fewest candidates, on a part of the points."""
    if len(settings) == 1:
        return settings[0]
    n, k = len(points), sample.neighbors.shape[1]
    tried = slice(0, TRIED)
    step = -(-n // PART)
    part = np.arange(0, n, step)
    others = np.setdiff1d(np.concatenate([sample.neighbors[tried].ravel(), sample.rows[tried]]), part)
    rows = np.concatenate([part, others])
    number = np.empty(n, np.int64)
    number[rows] = np.arange(len(rows))
    some = points[rows]
    itself, truth = number[sample.rows[tried]], number[sample.neighbors[tried]]
    unit = replace_units(settings, frame.scale)
    best: tuple[Any, ...] = ()
    for given, inside in zip(settings, unit, strict=True):
        index = HashedPoints(some, inside, n_jobs, Frame.unit(points.shape[1]), some)
        hits, seen = follow(index, some[itself], itself, truth, len(part), PROBES_TRIED)
        reached, cost = recall_and_cost(hits, hits + seen * (n / len(part)), k, n, given.n_tables)
        b = int((reached >= recall).argmax()) if reached[-1] >= recall else PROBES_TRIED - 1
        missing, over = max(recall - reached[b], 0.0), reached[b] - recall if b == 0 else 0.0
        hashing = COST_OF_HASH * given.n_tables * given.n_hashes * (8 if given.family == "cross-polytope" else 1)
        key = (missing, over if over > OVERSHOOT else 0.0, cost[b] + hashing)
        if not best or key < best[0]:
            best = key, given
    return best[1]


def replace_units(settings: list[Settings], scale: float) -> list[Settings]:
    """Return settings with widths in the units of a frame."""
    return [replace(given, width=given.width * scale) for given in settings]


def tune(
    X: NDArray[Any],
    given: Settings,
    *,
    n_hashes: int | None,
    width: float | None,
    n_probes: float | None,
    recall: float,
    k: int,
    n_queries: int,
    n_jobs: int | None,
) -> Tuned:
    """Make an index of X whose searches have a recall, as the module says.

    Parameters
    ----------
    X : ndarray of shape (n, d)
        Points.
    given : Settings
        Family, tables and seed.
    n_hashes, width, n_probes : int, float and float, optional
        What is not to be chosen.
    recall, k : float and int
        What is asked for; k is below n.
    n_queries : int
        Size of the sample.
    n_jobs : int, optional
        Threads; the result is the same for any number.

    Returns
    -------
    Tuned
        The index and its recall.
    """
    if len(X) <= FEW:
        probes = n_probes or given.n_probes
        return Tuned(HashedPoints(X, replace(given, n_probes=probes, n_hashes=n_hashes or 8), n_jobs), 1.0, len(X))
    frame = Frame(X, n_jobs)
    points = frame.all_into(X, n_jobs)
    rng = np.random.default_rng([given.seed, 1])
    sample = true_neighbors(X, frame, points, rng.permutation(len(X))[:n_queries], k, n_jobs)
    middle = float(np.median(sample.reach)) or float(sample.reach.max()) or 1.0 / frame.scale
    settings = choose(points, frame, sample, list(grid(given, n_hashes, width, middle)), recall, n_jobs)
    index = HashedPoints(X, settings, n_jobs, frame, points)
    cut = 2 * len(sample.rows) // 3
    if n_probes is None:
        # settings were chosen where they did well by chance, too: other queries tell, if there are enough
        first = slice(TRIED if cut >= 4 * TRIED else 0, cut)
        queries = points[sample.rows[first]]
        n_probes = float(MOST_PROBES)
        for most in (PROBES_TRIED // 4, PROBES_TRIED, MOST_PROBES):
            hits, seen = follow(index, queries, sample.rows[first], sample.neighbors[first], len(X), most)
            reached, _ = recall_and_cost(hits, seen.astype(np.float64), k, len(X), settings.n_tables)
            if reached[-1] >= recall:
                b = int((reached >= recall).argmax())
                # of the queries, such a share visits one bucket more than the others
                n_probes = b + float((recall - reached[b - 1]) / (reached[b] - reached[b - 1])) if b else 1.0
                break
    index.settings = replace(settings, n_probes=n_probes)
    return Tuned(index, measure(index, sample, slice(cut, None)), len(sample.rows) - cut)


def measure(index: HashedPoints, sample: Sample, part: slice) -> float:
    """Return the recall of an actual search: rows no further than the true k-th neighbour, without the row itself."""
    k = sample.neighbors.shape[1]
    rows, reach = sample.rows[part], sample.reach[part]
    distances, found = index.nearest(index.X[rows], k + 1)
    good = (distances <= reach[:, None] * (1.0 + 1e-6)) & (found != rows[:, None])
    return float(np.minimum(good.sum(axis=1), k).mean() / k)
