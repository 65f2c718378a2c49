"""What routes share: how fine a grid is affordable, the sketch on it, its table, modes polished on the points."""

import numpy as np

from modeseek.climb import ModeFinder
from modeseek.fields import Floats
from modeseek.fields.grid import GridField, newton_to
from modeseek.fields.nodes import node_box
from modeseek.fields.table import TableField
from modeseek.result import Problem
from modeseek.sketch import MAX_MASS, UNIT_BITS, Bins, DensitySketch

MIN_NODES, NODES_PER_POINT, MAX_NODES = 1 << 18, 16, 1 << 23  # what a table may cost
SPARE_BITS = 12  # that masses get besides, as far as their sum allows: rounding is what bounds on fine tables end at
POLISH_PAIRS = 20_000_000  # modes x points that polishing on the raw points may cost


def affordable_spacings(problem: Problem, spacings: tuple[float, ...], most: int | None = None) -> list[float]:
    """Return the spacings, in bandwidths, of tables of at most so many nodes: by default, worth it for the points."""
    budget = min(MAX_NODES, max(MIN_NODES, NODES_PER_POINT * problem.n)) if most is None else most
    return [s for s in spacings if n_nodes(problem, s) <= budget]


def n_nodes(problem: Problem, spacing: float) -> int:
    """Return the number of nodes, so many bandwidths apart, of a table around the points."""
    low, high = problem.bounds
    return node_box(low, high, low, spacing * problem.bandwidth).n_nodes


def make_sketch(
    problem: Problem, spacing: float, degree: int = 2, *, bins: bool = True
) -> tuple[DensitySketch, Bins | None]:
    """Sketch the points; by way of ``bins`` where these are allowed and quicker."""
    scale = 2.0 ** np.ceil(np.log2(problem.heaviest))
    room = np.log2(MAX_MASS / 2**UNIT_BITS * scale / problem.total_weight) - 1.0
    scale *= 2.0 ** max(0.0, -np.floor(room))  # billions of points: units are coarser, so that masses fit
    spare = int(np.clip(room, 0, SPARE_BITS))
    sketch = DensitySketch(
        problem.bandwidth,
        spacing=spacing,
        origin=problem.bounds[0],
        weight_scale=scale if bins else scale / 2**spare,
        degree=degree,
    )
    binned = problem.bins(sketch.delta) if bins and not problem.weighted else None
    if binned:
        return sketch.add_scanned(binned.means, binned.counts, problem.bounds, problem.n_jobs), binned
    return problem.add_to(sketch), None


def table_and_finder(
    problem: Problem, sketch: DensitySketch, lost_variance: float = 0.0
) -> tuple[TableField, ModeFinder]:
    """Tabulate the kernel sums of a sketch, and return what finds modes there: guided, and polished, by its nodes."""
    nodes, h = sketch.nodes(), float(np.hypot(sketch.kernel_bandwidth(), np.sqrt(lost_variance)))
    field = TableField(nodes, problem.bandwidth, h, lightest=problem.lightest, n_jobs=problem.n_jobs)
    on_nodes = GridField(*nodes.as_points(), h)
    return field, ModeFinder(field, on_nodes, guide=on_nodes, **problem.climbing)


def polish_modes(problem: Problem, modes: Floats) -> Floats:
    """Move modes by one Newton step on all points, unless there are too many of both."""
    if len(modes) * problem.n > POLISH_PAIRS * problem.speed:
        return modes
    return newton_to(modes, problem.sums(modes), problem.bandwidth)
