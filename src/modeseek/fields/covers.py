r"""Sums over the points that hold anywhere in a cell: masses in blocks, convolved with kernels that cover functions.

For a function T >= 0 of distance, of one axis, a cover W has

    sum_i B_i(y) W(c_i)  >=  max of T over [y - c / 2, y + c / 2]       for every y,

B_i(y) the share of block i, at offset c_i from the middle of a coarse cell, of a point at offset y, c the side of
blocks and cells. Masses in blocks times W are then at least what the points do, wherever in its blocks a point lies and
wherever in the cell one looks. Functions of several axes are sums of products of such, and so are their covers.

What rounding may have taken is in the sums: of masses, of tables (gamma_m = m u / (1 - m u) of the sizes of m terms),
and of Fourier transforms in the Euclidean norm (N. J. Higham, "Accuracy and Stability of Numerical Algorithms", SIAM
2002, theorem 24.2).
"""

from collections.abc import Callable
from functools import lru_cache
from itertools import product as every
from math import factorial, prod

import numpy as np
from scipy import fft

from modeseek.engines.threads import run_chunks
from modeseek.fields import Floats, Ints
from modeseek.fields.errors import SPLINES, START, axis_errors, bernstein
from modeseek.fields.table import TableField

COARSE = 0.25  # bandwidths: side of the blocks of masses
FAR = 10.0  # bandwidths, at least: what masses beyond weigh is bounded as if all were there
PARTS = 16  # of a node spacing where kernels are covered, each with its bound
ROUNDING = 1e-12  # of a tabulated sum, of the sizes of its terms: several times what that many terms can lose
TRANSFORM = 8.0 * 2.0**-53  # times log2 of its length: rounding of an FFT, in the Euclidean norm


