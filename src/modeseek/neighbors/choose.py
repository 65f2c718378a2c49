"""The one place in which it is decided how neighbours are searched for."""

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from modeseek.neighbors.brute import AllPairs
from modeseek.neighbors.hashed import HashSearch
from modeseek.neighbors.tree import LeafTree

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class Search(Protocol):
    """What can be asked of a structure; queries of None are the points themselves, none its own neighbour."""

    n_jobs: int | None

    def nearest(self, queries: NDArray[Any] | None, k: int) -> tuple[Floats, Ints]:
        """Return distances and rows, (m, k), by rising distance, ties by lower row."""

    def count_within(self, queries: NDArray[Any] | None, radii: Floats) -> Ints:
        """Return how many points are within the radius of each query."""

    def within(self, queries: NDArray[Any] | None, radii: Floats, far: bool = True) -> tuple[Ints, Ints, Floats]:
        """Return (indptr, rows, distances)."""


FEW_PAIRS = 1 << 18  # NumPy looks at them in less time than loading compiled code takes


class FewOrMany:
    """All pairs where they are few, a tree, made when it is first of use, where they are many."""

    def __init__(self, points: NDArray[Any], n_jobs: int | None = None):
        self.n_jobs = n_jobs
        self.pairs = AllPairs(points, n_jobs)
        self.tree = LeafTree(points, n_jobs) if len(points) ** 2 > FEW_PAIRS else None

    def nearest(self, queries: NDArray[Any] | None, k: int) -> tuple[Floats, Ints]:
        """Return distances and rows, (m, k)."""
        return self._for(queries).nearest(queries, k)

    def count_within(self, queries: NDArray[Any] | None, radii: Floats) -> Ints:
        """Return how many points are within the radius of each query."""
        return self._for(queries).count_within(queries, radii)

    def within(self, queries: NDArray[Any] | None, radii: Floats, far: bool = True) -> tuple[Ints, Ints, Floats]:
        """Return (indptr, rows, distances)."""
        return self._for(queries).within(queries, radii, far)

    def _for(self, queries: NDArray[Any] | None) -> Search:
        n = len(self.pairs.points)
        if self.tree is None:
            if n * (n if queries is None else len(queries)) <= FEW_PAIRS:
                return self.pairs
            self.tree = LeafTree(self.pairs.points, self.n_jobs)
        self.tree.n_jobs = self.n_jobs
        return self.tree


# name -> what makes the structure of points; the names of scikit-learn's trees mean ours
ALGORITHMS: dict[str, Callable[[NDArray[Any], int | None], Search]] = {
    "auto": FewOrMany,
    "tree": LeafTree,
    "kd_tree": LeafTree,
    "ball_tree": LeafTree,
    "brute": AllPairs,
    "lsh": HashSearch,
}
