"""Nodes of a grid by falling density: hills, their tops, and the saddles at which they meet higher ones."""

import numpy as np

from modeseek.engines.cpu import inline, kernel
from modeseek.engines.cpu.flood import _root

NONE = -1


@inline
def highest_neighbour(node, neighbours, height, owner):
    """Return the owner of the highest neighbour that has one: where steepest ascent leads. NONE if none has."""
    mine = NONE
    highest = -np.inf
    for m in range(neighbours.size):
        other = node + neighbours[m]
        if owner[other] != NONE and height[other] > highest:
            mine = owner[other]
            highest = height[other]
    return mine


@kernel
def sweep(order, height, neighbours, hill, top, saddle, into, parent):
    """Give every node the hill that steepest ascent leads to; return how many hills there are.

    ``order`` lists nodes by falling ``height``; ``hill`` (one entry a node) starts as NONE. Of each hill, in the order
    found, ``top`` gets its highest node, ``saddle`` the height at which it first meets a higher one (-inf: it never
    does), ``into`` that one; ``parent`` is scratch.
    """
    count = 0
    for n in range(order.size):
        node = order[n]
        mine = highest_neighbour(node, neighbours, height, hill)
        if mine == NONE:
            hill[node] = top_of = count
            top[top_of] = node
            saddle[top_of] = -np.inf
            into[top_of] = top_of
            parent[top_of] = top_of
            count += 1
            continue
        hill[node] = mine
        here = _root(parent, mine)
        for m in range(neighbours.size):
            theirs = hill[node + neighbours[m]]
            if theirs == NONE:
                continue
            there = _root(parent, theirs)
            if there == here:
                continue
            # hills are numbered by falling height of their tops
            lower, higher = max(here, there), min(here, there)
            saddle[lower] = height[node]
            into[lower] = higher
            parent[lower] = higher
            here = higher
    return count
