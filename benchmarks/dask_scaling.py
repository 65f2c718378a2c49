"""Dask against one process: ``python -m benchmarks.dask_scaling``.

Six blobs in the plane, 1e8 points in float32, drawn in their partitions (chunk by chunk as `benchmarks.data.blobs`
does, so that the points are the same whoever makes them) and kept there; then a fit, then the number of points of each
label, for which labels are computed where the points are. One process does the same: it draws the same points with so
many threads, fits them as an array in memory, and counts labels. Labels, modes and masses must be the same to the bit.

Two overheads, both of the time of fit and labels, on as many threads as there are workers, or cores:

- *overhead*, beside points in memory as one array: all that Dask costs.
- *over_tasks*, of the graph alone: beside the same tasks of the same partitions, run by threads of one process (Dask's
  local scheduler): what processes, their scheduler and messages cost. The rest of the first overhead is what cutting
  costs: merges, a second look where memory needs none, new memory, and stages that wait for their last task.

There is a bar on each. The drawing of the points, the same everywhere, is left out. Partitions of 128 MiB, as Dask cuts
arrays by default, lie on the workers in equal numbers. A worker has one thread; 4 of them share the cores of a machine
that has fewer. What is done in the client while workers wait has as many threads as they are. The three take turns, and
of some rounds the quickest fit and the quickest labels count: what else a machine does then falls on all of them.
"""

import argparse
import sys
import time
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import dask
import dask.array as da
import numpy as np
from numpy.typing import NDArray

import modeseek as ms
from benchmarks import data, harness
from benchmarks.harness import Row
from benchmarks.mean_shift import bar, collect

N, H = 100_000_000, 2.5
WORKERS = (1, 2, 4)
PARTITION = 16 << 20  # rows; a multiple of `data.CHUNK`, so that partitions draw what the whole draws
ROUNDS = 6  # of which the least counts
MOST = 0.25  # overhead
CORES = int(harness.machine()["cores"])
FIDELITIES = ("certified", "fast")


