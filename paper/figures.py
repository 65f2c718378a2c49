"""Draw the paper's figures from benchmarks/results: ``python -m paper.figures``. Nothing is measured here.

Each function returns one figure; it fails where its file is missing, and so does the paper then.
"""

import re
from collections.abc import Callable

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from paper.numbers import grouped
from paper.results import BUILD, Row, rows

COLUMN, PAGE = 3.3, 6.95  # inches: width of a column, and of both
BLUE, ORANGE, GREEN, PURPLE, GREY = "#0072b2", "#d55e00", "#007f5f", "#a8336f", "#5a5a5a"
STYLE = {
    "font.family": "serif",
    "font.serif": ["DejaVu Serif"],
    "mathtext.fontset": "dejavuserif",
    "font.size": 6.8,
    "axes.labelsize": 7,
    "axes.titlesize": 7.2,
    "axes.linewidth": 0.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#dddddd",
    "grid.linewidth": 0.4,
    "xtick.major.width": 0.5,
    "ytick.major.width": 0.5,
    "lines.linewidth": 1.0,
    "lines.markersize": 3.2,
    "legend.frameon": False,
    "legend.fontsize": 6.4,
    "svg.hashsalt": "paper",
}


def picture(width: float, height: float, n: int = 1, **options: object) -> tuple[Figure, list[Axes]]:
    """Return a figure of so many panels side by side."""
    fig, axes = plt.subplots(1, n, figsize=(width, height), layout="constrained", squeeze=False, **options)  # type: ignore[call-overload]
    return fig, list(axes[0])


def columns(table: list[Row], *names: str) -> list[np.ndarray]:
    """Return columns of a table as numbers."""
    return [np.array([float(row[name]) for row in table]) for name in names]


def fidelity() -> Figure:
    """Draw the error of a step, and its bound, against the spacing of the nodes."""
    fig, axes = picture(COLUMN, 2.1, 2, sharey=True)
    sketches = {"centroid": (GREY, "^"), "quadratic": (ORANGE, "s"), "cubic": (BLUE, "o")}
    for ax, data in zip(axes, ("mixture", "noise"), strict=True):
        for sketch, (colour, marker) in sketches.items():
            table = [r for r in rows("fidelity") if r["data"] == data and r["sketch"] == sketch]
            spacing, error = columns(table, "spacing", "typical_error")
            ax.plot(spacing, error, color=colour, marker=marker, label=f"{sketch}: error")
            if sketch != "centroid":
                (bound,) = columns(table, "typical_bound")
                ax.plot(spacing, bound, color=colour, ls=":", marker=marker, mfc="white", label=f"{sketch}: bound")
        x = np.array([1 / 24, 1 / 6])
        for order, at in ((2, 1.2e-3), (4, 6e-8)):
            ax.plot(x, at * (x / x[0]) ** order, color="black", lw=0.6)
            ax.text(x[1] * 1.02, at * (x[1] / x[0]) ** order, str(order), fontsize=6, va="bottom")
        ax.set(xscale="log", yscale="log", xlabel="spacing / $h$", title=data)
        ax.set_xticks([1 / 32, 1 / 16, 1 / 8, 1 / 4], ["1/32", "1/16", "1/8", "1/4"], minor=False)
        ax.minorticks_off()
    axes[0].set_ylabel("median over places, in $h$")
    fig.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3, columnspacing=0.9)
    return fig


def scaling() -> Figure:
    """Time of a fit against the number of points, beside other implementations."""
    fig, axes = picture(COLUMN, 2.35)
    ax = axes[0]
    ours = {("2", "certified"): "-o", ("2", "fast"): "--o", ("3", "certified"): "-s", ("3", "fast"): "--s"}
    for (d, fidelity_), style in ours.items():
        table = [r for r in rows("scaling") if r["d"] == d and r["fidelity"] == fidelity_]
        n, seconds = columns(table, "n", "seconds")
        ax.plot(n, seconds, style, color=BLUE if d == "2" else PURPLE, label=f"$d={d}$, {fidelity_}")
    for system, label, colour, marker in (
        ("scikit-learn", "scikit-learn, all seeds", ORANGE, "^"),
        ("scikit-learn, bin_seeding", "scikit-learn, binned seeds", ORANGE, "v"),
        ("notebook, batched (5 rounds)", "all pairs (5 blurring rounds)", GREY, "D"),
    ):
        n, seconds = columns([r for r in rows("mean_shift_scaling") if r["system"] == system], "n", "seconds")
        ax.plot(n, seconds, ":", color=colour, marker=marker, label=label)
    line = np.array([1e6, 1e8])
    ax.plot(line, 2e-9 * line, color="black", lw=0.6)
    ax.text(2e6, 1.6e-3, "slope 1", fontsize=6)
    ax.set(xscale="log", yscale="log", xlabel="points $n$", ylabel="seconds")
    fig.legend(loc="outside lower center", ncols=2, columnspacing=0.9)
    return fig


