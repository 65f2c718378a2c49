"""The chosen columns of one file, a few rows at a time; and what a Parquet file says of itself.

Nothing here holds more than some batches of rows. Every message names the file, and the row where there is one.
"""

import math
import os
import tokenize
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from modeseek.engines.threads import in_order
from modeseek.fields import Floats
from modeseek.files.read import check_header, in_row
from modeseek.files.source import first_line, is_number, pyarrow
from modeseek.outofcore.inputs import Input

ROWS = 1 << 19  # of a batch
DECODERS = 2  # row groups of Parquet that are decoded at a time
PAGES = 1 << 23  # bytes of a Parquet column that are held at once
LINES = 1 << 23  # bytes of text that are parsed at once

Columns = list[NDArray[Any]]


@dataclass(frozen=True)
class Schema:
    """What a file says that it holds."""

    names: tuple[str, ...]
    types: tuple[str, ...]
    numeric: tuple[bool, ...]
    narrow: tuple[bool, ...]  # float32 or less
    rows: int | None  # None: not known before they are read


def schema_of(file: Input, header: bool | None = None) -> Schema:
    """Read names and types; those of a text file are what its beginning looks like."""
    with readable(file), file.readable() as where:
        if file.suffix == ".npy":
            return _npy_schema(file)
        if file.suffix == ".parquet":
            found, rows = _parquet(where)
        elif file.is_text:
            found, rows = open_text(file, where).schema, None
        else:
            from pyarrow import ipc

            found, rows = ipc.open_file(where).schema, None
    if file.is_text and header is None:
        check_header(file, found.names)
    types = pyarrow().types
    narrow = tuple(types.is_float32(t) or types.is_float16(t) for t in found.types)
    return Schema(
        tuple(found.names), tuple(map(str, found.types)), tuple(map(is_number, found.types)), narrow, rows
    )  # fmt: skip


def _parquet(where: Any) -> tuple[Any, int]:
    from pyarrow import parquet

    file = parquet.ParquetFile(where)
    return file.schema_arrow, file.metadata.num_rows


def batches_of(file: Input, names: tuple[str, ...], first: int = 0) -> Iterator[Columns]:
    """Yield the columns of some rows, then of the next, from row ``first`` on; a missing value is an error."""
    with readable(file, names), file.readable() as where:
        if file.suffix == ".npy":
            yield from _npy_batches(file, names, first)
            return
        read = _parquet_batches if file.suffix == ".parquet" else _text_batches if file.is_text else _arrow_batches
        for row, batch in read(file, where, names, first):
            skip = max(0, first - row)
            if skip < batch.num_rows:
                yield [_numbers(file, name, batch.column(name).slice(skip), row + skip) for name in names]


def _parquet_batches(file: Input, where: Any, names: tuple[str, ...], first: int) -> Iterator[tuple[int, Any]]:
    from pyarrow import parquet

    read = parquet.ParquetFile(where, buffer_size=PAGES)
    sizes = [read.metadata.row_group(k).num_rows for k in range(read.num_row_groups)]
    group, row = 0, 0
    while group < len(sizes) and row + sizes[group] <= first:
        row += sizes[group]
        group += 1
    groups = range(group, len(sizes))
    for batch in _decoded(file, where, read, names, groups) if groups else ():
        yield row, batch
        row += batch.num_rows


def _decoded(file: Input, where: Any, read: Any, names: tuple[str, ...], groups: range) -> Iterator[Any]:
    """Yield what is in row groups; two are decoded at a time, if they are of a size for that."""
    from pyarrow import parquet

    sizes = [read.metadata.row_group(group).num_rows for group in groups]
    if file.remote or max(sizes) > 2 * ROWS or sum(sizes) < len(sizes) * ROWS // 8:
        yield from read.iter_batches(ROWS, row_groups=list(groups), columns=list(names))
        return

    def decode(group: int, _: int) -> list[Any]:
        """Decode with a reader of its own: one is not for several threads."""
        with parquet.ParquetFile(where, metadata=read.metadata) as own:
            found = own.read_row_group(group, columns=list(names), use_threads=False)
        return list(found.to_batches())

    for batches in in_order(decode, groups, DECODERS):
        yield from batches


def _arrow_batches(file: Input, where: Any, names: tuple[str, ...], first: int) -> Iterator[tuple[int, Any]]:
    from pyarrow import ipc

    whole = ipc.open_file(where).schema
    options = ipc.IpcReadOptions(included_fields=[whole.get_field_index(name) for name in names])
    read, row = ipc.open_file(where, options=options), 0
    for k in range(read.num_record_batches):
        batch = read.get_batch(k)
        yield row, batch
        row += batch.num_rows


def _text_batches(file: Input, where: Any, names: tuple[str, ...], first: int) -> Iterator[tuple[int, Any]]:
    row = 0
    for batch in open_text(file, where, names):
        yield row, batch
        row += batch.num_rows


def open_text(file: Input, where: Any, names: tuple[str, ...] = (), *, threads: bool = True) -> Any:
    """Open a text file; the columns named are numbers, the others whatever their beginning looks like."""
    from pyarrow import csv

    return csv.open_csv(
        where,
        read_options=csv.ReadOptions(
            use_threads=threads, block_size=LINES, autogenerate_column_names=not file.header
        ),
        parse_options=csv.ParseOptions(delimiter=file.delimiter, newlines_in_values=True),
        convert_options=csv.ConvertOptions(
            include_columns=list(names), column_types={name: pyarrow().float64() for name in names}
        ),
    )  # fmt: skip


