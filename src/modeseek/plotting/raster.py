"""Many points as a picture: per cell the label that most of its points have, brighter where there are more.

A cell of c points, of which the fullest has C, is drawn in the colour of its majority with opacity

    alpha(c) = a + (1 - a) log(1 + c) / log(1 + C),

so the ground shines through, whatever its colour, where points are few.
"""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from modeseek.plotting.palette import colors_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FAINTEST = 0.3  # a, opacity of the emptiest cell
BRIGHT = 0.995  # share of the cells that C leaves below itself: a few full cells do not darken the rest
CELLS = (150, 900)  # fewest and most cells along the longer side
CHUNK = 1 << 22  # points counted at a time


def draw_image(ax: "Axes", xy: NDArray[np.float64], labels: NDArray[np.int64]) -> Any:
    """Draw points as an image of their labels."""
    from matplotlib.colors import to_rgb

    shape = image_shape(ax, xy)
    counts, majority, extent = rasterize(xy, labels, shape)
    image = np.empty((*counts.shape, 4))
    image[..., :3] = to_rgb(ax.get_facecolor())  # empty cells: unseen, but resampling may mix them in
    filled = counts > 0
    image[filled, :3] = colors_of(majority[filled])
    image[..., 3] = opacity(counts)
    drawn = ax.imshow(image, extent=extent, origin="lower", aspect="auto", zorder=1)
    for edges in (drawn.sticky_edges.x, drawn.sticky_edges.y):
        edges.clear()  # leave margins, as around a scatter plot
    ax.autoscale_view()
    return drawn


def image_shape(ax: "Axes", xy: NDArray[np.float64]) -> tuple[int, int]:
    """Return rows and columns of the image: about a cell for each point, but no smaller than a pixel."""
    box = ax.get_window_extent()
    spans = np.ptp(xy, axis=0)
    wide = box.width / max(box.width, box.height), box.height / max(box.width, box.height)
    if ax.get_aspect() != "auto":  # one scale for both axes: square cells
        wide = tuple(spans / spans.max())
    cells = np.clip(1.2 * np.sqrt(len(xy)), CELLS[0], min(CELLS[1], max(box.width, box.height, CELLS[0])))
    return max(1, round(cells * wide[1])), max(1, round(cells * wide[0]))


def rasterize(
    xy: NDArray[np.float64], labels: NDArray[np.int64], shape: tuple[int, int]
) -> tuple[NDArray[np.int64], NDArray[np.int64], tuple[float, float, float, float]]:
    """Count points in cells.

    Returns the number of points and the most frequent label of each cell, both of `shape` (rows from low y to
    high y, columns from low x to high x), and the edges (left, right, bottom, top).
    """
    low, high = xy.min(axis=0), xy.max(axis=0)
    rows, columns = shape
    size = np.maximum((high - low) / (columns, rows), np.spacing(np.abs(high)) * 16)  # of a cell
    used, rank = np.unique(labels, return_inverse=True)
    parts = []
    for start in range(0, len(xy), CHUNK):
        s = slice(start, start + CHUNK)
        x, y = np.minimum((xy[s] - low) / size, (columns - 1, rows - 1)).astype(np.int64).T
        parts.append(np.unique((y * columns + x) * len(used) + rank[s], return_counts=True))
    keys, inverse = np.unique(np.concatenate([key for key, _ in parts]), return_inverse=True)
    tally = np.bincount(inverse, np.concatenate([count for _, count in parts])).astype(np.int64)
    cell, label = np.divmod(keys, len(used))
    counts = np.bincount(cell, tally, rows * columns).astype(np.int64)
    majority = np.full(rows * columns, -1)
    fullest_last = np.argsort(tally, kind="stable")
    majority[cell[fullest_last]] = used[label[fullest_last]]
    extent = (low[0], low[0] + columns * size[0], low[1], low[1] + rows * size[1])
    return counts.reshape(shape), majority.reshape(shape), extent


def opacity(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return alpha(c) for every cell, 0 where it is empty."""
    filled = counts > 0
    top = np.log1p(max(1.0, float(np.quantile(counts[filled], BRIGHT))))
    alpha = FAINTEST + (1 - FAINTEST) * np.minimum(1.0, np.log1p(counts) / top)
    return np.where(filled, alpha, 0.0)
