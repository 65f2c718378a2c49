"""Bandwidths per axis and as a matrix: whitening, what comes back from it, laws, and what is refused."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import gammaln, logsumexp
from scipy.stats import multivariate_normal, vonmises, vonmises_fisher
from sklearn.metrics import adjusted_rand_score

import modeseek as ms
from modeseek.forms import choose
from modeseek.geometry import Directions, Globe, Plain, Whitened, chord, log_von_mises_fisher, whitening
from modeseek.sphere import normalise
from tests.examples import examples
from tests.naive import mixture

LAWS = examples(10)


def bounds(X):
    return np.array([X.min(axis=0), X.max(axis=0)], float)


def climb_by_matrix(X, H, starts, w=None, tol=1e-11):
    """Every start by the definition, exp(-(x - y)^T H^-1 (x - y) / 2), until it rests."""
    inverse, w = np.linalg.inv(H), np.ones(len(X)) if w is None else w
    x = starts.copy()
    for _ in range(5000):
        d = x[:, None] - X
        g = w * np.exp(-0.5 * np.einsum("qia,ab,qib->qi", d, inverse, d))
        moved = g @ X / g.sum(axis=1)[:, None]
        step, x = np.abs(moved - x).max(), moved
        if step < tol:
            break
    return x


def random_matrix(rng, d, spread=1.0):
    A = rng.normal(size=(d, d)) + 2.0 * np.eye(d)
    return spread * A @ A.T / d


# ---------------------------------------------------------------------------------------------- coordinates


@LAWS
@given(seed=st.integers(0, 2**31), d=st.integers(1, 5), far=st.sampled_from([0.0, 1e6]))
def test_whitening_makes_the_kernel_round_and_comes_back(seed, d, far):
    rng = np.random.default_rng(seed)
    X, H = rng.normal(size=(40, d)) * 3 + far, random_matrix(rng, d)
    white = whitening(H, bounds(X))
    U = white.into(X)
    difference = X[0] - X
    expected = np.einsum("ia,ab,ib->i", difference, np.linalg.inv(H), difference)
    np.testing.assert_allclose(np.square(U[0] - U).sum(axis=1), expected, rtol=1e-7, atol=1e-12 + 1e-9 * (far > 0))
    np.testing.assert_allclose(white.back(U), X, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    "make", [lambda X: whitening(np.diag([4.0, 1.0]) + 0.5, bounds(X)), lambda X: Directions(X.shape[1])]
)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_row_has_the_same_bits_whichever_rows_it_comes_with(make, dtype):
    X = np.random.default_rng(0).normal(size=(40_000, 2)).astype(dtype)
    geometry = make(X)
    U = geometry.into(X, 2)
    for other in (X[7::13], np.asfortranarray(X)[7::13], X[::-1][:5]):
        rows = slice(7, None, 13) if len(other) > 5 else slice(None, -6, -1)
        np.testing.assert_array_equal(geometry.into(other, 1), U[rows])


def test_a_globe_has_the_same_bits_whichever_rows_it_comes_with():
    X = np.random.default_rng(0).uniform(-1.5, 1.5, (40_000, 2)) * [1, 100]
    U = Globe().into(X, 2)
    np.testing.assert_array_equal(np.concatenate([Globe().into(row[None]) for row in X[::997]]), U[::997])
    np.testing.assert_allclose(np.square(U).sum(axis=1), 1.0, atol=1e-15)


def test_latitude_and_longitude_come_back():
    X = np.array([[0.3, 3.1], [-1.5, -2.0], [np.pi / 2, 0.0], [0.0, -np.pi / 2]])
    np.testing.assert_allclose(Globe().back(Globe().into(X)), X, atol=1e-15)
    turned = Globe().back(Globe().into(X + np.array([0.0, 4 * np.pi])))
    np.testing.assert_allclose(turned, X, atol=1e-14)
    a, b = Globe().into(np.array([[0.2, 0.1], [0.2 + 0.7, 0.1]]))
    assert np.linalg.norm(a - b) == pytest.approx(chord(0.7))


def test_lengths_of_rows_do_not_matter_even_where_their_squares_overflow():
    X = np.random.default_rng(0).normal(size=(50, 4))
    scale = 10.0 ** np.linspace(-200, 200, 50)[:, None]
    np.testing.assert_allclose(normalise(X * scale), normalise(X), rtol=1e-13)
    assert ms.MeanShift(0.5, metric="cosine").fit(X * scale).labels_.tolist() == (
        ms.MeanShift(0.5, metric="cosine").fit(X).labels_.tolist()
    )


# ------------------------------------------------------------------------------------------------ clusters


@pytest.mark.parametrize(("n", "d"), [(300, 2), (3000, 2), (900, 1), (800, 3), (700, 5)])
def test_a_matrix_clusters_as_its_definition_does(n, d):
    X, h = mixture(n, d)
    X, H = X.astype(float), random_matrix(np.random.default_rng(d), d, h * h)
    model = ms.MeanShift(H).fit(X)
    rows = np.arange(0, n, max(1, n // 50))
    ends = climb_by_matrix(X, H, X[rows])
    np.testing.assert_allclose(model.cluster_centers_[model.labels_[rows]], ends, atol=1e-4)
    np.testing.assert_array_equal(model.predict(X), model.labels_)
    np.testing.assert_array_equal(model.predict(X[5:6]), model.labels_[5:6])
    np.testing.assert_array_equal(model.bandwidth_, H)
    assert model.certificate_.undecided == 0


@LAWS
@given(seed=st.integers(0, 2**31), d=st.integers(1, 3), n=st.sampled_from([80, 900]))
def test_numbers_per_axis_are_a_number_for_scaled_columns(seed, d, n):
    X, h = mixture(n, d, seed)
    scale = 2.0 ** np.random.default_rng(seed).integers(-8, 9, d)  # powers of two: no rounding
    a = ms.MeanShift(h).fit(X)
    b = ms.MeanShift(h * scale).fit(X * scale)
    np.testing.assert_array_equal(a.labels_, b.labels_)
    np.testing.assert_allclose(b.cluster_centers_, a.cluster_centers_ * scale, rtol=1e-4, atol=1e-4 * scale.max())
    np.testing.assert_allclose(b.bandwidth_, h * scale)


@LAWS
@given(seed=st.integers(0, 2**31), d=st.integers(2, 4))
def test_rotated_points_with_a_rotated_matrix_have_the_same_labels(seed, d):
    rng = np.random.default_rng(seed)
    X, h = mixture(150, d, seed)
    X, H = X.astype(float), random_matrix(rng, d, h * h)
    Q = np.linalg.qr(rng.normal(size=(d, d)))[0]
    a, b = ms.MeanShift(H).fit(X), ms.MeanShift(Q @ H @ Q.T).fit(X @ Q.T + 7.0)
    assert adjusted_rand_score(a.labels_, b.labels_) == 1.0  # clusters of equal weight may change places
    np.testing.assert_allclose(b.cluster_centers_[b.labels_], a.cluster_centers_[a.labels_] @ Q.T + 7.0, atol=1e-6)


def test_the_form_of_the_matrix_matters():
    """A control: a kernel that is long along one axis joins what one along the other keeps apart."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(400, 2)) * [1.0, 0.1] + np.outer(rng.integers(0, 2, 400), [0.0, 3.0])
    apart = ms.MeanShift([1.0, 0.5]).fit(X).cluster_centers_[:, 1]
    assert sorted(apart.round()) == [0.0, 3.0]
    joined = ms.MeanShift([0.5, 2.0]).fit(X).cluster_centers_[:, 1]
    assert (np.abs(joined - 1.5) < 0.5).all()


