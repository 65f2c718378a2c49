"""Sums over all points on a device: kernels against their twins, twins against the textbook, labels against the CPU."""

import os
import pickle
import subprocess
import sys
import warnings

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning

import modeseek as ms
from modeseek.engines.weights import as_kernel
from modeseek.fields.dense import DenseField
from modeseek.fields.traps import RADII, trap_radius
from modeseek.kernels import BUILT_IN
from tests.naive import lattice, mixture, moons, uniform, wide_mixture

torch = pytest.importorskip("torch")
from modeseek.engines.gpu import compact, moments, rounds, shift  # noqa: E402
from modeseek.engines.gpu.distinct import RowTable, distinct_rows, sums_by_group  # noqa: E402
from modeseek.on_device import field as device_field  # noqa: E402
from modeseek.on_device import modes as device_modes  # noqa: E402
from modeseek.on_device import rounds as device_rounds  # noqa: E402
from modeseek.on_device.blurring import cluster_by_blurring  # noqa: E402
from modeseek.on_device.field import PointsOnDevice  # noqa: E402
from modeseek.on_device.points import every_point  # noqa: E402
from modeseek.on_device.problem import DeviceProblem  # noqa: E402

ATOL = {torch.float32: 2e-5, torch.float64: 1e-12}  # of steps, in bandwidths
H = 2.5  # the notebook's


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """Small tensors: threads of Torch would wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def points(n, d, dtype, device, seed=0):
    generator = torch.Generator("cpu").manual_seed(seed)
    x = torch.randn(n, d, dtype=torch.float64, generator=generator) * (2.0 if d < 8 else 0.7)
    return x[compact.compact_order(x, 64)].to(dtype).to(device)


def queries_among(x, m):
    """Some near points, some between them, and one far from all."""
    q = x[: m - 1] + 0.1
    return torch.cat([q, x[:1] + 30.0])


def naive_sums(source, q):
    """By the definition, in NumPy and float64: steps, and logs of the sums."""
    x = source.points.double().cpu().numpy()
    q = q.double().cpu().numpy()
    w = np.ones(len(x)) if source.weights is None else source.weights[: source.n].double().cpu().numpy()
    r2 = ((q[:, None] - x[None]) ** 2).sum(axis=2) * float(source.inverse)
    if source.kernel == "gaussian":
        peak = (-0.5 * r2).max(axis=1)
        g = np.exp(-0.5 * r2 - peak[:, None]) * w
    else:
        peak = np.zeros(len(q))
        g = BUILT_IN[source.kernel].weight(np.sqrt(r2)) * w
    total = g.sum(axis=1)
    steps = np.divide(g @ x, total[:, None], where=total[:, None] > 0, out=q.copy()) - q
    with np.errstate(divide="ignore"):
        return steps, peak + np.log(total)


def logs(found):
    return (found.peaks.double() + found.totals.double().log()).cpu().numpy()


# ------------------------------------------------------------------------------------------ kernels and twins


CASES = [(d, "gaussian", d % 2 == 1) for d in (1, 2, 3, 7, 16, 33, 64)]
CASES += [(d, kernel, d == 2) for d in (2, 7, 20) for kernel in BUILT_IN if kernel != "gaussian"]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("d", "kernel", "weighted"), CASES)
def test_the_fused_kernel_its_twin_and_the_definition_agree(device, dtype, d, kernel, weighted):
    x = points(201, d, dtype, device)
    w = torch.linspace(0.1, 2.0, len(x), dtype=dtype, device=device) if weighted else None
    radius = 1.0 if kernel == "gaussian" else 3.0 * d**0.5
    source = shift.cloud(x, w, kernel=kernel, inverse=1.0 / radius**2)
    q = queries_among(x, 70)
    fused, plain = shift.fused(source, q), shift.plain(source, q)
    steps, log_sums = naive_sums(source, q)
    size = float(q.abs().max())
    among = shift.fused(source, q[:-1], relative=False), shift.plain(source, q[:-1], relative=False)
    for found in among:
        np.testing.assert_allclose(found.steps.double().cpu(), steps[:-1], atol=ATOL[dtype] * radius)
        np.testing.assert_allclose(logs(found), log_sums[:-1], atol=200 * torch.finfo(dtype).eps * max(1.0, d / 4))
    for found in (fused, plain):
        assert found.offsets.dtype == dtype
        np.testing.assert_allclose(found.steps[:-1].double().cpu(), steps[:-1], atol=ATOL[dtype] * radius)
        np.testing.assert_allclose(found.steps[-1].double().cpu(), steps[-1], atol=ATOL[dtype] * size * radius)
        atol = 1e3 * torch.finfo(dtype).eps * size**2  # squares of far distances
        np.testing.assert_allclose(logs(found), log_sums, rtol=1e3 * torch.finfo(dtype).eps, atol=atol)


@pytest.mark.parametrize(("n", "m"), [(1, 1), (1, 70), (64, 64), (65, 1), (129, 33), (300, 5)])
def test_any_number_of_points_and_queries(device, n, m):
    x = points(n, 3, torch.float64, device)
    source, q = shift.cloud(x), points(m, 3, torch.float64, device, seed=1)
    steps, _ = naive_sums(source, q)
    for found in (shift.fused(source, q), shift.plain(source, q), shift.sums(source, q)):
        np.testing.assert_allclose(found.steps.cpu(), steps, atol=1e-12)
    nothing = shift.sums(source, q[:0])
    assert nothing.offsets.shape == (0, 3)


@pytest.mark.parametrize("parts", [1, 2, 3, 7])
def test_parts_of_a_tile_are_added_in_order(device, parts):
    from modeseek.engines.triton import shift as kernels

    x = points(600, 2, torch.float64, device)
    source, q = shift.cloud(x), queries_among(x, 40)

    def run():
        raw = kernels.sums(
            q.T.contiguous(),
            source.columns,
            source.n,
            None,
            source.inverse,
            source.box,
            "gaussian",
            direct=True,
            parts=parts,
        )
        assert raw[1].shape == (parts, 40)
        return shift._added(*raw)

    first, again = run(), run()
    np.testing.assert_allclose(first.steps.cpu(), naive_sums(source, q)[0], atol=1e-11)
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))


@pytest.mark.parametrize("precision", ["ieee", "tf32x3", "tf32"])
def test_precisions(device, precision):
    x = points(200, 20, torch.float32, device)
    source = shift.cloud(x)
    found = shift.fused(source, x[:50], precision)
    atol = 2e-2 if precision == "tf32" else 2e-5
    np.testing.assert_allclose(found.steps.cpu(), naive_sums(source, x[:50])[0], atol=atol)


def test_chunks_of_queries_and_points_change_nothing(device, monkeypatch):
    x = points(3000, 4, torch.float64, device)
    source, q = shift.cloud(x), queries_among(x, 90)
    whole = shift.plain(source, q)
    monkeypatch.setattr(shift, "VALUES_AT_ONCE", {device: 1 << 10})
    cut = shift.plain(source, q)
    np.testing.assert_allclose(cut.steps.cpu(), whole.steps.cpu(), atol=1e-12)
    np.testing.assert_allclose(logs(cut), logs(whole), atol=1e-12)


@pytest.mark.parametrize("kernel", ["gaussian", "flat"])
def test_blocks_out_of_reach_are_left_out_and_nothing_else(device, monkeypatch, kernel):
    monkeypatch.setattr(shift, "WORTH_LISTS", 64)
    centres = torch.tensor([[0.0, 0], [50, 0], [0, 50], [50, 50]], dtype=torch.float64, device=device)
    x = (points(800, 2, torch.float64, device).view(4, 200, 2) + centres[:, None]).reshape(-1, 2)
    x = x[compact.compact_order(x, 64)]
    source = shift.cloud(x, kernel=kernel, reach=8.6 if kernel == "gaussian" else 1.0)
    starts, lists = shift._lists(source, x, 64)
    assert len(lists) < 0.5 * 13 * 13
    assert int(starts[-1]) == len(lists)
    pruned, whole = shift.fused(source, x), shift.fused(source, x, pruned=False)
    np.testing.assert_allclose(pruned.steps.cpu(), whole.steps.cpu(), atol=1e-12)
    np.testing.assert_allclose(pruned.totals.cpu(), whole.totals.cpu(), rtol=1e-12)
    too_short = shift.cloud(x, kernel=kernel, reach=0.0)
    assert not np.allclose(shift.fused(too_short, x).steps.cpu(), whole.steps.cpu(), atol=1e-6)


def test_lists_do_not_pay_where_everything_is_near(device, monkeypatch):
    monkeypatch.setattr(shift, "WORTH_LISTS", 64)
    x = points(500, 2, torch.float64, device)
    assert shift._lists(shift.cloud(x, reach=1e3), x, 64) is None


@pytest.mark.parametrize("n", [1, 64, 65, 127, 1000])
@pytest.mark.parametrize("d", [1, 2, 5])
def test_the_compact_order_is_an_order_and_compact(device, n, d):
    x = torch.rand(n, d, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).to(device)
    order = compact.compact_order(x, 64)
    assert torch.equal(order.sort()[0], torch.arange(n, device=device))
    low, high = compact.boxes(x[order], 64)
    assert (low >= 0).all()
    if n == 1000:
        scattered = compact.boxes(x, 64)
        assert (high - low).prod(dim=1).mean() < 0.7 * (scattered[1] - scattered[0]).prod(dim=1).mean()


def test_a_gpu_that_is_too_small_for_the_kernel_sums_in_plain_torch(device, monkeypatch):
    from triton.runtime.errors import OutOfResources

    def too_large(*_, **__):
        raise OutOfResources(200_000, 100_000, "shared memory")

    monkeypatch.setattr(shift.triton, "runs_on", lambda tensor: True)
    monkeypatch.setattr(shift, "fused", too_large)
    monkeypatch.setattr(shift, "_too_small", set())
    x = points(70, 3, torch.float64, device)
    source = shift.cloud(x)
    np.testing.assert_allclose(shift.sums(source, x).steps.cpu(), naive_sums(source, x)[0], atol=1e-12)
    assert not shift.fuses(x)
    assert shift.fuses(x.float())
    assert not shift.fuses(torch.zeros(3, 129))


def test_products_are_whole_whatever_the_user_has_set(device):
    x = points(300, 40, torch.float32, device)
    source = shift.cloud(x)
    torch.set_float32_matmul_precision("medium")
    try:
        found = shift.plain(source, x).steps
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision("highest")
    np.testing.assert_allclose(found.cpu(), naive_sums(source, x)[0], atol=2e-5)


def test_kernels_compile_for_a_gpu(tmp_path):
    """By NVIDIA's assembler, without hardware: shared memory fits, and little spills."""
    code = """
import torch
from tests.compiled import compiled_only
from modeseek.engines.gpu import rounds, shift
with compiled_only() as seen:
    shift.WORTH_LISTS = 1
    for dtype, d, kernel, relative in (
        (torch.float32, 64, "gaussian", False), (torch.float32, 20, "triangular", False),
        (torch.float64, 2, "gaussian", True), (torch.float64, 128, "gaussian", False),
    ):
        x = 9.0 * torch.arange(256, dtype=dtype)[:, None].expand(256, d).contiguous()
        shift.fused(shift.cloud(x, x[:, 0], kernel=kernel, reach=8.0), x, relative=relative)
    one = torch.zeros(1, 3)
    shift.fused(shift.cloud(one), one)
    rounds.fused(torch.zeros(256, 2), 1.0, 1, 128)
    rounds.fused(torch.zeros(256, 3, dtype=torch.float64), 1.0, 1, 256)
assert len(seen) == 8, seen
for name, needs in seen:
    assert needs["shared"] <= 227 * 1024 and needs["stack"] <= 512, (name, needs)
    assert needs["placed"] or name == "_round", name  # which are launched inside a graph, on its device
"""
    environment = {
        **os.environ, "TRITON_INTERPRET": "0", "TRITON_CACHE_DIR": str(tmp_path), "PYTHONPATH": ":".join(sys.path),
    }  # fmt: skip
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]


