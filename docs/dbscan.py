"""Draw the picture of docs/dbscan.md: ``python docs/dbscan.py`` (needs ``modeseek[plot]``)."""

from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import make_moons

import modeseek as ms

IMAGES = Path(__file__).parent / "images"
EPS, LEAST = 0.1, 12


def shapes(ax, X, model):
    """Draw clusters; noise is grey."""
    ms.plot.clusters(X, model.labels_, ax=ax, legend=False)
    ax.set(title=f"{model.labels_.max() + 1} clusters, {(model.labels_ < 0).sum()} points of noise (grey)")


def close_up(ax, X, model):
    """Draw the cells around one point: those of enough points are core as a whole."""
    side = EPS / 2**0.5
    middle = X[model.core_sample_indices_[40]]
    near = np.abs(X - middle).max(axis=1) < 4 * side
    core = np.isin(np.arange(len(X)), model.core_sample_indices_)
    origin = X.min(axis=0)
    index, counts = np.unique(np.floor((X - origin) / side), axis=0, return_counts=True)
    for corner, count in zip(origin + index * side, counts, strict=True):
        full = count >= LEAST
        ax.add_patch(plt.Rectangle(corner, side, side, fc="#cfe3f5" if full else "none", ec="0.8", lw=0.8))
    ax.add_patch(plt.Circle(middle, EPS, fill=False, lw=1.5))
    for kind, face, name in ((core, "#1f5fa8", "core"), (~core, "white", "not core")):
        ax.scatter(*X[near & kind].T, s=22, fc=face, ec="#1f5fa8", lw=0.8, label=name, zorder=3)
    ax.set(
        xlim=middle[0] + np.array([-3, 3]) * side,
        ylim=middle[1] + np.array([-3, 3]) * side,
        aspect="equal",
        title=f"Shaded cells hold {LEAST} points or more",
    )
    ax.legend(frameon=True, loc="lower left")


def main():
    """Draw clusters, and cells, side by side."""
    X, _ = make_moons(3000, noise=0.06, random_state=0)
    X = np.append(X, np.random.default_rng(0).uniform([-1.5, -1.0], [2.5, 1.5], (200, 2)), axis=0)
    model = ms.DBSCAN(EPS, min_samples=LEAST).fit(X)
    figure, (left, right) = plt.subplots(1, 2, figsize=(12, 4.6), layout="constrained", width_ratios=[1.5, 1])
    shapes(left, X, model)
    close_up(right, X, model)
    IMAGES.mkdir(exist_ok=True)
    figure.savefig(IMAGES / "dbscan.png", dpi=100)


if __name__ == "__main__":
    main()
