"""KMeans: scikit-learn's checks and results, the textbook's rounds, hostile input, the same bits for any threads."""

import doctest
import pickle

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, example, given
from hypothesis import strategies as st
from scipy.sparse import csr_matrix
from sklearn.base import clone
from sklearn.cluster import KMeans as PeerKMeans
from sklearn.cluster import MiniBatchKMeans
from sklearn.cluster import kmeans_plusplus as peer_plusplus
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.estimator_checks import parametrize_with_checks

import modeseek as ms
from modeseek import textbook
from modeseek.engines import namespaces
from modeseek.estimators import kmeans as kmeans_estimator
from modeseek.kmeans import cells, seeding
from modeseek.kmeans import nearest as nearest_module
from modeseek.kmeans.cells import CellClusters
from modeseek.kmeans.lloyd import Clusters, SmallClusters, _clusters, lloyd
from modeseek.kmeans.nearest import Points, nearest
from modeseek.kmeans.seeding import plus_plus
from modeseek.kmeans.seeding_cells import ClosestOnCells
from tests.examples import examples

DRAWN = "the same random numbers draw other rows of repeated points than of weighted ones; one cluster passes"


def expected_failures(estimator: ms.KMeans) -> dict[str, str]:
    return {"check_sample_weight_equivalence_on_dense_data": DRAWN} if estimator.n_clusters > 1 else {}


@parametrize_with_checks(
    [
        ms.KMeans(3, n_init=1),
        ms.KMeans(1),
        ms.KMeans(3, init="k-means||"),
        ms.KMeans(3, init="random", n_init=2),
    ],
    expected_failed_checks=expected_failures,
)
def test_scikit_learn_contract(estimator, check):
    check(estimator)


# ---- what is computed ---------------------------------------------------------------------------------------------


@pytest.fixture(params=["small", "tiles", "cells"])
def route(request, monkeypatch):
    """Every form of the same rounds, whatever the size of the data."""
    monkeypatch.setattr(nearest_module, "SMALL", 1 << 60 if request.param == "small" else 0)
    monkeypatch.setattr(seeding, "SMALL", 1 << 60 if request.param == "small" else 0)
    monkeypatch.setattr(cells, "FEWEST_POINTS", 1 if request.param == "cells" else 1 << 60)
    monkeypatch.setattr(cells, "POINTS_PER_CELL", 4)
    monkeypatch.setattr(cells, "CROWDED", np.inf)
    return request.param


