"""The audit: exact climbs that end where they are proven to, bounds that hold, planted errors that are caught."""

import dataclasses
import pickle
import re

import numpy as np
import pytest
from scipy.stats import binomtest
from sklearn.exceptions import ConvergenceWarning, NotFittedError

import modeseek as ms
from modeseek.audit import _percent, audit, interval, upper_bound
from modeseek.definition import Definition
from modeseek.exact import Traps, climb
from tests.naive import ROUTES, lattice, mixture, moons, uniform, with_outliers


def exact_climbs(X, starts, h, **options):
    definition, traps = Definition(X, [], h, **options), Traps()
    mode, ends = climb(definition, starts, traps)
    return mode, ends, definition, traps


# -------------------------------------------------------------------------------------------- the definition


@pytest.mark.parametrize("d", [1, 2, 3, 5])
@pytest.mark.parametrize("n", [200, 2000])  # NumPy, compiled
@pytest.mark.parametrize("weighted", [False, True])
def test_a_step_is_that_of_the_textbook(d, n, weighted):
    X, h = mixture(n, d)
    X = X * 5.0  # many cells: what is out of reach is left out
    rng = np.random.default_rng(1)
    w = rng.uniform(0.5, 2.0, n) if weighted else np.empty(0)
    definition = Definition(X, w, h)
    queries = X[:50] + rng.normal(size=(50, d)) * h
    x = definition.scaled(queries)
    squares = np.square(queries[:, None] - X[None]).sum(axis=2)
    g = np.exp((squares.min(axis=1, keepdims=True) - squares) / (2 * h * h)) * (w if weighted else 1.0)
    means = g @ X / g.sum(axis=1, keepdims=True)
    assert np.abs(definition.original(x + definition.shift(x)) - means).max() < 1e-9 * h


@pytest.mark.parametrize(("data", "n"), [(moons, 900), (lattice, 900), (lambda n: uniform(n, 2), 900)])
def test_climbs_end_at_the_modes_of_the_textbook(data, n):
    X, h = data(n)
    mode, ends, _, traps = exact_climbs(X, X[:150], h)
    expected = ms.textbook.climb(np.asarray(X, float), np.asarray(X[:150], float), h, tol=1e-10)
    assert (mode >= 0).all()
    assert np.abs(ends - expected).max() < 1e-5 * h
    assert len(traps.positions) == len(ms.textbook.modes(expected, h)[0])


@pytest.mark.parametrize("d", [1, 2, 3, 5])
def test_every_path_from_a_trap_ends_at_its_mode_and_contracts_on_the_way(d):
    X, h = uniform(700, d) if d < 4 else mixture(700, d)
    _, _, definition, traps = exact_climbs(X, X[:60], h)
    rng = np.random.default_rng(2)
    assert len(traps.radii) > 1
    for z, radius in zip(traps.positions, traps.radii, strict=True):
        assert np.abs(definition.shift(z[None])).max() < 1e-11
        direction = rng.normal(size=(40, len(z)))
        direction[:, : definition.pad] = 0.0
        x = z + 0.999 * radius * direction / np.linalg.norm(direction, axis=1, keepdims=True)
        after = np.linalg.norm(x + definition.shift(x) - z, axis=1)
        assert (after < np.linalg.norm(x - z, axis=1)).all()


def test_a_trap_never_reaches_a_saddle():
    """Two modes a little more than 2 h apart: the trap of one ends before the saddle between them."""
    for apart in (2.05, 2.3, 3.0, 5.0):
        X = np.array([[0.0], [apart]])
        mode, _, definition, traps = exact_climbs(X, X, 1.0)
        assert sorted(mode) == [0, 1]
        for z, radius in zip(traps.positions, traps.radii, strict=True):
            assert radius < abs(definition.original(z[None])[0, 0] - apart / 2)


def test_a_saddle_is_not_a_mode():
    """A start next to a saddle creeps away from it, with short steps, and must not be said to rest there."""
    X = np.array([[-1.5, 0.0], [1.5, 0.0], [1e-9, 3.0]])
    mode, ends, _, _ = exact_climbs(np.repeat(X, [50, 50, 1], axis=0), np.array([[1e-7, 0.0], [-1e-7, 0.0]]), 1.0)
    assert (mode >= 0).all()
    assert ends[0, 0] > 1.0
    assert ends[1, 0] < -1.0


