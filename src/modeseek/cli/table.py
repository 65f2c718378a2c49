"""The steps of ``modeseek cluster``: fit, draw, report."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import modeseek
from modeseek.cli import summary
from modeseek.cli.stages import Stages
from modeseek.files import Table, check_place


def fit(
    stages: Stages, X: NDArray[Any], standardize: bool, options: Mapping[str, Any], audit: int | None = None
) -> tuple[Any, NDArray, str]:
    """Return the fitted `MeanShift`, its centres in the units of `X`, and what the audit of so many rows says."""
    with stages("load", "loading the engine"):
        from sklearn.preprocessing import StandardScaler

        from modeseek.estimators import MeanShift
    doing = f"clustering {len(X):,} rows"
    with stages("fit", doing), stages.watch_compiling(doing):
        scaler = StandardScaler() if standardize else None
        Z = X if scaler is None else scaler.fit_transform(X)
        model = MeanShift(**options).fit(Z)
    centers = model.cluster_centers_
    if scaler is not None and len(centers):
        centers = scaler.inverse_transform(centers)
    checked = ""
    if audit is not None:
        doing = f"checking {min(audit, len(Z)):,} rows against exact mean shift"
        with stages("audit", doing), stages.watch_compiling(doing):
            checked = str(model.audit(Z, audit, random_state=0))
    return model, centers, checked


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


def report(stages: Stages, table: Table, model: Any, centers: NDArray[Any], facts: Mapping[str, str]) -> None:
    """Print what came out."""
    inside = model.labels_[model.labels_ >= 0]
    n_noise = len(model.labels_) - len(inside)
    first = {
        "rows": f"{len(table.X):,}",
        "columns": ", ".join(table.columns),
        "left out": ", ".join(table.left_out),
        "clusters": f"{len(centers):,}",
        "noise": f"{n_noise:,} rows, labelled -1" if n_noise else "",
        "bandwidth": f"{model.bandwidth_:.6g}" + (" (chosen automatically)" if model.bandwidth == "auto" else ""),
    }
    summary.print_facts({**first, **facts, **summary.cost(stages.times)})
    cells = [[f"{value:.5g}" for value in center] for center in centers[: summary.LARGEST]]
    if len(centers):
        summary.print_clusters(np.bincount(inside), table.columns, cells, total=len(model.labels_))
