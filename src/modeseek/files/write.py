"""Writing the rows of a file again, each with its label: whole or not at all."""

import os
import secrets
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from modeseek.files.formats import all_rows, pyarrow
from modeseek.files.read import Table
from modeseek.files.source import DELIMITERS, Source, check_suffix, first_line

BATCH = 1 << 16  # cells made at a time
SAMPLE = 1 << 16  # rows that tell how often values of a column repeat
MOST_DISTINCT = 0.5


def write_labels(
    table: Table, labels: NDArray[np.integer], output: str | os.PathLike[str], *, label_column: str = "label"
) -> None:
    """Write the rows of a table again, with their labels.

    Parameters
    ----------
    table : Table
        What `read_table` returned; its file is read again, all columns included.
    labels : int array of shape (n,)
        One label a row.
    output : str or path
        The suffix decides the format. From text to text with the same delimiter, lines are copied as they
        are, byte for byte, and lengthened by one cell; .npy holds the labels alone.
    label_column : str, default "label"
        Name of the new column, which comes last.

    Raises
    ------
    ValueError
        If the output has no known suffix or cannot be placed, or the file has changed since it was read.
    """
    path = check_output(table, output, label_column)
    source, suffix = table.source, path.suffix.lower()
    labels = np.asarray(labels, dtype=np.int32)
    if labels.shape != (len(table.X),):
        raise ValueError(f"labels must have shape ({len(table.X)},), got {labels.shape}")
    with replacing(path) as temporary:
        if suffix == ".npy":
            np.save(temporary, labels)
        elif source.is_text and DELIMITERS.get(suffix) == source.delimiter:
            cells = cells_of(labels, label_column if source.header else None, source.delimiter)
            with source.opened() as lines:
                lengthen_lines(source, lines, temporary, cells)
        else:
            try:
                copy_batches(
                    all_rows(source), temporary, labels, label_column, f"{source.path} has changed since it was read"
                )
            except pyarrow().ArrowException as error:
                raise ValueError(f"cannot write {path}: {first_line(error)}") from None


def write_columns(path: str | os.PathLike[str], columns: Mapping[str, NDArray[Any]]) -> None:
    """Write columns as a table; the suffix decides the format."""
    check_columns(path)
    table = pyarrow().table(dict(columns))
    with replacing(path) as temporary, writer_of(temporary, table.schema) as writer:
        writer.write_table(table)


def check_columns(path: str | os.PathLike[str]) -> None:
    """Say early what would stop `write_columns`."""
    path = Path(path)
    check_suffix(path)
    if path.suffix.lower() == ".npy":
        raise ValueError(f"{path} ends in '.npy', which holds no columns with names: use .csv or .parquet")
    pyarrow()
    check_place(path)


def check_output(table: Table, output: str | os.PathLike[str], label_column: str = "label") -> Path:
    """Say early what would stop `write_labels`: call it before the long work."""
    path = Path(output)
    check_suffix(path)
    check_place(path)
    if path.exists() and path.samefile(table.source.path):
        raise ValueError(f"{path} is the input itself: choose another name for the output")
    if path.suffix.lower() != ".npy" and label_column in (*table.columns, *table.left_out):
        raise ValueError(
            f"{table.source.path} already has a column {label_column!r}:"
            " choose another name for the labels with --label-column"
        )
    return path