# ----------------------------------------------------------------------------------------- rows, and moments


def test_equal_rows_are_found(device):
    table = torch.tensor([[0.0, 1], [2, 3], [-0.0, 1], [2, 3], [5, 5]], dtype=torch.float64, device=device)
    number, first = distinct_rows(table)
    assert number.tolist() == [0, 1, 0, 1, 2]
    assert first.tolist() == [0, 1, 4]
    known = RowTable(table[first])
    assert known.find(table).tolist() == [0, 1, 0, 1, 2]
    assert known.find(table + 0.5).tolist() == [-1] * 5
    assert sums_by_group(torch.arange(5.0, device=device), number, 4).tolist() == [2.0, 4.0, 4.0, 0.0]


def test_rows_whose_hashes_are_the_same_are_told_apart(device, monkeypatch):
    monkeypatch.setattr("modeseek.engines.gpu.distinct.hashes", lambda table: torch.zeros_like(table[:, 0]).long())
    table = torch.tensor([[0.0, 1], [2, 3], [0.0, 1]], dtype=torch.float64, device=device)
    number, first = distinct_rows(table)
    assert (number.tolist(), first.tolist()) == ([0, 1, 0], [0, 1])


@pytest.mark.parametrize(("d", "make"), [(1, mixture), (3, mixture), (16, wide_mixture)])
@pytest.mark.parametrize("weighted", [False, True])
def test_second_moments_are_those_of_the_dense_field(device, d, make, weighted):
    X, h = make(400, d)
    w = np.random.default_rng(0).uniform(0.1, 2.0, 400) if weighted else np.ones(400)
    dense = DenseField(X.astype(float), w, h)
    near = dense.climb(X[:6].astype(float), tol=1e-10, max_iter=2000)[0]
    on_device = PointsOnDevice(torch.from_numpy(X).to(device), torch.from_numpy(w).to(device), h)
    steps, concave = on_device.newton(near + 0.01 * h)
    expected, expected_concave = dense.newton(near + 0.01 * h)
    np.testing.assert_allclose(steps, expected, atol=1e-9 * h)
    np.testing.assert_array_equal(concave, expected_concave)
    at_mode = on_device.tensor(near)
    bounds = moments.contractions(on_device.cloud, at_mode, (0.0, *RADII)).cpu().numpy()
    for z, q in zip(near, bounds, strict=True):
        y = (X.astype(float) - z) / h
        r = np.linalg.norm(y, axis=1)
        g = w * np.exp(-0.5 * r**2)
        for s, found in zip((0.0, *RADII), q, strict=True):
            gram = (y * (g * np.exp(s * r))[:, None]).T @ y / g.sum()
            np.testing.assert_allclose(found, np.linalg.eigvalsh(gram)[-1], rtol=1e-9)


