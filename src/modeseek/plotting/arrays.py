"""What a plot is given, as arrays: points, labels, centres, columns; and what is wrong with them."""

import operator
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Columns = int | str | Sequence[int | str]


@dataclass(frozen=True)
class Table:
    """Points as a plot was given them, with the columns to draw; the others are not read unless asked for."""

    source: Any
    names: list[str] | None
    n: int
    d: int
    columns: list[int]  # to draw, one or two

    @classmethod
    def of(cls, X: Any, columns: Columns = (0, 1)) -> "Table":
        """Read an array, a frame, a series, a tensor or a sequence; refuse what cannot be drawn."""
        names = names_of(X)
        if getattr(X, "ndim", 2) == 2 and names is not None and _column_of(X, names, 0) is not None:
            n, d = X.shape[:2]
            if not n:
                raise ValueError(f"X is empty, of shape {(n, d)}: there is nothing to draw")
            return cls(X, names, n, d, pick_columns(columns, names, d))
        matrix = as_matrix("X", X)
        n, d = matrix.shape
        return cls(matrix, names, n, d, pick_columns(columns, names, d))

    def column(self, number: int) -> NDArray[Any]:
        """Return a column, a view where that is possible; it must hold finite numbers."""
        values = self.source[:, number] if isinstance(self.source, np.ndarray) else None
        if values is None:
            assert self.names is not None
            values = as_matrix(f"column {self.names[number]!r} of X", _column_of(self.source, self.names, number))[:, 0]
        if not np.isfinite([values.min(), values.max()]).all():
            row = int(np.flatnonzero(~np.isfinite(values))[0])
            raise ValueError(
                f"X holds NaN or infinity, the first in row {row}, column {number}: drop or fill those rows"
            )
        return values

    def drawn(self) -> NDArray[np.float64]:
        """Return the columns to draw, (n, 1) or (n, 2)."""
        return np.stack([self.column(number).astype(np.float64) for number in self.columns], axis=1)

    def matrix(self) -> NDArray[Any]:
        """Return all columns; they must hold finite numbers."""
        matrix = as_matrix("X", self.source)
        return finite_columns("X", matrix, range(self.d)) if matrix.dtype.kind != "f" else _finite(matrix)

    def axis_names(self) -> list[str]:
        """Return how the axes are called: by the frame's names, by number if there is a choice, or nothing."""
        if self.names is not None:
            return [self.names[column] for column in self.columns]
        return [f"column {column}" if self.d > 2 else "" for column in self.columns]


def _finite(matrix: NDArray[Any]) -> NDArray[Any]:
    if not np.isfinite([matrix.min(), matrix.max()]).all():
        finite_columns("X", matrix, range(matrix.shape[1]))  # says where
    return matrix


def _column_of(X: Any, names: list[str], number: int) -> Any:
    """Return a column of a frame; None where X is no frame."""
    if hasattr(X, "iloc"):
        return X.iloc[:, number]
    return X[names[number]] if hasattr(X, "column_names") or hasattr(X, "get_column") else None


def as_matrix(name: str, values: Any) -> NDArray[Any]:
    """Return real numbers of shape (n, d), n and d at least 1; a flat sequence is one column."""
    if hasattr(values, "toarray"):
        raise TypeError(f"{name} is sparse; a plot needs a dense array: use {name}.toarray()")
    array = as_array(values)
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


def as_array(values: Any) -> NDArray[Any]:
    """Return an array of NumPy; tensors are copied from their device."""
    if hasattr(values, "detach"):  # a Torch tensor
        values = values.detach().cpu()
    return np.asarray(values)


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
    names = getattr(X, "column_names", getattr(X, "columns", None))
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


def as_labels(labels: Any, n: int) -> NDArray[np.integer[Any]]:
    """Return one integer a point, of its own type; whole numbers held as floats pass."""
    array = as_array(labels)
    if array.shape != (n,):
        raise ValueError(f"labels must have shape ({n},), one label for each point of X, got {array.shape}")
    if array.dtype.kind == "f" and np.isfinite(array).all() and (array == np.rint(array)).all():
        array = array.astype(np.int64)
    if array.dtype.kind not in "iub":
        raise TypeError(f"labels must be integers, as in MeanShift.labels_, got {array.dtype}")
    return array.astype(np.int64) if array.dtype.kind in "ub" else array


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