def check_place(path: Path) -> None:
    """Raise if a file of this name cannot be put where it should go."""
    if path.is_dir():
        raise ValueError(f"{path} is a directory, not a file")
    if not path.parent.is_dir():
        raise ValueError(f"cannot write {path}: there is no directory {path.parent}")


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a temporary name beside `path`; what is written there takes the name `path` if all goes well.

    After any failure, Ctrl-C included, the temporary file is gone and `path` is what it was before.
    """
    path = Path(path)
    check_place(path)
    temporary = path.with_name(f".{path.stem}.{secrets.token_hex(4)}{path.suffix}")
    try:
        yield temporary
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def cells_of(labels: Any, name: str | None, delimiter: str) -> Iterator[bytes]:
    """Yield what to add to each line of a text file, the header first."""
    if name is not None:
        special = any(mark in name for mark in (delimiter, '"', "\n", "\r"))
        quoted = '"' + name.replace('"', '""') + '"'
        yield f"{delimiter}{quoted if special else name}".encode()
    for start in range(0, len(labels), BATCH):
        distinct, which = np.unique(labels[start : start + BATCH], return_inverse=True)
        cells = [f"{delimiter}{label}".encode() for label in distinct]
        yield from map(cells.__getitem__, which.tolist())


def lengthen_lines(source: Source, lines: IO[bytes], target: Path, cells: Iterator[bytes]) -> None:
    """Copy a text file, adding one cell to every row; empty lines are no rows, as for the reader."""
    mismatch = f"{source.path}: its lines are not the rows that were read; try an output ending in .parquet"
    quoted = False
    with target.open("wb", buffering=1 << 20) as out:
        for line in lines:
            quoted ^= line.count(b'"') % 2 == 1  # a line break inside a quoted cell does not end the row
            body = line.rstrip(b"\r\n")
            if quoted or not body:
                out.write(line)
                continue
            cell = next(cells, None)
            if cell is None:
                raise ValueError(mismatch)
            out.write(body + cell + (line[len(body) :] or b"\n"))
    if next(cells, None) is not None:
        raise ValueError(mismatch)


def copy_batches(rows: tuple[Any, Iterable[Any]], target: Path, labels: Any, label_column: str, changed: str) -> None:
    """Write record batches, ``rows`` being their schema and themselves, with the labels as a last column.

    Raises ``changed`` where there are not as many rows as labels.
    """
    pa = pyarrow()
    schema, batches = rows[0].append(pa.field(label_column, pa.int32())), iter(rows[1])
    first, row = next(batches, None), 0
    with writer_of(target, schema, label_column, first) as writer:
        for batch in chain([] if first is None else [first], batches):
            part = pa.array(labels[row : row + batch.num_rows])
            row += batch.num_rows
            if row <= len(labels):
                writer.write_batch(pa.record_batch([*batch.columns, part], schema=schema))
    if row != len(labels):
        raise ValueError(changed)


def writer_of(target: Path, schema: Any, label_column: str | None = None, first: Any = None) -> Any:
    """Open a pyarrow writer for the suffix of `target`, for labels and rows like these first ones."""
    suffix = target.suffix.lower()
    if suffix in DELIMITERS:
        from pyarrow import csv

        return csv.CSVWriter(target, schema, write_options=csv.WriteOptions(delimiter=DELIMITERS[suffix]))
    if suffix == ".parquet":
        from pyarrow import parquet

        return parquet.ParquetWriter(target, schema, **_encodings(schema, label_column, first))
    from pyarrow import ipc

    return ipc.new_file(target, schema)


def _encodings(schema: Any, label_column: str | None, first: Any) -> dict[str, Any]:
    """Return how Parquet is to write columns: without dictionaries where these would only be given up, row by row.

    Labels are written as differences in few bits (DELTA_BINARY_PACKED), in half the time of a dictionary, and without
    statistics: every row group has all labels.
    """
    types = pyarrow().types
    if label_column is None or any(types.is_nested(column.type) for column in schema):
        return {}
    paying = [column.name for column in schema if column.name != label_column]
    if first is not None:
        some = first.slice(0, SAMPLE)
        paying = [name for name in paying if _repeats(some.column(name))]
    return {
        "use_dictionary": paying or False,
        "column_encoding": {label_column: "DELTA_BINARY_PACKED"},
        "write_statistics": [column.name for column in schema if column.name != label_column] or False,
    }


def _repeats(values: Any) -> bool:
    """Tell whether a dictionary may pay: not if most of the values differ."""
    from pyarrow import compute

    return bool(compute.count_distinct(values).as_py() < MOST_DISTINCT * len(values))