def blobs(n: int, d: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.uniform(-5, 5, (9, d))[rng.integers(0, 9, n)] + rng.normal(size=(n, d))


def start_of(X: np.ndarray, k: int, seed: int = 0) -> np.ndarray:
    return X[np.random.default_rng(seed).choice(len(X), k, replace=False)]


def same_as_scikit_learn(X: np.ndarray, start: np.ndarray, w: np.ndarray | None = None, **how) -> ms.KMeans:
    how = {"n_init": 1, "init": start} | how
    model = ms.KMeans(len(start), **how).fit(X, sample_weight=w)
    peer = PeerKMeans(len(start), **how).fit(X, sample_weight=w)
    np.testing.assert_array_equal(model.labels_, peer.labels_)
    np.testing.assert_allclose(model.cluster_centers_, peer.cluster_centers_, rtol=1e-10, atol=1e-10)
    assert model.n_iter_ == peer.n_iter_
    assert model.inertia_ == pytest.approx(peer.inertia_, rel=1e-11)
    np.testing.assert_array_equal(model.predict(X), model.labels_)
    return model


@pytest.mark.parametrize("d", [1, 2, 3, 4, 5, 8, 12, 17])
def test_the_same_start_ends_as_in_scikit_learn(route, d):
    for seed, kind in enumerate((blobs, lambda n, d, seed: np.random.default_rng(seed).random((n, d)))):
        X = kind(3000, d, seed)
        same_as_scikit_learn(X, start_of(X, 7, seed))
        same_as_scikit_learn(X, start_of(X, 20, seed), tol=0.0, max_iter=9)
        w = np.random.default_rng(seed).uniform(0, 3, 3000)
        same_as_scikit_learn(X, start_of(X, 8, seed), w, tol=1e-3)


def test_many_points_end_as_in_scikit_learn():
    for d, k in ((2, 64), (3, 20), (6, 33)):
        X = blobs(60_000, d)
        same_as_scikit_learn(X, start_of(X, k), max_iter=15, tol=0.0)


@pytest.mark.parametrize("d", [1, 2, 5])
def test_empty_clusters_are_moved_as_in_scikit_learn(route, d):
    X = blobs(700, d)
    start = start_of(X, 6)
    far = np.concatenate([start, np.full((1, d), 30.0)])
    same_as_scikit_learn(X, far)
    far = np.concatenate([start, 30.0 + 9.0 * np.arange(3 * d).reshape(3, d)])
    same_as_scikit_learn(X, far)
    far = np.concatenate([np.full((1, d), 1e7), start])
    same_as_scikit_learn(X, far)
    w = np.ones(700)
    w[X[:, 0] > 2] = 0.0  # a centre that owns only points without weight is empty, too
    same_as_scikit_learn(X, X[[3, 9, int(X[:, 0].argmax())]], w)


@examples(60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 10**6), st.integers(1, 2), st.integers(1, 5), st.integers(2, 6))
def test_ties_on_lattices_go_to_the_first_centre(route, seed, d, k, side):
    rng = np.random.default_rng(seed)
    X = rng.integers(0, side, (60, d)).astype(float)
    start = rng.integers(0, 2 * side, (k, d)) / 2.0
    labels = textbook.k_nearest(X, start, 1)[1][:, 0]
    np.testing.assert_array_equal(nearest(X, start), labels)
    assume(len(np.unique(labels)) == k)
    model = ms.KMeans(k, init=start, n_init=1, max_iter=1, tol=0.0).fit(X)
    centres, labels, inertia = textbook.kmeans(X, start, 1)
    np.testing.assert_allclose(model.cluster_centers_, centres, rtol=1e-14, atol=1e-14)
    np.testing.assert_array_equal(model.labels_, textbook.k_nearest(X, model.cluster_centers_, 1)[1][:, 0])
    assert model.inertia_ == pytest.approx(inertia, abs=1e-9)


@examples(40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 10**6), d=st.integers(1, 6), k=st.integers(1, 6), rounds=st.integers(0, 4))
@example(seed=5, d=5, k=6, rounds=2)  # the first round leaves a centre without points
def test_rounds_are_the_textbooks(route, seed, d, k, rounds):
    X = blobs(150, d, seed)
    start, w = start_of(X, k, seed), np.random.default_rng(seed).uniform(0.1, 2.0, 150)
    points = Points.of(X, w)
    found = lloyd(points, start, rounds, 0.0, None, cells.places_of(points))
    if any(len(np.unique(textbook.kmeans(X, start, r, w)[1])) < k for r in range(rounds)):
        # the textbook leaves an empty cluster where it is; scikit-learn moves it, and so does the library
        peer = PeerKMeans(k, init=start, n_init=1, max_iter=rounds, tol=0.0).fit(X, sample_weight=w)
        centres, labels, inertia = peer.cluster_centers_, peer.labels_, peer.inertia_
    else:
        centres, labels, inertia = textbook.kmeans(X, start, rounds, w)
    np.testing.assert_allclose(found.centres, centres, atol=1e-11)
    np.testing.assert_array_equal(found.labels, labels)
    assert found.inertia == pytest.approx(inertia)
    np.testing.assert_allclose(found.masses, np.bincount(labels, w, k), atol=1e-11)


def test_labels_are_those_of_float64_where_float32_is_not_enough(route):
    rng = np.random.default_rng(0)
    near = np.array([[1.0, 1.0], [1.0 + 1e-6, 1.0]])
    X = np.concatenate([1.0 + 1e-6 * rng.normal(size=(400, 2)), [[-1e3, 0.0]]])
    centres = np.concatenate([near, [[-1e3, 0.0]]])
    labels = textbook.k_nearest(X, centres, 1)[1][:, 0]
    single = X.astype(np.float32) @ centres.T.astype(np.float32) - 0.5 * np.square(centres.astype(np.float32)).sum(1)
    assert (single.argmax(axis=1) != labels).sum() > 50  # what is tested is not always so
    np.testing.assert_array_equal(nearest(X, centres), labels)
    same = ms.KMeans(3, init=centres, n_init=1, max_iter=1).fit(X)
    np.testing.assert_array_equal(same.labels_, textbook.k_nearest(X, same.cluster_centers_, 1)[1][:, 0])


