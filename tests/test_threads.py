"""Work cut into chunks: every chunk once, calls within calls, forked processes, interrupts."""

import os
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from modeseek.engines.threads import in_order, run_chunks


@pytest.mark.parametrize("n_jobs", [1, 2, 3, 7])
@pytest.mark.parametrize("n", [0, 1, 9, 10, 11, 1000])
def test_every_chunk_is_worked_on_once(n, n_jobs):
    counts = np.zeros(n, int)

    def work(worker, start, stop):
        assert 0 <= worker < n_jobs
        assert start % 10 == 0
        assert stop <= n
        counts[start:stop] += 1

    assert run_chunks(n, work, n_jobs, chunk=10) <= n_jobs
    assert (counts == 1).all()


def test_items_come_back_in_order_and_no_two_share_a_worker():
    busy, taken, ahead = set(), 0, []

    def items():
        nonlocal taken
        for taken in range(1, 61):
            yield taken - 1

    def work(item, worker):
        assert worker in range(3)
        assert worker not in busy
        busy.add(worker)
        time.sleep(2e-3 * (item % 4 == 0))  # others overtake
        busy.remove(worker)
        return item * item

    found = []
    for done in in_order(work, items(), 3):
        ahead.append(taken - len(found))
        found.append(done)
    assert found == [k * k for k in range(60)]
    assert max(ahead) <= 4


def test_the_first_item_that_fails_is_told_and_no_more_are_taken():
    taken = []

    def items():
        for k in range(1000):
            taken.append(k)
            yield k

    def work(item, worker):
        if item in (7, 8):
            raise ValueError(f"item {item}")
        return item

    found = []
    with pytest.raises(ValueError, match="item 7"):
        found.extend(iter(in_order(work, items(), 4)))
    assert len(taken) < 20


def test_calls_within_calls_do_not_wait_for_each_other():
    counts = np.zeros((20, 20), int)

    def outer(worker, start, stop):
        def inner(worker, first, last):
            time.sleep(1e-4)
            counts[start, first] += 1

        run_chunks(20, inner, 3, chunk=1)

    caller = threading.Thread(target=run_chunks, args=(20, outer, 3, 1), daemon=True)
    caller.start()
    caller.join(timeout=60)
    assert not caller.is_alive()
    assert (counts == 1).all()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_forked_process_starts_threads_of_its_own():
    def ones():
        out = np.zeros(1000)

        def work(worker, start, stop):
            out[start:stop] = 1

        run_chunks(len(out), work, 2, chunk=10)
        return out.sum() == 1000

    assert ones()
    child = os.fork()
    if child == 0:
        os._exit(0 if ones() else 1)
    deadline = time.monotonic() + 60
    while (done := os.waitpid(child, os.WNOHANG)) == (0, 0) and time.monotonic() < deadline:
        time.sleep(0.01)
    if done == (0, 0):
        os.kill(child, 9)
    assert done == (child, 0)


def test_interrupt_is_taken_between_chunks():
    """A worker's exception (as KeyboardInterrupt in the main thread) stops the others within a chunk."""
    done, lock = [], threading.Lock()

    def work(worker, start, stop):
        if start == 30:
            raise KeyboardInterrupt
        time.sleep(1e-3)
        with lock:
            done.append(start)

    with pytest.raises(KeyboardInterrupt):
        run_chunks(20_000, work, 4, chunk=10)
    assert len(done) < 1000
    before = len(done)
    time.sleep(0.02)
    assert len(done) == before  # nobody works on after the caller was told
    counts = np.zeros(100, int)

    def count(worker, start, stop):
        counts[start:stop] += 1

    run_chunks(100, count, 4, chunk=1)
    assert (counts == 1).all()


DIGEST = """
import hashlib, numpy as np, modeseek as ms
rng = np.random.default_rng(0)
X = rng.uniform(-8, 8, (6, 3))[rng.integers(6, size=3000)] + rng.normal(size=(3000, 3))
found = ms.MeanShift(0.9, fidelity="exact").fit(X)
other = ms.MeanShift(2.0, kernel="biweight", fidelity="exact").fit(X)
means = ms.KMeans(6, n_init=1, random_state=0).fit(np.tile(X, (7, 3)) + rng.normal(size=(21000, 9)))
parts = (found.cluster_centers_, other.cluster_centers_, means.cluster_centers_, np.array(means.inertia_))
print([hashlib.sha256(np.ascontiguousarray(part).tobytes()).hexdigest()[:8] for part in parts])
"""


def test_the_process_that_compiles_gets_the_bits_of_later_ones(tmp_path):
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    command = [sys.executable, "-c", DIGEST]
    first, second = (subprocess.run(command, env=environment, capture_output=True, text=True) for _ in range(2))
    assert first.returncode == 0, first.stderr
    assert first.stdout == second.stdout
