"""Locality-sensitive hashing: collisions by their formulas, exact distances, recall as promised, hostile inputs."""

import copy
import doctest
import pickle
from importlib import import_module
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.utils.estimator_checks import parametrize_with_checks

import modeseek as ms
from modeseek import textbook
from modeseek.neighbors import lsh_tuning
from modeseek.neighbors.hash_families import FAMILIES, collision, draw
from modeseek.neighbors.lsh import FEW, HashedPoints, Settings
from tests.examples import examples

GIVEN = {"pstable": {"n_hashes": 4, "width": 3.0}, "sign": {"n_hashes": 6}, "cross-polytope": {"n_hashes": 2}}


def clustered(n: int, d: int, clusters: int = 40, seed: int = 0, low: float = 0.05, high: float = 0.6) -> np.ndarray:
    rng = np.random.default_rng(seed)
    centres, spread = rng.normal(size=(clusters, d)), np.geomspace(low, high, clusters)
    which = rng.integers(0, clusters, n)
    return (centres[which] + spread[which, None] * rng.normal(size=(n, d))).astype(np.float32)


def fixed(family: str, n_probes: float = 8, seed: int = 0, **how) -> ms.LSHIndex:
    return ms.LSHIndex(family=family, n_probes=n_probes, random_state=seed, **GIVEN[family], **how)


def recall(found: np.ndarray, true: np.ndarray) -> float:
    return np.mean([len(np.intersect1d(a, b)) / len(b) for a, b in zip(found, true, strict=True)])


@parametrize_with_checks(
    [
        ms.LSHIndex(random_state=0),
        ms.LSHIndex(family="sign", n_hashes=4, n_probes=4, random_state=0),
        ms.NearestNeighbors(algorithm="lsh"),
    ]
)
def test_scikit_learn_contract(estimator, check):
    check(estimator)


# ---- hashes -------------------------------------------------------------------------------------------------------


def keys(drawn, points: np.ndarray) -> np.ndarray:
    """Return the keys of points in every table, (tables, n)."""
    from modeseek.engines.cpu import hashing

    out = np.empty((len(drawn.directions), len(points)), np.uint64)
    for t, to in enumerate(out):
        hashing.table_keys(
            points, drawn.directions[t], drawn.offsets[t], drawn.multipliers[t], drawn.axes, drawn.family, to
        )
    return out


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("apart", [0.2, 0.7, 1.5])
def test_points_collide_as_often_as_the_formula_says(family, apart):
    d, tables, width = 20, 6000, 1.3
    rng = np.random.default_rng(1)
    a = rng.normal(size=d)
    a /= np.linalg.norm(a)
    across = rng.normal(size=d)
    across -= (across @ a) * a
    across /= np.linalg.norm(across)
    b = a + apart * across if family == "pstable" else np.cos(apart) * a + np.sin(apart) * across
    found = keys(draw(family, tables, 1, width, d, seed=5), np.array([a, b], np.float32))
    share = (found[:, 0] == found[:, 1]).mean()
    p = collision(family, apart, width, d)
    assert abs(share - p) < 3.5 * np.sqrt(p * (1 - p) / tables)
    # a negative control: the formula of another distance is told apart
    q = collision(family, 1.3 * apart, width, d)
    assert abs(share - q) > 3.5 * np.sqrt(q * (1 - q) / tables)


def test_collisions_of_the_polytope_are_integrated_well():
    rng = np.random.default_rng(0)
    for angle in (0.1, 0.9):
        x, y = rng.normal(size=(2, 200_000, 5))
        y = np.cos(angle) * x + np.sin(angle) * y
        at, to = np.abs(x).argmax(axis=1), np.abs(y).argmax(axis=1)
        rows = np.arange(len(x))
        same = (at == to) & (np.sign(x[rows, at]) == np.sign(y[rows, to]))
        assert same.mean() == pytest.approx(collision("cross-polytope", angle, d=5), abs=0.004)
    assert collision("cross-polytope", 1e-6) == pytest.approx(1.0, abs=0.01)
    assert collision("cross-polytope", 0.5 * np.pi) == pytest.approx(1 / 16, abs=1e-3)


