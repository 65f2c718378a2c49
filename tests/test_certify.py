"""Tubes and certificates: exact paths stay in their tubes, certified labels are those of exact mean shift."""

import pickle
from functools import cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import map_coordinates

import modeseek as ms
from modeseek import pipeline, proven
from modeseek.certificate import (
    BOUNDARY,
    CLIMBED,
    INTERIOR,
    UNDECIDED,
    certify,
    everything_climbed,
    nothing_decided,
)
from modeseek.certify import Tubes, recount
from modeseek.fields.bounds import cell_bounds
from modeseek.flood import Flood, Traps
from modeseek.label import UNKNOWN, Counts
from modeseek.proven import by_proof, seconds_of_proof
from modeseek.result import Clustering
from tests.examples import examples
from tests.naive import ROUTES, exact_ends, exact_sums, lattice, mixture, moons, problem, tabulated, uniform


@pytest.fixture
def always_proven(monkeypatch):
    """Let certified fits take the proven route however few the points are."""
    monkeypatch.setattr(pipeline, "DENSE_POINTS", 0)
    monkeypatch.setattr(pipeline, "seconds_of_proof", lambda problem: 0.0)


def spiral(n: int) -> tuple[np.ndarray, float]:
    t = np.random.default_rng(0).uniform(1.5, 9.0, n)
    return np.c_[t * np.cos(t), t * np.sin(t)] + np.random.default_rng(1).normal(size=(n, 2)) * 0.2, 0.7


def line(n: int) -> tuple[np.ndarray, float]:
    """Points on a sloping line: no width at all across it."""
    t = np.random.default_rng(0).uniform(0, 20, n)
    return np.c_[t, 0.5 * t], 1.0


def cube(n: int, side: float, seed: int = 0) -> tuple[np.ndarray, float]:
    return np.random.default_rng(seed).uniform(size=(n, 3)) * side, 1.0


# ---- tubes --------------------------------------------------------------------------------------------------------


@cache
def tubes_without_labels(d: int) -> tuple[np.ndarray, float, Tubes]:
    """Tubes on a table where nothing is proven: they run until they are lost."""
    X, h = {1: uniform(200, 1), 2: uniform(300, 2), 3: cube(60, 3.5)}[d]
    field = tabulated(X, h, 1 / 10)
    bounds = cell_bounds(field, 1.0)
    nothing = np.full(bounds.high.size, UNKNOWN, np.int32)
    return X, h, Tubes.of(field, bounds, Flood(Traps(np.empty((0, d)), np.empty(0), np.empty(0)), nothing, 0))


def naive_tube(tubes: Tubes, start: np.ndarray, radius: float, near: np.ndarray, factor: float, most: int = 300):
    """Centre and radius (in bandwidths) of the ball after each step, by the recursion, until it is lost."""
    field = tubes.field
    nodes, h = field.nodes, field.bandwidth
    shape, side = tuple(field.shape), nodes.delta / h
    channels = field.table.reshape(*shape, -1)
    eigenvalue = near[:, 0].reshape(shape)
    u, r = (start - nodes.corner) / nodes.delta, radius
    path = [(start, r * side)]
    while len(path) <= most and r <= 1.0:
        k = np.ravel_multi_index(tuple(np.floor(u + 0.5).astype(int)), shape)
        bend = map_coordinates(eigenvalue, u[:, None], order=1)[0]
        r = max(1.0 + bend + 3.0 * near[k, 2] + near[k, 3] * r, 0.0) * r + near[k, 4] / side + 1e-10
        sums = [map_coordinates(channels[..., c], u[:, None], order=3, prefilter=False)[0] for c in range(len(u) + 1)]
        step = factor * np.array(sums[1:]) / sums[0]
        u = u + step
        path.append((nodes.corner + u * nodes.delta, r * side))
        if not np.linalg.norm(step) > near[k, 4] / side:
            break
    return path


