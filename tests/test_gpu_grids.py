"""Mean shift on grids of a device: every kernel against its twin, twins against the CPU, fits against fits."""

import copy
import os
import pickle
import subprocess
import sys
import warnings

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.utils.estimator_checks import parametrize_with_checks

import modeseek as ms
from modeseek import proven
from modeseek.fields import REACH
from modeseek.fields.grid import sums_over_points
from modeseek.label import UNKNOWN, CellLabels
from modeseek.pipeline import SPACINGS, by_table
from modeseek.prepare import affordable_spacings
from modeseek.result import Problem
from modeseek.scale_space import as_counts, evenly
from modeseek.sketch import UNIT_BITS, bin_points
from tests import naive
from tests.contract import WithoutStreams, expected_failures

torch = pytest.importorskip("torch")
pytest.importorskip("triton")
from modeseek.engines.gpu import columns, density, deposit, lookup, sums  # noqa: E402
from modeseek.engines.triton import deposit as deposit_kernels  # noqa: E402
from modeseek.engines.triton import lookup as lookup_kernels  # noqa: E402
from modeseek.engines.triton import sums as sums_kernels  # noqa: E402
from modeseek.on_device import grids, routes  # noqa: E402
from modeseek.on_device.grids import GridProblem, bin_tensor, table_on  # noqa: E402
from modeseek.on_device.problem import DeviceProblem  # noqa: E402

UNIT = 2.0**UNIT_BITS
FLOATS = [np.float32, np.float64]


def mixture(n, d, seed=0, dtype=np.float64):
    rng = np.random.default_rng(seed)
    centres = rng.uniform(-7, 7, (5, d))
    return (centres[rng.integers(5, size=n)] + rng.normal(size=(n, d))).astype(dtype)


def on(device, *arrays):
    return [None if a is None else torch.tensor(a, device=device) for a in arrays]


def bounds_of(X):
    return np.array([X.min(axis=0), X.max(axis=0)], np.float64)


def problems(X, h, device, weights=None, **options):
    """The same problem for the CPU and for a device."""
    tensor, own = on(device, X, weights)
    of_cpu = Problem(X, np.empty(0) if weights is None else weights, bounds_of(X), h, **options)
    return of_cpu, GridProblem.of(DeviceProblem(tensor, own, bounds_of(X), h, **options))


# ---- deposits ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("degree", [2, 3])
@pytest.mark.parametrize("d", [1, 2, 3])
def test_masses_are_those_of_the_cpu(device, d, degree, dtype):
    X = mixture(2000, d, dtype=dtype) + dtype(1e3)
    for weights in (None, np.random.default_rng(1).uniform(0.0, 2.0, len(X))):
        sketch = ms.DensitySketch(0.7, spacing=0.25, origin=X.min(axis=0), degree=degree).add(X, weights)
        lattice = deposit.lattice_of(sketch.origin, sketch.delta, sketch.box.lower, sketch.box.shape)
        found = deposit.deposit_twin(*on(device, X, weights), lattice, UNIT, degree).cpu().numpy()
        total = len(X) if weights is None else weights.sum()
        assert found.sum() == pytest.approx(UNIT * total, rel=1e-7)
        # one unit for each point that may have been rounded another way at a node: hardly any
        assert np.abs(found - sketch.masses.reshape(-1)).sum() <= 4
        device_sketch = ms.DensitySketch(0.7, spacing=0.25, origin=X.min(axis=0), degree=degree)
        device_sketch.add(on(device, X)[0], weights, device="torch")
        assert np.array_equal(device_sketch.masses.reshape(-1), found)
        assert device_sketch.box == sketch.box


