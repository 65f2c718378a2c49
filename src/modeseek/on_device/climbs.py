"""Climbs of many points at once on a device: no word to the CPU between steps but to ask who is still on the way.

Rows that have arrived stay where they are until the next look, after 1, 3, 7, 15 and then every eight steps; then the
others close ranks, in an order that keeps near ones together.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

import torch

from modeseek.engines.gpu.compact import compact_order
from modeseek.engines.gpu.shift import BLOCK, Sums

LOOK_EVERY = 8  # steps
VALUES_AT_ONCE = 1 << 24  # distances to traps


@dataclass(frozen=True)
class DeviceTraps:
    """Balls in which every path ends at the centre (`fields.traps`), all lengths in bandwidths, on a device."""

    centres: torch.Tensor  # (k, d)
    radii: torch.Tensor  # (k,); 0: nothing is caught

    @classmethod
    def none(cls, like: torch.Tensor) -> "DeviceTraps":
        """Return no traps, for rows like these."""
        return cls(like[:0].clone(), like.new_empty(0))

    def __len__(self) -> int:
        return len(self.radii)

    def and_more(self, centres: torch.Tensor, radii: torch.Tensor) -> "DeviceTraps":
        """Return these balls and more."""
        return DeviceTraps(torch.cat([self.centres, centres]), torch.cat([self.radii, radii]))

    def nearest(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the nearest centre of each row and its distance, infinite where there are none."""
        if not len(self):
            return torch.zeros(len(x), dtype=torch.int64, device=x.device), torch.full_like(x[:, 0], torch.inf)
        index = nearest_row(x, self.centres)
        return index, (x - self.centres[index]).square().sum(dim=1).sqrt()

    def catch(self, x: torch.Tensor) -> torch.Tensor:
        """Return the trap that each row is in, -1 for none."""
        index, distance = self.nearest(x)
        if not len(self):
            return index - 1
        return torch.where(distance < self.radii[index], index, -1)


def nearest_row(x: torch.Tensor, others: torch.Tensor) -> torch.Tensor:
    """Return which of a few other rows is nearest to each row; rounding may choose another where two are as near."""
    middle = others.mean(dim=0)
    moved = others - middle
    half_norms = 0.5 * moved.square().sum(dim=1)
    index = torch.empty(len(x), dtype=torch.int64, device=x.device)
    rows = max(1, VALUES_AT_ONCE // len(others))
    for start in range(0, len(x), rows):
        part = slice(start, start + rows)
        index[part] = ((x[part] - middle) @ moved.T - half_norms).argmax(dim=1)
    return index


class Climbed(NamedTuple):
    """Where climbs ended."""

    ends: torch.Tensor  # (m, d)
    steps: torch.Tensor  # (m,), negative where they were cut short
    caught: torch.Tensor  # (m,), the trap that ended the climb, -1 for none


@dataclass
class _Flock:
    """Climbs that are on the way, in compact order."""

    rows: torch.Tensor  # which of the starts
    x: torch.Tensor
    previous: torch.Tensor  # length of the last step
    done: torch.Tensor = field(init=False)
    steps: torch.Tensor = field(init=False)
    caught: torch.Tensor = field(init=False)

    def __post_init__(self) -> None:
        self.done = torch.zeros(len(self.x), dtype=torch.bool, device=self.x.device)
        self.steps = torch.zeros_like(self.rows)
        self.caught = torch.full_like(self.rows, -1)

    def arrive(self, who: torch.Tensor, steps: int) -> None:
        """Keep that some have arrived."""
        self.steps = torch.where(who & ~self.done, max(steps, 1), self.steps)
        self.done |= who

    def left(self, compactly: bool) -> "_Flock":
        """Return those that have not arrived."""
        kept = torch.nonzero(~self.done)[:, 0]
        if compactly and len(kept) > BLOCK:
            kept = kept[compact_order(self.x[kept], BLOCK)]
        return _Flock(self.rows[kept], self.x[kept], self.previous[kept])


def climb(
    shift: Callable[[torch.Tensor], Sums],
    starts: torch.Tensor,
    traps: DeviceTraps,
    rests: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
    max_iter: int,
    *,
    landing: Callable[[torch.Tensor], torch.Tensor] | None = None,
    compactly: bool = False,
) -> Climbed:
    """Climb until each row rests, is in a trap, or has made ``max_iter`` steps.

    Parameters
    ----------
    shift : callable
        Returns the kernel sums at rows.
    starts : tensor of shape (m, d)
        Where to start.
    traps : DeviceTraps
        What ends climbs.
    rests : callable
        Tells from the lengths of the last step and the one before (infinite: none) which climbs rest.
    max_iter : int
        Most steps.
    landing : callable, optional
        Where a start goes that has no point in reach; None: every start has.
    compactly : bool, default=False
        Whether what is left is put into compact order.
    """
    ends = starts.clone()
    steps = torch.full((len(starts),), -max_iter, device=starts.device)
    caught = torch.full_like(steps, -1)
    everyone = torch.arange(len(starts), device=starts.device)
    flock = _Flock(everyone, starts, torch.full_like(starts[:, 0], torch.inf))
    length = flock.previous
    for n in range(max_iter + 1):
        trap = traps.catch(flock.x) if len(traps) else flock.caught
        flock.caught = torch.where(flock.done, flock.caught, trap)
        arrived = flock.caught >= 0
        flock.arrive(arrived if n == 0 else arrived | rests(length, flock.previous), n)
        flock.previous = length
        if n == max_iter or _is_time_to_look(n):
            ends[flock.rows] = flock.x
            steps[flock.rows] = torch.where(flock.done, flock.steps, -max_iter)
            caught[flock.rows] = flock.caught
            flock = flock.left(compactly)
            if not len(flock.rows):
                break
        if n == max_iter:
            break
        found = shift(flock.x)
        moved = flock.x + found.steps
        landed = None
        if n == 0 and landing is not None:
            landed = found.totals <= 0.0
            moved = torch.where(landed[:, None], landing(flock.x), moved)
        length = (moved - flock.x).square().sum(dim=1).sqrt()
        if landed is not None:
            length = torch.where(landed, torch.inf, length)
        flock.x = torch.where(flock.done[:, None], flock.x, moved)
    return Climbed(ends, steps, caught)


def _is_time_to_look(n: int) -> bool:
    return n & (n + 1) == 0 if n < 2 * LOOK_EVERY else n % LOOK_EVERY == 0
