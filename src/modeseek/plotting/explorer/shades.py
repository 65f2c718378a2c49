"""Colours that clusters keep while the bandwidth changes.

From the widest bandwidth to the finest, the colour of a cluster goes on to the one that most of its weight is in, if
that one has most of its own weight from there. All others are new, and take a colour that is free, or, when there is
none, the one that the least weight has.
"""

import numpy as np
from numpy.typing import NDArray

from modeseek.plotting.explorer.clusterings import Clusterings, Floats
from modeseek.plotting.palette import COLORS

N_COLORS = len(COLORS)


def lasting_colors(found: Clusterings, weights: Floats) -> list[NDArray[np.uint8]]:
    """Return the numbers of the colours of the clusters at every bandwidth; `weights` are of histories, (k,)."""
    stops = range(len(found.bandwidths))
    colors: list[NDArray[np.uint8]] = []
    wider: int | None = None
    for stop in reversed(stops):
        inherited = np.full(len(found.modes[stop]), -1)
        if wider is not None:
            finer_of, wider_of = _heirs(found.histories[:, stop], found.histories[:, wider], weights)
            inherited[finer_of] = colors[-1][wider_of]
        colors.append(_with_new(inherited, found.weights[stop]))
        wider = stop
    return colors[::-1]


def _heirs(
    finer: NDArray[np.int32], wider: NDArray[np.int32], weights: Floats
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return pairs of a cluster and the wider one whose colour it takes."""
    n_wider = int(wider.max()) + 1
    keys, which = np.unique(finer.astype(np.int64) * n_wider + wider, return_inverse=True)
    shared = np.bincount(which, weights)
    a, b = np.divmod(keys, n_wider)
    order = np.lexsort((keys, -shared))  # largest overlap first
    parents = order[np.unique(a[order], return_index=True)[1]]  # of each finer cluster, the pair with its parent
    parents = parents[np.lexsort((keys[parents], -shared[parents]))]
    heirs = parents[np.unique(b[parents], return_index=True)[1]]  # of each parent, its largest child
    return a[heirs], b[heirs]


def _with_new(inherited: NDArray[np.int64], weights: Floats) -> NDArray[np.uint8]:
    """Give clusters without a colour one: a free one, else the one with the least weight."""
    load = np.zeros(N_COLORS)
    np.add.at(load, inherited[inherited >= 0], np.maximum(weights[inherited >= 0], np.finfo(float).tiny))
    for cluster in np.flatnonzero(inherited < 0):  # by decreasing weight
        inherited[cluster] = np.argmin(load)
        load[inherited[cluster]] += max(weights[cluster], np.finfo(float).tiny)
    return inherited.astype(np.uint8)