def test_buckets_are_those_of_the_definition():
    X = clustered(600, 6)
    index = HashedPoints(X, Settings("pstable", 3, 4, 2.0, 3, 7))
    drawn = draw("pstable", 3, 4, 2.0 * index.frame.scale, 6, 7)
    inside = index.frame.all_into(X)
    # the same hashes, in units of the width
    expected = textbook.lsh_candidates(
        inside[:50], inside, drawn.directions.reshape(3, 4, 6).astype(np.float64), drawn.offsets, 1.0
    )
    same = keys(drawn, inside)
    for q, rows in zip(range(50), expected, strict=True):
        np.testing.assert_array_equal(rows, np.flatnonzero((same == same[:, q : q + 1]).any(axis=0)))
    # as many probes as tables visit the query's own buckets
    _, seen = lsh_tuning.follow(index, inside[:50], np.arange(50), np.arange(50)[:, None], len(X), 3)
    np.testing.assert_array_equal(seen[:, -1], [len(rows) - 1 for rows in expected])


@pytest.mark.parametrize("family", FAMILIES)
def test_the_key_of_a_row_does_not_depend_on_its_company(family):
    X = clustered(333, 17)
    drawn = draw(family, 2, 5, 1.7, 17, 3)
    together = keys(drawn, X)
    for cut in (1, 63, 64, 65, 200):
        apart = np.hstack([keys(drawn, X[:cut]), keys(drawn, X[cut:])])
        np.testing.assert_array_equal(apart, together)


@pytest.mark.parametrize("family", FAMILIES)
def test_buckets_are_visited_once_and_end_with_all_points(family):
    X = clustered(500, 3, clusters=5)
    index = HashedPoints(X, Settings(family, 2, 3, 1.0, 4, 1))
    inside = index.frame.all_into(X[:40])
    _, seen = lsh_tuning.follow(index, inside, np.arange(40), np.arange(40)[:, None], len(X), 1500)
    assert (np.diff(seen, axis=1) >= 0).all()
    assert seen[:, -1].max() <= len(X) - 1
    if family != "pstable":
        assert (seen[:, -1] == len(X) - 1).mean() > 0.9  # few hashes: their every value is visited
    assert seen[:, 0].mean() < 0.8 * len(X)


# ---- searches -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_what_is_found_is_exact(family, dtype):
    X = clustered(3000, 12).astype(dtype)
    Q = clustered(200, 12, seed=0) + np.float32(0.01)
    distances, rows = fixed(family).fit(X).query(Q, 5)
    apart = np.linalg.norm(X[rows].astype(np.float64) - Q[:, None].astype(np.float64), axis=2)
    np.testing.assert_allclose(distances, apart, rtol=1e-12)
    assert (np.diff(distances, axis=1) >= 0).all()
    assert all(len(set(found)) == 5 for found in rows)
    # more probes never find worse
    better = fixed(family, 200).fit(X).query(Q, 5)[0]
    assert (better <= distances).all()
    assert recall(fixed(family, 2000).fit(X).query(Q, 5)[1], textbook.k_nearest(Q, X, 5)[1]) > 0.95


@pytest.mark.parametrize("family", FAMILIES)
def test_all_rows_are_found_exactly_where_all_are_asked_for(family):
    X = clustered(400, 5)
    index = fixed(family, 1).fit(X)
    distances, rows = index.query(X[:20], 400)
    expected = textbook.k_nearest(X[:20], X, 400)
    np.testing.assert_allclose(distances, expected[0], rtol=1e-12)
    np.testing.assert_array_equal(rows, expected[1])
    with pytest.raises(ValueError, match="k must be at most the number of rows, 400, got 401"):
        index.query(X, 401)


