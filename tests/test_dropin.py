"""The replacement of scikit-learn's MeanShift: the same centres, order, labels and steps; right where that is wrong."""

import pickle
import warnings

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.spatial.distance import pdist
from sklearn import cluster as peer
from sklearn.datasets import load_iris, make_blobs
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.estimator_checks import parametrize_with_checks

import modeseek as ms
from modeseek import seeded
from modeseek.fields import balls
from tests.examples import examples
from tests.naive import mixture, seeded_mean_shift, squares

LAWS = examples(25)
SHAPES = ("normal", "lattice", "quarters", "repeated")


def replacement(bandwidth=None, **parameters):
    return ms.MeanShift(bandwidth, kernel="flat", assign="nearest", **parameters)


def points(shape, n, d, seed):
    rng = np.random.default_rng(seed)
    if shape == "lattice":
        return rng.integers(0, 6, (n, d)).astype(float)
    X = rng.normal(size=(n, d)) * 2.0
    if shape == "quarters":
        return np.round(X * 4.0) / 4.0
    return X[rng.integers(0, n, n)] if shape == "repeated" else X


@pytest.fixture(params=["dense", "compiled"])
def engine(request, monkeypatch):
    """Sum by NumPy, or by the compiled kernels, however few points there are; look centres up in a tree as well."""
    if request.param == "compiled":
        monkeypatch.setattr(balls, "PAIRS", 0)
        monkeypatch.setattr(seeded, "FEW_CENTRES", 1)
    return request.param


class Engine:
    """The same as a context, for tests that hypothesis calls many times."""

    def __init__(self, compiled):
        self.pairs, self.few = (0, 1) if compiled else (balls.PAIRS, seeded.FEW_CENTRES)

    def __enter__(self):
        self.before = balls.PAIRS, seeded.FEW_CENTRES
        balls.PAIRS, seeded.FEW_CENTRES = self.pairs, self.few

    def __exit__(self, *_):
        balls.PAIRS, seeded.FEW_CENTRES = self.before


@parametrize_with_checks([replacement(), replacement(cluster_all=False)])
def test_scikit_learn_contract(estimator, check):
    check(estimator)


# -------------------------------------------------------------------------------------- what scikit-learn finds


@LAWS
@given(
    shape=st.sampled_from(SHAPES),
    n=st.integers(12, 60),  # up to 11 rows scikit-learn's distances cancel, and ties are chance
    d=st.integers(1, 4),
    seed=st.integers(0, 2**31),
    h=st.sampled_from([0.75, 1.0, 1.5, 2.0, 3.0]),
    compiled=st.booleans(),
    cluster_all=st.booleans(),
    start=st.sampled_from(["points", "bins", "given"]),
    least=st.integers(1, 2),
    max_iter=st.sampled_from([0, 1, 2, 300]),
)
def test_equal_to_scikit_learn(shape, n, d, seed, h, compiled, cluster_all, start, least, max_iter):
    X = points(shape, n, d, seed)
    how = {"bandwidth": h, "cluster_all": cluster_all, "max_iter": max_iter}
    if start == "bins":
        how |= {"bin_seeding": True, "min_bin_freq": least}
    elif start == "given":
        how["seeds"] = np.random.default_rng(seed).normal(size=(7, d)) * 2.0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            theirs = peer.MeanShift(**how).fit(X)
        except ValueError:  # no seed, or none with a neighbour
            with pytest.raises(ValueError, match=r"No point was within|No bin"):
                replacement(**how).fit(X)
            return
        seeds = peer.get_bin_seeds(X, h, least) if start == "bins" else how.get("seeds")
        ends = seeded_mean_shift(X, h, seeds, max_iter)[-1]
        assume(len(ends) < 2 or np.abs(pdist(ends) - h).min() > 1e-9)  # few centres: its distances cancel here too
        with Engine(compiled):
            ours = replacement(**how).fit(X)
    assert ours.cluster_centers_.shape == theirs.cluster_centers_.shape
    np.testing.assert_allclose(ours.cluster_centers_, theirs.cluster_centers_, atol=1e-9)
    np.testing.assert_array_equal(ours.labels_, theirs.labels_)
    assert ours.n_iter_ == theirs.n_iter_
    np.testing.assert_array_equal(ours.predict(X), ours.labels_)


def test_values_that_repeat_are_clusters_of_their_own_where_the_estimate_would_be_zero():
    X = np.repeat([[0.0, 0.0], [3.0, 1.0], [9.0, 1.0]], 20, axis=0)
    assert peer.estimate_bandwidth(X) == 0.0
    with pytest.warns(UserWarning, match="larger quantile"):
        model = replacement().fit(X)
    np.testing.assert_array_equal(model.cluster_centers_, X[[40, 20, 0]])


