"""Flood: every mode in one trap, traps and cores that lead where they say; degenerate densities claim nothing."""

from functools import cache

import numpy as np
import pytest

import modeseek as ms
from modeseek.certify import Tubes
from modeseek.engines.cpu.flood import MIXED, NONE
from modeseek.engines.cpu.flood import flood as sweep
from modeseek.fields import reach_of_tail
from modeseek.fields.bounds import cell_bounds, moves_along_an_axis, neighbours
from modeseek.fields.table import TableField
from modeseek.flood import Traps, by_falling_level, cells_around, flood, holding_trap, table_steps
from tests.naive import exact_ends, lattice, mixture, moons, tabulated, uniform

DATA = {
    "mixture, 1-D": (lambda: mixture(250, 1), 1 / 16),
    "noise, 1-D": (lambda: uniform(200, 1), 1 / 16),
    "mixture, 2-D": (lambda: mixture(300, 2), 1 / 8),
    "noise, 2-D": (lambda: (np.random.default_rng(1).uniform(size=(150, 2)) * 7, 1.0), 1 / 8),
    "few, 2-D": (lambda: (np.random.default_rng(2).uniform(size=(12, 2)) * 9, 1.0), 1 / 8),
    "moons": (lambda: moons(250), 1 / 12),
    "lattice": (lambda: lattice(300), 1 / 8),
    "noise, 3-D": (lambda: (np.random.default_rng(3).uniform(size=(30, 3)) * 3.6, 1.0), 1 / 8),
}


def flooded(X, h, spacing, w=None):
    field = tabulated(X, h, spacing, w)
    lightest = 1.0 if w is None else float(w.min())
    bounds = cell_bounds(field, lightest)
    return field, bounds, flood(field, bounds, lightest)


@cache
def case(name: str):
    """Points, bandwidth, table, what the flood found, and the exact modes that points climb to, by brute force."""
    data, spacing = DATA[name]
    X, h = data()
    X = X.astype(float)
    field, _, found = flooded(X, h, spacing)
    index, modes = exact_ends(X, X, h)
    assert (index >= 0).all()
    return X, h, field, found, index, modes[np.unique(index)]


def in_trap(traps: Traps, places: np.ndarray) -> np.ndarray:
    """(places, traps): which place lies in which trap."""
    return np.linalg.norm(places[:, None] - traps.centres[None], axis=2) < traps.radii


def leads_to(X, h, places, modes):
    """Index of the exact mode, among ``modes``, that each place climbs to; -1 if to none of them."""
    index, ends = exact_ends(X, places, h)
    assert (index >= 0).all()
    distance = np.linalg.norm(ends[:, None] - modes[None], axis=2)
    return np.where(distance.min(axis=1) < 1e-6 * h, distance.argmin(axis=1), -1)[index]


@pytest.mark.parametrize("name", DATA)
def test_every_exact_mode_lies_in_one_trap_or_its_place_is_spoiled(name):
    _, h, field, found, _, modes = case(name)
    held = in_trap(found.traps, modes)
    assert (held.sum(axis=1) <= 1).all()
    lost = np.flatnonzero(~held.any(axis=1))
    assert len(lost) <= found.n_spoiled
    assert (found.certified[field.nodes.nearest(modes[lost])] < 0).all()
    assert held.any(axis=1).mean() >= 0.7
    which, trap = np.nonzero(held)
    distance = np.linalg.norm(modes[which] - found.traps.centres[trap], axis=1)
    assert (distance <= found.traps.errors[trap] + 1e-9 * h).all()
    # and no trap without a mode, but for those that no point climbs to
    for k in np.setdiff1d(np.flatnonzero(found.traps.radii > 0), trap):
        assert (leads_to(case(name)[0], h, found.traps.centres[k : k + 1], found.traps.centres) == k).all()


@pytest.mark.parametrize("name", DATA)
def test_everything_in_a_trap_climbs_to_its_mode(name):
    X, h, _, found, _, modes = case(name)
    rng = np.random.default_rng(0)
    held = in_trap(found.traps, modes)
    mode, trap = np.nonzero(held)
    assert (found.traps.radii[trap] > 0.05 * h).mean() > 0.7  # a mode on a flat top may have a tiny one
    d = X.shape[1]
    ways = rng.normal(size=(len(trap), 12, d))
    ways /= np.linalg.norm(ways, axis=2, keepdims=True)
    share = np.append(np.full(8, 0.999), rng.random(4) ** (1 / d))
    places = found.traps.centres[trap][:, None] + ways * share[None, :, None] * found.traps.radii[trap][:, None, None]
    ends = leads_to(X, h, places.reshape(-1, d), modes).reshape(len(trap), -1)
    np.testing.assert_array_equal(ends, np.broadcast_to(mode[:, None], ends.shape))


