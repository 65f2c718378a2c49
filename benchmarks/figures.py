"""Write figures and tables from benchmarks/results: ``python -m benchmarks.figures``.

Draws time against size and against others, and writes the tables between the markers in README.md and in pages of docs/
(`benchmarks.pages` says which). Only the CSV files are read; nothing is measured here. Colours tell lines apart for
colour-blind readers too, and every line has a marker of its own; the ground is opaque, so the picture reads the same on
any page.
"""

import argparse
from collections import defaultdict
from pathlib import Path

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks import harness, pages
from benchmarks.tables import OURS, Rows

STYLES = {  # colour, marker
    OURS: ("#0072b2", "o"),
    "scikit-learn, bin_seeding": ("#d55e00", "s"),
    "scikit-learn": ("#a8336f", "^"),
    "notebook, batched (5 rounds)": ("#007f5f", "D"),
    "notebook, loop (5 rounds)": ("#5a5a5a", "v"),
}
GROWTH = {  # columns and fidelity: colour, marker
    ("2", "certified"): ("#0072b2", "o"),
    ("2", "fast"): ("#56a0d3", "s"),
    ("3", "certified"): ("#d55e00", "^"),
    ("3", "fast"): ("#e69f00", "D"),
}
PEERS = {  # task and peer: results, and what their bars say
    "mean shift / scikit-learn, bin_seeding": (("mean_shift_bars",), "times faster than scikit-learn"),
    "mean shift / scikit-learn's, its results": (("dropin",), "times faster"),
    "mean shift / the notebook's loop": (("mean_shift_bars",), "times faster than its loop"),
    "blurring / NumPy, in batches": (("blurring",), "times faster than its batches"),
    "neighbours / SciPy's cKDTree": (("neighbors_plane", "neighbors_space"), "times faster than ckdtree"),
    "neighbours / scikit-learn": (("neighbors_sixteen", "neighbors_within"), "times faster than s"),
    "neighbours / faiss": (("neighbors_sixteen",), "times faster than faiss"),
    "DBSCAN / scikit-learn": (("dbscan_replacement",), "times faster than scikit-learn"),
    "DBSCAN / dbscan, C++": (("dbscan_speed",), "times faster than dbscan"),
    "k-means / scikit-learn": ((*pages.HOMEWORK["kmeans"],), "times faster"),
    "hashing / exact search": (("lsh",), "exact search (flat)"),
    "hashing / faiss IndexLSH": (("lsh",), "faiss IndexLSH"),
    "pictures / OpenCV": (("images",), "times as fast as OpenCV"),
}
IMAGES = pages.DOCS / "images"
INK, GRID, GROUND = "#1f2328", "#d8dde3", "#ffffff"


def series(rows: Rows) -> dict[str, list[tuple[float, float]]]:
    """Return (n, seconds) of each system, by n."""
    found: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for row in rows:
        found[row["system"]].append((float(row["n"]), float(row["seconds"])))
    return {system: sorted(points) for system, points in found.items()}


def axes(width: float, height: float, title: str) -> tuple[Figure, Axes]:
    """Return axes in the dress of all figures here."""
    fig, ax = plt.subplots(figsize=(width, height), layout="constrained", facecolor=GROUND)
    ax.set_facecolor(GROUND)
    ax.set_title(title, loc="left", color=INK)
    ax.grid(color=GRID, lw=0.8)
    ax.tick_params(colors=INK, which="both")
    ax.xaxis.label.set_color(INK)
    ax.yaxis.label.set_color(INK)
    for side, spine in ax.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(INK)
    return fig, ax


def write(fig: Figure, path: Path) -> None:
    """Write a figure, and be done with it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fig.savefig(path, dpi=160, facecolor=GROUND)
    plt.close(fig)


def scaling(rows: Rows, path: Path) -> None:
    """Draw time against the number of points on logarithmic axes."""
    fig, ax = axes(8, 5, "Mean shift: time of a fit, labels included")
    for system, points in series(rows).items():
        colour, marker = STYLES.get(system, (INK, "x"))
        n, seconds = zip(*points, strict=True)
        ours = system == OURS
        width = 2.6 if ours else 1.8
        ax.plot(n, seconds, color=colour, marker=marker, lw=width, ms=7, zorder=3 + ours, label=system)
    ax.set(xscale="log", yscale="log", xlabel="points (2-D, six clusters)", ylabel="time")
    ax.yaxis.set_major_formatter(lambda seconds, _: harness.duration(seconds))
    fig.legend(loc="outside lower center", ncols=3, frameon=False, labelcolor=INK)
    write(fig, path)


def growth(rows: Rows, path: Path) -> None:
    """Draw time of a fit against the number of points, for both fidelities, in two columns and in three."""
    fig, ax = axes(8, 5, "Time of a fit, proven and not, labels included")
    for (d, fidelity), (colour, marker) in GROWTH.items():
        own = sorted((float(r["n"]), float(r["seconds"])) for r in rows if (r["d"], r["fidelity"]) == (d, fidelity))
        n, seconds = zip(*own, strict=True)
        dashes = "-" if fidelity == "certified" else "--"
        ax.plot(n, seconds, dashes, color=colour, marker=marker, lw=2, ms=7, label=f'd = {d}, "{fidelity}"')
    ends = [min(float(r["n"]) for r in rows), max(float(r["n"]) for r in rows)]
    ax.plot(ends, [end / ends[1] for end in ends], color="0.7", lw=1.2, label="10 ns a point")
    ax.set(xscale="log", yscale="log", xlabel="points", ylabel="time")
    ax.yaxis.set_major_formatter(lambda seconds, _: harness.duration(seconds))
    fig.legend(loc="outside lower center", ncols=3, frameon=False, labelcolor=INK)
    write(fig, path)


def quotients(results: tuple[str, ...], ending: str) -> list[float]:
    """Return how many times faster than a peer the bars of some results say that this library is."""
    rows = [row for name in results for row in harness.read_rows(name)]
    return [float(row["measured"]) for row in rows if row["measured"] and ending in row["bar"]]


def against(found: dict[str, list[float]], path: Path) -> None:
    """Draw a dot for each comparison of equal results, one line for each task and peer."""
    fig, ax = axes(8, 0.36 * len(found) + 1.2, "Times as fast as others, one dot for each set of data")
    for height, values in enumerate(reversed(found.values())):
        ax.plot(values, [height] * len(values), "o", color=STYLES[OURS][0], ms=7, alpha=0.6, mew=0)
    ax.axvline(1.0, color=INK, lw=1.2)
    ax.set(xscale="log", xlabel="times as fast, both on the same two cores", yticks=range(len(found)))
    ax.set_yticklabels(list(reversed(found)))
    ax.xaxis.set_major_formatter("{x:g}")
    write(fig, path)


def main() -> None:
    """Draw the figures and fill the pages."""
    argparse.ArgumentParser(prog="python -m benchmarks.figures", description="Redraw the figures.").parse_args()
    scaling(harness.read_rows("mean_shift_scaling"), IMAGES / "scaling.png")
    growth(harness.read_rows("scaling"), IMAGES / "growth.png")
    against({peer: quotients(*bars) for peer, bars in PEERS.items()}, IMAGES / "peers.png")
    for page in pages.FILLED:
        page.write_text(pages.filled(page), encoding="utf-8")


if __name__ == "__main__":
    main()
