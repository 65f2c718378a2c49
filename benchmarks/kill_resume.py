"""Runs that are killed and go on: ``python -m benchmarks.kill_resume`` (``--quick``: fewer rows and kills).

`modeseek.cluster_files` is killed (SIGKILL) at ten random moments, each time in a run of its own, and resumed, in half
of them after a second kill. A run that ends before its moment counts for nothing: another is killed instead. What is
written must be, byte for byte, what a run without interruption writes; and when a run is killed, a file of its output
must be either missing or whole.
"""

import argparse
import hashlib
import json
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks import harness
from benchmarks.outofcore import make

ROWS, QUICK, FILES = 20_000_000, 1_000_000, 4
KILLS = 10
CHECKPOINTS = 0.1  # seconds between them

RUN = """
import json, sys
import modeseek as ms
began = []
def progress(at):
    if not began:
        began.append(print("began", flush=True))
found = ms.cluster_files(sys.argv[1], sys.argv[2], bandwidth=0.7, resume=True, checkpoint_seconds={seconds},
                         progress=progress)
print(json.dumps(found.resumed))
"""


def start(data: Path, out: Path) -> subprocess.Popen:
    """Start a run, and wait until it has begun to read."""
    code = RUN.format(seconds=CHECKPOINTS)
    run = subprocess.Popen(
        [sys.executable, "-c", code, str(data), str(out)], cwd=harness.ROOT, stdout=subprocess.PIPE, text=True
    )
    assert run.stdout is not None
    run.stdout.readline()
    return run


def finish(run: subprocess.Popen) -> bool:
    """Wait for a run; tell whether it went on from another."""
    said, _ = run.communicate()
    if run.returncode:
        raise RuntimeError(f"a run failed with {run.returncode}")
    return bool(json.loads(said.splitlines()[-1]))


def contents(out: Path) -> dict[str, str]:
    """Return the hash of every file that is not hidden."""
    found = {}
    for path in sorted(out.glob("[!.]*")) if out.exists() else []:
        with path.open("rb") as file:
            found[path.name] = hashlib.file_digest(file, "sha256").hexdigest()
    return found


def come_to(out: Path) -> str:
    """Say which passes a killed run has recorded, and to which row of the last it has come."""
    passes = sorted((out / ".modeseek").glob("pass-*.npz")) if out.exists() else []
    if not passes:
        return "nothing yet"
    with np.load(passes[-1]) as last:
        part = "done" if last["done"] else f"row {int(last['row'])}"
        return f"pass {len(passes)} ({last['name']}): {part}"


def kill(
    data: Path, out: Path, whole: dict[str, str], moments: NDArray[np.float64]
) -> tuple[list[float], list[str], int] | None:
    """Kill runs, each of which goes on from the last; tell how far they came, and how many outputs were half written.

    Returns None if a run ended before its moment.
    """
    states, halves = [], 0
    for moment in moments:
        run = start(data, out)
        time.sleep(moment)
        if run.poll() is not None:
            return None
        run.send_signal(signal.SIGKILL)
        run.wait()
        if contents(out) == whole and not (out / ".modeseek").exists():  # it had done its work, and was about to end
            return None
        halves += sum(whole.get(name) != mark for name, mark in contents(out).items())
        states.append(come_to(out))
    return list(moments), states, halves


def measure(folder: Path, rows: int, kills: int) -> list[harness.Row]:
    """Kill and resume; compare."""
    data, out = folder / "data", folder / "out"
    make(data, rows, FILES)
    finish(start(data, folder / "warm"))
    run, begin = start(data, folder / "whole"), time.perf_counter()
    finish(run)
    whole, length = contents(folder / "whole"), time.perf_counter() - begin
    rng, found = np.random.default_rng(0), []
    for k in range(kills):
        while (killed := kill(data, out, whole, rng.uniform(0, length, 1 + k % 2))) is None:
            shutil.rmtree(out)
        moments, states, halves = killed
        resumed = finish(start(data, out))
        left = [path.name for path in out.iterdir() if path.name.startswith(".")]
        found.append(
            {
                "rows": rows,
                "kill": k + 1,
                "seconds": " ".join(f"{moment:.2f}" for moment in moments),
                "come_to": "; ".join(states),
                "resumed": resumed,
                "half_written": halves,
                "left_behind": len(left),
                "same_bytes": contents(out) == whole,
            }
        )
        shutil.rmtree(out)
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Run, print and keep the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help=f"{QUICK:,} rows, two kills; nothing is kept")
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        rows = measure(Path(folder), QUICK if given.quick else ROWS, 2 if given.quick else KILLS)
    print(harness.table(rows))
    if not given.quick:
        print(harness.write_rows("kill_resume", rows))
    return int(not all(row["same_bytes"] and not row["half_written"] and not row["left_behind"] for row in rows))


if __name__ == "__main__":
    sys.exit(main())
