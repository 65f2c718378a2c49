"""What each part of a proof settles and costs, and what is lost without it: ``python -m benchmarks.paper.ablation``.

`stages`: the proof of `modeseek.proven` taken apart (`benchmarks.paper.stages`) on one table of the spacing named: the
share of all points that a step settles, the share still open after it, and its seconds (the median of three runs; of
fewer where one takes seconds). The spacings are the coarsest and the second that a fit may try, and the one that it
ends at (*last*). *wrong* counts labels, among those settled, that are not those of the whole fit, up to numbering.

`ablations`: the same proof, on the table that a fit ends at, without traps, without cores, without tubes of cells,
without tubes of points, without any tubes, and without raw points, each to its end: what is still open there, and the
seconds of all steps. *climb_seconds* is what exact climbs of the open points on their neighbours would take, as those
of a sample of them tell: what a fit would have to pay in place of the part left out.
"""

import sys
import time
from collections.abc import Iterator
from functools import partial
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

import modeseek as ms
from benchmarks import data
from benchmarks.certificate import timed
from benchmarks.harness import Row
from benchmarks.paper.common import disagreement, problem_of, program
from benchmarks.paper.stages import EVERYTHING, Stage, Without, stages
from modeseek.fields.grid import GridField
from modeseek.label import UNKNOWN
from modeseek.result import Problem

Floats = NDArray[np.floating]

ROUNDS, STARTS = 3, 100
LIMIT = 3.0  # seconds of runs after which no further one begins
COARSE, FINE = {1: 1 / 16, 2: 1 / 7, 3: 1 / 8}, {1: 1 / 64, 2: 1 / 24, 3: 1 / 10}
VARIANTS = {
    "everything": EVERYTHING,
    "without traps": Without(traps=True),
    "without cores": Without(cores=True),
    "without tubes of cells": Without(cells=True),
    "without tubes of points": Without(points=True),
    "without tubes": Without(cells=True, points=True, raw=True),
    "without raw points": Without(raw=True),
}


def sets(quick: bool) -> Iterator[tuple[str, float, Floats]]:
    """Yield name, bandwidth and points."""
    many, some = (5000, 3000) if quick else (1_000_000, 100_000)
    yield "blobs", 2.5, data.blobs(many)
    yield "moons", 0.15, data.moons(some, 2)
    if quick:
        return
    yield "spiral", 1.0, data.spiral(some, 2)
    yield "uniform", 1.0, data.uniform(some, 2)
    yield "mixture", 0.5, data.mixture(some, 1)
    yield "mixture", 1.0, data.mixture(some, 2)
    yield "mixture", 2.0, data.mixture(some, 3)


def about(name: str, h: float, X: Floats, spacing: float) -> Row:
    """Return the columns that tell a case."""
    return {"data": name, "n": len(X), "d": X.shape[1], "h": h, "spacing": spacing}


def fitted(X: Floats, h: float) -> tuple[NDArray[np.int32], float]:
    """Return the labels of a fit, and the spacing of the table it ends at: the coarsest where all points climbed."""
    model = ms.MeanShift(h).fit(X)
    return model.labels_, model.certificate_.spacing or COARSE[X.shape[1]]


def repeated(problem: Problem, spacing: float, without: Without, quick: bool) -> list[list[Stage]]:
    """Run the stages a few times, or once where that takes long."""
    runs, begin = [stages(problem, spacing, without)[0]], time.perf_counter()
    if not quick and sum(stage.seconds for stage in runs[0]) < LIMIT:  # what was compiled counts for nothing
        runs = []
        while len(runs) < ROUNDS and (not runs or time.perf_counter() - begin < LIMIT):
            runs.append(stages(problem, spacing, without)[0])
    return runs


def wrong(stage: Stage, labels: NDArray[Any]) -> int:
    """Count labels of a stage that are not those of the fit, up to their numbers."""
    known = stage.labels != UNKNOWN
    return round(disagreement(stage.labels[known], labels[known]) * int(known.sum())) if known.any() else 0


def settled(quick: bool) -> Iterator[Row]:
    """Tell what each stage settles, on a coarse table and a finer one."""
    for name, h, X in sets(quick):
        d, problem = X.shape[1], problem_of(X, h)
        labels, last = fitted(X, h)
        for spacing in sorted({COARSE[d], FINE[d], last}, reverse=True):
            runs = repeated(problem, spacing, EVERYTHING, quick)
            before = 1.0
            for same in zip(*runs, strict=True):
                stage = same[0]
                yield about(name, h, X, spacing) | {
                    "last": spacing == last,
                    "stage": stage.name,
                    "settled": before - stage.open,
                    "open": stage.open,
                    "seconds": median(one.seconds for one in same),
                    "wrong": wrong(stage, labels),
                }
                before = stage.open


def climb_seconds(X: Floats, h: float, rows: NDArray[Any]) -> float:
    """Return the seconds of exact climbs of these rows, as those of a sample tell."""
    if not rows.size:
        return 0.0
    some = np.random.default_rng(0).choice(rows, min(STARTS, len(rows)), replace=False)
    field = GridField(np.asarray(X, np.float64), [], h)
    climb = partial(field.climb, tol=1e-3, max_iter=300)
    climb(np.asarray(X[some[:2]], np.float64))
    return timed(partial(climb, np.asarray(X[some], np.float64)))[0] * len(rows) / len(some)


def ablations(quick: bool) -> Iterator[Row]:
    """Leave out one part after the other."""
    for name, h, X in sets(quick):
        problem, (labels, spacing) = problem_of(X, h), fitted(X, h)
        for variant, without in VARIANTS.items():
            runs = repeated(problem, spacing, without, quick)
            last = runs[0][-1]
            rows = np.flatnonzero(last.labels == UNKNOWN)
            yield about(name, h, X, spacing) | {
                "variant": variant,
                "open": last.open,
                "open_after_flood": runs[0][0].open,
                "seconds": median(sum(stage.seconds for stage in run) for run in runs),
                "climb_seconds": climb_seconds(X, h, rows),
                "wrong": wrong(last, labels),
            }


def main(argv: list[str] | None = None) -> int:
    """Run the experiment."""
    return program("ablation", __doc__, {"stages": settled, "ablations": ablations}, argv)


if __name__ == "__main__":
    sys.exit(main())
