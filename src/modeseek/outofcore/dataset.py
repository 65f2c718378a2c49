"""All rows of all files, as if they were one array: in slabs that begin at multiples of a chunk.

Results do not depend on how rows are cut into files or batches, because slabs are not: sums of floats and samples are
taken by chunks of `ROWS_PER_CHUNK` rows, counted over all files, as they are of an array in memory.
"""

import queue
import threading
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import cycle
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modeseek.engines.threads import ROWS_PER_CHUNK
from modeseek.files.read import in_row, positions_of
from modeseek.files.source import Source, listed
from modeseek.outofcore.reading import Columns, Schema, batches_of, schema_of

READ_AHEAD = 2  # slabs

Ints = NDArray[np.int64]


@dataclass
class Dataset:
    """Files, the columns of them that count, and how many rows each has."""

    files: tuple[Source, ...]
    columns: tuple[str, ...]
    dtype: np.dtype[Any]
    stamps: list[dict[str, str]]
    rows: list[int | None]  # of each file; None: not known before they are read
    left_out: tuple[str, ...] = ()  # columns of the first file
    names: tuple[tuple[str, ...], ...] = field(default=(), repr=False)  # of all columns of each file

    @property
    def d(self) -> int:
        """Number of columns."""
        return len(self.columns)

    @property
    def n(self) -> int | None:
        """Number of rows, once it is known."""
        return sum(known) if len(known := [n for n in self.rows if n is not None]) == len(self.rows) else None

    def begins(self) -> Ints:
        """Return the number of the first row of each file whose rows are known, and of the one after these."""
        known = []
        for rows in self.rows:
            if rows is None:
                break
            known.append(rows)
        return np.concatenate([[0], np.cumsum(known)]).astype(np.int64)

    def slabs(self, first: int, chunks: int) -> Generator[tuple[int, NDArray[Any]]]:
        """Yield the number of a row and the rows from there on, (m, d), which are the caller's until the next.

        ``first`` is a multiple of `ROWS_PER_CHUNK`; a slab holds ``chunks`` of these, the last fewer. Two threads read
        ahead: one decodes files, one fills slabs. Rows of files are noted in ``rows``.
        """
        rooms = [self.room(chunks) for _ in range(READ_AHEAD + 2)]
        pieces = self.pieces(first, chunks)
        filled = ((row, fill(parts, room)) for (row, parts), room in zip(pieces, cycle(rooms), strict=False))
        with read_ahead(filled) as slabs:
            yield from slabs

    def pieces(self, first: int, chunks: int) -> Generator[tuple[int, list[Columns]]]:
        """Yield the same rows as columns of parts of files, for `fill`; a thread decodes files ahead."""
        size, row = ROWS_PER_CHUNK * chunks, first
        parts: list[Columns] = []
        used = 0
        with read_ahead(self._batches(first)) as batches:
            for columns in batches:
                start, n = 0, len(columns[0])
                while start < n:
                    m = min(size - used, n - start)
                    parts.append([column[start : start + m] for column in columns])
                    used, start = used + m, start + m
                    if used == size:
                        yield row, parts
                        row, used, parts = row + used, 0, []
        if used:
            yield row, parts

    def room(self, chunks: int) -> NDArray[Any]:
        """Return room for a slab."""
        return np.empty((ROWS_PER_CHUNK * chunks, self.d), self.dtype)

    def _batches(self, first: int) -> Iterator[Columns]:
        """Yield the columns of rows of file after file, and see that no file has changed."""
        before = 0
        for k, file in enumerate(self.files):
            rows = self.rows[k]
            if rows is not None and before + rows <= first:
                before += rows
                continue
            file.check(self.stamps[k])
            read = skipped = max(0, first - before)
            for parts in batches_of(file, self.columns, skipped):
                read += len(parts[0])
                if rows is not None and read > rows:
                    break
                yield parts
            file.check(self.stamps[k])
            if rows is None:
                self.rows[k] = rows = read
            elif read != rows:
                raise ValueError(f"the file {file.path} has changed: it had {rows} rows, and has {read} or more now")
            before += rows

    def refuse_non_finite(self, points: NDArray[Any], first: int) -> None:
        """Raise for the first value that is NaN or infinite, if there is one, and say in which file and row."""
        fine = np.isfinite(points)
        if fine.all():
            return
        row, j = np.argwhere(~fine)[0]
        value, row = points[row, j], int(row) + first
        begins = self.begins()
        k = int(np.searchsorted(begins, row, side="right")) - 1
        k = min(k, len(self.files) - 1)
        what = "has no value (NaN)" if np.isnan(value) else f"holds {value}"
        where = in_row(row - int(begins[k]))
        raise ValueError(f"{self.files[k].path}: column {self.columns[j]!r} {what} in {where}")


