"""Reading the numbers to cluster out of a file, and saying exactly where they are missing."""

import difflib
import os
import tokenize
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modeseek.files.formats import arrow_schema, is_number, load, npy_names, pyarrow, readable
from modeseek.files.source import Source, first_line, listed, open_source

BATCH = 1 << 16  # rows looked at at a time
Choice = Sequence[str | int] | None  # columns by name or by position; None for all that are numeric


@dataclass(frozen=True)
class Table:
    """The numbers of a file, and what is needed to write its rows again."""

    source: Source
    X: NDArray[np.floating]  # (n, d), C-contiguous; a read-only map of the file where that will do
    columns: tuple[str, ...]  # names of the columns of X
    left_out: tuple[str, ...]  # names of the other columns


def read_table(
    path: str | os.PathLike[str],
    columns: Choice = None,
    *,
    without: str | int | None = None,
    header: bool | None = None,
) -> Table:
    """Read numeric columns of a file.

    Parameters
    ----------
    path : str or path
        A .csv, .tsv, .parquet, .arrow, .feather or .npy file. A .csv file may be separated by ``;`` or tabs.
    columns : sequence of str or int, optional
        Columns to read, by name or by position from 0; default: all that are numeric. In text files a missing
        value (an empty cell, NA, NaN, null) makes no column less numeric, but is an error in a chosen one.
    without : str or int, optional
        A column that has another use: it is left out, and may not be chosen.
    header : bool, optional
        Whether the first line of a text file holds names. By default it must, and a first line that is mostly
        numbers is an error.

    Returns
    -------
    Table
        Its `X` is float32 if all chosen columns are float32 or float16, else float64.

    Raises
    ------
    ValueError
        If the file cannot be read, has no rows, or a chosen column is missing, is not numeric, or has a
        missing or infinite value; or if the one to be left out is missing, or chosen, or no other is numeric.
    """
    source = open_source(os.fspath(path), header)
    if source.suffix == ".npy":
        return _read_npy(source, columns, without)
    with readable(source):
        schema, _ = arrow_schema(source)
        names = schema.names
    if header is None and source.is_text:
        check_header(source, names)
    table = _load_columns(source, schema, columns, without)
    X = _matrix(source, table)
    chosen = tuple(table.column_names)
    return Table(source, X, chosen, tuple(name for name in names if name not in chosen))


def _load_columns(source: Source, schema: Any, columns: Choice, without: str | int | None) -> Any:
    """Load the chosen columns, or all numeric ones, as a pyarrow table."""
    names, types = schema.names, pyarrow().types
    other = _other(source, without, names)
    if columns is None:  # what begins empty may still hold numbers, what begins as text will not
        wanted = [field.name for field in schema if is_number(field.type) or types.is_null(field.type)]
        wanted = [name for name in wanted if name not in other]
    else:
        wanted = [names[i] for i in positions_of(source, columns, names, other)]
    twice = [name for name in wanted if names.count(name) > 1]
    if twice:
        raise ValueError(f"{source.path} has more than one column named {twice[0]!r}")
    with readable(source):
        table = load(source, wanted)
    if table.num_rows == 0 and wanted:
        raise ValueError(f"{source.path} has no rows")
    if columns is None:
        numeric = [field.name for field in table.schema if is_number(field.type)]
        table = table.select([name for name in numeric if name not in other])
    if table.num_columns == 0:
        raise ValueError(f"{source.path} has no{' other' * len(other)} numeric column (it has: {listed(names)})")
    return table


def _matrix(source: Source, table: Any) -> NDArray[np.floating]:
    """Copy the columns of a pyarrow table into one array, (n, d), looking at every value."""
    types = pyarrow().types
    narrow = all(types.is_float32(kind) or types.is_float16(kind) for kind in table.schema.types)
    X = np.empty((table.num_rows, table.num_columns), np.float32 if narrow else np.float64)
    for j, field in enumerate(table.schema):
        column, table = table.column(0), table.remove_column(0)  # held no longer than the copy takes
        if not is_number(field.type):
            raise ValueError(_why_not_number(source, field, column))
        if types.is_decimal(field.type):
            column = column.cast("float64")
        row = 0
        for chunk in column.chunks:
            if chunk.null_count:
                row += int(np.argmax(chunk.is_null().to_numpy(zero_copy_only=False)))
                raise ValueError(f"{source.path}: column {field.name!r} has no value in {in_row(row)}")
            X[row : row + len(chunk), j] = chunk.to_numpy()
            row += len(chunk)
        _check_finite(source, X[:, j : j + 1], [field.name])
    return X