@LAWS
@given(
    shape=st.sampled_from(SHAPES),
    n=st.integers(1, 80),
    d=st.integers(1, 4),
    seed=st.integers(0, 2**31),
    h=st.sampled_from([0.25, 1.0, 1.5, 2.0, 3.0, 20.0]),
    compiled=st.booleans(),
    cluster_all=st.booleans(),
)
def test_equal_to_the_definition_with_ties_at_the_bandwidth(shape, n, d, seed, h, compiled, cluster_all):
    X = points(shape, n, d, seed)
    if shape in ("normal", "repeated"):  # coordinates whose sums are exact: the order of a sum is ours
        X = np.round(X * 1024.0) / 1024.0
    centres, labels, n_iter, _ = seeded_mean_shift(X, h, cluster_all=cluster_all)
    with Engine(compiled):
        model = replacement(h, cluster_all=cluster_all).fit(X)
    np.testing.assert_array_equal(model.cluster_centers_, centres)
    np.testing.assert_array_equal(model.labels_, labels)
    assert model.n_iter_ == n_iter


@pytest.mark.parametrize("d", [1, 2, 3, 5, 8])
def test_equal_on_thousands_of_points(d):
    X, _ = make_blobs(4000, n_features=d, centers=5, cluster_std=1.5, random_state=d)
    h = 1.0 if d == 1 else 1.5 * d**0.5
    centres, labels, n_iter, _ = seeded_mean_shift(X, h, X[::10])
    model = replacement(h, seeds=X[::10]).fit(X)
    assert not model._clustering.field.dense
    np.testing.assert_allclose(model.cluster_centers_, centres, atol=1e-6 * h)
    np.testing.assert_array_equal(model.labels_, labels)
    assert model.n_iter_ == n_iter
    every = replacement(h).fit(X)
    assert len(every.cluster_centers_) >= len(centres)
    assert every.n_iter_ >= n_iter


@pytest.mark.parametrize("bin_seeding", [False, True])
def test_defaults_are_those_of_scikit_learn(bin_seeding):
    X = load_iris().data
    theirs, ours = peer.MeanShift(bin_seeding=bin_seeding).fit(X), replacement(bin_seeding=bin_seeding).fit(X)
    assert ours.bandwidth_ == pytest.approx(peer.estimate_bandwidth(X), rel=1e-12)
    np.testing.assert_allclose(ours.cluster_centers_, theirs.cluster_centers_, atol=1e-9)
    np.testing.assert_array_equal(ours.labels_, theirs.labels_)
    assert ours.n_iter_ == theirs.n_iter_


def test_the_rule_by_its_name_is_the_default():
    X, _ = make_blobs(300, random_state=0)
    named, default = (replacement(bandwidth, bin_seeding=True).fit(X) for bandwidth in ("quantile", None))
    np.testing.assert_array_equal(named.labels_, default.labels_)
    np.testing.assert_array_equal(named.cluster_centers_, default.cluster_centers_)


def test_functional_form_is_scikit_learns():
    X = load_iris().data
    how = {"bandwidth": 0.8, "bin_seeding": True, "min_bin_freq": 2, "cluster_all": False, "max_iter": 50, "n_jobs": 1}
    centres, labels = peer.mean_shift(X, **how)
    found, given = ms.mean_shift(X, kernel="flat", assign="nearest", **how)
    np.testing.assert_allclose(found, centres, atol=1e-9)
    np.testing.assert_array_equal(given, labels)


def test_order_is_by_points_within_the_bandwidth_then_by_coordinates():
    X = np.array([[0.0], [0.1], [5.0], [5.1], [5.2], [9.0], [9.1]])
    model = replacement(1.0).fit(X)
    np.testing.assert_allclose(model.cluster_centers_.ravel(), [5.1, 9.05, 0.05])
    np.testing.assert_array_equal(model.labels_, [2, 2, 0, 0, 0, 1, 1])
    np.testing.assert_array_equal(model.cluster_weights_, [3, 2, 2])


def test_the_number_of_steps_is_that_of_the_tolerance():
    X, h = mixture(400, 2)
    X = X.astype(float)
    assert replacement(h).fit(X).n_iter_ == seeded_mean_shift(X, h)[2]
    assert replacement(h, tol=0.1).fit(X).n_iter_ < replacement(h).fit(X).n_iter_


# ------------------------------------------------------------------------------------------------ laws and forms


