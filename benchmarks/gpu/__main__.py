"""The GPU against its own limits: ``python -m benchmarks.gpu``.

Measures what the device can do (a copy, products of matrices), then every part, and prints each bar beside these
limits: seconds, seconds at the limit, how many times that is, what is required, and the share of answers that are
right. Writes benchmarks/results/gpu_PART.csv and gpu_machine.csv. Without a CUDA device nothing is measured.

``--device cpu --quick`` runs the same code small, on the CPU: a test of it, whose times mean nothing and are not kept.
"""

import argparse
import sys
import traceback
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec

try:
    import torch
except ImportError:
    sys.exit("Torch is missing, and nothing was measured: pip install 'modeseek[torch]'")

from benchmarks import harness
from benchmarks.gpu import limits
from benchmarks.harness import Row

PARTS = ("mean_shift", "points", "kmeans", "near", "dbscan", "homework")
NOT_TIMED = ("case", "n", "d", "passed", "agrees", "note")  # columns that mean something on the CPU

Part = Callable[[limits.Limits, str, bool], list[Row]]


def part(name: str) -> Part | None:
    """Return the function that measures a part; None where there is no such module."""
    module = f"benchmarks.gpu.{name}"
    return import_module(module).run if find_spec(module) else None


def report(name: str, rows: list[Row], timed: bool) -> None:
    """Print the rows of a part."""
    shown = rows if timed else [{key: row[key] for key in NOT_TIMED if key in row} for row in rows]
    print(f"{name}\n{harness.table(shown)}\n", flush=True)


def run(device: str, quick: bool, names: tuple[str, ...]) -> int:
    """Measure parts on a device; return 1 if a bar is missed or a part is missing."""
    timed = device != "cpu"
    rates = limits.measure(device, quick)
    about = limits.machine(device, rates)
    print(f"machine\n{harness.table(about if timed else about[:3])}\n", flush=True)
    suffix, failed = "-quick" * quick, False
    if timed:
        harness.write_rows("gpu_machine" + suffix, about)
    for name in names:
        measure = part(name)
        if measure is None:
            print(f"{name}\nMISSING: there is no module benchmarks.gpu.{name}\n")
            failed = True
            continue
        try:
            rows = measure(rates, device, quick)
        except Exception:  # the others are measured all the same
            print(f"{name}\nFAILED: {traceback.format_exc()}", flush=True)
            failed = True
            continue
        report(name, rows, timed)
        failed |= any(row["passed"] == "FAIL" for row in rows)
        if timed:
            harness.write_rows(f"gpu_{name}{suffix}", [row | {"device": about[0]["value"]} for row in rows])
            torch.cuda.empty_cache()
    return int(failed)


def main(argv: list[str] | None = None) -> int:
    """Run the benchmark; return 1 if a bar is missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="small sizes; nothing is required of times")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda", help="cpu: only with --quick, untimed")
    parser.add_argument("--only", choices=PARTS, help="run one part")
    options = parser.parse_args(argv)
    if options.device == "cpu" and not options.quick:
        parser.error("--device cpu is for --quick only: it tests the code, and measures nothing")
    if options.device == "cuda" and not torch.cuda.is_available():
        print("There is no CUDA device here: nothing was measured. --device cpu --quick tests the code without one.")
        return 0
    return run(options.device, options.quick, (options.only,) if options.only else PARTS)


if __name__ == "__main__":
    sys.exit(main())
