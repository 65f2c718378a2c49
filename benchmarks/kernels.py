"""Mean shift with every kernel: ``python -m benchmarks.kernels``.

A million points of six blobs, each kernel at the bandwidth whose density has the Gaussian's variance. Prints what each
costs beside the Gaussian (all with the default fidelity), what a user's function costs beside the built-in kernel of
the same formula, on the cells and on the points, and writes benchmarks/results/kernels.csv.

Agreement is with exact climbs of a sample, in float64 over all points, by loops of this file that share no code with
the package: a label is right if the climb ends within 0.05 bandwidths of its cluster's centre.
"""

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

import modeseek as ms
from benchmarks import data, harness, reference
from benchmarks.harness import Row, alternate, duration
from benchmarks.mean_shift import Fit, H, bar, collect
from modeseek.kernels import KERNELS, equivalent_bandwidth

COMPACT = tuple(name for name in KERNELS if name != "gaussian")
MIXTURE_H = 0.5  # of the Gaussian: the sides of the mixture are 20
STARTS = 60  # exact climbs of a sample
TOL = 1e-6  # bandwidths: of the exact climbs, whose steps shrink at least geometrically on these data
THREADS = 2


def triangular(r):
    """Weigh as the built-in triangular kernel."""
    return max(0.0, 1.0 - r)


def epanechnikov(r):
    """Weigh as the built-in Epanechnikov kernel."""
    return max(0.0, 1.0 - r * r)


def biweight(r):
    """Weigh as the built-in biweight."""
    return max(0.0, 1.0 - r * r) ** 2


def flat(r):
    """Weigh as the built-in flat kernel."""
    return 1.0 if r <= 1.0 else 0.0


USERS = {"triangular": triangular, "epanechnikov": epanechnikov, "biweight": biweight, "flat": flat}


def plain_step(function: Callable[[float], float]) -> Callable[..., tuple[float, float, float]]:
    """Compile the sums of one weight over all points around one place in the plane."""
    g = njit(function)

    @njit(nogil=True, fastmath={"reassoc", "contract", "nsz"})
    def sums(x, y, a, b, h):
        total = right = up = 0.0
        for i in range(x.size):
            u, v = x[i] - a, y[i] - b
            weight = g(np.sqrt(u * u + v * v) / h)
            total += weight
            right += weight * u
            up += weight * v
        return total, right, up

    return sums


def exact_ends(X: NDArray[Any], starts: NDArray[Any], h: float, function: Callable[[float], float]) -> NDArray[Any]:
    """Let starts in the plane climb on all points until a step is below `TOL` bandwidths."""
    step = plain_step(function)
    x, y = np.ascontiguousarray(X.T.astype(np.float64))

    def end(start: NDArray[Any]) -> tuple[float, float]:
        a, b = map(float, start)
        while True:
            total, right, up = step(x, y, a, b, h)
            a, b = a + right / total, b + up / total
            if np.hypot(right, up) / total <= TOL * h:
                return a, b

    with ThreadPoolExecutor(THREADS) as pool:
        return np.array(list(pool.map(end, starts)))


def exact_sample(X: NDArray[Any], h: float, function: Callable[[float], float], most: int) -> reference.Sample:
    """Climb from a random sample of the points."""
    rows = np.random.default_rng(0).choice(len(X), min(most, len(X)), replace=False)
    return reference.Sample(rows, exact_ends(X, X[rows], h, function), h)


def compile_seconds(X: NDArray[Any], h: float, formula: Callable[[float], float], **how: Any) -> float:
    """Return what a first fit with a function takes beyond a second."""
    fresh = uncompiled(formula)
    seconds = []
    for _ in range(2):
        start = time.perf_counter()
        ms.MeanShift(h, kernel=fresh, **how).fit(X)
        seconds.append(time.perf_counter() - start)
    return seconds[0] - seconds[1]


def uncompiled(function: Callable[[float], float]) -> Callable[[float], float]:
    """Return a function of the same code that nothing has compiled yet."""
    return type(function)(function.__code__, function.__globals__, function.__name__)


def against_the_gaussian(n: int) -> Iterator[Row]:
    """Time every kernel beside the Gaussian."""
    X = data.blobs(n)
    for name in COMPACT:
        h = equivalent_bandwidth(H, "gaussian", name, 2)
        sample = exact_sample(X, h, USERS[name], STARTS)
        fit, gaussian = Fit(partial(ms.MeanShift, h, kernel=name), X), Fit(partial(ms.MeanShift, H), X)
        pair = alternate({"gaussian": gaussian, name: fit}, rounds=9)
        row = bar(
            f"{n:,} points, {name}: times the Gaussian's time", pair[name].times(pair["gaussian"]), "<= 2.5", sample
        )
        words = f"gaussian {pair['gaussian']}; {name} {pair[name]}"
        yield row | {"agreement": fit.agreement(sample), "times": words}


def against_the_built_in(n: int, where: str, **how: Any) -> Iterator[Row]:
    """Time users' functions beside the built-in kernels of the same formulas."""
    X = data.blobs(n)
    for name, function in USERS.items():
        h = equivalent_bandwidth(H, "gaussian", name, 2)
        sample = exact_sample(X, h, function, STARTS)
        fit = Fit(partial(ms.MeanShift, h, kernel=function, **how), X)
        known = Fit(partial(ms.MeanShift, h, kernel=name, **how), X)
        pair = alternate({"built-in": known, "function": fit}, rounds=9, limit=30.0)
        ratio = pair["function"].times(pair["built-in"])
        row = bar(f"{n:,} points, {where}, {name} as a function: times the built-in's time", ratio, "<= 1.5", sample)
        words = f"built-in {pair['built-in']}; function {pair['function']}; compiling once "
        words += duration(compile_seconds(X, h, function, **how))
        yield row | {"agreement": fit.agreement(sample), "times": words}


def hard(n: int) -> Iterator[Row]:
    """Compare labels on clusters of many spreads, some within others, where borders lie in the midst of points."""
    X = data.mixture(n, 2)
    for name, function in USERS.items():
        h = equivalent_bandwidth(MIXTURE_H, "gaussian", name, 2)
        sample = exact_sample(X, h, function, STARTS)
        fit = Fit(partial(ms.MeanShift, h, kernel=name), X)
        fit()
        share = fit.agreement(sample)
        yield bar(f"{n:,} points of a mixture, {name}: agreement", share, "", sample) | {"agreement": share}


def cases(quick: bool) -> Iterator[Row]:
    """Measure everything."""
    many, few = (60_000, 3000) if quick else (1_000_000, 20_000)
    yield from against_the_gaussian(many)
    yield from hard(many)
    yield from against_the_built_in(many, "on cells")
    yield from against_the_built_in(few, "on points", fidelity="exact")


def main(argv: list[str] | None = None) -> int:
    """Run the benchmark; return 1 if a bar is missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.kernels", description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="60 000 points, 3000 on the points")
    quick = parser.parse_args(argv).quick
    print("\n".join(f"{key}: {value}" for key, value in harness.machine().items()), end="\n\n")
    rows = collect("kernels", cases, quick)
    print(harness.table(rows))
    harness.write_rows("kernels" + ("-quick" if quick else ""), rows)
    return int(any(row["result"] == "FAIL" for row in rows))


if __name__ == "__main__":
    sys.exit(main())
