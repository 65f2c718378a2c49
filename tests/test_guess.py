"""Labels guessed while files are read for the sketch: taken where they are those of another pass, else that is made."""

import gc
import io
import resource
import signal
import threading
import weakref

import numpy as np
import pytest

import modeseek as ms
from modeseek import sketch
from modeseek.fields.nodes import Box
from modeseek.outofcore import guess, passes
from tests.test_outofcore import blobs, cut, labels_in, same, stopped_after

SIZES = {"certified": (3_100_000, 2.0), "fast": (700_000, 1.5)}  # rows and bandwidths for which bins are used


@pytest.fixture
def outcomes(monkeypatch):
    """Guess of few rows too; return what becomes of it: True where it holds."""
    for name, value in {"LEAST_ROWS": 0, "ROWS_PER_NODE": 0, "MOST_OPEN": 0.9}.items():
        monkeypatch.setattr(guess, name, value)
    monkeypatch.setattr(guess, "FIRST", 4)
    found, labels = [], guess.Guess.labels

    def noted(self, *args):
        known = labels(self, *args)
        found.append(known is not None)
        return known

    monkeypatch.setattr(guess.Guess, "labels", noted)
    return found


def rows_of(order: str, n: int, h: float) -> np.ndarray:
    """Return rows of which the first say much, or little, of those that come later."""
    X, rng = blobs(n, 2, np.float32), np.random.default_rng(0)
    if order == "sorted":
        return X[np.argsort(X[:, 0])]
    if order == "one cluster comes last":
        near = np.linalg.norm(X - X[0], axis=1) < 4.0
        return np.concatenate([X[~near], X[near]])
    if order in ("parted", "joined"):  # one cluster of the first rows is two in the end, or two are one
        m = 3 * n // 4 if order == "parted" else n // 3
        two = np.array([[0.0, 0.0], [4.0 * h, 0.0]])[rng.integers(0, 2, m)] + rng.normal(0, 0.3 * h, (m, 2))
        one = rng.normal([2.0 * h, 0.0], h * np.array([1.4 if order == "parted" else 0.8, 0.3]), (n - m, 2))
        return np.concatenate([one, two] if order == "parted" else [two, one]).astype(np.float32)
    return X


@pytest.fixture
def passes_made(monkeypatch):
    """Return the names of the passes that are made."""
    names, run = [], passes.Passes.run

    def named(self, name, *args):
        names.append(name)
        return run(self, name, *args)

    monkeypatch.setattr(passes.Passes, "run", named)
    return names


