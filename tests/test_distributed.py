"""Dask: the same bits as in memory, for any partitions and workers; what cannot be done is said."""

import itertools
import os
import pickle
import signal
import subprocess
import sys

import dask
import dask.array as da
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_array
from sklearn.base import clone

import modeseek as ms
from modeseek import proven
from modeseek.distributed import keeping, routes, tasks
from modeseek.distributed import problem as problems
from modeseek.distributed.sparse import Sparse, add
from modeseek.distributed.sums import Exact, as_floats, fixed, unit_of
from tests.examples import examples
from tests.naive import lattice, mixture, moons, uniform

CUTS = ((20_000,), (3000, 17_000), (1, 4999, 0, 15_000), (7000, 1, 1, 12_998))


LOOK_UP, INDICES = tasks.look_up, []  # whether each look-up had the bins of its points


def noting_look_up(points, weights, table, entries, placed):
    INDICES.append(placed is not None and placed.index is not None)
    return LOOK_UP(points, weights, table, entries, placed)


@pytest.fixture(autouse=True)
def threads():
    with dask.config.set(scheduler="threads", num_workers=2):
        yield


@pytest.fixture
def nothing_gathered(monkeypatch):
    """Small data stay where they are, as large ones do."""
    monkeypatch.setattr(routes, "GATHERED", 0)


def cut(X: np.ndarray, chunks) -> da.Array:
    return da.from_array(X, chunks=(chunks, *X.shape[1:]))


def frame_of(X: np.ndarray, names="xyz", npartitions: int = 4) -> dd.DataFrame:
    return dd.from_pandas(pd.DataFrame(X, columns=list(names[: X.shape[1]])), npartitions=npartitions)


def same(found: ms.MeanShift, plain: ms.MeanShift, weights: bool = True) -> None:
    """Compare to the bit."""
    assert isinstance(found.labels_, da.Array)
    labels = found.labels_.compute()
    assert labels.dtype == np.int32
    np.testing.assert_array_equal(labels, plain.labels_)
    np.testing.assert_array_equal(found.cluster_centers_, plain.cluster_centers_)
    assert found.cluster_centers_.dtype == plain.cluster_centers_.dtype
    if weights:
        np.testing.assert_array_equal(found.cluster_weights_, plain.cluster_weights_)
    else:
        np.testing.assert_allclose(found.cluster_weights_, plain.cluster_weights_, rtol=1e-12)
    np.testing.assert_array_equal(found.bandwidth_, plain.bandwidth_)
    assert found.sketch_ == plain.sketch_
    assert str(found.certificate_) == str(plain.certificate_)
    assert found.n_iter_ == plain.n_iter_


# ---- mean shift: the same bits ------------------------------------------------------------------------------------


@pytest.mark.parametrize("fidelity", ["certified", "fast"])
@pytest.mark.parametrize(
    "data",
    [lambda: mixture(20_000, 1), lambda: mixture(20_000, 2), lambda: uniform(20_000, 2), lambda: moons(20_000)],
    ids=["line", "mixture", "uniform", "moons"],
)
def test_the_same_bits_as_in_memory_however_the_data_are_cut(nothing_gathered, data, fidelity):
    X, h = data()
    plain = ms.MeanShift(h, fidelity=fidelity).fit(X)
    for chunks in CUTS:
        found = ms.MeanShift(h, fidelity=fidelity).fit(cut(X, chunks))
        assert found.labels_.chunks == (chunks,)
        same(found, plain)
    np.testing.assert_array_equal(found.predict(cut(X, 5000)).compute(), plain.labels_)
    np.testing.assert_array_equal(found.score_samples(cut(X, 5000)).compute(), plain.score_samples(X))
    np.testing.assert_array_equal(found.predict(X[:100]), plain.labels_[:100])


