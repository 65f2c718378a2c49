"""KMeans on a device: kernels against twins and NumPy, bounds that hold, fits equal to those of the CPU."""

import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.estimator_checks import parametrize_with_checks

import modeseek as ms
from modeseek import textbook
from modeseek.kmeans.nearest import Points as CpuPoints
from modeseek.kmeans.seeding import plus_plus as cpu_plus_plus
from modeseek.kmeans.seeding import scalable as cpu_scalable

torch = pytest.importorskip("torch")
pytest.importorskip("triton")

from modeseek.engines import triton as kernels_of  # noqa: E402
from modeseek.engines.gpu import assign, groups, seeding  # noqa: E402
from modeseek.kmeans import on_device  # noqa: E402

DRAWN = "the same random numbers draw other rows of repeated points than of weighted ones"
ROOT = Path(__file__).parent.parent


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """Tensors are small here: threads would only wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def blobs(n, d, seed=0, dtype=np.float64):
    rng = np.random.default_rng(seed)
    return (rng.uniform(-5, 5, (9, d))[rng.integers(0, 9, n)] + rng.normal(size=(n, d))).astype(dtype)


def start_of(X, k, seed=0):
    return X[np.random.default_rng(seed).choice(len(X), k, replace=False)]


def on(array, device):
    return torch.from_numpy(np.ascontiguousarray(array)).to(device)


def argmin(X, centres):
    """The definition of a label: squared differences in float64, column by column, the first of the least."""
    total = np.zeros((len(X), len(centres)))
    for x, c in zip(X.T, centres.T, strict=True):
        total += np.square(x[:, None].astype(np.float64) - c)
    return total.argmin(axis=1)


def frame_of(X, tensor):
    ends = np.stack([X.min(axis=0), X.max(axis=0)]).astype(np.float64)
    return assign.Frame.of(tensor, ends, X.mean(axis=0, dtype=np.float64), np.zeros(X.shape[1]))


def near_ties(X, centres, off=0.0):
    """Move points to where their nearest two centres are equally near, and from there by a part of what is between."""
    squares = np.square(X[:, None] - centres).sum(axis=2)
    two = np.argsort(squares, axis=1)[:, :2]
    a, b = centres[two[:, 0]], centres[two[:, 1]]
    across, apart = a - b, np.square(a - b).sum(axis=1)
    back = ((X - (a + b) / 2) * across).sum(axis=1) / np.where(apart > 0, apart, 1.0)
    return X - (back - off)[:, None] * across


# ---- the nearest centre -------------------------------------------------------------------------------------------


@pytest.fixture(params=["kernels", "twin"])
def label(request, device):
    """The two ways to label rows."""

    def call(X, centres):
        tensor, c = on(X, device), on(centres, device)
        labels = torch.full((len(X),), -1, dtype=torch.int32, device=device)
        way = assign.screened if request.param == "kernels" else assign.multiplied
        way(tensor, frame_of(X, tensor), c, labels)
        return labels.cpu().numpy()

    return call


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("n", "d", "k"), [(301, 1, 40), (257, 3, 33), (130, 17, 20), (200, 64, 130), (65, 130, 17)])
def test_labels_are_those_of_float64(label, n, d, k, dtype):
    X, rng = blobs(n, d, d, dtype), np.random.default_rng(d)
    centres = start_of(X, k) + 0.2 * rng.normal(size=(k, d))
    centres[1], centres[k - 1] = centres[0], X[3]
    tied = near_ties(X, start_of(X, 5).astype(np.float64)).astype(dtype)
    tied += (np.spacing(np.abs(tied)) * rng.integers(-3, 4, X.shape)).astype(dtype)
    for points, c in ((X, centres), (tied, start_of(X, 5).astype(np.float64)), (X[:1], centres), (X, X[:2] * 1.0)):
        np.testing.assert_array_equal(label(points, c.astype(np.float64)), argmin(points, c))


@pytest.mark.parametrize("d", [1, 2, 5, 16])
def test_ties_on_lattices_go_to_the_first_centre(label, d):
    rng = np.random.default_rng(d)
    X, centres = rng.integers(0, 4, (150, d)).astype(float), rng.integers(0, 8, (30, d)) / 2.0
    np.testing.assert_array_equal(label(X, centres), argmin(X, centres))
    np.testing.assert_array_equal(label(X, np.repeat(centres[:1], 20, axis=0)), np.zeros(150))


@pytest.mark.parametrize("scale", [1e-150, 1e-40, 1e-20, 1.0, 1e30, 1e140])
@pytest.mark.parametrize("d", [2, 20])
def test_units_and_offsets_of_every_size(label, d, scale):
    X = blobs(120, d)
    centres = start_of(X, 18) + 0.1
    np.testing.assert_array_equal(label(X * scale, centres * scale), argmin(X * scale, centres * scale))
    if 1e-20 <= scale <= 1e30:
        single = (X * scale).astype(np.float32)
        np.testing.assert_array_equal(label(single, centres * scale), argmin(single, centres * scale))
    far = (X + 1e6).astype(np.float32)
    np.testing.assert_array_equal(label(far, centres + 1e6), argmin(far, centres + 1e6))


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # of the interpreter's NumPy, where hardware has infinity
def test_far_points_and_far_centres(label):
    """Of what half precision cannot hold nothing is claimed."""
    X = blobs(90, 20)
    X[5], X[6] = 1e9, -1e300
    centres = np.concatenate([start_of(X[10:], 17), np.full((1, 20), 3e8)])
    np.testing.assert_array_equal(label(X, centres), argmin(X, centres))
    tiny = np.concatenate([X[10:], 1e-7 * X[10:]])
    centres = start_of(X[10:], 20) * 1e-7
    np.testing.assert_array_equal(label(tiny, centres), argmin(tiny, centres))


@pytest.mark.parametrize(("d", "splits"), [(3, False), (20, False), (20, True), (130, True)])
def test_what_a_screen_decides_is_right_and_what_it_gets_wrong_is_open(device, d, splits):
    from modeseek.engines.triton import assign as kernels

    rng, k = np.random.default_rng(0), 24
    centres = rng.normal(size=(k, d))
    X = near_ties(rng.normal(size=(260, d)) * 3, centres, 10.0 ** rng.uniform(-9, -1, 260)).astype(np.float32)
    tensor, c = on(X, device), on(centres, device)
    frame = frame_of(X, tensor)
    everything = assign.Open(torch.arange(260, device=device), torch.tensor([260], device=device))
    left = assign.Open.none(260, tensor.device)
    labels = torch.empty(260, dtype=torch.int32, device=device)
    if d <= assign.FEW:
        kernels.screen_few(tensor, frame, assign.few_layout(frame, c), labels, left)
    else:
        layout = assign.layout_of(frame, c, splits)
        kernels.screen(tensor, frame, layout, labels, left, everything if splits else None)
    count = int(left.count)
    rows = np.sort(left.rows[:count].cpu().numpy())
    assert len(np.unique(rows)) == count
    right = labels.cpu().numpy() == argmin(X, centres)
    assert right[np.setdiff1d(np.arange(260), rows)].all()
    assert 0 < count < 250
    if not splits and d > assign.FEW:
        assert (~right).sum() > 0  # what is tested is not always so
    kernels.exact(tensor, frame.base, c.T.contiguous(), labels, left)
    np.testing.assert_array_equal(labels.cpu().numpy(), argmin(X, centres))


def scores(v, layout, k, splits):
    """The screen's scores in NumPy: products of halves, one after the other in float32, numbers in the last bits."""
    leading, following = (part.float().numpy()[:k] for part in (layout.leading, layout.following))
    first = v.astype(np.float16).astype(np.float32)
    second = ((v - first) * np.float32(2048)).astype(np.float16).astype(np.float32)
    rest = v - first - (second / np.float32(2048) if splits else 0)
    total, small = (np.zeros((len(v), k), np.float32) for _ in range(2))
    for t in range(v.shape[1]):
        total += first[:, t, None] * leading[:, t]
        small += second[:, t, None] * leading[:, t] + first[:, t, None] * following[:, t]
    total = total - layout.half.numpy()[:k] + (small / np.float32(2048) if splits else np.float32(0))
    bits = (total.view(np.int32) & -layout.tile) | (np.arange(k, dtype=np.int32) % layout.tile)
    return bits.view(np.float32), rest


