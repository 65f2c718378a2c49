"""DBSCAN beside scikit-learn's and PyPI's dbscan: ``python -m benchmarks.dbscan``.

The peer of the bars is the C++ of Wang, Gu and Shun (SIGMOD 2020) in PyPI's dbscan, which works on both cores; it gets
the float64 rows that it asks for. Sets: 20 round crowds of standard deviation 1 about centres in a box of side 20
(scikit-learn's ``make_blobs``), and 20 crowds of standard deviations from 0.05 to 2 under 10 % of noise.

Labels come first. They must be scikit-learn's, number for number, and those of the peer up to its numbering. Wherever
the peer says something else, the definition decides, in float64 over all points: *wrong* counts the points of which
ours is not what it says, *peer_wrong* those of which the peer's is not, whichever of two clusters a border point has.
Writes benchmarks/results/dbscan_PART.csv.
"""

import argparse
import sys
from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn import cluster as scikit
from sklearn.datasets import make_blobs

import modeseek as ms
from benchmarks import harness
from benchmarks.harness import Row, alternate
from benchmarks.mean_shift import bar, collect

OURS, PEER, SCIKIT = "modeseek", "dbscan", "scikit-learn"
LEAST = 10
EPS = {2: 0.1, 3: 0.5}
SIZES = {2: 1_000_000, 3: 200_000}
DENSE = 50_000  # of the uneven points for scikit-learn: lists of all neighbours of more would fill the memory
MANY = 50_000_000
MOST_DIFFERENT = 1e-3  # of the points: more would not be an oversight of the peer

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def crowds(n: int, d: int) -> Floats:
    """Draw n points about 20 centres."""
    return make_blobs(n, n_features=d, centers=20, random_state=0)[0]


def uneven(n: int, d: int) -> Floats:
    """Draw n points: 20 crowds of unequal density, a tenth of them noise."""
    rng = np.random.default_rng(0)
    centres, widths = rng.uniform(-10.0, 10.0, (20, d)), np.geomspace(0.05, 2.0, 20)
    which = rng.integers(0, 20, n)
    X = centres[which] + widths[which, None] * rng.normal(size=(n, d))
    noise = rng.random(n) < 0.1
    X[noise] = rng.uniform(-12.0, 12.0, (noise.sum(), d))
    return X


SETS = {"crowds": crowds, "uneven": uneven}


def translated(theirs: Ints, ours: Ints, core: NDArray[np.bool_]) -> Ints:
    """Return labels with each cluster numbered as ours of its first core point; -2 where that is not one to one."""
    pairs = np.unique(np.c_[theirs[core], ours[core]], axis=0)
    table = np.full(max(theirs.max(), 0) + 1, -2)
    for a, b in pairs:
        if a >= 0 and b >= 0 and (pairs[:, 0] == a).sum() == 1 == (pairs[:, 1] == b).sum():
            table[a] = b
    return np.where(theirs >= 0, table[theirs], -1)


def unlike_the_definition(X: Floats, eps: float, rows: Ints, labels: Ints, core: NDArray[np.bool_], first: bool) -> int:
    """Count rows that are core, or have a label, against the definition; clusters are taken as they are.

    With ``first`` a border point must have the first cluster within reach, else any one.
    """
    wrong = 0
    for row in rows:
        near = np.square(X - X[row]).sum(axis=1) <= eps * eps
        reached = labels[near & core]
        if (near.sum() >= LEAST) != core[row]:
            wrong += 1
        elif not reached.size:
            wrong += labels[row] != -1
        else:
            wrong += labels[row] != reached.min() if first else labels[row] not in reached
    return int(wrong)


def peer_fit(X: Floats, eps: float) -> tuple[Ints, NDArray[np.bool_]]:
    """Cluster by PyPI's dbscan."""
    from dbscan import DBSCAN

    labels, core = DBSCAN(X, eps, LEAST)
    return labels, core


def compare(name: str, n: int, d: int, required: str) -> Row:
    """Compare labels with those of PyPI's dbscan and with the definition, and then the times."""
    X, eps = SETS[name](n, d), EPS[d]
    ours = ms.DBSCAN(eps, min_samples=LEAST)
    timings = alternate({OURS: partial(ours.fit, X), PEER: partial(peer_fit, X, eps)}, rounds=9, limit=10.0)
    labels, core = ours.labels_, np.isin(np.arange(n), ours.core_sample_indices_)
    peer_labels, peer_core = peer_fit(X, eps)
    named = translated(peer_labels, labels, core & peer_core)
    differ = np.flatnonzero((named != labels) | (core != peer_core))
    checked = differ[: int(MOST_DIFFERENT * n) + 1]
    row = finished(f"{name}, {n:,} x {d}", timings, PEER, required, ours, eps, X)
    row["agreement"] = float((labels == named).mean())
    row["differ"] = len(differ)
    row["wrong"] = unlike_the_definition(X, eps, checked, labels, core, True)
    row["peer_wrong"] = unlike_the_definition(X, eps, checked, named, peer_core, False)
    sound = row["wrong"] == 0 and len(differ) <= MOST_DIFFERENT * n
    return row if sound else row | {"result": "FAIL"}


