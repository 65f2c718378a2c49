"""The notebook's homework on a device: each algorithm in plain Python, on the CPU, by scikit-learn, and on the GPU.

The notebook's lesson asks for clusterings and neighbours on the GPU, and whether they are faster "than a pure python or
CPU version". The plain forms are `modeseek.textbook` on sizes that they can do. The GPU's share of answers that are
those of the plain form is given; for hashing, which is approximate, the share of true neighbours.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn import cluster as scikit
from sklearn.exceptions import ConvergenceWarning
from sklearn.neighbors import NearestNeighbors
from sklearn.utils._testing import ignore_warnings

import modeseek as ms
from benchmarks import data
from benchmarks.gpu.limits import Limits, median_seconds
from benchmarks.harness import Row, alternate
from modeseek import textbook

ROUNDS = 3
PLAIN, CPU, SCIKIT, GPU = "plain Python", "modeseek, CPU", "scikit-learn", "modeseek, GPU"
H, BLURRING_ROUNDS = 2.5, 5
K, EPS, MIN_SAMPLES = 10, 0.6, 10
CENTRES, LLOYD_ROUNDS = 20, 20
RECALL, TABLES, HASHES, WIDTH = 0.9, 12, 4, 16.0  # of the plain form, whose recall is near that


@dataclass(frozen=True)
class Contest:
    """One piece of homework: who does it, and what share of the answers is right."""

    name: str
    shape: tuple[int, int]
    calls: dict[str, Callable[[], Any]]  # PLAIN, CPU, SCIKIT where it has the like, GPU
    right: Callable[[Any, Any], float]  # (of the plain form, of the GPU) -> share
    least: float = 1.0
    note: str = ""

    def row(self, device: str) -> Row:
        """Compare, then time in turn on the CPU, and on the device alone."""
        agrees = self.right(self.calls[PLAIN](), self.calls[GPU]())
        on_cpu = {name: call for name, call in self.calls.items() if name != GPU}
        times = alternate(on_cpu, ROUNDS)
        seconds = {name: times[name].median if name in times else None for name in (PLAIN, CPU, SCIKIT)}
        return {
            "case": self.name,
            "n": self.shape[0],
            "d": self.shape[1],
            **seconds,
            GPU: median_seconds(self.calls[GPU], device),
            "passed": "pass" if agrees >= self.least else "FAIL",
            "agrees": agrees,
            "note": self.note,
        }


def array(result: Any) -> NDArray[Any]:
    """Return a result of any kind in NumPy."""
    return result.cpu().numpy() if isinstance(result, torch.Tensor) else np.asarray(result)


def equal(expected: Any, found: Any) -> float:
    """Return the share of equal entries."""
    return float((array(expected) == array(found)).mean())


def same_parts(expected: Any, found: Any) -> float:
    """Return the share of equal labels, whatever the clusters' numbers."""
    return equal(by_first(array(expected)), by_first(array(found)))


def by_first(labels: NDArray[Any]) -> NDArray[np.int64]:
    """Return labels, all at least 0, with clusters numbered as their first points come."""
    _, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[inverse]


def mean_shift(n: int, device: str) -> Contest:
    """Let every point climb."""
    X = data.blobs(n).astype(np.float64)
    tensor = torch.from_numpy(X).to(device)
    return Contest(
        "mean shift",
        X.shape,
        {
            PLAIN: lambda: textbook.modes(textbook.climb(X, X, H), H)[1],
            CPU: lambda: ms.MeanShift(H).fit(X).labels_,
            SCIKIT: lambda: scikit.MeanShift(bandwidth=2 * H, bin_seeding=True).fit(X).labels_,
            GPU: lambda: ms.MeanShift(H, device="torch").fit(tensor).labels_,
        },
        same_parts,
        note="scikit-learn: flat weights, binned seeds",
    )


def blurring(n: int, device: str) -> Contest:
    """Move all points at once, five times, and put together what came together."""
    X = data.blobs(n).astype(np.float64)
    tensor = torch.from_numpy(X).to(device)
    how = {"blurring": True, "max_iter": BLURRING_ROUNDS}

    def plain() -> NDArray[Any]:
        moved = textbook.meanshift(X, 1 << 12, rounds=BLURRING_ROUNDS, bandwidth=H, update="simultaneous")
        return textbook.modes(moved, H)[1]

    return Contest(
        f"blurring, {BLURRING_ROUNDS} rounds",
        X.shape,
        {
            PLAIN: plain,
            CPU: lambda: ms.MeanShift(H, **how).fit(X).labels_,
            GPU: lambda: ms.MeanShift(H, **how, device="torch").fit(tensor).labels_,
        },
        lambda _, found: same_parts(ms.MeanShift(H, **how).fit(X).labels_, found),
        note="right by the labels of the CPU",
    )


