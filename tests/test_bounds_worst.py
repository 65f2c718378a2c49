"""The inequalities between nodes, where they are hardest: few points, at corners, far apart, of very unequal weight.

What `modeseek.engines.cpu.bounds` takes from the paper is compared with exact derivatives of the sums over raw points.
"""

import itertools

import numpy as np
import pytest

from modeseek.engines.cpu.bounds import TOGETHER, _eighth_cumulant, _eighth_moment
from modeseek.fields.bounds import bend, cell_bounds
from modeseek.fields.covers import BlockCover, coarse_sums
from modeseek.fields.nodes import MARGIN
from tests.naive import exact_sums, tabulated

SEEDS = range(12)


def few(seed: int, d: int, spacing: float) -> tuple[np.ndarray, np.ndarray]:
    """Two to five points with weights over some decades: anywhere, at corners of cells, or on a lattice."""
    rng = np.random.default_rng([seed, d])
    X = rng.normal(size=(rng.integers(2, 6), d)) * rng.uniform(0.3, 3.0)
    if seed % 3 == 1:
        X = (np.round(X / spacing) + 0.5) * spacing
    elif seed % 3 == 2:
        X = np.round(X) * rng.uniform(0.8, 3.0)
    return X, 10.0 ** rng.uniform(-3, 0, len(X))


def moments(X: np.ndarray, w: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, ...]:
    """Weights (q, n), offsets y = d - s (q, n, d), and J (q, d, d), at places x (q, d)."""
    d = X - x[:, None]
    k = w * np.exp(-0.5 * np.square(d).sum(axis=2))
    k /= k.sum(axis=1, keepdims=True)
    y = d - np.einsum("qn,qna->qa", k, d)[:, None]
    return k, y, np.einsum("qn,qna,qnb->qab", k, y, y)


# ---- linear interpolation of J -------------------------------------------------------------------------------------


