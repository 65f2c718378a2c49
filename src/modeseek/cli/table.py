"""The steps of ``modeseek cluster``: fit, draw, report."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import modeseek
from modeseek.cli import summary
from modeseek.cli.stages import Stages
from modeseek.cli.units import Degrees, StandardDeviations, Units
from modeseek.files import Table, check_place

RULES = ("adaptive-knn", "abramson")  # names of bandwidths that are one number for each row
METHODS = ("auto", "third", "quantile", "normal", "plugin", "silverman", "scott", "knn", "self-coverage")  # one for all
DEFAULTS = {"kernel": "gaussian", "metric": "euclidean", "assign": "basin"}


def choose_units(options: Mapping[str, Any], standardize: bool, degrees: bool) -> Units:
    """Return the units to cluster in, or say why there are none."""
    haversine = options["metric"] == "haversine"
    if standardize and haversine:
        raise ValueError("--standardize does not go with --metric haversine: latitudes and longitudes are angles")
    if degrees and not haversine:
        raise ValueError(f"--degrees is of use with --metric haversine, not with --metric {options['metric']}")
    return StandardDeviations() if standardize else Degrees() if degrees else Units()


def check_options(options: Mapping[str, Any], audit: int | None) -> None:
    """Say before the work what comes after it would refuse: a device that is not here, the audit."""
    from modeseek.engines.devices import device_of

    device_of(options["device"], None)
    if audit is not None and options["assign"] == "nearest":
        raise ValueError("--audit checks which mode rows climb to, not --assign nearest")
    if audit is not None and isinstance(options["bandwidth"], str) and options["bandwidth"] in RULES:
        raise ValueError(
            f"--audit checks fits of one bandwidth, not of one per row (--bandwidth {options['bandwidth']})"
        )


def check_columns(options: Mapping[str, Any], data: Table) -> None:
    """Raise unless there is one bandwidth, or one for each column."""
    bandwidth = options["bandwidth"]
    if isinstance(bandwidth, list) and len(bandwidth) != len(data.columns):
        raise ValueError(
            f"--bandwidth has {len(bandwidth)} numbers, one for each column, but these are {len(data.columns)}:"
            f" {', '.join(data.columns)}"
        )


def fit(
    stages: Stages,
    data: Table,
    masses: Table | None,
    units: Units,
    options: Mapping[str, Any],
    audit: int | None = None,
) -> tuple[Any, NDArray, str]:
    """Return the fitted `MeanShift`, its centres in the units of the file, and what the audit of so many rows says."""
    with stages("load", "loading the engine"):
        from modeseek.estimators import MeanShift
    doing = f"clustering {len(data.X):,} rows"
    weights = None if masses is None else masses.X[:, 0]
    with stages("fit", doing), stages.watch_compiling(doing):
        Z = units.into(data.X)
        model = MeanShift(**{**options, "bandwidth": units.bandwidth(options["bandwidth"])})
        model.fit(Z, sample_weight=weights)
    checked = ""
    if audit is not None:
        doing = f"checking {min(audit, len(Z)):,} rows against exact mean shift"
        with stages("audit", doing), stages.watch_compiling(doing):
            checked = str(model.audit(Z, audit, sample_weight=weights, random_state=0))
    return model, units.back(model.cluster_centers_), checked


def check_plot(path: Path) -> None:
    """Say early what would stop `draw`."""
    try:
        from matplotlib.backend_bases import FigureCanvasBase
    except ImportError:
        raise ImportError("--plot needs Matplotlib: pip install 'modeseek[plot]'") from None
    known = sorted(FigureCanvasBase.get_supported_filetypes())
    if path.suffix.lower().lstrip(".") not in known:
        what = f"ends in {path.suffix!r}" if path.suffix else "has no suffix"
        raise ValueError(f"{path} {what}: the name of a plot must end in one of .{', .'.join(known)}")
    check_place(path)


def draw(path: Path, table: Table, labels: NDArray[np.int32], centers: NDArray[Any]) -> None:
    """Draw the clusters into a picture, along the first two columns."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 6), layout="constrained")
    axes = figure.subplots()
    axes.set_xlabel(table.columns[0])
    if len(table.columns) > 1:
        axes.set_ylabel(table.columns[1])
    modeseek.plot.clusters(table.X, labels, centers, ax=axes)
    figure.savefig(path, dpi=150, bbox_inches="tight")


def report(
    stages: Stages,
    table: Table,
    masses: Table | None,
    model: Any,
    centers: NDArray[Any],
    units: Units,
    facts: Mapping[str, str],
) -> None:
    """Print what came out."""
    inside = model.labels_[model.labels_ >= 0]
    n_noise = len(model.labels_) - len(inside)
    weights = () if masses is None else masses.columns
    first = {
        "rows": f"{len(table.X):,}",
        "columns": ", ".join(table.columns),
        "weights": ", ".join(weights),
        "left out": ", ".join(name for name in table.left_out if name not in weights),
        "clusters": f"{len(centers):,}",
        "noise": f"{n_noise:,} rows, labelled -1" if n_noise else "",
        "bandwidth": _describe_bandwidth(model, units),
        **{name: getattr(model, name) for name, usual in DEFAULTS.items() if getattr(model, name) != usual},
        "units": units.name,
    }
    summary.print_facts({**first, **facts, **summary.cost(stages.times)})
    cells = [[f"{value:.5g}" for value in center] for center in centers[: summary.LARGEST]]
    if len(centers):
        counts = np.bincount(inside, minlength=len(centers))
        summary.print_clusters(counts, table.columns, cells, total=len(model.labels_))


def _describe_bandwidth(model: Any, units: Units) -> str:
    """Say which bandwidth was used, and who chose it."""
    used = np.atleast_1d(units.shown(model.bandwidth_))
    if isinstance(model.bandwidth, str) and model.bandwidth in RULES:
        return f"{used.min():.6g} to {used.max():.6g}, one per row ({model.bandwidth})"
    rule = model.bandwidth if isinstance(model.bandwidth, str) else ""
    chosen = " (chosen automatically)" if rule == "auto" else f" ({rule})" if rule else ""
    return ", ".join(f"{h:.6g}" for h in used) + chosen
