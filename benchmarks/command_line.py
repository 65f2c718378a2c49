"""A million rows through ``modeseek cluster``: ``python -m benchmarks.command_line``.

The table is real: every pixel of scikit-learn's two photographs, its place and its colour, repeated up to a million
rows in the order of the pictures. What the command prints (time by stage, peak memory) is shown, then checked:
every row must be there, unchanged, with a label.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import csv
from sklearn.datasets import load_sample_images

ROWS = 1_000_000
NAMES = ("row", "column", "red", "green", "blue")


def pixels(n: int = ROWS) -> pa.Table:
    """Return n rows of pixels: place and colour."""
    parts = []
    for picture in load_sample_images().images:
        place = np.indices(picture.shape[:2]).reshape(2, -1).T
        parts.append(np.hstack([place, picture.reshape(-1, 3)]))
    values = np.resize(np.vstack(parts), (n, len(NAMES)))
    return pa.table({name: values[:, k].astype(np.int64) for k, name in enumerate(NAMES)})


def main() -> int:
    """Write the table, cluster it by colour, check the result."""
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "pixels.csv", Path(folder) / "labelled.csv"
        table = pixels()
        csv.write_csv(table, source)
        command = [
            "cluster",
            str(source),
            "-o",
            str(target),
            "--columns",
            "red,green,blue",
            "--bandwidth",
            "12",
            "--fidelity",
            "fast",
        ]
        print("modeseek", *command, f"   ({source.stat().st_size / 2**20:.0f} MiB)")
        done = subprocess.run([sys.executable, "-m", "modeseek.cli", *command])
        if done.returncode:
            return done.returncode
        result = csv.read_csv(target)
        kept = result.drop_columns(["label"]) == table
        labels = result["label"].to_numpy()
        print(f"{len(labels):,} rows back, unchanged: {kept}; labels {labels.min()} to {labels.max()}")
        return int(not kept or len(labels) != ROWS or labels.min() < 0)


if __name__ == "__main__":
    sys.exit(main())
