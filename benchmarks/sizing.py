"""How large Dask's messages are, and what a trillion points would take: computed, for docs/dask.md.

Sizes of grids follow from the spacings that routes take, and from the box of the data. Times are projected from the
rates in dask_stages.csv and dask_tasks.csv, and from `CLUSTER`, which nobody measured; nothing is measured here.
"""

from types import SimpleNamespace

import numpy as np

from benchmarks import harness
from benchmarks.tables import markdown, number
from modeseek import pipeline, proven
from modeseek.distributed.parts import FAN
from modeseek.prepare import affordable_spacings, n_nodes

ENTRY = 12  # bytes of an occupied node: where, int32, and its mass, int64
EXTENTS = (10, 100, 1000)  # of the data along each axis, in bandwidths
MANY = 10**9  # points of a table of sizes: so many that every spacing pays
OPEN_ROW = 16  # bytes of a row in the plane that no cell settles: two of float32, and its number
PARTITION, WIDTH = 10**8, 100  # points of a partition, and bandwidths that the data span, in the projection
CLUSTER = {"points": 10**12, "cores": 256, "bytes_a_second": 1e8}  # what is assumed; bytes that a core reads
READS = 3  # passes of a fit and its labels over the points
RATES = ("bounds_ns", "sum_ns", "look_up_ns", "labels_ns")
STAGES = 5  # tasks of a partition: look, deposit, look up, codes, labels


def size(n: float) -> str:
    """Write bytes with two digits."""
    for unit, scale in (("PB", 1e15), ("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if n >= 0.995 * scale:
            return f"{n / scale:.0f} {unit}" if n >= 10 * scale else f"{n / scale:.2g} {unit}"
    return f"{n:.0f} bytes"


def power(n: float) -> str:
    """Write a power of ten."""
    return f"1e{np.log10(n):.0f}"


def span(seconds: float) -> str:
    """Write a time in the largest unit that it has some of."""
    for unit, scale in (("hours", 3600.0), ("minutes", 60.0)):
        if seconds >= 2.0 * scale:
            return f"{seconds / scale:.2g} {unit}"
    return f"{seconds:.0f} seconds"


def spacing(d: int, extent: float, fidelity: str) -> tuple[float, int] | None:
    """Return spacing, in bandwidths, and nodes of the grid that a fit takes first; none where no grid does."""
    bounds = np.array([[0.0] * d, [float(extent)] * d])
    problem = SimpleNamespace(d=d, n=MANY, bounds=bounds, bandwidth=1.0, heaviest=1.0, lightest=1.0)
    routes = {"certified": proven.tables, "fast": lambda p: affordable_spacings(p, pipeline.SPACINGS[d])}
    found = routes[fidelity](problem)  # type: ignore[arg-type]
    return (found[0], n_nodes(problem, found[0])) if found else None  # type: ignore[arg-type]


def grids() -> str:
    """Make the table of how large a message of one grid is at most."""
    lines = []
    for d in (1, 2, 3):
        line = [str(d)]
        for extent in EXTENTS:
            cells = []
            for fidelity in ("certified", "fast"):
                found = spacing(d, extent, fidelity)
                cells.append(f"{size(ENTRY * found[1])} (h/{1 / found[0]:.0f})" if found else "none")
            line.append(" / ".join(cells))
        lines.append(line)
    return markdown(["columns", *(f"{extent} h: certified / fast" for extent in EXTENTS)], lines)


def stages() -> str:
    """Make the table of what one core takes for each stage."""
    header = ["columns", "fidelity", "points are summed by", "bounds", "sum", "look up", "labels, from codes", "open"]
    lines = [
        [row["d"], row["fidelity"], row["summed_by"], *(number(row[name], 2) for name in RATES),
         f"{100 * float(row['open']):.2g} %"]
        for row in harness.read_rows("dask_stages")
    ]  # fmt: skip
    return markdown(header, lines)


def rate(fidelity: str) -> dict[str, str]:
    """Return the rates in the plane with every point on the nodes: there is no other way beyond 2^31 points."""
    kind = {"d": "2", "fidelity": fidelity, "summed_by": "nodes"}
    (row,) = (row for row in harness.read_rows("dask_stages") if kind.items() <= row.items())
    return row


def task_seconds(what: str = "task") -> float:
    """Return what a task, or a stage, costs that does nothing."""
    (row,) = (row for row in harness.read_rows("dask_tasks") if row["what"] == what)
    return float(row["seconds"])


def waiting() -> str:
    """Say what a stage and a task cost."""
    stage, task = (harness.duration(task_seconds(what)) for what in ("stage", "task"))
    return (
        f"Tasks that do nothing: a stage of one for each of two workers takes {stage} from the client and back,\n"
        f"whatever the number of points, and a thousand at once take {task} each."
    )


def projection() -> str:
    """Say what a trillion points would take."""
    n, cores, row, parts = CLUSTER["points"], CLUSTER["cores"], rate("fast"), partitions()
    ns, task = sum(float(row[name]) for name in RATES), task_seconds()
    seconds = {
        "Work": ns * 1e-9 * n / cores,
        "Scheduling": STAGES * parts * task,
        "Reading": READS * 8 * n / (cores * CLUSTER["bytes_a_second"]),
    }
    found = spacing(2, WIDTH, "fast")
    assert found is not None
    grid, merged, level = ENTRY * found[1], 0, parts
    while level > FAN:
        level = -(-level // FAN)
        merged += level
    took = {name: span(value) for name, value in seconds.items()}
    lines = [
        ["work", f"{ns:.2g} ns a point on one core", took["Work"]],
        ["messages", f"{size(parts * grid)} of grids into the tree, {size(merged * grid)} in it", ""],
        ["scheduling", f"{STAGES * parts:,} tasks, {harness.duration(task)} each", took["Scheduling"]],
        [
            f"reading, {READS} times, unless the workers hold the points",
            f"{size(8 * n)} of float32, at an assumed {size(CLUSTER['bytes_a_second'])} a second and core",
            took["Reading"],
        ],
        ["codes, kept", f"{size(n)}, {size(n / cores)} a core", ""],
    ]
    return (
        f'*Projected from these, not measured*: {power(n)} points in the plane with `fidelity="fast"`, {WIDTH} '
        f"bandwidths\nwide, in {parts:,} partitions of {power(PARTITION)}, on {cores} cores.\n\n"
        f"{markdown(['what', 'how much', 'so long'], lines)}\n\n{max(seconds, key=seconds.__getitem__)} decides."
    )


def first_to_break() -> str:
    """Say what breaks first."""
    n, opened, parts, grid = CLUSTER["points"], float(rate("certified")["open"]), partitions(), ENTRY * proven.MAX_NODES
    return (
        f"1. *The client, for certified labels*: points that no cell settles come to it, and {100 * opened:.2g} % of "
        f'{power(n)},\n   the share measured above, are {size(opened * n * OPEN_ROW)}. Take `fidelity="fast"` long '
        "before that, in space far earlier.\n"
        "2. *Reading*, as said; and codes, where workers have less memory than a byte for each row: Dask then\n"
        "   writes them to disk.\n"
        f"3. *The tree*, for wide data: {parts:,} grids of {size(grid)} are {size(parts * grid)} of messages. Fewer, "
        "larger\n   partitions help."
    )


def partitions() -> int:
    """Return how many partitions the projection has."""
    return int(CLUSTER["points"] // PARTITION)