@pytest.mark.parametrize("name", DATA)
def test_points_in_certified_cells_climb_to_the_mode_of_the_cell(name):
    X, h, field, found, _, modes = case(name)
    held = in_trap(found.traps, modes)
    mode_of = np.where(held.any(axis=0), held.argmax(axis=0), -1)
    at_points = found.certified[field.nodes.nearest(X)]
    index = leads_to(X, h, X, modes)
    np.testing.assert_array_equal(mode_of[at_points[at_points >= 0]], index[at_points >= 0])
    # anywhere in such a cell, where the density is that of a point at least
    rng = np.random.default_rng(1)
    cells = rng.choice(np.flatnonzero(found.certified >= 0), 300)
    d = X.shape[1]
    places = field.nodes.positions(cells) + rng.uniform(-0.5, 0.5, (300, d)) * field.nodes.delta
    density = np.exp(-0.5 * np.square((places[:, None] - X[None]) / h).sum(axis=2)).sum(axis=1)
    places, cells = places[density >= 1.0], cells[density >= 1.0]
    assert len(places) > 30
    np.testing.assert_array_equal(leads_to(X, h, places, modes), mode_of[found.certified[cells]])


def test_blobs_apart_are_decided_by_the_flood_alone():
    X, h = mixture(2000, 2)
    field, _, found = flooded(X.astype(float), h, 1 / 8)
    assert len(found.traps.radii) == 5
    assert (found.certified[field.nodes.nearest(X.astype(float))] >= 0).mean() > 0.85


@pytest.mark.parametrize("d", [1, 2, 3])
def test_two_equal_modes_and_the_saddle_between_them(d):
    away = np.zeros((1, d))
    away[0, 0] = 1.7
    cloud = np.random.default_rng(d).normal(size=(8, d)) * 0.2
    X = np.concatenate([cloud - away, away - cloud])  # f(x) = f(-x), so the saddle is at 0
    field, _, found = flooded(X, 1.0, 1 / 8)
    assert len(found.traps.radii) == 2
    assert (found.traps.radii > 0.1).all()
    np.testing.assert_allclose(found.traps.centres.sum(axis=0), 0.0, atol=1e-3)
    assert found.certified[field.nodes.nearest(np.zeros((1, d)))[0]] < 0
    at = found.certified[field.nodes.nearest(X)]
    assert set(at[:8]) == {at[0]}
    assert set(at[8:]) == {1 - at[0]}


@pytest.mark.parametrize("d", [1, 2])
def test_a_flat_top_has_no_trap_and_claims_nothing(d):
    """Two points 2h apart: log f is flat to third order between them."""
    X = np.zeros((2, d))
    X[:, 0] = [-1.0, 1.0]
    _, _, found = flooded(X, 1.0, 1 / 16)
    assert not (found.traps.radii > 0).any()
    assert found.n_spoiled > 0
    assert (found.certified < 0).all()


@pytest.mark.parametrize("d", [1, 2, 3])
@pytest.mark.parametrize("n", [1, 40])
def test_a_single_place_is_one_mode_with_a_trap(d, n):
    X = np.full((n, d), 5.5)
    field, _, found = flooded(X, 2.0, 1 / 8)
    np.testing.assert_allclose(found.traps.centres, X[:1], atol=1e-3)
    assert found.traps.radii[0] > 0.24  # as far as the table has bounds
    assert found.n_spoiled == 0
    assert (found.certified[field.nodes.nearest(X)] == 0).all()


