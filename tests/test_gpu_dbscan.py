"""DBSCAN on a device: kernels against tensors, tensors against the plain form, fits against those of the CPU."""

import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.utils.estimator_checks import parametrize_with_checks

import modeseek as ms
from modeseek import textbook
from modeseek.dbscan import cells as grids

torch = pytest.importorskip("torch")
pytest.importorskip("triton")
import triton as triton_library  # noqa: E402
import triton.language as tl  # noqa: E402

from modeseek.dbscan import on_device  # noqa: E402
from modeseek.engines import triton  # noqa: E402
from modeseek.engines.gpu import bounds, cells, components, dbscan, dbscan_pairs  # noqa: E402
from modeseek.engines.triton import dbscan as kernels  # noqa: E402
from modeseek.engines.triton import dbscan_links as link_kernels  # noqa: E402
from modeseek.engines.triton import dbscan_pairs as pair_kernels  # noqa: E402
from modeseek.engines.triton.union_find import ALONE, find, find_all, join, join_all  # noqa: E402
from tests.examples import examples  # noqa: E402

DTYPES = [torch.float32, torch.float64]


def crowds(n, d, seed=0):
    """Draw crowds of unequal density, whole numbers, repeats and noise."""
    rng = np.random.default_rng(seed)
    centres, widths = rng.uniform(-5.0, 5.0, (4, d)), np.geomspace(0.1, 1.5, 4)
    which = rng.integers(0, 4, n)
    X = centres[which] + widths[which, None] * rng.normal(size=(n, d))
    X[::5] = np.round(X[::5])
    X[::11] = X[0]
    return X


def weights_of(kind, n, device):
    if kind is None:
        return None
    low = {"zero": 0, "signed": -1}[kind]
    return torch.from_numpy(np.random.default_rng(1).integers(low, 4, n).astype(float)).to(device)


def sorted_cells(X, eps):
    return cells.sort_cells(X, *on_device._keys(X, bounds(X), eps))


def core_of(X, eps, least, weights=None):
    core = np.zeros(len(X), bool)
    core[textbook.dbscan(X, eps, least, weights)[1]] = True
    return core


def numpy(tensor):
    return tensor.cpu().numpy()


def same(X, eps, least, weights=None, device="cpu", dtype=torch.float64):
    """Compare a fit on a device with the plain form, number for number; return its labels."""
    tensor = torch.from_numpy(np.ascontiguousarray(X)).to(device, dtype)
    model = ms.DBSCAN(eps, min_samples=least, device="torch").fit(tensor, sample_weight=weights)
    weights = numpy(weights).astype(float) if isinstance(weights, torch.Tensor) else weights
    labels, core = textbook.dbscan(numpy(tensor.double()), eps, least, weights)
    assert model.labels_.device == tensor.device
    assert model.labels_.dtype == model.core_sample_indices_.dtype == torch.int64
    np.testing.assert_array_equal(numpy(model.core_sample_indices_), core)
    np.testing.assert_array_equal(numpy(model.labels_), labels)
    assert torch.equal(model.components_, tensor[model.core_sample_indices_])
    return labels


# ------------------------------------------------------------------------------------------------- kernels


@triton_library.jit
def _join_kernel(parent, a, b, n, ALL: tl.constexpr, B: tl.constexpr):
    lane = tl.program_id(0) * B + tl.arange(0, B)
    mask = lane < n
    if ALL:
        x, y = tl.load(a + lane, mask=mask, other=0), tl.load(b + lane, mask=mask, other=0)
        join_all(parent, find_all(parent, x, mask), find_all(parent, y, mask), mask)
    else:
        for i in range(B):
            if tl.program_id(0) * B + i < n:
                at = tl.program_id(0) * B + i
                join(parent, find(parent, tl.load(a + at)), find(parent, tl.load(b + at)))


def partition(n, a, b):
    """Return the least member of each one's set, by repeated passes over the pairs."""
    least = np.arange(n)
    while True:
        before = least.copy()
        for x, y in zip(a, b, strict=True):
            least[x] = least[y] = min(least[x], least[y])
        if np.array_equal(before, least):
            return least


