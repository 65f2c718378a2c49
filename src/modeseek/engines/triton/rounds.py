r"""One round of blurring mean shift with a Gaussian, in up to three columns, all points in one launch.

    y_r = x_r + sum_j g(|z_j - x_r| / h) (z_j - x_r) / sum_j g(|z_j - x_r| / h),    z_j = y_j for j < start, else x_j

for the rows r from ``start`` to ``stop``: with start = 0 and stop = n all points move at once; batch after batch it is
the update in place, a batch seeing where those before it have moved, and no launch reads what it writes. Every lane
keeps sums of its own to the end, as there are few columns; a point meets itself, so no sum underflows.
"""

import torch
import triton
import triton.language as tl

WIDEST = 3  # columns
ROWS, BLOCK = 16, 128  # queries of a program: 1500 points keep 94 of them busy; points met at once
INVERSE_LN2 = 1.4426950408889634


@triton.jit
def _round(
    x_ptr, y_ptr, factor_ptr, start, stop, n,
    D: tl.constexpr, ROWS: tl.constexpr, BLOCK: tl.constexpr, MOVED: tl.constexpr,
):  # fmt: skip
    rows = start + tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    inside = rows < stop
    factor = tl.load(factor_ptr)  # -1 / (2 h^2 ln 2)
    a = tl.load(x_ptr + rows * D, mask=inside, other=0.0)
    b, c = a, a
    if D > 1:
        b = tl.load(x_ptr + rows * D + 1, mask=inside, other=0.0)
    if D > 2:
        c = tl.load(x_ptr + rows * D + 2, mask=inside, other=0.0)
    total = tl.zeros((ROWS, BLOCK), a.dtype)
    sum_a, sum_b, sum_c = total, total, total
    for first in range(0, n, BLOCK):
        columns = first + tl.arange(0, BLOCK)
        there = columns < n
        still = there
        if MOVED:
            moved = columns < start
            still = there & (columns >= start)
        u = tl.load(x_ptr + columns * D, mask=still, other=0.0)
        if MOVED:
            u += tl.load(y_ptr + columns * D, mask=moved, other=0.0)
        u = u[None, :] - a[:, None]
        r2 = u * u
        v, w = u, u
        if D > 1:
            v = tl.load(x_ptr + columns * D + 1, mask=still, other=0.0)
            if MOVED:
                v += tl.load(y_ptr + columns * D + 1, mask=moved, other=0.0)
            v = v[None, :] - b[:, None]
            r2 += v * v
        if D > 2:
            w = tl.load(x_ptr + columns * D + 2, mask=still, other=0.0)
            if MOVED:
                w += tl.load(y_ptr + columns * D + 2, mask=moved, other=0.0)
            w = w[None, :] - c[:, None]
            r2 += w * w
        g = tl.where(there[None, :], tl.exp2(r2 * factor), 0.0)
        total += g
        sum_a += g * u
        if D > 1:
            sum_b += g * v
        if D > 2:
            sum_c += g * w
    whole = tl.sum(total, axis=1)
    tl.store(y_ptr + rows * D, a + tl.sum(sum_a, axis=1) / whole, mask=inside)
    if D > 1:
        tl.store(y_ptr + rows * D + 1, b + tl.sum(sum_b, axis=1) / whole, mask=inside)
    if D > 2:
        tl.store(y_ptr + rows * D + 2, c + tl.sum(sum_c, axis=1) / whole, mask=inside)


def move(x: torch.Tensor, y: torch.Tensor, factor: torch.Tensor, start: int, stop: int) -> None:
    """Write the rows ``start`` to ``stop`` of y.

    Parameters
    ----------
    x, y : tensors of shape (n, d), d <= 3, contiguous
        Where points are, and where those before ``start`` have moved.
    factor : tensor of shape (1,)
        -1 / (2 h^2 ln 2).
    start, stop : int
        Rows that move.
    """
    n, d = x.shape
    _round[(triton.cdiv(stop - start, ROWS),)](
        x, y, factor, start, stop, n, D=d, ROWS=ROWS, BLOCK=BLOCK, MOVED=start > 0, num_warps=4
    )
