"""Neighbours on the GPU: exact ones of 1e6 points among themselves, in 128 columns and in space; hashing of 1e7 x 64.

The limit of exact search is what all products of points cost in TF32 (in space, the squared differences in float32).
Answers are compared, for some queries, with float64 differences of all points. Beside it: `torch.topk` of products in
chunks, in TF32 (its answers are counted, too), and faiss on the GPU where it is installed.
"""

from collections.abc import Callable
from typing import Any

import torch

import modeseek as ms
from benchmarks.gpu.limits import Limits, median_seconds, row
from benchmarks.harness import Row

K, RECALL = 10, 0.9
CHECKED = 1000  # queries
CLUSTERS = 1000
CHUNK = 1 << 13  # queries and points that the plain form looks at together


def points(n: int, d: int, device: str, seed: int = 0) -> torch.Tensor:
    """Return Gaussian clusters, float32."""
    generator = torch.Generator(device).manual_seed(seed)
    centres = torch.randn(CLUSTERS, d, generator=generator, device=device)
    which = torch.randint(CLUSTERS, (n,), generator=generator, device=device)
    return centres[which].add_(torch.randn(n, d, generator=generator, device=device), alpha=0.5)


def true_distances(Q: torch.Tensor, X: torch.Tensor, k: int) -> torch.Tensor:
    """Return the distances of the k nearest points, (m, k), of float64 differences."""
    best = torch.full((len(Q), k), torch.inf, dtype=torch.float64, device=X.device)
    for start in range(0, len(X), CHUNK):
        part, squares = X[start : start + CHUNK].double(), torch.zeros((), dtype=torch.float64, device=X.device)
        for c in range(X.shape[1]):
            squares = squares + (Q[:, c, None].double() - part[None, :, c]).square_()
        best = torch.topk(torch.cat([best, squares], 1), k, largest=False, sorted=True).values
    return best.sqrt_()


def right(Q: torch.Tensor, X: torch.Tensor, distances: torch.Tensor, rows: torch.Tensor, own: bool) -> float:
    """Return the share of queries whose neighbours are those of the definition, in distance, and are where they say."""
    true = true_distances(Q, X, K + own)[:, int(own) :]
    found = torch.linalg.vector_norm(Q[:, None].double() - X[rows].double(), dim=2)
    close = torch.isclose(distances, true, rtol=1e-12, atol=0.0) & torch.isclose(found, true, rtol=1e-12, atol=0.0)
    ordered = torch.sort(rows, dim=1).values
    return float((close.all(1) & (ordered[:, 1:] != ordered[:, :-1]).all(1)).double().mean())


def share(rows: torch.Tensor, Q: torch.Tensor, X: torch.Tensor) -> float:
    """Return the share of the true k nearest among the rows found."""
    reach = true_distances(Q, X, K)[:, -1:]
    found = torch.linalg.vector_norm(Q[:, None].double() - X[rows].double(), dim=2)
    return float((found <= reach * (1.0 + 1e-9)).double().mean())


def chunked(X: torch.Tensor) -> torch.Tensor:
    """Return the rows of the k + 1 nearest points of each, by products and `torch.topk`: what one writes without us."""
    halves, rows = 0.5 * (X * X).sum(1), torch.empty(len(X), K + 1, dtype=torch.int64, device=X.device)
    for start in range(0, len(X), CHUNK):
        Q = X[start : start + CHUNK]
        best = torch.full((len(Q), K + 1), torch.inf, device=X.device)
        at = torch.zeros(len(Q), K + 1, dtype=torch.int64, device=X.device)
        for first in range(0, len(X), 8 * CHUNK):
            values = halves[first : first + 8 * CHUNK] - Q @ X[first : first + 8 * CHUNK].T
            some = torch.topk(values, min(K + 1, values.shape[1]), largest=False)
            best, order = torch.topk(torch.cat([best, some.values], 1), K + 1, largest=False)
            at = torch.gather(torch.cat([at, some.indices + first], 1), 1, order)
        rows[start : start + CHUNK] = at
    return rows


