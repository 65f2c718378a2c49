"""DBSCAN on sorted cells, on tensors: core points, links of cells, the first cluster within reach of border points.

Where Triton runs, its kernels do this in one launch each; here is the same in bounded pieces, on any device that has
float64. Neighbours are never listed: a piece holds at most `AT_ONCE` pairs.
"""

import torch

from modeseek.engines import triton
from modeseek.engines.gpu.cells import Cells, group, places
from modeseek.engines.gpu.components import flattened, unite

AT_ONCE = 1 << 22  # pairs
QUERIES = 1 << 20  # points, or cells, whose runs are looked up at once
SMALLEST, LARGEST = 1e-12, 1e12  # of eps: its square, and an eighth of its rounding, are far inside float32


def limits(eps: float, needed: float, d: int, device: torch.device) -> torch.Tensor:
    """Return what float64 and float32 sums of squares are compared with: see `engines.triton.dbscan`.

    eps^2; what float32 must not be above for a pair to be near for sure; above which it surely is not; the weight of
    the neighbourhood of a core point; above which squares of distances, summed in any order, are above eps^2.
    """
    square, margin = eps * eps, (d + 8) * 2.0**-23
    sure, possible = square * (1.0 - margin), square * (1.0 + margin)
    if not (SMALLEST <= eps <= LARGEST and margin < 0.5):
        sure, possible = -1.0, torch.inf
    return torch.tensor([square, sure, possible, needed, square * (1.0 + 1e-9)], dtype=torch.float64, device=device)


def squares(X: torch.Tensor, i: torch.Tensor, Y: torch.Tensor, j: torch.Tensor) -> torch.Tensor:
    """Return |x_i - y_j|^2 of points (d, n), column by column in float64, each product rounded before it is added."""
    total = torch.zeros(1, dtype=torch.float64, device=X.device)
    for x, y in zip(X, Y, strict=True):
        difference = x[i].double() - y[j].double()
        total = total + difference * difference
    return total


def core_points(cells: Cells, weights: torch.Tensor | None, needed: float, eps: float) -> torch.Tensor:
    """Return whether each point is core: whether those within eps of it weigh at least ``needed``.

    A cell that weighs so much has core points only, if no weight is negative.
    """
    of_point = cells.of_point
    own = cells.counts if weights is None else torch.segment_reduce(weights, "sum", lengths=cells.counts)
    short = weights is None or not bool((weights < 0.0).any())
    core = torch.zeros(cells.points.shape[1], dtype=torch.bool, device=cells.points.device)
    if short:
        core = (own >= needed)[of_point]
    which = torch.nonzero(~core).flatten()
    if len(which):
        if triton.runs_on(core):
            from modeseek.engines.triton.dbscan import are_core
        else:
            are_core = _are_core
        core[which] = are_core(cells, of_point, weights, own, which, needed, eps, short)
    return core


def _are_core(
    cells: Cells,
    of_point: torch.Tensor,
    weights: torch.Tensor | None,
    own: torch.Tensor,
    which: torch.Tensor,
    needed: float,
    eps: float,
    short: bool,
) -> torch.Tensor:
    """Return whether some points are core. ``short``: what weighs enough needs no more."""
    found = torch.empty(len(which), dtype=torch.bool, device=which.device)
    for q, out in zip(which.split(QUERIES), found.split(QUERIES), strict=True):
        cell, going = of_point[q], torch.arange(len(q), device=q.device)
        total = own[cell].double()
        for row in cells.rows:
            first, last = cells.run(cells.keys[cell[going]], row)
            total[going] += _weight_near(cells, q[going], of_point, weights, first, last, eps)
            if short:
                going = going[total[going] < needed]
        out.copy_(total >= needed)
    return found


def _weight_near(
    cells: Cells,
    q: torch.Tensor,
    of_point: torch.Tensor,
    weights: torch.Tensor | None,
    first: torch.Tensor,
    last: torch.Tensor,
    eps: float,
) -> torch.Tensor:
    """Return what the points of runs weigh that are near points q, without the points of their own cells."""
    total = torch.zeros(len(q), dtype=torch.float64, device=q.device)
    for which, place, lengths in places(first, last, AT_ONCE):
        near = squares(cells.points, q[which], cells.points, place) <= eps * eps
        near &= of_point[place] != of_point[q[which]]
        weight = near.double() if weights is None else near * weights[place]
        total += torch.segment_reduce(weight, "sum", lengths=lengths, initial=0)
    return total


def core_cells(cells: Cells, core: torch.Tensor) -> Cells:
    """Return the cells of the core points alone."""
    return group(cells.points[:, core].contiguous(), cells.key_of_point[core], cells.rows, cells.steps)


