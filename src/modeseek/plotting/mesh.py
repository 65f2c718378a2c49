"""The density of a model on a mesh: where it is looked at, what it is there, which cluster each place belongs to.

    f(x) = sum_i w_i exp(-|x - x_i|^2 / 2h^2) / (sum_i w_i (2 pi h^2)^(d/2)),

which is exp of `MeanShift.score_samples`, at the nodes of a regular mesh.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modeseek.plotting import arrays, borders, models

NODES = {1: 1000, 2: 240}  # along the longer side
BEYOND = 3.0  # bandwidths that a picture shows around the points
FAINT = 1e-3  # of the highest density: what is less need not be seen
WIDENINGS = 12

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Mesh:
    """Places on a line or in the plane, and a model to ask about them."""

    model: Any
    axes: tuple[Floats, ...]  # of the nodes: x, or x and y

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of nodes: (along x,), or (along y, along x)."""
        return tuple(len(axis) for axis in reversed(self.axes))

    @property
    def places(self) -> Floats:
        """The nodes, (m, d)."""
        return np.stack(np.meshgrid(*self.axes), axis=-1).reshape(-1, len(self.axes))

    @property
    def extent(self) -> tuple[float, float, float, float]:
        """Left, right, bottom and top of an image whose pixels are around the nodes."""
        half = [0.5 * (axis[1] - axis[0]) for axis in self.axes]
        (x, y), (dx, dy) = self.axes, half
        return x[0] - dx, x[-1] + dx, y[0] - dy, y[-1] + dy

    @cached_property
    def density(self) -> Floats:
        """The density at the nodes."""
        return np.exp(self.model.score_samples(self.places)).reshape(self.shape)

    @cached_property
    def labels(self) -> NDArray[np.int64]:
        """The cluster that each node climbs to."""
        return self.label(self.places).reshape(self.shape)

    def label(self, places: Floats) -> NDArray[np.int64]:
        """Return the cluster that each place climbs to."""
        return arrays.as_array(self.model.predict(places)).astype(np.int64)

    def borders(self) -> Floats:
        """Return where clusters end: numbers on a line, segments (m, 2, 2) in the plane."""
        if len(self.axes) == 1:
            return borders.on_line(self.label, self.axes[0], self.labels)
        x, y = self.axes
        return borders.in_plane(self.label, x, y, self.labels)

    def levels(self, shares: Floats) -> Floats:
        """Return the densities above which so large shares of all mass lie."""
        falling = np.sort(self.density, axis=None)[::-1]
        inside = np.cumsum(falling)
        return falling[np.searchsorted(inside, np.asarray(shares) * inside[-1]).clip(0, len(falling) - 1)]


def has_density(model: Any) -> bool:
    """Whether a model has a density over its columns."""
    return hasattr(model, "score_samples") and model.metric != "cosine"


def check_density(model: Any) -> None:
    """Refuse models that have no density in one or two columns."""
    if not hasattr(model, "score_samples"):
        raise ValueError(
            f"the density is that of a Gaussian kernel, and this model has kernel={model.kernel!r}: pass X and a "
            "bandwidth instead of the model"
        )
    if model.metric == "cosine":
        raise ValueError('a density of directions (metric="cosine") has no picture in the plane')


def mesh_of(model: Any, around: Floats | None, n_nodes: int | None = None) -> Mesh:
    """Return a mesh around points, given by their bounds (2, d), or around all that has any density."""
    width = models.widths(model)
    low, high = _reach(model, width) if around is None else (around[0] - width * BEYOND, around[1] + width * BEYOND)
    if model.metric == "haversine":
        low, high = np.maximum(low, [-np.pi / 2, -np.pi]), np.minimum(high, [np.pi / 2, 2 * np.pi])
    d = len(low)
    longest = n_nodes or NODES[d]
    counts = [longest] * d
    if d == 2 and max(high - low) <= 3 * min(high - low):  # they will share a scale: square cells
        counts = [max(2, round(longest * span / max(high - low))) for span in high - low]
    return Mesh(model, tuple(np.linspace(a, b, m) for a, b, m in zip(low, high, counts, strict=True)))


def _reach(model: Any, width: Floats) -> tuple[Floats, Floats]:
    """Return a box around the modes on whose faces the density is faint."""
    modes = models.modes_of(model)
    low, high = modes.min(axis=0) - BEYOND * width, modes.max(axis=0) + BEYOND * width
    faint = float(model.score_samples(modes).max()) + np.log(FAINT)
    for _ in range(WIDENINGS):
        axes = [np.linspace(a, b, 60) for a, b in zip(low, high, strict=True)]
        moved = False
        for axis in range(len(low)):
            for end in (low, high):
                face = np.stack(np.meshgrid(*axes[:axis], end[axis], *axes[axis + 1 :]), axis=-1).reshape(-1, len(low))
                if float(np.max(model.score_samples(face))) > faint:
                    end[axis] += (-1 if end is low else 1) * max(width[axis], 0.1 * (high[axis] - low[axis]))
                    moved = True
        if not moved:
            break
    return low, high
