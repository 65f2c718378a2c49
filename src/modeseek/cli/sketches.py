"""The steps of ``modeseek sketch`` and ``modeseek merge``: tables into sketches, sketches into one."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from modeseek.cli import summary
from modeseek.cli.stages import Stages
from modeseek.files import Table, check_place, read_table

if TYPE_CHECKING:
    from modeseek.sketch import DensitySketch

REFUSED = {  # with --sketch: what a sketch has no points for, or knows already
    "kernel": "gaussian",
    "metric": "euclidean",
    "assign": "basin",
    "bin_seeding": False,
    "standardize": False,
    "audit": None,
    "weights": None,
}


def check_sketch_name(output: Path, inputs: Sequence[Path]) -> None:
    """Say early what would stop a sketch from being written."""
    if output.suffix.lower() != ".npz":
        raise ValueError(f"{output}: the name of a sketch must end in .npz")
    check_place(output)
    if output.exists() and any(path.exists() and output.samefile(path) for path in inputs):
        raise ValueError(f"{output} is an input itself: choose another name for the output")


def sketch_tables(
    stages: Stages, inputs: Sequence[Path], reading: Mapping[str, Any], bandwidth: float, jobs: int | None
) -> tuple["DensitySketch", int, Table]:
    """Return the sketch of all rows of some tables, how many rows there are, and the last table."""
    with stages("load", "loading the engine"):
        from modeseek.streams import empty_sketch
    sketch, rows, first = None, 0, None
    for path in inputs:
        with stages(f"read {path.name}", f"reading {path}"):
            header, column = reading["header"], reading["weights"]
            weights = None if column is None else read_table(path, [column], header=header).X[:, 0]
            table = read_table(path, reading["columns"], without=column, header=header)
        first = first or table
        if table.columns != first.columns:
            raise ValueError(
                f"{path} has the columns {', '.join(table.columns)}, but {inputs[0]} has {', '.join(first.columns)}:"
                " choose the same with --columns"
            )
        if len(table.columns) > 3:
            raise ValueError(
                f"a sketch holds up to three columns, and {path} has {len(table.columns)}: choose some with --columns"
            )
        doing = f"adding {len(table.X):,} rows"
        with stages(f"add {path.name}", doing), stages.watch_compiling(doing):
            sketch = sketch or empty_sketch(bandwidth, len(table.columns))
            try:
                sketch.add(table.X, weights, n_jobs=jobs)
            except ValueError as error:
                raise ValueError(f"{path}: {error}") from None
            sketch.columns = sketch.columns or _names(table)
        rows += len(table.X)
    assert sketch is not None
    assert first is not None
    return sketch, rows, first


def merge_files(stages: Stages, inputs: Sequence[Path]) -> "DensitySketch":
    """Return the sketch of all that some files hold."""
    with stages("load", "loading the engine"):
        from modeseek.sketch import DensitySketch
    whole = None
    for path in inputs:
        with stages(f"merge {path.name}", f"merging {path}"):
            sketch = DensitySketch.load(path)
            try:
                whole = sketch if whole is None else whole.merge(sketch)
            except ValueError as error:
                raise ValueError(f"{path} does not fit {inputs[0]}: {error}") from None
    assert whole is not None
    return whole


def _names(table: Table) -> tuple[str, ...] | None:
    """Return the names of the columns, if the file holds them."""
    return table.columns if table.source.suffix != ".npy" and table.source.header else None


def labelled(options: Mapping[str, Any], path: Path, table: Table) -> Any:
    """Return a `MeanShift` fitted to the sketch in a file, with the labels of rows."""
    from modeseek.estimators import MeanShift
    from modeseek.sketch import DensitySketch

    sketch = DensitySketch.load(path)
    if not sketch.total_weight_:
        raise ValueError(f"{path} holds no mass: there is nothing to cluster")
    if sketch.n_features_in_ != len(table.columns):
        raise ValueError(
            f"{path} is of {sketch.n_features_in_} columns, but {len(table.columns)} are chosen: see --columns"
        )
    names = _names(table)
    if sketch.columns and names and sketch.columns != names:
        raise ValueError(
            f"{path} is of the columns {', '.join(sketch.columns)}, but {', '.join(names)} are chosen: see --columns"
        )
    model = MeanShift(**options)
    try:
        model.fit(sketch)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    model.labels_ = model.predict(table.X)
    return model


def check_options(options: Mapping[str, Any]) -> None:
    """Refuse what does not go with --sketch."""
    for name, usual in REFUSED.items():
        if options.get(name, usual) != usual:
            raise ValueError(
                f"--{name.replace('_', '-')} does not go with --sketch: a sketch has no points, and is Gaussian"
            )


def report(stages: Stages, sketch: "DensitySketch", output: Path, facts: Mapping[str, str]) -> None:
    """Print what was written."""
    said = {
        "weight": f"{sketch.total_weight_:,.10g}",
        "bandwidth": f"{sketch.bandwidth:.6g}",
        "nodes": f"{np.count_nonzero(sketch.masses):,}, {sketch.spacing:.4g} bandwidths apart",
        "written": f"{output}, {output.stat().st_size / 1e6:.3g} MB",
    }
    summary.print_facts({**facts, **said, **summary.cost(stages.times)})
