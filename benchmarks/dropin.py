"""scikit-learn's MeanShift and its replacement, side by side: ``python -m benchmarks.dropin``.

Both get the same float64 points, bandwidth and seeds, use both cores, are warm, and take turns; times are medians of a
fit. A row passes if every label is the same, centres (in order) differ by at most 1e-6 bandwidths, ``n_iter_`` is the
same, and the fit is as many times faster as asked for. Where scikit-learn would take hours from every point, both
climb from every k-th point, or from bins: *seeds* says how many there are, of *n* points. Writes
benchmarks/results/dropin.csv.
"""

import argparse
import sys
import time
import warnings
from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn import cluster as peer
from sklearn.datasets import load_digits, load_iris, make_blobs
from sklearn.decomposition import PCA

import modeseek as ms
from benchmarks import data, harness
from benchmarks.harness import Row, alternate
from benchmarks.mean_shift import Fit, bar, collect

OURS, PEER = "modeseek", "scikit-learn"
STRIDES = {500: 1, 2000: 1, 10_000: 10, 50_000: 100}  # of the points that are seeds, by the number of points
LARGE = 10_000  # points from which 20 times are asked for
DIMENSIONS = (2, 3, 8)
PATIENCE = 30.0  # seconds of rounds after which no further one begins
CENTRES = 1e-6  # bandwidths
QUANTILE = 0.1

replacement = partial(ms.MeanShift, kernel="flat", assign="nearest")


def blobs(n: int, d: int) -> NDArray[np.float64]:
    """Draw n points about six centres that are not far apart."""
    return make_blobs(n, n_features=d, centers=6, cluster_std=1.5, random_state=d)[0]


def compare(name: str, X: NDArray[np.float64], bandwidth: float, required: str, **how: Any) -> Row:
    """Time both on one set, and compare what they find."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # seeds without a neighbour: ours says so
        ours = Fit(partial(replacement, bandwidth=bandwidth, **how), X)
        theirs = Fit(partial(peer.MeanShift, bandwidth=bandwidth, n_jobs=2, **how), X)
        few = Fit(partial(peer.MeanShift, bandwidth=bandwidth, n_jobs=2, seeds=X[:4]), X)
        timings = alternate({OURS: ours, PEER: theirs}, rounds=3, limit=PATIENCE, warm_up={PEER: few})
        every = time_from_every_point(X, bandwidth) if how else None
    row = bar(f"{name}: times faster", timings[PEER].times(timings[OURS]), required)
    row["agreement"], row["starts"] = labels_equal(ours.model, theirs.model), n_seeds(X, bandwidth, **how)
    row["times"] = f"{OURS} {timings[OURS]}; {PEER} {timings[PEER]}"
    row |= {
        "n": len(X),
        "d": X.shape[1],
        "bandwidth": bandwidth,
        "clusters": len(theirs.model.cluster_centers_),
        "centres_differ": centres_differ(ours.model, theirs.model),
        "n_iter": ours.model.n_iter_,
        "n_iter_peer": theirs.model.n_iter_,
        "seconds": timings[OURS].median,
        "seconds_peer": timings[PEER].median,
        "seconds_from_every_point": every,
    }
    same = row["agreement"] == 1.0 and row["centres_differ"] <= CENTRES and row["n_iter"] == row["n_iter_peer"]
    return row if same else row | {"result": "FAIL"}


def labels_equal(ours: Any, theirs: Any) -> float:
    """Return the share of points that have the same label, number for number."""
    return float((ours.labels_ == theirs.labels_).mean())


def centres_differ(ours: Any, theirs: Any) -> float:
    """Return the largest difference of centres, in their order, in bandwidths; infinite if their numbers differ."""
    if ours.cluster_centers_.shape != theirs.cluster_centers_.shape:
        return float("inf")
    return float(np.abs(ours.cluster_centers_ - theirs.cluster_centers_).max() / ours.bandwidth_)


def n_seeds(X: NDArray[np.float64], bandwidth: float, seeds: Any = None, bin_seeding: bool = False) -> int:
    """Return how many climbs there are."""
    if seeds is not None:
        return len(seeds)
    return len(ms.get_bin_seeds(X, bandwidth)) if bin_seeding else len(X)


def time_from_every_point(X: NDArray[np.float64], bandwidth: float) -> float:
    """Return the seconds of our fit with every point as a seed."""
    start = time.perf_counter()
    replacement(bandwidth=bandwidth).fit(X)
    return time.perf_counter() - start


def cases(quick: bool) -> Iterator[Row]:
    """Compare on every set."""
    for n, stride in STRIDES.items():
        if quick and n > min(STRIDES):
            break
        for d in DIMENSIONS:
            X = blobs(n, d)
            bandwidth = ms.estimate_bandwidth(X, quantile=QUANTILE, n_samples=2000)
            how = {} if stride == 1 else {"seeds": X[::stride]}
            yield compare(f"{n:,} points, d = {d}", X, bandwidth, ">= 20" if n >= LARGE else ">= 1", **how)
    X = load_iris().data
    yield compare("iris", X, ms.estimate_bandwidth(X, quantile=QUANTILE), ">= 1")
    if quick:
        return
    X = PCA(8, random_state=0).fit_transform(load_digits().data)
    yield compare("digits, 8 components", X, ms.estimate_bandwidth(X, quantile=QUANTILE), ">= 1")
    X = data.china().astype(np.float64)
    for bandwidth in (32.0, 16.0):
        yield compare(f"china.jpg, bandwidth {bandwidth:g}", X, bandwidth, ">= 20", bin_seeding=True)


def estimates(quick: bool) -> Iterator[Row]:
    """Compare the bandwidths that both estimate."""
    for n in (500,) if quick else (500, 2000, 10_000):
        for d in DIMENSIONS:
            X = blobs(n, d)
            calls = {OURS: partial(ms.estimate_bandwidth, X, quantile=0.3), PEER: partial(peer.estimate_bandwidth, X)}
            timings = alternate(calls, rounds=5, limit=PATIENCE)
            here, there = calls[OURS](), calls[PEER]()
            row = bar(
                f"estimate_bandwidth, {n:,} points, d = {d}: times faster", timings[PEER].times(timings[OURS]), ""
            )
            words = f"{OURS} {timings[OURS]}; {PEER} {timings[PEER]}"
            yield row | {"n": n, "d": d, "times": words, "relative_difference": abs(here - there) / there}


def main(argv: list[str] | None = None) -> int:
    """Run the benchmark; return 1 if a bar is missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.dropin", description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="500 points and iris")
    quick = parser.parse_args(argv).quick
    print("\n".join(f"{key}: {value}" for key, value in harness.machine().items()), end="\n\n")
    suffix = "-quick" if quick else ""
    rows = collect("drop-in", cases, quick)
    print(harness.table(rows), end="\n\n")
    harness.write_rows(f"dropin{suffix}", rows)
    guesses = collect("bandwidths", estimates, quick)
    print(harness.table(guesses))
    harness.write_rows(f"dropin_bandwidths{suffix}", guesses)
    return int(any(row["result"] == "FAIL" for row in rows))


if __name__ == "__main__":
    sys.exit(main())
