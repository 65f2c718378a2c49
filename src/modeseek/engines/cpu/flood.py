"""One sweep of union-find over grid cells by falling density: where the part of each mode meets another."""

from modeseek.engines.cpu import inline, kernel

NONE = -1  # a part without a mode so far
MIXED = -2  # a part with more than one, or with a place that may hold one


@inline
def _root(parent, i):
    """Root of i, halving the path on the way."""
    while parent[i] != i:
        parent[i] = parent[parent[i]]
        i = parent[i]
    return i


@kernel
def flood(order, high, ids, neighbours, parent, owner, meets):
    """Join cells in ``order`` (by falling ``high``) with those of their neighbours that came before.

    ``ids`` holds for each cell the mode it may hold, NONE or MIXED; ``neighbours`` the flat offsets of the cells
    around one. ``parent`` starts as -1 everywhere. ``owner`` gets, for each cell, the only mode of its part when it
    joined (or NONE, MIXED); ``meets`` (one entry a mode, starting at -inf) the level at which the part of each mode
    first met another. A root's own entry in ``owner`` is kept in ``ids``, which is overwritten.
    """
    for n in range(order.size):
        cell = order[n]
        root = cell
        parent[cell] = cell
        mode = ids[cell]
        for m in range(neighbours.size):
            other = cell + neighbours[m]
            if parent[other] < 0:
                continue
            other = _root(parent, other)
            if other == root:
                continue
            theirs = ids[other]
            if theirs != mode and theirs != NONE:
                if mode == NONE:
                    mode = theirs
                else:
                    if mode >= 0:
                        meets[mode] = max(meets[mode], high[cell])
                    if theirs >= 0:
                        meets[theirs] = max(meets[theirs], high[cell])
                    mode = MIXED
            parent[root] = other
            root = other
            ids[root] = mode
        ids[root] = mode
        owner[cell] = mode
