"""What the experiments share: problems, labels compared up to their numbers, the program around a table."""

import argparse
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import linear_sum_assignment
from sklearn.metrics.cluster import contingency_matrix

from benchmarks import harness
from benchmarks.harness import Row, duration
from benchmarks.mean_shift import collect
from modeseek.result import Problem

Part = Callable[[bool], Iterator[Row]]


def problem_of(X: NDArray[Any], h: float, report: Callable[[str], None] = lambda stage: None) -> Problem:
    """Return the problem that a fit of points without weights is."""
    bounds = np.array([X.min(axis=0), X.max(axis=0)], np.float64)
    return Problem(X, np.empty(0), bounds, h, report=report)


def disagreement(labels: ArrayLike, truth: ArrayLike) -> float:
    """Return the share of labels that differ from the true ones, numbered as suits them best.

    That is 1 - (the largest number of points that a one-to-one matching of clusters puts together) / n.
    """
    table = contingency_matrix(np.asarray(truth), np.asarray(labels))
    rows, columns = linear_sum_assignment(table, maximize=True)
    return 1.0 - float(table[rows, columns].sum()) / len(np.asarray(labels))


def program(name: str, doc: str | None, parts: Mapping[str, Part], argv: list[str] | None) -> int:
    """Run the parts of an experiment, print their tables, and write each to paper_PART.csv."""
    parser = argparse.ArgumentParser(prog=f"python -m benchmarks.paper.{name}", description=(doc or "").split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="little data: seconds")
    parser.add_argument("--only", choices=list(parts), help="run one part")
    options = parser.parse_args(argv)
    begin = time.perf_counter()
    for part, make in parts.items():
        if options.only in (None, part):
            rows = collect(part, make, options.quick)
            print(harness.table(rows), end="\n\n", flush=True)
            harness.write_rows(f"paper_{part}" + ("-quick" if options.quick else ""), rows)
    print(f"{name}: {duration(time.perf_counter() - begin)}", file=sys.stderr)
    return 0