@pytest.mark.parametrize("size", [16, 128])
@pytest.mark.parametrize("every", [True, False])
@pytest.mark.parametrize("shape", ["random", "chain", "backwards", "star"])
def test_sets_are_joined_whatever_the_order(device, shape, every, size):
    n = 150
    rng = np.random.default_rng(size)
    a, b = {
        "random": (rng.integers(0, n, 110), rng.integers(0, n, 110)),
        "chain": (np.arange(n - 1), np.arange(1, n)),
        "backwards": (np.arange(n - 1, 0, -1), np.arange(n - 2, -1, -1)),
        "star": (np.full(n - 3, n - 1), np.arange(2, n - 1)),
    }[shape]
    expected = partition(n, a, b)
    a, b = (torch.from_numpy(numbers).to(device) for numbers in (a, b))
    parent = torch.arange(n, device=device)
    _join_kernel[(triton_library.cdiv(len(a), size),)](parent, a, b, len(a), ALL=every, B=size, **ALONE)
    assert bool((parent <= torch.arange(n, device=device)).all())
    np.testing.assert_array_equal(numpy(components.flattened(parent)), expected)
    np.testing.assert_array_equal(numpy(components.unite(torch.arange(n, device=device), a, b)), expected)


SINGLE, DOUBLE = DTYPES


@pytest.mark.parametrize(
    ("d", "n", "eps", "kind", "dtype"),
    [
        (1, 1, 0.5, None, DOUBLE),
        (1, 90, 0.25, "signed", SINGLE),
        (2, 130, 0.5, None, SINGLE),
        (2, 70, 0.5, "zero", DOUBLE),
        (2, 70, 0.5, "signed", DOUBLE),
        (3, 40, 1.0, "zero", SINGLE),
        (3, 33, 1.0, None, DOUBLE),
    ],
)
def test_core_points_by_kernel_on_tensors_and_in_the_plain_form(device, d, n, eps, kind, dtype):
    X = torch.from_numpy(crowds(n, d)).to(device, dtype)
    sorted_, order = sorted_cells(X, eps)
    weights = weights_of(kind, n, device)
    w = None if weights is None else weights[order]
    own = sorted_.counts if w is None else torch.segment_reduce(w, "sum", lengths=sorted_.counts)
    which = torch.arange(n, device=device)
    arguments = (sorted_, sorted_.of_point, w, own, which, 6.0, eps, kind != "signed")
    expected = core_of(numpy(X.double()), eps, 6, None if weights is None else numpy(weights))[numpy(order)]
    np.testing.assert_array_equal(numpy(dbscan._are_core(*arguments)), expected)
    np.testing.assert_array_equal(numpy(kernels.are_core(*arguments)), expected)
    np.testing.assert_array_equal(numpy(dbscan.core_points(sorted_, w, 6.0, eps)), expected)


@pytest.mark.parametrize(
    ("d", "n", "eps", "least", "dtype"), [(1, 90, 0.2, 9, SINGLE), (2, 100, 0.5, 4, DOUBLE), (3, 60, 1.0, 4, SINGLE)]
)
def test_links_and_labels_by_kernel_and_on_tensors(device, d, n, eps, least, dtype):
    X = torch.from_numpy(crowds(n, d)).to(device, dtype)
    sorted_, _ = sorted_cells(X, eps)
    core = dbscan.core_points(sorted_, None, float(least), eps)
    inner = dbscan.core_cells(sorted_, core)
    box = torch.full((2, d, len(inner.keys)), torch.nan, dtype=dtype, device=device)
    link_kernels.write_boxes(inner, box)
    np.testing.assert_array_equal(numpy(box), numpy(dbscan.boxes(inner)))
    roots = dbscan._link(inner, box, eps)
    assert 1 < len(roots.unique()) < len(roots)
    assert torch.equal(components.flattened(link_kernels.link_cells(inner, box, eps)), roots)
    rest, keys = sorted_.points[:, ~core].contiguous(), sorted_.key_of_point[~core]
    m = len(inner.of_point)
    labels = (torch.arange(m, dtype=torch.int32, device=device) * 37) % m
    which = torch.arange(len(keys), device=device)
    squares = sum(
        (x[:, None] - y) ** 2 for x, y in zip(numpy(rest.double()), numpy(inner.points.double()), strict=True)
    )
    expected = np.where(squares <= eps * eps, numpy(labels), m).min(1)
    expected = np.where(expected < m, expected, -1).tolist()
    assert len(set(expected)) > 2
    assert numpy(dbscan._least_labels(rest, keys, inner, labels, which, eps)).tolist() == expected
    assert numpy(kernels.least_labels(rest, keys, inner, labels, which, eps)).tolist() == expected


