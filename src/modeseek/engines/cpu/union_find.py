"""Union-find: sets of numbers, each a tree whose root is its least member."""

from numba import njit


@njit(inline="always")
def find(parent, i):
    """Return the root of i; every second link on the way is shortened."""
    while parent[i] != i:
        parent[i] = parent[parent[i]]
        i = parent[i]
    return i


@njit(inline="always")
def unite(parent, a, b):
    """Join the sets of two roots."""
    if a < b:
        parent[b] = a
    elif b < a:
        parent[a] = b
