r"""Self-coverage: how much of the data lies within h of a mode, at every h.

C(h) is the share of the points within h of a mode that holds at least 2 % of them. It grows with h while modes stay
where they are, and ever more slowly once clusters are covered. The bandwidth is where C bends most: where its second
derivative by h is least.

J. Einbeck, "Bandwidth selection for mean-shift based unsupervised learning techniques: a unified approach via
self-coverage", J. Pattern Recognition Research 6 (2011).
"""

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from modeseek.fields import Floats
from modeseek.scale_space import SMALLEST, BandwidthPath, as_counts, evenly, path_of

MOST = 0.5  # of the spread: as far as coverage is looked at


def coverage(path: BandwidthPath, sample: Floats) -> Floats:
    """Return the share of a sample within h of a mode at each bandwidth of a path, (m,)."""
    covered = np.empty(len(path.scales))
    for k, scale in enumerate(path.scales):
        modes = scale.modes[scale.masses >= SMALLEST * path.total_weight]
        near = cKDTree(modes).query(sample)[0] <= scale.bandwidth if len(modes) else np.zeros(len(sample), bool)
        covered[k] = near.mean()
    return covered


def self_coverage(points: NDArray, weights: Floats, n_jobs: int | None = None) -> float:
    """Return the bandwidth at which coverage bends most; 0 where all points are equal."""
    if not (points != points[0]).any():
        return 0.0
    path = path_of(points, weights, n_jobs=n_jobs)
    kept = path.bandwidths <= MOST * path.bandwidths[-1]
    h = path.bandwidths[kept]
    if len(h) < 3:
        return path.bandwidth
    covered = coverage(path, evenly(points, as_counts(weights)))[kept]
    slopes = np.diff(covered) / np.diff(h)
    bend = np.diff(slopes) / (0.5 * (h[2:] - h[:-2]))
    return float(h[1 + int(np.argmin(bend))])
