"""DBSCAN on cells in which any two points are near each other: core points, links of cells, borders.

Cells are sorted by key, and a step along the last axis adds 1 to it. So the cells within reach of one are a few runs,
one for each row of the grid near it, whose beginnings only move on from cell to cell. Keys leave room for two empty
cells at each border of the grid, so that no run goes on into the next row.
"""

import numpy as np
from numba import njit

from modeseek.engines.cpu import exact_kernel
from modeseek.engines.cpu.near import count_near, linked, touches, weigh_near
from modeseek.engines.cpu.union_find import find, unite

REACH = 2  # cells: sides are a little shorter than eps / sqrt(d), d <= 3


@njit(inline="always")
def _move_on(keys, target, at):
    """Return the first cell from ``at`` on whose key is at least ``target``: steps that double, then halves."""
    m = len(keys)
    if at < m and keys[at] < target:
        step, low, high = 1, at, at + 1
        while high < m and keys[high] < target:
            low = high
            step *= 2
            high += step
        high = min(high, m)
        while high - low > 1:
            middle = (low + high) >> 1
            if keys[middle] < target:
                low = middle
            else:
                high = middle
        at = high
    return at


@njit(inline="always")
def _find_runs(keys, c, rows, begin, end):
    """Move the runs of cells within reach on to those of cell c."""
    for r in range(len(rows)):
        target = keys[c] + rows[r]
        first = _move_on(keys, target - REACH, begin[r])
        last = first
        while last < len(keys) and keys[last] <= target + REACH:
            last += 1
        begin[r], end[r] = first, last


@exact_kernel
def find_core(points, weights, keys, starts, rows, c0, c1, eps2, needed, shortcuts, core):
    """Mark core points of a range of cells; ``shortcuts`` says that no weight is negative."""
    begin, end = np.zeros(len(rows), np.int64), np.zeros(len(rows), np.int64)
    weighted = len(weights) > 0
    for c in range(c0, c1):
        start, stop = starts[c], starts[c + 1]
        own = 0.0
        if weighted:
            for q in range(start, stop):
                own += weights[q]
        else:
            own = np.float64(stop - start)
        if shortcuts and own >= needed:
            core[start:stop] = 1
            continue
        _find_runs(keys, c, rows, begin, end)
        if not weighted:
            most = 0
            for r in range(len(rows)):
                most += starts[end[r]] - starts[begin[r]]
            if most < needed:
                core[start:stop] = 0
                continue
        for p in range(start, stop):
            if weighted:
                total = own
                for r in range(len(rows)):
                    for half in range(
                        2 if r == 0 else 1
                    ):  # the first row is that of the cell itself, which is left out
                        first = starts[begin[r]] if half == 0 else stop
                        last = start if r == 0 and half == 0 else starts[end[r]]
                        total += weigh_near(points, weights, p, first, last, eps2)
                    if shortcuts and total >= needed:
                        break
                core[p] = total >= needed
            else:
                lacking = np.int64(needed) - (stop - start)
                lacking -= count_near(points, p, starts[begin[0]], start, eps2, lacking)
                lacking -= count_near(points, p, stop, starts[end[0]], eps2, lacking)
                for r in range(1, len(rows)):
                    if lacking <= 0:
                        break
                    lacking -= count_near(points, p, starts[begin[r]], starts[end[r]], eps2, lacking)
                core[p] = lacking <= 0


@exact_kernel
def first_core(core, starts, c0, c1, first):
    """Find the first core point of each of a range of cells; -1 where there is none."""
    for c in range(c0, c1):
        first[c] = -1
        for p in range(starts[c], starts[c + 1]):
            if core[p]:
                first[c] = p
                break


@exact_kernel
def link_cells(points, core, first, keys, starts, rows, close, c0, c1, low, high, eps2, parent):
    """Unite cells c0 to c1 with later cells in [low, high) that have a near pair of core points.

    Cells next to each other first, in the ``close`` first rows: what they join is not tested again further away.
    """
    begin = np.zeros(len(rows), np.int64)
    box = np.empty((2, points.shape[0]))
    for n_rows, span in ((close, 1), (len(rows), REACH)):
        begin[:] = low
        for c in range(c0, c1):
            if first[c] < 0:
                continue
            for r in range(n_rows):
                if rows[r] < 0:
                    continue
                target = keys[c] + rows[r]
                at = _move_on(keys, max(target - span, keys[c] + 1), begin[r])
                begin[r] = at
                while at < high and keys[at] <= target + span:
                    if first[at] >= 0:
                        a, b = find(parent, c), find(parent, at)
                        if a != b and linked(
                            points, core, first[c], starts[c + 1], first[at], starts[at + 1], eps2, box
                        ):
                            unite(parent, a, b)
                    at += 1


@exact_kernel
def name_cells(first, order, parent, least):
    """Write, for each root, the least row of a core point of its cells; -1 elsewhere."""
    for c in range(len(first)):
        least[c] = -1
    for c in range(len(first)):
        if first[c] >= 0:
            root = find(parent, c)
            row = order[first[c]]
            if least[root] < 0 or row < least[root]:
                least[root] = row


@exact_kernel
def label_points(points, core, first, cluster, keys, starts, rows, order, c0, c1, eps2, labels):
    """Label the points of a range of cells: border points by the first cluster that has a core point near them."""
    begin, end = np.zeros(len(rows), np.int64), np.zeros(len(rows), np.int64)
    none = len(keys)
    for c in range(c0, c1):
        own = cluster[c] if first[c] >= 0 else none
        found = False
        for p in range(starts[c], starts[c + 1]):
            if core[p]:
                labels[order[p]] = own
                continue
            if not found:
                _find_runs(keys, c, rows, begin, end)
                found = True
            best = own
            for r in range(len(rows)):
                for other in range(begin[r], end[r]):
                    sooner = first[other] >= 0 and cluster[other] < best
                    if sooner and touches(points, core, p, first[other], starts[other + 1], eps2):
                        best = cluster[other]
            labels[order[p]] = best if best < none else -1