STATES = (
    ("interior", BLUE, "cell"),
    ("boundary", "#7fb8da", "own tube"),
    ("climbed", "#e6b8a2", "exact climb"),
    ("undecided", ORANGE, "undecided"),
)
SHAPES = ("mixture", "uniform", "moons", "spiral", "lines", "lattice", "repeated", "8-bit")


def certificate() -> Figure:
    """Shares of points by what their labels rest on, by shape and width of the data, where a table was made."""
    fig, axes = picture(PAGE, 2.0, 3, sharey=True)
    for ax, d in zip(axes, "123", strict=True):
        place, ticks, names = 0.0, [], []
        for shape in SHAPES:
            found = [r for r in rows("certificate") if r["data"].removesuffix(", proof") == shape and r["d"] == d]
            table = sorted((r for r in found if r["spacing"]), key=lambda r: -float(r["h"]))
            if not table:
                continue
            x = place + np.arange(len(table))
            bottom = np.zeros(len(table))
            for state, colour, _ in STATES:
                (share,) = columns(table, state)
                ax.bar(x, share, 0.85, bottom, color=colour)
                bottom += share
            ticks.append(float(x.mean()))
            names.append(shape)
            place = x[-1] + 2.0
        ax.set_xticks(ticks, names, rotation=30, ha="right", rotation_mode="anchor")
        ax.set(title=f"$d = {d}$", ylim=(0, 1))
        ax.grid(axis="x", visible=False)
        ax.tick_params(axis="x", length=0)
    axes[0].set_ylabel("share of points")
    handles = [plt.Rectangle((0, 0), 1, 1, color=colour) for _, colour, _ in STATES]
    fig.legend(handles, [label for *_, label in STATES], loc="outside upper center", ncols=4)
    return fig


def audit() -> Figure:
    """Coverage of the audit's statements over repeated audits with planted errors."""
    fig, axes = picture(COLUMN, 1.95)
    ax = axes[0]
    table = [r for r in rows("audit_coverage") if float(r["true_rate"]) > 0]
    confidence, seen, exact = columns(table, "confidence", "coverage", "exact_coverage")
    kinds = {"at most": (BLUE, "o"), "interval": (ORANGE, "s")}
    for kind, (colour, marker) in kinds.items():
        chosen = np.array([r["bound"] == kind for r in table])
        x = confidence[chosen] + np.linspace(-0.004, 0.004, int(chosen.sum()))
        ax.plot(x, seen[chosen], marker, color=colour, label=f"{kind}: seen")
        ax.plot(x, exact[chosen], "_", color=colour, ms=7, label=f"{kind}: computed")
    levels = np.unique(confidence)
    for level in levels:
        ax.plot([level - 0.008, level + 0.008], [level, level], color="black", lw=0.7)
    ax.set_xticks(levels, [f"{100 * v:g} %" for v in levels])
    ax.set(xlabel="stated confidence", ylabel="coverage", ylim=(0.89, 1.004))
    fig.legend(loc="outside lower center", ncols=2, columnspacing=0.9)
    return fig


OURS, FLAT, SKLEARN = "modeseek, Gaussian", "modeseek, as scikit-learn", "scikit-learn"
SYSTEMS = {  # of a row: label, what its labels are compared with, colour, marker
    "modeseek, fast": (OURS, "from_gaussian", BLUE, "o"),
    "modeseek, certified": (OURS, "from_gaussian", BLUE, "o"),
    "modeseek, exact": (OURS, "from_gaussian", BLUE, "o"),
    "modeseek, flat, nearest, bin_seeding": (FLAT, "from_flat", "#7fb8da", "o"),
    "modeseek, flat, nearest": (FLAT, "from_flat", "#7fb8da", "o"),
    "scikit-learn, bin_seeding": (SKLEARN, "from_flat", ORANGE, "v"),
    "scikit-learn": (SKLEARN, "from_flat", ORANGE, "^"),
    "notebook, batched, to rest": ("all pairs, float32", "from_gaussian", GREY, "D"),
    "notebook, batched, blurring, 5 rounds": ("all pairs, blurring", "from_gaussian", GREY, "d"),
    "MeanShift++": ("MeanShift++", "", PURPLE, "s"),
    "GridShift": ("GridShift", "", GREEN, "P"),
}
LETTERS = {"modeseek, fast": "f", "modeseek, certified": "c", "modeseek, exact": "e"}


