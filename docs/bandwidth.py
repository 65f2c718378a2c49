"""Draw clusters at every scale of three data sets: ``python docs/bandwidth.py`` (needs ``modeseek[plot]``)."""

from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import make_moons

import modeseek as ms

IMAGES = Path(__file__).parent / "images"


def nested(seed=0):
    """Draw three pairs of clusters: three at a coarse scale, six at a fine one."""
    rng = np.random.default_rng(seed)
    centres = np.array([[0.0, 0.0], [3.4, 0.0], [16.0, 3.0], [16.0, 6.4], [6.0, 15.0], [9.4, 15.0]])
    return centres[rng.integers(0, 6, 3000)] + 0.6 * rng.normal(size=(3000, 2))


def main():
    """Draw each set with its clusters above its path."""
    sets = {
        "The notebook's clusters": ms.textbook.make_data()[1],
        "Clusters within clusters": nested(),
        "Two arcs": make_moons(1500, noise=0.05, random_state=0)[0],
    }
    figure, axes = plt.subplots(3, 3, figsize=(15, 11), layout="constrained", height_ratios=[1.2, 0.8, 1.1])
    for column, (title, X) in zip(axes.T, sets.items(), strict=True):
        path = ms.bandwidth_path(X)
        model = ms.MeanShift(path.bandwidth).fit(X)
        ms.plot.clusters(X, model, ax=column[0], legend=False)
        column[0].set(title=f"{title}: bandwidth {path.bandwidth:.3g}", xlabel="", ylabel="")
        ms.plot.bandwidths(path, model=model, axes=column[1:])
    IMAGES.mkdir(exist_ok=True)
    figure.savefig(IMAGES / "bandwidth.png", dpi=80)


if __name__ == "__main__":
    main()
