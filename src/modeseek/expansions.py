r"""The kernel sum over all points as Taylor polynomials in cells, to rounding: one or two columns, many points.

In one dimension, with a point at s + w and a place at t + v, both within a / 2 of the centres of their cells,

    exp(-(t + v - s - w)^2 / 2) = sum_{j,k} T_jk(t - s) w^j v^k,
    T_jk(D) = (-1)^j g^(j+k)(D) / (j! k!),      g(D) = exp(-D^2 / 2),

(the Hermite-Taylor translation of the fast Gauss transform); with a = 1/2 and all j, k up to 18 what is left out
is below 1e-17 of the kernel's height and, up to 5 bandwidths away, below 1e-15 of the kernel itself. In two
dimensions it is a product. So the points of a cell enter by their moments sum_i w_i w^j alone, products of
matrices turn the moments of all cells into polynomials of all cells, axis by axis, and a step x <- x + grad f / f
then costs one polynomial, however many points there are. Lengths are in bandwidths.

L. Greengard and J. Strain, "The fast Gauss transform", SIAM J. Sci. Stat. Comput. 12 (1991).
"""

import math

import numpy as np
from numpy.polynomial import hermite_e
from numpy.typing import NDArray

from modeseek.engines.threads import run_chunks

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

SIDE = 0.5  # of a cell, in bandwidths
DEGREE = 18
TERMS = DEGREE + 1
MAX_CELLS = 40_000  # 3 KB each, three times over
CELLS_PER_CHUNK = 64
QUERIES_PER_CHUNK = 256


class Expansions:
    """The sum over points as a polynomial in each cell of their bounding box.

    Parameters
    ----------
    columns : ndarray of shape (2, n)
        Points in order of their cells, row by row.
    weights : ndarray of shape (n,)
        Weights.
    runs : ndarray of shape (n_cells + 1,)
        Where the points of each cell begin, for all cells of the box.
    lower : ndarray of shape (2,)
        Lower corner of the box.
    dims : tuple of two integers
        Cells along each axis.
    reach : float
        Distance beyond which the kernel is left out.
    n_jobs : int, optional
        Threads.
    """

    def __init__(
        self,
        columns: Floats,
        weights: Floats,
        runs: Ints,
        lower: Floats,
        dims: tuple[int, int],
        reach: float,
        n_jobs: int | None = None,
    ):
        from modeseek.engines.cpu.expansions import moments

        self.lower, self.dims, self.n_jobs = lower, np.array(dims, np.int64), n_jobs
        sums = np.zeros((dims[0] * dims[1], TERMS, TERMS))

        def work(_: int, start: int, stop: int) -> None:
            moments(columns, weights, runs, lower, SIDE, int(dims[1]), start, stop, sums, np.empty(TERMS))

        run_chunks(len(sums), work, n_jobs, CELLS_PER_CHUNK)
        # axes: cells of the first axis, its powers, cells of the second axis, its powers
        blocks = sums.reshape(*dims, TERMS, TERMS).transpose(0, 2, 1, 3).reshape(dims[0] * TERMS, dims[1] * TERMS)
        within = math.ceil(reach / SIDE) + 1
        blocks = _translate(blocks, dims[1], within)
        blocks = _translate(blocks.T, dims[0], within).T
        by_cell = blocks.reshape(dims[0], TERMS, dims[1], TERMS).transpose(0, 2, 1, 3)
        self.polynomials = np.ascontiguousarray(by_cell).reshape(-1)

    def steps(self, x: Floats, count: int, least: float) -> tuple[Floats, Floats]:
        """Let each row of x (m, 2) make ``count`` steps, in place.

        Returns the last step, (m, 2), and the one before, infinite where there was none. The step of a row that
        leaves the box, or finds a density below ``least``, is NaN, and the row stays where it was.
        """
        from modeseek.engines.cpu.expansions import steps

        last, before = np.zeros_like(x), np.full_like(x, np.inf)

        def work(_: int, start: int, stop: int) -> None:
            steps(
                self.polynomials, self.lower, SIDE, self.dims, TERMS, least, count,
                x[start:stop], last[start:stop], before[start:stop],
            )  # fmt: skip

        run_chunks(len(x), work, self.n_jobs, QUERIES_PER_CHUNK)
        return last, before

    def newton(self, x: Floats) -> tuple[Floats, Floats, Floats]:
        """Return m(x) - x, the Jacobian of m, and the Newton step to the stationary point near x, (2,)."""
        cell = np.floor((x - self.lower) / SIDE).astype(np.int64)
        if (cell < 0).any() or (cell >= self.dims).any():
            return np.full(2, np.nan), np.eye(2), np.zeros(2)
        start = int(cell[0] * self.dims[1] + cell[1]) * TERMS**2
        polynomial = self.polynomials[start : start + TERMS**2].reshape(TERMS, TERMS)
        at = (x - self.lower - (cell + 0.5) * SIDE) * (2.0 / SIDE)
        powers = at[:, None] ** np.arange(TERMS)
        orders = np.zeros((2, 3, TERMS))  # of each axis: the powers, and their first and second derivatives
        orders[:, 0] = powers
        orders[:, 1, 1:] = powers[:, :-1] * np.arange(1, TERMS)
        orders[:, 2, 2:] = powers[:, :-2] * np.arange(1, DEGREE) * np.arange(2, TERMS)
        f = orders[0] @ polynomial @ orders[1].T  # f[j, k]: derivative j along the first axis and k along the second
        if not f[0, 0] > 0.0:  # nothing is within reach
            return np.full(2, np.nan), np.eye(2), np.zeros(2)
        s = np.array([f[1, 0], f[0, 1]]) / f[0, 0] * (2.0 / SIDE)
        curvature = np.array([[f[2, 0], f[1, 1]], [f[1, 1], f[0, 2]]]) / f[0, 0] * (2.0 / SIDE) ** 2 - np.outer(s, s)
        jacobian = np.eye(2) + curvature
        return s, jacobian, np.asarray(np.linalg.solve(-curvature, s))


def _translate(blocks: Floats, n_cells: int, within: int) -> Floats:
    """Turn the moments along the last axis of blocks, (rows, n_cells * TERMS), into polynomials."""
    blocks = np.ascontiguousarray(blocks)
    offsets = np.arange(-within, within + 1)
    matrices = _translations(-SIDE * offsets.astype(np.float64)).reshape(
        -1, TERMS
    )  # row block s - t + within: from s to t
    out = np.empty_like(blocks)
    for t in range(n_cells):
        first, last = max(0, t - within), min(n_cells, t + within + 1)
        rows = slice((first - t + within) * TERMS, (last - t + within) * TERMS)
        out[:, t * TERMS : (t + 1) * TERMS] = blocks[:, first * TERMS : last * TERMS] @ matrices[rows]
    return out


def _translations(distances: Floats) -> Floats:
    """Return T_jk(D) for each D = t - s, in powers of w and v over half a side: (len(distances), TERMS, TERMS)."""
    orders = np.arange(2 * TERMS - 1)
    # g^(n)(D) = (-1)^n He_n(D) g(D)
    derivatives = hermite_e.hermevander(distances, 2 * DEGREE) * (-1.0) ** orders
    derivatives *= np.exp(-0.5 * np.square(distances))[:, None]
    j, k = np.indices((TERMS, TERMS))
    factorials = np.array([math.factorial(n) for n in range(TERMS)], np.float64)
    scale = (-1.0) ** j * (SIDE / 2) ** (j + k) / (factorials[j] * factorials[k])
    return np.asarray(derivatives[:, j + k] * scale)
