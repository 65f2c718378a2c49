"""Memory of a device: an error that says how much was needed, and how much there is."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

GIB = 2.0**30


@contextmanager
def room_for(what: str, n_bytes: float, device: str) -> Iterator[None]:
    """Turn Torch's error of memory into one that names what needed how much.

    Parameters
    ----------
    what : str
        What needs the memory, in words: "1000000 points of 64 columns".
    n_bytes : float
        How much it needs.
    device : str
        Where.

    Raises
    ------
    MemoryError
        If Torch runs out of memory inside.
    """
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise MemoryError(
            f"{what} need {n_bytes / GIB:.3g} GiB on {device}{_left(device)}. "
            'Use fewer rows at a time (partial_fit), float32, or device="cpu".'
        ) from error


def _left(device: str) -> str:
    if not device.startswith("cuda"):
        return ""
    free, total = torch.cuda.mem_get_info(device)
    return f", which has {free / GIB:.3g} of {total / GIB:.3g} GiB left"
