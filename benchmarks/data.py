"""Data of the benchmarks: blobs and mixtures at any size, shapes that are hard to cluster, a photograph's colours."""

import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_sample_image

from modeseek import textbook

CHUNK = 1 << 20  # rows drawn at a time: temporaries stay small beside the data
VARIANCE = 5.0
SIDE = 20.0  # of what the shapes lie in, about
CENTRES = 12  # of a mixture


def notebook() -> NDArray[np.float32]:
    """Return the notebook's own 1500 points, (1500, 2)."""
    return textbook.make_data()[1]


def blobs(n: int, seed: int = 0) -> NDArray[np.float32]:
    """Draw n points, (n, 2), about the notebook's six centroids, with variance 5, in random order.

    Chunks have generators of their own: the numbers do not depend on threads, nor a row on how many follow it
    (except in the last chunk).
    """
    return around(textbook.make_data(n_samples=1)[0], math.sqrt(VARIANCE), n, seed)


def around(centroids: NDArray[np.floating], spread: float, n: int, seed: int = 0) -> NDArray[np.float32]:
    """Draw n points about centroids, all of the same spread and weight."""
    points = np.empty((n, centroids.shape[1]), np.float32)

    def draw(first: int) -> None:
        rng = np.random.default_rng([seed, first // CHUNK])
        chunk = points[first : first + CHUNK]
        rng.standard_normal(out=chunk, dtype=np.float32)
        chunk *= np.float32(spread)
        chunk += centroids[rng.integers(0, len(centroids), len(chunk), dtype=np.uint8)]

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(draw, range(0, n, CHUNK)))
    return points


def china() -> NDArray[np.float32]:
    """Return the pixels of scikit-learn's photograph china.jpg: red, green, blue, (273280, 3)."""
    return load_sample_image("china.jpg").reshape(-1, 3).astype(np.float32)


# ------------------------------------------------------------- shapes of n points in d dimensions, about SIDE wide


def mixture(n: int, d: int, seed: int = 0) -> NDArray[np.float32]:
    """Draw from a mixture of normal distributions of many spreads and weights, some within others."""
    rng = np.random.default_rng([seed, d])
    weights, spreads = rng.dirichlet(np.ones(CENTRES)), rng.uniform(0.02, 0.12, CENTRES) * SIDE
    centres, which = rng.random((CENTRES, d)) * SIDE, rng.choice(CENTRES, n, p=weights)
    return (centres[which] + rng.normal(size=(n, d)) * spreads[which, None]).astype(np.float32)


def uniform(n: int, d: int, seed: int = 0) -> NDArray[np.float32]:
    """Draw from a cube: every mode is chance."""
    return (np.random.default_rng([seed, d]).random((n, d)) * SIDE).astype(np.float32)


def moons(n: int, d: int, seed: int = 0, noise: float = 0.1) -> NDArray[np.float32]:
    """Draw two interleaved half circles of radius 1, not `SIDE`, with noise; more columns are noise alone."""
    rng = np.random.default_rng([seed, d])
    angle, upper = rng.random(n) * math.pi, rng.random(n) < 0.5
    x = rng.normal(size=(n, d)) * noise
    x[:, 0] += np.where(upper, np.cos(angle), 1.0 - np.cos(angle))
    x[:, 1] += np.where(upper, np.sin(angle), 0.5 - np.sin(angle))
    return x.astype(np.float32)


def spiral(n: int, d: int, seed: int = 0) -> NDArray[np.float32]:
    """Draw a spiral of three turns, evenly along its arm; in three dimensions it climbs too."""
    rng = np.random.default_rng([seed, d])
    angle = 6.0 * math.pi * np.sqrt(rng.random(n))
    x = rng.normal(size=(n, d)) * 0.015 * SIDE
    turns = np.column_stack([np.cos(angle), np.sin(angle)]) * angle[:, None]
    x[:, :2] += turns * SIDE / (12.0 * math.pi)
    x[:, 2:] += angle[:, None] * SIDE / (6.0 * math.pi)
    return x.astype(np.float32)


def lines(n: int, d: int, seed: int = 0) -> NDArray[np.float32]:
    """Draw points exactly on a few straight lines, which cross."""
    rng = np.random.default_rng([seed, d])
    ends = rng.random((2, 5, d)) * SIDE
    which, place = rng.integers(0, 5, n), np.round(rng.random((n, 1)), 4)
    return (ends[0, which] * (1.0 - place) + ends[1, which] * place).astype(np.float32)


def lattice(n: int, d: int, seed: int = 0) -> NDArray[np.float32]:
    """Return about n points of a regular lattice: every border between basins runs through points or midway."""
    axis = np.arange(round(n ** (1.0 / d)))
    return (np.stack(np.meshgrid(*[axis] * d), axis=-1).reshape(-1, d) * (SIDE / len(axis))).astype(np.float32)


def repeated(n: int, d: int, seed: int = 0) -> NDArray[np.float32]:
    """Draw the points of a small mixture again and again."""
    rng = np.random.default_rng([seed, d])
    return mixture(max(n // 50, 1), d, seed)[rng.integers(0, max(n // 50, 1), n)]


def eight_bit(n: int, d: int, seed: int = 0) -> NDArray[np.float32]:
    """Round a mixture to 256 levels an axis, as pictures are."""
    X = mixture(n, d, seed)
    low, high = X.min(axis=0), X.max(axis=0)
    return (np.rint((X - low) / (high - low) * 255.0) * (SIDE / 255.0)).astype(np.float32)


SHAPES: dict[str, tuple[Callable[..., NDArray[np.float32]], tuple[int, ...], float]] = {  # dimensions, about how wide
    "mixture": (mixture, (1, 2, 3), SIDE),
    "uniform": (uniform, (1, 2, 3), SIDE),
    "moons": (moons, (2, 3), 3.0),
    "spiral": (spiral, (2, 3), SIDE),
    "lines": (lines, (1, 2, 3), SIDE),
    "lattice": (lattice, (1, 2, 3), SIDE),
    "repeated": (repeated, (1, 2, 3), SIDE),
    "8-bit": (eight_bit, (1, 2, 3), SIDE),
}
