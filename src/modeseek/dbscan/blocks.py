"""DBSCAN in any number of columns, on the blocks of a tree of boxes.

What blocks are within reach of one is found by a walk down the tree; only points of these are tested. In many columns
boxes hardly part the points, but sums of squares grow past eps^2 after the first few columns.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modeseek.engines.threads import effective_n_jobs, run_chunks

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

BLOCKS_PER_CHUNK = 32
SUBTREES = 64  # that threads share


@dataclass
class Tree:
    """Blocks (m, axes, LEAF) of rows, and of each node its box (2, d), its size in nodes and its first block."""

    rows: NDArray[Any]
    blocks: NDArray[Any]
    boxes: NDArray[np.float64]
    size: Ints
    leaf: Ints

    @property
    def nodes(self) -> Ints:
        """The node of each block."""
        return np.flatnonzero(self.size == 1)


def plant(points: NDArray[Any], n_jobs: int | None) -> Tree:
    """Make the tree of all points; it is the same for any number of threads."""
    from modeseek.engines.cpu import halves

    n, d = points.shape
    many = -(-n // halves.LEAF)
    rows = np.arange(n, dtype=np.int32 if n < 1 << 31 else np.int64)
    nodes = 2 * many - 1
    boxes, size, leaf = np.empty((nodes, 2, d)), np.empty(nodes, np.int64), np.empty(nodes, np.int64)
    blocks = np.empty((many, -(-d // 4) * 4, halves.LEAF), points.dtype)
    level = [(0, 0, many)]
    while len(level) < SUBTREES and level[0][2] > 1 and level[-1][2] > 1:

        def halve(_: int, i: int, __: int, level: list[tuple[int, int, int]] = level) -> None:
            halves.halve(points, rows, *level[i], boxes, size, leaf)

        run_chunks(len(level), halve, n_jobs, 1)
        children = []
        for v, first, count in level:
            left = (count + 1) // 2
            children += [(v + 1, first, left), (v + 2 * left, first + left, count - left)]
        level = children

    def grow(_: int, i: int, __: int) -> None:
        halves.grow(points, rows, *level[i], boxes, size, leaf, blocks)

    run_chunks(len(level), grow, n_jobs, 1)
    return Tree(rows, blocks, boxes, size, leaf)


def cluster(
    points: NDArray[Any], eps: float, min_samples: int, weights: Floats, n_jobs: int | None
) -> tuple[Ints, NDArray[np.bool_]]:
    """Return the label of each point, and whether it is core."""
    from modeseek.engines.cpu import dbscan_blocks as loops

    tree = plant(points, n_jobs)
    n, m, eps2 = len(points), len(tree.blocks), eps * eps
    walk = (tree.boxes, tree.size, tree.leaf)
    nodes = tree.nodes
    by_block = weights[tree.rows] if weights.size else weights
    shortcuts = not (weights < 0.0).any()
    core, first = np.empty(n, np.uint8), np.empty(len(tree.size), np.int64)

    def find_core(_: int, l0: int, l1: int) -> None:
        loops.find_core(tree.blocks, by_block, n, *walk, nodes, l0, l1, eps2, float(min_samples), shortcuts, core)

    run_chunks(m, find_core, n_jobs, BLOCKS_PER_CHUNK)
    loops.first_core(core, tree.size, tree.leaf, n, first)
    parent = _link(tree, core, first, nodes, eps2, n_jobs)
    least = np.empty(n, tree.rows.dtype)
    loops.name_points(core, tree.rows, parent, least)
    roots = np.flatnonzero(least >= 0)
    least[roots[np.argsort(least[roots])]] = np.arange(len(roots))
    clusters = np.empty(n, parent.dtype)
    loops.spread_names(core, least, parent, clusters)
    labels, is_core = np.empty(n, np.int64), np.empty(n, np.bool_)

    def label(_: int, l0: int, l1: int) -> None:
        loops.label_points(tree.blocks, core, clusters, first, tree.rows, *walk, nodes, l0, l1, eps2, labels)

    run_chunks(m, label, n_jobs, BLOCKS_PER_CHUNK)
    is_core[tree.rows] = core.view(np.bool_)
    return labels, is_core


def _link(
    tree: Tree, core: NDArray[np.uint8], first: Ints, nodes: Ints, eps2: float, n_jobs: int | None
) -> NDArray[Any]:
    """Return the links of core points. Each thread has links of its own, up to the memory of the points in all."""
    from modeseek.engines.cpu import dbscan_blocks as loops

    n, m = len(core), len(tree.blocks)
    workers = max(1, min(effective_n_jobs(n_jobs), -(-m // BLOCKS_PER_CHUNK), 2 * tree.boxes.shape[2]))
    parents = [np.arange(n, dtype=tree.rows.dtype) for _ in range(workers)]
    joined = [np.zeros(len(tree.size), np.uint8) for _ in range(workers)]

    def link(worker: int, l0: int, l1: int) -> None:
        where = (tree.boxes, tree.size, tree.leaf, nodes)
        loops.link_points(tree.blocks, core, first, n, *where, l0, l1, eps2, joined[worker], parents[worker])

    run_chunks(m, link, workers, BLOCKS_PER_CHUNK)
    for other in parents[1:]:
        loops.merge(parents[0], other)
    return parents[0]
