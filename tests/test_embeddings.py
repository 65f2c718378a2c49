"""Many columns and directions: every route against a plain NumPy reference, and what must be refused."""

import doctest
import importlib

import numpy as np
import pytest
from benchmarks import embeddings as benchmark
from benchmarks.embeddings import Case, mixture, wood
from hypothesis import given
from hypothesis import strategies as st

import modeseek as ms
from modeseek import embeddings, sphere, textbook
from modeseek.audit import audit
from modeseek.fields.closest import ClosestField, _followers
from modeseek.fields.directions import SphereDense
from modeseek.neighbors import groups
from modeseek.neighbors.groups import group_rows
from modeseek.products import Products
from modeseek.result import Problem
from modeseek.sphere import normalise
from tests.examples import examples
from tests.naive import wide_mixture

audit_module = importlib.import_module("modeseek.audit")
SMALL = Case(2000, 64, 10, 100.0, 0.35, 0, 0.35)


def directions(case: Case = SMALL) -> tuple[np.ndarray, np.ndarray, float]:
    X, truth = mixture(case)
    return X, truth, case.bandwidth


def naive_step(points: np.ndarray, weights: np.ndarray, x: np.ndarray, h: float, sphere: bool) -> np.ndarray:
    """One step, by the definition."""
    s = 0.5 * np.square(x[:, None] - points).sum(axis=2) / h**2
    g = weights * np.exp(s.min(axis=1, keepdims=True) - s)
    means = g @ points / g.sum(axis=1, keepdims=True)
    return means / np.linalg.norm(means, axis=1, keepdims=True) if sphere else means


def naive_ends(points: np.ndarray, weights: np.ndarray, h: float, starts: np.ndarray) -> np.ndarray:
    """Climb on the sphere until no step is longer than 1e-8."""
    x = starts
    for _ in range(3000):
        x, before = naive_step(points, weights, x, h, sphere=True), x
        if np.abs(x - before).max() < 1e-8:
            return x
    raise AssertionError("not at rest")


def problem(X: np.ndarray, h: float, metric: str = "sphere", weights: np.ndarray | None = None, **more) -> Problem:
    w = np.empty(0) if weights is None else np.asarray(weights, float)
    return Problem(X, w, np.array([X.min(axis=0), X.max(axis=0)]), h, metric=metric, **more)


def same_partition(a: np.ndarray, b: np.ndarray) -> bool:
    pairs = set(zip(a.tolist(), b.tolist(), strict=True))
    return len(pairs) == len(set(a.tolist())) == len(set(b.tolist()))


# ------------------------------------------------------------------------------------------------- both routes


def test_directions_get_the_labels_of_the_definition_on_both_routes():
    X, _, h = directions()
    P = normalise(X)
    modes, labels = textbook.modes(naive_ends(P, np.ones(len(P)), h, P[::20]), h)
    assert len(modes) == SMALL.k
    closest = embeddings.on_closest(problem(X, h), closest=256)
    whole = ms.MeanShift(h, metric="cosine").fit(X)
    for found in (closest.labels, whole.labels_):
        assert same_partition(found[::20], labels)
    for centres in (closest.centers, whole.cluster_centers_):
        assert np.linalg.norm(centres[:, None] - modes, axis=2).min(axis=1).max() < 1e-4 * h
    assert closest.certificate.undecided == len(X)
    assert whole.certificate_.climbed == len(X)


@pytest.mark.parametrize("far", [0.0, 1e6])
def test_points_in_many_columns_get_the_labels_of_the_definition(far):
    X, h = wide_mixture(2000, 24)
    X = X.astype(np.float64) + far
    found = embeddings.on_closest(problem(X, h, "euclidean"), closest=256)
    modes, labels = textbook.modes(textbook.climb(X, X[::10], h), h)
    agree = (np.unique(labels, return_inverse=True)[1], found.labels[::10])
    assert len(modes) > 5
    assert same_partition(*agree)


