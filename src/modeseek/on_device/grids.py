r"""Mean shift on grids of points that lie on a device: the routes of the CPU, whose points are asked here.

Points are deposited, looked up and summed over where they are. To the CPU go the grid of masses, sums around a few
places, numbers of points of each label, and single points: a sample, one point of each sub-cell between clusters of
small inputs, and the points that no cell settles (of certified fits a fraction of a percent). There the flood, the
bounds and the tubes are those of every other fit, on the same integers, and so are the labels.
"""

import dataclasses
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray

from modeseek.certify import ProvenLabels
from modeseek.engines.gpu import deposit, lookup
from modeseek.engines.gpu.density import interpolate
from modeseek.engines.gpu.sums import sums_over
from modeseek.fields import REACH, TAIL, Field, Floats, Ints, log_normaliser
from modeseek.fields.grid import mean_of
from modeseek.fields.nodes import cell_corner, node_box
from modeseek.fields.table import TableField
from modeseek.label import UNKNOWN, CellLabels, Counts
from modeseek.on_device.problem import DeviceProblem
from modeseek.places import Places
from modeseek.result import Clustering, Problem
from modeseek.sketch import POINTS_PER_BIN, SAMPLES_PER_BIN, VARIANCE_SAMPLE, Bins, DensitySketch

SPEED = 200.0  # of sums over all points on a GPU, beside the CPU: an estimate that is not measured yet
ROWS_AT_ONCE = 1 << 20  # of points without a label that go to the CPU
OFFSET = 2.0**20  # offsets in a bin are summed as integers of so many to its side
REST = 1e-9  # bandwidths: steps shorter than this lead nowhere


class Rows:
    """Rows of a tensor, as NumPy asks for them: single ones come to the CPU, all of them never do."""

    def __init__(self, tensor: torch.Tensor):
        self.tensor = tensor
        self.shape = tuple(tensor.shape)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: Ints) -> NDArray[Any]:
        index = torch.from_numpy(np.array(rows, np.int64)).to(self.tensor.device)
        return np.asarray(self.tensor[index].cpu().numpy())


