"""Hash keys, probing sequences and buckets on a device: `engines.cpu.hashing` in whole tensors.

A key is a sum of digits times odd multipliers modulo 2^64 (int64 wraps around), so another value of one digit adds a
constant. Queries follow their probing sequences in step: each has a list of sets of changed digits that wait, takes the
one of least score off, and puts its two successors there. Projections are sums in float64, rounded to float32, by
products of one fixed shape: a row's key does not depend on its company.
"""

from dataclasses import dataclass

import torch

from modeseek.engines.gpu.pairs import row_starts

BLOCK = 1 << 13  # rows of a product
MOVES = 32  # of one table that are ever combined


@dataclass(frozen=True)
class DrawnHashes:
    """Hashes of some tables as tensors (see `neighbors.hash_families.Hashes`); family 0 p-stable, 1 sign, 2 cross."""

    family: int
    axes: int
    directions: torch.Tensor  # (tables * hashes * axes, d), float64
    offsets: torch.Tensor  # (tables * hashes * axes,)
    multipliers: torch.Tensor  # (tables, hashes), int64


def project(points: torch.Tensor, drawn: DrawnHashes) -> torch.Tensor:
    """Return a.x + b, float32, (m, tables, hashes, axes), of at most `BLOCK` points, float32."""
    block = torch.zeros(BLOCK, points.shape[1], dtype=torch.float64, device=points.device)
    block[: len(points)] = points
    values = (block @ drawn.directions.T + drawn.offsets).float()[: len(points)]
    return values.view(len(points), *drawn.multipliers.shape, drawn.axes)


def digits(values: torch.Tensor, family: int) -> torch.Tensor:
    """Return the digit of each hash, int64, (m, tables, hashes)."""
    if family == 0:
        return values[..., 0].double().clamp(-1e18, 1e18).floor().long()
    if family == 1:
        return (values[..., 0] >= 0.0).long()
    sizes, places = values.abs(), torch.arange(values.shape[-1], device=values.device)
    best = torch.where(sizes == sizes.amax(dim=-1, keepdim=True), places, len(places)).amin(dim=-1)
    return 2 * best + (torch.gather(values, -1, best[..., None])[..., 0] < 0.0)


def keys(values: torch.Tensor, drawn: DrawnHashes) -> torch.Tensor:
    """Return the key in each table, (m, tables)."""
    return (digits(values, drawn.family) * drawn.multipliers).sum(dim=-1)


