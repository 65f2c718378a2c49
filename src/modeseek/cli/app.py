"""The commands and their options."""

import csv
from contextlib import nullcontext
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

import modeseek
from modeseek.cli import exploring, many, pictures, scales, sketches, summary, table
from modeseek.cli import info as about
from modeseek.cli.stages import Stages, one_line_errors
from modeseek.files import check_output, read_table, replacing, write_labels
from modeseek.files.source import is_many

app = typer.Typer(
    name="modeseek",
    help="Mean-shift clustering: finds the peaks of a density and the points that belong to each.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


class Fidelity(StrEnum):
    """How labels are found; see `modeseek.MeanShift`."""

    CERTIFIED = "certified"
    FAST = "fast"
    EXACT = "exact"


class Kernel(StrEnum):
    """The weights of `modeseek.kernels`."""

    GAUSSIAN = "gaussian"
    TRIANGULAR = "triangular"
    EPANECHNIKOV = "epanechnikov"
    BIWEIGHT = "biweight"
    FLAT = "flat"


class Metric(StrEnum):
    """What distances are; see `modeseek.MeanShift`."""

    EUCLIDEAN = "euclidean"
    COSINE = "cosine"
    HAVERSINE = "haversine"


class Assign(StrEnum):
    """What a cluster is; see `modeseek.MeanShift`."""

    BASIN = "basin"
    NEAREST = "nearest"


def _bandwidth(text: str) -> float | str:
    if text == "auto":
        return text
    try:
        return float(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is neither a number nor 'auto'") from None


def _bandwidths(text: str) -> float | list[float] | str:
    if text in table.METHODS or text in table.RULES:
        return text
    try:
        numbers = [float(number) for number in text.split(",")]
    except ValueError:
        names = ", ".join(repr(name) for name in (*table.METHODS, *table.RULES))
        raise typer.BadParameter(
            f"{text!r} is neither a number, nor numbers separated by commas, nor one of {names}"
        ) from None
    return numbers if len(numbers) > 1 else numbers[0]


def _version(wanted: bool) -> None:
    if wanted:
        print(f"modeseek {modeseek.__version__}")
        raise typer.Exit


FidelityOption = Annotated[
    Fidelity,
    typer.Option(
        help="'certified': labels proven to be those of exact mean shift; 'fast': found by comparing cells;"
        " 'exact': every point climbs on the points."
    ),
]
Jobs = Annotated[int | None, typer.Option("--jobs", "-j", help="Threads; default: all. Same result for any.")]
Device = Annotated[
    str, typer.Option(metavar="auto|cpu|cuda|cuda:1|...", help="Where to work: with Torch installed, on a GPU, too.")
]
Header = Annotated[
    bool | None, typer.Option("--header/--no-header", help="Whether the first line of a text file holds names.")
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress and no summary.")]


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Options that come before the command."""


@app.command()
@one_line_errors
def cluster(
    inputs: Annotated[
        list[str],
        typer.Argument(
            metavar="INPUT...",
            help="A .csv, .tsv, .parquet, .arrow, .feather or .npy table. Or several, a directory, a pattern, or"
            " addresses (s3://...): these are read in passes, and need not fit in memory.",
        ),
    ],
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            help="The same rows with their labels; .npy: the labels alone. Of several inputs: a directory, which gets a"
            " file for each.",
        ),
    ],
    columns: Annotated[
        str | None,
        typer.Option(help="Names or positions from 0, separated by commas; default: all numeric ones."),
    ] = None,
    bandwidth: Annotated[
        Any,
        typer.Option(
            "--bandwidth",
            "-b",
            parser=_bandwidths,
            metavar="FLOAT[,FLOAT...]|auto|RULE",
            help="Standard deviation of the Gaussian, or h of another kernel, in the units of the data;"
            " with --standardize, in standard deviations of a column. Several numbers: one per column."
            f" Or a rule: {', '.join(table.METHODS[1:])}; {', '.join(table.RULES)} give one per row.",
        ),
    ] = "auto",
    kernel: Annotated[Kernel, typer.Option(help="Weight of a row at a distance.")] = Kernel.GAUSSIAN,
    metric: Annotated[
        Metric,
        typer.Option(
            help="'cosine': directions are compared; 'haversine': the columns are latitude and longitude, in radians"
            " unless --degrees is given."
        ),
    ] = Metric.EUCLIDEAN,
    degrees: Annotated[
        bool, typer.Option("--degrees", help="With --metric haversine: columns and bandwidth are in degrees.")
    ] = False,
    assign: Annotated[
        Assign,
        typer.Option(
            help="'basin': a cluster is what climbs to one mode; 'nearest', with --kernel flat: what scikit-learn's"
            " MeanShift finds."
        ),
    ] = Assign.BASIN,
    bin_seeding: Annotated[
        bool, typer.Option("--bin-seeding", help="With --assign nearest: climb from rows rounded to a grid.")
    ] = False,
    weights: Annotated[
        str | None,
        typer.Option(metavar="COLUMN", help="Name or position of a column of weights; it is not clustered on."),
    ] = None,
    fidelity: FidelityOption = Fidelity.CERTIFIED,
    standardize: Annotated[
        bool, typer.Option("--standardize", help="Give every column mean 0 and standard deviation 1 first.")
    ] = False,
    min_cluster_size: Annotated[
        float, typer.Option(metavar="N", min=1, help="Clusters of fewer rows are attached to the one they lead to.")
    ] = 1,
    noise: Annotated[
        bool, typer.Option("--noise", help="Label the rows of clusters that are too small -1 instead.")
    ] = False,
    audit: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="Check the labels of N random rows against exact mean shift."),
    ] = None,
    sketch: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Label the rows by the clusters of this sketch (see modeseek sketch)."),
    ] = None,
    plot: Annotated[Path | None, typer.Option(help="Also draw the clusters into this picture.")] = None,
    jobs: Jobs = None,
    device: Device = "auto",
    label_column: Annotated[str, typer.Option(help="Name of the new column.")] = "label",
    header: Header = None,
    stream: Annotated[
        bool,
        typer.Option(
            "--stream", help="Read a single table in passes, too; done anyway if it would take a quarter of memory."
        ),
    ] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="In passes: go on from where the same command was stopped or killed.")
    ] = False,
    labels_only: Annotated[
        bool, typer.Option("--labels-only", help="In passes: write the labels alone, without the rows.")
    ] = False,
    format: Annotated[
        str | None,
        typer.Option(
            metavar="csv|tsv|parquet|arrow|feather|npy",
            help="In passes: format of the output; default: that of each input.",
        ),
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Cluster the rows of a table, or of many, and write it again with a column of labels.

    Several tables, and tables larger than memory, are read in passes. Their labels are those of all rows in memory, bit
    for bit, proven row by row by default (--fidelity certified).
    """
    stages = Stages(quiet)
    options = {
        "bandwidth": bandwidth,
        "kernel": kernel.value,
        "metric": metric.value,
        "assign": assign.value,
        "bin_seeding": bin_seeding,
        "fidelity": fidelity.value,
        "min_cluster_size": min_cluster_size,
        "cluster_all": not noise,
        "n_jobs": jobs,
        "device": device,
    }
    units = table.choose_units(options, standardize, degrees)
    table.check_options(options, audit)
    if sketch is not None:
        sketches.check_options({**options, "standardize": standardize, "audit": audit, "weights": weights})
    asked = stream or resume or labels_only or format is not None or is_many(inputs)
    only_in_memory = many.unknown_options(
        options, {"weights": weights, "degrees": degrees, "standardize": standardize, "audit": audit, "plot": plot}
    )
    if sketch is not None and asked:
        raise ValueError("--sketch labels one table in memory: leave out --stream and the like")
    if asked and only_in_memory:
        raise ValueError(
            f"{only_in_memory[0]} works on one table in memory, not on files that are read in passes: they are "
            "clustered by the Gaussian, with one number as bandwidth or auto"
        )
    if asked or (sketch is None and not only_in_memory and many.is_large(inputs[0])):
        writing = {
            "columns": _split(columns),
            "label_column": label_column,
            "labels_only": labels_only,
            "format": format,
            "header": header,
            "resume": resume,
        }
        many.cluster_many(stages, inputs, output, options, writing)
        return
    table_file = Path(inputs[0])
    with stages("read", f"reading {table_file}"):
        masses = None if weights is None else read_table(table_file, [weights], header=header)
        data = read_table(table_file, _split(columns), without=weights, header=header)
        table.check_columns(options, data)
        check_output(data, output, label_column)
        if plot is not None:
            table.check_plot(plot)
    if sketch is None:
        model, centers, checked = table.fit(stages, data, masses, units, options, audit)
    else:
        doing = f"labelling {len(data.X):,} rows"
        with stages("fit", doing), stages.watch_compiling(doing):
            model, checked = sketches.labelled(options, sketch, data), ""
        centers = model.cluster_centers_
    with stages("write", f"writing {output}"), nullcontext() if plot is None else replacing(plot) as picture:
        if picture is not None:
            table.draw(picture, data, model.labels_, centers)
        write_labels(data, model.labels_, output, label_column=label_column)
    if not quiet:
        facts = {"sketch": str(sketch or ""), "audit": checked, "written": str(output), "plot": str(plot or "")}
        table.report(stages, data, masses, model, centers, units, facts)


@app.command()
@one_line_errors
def sketch(
    tables: Annotated[
        list[Path], typer.Argument(metavar="INPUT...", help=".csv, .tsv, .parquet, .arrow, .feather or .npy tables.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="The sketch, a file that ends in .npz.")],
    bandwidth: Annotated[
        float,
        typer.Option("--bandwidth", "-b", help="Standard deviation of the Gaussian; sketches of the same one merge."),
    ],
    columns: Annotated[
        str | None,
        typer.Option(help="Names or positions from 0, separated by commas; default: all numeric ones."),
    ] = None,
    weights: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="Name or position of a column of weights.")
    ] = None,
    jobs: Jobs = None,
    header: Header = None,
    quiet: Quiet = False,
) -> None:
    """Sum the rows of tables, up to three columns, into a sketch: a small file that merges with others."""
    stages = Stages(quiet)
    sketches.check_sketch_name(output, tables)
    reading = {"columns": _split(columns), "weights": weights, "header": header}
    made, rows, first = sketches.sketch_tables(stages, tables, reading, bandwidth, jobs)
    with stages("write", f"writing {output}"):
        made.save(output)
    if not quiet:
        sketches.report(stages, made, output, {"rows": f"{rows:,}", "columns": ", ".join(first.columns)})


@app.command()
@one_line_errors
def merge(
    inputs: Annotated[list[Path], typer.Argument(metavar="SKETCH...", help="Files that modeseek sketch wrote.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The sketch of all of them.")],
    quiet: Quiet = False,
) -> None:
    """Merge sketches, made on many machines or of many batches, into one; the order makes no difference."""
    stages = Stages(quiet)
    sketches.check_sketch_name(output, ())
    made = sketches.merge_files(stages, inputs)
    with stages("write", f"writing {output}"):
        made.save(output)
    if not quiet:
        sketches.report(stages, made, output, {"sketches": f"{len(inputs):,}"})


@app.command()
@one_line_errors
def bandwidth(
    table_file: Annotated[
        Path, typer.Argument(metavar="INPUT", help="A .csv, .tsv, .parquet, .arrow, .feather or .npy table.")
    ],
    columns: Annotated[
        str | None,
        typer.Option(help="Names or positions from 0, separated by commas; default: all numeric ones."),
    ] = None,
    standardize: Annotated[
        bool, typer.Option("--standardize", help="Give every column mean 0 and standard deviation 1 first.")
    ] = False,
    plot: Annotated[Path | None, typer.Option(help="Draw the clusters at every scale into this picture.")] = None,
    jobs: Jobs = None,
    header: Header = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print the bandwidth alone.")] = False,
) -> None:
    """Find the bandwidth for a table: clusters at every scale, and the scale at which they stand apart."""
    stages = Stages(quiet)
    with stages("read", f"reading {table_file}"):
        data = read_table(table_file, _split(columns), header=header)
        if plot is not None:
            table.check_plot(plot)
    path = scales.path_of_table(stages, data, standardize, jobs)
    if plot is not None:
        with stages("write", f"writing {plot}"), replacing(plot) as picture:
            scales.draw(picture, path)
    if quiet:
        print(f"{path.bandwidth:.6g}")
    else:
        scales.report(stages, data, path, standardize, plot)


@app.command()
@one_line_errors
def explore(
    table_file: Annotated[
        Path, typer.Argument(metavar="INPUT", help="A .csv, .tsv, .parquet, .arrow, .feather or .npy table.")
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="The page; default: the name of INPUT, ending in .html, in this directory."
        ),
    ] = None,
    columns: Annotated[
        str | None,
        typer.Option(help="Names or positions from 0, separated by commas; default: all numeric ones."),
    ] = None,
    weights: Annotated[
        str | None,
        typer.Option(metavar="COLUMN", help="Name or position of a column of weights; it is not clustered on."),
    ] = None,
    standardize: Annotated[
        bool, typer.Option("--standardize", help="Give every column mean 0 and standard deviation 1 first.")
    ] = False,
    fidelity: FidelityOption = Fidelity.CERTIFIED,
    title: Annotated[str | None, typer.Option(help="Heading of the page; default: the name of INPUT.")] = None,
    jobs: Jobs = None,
    header: Header = None,
    quiet: Quiet = False,
) -> None:
    """Make a page to explore a table: move the bandwidth, and see clusters merge."""
    stages = Stages(quiet)
    output = Path(table_file.stem + ".html") if output is None else output
    with stages("read", f"reading {table_file}"):
        masses = None if weights is None else read_table(table_file, [weights], header=header)
        data = read_table(table_file, _split(columns), without=weights, header=header)
        exploring.check_page(output, table_file)
    options = {"standardize": standardize, "fidelity": fidelity.value, "n_jobs": jobs}
    page = exploring.explore_table(stages, data, masses, {**options, "title": title or table_file.name})
    with stages("write", f"writing {output}"), replacing(output) as temporary:
        page.save(temporary)
    if not quiet:
        exploring.report(stages, data, page, standardize, output)


@app.command()
@one_line_errors
def segment(
    picture: Annotated[Path, typer.Argument(metavar="PICTURE", help="A photograph.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The picture, each region in its mean colour.")],
    spatial: Annotated[
        float, typer.Option(min=0.0, help="Bandwidth of place, in pixels: larger means smoother.")
    ] = 8.0,
    color: Annotated[
        float,
        typer.Option("--color", "--colour", min=0.0, help="Bandwidth of colour, in steps of 256: larger means fewer."),
    ] = 8.0,
    min_size: Annotated[int, typer.Option(min=0, help="Join regions of fewer pixels to their neighbours.")] = 0,
    merge: Annotated[
        float, typer.Option(min=0.0, help="Join regions that touch and are less than that many bandwidths apart.")
    ] = 1.0,
    overlay: Annotated[
        bool, typer.Option("--overlay", help="Draw the borders of regions over the photograph.")
    ] = False,
    filtered: Annotated[bool, typer.Option("--filtered", help="Write the picture smoothed up to its edges.")] = False,
    labels: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Also write the region of every pixel, as .npy.")
    ] = None,
    regions: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Also write one row a region, as .csv, .parquet or the like.")
    ] = None,
    bandwidth: Annotated[
        Any,
        typer.Option(
            "--bandwidth",
            "-b",
            parser=_bandwidth,
            metavar="FLOAT|auto",
            help="Reduce to main colours instead: cluster colours alone, wherever they are, with this bandwidth.",
        ),
    ] = None,
    fidelity: FidelityOption = Fidelity.FAST,
    jobs: Jobs = None,
    quiet: Quiet = False,
) -> None:
    """Cut a photograph into regions, or reduce it to its main colours."""
    stages = Stages(quiet)
    if bandwidth is not None:
        pictures.main_colors(stages, picture, output, bandwidth, {"fidelity": fidelity.value, "n_jobs": jobs}, quiet)
        return
    shown = pictures.Shown.of(overlay, filtered)
    options = {"spatial": spatial, "color": color, "min_size": min_size, "merge": merge, "n_jobs": jobs}
    pictures.regions(stages, picture, output, shown, options, labels, regions, quiet)


@app.command()
@one_line_errors
def demo(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Where to put it; made if missing.")],
) -> None:
    """Make a page that shows mean shift at work: points, photographs, flowers, digits."""
    from modeseek.demo import write_demo

    doing, stages = f"making {directory}", Stages(spin=False)  # what is made is listed meanwhile
    with stages("demo", doing), stages.watch_compiling(doing):
        write_demo(directory)


@app.command()
@one_line_errors
def info() -> None:
    """Tell versions, threads, devices and where compiled kernels are kept."""
    summary.print_facts(about.facts())


def _split(columns: str | None) -> list[str] | None:
    """Split at commas; a name with a comma in it stands in double quotes."""
    return None if columns is None else [name.strip() for name in next(csv.reader([columns]), [])]
