r"""Directions: rows of length one, and what mean shift needs on their sphere.

With ``metric="cosine"`` only the direction of a row counts. Rows are divided by their lengths, weights are those of
the chord |x - y|, which the cosine gives,

    exp(-|x - y|^2 / 2 h^2) = exp((cos(x, y) - 1) / h^2),

and the mean is put back on the sphere: m(x) / |m(x)|, which ascends the same density along the sphere. h is a length of
chords: 0 for equal directions, sqrt(2) for orthogonal ones, 2 for opposite ones.

S. Kobayashi and N. Otsu, "Von Mises-Fisher mean shift for clustering on a hypersphere", ICPR 2010.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

VALUES_AT_ONCE = 1 << 18


def lengths(X: NDArray[Any]) -> NDArray[np.float64]:
    """Return the Euclidean length of each row, (n,), whatever the size of its entries; a few rows are read at a time.

    Examples
    --------
    >>> print(lengths(np.array([[3.0, 4.0], [3e200, 4e200]])))
    [5.e+000 5.e+200]
    """
    found = np.empty(len(X))
    rows = max(1, VALUES_AT_ONCE // X.shape[1])
    for start in range(0, len(X), rows):
        part = np.asarray(X[start : start + rows], np.float64)
        largest = np.abs(part).max(axis=1)
        scaled = part / np.where(largest > 0.0, largest, 1.0)[:, None]
        found[start : start + rows] = largest * np.sqrt(np.einsum("ij,ij->i", scaled, scaled))
    return found


def check_directions(X: NDArray[Any], name: str = "X") -> NDArray[np.float64]:
    """Return the lengths of the rows.

    Raises
    ------
    ValueError
        If a row is zero: it has no direction.
    """
    found = lengths(X)
    zero = np.flatnonzero(found == 0.0)
    if zero.size:
        raise ValueError(
            f'Row {zero[0]} of {name} is zero ({zero.size} such in all): it has no direction, which metric="cosine" '
            "compares. Drop such rows."
        )
    return found


def normalise(X: NDArray[Any]) -> NDArray[np.float64]:
    """Return the rows divided by their lengths, in float64; a zero row stays zero.

    Examples
    --------
    >>> print(normalise(np.array([[3.0, 4.0], [0.0, 2.0], [0.0, 0.0]])))
    [[0.6 0.8]
     [0.  1. ]
     [0.  0. ]]
    """
    rows = np.asarray(X, np.float64)
    scaled = rows / np.maximum(np.abs(rows).max(axis=1, initial=0.0), np.finfo(float).tiny)[:, None]
    return scaled / np.maximum(np.sqrt(np.einsum("ij,ij->i", scaled, scaled)), np.finfo(float).tiny)[:, None]