@examples(40)
@given(st.data())
def test_every_row_finds_itself_and_ties_come_by_row(data):
    family = data.draw(st.sampled_from(FAMILIES))
    seed, d = data.draw(st.integers(0, 10**6)), data.draw(st.sampled_from([1, 2, 5]))
    n = data.draw(st.sampled_from([FEW + 1, 300, 700]))
    rng = np.random.default_rng(seed)
    kind = data.draw(st.sampled_from(["lattice", "line", "normal", "repeats"]))
    X = {
        "lattice": lambda: rng.integers(0, 4, (n, d)).astype(np.float64),
        "line": lambda: rng.integers(0, 50, (n, 1)) * np.ones(d),
        "normal": lambda: rng.normal(size=(n, d)),
        "repeats": lambda: rng.normal(size=(3, d))[rng.integers(0, 3, n)],
    }[kind]()
    k = data.draw(st.sampled_from([1, 3, 20]))
    index = fixed(family, data.draw(st.sampled_from([1, 4.5, 50])), seed).fit(X)
    distances, rows = index.query(X, k)
    assert (distances[:, 0] == 0.0).all()
    first = np.array([np.flatnonzero(np.all(x == X, axis=1))[0] for x in X])
    np.testing.assert_array_equal(rows[:, 0], first)
    ties = distances[:, 1:] == distances[:, :-1]
    assert (rows[:, 1:] > rows[:, :-1])[ties].all()
    # repeats share every bucket: no distance below the greatest found is missing for them
    indptr, near, apart = index.query_radius(X, 0.0)
    assert (apart == 0.0).all()
    np.testing.assert_array_equal(np.diff(indptr), [np.all(x == X, axis=1).sum() for x in X])
    assert all((np.diff(near[a:b]) > 0).all() for a, b in pairwise(indptr))


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("n", [100, 2000])
def test_radii_give_rows_of_a_sparse_matrix(family, n):
    X = clustered(n, 4)
    index = fixed(family, 3000).fit(X)
    radii = np.linspace(0.0, 1.5, 60)
    indptr, rows, distances = index.query_radius(X[:60], radii)
    exact = [textbook.within(X[i : i + 1], X, r)[0] if r else np.array([i]) for i, r in enumerate(radii)]
    for i, expected in enumerate(exact):
        mine = rows[indptr[i] : indptr[i + 1]]
        assert np.isin(mine, expected).all()
        assert len(mine) >= 0.9 * len(expected)
    assert (distances <= np.repeat(radii, np.diff(indptr))).all()
    np.testing.assert_array_equal(index._index.count_within(X[:60], radii), np.diff(indptr))
    for wrong in (-1.0, np.nan, [1.0, 2.0]):
        with pytest.raises(ValueError, match="radi"):
            index.query_radius(X[:5], wrong)


@pytest.mark.parametrize("family", FAMILIES)
def test_threads_do_not_change_a_bit(family):
    X = clustered(3000, 10)
    few = {"n_hashes": 5} if family == "pstable" else {}
    results = []
    for n_jobs in (1, 2, 7):
        index = ms.LSHIndex(family=family, random_state=3, n_jobs=n_jobs, **few)
        index.fit(X).tune(0.8, 5, n_queries=600)
        assert index.recall_ == pytest.approx(0.8, abs=0.08)
        results.append((index.n_hashes_, index.width_, index.n_probes_, index.recall_, *index.query(X[:500], 5)))
        results[-1] += index.query_radius(X[:500], 0.5)
    for other in results[1:]:
        for mine, theirs in zip(results[0], other, strict=True):
            np.testing.assert_array_equal(mine, theirs)


