r"""Blurring mean shift: the data themselves move, round after round, and end in one place for each cluster.

    X <- m(X),    m(x) = sum_i w_i g(|x - x_i| / h) x_i / sum_i w_i g(|x - x_i| / h),    g(r) = exp(-r^2 / 2)

where the sums are over the points as they lie at the beginning of the round (Fukunaga & Hostetler 1975; Cheng 1995).
A Gaussian cluster of variance s^2 has variance s^2 (s^2 / (s^2 + h^2))^2 a round later: it shrinks cubically
(Carreira-Perpiñán, "Fast nonparametric clustering with Gaussian blurring mean-shift", ICML 2006), and points that
coincide become one weighted point, so late rounds cost next to nothing. Clusters attract each other for ever, if
faintly, so blurring ends when a round moves no point by more than a tolerance.

With a batch size the update is in place: a batch sees the batches before it where they have just moved to. That is
the fast.ai notebook's form; its result depends on the batch size and on the order of the rows.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import cKDTree

from modeseek.cells import bit_patterns
from modeseek.climb import group_by_location
from modeseek.costs import choose_field
from modeseek.engines import data, namespaces
from modeseek.engines.devices import device_of
from modeseek.fields import Floats, GaussianField
from modeseek.label import KeyLabels
from modeseek.result import Clusters, Problem
from modeseek.rounds import Blurred, move

TOGETHER = 0.1  # bandwidths: at the end, points linked by shorter distances have come together


def blur(
    X: ArrayLike,
    bandwidth: float,
    *,
    n_rounds: int = 5,
    batch_size: int | None = None,
    sample_weight: ArrayLike | None = None,
    n_jobs: int | None = None,
    device: Any = "auto",
) -> Any:
    r"""Move points by blurring mean shift with a Gaussian kernel, and return them.

    Each round moves every point to the weighted mean of its surroundings, x <- m(x). This is the fast.ai notebook's
    ``meanshift(data, bs)`` with ``batch_size=bs``, and its simultaneous form without.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features)
        Points; left unchanged.
    bandwidth : float
        Standard deviation h of the Gaussian, in the units of X.
    n_rounds : int, default=5
        Number of rounds.
    batch_size : int, optional
        None: all points of a round move at once. A number: rows move in place, so many at a time, and a batch sees
        those before it where they have just moved to; the result then depends on the number.
    sample_weight : array-like of shape (n_samples,), optional
        Weights, at least 0: a point of weight 2 pulls like two; one of weight 0 is moved but pulls nothing.
    n_jobs : int, optional
        Threads; None and -1 mean all cores. The result is the same to the bit for any number.
    device : str or torch.device, default="auto"
        Where sums are made: "auto" where X lies, "cpu", "cuda", "cuda:1" and the like; "torch": as a GPU does it, where
        X lies. On a device of Torch few points of float32 without weights move in one CUDA graph for all rounds.

    Returns
    -------
    ndarray, or tensor or array like X, of shape (n_samples, n_features)
        The moved points, in the dtype of X (float64 for integers), where X lies. Computed in float64: within 1e-5
        bandwidths, and mostly far closer, of the sums over all points. On a device of Torch float32 is summed in
        float32, by differences, where its coordinates resolve 1e-5 of the bandwidth.

    Raises
    ------
    ValueError
        If X is empty or not finite, or a parameter is out of range.
    TypeError
        If X does not hold real numbers, or a number is not one.

    See Also
    --------
    MeanShift : ``MeanShift(blurring=True)`` clusters by it.

    Examples
    --------
    >>> import numpy as np
    >>> import modeseek as ms
    >>> X = np.array([[0.0], [4.0], [20.0]])
    >>> ms.blur(X, 2.5, n_rounds=1).ravel().round(4)
    array([ 0.8702,  3.1298, 20.    ])
    >>> ms.blur(X, 2.5, n_rounds=1, batch_size=1).ravel().round(4)
    array([ 0.8702,  3.0187, 20.    ])
    """
    h = data.positive(bandwidth, "bandwidth")
    n_rounds = data.whole(n_rounds, "n_rounds", 0)
    if batch_size is not None:
        batch_size = data.whole(batch_size, "batch_size", 1)
    home, place = namespaces.Home.of(X), device_of(device, X)
    if place is not None:
        from modeseek.on_device.blurring import blur_on_device

        moved = blur_on_device(
            X, h, n_rounds=n_rounds, batch_size=batch_size, sample_weight=sample_weight, device=place
        )
        return home.back(moved)
    points = data.as_points(namespaces.as_numpy(X))
    weights = data.as_weights(namespaces.as_numpy(sample_weight), len(points))
    bounds = data.bounds(points, n_jobs)
    data.check_scale(bounds, h)
    if n_rounds == 0:
        return home.back(points.copy())
    problem = Problem(points, weights, bounds, h, tol=-1.0, max_iter=n_rounds, n_jobs=n_jobs)
    blurred = move(problem, batch_size, keep=weights.size > 0)
    return home.back(blurred.rows(points, n_jobs).astype(points.dtype))


@dataclass
class BlurredClusters(Clusters):
    """What blurring found; `label` gives any point, new or old, the label that the fit gives it."""

    blurred: Blurred
    groups: NDArray[np.int32]  # (m,) the label of each distinct point at the end
    points: NDArray[Any]  # (n, d) a copy of the data: their labels are known, not found again
    by_mode: NDArray[np.int32]  # (n,) the labels before modes were put together
    weights_of_points: Floats  # (n,), length 0: all one
    known: KeyLabels | None = None
    density: GaussianField | None = None

    @property
    def n_iter(self) -> int:
        """Number of rounds."""
        return self.blurred.n_rounds

    @property
    def n_unsettled(self) -> int:
        """Points that the last round moved by more than the tolerance."""
        return self.blurred.n_moving

    def label(self, points: NDArray[Any], n_jobs: int | None = None, **_: object) -> NDArray[np.int32]:
        """Label points: those of the fit as the fit did, others by the cluster nearest to where they are carried."""
        if self.known is None:  # the first call pays for sorting the data
            known = KeyLabels(self.points, bit_patterns)
            known.labels[known.numbers] = self.by_mode
            self.known = known
        out = np.empty(len(points), np.int32)
        if self.known.assign(points, out, n_jobs).unknown:
            rows = np.flatnonzero(out < 0)
            out[rows] = self._nearest(self.blurred.carry(points[rows], n_jobs))
        return self.by_cluster(out)

    def log_density(self, points: NDArray[Any], n_jobs: int | None = None) -> Floats:
        """Return the log of the normalised density of the data as they were before the first round."""
        if self.density is None:  # the first call pays for sorting the data
            self.density, _ = choose_field(
                np.asarray(self.points, np.float64), self.weights_of_points, self.blurred.bandwidth
            )
        return self.density.log_density(np.asarray(points, np.float64), n_jobs)

    def _nearest(self, positions: Floats) -> NDArray[np.int32]:
        blurred = self.blurred
        return self.groups[cKDTree(blurred.positions).query(positions - blurred.centre)[1]]

    def path(self, points: NDArray[Any], n_jobs: int | None = None) -> Floats:
        """Return the positions of points after each round, (n_rounds + 1, m, d), the first being the points."""
        x = points - self.blurred.centre
        path = [x]
        for moved_by in self.blurred.rounds:
            path.append(moved_by.carry(path[-1], n_jobs))
        return np.stack(path) + self.blurred.centre


def cluster_by_blurring(problem: Problem, batch_size: int | None = None) -> BlurredClusters:
    """Blur, and let points that have come together be one cluster."""
    blurred = move(problem, batch_size)
    problem.report("label")
    x, w = blurred.positions, blurred.weights
    group, _ = group_by_location(x, TOGETHER * problem.bandwidth)
    weights = np.bincount(group, w).astype(np.float64)
    modes = np.stack([np.bincount(group, w * column) for column in x.T], axis=-1) / weights[:, None]
    order = np.lexsort((*modes.T[::-1], -weights))
    groups = np.argsort(order).astype(np.int32)[group]
    labels = groups[blurred.owners]
    found = BlurredClusters(
        modes[order] + blurred.centre, weights[order], labels, blurred, groups, problem.points.copy(), labels,
        problem.weights.copy(),
    )  # fmt: skip
    idle = np.flatnonzero(blurred.owners < 0)
    if len(idle):
        labels[idle] = found._nearest(blurred.carry(problem.points[idle], problem.n_jobs))
    found.by_mode = labels.copy()
    return found