@pytest.mark.parametrize("n", [1, 63, 90])
@pytest.mark.parametrize("degree", [2, 3])
@pytest.mark.parametrize("d", [1, 2, 3])
def test_the_kernel_deposits_what_its_twin_does(device, d, degree, n):
    X = mixture(n, d, dtype=FLOATS[n % 2])
    w = np.random.default_rng(2).uniform(0.5, 1.0, n)
    delta, origin = 0.5, np.full(d, 0.3)
    lower = tuple(int(v) - 4 for v in np.floor((X.min(axis=0) - origin) / delta))
    shape = tuple(int(v) + 9 for v in np.ceil(np.ptp(X, axis=0) / delta))
    lattice = deposit.lattice_of(origin, delta, lower, shape)
    for weights in (None, w):
        args = (*on(device, X, weights), lattice, UNIT, degree)
        wanted = deposit.deposit_twin(*args)
        assert float(wanted.sum()) == pytest.approx(UNIT * (n if weights is None else w.sum()), rel=1e-7)
        for patched, copies in ((False, 1), (False, 3), (True, 2)):
            found = deposit_kernels.deposit(*args, patched=patched, copies=copies)
            assert torch.equal(found, wanted)  # every product is rounded in both


def test_bins_are_those_of_the_cpu(device):
    X = mixture(60_000, 2, dtype=np.float32)
    bounds, h = bounds_of(X), 6.0
    wanted, found = bin_points(X, bounds, 0.5 * h), bin_tensor(on(device, X)[0], bounds, 0.5 * h)
    np.testing.assert_array_equal(found.counts, wanted.counts)
    np.testing.assert_allclose(found.means, wanted.means, rtol=0, atol=1e-5 * h)
    assert found.lost_variance == pytest.approx(wanted.lost_variance, rel=1e-3)
    assert bin_tensor(on(device, X[:100])[0], bounds, 0.5 * h) is None
    corner, shape = tuple(bounds[0] - 1.0), (40, 45)
    args = (on(device, X[:777])[0], corner, 1.0, shape)
    assert torch.equal(deposit_kernels.count_bins(*args, copies=2), deposit.count_bins(*args))


# ---- labels ------------------------------------------------------------------------------------------------------


def table_of(d, rng, split=4, mixed=9):
    shape = (7, 5, 4)[:d]
    cells = rng.integers(-1, 3, np.prod(shape)).astype(np.int32)
    cells[:mixed] = -2 - rng.permutation(mixed)
    blocks = rng.integers(-1, 3, mixed * split**d).astype(np.int32)
    box = ms.sketch.Box(tuple(range(-3, d - 3)), shape)
    return CellLabels(np.full(d, 0.1), 0.5, box, split, cells, blocks)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("d", [1, 2, 3])
def test_labels_are_looked_up_as_on_the_cpu(device, d, dtype):
    rng = np.random.default_rng(d)
    for mixed in (9 if d > 1 else 3, 0):
        table = table_of(d, rng, mixed=mixed)
        X = rng.uniform(-4, 4, (1500, d)).astype(dtype)
        X[:3] = [[1e30], [-1e30], [table.geometry()[0][0]]][:3]
        wanted = np.empty(len(X), np.int32)
        counts = table.assign(X, wanted)
        tensor = on(device, X)[0]
        found, numbers = lookup.label(tensor, table_on(tensor, table), table.highest() + 1)
        np.testing.assert_array_equal(found.cpu().numpy(), wanted)
        np.testing.assert_array_equal(numbers, [counts.unknown, *counts.members])
        np.testing.assert_array_equal(lookup.unknown_rows(found), np.flatnonzero(wanted == UNKNOWN))
        for n in (1, 1500):
            out = torch.empty(n, dtype=torch.int32, device=device)
            counted = lookup_kernels.label(tensor[:n].contiguous(), table_on(tensor, table), out, 3)
            np.testing.assert_array_equal(out.cpu().numpy(), wanted[:n])
            np.testing.assert_array_equal(counted.cpu().numpy(), np.bincount(wanted[:n] + 1, minlength=4))
            assert lookup_kernels.label(tensor[:n].contiguous(), table_on(tensor, table), out, None) is None


