"""DensitySketch: merging to the same bits, accuracy and its order, files, bad input."""

import numpy as np
import pytest

import modeseek as ms
from modeseek.sketch import bin_points
from tests.naive import mixture


def naive_density(X, Q, h):
    squares = ((Q[:, None] - X[None]) ** 2).sum(axis=2)
    return np.exp(-0.5 * squares / h**2).sum(axis=1) / len(X) / (2 * np.pi * h * h) ** (X.shape[1] / 2)


@pytest.mark.parametrize("d", [1, 2, 3])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_any_order_of_merging_gives_the_same_bits(d, dtype):
    X, h = mixture(5000, d)
    X = X.astype(dtype)
    whole = ms.DensitySketch(h).add(X)
    rng = np.random.default_rng(0)
    for _ in range(3):
        parts = [ms.DensitySketch(h).add(part) for part in np.array_split(X[rng.permutation(len(X))], 7)]
        merged = ms.DensitySketch(h)
        for k in rng.permutation(7):
            merged.merge(parts[k])
        assert merged == whole
    assert whole != ms.DensitySketch(h).add(X[:-1])
    for n_jobs in (1, 2, 7):
        assert ms.DensitySketch(h).add(X, n_jobs=n_jobs) == whole


def test_many_chunks_and_threads_give_the_same_bits():
    X, h = mixture(600_000, 2)
    one = ms.DensitySketch(h).add(X, n_jobs=1)
    assert ms.DensitySketch(h).add(X, n_jobs=2) == one
    assert ms.DensitySketch(h).add(X, n_jobs=7) == one
    assert ms.DensitySketch(h).add(X[::-1]) == one


@pytest.mark.parametrize("d", [1, 2, 3])
def test_density_is_the_kernel_density_estimate(d):
    X, h = mixture(2000, d)
    Q = X[:100].astype(float) + 0.1
    exact = naive_density(X.astype(float), Q, h)
    np.testing.assert_allclose(ms.DensitySketch(h, spacing=0.25).add(X).density(Q), exact, rtol=2e-3)


def test_error_falls_with_the_fourth_power_of_the_spacing():
    """One point's error is of third order, its mean over many offsets of fourth: so take many points."""
    X, h = mixture(100_000, 1)
    X = X.astype(float)
    Q = X[:100]
    exact = naive_density(X, Q, h)
    spacings = np.array([0.7, 0.5, 0.35, 0.25])
    errors = [
        np.mean(
            [
                np.abs(ms.DensitySketch(h, spacing=eps, origin=o).add(X).density(Q) / exact - 1).max()
                for o in np.random.default_rng(0).uniform(0, h, (5, 1))
            ]
        )
        for eps in spacings
    ]
    slope = np.polyfit(np.log(spacings), np.log(errors), 1)[0]
    assert 3.6 < slope < 4.6


def test_mass_is_kept_and_weights_are_replication():
    X, h = mixture(1000, 2)
    copies = np.random.default_rng(0).integers(1, 5, 1000)
    weighted = ms.DensitySketch(h, weight_scale=8.0).add(X, sample_weight=copies)
    repeated = ms.DensitySketch(h, weight_scale=8.0).add(np.repeat(X, copies, axis=0))
    assert weighted.total_weight_ == pytest.approx(copies.sum(), rel=1e-7)
    np.testing.assert_allclose(weighted.density(X[:50]), repeated.density(X[:50]), rtol=1e-6)


def test_thirty_million_units_of_mass_lose_nothing():
    """Float32 accumulators lose mass here; integers do not."""
    X = np.zeros((3_000_000, 2), np.float32)
    sketch = ms.DensitySketch(1.0, origin=[0.1, 0.2])
    for _ in range(10):
        sketch.add(X)
    assert sketch.total_weight_ == pytest.approx(3e7, rel=1e-8)


