r"""How far a step on a sketch is from the exact one, against the spacing: ``python -m benchmarks.fidelity``.

Quadratic and cubic splines, deposited and tabulated as a fit does, and the plainest sketch there is, the centroids of
the cells of the same grid. At places drawn among the points, |s~ - s| / h, with s from all points in float64; the
typical error (the median) of a sketch of order p falls as spacing^p. A quadratic spline leaves an error of third order
on each point too, which has mean 0: it shows where points are few. Beside the error stands eta, the bound that a
certificate carries: it must be above the error everywhere.

Prints the bars and writes fidelity.csv (every spacing) and fidelity_bars.csv to benchmarks/results.
"""

import argparse
import sys
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

import modeseek as ms
from benchmarks import data, harness
from benchmarks.harness import Row
from benchmarks.mean_shift import bar, collect
from modeseek.fields import reach_of_tail
from modeseek.fields.bounds import cell_bounds
from modeseek.fields.table import TableField

Floats = NDArray[np.float64]

SPACINGS = (1 / 4, 1 / 8, 1 / 16, 1 / 32)  # in bandwidths
SETS = {"mixture": (data.mixture, data.SIDE / 10), "noise": (data.uniform, data.SIDE / 7)}  # and bandwidths
TAIL = 1e-12  # of the lightest point: so little is cut off that it does not hide what the spacing does
ORDERS = {"quadratic": 4, "cubic": 4, "centroid": 2}
DEGREES = {"quadratic": 2, "cubic": 3}
PLACES_AT_ONCE = 8


def step(points: Floats, weights: Floats, h: float, places: Floats) -> Floats:
    """Return m(x) - x over all the points for each of the places, in float64."""
    out = np.empty_like(places)
    for start in range(0, len(places), PLACES_AT_ONCE):
        u = points - places[start : start + PLACES_AT_ONCE, None]  # (m, n, d)
        g = weights * np.exp(-0.5 * np.square(u).sum(axis=2) / h**2)
        out[start : start + PLACES_AT_ONCE] = np.einsum("mn,mnd->md", g, u) / g.sum(axis=1)[:, None]
    return out


def centroid_step(points: Floats, h: float, spacing: float, places: Floats) -> Floats:
    """Return the step on the centroids of the grid's cells, each with the weight of its points."""
    cells = np.floor((points - points.min(axis=0)) / (spacing * h)).astype(np.int64)
    _, cell, counts = np.unique(cells, axis=0, return_inverse=True, return_counts=True)
    sums = np.stack([np.bincount(cell.reshape(-1), column) for column in points.T], axis=1)
    return step(sums / counts[:, None], counts.astype(np.float64), h, places)


def spline_step(points: Floats, h: float, spacing: float, degree: int, places: Floats) -> tuple[Floats, Floats]:
    """Return the step on a tabulated sketch of splines, and the bound of its error there in bandwidths."""
    sketch = ms.DensitySketch(h, spacing=spacing, origin=points.min(axis=0), degree=degree).add(points)
    reach = reach_of_tail(float(len(points)), 1.0, TAIL)
    field = TableField(sketch.nodes(), h, sketch.kernel_bandwidth(), reach=reach)
    bound = cell_bounds(field, 1.0).near[field.nodes.nearest(places), 4]
    return field.climb(places, tol=0.0, max_iter=1)[0] - places, bound


def errors(quick: bool) -> Iterator[Row]:
    """Measure every sketch at every spacing."""
    n, m = (5000, 100) if quick else (200_000, 1000)
    for name, (make, h) in SETS.items():
        points = np.asarray(make(n, 2), np.float64)
        places = points[np.random.default_rng(1).choice(n, m, replace=False)]
        exact = step(points, np.ones(n), h, places)
        for sketch in ORDERS:
            for spacing in SPACINGS[: 3 if quick else None]:
                bound = None
                if sketch in DEGREES:
                    found, bound = spline_step(points, h, spacing, DEGREES[sketch], places)
                else:
                    found = centroid_step(points, h, spacing, places)
                error = np.sqrt(np.square(found - exact).sum(axis=1)) / h
                yield {
                    "data": name,
                    "n": n,
                    "sketch": sketch,
                    "spacing": spacing,
                    "typical_error": float(np.median(error)),
                    "largest_error": float(error.max()),
                    "typical_bound": None if bound is None else float(np.median(bound)),
                    "largest_bound": None if bound is None else float(bound.max()),
                    "error_over_bound": None if bound is None else float((error / bound).max()),
                }


def slope(rows: list[Row], key: str) -> float:
    """Fit the exponent of an error in the spacing."""
    return float(np.polyfit(np.log([row["spacing"] for row in rows]), np.log([row[key] for row in rows]), 1)[0])


def bars(rows: list[Row], quick: bool) -> Iterator[Row]:
    """Fit slopes, which need many points, and compare errors with their bounds."""
    for name in SETS:
        for sketch, order in ORDERS.items():
            here = [row for row in rows if (row["data"], row["sketch"]) == (name, sketch)]
            largest = f"of the largest error: {slope(here, 'largest_error'):.2f}"
            required = "" if quick else f">= {order - 0.3:g}"
            yield bar(f"{name}, {sketch}: slope", slope(here, "typical_error"), required) | {"times": largest}
    for sketch in DEGREES:
        most = max(row["error_over_bound"] for row in rows if row["sketch"] == sketch)
        yield bar(f"{sketch}: error over its bound, at most", most, "<= 1")


def main(argv: list[str] | None = None) -> int:
    """Run the benchmark; return 1 if a bar is missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fidelity", description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="5 000 points, 100 places, spacings down to 1/16")
    quick = parser.parse_args(argv).quick
    print("\n".join(f"{key}: {value}" for key, value in harness.machine().items()), end="\n\n")
    rows = collect("fidelity", errors, quick)
    print(harness.table(rows), end="\n\n")
    found = list(bars(rows, quick))
    print(harness.table(found))
    harness.write_rows("fidelity" + ("-quick" if quick else ""), rows)
    harness.write_rows("fidelity_bars" + ("-quick" if quick else ""), found)
    return int(any(row["result"] == "FAIL" for row in found))


if __name__ == "__main__":
    sys.exit(main())
