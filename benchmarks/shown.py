"""How results that are no bars are shown: which columns, what each is headed, and how its cells are written."""

from collections.abc import Callable, Mapping
from functools import partial

from benchmarks.tables import Rows, by_set, columns, folded, number, percent, plain, replacement, scattered, took, whole


def rounded(text: str) -> str:
    """Write a number without digits after the point; empty stays empty."""
    return f"{float(text):,.0f}" if text else ""


def short(text: str) -> str:
    """Write a number shortly, anything else as it is."""
    try:
        value = float(text)
    except ValueError:
        return text
    return text if value.is_integer() else f"{value:.4g}"


def same(text: str) -> str:
    """Write whether something is the same to the bit; empty stays empty."""
    return {"True": "to the bit", "False": "NO", "": ""}[text]


LONGEST = 60  # rows of a table that shows all columns
PAPER = tuple(
    f"paper_{name}"
    for name in (
        "pareto", "errors", "slopes", "certified", "stages", "ablations", "dimensions", "embeddings", "quality",
        "quality_intervals", "coverage", "coverage_fast", "gaps", "growth",
    )
)  # fmt: skip
SCALING = {
    "n": ("points", whole),
    "system": ("system", plain),
    "seconds": ("median", took),
    "min": ("least", took),
    "max": ("most", took),
    "times_modeseek": ("times as long as modeseek", number),
    "agreement": ("agreement", number),
}
GROWTH = {
    "d": ("columns", plain),
    "n": ("points", whole),
    "fidelity": ("fidelity", plain),
    "seconds": ("median", took),
    "min": ("least", took),
    "max": ("most", took),
    "ns_per_point": ("ns a point", number),
    "extra_bytes_per_point": ("extra bytes a point", number),
    "undecided": ("undecided", percent),
}
CHECKED = {
    "data": ("set", plain),
    "d": ("d", plain),
    "h": ("h", number),
    "n": ("points", whole),
    "clusters": ("clusters", whole),
    "interior": ("interior", percent),
    "boundary": ("boundary", percent),
    "climbed": ("climbed", percent),
    "undecided": ("undecided", percent),
    "checked": ("proven labels checked", whole),
    "disagree": ("of them wrong", whole),
    "certified": ("fit", took),
}
ERRORS = {
    "data": ("set", plain),
    "sketch": ("sketch", plain),
    "spacing": ("spacing / h", number),
    "typical_error": ("error / h, median", number),
    "largest_error": ("largest", number),
    "typical_bound": ("bound / h, median", number),
    "largest_bound": ("largest", number),
}
AUDIT_TIMES = {
    "n": ("points", whole),
    "fit_seconds": ("fit", took),
    "audit_seconds": ("audit", took),
    "sampled": ("sampled", whole),
    "disagree": ("disagree", whole),
}
COVERAGE = {
    "planted": ("planted errors", whole),
    "n": ("of", whole),
    "caught": ("found by an audit of all", whole),
    "sampled": ("sampled", whole),
    "bound": ("statement", plain),
    "confidence": ("confidence", number),
    "coverage": ("holds, of drawn audits", number),
    "exact_coverage": ("holds, computed", number),
}
DRAWN = {
    "picture": ("picture", plain),
    "n": ("points", whole),
    "seconds": ("median", took),
    "least": ("least", took),
    "most": ("most", took),
    "extra_MB": ("MB beside the points", number),
    "points_MB": ("MB of points", number),
}
ON_FILES = {
    "fidelity": ("fidelity", plain),
    "writes": ("writes", plain),
    "seconds": ("time", took),
    "scan_seconds": ("pyarrow's scan with a sum", took),
    "times_scan": ("times the scan", number),
    "fit_in_memory": ("fit in memory, without reading or writing", took),
    "peak_mib": ("MiB at most", rounded),
    "labels_equal": ("labels of one array", same),
}
KILLED = {
    "kill": ("run", plain),
    "rows": ("rows", whole),
    "seconds": ("killed after, seconds", plain),
    "come_to": ("had come to", plain),
    "half_written": ("files half written", plain),
    "left_behind": ("left behind", plain),
    "same_bytes": ("output as without a kill", same),
}
WITH_DASK = {
    "where": ("where", plain),
    "n": ("points", whole),
    "fidelity": ("fidelity", plain),
    "fit": ("fit", took),
    "labels": ("labels", took),
    "overhead": ("longer than memory by", percent),
    "same": ("labels, modes, masses of memory", same),
}
APL = {
    "what": ("what", plain),
    "marple": ("MARPLE", took),
    "basedpl": ("BasedPL", took),
    "numpy": ("NumPy, as on the page", took),
    "textbook": ("`modeseek.textbook`", took),
}
SMALL_FITS = {
    "n": ("rows", whole),
    "fit": ("fit", plain),
    "least_seconds": ("modeseek, the quickest", took),
    "most_seconds": ("the slowest", took),
    "least_times": ("times as fast as scikit-learn, least", number),
    "median_times": ("median", number),
    "most_times": ("most", number),
    "agreement": ("agreement, at least", number),
}
MEMORY = {"bar": ("what", plain), "measured": ("measured", number), "times": ("beside", plain)}
DASK_STAGES = {
    "d": ("columns", plain),
    "n": ("points", whole),
    "fidelity": ("fidelity", plain),
    "summed_by": ("points are summed by", plain),
    "bounds_ns": ("bounds, ns a point", number),
    "sum_ns": ("sum", number),
    "look_up_ns": ("look up", number),
    "labels_ns": ("labels, from codes", number),
    "open": ("open", percent),
}
DASK_TASKS = {
    "what": ("what does nothing", plain),
    "workers": ("workers", whole),
    "seconds": ("median", took),
    "least": ("least", took),
    "most": ("most", took),
}
ON_DEVICE = {
    "case": ("what", plain),
    "n": ("rows", whole),
    "d": ("columns", plain),
    "seconds": ("time", took),
    "limit_seconds": ("at the limits of the device", took),
    "required": ("asked for", plain),
    "passed": ("result", plain),
    "agrees": ("agreement", plain),
    "note": ("note", plain),
}