# ---- tuning -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(("target", "k"), [(0.9, 10), (0.7, 1)])
def test_recall_of_fresh_queries_is_what_was_promised(family, target, k):
    data = clustered(9000, 24, clusters=100, seed=4)
    X, Q = data[:7000], data[7000:]
    index = ms.LSHIndex(family=family, random_state=1).fit(X).tune(target, k)
    fresh = recall(index.query(Q, k)[1], textbook.k_nearest(Q, X, k)[1])
    noise = 4 * np.sqrt(target * (1 - target) / 2000)  # of 2000 queries, and of as many to choose with
    assert abs(fresh - target) < max(noise, 0.02)
    assert abs(index.recall_ - target) < 1.5 * noise
    assert f"recall@{k} {index.recall_:.3f}" in repr(index)
    assert f"recall@{k} {index.recall_:.3f}" in index.summary()


def test_true_neighbours_are_found_where_products_cancel():
    rng = np.random.default_rng(0)
    far = np.repeat(rng.normal(size=(20, 8)), 60, axis=0)
    X = far + 1e-4 * rng.normal(size=far.shape)
    index = HashedPoints(X, Settings("sign", 2, 4))
    sample = lsh_tuning.true_neighbors(X, index.frame, index.frame.all_into(X), np.arange(0, 1200, 7), 5, None)
    expected = textbook.k_nearest(X[sample.rows], X, 6)[1][:, 1:]
    assert recall(sample.neighbors, expected) > 0.99


def test_settings_that_are_given_are_kept():
    X = clustered(3000, 8)
    index = ms.LSHIndex(n_hashes=5, random_state=0).fit(X)
    assert (index.n_hashes_, index.width) == (5, None)
    assert index.tune(0.8).n_hashes_ == 5
    index = ms.LSHIndex(n_hashes=3, width=2.5, n_probes=7, random_state=0).fit(X)
    assert (index.n_hashes_, index.width_, index.n_probes_) == (3, 2.5, 7)
    assert 0.2 < index.recall_ <= 1.0  # measured when asked for
    for wrong in (0.0, 1.0, "most", True, np.nan):
        with pytest.raises(ValueError, match="recall must be"):
            index.tune(wrong)
    with pytest.raises(ValueError, match="k must be below"):
        index.tune(0.9, 3000)
    with pytest.raises(ValueError, match="width"):
        ms.LSHIndex(family="sign", width=1.0).fit(X)


def test_random_states_decide_and_seeds_differ():
    X = clustered(3000, 8)
    one, same, other = (fixed("pstable", 2, seed).fit(X).query(X[:300], 10)[1] for seed in (0, 0, 1))
    np.testing.assert_array_equal(one, same)
    assert (one != other).any()
    state = fixed("pstable", 2).set_params(random_state=np.random.RandomState(5)).fit(X)
    again = fixed("pstable", 2).set_params(random_state=np.random.RandomState(5)).fit(X)
    np.testing.assert_array_equal(state.query(X[:300])[1], again.query(X[:300])[1])


@pytest.mark.parametrize("n", [50, 2000])
def test_copies_of_an_index_give_the_same_bits(n):
    X = clustered(n, 6)
    index = ms.LSHIndex(random_state=0).fit(X)
    distances, rows = index.query(X, 4)
    for other in (pickle.loads(pickle.dumps(index)), copy.deepcopy(index)):
        np.testing.assert_array_equal(other.query(X, 4)[0], distances)
        np.testing.assert_array_equal(other.query(X, 4)[1], rows)
        assert other.recall_ == index.recall_
    again = clone(index)
    assert again.get_params() == index.get_params()
    assert not hasattr(again, "n_probes_")


# ---- hostile inputs -----------------------------------------------------------------------------------------------


