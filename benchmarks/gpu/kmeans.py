"""k-means on a device: what one of Lloyd's rounds takes, against the products of all points and centres in TF32.

A round is all that happens between two sets of centres: labels, sums, means, and the numbers that the host reads. The
limit is 2 n k d operations at the measured rate of TF32. Labels count as right where they are those of float64, by
differences, on rows drawn at random. Points lie in blobs, more than there are clusters, or all about one place, where
no centre is much closer than others. Beside it the plain form in Torch: products in TF32 and the least of each row,
chunk by chunk, and sums by `index_add_`; and whole fits, whose inertia is summed again here. (k-means|| draws a random
number for every point five times, on the host: those that the CPU would draw.)
"""

from typing import Any

import torch

import modeseek as ms
from benchmarks.gpu import limits
from benchmarks.harness import Row
from modeseek.engines.gpu.assign import nearest, screened
from modeseek.engines.triton import runs_on
from modeseek.kmeans import on_device

SIZE = 10_000_000, 128, 1024
QUICK = 4000, 32, 20
BAR = "<= 2"
CHECKED = 4096  # rows whose labels are looked at
CHUNK = 1 << 16  # rows of the plain form
ROUNDS = 5  # of the whole fit
SPREAD = 0.1  # of a blob, in sides of what the blobs lie in


def points(shape: str, n: int, d: int, k: int, device: str) -> torch.Tensor:
    """Draw points in float32: about 3 k / 2 centres in a cube, or one normal cloud."""
    generator = torch.Generator(device).manual_seed(0)
    x = torch.randn(n, d, device=device, generator=generator)
    if shape == "one cloud":
        return x
    centres = torch.rand(3 * k // 2, d, device=device, generator=generator)
    numbers = torch.randint(len(centres), (n,), device=device, generator=generator)
    x *= SPREAD
    for start in range(0, n, CHUNK):
        x[start : start + CHUNK] += centres[numbers[start : start + CHUNK]]
    return x


def right(x: torch.Tensor, centres: torch.Tensor, labels: torch.Tensor) -> float:
    """Return the share of right labels among rows drawn at random: squared differences in float64, column by column."""
    rows = torch.randint(len(x), (CHECKED,), generator=torch.Generator().manual_seed(1)).to(x.device)
    total = torch.zeros(len(rows), len(centres), dtype=torch.float64, device=x.device)
    for column, values in zip(x[rows].double().T, centres.double().T, strict=True):
        total += (column[:, None] - values).square()
    return float((total.argmin(1) == labels[rows]).double().mean())


def plain(x: torch.Tensor, centres: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Do a round as one would write it in Torch: labels and new centres, float32."""
    labels = torch.empty(len(x), dtype=torch.int64, device=x.device)
    half = 0.5 * centres.square().sum(1)
    sums, counts = torch.zeros_like(centres), torch.zeros(len(centres), device=x.device)
    for start in range(0, len(x), CHUNK):
        part = x[start : start + CHUNK]
        mine = torch.addmm(half, part, centres.T, alpha=-1.0).argmin(1)
        labels[start : start + CHUNK] = mine
        sums.index_add_(0, mine, part)
        counts.index_add_(0, mine, torch.ones_like(mine, dtype=torch.float32))
    return labels, sums / counts.clamp(min=1.0)[:, None]


def plain_in_tf32(x: torch.Tensor, centres: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Do the plain round with products in TF32."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high")
    try:
        return plain(x, centres)
    finally:
        torch.set_float32_matmul_precision(before)


def later_centres(where: on_device.Points, k: int) -> torch.Tensor:
    """Return centres after two rounds from random rows: as they are in the midst of a fit, less the base."""
    rows = torch.randperm(len(where.x), generator=torch.Generator().manual_seed(2))[:k].to(where.x.device)
    return on_device.lloyd(where, where.x[rows], 2, 0.0).centres.double() - where.frame.base


def rounds_of(shape: str, rates: limits.Limits, device: str, quick: bool) -> list[Row]:
    """Time rounds on one shape of data."""
    n, d, k = QUICK if quick else SIZE
    x = points(shape, n, d, k, device)
    where = on_device.Points.of(x, None)
    centres = later_centres(where, k)
    floor = 2.0 * n * k * d / rates.tf32
    spare = torch.empty(2, n, dtype=torch.int32, device=device)
    before = nearest(x, where.frame, centres, spare[0])
    agrees = right(x, centres + where.frame.base, before)
    case = f"{shape}, k = {k}"

    def timed(call: Any) -> float:
        return limits.median_seconds(call, device, 3 if quick else limits.ROUNDS)

    one = timed(lambda: on_device.Round(where, centres, before, spare[1]))
    labelling = timed(lambda: nearest(x, where.frame, centres, spare[1]))
    user = (centres + where.frame.base).float()
    there = plain_in_tf32(x, user)[0]
    unfused = timed(lambda: plain_in_tf32(x, user))
    shape_of = n, d
    return [
        limits.row(f"{case}: a round", shape_of, one, floor, required="-" if quick else BAR, agrees=agrees,
                   note=f"limit: 2 n k d in TF32; {open_rows(where, centres, spare[1])}"),
        limits.row(f"{case}: labels alone", shape_of, labelling, floor, agrees=agrees, note="limit: the same"),
        limits.row(f"{case}: a round in plain Torch, TF32", shape_of, unfused, floor,
                   agrees=right(x, user, there), least=0.0,
                   note="" if quick else f"ours is {unfused / one:.3g} times as fast"),
    ]  # fmt: skip


def open_rows(where: on_device.Points, centres: torch.Tensor, labels: torch.Tensor) -> str:
    """Say how many rows the screens of the kernels leave open."""
    if not runs_on(where.x):
        return "no kernels here"
    shares = [int(left.count) / len(where.x) for left in screened(where.x, where.frame, centres, labels)]
    return "open after the screens: " + ", ".join(f"{share:.3g}" for share in shares)


def whole_fit(init: str, rates: limits.Limits, device: str, quick: bool) -> Row:
    """Time a fit, seeds included, and sum its inertia again."""
    n, d, k = QUICK if quick else SIZE
    x = points("blobs", n, d, k, device)

    def fit() -> ms.KMeans:
        how = {"init": init, "n_init": 1, "random_state": 0, "max_iter": ROUNDS, "tol": 0.0}
        return ms.KMeans(k, device="torch", **how).fit(x)

    model, total = fit(), 0.0
    for start in range(0, n, CHUNK):
        part = slice(start, start + CHUNK)
        own = model.cluster_centers_[model.labels_[part].long()].double()
        total += float((x[part].double() - own).square().sum())
    agrees = float(abs(total - model.inertia_) <= 1e-9 * total) * right(x, model.cluster_centers_, model.labels_)
    seconds = limits.median_seconds(fit, device, 1 if quick else 3)
    floor = (model.n_iter_ + 1) * 2.0 * n * k * d / rates.tf32
    return limits.row(
        f"blobs, k = {k}: fit, {init}, {model.n_iter_} rounds", (n, d), seconds, floor, agrees=agrees,
        note=f"inertia {model.inertia_:.6g}; limit: products of the rounds and of the last labels",
    )  # fmt: skip


def run(rates: limits.Limits, device: str, quick: bool) -> list[Row]:
    """Return the rows of k-means."""
    rows = []
    for shape in ("blobs", "one cloud"):
        rows += rounds_of(shape, rates, device, quick)
    return rows + [whole_fit(init, rates, device, quick) for init in ("random", "k-means||")]
