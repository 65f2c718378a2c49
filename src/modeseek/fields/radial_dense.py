r"""Any built-in weight over all points, in NumPy: it compiles nothing, the choice for small inputs.

Distances come from differences, not from products, so that what lies at distance h exactly counts in every field alike.
"""

import numpy as np

from modeseek.engines.threads import run_chunks
from modeseek.fields import Floats, Ints
from modeseek.fields.radial import RadialField

TILE_VALUES = 1 << 18  # weights held at once by one thread


class DenseRadialField(RadialField):
    """Mean shift with a built-in kernel over all points."""

    def _sums(self, q: Floats, n_jobs: int | None) -> tuple[Floats, Floats]:
        steps, totals = np.empty_like(q), np.empty(len(q))

        def work(_: int, start: int, stop: int) -> None:
            rows = q[start:stop]
            offsets = [np.subtract.outer(-a, -x) for a, x in zip(rows.T, self.points.T, strict=True)]  # x_i - q
            squares = np.zeros((len(rows), len(self.points)))
            for u in offsets:
                squares += u * u
            g = self.kernel.weight(np.sqrt(squares * self.inverse)) * self.weights
            totals[start:stop] = g.sum(axis=1)
            for k, u in enumerate(offsets):
                steps[start:stop, k] = np.einsum("ij,ij->i", g, u)

        run_chunks(len(q), work, n_jobs, max(1, TILE_VALUES // len(self.points)))
        return steps, totals

    def _climb(self, x: Floats, steps: Ints, tol: float, max_iter: int, n_jobs: int | None) -> None:
        active, previous = np.arange(len(x)), np.full(len(x), np.inf)
        for n in range(1, max_iter + 1):
            step, totals = self._sums(x[active], n_jobs)
            near = totals > 0.0
            active, step = active[near], step[near] / totals[near, None]
            length = np.sqrt(np.square(step).sum(axis=1))
            x[active] += step
            with np.errstate(divide="ignore", invalid="ignore"):
                rests = (n > 1) & (length <= tol * (1.0 - length / previous[active]))
            rests |= length <= self.tiny
            steps[active] = np.where(rests, n, -n)
            previous[active] = length
            active = active[~rests]
            if not active.size:
                break
