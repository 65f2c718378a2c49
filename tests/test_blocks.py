"""The blocks field against the textbook: steps, pruning, error bounds, traps, labels; and controls that must fail."""

import tracemalloc
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import modeseek as ms
from modeseek.climb import ModeFinder
from modeseek.costs import choose_field
from modeseek.engines.threads import single_threaded_blas
from modeseek.fields import REACH
from modeseek.fields.block_sums import WIDEST
from modeseek.fields.blocks import LARGEST_ERROR, BlocksField
from modeseek.fields.compact import LEAF, compact_groups, without
from modeseek.fields.dense import DenseField
from modeseek.fields.traps import CONTRACTION, trap_radius
from tests.examples import examples
from tests.naive import exact_labels, mixture, uniform, wide_mixture
from tests.test_fields import naive_step

CASES = [(1, mixture), (2, mixture), (3, mixture), (5, mixture), (16, wide_mixture), (64, wide_mixture)]
CLIMBING = {"tol": 1e-3, "max_iter": 300}


def data(d, make=mixture, n=1500, seed=0):
    X, h = make(n, d, seed)
    return X.astype(float), h


def labels(X, h, starts=None, w=(), **climbing):
    """Modes and the mode of each start, by the blocks field."""
    field = BlocksField(X, w, h)
    finder = ModeFinder(field, field, **(CLIMBING | climbing))
    return finder.find(X if starts is None else starts), finder.positions, field


def same(index, modes, exact, exact_modes, h):
    distance = np.linalg.norm(exact_modes[:, None] - modes[None], axis=2)
    assert distance.min(axis=1).max() < 1e-5 * h
    np.testing.assert_array_equal(distance.argmin(axis=1)[exact], index)


# ---- one step ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("d", "make"), CASES)
@pytest.mark.parametrize("weighted", [False, True])
def test_a_step_is_the_textbooks(d, make, weighted):
    X, h = data(d, make)
    X += 1000.0
    w = np.random.default_rng(0).uniform(0.1, 2, len(X)) if weighted else None
    Q = X[:200] + np.random.default_rng(1).normal(size=(200, d)) * 0.3 * h
    means, density = naive_step(X, Q, h, w)
    m, f = BlocksField(X, [] if w is None else w, h).shift(Q)
    np.testing.assert_allclose(m, means, atol=1e-10 * h)
    np.testing.assert_allclose(f, density, rtol=1e-10)


@pytest.mark.parametrize("far", [5.0, 40.0, 1e4])
def test_steps_are_right_however_far_the_query_is(far):
    X, h = data(5)
    Q = np.full((3, 5), far * h) * np.array([[1.0], [-1.0], [0.5]])
    squares = ((Q[:, None] - X[None]) ** 2).sum(axis=2)
    g = np.exp(-0.5 * (squares - squares.min(axis=1, keepdims=True)) / h**2)
    np.testing.assert_allclose(BlocksField(X, [], h).shift(Q)[0], g @ X / g.sum(axis=1, keepdims=True), rtol=1e-7)


def test_pruning_drops_most_pairs_and_nothing_that_matters():
    rng = np.random.default_rng(0)
    centres = rng.uniform(-1000, 1000, (20, 6))
    X = centres[rng.integers(0, 20, 4000)] + rng.normal(size=(4000, 6))
    field = BlocksField(X, [], 1.0)
    means, density = naive_step(X, X[:300], 1.0)
    m, f = field.shift(X)
    np.testing.assert_allclose(m[:300], means, atol=1e-11)
    np.testing.assert_allclose(f[:300], density, rtol=1e-12)
    assert field.n_pairs < 0.2 * len(X) ** 2


def test_control_too_short_a_reach_is_caught(monkeypatch):
    monkeypatch.setattr("modeseek.fields.block_sums.REACH", 1.0)
    X, h = data(3, n=4000)
    means, _ = naive_step(X, X[:200], h)
    assert np.abs(BlocksField(X, [], h).shift(X[:200])[0] - means).max() > 1e-6 * h


@pytest.mark.parametrize(("d", "make"), CASES)
def test_newton_steps_are_those_of_the_dense_field(d, make):
    X, h = data(d, make, 800)
    dense = DenseField(X, [], h)
    near = dense.climb(X[:20], tol=1e-2, max_iter=200)[0]
    a, concave_a = BlocksField(X, [], h).newton(near)
    b, concave_b = dense.newton(near)
    np.testing.assert_allclose(a, b, atol=1e-9 * h)
    np.testing.assert_array_equal(concave_a, concave_b)