def worst(X, h, tubes, starts, radius=0.0, scale=1.0, factor=None) -> float:
    """How far exact paths from around the starts get from the middle of their tubes, over the radius, at most."""
    near = tubes.bounds.near.copy()
    near[:, 2:5] *= scale
    rng = np.random.default_rng(0)
    found = 0.0
    for start in starts:
        path = naive_tube(tubes, start, radius, near, tubes.field.factor if factor is None else factor)
        way = rng.normal(size=(4, X.shape[1]))
        x = start + radius * 0.999 * tubes.field.nodes.delta * way / np.linalg.norm(way, axis=1, keepdims=True)
        for centre, r in path[1:]:
            x = x + h * exact_sums(X, np.ones(len(X)), x, h)[1]
            if r * h < tubes.field.nodes.delta:
                found = max(found, float(np.linalg.norm(x - centre, axis=1).max() / (r * h)))
    return found


@pytest.mark.parametrize("d", [1, 2, 3])
@pytest.mark.parametrize("radius", [0.0, 0.05])
def test_exact_paths_stay_in_their_tubes(d, radius):
    X, h, tubes = tubes_without_labels(d)
    assert worst(X, h, tubes, X[:25].astype(float), radius) <= 1.0


@pytest.mark.parametrize("d", [1, 2, 3])
def test_control_bounds_a_hundred_times_too_small_and_plain_steps_are_caught(d):
    X, h, tubes = tubes_without_labels(d)
    starts = X[:12].astype(float)
    assert worst(X, h, tubes, starts, scale=0.01) > 1.0
    assert worst(X, h, tubes, starts, factor=1.0) > 1.0


@pytest.mark.parametrize("d", [1, 2, 3])
def test_compiled_tubes_are_those_of_the_recursion(d):
    """They take as many steps until they are lost, and arrive where the last ball first lies in a trap."""
    X, h, tubes = tubes_without_labels(d)
    starts = X[:20].astype(float)
    near, nodes = tubes.bounds.near, tubes.field.nodes
    for start in starts:
        path = naive_tube(tubes, start, 0.02, near, tubes.field.factor)
        tubes.n_iter = 0
        assert tubes.run((start[None] - nodes.corner) / nodes.delta, 0.02, 300, None)[0] == UNKNOWN
        assert tubes.n_iter == min(len(path) - 1, 300)
    # a trap around the place where a path is after ten steps
    path = naive_tube(tubes, starts[0], 0.02, near, tubes.field.factor)
    centre, r = path[min(10, len(path) - 2)]
    beside = near.copy()
    beside[:, 5] = 0.0
    caught = Tubes.of(
        tubes.field,
        type(tubes.bounds)(**{**vars(tubes.bounds), "near": beside}),
        Flood(Traps(centre[None], np.array([1.0001 * r * h]), np.zeros(1)), tubes.table.cells.copy(), 0),
    )
    assert caught.run((starts[:1] - nodes.corner) / nodes.delta, 0.02, 300, None)[0] == 0