@pytest.mark.parametrize("splits", [False, True])
@pytest.mark.parametrize("d", [16, 50, 128])
def test_no_score_is_further_off_than_its_bound(d, splits):
    """Points and centres are chosen so that what rounding cuts off has the sign, and the size, that hurts most."""
    rng, k = np.random.default_rng(d), 20
    worst = 0.0
    for grain in (2.0**-11, 2.0**-22):
        signs = rng.choice([-1.0, 1.0], d)
        mantissas = 1.0 + 2.0 * grain * rng.integers(0, 8, (k, d)) + grain * 0.99
        centres = signs * mantissas * rng.choice([1.0, 0.25], (k, 1))
        X = (
            signs
            * (1.0 + 2.0 * grain * rng.integers(0, 8, (90, d)) + grain * 0.99)
            * rng.choice([0.5, 1.0, 8.0], (90, 1))
        )
        X[40:] = rng.normal(size=(50, d))
        X = X.astype(np.float32)
        tensor = torch.from_numpy(X)
        ends = np.stack([X.min(axis=0), X.max(axis=0)]).astype(np.float64)
        frame = assign.Frame.of(tensor, ends, np.zeros(d), np.zeros(d))
        layout = assign.layout_of(frame, torch.from_numpy(centres), splits)
        unit = float(layout.unit)
        v = X * np.float32(unit)
        found, rest = scores(v, layout, k, splits)
        x, c = X.astype(np.longdouble) * unit, centres.astype(np.longdouble) * unit
        exact = x @ c.T - 0.5 * np.square(c).sum(axis=1)
        alpha, beta, gamma, delta = layout.slack.double().numpy()
        norm = np.square(v).sum(axis=1)
        slack = alpha * np.sqrt(np.square(rest).sum(axis=1)) + beta * np.sqrt(norm) + gamma + delta * norm
        off = np.abs(found - exact).max(axis=1) / (slack / 2)
        worst = max(worst, float(off.max()))
    # the bound holds, and is not much more than is needed (with SPLIT, sums as careless as hardware's may be prevail)
    assert (0.02 if splits else 0.3) < worst < 1.0


