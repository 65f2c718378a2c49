"""Tables in Markdown, of what benchmarks have written: rows of a CSV file in, text out.

Each kind of result has one function here. Which page shows which of them is said in `benchmarks.pages`.
"""

from collections.abc import Callable, Mapping

from benchmarks import harness

OURS = "modeseek"
MISSED = "FAIL"

Rows = list[dict[str, str]]


def number(text: str, digits: int = 3) -> str:
    """Shorten a number of a CSV file; empty stays empty."""
    if not text:
        return ""
    value = float(text)
    return f"{value:.0f}" if value >= 100 else f"{value:.{digits}g}"


def share(row: dict[str, str]) -> str:
    """Say how large a share of how many sampled points agrees with exact mean shift."""
    return f"{float(row['agreement']):.4g} of {int(row['starts']):,}" if row["agreement"] else ""


def markdown(header: list[str], rows: list[list[str]]) -> str:
    """Make a table in Markdown."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def tables(bars: Rows, scales: Rows) -> str:
    """Make the README's two tables."""
    against = [[row["bar"], number(row["measured"]), row["required"], share(row), row["times"]] for row in bars]
    sizes = [
        [
            f"{int(row['n']):,}",
            harness.duration(float(row["seconds"])),
            number(row["read_passes"]) if float(row["n"]) >= 1e6 else "",
            share(row),
            number(row["extra_bytes_per_point"]) if float(row["n"]) >= 1e7 else "",
        ]
        for row in scales
        if row["system"] == OURS
    ]
    return "\n\n".join(
        [
            markdown(["what", "measured", "asked for", "agreement", "times (median, min to max)"], against),
            markdown(["points", "fit", "in read passes of the data", "agreement", "extra bytes a point"], sizes),
        ]
    )


def bars_only(bars: Rows) -> str:
    """Make a table of bars that have no agreement of their own."""
    rows = [[row["bar"], number(row["measured"], 5), row["required"], row["times"]] for row in bars]
    return markdown(["what", "measured", "asked for", "times"], rows)


def by_subject(bars: Rows) -> str:
    """Make a table of bars with a line for each subject, which stands before the last colon, and what it came to."""
    lines: dict[str, list[list[str]]] = {}
    for row in bars:
        subject, _, quantity = row["bar"].rpartition(": ")
        asked = f" ({row['required']})" if row["required"] else ""
        found = lines.setdefault(subject, [[], []])
        found[0].append(f"{quantity}: {number(row['measured'])}{asked}")
        found[1] += [row["times"]] if row["times"] not in found[1] else []
    header = ["what", "measured (asked for)", "times"]
    return markdown(
        header, [[subject, "; ".join(found), "; ".join(times)] for subject, (found, times) in lines.items()]
    )


def peers(rows: Rows, agreement: str = "agreement") -> str:
    """Make a table of bars beside other libraries: what is asked for, and the share of results that are the same."""
    lines = [
        [row["bar"], number(row["measured"]), row["required"], number(row[agreement], 6), row["times"]]
        for row in rows
        if row["measured"]
    ]
    return markdown(["what", "measured", "asked for", agreement, "times (median, least to most)"], lines)


def replacement(rows: Rows) -> str:
    """Make the table of scikit-learn's MeanShift beside ours."""
    header = ["set", "points", "seeds", "modeseek", "scikit-learn", "times faster", "same labels", "centres differ by"]
    lines = [
        [
            row["bar"].removesuffix(": times faster"),
            f"{int(row['n']):,}",
            f"{int(row['starts']):,}",
            harness.duration(float(row["seconds"])),
            harness.duration(float(row["seconds_peer"])),
            number(row["measured"]),
            f"{100 * float(row['agreement']):.4g} %",
            f"{float(row['centres_differ']):.0e} h",
            f"{row['n_iter']}, {row['n_iter_peer']}",
            harness.duration(float(row["seconds_from_every_point"])) if row["seconds_from_every_point"] else "",
        ]
        for row in rows
    ]
    return markdown([*header, "`n_iter_`, both", "modeseek from every point"], lines)


