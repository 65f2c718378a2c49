"""Write every number that the paper's text and tables name, from benchmarks/results: ``python -m paper.numbers``.

`main.typ` reads build/numbers.json and knows no measured number of its own; constants of the algorithm come from the
library's source.
"""

import json
import re

from paper.results import BUILD, Row, bar, constant, machine, only, rows


def grouped(value: float) -> str:
    """Write an integer in groups of three digits, narrow spaces between."""
    return f"{round(value):,}".replace(",", "\u202f")


def rounded(value: float, digits: int = 2) -> str:
    """Write a number with so many significant digits, without an exponent."""
    text = f"{value:#.{digits}g}".rstrip(".")
    return grouped(value) if "e+" in text else f"{float(text):f}".rstrip("0") if "e" in text else text


def scientific(value: float, digits: int = 2) -> str:
    """Write a small number as main.typ sets it: 2.0e-6 is 2.0 times a power of ten."""
    mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
    return f"{mantissa}e{int(exponent)}"


def duration(seconds: float) -> str:
    """Write a time in the unit that suits it."""
    if seconds == 0.0:
        return "0\u00a0s"
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= size:
            return f"{rounded(seconds / size, 3 if seconds / size >= 100 else 2)}\u00a0{unit}"
    return f"{rounded(seconds / 1e-9)}\u00a0ns"


def percent(share: float, digits: int = 2) -> str:
    """Write a share in per cent; one that is nearly all by what is missing from it."""
    if share in (0.0, 1.0):
        return f"{100 * share:g}\u00a0%"
    if 0.99 < share < 1.0:
        missing = float(f"{100.0 * (1.0 - share):.{digits - 1}g}")
        return f"{100.0 - missing:.10g}\u00a0%"
    return f"{rounded(100.0 * share, digits)}\u00a0%"


def soundness() -> dict[str, str]:
    """Sum up the table of certified labels, every one checked by the definition."""
    table = rows("certificate")
    n = sum(int(r["n"]) for r in table)
    proofs = [r for r in table if r["spacing"]]
    proven = sum(round(int(r["n"]) * (float(r["interior"]) + float(r["boundary"]))) for r in table)
    undecided = sum(round(int(r["n"]) * float(r["undecided"])) for r in table)
    worst = max(proofs, key=lambda r: float(r["undecided"]))
    return {
        "sets": str(len({(r["data"].removesuffix(", proof"), r["d"], r["h"]) for r in table})),
        "fits": str(len(table)),
        "shapes": str(len({r["data"].removesuffix(", proof") for r in table})),
        "checked": grouped(sum(int(r["checked"]) for r in table)),
        "checked_line": grouped(sum(int(r["checked"]) for r in table if r["d"] == "1")),
        "disagree": str(sum(int(r["disagree"]) for r in table)),
        "proven": grouped(proven),
        "proofs": str(len(proofs)),
        "undecided": grouped(undecided),
        "undecided_share": percent(undecided / n),
        "undecided_wrong": str(sum(int(r["undecided_disagree"]) for r in table)),
        "undecided_most": percent(float(worst["undecided"])),
        "undecided_most_d": worst["d"],
        "undecided_most_data": worst["data"].removesuffix(", proof"),
        "undecided_most_width": rounded(20.0 / float(worst["h"])),
    }


def examples() -> dict[str, str]:
    """Name what a million points of one shape came to."""
    name, found = "certificate_bars", {}
    blobs = "1,000,000 blob points, h = 2.5: % "
    found["blobs_flood"] = percent(bar(name, blobs + "decided by the flood alone") / 100, 3)
    found["blobs_open"] = percent(bar(name, blobs + "not certified without raw points") / 100)
    for key, says in {
        "moons": "two moons, noise 0.1, h = 0.15",
        "noise": "uniform noise, 20 h x 20 h",
        "spiral": "spiral, 20 h wide",
    }.items():
        found[f"{key}_seconds"] = duration(bar(name, f"1,000,000 points, {says}: seconds of the fit"))
        found[f"{key}_certified"] = percent(bar(name, f"1,000,000 points, {says}: % certified") / 100, 3)
    found["certified_over_fast"] = rounded(bar(name, "1,000,000 blob points: certified, times the time of fast"))
    found["certified_over_fast_more"] = rounded(bar(name, "10,000,000 blob points: certified, times the time of fast"))
    exact = only(name, bar="1,000,000 blob points: certified, times faster than exact")["times"]
    found["exact_hours"] = rounded(float(re.search(r"exact (\d+) s", exact)[1]) / 3600)  # type: ignore[index]
    return found


