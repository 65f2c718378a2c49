"""Where sums are made: on the CPU by compiled kernels, or on a device of Torch, a GPU as a rule.

Data that lie on a GPU are worked on there, and never copied to the CPU unless the user says ``device="cpu"``. Torch is
imported only where an input or a parameter asks for a device of it.
"""

import re
import sys
from typing import Any

NAMES = ("auto", "cpu", "cuda", "mps", "xpu", "torch")
CUDA = 2  # of DLPack, which CuPy speaks; 10 is ROCm
ROCM = 10


def device_of(device: object, X: Any) -> str | None:
    """Return the device of Torch that is to work on X, as "cuda:0"; None for the compiled kernels of the CPU.

    Parameters
    ----------
    device : str, torch.device or None
        "auto" and None: where X lies. "cpu": the compiled kernels. "cuda", "cuda:1", "mps", "xpu": that device.
        "torch": the code of a GPU where X lies, even on the CPU: what a GPU would answer, without one.
    X : array-like
        What is to be worked on.

    Raises
    ------
    ValueError
        If there is no such device here.
    TypeError
        If ``device`` is neither a name nor a device of Torch.
    """
    name = "auto" if device is None else str(device) if _is_torch_device(device) else device
    if not isinstance(name, str):
        raise TypeError(f"device must be a name, like 'cuda', or a torch.device, got {device!r}.")
    if not re.fullmatch(r"(auto|cpu|torch|(cuda|mps|xpu)(:\d+)?)", name):
        raise ValueError(f"device must be one of {', '.join(NAMES)}, 'cuda:1' and the like, got {device!r}.")
    if name == "cpu":
        return None
    here = where(X)
    if name == "auto":
        return None if here == "cpu" else here
    if name == "torch":
        return here
    from modeseek.engines.gpu import check_device

    return check_device(name)


def where(X: Any) -> str:
    """Return the device that X lies on, by the name that Torch gives it: "cpu", "cuda:0"."""
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(X, torch.Tensor):
        return str(X.device)
    if hasattr(X, "__dlpack_device__"):
        kind, number = X.__dlpack_device__()
        if int(kind) in (CUDA, ROCM):
            return f"cuda:{number}"
    return "cpu"


def refuse_on(device: str | None, *settings: str) -> None:
    """Raise for settings that only the kernels of the CPU know, if a device of Torch is to work."""
    if device is not None and settings:
        name = "torch" if device == "cpu" else device  # what asks for the code of a GPU on the CPU
        raise ValueError(
            f"{' and '.join(settings)} cannot be computed on device {name!r}. "
            'Pass device="cpu": the data are copied to the CPU then.'
        )


def _is_torch_device(device: object) -> bool:
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(device, torch.device)