@pytest.mark.parametrize("d", [1, 2, 3, 4, 7, 8, 20, 64])
def test_a_tile_finds_the_best_two(d):
    from modeseek.engines.cpu import lloyd as kernels

    rng = np.random.default_rng(d)
    width, lanes = kernels.padded(d), kernels.LANES
    for k in (1, 2, 9):
        x, c = rng.normal(size=(lanes, d)).astype(np.float32), rng.normal(size=(k, d))
        packed, half, _ = nearest_module.pack(c, np.zeros(d), 1.0, width)
        state, tile = np.empty(5 * lanes, np.float32), np.zeros((width, lanes), np.float32)
        tile[:d] = x.T
        kernels._best_two(tile.ravel(), packed, half, state, len(half), width)
        scores = x @ c.T - 0.5 * np.square(c).sum(axis=1)
        np.testing.assert_array_equal(state[2 * lanes : 3 * lanes], scores.argmax(axis=1))
        np.testing.assert_allclose(state[:lanes], scores.max(axis=1), rtol=1e-4, atol=1e-4)
        if k > 1:
            np.testing.assert_allclose(state[lanes : 2 * lanes], np.sort(scores, axis=1)[:, -2], rtol=1e-4, atol=1e-4)


def test_sums_do_not_keep_what_heavy_points_left_behind(route):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(600, 5))
    X[300:, 0] += 6.0
    w = np.where(X[:, 0] > 3.0, 1e14, 1.0)
    model = ms.KMeans(2, init=np.array([[-9.0, 0, 0, 0, 0], [-1.0, 0, 0, 0, 0]]), n_init=1).fit(X, sample_weight=w)
    for j in range(2):
        mine = model.labels_ == j
        np.testing.assert_allclose(model.cluster_centers_[j], np.average(X[mine], 0, w[mine]), rtol=1e-9, atol=1e-11)


def test_a_weight_of_three_is_three_copies(route):
    X = blobs(800, 2)
    w = np.random.default_rng(1).integers(0, 4, 800)
    start = start_of(X, 5)
    weighted = ms.KMeans(5, init=start, n_init=1, tol=0.0).fit(X, sample_weight=w)
    copies = ms.KMeans(5, init=start, n_init=1, tol=0.0).fit(np.repeat(X, w, axis=0))
    np.testing.assert_allclose(weighted.cluster_centers_, copies.cluster_centers_, rtol=1e-12)
    np.testing.assert_array_equal(np.repeat(weighted.labels_, w), copies.labels_)
    assert weighted.inertia_ == pytest.approx(copies.inertia_)


@pytest.mark.parametrize("d", [2, 3, 9])
def test_the_same_bits_for_any_number_of_threads(d):
    X = blobs(70_000, d)
    w = np.random.default_rng(0).uniform(size=70_000)
    models = [ms.KMeans(30, random_state=3, max_iter=12, n_jobs=jobs).fit(X, sample_weight=w) for jobs in (1, 2, 7)]
    for other in models[1:]:
        np.testing.assert_array_equal(models[0].cluster_centers_, other.cluster_centers_)
        np.testing.assert_array_equal(models[0].labels_, other.labels_)
        assert models[0].inertia_ == other.inertia_
        np.testing.assert_array_equal(models[0].transform(X[:5000]), other.transform(X[:5000]))
    scalable = [ms.KMeans(9, init="k-means||", random_state=3, max_iter=2, n_jobs=jobs).fit(X) for jobs in (1, 7)]
    np.testing.assert_array_equal(scalable[0].cluster_centers_, scalable[1].cluster_centers_)


