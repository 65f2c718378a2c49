r"""One step of mini-batch k-means: centres move to the running mean of all points that they ever owned.

With W_j the weight that centre j has gathered, and B_j the points of a batch that are nearest to it,

    c_j <- (W_j c_j + sum_{i in B_j} w_i x_i) / (W_j + sum_{i in B_j} w_i),    W_j <- W_j + sum_{i in B_j} w_i.

Source: D. Sculley, "Web-scale k-means clustering", WWW 2010.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from modeseek.kmeans.nearest import Floats, nearest


def step(
    x: NDArray[Any], weights: Floats, centres: Floats, masses: Floats, n_jobs: int | None = None
) -> tuple[Floats, Floats]:
    """Return the centres and the weights that they have gathered after one more batch; those without points stay."""
    labels, k = nearest(x, centres, n_jobs), len(centres)
    w = weights if weights.size else np.ones(len(x))
    added = np.bincount(labels, w, k)
    # offsets from the old centres, which are small: sums of coordinates far from 0 would lose digits
    pulls = np.stack(
        [np.bincount(labels, w * (column - own), k) for column, own in zip(x.T, centres[labels].T, strict=True)],
        axis=-1,
    )
    total = masses + added
    return centres + pulls / np.where(added > 0.0, total, 1.0)[:, None], total
