"""Blurring mean shift: equal to the textbook's rounds, however the sums are made; clusters, predictions, bad input."""

import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.estimator_checks import parametrize_with_checks

import modeseek as ms
from modeseek.cells import distinct_rows
from modeseek.fields import mesh
from modeseek.fields.dense import DenseField
from modeseek.fields.mesh import MeshField
from modeseek.fields.patches import PatchField, patches
from modeseek.fields.tiles import TILE, TileField, compact_order, sweep_tiles
from tests.contract import WithoutStreams, expected_failures
from tests.examples import examples
from tests.naive import lattice, mixture, moons, uniform, with_outliers

EXACT = 1e-6  # bandwidths: what is promised is 1e-5
LAWS = examples(15)


def simultaneous(X, h, rounds=5):
    return ms.textbook.meanshift(np.asarray(X, float), rounds=rounds, bandwidth=h, update="simultaneous")


def in_batches(X, h, bs, rounds=5):
    return ms.textbook.meanshift(np.asarray(X, float), bs, rounds=rounds, bandwidth=h)


def fit(X, h, **parameters):
    return ms.MeanShift(h, blurring=True, **parameters).fit(X)


def fields(model):
    """Names of the fields that moved the points, in order and once each."""
    return list(dict.fromkeys(type(f).__name__ for f in model._clustering.blurred.rounds))


# ------------------------------------------------------------------------------------------------- the fields


FIELDS = [DenseField, TileField, MeshField]


@pytest.mark.parametrize("make", FIELDS)
@pytest.mark.parametrize("d", [1, 2, 3])
def test_a_step_of_every_field_is_the_textbooks(make, d):
    X, h = mixture(900, d)
    X = X.astype(float)
    expected = simultaneous(X, h, 1)
    np.testing.assert_allclose(make(X, np.ones(len(X)), h).advance(), expected, atol=1e-7 * h)
    others = uniform(300, d)[0] - 5.0  # some of them far from every point
    queries = np.concatenate([others, [[1e3] * d]])
    climbed = queries + np.concatenate([_step(X, q[None], h) for q in queries])
    got = make(X, np.ones(len(X)), h).carry(queries)
    np.testing.assert_allclose(got, climbed, atol=EXACT * h)


def _step(X, q, h):
    exponent = -((X - q) ** 2).sum(axis=1) / (2 * h * h)
    w = np.exp(exponent - exponent.max())
    return (w @ (X - q) / w.sum())[None]


@pytest.mark.parametrize("d", [1, 2, 3])
def test_the_mesh_is_right_where_a_heavy_tight_cluster_moves_single_points(d):
    """The hardest case: no averaging over offsets, and a relative error counts for many bandwidths."""
    rng = np.random.default_rng(d)
    for distance in (2.0, 4.0, 5.0, 5.5, 6.0):
        heavy = rng.uniform(-1, 1, (1, d)) + 1e-3 * rng.normal(size=(50, d))
        direction = rng.normal(size=(40, d))
        single = heavy[0] + distance * direction / np.linalg.norm(direction, axis=1)[:, None]
        points, weights = np.concatenate([heavy, single]), np.repeat([2e4, 1.0], [50, 40])
        expected = np.concatenate([_weighted_step(points, weights, q) for q in points])
        np.testing.assert_allclose(MeshField(points, weights, 1.0).advance(), expected, atol=EXACT)


def _weighted_step(points, weights, q):
    w = weights * np.exp(-((points - q) ** 2).sum(axis=1) / 2)
    return (q + w @ (points - q) / w.sum())[None]


def test_a_mesh_too_coarse_would_be_caught(monkeypatch):
    """A negative control for the test above: at three times the spacing it fails."""
    fine = mesh.spacing_for
    monkeypatch.setattr(mesh, "spacing_for", lambda weights: 3.0 * fine(weights))
    with pytest.raises(AssertionError):
        test_the_mesh_is_right_where_a_heavy_tight_cluster_moves_single_points(2)


def test_meshes_of_patches_are_the_sums_over_everything():
    X, h = with_outliers(3000)
    crowded = patches(X, 8 * h, 100)
    assert [len(rows) for rows in crowded] == [3000]
    field = PatchField(X, np.ones(len(X)), h, crowded)
    np.testing.assert_allclose(field.advance(), simultaneous(X, h, 1), atol=EXACT * h, rtol=1e-15)
    between = np.array([[10.0, 10.0], [3e5, -2e5], [6.0, 1.0]])
    expected = between + np.concatenate([_step(X, q[None], h) for q in between])
    np.testing.assert_allclose(field.carry(between), expected, atol=EXACT * h, rtol=1e-15)


