"""The steps of ``modeseek explore``: clusters at every bandwidth, and the page that shows them."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modeseek.cli import summary
from modeseek.cli.stages import Stages
from modeseek.cli.units import StandardDeviations
from modeseek.files import Table, check_place

if TYPE_CHECKING:
    from modeseek.plotting.explorer.exploration import Exploration


def check_page(output: Path, table_file: Path) -> None:
    """Say early what would stop the page from being made or written."""
    try:
        import bokeh  # noqa: F401
    except ImportError:
        raise ImportError("modeseek explore needs Bokeh: pip install 'modeseek[explore]'") from None
    if output.suffix.lower() not in (".html", ".htm"):
        raise ValueError(f"{output}: the name of a page must end in .html")
    check_place(output)
    if output.exists() and output.samefile(table_file):
        raise ValueError(f"{output} is the input itself: choose another name for the output")


def explore_table(stages: Stages, data: Table, masses: Table | None, options: Mapping[str, Any]) -> "Exploration":
    """Cluster a table at every bandwidth."""
    with stages("load", "loading the engine"):
        from modeseek.plotting.explorer import explore
    doing = f"clustering {len(data.X):,} rows at every bandwidth"
    weights = None if masses is None else masses.X[:, 0]

    def progress(done: int, of: int) -> None:
        stages.update(f"{doing} ({done + 1} of {of})")

    with stages("fit", doing), stages.watch_compiling(doing):
        return explore(data.X, sample_weight=weights, names=list(data.columns), progress=progress, **options)


def report(stages: Stages, data: Table, page: "Exploration", standardize: bool, output: Path) -> None:
    """Print what the page holds."""
    chosen = int(page.labels(page.start).max()) + 1
    facts = {
        "rows": f"{len(data.X):,}",
        "columns": ", ".join(data.columns),
        "left out": ", ".join(data.left_out),
        "bandwidths": f"{len(page.bandwidths)}, {page.bandwidths[0]:.4g} to {page.bandwidths[-1]:.4g}",
        "starts at": f"{page.bandwidths[page.start]:.6g}, {chosen} cluster{'s' * (chosen != 1)}",
        "units": StandardDeviations().name if standardize else "",
        "written": f"{output}, {output.stat().st_size / 1e6:.1f} MB",
    }
    summary.print_facts({**facts, **summary.cost(stages.times)})
