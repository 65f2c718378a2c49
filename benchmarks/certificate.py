"""Labels proven equal to those of exact mean shift: ``python -m benchmarks.certificate``.

- **table**: shapes in one, two and three dimensions, bandwidths over two decades. *Every* label is checked by the
  definition (`modeseek.audit`, which shares no code with what a fit uses), and a certified label that differs counts as
  a disagreement: there must be none, over at least two million certified points. On a line a step never changes the
  order of two points, so all that lies between two points that climb to one mode climbs there too: the ends of every
  run of equal labels are climbed, and the whole run if one of them is wrong. In the plane and in space every point is.
- **blobs**: how much of a million points the flood decides on its own, and all steps short of raw points.
- **hard**: two moons, uniform noise and a spiral of a million points each.
- **speed**: what a certificate costs over ``fidelity="fast"``, and what it saves over exact climbs.

Prints every bar (measured, required, pass or FAIL) and writes certificate.csv (the table) and certificate_bars.csv to
benchmarks/results.
"""

import argparse
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning

import modeseek as ms
from benchmarks import data, harness
from benchmarks.harness import Row, alternate, duration
from benchmarks.mean_shift import Fit, H, bar, collect
from modeseek.audit import audit
from modeseek.certificate import UNDECIDED, Certificate
from modeseek.fields.grid import GridField
from modeseek.proven import SPACINGS, by_proof, flooded, seconds_of_proof
from modeseek.result import Problem

Points = NDArray[np.float32]

POINTS = {1: 60_000, 2: 20_000, 3: 5_000}  # of one set of the table, by dimensions
FEW, SPARSE = 3000, {1: 1000, 2: 200, 3: 20}  # points where a set is so many bandwidths wide that most are modes
WIDTHS = (4, 12, 40, 120, 400)  # of a set, in bandwidths
RIPPLES = (0.3, 0.6)  # bandwidths of a lattice, in steps of it; from about 1 on it is flat to the last bit
ENOUGH = 2_000_000  # certified points checked
EXTRA = 500  # points on a line that climb though they are no ends: with so many the audit makes quicker steps
AFFORDABLE = 5_000  # points up to which exact climbs are timed: near a border single ones take very long
PATIENCE = 6.0  # seconds of a proof by the model, up to which it is made where climbs cost less
SAMPLE = 5_000
STARTS = 300  # of exact climbs at a million points


# ------------------------------------------------------------------------------------------------------- the table


def cases(quick: bool) -> Iterator[tuple[str, int, float, Points]]:
    """Yield the sets of the table: name, dimensions, bandwidth, points.

    Lattices get bandwidths at which they have modes: with those between, they are flat to the last bit, and exact
    mean shift has no answer.
    """
    for name, (make, dimensions, side) in data.SHAPES.items():
        for d in dimensions:
            if name == "lattice":
                X = make(300 if quick else FEW, d)
                step = float(np.ptp(X[:2]))
                for h in (side / WIDTHS[0], *(ripple * step for ripple in RIPPLES)):
                    yield name, d, h, X
                continue
            for width in WIDTHS[1:2] if quick else WIDTHS:
                n = FEW if quick or width > SPARSE[d] else POINTS[d]
                yield name, d, side / width, make(n, d, seed=width)


def judged(name: str, d: int, h: float, X: Points) -> Iterator[Row]:
    """Fit one set, and check every label; where climbs cost less than a proof, check what a proof gives too."""
    took, model = timed(partial(ms.MeanShift(h).fit, X))
    times: Row = {"certified": took, "fast": timed(partial(ms.MeanShift(h, fidelity="fast").fit, X))[0], "exact": None}
    problem = Problem(X, np.empty(0), np.array([X.min(axis=0), X.max(axis=0)], np.float64), h)
    if len(X) <= AFFORDABLE:
        times["exact"], _ = timed(partial(ms.MeanShift(h, fidelity="exact").fit, X))
    sets = {"data": name, "d": d, "h": h, "n": len(X)}
    yield sets | checked(X, h, model.labels_, model.cluster_centers_, model.certificate_) | times
    if model.certificate_.spacing is None and seconds_of_proof(problem) <= PATIENCE:
        took, found = timed(partial(by_proof, problem))
        row = sets | checked(X, h, found.labels, found.modes, found.certificate)
        yield row | {"data": f"{name}, proof", "certified": took}


def checked(X: Points, h: float, labels: NDArray[np.int32], modes: NDArray[Any], found: Certificate) -> Row:
    """Check every label; return what is certified, and how many labels are wrong."""
    seconds, rows = timed(partial(wrong_rows, X, h, labels, modes))
    undecided = found.status() == UNDECIDED
    wrong = np.count_nonzero(~undecided[rows])
    return {
        "spacing": found.spacing,
        "clusters": len(modes),
        **{key: getattr(found, key) / len(X) for key in ("interior", "boundary", "climbed", "undecided")},
        "checked": len(X) - int(undecided.sum()),
        "disagree": wrong,
        "undecided_disagree": len(rows) - wrong,
        "largest_error": found.largest_error,
        "check": seconds,
    }


