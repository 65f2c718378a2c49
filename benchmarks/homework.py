"""The notebook's homework: ``python -m benchmarks.homework``.

The lesson ends with homework: "implement k-means clustering, dbscan, locality sensitive hashing, or some other
clustering, fast nearest neighbors ... Check if your version is faster than a pure python or CPU version." Here each of
them meets its plain form (`modeseek.textbook`: loops over the points, NumPy within) and the libraries that people
install for it, on sizes that the plain form can do. Results are compared first. Writes benchmarks/results/homework.csv.

The benchmarks of one algorithm each (neighbors, dbscan, kmeans, lsh) have the large sizes.
"""

import argparse
import sys
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import dbscan as wang
import faiss
import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from sklearn.cluster import DBSCAN, KMeans, MeanShift
from sklearn.neighbors import NearestNeighbors

import modeseek as ms
from benchmarks import data, harness
from benchmarks.harness import Row, alternate
from benchmarks.mean_shift import bar, collect
from modeseek import textbook

ROUNDS = 3  # of the timing
PLAIN, OURS = "plain Python", "modeseek"
K, LLOYD_ROUNDS, CENTERS = 10, 20, 20
EPS, MIN_SAMPLES = 0.6, 10
RECALL, TABLES, HASHES, WIDTH = 0.9, 12, 4, 16.0  # of the plain form, whose recall is near that


@dataclass(frozen=True)
class Contest:
    """One piece of homework: who does it, and how the others' results are compared with the plain form's."""

    name: str
    calls: dict[str, Callable[[], Any]]  # the plain form, modeseek, peers
    share: Callable[[Any, Any], float]  # (expected, found) -> the share that is the same; what peers promise
    same: float = 1.0  # share that our own result must reach

    def rows(self) -> Iterator[Row]:
        """Compare, time in turn, and make a row for each rival."""
        results = {name: call() for name, call in self.calls.items()}
        shares = {name: self.share(results[PLAIN], result) for name, result in results.items()}
        times = alternate(self.calls, ROUNDS, warm_up=dict.fromkeys(self.calls, lambda: None))  # all have run by now
        for rival in (name for name in self.calls if name != OURS):
            row = bar(f"{self.name}: times faster than {rival}", times[rival].times(times[OURS]), ">= 1")
            if shares[OURS] < self.same:
                row["result"] = "FAIL"
            words = f"{OURS} {times[OURS]}; {rival} {times[rival]}"
            if shares[rival] != shares[OURS]:
                words += f"; {rival} agrees {shares[rival]:.4g}"
            yield row | {"agreement": shares[OURS], "times": words}


def equal_share(expected: NDArray[Any], found: NDArray[Any]) -> float:
    """Return the share of equal entries."""
    return float((np.asarray(expected) == np.asarray(found)).mean())


def recall(expected: NDArray[Any], found: NDArray[Any]) -> float:
    """Return the share of the expected rows that were found."""
    pairs = zip(expected, found, strict=True)
    return float(np.mean([len(np.intersect1d(a, b)) / len(a) for a, b in pairs]))


# ------------------------------------------------------------------------------------------------- the homework


def nearest(n: int) -> Contest:
    """Find the ten nearest of every point."""
    X = data.mixture(n, 2).astype(np.float64)
    return Contest(
        f"{K} nearest neighbours, {n:,} x 2",
        {
            PLAIN: lambda: textbook.k_nearest(X, X, K)[1],
            OURS: lambda: ms.NearestNeighbors(n_neighbors=K).fit(X).kneighbors(X)[1],
            "scikit-learn": lambda: NearestNeighbors(n_neighbors=K, n_jobs=2).fit(X).kneighbors(X)[1],
            "SciPy's cKDTree": lambda: cKDTree(X).query(X, K, workers=2)[1],
        },
        equal_share,
    )


def density(n: int) -> Contest:
    """Cluster by density."""
    X = data.mixture(n, 2).astype(np.float64)
    eps = EPS * np.sqrt(10_000 / n)
    return Contest(
        f"DBSCAN, {n:,} x 2",
        {
            PLAIN: lambda: textbook.dbscan(X, eps, MIN_SAMPLES)[0],
            OURS: lambda: ms.DBSCAN(eps, min_samples=MIN_SAMPLES).fit(X).labels_,
            "scikit-learn": lambda: DBSCAN(eps=eps, min_samples=MIN_SAMPLES, n_jobs=2).fit(X).labels_,
            "dbscan (C++)": lambda: renumbered(wang.DBSCAN(X, eps, MIN_SAMPLES)[0]),
        },
        equal_share,
    )


