"""One read of the data: its bounds, and whether every value is finite.

Floats are compared as integers: read as one, with all bits but the sign turned where that is set, they are in the same
order, and NaN lies beyond infinity. Minima of integers become SIMD at the speed of memory, those of floats do not, for
the sake of NaN, which would then need a look of its own.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from modeseek.engines.cpu import kernel

INTEGERS: dict[int, Any] = {4: np.int32, 8: np.int64}  # by bytes of a float


def as_integers(points: NDArray[np.floating]) -> NDArray[np.signedinteger]:
    """Return the values of contiguous points, flat, as the integers that they are stored as."""
    return points.reshape(-1).view(INTEGERS[points.itemsize])


def as_floats(keys: NDArray[np.signedinteger]) -> NDArray[np.floating]:
    """Return the floats that ordered integers stand for."""
    bits = 8 * keys.itemsize
    turned = keys ^ ((keys >> (bits - 1)) & np.iinfo(keys.dtype).max)
    return turned.view(np.dtype(f"f{keys.itemsize}"))


@kernel
def _ordered(value, sign, rest):
    return value ^ ((value >> sign) & rest)


@kernel
def widen(values, d, sign, rest, low, high):
    """Widen the bounds low and high (d,) so that they hold the rows of ``values``, all of them ordered integers.

    ``values`` is flat; ``sign`` is the place of their sign, ``rest`` the other bits, both of their own type.
    """
    n = values.size // d
    if d == 1:
        lo, hi = low[0], high[0]
        for r in range(n):
            a = _ordered(values[r], sign, rest)
            lo = min(lo, a)
            hi = max(hi, a)
        low[0], high[0] = lo, hi
    elif d == 2:
        lo0, hi0, lo1, hi1 = low[0], high[0], low[1], high[1]
        for r in range(n):
            a = _ordered(values[2 * r], sign, rest)
            b = _ordered(values[2 * r + 1], sign, rest)
            lo0 = min(lo0, a)
            hi0 = max(hi0, a)
            lo1 = min(lo1, b)
            hi1 = max(hi1, b)
        low[0], high[0], low[1], high[1] = lo0, hi0, lo1, hi1
    elif d == 3:
        lo0, hi0, lo1, hi1, lo2, hi2 = low[0], high[0], low[1], high[1], low[2], high[2]
        for r in range(n):
            a = _ordered(values[3 * r], sign, rest)
            b = _ordered(values[3 * r + 1], sign, rest)
            c = _ordered(values[3 * r + 2], sign, rest)
            lo0 = min(lo0, a)
            hi0 = max(hi0, a)
            lo1 = min(lo1, b)
            hi1 = max(hi1, b)
            lo2 = min(lo2, c)
            hi2 = max(hi2, c)
        low[0], high[0], low[1], high[1], low[2], high[2] = lo0, hi0, lo1, hi1, lo2, hi2
    else:
        for r in range(n):
            row = values[r * d : (r + 1) * d]
            for j in range(d):
                a = _ordered(row[j], sign, rest)
                low[j] = min(low[j], a)
                high[j] = max(high[j], a)
