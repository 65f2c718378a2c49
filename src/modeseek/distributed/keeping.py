"""What stays where it was computed: results kept for the next stage, values that many tasks need."""

import functools
import pickle
from typing import Any

import dask
from dask.base import get_scheduler

from modeseek.engines.memory import machine_memory

SHARE = 1 / 8  # of this machine's memory: what may be kept in it
INLINE = 1 << 20  # bytes of a graph that copies may take


def share(*values: Any, users: int | None = None) -> Any:
    """Return values that many tasks need, as bytes that `opened` reads.

    They are delayed, and in a graph once, unless a copy for each of so many ``users`` is small and so quicker.
    """
    packed = pickle.dumps(values, protocol=5)
    return packed if users is not None and users * len(packed) <= INLINE else dask.delayed(packed, pure=False)


@functools.lru_cache(maxsize=4)
def opened(values: bytes) -> Any:
    """Return what was shared; each process reads it once, so nobody may change it."""
    return pickle.loads(values)


def room_for(nbytes: int) -> bool:
    """Tell whether so many bytes may be kept: workers of a client see to their memory, this process has to."""
    if hasattr(getattr(get_scheduler(), "__self__", None), "scheduler_info"):
        return True
    return nbytes <= SHARE * (machine_memory() or 0.0)


def kept(tasks: list[Any], then: list[Any]) -> tuple[list[Any], tuple[Any, ...]]:
    """Compute delayed tasks, and what follows from them, at once; return the first as kept where they are.

    They stay there for as long as what is returned does; a lost worker's are computed again.
    """
    both = dask.persist(*tasks, *then)
    return list(both[: len(tasks)]), dask.compute(*both[len(tasks) :])