def test_long_runs_are_left_to_wide_blocks(device, monkeypatch):
    n, eps = 50, 1.0
    sorted_, _ = sorted_cells(torch.from_numpy(crowds(n, 2)).to(device), eps)
    which = torch.arange(0, n, 3, device=device)
    arguments = (sorted_, sorted_.of_point, None, sorted_.counts, which, 6.0, eps, True)
    numbers = torch.arange(n, dtype=torch.int32, device=device)
    searched = (sorted_.points, sorted_.key_of_point, sorted_, numbers, which, eps)
    core, least = (
        dbscan._are_core(*arguments),
        dbscan._least_labels(
            *searched,
        ),
    )
    wide, again = [], kernels._again
    monkeypatch.setattr(kernels, "LONG", 4)
    monkeypatch.setattr(kernels, "WIDE", (1, 16))
    monkeypatch.setattr(kernels, "_again", lambda *a: (wide.append(int((a[1] == a[2]).sum())), again(*a)))
    assert torch.equal(kernels.are_core(*arguments), core)
    assert torch.equal(kernels.least_labels(*searched), least)
    assert min(wide) > 3


@pytest.mark.parametrize(
    ("d", "n", "kind", "dtype"),
    [
        (1, 65, None, SINGLE),
        (4, 150, None, DOUBLE),
        (5, 64, "zero", DOUBLE),
        (4, 130, "signed", SINGLE),
        (70, 66, None, SINGLE),
    ],
)
def test_tiles_of_pairs_by_kernel_and_on_tensors(device, d, n, kind, dtype):
    X = torch.from_numpy(crowds(n, d)).to(device, dtype)
    eps = 0.3 * d if d < 10 else 8.0
    slabs, order = dbscan_pairs.sort_slabs(X, bounds(X), eps)
    weights = weights_of(kind, n, device)
    w = None if weights is None else weights[order]
    core = dbscan_pairs._are_core(slabs, w, 5.0, eps)
    expected = core_of(numpy(X.double()), eps, 5, None if weights is None else numpy(weights))
    np.testing.assert_array_equal(numpy(core), expected[numpy(order)])
    assert 0 < int(core.sum()) < n
    assert torch.equal(pair_kernels.are_core(slabs, w, 5.0, eps), core)
    inner, rest = slabs.take(core), slabs.take(~core)
    roots = dbscan_pairs._link(inner, eps)
    assert torch.equal(components.flattened(pair_kernels.link_points(inner, eps)), roots)
    labels = roots.int()
    least = dbscan_pairs._least_labels(rest, inner, labels, eps)
    assert torch.equal(pair_kernels.least_labels(rest, inner, labels, eps), least)


def test_what_float32_cannot_tell_is_decided_in_float64(device):
    eps = 0.1
    steps = np.array([0.0, eps, np.nextafter(eps, 0.0), np.nextafter(eps, 1.0), eps * (1 + 1e-9), eps * (1 - 1e-9)])
    X = torch.from_numpy(np.c_[steps, np.zeros(6)]).to(device)
    slabs, order = dbscan_pairs.sort_slabs(X, bounds(X), eps)
    sorted_, rows = sorted_cells(X, eps)
    near = np.square(steps) <= eps * eps
    for least in range(1, 7):
        expected = core_of(numpy(X), eps, least)
        assert expected[0] == (near.sum() >= least)
        np.testing.assert_array_equal(
            numpy(pair_kernels.are_core(slabs, None, float(least), eps)), expected[numpy(order)]
        )
        which = torch.arange(6, device=device)
        arguments = (sorted_, sorted_.of_point, None, sorted_.counts, which, float(least), eps, True)
        np.testing.assert_array_equal(numpy(kernels.are_core(*arguments)), expected[numpy(rows)])


