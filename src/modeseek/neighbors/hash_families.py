r"""Families of locality-sensitive hashes, and how likely each makes two points collide.

- ``pstable``: floor((a.x + b) / w) with a normal and b uniform in [0, w). Points at distance c collide with probability
  2 Phi(w / c) - 1 - 2 c / (sqrt(2 pi) w) (1 - exp(-w^2 / 2c^2)). M. Datar, N. Immorlica, P. Indyk and V. Mirrokni,
  "Locality-sensitive hashing scheme based on p-stable distributions", SCG 2004.
- ``sign``: the sign of a.x; directions at an angle theta collide with probability 1 - theta / pi. M. Charikar,
  "Similarity estimation techniques from rounding algorithms", STOC 2002.
- ``cross-polytope``: the vertex +-e_j that is nearest to G x, for a normal matrix G of a few rows. A. Andoni, P. Indyk,
  T. Laarhoven, I. Razenshteyn and L. Schmidt, "Practical and optimal LSH for angular distance", NeurIPS 2015.

The last two hash directions. Of points in Euclidean space they hash the direction seen from the mean of all.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FAMILIES = ("pstable", "sign", "cross-polytope")
AXES = 8  # of a cross-polytope: 16 vertices
MOST_HASHES = 64  # of one table


@dataclass(frozen=True)
class Hashes:
    """Hashes of some tables: directions (tables, hashes * axes, d), offsets, multipliers (tables, hashes)."""

    family: int
    axes: int
    directions: NDArray[np.float32]
    offsets: NDArray[np.float32]
    multipliers: NDArray[np.uint64]


def draw(family: str, n_tables: int, n_hashes: int, width: float, d: int, seed: int) -> Hashes:
    """Draw hashes at random; a table's do not depend on how many there are.

    Parameters
    ----------
    family : str
        One of `FAMILIES`.
    n_tables, n_hashes : int
        Tables, and hashes in each.
    width : float
        w of the p-stable family, in the units of the points; unused by others.
    d : int
        Columns.
    seed : int
        Decides everything.

    Returns
    -------
    Hashes
        With directions and offsets in units of the width, so that a hash is floor(a.x + b).
    """
    axes = min(d, AXES) if family == "cross-polytope" else 1
    directions = np.empty((n_tables, n_hashes * axes, d), np.float32)
    offsets = np.zeros((n_tables, n_hashes * axes), np.float32)
    multipliers = np.empty((n_tables, n_hashes), np.uint64)
    for t in range(n_tables):
        rng = np.random.default_rng([seed, t])
        multipliers[t] = rng.integers(0, 2**64, MOST_HASHES, np.uint64)[:n_hashes] | np.uint64(1)
        shifts = rng.uniform(size=MOST_HASHES)[:n_hashes]
        directions[t] = rng.normal(size=(n_hashes * axes, d))
        if family == "pstable":
            directions[t] /= width
            offsets[t] = shifts
    return Hashes(FAMILIES.index(family), axes, directions, offsets, multipliers)


def collision(family: str, distance: float, width: float = 1.0, d: int = AXES) -> float:
    """Return the probability that one hash of two points is the same.

    Parameters
    ----------
    family : str
        One of `FAMILIES`.
    distance : float
        Euclidean distance for "pstable", angle in radians for the others; above 0.
    width : float, default 1
        w of the p-stable family.
    d : int, default 8
        Columns, of which the number of axes of the polytope follows.

    Returns
    -------
    float
        Of the cross-polytope, from an integral over the two greatest coordinates (to about 1e-4).

    Examples
    --------
    >>> round(collision("pstable", 1.0), 4), round(collision("sign", 0.5 * np.pi), 4)
    (0.3687, 0.5)
    """
    if family == "sign":
        return 1.0 - distance / np.pi
    from scipy.special import ndtr

    if family == "pstable":
        r = width / distance
        return float(2.0 * ndtr(r) - 1.0 - 2.0 / (np.sqrt(2.0 * np.pi) * r) * (1.0 - np.exp(-0.5 * r * r)))
    if distance < 0.05:  # the grid below would be too coarse; the probability falls as the angle at first
        return 1.0 - (1.0 - collision(family, 0.05, d=d)) * distance / 0.05
    # 2 axes * E[P(|u| <= x, |v| <= y)^(axes - 1); x, y > 0] for (x, y) and (u, v) normal with correlation cos(angle)
    axes = min(d, AXES)
    rho = float(np.cos(distance))
    rest = max(float(np.sin(distance)), 0.02)
    grid = np.linspace(0.0, 6.0, 601)
    step = grid[1]
    density = np.exp(-0.5 * grid**2) / np.sqrt(2.0 * np.pi)
    rows = ndtr((grid[None, :] - rho * grid[:, None]) / rest) - ndtr((-grid[None, :] - rho * grid[:, None]) / rest)
    mass = 2.0 * density[:, None] * rows  # of |u| at x, and |v| <= y
    inside = np.vstack([np.zeros(len(grid)), np.cumsum(0.5 * step * (mass[1:] + mass[:-1]), axis=0)])
    joint = density[:, None] * np.exp(-0.5 * ((grid[None, :] - rho * grid[:, None]) / rest) ** 2)
    joint /= rest * np.sqrt(2.0 * np.pi)
    weights = np.full(len(grid), step)
    weights[[0, -1]] *= 0.5
    return float(2 * axes * weights @ (joint * inside ** (axes - 1)) @ weights)
