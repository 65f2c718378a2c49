"""The bandwidth chosen: ``python -m benchmarks.bandwidth``.

*Sets*: ``MeanShift()`` without arguments, on a fixed list of data sets with known clusters (`benchmarks.clusterings`),
one half of which rules were tuned on. Beside it every other rule of ``estimate_bandwidth``, on at most 30,000 of the
points, and scikit-learn's ``MeanShift()`` and ``HDBSCAN()``, which have defaults too, on at most 1000, as they take
quadratic time; points are evenly spaced, and each is judged on those it had. The adjusted Rand index counts points of
true clusters alone, not those drawn as noise. The number of clusters is right if as many hold at least 1 % of points.

*Notebook*: its data with 100 seeds. Centres closer than 4 standard deviations count as one group, those between 4 and 6
either way; there must be exactly as many clusters as groups, far points among them.

*Evenly scattered points*, in which there is no structure: how many draws are told to be more than one cluster.

*Times*: a path of 30 bandwidths against a single fit, and every rule, on a million points.
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
from scipy.sparse.csgraph import connected_components
from sklearn import cluster as peer
from sklearn.metrics import adjusted_rand_score

import modeseek as ms
from benchmarks import data, harness
from benchmarks.clusterings import SETS, Clusters
from benchmarks.harness import Row, alternate
from benchmarks.mean_shift import bar, collect
from modeseek import textbook
from modeseek.bandwidth import METHODS

HALVES = ("tuning", "judging")
FEW = 1000  # points that peers cluster
MANY = 30_000  # points that are clustered with the other rules: some choose bandwidths with very many clusters
LARGE = 20_000  # points from which labels are those of "fast"
SMALLEST = 0.01  # of the points: clusters that are counted
SEEDS = 100
DRAWS = {(300, 1): 40, (3000, 1): 40, (300, 2): 40, (3000, 2): 40, (300, 3): 40, (3000, 3): 12}  # points, columns
SPREAD = 5.0**0.5  # standard deviation of the notebook's clusters
PEERS = {"scikit-learn MeanShift()": peer.MeanShift, "scikit-learn HDBSCAN()": partial(peer.HDBSCAN, copy=True)}


def labels_of(method: str, X: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the labels of mean shift with the bandwidth of a rule."""
    fidelity = "fast" if len(X) > LARGE else "certified"
    return ms.MeanShift(method, fidelity=fidelity).fit(X).labels_.astype(np.int64)


def judge(labels: NDArray[np.int64], truth: NDArray[np.int64]) -> dict[str, Any]:
    """Compare labels with the true ones."""
    counts = np.bincount(labels[labels >= 0], minlength=1)
    real = truth >= 0
    return {
        "ari": adjusted_rand_score(truth[real], labels[real]),
        "clusters": int((counts >= SMALLEST * len(labels)).sum()),
        "true": len(np.unique(truth[real])),
    }


def on_set(chosen: Clusters) -> Iterator[Row]:
    """Compare every rule, and the peers, on one set."""
    X, truth = chosen.draw()
    X, truth = np.asarray(X, np.float64), np.asarray(truth, np.int64)
    about = {"set": chosen.name, "half": chosen.half, "n": len(X), "d": X.shape[1], "has_modes": chosen.has_modes}
    few, many = (np.unique(np.linspace(0, len(X) - 1, most).astype(np.int64)) for most in (FEW, MANY))
    runs = {name: (partial(labels_of, name, X if name == "auto" else X[many])) for name in METHODS}
    runs |= {name: partial(make().fit_predict, X[few]) for name, make in PEERS.items()}
    for name, run in runs.items():
        rows = few if name in PEERS else slice(None) if name == "auto" else many
        start = time.perf_counter()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            labels = np.asarray(run(), np.int64)
        seconds = time.perf_counter() - start
        yield about | {"rule": name} | judge(labels, truth[rows]) | {"seconds": seconds}


def of_rule(rows: list[Row], rule: str, half: str | None = None) -> list[Row]:
    """Return the rows of a rule, in one half or both."""
    return [row for row in rows if row["rule"] == rule and half in (None, row["half"])]


def mean_ari(rows: list[Row]) -> float:
    """Return the mean adjusted Rand index."""
    return float(np.mean([row["ari"] for row in rows]))


def right(rows: list[Row]) -> float:
    """Return on which share of the sets with modes the number of clusters is right."""
    return float(np.mean([row["clusters"] == row["true"] for row in rows if row["has_modes"]]))


