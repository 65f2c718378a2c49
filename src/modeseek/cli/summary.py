"""What a command prints on standard output when it is done: facts, and a table of the largest clusters."""

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich import box
from rich.console import Console
from rich.table import Table

LARGEST = 10  # clusters shown
WIDEST = 6  # columns shown


def stdout() -> Console:
    """Return a console for standard output that prints text as it is; 100 wide where there is no terminal."""
    width = None if sys.stdout.isatty() or "COLUMNS" in os.environ else 100
    return Console(width=width, highlight=False, markup=False, emoji=False)


def print_facts(facts: Mapping[str, str]) -> None:
    """Print names and values in two columns, leaving out what is empty."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(no_wrap=True, style="bold")
    grid.add_column(overflow="fold")
    for name, value in facts.items():
        if value:
            grid.add_row(name, value)
    stdout().print(grid)


def print_clusters(
    counts: NDArray[np.integer],
    columns: Sequence[str],
    cells: Sequence[Sequence[str]],
    noun: str = "rows",
    total: int | None = None,
) -> None:
    """Print the largest clusters: number, size, share (of `total`) and, under `columns`, the `cells` of each."""
    table = Table(box=box.SIMPLE)
    shown = list(columns[:WIDEST])
    more = [f"(+{len(columns) - WIDEST})"] if len(columns) > WIDEST else []
    for heading in ("cluster", noun, "share", *shown, *more):
        table.add_column(heading, justify="right")
    for k, count in enumerate(counts[:LARGEST]):
        share = f"{count / (total or counts.sum()):.1%}"
        table.add_row(str(k), f"{count:,}", share, *cells[k][:WIDEST], *("..." for _ in more))
    console = stdout()
    console.print(table)
    if len(counts) > LARGEST:
        console.print(f"  and {len(counts) - LARGEST:,} smaller, with {counts[LARGEST:].sum():,} {noun}")


def cost(stages: Mapping[str, float]) -> dict[str, str]:
    """Return the time of each stage, their sum, and the most memory held."""
    parts = [f"{name} {seconds:.2f} s" for name, seconds in stages.items()]
    time = f"{sum(stages.values()):.2f} s: {', '.join(parts)}"
    return {"time": time, "peak memory": peak_memory()}


def peak_memory() -> str:
    """Return the most memory that this process has held so far."""
    try:  # Linux; getrusage would count what the parent held when it started this process
        status = Path("/proc/self/status").read_text()
        kib = int(status.split("VmHWM:")[1].split()[0])
    except (OSError, IndexError):
        try:
            import resource
        except ImportError:  # Windows
            return "not known on this system"
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        kib = peak >> 10 if sys.platform == "darwin" else peak
    return f"{kib / 1024:,.0f} MiB"