def test_float32_is_trusted_only_where_its_bound_holds():
    rng = np.random.default_rng(0)
    for d in (1, 3, 40):
        x, y = (rng.normal(size=(20_000, d)).astype(np.float32) * 1e3 for _ in range(2))
        exact = np.square(x.astype(np.float64) - y).sum(1)
        rounded = np.zeros(len(x), np.float32)
        for k in range(d):
            rounded += (x[:, k] - y[:, k]) ** 2
        square, sure, possible, _, _ = dbscan.limits(1.0, 0.0, d, "cpu").tolist()
        assert square == 1.0
        assert np.abs(rounded / exact - 1.0).max() < min(1.0 - sure, possible - 1.0) / 1.5
    for eps in (1e-13, 1e13):
        assert dbscan.limits(eps, 0.0, 2, "cpu")[1:3].tolist() == [-1.0, np.inf]


@pytest.mark.parametrize(("d", "kind", "dtype"), [(1, "signed", DOUBLE), (2, None, SINGLE), (6, "zero", SINGLE)])
def test_whole_fits_by_kernels(device, monkeypatch, d, kind, dtype):
    monkeypatch.setattr(triton, "runs_on", lambda tensor: True)
    labels = same(crowds(60, d), 0.35 * d, 5, weights_of(kind, 60, device), device, dtype)
    assert len(set(labels)) > 2


COMPILE = """
import torch
from tests import compiled
from tests.test_gpu_dbscan import crowds, sorted_cells
from modeseek.engines.gpu import bounds, dbscan_pairs
from modeseek.engines.triton import dbscan as kernels, dbscan_links, dbscan_pairs as pairs
compiled.resources = lambda kernel: {"fused": "fma.rn.f" in kernel.asm["ptx"]}
kernels._again = lambda *_: None
X = torch.from_numpy(crowds(90, 3)).float()
cells, _ = sorted_cells(X, 0.5)
slabs, _ = dbscan_pairs.sort_slabs(X.double(), bounds(X), 0.5)
which, w, box = torch.arange(90), torch.ones(90, dtype=torch.float64), torch.empty(2, 3, len(cells.keys))
with compiled.compiled_only() as seen:
    kernels.are_core(cells, cells.of_point, w, w, which, 5.0, 0.5, True)
    kernels.least_labels(cells.points, cells.key_of_point, cells, which.int(), which, 0.5)
    dbscan_links.write_boxes(cells, box)
    dbscan_links.link_cells(cells, box, 0.5)
    pairs.are_core(slabs, None, 5.0, 0.5)
    pairs.link_points(slabs, 0.5)
    pairs.least_labels(slabs, slabs, which.int(), 0.5)
    many = torch.rand(1, 70)
    pairs.are_core(dbscan_pairs.sort_slabs(many, bounds(many), 0.5)[0], None, 5.0, 0.5)
assert len(seen) == 9, seen
assert not any(used["fused"] for _, used in seen), seen
"""


def test_kernels_compile_for_a_gpu_and_round_every_product():
    environment = os.environ | {"TRITON_INTERPRET": "0"}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", COMPILE], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-3000:]


# ---------------------------------------------------------------------------------------------------- cells


