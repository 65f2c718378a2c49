"""Union-find on tensors: links go to lesser numbers, for all pairs at once, and are then followed to their ends."""

import torch


def unite(roots: torch.Tensor, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Return all roots once the sets of a and b are joined, pair by pair; a root is the least of its set."""
    while True:
        x, y = roots[a], roots[b]
        apart = x != y
        if not bool(apart.any()):
            return roots
        a, b, x, y = a[apart], b[apart], x[apart], y[apart]
        linked = roots.scatter_reduce(0, torch.maximum(x, y), torch.minimum(x, y), "amin")
        roots = flattened(linked)


def flattened(links: torch.Tensor) -> torch.Tensor:
    """Return where links end: each round follows twice as many."""
    while True:
        further = links[links]
        if torch.equal(further, links):
            return links
        links = further
