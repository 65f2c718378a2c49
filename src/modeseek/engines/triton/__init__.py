"""Triton kernels: each fuses what Torch would do in several passes, and has a twin in `engines.gpu` it is tested with.

They run on CUDA and ROCm devices. With ``TRITON_INTERPRET=1`` in the environment before Triton is imported they run on
the CPU, instruction by instruction: slow, but the same code.
"""

import os
from functools import lru_cache
from typing import Any

OLDEST = (3, 9)  # Triton that the kernels have been compiled with; with an older one their twins work


def runs_on(tensor: Any) -> bool:
    """Tell whether kernels are worth launching where a tensor lies: on a GPU, if Triton is installed."""
    return bool(tensor.is_cuda) and _recent()


@lru_cache
def _recent() -> bool:
    """Tell whether Triton is installed, and new enough."""
    try:
        import triton
    except ImportError:
        return False
    return tuple(int(number) for number in triton.__version__.split(".")[:2]) >= OLDEST


def interpreted() -> bool:
    """Tell whether kernels run on the CPU, interpreted."""
    return os.environ.get("TRITON_INTERPRET") == "1"
