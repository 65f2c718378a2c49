"""Mean shift on grids: fits with labels beside one read of the points, by their parts, and clusters at every scale.

Points are a mixture of 20 normal clusters, made on the device, in float32. One read pass is their bytes over the
measured rate of a copy, which counts what is read and what is written. Before anything is timed labels are compared
with those of the CPU, on fewer points of the same clusters.
"""

import numpy as np
import torch

import modeseek as ms
from benchmarks.gpu.limits import Limits, median_seconds, row
from benchmarks.harness import Row
from modeseek.engines import gpu
from modeseek.engines.gpu import deposit, lookup
from modeseek.on_device.grids import table_on

CLUSTERS = 20
WIDTH = {2: 24.0, 3: 14.0}  # of the square or cube that the centres of clusters of deviation 1 lie in
BANDWIDTH = {2: 0.6, 3: 1.0}
SIZES = {2: 10**9, 3: 10**8}
CHECKED = {2: 4_000_000, 3: 1_000_000}  # points that the CPU clusters too
QUICK = {2: 30_000, 3: 4000}
REQUIRED = {2: "<= 15", 3: "<= 30"}
ROWS = 1 << 25  # made at once
ROUNDS = 3


def mixture(n: int, d: int, device: str) -> torch.Tensor:
    """Make points on a device, a part at a time."""
    centres = torch.from_numpy(np.random.default_rng(d).uniform(0.0, WIDTH[d], (CLUSTERS, d)).astype(np.float32))
    centres, generator = centres.to(device), torch.Generator(device).manual_seed(0)
    X = torch.empty((n, d), dtype=torch.float32, device=device)
    for start in range(0, n, ROWS):
        part = X[start : start + ROWS]
        torch.randn(part.shape, generator=generator, device=device, out=part)
        part += centres[torch.randint(CLUSTERS, (len(part),), generator=generator, device=device)]
    return X


def agreement(d: int, device: str, fidelity: str, quick: bool) -> float:
    """Return the share of labels that are those of the CPU, of the points whose labels both have decided."""
    X = mixture((QUICK if quick else CHECKED)[d], d, device)
    found = ms.MeanShift(BANDWIDTH[d], fidelity=fidelity, device="torch").fit(X)
    wanted = ms.MeanShift(BANDWIDTH[d], fidelity=fidelity, device="cpu").fit(X.cpu().numpy())
    same = found.labels_.cpu().numpy() == wanted.labels_
    if fidelity == "certified":
        same = same[(found.certificate_.status() < 3) & (wanted.certificate_.status() < 3)]
    return float(same.mean())


def fits(limits: Limits, device: str, quick: bool, d: int) -> list[Row]:
    """Time fits with labels of a mixture in d columns, and the passes over the points that they are made of."""
    X = mixture((QUICK if quick else SIZES)[d], d, device)
    shape, pass_seconds = (len(X), d), X.nbytes / limits.copy
    rows = []
    for fidelity in ("certified", "fast"):
        model = ms.MeanShift(BANDWIDTH[d], fidelity=fidelity, device="torch")
        agrees = agreement(d, device, fidelity, quick)
        seconds = median_seconds(lambda model=model: model.fit(X), device, 1 if quick else ROUNDS)
        known = "" if model.certificate_ is None else f"; {model.certificate_.certified:.4%} certified"
        rows.append(
            row(
                f"MeanShift, {fidelity}, {d} columns", shape, seconds, pass_seconds,
                required="-" if quick else REQUIRED[d], agrees=agrees, least=1.0 if fidelity == "certified" else 0.999,
                note=f"limit: one read of the points; {len(model.cluster_centers_)} clusters{known}; labels as on "
                f"the CPU, {(QUICK if quick else CHECKED)[d]} points",
            )
        )  # fmt: skip
    return rows + _passes(X, model, device, pass_seconds, quick)


def _passes(X: torch.Tensor, model: ms.MeanShift, device: str, pass_seconds: float, quick: bool) -> list[Row]:
    """Time each pass over the points by itself."""
    rounds, shape = 1 if quick else ROUNDS, tuple(X.shape)
    sketch, table = model.sketch_, model._clustering.table
    lattice = deposit.lattice_of(sketch.origin, sketch.delta, sketch.box.lower, sketch.box.shape)
    where = table_on(X, table)
    corner, bins = tuple(table.geometry()[0].tolist()), tuple(2 * side for side in table.box.shape)
    parts = {
        "bounds": lambda: gpu.bounds(X),
        "deposit, quadratic splines": lambda: deposit.deposit(X, None, lattice, 2.0**30, 2),
        "deposit, cubic splines": lambda: deposit.deposit(X, None, lattice, 2.0**30, 3),
        "count in bins": lambda: deposit.count_bins(X, corner, 2.0 / sketch.delta, bins),
        "look labels up": lambda: lookup.label(X, where, table.highest() + 1),
    }
    note = f"limit: one read of the points; {lattice.n_nodes} nodes"
    return [
        row(name, shape, median_seconds(call, device, rounds), pass_seconds, note=note) for name, call in parts.items()
    ]


def scales(limits: Limits, device: str, quick: bool) -> Row:
    """Time `bandwidth_path`."""
    X = mixture(20_000 if quick else 10**8, 2, device)
    some = X[: 20_000 if quick else 10**6]
    found = ms.bandwidth_path(some, device="torch").n_clusters
    wanted = ms.bandwidth_path(some.cpu().numpy()).n_clusters
    return row(
        "bandwidth_path", tuple(X.shape), median_seconds(lambda: ms.bandwidth_path(X, device="torch"), device, 1),
        X.nbytes / limits.copy, agrees=float((found == wanted).mean()),
        note=f"limit: one read of the points; numbers of clusters as on the CPU, {len(some)} points",
    )  # fmt: skip


def run(limits: Limits, device: str, quick: bool) -> list[Row]:
    """Measure mean shift on grids."""
    rows = []
    for d in (2, 3):
        rows += fits(limits, device, quick, d)
    return [*rows, scales(limits, device, quick)]
