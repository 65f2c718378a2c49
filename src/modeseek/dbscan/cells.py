"""DBSCAN in up to three columns, on cells of side eps / sqrt(d).

Any two points of a cell are within eps of each other: a cell of min_samples points is core as a whole, and core points
of one cell are of one cluster. What is left to find out is which cells have a near pair of core points. The scheme is
that of Y. Wang, Y. Gu and J. Shun, "Theoretically-efficient and practical parallel DBSCAN", SIGMOD (2020) 2555-2571.
"""

import itertools
import math
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from modeseek.engines.threads import effective_n_jobs, run_chunks

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

MOST_COLUMNS = 3
REACH = 2  # cells
SHORTER = 1.0 - 1e-6  # sides: rounding must not put two points in one cell that are not near
LONGEST = 1 << 30  # cells along an axis: then a cell's borders are off by less than the margin
CELLS_PER_CHUNK = 1 << 10
ROWS_PER_PART = 1 << 16
DIGITS = 11  # bits that one pass of the radix sort looks at
MOST_COUNTERS = 1 << 19  # of a counting sort: no more than the second cache holds


@dataclass
class Grid:
    """Cells that hold all points: the least corner, cells per unit, the last cell and the step of keys of each axis."""

    origin: Floats
    per_side: float
    most: Ints
    strides: Ints
    size: int

    @classmethod
    def over(cls, bounds: Floats, eps: float) -> Self | None:
        """Return the grid over a box; None where cells are too many for keys of 62 bits."""
        d = bounds.shape[1]
        per_side = math.sqrt(d) / (eps * SHORTER)
        spans = [float(span) * per_side for span in bounds[1] - bounds[0]]
        if d > MOST_COLUMNS or not max(spans) < LONGEST:
            return None
        counts = [int(span) + 1 + 2 * REACH for span in spans]
        if math.prod(counts) >= 1 << 62:
            return None
        strides = [math.prod(counts[k + 1 :]) for k in range(d)]
        most = np.array(counts, np.int64) - 1 - 2 * REACH
        return cls(bounds[0].copy(), per_side, most, np.array(strides, np.int64), math.prod(counts))

    def rows(self) -> tuple[Ints, int]:
        """Return the steps of keys to each row of cells within reach, nearest first, and how many are next to one."""
        steps = sorted(
            itertools.product(range(-REACH, REACH + 1), repeat=len(self.strides) - 1),
            key=lambda step: (sum(s * s for s in step), step),
        )
        steps.sort(key=lambda step: max(map(abs, step), default=0) > 1)
        close = sum(max(map(abs, step), default=0) <= 1 for step in steps)
        return np.array([int(np.dot(step, self.strides[:-1])) for step in steps], np.int64), close


@dataclass
class SortedCells:
    """Points by cell: columns (d, n), their rows, and keys and starts of the cells."""

    points: NDArray[Any]
    order: NDArray[Any]
    keys: Ints
    starts: Ints


def sort_points(points: NDArray[Any], grid: Grid, n_jobs: int | None) -> SortedCells:
    """Sort points by cell, and by row within each."""
    return _count_sort(points, grid, n_jobs) if grid.size <= MOST_COUNTERS else _radix_sort(points, grid, n_jobs)


