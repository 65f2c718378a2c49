"""Files larger than memory: ``python -m benchmarks.outofcore`` (``--quick``: a hundredth of the rows).

Two hundred million rows of two float32 columns in eight Parquet files are clustered by `modeseek.cluster_files`. The
yardstick is pyarrow's own scan of the same files with a sum, before and after every run. Every run is a fresh process,
warmed up on other files; its peak counts all that the process ever held. Times are medians. Labels are compared, bit
for bit, with those of all rows in one array; what a fit of that takes, without reading or writing, stands beside.
"""

import argparse
import hashlib
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import compute as pc
from pyarrow import dataset, parquet

from benchmarks import harness

ROWS, QUICK, FILES = 200_000_000, 2_000_000, 8
BANDWIDTH, CENTRES = 1.0, 12
WARM_UP = 300_000
PIECE = 1 << 20
ROUNDS = 3

SETUP = """
import json, time
from pathlib import Path
import modeseek as ms
from benchmarks.harness import peak_bytes, reset_peak
from benchmarks.outofcore import scan
ms.cluster_files({warm!r}, {folder!r} + "/warm-labels", bandwidth={h}, fidelity={fidelity!r}, labels_only={only})
scan({data!r})
start = time.perf_counter()
"""
RUN = """
found = ms.cluster_files({data!r}, {out!r}, bandwidth={h}, fidelity={fidelity!r}, labels_only={only})
seconds = time.perf_counter() - start
print(json.dumps([seconds, peak_bytes(), len(found.centers), str(found.certificate or "")]))
"""
SCAN = """
scan({data!r})
print(json.dumps(time.perf_counter() - start))
"""
IN_MEMORY = """
import json, time
import modeseek as ms
from benchmarks.outofcore import digest, in_memory
X = in_memory({data!r})
model = ms.MeanShift(bandwidth={h}, fidelity={fidelity!r})
model.fit(X[:{warm_up}])
start = time.perf_counter()
labels = model.fit(X).labels_
seconds = time.perf_counter() - start
print(json.dumps([seconds, digest(labels[k : k + (1 << 20)] for k in range(0, len(labels), 1 << 20))]))
"""


def make(folder: Path, rows: int, files: int, seed: int = 0) -> None:
    """Write a mixture of Gaussians into Parquet files, as pyarrow writes them unless told otherwise."""
    folder.mkdir()
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(1).uniform(-15, 15, (CENTRES, 2)).astype(np.float32)
    schema = pa.schema([("x", pa.float32()), ("y", pa.float32())])
    for k in range(files):
        n = rows * (k + 1) // files - rows * k // files
        with parquet.ParquetWriter(folder / f"{k:02d}.parquet", schema) as writer:
            for start in range(0, n, PIECE):
                m = min(PIECE, n - start)
                X = centres[rng.integers(0, CENTRES, m)] + rng.standard_normal((m, 2), np.float32)
                columns = [pa.array(np.ascontiguousarray(column)) for column in X.T]
                writer.write_batch(pa.record_batch(columns, schema=schema))


def scan(folder: str) -> float:
    """Return the sum of all numbers: what pyarrow does for a scan."""
    total = 0.0
    for batch in dataset.dataset(folder).to_batches():
        total += pc.sum(batch.column(0)).as_py() + pc.sum(batch.column(1)).as_py()
    return total


def in_memory(folder: str) -> NDArray[np.float32]:
    """Return all rows in one array."""
    paths = sorted(Path(folder).glob("*.parquet"))
    X = np.empty((sum(parquet.read_metadata(path).num_rows for path in paths), 2), np.float32)
    row = 0
    for path in paths:
        for batch in parquet.ParquetFile(path).iter_batches(PIECE):
            for j in range(2):
                X[row : row + batch.num_rows, j] = batch.column(j).to_numpy()
            row += batch.num_rows
    return X


def digest(parts: Any) -> str:
    """Return a hash of labels that come part by part."""
    found = hashlib.sha256()
    for part in parts:
        found.update(np.ascontiguousarray(part, np.int32).data)
    return found.hexdigest()


def written(folder: Path) -> str:
    """Return the hash of the labels in files."""
    paths = sorted(folder.glob("*.parquet"))
    assert len(paths) == len(list(folder.iterdir())), "something is left beside the labels"
    return digest(
        batch.column(0).to_numpy()
        for path in paths
        for batch in parquet.ParquetFile(path).iter_batches(PIECE, columns=["label"])
    )


def measure(folder: Path, rows: int) -> list[harness.Row]:
    """Cluster the files in each way, in turn with scans; compare all labels."""
    data, warm = str(folder / "data"), str(folder / "warm")
    make(folder / "data", rows, FILES)
    make(folder / "warm", min(rows, WARM_UP), 2, seed=2)
    os.sync()
    size = sum(path.stat().st_size for path in (folder / "data").iterdir())
    found = []
    for fidelity, only in (("fast", True), ("certified", True), ("certified", False)):
        out = folder / "labels"
        names = {"warm": warm, "folder": str(folder), "data": data, "out": str(out), "h": BANDWIDTH}
        names |= {"fidelity": fidelity, "only": only, "warm_up": WARM_UP}
        scans, runs = [harness.fresh((SETUP + SCAN).format(**names))], []
        for _ in range(ROUNDS):
            shutil.rmtree(out, ignore_errors=True)
            runs.append(harness.fresh((SETUP + RUN).format(**names)))
            scans.append(harness.fresh((SETUP + SCAN).format(**names)))
        seconds, scanned = median(run[0] for run in runs), median(scans)
        _, peak, clusters, certificate = max(runs, key=lambda run: run[1])
        alone, expected = harness.fresh(IN_MEMORY.format(**names))
        found.append(
            {
                "rows": rows,
                "files": FILES,
                "megabytes": size / 1e6,
                "fidelity": fidelity,
                "writes": "labels" if only else "rows and labels",
                "clusters": clusters,
                "seconds": seconds,
                "scan_seconds": scanned,
                "times_scan": seconds / scanned,
                "fit_in_memory": alone,
                "peak_mib": peak / 2**20,
                "labels_equal": written(out) == expected,
                "certificate": certificate,
            }
        )
        shutil.rmtree(out)
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Run, print and keep the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help=f"{QUICK:,} rows; nothing is kept")
    parser.add_argument("--folder", type=Path, default=None, help="where files of 4 GB may lie for a while")
    given = parser.parse_args(arguments)
    begin = time.perf_counter()
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        rows = measure(Path(folder), QUICK if given.quick else ROWS)
    print(harness.table(rows))
    print(f"all in {harness.duration(time.perf_counter() - begin)}")
    if not given.quick:
        print(harness.write_rows("outofcore", rows))
    return int(not all(row["labels_equal"] for row in rows))


if __name__ == "__main__":
    sys.exit(main())
