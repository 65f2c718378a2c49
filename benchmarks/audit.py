"""Coverage and time of the audit: ``python -m benchmarks.audit``.

**Coverage.** Every point of a blob set is climbed exactly once, so the right answer of each is known. Errors are
planted at known rates, an audit of all points must find exactly these, and then random audits are drawn from its
verdicts: how often does the bound at confidence c hold for the true rate? The *exact* coverage, summed over the
hypergeometric distribution of the disagreements, must be at least c; the share of the drawn audits must be what
that says, up to four standard errors.

**Time.** Audits of 3000 points of growing blob sets, with the number of disagreements found.

Both tables are written to benchmarks/results.
"""

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import hypergeom

import modeseek as ms
from benchmarks import data, harness
from benchmarks.harness import Row, duration
from modeseek.audit import audit, interval, upper_bound

H = 2.5
N = 30_000
RUNS = 1000
RATES = (0.0, 0.001, 0.01)
SAMPLES = (300, 3000)
CONFIDENCES = (0.9, 0.95, 0.99)
SIZES = (10_000, 100_000, 1_000_000)

Verdicts = NDArray[np.bool_]  # (n,): which points have a wrong label


def planted(model: Any, rate: float, seed: int = 0) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Return labels of which a share is wrong, and the rows of these."""
    rng = np.random.default_rng(seed)
    n, k = len(model.labels_), len(model.cluster_centers_)
    rows = np.sort(rng.choice(n, round(rate * n), replace=False))
    labels = model.labels_.copy()
    labels[rows] = (labels[rows] + rng.integers(1, k, len(rows))) % k
    return labels, rows


def verdicts(model: Any, X: NDArray[Any], labels: NDArray[np.int32]) -> Verdicts:
    """Judge every point by an exact climb."""
    found = audit(X, labels, model.cluster_centers_, H, n_samples=len(X))
    wrong = np.zeros(len(X), bool)
    wrong[found.rows] = True
    return wrong


def at_most_holds(k: int, s: int, confidence: float, rate: float) -> bool:
    """Tell whether the one-sided bound from k of s disagreements is at least the true rate."""
    return upper_bound(k, s, confidence) >= rate


def interval_holds(k: int, s: int, confidence: float, rate: float) -> bool:
    """Tell whether the two-sided interval of the agreement holds the true one."""
    low, high = interval(s - k, s, confidence)
    return low <= 1.0 - rate <= high


BOUNDS: dict[str, Callable[[int, int, float, float], bool]] = {"at most": at_most_holds, "interval": interval_holds}


def drawn(wrong: Verdicts, s: int, runs: int) -> NDArray[np.int64]:
    """Return the disagreements of so many audits of s points, each a sample without replacement."""
    generators = (np.random.default_rng([1, run]) for run in range(runs))
    return np.array([np.count_nonzero(wrong[rng.choice(len(wrong), s, replace=False)]) for rng in generators])


def exact_coverage(
    holds: Callable[[int, int, float, float], bool], wrong: Verdicts, s: int, confidence: float
) -> float:
    """Return the exact probability that a bound holds."""
    n, bad = len(wrong), int(wrong.sum())
    counts = np.arange(min(bad, s) + 1)
    chances = hypergeom.pmf(counts, n, bad, s)
    share = sum(p for k, p in zip(counts, chances, strict=True) if holds(int(k), s, confidence, bad / n))
    return min(1.0, float(share))


def coverage(quick: bool) -> Iterator[Row]:
    """Plant errors, find them all, and draw audits."""
    X = data.blobs(N // 10 if quick else N)
    model = ms.MeanShift(H).fit(X)
    before = verdicts(model, X, model.labels_)
    for rate in RATES:
        labels, rows = planted(model, rate)
        wrong = verdicts(model, X, labels)
        caught = int(wrong[rows].sum())
        true_rate = float(wrong.mean())
        for s in SAMPLES[:1] if quick else SAMPLES:
            seen = drawn(wrong, s, RUNS)
            for name, holds in BOUNDS.items():
                for confidence in CONFIDENCES:
                    share = float(np.mean([holds(int(k), s, confidence, true_rate) for k in seen]))
                    exact = exact_coverage(holds, wrong, s, confidence)
                    noise = 4.0 * np.sqrt(exact * (1.0 - exact) / RUNS) + 1e-12
                    good = caught == len(rows) and exact >= confidence and abs(share - exact) <= noise
                    yield {
                        "n": len(X),
                        "planted": len(rows),
                        "caught": caught,
                        "wrong_before": int(before.sum()),
                        "true_rate": true_rate,
                        "sampled": s,
                        "bound": name,
                        "confidence": confidence,
                        "runs": RUNS,
                        "coverage": share,
                        "exact_coverage": exact,
                        "result": "pass" if good else "FAIL",
                    }


def seconds(quick: bool) -> Iterator[Row]:
    """Time audits of growing sets."""
    ms.MeanShift(H).fit(data.blobs(2000)).audit(data.blobs(2000), 100)  # compiled now
    for n in SIZES[: 2 if quick else None]:
        X = data.blobs(n)
        start = time.perf_counter()
        model = ms.MeanShift(H).fit(X)
        fit = time.perf_counter() - start
        found = [model.audit(X, random_state=seed) for seed in range(3)]
        times = harness.Timing([one.seconds for one in found])
        yield {
            "n": n,
            "fit_seconds": fit,
            "audit_seconds": times.median,
            "min": times.min,
            "max": times.max,
            "sampled": found[0].n_samples,
            "disagree": sum(one.n_disagree for one in found),
            "says": str(found[0]),
        }


CASES = {"coverage": coverage, "seconds": seconds}


def main(argv: list[str] | None = None) -> int:
    """Run the benchmarks; return 1 if a bound holds too seldom."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.audit", description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="3000 points, audits of 300; time up to 100 000 points")
    parser.add_argument("--only", choices=CASES, help="run one case")
    options = parser.parse_args(argv)
    suffix = "-quick" if options.quick else ""
    failed = False
    for name, case in CASES.items():
        if options.only not in (None, name):
            continue
        start = time.perf_counter()
        rows = list(case(options.quick))
        print(harness.table(rows), end="\n\n")
        print(f"{name}: {duration(time.perf_counter() - start)}", file=sys.stderr)
        harness.write_rows(f"audit_{name}{suffix}", rows)
        failed |= any(row.get("result") == "FAIL" for row in rows)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
