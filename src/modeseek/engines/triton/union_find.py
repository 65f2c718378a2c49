"""Union-find in many programs at once: links only ever go to lesser numbers, and change by atomic minima.

To join the sets of two roots a > b is to write min(parent[a], b) to parent[a]. If a was a root, that is all. If it was
not any more, what it was linked to is joined with b in turn: one of the two is linked already, the other still is to
be. Which sets come out does not depend on who comes first, and the least number of each is its root in the end.

Links that are read may be old ones: they lead to members of the set all the same, and what the atomic minimum returns
is never old. A link that is shortened may undo another's minimum, who has the old link and goes on from there.

Programs that read links must be of one warp (`ALONE`): several would each read for themselves, and not agree on when a
loop ends.

Source: J. Jaiganesh and M. Burtscher, "A high-performance connected components implementation for GPUs", HPDC (2018).
"""

import triton
import triton.language as tl

ALONE = {"num_warps": 1}


@triton.jit
def find(parent, a):
    """Return the root of one number; every second link on the way is shortened."""
    link = tl.load(parent + a, cache_modifier=".cg")
    while link != a:
        further = tl.load(parent + link, cache_modifier=".cg")
        tl.store(parent + a, further)
        a = further
        link = tl.load(parent + a, cache_modifier=".cg")
    return a


@triton.jit
def join(parent, a, b):
    """Join the sets of two roots, or of what were roots a moment ago."""
    while a != b:
        high, low = tl.maximum(a, b), tl.minimum(a, b)
        a, b = tl.atomic_min(parent + high, low, sem="relaxed"), low
        if a == high:
            a = low


@triton.jit
def find_all(parent, a, mask):
    """Return the roots of a block of numbers."""
    link = tl.load(parent + a, mask=mask, other=0, cache_modifier=".cg")
    going = mask & (link != a)
    while tl.max(going.to(tl.int32), 0) > 0:
        a = tl.where(going, link, a)
        link = tl.load(parent + a, mask=going, other=0, cache_modifier=".cg")
        going = going & (link != a)
    return a


@triton.jit
def join_all(parent, a, b, mask):
    """Join the sets of two blocks of roots (1-D), pair by pair."""
    going = mask & (a != b)
    while tl.max(going.to(tl.int32), 0) > 0:
        high, low = tl.maximum(a, b), tl.minimum(a, b)
        old = tl.atomic_min(parent + high, low, mask=going, sem="relaxed")
        a, b = tl.where(old == high, low, old), low
        going = going & (a != b)
