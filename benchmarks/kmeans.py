"""k-means beside scikit-learn and faiss: ``python -m benchmarks.kmeans``.

20 of Lloyd's rounds from the same start (tol = 0), for each of three shapes of data: points drawn evenly, blobs that
are more than there are clusters, and fewer. All get the same contiguous array and two threads, are warm, and take
turns; sorting, and every other preparation, counts. A row passes if our labels are those of scikit-learn, the number of
rounds is the same, the inertia of both sets of centres (summed here, in float64) differs by at most 1e-6 of itself, and
the fit is as many times faster as asked for.

The bars are at float64, scikit-learn's own default. Rows at float32 are for information, with the share of equal
labels: scikit-learn's centres are float32 there, ours float64. So are faiss (float32, no test for convergence; timed
once), seeds by greedy k-means++ (the same random state), k-means||, and whole fits by default (seeds included, three
random states, one fit of each; these fail if the mean inertia is more than 3 % above scikit-learn's). Small fits, where
fixed costs count, are compared at one thread, the quickest of several runs each, for several numbers of columns and
clusters; a row has the least and the most of these. Each case writes a file of its own, kmeans_*.csv, to
benchmarks/results.
"""

import argparse
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn import cluster as peer
from sklearn.exceptions import ConvergenceWarning
from threadpoolctl import threadpool_limits

import modeseek as ms
from benchmarks import harness
from benchmarks.harness import Row, alternate, duration
from benchmarks.mean_shift import Fit, bar, collect
from modeseek.kmeans.seeding import scalable

OURS, PEER, FAISS = "modeseek", "scikit-learn", "faiss"
ROUNDS = 20
THREADS = 2
SIZES = {"1e6 x 2": (1_000_000, 2, 64, 8.0), "1e6 x 16": (1_000_000, 16, 64, 2.0), "2e5 x 64": (200_000, 64, 256, 1.3)}
SHAPES = ("even", "more blobs", "fewer blobs")
INERTIA = 1e-6
INERTIA_OF_DEFAULTS = 0.03  # more than scikit-learn's on average over random states
STATES = 3
SPREAD = 0.05  # of a blob, in sides of what the blobs lie in
REPEATS = 3
SMALL, COLUMNS, FEW = (300, 1000, 3000, 10_000), (2, 8, 64), (8, 32)  # rows, columns, clusters of small fits
RUNS = 15  # of a small fit, of which the quickest counts