def renumbered(labels: NDArray[Any]) -> NDArray[np.int64]:
    """Return labels with clusters numbered as their first points come; noise stays -1."""
    labels = np.asarray(labels)
    values, first = np.unique(labels, return_index=True)
    clusters = values[values >= 0][np.argsort(first[values >= 0])]
    number = np.full(int(labels.max()) + 2, -1)
    number[clusters] = np.arange(len(clusters))
    return number[labels]


def lloyd(n: int) -> Contest:
    """Move centres to the means of their points."""
    X = data.mixture(n, 2).astype(np.float64)
    start = X[np.random.default_rng(0).choice(n, CENTERS, replace=False)]
    how = {"init": start, "n_init": 1, "max_iter": LLOYD_ROUNDS, "tol": 0.0}

    def fit(model: Any) -> NDArray[Any]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # so few rounds may not converge
            return model.fit(X).labels_

    def by_faiss() -> NDArray[Any]:
        means = faiss.Kmeans(2, CENTERS, niter=LLOYD_ROUNDS, max_points_per_centroid=n, min_points_per_centroid=1)
        means.train(X.astype(np.float32), init_centroids=start.astype(np.float32))
        return means.index.search(X.astype(np.float32), 1)[1][:, 0]

    return Contest(
        f"k-means, {n:,} x 2, k = {CENTERS}, {LLOYD_ROUNDS} rounds",
        {
            PLAIN: lambda: textbook.kmeans(X, start, LLOYD_ROUNDS)[1],
            OURS: lambda: fit(ms.KMeans(CENTERS, **how)),
            "scikit-learn": lambda: fit(KMeans(CENTERS, **how)),
            "faiss": by_faiss,
        },
        equal_share,
    )


def hashing(n: int) -> Contest:
    """Find the ten nearest of fresh queries approximately; the index is made beforehand on all sides."""
    rng = np.random.default_rng(0)
    centres = 4.0 * rng.normal(size=(200, 32))
    X, Q = (centres[rng.integers(0, 200, m)] + rng.normal(size=(m, 32)) for m in (n, 1000))
    directions, offsets = rng.normal(size=(TABLES, HASHES, 32)), rng.uniform(0, WIDTH, (TABLES, HASHES))
    index = ms.LSHIndex(random_state=0).fit(X).tune(recall=RECALL, k=K)
    exact = NearestNeighbors(n_neighbors=K, algorithm="brute", n_jobs=2).fit(X)
    rows = textbook.k_nearest(Q, X, K)[1]

    def plain() -> NDArray[Any]:
        found = np.full((len(Q), K), -1)
        for i, near in enumerate(textbook.lsh_candidates(Q, X, directions, offsets, WIDTH)):
            best = near[np.argsort(((X[near] - Q[i]) ** 2).sum(1), kind="stable")[:K]]
            found[i, : len(best)] = best
        return found

    return Contest(
        f"locality-sensitive hashing, {len(Q)} queries of {n:,} x 32, recall {RECALL}",
        {
            PLAIN: plain,
            OURS: lambda: index.query(Q, K)[1],
            "scikit-learn, exact": lambda: exact.kneighbors(Q)[1],
        },
        lambda _, found: recall(rows, found),
        RECALL - 0.02,
    )


def closest(n: int) -> Contest:
    """Let every point climb: the mean shift that looks at the closest points only."""
    X, h = data.blobs(n).astype(np.float64), 2.5

    def plain() -> NDArray[Any]:
        return renumbered(textbook.modes(textbook.climb(X, X, h), h)[1])

    return Contest(
        f"mean shift, {n:,} x 2",
        {
            PLAIN: plain,
            OURS: lambda: renumbered(ms.MeanShift(h).fit(X).labels_),
            "scikit-learn (flat, bin_seeding)": lambda: renumbered(
                MeanShift(bandwidth=2 * h, bin_seeding=True).fit(X).labels_
            ),
        },
        equal_share,
    )


def cases(quick: bool) -> Iterator[Row]:
    """Measure everything."""
    few, some = (400, 1000) if quick else (1500, 10_000)
    for contest in (closest(few), nearest(some), density(some), lloyd(some), hashing(some)):
        yield from contest.rows()


def main(argv: list[str] | None = None) -> int:
    """Run the benchmark; return 1 if a bar is missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.homework", description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="up to 1000 points")
    quick = parser.parse_args(argv).quick
    print("\n".join(f"{key}: {value}" for key, value in harness.machine().items()), end="\n\n")
    rows = collect("homework", cases, quick)
    print(harness.table(rows))
    harness.write_rows("homework" + ("-quick" if quick else ""), rows)
    return int(any(row["result"] == "FAIL" for row in rows))


if __name__ == "__main__":
    sys.exit(main())