def test_predict_is_labels_and_knows_noise(engine):
    X, _ = make_blobs(300, centers=4, random_state=2)
    for cluster_all in (True, False):
        model = replacement(0.7, cluster_all=cluster_all, seeds=X[:9]).fit(X)
        np.testing.assert_array_equal(model.predict(X), model.labels_)
        np.testing.assert_array_equal(pickle.loads(pickle.dumps(model)).predict(X), model.labels_)
        assert (model.labels_ == -1).any() != cluster_all
    assert model.predict([[1e3, 1e3]]) == -1
    assert model.cluster_weights_.sum() == (model.labels_ >= 0).sum()


@pytest.mark.parametrize("how", [{"bandwidth": 1.2}, {}, {"bandwidth": 1.2, "bin_seeding": True, "min_bin_freq": 3}])
def test_weight_is_replication_and_zero_weights_do_not_pull(how, engine):
    X = points("normal", 200, 2, 0)
    copies = np.random.default_rng(1).integers(0, 4, len(X))
    weighted = replacement(**how).fit(X, sample_weight=copies)
    repeated = replacement(**how).fit(np.repeat(X, copies, axis=0))
    assert weighted.bandwidth_ == pytest.approx(repeated.bandwidth_, rel=1e-12)
    np.testing.assert_allclose(weighted.cluster_centers_, repeated.cluster_centers_, atol=1e-12)
    np.testing.assert_array_equal(np.repeat(weighted.labels_, copies), repeated.labels_)
    np.testing.assert_array_equal(weighted.cluster_weights_, repeated.cluster_weights_)
    assert weighted.n_iter_ == repeated.n_iter_


def test_the_same_bits_for_any_number_of_threads():
    X, h = mixture(5000, 3)
    one = replacement(2 * h, n_jobs=1).fit(X)
    for n_jobs in (2, 7):
        other = replacement(2 * h, n_jobs=n_jobs).fit(X)
        np.testing.assert_array_equal(one.cluster_centers_, other.cluster_centers_)
        np.testing.assert_array_equal(one.labels_, other.labels_)


def test_memory_layout_writability_and_dtype_do_not_matter(tmp_path):
    X, h = mixture(3000, 2)
    expected = replacement(2 * h).fit(X.astype(float))
    frozen = X.astype(float)
    frozen.flags.writeable = False
    np.save(tmp_path / "x.npy", X)
    for same in (X, frozen, np.asfortranarray(X), np.load(tmp_path / "x.npy", mmap_mode="r"), X[::-1][::-1]):
        model = replacement(2 * h).fit(same)
        np.testing.assert_array_equal(model.labels_, expected.labels_)
        np.testing.assert_array_equal(model.cluster_centers_, expected.cluster_centers_.astype(same.dtype))


def test_far_from_zero_nothing_cancels(engine):
    X = points("quarters", 300, 3, 4)
    here, there = replacement(1.5).fit(X), replacement(1.5).fit(X + 2.0**24)
    np.testing.assert_array_equal(here.labels_, there.labels_)
    np.testing.assert_allclose(there.cluster_centers_ - 2.0**24, here.cluster_centers_, atol=1e-7)


@pytest.mark.parametrize("X", [np.zeros((1, 3)), np.full((40, 2), 7.0), np.array([[0.0], [1.0]])])
def test_tiny_and_constant_data(X, engine):
    model = replacement(0.5).fit(X)
    np.testing.assert_array_equal(np.sort(model.cluster_centers_, axis=0), np.unique(X, axis=0))
    assert replacement(1e9).fit(X).n_iter_ <= 1
    assert (replacement().fit(X).labels_ >= 0).all() if len(X) > 40 else True


def test_path_ends_where_the_seeds_end(engine):
    X, _ = make_blobs(200, centers=3, cluster_std=0.5, random_state=0)
    model = replacement(2.0).fit(X)
    path = model.path(X)
    np.testing.assert_array_equal(path[0], X)
    assert len(path) == model.n_iter_ + 2  # the start, and the last step, which is not counted
    assert (squares(path[-1], model.cluster_centers_[0]) == 0.0).any()


# -------------------------------------------------------------------------------------------------- balls, centres


