"""Arrays of any library as tensors on a device, and the checks of them that every part shares."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from modeseek.engines import data, devices, namespaces

try:
    import torch
except ImportError as error:
    raise ImportError("A device of Torch was asked for, and Torch is missing: pip install 'modeseek[torch]'") from error


def check_device(name: str) -> str:
    """Return the full name of a device ("cuda" -> "cuda:0"), or say that there is none such here."""
    kind = name.split(":")[0]
    backend = torch.backends.mps if kind == "mps" else getattr(torch, kind)
    if not backend.is_available():
        raise ValueError(
            f"device={name!r} asks for a device that Torch {torch.__version__} does not find on this machine. "
            'Install a Torch built for it, or pass device="cpu".'
        )
    if kind == "mps":
        return "mps"
    number = int(name.split(":")[1]) if ":" in name else backend.current_device()
    if number >= backend.device_count():
        raise ValueError(f"device={name!r}: there are {backend.device_count()} such devices here, counted from 0.")
    return f"{kind}:{number}"


def as_tensor(X: Any, device: str, name: str = "X") -> torch.Tensor:
    """Return X as a 2-D contiguous tensor of float32 or float64 on a device: as it is, if it is one, or moved once.

    Raises
    ------
    TypeError
        If X is sparse or does not hold real numbers.
    ValueError
        If X is not two-dimensional or empty.
    """
    tensor = X if isinstance(X, torch.Tensor) else _read(X)
    if tensor.layout != torch.strided:
        raise TypeError(f"{name} is a sparse tensor ({tensor.layout}): pass a dense one, {name}.to_dense().")
    tensor = tensor.detach()
    if tensor.is_complex():
        raise TypeError(f"{name} must hold real numbers, got dtype {tensor.dtype}. Complex data not supported.")
    if tensor.dtype in (torch.float16, torch.bfloat16):
        tensor = tensor.float()
    if tensor.dtype not in (torch.float32, torch.float64):
        tensor = tensor.to(_widest(device))
    if device == "mps":
        tensor = tensor.float()
    if tensor.ndim != 2 or 0 in tensor.shape:
        raise ValueError(
            f"{name} must be a 2-D array with at least one row and one column, got shape {tuple(tensor.shape)}."
        )
    from modeseek.engines.gpu.memory import room_for

    with room_for(f"{tensor.shape[0]} points of {tensor.shape[1]} columns", tensor.nbytes, device):
        return tensor.to(device).contiguous()


def as_tensor_weights(sample_weight: Any, n: int, device: str) -> torch.Tensor | None:
    """Return weights as float64 (float32 where there is nothing wider) on a device; None if all are one."""
    if sample_weight is None:
        return None
    if devices.where(sample_weight) == "cpu" and not isinstance(sample_weight, torch.Tensor):
        sample_weight = data.as_weights(namespaces.as_numpy(sample_weight), n)
    weights = where_it_lies(sample_weight)
    if weights.is_complex():
        raise TypeError(f"sample_weight must hold real numbers, got dtype {weights.dtype}.")
    if weights.shape not in ((), (n,)):
        raise ValueError(f"sample_weight must have shape ({n},), one weight per row of X, got {tuple(weights.shape)}.")
    weights = weights.to(device).to(_widest(device)).expand(n).contiguous()
    bad = torch.nonzero(~(torch.isfinite(weights) & (weights >= 0.0))).flatten()
    if len(bad):
        raise ValueError(
            f"sample_weight must be finite and at least 0; entry {int(bad[0])} is {float(weights[bad[0]])} "
            f"({len(bad)} such in all)."
        )
    if not bool(weights.any()):
        raise ValueError("Every sample_weight is zero: nothing is left to cluster.")
    return weights


def bounds(points: torch.Tensor, name: str = "X") -> NDArray[np.float64]:
    """Return minimum and maximum of each column, (2, d) float64, in one read; refuse NaN and infinity."""
    low, high = torch.aminmax(points, dim=0)
    ends = torch.stack([low, high]).double().cpu().numpy() if points.device.type != "mps" else _ends(low, high)
    if not np.isfinite(ends).all():
        row, column = (int(i) for i in torch.nonzero(~torch.isfinite(points))[0])
        value = float(points[row, column])
        what = "NaN" if np.isnan(value) else "infinity"
        raise ValueError(
            f"Input {name} contains {what} (first at row {row}, column {column}). "
            "Drop or impute such rows before clustering."
        )
    return ends


def needs_float64(device: str, what: str) -> None:
    """Raise where a device has no float64, which something needs: "Mean shift on all points"."""
    if device.startswith("mps"):
        raise ValueError(
            f'{what} needs float64, which device {device!r} lacks. Pass device="cpu": the data are copied to the CPU.'
        )


def _ends(low: torch.Tensor, high: torch.Tensor) -> NDArray[np.float64]:
    return np.stack([low.cpu().numpy(), high.cpu().numpy()]).astype(np.float64)


def where_it_lies(values: Any) -> torch.Tensor:
    """Return a tensor, an array of a GPU, or an array of NumPy as a tensor, without a copy where it can."""
    if isinstance(values, torch.Tensor):
        return values.detach()
    if devices.where(values) != "cpu":
        return torch.from_dlpack(values)
    return torch.from_numpy(np.require(values, requirements="W"))  # Torch warns of read-only memory


def _widest(device: str) -> torch.dtype:
    return torch.float32 if device == "mps" else torch.float64


def _read(X: Any) -> torch.Tensor:
    """Read what is no tensor: arrays of a GPU where they lie; everything else by way of NumPy."""
    if devices.where(X) != "cpu":
        return where_it_lies(X)
    array = np.asarray(namespaces.as_numpy(X))
    if array.dtype.kind in "biu":
        array = array.astype(np.float64)
    if array.dtype not in (np.float32, np.float64):
        if array.dtype.kind != "f":
            raise TypeError(f"X must hold real numbers, got dtype {array.dtype}.")
        array = array.astype(np.float64)
    if not (array.dtype.isnative and all(s >= 0 for s in array.strides)):
        array = np.array(array, array.dtype.newbyteorder("="))  # Torch knows no other
    return where_it_lies(array)
