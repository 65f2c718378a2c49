r"""k-means on a device of Torch: the results of `modeseek.kmeans.lloyd`, from the sums in `engines.gpu`.

    a_i = argmin_j |x_i - c_j|,        c_j = sum_{a_i = j} w_i x_i / sum_{a_i = j} w_i.

Labels are those of float64 (`engines.gpu.assign`); every round sorts the rows by label and adds them up anew, in
float64 and in one order (`engines.gpu.groups`). The host never makes the device wait: a round is asked for before the
numbers of the one before it have been read (labels that changed, shift of the centres, empty clusters), and is dropped
if these say that it should not have been.

To the CPU go bounds, centres, masses and these numbers. Of several clusters that are empty in the same round the first
gets the point that lies furthest from its centre, the next one the next: the CPU's order among them is not defined.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.random import RandomState
from numpy.typing import NDArray

from modeseek.engines.gpu import as_tensor, as_tensor_weights, bounds, needs_float64, room_for
from modeseek.engines.gpu.assign import Frame, nearest
from modeseek.engines.gpu.groups import Groups, added, moments, own_squares
from modeseek.engines.gpu.seeding import plus_plus, random_rows, scalable
from modeseek.kmeans.nearest import Floats, base_of, check_span
from modeseek.kmeans.seeding import check_start

BYTES_A_POINT = 48  # labels three times, open rows twice, sorting, squares
DISTANCES_AT_ONCE = 1 << 25


@dataclass(frozen=True)
class Points:
    """Points (n, d) and their weights (None: all one) on a device, where they lie, and their mean variance."""

    x: torch.Tensor
    weights: torch.Tensor | None
    frame: Frame
    variance: float

    @classmethod
    def of(cls, x: torch.Tensor, weights: torch.Tensor | None) -> "Points":
        """Look at points twice: NaN and infinity are refused, and what float64 cannot square."""
        ends = _ends(x)
        base = base_of(ends)
        middle = 0.5 * (ends[0] - base) + 0.5 * (ends[1] - base)
        found = moments(x, torch.from_numpy(base + middle).to(x.device))
        first, second = (sums.cpu().numpy() / len(x) for sums in found)
        variance = np.maximum(second - first * first, 0.0).mean()
        return cls(x, weights, Frame.of(x, ends, base + middle + first, base), float(variance))

    @classmethod
    def plain(cls, x: torch.Tensor, weights: torch.Tensor | None = None) -> "Points":
        """Look at points once: enough to label them by centres in the coordinates of the user."""
        ends = _ends(x)
        return cls(x, weights, Frame.of(x, ends, 0.5 * ends[0] + 0.5 * ends[1], np.zeros(x.shape[1])), 0.0)


@dataclass
class Found:
    """Where Lloyd's rounds ended: as `modeseek.kmeans.lloyd.Found`, with tensors but for the masses."""

    centres: torch.Tensor
    labels: torch.Tensor
    inertia: float
    n_iter: int
    masses: Floats

    @property
    def distinct(self) -> int:
        """How many clusters have points."""
        return len(torch.unique(self.labels))


class Reading:
    """A few numbers on their way to the host, which waits for them only when it reads them."""

    def __init__(self, *numbers: torch.Tensor):
        values = torch.stack([number.double() for number in numbers])
        self.event = None
        if values.is_cuda:
            self.values = torch.empty(len(numbers), dtype=torch.float64, pin_memory=True)
            self.values.copy_(values, non_blocking=True)
            self.event = torch.cuda.Event()
            self.event.record(torch.cuda.current_stream(values.device))
        else:
            self.values = values

    def read(self) -> list[float]:
        """Return the numbers."""
        if self.event is not None:
            self.event.synchronize()
        return [float(value) for value in self.values.tolist()]


