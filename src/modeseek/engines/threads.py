"""Threads around compiled kernels.

Work is cut into chunks whose borders depend on the size of the work alone, never on the number of threads,
so that results are the same to the bit for any ``n_jobs``. Kernels release the GIL; between chunks the main
thread sees Ctrl-C, so an interrupt takes effect within one chunk.
"""

import itertools
import os
import queue
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from numbers import Integral
from typing import Any, TypeVar

import joblib
from numpy.typing import NDArray
from threadpoolctl import ThreadpoolController

ROWS_PER_CHUNK = 1 << 18

Item = TypeVar("Item")
Done = TypeVar("Done")


@cache
def _cpu_count() -> int:
    return max(1, joblib.cpu_count())


def effective_n_jobs(n_jobs: int | None) -> int:
    """Return the number of threads: None and -1 mean every core this process may use, -2 all but one."""
    if n_jobs is None:
        return _cpu_count()
    if isinstance(n_jobs, bool) or not isinstance(n_jobs, Integral) or n_jobs == 0:
        raise ValueError(f"n_jobs must be None or an integer other than 0, got {n_jobs!r}.")
    return int(n_jobs) if n_jobs > 0 else max(1, _cpu_count() + 1 + int(n_jobs))


def run_chunks(
    n: int,
    work: Callable[[int, int, int], object],
    n_jobs: int | None = None,
    chunk: int = ROWS_PER_CHUNK,
) -> int:
    """Call ``work(worker, start, stop)`` for each chunk of ``range(n)``; return the number of workers used.

    A worker is an index into whatever private buffers the caller prepared (see `n_workers`); chunks go to
    whichever worker is free, so ``work`` must not let its result depend on the worker.
    """
    starts = range(0, n, chunk)
    workers = n_workers(n, n_jobs, chunk)
    if workers == 1:
        for start in starts:
            work(0, start, min(start + chunk, n))
        return 1

    ticket = itertools.count()  # next() is atomic under the GIL
    stop = False

    def worker(index: int) -> None:
        nonlocal stop
        try:
            while not stop and (i := next(ticket)) < len(starts):
                work(index, starts[i], min(starts[i] + chunk, n))
        except BaseException:
            stop = True  # for all of them
            raise

    pool = _pool(workers - 1)
    others: list[Future[None]] = [pool.submit(worker, index) for index in range(1, workers)]
    try:
        worker(0)
    finally:
        # all chunks are taken: who has not begun by now is not needed, so that calls within calls cannot lock up
        begun = [other for other in others if not other.cancel()]
        wait(begun)
    for other in begun:
        other.result()
    return workers


def in_order(work: Callable[[Item, int], Done], items: Iterable[Item], workers: int) -> Generator[Done]:
    """Yield ``work(item, worker)`` of every item, in order, while so many workers are at the next ones.

    Of items that have been taken, no more than ``workers + 1`` are not yielded yet.
    """
    free: queue.SimpleQueue[int] = queue.SimpleQueue()
    for worker in range(workers):
        free.put(worker)

    def run(item: Item) -> Done:
        worker = free.get()
        try:
            return work(item, worker)
        finally:
            free.put(worker)

    waiting: deque[Future[Done]] = deque()
    with ThreadPoolExecutor(workers, "modeseek-in-order") as pool:
        try:
            for item in items:
                waiting.append(pool.submit(run, item))
                while waiting and (len(waiting) > workers or waiting[0].done()):
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    """Keep so many threads for the next call: starting one costs 0.1 ms, as much as many a small job."""
    return ThreadPoolExecutor(threads, thread_name_prefix="modeseek")


if hasattr(os, "register_at_fork"):  # threads do not survive in a forked process
    os.register_at_fork(after_in_child=_pool.cache_clear)


def n_workers(n: int, n_jobs: int | None = None, chunk: int = ROWS_PER_CHUNK) -> int:
    """Return how many workers `run_chunks` will use: never more than there are chunks."""
    return max(1, min(effective_n_jobs(n_jobs), -(-n // chunk)))


def workers_with_grids(points: NDArray[Any], n_entries: int, n_jobs: int | None = None) -> int:
    """Return how many workers get a grid of int64 each: private grids may take the input's own size again, no more."""
    affordable = 1 + int(max(points.nbytes, 1 << 25) // (8 * n_entries))
    return min(n_workers(len(points), n_jobs), affordable)


@cache
def _blas() -> ThreadpoolController:
    """Find the BLAS libraries, once: a search takes milliseconds."""
    import scipy.linalg  # noqa: F401  the library that compiled kernels call must be loaded to be found

    return ThreadpoolController().select(user_api="blas")


@contextmanager
def single_threaded_blas() -> Iterator[None]:
    """Keep BLAS to one thread a call: the threads are ours, and sums then do not depend on their number.

    The limit is the whole process's: whoever comes first sets it, and whoever leaves last restores what was before.
    """
    with _limit.lock:
        if not _limit.users:
            _limit.limiter = _blas().limit(limits=1)
        _limit.users += 1
    try:
        yield
    finally:
        with _limit.lock:
            _limit.users -= 1
            if not _limit.users and _limit.limiter is not None:
                _limit.limiter.restore_original_limits()


@dataclass
class _Limit:
    """Who keeps BLAS to one thread at present."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    users: int = 0
    limiter: Any = None


_limit = _Limit()
