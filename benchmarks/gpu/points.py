"""Sums over all points: the notebook's case, one fused step in 64 columns, an exact fit in 16.

The notebook's batched form is timed beside them, as it is written there, and with squares added one column at a time,
which needs less memory; of the larger case one batch of each size is timed, and times the number of batches taken for
all.
"""

import math
from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray

import modeseek as ms
from benchmarks.gpu.limits import Limits, median_seconds, row
from benchmarks.harness import Row
from modeseek.engines.gpu.shift import cloud, sums
from modeseek.on_device.points import every_point
from modeseek.on_device.problem import DeviceProblem

H = 2.5  # bandwidth, the notebook's
NOTEBOOK_MOST = "<= 0.0001"  # seconds a call
CLOSE = 1e-5  # bandwidths: so far a float32 step may be from the exact one
SAMPLE = 256  # rows that are checked in float64
OPERATIONS = 4  # of a column and a pair of points: a multiplication and an addition in each of two products


def run(limits: Limits, device: str, quick: bool) -> list[Row]:
    """Measure the three cases on a device."""
    return [*notebook(limits, device, quick), *dense_step(limits, device, quick), exact_fit(limits, device, quick)]


# ------------------------------------------------------------------------------------------------ the notebook


def notebook(limits: Limits, device: str, quick: bool) -> list[Row]:
    """1500 points, 5 rounds, Gaussian: `ms.blur` in steady state, and the notebook's own form."""
    _, X = ms.textbook.make_data()
    x, n = torch.from_numpy(X).to(device), len(X)
    rounds, calls = (1, 1) if quick else (15, 50)
    limit = 5 * n * n * (2 * OPERATIONS + 2) / limits.fp32
    timed: dict[str, tuple[Callable[[], torch.Tensor], NDArray[np.float64], str]] = {}
    for bs, update in ((n, "simultaneous"), (1250, "batch")):
        exact = ms.textbook.meanshift(X.astype(np.float64), bs, bandwidth=H, update=update)
        ours = partial(ms.blur, x, H, batch_size=None if bs == n else bs, device="torch")
        timed[f"notebook, {update}, {bs}"] = ours, exact, NOTEBOOK_MOST
        timed[f"notebook's own form, {update}, {bs}"] = partial(its_own, x, bs, update), exact, "-"
    rows = []
    for case, (call, exact, required) in timed.items():
        right = close(call().double().cpu().numpy(), exact, 1e-4 * H)
        seconds = median_seconds(call, device, rounds, calls)
        rows.append(
            row(
                case, (n, 2), seconds, limit, required="-" if quick else required, measured=seconds, agrees=right,
                note="required: seconds a call; limit: arithmetic in float32; right: within 1e-4 bandwidths of float64",
            )
        )  # fmt: skip
    return rows


def its_own(x: torch.Tensor, bs: int, update: str) -> torch.Tensor:
    """Return what the notebook's batched form makes of points in 5 rounds."""
    X = x.clone()
    for _ in range(5):
        source = X if update == "batch" else X.clone()
        for i in range(0, len(x), bs):
            s = slice(i, min(i + bs, len(x)))
            X[s] = one_batch(source, source[s], H)
    return X


