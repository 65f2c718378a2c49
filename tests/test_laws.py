"""Laws that mean shift obeys, on random inputs: permutation, translation, scaling, merging, replication."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import adjusted_rand_score

import modeseek as ms
from modeseek.cells import RowNumbers, bit_patterns, cell_indices, compress, coordinates, distinct_rows
from modeseek.label import UNKNOWN, mixed_cells
from tests.examples import examples
from tests.naive import mixture

SIZES = st.sampled_from([60, 900])  # dense, and cells
LAWS = examples(12)


@LAWS
@given(n=SIZES, d=st.integers(1, 3), seed=st.integers(0, 2**31))
def test_permutation_changes_nothing(n, d, seed):
    X, h = mixture(n, d, seed)
    order = np.random.default_rng(seed).permutation(n)
    a, b = ms.MeanShift(h).fit(X), ms.MeanShift(h).fit(X[order])
    assert len(a.cluster_centers_) == len(b.cluster_centers_)
    assert adjusted_rand_score(a.labels_[order], b.labels_) > 0.995
    distance = np.linalg.norm(a.cluster_centers_[:, None] - b.cluster_centers_[None], axis=2)
    assert distance.min(axis=1).max() < 1e-3 * h


@LAWS
@given(n=SIZES, d=st.integers(1, 3), seed=st.integers(0, 2**31), shift=st.floats(-1e3, 1e3), log=st.integers(-20, 20))
def test_translation_and_scaling_with_the_bandwidth_change_nothing(n, d, seed, shift, log):
    X, h = mixture(n, d, seed)
    X = X.astype(float)
    scale = 2.0**log
    a, b = ms.MeanShift(h).fit(X), ms.MeanShift(h * scale).fit(X * scale + shift * scale)
    assert adjusted_rand_score(a.labels_, b.labels_) > 0.995
    np.testing.assert_allclose(b.cluster_centers_ / scale - shift, a.cluster_centers_, atol=1e-3 * h)


@LAWS
@given(seed=st.integers(0, 2**31), d=st.integers(1, 3), cuts=st.lists(st.integers(1, 499), max_size=4, unique=True))
def test_merging_sketches_is_sketching_everything(seed, d, cuts):
    X, h = mixture(500, d, seed)
    merged = ms.DensitySketch(h)
    for part in reversed(np.split(X, sorted(cuts))):
        merged.merge(ms.DensitySketch(h).add(part))
    assert merged == ms.DensitySketch(h).add(X)


@LAWS
@given(n=SIZES, seed=st.integers(0, 2**31))
def test_every_mode_rests_and_every_label_has_one(n, seed):
    X, h = mixture(n, 2, seed)
    model = ms.MeanShift(h).fit(X)
    k = len(model.cluster_centers_)
    np.testing.assert_array_equal(np.unique(model.labels_), np.arange(k))
    assert (np.diff(model.cluster_weights_) <= 0).all()
    rest, _ = ms.textbook.climb, None
    ends = rest(X.astype(float), model.cluster_centers_.astype(float), h, tol=1e-10)
    np.testing.assert_allclose(ends, model.cluster_centers_, atol=2e-5 * h)


@LAWS
@given(
    points=st.lists(st.tuples(st.integers(-3, 3), st.integers(-3, 3)), min_size=1, max_size=40),
    queries=st.lists(st.tuples(st.integers(-4, 4), st.integers(-4, 4)), min_size=1, max_size=20),
)
def test_keys_are_found_exactly_where_they_are(points, queries):
    x, q = np.array(points, float), np.array(queries, float)
    for key in (bit_patterns, lambda p: cell_indices(p, np.zeros(2), 1.0)):
        for number, first in (compress(key(x)), distinct_rows(x, key)):
            np.testing.assert_array_equal(x[first][number], x)
        assert (np.diff(first) > 0).all()
        found = RowNumbers(key(x[first])).find(key(q))
        for row, k in zip(q, found, strict=True):
            assert (k >= 0) == (x == row).all(axis=1).any()
            if k >= 0:
                np.testing.assert_array_equal(x[first[k]], row)
    np.testing.assert_array_equal(coordinates(bit_patterns(x)), x)


def test_rows_that_share_a_hash_are_told_apart(monkeypatch):
    rng = np.random.default_rng(0)
    x, q = rng.integers(0, 4, (60, 2)), rng.integers(0, 5, (60, 2))
    expected = [np.flatnonzero((x == row).all(axis=1))[:1] for row in q]
    monkeypatch.setattr("modeseek.cells.hashes", lambda keys: keys.sum(axis=1) % 3)
    number, first = distinct_rows(x)
    np.testing.assert_array_equal(x[first][number], x)
    found = RowNumbers(x[first]).find(q)
    for rows, k in zip(expected, found, strict=True):
        assert first[k] == rows[0] if len(rows) else k == -1


@pytest.mark.parametrize("shape", [(7,), (6, 5), (4, 5, 3)])
def test_mixed_cells_are_those_with_another_label_next_to_them(shape):
    rng = np.random.default_rng(0)
    for _ in range(20):
        labels = rng.choice([UNKNOWN, 0, 0, 0, 1], size=shape).astype(np.int32)
        got = mixed_cells(labels.reshape(-1), shape).reshape(shape)
        for place in np.ndindex(shape):
            around = labels[tuple(slice(max(p - 1, 0), p + 2) for p in place)]
            names = set(around[around != UNKNOWN].tolist())
            assert got[place] == (labels[place] != UNKNOWN and len(names) > 1)


# -------------------------------------------------------------------------- of every kernel, metric and bandwidth form

FORMS = st.sampled_from(
    [
        {},
        {"fidelity": "fast"},
        {"kernel": "triangular"},
        {"kernel": "epanechnikov"},
        {"kernel": "biweight"},
        {"bandwidth": "matrix"},
        {"bandwidth": "per axis"},
        {"bandwidth": "per point"},
        {"metric": "cosine"},
    ]
)


def fitted(X, h, form, own, weights=None, turn=None):
    """Fit a form; ``own`` are bandwidths of the points, ``turn`` the matrix that has turned them."""
    form = dict(form)
    turn = np.eye(X.shape[1]) if turn is None else turn
    kind, scale = form.pop("bandwidth", "number"), np.linspace(1.0, 1.4, X.shape[1])
    wide = 1.0 if "kernel" not in form else 3.0
    form["bandwidth"] = {
        "number": wide * h if "metric" not in form else 0.15,
        "per axis": h * scale,
        "matrix": h * h * turn.T @ np.diag(scale**2) @ turn,
        "per point": own,
    }[kind]
    return ms.MeanShift(**form).fit(X, sample_weight=weights)


def alike(a, b):
    """Tell how alike two partitions are, where a point may be on a border to the last bit."""
    return adjusted_rand_score(a, b) > 0.995


@LAWS
@given(n=SIZES, d=st.integers(2, 3), seed=st.integers(0, 2**31), form=FORMS)
def test_a_weight_is_as_many_repeats(n, d, seed, form):
    X, h = mixture(n, d, seed)
    rng = np.random.default_rng(seed)
    weights, own = rng.integers(1, 4, n), h * rng.uniform(0.8, 1.6, n)
    repeated = np.repeat(np.arange(n), weights)
    weighted = fitted(X, h, form, own, weights.astype(float))
    replicated = fitted(X[repeated], h, form, own[repeated])
    assert alike(weighted.labels_[repeated], replicated.labels_)
    assert weighted.cluster_weights_.sum() == replicated.cluster_weights_.sum() == len(repeated)


@LAWS
@given(n=SIZES, d=st.integers(2, 3), seed=st.integers(0, 2**31), form=FORMS)
def test_neither_the_order_of_rows_nor_a_rotation_about_the_origin_matters(n, d, seed, form):
    X, h = mixture(n, d, seed)
    rng = np.random.default_rng(seed)
    order, own = rng.permutation(n), h * rng.uniform(0.8, 1.6, n)
    turn = np.linalg.qr(rng.normal(size=(d, d)))[0]
    plain = fitted(X.astype(float), h, form, own).labels_
    assert alike(plain[order], fitted(X[order].astype(float), h, form, own[order]).labels_)
    if form.get("bandwidth") != "per axis":
        assert alike(plain, fitted(X.astype(float) @ turn, h, form, own, turn=turn).labels_)