def test_few_points_one_by_one_are_not_enough_without_the_others():
    X, _, h = directions()
    weights, P = np.ones(len(X)), normalise(X)
    exact = naive_step(P, weights, P[:50], h, sphere=True)
    field = ClosestField(X, np.empty(0), h, sphere=True, closest=256)
    assert np.linalg.norm(field.shift(P[:50])[0] - exact, axis=1).max() < 0.15 * h
    field.log_masses[:] = -1e4  # a control: the groups that are not close weigh nothing
    assert np.linalg.norm(field.shift(P[:50])[0] - exact, axis=1).max() > 0.5 * h


@pytest.mark.parametrize("sphere", [False, True])
def test_sums_are_exact_where_every_group_is_close(sphere):
    X, _, h = directions(Case(700, 20, 5, 20.0, 0.5, 0, 0.35))
    weights = np.random.default_rng(1).uniform(0.5, 3.0, len(X))
    points = normalise(X) if sphere else X.astype(np.float64)
    field = ClosestField(points, weights, h, sphere=sphere, closest=len(X))
    exact = naive_step(points, weights, points[:100], h, sphere)
    assert np.abs(field.shift(points[:100])[0] - exact).max() < 1e-5
    tops = field.original(field.whole(field.scaled(points[:100]).astype(np.float64), None))
    assert np.abs(tops - exact).max() < 1e-5
    density = (weights * np.exp(-0.5 * np.square(points[:100, None] - points).sum(axis=2) / h**2)).sum(axis=1)
    assert np.allclose(field.shift(points[:100])[1], density, rtol=1e-4)


def test_what_enters_a_ball_comes_nearer_to_its_mode():
    X, _, h = directions()
    P = normalise(X)
    field = ClosestField(X, np.empty(0), h, sphere=True, closest=256)
    field.find_modes(1e-3, 300)
    rng, checked = np.random.default_rng(0), 0
    for mode, radius in zip(field.modes, field.traps.radii, strict=True):
        x = mode + rng.normal(size=(20, P.shape[1]))
        across = x - (x @ mode)[:, None] * mode
        angle = 2.0 * np.arcsin(0.5 * radius * h)
        x = np.cos(angle) * mode + np.sin(angle) * across / np.linalg.norm(across, axis=1, keepdims=True)
        after = naive_step(P, np.ones(len(P)), x, h, sphere=True)
        assert (np.linalg.norm(after - mode, axis=1) <= np.linalg.norm(x - mode, axis=1)).all()
        checked += radius > 0.0
    assert checked >= SMALL.k - 1


def test_paths_follow_only_where_steps_bring_them_together():
    before = np.array([[0.0], [0.01], [0.011], [5.0]])
    assert _followers(before, 0.1 * before).tolist() == [False, True, True, False]
    assert _followers(before, 0.9 * before).tolist() == [False] * 4


# --------------------------------------------------------------------------------------------------------- laws


def test_threads_change_no_bit():
    X, _, h = directions()
    results = {
        (found.labels.tobytes(), found.modes.tobytes())
        for found in (embeddings.on_closest(problem(X, h, n_jobs=jobs), closest=256) for jobs in (1, 2, 5))
    }
    assert len(results) == 1


def test_weights_are_repeats_and_rows_of_no_weight_are_labelled_too():
    X, _, h = directions(Case(900, 32, 6, 60.0, 0.4, 0, 0.35))
    times = np.random.default_rng(2).integers(0, 3, len(X))
    weighted = embeddings.on_closest(problem(X, h, weights=times), closest=128)
    repeated = embeddings.on_closest(problem(np.repeat(X, times, axis=0), h), closest=128)
    assert (weighted.labels >= 0).all()
    assert same_partition(np.repeat(weighted.labels, times), repeated.labels)
    assert np.allclose(weighted.weights, repeated.weights)


