"""Seeds of k-means on a device: greedy k-means++, k-means||, rows drawn by weight (`modeseek.kmeans.seeding`).

Random numbers are those that the CPU would draw, in its order, and are looked up in the running sums of the rows in
their order: the same rows come out, but where rounding decides. For k-means++ the host waits for nothing.
"""

import numpy as np
import torch
from numpy.random import RandomState

from modeseek.engines import triton
from modeseek.engines.gpu.assign import Frame, nearest
from modeseek.engines.gpu.groups import Groups, added, own_squares

FAN = 256  # values that have one sum in the next level
TARGETS_AT_ONCE = 32
VALUES_AT_ONCE = 1 << 24  # of the twin's temporaries
ROUNDS = 5  # of k-means||
OVERSAMPLING = 2.0


class Running:
    """Running sums of values that are not negative, as sums of 256 values, of 256 such sums, and so on.

    Torch's own running sums of floats are not the same every time on a GPU.
    """

    def __init__(self, values: torch.Tensor):
        self.n, self.levels = len(values), [values]
        while len(self.levels[-1]) > FAN:
            top = self.levels[-1]
            self.levels.append(torch.nn.functional.pad(top, (0, -len(top) % FAN)).view(-1, FAN).sum(1))
        self.total = self.levels[-1].sum()
        self.below = torch.ones(FAN, FAN, dtype=torch.float64, device=values.device).tril()

    def rows_at(self, targets: torch.Tensor, beyond: bool = False) -> torch.Tensor:
        """Return the first rows at which the running sum reaches targets, or is beyond them."""
        parts = [self._rows_at(part, beyond) for part in targets.split(TARGETS_AT_ONCE)]
        return torch.cat(parts)

    def _rows_at(self, targets: torch.Tensor, beyond: bool) -> torch.Tensor:
        at = torch.zeros(len(targets), dtype=torch.int64, device=targets.device)
        numbers = torch.arange(FAN, device=targets.device)
        for level in reversed(self.levels):
            places = at[:, None] * FAN + numbers
            values = torch.where(places < len(level), level[places.clamp(max=len(level) - 1)], 0.0)
            running = (values[:, None, :] * self.below).sum(2)
            passed = running <= targets[:, None] if beyond else running < targets[:, None]
            last = torch.where(values > 0.0, numbers, 0).amax(1)  # rounding must not lead to what weighs nothing
            step = torch.minimum(passed.sum(1), last)
            before = torch.where(step > 0, running.gather(1, (step - 1).clamp(min=0)[:, None])[:, 0], 0.0)
            targets, at = targets - before, at * FAN + step
        return at


def plus_plus(
    points: torch.Tensor, weights: torch.Tensor | None, k: int, random: RandomState, trials: int | None = None
) -> torch.Tensor:
    """Return the rows that greedy k-means++ draws, on the device."""
    trials = 2 + int(np.log(k)) if trials is None else trials
    n, device = len(points), points.device
    first = _upload(random.random_sample(1), device)
    draws = _upload(random.uniform(size=(k - 1, trials)), device)
    rows = torch.empty(k, dtype=torch.int64, device=device)
    rows[:1] = by_weight(_ones(n, device) if weights is None else weights, first)
    closest = torch.full((n,), torch.inf, dtype=torch.float64, device=device)
    order = torch.arange(trials, device=device)
    for c in range(1, k):
        take_in(points, closest, points[rows[c - 1 : c]].double())
        running = Running(closest if weights is None else closest * weights)
        drawn = running.rows_at(draws[c - 1] * running.total)
        sums = potentials(points, weights, closest, points[drawn].double())
        best = torch.where(sums == sums.min(), order, trials).min()  # the first of equally good ones
        rows[c : c + 1] = drawn.gather(0, best.clamp(max=trials - 1).reshape(1))
    return rows


def by_weight(weights: torch.Tensor, uniform: torch.Tensor) -> torch.Tensor:
    """Return the rows that numbers from [0, 1) draw by weight."""
    running = Running(weights)
    return running.rows_at(uniform * running.total, beyond=True)


def take_in(points: torch.Tensor, closest: torch.Tensor, seed: torch.Tensor) -> None:
    """Lower the squared distances of rows from the closest seed where one more seed, (1, d) float64, is closer."""
    if triton.runs_on(points):
        from modeseek.engines.triton import seeding as kernels

        return kernels.take_in(points, closest, seed)
    for part in _parts(points):
        torch.minimum(closest[part], (points[part].double() - seed).square_().sum(1), out=closest[part])
    return None