def test_a_tube_arrives_only_where_everything_it_touches_has_one_label():
    X, _, tubes = tubes_without_labels(2)
    nodes = tubes.field.nodes
    cells = tubes.table.cells.copy()
    place = X[:1].astype(float)
    cell = nodes.nearest(place)[0]
    cells[cell] = 4
    labelled = Tubes.of(tubes.field, tubes.bounds, Flood(tubes.traps, cells, 0))
    u = np.stack(np.unravel_index([cell], nodes.box.shape), axis=-1).astype(float)
    assert labelled.run(u, 0.49, 1, None)[0] == 4
    assert labelled.run(u, 0.51, 0, None)[0] == UNKNOWN
    split = labelled.table.split
    labelled.table.cells[cell] = -2
    blocks = np.full((split, split), UNKNOWN, np.int32)
    blocks[: split // 2, : split // 2] = 3
    labelled.table.blocks = blocks.reshape(-1)
    assert labelled.run(u - 0.25, 0.24, 0, None)[0] == UNKNOWN  # no steps, no label
    assert labelled.run(u - 0.25, 0.24, 1, None)[0] == 3
    assert labelled.run(u - 0.25, 0.26, 1, None)[0] == UNKNOWN


# ---- certified labels are exact labels ----------------------------------------------------------------------------


def disagreements(X, h, found: Clustering, w=None, most: int = 150) -> tuple[int, int]:
    """How many certified points, of so many at most, exact mean shift takes elsewhere; and how many were checked.

    Those that are known least come first.
    """
    status = found.certificate.status()
    rows = np.flatnonzero(status != UNDECIDED)
    rows = np.random.default_rng(0).permutation(rows)
    rows = rows[np.argsort(-status[rows], kind="stable")][:most]
    index, modes = exact_ends(X, X[rows], h, w)
    rows, index = rows[index >= 0], index[index >= 0]
    distance = np.linalg.norm(modes[:, None] - found.modes[None], axis=2)
    nearest = np.where(distance.min(axis=1) < 1e-2 * h, distance.argmin(axis=1), -1)
    return int((nearest[index] != found.labels[rows]).sum()), len(rows)


SETS = {
    "mixture, 1-D": lambda: mixture(500, 1),
    "noise, 1-D": lambda: uniform(300, 1),
    "finer noise, 1-D": lambda: (uniform(300, 1, 1)[0], 0.15),
    "mixture, 2-D": lambda: mixture(600, 2),
    "narrow mixture, 2-D": lambda: (mixture(300, 2, 1)[0], 0.35),
    "wide mixture, 2-D": lambda: (mixture(600, 2, 2)[0], 2.6),
    "noise, 2-D": lambda: uniform(400, 2),
    "noise, 2-D, again": lambda: uniform(120, 2, 5),
    "moons": lambda: moons(400),
    "spiral": lambda: spiral(400),
    "line": lambda: line(300),
    "lattice": lambda: lattice(600),
    "8-bit": lambda: (np.random.default_rng(0).integers(0, 12, (500, 2)).astype(np.uint8).astype(float), 0.9),
    "few": lambda: (np.random.default_rng(5).uniform(size=(7, 2)) * 6, 1.0),
    "duplicated": lambda: (np.repeat(np.random.default_rng(6).uniform(size=(9, 2)) * 8, 20, axis=0), 1.0),
    "cube": lambda: cube(80, 3.6),
    "cube, heavier": lambda: (np.repeat(cube(20, 4.0, 1)[0], 5, axis=0), 1.0),
}


@pytest.mark.parametrize("name", SETS)
def test_certified_labels_are_those_of_exact_mean_shift(name):
    X, h = SETS[name]()
    found = by_proof(problem(X, h))
    wrong, checked = disagreements(X, h, found)
    assert wrong == 0
    assert checked >= 0.9 * min(len(X), 150)
    assert found.certificate.undecided <= 0.02 * len(X)


@examples(12)
@given(
    d=st.integers(1, 2),
    n=st.integers(2, 60),
    seed=st.integers(0, 2**31),
    h=st.floats(0.6, 2.0),
    snap=st.booleans(),
    weighted=st.booleans(),
)
def test_certified_labels_are_exact_on_whatever_comes(d, n, seed, h, snap, weighted):
    rng = np.random.default_rng(seed)
    X = rng.uniform(size=(n, d)) * 8
    X = np.round(X) if snap else X
    w = 10.0 ** rng.uniform(-3, 0, n) if weighted else None
    found = by_proof(problem(X, h, w))
    assert disagreements(X, h, found, w, 60)[0] == 0


@pytest.mark.parametrize("name", [r.name for r in ROUTES if r.name.startswith("proven")])
def test_routes_named_proven_are(name):
    route = next(r for r in ROUTES if r.name == name)
    X, h = route.data()
    certificate = route.model(h).fit(X).certificate_
    assert certificate.spacing is not None
    assert certificate.interior + certificate.boundary > 0.9 * len(X)
    assert certificate.certified >= 0.999


# ---- laws ---------------------------------------------------------------------------------------------------------


def test_weights_are_replication(always_proven):
    X, h = uniform(300, 2)
    copies = np.random.default_rng(0).integers(1, 4, 300)
    weighted = ms.MeanShift(h).fit(X, sample_weight=copies)
    repeated = ms.MeanShift(h).fit(np.repeat(X, copies, axis=0))
    np.testing.assert_array_equal(np.repeat(weighted.labels_, copies), repeated.labels_)
    np.testing.assert_allclose(weighted.cluster_centers_, repeated.cluster_centers_, atol=1e-6 * h)
    np.testing.assert_allclose(weighted.cluster_weights_, repeated.cluster_weights_)


@pytest.mark.parametrize("name", ["noise, 1-D", "noise, 2-D", "moons", "cube"])
def test_order_and_place_change_nothing(name, always_proven):
    X, h = SETS[name]()
    model = ms.MeanShift(h).fit(X)
    order = np.random.default_rng(0).permutation(len(X))
    shuffled = ms.MeanShift(h).fit(X[order])
    np.testing.assert_array_equal(shuffled.labels_, model.labels_[order])
    X = np.round(X.astype(float) * 2**16) / 2**16  # so that no bit is lost in the distance
    near, far = ms.MeanShift(h).fit(X), ms.MeanShift(h).fit(X + 1e9)
    np.testing.assert_array_equal(far.labels_, near.labels_)
    np.testing.assert_allclose(far.cluster_centers_ - 1e9, near.cluster_centers_, atol=1e-4 * h)
    assert far.certificate_.certified >= 0.99


@pytest.mark.parametrize("name", ["noise, 1-D", "noise, 2-D", "lattice", "cube"])
def test_any_number_of_threads_gives_the_same_bits(name):
    X, h = SETS[name]()
    one = by_proof(problem(X, h, n_jobs=1))
    for n_jobs in (2, 7):
        other = by_proof(problem(X, h, n_jobs=n_jobs))
        np.testing.assert_array_equal(one.labels, other.labels)
        np.testing.assert_array_equal(one.modes, other.modes)
        np.testing.assert_array_equal(one.certificate.status(), other.certificate.status())
        np.testing.assert_array_equal(one.certificate.trap_radii, other.certificate.trap_radii)


@pytest.mark.parametrize("name", SETS)
def test_predict_gives_the_labels_back_and_survives_pickling(name, always_proven):
    X, h = SETS[name]()
    model = ms.MeanShift(h).fit(X)
    np.testing.assert_array_equal(model.predict(X), model.labels_)
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.predict(X[::-1]), model.labels_[::-1])
    assert str(again.certificate_) == str(model.certificate_)
    np.testing.assert_array_equal(again.certificate_.status(), model.certificate_.status())


