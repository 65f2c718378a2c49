"""A density as a surface in space, lit from the side, its hills in the colours of their clusters."""

from typing import Any

import numpy as np

from modeseek.plotting import models
from modeseek.plotting.mesh import Mesh
from modeseek.plotting.palette import colors_of

VIEW = (40, -62)  # degrees above the plane, and around it
LIT = 0.62  # how strongly a surface is shaded by its slope


def draw_surface(ax: Any, mesh: Mesh, cmap: Any, boundaries: bool, modes: bool, legend: bool) -> None:
    """Draw the density as a surface in space, lit from the side."""
    from matplotlib import colormaps
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import LightSource, Normalize

    f, top = mesh.density, float(mesh.density.max())
    chosen = colormaps.get_cmap("viridis" if cmap is None else cmap)
    norm = Normalize(0.0, top)
    by_cluster = boundaries and len(models.modes_of(mesh.model)) > 1
    colors = colors_of(mesh.labels.ravel()).reshape(*f.shape, 3) if by_cluster else chosen(norm(f))[..., :3]
    if by_cluster:  # the plain around the hills is paler than they are
        colors = 1.0 - (0.3 + 0.7 * np.sqrt(f / top))[..., None] * (1.0 - colors)
    light = LightSource(azdeg=300, altdeg=55)
    span = max(np.ptp(axis) for axis in mesh.axes)
    step = span / (max(f.shape) - 1)
    lit = light.shade_rgb(colors, f * (0.5 * span / top), fraction=LIT, blend_mode="soft", dx=step, dy=step)
    ax.computed_zorder = False  # what marks modes is in front
    ax.plot_surface(
        *np.meshgrid(*mesh.axes), f, facecolors=lit, rcount=f.shape[0], ccount=f.shape[1], lw=0, antialiased=False,
        shade=False,
    )  # fmt: skip
    if modes:
        tops = models.modes_of(mesh.model)
        heights = np.exp(mesh.model.score_samples(tops)) + 0.02 * top
        ax.plot(*tops.T, heights, ls="", marker="X", ms=8, mfc="white", mec="black", mew=0.9, label="mode", zorder=9)
    ax.view_init(*VIEW)
    wide = np.array([np.ptp(axis) for axis in mesh.axes])
    wide = wide / wide.max() if wide.max() <= 3 * wide.min() else np.ones(2)
    ax.set_box_aspect((*wide, 0.5), zoom=1.05)
    ax.set_zlim(0.0, top * 1.05)
    ax.set_zlabel("density", labelpad=12)
    ax.zaxis.set_major_formatter(lambda z, _: f"{z:g}")
    if legend and not by_cluster:
        ax.get_figure(root=True).colorbar(ScalarMappable(norm, chosen), ax=ax, label="density", shrink=0.6, pad=0.1)