def fidelity() -> dict[str, str]:
    """Name slopes of the step's error, and how far it stays below its bound."""
    found = {}
    for sketch in ("quadratic", "cubic", "centroid"):
        slopes = [bar("fidelity_bars", f"{data}: slope" if not sketch else f"{data}, {sketch}: slope") for data in SETS]
        found[f"slope_{sketch}"] = " and ".join(rounded(s, 3) for s in slopes)
    found["bound_quadratic"] = rounded(bar("fidelity_bars", "quadratic: error over its bound, at most"))
    found["bound_cubic"] = rounded(bar("fidelity_bars", "cubic: error over its bound, at most"))
    cubic = only("fidelity", data="mixture", sketch="cubic", spacing=0.125)
    found["error_cubic"] = scientific(float(cubic["typical_error"]))
    found["largest_cubic"] = scientific(float(cubic["largest_error"]))
    found["eta_cubic"] = scientific(float(cubic["typical_bound"]))
    found["error_centroid"] = scientific(
        float(only("fidelity", data="mixture", sketch="centroid", spacing=0.125)["typical_error"])
    )
    found["fidelity_n"] = grouped(int(cubic["n"]))
    return found


SETS = ("mixture", "noise")


def scaling() -> dict[str, str]:
    """Name times of fits of growing size, and beside other implementations."""
    sizes = sorted({int(r["n"]) for r in rows("scaling")})
    found = {"scaling_least": grouped(sizes[0]), "scaling_most": grouped(sizes[-1])}
    for d in (2, 3):
        for fidelity in ("certified", "fast"):
            row = only("scaling", d=d, n=10**8, fidelity=fidelity)
            found[f"time_{fidelity}_{d}"] = duration(float(row["seconds"]))
            found[f"ns_{fidelity}_{d}"] = rounded(float(row["ns_per_point"]), 3)
            found[f"bytes_{fidelity}_{d}"] = rounded(float(row["extra_bytes_per_point"]))
            says = f"d = {d}, {fidelity}: exponent of time"
            found[f"exponent_{fidelity}_{d}"] = rounded(bar("scaling_bars", says))
            last = re.search(r"exponent of the last step ([\d.]+)", only("scaling_bars", bar=says)["times"])
            found[f"last_exponent_{fidelity}_{d}"] = last[1]  # type: ignore[index]
        undecided = [float(r["undecided"]) for r in rows("scaling") if r["d"] == str(d) and r["undecided"]]
        found[f"scaling_undecided_{d}"] = percent(max(undecided))
    million = only("mean_shift_scaling", n=10**6, system="scikit-learn, bin_seeding")
    found["sklearn_million"] = duration(float(million["seconds"]))
    found["ours_million"] = duration(float(only("mean_shift_scaling", n=10**6, system="modeseek")["seconds"]))
    large = only("outofcore", fidelity="certified", writes="labels")
    found["file_rows"] = grouped(int(large["rows"]))
    found["file_seconds"] = duration(float(large["seconds"]))
    found["file_scans"] = rounded(float(large["times_scan"]))
    found["file_mib"] = grouped(float(large["peak_mib"]))
    found["file_undecided"] = percent(
        int(re.search(r"([\d,]+) undecided", large["certificate"])[1].replace(",", "")) / int(large["rows"])  # type: ignore[index]
    )
    return found


def audits() -> dict[str, str]:
    """Name what audits with planted errors covered, and what they cost."""
    table = rows("audit_coverage")
    gap = min(float(r["coverage"]) - float(r["confidence"]) for r in table)
    exact = min(float(r["exact_coverage"]) - float(r["confidence"]) for r in table)
    seconds = {int(r["n"]): float(r["audit_seconds"]) for r in rows("audit_seconds")}
    zero = only("audit_seconds", n=10**6)
    return {
        "audit_runs": grouped(int(table[0]["runs"])),
        "audit_cases": str(len(table)),
        "audit_n": grouped(int(table[0]["n"])),
        "audit_margin": rounded(100 * gap),
        "audit_exact_margin": rounded(100 * exact),
        "audit_seconds": duration(seconds[10**6]),
        "audit_sampled": grouped(int(zero["sampled"])),
        "audit_at_most": percent(1.0 - 0.05 ** (1.0 / int(zero["sampled"]))),
    }


