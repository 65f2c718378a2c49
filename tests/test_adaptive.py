"""One bandwidth per point: the field against the formula, its traps and modes, the rules that choose bandwidths."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import modeseek as ms
from modeseek.fields.adaptive import AdaptiveField
from modeseek.varying import neighbour_distances, square_root_law
from tests.examples import examples
from tests.naive import lattice, mixture, uniform

LAWS = examples(10)


def naive_step(X, h, q, w=None):
    """One step, and the density, by the formula."""
    d = X.shape[1]
    w = np.ones(len(X)) if w is None else w
    s = 0.5 * np.square(q[:, None] - X).sum(axis=2) / h**2
    a = np.log(w) - (d + 2) * np.log(h) - s
    a = np.exp(a - a.max(axis=1, keepdims=True))
    return a @ X / a.sum(axis=1)[:, None], (w * h**-d * np.exp(-s)).sum(axis=1)


def naive_climb(X, h, starts, w=None, rounds=20_000):
    x = starts.copy()
    for _ in range(rounds):
        moved, _ = naive_step(X, h, x, w)
        step, x = np.abs(moved - x).max(), moved
        if step < 1e-12:
            break
    return x


def varied(n, d, seed=0, spread=1.0):
    X, h = mixture(n, d, seed)
    rng = np.random.default_rng(seed)
    return X.astype(float), h * np.exp(spread * rng.uniform(-0.7, 0.7, n)), rng.uniform(0.5, 2.0, n)


@pytest.mark.parametrize(("n", "d"), [(300, 1), (300, 3), (2500, 1), (2500, 2), (2500, 3), (900, 6)])
@pytest.mark.parametrize("spread", [1.0, 4.0])
def test_steps_and_densities_are_those_of_the_formula(n, d, spread):
    X, h, w = varied(n, d, spread=spread)
    field = AdaptiveField(X, w, h)
    assert field.compiled == (n > 512)
    q = np.concatenate([X[:60], X[:20] + 3.0, X[:3] + 100.0])  # the last with nothing near
    means, density = field.shift(q)
    expected, f = naive_step(X, h, q, w)
    np.testing.assert_allclose(means, expected, rtol=1e-7, atol=1e-7)
    np.testing.assert_allclose(density, f, rtol=1e-7, atol=1e-300)


@pytest.mark.parametrize(
    ("n", "d", "far"), [(250, 2, 0.0), (1500, 1, 0.0), (1500, 2, 1e6), (1500, 3, 0.0), (600, 5, 0.0)]
)
def test_labels_are_those_of_plain_climbs(n, d, far):
    X, h, w = varied(n, d)
    X = X + far
    model = ms.MeanShift(h).fit(X, sample_weight=w)
    rows = np.arange(0, n, max(1, n // 60))
    ends = naive_climb(X - far, h, X[rows] - far, w) + far
    np.testing.assert_allclose(model.cluster_centers_[model.labels_[rows]], ends, atol=1e-5)
    np.testing.assert_array_equal(model.predict(X), model.labels_)
    np.testing.assert_array_equal(model.bandwidth_, h)
    assert model.certificate_.climbed == n
    np.testing.assert_allclose(
        naive_climb(X - far, h, model.cluster_centers_ - far, w) + far, model.cluster_centers_, atol=1e-6
    )


@pytest.mark.parametrize("d", [1, 2, 4])
def test_equal_bandwidths_are_one(d):
    X, h = mixture(700, d)
    X = X.astype(float)
    a, b = ms.MeanShift(h, fidelity="exact").fit(X), ms.MeanShift(np.full(700, h)).fit(X)
    np.testing.assert_array_equal(a.labels_, b.labels_)
    np.testing.assert_allclose(a.cluster_centers_, b.cluster_centers_, atol=1e-6)


def test_noise_has_the_modes_that_plain_climbs_find():
    X, h = uniform(900, 2)
    h = np.random.default_rng(0).uniform(0.4, 0.9, 900)
    model = ms.MeanShift(h).fit(X)
    ends = naive_climb(X, h, X[::18])
    agree = np.linalg.norm(model.cluster_centers_[model.labels_[::18]] - ends, axis=1) < 1e-4
    assert agree.all()
    assert len(model.cluster_centers_) > 10


def test_traps_catch_only_what_ends_there():
    X, h, w = varied(1500, 2)
    field = AdaptiveField(X, w, h)
    field.climb(X, tol=1e-3, max_iter=300)
    assert (field.traps.radii > 0.1).sum() >= 4
    rng = np.random.default_rng(0)
    for z, radius in zip(field.traps.centres, field.traps.radii, strict=True):
        mode = z + field.centre
        around = rng.normal(size=(60, 2))
        around = mode + radius * rng.uniform(0, 0.999, (60, 1)) * around / np.linalg.norm(around, axis=1)[:, None]
        stepped, _ = naive_step(X, h, around, w)
        assert (np.linalg.norm(stepped - mode, axis=1) < np.linalg.norm(around - mode, axis=1)).all()


def test_newton_knows_modes_from_saddles():
    X = np.array([[-1.0, 0.0], [1.0, 0.0]])
    field = AdaptiveField(X, np.empty(0), np.array([0.8, 0.8]))
    _, concave = field.newton(np.array([[0.0, 0.0]]))  # a saddle: bandwidths below 1 make two modes
    assert not concave[0]
    top = naive_climb(X, np.array([0.8, 0.8]), X + 0.01)
    step, concave = field.newton(top + 1e-4)
    assert concave.all()
    np.testing.assert_allclose(top + 1e-4 + step, top, atol=1e-7)


@LAWS
@given(seed=st.integers(0, 2**31), rule=st.sampled_from(["own", "adaptive-knn", "abramson"]))
def test_a_weight_is_repeats(seed, rule):
    X, h, _ = varied(90, 2, seed)
    w = np.random.default_rng(seed).integers(1, 4, 90)
    a = ms.MeanShift(h if rule == "own" else rule)
    b = ms.MeanShift(np.repeat(h, w) if rule == "own" else rule)
    if rule == "abramson":  # the pilot's bandwidth is estimated from rows, whatever they weigh
        own, repeated = (
            square_root_law(X, w.astype(float), 0.8),
            square_root_law(np.repeat(X, w, axis=0), np.empty(0), 0.8),
        )
        np.testing.assert_allclose(np.repeat(own, w), repeated, rtol=1e-10)
        return
    a.fit(X, sample_weight=w)
    b.fit(np.repeat(X, w, axis=0))
    np.testing.assert_allclose(np.repeat(a.bandwidth_, w), b.bandwidth_, rtol=1e-12)
    np.testing.assert_array_equal(np.repeat(a.labels_, w), b.labels_)


@LAWS
@given(seed=st.integers(0, 2**31), log=st.integers(-30, 30))
def test_scaling_and_translation_change_nothing(seed, log):
    X, h, _ = varied(80, 2, seed)
    scale = 2.0**log
    a, b = ms.MeanShift(h).fit(X), ms.MeanShift(h * scale).fit(X * scale + 4.0 * scale)
    np.testing.assert_array_equal(a.labels_, b.labels_)
    np.testing.assert_allclose(b.cluster_centers_ / scale - 4.0, a.cluster_centers_, atol=1e-6)


@pytest.mark.parametrize("weighted", [False, True])
def test_neighbour_distances_by_sorting_them_all(weighted):
    X, _ = mixture(400, 2)
    w = np.random.default_rng(0).integers(1, 5, 400).astype(float) if weighted else np.ones(400)
    found = neighbour_distances(X, w if weighted else np.empty(0))
    distance = np.linalg.norm(X[:, None].astype(float) - X[None], axis=2)
    for i in range(0, 400, 7):
        order = np.argsort(distance[i])
        reached = np.cumsum(w[order]) >= np.ceil(np.sqrt(w.sum())) + 1
        assert found[i] == pytest.approx(distance[i][order][reached.argmax()], rel=1e-12)


def test_neighbour_distances_of_repeats_are_above_zero():
    X, _ = lattice(2000)
    assert (neighbour_distances(X, np.empty(0)) > 0).all()
    assert neighbour_distances(np.ones((20, 2)), np.empty(0)).tolist() == [1.0] * 20
    assert neighbour_distances(np.repeat([[0.0], [5.0]], 50, axis=0), np.empty(0)).tolist() == [5.0] * 100
    assert len(ms.MeanShift("adaptive-knn").fit(X).cluster_centers_) >= 1
    assert len(ms.MeanShift("adaptive-knn").fit(np.ones((20, 2))).cluster_centers_) == 1


def test_abramson_is_the_square_root_law():
    X, h = mixture(500, 2)
    X = X.astype(float)
    found = square_root_law(X, np.empty(0), h)
    f = np.exp(-0.5 * np.square(np.linalg.norm(X[:, None] - X, axis=2) / h)).sum(axis=1)
    np.testing.assert_allclose(found, h * np.sqrt(np.exp(np.log(f).mean()) / f), rtol=1e-9)
    assert np.exp(np.log(found).mean()) == pytest.approx(h)
    model = ms.MeanShift("abramson").fit(X)
    np.testing.assert_allclose(model.bandwidth_, square_root_law(X, np.empty(0), ms.estimate_bandwidth(X)))


def test_wide_clusters_stay_whole_beside_narrow_ones():
    """What one bandwidth cannot do: a crowded pair close together, and a wide cluster."""
    rng = np.random.default_rng(0)
    narrow = np.concatenate([rng.normal([0, 0], 0.05, (400, 2)), rng.normal([0.5, 0], 0.05, (400, 2))])
    X, truth = np.concatenate([narrow, rng.normal([20, 0], 3.0, (400, 2))]), np.repeat([0, 1, 2], 400)
    own = np.where(truth == 2, 2.0, 0.1)
    model = ms.MeanShift(own).fit(X)
    assert len(model.cluster_centers_) == 3
    assert all(len(np.unique(model.labels_[truth == k])) == 1 for k in range(3))
    assert len(ms.MeanShift(0.1).fit(X).cluster_centers_) > 20
    assert len(ms.MeanShift(2.0).fit(X).cluster_centers_) < 3


def test_threads_dtypes_and_orphans():
    X, h, _ = varied(1500, 2)
    a, b = ms.MeanShift(h, n_jobs=1).fit(X), ms.MeanShift(list(h), n_jobs=2).fit(np.asfortranarray(X))
    np.testing.assert_array_equal(a.labels_, b.labels_)
    np.testing.assert_array_equal(a.cluster_centers_, b.cluster_centers_)
    assert ms.MeanShift(h).fit(X.astype(np.float32)).cluster_centers_.dtype == np.float32
    far = np.concatenate([X, [[40.0, 40.0], [-40.0, 3.0]]])
    own = np.append(h, [0.5, 0.5])
    model = ms.MeanShift(own, min_cluster_size=5).fit(far)
    assert model.cluster_weights_.min() >= 5
    assert (ms.MeanShift(own, min_cluster_size=5, cluster_all=False).fit(far).labels_[-2:] == -1).all()
    np.testing.assert_array_equal(model.predict(far), model.labels_)
    way = model.path(far[:2])
    np.testing.assert_allclose(way[-1], model.cluster_centers_[model.labels_[:2]], atol=1e-2)


def test_bandwidths_of_very_different_size():
    X, h, _ = varied(700, 2)
    h[::50] *= 1e4
    h[1::50] *= 1e-5
    model = ms.MeanShift(h).fit(X)
    rows = np.r_[0:700:23, 1:700:50]
    np.testing.assert_allclose(model.cluster_centers_[model.labels_[rows]], naive_climb(X, h, X[rows]), atol=1e-4)


def test_what_one_bandwidth_per_point_refuses():
    X, h, _ = varied(60, 2)
    for more in ({"blurring": True}, {"merge": "persistence"}):
        with pytest.raises(ValueError, match="one bandwidth per point"):
            ms.MeanShift(h, **more).fit(X)
    with pytest.raises(ValueError, match="one bandwidth per point"):
        ms.MeanShift(h).fit(X).audit(X)
    with pytest.raises(ValueError, match="too small"):
        ms.MeanShift(h * 1e-20).fit(X)
