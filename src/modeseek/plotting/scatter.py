"""`clusters`: points in the colours of their clusters, as a scatter plot, an image or a histogram."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from modeseek.plotting import arrays, models, strip
from modeseek.plotting.canvas import axes_or_new, caption, mark_centers, ring_centers, share_scale
from modeseek.plotting.palette import Census, colors_of, counted, draw_legend, name_clusters
from modeseek.plotting.raster import draw_image

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def clusters(
    X: Any,
    labels: Any = None,
    centers: Any = None,
    *,
    columns: arrays.Columns = (0, 1),
    true_centers: Any = None,
    ax: "Axes | None" = None,
    max_points: int = 20_000,
    legend: bool = True,
) -> "Axes":
    """Draw points in the colours of their clusters.

    Two columns are a scatter plot; more than `max_points` points become an image, each cell in the colour of
    the cluster that most of its points belong to and brighter by the logarithm of their number (ten million points
    take about as long as a few thousand markers, and next to no memory). One column is
    a histogram over a rug of the points. The colours can be told apart with any kind of colour vision and
    belong to the label: cluster 0 looks the same in every picture. From 24 clusters on they repeat.

    Parameters
    ----------
    X : array-like or frame of shape (n, d)
        Points; the names of a frame's columns become those of the axes. A flat array is one column.
    labels : array-like of shape (n,) or fitted model, optional
        Cluster of each point, as in ``MeanShift.labels_``; negative labels are noise, drawn in grey. Of a model that
        was fitted to X, ``labels_`` and ``cluster_centers_`` are taken.
    centers : array-like of shape (k, d), optional
        Marked with an X.
    columns : int, str or one or two of them, default (0, 1)
        Columns to draw, by number or, in a frame, by name.
    true_centers : array-like of shape (m, d), optional
        Where the clusters really are, if that is known; marked with a ring.
    ax : matplotlib.axes.Axes, optional
        Where to draw; by default, a new figure. Title and names of axes that it has already are kept.
    max_points : int, default 20_000
        Most points drawn one by one.
    legend : bool, default True
        Name the clusters (the twelve largest of many) with their numbers of points.

    Returns
    -------
    matplotlib.axes.Axes
        The Axes drawn on.

    Raises
    ------
    ValueError
        If X is empty or holds NaN where it is drawn, or labels, centres or columns do not fit it.
    TypeError
        If X is not numeric or labels are not integers.
    ImportError
        If Matplotlib is not installed.

    Examples
    --------
    >>> import modeseek as ms
    >>> true_centers, X = ms.textbook.make_data()
    >>> model = ms.MeanShift(bandwidth=2.5).fit(X)
    >>> ax = ms.plot.clusters(X, model, true_centers=true_centers)
    >>> ax.get_title()
    '6 clusters, 1,500 points'
    """
    table = arrays.Table.of(X, columns)
    labels, centers = models.labels_and_centers(labels, centers, table.n)
    known = np.broadcast_to(np.int64(0), table.n) if labels is None else arrays.as_labels(labels, table.n)
    found = _centers("centers", centers, table)
    true = _centers("true_centers", true_centers, table)
    points = [table.column(number) for number in table.columns]
    many = table.n > arrays.as_count("max_points", max_points)
    ax = axes_or_new(ax, (6.4, 5.2) if len(points) == 2 else (7.0, 3.6))
    if len(points) == 1:
        found, true = _draw_line(ax, np.asarray(points[0], np.float64), known, found, true, with_rug=not many)
    else:
        draw_plane(ax, points[0], points[1], known, many)
    census = None if labels is None else Census.of(known)
    if census is not None:
        name_clusters(ax, census)
    if len(found):
        mark_centers(ax, found)
    if len(true):
        ring_centers(ax, true)
    title = counted(table.n, "point") if census is None else census.title(table.n)
    caption(ax, title, *[*table.axis_names(), "points per bin"][:2])
    if legend:
        draw_legend(ax, None if census is None else "cluster (points)")
    return ax


def _centers(name: str, centers: Any, table: arrays.Table) -> NDArray[np.float64]:
    return arrays.as_centers(name, () if centers is None else centers, table.columns, table.d)


def draw_plane(ax: "Axes", x: NDArray[Any], y: NDArray[Any], labels: NDArray[np.integer[Any]], many: bool) -> None:
    """Draw two columns as points, or as an image when there are many."""
    share_scale(ax, [float(v.max()) - float(v.min()) for v in (x, y)])
    if many and ax.get_xscale() == ax.get_yscale() == "linear":
        draw_image(ax, x, y, labels)
        return
    rows = np.random.default_rng(0).permutation(len(x))  # no cluster lies on top because it came last
    for noise in (True, False):
        s = rows[(labels[rows] < 0) == noise]
        if len(s):
            size = marker_area(len(x)) * (0.6 if noise else 1.0)
            ax.scatter(x[s], y[s], s=size, c=colors_of(labels[s]), alpha=0.85, linewidths=0, rasterized=many)


def marker_area(n: int) -> float:
    """Return the area of a marker, in square points: smaller for more points."""
    return float(np.clip(16 * np.sqrt(300 / n), 1.5, 24.0))


def _draw_line(
    ax: "Axes",
    x: NDArray[np.float64],
    labels: NDArray[np.integer[Any]],
    found: NDArray[np.float64],
    true: NDArray[np.float64],
    with_rug: bool,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Draw one column; return where on the plane to mark its centres."""
    height = strip.draw_histogram(ax, x, labels)
    if with_rug:
        strip.draw_rug(ax, x, labels, height)
    strip.mark_on_line(ax, found[:, 0], height)
    ax.autoscale_view()
    ax.set_ylim(-1.4 * strip.RUG * height if with_rug else 0, (strip.MARK + 0.09) * height)
    top = strip.MARK * height
    return _at_height(found, top), _at_height(true, top)


def _at_height(x: NDArray[np.float64], height: float) -> NDArray[np.float64]:
    return np.column_stack([x[:, 0], np.full(len(x), height)])
