"""Draw the pictures of docs/plots.md: ``python docs/plots.py`` (needs ``modeseek[plot]``)."""

from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from PIL import Image

import modeseek as ms

IMAGES = Path(__file__).parent / "images"
H = 0.9


def hills(n, seed=2):
    """Draw clusters of several sizes and shapes, some of which touch."""
    rng = np.random.default_rng(seed)
    centres = np.array([[0.0, 0.0], [4.6, 0.6], [1.2, 4.8], [7.6, 5.2], [9.6, 1.2]])
    shapes = np.array([[[1, 0.4], [0.4, 1]], [[0.7, 0], [0, 0.7]], [[1.4, -0.3], [-0.3, 0.6]], [[1, 0.5], [0.5, 0.9]],
                       [[0.6, 0], [0, 1.1]]])  # fmt: skip
    which = rng.choice(5, n, p=[0.3, 0.2, 0.2, 0.18, 0.12])
    return centres[which] + np.einsum("nij,nj->ni", shapes[which], rng.normal(size=(n, 2)))


def save(figure, name, colors=255):
    """Write a figure with a palette of its own, which is a third of the size; 0: with all colours."""
    path = IMAGES / f"plots_{name}.png"
    figure.savefig(path, dpi=80)
    with Image.open(path) as image:
        small = image.convert("RGB")
    if colors:
        small = small.quantize(colors, dither=Image.Dither.NONE)
    small.save(path, optimize=True)
    plt.close(figure)


def points():
    """Draw few points and many."""
    figure, axes = plt.subplots(1, 2, figsize=(13, 4.8), layout="constrained")
    for ax, n in zip(axes, (2000, 10_000_000), strict=True):
        X = hills(n)
        ms.plot.clusters(X, ms.MeanShift(H, fidelity="fast").fit(X), ax=ax)
    save(figure, "clusters")


def density():
    """Draw a density as an image, contours over the points, and a surface."""
    X = hills(4000)
    model = ms.MeanShift(H).fit(X)
    figure = plt.figure(figsize=(15, 4.4), layout="constrained")
    image, contour = (figure.add_subplot(1, 3, i) for i in (1, 2))
    ms.plot.density(X, model, ax=image)
    ms.plot.clusters(X, model.labels_, ax=contour, legend=False)
    ms.plot.density(X, model, kind="contour", ax=contour)
    ms.plot.density(X, model, kind="surface", ax=figure.add_subplot(1, 3, 3, projection="3d"))
    save(figure, "density", 0)


def line_and_paths():
    """Draw the density of one column, and the ways of some points."""
    X = hills(4000)
    figure, axes = plt.subplots(1, 2, figsize=(13, 4.6), layout="constrained")
    ms.plot.density(X[:, 0], 0.6, ax=axes[0])
    ms.plot.paths(X, H, n_paths=250, ax=axes[1])
    save(figure, "paths")


def dark():
    """Draw the same on a dark ground."""
    X = hills(4000)
    model = ms.MeanShift(H).fit(X)
    with plt.style.context("dark_background"):
        figure, axes = plt.subplots(1, 3, figsize=(15, 4.2), layout="constrained")
        ms.plot.clusters(X, model, ax=axes[0], legend=False)
        ms.plot.density(X, model, ax=axes[1])
        ms.plot.paths(X, model, n_paths=150, ax=axes[2], legend=False)
        save(figure, "dark")


def scales():
    """Draw clusters at every scale beside the clusters."""
    X = hills(4000)
    path = ms.bandwidth_path(X)
    figure = plt.figure(figsize=(13, 5.6), layout="constrained")
    left, right = figure.subfigures(1, 2, width_ratios=[1, 1.2])
    model = ms.MeanShift(path.bandwidth).fit(X)
    ms.plot.clusters(X, model, ax=left.subplots())
    ms.plot.bandwidths(path, model=model, axes=right.subplots(2, 1, sharex=True, height_ratios=[1, 1.4]))
    save(figure, "bandwidths")


def animations():
    """Animate both mean shifts."""
    X = hills(500)
    for name, model in (("climbing", ms.MeanShift(H)), ("blurring", ms.MeanShift(H, blurring=True))):
        figure, ax = plt.subplots(figsize=(4.4, 3.6), dpi=75, layout="constrained")
        ms.plot.animate(X, model, n_frames=30, ax=ax, save=IMAGES / f"plots_{name}.gif")
        plt.close(figure)


def main():
    """Draw them all."""
    IMAGES.mkdir(exist_ok=True)
    for draw in (points, density, line_and_paths, dark, scales, animations):
        draw()


if __name__ == "__main__":
    main()
