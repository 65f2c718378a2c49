"""Laws that mean shift obeys, on random inputs: permutation, translation, scaling, merging, replication."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import adjusted_rand_score

import modeseek as ms
from modeseek.cells import RowNumbers, bit_patterns, cell_indices, compress, coordinates, distinct_rows
from modeseek.label import UNKNOWN, mixed_cells
from tests.naive import mixture

SIZES = st.sampled_from([60, 900])  # dense, and cells
LAWS = settings(max_examples=12, deadline=None)


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
