"""NumPy arrays and Torch tensors treated alike, and the checks of the textbook's arguments."""

import math
import operator
import sys
from typing import Any

import numpy as np

Array = Any  # a NumPy array or a Torch tensor; a function returns the kind that it was given


def is_tensor(x: Array) -> bool:
    """Return whether x is a Torch tensor."""
    torch = sys.modules.get("torch")  # a tensor exists only where torch has been imported
    return torch is not None and isinstance(x, torch.Tensor)


def namespace(*arrays: Array) -> Any:
    """Return torch when the arrays are tensors, numpy when none of them is."""
    tensors = [is_tensor(x) for x in arrays]
    if any(tensors) and not all(tensors):
        raise TypeError("NumPy arrays and Torch tensors must not be mixed")
    return sys.modules["torch"] if all(tensors) else np


def is_floating(x: Array) -> bool:
    """Return whether x holds floating-point numbers."""
    return x.is_floating_point() if is_tensor(x) else np.issubdtype(x.dtype, np.floating)


def copy(x: Array) -> Array:
    """Return a copy of the same kind, which carries no gradient."""
    return x.detach().clone() if is_tensor(x) else np.array(x)


def float_copy(name: str, x: Array) -> Array:
    """Return a checked copy of `x` that may be overwritten; integers become floating point."""
    x = copy(x)
    if not is_floating(x):
        x = x * 1.0
    check_points(name, x)
    return x


def check_points(name: str, x: Array) -> None:
    """Refuse what is not a finite (n, d)."""
    if x.ndim != 2 or x.shape[0] == 0 or x.shape[1] == 0:
        raise ValueError(f"{name} must have shape (n, d) with n, d >= 1, got {tuple(x.shape)}")
    if not namespace(x).isfinite(x).all():
        raise ValueError(f"{name} must be finite")


def integer(name: str, value: int, least: int) -> int:
    """Return an integer of at least ``least``, or say what is wrong."""
    try:
        value = operator.index(value)
    except TypeError:
        raise TypeError(f"{name} must be an integer, got {value!r}") from None
    if value < least:
        raise ValueError(f"{name} must be at least {least}, got {value}")
    return value


def positive(name: str, value: float) -> float:
    """Return a finite number above 0, or say what is wrong."""
    try:
        value = float(value)
    except (TypeError, ValueError):
        raise TypeError(f"{name} must be a number, got {value!r}") from None
    if not (math.isfinite(value) and value > 0):
        raise ValueError(f"{name} must be finite and positive, got {value}")
    return value
