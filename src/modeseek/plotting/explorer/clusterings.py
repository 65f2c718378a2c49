"""The clusters of mean shift at every bandwidth of a path, held as histories.

The *history* of a point is the list of its labels, one for each bandwidth. Most points share theirs with many others,
so that a point needs one number, its code, and the labels of all points at bandwidth j are ``histories[codes, j]``.
Codes fall with the number of points that share a history.

It climbs nowhere itself: labels are those of `MeanShift`.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from modeseek.estimators import MeanShift
from modeseek.scale_space import BandwidthPath, bandwidth_path

Floats = NDArray[np.float64]
Progress = Callable[[int, int], None]  # told how many bandwidths of how many are done


@dataclass(frozen=True)
class Clusterings:
    """Labels, modes and sizes at m bandwidths."""

    path: BandwidthPath
    bandwidths: Floats  # (m,), ascending: those of the path and the one it chose
    start: int  # where the chosen one is
    codes: NDArray[np.int64]  # (n,)
    histories: NDArray[np.int32]  # (k, m)
    modes: list[Floats]  # m of (clusters, d)
    weights: list[Floats]  # m of (clusters,)

    def labels(self, stop: int) -> NDArray[np.int32]:
        """Return the labels at one of the bandwidths, (n,)."""
        return self.histories[self.codes, stop]


def cluster_at_all(
    X: NDArray[np.floating],
    sample_weight: Floats | None,
    bandwidths: Floats | None,
    standardize: bool,
    fidelity: str,
    n_jobs: int | None,
    progress: Progress | None,
) -> Clusterings:
    """Cluster at every bandwidth, from the widest to the finest."""
    path = bandwidth_path(_standard(X) if standardize else X, bandwidths, sample_weight=sample_weight, n_jobs=n_jobs)
    stops = np.union1d(path.bandwidths, path.bandwidth)
    codes, histories = np.zeros(len(X), np.int64), np.zeros((1, 0), np.int32)
    modes, weights = [], []
    for done, h in enumerate(stops[::-1]):
        if progress is not None:
            progress(done, len(stops))
        model = MeanShift(float(h), standardize=standardize, fidelity=fidelity, n_jobs=n_jobs)
        model.fit(X, sample_weight=sample_weight)
        modes.append(np.asarray(model.cluster_centers_, np.float64))
        weights.append(model.cluster_weights_)
        codes, histories = _lengthened(codes, histories, model.labels_)
    counts = np.bincount(codes, minlength=len(histories))
    order = np.argsort(-counts, kind="stable")
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    start = int(np.searchsorted(stops, path.bandwidth))
    return Clusterings(path, stops, start, rank[codes], histories[order, ::-1], modes[::-1], weights[::-1])


def _lengthened(
    codes: NDArray[np.int64], histories: NDArray[np.int32], labels: NDArray[np.int32]
) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """Append labels to the histories; codes stay sorted by the histories from their beginning."""
    n_labels = int(labels.max()) + 1
    keys, codes = np.unique(codes * n_labels + labels, return_inverse=True)
    before, label = np.divmod(keys, n_labels)
    return codes, np.column_stack([histories[before], label.astype(np.int32)])


def _standard(X: NDArray[np.floating]) -> Floats:
    from sklearn.preprocessing import StandardScaler

    return StandardScaler().fit_transform(np.asarray(X, np.float64))
