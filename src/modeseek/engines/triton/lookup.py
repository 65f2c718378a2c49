"""Labels by cell, counted on the way, and new names for labels: the kernels of `engines.gpu.lookup`."""

import torch
import triton
import triton.language as tl

from modeseek.engines.gpu.lookup import Table

ROWS = 1024  # of a program
COPIES = 32  # of the counts: programs take turns


@triton.jit
def _label(
    x, frame, shape, cells, blocks, out, counts, n, split,
    D: tl.constexpr, ROWS: tl.constexpr, BINS: tl.constexpr, COPIES: tl.constexpr,
):  # fmt: skip
    """Write the labels of ROWS rows, and add the number of each, -1 first, to one copy of the counts (BINS > 0).

    ``frame`` holds the corner of the first node's cell and nodes to a unit of length.
    """
    program = tl.program_id(0)
    rows = program.to(tl.int64) * ROWS + tl.arange(0, ROWS)
    valid = rows < n
    per_unit = tl.load(frame + 3)
    cell = tl.full([ROWS], 0, tl.int64)
    sub = tl.full([ROWS], 0, tl.int64)
    block = tl.full([ROWS], 1, tl.int64)
    inside = valid
    for axis in tl.static_range(D):
        length = tl.load(shape + axis)
        a = (tl.load(x + rows * D + axis, mask=valid, other=0.0).to(tl.float64) - tl.load(frame + axis)) * per_unit
        here = (a >= 0.0) & (a < length.to(tl.float64))
        a = tl.where(here, a, 0.0)
        index = a.to(tl.int64)
        cell = cell * length + index
        sub = sub * split + ((a - index.to(tl.float64)) * split).to(tl.int64)
        block = block * split
        inside = inside & here
    entry = tl.load(cells + cell, mask=inside, other=-1)
    mixed = entry < -1
    label = tl.load(blocks + ((-2 - entry).to(tl.int64) * block + sub), mask=mixed, other=-1)
    label = tl.where(mixed, label, entry)
    tl.store(out + rows, label, mask=valid)
    if BINS > 0:
        found = tl.histogram(label + 1, BINS, mask=valid)
        bins = tl.arange(0, BINS)
        place = counts + (program % COPIES) * BINS + bins
        tl.atomic_add(place, found.to(tl.int64), mask=found > 0, sem="relaxed")


def label(points: torch.Tensor, table: Table, out: torch.Tensor, n_labels: int | None) -> torch.Tensor | None:
    """Write the label of each row to ``out``; return how many have none, label 0, ..., if ``n_labels`` are counted.

    No product is fused with a sum: cells and sub-cells are those of the same operations elsewhere.
    """
    n, d = points.shape
    bins = 0 if n_labels is None else max(16, triton.next_power_of_2(n_labels + 1))
    frame = torch.tensor([*table.corner, *[0.0] * (3 - d), table.per_unit], dtype=torch.float64, device=points.device)
    shape = torch.tensor(table.shape, dtype=torch.int64, device=points.device)
    counts = torch.zeros((COPIES, max(bins, 1)), dtype=torch.int64, device=points.device)
    with torch.cuda.device_of(points):
        _label[(triton.cdiv(n, ROWS),)](
            points, frame, shape, table.cells, table.blocks, out, counts, n, table.split,
            D=d, ROWS=ROWS, BINS=bins, COPIES=COPIES, enable_fp_fusion=False,
        )  # fmt: skip
    return None if n_labels is None else counts.sum(dim=0)[: n_labels + 1]


@triton.jit
def _rename(labels, names, n, ROWS: tl.constexpr):
    rows = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)
    valid = rows < n
    old = tl.load(labels + rows, mask=valid, other=-1)
    tl.store(labels + rows, tl.load(names + (old + 1)), mask=valid)


def rename(labels: torch.Tensor, names: torch.Tensor) -> None:
    """Replace label i by names[i + 1], in place."""
    with torch.cuda.device_of(labels):
        _rename[(triton.cdiv(len(labels), ROWS),)](labels, names, len(labels), ROWS=ROWS)