def test_moments_in_small_chunks(device, monkeypatch):
    X, h = mixture(700, 3)
    field = PointsOnDevice(torch.from_numpy(X).to(device), None, h)
    places = field.starts[:9]
    whole = moments.hessians(field.cloud, places), moments.contractions(field.cloud, places, (0.5,))
    monkeypatch.setattr(moments, "VALUES_AT_ONCE", {device: 1 << 9})
    cut = moments.hessians(field.cloud, places), moments.contractions(field.cloud, places, (0.5,))
    np.testing.assert_allclose(cut[0][1].cpu(), whole[0][1].cpu(), atol=1e-12)
    np.testing.assert_allclose(cut[1].cpu(), whole[1].cpu(), rtol=1e-12)


def test_traps_are_as_large_as_those_of_the_cpu(device):
    X, h = mixture(500, 2)
    _, _, field = every_point(problem(X, h, device))
    assert not len(field.traps)
    finder = device_modes.DeviceModeFinder(field, tol=1e-3, max_iter=300)
    finder._add_traps(field.climb_rows(field.starts[::50], 1e-6, 1000).ends)
    scaled = field.cloud.points.cpu().numpy()
    for z, radius in zip(field.traps.centres.cpu().numpy(), field.traps.radii.tolist(), strict=True):
        of_cpu = trap_radius(scaled, np.ones(len(X)), np.arange(len(X)), z, 0.0)
        assert of_cpu * 0.999 <= radius <= of_cpu * 1.05 + 0.01  # the CPU bounds many small terms by their traces
        assert radius > 0.1


