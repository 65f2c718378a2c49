"""How far bounds are from what they bound: ``python -m benchmarks.paper.gaps``.

`modeseek.fields.bounds` says by how much a step of a table, and its Jacobian interpolated between nodes, may differ
from the exact ones anywhere in a cell, and between which values the density lies. At random places among the points,
many of them moved onto edges of cells, these are compared with plain sums over all points in float64: *step* and
*jacobian* are the largest quotients of what they differ by and what they may differ by, *density* the largest of the
exact density over its upper bound and of its lower bound over it. *violations* counts the places at which one is above
1.

Beside shapes there are sets made to be hard: *corners*, points where four (or eight) cells meet, of weights over three
decades; *two places*, where a thousandth of the weight lies four bandwidths from the rest; *lattice*.
"""

import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

import modeseek as ms
from benchmarks import data
from benchmarks.harness import Row
from benchmarks.paper.common import program
from modeseek.fields import reach_of_tail
from modeseek.fields.bounds import CellBounds, cell_bounds
from modeseek.fields.table import TableField
from modeseek.proven import TAIL

Floats = NDArray[np.float64]
Weighted = tuple[Floats, Floats]

N, PLACES, ROWS = 10_000, 3000, 50
CASES = {1: ((2.0, 0.5), (1 / 16, 1 / 64)), 2: ((4.0, 1.0), (1 / 7, 1 / 24)), 3: ((4.0,), (1 / 8,))}  # h, spacings


def shape(make: Callable[..., NDArray[Any]]) -> Callable[[int, int, float], Weighted]:
    """Return how to draw points of weight one."""

    def drawn(n: int, d: int, side: float) -> Weighted:
        X = np.asarray(make(n, d), np.float64)
        return X, np.ones(len(X))

    return drawn


def corners(n: int, d: int, side: float) -> Weighted:
    """Draw corners of cells: the first point lies on a node, all others half a side beside one."""
    rng = np.random.default_rng(0)
    X = (rng.integers(0, int(10 / side), (max(n // 50, 50), d)) + 0.5) * side
    X[0] = 0.0
    return X, 10.0 ** rng.uniform(-3, 0, len(X))


def two_places(n: int, d: int, side: float) -> Weighted:
    """Put a thousandth of the weight four bandwidths (of 1) away from the rest."""
    X = np.zeros((2, d))
    X[1] = 4.0 / np.sqrt(d)
    return X, np.array([1.0, 1e-3])


SETS: dict[str, tuple[Callable[[int, int, float], Weighted], bool]] = {  # and whether they are made for h = 1
    "mixture": (shape(data.mixture), False),
    "uniform": (shape(data.uniform), False),
    "spiral": (shape(data.spiral), False),
    "lattice": (shape(data.lattice), False),
    "corners": (corners, True),
    "two places": (two_places, True),
}


def gaps(quick: bool) -> Iterator[Row]:
    """Compare on each set."""
    for name, (make, hard) in SETS.items():
        for d, (bandwidths, spacings) in CASES.items():
            if (name == "spiral" and d != 2) or (name == "lattice" and d == 1):
                continue
            for h in (1.0,) if hard else bandwidths[: 1 if quick else None]:
                for spacing in spacings[: 1 if quick else None]:
                    X, w = make(500 if quick else N, d, spacing * h)
                    sizes = {"data": name, "n": len(X), "d": d, "h": h, "spacing": spacing}
                    yield sizes | quotients(X, w, h, spacing, 300 if quick else PLACES)


def exact(X: Floats, w: Floats, places: Floats) -> tuple[Floats, Floats, Floats]:
    """Return density, step and Jacobian less I by plain sums over all points; lengths in bandwidths."""
    densities, steps, jacobians = [], [], []
    for start in range(0, len(places), ROWS):
        d = X - places[start : start + ROWS, None]
        k = w * np.exp(-0.5 * np.square(d).sum(axis=2))
        f = k.sum(axis=1)
        s = np.einsum("qn,qna->qa", k, d) / f[:, None]
        second = np.einsum("qna,qnb->qab", k[..., None] * d, d) / f[:, None, None]
        densities.append(f)
        steps.append(s)
        jacobians.append(second - s[:, :, None] * s[:, None] - np.eye(X.shape[1]))
    return np.concatenate(densities), np.concatenate(steps), np.concatenate(jacobians)


def quotients(X: Floats, w: Floats, h: float, spacing: float, count: int) -> Row:
    """Return at how many places something is known, and the largest quotients there."""
    lightest = float(w.min())
    origin = X[0] if len(X) < N // 20 else X.min(axis=0)
    sketch = ms.DensitySketch(h, spacing=spacing, origin=origin, degree=3).add(X, w)
    reach = reach_of_tail(float(w.sum()), lightest, TAIL)
    field = TableField(sketch.nodes(), h, sketch.kernel_bandwidth(), lightest=lightest, reach=reach)
    bounds, nodes = cell_bounds(field, lightest), field.nodes
    rng = np.random.default_rng(1)
    places = X[rng.integers(0, len(X), count)] + rng.normal(size=(count, X.shape[1])) * 0.7 * h
    u = (np.clip(places, X.min(axis=0), X.max(axis=0)) - nodes.corner) / nodes.delta
    edges = np.floor(u + 0.5) + rng.choice([-0.5, 0.5], u.shape) * (1.0 - 1e-9)
    places = nodes.corner + np.where(rng.random(u.shape) < 0.5, edges, u) * nodes.delta
    cell = nodes.nearest(places)
    known = bounds.known[cell] & np.isfinite(bounds.near[cell, 2:5]).all(axis=1)
    places, cell = places[known], cell[known]
    density, step, jacobian = exact(X / h, w, places / h)
    ends, _ = field.climb(places, tol=0.0, max_iter=1)
    found = {
        "step": np.sqrt(np.square((ends - places) / h - step).sum(axis=1)) / bounds.near[cell, 4],
        "jacobian": off_by(field, bounds, places, jacobian) / bounds.near[cell, 2],
        "density": np.maximum(density / bounds.high[cell], bounds.low[cell] / density),
    }
    largest = {name: float(values.max()) for name, values in found.items()}
    return {"places": len(places)} | largest | {"violations": int(sum((v > 1.0).sum() for v in found.values()))}


def off_by(field: TableField, bounds: CellBounds, places: Floats, jacobian: Floats) -> Floats:
    """Return the norm of what J differs by from the tabulated one, interpolated between the nodes around."""
    nodes, d = field.nodes, places.shape[1]
    u = (places - nodes.corner) / nodes.delta
    first = np.floor(u).astype(np.int64)
    rows, columns = np.triu_indices(d)
    for corner in np.ndindex(*(2,) * d):
        weight = np.where(corner, u - first, 1.0 - (u - first)).prod(axis=1)
        at = np.ravel_multi_index(tuple((first + corner).T), nodes.masses.shape)
        part = np.empty_like(jacobian)
        part[:, rows, columns] = part[:, columns, rows] = bounds.jacobian[:, at].T
        jacobian = jacobian - weight[:, None, None] * part
    return np.abs(np.linalg.eigvalsh(jacobian)).max(axis=1)


def main(argv: list[str] | None = None) -> int:
    """Run the comparison."""
    return program("gaps", __doc__, {"gaps": gaps}, argv)


if __name__ == "__main__":
    sys.exit(main())
