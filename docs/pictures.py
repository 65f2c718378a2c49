"""Animate the picture at the top of the README: ``python docs/pictures.py`` (needs ``modeseek[plot]``)."""

from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from PIL import Image

import modeseek as ms

IMAGES = Path(__file__).parent / "images"
COLORS = 128  # of the animation, for all frames


def hills(n=900, seed=5):
    """Draw clusters of several sizes and shapes, some of which touch."""
    rng = np.random.default_rng(seed)
    centres = np.array([[0.0, 0.0], [4.4, 0.4], [1.4, 4.4], [7.8, 4.4], [10.4, 0.6], [13.2, 3.8]])
    widths = np.array([[1.1, 0.7], [0.7, 0.8], [1.3, 0.7], [0.9, 0.8], [0.6, 1.0], [0.8, 0.9]])
    which = rng.choice(len(centres), n)
    return centres[which] + widths[which] * rng.normal(size=(n, 2))


def smaller(path):
    """Write an animation again with fewer colours, the same for all frames."""
    with Image.open(path) as film:
        frames, durations = [], []
        for k in range(film.n_frames):
            film.seek(k)
            frames.append(film.convert("RGB"))
            durations.append(film.info["duration"])
    pale = np.concatenate([np.asarray(frames[k]) for k in (0, len(frames) // 3, -1)])
    palette = Image.fromarray(pale).quantize(COLORS, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    first, *rest = (frame.quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames)
    first.save(path, save_all=True, append_images=rest, duration=durations, loop=0, optimize=True)


def main():
    """Let points climb to the modes of their density."""
    X = hills()
    figure, ax = plt.subplots(figsize=(8, 4), dpi=100, layout="constrained")
    model = ms.MeanShift(0.9, min_cluster_size=10)
    ms.plot.animate(X, model, n_frames=36, ax=ax, save=IMAGES / "readme.gif")
    plt.close(figure)
    smaller(IMAGES / "readme.gif")


if __name__ == "__main__":
    main()
