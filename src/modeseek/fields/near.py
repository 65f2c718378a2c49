"""What tubes need of the bounds once the fit is over, put away until it is asked for.

The bounds of a fit are several times as large as its sketch, and follow from it to the bit. A fitted model may be kept
for long, so it does not keep them: they are computed anew when a point is first asked about that no cell settles. Only
which trap is beside which cell does not follow from the sketch.
"""

from typing import Any

import numpy as np

from modeseek.fields import Floats
from modeseek.fields.bounds import cell_bounds
from modeseek.fields.table import LITTLE, TableField


class NearBounds:
    """``CellBounds.near``, of a fit that is over.

    Parameters
    ----------
    field : TableField
        The table that was bounded.
    near : ndarray of shape (n_nodes, 6)
        Its bounds, and the traps beside its cells.
    lightest : float
        Least weight of a point, as `cell_bounds` was told.
    """

    def __init__(self, field: TableField, near: Floats, lightest: float):
        self.field, self.lightest = field, lightest
        self._near: Floats | None = near
        self._beside_trap = np.empty(0, np.int32), np.empty(0, np.int32)  # cells, and traps beside them

    @property
    def near(self) -> Floats:
        """The bounds that tubes need, (n_nodes, 6), computed anew where they were put away."""
        if self._near is None:
            near = cell_bounds(self.field, self.lightest, self.field.n_jobs).near
            cells, traps = self._beside_trap
            near[cells, 5] = traps
            self._near = near
        return self._near

    def put_away(self) -> None:
        """Keep only what the bounds do not follow from, unless they take little memory."""
        if self._near is not None and self._near.nbytes > LITTLE:
            self._beside_trap, self._near = self._named(self._near), None

    def __getstate__(self) -> dict[str, Any]:
        state = dict(self.__dict__, _near=None)
        if self._near is not None:
            state["_beside_trap"] = self._named(self._near)
        return state

    @staticmethod
    def _named(near: Floats) -> tuple[Any, Any]:
        cells = np.flatnonzero(near[:, 5] >= 0.0)
        return cells.astype(np.int32), near[cells, 5].astype(np.int32)
