r"""Lloyd's rounds: points go to the nearest centre, centres to the weighted mean of their points.

    a_i = argmin_j |x_i - c_j|,        c_j = sum_{a_i = j} w_i x_i / sum_{a_i = j} w_i,

until no label changes, or the squared shifts of all centres sum to at most ``tol``. Each round lowers the inertia
sum_i w_i |x_i - c_{a_i}|^2. Exact: bounds only save work (``engines.cpu.lloyd``). Sums are float64; from the second
round on only points that changed their cluster are added and subtracted, in the order of chunks, so that results do
not depend on threads; they are made anew before rounding could show.

A cluster without weight gets the point that lies furthest from its centre, as in scikit-learn.

Source: S. P. Lloyd, "Least squares quantization in PCM", IEEE Trans. Inf. Theory 28 (1982) 129-137.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modeseek.engines import data
from modeseek.engines.threads import run_chunks
from modeseek.kmeans.cells import CellClusters, Places
from modeseek.kmeans.nearest import Floats, Points, Tiles, nearest_small, own_squares, pack, unit_of

TURNOVER = 4.0  # changes of label, in numbers of points, after which sums are made anew
MOST_ON_CELLS = 1 << 10  # clusters: the distances between all of them are known to every cell
REACH = 4.0  # of centres on cells from the middle, in spans: float32 is scaled to the points
SHRINKAGE = 16.0  # of a cluster, after which they are, too: what left it has left its rounding behind


@dataclass
class Found:
    """Where Lloyd's rounds ended: centres and labels that fit together, to the bit, as `nearest` does."""

    centres: NDArray[Any]
    labels: NDArray[np.int32]
    inertia: float
    n_iter: int
    masses: Floats


def lloyd(
    points: Points,
    start: NDArray[Any],
    max_iter: int,
    tol: float,
    report: Callable[[str], None] | None = None,
    places: Places | None = None,
) -> Found:
    """Run Lloyd's rounds from a start.

    Parameters
    ----------
    points : Points
        The data.
    start : ndarray of shape (k, d)
        Centres.
    max_iter : int
        Most rounds.
    tol : float
        Sum of squared shifts at which to stop.
    report : callable, optional
        Is told about each round.
    places : Places, optional
        The points sorted by cells, where `places_of` found that this pays.

    Returns
    -------
    Found
        The result, with centres in the dtype of the points.
    """
    clusters = _clusters(points, np.asarray(start, np.float64), places)
    centres = np.asarray(start, np.float64) - points.base
    n_iter = 0
    for n_iter in range(1, max_iter + 1):
        moved = clusters.assign(centres)
        new = _means(clusters, centres)
        shift = float(np.square(new - centres).sum())
        centres = new
        if report:
            report(f"Iteration {n_iter - 1}: {moved} labels changed, squared shifts of the centres sum to {shift:g}.")
        if not moved or shift <= tol:
            break
    published = np.ascontiguousarray((centres + points.base).astype(points.x.dtype))
    clusters.settle(published.astype(np.float64))
    labels = clusters.labels
    inertia, _ = own_squares(points, np.zeros_like(points.base), published.astype(np.float64), labels)
    return Found(published, labels, inertia, n_iter, np.maximum(clusters.masses, 0.0))


def better(one: Found, other: Found) -> bool:
    """Whether one result is better than another, and not the same clusters in another order."""
    if not one.inertia < other.inertia:
        return False
    if other.inertia - one.inertia > 1e-6 * other.inertia:
        return True
    k = len(one.centres)
    return len(np.unique(one.labels.astype(np.int64) * k + other.labels)) > len(np.unique(other.labels))


def _clusters(points: Points, start: Floats, places: Places | None) -> "AnyClusters":
    """Return the form of labels and sums that costs least."""
    k = len(start)
    if points.small(k):
        return SmallClusters(points, k)
    if places is not None and k <= MOST_ON_CELLS:
        low, high = places.ends
        if (np.abs(start - 0.5 * low - 0.5 * high) <= REACH * (high - low).max()).all():
            return CellClusters(points, k, places)
    return Clusters(points, k)


def _means(clusters: "AnyClusters", centres: Floats) -> Floats:
    """Return where centres go; those without weight to the points furthest from their centres."""
    sums = np.asarray(clusters.sums, np.float64)
    masses = np.where(clusters.counts > 0, clusters.masses, 0.0)
    empty = np.flatnonzero(clusters.counts == 0)
    if empty.size:
        sums = sums.copy()
        _relocate(clusters, centres, sums, masses, empty)
    held = masses > 0.0
    means = sums / np.where(held, masses, 1.0)[:, None]
    means[~held] = means[masses.argmax()]
    return means


def _relocate(clusters: "AnyClusters", centres: Floats, sums: Floats, masses: Floats, empty: NDArray[np.int64]) -> None:
    """Give empty clusters the points furthest from their centres, in sums and masses; labels follow next round."""
    points, labels = clusters.points, clusters.labels
    _, squares = own_squares(points, points.base, centres, labels, each=True)
    if squares.max() == 0.0:  # no more distinct points than clusters
        return
    furthest = np.argpartition(squares, -len(empty))[: -len(empty) - 1 : -1]
    for new, row in zip(empty, furthest, strict=True):
        weight = float(points.weights[row]) if points.weights.size else 1.0
        pull = weight * (points.x[row] - points.base)
        sums[labels[row]] -= pull
        sums[new] = pull
        masses[labels[row]] -= weight
        masses[new] = weight


