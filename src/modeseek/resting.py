r"""Starts -> modes for kernels other than the Gaussian: places of rest, matched by where they are.

A Gaussian density is smooth, so that Newton's method tells its modes from places where a climb merely creeps. The
densities of other kernels have kinks: that of flat weights is made of paraboloids, each with a top of its own, and its
climbs end for good after finitely many steps. Newton's method says nothing there. A mode is then what the definition
says, a place with m(x) = x:

1. every start climbs until the way that is left is below ``tol``, as always;
2. where g has a jump, a short step does not mean that the next is shorter: every climb goes on until it rests to
   rounding, or `CONVERGED` bandwidths;
3. what rests within 8 ``tol`` bandwidths of each other is one mode, and one of each group climbs on to convergence: it
   is where the mode is. Groups whose climbs then end in one place are one. Where that is farther from one of the group
   than 8 ``tol``, it had not arrived, and climbs on by itself.
"""

import numpy as np

from modeseek.climb import PATIENCE, ModeFinder, group_by_location
from modeseek.fields import Field, Floats, Ints

CONVERGED = 1e-10  # bandwidths: the way that is left


class RestFinder(ModeFinder):
    """Climbs starts and keeps the places where they rest.

    Parameters
    ----------
    field : Field
        What is climbed.
    continuous : bool
        Whether short steps mean that a climb has arrived.
    tol, max_iter, n_jobs
        As for `ModeFinder`.
    """

    def __init__(self, field: Field, continuous: bool, *, tol: float, max_iter: int, n_jobs: int | None = None):
        super().__init__(field, None, tol=tol, max_iter=max_iter, n_jobs=n_jobs)
        self.continuous = continuous

    def match(self, ends: Floats, steps: Ints) -> Ints:
        """Return the mode of each resting point, adding modes that are new."""
        open_ = np.flatnonzero(steps < 0)
        if open_.size:
            ends[open_], steps[open_] = self._on(ends[open_], steps[open_], self.tol)
            self.n_unsettled += int((steps < 0).sum())
        if not self.continuous:
            ends, steps = self._on(ends, steps, CONVERGED)
        group, first = group_by_location(ends, self.link)
        tops, more = self._on(ends[first], steps[first], CONVERGED)
        mode = self._number(tops)[group]
        slow = np.flatnonzero(np.square(ends - tops[group]).sum(axis=1) > self.link**2)
        if (
            self.continuous and slow.size
        ):  # where a climb creeps, past a saddle, others that crept as close may go elsewhere
            tops, steps[slow] = self._on(ends[slow], steps[slow], CONVERGED)
            mode[slow] = self._number(tops)
        self.n_iter = max(self.n_iter, int(np.abs(np.append(steps, more)).max(initial=0)))
        return mode

    def _on(self, places: Floats, steps: Ints, tol: float) -> tuple[Floats, Ints]:
        """Climb on; return where to, and the steps in all, negative where these were not enough."""
        ends, more = self.field.climb(places, tol=tol, max_iter=PATIENCE * self.max_iter, n_jobs=self.n_jobs)
        return ends, np.copysign(np.abs(steps) + np.abs(more), more).astype(np.int64)
