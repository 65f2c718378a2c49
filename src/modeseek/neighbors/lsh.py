"""Nearest neighbours among the points that share a bucket: tables of sorted hash keys.

Every table is one sorted list of keys; a bucket is a run of it, found through a directory of the keys' leading bits and
a short binary search. Points are stored once more, centred and in float32, in the order of the first table, so that the
candidates of a query lie close together. Buckets are visited by how likely they hold what is near (`hashing`); the
candidates are compared in float32, and those that may be among the k nearest by float64 differences of the points as
given. What is found is exact; what is in no bucket that was visited is missed.

Memory beside the points as given: n * (4 d + 6 n_tables + 4) bytes at most, 16 for each distinct key; while it is built
4 n d more, and 32 n for each thread; while it is searched 12 n for each thread.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modeseek.engines.data import bounds
from modeseek.engines.threads import n_workers, run_chunks
from modeseek.neighbors.hash_families import Hashes, draw

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

FEW = 256  # points up to which all are candidates, and nothing is compiled
ROWS_AT_ONCE = 1 << 14
QUERIES_AT_ONCE = 64
PATIENCE = 16  # buckets of each table that are visited more where candidates are fewer than k
LARGEST_SPREAD = 1e150
NARROWEST, WIDEST = 1e-6, 1e6  # buckets, where coordinates reach to 1 and are in float32


@dataclass(frozen=True)
class Settings:
    """What an index is made of."""

    family: str = "pstable"
    n_tables: int = 8
    n_hashes: int = 8
    width: float = 1.0  # in the units of the points
    n_probes: float = 8.0  # buckets visited, of all tables; of 3.4, three or four, by where the query lies
    seed: int = 0


class Frame:
    """Coordinates to hash in: about the mean, scaled by a power of two so that all lie in [-1, 1] and float32 holds."""

    def __init__(self, X: NDArray[Any], n_jobs: int | None = None):
        low, high = ends = bounds(X, n_jobs)
        if not np.isfinite(high - low).all() or np.abs(ends).max() > LARGEST_SPREAD:
            raise ValueError(f"X holds values of up to {np.abs(ends).max():g}: distances overflow. Rescale X first.")
        step = -(-len(X) // min(len(X), 1 << 16))
        self.middle = np.clip(X[::step].mean(axis=0, dtype=np.float64), low, high)
        largest = float(np.maximum(high - self.middle, self.middle - low).max())
        self.scale = float(np.ldexp(1.0, -int(np.frexp(largest)[1]))) if largest > 1e-290 else 1.0

    @classmethod
    def unit(cls, d: int) -> "Frame":
        """Return the coordinates of points that are in such a frame already."""
        frame = cls.__new__(cls)
        frame.middle, frame.scale = np.zeros(d), 1.0
        return frame

    def into(self, X: NDArray[Any], out: NDArray[np.float32]) -> NDArray[np.float32]:
        """Fill ``out`` with the rows of X; what lies far outside is moved to where float32 still holds its square."""
        with np.errstate(over="ignore"):
            moved = (X.astype(np.float64) - self.middle) * self.scale
        out[:] = np.clip(moved, -1e15, 1e15, out=moved)
        return out

    def all_into(self, X: NDArray[Any], n_jobs: int | None = None) -> NDArray[np.float32]:
        """Return all rows of X in these coordinates."""
        points = np.empty(X.shape, np.float32)

        def work(_: int, start: int, stop: int) -> None:
            self.into(X[start:stop], points[start:stop])

        run_chunks(len(X), work, n_jobs, ROWS_AT_ONCE)
        return points


class HashedPoints:
    """Points in tables of sorted keys.

    Parameters
    ----------
    X : ndarray of shape (n, d)
        Points, float32 or float64, C-contiguous; kept as they are.
    settings : Settings
        Tables, hashes and buckets.
    n_jobs : int, optional
        Threads; results are the same for any number.
    frame, points : Frame and ndarray of shape (n, d), float32, optional
        Coordinates that were found before, and the points in them.

    Raises
    ------
    ValueError
        If X is not finite, or so large that distances overflow.
    """

    def __init__(
        self,
        X: NDArray[Any],
        settings: Settings,
        n_jobs: int | None = None,
        frame: Frame | None = None,
        points: NDArray[np.float32] | None = None,
    ):
        self.X, self.settings, self.n_jobs = X, settings, n_jobs
        self.frame = frame or Frame(X, n_jobs)
        self.n_candidates = 0  # of the last call of `nearest`
        if len(X) <= FEW:
            return
        if points is None:
            points = self.frame.all_into(X, n_jobs)
        drawn = draw(
            settings.family,
            settings.n_tables,
            settings.n_hashes,
            min(max(settings.width * self.frame.scale, NARROWEST), WIDEST),
            X.shape[1],
            settings.seed,
        )
        self._build(points, drawn)

    def _build(self, points: NDArray[np.float32], drawn: Hashes) -> None:
        from modeseek.engines.cpu import hashing

        n, tables = len(points), len(drawn.directions)
        bits = min(max(int(n).bit_length() - 3, 1), 24)
        positions = np.empty((tables, n), np.int32)
        runs: list[tuple[Any, Any]] = [(None, None)] * tables

        def work(_: int, t: int, __: int) -> None:
            keys = np.empty(n, np.uint64)
            hashing.table_keys(
                points, drawn.directions[t], drawn.offsets[t], drawn.multipliers[t], drawn.axes, drawn.family, keys
            )
            order = np.argsort(keys, kind="stable")
            keys = keys[order]
            firsts = np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1]]))
            positions[t] = order
            runs[t] = keys[firsts], firsts + t * n

        run_chunks(tables, work, self.n_jobs, 1)
        self.order = positions[0].copy()
        back = np.empty(n, np.int32)
        back[self.order] = np.arange(n, dtype=np.int32)

        def renumber(_: int, t: int, __: int) -> None:
            positions[t] = back[positions[t]]

        run_chunks(tables, renumber, self.n_jobs, 1)
        unique = np.concatenate([keys for keys, _ in runs])
        starts = np.append(np.concatenate([firsts for _, firsts in runs]), tables * n).astype(np.int64)
        directory = np.empty((tables, (1 << bits) + 1), np.int64)
        before = 0
        for t, (keys, _) in enumerate(runs):
            slots = (keys >> np.uint64(64 - bits)).astype(np.int64)
            directory[t] = before + np.concatenate([[0], np.cumsum(np.bincount(slots, minlength=1 << bits))])
            before += len(keys)
        self.points = points[self.order]
        self._directions = np.ascontiguousarray(drawn.directions.reshape(-1, points.shape[1]))
        self._offsets = drawn.offsets.reshape(-1)
        self._hashed = (drawn.multipliers, drawn.axes, drawn.family)
        self._index = (unique, starts, positions.reshape(-1), directory, 64 - bits)

    # ------------------------------------------------------------------------------------------------- the verbs

    def nearest(self, queries: NDArray[Any], k: int) -> tuple[Floats, Ints]:
        """Return the k nearest candidates of each query.

        Parameters
        ----------
        queries : ndarray of shape (m, d)
            Where to look.
        k : int
            Neighbours, at most n. Where the buckets visited hold fewer, more are visited, and at last all points.

        Returns
        -------
        distances : ndarray of shape (m, k), float64
            In rising order.
        rows : ndarray of shape (m, k), int64
            Rows of X; of equal distances the lower row first.
        """
        Q = self._queries(queries)
        if not 1 <= k <= len(self.X):
            raise ValueError(f"k must be from 1 to the number of points, {len(self.X)}, got {k}.")
        if len(self.X) <= FEW:
            return _nearest_of_all(Q, self.X, self.frame.scale, k)
        from modeseek.engines.cpu import hashing

        inside = self.frame.all_into(Q, self.n_jobs)
        which = self._in_order(inside)
        probes = float(self.settings.n_probes)
        limit = int(probes) + PATIENCE * self.settings.n_tables
        squares, rows = np.empty((len(Q), k)), np.empty((len(Q), k), np.int64)
        stamps = self._stamps(len(Q))
        totals = np.zeros(len(stamps), np.int64)

        def work(worker: int, start: int, stop: int) -> None:
            totals[worker] += hashing.nearest(
                *self.parts(), self.points, self.order, self.X, inside, Q, which[start:stop], probes, limit,
                stamps[worker], self.frame.scale, squares, rows,
            )  # fmt: skip

        run_chunks(len(Q), work, self.n_jobs, QUERIES_AT_ONCE)
        self.n_candidates = int(totals.sum())
        return np.sqrt(squares) / self.frame.scale, rows

    def within(self, queries: NDArray[Any], radii: Any) -> tuple[Ints, Ints, Floats]:
        """Return the candidates within a radius, or one for each query: CSR, rows in rising order.

        Parameters
        ----------
        queries : ndarray of shape (m, d)
            Where to look.
        radii : float or ndarray of shape (m,)
            Largest distance, at least 0.

        Returns
        -------
        indptr : ndarray of shape (m + 1,)
            Query i has the entries from ``indptr[i]`` to ``indptr[i + 1]``.
        rows : ndarray
            Rows of X.
        distances : ndarray
            Their distances.
        """
        Q = self._queries(queries)
        reach = _as_radii(radii, len(Q))
        if len(self.X) <= FEW:
            return _within_of_all(Q, self.X, self.frame.scale, reach)
        inside = self.frame.all_into(Q, self.n_jobs)
        nothing = np.empty(0, np.int64), np.empty(0)
        counts = self._look(Q, inside, reach, np.zeros(len(Q), np.int64), *nothing)
        indptr = np.concatenate([[0], np.cumsum(counts)])
        rows, squares = np.empty(indptr[-1], np.int64), np.empty(indptr[-1])
        if len(rows):
            self._look(Q, inside, reach, indptr[:-1], rows, squares)
        order = np.lexsort((rows, np.repeat(np.arange(len(Q)), counts)))
        return indptr, rows[order], np.sqrt(squares[order]) / self.frame.scale

    def count_within(self, queries: NDArray[Any], radii: Any) -> Ints:
        """Return how many candidates are within a radius of each query (see `within`)."""
        Q = self._queries(queries)
        reach = _as_radii(radii, len(Q))
        if len(self.X) <= FEW:
            return np.diff(_within_of_all(Q, self.X, self.frame.scale, reach)[0])
        return self._look(
            Q,
            self.frame.all_into(Q, self.n_jobs),
            reach,
            np.zeros(len(Q), np.int64),
            np.empty(0, np.int64),
            np.empty(0),
        )

    # ------------------------------------------------------------------------------------------------- the parts

    def _look(
        self, Q: NDArray[Any], inside: NDArray[np.float32], reach: Floats, starts: Ints, rows: Ints, squares: Floats
    ) -> Ints:
        from modeseek.engines.cpu import hashing

        which, stamps, counts = self._in_order(inside), self._stamps(len(Q)), np.empty(len(Q), np.int64)

        def work(worker: int, start: int, stop: int) -> None:
            hashing.within(
                *self.parts(), self.points, self.order, self.X, inside, Q, which[start:stop],
                float(self.settings.n_probes), stamps[worker], reach, self.frame.scale, counts, starts, rows, squares,
            )  # fmt: skip

        run_chunks(len(Q), work, self.n_jobs, QUERIES_AT_ONCE)
        return counts

    def parts(self) -> tuple[Any, ...]:
        """Return what compiled searches need to know of the tables."""
        return self._hashed, self._index, self._directions, self._offsets

    def _stamps(self, m: int) -> list[NDArray[np.int32]]:
        return [np.zeros(len(self.X), np.int32) for _ in range(n_workers(m, self.n_jobs, QUERIES_AT_ONCE))]

    def _in_order(self, inside: NDArray[np.float32]) -> Ints:
        """Return the queries in the order of their keys in the first table: the caches then hold what they share."""
        from modeseek.engines.cpu import hashing

        multipliers, axes, family = self._hashed
        wide, keys = multipliers.shape[1] * axes, np.empty(len(inside), np.uint64)
        hashing.table_keys(inside, self._directions[:wide], self._offsets[:wide], multipliers[0], axes, family, keys)
        return np.argsort(keys, kind="stable")

    def _queries(self, queries: NDArray[Any]) -> NDArray[Any]:
        Q = np.ascontiguousarray(queries, dtype=np.float64)
        if Q.ndim != 2 or Q.shape[1] != self.X.shape[1]:
            raise ValueError(f"queries must have shape (m, {self.X.shape[1]}), got {queries.shape}.")
        if len(Q) and np.abs(bounds(Q, self.n_jobs)).max() > LARGEST_SPREAD:
            raise ValueError("queries hold values so large that distances overflow. Rescale X first.")
        return Q


def _as_radii(radii: Any, m: int) -> Floats:
    reach = np.asarray(radii, np.float64)
    if reach.shape not in ((), (m,)):
        raise ValueError(f"radii must be one number, or have shape ({m},), got {reach.shape}.")
    if not (reach >= 0.0).all():
        raise ValueError("Every radius must be a number of at least 0.")
    return np.ascontiguousarray(np.broadcast_to(np.minimum(reach, LARGEST_SPREAD), (m,)))


def _squares(q: NDArray[Any], X: NDArray[Any], scale: float) -> Floats:
    return np.square(scale * (X.astype(np.float64) - q.astype(np.float64))).sum(axis=1)


def _nearest_of_all(Q: NDArray[Any], X: NDArray[Any], scale: float, k: int) -> tuple[Floats, Ints]:
    distances, rows = np.empty((len(Q), k)), np.empty((len(Q), k), np.int64)
    for i, q in enumerate(Q):
        squares = _squares(q, X, scale)
        rows[i] = np.argsort(squares, kind="stable")[:k]
        distances[i] = np.sqrt(squares[rows[i]]) / scale
    return distances, rows


def _within_of_all(Q: NDArray[Any], X: NDArray[Any], scale: float, reach: Floats) -> tuple[Ints, Ints, Floats]:
    found, distances = [np.empty(0, np.int64)], [np.empty(0)]
    for q, r in zip(Q, reach * scale, strict=True):
        squares = _squares(q, X, scale)
        found.append(np.flatnonzero(squares <= r * r))
        distances.append(np.sqrt(squares[found[-1]]) / scale)
    indptr = np.cumsum([len(rows) for rows in found])
    return indptr, np.concatenate(found), np.concatenate(distances)
