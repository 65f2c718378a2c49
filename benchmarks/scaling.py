"""Time and memory against the number of points: ``python -m benchmarks.scaling``.

Six blobs in two dimensions and a mixture in three, from 1e5 points to 1e8 (as far as memory goes), float32, with
``fidelity="certified"`` and ``"fast"``. The exponent is that of the power of n that fits the times best. Every fit has
the cost of its table, however few the points are, which alone makes the exponent small; so the same of the last step
alone, a tenth of the points to all of them, stands beside it.

Extra memory is the peak of a fresh process during the fit, less what it held before: labels are 4 bytes a point.
Prints the bars and writes scaling.csv and scaling_bars.csv to benchmarks/results.
"""

import argparse
import sys
from collections.abc import Iterator
from functools import partial

import numpy as np
from numpy.typing import NDArray

import modeseek as ms
from benchmarks import data, harness
from benchmarks.harness import Row, alternate, duration
from benchmarks.mean_shift import Fit, bar, collect

SIZES = (100_000, 1_000_000, 10_000_000, 100_000_000)
BYTES = 48  # a point that one size may need in all: data drawn, labels, rows to be proven, and what is copied
FIDELITIES = ("certified", "fast")
BANDWIDTHS = {2: 2.5, 3: 2.0}
SPREAD, SIDE, CENTRES = 2.0, 20.0, 8  # of the mixture: its table is affordable at every size, so all take one route


def points(n: int, d: int) -> NDArray[np.float32]:
    """Draw the data: blobs in two dimensions, a mixture of eight in three."""
    if d == 2:
        return data.blobs(n)
    return data.around(np.random.default_rng(5).random((CENTRES, 3)) * SIDE, SPREAD, n)


def extra_memory(n: int, d: int, fidelity: str) -> int:
    """Return the bytes that a fit takes beyond the points, in a fresh process."""
    fit = f"model = modeseek.MeanShift({BANDWIDTHS[d]}, fidelity={fidelity!r}).fit"
    setup = f"import modeseek\nfrom benchmarks import scaling\nX = scaling.points({n}, {d})\n{fit}(X[:60_000].copy())"
    return harness.extra_memory(setup, f"{fit}(X)")


def growth(quick: bool, most: int = SIZES[-1]) -> Iterator[Row]:
    """Measure every size; the sizes that this machine's memory does not hold are left out."""
    room = harness.memory()
    for d, h in BANDWIDTHS.items():
        for n in (10_000, 100_000) if quick else SIZES:
            if n > most or n * BYTES > room:
                continue
            memory = {} if quick else {fidelity: extra_memory(n, d, fidelity) for fidelity in FIDELITIES}
            X = points(n, d)
            fits = {fidelity: Fit(partial(ms.MeanShift, h, fidelity=fidelity), X) for fidelity in FIDELITIES}
            small = {fidelity: Fit(fit.make, X[:60_000]) for fidelity, fit in fits.items()}
            rounds = 2 if quick else 5 if n < 10_000_000 else 3
            for fidelity, timing in alternate(fits, rounds, limit=60.0, warm_up=small).items():
                found = fits[fidelity].model.certificate_
                yield {
                    "d": d,
                    "n": n,
                    "fidelity": fidelity,
                    "seconds": timing.median,
                    "min": timing.min,
                    "max": timing.max,
                    "ns_per_point": timing.median / n * 1e9,
                    "extra_bytes": memory.get(fidelity),
                    "extra_bytes_per_point": memory[fidelity] / n if memory else None,
                    "undecided": None if found is None else found.undecided / n,
                }


def exponent(rows: list[Row]) -> float:
    """Fit the power of n that the seconds grow with."""
    return float(np.polyfit(np.log([row["n"] for row in rows]), np.log([row["seconds"] for row in rows]), 1)[0])


def bars(rows: list[Row], quick: bool) -> Iterator[Row]:
    """Fit the exponents; nothing is required of so few points that their number is not what counts."""
    for d in BANDWIDTHS:
        for fidelity in FIDELITIES:
            here = [row for row in rows if (row["d"], row["fidelity"]) == (d, fidelity)]
            ends = f"{here[0]['n']:,} points {duration(here[0]['seconds'])}, {here[-1]['n']:,}"
            ends += f" {duration(here[-1]['seconds'])}; exponent of the last step {exponent(here[-2:]):.2f}"
            required = "" if quick else "<= 1.05"
            yield bar(f"d = {d}, {fidelity}: exponent of time", exponent(here), required) | {"times": ends}


def main(argv: list[str] | None = None) -> int:
    """Run the benchmark; return 1 if a bar is missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scaling", description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="10 000 and 100 000 points, no memory")
    parser.add_argument("--most", type=int, default=SIZES[-1], metavar="N", help="no more points than this")
    options = parser.parse_args(argv)
    print("\n".join(f"{key}: {value}" for key, value in harness.machine().items()), end="\n\n")
    rows = collect("scaling", partial(growth, most=options.most), options.quick)
    print(harness.table(rows), end="\n\n")
    found = list(bars(rows, options.quick))
    print(harness.table(found))
    harness.write_rows("scaling" + ("-quick" if options.quick else ""), rows)
    harness.write_rows("scaling_bars" + ("-quick" if options.quick else ""), found)
    return int(any(row["result"] == "FAIL" for row in found))


if __name__ == "__main__":
    sys.exit(main())