class Round:
    """One of Lloyd's rounds: labels, sums and masses, where the centres go, and what the host must know of it."""

    def __init__(self, points: Points, centres: torch.Tensor, before: torch.Tensor | None, labels: torch.Tensor):
        x, weights, frame = points.x, points.weights, points.frame
        self.centres, self.labels = centres, nearest(x, frame, centres, labels)
        groups = Groups.of(self.labels, len(centres))
        self.sums = added(x, groups, weights, frame.base[None])
        self.masses = masses_of(groups, weights)
        self.means = _means(self.sums, self.masses)
        moved = torch.full((), len(x), device=x.device) if before is None else (self.labels != before).sum()
        self.reading = Reading(moved, (self.means - centres).square().sum(), (self.masses == 0.0).sum())

    def move_empty(self, points: Points) -> float | None:
        """Give empty clusters the points furthest from their centres; return the shift, None if no point is away."""
        squares = own_squares(points.x, self.labels, points.frame.base, self.centres)
        if float(squares.max()) == 0.0:  # no more distinct points than clusters
            return None
        sums, masses = self.sums.cpu().numpy(), self.masses.cpu().numpy()
        empty = np.flatnonzero(masses == 0.0)
        rows = torch.sort(squares, descending=True, stable=True).indices[: len(empty)]
        pulls = (points.x[rows].double() - points.frame.base).cpu().numpy()
        weights = np.ones(len(empty)) if points.weights is None else points.weights[rows].cpu().numpy()
        old = self.labels[rows].cpu().numpy()
        for new, label, weight, x in zip(empty, old, weights, pulls, strict=True):
            sums[label] -= weight * x
            sums[new] = weight * x
            masses[label] -= weight
            masses[new] = weight
        device = self.sums.device
        self.means = _means(torch.from_numpy(sums).to(device), torch.from_numpy(masses).to(device))
        return float((self.means - self.centres).square().sum())


def _means(sums: torch.Tensor, masses: torch.Tensor) -> torch.Tensor:
    """Return where centres go; those without weight to the heaviest."""
    held = (masses > 0.0)[:, None]
    means = sums / torch.where(held, masses[:, None], 1.0)
    return torch.where(held, means, means.index_select(0, masses.argmax().reshape(1)))


def masses_of(groups: Groups, weights: torch.Tensor | None) -> torch.Tensor:
    """Return the weight of each group."""
    return groups.counts.double() if weights is None else added(weights[:, None], groups)[:, 0]


def lloyd(
    points: Points,
    start: torch.Tensor,
    max_iter: int,
    tol: float,
    report: Callable[[str], None] | None = None,
) -> Found:
    """Run Lloyd's rounds from a start, (k, d): see `modeseek.kmeans.lloyd.lloyd`."""
    x, base = points.x, points.frame.base
    n, k = len(x), len(start)
    with room_for(f"{k} clusters of {n} points", BYTES_A_POINT * n, str(x.device)):
        spare = torch.empty(2, n, dtype=torch.int32, device=x.device)
        this = Round(points, start.double() - base, None, spare[0])
        n_iter = 1
        while True:
            ahead = Round(points, this.means, this.labels, spare[n_iter % 2]) if n_iter < max_iter else None
            moved, shift, empty = this.reading.read()
            if empty:
                relocated = this.move_empty(points)
                if relocated is not None:
                    shift, ahead = relocated, None
            if report:
                report(
                    f"Iteration {n_iter - 1}: {int(moved)} labels changed, "
                    f"squared shifts of the centres sum to {shift:g}."
                )
            if not moved or shift <= tol or n_iter == max_iter:
                break
            this = ahead or Round(points, this.means, this.labels, spare[n_iter % 2])
            n_iter += 1
        published = (this.means + base).to(x.dtype)
        labels = nearest(x, points.frame.without_base(), published.double())
        return Found(
            published, labels, inertia_of(points, published.double(), labels), n_iter,
            masses_of(Groups.of(labels, k), points.weights).cpu().numpy(),
        )  # fmt: skip


def inertia_of(points: Points, centres: torch.Tensor, labels: torch.Tensor) -> float:
    """Return the weighted sum of squared distances of points from the centres of their labels, in the user's frame."""
    squares = own_squares(points.x, labels, torch.zeros_like(points.frame.base), centres)
    return float((squares if points.weights is None else squares * points.weights).sum())


