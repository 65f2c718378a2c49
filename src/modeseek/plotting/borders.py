"""Where one cluster ends and the next begins: borders between the labels of a function of place.

On a mesh neighbouring nodes whose labels differ have a border between them; halving the way between them finds where.
Within a cell two such crossings are joined by a line, three or more by lines that meet in their middle. What lies
between two nodes of one label is not seen: a mesh that is too coarse misses what is small.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

HALVINGS = 7

Floats = NDArray[np.float64]
Label = Callable[[Floats], NDArray[np.int64]]


def crossings(label: Label, a: Floats, b: Floats, of_a: NDArray[np.int64]) -> Floats:
    """Return where, between places a and b of different labels, (m, d) each, the label of a ends."""
    a, b = a.copy(), b.copy()
    for _ in range(HALVINGS if len(a) else 0):
        middle = 0.5 * (a + b)
        same = (label(middle) == of_a)[:, None]
        a, b = np.where(same, middle, a), np.where(same, b, middle)
    return 0.5 * (a + b)


def on_line(label: Label, x: Floats, labels: NDArray[np.int64]) -> Floats:
    """Return where on a line the label changes."""
    i = np.flatnonzero(labels[:-1] != labels[1:])
    return crossings(label, x[i, None], x[i + 1, None], labels[i])[:, 0]


def in_plane(label: Label, x: Floats, y: Floats, labels: NDArray[np.int64]) -> Floats:
    """Return the borders in the plane as segments, (m, 2, 2); labels are those of the mesh, (len(y), len(x))."""
    places = np.stack(np.meshgrid(x, y), axis=-1)
    points, number = [np.empty((0, 2))], []
    for near, far in ((np.s_[:, :-1], np.s_[:, 1:]), (np.s_[:-1], np.s_[1:])):  # edges along x, edges along y
        differ = labels[near] != labels[far]
        index = np.full(differ.shape, -1)
        index[differ] = np.arange(differ.sum()) + sum(map(len, points))
        number.append(index)
        points.append(crossings(label, places[near][differ], places[far][differ], labels[near][differ]))
    at = np.concatenate(points)
    along_x, along_y = number
    of_cell = np.stack([along_x[:-1], along_x[1:], along_y[:, :-1], along_y[:, 1:]], axis=-1).reshape(-1, 4)
    crossed = of_cell >= 0
    pair = of_cell[crossed.sum(axis=1) == 2]
    segments = [at[pair[pair >= 0].reshape(-1, 2)]]
    several = of_cell[crossed.sum(axis=1) > 2]
    meets = several >= 0
    ends = np.where(meets[..., None], at[several], 0.0) if len(several) else np.empty((0, 4, 2))
    middle = ends.sum(axis=1) / np.maximum(meets.sum(axis=1), 1)[:, None]
    which, side = np.nonzero(meets)
    segments.append(np.stack([ends[which, side], middle[which]], axis=1))
    return np.concatenate(segments)
