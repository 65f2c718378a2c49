"""The sphere field: all points, for mean shift on directions. See `modeseek.sphere`."""

import numpy as np
from numpy.typing import ArrayLike

from modeseek.fields import Floats, Ints
from modeseek.fields.dense import DenseField
from modeseek.sphere import normalise


class SphereField(DenseField):
    """Mean shift on the sphere over all points; what `DenseField` describes, rows being divided by their lengths."""

    def __init__(self, points: ArrayLike, weights: ArrayLike, bandwidth: float):
        super().__init__(normalise(np.asarray(points)), weights, bandwidth)

    def shift(self, queries: Floats) -> tuple[Floats, Floats]:
        """Return the mean, on the sphere, and the unnormalised density at each query."""
        return super().shift(normalise(queries))

    def climb(self, starts: Floats, *, tol: float, max_iter: int, n_jobs: int | None = None) -> tuple[Floats, Ints]:
        """Climb every start to rest."""
        return super().climb(normalise(starts), tol=tol, max_iter=max_iter, n_jobs=n_jobs)

    def _scaled_shift(self, q: Floats, n_jobs: int | None) -> tuple[Floats, Floats]:
        """Put the mean back; where points pull in opposite directions and nothing is left, the query stays."""
        means, densities = super()._scaled_shift(q, n_jobs)
        means = means * self.bandwidth + self.centre
        length = np.sqrt(np.einsum("ij,ij->i", means, means))
        kept = length > 1e-15
        means /= np.where(kept, length, 1.0)[:, None]
        return np.where(kept[:, None], (means - self.centre) / self.bandwidth, q), densities
