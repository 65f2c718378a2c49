"""DBSCAN beside scikit-learn's and PyPI's dbscan: ``python -m benchmarks.dbscan``.

The peer of the bars is the C++ of Wang, Gu and Shun (SIGMOD 2020) in PyPI's dbscan, which works on both cores; it gets
the float64 rows that it asks for. Sets: 20 round crowds of standard deviation 1 about centres in a box of side 20
(scikit-learn's ``make_blobs``), and 20 crowds of standard deviations from 0.05 to 2 under 10 % of noise.

Labels come first. They must be scikit-learn's, number for number, and those of the peer up to its numbering. Wherever
the peer says something else, the definition decides, in float64 over all points: *wrong* counts the points of which
ours is not what it says, *peer_wrong* those of which the peer's is not, whichever of two clusters a border point has.
Writes benchmarks/results/dbscan.csv.
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

OURS, PEER = "modeseek", "dbscan"
LEAST = 10
EPS = {2: 0.1, 3: 0.5}
SIZES = {2: 1_000_000, 3: 200_000}
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


def compare(name: str, n: int, d: int, quick: bool) -> Iterator[Row]:
    """Compare the labels of three, and then their times."""
    X, eps = SETS[name](n, d), EPS[d]
    ours, theirs = ms.DBSCAN(eps, min_samples=LEAST), scikit.DBSCAN(eps, min_samples=LEAST, n_jobs=2)
    few = X[:: max(1, n // 2000)].copy()
    calls: dict[str, Any] = {OURS: partial(ours.fit, X), PEER: partial(peer_fit, X, eps)}
    slow = {"scikit-learn": partial(theirs.fit, X)}
    timings = alternate(slow, rounds=1, warm_up={"scikit-learn": partial(scikit.DBSCAN(eps, n_jobs=2).fit, few)})
    timings |= alternate(calls, rounds=3 if quick else 9)
    labels, rows = ours.labels_, ours.core_sample_indices_
    core, (peer_labels, peer_core) = np.isin(np.arange(n), rows), peer_fit(X, eps)
    named = translated(peer_labels, labels, core & peer_core)
    differ = np.flatnonzero((named != labels) | (core != peer_core))
    checked = differ[: int(MOST_DIFFERENT * n) + 1]
    wrong = unlike_the_definition(X, eps, checked, labels, core, True)
    found = {
        "n": n,
        "d": d,
        "eps": eps,
        "clusters": int(labels.max()) + 1,
        "noise": float((labels < 0).mean()),
        "differ_from_peer": len(differ),
        "wrong": wrong,
        "peer_wrong": unlike_the_definition(X, eps, checked, named, peer_core, False),
    }
    same = np.array_equal(labels, theirs.labels_) and np.array_equal(rows, theirs.core_sample_indices_)
    sound = same and wrong == 0 and len(differ) <= MOST_DIFFERENT * n
    for rival, required in ((PEER, ">= 1.5"), ("scikit-learn", ">= 40")):
        seconds, mine = timings[rival], timings[OURS]
        times = seconds.times(mine) if rival == PEER else seconds.median / mine.median
        row = bar(f"{name}, {n:,} x {d}: times faster than {rival}", times, "" if quick else required)
        row["agreement"] = float((labels == (named if rival == PEER else theirs.labels_)).mean())
        row["times"] = f"{OURS} {mine}; {rival} {seconds}"
        row |= found | {"seconds": mine.median, "seconds_peer": seconds.median}
        yield row if sound else row | {"result": "FAIL"}


def speed(quick: bool) -> Iterator[Row]:
    """Compare on every set."""
    for name in SETS:
        for d, n in SIZES.items():
            yield from compare(name, n // 50 if quick else n, d, quick)


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


def main(argv: list[str] | None = None) -> int:
    """Run the benchmark; return 1 if a bar is missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.dbscan", description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="a fiftieth of the points; nothing is required of times")
    quick = parser.parse_args(argv).quick
    print("\n".join(f"{key}: {value}" for key, value in harness.machine().items()), end="\n\n")
    rows = [*collect("speed", speed, quick), *collect("memory", memory, quick)]
    print(harness.table(rows))
    harness.write_rows(f"dbscan{'-quick' if quick else ''}", rows)
    return int(any(row["result"] == "FAIL" for row in rows))


if __name__ == "__main__":
    sys.exit(main())
