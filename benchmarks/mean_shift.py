"""Mean shift against scikit-learn and the notebook: ``python -m benchmarks.mean_shift``.

Prints the bars of ``fidelity="fast"`` (measured, required, agreement with the exact answer), then how it scales from
1500 to 100 million points, and writes both to benchmarks/results; `benchmarks.certificate` has those of "certified".
All rivals cluster the same float32 points on all cores, are warm, and take turns; times are medians.

scikit-learn's weights are flat: its ``bandwidth`` is a radius, and 2h is the radius whose steps are closest to
those of a Gaussian of standard deviation h. Its centres are not exactly the modes of the Gaussian density, so
its agreement counts labels only, wherever its centres lie. The notebook's functions move points and give no labels.
"""

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.cluster import MeanShift as FlatMeanShift

import modeseek as ms
from benchmarks import data, harness, reference, startup
from benchmarks.harness import Row, alternate, duration
from modeseek import textbook

H = 2.5  # bandwidth of the blobs, the notebook's
COLOUR_H = 16.0
SIZES = (1500, 6000, 60_000, 1_000_000, 10_000_000, 100_000_000)
PATIENCE = 20.0  # seconds of rounds after which no further one begins
MEMORY_FROM = 1_000_000  # points from which extra memory is told by the point: below, it is constants


class Fit:
    """A call that fits a fresh model to the same points, and keeps the last model."""

    def __init__(self, make: Callable[[], Any], X: NDArray[Any]):
        self.make, self.X = make, X
        self.model: Any = None

    def __call__(self) -> None:
        """Fit; the last model is let go first, so that no two hold labels at once."""
        self.model = None
        self.model = self.make().fit(self.X)

    def agreement(self, sample: reference.Sample, within: float = reference.WITHIN) -> float:
        """Compare the last model with the exact answer."""
        return sample.agreement(self.model.labels_, self.model.cluster_centers_, within)


def flat(bandwidth: float, bin_seeding: bool = True) -> Callable[[], FlatMeanShift]:
    """Return a maker of scikit-learn's estimator on 2 processes."""
    return partial(FlatMeanShift, bandwidth=bandwidth, bin_seeding=bin_seeding, n_jobs=2)


# ---------------------------------------------------------------------------------------------------- the bars


def bar(name: str, measured: float | None, required: str, sample: reference.Sample | None = None) -> Row:
    """Make a row: ``required`` is a comparison such as ">= 40"; empty means that nothing is required."""
    sign, _, number = required.partition(" ")
    verdict = ""
    if required and measured is not None:
        passed = {">=": measured >= float(number), "<=": measured <= float(number), "<": measured < float(number)}
        verdict = "pass" if passed[sign] else "FAIL"
    return {
        "bar": name,
        "measured": measured,
        "required": required,
        "result": verdict,
        "agreement": None,
        "starts": len(sample.rows) if sample else None,
        "times": "",
    }


def speed_bar(
    name: str,
    required: str,
    calls: dict[str, Callable[[], Any]],
    fit: Fit,
    sample: reference.Sample,
    **how: Any,
) -> Row:
    """Time two calls, one of them our fit; the row says how many times as long the second takes."""
    (first, unit), (second, time_of_second) = alternate(calls, **how).items()
    row = bar(name, time_of_second.times(unit), required, sample)
    row["agreement"] = fit.agreement(sample)
    row["times"] = f"{first} {unit}; {second} {time_of_second}"
    return row


def agreement_bar(name: str, required: str, fit: Fit, sample: reference.Sample) -> Row:
    """Compare the labels of a fit with the exact ones."""
    if fit.model is None:
        fit()
    share = fit.agreement(sample)
    return bar(name, share, required, sample) | {"agreement": share}


def blobs(quick: bool) -> Iterator[Row]:
    """Compare with scikit-learn on 60 000 points."""
    X = data.blobs(60_000)
    sample = reference.exact_sample(X, H)
    fit, peer = Fit(partial(ms.MeanShift, H, fidelity="fast"), X), Fit(flat(2 * H), X)
    yield speed_bar(
        "60,000 blob points: times faster than scikit-learn (bin_seeding)",
        ">= 40",
        {"modeseek": fit, "scikit-learn": peer},
        fit,
        sample,
        limit=PATIENCE,
    )
    yield agreement_bar('60,000 blob points: agreement, "fast"', ">= 0.999", fit, sample)
    exact = Fit(partial(ms.MeanShift, H, fidelity="exact"), X)
    yield agreement_bar('60,000 blob points: agreement, "exact"', ">= 1.0", exact, sample)