def test_centres_paths_audits_and_blurring_are_in_the_units_of_the_points():
    X, h = mixture(2000, 2)
    X = X.astype(float) * [1.0, 1000.0] + 1e6
    model = ms.MeanShift([h, 1000 * h]).fit(X)
    way = model.path(X[:3])
    np.testing.assert_allclose(way[0], X[:3], rtol=1e-12)
    np.testing.assert_allclose((way[-1] - model.cluster_centers_[model.labels_[:3]]) / [1.0, 1000.0], 0.0, atol=2e-3)
    checked = model.audit(X, 500, random_state=0)
    assert checked.n_disagree == 0
    wrong = model.audit(X[::-1], 500, random_state=0)  # other points than those of the labels
    assert wrong.n_disagree > 0
    assert (np.abs(wrong.ends - X.mean(axis=0)) < np.ptp(X, axis=0)).all()
    blurred = ms.MeanShift([h, 1000 * h], blurring=True).fit(X)
    plain = ms.MeanShift(h, blurring=True).fit((X - 1e6) / [1.0, 1000.0])
    np.testing.assert_array_equal(blurred.labels_, plain.labels_)
    np.testing.assert_allclose(blurred.cluster_centers_, plain.cluster_centers_ * [1, 1000] + 1e6, rtol=1e-6)
    merged = ms.MeanShift([h / 3, 1000 * h / 3], merge="persistence").fit(X)
    assert len(merged.cluster_centers_) < len(ms.MeanShift([h / 3, 1000 * h / 3]).fit(X).cluster_centers_)


