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


def fit(stages: Stages, X: NDArray[Any], standardize: bool, options: Mapping[str, Any]) -> tuple[Any, NDArray]:
    """Return the fitted `MeanShift` and its centres in the units of `X`."""
    with stages("load", "loading the engine"):
        from sklearn.preprocessing import StandardScaler

        from modeseek.estimators import MeanShift
    doing = f"clustering {len(X):,} rows"
    with stages("fit", doing), stages.watch_compiling(doing):
        if not standardize:
            model = MeanShift(**options).fit(X)
            return model, model.cluster_centers_
        scaler = StandardScaler()
        model = MeanShift(**options).fit(scaler.fit_transform(X))
        return model, scaler.inverse_transform(model.cluster_centers_)


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
    first = {
        "rows": f"{len(table.X):,}",
        "columns": ", ".join(table.columns),
        "left out": ", ".join(table.left_out),
        "clusters": f"{len(centers):,}",
        "bandwidth": f"{model.bandwidth_:.6g}" + (" (chosen automatically)" if model.bandwidth == "auto" else ""),
    }
    summary.print_facts({**first, **facts, **summary.cost(stages.times)})
    cells = [[f"{value:.5g}" for value in center] for center in centers[: summary.LARGEST]]
    summary.print_clusters(np.bincount(model.labels_), table.columns, cells)
