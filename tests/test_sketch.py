"""DensitySketch: merging to the same bits, accuracy and its order, files, bad input."""

import numpy as np
import pytest

import modeseek as ms
from modeseek.sketch import bin_points
from tests.naive import mixture, naive_deposit


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
        np.testing.assert_array_equal(again.places.index, bins.places.index)
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


# ---- cubic splines ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("degree", [2, 3])
@pytest.mark.parametrize("d", [1, 2, 3])
def test_masses_are_those_of_the_splines_point_by_point(d, degree):
    X, h = mixture(200, d)
    X = np.concatenate([X, -X]).astype(float)  # negative indices too
    sketch = ms.DensitySketch(h, spacing=0.5, degree=degree).add(X)
    naive = naive_deposit(X, sketch.box.lower, sketch.masses.shape, np.zeros(d), sketch.delta, degree)
    np.testing.assert_allclose(sketch.masses * 2.0**-30, naive, atol=1e-6)
    cut = naive_deposit(X, sketch.box.lower, sketch.masses.shape, np.zeros(d), sketch.delta, degree, np.trunc)
    assert np.abs(sketch.masses * 2.0**-30 - cut).max() > 0.05  # control: cut towards zero


@pytest.mark.parametrize("d", [1, 2, 3])
def test_cubic_deposits_merge_to_the_same_bits_and_keep_mass_and_moments(d):
    X, h = mixture(3000, d)
    w = np.random.default_rng(1).integers(1, 9, 3000) / 8
    whole = ms.DensitySketch(h, degree=3).add(X, w)
    parts = [ms.DensitySketch(h, degree=3).add(X[k::3], w[k::3], n_jobs=1 + k) for k in (2, 0, 1)]
    assert parts[0].merge(parts[1]).merge(parts[2]) == whole
    for n_jobs in (1, 2, 7):
        assert ms.DensitySketch(h, degree=3).add(X, w, n_jobs=n_jobs) == whole
    assert whole != ms.DensitySketch(h).add(X, w)
    nodes = whole.nodes()
    assert nodes.degree == 3
    z, p = nodes.positions(nodes.occupied()), nodes.weights(nodes.occupied())
    X = X.astype(float)
    assert p.sum() == pytest.approx(w.sum(), rel=1e-7)
    np.testing.assert_allclose(p @ z, w @ X, rtol=1e-5, atol=1e-3)
    # the spline's own variance: 4 / 12 of a node spacing squared, whatever the offset
    spread = p @ np.square(z) - w @ np.square(X)
    np.testing.assert_allclose(spread / p.sum(), whole.delta**2 / 3, rtol=1e-4)
    third = p @ z**3 - w @ X**3 - whole.delta**2 * (w @ X)
    np.testing.assert_allclose(third / p.sum(), 0.0, atol=1e-4)


def test_a_point_is_of_third_order_with_quadratic_and_of_fourth_with_cubic_splines():
    """The worst over offsets and distances, against the average in the test above."""
    offsets, spacings, slopes = np.linspace(0.0, 1.0, 17), np.array([0.5, 0.35, 0.25, 0.18]), {}
    for degree in (2, 3):
        errors = []
        for eps in spacings:
            Q = np.linspace(-2.0, 2.0, 81)[:, None]
            worst = 0.0
            for u in offsets:
                x = np.array([[u * eps]])
                density = ms.DensitySketch(1.0, spacing=eps, degree=degree).add(x).density(Q)
                worst = max(worst, np.abs(density - naive_density(x, Q, 1.0)).max())
            errors.append(worst)
        slopes[degree] = np.polyfit(np.log(spacings), np.log(errors), 1)[0]
    assert 2.7 < slopes[2] < 3.4
    assert 3.7 < slopes[3] < 4.4


def test_cubic_sketches_are_saved_and_do_not_merge_with_quadratic_ones(tmp_path):
    X, h = mixture(500, 2)
    cubic = ms.DensitySketch(h, degree=3).add(X)
    cubic.save(tmp_path / "cubic.npz")
    again = ms.DensitySketch.load(tmp_path / "cubic.npz")
    assert again == cubic
    assert again.degree == 3
    assert again.kernel_bandwidth() == pytest.approx(np.sqrt(h**2 - cubic.delta**2 / 3))
    with pytest.raises(ValueError, match="different degree: 2 and 3"):
        ms.DensitySketch(h).add(X).merge(cubic)
    for degree in (1, 4, 2.5, "cubic"):
        with pytest.raises(ValueError, match="degree must be 2 or 3"):
            ms.DensitySketch(h, degree=degree)
