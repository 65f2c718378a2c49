r"""Bounds carried with the sums: what exact density, step and Jacobian can be anywhere in the cell of a node.

With E_x[.] the mean over the points under the weights w_i k(x - x_i), the errors of one axis (`errors`) bound what
sketch and table together did to density f, step s = m(x) - x and Jacobian J of m:

    |f~ / (A f) - 1|  <=  E_x[sum E0] =: kappa,
    |s~ - s|          <=  (E_x[|d| sum E0 + sum E1] + |s| kappa) / (1 - kappa)  =: eta,

and likewise J. These means are sums of positive kernels over the masses: they are convolved on a coarse grid with
the kernels' suprema over all that a coarse cell and a block of masses can hold, so that one value serves a whole
cell. Between nodes J is interpolated. The second derivatives of v^T J v along the axes are fourth cumulants of the
points, and add up to P - N, 0 <= P <= M4 and 0 <= N <= (tr J + 2 |J|) |J|, with Mp = E_x|d - s|^p. What is
interpolated linearly is off by at most

    c_d side^2 / 8 max(M4, (tr J + 2 |J|) |J|),

c_d the mean of the largest of d times at which Brownian motions leave an interval, over the mean of one. By cubics it
is off by fourth derivatives, read from fourth differences up to their own second derivatives, eighth cumulants:

    |kappa_8|  <=  M8 + 28 M6 |J| + 56 M5 M3 + 35 M4^2 + 420 M4 |J|^2 + 560 M3^2 |J| + 630 |J|^4.

log f follows from f, s and J at the node by Taylor's theorem. Lengths are in bandwidths throughout. The paper
(``paper/main.typ``) has the proofs.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modeseek.engines.threads import run_chunks
from modeseek.fields import Floats, Ints
from modeseek.fields.covers import coarse_sums
from modeseek.fields.nodes import MARGIN
from modeseek.fields.table import TableField

Bools = NDArray[np.bool_]

NODES_PER_CHUNK = 1 << 12


@dataclass(frozen=True)
class CellBounds:
    """Bounds over the cell of every node, flat. Where ``known`` is false only ``high`` holds.

    Attributes
    ----------
    known : ndarray of bool
        Whether the sums say anything here.
    low, high : ndarray
        Least and greatest density of the points, in weights.
    near : ndarray of shape (n_nodes, 6)
        What `bend` and tubes need: the largest and least eigenvalue of the tabulated J - I at the node; and in all
        cells around the node's the slack of what is interpolated from them, by how much J changes at most over one
        node spacing, and the largest error of a step in bandwidths (infinite where unknown). The last is left to
        name a trap beside the cell, -1 for none.
    jacobian : ndarray of shape (d (d + 1) / 2, n_nodes)
        The tabulated J - I at the nodes, its upper triangle.
    maxima : ndarray of bool
        Whether the largest eigenvalue of J - I may be below 0 anywhere in the cell: if not, no mode is in it.
    stationary : ndarray of bool
        Whether a step may vanish in the cell.
    """

    known: Bools
    low: Floats
    high: Floats
    near: Floats
    jacobian: Floats
    maxima: Bools
    stationary: Bools


def cell_bounds(field: TableField, lightest: float, n_jobs: int | None = None) -> CellBounds:
    """Bound density, step and Jacobian of exact mean shift over the cell of every node of the table."""
    from modeseek.engines.cpu import bounds as kernels

    nodes, table = field.nodes, field.table
    shape, d, n = nodes.masses.shape, nodes.masses.ndim, nodes.masses.size
    side = nodes.delta / field.bandwidth
    amplitude = (field.kernel_bandwidth / field.bandwidth) ** d * nodes.units_per_weight
    scales = np.array([1.0 / amplitude, side * field.factor, field.factor, side, 0.5 * side * np.sqrt(d)])
    sums, coarse = coarse_sums(field, lightest, n_jobs)
    steps = np.array([int(np.prod(shape[axis + 1 :])) for axis in range(d)], np.int64)
    density, highest, lowest, eta, second, fourth, eighth = np.zeros((7, n))
    shift, hessian = np.zeros((d, n)), np.zeros((d * (d + 1) // 2, n))
    swing, curve, four, coarser, rest, beyond, low = np.zeros((7, n))
    wrong, doubt, wide_doubt = np.full((3, n), np.inf)
    near, wide = np.full((3, n), np.inf), np.full((n, 6), -1.0)
    known, maxima, stationary = np.zeros(n, bool), np.ones(n, bool), np.ones(n, bool)
    high = sums[0, coarse]
    halo = int(steps.sum())  # how far the neighbours of a node are in the flat arrays
    beside = 2 * int(steps[1:].sum())  # scratch beside a chunk's own

    def local(start: int, stop: int) -> None:
        kernels.local(
            table, table.size // n, steps, scales, sums, coarse, start, stop, density, shift, hessian,
            highest, lowest, eta, wrong, second, fourth, eighth, d,
            np.empty((5 + d * (d + 1), stop - start + beside)),
        )  # fmt: skip

    def differences(start: int, stop: int) -> None:
        kernels.differences(steps, start, stop, hessian, swing, curve, four, d, np.empty((4, stop - start)))

    def gather(start: int, stop: int) -> None:
        kernels.gather(
            steps, scales, start, stop, highest, wrong, second, fourth, eighth, doubt, coarser, rest, d,
            np.empty((6, stop - start + beside)),
        )  # fmt: skip

    def spread(start: int, stop: int) -> None:
        scratch = np.empty((3, stop - start + beside))
        kernels.spread(steps, start, stop, doubt, rest, four, wide_doubt, beyond, d, scratch)

    def over_cells(start: int, stop: int) -> None:
        kernels.over_cells(
            steps, scales, start, stop, density, shift, highest, lowest, eta, swing, curve, wide_doubt, coarser, beyond,
            sums, coarse, known, low, high, near, maxima, stationary, d, np.empty((6, stop - start + beside)),
        )  # fmt: skip

    def widen(start: int, stop: int) -> None:
        kernels.widen(steps, start, stop, highest, lowest, near, wide, np.empty((4, stop - start + beside)))

    # each pass needs neighbours for which the pass before means something; the last fills in what it can
    passes = (local, 1), (differences, 2), (gather, 3), (spread, 4), (over_cells, 5), (widen, 5)
    for work, margin in passes:

        def chunk(_: int, start: int, stop: int, margin: int = margin * halo, work: Any = work) -> None:
            start, stop = max(start, margin), min(stop, n - margin)
            if start < stop:
                work(start, stop)

        run_chunks(n, chunk, n_jobs, NODES_PER_CHUNK)
    wide[~inner_nodes(shape, MARGIN), 2:5] = np.inf
    known &= inner_nodes(shape, MARGIN - 1)
    unknown = ~known
    high[unknown], low[unknown] = sums[0, coarse[unknown]], 0.0
    maxima[unknown] = stationary[unknown] = True
    wide[unknown, 2:5] = np.inf
    return CellBounds(known, low, high, wide, hessian, maxima, stationary)


def bend(
    field: TableField, bounds: CellBounds, places: Floats, radius: float | Floats
) -> tuple[Floats, Floats, Floats]:
    """Bound the eigenvalues of J - I over balls around places.

    Returns the least eigenvalue anywhere, the largest anywhere, and what the largest is at least everywhere. The
    radius, in node spacings, is at most 1.
    """
    nodes = field.nodes
    highest, lowest = _interpolated(field, bounds.near[:, :2].T, places)
    u = (places - nodes.corner) / nodes.delta
    at = nodes.nearest(places)
    swing = bounds.near[at, 3]
    with np.errstate(invalid="ignore"):
        slack = bounds.near[at, 2] + swing * radius
        least = np.maximum(lowest - slack, -1.0)
        # an eigenvalue of the interpolated matrix may be below the interpolated eigenvalue by what J changes
        return least, highest + slack, bounds.near[at, 0] - slack - swing * np.abs(u - np.round(u)).sum(axis=1)


def moves_along_an_axis(
    field: TableField, bounds: CellBounds, places: Floats, steps: Floats, radius: float | Floats
) -> Bools:
    """Tell where the exact step vanishes nowhere in balls around places: of some axis of J it keeps the sign.

    With J v = lambda v for the tabulated J, v * s changes over the ball by at most |lambda| and what J itself changes,
    times its radius. On a ridge this excludes a step along it, however little that is beside the pull back to the
    ridge. ``steps`` are those of the table, in bandwidths, ``radius`` is in node spacings, at most 1.
    """
    d, at = len(field.shape), field.nodes.nearest(places)
    jacobian = np.empty((len(places), d, d))
    rows, columns = np.triu_indices(d)
    jacobian[:, rows, columns] = jacobian[:, columns, rows] = _interpolated(field, bounds.jacobian, places).T
    values, axes = np.linalg.eigh(jacobian)
    along = np.abs(np.einsum("ij,ijk->ik", steps, axes))
    with np.errstate(invalid="ignore"):
        change = bounds.near[at, 2] + bounds.near[at, 3] * radius
        most = ((np.abs(values.T) + change) * (radius * field.nodes.delta / field.bandwidth)).T
        return np.any(along - bounds.near[at, 4][:, None] > most, axis=1)


def _interpolated(field: TableField, values: Floats, places: Floats) -> Floats:
    """Interpolate values (k, n_nodes) linearly between the nodes around each place."""
    nodes = field.nodes
    u = (places - nodes.corner) / nodes.delta
    first = np.floor(u).astype(np.int64)
    share = u - first
    out = np.zeros((len(values), len(u)))
    for corner in np.ndindex(*(2,) * u.shape[1]):
        weight = np.where(corner, share, 1.0 - share).prod(axis=1)
        out += weight * values[:, np.ravel_multi_index(tuple((first + corner).T), nodes.masses.shape, mode="clip")]
    return out


def neighbours(shape: tuple[int, ...]) -> Ints:
    """Flat offsets of the 3^d cells around one, itself included, in C order."""
    offsets = np.zeros(1, np.int64)
    for axis in range(len(shape)):
        stride = int(np.prod(shape[axis + 1 :]))
        offsets = np.add.outer(offsets, np.array([-stride, 0, stride])).reshape(-1)
    return offsets


def inner_nodes(shape: tuple[int, ...], margin: int) -> Bools:
    """Tell which nodes (flat) have at least so many others on every side."""
    inner = np.zeros(shape, bool)
    inner[(slice(margin, -margin),) * len(shape)] = True
    return inner.reshape(-1)
