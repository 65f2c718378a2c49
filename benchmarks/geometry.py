"""Bandwidth forms and metrics: ``python -m benchmarks.geometry``.

Prints the bars (measured, required, agreement with the exact answer) and writes benchmarks/results/geometry.csv:

- *the globe*: a million latitudes and longitudes around places on the date line, near a pole and elsewhere come out
  whole, and as climbs by the definition have them;
- *whitening*: one number per axis, or a matrix, against one number for all axes, on the same points, in turn;
- *one bandwidth per point*: fits of a given size, against climbs by the formula.

The exact answers come from plain sums over all points in NumPy, which share nothing with the package.
"""

import argparse
import sys
from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import adjusted_rand_score

import modeseek as ms
from benchmarks import data, harness
from benchmarks.harness import Row, alternate
from benchmarks.mean_shift import Fit, bar, collect

PLACES = np.array(
    [[0.1, np.pi], [1.52, 0.3], [-1.2, 2.0], [0.0, 0.5], [-0.6, -2.0], [0.7, -1.0], [0.5, 1.8], [-0.9, -0.3]]
)
WIDTH = 0.05  # radians: standard deviation of a cluster
H = 0.04  # radians
AT_ONCE = 10_000  # points of a sum by the definition
CHECKED = 60  # climbs by the definition
PLANE_H = 2.5
ADAPTIVE = {1: 20_000, 2: 100_000, 3: 20_000}  # columns: points
ROUNDS, SMALLEST = 1000, 1e-7  # steps of a climb by the definition, and the bandwidths that end it

Floats = NDArray[np.float64]


def unit(X: Floats) -> Floats:
    """Return the unit vectors of latitudes and longitudes."""
    latitude, longitude = X.T
    across = np.cos(latitude)
    return np.stack([across * np.cos(longitude), across * np.sin(longitude), np.sin(latitude)], axis=-1)


def globe(n: int, seed: int = 0) -> tuple[Floats, NDArray[np.int64]]:
    """Draw n places around `PLACES`, and return them with the place of each."""
    rng = np.random.default_rng(seed)
    which = rng.integers(0, len(PLACES), n)
    x, y, z = (unit(PLACES)[which] + WIDTH * rng.normal(size=(n, 3))).T
    return np.stack([np.arctan2(z, np.hypot(x, y)), np.arctan2(y, x)], axis=-1), which


def to_rest(x: Floats, step: Callable[[Floats], Floats], smallest: float) -> Floats:
    """Repeat a step of all rows, each until it moves by no more than the smallest; rows of x are written over."""
    active = np.arange(len(x))
    for _ in range(ROUNDS):
        moved = step(x[active])
        length = np.abs(moved - x[active]).max(axis=1)
        x[active] = moved
        active = active[length > smallest]
        if not active.size:
            break
    return x


def climb_on_globe(X: Floats, h: float, rows: NDArray[np.int64]) -> Floats:
    """Return the unit vectors at which climbs from some rows rest: all points, at every step."""
    U, chord = unit(X), 2.0 * np.sin(0.5 * h)

    def step(x: Floats) -> Floats:
        total = np.zeros_like(x)
        for start in range(0, len(U), AT_ONCE):
            part = U[start : start + AT_ONCE]
            total += np.exp((x @ part.T - 1.0) / chord**2) @ part
        return total / np.linalg.norm(total, axis=1)[:, None]

    return to_rest(U[rows], step, SMALLEST * h)


def climb_by_formula(X: Floats, own: Floats, rows: NDArray[np.int64]) -> Floats:
    """Return where climbs with a bandwidth for every point rest: all points, at every step."""
    pull = (own / own.min()) ** -(X.shape[1] + 2.0)

    def step(x: Floats) -> Floats:
        total, mass = np.zeros_like(x), np.zeros(len(x))
        for start in range(0, len(X), AT_ONCE):
            part = slice(start, start + AT_ONCE)
            squares = sum(np.square(np.subtract.outer(q, c)) for q, c in zip(x.T, X[part].T, strict=True))
            g = pull[part] * np.exp(-0.5 * squares / np.square(own[part]))
            total += g @ X[part]
            mass += g.sum(axis=1)
        return total / mass[:, None]

    return to_rest(X[rows], step, SMALLEST * float(own.min()))