# ---- hostile input ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("offset", [0.0, 1e6, 1e9])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_labels_are_what_predict_returns_far_from_zero(route, offset, dtype):
    X = (blobs(2000, 2) * (1.0 if dtype is np.float64 else 1e-6 * max(offset, 1e6)) + offset).astype(dtype)
    model = ms.KMeans(6, random_state=0, max_iter=30).fit(X)
    assert model.cluster_centers_.dtype == dtype
    np.testing.assert_array_equal(model.predict(X), model.labels_)
    exact = np.sqrt(np.square(X[:, None].astype(float) - model.cluster_centers_.astype(float)).sum(axis=2))
    np.testing.assert_allclose(model.transform(X), exact, rtol=1e-6)
    np.testing.assert_array_equal(exact.argmin(axis=1), model.labels_)
    assert model.inertia_ == pytest.approx(np.square(exact.min(axis=1)).sum())
    assert model.score(X) == pytest.approx(-model.inertia_)


def test_an_offset_does_not_change_the_clusters(route):
    X = np.round(blobs(1500, 2) * 64) / 64
    start = start_of(X, 6)
    here = ms.KMeans(6, init=start, n_init=1).fit(X)
    there = ms.KMeans(6, init=start + 2.0**30, n_init=1).fit(X + 2.0**30)
    np.testing.assert_array_equal(here.labels_, there.labels_)
    assert here.n_iter_ == there.n_iter_
    assert there.inertia_ == pytest.approx(here.inertia_, rel=1e-6)


def test_fewer_distinct_points_than_clusters(route):
    X = np.repeat([[0.0, 0.0], [1.0, 1.0], [5.0, 2.0]], 30, axis=0)
    for init in ("k-means++", "k-means||", "random"):
        with pytest.warns(ConvergenceWarning, match=r"distinct clusters \(3\) found smaller than n_clusters \(5\)"):
            model = ms.KMeans(5, init=init, random_state=0, n_init=1 if init != "random" else 10).fit(X)
        assert model.inertia_ == 0.0
    with pytest.warns(ConvergenceWarning, match=r"distinct clusters \(1\)"):
        model = ms.KMeans(2, random_state=0).fit(np.full((50, 3), 7.0))
    np.testing.assert_array_equal(model.cluster_centers_, np.full((2, 3), 7.0))


def test_as_many_clusters_as_points_and_only_one(route):
    X = blobs(40, 3)
    model = ms.KMeans(40, random_state=0).fit(X)
    assert model.inertia_ == 0.0
    assert sorted(model.labels_) == list(range(40))
    one = ms.KMeans(1, random_state=0).fit(X)
    np.testing.assert_allclose(one.cluster_centers_, [X.mean(axis=0)])
    assert one.inertia_ == pytest.approx(np.square(X - X.mean(axis=0)).sum())


@pytest.mark.parametrize("scale", [1e-100, 1e-38, 1e38, 1e100])
def test_units_do_not_matter(route, scale):
    X = blobs(500, 3)
    start = start_of(X, 4)
    here = ms.KMeans(4, init=start, n_init=1).fit(X)
    there = ms.KMeans(4, init=start * scale, n_init=1).fit(X * scale)
    np.testing.assert_array_equal(here.labels_, there.labels_)
    np.testing.assert_allclose(there.cluster_centers_, here.cluster_centers_ * scale, rtol=1e-9)


def test_outliers_do_not_spoil_the_others():
    X = np.concatenate([blobs(120_000, 2), [[1e12, 0.0]]])
    start = np.concatenate([start_of(X[:-1], 5), X[-1:]])
    model = ms.KMeans(6, init=start, n_init=1, max_iter=3, tol=0.0).fit(X)
    others = ms.KMeans(5, init=start[:5], n_init=1, max_iter=3, tol=0.0).fit(X[:-1])
    np.testing.assert_array_equal(model.labels_, [*others.labels_, 5])
    np.testing.assert_allclose(model.cluster_centers_[:5], others.cluster_centers_, rtol=1e-12)
    assert cells.places_of(Points.of(X, np.empty(0))) is None
    assert cells.places_of(Points.of(X[:-1], np.empty(0))) is not None


