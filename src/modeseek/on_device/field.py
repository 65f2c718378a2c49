r"""The points of a fit on a device: their kernel sums, climbs on them, densities, and labels of other points.

Everything is summed in float64 over all points within reach, as the exact routes of the CPU do. A Gaussian is summed in
bandwidths about the mean of the points; other kernels in units of a power of 2 about the least of each column, so that
differences of coordinates are those of the data to the bit.
"""

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from modeseek.engines.gpu import needs_float64
from modeseek.engines.gpu.compact import compact_order
from modeseek.engines.gpu.distinct import RowTable
from modeseek.engines.gpu.moments import hessians
from modeseek.engines.gpu.shift import BLOCK, DIFFERENCES, WORTH_LISTS, Sums, cloud, sums
from modeseek.fields import CONCAVE, REACH, Floats, Ints, log_normaliser
from modeseek.fields.block_sums import WIDEST
from modeseek.fields.logs import FARTHEST
from modeseek.fields.radial import ROUNDING, SLACK, TINY, inverse_square
from modeseek.kernels import GAUSSIAN, Kernel
from modeseek.on_device.climbs import Climbed, DeviceTraps, climb, nearest_row

FAINT = 1e-6  # of all weight: a lower density may hang on points out of reach
VALUES_AT_ONCE = 1 << 24  # distances
HESSIANS_AT_ONCE = 1 << 22  # values


