"""How often the audit's bound holds: ``python -m benchmarks.paper.coverage``.

``MeanShift.audit`` checks a random sample of labels by exact climbs and says: at most such a share of all labels is
wrong, at 95 % confidence (one-sided Clopper-Pearson). The bound *holds* where the true share is not above it. Where
`benchmarks.audit` draws samples from verdicts known beforehand, every audit here is one that a user would run.

`coverage`: 1000 audits for each share of wrong labels and each size of the sample. Every run has its own seed: which
labels are flipped to another cluster, at random, and which points are sampled. The sets take turns; their exact
labels are checked beforehand by an audit of all points. *coverage* is the share of the runs in which the bound holds,
from *low* to *high* at 95 % (Clopper-Pearson); *exact_coverage* sums the hypergeometric distribution of the
disagreements, and *typical_bound* is the median of the bounds: a bound that always holds could be merely wide.

`coverage_fast`: eighty ``fidelity="fast"`` fits, each of another set, drawn with its seed. Exact labels come from
``fidelity="exact"``, the share of labels that differ is the truth, and one audit of each fit says how large it is
at most. *runs_with_errors* of the fits have any wrong label at all.
"""

import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import hypergeom

import modeseek as ms
from benchmarks import data
from benchmarks.harness import Row
from benchmarks.paper.common import program
from modeseek.audit import interval, upper_bound

RUNS, N, POOL = 1000, 2000, 5
RATES = (0.001, 0.01, 0.05)
FITS = 80
SAMPLES = (100,)
CONFIDENCE = 0.95
UNPLANTED_SAMPLE = 200
SETS = {  # name: (shape, bandwidth); all in the plane
    "mixture, h = 1": (data.mixture, 1.0),
    "moons, h = 0.1": (data.moons, 0.1),
    "uniform, h = 0.7": (data.uniform, 0.7),
    "spiral, h = 0.7": (data.spiral, 0.7),
}

Ints = NDArray[np.integer]


def flipped(labels: Ints, k: int, count: int, rng: np.random.Generator) -> Ints:
    """Return labels of which so many, at random, are of another cluster."""
    rows = rng.choice(len(labels), count, replace=False)
    out = labels.copy()
    out[rows] = (out[rows] + rng.integers(1, k, count)) % k
    return out


def exact_coverage(n: int, bad: int, s: int) -> float:
    """Return the probability that the bound holds."""
    counts = np.arange(min(bad, s) + 1)
    holds = [upper_bound(int(k), s, CONFIDENCE) >= bad / n for k in counts]
    return float(min(1.0, hypergeom.pmf(counts, n, bad, s) @ np.array(holds, float)))


def covered(holds: list[bool], bounds: list[float]) -> Row:
    """Return the share of the runs in which the bound holds, and how much chance there is in it."""
    low, high = interval(sum(holds), len(holds), 0.95)
    return {
        "coverage": sum(holds) / len(holds),
        "low": low,
        "high": high,
        "typical_bound": float(np.median(bounds)),
        "confidence": CONFIDENCE,
        "runs": len(holds),
    }


def checked_fits(quick: bool) -> list[tuple[Any, NDArray[np.float32]]]:
    """Return fits whose labels are all right, with their points."""
    found = []
    for seed in range(1 if quick else POOL):
        X = data.mixture(N // (4 if quick else 1), 2, seed)
        model = ms.MeanShift(1.5, fidelity="exact").fit(X)
        if model.audit(X, len(X)).n_disagree == 0 and len(model.cluster_centers_) > 1:
            found.append((model, X))
    return found


def planted(quick: bool) -> Iterator[Row]:
    """Audit labels of which a known share is wrong."""
    pool, runs = checked_fits(quick), 20 if quick else RUNS
    for rate in RATES[2:3] if quick else RATES:
        for s in SAMPLES[:1] if quick else SAMPLES:
            holds, bounds, seen = [], [], 0
            for run in range(runs):
                model, X = pool[run % len(pool)]
                right, bad = model.labels_, round(rate * len(X))
                model.labels_ = flipped(right, len(model.cluster_centers_), bad, np.random.default_rng([2, run]))
                found = model.audit(X, s, confidence=CONFIDENCE, random_state=run)
                model.labels_ = right
                bounds.append(found.at_most)
                holds.append(found.at_most >= bad / len(X))
                seen += found.n_disagree
            yield (
                {"n": len(X), "true_rate": bad / len(X), "sampled": s, "mean_disagree": seen / runs}
                | covered(holds, bounds)
                | {"exact_coverage": exact_coverage(len(X), bad, s)}
            )


def unplanted(quick: bool) -> Iterator[Row]:
    """Audit fast fits, each of another set."""
    n, runs = (600, 3) if quick else (N, FITS // len(SETS))
    for name, (make, h) in SETS.items():
        holds, bounds, rates = [], [], []
        for seed in range(runs):
            X = make(n, 2, seed=1000 + seed)
            fast, exact = (ms.MeanShift(h, fidelity=fidelity).fit(X) for fidelity in ("fast", "exact"))
            rate = float((fast.labels_ != in_order_of(fast, exact)).mean())
            found = fast.audit(X, UNPLANTED_SAMPLE, confidence=CONFIDENCE, random_state=seed)
            rates.append(rate)
            bounds.append(found.at_most)
            holds.append(found.at_most >= rate)
        yield {
            "data": name,
            "n": n,
            "sampled": UNPLANTED_SAMPLE,
            "runs_with_errors": sum(rate > 0.0 for rate in rates),
            "mean_rate": float(np.mean(rates)),
            "largest_rate": max(rates),
        } | covered(holds, bounds)


def in_order_of(fast: Any, exact: Any) -> Ints:
    """Return the exact labels by the numbers of the fast fit: those of its nearest modes; -1 where none is near."""
    apart = np.linalg.norm(exact.cluster_centers_[:, None] - fast.cluster_centers_, axis=2)
    names = np.where(apart.min(axis=1) <= 0.05 * fast.bandwidth_, apart.argmin(axis=1), -1)
    return names[exact.labels_]


def main(argv: list[str] | None = None) -> int:
    """Run the experiment."""
    return program("coverage", __doc__, {"coverage": planted, "coverage_fast": unplanted}, argv)


if __name__ == "__main__":
    sys.exit(main())
