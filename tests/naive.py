"""Plain references and shared data: every engine is tested against these."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from scipy.ndimage import map_coordinates
from sklearn.datasets import make_moons

import modeseek as ms
from modeseek.definition import Definition
from modeseek.exact import Traps, climb
from modeseek.fields.table import TableField
from modeseek.result import Problem

CENTRES = np.array([[0.0, 0, 0], [6, 1, -1], [1, 7, 2], [-5, 4, 6], [5, -6, 3]])


def mixture(n: int, d: int, seed: int = 0) -> tuple[np.ndarray, float]:
    """Five Gaussians of unequal size in d dimensions (float32), and a bandwidth that separates them."""
    rng = np.random.default_rng(seed)
    centres = np.pad(CENTRES, ((0, 0), (0, max(0, d - 3))))[:, :d] * (3.0 if d == 1 else 1.0)
    which = rng.choice(5, n, p=[0.3, 0.25, 0.2, 0.15, 0.1])
    return (centres[which] + rng.normal(size=(n, d))).astype(np.float32), 0.9


def wide_mixture(n: int, d: int, seed: int = 0) -> tuple[np.ndarray, float]:
    """Twelve overlapping Gaussians in many dimensions (float32), with a bandwidth that many dimensions need."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(12, d)) * 2.0
    return (centres[rng.integers(0, 12, n)] + rng.normal(size=(n, d))).astype(np.float32), 0.5 * d**0.5


def uniform(n: int, d: int, seed: int = 0) -> tuple[np.ndarray, float]:
    """Noise: many weak modes and long ridges, the hard case."""
    return np.random.default_rng(seed).uniform(size=(n, d)) * {1: 60, 2: 14, 3: 7}[d], 1.0


def sparse(n: int) -> tuple[np.ndarray, float]:
    """So few points within reach of each that only cells leave out enough."""
    return np.random.default_rng(0).uniform(size=(n, 2)) * 400, 1.0


def moons(n: int) -> tuple[np.ndarray, float]:
    """Two thin moons: curved ridges."""
    return make_moons(n, noise=0.1, random_state=0)[0], 0.15


def lattice(n: int) -> tuple[np.ndarray, float]:
    """Integers with many exact repeats, as 8-bit pictures have them."""
    rng = np.random.default_rng(0)
    centres = np.array([[10, 10], [25, 12], [14, 30]])
    return np.round(centres[rng.integers(0, 3, n)] + rng.normal(size=(n, 2)) * 3).astype(np.float32), 2.5


def with_outliers(n: int) -> tuple[np.ndarray, float]:
    """Clusters and single points so far out that a grid over everything would be too large."""
    X, h = mixture(n, 2)
    far = np.random.default_rng(1).uniform(-1e6, 1e6, (5, 2))
    return np.concatenate([X.astype(np.float64), far]), h


@dataclass(frozen=True)
class Route:
    """Data and parameters that take one route through the pipeline, and what it must reach."""

    name: str
    data: Callable[[], tuple[np.ndarray, float]]
    parameters: dict = field(default_factory=dict)
    agreement: float = 1.0
    mode_error: float = 1e-3

    def model(self, h: float, **more) -> ms.MeanShift:
        """Return an estimator for this route."""
        return ms.MeanShift(h, **self.parameters, **more)

    def __repr__(self) -> str:
        return self.name