@pytest.mark.parametrize("closest", [True, False])
def test_only_directions_count(closest):
    X, _, h = directions(Case(600, 32, 6, 60.0, 0.4, 0, 0.35))
    scale = np.exp(np.random.default_rng(3).uniform(-20, 20, (len(X), 1)))

    def labels(rows):
        return embeddings.on_closest(problem(rows, h), 128).labels if closest else fitted(rows).labels_

    def fitted(rows):
        return ms.MeanShift(h, metric="cosine").fit(rows)

    assert same_partition(labels(X.astype(np.float64)), labels(X * scale))


def test_arrays_of_every_kind_give_one_answer(tmp_path):
    X, _, h = directions()
    np.save(tmp_path / "rows.npy", X)
    readonly = X.copy()
    readonly.flags.writeable = False
    kinds = [X, readonly, np.asfortranarray(X), np.load(tmp_path / "rows.npy", mmap_mode="r"), X[::-1][::-1]]
    found = [embeddings.on_closest(problem(kind, h), 256) for kind in kinds]
    assert len({one.labels.tobytes() for one in found}) == 1
    assert same_partition(found[0].labels, embeddings.on_closest(problem(X.astype(np.float64), h), 256).labels)


def test_a_fit_that_takes_the_closest_predicts_its_labels_and_those_of_new_rows(monkeypatch):
    monkeypatch.setattr(embeddings, "FEW", 1000)
    monkeypatch.setattr(embeddings, "QUICK", 0.0)
    X, truth, h = directions()
    model = ms.MeanShift(h, metric="cosine", fidelity="fast").fit(X[:1500])
    assert isinstance(model._clustering.field, ClosestField)
    assert np.array_equal(model.predict(X[:1500]), model.labels_)
    assert same_partition(model.predict(X[1500:]), truth[1500:])
    assert np.allclose(np.linalg.norm(model.cluster_centers_, axis=1), 1.0, atol=1e-6)
    assert model.path(X[:3]).shape[1:] == (3, SMALL.d)
    plain = ms.MeanShift(h, fidelity="fast").fit(X)
    assert isinstance(plain._clustering.field, ClosestField)
    exact = ms.MeanShift(h, metric="cosine", fidelity="exact").fit(X[:1500])
    assert isinstance(exact._clustering.field, SphereDense)
    assert same_partition(exact.labels_, model.labels_)


def test_light_clusters_of_directions_join_the_nearest_or_are_noise():
    X, truth, h = directions(Case(300, 32, 3, 80.0, 0.3, 0, 0.35))
    odd = -X[:1]
    rows = np.concatenate([X, odd])
    assert ms.MeanShift(h, metric="cosine", min_cluster_size=5, cluster_all=False).fit(rows).labels_[-1] == -1
    joined = ms.MeanShift(h, metric="cosine", min_cluster_size=5).fit(rows)
    assert len(joined.cluster_centers_) == 3
    assert joined.labels_[-1] == np.linalg.norm(joined.cluster_centers_ - normalise(odd), axis=1).argmin()
    assert same_partition(joined.labels_[:-1], truth)


# --------------------------------------------------------------------------------------------------- hard inputs


@pytest.mark.parametrize("sphere", [False, True])
@pytest.mark.parametrize("h", [1e-6, 1e6])
def test_tiny_bandwidths_keep_rows_apart_and_huge_ones_make_one_cluster(sphere, h):
    X = np.random.default_rng(4).normal(size=(300, 20))
    found = embeddings.on_closest(problem(X, h, "sphere" if sphere else "euclidean"), 64)
    assert len(found.modes) == (300 if h < 1.0 else 1)
    assert found.n_unsettled == 0


def test_repeats_constants_and_one_row():
    one = np.full((700, 20), 3.0, np.float32)
    for metric in ("sphere", "euclidean"):
        assert len(embeddings.on_closest(problem(one, 0.3, metric), 64).modes) == 1
        assert len(embeddings.on_closest(problem(one[:1], 0.3, metric), 64).modes) == 1
        two = np.where(np.arange(700)[:, None] % 2, one, -one)
        assert same_partition(embeddings.on_closest(problem(two, 0.3, metric), 64).labels, np.arange(700) % 2)


