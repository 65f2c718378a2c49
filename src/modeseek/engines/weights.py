r"""A kernel by name or as a user's function g(r): what can be learned of it before anything is summed.

A function is compiled by Numba (`engines.cpu.radial`), evaluated at a few ten thousand distances and refused with the
reason if it cannot be compiled, or if it is anywhere negative, NaN or infinite. Where it is 0 from some distance on, or
below one rounding error of its largest value, sums end there; else they run over all points.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from modeseek.kernels import BUILT_IN, KERNELS, Kernel

Floats = NDArray[np.float64]

FARTHEST = 64.0  # bandwidths: a weight that counts beyond is summed over all points
BEYOND = 1e6  # bandwidths: how far a weight is looked at
PROBES_PER_BANDWIDTH = 512
FADED = 2.0**-53
HALVINGS = 60
JUMP = 1e-3  # of the largest weight, between neighbouring float64 distances


def as_kernel(kernel: str | Callable[[float], Any] | Kernel) -> Kernel:
    """Return a kernel by its name, or that of a user's function.

    Parameters
    ----------
    kernel : str, callable or Kernel
        A name of `modeseek.kernels.KERNELS` or its formula there, or a function g(r) of one distance in bandwidths.

    Raises
    ------
    ValueError
        If the name is not known, or a weight is negative, NaN, infinite, or 0 at distance 0.
    TypeError
        If it is neither a name nor a function, or cannot be compiled.
    """
    if isinstance(kernel, Kernel):
        return kernel
    if isinstance(kernel, str):
        if kernel not in BUILT_IN:
            raise ValueError(f"unknown kernel {kernel!r}; known are {', '.join(BUILT_IN)}, or pass a function g(r).")
        return BUILT_IN[kernel]
    if not callable(kernel):
        raise TypeError(f"kernel must be one of {', '.join(BUILT_IN)} or a function g(r), got {kernel!r}.")
    known = next((name for name, formula in KERNELS.items() if formula is kernel), None)
    return BUILT_IN[known] if known else _probed(kernel)


@lru_cache
def _probed(function: Callable[[float], Any]) -> Kernel:
    """Compile a user's function and find out where it counts."""
    name = getattr(function, "__name__", type(function).__name__).strip("<>")
    weigh = _Evaluated(function, name)
    near = np.linspace(0.0, FARTHEST, int(FARTHEST) * PROBES_PER_BANDWIDTH + 1)
    r = np.concatenate([near, np.geomspace(FARTHEST, BEYOND, 1000)[1:]])
    g = weigh(r)
    bad = np.flatnonzero(~(np.isfinite(g) & (g >= 0.0)))
    if bad.size:
        raise ValueError(
            f"The kernel {name} returned {g[bad[0]]:g} at r = {r[bad[0]]:g}: a weight must be finite and at least 0 at "
            "every distance r >= 0 (in bandwidths). Use max(0.0, ...), or return 0.0 where it does not apply."
        )
    if not g[0] > 0.0:
        raise ValueError(f"The kernel {name} returned 0 at r = 0: a point must count at its own place.")
    largest = float(g.max())
    last = int(np.flatnonzero(g > FADED * largest)[-1])
    support = np.inf if r[last] >= FARTHEST else _edge(weigh, FADED * largest, r[last], r[last + 1])
    half = int(np.flatnonzero(g > 0.5 * largest)[-1])
    half_at = BEYOND if half + 1 == len(r) else _edge(weigh, 0.5 * largest, r[half], r[half + 1])
    return Kernel(name, weigh, support, half_at, not _jumps(weigh, near, g[: len(near)], largest), function)


def _edge(weigh: Callable[[ArrayLike], Floats], level: float, inside: float, outside: float) -> float:
    """Return the least distance found at which a weight is no longer above a level, by halving."""
    for _ in range(HALVINGS):
        middle = 0.5 * (inside + outside)
        if weigh(np.array([middle]))[0] > level:
            inside = middle
        else:
            outside = middle
    return outside


def _jumps(weigh: Callable[[ArrayLike], Floats], r: Floats, g: Floats, largest: float) -> bool:
    """Tell whether the steepest of many parts still falls by as much when it is halved again and again."""
    steepest = int(np.abs(np.diff(g)).argmax())
    a, b = r[steepest], r[steepest + 1]
    for _ in range(HALVINGS):
        middle = 0.5 * (a + b)
        here = weigh(np.array([a, middle, b]))
        a, b = (a, middle) if abs(here[1] - here[0]) >= abs(here[2] - here[1]) else (middle, b)
    ends = weigh(np.array([a, b]))
    return bool(abs(ends[1] - ends[0]) > JUMP * largest)


class _Evaluated:
    """A user's weight for arrays of distances.

    Parameters
    ----------
    function : callable
        g(r) of one distance.
    name : str
        What errors call it.
    """

    def __init__(self, function: Callable[[float], Any], name: str):
        self.function, self.name = function, name

    def __call__(self, r: ArrayLike) -> Floats:
        """Return the weight at each distance, in bandwidths."""
        from numba.core.errors import NumbaError

        from modeseek.engines.cpu.radial import loops_of

        distances = np.ascontiguousarray(r, dtype=np.float64)
        out = np.empty_like(distances)
        try:
            loops_of(self.function).evaluate(distances.reshape(-1), out.reshape(-1))
        except (NumbaError, TypeError) as error:
            raise TypeError(
                f"The kernel {self.name} cannot be compiled: {_first_line(error)} A kernel is a plain Python function "
                "g(r) of one distance, a float, in bandwidths, that returns one number; it may use arithmetic, `math`, "
                "NumPy's functions of numbers, conditions and other such functions (all that Numba compiles)."
            ) from error
        except ArithmeticError as error:
            raise ValueError(
                f"The kernel {self.name} raised {type(error).__name__}: {error}. A weight must be finite and at least "
                "0 at every distance r >= 0 (in bandwidths)."
            ) from error
        return out


def _first_line(error: Exception) -> str:
    """Return the line of Numba's long message that says most."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    telling = [line for line in lines if not line.startswith(("Failed in", "During", "File", "-", ">", "^"))]
    said = (telling or lines or [type(error).__name__])[0]
    return said if said.endswith(".") else said + "."