def in_the_square(x: float, y: float) -> float:
    """E min of the times at which two Brownian motions leave [-1, 1]: u_xx + u_yy = -2, 0 at the border."""
    k = np.arange(1, 200, 2)
    terms = (-1.0) ** ((k - 1) // 2) / k**3 * np.cos(0.5 * k * np.pi * x)
    beside = np.exp(0.5 * k * np.pi * (np.abs(y) - 1)) * (1 + np.exp(-k * np.pi * np.abs(y)))
    return float(1 - x * x - 32 / np.pi**3 * (terms * beside / (1 + np.exp(-k * np.pi))).sum())


def test_control_the_supremum_of_the_sum_is_no_bound_but_with_the_factor_it_is_the_best():
    """Of E max(t_x, t_y) second derivatives add up to -2 everywhere, and it is interpolated by 0, off by 1.41."""

    def late(x: float, y: float) -> float:
        return 2 - x * x - y * y - in_the_square(x, y)

    h = 1e-3
    for x, y in np.random.default_rng(0).uniform(-0.9, 0.9, (50, 2)):
        xx = (late(x + h, y) - 2 * late(x, y) + late(x - h, y)) / h**2
        yy = (late(x, y + h) - 2 * late(x, y) + late(x, y - h)) / h**2
        assert max(xx, yy) < 1e-3
        assert abs(xx) + abs(yy) == pytest.approx(2.0, abs=1e-4)
    assert abs(late(1.0, 1.0)) < 1e-6
    side = 2.0
    as_if = side**2 / 8 * 2.0
    assert late(0.0, 0.0) > 1.4 * as_if
    assert TOGETHER[1] - 2e-4 < late(0.0, 0.0) / as_if <= TOGETHER[1]


@pytest.mark.parametrize("d", [1, 2, 3])
def test_the_factors_are_means_of_the_last_time_at_which_an_interval_is_left(d):
    """Of simulated walks of small steps: E max / E of d times from the middle."""
    rng = np.random.default_rng(d)
    half, walks = 20, 4000
    place, time, last = np.zeros((walks, d)), 0, np.zeros(walks)
    on = np.ones((walks, d), bool)
    while on.any():
        place += np.where(on, rng.choice([-1, 1], (walks, d)), 0)
        time += 1
        on &= np.abs(place) < half
        last[on.any(axis=1)] = time
    assert last.mean() / half**2 == pytest.approx(TOGETHER[d - 1], rel=0.04)


def interpolation_quotient(X: np.ndarray, w: np.ndarray, corner: np.ndarray, side: float) -> float:
    """Return the error of interpolating J in a cube over what bounds it, moments being exact there."""
    d = X.shape[1]
    t = np.stack(np.meshgrid(*[np.linspace(0, 1, 9)] * d, indexing="ij"), axis=-1).reshape(-1, d)
    k, y, J = moments(X, w, corner + t * side)
    interpolated = np.zeros_like(J)
    for ends in itertools.product((0.0, 1.0), repeat=d):
        weight = np.where(np.array(ends) > 0, t, 1.0 - t).prod(axis=1)
        interpolated += weight[:, None, None] * moments(X, w, corner[None] + np.array(ends) * side)[2]
    error = np.abs(np.linalg.eigvalsh(interpolated - J)).max()
    m4 = (k * np.square(y).sum(axis=2) ** 2).sum(axis=1).max()
    trace, norm = np.trace(J, axis1=1, axis2=2).max(), np.linalg.eigvalsh(J)[:, -1].max()
    return error / (1e-12 + TOGETHER[d - 1] * side**2 / 8 * max(m4, (trace + 2 * norm) * norm))


@pytest.mark.parametrize("d", [1, 2, 3])
def test_interpolation_between_nodes_is_off_by_no_more_than_the_lemma_says(d):
    quotients = []
    for seed in range(150):
        rng = np.random.default_rng(seed)
        X, w = few(seed, d, 0.5)
        quotients.append(interpolation_quotient(X, w, rng.normal(size=d), rng.choice([0.1, 0.5, 1.0])))
    assert max(quotients) <= 1.0
    assert max(quotients) > 0.3  # two points, between which J bends most


# ---- eighth moments and cumulants ----------------------------------------------------------------------------------


def cumulant(k: np.ndarray, a: np.ndarray, v: np.ndarray, powers: tuple[int, int]) -> float:
    """Mixed cumulant of a and v under weights k, from the power series of log E exp(s a + t v)."""
    p, q = powers
    f = [float(n) for n in np.cumprod([1, 1, 2, 3, 4, 5, 6, 7, 8])]
    series = np.array([[(k * a**i * v**j).sum() / (f[i] * f[j]) for j in range(q + 1)] for i in range(p + 1)])
    series[0, 0] = 0.0
    log, power = np.zeros_like(series), np.zeros_like(series)
    power[0, 0] = 1.0
    for n in range(1, p + q + 1):
        new = np.zeros_like(power)
        for i, j in np.ndindex(series.shape):
            new[i:, j:] += series[i, j] * power[: p + 1 - i, : q + 1 - j]
        power = new
        log -= (-1) ** n / n * power
    return log[p, q] * f[p] * f[q]


def test_cumulants_of_known_distributions():
    half = np.array([0.5, 0.5])
    sign = np.array([-1.0, 1.0])
    assert cumulant(half, sign, sign, (8, 0)) == pytest.approx(-272.0)  # of log cosh
    assert cumulant(half, sign, sign, (6, 2)) == pytest.approx(-272.0)
    rare = np.array([1e-6, 1 - 1e-6])
    y = np.array([1.0, 0.0]) - 1e-6
    assert cumulant(rare, y, y, (6, 2)) == pytest.approx(1e-6, rel=1e-3)


@pytest.mark.parametrize("powers", [(8, 0), (6, 2), (4, 4)])
def test_eighth_cumulants_are_no_larger_than_what_bounds_them(powers):
    """Of the moments themselves, with derivatives along an axis and a direction of the quadratic form."""
    quotients = []
    for seed in range(400):
        rng = np.random.default_rng(seed)
        X, w = few(seed, 2, 0.5)
        k, y, J = (one[0] for one in moments(X, w, rng.normal(size=(1, 2))))
        v = rng.normal(size=2)
        found = cumulant(k, y[:, 0], y @ v / np.linalg.norm(v), powers)
        size2 = np.square(y).sum(axis=1)
        bound = _eighth_cumulant(k @ size2**2, k @ size2**4, np.linalg.eigvalsh(J)[-1])
        quotients.append(abs(found) / (1e-12 + bound))  # points may coincide
    assert max(quotients) <= 1.0
    assert max(quotients) > 0.1


def test_central_eighth_moments_are_no_larger_than_what_bounds_them():
    for seed in range(200):
        rng = np.random.default_rng(seed)
        X, w = few(seed, 2, 0.5)
        x = rng.normal(size=(1, 2))
        k, y, _ = (one[0] for one in moments(X, w, x))
        d2 = np.square(X - x).sum(axis=1)
        s = float(np.linalg.norm(k @ (X - x)))
        r2, r4, r8 = (float(k @ d2 ** (p / 2)) for p in (2, 4, 8))
        size2 = np.square(y).sum(axis=1)
        assert k @ size2**4 <= _eighth_moment(r2, r4, r8, s) * (1 + 1e-12)
        assert k @ size2**2 <= (r4 + 4 * s * np.sqrt(r2 * r4) + 6 * s * s * r2) * (1 + 1e-12)


# ---- whole tables --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("d", [1, 2, 3])
@pytest.mark.parametrize("seed", SEEDS)
def test_few_points_at_the_worst_places_keep_all_bounds(seed, d):
    spacing = {1: 1 / 16, 2: 1 / 7, 3: 1 / 6}[d]
    X, w = few(seed, d, spacing)
    X = np.clip(X, -2.0, 2.0) if d == 3 else X
    field = tabulated(X, 1.0, spacing, w, origin=X.min(axis=0))
    bounds = cell_bounds(field, float(w.min()))
    rng = np.random.default_rng(seed)
    Q = X[rng.integers(0, len(X), 1500)] + rng.normal(size=(1500, d)) * 0.6
    u = (np.clip(Q, X.min(axis=0), X.max(axis=0)) - field.nodes.corner) / field.nodes.delta
    u = np.where(rng.random(u.shape) < 0.3, np.floor(u) + rng.choice([0.0, 0.5 - 1e-9], u.shape), u)
    Q = field.nodes.corner + u * field.nodes.delta
    cell = field.nodes.nearest(Q)
    density, step, jacobian = exact_sums(X, w, Q, 1.0)
    known = bounds.known[cell] & np.isfinite(bounds.near[cell, 2])
    assert known.any()
    assert (density <= bounds.high[cell] * (1 + 1e-12)).all()
    assert (bounds.low[cell] <= density * (1 + 1e-12)).all()
    least, largest, somewhere = bend(field, bounds, Q[known], 0.0)
    values = np.linalg.eigvalsh(jacobian[known]) - 1.0
    assert (least <= values[:, 0] + 1e-12).all()
    assert (values[:, -1] <= largest + 1e-12).all()
    assert (somewhere <= values[:, -1] + 1e-12).all()
    ends, _ = field.climb(Q[known], tol=0.0, max_iter=1)
    error = np.sqrt(np.square(ends - Q[known] - step[known]).sum(axis=1))
    assert (error <= bounds.near[cell[known], 4]).all()


@pytest.mark.parametrize("d", [1, 2])
@pytest.mark.parametrize("heavy", [0.0, 20.0])
def test_sums_over_cells_count_what_is_far_away_too(d, heavy):
    """Points 9 to 12 bandwidths off, with weights that would be seen if they were left out."""
    X = np.zeros((3, d))
    X[1:, 0] = 9.3, 11.7
    w = np.array([1.0, 2.0**heavy, 2.0**heavy])
    field = tabulated(X, 1.0, 1 / 8, w)
    sums, coarse = coarse_sums(field, 1.0)
    rng = np.random.default_rng(0)
    inner = np.indices(field.nodes.masses.shape).reshape(d, -1).T
    inside = ((inner >= MARGIN) & (inner < np.array(field.nodes.masses.shape) - MARGIN)).all(axis=1)
    at = rng.choice(np.flatnonzero(inside), 2000)
    Q = field.nodes.positions(at) + rng.uniform(-0.5, 0.5, (2000, d)) * field.nodes.delta
    r = np.sqrt(np.square(X - Q[:, None]).sum(axis=2))
    for row, power in enumerate((0, 2, 4, 8)):
        assert ((w * r**power * np.exp(-0.5 * r * r)).sum(axis=1) <= sums[row, coarse[at]]).all()


@pytest.mark.parametrize("degree", [2, 3])
@pytest.mark.parametrize("block", [1, 2, 3])
def test_covers_hold_between_the_parts_they_were_made_for(degree, block):
    """Of a narrow peak at any distance, by a point anywhere: its shares times the cover are no less."""
    from modeseek.fields.errors import deposit_weights

    side, rng = 1 / 7, np.random.default_rng(block)
    cover = BlockCover(side, block, degree, 10.0)
    wide = block * side
    for place in (0.0, 0.7, 2.13):
        peak = cover.of(lambda near, far, at=place: np.where((near <= at) & (at <= far), 1.0, 0.0))
        peak += cover.of(lambda near, far: np.exp(-0.5 * near * near))
        middle = len(peak) // 2
        for u in rng.uniform(-0.5, block - 0.5, 300):
            first = int(np.floor(u + 0.5 * (degree == 2)))
            held = 0.0
            for j, weight in deposit_weights(u - first, degree).items():
                t = (first + j - 0.5 * (block - 1)) / block
                below = int(np.floor(t))
                held += weight * ((1 - t + below) * peak[middle + below] + (t - below) * peak[middle + below + 1])
            distance = abs(u - 0.5 * (block - 1)) * side
            near = max(distance - 0.5 * wide, 0.0)
            most = (near <= place <= distance + 0.5 * wide) + np.exp(-0.5 * near * near)
            assert held >= most * (1 - 1e-12)
