"""What every benchmark needs: fair timing, memory, the machine, and results as CSV and tables.

- Rivals are timed in turn, A B A B, after one warm-up each, so that a slow spell of the machine hits both; they
  are compared round by round, and the median of the quotients counts.
- Memory is measured in a fresh process, where nothing that came before can hide in what is already allocated.
"""

import csv
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parent.parent
RESULTS = Path(__file__).resolve().parent / "results"
LIBRARIES = ("modeseek", "numpy", "numba", "scikit-learn", "scipy")

Row = dict[str, Any]


# ------------------------------------------------------------------------------------------------- the machine


def machine() -> dict[str, str]:
    """Describe the machine and the versions of what runs on it."""
    return {
        "cpu": _line("/proc/cpuinfo", "model name") or platform.processor() or platform.machine(),
        "cores": str(_cores()),
        "memory": f"{memory() / 2**30:.1f} GiB",
        "os": platform.platform(),
        "python": platform.python_version(),
        **{name: _version(name) for name in LIBRARIES},
        "load": " ".join(f"{v:.2f}" for v in os.getloadavg()) if hasattr(os, "getloadavg") else "unknown",
    }


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def memory() -> float:
    try:
        return float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    except (AttributeError, ValueError, OSError):
        return float("nan")


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def _line(path: str, key: str) -> str:
    """Return what follows ``key:`` in a file of such lines; nothing if there is none."""
    try:
        lines = Path(path).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(key)), "")


# ------------------------------------------------------------------------------------------------------ timing


@dataclass
class Timing:
    """Seconds of each round of one call."""

    seconds: list[float] = field(default_factory=list)

    @property
    def median(self) -> float:
        """Median of the rounds."""
        return statistics.median(self.seconds)

    @property
    def min(self) -> float:
        """The fastest round."""
        return min(self.seconds)

    @property
    def max(self) -> float:
        """The slowest round."""
        return max(self.seconds)

    def times(self, other: "Timing") -> float:
        """Return how many times as long as `other` this took: the median over rounds of the quotients."""
        return statistics.median(a / b for a, b in zip(self.seconds, other.seconds, strict=True))

    def __str__(self) -> str:
        return f"{duration(self.median)} ({duration(self.min)} to {duration(self.max)})"


def alternate(
    calls: Mapping[str, Callable[[], Any]],
    rounds: int = 5,
    *,
    limit: float = float("inf"),
    warm_up: Mapping[str, Callable[[], Any]] | None = None,
) -> dict[str, Timing]:
    """Time several calls in turn, A B A B, after one warm-up each.

    Parameters
    ----------
    calls : mapping of names to callables
        The rivals.
    rounds : int, default 5
        How often each is timed.
    limit : float, default infinite
        Seconds after which no further round is begun; there is always one.
    warm_up : mapping of names to callables, optional
        What to call beforehand in place of the call itself (the same on less data, where it takes minutes).

    Returns
    -------
    dict of str to Timing
        The seconds of each, round by round.
    """
    for name, call in calls.items():
        (warm_up or {}).get(name, call)()
    timings = {name: Timing() for name in calls}
    begin = time.perf_counter()
    for done in range(rounds):
        if done and time.perf_counter() - begin > limit:
            break
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            timings[name].seconds.append(time.perf_counter() - start)
    return timings


_SIGN_SHIFT, _MAGNITUDE = np.int32(31), np.int32(0x7FFFFFFF)


@njit(cache=True, nogil=True)
def _extremes(bits):
    """Return the least and the greatest key of float32 bit patterns.

    A pattern read as an integer, with all but the sign flipped where it is negative, orders as the numbers do;
    minima of integers become SIMD, those of floating-point numbers (which might be NaN) do not.
    """
    low, high = np.int32(2**31 - 1), np.int32(-(2**31))
    for i in range(len(bits)):
        b = bits[i]
        key = np.int32(b ^ np.int32(np.int32(b >> _SIGN_SHIFT) & _MAGNITUDE))
        low = key if key < low else low
        high = key if key > high else high
    return low, high


@njit(cache=True, nogil=True, fastmath=True)
def _min_max(x):
    """Return the least and the greatest number, as one writes it first."""
    low = high = x[0]
    for i in range(x.size):
        low = min(low, x[i])
        high = max(high, x[i])
    return low, high


def read_pass(X: NDArray[np.float32], threads: int = 2) -> tuple[float, float]:
    """Return the least and the greatest number in X (float32, contiguous): one read pass, a Numba min/max."""
    with ThreadPoolExecutor(threads) as pool:
        ends = list(pool.map(_min_max, np.array_split(X.reshape(-1), threads)))
    return float(min(low for low, _ in ends)), float(max(high for _, high in ends))


