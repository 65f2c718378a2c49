r"""What low precision proves about distances: a value for each pair, and a threshold for each query.

Points are looked at from their middle, scaled by a power of two so that most coordinates are at most 1. Of a point X
(a query Q) there in float64 a rounded copy x (q) is kept: float32, or TF32, which is float32 with 10 bits. The value of
a pair is

- of few columns |q - x|^2, column by column: |q - x| is off by at most u (|Q| + |X|), sums by (d + 3) u, u = 2^-24;
- of many h = |X|^2 / 2 - q.x, for H = |X|^2 / 2 - Q.X = (|Q - X|^2 - |Q|^2) / 2:
  |h - H| <= e(|X|) = |X| (|Q - q| + (rho + a) |q|) + 4 u (|X| + |Q|)^2, where rho is the largest |X - x| / |X| and a
  what sums of d products are off by: (d + 16) 2^-22 on the matrix units, which cut off what float32 rounds.

A point within r of Q has |X| <= |Q| + r. So what has a value above that of r and e(|Q| + r) is farther than r, whatever
other points there are: outliers cost nothing. Subnormal numbers vanish; `TINY` is more than that costs.
"""

import math
from dataclasses import dataclass

import torch

from modeseek.engines.gpu.memory import room_for

U = 2.0**-24
TINY = 1e-28  # more than products and squares lose that vanish in float32
DIRECT = 8  # columns up to which differences are squared
FARTHEST = 2.0**48  # coordinates of queries beyond are not screened
SAMPLE = 1 << 16
EVERYWHERE = 1e30  # a radius that holds every point, of any query
LARGEST = 3e38  # of float32
ROWS_AT_ONCE = 1 << 18


