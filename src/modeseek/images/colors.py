"""A photograph in its main colours, or in those of its regions.

Every pixel is a point in the cube of red, green and blue; mean shift moves it to the nearest peak of the
picture's colour density, and pixels that reach one peak are one segment. Where a pixel lies in the picture
plays no part here. Comaniciu and Meer, IEEE Trans. Pattern Anal. Mach. Intell. 24 (2002) 603-619.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray


def segment_colors(
    image: NDArray[np.uint8], bandwidth: float | str | None = 16.0, *, fidelity: str = "fast", **options: Any
) -> tuple[NDArray[np.int32], NDArray[np.uint8]]:
    """Cluster the pixels of a picture by colour.

    Parameters
    ----------
    image : uint8 array of shape (H, W, 3)
        Red, green and blue.
    bandwidth : float, "auto" or None, default 16.0
        Bandwidth in steps of colour, of which there are 256 a channel: larger means fewer colours.
    fidelity : {"fast", "certified", "exact"}, default="fast"
        How labels are found; see `MeanShift`. Pictures are looked at: nothing is proven unless asked for.
    **options
        Passed on to `MeanShift`.

    Returns
    -------
    labels : int32 array of shape (H, W)
        Segment of each pixel; 0 is the largest.
    palette : uint8 array of shape (k, 3)
        Mean colour of the pixels of each segment (not the peak of the density): of all pictures with these
        segments, ``palette[labels]`` is the closest to the original.

    Examples
    --------
    >>> image = np.zeros((4, 6, 3), np.uint8)
    >>> image[:, :2] = 200, 30, 30
    >>> labels, palette = segment_colors(image)
    >>> labels[0].tolist(), palette.tolist()
    ([1, 1, 0, 0, 0, 0], [[0, 0, 0], [200, 30, 30]])
    """
    from modeseek.estimators import MeanShift

    image = np.asarray(image)
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or image.size == 0:
        raise ValueError(f"image must be uint8 of shape (H, W, 3), got {image.dtype} of shape {image.shape}")
    pixels = image.reshape(-1, 3)
    labels = MeanShift(bandwidth, fidelity=fidelity, **options).fit(pixels.astype(np.float32)).labels_
    counts = np.bincount(labels)
    sums = np.stack([np.bincount(labels, channel) for channel in pixels.T], axis=1)  # (k, 3)
    palette = np.rint(sums / counts[:, None]).astype(np.uint8)
    return labels.reshape(image.shape[:2]), palette


def mean_colors(regions: Mapping[str, NDArray[Any]]) -> NDArray[np.uint8]:
    """Return the mean colour of each region, (k, 3), from the table of `segment`: ``mean_colors(regions)[labels]``."""
    means = np.stack([regions[f"intensity_mean-{channel}"] for channel in range(3)], axis=1)
    return np.rint(means).astype(np.uint8)