def pareto() -> Figure:
    """Draw the share of labels that differ from exact mean shift against time, one panel for each set."""
    table = rows("paper_pareto")
    sets = list(dict.fromkeys((r["data"], r["n"]) for r in table))
    fig, axes = picture(PAGE, 2.25, len(sets), sharey=True)
    for ax, (data, n) in zip(axes, sets, strict=True):
        for row in (r for r in table if (r["data"], r["n"]) == (data, n)):
            label, against, colour, marker = SYSTEMS[row["system"]]
            wrong = float(row[against]) if against else min(float(row["from_gaussian"]), float(row["from_flat"]))
            ax.plot(float(row["seconds"]), wrong, marker, color=colour, label=label, alpha=0.8, mew=0)
            if row["system"] in LETTERS:
                ax.annotate(LETTERS[row["system"]], (float(row["seconds"]), wrong), (0, 4), ha="center",
                            textcoords="offset points", fontsize=6.5, color=colour)  # fmt: skip
        ax.set_yscale("symlog", linthresh=1e-4, linscale=0.5)
        ax.set(xscale="log", xlabel="seconds", title=f"{data}, {grouped(int(n))} points")
        ax.set_ylim(-6e-5, 1)
        ax.set_yticks([0, 1e-4, 1e-3, 1e-2, 1e-1, 1], ["0", "$10^{-4}$", "$10^{-3}$", "$10^{-2}$", "$10^{-1}$", "1"])
        ax.minorticks_off()
    axes[0].set_ylabel("share of labels that differ")
    handles = {label: handle for ax in axes for handle, label in zip(*ax.get_legend_handles_labels(), strict=True)}
    fig.legend(
        handles.values(), handles.keys(), loc="outside lower center", ncols=7, columnspacing=0.8, handletextpad=0.2
    )
    return fig


def spacing() -> Figure:
    """Draw the share of labels that one table certifies against the spacing of its nodes."""
    table = [r for r in rows("paper_certified") if r["data"] != "moons"]
    fig, axes = picture(PAGE, 1.95, 3, sharey=True)
    for ax, d in zip(axes, "123", strict=True):
        for (data, colour), marker in zip((("mixture", BLUE), ("uniform", ORANGE)), "os", strict=True):
            widths = sorted({float(r["h"]) for r in table if r["data"] == data and r["d"] == d}, reverse=True)
            for h, style in zip(widths, ("-", "--", ":"), strict=True):
                chosen = [r for r in table if r["data"] == data and r["d"] == d and float(r["h"]) == h]
                x, certified = columns(chosen, "spacing", "certified")
                ax.plot(x, certified, style + marker, color=colour, label=f"{data}, $h = {h:g}$")
        ax.set(xscale="log", xlabel="spacing / $h$", title=f"$d = {d}$", ylim=(-0.03, 1.05))
        x = sorted({float(r["spacing"]) for r in table if r["d"] == d})
        ax.set_xticks(x, [f"1/{round(1 / v)}" for v in x])
        ax.minorticks_off()
        ax.legend(fontsize=5.6, handlelength=2.4, loc="upper right" if d == "3" else "lower left", labelspacing=0.25)
    axes[0].set_ylabel("share certified without raw points")
    return fig


JUDGED = {
    "modeseek MeanShift()": ("modeseek MeanShift()", BLUE, "o"),
    "scikit-learn MeanShift()": ("scikit-learn MeanShift()", ORANGE, "^"),
    "scikit-learn HDBSCAN()": ("scikit-learn HDBSCAN()", GREEN, "s"),
    "scikit-learn KMeans(true k)": ("KMeans, told the true k", GREY, "D"),
}


def quality() -> Figure:
    """Draw the adjusted Rand index of each kind of sets and system, with its bootstrap interval."""
    table = rows("paper_quality_intervals")
    kinds = list(dict.fromkeys(r["set"] for r in table))
    fig, (ax,) = picture(COLUMN, 0.75 + 0.17 * len(kinds))
    for k, (system, (label, colour, marker)) in enumerate(JUDGED.items()):
        chosen = {r["set"]: r for r in table if r["system"] == system}
        shown = [(i, chosen[kind]) for i, kind in enumerate(kinds) if kind in chosen]
        mean, low, high = columns([r for _, r in shown], "ari", "ari_low", "ari_high")
        y = np.array([i for i, _ in shown]) + 0.18 * (k - 1.5)
        ax.hlines(y, low, high, color=colour, lw=0.8)
        ax.plot(mean, y, marker, color=colour, label=label, ms=2.8)
    short = [
        re.sub(r", standardised", "", kind).replace("sizes 10, spreads 5", "uneven").replace("components", "comp.")
        for kind in kinds
    ]
    ax.set_yticks(range(len(kinds)), short, fontsize=5.8)
    ax.set(xlabel="adjusted Rand index", xlim=(-0.03, 1.03), ylim=(len(kinds) - 0.5, -0.5))
    ax.tick_params(axis="y", length=0)
    fig.legend(loc="outside lower center", ncols=2, columnspacing=0.9)
    return fig


FIGURES: dict[str, Callable[[], Figure]] = {
    "fidelity": fidelity,
    "scaling": scaling,
    "certificate": certificate,
    "audit": audit,
    "pareto": pareto,
    "spacing": spacing,
    "quality": quality,
}


def main() -> None:
    """Write build/NAME.svg for every figure."""
    BUILD.mkdir(exist_ok=True)
    with plt.rc_context(STYLE):
        for name, draw in FIGURES.items():
            fig = draw()
            fig.savefig(BUILD / f"{name}.svg", metadata={"Date": None})
            plt.close(fig)


if __name__ == "__main__":
    main()
