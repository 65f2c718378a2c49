"""Neighbours within radii, exactly: counted without a list, or counted first and then written down.

A screen settles most pairs: below one threshold they are surely within the radius, above another surely not. What is
between is compared in float64, |x - q|^2 <= radius^2, with sums of squared differences column by column.
"""

import torch

from modeseek.engines.gpu import pairs
from modeseek.engines.gpu.nearest import MOST_QUERIES, Points, pairs_within, possible
from modeseek.engines.gpu.screens import Screen

UNSETTLED = 64  # pairs of a query that a screen may leave open
WASTE = 2  # pairs to look at, for each that is within the radius, with which the quickest screen is still the best
LARGEST = torch.finfo(torch.float64).max


def count_within(points: Points, Q: torch.Tensor, own: torch.Tensor | None, radii: torch.Tensor) -> torch.Tensor:
    """Return how many points are within the radius of each query.

    Parameters
    ----------
    points : Points
        Where to search.
    Q : Tensor of shape (m, d)
        Queries.
    own : Tensor of shape (m,), optional
        The rows that the queries themselves are, which do not count.
    radii : Tensor of shape (m,), float64
        At least 0.

    Returns
    -------
    Tensor of shape (m,), int64
        Numbers of points.
    """
    counts = torch.empty(len(Q), dtype=torch.int64, device=Q.device)
    kinds = points.kinds
    for start in range(0, len(Q), MOST_QUERIES):
        left = torch.arange(start, min(start + MOST_QUERIES, len(Q)), device=Q.device)
        for kind in kinds:
            done, found = _settled(points, points.screen(kind), Q[left], radii[left])
            counts[left] = found
            many, left = len(left), left[~done]
            if not len(left):
                break
            if 2 * len(left) > many:
                kinds = kinds[-1:]
        if len(left):
            counts[left] = _listed(points, points.kinds[-1], Q[left], radii[left])
    return counts if own is None else counts - 1


def within(
    points: Points, Q: torch.Tensor, own: torch.Tensor | None, radii: torch.Tensor, far: bool = True
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return the points within the radius of each query, by rising row.

    Parameters
    ----------
    points, Q, own, radii
        As for `count_within`.
    far : bool, default True
        Whether distances are asked for.

    Returns
    -------
    indptr : Tensor of shape (m + 1,), int64
        The entries of query i are from ``indptr[i]`` to ``indptr[i + 1]``.
    rows : Tensor, int64
        Rows of the points.
    distances : Tensor, float64
        Their distances; empty if not asked for.
    """
    screen, known = _best_screen(points, Q, radii)
    limits = (radii * radii).clamp(max=LARGEST)
    counts = torch.zeros(len(Q), dtype=torch.int64, device=Q.device)
    rows, distances = [counts[:0]], [radii[:0]]
    for part, query, position in pairs_within(points, screen, Q, radii * points.frame.scale, known):
        row = screen.rows(position)
        squared = pairs.squares(Q[part], points.X, query, row)
        inside = squared <= limits[part][query]
        if own is not None:
            inside &= row != own[part][query]
        chosen = torch.nonzero(inside).flatten()
        query, row = query[chosen], row[chosen]
        order = torch.sort((query << 32) | row).indices
        counts[part] = torch.bincount(query, minlength=len(Q[part]))
        rows.append(row[order])
        if far:
            distances.append(pairs.roots(squared[chosen][order]))
    return pairs.row_starts(counts), torch.cat(rows), torch.cat(distances)


def _settled(points: Points, screen: Screen, Q: torch.Tensor, radii: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return of which queries few pairs were left open, and their numbers of points."""
    m, asked, reach = len(Q), screen.ask(Q), radii * points.frame.scale
    starts = torch.arange(m + 1, device=Q.device) * UNSETTLED
    room = pairs.room_of(starts, m * UNSETTLED, points.device)
    opened, sure = torch.zeros(2, m, dtype=torch.int32, device=Q.device)
    pairs.collect(asked, asked.upper(reach), asked.lower(reach), (0, screen.n), opened, sure, room)
    places = torch.arange(UNSETTLED, device=Q.device)
    query, place = torch.nonzero(places < opened[:, None], as_tuple=True)
    row = screen.rows(room[1].view(m, -1)[query, place])
    limits = (radii * radii).clamp(max=LARGEST)
    inside = pairs.squares(Q, points.X, query, row) <= limits[query]
    return opened <= UNSETTLED, sure + torch.bincount(query[inside], minlength=m)


def _listed(points: Points, kind: str, Q: torch.Tensor, radii: torch.Tensor) -> torch.Tensor:
    """Return numbers of points where a screen settles too little."""
    screen = points.screen(kind)
    limits = (radii * radii).clamp(max=LARGEST)
    counts = torch.zeros(len(Q), dtype=torch.int64, device=Q.device)
    for part, query, position in pairs_within(points, screen, Q, radii * points.frame.scale):
        inside = pairs.squares(Q[part], points.X, query, screen.rows(position)) <= limits[part][query]
        counts[part] = torch.bincount(query[inside], minlength=len(Q[part]))
    return counts


def _best_screen(points: Points, Q: torch.Tensor, radii: torch.Tensor) -> tuple[Screen, torch.Tensor]:
    """Return the quickest screen that leaves little too much, and how many pairs it leaves of each query."""
    reach = radii * points.frame.scale
    for kind in points.kinds[:-1]:
        screen = points.screen(kind)
        left, sure = [], 0
        for start in range(0, len(Q), MOST_QUERIES):
            part = slice(start, start + MOST_QUERIES)
            asked = screen.ask(Q[part])
            some, certain = torch.zeros(2, len(asked), dtype=torch.int32, device=Q.device)
            pairs.collect(asked, asked.upper(reach[part]), asked.lower(reach[part]), (0, screen.n), some, certain)
            left.append(some + certain)
            sure += int(certain.sum(dtype=torch.int64))
        counts = torch.cat(left)
        if int(counts.sum(dtype=torch.int64)) <= WASTE * sure + UNSETTLED * len(Q):
            return screen, counts
    screen = points.screen(points.kinds[-1])
    return screen, torch.cat([counts for _, counts in possible(screen, Q, reach)])