def on_files(rows: Rows) -> str:
    """Show runs over files, and a fit in memory where it was measured."""
    known = any(row.get("fit_in_memory") for row in rows)
    return columns(rows, {name: how for name, how in ON_FILES.items() if known or name != "fit_in_memory"})


def on_device(rows: Rows) -> str:
    """Show bars of a GPU, or, where rows are none, what it is."""
    return columns(rows, ON_DEVICE if "case" in rows[0] else {"what": ("what", plain), "value": ("", plain)})


def behind(summary: str, table: Callable[[Rows], str], rows: Rows) -> str:
    """Show a long table behind a line to click on."""
    return folded(summary, table(rows))


def of(shown: Mapping[str, tuple[str, Callable[[str], str]]]) -> Callable[[Rows], str]:
    """Return what shows these columns."""
    return partial(columns, shown=shown)


def all_columns(name: str, rows: Rows) -> str:
    """Make a table of all columns, to click on; of many rows, a line that says where they are."""
    if len(rows) > LONGEST:
        return f"[{name}.csv](../benchmarks/results/{name}.csv) has {len(rows):,} rows of {', '.join(rows[0])}."
    shown = {key: (key.replace("_", " "), short) for key in rows[0]}
    return folded(name.removeprefix("paper_").replace("_", " "), columns(rows, shown))


TABLES: dict[str, Callable[[Rows], str]] = {
    "mean_shift_scaling": of(SCALING),
    "certificate": partial(behind, "Set by set", of(CHECKED)),
    "scaling": of(GROWTH),
    "fidelity": partial(behind, "At every spacing", of(ERRORS)),
    "audit_seconds": of(AUDIT_TIMES),
    "audit_coverage": partial(behind, "At every setting", of(COVERAGE)),
    "bandwidth": partial(behind, "Every rule on every set: adjusted Rand index", by_set),
    "apl": of(APL),
    "bandwidth_even": scattered,
    "dropin": replacement,
    "plots": of(DRAWN),
    "outofcore": on_files,
    "kill_resume": of(KILLED),
    "dask_scaling": of(WITH_DASK),
    "dask_stages": of(DASK_STAGES),
    "dask_tasks": of(DASK_TASKS),
    "kmeans_small": of(SMALL_FITS),
    "kmeans_memory": of(MEMORY),
    "neighbors_memory": of(MEMORY),
    **{name: partial(all_columns, name) for name in PAPER},
}