ORDERS = {
    "random": lambda rng: rng.uniform(size=(3200, 2)),
    "sorted": lambda rng: np.sort(rng.uniform(size=(3200, 2)), axis=0),
    "there and back": lambda rng: np.sort(rng.uniform(size=(3200, 2)), axis=0)[np.r_[:3200:2, 3199:0:-2]],
    "repeats": lambda rng: np.round(rng.uniform(size=(3200, 2)), 1),
    "3-D": lambda rng: rng.uniform(size=(1000, 3)),
    "one": lambda rng: rng.uniform(size=(1, 1)),
}


@pytest.mark.parametrize("name", ORDERS)
def test_a_compact_order_is_an_order_that_is_compact(name):
    X = ORDERS[name](np.random.default_rng(0))
    order = compact_order(X)
    np.testing.assert_array_equal(np.sort(order), np.arange(len(X)))
    if name == "random":
        sizes = np.ptp(X[order].reshape(-1, TILE, 2), axis=1)
        assert sizes.mean() < 0.15  # a hundred squares would have sides of 0.1
        assert sizes.max() < 0.4


# ------------------------------------------------------------------------------------ equal to the textbook


DATA = {
    "dense, 2-D": lambda: mixture(400, 2),
    "dense, 6-D": lambda: mixture(600, 6),
    "1-D": lambda: uniform(2500, 1),
    "2-D": lambda: mixture(1500, 2),
    "2-D, noise": lambda: uniform(2500, 2),
    "2-D, moons": lambda: moons(1500),
    "2-D, repeats": lambda: lattice(2500),
    "3-D": lambda: mixture(2500, 3),
    "outliers": lambda: with_outliers(2500),
}


@pytest.mark.parametrize("name", DATA)
def test_simultaneous_rounds_equal_the_textbook(name):
    X, h = DATA[name]()
    X = X.astype(float)
    for rounds in (1, 5):
        moved = ms.blur(X, h, n_rounds=rounds)
        # far outliers: their own coordinates are resolved to 1e-10
        np.testing.assert_allclose(moved, simultaneous(X, h, rounds), atol=EXACT * h, rtol=1e-15)


@pytest.mark.parametrize("batch_size", [1, 7, 100, 500, 1499, 5000])
def test_batches_in_place_equal_the_textbook(batch_size):
    X = ms.textbook.make_data()[1]
    expected = in_batches(X, 2.5, batch_size, rounds=3)
    moved = ms.blur(X.astype(float), 2.5, n_rounds=3, batch_size=batch_size)
    np.testing.assert_allclose(moved, expected, atol=1e-8 * 2.5)
    if batch_size < 1500:  # and it is not the simultaneous answer
        assert np.abs(moved - simultaneous(X, 2.5, 3)).max() > 1e-3


@pytest.mark.parametrize("name", ["dense, 2-D", "dense, 6-D", "1-D", "2-D, repeats", "3-D"])
def test_batches_in_any_dimension(name):
    X, h = DATA[name]()
    moved = ms.blur(X.astype(float), h, batch_size=130)
    np.testing.assert_allclose(moved, in_batches(X, h, 130), atol=EXACT * h)


def test_the_notebooks_own_floats():
    """Float32 in, float32 out, computed in float64: closer to the exact answer than the notebook's float32."""
    _, X = ms.textbook.make_data()
    moved = ms.blur(X, 2.5, batch_size=500)
    assert moved.dtype == np.float32
    exact, single = in_batches(X, 2.5, 500), ms.textbook.meanshift(X)
    np.testing.assert_allclose(moved, exact, atol=1e-9, rtol=1.2e-7)
    np.testing.assert_allclose(moved, single, atol=np.abs(single - exact).max() + 4e-6)
    np.testing.assert_array_equal(X, ms.textbook.make_data()[1])  # the input stays


@LAWS
@given(n=st.sampled_from([40, 700]), d=st.integers(1, 4), seed=st.integers(0, 2**31), batched=st.booleans())
def test_a_weight_is_so_many_points(n, d, seed, batched):
    X, h = mixture(n, d, seed)
    times = np.random.default_rng(seed).integers(0, 4, n)
    times[0] = 1
    parameters = {"batch_size": n * 4} if batched else {}
    weighted = ms.blur(X.astype(float), h, n_rounds=3, sample_weight=times, **parameters)
    repeated = ms.blur(np.repeat(X.astype(float), times, axis=0), h, n_rounds=3, **parameters)
    np.testing.assert_allclose(np.repeat(weighted, times, axis=0), repeated, atol=EXACT * h)