def memory_pass(X: NDArray[np.float32], threads: int = 2) -> tuple[float, float]:
    """Do as `read_pass` at the speed of memory: about the time of NumPy's own ``max`` alone on as many threads."""
    bits = X.reshape(-1).view(np.int32)
    if bits.size < 1 << 22:  # a second thread would cost more than it saves
        ends = [_extremes(bits)]
    else:
        with ThreadPoolExecutor(threads) as pool:
            ends = list(pool.map(_extremes, np.array_split(bits, threads)))
    keys = np.array([min(low for low, _ in ends), max(high for _, high in ends)], np.int32)
    low, high = np.where(keys < 0, keys ^ _MAGNITUDE, keys).astype(np.int32).view(np.float32)
    return float(low), float(high)


# ------------------------------------------------------------------------------------------- fresh processes

_MEMORY = """
import gc, json
from benchmarks.harness import peak_bytes, resident_bytes, reset_peak
{setup}
gc.collect()
reset_peak()
before = resident_bytes()
{statement}
print(json.dumps(peak_bytes() - before))
"""


def fresh(code: str, environment: Mapping[str, str] | None = None) -> Any:
    """Run Python code in a new process, in the root of the repository; return its last line, read as JSON."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**os.environ, **(environment or {})},
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise RuntimeError(f"a benchmark process failed:\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def extra_memory(setup: str, statement: str) -> int:
    """Return the bytes by which a statement raises the peak of a fresh process above what setup left resident.

    Parameters
    ----------
    setup : str
        Python code that makes the data resident and warms up what is compiled.
    statement : str
        The code to be measured.

    Returns
    -------
    int
        Peak during the statement, less what was resident before it.
    """
    return int(fresh(_MEMORY.format(setup=setup, statement=statement)))


def resident_bytes() -> int:
    """Return the memory of this process now (its peak where the system does not tell)."""
    text = _line("/proc/self/status", "VmRSS")
    return int(text.split()[0]) * 1024 if text else peak_bytes()


def peak_bytes() -> int:
    """Return the most memory this process has had.

    That is getrusage's ru_maxrss, but Linux lets a new process inherit that of the one it was started from;
    the high-water mark in /proc is its own.
    """
    text = _line("/proc/self/status", "VmHWM")
    if text:
        return int(text.split()[0]) * 1024
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def reset_peak() -> None:
    """Let the peak start again from what is resident, where the system allows it."""
    with suppress(OSError):  # the peak then includes the setup: memory comes out too large, never too small
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


# ---------------------------------------------------------------------------------------------------- results


def duration(seconds: float) -> str:
    """Write a duration with three digits and its unit."""
    for unit, scale in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if seconds >= scale:
            return f"{seconds / scale:.3g} {unit}" if seconds < 1000 * scale else f"{seconds / scale:.0f} {unit}"
    return f"{seconds * 1e9:.3g} ns"


def write_rows(name: str, rows: Sequence[Row], directory: Path | None = None) -> Path:
    """Write rows as DIRECTORY/NAME.csv (benchmarks/results unless told), below the machine in comments."""
    path = (directory or RESULTS) / f"{name}.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        file.writelines(f"# {key}: {value}\n" for key, value in machine().items())
        writer = csv.DictWriter(file, _columns(rows), restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows({key: _cell(value, 6) for key, value in row.items()} for row in rows)
    return path


def read_rows(name: str, directory: Path | None = None) -> list[dict[str, str]]:
    """Read what `write_rows` wrote, as text."""
    path = (directory or RESULTS) / f"{name}.csv"
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(line for line in file if not line.startswith("#")))


def read_machine(name: str, directory: Path | None = None) -> dict[str, str]:
    """Read what `write_rows` wrote of the machine."""
    path = (directory or RESULTS) / f"{name}.csv"
    lines = [line[1:] for line in path.read_text(encoding="utf-8").splitlines() if line.startswith("#")]
    return {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}


def table(rows: Sequence[Row]) -> str:
    """Align rows in columns; numbers to the right."""
    columns = _columns(rows)
    body = [[_cell(row.get(c), 4) for c in columns] for row in rows]
    widths = [max(map(len, cells)) for cells in zip(columns, *body, strict=True)]
    right = [all(isinstance(row.get(c), int | float | None) for row in rows) for c in columns]

    def line(cells: Iterable[str]) -> str:
        pairs = zip(cells, widths, right, strict=True)
        return "  ".join(c.rjust(w) if r else c.ljust(w) for c, w, r in pairs).rstrip()

    return "\n".join([line(columns), line("-" * w for w in widths), *map(line, body)])


def _columns(rows: Sequence[Row]) -> list[str]:
    return list(dict.fromkeys(key for row in rows for key in row))


def _cell(value: Any, digits: int) -> str:
    if value is None:
        return ""
    return f"{value:.{digits}g}" if isinstance(value, float) else str(value)