def test_what_is_wrong_is_said():
    X = blobs(50, 2)
    for bad, words in ((np.nan, "NaN"), (np.inf, "infinity")):
        wrong = X.copy()
        wrong[7, 1] = bad
        for call in (
            ms.KMeans(3).fit,
            ms.KMeans(3).partial_fit,
            ms.KMeans(3).fit(X).predict,
            ms.KMeans(3).fit(X).score,
        ):
            with pytest.raises(ValueError, match=words):
                call(wrong)
        with pytest.raises(ValueError, match=words):
            ms.kmeans_plusplus(wrong, 2)
    with pytest.raises(ValueError, match="n_samples=50 should be >= n_clusters=51"):
        ms.KMeans(51).fit(X)
    with pytest.raises(ValueError, match="n_samples=50 should be >= n_clusters=51"):
        ms.kmeans_plusplus(X, 51)
    with pytest.raises(ValueError, match="does not match the number of clusters"):
        ms.KMeans(3, init=X[:2]).fit(X)
    with pytest.raises(ValueError, match="initial centers contain NaN"):
        ms.KMeans(2, init=[[0.0, np.nan], [1.0, 1.0]]).fit(X)
    with pytest.raises(ValueError, match="entry 3 is -1"):
        ms.KMeans(2).fit(X, sample_weight=np.where(np.arange(50) == 3, -1.0, 1.0))
    with pytest.raises(ValueError, match="Rescale X"):
        ms.KMeans(2).fit(X * 1e200)
    with pytest.raises(ValueError, match="Rescale X"):
        ms.KMeans(2).fit(X * 1e-200)
    with pytest.raises(TypeError, match=r"[Ss]parse"):
        ms.KMeans(2).fit(csr_matrix(X))
    with pytest.warns(RuntimeWarning, match="performing only one init"):
        ms.KMeans(2, init=X[:2], n_init=3).fit(X)
    for wrong in ({"n_clusters": 0}, {"init": "best"}, {"tol": -1.0}, {"n_init": 0}, {"algorithm": "fast"}):
        with pytest.raises(ValueError, match="parameter of KMeans must be"):
            ms.KMeans(**wrong).fit(X)


def test_memory_that_is_not_ours_is_read_as_it_is(tmp_path):
    X = blobs(3000, 4)
    expected = ms.KMeans(5, random_state=0).fit(X)
    frozen = X.copy()
    frozen.flags.writeable = False
    np.save(tmp_path / "x.npy", X)
    for other in (frozen, np.asfortranarray(X), np.load(tmp_path / "x.npy", mmap_mode="r"), X[::-1][::-1], X.tolist()):
        model = ms.KMeans(5, random_state=0, copy_x=False).fit(other)
        np.testing.assert_array_equal(model.labels_, expected.labels_)
        np.testing.assert_array_equal(model.predict(other), expected.labels_)
    np.testing.assert_array_equal(X, frozen)


# ---- starts and batches -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("weighted", [False, True])
def test_seeds_are_those_of_scikit_learn(route, weighted):
    for seed in range(5):
        X = blobs(600, 1 + seed, seed)
        w = np.random.default_rng(seed).uniform(0, 2, 600) if weighted else None
        for k, trials in ((1, None), (8, None), (30, 1), (30, 3)):
            how = {"sample_weight": w, "random_state": seed, "n_local_trials": trials}
            centres, rows = ms.kmeans_plusplus(X, k, **how)
            np.testing.assert_array_equal(rows, peer_plusplus(X, k, **how)[1])
            np.testing.assert_array_equal(centres, X[rows])


@pytest.mark.parametrize("init", ["k-means++", "random"])
def test_whole_fits_are_those_of_scikit_learn(route, init):
    X = blobs(900, 3)
    for seed in range(3):
        model, peer = (kind(6, init=init, random_state=seed).fit(X) for kind in (ms.KMeans, PeerKMeans))
        assert model.inertia_ == pytest.approx(peer.inertia_, rel=1e-11)
        np.testing.assert_array_equal(model.labels_, peer.labels_)

    def first(X, k, random_state):
        return X[random_state.permutation(len(X))[:k]]

    model, peer = (kind(6, init=first, random_state=0, n_init=2).fit(X) for kind in (ms.KMeans, PeerKMeans))
    np.testing.assert_array_equal(model.labels_, peer.labels_)


