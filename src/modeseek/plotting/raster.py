"""Many points as a picture: per cell the label that most of its points have, brighter where there are more.

A cell of c points, of which the fullest has C, is drawn in the colour of its majority with opacity

    alpha(c) = a + (1 - a) log(1 + c) / log(1 + C),

so the ground shines through, whatever its colour, where points are few.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from modeseek.plotting.palette import coded, colors_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FAINTEST = 0.3  # a, opacity of the emptiest cell
BRIGHT = 0.995  # share of the cells that C leaves below itself: a few full cells do not darken the rest
CELLS = (150, 900)  # fewest and most cells along the longer side
CHUNK = 1 << 17  # points counted at a time: what is copied of them stays in cache

Numbers = NDArray[Any]


def draw_image(
    ax: "Axes", x: Numbers, y: Numbers, labels: NDArray[np.integer[Any]], color: Any = None, **image: Any
) -> Any:
    """Draw points as an image of their labels, or all in one colour."""
    counts, majority, extent = rasterize(x, y, labels, image_shape(ax, x, y))
    colors = colors_of(majority) if color is None else np.broadcast_to(color, (*counts.shape, 3))
    return show(ax, colors, opacity(counts), extent, **image)


def show(ax: "Axes", colors: NDArray[np.float64], alpha: NDArray[np.float64], extent: Any, **image: Any) -> Any:
    """Draw an image of colours, (rows, columns, 3), and opacities, so that the ground shines through."""
    from matplotlib.colors import to_rgb

    pixels = np.empty((*alpha.shape, 4))
    pixels[..., :3] = to_rgb(ax.get_facecolor())  # empty cells: unseen, but resampling may mix them in
    filled = alpha > 0
    pixels[filled, :3] = colors[filled]
    pixels[..., 3] = alpha
    drawn = ax.imshow(pixels, extent=extent, origin="lower", aspect=ax.get_aspect(), **{"zorder": 1, **image})
    for edges in (drawn.sticky_edges.x, drawn.sticky_edges.y):
        edges.clear()  # leave margins, as around a scatter plot
    ax.autoscale_view()
    return drawn


def image_shape(ax: "Axes", x: Numbers, y: Numbers) -> tuple[int, int]:
    """Return rows and columns of the image: about a cell for each point, but no smaller than a pixel."""
    box = ax.get_window_extent()
    spans = np.array([float(x.max()) - float(x.min()), float(y.max()) - float(y.min())])
    wide = box.width / max(box.width, box.height), box.height / max(box.width, box.height)
    if ax.get_aspect() != "auto":  # one scale for both axes: square cells
        wide = tuple(spans / spans.max())
    cells = np.clip(1.2 * np.sqrt(len(x)), CELLS[0], min(CELLS[1], max(box.width, box.height, CELLS[0])))
    return max(1, round(cells * wide[1])), max(1, round(cells * wide[0]))


def rasterize(
    x: Numbers, y: Numbers, labels: NDArray[np.integer[Any]], shape: tuple[int, int]
) -> tuple[NDArray[np.int64], NDArray[np.int64], tuple[float, float, float, float]]:
    """Count points in cells, in linear time; beside the image, one to four bytes a point are needed.

    Returns the number of points and the most frequent label of each cell (the least of equals), both of `shape`
    (rows from low y to high y, columns from low x to high x), and the edges (left, right, bottom, top).
    """
    from modeseek.engines.cpu.raster import count_cells, most_frequent, sort_by_cell

    low = np.array([x.min(), y.min()], np.float64)
    high = np.array([x.max(), y.max()], np.float64)
    rows, columns = shape
    size = np.maximum((high - low) / (columns, rows), np.spacing(np.abs(high)) * 16)  # of a cell
    counts = np.zeros(rows * columns, np.int64)
    for s in _chunks(len(x)):
        count_cells(_floats(x[s]), _floats(y[s]), low, size, shape, counts)
    names, codes = coded(labels)
    majority = np.where(counts > 0, names[0], -1)
    if len(names) > 1:
        ends = np.cumsum(counts) - counts
        by_cell = np.empty(len(x), np.min_scalar_type(len(names) - 1))
        for s in _chunks(len(x)):
            sort_by_cell(_floats(x[s]), _floats(y[s]), codes(s), low, size, shape, ends, by_cell)
        best = np.zeros(rows * columns, np.int64)
        most_frequent(by_cell, counts, np.zeros(len(names), np.int64), best)
        majority = np.where(counts > 0, names[best], -1)
    extent = (low[0], low[0] + columns * size[0], low[1], low[1] + rows * size[1])
    return counts.reshape(shape), majority.reshape(shape), extent


def _chunks(n: int) -> Iterator[slice]:
    return (slice(start, start + CHUNK) for start in range(0, n, CHUNK))


def _floats(values: Numbers) -> NDArray[np.float64]:
    return np.ascontiguousarray(values, np.float64)


def opacity(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return alpha(c) for every cell, 0 where it is empty."""
    filled = counts > 0
    top = np.log1p(max(1.0, float(np.quantile(counts[filled], BRIGHT))))
    alpha = FAINTEST + (1 - FAINTEST) * np.minimum(1.0, np.log1p(counts) / top)
    return np.where(filled, alpha, 0.0)
