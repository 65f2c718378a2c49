"""Arrays of other libraries, converted at the border: Torch tensors, and arrays of the Python array API standard.

Everything inside is NumPy, or tensors where a device of Torch works. What comes in is viewed without a copy where it
lies in the memory of the CPU; what goes out is put where the input was. No library is imported here: an array of it
can only come in once it has been. Lists and data frames are left to scikit-learn, which reads the names of the columns
too.
"""

import sys
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray


def as_numpy(values: Any) -> Any:
    """Return a tensor or array of another library as a NumPy array, without a copy if it can; others as they are.

    Raises
    ------
    TypeError
        If a tensor is sparse, or its values cannot be read.
    """
    if _is_tensor(values):
        return _tensor_as_numpy(values)
    if not _is_array(values):
        return values
    try:
        return np.from_dlpack(values)
    except (AttributeError, BufferError, RuntimeError, TypeError):  # not on the CPU, read-only, or no such type there
        return np.asarray(values)


@dataclass(frozen=True)
class Home:
    """Where an array came from: the module of its library ("" for what stays NumPy), and the device it was on."""

    module: str = ""
    device: Any = None

    @classmethod
    def of(cls, values: Any) -> "Home":
        """Return where an array came from."""
        if _is_tensor(values):
            return cls("torch", str(values.device))
        if _is_array(values):
            return cls(values.__array_namespace__().__name__, getattr(values, "device", None))
        return cls()

    def back(self, array: Any) -> Any:
        """Return a NumPy array or a tensor as one of that library on that device; memory is shared where it can be."""
        if _is_tensor(array):
            return self._tensor_back(array)
        if not self.module:
            return array
        library = import_module(self.module)
        if self.module == "torch":
            return library.from_numpy(array).to(self.device)
        return library.asarray(array) if self.device is None else library.asarray(array, device=self.device)

    def _tensor_back(self, tensor: Any) -> Any:
        if self.module == "torch":
            return tensor.to(self.device)
        if self.module and tensor.is_cuda:  # CuPy and others of a GPU
            return import_module(self.module).from_dlpack(tensor)
        return self.back(tensor.cpu().numpy())


def is_dask(values: Any) -> bool:
    """Tell whether values are a collection of Dask, an array or a frame, of which nothing has been computed."""
    dask = sys.modules.get("dask")
    return dask is not None and dask.is_dask_collection(values)


def refuse_dask(values: Any, what: str) -> None:
    """Raise where a collection of Dask would have to be computed as a whole.

    Raises
    ------
    TypeError
        If it is one.
    """
    if is_dask(values):
        raise TypeError(
            f"{what} takes points in memory, got a Dask collection ({type(values).__name__}): pass X.compute(), or a "
            "sample of it. Dask collections are known to MeanShift, KMeans (fit, predict) and bandwidth_path."
        )


def precision(values: Any) -> list[type]:
    """Return the dtypes to read values as, in the order of preference: a frame of float32 is not to become float64."""
    both: list[type] = [np.float64, np.float32]
    if hasattr(values, "dtype") or not hasattr(values, "schema"):  # NumPy has dtype, Polars and Arrow have a schema
        return both
    try:
        import narwhals.stable.v1 as nw
    except ImportError:  # comes with scikit-learn since 1.9
        return both
    frame = nw.from_native(values, eager_only=True, pass_through=True)
    single = isinstance(frame, nw.DataFrame) and all(kind == nw.Float32 for kind in frame.schema.values())
    return both[::-1] if single else both


def _is_tensor(values: Any) -> bool:
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(values, torch.Tensor)


def _is_array(values: Any) -> bool:
    return hasattr(values, "__array_namespace__") and not isinstance(values, np.ndarray | np.generic)


def _tensor_as_numpy(tensor: Any) -> NDArray[Any]:
    torch = sys.modules["torch"]
    if tensor.layout != torch.strided:
        raise TypeError(f"X is a sparse tensor ({tensor.layout}): pass a dense one, X.to_dense().")
    tensor = tensor.detach().cpu().resolve_conj().resolve_neg()
    if tensor.dtype in (torch.float16, torch.bfloat16):
        tensor = tensor.float()
    return tensor.numpy()
