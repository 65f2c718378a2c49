"""Nearest neighbours: the tree and all pairs against the plain form, scikit-learn and cKDTree; ties, and bad input."""

import doctest
import pickle

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial import cKDTree
from sklearn import neighbors as peers
from sklearn.base import clone
from sklearn.utils.estimator_checks import parametrize_with_checks

import modeseek as ms
from modeseek import textbook
from modeseek.estimators import nearest_neighbors
from modeseek.neighbors import pairs
from modeseek.neighbors.brute import AllPairs
from modeseek.neighbors.tree import LeafTree
from tests.examples import examples

STRUCTURES = [LeafTree, AllPairs]


@parametrize_with_checks([ms.NearestNeighbors(), ms.NearestNeighbors(algorithm="tree")])
def test_scikit_learn_contract(estimator, check):
    check(estimator)


def blobs(n: int, d: int, seed: int = 0) -> np.ndarray:
    """Clusters whose densities differ by orders of magnitude."""
    rng = np.random.default_rng(seed)
    spreads = 10.0 ** rng.uniform(-2, 0.3, 6)
    which = rng.integers(0, 6, n)
    return rng.uniform(0, 20, (6, d))[which] + rng.normal(size=(n, d)) * spreads[which][:, None]


def shapes(d: int, n: int = 300) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(d)
    outlier = rng.normal(size=(n, d))
    outlier[7] = 1e12
    return {
        "uniform": rng.random((n, d)),
        "blobs": blobs(n, d),
        "far from zero": blobs(n, d) + 1e9,
        "lattice": rng.integers(0, 4, (n, d)) * 0.5,
        "repeated": np.repeat(rng.random((3, d)), n // 3, axis=0)[rng.permutation(3 * (n // 3))],
        "constant": np.full((n, d), 0.1),
        "collinear": np.outer(rng.integers(0, 50, n), np.ones(d)) * 0.25,
        "outlier": outlier,
        "tiny": rng.random((n, d)) * 1e-200,
        "huge": rng.random((n, d)) * 1e140,
    }


def plain_self(X: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Each row's neighbours among the others, by the textbook: itself is taken out."""
    distances, rows = textbook.k_nearest(X, X, len(X))
    keep = rows != np.arange(len(X))[:, None]
    return tuple(a[keep].reshape(len(X), -1)[:, :k] for a in (distances, rows))


def same(found, expected, name: str = "") -> None:
    np.testing.assert_array_equal(found[1], expected[1], name)
    np.testing.assert_array_equal(found[0], expected[0], name)


@pytest.mark.parametrize("structure", STRUCTURES)
@pytest.mark.parametrize("d", [1, 2, 3, 4, 6])
def test_nearest_are_those_of_the_textbook(structure, d):
    for name, X in shapes(d).items():
        search = structure(X)
        for k in (1, 10, 16, 20):
            same(search.nearest(None, k), plain_self(X, k), name)
        Q = np.concatenate([X[:40] + 0.01, X[::7]])
        for queries in (Q, Q[:2]):  # as groups, and one by one
            same(search.nearest(queries, 5), textbook.k_nearest(queries, X, 5))


@pytest.mark.parametrize("structure", STRUCTURES)
@pytest.mark.parametrize("d", [9, 17, 70])
def test_nearest_in_many_columns(structure, d):
    for name, X in shapes(d, 200).items():  # NumPy adds up columns in another order: the last bits differ
        expected = plain_self(X, 7)
        found = structure(X).nearest(None, 7)
        np.testing.assert_allclose(found[0], expected[0], rtol=1e-14, err_msg=name)
        if name in ("lattice", "constant"):  # no rounding, all ties
            same(found, expected)


@pytest.mark.parametrize("d", [5, 6, 17])
def test_pairs_of_leaves_find_what_walks_find(d):
    for n in (17, 300, 3001):  # one block, one block, four blocks, each with a leaf that is not full
        for name, X in shapes(d, n).items():
            tree = LeafTree(X)
            for k in (1, 10, 16) if n > 300 else (1, 10, 16, 20, 40):
                if k >= len(X):
                    continue
                found, walked = by_pairs(tree, k), tree._walk(None, k, None)[:2]
                same(found, walked, name)
                if d < 8 and n <= 300:
                    same(found, plain_self(X, k), name)


def by_pairs(tree: LeafTree, k: int, n_jobs: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    return pairs.nearest(tree.order, tree.blocks, tree.singles, tree.halves, tree.scale, tree.shape[1], k, n_jobs)


def test_many_neighbours_of_pairs_and_of_walks():
    X = np.random.default_rng(0).integers(0, 3, (2600, 8)) * 0.5 + blobs(2600, 8).round(1)  # ties
    tree = LeafTree(X)
    found = by_pairs(tree, 70)
    same(found, tree._walk(None, 70, None)[:2])
    some = slice(0, 2600, 131)
    expected = textbook.k_nearest(X[some], X, 71)
    np.testing.assert_allclose(found[0][some], expected[0][:, 1:], rtol=1e-13)


def test_pairs_are_taken_where_the_tree_leaves_little_out(monkeypatch):
    taken = []
    monkeypatch.setattr(pairs, "nearest", lambda *args: taken.append(args) or (np.empty((0, 0)), np.empty((0, 0), int)))
    rng = np.random.default_rng(0)
    LeafTree(rng.random((6000, 16))).nearest(None, 5)
    assert len(taken) == 1
    for X in (blobs(20_000, 6), rng.random((20_000, 4)), rng.random((1000, 16))):
        LeafTree(X).nearest(None, 5)
    assert len(taken) == 1


@pytest.mark.parametrize("structure", STRUCTURES)
@pytest.mark.parametrize("d", [1, 2, 3, 6])
def test_radii_are_those_of_the_textbook(structure, d):
    for X in shapes(d, 210).values():
        search = structure(X)
        middle = float(np.median(search.nearest(None, 12)[0][:, -1])) or 0.5
        for radius in (middle, 0.5, 1e150):
            Q = np.concatenate([X[:30], X[:5] + radius * 0.3]) if radius < 1e100 else X[:9]
            expected = textbook.within(Q, X, radius)
            radii = np.full(len(Q), radius)
            indptr, rows, distances = search.within(Q, radii)
            assert (
                search.count_within(Q, radii).tolist() == [len(part) for part in expected] == np.diff(indptr).tolist()
            )
            for i, part in enumerate(expected):
                mine = rows[indptr[i] : indptr[i + 1]]
                np.testing.assert_array_equal(np.sort(mine), part)
                lengths = np.sqrt(((X[mine] - Q[i]) ** 2).sum(1))
                np.testing.assert_allclose(distances[indptr[i] : indptr[i + 1]], lengths, rtol=1e-15)


@examples(60)
@given(st.data())
def test_ties_are_broken_by_the_lower_row(data):
    n, d = data.draw(st.integers(2, 60)), data.draw(st.integers(1, 3))
    values = data.draw(st.lists(st.integers(-2, 2), min_size=n * d, max_size=n * d))
    X = np.array(values, float).reshape(n, d) * data.draw(st.sampled_from([1.0, 0.1, 1e-9, 1e6]))
    k = data.draw(st.integers(1, n - 1))
    radius = data.draw(st.sampled_from([0.1, 0.2, 1.0, 2.0, 1e6]))
    expected = textbook.within(X, X, radius)
    for structure in STRUCTURES:
        same(structure(X).nearest(None, k), plain_self(X, k))
        same(structure(X).nearest(X, n), textbook.k_nearest(X, X, n))
        counts = structure(X).count_within(None, np.full(n, radius))
        assert counts.tolist() == [len(part) - 1 for part in expected]


@pytest.mark.parametrize("d", [2, 3, 8])
def test_many_points_agree_with_ckdtree(d):
    X = np.concatenate([blobs(6000, d), np.random.default_rng(1).random((3000, d)) * 20])
    distances, rows = ms.NearestNeighbors(n_neighbors=10).fit(X).kneighbors()
    expected = cKDTree(X).query(X, 11)[0][:, 1:]
    np.testing.assert_allclose(distances, expected, rtol=1e-12)
    np.testing.assert_allclose(np.linalg.norm(X[rows] - X[:, None], axis=2), distances, rtol=1e-12)
    radius = float(np.median(expected[:, -1]))
    counts = ms.NearestNeighbors(radius=radius).fit(X).count_neighbors()
    np.testing.assert_array_equal(counts, cKDTree(X).query_ball_point(X, radius, return_length=True) - 1)


def test_thousands_of_repeats_take_no_longer_than_others():
    X = np.zeros((60_000, 2))  # a search that looked at all ties would take minutes
    distances, rows = ms.NearestNeighbors(n_neighbors=3).fit(X).kneighbors()
    assert not distances.any()
    assert rows[0].tolist() == [1, 2, 3]
    np.testing.assert_array_equal(rows[3:], np.tile([0, 1, 2], (len(X) - 3, 1)))
    assert set(ms.NearestNeighbors(radius=0.0).fit(X).count_neighbors()) == {len(X) - 1}


def test_results_have_the_same_bits_for_any_number_of_threads():
    for X in (blobs(20_000, 2), blobs(5000, 6), np.random.default_rng(3).random((5000, 9))):
        found = []
        for n_jobs in (1, 2, 7):
            model = ms.NearestNeighbors(radius=0.1, n_jobs=n_jobs).fit(X)
            graph = model.radius_neighbors_graph(mode="distance")
            found.append([*model.kneighbors(), graph.indptr, graph.indices, graph.data])
        for other in found[1:]:
            for a, b in zip(found[0], other, strict=True):
                np.testing.assert_array_equal(a, b)


def test_a_wrong_neighbour_would_be_seen():
    X = blobs(200, 2)
    distances, rows = LeafTree(X).nearest(None, 4)
    rows[3, 2] = (rows[3, 2] + 1) % 200
    with pytest.raises(AssertionError):
        same((distances, rows), plain_self(X, 4))


# ---- as in scikit-learn -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("metric", ["minkowski", "cosine"])
@pytest.mark.parametrize("n", [80, 1500])
def test_methods_are_those_of_scikit_learn(metric, n):
    X, Q = blobs(n, 3) + 1.0, blobs(60, 3, 1) + 1.0
    radius = 0.3 if metric == "minkowski" else 1e-3
    ours = ms.NearestNeighbors(n_neighbors=6, radius=radius, metric=metric).fit(X)
    theirs = peers.NearestNeighbors(n_neighbors=6, radius=radius, metric=metric).fit(X)
    assert (ours.n_samples_fit_, ours.n_features_in_) == (n, 3)
    assert ours.effective_metric_ == theirs.effective_metric_
    for asked in (None, Q):
        for mine, other in zip(ours.kneighbors(asked), theirs.kneighbors(asked), strict=True):
            np.testing.assert_allclose(mine, other, rtol=1e-6, atol=1e-14)
        np.testing.assert_array_equal(ours.kneighbors(asked, 2, False), theirs.kneighbors(asked, 2, False))
        mine = ours.radius_neighbors(asked, sort_results=True)
        other = theirs.radius_neighbors(asked, sort_results=True)
        assert mine[0].dtype == mine[1].dtype == object
        for a, b in zip(mine[1], other[1], strict=True):
            np.testing.assert_array_equal(a, b)
        for mode in ("connectivity", "distance"):
            a, b = ours.kneighbors_graph(asked, mode=mode), theirs.kneighbors_graph(asked, mode=mode)
            np.testing.assert_allclose(a.toarray(), b.toarray(), rtol=1e-6, atol=1e-14)
            a, b = ours.radius_neighbors_graph(asked, mode=mode), theirs.radius_neighbors_graph(asked, mode=mode)
            np.testing.assert_allclose(a.toarray(), b.toarray(), rtol=1e-6, atol=1e-14)
    lengths = [len(part) for part in ours.radius_neighbors(Q, return_distance=False)]
    assert ours.count_neighbors(Q).tolist() == lengths


@pytest.mark.parametrize("include_self", [True, False, "auto"])
@pytest.mark.parametrize("mode", ["connectivity", "distance"])
def test_graph_functions_are_those_of_scikit_learn(include_self, mode):
    X = blobs(300, 2)
    for name, parameter in (("kneighbors_graph", 4), ("radius_neighbors_graph", 0.2)):
        how = {"mode": mode, "include_self": include_self}
        expected = getattr(peers, name)(X, parameter, **how)
        for given_as in (X, ms.NearestNeighbors().fit(X)):
            found = getattr(ms, name)(given_as, parameter, **how)
            np.testing.assert_allclose(found.toarray(), expected.toarray(), rtol=1e-12)
            assert found.nnz == expected.nnz
    with pytest.raises(ValueError, match="for metric, while the model has"):
        ms.kneighbors_graph(ms.NearestNeighbors(metric="cosine").fit(X), 2)


def test_each_query_may_have_a_radius():
    X = blobs(2000, 2)
    radii = np.random.default_rng(0).uniform(0.0, 0.5, len(X))
    model = ms.NearestNeighbors().fit(X)
    tree = cKDTree(X)
    np.testing.assert_array_equal(model.count_neighbors(X, radii), tree.query_ball_point(X, radii, return_length=True))
    sorted_rows = model.radius_neighbors(radius=radii, sort_results=True)[1]
    for i in range(0, len(X), 97):
        assert sorted(sorted_rows[i]) == [j for j in sorted(tree.query_ball_point(X[i], radii[i])) if j != i]


def test_frames_tensors_copies_and_orders():
    X = blobs(1600, 3)
    expected = ms.NearestNeighbors().fit(X).kneighbors()
    read_only, odd = X.copy(), np.asfortranarray(X)
    read_only.setflags(write=False)
    for given_as in (read_only, odd, X[::-1][::-1], X.tolist(), pd.DataFrame(X), pl.DataFrame(X)):
        model = ms.NearestNeighbors().fit(given_as)
        same(model.kneighbors(), expected)
        same(model.kneighbors(given_as, 1), (np.zeros((1600, 1)), np.arange(1600)[:, None]))
    model = ms.NearestNeighbors().fit(pd.DataFrame(X, columns=["a", "b", "c"]))
    assert model.feature_names_in_.tolist() == ["a", "b", "c"]
    same(pickle.loads(pickle.dumps(model)).kneighbors(), expected)
    assert clone(model).get_params() == model.get_params()
    single = X.astype(np.float32)
    same(ms.NearestNeighbors().fit(single).kneighbors(), ms.NearestNeighbors().fit(single.astype(float)).kneighbors())


def test_tensors_come_back_as_tensors():
    torch = pytest.importorskip("torch")
    X = torch.tensor(blobs(50, 2))
    distances, rows = ms.NearestNeighbors().fit(X).kneighbors(X)
    assert isinstance(distances, torch.Tensor)
    assert isinstance(rows, torch.Tensor)


def test_array_api_arrays_come_back_as_they_are():
    strict = pytest.importorskip("array_api_strict")
    X = strict.asarray(blobs(50, 2))
    distances, rows = ms.NearestNeighbors().fit(X).kneighbors(X)
    assert distances.__array_namespace__() is rows.__array_namespace__() is strict


# ---- what is refused ----------------------------------------------------------------------------------------------

LINE = np.arange(6.0)[:, None]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ms.NearestNeighbors().fit(LINE).kneighbors(n_neighbors=6), "Expected n_neighbors < n_samples_fit"),
        (lambda: ms.NearestNeighbors().fit(LINE).kneighbors(LINE, 7), "Expected n_neighbors <= n_samples_fit"),
        (lambda: ms.NearestNeighbors().fit(LINE).kneighbors(LINE, 0), "n_neighbors must be at least 1"),
        (lambda: ms.NearestNeighbors().fit([[0.0], [np.nan]]), "contains NaN"),
        (lambda: ms.NearestNeighbors().fit([[0.0], [np.inf]]), "contains infinity"),
        (lambda: ms.NearestNeighbors().fit([[0.0], [1e200]]), "squared distances overflow"),
        (lambda: ms.NearestNeighbors().fit(LINE).kneighbors([[np.nan]]), "contains NaN"),
        (lambda: ms.NearestNeighbors().fit(LINE).kneighbors([[1.0, 2.0]]), "2 features"),
        (lambda: ms.NearestNeighbors(metric="manhattan").fit(LINE), "not supported"),
        (lambda: ms.NearestNeighbors(p=1).fit(LINE), "p=1 is not supported"),
        (lambda: ms.NearestNeighbors(metric_params={"w": 1}).fit(LINE), "metric_params"),
        (lambda: ms.NearestNeighbors(metric="cosine").fit(LINE), "Row 0 of X is zero"),
        (lambda: ms.NearestNeighbors(algorithm="grid").fit(LINE), "algorithm"),
        (lambda: ms.NearestNeighbors().fit(LINE).radius_neighbors(radius=-1.0), "at least 0"),
        (lambda: ms.NearestNeighbors().fit(LINE).radius_neighbors(radius=np.nan), "at least 0"),
        (lambda: ms.NearestNeighbors().fit(LINE).count_neighbors(radius=[1.0, 2.0]), r"shape \(6,\)"),
        (lambda: ms.NearestNeighbors().fit(LINE).kneighbors_graph(mode="other"), "Unsupported mode"),
        (lambda: ms.NearestNeighbors().fit(LINE).radius_neighbors(None, 1.0, False, True), "sort_results"),
    ],
)
def test_what_is_refused_says_why(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_examples_run():
    for module in (nearest_neighbors,):
        assert doctest.testmod(module).failed == 0
