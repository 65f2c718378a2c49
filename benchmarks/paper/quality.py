"""Clusters against known ones, with intervals: ``python -m benchmarks.paper.quality``.

``MeanShift()`` chooses its bandwidth itself, scikit-learn's ``MeanShift()`` does by its own rule, ``HDBSCAN()`` has a
default; ``KMeans`` is told the true number of clusters (and so is no rival, but a mark to read the others by). All get
the same points, at most 1000, as scikit-learn's mean shift takes quadratic time.

The kinds of sets are those of `benchmarks.clusterings`, which is fixed, each drawn anew with 5 seeds; tables of real
data (iris, wine, breast cancer, digits), which cannot be drawn anew, are taken four fifths at a time, at random. Points
drawn as noise count for nothing. Adjusted Rand index and adjusted mutual information; the number of clusters is that of
those that hold at least 1 % of the points.

`quality`: every set, seed and system. `quality_intervals`: means over seeds with 95 % bootstrap intervals (BCa, 9999
resamples, `scipy.stats.bootstrap`; seeds are resampled, and for *all* of the kinds together the kinds), and the mean of
the difference of modeseek's ARI to the system's on the same points, with its interval. *right_number* is the share of
sets with the right number of clusters, of those of kinds whose clusters have modes in the row of *all*.
"""

import sys
import warnings
from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
from joblib import Parallel, delayed
from numpy.typing import NDArray
from scipy.stats import bootstrap
from sklearn import cluster as peer
from sklearn import datasets
from sklearn.metrics import adjusted_mutual_info_score

import modeseek as ms
from benchmarks.bandwidth import judge
from benchmarks.clusterings import Drawn, digits, mixture, notebook, scaled, sheared
from benchmarks.harness import Row
from benchmarks.paper.common import program

SEEDS, MOST, SHARE = 5, 1000, 0.8
RESAMPLES = 9999
OURS = "modeseek MeanShift()"


def blobs(seed: int, **how: object) -> Drawn:
    return datasets.make_blobs(MOST, random_state=seed, **how)


def part(load: Callable[[], Drawn], seed: int) -> Drawn:
    """Return four fifths of a table, at most so many rows as all systems can take."""
    X, y = load()
    rows = np.random.default_rng(seed).permutation(len(X))[: min(MOST, int(SHARE * len(X)))]
    return X[rows], y[rows]


KINDS: dict[str, tuple[Callable[[int], Drawn], bool]] = {  # how to draw with a seed, and whether clusters have modes
    "notebook": (notebook, True),
    "blobs, equal": (blobs, True),
    "blobs, sheared": (partial(sheared, shear=[[0.6, -0.6], [-0.4, 0.8]]), True),
    "blobs, varied": (partial(blobs, cluster_std=[1.0, 2.5, 0.5]), True),
    "moons": (lambda seed: datasets.make_moons(MOST, noise=0.05, random_state=seed), False),
    "circles": (lambda seed: datasets.make_circles(MOST, factor=0.5, noise=0.05, random_state=seed), False),
    "mixture, d = 1": (partial(mixture, MOST, 1, 4), True),
    "mixture, d = 2": (partial(mixture, MOST, 2, 8), True),
    "mixture, d = 2, sizes 10, spreads 5": (partial(mixture, MOST, 2, 6, sizes=10.0, spreads=5.0), True),
    "mixture, d = 2, 5 % noise": (partial(mixture, MOST, 2, 5, noise=0.05), True),
    "mixture, d = 3": (partial(mixture, MOST, 3, 6), True),
    "mixture, d = 5": (partial(mixture, MOST, 5, 6), True),
    "mixture, d = 8": (partial(mixture, MOST, 8, 5), True),
    "iris": (partial(part, partial(scaled, datasets.load_iris, False)), True),
    "wine, standardised": (partial(part, partial(scaled, datasets.load_wine, True)), True),
    "breast cancer, standardised": (partial(part, partial(scaled, datasets.load_breast_cancer, True)), True),
    "digits, 2 components": (partial(part, partial(digits, 2)), False),
    "digits, 8 components": (partial(part, partial(digits, 8)), False),
}