def test_a_lone_point_beside_very_many_has_its_trap():
    """Its density is below 1e-8 of the largest, and yet no noise."""
    X, w = np.array([[0.0, 0.0], [9.03, 2.01]]), np.array([2e9, 1.0])
    sketch = ms.DensitySketch(1.0, spacing=1 / 8, degree=3, origin=np.zeros(2)).add(X, w)
    field = TableField(sketch.nodes(), 1.0, sketch.kernel_bandwidth(), reach=reach_of_tail(2e9, 1.0, 1e-6))
    found = flood(field, cell_bounds(field, 1.0), 1.0)
    order = np.argsort(found.traps.centres[:, 0])
    np.testing.assert_allclose(found.traps.centres[order], X, atol=1e-7)
    assert (found.traps.radii > 0.1).all()
    np.testing.assert_array_equal(found.certified[field.nodes.nearest(X)], order)


def test_a_ring_of_equal_weights_around_a_heavy_middle():
    """Degenerate directions everywhere but in the middle: what is claimed is right."""
    angle = np.arange(60) * (2 * np.pi / 60)
    X = np.concatenate([3.1 * np.c_[np.cos(angle), np.sin(angle)], np.zeros((1, 2))])
    w = np.append(np.ones(60), 20.0)
    field, _, found = flooded(X, 1.0, 1 / 8, w)
    trap = np.flatnonzero(np.linalg.norm(found.traps.centres, axis=1) < 1e-2)
    assert len(trap) == 1
    assert found.traps.radii[trap[0]] > 0.3
    claimed = found.certified[field.nodes.nearest(X)]
    assert claimed[-1] == trap[0]
    index, modes = exact_ends(X, X[claimed == trap[0]], 1.0, w)
    np.testing.assert_allclose(modes[index], 0.0, atol=1e-3)


def test_the_order_and_the_origin_of_the_grid_do_not_matter():
    X, h = mixture(300, 2)
    X = X.astype(float)
    for seed in range(3):
        rng = np.random.default_rng(seed)
        field = tabulated(X[rng.permutation(len(X))], h, 1 / 8, origin=rng.normal(size=2))
        found = flood(field, cell_bounds(field, 1.0), 1.0)
        modes = case("mixture, 2-D")[5]
        assert (in_trap(found.traps, modes).sum(axis=1) == 1).all()


# ---- parts --------------------------------------------------------------------------------------------------------


def naive_sweep(order, high, ids, shape):
    """By falling level: flood-fill the cells so far, look which modes the part of each cell has."""
    owner, meets = np.full(high.size, NONE), {int(k): -np.inf for k in ids[ids >= 0]}
    own = ids.copy()
    there = np.zeros(high.size, bool)
    around = neighbours(shape)
    for cell in order:
        there[cell] = True
        part, stack = {int(cell)}, [int(cell)]
        while stack:
            for other in stack.pop() + around:
                if there[other] and int(other) not in part:
                    part.add(int(other))
                    stack.append(int(other))
        names = {int(own[c]) for c in part} - {NONE}
        owner[cell] = NONE if not names else names.pop() if len(names) == 1 else MIXED
        names = {int(own[c]) for c in part} - {NONE}
        if len(names) > 1:
            for name in names - {MIXED}:
                meets[name] = max(meets[name], high[cell])
    return owner, meets


@pytest.mark.parametrize("shape", [(14,), (9, 8), (6, 6, 6)])
@pytest.mark.parametrize("seed", range(4))
def test_the_sweep_is_that_of_a_plain_flood_fill(shape, seed):
    rng = np.random.default_rng(seed)
    n = int(np.prod(shape))
    high = rng.permutation(n) + 1.0
    inner = np.zeros(shape, bool)
    inner[(slice(1, -1),) * len(shape)] = True
    cells = np.flatnonzero(inner)
    ids = np.full(n, NONE, np.int64)
    some = rng.choice(cells, 5, replace=False)
    ids[some] = [0, 1, 2, 1, MIXED][:5]
    order = cells[np.argsort(-high[cells])]
    owner, meets = naive_sweep(order, high, ids, shape)
    got_owner, got_meets = np.full(n, NONE, np.int64), np.full(3, -np.inf)
    sweep(order, high, ids.copy(), neighbours(shape), np.full(n, -1, np.int64), got_owner, got_meets)
    np.testing.assert_array_equal(got_owner, owner)
    np.testing.assert_array_equal(got_meets, [meets[k] for k in range(3)])