def test_new_points_get_the_mode_that_exact_mean_shift_takes_them_to(always_proven):
    for X, h in (uniform(400, 2), moons(300), uniform(200, 1)):
        model = ms.MeanShift(h).fit(X)
        Q = np.random.default_rng(0).uniform(X.min(axis=0) - h, X.max(axis=0) + h, (200, X.shape[1]))
        index, modes = exact_ends(X, Q, h)
        distance = np.linalg.norm(modes[:, None] - model.cluster_centers_[None], axis=2)
        same = (distance.argmin(axis=1)[index] == model.predict(Q))[index >= 0]
        assert same.mean() > 0.99


def test_points_of_no_weight_are_labelled_as_new_points_are(always_proven):
    X, h = uniform(300, 2)
    w = np.ones(len(X))
    w[::3] = 0.0
    model = ms.MeanShift(h).fit(X, sample_weight=w)
    index, modes = exact_ends(X[w > 0], X, h)
    distance = np.linalg.norm(modes[:, None] - model.cluster_centers_[None], axis=2)
    assert (distance.argmin(axis=1)[index] == model.labels_).all()


# ---- what is said of it -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["noise, 1-D", "noise, 2-D", "moons", "line", "cube"])
def test_counts_add_up_and_the_status_is_what_is_counted(name):
    X, h = SETS[name]()
    found = by_proof(problem(X, h))
    c = found.certificate
    status = c.status()
    assert len(status) == c.n == len(X)
    assert [c.interior, c.boundary, c.climbed, c.undecided] == np.bincount(status, minlength=4).tolist()
    assert c.certified == pytest.approx(1.0 - c.undecided / len(X))
    assert 0.0 < c.largest_error < 0.25
    np.testing.assert_array_equal(c.modes, found.modes)
    assert c.trap_radii.shape == (len(found.modes),)
    assert (np.bincount(found.labels, minlength=len(found.modes)) == found.weights).all()
    for number, word in ((c.interior, "interior"), (c.boundary, "boundary"), (c.undecided, "undecided")):
        assert f"{number:,} {word}" in str(c)


