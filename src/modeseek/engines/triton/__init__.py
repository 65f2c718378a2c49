"""Triton kernels: each fuses what Torch would do in several passes, and has a twin in `engines.gpu` it is tested with.

They run on CUDA and ROCm devices. With ``TRITON_INTERPRET=1`` in the environment before Triton is imported they run on
the CPU, instruction by instruction: slow, but the same code.
"""

import os
from importlib.util import find_spec
from typing import Any


def runs_on(tensor: Any) -> bool:
    """Tell whether kernels are worth launching where a tensor lies: on a GPU, if Triton is installed."""
    return bool(tensor.is_cuda) and find_spec("triton") is not None


def interpreted() -> bool:
    """Tell whether kernels run on the CPU, interpreted."""
    return os.environ.get("TRITON_INTERPRET") == "1"
