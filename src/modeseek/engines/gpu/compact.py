"""Compact blocks of points on a device: median splits on the widest axis, level after level, by sorting."""

import torch


def compact_order(x: torch.Tensor, leaf: int) -> torch.Tensor:
    """Return an order of the rows in which every ``leaf`` consecutive ones are near each other, (n,) int64.

    All parts of a level are split at once: each is sorted along its widest axis, and its halves are the parts of the
    next level. Parts have a power of 2 of leaves; what is missing at the end counts as infinitely far.
    """
    n, d = x.shape
    leaves = 1 << max(0, (-(-n // leaf) - 1).bit_length())
    order = torch.arange(leaves * leaf, device=x.device).clamp_(max=n)
    far = torch.cat([x, x.new_full((1, d), float("inf"))])
    parts = 1
    while parts < leaves:
        inside = far[order].view(parts, -1, d)
        low = inside.amin(dim=1)
        high = torch.where(torch.isinf(inside), -torch.inf, inside).amax(dim=1)
        axis = (high - low).argmax(dim=1)  # of a part without points: any
        along = inside.gather(2, axis[:, None, None].expand(-1, inside.shape[1], 1))[:, :, 0]
        rank = along.argsort(dim=1, stable=True)
        order = order.view(parts, -1).gather(1, rank).view(-1)
        parts *= 2
    return order[:n]


def boxes(x: torch.Tensor, size: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the least and the greatest coordinates of every ``size`` consecutive rows, (groups, d) each."""
    n, d = x.shape
    missing = -n % size
    full = torch.cat([x, x[-1:].expand(missing, d)]) if missing else x
    groups = full.view(-1, size, d)
    return groups.amin(dim=1), groups.amax(dim=1)


def within(
    low: torch.Tensor, high: torch.Tensor, others_low: torch.Tensor, others_high: torch.Tensor, reach: float
) -> torch.Tensor:
    """Tell which of other boxes are within reach of each box, (boxes, others) bool."""
    squares = low.new_zeros(len(low), len(others_low))
    for k in range(low.shape[1]):
        above = others_low[:, k] - high[:, k, None]
        below = low[:, k, None] - others_high[:, k]
        squares += torch.maximum(above, below).clamp_(min=0.0).square_()
    return squares <= reach * reach
