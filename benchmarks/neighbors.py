"""Nearest neighbours against SciPy, scikit-learn and faiss: ``python -m benchmarks.neighbors``.

Every task runs on uniform points and on blobs whose spreads differ by a factor of 200. Both sides are timed from the
points to the results, building included, with two threads, on contiguous input of the dtype that the peer works in
(faiss: float32). Results are compared first: agreement is the share of queries whose neighbours (or counts) are the
peer's. Prints the bars, and writes benchmarks/results/neighbors_CASE.csv.
"""

import argparse
import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from sklearn import neighbors as peers

import modeseek as ms
from benchmarks import harness
from benchmarks.harness import Row, alternate
from benchmarks.mean_shift import bar, collect

K = 10
THREADS = 2
SAMPLE = 500  # points whose neighbours are found by the definition
CENTRES = 20
Found = tuple[NDArray[Any], NDArray[Any]]


def uniform(n: int, d: int) -> NDArray[np.float64]:
    """Return points of even density."""
    return np.random.default_rng(0).random((n, d))


def blobs(n: int, d: int) -> NDArray[np.float64]:
    """Return clusters whose spreads lie between 0.01 and 2."""
    rng = np.random.default_rng(1)
    centres, spreads = 20.0 * rng.random((CENTRES, d)), 10.0 ** rng.uniform(-2.0, 0.3, CENTRES)
    which = rng.integers(0, CENTRES, n)
    return centres[which] + rng.normal(size=(n, d)) * spreads[which][:, None]


DATA = {"uniform": uniform, "blobs": blobs}


def ours(X: NDArray[Any]) -> Found:
    """Return distances and rows by this package."""
    return ms.NearestNeighbors(K, n_jobs=THREADS).fit(X).kneighbors()


def ckdtree(X: NDArray[Any]) -> Found:
    """Return distances and rows by SciPy."""
    distances, rows = cKDTree(X).query(X, K + 1, workers=THREADS)
    return without_self(distances, rows)


def sklearn(X: NDArray[Any]) -> Found:
    """Return distances and rows by scikit-learn, which chooses its algorithm."""
    return peers.NearestNeighbors(n_neighbors=K, n_jobs=THREADS).fit(X).kneighbors()


def faiss(X: NDArray[np.float32]) -> Found:
    """Return distances and rows by faiss: a flat index, exact up to float32."""
    import faiss

    faiss.omp_set_num_threads(THREADS)
    index = faiss.IndexFlatL2(X.shape[1])
    index.add(X)
    squares, rows = index.search(X, K + 1)
    return without_self(np.sqrt(np.maximum(squares, 0.0)), rows)


def without_self(distances: NDArray[Any], rows: NDArray[Any]) -> Found:
    """Leave out the first neighbour: the data hold no repeats, so it is the point itself."""
    return distances[:, 1:], rows[:, 1:]


def agreement(found: Found, expected: Found, tolerance: float) -> float:
    """Return the share of queries with the same rows, or with distances that differ by rounding only."""
    close = np.isclose(found[0], expected[0], rtol=tolerance, atol=tolerance).all(axis=1)
    return float(((found[1] == expected[1]).all(axis=1) | close).mean())


def by_definition(X: NDArray[Any], rows: NDArray[np.int64]) -> Found:
    """Return distances and rows of the neighbours of some points: all differences in float64, sorted."""
    columns, distances, found = X.T.astype(np.float64), [], []
    for row in rows:
        squares = np.square(columns - X[row].astype(np.float64)[:, None]).sum(axis=0)
        squares[row] = np.inf
        nearest = np.argsort(squares, kind="stable")[:K]
        distances.append(np.sqrt(squares[nearest]))
        found.append(nearest)
    return np.array(distances), np.array(found)


def against(
    name: str, X: NDArray[Any], peer: Callable[..., Found], required: str, tolerance: float = 1e-9, rounds: int = 5
) -> Row:
    """Compare results, then times; of a peer that works in float32 the definition decides, on a sample."""
    mine, theirs = ours(X), peer(X)
    remark = ""
    if peer is faiss:
        rows = np.random.default_rng(0).choice(len(X), min(len(X), SAMPLE), replace=False)
        truth = by_definition(X, rows)
        least = agreement((mine[0][rows], mine[1][rows]), truth, tolerance)
        remark = f"; faiss agrees {agreement((theirs[0][rows], theirs[1][rows]), truth, 1e-3):.3g}"
    else:
        least = agreement(mine, theirs, tolerance)
    few = X[:2000]
    pair = alternate(
        {"ours": lambda: ours(X), "peer": lambda: peer(X)},
        rounds,
        limit=60.0,
        warm_up={"ours": lambda: ours(few), "peer": lambda: peer(few)},
    )
    row = bar(f"{name}: times faster than {peer.__name__}", pair["peer"].times(pair["ours"]), required)
    words = f"modeseek {pair['ours']}; {peer.__name__} {pair['peer']}{remark}"
    return row | {"agreement": least, "result": row["result"] if least == 1.0 else "FAIL", "times": words}