class PointsOnDevice:
    """Mean shift over points on a device.

    Parameters
    ----------
    rows : tensor of shape (m, d)
        Distinct points.
    weights : tensor of shape (m,) or None
        Their weights; points of weight 0 pull nothing.
    bandwidth : float
        h: distances are divided by it.
    kernel : Kernel
        The weight: a built-in one.

    Attributes
    ----------
    all_pull : bool
        Whether every point has a weight above 0.
    traps : DeviceTraps
        Balls around modes that end climbs of a Gaussian.
    n_iter, n_unsettled : int
        Steps of the longest climb of the fit; climbs that no mode was confirmed for.
    """

    def __init__(self, rows: torch.Tensor, weights: torch.Tensor | None, bandwidth: float, kernel: Kernel = GAUSSIAN):
        needs_float64(str(rows.device), "Mean shift on all points")
        self.bandwidth, self.kernel = bandwidth, kernel
        self.gaussian = kernel is GAUSSIAN
        x = rows.double()
        self.origin = x.mean(dim=0) if self.gaussian else x.amin(dim=0)
        self.unit = bandwidth if self.gaussian else 2.0 ** round(math.log2(bandwidth))
        self.starts = self.into(x)
        pulling, own = self.starts, weights
        self.all_pull = own is None or bool((own > 0.0).all())
        if own is not None:
            kept = torch.nonzero(own > 0.0)[:, 0]
            pulling, own = pulling[kept], own[kept].double()
        extent = pulling.amax(dim=0) - pulling.amin(dim=0)
        wide = pulling.shape[1] > DIFFERENCES and float(extent.max()) > WIDEST  # products would cancel in a wide tile
        self.compactly = len(pulling) >= WORTH_LISTS or wide
        if self.compactly:
            order = compact_order(pulling, BLOCK)
            pulling, own = pulling[order], None if own is None else own[order]
        self.heaviest = 1.0 if own is None else float(own.max())
        own = None if own is None else own / self.heaviest
        self.total = float(len(pulling)) if own is None else float(own.sum())
        self.lightest = 1.0 if own is None else float(own.min())
        inverse = 1.0 if self.gaussian else inverse_square(bandwidth / self.unit)
        reach = REACH if self.gaussian else kernel.support * math.sqrt(SLACK) * bandwidth / self.unit
        self.cloud = cloud(pulling, own, inverse=inverse, kernel=kernel.name, reach=reach)
        largest = 0.0 if self.gaussian else float(pulling.max())
        self.tiny = max(TINY * bandwidth / self.unit, ROUNDING * largest)
        self.traps = DeviceTraps.none(self.starts)
        self.n_iter = self.n_unsettled = 0
        self.tol, self.max_iter = 1e-3, 300
        self.cluster_weights: Floats = np.empty(0)
        self._known: RowTable | None = None
        self._labels: torch.Tensor | None = None

    # ------------------------------------------------------------------------------------------- coordinates

    def into(self, points: torch.Tensor) -> torch.Tensor:
        """Return points in the coordinates of the sums."""
        return (points.double() - self.origin) / self.unit

    def back(self, places: torch.Tensor) -> Floats:
        """Return places in the coordinates of the data, as NumPy: few of them."""
        return (places * self.unit + self.origin).cpu().numpy()

    def tensor(self, places: NDArray[Any]) -> torch.Tensor:
        """Return NumPy's places in the coordinates of the sums."""
        return self.into(torch.from_numpy(np.ascontiguousarray(places, np.float64)).to(self.origin.device))

    # ------------------------------------------------------------------------------------------------- climbs

    def climb_rows(self, starts: torch.Tensor, tol: float, max_iter: int, known: bool = False) -> Climbed:
        """Climb in the coordinates of the sums; ``known`` says that starts have points of their own or climbed."""
        if known or not self.compactly or not self.gaussian:
            return self._climb(starts, tol, max_iter, known)
        found = sums(self.cloud, starts, pruned=False)
        faint = found.totals * torch.exp(found.peaks) < min(FAINT * self.total, 0.5 * self.lightest)
        rows = torch.nonzero(faint)[:, 0]
        climbed = self._climb(starts, tol, max_iter, True)
        if len(rows):  # what is near them may be out of reach all the way
            for whole, part in zip(climbed, self._climb(starts[rows], tol, max_iter, False), strict=True):
                whole[rows] = part
        return climbed

    def _climb(self, starts: torch.Tensor, tol: float, max_iter: int, known: bool) -> Climbed:
        tol = tol if self.gaussian else tol * self.bandwidth / self.unit
        tiny = 1e-9 * tol if self.gaussian else self.tiny

        def rests(length: torch.Tensor, previous: torch.Tensor) -> torch.Tensor:
            short = torch.isfinite(previous) & (length <= tol * (1.0 - length / previous))
            return (length <= tol) & (short | (length <= tiny)) if self.gaussian else short | (length <= tiny)

        def shift(x: torch.Tensor) -> Sums:
            return sums(self.cloud, x, pruned=known or not self.gaussian, relative=not known)

        order = compact_order(starts, BLOCK) if self.compactly and len(starts) > BLOCK else None
        lands = None if known or self.gaussian else self._nearest_point
        climbed = climb(
            shift, starts if order is None else starts[order], self.traps, rests, max_iter,
            landing=lands, compactly=self.compactly,
        )  # fmt: skip
        if order is None:
            return climbed
        rank = torch.empty_like(order)
        rank[order] = torch.arange(len(order), device=order.device)
        return Climbed(*(part[rank] for part in climbed))

    def _nearest_point(self, q: torch.Tensor) -> torch.Tensor:
        """Return the point nearest to each row, by differences."""
        x = self.cloud.points
        out = torch.empty_like(q)
        at_once = max(1, VALUES_AT_ONCE // len(x))
        for start in range(0, len(q), at_once):
            squares = sum((q[start : start + at_once, k, None] - x[:, k]).square() for k in range(q.shape[1]))
            out[start : start + at_once] = x[torch.as_tensor(squares).argmin(dim=1)]
        return out

    # ------------------------------------------------------------------------------- what `ModeFinder` asks for

    def shift(self, queries: Floats) -> tuple[Floats, Floats]:
        """Return the mean and the unnormalised density at a few places."""
        q = self.tensor(queries)
        found = sums(self.cloud, q, pruned=False)
        return self.back(q + found.steps), (found.totals * torch.exp(found.peaks)).cpu().numpy() * self.heaviest

    def climb(self, starts: Floats, *, tol: float, max_iter: int, n_jobs: int | None = None) -> tuple[Floats, Ints]:
        """Climb from a few places to rest."""
        ends, steps, _ = self.climb_rows(self.tensor(starts), tol, max_iter)
        return self.back(ends), steps.cpu().numpy()

    def newton(self, queries: Floats) -> tuple[Floats, NDArray[np.bool_]]:
        """Return the Newton step to the stationary point near each query, and whether log f is concave there."""
        q = self.tensor(queries)
        steps, concave = np.zeros(q.shape), np.zeros(len(q), bool)
        at_once = max(1, HESSIANS_AT_ONCE // q.shape[1] ** 2)
        for start in range(0, len(q), at_once):
            part = np.arange(start, min(start + at_once, len(q)))
            s, hessian = (found.cpu().numpy() for found in hessians(self.cloud, q[start : start + at_once]))
            up = np.linalg.eigvalsh(hessian)[:, 0] > CONCAVE
            concave[part] = up
            steps[part[up]] = np.linalg.solve(hessian[up], s[up][:, :, None])[:, :, 0]
        return steps * self.bandwidth, concave

    # --------------------------------------------------------------------------------------------- what is asked

    def keep_labels(self, labels: torch.Tensor) -> None:
        """Keep the labels of the points of the fit: `label` gives them again."""
        self._known, self._labels = RowTable(self.starts), labels

    def label(self, points: torch.Tensor, modes: Floats) -> torch.Tensor:
        """Label points (n, d) by the mode (k, d) that they climb to, int32; those of the fit as the fit did."""
        x = self.into(points)
        if self._known is not None and self._labels is not None:
            number = self._known.find(x)
            out = torch.where(number >= 0, self._labels[number.clamp(min=0)], -1)
        else:
            out = torch.full((len(x),), -1, dtype=torch.int32, device=x.device)
        rows = torch.nonzero(out < 0)[:, 0]
        if len(rows):
            ends = self.climb_rows(x[rows], self.tol, self.max_iter).ends
            out[rows] = nearest_row(ends, self.tensor(modes)).int()
        return out

    def log_density(self, points: torch.Tensor) -> torch.Tensor:
        """Return the log of the normalised density at points (n, d), float64, finite however far away they are."""
        if not self.gaussian:
            raise ValueError("The log density is that of the Gaussian kernel.")
        x = self.into(points)
        overflows = (x.abs() > FARTHEST).any(dim=1)  # the square of its distance does
        found = sums(self.cloud, torch.where(overflows[:, None], 0.0, x), pruned=False)
        logs = found.peaks + found.totals.log() - log_normaliser(self.total, points.shape[1], self.bandwidth)
        return torch.where(overflows, -torch.inf, logs)
