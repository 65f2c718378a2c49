"""Where the points of an animation are at every moment: steps of mean shift, and a clock that paces them.

Points hurry at first and creep at last, so frames are not spread evenly over the steps but over the way: with
v_t(i) the length of point i's step t, the clock advances in step t by

    1/2 mean_i v_t(i) / sum_t mean_i v_t(i)  +  1/2 max_i v_t(i) / sum_t max_i v_t(i),

the second term for the few that are still on their way when most have arrived.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from modeseek import textbook
from modeseek.plotting import arrays, models
from modeseek.plotting.arrays import positive

ROUNDS = 5  # of blurring, as in the notebook
TOGETHER = 0.5  # bandwidths: blurred points so close are one cluster
ARRIVED = 0.01  # bandwidths from its end at which a point looks at rest

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Journey:
    """The way of every point."""

    steps: Floats  # (n_steps + 1, m, d)
    labels: NDArray[np.int64]  # (m,)
    modes: Floats  # (k, d)
    title: str

    @property
    def last(self) -> int:
        """Number of the last step."""
        return len(self.steps) - 1

    def at(self, moment: float) -> Floats:
        """Return positions, (m, d), between two steps."""
        step = min(int(moment), self.last - 1) if self.last else 0
        part = moment - step
        return (1 - part) * self.steps[step] + part * self.steps[min(step + 1, self.last)]

    def moments(self, n_frames: int) -> Floats:
        """Return the moment of each frame, from 0 to `last`: the clock above, started and stopped gently."""
        length = np.sqrt(np.square(np.diff(self.steps, axis=0)).sum(axis=2))  # (n_steps, m)
        pace = np.zeros(self.last)
        for v in (length.mean(axis=1), length.max(axis=1)) if self.last else ():
            pace += v / v.sum() if v.sum() > 0 else 1 / self.last
        clock = np.concatenate([[0.0], pace.cumsum()])
        u = np.linspace(0.0, 1.0, n_frames)
        eased = 0.5 * u + 0.5 * u * u * (3 - 2 * u)
        return np.interp(eased * clock[-1], clock, np.arange(len(clock)))


def climbing(X: NDArray[Any], rows: NDArray[np.int64], bandwidth: Any, weights: Any) -> Journey:
    """Let the points of some rows take the way that a model of all has for them."""
    model = models.fitted(bandwidth, X, weights)
    name = "Blurring mean shift" if model.blurring else "Mean shift"
    labels = models.labels_of(model, len(X))[rows].astype(np.int64)
    return Journey(way(model, X[rows]), labels, models.modes_of(model), f"{name}, {models.heading(model)}")


def way(model: Any, starts: NDArray[Any]) -> Floats:
    """Return the positions of points, (n_steps + 1, m, d), up to where the last one looks at rest."""
    steps = arrays.as_array(model.path(starts)).astype(np.float64)
    left = np.sqrt(np.square((steps - steps[-1]) / models.widths(model)).sum(axis=2)).max(axis=1)
    last = int(np.argmax(left <= ARRIVED))  # the final position is at distance 0
    return steps[: last + 1]


def blurring(X: NDArray[Any], rows: NDArray[np.int64], bandwidth: Any) -> Journey:
    """Move the points of some rows themselves, for a few rounds, and group what has come together."""
    h = positive("bandwidth", bandwidth)
    steps = [np.asarray(X[rows], np.float64)]
    for _ in range(ROUNDS):
        steps.append(textbook.meanshift(steps[-1], rounds=1, bandwidth=h))
    labels, modes = _gathered(steps[-1], TOGETHER * h)
    return Journey(np.stack(steps), labels, modes, f"Blurring mean shift, bandwidth {h:.3g}")


def _gathered(x: Floats, distance: float) -> tuple[NDArray[np.int64], Floats]:
    """Return groups of points that are linked by `distance`, the largest first, and their means."""
    pairs = cKDTree(x).query_pairs(distance, output_type="ndarray")
    links = coo_array((np.ones(len(pairs), bool), (pairs[:, 0], pairs[:, 1])), shape=(len(x), len(x)))
    k, group = connected_components(links, directed=False)
    sizes = np.bincount(group, minlength=k)
    order = np.argsort(-sizes, kind="stable")
    labels = np.argsort(order)[group]
    means = np.stack([np.bincount(labels, column, k) for column in x.T], axis=1) / sizes[order][:, None]
    return labels.astype(np.int64), means