def test_opposite_rows_that_leave_no_mean_stay_where_they_are():
    x = np.eye(4)[[0, 0, 1]] * np.array([[1.0], [-1.0], [1.0]])
    between = np.array([[0.0, 0.0, 1.0, 0.0]])
    means, _ = SphereDense(x[:2], [], 0.5).shift(between)
    assert np.array_equal(means, between)
    assert len(ms.MeanShift(0.1, metric="cosine").fit(x).cluster_centers_) == 3


def test_what_directions_cannot_do_is_refused():
    X = np.eye(5)
    X[3] = 0.0
    with pytest.raises(ValueError, match="Row 3 of X is zero"):
        ms.MeanShift(0.3, metric="cosine").fit(X)
    model = ms.MeanShift(0.3, metric="cosine").fit(np.eye(5))
    for method in (model.predict, model.path):
        with pytest.raises(ValueError, match="Row 3 of X is zero"):
            method(X)
    with pytest.raises(ValueError, match="blurring=True works with"):
        ms.MeanShift(0.3, metric="cosine", blurring=True).fit(np.eye(5))
    with pytest.raises(ValueError, match='merge="persistence" works with'):
        ms.MeanShift(0.3, metric="cosine", merge="persistence").fit(np.eye(5))
    with pytest.raises(ValueError, match="metric"):
        ms.MeanShift(0.3, metric="manhattan").fit(np.eye(5))


def test_lengths_neither_overflow_nor_vanish():
    X = np.array([[3e200, 4e200], [3e-200, 4e-200], [5e-324, 0.0], [0.0, 0.0]])
    assert np.allclose(normalise(X), [[0.6, 0.8], [0.6, 0.8], [1.0, 0.0], [0.0, 0.0]])


@given(n=st.integers(1, 400), d=st.integers(1, 20), largest=st.integers(1, 50), seed=st.integers(0, 9))
@examples(30)
def test_groups_hold_every_row_once(n, d, largest, seed):
    X = np.random.default_rng(seed).integers(0, 3, (n, d)).astype(float)
    order, starts = group_rows(n, X.__getitem__, largest)
    assert np.array_equal(np.sort(order), np.arange(n))
    assert starts[0] == 0
    assert starts[-1] == n
    assert np.diff(starts).min() >= 1
    assert np.diff(starts).max() <= largest


# -------------------------------------------------------------------------------------------------------- audit


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_the_audit_tells_right_labels_from_wrong_ones(metric):
    X, _, h = directions(Case(800, 32, 6, 60.0, 0.4, 0, 0.35))
    if metric == "euclidean":
        X, h = wide_mixture(800, 24)
    model = ms.MeanShift(h, metric=metric, fidelity="exact").fit(X)
    assert len(model.cluster_centers_) >= 6
    assert model.audit(X).n_disagree == 0
    wrong = model.labels_.copy()
    wrong[:40] = (wrong[:40] + 1) % len(model.cluster_centers_)
    checked = audit(X, wrong, model.cluster_centers_, h, metric=metric)
    assert np.array_equal(checked.rows, np.arange(40))
    together = np.where(model.labels_ == 1, 0, model.labels_)  # two modes called one: the second is wrong
    checked = audit(X, together, model.cluster_centers_, h, metric=metric)
    assert np.array_equal(checked.rows, np.flatnonzero(model.labels_ == 1))


@pytest.mark.parametrize("sphere", [False, True])
def test_products_step_by_the_definition(sphere):
    X, _, h = directions(Case(5000, 18, 6, 20.0, 0.4, 0, 0.35))
    weights = np.arange(len(X)) % 3.0
    weights[:2100] = 0.0  # a whole part of the points
    X = normalise(X) if sphere else X.astype(np.float64) + 1e3
    products = Products(X, weights, h, sphere=sphere, n_jobs=2)
    found = products.original(products.step(products.scaled(X[:300])))
    assert np.abs(found - naive_step(X, weights, X[:300], h, sphere)).max() < 1e-9