@pytest.mark.parametrize("fidelity", ["certified", "fast"])
def test_in_space_and_on_lattices_labels_are_those_of_memory(nothing_gathered, fidelity):
    for X, h in (mixture(3000, 3), lattice(6000)):
        plain = ms.MeanShift(h, fidelity=fidelity).fit(X)
        found = ms.MeanShift(h, fidelity=fidelity).fit(cut(X, 1999))
        again = ms.MeanShift(h, fidelity=fidelity).fit(cut(X, (1, len(X) - 1)))
        np.testing.assert_array_equal(found.labels_.compute(), plain.labels_)
        np.testing.assert_allclose(found.cluster_centers_, plain.cluster_centers_, atol=1e-5 * h)
        np.testing.assert_array_equal(again.cluster_centers_, found.cluster_centers_)
        np.testing.assert_array_equal(again.labels_.compute(), plain.labels_)


@pytest.mark.parametrize(("fidelity", "h", "step"), [("certified", 2.0, "place_in"), ("fast", 6.0, "bins")])
def test_the_routes_of_very_many_points(nothing_gathered, monkeypatch, fidelity, h, step):
    """Patches, and bins with samples of every third row of a chunk, wherever partitions begin."""
    monkeypatch.setattr(proven, "CUBIC_POINTS", 1000)
    taken, original = [], getattr(problems.DaskProblem, step)
    monkeypatch.setattr(problems.DaskProblem, step, lambda *a: taken.append(original(*a)) or taken[-1])
    X, _ = mixture(600_000, 2)
    plain = ms.MeanShift(h, fidelity=fidelity).fit(X)
    for chunks in ((300_001, 299_999), (1, 70_000, 130_000, 1, 1, 0, 399_997)):
        same(ms.MeanShift(h, fidelity=fidelity).fit(cut(X, chunks)), plain)
    assert any(found is not None for found in taken)


@pytest.mark.parametrize(("fidelity", "h"), [("certified", 2.0), ("fast", 6.0)])
def test_without_room_to_keep_anything_points_are_read_again(nothing_gathered, monkeypatch, fidelity, h):
    monkeypatch.setattr(proven, "CUBIC_POINTS", 1000)
    X, _ = mixture(600_000, 2)
    plain = ms.MeanShift(h, fidelity=fidelity).fit(X)
    monkeypatch.setattr(tasks, "look_up", noting_look_up)
    INDICES.clear()
    same(ms.MeanShift(h, fidelity=fidelity).fit(cut(X, 250_000)), plain)
    assert INDICES
    assert all(INDICES)
    monkeypatch.setattr(keeping, "machine_memory", lambda: 1000)
    INDICES.clear()
    found = ms.MeanShift(h, fidelity=fidelity).fit(cut(X, 250_000))
    looked_up = len(INDICES)
    same(found, plain)
    assert len(INDICES) == looked_up + 3  # labels are looked up again
    assert not any(INDICES)


