"""Draw the figures of the documentation from benchmarks/results: ``python -m benchmarks.figures``.

Only the CSV files are read; nothing is measured here. Colours tell lines apart for colour-blind readers
too, and every line has a marker of its own; the ground is opaque, so the picture reads the same on any page.
"""

import argparse
from collections import defaultdict
from pathlib import Path

import matplotlib.pyplot as plt

from benchmarks import harness

OURS = "modeseek"
STYLES = {  # colour, marker
    OURS: ("#0072b2", "o"),
    "scikit-learn, bin_seeding": ("#d55e00", "s"),
    "scikit-learn": ("#a8336f", "^"),
    "notebook, batched (5 rounds)": ("#007f5f", "D"),
    "notebook, loop (5 rounds)": ("#5a5a5a", "v"),
}
INK, GRID, GROUND = "#1f2328", "#d8dde3", "#ffffff"


def series(rows: list[dict[str, str]]) -> dict[str, list[tuple[float, float]]]:
    """Return (n, seconds) of each system, by n."""
    found: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for row in rows:
        found[row["system"]].append((float(row["n"]), float(row["seconds"])))
    return {system: sorted(points) for system, points in found.items()}


def scaling(rows: list[dict[str, str]], path: Path) -> None:
    """Draw time against the number of points on logarithmic axes."""
    fig, ax = plt.subplots(figsize=(8, 5), layout="constrained", facecolor=GROUND)
    ax.set_facecolor(GROUND)
    for system, points in series(rows).items():
        colour, marker = STYLES.get(system, (INK, "x"))
        n, seconds = zip(*points, strict=True)
        ours = system == OURS
        width = 2.6 if ours else 1.8
        ax.plot(n, seconds, color=colour, marker=marker, lw=width, ms=7, zorder=3 + ours, label=system)
    ax.set(xscale="log", yscale="log", xlabel="points (2-D, six clusters)", ylabel="time")
    ax.yaxis.set_major_formatter(lambda seconds, _: harness.duration(seconds))
    fig.legend(loc="outside lower center", ncols=3, frameon=False, labelcolor=INK)
    ax.set_title("Mean shift: time of a fit, labels included", loc="left", color=INK)
    ax.grid(color=GRID, lw=0.8)
    ax.tick_params(colors=INK, which="both")
    ax.xaxis.label.set_color(INK)
    ax.yaxis.label.set_color(INK)
    for side, spine in ax.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(INK)
    path.parent.mkdir(parents=True, exist_ok=True)
    fig.savefig(path, dpi=160, facecolor=GROUND)
    plt.close(fig)


def main() -> None:
    """Draw all figures."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.figures", description="Redraw the figures.")
    parser.add_argument("--results", default="mean_shift_scaling", help="name of the CSV file")
    parser.add_argument("--output", type=Path, default=harness.ROOT / "docs" / "images" / "scaling.png")
    options = parser.parse_args()
    scaling(harness.read_rows(options.results), options.output)
    print(options.output)


if __name__ == "__main__":
    main()
