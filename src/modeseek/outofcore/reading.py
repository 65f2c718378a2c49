"""The chosen columns of one file, a few rows at a time; and what a Parquet file says of itself.

Nothing here holds more than some batches of rows. Every message names the file, and the row where there is one.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modeseek.engines.threads import in_order
from modeseek.fields import Floats
from modeseek.files.formats import (
    PAGES,
    arrow_schema,
    is_number,
    npy_batches,
    npy_header,
    npy_names,
    open_text,
    pyarrow,
    readable,
)
from modeseek.files.read import check_header, in_row
from modeseek.files.source import Source

ROWS = 1 << 19  # of a batch
DECODERS = 2  # row groups of Parquet that are decoded at a time

Columns = list[NDArray[Any]]


@dataclass(frozen=True)
class Schema:
    """What a file says that it holds."""

    names: tuple[str, ...]
    types: tuple[str, ...]
    numeric: tuple[bool, ...]
    narrow: tuple[bool, ...]  # float32 or less
    rows: int | None  # None: not known before they are read


def schema_of(file: Source, header: bool | None = None) -> Schema:
    """Read names and types; those of a text file are what its beginning looks like."""
    if file.suffix == ".npy":
        with readable(file), file.opened() as stream:
            shape, _, dtype = npy_header(file, stream)
        names = npy_names(shape)
        narrow, d = dtype in (np.float16, np.float32), len(names)
        return Schema(tuple(names), (str(dtype),) * d, (True,) * d, (narrow,) * d, shape[0])
    with readable(file):
        found, rows = arrow_schema(file)
    if file.is_text and header is None:
        check_header(file, found.names)
    types = pyarrow().types
    thin = tuple(types.is_float32(t) or types.is_float16(t) for t in found.types)
    return Schema(tuple(found.names), tuple(map(str, found.types)), tuple(map(is_number, found.types)), thin, rows)


def batches_of(file: Source, names: tuple[str, ...], first: int = 0) -> Iterator[Columns]:
    """Yield the columns of some rows, then of the next, from row ``first`` on; a missing value is an error."""
    with readable(file, names), file.readable() as where:
        if file.suffix == ".npy":
            yield from npy_batches(file, [int(name[1:]) for name in names], first, ROWS)
            return
        read = _parquet_batches if file.suffix == ".parquet" else _text_batches if file.is_text else _arrow_batches
        for row, batch in read(file, where, names, first):
            skip = max(0, first - row)
            if skip < batch.num_rows:
                yield [_numbers(file, name, batch.column(name).slice(skip), row + skip) for name in names]


def _parquet_batches(file: Source, where: Any, names: tuple[str, ...], first: int) -> Iterator[tuple[int, Any]]:
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


def _decoded(file: Source, where: Any, read: Any, names: tuple[str, ...], groups: range) -> Iterator[Any]:
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


def _arrow_batches(file: Source, where: Any, names: tuple[str, ...], first: int) -> Iterator[tuple[int, Any]]:
    from pyarrow import ipc

    whole = ipc.open_file(where).schema
    options = ipc.IpcReadOptions(included_fields=[whole.get_field_index(name) for name in names])
    read, row = ipc.open_file(where, options=options), 0
    for k in range(read.num_record_batches):
        batch = read.get_batch(k)
        yield row, batch
        row += batch.num_rows


def _text_batches(file: Source, where: Any, names: tuple[str, ...], first: int) -> Iterator[tuple[int, Any]]:
    row = 0
    for batch in open_text(file, where, names):
        yield row, batch
        row += batch.num_rows


def _numbers(file: Source, name: str, column: Any, row: int) -> NDArray[Any]:
    """Return a column as an array, without a copy where that can be."""
    if column.null_count:
        row += int(np.argmax(column.is_null().to_numpy(zero_copy_only=False)))
        raise ValueError(f"{file.path}: column {name!r} has no value in {in_row(row)}")
    if pyarrow().types.is_decimal(column.type):
        column = column.cast("float64")
    return np.asarray(column.to_numpy())


# ---------------------------------------------------------------------------------------------- statistics


def bounds_in_statistics(file: Source, names: tuple[str, ...]) -> Floats | None:
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