def as_written(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Return distances as the notebook's dist_b does."""
    return (((a[None] - b[:, None]) ** 2).sum(2)).sqrt()


def one_batch(X: torch.Tensor, batch: torch.Tensor, h: float, column_by_column: bool = False) -> torch.Tensor:
    """Return where a batch moves, as the notebook writes it, or with less memory."""
    distances = ms.textbook.dist_b(X, batch) if column_by_column else as_written(X, batch)
    weight = torch.exp(-0.5 * (distances / h) ** 2) / (h * math.sqrt(2 * math.pi))
    return weight @ X / weight.sum(1, keepdim=True)


# ------------------------------------------------------------------------------------------------ one fused step


def dense_step(limits: Limits, device: str, quick: bool) -> list[Row]:
    """One step of every point over all points, float32-accurate, in 64 columns."""
    n, d = (700, 64) if quick else (200_000, 64)
    X, h = clouds(n, d)
    x = torch.from_numpy(X).to(device)
    middle = x.mean(dim=0)
    scaled = (x - middle) / h
    source = cloud(scaled)
    call = partial(sums, source, scaled, relative=False)
    seconds = median_seconds(call, device, 1 if quick else 5)
    sample = np.random.default_rng(0).choice(n, min(n, SAMPLE), replace=False)
    exact = exact_steps(X, sample, h)
    right = close(call().steps[torch.from_numpy(sample).to(device)].double().cpu().numpy(), exact, CLOSE)
    limit = 3.0 * OPERATIONS * d * n * n / limits.tf32
    theirs, how = best_batch(x, h, device, quick)
    return [
        row(
            "one step of all points, float32", (n, d), seconds, limit, required="-" if quick else "<= 2", agrees=right,
            note="limit: three TF32 products for each of float32; right: within 1e-5 bandwidths of float64, a sample",
        ),
        row(
            "the notebook's batched form, at its best", (n, d), theirs, limit, required="-" if quick else ">= 5",
            measured=theirs / seconds, note=f"{how}; required: how many times as long as the fused step",
        ),
    ]  # fmt: skip


def best_batch(x: torch.Tensor, h: float, device: str, quick: bool) -> tuple[float, str]:
    """Return the seconds of a step by the notebook's form at the batch size that is best for it, and which that is."""
    n, found = len(x), []
    for column_by_column, sizes in ((False, (4, 16, 64, 128)), (True, (64, 250, 1000, 4000))):
        for bs in sizes[:1] if quick else sizes:
            batch = partial(one_batch, x, x[:bs], h, column_by_column)
            try:
                seconds = median_seconds(batch, device, 1 if quick else 3) * n / bs
            except torch.OutOfMemoryError:
                continue
            found.append((seconds, f"batches of {bs}{', column by column' if column_by_column else ''}"))
    return min(found)


# ------------------------------------------------------------------------------------------------ an exact fit


def exact_fit(limits: Limits, device: str, quick: bool) -> Row:
    """Every point climbs on all points to its mode, in float64."""
    n, d = (500, 16) if quick else (100_000, 16)
    X, h = clouds(n, d)
    problem = DeviceProblem(
        torch.from_numpy(X).to(device), None, np.array([X.min(axis=0), X.max(axis=0)], np.float64), h
    )
    modes, labels, field = every_point(problem)
    seconds = median_seconds(partial(every_point, problem), device, 1 if quick else 3)
    sample = np.random.default_rng(0).choice(n, 32, replace=False)
    ends = ms.textbook.climb(X.astype(np.float64), X[sample].astype(np.float64), h, tol=1e-6)
    reached = np.square(ends[:, None] - modes).sum(axis=2).argmin(axis=1)
    right = float((reached == labels.cpu().numpy()[sample]).mean())
    return row(
        "exact fit, every point climbs", (n, d), seconds, OPERATIONS * d * float(n) ** 2 / limits.fp64, agrees=right,
        note=f"limit: one step of all points in float64; {len(modes)} modes, longest climb {field.n_iter} steps; "
        "right: textbook climbs of 32 points",
    )  # fmt: skip


# ------------------------------------------------------------------------------------------------ shared


def clouds(n: int, d: int) -> tuple[NDArray[np.float32], float]:
    """Return twelve overlapping Gaussians and a bandwidth that many columns need."""
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(12, d)) * 2.0
    return (centres[rng.integers(0, 12, n)] + rng.normal(size=(n, d))).astype(np.float32), 0.5 * d**0.5


def exact_steps(X: NDArray[np.float32], rows: NDArray[np.int64], h: float) -> NDArray[np.float64]:
    """Return the step of some rows over all points in bandwidths, by differences in float64."""
    x = X.astype(np.float64) / h
    out = np.empty((len(rows), x.shape[1]))
    for i, r in enumerate(rows):
        apart = x - x[r]
        weights = np.exp(-0.5 * np.square(apart).sum(axis=1))
        out[i] = weights @ apart / weights.sum()
    return out


def close(found: NDArray[np.float64], exact: NDArray[np.float64], within: float) -> float:
    """Return the share of rows that are within a distance of the exact ones."""
    return float((np.sqrt(np.square(found - exact).sum(axis=1)) <= within).mean())
