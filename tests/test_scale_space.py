"""Clusters at every scale: the hills of a grid and of a sample, which are chance, and the bandwidth chosen."""

import warnings
from importlib import import_module

import matplotlib

matplotlib.use("Agg")
import numpy as np
import pytest
from benchmarks.clusterings import SETS, mixture
from scipy.spatial.distance import cdist, pdist
from sklearn.datasets import load_wine, make_blobs, make_moons
from sklearn.metrics import adjusted_rand_score

import modeseek as ms
from modeseek import rules
from modeseek.bandwidth import METHODS, _by_quantile, _cells
from modeseek.neighbor_distance import mean_neighbor_distance, of_masses
from modeseek.scale_space import as_counts, evenly, path_of
from modeseek.scales import scales_of_sample

NONE = np.empty(0)


def sums(Q, X, h, w=None):
    g = np.exp(-0.5 * cdist(Q, X, "sqeuclidean") / h**2)
    return g.sum(axis=1) if w is None else g @ w


# ------------------------------------------------------------------------------------------------------ scales


@pytest.mark.parametrize("d", [1, 2, 3])
def test_hills_of_the_grid_are_modes_of_the_density(d):
    X, _ = mixture(400, d, 4, 3)
    path = ms.bandwidth_path(X)
    for scale in path.scales[:: 7 if d < 3 else 14]:
        h = scale.bandwidth
        assert scale.masses.sum() == pytest.approx(len(X), rel=1e-6)
        heavy = np.flatnonzero(scale.masses >= 8)
        np.testing.assert_allclose(scale.heights[heavy], sums(scale.modes[heavy], X, h), rtol=0.02)
        ends = ms.textbook.climb(X, scale.modes[heavy], h)
        assert np.linalg.norm(ends - scale.modes[heavy], axis=1).max() < 0.5 * h  # nodes are up to h / 2 apart
        modes, _ = ms.textbook.modes(ms.textbook.climb(X, X, h), h)
        assert len(modes) >= len(heavy)


def test_grid_and_sample_find_the_same_modes_and_saddles():
    X, _ = make_blobs(900, centers=[[0, 0], [4, 0], [0, 7]], cluster_std=1.0, random_state=0)
    h = np.array([0.9, 1.2, 1.5])
    on_grid = path_of(X, NONE, h)
    on_sample = scales_of_sample(X, h)
    for a, b in zip(on_grid.scales, on_sample, strict=True):
        assert a.bandwidth == b.bandwidth
        k = min(3, on_grid.n_clusters[0])
        np.testing.assert_allclose(a.heights[:k], b.heights[:k], rtol=0.03)
        np.testing.assert_allclose(a.saddles[1:k], b.saddles[1:k], rtol=0.1)
        assert a.score == pytest.approx(b.score, abs=0.05)


def test_the_saddle_of_two_blobs_is_the_lowest_place_between_them():
    X = np.concatenate([np.random.default_rng(0).normal([x, 0.0], size=(2000, 2)) for x in (0.0, 5.0)])
    scale = path_of(X, NONE, np.array([0.8, 1.0])).scales[0]
    way = np.column_stack([np.linspace(0.0, 5.0, 400), np.zeros(400)])
    big = np.argsort(-scale.masses)[:2]
    assert scale.saddles[big].max() == pytest.approx(sums(way, X, 0.8)[80:320].min(), rel=0.05)


@pytest.mark.parametrize(("n", "d"), [(300, 1), (300, 2), (3000, 2), (300, 3)])
def test_hills_of_evenly_scattered_points_are_chance(n, d):
    mistaken = hills = 0
    for seed in range(10):
        path = ms.bandwidth_path(np.random.default_rng(seed).random((n, d)))
        mistaken += path.chosen is not None
        hills += len(path.scales[0].modes)
    assert hills > 20  # there are some at the finest scale
    assert mistaken <= 1


def test_most_even_clouds_are_one_cluster_and_most_pairs_are_two():
    rng, ones, twos = np.random.default_rng(0), 0, 0
    for _ in range(20):
        X = rng.normal(size=(500, 2))
        ones += ms.bandwidth_path(X).chosen is None
        pair = ms.bandwidth_path(X + 5.0 * (np.arange(500)[:, None] % 2))
        twos += pair.chosen is not None and pair.chosen.n_clusters == 2
    assert ones >= 18
    assert twos == 20


def test_modes_lead_into_each_other():
    X, _ = make_blobs(600, centers=5, random_state=3)
    for Y in (X, np.hstack([X, X @ np.random.default_rng(0).normal(size=(2, 3))])):
        path = ms.bandwidth_path(Y)
        for here, there in zip(path.scales[:-1], path.scales[1:], strict=True):
            assert here.leads_to.shape == (len(here.modes),)
            moved = np.bincount(here.leads_to, here.masses, len(there.modes))
            assert np.abs(moved - there.masses).sum() < 0.1 * len(X)
        assert path.scales[-1].leads_to is None