def better(one: Found, other: Found) -> bool:
    """Whether one result is better than another, and not the same clusters in another order."""
    if not one.inertia < other.inertia:
        return False
    if other.inertia - one.inertia > 1e-6 * other.inertia:
        return True
    pairs = one.labels.long() * len(one.centres) + other.labels
    return len(torch.unique(pairs)) > other.distinct


def fit(
    points: Points,
    starts: list[Callable[[], torch.Tensor]],
    max_iter: int,
    tol: float,
    report: Callable[[str], None] | None = None,
) -> Found:
    """Return the best of what Lloyd's rounds find from several starts; ``tol`` is in mean variances of the columns."""
    best: Found | None = None
    for start in starts:
        found = lloyd(points, start(), max_iter, tol * points.variance, report)
        if best is None or better(found, best):
            best = found
    assert best is not None
    return best


def start_of(points: Points, init: Any, k: int, random: RandomState, seen: Any) -> torch.Tensor:
    """Return where centres start, (k, d) in the dtype of the points; functions are called with what the user gave."""
    x, weights = points.x, points.weights
    device = str(x.device)
    if isinstance(init, str):
        if init == "random":
            return x[random_rows(len(x), weights, k, random, x.device)]
        if init == "k-means||":
            return x[scalable(x, points.frame.without_base(), weights, k, random)]
        return x[plus_plus(x, weights, k, random)]
    given = init(seen, k, random_state=random) if callable(init) else init
    start = as_tensor(given, device, "init").to(x.dtype)
    check_start(tuple(start.shape), bool(torch.isfinite(start).all()), (k, x.shape[1]))
    return start


def seeds(
    X: Any, sample_weight: Any, k: int, random: RandomState, trials: int | None, device: str
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the seeds of greedy k-means++, (k, d), and their rows."""
    points = Points.plain(as_tensor(X, device))
    if len(points.x) < k:
        raise ValueError(f"n_samples={len(points.x)} should be >= n_clusters={k}.")
    rows = plus_plus(points.x, as_tensor_weights(sample_weight, len(points.x), device), k, random, trials)
    return points.x[rows], rows


def step(points: Points, exact: Floats, masses: Floats) -> tuple[Floats, Floats]:
    """Return the centres and the weights that they have gathered after one more batch (`modeseek.kmeans.batches`)."""
    centres = torch.from_numpy(exact).to(points.x.device)
    groups = Groups.of(nearest(points.x, points.frame, centres), len(exact))
    pulls = added(points.x, groups, points.weights, centres).cpu().numpy()
    gained = masses_of(groups, points.weights).cpu().numpy()
    total = masses + gained
    return exact + pulls / np.where(gained > 0.0, total, 1.0)[:, None], total


def labelled(points: Points, centres: Any) -> torch.Tensor:
    """Return the number of the nearest of centres, of any array kind, for each point."""
    return nearest(points.x, points.frame, centres_on(centres, points.x))


def inertia_from(points: Points, centres: Any) -> float:
    """Return the weighted sum of squared distances of points from the nearest of centres of any array kind."""
    c = centres_on(centres, points.x)
    return inertia_of(points, c, nearest(points.x, points.frame, c))


def distances(x: torch.Tensor, centres: Any) -> torch.Tensor:
    """Return the distances (n, k) of points from centres, by differences in float64, in the dtype of the points."""
    c = centres_on(centres, x)
    with room_for(f"distances of {len(x)} points from {len(c)} centres", len(x) * len(c) * x.itemsize, str(x.device)):
        out = torch.empty(len(x), len(c), dtype=x.dtype, device=x.device)
        rows = max(1, DISTANCES_AT_ONCE // len(c))
        for start in range(0, len(x), rows):
            part = slice(start, start + rows)
            out[part] = torch.cdist(x[part].double(), c, compute_mode="donot_use_mm_for_euclid_dist")
    return out


def centres_on(centres: Any, x: torch.Tensor) -> torch.Tensor:
    """Return centres as float64 where the points are."""
    return as_tensor(centres, str(x.device), "centers").double()


def _ends(x: torch.Tensor) -> NDArray[np.float64]:
    needs_float64(str(x.device), "k-means")
    ends = bounds(x)
    check_span(ends)
    return ends
