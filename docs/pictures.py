"""Draw the picture at the top of the README: ``python docs/pictures.py`` (needs ``modeseek[plot,image]``)."""

from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_sample_image, make_moons

import modeseek as ms
from modeseek.images import segment_colors

IMAGES = Path(__file__).parent / "images"


def climbing(ax):
    """Draw the notebook's points, the ways that some of them take, and the modes they reach."""
    _, X = ms.textbook.make_data()
    model = ms.MeanShift(bandwidth=2.5).fit(X)
    ms.plot.clusters(X, model.labels_, model.cluster_centers_, ax=ax, legend=False)
    for way in np.moveaxis(model.path(X[::6]), 0, 1):
        ax.plot(*way.T, color="0.35", lw=0.6, alpha=0.8)
    ax.set(title="Points climb to the modes of their density", xlabel="", ylabel="")


def shapes(ax):
    """Draw clusters of any shape among a million points."""
    X, _ = make_moons(1_000_000, noise=0.06, random_state=0)
    model = ms.MeanShift(bandwidth=0.12, fidelity="fast").fit(X)
    ms.plot.clusters(X, model.labels_, model.cluster_centers_, ax=ax, legend=False)
    ax.set(title=f"A million points along two arcs: {len(model.cluster_centers_)} modes", xlabel="", ylabel="")


def photograph(ax):
    """Draw a photograph in the colours of its modes beside itself."""
    picture = load_sample_image("flower.jpg")
    labels, palette = segment_colors(picture, bandwidth=12)
    half = picture.shape[1] // 2
    shown = palette[labels].astype(np.uint8)
    shown[:, :half] = picture[:, :half]
    ax.imshow(shown)
    ax.axvline(half, color="white", lw=1)
    ax.set(title=f"A photograph, right in the {len(palette)} colours of its modes")
    ax.set_axis_off()


def main():
    """Draw the three panels side by side."""
    figure, axes = plt.subplots(1, 3, figsize=(15, 4.6), layout="constrained", width_ratios=[1, 1, 1.35])
    for draw, ax in zip((climbing, shapes, photograph), axes, strict=True):
        draw(ax)
    IMAGES.mkdir(exist_ok=True)
    figure.savefig(IMAGES / "readme.png", dpi=100)


if __name__ == "__main__":
    main()
