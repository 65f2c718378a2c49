"""One file and its format: opening it, loading its columns, walking through its rows.

All that is known about a format is here; what is done with the rows is in ``read`` and ``write``.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

DELIMITERS = {".csv": ",", ".tsv": "\t"}
SUFFIXES = (*DELIMITERS, ".parquet", ".arrow", ".feather", ".npy")
COMPRESSED = (".gz", ".bz2", ".xz", ".zst", ".zip")
NO_TEXT = {  # how files begin that are none
    b"\x1f\x8b": "compressed by gzip", b"BZh": "compressed by bzip2", b"\xfd7zXZ": "compressed by xz",
    b"\x28\xb5\x2f\xfd": "compressed by zstd", b"PK\x03\x04": "a zip archive",
    b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16",
}  # fmt: skip
WILD = "*?["  # in a path: a pattern
BATCH = 1 << 16  # rows looked at or written at a time
LONGEST = 300  # characters of what an error says


class NamedFile(Protocol):
    """What messages call a file."""

    @property
    def path(self) -> Path | str:
        """Its path or address."""
        ...


@dataclass(frozen=True)
class Source:
    """A file and how it is to be read."""

    path: Path
    header: bool = True  # does the first line of a text file hold names?
    delimiter: str = ","  # of a text file

    @property
    def suffix(self) -> str:
        """What the file's name ends in, in small letters: it decides the format."""
        return self.path.suffix.lower()

    @property
    def is_text(self) -> bool:
        """Whether the rows are lines of text."""
        return self.suffix in DELIMITERS


def open_source(path: Path, header: bool | None) -> Source:
    """Look at a file's name and its first line; the delimiter of a .csv may also be ``;`` or a tab."""
    check_suffix(path)
    check_exists(path)
    if path.suffix.lower() not in DELIMITERS:
        return Source(path)
    with path.open("rb") as file:
        delimiter = delimiter_of(path, path.suffix.lower(), file.readline(1 << 16))
    return Source(path, header is not False, delimiter)


def delimiter_of(path: Path | str, suffix: str, first: bytes) -> str:
    """Return what separates the cells of a text file that begins with this line; refuse what is no UTF-8 text."""
    for mark, what in NO_TEXT.items():
        if first.startswith(mark):
            raise ValueError(f"{path} is {what}, not UTF-8 text: convert it first")
    usual = DELIMITERS[suffix]
    return next((mark for mark in (usual, ";", "\t") if mark.encode() in first), usual)


def schema_of(source: Source) -> Any:
    """Return names and types; those of a text file are what its beginning looks like."""
    if source.is_text:
        from pyarrow import csv

        with csv.open_csv(source.path, **_csv_options(source)) as reader:
            return reader.schema
    if source.suffix == ".parquet":
        from pyarrow import parquet

        return parquet.read_schema(source.path)
    from pyarrow import ipc

    with ipc.open_file(source.path) as reader:
        return reader.schema


def load(source: Source, names: list[str] | None = None) -> Any:
    """Read the named columns, or all, as a pyarrow table; the types of a text file now hold for every row."""
    if source.is_text:
        from pyarrow import csv

        convert = csv.ConvertOptions(include_columns=names)
        return csv.read_csv(source.path, convert_options=convert, **_csv_options(source))
    if source.suffix == ".parquet":
        from pyarrow import parquet

        return parquet.read_table(source.path, columns=names, memory_map=True, partitioning=None)
    from pyarrow import ipc, memory_map

    table = ipc.open_file(memory_map(str(source.path))).read_all()
    return table if names is None else table.select(names)


def batches_of(source: Source) -> tuple[Any, Iterable[Any]]:
    """Return the schema and, one after the other, the record batches of all columns."""
    if source.suffix == ".npy":
        return _npy_batches(source)
    if source.suffix == ".parquet":
        from pyarrow import parquet

        file = parquet.ParquetFile(source.path)
        return file.schema_arrow, file.iter_batches(BATCH)
    table = load(source)
    return table.schema, table.to_batches(BATCH)


def _npy_batches(source: Source) -> tuple[Any, Iterable[Any]]:
    pa = pyarrow()
    data = np.load(source.path, mmap_mode="r")
    data = data[:, None] if data.ndim == 1 else data
    schema = pa.schema([(name, pa.from_numpy_dtype(data.dtype)) for name in npy_names(data)])
    parts = (data[row : row + BATCH].T for row in range(0, len(data), BATCH))
    return schema, (pa.record_batch([np.ascontiguousarray(c) for c in part], schema=schema) for part in parts)


def npy_names(data: np.ndarray) -> list[str]:
    """Name the columns of an array: x0, x1, and so on."""
    return [f"x{j}" for j in range(data.shape[1])]


def _csv_options(source: Source) -> dict[str, Any]:
    from pyarrow import csv

    return {
        "parse_options": csv.ParseOptions(delimiter=source.delimiter, newlines_in_values=True),
        "read_options": csv.ReadOptions(autogenerate_column_names=not source.header),
    }


def is_many(inputs: Sequence[str]) -> bool:
    """Tell whether what is given may be other than one file of this machine."""
    return len(inputs) > 1 or any("://" in i or Path(i).is_dir() or is_pattern(i) for i in inputs)


def is_pattern(given: str) -> bool:
    """Tell whether a path stands for the files that match it."""
    return any(mark in given for mark in WILD) and not Path(given).exists()


def check_suffix(path: Path) -> None:
    """Raise unless the suffix is that of a known format."""
    if path.suffix.lower() not in SUFFIXES:
        if path.suffix.lower() in COMPRESSED:
            raise ValueError(f"{path} is compressed: decompress it first")
        what = f"ends in {path.suffix!r}" if path.suffix else "has no suffix"
        raise ValueError(f"{path} {what}: the name of a table must end in one of {', '.join(SUFFIXES)}")


def check_exists(path: Path) -> None:
    """Raise unless there is a file of this name with something in it."""
    if path.is_dir():
        raise ValueError(f"{path} is a directory, not a file")
    if not path.exists():
        raise ValueError(f"{path} does not exist")
    if path.stat().st_size == 0:
        raise ValueError(f"{path} is empty")


@contextmanager
def readable(source: Source) -> Iterator[None]:
    """Turn what a reader says of a broken file into one line that names the file."""
    pa = pyarrow()
    try:
        yield
    except UnicodeDecodeError:
        raise ValueError(f"{source.path}: the names of the columns are not UTF-8 text") from None
    except (pa.ArrowException, OSError) as error:
        why = first_line(_with_row_number(source, error))
        raise ValueError(f"{source.path} cannot be read as {source.suffix}: {why}") from None


def _with_row_number(source: Source, error: Exception) -> Exception:
    """Read a broken text file again on one thread, for only then does the reader say which row is broken."""
    if source.is_text:
        from pyarrow import ArrowException, csv

        options = _csv_options(source)
        options["read_options"].use_threads = False
        try:
            csv.read_csv(source.path, **options)
        except ArrowException as again:
            return again
    return error


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


def first_line(error: BaseException) -> str:
    """Return what an error says, cut to one line; of what no terminal can show, a question mark."""
    said = (str(error).splitlines() or [type(error).__name__])[0]
    return "".join(mark if mark.isprintable() else "?" for mark in said[:LONGEST])


def listed(names: Sequence[str], most: int = 20) -> str:
    """Return names for a message, the first `most` of them."""
    return ", ".join(names[:most]) + (", ..." if len(names) > most else "")