class Frame:
    """Where points are looked at from, the middle of most of them, and in which unit: about how far most are from it.

    Parameters
    ----------
    X : Tensor of shape (n, d)
        Points, finite.
    """

    def __init__(self, X: torch.Tensor):
        low, high = (end.double() for end in torch.aminmax(X, dim=0))
        step = -(-len(X) // min(len(X), SAMPLE))
        sample = X[::step].double()
        self.middle = _median(sample)
        most = float(_median((sample - self.middle).abs().amax(dim=1)))
        largest = float(torch.maximum(high - self.middle, self.middle - low).max())
        unit = max(most, largest / FARTHEST) or largest
        self.scale = math.ldexp(1.0, -math.frexp(unit)[1]) if unit > 1e-290 else 1.0

    def into(self, X: torch.Tensor) -> torch.Tensor:
        """Return rows in these coordinates, float64."""
        return (X.double() - self.middle) * self.scale


def _median(values: torch.Tensor) -> torch.Tensor:
    """Return the middle of the sorted values of each column."""
    return torch.sort(values, dim=0).values[len(values) // 2]


class Screen:
    """Rounded points, in an order that spreads any few of them over all rows.

    Parameters
    ----------
    X : Tensor of shape (n, d)
        Points as given.
    frame : Frame
        Where they are looked at from.
    kind : {"direct", "tf32", "ieee"}
        Squared differences, products in TF32, or in float32.
    """

    def __init__(self, X: torch.Tensor, frame: Frame, kind: str):
        n, d = X.shape
        self.kind, self.d, self.n, self.frame = kind, d, n, frame
        self.step = _stride(n)
        wide = _padded(d)
        shape = (d, n) if kind == "direct" else (n, wide)
        with room_for(f"{n} rounded points", 4.0 * n * (shape[0] * shape[1] / n + 2), str(X.device)):
            self.points = torch.empty(shape, dtype=torch.float32, device=X.device)
            self.norms = torch.empty(n, dtype=torch.float32, device=X.device)
            self.halves = torch.empty(0 if kind == "direct" else n, dtype=torch.float32, device=X.device)
        rho = torch.zeros((), dtype=torch.float64, device=X.device)
        for start in range(0, n, ROWS_AT_ONCE):
            positions = torch.arange(start, min(start + ROWS_AT_ONCE, n), device=X.device)
            exact = frame.into(X[self.rows(positions)])
            norms = _norms(exact)
            self.norms[positions] = (norms * (1.0 + 2.0**-22)).float()  # never too small
            if kind == "direct":
                self.points[:, start : start + len(positions)] = exact.T.float()
                continue
            rounded = _rounded(exact, kind)
            self.points[positions] = _widened(rounded, wide)
            self.halves[positions] = (0.5 * norms * norms).float()
            lost = (_norms(exact - rounded.double()) - 1e-36).clamp(min=0.0)
            rho = torch.maximum(rho, (lost / norms.clamp(min=1e-300)).max())
        sums = {"direct": 0.0, "tf32": (d + 16) * 2.0**-22, "ieee": (d + 16) * 2.0**-23}[kind]
        self.off = rho + sums  # of a product, in |X| |q|

    def rows(self, positions: torch.Tensor) -> torch.Tensor:
        """Return the rows of the points at some positions of this screen."""
        return positions.long() * self.step % self.n

    def positions(self, rows: torch.Tensor) -> torch.Tensor:
        """Return where the points of some rows are."""
        return rows * pow(self.step, -1, self.n) % self.n if self.n > 1 else rows

    def ask(self, Q: torch.Tensor) -> "Asked":
        """Return queries as this screen compares them."""
        exact = self.frame.into(Q)
        lost = (exact.abs() > FARTHEST).any(dim=1)
        exact = exact.clamp(-FARTHEST, FARTHEST)
        if self.kind == "direct":
            rounded = exact.float()
            values = rounded.T.contiguous()
        else:
            rounded = _rounded(exact, self.kind)
            values = _widened(rounded, self.points.shape[1])
        return Asked(self, values, _norms(exact), _norms(rounded.double()), _norms(exact - rounded.double()), lost)


@dataclass(frozen=True)
class Asked:
    """Queries of a screen; radii below are in its frame, float64."""

    screen: Screen
    values: torch.Tensor  # (m, columns), (d, m) of squared differences
    norms: torch.Tensor  # |Q|
    rounded: torch.Tensor  # |q|
    error: torch.Tensor  # |Q - q|
    lost: torch.Tensor  # too far away to be screened

    def __len__(self) -> int:
        return len(self.norms)

    def upper(self, radii: torch.Tensor) -> torch.Tensor:
        """Return what no point within the radii has a value above, float32."""
        limit = torch.where(self.lost, torch.inf, self._most(radii.clamp(max=EVERYWHERE)))
        return _raised(limit).clamp(max=LARGEST).float()

    def lower(self, radii: torch.Tensor) -> torch.Tensor:
        """Return what no point beyond the radii has a value below, float32."""
        u, norms, radii = U, self.norms, radii.clamp(max=EVERYWHERE)
        if self.screen.kind == "direct":
            left = (radii * (1.0 - 2.0 * u) - 2.0 * u * norms - 1e-30).clamp(min=0.0)
            limit = (left * left - TINY) * (1.0 - (self.screen.d + 6) * u)
            proves = limit > 0.0
        else:
            limit = 0.5 * (radii - norms) * (radii + norms) - self._off(norms + radii)
            proves = radii > 2.0 * (self._slope() + 8.0 * u * (2.0 * norms + radii)) + 1e-12
        return torch.where(proves & ~self.lost, -_raised(-limit), -torch.inf).float()

    def reach(self, values: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
        """Return what the distance of points (m, k) at most is, by their values; infinite where one is not there."""
        far = self.screen.norms[positions.long()].double()
        norms, there = self.norms[:, None], torch.isfinite(values)
        if self.screen.kind == "direct":
            squares = values.double() * (1.0 + (self.screen.d + 6) * U) + TINY
            distances = squares.sqrt() + 2.0 * U * (norms + far) + 1e-30
        else:
            off = self._slope()[:, None] * far + 4.0 * U * (far + norms) ** 2 + TINY
            distances = (norms * norms + 2.0 * (values.double() + off)).clamp(min=0.0).sqrt()
        return torch.where(there & ~self.lost[:, None], distances * (1.0 + 1e-9), torch.inf).amax(dim=1)

    def _most(self, radii: torch.Tensor) -> torch.Tensor:
        norms = self.norms
        if self.screen.kind == "direct":
            reach = radii + 2.0 * U * (2.0 * norms + radii) + 1e-30
            return reach * reach * (1.0 + (self.screen.d + 6) * U) + TINY
        return 0.5 * (radii - norms) * (radii + norms) + self._off(norms + radii)

    def _slope(self) -> torch.Tensor:
        return self.error + self.screen.off * self.rounded

    def _off(self, far: torch.Tensor) -> torch.Tensor:
        """Return e(far): what the value of a point at that distance from the middle is off by."""
        return self._slope() * far + 4.0 * U * (far + self.norms) ** 2 + TINY


def _norms(rows: torch.Tensor) -> torch.Tensor:
    return torch.linalg.vector_norm(rows, dim=1)


def _raised(limit: torch.Tensor) -> torch.Tensor:
    """Return limits that are no smaller when they are rounded to float32."""
    return limit + limit.abs() * 2.0**-23 + 1e-37


def _rounded(exact: torch.Tensor, kind: str) -> torch.Tensor:
    """Return float32, of which TF32 leaves nothing out: to the nearest number of 10 bits."""
    single = exact.float()
    if kind != "tf32":
        return single
    bits = single.view(torch.int32)
    return ((bits + 0x1000) & ~0x1FFF).view(torch.float32)


def _padded(d: int) -> int:
    """Return the number of columns that tiles hold: a power of two from 16 to 128, or a multiple of 64."""
    return max(16, 1 << (d - 1).bit_length()) if d <= 128 else -(-d // 64) * 64


def _widened(rows: torch.Tensor, wide: int) -> torch.Tensor:
    return torch.nn.functional.pad(rows, (0, wide - rows.shape[1])).contiguous()


def _stride(n: int) -> int:
    """Return a step near the golden section that visits every row: the first few are spread evenly."""
    step = max(1, round(n * 0.6180339887498949))
    while math.gcd(step, n) != 1:
        step += 1
    return step
