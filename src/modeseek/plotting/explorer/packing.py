"""Arrays as text in a page: bytes of equal rank together, deflated, in base64.

`unpack.js` is the way back. Coordinates lose precision here, and nothing else does: `quantised` keeps 16 bits of a
column's range, which is finer than a pixel of any screen.
"""

import base64
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

STEPS = (1 << 16) - 1  # of a column's range


def packed(array: NDArray[Any]) -> dict[str, Any]:
    """Return type, length and text of the numbers of an array, row by row."""
    flat = np.ascontiguousarray(array).ravel()
    flat = flat.astype(flat.dtype.newbyteorder("<"), copy=False)
    planes = np.ascontiguousarray(flat.view(np.uint8).reshape(-1, flat.dtype.itemsize).T)
    text = base64.b64encode(zlib.compress(planes.tobytes(), 6)).decode("ascii")
    return {"type": flat.dtype.name, "length": len(flat), "data": text}


def smallest(array: NDArray[Any]) -> NDArray[Any]:
    """Return whole numbers of at least 0 in the smallest type that holds them."""
    return array.astype(np.min_scalar_type(int(array.max(initial=0))))


def quantised(column: NDArray[np.floating]) -> tuple[NDArray[np.uint16], float, float]:
    """Return low + (high - low) q / 65535, rounded, as q, low and high; q is 0 where all values are the same."""
    values = np.asarray(column, np.float64)
    low, high = float(values.min()), float(values.max())
    half = 0.5 * high - 0.5 * low  # the whole may overflow
    if not half > 0.0:
        return np.zeros(len(values), np.uint16), low, high
    return np.rint((0.5 * values - 0.5 * low) / half * STEPS).astype(np.uint16), low, high