# ------------------------------------------------------------------------------------------------ every point


def problem(X, h, device, weights=None, **more):
    X = np.ascontiguousarray(X)
    w = None if weights is None else torch.as_tensor(weights, dtype=torch.float64, device=device)
    ends = np.array([X.min(axis=0), X.max(axis=0)], float)
    return DeviceProblem(torch.from_numpy(X).to(device), w, ends, h, **more)


def same_as_cpu(X, h, device, weights=None, kernel="gaussian", dtype=None):
    """Fit on both, compare, and return what the device found."""
    X = X if dtype is None else X.astype(dtype)
    model = ms.MeanShift(h, kernel=kernel, fidelity="exact").fit(X, sample_weight=weights)
    modes, labels, field = every_point(problem(X, h, device, weights, kernel=as_kernel(kernel)))
    np.testing.assert_array_equal(labels.cpu().numpy(), model.labels_)
    assert labels.dtype == torch.int32
    np.testing.assert_allclose(modes, model.cluster_centers_, atol=1e-5 * h + 1e-6 * np.abs(X).max())
    np.testing.assert_allclose(field.cluster_weights, model.cluster_weights_, rtol=1e-12)
    assert field.n_unsettled == 0
    assert field.n_iter > 0
    return model, modes, labels, field


SETS = [
    (1, mixture(500, 1)), (2, mixture(600, 2)), (2, uniform(500, 2)), (2, moons(300)), (3, mixture(700, 3)),
    (8, wide_mixture(500, 8)), (20, wide_mixture(400, 20)),
]  # fmt: skip


