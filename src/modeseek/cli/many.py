"""``modeseek cluster`` of files that are read in passes: several, at addresses, or larger than memory."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import typer

from modeseek.cli import summary
from modeseek.cli.stages import Stages, say
from modeseek.engines.memory import machine_memory
from modeseek.files.formats import readable
from modeseek.files.source import DELIMITERS, Source, is_many

SHARE = 0.25  # of memory: a table that takes more is read in passes
PARSED = 0.5  # bytes in memory of a byte of text, at the least


def is_large(path: str) -> bool:
    """Tell whether the numbers of one file would take more than a share of memory."""
    memory = machine_memory()
    if memory is None or not os.path.isfile(path):
        return False
    size, suffix = float(os.path.getsize(path)), Path(path).suffix.lower()
    if suffix == ".parquet":  # compressed
        with readable(Source(path)):
            from pyarrow import parquet

            about = parquet.read_metadata(path)
            size = max(size, 8.0 * about.num_rows * about.num_columns)
    elif suffix in DELIMITERS:
        size *= PARSED
    return size > SHARE * memory


def unknown_options(options: Mapping[str, Any], others: Mapping[str, Any]) -> list[str]:
    """Return the options given that only a table in memory knows."""
    usual = {"kernel": "gaussian", "metric": "euclidean", "assign": "basin", "bin_seeding": False}
    given = [f"--{name.replace('_', '-')}" for name, value in usual.items() if options[name] != value]
    bandwidth = options["bandwidth"]
    if isinstance(bandwidth, list) or (isinstance(bandwidth, str) and bandwidth != "auto"):
        given.append(
            f"--bandwidth {bandwidth if isinstance(bandwidth, str) else ','.join(f'{h:g}' for h in bandwidth)}"
        )
    if options["device"] not in ("auto", "cpu"):
        given.append(f"--device {options['device']}")
    return given + [f"--{name}" for name, value in others.items() if value]


def cluster_many(
    stages: Stages, inputs: Sequence[str], output: Path, options: Mapping[str, Any], writing: Mapping[str, Any]
) -> None:
    """Cluster files in passes, and say what came out."""
    with stages("load", "loading the engine"):
        from modeseek.outofcore import cluster_files
    known = {name: options[name] for name in ("bandwidth", "fidelity", "min_cluster_size", "cluster_all", "n_jobs")}
    given: Any = list(inputs) if is_many(inputs) else inputs[0]
    with stages.bars() as show, stages.watch_compiling("clustering"):

        def progress(at: Any) -> None:
            show(at.stage, at.done, at.total)

        try:
            found = cluster_files(given, output, progress=progress, **known, **writing)
        except KeyboardInterrupt:
            say("stopped", "nothing was written; the same command with --resume goes on from here")
            raise typer.Exit(130) from None
    if not stages.quiet:
        _report(stages, found, output)


def _report(stages: Stages, found: Any, output: Path) -> None:
    certificate = found.certificate
    facts = {
        "files": f"{len(found.files):,}" if len(found.files) > 1 else "",
        "rows": f"{found.rows:,}",
        "columns": ", ".join(found.columns),
        "left out": ", ".join(found.left_out),
        "clusters": f"{len(found.centers):,}",
        "noise": f"{found.noise:,} rows, labelled -1" if found.noise else "",
        "bandwidth": f"{found.bandwidth:.6g}",
        "certificate": str(certificate or ""),
        "resumed": "yes" if found.resumed else "",
        "written": str(output),
    }
    summary.print_facts({**facts, **summary.cost(stages.times)})
    cells = [[f"{value:.5g}" for value in center] for center in found.centers[: summary.LARGEST]]
    if len(found.centers):
        counts = found.weights.astype(np.int64)
        summary.print_clusters(counts, found.columns, cells, total=found.rows)


@contextmanager
def progress_bars(console: Any) -> Iterator[Any]:
    """Give a function (stage, done, total) that draws a bar for the stage at hand, with rate and time left."""
    from rich.progress import BarColumn, Progress, ProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
    from rich.text import Text

    class Rate(ProgressColumn):
        def render(self, task: Any) -> Text:
            speed = task.finished_speed or task.speed
            return Text(f"{speed:,.0f} rows/s" if speed and task.fields["counts"] else "")

    columns = (
        TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[rows]}"), Rate(),
        TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn(),
    )  # fmt: skip
    now: dict[str, Any] = {}
    with Progress(*columns, console=console, transient=True) as bars:

        def show(stage: str, done: int, total: int | None) -> None:
            if now.get("stage") != stage:
                if now:
                    bars.remove_task(now["task"])
                now.update(stage=stage, task=bars.add_task(stage, total=total, rows="", counts=False))
            rows = f"{done:,}" + (f" of {total:,} rows" if total else " rows") if done else ""
            bars.update(now["task"], completed=done, total=total, rows=rows, counts=done > 0)

        yield show
