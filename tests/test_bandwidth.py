"""The estimated bandwidth: sane on every shape of data, never 0, never NaN."""

import numpy as np
import pytest
from sklearn.datasets import load_iris, make_blobs
from sklearn.metrics import adjusted_rand_score

import modeseek as ms


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
