r"""Where the centres of k-means start: k-means++ (greedy), k-means||, random rows.

k-means++ draws one point after the other with probabilities w_i D_i^2, D the distance from the closest point drawn so
far; of 2 + log k candidates each time the one is taken that leaves the least sum of w_i D_i^2. k-means|| draws about
2k points a round, each independently, weighs every one by the points that are closest to it, and lets k-means++ choose
among them: a few passes over the data instead of k.

Candidates are not compared with points whose closest centre is so near that none can be nearer (triangle inequality).

Sources: D. Arthur and S. Vassilvitskii, "k-means++: the advantages of careful seeding", SODA 2007; B. Bahmani et al.,
"Scalable k-means++", PVLDB 5 (2012) 622-633.
"""

from typing import Any

import numpy as np
from numpy.random import RandomState
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import check_random_state

from modeseek.engines import data, namespaces
from modeseek.engines.devices import device_of
from modeseek.engines.threads import run_chunks
from modeseek.kmeans.cells import MOST_COLUMNS, Places, places_of
from modeseek.kmeans.nearest import SMALL, Floats, Points, check_span, chunk_rows, nearest, squares
from modeseek.kmeans.seeding_cells import ClosestOnCells

Ints = NDArray[np.int64]

WORTH_SORTING = 8  # seeds: for fewer, sorting the points costs more than it saves
ROUNDS = 5  # of k-means||
OVERSAMPLING = 2.0  # points of one of its rounds, in clusters


def kmeans_plusplus(
    X: ArrayLike,
    n_clusters: int,
    *,
    sample_weight: ArrayLike | None = None,
    x_squared_norms: ArrayLike | None = None,
    random_state: int | RandomState | None = None,
    n_local_trials: int | None = None,
    n_jobs: int | None = None,
    device: Any = "auto",
) -> tuple[Any, Any]:
    """Choose rows of X as seeds by greedy k-means++, with scikit-learn's signature and its draws.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features)
        Points.
    n_clusters : int
        Number of seeds.
    sample_weight : array-like of shape (n_samples,), optional
        Weights, at least 0.
    x_squared_norms : array-like, optional
        Taken for compatibility; not needed.
    random_state : int, RandomState or None
        Decides the draws. The same state chooses the rows that scikit-learn chooses, but where rounding decides.
    n_local_trials : int, optional
        Candidates for each seed; None: 2 + log(n_clusters).
    n_jobs : int, optional
        Threads; the result is the same for any number.
    device : str or torch.device, default="auto"
        Where to compute: on the GPU that X lies on, else on the CPU; see `KMeans`.

    Returns
    -------
    centers : ndarray of shape (n_clusters, n_features)
        The seeds.
    indices : ndarray of shape (n_clusters,)
        Their rows in X.

    Raises
    ------
    ValueError
        If there are fewer rows than clusters, X is not finite, or a weight is negative.

    Notes
    -----
    12 bytes a point beside the data; at most n_samples x n_clusters x (n_local_trials + 1) distances, hardly ever so
    many.

    Examples
    --------
    >>> import modeseek as ms
    >>> centers, rows = ms.kmeans_plusplus([[1.0, 2], [1, 4], [1, 0], [10, 2], [10, 4], [10, 0]], 2, random_state=0)
    >>> print(rows)
    [3 2]
    """
    k = data.whole(n_clusters, "n_clusters", 1)
    trials = None if n_local_trials is None else data.whole(n_local_trials, "n_local_trials", 1)
    on = device_of(device, X)
    if on is not None:
        from modeseek.kmeans import on_device

        chosen = on_device.seeds(X, sample_weight, k, check_random_state(random_state), trials, on)
        return tuple(namespaces.Home.of(X).back(tensor) for tensor in chosen)
    points = np.ascontiguousarray(data.as_points(namespaces.as_numpy(X)))
    weights = data.as_weights(namespaces.as_numpy(sample_weight), len(points))
    if len(points) < k:
        raise ValueError(f"n_samples={len(points)} should be >= n_clusters={k}.")
    check_span(data.bounds(points, n_jobs))
    sorts = k >= WORTH_SORTING and points.shape[1] <= MOST_COLUMNS
    places = places_of(Points.of(points, weights, n_jobs)) if sorts else None
    rows = plus_plus(points, weights, k, check_random_state(random_state), n_jobs, trials, places)
    home = namespaces.Home.of(X)
    return home.back(points[rows]), home.back(rows)


