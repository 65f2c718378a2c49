"""MeanShift as a user meets it: scikit-learn's contract, labels, bad input."""

import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.metrics import adjusted_rand_score

import modeseek as ms
from tests.naive import ROUTES, exact_labels, mixture


def test_notebook_data_give_six_clusters_with_and_without_a_bandwidth():
    _, X = ms.textbook.make_data()
    truth = np.repeat(np.arange(6), 250)
    for model in (ms.MeanShift(2.5), ms.MeanShift(), ms.MeanShift("auto", fidelity="exact")):
        model.fit(X)
        assert len(model.cluster_centers_) == 6
        assert adjusted_rand_score(truth, model.labels_) > 0.99


@pytest.mark.parametrize("route", ROUTES)
def test_labels_are_those_of_exact_mean_shift(route):
    X, h = route.data()
    model = route.model(h).fit(X)
    rows = np.random.default_rng(7).choice(len(X), min(len(X), 200), replace=False)
    exact, modes = exact_labels(X, X[rows], h)
    # each exact mode reached is one of ours, and each point has it
    distance = np.linalg.norm(modes[:, None] - model.cluster_centers_[None].astype(float), axis=2)
    assert distance.min(axis=1).max() < route.mode_error * h
    assert (distance.argmin(axis=1)[exact] == model.labels_[rows]).mean() >= route.agreement


@pytest.mark.parametrize("route", ROUTES)
def test_predict_on_the_training_data_is_labels(route):
    X, h = route.data()
    model = route.model(h).fit(X)
    np.testing.assert_array_equal(model.predict(X), model.labels_)
    np.testing.assert_array_equal(model.predict(X[::-1]), model.labels_[::-1])


@pytest.mark.parametrize("route", ROUTES)
def test_predict_climbs_to_the_mode_that_exact_mean_shift_finds(route):
    X, h = route.data()
    model = route.model(h).fit(X)
    rng = np.random.default_rng(3)
    low, high = X.min(axis=0), X.max(axis=0)
    Q = rng.uniform(low - 4 * h, high + 4 * h, (100, X.shape[1]))  # inside, outside, far from any point
    exact, modes = exact_labels(X, Q, h)
    distance = np.linalg.norm(modes[:, None] - model.cluster_centers_[None].astype(float), axis=2)
    assert (distance.argmin(axis=1)[exact] == model.predict(Q)).mean() >= 0.99


def test_clusters_are_numbered_by_decreasing_weight():
    X = np.concatenate([np.full((5, 2), v) + np.random.default_rng(v).normal(size=(5, 2)) * 0.1 for v in (0, 9, 20)])
    X = np.concatenate([X, X[5:10], X[5:8]])
    model = ms.MeanShift(1.0).fit(X)
    np.testing.assert_array_equal(model.cluster_weights_, [13, 5, 5])
    assert model.labels_[5] == 0
    assert model.labels_.dtype == np.int32
    weighted = ms.MeanShift(1.0).fit(X, sample_weight=np.r_[np.full(5, 9.0), np.ones(18)])
    assert weighted.labels_[0] == 0
    assert weighted.cluster_weights_[0] == 45.0


@pytest.mark.parametrize("route", ROUTES)
def test_weight_is_replication(route):
    X, h = route.data()
    X = X[:3000]
    copies = np.random.default_rng(5).integers(1, 4, len(X))
    weighted = route.model(h).fit(X, sample_weight=copies)
    repeated = route.model(h).fit(np.repeat(X, copies, axis=0))
    np.testing.assert_allclose(weighted.cluster_centers_, repeated.cluster_centers_, atol=1e-4 * h)
    assert (np.repeat(weighted.labels_, copies) == repeated.labels_).mean() > 0.999
    np.testing.assert_allclose(weighted.cluster_weights_.sum(), copies.sum())


def test_weights_of_zero_do_not_pull_but_are_labelled():
    X, h = mixture(4000, 2)
    far = X + np.array([3 * h, 0.0], X.dtype)
    both, w = np.concatenate([X, far]), np.r_[np.ones(4000), np.zeros(4000)]
    model = ms.MeanShift(h).fit(both, sample_weight=w)
    alone = ms.MeanShift(h).fit(X)
    np.testing.assert_allclose(model.cluster_centers_[: len(alone.cluster_centers_)], alone.cluster_centers_, atol=0.01)
    assert (model.labels_ >= 0).all()
    np.testing.assert_array_equal(model.predict(both), model.labels_)


@pytest.mark.parametrize("route", ROUTES)
def test_the_same_bits_for_any_number_of_threads(route):
    X, h = route.data()
    one = route.model(h, n_jobs=1).fit(X)
    for n_jobs in (2, 7):
        other = route.model(h, n_jobs=n_jobs).fit(X)
        np.testing.assert_array_equal(one.labels_, other.labels_)
        np.testing.assert_array_equal(one.cluster_centers_, other.cluster_centers_)