def test_the_bound_leaves_few_rows_open(device):
    X = blobs(400, 32, dtype=np.float32)
    tensor = on(X, device)
    labels = torch.empty(400, dtype=torch.int32, device=device)
    first, second = assign.screened(tensor, frame_of(X, tensor), on(start_of(X, 40) + 0.3, device), labels)
    assert int(second.count) <= int(first.count) < 60


# ---- sums ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize(("n", "d", "k"), [(1, 2, 3), (900, 3, 5), (90, 1, 20), (500, 130, 1)])
def test_sums_by_group(device, n, d, k, fused):
    rng = np.random.default_rng(n)
    X, labels = (rng.normal(size=(n, d)) + 1e3).astype(np.float32), rng.integers(0, k, n).astype(np.int32)
    w, anchors = rng.random(n), rng.normal(size=(k, d)) + 1e3
    found = groups.Groups.of(on(labels, device), k)
    np.testing.assert_array_equal(found.counts.cpu().numpy(), np.bincount(labels, minlength=k))
    np.testing.assert_array_equal(found.order.cpu().numpy(), np.argsort(labels, kind="stable"))
    for weights in (None, w):
        for less in (None, anchors[:1], anchors):
            moved = X - (0.0 if less is None else less[labels] if len(less) == k else less)
            expected = np.zeros((k, d))
            np.add.at(expected, labels, moved * (1.0 if weights is None else weights[:, None]))
            how = [None if value is None else on(value, device) for value in (weights, less)]
            sums = [groups._added(on(X, device), found, *how, 64, fused) for _ in range(2)]
            np.testing.assert_allclose(sums[0].cpu().numpy(), expected, rtol=1e-12, atol=1e-10)
            assert torch.equal(*sums)


@pytest.mark.parametrize("k", [200, 300, 40_000])
def test_keys_of_every_length(device, k):
    labels = np.random.default_rng(0).integers(0, k, 2000).astype(np.int32)
    labels[:2] = 0, k - 1
    found = groups.Groups.of(on(labels, device), k)
    np.testing.assert_array_equal(found.counts.cpu().numpy(), np.bincount(labels, minlength=k))


@pytest.mark.parametrize("d", [1, 3, 130])
def test_squared_distances_from_own_centres(device, d):
    from modeseek.engines.triton import groups as kernels

    X, centres = blobs(77, d, dtype=np.float32), blobs(9, d, 1)
    labels, base = np.random.default_rng(0).integers(0, 9, 77).astype(np.int32), np.full(d, 0.5)
    expected = np.square(X - base - centres[labels]).sum(axis=1)
    for way in (groups.own_squares, kernels.own_squares):
        found = way(on(X, device), on(labels, device), on(base, device), on(centres, device))
        np.testing.assert_allclose(found.cpu().numpy(), expected, rtol=1e-13)


