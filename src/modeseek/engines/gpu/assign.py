r"""The nearest centre of each row, the first of equally near ones: labels of float64 at the rate of halves.

About an origin amid the points, in units of a power of two that bring the centres into [-1, 1], the nearest centre is
the one of the greatest

    s_j = x.c_j - |c_j|^2 / 2.

A kernel keeps the best two scores of each row. Where they are further apart than both can be wrong, the best is the
nearest centre; what is left is looked at more closely, and at last in float64, by differences, which is the definition.

*Products of halves.* Half precision has the 11 significant bits of TF32 at twice its rate, and range enough once the
centres are in [-1, 1]; products of two halves are exact in float32. With x = x' + x", c = c' + c", x' and c' halves
(rounded by us, so that nothing hangs on how the hardware rounds its input), C >= |c_j|, H = C^2 / 2, e = 2^-22:

    |x.c - x'.c'| <= |x"| C + |x| |c"|        (|x"| and |c"| <= 2^-11 |x| and |c|; measured, they are less)
    sum of d products and H in float32        <= (d + 16) e (|x| C + H)

The latter is four times what rounded sums need: matrix units add groups of products less carefully (they cut bits off).
The number of the centre takes the place of the last bits of its score, at most m ulps for m centres a tile:
m 2^-23 (|x| C + H). x is itself rounded twice when it is moved and scaled: 2^-23 |x| C.

*Halves of what halves cut off.* x = x' + x" + x"' and the products x'.c' + x".c' + x'.c": what is left out is

    |x"| |c"| + |x| |c"'| + |x"'| C,        |x"| <= 2^-11 |x| + 2^-24 sqrt(d),

three products for an error of 2^-21 instead of 2^-10. It is used for the rows that the first screen leaves open.

*Few columns.* Multiplications in float32: (d + 6) 2^-24 (|x| C + H), as on the CPU (`engines.cpu.lloyd`).

To each bound comes what float64 itself, the definition, is off by: (d + 4) 2^-52 (|x|^2 + C^2). A row is decided where
its best two differ by more than twice the bound, here

    alpha |x"| + beta |x| + gamma + delta |x|^2.

Numbers that overflow half precision give infinite bounds, and so float64. The twin in plain Torch multiplies in
float64, whatever precision the user has set for products of float32.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from modeseek.engines import triton

FEW = 4  # columns up to which float32 multiplications cost no more than the rest of a screen
SHIFT = 2.0**11
SAFE = 1.02  # for the rounding of bounds
TINY = 1e-30
VALUES_AT_ONCE = 1 << 25  # of the twin's temporaries, float64
TAME = 60  # powers of two: coordinates about the origin that float32 can be scaled from


@dataclass(frozen=True)
class Frame:
    """Where points lie: what is subtracted of them, exactly (``base``), and an origin amid them for screens.

    Both are (d,) float64; the dtype of the points has the values of the origin. ``unit`` is a power of two that brings
    the points into [-1, 1]; ``wide`` tells whether they are moved and scaled in float64.
    """

    base: torch.Tensor
    origin: torch.Tensor
    unit: float
    wide: bool

    @classmethod
    def of(
        cls, points: torch.Tensor, ends: NDArray[np.float64], middle: NDArray[np.float64], base: NDArray[np.float64]
    ) -> "Frame":
        """Make a frame of points with bounds (2, d), an origin near ``middle``, and what is subtracted."""
        single = points.dtype == torch.float32
        origin = middle.astype(np.float32).astype(np.float64) if single else middle
        reach = float(np.abs(ends - origin).max())
        power = math.frexp(reach)[1] if reach > 0.0 else 0
        device = points.device
        return cls(
            torch.from_numpy(base.astype(np.float64)).to(device),
            torch.from_numpy(origin.astype(np.float64)).to(device),
            math.ldexp(1.0, -power),
            not single or abs(power) > TAME,
        )

    def without_base(self) -> "Frame":
        """Return the frame for centres in the user's coordinates."""
        return Frame(torch.zeros_like(self.base), self.origin, self.unit, self.wide)