@pytest.mark.parametrize("fidelity", ["certified", "fast"])
@pytest.mark.parametrize("n_jobs", [1, 3])
def test_labels_are_those_of_memory_without_a_pass_for_them(
    tmp_path, monkeypatch, outcomes, passes_made, fidelity, n_jobs
):
    monkeypatch.setattr(passes, "CHUNKS", (1, 1))
    n, h = SIZES[fidelity]
    X = blobs(n, 2, np.float32)
    folder = cut(tmp_path / "in", X, [n // 3, n // 2])
    call = {"bandwidth": h, "fidelity": fidelity}
    found = ms.cluster_files(folder, tmp_path / "out", **call, labels_only=True, n_jobs=n_jobs)
    same(found, labels_in(tmp_path / "out"), ms.MeanShift(**call).fit(X))
    assert outcomes == [True]
    assert passes_made.count("sketch") == 1
    assert "look labels up" not in passes_made


@pytest.mark.parametrize("fidelity", ["certified", "fast"])
@pytest.mark.parametrize("order", ["sorted", "one cluster comes last", "parted", "joined"])
def test_rows_that_come_in_any_order_get_the_labels_of_memory(tmp_path, outcomes, passes_made, fidelity, order):
    n, h = SIZES[fidelity]
    X = rows_of(order, n, h)
    call = {"bandwidth": h, "fidelity": fidelity}
    found = ms.cluster_files(cut(tmp_path / "in", X, [n // 2]), tmp_path / "out", **call, labels_only=True)
    same(found, labels_in(tmp_path / "out"), ms.MeanShift(**call).fit(X))
    assert outcomes  # one of each table that is tried
    if order == "parted":
        assert len(found.centers) == 2
        assert not any(outcomes)
        assert "look labels up" in passes_made


@pytest.mark.parametrize("limit", [("MOST_OPEN", 0.1), ("LEAST_IN_CELL", 1e9)])
@pytest.mark.parametrize("order", ["any", "sorted"])
def test_nothing_is_guessed_where_many_rows_would_be_open(tmp_path, monkeypatch, outcomes, limit, order):
    monkeypatch.setattr(guess, *limit)
    n, h = SIZES["fast"]
    X = rows_of(order, n, h)
    call = {"bandwidth": h, "fidelity": "fast"}
    found = ms.cluster_files(cut(tmp_path / "in", X, []), tmp_path / "out", **call, labels_only=True)
    same(found, labels_in(tmp_path / "out"), ms.MeanShift(**call).fit(X))
    assert outcomes == [False]


@pytest.mark.parametrize("order", ["any", "parted"])
@pytest.mark.parametrize("n_jobs", [1, 3])
def test_a_run_that_was_stopped_anywhere_goes_on_to_the_same_bits(tmp_path, monkeypatch, outcomes, order, n_jobs):
    monkeypatch.setattr(passes, "CHUNKS", (1, 1))
    n, h = 1_600_000, 1.5
    folder = cut(tmp_path / "in", rows_of(order, n, h), [n // 3])
    options = {"bandwidth": h, "fidelity": "fast", "checkpoint_seconds": 0.0, "labels_only": True, "n_jobs": n_jobs}
    begun = []
    ms.cluster_files(folder, tmp_path / "whole", **options, progress=begun.append)
    assert outcomes == [order == "any"]
    for moment in range(1, len(begun), 2):
        out = tmp_path / f"out{moment}"
        stopped_after(moment, folder, out, options)
        assert ms.cluster_files(folder, out, **options, resume=True).resumed
        for path in (tmp_path / "whole").iterdir():
            assert (out / path.name).read_bytes() == path.read_bytes(), moment
        assert len(list(out.iterdir())) == 2


@pytest.mark.parametrize("lost", ["labels-000.bin", "labels-000.open"])
@pytest.mark.parametrize("cut_to", [None, 1000])
def test_a_guess_whose_files_are_lost_is_no_guess(tmp_path, monkeypatch, outcomes, lost, cut_to):
    monkeypatch.setattr(passes, "CHUNKS", (1, 1))
    n, h = SIZES["fast"]
    folder = cut(tmp_path / "in", blobs(n, 2, np.float32), [n // 3])
    options = {"bandwidth": h, "fidelity": "fast", "checkpoint_seconds": 0.0, "labels_only": True, "n_jobs": 1}
    ms.cluster_files(folder, tmp_path / "whole", **options)
    out = tmp_path / "out"

    def stop(at):
        if at.stage == "look labels up":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ms.cluster_files(folder, out, **options, progress=stop)
    path = out / ".modeseek" / lost
    if cut_to is None:
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:cut_to])
    assert ms.cluster_files(folder, out, **options, resume=True).resumed
    assert outcomes == [True, True, False]
    for path in (tmp_path / "whole").iterdir():
        assert (out / path.name).read_bytes() == path.read_bytes()


def test_small_clusters_that_the_first_rows_do_not_show_are_found(tmp_path, outcomes):
    n, h = SIZES["fast"]
    X = np.concatenate([blobs(5 * n, 2, np.float32), np.full((50, 2), 22.0, np.float32)])
    call = {"bandwidth": h, "fidelity": "fast"}
    found = ms.cluster_files(cut(tmp_path / "in", X, []), tmp_path / "out", **call, labels_only=True)
    same(found, labels_in(tmp_path / "out"), ms.MeanShift(**call).fit(X))
    assert outcomes == [True]
    assert 50.0 in found.weights


def interrupt(stage: str, last: bool = False):
    """Return what to tell progress to: it stops a run at the beginning of a stage, or when all its rows are done."""

    def stop(at):
        if at.stage == stage and (not last or at.done == at.total):
            raise KeyboardInterrupt

    return stop


@pytest.mark.parametrize("stage", ["sketch", "look labels up"])
def test_a_run_that_is_stopped_leaves_nothing_open(tmp_path, monkeypatch, outcomes, stage):
    monkeypatch.setattr(passes, "CHUNKS", (1, 1))
    n, h = SIZES["fast"]
    folder, out = cut(tmp_path / "in", blobs(n, 2, np.float32), []), tmp_path / "out"
    with pytest.raises(KeyboardInterrupt) as stopped:
        ms.cluster_files(
            folder, out, bandwidth=h, fidelity="fast", n_jobs=2, progress=interrupt(stage, stage == "sketch")
        )
    files = [one for one in gc.get_objects() if isinstance(one, io.BufferedWriter) and not one.closed]
    assert not [one.name for one in files if str(out) in str(one.name)], stopped  # as seen by who holds the exception
    assert not [one.name for one in threading.enumerate() if one.name.startswith(("modeseek-in-", "modeseek-reader"))]


def test_what_a_stopped_run_would_still_have_written_does_not_reach_the_next(tmp_path, monkeypatch, outcomes):
    n, h = SIZES["fast"]
    rng = np.random.default_rng(0)
    X = (rng.choice([-7.0, 7.0], (n, 1)) + rng.normal(0.0, 0.5, (n, 2))).astype(np.float32)
    X[-100:] = 0.0  # far from all others: open rows, so few that they are not written at once
    monkeypatch.setattr(guess, "LEAST_IN_CELL", 0.0)
    folder, out = cut(tmp_path / "in", X, []), tmp_path / "out"
    options = {"bandwidth": h, "fidelity": "fast", "labels_only": True, "n_jobs": 1}
    monkeypatch.setattr(passes, "CHUNKS", (2, 2))
    ms.cluster_files(folder, tmp_path / "whole", **options)
    monkeypatch.setattr(passes, "CHUNKS", (1, 1))  # hills are found earlier
    with pytest.raises(KeyboardInterrupt) as stopped:
        ms.cluster_files(folder, out, **options, progress=interrupt("sketch", last=True))
    held = [stopped]

    def forget(at):
        if at.stage == "polish" and held:  # files of the next are there, and have not been read
            held.clear()
            gc.collect()

    del stopped
    monkeypatch.setattr(passes, "CHUNKS", (2, 2))
    ms.cluster_files(folder, out, **options, resume=True, progress=forget)
    assert not held
    assert outcomes == [True, True]
    np.testing.assert_array_equal(labels_in(out), labels_in(tmp_path / "whole"))


@pytest.mark.parametrize("room", [0, 300_000, 3_000_000])
def test_a_disk_that_is_too_full_to_note_rows_ends_the_guess_not_the_run(tmp_path, monkeypatch, outcomes, room):
    monkeypatch.setattr(passes, "CHUNKS", (1, 1))
    n, h = SIZES["fast"]
    X = blobs(n, 2, np.float32)
    call = {"bandwidth": h, "fidelity": "fast"}
    folder, out, model = cut(tmp_path / "in", X, []), tmp_path / "out", ms.MeanShift(**call).fit(X)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)

    def limit(at):
        """Let no file grow beyond the room while rows come for the sketch."""
        most = room if at.stage == "sketch" and at.total else before[0]
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, before[1]))

    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        found = ms.cluster_files(folder, out, **call, labels_only=True, n_jobs=1, progress=limit)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    same(found, labels_in(out), model)
    assert outcomes == [False]


def test_no_labels_are_guessed_while_the_bandwidth_is_chosen(tmp_path, monkeypatch, outcomes, passes_made):
    n, _ = SIZES["fast"]
    rng = np.random.default_rng(0)
    X = (rng.choice([-2.0, 2.0], (n, 1)) + rng.normal(size=(n, 2))).astype(np.float32)
    monkeypatch.setattr(sketch, "POINTS_PER_BIN", 1)
    made, make = [], guess.Guess.make

    def noted(self, *args):
        made.append(self.problem.bandwidth)
        make(self, *args)

    monkeypatch.setattr(guess.Guess, "make", noted)
    found = ms.cluster_files(cut(tmp_path / "in", X, []), tmp_path / "out", fidelity="fast", labels_only=True)
    assert passes_made.count("sketch") == 2
    assert made == [found.bandwidth]
    same(found, labels_in(tmp_path / "out"), ms.MeanShift(fidelity="fast").fit(X))


def test_a_guess_that_is_given_up_keeps_nothing_in_memory(tmp_path):
    given_up = guess.Guess(None, Box((0, 0), (1, 1)), np.zeros(2), 1.0, tmp_path / "labels-000.bin", 0)
    given_up.hills, given_up.before = np.zeros(4, np.int8), np.zeros(4, np.int64)
    held = [weakref.ref(array) for array in (given_up.hills, given_up.before)]
    given_up.give_up()
    assert [array() for array in held] == [None, None]