def test_a_start_exactly_on_a_saddle_is_unsettled_at_once():
    mode, ends, _, traps = exact_climbs(np.array([[-1.5], [1.5]]), np.array([[0.0], [-1.0]]), 1.0)
    np.testing.assert_array_equal(mode, [-1, 0])
    assert ends[0, 0] == 0.0
    assert len(traps.positions) == 1


def test_a_flat_top_ends_unsettled_and_agrees(monkeypatch):
    monkeypatch.setattr("modeseek.exact.MAX_STEPS", 2000)
    X = np.repeat([[0.0], [2.0]], 5, axis=0)  # exactly 2 h apart: the curvature between them is zero
    with pytest.warns(ConvergenceWarning):
        model = ms.MeanShift(1.0).fit(X)
    found = model.audit(X)
    assert (found.n_disagree, found.n_unsettled) == (0, 10)
    assert "10 on flat tops were judged by where their climbs stood" in str(found)


def test_climbs_do_not_depend_on_threads():
    X, h = uniform(3000, 2)
    one, three = (exact_climbs(X, X[:100], h, n_jobs=jobs)[1] for jobs in (1, 3))
    np.testing.assert_array_equal(one, three)


def test_light_and_weightless_points_climb_too():
    X = np.concatenate([mixture(600, 2)[0], [[60.0, 0.0], [-80.0, 3.0]]])
    w = np.r_[np.ones(600), 1e-9, 0.0]
    mode, ends = climb(Definition(X, w, 0.9), X[-2:], Traps())
    assert (mode >= 0).all()
    assert np.abs(ends[0] - X[-2]).max() < 1e-6  # light, but a mode of its own
    assert np.linalg.norm(ends[1] - X[-1]) > 50.0  # of no weight: it goes where the others are


# -------------------------------------------------------------------------------------- the quick way to step


def expanded(X, h, weights=()):
    definition = Definition(X, weights, h)
    definition.expand(np.tile(definition.scaled(X), (20, 1)))  # as for many starts: so that it pays
    assert definition.expansions is not None
    return definition


@pytest.mark.parametrize("d", [1, 2])
@pytest.mark.parametrize("weighted", [False, True])
def test_expansions_step_as_the_plain_sums_do(d, weighted):
    X, h = mixture(6000, d)
    w = np.random.default_rng(3).uniform(0.1, 10.0, len(X)) if weighted else ()
    definition = expanded(X, h, w)
    x = definition.scaled(X)
    plain = definition.shift(x)
    before = x.copy()
    length, earlier = definition.advance(x, 1)
    assert np.abs(x - before - plain).max() < 1e-12
    np.testing.assert_allclose(length, np.linalg.norm(plain, axis=1), atol=1e-12)
    assert np.isinf(earlier).all()


def test_many_steps_at_once_are_as_many_single_ones():
    X, h = mixture(6000, 2)
    definition = expanded(X, h)
    once, singly = definition.scaled(X[:200]), definition.scaled(X[:200])
    last, before = definition.advance(once, 5)
    lengths = [definition.advance(singly, 1)[0] for _ in range(5)]
    np.testing.assert_allclose(once, singly, atol=1e-14)
    np.testing.assert_allclose(last, lengths[-1], atol=1e-14)
    np.testing.assert_allclose(before, lengths[-2], atol=1e-14)


@pytest.mark.parametrize("d", [1, 2])
def test_expansions_make_all_the_steps_asked_for(d):
    X = np.random.default_rng(d).random((3000, d)) * 20
    definition, plain = expanded(X, 1.0), Definition(X, [], 1.0)
    x = definition.scaled(X[:50])
    y = x.copy()
    _, before = definition.advance(x, 32)
    assert np.isfinite(before).all()
    for _ in range(32):
        plain.advance(y, 1)
    np.testing.assert_allclose(x, y, atol=1e-8)


def test_the_newton_step_on_expansions_is_that_of_the_plain_sums():
    X, h = mixture(6000, 2)
    definition = expanded(X, h)
    for x in definition.scaled(X[:20]):
        s, jacobian, step = definition.expansions.newton(x[1:])
        density, plain, second = definition.moments(x)
        expected = (second / density - np.outer(plain, plain))[1:, 1:]
        np.testing.assert_allclose(s, plain[1:], atol=1e-12)
        np.testing.assert_allclose(jacobian, expected, atol=1e-10)
        np.testing.assert_allclose((np.eye(2) - expected) @ step, s, atol=1e-9)


