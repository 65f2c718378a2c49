"""Fields against the textbook: one step, densities, Newton steps; and controls that must fail."""

import numpy as np
import pytest

import modeseek as ms
from modeseek.climb import ModeFinder, ascend, group_by_location, polish
from modeseek.fields.dense import DenseField
from modeseek.fields.grid import GridField, newton_over_all
from modeseek.fields.table import TableField, spline_coefficients
from tests.naive import mixture, uniform


def naive_step(X, Q, h, w=None):
    squares = ((Q[:, None] - X[None]) ** 2).sum(axis=2)
    g = np.exp(-0.5 * squares / h**2) * (1.0 if w is None else w)
    return g @ X / g.sum(axis=1, keepdims=True), g.sum(axis=1)


def table(X, h, spacing, w=None):
    sketch = ms.DensitySketch(h, spacing=spacing, origin=X.min(axis=0) - 0.3 * spacing * h).add(X, w)
    return TableField(sketch.nodes(), h, sketch.kernel_bandwidth())


@pytest.mark.parametrize("d", [1, 2, 3, 5, 8])
@pytest.mark.parametrize("field", [DenseField, GridField])
def test_a_step_on_the_points_is_the_textbooks(d, field):
    if field is GridField and d > 3:
        pytest.skip("the grid field is for up to three dimensions")
    X, h = mixture(1500, d)
    X = X.astype(float) + 100.0
    w = np.random.default_rng(0).uniform(0.1, 2, len(X))
    Q = X[:80] + np.random.default_rng(1).normal(size=(80, d)) * h
    for weights in (np.empty(0), w):
        means, density = naive_step(X, Q, h, weights if weights.size else None)
        m, f = field(X, weights, h).shift(Q)
        np.testing.assert_allclose(m, means, atol=1e-9 * h)
        np.testing.assert_allclose(f, density, rtol=1e-9)


def test_dense_steps_are_right_however_far_the_query_is():
    X, h = mixture(300, 2)
    far = np.array([[400.0 * h, -100.0 * h]])
    squares = ((far[:, None] - X[None].astype(float)) ** 2).sum(axis=2)
    g = np.exp(-0.5 * (squares - squares.min()) / h**2)
    np.testing.assert_allclose(DenseField(X, [], h).shift(far)[0], g @ X / g.sum(), rtol=1e-9)


@pytest.mark.parametrize(("d", "largest"), [(1, 4e-3), (2, 4e-3), (3, 6e-3)])
def test_a_step_on_the_table_is_close_and_fourth_order(d, largest):
    X, h = mixture(3000, d)
    X = X.astype(float)
    Q = X[:300]
    means, _ = naive_step(X, Q, h)
    errors = [np.abs(table(X, h, eps).shift(Q)[0] - means).max() / h for eps in (0.5, 0.25)]
    assert errors[0] < largest
    assert errors[1] < errors[0] / 8  # fourth order would be 16


def test_control_the_plain_step_on_the_sketch_is_caught():
    """x <- m'(x) has the right fixed points and the wrong paths: its step is off by the factor h^2 / h'^2."""
    X, h = mixture(3000, 2)
    X = X.astype(float)
    means, _ = naive_step(X, X[:300], h)
    field = table(X, h, 0.5)
    field.factor = 1.0
    assert np.abs(field.shift(X[:300])[0] - means).max() / h > 0.02


def test_control_cells_cut_towards_zero_are_caught(monkeypatch):
    """Truncating negative coordinates moves their mass by a cell."""
    X, h = mixture(3000, 2)
    X = X.astype(float)
    Q = X[:200]
    means, _ = naive_step(X, Q, h)
    delta = 0.25 * h
    cut = np.trunc(X / delta) * delta + (X - np.floor(X / delta) * delta)
    assert np.abs(naive_step(cut, Q, h)[0] - means).max() / h > 0.1  # the control is large enough to see
    sketch = ms.DensitySketch(h, spacing=0.25).add(X)  # origin 0: half of the data have negative indices
    field = TableField(sketch.nodes(), h, sketch.kernel_bandwidth())
    assert np.abs(field.shift(Q)[0] - means).max() / h < 1e-3


def test_control_a_wrong_kernel_is_caught():
    X, h = mixture(1000, 2)
    X = X.astype(float)
    means, _ = naive_step(X, X[:100], h)
    assert np.abs(GridField(X, [], 1.05 * h).shift(X[:100])[0] - means).max() / h > 0.01


def test_spline_coefficients_interpolate():
    samples = np.random.default_rng(0).normal(size=40)
    c = np.pad(spline_coefficients(samples), 1)
    np.testing.assert_allclose((c[:-2] + 4 * c[1:-1] + c[2:]) / 6, samples, atol=1e-12)