def test_dtype_threads_weights_and_layout():
    X, h = mixture(3000, 2)
    H = np.array([[h * h, 0.2], [0.2, h * h]])
    a = ms.MeanShift(H, n_jobs=1).fit(X)
    b = ms.MeanShift(H, n_jobs=2).fit(np.asfortranarray(X))
    np.testing.assert_array_equal(a.labels_, b.labels_)
    np.testing.assert_array_equal(a.cluster_centers_, b.cluster_centers_)
    assert a.cluster_centers_.dtype == np.float32
    repeats = np.random.default_rng(0).integers(1, 4, 300)
    c = ms.MeanShift(H).fit(X[:300], sample_weight=repeats)
    d = ms.MeanShift(H).fit(np.repeat(X[:300], repeats, axis=0))
    np.testing.assert_array_equal(np.repeat(c.labels_, repeats), d.labels_)
    X.flags.writeable = False
    np.testing.assert_array_equal(ms.MeanShift(H).fit(X).predict(X), a.labels_)


# ----------------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("bandwidth", "words"),
    [
        ([1.0, 2.0, 3.0], r"must have shape \(2,\).*Got \(3,\)"),
        (np.ones((2, 3)), r"Got \(2, 3\)"),
        (np.ones((2, 2, 2)), "Got"),
        ([], r"Got \(0,\)"),
        ([1.0, 0.0], "entry 1 is 0"),
        ([-1.0, 1.0], "entry 0 is -1"),
        ([1.0, np.nan], "entry 1 is nan"),
        ([1.0, np.inf], "entry 1 is inf"),
        ([[1.0, 0.5], [0.0, 1.0]], r"not symmetric: entry \[0, 1\]"),
        ([[1.0, 1.0], [1.0, 1.0]], "not positive definite"),
        ([[1.0, 2.0], [2.0, 1.0]], "not positive definite"),
        ([[1.0, 0.0], [0.0, -1.0]], r"entry \[1, 1\] is -1"),
        ([[1.0, np.nan], [np.nan, 1.0]], "finite"),
        ([1e-30, 1.0], "too small"),
        ([[1e-60, 0.0], [0.0, 1.0]], "too small"),
        (np.r_[np.ones(49), 0.0], "entry 49 is 0"),
        (np.r_[np.ones(49), -1.0][:, None], "entry 49 is -1"),
    ],
)
def test_bandwidths_that_are_refused(bandwidth, words):
    X, _ = mixture(50, 2)
    with pytest.raises(ValueError, match=words):
        ms.MeanShift(bandwidth).fit(X)


