"""Modes of climbs on a device: how rows that rest are matched with modes, as `climb` and `resting` do it on the CPU.

Rows stay on the device. One of each small cell of resting places goes to the CPU, where Newton's method (its sums made
on the device) says whether it is at a mode.
"""

from typing import Any

import numpy as np
import torch

from modeseek.climb import FINER, PATIENCE, PLATEAU, ModeFinder, group_by_location, polish
from modeseek.engines.gpu.distinct import distinct_rows
from modeseek.engines.gpu.moments import contractions
from modeseek.fields import Floats, Ints
from modeseek.fields.blocks import FRUITFUL, PILOTS, SAME_REST
from modeseek.fields.traps import RADII, SAME, radius_of
from modeseek.on_device.climbs import Climbed
from modeseek.on_device.field import PointsOnDevice
from modeseek.resting import CONVERGED

AT_ONCE = 1 << 11  # starts up to which all climb together, to rest
ROUNDED = 1.0 + 1e-9  # what rounding may add to a contraction, generously


class DeviceModeFinder(ModeFinder):
    """Climbs starts on a Gaussian's points and keeps the modes they reach.

    Parameters
    ----------
    field : PointsOnDevice
        What is climbed.
    tol, max_iter, n_jobs
        As for `ModeFinder`.
    """

    def __init__(self, field: PointsOnDevice, **climbing: Any):
        super().__init__(field, field, **climbing)
        self.points = field

    def find_rows(self) -> torch.Tensor:
        """Let the points of the field climb; return the mode of each, (m,) int64."""
        starts = self.points.starts
        index = torch.full((len(starts),), -1, device=starts.device)
        waiting = torch.ones(len(starts), dtype=torch.bool, device=starts.device)
        stride = PILOTS if len(starts) > AT_ONCE else 1
        traps: list[tuple[torch.Tensor, torch.Tensor]] = []
        resting: list[tuple[torch.Tensor, Climbed]] = []
        while True:
            rows = torch.nonzero(waiting)[:, 0]
            if stride > 1:
                rows = rows[stride // 2 :: stride]
            waiting[rows] = False
            climbed = self._climb_rows(starts[rows], self.tol, self.max_iter)
            known = climbed.caught >= 0
            traps.append((rows[known], climbed.caught[known]))
            open_ = torch.nonzero(~known)[:, 0]
            resting.append((rows[open_], Climbed(*(part[open_] for part in climbed))))
            if stride == 1:
                break
            before = len(self.points.traps)
            self._add_traps(climbed.ends[open_])
            stride = stride // 4 if len(self.points.traps) - before > FRUITFUL * len(open_) else 1
        self._match_all(index, traps, resting)
        return index

    def _climb_rows(self, starts: torch.Tensor, tol: float, max_iter: int) -> Climbed:
        climbed = self.points.climb_rows(starts, tol, max_iter, self.points.all_pull)
        if len(starts):
            self.n_iter = max(self.n_iter, int(climbed.steps.abs().max()))
        return climbed

    def _match_all(
        self,
        index: torch.Tensor,
        caught: list[tuple[torch.Tensor, torch.Tensor]],
        resting: list[tuple[torch.Tensor, Climbed]],
    ) -> None:
        """Write the mode of each row: by its trap, or by where it rests."""
        rows = torch.cat([r for r, _ in resting])
        if len(rows):
            climbs = (c for _, c in resting)
            index[rows] = self.match_rows(Climbed(*(torch.cat(parts) for parts in zip(*climbs, strict=True))))
        if len(self.points.traps):
            mode_of_trap = self._number(self.points.back(self.points.traps.centres))
            names = torch.from_numpy(mode_of_trap).to(index.device)
            for rows, traps in caught:
                index[rows] = names[traps]

    def match_rows(self, climbed: Climbed) -> torch.Tensor:
        """Return the mode of each row that rests in no trap, adding modes that are new."""
        ends, steps, caught = climbed
        group, reached, confirmed = self._polished(ends)
        doubtful = torch.nonzero(~confirmed[group])[:, 0]
        if len(doubtful):
            more = self._climb_rows(ends[doubtful], self.tol * FINER[0], PATIENCE * self.max_iter)
            total = steps[doubtful].abs() + more.steps.abs()
            ends[doubtful], caught[doubtful] = more.ends, more.caught
            steps[doubtful] = torch.where(more.steps < 0, -total, total)
            self.n_iter = max(self.n_iter, int(total.max()))
            trapped = caught >= 0
            if len(self.points.traps):
                ends = torch.where(trapped[:, None], self.points.traps.centres[caught.clamp(min=0)], ends)
            group, reached, confirmed = self._polished(ends)
        self.n_unsettled += int(((steps < 0) & ~confirmed[group]).sum())
        return torch.from_numpy(self._numbered(reached, confirmed.cpu().numpy())).to(ends.device)[group]

    def _polished(self, ends: torch.Tensor) -> tuple[torch.Tensor, Floats, torch.Tensor]:
        """Return the group of each row, where Newton's method gets to from each group, and where it finds a maximum."""
        group, leaders = self._grouped(ends)
        reached, confirmed = polish(self.points, self.points.back(ends[leaders]), self.points.bandwidth)
        return group, reached, torch.from_numpy(confirmed).to(ends.device)

    def _grouped(self, ends: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Link rows that rest near each other; return the group of each, and the first row of each group."""
        cell, first = cells(ends, 0.25 * self.link / self.points.unit)
        linked = group_by_location(self.points.back(ends[first]), self.link)
        group, leaders = (torch.from_numpy(part).to(ends.device) for part in linked)
        return group[cell], first[leaders]

    def _numbered(self, reached: Floats, confirmed: np.ndarray) -> Ints:
        """Return the mode of each place; a connected set of places that are no maxima is one mode."""
        index = self._number(reached)
        flat = np.flatnonzero(~confirmed)
        if len(flat) > 1:
            together, first = group_by_location(reached[flat], PLATEAU * self.points.bandwidth)
            index[flat] = index[flat[first]][together]
        return index

    def _add_traps(self, resting: torch.Tensor) -> None:
        """Set a trap at each new mode near resting rows."""
        field = self.points
        resting = resting[field.traps.nearest(resting)[1] > SAME]
        if not len(resting):
            return
        _, first = cells(resting, SAME_REST)
        reached, confirmed = polish(field, field.back(resting[first]), field.bandwidth)
        reached = reached[confirmed]
        if not len(reached):
            return
        modes = field.tensor(reached[group_by_location(reached, SAME * field.bandwidth)[1]])
        modes = modes[field.traps.nearest(modes)[1] > SAME]
        bounds = contractions(field.cloud, modes, (0.0, *RADII)).cpu().numpy() * ROUNDED
        by_radius = (dict(zip((0.0, *RADII), row, strict=True)) for row in bounds)
        radii = [radius_of(bound.__getitem__) for bound in by_radius]
        field.traps = field.traps.and_more(modes, modes.new_tensor(radii))


class DeviceRestFinder(DeviceModeFinder):
    """Climbs starts with another kernel than the Gaussian and keeps the places where they rest (`resting`)."""

    def find_rows(self) -> torch.Tensor:
        """Let the points of the field climb; return the mode of each, (m,) int64."""
        return self.match_rows(self._climb_rows(self.points.starts, self.tol, self.max_iter))

    def match_rows(self, climbed: Climbed) -> torch.Tensor:
        """Return the mode of each row, adding modes that are new."""
        ends, steps, _ = climbed
        continuous = self.points.kernel.continuous
        open_ = torch.nonzero(steps < 0)[:, 0]
        if len(open_):
            ends[open_], steps[open_] = self._on(ends[open_], steps[open_], self.tol)
            self.n_unsettled += int((steps < 0).sum())
        if not continuous:
            ends, steps = self._on(ends, steps, CONVERGED)
        group, leaders = self._grouped(ends)
        tops, _ = self._on(ends[leaders], steps[leaders], CONVERGED)
        mode = self._numbers(tops)[group]
        apart = (ends - tops[group]).square().sum(dim=1) > (self.link / self.points.unit) ** 2
        slow = torch.nonzero(apart)[:, 0]
        if continuous and len(slow):
            tops, _ = self._on(ends[slow], steps[slow], CONVERGED)
            group, leaders = self._grouped(tops)
            mode[slow] = self._numbers(tops[leaders])[group]
        return mode

    def _numbers(self, tops: torch.Tensor) -> torch.Tensor:
        """Return the mode of each place of rest, adding modes that are new."""
        return torch.from_numpy(self._number(self.points.back(tops))).to(tops.device)

    def _on(self, places: torch.Tensor, steps: torch.Tensor, tol: float) -> tuple[torch.Tensor, torch.Tensor]:
        """Climb on; return where to, and the steps in all, negative where these were not enough."""
        more = self._climb_rows(places, tol, PATIENCE * self.max_iter)
        total = steps.abs() + more.steps.abs()
        self.n_iter = max(self.n_iter, int(total.max()))
        return more.ends, torch.where(more.steps < 0, -total, total)


def cells(places: torch.Tensor, side: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the number of the cell of each place, and the first place in each."""
    index = torch.floor((places - places.amin(dim=0)) / side)
    exact = index.abs() < 2.0**62  # farther out every place is a cell of its own
    return distinct_rows(index.to(torch.int64) if bool(exact.all()) else places)
