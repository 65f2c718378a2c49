"""What a fit has proven of its labels, point by point: the certificate, and the labels it stands for.

*interior*: the whole cell of the point has the label. *boundary*: the point's own tube arrives at the mode. *climbed*:
the point climbed in float64 on the points themselves, as exact mean shift does. *undecided*: none of these; the label
is that of its tabulated path.
"""

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from modeseek.engines.packed import SmallPickles
from modeseek.fields import Floats, Ints

INTERIOR, BOUNDARY, CLIMBED, UNDECIDED = range(4)


@dataclass(frozen=True)
class Certificate(SmallPickles):
    """How the labels of a fit are known to be those of exact mean shift.

    Attributes
    ----------
    interior, boundary, climbed, undecided : int
        Points whose label is proven for their whole cell, proven by their own tube, found by climbing on the points
        themselves in float64, and not decided.
    largest_error : float
        The largest bound, in bandwidths, of the difference between a step made and the exact one, over all cells
        that hold points and are not undecided; 0 where every point climbed exactly.
    spacing : float or None
        Node spacing of the table in bandwidths; None where every point climbed exactly.
    modes : ndarray of shape (n_clusters, n_features)
        Modes, in the order of the labels.
    trap_radii : ndarray of shape (n_clusters,)
        Radius around each mode within which every path ends there, in the units of the data; 0 where none was proven.
    """

    _packed: ClassVar[tuple[str, ...]] = ("_rows", "_codes")

    n: int
    interior: int
    boundary: int
    climbed: int
    undecided: int
    largest_error: float
    spacing: float | None
    modes: Floats
    trap_radii: Floats
    _rows: NDArray[np.integer] | slice = field(repr=False)  # those that are not interior
    _codes: NDArray[np.uint8] = field(repr=False)

    @property
    def certified(self) -> float:
        """Share of the points whose label is proven or was found by exact climbs."""
        return 1.0 - self.undecided / self.n

    def status(self) -> NDArray[np.uint8]:
        """Return for each point how its label is known.

        Returns
        -------
        ndarray of shape (n_points,), uint8
            0 interior, 1 boundary, 2 climbed, 3 undecided.
        """
        status = np.full(self.n, INTERIOR, np.uint8)
        status[self._rows] = self._codes
        return status

    def __str__(self) -> str:
        parts = [
            f"{getattr(self, name):,} {name} ({getattr(self, name) / self.n:.4%})"
            for name in ("interior", "boundary", "climbed", "undecided")
        ]
        return f"{self.n:,} points: " + ", ".join(parts)


def everything_climbed(modes: Floats, n: int) -> Certificate:
    """Return the certificate of a fit in which every point climbed on the points."""
    return _all_alike(modes, n, 0.0, CLIMBED)


def nothing_decided(modes: Floats, n: int) -> Certificate:
    """Return the certificate of a fit that proves nothing."""
    return _all_alike(modes, n, np.inf, UNDECIDED)


def _all_alike(modes: Floats, n: int, error: float, code: int) -> Certificate:
    """Return the certificate of n points of one code, of which no table knows."""
    boundary, climbed, undecided = (n * (code == other) for other in (BOUNDARY, CLIMBED, UNDECIDED))
    return Certificate(
        n, 0, boundary, climbed, undecided, error, None, modes, np.zeros(len(modes)),
        slice(None), np.array([code], np.uint8),
    )  # fmt: skip


def certify(
    modes: Floats, radii: Floats, spacing: float | None, error: float, n: int, rows: Ints, codes: NDArray[np.uint8]
) -> Certificate:
    """Return the certificate of n points of which ``rows`` are not interior but as ``codes`` say."""
    _, boundary, climbed, undecided = np.bincount(codes, minlength=4).tolist()
    rows = rows.astype(np.int32) if n <= np.iinfo(np.int32).max else rows
    return Certificate(
        n, n - len(rows), boundary, climbed, undecided, error, spacing, modes, radii, rows, codes
    )  # fmt: skip