def coarse_sums(field: TableField, lightest: float, n_jobs: int | None = None) -> tuple[Floats, Ints]:
    """Convolve the masses, in blocks, with what each block can do at most anywhere in a coarse cell.

    Returns sums over the points of k times 1, |d|^2, |d|^4, |d|^8 and the errors of density, first moments and
    their derivatives, (7, cells), and the coarse cell of each node (flat).
    """
    nodes = field.nodes
    shape, d, side = nodes.masses.shape, nodes.masses.ndim, nodes.delta / field.bandwidth
    block = max(1, round(COARSE / side))
    masses = nodes.masses / nodes.units_per_weight
    for axis in range(d):
        masses = _in_blocks(masses, block, axis)
    kernel_bandwidth = field.kernel_bandwidth / field.bandwidth
    # of every point: half a unit at each of its nodes, and what was rounded more
    rounding = 0.5 * (nodes.degree + 1.0) ** d / (nodes.units_per_weight * lightest) + nodes.rounding
    kernels = block_kernels(side, block, d, nodes.degree, kernel_bandwidth, field.reach, rounding)
    middle = kernels.shape[1] // 2
    # round a circle: what comes round must be beyond the kernels' reach, on one side
    circle = [fft.next_fast_len(max(n + middle, 2 * middle + 1), real=True) for n in masses.shape]
    blocks = tuple(n - 2 for n in masses.shape)  # two are beyond the grid
    inside = tuple(slice(1, 1 + n) for n in blocks)
    transformed = fft.rfftn(masses, circle)
    sums = np.empty((len(kernels), prod(blocks)))
    far = reach_of_cover(side, kernel_bandwidth, field.reach)
    # of what is beyond, were it all there: r^q exp(-r^2 / 2) falls, and nothing is tabulated so far
    beyond = np.array([1.0, far**2, far**4, far**8, 1.0, far**2, 1.0 + far**2]) * np.exp(-0.5 * far * far)
    beyond *= float(masses.sum()) * (1.0 + rounding)
    rounded, norm = TRANSFORM * np.log2(prod(circle)), _norm(masses)

    def convolve(_: int, start: int, stop: int) -> None:
        for row, kernel, left_out in zip(sums[start:stop], kernels[start:stop], beyond[start:stop], strict=True):
            whole = np.zeros(circle)
            whole[tuple(slice(n) for n in kernel.shape)] = kernel
            # about the origin a symmetric kernel has a real transform
            spectrum = fft.rfftn(np.roll(whole, (-middle,) * d, tuple(range(d)))).real
            values = fft.irfftn(transformed * spectrum, circle)
            lost = rounded * (2.0 * norm * _norm(kernel) + _norm(values))
            row[:] = (np.maximum(values[inside], 0.0) + (lost + left_out)).reshape(-1)

    run_chunks(len(kernels), convolve, n_jobs, 1)
    # the table's own rounding, and that of places in node units
    share = ROUNDING + 8.0 * 2.0**-53 * max(shape) * side
    sums[4:6] += share * (sums[0] + sums[1])
    sums[6] += share / side * (sums[0] + sums[1] + sums[2])
    index = np.zeros((), np.int64)
    for length, count in zip(shape, blocks, strict=True):
        index = np.add.outer(index * count, np.arange(length) // block)
    return sums, index.reshape(-1)


@lru_cache(maxsize=16)
def block_kernels(
    side: float, block: int, d: int, degree: int, kernel_bandwidth: float, reach: float, rounding: float
) -> Floats:
    """Return the kernels of `coarse_sums` at offsets of whole blocks, (7, m, ..., m).

    Summed over the blocks that hold a point's mass, each is at least what the point can do anywhere in a coarse cell.
    """
    errors = axis_errors(side, degree, kernel_bandwidth, reach)
    cover = BlockCover(side, block, degree, reach_of_cover(side, kernel_bandwidth, reach))

    def moment(power: float) -> Callable[[Floats, Floats], Floats]:
        """Largest |d|^p exp(-d^2 / 2) between two distances: it is greatest at |d| = sqrt(p)."""

        def largest(near: Floats, far: Floats) -> Floats:
            at = np.clip(np.sqrt(power), near, far)
            return np.asarray(at**power * np.exp(-0.5 * at * at))

        return largest

    def wrong(values: Floats) -> Callable[[Floats, Floats], Floats]:
        """Largest error between two distances."""
        return lambda near, far: np.asarray(errors.largest(values, near, far))

    def around(power: float) -> Callable[[Floats, Floats], Floats]:
        """Largest of what a point's nodes can do that are tabulated: splines of four taps, up to two nodes away."""
        return lambda near, far: 1.1 * moment(power)(np.maximum(near - 4.0 * side, 0.0), far + 4.0 * side)

    distance = errors.step * (1.0 + np.arange(len(errors.e0)))
    even = [cover.of(moment(p)) for p in (0, 2, 4, 6, 8)]
    wrong0, wrong1, wrong2 = (cover.of(wrong(errors.e0 * distance**p)) for p in (0, 1, 2))
    e1, e2, d1 = (cover.of(wrong(values)) for values in (errors.e1, errors.e2, errors.d1))
    # as tabulated at most
    t0, t1, t2 = even[0] + wrong0, cover.of(moment(1)) + wrong1, even[1] + wrong2
    n0, n1, n2 = (cover.of(around(p)) for p in (0, 1, 2))  # of masses that rounding took or added

    def product(factors: dict[int, Floats], others: Floats = t0) -> Floats:
        """Outer product over the axes: the factor of an axis where one is given, ``others`` elsewhere."""
        out = np.ones(())
        for axis in range(d):
            out = np.multiply.outer(out, factors.get(axis, others))
        return out

    def each(one: Floats, others: Floats = t0) -> Floats:
        return np.sum([product({a: one}, others) for a in range(d)], axis=0)

    def pairs(one: Floats, other: Floats, others: Floats = t0) -> Floats:
        return np.sum([product({a: one, b: other}, others) for a in range(d) for b in range(d) if a != b], axis=0)

    def norm(power: int) -> Floats:
        """|d|^p times the kernel: |d|^2 is a sum over the axes, its powers follow by the multinomial theorem."""
        half = power // 2
        terms = [t for t in np.ndindex(*(half + 1,) * d) if sum(t) == half]
        return np.sum(
            [factorial(half) / prod(map(factorial, t)) * product({a: even[k] for a, k in enumerate(t)}) for t in terms],
            axis=0,
        )

    kernels = np.stack([
        *(norm(p) for p in (0, 2, 4, 8)),
        each(wrong0) + rounding * product({}, n0),
        each(wrong1 + e1) + pairs(wrong0, t1) + rounding * each(n1, n0),
        each(wrong2 + e2) + pairs(wrong0, t2) + pairs(t1, d1) + pairs(e1, t1) + pairs(e1, d1)
        + rounding * (each(n2, n0) + pairs(n1, n1, n0)),
    ])  # fmt: skip
    # masses that rounding took are missing here: of every point, somewhere in its blocks
    return (1.0 + ROUNDING) * kernels + 2.0 * rounding * _largest_within(kernels, 2 * cover.beyond(block, degree))


def _norm(values: Floats) -> float:
    """Return the Euclidean norm of all entries, in one order: no BLAS, which may choose one by its threads."""
    flat = values.reshape(-1)
    return float(np.sqrt(np.einsum("i,i->", flat, flat)))


def _largest_within(kernels: Floats, blocks: int) -> Floats:
    """Return the largest of each kernel over so many blocks to both sides, along every axis."""
    out = kernels
    for axis in range(1, kernels.ndim):
        rows = np.moveaxis(out, axis, 0)
        padded = np.concatenate([rows[:1].repeat(blocks, axis=0), rows, rows[-1:].repeat(blocks, axis=0)])
        reach = 1  # of maxima over so many from each on
        while 2 * reach <= 2 * blocks + 1:
            padded = np.maximum(padded[:-reach], padded[reach:])
            reach *= 2
        rest = 2 * blocks + 1 - reach
        padded = np.maximum(padded[: len(padded) - rest], padded[rest:])
        out = np.moveaxis(padded, 0, axis)
    return out


def reach_of_cover(side: float, kernel_bandwidth: float, reach: float) -> float:
    """Return how far, in bandwidths, masses count; nothing that is further away is tabulated."""
    return max(FAR, reach * kernel_bandwidth + 6.0 * side)


def _shares(block: int) -> Floats:
    """Return how each node of a block is shared out: to the block before, its own, and the one after, (block, 3).

    By its distance from the middle, so that sharing moves no centre of mass.
    """
    t = (np.arange(block) - 0.5 * (block - 1)) / block
    return np.stack([np.maximum(-t, 0.0), 1.0 - np.abs(t), np.maximum(t, 0.0)], axis=-1)


def _in_blocks(masses: Floats, block: int, axis: int) -> Floats:
    """Sum the masses along an axis in blocks of nodes, from the block before the first node's on to one more."""
    rows = np.moveaxis(masses, axis, -1)
    count = -(-rows.shape[-1] // block)
    rows = np.pad(rows, [(0, 0)] * (rows.ndim - 1) + [(0, count * block - rows.shape[-1])])
    before, own, after = np.moveaxis(rows.reshape(*rows.shape[:-1], count, block) @ _shares(block), -1, 0)
    out = np.zeros((*rows.shape[:-1], count + 2))
    out[..., :-2] += before
    out[..., 1:-1] += own
    out[..., 2:] += after
    return np.ascontiguousarray(np.moveaxis(out, -1, axis))


class BlockCover:
    """Functions of one axis at offsets of whole blocks, such that a point's own blocks add up to enough.

    The maximum of T over a cell's width at c_i itself is nearly such a W, as sharing keeps means; where it falls short
    W is raised. Along y shares are polynomials: their Bernstein coefficients, on parts of a node spacing, stand for all
    places there.
    """

    def __init__(self, side: float, block: int, degree: int, far: float):
        self.half = 0.5 * block * side
        count = int(np.ceil(far / (block * side))) + 2 + degree // block
        self.offsets = np.arange(-count, count + 1) * (block * side)
        # of points from half a node below a node to half above; the splines of degree 3 change at the node itself
        middles = (np.arange(PARTS) + 0.5) / PARTS - 0.5
        first = np.floor(middles - START[degree]).astype(np.int64)
        controls = np.roll(bernstein(degree, START[degree], PARTS), PARTS * int(first.min()) // 2, axis=0)
        beyond, sharing = self.beyond(block, degree), _shares(block)
        self.shares = np.zeros((block, PARTS, degree + 1, 2 * beyond + 1))
        for node, part, j in every(range(block), range(PARTS), SPLINES[degree]):
            at = node + int(first[part]) + j
            row = self.shares[node, part, :, at // block + beyond - 1 : at // block + beyond + 2]
            row += np.multiply.outer(controls[part] @ SPLINES[degree][j], sharing[at % block])
        within = np.add.outer(np.arange(block) - 0.5 * (block - 1), middles) * side  # of the middle of the block
        self.loose = self.half + 0.5 * side / PARTS
        self.places = self.offsets[:, None, None] + within  # by block, node and part

    @staticmethod
    def beyond(block: int, degree: int) -> int:
        """Return how many blocks further a point's mass may lie."""
        return 1 + -(-degree // block)

    def of(self, largest: Callable[[Floats, Floats], Floats]) -> Floats:
        """Cover T; ``largest`` gives its maximum between two distances."""
        at = np.abs(self.offsets)
        out = largest(np.maximum(at - self.half, 0.0), at + self.half)
        at = np.abs(self.places)
        wanted = largest(np.maximum(at - self.loose, 0.0), at + self.loose)
        width = self.shares.shape[-1]
        padded = np.pad(out, width // 2, mode="edge")
        blocks = np.arange(len(out))[:, None] + np.arange(width)
        held = np.tensordot(padded[blocks], self.shares, (1, 3)).min(axis=3)
        short = np.maximum(wanted - held, 0.0).max(axis=(1, 2))
        raised = np.zeros(len(padded))
        np.maximum.at(raised, blocks, short[:, None])  # shares add up to one
        out += raised[width // 2 : -(width // 2)]
        return np.maximum(out, out[::-1])  # to the bit as symmetric as T is
