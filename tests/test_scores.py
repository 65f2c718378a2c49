"""Log densities of a fit: against the plain sums and scikit-learn's, near and far, on every route."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.neighbors import KernelDensity

import modeseek as ms
from modeseek.fields import logs
from modeseek.fields.blocks import BlocksField
from modeseek.fields.dense import DenseField
from modeseek.fields.grid import GridField
from tests.examples import examples
from tests.naive import FAST, ROUTES, mixture, uniform


def naive_logs(X: np.ndarray, Q: np.ndarray, h: float, w: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Log density by log-sum-exp over all points, and the distance of the nearest point in bandwidths."""
    X, Q = np.asarray(X, float), np.asarray(Q, float)
    w = np.ones(len(X)) if w is None else np.asarray(w, float)
    squares = np.square((Q[:, None] - X[None]) / h).sum(axis=2)[:, w > 0]
    nearest, w = squares.min(axis=1), w[w > 0]
    sums = (w * np.exp(0.5 * (nearest[:, None] - squares))).sum(axis=1)
    log = np.log(sums) - 0.5 * nearest - np.log(w.sum()) - 0.5 * X.shape[1] * np.log(2 * np.pi * h * h)
    return log, np.sqrt(nearest)


def queries(X: np.ndarray, h: float, n: int = 200) -> np.ndarray:
    """Points of the data, and points around them, near and far."""
    rng = np.random.default_rng(3)
    low, high = X.min(axis=0).astype(float), X.max(axis=0).astype(float)
    around = [rng.uniform(low - r * h, high + r * h, (n, X.shape[1])) for r in (0, 3, 30, 3000)]
    return np.concatenate([X[:n].astype(float), *around])


@pytest.mark.parametrize("route", ROUTES)
def test_log_densities_of_every_route_are_as_near_as_documented(route):
    X, h = route.data()
    Q = queries(X, h)
    model = route.model(h).fit(X)
    got = model.score_samples(Q)
    exact, r = naive_logs(X, Q, h)
    error = np.abs(got - exact)
    assert got.dtype == np.float64
    fast, certified = (
        route.parameters == FAST,
        model.certificate_ is not None and model.certificate_.spacing is not None,
    )
    if not fast and not certified:
        assert (error <= 1e-8 + 1e-12 * np.abs(exact)).all()
        return
    assert error[:200].max() <= (1e-3 if fast else 1e-5)
    assert error[r <= 4].max() <= (0.05 if fast else 1e-3)
    assert fast or error[r <= 8].max() <= 1e-2
    assert error[:200].max() > 1e-11  # control: what comes from a sketch is not mistaken for the points
    share = (0.07 if X.shape[1] == 3 else 0.02) if fast else 0.01
    assert (error[r > 4] <= np.maximum(0.05, share * np.abs(exact[r > 4]))).all()


@pytest.mark.parametrize("d", [1, 2, 3, 5])
def test_they_are_those_of_scikit_learn(d):
    X, h = mixture(3000, d)
    Q = X[:300] + 0.3
    theirs = KernelDensity(bandwidth=h, rtol=1e-9).fit(X.astype(float))
    model = ms.MeanShift(h, fidelity="exact").fit(X)
    np.testing.assert_allclose(model.score_samples(Q), theirs.score_samples(Q), atol=1e-8)
    assert model.score(Q) == pytest.approx(theirs.score(Q), abs=1e-5)
    w = np.random.default_rng(0).uniform(0, 3, 3000)
    theirs.fit(X.astype(float), sample_weight=w + 1e-9)
    model.fit(X, sample_weight=w)
    np.testing.assert_allclose(model.score_samples(Q), theirs.score_samples(Q), atol=1e-7)
    np.testing.assert_allclose(model.score(Q, sample_weight=np.arange(300)), theirs.score_samples(Q) @ np.arange(300))


@pytest.mark.parametrize("fidelity", ["certified", "fast", "exact"])
@pytest.mark.parametrize("d", [1, 2])
def test_densities_integrate_to_one(fidelity, d):
    X, h = mixture(4000, d)
    side = np.arange(-28.0, 28.0, 0.5)  # for a Gaussian of bandwidth 0.9 that is exact to 1e-13
    Q = np.stack(np.meshgrid(*[side] * d, indexing="ij"), axis=-1).reshape(-1, d)
    density = np.exp(ms.MeanShift(h, fidelity=fidelity).fit(X).score_samples(Q))
    assert density.sum() * (side[1] - side[0]) ** d == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize("field", [DenseField, GridField, BlocksField])