def test_a_point_of_weight_zero_is_moved_and_pulls_nothing():
    X, h = mixture(1000, 2)
    w = np.ones(1000)
    w[::10] = 0.0
    alone = ms.blur(X[w > 0].astype(float), h)
    both = ms.blur(X.astype(float), h, sample_weight=w)
    np.testing.assert_allclose(both[w > 0], alone, atol=1e-9)
    assert np.linalg.norm(both[w == 0] - X[w == 0], axis=1).max() > 0.5 * h
    model = ms.MeanShift(h, blurring=True).fit(X, sample_weight=w)
    assert model.cluster_weights_.sum() == 900
    np.testing.assert_array_equal(model.predict(X), model.labels_)


@LAWS
@given(n=st.sampled_from([60, 2300]), d=st.integers(1, 3), seed=st.integers(0, 2**31), log=st.integers(-20, 20))
def test_permutation_translation_and_scaling_change_nothing(n, d, seed, log):
    X, h = mixture(n, d, seed)
    X = X.astype(float)
    moved = ms.blur(X, h)
    rng = np.random.default_rng(seed)
    order, shift, scale = rng.permutation(n), rng.uniform(-100, 100, d), 2.0**log
    np.testing.assert_allclose(ms.blur(X[order], h), moved[order], atol=EXACT * h)
    np.testing.assert_allclose(ms.blur((X + shift) * scale, h * scale) / scale - shift, moved, atol=EXACT * h)


def test_points_stay_within_their_bounds_and_rounds_add_up():
    X, h = uniform(2500, 2)
    moved = ms.blur(X, h, n_rounds=3)
    assert (moved >= X.min(axis=0)).all()
    assert (moved <= X.max(axis=0)).all()
    np.testing.assert_allclose(ms.blur(ms.blur(X, h, n_rounds=1), h, n_rounds=2), moved, atol=EXACT * h)
    np.testing.assert_array_equal(ms.blur(X, h, n_rounds=0), X)


@pytest.mark.parametrize("name", ["2-D", "3-D", "outliers", "dense, 6-D"])
def test_threads_change_no_bit(name):
    X, h = DATA[name]()
    if name != "dense, 6-D":  # enough rows for several chunks
        X = np.tile(X, (16, 1)) + np.repeat(np.linspace(0, 0.1 * h, 16), len(X))[:, None]
    one, many = (fit(X, h, n_jobs=n) for n in (1, 5))
    np.testing.assert_array_equal(one.labels_, many.labels_)
    assert one.cluster_centers_.tobytes() == many.cluster_centers_.tobytes()


# -------------------------------------------------------------------------------------- points that coincide


def test_coinciding_points_become_one_of_their_weight():
    X, h = mixture(3000, 2)
    sizes = []
    model = fit(X, h)
    for moved_by in model._clustering.blurred.rounds:
        weights = moved_by.weights
        sizes.append(len(weights))
        assert weights.sum() == pytest.approx(3000, rel=1e-9)
    blurred = model._clustering.blurred
    assert len(blurred.positions) < 20
    assert blurred.weights.sum() == 3000
    np.testing.assert_array_equal(np.bincount(blurred.owners), blurred.weights)


