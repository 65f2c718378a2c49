"""Modes put together by how far they rise above the saddles between them."""

import numpy as np
import pytest

import modeseek as ms
from tests.naive import mixture, moons


def saddle_persistence(X: np.ndarray, h: float, low: np.ndarray, high: np.ndarray) -> float:
    """Log density of mode ``low`` over the lowest place on the straight way to mode ``high``."""
    t = np.linspace(0, 1, 2001)[:, None]
    way = low + t * (high - low)
    f = np.exp(-0.5 * np.square((way[:, None] - X[None]) / h).sum(axis=2)).sum(axis=1)
    return float(np.log(f[0]) - np.log(f.min()))


@pytest.mark.parametrize("d", [1, 2, 3])
def test_two_modes_join_exactly_where_the_threshold_passes_their_persistence(d):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(600 // 2 ** (d - 1), d))
    X[: len(X) * 2 // 5, 0] += 4.5
    for axis in range(1, d):  # mirrored: modes and saddle lie on the first axis, and the way between is straight
        X = np.concatenate([X, X * np.where(np.arange(d) == axis, -1.0, 1.0)])
    model = ms.MeanShift(0.9).fit(X)
    high, low = model.cluster_centers_[:2]
    np.testing.assert_allclose(model.cluster_centers_[:2, 1:], 0.0, atol=1e-6)
    persistence = saddle_persistence(X, 0.9, low, high)
    below = ms.MeanShift(0.9, merge="persistence", min_persistence=persistence * 0.9).fit(X)
    above = ms.MeanShift(0.9, merge="persistence", min_persistence=persistence * 1.1).fit(X)
    assert len(below.cluster_centers_) >= 2
    assert below.predict(high[None])[0] != below.predict(low[None])[0]
    assert above.predict(high[None])[0] == above.predict(low[None])[0]
    np.testing.assert_array_equal(above.predict(X), above.labels_)
    np.testing.assert_allclose(above.cluster_centers_[0], high, atol=1e-6)  # named after the heaviest


@pytest.mark.parametrize("fidelity", ["certified", "fast", "exact"])
def test_curved_ridges_become_one_cluster_each(fidelity):
    X, h = moons(4000)
    model = ms.MeanShift(h, fidelity=fidelity, merge="persistence", min_persistence=0.7).fit(X)
    assert len(ms.MeanShift(h, fidelity=fidelity).fit(X).cluster_centers_) > 2
    assert len(model.cluster_centers_) == 2
    assert model.cluster_weights_.sum() == len(X)


def test_a_threshold_of_zero_changes_nothing_and_an_infinite_one_leaves_one():
    X, h = mixture(3000, 2)
    plain = ms.MeanShift(h).fit(X)
    zero = ms.MeanShift(h, merge="persistence", min_persistence=0.0).fit(X)
    np.testing.assert_array_equal(plain.labels_, zero.labels_)
    everything = ms.MeanShift(h, merge="persistence", min_persistence=1e9).fit(X)
    assert len(everything.cluster_centers_) == 1


def test_it_goes_together_with_a_least_size_and_with_blurring():
    X, h = moons(3000)
    X = np.concatenate([X, [[9.0, 9.0], [9.01, 9.0]]])
    model = ms.MeanShift(h, merge="persistence", min_persistence=0.7, min_cluster_size=5, cluster_all=False).fit(X)
    assert len(model.cluster_centers_) == 2
    np.testing.assert_array_equal(model.labels_[-2:], -1)
    np.testing.assert_array_equal(model.predict(X), model.labels_)
    blurred = ms.MeanShift(h, blurring=True, merge="persistence", min_persistence=0.7).fit(X)
    np.testing.assert_array_equal(blurred.predict(X), blurred.labels_)


def test_what_a_grid_cannot_do_is_said():
    with pytest.raises(ValueError, match="three columns"):
        ms.MeanShift(1.0, merge="persistence").fit(np.random.default_rng(0).normal(size=(50, 4)) * 9)
    far = np.concatenate([np.random.default_rng(0).normal(size=(600, 2)) * 5, [[1e9, 1e9]]])
    with pytest.raises(ValueError, match="outliers"):
        ms.MeanShift(1.0, merge="persistence").fit(far)
    with pytest.raises(ValueError, match="min_persistence"):
        ms.MeanShift(1.0, merge="persistence", min_persistence=-1.0).fit(far)
