"""Blurring mean shift against the notebook: ``python -m benchmarks.blurring``.

Prints every bar (measured, required, error against the exact answer) and writes them to benchmarks/results. Both
sides move the same float32 points, are warm, and take turns; times are medians. The error is the largest distance, in
bandwidths, of a moved point from where the sums over all points, in float64, move it: the textbook's, or, where those
would take hours, sums of `benchmarks.reference`, which shares no code with the package.
"""

import argparse
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

import modeseek as ms
from benchmarks import data, harness, reference
from benchmarks.harness import Row, alternate
from benchmarks.mean_shift import bar, collect
from modeseek import textbook

H = 2.5  # bandwidth, the notebook's
ROUNDS = 5
BATCH = 500
MOST_ERROR = "<= 1e-05"  # bandwidths
LARGE = 1_000_000
CALLS = 20
SAMPLE = 200  # points whose every round is summed exactly


def notebook_forms(X: NDArray[np.float32]) -> dict[str, Callable[[], Any]]:
    """Return the notebook's batched form on the CPU, by library; Torch only where it is installed."""
    forms: dict[str, Callable[[], Any]] = {"NumPy": partial(textbook.meanshift, X, BATCH)}
    try:
        import torch
    except ImportError:
        return forms
    return {**forms, "Torch": partial(textbook.meanshift, torch.from_numpy(X), BATCH)}


def error(moved: ArrayLike, exact: ArrayLike) -> float:
    """Return the largest distance of moved points from the exact ones, in bandwidths."""
    difference = np.asarray(moved, np.float64) - np.asarray(exact, np.float64)
    return float(np.sqrt(np.square(difference).sum(axis=1)).max()) / H


def simultaneous(X: NDArray[Any], rounds: int = ROUNDS) -> NDArray[np.float64]:
    """Move the points by the textbook, all at once, in float64."""
    return textbook.meanshift(X.astype(np.float64), rounds=rounds, bandwidth=H, update="simultaneous")


def speed(name: str, required: str, ours: Callable[[], Any], rivals: dict[str, Callable[[], Any]]) -> Row:
    """Time ours and the rivals in turn; the row says how many times as long the quickest of them takes.

    Ours is the mean of CALLS calls: a call of a few milliseconds alone says more of the scheduler than of the code.
    """
    timings = alternate({"modeseek": lambda: [ours() for _ in range(CALLS)], **rivals})
    unit = timings["modeseek"] = harness.Timing([seconds / CALLS for seconds in timings["modeseek"].seconds])
    best = min(rivals, key=lambda rival: timings[rival].median)
    row = bar(name, timings[best].times(unit), required)
    row["times"] = "; ".join(f"{key} {timing}" for key, timing in timings.items())
    return row


def notebook(quick: bool) -> Iterator[Row]:
    """Compare with the notebook's batched form on its own points, 5 rounds."""
    X = data.notebook()
    wide, forms = X.astype(np.float64), notebook_forms(X)
    ours = partial(ms.blur, X, H, n_rounds=ROUNDS)
    yield speed("1,500 notebook points, 5 rounds: times faster than its batches of 500", ">= 20", ours, forms)
    batched = partial(ms.blur, X, H, n_rounds=ROUNDS, batch_size=BATCH)
    numpy = {"NumPy": forms["NumPy"]}
    yield speed("the same, in place in batches of 500 as the notebook's", "", batched, numpy)
    model = ms.MeanShift(H, blurring=True, max_iter=ROUNDS)
    yield speed("the same, MeanShift(blurring=True, max_iter=5): labels too", "", partial(model.fit, X), numpy)
    yield bar(
        "1,500 notebook points: error in bandwidths, all at once", error(ms.blur(wide, H), simultaneous(X)), MOST_ERROR
    )
    for size in (1, BATCH, 1250):
        exact = textbook.meanshift(wide, size)
        moved = ms.blur(wide, H, batch_size=size)
        yield bar(f"1,500 notebook points: error in bandwidths, batches of {size}", error(moved, exact), MOST_ERROR)


def middling(quick: bool) -> Iterator[Row]:
    """Compare every point with the textbook where it can still follow."""
    n = 2000 if quick else 6000
    for name, X in (("blob", data.blobs(n)), ("uniform", uniform(n))):
        moved = ms.blur(X.astype(np.float64), H)
        yield bar(f"{n:,} {name} points, 5 rounds: error in bandwidths", error(moved, simultaneous(X)), MOST_ERROR)


def uniform(n: int) -> NDArray[np.float32]:
    """Draw noise in a square of 28 bandwidths: weak clusters, long ways."""
    return np.random.default_rng(0).uniform(-35, 35, (n, 2)).astype(np.float32)


def large(quick: bool) -> Iterator[Row]:
    """Time a million points, and check sampled points in every round by exact sums."""
    n = 60_000 if quick else LARGE
    for name, X in (("blob", data.blobs(n)), ("uniform", uniform(n))):
        model = ms.MeanShift(H, blurring=True, max_iter=1000)
        timings = alternate({"5 rounds": partial(ms.blur, X, H), "to rest": partial(model.fit, X)}, rounds=3)
        for call, timing in timings.items():
            rounds = f" ({model.n_iter_} rounds, labels)" if call == "to rest" else ""
            required = "" if name == "uniform" and call == "to rest" else "< 2"  # noise takes hundreds of rounds
            row = bar(f"{n:,} {name} points, {call}{rounds}: seconds", timing.median, required)
            yield row | {"times": str(timing)}
        worst = max(round_errors(X.astype(np.float64), rounds=ROUNDS))
        yield bar(f"{n:,} {name} points: error of any of 5 rounds in bandwidths", worst, MOST_ERROR)


def round_errors(X: NDArray[np.float64], rounds: int) -> Iterator[float]:
    """Yield, round by round, how far sampled points are from exact sums over the points as the round before left them.

    Half of the sample is drawn from all points, half from those that the round moves most: the hardest.
    """
    for _ in range(rounds):
        moved = ms.blur(X, H, n_rounds=1)
        way = np.square(moved - X).sum(axis=1)
        rows = np.concatenate([np.arange(0, len(X), max(1, len(X) // (SAMPLE // 2))), np.argsort(way)[-SAMPLE // 2 :]])
        yield error(moved[rows], exact_round(X, rows))
        X = moved


def exact_round(X: NDArray[np.float64], rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """Move some points once, by the reference's sums over all points."""
    columns, weights, origin = reference._prepared(X, None, H)
    unit = H * np.sqrt(2.0)
    at = (X[rows] - origin) / unit
    with ThreadPoolExecutor(reference._THREADS) as pool:
        return (at + reference._shifts(pool, columns, weights, at)) * unit + origin


BARS = {"notebook": notebook, "middling": middling, "large": large}


def main(argv: list[str] | None = None) -> int:
    """Run the benchmarks; return 1 if a bar is missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.blurring", description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="up to 60 000 points")
    parser.add_argument("--only", choices=[*BARS], help="run one case; the table is not written")
    options = parser.parse_args(argv)
    print("\n".join(f"{key}: {value}" for key, value in harness.machine().items()))
    print(f"exponential of the reference: largest error {reference.exp_error():.1g}\n")
    rows: list[Row] = []
    for name, case in BARS.items():
        if options.only in (None, name):
            rows += collect(name, case, options.quick)
    for row in rows:  # these say nothing of labels
        del row["agreement"], row["starts"]
    print(harness.table(rows))
    if options.only is None:
        harness.write_rows("blurring-quick" if options.quick else "blurring", rows)
    return int(any(row["result"] == "FAIL" for row in rows))


if __name__ == "__main__":
    sys.exit(main())