def test_every_trap_of_a_certificate_holds_only_points_of_its_mode():
    for name in ("noise, 2-D", "moons", "mixture, 1-D"):
        X, h = SETS[name]()
        found = by_proof(problem(X, h))
        distance = np.linalg.norm(X[:, None] - found.modes[None], axis=2)
        point, trap = np.nonzero(distance < found.certificate.trap_radii)
        assert len(point) > 0
        np.testing.assert_array_equal(found.labels[point], trap)


def test_where_exact_climbs_leave_too_many_open_a_finer_table_is_taken_after_all(monkeypatch):
    X, h = uniform(600, 2)
    monkeypatch.setattr(proven, "tables", lambda problem: [1 / 7, 1 / 16])
    monkeypatch.setattr(proven, "MOST_LOST", 1.0)
    monkeypatch.setattr(proven, "_finer_pays", lambda *about: False)
    assert by_proof(problem(X, h)).certificate.spacing == 1 / 7  # climbs settle them
    monkeypatch.setattr(proven, "_may_climb", lambda problem, n: False)
    monkeypatch.setattr(proven, "STEP_PAIRS", 0.0)
    assert by_proof(problem(X, h)).certificate.spacing == 1 / 16
    monkeypatch.setattr(proven, "MOST_UNDECIDED", 1.0)
    assert by_proof(problem(X, h)).certificate.spacing == 1 / 7


def test_what_the_table_cannot_prove_climbs_exactly_and_what_may_not_climb_is_undecided(monkeypatch):
    monkeypatch.setattr(proven, "tables", lambda problem: [1 / 7])  # so coarse that some stay open
    X, h = uniform(600, 2)
    climbed = by_proof(problem(X, h))
    assert climbed.certificate.climbed > 10
    assert climbed.certificate.spacing == 1 / 7
    assert climbed.certificate.undecided == 0
    assert disagreements(X, h, climbed) == (0, 150)
    monkeypatch.setattr(proven, "STEP_PAIRS", 0)
    monkeypatch.setattr(proven, "EXACT_POINTS", 0)
    left = by_proof(problem(X, h))
    assert left.certificate.climbed == 0
    # what climbed is undecided now, with the label of its tabulated path
    np.testing.assert_array_equal(left.certificate.status() == UNDECIDED, climbed.certificate.status() >= CLIMBED)
    assert (left.labels >= 0).all()
    assert left.certificate.certified < climbed.certificate.certified
    same = by_proof(problem(X, h, n_jobs=3))
    np.testing.assert_array_equal(same.labels, left.labels)
    out = left.label(X, tol=1e-3, max_iter=300, n_jobs=None)
    np.testing.assert_array_equal(out, left.labels)


def test_a_step_without_sorting_settles_the_same_points_as_climbs_on_sorted_ones(monkeypatch):
    monkeypatch.setattr(proven, "tables", lambda problem: [1 / 7])
    X, h = mixture(4000, 2)
    stepped = by_proof(problem(X, h))
    assert stepped.certificate.climbed > 0
    monkeypatch.setattr(proven, "STEP_PAIRS", 0)
    climbed = by_proof(problem(X, h))
    np.testing.assert_array_equal(stepped.labels, climbed.labels)
    np.testing.assert_array_equal(stepped.certificate.status(), climbed.certificate.status())


def test_a_finer_table_is_tried_where_the_coarsest_in_the_plane_is_the_only_one_affordable(monkeypatch):
    X, h = mixture(4000, 2)
    monkeypatch.setattr(proven, "MAX_NODES", proven.n_nodes(problem(X, h), 1 / 9))
    assert proven.tables(problem(X, h)) == [1 / 7, 1 / 9]
    monkeypatch.setattr(proven, "MAX_NODES", proven.n_nodes(problem(X, h), 1 / 9) - 1)
    assert proven.tables(problem(X, h)) == [1 / 7]


