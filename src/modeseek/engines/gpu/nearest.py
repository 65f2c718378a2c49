"""Nearest neighbours of any queries, exactly: a screen that grows, then float64.

Points come in slabs, each `GROWTH` times all before it, taken from everywhere (`Screen.step`). What is found in one
bounds how far the k-th neighbour can be, so about (GROWTH - 1) k points of the next have to be written down. Everything
under the proven threshold is kept, so the k nearest are among it; sums of squared differences in float64, column by
column, choose them, ties by lower row. Queries whose room was too small (repeated points, crowds that low precision
cannot tell apart) are counted first and then given the room that they need.
"""

from collections.abc import Iterator

import torch

from modeseek.engines.gpu import pairs
from modeseek.engines.gpu.screens import DIRECT, Asked, Frame, Screen

GROWTH = 8
ROOM_AT_ONCE = 1 << 25  # places for pairs, of the queries that search together
PAIRS_AT_ONCE = 1 << 25
MOST_QUERIES = 1 << 16


class Points:
    """Points as given, and the screens of them, made when they are first of use.

    Parameters
    ----------
    X : Tensor of shape (n, d), float32 or float64
        Finite and contiguous; kept, not copied.

    Notes
    -----
    Memory: 4 d + 4 bytes a point up to `DIRECT` columns; beyond, 4 (d + 2) with d rounded up for tiles, and as much
    again where TF32 does not tell points apart.
    """

    def __init__(self, X: torch.Tensor):
        self.X, self.frame = X, Frame(X)
        self.device = str(X.device)
        self._screens: dict[str, Screen] = {}

    @property
    def kinds(self) -> tuple[str, ...]:
        """The screens to try, the quickest first."""
        return ("direct",) if self.X.shape[1] <= DIRECT else ("tf32", "ieee")

    def screen(self, kind: str) -> Screen:
        """Return a screen of the points."""
        if kind not in self._screens:
            self._screens[kind] = Screen(self.X, self.frame, kind)
        return self._screens[kind]