def test_gaps_along_the_axes_are_left_out(device):
    rng = np.random.default_rng(0)
    X = torch.from_numpy(np.r_[rng.normal(size=(300, 2)), rng.normal(size=(300, 2)) + 1e13, [[-1e15, 0.0]]]).to(device)
    eps = 0.3
    assert grids.Grid.over(np.array([[-1e15, -4.0], [1e13, 1e13]]), eps) is None
    keys, strides = cells.stacked_keys(X, eps, 2**0.5 / (eps * grids.SHORTER))
    assert int(keys.max()) < 1e6
    cell = torch.stack([keys // strides[0], keys % strides[0]], 1)
    apart = (cell[:, None] - cell).abs().amax(2)
    squares = (X[:, None] - X).square().sum(2)
    assert bool((apart[squares <= eps * eps] <= cells.REACH).all())
    assert float(squares[apart == 0].max()) <= eps * eps


def test_more_cells_than_keys_have_room_for_become_pairs(device):
    X = 1e4 * np.arange(400.0)[:, None] * np.ones(3) + np.random.default_rng(0).normal(size=(400, 3))
    assert cells.stacked_keys(torch.from_numpy(X[:1] * [[1.0], [1e12]]), 1e-6, 1e6) is not None
    apart = np.cumsum(np.full(3_000, 1.9))  # no gap of 2 eps, and too many cells
    wide = torch.from_numpy(np.stack([apart] * 3, 1) * 1.0)
    assert cells.stacked_keys(wide, 1.0, 1e9) is None
    same(X, 2.0, 2, device=device)


def test_runs_of_places_are_cut_into_bounded_pieces(device):
    first = torch.tensor([5, 9, 9, 0], device=device)
    last = torch.tensor([8, 9, 11, 7], device=device)
    for at_once in (1, 2, 5, 100):
        pieces = list(cells.places(first, last, at_once))
        assert all(len(which) <= at_once for which, _, _ in pieces)
        assert torch.cat([which for which, _, _ in pieces]).tolist() == [0] * 3 + [2] * 2 + [3] * 7
        assert torch.cat([place for _, place, _ in pieces]).tolist() == [5, 6, 7, 9, 10, *range(7)]
        assert sum(lengths for _, _, lengths in pieces).tolist() == [3, 0, 2, 7]
    assert list(cells.places(first[:0], last[:0], 5)) == []


# ----------------------------------------------------------------------------------------------------- fits


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", [None, "zero", "signed"])
@pytest.mark.parametrize(("d", "eps"), [(1, 0.05), (2, 0.4), (3, 0.7), (5, 1.5), (20, 5.0)])
def test_fits_are_those_of_the_cpu_and_of_the_plain_form(device, d, eps, kind, dtype):
    X, weights = crowds(300, d), weights_of(kind, 300, device)
    labels = same(X, eps, 5, weights, device, dtype)
    assert len(set(labels)) > 2
    w = None if weights is None else numpy(weights)
    cpu = ms.DBSCAN(eps, min_samples=5).fit(torch.from_numpy(X).to(dtype), sample_weight=w)
    np.testing.assert_array_equal(numpy(cpu.labels_), labels)


@examples(25)
@given(
    st.integers(1, 5), st.integers(1, 40), st.integers(1, 9), st.integers(0, 2**31), st.sampled_from([1.0, 0.1, 3.0])
)
def test_lattices(d, n, least, seed, step):
    """Distances of exactly eps, repeats, and many ties."""
    rng = np.random.default_rng(seed)
    X = step * rng.integers(0, 1 + int(n ** (1 / d)), (n, d))
    for eps in (step, step * 2**0.5, 2.0 * step):
        same(X, eps, least)
        same(X, eps, least, np.r_[1, rng.integers(-2, 4, n - 1)])


@pytest.mark.parametrize("d", [1, 2, 3, 4])
def test_one_far_outlier(device, d):
    X = crowds(400, d)
    for far in (1e9, -1e16, 1e100):
        X[17] = far
        labels = same(X, 0.3 * d, 5, device=device)
        assert labels[17] == -1
        assert labels.max() > 0


@pytest.mark.parametrize("offset", [1e6, 1e12])
def test_far_from_zero(device, offset):
    X = crowds(300, 2)
    same(np.c_[X[:, 0] + offset, X[:, 1] - offset], 0.5, 5, device=device)
    same(np.c_[X, X[:, :1]] + offset, 0.5, 5, device=device)


def test_duplicates_one_cell_one_row_and_tiny_eps(device):
    assert set(same(np.full((300, 2), 3.7), 1e-300, 5, device=device)) == {0}
    assert set(same(np.full((300, 4), -1e30), 1e-9, 301, device=device)) == {-1}
    assert set(same(crowds(300, 3), 1e6, 5, device=device)) == {0}
    assert set(same(crowds(300, 3), 1e13, 5, device=device)) == {0}
    assert same([[1.0, 2.0]], 0.5, 1, device=device).tolist() == [0]
    assert same([[1.0, 2.0]], 0.5, 2, device=device).tolist() == [-1]
    X = crowds(300, 2)
    labels = same(X, 1e-14, 2, device=device)
    assert labels[0] == labels[11] == 0
    same(np.repeat(X, 3, 0), 1e-14, 3, device=device)


@pytest.mark.parametrize("gap", [np.nextafter(1.0, 2.0), 1.0])
def test_crowded_cells_that_are_just_apart(device, gap):
    rng = np.random.default_rng(0)
    left, right = (np.c_[np.zeros(n), rng.uniform(0.0, 0.2, n)] for n in (200, 150))
    right[:, 0] = gap
    right[:, 1] += 10.0 * (gap > 1.0)
    left[0], right[0] = (0.0, 0.0), (gap, 0.0)
    labels = same(np.r_[left, right], 1.0, 5, device=device)
    assert labels.max() == int(gap > 1.0)


def test_long_chains_are_one_cluster(device):
    t = np.random.default_rng(0).permutation(900) * 0.9
    X = np.c_[np.cos(t / 300) * t, np.sin(t / 300) * t]
    labels = ms.DBSCAN(8.0, min_samples=2, device="torch").fit(torch.from_numpy(X).to(device)).labels_
    np.testing.assert_array_equal(numpy(labels), ms.DBSCAN(8.0, min_samples=2).fit(X).labels_)
    line = same(t[:200, None], 0.9 * 1.0001, 2, device=device)
    assert line.max() >= 0


def test_the_same_bits_every_time(device):
    X = torch.from_numpy(crowds(2000, 2)).to(device)
    first = ms.DBSCAN(0.2, device="torch").fit(X)
    for _ in range(3):
        again = ms.DBSCAN(0.2, device="torch").fit(X)
        assert torch.equal(first.labels_, again.labels_)
        assert torch.equal(first.components_, again.components_)


def test_pieces_of_any_size_give_the_same(monkeypatch):
    X, w = crowds(300, 2), np.random.default_rng(0).integers(-1, 4, 300)
    for module in (dbscan, dbscan_pairs):
        monkeypatch.setattr(module, "AT_ONCE", 97)
    monkeypatch.setattr(dbscan_pairs, "BLOCK", 31)
    monkeypatch.setattr(dbscan, "QUERIES", 13)
    monkeypatch.setattr(cells, "ROWS", 50)
    same(X, 0.5, 5, w)
    same(X, 0.5, 5)
    same(crowds(200, 5), 2.0, 5)


# ------------------------------------------------------------------------------------------- kinds of input


def test_what_comes_in_comes_back(device):
    X = crowds(200, 2).astype(np.float32)
    expected = ms.DBSCAN(0.5).fit(X)
    for given_ in (X, X.tolist(), np.asfortranarray(X), X[::-1][::-1]):
        model = ms.DBSCAN(0.5, device="torch" if device == "cpu" else "cuda").fit(given_)
        assert isinstance(model.labels_, np.ndarray)
        np.testing.assert_array_equal(model.labels_, expected.labels_)
        np.testing.assert_array_equal(model.components_, expected.components_)
        assert model.n_features_in_ == 2
    tensor = torch.from_numpy(X).to(device).requires_grad_()
    model = ms.DBSCAN(0.5, device="torch").fit(tensor)
    assert not model.components_.requires_grad
    assert model.components_.dtype == torch.float32
    half = ms.DBSCAN(0.5, device="torch").fit(tensor.detach().half().t().contiguous().t())
    np.testing.assert_array_equal(
        numpy(half.labels_), ms.DBSCAN(0.5).fit(X.astype(np.float16).astype(np.float32)).labels_
    )
    whole = ms.DBSCAN(1, device="torch").fit((tensor.detach() * 4).int())
    np.testing.assert_array_equal(numpy(whole.labels_), ms.DBSCAN(1).fit((X * 4).astype(int)).labels_)
    on_cpu = ms.DBSCAN(0.5, device="cpu").fit(tensor)
    assert on_cpu.labels_.device == tensor.device
    np.testing.assert_array_equal(numpy(on_cpu.labels_), expected.labels_)


def test_names_of_columns_are_kept():
    pandas = pytest.importorskip("pandas")
    model = ms.DBSCAN(0.5, device="torch").fit(pandas.DataFrame(crowds(50, 2), columns=["a", "b"]))
    assert model.feature_names_in_.tolist() == ["a", "b"]
    model.fit(torch.zeros(3, 1))
    assert model.n_features_in_ == 1
    assert not hasattr(model, "feature_names_in_")


def test_weights_of_any_kind(device):
    X = crowds(100, 2)
    tensor = torch.from_numpy(X).to(device)
    weights = np.random.default_rng(0).integers(0, 3, 100)
    expected = ms.DBSCAN(0.5).fit(X, sample_weight=weights).labels_
    for w in (weights, weights.tolist(), torch.from_numpy(weights).to(device), torch.from_numpy(weights).float()):
        labels = ms.DBSCAN(0.5, device="torch").fit_predict(tensor, sample_weight=w)
        np.testing.assert_array_equal(numpy(labels), expected)
    every = ms.DBSCAN(0.5, device="torch").fit(tensor, sample_weight=torch.tensor(5.0, device=device))
    assert len(every.core_sample_indices_) == 100
    for bad in (torch.ones(99), np.ones(99), [np.nan] * 100, torch.full((100,), torch.inf), torch.ones(100, 1)):
        with pytest.raises(ValueError, match=r"sample_weight|[Ss]ample weights"):
            ms.DBSCAN(0.5, device="torch").fit(tensor, sample_weight=bad)


@pytest.mark.parametrize(
    ("X", "settings", "error", "words"),
    [
        ([[np.nan, 1.0]], {}, ValueError, "NaN"),
        ([[1.0, np.inf]], {}, ValueError, "infinity"),
        ([1.0, 2.0], {}, ValueError, "2"),
        (np.zeros((0, 2)), {}, ValueError, "row|sample"),
        ([[0.0], [1e200]], {}, ValueError, "common scale"),
        ([[0.0], [1.0]], {"eps": 1e-200}, ValueError, "common scale"),
        ([[0.0], [1.0]], {"eps": 0.0}, ValueError, "eps"),
        ([[0.0], [1.0]], {"p": 3}, ValueError, "Euclidean"),
        ([[0.0], [1.0]], {"device": "gpu"}, ValueError, "device must be one of"),
        ([[0.0], [1.0]], {"device": 3}, TypeError, "device must be a name"),
    ],
)
@pytest.mark.parametrize("kind", [np.asarray, lambda X: torch.tensor(X, dtype=torch.float64)])
def test_bad_input_is_refused(X, settings, error, words, kind):
    with pytest.raises(error, match=words):
        ms.DBSCAN(**{"device": "torch"} | settings).fit(kind(X))


@pytest.mark.parametrize("make", [lambda X: X.to_sparse(), lambda X: X * 1j])
def test_tensors_that_are_no_table_of_numbers(make, device):
    with pytest.raises(TypeError, match=r"sparse|real numbers"):
        ms.DBSCAN(0.5, device="torch").fit(make(torch.eye(4, device=device)))


def test_a_device_without_float64_is_refused(monkeypatch):
    class Far:
        shape, device = (3, 2), torch.device("mps")

    with pytest.raises(ValueError, match=r"float64.*device=\"cpu\""):
        on_device.cluster(Far(), np.zeros((2, 2)), 0.5, 5, None)


def test_more_than_the_memory_is_told(monkeypatch):
    def full(*_):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(cells, "sort_cells", full)
    with pytest.raises(MemoryError, match=r"50 points of 2 columns in cells need .* GiB on cpu.*device=\"cpu\""):
        ms.DBSCAN(0.5, device="torch").fit(torch.from_numpy(crowds(50, 2)))


@pytest.mark.gpu
def test_nothing_but_counts_leaves_the_gpu(monkeypatch):
    X = torch.from_numpy(crowds(5000, 2)).cuda()
    moved, cpu = [], torch.Tensor.cpu
    monkeypatch.setattr(torch.Tensor, "cpu", lambda tensor: (moved.append(tensor.numel()), cpu(tensor))[1])
    labels = ms.DBSCAN(0.2).fit(X).labels_
    assert labels.is_cuda
    assert max(moved) <= 4


@pytest.mark.gpu
def test_many_points_on_a_gpu():
    X = torch.randn(300_000, 3, device="cuda", generator=torch.Generator("cuda").manual_seed(0))
    for eps in (0.02, 0.1):
        model = ms.DBSCAN(eps).fit(X)
        expected = ms.DBSCAN(eps, device="cpu").fit(X)
        assert torch.equal(model.labels_, expected.labels_)
        assert torch.equal(model.core_sample_indices_, expected.core_sample_indices_)


@parametrize_with_checks([ms.DBSCAN(device="torch")])
def test_scikit_learn_contract(estimator, check):
    check(estimator)
