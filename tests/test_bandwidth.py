"""The estimated bandwidth: sane on every shape of data, never 0, never NaN."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import cdist
from sklearn import cluster as peer
from sklearn.datasets import load_iris, make_blobs
from sklearn.metrics import adjusted_rand_score

import modeseek as ms
from tests.examples import examples


@pytest.mark.parametrize("seed", range(5))
def test_blobs_are_found(seed):
    X, truth = make_blobs(800, centers=4, cluster_std=0.7, random_state=seed, center_box=(-12, 12))
    model = ms.MeanShift().fit(X)
    assert adjusted_rand_score(truth, model.labels_) > 0.7


def test_one_gaussian_is_one_large_cluster():
    X = np.random.default_rng(0).normal(size=(2000, 2))
    assert ms.MeanShift().fit(X).cluster_weights_[0] > 1900


def test_scale_and_units_follow_the_data():
    X, _ = make_blobs(600, centers=3, random_state=1)
    h = ms.estimate_bandwidth(X)
    assert ms.estimate_bandwidth(X * 1024.0 + 5) == pytest.approx(1024 * h, rel=1e-6)


@pytest.mark.parametrize("X", [np.zeros((1, 3)), np.ones((50, 2)), np.array([[0.0], [1.0]]), np.eye(4)])
def test_always_above_zero_and_finite(X):
    h = ms.estimate_bandwidth(X)
    assert np.isfinite(h)
    assert h > 0


def test_repeated_values_do_not_give_zero():
    X = np.round(load_iris().data)  # most nearest-neighbour distances are 0
    assert ms.estimate_bandwidth(X) > 0.1


def test_rows_of_weight_zero_are_left_out():
    X, _ = make_blobs(300, centers=3, random_state=1)
    junk = np.random.default_rng(0).uniform(-1e4, 1e4, (300, 2))
    w = np.r_[np.ones(300), np.zeros(300)]
    assert ms.estimate_bandwidth(np.concatenate([X, junk]), sample_weight=w) == pytest.approx(
        ms.estimate_bandwidth(X), rel=0.2
    )


def test_nan_is_refused():
    with pytest.raises(ValueError, match="NaN"):
        ms.estimate_bandwidth([[0.0], [np.nan]])


# ------------------------------------------------------------------------------------- scikit-learn's quantile rule


@examples(25)
@given(
    n=st.sampled_from([2, 30, 129, 700]),
    d=st.integers(1, 5),
    seed=st.integers(0, 2**31),
    quantile=st.sampled_from([0.05, 0.3, 0.5, 1.0]),
    digits=st.integers(0, 6),
)
def test_quantile_rule_is_scikit_learns(n, d, seed, quantile, digits):
    X = np.round(np.random.default_rng(seed).normal(size=(n, d)) * [1.0, 30.0, 0.1, 1.0, 1.0][:d], digits)
    nearest = max(1, int(n * quantile))
    by_definition = np.sort(cdist(X, X), axis=1)[:, nearest - 1].mean()
    rounding = 1e-7 * np.abs(X).max()  # of scikit-learn, which takes the root of a difference of squares
    assert peer.estimate_bandwidth(X, quantile=quantile) == pytest.approx(by_definition, abs=rounding)
    if by_definition > 0.0:
        assert ms.estimate_bandwidth(X, quantile=quantile) == pytest.approx(by_definition, rel=1e-12)
    else:
        with pytest.warns(UserWarning, match="are all 0"):
            assert ms.estimate_bandwidth(X, quantile=quantile) > 0.0


def test_quantile_rule_of_a_sample_draws_the_same_points():
    X, _ = make_blobs(900, centers=3, random_state=1)
    for seed in (0, 7):
        expected = peer.estimate_bandwidth(X, n_samples=200, random_state=seed)
        found = ms.estimate_bandwidth(X, method="quantile", n_samples=200, random_state=seed)
        assert found == pytest.approx(expected, rel=1e-12)
    repeated = ms.estimate_bandwidth(X, quantile=0.3, n_samples=200)
    assert repeated == ms.estimate_bandwidth(X, quantile=0.3, n_samples=200, random_state=0)


def test_quantile_rule_counts_a_point_of_weight_two_twice():
    X, _ = make_blobs(500, centers=3, random_state=1)
    copies = np.random.default_rng(0).integers(0, 4, len(X))
    weighted = ms.estimate_bandwidth(X, quantile=0.2, sample_weight=copies)
    assert weighted == pytest.approx(ms.estimate_bandwidth(np.repeat(X, copies, axis=0), quantile=0.2), rel=1e-12)
    fractions = ms.estimate_bandwidth(X, quantile=0.2, sample_weight=copies / 8.0)
    assert fractions == pytest.approx(weighted, rel=0.02)


def test_quantile_rule_far_from_zero_and_for_any_number_of_threads():
    X, _ = make_blobs(800, centers=3, random_state=1)
    h = ms.estimate_bandwidth(X, quantile=0.3, n_jobs=1)
    assert ms.estimate_bandwidth(X, quantile=0.3, n_jobs=7) == h
    assert ms.estimate_bandwidth(X + 1e6, quantile=0.3) == pytest.approx(h, rel=1e-8)


@pytest.mark.parametrize(
    ("X", "expected"),
    [
        (np.zeros((9, 2)), 1.0),
        (np.repeat([[0.0], [3.0]], 10, axis=0), 1.5),
        (np.array([[0.0, 0.0], [0.0, 2.0]]), 1.0),
    ],
)
def test_where_the_quantile_rule_gives_zero_ours_does_not(X, expected):
    assert peer.estimate_bandwidth(X) == 0.0
    with pytest.warns(UserWarning, match="larger quantile"):
        assert ms.estimate_bandwidth(X, quantile=0.3) == expected


@pytest.mark.parametrize(
    ("parameters", "error", "word"),
    [
        ({"method": "thirds"}, ValueError, "method"),
        ({"quantile": 1.5}, ValueError, "quantile"),
        ({"quantile": np.nan}, ValueError, "quantile"),
        ({"quantile": "0.3"}, TypeError, "quantile"),
        ({"n_samples": -1}, ValueError, "n_samples"),
        ({"n_samples": 0, "quantile": 0.3}, ValueError, "n_samples"),
    ],
)
def test_rules_that_make_no_sense(parameters, error, word):
    with pytest.raises(error, match=word):
        ms.estimate_bandwidth(np.eye(5), **parameters)