def test_cells_around_and_traps_that_hold():
    X, h = mixture(300, 2)
    field = tabulated(X.astype(float), h, 1 / 8)
    centre, radius = field.nodes.corner + 3.3, 0.4
    flat, far = next(iter(cells_around(field, centre[None], np.array([radius]))))
    corner = np.abs(field.nodes.positions(flat) - centre) + 0.5 * field.nodes.delta
    np.testing.assert_allclose(far, np.linalg.norm(corner, axis=1))
    rng = np.random.default_rng(0)
    inside = centre + rng.uniform(-1, 1, (500, 2)) * radius / 2**0.5
    assert np.isin(field.nodes.nearest(inside), flat).all()

    traps = Traps(np.array([[0.0, 0.0], [5.0, 0.0]]), np.array([1.0, 0.0]), np.zeros(2))
    places = np.array([[0.5, 0.0], [0.95, 0.0], [5.0, 0.0], [2.0, 0.0]])
    np.testing.assert_array_equal(holding_trap(traps, places, np.full(4, 0.1)), [0, -1, -1, -1])
    np.testing.assert_array_equal(traps.nearest(places, 1.2), [0, 0, 1, -1])
    more = traps.with_places(np.array([[2.0, 0.0]]))
    assert np.isinf(more.errors[2])
    assert more.radii[2] == 0.0
    np.testing.assert_array_equal(more.reordered(np.array([2, 0])).centres, [[2.0, 0.0], [0.0, 0.0]])
    assert (Traps(np.empty((0, 2)), np.empty(0), np.empty(0)).nearest(places, 1.0) == -1).all()


def test_relabelling_keeps_traps_cells_and_what_is_beside_them_together():
    X, h = mixture(300, 2)
    field, bounds, found = flooded(X.astype(float), h, 1 / 8)
    tubes = Tubes.of(field, bounds, found)
    starts = (X.astype(float) - field.nodes.corner) / field.nodes.delta
    before = tubes.run(starts, 1e-6, 2000, None)
    centres = tubes.traps.centres.copy()
    names = np.array([3, 0, 4, 1, 2], np.int32)
    tubes.relabel(names)
    after = tubes.run(starts, 1e-6, 2000, None)
    np.testing.assert_array_equal(after, np.where(before >= 0, names[before], -1))
    np.testing.assert_array_equal(tubes.traps.centres[names], centres)


def test_cells_are_swept_by_falling_level_and_equal_ones_in_their_order():
    rng = np.random.default_rng(0)
    high = np.concatenate([10.0 ** rng.uniform(-300, 300, 500), np.full(20, 3.0), np.zeros(5)])
    cells = np.flatnonzero(rng.random(len(high)) < 0.8)
    order, level = by_falling_level(high, cells)
    np.testing.assert_array_equal(order, cells[np.argsort(-high[cells], kind="stable")])
    assert (np.diff(level[order]) <= 0.0).all()
    assert (level >= high).all()
    np.testing.assert_allclose(level, high, rtol=1e-8, atol=1e-300)


def excludes_modes(name: str, *, bare: bool = False) -> tuple[bool, bool]:
    """Whether balls that hold an exact mode are said to hold none, and whether any ball is said to hold none.

    With ``bare`` the table is taken at its word: no bound of what its step and Jacobian may be wrong by.
    """
    X, h, field, _, _, modes = case(name)
    bounds = cell_bounds(field, 1.0)
    if bare:
        bounds.near[:, 2:5] = 0.0
    rng, d, delta = np.random.default_rng(0), X.shape[1], field.nodes.delta
    away = rng.normal(size=(400, d))
    away *= rng.uniform(0.0, 0.9, (400, 1)) / np.linalg.norm(away, axis=1, keepdims=True)
    places = modes[rng.integers(0, len(modes), 400)] + away * delta
    steps, distance = table_steps(field, places) / h, np.linalg.norm(away, axis=1)
    inside = [moves_along_an_axis(field, bounds, places, steps, r).any() for r in (1.001 * distance, 1.5 * distance)]
    return any(inside), bool(moves_along_an_axis(field, bounds, places, steps, 0.1 * distance).any())


@pytest.mark.parametrize("name", [name for name in DATA if name != "lattice"])
def test_no_ball_that_holds_a_mode_is_said_to_hold_no_place_of_rest(name):
    assert excludes_modes(name) == (False, True)


def test_bounds_left_out_exclude_modes():
    assert excludes_modes("noise, 2-D", bare=True)[0]
