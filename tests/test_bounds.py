"""Bounds over cells: exact density, step and Jacobian keep within them everywhere; controls do not."""

import itertools
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from modeseek.fields.bounds import bend, cell_bounds, inner_nodes, neighbours
from modeseek.fields.covers import block_kernels
from modeseek.fields.errors import deposit_weights
from modeseek.fields.nodes import MARGIN
from modeseek.fields.table import TableField
from tests.naive import exact_sums, lattice, mixture, naive_deposit, table_sums, tabulated, uniform

ROUNDING = 1e-12


def weighted(n: int, d: int) -> tuple[np.ndarray, float, np.ndarray]:
    """A mixture with weights over six decades."""
    X, h = mixture(n, d)
    return X.astype(float), h, 10.0 ** np.random.default_rng(1).uniform(-6, 0, n)


def weighted_cube(n: int) -> tuple[np.ndarray, float, np.ndarray]:
    """A cube of noise with weights over three decades."""
    rng = np.random.default_rng(4)
    return rng.uniform(size=(n, 3)) * 3, 1.0, 10.0 ** rng.uniform(-3, 0, n)


def duplicated(d: int) -> tuple[np.ndarray, float, np.ndarray]:
    """Few places with many points each, some a little apart."""
    X = np.random.default_rng(3).integers(0, 4, (60, d)) * 1.3
    X[:20] += 1e-7
    return X, 1.0, np.ones(60)


def ones(X: np.ndarray, h: float) -> tuple[np.ndarray, float, np.ndarray]:
    return X.astype(float), h, np.ones(len(X))


DATA = {
    "mixture, 1-D": (lambda: ones(*mixture(300, 1)), 1 / 16),
    "noise, 1-D": (lambda: ones(*uniform(150, 1)), 1 / 16),
    "weights, 1-D": (lambda: weighted(300, 1), 1 / 16),
    "one place, 1-D": (lambda: (np.ones((9, 1)), 1.0, 10.0 ** np.linspace(-6, 0, 9)), 1 / 64),
    "mixture, 2-D": (lambda: ones(*mixture(300, 2)), 1 / 8),
    "noise, 2-D": (lambda: ones(*uniform(400, 2)), 1 / 8),
    "noise, 2-D, finer": (lambda: ones(*uniform(100, 2)), 1 / 20),
    "lattice, 2-D": (lambda: ones(*lattice(500)), 1 / 8),
    "duplicated, 2-D": (lambda: duplicated(2), 1 / 8),
    "weights, 2-D": (lambda: weighted(300, 2), 1 / 8),
    "two points, 2-D": (lambda: ones(np.array([[0.0, 0.0], [2.6, 1.1]]), 1.0), 1 / 8),
    "noise, 3-D": (lambda: ones(np.random.default_rng(0).uniform(size=(60, 3)) * 3, 1.0), 1 / 8),
    "duplicated, 3-D": (lambda: duplicated(3), 1 / 6),
    "weights, 3-D": (lambda: weighted_cube(60), 1 / 8),
}


@cache
def case(name: str):
    """Points, weights, bandwidth, table, bounds."""
    data, spacing = DATA[name]
    X, h, w = data()
    field = tabulated(X, h, spacing, w)
    return X, w, h, field, cell_bounds(field, float(w.min()))


@cache
def places(name: str, count: int = 3000) -> tuple[np.ndarray, ...]:
    """Random places (half of them on edges or corners of cells), their cells, and the exact sums there."""
    X, w, h, field, _ = case(name)
    rng = np.random.default_rng(0)
    nodes, d = field.nodes, X.shape[1]
    near = X[rng.integers(0, len(X), count)] + rng.normal(size=(count, d)) * 0.7 * h
    Q = np.clip(near, X.min(axis=0), X.max(axis=0))
    u = (Q - nodes.corner) / nodes.delta
    edge = np.floor(u + 0.5) + rng.choice([-0.5, 0.5], (count, d)) * (1.0 - 1e-9)
    on_edges = rng.random((count, d)) < rng.choice([0.0, 0.5, 1.0], (count, 1), p=[0.5, 0.25, 0.25])
    Q = np.where(on_edges, nodes.corner + edge * nodes.delta, Q)
    return (Q, nodes.nearest(Q), *exact_sums(X, w, Q, h))