def by_set(rows: Rows) -> str:
    """Make the table of what each rule finds on each set: adjusted Rand index, and right number of clusters in bold."""
    rules = list(dict.fromkeys(row["rule"] for row in rows))
    lines: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        right = row["clusters"] == row["true"]
        found = f"{float(row['ari']):.2f}"
        about = [row["half"], row["set"], f"{int(row['n']):,}", row["d"], row["true"]]
        lines.setdefault((row["half"], row["set"]), about).append(f"**{found}**" if right else found)
    return markdown(["half", "set", "n", "d", "clusters", *rules], [lines[key] for key in sorted(lines, reverse=True)])


def scattered(rows: Rows) -> str:
    """Make the table of draws without structure: columns and points, and how many are given more than one cluster."""
    lines = [[row["d"], whole(row["n"]), f"{row['more_than_one']} of {row['draws']}", row["most"]] for row in rows]
    return markdown(["columns", "points", "draws that are given more than one", "clusters at most"], lines)


def beside(rows: Rows, ours: str = "auto", theirs: str = "scikit-learn HDBSCAN()") -> str:
    """Make the table of two rules on the sets whose clusters have modes, and on those whose have not."""
    lines = []
    for has_modes, about in (("True", "every cluster has one mode"), ("False", "arcs, rings, digits, even clouds")):
        own = [[row for row in rows if (row["rule"], row["has_modes"]) == (rule, has_modes)] for rule in (ours, theirs)]
        cells = []
        for part in own:
            mean = sum(float(row["ari"]) for row in part) / len(part)
            right = sum(row["clusters"] == row["true"] for row in part)
            cells.append(f"{mean:.2f}; {right} of {len(part)}")
        lines.append([about, str(len(own[0])), *cells])
    header = "mean adjusted Rand index; right number of clusters"
    return markdown(["sets", "number", f"`MeanShift()`: {header}", "`HDBSCAN()`: the same"], lines)


def whole(text: str) -> str:
    """Write a whole number with commas; empty stays empty."""
    return f"{int(text):,}" if text else ""


def counted(text: str) -> str:
    """Write what a bar measured; empty stays empty."""
    return f"{float(text):,.0f}" if text and float(text) >= 10_000 else number(text, 4)


def took(text: str) -> str:
    """Write seconds with their unit; empty stays empty."""
    return harness.duration(float(text)) if text else ""


def percent(text: str) -> str:
    """Write a share of 1 in per cent; empty stays empty."""
    return f"{100 * float(text):.4g} %" if text else ""


def plain(text: str) -> str:
    """Leave text as it is."""
    return text


def columns(rows: Rows, shown: Mapping[str, tuple[str, Callable[[str], str]]]) -> str:
    """Make a table of some columns: what each is headed, and how its cells are written."""
    lines = [[write(row.get(name) or "") for name, (_, write) in shown.items()] for row in rows]
    return markdown([header for header, _ in shown.values()], lines)


def bars(rows: Rows) -> str:
    """Make a table of bars: what was measured beside what was asked for, and what of it was missed."""
    header, lines = ["what", "measured", "asked for"], []
    told = [name for name in ("agreement", "recall", "times") if any(row.get(name) for row in rows)]
    for row in rows:
        asked = f"{row['required']}, missed" if row.get("result") == MISSED else row["required"]
        cells = [row.get(name) or "" for name in told]
        digits = [cell if name == "times" else number(cell, 6) for name, cell in zip(told, cells, strict=True)]
        lines.append([row["bar"], counted(row["measured"]), asked, *digits])
    return markdown([*header, *told], lines)


def folded(summary: str, table: str) -> str:
    """Put a long table behind a line to click on."""
    return f"<details><summary>{summary}</summary>\n\n{table}\n\n</details>"


def by_dask(rows: list[dict[str, str]]) -> str:
    """Make the table of fits of Dask's collections beside points in memory, certified and fast side by side."""
    lines: dict[str, list[str]] = {}
    for row in rows:
        overheads = [f"{float(row[key]):+.0%}" if row[key] else "" for key in ("overhead", "over_tasks")]
        timed = [f"{float(row[key]):.2f}" for key in ("fit", "labels")]
        lines.setdefault(row["where"], [row["where"]]).extend([*timed, *overheads])
    columns = ["labels", "beside memory", "beside its tasks"]
    return markdown(["", "certified: fit", *columns, "fast: fit", *columns], list(lines.values()))