@pytest.mark.parametrize("d", [1, 2, 3, 7])
@pytest.mark.parametrize("radius", [0.01, 1.0, 3.0, 50.0])
def test_means_of_balls_are_those_of_plain_sums(d, radius):
    rng = np.random.default_rng(d)
    X, w = np.round(rng.normal(size=(2000, d)) * 3.0, 1), rng.integers(0, 5, 2000).astype(float)
    Q = np.concatenate([X[:300], rng.normal(size=(200, d)) * 3.0, np.full((1, d), 1e3)])
    field = balls.BallField(X, w, radius, 10**6)
    assert not field.dense
    means, totals = field.shift(Q)
    weights = np.array([np.where(squares(X, q) <= radius * radius, w, 0.0) for q in Q])
    np.testing.assert_array_equal(totals, weights.sum(axis=1))
    filled = totals > 0.0
    np.testing.assert_allclose(means[filled], (weights @ X)[filled] / totals[filled, None], atol=1e-12)
    np.testing.assert_array_equal(means[~filled], Q[~filled])


def test_a_crowd_of_equal_points_on_the_rim_of_some_balls_counts_in_those_alone():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(4000, 3))
    x[:2500] = 0.0  # more than a block, or what is compared at once, holds
    directions = rng.normal(size=(40, 3))
    queries = directions / np.linalg.norm(directions, axis=1)[:, None] * np.linspace(1.3, 1.7, 40)[:, None]
    field = balls.BallField(x, np.ones(4000), 1.5, n_queries=10**6)
    means, weights = field.shift(queries)
    inside = np.array([squares(x, q) <= 1.5**2 for q in queries])
    np.testing.assert_array_equal(weights, inside.sum(axis=1))
    assert 0 < (weights > 2500).sum() < 40
    np.testing.assert_allclose(means, inside @ x / inside.sum(axis=1)[:, None], atol=1e-12)


def test_many_centres_equally_near_give_the_first():
    side = np.arange(12.0)
    centres = np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2)
    X = np.random.default_rng(0).integers(-2, 26, (500, 2)) / 2.0
    assert len(centres) > seeded.FEW_CENTRES
    expected = np.array([squares(centres, x).argmin() for x in X])
    np.testing.assert_array_equal(seeded.nearest(X, centres), expected)


# --------------------------------------------------------------------------------------------------------- bins


@LAWS
@given(
    shape=st.sampled_from(SHAPES),
    n=st.integers(1, 60),
    d=st.integers(1, 4),
    seed=st.integers(0, 2**31),
    single=st.booleans(),
    size=st.sampled_from([0.0, 0.3, 1.0, np.float64(2.5)]),
)
def test_bin_seeds_are_scikit_learns(shape, n, d, seed, single, size):
    X = points(shape, n, d, seed).astype(np.float32 if single else np.float64)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected, found = peer.get_bin_seeds(X, size), ms.get_bin_seeds(X, size)
    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(found, expected)


def test_bins_of_enough_points_and_bins_of_one_point_each():
    X = np.array([[0.1], [-0.1], [2.0], [5.1], [4.9]])
    np.testing.assert_array_equal(ms.get_bin_seeds(X, 1.0, min_bin_freq=2), [[0.0], [5.0]])
    with pytest.warns(UserWarning, match="to itself"):
        np.testing.assert_array_equal(ms.get_bin_seeds(X[2:4], 1.0), X[2:4])
    with pytest.raises(ValueError, match="min_bin_freq=3"):
        ms.get_bin_seeds(X, 1.0, min_bin_freq=3)
    with pytest.raises(ValueError, match="min_bin_freq=3"):
        replacement(1.0, bin_seeding=True, min_bin_freq=3).fit(X)


def test_bins_far_from_zero_keep_their_places():
    X = 2.0**26 + np.array([[0.0], [1.0], [1.1], [3.0]])
    np.testing.assert_array_equal(ms.get_bin_seeds(X, 1.0) - 2.0**26, [[0.0], [1.0], [3.0]])
    assert len(np.unique(peer.get_bin_seeds(X, 1.0))) < 3  # float32 does not tell them apart


@pytest.mark.parametrize(
    ("arguments", "error", "word"),
    [
        (([[0.0]], -1.0), ValueError, "bin_size"),
        (([[0.0]], np.nan), ValueError, "bin_size"),
        (([[1e300]], 1e-300), ValueError, "overflows"),
        (([[np.nan]], 1.0), ValueError, "NaN"),
        (([[0.0]], 1.0, 0), ValueError, "min_bin_freq"),
    ],
)
@pytest.mark.filterwarnings("ignore:overflow")
def test_bins_that_make_no_sense(arguments, error, word):
    with pytest.raises(error, match=word):
        ms.get_bin_seeds(*arguments)


# --------------------------------------------------------------------------------------------- seeds and bad input