EXACT, FAST = {"fidelity": "exact"}, {"fidelity": "fast"}
ROUTES = [
    Route("dense, 2-D", lambda: mixture(400, 2)),
    Route("dense, 6-D", lambda: mixture(600, 6)),
    Route("blocks, 4-D", lambda: mixture(2600, 4)),
    Route("blocks, 6-D", lambda: mixture(2600, 6)),
    Route("blocks, 16-D", lambda: wide_mixture(2600, 16)),
    Route("points, 1-D", lambda: mixture(1500, 1), EXACT),
    Route("points, 2-D", lambda: uniform(700, 2), EXACT),
    Route("points, sparse", lambda: sparse(3000), EXACT),
    Route("points, 3-D", lambda: mixture(1000, 3), EXACT),
    Route("points, lattice", lambda: lattice(2000), EXACT),
    Route("cells, 1-D", lambda: uniform(1500, 1), FAST, agreement=0.995),
    Route("cells, 2-D", lambda: mixture(6000, 2), FAST, agreement=0.995),
    Route("cells, noise", lambda: uniform(2000, 2), FAST, agreement=0.99),
    Route("cells, moons", lambda: moons(1500), FAST, agreement=0.99),
    Route("cells, 3-D", lambda: mixture(2500, 3), FAST, agreement=0.995),
    Route("cells, lattice", lambda: lattice(6000), FAST, agreement=0.995),
    Route("sparse cells", lambda: with_outliers(16_500), FAST, agreement=0.99, mode_error=0.01),
    Route("proven, 1-D", lambda: uniform(2500, 1)),
    Route("proven, 2-D", lambda: mixture(6000, 2)),
    Route("proven, noise", lambda: uniform(3500, 2)),
    Route("proven, moons", lambda: (moons(3000)[0], 0.2)),
    Route("proven, lattice", lambda: lattice(6000)),
]


