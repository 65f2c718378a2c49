"""Draw what is proven, and how, of a set in the plane: ``python docs/certificate.py`` (needs ``modeseek[plot]``)."""

from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.collections import PatchCollection
from matplotlib.colors import to_rgb
from matplotlib.lines import Line2D
from matplotlib.patches import Circle, Patch

import modeseek as ms

IMAGES = Path(__file__).parent / "images"
BANDWIDTH = 1.0
COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00")  # Okabe and Ito: told apart by all readers
INK = "#1f2328"
ROWS, COLUMNS = 480, 510  # of the picture of the basins


def overlapping(n=30_000, seed=4):
    """Draw blobs that overlap, with noise between them."""
    rng = np.random.default_rng(seed)
    centres = np.array([[4, 4], [7.2, 5.2], [4.6, 9.2], [10.5, 9.6], [12.6, 4.4], [8.3, 12.3]])
    spreads = np.array([1.0, 0.8, 1.2, 1.1, 1.2, 0.8])
    which = rng.integers(0, len(centres), n * 9 // 10)
    noise = rng.random((n - len(which), 2)) * [17, 16]
    return np.vstack([centres[which] + rng.normal(size=(len(which), 2)) * spreads[which, None], noise])


def tints(labels, share):
    """Return the colour of each label mixed with white; negative labels are transparent."""
    colours = np.array([to_rgb(COLOURS[i % len(COLOURS)]) for i in range(max(labels.max(), 0) + 1)])
    return np.dstack([1.0 - share * (1.0 - colours[labels]), labels >= 0])


def basins(ax, model, low, high):
    """Tint every place by the mode it climbs to, and more strongly where a whole cell is proven."""
    x, y = (np.linspace(a, b, 2 * m + 1)[1::2] for a, b, m in zip(low, high, (COLUMNS, ROWS), strict=True))
    places = np.stack(np.meshgrid(x, y), axis=-1)
    labels = model.predict(places.reshape(-1, 2)).reshape(ROWS, COLUMNS)
    ax.imshow(tints(labels, 0.16), origin="lower", extent=(low[0], high[0], low[1], high[1]))
    cells = model._clustering.table.tubes.table
    lower = cells.origin + (np.array(cells.box.lower) - 0.5) * cells.delta
    upper = lower + np.array(cells.box.shape) * cells.delta
    proven = np.maximum(cells.cells.reshape(cells.box.shape), -1).T
    ax.imshow(tints(proven, 0.5), origin="lower", extent=(lower[0], upper[0], lower[1], upper[1]))
    ax.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]), xticks=[], yticks=[])


def main():
    """Draw basins, proven cells, the points that got work of their own, and the modes with their traps."""
    X = overlapping()
    model = ms.MeanShift(BANDWIDTH).fit(X)
    found = model.certificate_
    status = found.status()
    figure, ax = plt.subplots(figsize=(9.2, 9.2), layout="constrained")
    basins(ax, model, X.min(axis=0), X.max(axis=0))
    inside = status == 0
    ax.scatter(*X[inside].T, s=0.7, c=[COLOURS[i % len(COLOURS)] for i in model.labels_[inside]], lw=0)
    ax.scatter(*X[status == 1].T, s=7, color=INK, lw=0)
    ax.scatter(*X[status >= 2].T, s=60, marker="s", facecolor="none", edgecolor="#b00020", lw=1.6, zorder=4)
    circles = [Circle(z, r) for z, r in zip(found.modes, found.trap_radii, strict=True)]
    ax.add_collection(PatchCollection(circles, facecolor="none", edgecolor="white", lw=4.0))
    ax.add_collection(PatchCollection(circles, facecolor="none", edgecolor=INK, lw=1.8))
    ax.scatter(*found.modes.T, marker="X", s=110, color="white", edgecolor=INK, lw=1.3, zorder=5)
    ax.set_title(f"{len(X):,} points, {len(found.modes)} clusters: how each label is known", loc="left", fontsize=15)
    empty = {"ls": "", "color": INK}
    climbed = {"mfc": "none", "mec": "#b00020", "ms": 8, "mew": 1.6}
    names = [
        Patch(fc="#9a9a9a", label=f"proven for the whole cell: {found.interior / found.n:.1%} of the points"),
        Line2D(
            [], [], marker="o", ms=4, **empty, label=f"proven by a tube of their own: {found.boundary / found.n:.1%}"
        ),
        Line2D([], [], marker="s", ls="", **climbed, label=f"climbed on the raw points: {found.climbed:,} points"),
        Line2D([], [], marker="X", ms=10, ls="", mfc="white", mec=INK, label="mode, in its trap: all paths end there"),
    ]
    figure.legend(handles=names, loc="outside lower left", ncols=2, frameon=False, fontsize=12)
    figure.savefig(IMAGES / "certificate.png", dpi=100)


if __name__ == "__main__":
    main()
