r"""Modes put together by persistence: how far a mode rises above the saddle to a higher one.

The persistence of a mode is log f(mode) - log f(saddle), the saddle being the highest place from which paths of
falling density lead to it and to a higher mode (Edelsbrunner, Letscher & Zomorodian,
"Topological persistence and simplification", Discrete Comput. Geom. 28, 2002). A mode below the threshold joins the
mode on the other side of that saddle, as in ToMATo (Chazal, Guibas, Oudot & Skraba, "Persistence-based clustering in
Riemannian manifolds", J. ACM 60, 2013), with the cells of a grid in place of a neighbourhood graph. Saddles are found
to the resolution of the grid: their log f is right to about 1e-3.
"""

import numpy as np

from modeseek.fields import Ints
from modeseek.fields.bounds import inner_nodes, neighbours
from modeseek.fields.nodes import MARGIN
from modeseek.fields.radial_table import RadialTable
from modeseek.fields.table import TableField
from modeseek.kernels import GAUSSIAN
from modeseek.prepare import affordable_spacings, make_sketch
from modeseek.result import Clusters, Problem, SketchProblem
from modeseek.sketch import DensitySketch

SPACINGS = {1: (1 / 32, 1 / 16, 1 / 8, 1 / 4), 2: (1 / 16, 1 / 8, 1 / 4), 3: (1 / 8, 1 / 6, 1 / 4, 1 / 3)}
MAX_NODES = 1 << 22


def merge_by_persistence(problem: Problem, found: Clusters, threshold: float) -> None:
    """Put modes into clusters, in place: those of persistence below ``threshold`` join a higher one.

    Raises
    ------
    ValueError
        If there are more than three columns, the data spread too wide for a grid, or the kernel has no shadow.
    """
    if len(found.modes) < 2:
        return
    if problem.d > 3:
        raise ValueError(
            f'merge="persistence" finds saddles on a grid, of up to three columns; X has {problem.d}. Use '
            "min_cluster_size, or fewer columns."
        )
    field = _table(problem)
    problem.report("merge by persistence")
    parent = _joined(problem, found, field, threshold)
    kept, clusters = np.unique(parent, return_inverse=True)
    found.gather(clusters, len(kept), problem.n_jobs)


def _table(problem: Problem) -> TableField:
    """Tabulate the density: of a sketch where that is all there is, else on the finest grid that is affordable."""
    wide, sketch = problem.as_wide(), None
    if isinstance(problem, SketchProblem):
        sketch = problem.sketch if problem.sketch.box.n_nodes <= MAX_NODES else None
    elif spacings := affordable_spacings(wide, SPACINGS[problem.d], MAX_NODES):
        sketch, _ = make_sketch(wide, spacings[0], degree=3, bins=False)
    if sketch is None:
        raise ValueError(
            'merge="persistence" finds saddles on a grid, and the data span too many bandwidths for one; remove '
            "outliers, or use a larger bandwidth."
        )
    return _density(problem, sketch)


def _density(problem: Problem, sketch: DensitySketch) -> TableField:
    """Tabulate the density that is climbed: that of the kernel's shadow."""
    nodes, h, lightest, n_jobs = sketch.nodes(), problem.bandwidth, problem.lightest, problem.n_jobs
    if problem.kernel is GAUSSIAN:
        return TableField(nodes, h, sketch.kernel_bandwidth(), lightest=lightest, n_jobs=n_jobs)
    return RadialTable(nodes, h, problem.kernel, lightest=lightest, shadow=True, n_jobs=n_jobs)


def _joined(problem: Problem, found: Clusters, field: TableField, threshold: float) -> Ints:
    """Return for each mode the one that it ends up with."""
    from modeseek.engines.cpu.persistence import NONE, merge

    nodes = field.nodes
    shape = nodes.box.shape
    inside = np.flatnonzero(inner_nodes(shape, MARGIN - 1))
    places = nodes.positions(inside)
    with np.errstate(divide="ignore"):
        height = np.full(nodes.box.n_nodes, -np.inf)
        height[inside] = np.log(np.maximum(field.density(places), 0.0))
        tops = np.log(np.maximum(field.density(found.modes), 0.0))
    order = inside[height[inside] > np.log(0.5 * problem.lightest * nodes.units_per_weight)]
    order = order[np.argsort(-height[order], kind="stable")]
    around = neighbours(shape)
    around = around[around != 0]
    peaks = order[(height[order][:, None] >= height[order[:, None] + around]).all(axis=1)]
    peak_of = np.full(len(height), NONE, np.int64)
    peak_of[peaks] = found.label(nodes.positions(peaks), **problem.climbing)
    parent, owner = np.arange(len(found.modes)), np.full(len(height), NONE, np.int64)
    merge(order, height, around, peak_of, tops, threshold, owner, parent)
    if threshold > 0.0:
        unseen = np.setdiff1d(np.arange(len(parent)), peak_of[peaks])  # they rise too little for the grid to show
        hill = owner[nodes.nearest(found.modes[unseen])]
        parent[unseen] = np.where(hill == NONE, unseen, hill)
    while (parent != parent[parent]).any():
        parent = parent[parent]
    return parent