def test_labels_are_renamed_and_weighed(device):
    rng = np.random.default_rng(0)
    labels = rng.integers(-1, 6, 2500).astype(np.int32)
    names, weights = np.array([3, 1, 0, 5, 4, 2], np.int32), rng.uniform(0, 3, len(labels))
    wanted = np.append(names, names[-1])[labels]
    tensor = on(device, labels)[0]
    lookup.rename(tensor, names)
    np.testing.assert_array_equal(tensor.cpu().numpy(), wanted)
    tensor = on(device, labels)[0]
    lookup_kernels.rename(tensor, on(device, np.append(names[-1:], names))[0])
    np.testing.assert_array_equal(tensor.cpu().numpy(), wanted)
    known = np.maximum(labels, 0)
    found = lookup.weigh(*on(device, known, weights), 6)
    np.testing.assert_allclose(found, np.bincount(known, weights, 6), rtol=1e-8)
    np.testing.assert_array_equal(lookup.count(tensor, 6), np.bincount(wanted + 1, minlength=7))


# ---- sums, columns -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("d", [1, 2, 3])
def test_sums_over_all_points(device, d, monkeypatch):
    X, h = mixture(301, d), 0.6
    rng = np.random.default_rng(3)
    places = np.concatenate([X[:4] + 0.1, [np.full(d, 500.0)]])
    for weights in (None, rng.uniform(0, 2, len(X))):
        wanted = sums_over_points(X, np.empty(0) if weights is None else weights, h, places, None)
        args = (*on(device, X, weights), h)
        monkeypatch.setattr(sums, "PAIRS", 600)
        found = sums.sums_over(*args, places, REACH)
        np.testing.assert_allclose(found, wanted, rtol=1e-12, atol=1e-13)
        assert (found[-1] == 0.0).all()
        monkeypatch.setattr(sums_kernels, "SLICE", 128)
        kernel = sums_kernels.sums_over(*args, *on(device, places), REACH)
        np.testing.assert_allclose(kernel.cpu().numpy(), wanted, rtol=1e-12, atol=1e-13)


def test_columns_are_whitened_and_few_rows_stand_for_all(device):
    X, rng = mixture(4000, 3) + 100.0, np.random.default_rng(1)
    w = rng.integers(1, 4, len(X)).astype(float)
    factor = np.linalg.cholesky(np.cov(X.T))
    white = ms.geometry.Whitened(X.mean(axis=0), factor)
    tensor, own = on(device, X, w)
    np.testing.assert_array_equal(white.into(tensor).cpu().numpy(), white.into(X))
    for weights, t in ((np.empty(0), None), (w, own)):
        total, variance = ms.rules.variances(X, weights)
        found = ms.rules.variances(tensor, t)
        assert found[0] == total
        np.testing.assert_allclose(found[1], variance, rtol=1e-12)
        np.testing.assert_array_equal(columns.evenly(tensor, t, 100), evenly(X, weights, 100))
    fractions = rng.uniform(0.5, 1.5, len(X))
    found = columns.as_counts(on(device, fractions)[0]).cpu().numpy()
    np.testing.assert_allclose(found, as_counts(fractions), rtol=1e-12)


def test_a_table_is_read_as_on_the_cpu(device):
    from scipy.ndimage import map_coordinates

    rng = np.random.default_rng(0)
    for d in (1, 2, 3):
        table = rng.normal(size=(9, 8, 7)[:d])
        X = rng.uniform(0, 4, (300, d))
        found = density.interpolate(on(device, X)[0], np.zeros(d), 0.5, on(device, table)[0]).cpu().numpy()
        u = X / 0.5
        inside = ((u >= 1) & (u < np.array(table.shape) - 2)).all(axis=1)
        wanted = np.where(inside, map_coordinates(table, u.T, order=3, prefilter=False, mode="grid-constant"), 0.0)
        np.testing.assert_allclose(found, wanted, atol=1e-12)


# ---- routes ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize(("d", "n", "h"), [(1, 20_000, 0.4), (2, 20_000, 0.5), (3, 3000, 1.4)])
def test_certified_labels_are_those_of_the_cpu(device, d, n, h, dtype):
    X = mixture(n, d, dtype=dtype)
    weights = np.random.default_rng(4).uniform(0.5, 2.0, n) if dtype is np.float64 else None
    cpu, gpu = problems(X, h, device, weights)
    wanted, found = proven.by_proof(cpu), proven.by_proof(gpu)
    decided = (wanted.certificate.status() < 3) & (found.certificate.status() < 3)
    assert decided.mean() > 0.999
    np.testing.assert_array_equal(found.labels.cpu().numpy()[decided], wanted.labels[decided])
    np.testing.assert_allclose(found.modes, wanted.modes, atol=1e-8 * h)
    np.testing.assert_allclose(found.weights, wanted.weights, rtol=1e-8)
    again = grids.label(found, gpu.tensor, **gpu.climbing)
    assert torch.equal(again, found.labels)


