"""Dask against one process: ``python -m benchmarks.dask_scaling``.

Six blobs in the plane, 1e8 points in float32, drawn in their partitions (chunk by chunk as `benchmarks.data.blobs`
does, so that the points are the same whoever makes them) and kept there; then a fit, then the number of points of each
label, for which labels are computed where the points are. One process does the same: it draws the same points with so
many threads, fits them as an array in memory, and counts labels. Labels, modes and masses must be the same to the bit.

*Overhead* is the time of fit and labels beside those in memory on as many threads as there are workers, or cores: what
the graph, messages and merges cost, and a second look at the points, which looks labels up that points in memory have
kept from the first. The drawing of the points, the same on both sides, is left out. A worker has one thread; 4 of them
share the cores of a machine that has fewer.
"""

import argparse
import sys
import time
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
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
PARTITION = 4 << 20  # rows; a multiple of `data.CHUNK`, so that partitions draw what the whole draws
ROUNDS = 3  # of which the least counts
MOST = 0.25  # overhead
CORES = int(harness.machine()["cores"])
FIDELITIES = ("certified", "fast")


def piece(number: int, n: int) -> NDArray[np.float32]:
    """Draw the rows of one partition: those of `data.blobs`, which has a generator for each chunk."""
    first, last = number * PARTITION, min((number + 1) * PARTITION, n)
    centroids = ms.textbook.make_data(n_samples=1)[0]
    parts = []
    for start in range(first, last, data.CHUNK):
        rng = np.random.default_rng([0, start // data.CHUNK])
        x = rng.standard_normal((min(data.CHUNK, last - start), 2), dtype=np.float32)
        x *= np.float32(np.sqrt(data.VARIANCE))
        x += centroids[rng.integers(0, len(centroids), len(x), dtype=np.uint8)]
        parts.append(x)
    return np.concatenate(parts)


def points(n: int) -> da.Array:
    """Return the data as a Dask array that generates them where they are asked for."""
    count = -(-n // PARTITION)
    sizes = [min(PARTITION, n - k * PARTITION) for k in range(count)]
    make = dask.delayed(piece, pure=False)  # drawn anew for every array
    return da.concatenate([da.from_delayed(make(k, n), (size, 2), np.float32) for k, size in enumerate(sizes)])


def count(labels: Any) -> NDArray[np.int64]:
    """Return how many points have each label."""
    if isinstance(labels, np.ndarray):
        return np.bincount(labels, minlength=8)
    parts = [dask.delayed(np.bincount)(block, minlength=8) for block in labels.to_delayed()]
    return np.sum(dask.compute(*parts), axis=0)


def digest(labels: Any) -> str:
    """Return a checksum of labels that does not depend on partitions: every chunk of a fixed size apart."""
    if isinstance(labels, np.ndarray):
        blocks = [labels[k : k + PARTITION] for k in range(0, len(labels), PARTITION)]
        return " ".join(f"{zlib.crc32(np.ascontiguousarray(block)):08x}" for block in blocks)
    return " ".join(f"{c:08x}" for c in dask.compute(*[dask.delayed(zlib.crc32)(b) for b in labels.to_delayed()]))


def timed(X: Any, fidelity: str, n_jobs: int | None, rounds: int) -> tuple[float, float, list[Any]]:
    """Return seconds of a fit and of its labels (the least of some rounds), and what is to be the same."""
    fits, labelled = [], []
    for _ in range(rounds):
        start = time.perf_counter()
        model = ms.MeanShift(H, fidelity=fidelity, n_jobs=n_jobs).fit(X)
        fits.append(time.perf_counter() - start)
        start = time.perf_counter()
        counts = count(model.labels_)
        labelled.append(time.perf_counter() - start)
    same = [counts.tolist(), model.cluster_centers_.tolist(), model.sketch_.masses.sum(), digest(model.labels_)]
    return min(fits), min(labelled), same


def in_one_process(n: int, rounds: int) -> Iterator[tuple[int, str, tuple[float, float, list[Any]]]]:
    """Fit points in memory, on one thread and on as many as there are cores, up to four."""
    ms.MeanShift(H).fit(data.blobs(60_000))
    for threads in sorted({1, min(CORES, 2), min(CORES, 4)}):
        with ThreadPoolExecutor(threads) as pool:
            X = np.concatenate(list(pool.map(partial(piece, n=n), range(-(-n // PARTITION)))))
        for fidelity in FIDELITIES:
            yield threads, fidelity, timed(X, fidelity, threads, rounds)
        del X


def by_dask(n: int, workers: int, rounds: int) -> Iterator[tuple[str, tuple[float, float, list[Any]]]]:
    """Fit the same points in so many processes of one thread."""
    from distributed import Client, LocalCluster, wait

    with (
        LocalCluster(n_workers=workers, threads_per_worker=1, dashboard_address=None) as cluster,
        Client(cluster),
    ):
        X = points(n).persist()
        wait(X)
        for fidelity in FIDELITIES:
            ms.MeanShift(H, fidelity=fidelity).fit(X[:60_000])  # loads the kernels
            yield fidelity, timed(X, fidelity, 1, rounds)


def rows(n: int, rounds: int, most: tuple[int, ...]) -> Iterator[Row]:
    """Measure."""
    from modeseek.distributed import routes

    routes.GATHERED = 0  # few points, too, stay where they are
    alone = {}
    for threads, fidelity, found in in_one_process(n, rounds):
        alone[threads, fidelity] = found
        yield {
            "where": f"memory, {threads} threads", "n": n, "fidelity": fidelity, "workers": 0,
            "fit": found[0], "labels": found[1], "overhead": None, "same": None,
        }  # fmt: skip
    for workers in most:
        for fidelity, (fit, labels, same) in by_dask(n, workers, rounds):
            base = alone[min(workers, CORES, 4), fidelity]
            yield {
                "where": f"dask, {workers} workers", "n": n, "fidelity": fidelity, "workers": workers,
                "fit": fit, "labels": labels, "overhead": (fit + labels) / sum(base[:2]) - 1.0, "same": same == base[2],
            }  # fmt: skip


def bars(measured: list[Row], quick: bool) -> Iterator[Row]:
    """Compare with what is required; overheads only where there is work enough, and a core for every worker."""
    for row in measured:
        if row["workers"]:
            name = f"{row['where']}, {row['fidelity']}"
            yield bar(f"{name}: same bits", float(row["same"]), ">= 1")
            required = "" if quick or row["workers"] > CORES else f"< {MOST}"
            yield bar(f"{name}: overhead", row["overhead"], required)


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
