"""Pairs of queries and points: those that a screen leaves, their exact distances, and the nearest of each query.

Twins of the kernels in `engines.triton.nearest`, and what is left to Torch: sorts and sums of integers.
"""

import numpy as np
import torch

from modeseek.engines import triton
from modeseek.engines.gpu.memory import room_for
from modeseek.engines.gpu.screens import Asked

AT_ONCE = 1 << 22  # pairs that the twin looks at together
EXACT_AT_ONCE = 1 << 24  # pairs whose distances are computed together


def collect(
    asked: Asked,
    upper: torch.Tensor,
    lower: torch.Tensor | None,
    span: tuple[int, int],
    counts: torch.Tensor,
    sure: torch.Tensor | None = None,
    room: tuple[torch.Tensor, torch.Tensor, torch.Tensor] | None = None,
) -> None:
    """Count, and write down, the pairs whose value is at most a query's threshold.

    Parameters
    ----------
    asked : Asked
        Queries, and the screen of the points.
    upper : Tensor of shape (m,), float32
        The threshold.
    lower : Tensor of shape (m,), float32, optional
        Pairs with values below are counted in ``sure``, and left out of everything else.
    span : (first, stop)
        Positions of the screen that are looked at.
    counts : Tensor of shape (m,), int32
        Raised by the number of pairs.
    sure : Tensor of shape (m,), int32, optional
        Raised by the number of pairs below ``lower``.
    room : (starts, found, values), optional
        The pairs of query i are written from ``starts[i] + counts[i]`` (as it was) to ``starts[i + 1]``, and lost
        where there is no more room; positions, int32, and values, float32. Their order is left open.
    """
    screen = asked.screen
    if triton.runs_on(screen.points):
        from modeseek.engines.triton import nearest

        nearest.collect(
            screen.kind, asked.values, screen.points, screen.halves, upper, lower, span, counts, counts if sure is None
            else sure, room,
        )  # fmt: skip
    else:
        collect_twin(asked, upper, lower, span, counts, sure, room)


def collect_twin(
    asked: Asked,
    upper: torch.Tensor,
    lower: torch.Tensor | None,
    span: tuple[int, int],
    counts: torch.Tensor,
    sure: torch.Tensor | None = None,
    room: tuple[torch.Tensor, torch.Tensor, torch.Tensor] | None = None,
) -> None:
    """Do what `collect` says in plain Torch."""
    m = len(upper)
    wide = max(1, AT_ONCE // max(m, 1))
    for first in range(span[0], span[1], wide):
        stop = min(first + wide, span[1])
        values = _values(asked, first, stop)
        hit = values <= upper[:, None]
        if lower is not None and sure is not None:
            certain = values < lower[:, None]
            sure += certain.sum(dim=1, dtype=torch.int32)
            hit &= ~certain
        many = hit.sum(dim=1, dtype=torch.int32)
        if room is not None:
            starts, found, kept = room
            query, column = torch.nonzero(hit, as_tuple=True)
            before = torch.cumsum(many, 0) - many
            place = starts[query] + counts[query] + torch.arange(len(query), device=hit.device) - before[query]
            fits = place < starts[query + 1]
            query, column, place = query[fits], column[fits], place[fits]
            found[place] = (first + column).int()
            kept[place] = values[query, column]
        counts += many


def _values(asked: Asked, first: int, stop: int) -> torch.Tensor:
    """Return the values of all queries and some points, (m, stop - first)."""
    screen = asked.screen
    if screen.kind == "direct":
        total = torch.zeros(len(asked), stop - first, dtype=torch.float32, device=screen.points.device)
        for q, x in zip(asked.values, screen.points[:, first:stop], strict=True):
            total += (q[:, None] - x[None, :]).square_()
        return total
    points = screen.points[first:stop]
    if screen.kind == "tf32":  # rounded beforehand: TF32, if Torch may use it, leaves nothing more out
        return screen.halves[first:stop] - asked.values @ points.T
    return screen.halves[first:stop] - (asked.values.double() @ points.double().T).float()


def squares(
    Q: torch.Tensor, X: torch.Tensor, query: torch.Tensor, row: torch.Tensor, scale: float = 1.0
) -> torch.Tensor:
    """Return squared distances of pairs in float64, columns added one after the other.

    Parameters
    ----------
    Q, X : Tensor of shape (m, d) and (n, d)
        Queries and points as given.
    query, row : Tensor of shape (pairs,)
        Which of them.
    scale : float, default 1
        A power of two that differences are multiplied by.
    """
    if triton.runs_on(X):
        from modeseek.engines.triton import nearest

        return nearest.squares(Q, X, query.contiguous(), row.contiguous(), scale)
    return squares_twin(Q, X, query, row, scale)


def squares_twin(
    Q: torch.Tensor, X: torch.Tensor, query: torch.Tensor, row: torch.Tensor, scale: float = 1.0
) -> torch.Tensor:
    """Do what `squares` says in plain Torch."""
    out = torch.zeros(len(row), dtype=torch.float64, device=X.device)
    at_once = max(1, AT_ONCE // X.shape[1])
    for start in range(0, len(row), at_once):
        part = slice(start, start + at_once)
        differences = (X[row[part].long()].double() - Q[query[part].long()].double()).mul_(scale)
        for column in differences.T:
            out[part] += column.square_()
    return out


def roots(squared: torch.Tensor) -> torch.Tensor:
    """Take square roots in place, rounded as IEEE 754 says: on the CPU Torch's may be off in the last bit."""
    if squared.device.type != "cpu":
        return squared.sqrt_()
    values = squared.numpy()
    np.sqrt(values, out=values)
    return squared


def sorted_by_row(query: torch.Tensor, row: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return pairs by query, then by row."""
    packed = torch.sort((query.long() << 32) | row.long()).values
    return packed >> 32, packed & 0xFFFFFFFF


def first_of_each(
    query: torch.Tensor, row: torch.Tensor, squared: torch.Tensor, m: int, k: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the k smallest squares of each query and their rows, (m, k), ties by lower row.

    Pairs are sorted by query, then by row; each query has at least k.
    """
    order = torch.sort(squared, stable=True).indices
    order = order[torch.sort(query[order], stable=True).indices]
    starts = row_starts(torch.bincount(query, minlength=m))
    chosen = order[starts[:-1, None] + torch.arange(k, device=row.device)]
    return squared[chosen], row[chosen]


def row_starts(counts: torch.Tensor) -> torch.Tensor:
    """Return where the entries of each row begin, and where the last end: int64."""
    starts = torch.zeros(len(counts) + 1, dtype=torch.int64, device=counts.device)
    torch.cumsum(counts, 0, dtype=torch.int64, out=starts[1:])
    return starts


def room_of(starts: torch.Tensor, total: int, device: str) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return empty room for pairs (see `collect`)."""
    with room_for(f"{total} pairs of neighbours", 8.0 * total, device):
        return (
            starts,
            torch.empty(total, dtype=torch.int32, device=device),
            torch.full((total,), torch.inf, dtype=torch.float32, device=device),
        )
