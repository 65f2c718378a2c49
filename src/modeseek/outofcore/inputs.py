"""Which files are meant: paths, directories, patterns and addresses; and whether one has changed.

Addresses (``s3://bucket/day.parquet``) are opened through fsspec, which is imported for them alone.
"""

import glob
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any

from modeseek.files.source import (
    DELIMITERS,
    SUFFIXES,
    WILD,
    check_exists,
    check_suffix,
    delimiter_of,
    first_line,
    is_pattern,
)

CHANGED = (
    "the file {path} has changed since the run began (it was {before}, it is {now}): nothing is written; begin "
    "anew, without resuming"
)
OPENED = 1 << 22  # bytes read ahead of an address

Inputs = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]


@dataclass(frozen=True)
class Input:
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


def find_inputs(inputs: Inputs, header: bool | None = None) -> tuple[Input, ...]:
    """Return the files that paths, directories, patterns and addresses mean, each once, in the order given.

    Files of a directory or a pattern come by name. Of a directory those count whose names end as those of tables do;
    what is in its directories, or hidden, does not.

    Raises
    ------
    ValueError
        If nothing is found, a file is no table or is given twice, or two files have the same name.
    """
    given = [inputs] if isinstance(inputs, str | os.PathLike) else list(inputs)
    if not given:
        raise ValueError("no input is given")
    paths = [path for one in given for path in _found(os.fspath(one))]
    twice = [path for path, times in Counter(paths).items() if times > 1]
    if twice:
        raise ValueError(f"the input {twice[0]} is given twice")
    return tuple(look_at(path, header) for path in paths)


def look_at(path: str, header: bool | None) -> Input:
    """Look at the name and, of a text file, at the first line."""
    file = Input(path)
    check_suffix(Path(file.name))
    if not file.remote:
        check_exists(Path(path))
    elif file.stamp()["size"] == "0":
        raise ValueError(f"{path} is empty")
    if not file.is_text:
        return file
    with file.opened() as lines:
        delimiter = delimiter_of(path, file.suffix, lines.readline(1 << 16))
    return Input(path, header is not False, delimiter)


def _found(given: str) -> list[str]:
    if "://" in given:
        return _found_remote(given)
    if Path(given).is_dir():
        names = sorted(p for p in Path(given).iterdir() if _is_table(p.name) and p.is_file())
        if not names:
            raise ValueError(f"the directory {given} holds no table: no name ends in one of {', '.join(SUFFIXES)}")
        return [str(name) for name in names]
    if is_pattern(given):
        found = sorted(glob.glob(given, recursive=True))
        if not found:
            raise ValueError(f"no file matches {given}")
        return found
    return [given]


def _found_remote(given: str) -> list[str]:
    system, path = file_system(given)
    try:
        if any(mark in path for mark in WILD):
            found = sorted(system.glob(path))
        elif system.isdir(path):
            found = sorted(p for p in system.ls(path, detail=False) if _is_table(PurePosixPath(p).name))
        elif not system.exists(path):
            found = []
        else:
            return [given]
    except (OSError, ValueError, ImportError) as error:
        raise ValueError(f"{given} cannot be read: {first_line(error)}") from None
    if not found:
        raise ValueError(f"nothing is found at {given}")
    return [system.unstrip_protocol(p) for p in found]


def _is_table(name: str) -> bool:
    return not name.startswith(".") and Path(name).suffix.lower() in SUFFIXES


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