@dataclass(frozen=True)
class Layout:
    """Centres as a screen wants them: a whole number of tiles of them, in units about the origin, and its bound."""

    unit: torch.Tensor  # (1,) float64
    slack: torch.Tensor  # (4,) float32: alpha, beta, gamma, delta
    leading: torch.Tensor  # (k', d') halves; in few columns (d, k') float32
    following: torch.Tensor  # (k', d') halves of what these cut off, times SHIFT
    half: torch.Tensor  # (k',) float32: half their squares
    width: int  # d', a power of two up to WHOLE columns, else whole pieces
    tile: int  # centres of a tile
    splits: bool


@dataclass(frozen=True)
class Open:
    """Rows that a screen left open: the first ``count`` of ``rows``. Only the device knows how many there are."""

    rows: torch.Tensor
    count: torch.Tensor

    @classmethod
    def none(cls, n: int, device: torch.device) -> "Open":
        """Return an empty list with room for n rows."""
        dtype = torch.int32 if n < 2**31 else torch.int64
        return cls(torch.empty(n, dtype=dtype, device=device), torch.zeros(1, dtype=dtype, device=device))


def nearest(points: torch.Tensor, frame: Frame, centres: torch.Tensor, out: torch.Tensor | None = None) -> torch.Tensor:
    """Return the number of the nearest centre of each row, int32: that of float64, of equally near ones the first.

    Parameters
    ----------
    points : tensor of shape (n, d)
        Finite, contiguous, float32 or float64.
    frame : Frame
        Where they lie.
    centres : tensor of shape (k, d), float64
        Less ``frame.base``.
    out : tensor of shape (n,), int32, optional
        Where to write. Beside it a row costs 8 bytes.

    Notes
    -----
    With Triton, on NVIDIA's devices from Ampere on, the host waits for nothing.
    """
    labels = torch.empty(len(points), dtype=torch.int32, device=points.device) if out is None else out
    if len(centres) == 1:
        return labels.zero_()
    if _has_kernels(points):
        screened(points, frame, centres, labels)
    else:
        multiplied(points, frame, centres, labels)
    return labels


def _has_kernels(points: torch.Tensor) -> bool:
    if not triton.runs_on(points):
        return False
    from modeseek.engines.triton.assign import fits

    return not points.is_cuda or fits(points.device)


def screened(points: torch.Tensor, frame: Frame, centres: torch.Tensor, labels: torch.Tensor) -> tuple[Open, ...]:
    """Label rows by the kernels; return the lists of rows that each screen left open."""
    from modeseek.engines.triton import assign as kernels

    n, d = points.shape
    first = Open.none(n, points.device)
    columns = centres.T.contiguous()
    if d <= FEW:
        kernels.screen_few(points, frame, few_layout(frame, centres), labels, first)
        kernels.exact(points, frame.base, columns, labels, first)
        return (first,)
    second = Open.none(n, points.device)
    kernels.screen(points, frame, layout_of(frame, centres, splits=False), labels, first)
    kernels.screen(points, frame, layout_of(frame, centres, splits=True), labels, second, first)
    kernels.exact(points, frame.base, columns, labels, second)
    return first, second