@dataclass(frozen=True)
class GridProblem(Problem):
    """A problem whose points and weights are tensors; ``points`` gives single rows of them."""

    on_device = True
    tensor: torch.Tensor = dataclasses.field(kw_only=True)
    own_weights: torch.Tensor | None = dataclasses.field(kw_only=True)
    scale: tuple[float, float, float] = dataclasses.field(kw_only=True)  # sum of weights, least above 0, greatest

    @classmethod
    def of(cls, problem: DeviceProblem) -> "GridProblem":
        """Return the same problem, for the routes on grids."""
        rows, w = cast(Any, Rows(problem.points)), problem.weights
        scale = (float(problem.n), 1.0, 1.0)
        if w is not None:
            scale = (problem.total_weight, problem.lightest, float(w.max()))
        return cls(
            rows, np.empty(0), problem.bounds, problem.bandwidth, problem.tol, problem.max_iter, problem.n_jobs,
            problem.report, problem.kernel, tensor=problem.points, own_weights=w, scale=scale,
        )  # fmt: skip

    @property
    def speed(self) -> float:  # type: ignore[override]
        """Of sums over all points, beside the CPU's."""
        return SPEED if self.tensor.is_cuda else 1.0

    @property
    def weighted(self) -> bool:
        """Whether points have weights."""
        return self.own_weights is not None

    @property
    def total_weight(self) -> float:
        """Sum of the weights."""
        return self.scale[0]

    @property
    def lightest(self) -> float:
        """Least weight above 0."""
        return self.scale[1]

    @property
    def heaviest(self) -> float:
        """Greatest weight."""
        return self.scale[2]

    def add_to(self, sketch: DensitySketch) -> DensitySketch:
        """Deposit all points."""
        return sketch.add_tensor(self.tensor, self.own_weights, self.bounds)

    def place_in(self, sketch: DensitySketch) -> Places | None:
        """Return None: to read points again is as quick as to keep where they lie."""
        return None

    def bins(self, delta: float) -> Bins | None:
        """Sum all points up in bins, if that pays: one integer a point."""
        return bin_tensor(self.tensor, self.bounds, delta)

    def sums(self, places: Floats) -> Floats:
        """Return sums over all points around a few places."""
        return sums_over(self.tensor, self.own_weights, self.bandwidth, places, REACH)

    def exact_field(self) -> Field:
        """Return all points as they are, to climb on."""
        return AllPoints(self)

    def pairs(self, starts: int) -> float:
        """Return the pairs that one step of so many starts sums."""
        return float(starts) * self.n

    def look_up(self, table: CellLabels, places: Places | None = None) -> tuple[torch.Tensor, Counts, Ints]:
        """Return the label of each row, the rows of each label, and which have none."""
        labels, counts = lookup.label(self.tensor, table_on(self.tensor, table), table.highest() + 1)
        rows = lookup.unknown_rows(labels) if counts[0] else np.empty(0, np.int64)
        return labels, Counts(int(counts[0]), counts[1:]), rows

    def first_in_sub_cells(self, table: CellLabels) -> tuple[Ints, Floats]:
        """Return the sub-cells that hold points, and the first point in each."""
        found = lookup.entries(self.tensor, table_on(self.tensor, table))
        rows = torch.nonzero(found < UNKNOWN).flatten()
        owners, number = torch.unique(-2 - found[rows], return_inverse=True)
        first = torch.full_like(owners, self.n).scatter_reduce_(0, number, rows, "amin")
        return owners.cpu().numpy(), self.tensor[first].double().cpu().numpy()

    def write(self, labels: Any, rows: Ints, found: NDArray[Any]) -> None:
        """Set the labels of some rows."""
        there = torch.from_numpy(np.asarray(rows, np.int64)).to(labels.device)
        labels[there] = torch.from_numpy(np.asarray(found, np.int32)).to(labels.device)

    def unknown(self, labels: Any) -> Ints:
        """Return the rows that have no label."""
        return lookup.unknown_rows(labels)

    def weigh(self, labels: Any, k: int, weights: bool = True) -> Floats:
        """Return the weight of the points of each label; without ``weights`` their number."""
        if not weights or self.own_weights is None:
            return lookup.count(labels, k)[1:].astype(np.float64)
        return lookup.weigh(labels, self.own_weights, k)


class AllPoints:
    """Exact mean shift of a few places over all points of a device, which are not sorted: every step sums them all."""

    def __init__(self, problem: GridProblem):
        self.problem, self.bandwidth = problem, problem.bandwidth

    def shift(self, queries: Floats) -> tuple[Floats, Floats]:
        """Return m(q) and the unnormalised density at each query."""
        sums = self.problem.sums(queries)
        return mean_of(queries, sums), sums[:, 0]

    def climb(self, starts: Floats, *, tol: float, max_iter: int, n_jobs: int | None = None) -> tuple[Floats, Ints]:
        """Make so many steps from every start, fewer where a step is as good as none; return ends and steps."""
        x, steps = np.array(starts, np.float64), np.zeros(len(starts), np.int64)
        going = np.arange(len(x))
        for _ in range(max_iter):
            if not going.size:
                break
            moved = mean_of(x[going], self.problem.sums(x[going]))
            length = np.sqrt(np.square(moved - x[going]).sum(axis=1))
            x[going] = moved
            steps[going] += 1
            going = going[length > max(tol, REST) * self.bandwidth]
        return x, steps


def table_on(tensor: torch.Tensor, table: CellLabels) -> lookup.Table:
    """Return a table of labels where a tensor lies."""
    corner, _ = table.geometry()
    return lookup.Table.on(
        str(tensor.device), corner, 1.0 / table.delta, table.box.shape, table.split, table.cells, table.blocks
    )


