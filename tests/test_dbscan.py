"""DBSCAN: the labels of the plain form and of scikit-learn, by every route, for any input."""

import copy
import doctest
import pickle
import subprocess
import sys
from importlib import import_module

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse
from sklearn import cluster as peer
from sklearn import config_context
from sklearn.base import clone
from sklearn.utils.estimator_checks import parametrize_with_checks

import modeseek as ms
from modeseek import dbscan, textbook
from modeseek.dbscan import blocks, cells, pairs
from modeseek.engines import data
from tests.examples import examples

NONE = np.empty(0)


@parametrize_with_checks([ms.DBSCAN(), ms.DBSCAN(eps=2.0, min_samples=2, n_jobs=2)])
def test_scikit_learn_contract(estimator, check):
    check(estimator)


@pytest.fixture
def compiled(monkeypatch):
    """Let small inputs take the routes of large ones."""
    monkeypatch.setattr(dbscan, "FEW", 0)


def on_cells(X, eps, least, weights=NONE, n_jobs=None):
    grid = cells.Grid.over(data.bounds(X), eps)
    return cells.cluster(np.ascontiguousarray(X), grid, eps, least, weights, n_jobs)


def on_blocks(X, eps, least, weights=NONE, n_jobs=None):
    return blocks.cluster(np.ascontiguousarray(X), eps, least, weights, n_jobs)


def on_pairs(X, eps, least, weights=NONE, n_jobs=None):
    return pairs.cluster(X, eps, least, weights)


def routes(X, eps):
    few = on_blocks, on_pairs
    return few if cells.Grid.over(data.bounds(X), eps) is None else (on_cells, *few)


def agree(X, eps, least, weights=NONE):
    """Compare every route with the plain form, bit for bit; return the labels."""
    labels, core = textbook.dbscan(X.astype(np.float64), eps, least, weights if weights.size else None)
    for route in routes(X, eps):
        for n_jobs in (1, 2, 7):
            ours, ours_core = route(X, eps, least, weights, n_jobs)
            np.testing.assert_array_equal(np.flatnonzero(ours_core), core, err_msg=route.__name__)
            np.testing.assert_array_equal(ours, labels, err_msg=route.__name__)
    return labels


def crowds(n, d, seed=0):
    """Draw crowds of unequal density, a lattice of whole numbers, repeats and noise."""
    rng = np.random.default_rng(seed)
    centres, widths = rng.uniform(-10.0, 10.0, (6, d)), np.geomspace(0.05, 2.0, 6)
    which = rng.integers(0, 6, n)
    X = centres[which] + widths[which, None] * rng.normal(size=(n, d))
    X[::7] = np.round(X[::7])
    X[::11] = X[0]
    noise = rng.random(n) < 0.1
    X[noise] = rng.uniform(-12.0, 12.0, (noise.sum(), d))
    return X


# ---- the definition ------------------------------------------------------------------------------------------------


@st.composite
def lattices(draw):
    """Points on a lattice whose steps are exact: many distances are just eps, many points are repeats."""
    d, n = draw(st.integers(1, 5)), draw(st.integers(1, 60))
    width = draw(st.sampled_from([1, 3, 12]))
    values = draw(st.lists(st.integers(0, width), min_size=n * d, max_size=n * d))
    X = np.reshape(values, (n, d)) * draw(st.sampled_from([1.0, 0.25, 2.0**-40, 2.0**40]))
    if draw(st.booleans()):
        X[:, 0] = X[0, 0]
    return X.astype(draw(st.sampled_from([np.float32, np.float64])))


@examples(150)
@given(lattices(), st.sampled_from([1.0, 2.0, 3.0, 5.0, 0.5]), st.integers(1, 9), st.data())
def test_lattices(X, steps, least, draws):
    steps_of_all = np.diff(np.unique(X))
    eps = steps * float(steps_of_all.min() if steps_of_all.size else 1.0)
    weights = NONE
    if draws.draw(st.booleans()):
        weights = np.array(draws.draw(st.lists(st.integers(-2, 4), min_size=len(X), max_size=len(X))), np.float64)
    agree(X, eps, least, weights)


@pytest.mark.parametrize("d", [1, 2, 3, 4, 6, 8, 13])
@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_crowds(d, kind):
    X = crowds(900, d, d).astype(kind)
    for eps, least in ((0.3, 4), (1.0, 10), (4.0, 60), (60.0, 5), (1e-6, 3)):
        labels = agree(X, eps, least)
    assert len(np.unique(agree(X, 0.6 * d**0.5, 8))) > 2
    assert labels.max() >= 0  # the repeats


