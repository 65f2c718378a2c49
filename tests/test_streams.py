"""Streams of batches, and sketches made elsewhere: the same clusters however the points come."""

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

import modeseek as ms
from modeseek import streams
from tests.examples import examples
from tests.naive import exact_labels, exact_sums, lattice, mixture, uniform


def streamed(X: np.ndarray, h: float, cuts, w: np.ndarray | None = None, **parameters) -> ms.MeanShift:
    """Feed the rows to a model, cut where told."""
    model = ms.MeanShift(h, **parameters)
    for rows in np.split(np.arange(len(X)), cuts):
        if len(rows):
            model.partial_fit(X[rows], sample_weight=None if w is None else w[rows])
    return model


def same_clusters(a: ms.MeanShift, b: ms.MeanShift) -> None:
    """Compare to the bit."""
    np.testing.assert_array_equal(a.cluster_centers_, b.cluster_centers_)
    np.testing.assert_array_equal(a.cluster_weights_, b.cluster_weights_)
    assert a.sketch_ == b.sketch_
    assert a.n_iter_ == b.n_iter_


@examples(20)
@given(st.sampled_from([1, 2, 3]), st.lists(st.integers(0, 1500), max_size=8), st.integers(0, 2**32 - 1), st.booleans())
def test_the_same_bits_however_the_data_are_cut_and_shuffled(d, cuts, seed, weighted):
    X, h = mixture(1500, d)
    w = np.random.default_rng(0).uniform(0.1, 3.0, 1500) if weighted else None
    order = np.random.default_rng(seed).permutation(1500)
    whole = ms.MeanShift(h).partial_fit(X, sample_weight=w)
    other = streamed(X[order], h, sorted(cuts), None if w is None else w[order], n_jobs=1)
    same_clusters(whole, other)
    np.testing.assert_array_equal(whole.predict(X + 0.2), other.predict(X + 0.2))
    np.testing.assert_array_equal(whole.score_samples(X + 0.2), other.score_samples(X + 0.2))
    np.testing.assert_array_equal(whole.labels_[order], other.predict(X[order]))


@pytest.mark.parametrize(
    ("data", "agreement"),
    [(lambda: mixture(6000, 1), 0.999), (lambda: mixture(6000, 2), 0.999), (lambda: mixture(4000, 3), 0.995),
     (lambda: uniform(2000, 2), 0.99), (lambda: lattice(6000), 0.995)],
)  # fmt: skip
@pytest.mark.parametrize("shift", [0.0, 1e6])
def test_labels_and_modes_are_those_of_exact_mean_shift(data, agreement, shift):
    X, h = data()
    X = X.astype(float) + shift
    model = streamed(X, h, [7, 1000])
    rows = np.random.default_rng(7).choice(len(X), 200, replace=False)
    exact, modes = exact_labels(X - shift, X[rows] - shift, h)
    distance = np.linalg.norm(modes[:, None] - (model.cluster_centers_ - shift)[None], axis=2)
    assert distance.min(axis=1).max() < 0.01 * h
    labels = model.predict(X)
    assert (distance.argmin(axis=1)[exact] == labels[rows]).mean() >= agreement
    np.testing.assert_array_equal(labels[1000:], model.labels_)
    counted = np.bincount(labels, minlength=len(model.cluster_weights_))
    assert model.cluster_weights_.sum() == pytest.approx(len(X), rel=1e-6)
    assert np.abs(counted - model.cluster_weights_).sum() < 0.05 * len(X)  # to the resolution of the sketch


def test_what_is_told_is_of_all_data_and_labels_of_the_last_batch():
    X, h = mixture(3000, 2)
    left, right = X[X[:, 0] < 0], X[X[:, 0] >= 0]
    model = ms.MeanShift(h).partial_fit(left)
    few = len(model.cluster_centers_)
    assert len(model.labels_) == len(left)
    assert model.labels_.dtype == np.int32
    assert model.cluster_centers_.dtype == np.float32
    model.partial_fit(right)
    assert len(model.cluster_centers_) > few
    assert len(model.labels_) == len(right)
    np.testing.assert_array_equal(model.labels_, model.predict(right))
    assert model.cluster_weights_.sum() == pytest.approx(len(X), rel=1e-6)
    assert model.certificate_ is None
    assert model.path(X[:3]).shape[1:] == (3, 2)
    assert model.partial_fit(right.astype(float)).cluster_centers_.dtype == np.float64