def many_columns() -> dict[str, str]:
    """Name what the route without certificates does in many columns."""
    close = only("high_dimensions", bar="20,000 points, d = 64, close: times faster than batched")
    n, d = re.match(r"([\d,]+) points, d = (\d+)", close["bar"]).groups()  # type: ignore[union-attr]
    return {
        "columns_n": grouped(int(n.replace(",", ""))),
        "columns_d": d,
        "columns_seconds": re.search(r"modeseek ([\d.]+ s)", close["times"])[1].replace(" ", "\u00a0"),  # type: ignore[index]
        "columns_times": rounded(float(close["measured"])),
    }


def rivals() -> dict[str, str]:
    """Name the labels that differ from exact ones, of each system on all sets."""
    table = rows("paper_pareto")
    ours = [r for r in table if r["system"] in ("modeseek, certified", "modeseek, exact")]
    fast = [r for r in table if r["system"] == "modeseek, fast"]
    grids = {name: [r for r in table if r["system"] == name] for name in ("MeanShift++", "GridShift")}
    found = {
        "pareto_sets": str(len({(r["data"], r["n"]) for r in table})),
        "pareto_certified": percent(max(float(r["from_gaussian"]) for r in ours)),
        "pareto_fast": percent(max(float(r["from_gaussian"]) for r in fast)),
        "pareto_sides": str(len({r["side"] for r in table if r["side"]})),
        "pareto_flat_apart": percent(max(float(r["flat_from_gaussian"]) for r in table)),
    }
    for name, some in grids.items():
        key = name.lower().replace("+", "p")
        wrong: dict[tuple[str, str], float] = {}
        for row in some:
            least = min(float(row["from_gaussian"]), float(row["from_flat"]))
            of = row["data"], row["n"]
            wrong[of] = min(least, wrong.get(of, 1.0))
        found |= {f"{key}_best": percent(min(wrong.values())), f"{key}_worst": percent(max(wrong.values()))}
    return found


