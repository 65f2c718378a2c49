"""The textbook against the notebook's printed numbers, plain Python loops, and itself."""

import doctest
import math
import random
import subprocess
import sys
from functools import partial
from importlib import import_module

import numpy as np
import pytest

from modeseek.textbook import (
    climb,
    dist_b,
    gaussian,
    make_data,
    meanshift,
    meanshift_loop,
    modes,
    one_update,
    tri,
)

LIBRARIES = ("numpy", "torch")


@pytest.fixture(params=LIBRARIES)
def library(request):
    if request.param == "torch":
        pytest.importorskip("torch")
    return request.param


@pytest.fixture
def notebook(library):
    """Centroids and data of the notebook, as arrays or as tensors."""
    return make_data(library=library)


def printed(values, expected, digits=3):
    """Assert that `values` round to what the notebook prints (half a unit, and a few float32 ulps)."""
    values, expected = np.asarray(values, dtype=np.float64), np.asarray(expected)
    assert values.shape == expected.shape
    np.testing.assert_allclose(values, expected, rtol=5e-7, atol=0.5 * 10.0**-digits)


def as_library(library, array):
    return sys.modules["torch"].tensor(np.asarray(array)) if library == "torch" else np.array(array)


def blobs(n, d=2, seed=0):
    """Three unequal blobs with noise between them, float64."""
    rng = np.random.default_rng(seed)
    centres = 6 * rng.normal(size=(3, d))
    X = centres[rng.choice(3, size=n, p=[0.5, 0.3, 0.2])] + rng.normal(size=(n, d))
    X[: n // 10] = rng.uniform(-10, 10, (n // 10, d))
    return X


# ------------------------------------------------------------------------------ what the notebook prints


def test_printed_data(notebook):
    centroids, data = notebook
    printed(
        centroids,
        [
            [26.759, 29.050],
            [-8.200, 32.151],
            [-7.669, 7.063],
            [-17.040, 20.555],
            [30.854, -25.677],
            [30.422, 6.551],
        ],
    )
    assert tuple(data.shape) == (1500, 2)
    printed(data.mean(0), [9.222, 11.604])


def test_printed_one_point(notebook):
    _, X = notebook
    x = X[0]
    printed(x, [26.204, 26.349])
    assert (tuple(x.shape), tuple(x[None].shape)) == ((2,), (1, 2))
    differences = [
        [0.000, 0.000],
        [0.513, -3.865],
        [-4.227, -2.345],
        [0.557, -3.685],
        [-5.033, -3.745],
        [-4.073, -0.638],
        [-3.415, -5.601],
        [-1.920, -5.686],
    ]
    printed((x[None] - X)[:8], differences)
    printed((x - X)[:8], differences)

    dist = ((x - X) ** 2).sum(1) ** 0.5
    printed(dist[:8], [0.000, 3.899, 4.834, 3.726, 6.273, 4.122, 6.560, 6.002])
    printed(dist_b(X, x[None])[0, :8], dist[:8], digits=5)

    weight = gaussian(dist, 2.5)
    assert tuple(weight.shape) == (1500,)
    assert tuple(weight[:, None].shape) == (1500, 1)
    printed(weight[:3], [0.160, 0.047, 0.025])
    printed(weight[-3:], [0.000, 0.000, 0.000])
    printed((weight[:, None] * X)[:3], [[4.182, 4.205], [1.215, 1.429], [0.749, 0.706]])
    printed((weight[:, None] * X)[-3:], np.zeros((3, 2)))


def test_printed_batch(notebook, library):
    _, X = notebook
    x = X[:5]
    dist = dist_b(X, x)
    assert tuple(dist.shape) == (5, 1500)
    assert tuple((X[None, :] - x[:, None]).shape) == (5, 1500, 2)
    printed(
        dist[:, :3],
        [
            [0.000, 3.899, 4.834],
            [3.899, 0.000, 4.978],
            [4.834, 4.978, 0.000],
            [3.726, 0.185, 4.969],
            [6.273, 5.547, 1.615],
        ],
    )
    printed(
        dist[:, -3:],
        [
            [17.628, 22.610, 21.617],
            [21.499, 26.508, 25.500],
            [19.373, 24.757, 23.396],
            [21.335, 26.336, 25.333],
            [20.775, 26.201, 24.785],
        ],
    )
    weight = gaussian(dist, 2)
    printed(
        weight[:, :3],
        [
            [0.199, 0.030, 0.011],
            [0.030, 0.199, 0.009],
            [0.011, 0.009, 0.199],
            [0.035, 0.199, 0.009],
            [0.001, 0.004, 0.144],
        ],
    )
    printed(weight[:, -3:], np.zeros((5, 3)))
    assert tuple(weight.shape) == (5, 1500)
    assert tuple(weight[..., None].shape) == (5, 1500, 1)

    num = (weight[..., None] * X[None]).sum(1)
    assert tuple(num.shape) == (5, 2)
    printed(
        num,
        [[367.870, 386.231], [518.332, 588.680], [329.665, 330.782], [527.617, 598.217], [231.302, 234.155]],
    )
    products = [
        [367.870, 386.231],
        [518.332, 588.680],
        [329.665, 330.782],
        [527.617, 598.218],
        [231.302, 234.155],
    ]
    einsum = sys.modules[library].einsum
    printed(einsum("ij,jk->ik", weight, X), products)
    printed(weight @ X, products)

    div = weight.sum(1)[:, None]
    assert tuple(div.shape) == (5, 1)
    means = [[26.376, 27.692], [26.101, 29.643], [28.892, 28.990], [26.071, 29.559], [29.323, 29.685]]
    printed(num / div, means)
    moved = meanshift(X, bs=5, rounds=1, bandwidth=2)  # its first batch still sees the data at rest
    printed(moved[:5], means)


# ------------------------------------------------------------------- the notebook's functions, word for word


def notebook_one_update(torch, X):
    for i, x in enumerate(X):
        dist = torch.sqrt(((x - X) ** 2).sum(1))
        weight = (-dist + 8).clamp_min(0) / 8
        X[i] = (weight[:, None] * X).sum(0) / weight.sum()


def notebook_meanshift(torch, data, bs):
    n, X = len(data), data.clone()
    for _ in range(5):
        for i in range(0, n, bs):
            s = slice(i, min(i + bs, n))
            d = (((X[None] - X[s][:, None]) ** 2).sum(2)).sqrt()
            weight = torch.exp(-0.5 * (d / 2.5) ** 2) / (2.5 * math.sqrt(2 * math.pi))
            X[s] = weight @ X / weight.sum(1, keepdim=True)
    return X


def test_loop_form_is_the_notebooks_to_the_bit():
    torch = pytest.importorskip("torch")
    _, data = make_data(library="torch")
    expected = data[::5].clone()
    for _ in range(5):
        notebook_one_update(torch, expected)
    assert torch.equal(meanshift_loop(data[::5]), expected)
    assert (expected - data[::5]).abs().max() > 1


@pytest.mark.parametrize("bs", [5, 499, 500])
def test_batched_form_is_the_notebooks(bs):
    torch = pytest.importorskip("torch")
    _, data = make_data(library="torch")
    data = data[::10] if bs == 5 else data[::2]
    torch.testing.assert_close(meanshift(data, bs), notebook_meanshift(torch, data, bs), rtol=0, atol=1e-5)


# ----------------------------------------------------------------------------------- plain Python arithmetic


def scalar_one_update(X, g):
    """`one_update` on a list of lists, with nothing but `math`."""
    for i, x in enumerate(X):
        w = [g(math.dist(x, y)) for y in X]
        X[i] = [sum(wj * y[k] for wj, y in zip(w, X, strict=True)) / sum(w) for k in range(len(x))]


@pytest.mark.parametrize("d", [1, 2, 5])
@pytest.mark.parametrize(
    ("weight", "g"),
    [
        (partial(tri, i=8), lambda d: max(0.0, 8 - d) / 8),
        (partial(tri, i=3), lambda d: max(0.0, 3 - d) / 3),
        (partial(gaussian, bw=1.5), lambda d: math.exp(-d * d / (2 * 1.5**2))),
    ],
)
def test_loop_form_equals_scalar_arithmetic(library, d, weight, g):
    X = blobs(40, d)
    expected = X.tolist()
    for _ in range(3):
        scalar_one_update(expected, g)
    result = np.asarray(meanshift_loop(as_library(library, X), rounds=3, weight=weight))
    np.testing.assert_allclose(result, expected, rtol=1e-11, atol=1e-11)
    assert np.abs(result - X).max() > 0.5  # something moved


def test_default_weight_of_the_loop_form_is_tri_8(library):
    X = as_library(library, blobs(30))
    Y = X * 1
    assert one_update(X) is None
    one_update(Y, weight=partial(tri, i=8))
    assert (X == Y).all()


def test_weight_functions_equal_their_formulas(library):
    d = [0.0, 0.3, 2.5, 7.9, 8.0, 30.0]
    np.testing.assert_allclose(
        gaussian(as_library(library, d), 2.5),
        [math.exp(-x * x / 12.5) / (2.5 * math.sqrt(2 * math.pi)) for x in d],
        rtol=1e-14,
    )
    np.testing.assert_allclose(tri(as_library(library, d), 8), [max(0, 8 - x) / 8 for x in d], rtol=1e-14)


def test_gaussian_integrates_to_one():
    d = np.linspace(-30, 30, 60_001)
    assert gaussian(d, 2.5).sum() * 1e-3 == pytest.approx(1, abs=1e-12)


# ---------------------------------------------------------------------------------- blurring mean shift: laws


def test_one_whole_batch_is_the_simultaneous_update(library):
    X = as_library(library, blobs(120))
    simultaneous = meanshift(X, update="simultaneous")
    np.testing.assert_allclose(meanshift(X, bs=len(X)), simultaneous, rtol=0, atol=1e-12)
    assert abs(meanshift(X, bs=7) - simultaneous).max() > 1e-3  # smaller batches differ


def test_batches_of_one_are_the_loop_form(library):
    X = as_library(library, blobs(120))
    loop = meanshift_loop(X, rounds=4, weight=partial(gaussian, bw=1.3))
    np.testing.assert_allclose(meanshift(X, bs=1, rounds=4, bandwidth=1.3), loop, rtol=0, atol=1e-11)


@pytest.mark.parametrize("bs", [1, 7, 119, 120, 500])
def test_simultaneous_update_does_not_depend_on_bs(library, bs):
    X = as_library(library, blobs(120))
    whole = meanshift(X, bs=120, update="simultaneous")
    np.testing.assert_allclose(meanshift(X, bs=bs, update="simultaneous"), whole, rtol=0, atol=1e-11)


def test_simultaneous_update_commutes_with_permutation():
    X = blobs(120)
    order = np.random.default_rng(1).permutation(120)
    shuffled = meanshift(X[order], bs=50, update="simultaneous")
    np.testing.assert_allclose(shuffled, meanshift(X, update="simultaneous")[order], rtol=0, atol=1e-11)


@pytest.mark.parametrize("update", ["batch", "simultaneous"])
def test_shift_and_scale(update):
    X = blobs(90)
    moved = meanshift(X, 40, update=update)
    shifted = meanshift(3 * X + 50, 40, bandwidth=3 * 2.5, update=update)
    np.testing.assert_allclose(shifted, 3 * moved + 50, rtol=0, atol=1e-10)


def test_weight_replaces_the_gaussian(library):
    X = as_library(library, blobs(90))
    assert (meanshift(X, 40, weight=partial(gaussian, bw=2.5), bandwidth=99) == meanshift(X, 40)).all()
    by_tri = meanshift(X, 1, rounds=2, weight=partial(tri, i=8))
    np.testing.assert_allclose(by_tri, meanshift_loop(X, rounds=2), rtol=0, atol=1e-11)


def test_the_notebook_gathers_each_blob(notebook):
    centroids, data = notebook
    for X in (meanshift(data), meanshift(data, update="simultaneous"), meanshift_loop(data)):
        X, start = np.asarray(X).reshape(6, 250, 2), np.asarray(data).reshape(6, 250, 2)
        assert X.std(1).max() < 0.35 * start.std(1).min()
        assert np.abs(X.mean(1) - np.asarray(centroids)).max() < 1


@pytest.mark.parametrize("form", [meanshift, partial(meanshift, update="simultaneous"), meanshift_loop])
def test_input_is_left_unchanged_and_kind_is_kept(library, form):
    for dtype in ("float32", "float64"):
        X = as_library(library, blobs(60).astype(dtype))
        before = X * 1
        result = form(X, rounds=1)
        assert (before == X).all()
        assert (type(result), result.dtype) == (type(X), X.dtype)
        assert not (result == X).all()
        assert (form(X, rounds=0) == X).all()


def test_integers_become_floating_point(library):
    X = as_library(library, [[0, 0], [3, 1], [20, 5]])
    expected = meanshift(as_library(library, [[0.0, 0], [3, 1], [20, 5]]))
    np.testing.assert_allclose(meanshift(X), expected, rtol=1e-6)


def test_numpy_equals_torch():
    torch = pytest.importorskip("torch")
    X = blobs(200, 3)
    T = torch.tensor(X)
    for function in (
        lambda X: dist_b(X, X[:9]),
        lambda X: gaussian(dist_b(X, X[:9]), 1.7),
        lambda X: tri(dist_b(X, X[:9]), 6.5),
        lambda X: meanshift(X, bs=33, rounds=3),
        lambda X: meanshift(X, bs=33, rounds=3, update="simultaneous"),
        lambda X: meanshift_loop(X, rounds=2),
    ):
        result = function(T)
        assert isinstance(result, torch.Tensor)
        np.testing.assert_allclose(function(X), result.numpy(), rtol=1e-10, atol=1e-11)


# ------------------------------------------------------------------------------- standard mean shift: climb


def scalar_climb(points, x, h, weights, tol=1e-12):
    while True:
        w = [wi * math.exp(-(math.dist(x, p) ** 2) / (2 * h * h)) for p, wi in zip(points, weights, strict=True)]
        m = [math.fsum(wi * p[k] for wi, p in zip(w, points, strict=True)) / math.fsum(w) for k in range(len(x))]
        if math.dist(m, x) <= tol * h:
            return m
        x = m


@pytest.mark.parametrize("d", [1, 2, 4])
def test_climb_equals_scalar_arithmetic(d):
    points, weights = blobs(30, d), np.random.default_rng(5).uniform(0.1, 3, 30)
    starts = blobs(8, d, seed=3)
    expected = [scalar_climb(points.tolist(), x, 2.0, weights.tolist()) for x in starts.tolist()]
    np.testing.assert_allclose(climb(points, starts, 2.0, weights), expected, rtol=0, atol=1e-8)


def test_climb_finds_the_six_modes_of_the_notebook():
    centroids, data = make_data()
    ends = climb(data, data, 2.5)
    found, index = modes(ends, 2.5)
    assert found.shape == (6, 2)
    np.testing.assert_array_equal(index, np.repeat(range(6), 250))
    assert np.abs(found - centroids).max() < 0.3
    assert np.abs(ends - found[index]).max() < 1e-9
    gap = dist_b(np.float64(data), found)  # the gradient is zero at a mode, and the density falls around it
    w = np.exp(-(gap**2) / 12.5)
    np.testing.assert_allclose(w @ np.float64(data) / w.sum(1)[:, None], found, rtol=0, atol=1e-10)
    around = found + 0.1 * np.array([[1, 0], [-1, 0], [0, 1], [0, -1]])[:, None]
    density = [gaussian(dist_b(np.float64(data), a), 2.5).sum(1) for a in around]
    assert (np.array(density) < gaussian(gap, 2.5).sum(1)).all()


def test_weight_is_replication_and_zero_weight_is_absence():
    X, starts = blobs(50), blobs(20, seed=8)
    copies = np.random.default_rng(2).integers(0, 4, 50)
    expected = climb(np.repeat(X, copies, axis=0), starts, 1.5)
    np.testing.assert_allclose(climb(X, starts, 1.5, copies), expected, rtol=0, atol=1e-8)
    assert np.abs(climb(X, starts, 1.5) - expected).max() > 0.01


def test_climb_does_not_depend_on_tiles(monkeypatch):
    X = blobs(60)
    expected = climb(X, X, 1.5)
    for tile in (1, 1000, 10**6):
        monkeypatch.setattr(import_module("modeseek.textbook.mean_shift"), "_TILE", tile)
        np.testing.assert_allclose(climb(X, X, 1.5), expected, rtol=0, atol=1e-9)


def test_climb_moves_where_every_weight_underflows():
    points = np.array([[0.0, 0.0], [0.0, 1.0], [5.0, 5.0]])
    ends = climb(points, [[1e5, -1e5], [-1e4, 1e5]], 0.3, [1e-300, 1, 1e-300])
    assert np.isfinite(ends).all()
    assert (dist_b(points, ends).min(1) < 1e-3).all()


def test_climb_keeps_its_digits_far_from_the_origin():
    X = np.round(blobs(60), 6)
    ends = climb(X + 2.0**20, X + 2.0**20, 1.5, max_iter=10_000)
    np.testing.assert_allclose(ends - 2.0**20, climb(X, X, 1.5), rtol=0, atol=1e-7)


def test_climb_rests_on_a_wide_range():
    X = np.concatenate([blobs(60), [[3e7, -1e7]]])  # where one ulp is more than tol * bandwidth
    ends = climb(X, X, 1.5, max_iter=10_000)
    np.testing.assert_allclose(ends[:60], climb(X[:60], X[:60], 1.5), rtol=0, atol=1e-6)
    np.testing.assert_allclose(ends[60], X[60])


def test_climb_leaves_its_input_unchanged():
    X = blobs(20)
    before = X.copy()
    climb(X, X, 2.0)
    np.testing.assert_array_equal(X, before)


def test_climb_says_when_it_does_not_rest():
    X = blobs(30)
    with pytest.warns(RuntimeWarning, match="30 of 30 starts not at rest after 2 steps"):
        two = climb(X, X, 2.0, max_iter=2)
    w = np.exp(-(dist_b(X, X) ** 2) / 8)
    one = w @ X / w.sum(1)[:, None]
    w = np.exp(-(dist_b(X, one) ** 2) / 8)
    np.testing.assert_allclose(two, w @ X / w.sum(1)[:, None], rtol=0, atol=1e-12)


def test_modes_match_by_location():
    spots = np.array([[5.0, 1.0], [-3.0, 2.0], [5.0, 1.1]])
    which = np.array([2, 0, 0, 1, 2, 1, 0, 1])
    jitter = np.random.default_rng(0).uniform(-1e-5, 1e-5, (8, 2))
    found, index = modes(spots[which] + jitter, 1.0)
    np.testing.assert_allclose(found, spots[[2, 0, 1]], atol=1e-4)  # numbered as they appear
    np.testing.assert_allclose(found[index], spots[which], atol=1e-4)
    assert len(modes(spots[which] + jitter, 1.0, tol=0.2)[0]) == 2
    assert modes([[0.0], [0.9], [1.8]], 1.0, tol=1.0)[1].tolist() == [
        0,
        0,
        1,
    ]  # the earlier mode keeps its ends
    assert len(modes(spots[which] + jitter, 1.0, tol=1e-9)[0]) == 8


# ------------------------------------------------------------------------------------------------ make_data


def reference_data(torch, n_clusters, n_samples, seed):
    """The notebook's own lines; the global random state is put back."""
    from torch.distributions.multivariate_normal import MultivariateNormal

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        centroids = torch.rand(n_clusters, 2) * 70 - 35
        slices = [MultivariateNormal(m, torch.diag(torch.tensor([5.0, 5.0]))).sample((n_samples,)) for m in centroids]
        return centroids, torch.cat(slices)


@pytest.mark.parametrize("seed", [0, 1, 2, 3, 4, 5, 42, 2**32 - 1])
@pytest.mark.parametrize("n_samples", [1, 7, 8, 13, 250, 1000])
def test_make_data_is_torchs(seed, n_samples):
    torch = pytest.importorskip("torch")
    centroids, data = reference_data(torch, 6, n_samples, seed)
    ours = make_data(6, n_samples, seed=seed, library="torch")
    assert torch.equal(ours[0], centroids)
    assert torch.equal(ours[1], data)

    plain = make_data(6, n_samples, seed=seed)
    assert all(type(a) is np.ndarray and a.dtype == np.float32 for a in plain)
    np.testing.assert_array_equal(plain[0], centroids.numpy())
    np.testing.assert_allclose(plain[1], data.numpy(), rtol=0, atol=4e-6)
    if n_samples < 8:  # no vector arithmetic in Torch, so the same bits
        np.testing.assert_array_equal(plain[1], data.numpy())


@pytest.mark.parametrize(
    ("n_samples", "seed", "centroid", "first", "last"),
    [
        (7, 1, [9.7076, 1.7266], [14.6292, -14.5948], [9.4852, 0.1138]),
        (13, 2, [4.6, 2.326], [10.2475, -13.1122], [3.7375, 0.1693]),
        (1000, 3, [-3.4278, 20.9643], [-35.4613, -27.1126], [-9.0917, 24.2402]),
    ],
)
def test_make_data_is_what_torch_was_seen_to_give(n_samples, seed, centroid, first, last):
    """The ways through the generator, Torch installed or not: pairs, a last block remade, whole blocks."""
    centroids, data = make_data(6, n_samples, seed=seed)
    assert (centroids.shape, data.shape) == ((6, 2), (6 * n_samples, 2))
    printed(centroids[-1], centroid, digits=4)
    printed(data[0], first, digits=4)
    printed(data[-1], last, digits=4)


@pytest.mark.parametrize("n_samples", [7, 13, 1000])
def test_make_data_gives_round_blobs_of_variance_5(n_samples):
    centroids, data = make_data(3, n_samples, seed=9)
    spread = (data.reshape(3, n_samples, 2) - centroids[:, None]) / math.sqrt(5)
    assert abs(spread.mean()) < 4 / math.sqrt(spread.size)
    assert abs(spread.var() - 1) < 4 * math.sqrt(2 / spread.size)
    assert len(np.unique(data, axis=0)) == len(data)


def test_make_data_leaves_global_random_states_alone(library):
    np.random.seed(3)  # noqa: NPY002
    random.seed(3)
    numpy_state, python_state = np.random.get_state()[1].copy(), random.getstate()  # noqa: NPY002
    before = sys.modules["torch"].get_rng_state() if library == "torch" else None
    first, second = make_data(library=library), make_data(library=library)
    assert (first[1] == second[1]).all()
    assert (np.random.get_state()[1] == numpy_state).all()  # noqa: NPY002
    assert random.getstate() == python_state
    if library == "torch":
        assert (sys.modules["torch"].get_rng_state() == before).all()


def test_torch_default_dtype_does_not_matter():
    torch = pytest.importorskip("torch")
    _, expected = make_data(library="torch")
    torch.set_default_dtype(torch.float64)
    try:
        _, data = make_data(library="torch")
    finally:
        torch.set_default_dtype(torch.float32)
    assert data.dtype == torch.float32
    assert torch.equal(data, expected)


# ------------------------------------------------------------------------------------------------ manners


def test_torch_is_not_imported():
    code = (
        "import sys; from modeseek import textbook as t; c, X = t.make_data(2, 9); t.meanshift(X);"
        "t.climb(X, X, 2.5); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env={"PYTHONPATH": ":".join(filter(None, sys.path))})


def test_missing_torch_is_named_with_the_command_that_installs_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(ImportError, match=r"pip install .*modeseek\[torch\]"):
        make_data(library="torch")


X3 = np.array([[0.0, 1.0], [2.0, 3.0], [9.0, 9.0]])


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: meanshift(X3, 0), ValueError, "bs must be at least 1, got 0"),
        (lambda: meanshift(X3, 2.5), TypeError, "bs must be an integer"),
        (lambda: meanshift(X3, rounds=-1), ValueError, "rounds must be at least 0"),
        (lambda: meanshift(X3, bandwidth=0), ValueError, "bandwidth must be finite and positive"),
        (lambda: meanshift(X3, bandwidth=math.nan), ValueError, "bandwidth must be finite and positive"),
        (lambda: meanshift(X3, bandwidth=None), TypeError, "bandwidth must be a number"),
        (lambda: meanshift(X3, update="online"), ValueError, 'update must be "batch" or "simultaneous"'),
        (lambda: meanshift(X3[0]), ValueError, r"data must have shape \(n, d\)"),
        (lambda: meanshift(X3[:0]), ValueError, r"data must have shape \(n, d\)"),
        (lambda: meanshift(X3 * [math.nan, 1]), ValueError, "data must be finite"),
        (lambda: meanshift_loop(X3, rounds=-1), ValueError, "rounds must be at least 0"),
        (lambda: meanshift_loop(X3 + math.inf), ValueError, "data must be finite"),
        (lambda: one_update(X3.astype(int)), TypeError, "X must be floating point"),
        (lambda: one_update(X3[0]), ValueError, r"X must have shape \(n, d\)"),
        (lambda: gaussian(X3, -1), ValueError, "bw must be finite and positive"),
        (lambda: tri(X3, math.inf), ValueError, "i must be finite and positive"),
        (lambda: dist_b(X3, X3[:, :1]), ValueError, "a and b must be"),
        (lambda: dist_b(X3[0], X3), ValueError, "a and b must be"),
        (lambda: climb(X3, X3, -2), ValueError, "bandwidth must be finite and positive"),
        (lambda: climb(X3, X3[:, :1], 1), ValueError, "points have 2 coordinates, starts have 1"),
        (lambda: climb(X3, X3, 1, [1, 2]), ValueError, r"weights must have shape \(3,\)"),
        (lambda: climb(X3, X3, 1, [1, -2, 1]), ValueError, "weights must be finite and not negative"),
        (lambda: climb(X3, X3, 1, [0, 0, 0]), ValueError, "at least one must be positive"),
        (lambda: climb(X3, X3, 1, tol=0), ValueError, "tol must be finite and positive"),
        (lambda: climb(X3, X3, 1, max_iter=1.5), TypeError, "max_iter must be an integer"),
        (lambda: modes(X3, 0), ValueError, "bandwidth must be finite and positive"),
        (lambda: modes(X3 * math.nan, 1), ValueError, "ends must be finite"),
        (lambda: make_data(0), ValueError, "n_clusters must be at least 1"),
        (lambda: make_data(6, 2.5), TypeError, "n_samples must be an integer"),
        (lambda: make_data(seed=-1), ValueError, "seed must be at least 0"),
        (lambda: make_data(seed=2**32), ValueError, "seed must be less than"),
        (lambda: make_data(library="jax"), ValueError, 'library must be "numpy" or "torch"'),
    ],
)
def test_bad_arguments(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_kinds_must_not_be_mixed():
    torch = pytest.importorskip("torch")
    with pytest.raises(TypeError, match="must not be mixed"):
        dist_b(X3, torch.tensor(X3))


def test_examples_in_the_docstrings():
    parts = ["mean_shift", "data", "neighbors", "clusters"]
    results = [doctest.testmod(import_module(f"modeseek.textbook.{part}")) for part in parts]
    assert all(result.attempted > 0 and result.failed == 0 for result in results)
