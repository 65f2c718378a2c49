r"""The nearest centre of each point, |x - c_j| least, the first of equally near ones; and what follows from it.

Two forms: in NumPy for small inputs, which compiles nothing, and in tiles (``engines.cpu.lloyd``). Both compare the
same numbers, sums of squared differences in float64, added column by column.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modeseek.engines import data
from modeseek.engines.threads import n_workers, run_chunks

Floats = NDArray[np.float64]

SMALL = 3 << 12  # products of coordinates: below this NumPy is quick enough
FEWEST_ROWS = 1 << 12  # of a chunk
MOST_CHUNKS = 64
VALUES_AT_ONCE = 1 << 16  # of NumPy's temporaries


@dataclass(frozen=True)
class Points:
    """Points (n, d), float32 or float64 in C order, their weights (empty: all one), and where they lie.

    Points are compared less ``base``, which is 0 unless they are far from it; ``origin`` (less the base) is amid them.
    """

    x: NDArray[Any]
    weights: Floats
    base: Floats
    origin: Floats
    variance: float
    n_jobs: int | None = None

    @classmethod
    def of(cls, x: NDArray[Any], weights: Floats, n_jobs: int | None = None) -> "Points":
        """Look at points once or twice: NaN and infinity are refused, and what float64 cannot square."""
        ends = data.bounds(x, n_jobs)
        check_span(ends)
        base = base_of(ends)
        middle = 0.5 * (ends[0] - base) + 0.5 * (ends[1] - base)
        first, second = _moments(x, base + middle, n_jobs)
        mean = first / len(x)
        variance = np.maximum(second / len(x) - mean * mean, 0.0).mean()
        return cls(x, weights, base, middle + mean, float(variance), n_jobs)

    def small(self, k: int) -> bool:
        """Whether NumPy is quick enough."""
        return self.x.size * k <= SMALL

    def weigh(self, values: NDArray[Any]) -> NDArray[Any]:
        """Multiply values by the weights."""
        return values * self.weights if self.weights.size else values


def check_span(ends: Floats) -> None:
    """Refuse coordinates whose squared differences overflow, or vanish, in float64."""
    with np.errstate(over="ignore"):
        span = float((ends[1] - ends[0]).max())
    if not span <= 1e150 or 0.0 < span < 1e-150:
        raise ValueError(f"X spans {span:g}, so that squared distances are beyond float64. Rescale X first.")


def base_of(ends: Floats) -> Floats:
    """Return what to subtract: 0 unless points are far from it, else a round number, so that lattices stay lattices."""
    middle, span = 0.5 * ends[0] + 0.5 * ends[1], float((ends[1] - ends[0]).max())
    far = np.abs(middle) > 8.0 * span
    step = 2.0 ** (math.floor(math.log2(span)) - 3) if span > 0.0 else 0.0
    rounded = np.round(middle / step) * step if step else middle
    return np.where(far, rounded, 0.0)


def _moments(x: NDArray[Any], base: Floats, n_jobs: int | None) -> tuple[Floats, Floats]:
    """Return the sums of coordinates less the base, and of their squares."""
    if x.size <= SMALL:
        centred = x - base
        return centred.sum(axis=0), np.square(centred).sum(axis=0)
    from modeseek.engines.cpu import lloyd

    chunk = chunk_rows(len(x), x.shape[1])
    found = np.zeros((-(-len(x) // chunk), 2, x.shape[1]))
    run_chunks(
        len(x),
        lambda _, start, stop: lloyd.moments(x, base, start, stop, found[start // chunk, 0], found[start // chunk, 1]),
        n_jobs,
        chunk,
    )
    first, second = found.sum(axis=0)
    return first, second


def chunk_rows(n: int, buffer: int = 1) -> int:
    """Return how many rows are one piece of work; each leaves ``buffer`` numbers behind, up to 64 MB in all."""
    chunks = max(1, min(MOST_CHUNKS, n // FEWEST_ROWS, (1 << 23) // max(1, buffer)))
    return -(-n // chunks)


def squares(x: NDArray[Any], centres: Floats) -> Floats:
    """Return the squared distances (n, k), in NumPy, added column by column."""
    out = np.zeros((len(x), len(centres)))
    for column, values in zip(x.T, centres.T, strict=True):
        out += np.square(column[:, None] - values)
    return out


def nearest_small(x: NDArray[Any], base: Floats, centres: Floats) -> NDArray[np.int32]:
    """Label points in NumPy, a few rows at a time."""
    rows = max(1, VALUES_AT_ONCE // len(centres))
    parts = (x[start : start + rows] - base for start in range(0, len(x), rows))
    return np.concatenate([squares(part, centres).argmin(axis=1) for part in parts]).astype(np.int32)


class Tiles:
    """Scratch and layout of ``lloyd.assign`` for points and a number of centres."""

    def __init__(self, points: Points, k: int):
        from modeseek.engines.cpu import lloyd

        n, d = points.x.shape
        self.points, self.k, self.kernels = points, k, lloyd
        self.width = lloyd.padded(d)
        self.chunk = chunk_rows(n, k * (d + 2))
        lanes = lloyd.LANES
        self.work = [
            (
                np.zeros(self.width * lanes, np.float32),
                np.empty(5 * lanes, np.float32),
                np.empty(lanes, np.int64),
                np.empty(lanes),
                np.empty(k),
                np.empty(d),
            )
            for _ in range(n_workers(n, points.n_jobs, self.chunk))
        ]


def unit_of(*offsets: Floats) -> float:
    """Return the power of 2 that brings offsets from the origin into [-1, 1]."""
    reach = max(float(np.abs(values).max()) for values in offsets)
    return 2.0 ** -math.ceil(math.log2(reach)) if reach > 0.0 else 1.0


def pack(centres: Floats, origin: Floats, unit: float, width: int) -> tuple[Any, ...]:
    """Return centres as tiles want them: an even number of rows in float32, half their squares, the greatest norm."""
    k, d = centres.shape
    shifted = (centres - origin) * unit
    packed, half = np.zeros((k + k % 2, width), np.float32), np.full(k + k % 2, 3e38, np.float32)
    packed[:k, :d] = shifted
    norms = np.square(shifted).sum(axis=1)
    half[:k] = 0.5 * norms
    return packed.ravel(), half, math.sqrt(norms.max()) * (1.0 + 1e-6)


def nearest(x: NDArray[Any], centres: NDArray[Any], n_jobs: int | None = None) -> NDArray[np.int32]:
    """Return the number of the nearest centre of each row; of equally near ones the first.

    Parameters
    ----------
    x : ndarray of shape (n, d)
        Finite points, float32 or float64, in C order.
    centres : ndarray of shape (k, d)
        Centres.
    n_jobs : int, optional
        Threads.

    Returns
    -------
    ndarray of shape (n,), int32
        Numbers. Beside them nothing of the size of the data is made.
    """
    c = np.ascontiguousarray(centres, np.float64)
    base = np.zeros(x.shape[1])
    if x.size * len(c) <= SMALL:
        return nearest_small(x, base, c)
    ends = data.bounds(x, n_jobs)
    origin = 0.5 * ends[0] + 0.5 * ends[1]
    none = np.empty(0)
    tiles = Tiles(Points(x, none, base, origin, 0.0, n_jobs), len(c))
    unit = unit_of(ends - origin, c - origin)
    layout = pack(c, origin, unit, tiles.width)
    columns, labels = np.ascontiguousarray(c.T), np.full(len(x), -1, np.int32)
    moves, empty, out = (
        (none, none, 0, 0.0, 0.0, 1.0),
        np.empty(0, np.float32),
        (np.empty((0, 0)), none, np.empty(0, int)),
    )

    def work(worker: int, start: int, stop: int) -> None:
        tiles.kernels.assign(
            x, none, base, origin, unit, layout, columns, c, moves, labels, empty, empty, (start, stop),
            tiles.work[worker], out,
        )  # fmt: skip

    run_chunks(len(x), work, n_jobs, tiles.chunk)
    return labels


def own_squares(
    points: Points, base: Floats, centres: Floats, labels: NDArray[np.int32], each: bool = False
) -> tuple[float, Floats]:
    """Return the weighted sum of squared distances of points from their own centres, and each of them if asked for."""
    n = len(points.x)
    out = np.empty(n if each else 0)
    if points.small(len(centres)):
        found = np.square(points.x - base - centres[labels]).sum(axis=1)
        return float(points.weigh(found).sum()), found
    from modeseek.engines.cpu import lloyd

    chunk = chunk_rows(n)
    totals = np.empty(-(-n // chunk))

    def work(_: int, start: int, stop: int) -> None:
        totals[start // chunk] = lloyd.own_squares(points.x, points.weights, base, centres, labels, start, stop, out)

    run_chunks(n, work, points.n_jobs, chunk)
    return float(totals.sum()), out


def distances(x: NDArray[Any], centres: NDArray[Any], n_jobs: int | None = None) -> NDArray[Any]:
    """Return the distances (n, k) of points from centres, by differences in float64, in the dtype of the points."""
    c = np.ascontiguousarray(centres, np.float64)
    out = np.empty((len(x), len(c)), x.dtype)
    if out.size * x.shape[1] <= SMALL:
        return np.sqrt(squares(x.astype(np.float64), c), out=out, casting="same_kind")
    from modeseek.engines.cpu import lloyd

    columns = np.ascontiguousarray(c.T)
    chunk = chunk_rows(len(x))
    scratch = [(np.empty(x.shape[1]), np.empty(len(c))) for _ in range(n_workers(len(x), n_jobs, chunk))]

    def work(worker: int, start: int, stop: int) -> None:
        lloyd.distances(x, columns, start, stop, *scratch[worker], out)

    run_chunks(len(x), work, n_jobs, chunk)
    return out
