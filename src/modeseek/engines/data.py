"""Checks and first looks at arrays that every part shares: dtype, shape, weights, bounds, finiteness."""

import math
from numbers import Integral, Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from modeseek.engines.threads import n_workers, run_chunks

LARGEST_RATIO = 1e12  # of spread and bandwidth: beyond it float64 coordinates do not resolve
SMALL = 4096  # values: below this a scan in NumPy is quicker than loading a compiled kernel


def positive(value: object, name: str) -> float:
    """Return a finite number above 0 as a float, or say what is wrong with it."""
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"{name} must be a number, got {value!r}.")
    number = float(value)
    if not (math.isfinite(number) and number > 0.0):
        raise ValueError(f"{name} must be a finite number above 0, got {value!r}.")
    return number


def whole(value: object, name: str, least: int) -> int:
    """Return an integer of at least ``least``, or say what is wrong with it."""
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise TypeError(f"{name} must be an integer, got {value!r}.")
    if value < least:
        raise ValueError(f"{name} must be at least {least}, got {value!r}.")
    return int(value)


def as_points(X: ArrayLike) -> NDArray[Any]:
    """Return X as a 2-D float32 or float64 array, without a copy where it already is one."""
    points = np.asarray(X)
    if points.dtype.kind in "biu":
        points = points.astype(np.float64)
    if points.dtype not in (np.float32, np.float64):
        if points.dtype.kind != "f":
            raise TypeError(f"X must hold real numbers, got dtype {points.dtype}.")
        points = points.astype(np.float64)
    if points.ndim != 2 or 0 in points.shape:
        raise ValueError(f"X must be a 2-D array with at least one row and one column, got shape {points.shape}.")
    return points


def as_weights(sample_weight: ArrayLike | None, n: int) -> NDArray[np.float64]:
    """Return the weights as float64; of length 0 if all are one. At least one must be above 0."""
    if sample_weight is None:
        return np.empty(0)
    weights = np.asarray(sample_weight)
    if weights.dtype.kind not in "biuf":
        raise TypeError(f"sample_weight must hold real numbers, got dtype {weights.dtype}.")
    weights = np.asarray(weights, dtype=np.float64, order="C")
    if weights.ndim == 0:
        weights = np.full(n, float(weights))
    if weights.shape != (n,):
        raise ValueError(f"sample_weight must have shape ({n},), one weight per row of X, got {weights.shape}.")
    bad = np.flatnonzero(~(np.isfinite(weights) & (weights >= 0.0)))
    if bad.size:
        raise ValueError(
            f"sample_weight must be finite and at least 0; entry {bad[0]} is {weights[bad[0]]} "
            f"({bad.size} such in all)."
        )
    if not weights.any():
        raise ValueError("Every sample_weight is zero: nothing is left to cluster.")
    return weights


def bounds(points: NDArray[Any], n_jobs: int | None = None, name: str = "X") -> NDArray[np.float64]:
    """Return minimum and maximum of each column, (2, d) float64, in one read; refuse NaN and infinity."""
    n, d = points.shape
    if points.size <= SMALL:
        low, high = points.min(axis=0), points.max(axis=0)
        ends = np.array([low, high], np.float64)
        if not np.isfinite(ends).all():
            _refuse_nonfinite(points, name)
        return ends
    from modeseek.engines.cpu import scan

    kind = scan.INTEGERS[points.itemsize]
    sign, rest = kind(8 * points.itemsize - 1), kind(np.iinfo(kind).max)
    low = np.full((n_workers(n, n_jobs), d), rest)
    high = -1 - low

    def work(worker: int, start: int, stop: int) -> None:
        values = scan.as_integers(np.ascontiguousarray(points[start:stop]))
        scan.widen(values, d, sign, rest, low[worker], high[worker])

    run_chunks(n, work, n_jobs)
    ends = scan.as_floats(np.array([low.min(axis=0), high.max(axis=0)])).astype(np.float64)
    if not np.isfinite(ends).all():  # NaN lies beyond infinity
        _refuse_nonfinite(points, name)
    return ends


def check_scale(bounds: NDArray[np.float64], bandwidth: float) -> None:
    """Refuse a bandwidth that coordinates in float64 cannot resolve."""
    with np.errstate(over="ignore"):
        spread = float((bounds[1] - bounds[0]).max())
    largest = float(np.abs(bounds).max())
    if not np.isfinite(spread) or spread > 1e150:
        raise ValueError(f"X spans {spread:g} in one column: distances overflow. Rescale X first.")
    if bandwidth < LARGEST_RATIO**-1 * spread or bandwidth < 4 * np.spacing(largest):
        raise ValueError(
            f"bandwidth={bandwidth:g} is too small for data that span {spread:g} around values of up to "
            f"{largest:g}: float64 cannot resolve it. Use a larger bandwidth, or subtract the mean from X."
        )
    if bandwidth < 1e-150:
        raise ValueError(f"bandwidth={bandwidth:g} is too small: squares of distances vanish. Rescale X first.")


def _refuse_nonfinite(points: NDArray[Any], name: str, rows: int = 1 << 20) -> None:
    """Raise for the first NaN or infinite entry."""
    for start in range(0, len(points), rows):
        bad = np.argwhere(~np.isfinite(points[start : start + rows]))
        if bad.size:
            row, column = int(bad[0, 0]) + start, int(bad[0, 1])
            value = points[row, column]
            what = "NaN" if np.isnan(value) else "infinity"
            raise ValueError(
                f"Input {name} contains {what} (first at row {row}, column {column}). "
                "Drop or impute such rows before clustering."
            )


def numpy_dtype(points: Any) -> np.dtype[Any]:
    """Return NumPy's name of the type of an array or a tensor."""
    return points.dtype if isinstance(points, np.ndarray) else np.dtype(str(points.dtype).removeprefix("torch."))
