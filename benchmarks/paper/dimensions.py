"""From one column to sixteen, and embeddings: ``python -m benchmarks.paper.dimensions``.

`dimensions`: 5,000 points in 1, 2, 3, 4, 8 and 16 columns, six round normal clusters in three ways: *apart*,
of unequal weights and spreads, which hardly overlap (`benchmarks.clusterings.mixture`); *close*, of spread 1, the
closest two centres 4 apart in any number of columns; *noise*, close in the first two columns (one, if there is only
one) and the same normal noise for all in the others. The bandwidth is that of ``estimate_bandwidth``, the same for
every fidelity and for the peer. *route* is what `modeseek.pipeline.route_of` takes, *agreement* the share of at most
300 random points whose label is that of exact mean shift by `benchmarks.reference`, *at_most* the audit's bound of the
share of wrong labels (300 points, 95 %), *ari* the adjusted Rand index with the clusters drawn. scikit-learn
(``bin_seeding``) gets h times the radius that has the variance of the Gaussian along each axis, h sqrt(d + 2), on at
most 2000 of the points.

`embeddings`: directions in hundreds of columns: the same columns for scikit-learn's digits (64 columns), a mixture of
von Mises-Fisher distributions in 64 columns (`benchmarks.embeddings`), and its rows as plain points.
"""

import sys
from collections.abc import Callable, Iterator
from functools import partial
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import pdist
from sklearn.cluster import MeanShift as FlatMeanShift
from sklearn.datasets import load_digits
from sklearn.metrics import adjusted_rand_score

import modeseek as ms
from benchmarks import clusterings, embeddings, reference
from benchmarks.certificate import timed
from benchmarks.harness import Row, alternate
from benchmarks.mean_shift import Fit
from benchmarks.paper.common import problem_of, program
from modeseek.pipeline import route_of

N, FEW, CLUSTERS = 5000, 2000, 6
COLUMNS = (1, 2, 3, 4, 8, 16)
STARTS = 300
PAIRS = 3e8  # of the reference
LIMIT = 10.0
FIDELITIES = ("fast", "certified", "exact")
ROUTES = {
    "_every_point": "all points",
    "by_proof": "proof on a grid",
    "by_table": "grid",
    "_by_sparse_cells": "sparse cells",
    "on_closest": "closest points",
}


def close(n: int, d: int, seed: int, informative: int | None = None) -> tuple[NDArray[Any], NDArray[Any]]:
    """Draw clusters of spread 1 whose closest centres are 4 apart; columns beyond the informative ones are noise."""
    rng = np.random.default_rng([seed, d])
    inner = min(d, informative or d)
    centres = np.zeros((CLUSTERS, d))
    centres[:, :inner] = rng.normal(size=(CLUSTERS, inner))
    centres *= 4.0 / pdist(centres).min()
    truth = rng.integers(0, CLUSTERS, n)
    return centres[truth] + rng.normal(size=(n, d)), truth


SETS: dict[str, Callable[[int, int], tuple[NDArray[Any], NDArray[Any]]]] = {  # of points and columns
    "apart": lambda n, d: clusterings.mixture(n, d, CLUSTERS, 1),
    "close": lambda n, d: close(n, d, 4),
    "noise": lambda n, d: close(n, d, 4, 2),
}


def route(X: NDArray[Any], h: float, fidelity: str) -> str:
    """Return in words the route that a fit takes."""
    found = route_of(problem_of(X, h), fidelity)
    return ROUTES[getattr(found, "func", found).__name__]


