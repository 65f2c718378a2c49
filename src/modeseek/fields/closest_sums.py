r"""Kernel sums in many columns: the closest points one by one, each group of the others as one Gaussian.

    m(q) = sum_i w_i e^{-|q - x_i|^2 / 2} x_i / sum_i w_i e^{-|q - x_i|^2 / 2}        (lengths in bandwidths)

Rows are in compact groups (`modeseek.neighbors.groups`). For a tile of queries the groups that weigh most at its middle
are summed point by point, up to so many points; all points of a group that is left, with weight W, mean c and variance
v along each of k directions, are taken for a Gaussian, whose sum has a closed form:

    W (1 + v)^{-k/2} e^{-|q - c|^2 / (2 + 2v)},    and as mean    c + (q - c) v / (1 + v).

v is the variance that the rows of the group have on average along the offsets of its other rows, sum (u_i.u_j)^2 /
sum |u_i|^2 over i != j, and k = sum |u_i|^2 / v: a few where the group is flat, as embeddings are, all columns where it
is round. In hundreds of columns far points are many and all at much the same distance, so that no cut-off would do: in
sum they may weigh as much as those that are close.

On the sphere (`modeseek.sphere`) rows have one length, and so do means, once they are put back.

Only sums over few queries (`whole`) are exact. Products are float32 where rows are short enough for it.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from modeseek.engines.threads import run_chunks
from modeseek.fields import Floats, Ints
from modeseek.neighbors.groups import LARGEST, ROWS_AT_ONCE, group_rows, nearest
from modeseek.sphere import normalise

CLOSEST = 4096  # points that a tile sums one by one
NEGLIGIBLE = 1e-7  # of the density: groups that weigh less together are not looked at
ROUNDING = 2.0**-24  # of float32
LARGEST_ERROR = 1e-3  # of an exponent
QUERIES_AT_ONCE = 64  # of exact sums


class ClosestSums:
    """Points in compact groups, and sums over them.

    Parameters
    ----------
    points : ndarray of shape (n, d), float32 or float64
        Points; they are read a few rows at a time.
    weights : ndarray of shape (n,)
        Weights; length 0 means unit weights. Points of weight 0 are dropped.
    bandwidth : float
        Standard deviation h of the Gaussian; on the sphere a length of chords.
    sphere : bool, default False
        Whether directions are clustered.
    closest : int, default 4096
        How many points are summed one by one, about: whole groups are.
    n_jobs : int, optional
        Threads of the grouping.

    Attributes
    ----------
    points : ndarray of shape (n, d), float32 or float64
        The points, group by group, in bandwidths.
    order : ndarray of shape (n,)
        Their rows.
    starts : ndarray of shape (n_groups + 1,)
        Where each group starts.
    """

    def __init__(
        self,
        points: NDArray[Any],
        weights: Floats,
        bandwidth: float,
        *,
        sphere: bool = False,
        closest: int = CLOSEST,
        n_jobs: int | None = None,
    ):
        self.bandwidth, self.sphere, self.closest = bandwidth, sphere, closest
        rows = np.flatnonzero(weights) if weights.size else np.arange(len(points))
        self.centre, largest = np.zeros(points.shape[1]), 1.0 / bandwidth
        if not sphere:
            self.centre, largest = _middle(points, rows, bandwidth)
        fine = largest**2 * ROUNDING <= LARGEST_ERROR
        self.dtype = np.dtype(np.float32 if fine else np.float64)
        self.finest = (8.0 * ROUNDING if fine else 2.0**-50) * largest  # bandwidths: shorter steps are rounding

        def read(part: Ints) -> NDArray[Any]:
            return self.scaled(points[rows[part]])

        order, self.starts = group_rows(len(rows), read, min(LARGEST, max(1, closest // 4)), n_jobs)
        self.order = rows[order]
        self.points = np.empty((len(rows), points.shape[1]), self.dtype)
        self.half_norms = np.empty(len(rows), self.dtype)
        self.weights = weights[self.order] if weights.size else np.ones(len(rows))
        self.log_weights = np.log(self.weights).astype(self.dtype)
        self.lightest = float(self.weights.min())

        def copy(_: int, start: int, stop: int) -> None:
            part = slice(start, stop)
            self.points[part] = read(order[part])
            self.half_norms[part] = 0.5 * np.einsum("ij,ij->i", self.points[part], self.points[part])

        run_chunks(len(rows), copy, n_jobs, ROWS_AT_ONCE)
        self._take_moments(n_jobs)

    def scaled(self, x: NDArray[Any]) -> NDArray[Any]:
        """Return rows in bandwidths about the centre; on the sphere their directions."""
        rows = normalise(x) if self.sphere else np.asarray(x, np.float64) - self.centre
        rows /= self.bandwidth
        return rows.astype(self.dtype)

    def original(self, x: NDArray[Any]) -> Floats:
        """Undo `scaled`."""
        return x.astype(np.float64) * self.bandwidth + self.centre

    def _take_moments(self, n_jobs: int | None) -> None:
        """Keep of each group its mean, what it weighs, its variance along v, and the directions it has."""
        n_groups = len(self.starts) - 1
        self.means = np.empty((n_groups, self.points.shape[1]), self.dtype)
        self.variances, log_masses = np.zeros(n_groups), np.empty(n_groups)

        def work(_: int, g: int, __: int) -> None:
            part = slice(self.starts[g], self.starts[g + 1])
            self.means[g], self.variances[g], log_masses[g] = _gaussian(self.points[part], self.weights[part])

        run_chunks(n_groups, work, n_jobs, 1)
        self.half_mean_norms = 0.5 * np.einsum("ij,ij->i", self.means, self.means)
        self.log_masses = log_masses.astype(self.dtype)
        self.narrowing = (1.0 / (1.0 + self.variances)).astype(self.dtype)
        self.by_rank, _ = group_rows(n_groups, self.means.__getitem__, 4, n_jobs)
        self.rank = np.argsort(self.by_rank)

    def tiles(self, x: NDArray[Any], rows: Ints, n_jobs: int | None) -> list[tuple[Ints, Ints]]:
        """Cut some rows of x into tiles of rows near each other; return these, and the groups nearest to each tile."""
        number = np.empty(len(rows), np.int64)

        def work(_: int, start: int, stop: int) -> None:
            number[start:stop] = nearest(x[rows[start:stop]], self.means)

        run_chunks(len(rows), work, n_jobs, ROWS_AT_ONCE)
        rows = rows[np.argsort(self.rank[number], kind="stable")]
        counts = np.bincount(number, minlength=len(self.means))[self.by_rank]
        tiles: list[tuple[Ints, Ints]] = []
        groups: list[int] = []
        first = size = inside = 0
        for group, count in zip(self.by_rank.tolist(), counts.tolist(), strict=True):
            if not count:
                continue
            points = int(self.starts[group + 1] - self.starts[group])
            if groups and (size + count > LARGEST or inside + points > self.closest):
                tiles.append((rows[first : first + size], np.array(groups)))
                first, groups, size, inside = first + size, [], 0, 0
            groups.append(group)
            size, inside = size + count, inside + points
            while size > LARGEST:
                tiles.append((rows[first : first + LARGEST], np.array(groups)))
                first, size = first + LARGEST, size - LARGEST
        return [*tiles, (rows[first:], np.array(groups))]

    def step(self, q: NDArray[Any], own: Ints) -> tuple[NDArray[Any], Floats]:
        """Return the mean of each query of a tile, and the log of its density; ``own`` are the groups it is in."""
        far = self._logs_of_groups(q)
        near = self.near_groups(far, own, self.closest)
        x, half, log_weights = (self._rows_of(near, part) for part in (self.points, self.half_norms, self.log_weights))
        half_q = 0.5 * np.einsum("ij,ij->i", q, q)[:, None]
        close = q @ x.T
        close -= half - log_weights
        close -= half_q
        far[:, near] = -np.inf
        top = np.maximum(close.max(axis=1), far.max(axis=1))[:, None]
        np.exp(np.subtract(close, top, out=close), out=close)
        np.exp(np.subtract(far, top, out=far), out=far)
        total = close.sum(axis=1) + far.sum(axis=1)
        # c + (q - c) v / (1 + v) = c / (1 + v) + q v / (1 + v)
        pulled = far * self.narrowing
        mean = close @ x
        mean += pulled @ self.means
        mean += (far.sum(axis=1) - pulled.sum(axis=1))[:, None] * q
        mean /= total[:, None]
        return self.put_back(mean, q), np.log(total) + top[:, 0]

    def near_groups(self, logs: NDArray[Any], own: Ints, closest: int) -> Ints:
        """Return the groups to sum point by point, ascending: its own, and those that weigh most in a tile's densities.

        ``logs`` is what `_logs_of_groups` returns for the tile.
        """
        shares = np.exp(logs - logs.max(axis=1, keepdims=True))
        shares /= shares.sum(axis=1, keepdims=True)
        share = shares.sum(axis=0, dtype=np.float64)
        share[own] = np.inf  # whatever they weigh in sum: the queries may be their points
        order = np.argsort(-share, kind="stable")
        sizes = np.diff(self.starts)[order]
        share[own] = 0.0
        rest = np.cumsum(share[order][::-1])[::-1]
        wanted = (np.cumsum(sizes) - sizes < closest) & (rest > NEGLIGIBLE * len(logs))
        wanted[: len(own)] = True
        return np.sort(order[wanted])

    def _logs_of_groups(self, q: NDArray[Any]) -> NDArray[Any]:
        """Return the log of what each group adds to the density at each query, taken for a Gaussian."""
        logs = q @ self.means.T
        logs -= self.half_mean_norms
        logs -= 0.5 * np.einsum("ij,ij->i", q, q)[:, None]
        np.minimum(logs, 0.0, out=logs)
        logs *= self.narrowing
        logs += self.log_masses
        return logs

    def _rows_of(self, groups: Ints, values: NDArray[Any]) -> NDArray[Any]:
        return np.concatenate([values[self.starts[g] : self.starts[g + 1]] for g in groups])

    def put_back(self, mean: NDArray[Any], q: NDArray[Any]) -> NDArray[Any]:
        """Put means back on the sphere; where they have no direction, the queries stay."""
        if not self.sphere:
            return mean
        length = np.sqrt(np.einsum("ij,ij->i", mean, mean)) * self.bandwidth
        kept = length > np.finfo(mean.dtype).eps
        return np.where(kept[:, None], mean / np.where(kept, length, 1.0)[:, None], q)

    def whole(self, q: Floats, n_jobs: int | None) -> Floats:
        """Return the mean of each query over all points, in float64."""
        means = np.empty_like(q)

        def work(_: int, start: int, stop: int) -> None:
            means[start:stop] = self._whole_tile(q[start:stop])

        run_chunks(len(q), work, n_jobs, QUERIES_AT_ONCE)
        return means

    def _whole_tile(self, q: Floats) -> Floats:
        top, total, mean = np.full(len(q), -np.inf), np.zeros(len(q)), np.zeros_like(q)
        half_q = 0.5 * np.einsum("ij,ij->i", q, q)[:, None]
        for start in range(0, len(self.points), ROWS_AT_ONCE):
            x = self.points[start : start + ROWS_AT_ONCE].astype(np.float64)
            logs = q @ x.T
            logs -= 0.5 * np.einsum("ij,ij->i", x, x) - np.log(self.weights[start : start + ROWS_AT_ONCE])
            logs -= half_q
            higher = np.maximum(top, logs.max(axis=1))
            fading = np.exp(top - higher)
            np.exp(logs - higher[:, None], out=logs)
            total = total * fading + logs.sum(axis=1)
            mean = mean * fading[:, None] + logs @ x
            top = higher
        return self.put_back(mean / total[:, None], q)


def _middle(points: NDArray[Any], rows: Ints, bandwidth: float) -> tuple[Floats, float]:
    """Return the mean of some rows, and how far the farthest is from it, in bandwidths."""
    parts = [rows[start : start + ROWS_AT_ONCE] for start in range(0, len(rows), ROWS_AT_ONCE)]
    first = np.asarray(points[rows[0]], np.float64)
    centre = first + sum((points[part].astype(np.float64) - first).sum(axis=0) for part in parts) / len(rows)
    squares = (np.square((points[part] - centre) / bandwidth).sum(axis=1).max() for part in parts)
    return centre, float(np.sqrt(max(squares)))


def _gaussian(x: NDArray[Any], weights: Floats) -> tuple[Floats, float, float]:
    """Return mean, variance v, and log W (1 + v)^{-k/2} of weighted rows."""
    w = weights / weights.sum()
    mean = w @ x
    u = (x - mean).astype(np.float64) * np.sqrt(w)[:, None]
    products = u @ u.T
    squares = products.diagonal().copy()
    trace, pairs = float(squares.sum()), 1.0 - float(np.square(w).sum())
    if len(x) < 2 or not trace > 0.0:
        return mean, 0.0, float(np.log(weights.sum()))
    # pairs of different rows alone, less what their offsets from a common mean do to them: a few rows would seem flat
    np.fill_diagonal(products, 0.0)
    lost = float(w @ squares) ** 2 / pairs
    variance = max((float(np.square(products).sum()) - lost) / (trace * pairs), trace / x.shape[1])
    return mean, variance, float(np.log(weights.sum()) - 0.5 * trace / variance * np.log1p(variance))
