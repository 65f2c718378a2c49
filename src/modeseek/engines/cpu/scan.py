"""One read of the data: its bounds, and whether every value is finite."""

from modeseek.engines.cpu import kernel

_ROWS = 2048  # a block of rows stays in the first cache while each column is read


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
