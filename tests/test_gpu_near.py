"""Neighbours on a device: kernels against twins, searches against the definition and the CPU, to the last bit."""

import itertools
import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.sparse import issparse
from sklearn.utils.estimator_checks import parametrize_with_checks

import modeseek as ms
from modeseek.neighbors.brute import AllPairs
from modeseek.neighbors.hash_families import draw
from modeseek.neighbors.lsh import HashedPoints, Settings
from modeseek.textbook.neighbors import k_nearest, within

torch = pytest.importorskip("torch")
from modeseek.engines.gpu import hashing, nearest, pairs, radius, screens  # noqa: E402
from modeseek.neighbors.on_device import DeviceHashedPoints  # noqa: E402


def normal(n, d, seed=0, dtype=np.float64):
    return np.random.default_rng(seed).normal(size=(n, d)).astype(dtype)


def lattice(side, d):
    return np.stack(np.meshgrid(*[np.arange(float(side))] * d), -1).reshape(-1, d)


def tight(n, d):
    """Crowds that are far apart, and so narrow that low precision takes each for one point."""
    return np.repeat(100.0 * normal(3, d), n // 3, 0) + 1e-5 * normal(n // 3 * 3, d, 1)


def outlier(n, d):
    X = normal(n, d)
    X[n // 2] = 1e9
    return X


ROOT = Path(__file__).parent.parent

HARD = {
    "one row": normal(1, 12),
    "one column": normal(300, 1),
    "plane": normal(500, 2, dtype=np.float32),
    "space": normal(400, 3),
    "many columns": normal(300, 64, dtype=np.float32),
    "more columns than a tile": normal(200, 130),
    "lattice": lattice(20, 2),
    "binary": np.random.default_rng(0).integers(0, 2, (400, 9)).astype(np.float64),
    "repeats": np.repeat(normal(4, 5), 60, 0),
    "repeats of many columns": np.repeat(normal(4, 12), 60, 0),
    "constant": np.full((200, 12), 7.0),
    "far from zero": 1e6 + normal(400, 3),
    "far from zero in many columns": 1e6 + normal(400, 17),
    "an outlier": outlier(400, 17),
    "huge": 1e149 * normal(300, 12),
    "tiny": 1e-160 * normal(300, 12),
    "crowds": tight(300, 16),
    "sorted": np.sort(normal(500, 9), axis=0),
}


@pytest.fixture(autouse=True, scope="module")
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)  # the arrays are small
    yield
    torch.set_num_threads(before)


def on(device, X):
    return torch.from_numpy(np.ascontiguousarray(X)).to(device)


# ---- kernels and twins --------------------------------------------------------------------------------------------


def collected(collect, asked, upper, lower, span, room):
    """Return what a function of pairs counts, and the pairs of each query, sorted, with their values."""
    m, device = len(asked), upper.device
    counts, sure = torch.zeros(2, m, dtype=torch.int32, device=device)
    places = pairs.room_of(torch.arange(m + 1, device=device) * room, m * room, str(device)) if room else None
    collect(asked, upper, lower, span, counts, sure, places)
    listed = []
    if room:
        for i in range(m):
            mine = slice(i * room, i * room + min(room, int(counts[i])))
            listed.append(sorted(zip(places[1][mine].tolist(), places[2][mine].tolist(), strict=True)))
    return counts.tolist(), sure.tolist(), listed


def launch(asked, upper, lower, span, counts, sure, room):
    from modeseek.engines.triton import nearest as kernels

    screen = asked.screen
    kernels.collect(screen.kind, asked.values, screen.points, screen.halves, upper, lower, span, counts, sure, room)


@pytest.mark.parametrize(
    ("kind", "d", "m", "n"),
    [("direct", 1, 3, 5), ("direct", 3, 130, 150), ("direct", 8, 33, 257), ("tf32", 9, 129, 140),
     ("tf32", 64, 1, 129), ("ieee", 17, 40, 260), ("ieee", 130, 5, 70)],
)  # fmt: skip
@pytest.mark.parametrize(("settled", "listed"), [(False, False), (False, True), (True, True), (True, False)])
def test_pairs_of_the_kernel_are_those_of_the_twin(device, kind, d, m, n, settled, listed):
    X, Q = on(device, normal(n, d)), on(device, normal(m, d, 1))
    points = nearest.Points(X)
    asked = points.screen(kind).ask(Q)
    radii = torch.quantile(torch.cdist(Q, X), 0.3, dim=1) * points.frame.scale
    upper, lower = asked.upper(1.2 * radii), asked.lower(radii) if settled else None
    found = [collected(f, asked, upper, lower, (1, n - 1), n if listed else 0) for f in (launch, pairs.collect_twin)]
    # values are rounded in an order of their own: a pair at a threshold may come or go
    for kernel, twin in zip(*[f[:2] for f in found], strict=True):
        assert np.abs(np.subtract(kernel, twin)).max() <= 1
        assert np.mean(np.not_equal(kernel, twin)) <= 0.1
    assert not settled or sum(found[0][1]) > 0 or n < 10
    for kernel, twin in zip(found[0][2], found[1][2], strict=True):
        ours, theirs = dict(kernel), dict(twin)
        assert len(ours.keys() ^ theirs.keys()) <= 2
        both = sorted(ours.keys() & theirs.keys())
        np.testing.assert_allclose([ours[i] for i in both], [theirs[i] for i in both], rtol=1e-4, atol=1e-4)


def test_what_finds_no_room_is_counted(device):
    X = on(device, normal(200, 3))
    asked = nearest.Points(X).screen("direct").ask(X[:5])
    upper = torch.full((5,), 1e30, device=device)
    for collect in (launch, pairs.collect_twin):
        counts, _, listed = collected(collect, asked, upper, None, (0, 200), 16)
        assert counts == [200] * 5
        assert [len({position for position, _ in mine}) for mine in listed] == [16] * 5


COMPILE = """
import torch
from modeseek.engines.triton import nearest
from tests.compiled import compiled_only
with compiled_only() as seen:
    for kind, d in (("direct", 3), ("tf32", 128), ("ieee", 128)):
        m, n = 256, 512
        q, x = (torch.zeros(d, m), torch.zeros(d, n)) if kind == "direct" else (torch.zeros(m, d), torch.zeros(n, d))
        counts, sure = torch.zeros(2, m, dtype=torch.int32)
        room = torch.zeros(m + 1, dtype=torch.int64), torch.zeros(9, dtype=torch.int32), torch.zeros(9)
        nearest.collect(kind, q, x, torch.zeros(n), torch.zeros(m), torch.zeros(m), (0, n), counts, sure, room)
    rows = torch.zeros(5, dtype=torch.int64)
    nearest.squares(torch.zeros(4, 64), torch.zeros(9, 64), rows, rows, 1.0)
assert len(seen) == 4
for name, used in seen:
    assert used["placed"] and used["stack"] == 0 and used["shared"] <= 227 << 10, (name, used)
"""


def test_kernels_compile_for_a_gpu_and_spill_nothing(tmp_path):
    pytest.importorskip("triton")
    environment = {**os.environ, "TRITON_CACHE_DIR": str(tmp_path)}
    environment.pop("TRITON_INTERPRET", None)
    done = subprocess.run([sys.executable, "-c", COMPILE], env=environment, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("d", [1, 7, 40])
def test_exact_distances_are_sums_of_rounded_squares_in_order(device, dtype, d):
    from modeseek.engines.triton import nearest as kernels

    X, Q = normal(50, d, 0, dtype), normal(20, d, 1, dtype)
    rng = np.random.default_rng(2)
    query, row = rng.integers(0, 20, 300), rng.integers(0, 50, 300)
    expected = np.zeros(300)
    for c in range(d):
        expected += np.square(X[row, c].astype(np.float64) - Q[query, c].astype(np.float64))
    for function in (kernels.squares, pairs.squares_twin):
        got = function(on(device, Q), on(device, X), on(device, query), on(device, row.astype(np.int32)), 2.0)
        np.testing.assert_array_equal(got.cpu().numpy(), 4.0 * expected)


def kernel_values(asked):
    """Return the value of every pair as the kernel computes it, (m, n)."""
    n = asked.screen.n
    everything = torch.full((len(asked),), 3e38, device=asked.norms.device)
    listed = collected(launch, asked, everything, None, (0, n), n)[2]
    assert [[position for position, _ in mine] for mine in listed] == [list(range(n))] * len(asked)
    return np.array([[value for _, value in mine] for mine in listed], np.float32)


def twin_values(asked):
    return pairs._values(asked, 0, asked.screen.n).cpu().numpy()


@pytest.mark.parametrize("name", ["space", "many columns", "far from zero in many columns", "an outlier", "crowds"])
def test_thresholds_hold_for_every_pair(device, name):
    X = HARD[name]
    Q = np.vstack([X[:40], normal(20, X.shape[1], 3), 100.0 * normal(5, X.shape[1], 4)]).astype(X.dtype)
    points = nearest.Points(on(device, X))
    true = np.sqrt(((Q[:, None].astype(np.float64) - X.astype(np.float64)) ** 2).sum(2))
    for kind, of in itertools.product(("direct", "tf32", "ieee"), (kernel_values, twin_values)):
        asked = points.screen(kind).ask(on(device, Q))
        values = of(asked)
        distances = true[:, points.screen(kind).rows(torch.arange(len(X))).numpy()]
        for share in (0.02, 0.5):
            radii = np.quantile(true, share, axis=1)
            scaled = on(device, radii * points.frame.scale)
            assert (distances > radii[:, None])[values > asked.upper(scaled).cpu().numpy()[:, None]].all()
            assert (distances <= radii[:, None])[values < asked.lower(scaled).cpu().numpy()[:, None]].all()
        positions = torch.arange(len(X), device=device).expand(len(Q), -1)
        reach = asked.reach(on(device, values), positions).cpu().numpy() / points.frame.scale
        assert (reach >= true.max(axis=1)).all()


def test_few_points_are_taken_from_everywhere():
    for n in (1, 2, 10, 997, 1000):
        screen = screens.Screen(
            on("cpu", np.arange(n, dtype=float)[:, None]), screens.Frame(torch.zeros(1, 1)), "direct"
        )
        rows = screen.rows(torch.arange(n))
        assert sorted(rows.tolist()) == list(range(n))
        assert screen.positions(rows).tolist() == list(range(n))
        first = np.sort(rows[: n // 10].numpy())
        assert np.diff(first, prepend=0, append=n).max() <= max(30, n // 5) or n < 10


# ---- searches -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", HARD)
def test_nearest_are_those_of_the_definition_to_the_last_bit(device, name):
    X = HARD[name]
    n = len(X)
    Q = X[: min(n, 60)] + (X.std() * 0.01 * normal(min(n, 60), X.shape[1], 5)).astype(X.dtype)
    Q[::3] = X[: len(Q) : 3]
    points, pairs_of = nearest.Points(on(device, X)), AllPairs(X)
    with np.errstate(over="ignore"):
        for k in {1, min(5, n), min(64, n), min(100, n), *([n] if n <= 400 else [])}:
            asked = Q[: 60 if k <= 5 else 12]
            distances, rows = nearest.nearest(points, on(device, asked), None, k)
            expected = pairs_of.nearest(asked, k)
            np.testing.assert_array_equal(rows.cpu().numpy(), expected[1])
            np.testing.assert_array_equal(distances.cpu().numpy(), expected[0])
        if n > 7:
            own = torch.arange(n, device=device)
            distances, rows = nearest.nearest(points, points.X, own, 7)
            expected = pairs_of.nearest(None, 7)
            np.testing.assert_array_equal(rows.cpu().numpy(), expected[1])
            np.testing.assert_array_equal(distances.cpu().numpy(), expected[0])


@pytest.mark.parametrize("name", HARD)
def test_what_is_within_radii_is_what_the_definition_says(device, name):
    X = HARD[name][:: 1 + len(HARD[name]) // 150]
    points, pairs_of = nearest.Points(on(device, X)), AllPairs(X)
    with np.errstate(over="ignore"):
        far = pairs_of.nearest(X, len(X))[0]
        for radii in (np.zeros(len(X)), far[:, min(9, len(X) - 1)], np.quantile(far, 0.4) * (1 + np.arange(len(X)) % 2),
                      np.full(len(X), np.inf)):  # fmt: skip
            for own in (None, torch.arange(len(X), device=device)):
                queries = X if own is None else None
                asked = points, points.X, own, on(device, radii)
                expected = pairs_of.within(queries, radii)
                np.testing.assert_array_equal(radius.count_within(*asked).cpu(), np.diff(expected[0]))
                for got, right in zip(radius.within(*asked), expected, strict=True):
                    np.testing.assert_array_equal(got.cpu().numpy(), right)


def test_the_textbook_agrees(device):
    X = np.round(normal(200, 3), 1)
    points = nearest.Points(on(device, X))
    distances, rows = nearest.nearest(points, on(device, X[:30]), None, 6)
    expected = k_nearest(X[:30], X, 6)
    np.testing.assert_array_equal(rows.cpu().numpy(), expected[1])
    np.testing.assert_allclose(distances.cpu().numpy(), expected[0], rtol=1e-15)
    indptr, rows, _ = radius.within(
        points, on(device, X[:30]), None, torch.full((30,), 0.7, dtype=torch.float64).to(device)
    )
    for i, right in enumerate(within(X[:30], X, 0.7)):
        assert rows[indptr[i] : indptr[i + 1]].tolist() == right.tolist()


def test_queries_far_from_all_points(device):
    X = normal(100, 12)
    Q = np.array([[1e140] * 12, [-1e30] * 12, [0.0] * 12, [1e9] * 12])
    points = nearest.Points(on(device, X))
    distances, rows = nearest.nearest(points, on(device, Q), None, 3)
    expected = AllPairs(X).nearest(Q, 3)
    np.testing.assert_array_equal(rows.cpu().numpy(), expected[1])
    np.testing.assert_array_equal(distances.cpu().numpy(), expected[0])
    radii = expected[0][:, 1]
    np.testing.assert_array_equal(
        radius.count_within(points, on(device, Q), None, on(device, radii)).cpu(), AllPairs(X).count_within(Q, radii)
    )


def test_chunks_of_queries_and_pairs_change_nothing(device, monkeypatch):
    X = HARD["crowds"][::4]
    points = nearest.Points(on(device, X))
    ones = torch.ones(len(X), dtype=torch.float64, device=device)
    whole = (
        nearest.nearest(points, points.X, None, 4),
        radius.within(points, points.X, None, ones),
    )
    for name, value in (("MOST_QUERIES", 50), ("PAIRS_AT_ONCE", 999), ("ROOM_AT_ONCE", 1 << 13)):
        monkeypatch.setattr(nearest, name, value)
    monkeypatch.setattr(radius, "MOST_QUERIES", 37)
    monkeypatch.setattr(pairs, "AT_ONCE", 1 << 12)
    monkeypatch.setattr(pairs, "EXACT_AT_ONCE", 100)
    again = (
        nearest.nearest(points, points.X, None, 4),
        radius.within(points, points.X, None, ones),
    )
    for one, other in zip(whole, again, strict=True):
        for a, b in zip(one, other, strict=True):
            assert torch.equal(a, b)


@pytest.mark.parametrize("name", ["space", "many columns"])
def test_whole_searches_by_the_kernels(device, name, monkeypatch):
    if device == "cpu":
        monkeypatch.setattr(pairs.triton, "runs_on", lambda tensor: True)
    X = HARD[name][:200]
    points = nearest.Points(on(device, X))
    own = torch.arange(len(X), device=device)
    distances, rows = nearest.nearest(points, points.X[:40], own[:40], 5)
    expected = AllPairs(X).nearest(None, 5)
    np.testing.assert_array_equal(rows.cpu().numpy(), expected[1][:40])
    np.testing.assert_array_equal(distances.cpu().numpy(), expected[0][:40])
    radii = on(device, expected[0][:40, 3])
    np.testing.assert_array_equal(
        radius.count_within(points, points.X[:40], own[:40], radii).cpu(),
        AllPairs(X).count_within(X[:40], expected[0][:40, 3]) - 1,
    )


@parametrize_with_checks(
    [
        ms.NearestNeighbors(device="torch"),
        ms.LSHIndex(device="torch", random_state=0),
    ]
)
def test_scikit_learn_contract(estimator, check):
    check(estimator)


# ---- the estimator ------------------------------------------------------------------------------------------------


def models(X, device, **how):
    cpu = ms.NearestNeighbors(algorithm="brute", device="cpu", **how).fit(X)
    return cpu, ms.NearestNeighbors(device="torch" if device == "cpu" else device, **how).fit(on(device, X))


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
def test_the_estimator_answers_as_on_the_cpu(device, metric):
    X = normal(300, 12)
    cpu, gpu = models(X, device, metric=metric)
    Q = normal(40, 12, 1)
    for queries in (Q, None):
        asked = None if queries is None else on(device, queries)
        for got, right in zip(gpu.kneighbors(asked), cpu.kneighbors(queries), strict=True):
            assert got.device.type == device
            np.testing.assert_array_equal(got.cpu().numpy(), right)
        far = float(cpu.kneighbors(queries)[0][:, -1].mean())
        np.testing.assert_array_equal(gpu.count_neighbors(asked, far).cpu(), cpu.count_neighbors(queries, far))
        for got, right in zip(
            gpu.radius_neighbors(asked, far, sort_results=True),
            cpu.radius_neighbors(queries, far, sort_results=True),
            strict=True,
        ):
            for one, other in zip(got, right, strict=True):
                assert one.device.type == device
                np.testing.assert_array_equal(one.cpu().numpy(), other)
        for mode in ("connectivity", "distance"):
            for graph, right in (
                (gpu.kneighbors_graph(asked, 3, mode), cpu.kneighbors_graph(queries, 3, mode)),
                (gpu.radius_neighbors_graph(asked, far, mode), cpu.radius_neighbors_graph(queries, far, mode)),
            ):
                assert graph.layout == torch.sparse_csr
                assert graph.device.type == device
                np.testing.assert_array_equal(graph.to_dense().cpu().numpy(), right.toarray())


def test_radii_of_each_query_and_their_errors(device):
    X = normal(100, 3)
    cpu, gpu = models(X, device)
    radii = np.linspace(0.0, 2.0, 100)
    np.testing.assert_array_equal(
        gpu.count_neighbors(radius=on(device, radii)).cpu(), cpu.count_neighbors(radius=radii)
    )
    np.testing.assert_array_equal(gpu.count_neighbors(radius=radii.tolist()).cpu(), cpu.count_neighbors(radius=radii))
    for bad, error, words in (
        (-1.0, ValueError, "at least 0, got -1"),
        (np.full(100, np.nan), ValueError, "100 such"),
        ([1.0, 2.0], ValueError, r"shape \(100,\)"),
        (True, TypeError, "a number"),
    ):
        with pytest.raises(error, match=words):
            gpu.count_neighbors(radius=bad)


@pytest.mark.parametrize("radius", [0.3, np.float64(0.3), [0.3, 0.3, 0.3]])
def test_radii_are_read_in_float64(device, radius):
    X = np.array([[0.0], [0.3], [0.3 + 0.31 + 5e-9]])
    assert on(device, X).dtype == torch.float64
    cpu, gpu = models(X - 5e-9 * np.array([[1.0], [0.0], [0.0]]), device)
    right = cpu.count_neighbors(radius=radius)
    np.testing.assert_array_equal(right, [0, 0, 0])
    np.testing.assert_array_equal(gpu.count_neighbors(radius=radius).cpu(), right)
    cpu, gpu = models(1e-60 * X, device)
    np.testing.assert_array_equal(gpu.count_neighbors(radius=4e-61).cpu(), cpu.count_neighbors(radius=4e-61))
    np.testing.assert_array_equal(gpu.count_neighbors(radius=1e50).cpu(), [2, 2, 2])


def test_arrays_go_to_the_device_and_come_back_as_arrays(device):
    X = normal(80, 5)
    model = ms.NearestNeighbors(device="torch" if device == "cpu" else device).fit(X)
    cpu = ms.NearestNeighbors().fit(X)
    for got, right in zip(model.kneighbors(), cpu.kneighbors(), strict=True):
        assert isinstance(got, np.ndarray)
        np.testing.assert_array_equal(got, right)
    pieces = model.radius_neighbors(radius=1.0)[1]
    assert pieces.dtype == object
    assert isinstance(pieces[0], np.ndarray)
    assert issparse(model.kneighbors_graph())
    tensors = model.kneighbors(torch.from_numpy(X[:3]).to(device))
    assert tensors[0].device.type == device


def test_a_model_of_the_cpu_takes_queries_of_a_device(device):
    X = normal(80, 5)
    model = ms.NearestNeighbors().fit(X)
    right = model.kneighbors(X[:9])
    model.set_params(device="torch" if device == "cpu" else "auto")
    got = model.kneighbors(on(device, X[:9]))
    np.testing.assert_array_equal(got[1].cpu().numpy(), right[1])
    np.testing.assert_array_equal(got[0].cpu().numpy(), right[0])


def test_functional_forms(device):
    X = normal(60, 3)
    how = {"mode": "distance", "include_self": True, "device": "torch" if device == "cpu" else "auto"}
    for graph, right in (
        (ms.kneighbors_graph(on(device, X), 4, **how), ms.kneighbors_graph(X, 4, mode="distance", include_self=True)),
        (ms.radius_neighbors_graph(on(device, X), 1.0, **how),
         ms.radius_neighbors_graph(X, 1.0, mode="distance", include_self=True)),
    ):  # fmt: skip
        np.testing.assert_array_equal(graph.to_dense().cpu().numpy(), right.toarray())
    how["device"] = "torch" if device == "cpu" else device
    for graph, right in (
        (ms.kneighbors_graph(X, 4, **how), ms.kneighbors_graph(X, 4, mode="distance", include_self=True)),
        (ms.radius_neighbors_graph(X, 1.0, **how),
         ms.radius_neighbors_graph(X, 1.0, mode="distance", include_self=True)),
    ):  # fmt: skip
        assert issparse(graph)
        np.testing.assert_array_equal(graph.toarray(), right.toarray())


@pytest.mark.parametrize("lsh", [False, True])
def test_pickles(device, lsh):
    X = on(device, normal(300, 6))
    here = "torch" if device == "cpu" else "auto"
    model = ms.LSHIndex(device=here, random_state=0) if lsh else ms.NearestNeighbors(device=here)
    model.fit(X)
    again = pickle.loads(pickle.dumps(model))
    ask = (lambda m: m.query(X[:20], 3)) if lsh else (lambda m: m.kneighbors(X[:20], 3))
    for one, other in zip(ask(model), ask(again), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("make", [ms.NearestNeighbors, ms.LSHIndex])
def test_hostile_tensors(device, make):
    model = make(device="torch" if device == "cpu" else device)
    X = on(device, normal(20, 4))
    for bad, error, words in (
        (torch.full((3, 2), float("nan"), device=device), ValueError, "NaN"),
        (torch.full((3, 2), float("inf"), device=device), ValueError, "infinity"),
        (torch.zeros(0, 2, device=device), ValueError, "at least one row"),
        (torch.zeros(4, device=device), ValueError, "2-D"),
        (torch.zeros(3, 2, device=device).to_sparse(), TypeError, "sparse"),
        (torch.zeros(3, 2, dtype=torch.complex64, device=device), TypeError, "[Cc]omplex"),
        (torch.full((3, 2), 1e200, device=device, dtype=torch.float64), ValueError, "overflow"),
    ):
        with pytest.raises(error, match=words):
            model.fit(bad)
    search = "query" if make is ms.LSHIndex else "kneighbors"
    model.fit(X)
    with pytest.raises(ValueError, match="features"):
        getattr(model, search)(X[:, :3], 2)
    with pytest.raises(ValueError, match=r"2[01]"):
        getattr(model, search)(X, 21)
    right = getattr(model, search)(X, 3)[1]
    odd = on(device, normal(40, 8))
    odd[::2, ::2] = X
    for same in (odd[::2, ::2], X.clone().requires_grad_(), X.T.contiguous().T):
        assert torch.equal(getattr(model, search)(same, 3)[1], right)
    assert getattr(make(device=model.device).fit(X.half()), search)(X.half(), 1)[1].flatten().tolist() == list(
        range(20)
    )


def test_a_zero_row_has_no_direction(device):
    X = normal(20, 4)
    X[7] = 0.0
    with pytest.raises(ValueError, match="Row 7 of X is zero"):
        ms.NearestNeighbors(metric="cosine", device="torch" if device == "cpu" else device).fit(on(device, X))


def test_many_neighbours_of_few_points(device):
    X = on(device, normal(10, 2))
    model = ms.NearestNeighbors(device="torch" if device == "cpu" else device).fit(X)
    with pytest.raises(ValueError, match="n_neighbors < n_samples_fit"):
        model.kneighbors(n_neighbors=10)
    with pytest.raises(ValueError, match="n_neighbors < n_samples_fit"):
        model.kneighbors_graph(n_neighbors=10)
    assert sorted(model.kneighbors(X[:1], 10)[1][0].tolist()) == list(range(10))


# ---- hashing ------------------------------------------------------------------------------------------------------

GIVEN = {"pstable": (4, 3.0), "sign": (6, 1.0), "cross-polytope": (2, 1.0)}


def clustered(n, d, seed=0, dtype=np.float32):
    rng = np.random.default_rng(seed)
    return (rng.normal(size=(30, d))[rng.integers(0, 30, n)] + 0.2 * rng.normal(size=(n, d))).astype(dtype)


def both(X, device, family="pstable", probes=4.0, tables=4):
    hashes, width = GIVEN[family]
    settings = Settings(family, tables, hashes, width, probes, 3)
    return HashedPoints(X, settings), DeviceHashedPoints(on(device, X), settings)


@pytest.mark.parametrize("family", GIVEN)
def test_keys_and_probing_sequences_are_those_of_the_cpu(device, family):
    from modeseek.engines.cpu import hashing as cpu

    X = clustered(1000, 12)
    ours, theirs = both(X, device, family)[::-1]
    drawn = draw(family, 4, GIVEN[family][0], GIVEN[family][1] * theirs.frame.scale, 12, 3)
    np.testing.assert_array_equal(ours.frame.middle.cpu(), theirs.frame.middle)
    inside = theirs.frame.all_into(X)
    np.testing.assert_array_equal(ours.frame.into(on(device, X)).cpu(), inside)
    values = hashing.project(on(device, inside), ours.drawn)
    found, expected = hashing.keys(values, ours.drawn).cpu().numpy().view(np.uint64), np.empty((4, len(X)), np.uint64)
    for t in range(4):
        cpu.table_keys(
            inside, drawn.directions[t], drawn.offsets[t], drawn.multipliers[t], drawn.axes, drawn.family, expected[t]
        )
    assert (expected == found.T).mean() > 0.999  # but for projections on a border
    table, key = (x.cpu().numpy() for x in hashing.probes(values[:50], ours.drawn, 30))
    for i in range(50):
        visited = list(zip(table[i].tolist(), key[i].tolist(), strict=True))
        assert len(set(visited)) == 30
        own = {(t, int(found.view(np.int64)[i, t])) for t in range(4)}
        assert set(visited[:4]) == own


@pytest.mark.parametrize("family", GIVEN)
@pytest.mark.parametrize("probes", [1, 3, 30])
def test_candidates_are_those_of_the_cpu(device, family, probes):
    X = clustered(1500, 12)
    Q = X[:100] + np.float32(0.03)
    theirs, ours = both(X, device, family, probes)
    expected, got = theirs.nearest(Q, 8), ours.nearest(on(device, Q), 8)
    assert abs(ours.n_candidates - theirs.n_candidates) <= 0.002 * theirs.n_candidates
    same = got[1].cpu().numpy() == expected[1]
    assert same.mean() > 0.995
    np.testing.assert_allclose(got[0].cpu().numpy()[same], expected[0][same], rtol=1e-12)
    found = ours.within(on(device, Q), 0.9)
    indptr, rows, distances = theirs.within(Q, 0.9)
    assert abs(int(found[0][-1]) - indptr[-1]) <= 0.005 * indptr[-1]
    assert len(set(zip(np.repeat(np.arange(100), np.diff(indptr)), rows, strict=True))) == len(rows)
    if len(found[1]) == len(rows):
        np.testing.assert_array_equal(found[1].cpu(), rows)
        np.testing.assert_allclose(found[2].cpu(), distances, rtol=1e-12)


def test_buckets_that_are_visited_hold_too_little(device):
    X = clustered(600, 12)
    Q = np.vstack([X[:5], 50.0 + X[:5]])  # the last are in no bucket of any point
    theirs, ours = both(X, device, "pstable", 1.0)
    for k in (1, 40, 600):
        distances, rows = ours.nearest(on(device, Q), k)
        expected = theirs.nearest(Q, k)
        np.testing.assert_array_equal(rows.cpu(), expected[1])
        np.testing.assert_allclose(distances.cpu(), expected[0], rtol=1e-12)


def test_a_share_of_the_queries_visits_one_bucket_more(device):
    X = clustered(2000, 12)
    _, ours = both(X, device, "pstable", 3.25)
    visits = ours._visits(hashing.project(ours.frame.into(ours.X), ours.drawn))
    assert set(visits.tolist()) == {3, 4}
    assert abs(float(visits.double().mean()) - 3.25) < 0.05


def test_a_key_does_not_depend_on_the_company_of_a_point(device):
    X = on(device, clustered(700, 12))
    ours = both(clustered(700, 12), device)[1]
    inside = ours.frame.into(X)
    whole = hashing.project(inside, ours.drawn)
    assert torch.equal(hashing.project(inside[333:334], ours.drawn), whole[333:334])
    distances, rows = ours.nearest(X, 1)
    assert not distances.any()
    assert (rows.flatten() <= torch.arange(700, device=device)).all()


def test_an_index_finds_as_much_as_on_the_cpu(device):
    X = clustered(1500, 16)
    cpu = ms.LSHIndex(random_state=0).fit(X)
    gpu = ms.LSHIndex(random_state=0, device="torch" if device == "cpu" else device).fit(on(device, X))
    assert (gpu.n_hashes_, gpu.width_) == (cpu.n_hashes_, pytest.approx(cpu.width_, rel=1e-6))
    assert abs(gpu.recall_ - cpu.recall_) < 0.03
    for index in (cpu, gpu):
        index.tune(0.8, 5, n_queries=600)
    assert abs(gpu.recall_ - cpu.recall_) < 0.03
    assert abs(gpu.n_probes_ - cpu.n_probes_) < 0.2 * cpu.n_probes_
    assert "pstable tables" in gpu.summary()
    distances, rows = gpu.query(on(device, X[:200]), 5)
    assert (rows.device.type, rows[:, 0].tolist()) == (device, list(range(200)))
    true = k_nearest(X[:200], X, 5)[1]
    found = np.mean([len(np.intersect1d(a, b)) for a, b in zip(rows.cpu().numpy(), true, strict=True)]) / 5
    assert found > 0.75
    exact = np.sqrt(((X[:200, None].astype(float) - X[rows.cpu().numpy()].astype(float)) ** 2).sum(2))
    np.testing.assert_allclose(distances.cpu(), exact, rtol=1e-12)


def test_recall_is_measured_where_all_settings_are_given(device):
    X = clustered(1000, 8)
    how = {"n_hashes": 4, "width": 2.0, "n_probes": 20, "random_state": 1}
    cpu = ms.LSHIndex(**how).fit(X)
    gpu = ms.LSHIndex(device="torch" if device == "cpu" else device, **how).fit(on(device, X))
    assert abs(cpu.recall_ - gpu.recall_) < 0.01


def test_few_points_are_all_compared(device):
    X = normal(200, 5)
    gpu = ms.LSHIndex(device="torch" if device == "cpu" else device).fit(on(device, X))
    np.testing.assert_array_equal(gpu.query(on(device, X), 9)[1].cpu(), k_nearest(X, X, 9)[1])
    assert gpu.recall_ == 1.0
    indptr, rows, _ = gpu.query_radius(on(device, X), 1.0)
    for i, right in enumerate(within(X, X, 1.0)):
        assert rows[indptr[i] : indptr[i + 1]].tolist() == right.tolist()


@pytest.mark.parametrize("name", ["repeats of many columns", "constant", "tiny", "huge", "an outlier"])
def test_hard_points_are_hashed(device, name):
    X = np.vstack([HARD[name]] * 2)[:600]
    model = ms.LSHIndex(random_state=0, device="torch" if device == "cpu" else device).fit(on(device, X))
    distances, rows = model.query(on(device, X[:20]), 2)
    assert rows.shape == (20, 2)
    assert not distances[:, 0].any()
    assert torch.isfinite(distances).all()


def test_an_index_of_the_cpu_does_not_take_queries_of_a_device_in_silence(device):
    X = normal(50, 4)
    index = ms.LSHIndex().fit(X)
    index.set_params(device="torch" if device == "cpu" else "auto")
    with pytest.raises(ValueError, match=r"fitted on the CPU.*device=\"cpu\""):
        index.query(on(device, X), 3)
    index.set_params(device="cpu")
    assert index.query(on(device, X), 3)[1].device.type == device


def test_hashing_as_an_algorithm(device):
    X = clustered(700, 8)
    model = ms.NearestNeighbors(algorithm="lsh", device="torch" if device == "cpu" else device).fit(on(device, X))
    rows = model.kneighbors(n_neighbors=4)[1]
    assert not (rows == torch.arange(700, device=device)[:, None]).any()
    true = AllPairs(X).nearest(None, 4)[1]
    assert np.mean([len(np.intersect1d(a, b)) for a, b in zip(rows.cpu().numpy(), true, strict=True)]) > 3.2
    counts = model.count_neighbors(radius=0.5)
    pieces = model.radius_neighbors(radius=0.5)[1]
    assert [len(piece) for piece in pieces] == counts.tolist()
    assert all(i not in piece.tolist() for i, piece in enumerate(pieces))
