"""Directions in hundreds of columns: ``python -m benchmarks.embeddings``.

100 000 unit vectors of 384 columns, float32, drawn from 100 von Mises-Fisher distributions (A. T. A. Wood, "Simulation
of the von Mises Fisher distribution", Commun. Statist. Simul. 23, 1994) of concentration 384 around random directions:
a row is about 52 degrees from the centre of its cluster, and 68 degrees from other rows of it, where unrelated ones
are 90 degrees from each other. Prints the bars (measured, required, agreement of a random sample with exact mean shift)
and writes benchmarks/results/embeddings.csv.

scikit-learn has no directions: it gets the same unit rows, as many as it can take, with all cores and flat weights. Its
radius is the mean distance of two rows of one cluster: with a much wider one everything becomes one cluster.
"""

import argparse
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import adjusted_rand_score

import modeseek as ms
from benchmarks import harness
from benchmarks.harness import Row, alternate, duration
from benchmarks.mean_shift import Fit, bar, collect, flat

ROWS_AT_ONCE = 10_000
SAMPLE = 1000  # points that the audit checks
LIMIT = 60.0  # seconds of rounds after which no further one begins


@dataclass(frozen=True)
class Case:
    """A mixture of n directions in d columns and k clusters, and how it is clustered."""

    n: int
    d: int
    k: int
    concentration: float
    bandwidth: float
    subset: int  # rows that scikit-learn gets
    subset_bandwidth: float  # of so few rows: each weighs more beside the others of its cluster


FULL = Case(100_000, 384, 100, 384.0, 0.32, 5000, 0.36)
QUICK = Case(20_000, 64, 20, 100.0, 0.35, 1000, 0.35)


def mixture(case: Case, seed: int = 0) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Draw the directions of a case, and the cluster of each."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(case.k, case.d))
    centres /= np.linalg.norm(centres, axis=1, keepdims=True)
    truth = rng.integers(0, case.k, case.n)
    cosines = wood(case.n, case.d, case.concentration, rng)
    X = np.empty((case.n, case.d), np.float32)
    for start in range(0, case.n, ROWS_AT_ONCE):
        part = slice(start, start + ROWS_AT_ONCE)
        centre, cosine = centres[truth[part]], cosines[part, None]
        across = rng.normal(size=centre.shape)
        across -= np.einsum("ij,ij->i", across, centre)[:, None] * centre
        across /= np.linalg.norm(across, axis=1, keepdims=True)
        X[part] = cosine * centre + np.sqrt(1.0 - cosine**2) * across
    return X, truth


