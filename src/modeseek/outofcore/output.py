"""Writing the labels of each file: under another name first, all of them renamed when the last is finished."""

import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modeseek.engines.threads import effective_n_jobs
from modeseek.files import check_place
from modeseek.files.formats import pyarrow, stream_rows
from modeseek.files.source import DELIMITERS, SUFFIXES, Source, check_suffix, first_line
from modeseek.files.write import cells_of, copy_batches, lengthen_lines, writer_of
from modeseek.outofcore.dataset import Dataset
from modeseek.outofcore.journal import Journal

LABELS = 1 << 20  # of labels alone
MOST_AT_ONCE = 4  # files


@dataclass(frozen=True)
class Target:
    """Where the labels of one file go."""

    path: Path
    labels_only: bool

    @property
    def suffix(self) -> str:
        """The format."""
        return self.path.suffix.lower()


@dataclass(frozen=True)
class Part:
    """The labels of the rows of one file."""

    labels: Any  # of all rows: what a slice can be taken of
    begin: int
    end: int
    told: Callable[[int], None]  # how many are written next

    def __len__(self) -> int:
        return self.end - self.begin

    def __getitem__(self, part: slice) -> NDArray[np.int32]:
        start, stop, _ = part.indices(len(self))
        self.told(stop - start)
        return np.asarray(self.labels[self.begin + start : self.begin + stop], np.int32)


def choose_targets(
    dataset: Dataset,
    output: str | os.PathLike[str],
    many: bool,
    label_column: str,
    labels_only: bool,
    suffix: str | None,
) -> tuple[Path, list[Target]]:
    """Return the directory where the run is kept, and where labels go; say what would stop them.

    Raises
    ------
    ValueError
        If an output cannot be placed, is an input, stands for two inputs, or has a column of the name of the labels.
    """
    if "://" in os.fspath(output):
        raise ValueError(f"{output}: labels are written to files of this machine; copy them there afterwards")
    out = Path(output)
    if suffix is not None and suffix not in SUFFIXES:
        raise ValueError(f"the format must be one of {', '.join(s[1:] for s in SUFFIXES)}, got {suffix[1:]!r}")
    if many:
        if out.exists() and not out.is_dir():
            raise ValueError(f"{out} is a file: the output of several inputs is a directory")
        if not out.parent.is_dir():
            raise ValueError(f"cannot write {out}: there is no directory {out.parent}")
        paths = [out / (Path(file.name).stem + suffix if suffix else file.name) for file in dataset.files]
        place = out / ".modeseek"
    else:
        check_suffix(out)
        check_place(out)
        if suffix is not None and out.suffix.lower() != suffix:
            raise ValueError(f"{out} does not end in {suffix}, the format asked for")
        paths, place = [out], out.with_name(f".{out.name}.modeseek")
    targets = [Target(path, labels_only or path.suffix.lower() == ".npy") for path in paths]
    _check_targets(dataset, targets, label_column)
    return place, targets


def _check_targets(dataset: Dataset, targets: list[Target], label_column: str) -> None:
    seen: dict[Path, str] = {}
    places = {_place_of(Path(file.path)) for file in dataset.files if not file.remote}
    for file, target, names in zip(dataset.files, targets, dataset.names, strict=True):
        if target.path in seen:
            raise ValueError(f"the labels of {file.path} and of {seen[target.path]} would have one name: {target.path}")
        seen[target.path] = file.path
        if target.path.is_dir():
            raise ValueError(f"{target.path} is a directory, not a file")
        if target.path.exists() and _place_of(target.path) in places:
            raise ValueError(f"{target.path} is an input itself: choose another output")
        if not target.labels_only and label_column in names:
            raise ValueError(
                f"{file.path} already has a column {label_column!r}: choose another name for the labels with "
                "--label-column"
            )


def _place_of(path: Path) -> tuple[int, int]:
    """Return what is the same for all names of a file."""
    found = path.stat()
    return found.st_dev, found.st_ino


def write_all(
    dataset: Dataset,
    labels: Any,
    targets: list[Target],
    label_column: str,
    journal: Journal,
    told: Callable[[int], None],
    n_jobs: int | None,
) -> None:
    """Write the labels of every file beside the journal, and give them their names when the last is finished."""
    begins, done = dataset.begins(), journal.written()
    lock, rows = threading.Lock(), 0

    def wrote(more: int) -> None:
        nonlocal rows
        with lock:
            rows += more
            told(rows)

    def write(k: int) -> str:
        name = f"out-{k:06d}{targets[k].suffix}"
        temporary = journal.directory / name
        if done.get(name) == (temporary.stat().st_size if temporary.exists() else -1):
            return name
        file = dataset.files[k]
        file.check(dataset.stamps[k])
        part = Part(labels, int(begins[k]), int(begins[k + 1]), wrote)
        try:
            _write(file, part, temporary, targets[k], label_column)
        except pyarrow().ArrowException as error:
            raise ValueError(f"cannot write {targets[k].path}: {first_line(error)}") from None
        file.check(dataset.stamps[k])
        return name

    workers = min(len(targets), effective_n_jobs(n_jobs), MOST_AT_ONCE)
    with ThreadPoolExecutor(workers) as pool:
        futures = [pool.submit(write, k) for k in range(len(targets))]
        try:
            for future in futures:
                journal.note_written(future.result())
        except BaseException:
            for future in futures:
                future.cancel()
            raise
    for k, target in enumerate(targets):
        temporary = journal.directory / f"out-{k:06d}{target.suffix}"
        if temporary.exists():  # not if a run was killed right here
            os.replace(temporary, target.path)


def _write(file: Source, labels: Part, temporary: Path, target: Target, label_column: str) -> None:
    if target.suffix == ".npy":
        _write_npy(labels, temporary)
    elif target.labels_only:
        _write_labels(labels, temporary, label_column)
    elif file.is_text and DELIMITERS.get(target.suffix) == file.delimiter:
        cells = cells_of(labels, label_column if file.header else None, file.delimiter)
        with file.opened() as lines:
            lengthen_lines(file, lines, temporary, cells)
    else:
        _copy_rows(file, labels, temporary, label_column)


def _write_npy(labels: Part, temporary: Path) -> None:
    about = {"descr": "<i4", "fortran_order": False, "shape": (len(labels),)}
    with temporary.open("wb") as out:
        np.lib.format.write_array_header_1_0(out, about)
        for start in range(0, len(labels), LABELS):
            out.write(labels[start : start + LABELS].astype("<i4", copy=False).data)


def _write_labels(labels: Part, temporary: Path, label_column: str) -> None:
    pa = pyarrow()
    schema = pa.schema([pa.field(label_column, pa.int32(), nullable=False)])
    with writer_of(temporary, schema, label_column) as writer:
        for start in range(0, len(labels), LABELS):
            writer.write_batch(pa.record_batch([pa.array(labels[start : start + LABELS])], schema=schema))


def _copy_rows(file: Source, labels: Part, temporary: Path, label_column: str) -> None:
    """Copy the rows through pyarrow, batch by batch, with the labels as a last column."""
    changed = f"the file {file.path} has changed since its rows were labelled"
    copy_batches(stream_rows(file), temporary, labels, label_column, changed)
