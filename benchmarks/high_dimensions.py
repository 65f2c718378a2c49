"""Mean shift in 16 and 64 dimensions: ``python -m benchmarks.high_dimensions``.

20 000 float32 points around 50 centres so close to each other that every kernel sum meets nearly every point: little
can be left out, and the work is two matrix products and an exponential for each pair. Prints the bars (measured,
required, agreement with the exact answer) and writes benchmarks/results/high_dimensions.csv.

The rival is the notebook's batched form, ``weight @ X / weight.sum(1)``, at its best: float32, distances by one more
matrix product, BLAS on all cores, every point at every step until the last has converged by our own rule and tolerance.
"""

import argparse
import sys
from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

import modeseek as ms
from benchmarks import harness, reference
from benchmarks.harness import Row, alternate
from benchmarks.mean_shift import Fit, bar, collect
from modeseek.engines.threads import single_threaded_blas
from modeseek.fields.blocks import BlocksField
from modeseek.fields.compact import compact_groups

CENTRES = 50
SPREADS = {16: 2.0, 64: 1.5}  # standard deviation of the centres, that of a cluster being 1
APART = 4.0
BATCH = 500  # the notebook's
TOL = 1e-3
NOISE = 1e-6  # bandwidths: float32 may never come closer to rest
PAIRS = 1e9  # of the reference
SGEMM = 4096
COPIES, TILES = 5, 16  # of the points in float64, and MiB: what fitting them may take beyond them


def clusters(n: int, d: int, spread: float, seed: int = 0) -> tuple[NDArray[np.float32], float]:
    """Draw n points around 50 centres, and return them with a bandwidth that grows as distances do."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(CENTRES, d)) * spread
    X = centres[rng.integers(0, CENTRES, n)] + rng.normal(size=(n, d))
    return X.astype(np.float32), 0.5 * float(np.sqrt(d))


def batched(X: NDArray[np.float32], bandwidth: float, tol: float = TOL, max_iter: int = 3000) -> NDArray[np.float32]:
    """Let all points climb, batch after batch, until the last has converged; return where they end."""
    P = ((X - X.mean(axis=0)) / bandwidth).astype(np.float32)
    x, norms = P.copy(), (P * P).sum(1)
    previous, rested = np.full(len(X), np.inf), np.zeros(len(X), bool)
    for n in range(max_iter):
        length = np.empty(len(X))
        for i in range(0, len(X), BATCH):
            s = slice(i, i + BATCH)
            squares = (x[s] * x[s]).sum(1)[:, None] + norms - 2 * (x[s] @ P.T)
            weight = np.exp(-0.5 * squares)
            means = weight @ P / weight.sum(1)[:, None]
            length[s] = np.sqrt(np.square(means - x[s]).sum(1))
            x[s] = means
        with np.errstate(divide="ignore", invalid="ignore"):
            rested |= (length <= tol) & ((length <= NOISE) | ((n > 0) & (length <= tol * (1 - length / previous))))
        if rested.all():
            break
        previous = length
    return x


def rates(X: NDArray[np.float32], bandwidth: float) -> tuple[float, str]:
    """Return the products of one whole step over its whole time, as a share of the machine's own sgemm rate."""
    field = BlocksField(X, [], bandwidth)
    order, tiles = compact_groups(field.points)
    x, d = field.points[order], X.shape[1]
    A = np.random.default_rng(0).random((SGEMM, SGEMM), dtype=np.float32)

    def step() -> None:
        with single_threaded_blas():
            field._step(x, tiles, np.float32, None)

    step()
    pairs = field.n_pairs
    timings = alternate({"sgemm": partial(np.dot, A, A), "step": step}, rounds=7)
    flops = {"sgemm": 2.0 * SGEMM**3, "step": 4.0 * d * pairs}
    share = timings["sgemm"].times(timings["step"]) * flops["step"] / flops["sgemm"]
    words = "; ".join(f"{name} {flops[name] / timing.median / 1e9:.0f} Gflop/s" for name, timing in timings.items())
    return share, f"{words}; {pairs / len(X) ** 2:.0%} of all pairs"


