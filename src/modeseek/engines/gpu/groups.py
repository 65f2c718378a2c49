"""Sums of rows by the group that they are in: float64, in one order, the same bits every time.

Rows are sorted by group once (a stable radix sort of short keys). A group is cut into pieces of a fixed number of
rows; each piece is added by itself, and what the pieces of a group give is added in the same way, until there is one.
How many pieces there can be follows from the number of rows, so that the host need not know the sizes of the groups.
"""

from dataclasses import dataclass

import torch

from modeseek.engines import triton

PIECE = 256  # rows; of the twin's fewer, as it pads them
TWINS_PIECE = 32
VALUES_AT_ONCE = 1 << 24  # of the twin's temporaries, float64


@dataclass(frozen=True)
class Groups:
    """Rows sorted by their group, stably; group j has the places from starts[j] to starts[j + 1]."""

    order: torch.Tensor  # (n,) int64
    starts: torch.Tensor  # (k + 1,) int64

    @classmethod
    def of(cls, labels: torch.Tensor, k: int) -> "Groups":
        """Sort rows by labels 0 to k - 1."""
        keys = labels.to(_shortest(k))
        found, order = torch.sort(keys, stable=True)
        edges = torch.arange(k + 1, dtype=keys.dtype, device=keys.device)
        return cls(order, torch.searchsorted(found, edges))

    @property
    def counts(self) -> torch.Tensor:
        """Rows of each group."""
        return self.starts.diff()


def added(
    values: torch.Tensor, groups: Groups, weights: torch.Tensor | None = None, anchors: torch.Tensor | None = None
) -> torch.Tensor:
    """Return the sum over the rows of each group, (k, d) float64.

    Parameters
    ----------
    values : tensor of shape (n, d)
        float32 or float64, contiguous.
    groups : Groups
        Of the rows.
    weights : tensor of shape (n,), optional
        By which rows are multiplied.
    anchors : tensor of shape (1, d) or (k, d), float64, optional
        What is subtracted from the rows of each group, or of all.
    """
    size = PIECE if triton.runs_on(values) else TWINS_PIECE
    return _added(values, groups, weights, anchors, size, triton.runs_on(values))


def _added(
    values: torch.Tensor,
    groups: Groups,
    weights: torch.Tensor | None,
    anchors: torch.Tensor | None,
    size: int,
    fused: bool,
) -> torch.Tensor:
    order: torch.Tensor | None = groups.order
    starts, longest = groups.starts, len(values)
    while True:
        first, last, owner, after = pieces(starts, len(values), size)
        values = add_pieces(values, order, weights, anchors, first, last, owner, size, fused)
        starts, order, weights, anchors = after, None, None, None
        longest = -(-longest // size)
        if longest == 1:
            break
    found = values[starts[:-1].clamp(max=len(values) - 1)]
    return torch.where((starts.diff() > 0)[:, None], found, 0.0)


def pieces(starts: torch.Tensor, n: int, size: int) -> tuple[torch.Tensor, ...]:
    """Cut the groups of n places into pieces; return where each begins and ends, whose it is, and the groups of pieces.

    There are n // size + k pieces: those that no group needs come last, and are empty.
    """
    k = len(starts) - 1
    after = torch.nn.functional.pad(((starts.diff() + size - 1) // size).cumsum(0), (1, 0))
    numbers = torch.arange(n // size + k, device=starts.device)
    owner = torch.searchsorted(after[1:].contiguous(), numbers, right=True).clamp(max=k - 1)
    used = numbers < after[-1]
    first = torch.where(used, starts[owner] + (numbers - after[owner]) * size, 0)
    last = torch.where(used, torch.minimum(first + size, starts[owner + 1]), 0)
    return first, last, owner, after


def add_pieces(
    values: torch.Tensor,
    order: torch.Tensor | None,
    weights: torch.Tensor | None,
    anchors: torch.Tensor | None,
    first: torch.Tensor,
    last: torch.Tensor,
    owner: torch.Tensor,
    size: int,
    fused: bool,
) -> torch.Tensor:
    """Return the weighted sums (pieces, d) of rows less the anchors of their owners; without order, of places."""
    if fused:
        from modeseek.engines.triton import groups as kernels

        return kernels.add_pieces(values, order, weights, anchors, first, last, owner)
    out = torch.empty(len(first), values.shape[1], dtype=torch.float64, device=values.device)
    step = max(1, VALUES_AT_ONCE // (size * values.shape[1]))
    for start in range(0, len(first), step):
        part = slice(start, start + step)
        places = first[part, None] + torch.arange(size, device=values.device)
        inside = places < last[part, None]
        places = torch.where(inside, places, 0)
        rows = places if order is None else order[places]
        found = values[rows].double()
        if anchors is not None:
            found -= anchors[owner[part] if len(anchors) > 1 else slice(None), None]
        if weights is not None:
            found *= weights[rows][:, :, None]
        out[part] = torch.where(inside[:, :, None], found, 0.0).sum(1)
    return out


def own_squares(points: torch.Tensor, labels: torch.Tensor, base: torch.Tensor, centres: torch.Tensor) -> torch.Tensor:
    """Return the squared distance of each point, less the base, from the centre that it is labelled by, float64."""
    if triton.runs_on(points):
        from modeseek.engines.triton import groups as kernels

        return kernels.own_squares(points, labels, base, centres)
    out = torch.empty(len(points), dtype=torch.float64, device=points.device)
    step = max(1, VALUES_AT_ONCE // points.shape[1])
    for start in range(0, len(points), step):
        part = slice(start, start + step)
        out[part] = (points[part].double() - base - centres[labels[part].long()]).square_().sum(1)
    return out


def moments(points: torch.Tensor, middle: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the sums of coordinates less the middle, and of their squares, each (d,) float64."""
    first, second = torch.zeros_like(middle), torch.zeros_like(middle)
    step = max(1, VALUES_AT_ONCE // points.shape[1])
    for start in range(0, len(points), step):
        part = points[start : start + step].double() - middle
        first += part.sum(0)
        second += part.square_().sum(0)
    return first, second


def _shortest(k: int) -> torch.dtype:
    """Return the integer type of keys that sorts quickest: a radix sort passes once for each byte of them."""
    return torch.uint8 if k < 2**8 else torch.int16 if k < 2**15 else torch.int32