def spacings() -> dict[str, str]:
    """Name slopes over all sets and bandwidths, and how parts of a proof share the work."""
    slopes = rows("paper_slopes")
    found = {"slopes_n": grouped(int(slopes[0]["n"])), "slopes_sets": str(len(slopes) // 3)}
    for sketch in ("quadratic", "cubic", "centroid"):
        largest = [float(r["slope_of_largest_error"]) for r in slopes if r["sketch"] == sketch]
        found[f"slopes_{sketch}"] = f"{min(largest):.2f} to {max(largest):.2f}"
    errors = [float(r["error_over_bound"]) for r in rows("paper_errors") if r["error_over_bound"]]
    found["errors_over_bound"] = rounded(max(errors))
    table = rows("paper_certified")
    found["certified_n"] = grouped(int(table[0]["n"]))
    for d in "123":
        found[f"threshold_{d}"] = threshold([r for r in table if r["d"] == d])
    stages = [r for r in rows("paper_stages") if r["data"] == "mixture" and r["d"] == "3" and r["spacing"] == "0.1"]
    found["stage_flood_share"] = percent(float(stages[0]["seconds"]) / sum(float(r["seconds"]) for r in stages))
    return found


def ablations() -> dict[str, str]:
    """Name what a proof without some of its parts leaves open, and what that would cost."""
    rows_of = {
        (r["data"], r["variant"]): r for r in rows("paper_ablations") if r["data"] in ("blobs", "moons")
    }  # fmt: skip
    whole = [r for r in rows("paper_ablations") if r["variant"] == "everything"]
    most = max(whole, key=lambda r: float(r["open"]))
    return {
        "without_tubes_open": percent(float(rows_of["blobs", "without tubes"]["open"])),
        "without_tubes_climb": duration(float(rows_of["blobs", "without tubes"]["climb_seconds"])),
        "with_everything": duration(float(rows_of["blobs", "everything"]["seconds"])),
        "without_cores": duration(float(rows_of["blobs", "without cores"]["seconds"])),
        "without_cores_moons": percent(float(rows_of["moons", "without cores"]["open"])),
        "without_traps_moons": percent(float(rows_of["moons", "without traps"]["open"])),
        "most_open": percent(float(most["open"])),
        "most_open_n": grouped(int(most["n"])),
        "most_open_data": most["data"],
    }


def threshold(table: list[Row]) -> str:
    """Say at which spacings half of the points are certified first, over all sets and bandwidths."""
    first, never = set(), False
    for of in {(r["data"], r["h"]) for r in table}:
        enough = [
            float(r["spacing"]) for r in table if (r["data"], r["h"]) == of and float(r["certified"]) >= HALF
        ]  # fmt: skip
        never |= not enough
        first |= {max(enough)} if enough else set()
    ends = [f"1/{round(1 / v)}" for v in (max(first), min(first))]
    beyond = " or less" if never else ""
    return ends[0] + beyond if ends[0] == ends[1] else f"{ends[0]} to {ends[1]}{beyond}"


HALF = 0.5


def growth() -> dict[str, str]:
    """Name the largest sizes."""
    table = [r for r in rows("paper_growth") if r["seconds"]]
    found = {}
    for where in ("memory", "files"):
        some = [r for r in table if r["where"] == where and r["fidelity"] == "certified"]
        row = max(some, key=lambda r: int(r["n"]))
        found[f"most_{where}_n"] = grouped(int(row["n"]))
        found[f"most_{where}"] = duration(float(row["seconds"]))
        found[f"most_{where}_slowest"] = duration(float(row["slowest"]))
        found[f"most_{where}_mib"] = grouped(round(float(row["extra_bytes"]) / 2**20))
    return found


def coverage() -> dict[str, str]:
    """Name how often the bound of an audit as users run it holds."""
    planted, fast = rows("paper_coverage"), rows("paper_coverage_fast")
    return {
        "planted_runs": grouped(int(planted[0]["runs"])),
        "planted_cases": str(len(planted)),
        "planted_least": percent(min(float(r["coverage"]) for r in planted), 3),
        "fast_runs": grouped(sum(int(r["runs"]) for r in fast)),
        "fast_errors": grouped(sum(int(r["runs_with_errors"]) for r in fast)),
        "fast_least": percent(min(float(r["coverage"]) for r in fast), 3),
        "fast_mean": percent(max(float(r["mean_rate"]) for r in fast)),
    }


def qualities() -> dict[str, str]:
    """Name mean differences of the adjusted Rand index, with intervals, over all kinds of sets."""
    found = {}
    for key, system in {"peer": "scikit-learn MeanShift()", "hdbscan": "scikit-learn HDBSCAN()"}.items():
        row = only("paper_quality_intervals", set="all", system=system)
        mean, low, high = (float(row[f"ari_below_ours{end}"]) for end in ("", "_low", "_high"))
        found[f"quality_{key}"] = f"{mean:+.2f} ({low:+.2f} to {high:+.2f})".replace("-", "−")
    ours = only("paper_quality_intervals", set="all", system="modeseek MeanShift()")
    found["quality_ours"] = f"{float(ours['ari']):.2f} ({float(ours['ari_low']):.2f} to {float(ours['ari_high']):.2f})"
    found["quality_kinds"] = str(len({r["set"] for r in rows("paper_quality_intervals")} - {"all"}))
    found["quality_seeds"] = str(len({r["seed"] for r in rows("paper_quality")}))
    return found


def ablation_table() -> list[list[str]]:
    """Return open shares and seconds of each variant of a proof, a column for each set on its finest table."""
    table = rows("paper_ablations")
    sets = list(dict.fromkeys((r["data"], r["d"]) for r in table))
    finest = {of: min(float(r["spacing"]) for r in table if (r["data"], r["d"]) == of) for of in sets}
    lines = [["", *(f"{data}\nin {d} columns" for data, d in sets)]]
    lines.append(["points", *(grouped(int(next(r for r in table if (r["data"], r["d"]) == of)["n"])) for of in sets)])
    for variant in dict.fromkeys(r["variant"] for r in table):
        line = [variant]
        for of in sets:
            row = next(
                r
                for r in table
                if (r["data"], r["d"]) == of and r["variant"] == variant and float(r["spacing"]) == finest[of]
            )
            climbs = float(row["climb_seconds"])
            line.append(f"{percent(float(row['open']))}\n{duration(float(row['seconds']))} + {duration(climbs)}")
        lines.append(line)
    return lines


def dimensions_table() -> list[list[str]]:
    """Return routes and times of close clusters, and Rand indices of all three kinds, by the number of columns."""
    table = rows("paper_dimensions")
    lines = [["d", "route", "certified", "fast", "exact", "apart", "close", "noise"]]
    for d in dict.fromkeys(r["d"] for r in table):
        ours = {(r["data"], r["system"].removeprefix("modeseek, ")): r for r in table if r["d"] == d}
        seconds = [duration(float(ours["close", name]["seconds"])) for name in FIDELITIES]
        indices = [f"{float(ours[data, 'certified']['ari']):.2f}" for data in lines[0][5:]]
        lines.append([d, ours["close", "certified"]["route"], *seconds, *indices])
    return lines


FIDELITIES = ("certified", "fast", "exact")


def dimensions() -> dict[str, str]:
    """Name sizes and agreement of fits in growing numbers of columns."""
    table = rows("paper_dimensions")
    ours = [r for r in table if r["system"].startswith("modeseek")]
    return {
        "dimensions_n": grouped(int(ours[0]["n"])),
        "dimensions_agree": percent(min(float(r["agreement"]) for r in ours), 3),
        "dimensions_at_most": percent(max(float(r["at_most"]) for r in ours)),
    }


def gaps() -> dict[str, str]:
    """Name how close errors came to their bounds."""
    table = rows("paper_gaps")
    return {
        "gap_places": grouped(sum(int(r["places"]) for r in table)),
        "gap_tables": str(len(table)),
        "gap_step": percent(max(float(r["step"]) for r in table)),
        "gap_jacobian": percent(max(float(r["jacobian"]) for r in table)),
        "gap_violations": str(sum(int(r["violations"]) for r in table)),
    }


def setting() -> dict[str, str]:
    """Name the machine, and the constants of the algorithm."""
    where = machine("certificate")
    table = {
        "cpu": where["cpu"],
        "cores": where["cores"],
        "memory": where["memory"].replace(" ", "\u00a0"),
        "python": where["python"],
        "numpy": where["numpy"],
        "scipy": where["scipy"],
        "numba": where["numba"],
        "sklearn": where["scikit-learn"],
        "FINE": constant("fields/errors", "FINE"),
        "FAR": rounded(float(constant("fields/covers", "FAR"))),  # type: ignore[arg-type]
        "COARSE": constant("fields/covers", "COARSE"),
        "CUTS": constant("flood", "CUTS"),
        "SWEPT": constant("flood", "SWEPT"),
        "MARGIN": constant("fields/nodes", "MARGIN"),
        "UNIT_BITS": constant("sketch", "UNIT_BITS"),
        "TAIL": scientific(float(constant("proven", "TAIL")), 1),  # type: ignore[arg-type]
        "ROUNDING": scientific(float(constant("fields/covers", "ROUNDING")), 1),  # type: ignore[arg-type]
        "TUBE_ROUNDING": scientific(float(constant("engines/cpu/tubes", "_ROUNDING")), 1),  # type: ignore[arg-type]
        "EXACT_PAIRS": scientific(float(constant("proven", "EXACT_PAIRS")), 1),  # type: ignore[arg-type]
        "EXACT_POINTS": grouped(float(constant("proven", "EXACT_POINTS"))),  # type: ignore[arg-type]
        "MAX_NODES": grouped(float(constant("proven", "MAX_NODES"))),  # type: ignore[arg-type]
    }
    widths = constant("certificate", "WIDTHS", "benchmarks")
    assert isinstance(widths, tuple)
    table["side"] = rounded(float(constant("data", "SIDE", "benchmarks")))  # type: ignore[arg-type]
    table |= {"width_least": min(widths), "width_most": max(widths)}
    spacings = constant("proven", "SPACINGS")
    assert isinstance(spacings, dict)
    for d, values in spacings.items():
        table[f"spacings_{d}"] = ", ".join(f"1/{round(1 / v)}" for v in values)
    return {key: str(value) for key, value in table.items()}


PARTS = (
    setting, soundness, examples, fidelity, scaling, audits, many_columns,
    rivals, spacings, ablations, dimensions, gaps, growth, coverage, qualities,
)  # fmt: skip
TABLES = {"ablation": ablation_table, "dimensions": dimensions_table}


def all_numbers() -> dict[str, str]:
    """Return every number by name."""
    found: dict[str, str] = {}
    for part in PARTS:
        new = part()
        assert not found.keys() & new.keys(), f"named twice: {found.keys() & new.keys()}"
        found |= new
    return found


def main() -> None:
    """Write build/numbers.json and build/tables.json."""
    BUILD.mkdir(exist_ok=True)
    tables = {name: make() for name, make in TABLES.items()}
    for name, content in {"numbers": all_numbers(), "tables": tables}.items():
        text = json.dumps(content, indent=1, ensure_ascii=False)
        (BUILD / f"{name}.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