def boxes(cells: Cells) -> torch.Tensor:
    """Return the least and the greatest coordinates of the points of each cell, (2, d, m)."""
    d, m = len(cells.points), len(cells.keys)
    ends = torch.empty((2, d, m), dtype=cells.points.dtype, device=cells.points.device)
    if triton.runs_on(ends):
        from modeseek.engines.triton.dbscan_links import write_boxes

        write_boxes(cells, ends)
        return ends
    of_point = cells.of_point
    for k, column in enumerate(cells.points):
        for end, how in zip(ends, ("amin", "amax"), strict=True):
            end[k].scatter_reduce_(0, of_point, column, how, include_self=False)
    return ends


def link(cells: Cells, eps: float) -> torch.Tensor:
    """Return the least cell of all that hang together with each: by pairs of points within eps of each other."""
    if triton.runs_on(cells.points):
        from modeseek.engines.triton.dbscan_links import link_cells

        return flattened(link_cells(cells, boxes(cells), eps))
    return _link(cells, boxes(cells), eps)


def _link(cells: Cells, box: torch.Tensor, eps: float) -> torch.Tensor:
    m = len(cells.keys)
    roots = torch.arange(m, device=cells.keys.device)
    for step in torch.cat(cells.steps):
        for a in torch.arange(m, device=roots.device).split(QUERIES):
            target = cells.keys[a] + step
            b = torch.searchsorted(cells.keys.long(), target).clamp_(max=m - 1)
            todo = (cells.keys[b] == target) & (roots[a] != roots[b])
            todo[todo.clone()] = _gaps(box, a[todo], b[todo]) <= eps * eps
            a, b = a[todo], b[todo]
            linked = _touch(cells, a, b, eps)
            roots = unite(roots, a[linked], b[linked])
    return roots


def _gaps(box: torch.Tensor, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Return the squares of the distances of boxes, rounded as those of points: none is greater than of its points."""
    total = torch.zeros(len(a), dtype=torch.float64, device=a.device)
    for low, high in zip(*box.double(), strict=True):
        gap = torch.maximum(low[b] - high[a], low[a] - high[b]).clamp_(min=0.0)
        total = total + gap * gap
    return total


def _touch(cells: Cells, a: torch.Tensor, b: torch.Tensor, eps: float) -> torch.Tensor:
    """Return whether cells have a near pair of points; a bounded number of pairs of each is tested at a time."""
    found = torch.zeros(len(a), dtype=torch.bool, device=a.device)
    wide, tested = cells.counts[b], 0
    sizes = cells.counts[a] * wide
    open_ = torch.arange(len(a), device=a.device)
    while len(open_):
        share = max(1, AT_ONCE // len(open_))
        first = torch.full_like(open_, tested)
        last = torch.minimum(first + share, sizes[open_])
        for which, pair, _ in places(first, last, AT_ONCE):
            k = open_[which]
            i, j = cells.starts[a[k]] + pair // wide[k], cells.starts[b[k]] + pair % wide[k]
            near = squares(cells.points, i, cells.points, j) <= eps * eps
            found[k[near]] = True
        tested += share
        open_ = open_[~found[open_] & (sizes[open_] > tested)]
    return found


def first_labels(
    points: torch.Tensor, keys: torch.Tensor, cells: Cells, labels: torch.Tensor, eps: float
) -> torch.Tensor:
    """Return the least label within eps of each of other points (d, q), whose cells have these keys; -1 for none.

    The labels are those of the points of ``cells``, int32.
    """
    which = torch.arange(len(keys), device=keys.device)
    if triton.runs_on(keys):
        from modeseek.engines.triton.dbscan import least_labels

        return least_labels(points, keys, cells, labels, which, eps)
    return _least_labels(points, keys, cells, labels, which, eps)


def _least_labels(
    points: torch.Tensor, keys: torch.Tensor, cells: Cells, labels: torch.Tensor, which: torch.Tensor, eps: float
) -> torch.Tensor:
    none = torch.iinfo(torch.int32).max
    best = torch.full((len(which),), none, dtype=torch.int32, device=which.device)
    for q, out in zip(which.split(QUERIES), best.split(QUERIES), strict=True):
        for row in cells.rows:
            for k, place, _ in places(*cells.run(keys[q], row), AT_ONCE):
                near = squares(points, q[k], cells.points, place) <= eps * eps
                out.scatter_reduce_(0, k[near], labels[place[near]], "amin")
    return torch.where(best == none, -1, best)