def test_newton_finds_nothing_where_nothing_is_within_reach():
    X = np.random.default_rng(0).normal(size=(3000, 2)) + np.array([100.0, 0.0]) * (np.arange(3000) % 2)[:, None]
    definition = expanded(X, 1.0)
    step, jacobian, _ = definition.expansions.newton(definition.scaled([[50.0, 0.0]])[0, 1:])
    assert np.isnan(step).all()
    assert np.linalg.eigvalsh(jacobian)[-1] == 1.0  # flat: no mode is ahead


def test_what_expansions_cannot_do_is_left_to_the_plain_sums():
    X, h = mixture(6000, 2)
    definition = expanded(X, h)
    x = definition.scaled(np.array([[300.0, 0.0], [-4.0, -9.0], [0.0, 0.0]]))  # outside; inside, but empty
    expected = x + definition.shift(x)
    definition.advance(x, 8)
    np.testing.assert_allclose(x[:2], expected[:2], atol=1e-9)


def test_expansions_that_fail_their_check_are_not_used(monkeypatch):
    from modeseek import expansions

    right = expansions._translations
    monkeypatch.setattr(expansions, "_translations", lambda distances: right(distances) * 1.01 ** np.arange(19))
    X, h = mixture(6000, 2)
    definition = Definition(X, [], h)
    definition.expand(definition.scaled(X))
    assert definition.expansions is None
    model = ms.MeanShift(h).fit(X)
    assert model.audit(X, random_state=0).n_disagree == 0


@pytest.mark.parametrize("data", [moons, lambda n: uniform(n, 2), lambda n: uniform(n, 1)])
def test_expansions_change_no_verdict(data, monkeypatch):
    X, h = data(4000)
    rows = np.arange(0, 4000, 40)
    definition, plain = expanded(X, h), Definition(X, [], h)
    _, quick = climb(definition, X[rows], Traps())
    monkeypatch.setattr(Definition, "expand", lambda *_: None)
    _, slow = climb(plain, X[rows], Traps())
    assert np.abs(quick - slow).max() < 1e-9 * h


# ------------------------------------------------------------------------------------------------ the verdict


@pytest.mark.parametrize("route", ROUTES)
def test_silent_on_good_fits(route):
    X, h = route.data()
    model = route.model(h).fit(X)
    found = model.audit(X, 300, random_state=1)
    assert found.agreement >= route.agreement
    assert found.n_samples == 300
    assert found.n_unsettled == 0


def test_silent_on_the_notebook_and_says_so():
    _, X = ms.textbook.make_data()
    model = ms.MeanShift(2.5).fit(X)
    assert str(model.audit(X)) == "0 of all 1 500 points disagree with exact mean shift"
    found = model.audit(X, 1000, random_state=0)
    assert str(found) == (
        "0 of 1 000 sampled points disagree with exact mean shift: at most 0.3 % of all points do, at 95 % confidence"
    )
    assert not found.is_complete
    assert found.seconds > 0.0
    assert found.rows.shape == (0,)
    assert found.ends.shape == (0, 2)


def planted(plant):
    """Return what an audit of all points of a good fit says, once ``plant(labels, modes, X)`` has spoilt it."""
    X, h = mixture(1500, 2)
    model = ms.MeanShift(h).fit(X)
    labels, modes = plant(model.labels_.copy(), model.cluster_centers_.astype(float), X)
    return audit(X, labels, modes, h, n_samples=len(X)), labels, model.labels_


def test_catches_single_wrong_labels_and_names_their_rows():
    def plant(labels, modes, X):
        labels[[5, 77, 1000]] = (labels[[5, 77, 1000]] + 1) % len(modes)
        return labels, modes

    found, _, _ = planted(plant)
    np.testing.assert_array_equal(found.rows, [5, 77, 1000])
    assert found.ends.shape == (3, 2)
    assert found.n_disagree == 3
    assert str(found) == "3 of all 1 500 points disagree with exact mean shift"


def test_catches_permuted_labels():
    found, _, _ = planted(lambda labels, modes, X: ((labels + 1) % len(modes), modes))
    assert found.agreement == 0.0