def counts(name: str, X: NDArray[Any], neighbours: int, quantile: float, required: str, rounds: int = 1) -> Row:
    """Compare numbers of neighbours within a radius with those of scikit-learn's tree.

    The radius is that within which a share of the points has so many neighbours or more.
    """
    few = X[:: max(1, len(X) // 2000)]
    found = ms.NearestNeighbors().fit(X).kneighbors(few, neighbours + 1)[0]  # each is its own first
    radius = float(f"{np.quantile(found[:, -1], quantile):.3g}")

    def mine() -> NDArray[Any]:
        return ms.NearestNeighbors(radius=radius, n_jobs=THREADS).fit(X).count_neighbors()

    def theirs() -> NDArray[Any]:
        return peers.KDTree(X).query_radius(X, radius, count_only=True) - 1  # itself

    mine_counts = mine()
    same = float((mine_counts == theirs()).mean())
    pair = alternate(
        {"ours": mine, "peer": theirs}, rounds, limit=60.0, warm_up={"ours": lambda: None, "peer": lambda: None}
    )
    row = bar(f"{name}: times faster than scikit-learn's KDTree", pair["peer"].times(pair["ours"]), required)
    words = f"radius {radius:g}: {mine_counts.mean():.0f} neighbours on average; "
    words += f"modeseek {pair['ours']}; scikit-learn {pair['peer']}"
    return row | {"agreement": same, "result": row["result"] if same == 1.0 else "FAIL", "times": words}


def plane(quick: bool) -> Iterator[Row]:
    """Measure a million points in the plane."""
    n = 30_000 if quick else 1_000_000
    for kind, make in DATA.items():
        yield against(f"{n:,} x 2, {kind}, k = {K}", make(n, 2), ckdtree, ">= 6")


def space(quick: bool) -> Iterator[Row]:
    """Measure points in space."""
    n = 20_000 if quick else 200_000
    for kind, make in DATA.items():
        yield against(f"{n:,} x 3, {kind}, k = {K}", make(n, 3), ckdtree, ">= 3", rounds=9)


def sixteen(quick: bool) -> Iterator[Row]:
    """Measure points of 16 columns."""
    n = 5000 if quick else 100_000
    for kind, make in DATA.items():
        X = make(n, 16)
        yield against(f"{n:,} x 16, {kind}, k = {K}", X.astype(np.float32), faiss, ">= 1.2", rounds=1)
        yield against(f"{n:,} x 16, {kind}, k = {K}", X, sklearn, ">= 10", 1e-6, 1)


def within(quick: bool) -> Iterator[Row]:
    """Measure counts."""
    n = 30_000 if quick else 1_000_000
    for kind, share in (("uniform", 0.5), ("blobs", 0.1)):  # in blobs, the densest: others would take the peer hours
        X = DATA[kind](n, 2)
        for neighbours in (10, 100):
            name = f"{n:,} x 2, {kind}, counts, {share:.0%} of points have {neighbours}"
            yield counts(name, X, neighbours, share, ">= 10")


def memory(quick: bool) -> Iterator[Row]:
    """Measure the memory of a fit beyond the input: that of its tree, and of making it."""
    n = 30_000 if quick else 1_000_000
    for d in (2, 16):
        extra = harness.extra_memory(_MEMORY.format(n=n, d=d), "model = ms.NearestNeighbors().fit(X)") / n
        yield bar(f"{n:,} x {d}, uniform: bytes a point of a fit beyond the input", extra, "") | {
            "times": f"the input: {8 * d} bytes a point"
        }


_MEMORY = """
import modeseek as ms
from benchmarks.neighbors import uniform
X = uniform({n}, {d})
ms.NearestNeighbors().fit(X[:20_000].copy())
"""
CASES = {"plane": plane, "space": space, "sixteen": sixteen, "within": within, "memory": memory}


def main(argv: list[str] | None = None) -> int:
    """Run the benchmark; return 1 if a bar is missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.neighbors", description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="up to 30 000 points")
    parser.add_argument("--only", choices=CASES, help="run one case")
    options = parser.parse_args(argv)
    print("\n".join(f"{key}: {value}" for key, value in harness.machine().items()), end="\n\n")
    failed = False
    for name, case in CASES.items():
        if options.only in (None, name):
            rows = collect(name, case, options.quick)
            print(harness.table(rows), end="\n\n")
            harness.write_rows(f"neighbors_{name}" + ("-quick" if options.quick else ""), rows)
            failed |= any(row["result"] == "FAIL" for row in rows)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
