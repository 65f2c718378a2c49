"""The whole of it on one screen: look at the files, bounds, bandwidth, cluster, write."""

import os
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning

from modeseek.bandwidth import chosen_of
from modeseek.certificate import Certificate
from modeseek.engines import data
from modeseek.fields import Floats
from modeseek.files.source import is_many
from modeseek.orphans import settle_orphans
from modeseek.outofcore.dataset import Dataset, open_dataset
from modeseek.outofcore.inputs import Inputs, find_inputs
from modeseek.outofcore.journal import Journal, recorded
from modeseek.outofcore.output import Target, choose_targets, write_all
from modeseek.outofcore.passes import BOUNDS, Extent, LooseBounds, Nothing, Passes, Progress
from modeseek.outofcore.problem import FileProblem
from modeseek.outofcore.reading import bounds_in_statistics
from modeseek.pipeline import asks_for_passes, cluster, route_of
from modeseek.result import Clusters
from modeseek.scale_space import evenly, path_of_problem
from modeseek.sketch import DensitySketch

FEW = 1 << 24  # values that are held in memory where a route needs all points at once
FIDELITIES = ("certified", "fast", "exact")


@dataclass(frozen=True)
class LabelledFile:
    """One file, its rows, and where its labels are."""

    input: str
    rows: int
    output: Path


@dataclass(frozen=True)
class FileClusters:
    """What `modeseek.cluster_files` found.

    Attributes
    ----------
    rows : int
        Rows of all files.
    columns : tuple of str
        The columns that were clustered on.
    left_out : tuple of str
        The other columns of the first file.
    bandwidth : float
        The bandwidth used.
    centers : ndarray of shape (n_clusters, n_columns)
        Modes of the density, by decreasing weight.
    weights : ndarray of shape (n_clusters,)
        Rows of each cluster.
    noise : int
        Rows that are in none.
    sketch : DensitySketch or None
        The sketch of the density, where one was made.
    certificate : Certificate or None
        How labels are known to be those of exact mean shift; None with ``fidelity="fast"``.
    n_iter : int
        Steps of the longest climb.
    files : tuple of LabelledFile
        Every file, its rows, and where its labels are.
    resumed : bool
        Whether the run went on from what another had done.
    """

    rows: int
    columns: tuple[str, ...]
    left_out: tuple[str, ...]
    bandwidth: float
    centers: NDArray[Any]
    weights: Floats
    noise: int
    sketch: DensitySketch | None
    certificate: Certificate | None
    n_iter: int
    files: tuple[LabelledFile, ...]
    resumed: bool


@dataclass(frozen=True)
class Settings:
    """What the labels depend on, beside the files."""

    bandwidth: float | None
    fidelity: str
    min_cluster_size: float
    cluster_all: bool
    max_iter: int
    tol: float