def _read_npy(source: Source, columns: Choice, without: str | int | None) -> Table:
    try:
        data = np.load(source.path, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError, EOFError, tokenize.TokenError) as error:
        raise ValueError(f"{source.path} cannot be read as .npy: {first_line(error)}") from None
    if not isinstance(data, np.ndarray):
        raise ValueError(f"{source.path} is an archive of arrays (.npz), not one array")
    if data.ndim not in (1, 2) or data.dtype.kind not in "fiu":
        held = f"{data.dtype} of shape {data.shape}"
        raise ValueError(f"{source.path} must hold real numbers in rows and columns; it holds {held}")
    if data.size == 0:
        raise ValueError(f"{source.path} has no rows: its shape is {data.shape}")
    data = data[:, None] if data.ndim == 1 else data
    names = npy_names(data.shape)
    other = _other(source, without, names)
    chosen = [i for i, name in enumerate(names) if name not in other]
    if columns is not None:
        chosen = positions_of(source, columns, names, other)
    if not chosen:
        raise ValueError(f"{source.path} has no other column (it has: {listed(names)})")
    if chosen != list(range(len(names))):
        data = data[:, chosen]
    narrow = data.dtype in (np.float16, np.float32)
    X: NDArray = np.ascontiguousarray(data, np.float32 if narrow else np.float64)
    wanted = tuple(names[j] for j in chosen)
    _check_finite(source, X, wanted)
    return Table(source, X, wanted, tuple(name for name in names if name not in wanted))


# ---------------------------------------------------------------------------------- checks and their messages


def _other(source: Source, without: str | int | None, names: list[str]) -> list[str]:
    """Return the name of the column that is left out, in a list; an empty one where there is none."""
    return [] if without is None else [names[positions_of(source, [without], names)[0]]]


def positions_of(
    source: Source, columns: Sequence[str | int], names: list[str], other: Sequence[str] = ()
) -> list[int]:
    """Find the chosen columns: a text is a name first, then a position from 0. None may be among the others."""
    found: list[int] = []
    for column in columns:
        text = str(column)
        if isinstance(column, str) and text in names:
            i = names.index(text)
        elif text.isdecimal() and int(text) < len(names):
            i = int(text)
        else:
            close = difflib.get_close_matches(text, names, n=1)
            hint = f"; did you mean {close[0]!r}?" if close else ""
            raise ValueError(f"{source.path} has no column {text!r}{hint} (it has: {listed(names)})")
        if i in found:
            raise ValueError(f"column {names[i]!r} is chosen twice")
        if names[i] in other:
            raise ValueError(f"column {names[i]!r} cannot be chosen: it has another use")
        found.append(i)
    if not found:
        raise ValueError("no column is chosen")
    return found


def check_header(source: Source, names: Sequence[str]) -> None:
    """Raise if the names of a text file look like its first row."""
    if 2 * sum(map(_reads_as_number, names)) > len(names):
        raise ValueError(
            f"{source.path}: the first line holds numbers ({listed(names, 3)}), not names:"
            " say --no-header if it is data, --header if it is not"
        )


def _check_finite(source: Source, X: NDArray[np.floating], names: Sequence[str]) -> None:
    for start in range(0, len(X), BATCH):
        fine = np.isfinite(X[start : start + BATCH])
        if not fine.all():
            row, j = np.argwhere(~fine)[0] + (start, 0)
            what = "has no value (NaN)" if np.isnan(X[row, j]) else f"holds {X[row, j]}"
            raise ValueError(f"{source.path}: column {names[j]!r} {what} in {in_row(int(row))}")


def _why_not_number(source: Source, field: Any, column: Any) -> str:
    types, where = pyarrow().types, f"{source.path}: column {field.name!r}"
    if types.is_null(field.type):
        return f"{where} holds no values at all"
    if not (types.is_string(field.type) or types.is_large_string(field.type)):
        return f"{where} is not numeric, it is of type {field.type}"
    for row, cell in enumerate(column):
        if not _reads_as_number(text := cell.as_py() or ""):
            return f"{where} is not numeric: it holds {text[:40]!r} in {in_row(row)}"
    return f"{where} is not numeric: its numbers are stored as text"


def _reads_as_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def in_row(index: int) -> str:
    """Say which row is meant, as people count."""
    return f"row {index + 1} of the data (counted from 1)"
