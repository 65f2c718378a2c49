r"""Very many points of equal weight to cubic splines in two columns: one write of 16 numbers a point.

The points of a cell between nodes touch the same 4 x 4 nodes: each cell has a *patch* of its own for them, 16 integers
in one cache line, which a point changes at once. At the end patches are added up on the nodes. Numbers are unsigned
32-bit integers of 2^-PATCH_BITS; a patch with a number of 2^31 or more is added up before it can overflow.

Weights are evaluated in float32. Those along one axis sum to one, and each is off by at most 5 * 2^-25, so the 16
products by at most 8 * 5 * 2^-25 together, and 2^-24 by their own rounding. Half a unit of 2^-23 is added to each,
which rounds by 1 / 8 of a unit, as products are below 4 / 9; then they are truncated: 16 (1/2 + 1/8) 2^-23.
"""

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from modeseek.engines.cpu import kernel

PATCH_BITS = 23
SHARE_LOST = 40 * 2.0**-25 + 2.0**-24 + 10 * 2.0**-23  # of a point: the most that rounding takes from it or adds
PATCH = 16  # numbers
BLOCK_ROWS = 512  # so few rows that a number below 2^31 does not pass 2^32: a weight is at most 4 / 9
AHEAD = 64  # rows: what they touch is on its way to the cache meanwhile
SPLINE = (
    (1 / 6, -1 / 2, 1 / 2, -1 / 6),
    (2 / 3, 0.0, -1.0, 1 / 2),
    (1 / 6, 1 / 2, 1 / 2, -1 / 2),
    (0.0, 0.0, 0.0, 1 / 6),
)


