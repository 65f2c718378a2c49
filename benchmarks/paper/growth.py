"""More points than the other benchmarks have: ``python -m benchmarks.paper.growth``.

`benchmarks.scaling` goes up to 1e8 points in the plane and in space. Here the plane goes on, float32, as far as this
machine holds: in memory, with the points themselves at 8 bytes, labels at 4 and what a fit keeps; then in Parquet
files (`modeseek.cluster_files`), drawn by `benchmarks.outofcore`, which need no memory but disk (9 bytes a point, and
1 to 4 for the labels). A size is left out where it would not fit, with the reason in *left_out*. Every fit runs in a
fresh process, warmed up on few points; *extra_bytes* are the peak during the fit above what was resident before, in
files all that the process ever held. One run each: times of these sizes differ by a tenth or so.
"""

import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks import harness, outofcore, scaling
from benchmarks.harness import Row
from benchmarks.paper.common import program, timed

IN_MEMORY = (200_000_000, 400_000_000)
IN_FILES = (200_000_000, 1_000_000_000)
BYTES_IN_MEMORY, BYTES_ON_DISK = 24, 16  # a point that one size may need
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
    """Fit Parquet files."""
    for n in (100_000,) if quick else IN_FILES:
        with tempfile.TemporaryDirectory() as folder:
            if n * BYTES_ON_DISK > shutil.disk_usage(folder).free:
                yield row("files", n, "") | {"left_out": f"needs about {n * BYTES_ON_DISK / 2**30:.0f} GiB of disk"}
                continue
            yield from fitted_files(Path(folder), n)


def fitted_files(folder: Path, n: int) -> Iterator[Row]:
    """Draw the files, and fit them."""
    data, warm = str(folder / "data"), str(folder / "warm")
    drawing, _ = timed(lambda: outofcore.make(folder / "data", n, outofcore.FILES))
    outofcore.make(folder / "warm", min(n, outofcore.WARM_UP), 2, seed=2)
    print(f" {n:,} rows drawn in {harness.duration(drawing)}", file=sys.stderr, flush=True)
    for fidelity in FIDELITIES:
        out = str(folder / "labels")
        names = {"warm": warm, "folder": str(folder), "data": data, "out": out, "only": True}
        names |= {"h": outofcore.BANDWIDTH, "fidelity": fidelity}
        scanned = harness.fresh((outofcore.SETUP + outofcore.SCAN).format(**names))
        seconds, peak, clusters, _ = harness.fresh((outofcore.SETUP + outofcore.RUN).format(**names))
        shutil.rmtree(out)
        yield row("files", n, fidelity) | {
            "seconds": seconds,
            "slowest": seconds,
            "ns_per_point": seconds / n * 1e9,
            "extra_bytes": peak,
            "extra_bytes_per_point": peak / n,
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