def cluster_files(
    inputs: Inputs,
    output: str | os.PathLike[str],
    *,
    bandwidth: float | str | None = None,
    columns: Sequence[str | int] | None = None,
    fidelity: str = "certified",
    min_cluster_size: float = 1,
    cluster_all: bool = True,
    max_iter: int = 300,
    tol: float = 1e-3,
    label_column: str = "label",
    labels_only: bool = False,
    format: str | None = None,
    header: bool | None = None,
    resume: bool = False,
    progress: Callable[[Progress], None] | None = None,
    checkpoint_seconds: float = 10.0,
    n_jobs: int | None = None,
) -> FileClusters:
    r"""Cluster the rows of files that need not fit in memory, by Gaussian mean shift, and write their labels.

    Files are read in a few passes, a piece at a time: for bounds (not if Parquet files state them), for a sketch of the
    density (once more for each finer grid that is tried), and for labels, where these could not be noted by the way, as
    they mostly can of 2^24 rows of two columns or more. Labels are those of
    ``MeanShift(bandwidth, fidelity=fidelity).fit(X).labels_`` for all rows X in one array, bit for bit.

    Parameters
    ----------
    inputs : str, path, or sequence of these
        Files (.csv, .tsv, .parquet, .arrow, .feather, .npy), directories of them, patterns (``data/*.parquet``), or
        addresses (``s3://bucket/*.parquet``), which are read through fsspec.
    output : str or path
        A directory that gets one file for each input, of the same name, and is made if missing. If ``inputs`` is the
        path of one file: a file.
    bandwidth : float or "auto", optional
        Standard deviation h of the Gaussian, in the units of the data. None and "auto" choose it as `MeanShift` does,
        from all rows, in two more passes.
    columns : sequence of str or int, optional
        Up to three columns, by name, or by position in the first file; default: all that are numeric there.
    fidelity : {"certified", "fast", "exact"}, default="certified"
        As in `MeanShift`. "certified": labels are proven, row by row, to be those of exact mean shift. Rows that no
        cell settles are kept in memory, up to 2^24 of them, and proven one by one. As in memory, of more than four
        million rows those that even that leaves open do not climb on the data: they are counted as *undecided*.
        "exact" needs all rows in memory, and is refused where they are many.
    min_cluster_size : float, default=1
        Least number of rows of a cluster.
    cluster_all : bool, default=True
        Whether rows of clusters that are too small join others (True) or are noise, -1 (False).
    max_iter, tol : int, float
        As in `MeanShift`.
    label_column : str, default="label"
        Name of the column of labels.
    labels_only : bool, default=False
        Write that column alone, without the rows: a fraction of the time. Outputs ending in .npy are always so.
    format : {"csv", "tsv", "parquet", "arrow", "feather", "npy"}, optional
        Format of the outputs; default: that of each input.
    header : bool, optional
        Whether the first line of text files holds names; by default it must.
    resume : bool, default=False
        Go on from where another run with the same inputs, output and settings was stopped or killed; the result is that
        of an uninterrupted run. Begins anew if there is nothing to go on from.
    progress : callable, optional
        Called with a `Progress` (``stage``, rows ``done``, rows in ``total``) after each piece.
    checkpoint_seconds : float, default=10
        Seconds between two records of how far a pass is: what a killed run loses at most, beside the files that it was
        writing.
    n_jobs : int, optional
        Threads; None means all cores. The result is the same to the bit for any number.

    Returns
    -------
    FileClusters
        Centers, weights, certificate, sketch, and where labels are.

    Raises
    ------
    ValueError
        If a file cannot be read, lacks a column, has a missing or infinite value (the file and the row are named), or
        changes during the run; or if settings do not fit. Nothing is written then.
    ImportError
        If pyarrow, or fsspec for an address, is missing.

    See Also
    --------
    modeseek.MeanShift : The same for arrays, with every kernel, metric and weight.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> import numpy as np
    >>> import modeseek as ms
    >>> _, X = ms.textbook.make_data()
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> for k, part in enumerate(np.array_split(X, 3)):
    ...     np.save(folder / f"part{k}.npy", part)
    >>> found = ms.cluster_files(folder, folder / "labels", bandwidth=2.5)
    >>> found.rows, len(found.centers)
    (1500, 6)
    >>> sorted(path.name for path in (folder / "labels").iterdir())
    ['part0.npy', 'part1.npy', 'part2.npy']
    """
    settings = _checked(bandwidth, fidelity, min_cluster_size, cluster_all, max_iter, tol)
    one = isinstance(inputs, str | os.PathLike) and not is_many([os.fspath(inputs)])
    dataset = open_dataset(find_inputs(inputs, header), columns, header)
    if dataset.d > 3:
        raise ValueError(
            f"files are clustered on a grid, of up to three columns; these are {dataset.d} "
            f"({', '.join(dataset.columns)}): choose some of them with columns"
        )
    suffix = None if format is None else "." + format.lstrip(".").lower()
    place, targets = choose_targets(dataset, output, not one, label_column, labels_only, suffix)
    plan = _plan(dataset, settings, label_column, labels_only, targets)
    options: dict[str, Any] = {
        "progress": progress or (lambda progress: None), "n_jobs": n_jobs, "seconds": checkpoint_seconds,
    }  # fmt: skip
    with recorded(place, plan, resume) as journal:
        return _run(dataset, settings, targets, label_column, journal, options)


def _checked(
    bandwidth: Any, fidelity: str, min_cluster_size: float, cluster_all: bool, max_iter: int, tol: float
) -> Settings:
    if bandwidth is not None and bandwidth != "auto":
        if isinstance(bandwidth, str) or np.ndim(bandwidth):
            raise ValueError(f"files are clustered with one number as bandwidth, or 'auto'; got {bandwidth!r}")
        bandwidth = data.positive(bandwidth, "bandwidth")
    if fidelity not in FIDELITIES:
        raise ValueError(f"fidelity must be one of {', '.join(map(repr, FIDELITIES))}, got {fidelity!r}")
    if not 0.0 < tol <= 0.1:
        raise ValueError(f"tol must be above 0 and at most 0.1, got {tol!r}")
    h = None if bandwidth in (None, "auto") else float(bandwidth)
    return Settings(
        h, fidelity, data.positive(min_cluster_size, "min_cluster_size"), bool(cluster_all),
        data.whole(max_iter, "max_iter", 1), float(tol),
    )  # fmt: skip


def _plan(
    dataset: Dataset, settings: Settings, label_column: str, labels_only: bool, targets: list[Target]
) -> dict[str, Any]:
    from modeseek import __version__

    depends = {
        **vars(settings), "columns": list(dataset.columns), "label_column": label_column, "labels_only": labels_only,
        "outputs": [str(target.path) for target in targets], "version": __version__,
    }  # fmt: skip
    files = [[file.path, stamp] for file, stamp in zip(dataset.files, dataset.stamps, strict=True)]
    return {"settings": depends, "files": files}


