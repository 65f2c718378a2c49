"""What a plot is given, as arrays: points, labels, centres, columns; and what is wrong with them."""

import operator
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Columns = int | str | Sequence[int | str]


def as_matrix(name: str, values: Any) -> NDArray[Any]:
    """Return real numbers of shape (n, d), n and d at least 1; a flat sequence is one column."""
    if hasattr(values, "toarray"):
        raise TypeError(f"{name} is sparse; a plot needs a dense array: use {name}.toarray()")
    if hasattr(values, "detach"):  # a Torch tensor
        values = values.detach().cpu()
    array = np.asarray(values)
    if array.dtype.kind == "O":
        try:
            array = array.astype(np.float64)
        except (TypeError, ValueError) as error:
            raise TypeError(f"{name} must hold real numbers: {error}") from None
    if array.dtype.kind not in "fiub":
        raise TypeError(f"{name} must hold real numbers, got {array.dtype}")
    if array.ndim == 1:
        array = array[:, None]
    if array.ndim != 2:
        raise ValueError(f"{name} must have shape (n, d), got {array.shape}")
    if not array.size:
        raise ValueError(f"{name} is empty, of shape {array.shape}: there is nothing to draw")
    return array


def finite_columns(name: str, matrix: NDArray[Any], columns: Sequence[int]) -> NDArray[np.float64]:
    """Return the columns, (n, len(columns)) in float64; they must not hold NaN or infinity."""
    chosen = np.asarray(matrix[:, list(columns)], np.float64)
    if not np.isfinite(chosen).all():
        row, column = np.argwhere(~np.isfinite(chosen))[0]
        where = f"the first in row {row}, column {columns[column]}"
        raise ValueError(f"{name} holds NaN or infinity, {where}: drop or fill those rows")
    return chosen


def names_of(X: Any) -> list[str] | None:
    """Return the names of the columns of a frame or the name of a series; None where there are none."""
    names = getattr(X, "columns", None)
    if names is None:
        name = getattr(X, "name", None)
        return [name] if isinstance(name, str) else None
    return [str(name) for name in names] if any(isinstance(name, str) for name in names) else None


def pick_columns(columns: Columns, names: list[str] | None, d: int) -> list[int]:
    """Return the one or two columns to draw, as numbers from 0; one-column data have only the one."""
    asked = list(columns) if isinstance(columns, Sequence) and not isinstance(columns, str) else [columns]
    if d == 1 and asked == [0, 1]:
        asked = [0]
    if len(asked) not in (1, 2):
        raise ValueError(f"columns must name one or two columns, got {columns!r}")
    return [_column(column, names, d) for column in asked]


def _column(column: Any, names: list[str] | None, d: int) -> int:
    if isinstance(column, str):
        if names is None:
            raise ValueError(f"columns={column!r}: X has no column names; use numbers from 0 to {d - 1}")
        if column not in names:
            raise ValueError(f"columns: X has no column {column!r}; it has {', '.join(names)}")
        return names.index(column)
    try:
        number = operator.index(column)
    except TypeError:
        raise TypeError(f"columns must be numbers or names, got {column!r}") from None
    if not -d <= number < d:
        raise ValueError(f"columns: there is no column {number}; X has {d}, numbered from 0 to {d - 1}")
    return number % d


def axis_names(columns: Sequence[int], names: list[str] | None, d: int) -> list[str]:
    """Return how the axes are called: by the frame's names, by number if there is a choice, or nothing."""
    if names is not None:
        return [names[column] for column in columns]
    return [f"column {column}" if d > 2 else "" for column in columns]


def as_labels(labels: Any, n: int) -> NDArray[np.int64]:
    """Return one integer a point; whole numbers held as floats pass."""
    if hasattr(labels, "detach"):
        labels = labels.detach().cpu()
    array = np.asarray(labels)
    if array.shape != (n,):
        raise ValueError(f"labels must have shape ({n},), one label for each point of X, got {array.shape}")
    if array.dtype.kind == "f" and np.isfinite(array).all() and (array == np.rint(array)).all():
        array = array.astype(np.int64)
    if array.dtype.kind not in "iub":
        raise TypeError(f"labels must be integers, as in MeanShift.labels_, got {array.dtype}")
    return array.astype(np.int64, copy=False)


def as_centers(name: str, centers: Any, columns: Sequence[int], d: int) -> NDArray[np.float64]:
    """Return the drawn columns of centres; they must have as many columns as X. No centres are fine."""
    if not np.size(centers):
        return np.empty((0, len(columns)))
    matrix = as_matrix(name, centers)
    if matrix.shape[1] != d:
        raise ValueError(f"{name} has {matrix.shape[1]} columns but X has {d}: they must be the same columns")
    return finite_columns(name, matrix, columns)


def as_count(name: str, value: Any, least: int = 1) -> int:
    """Return a whole number of at least `least`."""
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{name} must be a whole number, got {value!r}") from None
    if number < least:
        raise ValueError(f"{name} must be at least {least}, got {number}")
    return number


def positive(name: str, value: Any) -> float:
    """Return a number that is finite and greater than 0."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise TypeError(f"{name} must be a number, got {value!r}") from None
    if not 0 < number < np.inf:
        raise ValueError(f"{name} must be finite and positive, got {value!r}")
    return number