def excess_of_density(name: str, bounds) -> float:
    """By what factor exact density leaves [low, high] at most."""
    _, cell, density, _, _ = places(name)
    known = bounds.known[cell]
    return max((density / bounds.high[cell]).max(), (bounds.low[cell][known] / density[known]).max(initial=0.0))


def excess_of_step(name: str, bounds) -> np.ndarray:
    """Error of the table's step over its bound."""
    Q, cell, _, step, _ = places(name)
    field = case(name)[3]
    known = bounds.known[cell]
    density, moments = table_sums(field, Q[known])
    error = np.sqrt(np.square(moments / density[:, None] - step[known]).sum(axis=1))
    return error / bounds.near[cell[known], 4]


def excess_of_bend(name: str, bounds, radius: float) -> float:
    """By how much an eigenvalue of J - I anywhere in balls leaves what `bend` says of them."""
    X, w, h, field, _ = case(name)
    Q, cell, *_ = places(name)
    known = bounds.known[cell] & np.isfinite(bounds.near[cell, 2])
    Q = Q[known][:1500]
    least, largest, somewhere = bend(field, bounds, Q, radius)
    rng = np.random.default_rng(1)
    away = rng.normal(size=Q.shape)
    away *= radius * field.nodes.delta / np.sqrt(np.square(away).sum(axis=1, keepdims=True))
    eigenvalues = np.linalg.eigvalsh(exact_sums(X, w, Q + away, h)[2]) - 1.0
    low, high = eigenvalues[:, 0], eigenvalues[:, -1]
    return max((least - low).max(), (high - largest).max(), (somewhere - high).max())


@pytest.mark.parametrize("name", DATA)
def test_exact_density_lies_between_low_and_high(name):
    bounds = case(name)[4]
    assert excess_of_density(name, bounds) <= 1.0 + ROUNDING
    cell, known = places(name)[1], bounds.known
    assert known[cell].mean() > 0.4  # else this proves little
    tight = bounds.high[cell][known[cell]] / bounds.low[cell][known[cell]]
    assert np.median(tight) < 2.0


@pytest.mark.parametrize("name", DATA)
def test_steps_are_no_further_off_than_their_bound(name):
    assert excess_of_step(name, case(name)[4]).max() <= 1.0


@pytest.mark.parametrize("name", DATA)
@pytest.mark.parametrize("radius", [0.0, 0.3, 1.0])
def test_eigenvalues_of_the_exact_jacobian_lie_where_bend_says(name, radius):
    assert excess_of_bend(name, case(name)[4], radius) <= ROUNDING


@pytest.mark.parametrize("name", DATA)
def test_no_stationary_point_and_no_mode_is_excluded(name):
    X, w, h, field, bounds = case(name)
    d = X.shape[1]
    found = newton(X, w, h, places(name)[0][:300])
    assert len(found)
    cell = field.nodes.nearest(found)
    inside = inner_nodes(field.nodes.masses.shape, MARGIN)[cell]  # the hull of the points
    jacobian = exact_sums(X, w, found, h)[2]
    assert bounds.stationary[cell[inside]].all()
    highest = np.linalg.eigvalsh(jacobian)[:, -1] - 1.0
    modes = inside & (highest < 0.0)
    assert modes.any()
    assert bounds.maxima[cell[modes]].all()
    # and yet much is excluded
    excluded = ~(bounds.stationary & bounds.maxima)[bounds.known]
    assert excluded.mean() > (0.4 if d < 3 else 0.2)


