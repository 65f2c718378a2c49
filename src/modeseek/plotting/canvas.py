"""Where things are drawn: Matplotlib, imported late; Axes; ink that shows on any ground; marked centres."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LEAST_ALIKE = 3.0  # ratio of the spans of two axes up to which they share a scale


def need_matplotlib() -> None:
    """Import Matplotlib, or say how to get it."""
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        raise ImportError("modeseek.plot needs Matplotlib: pip install 'modeseek[plot]'") from None


def axes_or_new(ax: Any, figsize: tuple[float, float], projection: str = "rectilinear") -> "Axes":
    """Return `ax`, checked, or the Axes of a new pyplot figure when it is None."""
    need_matplotlib()
    from matplotlib.axes import Axes

    if ax is None:
        import matplotlib.pyplot as plt

        kinds = {} if projection == "rectilinear" else {"projection": projection}
        return plt.subplots(figsize=figsize, layout="constrained", subplot_kw=kinds)[1]
    if not isinstance(ax, Axes):
        raise TypeError(f"ax must be a matplotlib Axes, as plt.subplots() returns, got {type(ax).__name__}")
    if ax.name != projection:
        asked = "plain x and y axes"
        if projection != "rectilinear":
            asked = f"""three axes: plt.subplots(subplot_kw={{"projection": "{projection}"}})"""
        raise ValueError(f"ax must have {asked}, got a {ax.name!r} projection")
    return ax


def some_rows(n: int, most: int) -> NDArray[np.int64]:
    """Return all rows, or as many at random, in their order."""
    return np.arange(n) if n <= most else np.sort(np.random.default_rng(0).permutation(n)[:most])


def ground(ax: "Axes") -> tuple[float, float, float]:
    """Return the colour that `ax` is drawn on."""
    from matplotlib.colors import to_rgba

    red, green, blue, alpha = to_rgba(ax.get_facecolor())
    if alpha < 0.5:
        red, green, blue, _ = to_rgba(ax.get_figure(root=True).get_facecolor())  # type: ignore[union-attr]
    return red, green, blue


def is_dark(ax: "Axes") -> bool:
    """Whether the ground of `ax` is dark; where the Axes is see-through, the figure's ground counts."""
    from matplotlib.colors import to_rgba

    seen = max(to_rgba(ax.get_facecolor())[3], to_rgba(ax.get_figure(root=True).get_facecolor())[3])  # type: ignore[union-attr]
    red, green, blue = ground(ax)
    return seen >= 0.5 and 0.299 * red + 0.587 * green + 0.114 * blue < 0.5


def ink(ax: "Axes") -> str:
    """Return the colour that stands out from the ground of `ax`: black or white."""
    return "white" if is_dark(ax) else "black"


def share_scale(ax: "Axes", spans: ArrayLike, filled: bool = False) -> None:
    """Give both axes one scale if their data span alike, so that round clusters look round.

    The limits then grow to the room there is; of what fills its limits the room shrinks instead.
    """
    low, high = np.sort(np.asarray(spans, dtype=float))
    linear = ax.get_xscale() == ax.get_yscale() == "linear"
    if linear and low > 0 and high <= LEAST_ALIKE * low:
        groups = ax.get_shared_x_axes(), ax.get_shared_y_axes()
        shared = any(len(group.get_siblings(ax)) > 1 for group in groups)  # then the limits are not ours
        ax.set_aspect("equal", adjustable="box" if shared or filled else "datalim")


def caption(ax: "Axes", title: str, x: str, y: str) -> None:
    """Set the title and the names of the axes where the caller has set none."""
    if not ax.get_title():
        ax.set_title(title)
    if x and not ax.get_xlabel():
        ax.set_xlabel(x)
    if y and not ax.get_ylabel():
        ax.set_ylabel(y)


def mark_centers(ax: "Axes", xy: NDArray[Any], **line: Any) -> Any:
    """Draw an X at every centre, outlined so that it shows on any colour."""
    from matplotlib.patheffects import Normal, withStroke

    rim = ink(ax)
    core = "black" if rim == "white" else "white"
    style: dict[str, Any] = {
        "ls": "",
        "marker": "x",
        "ms": 7,
        "mew": 1.8,
        "color": core,
        "zorder": 5,
        "label": "centre",
    } | line
    width = style["mew"] + 2.4
    effects = [withStroke(linewidth=width, foreground=rim, capstyle="projecting"), Normal()]
    return ax.plot(xy[:, 0], xy[:, 1], path_effects=effects, **style)[0]


def ring_centers(ax: "Axes", xy: NDArray[Any], **line: Any) -> Any:
    """Draw a ring at every true centre: a centre that was found shows as an X within it."""
    style: dict[str, Any] = {
        "ls": "",
        "marker": "o",
        "ms": 14,
        "mew": 1.6,
        "mfc": "none",
        "zorder": 4.5,
    } | line
    return ax.plot(xy[:, 0], xy[:, 1], color=ink(ax), label="true centre", **style)[0]