@intrinsic
def _add_block(typing, patches, cells, offsets, full, counts, bins):
    """Add the weights of points, at offsets (u, v) in their cells, to the patches of these, and count them in bins.

    ``full`` gets for each point a bit for each number of its patch that has reached 2^31. As vectors: Numba makes none
    of straight code, and LLVM cuts them into what the machine has. Eight lanes hold the weights along both axes, four
    each; sixteen their products.
    """
    signature = types.void(patches, cells, offsets, full, counts, bins)

    def generate(context, builder, signature, arguments):
        integer, real = ir.IntType(32), ir.FloatType()
        products, both = ir.VectorType(integer, PATCH), ir.VectorType(real, 8)

        def entry(argument, index, kind):
            array = context.make_array(signature.args[argument])(context, builder, arguments[argument])
            return builder.bitcast(builder.gep(array.data, [index]), kind.as_pointer())

        def shuffled(vector, lanes):
            return builder.shuffle_vector(vector, vector, ir.Constant(ir.VectorType(integer, len(lanes)), lanes))

        def times_plus(a, b, c):
            return builder.fadd(builder.fmul(a, b, flags=["contract"]), c, flags=["contract"])

        units = [2.0**PATCH_BITS] * 4 + [1.0] * 4
        powers = [ir.Constant(both, [unit * SPLINE[k % 4][n] for k, unit in enumerate(units)]) for n in range(4)]
        none = ir.Constant(products, [0] * PATCH)
        rows = context.make_array(signature.args[3])(context, builder, arguments[3])
        size = builder.extract_value(rows.shape, 0)
        byte = ir.IntType(8).as_pointer()
        prefetch = builder.module.declare_intrinsic(
            "llvm.prefetch", [byte], ir.FunctionType(ir.VoidType(), [byte] + [integer] * 3)
        )

        def fetch(argument, index):
            """Ask for what an entry's cache line holds: to write, to keep, data."""
            builder.call(prefetch, [entry(argument, index, ir.IntType(8)), integer(1), integer(3), integer(1)])

        with cgutils.for_range(builder, size) as loop:
            later = builder.add(loop.index, loop.index.type(AHEAD))
            later = builder.select(builder.icmp_signed("<", later, size), later, loop.index)
            cell = builder.sext(builder.load(entry(1, later, integer)), ir.IntType(64))
            fetch(0, builder.shl(cell, cell.type(4)))
            fetch(4, builder.sext(builder.load(entry(5, later, integer)), ir.IntType(64)))
            offset = builder.load(
                entry(2, builder.shl(loop.index, loop.index.type(1)), ir.VectorType(real, 2)), align=4
            )
            offset = shuffled(offset, [0] * 4 + [1] * 4)
            value = powers[3]
            for n in (2, 1, 0):
                value = times_plus(value, offset, powers[n])
            along = shuffled(value, [k // 4 for k in range(PATCH)])
            across = shuffled(value, [4 + k % 4 for k in range(PATCH)])
            half = ir.Constant(along.type, [0.5] * PATCH)
            added = builder.fptosi(times_plus(along, across, half), products)
            cell = builder.sext(builder.load(entry(1, loop.index, integer)), ir.IntType(64))
            patch = entry(0, builder.shl(cell, cell.type(4)), products)
            total = builder.add(builder.load(patch, align=4), added)
            builder.store(total, patch, align=4)
            count = entry(4, builder.sext(builder.load(entry(5, loop.index, integer)), ir.IntType(64)), integer)
            builder.store(builder.add(builder.load(count), integer(1)), count)
            bits = builder.bitcast(builder.icmp_signed("<", total, none), ir.IntType(PATCH))
            builder.store(bits, entry(3, loop.index, bits.type))
        return context.get_dummy_value()

    return signature, generate


@kernel
def _fold(patches, cell, length, unit, masses):
    """Move the patch of a cell to the masses of its nodes."""
    patch = patches[PATCH * cell : PATCH * (cell + 1)]
    first = cell - length - 1
    for row in range(4):
        nodes = masses[first + row * length : first + row * length + 4]
        for k in range(4):
            nodes[k] += unit * (np.int64(patch[4 * row + k]) & 0xFFFFFFFF)
    patch[:] = 0


@kernel
def deposit_patches(x, corner, per_bin, length, index, counts, patches, unit, masses, offsets, cells, full):
    """Add the points of x (n, 2) to the patches of their cells, flat; count those of every bin, 2 x 2 to a cell.

    ``corner`` is the lower corner of the first node's cell, ``length`` the number of nodes along the second axis. The
    bin of each row is written to ``index``. Patches that get full go to ``masses``. ``offsets`` (2 BLOCK_ROWS,) and
    ``cells`` (BLOCK_ROWS,) are scratch: a branch for each point would cost more than all the rest.
    """
    origin0, origin1 = corner[0], corner[1]
    for start in range(0, x.shape[0], BLOCK_ROWS):
        rows = x[start : start + BLOCK_ROWS]
        bins = index[start : start + BLOCK_ROWS]
        for r in range(rows.shape[0]):
            # the corner lies below the data, so truncation is the floor; nodes are half a cell further
            a = (rows[r, 0] - origin0) * per_bin
            b = (rows[r, 1] - origin1) * per_bin
            u = 0.5 * a - 0.5
            v = 0.5 * b - 0.5
            i = np.int32(u)
            j = np.int32(v)
            bins[r] = np.int32(a) * (length + length) + np.int32(b)
            cells[r] = i * length + j
            offsets[2 * r] = np.float32(u - i)
            offsets[2 * r + 1] = np.float32(v - j)
        flags = full[: bins.size]
        _add_block(patches, cells, offsets, flags, counts, bins)
        any_full = np.int16(0)
        for r in range(flags.size):
            any_full |= flags[r]
        if any_full != 0:
            for r in range(flags.size):
                if flags[r] != 0:
                    _fold(patches, np.int64(cells[r]), length, unit, masses)


@kernel
def fold_patches(patches, length, unit, masses):
    """Move all patches to the masses of their nodes, ``unit`` to a number."""
    for cell in range(patches.size // PATCH):
        if patches[PATCH * cell : PATCH * (cell + 1)].any():
            _fold(patches, cell, length, unit, masses)