@pytest.mark.parametrize("d", [1, 2, 3])
def test_table_density_and_grid_density_agree(d):
    X, h = mixture(3000, d)
    X = X.astype(float)
    field = table(X, h, 0.25)
    exact = GridField(X, [], h).density(X[:200]) * field.nodes.units_per_weight
    scale = (field.kernel_bandwidth / h) ** d  # unnormalised kernels of other widths
    np.testing.assert_allclose(field.density(X[:200]), exact * scale, rtol=5e-3)
    assert field.density(np.full((1, d), 1e6)) == 0.0


@pytest.mark.parametrize("d", [1, 2, 3])
def test_newton_steps_agree_and_end_where_the_gradient_vanishes(d):
    X, h = mixture(2000, d)
    X = X.astype(float)
    grid, dense = GridField(X, [], h), DenseField(X, [], h)
    near = dense.climb(X[:20], tol=1e-2, max_iter=200)[0]
    a, concave_a = grid.newton(near)
    b, concave_b = dense.newton(near)
    np.testing.assert_allclose(a, b, atol=1e-9)
    np.testing.assert_array_equal(concave_a, concave_b)
    modes, confirmed = polish(grid, near, h)
    assert confirmed.all()
    np.testing.assert_allclose(dense.shift(modes)[0], modes, atol=1e-9 * h)
    once = newton_over_all(X.astype(np.float32).astype(float), np.empty(0), h, modes + 1e-4 * h)
    np.testing.assert_allclose(once, modes, atol=1e-6 * h)


def test_saddles_and_minima_are_not_modes():
    X = np.concatenate([np.full((50, 1), -2.0), np.full((50, 1), 2.0)])
    for field in (GridField(X, [], 1.0), DenseField(X, [], 1.0)):
        _, concave = field.newton(np.array([[0.0], [-1.99]]))
        np.testing.assert_array_equal(concave, [False, True])


def test_a_slow_ridge_does_not_give_false_modes():
    X, h = uniform(3000, 2)
    field = GridField(X, [], h)
    rough = ModeFinder(field, field, tol=1e-2, max_iter=50)
    fine = ModeFinder(field, field, tol=1e-6, max_iter=20_000)
    starts = X[:150]
    a, b = rough.find(starts), fine.find(starts)
    assert rough.n_modes == fine.n_modes
    np.testing.assert_allclose(rough.positions[a], fine.positions[b], atol=1e-6)


def test_where_climbs_are_cut_short_does_not_depend_on_which_comes_first():
    field = DenseField(np.array([[0.0, 0.0], [2.0, 0.0]]), [], 1.0)  # a flat top in the middle
    starts = np.c_[np.linspace(0.9, 0.9001, 7), np.zeros(7)]
    found = []
    for rows in (starts, starts[::-1], starts[[3, 6, 0, 2, 1, 5, 4]]):
        finder = ModeFinder(field, field, tol=1e-3, max_iter=1)
        assert (finder.find(rows) == 0).all()
        assert finder.n_unsettled == len(rows)
        found.append(finder.positions)
    assert (found[0] == found[1]).all()
    assert (found[0] == found[2]).all()


@pytest.mark.parametrize("d", [1, 2, 3])
def test_steps_uphill_lead_from_anywhere_to_a_mode(d):
    X, h = uniform(3000, d)
    field = GridField(X, [], h)
    starts = X[:60]
    tops = ascend(field, starts, h)
    assert (field.density(tops) >= field.density(starts)).all()
    modes, confirmed = polish(field, tops, h)
    assert confirmed.all()
    np.testing.assert_allclose(modes, tops, atol=1e-5 * h)


def test_steps_uphill_leave_a_saddle_on_the_side_where_they_begin():
    X = np.concatenate([np.full((50, 1), -2.0), np.full((50, 1), 2.0)])
    tops = ascend(GridField(X, [], 1.0), np.array([[-1e-3], [1e-3]]), 1.0)
    assert tops[0, 0] < -1.5
    assert tops[1, 0] > 1.5


def test_grouping_is_single_linkage_in_order_of_first_row():
    x = np.array([[5.0, 5.0], [0.0, 0.0], [0.09, 0.0], [5.05, 5.0], [0.18, 0.0], [9.0, 9.0]])
    group, first = group_by_location(x, 0.1)
    np.testing.assert_array_equal(group, [0, 1, 1, 0, 1, 2])
    np.testing.assert_array_equal(first, [0, 1, 5])


def test_the_compiled_exponential_is_exact_to_5e_15():
    from modeseek.engines.cpu.points import _exp_neg

    s = np.linspace(0, 37, 10_001)
    values = np.array([_exp_neg(v) for v in s])
    np.testing.assert_allclose(values, np.exp(-s), rtol=0, atol=5e-15)
