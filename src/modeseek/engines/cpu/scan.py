"""One read of the data: its bounds, and whether every value is finite."""

from modeseek.engines.cpu import kernel

_ROWS = 2048  # a block of rows stays in the first cache while each column is read


@kernel
def bounds_2d(x, out):
    """Do as `bounds` for two columns, at the speed of memory."""
    lo0 = hi0 = x[0, 0]
    lo1 = hi1 = x[0, 1]
    total = x[0, 0] * 0
    for i in range(x.shape[0]):
        a = x[i, 0]
        b = x[i, 1]
        lo0 = a if a < lo0 else lo0
        hi0 = a if a > hi0 else hi0
        lo1 = b if b < lo1 else lo1
        hi1 = b if b > hi1 else hi1
        total += a + b
    out[0, 0] = lo0
    out[1, 0] = hi0
    out[0, 1] = lo1
    out[1, 1] = hi1
    return total


@kernel
def bounds(x, out):
    """Write the minimum and maximum of each column of x (n, d) to out (2, d); return the sum of x.

    The sum is NaN if any value is NaN (it may also be NaN or infinite by overflow: then look closer).
    """
    n, d = x.shape
    total = x[0, 0] * 0
    for j in range(d):
        out[0, j] = x[0, j]
        out[1, j] = x[0, j]
    for start in range(0, n, _ROWS):
        stop = min(start + _ROWS, n)
        for j in range(d):
            lo = out[0, j]
            hi = out[1, j]
            for i in range(start, stop):
                a = x[i, j]
                lo = a if a < lo else lo
                hi = a if a > hi else hi
                total += a
            out[0, j] = lo
            out[1, j] = hi
    return total
