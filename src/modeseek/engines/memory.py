"""How much memory there is."""

import os
from pathlib import Path


def machine_memory() -> float | None:
    """Return the bytes of memory that this process may use, if the system tells."""
    try:
        most = float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    except (AttributeError, ValueError, OSError):
        return None
    try:
        return min(most, float(Path("/sys/fs/cgroup/memory.max").read_text()))  # of a container
    except (OSError, ValueError):
        return most