# ------------------------------------------------------------------------------------------------------ the path


def test_attributes_agree_with_each_other():
    path = ms.bandwidth_path(ms.textbook.make_data()[1])
    assert path.bandwidths.shape == path.n_clusters.shape == path.n_modes.shape == path.scores.shape == (30,)
    assert (np.diff(path.bandwidths) > 0).all()
    assert [r.n_clusters for r in path.ranges for _ in range(r.first, r.last + 1)] == path.n_clusters.tolist()
    assert sum(r.lasting for r in path.ranges) == pytest.approx(np.log(path.bandwidths[-1] / path.bandwidths[0]))
    assert path.chosen in path.ranges
    assert path.chosen.low < path.bandwidth < path.chosen.high
    assert "6 clusters" in str(path)
    assert np.isfinite(path.scores).all()


def test_the_score_is_highest_where_the_density_is_described_best():
    X = np.random.default_rng(0).normal(size=(1000, 2))
    h = np.geomspace(0.02, 3.0, 25)
    path = ms.bandwidth_path(X, h)
    assert 0.2 < h[path.scores.argmax()] < 0.6  # n^(-1/6) is 0.32


def test_arcs_are_found_where_no_clusters_stand_apart():
    X, y = make_moons(1500, noise=0.05, random_state=0)
    h = ms.bandwidth_path(X).bandwidth
    assert adjusted_rand_score(y, ms.MeanShift(h).fit(X).labels_) > 0.9


@pytest.mark.parametrize("scale", [1e-100, 1.0, 1024.0, 1e100])
def test_units_do_not_matter(scale):
    X, _ = make_blobs(600, centers=3, random_state=1)
    for Y in (X, np.hstack([X, X[:, ::-1]])):
        h = ms.bandwidth_path(Y).bandwidth
        assert ms.bandwidth_path(Y * scale).bandwidth == pytest.approx(h * scale, rel=1e-6)


def test_order_of_magnitude_far_from_zero_does_not_matter():
    X, _ = make_blobs(600, centers=3, random_state=1)
    assert ms.bandwidth_path(X + 2.0**23).bandwidth == pytest.approx(ms.bandwidth_path(X).bandwidth, rel=0.05)


def test_the_same_bits_for_any_number_of_threads():
    for d in (2, 5):
        X, _ = mixture(3000, d, 4, 1)
        one, two = (ms.bandwidth_path(X, n_jobs=n) for n in (1, 2))
        assert one.bandwidth == two.bandwidth
        np.testing.assert_array_equal(one.scores, two.scores)


def test_whole_weights_are_counts_and_others_count_by_kish():
    X, _ = make_blobs(400, centers=3, random_state=1)
    w = np.random.default_rng(0).integers(0, 4, 400)
    weighted = ms.bandwidth_path(X, np.geomspace(0.5, 5.0, 10), sample_weight=w)
    repeated = ms.bandwidth_path(np.repeat(X, w, axis=0), np.geomspace(0.5, 5.0, 10))
    np.testing.assert_array_equal(weighted.n_clusters, repeated.n_clusters)
    assert weighted.total_weight == pytest.approx(w.sum())
    tiny = ms.bandwidth_path(X, sample_weight=np.full(400, 1e-4 / 3))
    assert tiny.total_weight == pytest.approx(400)
    assert tiny.bandwidth == pytest.approx(ms.bandwidth_path(X).bandwidth)
    np.testing.assert_array_equal(as_counts(np.array([1.0, 3.0])), [1.0, 3.0])


def test_a_sample_is_even_by_weight():
    X = np.arange(10.0)[:, None]
    np.testing.assert_array_equal(evenly(X, NONE, 5)[:, 0], [1, 3, 5, 7, 9])
    np.testing.assert_array_equal(evenly(X, np.repeat([0.5, 1.5], 5), 4)[:, 0], [2, 5, 7, 9])


@pytest.mark.parametrize(
    "X",
    [np.zeros((1, 2)), np.ones((50, 3)), np.array([[0.0], [1.0]]), np.eye(5), np.array([[0.0, 0.0], [1e9, 0.0]])],
)
def test_tiny_and_constant_data_have_a_path(X):
    path = ms.bandwidth_path(X)
    assert np.isfinite(path.bandwidth)
    assert path.bandwidth > 0
    assert (path.n_clusters >= 1).all()
    str(path)


