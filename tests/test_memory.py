"""What a fitted model keeps: little, in memory and in pickles, and the same bits come back from it."""

import copy
import pickle

import numpy as np
import pytest

import modeseek as ms
from modeseek import pipeline
from modeseek.engines.packed import LEAST, SmallPickles, pack, unpack
from modeseek.fields import near, table
from tests.naive import ROUTES, mixture


@pytest.fixture
def nothing_is_little(monkeypatch):
    """Put away every table, however small."""
    monkeypatch.setattr(table, "LITTLE", 0)
    monkeypatch.setattr(near, "LITTLE", 0)


def answers(model: ms.MeanShift, Q: np.ndarray) -> list[np.ndarray]:
    found = [model.predict(Q), model.path(Q[:20])]
    return [*found, model.score_samples(Q)] if model.kernel == "gaussian" else found


def around(X: np.ndarray, h: float) -> np.ndarray:
    """Return points of the fit, and new ones in and around them."""
    rng = np.random.default_rng(5)
    low, high = X.min(axis=0) - 3 * h, X.max(axis=0) + 3 * h
    return np.concatenate([X[:500], rng.uniform(low, high, (500, X.shape[1]))])


def held(found: object, seen: set[int]) -> int:
    """Return the bytes of all arrays that an object holds, each counted once."""
    if id(found) in seen:
        return 0
    seen.add(id(found))
    if isinstance(found, np.ndarray):
        owner = found
        while isinstance(owner.base, np.ndarray):
            owner = owner.base
        new = owner is found or id(owner) not in seen
        seen.add(id(owner))
        return owner.nbytes if new else 0
    parts = found if isinstance(found, list | tuple) else getattr(found, "__dict__", {}).values()
    return sum(held(part, seen) for part in parts)


@pytest.mark.parametrize("route", ROUTES)
def test_what_was_put_away_comes_back_to_the_bit(route, monkeypatch):
    X, h = route.data()
    Q = around(X, h)
    kept = route.model(h).fit(X)
    expected = answers(kept, Q)
    monkeypatch.setattr(table, "LITTLE", 0)
    monkeypatch.setattr(near, "LITTLE", 0)
    model = route.model(h).fit(X)
    for same in (model, pickle.loads(pickle.dumps(model)), copy.deepcopy(model), copy.copy(model)):
        np.testing.assert_array_equal(same.labels_, kept.labels_)
        for got, want in zip(answers(same, Q), expected, strict=True):
            np.testing.assert_array_equal(got, want)
        np.testing.assert_array_equal(same.predict(X), kept.labels_)


@pytest.mark.parametrize("d", [1, 2, 3])
def test_bounds_come_back_to_the_bit_for_any_number_of_threads(d, nothing_is_little, monkeypatch):
    monkeypatch.setattr(pipeline, "seconds_of_proof", lambda problem: 0.0)
    X, h = mixture(3000, d)
    model = ms.MeanShift(h, n_jobs=1).fit(X)
    bounds = model._clustering.table.tubes.bounds
    assert bounds._near is None
    one = bounds.near.copy()
    assert (one[:, 5] >= 0).any()  # traps beside cells, which are not computed anew
    bounds.put_away()
    model._clustering.field.put_away()
    model._clustering.field.n_jobs = 2
    np.testing.assert_array_equal(bounds.near, one)


def test_a_fitted_model_and_its_pickle_are_small(monkeypatch):
    monkeypatch.setattr(table, "LITTLE", 1 << 20)
    monkeypatch.setattr(near, "LITTLE", 1 << 20)
    X, h = mixture(50_000, 2)
    model = ms.MeanShift(h / 3).fit(X)
    assert model.certificate_.spacing is not None
    nodes = model.sketch_.box.n_nodes
    assert 32 * nodes > table.LITTLE  # the table was put away
    rest = held(model, set())
    assert rest < 14 * nodes + 16 * len(X)
    assert len(pickle.dumps(model)) < rest / 3
    model.predict(around(X, h))
    assert held(model, set()) > 5 * rest  # control: the count sees what was computed anew


def test_a_model_on_all_points_keeps_them_twice_at_most():
    X, h = mixture(20_000, 3)
    model = ms.MeanShift(h, fidelity="exact").fit(X)
    assert held(model, set()) < 3.2 * 24 * len(X)
    assert (model.certificate_.status() == 2).all()
    assert len(pickle.dumps(model)) < 2.8 * 24 * len(X)


def test_a_sketch_that_grows_after_the_fit_changes_no_answer(nothing_is_little):
    X, h = mixture(6000, 2)
    Q = around(X, h)
    for fidelity in ("certified", "fast"):
        expected = answers(ms.MeanShift(h, fidelity=fidelity).fit(X), Q)
        model = ms.MeanShift(h, fidelity=fidelity).fit(X)
        again = pickle.loads(pickle.dumps(model))
        for same in (model, again):
            before = same.sketch_.total_weight_
            same.sketch_.add(X[:100])
            assert same.sketch_.total_weight_ == pytest.approx(before + 100)
            for got, want in zip(answers(same, Q), expected, strict=True):
                np.testing.assert_array_equal(got, want)


def test_labels_that_come_back_can_be_written_to_and_are_there_once():
    X, h = mixture(20_000, 2)
    model = ms.MeanShift(h).fit(X)
    again = pickle.loads(pickle.dumps(model))
    assert again.labels_ is again._clustering.labels
    assert again.sketch_._masses is again._clustering.field.nodes.masses
    again.labels_[0] = 7
    assert pickle.dumps(model) == pickle.dumps(model)


@pytest.mark.parametrize("dtype", [np.int32, np.int64, np.uint8])
def test_packed_arrays_are_equal(dtype):
    rng = np.random.default_rng(0)
    for array in (np.empty(0, dtype), rng.integers(0, 9, (30, 40, 5)).astype(dtype)[:, ::2].T):
        function, arguments = pack(array).__reduce__()
        assert function is unpack
        back = unpack(*arguments)
        assert back.dtype == dtype
        np.testing.assert_array_equal(back, array)


def test_only_what_is_large_is_packed():
    class Thing(SmallPickles):
        _packed = ("a", "b")

    thing = Thing()
    thing.a, thing.b, thing.c = np.zeros(LEAST), np.zeros(3), np.zeros(LEAST)
    state = thing.__getstate__()
    assert not isinstance(state["a"], np.ndarray)
    assert state["b"] is thing.b
    assert state["c"] is thing.c
    assert copy.copy(thing).a is thing.a