def test_save_and_load(tmp_path):
    X, h = mixture(1000, 3)
    sketch = ms.DensitySketch(h, spacing=0.4, origin=[1.0, 2.0, 3.0]).add(X)
    sketch.save(tmp_path / "a.sketch")
    again = ms.DensitySketch.load(tmp_path / "a.sketch")
    assert again == sketch
    assert again.add(X) == sketch.merge(ms.DensitySketch.load(tmp_path / "a.sketch"))
    assert [p.name for p in tmp_path.iterdir()] == ["a.sketch"]  # no temporary files left
    (tmp_path / "bad").write_bytes(b"not a sketch")
    with pytest.raises(ValueError, match="bad is not a DensitySketch"):
        ms.DensitySketch.load(tmp_path / "bad")
    with pytest.raises(FileNotFoundError):
        ms.DensitySketch.load(tmp_path / "nowhere")


def test_sketches_that_do_not_fit_together_are_refused():
    X, h = mixture(100, 2)
    sketch = ms.DensitySketch(h).add(X)
    for other in (
        ms.DensitySketch(2 * h).add(X),
        ms.DensitySketch(h, spacing=0.25).add(X),
        ms.DensitySketch(h, origin=[1.0, 0.0]).add(X),
        ms.DensitySketch(h, weight_scale=2.0).add(X),
    ):
        with pytest.raises(ValueError, match="Cannot merge sketches of different"):
            sketch.merge(other)
    with pytest.raises(TypeError, match="DensitySketch"):
        sketch.merge("sketch")
    with pytest.raises(ValueError, match="features"):
        sketch.add(np.zeros((3, 1)))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: ms.DensitySketch(0.0), "bandwidth"),
        (lambda: ms.DensitySketch(1.0, spacing=3.0), "spacing"),
        (lambda: ms.DensitySketch(1.0, origin=[np.nan]), "origin"),
        (lambda: ms.DensitySketch(1.0).add(np.zeros((5, 4))), "1, 2 or 3 features"),
        (lambda: ms.DensitySketch(1e-6).add(np.array([[0.0, 0.0], [1.0, 1.0]])), "larger bandwidth"),
        (lambda: ms.DensitySketch(1.0).add(np.array([[1e300]])), "larger bandwidth"),
        (lambda: ms.DensitySketch(1.0).add(np.array([[np.nan]])), "NaN"),
        (lambda: ms.DensitySketch(1.0).add([[0.0]], sample_weight=[1e30]), "weight_scale"),
        (lambda: ms.DensitySketch(1.0).density([[0.0]]), "empty"),
    ],
)
def test_bad_input_is_named(make, words):
    with pytest.raises(ValueError, match=words):
        make()


def test_bins_keep_mass_mean_and_variance():
    X, h = mixture(300_000, 2)
    bounds = np.array([X.min(axis=0), X.max(axis=0)], float)
    bins = bin_points(X, bounds, h)
    assert bins.counts.sum() == len(X)
    mean = X.mean(axis=0, dtype=float)
    # means are those of a sample: about 1 in 5 points here, each within h / 4 of its bin's middle
    np.testing.assert_allclose(bins.counts @ bins.means / len(X), mean, atol=2e-3)
    spread = bins.counts @ np.square(bins.means - mean).sum(axis=1) / len(X) / 2
    total = np.square(X - mean).sum(axis=1).mean() / 2
    assert spread + bins.lost_variance == pytest.approx(total, rel=1e-3)
    assert bins.lost_variance == pytest.approx((h / 2) ** 2 / 12, rel=0.05)
    for n_jobs in (1, 2, 7):
        again = bin_points(X, bounds, h, n_jobs)
        np.testing.assert_array_equal(again.means, bins.means)
        np.testing.assert_array_equal(again.index, bins.index)
    assert bin_points(X, bounds, h / 100) is None  # too few points a bin


def test_binned_and_direct_deposits_give_the_same_labels():
    X, h = mixture(400_000, 2)
    X = X * 0.4  # fewer nodes: bins pay
    binned = ms.MeanShift(h, fidelity="fast").fit(X)
    direct = ms.MeanShift(h, fidelity="fast").fit(X, sample_weight=np.ones(len(X)))  # weights are never binned
    assert binned.sketch_ != direct.sketch_
    assert (binned.labels_ == direct.labels_).mean() > 0.9999
    np.testing.assert_allclose(binned.cluster_centers_, direct.cluster_centers_, atol=1e-4)
    np.testing.assert_array_equal(binned.predict(X), binned.labels_)
    np.testing.assert_array_equal(np.bincount(binned.labels_), binned.cluster_weights_)
