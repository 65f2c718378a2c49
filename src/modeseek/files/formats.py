"""Formats of tables: names and types, whole columns, rows batch by batch; what is wrong with a file, in one line.

All that is known about a format is here; what is done with the numbers is in ``read``, with the rows in ``write``, and
with files that do not fit in memory in ``modeseek.outofcore``.
"""

import math
import os
import tokenize
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from modeseek.files.source import Source, first_line

ROWS, BYTES = 1 << 20, 1 << 26  # of a batch of all columns: no more rows, of no more bytes, as far as the file tells
LINES = 1 << 23  # bytes of text that are parsed at once
PAGES = 1 << 23  # bytes of a Parquet column that are held at once

Header = tuple[tuple[int, ...], bool, np.dtype[Any]]


def pyarrow() -> Any:
    """Import pyarrow, or say how to get it."""
    try:
        import pyarrow
    except ImportError:
        raise ImportError("reading and writing tables needs pyarrow: pip install 'modeseek[cli]'") from None
    return pyarrow


def is_number(kind: Any) -> bool:
    """Whether a pyarrow type is that of a number."""
    types = pyarrow().types
    return types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind)


def arrow_schema(source: Source) -> tuple[Any, int | None]:
    """Return names and types, and the number of rows if it is known; types of text are what its beginning looks like.

    NPY has none: see `npy_header`.
    """
    with source.readable() as where:
        if source.is_text:
            with open_text(source, where) as reader:
                return reader.schema, None
        if source.suffix == ".parquet":
            from pyarrow import parquet

            file = parquet.ParquetFile(where)
            return file.schema_arrow, file.metadata.num_rows
        from pyarrow import ipc

        with ipc.open_file(where) as reader:
            return reader.schema, None


def load(source: Source, names: list[str] | None = None) -> Any:
    """Read the named columns, or all, as a pyarrow table; the types of a text file now hold for every row."""
    if source.is_text:
        from pyarrow import csv

        parse, options = _text_options(source)
        convert = csv.ConvertOptions(include_columns=names)
        return csv.read_csv(source.path, csv.ReadOptions(**options), parse, convert)
    if source.suffix == ".parquet":
        from pyarrow import parquet

        return parquet.read_table(source.path, columns=names, memory_map=True, partitioning=None)
    from pyarrow import ipc, memory_map

    table = ipc.open_file(memory_map(source.path)).read_all()
    return table if names is None else table.select(names)


def all_rows(source: Source) -> tuple[Any, Iterable[Any]]:
    """Return the schema and, one after the other, the record batches of all columns; a text file is loaded for that."""
    if source.is_text:
        table = load(source)
        return table.schema, table.to_batches(ROWS)
    return stream_rows(source)


def stream_rows(source: Source) -> tuple[Any, Iterable[Any]]:
    """Do as `all_rows`, of which never more than a few batches are held; text keeps the types of its beginning."""
    made = _stream(source)
    with readable(source):
        return next(made), made


def _stream(source: Source) -> Iterator[Any]:
    """Yield the schema, then batches."""
    pa = pyarrow()
    with readable(source), source.readable() as where:
        if source.is_text:
            with open_text(source, where) as lines:
                yield lines.schema
                yield from lines
        elif source.suffix == ".parquet":
            from pyarrow import parquet

            read = parquet.ParquetFile(where, buffer_size=PAGES)
            yield read.schema_arrow
            yield from read.iter_batches(_rows_at_once(read.metadata))
        elif source.suffix == ".npy":
            with source.opened() as stream:
                shape, _, dtype = npy_header(source, stream)
            names = npy_names(shape)
            schema = pa.schema([(name, pa.from_numpy_dtype(dtype)) for name in names])
            yield schema
            for columns in npy_batches(source, range(len(names)), 0, ROWS):
                yield pa.record_batch([np.ascontiguousarray(column) for column in columns], schema=schema)
        else:
            from pyarrow import ipc

            file = ipc.open_file(where)
            yield file.schema
            yield from (file.get_batch(k) for k in range(file.num_record_batches))


