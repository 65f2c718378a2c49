"""Numba kernels over contiguous arrays: no allocation, no threads, the GIL released.

Each kernel works on a range of its input and is called from ``engines.threads``. They are compiled on the
first call for a given dtype and cached on disk.
"""

from typing import Any

import numba

# NaN and infinity keep their meaning (the bounds pass looks for them); sums may be reordered and fused.
FINITE_AWARE = {"nsz", "arcp", "contract", "afn", "reassoc"}


def _compile(function: Any, flags: Any) -> Any:
    """Compile a function that releases the GIL and divides as C does; the result is cached on disk.

    Calls from one kernel to another are inlined. Else the process that compiles would take the other's own machine
    code, and later ones the copy that was cached with the caller: sums that are free in order may differ in last bits.
    """
    try:
        return numba.njit(nogil=True, error_model="numpy", fastmath=flags, forceinline=True, cache=True)(function)
    except RuntimeError:  # no folder can be written to: compile in every process
        return numba.njit(nogil=True, error_model="numpy", fastmath=flags, forceinline=True)(function)


def kernel(function: Any) -> Any:
    """Compile a hot loop whose sums are free to use SIMD."""
    return _compile(function, FINITE_AWARE)


def unfused_kernel(function: Any) -> Any:
    """Compile as `kernel` does, but round every product and quotient, as plain C does: for tests of ``<=`` that tie."""
    return _compile(function, {"nsz", "reassoc"})


def exact_kernel(function: Any) -> Any:
    """Compile as `kernel` does, but round every operation in the order in which it is written; NaN is near nothing."""
    return _compile(function, False)


def as_written(function: Any) -> Any:
    """Compile as `exact_kernel` does, for numbers that are never NaN: minima become SIMD."""
    return _compile(function, {"nsz", "nnan"})


def inline(function: Any) -> Any:
    """Compile a helper that is always inlined into the kernels that call it."""
    return numba.njit(inline="always", error_model="numpy", fastmath=FINITE_AWARE)(function)


def inline_as_written(function: Any) -> Any:
    """Compile a helper that is always inlined into the kernels compiled by `as_written` that call it."""
    return numba.njit(inline="always", error_model="numpy", fastmath={"nsz", "nnan"})(function)
