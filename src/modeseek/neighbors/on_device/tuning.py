"""Choosing the settings of hash tables on a device, by the steps of `modeseek.neighbors.lsh_tuning`.

The true neighbours of the sample, the tables of all points and the searches that are measured are on the device; some
20 000 points, with which settings are tried, go to the CPU.
"""

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from modeseek.neighbors import lsh_tuning
from modeseek.neighbors.hashed import chosen_by_itself
from modeseek.neighbors.lsh import FEW, Settings
from modeseek.neighbors.lsh_tuning import MOST_PROBES, PROBES_TRIED, TRIED, Sample, Tuned
from modeseek.neighbors.on_device.exact import DeviceSearch, refuse_few_bits
from modeseek.neighbors.on_device.hashed import DeviceFrame, DeviceHashedPoints, follow, with_probes


class _Rows:
    """Points of a device in the coordinates of a frame, as arrays, when rows of them are asked for."""

    def __init__(self, X: torch.Tensor, frame: DeviceFrame):
        self.X, self.frame, self.shape = X, frame, tuple(X.shape)

    def __len__(self) -> int:
        return len(self.X)

    def __getitem__(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        return self.frame.into(self.X[torch.from_numpy(rows).to(self.X.device)]).cpu().numpy()


def tune(
    X: torch.Tensor,
    given: Settings,
    *,
    n_hashes: int | None,
    width: float | None,
    n_probes: float | None,
    recall: float,
    k: int,
    n_queries: int,
    n_jobs: int | None = None,
) -> Tuned:
    """Make an index of X whose searches have a recall (see `lsh_tuning.tune`)."""
    refuse_few_bits(X)
    if len(X) <= FEW:
        few = replace(given, n_probes=n_probes or given.n_probes, n_hashes=n_hashes or 8)
        return Tuned(DeviceHashedPoints(X, few), 1.0, len(X))  # type: ignore[arg-type]
    frame = DeviceFrame(X)
    rows = np.random.default_rng([given.seed, 1]).permutation(len(X))[:n_queries]
    sample = true_neighbors(X, rows, k)
    middle = float(np.median(sample.reach)) or float(sample.reach.max()) or 1.0 / frame.scale
    tried = list(lsh_tuning.grid(given, n_hashes, width, middle))
    settings = lsh_tuning.choose(_Rows(X, frame), frame, sample, tried, recall, n_jobs)  # type: ignore[arg-type]
    index = DeviceHashedPoints(X, settings, frame)
    cut = 2 * len(rows) // 3
    if n_probes is None:
        n_probes = _probes_for(index, sample, slice(TRIED if cut >= 4 * TRIED else 0, cut), recall)
    with_probes(index, n_probes)
    return Tuned(index, measure(index, sample, slice(cut, None)), len(rows) - cut)  # type: ignore[arg-type]


def true_neighbors(X: torch.Tensor, rows: NDArray[np.int64], k: int) -> Sample:
    """Find the k nearest of all points to some of them, themselves left out."""
    distances, found = DeviceSearch(X).nearest_to(torch.from_numpy(rows).to(X.device), k)
    return Sample(rows, found.cpu().numpy(), distances[:, -1].cpu().numpy())


def _probes_for(index: DeviceHashedPoints, sample: Sample, part: slice, recall: float) -> float:
    """Return how many buckets give a recall."""
    device = index.X.device
    own, truth = (torch.from_numpy(x[part]).to(device) for x in (sample.rows, sample.neighbors))
    n, k = len(index.X), sample.neighbors.shape[1]
    for most in (PROBES_TRIED // 4, PROBES_TRIED, MOST_PROBES):
        hits, seen = follow(index, index.X[own], own, truth, most)
        reached, _ = lsh_tuning.recall_and_cost(hits, seen.astype(np.float64), k, n, index.settings.n_tables)
        if reached[-1] >= recall:
            b = int((reached >= recall).argmax())
            return b + float((recall - reached[b - 1]) / (reached[b] - reached[b - 1])) if b else 1.0
    return float(MOST_PROBES)


def measure(index: DeviceHashedPoints, sample: Sample, part: slice) -> float:
    """Return the recall of an actual search: rows no further than the true k-th neighbour, without the row itself."""
    k = sample.neighbors.shape[1]
    rows, reach = (torch.from_numpy(x[part]).to(index.X.device) for x in (sample.rows, sample.reach))
    distances, found = index.nearest(index.X[rows], k + 1)
    good = (distances <= reach[:, None] * (1.0 + 1e-6)) & (found != rows[:, None])
    return float(good.sum(dim=1).clamp(max=k).double().mean()) / k


def measured(index: DeviceHashedPoints, k: int) -> float:
    """Return the recall of an index on a sample of its points."""
    if len(index.X) <= FEW:
        return 1.0
    rows = np.random.default_rng([index.settings.seed, 1]).permutation(len(index.X))[: lsh_tuning.SAMPLE // 3]
    return measure(index, true_neighbors(index.X, rows, k), slice(None))


class DeviceHashSearch:
    """Points in hash tables behind the verbs of a search (see `neighbors.hashed.HashSearch`)."""

    def __init__(self, points: torch.Tensor, n_jobs: int | None = None):
        self.n_jobs = n_jobs
        self.tuned = tune(points, **chosen_by_itself(len(points)), n_jobs=n_jobs)
        self.index: Any = self.tuned.index

    def nearest(self, queries: torch.Tensor | None, k: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Return distances and rows, (m, k), of the k nearest candidates by rising distance, ties by lower row."""
        if queries is not None:
            return self.index.nearest(queries, k)
        distances, rows = self.index.nearest(self.index.X, k + 1)
        others = rows != torch.arange(len(rows), device=rows.device)[:, None]
        others[:, -1] &= ~others.all(dim=1)  # repeats took its place: the last is one too many
        return distances[others].view(-1, k), rows[others].view(-1, k)

    def count_within(self, queries: torch.Tensor | None, radii: torch.Tensor) -> torch.Tensor:
        """Return how many candidates are within the radius of each query (None: of each point, itself not counted)."""
        return self.within(queries, radii)[0].diff()

    def within(
        self, queries: torch.Tensor | None, radii: torch.Tensor, far: bool = True
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return (indptr, rows, distances) of the candidates within the radius of each query, by rising row."""
        indptr, rows, distances = self.index.within(self.index.X if queries is None else queries, radii)
        if queries is None:
            query = torch.repeat_interleave(torch.arange(len(indptr) - 1, device=rows.device), indptr.diff())
            others = rows != query
            indptr = indptr - torch.arange(len(indptr), device=rows.device)  # the first bucket visited is its own
            rows, distances = rows[others], distances[others]
        return indptr, rows, distances if far else distances[:0]
