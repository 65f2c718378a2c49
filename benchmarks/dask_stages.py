"""What one core takes for each stage of a fit of Dask's partitions: ``python -m benchmarks.dask_stages``.

Points lie in one partition, and Dask runs its tasks one after the other in this thread, where their times are taken by
name: *bounds* (the first look), *sum* (into the sketch), *look up* (codes of labels, of places that were kept or of
coordinates), *labels* (of codes). Each counts with the quickest of its calls in some fits. In the plane very many
points are summed by patches or bins; up to 2^31 of them, so the same is measured with every point on the nodes, too.

Then what processes and messages cost: a task that does nothing, and a stage of one such task for each of two workers.
Prints what `benchmarks.sizing` projects from, and writes dask_stages.csv and dask_tasks.csv to benchmarks/results.
"""

import argparse
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from typing import Any
from unittest.mock import patch

import dask
import dask.array as da
import numpy as np
from dask.callbacks import Callback
from numpy.typing import NDArray

import modeseek as ms
from benchmarks import data, harness, scaling
from benchmarks.harness import Row
from benchmarks.mean_shift import collect
from modeseek.distributed import problem, routes

SIZES = {1: 4_000_000, 2: 16_000_000, 3: 4_000_000}  # columns: points
BANDWIDTHS = {1: 2.5, **scaling.BANDWIDTHS}
SUMS = {"deposit": "nodes", "place": "patches", "count_in_bins": "bins"}  # task: what points are summed by
LABEL = "codes_of-label"  # as Dask names what it fuses: codes are there, and become labels
ROUNDS = 3
TASKS, STAGES, WORKERS = 1000, 50, 2


class Times(Callback):
    """Seconds of every task, by its name, and what the last look-up left open; for one task at a time."""

    def __init__(self) -> None:
        super().__init__(pretask=self.begin, posttask=self.end)
        self.seconds: dict[str, list[float]] = defaultdict(list)
        self.open = 0

    def begin(self, key: Any, *_: Any) -> None:
        """Start the clock."""
        self.began = time.perf_counter()

    def end(self, key: Any, result: Any, *_: Any) -> None:
        """Stop it."""
        name = key.split("-")[0] if isinstance(key, str) else key[0].rpartition("-")[0]  # of arrays, keys are tuples
        self.seconds[name].append(time.perf_counter() - self.began)
        if name == "look_up":
            self.open = len(result.rows)

    def least(self, name: str, n: int) -> float:
        """Return the nanoseconds a point of the quickest task of a name."""
        return min(self.seconds[name]) / n * 1e9


def points(n: int, d: int) -> NDArray[np.float32]:
    """Draw the data of `benchmarks.scaling`; in one column, the first of the blobs'."""
    return np.ascontiguousarray(data.blobs(n)[:, :1]) if d == 1 else scaling.points(n, d)


def stages(d: int, n: int, fidelity: str, rounds: int) -> Row:
    """Fit, ask for labels, and return what each stage took."""
    X, times = da.from_array(points(n, d), chunks=(n, d)), Times()
    with dask.config.set(scheduler="synchronous"), patch.object(routes, "GATHERED", 0), times:
        for _ in range(rounds):
            ms.MeanShift(BANDWIDTHS[d], fidelity=fidelity, n_jobs=1).fit(X).labels_.persist()
    (summed,) = (name for name in SUMS if name in times.seconds)
    return {
        "d": d, "n": n, "fidelity": fidelity, "summed_by": SUMS[summed], "bounds_ns": times.least("look", n),
        "sum_ns": times.least(summed, n), "look_up_ns": times.least("look_up", n),
        "labels_ns": times.least(LABEL, n), "open": times.open / n,
    }  # fmt: skip


def rates(quick: bool) -> Iterator[Row]:
    """Measure every stage, in each number of columns."""
    for d, n in SIZES.items():
        n = n // 40 if quick else n
        for fidelity in ("fast", "certified"):
            rounds = ROUNDS if d < 3 else 1  # a proof in space takes long, and none of it in the partition
            yield stages(d, n, fidelity, rounds)
            if d == 2:
                never = {name: lambda *_: False for name in ("placing_pays", "binning_pays")}
                with patch.multiple(problem, **never):
                    yield stages(d, n, fidelity, rounds)


def tasks(quick: bool) -> Iterator[Row]:
    """Measure what a task and a stage cost that do nothing."""
    from distributed import Client, LocalCluster

    n, rounds = (100, 5) if quick else (TASKS, STAGES)
    nothing = dask.delayed(abs, pure=False)
    with (
        LocalCluster(n_workers=WORKERS, threads_per_worker=1, dashboard_address=None) as cluster,
        Client(cluster),
    ):
        for what, k, repeat in (("task", n, 3), ("stage", WORKERS, rounds)):
            seconds = []
            for _ in range(repeat + 1):
                start = time.perf_counter()
                dask.compute(*[nothing(i) for i in range(k)])
                seconds.append(time.perf_counter() - start)
            seconds = [value / (k if what == "task" else 1) for value in seconds[1:]]
            yield {"what": what, "workers": WORKERS, "seconds": float(np.median(seconds)), "least": min(seconds),
                   "most": max(seconds)}  # fmt: skip


def main(argv: list[str] | None = None) -> int:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.dask_stages", description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="a fortieth of the points")
    quick = parser.parse_args(argv).quick
    print("\n".join(f"{key}: {value}" for key, value in harness.machine().items()), end="\n\n")
    ending = "-quick" if quick else ""
    for name, case in {"dask_stages": rates, "dask_tasks": tasks}.items():
        found = collect(name, case, quick)
        print(harness.table(found), end="\n\n")
        harness.write_rows(name + ending, found)
    return 0


if __name__ == "__main__":
    sys.exit(main())
