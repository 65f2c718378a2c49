"""The audit of other kernels than the Gaussian: climbs to rest, right labels pass, wrong ones don't."""

import doctest
import re

import numpy as np
import pytest

import modeseek as ms
from modeseek import rests
from modeseek.audit import audit
from modeseek.engines.weights import as_kernel
from modeseek.kernels import KERNELS
from modeseek.rests import PLATEAU, TOGETHER, PlainSums, chains
from tests.naive import lattice, mixture, moons, sparse, uniform, with_outliers
from tests.test_kernels import COMPACT, bandwidth, bump, cauchy, naive_ends


@pytest.fixture(params=["NumPy", "compiled"])
def path(request, monkeypatch):
    """Both ways to sum."""
    monkeypatch.setattr(rests, "NUMPY_PAIRS", 0 if request.param == "compiled" else 1 << 40)


def formula(kernel):
    return KERNELS[kernel] if isinstance(kernel, str) else np.vectorize(kernel, otypes=[float])


def fitted(kernel, n=1500, d=2, data=mixture, **options):
    X, h = data(n, d) if data in (mixture, uniform) else data(n)
    h = bandwidth(kernel, h, d)
    return X, h, ms.MeanShift(h, kernel=kernel, fidelity="exact", **options).fit(X)


# ---------------------------------------------------------------------------------------------- sums and climbs


@pytest.mark.parametrize("name", KERNELS)
def test_compiled_weights_are_the_formulas(name):
    from modeseek.engines.cpu.rests import loops

    r = np.r_[np.linspace(0.0, 3.0, 301), np.nextafter(1.0, 2.0)]
    out = np.empty_like(r)
    loops(name).evaluate(r, out)
    np.testing.assert_allclose(out, KERNELS[name](r), rtol=1e-14)
    assert out[100] == KERNELS[name](1.0)


@pytest.mark.usefixtures("path")
@pytest.mark.parametrize("d", [1, 2, 3, 5])
@pytest.mark.parametrize("kernel", [*COMPACT, bump, cauchy])
def test_climbs_end_where_the_naive_ones_do(kernel, d):
    X, h = mixture(400, d)
    X, h = X.astype(float), bandwidth(kernel, h, d)
    w = np.random.default_rng(1).integers(0, 4, len(X)).astype(float)
    starts = np.r_[X[w > 0][:30], X[:5] + 0.01]
    number, ends = PlainSums(X, w, h, as_kernel(kernel)).climb(starts)
    expected = naive_ends(X, starts, h, formula(kernel), w, steps=20_000)
    assert np.abs(ends - expected).max() < 1e-8 * h
    together = chains(expected / h, PLATEAU if kernel == "flat" else TOGETHER)
    np.testing.assert_array_equal(number, together)
    assert kernel is cauchy or number.max() > 0


def test_only_cells_within_reach_are_read_and_no_point_is_lost():
    """Many cells, along three of four columns, and points far out: the same as with one cell."""
    rng = np.random.default_rng(0)
    X = np.r_[rng.uniform(size=(3000, 4)) * [30, 8, 20, 2], rng.normal(size=(3, 4)) * 1e5]
    sums = PlainSums(X, [], 1.7, as_kernel("epanechnikov"))
    assert len(sums.cells[1]) > 500
    _, ends = sums.climb(X[-200:])
    np.testing.assert_allclose(ends, naive_ends(X, X[-200:], 1.7, KERNELS["epanechnikov"]), atol=1e-8)


@pytest.mark.usefixtures("path")
def test_points_at_distance_h_count(monkeypatch):
    monkeypatch.setattr(rests, "MAX_STEPS", 1)
    X = np.stack(np.meshgrid(np.arange(9.0), np.arange(8.0)), axis=-1).reshape(-1, 2) / 8 + 1024
    w = np.random.default_rng(0).integers(1, 9, len(X)).astype(float)
    for steps in (1.0, 2.0, 5.0):
        h = steps / 8
        _, means = PlainSums(X, w, h, as_kernel("flat")).climb(X)
        inside = (np.square(X[:, None] - X[None]).sum(axis=2) <= h * h) * w
        np.testing.assert_allclose(means, inside @ X / inside.sum(axis=1)[:, None], atol=1e-12)


def test_a_start_with_nothing_in_reach_goes_to_the_nearest_point():
    X, h = mixture(500, 2)
    far = np.array([[1e3, 7.0], [-2e3, 0.0]])
    nearest = X[np.square(far[:, None] - X[None]).sum(axis=2).argmin(axis=1)]
    sums = PlainSums(X, [], h, as_kernel("biweight"))
    np.testing.assert_allclose(sums.climb(far)[1], sums.climb(nearest)[1], atol=1e-9)


