"""The notebook's points, with Torch or, to the same numbers, without."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modeseek.textbook.arrays import Array, integer


def make_data(
    n_clusters: int = 6, n_samples: int = 250, *, seed: int = 42, library: str = "numpy"
) -> tuple[Array, Array]:
    """Return the notebook's data: round Gaussian clusters about centroids in the square [-35, 35)^2.

    The notebook draws them with Torch after ``torch.manual_seed(42)``. ``library="torch"`` returns the same
    bits, as tensors. ``library="numpy"``, the default, needs no Torch: it repeats Torch's CPU generator
    (MT19937 and Box-Muller) in NumPy. Its centroids are the same bits; a few coordinates in a hundred of its
    data differ, and then by rounding (less than 4e-6), because Torch's own logarithm and cosine are
    approximate. No global random state is read or changed.

    Parameters
    ----------
    n_clusters : int, default 6
        Number of clusters.
    n_samples : int, default 250
        Points in each cluster; a cluster has variance 5 along both axes.
    seed : int, default 42
        Seed, from 0 to 2**32 - 1.
    library : {"numpy", "torch"}, default "numpy"
        What to return: NumPy arrays or Torch CPU tensors, float32 either way.

    Returns
    -------
    centroids : array or tensor of shape (n_clusters, 2)
        Centres of the clusters.
    data : array or tensor of shape (n_clusters * n_samples, 2)
        Points, cluster after cluster.

    Examples
    --------
    >>> centroids, data = make_data()
    >>> print(centroids[0].round(3), data.shape, data[0].round(3))
    [26.759 29.05 ] (1500, 2) [26.204 26.349]
    """
    n_clusters, n_samples = integer("n_clusters", n_clusters, 1), integer("n_samples", n_samples, 1)
    seed = integer("seed", seed, 0)
    if seed >= 2**32:
        raise ValueError(f"seed must be less than 2**32, got {seed}")
    if library not in ("numpy", "torch"):
        raise ValueError(f'library must be "numpy" or "torch", got {library!r}')
    xp, rand, randn = _torch_random(seed) if library == "torch" else _numpy_random(seed)
    centroids = rand(n_clusters, 2) * 70 - 35
    spread = math.sqrt(5.0)  # MultivariateNormal(m, diag(5, 5)).sample() is m + sqrt(5) * randn
    return centroids, xp.concatenate([m + spread * randn(n_samples, 2) for m in centroids])


def _torch_random(seed: int) -> tuple[Any, Callable, Callable]:
    """Return torch, and its rand and randn on a generator of their own."""
    try:
        import torch
    except ImportError as error:
        raise ImportError('library="torch" needs Torch: pip install "modeseek[torch]"') from error
    options = {"generator": torch.Generator("cpu").manual_seed(seed), "dtype": torch.float32, "device": "cpu"}
    return torch, partial(torch.rand, **options), partial(torch.randn, **options)


def _numpy_random(seed: int) -> tuple[Any, Callable, Callable]:
    """Return numpy, and Torch's rand and randn (float32, CPU) written in it."""
    integers = np.random.RandomState(seed).randint  # MT19937; this stream is frozen in NumPy
    draw: Any = partial(integers, 0, 2**32, dtype=np.uint32)  # its 32-bit outputs, one by one

    def rand(*shape: int) -> NDArray[np.float32]:
        return (draw(shape) & 0xFFFFFF).astype(np.float32) * np.float32(2.0**-24)

    def randn(*shape: int) -> NDArray[np.float32]:
        size = math.prod(shape)
        return (_randn_blocks(rand, size) if size >= 16 else _randn_pairs(draw, size)).reshape(shape)

    return np, rand, randn


def _randn_blocks(rand: Callable, size: int) -> NDArray[np.float32]:
    """Torch's normal numbers from 16 on: Box-Muller in float32 on blocks of 16 uniform numbers.

    The first half of a block gives the radii and the second half the angles; the cosines fill the first half
    and the sines the second. A last, incomplete block is replaced by 16 new numbers at the very end.
    """

    def box_muller(u: NDArray[np.float32]) -> NDArray[np.float32]:
        u = u.reshape(-1, 2, 8)
        # log, cos and sin are taken in float64 and rounded once: then they do not depend on the machine
        radius = np.sqrt(-2 * np.log(1 - u[:, 0], dtype=np.float64).astype(np.float32))
        theta = (np.float32(2 * np.pi) * u[:, 1]).astype(np.float64)
        unit = np.stack([np.cos(theta), np.sin(theta)], axis=1).astype(np.float32)
        return (radius[:, None] * unit).ravel()

    uniform, whole = rand(size), size - size % 16
    normal = np.empty(size, dtype=np.float32)
    normal[:whole] = box_muller(uniform[:whole])
    if whole < size:
        normal[-16:] = box_muller(rand(16))
    return normal


def _randn_pairs(draw: Callable, size: int) -> NDArray[np.float32]:
    """Torch's normal numbers below 16: Box-Muller in float64, a pair at a time; `size` must be even."""
    high, low = draw((size, 2)).astype(np.uint64).T
    u = (((high << np.uint64(32)) | low) & np.uint64(2**53 - 1)).astype(np.float64) * 2.0**-53
    radius, theta = np.sqrt(-2 * np.log1p(-u[1::2])), 2 * np.pi * u[::2]
    return np.stack([radius * np.cos(theta), radius * np.sin(theta)], axis=1).ravel().astype(np.float32)
