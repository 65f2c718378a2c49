r"""Rounds of k-means over cells: a cell that lies in one Voronoi region gives its moments at once.

Let m be the middle of a cell, r its radius, a the centre nearest to m. For any point x of it and any other centre j,

    |x - c_j|^2 - |x - c_a|^2 >= |m - c_j|^2 - |m - c_a|^2 - 2 r |c_a - c_j|,

so that only centres for which the right side is not above 0 can own one of its points: the filter of T. Kanungo et al.,
"An efficient k-means clustering algorithm: analysis and implementation", IEEE TPAMI 24 (2002). Middles are compared
with all centres in tiles of float32 (``lloyd.py``); if the best two are further apart than 2r and what rounding could
do, nothing else is. Points of cells with several such centres are compared with these in float64, by differences, in
the order of the centres.
"""

import numpy as np

from modeseek.engines.cpu import inline, kernel, unfused_kernel
from modeseek.engines.cpu.lloyd import _L1, _L2, _UP, LANES, _best_two, _first_two, _squares

BUCKET = 8  # bits


@inline
def _cell(points, i, low, scale, sizes):
    """Return the cell of a point, row-major."""
    key = 0
    for t in range(low.size):
        place = np.int64((points[i, t] - low[t]) * scale[t])
        key = key * sizes[t] + min(max(place, 0), sizes[t] - 1)
    return key


@kernel
def count_buckets(points, low, scale, sizes, start, stop, counts):
    """Count the points [start, stop) of each bucket: 2^BUCKET cells in a row, so few that writing to all is quick."""
    for i in range(start, stop):
        counts[_cell(points, i, low, scale, sizes) >> BUCKET] += 1


@kernel
def to_buckets(points, weights, low, scale, sizes, start, stop, places, rows, x, w):
    """Copy points [start, stop), their rows and weights bucket by bucket."""
    for i in range(start, stop):
        bucket = _cell(points, i, low, scale, sizes) >> BUCKET
        to = places[bucket]
        places[bucket] = to + 1
        rows[to] = i
        for t in range(low.size):
            x[to, t] = points[i, t]
        if weights.size:
            w[to] = weights[i]


@kernel
def sort_bucket(bucketed, low, scale, sizes, begin, end, first, starts, sorted_to):
    """Sort the points [begin, end) of one bucket, whose first cell is ``first``, by cells; write where these start."""
    from_rows, from_x, from_w = bucketed
    rows, x, w = sorted_to
    n_cells = min(np.int64(1) << BUCKET, starts.size - 1 - first)
    places = starts[first : first + n_cells]
    for c in range(n_cells):
        places[c] = 0
    for i in range(begin, end):
        places[_cell(from_x, i, low, scale, sizes) - first] += 1
    total = begin
    for c in range(n_cells):
        here = places[c]
        places[c] = total
        total += here
    for i in range(begin, end):
        c = _cell(from_x, i, low, scale, sizes) - first
        to = places[c]
        places[c] = to + 1
        rows[to] = from_rows[i]
        for t in range(low.size):
            x[t, to] = from_x[i, t]
        if w.size:
            w[to] = from_w[i]
    for c in range(n_cells - 1, 0, -1):  # each place has moved to the start of the next cell
        places[c] = places[c - 1]
    places[0] = begin


