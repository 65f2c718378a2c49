"""Kernels other than the Gaussian, and users' own: against plain sums, by laws, and what must be refused."""

import math
import pickle
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad
from sklearn.base import clone
from sklearn.metrics import adjusted_rand_score

import modeseek as ms
from modeseek import any_kernel, kernels
from modeseek.engines.weights import as_kernel
from modeseek.fields.dense import DenseField
from modeseek.fields.radial import TiledRadialField, shift_over_all
from modeseek.fields.radial_dense import DenseRadialField
from modeseek.fields.radial_table import RadialTable
from modeseek.kernels import BUILT_IN, KERNELS, SHADOWS, equivalent_bandwidth
from tests.examples import examples
from tests.naive import mixture, uniform, with_outliers

COMPACT = [name for name in KERNELS if name != "gaussian"]
LAWS = examples(6)


def cauchy(r):
    return 1.0 / (1.0 + r * r)


def bump(r):
    if r >= 1.0:
        return 0.0
    return math.exp(1.0 - 1.0 / (1.0 - r * r))


def exponential(r):
    return math.exp(-r)


def bandwidth(kernel, h: float, d: int) -> float:
    return h * as_kernel(kernel).of_gaussian(d)


def naive_sums(X, q, h, g, w=None):
    """Mean and sum of weights around each query: the definition, point by point."""
    X, q = np.asarray(X, float), np.asarray(q, float)
    r = np.sqrt(np.square(q[:, None] - X[None]).sum(axis=2)) / h
    weights = np.array([[g(v) for v in row] for row in r]) * (1.0 if w is None else w)
    total = weights.sum(axis=1)
    return np.einsum("qi,qid->qd", weights, X[None] - q[:, None]) / total[:, None] + q, total


def naive_ends(X, starts, h, g, w=None, steps=3000):
    """Where every start comes to rest, to 1e-12 bandwidths; ``g`` takes arrays."""
    X, x = np.asarray(X, float), np.array(starts, float)
    w = np.ones(len(X)) if w is None else w
    moving = np.arange(len(x))
    for _ in range(steps):
        here = x[moving]
        offsets = X[None] - here[:, None]
        weights = g(np.sqrt(np.square(offsets).sum(axis=2)) / h) * w
        step = np.einsum("qi,qid->qd", weights, offsets) / weights.sum(axis=1)[:, None]
        x[moving] = here + step
        moving = moving[np.sqrt(np.square(step).sum(axis=1)) > 1e-12 * h]
        if not moving.size:
            break
    return x


def force_table(monkeypatch):
    monkeypatch.setattr(any_kernel, "LITTLE", 0.0)


# ------------------------------------------------------------------------------------------------- formulas


@pytest.mark.parametrize("name", KERNELS)
def test_the_slope_of_the_shadow_is_the_weight(name):
    r = np.linspace(0.02, 0.98, 97)
    slope = (SHADOWS[name](r + 1e-5) - SHADOWS[name](r - 1e-5)) / 2e-5
    np.testing.assert_allclose(slope / slope[40], r * KERNELS[name](r) / (r[40] * KERNELS[name](r[40])), rtol=1e-6)
    assert SHADOWS[name](0.0) == 1.0


@pytest.mark.parametrize("d", [1, 2, 3, 7])
@pytest.mark.parametrize("name", COMPACT)
def test_variances_of_shadows_are_their_integrals(name, d):
    zeroth, second = (quad(lambda r, p=p: r ** (d - 1 + p) * SHADOWS[name](r), 0, 1)[0] for p in (0, 2))
    assert BUILT_IN[name].variance(d) == pytest.approx(second / zeroth / d, rel=1e-8)