def plus_plus(
    x: NDArray[Any],
    weights: Floats,
    k: int,
    random: RandomState,
    n_jobs: int | None = None,
    trials: int | None = None,
    places: Places | None = None,
) -> Ints:
    """Return the rows that greedy k-means++ draws; ``places`` (of the same points) only save work."""
    trials = 2 + int(np.log(k)) if trials is None else trials
    w = weights if weights.size else np.ones(len(x))
    rows = np.empty(k, np.int64)
    rows[0] = random.choice(len(x), p=w / w.sum())
    closest = _closest(x, weights, k, n_jobs, places)
    potential = closest.add(x[rows[0]])
    for c in range(1, k):
        drawn = closest.rows_at(random.uniform(size=trials) * potential)
        rows[c] = drawn[closest.potentials(x[drawn]).argmin()]
        potential = closest.add(x[rows[c]])
    return rows


def _closest(
    x: NDArray[Any], weights: Floats, k: int, n_jobs: int | None, places: Places | None
) -> "_Small | _Closest | ClosestOnCells":
    """Return the form of squared distances that costs least."""
    if x.size * k <= SMALL:
        return _Small(x, weights, k, n_jobs)
    return _Closest(x, weights, k, n_jobs) if places is None else ClosestOnCells(places, weights, k, n_jobs)


class _Small:
    """Squared distances from the closest seed, in NumPy."""

    def __init__(self, x: NDArray[Any], weights: Floats, k: int, n_jobs: int | None):
        self.x, self.w = x.astype(np.float64), weights if weights.size else np.ones(len(x))
        self.closest = np.full(len(x), np.inf)

    def add(self, seed: NDArray[Any]) -> float:
        """Take in one more seed; return the weighted sum."""
        self.closest = np.minimum(self.closest, squares(self.x, seed[None].astype(np.float64))[:, 0])
        return float(self.closest @ self.w)

    def potentials(self, candidates: NDArray[Any]) -> Floats:
        """Return what the sum would be with each candidate."""
        found = squares(self.x, candidates.astype(np.float64))
        return np.asarray(np.minimum(found, self.closest[:, None]).T @ self.w)

    def rows_at(self, values: Floats) -> Ints:
        """Return the rows at which the running sum reaches values."""
        return np.minimum(np.searchsorted(np.cumsum(self.w * self.closest), values), len(self.w) - 1)


