"""Draw three bandwidths that are more than one number: ``python docs/geometry.py`` (needs ``modeseek[plot]``)."""

from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

import modeseek as ms

IMAGES = Path(__file__).parent / "images"
PLACES = np.radians([[52.0, 178.0], [88.0, 20.0], [-17.0, -179.0], [40.0, 60.0], [-35.0, 110.0], [10.0, -90.0]])
INK = "#1f2328"


def stripes(rng):
    """Draw three stripes, ten times as long as they are wide, on a slope."""
    along, across = rng.normal(0.0, 3.0, 3000), rng.normal(0.0, 0.3, 3000)
    across += np.repeat([-1.6, 0.0, 1.6], 1000)
    return np.column_stack([along - across, along + across]) / np.sqrt(2.0)


def sizes(rng):
    """Draw clusters of very different sizes."""
    centres, widths = np.array([[0.0, 0.0], [4.0, 4.5], [4.9, 4.5], [7.0, 0.5]]), np.array([1.6, 0.15, 0.15, 0.5])
    which = rng.integers(0, 4, 3000)
    return centres[which] + widths[which, None] * rng.normal(size=(3000, 2))


def globe(rng):
    """Draw latitudes and longitudes around places on the date line, at a pole and elsewhere."""
    which = rng.integers(0, len(PLACES), 4000)
    latitude, longitude = PLACES[which].T
    unit = np.column_stack(
        [np.cos(latitude) * np.cos(longitude), np.cos(latitude) * np.sin(longitude), np.sin(latitude)]
    )
    x, y, z = (unit + 0.12 * rng.normal(size=unit.shape)).T
    return np.column_stack([np.arctan2(z, np.hypot(x, y)), np.arctan2(y, x)])


def show(ax, X, model, title, columns=(0, 1)):
    """Draw clusters and say how many there are."""
    ms.plot.clusters(X[:, columns], model.labels_, model.cluster_centers_[:, columns], ax=ax, legend=False)
    ax.set(title=f"{title}\n{len(model.cluster_centers_)} clusters", xlabel="", ylabel="")


def main():
    """Draw what one number finds above what the form that suits the data finds."""
    rng = np.random.default_rng(0)
    figure, axes = plt.subplots(2, 3, figsize=(14, 8.4), layout="constrained")
    X = stripes(rng)
    along = np.array([[1.0, 1.0], [1.0, 1.0]]) / 2.0
    H = 1.5**2 * along + 0.3**2 * (np.eye(2) - along)
    show(axes[0, 0], X, ms.MeanShift(0.5).fit(X), "bandwidth=0.5")
    show(axes[1, 0], X, ms.MeanShift(H).fit(X), "bandwidth=H, a matrix")
    X = sizes(rng)
    show(axes[0, 1], X, ms.MeanShift(0.5).fit(X), "bandwidth=0.5")
    show(axes[1, 1], X, ms.MeanShift("adaptive-knn", min_cluster_size=20).fit(X), 'bandwidth="adaptive-knn"')
    X = globe(rng)
    show(
        axes[0, 2],
        X,
        ms.MeanShift(0.15, min_cluster_size=20).fit(X),
        "latitude and longitude taken for a plane",
        (1, 0),
    )
    show(
        axes[1, 2], X, ms.MeanShift(0.15, metric="haversine", min_cluster_size=20).fit(X), 'metric="haversine"', (1, 0)
    )
    for ax in axes[:, 2]:
        ax.set(xlabel="longitude", ylabel="latitude", aspect="auto")
    for ax in axes.flat:
        ax.tick_params(colors=INK)
    IMAGES.mkdir(exist_ok=True)
    figure.savefig(IMAGES / "geometry.png", dpi=80)


if __name__ == "__main__":
    main()