def test_an_outlier_far_away_leaves_the_clusters_to_be_found():
    X, _ = make_blobs(1000, centers=3, random_state=1)
    far = np.concatenate([X, [[1e6, 1e6]]])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = ms.MeanShift("plugin").fit(far)
    assert np.isfinite(model.bandwidth_)


@pytest.mark.parametrize(
    "given_bandwidths", [[1.0], [[1.0, 2.0]], [2.0, 1.0], [0.0, 1.0], [1.0, np.inf], [np.nan, 1.0], [1.0, 1.0]]
)
def test_bandwidths_that_make_no_sense(given_bandwidths):
    with pytest.raises(ValueError, match="bandwidths must be"):
        ms.bandwidth_path(np.eye(3), given_bandwidths)


def test_examples_run():
    import doctest

    for name in ("scale_space", "bandwidth", "plotting.scales"):
        result = doctest.testmod(import_module(f"modeseek.{name}"))
        assert result.attempted > 0
        assert result.failed == 0


# --------------------------------------------------------------------------------------------------------- rules


def test_a_rule_by_name_is_what_the_estimator_uses():
    X, _ = make_blobs(600, centers=3, random_state=1)
    for method in METHODS:
        h = ms.estimate_bandwidth(X, method=method)
        assert h > 0
        model = ms.MeanShift(method).fit(X)
        if method != "quantile":  # a radius of the flat kernel
            assert model.bandwidth_ == h
        flat = ms.MeanShift(method, kernel="flat").fit(X)
        assert flat.bandwidth_ == pytest.approx(np.sqrt(6) * model.bandwidth_)
    assert ms.MeanShift("quantile", kernel="flat").fit(X).bandwidth_ == pytest.approx(
        ms.estimate_bandwidth(X, quantile=0.3)
    )


@pytest.mark.parametrize("d", [1, 2, 5])
def test_normal_rules_are_their_formulas(d):
    X = np.random.default_rng(d).normal(size=(4000, d)) * 3.0
    s = np.sqrt(X.var(axis=0).mean())
    assert rules.scott(X, NONE) == pytest.approx(s * 4000 ** (-1 / (d + 4)))
    assert rules.normal(X, NONE) == pytest.approx(s * (4 / ((d + 4) * 4000)) ** (1 / (d + 6)))
    if d > 1:
        assert rules.silverman(X, NONE) == pytest.approx(s * (4 / ((d + 2) * 4000)) ** (1 / (d + 4)))
    else:
        narrow = min(s, np.subtract(*np.quantile(X, [0.75, 0.25])) / 1.349)
        assert rules.silverman(X, NONE) == pytest.approx(0.9 * narrow * 4000**-0.2)


@pytest.mark.parametrize("d", [1, 2, 3, 6])
def test_the_plug_in_rule_is_the_normal_reference_on_normal_data(d):
    X = np.random.default_rng(d).normal(size=(20_000, d))
    assert rules.plugin(X, NONE) == pytest.approx(rules.normal(X, NONE), rel=0.12)


def test_the_plug_in_rule_resolves_clusters_that_the_normal_reference_does_not():
    X, y = make_blobs(3000, centers=[[-40, 0], [40, 0], [0, 60]], cluster_std=1.0, random_state=0)
    one = X[y == 0]
    assert rules.normal(one, NONE) < rules.plugin(X, NONE) < 0.25 * rules.normal(X, NONE)


@pytest.mark.parametrize(("d", "r"), [(1, 3), (2, 3), (2, 4), (3, 4)])
def test_functionals_are_integrals_of_the_fourier_transform(d, r):
    """Of a normal density smoothed by the pilot, int |w|^2r e^(-(1 + g^2) |w|^2) dw / (2 pi)^d has a closed form."""
    rng, pilot = np.random.default_rng(0), 0.7
    X = rng.normal(size=(3000, d))
    expected = rules._of_normal(d, r) * (1.0 + pilot**2) ** (-0.5 * d - r)
    noise = rules._of_normal(d, r) * pilot ** (-d - 2 * r) / len(X)  # of pairs of a point with itself
    found = rules._functional(pdist(X, "sqeuclidean"), len(X), d, r, pilot)
    assert found == pytest.approx(expected + noise, rel=0.15)


def test_the_third_that_a_gaussian_covers():
    X = np.random.default_rng(0).normal(size=(500, 2))
    h = rules.third(X, NONE)
    assert np.exp(-0.5 * cdist(X, X, "sqeuclidean") / h**2).mean() == pytest.approx(1 / 3)


