"""Numba kernels over contiguous arrays: no allocation, no threads, the GIL released.

Each kernel works on a range of its input and is called from ``engines.threads``. They are compiled on the
first call for a given dtype and cached on disk.
"""

from typing import Any

import numba

# NaN and infinity keep their meaning (the bounds pass looks for them); sums may be reordered and fused.
FINITE_AWARE = {"nsz", "arcp", "contract", "afn", "reassoc"}


def kernel(function: Any) -> Any:
    """Compile a hot loop: GIL released, C division, cached on disk, sums free to use SIMD."""
    try:
        return numba.njit(nogil=True, error_model="numpy", fastmath=FINITE_AWARE, cache=True)(function)
    except RuntimeError:  # no folder can be written to: compile in every process
        return numba.njit(nogil=True, error_model="numpy", fastmath=FINITE_AWARE)(function)


def unfused_kernel(function: Any) -> Any:
    """Compile as `kernel` does, but round every product and quotient, as plain C does: for tests of ``<=`` that tie."""
    flags = {"nsz", "reassoc"}
    try:
        return numba.njit(nogil=True, error_model="numpy", fastmath=flags, cache=True)(function)
    except RuntimeError:
        return numba.njit(nogil=True, error_model="numpy", fastmath=flags)(function)


def exact_kernel(function: Any) -> Any:
    """Compile as `kernel` does, but with every operation rounded in the order in which it is written."""
    try:
        return numba.njit(nogil=True, error_model="numpy", cache=True)(function)
    except RuntimeError:
        return numba.njit(nogil=True, error_model="numpy")(function)


def inline(function: Any) -> Any:
    """Compile a helper that is always inlined into the kernels that call it."""
    return numba.njit(inline="always", error_model="numpy", fastmath=FINITE_AWARE)(function)