def test_certified_labels_are_those_of_plain_climbs(device):
    X, h = naive.moons(1200)
    _, gpu = problems(X, h, device)
    found = proven.by_proof(gpu)
    labels, status = found.labels.cpu().numpy(), found.certificate.status()
    rows = np.flatnonzero(status < 3)[::40]
    x = X[rows].astype(np.float64)
    for _ in range(4000):
        g = np.exp(-0.5 * ((x[:, None] - X[None]) ** 2).sum(axis=2) / h**2)
        moved = g @ X / g.sum(axis=1)[:, None]
        if np.abs(moved - x).max() < 1e-9:
            break
        x = moved
    nearest = ((x[:, None] - found.modes[None]) ** 2).sum(axis=2).argmin(axis=1)
    np.testing.assert_array_equal(labels[rows], nearest)


@pytest.mark.parametrize("binned", [False, True])
@pytest.mark.parametrize(("d", "n", "h"), [(1, 5000, 1.0), (2, 20_000, 1.5), (3, 100_000, 4.0)])
def test_fast_labels_are_those_of_the_cpu(device, d, n, h, binned, monkeypatch):
    monkeypatch.setattr(grids, "POINTS_PER_BIN", 0.1 if binned else n)
    cpu, gpu = problems(mixture(n, d, dtype=np.float32), h, device)
    spacing = affordable_spacings(cpu, SPACINGS[d])[-1]
    assert (gpu.bins(spacing * h) is not None) == binned
    wanted, found = by_table(cpu, spacing), by_table(gpu, spacing)
    assert (found.labels.cpu().numpy() != wanted.labels).mean() < 1e-3
    np.testing.assert_allclose(found.modes, wanted.modes, atol=2e-3 * h)


def test_open_points_climb_exactly_on_the_device(device, monkeypatch):
    """Where tubes of points settle nothing, steps over all points on the device do."""
    X, h = mixture(3000, 2), 0.5
    cpu, gpu = problems(X, h, device)
    spacings = proven.tables(cpu)[:1]
    monkeypatch.setattr(proven, "tables", lambda problem: spacings)
    lost = []
    for steps in (proven.STEP_PAIRS, 0):
        monkeypatch.setattr(proven, "STEP_PAIRS", steps)
        wanted, found = proven.by_proof(cpu), proven.by_proof(gpu)
        lost.append(found.certificate.climbed)
        np.testing.assert_array_equal(found.labels.cpu().numpy(), wanted.labels)
    assert min(lost) > 0


def test_finer_sub_cells_leave_fewer_points_open(device, monkeypatch):
    X, h = mixture(60_000, 2, dtype=np.float32), 0.5
    cpu, gpu = problems(X, h, device)
    plain = proven.by_proof(gpu)
    monkeypatch.setattr(proven, "CROWDED", 0)
    found = proven.by_proof(gpu)
    np.testing.assert_array_equal(found.labels.cpu().numpy(), proven.by_proof(cpu).labels)
    assert found.certificate.interior >= plain.certificate.interior