def replace(name: str, n: int, d: int, required: str) -> Row:
    """Compare labels and core points with scikit-learn's, number for number, and then the times."""
    X, eps = SETS[name](n, d), EPS[d]
    ours, theirs = ms.DBSCAN(eps, min_samples=LEAST), scikit.DBSCAN(eps, min_samples=LEAST, n_jobs=2)
    few = partial(scikit.DBSCAN(eps, n_jobs=2).fit, X[:1000])
    calls = {OURS: partial(ours.fit, X), SCIKIT: partial(theirs.fit, X)}
    timings = alternate(calls, rounds=3, limit=20.0, warm_up={SCIKIT: few})
    row = finished(f"{name}, {n:,} x {d}", timings, SCIKIT, required, ours, eps, X)
    row["agreement"] = float((ours.labels_ == theirs.labels_).mean())
    row["differ"] = int((ours.labels_ != theirs.labels_).sum())
    same = row["differ"] == 0 and np.array_equal(ours.core_sample_indices_, theirs.core_sample_indices_)
    return row if same else row | {"result": "FAIL"}


def finished(name: str, timings: Any, rival: str, required: str, ours: ms.DBSCAN, eps: float, X: Floats) -> Row:
    """Make the row of a comparison."""
    mine, seconds = timings[OURS], timings[rival]
    row = bar(f"{name}: times faster than {rival}", seconds.times(mine), required)
    row["times"] = f"{OURS} {mine}; {rival} {seconds}"
    return row | {
        "n": len(X),
        "d": X.shape[1],
        "eps": eps,
        "clusters": int(ours.labels_.max()) + 1,
        "noise": float((ours.labels_ < 0).mean()),
        "seconds": mine.median,
        "seconds_peer": seconds.median,
    }


def speed(quick: bool) -> Iterator[Row]:
    """Compare with the peer of the bars."""
    for name in SETS:
        for d, n in SIZES.items():
            yield compare(name, n // 50 if quick else n, d, "" if quick else ">= 1.5")


def replacement(quick: bool) -> Iterator[Row]:
    """Compare with scikit-learn."""
    for name in SETS:
        for d, n in SIZES.items():
            if quick or name == "uneven":
                yield replace(name, min(n // 4, DENSE) // (12 if quick else 1), d, "")
            else:
                yield replace(name, n, d, ">= 40")


_MANY = """
import numpy as np
import modeseek as ms
rng = np.random.default_rng(0)
centres = rng.uniform(-10.0, 10.0, (20, 2))
def crowds(n):
    X = np.empty((n, 2))
    for start in range(0, n, 1 << 20):
        part = X[start:start + (1 << 20)]
        part[:] = rng.standard_normal(part.shape)
        part += centres[rng.integers(0, 20, len(part))]
    return X
ms.DBSCAN({eps}, min_samples=10).fit(crowds(200_000))
X = crowds({n})
"""


def memory(quick: bool) -> Iterator[Row]:
    """Measure the memory of a fit beyond the input: with eps as above, and with as many neighbours as above."""
    n = MANY // 50 if quick else MANY
    for eps in (EPS[2], EPS[2] * (SIZES[2] / n) ** 0.5):
        extra = harness.extra_memory(_MANY.format(eps=eps, n=n), f"ms.DBSCAN({eps}, min_samples=10).fit(X)") / n
        row = bar(f"crowds, {n:,} x 2, eps {eps:.3g}: bytes a point beyond the input", extra, "" if quick else "<= 40")
        yield row | {"n": n, "d": 2, "eps": eps}


PARTS = {"speed": speed, "replacement": replacement, "memory": memory}


def main(argv: list[str] | None = None) -> int:
    """Run the benchmark; return 1 if a bar is missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.dbscan", description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="a fiftieth of the points; nothing is required of times")
    parser.add_argument("--only", choices=PARTS, help="run one part")
    arguments = parser.parse_args(argv)
    quick, only = arguments.quick, arguments.only
    print("\n".join(f"{key}: {value}" for key, value in harness.machine().items()), end="\n\n")
    failed = False
    for name, part in PARTS.items():
        if only in (None, name):
            rows = collect(name, part, quick)
            print(harness.table(rows), end="\n\n")
            harness.write_rows(f"dbscan_{name}" + "-quick" * quick, rows)
            failed |= any(row["result"] == "FAIL" for row in rows)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