Labels = Callable[[NDArray[np.float64], int, int], NDArray[np.integer]]
SYSTEMS: dict[str, Labels] = {  # of points, the true number of clusters, a seed
    OURS: lambda X, k, seed: ms.MeanShift().fit_predict(X),
    "scikit-learn MeanShift()": lambda X, k, seed: peer.MeanShift().fit_predict(X),
    "scikit-learn HDBSCAN()": lambda X, k, seed: peer.HDBSCAN(copy=True).fit_predict(X),
    "scikit-learn KMeans(true k)": lambda X, k, seed: peer.KMeans(k, n_init=10, random_state=seed).fit_predict(X),
}


def on_set(kind: str, seed: int, quick: bool) -> list[Row]:
    """Judge every system on one set."""
    draw, has_modes = KINDS[kind]
    X, truth = draw(seed)
    step = 5 if quick else -(-len(X) // MOST)
    X, truth = np.asarray(X[::step], np.float64), np.asarray(truth[::step], np.int64)
    real, rows = truth >= 0, []
    about = {"set": kind, "has_modes": has_modes, "seed": seed, "n": len(X), "d": X.shape[1]}
    for system, labels_of in SYSTEMS.items():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            labels = np.asarray(labels_of(X, len(np.unique(truth[real])), seed), np.int64)
        ami = float(adjusted_mutual_info_score(truth[real], labels[real]))
        rows.append(about | {"system": system, "ami": ami} | judge(labels, truth))
    return rows


def quality(quick: bool) -> Iterator[Row]:
    """Judge every system on every set, two sets at a time: nothing is timed."""
    kinds = [kind for kind in KINDS if not quick or kind in ("blobs, equal", "iris")]
    cases = [(kind, seed, quick) for kind in kinds for seed in range(3 if quick else SEEDS)]
    for rows in Parallel(n_jobs=1 if quick else 2)(delayed(on_set)(*case) for case in cases):
        yield from rows


def interval(values: list[float]) -> tuple[float, float, float]:
    """Return the mean and its bootstrap interval; values that are all the same have a narrow one."""
    x = np.asarray(values, np.float64)
    if len(x) < 2 or np.ptp(x) == 0.0:
        return float(x.mean()), float(x.mean()), float(x.mean())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a single outlier among ones: BCa may be undefined
        found = bootstrap((x,), np.mean, n_resamples=RESAMPLES, rng=np.random.default_rng(0)).confidence_interval
        if not np.isfinite(found.low):
            percentile = partial(bootstrap, method="percentile", rng=np.random.default_rng(0))
            found = percentile((x,), np.mean, n_resamples=RESAMPLES).confidence_interval
    return float(x.mean()), float(found.low), float(found.high)


def values(rows: list[Row], kind: str, system: str, key: str) -> list[float]:
    """Return one number of a system: for each seed of a kind, or for *all* the mean of each kind."""
    if kind == "all":
        kinds = dict.fromkeys(row["set"] for row in rows)
        return [float(np.mean(values(rows, one, system, key))) for one in kinds]
    return [row[key] for row in rows if row["set"] == kind and row["system"] == system]


def intervals(rows: list[Row]) -> Iterator[Row]:
    """Sum up over seeds, and over kinds."""
    rows = [row | {"right_number": float(row["clusters"] == row["true"])} for row in rows]
    for kind in [*dict.fromkeys(row["set"] for row in rows), "all"]:
        for system in SYSTEMS:
            ours, theirs = values(rows, kind, OURS, "ari"), values(rows, kind, system, "ari")
            found: Row = {"set": kind, "system": system, "of": len(theirs)}
            for key, numbers in (
                ("ari", theirs),
                ("ami", values(rows, kind, system, "ami")),
                ("ari_below_ours", [a - b for a, b in zip(ours, theirs, strict=True)]),
            ):
                found[key], found[f"{key}_low"], found[f"{key}_high"] = interval(numbers)
            chosen = rows if kind != "all" else [row for row in rows if row["has_modes"]]
            right = values(chosen, kind, system, "right_number")
            yield found | {"right_number": float(np.mean(right))}


def main(argv: list[str] | None = None) -> int:
    """Run the experiment."""
    kept: list[Row] = []

    def keep(quick: bool) -> Iterator[Row]:
        kept[:] = quality(quick)
        yield from kept

    def summed(quick: bool) -> Iterator[Row]:
        yield from intervals(kept or list(quality(quick)))

    return program("quality", __doc__, {"quality": keep, "quality_intervals": summed}, argv)


if __name__ == "__main__":
    sys.exit(main())
