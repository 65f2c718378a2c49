"""`bandwidths`: clusters at every scale, and the tree of modes that lead into each other as the bandwidth grows."""

from typing import TYPE_CHECKING, Any

import numpy as np

from modeseek.plotting.canvas import caption, ink, need_matplotlib
from modeseek.plotting.palette import COLORS
from modeseek.scale_space import BandwidthPath

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LIGHTEST = 0.005  # of all weight: modes of less are not drawn
WIDEST = 9.0  # points: line of a mode that holds everything


def bandwidths(path: BandwidthPath, *, axes: Any = None) -> "tuple[Axes, Axes]":
    """Draw how many clusters there are at every bandwidth, and how their modes lead into each other.

    Above: the number of clusters against the bandwidth, with the range it was chosen from, and in grey the number of
    modes that mean shift finds, chance or not. Below: each line is a mode, where it lies along the axis on which modes
    lie farthest apart; it is as wide as what it holds, and ends where it leads into another.

    Parameters
    ----------
    path : BandwidthPath
        What `bandwidth_path` returns.
    axes : pair of matplotlib.axes.Axes, optional
        Where to draw; by default, a new figure.

    Returns
    -------
    tuple of matplotlib.axes.Axes
        The Axes of the counts and of the tree.

    Examples
    --------
    >>> import modeseek as ms
    >>> _, X = ms.textbook.make_data()
    >>> counts, tree = ms.plot.bandwidths(ms.bandwidth_path(X))
    >>> counts.get_xscale()
    'log'
    """
    if not isinstance(path, BandwidthPath):
        raise TypeError(f"path must be a BandwidthPath, as ms.bandwidth_path(X) returns, got {type(path).__name__}")
    need_matplotlib()
    if axes is None:
        import matplotlib.pyplot as plt

        _, axes = plt.subplots(2, 1, figsize=(7, 6.4), layout="constrained", sharex=True, height_ratios=[1, 1.4])
    upper, lower = axes
    _counts(upper, path)
    _tree(lower, path)
    return upper, lower


def _counts(ax: "Axes", path: BandwidthPath) -> None:
    from matplotlib.ticker import MaxNLocator

    h = path.bandwidths
    modes = np.minimum(path.n_modes, 3 * path.n_clusters.max())
    ax.plot(h, modes, drawstyle="steps-mid", color="0.6", lw=1.2, label="modes of 2 % and more")
    ax.plot(h, path.n_clusters, drawstyle="steps-mid", color=COLORS[0], lw=2.2, label="more than chance")
    if path.chosen is not None:
        count = path.chosen.n_clusters
        ax.axvspan(path.chosen.low, path.chosen.high, color=COLORS[0], alpha=0.12, lw=0)
        label = f"{count} cluster{'s' * (count != 1)}, for a factor of {path.chosen.high / path.chosen.low:.2g}"
        ax.annotate(label, (np.sqrt(path.chosen.low * path.chosen.high), 1.02), xycoords=("data", "axes fraction"),
                    ha="center", va="bottom", fontsize="small", color=ink(ax))  # fmt: skip
    _log_axis(ax, path)
    ax.set_ylim(0.0, float(modes.max()) + 1.0)
    ax.yaxis.set_major_locator(MaxNLocator(integer=True))
    ax.axvline(path.bandwidth, color=ink(ax), lw=1.2, ls=(0, (4, 3)))
    caption(ax, "", "", "clusters")
    ax.legend(frameon=False, fontsize="small")


def _tree(ax: "Axes", path: BandwidthPath) -> None:
    spread = path.scales[0].modes
    axis = int(np.argmax(spread.std(axis=0)))
    for here, there in zip(path.scales[:-1], path.scales[1:], strict=True):
        leads_to = here.leads_to
        assert leads_to is not None
        for i in np.flatnonzero(here.masses >= LIGHTEST * path.total_weight):
            j = int(leads_to[i])
            width = max(0.6, WIDEST * np.sqrt(here.masses[i] / path.total_weight))
            ends = [here.bandwidth, there.bandwidth], [here.modes[i, axis], there.modes[j, axis]]
            ax.plot(*ends, color=COLORS[0], lw=width, solid_capstyle="butt")
    _log_axis(ax, path)
    ax.axvline(path.bandwidth, color=ink(ax), lw=1.2, ls=(0, (4, 3)))
    ax.annotate(f"{path.bandwidth:.3g}", (path.bandwidth, 0.0), xycoords=("data", "axes fraction"),
                xytext=(4, 4), textcoords="offset points", fontsize="small", color=ink(ax))  # fmt: skip
    caption(ax, "", "bandwidth", "modes" if spread.shape[1] == 1 else f"modes, along column {axis}")


def _log_axis(ax: "Axes", path: BandwidthPath) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    ax.set(xscale="log", xlim=(path.bandwidths[0], path.bandwidths[-1]))
    ax.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda h, _: f"{h:g}"))
    ax.xaxis.set_minor_formatter(NullFormatter())
