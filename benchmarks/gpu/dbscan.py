"""DBSCAN on a device, beside one read pass of the points and one sort of as many keys.

The points are crowds of standard deviation 1 about 20 centres in a box, drawn on the device; eps shrinks as they
become more, so that the neighbours of a point stay as many. The million is compared with the CPU, label for label. Of a
hundred million a sample is compared with the definition, in float64 over all points.
"""

import torch

import modeseek as ms
from benchmarks.gpu.limits import Limits, median_seconds, row
from benchmarks.harness import Row

LEAST = 10
SIDE, CENTRES = 20.0, 20
EPS = {2: (0.1, 1_000_000), 3: (0.5, 200_000)}  # of so many points
CHUNK = 1 << 22
SAMPLE = 200  # points that are compared with the definition


def crowds(n: int, d: int, device: str) -> torch.Tensor:
    """Draw n points about 20 centres, in float32."""
    generator = torch.Generator(device).manual_seed(0)
    centres = SIDE * torch.rand(CENTRES, d, device=device, generator=generator)
    X = torch.empty(n, d, device=device)
    for part in X.split(CHUNK):
        torch.randn(part.shape, device=device, generator=generator, out=part)
        part += centres[torch.randint(CENTRES, (len(part),), device=device, generator=generator)]
    return X


def like_the_definition(X: torch.Tensor, eps: float, model: ms.DBSCAN) -> float:
    """Return the share of sampled rows that are core, or not, and have the first cluster within reach."""
    generator = torch.Generator(X.device).manual_seed(1)
    sample = torch.randint(len(X), (min(SAMPLE, len(X)),), device=X.device, generator=generator)
    core = torch.zeros(len(X), dtype=torch.bool, device=X.device)
    core[model.core_sample_indices_] = True
    right = 0
    for i in sample.tolist():
        near = torch.zeros(len(X), dtype=torch.bool, device=X.device)
        for part, out in zip(X.split(CHUNK), near.split(CHUNK), strict=True):
            squares = sum((column.double() - x.double()).square() for column, x in zip(part.T, X[i], strict=True))
            out.copy_(squares <= eps * eps)
        reached = model.labels_[near & core]
        expected = int(reached.min()) if len(reached) else -1
        right += bool(core[i]) == (int(near.sum()) >= LEAST) and int(model.labels_[i]) == expected
    return right / len(sample)


def like_the_cpu(X: torch.Tensor, eps: float, model: ms.DBSCAN) -> float:
    """Return the share of rows whose labels are those of a fit on the CPU."""
    expected = ms.DBSCAN(eps, min_samples=LEAST, device="cpu").fit(X).labels_
    return float((expected == model.labels_).double().mean())


def case(n: int, d: int, limits: Limits, device: str, whole: bool) -> Row:
    """Fit n points; ``whole`` compares all labels with those of the CPU."""
    X, (eps, usual) = crowds(n, d, device), EPS[d]
    eps *= (usual / n) ** (1 / d)
    model = ms.DBSCAN(eps, min_samples=LEAST, device="torch")
    agrees = (like_the_cpu if whole else like_the_definition)(X, eps, model.fit(X))
    clusters = int(model.labels_.max()) + 1
    seconds = median_seconds(lambda: model.fit(X), device, 5)
    keys = torch.randint(2**62, (n,), device=device)
    sort = median_seconds(lambda: torch.sort(keys), device, 5)
    note = f"eps {eps:.3g}, {clusters} clusters; limit: one read pass and a sort of {n:,} keys; right by "
    return row(
        f"DBSCAN, {n:,} x {d}",
        (n, d),
        seconds,
        X.nbytes / limits.copy + sort,
        agrees=agrees,
        note=note + ("the CPU's labels" if whole else f"the definition, {SAMPLE} points"),
    )


def run(limits: Limits, device: str, quick: bool) -> list[Row]:
    """Measure a million points in the plane and a hundred million in space."""
    plane, space = (2000, 3000) if quick else (1_000_000, 100_000_000)
    return [case(plane, 2, limits, device, whole=True), case(space, 3, limits, device, whole=False)]
