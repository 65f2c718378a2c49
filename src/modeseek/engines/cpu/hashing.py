"""Hash keys, probing sequences and candidates of locality-sensitive tables.

A table's key is a sum of digits, sum_i m_i v_i modulo 2^64 with odd multipliers m, so that another value of one digit
adds a constant. The tables' sorted, distinct keys lie one after another in ``unique``; the positions that bucket u
holds are ``positions[starts[u] : starts[u + 1]]``; ``directory[t, s]`` is where keys whose leading bits are s begin.

Buckets are visited in the order of a score: the sum, over the digits that were changed, of what separates the query
from the other value, squared (Q. Lv, W. Josephson, Z. Wang, M. Charikar and K. Li, "Multi-probe LSH", VLDB 2007).
A hash is computed for blocks of a fixed number of rows, padded with zeros: a row's key never depends on its company.
"""

import numpy as np

from modeseek.engines.cpu import inline, kernel

BLOCK = 64  # rows that are hashed together
MOVES = 32  # of one table that are ever combined
ROOM = 1 << 14  # sets of moves that wait, of all tables
PSTABLE, SIGN, CROSS = 0, 1, 2
ULP = np.float64(2.0**-23)  # twice the rounding error of float32
TINY = np.float64(1e-18)  # squares of less than this vanish in float32


@kernel
def _project(points, start, directions, offsets, turned, values):
    """Fill values (hashes, BLOCK) with a.x + b for rows from start on; missing rows count as zeros."""
    n, d = points.shape
    m = min(n - start, BLOCK)
    for j in range(d):
        to = turned[j]
        for r in range(m):
            to[r] = points[start + r, j]
        for r in range(m, BLOCK):
            to[r] = np.float32(0.0)
    for h in range(directions.shape[0]):
        row = values[h]
        for r in range(BLOCK):
            row[r] = offsets[h]
        for j in range(d):
            a = directions[h, j]
            x = turned[j]
            for r in range(BLOCK):
                row[r] += a * x[r]


@kernel
def _whole(t):
    """Return floor(t) as an integer, far from where integers end."""
    return np.int64(np.floor(min(max(np.float64(t), -1e18), 1e18)))


@kernel
def _digit(v, family):
    """Return the digit of one hash: v holds its projections (one, or one for each axis of the polytope)."""
    if family == 0:
        return _whole(v[0])
    if family == 1:
        return np.int64(1) if v[0] >= np.float32(0.0) else np.int64(0)
    best = 0
    for j in range(1, v.size):
        if abs(v[j]) > abs(v[best]):
            best = j
    return np.int64(2 * best + (1 if v[best] < np.float32(0.0) else 0))


@kernel
def table_keys(points, directions, offsets, multipliers, axes, family, out):
    """Fill out with the keys of points in one table."""
    n, d = points.shape
    turned = np.empty((d, BLOCK), np.float32)
    values = np.empty((directions.shape[0], BLOCK), np.float32)
    v = np.empty(axes, np.float32)
    for start in range(0, n, BLOCK):
        _project(points, start, directions, offsets, turned, values)
        for r in range(min(n - start, BLOCK)):
            key = np.uint64(0)
            for i in range(multipliers.size):
                for j in range(axes):
                    v[j] = values[i * axes + j, r]
                key += multipliers[i] * np.uint64(_digit(v, family))
            out[start + r] = key


@kernel
def _offer_move(costs, deltas, digits, count, cost, delta, digit):
    """Insert a move into a list that is kept in rising order; return its new length."""
    if count == costs.size:
        if cost >= costs[count - 1]:
            return count
        count -= 1
    i = count
    while i > 0 and costs[i - 1] > cost:
        costs[i], deltas[i], digits[i] = costs[i - 1], deltas[i - 1], digits[i - 1]
        i -= 1
    costs[i], deltas[i], digits[i] = cost, delta, digit
    return count + 1


