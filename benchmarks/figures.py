"""Write the README's figures from benchmarks/results: ``python -m benchmarks.figures``.

Draws time against size, and writes the tables between the markers in README.md and in pages of docs/.
Only the CSV files are read; nothing is measured here. Colours tell lines apart for colour-blind readers
too, and every line has a marker of its own; the ground is opaque, so the picture reads the same on any page.
"""

import argparse
from collections import defaultdict
from pathlib import Path

import matplotlib.pyplot as plt

from benchmarks import harness, headlines

OURS = "modeseek"
STYLES = {  # colour, marker
    OURS: ("#0072b2", "o"),
    "scikit-learn, bin_seeding": ("#d55e00", "s"),
    "scikit-learn": ("#a8336f", "^"),
    "notebook, batched (5 rounds)": ("#007f5f", "D"),
    "notebook, loop (5 rounds)": ("#5a5a5a", "v"),
}
HOMEWORK = {  # page of docs/: the results that it shows
    "neighbors": ("neighbors_plane", "neighbors_space", "neighbors_sixteen", "neighbors_within"),
    "dbscan": ("dbscan_speed", "dbscan_replacement", "dbscan_memory"),
    "kmeans": ("kmeans_1e6x2", "kmeans_1e6x16", "kmeans_2e5x64", "kmeans_default", "kmeans_float32"),
    "lsh": ("lsh",),
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


def number(text: str, digits: int = 3) -> str:
    """Shorten a number of a CSV file; empty stays empty."""
    if not text:
        return ""
    value = float(text)
    return f"{value:.0f}" if value >= 100 else f"{value:.{digits}g}"


def share(row: dict[str, str]) -> str:
    """Say how large a share of how many sampled points agrees with exact mean shift."""
    return f"{float(row['agreement']):.4g} of {int(row['starts']):,}" if row["agreement"] else ""


def markdown(header: list[str], rows: list[list[str]]) -> str:
    """Make a table in Markdown."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def tables(bars: list[dict[str, str]], scales: list[dict[str, str]]) -> str:
    """Make the README's two tables."""
    against = [[row["bar"], number(row["measured"]), row["required"], share(row), row["times"]] for row in bars]
    sizes = [
        [
            f"{int(row['n']):,}",
            harness.duration(float(row["seconds"])),
            number(row["read_passes"]) if float(row["n"]) >= 1e6 else "",
            share(row),
            number(row["extra_bytes_per_point"]) if float(row["n"]) >= 1e7 else "",
        ]
        for row in scales
        if row["system"] == OURS
    ]
    return "\n\n".join(
        [
            markdown(["what", "measured", "asked for", "agreement", "times (median, min to max)"], against),
            markdown(["points", "fit", "in read passes of the data", "agreement", "extra bytes a point"], sizes),
        ]
    )


def bars_only(bars: list[dict[str, str]]) -> str:
    """Make a table of bars that have no agreement of their own."""
    rows = [[row["bar"], number(row["measured"], 5), row["required"], row["times"]] for row in bars]
    return markdown(["what", "measured", "asked for", "times"], rows)


def peers(rows: list[dict[str, str]], agreement: str = "agreement") -> str:
    """Make a table of bars beside other libraries: what is asked for, and the share of results that are the same."""
    lines = [
        [row["bar"], number(row["measured"]), row["required"], number(row[agreement], 6), row["times"]]
        for row in rows
        if row["measured"]
    ]
    return markdown(["what", "measured", "asked for", agreement, "times (median, least to most)"], lines)


def replacement(rows: list[dict[str, str]]) -> str:
    """Make the table of scikit-learn's MeanShift beside ours."""
    header = ["set", "points", "seeds", "modeseek", "scikit-learn", "times faster", "same labels", "centres differ by"]
    lines = [
        [
            row["bar"].removesuffix(": times faster"),
            f"{int(row['n']):,}",
            f"{int(row['starts']):,}",
            harness.duration(float(row["seconds"])),
            harness.duration(float(row["seconds_peer"])),
            number(row["measured"]),
            f"{100 * float(row['agreement']):.4g} %",
            f"{float(row['centres_differ']):.0e} h",
            f"{row['n_iter']}, {row['n_iter_peer']}",
            harness.duration(float(row["seconds_from_every_point"])) if row["seconds_from_every_point"] else "",
        ]
        for row in rows
    ]
    return markdown([*header, "`n_iter_`, both", "modeseek from every point"], lines)


def by_set(rows: list[dict[str, str]]) -> str:
    """Make the table of what each rule finds on each set: adjusted Rand index, and right number of clusters in bold."""
    rules = list(dict.fromkeys(row["rule"] for row in rows))
    lines: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        right = row["clusters"] == row["true"]
        found = f"{float(row['ari']):.2f}"
        about = [row["half"], row["set"], f"{int(row['n']):,}", row["d"], row["true"]]
        lines.setdefault((row["half"], row["set"]), about).append(f"**{found}**" if right else found)
    return markdown(["half", "set", "n", "d", "clusters", *rules], [lines[key] for key in sorted(lines, reverse=True)])


def fill(text: str, content: str, name: str) -> str:
    """Replace what stands between the markers of that name."""
    begin, end = (f"<!-- {name}: {edge} -->" for edge in ("begin", "end"))
    before, _, rest = text.partition(begin)
    _, _, after = rest.partition(end)
    return f"{before}{begin}\n{content}\n{end}{after}"


def main() -> None:
    """Draw the figure and fill the README."""
    argparse.ArgumentParser(prog="python -m benchmarks.figures", description="Redraw the figures.").parse_args()
    bars, scales = harness.read_rows("mean_shift_bars"), harness.read_rows("mean_shift_scaling")
    scaling(scales, harness.ROOT / "docs" / "images" / "scaling.png")
    readme = harness.ROOT / "README.md"
    text = fill(readme.read_text(encoding="utf-8"), headlines.table(), "headlines")
    text = fill(text, tables(bars, scales), "figures")
    coming = harness.ROOT / "docs" / "coming-from-scikit-learn.md"
    beside = replacement(harness.read_rows("dropin"))
    coming.write_text(fill(coming.read_text(encoding="utf-8"), beside, "dropin"), encoding="utf-8")
    explore_page = harness.ROOT / "docs" / "explore.md"
    measured = bars_only(harness.read_rows("explore"))
    explore_page.write_text(fill(explore_page.read_text(encoding="utf-8"), measured, "explore"), encoding="utf-8")
    pictures_page = harness.ROOT / "docs" / "segmentation.md"
    pictures = bars_only(harness.read_rows("images"))
    pictures_page.write_text(fill(pictures_page.read_text(encoding="utf-8"), pictures, "images"), encoding="utf-8")
    scales_page = harness.ROOT / "docs" / "bandwidth.md"
    chosen = bars_only(harness.read_rows("bandwidth_bars")) + "\n\n" + by_set(harness.read_rows("bandwidth"))
    scales_page.write_text(fill(scales_page.read_text(encoding="utf-8"), chosen, "bandwidth"), encoding="utf-8")
    for name, results in HOMEWORK.items():
        page = harness.ROOT / "docs" / f"{name}.md"
        table = peers([row for result in results for row in harness.read_rows(result)])
        page.write_text(fill(page.read_text(encoding="utf-8"), table, name), encoding="utf-8")
    text = fill(text, peers(harness.read_rows("homework")), "homework")
    proven = harness.read_rows("certificate_bars") + harness.read_rows("scaling_bars")
    readme.write_text(fill(text, bars_only(proven), "certificate"), encoding="utf-8")


if __name__ == "__main__":
    main()