@pytest.mark.parametrize("with_traps", [False, True])
@pytest.mark.parametrize(("d", "data"), SETS)
def test_labels_are_those_of_the_cpu(device, monkeypatch, d, data, with_traps):
    if with_traps:
        monkeypatch.setattr(device_modes, "AT_ONCE", 64)
        monkeypatch.setattr(device_modes, "PILOTS", 16)
    X, h = data
    assert X.shape[1] == d
    model, modes, labels, field = same_as_cpu(X, h, device)
    assert (len(field.traps) > 0) == with_traps
    T = torch.from_numpy(np.ascontiguousarray(X)).to(device)
    assert torch.equal(field.label(T, modes), labels)
    rng = np.random.default_rng(1)
    Q = (X[:60] + rng.normal(size=(60, d)) * h).astype(X.dtype)
    np.testing.assert_array_equal(field.label(torch.from_numpy(Q).to(device), modes).cpu().numpy(), model.predict(Q))
    Q = np.concatenate([Q, np.full((1, d), 1e3 * h, X.dtype)])
    found = field.log_density(torch.from_numpy(Q).to(device))
    assert found.dtype == torch.float64
    np.testing.assert_allclose(found.cpu().numpy(), model.score_samples(Q), rtol=1e-9, atol=1e-8)


@pytest.mark.parametrize("kernel", [name for name in BUILT_IN if name != "gaussian"])
@pytest.mark.parametrize(("d", "data"), [(1, mixture(250, 1)), (2, lattice(900)), (3, mixture(250, 3)),
                                         (8, wide_mixture(200, 8))])  # fmt: skip
def test_labels_of_other_kernels_are_those_of_the_cpu(device, kernel, d, data):
    X, h = data
    _, modes, labels, field = same_as_cpu(X, h * BUILT_IN[kernel].of_gaussian(d), device, kernel=kernel)
    assert torch.equal(field.label(torch.from_numpy(X).to(device), modes), labels)
    with pytest.raises(ValueError, match="Gaussian"):
        field.log_density(torch.from_numpy(X).to(device))


@pytest.mark.parametrize("kernel", ["gaussian", "flat"])
def test_weights_and_repeats(device, kernel):
    X, h = mixture(300, 2)
    h *= BUILT_IN[kernel].of_gaussian(2)
    w = np.random.default_rng(0).integers(0, 4, 300).astype(float)
    same_as_cpu(X, h, device, w, kernel)
    _, labels, _ = every_point(problem(X, h, device, w, kernel=as_kernel(kernel)))
    twice = np.concatenate([X, X[::-1]])
    _, doubled, _ = every_point(problem(twice, h, device, np.concatenate([w, w[::-1]]), kernel=as_kernel(kernel)))
    assert torch.equal(doubled[:300], labels)
    assert torch.equal(doubled[300:].flip(0), labels)
    same_as_cpu(lattice(500)[0], H * BUILT_IN[kernel].of_gaussian(2), device, kernel=kernel)


@pytest.mark.parametrize("kernel", ["gaussian", "flat"])
@pytest.mark.parametrize("fused", [False, True])
def test_points_that_pull_nothing_far_from_all_others(device, monkeypatch, kernel, fused):
    if fused:
        for module in (shift, device_field):
            monkeypatch.setattr(module, "WORTH_LISTS", 65)
        monkeypatch.setattr(shift.triton, "runs_on", lambda tensor: True)
    X, h = mixture(120, 2)
    X[:2] = [[300.0, 300.0], [-4000.0, 10.0]]
    w = np.ones(120)
    w[:2] = 0.0
    same_as_cpu(X, h * BUILT_IN[kernel].of_gaussian(2), device, w, kernel)


@pytest.mark.parametrize("d", [2, 20])
def test_queries_far_out_cost_their_neighbours_nothing(device, d):
    X, h = (mixture if d == 2 else wide_mixture)(200, d)
    modes, labels, field = every_point(problem(X, h, device))
    Q = np.concatenate([X.astype(float) + 1e-9, np.full((2, d), 1e100), np.full((1, d), 1e160)])
    q = torch.from_numpy(Q).to(device)
    for sums in (shift.plain, shift.fused):
        steps = sums(field.cloud, field.into(q[:-2])).steps
        np.testing.assert_allclose(steps[:200].cpu(), sums(field.cloud, field.into(q[:200])).steps.cpu(), atol=1e-9)
    assert torch.equal(field.label(q, modes)[:200], labels)
    logs = field.log_density(q)
    np.testing.assert_allclose(logs[:200].cpu(), field.log_density(q[:200]).cpu(), rtol=1e-9)
    assert bool(torch.isfinite(logs[200:202]).all())
    assert float(logs[202]) == -np.inf


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_far_from_zero(device, dtype):
    X, h = mixture(300, 3)
    same_as_cpu(X + 4096.0, h, device, dtype=dtype)


@pytest.mark.parametrize("kernel", ["gaussian", "flat", "triangular"])
@pytest.mark.parametrize("X", [[[3.0]], [[1.0, 2], [1.0, 2]], [[0.0], [100.0]], [[0.0, 0], [0, 1], [1, 0], [1, 1]]])
def test_the_smallest_inputs(device, kernel, X):
    X = np.array(X)
    modes, labels, field = every_point(problem(X, 1.5, device, kernel=as_kernel(kernel)))
    model = ms.MeanShift(1.5, kernel=kernel, fidelity="exact").fit(X)
    np.testing.assert_array_equal(labels.cpu().numpy(), model.labels_)
    np.testing.assert_allclose(modes, model.cluster_centers_, atol=1e-9)
    assert torch.equal(field.label(torch.from_numpy(X).to(device), modes), labels)