def columns(quick: bool) -> Iterator[Row]:
    """Cluster mixtures in growing numbers of columns."""
    n = 2000 if quick else N
    for name, d in product(SETS, (1, 3, 8) if quick else COLUMNS):
        X, truth = SETS[name](n, d)
        X = X.astype(np.float32)
        ms.estimate_bandwidth(X[:1000])  # compiled
        seconds, h = timed(partial(ms.estimate_bandwidth, X))
        sample = reference.exact_sample(X, h, most=50 if quick else STARTS, pairs=PAIRS)
        about = {"data": name, "d": d, "n": n, "h": h, "clusters_drawn": CLUSTERS, "bandwidth_seconds": seconds}
        fits = {fidelity: Fit(partial(ms.MeanShift, h, fidelity=fidelity), X) for fidelity in FIDELITIES}
        for fidelity, fit in fits.items():
            timing = alternate({fidelity: fit}, 3, limit=LIMIT)[fidelity]
            found = fit.model.certificate_
            yield about | {
                "system": f"modeseek, {fidelity}",
                "route": route(X, h, fidelity),
                "seconds": timing.median,
                "min": timing.min,
                "max": timing.max,
                "clusters": len(fit.model.cluster_centers_),
                "agreement": fit.agreement(sample),
                "starts": len(sample.rows),
                "at_most": fit.model.audit(X, 50 if quick else STARTS, random_state=0).at_most,
                "undecided": None if found is None else found.undecided / n,
                "ari": adjusted_rand_score(truth, fit.model.labels_),
            }
        yield about | peer(X[: FEW // (5 if quick else 1)], truth[: FEW // (5 if quick else 1)], h)


def peer(X: NDArray[Any], truth: NDArray[Any], h: float) -> Row:
    """Return what scikit-learn makes of a few of the points."""
    radius = h * float(np.sqrt(X.shape[1] + 2))
    fit = Fit(partial(FlatMeanShift, bandwidth=radius, bin_seeding=True, n_jobs=2), X)
    try:
        timing = alternate({"peer": fit}, 3, limit=LIMIT)["peer"]
    except ValueError:  # in many columns no point may be within the radius of any bin's middle
        return {"n": len(X), "system": "scikit-learn, bin_seeding", "route": "no point near any seed", "clusters": 0}
    return {
        "n": len(X),
        "system": "scikit-learn, bin_seeding",
        "route": "",
        "seconds": timing.median,
        "min": timing.min,
        "max": timing.max,
        "clusters": len(fit.model.cluster_centers_),
        "ari": adjusted_rand_score(truth, fit.model.labels_),
    }


def directions(quick: bool) -> Iterator[tuple[str, NDArray[Any], NDArray[Any], float, str]]:
    """Yield name, rows, true clusters, bandwidth and metric."""
    case = embeddings.Case(2000 if quick else 5000, 64, 20, 100.0, 0.35, 0, 0.35)
    X, truth = embeddings.mixture(case)
    yield "von Mises-Fisher, cosine", X, truth, case.bandwidth, "cosine"
    yield "von Mises-Fisher, as points", X, truth, case.bandwidth, "euclidean"
    if quick:
        return
    rows, digit = load_digits(return_X_y=True)
    rows = rows.astype(np.float32)
    yield "digits, cosine", rows, digit, 0.2, "cosine"
    yield "digits, as points", rows, digit, ms.estimate_bandwidth(rows), "euclidean"


def many_columns(quick: bool) -> Iterator[Row]:
    """Cluster rows of many columns."""
    for name, X, truth, h, metric in directions(quick):
        for fidelity in ("fast", "exact"):
            fit = Fit(partial(ms.MeanShift, h, metric=metric, fidelity=fidelity), X)
            timing = alternate({name: fit}, 2, limit=LIMIT, warm_up={name: Fit(fit.make, X[:600])})[name]
            audit = fit.model.audit(X, 50 if quick else STARTS, random_state=0)
            yield {
                "data": name,
                "n": len(X),
                "d": X.shape[1],
                "h": h,
                "system": f"modeseek, {fidelity}",
                "seconds": timing.median,
                "min": timing.min,
                "max": timing.max,
                "clusters": len(fit.model.cluster_centers_),
                "clusters_drawn": len(np.unique(truth)),
                "agreement": audit.agreement,
                "starts": audit.n_samples,
                "at_most": audit.at_most,
                "ari": adjusted_rand_score(truth, fit.model.labels_),
            }


def main(argv: list[str] | None = None) -> int:
    """Run the experiment."""
    return program("dimensions", __doc__, {"dimensions": columns, "embeddings": many_columns}, argv)


if __name__ == "__main__":
    sys.exit(main())
