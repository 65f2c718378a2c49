"""Old batches fade or leave: what the rest then is, to the bit or to a unit."""

import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import modeseek as ms
from modeseek import streams
from tests.examples import examples
from tests.naive import mixture

UNIT = 2.0**-30


def sketch_of(X: np.ndarray, h: float = 1.0) -> ms.DensitySketch:
    return streams.empty_sketch(h, X.shape[1]).add(X)


def drifting(n: int, steps: int) -> list[np.ndarray]:
    """Two blobs that move apart, one batch each step."""
    rng = np.random.default_rng(4)
    return [
        rng.normal(size=(n, 2)) + np.array([1.0 + k, 0.0]) * rng.choice([-1, 1], n)[:, None] * 2.0 for k in range(steps)
    ]


@examples(25)
@given(st.sampled_from([1, 2, 3]), st.integers(0, 2**32 - 1), st.integers(1, 400))
def test_subtracting_undoes_merging_to_the_bit(d, seed, n):
    rng = np.random.default_rng(seed)
    X, Y = rng.normal(size=(n, d)), 3.0 * rng.normal(size=(50, d)) + 1.0
    whole = sketch_of(X).merge(sketch_of(Y))
    assert whole.subtract(sketch_of(Y)) == sketch_of(X)
    assert whole.subtract(sketch_of(X)) == streams.empty_sketch(1.0, d)  # in the end nothing is left
    assert whole.total_weight_ == 0.0


def test_what_is_no_part_is_not_subtracted():
    X, _ = mixture(500, 2)
    sketch = sketch_of(X)
    before = sketch.masses.copy()
    for other, words in (
        (sketch_of(X + 0.01), "no part of this one"),
        (sketch_of(X + 1000.0), "no part of this one"),
        (sketch_of(X, 2.0), "different bandwidth: 1.0 and 2.0"),
        (ms.DensitySketch(1.0, spacing=0.25, degree=3, origin=[1.0, 0.0]).add(X), "different origin"),
    ):
        with pytest.raises(ValueError, match=words):
            sketch.subtract(other)
    with pytest.raises(TypeError, match="subtract a DensitySketch"):
        sketch.subtract(X)
    with pytest.raises(ValueError, match="no part"):
        ms.DensitySketch(1.0, spacing=0.25, degree=3).subtract(sketch)
    np.testing.assert_array_equal(sketch.masses, before)


@examples(25)
@given(st.floats(0.01, 0.999), st.integers(0, 2**32 - 1))
def test_parts_that_decay_and_merge_are_the_whole_that_decays_less_a_unit_a_node(factor, seed):
    rng = np.random.default_rng(seed)
    X, Y = rng.normal(size=(300, 2)), rng.normal(size=(200, 2))
    whole = sketch_of(np.concatenate([X, Y])).decay(factor)
    parts = sketch_of(X).decay(factor).merge(sketch_of(Y).decay(factor))
    difference = whole.masses - parts.masses[parts.box.slices(whole.box)] if parts.box != whole.box else (
        whole.masses - parts.masses
    )  # fmt: skip
    assert difference.min() >= 0
    assert difference.max() <= 1


def test_a_point_decays_by_the_power_of_the_factor_and_is_gone_in_the_end():
    sketch = ms.DensitySketch(1.0).add([[0.0]])
    for t in range(1, 60):
        sketch.decay(0.7)
        assert abs(sketch.total_weight_ - 0.7**t) <= 3 * UNIT / (1 - 0.7)  # three nodes hold it
    for _ in range(60):
        sketch.decay(0.7)
    assert sketch.total_weight_ == 0.0
    assert sketch.add([[3.0]]).total_weight_ == pytest.approx(1.0, abs=3 * UNIT)
    for factor in (0.0, -1.0, 1.5, np.nan):
        with pytest.raises(ValueError, match="factor"):
            sketch.decay(factor)


def test_a_decayed_density_is_that_of_weights():
    X, h = mixture(3000, 2)
    batches = np.array_split(X, 5)
    weights = np.repeat(0.6 ** np.arange(4, -1, -1.0), [len(b) for b in batches])
    model = ms.MeanShift(h, decay=0.6)
    for batch in batches:
        model.partial_fit(batch)
    plain = ms.MeanShift(h).partial_fit(X, sample_weight=weights)
    np.testing.assert_allclose(model.cluster_centers_, plain.cluster_centers_, atol=1e-4 * h)
    np.testing.assert_allclose(model.cluster_weights_, plain.cluster_weights_, rtol=1e-4, atol=0.5)
    assert (model.predict(X) == plain.predict(X)).mean() > 0.999


