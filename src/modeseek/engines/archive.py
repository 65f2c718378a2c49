"""Named arrays in one file: NumPy's ``.npz`` with a checksum over all of them, and no pickle inside.

A file is written under another name first and takes its own when it is whole. Reading says what is wrong with a file:
that it is no such file, that it was cut off, that bytes in it changed. This module does not know what the arrays mean.
"""

import hashlib
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

CHECKSUM = "checksum"


def write(path: str | os.PathLike[str], arrays: Mapping[str, ArrayLike]) -> None:
    """Write arrays, and their checksum, to a file: whole or not at all."""
    target = Path(path)
    content: dict[str, Any] = {name: np.asarray(value) for name, value in arrays.items()}
    content[CHECKSUM] = np.asarray(checksum(content))
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
    try:
        with temporary.open("xb") as file:
            np.savez_compressed(file, **content)
            file.flush()
            os.fsync(file.fileno())  # a name that stands for less than the whole is worse than none
        os.replace(temporary, target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def read(path: str | os.PathLike[str], what: str) -> dict[str, NDArray[Any]]:
    """Return the arrays of a file; one that holds a checksum is compared with it.

    Raises
    ------
    FileNotFoundError
        If there is no file of that name.
    ValueError
        If it is not a ``what`` file, or is damaged. The message begins with its name.
    """
    name = os.fspath(path)
    try:
        with np.load(path, allow_pickle=False) as file:
            content = {key: file[key] for key in file.files}
    except (FileNotFoundError, IsADirectoryError, PermissionError):
        raise
    except Exception as error:  # a changed byte can make zipfile, zlib, struct or NumPy fail, each in its own ways
        raise ValueError(f"{name} is not a {what} file, or is damaged: {error}") from error
    found = content.pop(CHECKSUM, None)
    if found is not None and str(found) != checksum(content):
        raise ValueError(f"{name} is damaged: its content does not have the checksum that is in it.")
    return content


def checksum(arrays: Mapping[str, NDArray[Any]]) -> str:
    """Return the SHA-256 of names, types, shapes and bytes, in the order of names."""
    digest = hashlib.sha256()
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        digest.update(f"{name} {array.dtype.newbyteorder('<').str} {array.shape};".encode())
        digest.update(array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes())
    return digest.hexdigest()