@pytest.mark.parametrize("d", [1, 2, 5])
def test_what_is_found_out_of_a_function_is_what_is_known_of_the_kernel(d):
    same = {
        "gaussian": lambda r: math.exp(-0.5 * r * r),
        "triangular": lambda r: max(0.0, 1.0 - r),
        "epanechnikov": lambda r: max(0.0, 1.0 - r * r),
        "biweight": lambda r: max(0.0, 1.0 - r * r) ** 2,
        "flat": lambda r: 1.0 if r <= 1.0 else 0.0,
    }
    assert same.keys() == KERNELS.keys()
    r = np.linspace(0.0, 1.2, 301)
    for name, function in same.items():
        known, found = BUILT_IN[name], as_kernel(function)
        assert found.support == pytest.approx(known.support, rel=1e-6)
        assert found.support >= known.support * (1 - 1e-7)
        assert found.half == pytest.approx(known.half, rel=1e-9)
        assert found.continuous == known.continuous
        assert found.variance(d) == pytest.approx(known.variance(d), rel=1e-3)
        np.testing.assert_allclose(found.shadow(r), known.shadow(r), atol=2e-4)


def test_bandwidths_convert_there_and_back():
    for name in KERNELS:
        there = equivalent_bandwidth(2.5, "gaussian", name, 3)
        assert equivalent_bandwidth(there, name, "gaussian", 3) == pytest.approx(2.5)
    assert equivalent_bandwidth(1.0, "gaussian", "flat", 1) == pytest.approx(math.sqrt(5))
    for bad in [("nope", "flat", 2), ("flat", "nope", 2), ("flat", "flat", 0)]:
        with pytest.raises(ValueError, match=r"unknown|n_features"):
            equivalent_bandwidth(1.0, *bad)
    with pytest.raises(ValueError, match="above 0"):
        equivalent_bandwidth(0.0, "flat", "flat", 2)


def test_a_kernel_that_hardly_fades_has_no_shadow_but_a_width():
    kernel = as_kernel(cauchy)
    assert kernel.support == math.inf
    assert kernel.width(2) == pytest.approx(1.0)
    with pytest.raises(ValueError, match="no finite height"):
        kernel.shadow(0.5)
    assert as_kernel(exponential).support == pytest.approx(53 * math.log(2))


def test_the_tables_of_the_documentation_are_what_the_code_says():
    lines = (Path(__file__).parent.parent / "docs" / "kernels.md").read_text(encoding="utf-8").splitlines()
    assert [line.split('"')[1] for line in lines if line.startswith('| `"')] == list(KERNELS)
    head = next(i for i, line in enumerate(lines) if line.startswith("| kernel | d = "))
    columns = [int(cell.split("=")[1]) for cell in lines[head].strip("| ").split("|")[1:]]
    rows = [
        [cell.strip() for cell in line.strip("| ").split("|")] for line in lines[head + 2 : head + 2 + len(KERNELS)]
    ]
    assert [row[0] for row in rows] == list(KERNELS)
    for name, *cells in rows:
        assert cells == [f"{equivalent_bandwidth(1.0, 'gaussian', name, d):.3f}" for d in columns]


# --------------------------------------------------------------------------------------------------- fields


@pytest.mark.parametrize("d", [1, 2, 3, 5])
@pytest.mark.parametrize("kernel", [*KERNELS, cauchy, bump])
def test_one_step_is_the_naive_one(kernel, d):
    X, h = mixture(230, d, seed=d)
    w = np.random.default_rng(1).integers(0, 4, len(X)).astype(float)
    h, known = bandwidth(kernel, h, d), as_kernel(kernel)
    g = kernel if callable(kernel) else KERNELS[kernel]
    queries = X[:40].astype(float) + 0.1
    mean, total = naive_sums(X, queries, h, g, w)
    fields = [TiledRadialField(X, w, h, known)] + [DenseRadialField(X, w, h, known)] * (not callable(kernel))
    for field in fields:
        found, sums = field.shift(queries)
        near = total > 0
        np.testing.assert_allclose(found[near], mean[near], atol=1e-12 * h)
        np.testing.assert_allclose(sums, total, rtol=1e-12)
        np.testing.assert_allclose(field.climb(queries, tol=0.0, max_iter=1)[0], found, atol=1e-12 * h)
    over_all = shift_over_all(X, w, h, known, queries)
    np.testing.assert_allclose(over_all[near], mean[near], atol=1e-12 * h)