def test_catches_a_split_cluster():
    def plant(labels, modes, X):
        moved = (labels == 0) & (X[:, 0] > modes[0, 0])
        labels[moved] = len(modes)
        return labels, np.vstack([modes, modes[0] + 0.01])

    found, labels, _ = planted(plant)
    np.testing.assert_array_equal(found.rows, np.flatnonzero(labels == labels.max()))


def test_catches_two_modes_in_one_cluster_unless_asked_for():
    def plant(labels, modes, X):
        return np.where(labels == 1, 0, labels), modes

    found, _, before = planted(plant)
    np.testing.assert_array_equal(found.rows, np.flatnonzero(before == 1))
    X, h = mixture(1500, 2)
    model = ms.MeanShift(h).fit(X)
    names = np.where(np.arange(len(model.cluster_centers_)) == 1, 0, np.arange(len(model.cluster_centers_)))
    asked = audit(X, names[model.labels_], model.cluster_centers_, h, clusters=names)
    assert asked.n_disagree == 0


def test_catches_labels_shifted_by_a_cell():
    """Labels looked up half a bandwidth away are wrong along the borders only."""
    X, h = uniform(2500, 2)
    model = ms.MeanShift(h).fit(X)
    shifted = model.predict(X + 0.5 * h)
    found = audit(X, shifted, model.cluster_centers_, h, n_samples=600, random_state=0)
    assert found.agreement < 0.95
    wrong = np.flatnonzero(shifted != model.labels_)
    assert np.isin(found.rows, wrong).mean() > 0.95


def test_catches_another_bandwidth():
    X, h = uniform(2500, 2)
    model = ms.MeanShift(1.3 * h).fit(X)
    found = audit(X, model.labels_, model.cluster_centers_, h, n_samples=300, random_state=0)
    assert found.agreement < 0.5


def test_catches_centres_in_wrong_places():
    found, _, _ = planted(lambda labels, modes, X: (labels, modes + 0.5))
    assert found.agreement == 0.0


def test_tells_misplaced_centres_from_wrong_labels():
    def plant(labels, modes, X):
        modes[0] += [0.1 * 0.9, 0.0]  # a tenth of a bandwidth
        labels[[3, 4]] = (labels[[3, 4]] + 1) % len(modes)
        return labels, modes

    found, labels, before = planted(plant)
    n_wrong = np.count_nonzero((labels != before) | (before == 0))
    assert (found.n_disagree, found.n_misplaced) == (n_wrong, np.count_nonzero((labels == 0) & (before == 0)))
    assert "only because their centre lies more than 0.05 bandwidths from the exact mode" in str(found)
    far, _, _ = planted(lambda labels, modes, X: (labels, modes + 0.5))  # 0.79 bandwidths
    assert far.n_misplaced == 0


def test_noise_is_left_out_and_said_so():
    X, h = mixture(1500, 2)
    model = ms.MeanShift(h).fit(X)
    labels = model.labels_.copy()
    labels[:40] = -1
    found = audit(X, labels, model.cluster_centers_, h, n_samples=1500)
    assert (found.n_noise, found.n_samples, found.n_disagree) == (40, 1460, 0)
    assert str(found).endswith("0 of all 1 460 points disagree with exact mean shift; 40 labelled noise were left out")
    nothing = audit(X, np.full(1500, -1), np.empty((0, 2)), h, n_samples=70, random_state=0)
    assert str(nothing) == "no point was checked: all 70 sampled points are labelled noise"
    assert np.isnan(nothing.agreement)
    assert (nothing.low, nothing.high, nothing.at_most) == (0.0, 1.0, 1.0)


def test_labels_without_modes_are_all_wrong():
    found = audit(np.array([[0.0], [1.0]]), [0, 0], np.empty((0, 1)), 1.0)
    assert found.n_disagree == 2


def test_weights_are_those_of_the_fit():
    X, h = mixture(1200, 2)
    w = np.random.default_rng(0).uniform(0.0, 9.0, 1200)
    w[:100] = 0.0
    model = ms.MeanShift(h).fit(X, sample_weight=w)
    assert model.audit(X, 400, sample_weight=w, random_state=0).n_disagree == 0
    with pytest.raises(ValueError, match="sample_weight of the fit"):
        model.audit(X)