@pytest.mark.parametrize("k", [1, 255, 256, 65_535, 65_536])
def test_codes_are_as_small_as_labels_allow(k):
    kind = tasks.code_type(k)
    labels = np.array([0, k - 1, -1, k // 2, -1], np.int32)
    codes = np.empty(5, kind)
    codes[:] = labels
    names = np.append(np.arange(k)[::-1], -1).astype(np.int32)
    late = np.array([7, 8], np.int32)
    np.testing.assert_array_equal(tasks.label(codes, names, late), [k - 1, 0, 7, k - 1 - k // 2, 8])
    assert codes.itemsize == (1 if k < 256 else 2 if k < 65_536 else 4)


def test_what_stays_behind_does_not_travel_and_is_found_again():
    """As when a task runs elsewhere, or a worker writes results to disk."""
    X, h = mixture(600_000, 2)
    model = ms.MeanShift(h, fidelity="fast").fit(X)
    table, bounds = model._clustering.table, np.array([X.min(axis=0), X.max(axis=0)], np.float64)
    placed = tasks.count_in_bins(X, np.empty(0), len(X), bounds, table.delta, True, 0)
    moved = pickle.loads(pickle.dumps(placed))
    assert placed.index is not None
    assert moved.index is None
    assert sys.getsizeof(placed) > placed.index.nbytes
    entries = table.of_bins(2)
    one, two = (tasks.look_up(X, np.empty(0), table, entries, each) for each in (placed, moved))
    for name in ("codes", "rows", "points", "members"):
        np.testing.assert_array_equal(getattr(one, name), getattr(two, name))
    away = pickle.loads(pickle.dumps(one))
    assert away.codes is None
    np.testing.assert_array_equal(tasks.codes_of(X, np.empty(0), table, entries, away), one.codes)


@pytest.mark.parametrize("fidelity", ["certified", "fast"])
@pytest.mark.parametrize("whole", [True, False])
def test_weights(nothing_gathered, fidelity, whole):
    X, h = mixture(20_000, 2)
    w = np.random.default_rng(0).uniform(0.0, 5.0, len(X))
    w = np.round(w) if whole else w
    w[::7], w[:100] = 0.0, 0.0
    plain = ms.MeanShift(h, fidelity=fidelity).fit(X, sample_weight=w)
    for chunks in (20_000, (99, 1, 10_000, 9900), 777):
        found = ms.MeanShift(h, fidelity=fidelity).fit(cut(X, chunks), sample_weight=cut(w, 3000))
        same(found, plain, weights=whole)
        if not whole:  # the sum is rounded once, whatever the partitions
            one = ms.MeanShift(h, fidelity=fidelity).fit(cut(X, 20_000), sample_weight=w)
            np.testing.assert_array_equal(found.cluster_weights_, one.cluster_weights_)


def test_bandwidths_are_chosen_as_in_memory(nothing_gathered):
    X, _ = mixture(20_000, 2)
    w = np.random.default_rng(0).integers(0, 4, len(X)).astype(float)
    for weights in (None, w, w * 0.3):
        plain = ms.bandwidth_path(X, sample_weight=weights)
        found = ms.bandwidth_path(cut(X, (1, 7000, 0, 12_999)), sample_weight=weights)
        np.testing.assert_array_equal(found.bandwidths, plain.bandwidths)
        np.testing.assert_array_equal(found.n_clusters, plain.n_clusters)
        np.testing.assert_allclose(found.scores, plain.scores, rtol=1e-12)
        assert found.bandwidth == pytest.approx(plain.bandwidth, rel=1e-12)
    assert ms.estimate_bandwidth(frame_of(X)) == ms.estimate_bandwidth(X)
    same(ms.MeanShift().fit(cut(X, 7000)), ms.MeanShift().fit(X))
    many = np.random.default_rng(0).normal(size=(3000, 5))
    assert ms.bandwidth_path(cut(many, 700)).bandwidth == ms.bandwidth_path(many).bandwidth
    assert ms.estimate_bandwidth(cut(np.ones((50, 2)), 7)) == 1.0
    with pytest.raises(ValueError, match=r"only method=.auto. chooses a bandwidth, got method='silverman'"):
        ms.estimate_bandwidth(cut(X, 7000), method="silverman")


def test_other_forms_of_a_fit(nothing_gathered):
    X, h = mixture(20_000, 2)
    for parameters in (
        {"bandwidth": [h, 1.5 * h]}, {"bandwidth": np.array([[1.0, 0.3], [0.3, 1.0]]) * h * h},
        {"bandwidth": 0.4 * h, "min_cluster_size": 500},
        {"bandwidth": 0.4 * h, "min_cluster_size": 500, "cluster_all": False},
        {"bandwidth": 0.4 * h, "merge": "persistence", "min_persistence": 0.5},
    ):  # fmt: skip
        same(ms.MeanShift(**parameters).fit(cut(X, 7001)), ms.MeanShift(**parameters).fit(X))


def test_frames_know_their_columns(nothing_gathered):
    X, h = mixture(8000, 2)
    X = X.astype(np.float64)
    frame = frame_of(X)
    model, plain = ms.MeanShift(h).fit(frame), ms.MeanShift(h).fit(frame.compute())
    assert list(model.feature_names_in_) == ["x", "y"]
    same(model, plain)
    np.testing.assert_array_equal(model.predict(frame).compute(), plain.labels_)
    unknown = frame[frame["x"] > frame["x"].mean().compute()].to_dask_array()  # sizes are not known
    assert np.isnan(unknown.chunks[0]).all()
    half = unknown.compute()
    same(ms.MeanShift(h).fit(unknown), ms.MeanShift(h).fit(half))
    with pytest.warns(UserWarning, match="valid feature names"):
        answer = model.predict(unknown)
    np.testing.assert_array_equal(answer.compute(), plain.predict(frame.compute())[X[:, 0] > X[:, 0].mean()])
    weighted = frame.assign(w=frame["x"].abs().round())
    own = ms.MeanShift(h).fit(frame, sample_weight=weighted["w"])
    same(own, ms.MeanShift(h).fit(frame.compute(), sample_weight=weighted["w"].compute().to_numpy()))
    with pytest.raises(ValueError, match="feature names should match"):
        model.predict(frame[["y", "x"]])
    with pytest.raises(ValueError, match="1 feature"):
        model.predict(frame[["x"]].to_dask_array())
    with pytest.raises(ValueError, match=r"could not convert|Cannot cast|string"):
        ms.MeanShift(h).fit(dd.from_pandas(pd.DataFrame({"a": ["p", "q"]}), npartitions=1))
    whole = dd.from_pandas(pd.DataFrame({"a": np.arange(2000) % 7, "b": np.arange(2000) % 5}), npartitions=3)
    assert ms.MeanShift(2.0).fit(whole).cluster_centers_.dtype == np.float64


def test_a_small_collection_is_gathered_and_fitted_as_any(monkeypatch):
    X, _ = mixture(1500, 5)
    for parameters in (
        {"bandwidth": 3.0}, {"bandwidth": 3.0, "fidelity": "exact"}, {"kernel": "flat", "bandwidth": 6.0},
        {"bandwidth": 3.0, "blurring": True}, {"bandwidth": 3.0, "standardize": True},
    ):  # fmt: skip
        same(ms.MeanShift(**parameters).fit(cut(X, 400)), ms.MeanShift(**parameters).fit(X))
    model = ms.MeanShift(3.0).fit(frame_of(X, "abcde"))
    assert list(model.feature_names_in_) == list("abcde")
    assert model.labels_.chunks[0] == (375,) * 4


def test_nothing_is_computed_before_it_is_asked_for(nothing_gathered):
    X, h = mixture(8000, 2)
    seen = []

    def block(i):
        seen.append(i)
        return X[2000 * i : 2000 * i + 2000]

    lazily = da.concatenate([
        da.from_delayed(dask.delayed(block, pure=True)(i), (2000, 2), np.float32) for i in range(4)
    ])  # fmt: skip
    model = ms.MeanShift(h).fit(lazily)
    passes = len(seen)
    assert passes % 4 == 0
    assert passes <= 4 * 5
    labels = model.labels_
    answer = model.predict(lazily)
    assert len(seen) == passes
    np.testing.assert_array_equal(labels[:2000].compute(), ms.MeanShift(h).fit(X).labels_[:2000])
    assert len(seen) == passes  # codes are kept
    np.testing.assert_array_equal(answer.compute(), labels.compute())
    assert len(seen) == passes + 4  # to predict


# ---- k-means ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("d", [1, 2, 3, 6])
@pytest.mark.parametrize("weighted", [False, True])
def test_kmeans_has_the_same_bits_for_any_partitions_and_the_labels_of_memory(nothing_gathered, d, weighted):
    X, _ = mixture(20_000, d)
    w = np.random.default_rng(0).uniform(0, 3, len(X)) if weighted else None
    make = clone(ms.KMeans(9, init=X[:9], n_init=1))
    plain, one = clone(make).fit(X, sample_weight=w), None
    for chunks in CUTS:
        found = clone(make).fit(cut(X, chunks), sample_weight=w)
        np.testing.assert_array_equal(found.labels_.compute(), plain.labels_)
        np.testing.assert_allclose(found.cluster_centers_, plain.cluster_centers_, rtol=1e-6)
        assert found.inertia_ == pytest.approx(plain.inertia_, rel=1e-10)
        assert found.n_iter_ == plain.n_iter_
        one = one or found
        np.testing.assert_array_equal(found.cluster_centers_, one.cluster_centers_)
        assert found.inertia_ == one.inertia_
    lazily = cut(X, 7777)
    np.testing.assert_array_equal(found.predict(lazily).compute(), plain.labels_)
    np.testing.assert_allclose(found.transform(lazily).compute(), found.transform(X), rtol=1e-6)
    assert found.score(lazily, sample_weight=w) == pytest.approx(found.score(X, sample_weight=w), rel=1e-10)


@pytest.mark.parametrize("init", ["k-means++", "random", "k-means||"])
def test_kmeans_draws_its_starts_from_a_sample(nothing_gathered, init):
    X, _ = mixture(20_000, 2)
    one, two = (ms.KMeans(9, init=init, n_init=3, random_state=0).fit(cut(X, n)) for n in (20_000, 999))
    np.testing.assert_array_equal(one.cluster_centers_, two.cluster_centers_)
    np.testing.assert_array_equal(one.fit_predict(cut(X, 999)).compute(), two.labels_.compute())
    plain = ms.KMeans(9, init=init, n_init=3, random_state=0).fit(X)  # as there are fewer rows than in a sample
    assert one.inertia_ == pytest.approx(plain.inertia_, rel=1e-9)


def test_kmeans_gives_empty_clusters_the_furthest_points(nothing_gathered):
    X, _ = mixture(5000, 2)
    init = np.concatenate([X[:4], [[1e3, 1e3]]])
    plain = ms.KMeans(5, init=init, n_init=1).fit(X)
    found = ms.KMeans(5, init=init, n_init=1).fit(cut(X, 999))
    np.testing.assert_array_equal(found.labels_.compute(), plain.labels_)
    with pytest.warns(UserWarning, match="distinct clusters"):
        few = ms.KMeans(4, random_state=0).fit(cut(np.repeat([[0.0], [1.0]], 50, axis=0), 30))
    assert set(few.labels_.compute()) <= {0, 1, 2, 3}
    with pytest.raises(ValueError, match="n_samples=3 should be >= n_clusters=5"):
        ms.KMeans(5).fit(cut(X[:3], 2))
    with pytest.raises(ValueError, match="init as a function needs all points in one place"):
        ms.KMeans(5, init=lambda X, k, random_state: X[:k]).fit(cut(X, 999))


# ---- what cannot be done is said ----------------------------------------------------------------------------------


def test_what_is_not_finite_names_the_partition(nothing_gathered):
    X, h = mixture(6000, 2)
    bad = X.copy()
    bad[4500, 1] = np.nan
    message = r"In partition 2 \(counted from 0\): Input X contains NaN \(first at row 500, column 1\)"
    for model in (ms.MeanShift(h), ms.KMeans(3)):
        with pytest.raises(ValueError, match=message):
            model.fit(cut(bad, 2000))
        assert not hasattr(model, "labels_")
    model = ms.MeanShift(h).fit(cut(X, 2000))
    with pytest.raises(ValueError, match=message):
        model.predict(cut(bad, 2000)).compute()
    w = np.ones(6000)
    w[2100] = -1.0
    with pytest.raises(ValueError, match=r"In partition 1 .*entry 100 is -1"):
        model.fit(cut(X, 2000), sample_weight=cut(w, 2000))
    with pytest.raises(ValueError, match="Every sample_weight is zero"):
        model.fit(cut(X, 2000), sample_weight=cut(0.0 * w, 2000))
    with pytest.raises(ValueError, match="sample_weight must have shape"):
        model.fit(cut(X, 2000), sample_weight=w[:-1])
    with pytest.raises(ValueError, match="sample_weight has 2 partitions, X has 3"):
        model.fit(cut(X, 2000), sample_weight=cut(w[:-1], 3000))


def test_what_needs_all_points_in_one_place_is_refused(nothing_gathered):
    X, h = mixture(3000, 2)
    lazily = cut(X, 700)
    for parameters, words in (
        ({"fidelity": "exact"}, 'fidelity="exact" needs all points in one place'),
        ({"kernel": "flat"}, "kernel='flat'"),
        ({"metric": "cosine"}, "metric='cosine'"),
        ({"blurring": True}, "blurring=True"),
        ({"standardize": True}, "standardize=True"),
        ({"bandwidth": "silverman"}, "bandwidth='silverman'"),
        ({"bandwidth": np.full((3000, 1), h)}, r"bandwidth of shape \(3000, 1\)"),
        ({"bandwidth": 1e-4}, "too small for a grid around all points.* Use a larger bandwidth, remove outliers"),
    ):
        with pytest.raises(ValueError, match=words):
            ms.MeanShift(**{"bandwidth": h, **parameters}).fit(lazily)
    with pytest.raises(ValueError, match=r"clustering in 4 columns .* larger \(3,000 rows, 0 MiB\)"):
        ms.MeanShift(h).fit(cut(mixture(3000, 4)[0], 700))
    model = ms.MeanShift(h).fit(lazily)
    for call in (lambda: model.partial_fit(lazily), lambda: model.path(lazily), lambda: model.audit(lazily),
                 lambda: ms.DBSCAN().fit(lazily)):  # fmt: skip
        with pytest.raises(TypeError, match="takes points in memory, got a Dask collection"):
            call()
    with pytest.raises(ValueError, match="2D array"):
        model.fit(lazily[:, 0])
    with pytest.raises(TypeError, match="pass a Dask array or a Dask data frame"):
        model.fit(dask.delayed([1, 2]))
    with pytest.raises(ValueError, match="0 sample"):
        model.fit(lazily[:0])
    with pytest.raises(TypeError, match="sparse"):
        model.fit(lazily.map_blocks(csr_array))


def test_dask_is_not_imported_without_need():
    code = (
        "import sys, numpy as np, modeseek as ms; X = np.random.default_rng(0).normal(size=(60, 2));"
        "ms.MeanShift(1.0).fit(X).predict(X); ms.KMeans(2).fit(X); ms.DBSCAN().fit(X);"
        "assert not {'dask', 'distributed'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


# ---- sums that do not depend on their order -----------------------------------------------------------------------


@examples(60)
@given(
    st.lists(st.floats(allow_nan=False, allow_infinity=False, min_value=-1e300, max_value=1e300), max_size=40),
    st.integers(0, 2**32 - 1),
)
def test_exact_sums_are_rounded_once(values, seed):
    import math

    x = np.array(values)
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, len(x))
    cuts = np.sort(rng.integers(0, len(x) + 1, 2))
    total = Exact(3, {})
    for part in np.split(rng.permutation(len(x)), cuts):
        total = total.plus(Exact.of(x[part], labels[part], 3))
    np.testing.assert_array_equal(total.floats(), [math.fsum(x[labels == j]) for j in range(3)])


def test_fixed_sums_are_those_of_rounded_numbers():
    x = np.random.default_rng(0).normal(size=5000) * 1e-3
    labels = np.arange(5000) % 4
    unit = unit_of(float(np.abs(x).max()))
    whole = fixed(x, labels, 4, unit)
    parts = sum(
        fixed(x[rows], labels[rows], 4, unit) for rows in np.array_split(np.random.default_rng(1).permutation(5000), 7)
    )
    np.testing.assert_array_equal(as_floats(whole, unit), as_floats(parts, unit))
    np.testing.assert_allclose(as_floats(whole, unit), np.bincount(labels, x), atol=5000 * unit)


@examples(40)
@given(st.integers(1, 60), st.integers(1, 6), st.integers(0, 2**32 - 1))
def test_sparse_grids_add_up(size, n, seed):
    rng = np.random.default_rng(seed)
    grids = rng.integers(0, 5, (n, size)) * (rng.random((n, size)) < 0.3)
    np.testing.assert_array_equal(add([Sparse.of(grid) for grid in grids]).dense(), grids.sum(axis=0))


# ---- a cluster of processes ---------------------------------------------------------------------------------------

DIES_ONCE = """
def fragile(block, flag):
    import os, signal
    try:
        os.close(os.open(flag, os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return block
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_workers_in_processes_one_of_which_is_killed(nothing_gathered, tmp_path):
    distributed = pytest.importorskip("distributed")
    X, h = mixture(20_000, 2)
    plain = ms.MeanShift(h).fit(X)
    scope: dict = {}
    exec(DIES_ONCE, scope)  # a function that travels by value: workers do not know this file
    with (
        dask.config.set(scheduler=None),
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, local_directory=str(tmp_path)
        ) as workers,
        distributed.Client(workers) as client,
    ):
        same(ms.MeanShift(h).fit(cut(X, 3001)), plain)
        lazily = cut(X, 5000).map_blocks(scope["fragile"], str(tmp_path / "flag"), dtype=X.dtype, meta=X[:0])
        found = ms.MeanShift(h).fit(lazily)
        assert (tmp_path / "flag").exists()  # one has died on the way
        same(found, plain)
        os.kill(next(iter(client.run(os.getpid).values())), signal.SIGKILL)  # and one that keeps codes
        same(found, plain)
        start = X[:5]
        one = ms.KMeans(5, init=start, n_init=1).fit(cut(X, 3001))
    two = ms.KMeans(5, init=start, n_init=1).fit(cut(X, 20_000))
    np.testing.assert_array_equal(one.cluster_centers_, two.cluster_centers_)
    np.testing.assert_array_equal(found.predict(X), plain.labels_)


# ---- scale --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fidelity", ["certified", "fast"])
def test_more_points_than_masses_of_the_usual_unit_can_hold(nothing_gathered, monkeypatch, fidelity):
    """As of 4e9 points on: units become coarser, and labels stay what they are."""
    from modeseek import prepare, sketch

    X, h = mixture(20_000, 2)
    plain = ms.MeanShift(h, fidelity=fidelity).fit(X)
    for module in (prepare, sketch):
        monkeypatch.setattr(module, "MAX_MASS", 1 << 38)  # 256 points
    found = ms.MeanShift(h, fidelity=fidelity).fit(cut(X, 7000))
    assert found.sketch_.weight_scale == 256.0
    assert (found.labels_.compute() == plain.labels_).mean() > 0.9999
    np.testing.assert_allclose(found.cluster_centers_, plain.cluster_centers_, atol=1e-3 * h)


def test_the_benchmark_draws_the_points_of_memory(monkeypatch):
    from benchmarks import dask_scaling, data

    monkeypatch.setattr(dask_scaling, "PARTITION", data.CHUNK)
    n, make = data.CHUNK + 1000, lambda k, ends: dask.delayed(dask_scaling.piece)(*ends)
    np.testing.assert_array_equal(dask_scaling.points(n, make).compute(), data.blobs(n))
    row = {"where": "w", "fidelity": "fast", "workers": 1, "same": False, "overhead": 0.5, "over_tasks": 0.1}
    assert [bar["result"] for bar in dask_scaling.bars([row], False)] == ["FAIL", "FAIL", "pass"]


@pytest.mark.parametrize("stride", [1, 7, 1001])
def test_bins_of_parts_are_those_of_the_whole(monkeypatch, stride):
    """Wherever parts begin, and however few rows of a chunk they hold: the same rows are sampled."""
    from modeseek import sketch

    monkeypatch.setattr(sketch, "ROWS_PER_CHUNK", 1000)
    monkeypatch.setattr(sketch, "run_chunks", lambda n, work, n_jobs: [
        work(0, k, min(k + 1000, n)) for k in range(0, n, 1000)
    ])  # fmt: skip
    X = np.random.default_rng(0).random((5300, 2))
    bounds = np.array([X.min(axis=0), X.max(axis=0)])

    def counted(a, b):
        counter = sketch.BinCounts(len(X), bounds, 0.1, 1)
        counter._stride = stride
        counter.add(X[a:b], np.empty(b - a, np.int32), a)
        return counter.totals()

    whole = counted(0, len(X))
    ends = [0, 3, 996, 999, 1000, 1001, 2500, 2999, 4100, 5300]
    parts = [counted(a, b) for a, b in itertools.pairwise(ends)]
    for sums in ("counts", "offsets"):
        np.testing.assert_array_equal(sum(part[sums] for part in parts), whole[sums])