def test_the_points_stay_on_the_device(device, monkeypatch):
    """Of all the numbers of the points only a small share leaves, and few of the labels."""
    X = mixture(300_000, 2, dtype=np.float32)
    tensor = on(device, X)[0]
    left = {"points": 0, "labels": 0}
    names = ("cpu", "tolist", "__array__") if device == "cpu" else ("cpu", "to", "tolist", "__array__")
    for name in names:
        original = getattr(torch.Tensor, name)

        def counted(self, *args, original=original, name=name, **kwargs):
            if name != "to" or (args and str(args[0]) == "cpu"):
                left["points"] += self.numel() * (self.is_floating_point() and self.shape[1:] == (2,))
                left["labels"] += self.numel() * (self.dtype == torch.int32)
            return original(self, *args, **kwargs)

        monkeypatch.setattr(torch.Tensor, name, counted)
    model = ms.MeanShift(0.8, device="torch").fit(tensor)
    assert isinstance(model.labels_, torch.Tensor)
    assert model.certificate_.interior < len(X)
    assert 0 < left["points"] < 0.15 * X.size
    assert left["labels"] == 0
    left["points"] = 0
    fast = ms.MeanShift(0.8, fidelity="fast", device="torch").fit(tensor)
    assert left["points"] < 0.5 * X.size  # the sample that the variance within bins is taken from
    assert torch.equal(fast.predict(tensor), fast.labels_)


# ---- the estimator -----------------------------------------------------------------------------------------------


SETTINGS = [
    {"bandwidth": 0.5},
    {"bandwidth": 0.5, "fidelity": "fast"},
    {"bandwidth": None},
    {"bandwidth": "silverman"},
    {"bandwidth": [0.4, 0.6]},
    {"bandwidth": [[0.25, 0.05], [0.05, 0.3]]},
    {"bandwidth": 0.15, "standardize": True},
    {"bandwidth": 0.35, "min_cluster_size": 20},
    {"bandwidth": 0.35, "min_cluster_size": 20, "cluster_all": False},
    {"bandwidth": 0.4, "merge": "persistence", "min_persistence": 0.3},
]


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda s: ",".join(f"{k}={v}" for k, v in s.items()))
def test_a_fit_on_a_device_is_that_of_the_cpu(device, setting):
    X = mixture(2500, 2)
    tensor = on(device, X)[0]
    wanted = ms.MeanShift(**setting).fit(X)
    model = ms.MeanShift(**setting, device="torch").fit(tensor)
    assert model.labels_.device == tensor.device
    assert model.labels_.dtype == torch.int32
    differ = (model.labels_.cpu().numpy() != wanted.labels_).mean()
    assert differ <= (2e-3 if setting.get("fidelity") == "fast" else 0.0)
    np.testing.assert_allclose(model.cluster_centers_.cpu().numpy(), wanted.cluster_centers_, atol=1e-7)
    np.testing.assert_allclose(model.bandwidth_, wanted.bandwidth_, rtol=1e-9)
    np.testing.assert_allclose(model.cluster_weights_.cpu().numpy(), wanted.cluster_weights_, rtol=2e-2)
    assert torch.equal(model.predict(tensor), model.labels_)
    elsewhere = np.concatenate([X[:40] + 0.2, [[50.0, -50.0]]])
    found = model.predict(on(device, elsewhere)[0]).cpu().numpy()
    assert (found != wanted.predict(elsewhere)).mean() <= (0.05 if setting.get("fidelity") == "fast" else 0.0)
    logs = model.score_samples(on(device, elsewhere)[0])
    np.testing.assert_allclose(logs.cpu().numpy(), wanted.score_samples(elsewhere), rtol=1e-6, atol=1e-6)


def test_what_is_kept_can_be_copied_and_asked_in_numpy(device):
    X = mixture(2500, 2)
    tensor = on(device, X)[0]
    model = ms.MeanShift(0.35, min_cluster_size=20, cluster_all=False, device="torch").fit(tensor)
    for other in (pickle.loads(pickle.dumps(model)), copy.deepcopy(model)):
        assert torch.equal(other.predict(tensor), model.labels_)
        assert torch.equal(other.labels_, model.labels_)
    assert clone(model).get_params() == model.get_params()
    in_numpy = model.set_params(device="auto").predict(X)
    assert isinstance(in_numpy, np.ndarray)
    np.testing.assert_array_equal(in_numpy, model.labels_.cpu().numpy())
    assert model.path(tensor[:2]).shape[1:] == (2, 2)


