"""All rows of all files, as if they were one array: in slabs that begin at multiples of a chunk.

Results do not depend on how rows are cut into files or batches, because slabs are not: sums of floats and samples are
taken by chunks of `ROWS_PER_CHUNK` rows, counted over all files, as they are of an array in memory.
"""

import queue
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modeseek.engines.threads import ROWS_PER_CHUNK, effective_n_jobs
from modeseek.files.read import in_row, positions_of
from modeseek.files.source import listed
from modeseek.outofcore.inputs import Input
from modeseek.outofcore.reading import Schema, batches_of, schema_of

CHUNKS = (4, 32)  # of a slab, least and most
READ_AHEAD = 2  # slabs

Ints = NDArray[np.int64]


@dataclass
class Dataset:
    """Files, the columns of them that count, and how many rows each has."""

    files: tuple[Input, ...]
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

    def slabs(self, first: int = 0, n_jobs: int | None = None) -> Iterator[tuple[int, NDArray[Any]]]:
        """Yield the number of a row and the rows from there on, (m, d), which are the caller's until the next.

        ``first`` is a multiple of `ROWS_PER_CHUNK`. A thread reads ahead. Rows of files are noted in ``rows``.
        """
        size = ROWS_PER_CHUNK * int(np.clip(2 * effective_n_jobs(n_jobs), *CHUNKS))
        buffers = [np.empty((size, self.d), self.dtype) for _ in range(READ_AHEAD + 2)]
        with read_ahead(self._fill(first, buffers)) as slabs:
            yield from slabs

    def _fill(self, first: int, buffers: list[NDArray[Any]]) -> Iterator[tuple[int, NDArray[Any]]]:
        row, used, turn = first, 0, 0
        for parts in self._batches(first):
            start = 0
            while start < len(parts[0]):
                buffer = buffers[turn]
                m = min(len(buffer) - used, len(parts[0]) - start)
                for j, part in enumerate(parts):
                    buffer[used : used + m, j] = part[start : start + m]
                used, start = used + m, start + m
                if used == len(buffer):
                    yield row, buffer
                    row, used, turn = row + used, 0, (turn + 1) % len(buffers)
        if used:
            yield row, buffers[turn][:used]

    def _batches(self, first: int) -> Iterator[list[NDArray[Any]]]:
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
    files: tuple[Input, ...], columns: Sequence[str | int] | None = None, header: bool | None = None
) -> Dataset:
    """Look at every file, and choose the columns: by the first file, by name in the others.

    Raises
    ------
    ValueError
        If a file cannot be read, lacks a column, or holds it as another type than the files before.
    """
    stamps = [file.stamp() for file in files]
    schemas = [schema_of(file, header) for file in files]
    first, told = files[0], schemas[0]
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


def _check_columns(
    file: Input, schema: Schema, names: tuple[str, ...], narrow: bool, first: Input, told: Schema
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
