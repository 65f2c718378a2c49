"""The notebook's 1500 points: their clusters, the kernels, the points on their way, and what it costs."""

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from matplotlib.figure import Figure

import modeseek as ms
from modeseek.demo import page

BANDWIDTH = 2.5


def section(directory: Path) -> page.Section:
    """Draw, animate and time; return the section."""
    centroids, data = ms.textbook.make_data()
    model = ms.MeanShift(BANDWIDTH).fit(data)
    _draw(directory, centroids, data, model)
    _animate(directory, data, model.labels_)
    k, n = len(model.cluster_centers_), len(data)
    pieces = [
        page.text(
            f"{n:,} points were drawn around six centres. The algorithm is told neither the centres nor "
            f"that there are six: all it gets is the bandwidth {BANDWIDTH}, the distance over which points"
            " feel one another. Each point moves to the weighted mean of its neighbours, again and again,"
            " uphill towards where points are dense. Points that arrive at the same peak are one cluster."
            f" It finds {k}."
        ),
        page.picture(
            "clusters.png",
            f"Left: the points, and rings at the six centres they were drawn around. Right: the {k} clusters"
            " found; a cross marks each peak.",
            f"Two scatter plots of {n} points: before, in one colour, and after, in {k} colours",
        ),
        page.side_by_side(
            page.picture(
                "climbing.gif",
                "Climbing: the landscape stays as it is (pale), and every point walks up to its peak.",
                "Animation: points flow together into a few peaks",
                still="clusters.png",
            ),
            page.picture(
                "blurring.gif",
                "Blurring, as in the notebook: the landscape is made of the moving points themselves.",
                "Animation: points draw one another together in five rounds",
                still="clusters.png",
            ),
        ),
        page.links({"Climbing, frame by frame": "climbing.html"}),
        page.text(
            "How much a neighbour counts depends on its distance. The curve that says so is the kernel; "
            "its width is the bandwidth. A wider kernel sees fewer, larger clusters."
        ),
        page.picture("kernels.png", "Kernels: weight against distance, in bandwidths.", "Curves of kernels"),
        page.text(
            "What it costs, measured while this page was made (median of several runs, everything "
            "compiled). The notebook's algorithm moves all points five times; this library lets every "
            "point climb until it rests."
        ),
        page.table(["Method", "Time", "Ratio"], _timings(data)),
    ]
    return page.Section("points", f"{n:,} points", pieces)


def _draw(directory: Path, centroids: Any, data: Any, model: Any) -> None:
    figure = Figure(figsize=(10, 5), layout="constrained")
    before, after = figure.subplots(1, 2, sharex=True, sharey=True)
    before.set_title("What was drawn")
    ms.plot.clusters(data, true_centers=centroids, ax=before, legend=False)
    after.set_title("What was found")
    ms.plot.clusters(data, model.labels_, model.cluster_centers_, ax=after)
    figure.savefig(directory / "clusters.png", dpi=130, bbox_inches="tight")
    figure = Figure(figsize=(8, 4), layout="constrained")
    ms.plot.kernels(ax=figure.subplots())
    figure.savefig(directory / "kernels.png", dpi=130)


def _animate(directory: Path, data: Any, labels: Any) -> None:
    """Both forms as a GIF, in the same colours, and the first as a page with a player too."""
    for name in ("climbing.gif", "climbing.html"):
        ms.plot.animate(data, BANDWIDTH, labels=labels, save=directory / name)
    ms.plot.animate(data, BANDWIDTH, labels=labels, blurring=True, save=directory / "blurring.gif")


def _timings(data: Any) -> list[tuple[str, str, str]]:
    """Time each way of clustering the same points; the first is the unit."""
    ways: dict[str, tuple[Callable[..., object], int]] = {
        'MeanShift(2.5), fidelity="certified", the default': (ms.MeanShift(BANDWIDTH).fit, 9),
        'MeanShift(2.5), fidelity="fast"': (ms.MeanShift(BANDWIDTH, fidelity="fast").fit, 9),
        'MeanShift(2.5), fidelity="exact"': (ms.MeanShift(BANDWIDTH, fidelity="exact").fit, 9),
        "The notebook's batches of 500 (textbook.meanshift)": (ms.textbook.meanshift, 5),
        "The notebook's loop over points (textbook.meanshift_loop)": (ms.textbook.meanshift_loop, 3),
    }
    seconds = {name: _median_time(partial(call, data), runs) for name, (call, runs) in ways.items()}
    unit = next(iter(seconds.values()))
    return [(name, f"{1e3 * s:,.2f} ms", f"{s / unit:,.1f}") for name, s in seconds.items()]


def _median_time(call: Callable[[], object], runs: int) -> float:
    call()  # compiles, and warms the caches
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return median(times)
