"""Points on a line: a histogram in the colours of the clusters, and under it a rug of the points."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from modeseek.plotting.canvas import ink
from modeseek.plotting.palette import CHUNK, coded, colors_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BINS = (10, 120)  # fewest and most
RUG = 0.06  # height of the rug, in heights of the histogram
MARK = 1.1  # height at which centres are marked


def draw_histogram(ax: "Axes", x: NDArray[np.float64], labels: NDArray[np.integer[Any]]) -> float:
    """Stack the clusters in bins, largest below; return the height of the highest bar."""
    from matplotlib.collections import PolyCollection

    edges = bin_edges(x)
    names, codes = coded(labels)
    parts = []
    for start in range(0, len(x), CHUNK):
        s = slice(start, start + CHUNK)
        bins = np.clip(np.searchsorted(edges, x[s], side="right") - 1, 0, len(edges) - 2)
        parts.append(np.unique(bins * len(names) + codes(s), return_counts=True))
    keys, which = np.unique(np.concatenate([key for key, _ in parts]), return_inverse=True)
    found = np.bincount(which, np.concatenate([count for _, count in parts])).astype(np.int64)
    used, rank = np.unique(keys % len(names), return_inverse=True)
    order = np.argsort(-np.bincount(rank, found), kind="stable")
    counts = np.zeros((len(edges) - 1, len(used)), np.int64)
    counts[keys // len(names), np.argsort(order)[rank]] = found
    used = names[used]
    tops = counts.cumsum(axis=1)
    at, of = np.nonzero(counts)  # one bar for each cluster that a bin holds
    left, right, top = edges[at], edges[at + 1], tops[at, of]
    bottom = top - counts[at, of]
    corners = [(left, bottom), (right, bottom), (right, top), (left, top)]
    bars = np.stack([np.stack(corner, axis=-1) for corner in corners], axis=1)  # (m, 4, 2)
    colors = colors_of(used[order][of])
    polygons: Any = bars
    ax.add_collection(PolyCollection(polygons, facecolors=colors, edgecolors=colors, linewidths=0.4))
    return float(tops[:, -1].max())


def bin_edges(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return equal bins, about as many as there are points in one."""
    low, high = x.min(), x.max()
    if high - low <= np.spacing(max(abs(low), abs(high))) * BINS[1]:
        half = max(0.5, 1e-6 * abs(low))
        return np.linspace(low - half, high + half, BINS[0])
    return np.linspace(low, high, int(np.clip(np.sqrt(len(x)), *BINS)) + 1)


def draw_rug(ax: "Axes", x: NDArray[np.float64], labels: NDArray[np.integer[Any]], height: float) -> None:
    """Draw a tick below the histogram for every point."""
    faint = 0.35 if len(x) > 300 else 0.7
    colors: Any = np.column_stack([colors_of(labels), np.full(len(x), faint)])
    ax.vlines(x, -RUG * height, -0.25 * RUG * height, colors=colors, lw=0.8)


def mark_on_line(ax: "Axes", x: NDArray[np.float64], height: float) -> None:
    """Draw a dotted line up from every centre."""
    ax.vlines(x, 0, MARK * height, colors=ink(ax), lw=0.9, linestyles=(0, (1, 2)), alpha=0.7)