def shapes():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(400, 5))
    outlier = X.copy()
    outlier[7] = 1e9
    yield "constant", np.ones((400, 5))
    yield "zeros", np.zeros((300, 2))
    yield "collinear", np.arange(400.0)[:, None] * np.ones(3)
    yield "far", X + 1e6
    yield "very far", X + 1e9
    yield "tiny", X * 1e-200
    yield "huge", X * 1e100
    yield "outlier", outlier
    yield "one column", X[:, :1]
    yield "two halves", np.vstack([np.zeros((200, 3)), np.full((200, 3), 1e12)])


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(("name", "X"), list(shapes()), ids=lambda value: value if isinstance(value, str) else "")
def test_odd_points_are_found(family, name, X):
    unit = 1e-200 if name == "tiny" else 1.0  # squares of these vanish in the textbook
    for index in (ms.LSHIndex(family=family, random_state=0).fit(X), fixed(family, 3).fit(X)):
        distances, rows = index.query(X[:40], 3)
        expected = textbook.k_nearest(X[:40] / unit, X / unit, len(X))
        assert (distances[:, 0] == 0.0).all()
        np.testing.assert_array_equal(rows[:, 0], expected[1][:, 0])
        apart = np.sqrt(np.square((X[rows] - X[:40, None]) / unit).sum(axis=2)) * unit
        np.testing.assert_allclose(distances, apart, rtol=1e-12)
        distances, rows = index.query(X[:40], len(X))
        np.testing.assert_allclose(distances, expected[0] * unit, rtol=1e-12)
        indptr, _, _ = index.query_radius(X[:5], 1e150)
        assert (np.diff(indptr) >= 1).all()


def test_layouts_and_dtypes_do_not_matter(tmp_path):
    X = clustered(1500, 6)
    expected = fixed("pstable").fit(X).query(X[:90], 4)
    frozen = X.copy()
    frozen.flags.writeable = False
    np.save(tmp_path / "x.npy", X)
    for other in (np.asfortranarray(X), frozen, np.load(tmp_path / "x.npy", mmap_mode="r"), X[::1], X.tolist()):
        found = fixed("pstable").fit(other).query(other[:90], 4)
        np.testing.assert_array_equal(found[1], expected[1])
        np.testing.assert_allclose(found[0], expected[0], rtol=1e-12)
    far = np.full((1, 6), 1e140)
    assert np.isfinite(fixed("sign").fit(X).query(far, 2)[0]).all()


@pytest.mark.parametrize("n", [20, 600])
def test_wrong_input_is_refused(n):
    X = clustered(n, 3)
    index = ms.LSHIndex(random_state=0).fit(X)
    for value in (np.nan, np.inf):
        bad = X.copy()
        bad[3, 1] = value
        with pytest.raises(ValueError, match="row 3, column 1"):
            ms.LSHIndex().fit(bad)
        with pytest.raises(ValueError, match="row 3, column 1"):
            index.query(bad, 2)
        with pytest.raises(ValueError, match="row 3, column 1"):
            index.query_radius(bad, 2.0)
    with pytest.raises(ValueError, match="distances overflow"):
        ms.LSHIndex().fit(X.astype(np.float64) * 1e200)
    with pytest.raises(ValueError, match="distances overflow"):
        index.query(X.astype(np.float64) * 1e200, 1)
    for wrong in (0, -1):
        with pytest.raises(ValueError, match="k must be at least 1"):
            index.query(X, wrong)
    with pytest.raises(TypeError, match="k must be an integer"):
        index.query(X, 2.5)


def test_arrays_of_other_libraries_come_back_as_such():
    X = clustered(800, 4)
    expected = fixed("pstable").fit(X).query(X[:50], 3)
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(X, columns=list("abcd"))
    model = fixed("pstable").fit(frame)
    assert list(model.feature_names_in_) == list("abcd")
    np.testing.assert_array_equal(model.query(frame[:50], 3)[1], expected[1])
    polars = pytest.importorskip("polars")
    np.testing.assert_array_equal(
        fixed("pstable").fit(polars.from_pandas(frame)).query(polars.from_pandas(frame[:50]), 3)[1], expected[1]
    )
    torch = pytest.importorskip("torch")
    tensor = torch.from_numpy(X)
    _, rows = fixed("pstable").fit(tensor).query(tensor[:50], 3)
    assert isinstance(rows, torch.Tensor)
    np.testing.assert_array_equal(rows.numpy(), expected[1])