def _numbers(file: Input, name: str, column: Any, row: int) -> NDArray[Any]:
    """Return a column as an array, without a copy where that can be."""
    if column.null_count:
        row += int(np.argmax(column.is_null().to_numpy(zero_copy_only=False)))
        raise ValueError(f"{file.path}: column {name!r} has no value in {in_row(row)}")
    if pyarrow().types.is_decimal(column.type):
        column = column.cast("float64")
    return np.asarray(column.to_numpy())


# ------------------------------------------------------------------------------------------------------ NPY


def npy_header(file: Input, stream: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Read shape, order (True: column by column) and type of an array; the stream is then where numbers begin."""
    version = np.lib.format.read_magic(stream)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    try:
        shape, by_column, dtype = read(stream)
    except tokenize.TokenError as error:  # NumPy lets it through
        raise ValueError(f"{file.path} cannot be read as .npy: {error.args[0]}") from None
    if len(shape) not in (1, 2) or dtype.kind not in "fiu":
        held = f"{dtype} of shape {shape}"
        raise ValueError(f"{file.path} must hold real numbers in rows and columns; it holds {held}")
    begin = stream.tell()
    if stream.seek(0, os.SEEK_END) < begin + math.prod(shape) * dtype.itemsize:
        raise ValueError(f"{file.path} cannot be read as .npy: it ends before its last row")
    stream.seek(begin)
    if 0 in shape[1:]:
        raise ValueError(f"{file.path} has no columns: its shape is {shape}")
    return shape, by_column and len(shape) == 2, dtype


def _npy_schema(file: Input) -> Schema:
    with file.opened() as stream:
        shape, _, dtype = npy_header(file, stream)
    d = shape[1] if len(shape) == 2 else 1
    narrow = dtype in (np.float16, np.float32)
    return Schema(tuple(f"x{j}" for j in range(d)), (str(dtype),) * d, (True,) * d, (narrow,) * d, shape[0])


def _npy_batches(file: Input, names: tuple[str, ...], first: int) -> Iterator[Columns]:
    chosen = [int(name[1:]) for name in names]
    with file.opened() as stream:
        shape, by_column, dtype = npy_header(file, stream)
        begin, n, d = stream.tell(), shape[0], shape[1] if len(shape) == 2 else 1
        for row in range(first, n, ROWS):
            m = min(ROWS, n - row)
            if by_column:
                yield [_npy_part(file, stream, begin + (j * n + row) * dtype.itemsize, m, dtype) for j in chosen]
            else:
                part = _npy_part(file, stream, begin + row * d * dtype.itemsize, m * d, dtype).reshape(m, d)
                yield [part[:, j] for j in chosen]


def _npy_part(file: Input, stream: IO[bytes], offset: int, size: int, dtype: np.dtype[Any]) -> NDArray[Any]:
    stream.seek(offset)
    read = stream.read(size * dtype.itemsize)
    if len(read) < size * dtype.itemsize:
        raise ValueError(f"{file.path} cannot be read as .npy: it ends before its last row")
    return np.frombuffer(read, dtype)


# ---------------------------------------------------------------------------------------------- statistics


def bounds_in_statistics(file: Input, names: tuple[str, ...]) -> Floats | None:
    """Return the bounds (2, d) that the row groups of a Parquet file state; None if any does not.

    They may be wider than the data, or wrong: whoever reads the data checks them.
    """
    if file.suffix != ".parquet":
        return None
    from pyarrow import parquet

    with readable(file), file.readable() as where:
        about = parquet.ParquetFile(where).metadata
    low, high = np.full(len(names), np.inf), np.full(len(names), -np.inf)
    for k in range(about.num_row_groups):
        group = about.row_group(k)
        columns = {group.column(i).path_in_schema: group.column(i) for i in range(group.num_columns)}
        for j, name in enumerate(names):
            stated = columns[name].statistics if name in columns and columns[name].is_stats_set else None
            if group.num_rows == 0:
                continue
            if stated is None or not stated.has_min_max:
                return None
            ends = _as_float(stated.min), _as_float(stated.max)
            if not (math.isfinite(ends[0]) and math.isfinite(ends[1]) and ends[0] <= ends[1]):
                return None
            low[j], high[j] = min(low[j], ends[0]), max(high[j], ends[1])
    return np.array([low, high]) if np.isfinite(low).all() else None


def _as_float(value: Any) -> float:
    try:
        return float(value) + 0.0
    except (TypeError, ValueError):
        return math.nan


# -------------------------------------------------------------------------------------------------- errors


@contextmanager
def readable(file: Input, names: tuple[str, ...] = ()) -> Iterator[None]:
    """Turn what a reader says of a broken file into one line that names the file."""
    pa = pyarrow()
    try:
        yield
    except UnicodeDecodeError:
        raise ValueError(f"{file.path}: the names of the columns are not UTF-8 text") from None
    except pa.ArrowException as error:
        why = first_line(_with_row_number(file, names, error))
        raise ValueError(f"{file.path} cannot be read as {file.suffix}: {why}") from None
    except ValueError as error:
        if file.path in str(error):
            raise
        raise ValueError(f"{file.path} cannot be read as {file.suffix}: {first_line(error)}") from None
    except ImportError:
        raise
    except Exception as error:
        if file.remote:  # each file system has errors of its own; a connection that was lost may come back
            raise OSError(f"{file.path} cannot be read: {first_line(error)}") from error
        if not isinstance(error, OSError):
            raise
        raise ValueError(f"{file.path} cannot be read as {file.suffix}: {first_line(error)}") from None


def _with_row_number(file: Input, names: tuple[str, ...], error: Exception) -> Exception:
    """Read a broken text file again on one thread: only then does the reader say which row is broken."""
    if not file.is_text or "Row #" in str(error):
        return error
    try:
        with file.readable() as where:
            for _ in open_text(file, where, names, threads=False):
                pass
    except pyarrow().ArrowException as again:
        return again
    return error