# ---- the bound that float32 climbs carry ------------------------------------------------------------------


@pytest.mark.parametrize(("d", "make"), CASES)
@pytest.mark.parametrize("scale", [0.5, 1.0, 2.0])
def test_float32_paths_stay_within_their_bound(d, make, scale):
    X, h = data(d, make)
    field = BlocksField(X, [], h * scale)
    x = exact = field.points[:512]
    error, tiles = np.zeros(512), np.arange(0, 513, 128)
    worst = 0.0
    for _ in range(4):
        sums = field._step(x, tiles, np.float32, 1)
        error = field._error(x, sums, error)
        x, exact = sums[:, 4:], field._step(exact, tiles, np.float64, 1)[:, 4:]
        bounded = error <= LARGEST_ERROR
        if not bounded.any():
            break
        off = np.linalg.norm(x - exact, axis=1)[bounded]
        assert (off <= error[bounded]).all()
        worst = max(worst, off.max())
    assert worst > 0.0  # there is something to bound


def test_control_growth_left_out_is_caught():
    """Without the growth of what is already wrong, the bound fails where paths part."""
    X = np.concatenate([np.full((50, 1), -2.0), np.full((50, 1), 2.0)])
    field = BlocksField(X, [], 1.0)
    x, exact = np.array([[1e-4]]), np.array([[2e-4]])  # off by 1e-4 beside the saddle
    error, tiles = np.array([1e-4]), np.array([0, 1])
    sums = field._step(x, tiles, np.float32, 1)
    off = abs(sums[0, 4] - field._step(exact, tiles, np.float64, 1)[0, 4])
    assert off <= field._error(x, sums, error)[0]
    assert off > error[0] + field._error(x, sums, np.zeros(1))[0]


# ---- traps ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("d", "make"), CASES)
def test_every_step_from_a_trap_leads_closer_to_its_mode(d, make):
    X, h = data(d, make)
    _, _, field = labels(X, h)
    rng = np.random.default_rng(0)
    caught = 0
    for z, radius in zip(field.traps.centres[:8], field.traps.radii[:8], strict=True):
        if radius == 0.0:
            continue
        u = rng.normal(size=(200, d))
        u *= radius / np.linalg.norm(u, axis=1)[:, None] * rng.uniform(0.2, 1.0, (200, 1))
        m = field.shift((z + u) * h + field.centre)[0]
        shrunk = np.linalg.norm((m - field.centre) / h - z, axis=1) / np.linalg.norm(u, axis=1)
        assert shrunk.max() <= CONTRACTION + 1e-6
        caught += 1
    assert caught


def radius_about(offsets, outside=0.0):
    """The trap around a mode at the origin, of points of weight 1."""
    return trap_radius(offsets, np.ones(len(offsets)), np.arange(len(offsets)), np.zeros(offsets.shape[1]), outside)


def test_a_trap_never_reaches_another_mode():
    """Two equal heaps: a mode at each while they are more than 2 h apart, and the saddle in between is no mode."""
    for half in (1.05, 1.2, 2.0, 4.0):
        X = np.array([[-half], [half]])
        z = ms.textbook.climb(X, X[1:], 1.0)[0]
        offsets = X - z
        radius = radius_about(offsets)
        assert 0.0 <= radius < z[0]
    assert radius > 0.5
    merged = np.array([[-0.5], [0.5]])
    assert radius_about(merged) > 0.3


def test_a_saddle_is_no_trap_and_unseen_weight_shrinks_one():
    X = np.array([[-2.0], [2.0]])
    assert radius_about(X) == 0.0
    alone = np.zeros((1, 1))
    assert radius_about(alone) > radius_about(alone, 1e6) > 0.0


@pytest.mark.parametrize("d", [2, 40])  # more and fewer columns than points
def test_a_trap_is_the_same_however_few_rows_are_gathered_at_once(d, monkeypatch):
    X = np.random.default_rng(0).normal(size=(30, d)) * 0.3 / np.sqrt(d)
    X -= X.mean(axis=0)
    X = np.vstack([X, np.full(d, 1e4)])  # of weight 0, however it grows
    whole = radius_about(X)
    monkeypatch.setattr("modeseek.fields.traps.ROWS_AT_ONCE", 1)
    assert radius_about(X) == pytest.approx(whole, rel=1e-5)
    assert whole > 1.0


