"""Rows of a table on a device that are equal, found by sorting their hashes; and sums by group in a fixed order."""

import torch

MIX = -7046029254386353131  # odd: multiplying by it modulo 2^64 loses nothing


def hashes(table: torch.Tensor) -> torch.Tensor:
    """Hash rows of integers or float64: equal rows have equal hashes, and others hardly ever (-0.0 is 0.0)."""
    mixed = torch.zeros(len(table), dtype=torch.int64, device=table.device)
    for k in range(table.shape[1]):
        column = table[:, k]
        if column.is_floating_point():
            column = (column.double() + 0.0).view(torch.int64)
        mixed = (mixed ^ column) * MIX
        mixed ^= mixed >> 29
    return mixed


def distinct_rows(table: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the number of each row among the distinct ones, and the first row of each, which gives their order."""
    _, number = torch.unique(hashes(table), return_inverse=True)
    first = _first_of(number)
    if not torch.equal(table[first[number]], table):  # two rows, one hash
        _, number = torch.unique(table, dim=0, return_inverse=True)
        first = _first_of(number)
    order = first.argsort()
    rank = torch.empty_like(order)
    rank[order] = torch.arange(len(order), device=order.device)
    return rank[number], first[order]


def _first_of(number: torch.Tensor) -> torch.Tensor:
    rows = torch.arange(len(number), device=number.device)
    first = torch.full((int(number.max()) + 1,), len(number), device=number.device)
    return first.scatter_reduce_(0, number, rows, "amin")


class RowTable:
    """Finds rows among those of a table.

    Parameters
    ----------
    rows : tensor of shape (m, d)
        The rows.
    """

    def __init__(self, rows: torch.Tensor):
        self.rows = rows
        self.hashes, self.order = hashes(rows).sort(stable=True)

    def find(self, wanted: torch.Tensor) -> torch.Tensor:
        """Return the number of a row equal to each wanted one, -1 where none is found."""
        place = torch.searchsorted(self.hashes, hashes(wanted)).clamp_(max=len(self.rows) - 1)
        number = self.order[place]
        return torch.where((self.rows[number] == wanted).all(dim=1), number, -1)


def sums_by_group(values: torch.Tensor, group: torch.Tensor, n_groups: int) -> torch.Tensor:
    """Return the sum of the values of each group; the same bits every time, as no atomics add floats."""
    lengths = torch.bincount(group, minlength=n_groups)
    ordered = values[group.argsort(stable=True)]
    return torch.segment_reduce(ordered, "sum", lengths=lengths, initial=0.0)