def test_seeds_without_a_neighbour_are_counted_and_refused_if_none_has_any(engine):
    X = points("normal", 100, 2, 0)
    seeds = np.concatenate([X[:5], np.full((3, 2), 500.0)])
    with pytest.warns(UserWarning, match="3 of 8 seeds have no point within bandwidth=1"):
        model = replacement(1.0, seeds=seeds).fit(X)
    np.testing.assert_array_equal(model.labels_, replacement(1.0, seeds=X[:5]).fit(X).labels_)
    with pytest.raises(ValueError, match="No point was within bandwidth=1 of any of the 3 seeds"):
        replacement(1.0, seeds=seeds[5:]).fit(X)


def test_bins_in_many_columns_may_have_no_neighbour():
    X = np.random.default_rng(0).uniform(size=(300, 9)) * 2.0
    with pytest.warns(UserWarning, match="seeds have no point within"):
        replacement(0.5, bin_seeding=True).fit(np.concatenate([X, X + 0.01]))


@pytest.mark.parametrize(
    ("seeds", "error", "word"),
    [
        ([[0.0, 0.0, 0.0]], ValueError, r"seeds must have shape \(n_seeds, 2\)"),
        ([0.0, 0.0], ValueError, "shape"),
        (np.empty((0, 2)), ValueError, "shape"),
        ([[0.0, np.nan]], ValueError, "seeds contains NaN"),
        ([[0.0, np.inf]], ValueError, "seeds contains infinity"),
        ([["a", "b"]], TypeError, "seeds must hold real numbers"),
    ],
)
def test_seeds_that_make_no_sense(seeds, error, word):
    with pytest.raises(error, match=word):
        replacement(1.0, seeds=seeds).fit(points("normal", 30, 2, 0))


@pytest.mark.parametrize(
    ("parameters", "word"),
    [
        ({"assign": "nearest"}, 'needs kernel="flat"'),
        ({"kernel": "flat", "assign": "nearest", "blurring": True}, "blurring=True"),
        ({"kernel": "flat", "assign": "nearest", "merge": "persistence"}, "merge"),
        ({"kernel": "flat", "assign": "nearest", "min_cluster_size": 5}, "min_cluster_size"),
        ({"seeds": [[0.0, 0.0]]}, "seeds is of use"),
        ({"bin_seeding": True}, "bin_seeding is of use"),
        ({"max_iter": 0}, "max_iter must be at least 1"),
        ({"assign": "basins"}, "assign"),
        ({"kernel": "box"}, "kernel"),
        ({"min_bin_freq": 0}, "min_bin_freq"),
    ],
)
def test_parameters_that_do_not_go_together(parameters, word):
    with pytest.raises(ValueError, match=word):
        ms.MeanShift(1.0, **parameters).fit(points("normal", 30, 2, 0))


def test_seeds_that_are_still_moving_are_counted():
    X = points("normal", 200, 2, 0)
    with pytest.warns(ConvergenceWarning, match="seeds were still moved"):
        assert replacement(1.0, max_iter=1).fit(X).n_iter_ == 1


def test_repeats_that_a_sample_does_not_show_are_summed_as_they_are():
    """More equal points than a block holds, between the rows that are looked at."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(6000, 3)) + 4.0 * rng.integers(0, 2, (6000, 1))
    X[np.flatnonzero(np.arange(6000) % 3)[:2500]] = [4.0, 4.0, 4.0]
    assert seeded._hardly_repeats(X)
    seeds = X[::40]
    ours, theirs = replacement(1.5, seeds=seeds).fit(X), peer.MeanShift(bandwidth=1.5, seeds=seeds).fit(X)
    np.testing.assert_array_equal(ours.labels_, theirs.labels_)
    np.testing.assert_allclose(ours.cluster_centers_, theirs.cluster_centers_, atol=1e-9)
    assert not seeded._hardly_repeats(np.round(X))


def test_there_is_no_audit():
    X = points("normal", 30, 2, 0)
    with pytest.raises(ValueError, match=r'audit .* this model has assign="nearest"'):
        replacement(1.0).fit(X).audit(X)


@pytest.mark.parametrize("kernel", ["flat", "biweight"])
def test_what_is_of_the_gaussian_only_is_not_there_with_other_kernels(kernel):
    model = ms.MeanShift(1.0, kernel=kernel).fit([[0.0], [0.5], [4.0]])
    for name in ("partial_fit", "score_samples", "score"):
        assert not hasattr(model, name)
        assert hasattr(ms.MeanShift(1.0), name)
    with pytest.raises(ValueError, match="Gaussian kernel only"):
        model.fit(ms.DensitySketch(1.0).add([[0.0], [0.5]]))
