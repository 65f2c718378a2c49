"""Which page shows which results: the tables between the markers of README.md and of pages in docs/.

Text between ``<!-- NAME: begin -->`` and ``<!-- NAME: end -->`` is made of the CSV files of benchmarks/results and of
nothing else; `figures` writes it, and a test compares. docs/benchmarks.md has a place for every result there is
(`SECTIONS`), each with the machine that it was measured on; other pages repeat what they speak of (`FILLED`).
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from benchmarks import harness, headlines, sizing
from benchmarks.shown import PAPER, TABLES, on_device, on_files
from benchmarks.tables import (
    Rows,
    bars,
    bars_only,
    beside,
    by_dask,
    by_set,
    by_subject,
    number,
    peers,
    replacement,
    scattered,
    tables,
)

DOCS = harness.ROOT / "docs"
README = harness.ROOT / "README.md"
BENCHMARKS = DOCS / "benchmarks.md"

HOMEWORK = {  # page of docs/: the results that it shows
    "neighbors": ("neighbors_plane", "neighbors_space", "neighbors_sixteen", "neighbors_within"),
    "dbscan": ("dbscan_speed", "dbscan_replacement", "dbscan_memory"),
    "kmeans": ("kmeans_1e6x2", "kmeans_1e6x16", "kmeans_2e5x64", "kmeans_default", "kmeans_float32"),
    "lsh": ("lsh",),
}
SECTIONS = {  # marker in docs/benchmarks.md: the results below it
    "mean_shift": ("mean_shift_bars", "mean_shift_scaling"),
    "certificate": ("certificate_bars", "certificate"),
    "scaling": ("scaling_bars", "scaling"),
    "fidelity": ("fidelity_bars", "fidelity"),
    "audit": ("audit_seconds", "audit_coverage"),
    "dropin": ("dropin", "dropin_bandwidths"),
    "bandwidth": ("bandwidth_bars", "bandwidth", "bandwidth_even"),
    "kernels": ("kernels",),
    "geometry": ("geometry",),
    "high_dimensions": ("high_dimensions",),
    "embeddings": ("embeddings",),
    "blurring": ("blurring",),
    "images": ("images",),
    "plots": ("plots",),
    "explore": ("explore",),
    "outofcore": ("outofcore",),
    "kill_resume": ("kill_resume",),
    "dask": ("dask_scaling_bars", "dask_scaling"),
    "dask_stages": ("dask_stages", "dask_tasks"),
    "homework": ("homework",),
    "apl": ("apl",),
    **HOMEWORK,
    "kmeans": (*HOMEWORK["kmeans"], "kmeans_seeds", "kmeans_small", "kmeans_memory"),
    "neighbors": (*HOMEWORK["neighbors"], "neighbors_memory"),
    "paper": PAPER,
}
GPU = "gpu"  # the marker of results with names that begin so, which there may be none of
NO_GPU = "*No results from hardware are in this repository yet.*"
UNWRITTEN = "-quick"  # the end of names of results that are not kept


def committed(directory: Path = harness.RESULTS) -> list[str]:
    """Return the names of all results that are kept."""
    names = sorted(path.stem for path in directory.glob("*.csv"))
    return [name for name in names if not name.endswith(UNWRITTEN)]


def measured_on(names: tuple[str, ...]) -> str:
    """Say on which machine results were measured, as the first lines of their files do."""
    said: dict[str, list[str]] = {}
    for name in names:
        about = harness.read_machine(name)
        load = about.pop("load", "")
        said.setdefault(", ".join(_words(about)), []).append(f"{name}.csv (load {load})" if load else f"{name}.csv")
    return "\n\n".join(f"*{machine}: {', '.join(files)}*" for machine, files in said.items())


def _words(about: dict[str, str]) -> list[str]:
    """Say what a file says of its machine and its libraries."""
    hardware = {"cpu": "{}", "cores": "{} cores", "memory": "{}", "os": "{}"}
    return [hardware.get(key, key + " {}").format(value) for key, value in about.items()]


def section(names: tuple[str, ...]) -> str:
    """Return the tables of results, and the machine that they were measured on."""
    made = [TABLES.get(name, bars)(harness.read_rows(name)) for name in names]
    return "\n\n".join([*made, measured_on(names)])


def on_gpu(names: list[str]) -> str:
    """Return the tables of what was measured on a GPU."""
    found = tuple(name for name in names if name.startswith(GPU + "_"))
    if not found:
        return NO_GPU
    return "\n\n".join([*(on_device(harness.read_rows(name)) for name in found), measured_on(found)])


def all_of(names: tuple[str, ...], table: Callable[[Rows], str]) -> str:
    """Return one table of several results."""
    return table([row for name in names for row in harness.read_rows(name)])


def larger_than_memory() -> str:
    """Say what runs over files took, and that their labels are those of memory, if so."""
    rows = harness.read_rows("outofcore")
    size = f"{int(rows[0]['rows']):,} rows of two float32 columns in {rows[0]['files']} Parquet files"
    most = max(float(row["peak_mib"]) for row in rows) / 1024
    return (
        f"Measured with {size} ({float(rows[0]['megabytes']) / 1000:.1f} GB) on two cores by\n"
        f"`python -m benchmarks.outofcore`: {most:.1f} GiB of memory at most.\n\n{on_files(rows)}"
    )


def price() -> str:
    """Say how many times the time of fits that prove nothing proofs take."""
    seconds: dict[str, dict[str, dict[str, float]]] = {}
    for row in harness.read_rows("scaling"):
        seconds.setdefault(row["d"], {}).setdefault(row["n"], {})[row["fidelity"]] = float(row["seconds"])
    least, most = {}, {}
    for d, sizes in seconds.items():
        times = [took["certified"] / took["fast"] for took in sizes.values()]
        least[d], most[d] = number(str(min(times)), 2), number(str(max(times)), 2)
    return (
        f"From {min(map(int, seconds['2'])):,} points to {max(map(int, seconds['2'])):,} a proof takes {least['2']} to "
        f'{most["2"]} times the time of `"fast"` in the plane,\n{least["3"]} to {most["3"]} times in space '
        "([growth](benchmarks.md#growth-with-the-number-of-points))."
    )


MORE = {  # page: what else it shows
    page: {name: partial(all_of, (name,), TABLES[name]) for name in names}
    for page, names in {"kmeans": ("kmeans_small", "kmeans_memory"), "neighbors": ("neighbors_memory",)}.items()
}
FILLED: dict[Path, dict[str, Callable[[], str]]] = {
    README: {
        "headlines": headlines.table,
        "figures": lambda: tables(harness.read_rows("mean_shift_bars"), harness.read_rows("mean_shift_scaling")),
        "homework": partial(all_of, ("homework",), peers),
        "certificate": partial(all_of, ("certificate_bars", "scaling_bars"), bars_only),
    },
    DOCS / "coming-from-scikit-learn.md": {"dropin": partial(all_of, ("dropin",), replacement)},
    DOCS / "coming-from-hdbscan.md": {"hdbscan": partial(all_of, ("bandwidth",), beside)},
    DOCS / "explore.md": {"explore": partial(all_of, ("explore",), bars_only)},
    DOCS / "segmentation.md": {"images": partial(all_of, ("images",), bars_only)},
    DOCS / "bandwidth.md": {
        "bandwidth": lambda: (
            bars_only(harness.read_rows("bandwidth_bars")) + "\n\n" + by_set(harness.read_rows("bandwidth"))
        ),
        "even": partial(all_of, ("bandwidth_even",), scattered),
    },
    DOCS / "larger-than-memory.md": {"outofcore": larger_than_memory},
    DOCS / "dask.md": {
        "dask": partial(all_of, ("dask_scaling",), by_dask),
        "dask_grids": sizing.grids,
        "dask_stages": sizing.stages,
        "dask_waiting": sizing.waiting,
        "dask_projection": sizing.projection,
        "dask_breaks": sizing.first_to_break,
    },
    DOCS / "embeddings.md": {"embeddings": partial(all_of, ("embeddings",), bars_only)},
    DOCS / "geometry.md": {"geometry": partial(all_of, ("geometry",), by_subject)},
    DOCS / "apl.md": {"apl": partial(all_of, ("apl",), TABLES["apl"])},
    DOCS / "plots.md": {"plots": partial(all_of, ("plots",), TABLES["plots"])},
    DOCS / "how-it-works.md": {"price": price},
    **{
        DOCS / f"{name}.md": {name: partial(all_of, results, peers), **MORE.get(name, {})}
        for name, results in HOMEWORK.items()
    },
    BENCHMARKS: {
        **{marker: partial(section, names) for marker, names in SECTIONS.items()},
        GPU: lambda: on_gpu(committed()),
    },
}


def fill(text: str, content: str, name: str) -> str:
    """Replace what stands between the markers of that name.

    Raises
    ------
    ValueError
        If the text lacks one of them.
    """
    begin, end = (f"<!-- {name}: {edge} -->" for edge in ("begin", "end"))
    before, found, rest = text.partition(begin)
    _, closed, after = rest.partition(end)
    if not (found and closed):
        raise ValueError(f"There is no place for the table {name}: put {begin} and {end} where it should stand.")
    return f"{before}{begin}\n{content}\n{end}{after}"


def filled(page: Path) -> str:
    """Return what a page says when its tables are made of the results anew."""
    text = page.read_text(encoding="utf-8")
    for marker, content in FILLED[page].items():
        text = fill(text, content(), marker)
    return text