def test_nothing_is_clustered_before_it_is_asked_for(monkeypatch):
    calls = []
    original = streams.cluster_sketch
    monkeypatch.setattr("modeseek.estimators.streaming.cluster_sketch", lambda p: calls.append(1) or original(p))
    X, h = mixture(2000, 2)
    model = streamed(X, h, range(0, 2000, 50))
    assert not calls
    model.predict(X)
    assert model.cluster_centers_.shape == (5, 2)
    assert len(model.labels_) == 50
    assert calls == [1]


def test_a_batch_written_over_by_the_caller_keeps_its_labels():
    X, h = mixture(2000, 2)
    buffer = X[:1000].copy()
    model = ms.MeanShift(h).partial_fit(buffer)
    buffer[:] = 1e4
    np.testing.assert_array_equal(model.labels_, model.predict(X[:1000]))


def test_a_sketch_made_on_many_machines_is_the_stream(tmp_path):
    X, h = mixture(3000, 2)
    stream = streamed(X, h, [1000, 2000])
    settings_ = {"spacing": streams.SPACINGS[2], "degree": 3, "origin": [0.0, 0.0]}
    parts = [ms.DensitySketch(h, **settings_).add(X[k::3]) for k in (2, 0, 1)]
    parts[1].merge(parts[2]).save(tmp_path / "part.npz")
    merged = parts[0].merge(ms.DensitySketch.load(tmp_path / "part.npz"))
    before = merged.masses.copy()
    model = ms.MeanShift().fit(merged)
    # a stream of float32 gives centres of float32, a sketch does not know of it
    np.testing.assert_array_equal(model.cluster_centers_.astype(np.float32), stream.cluster_centers_)
    np.testing.assert_array_equal(model.predict(X), stream.predict(X))
    np.testing.assert_array_equal(model.cluster_weights_, stream.cluster_weights_)
    assert model.labels_.shape == (0,)
    assert model.bandwidth_ == h
    assert model.n_features_in_ == 2
    model.partial_fit(X + 1.0)  # goes on, and leaves the sketch that was given as it is
    np.testing.assert_array_equal(merged.masses, before)
    assert model.cluster_weights_.sum() == pytest.approx(6000, rel=1e-6)
    assert len(model.labels_) == 3000


@pytest.mark.parametrize("spacing", [0.5, 0.1])
@pytest.mark.parametrize("degree", [2, 3])
def test_sketches_of_any_spacing_are_clustered(spacing, degree, tmp_path):
    X, h = mixture(4000, 2)
    w = np.random.default_rng(0).uniform(0.0, 5.0, 4000)
    sketch = ms.DensitySketch(h, spacing=spacing, degree=degree, weight_scale=8.0, origin=[0.3, -9.0]).add(X, w)
    sketch.save(tmp_path / "trimmed.npz")
    model, again = (
        ms.MeanShift(h).fit(sketch),
        ms.MeanShift("auto").fit(ms.DensitySketch.load(tmp_path / "trimmed.npz")),
    )
    same_clusters(model, again)
    exact = ms.MeanShift(h, fidelity="exact").fit(X, sample_weight=w)
    np.testing.assert_allclose(model.cluster_centers_, exact.cluster_centers_, atol=0.02 * h)
    assert (model.predict(X) == exact.labels_).mean() > 0.995
    _, step, _ = exact_sums(X.astype(float), w, model.cluster_centers_, h)
    assert np.abs(step).max() < 0.02


def test_light_clusters_are_attached_or_noise():
    X, h = mixture(3000, 2)
    X = np.concatenate([X, [[15.0, 15.0], [-15.0, 3.0]]])
    assert len(streamed(X, h, [50]).cluster_centers_) == 7
    attached = streamed(X, h, [50], min_cluster_size=20)
    assert len(attached.cluster_centers_) == 5
    assert attached.labels_.min() == 0
    noise = streamed(X, h, [50], min_cluster_size=20, cluster_all=False)
    np.testing.assert_array_equal(np.flatnonzero(noise.predict(X) == -1), [3000, 3001])
    plain = ms.MeanShift(h, min_cluster_size=20).fit(X)
    assert (attached.predict(X) == plain.labels_).mean() > 0.999


def test_modes_are_joined_by_persistence():
    X, _ = uniform(3000, 2)
    every, joined = (streamed(X, 0.7, [100], merge=merge, min_persistence=0.3) for merge in ("location", "persistence"))
    plain = ms.MeanShift(0.7, merge="persistence", min_persistence=0.3).fit(X)
    assert len(joined.cluster_centers_) < len(every.cluster_centers_)
    assert abs(len(joined.cluster_centers_) - len(plain.cluster_centers_)) <= 1


