"""The steps of ``modeseek bandwidth``: clusters at every scale, drawn and told."""

from pathlib import Path
from typing import TYPE_CHECKING

from rich import box
from rich.table import Table as Printed

import modeseek
from modeseek.cli import summary
from modeseek.cli.stages import Stages
from modeseek.cli.units import StandardDeviations, Units
from modeseek.files import Table

if TYPE_CHECKING:
    from modeseek.scale_space import BandwidthPath

SHOWN = 8  # ranges


def path_of_table(stages: Stages, data: Table, standardize: bool, jobs: int | None) -> "BandwidthPath":
    """Return the clusters of a table at every scale."""
    with stages("load", "loading the engine"):
        from modeseek.scale_space import bandwidth_path
    doing = f"clustering {len(data.X):,} rows at every scale"
    with stages("scales", doing), stages.watch_compiling(doing):
        return bandwidth_path((StandardDeviations() if standardize else Units()).into(data.X), n_jobs=jobs)


def draw(picture: Path, path: "BandwidthPath") -> None:
    """Draw numbers of clusters and the tree of modes."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 6.4), layout="constrained")
    modeseek.plot.bandwidths(path, axes=figure.subplots(2, 1, sharex=True, height_ratios=[1, 1.4]))
    figure.savefig(picture, dpi=150)


def report(stages: Stages, data: Table, path: "BandwidthPath", standardize: bool, plot: Path | None) -> None:
    """Print the bandwidth, and the scales over which each number of clusters lasts."""
    count = path.chosen.n_clusters if path.chosen else 1
    facts = {
        "rows": f"{len(data.X):,}",
        "columns": ", ".join(data.columns),
        "left out": ", ".join(data.left_out),
        "bandwidth": f"{path.bandwidth:.6g}",
        "clusters": f"{count}" if path.chosen else "1: no other number lasts",
        "units": StandardDeviations().name if standardize else "",
        "plot": str(plot or ""),
    }
    summary.print_facts({**facts, **summary.cost(stages.times)})
    table = Printed(box=box.SIMPLE)
    for heading in ("clusters", "from", "to", "factor", ""):
        table.add_column(heading, justify="right")
    longest = sorted(path.ranges, key=lambda r: -r.lasting)[:SHOWN]
    for r in sorted(longest, key=lambda r: r.first):
        mark = "chosen" if r is path.chosen else ""
        table.add_row(str(r.n_clusters), f"{r.low:.4g}", f"{r.high:.4g}", f"{r.high / r.low:.3g}", mark)
    summary.stdout().print(table)