def test_a_window_is_the_stream_of_its_batches_to_the_bit():
    batches = drifting(500, 8)
    model = ms.MeanShift(1.0, window=3)
    for k, batch in enumerate(batches):
        model.partial_fit(batch)
        alone = ms.MeanShift(1.0)
        for other in batches[max(0, k - 2) : k + 1]:
            alone.partial_fit(other)
        assert model.sketch_ == alone.sketch_
        np.testing.assert_array_equal(model.cluster_centers_, alone.cluster_centers_)
        np.testing.assert_array_equal(model.labels_, alone.labels_)
    again = pickle.loads(pickle.dumps(model))
    again.partial_fit(batches[0])
    model.partial_fit(batches[0])
    assert again.sketch_ == model.sketch_
    np.testing.assert_array_equal(model.set_params(window=1).partial_fit(batches[1]).labels_,
                                  ms.MeanShift(1.0).partial_fit(batches[1]).labels_)  # fmt: skip


def test_memory_follows_what_moves_on():
    X = np.random.default_rng(0).normal(size=(200, 2))
    faded, window = ms.MeanShift(1.0, decay=0.5), ms.MeanShift(1.0, window=4)
    for k in range(60):
        for model in (faded, window):
            model.partial_fit(X + np.array([100.0 * k, 0.0]))
    assert faded.sketch_.box.n_nodes < 60 * 100 * 4 * 60
    assert window.sketch_.box.n_nodes < 6 * 100 * 4 * 60
    assert len(window.cluster_centers_) >= 4
    assert faded.cluster_centers_[:, 0].min() > 100.0 * (59 - 20)  # the oldest are not clusters of next to no weight
    assert faded.sketch_.total_weight_ == pytest.approx(400, rel=0.01)


def test_forgetting_may_begin_at_a_sketch_and_change_on_the_way():
    X, h = mixture(1000, 2)
    model = ms.MeanShift(h, window=2).fit(sketch_of(X, h))
    model.partial_fit(X[:10])
    assert model.sketch_.total_weight_ == pytest.approx(1010)
    model.partial_fit(X[:20])
    assert model.sketch_.total_weight_ == pytest.approx(30)  # what was there before is one batch
    model.set_params(window=None, decay=0.5).partial_fit(X[:2])
    assert model.sketch_.total_weight_ == pytest.approx(17, rel=0.02)
    model.set_params(decay=None).partial_fit(X[:1])
    assert model.sketch_.total_weight_ == pytest.approx(18, rel=0.02)


@pytest.mark.parametrize("forgetting", [{"decay": 0.5}, {"window": 2}, {}])
def test_a_batch_that_is_refused_changes_nothing(forgetting):
    X, h = mixture(1000, 2)
    model, alone = (ms.MeanShift(h, **forgetting).partial_fit(X[:400]).partial_fit(X[400:]) for _ in range(2))
    bad = X.copy()
    bad[3, 0] = np.inf
    for batch in (bad, np.array([[1e9, 0.0]])):
        with pytest.raises(ValueError, match=r"infinity|nodes"):
            model.partial_fit(batch)
    assert model.sketch_ == alone.sketch_
    assert model.partial_fit(X[:10]).sketch_ == alone.partial_fit(X[:10]).sketch_


def test_what_forgets_in_two_ways_or_nothing_is_refused():
    X, h = mixture(100, 2)
    with pytest.raises(ValueError, match="two ways to forget"):
        ms.MeanShift(h, decay=0.5, window=3).partial_fit(X)
    for parameters in ({"decay": 0.5}, {"window": 3}):
        with pytest.raises(ValueError, match="forgets batches of partial_fit"):
            ms.MeanShift(h, **parameters).fit(X)
    for parameters in ({"decay": 0.0}, {"decay": 1.1}, {"window": 0}, {"window": 2.5}):
        with pytest.raises(ValueError, match=r"decay|window"):
            ms.MeanShift(h, **parameters).partial_fit(X)


def test_the_least_weight_of_a_point_is_that_of_what_is_remembered():
    X, h = mixture(200, 2)
    window, fading = ms.MeanShift(h, window=2), ms.MeanShift(h, decay=0.5)
    for k, weight in enumerate([0.25, 1.0, 1.0]):
        for model in (window, fading):
            model.partial_fit(X, sample_weight=np.full(len(X), weight))
        assert window._stream.lightest == (0.25 if k < 2 else 1.0)
        assert fading._stream.lightest == 0.25 * 0.5**k
    for _ in range(20):
        fading.partial_fit(X)
    assert fading._stream.lightest == streams.FORGOTTEN
