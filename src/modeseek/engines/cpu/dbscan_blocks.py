"""DBSCAN on compact blocks of rows, in any number of columns: core points, links of points, borders.

Blocks are the leaves of a tree of boxes (`halves`). What a box is sure of needs no test: a part of the tree whose
farthest corner from a block is within eps counts as a whole, and is joined once and for all.
"""

import numpy as np
from numba import njit

from modeseek.engines.cpu import exact_kernel
from modeseek.engines.cpu.halves import LEAF, ends, outside, squares
from modeseek.engines.cpu.union_find import find, unite


@exact_kernel
def _look(boxes, size, leaf, v, eps2, near, inside):
    """List the blocks that may have points near those of v, v itself first, and nodes that surely are as a whole."""
    n_near, n_inside, u = 0, 0, 0
    while u < len(size):
        least, most = ends(boxes[v], boxes[u])
        if not least <= eps2:
            u += size[u]
        elif most <= eps2:
            inside[n_inside] = u
            n_inside += 1
            u += size[u]
        else:
            if size[u] == 1:
                near[n_near] = u
                if u == v:
                    near[n_near], near[0] = near[0], u
                n_near += 1
            u += 1
    return n_near, n_inside


@exact_kernel
def find_core(blocks, weights, n, boxes, size, leaf, nodes, l0, l1, eps2, needed, shortcuts, core):
    """Mark core points of a range of blocks; ``shortcuts`` says that no weight is negative."""
    near, inside = np.empty(len(nodes), np.int64), np.empty(len(nodes), np.int64)
    found = np.empty(LEAF)
    weighted = len(weights) > 0
    for own in range(l0, l1):
        v = nodes[own]
        n_near, n_inside = _look(boxes, size, leaf, v, eps2, near, inside)
        base = 0.0
        for i in range(n_inside):
            u = inside[i]
            start, stop = leaf[u] * LEAF, min((leaf[u] + (size[u] + 1) // 2) * LEAF, n)
            if weighted:
                for q in range(start, stop):
                    base += weights[q]
            else:
                base += stop - start
            if shortcuts and base >= needed:
                break
        if shortcuts and base >= needed:
            core[own * LEAF : min((own + 1) * LEAF, n)] = 1
            continue
        for j in range(min(LEAF, n - own * LEAF)):
            total = base
            for i in range(n_near):
                u = near[i]
                other = leaf[u]
                if outside(blocks[own], j, boxes[u]) <= eps2 and squares(blocks[own], j, blocks[other], eps2, found):
                    if weighted:
                        for t in range(min(LEAF, n - other * LEAF)):
                            if found[t] <= eps2:
                                total += weights[other * LEAF + t]
                    else:
                        count = 0
                        for t in range(LEAF):
                            count += found[t] <= eps2
                        total += count
                    if shortcuts and total >= needed:
                        break
            core[own * LEAF + j] = total >= needed


@exact_kernel
def first_core(core, size, leaf, n, first):
    """Find the first core point of each node; -1 where there is none."""
    for u in range(len(size) - 1, -1, -1):
        first[u] = -1
        if size[u] == 1:
            for p in range(leaf[u] * LEAF, min((leaf[u] + 1) * LEAF, n)):
                if core[p]:
                    first[u] = p
                    break
        else:
            left, right = u + 1, u + 1 + size[u + 1]
            first[u] = first[left] if first[left] >= 0 else first[right]


@njit(inline="always")
def _whole(core, first, u, size, leaf, n, joined, parent):
    """Return whether all core points of a block are known to be of one set."""
    if not joined[u]:
        root = find(parent, first[u])
        for p in range(first[u] + 1, min((leaf[u] + 1) * LEAF, n)):
            if core[p] and find(parent, p) != root:
                return False
        joined[u] = 1
    return True


@exact_kernel
def link_points(blocks, core, first, n, boxes, size, leaf, nodes, l0, l1, eps2, joined, parent):
    """Unite the core points of a range of blocks with those near them in these and later blocks."""
    near, inside = np.empty(len(nodes), np.int64), np.empty(len(nodes), np.int64)
    found = np.empty(LEAF)
    for own in range(l0, l1):
        v = nodes[own]
        if first[v] < 0:
            continue
        n_near, n_inside = _look(boxes, size, leaf, v, eps2, near, inside)
        for i in range(n_inside):
            u = inside[i]
            if first[u] < 0:
                continue
            a = first[v]
            if not joined[u]:
                for q in range(first[u] + 1, min((leaf[u] + (size[u] + 1) // 2) * LEAF, n)):
                    if core[q]:
                        unite(parent, find(parent, a), find(parent, q))
                joined[u] = 1
            unite(parent, find(parent, a), find(parent, first[u]))
            if not joined[v]:
                for p in range(a + 1, min((own + 1) * LEAF, n)):
                    if core[p]:
                        unite(parent, find(parent, a), find(parent, p))
                joined[v] = 1
        for i in range(n_near):
            u = near[i]
            other = leaf[u]
            if other < own or first[u] < 0:
                continue
            one = _whole(core, first, u, size, leaf, n, joined, parent)
            same = one and _whole(core, first, v, size, leaf, n, joined, parent)
            if same and find(parent, first[v]) == find(parent, first[u]):
                continue
            for p in range(first[v], min((own + 1) * LEAF, n)):
                if not core[p] or (one and find(parent, p) == find(parent, first[u])):
                    continue
                j = p - own * LEAF
                if outside(blocks[own], j, boxes[u]) <= eps2 and squares(blocks[own], j, blocks[other], eps2, found):
                    for q in range(first[u], min((other + 1) * LEAF, n)):
                        if core[q] and found[q - other * LEAF] <= eps2:
                            unite(parent, find(parent, p), find(parent, q))


@exact_kernel
def merge(parent, other):
    """Unite what is united elsewhere."""
    for p in range(len(parent)):
        if other[p] != p:
            unite(parent, find(parent, p), find(parent, other[p]))


@exact_kernel
def name_points(core, rows, parent, least):
    """Write, for each root, the least row of its core points; -1 elsewhere."""
    for p in range(len(core)):
        least[p] = -1
    for p in range(len(core)):
        if core[p]:
            root = find(parent, p)
            if least[root] < 0 or rows[p] < least[root]:
                least[root] = rows[p]


@exact_kernel
def spread_names(core, number, parent, cluster):
    """Write the cluster of each core point, -1 for the others."""
    for p in range(len(core)):
        cluster[p] = number[find(parent, p)] if core[p] else -1


@exact_kernel
def label_points(blocks, core, cluster, first, rows, boxes, size, leaf, nodes, l0, l1, eps2, labels):
    """Label the points of a range of blocks: border points by the first cluster that has a core point near them."""
    n = len(rows)
    near, inside = np.empty(len(nodes), np.int64), np.empty(len(nodes), np.int64)
    found = np.empty(LEAF)
    for own in range(l0, l1):
        v = nodes[own]
        looked, n_near, best_inside = False, 0, n
        for p in range(own * LEAF, min((own + 1) * LEAF, n)):
            if core[p]:
                labels[rows[p]] = cluster[p]
                continue
            if not looked:
                n_near, n_inside = _look(boxes, size, leaf, v, eps2, near, inside)
                looked = True
                for i in range(n_inside):  # near as a whole, but not of one cluster for that
                    u = inside[i]
                    if first[u] >= 0:
                        for q in range(first[u], min((leaf[u] + (size[u] + 1) // 2) * LEAF, n)):
                            if core[q]:
                                best_inside = min(best_inside, cluster[q])
            best = best_inside
            j = p - own * LEAF
            for i in range(n_near):
                u = near[i]
                other = leaf[u]
                if first[u] < 0:
                    continue
                lower = False
                for q in range(first[u], min((other + 1) * LEAF, n)):
                    lower |= core[q] & (cluster[q] < best)
                if not lower or not outside(blocks[own], j, boxes[u]) <= eps2:
                    continue
                if squares(blocks[own], j, blocks[other], eps2, found):
                    for q in range(first[u], min((other + 1) * LEAF, n)):
                        if core[q] and cluster[q] < best and found[q - other * LEAF] <= eps2:
                            best = cluster[q]
            labels[rows[p]] = best if best < n else -1