def newton(X, w, h, starts):
    """Stationary points of the exact density, of any kind, that Newton's method finds."""
    x = starts.copy()
    for _ in range(60):
        _, step, jacobian = exact_sums(X, w, x, h)
        singular = np.abs(np.linalg.det(np.eye(X.shape[1]) - jacobian)) < 1e-8
        jacobian[singular] = 0.0
        move = np.linalg.solve(np.eye(X.shape[1]) - jacobian, step[..., None])[..., 0]
        length = np.sqrt(np.square(move).sum(axis=1, keepdims=True))
        x = x + h * move * np.minimum(1.0, 0.3 / np.maximum(length, 1e-300))
        x = np.clip(x, X.min(axis=0), X.max(axis=0))
    _, step, _ = exact_sums(X, w, x, h)
    return x[np.square(step).sum(axis=1) < 1e-20]


def test_what_is_not_known_is_said_to_be_possible():
    for name in ("weights, 2-D", "noise, 2-D", "weights, 3-D"):
        _, _, _, _, bounds = case(name)
        unknown = ~bounds.known
        assert unknown.any()
        assert (bounds.stationary & bounds.maxima)[unknown].all()
        assert (bounds.low[unknown] == 0.0).all()
        assert np.isinf(bounds.near[unknown, 4]).all()


def test_threads_change_no_bit():
    X, h = uniform(3000, 2)
    field = tabulated(X, h, 1 / 8)
    one = cell_bounds(field, 1.0, 1)
    assert field.nodes.masses.size > 1 << 13
    for n_jobs in (2, 7):
        other = cell_bounds(field, 1.0, n_jobs)
        for name in ("known", "low", "high", "near", "maxima", "stationary"):
            np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


# ---- controls: what is wrong is seen ------------------------------------------------------------------------------


CONTROLLED = "noise, 2-D"


def test_control_the_plain_step_is_caught(monkeypatch):
    """x <- m'(x), without the factor h^2 / h'^2."""
    _, _, _, field, bounds = case(CONTROLLED)
    monkeypatch.setattr(field, "factor", 1.0)
    assert excess_of_step(CONTROLLED, bounds).max() > 1.0


@pytest.mark.parametrize("name", ["mixture, 1-D", "noise, 1-D", "noise, 2-D, finer", "two points, 2-D"])
def test_control_cells_cut_towards_zero_are_caught(name, monkeypatch):
    X, _, h, field, _ = case(name)
    nodes = field.nodes
    made = {}
    for cut in (np.floor, np.trunc):
        masses = naive_deposit(X, nodes.box.lower, nodes.box.shape, nodes.origin, nodes.delta, 3, cut)
        wrong = replace(nodes, masses=np.rint(masses * nodes.units_per_weight).astype(np.int64))
        table = TableField(wrong, h, field.kernel_bandwidth, reach=field.reach)
        monkeypatch.setattr(field, "_table", table.table)
        made[cut] = excess_of_step(name, cell_bounds(table, 1.0)).max()
        monkeypatch.undo()
    assert made[np.floor] <= 1.0 < made[np.trunc]


def test_control_a_wrong_kernel_is_caught(monkeypatch):
    """h instead of h': the variance of the splines is counted twice."""
    _, _, h, field, bounds = case(CONTROLLED)
    wrong = TableField(field.nodes, h, h, reach=field.reach)
    monkeypatch.setattr(field, "_table", wrong.table)
    assert excess_of_step(CONTROLLED, bounds).max() > 1.0


def test_control_bounds_that_are_much_too_small_are_caught():
    bounds = case(CONTROLLED)[4]
    near = bounds.near.copy()
    near[:, 2:5] /= 100.0
    small = replace(bounds, near=near)
    assert excess_of_step(CONTROLLED, small).max() > 1.0
    assert excess_of_bend(CONTROLLED, small, 1.0) > ROUNDING
    middle = np.sqrt(bounds.low * bounds.high)
    closer = replace(bounds, low=np.sqrt(bounds.low * middle), high=np.sqrt(bounds.high * middle))
    assert excess_of_density(CONTROLLED, closer) > 1.0 + ROUNDING


# ---- parts --------------------------------------------------------------------------------------------------------