def bars_of_sets(rows: list[Row], quick: bool) -> Iterator[Row]:
    """Return the bars that the sets are held to."""
    ours, theirs = of_rule(rows, "auto"), of_rule(rows, "scikit-learn MeanShift()")
    words = f"{len(ours)} sets"
    yield bar("MeanShift(): mean adjusted Rand index", mean_ari(ours), "" if quick else ">= 0.75") | {"times": words}
    for half in HALVES:
        part = of_rule(rows, "auto", half)
        yield bar(f"MeanShift(): mean adjusted Rand index, {half} half", mean_ari(part), "") | {
            "times": f"{len(part)} sets; right number of clusters on {right(part):.0%}"
        }
    yield bar("MeanShift(): above scikit-learn's", mean_ari(ours) - mean_ari(theirs), "" if quick else ">= 0.25") | {
        "times": f"scikit-learn {mean_ari(theirs):.3f}; HDBSCAN {mean_ari(of_rule(rows, 'scikit-learn HDBSCAN()')):.3f}"
    }
    yield bar(
        "MeanShift(): share of sets with the right number of clusters", right(ours), "" if quick else ">= 0.7"
    ) | {"times": f"of {sum(row['has_modes'] for row in ours)} sets whose clusters have modes"}
    for method in METHODS[1:]:
        yield bar(f'bandwidth="{method}": mean adjusted Rand index', mean_ari(of_rule(rows, method)), "") | {
            "times": f"right number of clusters on {right(of_rule(rows, method)):.0%}"
        }


def groups(centres: NDArray[np.float64], closer: float) -> int:
    """Count the groups of centres that are linked by distances below so many standard deviations."""
    distances = np.linalg.norm(centres[:, None] - centres, axis=2)
    return int(connected_components(distances < closer * SPREAD)[0])


def notebook(quick: bool) -> Iterator[Row]:
    """Count clusters of the notebook's data."""
    n, hits, missed = 5 if quick else SEEDS, 0, []
    for seed in range(n):
        centres, X = textbook.make_data(seed=seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = len(ms.MeanShift().fit(X).cluster_centers_)
        least, most = (groups(np.asarray(centres, np.float64), closer) for closer in (6.0, 4.0))
        hits += least <= found <= most
        missed += [] if least <= found <= most else [f"seed {seed}: {found}, not {least} to {most}"]
    words = "; ".join(missed)
    yield bar(f"notebook's data, {n} seeds: right number of clusters", hits, f">= {n - 3}") | {"times": words}


def even(quick: bool) -> Iterator[Row]:
    """Count draws of evenly scattered points that are given more than one cluster."""
    for (n, d), draws in DRAWS.items():
        if quick and n > 300:
            continue
        paths = [ms.bandwidth_path(np.random.default_rng(seed).random((n, d))) for seed in range(3 if quick else draws)]
        found = [1 if path.chosen is None else path.chosen.n_clusters for path in paths]
        yield {"n": n, "d": d, "draws": len(found), "more_than_one": sum(k > 1 for k in found), "most": max(found)}


def times(quick: bool) -> Iterator[Row]:
    """Time a path against a fit, and every rule."""
    n = 50_000 if quick else 1_000_000
    X = data.blobs(n)
    h = ms.bandwidth_path(X).bandwidth
    calls = {"path": partial(ms.bandwidth_path, X), "fit": lambda: ms.MeanShift(h).fit(X)}
    timings = alternate(calls, rounds=7)
    words = "; ".join(f"{name} {timing}" for name, timing in timings.items())
    title = f"{n:,} points in the plane: path of 30 bandwidths, times a fit"
    yield bar(title, timings["path"].times(timings["fit"]), "" if quick else "<= 8") | {"times": words}
    for method in METHODS:
        call = partial(ms.estimate_bandwidth, X, method=method)
        timing = alternate({method: call}, rounds=3)[method]
        title = f'{n:,} points in the plane: estimate_bandwidth, "{method}", seconds'
        yield bar(title, timing.median, "" if quick else "<= 1") | {"times": str(timing)}
    few = X[:4000].astype(np.float64), X[:8000].astype(np.float64)
    seconds = [alternate({"peer": partial(peer.estimate_bandwidth, part)}, rounds=1)["peer"].median for part in few]
    exponent = float(np.log2(seconds[1] / seconds[0]))
    yield bar("scikit-learn's estimate_bandwidth: exponent of time, 4,000 to 8,000 points", exponent, "") | {
        "times": f"{seconds[1]:.2f} s for 8,000; so {seconds[1] * (n / 8000) ** exponent / 3600:.1f} h for {n:,}"
    }


def main(argv: list[str] | None = None) -> int:
    """Run the benchmark; return 1 if a bar is missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bandwidth", description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="small sets and few seeds")
    parser.add_argument("--only-even", action="store_true", help="evenly scattered points alone")
    options = parser.parse_args(argv)
    quick, suffix = options.quick, "-quick" if options.quick else ""
    print("\n".join(f"{key}: {value}" for key, value in harness.machine().items()), end="\n\n")
    scattered = collect("evenly scattered points", even, quick)
    print(harness.table(scattered), end="\n\n")
    harness.write_rows("bandwidth_even" + suffix, scattered)
    if options.only_even:
        return 0
    rows: list[Row] = []
    for chosen in SETS:
        if quick and chosen.name not in ("mixture, 150 points", "iris, wine"):
            continue
        rows += on_set(chosen)
        print(f"{chosen.half}: {chosen.name}", flush=True)
    bars = list(bars_of_sets(rows, quick))
    for name, case in {"notebook": notebook, "times": times}.items():
        bars += collect(name, case, quick)
    print(harness.table(bars))
    harness.write_rows("bandwidth" + suffix, rows)
    harness.write_rows("bandwidth_bars" + suffix, bars)
    return int(any(row["result"] == "FAIL" for row in bars))


if __name__ == "__main__":
    sys.exit(main())