def layout_of(frame: Frame, centres: torch.Tensor, splits: bool) -> Layout:
    """Prepare centres for a screen by halves, or by halves and what they cut off."""
    from modeseek.engines.triton import assign as kernels

    k, d = centres.shape
    tile = min(kernels.CENTRES // (4 if splits else 1), _power_of_two(k))
    width = _power_of_two(d) if d <= kernels.WHOLE else -(-d // kernels.PIECE) * kernels.PIECE
    unit, c = _in_units(frame, centres)
    leading = c.half()
    rest = c - leading.double()
    following = (rest * SHIFT).half()
    left = rest - following.double() / SHIFT if splits else rest
    squares = c.square().sum(1)
    reach, cut, lost = squares.max().sqrt(), _longest(rest), _longest(left)
    rounding = (d + 20.0) * 2.0**-22 + tile * 2.0**-23
    beta = lost + reach * (rounding + 2.0**-23)
    gamma = 0.5 * reach * reach * rounding
    if splits:
        beta, gamma = beta + 2.0**-11 * cut, gamma + 2.0**-24 * math.sqrt(d) * cut
    padding = (0, width - d, 0, -k % tile)
    return Layout(
        unit, _slack(d, reach, reach, beta, gamma),
        torch.nn.functional.pad(leading, padding), torch.nn.functional.pad(following, padding),
        _padded_halves(squares, tile), width, tile, splits,
    )  # fmt: skip


def few_layout(frame: Frame, centres: torch.Tensor) -> Layout:
    """Prepare centres for the screen of few columns."""
    from modeseek.engines.triton import assign as kernels

    k, d = centres.shape
    tile = min(kernels.FEW_CENTRES, _power_of_two(k))
    unit, c = _in_units(frame, centres)
    squares = c.square().sum(1)
    reach = squares.max().sqrt()
    rounding = (d + 6.0) * 2.0**-24 + tile * 2.0**-23
    columns = torch.nn.functional.pad(c.float(), (0, 0, 0, -k % tile)).T.contiguous()
    slack = _slack(d, reach, torch.zeros_like(reach), reach * rounding, 0.5 * reach * reach * rounding)
    return Layout(unit, slack, columns, columns, _padded_halves(squares, tile), d, tile, False)


def _in_units(frame: Frame, centres: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the power of two that brings the centres into [-1, 1], about the origin, and the centres there."""
    shifted = centres - (frame.origin - frame.base)
    reach = shifted.abs().max()
    power = torch.frexp(reach).exponent.long()
    unit = ((1023 - power).clamp(1, 2046) << 52).view(torch.float64)
    unit = torch.where(reach > 0.0, unit, torch.full_like(unit, frame.unit))
    return unit.reshape(1), shifted * unit


def _slack(d: int, reach: torch.Tensor, alpha: torch.Tensor, beta: torch.Tensor, gamma: torch.Tensor) -> torch.Tensor:
    """Return twice the bound of one score, as coefficients of |x"|, |x|, 1 and |x|^2, rounded up."""
    own = (d + 4.0) * 2.0**-52
    parts = torch.stack([alpha, beta, gamma + own * reach * reach + TINY, torch.full_like(reach, own)])
    return (parts * (2.0 * (SAFE + d * 2.0**-23))).float()


def _padded_halves(squares: torch.Tensor, tile: int) -> torch.Tensor:
    return torch.nn.functional.pad((0.5 * squares).float(), (0, -len(squares) % tile), value=1e38)


def _longest(rows: torch.Tensor) -> torch.Tensor:
    return rows.square().sum(1).max().sqrt()


def _power_of_two(number: int) -> int:
    """Return the least power of two that is at least a number and 16, the least side of a tile."""
    return max(16, 1 << (number - 1).bit_length())


def multiplied(points: torch.Tensor, frame: Frame, centres: torch.Tensor, labels: torch.Tensor) -> None:
    """Label rows in plain Torch: by products in float64 with their bound, by differences where they leave it open."""
    (n, d), k = points.shape, len(centres)
    origin = frame.origin
    shifted = centres - (origin - frame.base)
    half = 0.5 * shifted.square().sum(1)
    reach = (2.0 * half.max()).sqrt()
    step = max(1, VALUES_AT_ONCE // max(k, d))
    for start in range(0, n, step):
        part = points[start : start + step].double()
        x = part - origin
        scores = x @ shifted.T - half
        best, label = scores.max(1)
        scores.scatter_(1, label[:, None], -math.inf)
        norm = x.square().sum(1).sqrt()
        slack = (d + 8.0) * 2.0**-51 * SAFE * (norm + reach).square()
        labels[start : start + step] = label
        rows = torch.nonzero(~(best - scores.max(1).values > slack)).flatten()
        if len(rows):
            labels[start + rows] = compared(part[rows] - frame.base, centres)


def compared(x: torch.Tensor, centres: torch.Tensor) -> torch.Tensor:
    """Return the number of the nearest centre of rows by squared differences in float64, added column by column."""
    out = torch.empty(len(x), dtype=torch.int32, device=x.device)
    step = max(1, VALUES_AT_ONCE // len(centres))
    for start in range(0, len(x), step):
        part = x[start : start + step]
        total = torch.zeros(len(part), len(centres), dtype=torch.float64, device=x.device)
        for column, values in zip(part.T, centres.T, strict=True):
            difference = column[:, None] - values
            total += difference.mul_(difference)
        out[start : start + step] = total.argmin(1)
    return out
