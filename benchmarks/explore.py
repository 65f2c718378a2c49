"""The page to explore, in Chromium without a window: ``python -m benchmarks.explore``.

*First paint*: from the start of the navigation to the browser's first contentful paint, and to the frame in which the
points are drawn. *Slider step*: from the input event of an arrow key to the frame with the new colours; the median and
the slowest over a walk from end to end. *Size*: of the file. The page itself measures (``performance``).

In eight columns every point climbs on all others, longest where clusters merge, so bandwidths below that are given.
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tests.browser import browser, missing, opened

import modeseek as ms
from benchmarks import harness
from benchmarks.harness import Row
from benchmarks.mean_shift import bar, collect

LOADS = 5
MEGABYTE = 1e6


def blobs(n: int, d: int) -> NDArray[np.float64]:
    """Draw ten normal clusters of the same size."""
    rng = np.random.default_rng(0)
    centres = rng.uniform(-30, 30, (10, d))
    return centres[rng.integers(0, 10, n)] + 2.5 * rng.normal(size=(n, d))


def loads(page: Path) -> tuple[list[float], list[float], list[float]]:
    """Return milliseconds to first contentful paint and to drawn points, of several loads, and of slider steps."""
    from selenium.webdriver.common.keys import Keys

    paints, drawn = [], []
    with browser() as driver:
        for _ in range(LOADS + 1):
            opened(driver, page)
            times = driver.execute_script(
                "return ['first-contentful-paint', 'explore-drawn']"
                ".map(name => performance.getEntriesByName(name)[0].startTime)"
            )
            paints.append(times[0])
            drawn.append(times[1])
        slider = driver.find_element("id", "bandwidth")
        slider.send_keys(Keys.END)
        for _ in range(40):
            time.sleep(0.1)
            slider.send_keys(Keys.ARROW_LEFT)
        time.sleep(0.3)
        steps = driver.execute_script("return performance.getEntriesByName('explore-step').map(e => e.duration)")
    return paints[1:], drawn[1:], steps[1:]  # without the first, that reads from disk or compiles


def case(n: int, d: int, bandwidths: Any = None, speed: bool = True) -> Iterator[Row]:
    """Make a page and measure it."""
    what = f"{n:,} points, {d} columns"
    start = time.perf_counter()
    page = ms.plot.explore(blobs(n, d), bandwidths)
    made = time.perf_counter() - start
    with tempfile.TemporaryDirectory() as directory:
        file = page.save(Path(directory) / "page.html")
        size = file.stat().st_size / MEGABYTE
        paints, drawn, steps = loads(file)
    yield bar(f"{what}: megabytes", size, "< 15")
    yield bar(f"{what}: seconds to make, {len(page.bandwidths)} bandwidths", made, "")
    required = "< 1000" if speed else ""
    for name, values in (("first contentful paint", paints), ("points drawn", drawn)):
        words = {"times": f"{min(values):.0f} to {max(values):.0f} ms, {len(values)} loads"}
        yield bar(f"{what}: ms from navigation to {name}", statistics.median(values), required) | words
    required = "< 50" if speed else ""
    for name, value in (("median", statistics.median(steps)), ("slowest", max(steps))):
        yield bar(f"{what}: ms of a slider step, {name}", value, required) | {"times": f"{len(steps)} steps"}


CASES = {
    "1e5 x 2": lambda quick: case(10_000 if quick else 100_000, 2),
    "1e6 x 2": lambda quick: case(20_000 if quick else 1_000_000, 2, speed=False),
    "1e5 x 8": lambda quick: case(2000 if quick else 100_000, 8, np.geomspace(6.5, 12.0, 30)),
}


def main(argv: list[str] | None = None) -> int:
    """Run the benchmark; return 1 if a bar is missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.explore", description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="up to 20 000 points")
    quick = parser.parse_args(argv).quick
    if missing():
        print(missing(), file=sys.stderr)
        return 2
    print("\n".join(f"{key}: {value}" for key, value in harness.machine().items()), end="\n\n")
    rows: list[Row] = []
    for name, make in CASES.items():
        rows += collect(name, make, quick)
    for row in rows:  # these say nothing of labels
        del row["agreement"], row["starts"]
    print(harness.table(rows))
    harness.write_rows("explore-quick" if quick else "explore", rows)
    return int(any(row["result"] == "FAIL" for row in rows))


if __name__ == "__main__":
    sys.exit(main())