class _Closest:
    """Squared distances from the closest seed, which seed that is, and sums of them, chunk by chunk."""

    def __init__(self, x: NDArray[Any], weights: Floats, k: int, n_jobs: int | None):
        from modeseek.engines.cpu import seeding

        self.x, self.weights, self.n_jobs, self.kernels = x, weights, n_jobs, seeding
        self.seeds, self.n = np.empty((k, x.shape[1])), 0
        self.closest, self.labels = np.full(len(x), np.inf), np.zeros(len(x), np.int32)
        self.chunk = chunk_rows(len(x), k)
        self.totals, self.tops = np.zeros(-(-len(x) // self.chunk)), np.array([np.inf])

    def add(self, seed: NDArray[Any]) -> float:
        """Take in one more seed; return the weighted sum."""
        candidate = seed.astype(np.float64)
        within = self._within(candidate[None])
        tops = np.zeros((len(self.totals), self.n + 1))

        def work(_: int, start: int, stop: int) -> None:
            piece = start // self.chunk
            self.totals[piece] = self.kernels.take_in(
                self.x, self.weights, within, candidate, self.n, start, stop, self.labels, self.closest, tops[piece]
            )

        run_chunks(len(self.x), work, self.n_jobs, self.chunk)
        self.seeds[self.n], found = candidate, tops.max(axis=0)
        self.tops = np.append(np.where(within, found[:-1], self.tops), found[-1]) if self.n else found
        self.n += 1
        return float(self.totals.sum())

    def potentials(self, candidates: NDArray[Any]) -> Floats:
        """Return what the sum would be with each candidate."""
        c = candidates.astype(np.float64)
        within = self._within(c)
        padded = np.concatenate([c, np.repeat(c[:1], -len(c) % self.kernels.GROUP, axis=0)])
        found = np.zeros((len(self.totals), len(padded)))

        def work(_: int, start: int, stop: int) -> None:
            self.kernels.gains(
                self.x, self.weights, within, padded, start, stop, self.labels, self.closest, found[start // self.chunk]
            )

        run_chunks(len(self.x), work, self.n_jobs, self.chunk)
        return np.asarray(self.totals.sum() - found.sum(axis=0)[: len(c)])

    def _within(self, candidates: Floats) -> NDArray[np.bool_]:
        """Return for each cluster whether one of the candidates may be closer to some of its points than its seed."""
        if not self.n:
            return np.ones(1, bool)
        between = np.square(candidates[:, None] - self.seeds[: self.n]).sum(axis=2).min(axis=0)
        return np.asarray(between <= 4.0 * self.tops * (1.0 + 1e-6))

    def rows_at(self, values: Floats) -> Ints:
        """Return the rows at which the running sum reaches values: first the chunk, then the row in it."""
        rows = np.empty(len(values), np.int64)
        self.kernels.rows_at(values, np.cumsum(self.totals), self.weights, self.closest, self.chunk, rows)
        return rows


def scalable(x: NDArray[Any], weights: Floats, k: int, random: RandomState, n_jobs: int | None = None) -> Ints:
    """Return the rows that k-means|| chooses: k-means++ among the points of a few oversampled rounds."""
    w = weights if weights.size else np.ones(len(x))
    drawn = np.array([random.choice(len(x), p=w / w.sum())])
    closest = _squares_from(x, x[drawn], n_jobs)
    for _ in range(ROUNDS):
        chances = w * closest
        total = chances.sum()
        if total == 0.0:
            break
        new = np.flatnonzero(random.uniform(size=len(x)) * total < OVERSAMPLING * k * chances)
        if new.size:
            drawn = np.concatenate([drawn, new])
            np.minimum(closest, _squares_from(x, x[new], n_jobs), out=closest)
    drawn = np.unique(drawn)
    if len(drawn) <= k:
        others = np.setdiff1d(np.flatnonzero(w > 0.0), drawn)
        missing = k - len(drawn)
        if len(others) < missing:
            others = np.setdiff1d(np.arange(len(x)), drawn)
        return np.concatenate([drawn, random.choice(others, missing, replace=False)]).astype(np.int64)
    candidates = np.ascontiguousarray(x[drawn])
    masses = np.bincount(nearest(x, candidates, n_jobs), w, len(drawn)).astype(np.float64)
    return np.asarray(drawn[plus_plus(candidates, masses, k, random, n_jobs)])


def _squares_from(x: NDArray[Any], centres: NDArray[Any], n_jobs: int | None) -> Floats:
    """Return the squared distance of each point from the nearest of some centres."""
    labels = nearest(x, centres, n_jobs)
    out = np.empty(len(x))
    for start in range(0, len(x), 1 << 14):
        part = slice(start, start + (1 << 14))
        out[part] = np.square(x[part] - centres[labels[part]].astype(np.float64)).sum(axis=1)
    return out


def check_start(shape: tuple[int, ...], finite: bool, wanted: tuple[int, int]) -> None:
    """Refuse centres to start from that are not (k, d) finite numbers."""
    if shape != wanted:
        raise ValueError(
            f"The shape of the initial centers {shape} does not match the number of clusters "
            f"{wanted[0]} and the number of features of the data {wanted[1]}."
        )
    if not finite:
        raise ValueError("The initial centers contain NaN or infinity.")


def random_rows(n: int, weights: Floats, k: int, random: RandomState) -> Ints:
    """Return k different rows, drawn by weight."""
    w = weights if weights.size else np.ones(n)
    return np.asarray(random.choice(n, size=k, replace=False, p=w / w.sum()))