def open_dataset(
    files: tuple[Source, ...], columns: Sequence[str | int] | None = None, header: bool | None = None
) -> Dataset:
    """Look at every file, and choose the columns: by the first file, by name in the others.

    Raises
    ------
    ValueError
        If a file cannot be read, lacks a column, or holds it as another type than the files before.
    """
    stamps = [file.stamp() for file in files]
    schemas = [schema_of(file, header) for file in files]
    typed = (k for k, (file, schema) in enumerate(zip(files, schemas, strict=True)) if _has_types(file, schema))
    k = next(typed, 0)
    first, told = files[k], schemas[k]
    if columns is None:
        chosen = [i for i, number in enumerate(told.numeric) if number]
        if not chosen:
            raise ValueError(f"{first.path} has no numeric column (it has: {listed(told.names)})")
    else:
        chosen = positions_of(first, columns, list(told.names))
    names = tuple(told.names[i] for i in chosen)
    narrow = all(told.narrow[i] for i in chosen)
    for file, schema in zip(files, schemas, strict=True):
        _check_columns(file, schema, names, narrow, first, told)
    dtype = np.dtype(np.float32 if narrow else np.float64)
    left_out = tuple(name for name in told.names if name not in names)
    rows = [schema.rows for schema in schemas]
    if sum(n or 0 for n in rows) == 0 and None not in rows:
        raise ValueError(f"{first.path} has no rows" if len(files) == 1 else "no file has any rows")
    return Dataset(files, names, dtype, stamps, rows, left_out, tuple(schema.names for schema in schemas))


def _has_types(file: Source, schema: Schema) -> bool:
    """Tell whether a file says what its columns hold: one of text without rows does not."""
    return not file.is_text or any(kind != "null" for kind in schema.types)


def _check_columns(
    file: Source, schema: Schema, names: tuple[str, ...], narrow: bool, first: Source, told: Schema
) -> None:
    """Raise unless a file has the columns of the first one, once each, as numbers of the same type."""
    for name in names:
        if name not in schema.names:
            raise ValueError(
                f"{file.path} has no column {name!r}, which {first.path} has (it has: {listed(schema.names)})"
            )
        if schema.names.count(name) > 1:
            raise ValueError(f"{file.path} has more than one column named {name!r}")
        i, j = schema.names.index(name), told.names.index(name)
        if not schema.numeric[i] and not (
            file.is_text and schema.types[i] in ("null", "string")
        ):  # the reader says where
            raise ValueError(f"{file.path}: column {name!r} is not numeric, it is of type {schema.types[i]}")
        if not file.is_text and not first.is_text and schema.types[i] != told.types[j]:
            raise ValueError(
                f"{file.path}: column {name!r} is of type {schema.types[i]}, but of type {told.types[j]} in "
                f"{first.path}"
            )
        if file.is_text != first.is_text and (narrow or schema.narrow[i]):
            raise ValueError(
                f"{file.path}: column {name!r} is of type {schema.types[i]}, but of type {told.types[j]} in "
                f"{first.path}: numbers of text are float64"
            )


def fill(parts: list[Columns], room: NDArray[Any]) -> NDArray[Any]:
    """Copy columns into rows; return those of the room that are filled."""
    row = 0
    for columns in parts:
        stop = row + len(columns[0])
        for j, column in enumerate(columns):
            room[row:stop, j] = column
        row = stop
    return room[:row]


@contextmanager
def read_ahead(items: Iterator[Any], depth: int = READ_AHEAD) -> Iterator[Iterator[Any]]:
    """Let a thread make the next items while one is worked on; its failures are raised where items are asked for."""
    ready: queue.Queue[tuple[str, Any]] = queue.Queue(depth)
    stop = threading.Event()

    def put(kind: str, item: Any) -> None:
        while not stop.is_set():
            try:
                ready.put((kind, item), timeout=0.1)
                return
            except queue.Full:
                continue

    def make() -> None:
        try:
            for item in items:
                put("item", item)
                if stop.is_set():
                    return
            put("end", None)
        except BaseException as error:
            put("error", error)

    def take() -> Iterator[Any]:
        while True:
            kind, item = ready.get()
            if kind == "error":
                raise item
            if kind == "end":
                return
            yield item

    thread = threading.Thread(target=make, name="modeseek-reader", daemon=True)
    thread.start()
    try:
        yield take()
    finally:
        stop.set()
        thread.join()
