"""Rows divided by their lengths: directions."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

VALUES_AT_ONCE = 1 << 15  # so many stay in the caches


def normalise(X: NDArray[Any]) -> NDArray[np.float64]:
    """Return the rows divided by their lengths, in float64; a zero row stays zero.

    Every row is divided by itself, by the same operations in the same order: it has the same bits whichever rows it
    comes with. Squares neither overflow nor vanish.

    Examples
    --------
    >>> print(normalise(np.array([[3.0, 4.0], [0.0, 2e200], [0.0, 0.0]])))
    [[0.6 0.8]
     [0.  1. ]
     [0.  0. ]]
    """
    unit = np.empty(X.shape)
    rows = max(1, VALUES_AT_ONCE // X.shape[1])
    for start in range(0, len(X), rows):
        columns = np.array(X[start : start + rows].T, np.float64, order="C")
        largest = np.abs(columns).max(axis=0)
        columns /= np.where(largest > 0.0, largest, 1.0)
        total = np.zeros(columns.shape[1])
        for column in columns:
            total += column * column
        columns /= np.sqrt(np.where(total > 0.0, total, 1.0))
        unit[start : start + rows] = columns.T
    return unit