@kernel
def describe(base, origin, unit, first, last, cells):
    """Write middles, radii and moments of cells [first, last).

    ``first`` is a multiple of LANES. Middles, their lengths and radii are scaled by unit, as tiles are.
    """
    x, w, starts, tiles, lengths, radii, sums, masses, counts = cells
    d = x.shape[0]
    width = tiles.shape[1] // LANES
    for c in range(first, last):
        begin, end = starts[c], starts[c + 1]
        mass = np.float64(end - begin)
        count = end - begin
        if w.size:
            mass, count = 0.0, 0
            for i in range(begin, end):
                mass += w[i]
                count += w[i] > 0.0
        masses[c], counts[c] = mass, count
        norm = 0.0
        square = 0.0
        for t in range(d):
            column = x[t]
            low = high = np.float64(column[begin])
            total = 0.0
            for i in range(begin, end):
                value = np.float64(column[i])
                low = value if value < low else low
                high = value if value > high else high
                total += (w[i] if w.size else 1.0) * (value - base[t])
            sums[c, t] = total
            low, high = low - base[t], high - base[t]
            middle = np.float32((0.5 * low + 0.5 * high - origin[t]) * unit)
            tiles[c // LANES, t * LANES + c % LANES] = middle
            norm += np.float64(middle) * middle
            at = origin[t] + np.float64(middle) / unit
            reach = max(high - at, at - low) * unit
            square += reach * reach
        lengths[c] = np.sqrt(norm) * _UP
        radii[c] = np.sqrt(square) * _UP
    for t in range(d, width):
        for c in range(first, last):
            tiles[c // LANES, t * LANES + c % LANES] = np.float32(0.0)


@kernel
def _clear_ones(state, lengths, radii, rounding, error, greatest, clear):
    """Write 1 for each cell of a tile whose best centre is surely nearest to all of its points, 0 for the others."""
    for r in range(LANES):
        length = lengths[r]
        slack = error * (length * greatest + 0.5 * greatest * greatest) + 1e-30
        norm = length * length
        best, second = np.float64(state[r]), np.float64(state[_L1 + r])
        high = norm - 2.0 * (best - slack)
        high = np.sqrt(high if high > 0.0 else 0.0) * _UP + 2.0 * (radii[r] + rounding)
        clear[r] = norm * (1.0 - 3e-6) - 2.0 * (second + slack) > high * high * _UP


@unfused_kernel
def _label_points(x, base, begin, end, centres, candidates, m, least, new):
    """Write the first nearest of m candidates for each point of a cell: sums in order, never fused."""
    n = end - begin
    for i in range(n):
        least[i] = np.inf
    for q in range(m):
        j = candidates[q]
        square = least[n:]
        for i in range(n):
            square[i] = 0.0
        for t in range(x.shape[0]):
            column, origin, at = x[t, begin:end], base[t], centres[j, t]
            for i in range(n):
                difference = (column[i] - origin) - at
                square[i] = square[i] + difference * difference
        for i in range(n):
            nearer = square[i] < least[i]
            new[i] = j if nearer else new[i]
            least[i] = square[i] if nearer else least[i]


@kernel
def assign_cells(cells, frame, tile_of, columns, between, exact, rounding, first, last, work, state_of, out):
    """Find the owners of cells [first, last) and of the points of mixed ones; return how many labels changed.

    Parameters
    ----------
    cells : tuple
        x (d, n), w (n,) or (0,), starts, tiles, lengths and radii (room for whole tiles), and the cells' sums, masses
        and counts, as `describe` left them; ``first`` is a multiple of LANES.
    frame : tuple of (d,), (d,), float
        base, origin and unit of the tiles.
    tile_of, columns, between
        Centres less the base: in a tile (``lloyd.assign``), as columns, and their distances from each other.
    exact : tuple of (d,), (k, d)
        What points are compared with: their base, and the centres less it.
    rounding : float
        How far these may be from the centres of the cells.
    work : tuple
        Scratch: state and flags of a tile, squares, point, candidates, and room for the points of a cell (twice).
    state_of : tuple
        Owners of cells, -1 where mixed; labels of points, true where mixed.
    out : tuple of (k, d), (k,), (k,)
        Sums, masses and numbers of points of the clusters.
    """
    x, w, starts, tiles, lengths, radii, cell_sums, cell_masses, cell_counts = cells
    base, origin, unit = frame
    packed, half, greatest = tile_of
    exact_base, exact_centres = exact
    state, clear, squares, point, candidates, least, new = work
    owners, labels = state_of
    sums, masses, counts = out
    d = x.shape[0]
    width = tiles.shape[1] // LANES
    error = (width + 6) * 5.960464477539063e-08 * 1.01
    moved = 0
    for c in range(first, last):
        r = c % LANES
        tile = tiles[c // LANES]
        if r == 0:
            _best_two(tile, packed, half, state, half.size, width)
            stop = c + LANES
            _clear_ones(state, lengths[c:stop], radii[c:stop], rounding * unit, error, greatest, clear)
        owner = np.int32(state[_L2 + r])
        m = 1
        if not clear[r]:
            for t in range(d):
                point[t] = origin[t] + np.float64(tile[t * LANES + r]) / unit
            _squares(point, columns, squares)
            number, nearest, _ = _first_two(squares)
            owner = np.int32(number)
            m = 0
            wide = 2.0 * (radii[c] / unit + rounding) * _UP
            row = between[owner]
            for j in range(squares.size):
                if squares[j] - nearest <= wide * row[j] + 1e-9 * (squares[j] + nearest):
                    candidates[m] = j
                    m += 1
        begin, end = starts[c], starts[c + 1]
        before = owners[c]
        if m == 1:
            if before < 0:
                for i in range(begin, end):
                    moved += labels[i] != owner
            elif before != owner:
                moved += end - begin
            owners[c] = owner
            masses[owner] += cell_masses[c]
            counts[owner] += cell_counts[c]
            for t in range(d):
                sums[owner, t] += cell_sums[c, t]
            continue
        _label_points(x, exact_base, begin, end, exact_centres, candidates, m, least, new)
        for i in range(begin, end):
            a = new[i - begin]
            moved += a != (labels[i] if before < 0 else before)
            labels[i] = a
            weight = w[i] if w.size else 1.0
            masses[a] += weight
            counts[a] += weight > 0.0
            for t in range(d):
                sums[a, t] += weight * (x[t, i] - base[t])
        owners[c] = -1
    return moved


@kernel
def hand_out(starts, order, owners, labels, first, last, out):
    """Write the label of each point of cells [first, last) to its row."""
    for c in range(first, last):
        owner = owners[c]
        for i in range(starts[c], starts[c + 1]):
            out[order[i]] = owner if owner >= 0 else labels[i]