@pytest.mark.parametrize("route", ROUTES)
def test_memory_layout_and_writability_do_not_matter(route, tmp_path):
    X, h = route.data()
    expected = route.model(h).fit(X)
    frozen = X.copy()
    frozen.flags.writeable = False
    np.save(tmp_path / "x.npy", X)
    wide = np.zeros((len(X), 2 * X.shape[1]), X.dtype)
    wide[:, ::2] = X
    for same in (frozen, np.asfortranarray(X), np.load(tmp_path / "x.npy", mmap_mode="r"), wide[:, ::2]):
        model = route.model(h).fit(same)
        np.testing.assert_array_equal(model.labels_, expected.labels_)
        np.testing.assert_array_equal(model.cluster_centers_, expected.cluster_centers_)


def test_dtype_of_centres_follows_the_data_and_integers_are_taken():
    X, h = mixture(3000, 2)
    assert ms.MeanShift(h).fit(X.astype(np.float32)).cluster_centers_.dtype == np.float32
    assert ms.MeanShift(h).fit(X.astype(np.float64)).cluster_centers_.dtype == np.float64
    whole = np.round(X).astype(np.int64)
    np.testing.assert_array_equal(ms.MeanShift(h).fit(whole).labels_, ms.MeanShift(h).fit(whole.astype(float)).labels_)


def test_functional_form_and_path():
    X, h = mixture(2000, 2)
    centers, labels = ms.mean_shift(X, bandwidth=h)
    model = ms.MeanShift(h).fit(X)
    np.testing.assert_array_equal(labels, model.labels_)
    np.testing.assert_array_equal(centers, model.cluster_centers_)
    path = model.path(X[:50])
    np.testing.assert_array_equal(path[0], X[:50])
    end = np.linalg.norm(path[-1][:, None] - centers[None], axis=2)
    np.testing.assert_array_equal(end.argmin(axis=1), labels[:50])
    assert end.min(axis=1).max() < 0.01 * h


@pytest.mark.parametrize("route", ROUTES)
def test_a_pickled_model_predicts_the_same(route):
    X, h = route.data()
    model = pickle.loads(pickle.dumps(route.model(h).fit(X)))
    np.testing.assert_array_equal(model.predict(X), model.labels_)


def test_clone_and_frames():
    pandas = pytest.importorskip("pandas")
    X, h = mixture(3000, 2)
    frame = pandas.DataFrame(X, columns=["east", "north"])
    model = clone(ms.MeanShift(h)).fit(frame)
    assert list(model.feature_names_in_) == ["east", "north"]
    np.testing.assert_array_equal(model.predict(frame), model.labels_)


def test_millions_of_equal_points_and_one_cluster_beside_them():
    X = np.concatenate([np.full((3_000_000, 2), 5.0, np.float32), np.random.default_rng(0).normal(size=(9, 2)) - 9])
    model = ms.MeanShift(1.0).fit(X.astype(np.float32))
    assert model.cluster_weights_[0] == 3_000_000
    np.testing.assert_allclose(model.cluster_centers_[0], [5.0, 5.0], atol=1e-3)


# ---- what is wrong with the input is said, and said where ------------------------------------------------


@pytest.mark.parametrize("n", [20, 5000])
@pytest.mark.parametrize(("value", "word"), [(np.nan, "NaN"), (np.inf, "infinity"), (-np.inf, "infinity")])
def test_nonfinite_values_are_located(n, value, word):
    X = np.random.default_rng(0).normal(size=(n, 3))
    X[n - 3, 1] = value
    with pytest.raises(ValueError, match=rf"{word}.*row {n - 3}, column 1"):
        ms.MeanShift(1.0).fit(X)
    good = ms.MeanShift(1.0).fit(np.delete(X, n - 3, axis=0))
    with pytest.raises(ValueError, match=rf"{word}.*row {n - 3}, column 1"):
        good.predict(X)


@pytest.mark.parametrize(
    ("X", "error", "words"),
    [
        (np.empty((0, 2)), ValueError, "0 sample"),
        (np.empty((3, 0)), ValueError, "0 feature"),
        (np.zeros(5), ValueError, "2D array"),
        (np.zeros((2, 2), complex), ValueError, "Complex"),
        (np.array([["a", "b"]]), ValueError, "could not convert|dtype"),
        (np.array([[object(), 1]], dtype=object), TypeError, "object|float"),
    ],
)
def test_arrays_that_cannot_be_clustered(X, error, words):
    with pytest.raises(error, match=words):
        ms.MeanShift(1.0).fit(X)


def test_sparse_input_is_refused():
    sparse = pytest.importorskip("scipy.sparse").csr_matrix(np.eye(4))
    with pytest.raises(TypeError, match=r"[Ss]parse"):
        ms.MeanShift(1.0).fit(sparse)


@pytest.mark.parametrize("bandwidth", [0, -1.0, np.nan, np.inf, "automatic", [1.0, 2.0, 3.0], [1.0, -2.0]])
def test_bandwidths_that_make_no_sense(bandwidth):
    with pytest.raises((ValueError, TypeError), match="bandwidth"):
        ms.MeanShift(bandwidth).fit(np.random.default_rng(0).normal(size=(30, 2)))


