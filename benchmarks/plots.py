"""Pictures of very many points: ``python -m benchmarks.plots``.

Prints a table and writes benchmarks/results/plots.csv: seconds and peak memory of `ms.plot.clusters` and
`ms.plot.density`, from points to pixels, at a million and ten million points, and of Matplotlib's scatter at a million,
which draws a marker for each. Memory is that of a fresh process above what holds the points. Before anything is timed
the counts of the image are compared with NumPy's histogram.
"""

import argparse
import time
from collections.abc import Callable, Iterator

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

import modeseek as ms
from benchmarks import data, harness
from benchmarks.harness import Row
from modeseek import textbook
from modeseek.plotting.raster import rasterize

BANDWIDTH = 2.5
MILLION, TEN = 1_000_000, 10_000_000
ROUNDS = 3

_SETUP = """
import matplotlib
matplotlib.use("Agg")
import numpy as np
from benchmarks import plots
X, labels = plots.points({n})
plots.PICTURES[{name!r}](X[:60_000], labels[:60_000])
"""


def points(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw n points, and label each by the nearest of six places."""
    X = data.blobs(n)
    places = textbook.make_data(n_samples=1)[0]
    labels = np.zeros(n, np.int32)
    nearest = np.full(n, np.inf)
    for label, place in enumerate(places):
        distance = np.square(X[:, 0] - place[0]) + np.square(X[:, 1] - place[1])
        closer = distance < nearest
        labels[closer], nearest[closer] = label, distance[closer]
    return X, labels


def clusters(X: np.ndarray, labels: np.ndarray) -> None:
    """Draw clusters to pixels."""
    _to_pixels(ms.plot.clusters(X, labels))


def density(X: np.ndarray, labels: np.ndarray) -> None:
    """Fit, draw the density with its borders, to pixels."""
    _to_pixels(ms.plot.density(X, BANDWIDTH))


def scatter(X: np.ndarray, labels: np.ndarray) -> None:
    """Draw a marker for every point to pixels."""
    ax = plt.subplots(figsize=(6.4, 5.2), layout="constrained")[1]
    ax.scatter(X[:, 0], X[:, 1], s=1.5, c=labels, cmap="tab10", linewidths=0)
    _to_pixels(ax)


PICTURES: dict[str, Callable[[np.ndarray, np.ndarray], None]] = {
    "clusters": clusters,
    "density": density,
    "matplotlib scatter": scatter,
}
RUNS = (
    ("matplotlib scatter", MILLION),
    ("clusters", MILLION),
    ("clusters", TEN),
    ("density", MILLION),
    ("density", TEN),
)


def _to_pixels(ax: "plt.Axes") -> None:
    ax.figure.canvas.draw()
    plt.close("all")


def check(n: int = MILLION) -> None:
    """Compare counts with NumPy's histogram, or raise."""
    X, labels = points(n)
    counts, _, (left, right, bottom, top) = rasterize(X[:, 0], X[:, 1], labels, (300, 400))
    edges = np.linspace(bottom, top, 301), np.linspace(left, right, 401)
    expected = np.histogram2d(X[:, 1], X[:, 0], bins=edges)[0]
    if counts.sum() != n or np.abs(counts - expected).sum() > 1e-4 * n:  # borders are rounded in another way
        raise AssertionError("the counts of the image are not those of numpy.histogram2d")


def rows(largest: int) -> Iterator[Row]:
    """Time each picture and measure its memory."""
    for name, n in RUNS:
        if n > largest:
            continue
        X, labels = points(n)
        PICTURES[name](X[:60_000], labels[:60_000])  # compile
        seconds = []
        for _ in range(ROUNDS):
            start = time.perf_counter()
            PICTURES[name](X, labels)
            seconds.append(time.perf_counter() - start)
        del X, labels
        setup, statement = _SETUP.format(n=n, name=name), f"plots.PICTURES[{name!r}](X, labels)"
        extra = harness.extra_memory(setup, statement)
        yield {
            "picture": name, "n": n, "seconds": float(np.median(seconds)), "least": min(seconds), "most": max(seconds),
            "extra_MB": extra / 1e6, "points_MB": 8 * n / 1e6,
        }  # fmt: skip


def main() -> None:
    """Check, measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--largest", type=int, default=TEN, help="most points")
    arguments = parser.parse_args()
    check(min(MILLION, arguments.largest))
    found = list(rows(arguments.largest))
    print(harness.table(found))
    if arguments.largest >= TEN:
        print(f"written to {harness.write_rows('plots', found)}")


if __name__ == "__main__":
    main()