@pytest.mark.parametrize("d", [1, 2])
def test_a_point_on_a_saddle_is_reported_undecided(d):
    X = np.zeros((9, d))
    X[:, 0] = [-3.5, -3.2, -3.0, -2.8, 0.0, 2.8, 3.0, 3.2, 3.5]
    X[4] = 0.0
    w = np.ones(9)
    w[4] = 0.01
    found = by_proof(problem(X, 1.8, w))
    assert len(found.modes) in (2, 3)
    assert found.certificate.status()[4] == UNDECIDED
    assert found.certificate.undecided == 1
    assert set(found.labels[:4]) != set(found.labels[5:])
    again = by_proof(problem(X, 1.8, w, n_jobs=3))
    np.testing.assert_array_equal(again.labels, found.labels)


@pytest.mark.parametrize("d", [1, 2])
def test_a_flat_top_is_one_cluster_that_nothing_is_proven_of(d):
    X = np.zeros((2, d))
    X[:, 0] = [-1.0, 1.0]
    found = by_proof(problem(X, 1.0))
    assert found.certificate.interior == 0
    assert found.certificate.undecided == 2
    assert (found.labels >= 0).all()


@pytest.mark.parametrize("d", [1, 2, 3])
@pytest.mark.parametrize("n", [1, 2, 500])
def test_equal_points_are_one_cluster_and_certified(n, d):
    found = by_proof(problem(np.full((n, d), 3.25), 0.7))
    np.testing.assert_array_equal(found.labels, np.zeros(n))
    np.testing.assert_allclose(found.modes, [[3.25] * d])
    assert found.certificate.interior == n


def test_certificates_of_other_routes():
    modes = np.zeros((2, 3))
    climbed, nothing = everything_climbed(modes, 5), nothing_decided(modes, 5)
    assert (climbed.status() == CLIMBED).all()
    assert climbed.certified == 1.0
    assert climbed.spacing is None
    assert (nothing.status() == UNDECIDED).all()
    assert nothing.certified == 0.0
    assert nothing.largest_error == np.inf
    some = certify(modes, np.ones(2), 0.1, 1e-3, 6, np.array([1, 4]), np.array([BOUNDARY, UNDECIDED], np.uint8))
    np.testing.assert_array_equal(some.status(), [INTERIOR, BOUNDARY, INTERIOR, INTERIOR, UNDECIDED, INTERIOR])
    assert (some.interior, some.boundary, some.climbed, some.undecided) == (4, 1, 0, 1)
    X, h = mixture(300, 5)
    certificate = ms.MeanShift(h).fit(X).certificate_
    assert (certificate.climbed, certificate.n) == (300, 300)
    fast = ms.MeanShift(0.9, fidelity="fast").fit(mixture(6000, 2)[0])
    assert fast.certificate_ is None


def test_recount_adds_rows_and_grows():
    total = recount(Counts(3, np.array([4, 1])), np.array([0, 2, UNKNOWN], np.int32))
    assert total.unknown == 1
    np.testing.assert_array_equal(total.members, [5, 1, 1])


def test_proof_is_priced_and_refused_where_no_table_fits():
    X, h = mixture(1000, 2)
    assert 0.0 < seconds_of_proof(problem(X, h)) < seconds_of_proof(problem(X, h / 4)) < np.inf
    far = np.concatenate([X, [[1e9, 0.0]]])
    assert seconds_of_proof(problem(far, h)) == np.inf


def test_points_that_integer_masses_lose_are_not_left_to_a_table(always_proven, monkeypatch):
    """Light points in the tail of one 1e10 times as heavy: they have a mode of their own, which no sketch shows."""
    monkeypatch.setattr(pipeline, "seconds_of_proof", seconds_of_proof)
    X = np.concatenate([np.zeros((1, 1)), np.full((40, 1), 8.0), np.linspace(6.0, 7.9, 20)[:, None]])
    w = np.append(1.0, np.full(60, 1e-10))
    assert seconds_of_proof(problem(X, 1.0, w)) == np.inf
    assert seconds_of_proof(problem(X, 1.0, np.maximum(w, 1e-7))) < np.inf
    model = ms.MeanShift(1.0).fit(X, sample_weight=w)
    index, modes = exact_ends(X, X, 1.0, w)
    distance = np.abs(modes - model.cluster_centers_.T)
    assert distance.min(axis=1).max() < 1e-3
    np.testing.assert_array_equal(distance.argmin(axis=1)[index], model.labels_)