def test_numpy_in_numpy_out_and_names_of_columns(device):
    pandas = pytest.importorskip("pandas")
    X = mixture(2000, 2)
    where = "torch" if device == "cpu" else device
    frame = pandas.DataFrame(X, columns=["a", "b"])
    model = ms.MeanShift(0.5, device=where).fit(frame)
    assert isinstance(model.labels_, np.ndarray)
    assert list(model.feature_names_in_) == ["a", "b"]
    np.testing.assert_array_equal(model.labels_, ms.MeanShift(0.5).fit(X).labels_)
    np.testing.assert_array_equal(model.predict(frame), model.labels_)
    with pytest.raises(ValueError, match="feature"):
        model.predict(X[:, :1])
    centers, labels = ms.mean_shift(X, bandwidth=0.5, device=where)
    np.testing.assert_array_equal(labels, model.labels_)
    assert isinstance(centers, np.ndarray)


class Lent:
    """An array of another library that lies on a device, as CuPy's do: by DLPack alone."""

    def __init__(self, tensor):
        self.tensor = tensor

    def __dlpack__(self, **options):
        return self.tensor.__dlpack__(**options)

    def __dlpack_device__(self):
        return self.tensor.__dlpack_device__()


@pytest.mark.gpu
def test_arrays_of_other_libraries_are_worked_on_where_they_lie():
    X = mixture(2000, 2)
    model = ms.MeanShift(0.5).fit(Lent(torch.from_numpy(X).cuda()))
    np.testing.assert_array_equal(np.asarray(model.labels_), ms.MeanShift(0.5).fit(X).labels_)


def test_weights_repeats_and_places_far_from_zero(device):
    X = np.round(mixture(1200, 2), 1)
    w = np.random.default_rng(0).integers(1, 4, len(X)).astype(float)
    for data, weights, h in (
        (X, w, 0.5),
        (np.repeat(X, 3, axis=0), None, 0.5),
        (X + 1e6, None, 0.5),
        (X * 1e-12, None, 5e-13),
    ):
        wanted = ms.MeanShift(h).fit(data, sample_weight=weights)
        model = ms.MeanShift(h, device="torch").fit(on(device, data)[0], sample_weight=weights)
        np.testing.assert_array_equal(model.labels_.cpu().numpy(), wanted.labels_)
        np.testing.assert_allclose(model.cluster_weights_.cpu().numpy(), wanted.cluster_weights_, rtol=1e-9)


def test_batches_are_summed_on_the_device(device):
    X = mixture(3000, 2, dtype=np.float32)
    wanted, model = ms.MeanShift(0.6), ms.MeanShift(0.6, device="torch")
    for part in np.array_split(X, 3):
        wanted.partial_fit(part)
        model.partial_fit(on(device, part)[0])
    assert np.abs(model.sketch_.masses - wanted.sketch_.masses).sum() <= 4
    assert isinstance(model.labels_, torch.Tensor)
    np.testing.assert_array_equal(model.labels_.cpu().numpy(), wanted.labels_)
    assert torch.equal(model.predict(on(device, X)[0]).cpu(), torch.from_numpy(wanted.predict(X)))
    model.partial_fit(X[:100])  # and batches of the CPU too
    assert isinstance(model.labels_, np.ndarray) or device == "cuda"


def test_bandwidths_are_those_of_the_cpu(device):
    X = mixture(3000, 2)
    tensor, rng = on(device, X)[0], np.random.default_rng(0)
    w = rng.integers(0, 3, len(X)).astype(float)
    for weights in (None, w):
        wanted = ms.bandwidth_path(X, sample_weight=weights)
        found = ms.bandwidth_path(tensor, sample_weight=weights, device="torch")
        np.testing.assert_array_equal(found.n_clusters, wanted.n_clusters)
        assert found.bandwidth == pytest.approx(wanted.bandwidth, rel=1e-9)
    for method in ("auto", "quantile", "normal", "knn", "third"):
        wanted = ms.estimate_bandwidth(X, method=method)
        assert ms.estimate_bandwidth(tensor, method=method, device="torch") == pytest.approx(wanted, rel=1e-9)
    wanted = ms.estimate_bandwidth(X, method="scott", n_samples=500)
    assert ms.estimate_bandwidth(tensor, method="scott", n_samples=500, device="torch") == pytest.approx(wanted)
    many = mixture(30_000, 2)
    found = ms.estimate_bandwidth(on(device, many)[0], method="normal", device="torch")
    assert found == pytest.approx(ms.estimate_bandwidth(many, method="normal"), rel=0.02)
    assert ms.estimate_bandwidth(torch.ones(5, 2, device=device), device="torch") == 1.0


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ({"metric": "cosine"}, "metric='cosine'"),
        ({"assign": "nearest", "kernel": "flat"}, 'assign="nearest"'),
        ({"bandwidth": "abramson"}, "bandwidth='abramson'"),
        ({"bandwidth": np.ones(600)}, "one bandwidth for each point"),
        ({"kernel": lambda r: 1.0 / (1.0 + r)}, "a kernel that is a function"),
    ],
)
def test_what_a_device_refuses(device, setting, words):
    with pytest.raises(ValueError, match=f'{words}.*cannot be computed on device.*device="cpu"'):
        ms.MeanShift(**setting, device="torch").fit(torch.rand(600, 2, device=device))


