"""Points deposited in one pass with their places: masses, counts and labels are those of the plain way."""

import numpy as np
import pytest

import modeseek as ms
from modeseek import proven
from modeseek.engines.cpu.patches import PATCH_BITS, SHARE_LOST
from modeseek.fields import reach_of_tail
from modeseek.fields.bounds import cell_bounds
from modeseek.fields.nodes import cell_corner, node_box
from modeseek.fields.table import TableField
from modeseek.places import place_points
from tests.naive import exact_sums, mixture, naive_deposit, problem, table_sums

UNIT = 1 << 30


def place(X: np.ndarray, delta: float, n_jobs: int | None = None):
    """Masses as weights, places, and the box and origin of the nodes."""
    bounds = np.array([X.min(axis=0), X.max(axis=0)], float)
    box = node_box(bounds[0], bounds[1], bounds[0], delta)
    found = place_points(X, bounds, box, bounds[0], delta, UNIT, n_jobs)
    assert found is not None
    return found[0] / UNIT, found[1], box, bounds[0]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_masses_are_those_of_splines_but_for_the_share_that_rounding_may_take(dtype):
    X = np.random.default_rng(0).normal([100.0, -3.0], 1.0, (4000, 2)).astype(dtype)
    masses, _, box, origin = place(X, 0.6)
    naive = naive_deposit(X.astype(float), box.lower, box.shape, origin, 0.6, 3).reshape(-1)
    off = np.abs(masses - naive).sum() / len(X)
    assert 0.0 < off <= SHARE_LOST
    assert off > SHARE_LOST / 50  # so the share is not far too large


def test_control_a_point_alone_shows_that_no_share_would_be_too_little():
    masses, _, box, origin = place(np.repeat(np.random.default_rng(1).normal(size=(1, 2)), 2000, axis=0), 1.0)
    X = np.random.default_rng(1).normal(size=(1, 2))
    off = np.abs(masses / 2000 - naive_deposit(X, box.lower, box.shape, origin, 1.0, 3).reshape(-1)).sum()
    assert 2.0**-PATCH_BITS < off <= SHARE_LOST


@pytest.mark.parametrize("n", [1000, 300_000])
def test_full_patches_lose_nothing(n):
    """Very many points in one place: their numbers pass 2^32 again and again."""
    X = np.concatenate([np.full((n, 2), 0.3), [[0.0, 0.0], [1.0, 1.0]]])
    masses, places, *_ = place(X, 0.5)
    assert masses.sum() == pytest.approx(n + 2, rel=SHARE_LOST)
    assert places.counts.max() == n


def test_places_are_the_bins_of_points_and_their_counts():
    X = np.random.default_rng(2).normal(size=(20_000, 2))
    _, places, box, origin = place(X, 0.3)
    cut = ((X - cell_corner(origin, box, 0.3)) / 0.15).astype(int)
    bins = np.ravel_multi_index(tuple(cut.T), [2 * n for n in box.shape])
    np.testing.assert_array_equal(places.index, bins)
    np.testing.assert_array_equal(places.counts, np.bincount(bins, minlength=4 * box.n_nodes))
    cells = np.ravel_multi_index(tuple((cut // 2).T), box.shape)
    np.testing.assert_array_equal(places.in_cells(box), np.bincount(cells, minlength=box.n_nodes))


def test_threads_change_no_bit():
    X = np.random.default_rng(3).normal(size=(600_000, 2)).astype(np.float32)
    masses, places, *_ = place(X, 0.05, 1)
    for n_jobs in (2, 3):
        others, elsewhere, *_ = place(X, 0.05, n_jobs)
        np.testing.assert_array_equal(others, masses)
        np.testing.assert_array_equal(elsewhere.index, places.index)
        np.testing.assert_array_equal(elsewhere.counts, places.counts)


def test_few_points_and_coordinates_that_float64_does_not_resolve_are_left_alone():
    X = np.random.default_rng(4).normal(size=(1000, 2))
    for points, delta in ((X, 0.05), (X + 1e12, 1.0)):
        bounds = np.array([points.min(axis=0), points.max(axis=0)])
        box = node_box(bounds[0], bounds[1], bounds[0], delta)
        assert place_points(points, bounds, box, bounds[0], delta, UNIT, None) is None


def step_excess(X: np.ndarray, h: float) -> float:
    """Largest error of a step of the table, over its bound."""
    sketch, places = proven.sketch_and_places(problem(X, h), 1 / 9)
    assert places is not None
    nodes = sketch.nodes()
    field = TableField(nodes, h, sketch.kernel_bandwidth(), reach=reach_of_tail(len(X), 1.0, 1e-6))
    bounds = cell_bounds(field, 1.0)
    Q = X[np.random.default_rng(0).choice(len(X), 300, replace=False)].astype(float)
    known = bounds.known[nodes.nearest(Q)]
    assert known.mean() > 0.9
    density, moments = table_sums(field, Q[known])
    exact = exact_sums(X.astype(float), np.ones(len(X)), Q[known], h)[1]
    error = np.sqrt(np.square(moments / density[:, None] - exact).sum(axis=1))
    return float((error / bounds.near[nodes.nearest(Q[known]), 4]).max())


def test_bounds_of_steps_hold_for_patches(monkeypatch):
    monkeypatch.setattr(proven, "CUBIC_POINTS", 0)
    X, h = mixture(200_000, 2)
    assert step_excess(X, h) <= 1.0


def test_labels_are_the_same_with_places_and_without(monkeypatch):
    X, h = mixture(200_000, 2)
    plain = ms.MeanShift(h).fit(X)
    monkeypatch.setattr(proven, "CUBIC_POINTS", 0)
    placed = ms.MeanShift(h).fit(X)
    assert placed.sketch_ != plain.sketch_
    certified = (placed.certificate_.status() < 3) & (plain.certificate_.status() < 3)
    assert certified.mean() > 0.999
    np.testing.assert_array_equal(placed.labels_[certified], plain.labels_[certified])
    np.testing.assert_array_equal(placed.predict(X), placed.labels_)
    np.testing.assert_array_equal(np.bincount(placed.labels_), placed.cluster_weights_)
    np.testing.assert_array_equal(ms.MeanShift(h, n_jobs=1).fit(X).labels_, placed.labels_)