def test_climbs_do_not_depend_on_threads():
    X, h = uniform(3000, 2)
    one, three = (PlainSums(X, [], 2 * h, as_kernel("flat"), jobs).climb(X[:200]) for jobs in (1, 3))
    np.testing.assert_array_equal(one[0], three[0])
    np.testing.assert_array_equal(one[1], three[1])


# ------------------------------------------------------------------------------------------------ right labels


@pytest.mark.parametrize("d", [1, 2, 3, 5])
@pytest.mark.parametrize("kernel", [*COMPACT, bump, cauchy])
def test_silent_on_mixtures(kernel, d):
    X, _, model = fitted(kernel, 900, d)
    found = model.audit(X)
    assert (found.n_disagree, found.n_unsettled, found.n_samples) == (0, 0, 900)
    assert str(found) == "0 of all 900 points disagree with exact mean shift"


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("kernel", [*COMPACT, bump])
@pytest.mark.parametrize("data", [moons, lattice, sparse, uniform, with_outliers])
def test_silent_on_hard_data(kernel, data):
    X, _, model = fitted(kernel, 2000, data=data)
    found = model.audit(X, 700, random_state=0)
    assert found.n_disagree == 0
    assert found.n_unsettled <= (2 if data is sparse else 0)  # two points hardly less than h apart


@pytest.mark.parametrize("data", [moons, uniform])
def test_chains_of_tops_of_flat_weights_are_no_errors(data):
    """Over a hundred tops, some of them chains of places of rest whose ends are nearer to other tops."""
    X, _, model = fitted("flat", 3000, data=data)
    assert len(model.cluster_centers_) > 100
    assert model.audit(X).n_disagree == 0


def test_weights_and_bandwidths_per_axis():
    X, h = mixture(1200, 2)
    w = np.random.default_rng(0).integers(0, 5, 1200).astype(float)
    h = [bandwidth("biweight", h, 2), 0.8 * bandwidth("biweight", h, 2)]
    model = ms.MeanShift(h, kernel="biweight", fidelity="exact").fit(X, sample_weight=w)
    assert model.audit(X, sample_weight=w).n_disagree == 0
    model.labels_ = np.roll(model.labels_, 1)
    wrong = model.audit(X, sample_weight=w)
    assert wrong.n_disagree > 300
    near = np.sqrt(np.square(wrong.ends[:, None] - model.cluster_centers_).sum(axis=2)).min(axis=1)
    assert near.max() < 1e-4  # ends are in the units of the points


@pytest.mark.parametrize("kernel", COMPACT)
def test_labels_of_cells_are_nearly_right(kernel, monkeypatch):
    monkeypatch.setattr("modeseek.any_kernel.LITTLE", 0.0)
    X, h = mixture(20_000, 2)
    model = ms.MeanShift(bandwidth(kernel, h, 2), kernel=kernel, fidelity="fast").fit(X)
    assert model.sketch_ is not None
    found = model.audit(X, 500, random_state=0)
    assert (np.isin(found.rows, np.flatnonzero(model.cluster_weights_[model.labels_] > 200))).sum() <= 25


# ------------------------------------------------------------------------------------------------ wrong labels


@pytest.mark.parametrize("kernel", [*COMPACT, bump])
def test_single_wrong_labels_are_named(kernel):
    X, h, model = fitted(kernel)
    labels, rows = model.labels_.copy(), [5, 77, 1000]
    labels[rows] = (labels[rows] + 1) % len(model.cluster_centers_)
    found = audit(X, labels, model.cluster_centers_, h, kernel=kernel)
    np.testing.assert_array_equal(found.rows, rows)
    np.testing.assert_allclose(found.ends, naive_ends(X, X[rows], h, formula(kernel)), atol=1e-8)


@pytest.mark.parametrize("kernel", [*COMPACT, bump])
def test_permuted_split_and_joined_clusters_are_found(kernel):
    X, h, model = fitted(kernel)
    labels, modes = model.labels_, model.cluster_centers_.astype(float)
    k = len(modes)
    assert audit(X, (labels + 1) % k, modes, h, kernel=kernel).agreement == 0.0
    joined = audit(X, np.where(labels == 1, 0, labels), modes, h, kernel=kernel)
    np.testing.assert_array_equal(joined.rows, np.flatnonzero(labels == 1))
    names = np.where(np.arange(k) == 1, 0, np.arange(k))
    assert audit(X, names[labels], modes, h, kernel=kernel, clusters=names).n_disagree == 0
    cut = np.where((labels == 0) & (X[:, 0] > modes[0, 0]), k, labels)
    split = audit(X, cut, np.vstack([modes, modes[0] + [2 * PLATEAU * h, 0.0]]), h, kernel=kernel)
    np.testing.assert_array_equal(split.rows, np.flatnonzero(cut == k))


