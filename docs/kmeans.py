"""Draw Voronoi regions of k-means, and the cells that are moved whole: ``python docs/kmeans.py``."""

from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.collections import PatchCollection
from matplotlib.patches import Rectangle

import modeseek as ms
from modeseek.kmeans.cells import CellClusters, places_of
from modeseek.kmeans.nearest import Points

IMAGES = Path(__file__).parent / "images"
POINTS, CLUSTERS = 30_000, 9


def main():
    """Draw boxes of cells: coloured where one centre owns them whole, dark where points are compared one by one."""
    rng = np.random.default_rng(4)
    middles = rng.random((12, 2)) * 10.0
    X = middles[rng.integers(0, 12, POINTS)] + 0.9 * rng.normal(size=(POINTS, 2))
    centres = ms.KMeans(CLUSTERS, random_state=0).fit(X).cluster_centers_
    points = Points.of(X, np.empty(0))
    places = places_of(points)
    clusters = CellClusters(points, CLUSTERS, places)
    clusters.assign(centres - points.base)

    x, starts, owners = places.cells[0], places.starts, clusters.owners
    colours = plt.get_cmap("tab10")
    boxes = []
    for first, last, owner in zip(starts[:-1], starts[1:], owners, strict=True):
        (left, bottom), (right, top) = x[:, first:last].min(axis=1), x[:, first:last].max(axis=1)
        colour = colours(owner) if owner >= 0 else (0.1, 0.1, 0.1)
        boxes.append(Rectangle((left, bottom), right - left, top - bottom, color=colour, alpha=0.7))
    share = float(np.diff(starts)[owners >= 0].sum() / POINTS)

    figure, ax = plt.subplots(figsize=(9, 7.5), layout="constrained")
    ax.add_collection(PatchCollection(boxes, match_original=True))
    ax.plot(*centres.T, "k*", markersize=14, markeredgecolor="white")
    ax.set(aspect="equal", title=f"Boxes of cells: coloured ones, {share:.0%} of the points, are moved whole")
    ax.autoscale_view()
    IMAGES.mkdir(exist_ok=True)
    figure.savefig(IMAGES / "kmeans.png", dpi=80)


if __name__ == "__main__":
    main()
