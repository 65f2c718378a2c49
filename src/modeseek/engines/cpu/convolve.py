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
        t = 0
        while t < taps.size:
            shift = (t - reach) * inner
            lo = max(p, base - shift)
            hi = min(end, base + slab - shift)
            last = shift + 3 * inner
            # slices: indices that cannot be negative, so the loop is SIMD
            if t + 4 <= taps.size and lo == p and base + slab - last >= end:
                # four taps at once, where all are within the slab: the target is read and written a quarter as often
                target, tap0, tap1, tap2, tap3 = out[p:end], taps[t], taps[t + 1], taps[t + 2], taps[t + 3]
                source0, source1 = values[p + shift : end + shift], values[p + shift + inner : end + shift + inner]
                source2, source3 = values[p + last - inner : end + last - inner], values[p + last : end + last]
                for i in range(target.size):
                    target[i] += (tap0 * source0[i] + tap1 * source1[i]) + (tap2 * source2[i] + tap3 * source3[i])
                t += 4
                continue
            if lo < hi:
                target, source0, tap0 = out[lo:hi], values[lo + shift : hi + shift], taps[t]
                for i in range(target.size):
                    target[i] += tap0 * source0[i]
            t += 1
        p = end
