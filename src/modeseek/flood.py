r"""Flood: modes with their traps, and the cells whose label is decided without a climb.

A step never leaves the connected part of {f >= f(x)} that x is in: the whole ball B(m(x), |x - m(x)|) lies in it.
So if that part holds one mode only, x climbs to that mode (but for the stable sets of saddles, of measure zero).

1. Every place where the exact step may vanish is found: cells are cut until their bounds exclude it. What remains
   is near a mode if log f is surely concave there, near a saddle if it surely is not.
2. Around each mode a *trap*: a ball in which |J| < 1. It holds one exact mode, and every path that enters it ends
   there.
3. One sweep over the cells by falling density finds the level at which the part of each mode first meets another's.
   The cells above that level are its *core*.

A place that may hold a mode and is in no trap spoils every part that it touches: nothing is claimed there. Paths
stay among the points, so what the parts do beyond them does not matter.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from modeseek.climb import group_by_location
from modeseek.fields import Floats, Ints
from modeseek.fields.bounds import Bools, CellBounds, bend, inner_nodes, moves_along_an_axis, neighbours
from modeseek.fields.nodes import MARGIN
from modeseek.fields.table import TableField

UNKNOWN = -1
CUTS = 10  # times that a cell where the step may vanish is cut in half along each axis
VAGUE = 0.1  # slack of J - I with which cutting is of no use
FEW_CUTS, FEW_PLACES = 3, 100  # cuts after which so few places are, mostly, all within their traps
HOPELESS = 2  # cuts after which at least half of a cell must have been excluded
LAST_BITS = (1 << 24) - 1  # of a density, below 1e-8 of it; there are fewer cells
SWEPT = 0.5  # of the lightest point: down to this density cells are swept
WIDEST = 1.0  # bandwidths: largest trap looked for
CONCAVE = 1e-9  # least |eigenvalue| of J - I that counts
TOL, MAX_ITER = 1e-8, 20_000  # of the climbs that find modes
LINK = 1e-3  # bandwidths: resting points closer than this are one mode


@dataclass
class Traps:
    """Balls around modes in which every path ends that enters them."""

    centres: Floats  # (k, d)
    radii: Floats  # (k,) 0 where no trap was proven
    errors: Floats  # (k,) how far the exact mode may be from the centre

    def reordered(self, order: Ints) -> "Traps":
        """Return the traps in another order."""
        return Traps(self.centres[order], self.radii[order], self.errors[order])

    def with_places(self, places: Floats) -> "Traps":
        """Return the traps and, after them, places that nothing is proven of."""
        none = np.zeros(len(places))
        radii, errors = np.append(self.radii, none), np.append(self.errors, none + np.inf)
        return Traps(np.vstack([self.centres, places]), radii, errors)

    def nearest(self, places: Floats, within: float) -> Ints:
        """Return the centre nearest to each place, UNKNOWN if none is that near."""
        if not len(self.centres):
            return np.full(len(places), UNKNOWN, np.int64)
        distance, nearest = cKDTree(self.centres).query(places, distance_upper_bound=within)
        return np.where(np.isfinite(distance), nearest, UNKNOWN)


@dataclass
class Flood:
    """What the flood found: traps, and for each cell of the grid (flat) the mode proven for all of it."""

    traps: Traps
    certified: NDArray[np.int32]
    n_spoiled: int  # places that may hold a mode and are in no trap


def flood(field: TableField, bounds: CellBounds, lightest: float) -> Flood:
    """Find modes, traps and cores."""
    shape = tuple(field.shape)
    high = bounds.high
    lowest = SWEPT * lightest  # no point has a density below its own weight
    domain = np.flatnonzero(inner_nodes(shape, MARGIN) & (high >= lowest))
    known = bounds.known[domain]
    suspects = domain[known & (bounds.stationary & bounds.maxima)[domain]]
    vague = bounds.near[suspects, 2] > VAGUE
    for cuts in (FEW_CUTS, CUTS):
        places, half, cells = resting_places(field, bounds, suspects[~vague], cuts)
        if cuts < CUTS and len(places) > FEW_PLACES:
            continue
        half_diagonal = half * np.sqrt(len(shape))
        concave = bend(field, bounds, places, half_diagonal / field.nodes.delta)[1] < -CONCAVE
        traps = set_traps(field, bounds, places[concave])
        held = holding_trap(traps, places, half_diagonal)
        if (held >= 0).all():
            break

    from modeseek.engines.cpu.flood import MIXED, NONE
    from modeseek.engines.cpu.flood import flood as sweep

    ids = np.full(len(high), NONE, np.int64)
    ids[cells] = held
    ids[cells[(held < 0) | (ids[cells] != held)]] = MIXED  # in no trap, or places of two modes in one cell
    ids[domain[~known]] = ids[suspects[vague]] = MIXED
    n_spoiled = int((ids == MIXED).sum())
    order, level = by_falling_level(high, domain)
    owner, meets = np.full(len(high), NONE, np.int64), np.full(len(traps.radii), -np.inf)
    sweep(order, level, ids, neighbours(shape), np.full(len(high), -1, np.int64), owner, meets)
    core = (owner >= 0) & (bounds.low > np.append(meets, np.inf)[np.maximum(owner, NONE)])
    certified = np.where(core & (bounds.low >= lowest), owner, UNKNOWN).astype(np.int32)
    for k, (nodes, far) in enumerate(cells_around(field, traps.centres, traps.radii)):
        certified[nodes[far <= traps.radii[k]]] = k
        bounds.near[nodes[far <= traps.radii[k] + np.sqrt(len(shape)) * field.nodes.delta], 5] = k
    return Flood(traps, certified, n_spoiled)


def by_falling_level(high: Floats, cells: Ints) -> tuple[Ints, Floats]:
    """Sort cells by falling ``high``, by cell where it is equal; return ``high`` as it was sorted, rounded up.

    The last bits of a number give way to its place in ``cells``: sorting plain integers takes a tenth of the time.
    """
    bits = high.view(np.int64) | LAST_BITS  # of numbers that are not negative: in the order of the numbers
    keys = np.sort((~bits[cells] & ~LAST_BITS) | np.arange(len(cells)))
    return cells[keys & LAST_BITS], bits.view(np.float64)


def resting_places(field: TableField, bounds: CellBounds, cells: Ints, cuts: int = CUTS) -> tuple[Floats, Floats, Ints]:
    """Cut cells until a vanishing step is excluded; return centres, half sides and cells of what remains."""
    d, h, delta = len(field.shape), field.bandwidth, field.nodes.delta
    centres, half = field.nodes.positions(cells), 0.5 * delta
    corners = np.stack(np.meshgrid(*[[-1.0, 1.0]] * d, indexing="ij"), axis=-1).reshape(-1, d)
    left: list[tuple[Floats, Floats, Ints]] = []

    def leave(rows: Bools) -> None:
        left.append((centres[rows], np.full(int(rows.sum()), half), cells[rows]))

    for cut in range(1, cuts + 1):
        half *= 0.5
        centres, cells = (centres[:, None] + half * corners).reshape(-1, d), np.repeat(cells, len(corners))
        radius = half * np.sqrt(d)
        least, largest, somewhere = bend(field, bounds, centres, radius / delta)
        steps = table_steps(field, centres) / h
        speed = np.sqrt(np.square(steps).sum(axis=1))
        moves = speed - bounds.near[cells, 4] > np.maximum(np.abs(least), np.abs(largest)) * radius / h
        kept = np.flatnonzero(~moves & ~(somewhere > 0.0))
        kept = kept[~moves_along_an_axis(field, bounds, centres[kept], steps[kept], radius / delta)]
        centres, cells = centres[kept], cells[kept]
        if cut == HOPELESS:  # where nothing is excluded bounds are too wide for finer cuts to help
            which, count = np.unique(cells, return_inverse=True, return_counts=True)[1:]
            hopeless = count[which] > 0.5 * len(corners) ** cut
            leave(hopeless)
            centres, cells = centres[~hopeless], cells[~hopeless]
        if not len(cells):
            break
    leave(np.ones(len(cells), bool))
    return tuple(map(np.concatenate, zip(*left, strict=True)))  # type: ignore[return-value]


def table_steps(field: TableField, places: Floats) -> Floats:
    """Return the tabulated step from each place."""
    ends, _ = field.climb(places, tol=0.0, max_iter=1)
    return ends - places


def step_lengths(field: TableField, places: Floats) -> Floats:
    """Return how far a tabulated step goes from each place."""
    return np.sqrt(np.square(table_steps(field, places)).sum(axis=1))


def set_traps(field: TableField, bounds: CellBounds, starts: Floats) -> Traps:
    """Climb from places where log f is concave and prove a trap around each mode reached."""
    d, h, delta = len(field.shape), field.bandwidth, field.nodes.delta
    if not len(starts):
        return Traps(np.empty((0, d)), np.empty(0), np.empty(0))
    # of places that hang together the slowest stands for all: it is nearly there, and ridges are long
    starts = starts[np.argsort(step_lengths(field, starts), kind="stable")]
    starts = starts[group_by_location(starts, 0.5 * delta)[1]]
    ends, _ = field.climb(starts, tol=TOL, max_iter=MAX_ITER)
    modes = ends[group_by_location(ends, LINK * h)[1]]
    speed = step_lengths(field, modes) / h
    _, top, _ = bend(field, bounds, modes, 0.0)
    radii, errors = np.zeros(len(modes)), np.full(len(modes), np.inf)
    for k, (nodes, _) in enumerate(cells_around(field, modes, np.full(len(modes), WIDEST * h))):
        near = np.sqrt(np.square(distance_to_cells(field, modes[k], nodes)).sum(axis=1)) / h
        order = np.argsort(near, kind="stable")
        here = bounds.near[nodes[order]]
        # largest eigenvalue and error in balls about the mode: first within one node spacing, by how J changes there
        inside = np.linspace(0.05, 1.0, 20)
        own = bounds.near[field.nodes.nearest(modes[k : k + 1])[0]]
        # then of the cells up to each, by distance: a ball of radius reach touches no further cell
        reach = np.concatenate([inside * delta / h, np.append(near[order], WIDEST)[1:]])
        whole_cell = here[:, 0] + here[:, 2] + 0.5 * np.sqrt(d) * here[:, 3]
        largest = np.concatenate([top[k] + own[3] * inside, np.maximum.accumulate(whole_cell)])
        error = np.concatenate([np.full(len(inside), own[4]), np.maximum.accumulate(here[:, 4])]) + speed[k]
        with np.errstate(invalid="ignore", divide="ignore"):
            concave = largest < -CONCAVE
            drift = np.where(concave, error / -largest, np.inf)  # |exact mode - centre| at most
        proven = drift <= reach
        if proven.any():
            errors[k] = drift[proven].min()
            radii[k] = max(min(reach[concave].max(), WIDEST) - 2.0 * errors[k], 0.0)
    return Traps(modes, radii * h, errors * h)


def cells_around(field: TableField, centres: Floats, radii: Floats):
    """For each centre, the cells within the radius along each axis, and the distance to the farthest corner."""
    nodes, d = field.nodes, len(field.shape)
    for centre, radius in zip(centres, radii, strict=True):
        width = int(np.ceil(radius / nodes.delta)) + 1
        middle = np.floor((centre - nodes.corner) / nodes.delta + 0.5).astype(np.int64)
        ranges = [np.arange(max(m - width, 0), min(m + width + 1, n)) for m, n in zip(middle, field.shape, strict=True)]
        index = np.stack(np.meshgrid(*ranges, indexing="ij"), axis=-1).reshape(-1, d)
        flat = np.ravel_multi_index(tuple(index.T), tuple(field.shape))
        offsets = np.abs(nodes.corner + index * nodes.delta - centre)
        yield flat, np.sqrt(np.square(offsets + 0.5 * nodes.delta).sum(axis=1))


def distance_to_cells(field: TableField, centre: Floats, flat: Ints) -> Floats:
    """Return the offset, along each axis, from a centre to the nearest point of each cell."""
    return np.maximum(np.abs(field.nodes.positions(flat) - centre) - 0.5 * field.nodes.delta, 0.0)


def holding_trap(traps: Traps, places: Floats, half_diagonal: Floats) -> Ints:
    """Return the trap that holds each place (balls of radius ``half_diagonal``), UNKNOWN where none does."""
    if not len(traps.radii) or not len(places):
        return np.full(len(places), UNKNOWN, np.int64)
    distance, nearest = cKDTree(traps.centres).query(places)
    return np.where(distance + half_diagonal <= traps.radii[nearest], nearest, UNKNOWN)
