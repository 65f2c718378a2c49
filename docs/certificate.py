"""Draw what is proven, and how, of a set in the plane: ``python docs/certificate.py`` (needs ``modeseek[plot]``)."""

from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

import modeseek as ms

IMAGES = Path(__file__).parent / "images"
BANDWIDTH = 1.0


def overlapping(n=30_000, seed=4):
    """Draw blobs that overlap, with noise between them."""
    rng = np.random.default_rng(seed)
    centres = np.array([[4, 4], [7.2, 5.2], [4.6, 9.2], [10.5, 9.6], [12.6, 4.4], [8.3, 12.3]])
    spreads = np.array([1.0, 0.8, 1.2, 1.1, 1.2, 0.8])
    which = rng.integers(0, len(centres), n * 9 // 10)
    noise = rng.random((n - len(which), 2)) * [17, 16]
    return np.vstack([centres[which] + rng.normal(size=(len(which), 2)) * spreads[which, None], noise])


def main():
    """Draw basins, proven cells, the points that got work of their own, and the modes with their traps."""
    X = overlapping()
    model = ms.MeanShift(BANDWIDTH).fit(X)
    _, ax = plt.subplots(figsize=(9.2, 9.9), layout="constrained")
    ms.plot.certificate(X, model, ax=ax)
    ax.set(xlim=(X[:, 0].min(), X[:, 0].max()), ylim=(X[:, 1].min(), X[:, 1].max()), xticks=[], yticks=[])
    ax.figure.savefig(IMAGES / "certificate.png", dpi=100)


if __name__ == "__main__":
    main()
