"""Data sets with known clusters, in two halves: one to tune rules of bandwidths on, one to judge them by.

The list is fixed: no set was added, dropped or changed after rules were first run on it. Sets come in pairs of a kind,
one for each half. *has_modes* says whether every true cluster has one mode of its own in the density it was drawn from:
where not (rings, moons, an even cube, digits), no bandwidth need be right, but a rule is judged there all the same.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray
from sklearn import datasets
from sklearn.decomposition import PCA
from sklearn.preprocessing import StandardScaler

from modeseek import textbook

Floats = NDArray[np.float64]
Drawn = tuple[Floats, NDArray[np.int64]]
NOISE = -1  # the label of background points: left out of comparisons


@dataclass(frozen=True)
class Clusters:
    """One data set."""

    name: str
    half: str  # "tuning" or "judging"
    draw: Callable[[], Drawn]
    has_modes: bool = True


def notebook(seed: int) -> Drawn:
    """Draw the notebook's six clusters of 250 points."""
    _, X = textbook.make_data(seed=seed)
    return np.asarray(X, np.float64), np.repeat(np.arange(6), 250)


def mixture(
    n: int, d: int, k: int, seed: int, *, noise: float = 0.0, sizes: float = 3.0, spreads: float = 3.0
) -> Drawn:
    """Draw a mixture of round normal clusters of unequal weights and spreads, which hardly overlap, and uniform noise.

    The largest weight and the largest spread are at most ``sizes`` and ``spreads`` times the least. Centres are drawn
    until any two are 5 times the root of the sum of their squared spreads apart (6 in one dimension, where all are
    side by side).
    """
    rng = np.random.default_rng([seed, n, d, k])
    weights, widths = sizes ** rng.random(k), spreads ** rng.random(k)
    apart = (6.0 if d == 1 else 5.0) * np.sqrt(np.square(widths[:, None]) + np.square(widths))
    side = 4.0 * apart.mean() * (k if d == 1 else k ** (1.0 / d))
    centres = np.empty((k, d))
    for i in range(k):
        while True:
            centres[i] = rng.random(d) * side
            if (np.linalg.norm(centres[:i] - centres[i], axis=1) >= apart[i, :i]).all():
                break
    which = rng.choice(k, n, p=weights / weights.sum())
    X = centres[which] + widths[which, None] * rng.normal(size=(n, d))
    background = rng.random(n) < noise
    low, high = X.min(axis=0), X.max(axis=0)
    X[background] = low + (high - low) * rng.random((int(background.sum()), d))
    return X, np.where(background, NOISE, which)


def sheared(seed: int, shear: list[list[float]]) -> Drawn:
    """Draw scikit-learn's blobs, sheared."""
    X, y = datasets.make_blobs(1500, random_state=seed)
    return X @ np.array(shear), y


def scaled(load: Callable[..., Drawn], standardise: bool) -> Drawn:
    """Return a table of scikit-learn's, standardised or not."""
    X, y = load(return_X_y=True)
    return (StandardScaler().fit_transform(X) if standardise else X), y


def digits(n_components: int) -> Drawn:
    """Return the main components of scikit-learn's digits."""
    X, y = datasets.load_digits(return_X_y=True)
    return PCA(n_components, random_state=0).fit_transform(X), y


def cloud(n: int, d: int, uniform: bool) -> Drawn:
    """Draw one cluster: a normal cloud or an evenly filled cube."""
    rng = np.random.default_rng([n, d])
    return (rng.random((n, d)) if uniform else rng.normal(size=(n, d))), np.zeros(n, np.int64)


def _pair(
    name: str, tuning: Callable[[], Drawn], judging: Callable[[], Drawn], has_modes: bool = True
) -> list[Clusters]:
    return [Clusters(name, "tuning", tuning, has_modes), Clusters(name, "judging", judging, has_modes)]


SETS: list[Clusters] = [
    *_pair("notebook 1", partial(notebook, 1), partial(notebook, 101)),
    *_pair("notebook 2", partial(notebook, 2), partial(notebook, 102)),
    *_pair("notebook 3", partial(notebook, 3), partial(notebook, 103)),
    *_pair("notebook 4", partial(notebook, 4), partial(notebook, 104)),
    *_pair(
        "blobs, equal",
        partial(datasets.make_blobs, 1500, random_state=8),
        partial(datasets.make_blobs, 800, centers=8, center_box=(-20, 20), random_state=9),
    ),
    *_pair(
        "blobs, sheared",
        partial(sheared, 170, [[0.6, -0.6], [-0.4, 0.8]]),
        partial(sheared, 171, [[0.9, 0.3], [0.2, 0.5]]),
    ),
    *_pair(
        "blobs, varied",
        partial(datasets.make_blobs, 1500, cluster_std=[1.0, 2.5, 0.5], random_state=170),
        partial(datasets.make_blobs, 1000, centers=4, cluster_std=[0.4, 1.0, 1.6, 0.7], random_state=12),
    ),
    *_pair(
        "moons",
        partial(datasets.make_moons, 1500, noise=0.05, random_state=30),
        partial(datasets.make_moons, 500, noise=0.08, random_state=31),
        has_modes=False,
    ),
    *_pair(
        "circles",
        partial(datasets.make_circles, 1500, factor=0.5, noise=0.05, random_state=30),
        partial(datasets.make_circles, 600, factor=0.3, noise=0.05, random_state=31),
        has_modes=False,
    ),
    *_pair("one cloud", partial(cloud, 500, 2, False), partial(cloud, 1000, 3, False)),
    *_pair("an even cube", partial(cloud, 1000, 2, True), partial(cloud, 400, 1, True), has_modes=False),
    *_pair(
        "iris, wine",
        partial(scaled, datasets.load_iris, False),
        partial(scaled, datasets.load_wine, True),
    ),
    *_pair("digits", partial(digits, 2), partial(digits, 8), has_modes=False),
    *_pair("mixture, d = 1", partial(mixture, 300, 1, 3, 1), partial(mixture, 100_000, 1, 5, 2)),
    *_pair("mixture, d = 2", partial(mixture, 10_000, 2, 8, 3), partial(mixture, 3000, 2, 12, 4)),
    *_pair(
        "mixture, d = 2, sizes 10, spreads 5",
        partial(mixture, 5000, 2, 6, 5, sizes=10.0, spreads=5.0),
        partial(mixture, 100_000, 2, 9, 6, sizes=10.0, spreads=5.0),
    ),
    *_pair(
        "mixture, d = 2, 5 % noise",
        partial(mixture, 2000, 2, 5, 7, noise=0.05),
        partial(mixture, 20_000, 2, 7, 8, noise=0.05),
    ),
    *_pair("mixture, d = 3", partial(mixture, 1000, 3, 5, 9), partial(mixture, 100_000, 3, 10, 10)),
    *_pair(
        "mixture, d = 3, 5 % noise",
        partial(mixture, 5000, 3, 4, 11, noise=0.05),
        partial(mixture, 2000, 3, 6, 12, noise=0.05),
    ),
    *_pair("mixture, d = 4, 5", partial(mixture, 2000, 4, 5, 13), partial(mixture, 2000, 5, 6, 14)),
    *_pair("mixture, d = 8, 6", partial(mixture, 2000, 8, 5, 15), partial(mixture, 3000, 6, 8, 16)),
    *_pair("mixture, 150 points", partial(mixture, 150, 2, 3, 17), partial(mixture, 150, 3, 3, 18)),
    *_pair("mixture, a million points", partial(mixture, 1_000_000, 2, 10, 19), partial(mixture, 1_000_000, 3, 6, 20)),
]