def test_narrow_tiles_pull_as_one_and_no_further_off_than_promised():
    """Clusters as wide as a narrow tile may be, one full and one with all mass at its ends; lone points near them."""
    rng = np.random.default_rng(0)
    for reach in (1.0, 3.0, 5.0):
        ends = np.repeat([[0.0, 0.0], [9e-4, 9e-4]], TILE // 2, axis=0)
        full = [20.0, 20.0] + 9e-4 * rng.uniform(size=(4 * TILE, 2))
        lone = np.concatenate([[c + reach * np.array([np.cos(a), np.sin(a)])] for c in (0, 20) for a in range(16)])
        points = np.concatenate([ends, full, lone])
        weights = np.repeat([1e4, 1.0], [5 * TILE, len(lone)])
        expected = np.concatenate([_weighted_step(points, weights, q) for q in points])
        field = TileField(points, weights, 1.0)
        np.testing.assert_allclose(field.advance(), expected, atol=5e-6)
        assert np.abs(field.advance() - expected).max() > 1e-10  # they did


def test_repeats_are_merged_before_the_first_round():
    X, h = lattice(4000)
    field = fit(X, h)._clustering.blurred.rounds[0]
    assert len(field.weights) == len(np.unique(X, axis=0))


@given(st.lists(st.tuples(st.integers(-2, 2), st.integers(-2, 2)), min_size=1, max_size=50))
def test_distinct_rows_are_numbered_by_their_first(rows):
    keys = np.array(rows, np.int64)
    number, first = distinct_rows(keys)
    np.testing.assert_array_equal(keys[first][number], keys)
    assert len(np.unique(keys, axis=0)) == len(first)
    assert (np.diff(first) > 0).all()
    assert all((number[:i] != number[i]).all() for i in first)


# --------------------------------------------------------------------------------------------- the estimator


@parametrize_with_checks(
    [kind(blurring=True, **more) for more in ({}, {"batch_size": 7}) for kind in (ms.MeanShift, WithoutStreams)],
    expected_failed_checks=expected_failures,
)
def test_scikit_learns_contract(estimator, check):
    check(estimator)


def test_the_notebooks_clusters():
    _, X = ms.textbook.make_data()
    model = fit(X, 2.5, max_iter=5)
    assert model.n_iter_ == 5
    np.testing.assert_array_equal(model.cluster_weights_, [250] * 6)
    np.testing.assert_array_equal(model.labels_, np.repeat(model.labels_[::250], 250))
    moved = simultaneous(X, 2.5)
    np.testing.assert_allclose(model.cluster_centers_[model.labels_], moved, atol=2.5e-5)
    assert model.sketch_ is None


@pytest.mark.parametrize("name", DATA)
def test_labels_are_the_points_that_came_together(name):
    X, h = DATA[name]()
    model = fit(X, h)
    moved = ms.blur(X.astype(float), h, n_rounds=model.n_iter_)
    k = len(model.cluster_centers_)
    np.testing.assert_array_equal(np.unique(model.labels_), np.arange(k))
    assert np.linalg.norm(moved - model.cluster_centers_[model.labels_], axis=1).max() < 0.1 * h
    apart = np.linalg.norm(model.cluster_centers_[:, None] - model.cluster_centers_[None], axis=2)
    assert apart[~np.eye(k, dtype=bool)].min(initial=np.inf) > 2 * h
    assert (np.diff(model.cluster_weights_) <= 0).all()
    np.testing.assert_array_equal(np.bincount(model.labels_), model.cluster_weights_)


@pytest.mark.parametrize("batch_size", [None, 200])
@pytest.mark.parametrize("name", DATA)
def test_predict_repeats_the_labels(name, batch_size):
    X, h = DATA[name]()
    X = X[-800:]
    model = fit(X, h, batch_size=batch_size)
    np.testing.assert_array_equal(model.predict(X), model.labels_)
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.predict(X[:70]), model.labels_[:70])


@pytest.mark.parametrize("name", ["dense, 2-D", "2-D", "2-D, noise", "3-D", "dense, 6-D"])
def test_new_points_are_carried_by_the_rounds(name):
    """A point that pulls nothing goes where the rounds take it: the same as a point of weight 0 in the fit."""
    X, h = DATA[name]()
    new = X[::5] + np.float32(0.01 * h)
    together = np.concatenate([X, new])
    weights = np.repeat([1.0, 0.0], [len(X), len(new)])
    model, with_new = fit(X, h), ms.MeanShift(h, blurring=True).fit(together, sample_weight=weights)
    np.testing.assert_array_equal(model.predict(new), with_new.labels_[len(X) :])
    path = model.path(X[:9])
    assert path.shape == (model.n_iter_ + 1, 9, X.shape[1])
    np.testing.assert_allclose(path[0], X[:9], atol=1e-12 * np.abs(X).max())
    np.testing.assert_allclose(path[-1], ms.blur(X.astype(float), h, n_rounds=model.n_iter_)[:9], atol=EXACT * h)


@pytest.mark.parametrize("n", [300, 1500, 2500])
def test_far_new_points_go_where_every_round_takes_them(n):
    X, h = mixture(n, 2)
    model = fit(X, h)
    far = np.array([[1e5, 0.0], [-1e5, 1e5], [0.0, -40.0], [20.0, 20.0]])
    path = model.path(far)
    points = X.astype(float)
    for k in range(model.n_iter_):
        expected = path[k] + np.concatenate([_step(points, q[None], h) for q in path[k]])
        np.testing.assert_allclose(path[k + 1], expected, atol=10 * EXACT * h)
        points = simultaneous(points, h, 1)
    nearest = np.linalg.norm(path[-1][:, None] - model.cluster_centers_[None], axis=2).argmin(axis=1)
    np.testing.assert_array_equal(model.predict(far), nearest)


def test_tight_clusters_are_those_of_mean_shift():
    X, h = mixture(3000, 2)
    blurred, climbed = fit(X, 1.2 * h), ms.MeanShift(1.2 * h).fit(X)
    assert len(blurred.cluster_centers_) == len(climbed.cluster_centers_) == 5
    assert (blurred.labels_ == climbed.labels_).mean() > 0.98


