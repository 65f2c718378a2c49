"""Clusters that are too light: attached along a wider kernel, or noise; predict follows."""

import pickle

import numpy as np
import pytest
from sklearn.base import clone

import modeseek as ms
from modeseek.cells import bit_patterns
from modeseek.climb import ModeFinder
from modeseek.fields.dense import DenseField
from modeseek.label import Counts, KeyLabels
from modeseek.result import Problem, finish
from tests.naive import ROUTES, mixture, uniform


def half(model):
    """Return a least weight that keeps about half of the clusters of a fit."""
    return float(np.median(model.cluster_weights_)) + 1.0


def attached_by_the_definition(X, model, least):
    """Return the cluster of each mode of a fit (centres, labels without orphans), by the textbook alone."""
    modes, h = model.cluster_centers_.astype(float), model.bandwidth_
    X = np.asarray(X, float)
    kept = model.cluster_weights_ >= least
    owner = np.where(kept, np.arange(len(modes)), -1)
    bandwidth = np.sqrt(2.0) * h
    while (owner < 0).any():
        for i in np.flatnonzero(owner < 0):
            top = ms.textbook.climb(X, modes[i : i + 1], bandwidth, tol=1e-7)
            end = ms.textbook.climb(X, top, h, tol=1e-7)
            j = int(np.linalg.norm(modes - end, axis=1).argmin())
            owner[i] = j if kept[j] else -1
        bandwidth *= np.sqrt(2.0)
    return owner


def with_strays(n=900, strays=12, seed=4):
    """Five clusters, and single points around them."""
    X, h = mixture(n, 2)
    far = np.random.default_rng(seed).uniform(-18, 18, (strays, 2)).astype(np.float32)
    return np.concatenate([X, far]), h


@pytest.mark.parametrize("parameters", [{}, {"fidelity": "exact"}])
@pytest.mark.parametrize("data", [with_strays, lambda: uniform(900, 2)])
def test_orphans_go_where_wider_kernels_lead(data, parameters):
    X, h = data()
    base = ms.MeanShift(h, **parameters).fit(X)
    least = half(base)
    model = clone(base).set_params(min_cluster_size=least).fit(X)
    owner = attached_by_the_definition(X, base, least)
    expected = owner[base.labels_]
    weights = np.bincount(expected, minlength=len(owner))
    kept = np.flatnonzero(base.cluster_weights_ >= least)
    order = kept[np.argsort(-weights[kept], kind="stable")]
    np.testing.assert_array_equal(order[model.labels_], expected)
    np.testing.assert_array_equal(model.cluster_centers_, base.cluster_centers_[order])
    np.testing.assert_array_equal(model.cluster_weights_, weights[order])


@pytest.mark.parametrize("cluster_all", [True, False])
@pytest.mark.parametrize("route", ROUTES)
def test_labels_weights_and_predict_agree(route, cluster_all):
    X, h = route.data()
    base = route.model(h).fit(X)
    least = half(base)
    model = route.model(h, min_cluster_size=least, cluster_all=cluster_all).fit(X)
    kept = base.cluster_weights_ >= least
    assert len(model.cluster_centers_) == kept.sum()
    np.testing.assert_array_equal(model.predict(X), model.labels_)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(model)).predict(X[:50]), model.labels_[:50])
    assert (np.diff(model.cluster_weights_) <= 0).all()
    inside = model.labels_ >= 0
    np.testing.assert_array_equal(np.bincount(model.labels_[inside]), model.cluster_weights_)
    assert model.cluster_weights_.min() >= least
    if cluster_all:
        assert inside.all()
    else:
        np.testing.assert_array_equal(inside, kept[base.labels_])
        np.testing.assert_array_equal(model.labels_[inside], base.labels_[inside])
    centers = {tuple(center) for center in model.cluster_centers_.tolist()}
    assert centers == {tuple(center) for center in base.cluster_centers_[kept].tolist()}


@pytest.mark.parametrize("cluster_all", [True, False])
def test_the_audit_knows_what_was_asked_for(cluster_all):
    X, h = with_strays()
    model = ms.MeanShift(h, min_cluster_size=20, cluster_all=cluster_all).fit(X)
    found = model.audit(X)
    assert (found.n_disagree, found.n_noise) == (0, (model.labels_ < 0).sum())


def test_one_keeps_everything_whatever_it_weighs():
    X, h = with_strays()
    weights = np.full(len(X), 1e-3)
    one = ms.MeanShift(h, min_cluster_size=1, cluster_all=False).fit(X, sample_weight=weights)
    np.testing.assert_array_equal(one.labels_, ms.MeanShift(h).fit(X).labels_)


def test_weight_is_replication():
    X, h = with_strays()
    copies = np.random.default_rng(0).integers(1, 4, len(X))
    for cluster_all in (True, False):
        model = ms.MeanShift(h, fidelity="exact", min_cluster_size=9, cluster_all=cluster_all)
        weighted = clone(model).fit(X, sample_weight=copies)
        repeated = clone(model).fit(np.repeat(X, copies, axis=0))
        np.testing.assert_array_equal(np.repeat(weighted.labels_, copies), repeated.labels_)
        np.testing.assert_allclose(weighted.cluster_weights_, repeated.cluster_weights_)


