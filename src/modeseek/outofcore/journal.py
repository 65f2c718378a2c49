"""The record of a run beside its output: what a killed run has done, so that another can go on.

A run is a series of passes over the files, and what is done between two passes follows from their results to the bit.
So a run is resumed by going through it again: passes that are in the record are not made but read, and the one that
was cut off begins at its last checkpoint. Every part is written under another name first, and then renamed.
"""

import json
import os
import shutil
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, cast
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from modeseek.files.source import first_line

PLAN, LOCK, LOOSE, WRITTEN = "plan.json", "lock", "loose-bounds", "written"
Arrays = Mapping[str, NDArray[Any]]


class Journal:
    """The directory of a run.

    Parameters
    ----------
    directory : Path
        Where it is kept; made if missing.
    plan : dict
        What the run depends on: ``settings`` and ``files``, as JSON has them.
    resume : bool
        Whether to go on from what is there, if anything; otherwise it is thrown away.

    Raises
    ------
    ValueError
        If what is there is of other settings or files, or belongs to a run that is still going on.
    """

    def __init__(self, directory: Path, plan: dict[str, Any], resume: bool):
        self.directory, self.resumed = directory, False
        directory.mkdir(exist_ok=True)
        self._lock = _locked(directory)
        try:
            self._begin(plan, resume)
        except OSError as error:  # of a full disk, it names no file
            self.close(remove=not resume)
            raise OSError(error.errno, error.strerror, str(directory)) from None
        except BaseException:
            self.close(remove=False)
            raise

    def _begin(self, plan: dict[str, Any], resume: bool) -> None:
        before = _read_json(self.directory / PLAN)
        if resume and before is not None:
            _check_plan(before, json.loads(json.dumps(plan)))
            self.resumed = True
            return
        self._forget_plan()
        for old in self.directory.iterdir():
            if old.name != LOCK:
                old.unlink()
        self._write_json(PLAN, plan)

    def has(self, number: int) -> bool:
        """Tell whether anything of a pass is recorded."""
        return self._pass(number).exists()

    def load(self, number: int, name: str) -> tuple[int, bool, dict[str, NDArray[Any]]] | None:
        """Return the row a pass has come to, whether it is done, and its arrays; None if nothing is recorded.

        A record that is damaged counts as none: its pass is made again.
        """
        path = self._pass(number)
        if not path.exists():
            return None
        try:
            with np.load(path, allow_pickle=False) as file:
                arrays = {key: file[key] for key in file.files}
        except (BadZipFile, ValueError, KeyError, EOFError, zlib.error):  # each member of the archive has a checksum
            return None
        if str(arrays.pop("name")) != name:
            raise ValueError(f"{path} is of another run: begin anew, without resuming")
        return int(arrays.pop("row")), bool(arrays.pop("done")), arrays

    def save(self, number: int, name: str, row: int, done: bool, arrays: Arrays) -> None:
        """Record a pass."""
        path = self._pass(number)
        temporary = path.with_suffix(".part")
        with temporary.open("wb") as file:
            content = {"name": np.array(name), "row": np.array(row), "done": np.array(done), **arrays}
            np.savez(file, **cast(Any, content))
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)

    def labels_path(self, number: int) -> Path:
        """Return where the labels that a pass finds are kept."""
        return self.directory / f"labels-{number:03d}.bin"

    def forget_lost_labels(self, number: int, name: str, bytes_of_row: int) -> None:
        """Let a pass be made again whose labels are not all there: the machine, not the run, was stopped."""
        before, path = self.load(number, name), self.labels_path(number)
        if before is None or (before[1] and not path.exists()):  # those of a later look-up have taken their place
            return
        if not path.exists() or path.stat().st_size < before[0] * bytes_of_row:
            self._pass(number).unlink()

    def forget_labels_before(self, path: Path) -> None:
        """Remove the labels of earlier passes, and guesses of them: those of a later one take their place."""
        for old in self.directory.glob("labels-*"):
            if old.name < path.name:
                old.unlink()

    def try_again(self) -> None:
        """Throw passes away that rest on bounds which are not those of the rows, and remember that."""
        for old in sorted(self.directory.glob("pass-*.npz"), reverse=True):
            old.unlink()  # a run that is killed here finds them out again, by the first
        (self.directory / LOOSE).touch()

    def trusts_statistics(self) -> bool:
        """Tell whether what files state of their columns may be believed."""
        return not (self.directory / LOOSE).exists()

    def written(self) -> dict[str, int]:
        """Return the outputs that are finished, under their temporary names, and their sizes."""
        path, found = self.directory / WRITTEN, {}
        for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else ():
            if len(parts := line.split(" ")) == 3:  # else a run was killed in the middle of the line
                found[parts[0]] = int(parts[1])
        return found

    def note_written(self, name: str) -> None:
        """Record that an output is finished."""
        with (self.directory / WRITTEN).open("a", encoding="utf-8") as file:
            file.write(f"\n{name} {(self.directory / name).stat().st_size} ")

    def close(self, *, remove: bool) -> None:
        """End the run, and remove its record if it is of no more use."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None
        if remove:
            with suppress(OSError):
                self._forget_plan()
            shutil.rmtree(self.directory, ignore_errors=True)

    def _forget_plan(self) -> None:
        """Let nobody go on from here: before the rest is removed, as a run may be killed in the middle of that."""
        (self.directory / PLAN).unlink(missing_ok=True)

    def _pass(self, number: int) -> Path:
        return self.directory / f"pass-{number:03d}.npz"

    def _write_json(self, name: str, content: Any) -> None:
        temporary = self.directory / f"{name}.part"
        with temporary.open("w", encoding="utf-8") as file:
            json.dump(content, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, self.directory / name)


@contextmanager
def recorded(directory: Path, plan: dict[str, Any], resume: bool) -> Iterator[Journal]:
    """Give the record of a run: kept if another can go on from it, otherwise removed, as its directory if new."""
    made = not directory.parent.exists()
    directory.parent.mkdir(exist_ok=True)
    keep = False
    try:
        journal = Journal(directory, plan, resume)
        try:
            yield journal
        except OSError as error:
            keep = True
            raise OSError(
                f"{first_line(error)}; what was done is kept in {directory}: the same call with resume goes on there"
            ) from error
        except (KeyboardInterrupt, MemoryError):
            keep = True
            raise
        finally:
            journal.close(remove=not keep)
    finally:
        if made and not any(directory.parent.iterdir()):
            directory.parent.rmdir()


def _locked(directory: Path) -> Any:
    """Take the directory for this process; the system gives it back when the process ends, however that may be."""
    try:
        import fcntl
    except ImportError:  # Windows: two runs at once are the user's to avoid
        return None
    file = (directory / LOCK).open("w")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        raise ValueError(f"another run is writing the same output: it holds {directory}") from None
    except OSError:  # a file system that has no locks
        pass
    return file


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError):
        return None


def _check_plan(before: dict[str, Any], now: dict[str, Any]) -> None:
    """Raise unless a run may go on from a record."""
    old, new = before["settings"], now["settings"]
    for name in sorted({*old, *new}):
        if old.get(name) != new.get(name):
            raise ValueError(
                f"the run to resume had {name}={old.get(name)!r}, not {new.get(name)!r}: give the same settings, or "
                "begin anew, without resuming"
            )
    paths = [[path for path, _ in files["files"]] for files in (before, now)]
    if paths[0] != paths[1]:
        other = next(iter(set(paths[0]) ^ set(paths[1])), paths[1][0])
        raise ValueError(f"the run to resume had other inputs ({other}): begin anew, without resuming")
    for (path, then), (_, stamp) in zip(before["files"], now["files"], strict=True):
        if then != stamp:
            raise ValueError(f"the file {path} has changed since the run to resume: begin anew, without resuming")