class SmallClusters:
    """Labels, and sums of the clusters, in NumPy."""

    def __init__(self, points: Points, k: int):
        self.points, self.k = points, k
        self.labels = np.full(len(points.x), -1, np.int32)

    def assign(self, centres: Floats) -> int:
        """Label points by the nearest centre and add them up; return how many labels changed."""
        x = self.points.x - self.points.base
        labels = nearest_small(self.points.x, self.points.base, centres)
        moved = int((labels != self.labels).sum())
        self.labels = labels
        w = self.points.weights if self.points.weights.size else np.ones(len(x))
        self.masses = np.bincount(labels, w, self.k)
        self.counts = np.bincount(labels[w > 0.0], minlength=self.k)
        self.sums = np.stack([np.bincount(labels, w * column, self.k) for column in x.T], axis=-1)
        return moved

    def settle(self, centres: Floats) -> None:
        """Label points once more, by centres in the coordinates of the user."""
        labels = nearest_small(self.points.x, np.zeros_like(self.points.base), centres)
        if not np.array_equal(labels, self.labels):
            w = self.points.weights if self.points.weights.size else np.ones(len(labels))
            self.labels, self.masses = labels, np.bincount(labels, w, self.k)


class Clusters:
    """Labels, bounds, and sums of the clusters, in tiles: 12 bytes a point."""

    def __init__(self, points: Points, k: int):
        n, d = points.x.shape
        self.points, self.k = points, k
        self.tiles = Tiles(points, k)
        self.ends = data.bounds(points.x, points.n_jobs)
        self.ruler = unit_of(self.ends - points.base - points.origin)
        self.labels = np.full(n, -1, np.int32)
        self.upper, self.lower = np.empty(n, np.float32), np.empty(n, np.float32)
        pieces = -(-n // self.tiles.chunk)
        self.pieces = np.zeros((pieces, k, d)), np.zeros((pieces, k)), np.zeros((pieces, k), np.int64)
        self.sums, self.masses, self.counts = np.zeros((k, d)), np.zeros(k), np.zeros(k, np.int64)
        self.peak, self.turnover = np.zeros(k), 0
        self.before: Floats | None = None

    def assign(self, centres: Floats) -> int:
        """Label points by the nearest centre, move those that change from sum to sum; return how many there are."""
        moved = self._assign(centres, self.points.base, self.points.origin, 0.0)
        if moved:
            for total, pieces in zip((self.sums, self.masses, self.counts), self.pieces, strict=True):
                total += pieces.sum(axis=0)
        self.peak = np.maximum(self.peak, self.masses)
        self.turnover += moved
        if self.turnover > TURNOVER * len(self.labels) or (SHRINKAGE * self.masses < self.peak).any():
            self._add_up()
        return moved

    def settle(self, centres: Floats) -> None:
        """Label points once more, by centres in the coordinates of the user."""
        largest = max(float(np.abs(self.ends).max()), float(np.abs(centres).max()))
        rounding = 8.0 * np.finfo(float).eps * largest * np.sqrt(self.points.x.shape[1])
        base = np.zeros_like(self.points.base)
        self.before = None if self.before is None else self.before + self.points.base
        exact = not self.points.base.any()
        moved = self._assign(centres, base, self.points.origin + self.points.base, 0.0 if exact else rounding)
        if moved:
            self.masses += self.pieces[1].sum(axis=0)

    def _assign(self, centres: Floats, base: Floats, origin: Floats, rounding: float) -> int:
        points, tiles = self.points, self.tiles
        unit = unit_of(self.ends - base - origin, centres - origin)
        layout = pack(centres, origin, unit, tiles.width)
        columns = np.ascontiguousarray(centres.T)
        moves = self._moves(centres, columns, rounding)
        changed = np.zeros(len(self.pieces[0]), np.int64)

        def work(worker: int, start: int, stop: int) -> None:
            piece = start // tiles.chunk
            out = tuple(pieces[piece] for pieces in self.pieces)
            for values in out:
                values.fill(0)
            changed[piece] = tiles.kernels.assign(
                points.x, points.weights, base, origin, unit, layout, columns, centres, moves,
                self.labels, self.upper, self.lower, (start, stop), tiles.work[worker], out,
            )  # fmt: skip

        run_chunks(len(self.labels), work, points.n_jobs, tiles.chunk)
        self.before = centres
        return int(changed.sum())

    def _moves(self, centres: Floats, columns: Floats, rounding: float) -> tuple[Any, ...]:
        """Return how far centres moved, and how far apart they are, on the safe side of rounding."""
        apart = np.zeros(self.k)
        if self.before is None:
            return apart, apart, 0, 0.0, 0.0, self.ruler
        shifts = np.sqrt(np.square(centres - self.before).sum(axis=1)) * (1.0 + 1e-9) + rounding
        shifts *= self.ruler
        furthest = int(shifts.argmax())
        rest = np.delete(shifts, furthest).max(initial=0.0)
        if 4 * self.k <= len(self.labels):

            def work(_: int, start: int, stop: int) -> None:
                self.tiles.kernels.separations(centres, columns, start, stop, np.empty(self.k), apart)

            run_chunks(self.k, work, self.points.n_jobs, 64)
            apart = np.clip((apart - rounding) * self.ruler, 0.0, 1e30)
        return shifts, apart, furthest, float(shifts[furthest]), float(rest), self.ruler

    def _add_up(self) -> None:
        """Make the sums anew."""
        points = self.points

        def work(_: int, start: int, stop: int) -> None:
            out = tuple(pieces[start // self.tiles.chunk] for pieces in self.pieces)
            for values in out:
                values.fill(0)
            self.tiles.kernels.add_up(points.x, points.weights, points.base, self.labels, start, stop, *out)

        run_chunks(len(self.labels), work, points.n_jobs, self.tiles.chunk)
        self.sums, self.masses, self.counts = (pieces.sum(axis=0) for pieces in self.pieces)
        self.peak, self.turnover = self.masses.copy(), 0


AnyClusters = SmallClusters | Clusters | CellClusters