def test_a_shape_that_may_mean_two_things_is_refused_and_both_can_be_said():
    X, h = np.array([[0.0, 0.0], [0.5, 0.0]]), np.array([1.0, 2.0])
    with pytest.raises(ValueError, match=r"np.diag\(bandwidth\*\*2\).*bandwidth\[:, None\]"):
        ms.MeanShift(h).fit(X)
    assert ms.MeanShift(np.diag(h**2)).fit(X).bandwidth_.shape == (2, 2)
    np.testing.assert_array_equal(ms.MeanShift(h[:, None]).fit(X).bandwidth_, h)


def test_other_types_are_refused():
    X, h = mixture(50, 2)
    with pytest.raises(TypeError, match="real numbers"):
        ms.MeanShift(np.array(["a", "b"])).fit(X)
    with pytest.raises(TypeError, match="real numbers"):
        ms.MeanShift([1 + 1j, 1.0]).fit(X)
    with pytest.raises(ValueError, match="metric"):
        ms.MeanShift(h, metric="manhattan").fit(X)
    for bandwidth in ([1.0, 1.0], np.eye(2), "adaptive-knn", np.ones(50)):
        with pytest.raises(ValueError, match="one number"):
            ms.MeanShift(bandwidth, metric="cosine").fit(X)


def test_a_number_maps_nothing():
    X, h = mixture(50, 2)
    form, inside, _ = choose(h, "euclidean", X, np.empty(0), bounds(X), np.std)
    assert isinstance(form.geometry, Plain)
    assert inside is X
    assert isinstance(choose([h, h], "euclidean", X, np.empty(0), bounds(X), np.std)[0].geometry, Whitened)
    model = ms.MeanShift([h, h])
    assert ms.MeanShift(**model.get_params()).fit(X).labels_.tolist() == model.fit(X).labels_.tolist()


# ----------------------------------------------------------------------------------------------- densities


def test_log_densities_of_a_matrix_are_those_of_its_gaussians():
    X, h = mixture(300, 3)
    H = random_matrix(np.random.default_rng(0), 3, h * h)
    Q = X[:20] + 0.5
    terms = [multivariate_normal(x, H).logpdf(Q) for x in X.astype(float)]
    expected = logsumexp(terms, axis=0) - np.log(len(X))
    np.testing.assert_allclose(ms.MeanShift(H).fit(X).score_samples(Q), expected, atol=1e-7)


@pytest.mark.parametrize("d", [2, 3, 5, 40])
@pytest.mark.parametrize("n", [200, 900])
def test_log_densities_of_directions_are_those_of_von_mises_and_fisher(n, d):
    rng = np.random.default_rng(d)
    X, Q, h = rng.normal(size=(n, d)) + 0.5, rng.normal(size=(30, d)) * 10.0, 0.6
    U = X / np.linalg.norm(X, axis=1)[:, None]
    V = Q / np.linalg.norm(Q, axis=1)[:, None]
    if d == 2:
        angles = np.arctan2(U[:, 1], U[:, 0]), np.arctan2(V[:, 1], V[:, 0])
        terms = [vonmises(1 / h**2, loc=a).logpdf(angles[1]) for a in angles[0]]
    else:
        terms = [vonmises_fisher(u, 1 / h**2).logpdf(V) for u in U]
    expected = logsumexp(terms, axis=0) - np.log(n)
    np.testing.assert_allclose(ms.MeanShift(h, metric="cosine").fit(X).score_samples(Q), expected, atol=1e-6)