def test_few_rows_compile_nothing():
    X = clustered(FEW, 3)
    index = ms.LSHIndex(random_state=0).fit(X)
    assert not hasattr(index._index, "points")
    np.testing.assert_array_equal(index.query(X, 3)[1], textbook.k_nearest(X, X, 3)[1])
    assert index.recall_ == 1.0
    assert "all are compared" in index.summary()
    assert ms.LSHIndex().fit([[1.0]]).query([[1.0]], 1)[1].tolist() == [[0]]


def test_examples_run():
    for name in ("estimators.lsh", "neighbors.hash_families"):
        result = doctest.testmod(import_module(f"modeseek.{name}"))
        assert result.attempted > 0
        assert result.failed == 0


# ---- behind NearestNeighbors -----------------------------------------------------------------------------------------


def hashed_and_exact(n=4000, d=24, k=10):
    rng = np.random.default_rng(1)
    centres = 4.0 * rng.normal(size=(30, d))
    X = centres[rng.integers(0, 30, n)] + rng.normal(size=(n, d))
    return X, ms.NearestNeighbors(k, algorithm="lsh").fit(X), ms.NearestNeighbors(k, algorithm="tree").fit(X)


def test_nearest_neighbors_by_hashing_find_nine_in_ten_at_their_exact_distance():
    X, hashed, exact = hashed_and_exact()
    for queries in (None, X[:500] + 0.1):
        distances, rows = hashed.kneighbors(queries)
        truth = exact.kneighbors(queries)[1]
        assert np.mean([len(np.intersect1d(a, b)) / 10 for a, b in zip(rows, truth, strict=True)]) > 0.85
        asked = X if queries is None else queries
        np.testing.assert_allclose(distances, np.sqrt(np.square(asked[:, None] - X[rows]).sum(2)), rtol=1e-12)
        if queries is None:
            assert not (rows == np.arange(len(X))[:, None]).any()


def test_radii_by_hashing_hold_a_part_of_the_true_neighbours():
    X, hashed, exact = hashed_and_exact()
    radius = float(np.median(exact.kneighbors()[0][:, -1]))
    for queries in (None, X[:300] + 0.1):
        found, true = (model.radius_neighbors_graph(queries, radius) for model in (hashed, exact))
        assert 0.8 * true.nnz < found.nnz <= true.nnz
        assert found.multiply(true).nnz == found.nnz
        np.testing.assert_array_equal(np.diff(found.indptr), hashed.count_neighbors(queries, radius))


def test_a_point_among_many_repeats_of_it_is_not_its_own_neighbour():
    X = np.repeat(np.random.default_rng(0).normal(size=(40, 5)), 20, axis=0)
    distances, rows = ms.NearestNeighbors(10, algorithm="lsh").fit(X).kneighbors()
    assert distances.max() == 0.0
    assert not (rows == np.arange(len(X))[:, None]).any()
    assert all(len(set(found)) == 10 for found in rows.tolist())


@pytest.mark.parametrize("n", [1, 2, 257])
def test_hashing_of_hardly_any_points_is_exact(n):
    X = np.random.default_rng(n).normal(size=(n, 3))
    hashed, exact = (ms.NearestNeighbors(algorithm=name).fit(X) for name in ("lsh", "brute"))
    Q = X + 0.1
    if n < 257:
        np.testing.assert_array_equal(hashed.kneighbors(Q, n)[1], exact.kneighbors(Q, n)[1])
    assert hashed.kneighbors(Q, n)[1].shape == (n, n)
    np.testing.assert_array_equal(np.sort(hashed.kneighbors(Q, n)[1]), np.tile(np.arange(n), (n, 1)))