# ---- seeds --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [1, 255, 70_000])
def test_running_sums_find_the_rows_that_numpy_finds(device, n):
    rng = np.random.default_rng(n)
    values = rng.random(n) * (rng.random(n) < 0.6)
    values[n // 2] = 1.0
    running = seeding.Running(on(values, device))
    assert float(running.total) == pytest.approx(values.sum(), rel=1e-14)
    targets = np.append(rng.random(70) * values.sum(), values.sum())
    for beyond, side in ((False, "left"), (True, "right")):
        expected = np.minimum(np.searchsorted(np.cumsum(values), targets, side=side), np.flatnonzero(values)[-1])
        np.testing.assert_array_equal(running.rows_at(on(targets, device), beyond).cpu().numpy(), expected)
    nothing = seeding.Running(torch.zeros(n, dtype=torch.float64, device=device))
    assert int(nothing.rows_at(torch.zeros(1, dtype=torch.float64, device=device))[0]) == 0


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("d", [1, 3, 33])
def test_candidates_are_weighed_as_by_the_twin(device, d, weighted):
    from modeseek.engines.triton import seeding as kernels

    X = blobs(150, d, dtype=np.float32)
    w = np.random.default_rng(0).random(150)
    candidates = start_of(X, 11).astype(np.float64)
    near = np.square(X[:, None] - X[None, :2].astype(np.float64)).sum(axis=2).min(axis=1)
    squares = np.square(X[:, None] - candidates).sum(axis=2)
    expected = np.minimum(squares, near[:, None]).T @ (w if weighted else np.ones(150))
    weights = on(w, device) if weighted else None
    for module in (kernels, seeding):
        closest = on(near, device).clone()
        found = module.potentials(on(X, device), weights, closest, on(candidates, device))
        np.testing.assert_allclose(found.cpu().numpy(), expected, rtol=1e-12)
        module.take_in(on(X, device), closest, on(candidates[3:4], device))
        np.testing.assert_allclose(closest.cpu().numpy(), np.minimum(near, squares[:, 3]), rtol=1e-13, atol=1e-300)


@pytest.mark.parametrize("weighted", [False, True])
def test_seeds_are_those_of_the_cpu(device, weighted):
    for seed in range(2):
        X = blobs(600, 1 + 2 * seed, seed)
        w = np.random.default_rng(seed).integers(0, 3, 600).astype(float) if weighted else None
        weights = None if w is None else on(w, device)
        for k, trials in ((1, None), (8, None), (11, 1)):
            rows = seeding.plus_plus(on(X, device), weights, k, np.random.RandomState(seed), trials)
            expected = cpu_plus_plus(X, np.empty(0) if w is None else w, k, np.random.RandomState(seed), None, trials)
            np.testing.assert_array_equal(rows.cpu().numpy(), expected)
        drawn = seeding.random_rows(600, weights, 40, np.random.RandomState(seed), torch.device(device))
        p = np.full(600, 1 / 600) if w is None else w / w.sum()
        np.testing.assert_array_equal(
            drawn.cpu().numpy(), np.random.RandomState(seed).choice(600, 40, replace=False, p=p)
        )
        points = on_device.Points.plain(on(X, device), weights)
        rows = seeding.scalable(points.x, points.frame, weights, 9, np.random.RandomState(seed))
        expected = cpu_scalable(X, np.empty(0) if w is None else w, 9, np.random.RandomState(seed))
        np.testing.assert_array_equal(rows.cpu().numpy(), expected)
        if seed == 0:
            continue  # 30 points of one column have candidates that are equally good
        few, own = on_device.Points.plain(on(X[:30], device)), None if w is None else on(w[:30], device)
        rows = seeding.scalable(few.x, few.frame, own, 28, np.random.RandomState(seed))
        expected = cpu_scalable(X[:30], np.empty(0) if w is None else w[:30], 28, np.random.RandomState(seed))
        np.testing.assert_array_equal(rows.cpu().numpy(), expected)


def test_seeds_alone(device):
    X = blobs(300, 3)
    where = "torch" if device == "cpu" else device
    centres, rows = ms.kmeans_plusplus(X, 7, random_state=0, device=where)
    expected = ms.kmeans_plusplus(X, 7, random_state=0)
    assert isinstance(centres, np.ndarray)
    np.testing.assert_array_equal(rows, expected[1])
    np.testing.assert_array_equal(centres, expected[0])
    assert ms.kmeans_plusplus(on(X, device), 7, random_state=0, device=where)[1].device.type == device
    with pytest.raises(ValueError, match="n_samples=300 should be >= n_clusters=301"):
        ms.kmeans_plusplus(X, 301, device=where)


# ---- fits ---------------------------------------------------------------------------------------------------------


def pair(X, k, device, w=None, **how):
    """Fit on the device and by the CPU's kernels."""
    there = ms.KMeans(k, device="torch", **how).fit(on(X, device), sample_weight=None if w is None else on(w, device))
    here = ms.KMeans(k, device="cpu", **how).fit(X, sample_weight=w)
    return there, here


def agree(there, here, rtol=1e-9):
    np.testing.assert_array_equal(there.labels_.cpu().numpy(), here.labels_)
    np.testing.assert_allclose(there.cluster_centers_.cpu().numpy(), here.cluster_centers_, rtol=rtol, atol=1e-12)
    assert there.inertia_ == pytest.approx(here.inertia_, rel=1e-6, abs=1e-12)
    assert there.n_iter_ == here.n_iter_
    np.testing.assert_allclose(there._masses, here._masses)
    assert there.cluster_centers_.cpu().numpy().dtype == here.cluster_centers_.dtype
    assert there.labels_.dtype == torch.int32


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("d", [1, 3, 17, 64])
def test_fits_end_as_on_the_cpu(device, d, dtype):
    X = blobs(700, d, d, dtype)
    w = np.random.default_rng(d).uniform(0, 3, 700)
    for how in ({"tol": 0.0, "max_iter": 7}, {"tol": 1e-3}, {"max_iter": 1}, {}):
        agree(*pair(X, 9, device, init=start_of(X, 9), n_init=1, **how))
    agree(*pair(X, 9, device, w, init=start_of(X, 9, 1), n_init=1))
    for init in ("k-means++", "k-means||", "random"):
        agree(*pair(X, 6, device, w, init=init, n_init=2, random_state=1, max_iter=30))


def test_fits_are_the_textbooks(device):
    X = blobs(400, 5)
    start, w = start_of(X, 6), np.random.default_rng(0).uniform(0.1, 2.0, 400)
    model = ms.KMeans(6, init=start, n_init=1, max_iter=4, tol=0.0, device="torch").fit(on(X, device), sample_weight=w)
    centres, labels, inertia = textbook.kmeans(X, start, 4, w)
    np.testing.assert_allclose(model.cluster_centers_.cpu().numpy(), centres, rtol=1e-12)
    np.testing.assert_array_equal(model.labels_.cpu().numpy(), labels)
    assert model.inertia_ == pytest.approx(inertia)


@pytest.mark.parametrize("d", [2, 12])
def test_whole_fits_by_the_kernels(device, d, monkeypatch):
    monkeypatch.setattr(kernels_of, "runs_on", lambda tensor: True)
    X = blobs(150, d, dtype=np.float32)
    w = np.random.default_rng(d).uniform(0, 3, 150)
    for weights in (None, w):
        agree(*pair(X, 5, device, weights, random_state=0, max_iter=3))
    start = np.concatenate([start_of(X, 4), np.full((1, d), 99, np.float32)])
    agree(*pair(X, 5, device, init=start, n_init=1, max_iter=2))


@pytest.mark.parametrize("d", [1, 2, 6])
def test_empty_clusters_get_the_furthest_points(device, d):
    X = blobs(500, d)
    start = start_of(X, 6)
    agree(*pair(X, 7, device, init=np.concatenate([start, np.full((1, d), 30.0)]), n_init=1))
    agree(*pair(X, 7, device, init=np.concatenate([np.full((1, d), 1e7), start]), n_init=1))
    w = np.ones(500)
    w[X[:, 0] > 2] = 0.0  # a centre that owns only points without weight is empty, too
    agree(*pair(X, 3, device, w, init=X[[3, 9, int(X[:, 0].argmax())]], n_init=1))


def test_of_several_empty_clusters_the_first_gets_the_furthest_point(device):
    X = np.array([[0.0], [1.0], [2.0], [3.0], [50.0], [90.0]])
    start = np.array([[1.5], [1e3], [2e3]])
    model = ms.KMeans(3, init=start, n_init=1, max_iter=1, device="torch").fit(on(X, device))
    np.testing.assert_allclose(model.cluster_centers_.cpu().numpy()[:, 0], [1.5, 90.0, 50.0])
    there, here = pair(X, 3, device, init=start, n_init=1)
    assert there.inertia_ == pytest.approx(here.inertia_)
    assert there.n_iter_ == here.n_iter_


def test_fewer_distinct_points_than_clusters(device):
    X = np.repeat([[0.0, 0.0], [1.0, 1.0], [5.0, 2.0]], 30, axis=0)
    for init in ("k-means++", "k-means||", "random"):
        with pytest.warns(ConvergenceWarning, match=r"distinct clusters \(3\) found smaller than n_clusters \(5\)"):
            model = ms.KMeans(5, init=init, n_init=2, random_state=0, device="torch").fit(on(X, device))
        assert model.inertia_ == 0.0
    with pytest.warns(ConvergenceWarning, match=r"distinct clusters \(1\)"):
        model = ms.KMeans(2, random_state=0, device="torch").fit(on(np.full((50, 3), 7.0), device))
    np.testing.assert_array_equal(model.cluster_centers_.cpu().numpy(), np.full((2, 3), 7.0))


def test_as_many_clusters_as_points_and_only_one(device):
    X = blobs(40, 3)
    model = ms.KMeans(40, random_state=0, device="torch").fit(on(X, device))
    assert model.inertia_ == 0.0
    assert sorted(model.labels_.tolist()) == list(range(40))
    agree(*pair(X, 1, device, random_state=0))
    agree(*pair(X[:1], 1, device, random_state=0))


@pytest.mark.parametrize("offset", [1e6, 1e9])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_labels_are_what_predict_returns_far_from_zero(device, offset, dtype):
    X = (blobs(800, 2) * (1.0 if dtype is np.float64 else 1e-6 * offset) + offset).astype(dtype)
    model, here = pair(X, 6, device, random_state=0, max_iter=30)
    agree(model, here, 1e-6)
    tensor = on(X, device)
    assert torch.equal(model.predict(tensor), model.labels_)
    centres = model.cluster_centers_.cpu().numpy().astype(float)
    exact = np.sqrt(np.square(X[:, None].astype(float) - centres).sum(axis=2))
    np.testing.assert_allclose(model.transform(tensor).cpu().numpy(), exact, rtol=1e-6)
    np.testing.assert_array_equal(exact.argmin(axis=1), model.labels_.cpu().numpy())
    assert model.score(tensor) == pytest.approx(-model.inertia_, rel=1e-12)


@pytest.mark.parametrize("scale", [1e-100, 1e-38, 1e38, 1e100])
def test_units_do_not_matter(device, scale):
    X = blobs(300, 3)
    start = start_of(X, 4)
    here = ms.KMeans(4, init=start, n_init=1).fit(X)
    there = ms.KMeans(4, init=start * scale, n_init=1, device="torch").fit(on(X * scale, device))
    np.testing.assert_array_equal(there.labels_.cpu().numpy(), here.labels_)
    np.testing.assert_allclose(there.cluster_centers_.cpu().numpy(), here.cluster_centers_ * scale, rtol=1e-9)


def test_the_same_bits_every_time(device):
    X, w = on(blobs(3000, 6, dtype=np.float32), device), np.random.default_rng(0).random(3000)
    models = [ms.KMeans(11, random_state=3, max_iter=5, device="torch").fit(X, sample_weight=w) for _ in range(2)]
    assert torch.equal(models[0].labels_, models[1].labels_)
    assert torch.equal(models[0].cluster_centers_, models[1].cluster_centers_)
    assert models[0].inertia_ == models[1].inertia_


def test_a_round_that_was_asked_for_too_early_leaves_no_trace(device, monkeypatch):
    X, asked = on(blobs(600, 3), device), []
    run = on_device.Round.__init__
    monkeypatch.setattr(on_device.Round, "__init__", lambda self, *how: asked.append(1) or run(self, *how))
    model = ms.KMeans(5, random_state=0, tol=1e-2, device="torch").fit(X)
    assert len(asked) == model.n_iter_ + 1
    asked.clear()
    ms.KMeans(5, random_state=0, max_iter=2, tol=0.0, device="torch").fit(X)
    assert len(asked) == 2


# ---- batches ------------------------------------------------------------------------------------------------------


def test_batches_move_centres_as_on_the_cpu(device):
    X, w = blobs(900, 4), np.random.default_rng(0).uniform(size=900)
    here, there = (ms.KMeans(6, random_state=0, device=where) for where in ("cpu", "torch"))
    for batch in np.array_split(np.arange(900), 4):
        here.partial_fit(X[batch], sample_weight=w[batch])
        there.partial_fit(on(X[batch], device), sample_weight=w[batch])
        np.testing.assert_allclose(there.cluster_centers_.cpu().numpy(), here.cluster_centers_, rtol=1e-12)
        np.testing.assert_array_equal(there.labels_.cpu().numpy(), here.labels_)
        assert there.inertia_ == pytest.approx(here.inertia_)
        assert there.n_steps_ == here.n_steps_
    mixed = ms.KMeans(6, random_state=0, device="torch").fit(on(X, device)).set_params(device="cpu").partial_fit(X)
    alone = ms.KMeans(6, random_state=0).fit(X).partial_fit(X)
    np.testing.assert_allclose(mixed.cluster_centers_, alone.cluster_centers_, rtol=1e-12)
    with pytest.raises(ValueError, match="should be >= n_clusters"):
        ms.KMeans(6, device="torch").partial_fit(on(X[:5], device))


# ---- beside other libraries ---------------------------------------------------------------------------------------


def test_results_come_back_as_the_data_came(device):
    X = blobs(300, 2).astype(np.float32)
    tensor, expected = on(X, device), ms.KMeans(3, random_state=0).fit(X)
    for where, data in (("torch", tensor), ("auto", tensor), (device, tensor), ("cpu", tensor)):
        model = ms.KMeans(3, random_state=0, device=where).fit(data)
        for value, other in (
            (model.labels_, expected.labels_),
            (model.cluster_centers_, expected.cluster_centers_),
            (model.predict(data), expected.labels_),
            (model.transform(data), expected.transform(X)),
            (ms.KMeans(3, random_state=0, device=where).fit_transform(data), expected.transform(X)),
            (ms.KMeans(3, random_state=0, device=where).fit_predict(data), expected.labels_),
        ):
            assert isinstance(value, torch.Tensor)
            assert value.device == data.device
            np.testing.assert_allclose(value.cpu().numpy(), other, rtol=1e-6)
        again = pickle.loads(pickle.dumps(model))
        assert torch.equal(again.predict(data), model.labels_)
        np.testing.assert_array_equal(model.predict(X), expected.labels_)  # NumPy in, NumPy out
    numpy = ms.KMeans(3, random_state=0, device="torch" if device == "cpu" else device).fit(X)
    assert isinstance(numpy.labels_, np.ndarray)
    np.testing.assert_array_equal(numpy.labels_, expected.labels_)
    np.testing.assert_array_equal(numpy.predict(tensor).cpu().numpy(), expected.labels_)
    np.testing.assert_array_equal(numpy.predict(X), expected.labels_)


def test_columns_and_their_names(device):
    pandas = pytest.importorskip("pandas")
    X = blobs(200, 2)
    where = "torch" if device == "cpu" else device
    frame = pandas.DataFrame({"east": X[:, 0], "north": X[:, 1]})
    model = ms.KMeans(3, random_state=0, device=where).fit(frame)
    assert list(model.feature_names_in_) == ["east", "north"]
    with pytest.raises(ValueError, match="feature names should match"):
        model.predict(pandas.DataFrame({"north": X[:, 0], "east": X[:, 1]}))
    tensors = model.set_params(device="torch").fit(on(X, device))
    assert not hasattr(tensors, "feature_names_in_")
    for call in (tensors.predict, tensors.transform, tensors.score, tensors.partial_fit):
        with pytest.raises(ValueError, match="X has 3 features, but KMeans is expecting 2 features"):
            call(on(blobs(10, 3), device))


def test_starts_of_every_kind(device):
    X = blobs(300, 4)
    start = start_of(X, 5)
    expected = ms.KMeans(5, init=start, n_init=1).fit(X)
    seen = []

    def function(points, k, random_state):
        seen.append(points)
        return points[random_state.permutation(len(points))[:k]]

    for init in (start, start.tolist(), on(start, device), on(start, device).float().double()):
        agree(ms.KMeans(5, init=init, n_init=1, device="torch").fit(on(X, device)), expected, 1e-5)
    there, here = (ms.KMeans(5, init=function, n_init=2, random_state=0, device=w) for w in ("torch", "cpu"))
    agree(there.fit(on(X, device)), here.fit(X))
    assert isinstance(seen[0], torch.Tensor)
    assert seen[0].device.type == device
    assert isinstance(seen[-1], np.ndarray)


def test_tensors_of_every_kind(device):
    X = np.round(blobs(240, 4) * 8) / 8
    start = start_of(X, 5)
    expected = ms.KMeans(5, init=start, n_init=1).fit(X)
    double = on(X, device)
    hard = [
        double.float(), double.half(), double.requires_grad_(True), double.detach().T.contiguous().T,
        torch.cat([double, double], 1)[:, :4], double.detach()[::2].repeat_interleave(2, 0)[:0].new_tensor(X),
    ]  # fmt: skip
    for tensor in hard:
        model = ms.KMeans(5, init=start, n_init=1, device="torch").fit(tensor)
        np.testing.assert_array_equal(model.labels_.cpu().numpy(), expected.labels_)
        assert not model.cluster_centers_.requires_grad
        assert torch.equal(model.predict(tensor), model.labels_)
    whole = ms.KMeans(2, random_state=0, device="torch").fit((double.detach() * 8).long())
    assert whole.cluster_centers_.dtype == torch.float64


def test_what_is_wrong_is_said(device):
    X = blobs(50, 2)
    good = on(X, device)
    fitted = ms.KMeans(3, device="torch", random_state=0).fit(good)
    for bad, words in ((np.nan, "NaN"), (np.inf, "infinity")):
        wrong = good.clone()
        wrong[7, 1] = bad
        new = ms.KMeans(3, device="torch")
        for call in (new.fit, new.partial_fit, fitted.predict, fitted.score, fitted.transform):
            with pytest.raises(ValueError, match=f"{words} .first at row 7, column 1"):
                call(wrong)
    with pytest.raises(ValueError, match="n_samples=50 should be >= n_clusters=51"):
        ms.KMeans(51, device="torch").fit(good)
    with pytest.raises(ValueError, match="does not match the number of clusters"):
        ms.KMeans(3, init=good[:2], device="torch").fit(good)
    with pytest.raises(ValueError, match="initial centers contain NaN"):
        ms.KMeans(2, init=[[0.0, np.nan], [1.0, 1.0]], device="torch").fit(good)
    with pytest.raises(ValueError, match="entry 3 is -1"):
        ms.KMeans(2, device="torch").fit(good, sample_weight=np.where(np.arange(50) == 3, -1.0, 1.0))
    with pytest.raises(ValueError, match="Fewer rows have a sample_weight above 0"):
        ms.KMeans(3, init="random", device="torch").fit(good, sample_weight=(np.arange(50) < 2).astype(float))
    for scale in (1e200, 1e-200):
        with pytest.raises(ValueError, match="Rescale X"):
            ms.KMeans(2, device="torch").fit(good * scale)
    with pytest.raises(TypeError, match="sparse"):
        ms.KMeans(2, device="torch").fit(good.to_sparse())
    with pytest.raises(ValueError, match="2-D"):
        ms.KMeans(2, device="torch").fit(good[:, 0])
    with pytest.raises(ValueError, match="one of auto, cpu, cuda"):
        ms.KMeans(2, device="gpu").fit(X)
    with pytest.raises(TypeError, match="a name"):
        ms.KMeans(2, device=3).fit(X)
    with pytest.raises(Exception, match="not fitted"):
        ms.KMeans(2, device="torch").predict(good)
    with pytest.warns(RuntimeWarning, match="performing only one init"):
        ms.KMeans(2, init=X[:2], n_init=3, device="torch").fit(good)


@parametrize_with_checks(
    [ms.KMeans(3, n_init=1, device="torch")],
    expected_failed_checks=lambda _: {"check_sample_weight_equivalence_on_dense_data": DRAWN},
)
def test_scikit_learn_contract(estimator, check):
    check(estimator)


def test_torch_is_never_imported_by_a_fit_of_arrays():
    program = (
        "import sys, numpy as np, modeseek as ms\n"
        "X = np.random.default_rng(0).normal(size=(90, 2))\n"
        "model = ms.KMeans(3, random_state=0).fit(X).partial_fit(X)\n"
        "model.predict(X), model.score(X), model.transform(X), ms.kmeans_plusplus(X, 3)\n"
        "assert not {'torch', 'triton'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_rounds_are_reported(device, capsys):
    ms.KMeans(3, random_state=0, verbose=1, device="torch").fit(on(blobs(200, 2), device))
    there = capsys.readouterr().out.splitlines()
    ms.KMeans(3, random_state=0, verbose=1).fit(blobs(200, 2))
    here = capsys.readouterr().out.splitlines()
    assert len(there) == len(here)
    assert there[0].split(",")[0] == here[0].split(",")[0] == "Iteration 0: 200 labels changed"


# ---- what only hardware shows -------------------------------------------------------------------------------------

COMPILED = """
import numpy as np, torch
from modeseek.engines.gpu import assign
from modeseek.engines.triton import groups, seeding
from tests.compiled import compiled_only
with compiled_only() as seen:
    single, double = torch.float32, torch.float64
    for n, d, k, dtype in (
        (1, 1, 2, single), (1000, 4, 64, double), (1000, 128, 1024, single), (1000, 65, 20, double), (1, 300, 2, single)
    ):
        X, C = torch.randn(n, d, dtype=dtype), torch.randn(k, d, dtype=torch.float64)
        frame = assign.Frame.of(X, np.array([[-9.0] * d, [9.0] * d]), np.zeros(d), np.zeros(d))
        assign.screened(X, frame, C, torch.empty(n, dtype=torch.int32))
    X, C = torch.randn(1000, 65, dtype=double), torch.randn(20, 65, dtype=double)
    places, ones = torch.zeros(5, dtype=torch.int64), torch.ones(1000, dtype=torch.float64)
    groups.add_pieces(X, torch.arange(1000), ones, C, places, places, places)
    groups.own_squares(X, torch.zeros(1000, dtype=torch.int32), C[0], C)
    seeding.take_in(X, ones, C[:1])
    seeding.potentials(X, ones, ones, C[:7])
for name, used in seen:
    print(name, used["stack"] + used["local"], used["shared"] <= 227 * 1024)
"""


SMALLER = """
import numpy as np, torch
from modeseek.engines.gpu import assign
from modeseek.engines.triton.assign import SHARED
from tests.compiled import compiled_only
with compiled_only(86) as seen:
    for d in (128, 300):
        X, C = torch.randn(1000, d, dtype=torch.float64), torch.randn(1024, d, dtype=torch.float64)
        frame = assign.Frame.of(X, np.array([[-9.0] * d, [9.0] * d]), np.zeros(d), np.zeros(d))
        assign.screened(X, frame, C, torch.empty(1000, dtype=torch.int32))
assert all(used["shared"] <= SHARED for _, used in seen), seen
"""


def test_screens_fit_the_shared_memory_of_smaller_devices():
    environment = {**os.environ, "TRITON_INTERPRET": "0", "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"}
    done = subprocess.run([sys.executable, "-c", SMALLER], capture_output=True, text=True, env=environment, cwd=ROOT)
    assert done.returncode == 0, done.stderr[-2000:]


def test_kernels_compile_for_hardware_and_do_not_spill():
    environment = {**os.environ, "TRITON_INTERPRET": "0", "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"}
    done = subprocess.run(
        [sys.executable, "-c", COMPILED], capture_output=True, text=True, env=environment, cwd=ROOT, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    lines = done.stdout.split("\n")[:-1]
    assert len(lines) == 2 + 2 + 3 + 3 + 3 + 4
    assert all(line.endswith(" 0 True") for line in lines), done.stdout


@pytest.mark.gpu
def test_many_points_on_hardware():
    rng = np.random.default_rng(0)
    X = torch.from_numpy(rng.normal(size=(300_000, 96)).astype(np.float32)).cuda()
    model = ms.KMeans(700, init="k-means||", random_state=0, max_iter=3).fit(X)
    rows = rng.choice(len(X), 2000, replace=False)
    expected = argmin(X[rows].cpu().numpy(), model.cluster_centers_.cpu().numpy().astype(float))
    np.testing.assert_array_equal(model.labels_[rows].cpu().numpy(), expected)
    assert torch.equal(ms.KMeans(700, init="k-means||", random_state=0, max_iter=3).fit(X).labels_, model.labels_)


@pytest.mark.gpu
@pytest.mark.parametrize("d", [3, 40])
def test_a_round_does_not_wait_for_the_device(d):
    X = on(blobs(5000, d, dtype=np.float32), "cuda")
    points = on_device.Points.of(X, torch.ones(5000, dtype=torch.float64, device="cuda"))
    labels, centres = torch.zeros(2, 5000, dtype=torch.int32, device="cuda"), X[:20].double() - points.frame.base
    on_device.Round(points, centres, None, labels[0])  # compiles
    torch.cuda.set_sync_debug_mode("error")
    try:
        rounds = [on_device.Round(points, centres, labels[1], labels[0]) for _ in range(2)]
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert rounds[0].reading.read() == rounds[1].reading.read()


@pytest.mark.gpu
def test_a_fit_of_more_than_a_gpu_holds_says_so():
    X = torch.zeros(1, 1, device="cuda").expand(2**40, 1)
    with pytest.raises(MemoryError, match="GiB"):
        ms.KMeans(2).fit(X)


def test_points_on_the_device_are_where_those_of_the_cpu_are(device):
    for offset in (0.0, 1e6):
        X = blobs(500, 3) + offset
        there, here = on_device.Points.of(on(X, device), None), CpuPoints.of(X, np.empty(0))
        np.testing.assert_array_equal(there.frame.base.cpu().numpy(), here.base)
        np.testing.assert_allclose((there.frame.origin - there.frame.base).cpu().numpy(), here.origin, atol=1e-8)
        assert there.variance == pytest.approx(here.variance, rel=1e-12)