def test_the_density_on_the_globe_is_one_by_area():
    rng = np.random.default_rng(0)
    X = np.column_stack([rng.normal(1.2, 0.2, 60_000).clip(-1.5, 1.5), rng.uniform(-4.0, -2.5, 60_000)])
    model = ms.MeanShift(0.1, metric="haversine", fidelity="fast").fit(X)
    Q = np.column_stack([np.arcsin(rng.uniform(-1, 1, 20_000)), rng.uniform(-np.pi, np.pi, 20_000)])
    found = model.score_samples(Q)
    assert np.exp(found).mean() * 4 * np.pi == pytest.approx(1.0, abs=0.05)
    U, V = Globe().into(X), Globe().into(Q[:200])
    kappa = 1 / chord(0.1) ** 2
    expected = logsumexp(kappa * (V @ U.T - 1), axis=1) + np.log(kappa / (2 * np.pi * -np.expm1(-2 * kappa) * len(X)))
    np.testing.assert_allclose(found[:200], expected, rtol=0.02, atol=5e-3)


@pytest.mark.parametrize("kappa", [1e-6, 1e-3, 1.0, 100.0, 1e5])
@pytest.mark.parametrize("d", [3, 384])
def test_the_constant_of_von_mises_and_fisher_is_finite(d, kappa):
    expected = float(log_constant(d, kappa))
    assert log_von_mises_fisher(d, kappa) == pytest.approx(expected, rel=1e-8, abs=1e-7)


def log_constant(d, kappa):
    """By the integral over the angle: the area of a cap, times the density."""
    area = np.log(2) + (d - 1) / 2 * np.log(np.pi) - gammaln((d - 1) / 2)  # of the sphere of one dimension less
    t = np.linspace(0, np.pi, 2_000_001)[1:-1]
    logs = kappa * (np.cos(t) - 1) + (d - 2) * np.log(np.sin(t))
    return -(logsumexp(logs) + np.log(t[1] - t[0]) + area)


def test_log_densities_with_a_bandwidth_for_each_point():
    rng = np.random.default_rng(0)
    X, h, w = rng.normal(size=(700, 2)), rng.uniform(0.2, 1.0, 700), rng.uniform(0.5, 2.0, 700)
    Q = np.vstack([rng.normal(size=(20, 2)), [[60.0, 0.0]]])
    logs = -0.5 * np.square(Q[:, None] - X).sum(axis=2) / h**2 - 2 * np.log(h) - np.log(2 * np.pi) + np.log(w / w.sum())
    np.testing.assert_allclose(
        ms.MeanShift(h).fit(X, sample_weight=w).score_samples(Q), logsumexp(logs, axis=1), rtol=1e-8, atol=1e-8
    )


# ------------------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    "options",
    [{"metric": "cosine"}, {"bandwidth": [1.0, 2.0]}, {"bandwidth": "abramson"}, {"bandwidth": "adaptive-knn"}],
)
def test_streams_have_one_bandwidth_and_the_plain_metric(options):
    X = np.random.default_rng(0).normal(size=(50, 2))
    with pytest.raises(AttributeError) as error:
        ms.MeanShift(**{"bandwidth": 1.0, **options}).partial_fit(X)
    assert "partial_fit" in str(error.value.__cause__)
    with pytest.raises(ValueError, match="DensitySketch"):
        ms.MeanShift(**{"bandwidth": 1.0, **options}).fit(ms.DensitySketch(1.0).add(X))
    with pytest.raises(ValueError, match='assign="nearest"'):
        ms.MeanShift(**{"bandwidth": 1.0, **options}, kernel="flat", assign="nearest").fit(X)


@pytest.mark.parametrize("options", [{"metric": "cosine"}, {"metric": "haversine"}, {"bandwidth": np.ones(50)}])
@pytest.mark.parametrize("asked", [{"kernel": "flat"}, {"blurring": True}, {"merge": "persistence"}])
def test_what_other_forms_do_not_have_is_refused_by_name(options, asked):
    X = np.random.default_rng(0).normal(size=(50, 2))
    with pytest.raises(ValueError, match=f"{next(iter(asked))}=.* not with"):
        ms.MeanShift(**{"bandwidth": 1.0, **options}, **asked).fit(X / np.abs(X).max())