def test_rounds_that_were_not_enough_are_reported():
    X, h = uniform(900, 2)
    with pytest.warns(ConvergenceWarning, match="still moved by the last round"):
        model = fit(X, h, max_iter=2)
    assert model.n_iter_ == 2


# -------------------------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize("n", [300, 2500])
@pytest.mark.parametrize("offset", [0.0, 1e9, -1e9])
def test_far_offsets_cost_no_accuracy(n, offset):
    X, h = mixture(n, 2)
    there = X.astype(float) + offset
    expected = simultaneous(there - offset, h)
    np.testing.assert_allclose(ms.blur(there, h) - offset, expected, atol=EXACT * h + np.spacing(abs(offset)))
    model = fit(there, h)
    np.testing.assert_array_equal(model.labels_, fit(there - offset, h).labels_)


@pytest.mark.parametrize("n", [1, 2, 300, 2500])
def test_points_that_are_all_the_same_stay(n):
    X = np.full((n, 2), 3.25)
    np.testing.assert_array_equal(ms.blur(X, 1.0), X)
    model = fit(X, 1.0)
    assert model.n_iter_ == 1
    np.testing.assert_array_equal(model.cluster_centers_, X[:1])
    np.testing.assert_array_equal(model.cluster_weights_, [n])


def test_tiny_and_huge_bandwidths():
    X = mixture(2500, 2)[0].astype(float)
    np.testing.assert_allclose(ms.blur(X, 1e-9), X, atol=1e-14)
    assert len(fit(X, 1e-9).cluster_centers_) == 2500
    np.testing.assert_allclose(ms.blur(X, 1e9), np.broadcast_to(X.mean(axis=0), X.shape), atol=1e-9)
    assert len(fit(X, 1e9).cluster_centers_) == 1
    with pytest.raises(ValueError, match="float64 cannot resolve"):
        ms.blur(X, 1e-20)


def test_weights_of_very_different_size():
    X, h = mixture(700, 2)
    weights = 10.0 ** np.random.default_rng(0).uniform(-20, 20, 700)
    moved = ms.blur(X.astype(float), h, n_rounds=1, sample_weight=weights)
    expected = np.concatenate([_weighted_step(X.astype(float) / h, weights, q) for q in X.astype(float) / h]) * h
    np.testing.assert_allclose(moved, expected, atol=EXACT * h)


@pytest.mark.parametrize(
    ("parameters", "error", "message"),
    [
        ({"X": np.empty((0, 2))}, ValueError, "at least one row"),
        ({"X": np.ones(3)}, ValueError, "2-D array"),
        ({"X": [[0.0, np.nan]]}, ValueError, "contains NaN"),
        ({"X": [[0.0, np.inf]]}, ValueError, "contains infinity"),
        ({"X": [["a"]]}, TypeError, "real numbers"),
        ({"bandwidth": 0.0}, ValueError, "bandwidth"),
        ({"bandwidth": "auto"}, TypeError, "bandwidth"),
        ({"n_rounds": -1}, ValueError, "n_rounds must be at least 0"),
        ({"n_rounds": 2.0}, TypeError, "n_rounds must be an integer"),
        ({"batch_size": 0}, ValueError, "batch_size must be at least 1"),
        ({"batch_size": True}, TypeError, "batch_size must be an integer"),
        ({"sample_weight": [1.0]}, ValueError, "sample_weight must have shape"),
        ({"sample_weight": [-1.0, 1, 1]}, ValueError, "at least 0"),
    ],
)
def test_bad_input_is_refused(parameters, error, message):
    arguments = {"X": np.arange(6.0).reshape(3, 2), "bandwidth": 1.0, **parameters}
    with pytest.raises(error, match=message):
        ms.blur(arguments.pop("X"), arguments.pop("bandwidth"), **arguments)


def test_a_batch_size_without_blurring_is_refused():
    with pytest.raises(ValueError, match="blurring=True"):
        ms.MeanShift(1.0, batch_size=5).fit(np.eye(3))
    assert clone(ms.MeanShift(blurring=True, batch_size=5)).get_params()["batch_size"] == 5


def test_sweeps_leave_out_rows_without_a_point():
    X = mixture(200, 2)[0].astype(float)
    place = np.arange(200)
    place[::3] = -1
    moved = sweep_tiles(X, np.ones(200), place, 50, 0.9)
    np.testing.assert_array_equal(moved[::3], X[::3])
    assert (moved[1::3] != X[1::3]).any(axis=1).all()