def case(n: int, d: int, spread: float, rival: bool = True) -> Iterator[Row]:
    """Measure one set of points."""
    X, h = clusters(n, d, spread)
    name = f"{n:,} points, d = {d}, {'close' if spread == SPREADS[d] else 'apart'}"
    sample = reference.exact_sample(X, h, pairs=PAIRS)
    fit = Fit(partial(ms.MeanShift, h), X)
    calls: dict[str, Any] = {"modeseek": fit}
    if rival:
        calls["batched"] = partial(batched, X, h)
    warm_up = {"batched": partial(batched, X[:1000], h)}
    timings = alternate(calls, rounds=3, limit=20.0, warm_up=warm_up)
    share = fit.agreement(sample)
    found = f"{len(fit.model.cluster_centers_)} modes, longest climb {fit.model.n_iter_} steps"
    yield bar(f"{name}: agreement with exact", share, ">= 1.0", sample) | {"agreement": share, "times": found}
    times = "; ".join(f"{key} {timing}" for key, timing in timings.items())
    if rival:
        faster = timings["batched"].times(timings["modeseek"])
        yield bar(f"{name}: times faster than batched", faster, ">= 8", sample) | {"agreement": share, "times": times}
    else:
        seconds = timings["modeseek"].median
        yield bar(f"{name}: seconds", seconds, "", sample) | {"agreement": share, "times": times}


def speed(n: int, d: int) -> Iterator[Row]:
    """Measure the products, and the memory: O(n d + tile), a few copies of the points and what a tile needs."""
    name = f"{n:,} points, d = {d}, close"
    share, words = rates(*clusters(n, d, SPREADS[d]))
    yield bar(f"{name}: a whole step, products at % of sgemm", 100 * share, ">= 40") | {"times": words}
    extra, twice = extra_memory(n, d), extra_memory(2 * n, d)
    points = 8 * n * d
    words = f"{extra / 2**20:.1f} MiB = {extra / points:.1f} times the points in float64, of twice as many "
    words += f"{twice / 2**20:.1f} MiB = {twice / (2 * points):.1f} times; "
    words += f"the matrix of weights would be {4 * n * n / 2**20:.0f} MiB"
    beyond = (extra - COPIES * points) / 2**20
    yield bar(f"{name}: MiB of memory beyond {COPIES} n d float64", beyond, f"<= {TILES}") | {"times": words}
    yield bar(f"{name}: growth of extra memory as points double", twice / extra, "<= 2.1") | {"times": words}


def extra_memory(n: int, d: int) -> int:
    """Return what fitting n points takes beyond the points, in a fresh process."""
    setup = (
        "import modeseek\n"
        "from benchmarks import high_dimensions\n"
        f"X, h = high_dimensions.clusters({n}, {d}, {SPREADS[d]})\n"
        "model = modeseek.MeanShift(h).fit(X[:2500].copy())"
    )
    return harness.extra_memory(setup, "model = modeseek.MeanShift(h).fit(X)")


def cases(quick: bool) -> Iterator[Row]:
    """Measure everything."""
    n = 5000 if quick else 20_000
    for d, spread in SPREADS.items():
        yield from case(n, d, spread)
        yield from case(n, d, APART, rival=False)
        yield from speed(n, d)


def main(argv: list[str] | None = None) -> int:
    """Run the benchmark; return 1 if a bar is missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.high_dimensions", description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="5 000 points")
    quick = parser.parse_args(argv).quick
    print("\n".join(f"{key}: {value}" for key, value in harness.machine().items()), end="\n\n")
    rows = collect("high dimensions", cases, quick)
    print(harness.table(rows))
    harness.write_rows("high_dimensions" + ("-quick" if quick else ""), rows)
    return int(any(row["result"] == "FAIL" for row in rows))


if __name__ == "__main__":
    sys.exit(main())
