"""What it costs to begin: the import, the first fit (``fidelity="fast"``), and compiling from nothing.

Each number is the median over fresh processes. Run as ``python -m benchmarks.startup``.
"""

import statistics
import tempfile

from benchmarks import harness

_IMPORT = """
import time, json
import sklearn.cluster
start = time.perf_counter()
import modeseek
bare = time.perf_counter() - start
modeseek.MeanShift
print(json.dumps([bare, time.perf_counter() - start]))
"""

# the second bandwidth is so wide that points are binned before they are deposited: the rest of the 2-D path
_FIT = """
import time, json
import modeseek
from benchmarks import data
X = data.blobs(60_000)

def fit(bandwidth):
    start = time.perf_counter()
    modeseek.MeanShift(bandwidth, fidelity="fast").fit(X)
    return time.perf_counter() - start

first = [fit(h) for h in {bandwidths}]
second = [fit(h) for h in {bandwidths}]
print(json.dumps([sum(first), sum(second)]))
"""


def imports(repeats: int = 9) -> tuple[float, float]:
    """Return the seconds that ``import modeseek``, alone and with ``MeanShift``, adds to scikit-learn's."""
    times = [harness.fresh(_IMPORT) for _ in range(repeats + 1)][1:]  # the first reads from disk
    return statistics.median(t[0] for t in times), statistics.median(t[1] for t in times)


def first_fit(repeats: int = 5) -> float:
    """Return by how many seconds the first 2-D fit of a process is slower than the second; warm cache."""
    code = _FIT.format(bandwidths=[2.5])
    times = [harness.fresh(code) for _ in range(repeats + 1)][1:]  # the first warms the cache
    return statistics.median(first - second for first, second in times)


def compilation(repeats: int = 3) -> float:
    """Return the seconds by which first 2-D fits are slower than second ones where nothing is compiled yet."""
    code, times = _FIT.format(bandwidths=[2.5, 25.0]), []
    for _ in range(repeats):
        with tempfile.TemporaryDirectory() as empty:
            times.append(harness.fresh(code, {"NUMBA_CACHE_DIR": empty}))
    return statistics.median(first - second for first, second in times)


def main() -> None:
    """Print the three."""
    bare, loaded = imports()
    print(f"import modeseek, after scikit-learn    {harness.duration(bare)}")
    print(f"... and MeanShift                      {harness.duration(loaded)}")
    print(f"first fit over second, warm cache      {harness.duration(first_fit())}")
    print(f"the same, compiling from nothing       {harness.duration(compilation())}")


if __name__ == "__main__":
    main()
