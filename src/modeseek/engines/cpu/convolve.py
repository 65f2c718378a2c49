"""Correlation of a dense array with a short odd kernel along one axis, in SIMD-friendly blocks."""

from modeseek.engines.cpu import kernel

_BLOCK = 1024


@kernel
def correlate(values, taps, inner, length, out, start, stop):
    """Set out[p] = sum_t taps[t] * values[p + (t - r) * inner] for p in [start, stop), r = taps.size // 2.

    ``values`` is a flat C-ordered array whose axis of ``length`` entries has stride ``inner``; entries beyond
    the ends of the axis count as zero. Moving along the axis is a shift by ``inner`` in a slab of
    ``length * inner`` entries, so every inner loop is contiguous.
    """
    slab = length * inner
    reach = taps.size // 2
    p = start
    while p < stop:
        base = p // slab * slab
        end = min(stop, min(base + slab, p + _BLOCK))
        out[p:end] = 0.0
        for t in range(taps.size):
            shift = (t - reach) * inner
            lo = max(p, base - shift)
            hi = min(end, base + slab - shift)
            if lo < hi:
                # slices: indices that cannot be negative, so the loop is SIMD
                target, source, tap = out[lo:hi], values[lo + shift : hi + shift], taps[t]
                for i in range(target.size):
                    target[i] += tap * source[i]
        p = end