def potentials(
    points: torch.Tensor, weights: torch.Tensor | None, closest: torch.Tensor, candidates: torch.Tensor
) -> torch.Tensor:
    """Return the weighted sum of squared distances with each candidate, (trials, d) float64, as one more seed."""
    if triton.runs_on(points):
        from modeseek.engines.triton import seeding as kernels

        return kernels.potentials(points, weights, closest, candidates)
    found = torch.zeros(len(candidates), dtype=torch.float64, device=points.device)
    for part in _parts(points):
        x = points[part].double()
        for j, candidate in enumerate(candidates):
            squares = torch.minimum((x - candidate).square_().sum(1), closest[part])
            found[j] += squares.sum() if weights is None else (squares * weights[part]).sum()
    return found


def scalable(
    points: torch.Tensor, frame: Frame, weights: torch.Tensor | None, k: int, random: RandomState
) -> torch.Tensor:
    """Return the rows that k-means|| chooses: k-means++ among the points of a few oversampled rounds."""
    n, device = len(points), points.device
    w = _ones(n, device) if weights is None else weights
    drawn = by_weight(w, _upload(random.random_sample(1), device))
    closest = _squares_from(points, frame, drawn)
    for _ in range(ROUNDS):
        chances = w * closest
        total = chances.sum()
        if not bool(total > 0.0):
            break
        new = torch.nonzero(_upload(random.uniform(size=n), device) * total < OVERSAMPLING * k * chances).flatten()
        if len(new):
            drawn = torch.cat([drawn, new])
            torch.minimum(closest, _squares_from(points, frame, new), out=closest)
    drawn = torch.unique(drawn)
    if len(drawn) <= k:
        return torch.cat([drawn, _others(w, drawn, k - len(drawn), random)])
    candidates = points[drawn]
    labels = nearest(points, frame, candidates.double())
    masses = added(w[:, None], Groups.of(labels, len(drawn)))[:, 0].contiguous()
    return drawn[plus_plus(candidates, masses, k, random)]


def random_rows(
    n: int, weights: torch.Tensor | None, k: int, random: RandomState, device: torch.device
) -> torch.Tensor:
    """Return k different rows, drawn by weight: what RandomState.choice would draw; the k rows pass by the host."""
    w = _ones(n, device) if weights is None else weights.clone()
    if int((w > 0.0).sum()) < k:
        raise ValueError(f"Fewer rows have a sample_weight above 0 than there are clusters ({k}): no {k} can be drawn.")
    found = np.empty(0, np.int64)
    while len(found) < k:
        uniform = random.random_sample(k - len(found))
        w[torch.from_numpy(found).to(device)] = 0.0
        new = by_weight(w, _upload(uniform, device)).cpu().numpy()
        found = np.concatenate([found, new[np.sort(np.unique(new, return_index=True)[1])]])
    return torch.from_numpy(found).to(device)


def _others(w: torch.Tensor, drawn: torch.Tensor, missing: int, random: RandomState) -> torch.Tensor:
    """Return rows that were not drawn, those with weight if they are enough."""
    free = torch.ones_like(w, dtype=torch.bool)
    free[drawn] = False
    others = torch.nonzero(free & (w > 0.0)).flatten()
    if len(others) < missing:
        others = torch.nonzero(free).flatten()
    chosen = random.choice(len(others), missing, replace=False)
    return others[torch.from_numpy(chosen.astype(np.int64)).to(w.device)]


def _squares_from(points: torch.Tensor, frame: Frame, rows: torch.Tensor) -> torch.Tensor:
    """Return the squared distance of each point from the nearest of some rows."""
    centres = points[rows].double()
    return own_squares(points, nearest(points, frame, centres), frame.base, centres)


def _parts(points: torch.Tensor) -> list[slice]:
    step = max(1, VALUES_AT_ONCE // points.shape[1])
    return [slice(start, start + step) for start in range(0, len(points), step)]


def _ones(n: int, device: torch.device) -> torch.Tensor:
    return torch.ones(n, dtype=torch.float64, device=device)


def _upload(values: np.ndarray, device: torch.device) -> torch.Tensor:
    return torch.from_numpy(values).to(device)