def test_the_gaussian_of_these_fields_is_the_gaussian_of_the_others():
    X, h = mixture(400, 3)
    field = TiledRadialField(X, [], h, BUILT_IN["gaussian"])
    np.testing.assert_allclose(field.shift(X + 0.3)[0], DenseField(X, [], h).shift(X + 0.3)[0], atol=1e-12)


@pytest.mark.parametrize("field", [TiledRadialField, DenseRadialField])
def test_points_at_distance_h_count_exactly(field):
    X = np.stack(np.meshgrid(np.arange(12.0), np.arange(11.0)), axis=-1).reshape(-1, 2) * 0.1 + 1e3
    X = np.round(X * 1024) / 1024  # a lattice that float64 holds exactly
    side = X[1, 0] - X[0, 0]
    for reach in (1.0, 2.0, 5.0):
        _, total = field(X, [], reach * side, BUILT_IN["flat"]).shift(X)
        r2 = np.square(X[:, None] - X[None]).sum(axis=2)
        np.testing.assert_array_equal(total, (r2 <= (reach * side) ** 2).sum(axis=1))


def test_a_place_with_nothing_in_reach_goes_to_the_nearest_point():
    X, h = mixture(600, 2)
    far = np.array([[1e3, 7.0], [-2e3, 0.0]])
    for field in (TiledRadialField(X, [], h, BUILT_IN["flat"]), DenseRadialField(X, [], h, BUILT_IN["flat"])):
        means, totals = field.shift(far)
        nearest = X[np.square(far[:, None] - X[None]).sum(axis=2).argmin(axis=1)]
        np.testing.assert_allclose(means, nearest, atol=1e-9)
        assert not totals.any()
        ends, steps = field.climb(far, tol=1e-3, max_iter=300)
        np.testing.assert_allclose(ends, field.climb(nearest.astype(float), tol=1e-3, max_iter=300)[0], atol=1e-9)
        assert (steps > 1).all()


@pytest.mark.parametrize(
    ("kernel", "d"), [*((k, d) for k in KERNELS for d in (1, 2, 3)), (cauchy, 1), (cauchy, 2), (exponential, 2)]
)
def test_tabulated_steps_are_close_to_the_exact_ones(kernel, d):
    X, h = mixture(20_000, d)
    known, h = as_kernel(kernel), bandwidth(kernel, h, d)
    exact = TiledRadialField(X, [], h, known)
    queries = X[::200].astype(float)
    means, totals = exact.shift(queries)
    width, errors = known.width(d) * h, []
    for spacing in (0.5, 0.25):
        sketch = ms.DensitySketch(width, spacing=spacing, origin=X.min(axis=0)).add(X)
        field = RadialTable(sketch.nodes(), h, known)
        error = np.sqrt(np.square(field.shift(queries)[0] - means).sum(axis=1)) / width
        many = totals > 0.05 * totals.max()
        np.testing.assert_allclose(field.density(queries)[many] / 2**30, totals[many], rtol=0.03)
        errors.append(np.median(error[many]))
    assert errors[1] < 6e-3
    assert errors[1] < (0.9 if kernel == "flat" else 0.6) * errors[0]  # flat: the edge of a ball is never smooth


def test_the_table_takes_back_what_splines_and_cells_widen():
    X, h = mixture(20_000, 2)
    known, h = BUILT_IN["biweight"], bandwidth("biweight", h, 2)
    queries = X[::200].astype(float)
    means, totals = TiledRadialField(X, [], h, known).shift(queries)
    sketch = ms.DensitySketch(known.width(2) * h, origin=X.min(axis=0)).add(X)
    many = totals > 0.05 * totals.max()
    right, wrong = (
        np.abs(RadialTable(sketch.nodes(), h, known, lost_variance=v).shift(queries)[0] - means)[many].mean()
        for v in (0.0, -4 / 12 * sketch.delta**2)
    )
    assert right < 0.25 * wrong


