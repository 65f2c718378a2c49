"""Cells by falling density: which modes are too low above the saddle to a higher one."""

from modeseek.engines.cpu import kernel
from modeseek.engines.cpu.flood import _root
from modeseek.engines.cpu.sweep import NONE, highest_neighbour


@kernel
def merge(order, height, neighbours, peak_of, tops, threshold, owner, parent):
    """Join modes whose top is less than ``threshold`` above where they first meet a higher one.

    ``order`` lists cells by falling ``height`` (log density); ``peak_of`` names the mode of a cell that is higher
    than its neighbours; ``tops`` are the heights of the modes. ``owner`` starts as NONE everywhere; ``parent`` (one
    entry a mode, its own number at first) gets the mode that each is joined to.
    """
    for n in range(order.size):
        cell = order[n]
        mine = highest_neighbour(cell, neighbours, height, owner)
        if mine == NONE:
            owner[cell] = peak_of[cell]
            continue
        mine = _root(parent, mine)
        for m in range(neighbours.size):
            theirs = owner[cell + neighbours[m]]
            if theirs == NONE:
                continue
            theirs = _root(parent, theirs)
            if theirs == mine:
                continue
            lower, higher = (theirs, mine) if tops[theirs] < tops[mine] else (mine, theirs)
            if tops[lower] - height[cell] < threshold:
                parent[lower] = higher
                mine = higher
        owner[cell] = mine