@pytest.mark.parametrize("d", [1, 2, 3])
def test_cells_that_stand_in_give_scikit_learns_rule_to_a_thousandth(d):
    X, _ = mixture(15_000, d, 5, 2)
    exact = mean_neighbor_distance(X, NONE, 0.3)
    assert of_masses(*_cells(X, NONE), 0.3) == pytest.approx(exact, rel=3e-3)
    assert _by_quantile(X, NONE, 0.3, None) == exact
    assert of_masses(X[:500], np.ones(500), 0.3) == pytest.approx(mean_neighbor_distance(X[:500], NONE, 0.3), rel=0.01)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("X", [np.zeros((1, 3)), np.ones((50, 2)), np.array([[0.0], [1.0]]), np.eye(4),
                               np.repeat(np.arange(3.0), 40)[:, None], np.full((30, 2), 1e300)])  # fmt: skip
def test_no_rule_gives_zero_or_nan(method, X):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        h = ms.estimate_bandwidth(X, method=method)
    assert np.isfinite(h)
    assert h > 0


@pytest.mark.parametrize("method", METHODS)
def test_a_weight_counts_points(method):
    X, _ = make_blobs(500, centers=3, random_state=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        doubled = ms.estimate_bandwidth(np.repeat(X, 2, axis=0), method=method)
        assert ms.estimate_bandwidth(X, method=method, sample_weight=np.full(500, 2.0)) == pytest.approx(
            doubled, rel=0.05
        )


def test_one_cluster_is_told():
    with pytest.warns(UserWarning, match="makes one cluster"):
        ms.estimate_bandwidth(np.random.default_rng(0).normal(size=(400, 2)))


# ------------------------------------------------------------------------------------------------- standardising


def test_columns_of_very_different_spread_are_told_and_standardising_helps():
    X, _ = load_wine(return_X_y=True)
    with pytest.warns(UserWarning, match=r"Column 12 has .* column 7"):
        ms.MeanShift().fit(X)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = ms.MeanShift(2.0, standardize=True).fit(X)
        ms.MeanShift(2.0).fit(X)  # the user's own choice
    Z = (X - X.mean(axis=0)) / X.std(axis=0)
    scaled = ms.MeanShift(2.0).fit(Z)
    np.testing.assert_array_equal(model.labels_, scaled.labels_)
    np.testing.assert_allclose(model.cluster_centers_, scaled.cluster_centers_ * X.std(axis=0) + X.mean(axis=0))
    np.testing.assert_array_equal(model.predict(X), model.labels_)
    assert model.bandwidth_ == 2.0


def test_a_constant_column_stays_as_it_is():
    X, _ = make_blobs(300, random_state=0)
    flat = np.hstack([X, np.full((300, 1), 7.0)])
    model = ms.MeanShift(0.3, standardize=True).fit(flat)
    np.testing.assert_array_equal(model.labels_, ms.MeanShift(0.3, standardize=True).fit(X).labels_)
    np.testing.assert_allclose(model.cluster_centers_[:, 2], 7.0)


@pytest.mark.parametrize("options", [{"metric": "cosine"}, {"bandwidth": [1.0, 2.0]}, {"bandwidth": np.ones(30)}])
def test_what_standardising_does_not_go_with(options):
    X = np.random.default_rng(0).normal(size=(30, 2))
    with pytest.raises(ValueError, match="standardize=True goes with"):
        ms.MeanShift(**{"bandwidth": 0.5, **options}, standardize=True).fit(X)
    with pytest.raises(AttributeError):
        ms.MeanShift(0.5, standardize=True).partial_fit(X)


# ------------------------------------------------------------------------------------------------------ pictures


def test_the_picture_shows_counts_and_the_tree():
    import matplotlib.pyplot as plt

    path = ms.bandwidth_path(ms.textbook.make_data()[1])
    upper, lower = ms.plot.bandwidths(path)
    np.testing.assert_array_equal(upper.lines[1].get_ydata(), path.n_clusters)
    heavy = sum(int((s.masses >= 0.005 * path.total_weight).sum()) for s in path.scales[:-1])
    assert sum(len(lines.get_segments()) for lines in lower.collections) == heavy
    assert lower.lines[-1].get_xdata() == [path.bandwidth] * 2
    _, axes = plt.subplots(2)
    assert ms.plot.bandwidths(ms.bandwidth_path(np.random.default_rng(0).normal(size=(99, 1))), axes=axes)[0] is axes[0]
    plt.close("all")
    with pytest.raises(ValueError, match="empty"):
        ms.plot.bandwidths([])


def test_the_list_of_sets_is_as_it_says():
    assert len(SETS) >= 25
    assert sum(s.half == "tuning" for s in SETS) == sum(s.half == "judging" for s in SETS)
    X, y = SETS[0].draw()
    assert len(X) == len(y)