def nearest(n: int, device: str) -> Contest:
    """Find the ten nearest of every point."""
    X = data.mixture(n, 2).astype(np.float64)
    tensor = torch.from_numpy(X).to(device)
    return Contest(
        f"{K} nearest neighbours",
        X.shape,
        {
            PLAIN: lambda: textbook.k_nearest(X, X, K)[1],
            CPU: lambda: ms.NearestNeighbors(n_neighbors=K).fit(X).kneighbors(X)[1],
            SCIKIT: lambda: NearestNeighbors(n_neighbors=K, n_jobs=-1).fit(X).kneighbors(X)[1],
            GPU: lambda: ms.NearestNeighbors(n_neighbors=K, device="torch").fit(tensor).kneighbors(tensor)[1],
        },
        equal,
    )


def density(n: int, device: str) -> Contest:
    """Cluster by density."""
    X = data.mixture(n, 2).astype(np.float64)
    tensor, eps = torch.from_numpy(X).to(device), EPS * (10_000 / n) ** 0.5
    return Contest(
        "DBSCAN",
        X.shape,
        {
            PLAIN: lambda: textbook.dbscan(X, eps, MIN_SAMPLES)[0],
            CPU: lambda: ms.DBSCAN(eps, min_samples=MIN_SAMPLES).fit(X).labels_,
            SCIKIT: lambda: scikit.DBSCAN(eps=eps, min_samples=MIN_SAMPLES, n_jobs=-1).fit(X).labels_,
            GPU: lambda: ms.DBSCAN(eps, min_samples=MIN_SAMPLES, device="torch").fit(tensor).labels_,
        },
        equal,
    )


@ignore_warnings(category=ConvergenceWarning)  # so few rounds may not converge
def fitted_labels(model: Any, X: Any) -> Any:
    """Fit, and return the labels."""
    return model.fit(X).labels_


def lloyd(n: int, device: str) -> Contest:
    """Move centres to the means of their points."""
    X = data.mixture(n, 2).astype(np.float64)
    tensor, start = torch.from_numpy(X).to(device), X[np.random.default_rng(0).choice(n, CENTRES, replace=False)]
    how = {"init": start, "n_init": 1, "max_iter": LLOYD_ROUNDS, "tol": 0.0}
    return Contest(
        f"k-means, {CENTRES} centres, {LLOYD_ROUNDS} rounds",
        X.shape,
        {
            PLAIN: lambda: textbook.kmeans(X, start, LLOYD_ROUNDS)[1],
            CPU: lambda: fitted_labels(ms.KMeans(CENTRES, **how), X),
            SCIKIT: lambda: fitted_labels(scikit.KMeans(CENTRES, **how), X),
            GPU: lambda: fitted_labels(ms.KMeans(CENTRES, **how, device="torch"), tensor),
        },
        equal,
    )


def hashing(n: int, device: str) -> Contest:
    """Find the ten nearest of fresh queries approximately; the index is made beforehand on all sides."""
    rng = np.random.default_rng(0)
    centres = 4.0 * rng.normal(size=(200, 32))
    X, Q = (centres[rng.integers(0, 200, m)] + rng.normal(size=(m, 32)) for m in (n, min(n, 1000)))
    tensor, queries = (torch.from_numpy(part).to(device) for part in (X, Q))
    directions, offsets = rng.normal(size=(TABLES, HASHES, 32)), rng.uniform(0, WIDTH, (TABLES, HASHES))
    index = ms.LSHIndex(random_state=0).fit(X).tune(recall=RECALL, k=K)
    there = ms.LSHIndex(random_state=0, device="torch").fit(tensor).tune(recall=RECALL, k=K)
    exact = NearestNeighbors(n_neighbors=K, algorithm="brute", n_jobs=-1).fit(X)
    true = textbook.k_nearest(Q, X, K)[1]

    def plain() -> NDArray[Any]:
        found = np.full((len(Q), K), -1)
        for i, near in enumerate(textbook.lsh_candidates(Q, X, directions, offsets, WIDTH)):
            best = near[np.argsort(((X[near] - Q[i]) ** 2).sum(1), kind="stable")[:K]]
            found[i, : len(best)] = best
        return found

    def recall(_: Any, found: Any) -> float:
        pairs = zip(true, array(found), strict=True)
        return float(np.mean([len(np.intersect1d(a, b)) / K for a, b in pairs]))

    return Contest(
        f"hashing, {len(Q)} queries, recall {RECALL}",
        X.shape,
        {
            PLAIN: plain,
            CPU: lambda: index.query(Q, K)[1],
            SCIKIT: lambda: exact.kneighbors(Q)[1],
            GPU: lambda: there.query(queries, K)[1],
        },
        recall,
        least=RECALL - 0.02,
        note="agrees: recall; scikit-learn: exact",
    )


CONTESTS = {  # and how many points the plain forms are to do
    mean_shift: 1500,
    blurring: 1500,
    nearest: 10_000,
    density: 10_000,
    lloyd: 10_000,
    hashing: 10_000,
}
FEW = 400  # of the quick form


def run(limits: Limits, device: str, quick: bool) -> list[Row]:
    """Measure everything."""
    return [make(FEW if quick else n, device).row(device) for make, n in CONTESTS.items()]