def wrong_rows(X: Points, h: float, given: NDArray[np.int32], modes: NDArray[Any]) -> NDArray[np.int64]:
    """Return the rows, of all, whose label is not that of exact mean shift."""

    def climbed(rows: NDArray[np.int64]) -> NDArray[np.int64]:
        labels = np.full(len(X), -1)  # noise is left out
        labels[rows] = given[rows]
        return audit(X, labels, modes, h, n_samples=len(X)).rows

    everything = np.arange(len(X))
    if X.shape[1] > 1:
        return climbed(everything)
    order = np.argsort(X[:, 0], kind="stable")
    begins = np.diff(given[order], prepend=-1) != 0
    ends = np.append(begins[1:], True)
    chosen = begins | ends
    chosen[:: len(X) // EXTRA + 1] = True
    wrong = climbed(order[chosen])
    run = np.empty(len(X), np.int64)
    run[order] = np.cumsum(begins)
    return climbed(everything[np.isin(run, run[wrong])]) if wrong.size else wrong


def timed(call: Callable[[], Any]) -> tuple[float, Any]:
    """Return the seconds that one call takes, and its result; climbs that did not come to rest are no news here."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        start = time.perf_counter()
        result = call()
        return time.perf_counter() - start, result


def table(quick: bool) -> Iterator[Row]:
    """Judge every set; say how it goes."""
    for d in (1, 2, 3):  # compiled now
        for fidelity in ("fast", "certified"):
            ms.MeanShift(data.SIDE / 8, fidelity=fidelity).fit(data.mixture(600, d))
    for name, d, h, X in cases(quick):
        for row in judged(name, d, h, X):
            took = f"fit {duration(row['certified'])}, check {duration(row['check'])}"
            said = f"\n  {row['data']}, d = {d}, h = {h:.3g}: {row['disagree']} disagree; {took}"
            print(said, end="", file=sys.stderr, flush=True)
            yield row


def soundness(rows: list[Row], quick: bool) -> Iterator[Row]:
    """Sum up the table."""
    checked, wrong = sum(row["checked"] for row in rows), sum(row["disagree"] for row in rows)
    proven = sum(row["n"] * (row["interior"] + row["boundary"]) for row in rows)
    line = sum(row["checked"] for row in rows if row["d"] == 1)
    of = f"of {checked:,} certified, {proven:,.0f} of them without a climb on the points; {line:,} on a line"
    yield bar("all sets: certified points that disagree with exact", wrong, "<= 0") | {"times": of}
    yield bar("all sets: certified points checked", checked, "" if quick else f">= {ENOUGH}")
    easy = [row for row in rows if row["data"] == "mixture"]
    worst = max(easy, key=lambda row: row["undecided"])
    at = f"the most: d = {worst['d']}, h = {worst['h']:g}"
    yield bar("mixtures, d <= 3: % undecided", 100 * worst["undecided"], "<= 0.1") | {"times": at}
    total = 100 * sum(row["n"] * row["undecided"] for row in rows) / sum(row["n"] for row in rows)
    yield bar("all sets: % undecided", total, "")


# ------------------------------------------------------------------------------------------------ a million points


def flood_alone(X: NDArray[Any], h: float, spacing: float) -> float:
    """Return the share of the points that the flood decides before any tube, on a table of this spacing."""
    problem = Problem(X, np.empty(0), np.array([X.min(axis=0), X.max(axis=0)], np.float64), h)
    _, tubes, _ = flooded(problem, spacing)
    return 1.0 - tubes.table.assign(X, np.empty(len(X), np.int32)).unknown / len(X)


def blobs(quick: bool) -> Iterator[Row]:
    """Measure what each part proves of the six blobs."""
    n = 20_000 if quick else 1_000_000
    X = data.blobs(n)
    for h in (H, 1.5):
        found = ms.MeanShift(h).fit(X).certificate_
        name, required = f"{n:,} blob points, h = {h:g}", h == H and not quick
        spacing = found.spacing or SPACINGS[2][0]  # None where all climbed, as they are few
        share = flood_alone(X, h, spacing)
        said = f"nodes {spacing:.3g} bandwidths apart"
        yield bar(f"{name}: % decided by the flood alone", 100 * share, ">= 98.5" if required else "") | {"times": said}
        raw = 100 * (found.climbed + found.undecided) / n
        yield bar(f"{name}: % not certified without raw points", raw, "<= 0.3" if required else "")
        yield bar(f"{name}: % undecided", 100 * found.undecided / n, "<= 0.1") | {"times": str(found)}


HARD: dict[str, tuple[Callable[..., Points], float]] = {
    "two moons, noise 0.1, h = 0.15": (data.moons, 0.15),
    "uniform noise, 20 h x 20 h": (data.uniform, data.SIDE / 20),
    "spiral, 20 h wide": (data.spiral, data.SIDE / 20),
}


def hard(quick: bool) -> Iterator[Row]:
    """Measure shapes that have ridges and chance modes only."""
    n = 20_000 if quick else 1_000_000
    for shape, (make, h) in HARD.items():
        X = make(n, 2)
        ms.MeanShift(h).fit(X[:2000])  # compiled
        scan = alternate({"scan": partial(harness.read_pass, X)}, rounds=7)["scan"].median
        seconds, model = timed(partial(ms.MeanShift(h).fit, X))
        check = model.audit(X, 500 if quick else SAMPLE, random_state=0)
        name, found = f"{n:,} points, {shape}", model.certificate_
        said = f"{len(model.cluster_centers_)} modes; {check}"
        yield bar(f"{name}: agreement with exact", check.agreement, ">= 0.9999") | {"times": said}
        limit = max(100 * scan, 8.0)
        said = f"{seconds / scan:.0f} scans of {duration(scan)}"
        yield bar(f"{name}: seconds of the fit", seconds, f"<= {limit:.3g}") | {"times": said}
        yield bar(f"{name}: % certified", 100 * found.certified, "") | {"times": str(found)}


def speed(quick: bool) -> Iterator[Row]:
    """Compare with ``fidelity="fast"``, and with exact climbs of a few."""
    for n, required in ((20_000, ""),) if quick else ((1_000_000, "<= 3"), (10_000_000, "<= 2")):
        X = data.blobs(n)
        calls = {name: Fit(partial(ms.MeanShift, H, fidelity=name), X) for name in ("certified", "fast")}
        timings = alternate(calls, rounds=7 if n <= 1_000_000 else 5)
        words = "; ".join(f"{name} {timing}" for name, timing in timings.items())
        times = timings["certified"].times(timings["fast"])
        yield bar(f"{n:,} blob points: certified, times the time of fast", times, required) | {"times": words}
        if n <= 1_000_000:
            starts = 20 if quick else STARTS
            seconds = exact_seconds(X, H, starts)
            words = f"exact {duration(seconds)}, from {starts} climbs on the points within reach"
            faster, required = seconds / timings["certified"].median, "" if quick else ">= 10"
            yield bar(f"{n:,} blob points: certified, times faster than exact", faster, required) | {"times": words}


def exact_seconds(X: NDArray[Any], h: float, starts: int) -> float:
    """Return the seconds of climbs from all points on the points within reach, as those of a random few tell."""
    rows = np.random.default_rng(0).choice(len(X), starts, replace=False)
    field = GridField(np.asarray(X, np.float64), [], h)
    climb = partial(field.climb, tol=1e-3, max_iter=300)
    climb(np.asarray(X[rows[:2]], np.float64))
    return timed(partial(climb, np.asarray(X[rows], np.float64)))[0] * len(X) / starts


BARS = {"blobs": blobs, "hard": hard, "speed": speed}


def renewed(bars: list[Row], suffix: str) -> list[Row]:
    """Return the bars of the last run, those measured again replaced."""
    try:
        before = harness.read_rows(f"certificate_bars{suffix}")
    except FileNotFoundError:
        return bars
    again = {row["bar"]: row for row in bars}
    return [again.pop(row["bar"], row) for row in before] + list(again.values())


def main(argv: list[str] | None = None) -> int:
    """Run the benchmark; return 1 if a bar is missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.certificate", description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="sets of 3 000 and 20 000 points, fewer bandwidths")
    parser.add_argument("--only", choices=["table", *BARS], help="run one part; the other bars stay as they were")
    options = parser.parse_args(argv)
    suffix = "-quick" if options.quick else ""
    print("\n".join(f"{key}: {value}" for key, value in harness.machine().items()), end="\n\n")
    bars: list[Row] = []
    if options.only in (None, "table"):
        rows = collect("table", table, options.quick)
        print(harness.table(rows), end="\n\n")
        harness.write_rows(f"certificate{suffix}", rows)
        bars += soundness(rows, options.quick)
    for name, part in BARS.items():
        if options.only in (None, name):
            bars += collect(name, part, options.quick)
    print(harness.table(bars))
    harness.write_rows(f"certificate_bars{suffix}", bars if options.only is None else renewed(bars, suffix))
    return int(any(row["result"] == "FAIL" for row in bars))


if __name__ == "__main__":
    sys.exit(main())