def test_neighbours_and_inner_nodes():
    shape = (7, 8, 9)
    grid = np.arange(np.prod(shape)).reshape(shape)
    np.testing.assert_array_equal(grid[2:5, 3:6, 4:7].reshape(-1) - grid[3, 4, 5], neighbours(shape))
    inner = inner_nodes(shape, 2).reshape(shape)
    for place in np.ndindex(shape):
        assert inner[place] == all(2 <= p < n - 2 for p, n in zip(place, shape, strict=True))


@pytest.mark.parametrize("d", [1, 2, 3])
def test_stencils_read_values_and_slopes_at_a_node(d):
    """Of the spline whose coefficients are those of sum x_a: it is the function itself."""
    from modeseek.engines.cpu.bounds import _at_nodes

    shape = (7,) * d
    index = np.indices(shape).reshape(d, -1)
    slopes = np.arange(1.0, d + 1)
    table = np.stack([np.full(index.shape[1], np.nan), 5.0 + slopes @ index], axis=-1).reshape(-1)  # two channels
    steps = np.array([7 ** (d - 1 - axis) for axis in range(d)])
    start, stop = int(steps.sum()), 7**d - int(steps.sum())
    inside = inner_nodes(shape, 1)[start:stop]
    for derivative in range(-1, d):
        out, scratch = np.empty((2, 7**d))
        _at_nodes(table, 2, 1, derivative, steps, start, stop, out, scratch)
        expected = (5.0 + slopes @ index)[start:stop] if derivative < 0 else slopes[derivative]
        np.testing.assert_allclose(
            out[: stop - start][inside], np.broadcast_to(expected, inside.shape)[inside], atol=1e-12
        )


def hat(node: int, block: int) -> list[tuple[int, float]]:
    """The blocks that a node is shared to, linearly by the distances of their middles, and how much each gets."""
    place = (node - (block - 1) / 2) / block
    below = int(np.floor(place))
    return [(below, 1.0 - (place - below)), (below + 1, place - below)]


@pytest.mark.parametrize("degree", [2, 3])
@pytest.mark.parametrize(("d", "block"), [(1, 1), (1, 2), (1, 3), (1, 4), (1, 9), (2, 2), (3, 2)])
def test_block_kernels_add_up_to_the_most_that_a_point_can_do(d, block, degree):
    side, reach = 1 / 8, 6.5
    width = float(np.sqrt(1.0 - (degree + 1) * side**2 / 12))
    kernels = block_kernels(side, block, d, degree, width, reach, 0.0)
    middle = kernels.shape[1] // 2
    rng = np.random.default_rng(0)
    tightest = np.full(4, np.inf)
    for _ in range(1000):
        # a place in the coarse cell around 0, whose nodes are 0 .. block - 1; a point with mass on nodes, and on blocks
        x = rng.uniform(-0.5, block - 0.5, d)
        u = x + rng.normal(size=d) * rng.uniform(0.0, 3.0) / side
        first = np.floor(u + 0.5 * (degree == 2)).astype(int)
        mass = np.zeros(kernels.shape[1:])
        weights = [deposit_weights(v, degree) for v in u - first]
        for nodes in itertools.product(*weights):
            share = np.prod([w[j] for w, j in zip(weights, nodes, strict=True)])
            for shares in itertools.product(*(hat(v, block) for v in first + nodes)):
                at, parts = zip(*shares, strict=True)
                mass[tuple(np.array(at) + middle)] += share * np.prod(parts)
        distance2 = side**2 * np.square(u - x).sum()
        did = distance2 ** (np.array([0, 2, 4, 8]) / 2) * np.exp(-0.5 * distance2)
        most = (kernels[:4] * mass).reshape(4, -1).sum(axis=1)
        assert (did <= most).all()
        tightest = np.minimum(tightest, most / np.maximum(did, 1e-3))
    assert (tightest < 1.0 + 0.4 * d * block / 2).all()
    np.testing.assert_allclose(kernels, kernels[(slice(None), *[slice(None, None, -1)] * d)], rtol=1e-12)