# ---- labels -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("d", "make"), CASES)
@pytest.mark.parametrize("scale", [0.7, 1.0, 1.5])
def test_labels_are_those_of_exact_mean_shift(d, make, scale):
    X, h = data(d, make, 900)
    h *= scale
    index, modes, _ = labels(X, h)
    exact, exact_modes = exact_labels(X, X[::9], h)
    same(index[::9], modes, exact, exact_modes, h)


def test_noise_without_clusters():
    X, h = uniform(1500, 3)
    index, modes, _ = labels(X, h)
    exact, exact_modes = exact_labels(X, X[::15], h)
    same(index[::15], modes, exact, exact_modes, h)


@examples(10)
@given(seed=st.integers(0, 2**31), d=st.integers(1, 9))
@example(seed=946, d=8)  # climbs that creep along a ridge are cut short one behind another
def test_permutation_translation_and_scaling_change_no_label(seed, d):
    X, h = data(d, n=700, seed=seed)
    order = np.random.default_rng(seed).permutation(len(X))
    index, modes, _ = labels(X, h)
    other, moved, _ = labels(X[order] * 8.0 - 512.0, 8.0 * h)
    same(other, (moved + 512.0) / 8.0, index[order], modes, h)


@pytest.mark.parametrize(("d", "make"), CASES)
def test_weight_is_replication(d, make):
    X, h = data(d, make, 700)
    copies = np.random.default_rng(5).integers(0, 4, len(X))
    index, modes, _ = labels(X, h, w=copies)
    again, others, _ = labels(np.repeat(X, copies, axis=0), h, starts=X)
    same(index, modes, again, others, h)


@pytest.mark.parametrize(("d", "make"), CASES)
def test_the_same_bits_for_any_number_of_threads(d, make):
    X, h = data(d, make)
    one = BlocksField(X, [], h).climb(X, **CLIMBING, n_jobs=1)
    for n_jobs in (2, 7):
        many = BlocksField(X, [], h).climb(X, **CLIMBING, n_jobs=n_jobs)
        np.testing.assert_array_equal(one[0], many[0])
        np.testing.assert_array_equal(one[1], many[1])


def test_a_single_untrapped_step_is_a_step():
    """`MeanShift.path` asks for one step with tol=0, also where traps are known."""
    X, h = data(4)
    _, _, field = labels(X, h)
    assert len(field.traps)
    ends, steps = field.climb(X[:50], tol=0.0, max_iter=1)
    np.testing.assert_allclose(ends, naive_step(X, X[:50], h)[0], atol=1e-10 * h)
    assert (np.abs(steps) == 1).all()


def test_far_offset_duplicates_and_constant_columns():
    X, h = data(4, n=800)
    index, modes, _ = labels(X, h)
    far, there, _ = labels(X + 2.0**27, h)
    same(far, there - 2.0**27, index, modes, 10 * h)
    twice, doubled, _ = labels(np.repeat(X, 3, axis=0), h)
    same(twice[::3], doubled, index, modes, h)
    flat, wide, _ = labels(np.c_[X, np.full((len(X), 3), -7.0)], h)
    same(flat, wide[:, :4], index, modes, h)


@pytest.mark.parametrize("n", [1, 2, 127, 128, 129])
def test_few_points_and_equal_points(n):
    X = np.full((n, 5), 3.0)
    index, modes, field = labels(X, 0.5)
    np.testing.assert_array_equal(index, 0)
    np.testing.assert_allclose(modes, X[:1])
    assert field.climb(X[:0], **CLIMBING)[0].shape == (0, 5)
    assert field.shift(X[:0])[0].shape == (0, 5)


def test_clusters_far_apart_and_queries_far_outside():
    rng = np.random.default_rng(0)
    heaps = np.repeat(np.array([[0.0], [1e6], [-3e7], [5.0e8]]), 200, axis=0) + rng.normal(size=(800, 6))
    index, modes, _ = labels(heaps, 2.0)
    assert len(modes) == 4
    np.testing.assert_array_equal(index, np.repeat(np.arange(4), 200) if index[0] == 0 else index)
    assert all(len(set(index[i : i + 200])) == 1 for i in range(0, 800, 200))
    Q = np.array([[1e6 + 40.0] * 6, [-9e7] * 6, [4e5] * 6, [60.0] * 6])
    out, modes, _ = labels(heaps, 2.0, starts=np.concatenate([heaps, Q]))
    np.testing.assert_array_equal(out[800:], [out[200], out[400], out[0], out[0]])