def test_empty_places_of_a_table_are_empty():
    rng = np.random.default_rng(0)
    X = np.concatenate([rng.normal(size=(50_000, 2)), [[40.0, 40.0]]])
    for name in COMPACT:
        h = bandwidth(name, 0.5, 2)
        sketch = ms.DensitySketch(0.5, spacing=0.25, origin=X.min(axis=0)).add(X)
        field = RadialTable(sketch.nodes(), h, BUILT_IN[name])
        empty, lonely = np.array([[20.0, 20.0], [35.0, 3.0]]), np.array([[40.0, 40.0]])
        assert (np.abs(field.density(empty)) <= field.negligible).all()
        assert field.density(lonely)[0] > 0.5 * 2**30
        ends, _ = field.climb(np.concatenate([empty, lonely]), tol=1e-3, max_iter=300)
        np.testing.assert_allclose(ends[2], lonely[0], atol=0.02)
        assert np.abs(ends[0] - [20.0, 20.0]).max() > 10


# ----------------------------------------------------------------------------------------------------- fits


@pytest.mark.parametrize("d", [1, 2, 3, 5])
@pytest.mark.parametrize("kernel", COMPACT)
@pytest.mark.parametrize("n", [300, 900])
def test_every_label_is_that_of_the_naive_climb(kernel, d, n):
    X, h = mixture(n, d, seed=n + d)
    h = bandwidth(kernel, h, d)
    w = np.random.default_rng(2).integers(1, 4, n).astype(float)
    model = ms.MeanShift(h, kernel=kernel).fit(X, sample_weight=w)
    rows = slice(None, None, n // 150)
    ends, modes = naive_ends(X, X[rows], h, KERNELS[kernel], w), model.cluster_centers_[model.labels_[rows]]
    distance = np.sqrt(np.square(modes - ends).sum(axis=1)) / h
    assert distance.max() < (0.03 if kernel == "flat" else 1e-4)  # flat: a mode may be a chain of places of rest
    assert model.certificate_.climbed == n
    assert len(model.cluster_centers_) > 1
    wrong = naive_ends(X, X[rows], h, KERNELS["epanechnikov" if kernel == "biweight" else "biweight"], w)
    assert np.sqrt(np.square(modes - wrong).sum(axis=1)).max() > 0.01 * h


@pytest.mark.parametrize("kernel", [cauchy, bump, exponential])
def test_a_function_climbs_as_the_naive_sums_do(kernel):
    X, h = mixture(400, 2)
    model = ms.MeanShift(h, kernel=kernel).fit(X)
    g = np.vectorize(kernel, otypes=[float])
    ends = naive_ends(X, X[::10], h, g)
    assert np.sqrt(np.square(model.cluster_centers_[model.labels_[::10]] - ends).sum(axis=1)).max() < 1e-4 * h


@pytest.mark.parametrize(
    ("name", "function"),
    [("biweight", lambda r: max(0.0, 1.0 - r * r) ** 2), ("triangular", lambda r: max(0.0, 1 - r))],
)
def test_a_function_gives_what_the_built_in_of_its_formula_gives(name, function, monkeypatch):
    X, h = mixture(3000, 2)
    h = bandwidth(name, h, 2)
    for _ in range(2):
        a, b = ms.MeanShift(h, kernel=name).fit(X), ms.MeanShift(h, kernel=function).fit(X)
        np.testing.assert_array_equal(a.labels_, b.labels_)
        np.testing.assert_allclose(a.cluster_centers_, b.cluster_centers_, atol=1e-6)
        force_table(monkeypatch)


@pytest.mark.parametrize(
    ("kernel", "d"), [*((k, d) for k in COMPACT for d in (1, 2, 3)), (cauchy, 1), (cauchy, 2), (exponential, 2)]
)
def test_cells_agree_with_the_points(kernel, d, monkeypatch):
    X, h = mixture(2500, d)
    if kernel in (cauchy, exponential):
        X, h = X[:1000], 0.6 * h
    h = bandwidth(kernel, h, d)
    exact = ms.MeanShift(h, kernel=kernel, fidelity="exact").fit(X)
    force_table(monkeypatch)
    fast = ms.MeanShift(h, kernel=kernel, fidelity="fast").fit(X)
    assert fast.sketch_ is not None
    assert fast.certificate_ is None
    heavy = exact.cluster_weights_[exact.labels_] > 100
    assert adjusted_rand_score(exact.labels_[heavy], fast.labels_[heavy]) > 0.97
    np.testing.assert_array_equal(fast.predict(X), fast.labels_)
    default = ms.MeanShift(h, kernel=kernel).fit(X)
    assert default.certificate_.undecided == len(X)
    np.testing.assert_array_equal(default.labels_, fast.labels_)


def test_modes_of_the_cells_route_are_polished_on_the_points(monkeypatch):
    X, h = mixture(6000, 2)
    force_table(monkeypatch)
    for kernel in ("biweight", "epanechnikov", "triangular"):
        size = bandwidth(kernel, h, 2)
        model = ms.MeanShift(size, kernel=kernel).fit(X)
        heavy = model.cluster_centers_[model.cluster_weights_ > 300].astype(float)
        ends = naive_ends(X, heavy, size, KERNELS[kernel])
        assert np.abs(heavy - ends).max() < 2e-3 * size
        monkeypatch.setattr(any_kernel, "POLISH_PAIRS", 0)
        raw = ms.MeanShift(size, kernel=kernel).fit(X).cluster_centers_[: len(heavy)]
        assert np.abs(raw - ends).mean() > np.abs(heavy - ends).mean()
        monkeypatch.setattr(any_kernel, "POLISH_PAIRS", 20_000_000)


def test_data_too_wide_for_a_table(monkeypatch):
    X, h = with_outliers(16_500)
    monkeypatch.setattr(any_kernel, "PATIENCE", 0.0)
    for kernel in ("biweight", cauchy):
        model = ms.MeanShift(bandwidth("biweight", h, 2), kernel=kernel).fit(X)
        assert model.certificate_.undecided == len(X)
        np.testing.assert_array_equal(model.predict(X), model.labels_)
        assert (model.cluster_weights_ == 1).sum() >= 5
        assert len(model.cluster_weights_) < 60


# ----------------------------------------------------------------------------------------------------- laws

ROUTES = st.sampled_from([(60, 0.0), (900, 1.0), (1500, 0.0)])  # dense, points, cells


@pytest.mark.parametrize("kernel", COMPACT)
@LAWS
@given(route=ROUTES, d=st.integers(1, 3), seed=st.integers(0, 2**31))
def test_weights_replicate_points(kernel, route, d, seed):
    (n, little), rng = route, np.random.default_rng(seed)
    X, h = mixture(n, d, seed)
    w = rng.integers(1, 4, n)
    h = bandwidth(kernel, h, d)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(any_kernel, "LITTLE", little)
        a = ms.MeanShift(h, kernel=kernel, fidelity="exact" if little else "fast").fit(X, sample_weight=w)
        b = ms.MeanShift(h, kernel=kernel, fidelity="exact" if little else "fast").fit(np.repeat(X, w, axis=0))
    assert adjusted_rand_score(np.repeat(a.labels_, w), b.labels_) > 0.99
    np.testing.assert_allclose(a.cluster_weights_.sum(), b.cluster_weights_.sum())


@pytest.mark.parametrize("kernel", COMPACT)
@LAWS
@given(route=ROUTES, d=st.integers(1, 5), seed=st.integers(0, 2**31), log=st.integers(-300, 300))
def test_permutation_translation_and_scaling_change_nothing(kernel, route, d, seed, log):
    (n, _), rng = route, np.random.default_rng(seed)
    X, h = mixture(n, d, seed)
    X, h, order = X.astype(float), bandwidth(kernel, h, d), rng.permutation(n)
    a = ms.MeanShift(h, kernel=kernel, fidelity="exact").fit(X)
    scale = 2.0**log
    b = ms.MeanShift(h * scale, kernel=kernel, fidelity="exact").fit(X * scale)
    np.testing.assert_array_equal(a.labels_, b.labels_)
    np.testing.assert_array_equal(a.cluster_centers_, b.cluster_centers_ / scale)
    c = ms.MeanShift(h, kernel=kernel, fidelity="exact").fit(X[order] + 1000.0)
    assert adjusted_rand_score(a.labels_[order], c.labels_) > 0.99


@pytest.mark.parametrize("kernel", ["flat", "triangular", bump])
@pytest.mark.parametrize("n", [400, 3000])
def test_threads_change_no_bit(kernel, n, monkeypatch):
    X, h = uniform(n, 2)
    for _ in range(2):
        models = [ms.MeanShift(3 * h, kernel=kernel, n_jobs=jobs).fit(X) for jobs in (1, 2, 5)]
        assert len({(m.labels_.tobytes(), m.cluster_centers_.tobytes()) for m in models}) == 1
        force_table(monkeypatch)


@pytest.mark.parametrize("kernel", COMPACT)
def test_modes_rest_and_predict_repeats_the_fit(kernel):
    X, h = mixture(1200, 2)
    h = bandwidth(kernel, h, 2)
    model = ms.MeanShift(h, kernel=kernel).fit(X)
    np.testing.assert_array_equal(model.predict(X), model.labels_)
    mean, _ = naive_sums(X, model.cluster_centers_, h, KERNELS[kernel])
    assert np.abs(mean - model.cluster_centers_).max() < 1e-5 * h  # centres are float32, as X is
    assert model.predict([[1e4, 1e4]])[0] == model.labels_[X.sum(axis=1).argmax()]
    way = model.path(X[:5])
    np.testing.assert_allclose(way[-1], model.cluster_centers_[model.labels_[:5]], atol=0.03 * h)


# ------------------------------------------------------------------------------------- the estimator's other parts


def test_bandwidth_is_estimated_and_converted():
    _, X = ms.textbook.make_data()
    plain = ms.MeanShift().fit(X).bandwidth_
    assert ms.MeanShift(kernel="flat").fit(X).bandwidth_ == pytest.approx(plain * math.sqrt(6))
    assert ms.MeanShift(kernel=cauchy).fit(X).bandwidth_ > 0


@pytest.mark.parametrize("kernel", ["flat", "epanechnikov", "triangular", bump])
def test_persistence_joins_the_small_tops_of_one_hill(kernel):
    X, h = mixture(3000, 2)
    h = 0.5 * bandwidth(kernel, h, 2)
    many = ms.MeanShift(h, kernel=kernel).fit(X)
    few = ms.MeanShift(h, kernel=kernel, merge="persistence", min_persistence=0.5, min_cluster_size=20).fit(X)
    assert len(few.cluster_centers_) == 5 < len(many.cluster_centers_)
    np.testing.assert_array_equal(few.predict(X), few.labels_)


@pytest.mark.parametrize("d", [2, 4])
@pytest.mark.parametrize("attach", [True, False])
def test_light_clusters_are_settled(d, attach):
    X, h = mixture(1500, d)
    h = 0.4 * bandwidth("epanechnikov", h, d)
    model = ms.MeanShift(h, kernel="epanechnikov", min_cluster_size=40, cluster_all=attach).fit(X)
    assert (model.cluster_weights_ >= 40).all()
    assert (model.labels_.min() == 0) == attach
    np.testing.assert_array_equal(model.predict(X), model.labels_)


def test_what_other_kernels_cannot_do_is_refused():
    X, h = mixture(600, 2)
    with pytest.raises(ValueError, match="Gaussian kernel only"):
        ms.MeanShift(h, kernel="flat", blurring=True).fit(X)
    with pytest.raises(ValueError, match="no finite height"):
        ms.MeanShift(0.2 * h, kernel=cauchy, merge="persistence").fit(X)
    with pytest.raises(ValueError, match="kernel"):
        ms.MeanShift(h, kernel="nope").fit(X)


def test_models_clone_and_pickle():
    X, h = mixture(900, 2)
    for kernel in ("flat", cauchy):
        model = clone(ms.MeanShift(h, kernel=kernel)).fit(X)
        np.testing.assert_array_equal(pickle.loads(pickle.dumps(model)).predict(X), model.labels_)
    centers, labels = ms.mean_shift(X, bandwidth=2 * h, kernel="flat")
    model = ms.MeanShift(2 * h, kernel="flat").fit(X)
    np.testing.assert_array_equal(centers, model.cluster_centers_)
    np.testing.assert_array_equal(labels, model.labels_)


# ------------------------------------------------------------------------------------------------ bad functions


def raises(r):
    return [r][int(r) + 3]


@pytest.mark.parametrize(
    ("function", "error", "words"),
    [
        (lambda r: np.linalg.eig(r), TypeError, "cannot be compiled"),
        (lambda r: str(r), TypeError, "cannot be compiled"),
        (lambda a, b: a, TypeError, "cannot be compiled"),
        (lambda r: None, TypeError, "cannot be compiled"),
        (lambda r: 1.0 - r, ValueError, "returned -.*at least 0"),
        (lambda r: math.nan if 2.0 < r < 3.0 else 1.0, ValueError, "returned nan at r = 2"),
        (lambda r: 1.0 / r, ValueError, "returned inf at r = 0"),
        (lambda r: r * math.exp(-r), ValueError, "returned 0 at r = 0"),
        (3.0, ValueError, "kernel"),
        (math.cos, TypeError, "cannot be compiled"),
    ],
)
def test_a_function_that_is_no_weight_is_refused_with_the_reason(function, error, words):
    X, h = mixture(100, 2)
    with pytest.raises(error, match=words):
        ms.MeanShift(h, kernel=function).fit(X)


def test_functions_may_be_written_in_many_ways():
    X, h = mixture(200, 2)
    scale = 0.5
    numpys = ms.MeanShift(h, kernel=lambda r: np.exp(-scale * r**2)).fit(X)
    plain = ms.MeanShift(h).fit(X)
    np.testing.assert_array_equal(numpys.labels_, plain.labels_)
    np.testing.assert_allclose(numpys.cluster_centers_, plain.cluster_centers_, atol=1e-6)
    by_formula = ms.MeanShift(2 * h, kernel=kernels.flat).fit(X)
    np.testing.assert_array_equal(by_formula.labels_, ms.MeanShift(2 * h, kernel="flat").fit(X).labels_)
    booleans = ms.MeanShift(2 * h, kernel=lambda r: r <= 1).fit(X)
    np.testing.assert_array_equal(booleans.labels_, ms.MeanShift(2 * h, kernel="flat").fit(X).labels_)


# ---------------------------------------------------------------------------------------------------- hard inputs


@pytest.mark.parametrize("kernel", [*COMPACT, cauchy])
@pytest.mark.parametrize("fidelity", ["certified", "fast", "exact"])
def test_hard_inputs(kernel, fidelity, monkeypatch, tmp_path):
    X, h = mixture(700, 2)
    force_table(monkeypatch)
    fit = ms.MeanShift(2 * h, kernel=kernel, fidelity=fidelity).fit
    assert fit([[3.0, 4.0]]).labels_.tolist() == [0]
    assert len(fit(np.ones((900, 2))).cluster_centers_) == 1
    assert len(fit(np.repeat([[0.0, 0.0], [100.0, 0.0]], 400, axis=0)).cluster_centers_) == 2
    plain = fit(X)
    read_only = X.copy()
    read_only.flags.writeable = False
    np.save(tmp_path / "x.npy", X)
    for same in (read_only, np.asfortranarray(X), np.load(tmp_path / "x.npy", mmap_mode="r"), X.astype(float)):
        np.testing.assert_array_equal(fit(same).labels_, plain.labels_)
    assert adjusted_rand_score(fit(np.round(X.astype(float) * 256) / 256 + 2.0**20).labels_, plain.labels_) > 0.99
    assert len(ms.MeanShift(1e9, kernel=kernel, fidelity=fidelity).fit(X).cluster_centers_) == 1
    if kernel is not cauchy:
        tiny = ms.MeanShift(1e-9, kernel=kernel, fidelity=fidelity).fit(X)
        assert len(tiny.cluster_centers_) == len(np.unique(X, axis=0))
    with pytest.raises(ValueError, match="NaN"):
        fit(np.array([[np.nan, 1.0]]))


@pytest.mark.parametrize("name", KERNELS)
def test_pictures_know_every_kernel(name):
    pytest.importorskip("matplotlib")
    assert len(ms.plot.kernels([name]).lines) == 1
    assert kernels.KERNELS[name](0.0) == 1.0