def test_what_was_fitted_point_by_point_on_the_cpu_is_not_asked_on_a_device(device):
    X = mixture(300, 2)
    model = ms.MeanShift(0.5).fit(X).set_params(device="torch")
    with pytest.raises(ValueError, match="fitted on the CPU"):
        model.predict(on(device, X)[0])
    on_cells = ms.MeanShift(0.5).fit(mixture(2500, 2)).set_params(device="torch")
    found = on_cells.predict(on(device, mixture(2500, 2))[0])
    np.testing.assert_array_equal(found.cpu().numpy(), on_cells.labels_)


def test_inputs_that_are_no_points(device):
    for X, words in (
        (torch.full((600, 2), torch.nan, device=device), "NaN"),
        (torch.zeros((0, 2), device=device), "at least one row"),
        (torch.zeros(600, device=device), "2-D"),
    ):
        with pytest.raises(ValueError, match=words):
            ms.MeanShift(0.5, device="torch").fit(X)
    with pytest.raises(ValueError, match="shape"):
        ms.MeanShift(0.5, device="torch").fit(torch.rand(600, 2, device=device), sample_weight=torch.ones(3))


def test_inputs_at_the_edge(device):
    rng = np.random.default_rng(0)
    same = torch.ones((900, 2), device=device)
    model = ms.MeanShift(0.5, device="torch").fit(same)
    assert model.cluster_centers_.tolist() == [[1.0, 1.0]]
    assert ms.MeanShift(device="torch").fit(same).labels_.unique().tolist() == [0]
    X = mixture(2500, 2, dtype=np.float32)
    tensor = on(device, X)[0]
    wanted = ms.MeanShift(0.5).fit(X).labels_
    strided = torch.stack([tensor, tensor], dim=2)[:, :, 0].requires_grad_()
    np.testing.assert_array_equal(ms.MeanShift(0.5, device="torch").fit(strided).labels_.cpu().numpy(), wanted)
    half = ms.MeanShift(0.5, device="torch").fit(tensor.half())
    np.testing.assert_array_equal(half.labels_.cpu().numpy(), ms.MeanShift(0.5).fit(X.astype(np.float16)).labels_)
    wide = ms.MeanShift(1e4, device="torch").fit(tensor)
    assert len(wide.cluster_centers_) == 1
    with pytest.raises(ValueError):
        ms.MeanShift(1e-300, device="torch").fit(tensor)
    outlier = torch.cat([tensor, torch.full((1, 2), 40.0, device=device)])
    found = ms.MeanShift(0.5, device="torch").fit(outlier).labels_.cpu().numpy()
    np.testing.assert_array_equal(found, ms.MeanShift(0.5).fit(outlier.cpu().numpy()).labels_)
    line = ms.MeanShift(0.2, device="torch").fit(torch.from_numpy(rng.normal(size=(1500, 1))).to(device))
    assert line.labels_.shape == (1500,)


def test_what_spans_too_many_bandwidths_is_refused(device, monkeypatch):
    X = mixture(2000, 2)
    X[0] = 1e9
    monkeypatch.setattr(routes, "PATIENCE", 0.0)
    with pytest.raises(ValueError, match="too many bandwidths for a grid"):
        ms.MeanShift(0.5, device="torch").fit(on(device, X)[0])