def test_scalable_seeds_are_different_rows_and_as_good(route):
    X = blobs(4000, 3)
    w = np.random.default_rng(0).integers(0, 3, 4000).astype(float)
    inertias: dict[str, list[float]] = {"k-means++": [], "k-means||": [], "random": []}
    for seed in range(4):
        rows = seeding.scalable(X, w, 12, np.random.RandomState(seed))
        assert len(np.unique(rows)) == 12
        assert (w[rows] > 0.0).all()
        for init, found in inertias.items():
            found.append(ms.KMeans(9, init=init, n_init=1, max_iter=1, random_state=seed).fit(X).inertia_)
    assert np.median(inertias["k-means||"]) < 1.3 * np.median(inertias["k-means++"])
    assert np.median(inertias["k-means||"]) < 0.8 * np.median(inertias["random"])
    assert sorted(seeding.scalable(X[:15], np.empty(0), 15, np.random.RandomState(0))) == list(range(15))


def test_batches_move_centres_as_in_scikit_learn():
    X, w = blobs(3000, 4), np.random.default_rng(0).uniform(size=3000)
    start = start_of(X, 6)
    model, peer = ms.KMeans(6, init=start), MiniBatchKMeans(6, init=start, n_init=1, reassignment_ratio=0.0)
    for batch in np.array_split(np.arange(3000), 7):
        model.partial_fit(X[batch], sample_weight=w[batch])
        peer.partial_fit(X[batch], sample_weight=w[batch])
        np.testing.assert_allclose(model.cluster_centers_, peer.cluster_centers_, rtol=1e-10, atol=1e-12)
        np.testing.assert_array_equal(model.labels_, peer.labels_)
        assert model.inertia_ == pytest.approx(peer.inertia_)
        assert model.n_steps_ == peer.n_steps_
    with pytest.raises(ValueError, match="should be >= n_clusters"):
        ms.KMeans(6).partial_fit(X[:5])


def test_batches_go_on_where_a_fit_ended():
    X, more = blobs(2000, 3), blobs(500, 3, 1)
    model = ms.KMeans(4, random_state=0).fit(X)
    before, labels, held = model.cluster_centers_.copy(), model.predict(more), np.bincount(model.labels_, minlength=4)
    model.partial_fit(more)
    for j in range(4):
        mine = more[labels == j]
        expected = (held[j] * before[j] + mine.sum(axis=0)) / (held[j] + len(mine))
        np.testing.assert_allclose(model.cluster_centers_[j], expected, rtol=1e-9)


# ---- beside other libraries ---------------------------------------------------------------------------------------


def test_frames_names_and_outputs():
    pandas, polars = pytest.importorskip("pandas"), pytest.importorskip("polars")
    X = blobs(300, 2)
    expected = ms.KMeans(3, random_state=0).fit(X)
    for library in (pandas, polars):
        frame = library.DataFrame({"east": X[:, 0], "north": X[:, 1]})
        model = ms.KMeans(3, random_state=0).fit(frame)
        np.testing.assert_array_equal(model.labels_, expected.labels_)
        assert list(model.feature_names_in_) == ["east", "north"]
        assert list(model.get_feature_names_out()) == ["kmeans0", "kmeans1", "kmeans2"]
        with pytest.raises(ValueError, match="feature names should match"):
            model.predict(library.DataFrame({"north": X[:, 0], "east": X[:, 1]}))
    out = ms.KMeans(3, random_state=0).set_output(transform="pandas").fit_transform(X)
    assert list(out.columns) == ["kmeans0", "kmeans1", "kmeans2"]
    np.testing.assert_array_equal(out.to_numpy(), expected.transform(X))


def test_tensors_and_arrays_come_back_as_they_came():
    torch, strict = pytest.importorskip("torch"), pytest.importorskip("array_api_strict")
    X = blobs(300, 2).astype(np.float32)
    expected = ms.KMeans(3, random_state=0).fit(X)
    for array, kind in ((torch.from_numpy(X), torch.Tensor), (strict.asarray(X), type(strict.asarray(X)))):
        model = ms.KMeans(3, random_state=0).fit(array)
        for value, other in (
            (model.labels_, expected.labels_),
            (model.cluster_centers_, expected.cluster_centers_),
            (model.predict(array), expected.labels_),
            (model.transform(array), expected.transform(X)),
        ):
            assert isinstance(value, kind)
            np.testing.assert_array_equal(namespaces.as_numpy(value), other)
        assert model.score(array) == pytest.approx(-expected.inertia_)
        model.partial_fit(array)


