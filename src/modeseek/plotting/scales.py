"""`bandwidths`: clusters at every scale, and the tree of modes that lead into each other as the bandwidth grows."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from modeseek.plotting import arrays, models
from modeseek.plotting.canvas import axes_or_new, caption, ink, need_matplotlib
from modeseek.plotting.palette import COLORS, colors_of, counted
from modeseek.scale_space import BandwidthPath, bandwidth_path

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LIGHTEST = 0.005  # of all weight: modes of less are not drawn
HEAVY = 0.02  # of all weight: clusters that the column is chosen by
WIDEST = 9.0  # points: line of a mode that holds everything
MERGED = "#8a8a8a"  # modes at bandwidths above the one chosen, which hold several of its clusters

Floats = NDArray[np.float64]


def bandwidths(
    path: Any, *, model: Any = None, column: int | str | None = None, axes: Any = None
) -> "tuple[Axes, Axes]":
    """Draw how many clusters there are at every bandwidth, and how their modes lead into each other.

    Above: the number of clusters against the bandwidth, with the range it was chosen from, and in grey the number of
    modes that mean shift finds, chance or not. Below: each line is a mode, where it lies along one column; it is as
    wide as what it holds, and ends where it leads into another. What is one cluster at the bandwidth chosen has one
    colour: by falling weight, as clusters are numbered, or those of a model.

    Parameters
    ----------
    path : BandwidthPath, or array-like or frame of shape (n, d)
        What `bandwidth_path` returns; or points, which it is asked about.
    model : MeanShift, optional
        Fitted with the bandwidth chosen: its clusters have the same colours here and in ``clusters(X, model)``, also
        where several weigh the same.
    column : int or str, optional
        The column along which modes are drawn, by number or, where a frame was given, by name; by default that on
        which the clusters at the bandwidth chosen are told apart best.
    axes : pair of matplotlib.axes.Axes, optional
        Where to draw; by default, a new figure.

    Returns
    -------
    tuple of matplotlib.axes.Axes
        The Axes of the counts and of the tree.

    Raises
    ------
    ValueError
        If the points are empty or hold NaN, there is no such column, or axes are not two.
    TypeError
        If the points are not numeric, or model is not a MeanShift that is fitted.
    ImportError
        If Matplotlib is not installed.

    Examples
    --------
    >>> import modeseek as ms
    >>> _, X = ms.textbook.make_data()
    >>> counts, tree = ms.plot.bandwidths(ms.bandwidth_path(X))
    >>> counts.get_title()
    '6 clusters, h = 0.993 to 4.91'
    """
    need_matplotlib()
    if model is not None and not (models.is_model(model) and models.is_fitted(model)):
        raise TypeError(f"model must be a MeanShift that is fitted, got {model!r}")
    names: list[str] | None = None
    if not isinstance(path, BandwidthPath):
        table = arrays.Table.of(path)
        names, path = table.names, bandwidth_path(table.matrix())
    spread: Floats = path.scales[0].modes
    chosen = _clearest_column(path)
    if column is not None:
        (chosen,) = arrays.pick_columns([column], names, spread.shape[1])
    if axes is None:
        import matplotlib.pyplot as plt

        _, axes = plt.subplots(2, 1, figsize=(7, 6.4), layout="constrained", sharex=True, height_ratios=[1, 1.4])
    if np.size(axes) != 2:
        raise ValueError(f"axes must be two Axes, as plt.subplots(2) returns, got {np.size(axes)}")
    upper, lower = (axes_or_new(ax, (7, 3)) for ax in np.ravel(axes))
    _counts(upper, path)
    _tree(lower, path, chosen, model)
    along = names[chosen] if names else f"column {chosen}"
    caption(lower, "", "bandwidth", "modes" if spread.shape[1] == 1 and not names else f"modes, along {along}")
    return upper, lower


def _chosen_scale(path: BandwidthPath) -> int:
    """Return the number of the scale closest to the bandwidth chosen."""
    return int(np.argmin(np.abs(np.log(path.bandwidths / path.bandwidth))))


def _clearest_column(path: BandwidthPath) -> int:
    """Return the column on which the closest two clusters of the scale chosen lie farthest apart, for their spread."""
    scale = path.scales[_chosen_scale(path)]
    modes = np.sort(scale.modes[scale.masses >= HEAVY * path.total_weight], axis=0)
    if len(modes) < 2:
        return int(np.argmax(path.scales[0].modes.std(axis=0)))
    apart, span = np.diff(modes, axis=0).min(axis=0), np.ptp(modes, axis=0)
    return int(np.argmax(apart / np.where(span > 0, span, 1.0)))


def _counts(ax: "Axes", path: BandwidthPath) -> None:
    from matplotlib.ticker import MaxNLocator

    h = path.bandwidths
    modes = np.minimum(path.n_modes, 3 * path.n_clusters.max())
    ax.plot(h, modes, drawstyle="steps-mid", color="0.6", lw=1.2, label="modes of 2 % and more")
    ax.plot(h, path.n_clusters, drawstyle="steps-mid", color=COLORS[0], lw=2.2, label="more than chance")
    title = "At no bandwidth do clusters last"
    if path.chosen is not None:
        low, high = path.chosen.low, path.chosen.high
        ax.axvspan(low, high, color=COLORS[0], alpha=0.12, lw=0)
        clusters = counted(path.chosen.n_clusters, "cluster")
        title = f"{clusters}, h = {low:.3g} to {high:.3g}"
    _log_axis(ax, path)
    ax.set_ylim(0.0, float(modes.max()) + 1.0)
    ax.yaxis.set_major_locator(MaxNLocator(integer=True))
    _mark_chosen(ax, path, f"chosen: h = {path.bandwidth:.3g}")
    caption(ax, title, "", "clusters")
    ax.legend(framealpha=0.8, edgecolor="none", fontsize="small")


def _tree(ax: "Axes", path: BandwidthPath, axis: int, model: Any) -> None:
    """Draw the modes of every scale along a column, each joined to the one of the next scale that it leads to."""
    from matplotlib.collections import LineCollection

    ends, widths, colors = [], [], []
    owners = _owners(path, model)
    for here, there, owner in zip(path.scales[:-1], path.scales[1:], owners, strict=False):
        leads_to = here.leads_to
        assert leads_to is not None
        for i in np.flatnonzero(here.masses >= LIGHTEST * path.total_weight):
            j = int(leads_to[i])
            ends.append([(here.bandwidth, here.modes[i, axis]), (there.bandwidth, there.modes[j, axis])])
            widths.append(max(0.8, WIDEST * np.sqrt(here.masses[i] / path.total_weight)))
            colors.append(MERGED if owner is None else tuple(colors_of(owner[i : i + 1])[0]))
    order = np.argsort(widths)[::-1]  # thin lines lie on wide ones
    lines: Any = [ends[i] for i in order]
    ax.add_collection(
        LineCollection(
            lines,
            linewidths=[widths[i] for i in order],
            colors=[colors[i] for i in order],
            capstyle="round",
        )
    )
    ax.autoscale_view()
    _log_axis(ax, path)
    _mark_chosen(ax, path)


def _owners(path: BandwidthPath, model: Any) -> list[NDArray[np.int64] | None]:
    """Return, for every scale up to the bandwidth chosen, the cluster there that each mode leads to; None beyond."""
    at = _chosen_scale(path)
    rank = np.argsort(np.argsort(-path.scales[at].masses, kind="stable"), kind="stable")
    if model is not None:
        rank = arrays.as_array(models.fitted(model, path.scales[at].modes).predict(path.scales[at].modes))
    owners: list[NDArray[np.int64] | None] = [None] * len(path.scales)
    owners[at] = rank.astype(np.int64)
    for i in range(at - 1, -1, -1):
        leads_to, rank = path.scales[i].leads_to, owners[i + 1]  # type: ignore[assignment]
        assert leads_to is not None
        owners[i] = rank[leads_to]
    return owners


def _mark_chosen(ax: "Axes", path: BandwidthPath, label: str = "_chosen") -> None:
    ax.axvline(path.bandwidth, label=label, color=ink(ax), lw=1.2, ls=(0, (4, 3)), zorder=4)


def _log_axis(ax: "Axes", path: BandwidthPath) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    ax.set(xscale="log", xlim=(path.bandwidths[0], path.bandwidths[-1]))
    ax.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda h, _: f"{h:g}"))
    ax.xaxis.set_minor_formatter(NullFormatter())