@pytest.mark.parametrize("shift", [0.0, 1e6])
def test_fields_sum_to_the_definition_with_weights_of_any_size(field, shift):
    X, h = mixture(2000, 2)
    X = X.astype(float) + shift
    w = 10.0 ** np.random.default_rng(1).uniform(-9, 9, 2000)
    w[::7] = 0.0
    Q = queries(X, h)
    exact, _ = naive_logs(X, Q, h, w)
    np.testing.assert_allclose(field(X, w, h).log_density(Q), exact, rtol=1e-9, atol=1e-6 if shift else 1e-8)


def test_far_sums_by_tree_are_complete():
    """Points that are left out would be seen: a shell of them, all as far from the query."""
    angle = np.linspace(0, 2 * np.pi, 5000, endpoint=False)
    ring = np.stack([np.cos(angle), np.sin(angle)], axis=-1) * 50.0
    ones = np.ones(5000)
    got = logs.log_sums_of_tree(ring, ones, np.zeros((1, 2)))
    np.testing.assert_allclose(got, np.log(5000.0) - 1250.0, rtol=1e-14)
    heavy = np.r_[ones, 1e32]  # light points near, a heavy one behind: it counts from afar
    behind = np.concatenate([ring, [[51.0, 0.0]]])
    exact, _ = naive_logs(behind, np.zeros((1, 2)), 1.0, heavy)
    whole = exact + np.log(heavy.sum()) + np.log(2 * np.pi)
    np.testing.assert_allclose(logs.log_sums_of_tree(behind, heavy, np.zeros((1, 2))), whole, rtol=1e-12)
    assert whole[0] > got[0] + 1e-10


@examples(60)
@given(st.integers(1, 300), st.integers(1, 3), st.floats(0.1, 1e5), st.integers(0, 2**32 - 1))
def test_walks_leave_out_no_more_than_they_may(n, d, away, seed):
    rng = np.random.default_rng(seed)
    X = np.round(rng.normal(size=(n, d)) * 4, 1)  # with repeats
    w = 10.0 ** rng.uniform(-12, 12, n) * (rng.random(n) < 0.8)
    w[0] = 1.0
    Q = rng.normal(size=(20, d)) * away
    exact, _ = naive_logs(X, Q, 1.0, w)
    exact += np.log(w.sum()) + 0.5 * d * np.log(2 * np.pi)
    rounding = 1e-12 * np.abs(exact) + 1e-12
    tree = logs.LogSums(X, w)
    for left_out in (1e-9, 1e-3, 0.3):
        got = tree.at(Q, left_out=left_out)
        assert (got <= exact + rounding).all()
        assert (got >= exact + np.log1p(-left_out) - rounding).all()
        _, r = naive_logs(X, Q, 1.0, w)
        mixed = tree.at(Q, left_out=left_out, left_out_far=0.5)
        np.testing.assert_array_equal(mixed[r < 3.99], got[r < 3.99])
        assert (mixed >= exact + np.log(0.5) - rounding).all()


def test_walks_leave_out_what_they_may():
    """Control: with much to be left out sums are seen to lack some of it."""
    X, h = mixture(5000, 2)
    X, Q = X / h, queries(X, h) / h
    tree = logs.LogSums(X.astype(float), np.ones(5000))
    assert (tree.at(Q, left_out=0.5) < tree.at(Q) - 1e-3).any()


def test_nodes_are_summed_far_out_as_points_are():
    for d in (1, 2, 3):
        X, h = mixture(6000, d)
        field = ms.MeanShift(h, fidelity="fast").fit(X)._clustering.field
        Q = X.max(axis=0) + h * np.random.default_rng(0).uniform(3, 300, (200, d))
        places, weights = field.nodes.as_points()
        exact, _ = naive_logs(places, Q, field.kernel_bandwidth, weights)
        np.testing.assert_allclose(field.log_density(Q), exact, rtol=1e-12, atol=1.01e-3)