def test_copies_of_a_model():
    X = blobs(400, 2)
    model = ms.KMeans(4, random_state=0, init="k-means||").fit(X)
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.predict(X), model.labels_)
    np.testing.assert_array_equal(again.partial_fit(X).cluster_centers_, model.partial_fit(X).cluster_centers_)
    assert clone(model).get_params() == model.get_params()
    assert not hasattr(clone(model), "labels_")


def test_rounds_are_reported(capsys):
    ms.KMeans(3, random_state=0, verbose=1).fit(blobs(200, 2))
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("Iteration 0: 200 labels changed")


def test_every_route_is_taken_where_it_should_be(route):
    X = blobs(500, 2)
    points = Points.of(X, np.empty(0))
    kinds = {"small": SmallClusters, "tiles": Clusters, "cells": CellClusters}
    assert type(_clusters(points, X[:4], cells.places_of(points))) is kinds[route]


@pytest.mark.parametrize("module", [seeding, nearest_module, kmeans_estimator])
def test_examples_run(module):
    assert doctest.testmod(module).failed == 0


@pytest.mark.parametrize("kind", ["even", "lattice", "blobs", "duplicates", "line", "far", "float32", "weights"])
@pytest.mark.parametrize("d", [1, 2, 3])
def test_seeds_on_cells_are_those_of_all_points(kind, d):
    rng = np.random.default_rng(d)
    x = rng.random((3000, d))
    if kind == "lattice":
        x = np.round(x * 6.0)
    elif kind == "blobs":
        x = 9.0 * rng.integers(0, 4, (3000, d)) + x
    elif kind == "duplicates":
        x = x[rng.integers(0, 40, 3000)]
    elif kind == "line":
        x = x[:, :1] * np.arange(1.0, d + 1.0)
    elif kind == "far":
        x = x + 1e6
    elif kind == "float32":
        x = x.astype(np.float32)
    weights = rng.integers(0, 3, 3000).astype(float) if kind == "weights" else np.empty(0)
    places = cells.places_of(Points.of(x, weights))
    assert places is not None
    found = [
        plus_plus(x, weights, 48, np.random.RandomState(0), n_jobs, None, where)
        for n_jobs, where in ((1, None), (1, places), (2, places), (7, places))
    ]
    for rows in found[2:]:
        assert np.array_equal(rows, found[1])

    # of equally good candidates rounding may choose: what counts is that the potentials are the same at every step
    def potential(rows):
        squares = np.square(x[:, None].astype(float) - x[rows].astype(float)).sum(axis=2).min(axis=1)
        return squares.sum() if not weights.size else squares @ weights

    if kind in ("lattice", "duplicates"):
        assert potential(found[1]) <= 1.5 * potential(found[0]) + 1e-9
    else:
        assert np.array_equal(found[0], found[1])


def test_seeds_of_cells_keep_exact_distances():
    rng = np.random.default_rng(3)
    x = np.round(rng.random((5000, 2)) * 40.0)
    places = cells.places_of(Points.of(x, np.empty(0)))
    closest = ClosestOnCells(places, np.empty(0), 20, 2)
    seeds = x[rng.integers(0, 5000, 20)]
    for number, seed in enumerate(seeds, start=1):
        candidates = x[rng.integers(0, 5000, 3)]
        if number > 1:
            kept = np.square(x[:, None] - seeds[: number - 1]).sum(axis=2).min(axis=1)
            with_one = np.minimum(kept[:, None], np.square(x[:, None] - candidates).sum(axis=2)).sum(axis=0)
            assert np.array_equal(closest.potentials(candidates), with_one)
        total = closest.add(seed)
        expected = np.square(x[:, None] - seeds[:number]).sum(axis=2).min(axis=1)
        assert np.array_equal(closest.closest, expected)
        assert total == expected.sum()
        values = rng.random(5) * total
        assert np.array_equal(closest.rows_at(values), np.searchsorted(np.cumsum(expected), values))
