r"""A few rounds of blurring mean shift on few points: the fast.ai notebook's case, as one CUDA graph.

    X <- m(X),    m(x) = sum_j exp(-|x - x_j|^2 / 2 h^2) x_j / sum_j exp(-|x - x_j|^2 / 2 h^2)

all rows at once, or batch by batch in place. The sums of 1500 points take microseconds, less than a launch: so all
rounds are recorded once for a shape of the data, and replayed for others of that shape. Recorded are one launch a batch
(`engines.triton.rounds`) up to three columns, and the sums of `engines.gpu.shift` beyond. Without CUDA the same runs
step by step.
"""

import math
import threading
from collections import OrderedDict

import numpy as np
import torch
from numpy.typing import NDArray

from modeseek.engines import triton
from modeseek.engines.gpu.shift import DIFFERENCES, cloud, sums

FEW = 1 << 14  # points: beyond, launches no longer count, and what a graph holds does
KEPT = 8  # graphs
FINE = 5e-6  # bandwidths
WARM_UP = 2  # rounds before recording: kernels are compiled, and libraries loaded


def blur_few(x: torch.Tensor, bandwidth: float, n_rounds: int, batch: int) -> tuple[torch.Tensor, NDArray[np.float64]]:
    """Return where few points (n, d) move, and their bounds (2, d), which tell whether all are finite.

    Parameters
    ----------
    x : tensor of shape (n, d)
        Points, contiguous; left as they are.
    bandwidth : float
        Standard deviation h of the Gaussian.
    n_rounds : int
        Number of rounds, at least 1.
    batch : int
        Rows that move together; n: all at once.
    """
    if not x.is_cuda:
        return rounds(x, bandwidth, n_rounds, batch), torch.stack(torch.aminmax(x, dim=0)).cpu().double().numpy()
    key = (x.device, x.dtype, tuple(x.shape), bandwidth, n_rounds, batch)
    with _one_at_a_time:  # a graph has one place for what is given
        recorded = _recorded.pop(key, None) or _Recorded(x, bandwidth, n_rounds, batch)
        _recorded[key] = recorded  # the latest is last
        while len(_recorded) > KEPT:
            _recorded.popitem(last=False)
        return recorded.replay(x)


def rounds(x: torch.Tensor, bandwidth: float, n_rounds: int, batch: int) -> torch.Tensor:
    """Return where points move, step by step."""
    if triton.runs_on(x) and x.shape[1] <= 3:
        return fused(x, bandwidth, n_rounds, batch)
    return plain(x, bandwidth, n_rounds, batch)


def fused(x: torch.Tensor, bandwidth: float, n_rounds: int, batch: int) -> torch.Tensor:
    """Return where points move: a launch for each batch."""
    from modeseek.engines.triton.rounds import INVERSE_LN2, move

    factor = x.new_full((1,), -0.5 * INVERSE_LN2 / (bandwidth * bandwidth))
    moved = torch.empty_like(x)
    spare = torch.empty_like(x)
    for _ in range(n_rounds):
        for start in range(0, len(x), batch):
            move(x, moved, factor, start, min(start + batch, len(x)))
        x, moved, spare = moved, spare, moved
    return x


def plain(x: torch.Tensor, bandwidth: float, n_rounds: int, batch: int) -> torch.Tensor:
    """Return where points move, by `sums`, about their mean and in bandwidths."""
    middle = x.mean(dim=0)
    scaled = (x - middle) / bandwidth
    for _ in range(n_rounds):
        for start in range(0, len(x), batch):
            rows = slice(start, start + batch)
            steps = sums(cloud(scaled), scaled[rows], relative=False).steps
            scaled = torch.cat([scaled[:start], scaled[rows] + steps, scaled[start + batch :]])
    return scaled * bandwidth + middle


class _Recorded:
    """A CUDA graph of all rounds, and the memory that it reads and writes."""

    def __init__(self, x: torch.Tensor, bandwidth: float, n_rounds: int, batch: int):
        self.given = x.clone()
        self.bounds = torch.empty(2, x.shape[1], dtype=torch.float64, pin_memory=True)
        device = x.device
        with torch.cuda.device(device):
            aside = torch.cuda.Stream(device)
            aside.wait_stream(torch.cuda.current_stream(device))
            with torch.cuda.stream(aside):
                rounds(self.given, bandwidth, WARM_UP, batch)
                torch.stack(torch.aminmax(self.given, dim=0)).double()
            torch.cuda.current_stream(device).wait_stream(aside)
            self.graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(self.graph, capture_error_mode="thread_local"):  # other threads may go on
                self.ends = torch.stack(torch.aminmax(self.given, dim=0)).double()
                self.moved = rounds(self.given, bandwidth, n_rounds, batch)

    def replay(self, x: torch.Tensor) -> tuple[torch.Tensor, NDArray[np.float64]]:
        """Return where points of the recorded shape move, and their bounds."""
        with torch.cuda.device(x.device):
            self.given.copy_(x)
            self.graph.replay()
            moved = self.moved.clone()
            self.bounds.copy_(self.ends, non_blocking=True)
            torch.cuda.current_stream(x.device).synchronize()
        return moved, self.bounds.numpy().copy()


_one_at_a_time = threading.Lock()
_recorded: OrderedDict[tuple[object, ...], _Recorded] = OrderedDict()


def resolved(dtype: torch.dtype, bounds: NDArray[np.float64], bandwidth: float) -> bool:
    """Tell whether coordinates of a dtype are fine enough beside the bandwidth: to 1e-5 of it after some rounds."""
    largest = float(np.abs(bounds).max())
    if not math.isfinite(largest) or largest * torch.finfo(dtype).eps > FINE * bandwidth:
        return False
    if bounds.shape[1] <= DIFFERENCES:
        return True
    radius2 = float(np.square(0.5 * (bounds[1] - bounds[0]) / bandwidth).sum())  # of what squared distances cancel from
    return 0.1 * radius2 * torch.finfo(dtype).eps <= FINE