def _parts(n: int, n_jobs: int | None) -> list[tuple[int, int]]:
    """Cut rows into one part for each thread."""
    parts = max(1, min(effective_n_jobs(n_jobs), n // ROWS_PER_PART))
    return [(i * n // parts, (i + 1) * n // parts) for i in range(parts)]


def _rows(n: int) -> NDArray[Any]:
    """Return room for n numbers of rows."""
    return np.empty(n, np.int32 if n < 1 << 31 else np.int64)


def _count_sort(points: NDArray[Any], grid: Grid, n_jobs: int | None) -> SortedCells:
    from modeseek.engines.cpu import cell_sort

    n, d = points.shape
    parts = _parts(n, n_jobs)
    places = np.zeros((len(parts), grid.size), np.int64)
    columns, order = np.empty((d, n), points.dtype), _rows(n)
    how = (grid.origin, grid.per_side, grid.most, grid.strides)

    def count(_: int, i: int, __: int) -> None:
        cell_sort.count_cells(points, *parts[i], *how, places[i])

    def scatter(_: int, i: int, __: int) -> None:
        cell_sort.scatter_cells(points, *parts[i], *how, places[i], columns, order)

    run_chunks(len(parts), count, n_jobs, 1)
    cell_sort.offsets(places)
    begin = places[0].copy()
    run_chunks(len(parts), scatter, n_jobs, 1)
    m = cell_sort.occupied(begin, n, np.empty(0, np.int64), np.empty(0, np.int64))
    keys, starts = np.empty(m, np.int64), np.full(m + 1, n)
    cell_sort.occupied(begin, n, keys, starts)
    return SortedCells(columns, order, keys, starts)


def _radix_sort(points: NDArray[Any], grid: Grid, n_jobs: int | None) -> SortedCells:
    from modeseek.engines.cpu import cell_sort

    n, d = points.shape
    parts = _parts(n, n_jobs)
    every, order = _sorted_keys(points, grid, n_jobs)
    m = cell_sort.runs(every, np.empty(0, np.int64), np.empty(0, np.int64))
    keys, starts = np.empty(m, np.int64), np.full(m + 1, n)
    cell_sort.runs(every, keys, starts)
    del every
    columns = np.empty((d, n), points.dtype)

    def gather(_: int, i: int, __: int) -> None:
        cell_sort.gather(points, order, *parts[i], columns)

    run_chunks(len(parts), gather, n_jobs, 1)
    return SortedCells(columns, order, keys, starts)


def _sorted_keys(points: NDArray[Any], grid: Grid, n_jobs: int | None) -> tuple[Ints, NDArray[Any]]:
    """Return the sorted keys of all points, and their rows: digit by digit, the lowest first."""
    from modeseek.engines.cpu import cell_sort

    n = len(points)
    parts = _parts(n, n_jobs)
    keys, spare_keys = np.empty(n, np.int64), np.empty(n, np.int64)
    spare_rows = _rows(n)
    rows = spare_rows[:0]  # as they come

    def find(_: int, i: int, __: int) -> None:
        cell_sort.find_keys(points, *parts[i], grid.origin, grid.per_side, grid.most, grid.strides, keys)

    run_chunks(len(parts), find, n_jobs, 1)
    bits = (grid.size - 1).bit_length()
    width = -(-bits // -(-bits // DIGITS))
    for shift in range(0, bits, width):
        places = np.zeros((len(parts), 1 << width), np.int64)
        _sort_digit(parts, shift, places, (keys, rows), (spare_keys, spare_rows), n_jobs)
        keys, spare_keys = spare_keys, keys
        rows, spare_rows = spare_rows, rows if len(rows) else np.empty_like(spare_rows)
    return keys, rows


def _sort_digit(
    parts: list[tuple[int, int]], shift: int, places: Ints, source: Any, target: Any, n_jobs: int | None
) -> None:
    from modeseek.engines.cpu import cell_sort

    def count(_: int, i: int, __: int) -> None:
        cell_sort.count_digits(source[0], *parts[i], shift, places[i])

    def scatter(_: int, i: int, __: int) -> None:
        cell_sort.scatter_digits(*source, *parts[i], shift, places[i], *target)

    run_chunks(len(parts), count, n_jobs, 1)
    cell_sort.offsets(places)
    run_chunks(len(parts), scatter, n_jobs, 1)


def cluster(
    points: NDArray[Any], grid: Grid, eps: float, min_samples: int, weights: Floats, n_jobs: int | None
) -> tuple[Ints, NDArray[np.bool_]]:
    """Return the label of each point, and whether it is core."""
    from modeseek.engines.cpu import dbscan_cells as loops

    cells = sort_points(points, grid, n_jobs)
    n, m, eps2 = len(points), len(cells.keys), eps * eps
    rows, close = grid.rows()
    where = (cells.keys, cells.starts, rows)
    by_cell = weights[cells.order] if weights.size else weights
    shortcuts = not (weights < 0.0).any()
    core, first = np.empty(n, np.uint8), np.empty(m, np.int64)

    def find_core(_: int, start: int, stop: int) -> None:
        loops.find_core(cells.points, by_cell, *where, start, stop, eps2, float(min_samples), shortcuts, core)
        loops.first_core(core, cells.starts, start, stop, first)

    run_chunks(m, find_core, n_jobs, CELLS_PER_CHUNK)
    parent = np.arange(m, dtype=np.int32 if m < 1 << 31 else np.int64)

    def link(c0: int, c1: int, low: int, high: int) -> None:
        loops.link_cells(cells.points, core, first, *where, close, c0, c1, low, high, eps2, parent)

    _link_stripes(link, cells, int(rows.max()) + REACH, n_jobs)
    least = np.empty(m, cells.order.dtype)
    loops.name_cells(first, cells.order, parent, least)
    roots = np.flatnonzero(least >= 0)
    number = np.full(m, -1, parent.dtype)
    number[roots[np.argsort(least[roots])]] = np.arange(len(roots))
    clusters = number[_roots(parent)]
    labels, is_core = np.empty(n, np.int64), np.empty(n, np.bool_)

    def label(_: int, start: int, stop: int) -> None:
        loops.label_points(cells.points, core, first, clusters, *where, cells.order, start, stop, eps2, labels)

    run_chunks(m, label, n_jobs, CELLS_PER_CHUNK)
    is_core[cells.order] = core.view(np.bool_)
    return labels, is_core


def _roots(parent: NDArray[Any]) -> NDArray[Any]:
    """Return the root of every cell: links are followed for all of them at once, twice as far each time."""
    roots = parent
    while True:
        further = roots[roots]
        if np.array_equal(further, roots):
            return roots
        roots = further


def _link_stripes(link: Any, cells: SortedCells, furthest: int, n_jobs: int | None) -> None:
    """Link the cells of each stripe of cells, then stripes with their neighbours, pair by pair.

    No two threads ever write to the links of one stripe; which cells end up together does not depend on the stripes.
    """
    m, workers = len(cells.keys), effective_n_jobs(n_jobs)
    stripes = 1 if workers == 1 else min(1 << (4 * workers - 1).bit_length(), max(1, m // CELLS_PER_CHUNK))
    cuts = [i * m // stripes for i in range(stripes + 1)]

    def within(_: int, i: int, __: int) -> None:
        link(cuts[i], cuts[i + 1], cuts[i], cuts[i + 1])

    run_chunks(stripes, within, n_jobs, 1)
    while len(cuts) > 2:

        def across(_: int, i: int, __: int, cuts: list[int] = cuts) -> None:
            low, middle, high = cuts[2 * i : 2 * i + 3]
            start = int(np.searchsorted(cells.keys[:middle], cells.keys[middle] - furthest)) if middle < m else low
            link(max(low, start), middle, middle, high)

        run_chunks((len(cuts) - 1) // 2, across, n_jobs, 1)
        cuts = [*cuts[:-1:2], m]
