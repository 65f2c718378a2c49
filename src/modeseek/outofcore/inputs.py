"""Which files are meant: by paths, directories, patterns and addresses."""

import glob
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from modeseek.files.source import SUFFIXES, WILD, Source, file_system, first_line, is_pattern, open_source

Inputs = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]


def find_inputs(inputs: Inputs, header: bool | None = None) -> tuple[Source, ...]:
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
    return tuple(open_source(path, header) for path in paths)


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