def notebook(quick: bool) -> Iterator[Row]:
    """Compare with the notebook's loop on its own points."""
    X = data.notebook()
    sample = reference.exact_sample(X, H)
    fit = Fit(partial(ms.MeanShift, H, fidelity="fast"), X)
    yield speed_bar(
        "1,500 notebook points: times faster than its loop (5 rounds)",
        ">= 50",
        {"modeseek": fit, "loop": partial(textbook.meanshift_loop, X)},
        fit,
        sample,
    )
    yield agreement_bar('1,500 notebook points: agreement, "fast"', ">= 0.999", fit, sample)
    exact = Fit(partial(ms.MeanShift, H, fidelity="exact"), X)
    yield agreement_bar('1,500 notebook points: agreement, "exact"', ">= 1.0", exact, sample)


def passes(quick: bool) -> Iterator[Row]:
    """Compare with one read of 100 million points, and measure the memory."""
    if quick:
        return
    n = SIZES[-1]
    memory = extra_memory(n)  # before this process holds the same points
    X = data.blobs(n)
    sample = reference.exact_sample(X, H)
    fit = Fit(partial(ms.MeanShift, H, fidelity="fast"), X)
    calls = {"read": partial(harness.read_pass, X), "modeseek": fit}
    yield speed_bar("100,000,000 points: fit in read passes", "<= 12", calls, fit, sample, rounds=7)
    calls = {"memory": partial(harness.memory_pass, X), "modeseek": fit}
    yield speed_bar("100,000,000 points: fit in passes at the speed of memory", "", calls, fit, sample, rounds=5)
    yield bar("100,000,000 points: extra bytes a point", memory / n, "< 6")


def china(quick: bool) -> Iterator[Row]:
    """Compare with scikit-learn on the colours of a photograph."""
    if quick:
        return
    X = data.china()
    fit = Fit(partial(ms.MeanShift, COLOUR_H, fidelity="fast"), X)
    sample = reference.exact_sample(X, COLOUR_H, merge_repeats=True, pairs=float("inf"))
    for radius, required, rounds in ((2 * COLOUR_H, ">= 100", 2), (COLOUR_H, "", 1)):
        peer = Fit(flat(radius), X)
        yield speed_bar(
            f"china.jpg: times faster than scikit-learn (bin_seeding, bandwidth {radius:g})",
            required,
            {"modeseek": fit, "scikit-learn": peer},
            fit,
            sample,
            rounds=rounds,
            limit=PATIENCE,
            warm_up={"scikit-learn": Fit(flat(radius), X[::500])},
        )
    yield agreement_bar('china.jpg: agreement, "fast"', ">= 0.998", fit, sample)


def starting(quick: bool) -> Iterator[Row]:
    """Measure the import, the first fit and the compilation."""
    bare, loaded = startup.imports(3 if quick else 9)
    row = bar("import modeseek and MeanShift, over scikit-learn: seconds", loaded, "< 0.3")
    yield row | {"times": f"import modeseek alone {duration(bare)}"}
    yield bar("first fit over second, warm cache: seconds", startup.first_fit(1 if quick else 5), "< 1.5")
    yield bar("2-D path compiled from nothing: seconds", startup.compilation(1 if quick else 3), "< 10")


def bits(quick: bool) -> Iterator[Row]:
    """Compare results for numbers of threads and orders of merging, bit for bit."""
    n = 60_000 if quick else 1_000_000
    X = data.blobs(n)
    for fidelity in ("fast", "certified"):
        models = [ms.MeanShift(H, fidelity=fidelity, n_jobs=jobs).fit(X) for jobs in (1, 2, 7)]
        found = {(m.labels_.tobytes(), m.cluster_centers_.tobytes()) for m in models}
        yield bar(f'{n:,} points, "{fidelity}", n_jobs 1, 2 and 7: different results', float(len(found)), "<= 1")
    whole = ms.DensitySketch(H).add(X)
    orders = 3
    differing = sum(merged(X, np.random.default_rng(seed)) != whole for seed in range(orders))
    yield bar(f"16 parts merged in {orders} random orders: sketches that differ", float(differing), "<= 0")


def merged(X: NDArray[Any], rng: np.random.Generator) -> ms.DensitySketch:
    """Sketch 16 parts of X and merge random pairs of sketches until one is left."""
    parts = [ms.DensitySketch(H).add(part) for part in np.array_split(X, 16)]
    while len(parts) > 1:
        i, j = rng.choice(len(parts), 2, replace=False)
        parts[i].merge(parts[j])
        del parts[j]
    return parts[0]


BARS = {
    "blobs": blobs,
    "notebook": notebook,
    "passes": passes,
    "china": china,
    "startup": starting,
    "bits": bits,
}