def test_tiny_and_huge_bandwidths(device):
    X = mixture(150, 2)[0].astype(float)
    modes, labels, _ = every_point(problem(X, 1e-7, device))
    assert len(modes) == 150
    assert len(labels.unique()) == 150
    modes, labels, _ = every_point(problem(X, 1e6, device))
    np.testing.assert_allclose(modes, [X.mean(axis=0)], atol=1e-3)
    assert not labels.any()


@pytest.mark.parametrize("max_iter", [1, 2, 5])
def test_climbs_cut_short_are_counted(device, max_iter):
    X, h = uniform(200, 2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model = ms.MeanShift(h, fidelity="exact", max_iter=max_iter).fit(X)
    _, labels, field = every_point(problem(X, h, device, max_iter=max_iter))
    assert field.n_unsettled == model._clustering.n_unsettled
    assert field.n_iter == model.n_iter_
    assert len(labels.unique()) == len(model.cluster_centers_)


@pytest.mark.parametrize("kernel", ["gaussian", "epanechnikov"])
def test_every_kernel_launch_of_a_fit_and_its_pruning(device, monkeypatch, kernel):
    """A whole fit by the fused kernels, interpreted where there is no hardware."""
    for module in (shift, device_field):
        monkeypatch.setattr(module, "WORTH_LISTS", 65)
    monkeypatch.setattr(shift.triton, "runs_on", lambda tensor: True)
    monkeypatch.setattr(device_modes, "AT_ONCE", 64)
    monkeypatch.setattr(device_modes, "PILOTS", 16)
    X, h = mixture(150, 2)
    h *= BUILT_IN[kernel].of_gaussian(2)
    w = np.ones(150)
    w[:3] = 0.0
    model, modes, _, field = same_as_cpu(X, h, device, w, kernel)
    Q = np.concatenate([X[:3] + 0.25, [[200.0, 200.0]]]).astype(np.float32)
    np.testing.assert_array_equal(field.label(torch.from_numpy(Q).to(device), modes).cpu().numpy(), model.predict(Q))


def test_the_same_bits_every_time(device):
    X, h = uniform(400, 2)
    w = np.random.default_rng(0).uniform(0.5, 2.0, 400)
    first, again = (every_point(problem(X, h, device, w)) for _ in range(2))
    assert np.array_equal(first[0], again[0])
    assert torch.equal(first[1], again[1])


def test_what_a_device_cannot_compute_is_refused(device):
    X, h = mixture(30, 2)

    def weight(r):
        return max(0.0, 1.0 - r)

    with pytest.raises(ValueError, match=r"Python function.*device=\"cpu\""):
        every_point(problem(X, h, device, kernel=as_kernel(weight)))
    with pytest.raises(ValueError, match=r"needs float64, which device 'mps' lacks.*device=\"cpu\""):
        device_field.needs_float64("mps", "This")


# --------------------------------------------------------------------------------------------------- blurring


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("d", [1, 2, 3, 5])
@pytest.mark.parametrize("batch", [None, 1, 64, 1000])
def test_rounds_are_the_textbooks(device, dtype, d, batch):
    X, h = mixture(133, d)
    X = X.astype(dtype)
    tolerance = (1e-5 if dtype == np.float32 else 1e-12) * h
    size = batch or len(X)
    if size == 1:
        X = X[:20]
    update = "batch" if batch else "simultaneous"
    expected = ms.textbook.meanshift(X.astype(float), size, rounds=3, bandwidth=h, update=update)
    x = torch.from_numpy(X).to(device)
    before = x.clone()
    forms = [rounds.plain] + [rounds.fused] * (d <= 3)
    for form in forms:
        moved = form(x, h, 3, size)
        np.testing.assert_allclose(moved.cpu(), expected, atol=tolerance)
    moved, ends = rounds.blur_few(x, h, 3, size)
    np.testing.assert_allclose(moved.cpu(), expected, atol=tolerance)
    np.testing.assert_array_equal(ends, [X.min(axis=0), X.max(axis=0)])
    assert torch.equal(x, before)


def on(device, X):
    """The input of a function that is to work on a device, and the device to name."""
    return (torch.from_numpy(X).to(device), device) if device == "cuda" else (X, "torch")


@pytest.mark.parametrize("batch_size", [None, 5, 500, 1250])
def test_the_notebook(device, batch_size):
    _, X = ms.textbook.make_data()
    update = "batch" if batch_size else "simultaneous"
    if batch_size == 5:
        X = X[::5].copy()
    given, name = on(device, X)
    moved = ms.blur(given, H, batch_size=batch_size, device=name)
    again = ms.blur(given, H, batch_size=batch_size, device=name)
    assert type(moved) is type(given)
    assert moved.dtype == given.dtype
    expected = ms.textbook.meanshift(X.astype(float), batch_size or len(X), update=update)
    moved, again = (np.asarray(m.cpu()) if device == "cuda" else m for m in (moved, again))
    np.testing.assert_allclose(moved, expected, atol=1e-5 * H)
    np.testing.assert_array_equal(moved, again)
    for c, label in zip(*np.unique((expected / 0.1).round(), axis=0, return_inverse=True), strict=False):
        assert c.shape == (2,)
        assert label < len(X)


def test_the_notebooks_printed_step(device):
    """num / div of the notebook: five points, weights of gaussian(d, 2), to the digits printed."""
    _, X = ms.textbook.make_data()
    source = shift.cloud(torch.from_numpy(X).to(device) / 2.0)
    printed = [[26.376, 27.692], [26.101, 29.643], [28.892, 28.990], [26.071, 29.559], [29.323, 29.685]]
    q = torch.from_numpy(X[:5]).to(device) / 2.0
    for found in (shift.fused(source, q), shift.plain(source, q)):
        np.testing.assert_allclose((2.0 * (q + found.steps)).cpu(), printed, atol=6e-4)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("batch_size", [None, 70])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_blurring_on_a_device_is_that_of_the_cpu(device, dtype, batch_size, weighted):
    X, h = mixture(400, 3)
    X = X.astype(dtype)
    w = np.random.default_rng(0).integers(0, 3, 400).astype(float) if weighted else None
    given, name = on(device, X)
    moved = ms.blur(given, h, n_rounds=4, batch_size=batch_size, sample_weight=w, device=name)
    moved = np.asarray(moved.cpu()) if device == "cuda" else moved
    expected = ms.blur(X.astype(float), h, n_rounds=4, batch_size=batch_size, sample_weight=w)
    np.testing.assert_allclose(moved, expected, atol=1e-5 * h)


def test_weights_of_very_different_size(device):
    X, h = mixture(200, 2)
    w = 10.0 ** np.random.default_rng(0).uniform(-20, 20, 200)
    given, name = on(device, X)
    moved = ms.blur(given, h, n_rounds=1, sample_weight=w, device=name)
    moved = np.asarray(moved.cpu()) if device == "cuda" else moved
    np.testing.assert_allclose(moved, ms.blur(X, h, n_rounds=1, sample_weight=w), atol=1e-5 * h)


def test_tensors_stay_tensors_and_are_left_as_they_are(device):
    X = torch.from_numpy(mixture(100, 2)[0]).to(device)
    X.requires_grad_(True)
    moved = ms.blur(X[:, [1, 0]].T.contiguous().T, 0.9, device="torch")  # not contiguous, and carries a gradient
    assert isinstance(moved, torch.Tensor)
    assert not moved.requires_grad
    assert moved.device == X.device
    np.testing.assert_allclose(moved[:, [1, 0]].cpu(), ms.blur(X, 0.9, device="torch").cpu(), atol=1e-6)
    np.testing.assert_allclose(ms.blur(X, 0.9, device="cpu").cpu(), ms.blur(X, 0.9, device="torch").cpu(), atol=1e-5)
    assert torch.equal(ms.blur(X, 0.9, n_rounds=0, device="torch"), X.detach())
    assert ms.blur(X.half(), 0.9, device="torch").dtype == torch.float32


def test_float32_that_is_too_coarse_is_summed_in_float64(device):
    X, h = mixture(200, 2)
    there = (X + np.float32(1e5)).astype(np.float32)
    given, name = on(device, there)
    moved = ms.blur(given, h, device=name)
    moved = np.asarray(moved.cpu()) if device == "cuda" else moved
    np.testing.assert_array_equal(moved, ms.blur(there, h))


@pytest.mark.parametrize("spread", [1.0, 30.0])
def test_many_columns_are_summed_in_float32_only_where_squares_do_not_cancel(device, spread):
    rng = np.random.default_rng(0)
    X = (rng.normal(size=(12, 24))[rng.integers(0, 12, 200)] * spread + rng.normal(size=(200, 24))).astype(np.float32)
    h = 2.0
    given, name = on(device, X)
    moved = ms.blur(given, h, n_rounds=2, device=name)
    moved = np.asarray(moved.cpu()) if device == "cuda" else moved
    np.testing.assert_allclose(moved, ms.blur(X.astype(float), h, n_rounds=2), atol=1e-5 * h)
    assert rounds.resolved(torch.float32, np.array([X.min(axis=0), X.max(axis=0)], float), h) == (spread == 1.0)


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_what_is_not_finite_is_refused(device, dtype, value):
    X = mixture(50, 2)[0].astype(dtype)
    X[7, 1] = value
    given, name = on(device, X)
    with pytest.raises(ValueError, match="first at row 7, column 1"):
        ms.blur(given, 1.0, device=name)


def test_bandwidths_that_cannot_be_resolved_are_refused(device):
    given, name = on(device, mixture(50, 2)[0])
    with pytest.raises(ValueError, match="cannot resolve"):
        ms.blur(given, 1e-25, device=name)
    np.testing.assert_array_equal(np.asarray(ms.blur([[3.0]], 1.0, device=name)), [[3.0]])


@pytest.mark.parametrize("batch_size", [None, 150])
@pytest.mark.parametrize("data", [mixture(300, 1), mixture(400, 2), lattice(500), uniform(200, 2), mixture(300, 5)])
def test_clusters_of_blurring_are_those_of_the_cpu(device, data, batch_size):
    X, h = data
    model = ms.MeanShift(h, blurring=True, batch_size=batch_size).fit(X)
    given = problem(X.copy(), h, device)
    found = cluster_by_blurring(given, batch_size)
    np.testing.assert_array_equal(found.labels.cpu().numpy(), model.labels_)
    np.testing.assert_allclose(found.centers, model.cluster_centers_, atol=1e-5 * h)
    np.testing.assert_allclose(found.cluster_weights, model.cluster_weights_)
    assert (found.n_iter, found.n_unsettled) == (model.n_iter_, 0)
    given.points.add_(1.0)  # the model does not see what becomes of the data
    assert torch.equal(found.label(torch.from_numpy(X).to(device)), found.labels)
    Q = (X[:40] + 0.4 * h).astype(X.dtype)
    q = torch.from_numpy(Q).to(device)
    np.testing.assert_array_equal(found.label(q).cpu().numpy(), model.predict(Q))
    np.testing.assert_allclose(found.path(q).cpu().numpy(), model.path(Q), atol=1e-5 * h)
    np.testing.assert_allclose(found.log_density(q).cpu().numpy(), model.score_samples(Q), rtol=1e-9)


def test_what_was_found_can_be_pickled(device):
    X, h = mixture(80, 2)
    given = problem(X, h, device, report=lambda stage: None)
    modes, labels, field = every_point(given)
    assert torch.equal(pickle.loads(pickle.dumps(field)).label(given.points, modes), labels)
    found = cluster_by_blurring(given)
    again = pickle.loads(pickle.dumps(found))
    assert torch.equal(again.label(given.points + 0.1), found.label(given.points + 0.1))


def test_blurring_with_weights_and_points_that_pull_nothing(device):
    X, h = mixture(300, 2)
    w = np.random.default_rng(0).integers(0, 3, 300).astype(float)
    model = ms.MeanShift(h, blurring=True).fit(X, sample_weight=w)
    found = cluster_by_blurring(problem(X, h, device, w))
    np.testing.assert_array_equal(found.labels.cpu().numpy(), model.labels_)
    np.testing.assert_allclose(found.cluster_weights, model.cluster_weights_)


def test_blurring_by_the_fused_kernel_in_compact_order(device, monkeypatch):
    for module in (shift, device_rounds):
        monkeypatch.setattr(module, "WORTH_LISTS", 128)
    monkeypatch.setattr(shift.triton, "runs_on", lambda tensor: True)
    X, h = mixture(200, 2)
    found = cluster_by_blurring(problem(X, h, device))
    np.testing.assert_array_equal(found.labels.cpu().numpy(), ms.MeanShift(h, blurring=True).fit(X).labels_)


@pytest.mark.gpu
def test_rounds_are_recorded_once_for_a_shape():
    rounds._recorded.clear()
    x = torch.from_numpy(ms.textbook.make_data()[1]).cuda()
    first = rounds.blur_few(x, H, 5, len(x))[0]
    assert len(rounds._recorded) == 1
    other = rounds.blur_few(x + 1.0, H, 5, len(x))[0]
    assert len(rounds._recorded) == 1
    torch.testing.assert_close(other - 1.0, first, rtol=0, atol=1e-4)
    torch.testing.assert_close(first, rounds.fused(x, H, 5, len(x)), rtol=0, atol=0)
    for size in range(rounds.KEPT + 2):
        rounds.blur_few(x, H, 1, 100 + size)
    assert len(rounds._recorded) == rounds.KEPT