@pytest.mark.parametrize(
    ("parameters", "word"),
    [
        ({"fidelity": "best"}, "fidelity"),
        ({"max_iter": 0}, "max_iter"),
        ({"tol": 0.0}, "tol"),
        ({"n_jobs": 0}, "n_jobs"),
        ({"n_jobs": 1.5}, "n_jobs"),
    ],
)
def test_parameters_out_of_range(parameters, word):
    with pytest.raises(ValueError, match=word):
        ms.MeanShift(1.0, **parameters).fit(np.random.default_rng(0).normal(size=(30, 2)))


@pytest.mark.parametrize(
    ("weights", "error", "word"),
    [
        (np.ones(3), ValueError, "shape"),
        (np.r_[np.ones(29), -1.0], ValueError, "entry 29"),
        (np.r_[np.ones(29), np.nan], ValueError, "entry 29"),
        (np.zeros(30), ValueError, "zero"),
        (np.array(["x"] * 30), TypeError, "real numbers"),
    ],
)
def test_weights_that_make_no_sense(weights, error, word):
    with pytest.raises(error, match=word):
        ms.MeanShift(1.0).fit(np.random.default_rng(0).normal(size=(30, 2)), sample_weight=weights)


def test_predict_wants_a_fit_and_the_same_columns():
    with pytest.raises(NotFittedError):
        ms.MeanShift(1.0).predict(np.zeros((2, 2)))
    model = ms.MeanShift(1.0).fit(np.random.default_rng(0).normal(size=(30, 2)))
    with pytest.raises(ValueError, match="3 features"):
        model.predict(np.zeros((2, 3)))


@pytest.mark.parametrize("n", [1, 2, 3000])
@pytest.mark.parametrize("d", [1, 2, 3, 5])
@pytest.mark.parametrize("fidelity", ["certified", "fast", "exact"])
@pytest.mark.parametrize("bandwidth", [None, 0.7])
def test_equal_rows_are_one_cluster(n, d, fidelity, bandwidth):
    X = np.full((n, d), 3.25)
    model = ms.MeanShift(bandwidth, fidelity=fidelity).fit(X)
    np.testing.assert_array_equal(model.labels_, np.zeros(n))
    np.testing.assert_allclose(model.cluster_centers_, X[:1])
    assert model.bandwidth_ > 0


@pytest.mark.parametrize("n", [200, 6000])
@pytest.mark.parametrize("bandwidth", [None, 0.5])
def test_a_constant_column_changes_nothing(n, bandwidth):
    X = np.random.default_rng(0).normal(size=(n, 1)) + np.random.default_rng(1).integers(0, 2, (n, 1)) * 8
    alone = ms.MeanShift(0.5).fit(X)
    model = ms.MeanShift(0.5).fit(np.c_[X, np.full(n, -7.0)])
    assert adjusted_rand_score(alone.labels_, model.labels_) > 0.999
    assert len(ms.MeanShift(bandwidth).fit(np.c_[X, np.full(n, -7.0)]).cluster_centers_) >= 2


@pytest.mark.parametrize("n", [300, 20_000])
def test_unit_spread_at_an_offset_of_1e9(n):
    X, h = mixture(n, 2)
    X = X.astype(np.float64)
    near, far = ms.MeanShift(h).fit(X), ms.MeanShift(h).fit(X + 1e9)
    assert (near.labels_ == far.labels_).mean() > 0.999
    np.testing.assert_allclose(far.cluster_centers_ - 1e9, near.cluster_centers_, atol=1e-3)


def test_bandwidths_at_the_ends_of_the_scale():
    X, h = mixture(5000, 2)
    X = X.astype(np.float64)
    assert len(ms.MeanShift(1e6 * h).fit(X).cluster_centers_) == 1
    assert len(ms.MeanShift(1e-6 * h).fit(X).cluster_centers_) == 5000  # every point its own mode
    with pytest.raises(ValueError, match="too small"):
        ms.MeanShift(1e-14 * h).fit(X)
    with pytest.raises(ValueError, match="too small"):
        ms.MeanShift(1e-9).fit(X + 1e9)
    with pytest.raises(ValueError, match="too small: squares of distances vanish"):
        ms.MeanShift(1e-300 * h).fit(1e-300 * X)
    with pytest.raises(ValueError, match="overflow"):
        ms.MeanShift(1.0).fit(np.array([[1e300], [-1e300]]))


def test_an_outlier_far_away_does_not_need_a_huge_grid():
    X, h = mixture(30_000, 2)
    X = np.concatenate([X.astype(np.float64), [[1e7 * h, -1e7 * h]]])
    model = ms.MeanShift(h).fit(X)
    without = ms.MeanShift(h).fit(X[:-1])
    assert model.cluster_weights_[-1] == 1
    np.testing.assert_allclose(model.cluster_centers_[-1], X[-1])
    assert (model.labels_[:-1] == without.labels_).mean() > 0.999
    np.testing.assert_array_equal(model.predict(X), model.labels_)


def test_max_iter_too_small_warns():
    X = np.random.default_rng(0).uniform(size=(3000, 2)) * 20
    with pytest.warns(ConvergenceWarning, match="max_iter"):
        ms.MeanShift(1.0, max_iter=1, fidelity="fast").fit(X)