def bin_tensor(points: torch.Tensor, bounds: Floats, delta: float) -> Bins | None:
    """Do as `modeseek.sketch.bin_points`, in one to three columns: counts on the device, means from every s-th point.

    A deposit is (p + 1)^d additions a point, a count is one, and very many points wait for the same few addresses.
    """
    n, d = points.shape
    box = node_box(bounds[0], bounds[1], bounds[0], delta)
    n_bins = 2**d * box.n_nodes
    if d > 3 or n_bins * POINTS_PER_BIN > n:
        return None
    corner, per_unit = tuple(cell_corner(bounds[0], box, delta).tolist()), 2.0 / delta
    shape = tuple(2 * side for side in box.shape)
    counts = deposit.count_bins(points, corner, per_unit, shape).cpu().numpy()
    stride = max(1, n // (n_bins * SAMPLES_PER_BIN)) | 1  # odd: rows may come in pairs or fours
    sums = torch.zeros((n_bins, d + 1), dtype=torch.int64, device=points.device)
    for start in range(0, n, stride * ROWS_AT_ONCE):
        flat, offset = deposit.bins_of(points[start : start + stride * ROWS_AT_ONCE : stride], corner, per_unit, shape)
        sums.index_add_(0, flat, torch.cat([torch.ones_like(flat)[:, None], (offset * OFFSET).long()], dim=1))
    sampled, occupied = sums.cpu().numpy(), np.flatnonzero(counts)
    number = sampled[occupied, 0, None]
    middle = np.where(number, (sampled[occupied, 1:] + 0.5 * number) / np.maximum(number, 1) / OFFSET, 0.5)
    means = np.array(corner) + (np.stack(np.unravel_index(occupied, shape), axis=-1) + middle) * (delta / 2)
    some = points[:: max(1, n // VARIANCE_SAMPLE)]
    flat, _ = deposit.bins_of(some, corner, per_unit, shape)
    own = np.searchsorted(occupied, flat.cpu().numpy())
    lost = float(np.square(some.double().cpu().numpy() - means[own]).mean())
    return Bins(means, counts[occupied].astype(np.float64), lost, None)


def label(found: Clustering, tensor: torch.Tensor, **climbing: Any) -> torch.Tensor:
    """Label points on a device, old or new, as the fit does: by table there, by climbing on the CPU where that is open.

    The few points that no cell settles go to the CPU, at most `ROWS_AT_ONCE` at once.
    """
    table = found.table.tubes.table if isinstance(found.table, ProvenLabels) else found.table
    assert isinstance(table, CellLabels)
    labels, counts = lookup.label(tensor, table_on(tensor, table), table.highest() + 1)
    rows = lookup.unknown_rows(labels) if counts[0] else np.empty(0, np.int64)
    for start in range(0, len(rows), ROWS_AT_ONCE):
        some = torch.from_numpy(rows[start : start + ROWS_AT_ONCE]).to(tensor.device)
        by_mode = found.by_mode(tensor[some].cpu().numpy(), **climbing)
        labels[some] = torch.from_numpy(by_mode).to(labels.device)
    if found.clusters is not None:
        lookup.rename(labels, found.clusters)
    return labels


def log_density(field: TableField, tensor: torch.Tensor, n_jobs: int | None = None) -> torch.Tensor:
    """Return the log density of a table at points on a device, float64, to the accuracy of the sketch.

    Points with next to nothing around them go to the CPU, at most `ROWS_AT_ONCE` at once, and are summed over the
    nodes there.
    """
    nodes = field.nodes
    density = torch.from_numpy(field.table.reshape(*nodes.box.shape, -1)[..., 0].copy()).to(tensor.device)
    out = interpolate(tensor, nodes.corner, nodes.delta, density)
    faint = torch.nonzero(~(out > field.negligible / TAIL)).flatten()
    out = torch.log(out / nodes.units_per_weight)
    out -= log_normaliser(nodes.total_weight, len(nodes.box.shape), field.kernel_bandwidth)
    for start in range(0, len(faint), ROWS_AT_ONCE):
        rows = faint[start : start + ROWS_AT_ONCE]
        logs = field.log_density(tensor[rows].double().cpu().numpy(), n_jobs)
        out[rows] = torch.from_numpy(logs).to(out.device)
    return out


def labels_by_cell(found: object) -> bool:
    """Tell whether a clustering can label points on a device: those can that rest on cells."""
    return isinstance(found, Clustering) and isinstance(found.table, ProvenLabels | CellLabels)