@pytest.mark.parametrize("d", [1, 2, 3, 5])
def test_weights_of_any_sign(d):
    X, rng = crowds(700, d), np.random.default_rng(1)
    for weights in (
        rng.integers(0, 3, 700),
        rng.integers(-2, 4, 700),
        np.zeros(700),
        np.full(700, -1),
        np.full(700, 9),
    ):
        agree(X, 0.5, 6, weights.astype(np.float64))


@pytest.mark.parametrize("d", [2, 3, 7])
@pytest.mark.parametrize("n", [60, 20_000])
def test_labels_and_core_points_are_scikit_learns_number_for_number(n, d):
    X = crowds(n, d)
    eps = {2: 0.15, 3: 0.4, 7: 1.5}[d]
    w = np.random.default_rng(0).integers(-1, 4, n)
    for weights in (None, w):
        ours = ms.DBSCAN(eps, min_samples=7).fit(X, sample_weight=weights)
        theirs = peer.DBSCAN(eps, min_samples=7).fit(X, sample_weight=weights)
        np.testing.assert_array_equal(ours.labels_, theirs.labels_)
        np.testing.assert_array_equal(ours.core_sample_indices_, theirs.core_sample_indices_)
        np.testing.assert_array_equal(ours.components_, theirs.components_)
        assert ours.labels_.dtype == theirs.labels_.dtype
        assert ours.core_sample_indices_.dtype == theirs.core_sample_indices_.dtype
    assert n < 100 or len(np.unique(ours.labels_)) > 3


def test_another_eps_gives_other_labels():
    X = crowds(5000, 2)
    assert (ms.DBSCAN(0.15).fit_predict(X) != ms.DBSCAN(0.16).fit_predict(X)).any()


def test_a_border_point_between_two_clusters_has_the_one_that_comes_first():
    left, right = [[0.0], [0.5], [0.5], [1.0]], [[3.0], [3.5], [3.5], [4.0]]
    for order in ([*left, [2.0], *right], [*right, [2.0], *left], [[2.0], *right, *left]):
        X = np.array(order)
        labels = agree(X, 1.0, 4)
        assert labels[X[:, 0] == 2.0] == [0]
        assert set(labels) == {0, 1}


# ---- hard places for cells -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("d", [1, 2, 3, 4])
@pytest.mark.parametrize("offset", [1e6, -1e9, 1e12])
def test_far_from_zero(d, offset):
    X = np.round(crowds(800, d) * 256.0) / 256.0 + offset  # the offset rounds nothing off, or little
    agree(X, 0.5, 6)
    here = X - offset
    np.testing.assert_array_equal(agree(here, 0.5, 6), agree(X, 0.5, 6))


def test_float32_far_from_zero_is_taken_as_it_is():
    X = (crowds(3000, 2) + 1e6).astype(np.float32)
    expected = textbook.dbscan(X.astype(np.float64), 0.25, 8)[0]
    np.testing.assert_array_equal(ms.DBSCAN(0.25, min_samples=8).fit_predict(X), expected)
    assert len(np.unique(expected)) > 3


@pytest.mark.parametrize("d", [1, 2, 3])
def test_one_far_outlier(compiled, d):
    for far in (1e3, 1e7, 1e15, 1e140):
        X = np.append(crowds(600, d), np.full((1, d), far), axis=0)
        labels, core = textbook.dbscan(X, 0.5, 6)
        model = ms.DBSCAN(0.5, min_samples=6).fit(X)
        np.testing.assert_array_equal(model.labels_, labels)
        np.testing.assert_array_equal(model.core_sample_indices_, core)


def test_keys_that_do_not_fit_are_left_to_the_blocks():
    ends = np.array([[0.0, 0.0, 0.0], [1e8, 1e8, 1e8]])
    assert cells.Grid.over(ends, 1.0) is None
    assert cells.Grid.over(ends / 1e4, 1.0) is not None
    assert cells.Grid.over(np.array([[0.0], [1e12]]), 1.0) is None
    assert cells.Grid.over(np.zeros((2, 4)), 1.0) is None


def test_eps_below_what_coordinates_resolve_finds_repeats_only(compiled):
    X = np.repeat(np.random.default_rng(0).normal(size=(300, 2)) + 1e9, 3, axis=0)
    for eps in (1e-12, 1e-100):
        labels = ms.DBSCAN(eps, min_samples=3).fit_predict(X)
        np.testing.assert_array_equal(labels, textbook.dbscan(X, eps, 3)[0])
        assert labels.min() == 0


def test_squares_that_under_or_overflow_are_refused():
    X = crowds(600, 2)
    with pytest.raises(ValueError, match="underflow or overflow"):
        ms.DBSCAN(1e-200).fit(X)
    with pytest.raises(ValueError, match="underflow or overflow"):
        ms.DBSCAN(1.0).fit(X * 1e160)
    assert (ms.DBSCAN(1e-200).fit_predict(np.ones((600, 2))) == 0).all()
    assert (ms.DBSCAN(1e200).fit_predict(X) == 0).all()
    assert (ms.DBSCAN(1e300).fit_predict(X) == 0).all()


