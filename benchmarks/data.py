"""Data of the benchmarks: the notebook's six blobs at any size, and the colours of a photograph."""

import math
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_sample_image

from modeseek import textbook

CHUNK = 1 << 20  # rows drawn at a time: temporaries stay small beside the data
VARIANCE = 5.0


def notebook() -> NDArray[np.float32]:
    """Return the notebook's own 1500 points, (1500, 2)."""
    return textbook.make_data()[1]


def blobs(n: int, seed: int = 0) -> NDArray[np.float32]:
    """Draw n points, (n, 2), about the notebook's six centroids, with variance 5, in random order.

    Chunks have generators of their own: the numbers do not depend on threads, nor a row on how many follow it
    (except in the last chunk).
    """
    centroids = textbook.make_data(n_samples=1)[0]
    points = np.empty((n, 2), np.float32)

    def draw(first: int) -> None:
        rng = np.random.default_rng([seed, first // CHUNK])
        chunk = points[first : first + CHUNK]
        rng.standard_normal(out=chunk, dtype=np.float32)
        chunk *= np.float32(math.sqrt(VARIANCE))
        chunk += centroids[rng.integers(0, len(centroids), len(chunk), dtype=np.uint8)]

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(draw, range(0, n, CHUNK)))
    return points


def china() -> NDArray[np.float32]:
    """Return the pixels of scikit-learn's photograph china.jpg: red, green, blue, (273280, 3)."""
    return load_sample_image("china.jpg").reshape(-1, 3).astype(np.float32)