def _run(
    dataset: Dataset,
    settings: Settings,
    targets: list[Target],
    label_column: str,
    journal: Journal,
    options: dict[str, Any],
) -> FileClusters:
    told, n_jobs = options["progress"], options["n_jobs"]
    passes = Passes(dataset, journal, **options)
    bounds = _stated_bounds(dataset) if journal.trusts_statistics() else None
    try:
        found, h = _cluster(passes, bounds, settings)
    except LooseBounds:
        if bounds is None:
            raise ValueError("the values of the files have changed since the run began: nothing is written") from None
        journal.try_again()  # what files state of their columns is not so
        passes = Passes(dataset, journal, **options)
        found, h = _cluster(passes, None, settings)
    n = dataset.n
    assert n is not None
    if n_unsettled := getattr(found, "n_unsettled", 0):
        warnings.warn(
            f"{n_unsettled} of the climbs did not come to rest at a mode; their labels are guessed from where they "
            f"stood. Increase max_iter={settings.max_iter}.",
            ConvergenceWarning,
            stacklevel=3,
        )

    def wrote(rows: int) -> None:
        told(Progress("write labels", rows, n))

    write_all(dataset, found.labels, targets, label_column, journal, wrote, n_jobs)
    rows = [int(m) for m in np.diff(dataset.begins())]
    files = tuple(
        LabelledFile(file.path, m, target.path) for file, m, target in zip(dataset.files, rows, targets, strict=True)
    )
    return FileClusters(
        n, dataset.columns, dataset.left_out, h, found.centers.astype(dataset.dtype), found.cluster_weights,
        n - int(found.cluster_weights.sum()), found.sketch, found.certificate, getattr(found, "n_iter", 0), files,
        journal.resumed,
    )  # fmt: skip


def _stated_bounds(dataset: Dataset) -> Floats | None:
    """Return the bounds that the files state together; None unless all do."""
    ends = []
    for file, rows in zip(dataset.files, dataset.rows, strict=True):
        if rows == 0:
            continue
        stated = bounds_in_statistics(file, dataset.columns)
        if stated is None:
            return None
        ends.append(stated)
    lows, highs = zip(*ends, strict=True)
    return np.array([np.min(lows, axis=0), np.max(highs, axis=0)])


def _cluster(passes: Passes, bounds: Floats | None, settings: Settings) -> tuple[Clusters, float]:
    """Cluster all rows, by the route that they would take in memory."""
    if bounds is None:
        bounds = _bounds_by_pass(passes)

    def report(stage: str) -> None:
        passes.progress(Progress(stage, 0, None))

    climbing = {"tol": settings.tol, "max_iter": settings.max_iter, "n_jobs": passes.n_jobs, "report": report}
    problem = FileProblem.of(passes, bounds, np.nan, **climbing)
    h = _bandwidth(problem) if settings.bandwidth is None else settings.bandwidth
    data.check_scale(bounds, h)
    problem = FileProblem.of(passes, bounds, h, **climbing)
    route = route_of(problem, settings.fidelity)
    found: Clusters
    if asks_for_passes(route):
        found = route(problem)
        settle_orphans(problem, found, settings.min_cluster_size, settings.cluster_all)
        return found, h
    if problem.n * problem.d > FEW:
        _refuse(problem, settings.fidelity)
    few = problem.in_memory()
    found = cluster(few, settings.fidelity)
    settle_orphans(few, found, settings.min_cluster_size, settings.cluster_all)
    return found, h


def _bounds_by_pass(passes: Passes) -> Floats:
    passes.run(BOUNDS, Nothing())
    ends: Extent | None = passes.ends
    assert ends is not None
    if not passes.dataset.n:
        files = passes.dataset.files
        raise ValueError(f"{files[0].path} has no rows" if len(files) == 1 else "no file has any rows")
    return ends.bounds


def _bandwidth(problem: FileProblem) -> float:
    """Choose the bandwidth as of points in memory: by the clusters at every scale."""
    if (problem.bounds[0] == problem.bounds[1]).all():
        return 1.0
    problem.report("choose the bandwidth")
    unlabelled = replace(problem, for_labels=False)
    return chosen_of(path_of_problem(unlabelled, evenly(problem.points, problem.weights)))


def _refuse(problem: FileProblem, fidelity: str) -> None:
    if fidelity == "exact":
        raise ValueError(
            f'fidelity "exact" needs all {problem.n} rows in memory, where no more than {FEW // problem.d} are held: '
            'use "certified" or "fast"'
        )
    raise ValueError(
        f"the data span too many bandwidths ({problem.bandwidth:g}) for a grid, and {problem.n} rows are too many to "
        "be held in memory: use a larger bandwidth, or remove outliers"
    )
