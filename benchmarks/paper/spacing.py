"""Errors and certified shares against the spacing of the grid: ``python -m benchmarks.paper.spacing``.

`errors`: how far a step on a sketch is from the exact one (all points, float64), in bandwidths: what
`benchmarks.fidelity` measures in the plane, here in one, two and three dimensions and for three bandwidths, for
quadratic and cubic splines and the centroids of cells. At places drawn among the points; the typical error is the
median.

`slopes`: the exponents of the spacing that fit these errors best; splines have order 4, centroids order 2.

`certified`: what a proof on one table of each spacing certifies, before any climb on the raw points: the share that
the flood settles, the share that is settled after tubes of cells and of points, and the largest bound of a
step's error in the cells that hold labelled points (in bandwidths; nothing where nothing is certified).
"""

import sys
from collections.abc import Iterator

import numpy as np

from benchmarks import data, fidelity
from benchmarks.harness import Row
from benchmarks.paper.common import problem_of, program
from benchmarks.paper.stages import Without, stages

POINTS, PLACES = 20_000, 300
WIDTHS = (5, 10, 20)  # of the set, in bandwidths
SPACINGS = {1: (1 / 4, 1 / 8, 1 / 16, 1 / 32), 2: (1 / 4, 1 / 8, 1 / 16, 1 / 32), 3: (1 / 3, 1 / 4, 1 / 6, 1 / 8)}
SETS = {"mixture": data.mixture, "uniform": data.uniform}
TABLES = {
    1: (1 / 2, 1 / 4, 1 / 8, 1 / 16, 1 / 32, 1 / 64),
    2: (1 / 3, 1 / 5, 1 / 7, 1 / 10, 1 / 14, 1 / 20, 1 / 28),
    3: (1 / 3, 1 / 4, 1 / 6, 1 / 8, 1 / 10),
}
PROVEN_WIDTHS = {1: (5, 20, 80), 2: (5, 10, 20), 3: (5, 8, 10)}


def errors(quick: bool) -> Iterator[Row]:
    """Measure the step on every sketch at every spacing."""
    n, m = (2000, 50) if quick else (POINTS, PLACES)
    for name, make in SETS.items():
        for d, spacings in SPACINGS.items():
            points = np.asarray(make(n, d), np.float64)
            places = points[np.random.default_rng(1).choice(n, m, replace=False)]
            for width in WIDTHS[:1] if quick else WIDTHS:
                h = data.SIDE / width
                exact = fidelity.step(points, np.ones(n), h, places)
                for sketch, order in fidelity.ORDERS.items():
                    for spacing in spacings[: 2 if quick else None]:
                        if sketch in fidelity.DEGREES:
                            degree = fidelity.DEGREES[sketch]
                            found, bound = fidelity.spline_step(points, h, spacing, degree, places)
                        else:
                            found, bound = fidelity.centroid_step(points, h, spacing, places), None
                        error = np.sqrt(np.square(found - exact).sum(axis=1)) / h
                        yield {
                            "data": name,
                            "d": d,
                            "n": n,
                            "h": h,
                            "sketch": sketch,
                            "order": order,
                            "spacing": spacing,
                            "typical_error": float(np.median(error)),
                            "largest_error": float(error.max()),
                            "typical_bound": None if bound is None else float(np.median(bound)),
                            "error_over_bound": None if bound is None else float((error / bound).max()),
                        }


def slopes(rows: list[Row]) -> Iterator[Row]:
    """Fit the exponents."""
    keys = ("data", "d", "n", "h", "sketch", "order")
    for case in dict.fromkeys(tuple(row[key] for key in keys) for row in rows):
        here = [row for row in rows if tuple(row[key] for key in keys) == case]
        found = {f"slope_of_{key}": fidelity.slope(here, key) for key in ("typical_error", "largest_error")}
        yield dict(zip(keys, case, strict=True)) | {"spacings": len(here)} | found


def certified(quick: bool) -> Iterator[Row]:
    """Prove what can be proven on one table of each spacing."""
    sets = SETS | {"moons": data.moons}
    for name, make in sets.items():
        for d, spacings in TABLES.items():
            n = 2000 if quick else POINTS
            if name == "moons" and d != 2:
                continue
            X = make(n, d)
            side = 3.0 if name == "moons" else data.SIDE
            for width in PROVEN_WIDTHS[d][: 1 if quick else None]:
                h = side / width
                for spacing in spacings[1:3] if quick else spacings:
                    yield {"data": name, "n": n, "d": d, "h": h, "spacing": spacing} | proven(X, h, spacing)


def proven(X: np.ndarray, h: float, spacing: float) -> Row:
    """Return what one table proves."""
    found, tubes = stages(problem_of(X, h), spacing, Without(raw=True))
    return {
        "nodes": len(tubes.table.cells),
        "modes_in_traps": int((tubes.traps.radii > 0.0).sum()),
        "modes_found": len(tubes.traps.radii),
        "by_flood": 1.0 - found[0].open,
        "certified": 1.0 - found[-1].open,
        "largest_bound": tubes.largest_error() if found[-1].open < 1.0 else None,
    }


def main(argv: list[str] | None = None) -> int:
    """Run the experiment."""
    kept: list[Row] = []

    def keep(quick: bool) -> Iterator[Row]:
        kept[:] = errors(quick)
        yield from kept

    def fitted(quick: bool) -> Iterator[Row]:
        yield from slopes(kept or list(errors(quick)))

    return program("spacing", __doc__, {"errors": keep, "slopes": fitted, "certified": certified}, argv)


if __name__ == "__main__":
    sys.exit(main())