class Buckets:
    """The points of every bucket of every table: sorted keys, and rows.

    Parameters
    ----------
    found : Tensor of shape (tables, n), int64
        The keys of the points.
    """

    def __init__(self, found: torch.Tensor):
        self.rows = torch.empty(found.shape, dtype=torch.int32, device=found.device)
        self.keys, self.starts = [], []
        for t, mine in enumerate(found):
            ordered, self.rows[t] = torch.sort(mine, stable=True)
            distinct, sizes = torch.unique_consecutive(ordered, return_counts=True)
            self.keys.append(distinct)
            self.starts.append(row_starts(sizes) + t * found.shape[1])

    def find(self, table: torch.Tensor, key: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return where the rows of buckets begin in those of all tables, and how many they are: 0 if there is none."""
        start, size = torch.zeros(2, *key.shape, dtype=torch.int64, device=key.device)
        for t, (distinct, starts) in enumerate(zip(self.keys, self.starts, strict=True)):
            at = torch.searchsorted(distinct, key).clamp(max=len(distinct) - 1)
            there = (table == t) & (distinct[at] == key)
            start = torch.where(there, starts[at], start)
            size = torch.where(there, starts[at + 1] - starts[at], size)
        return start, size


def moves(values: torch.Tensor, drawn: DrawnHashes) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return the changes of one digit by rising cost, (m, tables, moves): costs, what keys change by, digits."""
    m, tables, hashes, axes = values.shape
    here, multiplier = digits(values, drawn.family), drawn.multipliers
    if drawn.family == 0:
        below = values[..., 0].double() - here
        costs = torch.stack([below * below, (1.0 - below) ** 2], dim=-1)
        deltas = torch.stack([-multiplier, multiplier], dim=-1).expand(m, -1, -1, -1)
    elif drawn.family == 1:
        costs = values.double() ** 2
        deltas = torch.where(here == 1, -multiplier, multiplier)[..., None]
    else:
        sides = torch.stack([values, -values], dim=-1).reshape(m, tables, hashes, 2 * axes).double()
        other = torch.arange(2 * axes, device=values.device)
        costs = (values.abs().amax(dim=-1, keepdim=True).double() - sides) ** 2
        costs = torch.where(other == here[..., None], torch.inf, costs)
        deltas = multiplier[..., None] * (other - here[..., None])
    which = torch.arange(hashes, device=values.device)[:, None].expand(m, tables, hashes, costs.shape[-1])
    costs, order = torch.sort(costs.reshape(m, tables, -1), dim=-1, stable=True)
    order = order[..., :MOVES]
    deltas, which = (torch.gather(x.reshape(m, tables, -1), -1, order) for x in (deltas, which))
    return costs[..., :MOVES].contiguous(), deltas, which


def probes(values: torch.Tensor, drawn: DrawnHashes, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return table and key of the first buckets that queries visit, (m, count); table -1 where there are no more."""
    device, (m, tables) = values.device, values.shape[:2]
    costs, deltas, which = (x.reshape(m, -1) for x in moves(values, drawn))
    many = costs.shape[1] // tables
    mine = torch.arange(m, device=device)
    table, key = torch.full((m, count), -1, device=device), torch.zeros(m, count, dtype=torch.int64, device=device)
    order = torch.tensor(_first_tables(tables), device=device)
    # what waits: score, table, key, digits that all but the last move change, the last move (-1: none)
    waiting = Waiting(m, tables + count, device)
    waiting.fill(tables, order.expand(m, -1), keys(values, drawn)[:, order])
    emitted, step = torch.zeros(m, dtype=torch.int64, device=device), 0
    while step < count or bool((emitted < count).any()):
        score, at = waiting.least(tables + step)
        t, now, used, last = (x[mine, at] for x in waiting.parts())
        alive = torch.isfinite(score)
        old, new = (t * many + move for move in (last.clamp(min=0), (last + 1).clamp(max=many - 1)))
        bit = torch.ones_like(used) << which[mine, old]
        fresh = last < 0
        valid = fresh | (used & bit == 0)
        emit = alive & valid & (emitted < count)
        place = emitted.clamp(max=count - 1)
        table[mine, place] = torch.where(emit, t, table[mine, place])
        key[mine, place] = torch.where(emit, now, key[mine, place])
        emitted = torch.where(alive, emitted + emit.long(), count)
        more = last + 1 < many
        raised = score + costs[mine, new]
        swapped = torch.where(fresh, torch.inf, raised - costs[mine, old])
        added, changed = now + deltas[mine, new], now + deltas[mine, new] - deltas[mine, old]
        waiting.put(at, torch.where(more, swapped, torch.inf), t, changed, used, last + 1)
        used = torch.where(fresh, used, used | bit)
        waiting.put(tables + step, torch.where(more & valid, raised, torch.inf), t, added, used, last + 1)
        step += 1
    return table, key


class Waiting:
    """Sets of moves of each query that wait to be visited, in no order."""

    def __init__(self, m: int, room: int, device: torch.device):
        self.mine = torch.arange(m, device=device)
        self.scores = torch.full((m, room), torch.inf, dtype=torch.float64, device=device)
        self.ints = [torch.zeros(m, room, dtype=torch.int64, device=device) for _ in range(4)]

    def fill(self, tables: int, table: torch.Tensor, key: torch.Tensor) -> None:
        """Put the queries' own buckets there, without a move."""
        self.scores[:, :tables] = 0.0
        self.ints[0][:, :tables], self.ints[1][:, :tables] = table, key
        self.ints[3][:, :tables] = -1

    def parts(self) -> list[torch.Tensor]:
        """Return tables, keys, changed digits and last moves."""
        return self.ints

    def least(self, filled: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the least score of each query, and the first place that has it."""
        scores = self.scores[:, :filled]
        least = scores.amin(dim=1)
        places = torch.arange(filled, device=scores.device)
        return least, torch.where(scores == least[:, None], places, filled).amin(dim=1)

    def put(self, at: torch.Tensor | int, score: torch.Tensor, *values: torch.Tensor) -> None:
        """Write one set of each query to a place; room is made where there is none."""
        if isinstance(at, int) and at >= self.scores.shape[1]:
            self.scores = torch.nn.functional.pad(self.scores, (0, at + 1), value=torch.inf)
            self.ints = [torch.nn.functional.pad(x, (0, at + 1)) for x in self.ints]
        self.scores[self.mine, at] = score
        for to, new in zip(self.ints, values, strict=True):
            to[self.mine, at] = new


def _first_tables(tables: int) -> list[int]:
    """Return the order in which a heap of equal scores gives the queries' own buckets back, as on the CPU."""
    heap = [(0.0, t) for t in range(tables)]
    order: list[int] = []
    while len(order) < tables:
        score, t = heap[0]
        tail = heap.pop()
        i = 0
        while heap and 2 * i + 1 < len(heap):
            down = 2 * i + 1
            down += down + 1 < len(heap) and heap[down + 1][0] < heap[down][0]
            if heap[down][0] >= tail[0]:
                break
            heap[i], i = heap[down], down
        if heap:
            heap[i] = tail
        if score == 0.0:
            order.append(t)
            heap.append((1.0, t))  # what comes next of this table: farther than what has not been visited
    return order
