"""Colours of clusters, their names in a legend, and how many points they have.

Eight hues that readers with protanopia, deuteranopia or tritanopia can tell apart, each as it is, darker and
lighter. Cluster i always has colour i, so the same cluster looks the same in two pictures; beyond 24 clusters
colours repeat, and since clusters are numbered by decreasing weight, it is the small ones that share.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes

HUES = ("#0072b2", "#e76300", "#009e73", "#aa3377", "#e6ab02", "#66ccee", "#7a21dd", "#e377c2")
NOISE = "#949494"
NAMED = 12  # clusters named in a legend
CHUNK = 1 << 17  # labels counted at a time


def _rgb(color: str) -> list[float]:
    return [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]


_PLAIN = np.array([_rgb(hue) for hue in HUES])
COLORS: NDArray[np.float64] = np.concatenate([_PLAIN, 0.66 * _PLAIN, 0.55 * _PLAIN + 0.45])  # (24, 3)


def colors_of(labels: NDArray[np.integer[Any]]) -> NDArray[np.float64]:
    """Return the colour of each label, (n, 3); negative labels are noise and grey."""
    colors = COLORS[labels % len(COLORS)]
    colors[labels < 0] = _rgb(NOISE)
    return colors


def fading(ax: "Axes") -> Any:
    """Return a map of blues from the ground of `ax`, where there is nothing, to what stands out from it most."""
    from matplotlib.colors import LinearSegmentedColormap

    from modeseek.plotting.canvas import ground, is_dark

    stops = (
        ("#123a63", "#2a7ab9", "#7dbfe8", "#e9f5fd") if is_dark(ax) else ("#cfe3f3", "#6baed6", "#2171b5", "#08306b")
    )
    colors: Any = [ground(ax), *stops]
    return LinearSegmentedColormap.from_list("fading", colors)


def coded(
    labels: NDArray[np.integer[Any]],
) -> tuple[NDArray[np.int64], Callable[[slice], NDArray[np.int64]]]:
    """Return names, ascending, and a function: for some points, the places of their labels among the names.

    Names are all integers from the least label to the largest, or only those in use where these are far apart.
    """
    low, high = int(labels.min()), int(labels.max())
    if high - low < max(len(labels) // 4, CHUNK):
        return np.arange(low, high + 1), lambda s: labels[s].astype(np.int64) - low
    names, codes = np.unique(labels, return_inverse=True)
    return names.astype(np.int64), lambda s: codes[s].astype(np.int64)


@dataclass(frozen=True)
class Census:
    """How many points each cluster has."""

    clusters: NDArray[np.int64]  # labels in use, ascending, without noise
    counts: NDArray[np.int64]  # points of each
    noise: int  # points without a cluster

    @classmethod
    def of(cls, labels: NDArray[np.integer[Any]]) -> "Census":
        """Count the points of each label."""
        names, codes = coded(labels)
        counts = np.zeros(len(names), np.int64)
        for start in range(0, len(labels), CHUNK):
            counts += np.bincount(codes(slice(start, start + CHUNK)), minlength=len(names))
        kept = (names >= 0) & (counts > 0)
        return cls(names[kept], counts[kept], int(counts[names < 0].sum()))

    def title(self, n: int) -> str:
        """Say how many clusters and points there are."""
        noise = f" ({self.noise:,} noise)" if self.noise else ""
        return f"{counted(len(self.clusters), 'cluster')}, {counted(n, 'point')}{noise}"

    def legend_entries(self) -> list[tuple[NDArray[np.float64], str]]:
        """Return colours and names of the largest clusters."""
        largest = np.sort(np.argsort(-self.counts, kind="stable")[:NAMED])
        names = [f"{c} ({m:,})" for c, m in zip(self.clusters[largest], self.counts[largest], strict=True)]
        return list(zip(colors_of(self.clusters[largest]), names, strict=True))


def counted(number: int, thing: str) -> str:
    """Return a number and what it counts: "1 point", "1,500 points"."""
    return f"{number:,} {thing}{'' if number == 1 else 's'}"


def name_clusters(ax: "Axes", census: Census) -> None:
    """Give `ax` one empty artist for each name in a legend, so that ``ax.legend()`` knows the clusters."""
    for color, name in census.legend_entries():
        ax.scatter([], [], s=30, color=[color], label=name)
    if len(census.clusters) > NAMED:
        ax.scatter([], [], s=0, label=f"and {len(census.clusters) - NAMED:,} more")
    if census.noise:
        ax.scatter([], [], s=30, color=NOISE, label=f"noise ({census.noise:,})")


def draw_legend(ax: "Axes", title: str | None) -> None:
    """Draw the legend beside the plot where the figure's layout makes room for it, else inside."""
    handles, names = ax.get_legend_handles_labels()
    if not handles:
        return
    figure: Any = ax.get_figure(root=True)
    if figure.get_layout_engine() is None:
        ax.legend(handles, names, title=title, fontsize="small", framealpha=0.9)
        return
    beside: dict[str, Any] = {
        "loc": "upper left",
        "bbox_to_anchor": (1.01, 1.0),
        "borderaxespad": 0.0,
        "frameon": False,
    }
    ax.legend(handles, names, title=title, fontsize="small", alignment="left", **beside)
