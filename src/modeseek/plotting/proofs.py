"""`certificate`: how the label of each point is known to be that of exact mean shift."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from modeseek.certificate import Certificate
from modeseek.plotting import arrays, models
from modeseek.plotting.basins import draw_basins, plain_cells
from modeseek.plotting.canvas import axes_or_new, caption, ground, ink, need_matplotlib, share_scale
from modeseek.plotting.palette import colors_of, counted
from modeseek.plotting.raster import draw_image
from modeseek.plotting.scatter import marker_area

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FEW = 2000  # points up to which each has a large mark of its own


@dataclass(frozen=True)
class Status:
    """How points of one status are marked."""

    code: int
    name: str
    marker: str
    color: str | None  # None: the ink


STATUSES = (
    Status(1, "proven by a tube of their own", "o", None),
    Status(2, "climbed on the raw points", "s", "#d01c4b"),
    Status(3, "undecided", "^", "#e69f00"),
)


def certificate(
    X: Any,
    model: Any,
    *,
    columns: arrays.Columns = (0, 1),
    max_points: int = 50_000,
    ax: "Axes | None" = None,
    legend: bool = True,
) -> "Axes":
    """Draw how the label of each point is known: which are proven, by what, and which are not.

    Points whose whole cell is proven have the colour of their cluster. The others are marked: those that are proven by
    a tube of their own, those that climbed on the points themselves, and those that nothing is known of. In the plane
    every place is tinted by the mode it climbs to, more strongly where a whole cell is proven, and around each mode
    is its trap, the ball in which all paths end there.

    Parameters
    ----------
    X : array-like or frame of shape (n, d)
        The points of the fit, in the same order.
    model : MeanShift
        Fitted to X with ``fidelity="certified"`` or "exact".
    columns : int, str or two of them, default (0, 1)
        Columns to draw, by number or, in a frame, by name.
    max_points : int, default 50_000
        Most points drawn one by one; more points of one status become an image.
    ax : matplotlib.axes.Axes, optional
        Where to draw; by default, a new figure.
    legend : bool, default True
        Say what the marks mean, and how many points have each.

    Returns
    -------
    matplotlib.axes.Axes
        The Axes drawn on.

    Raises
    ------
    ValueError
        If the model has no certificate, X are not the points of its fit, or one column is chosen.
    TypeError
        If model is no MeanShift.
    ImportError
        If Matplotlib is not installed.

    See Also
    --------
    modeseek.MeanShift.audit : A check of the labels that uses nothing of the fit.

    Examples
    --------
    >>> import modeseek as ms
    >>> _, X = ms.textbook.make_data()
    >>> model = ms.MeanShift(bandwidth=2.5).fit(X)
    >>> ax = ms.plot.certificate(X, model)
    >>> ax.get_title()
    '1,500 points, 6 clusters: how each label is known'
    """
    need_matplotlib()
    found = _certificate(model)
    most = arrays.as_count("max_points", max_points)
    table = arrays.Table.of(X, columns)
    if len(table.columns) != 2:
        raise ValueError("a certificate is drawn over two columns: pass columns=(0, 1), or other two")
    labels, status = models.labels_of(model, table.n), found.status()
    model = models.nameless(model)
    x, y = (table.column(number) for number in table.columns)
    ax = axes_or_new(ax, (7.4, 6.6))
    share_scale(ax, [float(v.max()) - float(v.min()) for v in (x, y)], filled=True)
    planar = table.d == 2 and model._form.geometry.metric == "euclidean"
    if planar:
        draw_basins(ax, model, table)
    plain = _plain(found)
    _points(ax, x, y, labels, status == plain, most)
    for kind in STATUSES:
        if kind.code != plain:
            _marks(ax, x, y, labels, status == kind.code, kind, most)
    modes = np.asarray(found.modes, np.float64) if planar else models.modes_of(model)
    _modes(ax, model, modes[:, table.columns], found.trap_radii if planar else None)
    title = f"{counted(table.n, 'point')}, {counted(len(models.modes_of(model)), 'cluster')}: how each label is known"
    caption(ax, title, *table.axis_names())
    if legend:
        _legend(ax, found, plain)
    return ax


def _certificate(model: Any) -> Certificate:
    if not models.is_model(model):
        raise TypeError(f"model must be a MeanShift that is fitted, got {type(model).__name__}")
    if not models.is_fitted(model):
        raise ValueError("the model is not fitted: call fit(X) first")
    if model.certificate_ is None:
        raise ValueError(
            'the model has no certificate: fit it with fidelity="certified" (not "fast"), without blurring, to points'
        )
    return model.certificate_


def _plain(found: Certificate) -> int:
    """Return the status that needs no mark: that of whole cells, or of all if none is proven so."""
    counts = [found.interior, found.boundary, found.climbed, found.undecided]
    return 0 if found.interior else int(np.argmax(counts))


def _points(ax: "Axes", x: Any, y: Any, labels: Any, which: NDArray[np.bool_], most: int) -> None:
    """Draw points in the colours of their clusters."""
    n = int(which.sum())
    if n > most:
        draw_image(ax, x[which], y[which], labels[which])
    elif n:
        area = 0.35 * marker_area(n)
        ax.scatter(x[which], y[which], s=area, c=colors_of(labels[which]), linewidths=0, zorder=1, rasterized=n > 5000)


def _marks(ax: "Axes", x: Any, y: Any, labels: Any, which: NDArray[np.bool_], kind: Status, most: int) -> None:
    """Mark points of one status: the few with open marks, the many with dots."""
    n = int(which.sum())
    color = kind.color or ink(ax)
    if n > most:
        from matplotlib.colors import to_rgb

        zeros = np.zeros(n, np.int64)
        draw_image(ax, x[which], y[which], zeros, color=to_rgb(color), zorder=1.5)
    elif n and kind.marker != "o" and n <= FEW:
        edge: dict[str, Any] = {"facecolor": "none", "edgecolor": color, "lw": 1.2, "zorder": 4}
        ax.scatter(x[which], y[which], s=34, marker=kind.marker, **edge)
    elif n:
        ax.scatter(x[which], y[which], s=0.8 * marker_area(n), color=color, lw=0, zorder=2, rasterized=n > 5000)


def _modes(ax: "Axes", model: Any, modes: NDArray[np.float64], radii: Any) -> None:
    """Draw the modes, each with the circle or ellipse that is its trap."""
    from matplotlib.collections import PatchCollection
    from matplotlib.patches import Circle

    back, front = tuple(ground(ax)), ink(ax)
    if radii is not None and plain_cells(model):
        circles = [Circle((z[0], z[1]), r) for z, r in zip(modes, radii, strict=True) if r > 0]
        ax.add_collection(PatchCollection(circles, facecolor="none", edgecolor=back, lw=4.0, zorder=4.5))
        ax.add_collection(PatchCollection(circles, facecolor="none", edgecolor=front, lw=1.8, zorder=4.5))
    ax.scatter(modes[:, 0], modes[:, 1], marker="X", s=90, color=[back], edgecolor=front, lw=1.3, zorder=5)


def _legend(ax: "Axes", found: Certificate, plain: int) -> None:
    """Say what is drawn, and of how many points, below the plot."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    counts = [found.interior, found.boundary, found.climbed, found.undecided]
    names = ["proven for the whole cell", *(kind.name for kind in STATUSES)]
    entries: list[Any] = [Patch(fc="0.6", label=_share(names[plain], counts[plain], found.n))]
    for kind in STATUSES:
        n = counts[kind.code]
        if kind.code == plain or not n:
            continue
        color, few = kind.color or ink(ax), kind.marker != "o" and n <= FEW
        style: dict[str, Any] = (
            {"marker": kind.marker, "ms": 6, "mfc": "none", "mec": color} if few else {"marker": "o", "ms": 3}
        )
        entries.append(Line2D([], [], ls="", color=color, label=_share(kind.name, n, found.n), **style))
    trap = "mode, in its trap: all paths end there" if (np.asarray(found.trap_radii) > 0).any() else "mode"
    back, front = tuple(ground(ax)), ink(ax)
    entries.append(Line2D([], [], ls="", marker="X", ms=9, mfc=back, mec=front, label=trap))
    pad = 3.4 if not ax.get_xlabel() else 5.2  # in heights of a letter: below what names the axis
    below: dict[str, Any] = {"loc": "upper left", "bbox_to_anchor": (0.0, 0.0), "borderaxespad": pad, "frameon": False}
    ax.legend(handles=entries, ncols=2, fontsize="small", **below)


def _share(name: str, n: int, total: int) -> str:
    return f"{name}: {n / total:.1%}" if 100 * n >= total else f"{name}: {counted(n, 'point')}"