def test_outliers_and_far_origins():
    X, h = with_outliers(17_000)
    model = ms.MeanShift(h).fit(X)
    rows = np.r_[0:100, len(X) - 5 : len(X)]
    found = audit(X, np.where(np.isin(np.arange(len(X)), rows), model.labels_, -1), model._clustering.modes, h)
    assert found.n_disagree == 0
    Y = mixture(900, 2)[0].astype(float) + 2.0**24
    assert ms.MeanShift(0.9).fit(Y).audit(Y).n_disagree == 0


def test_the_sample_follows_from_the_seed():
    X, h = uniform(3000, 2)
    model = ms.MeanShift(h).fit(X)
    model.labels_ = (model.labels_ + 1) % len(model.cluster_centers_)
    one, same, other = (model.audit(X, 50, random_state=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one.rows, same.rows)
    assert not np.array_equal(one.rows, other.rows)
    assert len(np.unique(one.rows)) == 50  # all wrong, none twice


def test_the_result_is_frozen_and_pickles():
    X, h = mixture(300, 2)
    found = ms.MeanShift(h).fit(X).audit(X)
    with pytest.raises(dataclasses.FrozenInstanceError):
        found.n_samples = 3
    assert str(pickle.loads(pickle.dumps(found))) == str(found)


# ------------------------------------------------------------------------------------------------- the bounds


@pytest.mark.parametrize(("k", "n"), [(0, 1), (1, 1), (0, 30), (17, 30), (0, 3000), (1, 3000), (17, 3000)])
@pytest.mark.parametrize("confidence", [0.8, 0.95, 0.999])
def test_bounds_are_those_of_clopper_and_pearson(n, k, confidence):
    one_sided = binomtest(k, n, alternative="less").proportion_ci(confidence, "exact").high
    assert upper_bound(k, n, confidence) == pytest.approx(one_sided, rel=1e-9)
    both = binomtest(k, n).proportion_ci(confidence, "exact")
    assert interval(k, n, confidence) == pytest.approx((both.low, both.high), rel=1e-9)


def test_rule_of_three():
    assert upper_bound(0, 3000, 0.95) == pytest.approx(1 - 0.05 ** (1 / 3000))


@pytest.mark.parametrize(
    ("share", "words"),
    [(0.0, "0 %"), (0.000998, "0.1 %"), (0.0010001, "0.11 %"), (0.2, "20 %"), (1.0, "100 %"), (0.99999, "100 %"),
     (0.01234, "1.3 %"), (3e-7, "0.00003 %")],
)  # fmt: skip
def test_percentages_are_rounded_up(share, words):
    assert _percent(share) == words


# -------------------------------------------------------------------------------------------------- bad input


def fitted():
    X, h = mixture(300, 2)
    return X, ms.MeanShift(h).fit(X)


@pytest.mark.parametrize(
    ("change", "options", "error", "message"),
    [
        (lambda X: X[:-1], {}, ValueError, "X has 299 rows, but the model was fitted to 300"),
        (lambda X: X[:, :1], {}, ValueError, "features"),
        (lambda X: np.where(X[3, 1] == X, np.nan, X), {}, ValueError, "NaN .first at row 3, column 1"),
        (lambda X: X, {"n_samples": 0}, ValueError, "n_samples must be at least 1, got 0"),
        (lambda X: X, {"n_samples": 10.5}, TypeError, "n_samples must be an integer"),
        (lambda X: X, {"confidence": 95}, ValueError, "confidence must be between 0 and 1, got 95; 0.95 is 95 %"),
        (lambda X: X, {"confidence": "high"}, TypeError, "confidence must be a number"),
        (lambda X: X, {"sample_weight": np.ones(7)}, ValueError, "one weight per row"),
    ],
)
def test_bad_input(change, options, error, message):
    X, model = fitted()
    with pytest.raises(error, match=message):
        model.audit(change(X), **options)


def test_unfitted():
    with pytest.raises(NotFittedError):
        ms.MeanShift(1.0).audit([[0.0, 1.0]])


@pytest.mark.parametrize(
    ("labels", "clusters", "message"),
    [([0, 0], None, "labels must have shape (3,)"), ([0, 0, 0], [0, 1], "clusters must have shape (1,)")],
)
def test_shapes_that_do_not_fit(labels, clusters, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        audit(np.zeros((3, 1)), labels, [[0.0]], 1.0, clusters=clusters)
