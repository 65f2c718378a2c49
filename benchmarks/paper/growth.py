"""More points than the other benchmarks have: ``python -m benchmarks.paper.growth``.

`benchmarks.scaling` goes up to 1e8 points in the plane and in space. Here the plane goes on, float32, as far as this
machine holds: in memory, with the points themselves at 8 bytes, labels at 4 and what a fit keeps; then in Parquet
files (`modeseek.cluster_files`), which need no memory but disk: a billion rows are the 200 million of
`benchmarks.outofcore` five times, by links to the same eight files, so that they are drawn and kept once (1.8 GB; the
system then reads them from its cache, as it does for pyarrow's scan, *scan_seconds*; a disk that is slower than that
adds what it takes to read 9 bytes a row). A size is left out where it would not fit, with the reason in *left_out*.

Every fit runs in a fresh process, warmed up on few points; in memory the best and the slowest of three count, in files
there is one. *extra_bytes* are the peak during the fit above what was resident before, in files all that the process
ever held.
"""

import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks import harness, outofcore, scaling
from benchmarks.certificate import timed
from benchmarks.harness import Row
from benchmarks.paper.common import program

IN_MEMORY = (200_000_000, 400_000_000)
IN_FILES, COPIES = 200_000_000, 5
BYTES_IN_MEMORY, BYTES_ON_DISK = 24, 14  # a point that one size may need
FIDELITIES = ("fast", "certified")

MEMORY = """
import gc, json, time
import modeseek as ms
from benchmarks import scaling
from benchmarks.harness import peak_bytes, resident_bytes, reset_peak
X = scaling.points({n}, 2)
model = ms.MeanShift({h}, fidelity={fidelity!r}).fit(X[:60_000].copy())
seconds = []
for _ in range({rounds}):
    del model
    gc.collect()
    reset_peak()
    before = resident_bytes()
    start = time.perf_counter()
    model = ms.MeanShift({h}, fidelity={fidelity!r}).fit(X)
    seconds.append(time.perf_counter() - start)
found = model.certificate_
print(json.dumps([seconds, peak_bytes() - before, len(model.cluster_centers_), None if found is None else
                  found.undecided / {n}]))
"""


def free_memory() -> float:
    """Return the bytes that the system says are available."""
    text = harness._line("/proc/meminfo", "MemAvailable")
    return float(text.split()[0]) * 1024 if text else harness.memory()


def row(where: str, n: int, fidelity: str) -> Row:
    """Return the columns of one run, empty."""
    return {"where": where, "n": n, "d": 2, "fidelity": fidelity} | dict.fromkeys(
        ("seconds", "slowest", "ns_per_point", "extra_bytes", "extra_bytes_per_point", "clusters", "undecided",
         "scan_seconds", "left_out")
    )  # fmt: skip


def in_memory(quick: bool) -> Iterator[Row]:
    """Fit arrays."""
    for n in (100_000,) if quick else IN_MEMORY:
        for fidelity in FIDELITIES:
            about = row("memory", n, fidelity)
            if n * BYTES_IN_MEMORY > free_memory():
                yield about | {"left_out": f"needs about {n * BYTES_IN_MEMORY / 2**30:.0f} GiB of free memory"}
                continue
            code = MEMORY.format(n=n, h=scaling.BANDWIDTHS[2], fidelity=fidelity, rounds=1 if quick else 3)
            seconds, extra, clusters, undecided = harness.fresh(code)
            yield about | {
                "seconds": min(seconds),
                "slowest": max(seconds),
                "ns_per_point": min(seconds) / n * 1e9,
                "extra_bytes": extra,
                "extra_bytes_per_point": extra / n,
                "clusters": clusters,
                "undecided": undecided,
            }


def in_files(quick: bool) -> Iterator[Row]:
    """Fit Parquet files, in fresh processes."""
    n = 20_000 if quick else IN_FILES
    rows = n * COPIES
    with tempfile.TemporaryDirectory() as name:
        if rows * BYTES_ON_DISK > shutil.disk_usage(name).free:
            yield row("files", rows, "") | {"left_out": f"needs about {rows * BYTES_ON_DISK / 2**30:.0f} GiB of disk"}
            return
        folder = Path(name)
        seconds, _ = timed(lambda: repeated_files(folder, n))
        print(f" files made in {harness.duration(seconds)}", end="", file=sys.stderr, flush=True)
        for fidelity in FIDELITIES:
            yield row("files", rows, fidelity) | fitted_files(folder, rows, fidelity)


def repeated_files(folder: Path, n: int) -> None:
    """Draw n rows, and link to them as often as wanted; a few rows more to warm up on."""
    outofcore.make(folder / "data", n, outofcore.FILES)
    for path in sorted((folder / "data").iterdir()):
        for copy in range(1, COPIES):
            (folder / "data" / f"{copy}-{path.name}").hardlink_to(path)
    outofcore.make(folder / "warm", min(n, outofcore.WARM_UP), 2, seed=2)


def fitted_files(folder: Path, rows: int, fidelity: str) -> Row:
    """Fit the files, after a scan of them."""
    names = {key: str(folder / key) for key in ("data", "warm")} | {"folder": str(folder), "only": True}
    names |= {"out": str(folder / "labels"), "h": outofcore.BANDWIDTH, "fidelity": fidelity}
    scanned = harness.fresh((outofcore.SETUP + outofcore.SCAN).format(**names))
    seconds, peak, clusters, _ = harness.fresh((outofcore.SETUP + outofcore.RUN).format(**names))
    for made in ("labels", "warm-labels"):
        shutil.rmtree(folder / made, ignore_errors=True)
    return {
        "seconds": seconds,
        "slowest": seconds,
        "ns_per_point": seconds / rows * 1e9,
        "extra_bytes": peak,
        "extra_bytes_per_point": peak / rows,
        "clusters": clusters,
        "scan_seconds": scanned,
    }


def growth(quick: bool) -> Iterator[Row]:
    """Measure both."""
    yield from in_memory(quick)
    yield from in_files(quick)


def main(argv: list[str] | None = None) -> int:
    """Run the experiment."""
    return program("growth", __doc__, {"growth": growth}, argv)


if __name__ == "__main__":
    sys.exit(main())
