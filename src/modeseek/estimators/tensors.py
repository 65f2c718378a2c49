"""What users pass, as tensors on a device, with scikit-learn's checks of columns and their names."""

from typing import Any

from sklearn.utils.validation import validate_data

from modeseek.engines.devices import where
from modeseek.engines.namespaces import Home, as_numpy, precision


def is_tensor(X: Any) -> bool:
    """Tell whether X is a tensor, or an array that lies on a GPU: what must not pass by NumPy."""
    return Home.of(X).module == "torch" or where(X) != "cpu"


def tensor_of(estimator: Any, X: Any, device: str, reset: bool) -> Any:
    """Return a table as a 2-D tensor on a device, its columns noted or checked.

    Tensors and arrays of a GPU are looked at where they lie; everything else passes scikit-learn's checks first. That
    values are finite is left to `engines.gpu.bounds`, which reads them anyway.

    Raises
    ------
    TypeError, ValueError
        If it is not a table of real numbers, or has other columns than the estimator was fitted with.
    """
    from modeseek.engines.gpu import as_tensor

    if is_tensor(X):
        tensor = as_tensor(X, device)
        validate_data(estimator, X, reset=reset, skip_check_array=True)
        return tensor
    X = as_numpy(X)
    return as_tensor(validate_data(estimator, X, reset=reset, dtype=precision(X), ensure_all_finite=False), device)