@pytest.mark.parametrize("d", [1, 2, 3, 4, 30])
def test_all_points_the_same_or_in_one_cell(compiled, d):
    for X in (np.ones((5000, d)), 1e-9 * np.random.default_rng(0).normal(size=(5000, d))):
        model = ms.DBSCAN(0.5, min_samples=5000).fit(X)
        assert (model.labels_ == 0).all()
        assert len(model.core_sample_indices_) == 5000
        assert (ms.DBSCAN(0.5, min_samples=5001).fit_predict(X) == -1).all()


def test_one_row_and_no_core_point():
    model = ms.DBSCAN(min_samples=1).fit([[3.0, 4.0]])
    assert model.labels_.tolist() == [0]
    model = ms.DBSCAN().fit([[3.0, 4.0]])
    assert model.labels_.tolist() == [-1]
    assert model.components_.shape == (0, 2)
    assert model.core_sample_indices_.shape == (0,)


@pytest.mark.parametrize("gap", [0.999, 1.0, 1.001])
def test_crowded_cells_that_are_just_apart(gap):
    """Two lines of 40,000 points: pairs of cells hold 10^8 pairs of points, of which none need be near."""
    rng = np.random.default_rng(0)
    lines = np.c_[rng.random(80_000), np.repeat([0.0, gap], 40_000)]
    lines[[0, -1], 0] = 0.5
    labels = on_cells(lines, 1.0, 5)[0]
    assert labels.max() == (1 if gap > 1.0 else 0)