def _rows_at_once(about: Any) -> int:
    """Return how many rows of a Parquet file are to be in memory at once."""
    size = sum(about.row_group(k).total_byte_size for k in range(about.num_row_groups))
    return int(np.clip(BYTES * about.num_rows // max(size, 1), 1, ROWS))


# ----------------------------------------------------------------------------------------------------- text


def _text_options(source: Source) -> tuple[Any, dict[str, Any]]:
    from pyarrow import csv

    parse = csv.ParseOptions(delimiter=source.delimiter, newlines_in_values=True)
    return parse, {"autogenerate_column_names": not source.header}


def open_text(source: Source, where: Any, names: Sequence[str] = (), *, threads: bool = True) -> Any:
    """Open a text file; the columns named are numbers, the others whatever their beginning looks like."""
    from pyarrow import csv

    parse, options = _text_options(source)
    convert = csv.ConvertOptions(
        include_columns=list(names), column_types={name: pyarrow().float64() for name in names}
    )
    return csv.open_csv(where, csv.ReadOptions(use_threads=threads, block_size=LINES, **options), parse, convert)


# ------------------------------------------------------------------------------------------------------ NPY


def npy_names(shape: Sequence[int]) -> list[str]:
    """Name the columns of an array of a shape: x0, x1, and so on."""
    return [f"x{j}" for j in range(shape[1] if len(shape) == 2 else 1)]


def npy_header(source: Source, stream: IO[bytes]) -> Header:
    """Read shape, order (True: column by column) and type of an array; the stream is then where numbers begin."""
    version = np.lib.format.read_magic(stream)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    try:
        shape, by_column, dtype = read(stream)
    except tokenize.TokenError as error:  # NumPy lets it through
        raise ValueError(f"{source.path} cannot be read as .npy: {error.args[0]}") from None
    if len(shape) not in (1, 2) or dtype.kind not in "fiu":
        held = f"{dtype} of shape {shape}"
        raise ValueError(f"{source.path} must hold real numbers in rows and columns; it holds {held}")
    begin = stream.tell()
    if stream.seek(0, os.SEEK_END) < begin + math.prod(shape) * dtype.itemsize:
        raise ValueError(f"{source.path} cannot be read as .npy: it ends before its last row")
    stream.seek(begin)
    if 0 in shape[1:]:
        raise ValueError(f"{source.path} has no columns: its shape is {shape}")
    return shape, by_column and len(shape) == 2, dtype


def npy_batches(source: Source, chosen: Sequence[int], first: int, rows: int) -> Iterator[list[NDArray[Any]]]:
    """Yield some columns of an array, so many rows at a time, from row ``first`` on."""
    with source.opened() as stream:
        shape, by_column, dtype = npy_header(source, stream)
        begin, n, d = stream.tell(), shape[0], len(npy_names(shape))
        for row in range(first, n, rows):
            m = min(rows, n - row)
            if by_column:
                yield [_npy_part(source, stream, begin + (j * n + row) * dtype.itemsize, m, dtype) for j in chosen]
            else:
                part = _npy_part(source, stream, begin + row * d * dtype.itemsize, m * d, dtype).reshape(m, d)
                yield [part[:, j] for j in chosen]


def _npy_part(source: Source, stream: IO[bytes], offset: int, size: int, dtype: np.dtype[Any]) -> NDArray[Any]:
    stream.seek(offset)
    read = stream.read(size * dtype.itemsize)
    if len(read) < size * dtype.itemsize:
        raise ValueError(f"{source.path} cannot be read as .npy: it ends before its last row")
    return np.frombuffer(read, dtype)


# -------------------------------------------------------------------------------------------------- errors


@contextmanager
def readable(source: Source, names: Sequence[str] = ()) -> Iterator[None]:
    """Turn what a reader says of a broken file into one line that names the file."""
    pa = pyarrow()
    try:
        yield
    except UnicodeDecodeError:
        raise ValueError(f"{source.path}: the names of the columns are not UTF-8 text") from None
    except pa.ArrowException as error:
        why = first_line(_with_row_number(source, names, error))
        raise ValueError(f"{source.path} cannot be read as {source.suffix}: {why}") from None
    except ValueError as error:
        if source.path in str(error):
            raise
        raise ValueError(f"{source.path} cannot be read as {source.suffix}: {first_line(error)}") from None
    except ImportError:
        raise
    except Exception as error:
        if source.remote:  # each file system has errors of its own; a connection that was lost may come back
            raise OSError(f"{source.path} cannot be read: {first_line(error)}") from error
        if not isinstance(error, OSError):
            raise
        raise ValueError(f"{source.path} cannot be read as {source.suffix}: {first_line(error)}") from None


def _with_row_number(source: Source, names: Sequence[str], error: Exception) -> Exception:
    """Read a broken text file again on one thread: only then does the reader say which row is broken."""
    if not source.is_text or "Row #" in str(error):
        return error
    try:
        with source.readable() as where:
            for _ in open_text(source, where, names, threads=False):
                pass
    except pyarrow().ArrowException as again:
        return again
    return error