@pytest.mark.parametrize("d", [2, 3])
def test_products_of_directions_in_few_columns_step_by_the_definition(d):
    rng = np.random.default_rng(d)
    X, weights = rng.normal(size=(3000, d)), rng.integers(0, 3, 3000).astype(float)
    P = normalise(X)
    products = Products(X, weights, 0.2, sphere=True, n_jobs=2)
    found = products.original(products.step(products.scaled(P[:300])))
    np.testing.assert_allclose(found, naive_step(P, weights, P[:300], 0.2, sphere=True), atol=1e-9)


@pytest.mark.parametrize(("metric", "d"), [("cosine", 2), ("cosine", 3), ("haversine", 2)])
def test_the_audit_knows_directions_in_few_columns(metric, d):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(700, d)) if metric == "cosine" else rng.uniform(-1.4, 1.4, (700, 2))
    model = ms.MeanShift(0.15, metric=metric, fidelity="exact").fit(X)
    assert len(model.cluster_centers_) > 2
    checked = model.audit(X)
    assert checked.n_disagree == 0
    right, wrong = model.labels_[:40], model.labels_.copy()
    wrong[:40] = (wrong[:40] + 1) % len(model.cluster_centers_)
    model.labels_ = wrong
    checked = model.audit(X)
    np.testing.assert_array_equal(checked.rows, np.arange(40))
    np.testing.assert_allclose(checked.ends, model.cluster_centers_[right], atol=1e-3)


def test_log_densities_on_the_closest_points_are_near_those_on_all(monkeypatch):
    X, _, h = directions()
    exact = ms.MeanShift(h, metric="cosine").fit(X).score_samples(X[:200])
    monkeypatch.setattr(embeddings, "FEW", 1000)
    monkeypatch.setattr(embeddings, "QUICK", 0.0)
    model = ms.MeanShift(h, metric="cosine", fidelity="fast").fit(X)
    assert isinstance(model._clustering.field, ClosestField)
    np.testing.assert_allclose(model.score_samples(X[:200]), exact, atol=1e-3)


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_light_clusters_of_many_rows_join_along_wider_kernels(metric, monkeypatch):
    X, h = wide_mixture(1500, 24)
    whole = ms.MeanShift(h, metric=metric, min_cluster_size=40).fit(X)
    monkeypatch.setattr(embeddings, "FEW", 1000)
    monkeypatch.setattr(embeddings, "QUICK", 0.0)
    closest = ms.MeanShift(h, metric=metric, min_cluster_size=40, fidelity="fast").fit(X)
    assert isinstance(closest._clustering.field, ClosestField)
    assert closest.cluster_weights_.min() >= 40
    assert np.mean(closest.labels_ == whole.labels_) > 0.98


@pytest.mark.parametrize("module", [groups, sphere, audit_module])
def test_examples_run(module):
    result = doctest.testmod(module)
    assert result.attempted > 0
    assert result.failed == 0


# ---------------------------------------------------------------------------------------------------- benchmark


def test_the_generator_has_the_mean_cosine_of_von_mises_and_fisher():
    d, concentration = 3, 2.0  # in space, the mean is coth(k) - 1 / k
    cosines = wood(100_000, d, concentration, np.random.default_rng(0))
    assert cosines.mean() == pytest.approx(1 / np.tanh(concentration) - 1 / concentration, abs=0.006)
    assert np.abs(wood(100_000, d, 20.0, np.random.default_rng(0)).mean() - cosines.mean()) > 0.2


def test_the_benchmark_measures_and_writes(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(benchmark.harness, "RESULTS", tmp_path)
    monkeypatch.setattr(benchmark, "QUICK", Case(1500, 32, 8, 100.0, 0.35, 200, 0.35))
    monkeypatch.setattr(benchmark, "extra_memory", lambda name: 1000)
    assert benchmark.main(["--quick"]) == 0
    assert "disagree with exact mean shift" in capsys.readouterr().out
    rows = benchmark.harness.read_rows("embeddings-quick")
    assert [row["result"] for row in rows] == ["pass"] * 4 + [""] * 2