def test_queries_are_answered_in_parts_to_the_same_bits(monkeypatch):
    X, h = uniform(1500, 2)
    Q = X[:400] * 3.0 + 60.0
    whole = logs.log_sums_of_tree(X / h, np.ones(1500), Q, n_jobs=1)
    monkeypatch.setattr(logs, "QUERIES_PER_CHUNK", 7)
    for n_jobs in (1, 2, 7):
        np.testing.assert_array_equal(logs.log_sums_of_tree(X / h, np.ones(1500), Q, n_jobs), whole)


@pytest.mark.parametrize("route", ROUTES)
def test_the_same_bits_for_any_number_of_threads(route):
    X, h = route.data()
    Q = queries(X, h)
    one = route.model(h, n_jobs=1).fit(X).score_samples(Q)
    for n_jobs in (2, 7):
        np.testing.assert_array_equal(route.model(h, n_jobs=n_jobs).fit(X).score_samples(Q), one)


@pytest.mark.parametrize("route", ROUTES)
def test_minus_infinity_only_where_squares_overflow(route):
    X, h = route.data()
    model = route.model(h).fit(X)
    Q = np.full((5, X.shape[1]), 1.0) * np.array([[1e5], [1e9], [-1e100], [1e170], [-1e308]])
    got = model.score_samples(Q)
    assert np.isfinite(got[:3]).all()
    assert (got[:3] < 0).all()
    assert (got[3:] == -np.inf).all()
    assert not np.isnan(model.score_samples(X)).any()


def test_blurring_scores_the_data_as_they_were():
    for n, d in ((300, 2), (3000, 2), (2500, 5)):
        X, h = mixture(n, d)
        w = np.random.default_rng(0).integers(0, 4, n)
        model = ms.MeanShift(h, blurring=True, max_iter=3000).fit(X, sample_weight=w)
        w[:] = 7  # the caller's own array, written over
        exact, _ = naive_logs(X, queries(X, h, 50), h, np.random.default_rng(0).integers(0, 4, n))
        np.testing.assert_allclose(model.score_samples(queries(X, h, 50)), exact, rtol=1e-9, atol=1e-8)


def test_one_row_equal_rows_and_any_layout():
    model = ms.MeanShift(0.5).fit([[3.0, 4.0]])
    np.testing.assert_allclose(model.score_samples([[3.0, 4.0]]), -np.log(2 * np.pi * 0.25))
    many = ms.MeanShift(0.5).fit(np.full((5000, 2), 3.0))
    np.testing.assert_allclose(many.score_samples([[3.0, 3.0]]), -np.log(2 * np.pi * 0.25), atol=1e-5)
    X, h = mixture(5000, 2)
    model = ms.MeanShift(h).fit(X)
    expected = model.score_samples(X)
    frozen = X.copy()
    frozen.flags.writeable = False
    wide = np.zeros((len(X), 4), X.dtype)
    wide[:, ::2] = X
    for same in (frozen, np.asfortranarray(X), wide[:, ::2], X.astype(float), X.tolist()):
        np.testing.assert_array_equal(model.score_samples(same), expected)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_cannot_be_scored_is_refused(value):
    X, h = mixture(2000, 2)
    model = ms.MeanShift(h).fit(X)
    bad = X[:10].copy()
    bad[3, 1] = value
    for method in (model.score_samples, model.score):
        with pytest.raises(ValueError, match="row 3, column 1"):
            method(bad)
    with pytest.raises(ValueError, match="shape"):
        model.score(X, sample_weight=np.ones(3))


@examples(50)
@given(st.integers(1, 40), st.integers(1, 4), st.floats(1e-3, 1e3), st.integers(0, 2**32 - 1))
def test_shifting_and_scaling_the_data_moves_the_log_density_by_d_log_scale(n, d, scale, seed):
    rng = np.random.default_rng(seed)
    X, Q = rng.normal(size=(n, d)), rng.normal(size=(20, d)) * 10
    plain = ms.MeanShift(0.7).fit(X).score_samples(Q)
    moved = ms.MeanShift(0.7 * scale).fit(X * scale + 5.0).score_samples(Q * scale + 5.0)
    np.testing.assert_allclose(moved, plain - d * np.log(scale), rtol=1e-6, atol=1e-8)
