"""`density`: the hills that points climb, as a curve, an image, contours or a surface, with modes and borders."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from modeseek.plotting import arrays, models
from modeseek.plotting.canvas import axes_or_new, caption, ground, ink, mark_centers, need_matplotlib, share_scale
from modeseek.plotting.mesh import Mesh, check_density, mesh_of
from modeseek.plotting.palette import colors_of, counted, fading
from modeseek.plotting.surface import draw_surface
from modeseek.sketch import DensitySketch

if TYPE_CHECKING:
    from matplotlib.axes import Axes

KINDS = ("image", "contour", "surface")
SHARES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)
LEAST_NAMED = 0.25  # shares whose contours have room for a name
SURFACE = 160  # nodes of a surface along its longer side

Floats = NDArray[np.float64]


def density(
    X: Any,
    bandwidth: Any = None,
    *,
    kind: str = "image",
    boundaries: bool = True,
    modes: bool = True,
    shares: Any = SHARES,
    columns: arrays.Columns | None = None,
    n_nodes: int | None = None,
    cmap: Any = None,
    ax: "Axes | None" = None,
    legend: bool = True,
) -> "Axes":
    r"""Draw the kernel density whose modes are the clusters, over one or two columns.

    ::

        f(x) = sum_i w_i exp(-|x - x_i|^2 / 2h^2) / (sum_i w_i (2 pi h^2)^(d/2))

    as `MeanShift.score_samples` has it. Two columns are an image, contours, or a surface in space; one column is a
    curve in the colours of the clusters. Borders are where `MeanShift.predict` changes: what lies on one side climbs
    to one mode.

    Parameters
    ----------
    X : array-like or frame of shape (n, d), fitted MeanShift, or DensitySketch
        Points; or a model, or a sketch, which have a density already.
    bandwidth : float, what else ``MeanShift(bandwidth)`` takes, or a MeanShift, optional
        With points: h in the units of X, by default chosen from the data; or a model that was fitted to them.
    kind : {"image", "contour", "surface"}, default "image"
        "contour": lines around the shares of all mass that lie where the density is higher; they can be drawn over
        ``clusters(X, model, ax=ax)``. "surface": in space, in the colours of the clusters with ``boundaries``.
    boundaries : bool, default True
        Draw where one cluster ends and the next begins.
    modes : bool, default True
        Mark the modes with an X.
    shares : sequence of float, default (0.1, 0.2, ..., 0.9, 0.95, 0.99)
        Of ``kind="contour"``: shares of all mass, 0 to 1, that the lines enclose.
    columns : int, str or one or two of them, optional
        Columns of X to take, by number or, in a frame, by name: the density is that of these columns alone. Needed
        where X has more than two.
    n_nodes : int, optional
        Nodes of the mesh along its longer side; by default 240 in the plane (160 of a surface), 1000 on a line.
    cmap : str or Colormap, optional
        Colours of the density; by default blues that fade into the ground.
    ax : matplotlib.axes.Axes, optional
        Where to draw; by default, a new figure. A surface needs ``projection="3d"``.
    legend : bool, default True
        Draw the colour bar of an image or a surface, or write its share on every contour.

    Returns
    -------
    matplotlib.axes.Axes
        The Axes drawn on.

    Raises
    ------
    ValueError
        If X is empty, holds NaN, or has more than two columns and none are chosen; or if the model has no such
        density (another kernel, or directions).
    ImportError
        If Matplotlib is not installed.

    See Also
    --------
    modeseek.MeanShift.score_samples : The log density at any point.

    Examples
    --------
    >>> import modeseek as ms
    >>> _, X = ms.textbook.make_data()
    >>> model = ms.MeanShift(bandwidth=2.5).fit(X)
    >>> ax = ms.plot.density(model, kind="contour")
    >>> ax.get_title()
    'Density, bandwidth 2.5: 6 modes'
    """
    need_matplotlib()
    if kind not in KINDS:
        raise ValueError(f"kind must be one of {', '.join(map(repr, KINDS))}, got {kind!r}")
    chosen = _shares(shares)
    nodes = None if n_nodes is None else arrays.as_count("n_nodes", n_nodes, 2)
    model, around, names = source(X, bandwidth, columns)
    check_density(model)
    if model.n_features_in_ == 1 and kind != "image":
        raise ValueError(f"the density of one column is a curve: leave out kind={kind!r}, or choose two columns")
    surface = kind == "surface"
    mesh = mesh_of(model, around, SURFACE if surface and nodes is None else nodes)
    if model.n_features_in_ == 1:
        ax = axes_or_new(ax, (7.0, 3.6))
        draw_curve(ax, mesh, boundaries, modes)
    elif surface:
        ax = axes_or_new(ax, (7.6, 6.0), "3d")
        draw_surface(ax, mesh, cmap, boundaries, modes, legend)
    else:
        alone = ax is None or not ax.has_data()
        ax = axes_or_new(ax, (6.4, 5.2))
        if alone:  # over another picture its limits stay
            share_scale(ax, [np.ptp(axis) for axis in mesh.axes], filled=True)
            ax.set(xlim=mesh.extent[:2], ylim=mesh.extent[2:])
        data = ax.dataLim.frozen()
        if kind == "image":
            draw_image(ax, mesh, cmap, legend)
        else:
            draw_contours(ax, mesh, chosen, cmap, legend)
        if boundaries:
            draw_borders(ax, mesh)
        if modes:
            mark_centers(ax, models.modes_of(model), label="mode")
        if not alone:
            ax.dataLim.set(data)
            ax.autoscale_view()
    k = len(models.modes_of(model))
    title = f"Density, {models.heading(model)}: {counted(k, 'mode')}"
    caption(ax, title, *[*names, "density"][:2])
    return ax


def source(X: Any, bandwidth: Any, columns: arrays.Columns | None) -> tuple[Any, Floats | None, list[str]]:
    """Return a fitted model of one or two columns, the bounds of the points, if there are any, and names of axes."""
    from modeseek.estimators import MeanShift

    if isinstance(X, DensitySketch) or models.is_model(X):
        if bandwidth is not None or columns is not None:
            raise ValueError(
                f"a {type(X).__name__} has its bandwidth and columns: leave bandwidth and columns out, or pass points"
            )
        model = MeanShift().fit(X) if isinstance(X, DensitySketch) else models.fitted(X, None)
        d = model.n_features_in_
        if d > 2:
            raise ValueError(
                f"the {type(X).__name__} has {d} columns, and a density can be drawn of one or two: pass points and "
                "choose, as in density(X, bandwidth, columns=(0, 1))"
            )
        return model, None, [str(name) for name in getattr(X, "feature_names_in_", [""] * d)]
    table = arrays.Table.of(X, (0, 1) if columns is None else columns)
    if columns is None and table.d > 2:
        called = f" ({', '.join(table.names[:6])}{', ...' * (table.d > 6)})" if table.names else ""
        example = tuple(table.names[:2]) if table.names else (0, 1)
        raise ValueError(
            f"X has {table.d} columns{called}, and a density can be drawn of one or two: choose them, as in "
            f"columns={example}; it is then that of these columns alone"
        )
    points = table.matrix() if table.columns == list(range(table.d)) else table.drawn()
    model = models.fitted(bandwidth, points)
    return model, np.array([points.min(axis=0), points.max(axis=0)]), table.axis_names()


def _shares(shares: Any) -> Floats:
    chosen = np.unique(np.asarray(shares, np.float64))
    if not chosen.size or not ((chosen > 0) & (chosen < 1)).all():
        raise ValueError(f"shares must lie between 0 and 1, got {shares!r}")
    return chosen


def draw_image(ax: "Axes", mesh: Mesh, cmap: Any, legend: bool, **image: Any) -> None:
    """Draw the density as an image, with its colour bar."""
    drawn = ax.imshow(
        mesh.density,
        extent=mesh.extent,
        origin="lower",
        aspect=ax.get_aspect(),
        cmap=fading(ax) if cmap is None else cmap,
        **{"interpolation": "bilinear", "vmin": 0.0, "zorder": 0, **image},
    )
    if legend:
        figure: Any = ax.get_figure(root=True)
        figure.colorbar(drawn, ax=ax, label="density", pad=0.02)


def draw_contours(ax: "Axes", mesh: Mesh, shares: Floats, cmap: Any, legend: bool) -> None:
    """Draw lines around the shares of all mass that lie where the density is higher."""
    from matplotlib import colormaps
    from matplotlib.patheffects import withStroke

    levels, first = np.unique(mesh.levels(shares), return_index=True)
    chosen = fading(ax) if cmap is None else colormaps.get_cmap(cmap)
    colors = chosen(np.linspace(0.45, 1.0, len(levels)))
    drawn = ax.contour(*mesh.axes, mesh.density, levels=levels, colors=colors, linewidths=1.0, zorder=3)
    if legend:
        shown = {level: float(shares[i]) for level, i in zip(levels, first, strict=True)}
        named = [level for level in levels[:: 2 if len(levels) > 6 else 1] if shown[level] >= LEAST_NAMED]
        texts = {level: f"{share:.0%}" for level, share in shown.items()}
        for text in ax.clabel(drawn, named, fmt=texts, fontsize="x-small", colors=ink(ax)) or ():
            text.set_path_effects([withStroke(linewidth=2.2, foreground=ground(ax))])


def draw_borders(ax: "Axes", mesh: Mesh) -> None:
    """Draw where one cluster ends and the next begins."""
    from matplotlib.collections import LineCollection

    segments: Any = mesh.borders()
    lines = LineCollection(segments, colors=ink(ax), linewidths=1.1, zorder=2.5, capstyle="round", label="border")
    ax.add_collection(lines, autolim=False)


def draw_curve(ax: "Axes", mesh: Mesh, boundaries: bool, modes: bool) -> None:
    """Draw the density of one column as a curve, each cluster's part in its colour."""
    x, f = mesh.axes[0], mesh.density
    cuts = mesh.borders()
    heights = np.exp(mesh.model.score_samples(cuts[:, None])) if len(cuts) else cuts
    ends = np.concatenate([x[:1], cuts, x[-1:]])
    at, of = np.append(x, cuts), np.append(f, heights)
    order = np.argsort(at, kind="stable")
    at, of = at[order], of[order]
    inside = 0.5 * (ends[1:] + ends[:-1])
    for left, right, label in zip(ends[:-1], ends[1:], mesh.label(inside[:, None]), strict=True):
        part = (at >= left) & (at <= right)
        color = colors_of(np.array([label]))[0]
        ax.fill_between(at[part], of[part], color=color, alpha=0.3, linewidth=0)
        ax.plot(at[part], of[part], color=color, lw=1.8, solid_capstyle="butt")
    if boundaries:
        ax.vlines(cuts, 0, heights, colors=ink(ax), lw=1.0, linestyles=(0, (1, 2)))
    if modes:
        tops = models.modes_of(mesh.model)
        mark_centers(ax, np.column_stack([tops[:, 0], np.exp(mesh.model.score_samples(tops))]), label="mode")
    ax.set_xlim(x[0], x[-1])
    ax.set_ylim(bottom=0)