def exact_labels(X: np.ndarray, starts: np.ndarray, h: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the mode of each start by the textbook's definition: (index, modes)."""
    ends = ms.textbook.climb(np.asarray(X, float), np.asarray(starts, float), h, tol=1e-9)
    modes, index = ms.textbook.modes(ends, h)
    return index, modes


def problem(X: np.ndarray, h: float, weights: np.ndarray | None = None, **more) -> Problem:
    """The points as a route of the pipeline takes them."""
    X = np.ascontiguousarray(X)
    w = np.empty(0) if weights is None else np.asarray(weights, float)
    return Problem(X, w, np.array([X.min(axis=0), X.max(axis=0)], float), h, **more)


def tabulated(
    X: np.ndarray,
    h: float,
    spacing: float,
    weights: np.ndarray | None = None,
    *,
    degree: int = 3,
    reach: float = 6.5,
    origin: np.ndarray | None = None,
) -> TableField:
    """The table of a sketch whose origin lies amid the points, at no particular place, unless it is given."""
    scale = 1.0 if weights is None else 2.0 ** np.ceil(np.log2(np.max(weights)))
    origin = np.median(X, axis=0) + 0.3 * spacing * h if origin is None else origin
    sketch = ms.DensitySketch(h, spacing=spacing, origin=origin, degree=degree, weight_scale=scale).add(X, weights)
    lightest = 1.0 if weights is None else float(np.min(weights))
    return TableField(sketch.nodes(), h, sketch.kernel_bandwidth(), lightest=lightest, reach=reach)


def table_sums(field: TableField, Q: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Density and first moments at each query, (m,) and (m, d), read from a table: in weights and bandwidths."""
    d, u = len(field.shape), (Q - field.nodes.corner) / field.nodes.delta
    channels = field.table.reshape(*field.shape, -1)
    values = [map_coordinates(channels[..., c], u.T, order=3, prefilter=False) for c in range(d + 1)]
    unit = field.nodes.units_per_weight * (field.kernel_bandwidth / field.bandwidth) ** d
    scale = field.factor * field.nodes.delta / field.bandwidth
    return values[0] / unit, scale * np.stack(values[1:], axis=-1) / unit


def exact_sums(
    X: np.ndarray, w: np.ndarray, Q: np.ndarray, h: float, at_once: int = 2_000_000
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Density, step m(q) - q in bandwidths, and Jacobian of m at each query: the plain sums in float64."""
    density, step, jacobian = [], [], []
    rows = max(1, at_once // (len(X) * X.shape[1]))
    for start in range(0, len(Q), rows):
        d = (X[None] - Q[start : start + rows, None]) / h
        g = w * np.exp(-0.5 * (d * d).sum(axis=2))
        f = g.sum(axis=1)
        s = np.einsum("qi,qia->qa", g, d) / f[:, None]
        density.append(f)
        step.append(s)
        second = np.matmul((g[:, :, None] * d).transpose(0, 2, 1), d) / f[:, None, None]
        jacobian.append(second - s[:, :, None] * s[:, None, :])
    return np.concatenate(density), np.concatenate(step), np.concatenate(jacobian)


def naive_deposit(
    X: np.ndarray, box_lower: tuple, shape: tuple, origin: np.ndarray, delta: float, degree: int, cut=np.floor
) -> np.ndarray:
    """Spline masses (weights of one) on the nodes of a box, point by point; ``cut`` takes a coordinate to its cell."""
    masses = np.zeros(shape)
    for x in X:
        parts = np.ones(())
        first = []
        for a, o, lower in zip(x, origin, box_lower, strict=True):
            place = (a - o) / delta
            cell = int(cut(place + 0.5)) if degree == 2 else int(cut(place))
            u = place - cell
            v = 1.0 - u
            if degree == 2:
                b = [0.5 * (0.5 - u) ** 2, 0.75 - u * u, 0.5 * (0.5 + u) ** 2]
            else:
                b = [v**3 / 6, 2 / 3 - u * u * (1 - u / 2), 2 / 3 - v * v * (1 - v / 2), u**3 / 6]
            parts = np.multiply.outer(parts, b)
            first.append(cell - 1 - lower)
        masses[tuple(slice(f, f + degree + 1) for f in first)] += parts
    return masses


def exact_ends(X: np.ndarray, starts: np.ndarray, h: float, w: np.ndarray | None = None) -> tuple[np.ndarray, ...]:
    """Which exact mode each start climbs to, -1 where that is not proven, and the modes (as an audit finds them)."""
    definition, traps = Definition(np.asarray(X), np.empty(0) if w is None else w, h), Traps()
    index, _ = climb(definition, starts, traps)
    if not traps.positions:
        return index, np.empty((0, X.shape[1]))
    return index, definition.original(np.array(traps.positions))


def seeded_mean_shift(
    X: np.ndarray, h: float, seeds: np.ndarray | None = None, max_iter: int = 300, cluster_all: bool = True
) -> tuple[np.ndarray, np.ndarray, int, np.ndarray]:
    """scikit-learn's mean shift word for word, ties decided by plain differences: centres, labels, n_iter, ends."""
    ends, n_iter = {}, 0
    for seed in X if seeds is None else seeds:
        x, steps, inside = np.asarray(seed, float), 0, X[:0]
        while True:
            inside = X[squares(X, x) <= h * h]
            if not len(inside):
                break
            before, x = x, inside.mean(axis=0)
            if np.linalg.norm(x - before) <= 1e-3 * h or steps == max_iter:
                break
            steps += 1
        n_iter = max(n_iter, steps)
        if len(inside):
            ends[tuple(x)] = len(inside)
    places = np.array([x for x, _ in sorted(ends.items(), key=lambda item: (item[1], item[0]), reverse=True)])
    left, centres = np.ones(len(places), bool), []
    for i, place in enumerate(places):
        if left[i]:
            centres.append(place)
            left[squares(places, place) <= h * h] = False
    distances = np.sqrt(np.array([squares(X, centre) for centre in centres]))
    labels = distances.argmin(axis=0)
    if not cluster_all:
        labels[distances.min(axis=0) > h] = -1
    return np.array(centres), labels, n_iter, places


def squares(X: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Squared distances from x, column after column."""
    total = np.zeros(len(X))
    for k in range(X.shape[1]):
        total += (X[:, k] - x[k]) ** 2
    return total


def filter_values(values, spatial, color, tol=1e-9):
    """Return the values (*shape, channels) of the modes that pixels climb to over place and value, in float64.

    Every pixel steps to the mean of all pixels, weighted by place and value, until none moves by tol bandwidths.
    """
    shape = values.shape[:-1]
    places = np.stack(np.indices(shape), axis=-1).reshape(-1, len(shape)) / spatial
    points = np.concatenate([places, values.reshape(-1, values.shape[-1]) / color], axis=1)
    z, moving, squares = points.copy(), np.arange(len(points)), np.square(points).sum(axis=1)
    while moving.size:
        here = z[moving]
        away = np.square(here).sum(axis=1)[:, None] + squares - 2 * here @ points.T
        weights = np.exp(-0.5 * np.maximum(away, 0.0))
        z[moving] = weights @ points / weights.sum(axis=1)[:, None]
        moving = moving[np.abs(z[moving] - here).max(axis=1) > tol]
    return z[:, len(shape) :].reshape(values.shape) * color