def in_tf32(call: Callable[[], Any]) -> Any:
    """Call something with products in TF32."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high")
    try:
        return call()
    finally:
        torch.set_float32_matmul_precision(before)


def exact(limits: Limits, device: str, n: int, d: int) -> list[Row]:
    """Measure the nearest neighbours of points among themselves."""
    X = points(n, d, device)
    model = ms.NearestNeighbors(n_neighbors=K, device="torch").fit(X)
    distances, rows = model.kneighbors()
    some = torch.arange(0, n, -(-n // CHECKED), device=device)
    agrees = right(X[some], X, distances[some], rows[some], own=True)
    seconds = median_seconds(model.kneighbors, device, 3)
    few = d <= 8
    limit = 3.0 * n * n * d / limits.fp32 if few else 2.0 * n * n * d / limits.tf32
    what = "3 n^2 d operations in float32" if few else "2 n^2 d operations in TF32"
    note = f"limit: {what}; {len(some)} queries checked"
    done = [row(f"k = {K} nearest", (n, d), seconds, limit, agrees=agrees, note=note)]
    plain = in_tf32(lambda: chunked(X))[some]
    agreed = share(plain[:, :K], X[some], X)
    seconds = in_tf32(lambda: median_seconds(lambda: chunked(X), device, 1))
    note = f"not ours; the same limit; finds {agreed:.4f} of the neighbours"
    done.append(row("torch.topk of products in TF32", (n, d), seconds, limit, note=note))
    return done + faiss_rows(X, some, limit)


def faiss_rows(X: torch.Tensor, some: torch.Tensor, limit: float) -> list[Row]:
    """Measure exact search by faiss on the GPU, if it is there."""
    try:
        import faiss
    except ImportError:
        return []
    if not (X.is_cuda and hasattr(faiss, "StandardGpuResources")):
        return []
    index = faiss.GpuIndexFlatL2(faiss.StandardGpuResources(), X.shape[1])
    points_there = X.cpu().numpy()
    index.add(points_there)
    rows = torch.from_numpy(index.search(points_there[some.cpu().numpy()], K)[1]).to(X.device)
    agreed = share(rows, X[some], X)
    seconds = median_seconds(lambda: index.search(points_there, K + 1), str(X.device), 1)
    note = f"not ours; arrays of the CPU; finds {agreed:.4f} of the neighbours"
    return [row(f"faiss {faiss.__version__} GpuIndexFlatL2", tuple(X.shape), seconds, limit, note=note)]  # type: ignore[arg-type]


def hashed(limits: Limits, device: str, n: int, d: int, queries: int, sample: int | None) -> list[Row]:
    """Measure an index that is tuned for a recall."""
    both = points(n + queries, d, device, 1)
    X, Q = both[:n].contiguous(), both[n:].contiguous()
    build = median_seconds(lambda: ms.LSHIndex(n_hashes=8, width=4.0, n_probes=8, device="torch").fit(X), device, 1)
    index = ms.LSHIndex(n_hashes=8, width=4.0, n_probes=8, random_state=0, device="torch").fit(X)
    index.set_params(n_hashes=None, width=None, n_probes=None).tune(RECALL, K, n_queries=sample)
    rows = index.query(Q, K)[1]
    found = share(rows[:CHECKED], Q[:CHECKED], X)
    seconds = median_seconds(lambda: index.query(Q, K), device, 3)
    read = 4.0 * d * index._index.n_candidates / limits.copy
    note = f"{queries} queries; limit: one read of the candidates, {index._index.n_candidates / queries:.0f} each"
    return [
        row("LSHIndex: tables", (n, d), build, 4.0 * n * d / limits.copy, note="limit: one read of the points"),
        row(f"LSHIndex: recall {RECALL}", (n, d), seconds, read, agrees=found, least=RECALL - 0.03, note=note),
    ]


def run(limits: Limits, device: str, quick: bool) -> list[Row]:
    """Measure every case."""
    n, many, queries = (1000, 1500, 200) if quick else (1_000_000, 10_000_000, 100_000)
    return [
        *exact(limits, device, n, 16 if quick else 128),
        *exact(limits, device, n, 3),
        *hashed(limits, device, many, 16 if quick else 64, queries, 450 if quick else None),
    ]