def nearest(points: Points, Q: torch.Tensor, own: torch.Tensor | None, k: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the k nearest points of each query.

    Parameters
    ----------
    points : Points
        Where to search.
    Q : Tensor of shape (m, d)
        Queries.
    own : Tensor of shape (m,), optional
        The rows that the queries themselves are: none is its own neighbour.
    k : int
        Neighbours; there are as many points, without the query's own.

    Returns
    -------
    distances : Tensor of shape (m, k), float64
        In rising order.
    rows : Tensor of shape (m, k), int64
        Of equal distances the lower row first.
    """
    m, device = len(Q), Q.device
    squared = torch.empty(m, k, dtype=torch.float64, device=device)
    rows = torch.empty(m, k, dtype=torch.int64, device=device)
    kinds = points.kinds
    at_once = min(MOST_QUERIES, max(1, ROOM_AT_ONCE // _places(k, len(points.X))))
    for start in range(0, m, at_once):
        left = torch.arange(start, min(start + at_once, m), device=device)
        reach = torch.full((len(left),), torch.inf, dtype=torch.float64, device=device)
        for kind in kinds:
            mine = None if own is None else own[left]
            done, reach = _by_slabs(points, points.screen(kind), Q[left], mine, k, reach, (squared, rows), left)
            many, left, reach = len(left), left[~done], reach[~done]
            if not len(left):
                break
            if 2 * len(left) > many:  # this precision tells too little here: the next chunks do without
                kinds = kinds[-1:]
        for part, some in _by_radius(points, Q, own, k, left, reach):
            squared[part], rows[part] = some
    return pairs.roots(squared), rows


def _places(k: int, n: int) -> int:
    """Return how many of n points are written down for a query between two looks at them: hardly ever too few."""
    expected = k + (GROWTH - 1) * (k + 6.0 * k**0.5 + 14.0)
    return min(n, 1 << (int(expected) - 1).bit_length())


def _by_slabs(
    points: Points,
    screen: Screen,
    Q: torch.Tensor,
    own: torch.Tensor | None,
    k: int,
    reach: torch.Tensor,
    results: tuple[torch.Tensor, torch.Tensor],
    at: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Write results of the queries that have room enough; return which those are, and how far each k-th can be."""
    m, n = len(Q), screen.n
    places = _places(k, n)
    asked = screen.ask(Q)
    position = None if own is None else screen.positions(own)[:, None]
    starts = torch.arange(m + 1, device=Q.device) * places
    room = pairs.room_of(starts, m * places, points.device)
    found, values = (table.view(m, places) for table in room[1:])
    counts = torch.zeros(m, dtype=torch.int32, device=Q.device)
    done = ~asked.lost
    first, stop = 0, places
    while first < n:
        pairs.collect(asked, asked.upper(reach), None, (first, stop), counts, None, room)
        done &= counts <= places
        wide = min(places, max(k, int(counts.max())))
        some = values[:, :wide]
        some.masked_fill_(torch.arange(wide, device=Q.device) >= counts[:, None], torch.inf)
        if position is not None:
            some.masked_fill_(found[:, :wide] == position, torch.inf)
        some, order = torch.sort(some, dim=1)
        values[:, :wide], found[:, :wide] = some, torch.gather(found[:, :wide], 1, order)
        best = some[:, :k]
        reach = torch.minimum(reach, asked.reach(best, torch.where(torch.isfinite(best), found[:, :k], 0)))
        counts = (some <= asked.upper(reach)[:, None]).sum(dim=1, dtype=torch.int32)
        first, stop = stop, min(stop * GROWTH, n)
    chosen = torch.nonzero(done).flatten()
    if len(chosen):
        for target, result in zip(results, _exactly(points, screen, Q, k, chosen, found, counts), strict=True):
            target[at[chosen]] = result
    return done, reach


def _exactly(
    points: Points,
    screen: Screen,
    Q: torch.Tensor,
    k: int,
    chosen: torch.Tensor,
    found: torch.Tensor,
    counts: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the k least squares and their rows, (m, k), among what was found for the chosen queries."""
    counts = counts[chosen]
    wide = max(k, int(counts.max()))
    there = torch.arange(wide, device=Q.device) < counts[:, None]
    rows = torch.where(there, screen.rows(found[chosen, :wide]), len(points.X))  # no row comes last
    rows = torch.sort(rows, dim=1).values
    there = rows < len(points.X)
    squared = torch.full(rows.shape, torch.inf, dtype=torch.float64, device=Q.device)
    at_once = max(1, pairs.EXACT_AT_ONCE // wide)
    for start in range(0, len(rows), at_once):
        part = slice(start, start + at_once)
        query = chosen[part, None].expand(-1, wide).reshape(-1)
        row = torch.where(there[part], rows[part], 0).reshape(-1)
        squared[part] = pairs.squares(Q, points.X, query, row).view(-1, wide)
    squared.masked_fill_(~there, torch.inf)
    order = torch.sort(squared, dim=1, stable=True).indices[:, :k]
    return torch.gather(squared, 1, order), torch.gather(rows, 1, order)


def _by_radius(
    points: Points, Q: torch.Tensor, own: torch.Tensor | None, k: int, left: torch.Tensor, reach: torch.Tensor
) -> Iterator[tuple[torch.Tensor, tuple[torch.Tensor, torch.Tensor]]]:
    """Yield queries with the k least squares and rows among everything within reach of them."""
    if not len(left):
        return
    screen = points.screen(points.kinds[-1])
    for part, query, position in pairs_within(points, screen, Q[left], reach):
        row = screen.rows(position)
        which = left[part]
        if own is not None:
            others = row != own[which][query]
            query, row = query[others], row[others]
        query, row = pairs.sorted_by_row(query, row)
        squared = pairs.squares(Q[which], points.X, query, row)
        yield which, pairs.first_of_each(query, row, squared, len(which), k)


def pairs_within(
    points: Points, screen: Screen, Q: torch.Tensor, radii: torch.Tensor, counts: torch.Tensor | None = None
) -> Iterator[tuple[slice, torch.Tensor, torch.Tensor]]:
    """Yield some queries (a slice), and the pairs (query in it, position) that the screen leaves within radii.

    Parameters
    ----------
    points : Points
        Where to search.
    screen : Screen
        One of its screens.
    Q, radii : Tensor of shape (m, d) and (m,)
        Queries, and radii in the frame of the points.
    counts : Tensor of shape (m,), optional
        How many pairs the screen leaves, if that is known.
    """
    if counts is None:
        counts = torch.cat([c for _, c in possible(screen, Q, radii)])
    ends = torch.cumsum(counts, 0, dtype=torch.int64).cpu()
    start, m = 0, len(Q)
    while start < m:
        before = int(ends[start - 1]) if start else 0
        stop = int(torch.searchsorted(ends, before + PAIRS_AT_ONCE, right=True))
        part = slice(start, min(max(stop, start + 1), start + MOST_QUERIES, m))
        yield part, *_written(screen.ask(Q[part]), radii[part], counts[part], int(ends[part.stop - 1]) - before)
        start = part.stop


def _written(asked: Asked, radii: torch.Tensor, counts: torch.Tensor, total: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return pairs (query, position) within radii, of which there are about so many."""
    device = asked.norms.device
    while True:
        room = pairs.room_of(pairs.row_starts(counts), total, str(device))
        written = torch.zeros(len(asked), dtype=torch.int32, device=device)
        pairs.collect(asked, asked.upper(radii), None, (0, asked.screen.n), written, None, room)
        query = torch.repeat_interleave(torch.arange(len(asked), device=device), counts.long(), output_size=total)
        there = torch.isfinite(room[2])
        if not bool((written > counts).any()):
            return query[there], room[1][there]
        # a library's products may round otherwise among other queries: some at the threshold came or went
        counts = torch.maximum(counts, written)
        total = int(counts.sum())


def possible(screen: Screen, Q: torch.Tensor, radii: torch.Tensor) -> Iterator[tuple[Asked, torch.Tensor]]:
    """Yield some queries, and how many pairs the screen leaves within their radii, int32."""
    for start in range(0, len(Q), MOST_QUERIES):
        part = slice(start, start + MOST_QUERIES)
        asked = screen.ask(Q[part])
        counts = torch.zeros(len(asked), dtype=torch.int32, device=Q.device)
        pairs.collect(asked, asked.upper(radii[part]), None, (0, screen.n), counts)
        yield asked, counts