# ------------------------------------------------------------------------------------------------------ scaling


def peers(n: int, X: NDArray[Any]) -> Iterator[tuple[str, Callable[[], Any], Callable[[], Any]]]:
    """Yield the rivals that finish in reasonable time: name, call, and the call on a few points."""
    few = X[:: max(1, n // 300)]
    if n <= 1_000_000:
        yield "scikit-learn, bin_seeding", Fit(flat(2 * H), X), Fit(flat(2 * H), few)
    if n <= 6000:
        yield "scikit-learn", Fit(flat(2 * H, False), X), Fit(flat(2 * H, False), few)
        batched = textbook.meanshift
        yield "notebook, batched (5 rounds)", partial(batched, X), partial(batched, few)
    if n <= 1500:
        loop = textbook.meanshift_loop
        yield "notebook, loop (5 rounds)", partial(loop, X), partial(loop, few)


def scaling(quick: bool) -> Iterator[Row]:
    """Time fits of growing size, with the rivals that can follow."""
    for n in SIZES:
        if quick and n > 60_000:
            return
        memory = extra_memory(n) / n if n >= MEMORY_FROM else None
        X = data.notebook() if n == 1500 else data.blobs(n)
        sample = reference.exact_sample(X, H)
        fit = Fit(partial(ms.MeanShift, H, fidelity="fast"), X)
        calls = {"modeseek": fit, "read": partial(harness.read_pass, X)}
        timings = alternate(calls, rounds=7 if n <= 1_000_000 else 3)
        row = scaling_row(n, "modeseek", timings["modeseek"], fit.agreement(sample), sample)
        row["read_passes"] = timings["modeseek"].times(timings["read"])
        row["extra_bytes_per_point"] = memory
        yield row
        for name, call, small in peers(n, X):
            pair = alternate({"modeseek": fit, name: call}, limit=PATIENCE / 2, warm_up={name: small})
            share = call.agreement(sample, within=np.inf) if isinstance(call, Fit) else None
            row = scaling_row(n, name, pair[name], share, sample if share is not None else None)
            row["times_modeseek"] = pair[name].times(pair["modeseek"])
            yield row


def scaling_row(
    n: int, system: str, timing: harness.Timing, share: float | None, sample: reference.Sample | None
) -> Row:
    """Make a row of the scaling table."""
    return {
        "n": n,
        "system": system,
        "seconds": timing.median,
        "min": timing.min,
        "max": timing.max,
        "ns_per_point": timing.median / n * 1e9,
        "times_modeseek": None,
        "read_passes": None,
        "agreement": share,
        "starts": len(sample.rows) if sample else None,
        "extra_bytes_per_point": None,
    }


def extra_memory(n: int) -> int:
    """Return what fitting n points takes beyond the points, in a fresh process."""
    setup = (
        "import modeseek\n"
        "from benchmarks import data\n"
        f"X = data.blobs({n})\n"
        f"model = modeseek.MeanShift({H}, fidelity='fast').fit(X[:60_000].copy())"
    )
    return harness.extra_memory(setup, f"model = modeseek.MeanShift({H}, fidelity='fast').fit(X)")


# ---------------------------------------------------------------------------------------------------- the program


def collect(name: str, case: Callable[[bool], Iterator[Row]], quick: bool) -> list[Row]:
    """Run one case, and say so on standard error."""
    print(f"{name} ...", end="", file=sys.stderr, flush=True)
    start = time.perf_counter()
    rows = list(case(quick))
    print(f" {duration(time.perf_counter() - start)}", file=sys.stderr)
    return rows


def arguments(argv: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.mean_shift", description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="up to 60 000 points, no photograph")
    parser.add_argument("--only", choices=[*BARS, "scaling"], help="run one case; the table of bars is not written")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Run the benchmarks; return 1 if a bar is missed."""
    options = arguments(argv)
    suffix = "-quick" if options.quick else ""
    print("\n".join(f"{key}: {value}" for key, value in harness.machine().items()))
    print(f"exponential of the reference: largest error {reference.exp_error():.1g}\n")
    bars: list[Row] = []
    for name, case in BARS.items():
        if options.only in (None, name):
            bars += collect(name, case, options.quick)
    if bars:
        print(harness.table(bars), end="\n\n")
    if options.only is None:
        harness.write_rows(f"mean_shift_bars{suffix}", bars)
    if options.only in (None, "scaling"):
        rows = collect("scaling", scaling, options.quick)
        print(harness.table(rows))
        harness.write_rows(f"mean_shift_scaling{suffix}", rows)
    return int(any(row["result"] == "FAIL" for row in bars))


if __name__ == "__main__":
    sys.exit(main())
