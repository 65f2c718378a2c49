"""The README's first table: a line for each thing that people come for, from benchmarks/results and nothing else.

Each line names a file and a bar of it, word for word, so a line whose measurement is gone is an error, and not an old
number. It holds what was lost too. `pages` says where it stands in README.md; nothing is measured here.
"""

import re

from benchmarks import harness
from benchmarks.tables import markdown, number

OURS = ("modeseek", "ours")
HEADER = ("", "modeseek", "others, and how many times as long")
MEAN_SHIFT = {  # what is done: file, bar, the peer's name there, its name here
    "60,000 points in the plane": (
        "mean_shift_bars", "60,000 blob points: times faster than scikit-learn (bin_seeding)",
        "scikit-learn", "scikit-learn, binned",
    ),
    "the colours of a photograph, 273,280 pixels": (
        "mean_shift_bars", "china.jpg: times faster than scikit-learn (bin_seeding, bandwidth 32)",
        "scikit-learn", "scikit-learn, binned",
    ),
    "2,000 points, with scikit-learn's labels": (
        "dropin", "2,000 points, d = 2: times faster", "scikit-learn", "scikit-learn",
    ),
}  # fmt: skip
THE_REST = {
    "`DBSCAN`, a million points, the same labels": (
        "dbscan_replacement", "crowds, 1,000,000 x 2: times faster than scikit-learn", "scikit-learn", "scikit-learn",
    ),
    "the 10 nearest of each of a million points": (
        "neighbors_plane", "1,000,000 x 2, uniform, k = 10: times faster than ckdtree", "ckdtree", "SciPy `cKDTree`",
    ),
    "`KMeans`, a million points, 64 clusters": (
        "kmeans_1e6x2", "1e6 x 2, k = 64, more blobs, float64: times faster", "scikit-learn", "scikit-learn",
    ),
    "smoothing 12 megapixels, enlarged": (
        "images", "12 megapixels, enlarged: times as fast as OpenCV", "OpenCV", "OpenCV",
    ),
    "smoothing 3 megapixels, full of detail": (
        "images", "3 megapixels, mirrored: times as fast as OpenCV", "OpenCV", "OpenCV",
    ),
}  # fmt: skip


def bar(results: str, name: str) -> dict[str, str]:
    """Return the row of this bar."""
    (row,) = (row for row in harness.read_rows(results) if row["bar"] == name)
    return row


def times(row: dict[str, str]) -> dict[str, str]:
    """Return the median of each side of a bar, by its name there."""
    parts = (re.match(r"(.+?) ([\d.]+ (?:us|ms|s))(?: \(|$)", part) for part in row["times"].split("; "))
    return {part[1]: part[2] for part in parts if part}


def beside(what: str, results: str, name: str, peer: str, called: str) -> tuple[str, ...]:
    """Return a line that says how long both sides take."""
    row = bar(results, name)
    took = times(row)
    ours = next(took[own] for own in OURS if own in took)
    return what, ours, f"{called}: {took[peer]}, {number(row['measured'])} times"


def largest() -> tuple[str, ...]:
    """Return the line of the most points in memory."""
    rows = [row for row in harness.read_rows("mean_shift_scaling") if row["system"] == "modeseek"]
    row = max(rows, key=lambda row: int(row["n"]))
    took, extra = harness.duration(float(row["seconds"])), number(row["extra_bytes_per_point"])
    return f"{int(row['n']):,} points in the plane", f"{took}, and {extra} bytes a point"


def proven() -> list[tuple[str, ...]]:
    """Return the lines of proven labels: how long they take, in the plane and in space, and how many were wrong."""
    plane = bar("certificate_bars", "10,000,000 blob points: certified, times the time of fast")
    kind = {"d": "3", "n": "1000000", "fidelity": "certified"}
    (space,) = (row for row in harness.read_rows("scaling") if kind.items() <= row.items())
    wrong = bar("certificate_bars", "all sets: certified points that disagree with exact")
    checked = float(bar("certificate_bars", "all sets: certified points checked")["measured"])
    return [
        ("10,000,000 points in the plane, labels proven", times(plane)["certified"]),
        ("1,000,000 points in space, labels proven", harness.duration(float(space["seconds"]))),
        (f"wrong among {checked:,.0f} proven labels", wrong["measured"]),
    ]


def files() -> tuple[str, ...]:
    """Return the line of files larger than memory."""
    kind = {"where": "files", "fidelity": "certified"}
    (row,) = (row for row in harness.read_rows("paper_growth") if kind.items() <= row.items())
    took, peak = harness.duration(float(row["seconds"])), float(row["extra_bytes"]) / 2**20
    what = f"{int(row['n']):,} rows of Parquet: read, proven, labels written"
    return what, f"{took}, in {peak:,.0f} MiB"


def chosen() -> tuple[str, ...]:
    """Return the line of clusterings without a parameter."""
    row = bar("bandwidth_bars", "MeanShift(): mean adjusted Rand index")
    peers = bar("bandwidth_bars", "MeanShift(): above scikit-learn's")["times"]
    sklearn, hdbscan = re.fullmatch(r"scikit-learn ([\d.]+); HDBSCAN ([\d.]+)", peers).groups()  # type: ignore[union-attr]
    what = f"Rand index without any parameter, {row['times']}"
    return what, number(row["measured"]), f"scikit-learn: {sklearn}, its HDBSCAN: {hdbscan}"


def table() -> str:
    """Make the table in Markdown."""
    lines = [beside(what, *where) for what, where in MEAN_SHIFT.items()]
    lines += [largest(), *proven(), files(), chosen()]
    lines += [beside(what, *where) for what, where in THE_REST.items()]
    return markdown(list(HEADER), [[*line, *[""] * (len(HEADER) - len(line))] for line in lines])