def test_grids_too_large_for_a_table_are_summed_node_by_node(monkeypatch):
    X, h = mixture(2000, 2)
    expected = streamed(X, h, [100])
    monkeypatch.setattr(streams, "MAX_TABLE", 10)
    other = streamed(X, h, [100])
    np.testing.assert_allclose(other.cluster_centers_, expected.cluster_centers_, atol=1e-3)
    assert (other.predict(X) == expected.predict(X)).mean() > 0.998
    assert other.score(X) == pytest.approx(expected.score(X), abs=0.1)


@pytest.mark.parametrize("X", [np.full((1, 2), 3.0), np.full((500, 1), 1e6), np.full((40, 3), -2.0)])
def test_one_row_or_equal_rows_are_one_cluster(X):
    model = streamed(X, 0.7, [3])
    np.testing.assert_allclose(model.cluster_centers_, X[:1], atol=1e-4)
    assert not model.labels_.any()


# ---- what cannot be followed is said ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("parameters", "d", "words"),
    [
        ({"bandwidth": None}, 2, "bandwidth given as a number, got bandwidth=None"),
        ({"bandwidth": "auto"}, 2, "bandwidth given as a number"),
        ({"bandwidth": 1.0}, 4, "up to three columns; X has 4"),
        ({"bandwidth": 1.0, "blurring": True}, 2, "blur"),
        ({"bandwidth": -1.0}, 2, "bandwidth"),
        ({"bandwidth": 1e-9}, 2, "nodes|too small"),
    ],
)
def test_streams_that_cannot_be(parameters, d, words):
    model = ms.MeanShift(**parameters)
    with pytest.raises(ValueError, match=words):
        model.partial_fit(np.random.default_rng(0).normal(size=(30, d)))
    with pytest.raises(NotFittedError):
        model.predict(np.zeros((2, d)))
    assert not hasattr(model, "cluster_centers_")


def test_a_batch_that_is_refused_changes_nothing():
    X, h = mixture(2000, 2)
    model = ms.MeanShift(h).partial_fit(X)
    alone = ms.MeanShift(h).partial_fit(X)
    bad = X.copy()
    bad[5, 1] = np.nan
    for batch, weights, words in (
        (bad, None, "NaN.*row 5, column 1"),
        (X[:, :1], None, "1 features"),
        (X, -np.ones(2000), "at least 0"),
        (X, np.full(2000, 1e-12), "too light"),
        (X, np.ones(3), "shape"),
        (X, np.full(2000, 1e7), "larger weight_scale"),
        (np.array([[1e9, 0.0]]), None, "nodes"),
        (np.empty((0, 2)), None, "0 sample"),
    ):
        with pytest.raises(ValueError, match=words):
            model.partial_fit(batch, sample_weight=weights)
    with pytest.raises(ValueError, match="cannot change it"):
        model.set_params(bandwidth=2 * h).partial_fit(X)
    model.set_params(bandwidth=h)
    same_clusters(model, alone)
    np.testing.assert_array_equal(model.labels_, alone.labels_)


def test_a_fit_is_not_continued_silently():
    X, h = mixture(2000, 2)
    model = ms.MeanShift(h).fit(X)
    with pytest.warns(UserWarning, match="begins anew"):
        model.partial_fit(X[:500])
    same_clusters(model, ms.MeanShift(h).partial_fit(X[:500]))
    model.fit(X)  # and a fit starts over
    np.testing.assert_array_equal(model.labels_, ms.MeanShift(h).fit(X).labels_)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        clone(model).partial_fit(X)


def test_sketches_that_cannot_be_clustered():
    X, h = mixture(500, 2)
    sketch = ms.DensitySketch(h).add(X)
    with pytest.raises(ValueError, match=f"bandwidth=5.0, but the sketch was made for {h}"):
        ms.MeanShift(5.0).fit(sketch)
    with pytest.raises(ValueError, match="empty"):
        ms.MeanShift().fit(ms.DensitySketch(h))
    with pytest.raises(ValueError, match="weights already"):
        ms.MeanShift().fit(sketch, sample_weight=np.ones(500))
    with pytest.raises(ValueError, match="blurred"):
        ms.MeanShift(blurring=True).fit(sketch)