def wood(n: int, d: int, concentration: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """Draw the cosines of von Mises-Fisher directions with their mean direction, by Wood's rejection from a beta."""
    b = (d - 1) / (2 * concentration + np.sqrt(4 * concentration**2 + (d - 1) ** 2))
    x = (1 - b) / (1 + b)
    c = concentration * x + (d - 1) * np.log(1 - x * x)
    cosines, left = np.empty(n), np.arange(n)
    while left.size:
        z = rng.beta((d - 1) / 2, (d - 1) / 2, left.size)
        w = (1 - (1 + b) * z) / (1 - (1 - b) * z)
        taken = concentration * w + (d - 1) * np.log(1 - x * w) - c >= np.log(rng.random(left.size))
        cosines[left[taken]] = w[taken]
        left = left[~taken]
    return cosines


def radius(X: NDArray[np.float32], truth: NDArray[np.int64]) -> float:
    """Return the mean distance of two rows of one cluster."""
    some, of = X[:2000].astype(np.float64), truth[:2000]
    same = of[:, None] == of
    np.fill_diagonal(same, False)
    return float(np.sqrt(np.maximum(2.0 - 2.0 * some @ some.T, 0.0))[same].mean())


class CountingFit(Fit):
    """A fit that keeps the CPU seconds it took, too, which other programs on the machine change less."""

    cpu = 0.0

    def __call__(self) -> None:
        """Fit."""
        start = time.process_time()
        super().__call__()
        self.cpu = time.process_time() - start


def estimator(case: Case) -> ms.MeanShift:
    """Return what is measured."""
    return ms.MeanShift(case.bandwidth, metric="cosine", fidelity="fast")


def extra_memory(name: str) -> int:
    """Return what fitting a case takes beyond its rows, in a fresh process."""
    setup = (
        "from benchmarks import embeddings\n"
        f"case = embeddings.{name}\n"
        "X, _ = embeddings.mixture(case)\n"
        "model = embeddings.estimator(case).fit(X[:17_000, :32].copy())"
    )
    return harness.extra_memory(setup, "model = embeddings.estimator(case).fit(X)")


def cases(quick: bool) -> Iterator[Row]:
    """Measure everything."""
    name = "QUICK" if quick else "FULL"
    case: Case = globals()[name]
    label = f"{case.n:,} directions, d = {case.d}, {case.k} clusters"
    memory = extra_memory(name)
    X, truth = mixture(case)
    fit = CountingFit(partial(estimator, case), X)
    timing = alternate({"modeseek": fit}, rounds=3, limit=LIMIT)["modeseek"]
    audit = fit.model.audit(X, SAMPLE, random_state=0)
    share = {"agreement": audit.agreement, "starts": audit.n_samples}
    score = adjusted_rand_score(truth, fit.model.labels_)
    words = f"{len(fit.model.cluster_centers_)} clusters, longest climb {fit.model.n_iter_} steps"
    yield bar(f"{label}: adjusted Rand index with the truth", score, ">= 0.99") | share | {"times": words}
    yield bar(f"{label}: seconds", timing.median, "< 60") | share | {"times": f"{timing}; {fit.cpu:.0f} CPU seconds"}
    words = f"{memory / 2**20:.0f} MiB beside {X.nbytes / 2**20:.0f} MiB of input"
    yield bar(f"{label}: extra memory in inputs", memory / X.nbytes, "< 4") | share | {"times": words}
    words = f"{audit} ({duration(audit.seconds)})"
    yield bar(f"{label}: audit, share that agrees", audit.agreement, ">= 0.99") | share | {"times": words}
    yield from subset(case, X, truth)


def subset(case: Case, X: NDArray[np.float32], truth: NDArray[np.int64]) -> Iterator[Row]:
    """Time scikit-learn on a few of the rows, and the same estimator on them."""
    few, known = X[: case.subset], truth[: case.subset]
    ours = partial(estimator, replace(case, bandwidth=case.subset_bandwidth))
    peer, fit = Fit(flat(radius(X, truth), False), few), Fit(ours, few)
    warm_up = {"scikit-learn": Fit(flat(radius(X, truth), False), few[:200])}
    timings = alternate({"modeseek": fit, "scikit-learn": peer}, rounds=1, warm_up=warm_up)
    for name, one in (("modeseek", fit), ("scikit-learn", peer)):
        score = adjusted_rand_score(known, one.model.labels_)
        words = f"{timings[name]}; adjusted Rand index {score:.4f}, {len(one.model.cluster_centers_)} clusters"
        yield bar(f"{case.subset:,} of them, {name}: seconds", timings[name].median, "") | {"times": words}


def main(argv: list[str] | None = None) -> int:
    """Run the benchmark; return 1 if a bar is missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.embeddings", description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="20 000 directions in 64 columns")
    quick = parser.parse_args(argv).quick
    print("\n".join(f"{key}: {value}" for key, value in harness.machine().items()), end="\n\n")
    rows = collect("embeddings", cases, quick)
    print(harness.table(rows))
    harness.write_rows("embeddings" + ("-quick" if quick else ""), rows)
    return int(any(row["result"] == "FAIL" for row in rows))


if __name__ == "__main__":
    sys.exit(main())