def test_the_audit_reads_tensors(device):
    X = mixture(2000, 2)
    tensor = on(device, X)[0]
    model = ms.MeanShift(0.5, device="torch").fit(tensor)
    assert model.audit(tensor, 200, random_state=0).n_disagree == 0


def test_every_point_climbs_where_that_is_asked_for(device):
    X = mixture(70, 4)
    tensor = on(device, X)[0]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for setting in (
            {},
            {"blurring": True, "min_cluster_size": 10},
            {"blurring": True},
            {"kernel": "flat", "bandwidth": 3.0},
            {"min_cluster_size": 10},
        ):
            setting = {"bandwidth": 1.2} | setting
            wanted = ms.MeanShift(**setting).fit(X)
            model = ms.MeanShift(**setting, device="torch").fit(tensor)
            np.testing.assert_array_equal(model.labels_.cpu().numpy(), wanted.labels_)
            assert torch.equal(model.predict(tensor), model.labels_)


COMPILE = """
import torch
from modeseek.engines.gpu.deposit import Lattice
from modeseek.engines.gpu.lookup import Table
from modeseek.engines.triton import deposit, lookup, sums
from tests.compiled import compiled_only

X, w = torch.rand(300, {d}), torch.ones(300, dtype=torch.float64)
lattice = Lattice((0.0,) * {d}, 4.0, (-3,) * {d}, (9,) * {d})
cells = torch.zeros(9**{d}, dtype=torch.int32)
table = Table((0.0,) * {d}, 4.0, (9,) * {d}, 4, cells, cells)
with compiled_only() as kernels:
    deposit.deposit(X, None, lattice, 2.0**30, 3, patched={d} == 2)
    deposit.deposit(X.double(), w, lattice, 2.0**30, 2)
    deposit.count_bins(X, (0.0,) * {d}, 4.0, (9,) * {d})
    lookup.label(X, table, torch.empty(300, dtype=torch.int32), 5)
    lookup.rename(torch.zeros(300, dtype=torch.int32), torch.zeros(9, dtype=torch.int32))
    sums.sums_over(X, w, 0.5, X[:5].double(), 8.0)
assert all(used["placed"] for _, used in kernels), kernels
print(sum(used["local"] + used["stack"] for _, used in kernels), len(kernels))
"""


@pytest.mark.parametrize("d", [1, 2, 3])
def test_kernels_are_accepted_by_the_compiler_of_a_gpu(d, tmp_path):
    pytest.importorskip("triton.backends.nvidia")
    environment = {**os.environ, "TRITON_INTERPRET": "0", "TRITON_CACHE_DIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", COMPILE.format(d=d)], env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.split() == ["0", "6"]  # nothing is kept in memory for want of registers


def test_the_score_is_summed_where_the_points_are(device, monkeypatch):
    X = mixture(3000, 2)
    tensor, weights = torch.from_numpy(X).to(device), np.random.default_rng(1).uniform(0, 2, 3000)
    model, there = ms.MeanShift(0.8).fit(X), ms.MeanShift(0.8, device="torch").fit(tensor)
    monkeypatch.setattr("modeseek.engines.namespaces.as_numpy", None)  # nothing passes by NumPy
    on_device = [there.score(tensor, sample_weight=w) for w in (None, torch.from_numpy(weights))]
    monkeypatch.undo()
    np.testing.assert_allclose(on_device, [model.score(X), model.score(X, sample_weight=weights)], rtol=1e-9)
    assert there.score(tensor, sample_weight=weights) == on_device[1]


CONFIGURATIONS = [{}, {"bandwidth": 1.0}, {"bandwidth": 1.0, "fidelity": "fast"}, {"bandwidth": 0.5, "blurring": True}]


@parametrize_with_checks(
    [kind(device="torch", **parameters) for parameters in CONFIGURATIONS for kind in (ms.MeanShift, WithoutStreams)],
    expected_failed_checks=expected_failures,
)
def test_scikit_learn_contract(estimator, check):
    check(estimator)
