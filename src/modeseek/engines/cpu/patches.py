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
from numba.extending import intrinsic

from modeseek.engines.cpu import kernel

PATCH_BITS = 23
SHARE_LOST = 40 * 2.0**-25 + 2.0**-24 + 10 * 2.0**-23  # of a point: the most that rounding takes from it or adds
PATCH = 16  # numbers
BLOCK_ROWS = 512  # so few rows that a number below 2^31 does not pass 2^32: a weight is at most 4 / 9
SPLINE = (
    (1 / 6, -1 / 2, 1 / 2, -1 / 6),
    (2 / 3, 0.0, -1.0, 1 / 2),
    (1 / 6, 1 / 2, 1 / 2, -1 / 2),
    (0.0, 0.0, 0.0, 1 / 6),
)


@intrinsic
def _add_to_patch(typing, patches, cell, offsets, row):
    """Add the weights of a point at ``offsets[2 * row], offsets[2 * row + 1]`` in its cell to the cell's patch.

    Returns a bit for each number that has reached 2^31. As vectors of 16: Numba makes none of straight code, and LLVM
    cuts them into what the machine has.
    """
    signature = types.int32(patches, cell, offsets, row)

    def generate(context, builder, signature, arguments):
        integers, floats = ir.VectorType(ir.IntType(32), PATCH), ir.VectorType(ir.FloatType(), PATCH)

        def entry(argument, index):
            array = context.make_array(signature.args[argument])(context, builder, arguments[argument])
            return builder.gep(array.data, [index])

        def times_plus(a, b, c):
            return builder.fadd(builder.fmul(a, b, flags=["contract"]), c, flags=["contract"])

        def weights(index, piece_of_lane, unit):
            u = builder.insert_element(ir.Constant(floats, ir.Undefined), builder.load(entry(2, index)), zero)
            u = builder.shuffle_vector(u, u, ir.Constant(integers, [0] * PATCH))
            powers = [[unit * SPLINE[piece_of_lane(k)][n] for k in range(PATCH)] for n in range(4)]
            value = ir.Constant(floats, powers[3])
            for n in (2, 1, 0):
                value = times_plus(value, u, ir.Constant(floats, powers[n]))
            return value

        zero, index = ir.Constant(ir.IntType(32), 0), arguments[3]
        first = builder.mul(index, ir.Constant(index.type, 2))
        second = builder.add(first, ir.Constant(index.type, 1))
        along, across = weights(first, lambda k: k // 4, 2.0**PATCH_BITS), weights(second, lambda k: k % 4, 1.0)
        added = builder.fptosi(times_plus(along, across, ir.Constant(floats, [0.5] * PATCH)), integers)
        patch = entry(0, builder.mul(arguments[1], ir.Constant(arguments[1].type, PATCH)))
        patch = builder.bitcast(patch, integers.as_pointer())
        total = builder.add(builder.load(patch, align=4), added)
        builder.store(total, patch, align=4)
        full = builder.icmp_signed("<", total, ir.Constant(integers, [0] * PATCH))
        return builder.zext(builder.bitcast(full, ir.IntType(PATCH)), ir.IntType(32))

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
    ``cells`` and ``full`` (BLOCK_ROWS,) are scratch: a branch for each point would cost more than all the rest.
    """
    origin0, origin1 = corner[0], corner[1]
    one = np.int32(1)
    for start in range(0, x.shape[0], BLOCK_ROWS):
        rows = x[start : start + BLOCK_ROWS]
        bins = index[start : start + BLOCK_ROWS]
        for r in range(rows.shape[0]):
            # the corner lies below the data, so truncation is the floor; nodes are half a cell further
            a = (rows[r, 0] - origin0) * per_bin
            b = (rows[r, 1] - origin1) * per_bin
            i = np.int32(a)
            j = np.int32(b)
            below0 = (i - one) >> one
            below1 = (j - one) >> one
            bins[r] = i * (length + length) + j
            cells[r] = below0 * length + below1
            offsets[2 * r] = np.float32(0.5 * (a - 1.0) - below0)
            offsets[2 * r + 1] = np.float32(0.5 * (b - 1.0) - below1)
        for r in range(bins.size):
            k = np.int64(bins[r])
            counts[k : k + 1][0] += 1
            cell = np.int64(cells[r])
            full[r] = _add_to_patch(patches, cell, offsets, r)
        any_full = 0
        for r in range(bins.size):
            any_full |= full[r]
        if any_full != 0:
            for r in range(bins.size):
                if full[r] != 0:
                    _fold(patches, np.int64(cells[r]), length, unit, masses)


@kernel
def fold_patches(patches, length, unit, masses):
    """Move all patches to the masses of their nodes, ``unit`` to a number."""
    for cell in range(patches.size // PATCH):
        if patches[PATCH * cell : PATCH * (cell + 1)].any():
            _fold(patches, cell, length, unit, masses)