@kernel
def _moves(values, multipliers, axes, family, costs, deltas, digits):
    """Fill the moves of one table, by rising cost; return their number and the key of the query."""
    key = np.uint64(0)
    count = 0
    for i in range(multipliers.size):
        v = values[i * axes : (i + 1) * axes]
        multiplier = multipliers[i]
        here = _digit(v, family)
        key += multiplier * np.uint64(here)
        if family == 0:
            below = np.float64(v[0]) - np.float64(here)
            above = 1.0 - below
            count = _offer_move(costs, deltas, digits, count, below * below, np.uint64(0) - multiplier, i)
            count = _offer_move(costs, deltas, digits, count, above * above, multiplier, i)
        elif family == 1:
            delta = np.uint64(0) - multiplier if here == 1 else multiplier
            count = _offer_move(costs, deltas, digits, count, np.float64(v[0]) * v[0], delta, i)
        else:
            most = np.float64(abs(v[here // 2]))
            for j in range(axes):
                for side in range(2):
                    other = np.int64(2 * j + side)
                    if other != here:
                        gap = most - (np.float64(v[j]) if side == 0 else -np.float64(v[j]))
                        delta = multiplier * np.uint64(other - here)
                        count = _offer_move(costs, deltas, digits, count, gap * gap, delta, i)
    return count, key


@kernel
def _push(scores, tables, sets, size, score, table, chosen):
    """Put an entry on a heap; return its new size."""
    i = size
    while i > 0 and scores[(i - 1) // 2] > score:
        up = (i - 1) // 2
        scores[i], tables[i], sets[i] = scores[up], tables[up], sets[up]
        i = up
    scores[i], tables[i], sets[i] = score, table, chosen
    return size + 1


@kernel
def _pop(scores, tables, sets, size):
    """Take the first entry off a heap (the caller has read it); return its new size."""
    size -= 1
    score, table, chosen = scores[size], tables[size], sets[size]
    i = 0
    while 2 * i + 1 < size:
        down = 2 * i + 1
        if down + 1 < size and scores[down + 1] < scores[down]:
            down += 1
        if scores[down] >= score:
            break
        scores[i], tables[i], sets[i] = scores[down], tables[down], sets[down]
        i = down
    scores[i], tables[i], sets[i] = score, table, chosen
    return size


@kernel
def _next_probe(scores, tables, sets, size, costs, deltas, digits, counts, keys):
    """Return the size of the heap, and table and key of the next bucket; table -1: there is none."""
    one = np.uint64(1)
    while size > 0:
        score, t, chosen = scores[0], tables[0], sets[0]
        size = _pop(scores, tables, sets, size)
        room = size + 2 <= scores.size
        if chosen == np.uint64(0):
            if room and counts[t] > 0:
                size = _push(scores, tables, sets, size, costs[t, 0], t, one)
            return size, t, keys[t]
        last = 0
        key = keys[t]
        used = np.uint64(0)
        valid = True
        for i in range(counts[t]):
            if (chosen >> np.uint64(i)) & one:
                last = i
                key += deltas[t, i]
                bit = one << np.uint64(digits[t, i])
                valid = valid and (used & bit) == np.uint64(0)
                used |= bit
        if room and last + 1 < counts[t]:
            more = one << np.uint64(last + 1)
            raised = score + costs[t, last + 1]
            if valid:  # a set with two moves of one digit has no use, nor has one that holds it
                size = _push(scores, tables, sets, size, raised, t, chosen | more)
            swapped = (chosen ^ (one << np.uint64(last))) | more
            size = _push(scores, tables, sets, size, raised - costs[t, last], t, swapped)
        if valid:
            return size, t, key
    return 0, -1, np.uint64(0)


@kernel
def _bucket(unique, directory, shift, t, key):
    """Return the number of the bucket with a key in table t, or -1."""
    slot = np.int64(key >> np.uint64(shift))
    low, high = directory[t, slot], directory[t, slot + 1]
    while low < high:
        middle = (low + high) // 2
        if unique[middle] < key:
            low = middle + 1
        else:
            high = middle
    if low < directory[t, slot + 1] and unique[low] == key:
        return np.int64(low)
    return np.int64(-1)


@kernel
def _begin(values, multipliers, axes, family, costs, deltas, digits, counts, keys, scores, tables, sets):
    """Prepare the probing sequence of one query; return the size of the heap."""
    size = 0
    wide = multipliers.shape[1] * axes
    for t in range(multipliers.shape[0]):
        mine = values[t * wide : (t + 1) * wide]
        counts[t], keys[t] = _moves(mine, multipliers[t], axes, family, costs[t], deltas[t], digits[t])
        size = _push(scores, tables, sets, size, 0.0, t, np.uint64(0))
    return size


@kernel
def _buckets_of(probes, values):
    """Return how many buckets a query visits: of 3.4 probes, three or four, by the bits of where it lies."""
    whole = np.int64(np.floor(probes))
    bits = np.uint64(np.uint32(np.float32(values[0]).view(np.uint32))) * np.uint64(0x9E3779B97F4A7C15)
    share = np.float64(np.int64((bits ^ (bits >> np.uint64(32))) & np.uint64(0xFFFFFFFF))) * 2.0**-32
    return whole + (1 if share < probes - whole else 0)


@kernel
def _candidates(hashed, index, values, least, probes, limit, stamps, tag, found, heap, moves):
    """Write the positions in the first buckets to found; go on while they are fewer than least; return their number.

    Where even ``limit`` buckets hold too few, every position is a candidate.
    """
    multipliers, axes, family = hashed
    unique, starts, positions, directory, shift = index
    scores, tables, sets = heap
    costs, deltas, digits, counts, keys = moves
    size = _begin(values, multipliers, axes, family, costs, deltas, digits, counts, keys, scores, tables, sets)
    count = 0
    done = 0
    visits = _buckets_of(probes, values)
    while done < visits or (count < least and done < limit):
        size, t, key = _next_probe(scores, tables, sets, size, costs, deltas, digits, counts, keys)
        if t < 0:
            break
        done += 1
        u = _bucket(unique, directory, shift, t, key)
        if u >= 0:
            for i in range(starts[u], starts[u + 1]):
                p = positions[i]
                if stamps[p] != tag:
                    stamps[p] = tag
                    found[count] = p
                    count += 1
    if count < least:
        count = stamps.size
        for p in range(count):
            found[p] = p
    return count


@kernel
def _sift(heap, value):
    """Replace the greatest of a heap of the k least numbers by a smaller one."""
    i = 0
    k = heap.size
    while 2 * i + 1 < k:
        down = 2 * i + 1
        if down + 1 < k and heap[down + 1] > heap[down]:
            down += 1
        if heap[down] <= value:
            break
        heap[i] = heap[down]
        i = down
    heap[i] = value


@kernel
def _squares(points, found, count, q, out):
    """Fill out with squared distances in float32, and return |q|."""
    norm = 0.0
    for j in range(q.size):
        norm += np.float64(q[j]) * q[j]
    for i in range(count):
        x = points[found[i]]
        total = np.float32(0.0)
        for j in range(q.size):
            difference = x[j] - q[j]
            total += difference * difference
        out[i] = total
    return np.sqrt(norm)


@kernel
def _error(distance, norm, d):
    """Bound how far a distance in float32 is off: rounded coordinates (of q and of x, |x| <= |q| + r) and sums."""
    return ULP * (2.0 * norm + (d + 4.0) * distance) + TINY


@kernel
def _exact(X, row, q, scale):
    """Return the squared distance in float64, of differences, times the square of a power of two."""
    total = 0.0
    for j in range(q.size):
        difference = scale * (np.float64(X[row, j]) - np.float64(q[j]))
        total += difference * difference
    return total


@kernel
def _select(points, order, found, count, q, X, exact_q, scale, near, least, best, rows):
    """Fill best and rows with the nearest candidates: in float32 first, those that may belong to them in float64."""
    d, k = q.size, best.size
    norm = _squares(points, found, count, q, near)
    least[:] = np.float32(np.inf)
    for i in range(count):
        if near[i] < least[0]:
            _sift(least, near[i])
    reach = np.sqrt(np.float64(least[0]))
    reach += _error(reach, norm, d)
    filled = 0
    for i in range(count):
        distance = np.sqrt(np.float64(near[i]))
        if distance - _error(distance, norm, d) <= reach:
            row = np.int64(order[found[i]])
            square = _exact(X, row, exact_q, scale)
            if filled == k:
                if square > best[k - 1] or (square == best[k - 1] and row > rows[k - 1]):
                    continue
                filled -= 1
            s = filled
            while s > 0 and (best[s - 1] > square or (best[s - 1] == square and rows[s - 1] > row)):
                best[s], rows[s] = best[s - 1], rows[s - 1]
                s -= 1
            best[s], rows[s] = square, row
            filled += 1


@kernel
def nearest_of_all(points, X, which, squares, rows):
    """Fill squares and rows (m, k) with the nearest of all points to the points ``which``, themselves left out."""
    n = points.shape[0]
    order = np.arange(n)
    near, least = np.empty(n, np.float32), np.empty(squares.shape[1], np.float32)
    found = np.empty(n, np.int64)
    for w in range(which.size):
        count = 0
        for p in range(n):
            if p != which[w]:
                found[count] = p
                count += 1
        _select(points, order, found, count, points[which[w]], X, X[which[w]], 1.0, near, least, squares[w], rows[w])


@inline
def _scratch(tables, wide, d):
    """Return what a search works in: projections of a block and of a query, and the probing sequence."""
    room = tables + ROOM
    heap = (np.empty(room), np.empty(room, np.int64), np.empty(room, np.uint64))
    moves = (
        np.empty((tables, MOVES)),
        np.empty((tables, MOVES), np.uint64),
        np.empty((tables, MOVES), np.int64),
        np.empty(tables, np.int64),
        np.empty(tables, np.uint64),
    )
    projected = np.empty((d, BLOCK), np.float32), np.empty((wide, BLOCK), np.float32), np.empty(wide, np.float32)
    return projected[0], projected[1], projected[2], heap, moves


@kernel
def nearest(
    hashed, index, directions, offsets, points, order, X, queries, Q, which, probes, limit, stamps, scale, squares, rows
):
    """Fill squares and rows (m, k) with the nearest candidates of the queries ``which``; return how many there were.

    ``points`` and ``queries`` are centred and in float32, by position; X and Q are the user's.
    """
    n, d = points.shape
    k = squares.shape[1]
    wide = directions.shape[0]
    turned, values, mine, heap, moves = _scratch(hashed[0].shape[0], wide, d)
    found = np.empty(n, np.int32)
    near = np.empty(n, np.float32)
    least = np.empty(k, np.float32)
    block = np.empty((BLOCK, d), np.float32)
    total = 0
    for start in range(0, which.size, BLOCK):
        m = min(BLOCK, which.size - start)
        for r in range(m):
            for j in range(d):
                block[r, j] = queries[which[start + r], j]
        _project(block[:m], 0, directions, offsets, turned, values)
        for r in range(m):
            w = which[start + r]
            for h in range(wide):
                mine[h] = values[h, r]
            count = _candidates(hashed, index, mine, k, probes, limit, stamps, np.int32(w + 1), found, heap, moves)
            total += count
            _select(points, order, found, count, block[r], X, Q[w], scale, near, least, squares[w], rows[w])
    return total


@kernel
def within(
    hashed,
    index,
    directions,
    offsets,
    points,
    order,
    X,
    queries,
    Q,
    which,
    probes,
    stamps,
    radii,
    scale,
    counts,
    starts,
    rows,
    squares,
):
    """Count the candidates within radii of the queries ``which``, or, where rows has room, write them down."""
    n, d = points.shape
    wide = directions.shape[0]
    turned, values, mine, heap, moves = _scratch(hashed[0].shape[0], wide, d)
    found = np.empty(n, np.int32)
    near = np.empty(n, np.float32)
    block = np.empty((BLOCK, d), np.float32)
    for start in range(0, which.size, BLOCK):
        m = min(BLOCK, which.size - start)
        for r in range(m):
            for j in range(d):
                block[r, j] = queries[which[start + r], j]
        _project(block[:m], 0, directions, offsets, turned, values)
        for r in range(m):
            w = which[start + r]
            for h in range(wide):
                mine[h] = values[h, r]
            count = _candidates(hashed, index, mine, 0, probes, 0, stamps, np.int32(w + 1), found, heap, moves)
            norm = _squares(points, found, count, block[r], near)
            reach = radii[w] * scale
            inside = 0
            for i in range(count):
                distance = np.sqrt(np.float64(near[i]))
                if distance - _error(distance, norm, d) <= reach * (1.0 + 1e-12):
                    row = np.int64(order[found[i]])
                    square = _exact(X, row, Q[w], scale)
                    if square <= reach * reach:
                        if rows.size > 0:
                            rows[starts[w] + inside] = row
                            squares[starts[w] + inside] = square
                        inside += 1
            counts[w] = inside


@kernel
def curve(hashed, index, directions, offsets, queries, itself, truth, order, counted, stamps, marks, hits, seen):
    """Follow the probing sequence of each query: how many of the true neighbours, and of the others, have been met.

    truth (m, k) and itself (m,) are positions; positions whose row is below ``counted`` count as seen. Column b of hits
    and seen (m, probes) is after b + 1 buckets.
    """
    d = queries.shape[1]
    L = hashed[0].shape[0]
    wide = directions.shape[0]
    probes = hits.shape[1]
    turned = np.empty((d, BLOCK), np.float32)
    values = np.empty((wide, BLOCK), np.float32)
    mine = np.empty(wide, np.float32)
    room = L + ROOM
    scores, tables, sets = np.empty(room), np.empty(room, np.int64), np.empty(room, np.uint64)
    costs, deltas = np.empty((L, MOVES)), np.empty((L, MOVES), np.uint64)
    digits, counts, keys = np.empty((L, MOVES), np.int64), np.empty(L, np.int64), np.empty(L, np.uint64)
    multipliers, axes, family = hashed
    unique, starts, positions, directory, shift = index
    for start in range(0, queries.shape[0], BLOCK):
        _project(queries, start, directions, offsets, turned, values)
        for r in range(min(queries.shape[0] - start, BLOCK)):
            w = start + r
            for h in range(wide):
                mine[h] = values[h, r]
            size = _begin(mine, multipliers, axes, family, costs, deltas, digits, counts, keys, scores, tables, sets)
            tag = np.int32(w + 1)
            for j in range(truth.shape[1]):
                marks[truth[w, j]] = tag
            hit = 0
            met = 0
            for b in range(probes):
                size, t, key = _next_probe(scores, tables, sets, size, costs, deltas, digits, counts, keys)
                u = _bucket(unique, directory, shift, t, key) if t >= 0 else np.int64(-1)
                if u >= 0:
                    for i in range(starts[u], starts[u + 1]):
                        p = positions[i]
                        if stamps[p] != tag:
                            stamps[p] = tag
                            if p != itself[w]:
                                hit += 1 if marks[p] == tag else 0
                                met += 1 if order[p] < counted else 0
                hits[w, b] = hit
                seen[w, b] = met


@kernel
def offer(products, halves, first, scores, rows):
    """Keep the greatest of x.q - |x|^2 / 2 for each query: heaps of scores (m, s), the least first."""
    m, n = products.shape
    s = scores.shape[1]
    for w in range(m):
        heap, where, row = scores[w], rows[w], products[w]
        for p in range(n):
            value = row[p] - halves[p]
            if value > heap[0]:
                i = 0
                while 2 * i + 1 < s:
                    down = 2 * i + 1
                    if down + 1 < s and heap[down + 1] < heap[down]:
                        down += 1
                    if heap[down] >= value:
                        break
                    heap[i], where[i] = heap[down], where[down]
                    i = down
                heap[i], where[i] = value, np.int32(first + p)
