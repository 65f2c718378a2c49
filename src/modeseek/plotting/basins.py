"""The basins of a model in the plane: which mode every place climbs to, and which cells are proven as a whole."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from modeseek.geometry import Plain
from modeseek.plotting import arrays, models
from modeseek.plotting.canvas import ground, is_dark
from modeseek.plotting.mesh import BEYOND
from modeseek.plotting.palette import colors_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PALE, STRONG = 0.16, 0.5  # shares of a cluster's colour: where its basin is, and where whole cells are proven
ON_DARK = 0.15  # more of it on a dark ground
NODES = 360  # along the longer side


def plain_cells(model: Any) -> bool:
    """Whether the cells and traps of a model are squares and circles in the units of X."""
    return isinstance(model._form.geometry, Plain)


def draw_basins(ax: "Axes", model: Any, table: arrays.Table) -> None:
    """Tint every place by the mode it climbs to, and more strongly where a whole cell is proven."""
    x, y = (table.column(number) for number in range(2))
    low, high = np.array([x.min(), y.min()], np.float64), np.array([x.max(), y.max()], np.float64)
    margin = np.minimum(BEYOND * models.widths(model), 0.04 * (high - low) + models.widths(model))
    low, high = low - margin, high + margin
    counts = np.maximum(2, np.rint(NODES * (high - low) / (high - low).max())).astype(int)
    axes = [(a + (np.arange(m) + 0.5) * (b - a) / m) for a, b, m in zip(low, high, counts, strict=True)]
    places = np.stack(np.meshgrid(*axes), axis=-1).reshape(-1, 2)
    labels = arrays.as_array(model.predict(places)).reshape(counts[1], counts[0])
    _tint(ax, labels, PALE, (low[0], high[0], low[1], high[1]), table.columns)
    cells = _proven_cells(model)
    if cells is not None:
        _tint(ax, *cells, table.columns)
    ends = np.array([low, high])[:, table.columns]
    ax.set(xlim=ends[:, 0], ylim=ends[:, 1])


def _proven_cells(model: Any) -> tuple[NDArray[np.int64], float, tuple[float, ...]] | None:
    """Return the label of every cell that is proven as a whole (else -1), and the edges of all cells."""
    held = getattr(getattr(model._clustering, "table", None), "tubes", None)
    if held is None or not plain_cells(model):  # whitened cells are not upright
        return None
    cells = held.table
    lower = cells.origin + (np.array(cells.box.lower) - 0.5) * cells.delta
    upper = lower + np.array(cells.box.shape) * cells.delta
    proven = np.maximum(cells.cells.reshape(cells.box.shape), -1).T
    return proven, STRONG, (lower[0], upper[0], lower[1], upper[1])


def _tint(ax: "Axes", labels: NDArray[Any], share: float, extent: tuple[float, ...], columns: list[int]) -> None:
    """Draw labels as an image, their colours mixed with the ground; negative labels are not drawn."""
    if columns != [0, 1]:
        labels, extent = labels.T, (extent[2], extent[3], extent[0], extent[1])
    back = np.array(ground(ax))
    share += ON_DARK if is_dark(ax) else 0.0
    mixed = back + share * (colors_of(labels.ravel()).reshape(*labels.shape, 3) - back)
    pixels = np.dstack([mixed, labels >= 0])
    ax.imshow(pixels, extent=extent, origin="lower", aspect=ax.get_aspect(), interpolation="nearest", zorder=0)  # type: ignore[arg-type]