def test_tops_of_flat_weights_closer_than_a_plateau_are_not_told_apart():
    X, h, model = fitted("flat")
    labels, modes = model.labels_, model.cluster_centers_.astype(float)
    k = len(modes)
    cut = np.where((labels == 0) & (X[:, 0] > modes[0, 0]), k, labels)
    twice = np.vstack([modes, modes[0] + [0.01 * h, 0.0]])
    assert audit(X, cut, twice, h, kernel="flat").n_disagree == 0
    biweight = fitted("biweight")
    modes = biweight[2].cluster_centers_.astype(float)
    twice = np.vstack([modes, modes[0] + [0.01 * h, 0.0]])
    cut = np.where((biweight[2].labels_ == 0) & (X[:, 0] > modes[0, 0]), len(modes), biweight[2].labels_)
    assert audit(X, cut, twice, biweight[1], kernel="biweight").n_disagree == (cut == len(modes)).sum()


@pytest.mark.parametrize("kernel", [*COMPACT, bump])
def test_labels_of_another_bandwidth_or_kernel_are_found(kernel):
    X, h = uniform(2000, 2)
    h = bandwidth(kernel, h, 2)
    wide = ms.MeanShift(1.3 * h, kernel=kernel, fidelity="exact").fit(X)
    found = audit(X, wide.labels_, wide.cluster_centers_, h, kernel=kernel, n_samples=200, random_state=0)
    assert found.agreement < 0.5
    expected = naive_ends(X, X[found.rows[:20]], h, formula(kernel), steps=20_000)
    np.testing.assert_allclose(found.ends[:20], expected, atol=1e-7)
    other = "biweight" if kernel == "flat" else "flat"
    strange = ms.MeanShift(h, kernel=other, fidelity="exact").fit(X)
    found = audit(X, strange.labels_, strange.cluster_centers_, h, kernel=kernel, n_samples=200, random_state=0)
    assert found.agreement < 0.5


# ------------------------------------------------------------------------------------------------- hard inputs


@pytest.mark.parametrize("kernel", [*COMPACT, bump, cauchy])
def test_hard_inputs(kernel, tmp_path):
    def checked(X, h=2.0):
        return ms.MeanShift(h, kernel=kernel, fidelity="exact").fit(X).audit(X).n_disagree

    X = mixture(700, 2)[0]
    read_only = X.copy()
    read_only.flags.writeable = False
    np.save(tmp_path / "x.npy", X)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    shifted = np.round(X.astype(float) * 256) / 256 + 2.0**20
    repeats = np.repeat([[0.0, 0.0], [100.0, 0.0]], 400, axis=0)
    for hard in ([[3.0, 4.0]], np.ones((900, 2)), repeats, read_only, np.asfortranarray(X), mapped, shifted):
        assert checked(hard) == 0
    assert checked(X, 1e9) == 0
    assert kernel is cauchy or checked(X, 1e-9) == 0
    assert checked(X.astype(float) * 1e-120, 2e-120) == 0


def test_climbs_that_never_rest_are_unsettled(monkeypatch):
    monkeypatch.setattr(rests, "MAX_STEPS", 3)
    X, _, model = fitted("biweight", 300)
    found = model.audit(X)
    assert found.n_unsettled > 250
    assert "on flat tops were judged by where their climbs stood" in str(found)


# --------------------------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kernel": "flat", "metric": "cosine"}, "kernel='flat' needs metric=\"euclidean\""),
        ({"kernel": "round"}, "unknown kernel 'round'"),
        ({"kernel": "flat", "n_samples": 0}, "n_samples must be at least 1"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        audit(np.zeros((3, 1)), [0, 0, 0], [[0.0]], 1.0, **options)


def test_what_has_no_mode_to_climb_to_is_refused():
    X, h = mixture(300, 2)
    with pytest.raises(ValueError, match='this model has assign="nearest"'):
        ms.MeanShift(2 * h, kernel="flat", assign="nearest").fit(X).audit(X)
    with pytest.raises(ValueError, match="one bandwidth per point"):
        ms.MeanShift("adaptive-knn").fit(X).audit(X)


def test_examples_run():
    result = doctest.testmod(rests)
    assert result.attempted > 0
    assert result.failed == 0