def points(shape: str, n: int, d: int, k: int, seed: int = 0) -> NDArray[np.float64]:
    """Draw points evenly from a cube, or about centres that are half as many again as clusters, or a third of them."""
    rng = np.random.default_rng([seed, d])
    if shape == "even":
        return rng.random((n, d))
    centres = rng.random((3 * k // 2 if shape == "more blobs" else k // 3, d))
    return centres[rng.integers(0, len(centres), n)] + SPREAD * rng.normal(size=(n, d))


def inertia(X: NDArray[Any], model: Any) -> float:
    """Sum the squared distances from the nearest centres, in float64."""
    centres, labels, total = model.cluster_centers_.astype(np.float64), model.labels_, 0.0
    for start in range(0, len(X), 1 << 15):
        part = slice(start, start + (1 << 15))
        total += float(np.square(X[part] - centres[labels[part]]).sum())
    return total


def faiss_seconds(X: NDArray[np.float32], start: NDArray[np.float32]) -> float | None:
    """Return what 20 rounds of faiss from the same start and one assignment take; None without faiss."""
    try:
        import faiss
    except ImportError:
        print("faiss is not installed: no row has its time", file=sys.stderr)
        return None
    faiss.omp_set_num_threads(THREADS)
    model = faiss.Kmeans(X.shape[1], len(start), niter=ROUNDS, max_points_per_centroid=len(X), seed=1)
    begin = time.perf_counter()
    model.train(X, init_centroids=start)
    model.index.search(X, 1)
    return time.perf_counter() - begin


def compare(name: str, shape: str, n: int, d: int, k: int, required: str, dtype: type = np.float64) -> Row:
    """Time both, and faiss, on one set, and compare what they find."""
    X = points(shape, n, d, k).astype(dtype)
    start = X[np.random.default_rng(1).choice(n, k, replace=False)].copy()
    how = {"init": start, "n_init": 1, "max_iter": ROUNDS, "tol": 0.0}
    ours, theirs = Fit(partial(ms.KMeans, k, n_jobs=THREADS, **how), X), Fit(partial(peer.KMeans, k, **how), X)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        timings = alternate({OURS: ours, PEER: theirs}, rounds=REPEATS, limit=8.0)
    faiss = faiss_seconds(X.astype(np.float32), start.astype(np.float32))
    row = bar(f"{name}, k = {k}, {shape}, {dtype.__name__}: times faster", timings[PEER].times(timings[OURS]), required)
    here, there = inertia(X, ours.model), inertia(X, theirs.model)
    row["agreement"] = float((ours.model.labels_ == theirs.model.labels_).mean())
    row["starts"] = None
    row["times"] = "; ".join(f"{rival} {timing}" for rival, timing in timings.items())
    row["times"] += f"; {FAISS} {duration(faiss)}" if faiss else ""
    row |= {
        "inertia_differs": abs(here - there) / there,
        "n_iter": ours.model.n_iter_,
        "n_iter_peer": theirs.model.n_iter_,
        "seconds": timings[OURS].median,
        "seconds_peer": timings[PEER].median,
        "seconds_faiss": faiss,
    }
    same = row["agreement"] == 1.0 and row["inertia_differs"] <= INERTIA and row["n_iter"] == row["n_iter_peer"]
    return row if same or not required else row | {"result": "FAIL"}


def fits(name: str, quick: bool) -> Iterator[Row]:
    """Compare on every shape of one size."""
    n, d, k, required = SIZES[name]
    for shape in SHAPES:
        size = (n // 100, d, min(k, 32)) if quick else (n, d, k)
        yield compare(name, shape, *size, "" if quick else f">= {required:g}")


def single(quick: bool) -> Iterator[Row]:
    """Compare at float32."""
    for name, (n, d, k, _) in SIZES.items():
        size = (n // 100, d, min(k, 32)) if quick else (n, d, k)
        yield compare(name, "even", *size, "", np.float32)


def seeds(quick: bool) -> Iterator[Row]:
    """Compare greedy k-means++ from the same random state, and put k-means|| beside it."""
    for name, (n, d, k, _) in SIZES.items():
        X = points("more blobs", n // 100 if quick else n, d, k)
        calls: dict[str, Callable[[], Any]] = {
            OURS: partial(ms.kmeans_plusplus, X, k, random_state=0, n_jobs=THREADS),
            PEER: partial(peer.kmeans_plusplus, X, k, random_state=0),
            "k-means||": lambda X=X, k=k: scalable(X, np.empty(0), k, np.random.RandomState(0), THREADS),
        }
        timings = alternate(calls, rounds=1)
        row = bar(f"{name}, k = {k}, greedy k-means++: times faster", timings[PEER].times(timings[OURS]), "")
        row["agreement"] = float((calls[OURS]()[1] == calls[PEER]()[1]).mean())
        yield row | {"times": "; ".join(f"{rival} {timing}" for rival, timing in timings.items())}


def defaults(quick: bool) -> Iterator[Row]:
    """Compare whole fits as they are by default, seeds included, once for each of a few random states."""
    for name, (n, d, k, _) in SIZES.items():
        k = min(k, 32) if quick else k
        X = points("more blobs", n // 100 if quick else n, d, k)
        rivals: dict[str, Callable[..., Any]] = {
            OURS: partial(ms.KMeans, k, n_jobs=THREADS),
            PEER: partial(peer.KMeans, k),
        }
        for rival in rivals.values():
            rival(random_state=STATES, max_iter=2).fit(X[: 1 << 15])
        timings = {rival: harness.Timing() for rival in rivals}
        ends: dict[str, list[float]] = {rival: [] for rival in rivals}
        same = []
        for state in range(STATES):
            labels = []
            for rival, make in rivals.items():
                begin = time.perf_counter()
                model = make(random_state=state).fit(X)
                timings[rival].seconds.append(time.perf_counter() - begin)
                ends[rival].append(inertia(X, model))
                labels.append(model.labels_)
            same.append(float((labels[0] == labels[1]).mean()))
        row = bar(f"{name}, k = {k}, more blobs, default fit: times faster", timings[PEER].times(timings[OURS]), "")
        row["agreement"] = min(same)
        row["times"] = "; ".join(f"{rival} {timing}" for rival, timing in timings.items())
        row["inertia_differs"] = float(np.mean(ends[OURS]) / np.mean(ends[PEER]) - 1.0)
        row |= {"seconds": timings[OURS].median, "seconds_peer": timings[PEER].median}
        good = row["inertia_differs"] <= INERTIA_OF_DEFAULTS
        yield row if good or quick else row | {"result": "FAIL"}


def small(quick: bool) -> Iterator[Row]:
    """Compare small fits, by default and from a given start, held to one thread; the quickest of several runs."""
    for n in SMALL[:1] if quick else SMALL:
        for how in ("default", "given start"):
            quotients, least, same = [], [], []
            for d, k in product(COLUMNS, FEW):
                X = points("more blobs", n, d, k)
                given = {} if how == "default" else {"init": X[:k].copy(), "n_init": 1}
                ours = Fit(partial(ms.KMeans, k, random_state=0, n_jobs=1, **given), X)
                theirs = Fit(partial(peer.KMeans, k, random_state=0, **given), X)
                with threadpool_limits(1):
                    timings = alternate({OURS: ours, PEER: theirs}, rounds=3 if quick else RUNS)
                same.append(float((ours.model.labels_ == theirs.model.labels_).mean()))
                quotients.append(timings[PEER].min / timings[OURS].min)
                least.append(timings[OURS].min)
            yield {"n": n, "fit": how, "fits": len(quotients), "least_seconds": min(least), "most_seconds": max(least),
                   "least_times": min(quotients), "median_times": float(np.median(quotients)),
                   "most_times": max(quotients), "agreement": min(same)}  # fmt: skip


def memory(quick: bool) -> Iterator[Row]:
    """Measure the memory of a fit beyond the input: from a given start, and with seeds."""
    n, k = (30_000 if quick else 1_000_000), 64
    for d in (2, 16):
        for how, init in (("a given start", f"X[:{k}].copy()"), ("seeds", "'k-means++'")):
            fit = f"model = ms.KMeans({k}, init={init}, n_init=1, max_iter=20, random_state=0).fit(X)"
            extra = harness.extra_memory(_MEMORY.format(n=n, d=d, k=k), fit) / n
            yield bar(f"{n:,} x {d}, k = {k}, {how}: bytes a point of a fit beyond the input", extra, "") | {
                "times": f"the input: {8 * d} bytes a point"
            }


_MEMORY = """
import modeseek as ms
from benchmarks.kmeans import points
X = points("even", {n}, {d}, {k})
ms.KMeans({k}, n_init=1, max_iter=2).fit(X[:50_000].copy())
"""


def cases() -> dict[str, Callable[[bool], Iterator[Row]]]:
    """Return what to measure, by name."""
    sizes = {name.replace(" ", ""): partial(fits, name) for name in SIZES}
    return {**sizes, "float32": single, "seeds": seeds, "default": defaults, "small": small, "memory": memory}


def main(argv: list[str] | None = None) -> int:
    """Run the benchmark; return 1 if a bar is missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.kmeans", description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="a hundredth of the points, no bar")
    parser.add_argument("--only", choices=cases(), help="run one case")
    options = parser.parse_args(argv)
    print("\n".join(f"{key}: {value}" for key, value in harness.machine().items()), end="\n\n")
    rows: list[Row] = []
    for name, case in cases().items():
        if options.only in (None, name):
            found = collect(name, case, options.quick)
            print(harness.table([{key: value for key, value in row.items() if key != "starts"} for row in found]))
            harness.write_rows(f"kmeans_{name}" + ("-quick" if options.quick else ""), found)
            rows += found
    return int(any(row.get("result") == "FAIL" for row in rows))


if __name__ == "__main__":
    sys.exit(main())