def test_an_orphan_far_out_is_attached_too():
    X = np.concatenate([mixture(600, 2)[0].astype(float), [[1e7, -3e6], [-1e9, 0.0]]])
    model = ms.MeanShift(0.9, min_cluster_size=10).fit(X)
    assert len(model.cluster_centers_) == 5
    assert (model.labels_ >= 0).all()
    np.testing.assert_array_equal(model.predict(X), model.labels_)


def test_new_points_follow_the_orphan_they_climb_to():
    X = np.concatenate([np.zeros((30, 1)), np.full((20, 1), 10.0), [[4.0]]])
    X[:50, 0] += np.random.default_rng(0).normal(size=50) * 0.1
    attached = ms.MeanShift(0.5, min_cluster_size=5).fit(X)
    assert attached.labels_[-1] == attached.labels_[0] == attached.predict([[4.2]])[0]
    np.testing.assert_array_equal(attached.cluster_weights_, [31, 20])
    noise = ms.MeanShift(0.5, min_cluster_size=5, cluster_all=False).fit(X)
    assert noise.labels_[-1] == noise.predict([[4.2]])[0] == -1
    np.testing.assert_array_equal(noise.cluster_weights_, [30, 20])


def test_attached_weight_counts_in_the_numbering():
    """The second cluster becomes the first when it gets the orphan."""
    X = np.concatenate([np.zeros((20, 1)), np.full((19, 1), 10.0), np.full((3, 1), 7.0)])
    X[:, 0] += np.linspace(-0.1, 0.1, len(X))
    model = ms.MeanShift(0.5, min_cluster_size=5).fit(X)
    np.testing.assert_array_equal(model.cluster_weights_, [22, 20])
    np.testing.assert_allclose(model.cluster_centers_.ravel(), [10.0, 0.0], atol=0.1)
    assert model.labels_[0] == 1


@pytest.mark.parametrize("route", ROUTES[::3])
def test_no_cluster_is_heavy_enough(route):
    X, h = route.data()
    with pytest.warns(UserWarning, match="min_cluster_size=1e.09; the heaviest weighs .* put into that one"):
        one = route.model(h, min_cluster_size=1e9).fit(X)
    assert one.cluster_centers_.shape == (1, X.shape[1])
    assert (one.labels_ == 0).all()
    assert one.cluster_weights_[0] == len(X)
    with pytest.warns(UserWarning, match="All points are noise"):
        none = route.model(h, min_cluster_size=1e9, cluster_all=False).fit(X)
    assert none.cluster_centers_.shape == (0, X.shape[1])
    assert none.cluster_weights_.shape == (0,)
    assert (none.labels_ == -1).all()
    assert (none.predict(X[:30]) == -1).all()
    assert none.audit(X, 30).n_samples == 0


def test_a_mode_without_points_is_no_cluster():
    """A place that climbs to a mode which no point of the fit has gets the nearest cluster, not a number beyond all."""
    X = np.array([[0.0], [1.0], [9.0]])
    table = KeyLabels(np.vstack([X, [[5.0]]]), bit_patterns)  # knows one place more than there are points
    number = np.empty(4, np.int32)
    table.labels[:] = np.arange(4)
    table.assign(np.vstack([X, [[5.0]]]), number)
    table.labels[number] = [2, 2, 0, 1]  # mode 1, at 5, has no point
    finder = ModeFinder(DenseField(X, [], 1.0), None, tol=1e-3, max_iter=300)
    finder.positions = np.array([[9.0], [5.0], [0.5]])
    labels = np.array([2, 2, 0], np.int32)
    problem = Problem(X, np.empty(0), np.array([[0.0], [9.0]]), 1.0)
    found = finish(problem, finder, table, labels, Counts(0, np.array([1, 0, 2])))
    np.testing.assert_array_equal(found.modes, [[0.5], [9.0]])
    np.testing.assert_array_equal(found.labels, [0, 0, 1])
    np.testing.assert_array_equal(found.label(np.vstack([X, [[5.2]]]), **problem.climbing), [0, 0, 1, 1])
    assert found.label(np.array([[5.0]]), **problem.climbing)[0] in (0, 1)


def test_threads_change_nothing():
    X, h = uniform(4000, 2)
    one, three = (ms.MeanShift(h, min_cluster_size=300, n_jobs=jobs).fit(X) for jobs in (1, 3))
    np.testing.assert_array_equal(one.labels_, three.labels_)


def test_functional_form():
    X, h = with_strays()
    centers, labels = ms.mean_shift(X, bandwidth=h, min_cluster_size=20, cluster_all=False)
    assert len(centers) == 5
    assert (labels == -1).any()


@pytest.mark.parametrize("bad", [{"min_cluster_size": 0}, {"min_cluster_size": "5"}, {"cluster_all": "yes"}])
def test_bad_parameters(bad):
    with pytest.raises(ValueError, match=next(iter(bad))):
        ms.MeanShift(1.0, **bad).fit([[0.0], [1.0]])
