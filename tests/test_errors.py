"""Error functions of one axis: above the true errors everywhere, not far above them, and of the promised order."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from modeseek.fields.errors import AxisErrors, axis_errors, deposit_weights
from tests.naive import naive_deposit, table_sums, tabulated

REACH = 6.5
CASES = [(3, 1 / 8), (3, 1 / 3), (2, 1 / 8), (2, 1 / 2)]  # degree, spacing


def promised(degree: int, spacing: float) -> AxisErrors:
    return axis_errors(spacing, degree, float(np.sqrt(1.0 - (degree + 1) * spacing**2 / 12)), REACH)


def slopes(field):
    """Nodes of a 1-D table, density and the slopes of density and first moment there."""
    unit = field.nodes.units_per_weight * field.kernel_bandwidth / field.bandwidth
    t0, t1 = field.table.reshape(-1, 2)[:, :2].T / unit
    spacing = field.nodes.delta / field.bandwidth
    x = field.nodes.corner[0] + np.arange(1, len(t0) - 1) * field.nodes.delta
    middle = (t0[:-2] + 4 * t0[1:-1] + t0[2:]) / 6
    return x, middle, (t0[2:] - t0[:-2]) / (2 * spacing), field.factor * (t1[2:] - t1[:-2]) / 2


@cache
def measured(degree: int, spacing: float) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """True errors of single points at random offsets, in 1-D, h = 1: distances |d| and errors, by name."""
    rng = np.random.default_rng(0)
    found: dict[str, list] = {name: [] for name in ("e0", "e1", "e2", "d1")}
    for x in rng.uniform(-0.5, 0.5, 30) * spacing:
        field = tabulated(np.array([[x]]), 1.0, spacing, degree=degree, reach=REACH, origin=np.zeros(1))
        width = 4 * spacing  # the table ends six nodes from the point
        Q = rng.uniform(-width, width, 400)
        d, k = x - Q, np.exp(-0.5 * (x - Q) ** 2)
        k0, k1 = table_sums(field, Q[:, None])
        found["e0"].append((np.abs(d), np.abs(k0 - k)))
        found["e1"].append((np.abs(d), np.abs(k1[:, 0] - d * k0)))
        z, k0, slope0, slope1 = slopes(field)
        d = x - z
        found["d1"].append((np.abs(d), np.abs(slope0 - d * k0)))
        found["e2"].append((np.abs(d), np.abs(slope1 - (d * d - 1) * k0)))
    return {name: tuple(np.concatenate(v) for v in zip(*parts, strict=True)) for name, parts in found.items()}


def ratios(errors: AxisErrors, degree: int, spacing: float) -> dict[str, np.ndarray]:
    """True error over what is promised there, less the rounding of masses to integers."""
    out = {}
    for name, (distance, error) in measured(degree, spacing).items():
        bound = errors.largest(getattr(errors, name), distance, distance)
        out[name] = (error - 1e-8) / bound
    return out


@pytest.mark.parametrize(("degree", "spacing"), CASES)
def test_no_point_is_further_off_than_promised_and_some_nearly_are(degree, spacing):
    for name, ratio in ratios(promised(degree, spacing), degree, spacing).items():
        assert ratio.max() <= 1.0, name
        assert ratio.max() > 0.85, name  # so nothing could be taken off the bound


@pytest.mark.parametrize(("degree", "spacing"), CASES)
@pytest.mark.parametrize("name", ["e0", "e1", "e2", "d1"])
def test_control_halved_errors_are_caught(degree, spacing, name):
    errors = promised(degree, spacing)
    halved = replace(errors, **{name: 0.5 * getattr(errors, name)})
    assert ratios(halved, degree, spacing)[name].max() > 1.0


@pytest.mark.parametrize("degree", [2, 3])
def test_far_from_the_point_too(degree):
    """A second point, of hardly any weight, keeps the table going as far as the sums reach and beyond."""
    spacing = 0.25
    errors = promised(degree, spacing)
    field = tabulated(
        np.array([[0.07], [12.0]]), 1.0, spacing, np.array([1.0, 2.0**-30]), degree=degree, reach=REACH,
        origin=np.zeros(1),
    )  # fmt: skip
    Q = np.linspace(0.0, 9.0, 3000)
    d, k = 0.07 - Q, np.exp(-0.5 * (0.07 - Q) ** 2)
    k0, k1 = table_sums(field, Q[:, None])
    for name, error in (("e0", np.abs(k0 - k)), ("e1", np.abs(k1[:, 0] - d * k0))):
        bound = errors.largest(getattr(errors, name), np.abs(d), np.abs(d))
        assert (error <= bound + 1e-8 * (1.0 + np.abs(d))).all(), name
    assert errors.e0[-1] < 1e-8  # beyond the reach hardly anything is left to be wrong


@pytest.mark.parametrize(("degree", "order"), [(2, 3), (3, 4)])
def test_the_worst_error_of_a_point_is_of_third_order_with_quadratic_and_fourth_with_cubic_splines(degree, order):
    spacings = 2.0 ** -np.arange(2, 7)
    for name in ("e0", "e1"):
        worst = [getattr(promised(degree, s), name).max() for s in spacings]
        slope = np.polyfit(np.log(spacings), np.log(worst), 1)[0]
        assert order - 0.25 < slope < order + 0.4, name


@pytest.mark.parametrize("d", [2, 3])
@pytest.mark.parametrize("degree", [2, 3])
def test_points_in_the_plane_and_in_space_are_off_by_no_more_than_their_axes_are(d, degree):
    """Products: |prod k^_a - prod k_a| <= sum_a E0_a prod_{b != a} (k_b + E0_b), and likewise the first moments."""
    rng = np.random.default_rng(d)
    spacing = 0.3
    errors = promised(degree, spacing)
    X, w = rng.uniform(-1.5, 1.5, (6, d)), rng.uniform(0.2, 2.0, 6)
    field = tabulated(X, 1.0, spacing, w, degree=degree, reach=REACH)
    Q = rng.uniform(X.min(axis=0) - 0.5, X.max(axis=0) + 0.5, (2000, d))
    offsets = X[None] - Q[:, None]  # (q, i, d)
    size = np.abs(offsets)
    k = np.exp(-0.5 * size**2)
    e0, e1 = (errors.largest(v, size, size) for v in (errors.e0, errors.e1))
    most = k + e0
    off = np.zeros(k.shape[:2])
    for a in range(d):
        off += e0[..., a] * np.delete(most, a, axis=2).prod(axis=2)
    density, moments = table_sums(field, Q)
    exact = k.prod(axis=2)
    assert (np.abs(density - exact @ w) <= off @ w + 1e-8).all()
    ratio = np.abs(density - exact @ w) / (off @ w)
    assert ratio.max() > 0.2
    for a in range(d):
        wrong = e1[..., a] * np.delete(most, a, axis=2).prod(axis=2) + size[..., a] * off
        assert (np.abs(moments[:, a] - (exact * offsets[..., a]) @ w) <= wrong @ w + 1e-8).all()


@pytest.mark.parametrize("degree", [2, 3])
def test_spline_weights_are_those_of_the_deposit(degree):
    for u in np.linspace(-0.5, 0.5, 9) if degree == 2 else np.linspace(0.0, 1.0, 9):
        ours = deposit_weights(float(u), degree)
        naive = naive_deposit(np.array([[float(u)]]), (-3,), (7,), np.zeros(1), 1.0, degree, lambda _: 0)
        np.testing.assert_allclose([ours.get(j, 0.0) for j in range(-3, 4)], naive, atol=1e-15)
        j, b = np.array(list(ours)), np.array(list(ours.values()))
        np.testing.assert_allclose([b.sum(), b @ j, b @ (j - u) ** 2], [1.0, u, (degree + 1) / 12], atol=1e-14)


def test_the_largest_of_an_interval_is_that_of_all_it_touches():
    errors = AxisErrors(0.5, *(np.array([1.0, 5.0, 2.0, 0.5]),) * 4)
    low, high = np.array([0.0, 0.1, 0.4, 1.0, 1.6, 9.0]), np.array([0.2, 0.7, 1.2, 1.4, 30.0, 9.0])
    np.testing.assert_array_equal(errors.largest(errors.e0, low, high), [1.0, 5.0, 5.0, 2.0, 0.5, 0.5])