def test_long_chains_are_one_cluster_across_all_stripes_of_threads():
    n = 60_000
    X = np.c_[np.arange(n) * 1.0, np.zeros(n)]
    spiral = np.c_[
        np.sqrt(np.arange(n)) * np.cos(np.sqrt(np.arange(n))), np.sqrt(np.arange(n)) * np.sin(np.sqrt(np.arange(n)))
    ]
    for points, eps in ((X, 1.0), (X[:, ::-1], 1.0), (np.random.default_rng(0).permutation(X), 1.0), (spiral, 1.2)):
        for n_jobs in (1, 2, 7):
            for route in (on_cells, on_blocks):
                assert (route(points, eps, 2, n_jobs=n_jobs)[0] == 0).all()
    broken = np.delete(X, n // 2, axis=0)
    assert on_cells(broken, 1.0, 2)[0].max() == on_blocks(broken, 1.0, 2)[0].max() == 1


@pytest.mark.parametrize("d", [2, 3, 5])
def test_the_same_bits_for_any_number_of_threads(d):
    X = crowds(150_000, d)
    w = np.random.default_rng(0).uniform(0.0, 2.0, len(X))
    models = [ms.DBSCAN(0.3, min_samples=10, n_jobs=n_jobs).fit(X, sample_weight=w) for n_jobs in (1, 2, 7)]
    for model in models[1:]:
        np.testing.assert_array_equal(model.labels_, models[0].labels_)
        np.testing.assert_array_equal(model.core_sample_indices_, models[0].core_sample_indices_)


def test_counting_and_radix_sort_give_the_same_order(monkeypatch):
    X = crowds(200_000, 3)
    grid = cells.Grid.over(data.bounds(X), 0.7)
    counted, sorted_ = (cells._count_sort(X, grid, 2), cells._radix_sort(X, grid, 2))
    for name in ("points", "order", "keys", "starts"):
        np.testing.assert_array_equal(getattr(counted, name), getattr(sorted_, name))
    assert grid.size > 1 << cells.DIGITS


# ---- input ---------------------------------------------------------------------------------------------------------


def test_any_layout_of_memory(tmp_path):
    X = crowds(2000, 3)
    expected = ms.DBSCAN(0.5).fit_predict(X)
    frozen = X.copy()
    frozen.flags.writeable = False
    np.save(tmp_path / "x.npy", X)
    wide = np.zeros((2000, 6))
    wide[:, ::2] = X
    layouts = (frozen, np.asfortranarray(X), np.load(tmp_path / "x.npy", mmap_mode="r"), wide[:, ::2], X.tolist())
    for layout in layouts:
        np.testing.assert_array_equal(ms.DBSCAN(0.5).fit_predict(layout), expected)
    whole = np.round(4.0 * X).astype(np.int32)
    np.testing.assert_array_equal(ms.DBSCAN(2).fit_predict(whole), ms.DBSCAN(2).fit_predict(whole.astype(np.float64)))


def test_bad_input_is_refused():
    X = crowds(600, 2)
    for bad in (np.nan, np.inf):
        Y = X.copy()
        Y[77, 1] = bad
        with pytest.raises(ValueError, match="row 77, column 1"):
            ms.DBSCAN().fit(Y)
        with pytest.raises(ValueError, match="sample_weight"):
            ms.DBSCAN().fit(X, sample_weight=Y[:, 1])
    with pytest.raises(ValueError, match="sample_weight"):
        ms.DBSCAN().fit(X, sample_weight=np.ones(5))
    with pytest.raises(TypeError, match=r"[Ss]parse"):
        ms.DBSCAN().fit(sparse.csr_matrix(X))
    for wrong in (
        {"eps": 0.0},
        {"eps": np.nan},
        {"eps": -1},
        {"min_samples": 0},
        {"min_samples": 2.5},
        {"metric": "l1"},
        {"p": 1},
        {"metric_params": {"w": 1}},
        {"algorithm": "grid"},
    ):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            ms.DBSCAN(**wrong).fit(X)
    with pytest.raises(ValueError, match="n_jobs"):
        ms.DBSCAN(n_jobs=0).fit(crowds(5000, 2))


def test_scikit_learns_parameters_are_taken():
    X = crowds(900, 2)
    parameters = {"eps": 0.3, "min_samples": 7, "metric": "minkowski", "algorithm": "kd_tree", "leaf_size": 9, "p": 2}
    assert set(ms.DBSCAN().get_params()) == set(peer.DBSCAN().get_params()) | {"device"}
    np.testing.assert_array_equal(ms.DBSCAN(**parameters).fit_predict(X), peer.DBSCAN(**parameters).fit_predict(X))


def test_frames_keep_their_names():
    X = crowds(900, 2).astype(np.float32)
    expected = ms.DBSCAN(0.3).fit(X)
    for library in ("pandas", "polars"):
        frame = pytest.importorskip(library).DataFrame({"east": X[:, 0], "north": X[:, 1]})
        model = ms.DBSCAN(0.3).fit(frame)
        assert list(model.feature_names_in_) == ["east", "north"]
        np.testing.assert_array_equal(model.labels_, expected.labels_)
        assert model.components_.dtype == np.float32


def test_tensors_give_tensors():
    torch = pytest.importorskip("torch")
    X = crowds(900, 3)
    expected = ms.DBSCAN(0.5).fit(X)
    model = ms.DBSCAN(0.5).fit(torch.from_numpy(X), sample_weight=torch.ones(900))
    for name in ("labels_", "core_sample_indices_", "components_"):
        assert isinstance(getattr(model, name), torch.Tensor)
        np.testing.assert_array_equal(getattr(model, name).numpy(), getattr(expected, name))


def test_arrays_of_the_standard_stay_what_they_are():
    strict = pytest.importorskip("array_api_strict")
    X = crowds(900, 2)
    labels = ms.DBSCAN(0.3).fit_predict(strict.asarray(X))
    assert labels.__array_namespace__() is strict
    np.testing.assert_array_equal(np.asarray(labels), ms.DBSCAN(0.3).fit_predict(X))


def test_copies_and_clones():
    X = crowds(900, 2)
    model = ms.DBSCAN(0.3, min_samples=4).fit(X)
    for other in (pickle.loads(pickle.dumps(model)), copy.deepcopy(model)):
        np.testing.assert_array_equal(other.labels_, model.labels_)
    assert clone(model).get_params() == model.get_params()
    assert not hasattr(clone(model), "labels_")
    X[:] = 0.0
    assert model.components_.any()


def test_weights_are_routed():
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    X, w = crowds(900, 2), np.random.default_rng(0).integers(0, 3, 900)
    with config_context(enable_metadata_routing=True):
        model = ms.DBSCAN(0.1).set_fit_request(sample_weight=True)
        scaler = StandardScaler().set_fit_request(sample_weight=False)
        pipeline = make_pipeline(scaler, model).fit(X, sample_weight=w)
        alone = ms.DBSCAN(0.1).fit(pipeline[0].transform(X), sample_weight=w)
    np.testing.assert_array_equal(pipeline[-1].labels_, alone.labels_)


def test_few_points_compile_nothing():
    code = (
        "import sys, numpy as np, modeseek as ms\n"
        "ms.DBSCAN().fit(np.random.default_rng(0).normal(size=(500, 3)))\n"
        "assert not any(name.startswith('modeseek.engines.cpu') for name in sys.modules), sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_examples_run():
    for name in ("estimators.dbscan", "dbscan"):
        result = doctest.testmod(import_module(f"modeseek.{name}"))
        assert result.attempted > 0
        assert result.failed == 0