def piece(first: int, last: int) -> NDArray[np.float32]:
    """Draw rows of `data.blobs`, which has a generator for each chunk; ``first`` begins one."""
    centroids = ms.textbook.make_data(n_samples=1)[0]
    parts = []
    for start in range(first, last, data.CHUNK):
        rng = np.random.default_rng([0, start // data.CHUNK])
        x = rng.standard_normal((min(data.CHUNK, last - start), 2), dtype=np.float32)
        x *= np.float32(np.sqrt(data.VARIANCE))
        x += centroids[rng.integers(0, len(centroids), len(x), dtype=np.uint8)]
        parts.append(x)
    return np.concatenate(parts)


def points(n: int, make: Callable[[int, tuple[int, int]], Any]) -> da.Array:
    """Return the data as a Dask array of partitions: ``make`` returns one, delayed or computed somewhere."""
    return da.concatenate([
        da.from_delayed(make(k, ends), (ends[1] - ends[0], 2), np.float32) for k, ends in enumerate(cuts(n))
    ])  # fmt: skip


def cuts(n: int) -> list[tuple[int, int]]:
    """Return where partitions begin and end."""
    return [(k, min(k + PARTITION, n)) for k in range(0, n, PARTITION)]


def count(labels: Any) -> NDArray[np.int64]:
    """Return how many points have each label, counted in pieces of the same size."""
    if isinstance(labels, np.ndarray):
        return np.sum([np.bincount(labels[slice(*ends)], minlength=8) for ends in cuts(len(labels))], axis=0)
    parts = [dask.delayed(np.bincount)(block, minlength=8) for block in labels.to_delayed()]
    return np.sum(dask.compute(*parts), axis=0)


def digest(labels: Any) -> str:
    """Return a checksum of labels that does not depend on partitions: every chunk of a fixed size apart."""
    if isinstance(labels, np.ndarray):
        blocks = [labels[k : k + PARTITION] for k in range(0, len(labels), PARTITION)]
        return " ".join(f"{zlib.crc32(np.ascontiguousarray(block)):08x}" for block in blocks)
    return " ".join(f"{c:08x}" for c in dask.compute(*[dask.delayed(zlib.crc32)(b) for b in labels.to_delayed()]))


def once(X: Any, fidelity: str, n_jobs: int) -> tuple[float, float, list[Any]]:
    """Return seconds of a fit and of counting its labels, and what is to be the same."""
    start = time.perf_counter()
    model = ms.MeanShift(H, fidelity=fidelity, n_jobs=n_jobs).fit(X)
    fitted = time.perf_counter()
    counts = count(model.labels_)
    counted = time.perf_counter()
    same = [counts.tolist(), model.cluster_centers_.tolist(), model.sketch_.masses.sum(), digest(model.labels_)]
    return fitted - start, counted - fitted, same


def side_by_side(n: int, workers: int, rounds: int) -> Iterator[tuple[str, int, str, tuple[float, float, list[Any]]]]:
    """Fit the same points in memory, as tasks of threads, and in so many processes of one thread, in turn."""
    from distributed import Client, LocalCluster, wait

    threads = min(workers, CORES, 4)
    with ThreadPoolExecutor(threads) as pool:
        whole = np.concatenate(list(pool.map(lambda ends: piece(*ends), cuts(n))))
    cut = points(n, lambda k, ends: dask.delayed(whole[slice(*ends)], traverse=False, pure=False))
    with (
        LocalCluster(n_workers=workers, threads_per_worker=1, dashboard_address=None) as cluster,
        Client(cluster) as client,
    ):
        where = sorted(client.scheduler_info(n_workers=-1)["workers"])
        spread = points(n, lambda k, ends: client.submit(piece, *ends, workers=where[k % workers])).persist()
        wait(spread)
        for fidelity in FIDELITIES:
            for _ in range(rounds):
                yield "memory", threads, fidelity, once(whole, fidelity, threads)
                with dask.config.set(scheduler="threads", num_workers=threads):
                    yield "tasks", threads, fidelity, once(cut, fidelity, threads)
                yield "dask", workers, fidelity, once(spread, fidelity, threads)


def rows(n: int, rounds: int, most: tuple[int, ...]) -> Iterator[Row]:
    """Measure."""
    from modeseek.distributed import routes

    routes.GATHERED = 0  # few points, too, stay where they are
    found: dict[tuple[str, int, str], list[tuple[float, float, list[Any]]]] = {}
    for workers in most:
        for where, k, fidelity, one in side_by_side(n, workers, rounds):
            found.setdefault((where, k, fidelity), []).append(one)
    best = {key: (min(one[0] for one in each), min(one[1] for one in each)) for key, each in found.items()}
    for (where, k, fidelity), (fit, labels) in best.items():
        threads = min(k, CORES, 4)
        memory, tasks = (sum(best[base, threads, fidelity]) for base in ("memory", "tasks"))
        truth = found["memory", threads, fidelity][0][2]
        yield {
            "where": f"{where}, {k} {'workers' if where == 'dask' else 'threads'}", "n": n, "fidelity": fidelity,
            "workers": k if where == "dask" else 0, "fit": fit, "labels": labels,
            "overhead": None if where == "memory" else (fit + labels) / memory - 1.0,
            "over_tasks": (fit + labels) / tasks - 1.0 if where == "dask" else None,
            "same": all(one[2] == truth for one in found[where, k, fidelity]),
        }  # fmt: skip


def bars(measured: list[Row], quick: bool) -> Iterator[Row]:
    """Compare with what is required; overheads only where there is work enough, and a core for every worker."""
    for row in measured:
        if row["workers"]:
            name = f"{row['where']}, {row['fidelity']}"
            yield bar(f"{name}: same bits", float(row["same"]), ">= 1")
            required = "" if quick or row["workers"] > CORES else f"< {MOST}"
            yield bar(f"{name}: overhead", row["overhead"], required)
            yield bar(f"{name}: overhead of the graph, over the same tasks in threads", row["over_tasks"], required)


def main(argv: list[str] | None = None) -> int:
    """Run the benchmark; return 1 if a bar is missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.dask_scaling", description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="5 million points, two workers")
    parser.add_argument("--most", type=int, default=N, metavar="N", help="no more points than this")
    options = parser.parse_args(argv)
    print("\n".join(f"{key}: {value}" for key, value in harness.machine().items()), end="\n\n")
    n, rounds, most = (5_000_000, 1, (2,)) if options.quick else (options.most, ROUNDS, WORKERS)
    measured = collect("dask", lambda quick: rows(n, rounds, most), options.quick)
    print(harness.table(measured), end="\n\n")
    found = list(bars(measured, options.quick))
    print(harness.table(found))
    ending = "-quick" if options.quick else ""
    harness.write_rows("dask_scaling" + ending, measured)
    harness.write_rows("dask_scaling_bars" + ending, found)
    return int(any(row["result"] == "FAIL" for row in found))


if __name__ == "__main__":
    sys.exit(main())