def test_every_point_its_own_mode():
    X, _ = data(6, n=300)
    index, modes, _ = labels(X, 1e-4)
    assert len(modes) == len(np.unique(X, axis=0)) == len(set(index.tolist()))


def test_a_climb_cut_short_says_so():
    X, h = uniform(800, 3)
    _, steps = BlocksField(X, [], h).climb(X, tol=1e-3, max_iter=2)
    assert (steps < 0).any()
    assert np.abs(steps).max() <= 2


# ---- groups and the choice --------------------------------------------------------------------------------


@examples(30)
@given(n=st.integers(1, 1000), d=st.integers(1, 5), seed=st.integers(0, 2**31), spread=st.sampled_from([1.0, 1e4]))
def test_groups_are_small_compact_and_hold_every_row_once(n, d, seed, spread):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, d)) * spread
    order, starts = compact_groups(x, WIDEST)
    np.testing.assert_array_equal(np.sort(order), np.arange(n))
    sizes = np.diff(starts)
    assert sizes.sum() == n
    assert sizes.min() >= 1
    assert sizes.max() <= LEAF
    assert all(np.ptp(x[order[a:b]], axis=0).max() <= WIDEST for a, b in pairwise(starts))
    kept = rng.random(n) < 0.3
    left = without(starts, kept)
    assert left[-1] == kept.sum()
    assert (np.diff(left) > 0).all()


@pytest.mark.parametrize("d", [8, 64])
def test_memory_is_a_few_copies_of_the_points_and_a_tile(d, monkeypatch):
    """NumPy's allocations while all points climb, many times around: they grow by no more than what is kept."""
    monkeypatch.setattr("modeseek.fields.blocks.ROWS_AT_ONCE", 512)
    for module in ("compact", "block_sums", "traps"):
        monkeypatch.setattr(f"modeseek.fields.{module}.ROWS_AT_ONCE", 512)
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(5, d)) * 4.0
    X = centres[rng.integers(0, 5, 16_000)] + rng.normal(size=(16_000, d))
    h, peak = 0.5 * float(np.sqrt(d)), {}
    ms.MeanShift(h, n_jobs=2).fit(X[:1000])
    for n in (8000, 16_000):
        tracemalloc.start()
        try:
            ms.MeanShift(h, n_jobs=2).fit(X[:n])
            peak[n] = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    columns = 9 + 2 * 8  # of one number a point: hashes, orders, weights, steps; what a trap needs, in two threads
    assert peak[16_000] - peak[8000] <= 8 * 8000 * (4 * d + columns)


def test_the_choice_follows_the_cost_and_says_why():
    few, h = data(6, n=300)
    field, why = choose_field(few, np.ones(300), h)
    assert isinstance(field, DenseField)
    assert "dense" in why
    many, h = data(6, n=4000)
    field, why = choose_field(many, np.ones(4000), h)
    assert isinstance(field, BlocksField)
    assert "modelled: blocks" in why
    sparse = np.random.default_rng(0).uniform(size=(40_000, 2)) * 3000  # a few points within reach of each
    assert "grid" in choose_field(sparse, np.ones(40_000), 1.0)[1]


def test_pairs_are_counted_right_on_a_sample():
    X, h = data(3, n=4000)
    X = X[:3968]  # whole blocks
    field = BlocksField(X, [], h)
    before = field.n_pairs
    field.shift(X)
    in_tiles, in_reach = field.pairs_left(REACH, 1000)
    assert field.n_pairs - before <= in_tiles * 1.0001
    assert field.n_pairs - before > 0.8 * in_tiles
    assert in_reach <= in_tiles


def test_a_fit_says_which_way_it_took(capsys):
    X, h = data(6, n=2500)
    ms.MeanShift(h, verbose=True).fit(X)
    assert "climb (blocks:" in capsys.readouterr().err


def test_blas_has_its_threads_back_when_the_last_user_leaves():
    from threadpoolctl import threadpool_info

    def threads():
        return [library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"]

    with single_threaded_blas():
        pass  # now every library is loaded
    before = threads()
    first, second = single_threaded_blas(), single_threaded_blas()
    first.__enter__()
    second.__enter__()
    assert set(threads()) == {1}
    first.__exit__(None, None, None)  # overlapping, not nested, as in two Python threads
    assert set(threads()) == {1}
    second.__exit__(None, None, None)
    assert threads() == before