def on_the_globe(quick: bool) -> Iterator[Row]:
    """Measure clusters across the date line and at a pole."""
    n = 50_000 if quick else 1_000_000
    X, which = globe(n)
    fit = Fit(partial(ms.MeanShift, H, metric="haversine"), X)
    seconds = alternate({"fit": fit}, rounds=3)["fit"]
    model = fit.model
    names = [int(np.bincount(model.labels_[which == k]).argmax()) for k in range(len(PLACES))]
    whole = min(float((model.labels_[which == k] == names[k]).mean()) for k in range(len(PLACES)))
    rows = np.random.default_rng(1).integers(0, n, CHECKED // 3 if quick else CHECKED)
    ends = climb_on_globe(X, H, rows)
    agree = float((np.linalg.norm(unit(model.cluster_centers_[model.labels_[rows]]) - ends, axis=1) < 0.05 * H).mean())
    title = f"{n:,} places on the globe"
    extra = {"agreement": agree, "times": f"fit {seconds}; {len(model.cluster_centers_)} clusters"}
    yield bar(f"{title}: seconds", seconds.median, "" if quick else "<= 5") | extra
    yield bar(f"{title}: share of the least whole of {len(PLACES)} clusters", whole, ">= 0.999") | extra
    yield bar(f"{title}: clusters that are different ones", len(set(names)), f">= {len(PLACES)}") | extra
    yield bar(f"{title}: agreement of {len(rows)} with climbs by the definition", agree, ">= 0.99") | extra


def whitened(quick: bool) -> Iterator[Row]:
    """Measure what whitening costs: the same points, scaled or sheared, against one number."""
    n = 60_000 if quick else 1_000_000
    X = data.blobs(n).astype(np.float64)
    A = np.array([[2.0, 0.0], [0.7, 0.5]])
    for fidelity in ("certified", "fast"):
        number = Fit(partial(ms.MeanShift, PLANE_H, fidelity=fidelity), X)
        forms = {
            "per axis": (partial(ms.MeanShift, PLANE_H * np.array([2.0, 0.5]), fidelity=fidelity), X * [2.0, 0.5]),
            "matrix": (partial(ms.MeanShift, PLANE_H**2 * A @ A.T, fidelity=fidelity), X @ A.T),
        }
        fits = {"number": number, **{name: Fit(*form) for name, form in forms.items()}}
        timings = alternate(fits, rounds=7)
        times = "; ".join(f"{name} {timing}" for name, timing in timings.items())
        for name in forms:
            same = adjusted_rand_score(number.model.labels_, fits[name].model.labels_)
            cost = timings[name].times(timings["number"])
            title = f'{n:,} points in the plane, "{fidelity}": {name}, times as long as one number'
            yield bar(title, cost, "" if quick else "<= 1.3") | {"agreement": same, "times": times}


def adaptive(quick: bool) -> Iterator[Row]:
    """Measure fits with one bandwidth per point."""
    for d, n in ADAPTIVE.items():
        n = 3000 if quick else n
        rng = np.random.default_rng(d)
        centres = rng.uniform(-20.0, 20.0, (12, d))
        which = rng.integers(0, 12, n)
        X = centres[which] + np.geomspace(0.2, 2.0, 12)[which, None] * rng.normal(size=(n, d))
        for rule in ("adaptive-knn", "abramson"):
            fit = Fit(partial(ms.MeanShift, rule), X)
            seconds = alternate({"fit": fit}, rounds=1, warm_up={"fit": partial(fit.make().fit, X[:2000])})["fit"]
            model = fit.model
            rows = rng.integers(0, n, 20)
            ends = climb_by_formula(X, model.bandwidth_, rows)
            wrong = np.linalg.norm(model.cluster_centers_[model.labels_[rows]] - ends, axis=1)
            agree = float((wrong < 0.05 * np.median(model.bandwidth_)).mean())
            title = f'{n:,} points, d = {d}, bandwidth="{rule}"'
            extra = {"agreement": agree, "times": f"fit {seconds}; {len(model.cluster_centers_)} clusters"}
            yield bar(f"{title}: seconds", seconds.median, "") | extra
            yield bar(f"{title}: agreement of {len(rows)} with climbs by the formula", agree, ">= 1.0") | extra


CASES = {"globe": on_the_globe, "whitening": whitened, "adaptive": adaptive}


def main(argv: list[str] | None = None) -> int:
    """Run the benchmark; return 1 if a bar is missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.geometry", description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="up to 60 000 points")
    parser.add_argument("--only", choices=list(CASES), help="run one case; nothing is written")
    options = parser.parse_args(argv)
    print("\n".join(f"{key}: {value}" for key, value in harness.machine().items()), end="\n\n")
    rows: list[Row] = []
    for name, case in CASES.items():
        if options.only in (None, name):
            rows += collect(name, case, options.quick)
    print(harness.table(rows))
    if options.only is None:
        harness.write_rows("geometry" + ("-quick" if options.quick else ""), rows)
    return int(any(row["result"] == "FAIL" for row in rows))


if __name__ == "__main__":
    sys.exit(main())
