"""One file: its path or address, how it is to be read, and whether it has changed.

Addresses (``s3://bucket/day.parquet``) are opened through fsspec, which is imported for them alone. What is known about
formats is in ``formats``.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any

DELIMITERS = {".csv": ",", ".tsv": "\t"}
SUFFIXES = (*DELIMITERS, ".parquet", ".arrow", ".feather", ".npy")
COMPRESSED = (".gz", ".bz2", ".xz", ".zst", ".zip")
NO_TEXT = {  # how files begin that are none
    b"\x1f\x8b": "compressed by gzip", b"BZh": "compressed by bzip2", b"\xfd7zXZ": "compressed by xz",
    b"\x28\xb5\x2f\xfd": "compressed by zstd", b"PK\x03\x04": "a zip archive",
    b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16",
}  # fmt: skip
WILD = "*?["  # in a path: a pattern
LONGEST = 300  # characters of what an error says
CHANGED = (
    "the file {path} has changed since the run began (it was {before}, it is {now}): nothing is written; begin "
    "anew, without resuming"
)
OPENED = 1 << 22  # bytes read ahead of an address


@dataclass(frozen=True)
class Source:
    """One file, and how it is to be read."""

    path: str  # or an address
    header: bool = True  # does the first line of a text file hold names?
    delimiter: str = ","  # of a text file

    @property
    def remote(self) -> bool:
        """Whether this is an address."""
        return "://" in self.path

    @property
    def name(self) -> str:
        """The last part of the path."""
        return PurePosixPath(self.path).name if self.remote else Path(self.path).name

    @property
    def suffix(self) -> str:
        """What the name ends in, in small letters: it decides the format."""
        return Path(self.name).suffix.lower()

    @property
    def is_text(self) -> bool:
        """Whether the rows are lines of text."""
        return self.suffix in DELIMITERS

    @contextmanager
    def opened(self) -> Iterator[IO[bytes]]:
        """Open the file."""
        if not self.remote:
            with Path(self.path).open("rb") as file:
                yield file
            return
        system, path = file_system(self.path)
        with system.open(path, "rb", block_size=OPENED) as file:
            yield file

    @contextmanager
    def readable(self) -> Iterator[Any]:
        """Give what pyarrow reads from: a path, which it opens itself, or an open file."""
        if self.remote:
            with self.opened() as file:
                yield file
        else:
            yield self.path

    def stamp(self) -> dict[str, str]:
        """Return what tells this file from a changed one: its size, and when or as what it was stored."""
        if not self.remote:
            found = Path(self.path).stat()
            return {"size": str(found.st_size), "modified": str(found.st_mtime_ns)}
        system, path = file_system(self.path)
        system.invalidate_cache()
        about = system.info(path)
        marks = ("etag", "ETag", "LastModified", "mtime", "last_modified", "updated", "created")
        return {"size": str(about.get("size"))} | {mark: str(about[mark]) for mark in marks if mark in about}

    def check(self, stamp: dict[str, str]) -> None:
        """Raise unless the file is as it was."""
        try:
            now = self.stamp()
        except Exception as error:
            again = f"the file {self.path} cannot be read again: {first_line(error)}"
            if self.remote and not isinstance(error, FileNotFoundError):  # a connection that was lost may come back
                raise OSError(again) from error
            raise ValueError(again) from None
        if now != stamp:
            said = [", ".join(f"{key} {value}" for key, value in of.items()) for of in (stamp, now)]
            raise ValueError(CHANGED.format(path=self.path, before=said[0], now=said[1]))


def open_source(path: str, header: bool | None = None) -> Source:
    """Look at the name and, of a text file, at the first line; the delimiter of a .csv may also be ``;`` or a tab."""
    file = Source(path)
    check_suffix(Path(file.name))
    if not file.remote:
        check_exists(Path(path))
    elif file.stamp()["size"] == "0":
        raise ValueError(f"{path} is empty")
    if not file.is_text:
        return file
    with file.opened() as lines:
        delimiter = delimiter_of(path, file.suffix, lines.readline(1 << 16))
    return Source(path, header is not False, delimiter)


def delimiter_of(path: Path | str, suffix: str, first: bytes) -> str:
    """Return what separates the cells of a text file that begins with this line; refuse what is no UTF-8 text."""
    for mark, what in NO_TEXT.items():
        if first.startswith(mark):
            raise ValueError(f"{path} is {what}, not UTF-8 text: convert it first")
    usual = DELIMITERS[suffix]
    return next((mark for mark in (usual, ";", "\t") if mark.encode() in first), usual)


def file_system(address: str) -> tuple[Any, str]:
    """Return the fsspec file system of an address, and its path there, or say what is missing."""
    try:
        import fsspec
    except ImportError:
        raise ImportError(f"reading {address} needs fsspec: pip install 'modeseek[remote]'") from None
    try:
        system, path = fsspec.core.url_to_fs(address)
    except ImportError as error:  # fsspec names what it needs for a protocol
        raise ImportError(f"reading {address} needs one more package: {first_line(error)}") from None
    return system, str(path)


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


def first_line(error: BaseException) -> str:
    """Return what an error says, cut to one line; of what no terminal can show, a question mark."""
    said = (str(error).splitlines() or [type(error).__name__])[0]
    return "".join(mark if mark.isprintable() else "?" for mark in said[:LONGEST])


def listed(names: Sequence[str], most: int = 20) -> str:
    """Return names for a message, the first `most` of them."""
    return ", ".join(names[:most]) + (", ..." if len(names) > most else "")
