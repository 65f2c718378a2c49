"""`paths`: the ways that points take to their modes."""

from typing import TYPE_CHECKING, Any

import numpy as np

from modeseek.plotting import arrays, models
from modeseek.plotting.canvas import axes_or_new, caption, mark_centers, need_matplotlib, share_scale, some_rows
from modeseek.plotting.hills import draw_image
from modeseek.plotting.journey import way
from modeseek.plotting.mesh import has_density, mesh_of
from modeseek.plotting.palette import Census, colors_of, counted, draw_legend, name_clusters

if TYPE_CHECKING:
    from matplotlib.axes import Axes

GROUND = 0.55  # opacity of the density below the paths


def paths(
    X: Any,
    bandwidth: Any = None,
    *,
    n_paths: int = 200,
    starts: Any = None,
    density: bool = True,
    columns: arrays.Columns = (0, 1),
    ax: "Axes | None" = None,
    legend: bool = True,
) -> "Axes":
    """Draw the ways of some points to their modes, in the colours of their clusters, over the density they climb.

    A step of mean shift moves a point to the weighted mean of its surroundings; the positions are those of
    `MeanShift.path`. One column is drawn against the number of the step.

    Parameters
    ----------
    X : array-like or frame of shape (n, d)
        Points. All columns climb, one or two are drawn.
    bandwidth : float, what else ``MeanShift(bandwidth)`` takes, or a MeanShift, optional
        h in the units of X, by default chosen from the data; or a model that was fitted to X.
    n_paths : int, default 200
        Most points that climb; of more, as many at random.
    starts : array-like of shape (m, d), optional
        Where to start instead: any places, in the columns of X.
    density : bool, default True
        Draw the density below, where X has two columns and the model a density.
    columns : int, str or one or two of them, default (0, 1)
        Columns to draw, by number or, in a frame, by name.
    ax : matplotlib.axes.Axes, optional
        Where to draw; by default, a new figure.
    legend : bool, default True
        Name the clusters with their numbers of paths.

    Returns
    -------
    matplotlib.axes.Axes
        The Axes drawn on.

    Raises
    ------
    ValueError
        If X or `starts` are empty or hold NaN, or do not fit each other or the model.
    ImportError
        If Matplotlib is not installed.

    Examples
    --------
    >>> import modeseek as ms
    >>> _, X = ms.textbook.make_data()
    >>> ax = ms.plot.paths(X, bandwidth=2.5, n_paths=100)
    >>> ax.get_title()
    '100 paths to 6 modes, bandwidth 2.5'
    """
    need_matplotlib()
    from matplotlib.collections import LineCollection

    table = arrays.Table.of(X, columns)
    points = table.matrix()
    begin = points[some_rows(table.n, arrays.as_count("n_paths", n_paths))]
    if starts is not None:
        begin = arrays.as_centers("starts", starts, range(table.d), table.d)
        if not len(begin):
            raise ValueError("starts is empty: there is nothing to draw")
    model = models.fitted(bandwidth, points)
    labels = arrays.as_array(model.predict(begin))
    steps = way(model, begin)[:, :, table.columns]  # (n_steps + 1, m, 1 or 2)
    modes = models.modes_of(model)[:, table.columns]
    line = len(table.columns) == 1
    if line:
        count = np.broadcast_to(np.arange(len(steps))[:, None, None], steps.shape)
        steps = np.concatenate([steps, count], axis=2)
        modes = np.column_stack([modes, np.full(len(modes), len(steps) - 1)])
    ax = axes_or_new(ax, (7.0, 3.6) if line else (6.4, 5.2))
    if not line:
        share_scale(ax, np.ptp(steps, axis=(0, 1)))
        if density and table.d == 2 and table.columns == [0, 1] and has_density(model):
            mesh = mesh_of(model, np.array([steps.min(axis=(0, 1)), steps.max(axis=(0, 1))]))
            draw_image(ax, mesh, None, False, alpha=GROUND)
    colors: Any = colors_of(labels)
    ways: Any = np.moveaxis(steps, 0, 1)
    ax.add_collection(LineCollection(ways, colors=colors, linewidths=0.9, alpha=0.9, zorder=2, label="_paths"))
    ax.scatter(steps[0, :, 0], steps[0, :, 1], s=9, c=colors, linewidths=0, zorder=2.5)
    ax.autoscale_view()
    if legend:
        name_clusters(ax, Census.of(labels))
    mark_centers(ax, modes, label="mode")
    if legend:
        draw_legend(ax, "cluster (paths)")
    title = f"{counted(len(begin), 'path')} to {counted(len(modes), 'mode')}, {models.heading(model)}"
    caption(ax, title, *[*table.axis_names(), "step"][:2])
    return ax
