r"""Two inequalities that the bounds of cells take for granted, checked at nodes: ``python -m benchmarks.paper.gaps``.

`modeseek.engines.cpu.bounds.local` bounds the least density in a cell as if the error of a step at its node were at
most one bandwidth, and the fastest exact step with 2 S1 / f in place of that error. The second is right where

    |s| S0  <=  (1 - 2 S0 / f) S1,

S0 and S1 the bounds of the errors of density and first moment (`modeseek.fields.bounds`, sums 4 and 5). *quotient* is
the largest of left over right at the nodes where density is above half the weight of a point; *violations* counts the
nodes where it is above one, *fast_errors* those whose error of a step is known but above one bandwidth.
"""

import sys
from collections.abc import Iterator

import numpy as np

import modeseek as ms
from benchmarks import data
from benchmarks.harness import Row
from benchmarks.paper.common import program
from modeseek.fields import reach_of_tail
from modeseek.fields.bounds import cell_bounds, coarse_sums, inner_nodes
from modeseek.fields.nodes import MARGIN
from modeseek.fields.table import TableField
from modeseek.flood import SWEPT, step_lengths
from modeseek.proven import TAIL

N = 20_000
SETS = {"mixture": data.mixture, "uniform": data.uniform, "spiral": data.spiral}
CASES = {2: ((4.0, 1.0), (1 / 7, 1 / 24)), 3: ((2.5,), (1 / 8,))}  # by dimension: bandwidths and spacings


def gaps(quick: bool) -> Iterator[Row]:
    """Check the inequalities on each set."""
    for name, make in SETS.items():
        for d, (bandwidths, spacings) in CASES.items():
            if name == "spiral" and d == 3:
                continue
            for h in bandwidths[:1] if quick else bandwidths:
                for spacing in spacings[:1] if quick else spacings:
                    points = make(2000 if quick else N, d)
                    yield {"data": name, "n": len(points), "d": d, "h": h, "spacing": spacing} | at_nodes(
                        points, h, spacing
                    )


def at_nodes(points: np.ndarray, h: float, spacing: float) -> Row:
    """Return how many nodes were checked and what was found there."""
    origin = points.min(axis=0).astype(np.float64)
    sketch = ms.DensitySketch(h, spacing=spacing, origin=origin, degree=3).add(points)
    nodes, kernel_bandwidth = sketch.nodes(), sketch.kernel_bandwidth()
    field = TableField(nodes, h, kernel_bandwidth, reach=reach_of_tail(float(len(points)), 1.0, TAIL))
    sums, coarse = coarse_sums(field, 1.0)
    inner = np.flatnonzero(inner_nodes(nodes.masses.shape, MARGIN))
    places = nodes.positions(inner)
    amplitude = nodes.units_per_weight * (kernel_bandwidth / h) ** points.shape[1]
    density, speed = field.density(places) / amplitude, step_lengths(field, places) / h
    wrong0, wrong1 = sums[4:6, coarse[inner]]
    used = (density > SWEPT) & (density > 2.0 * wrong0)
    density, speed, wrong0, wrong1 = density[used], speed[used], wrong0[used], wrong1[used]
    quotient = speed * wrong0 / ((1.0 - 2.0 * wrong0 / density) * wrong1)
    bounds = cell_bounds(field, 1.0)
    error = bounds.near[inner, 4][used & bounds.known[inner]]
    return {
        "nodes": len(quotient),
        "quotient": float(quotient.max()),
        "violations": int((quotient > 1.0).sum()),
        "fast_errors": int((np.isfinite(error) & (error > 1.0)).sum()),
    }


def main(argv: list[str] | None = None) -> int:
    """Run the check."""
    return program("gaps", __doc__, {"gaps": gaps}, argv)


if __name__ == "__main__":
    sys.exit(main())
