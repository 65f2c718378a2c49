"""Labels by cell are those of the definition: in any dimension, beyond the grid, and where cells are cut finer."""

import numpy as np
import pytest

from modeseek.fields.nodes import Box
from modeseek.label import UNKNOWN, CellLabels

DELTA, SPLIT = 0.5, 4


def table_of(d: int, seed: int = 0) -> CellLabels:
    """Return a table of random labels: some cells have none, some are cut, some of these alike in all parts."""
    rng = np.random.default_rng(seed)
    shape = (7, 6, 5)[:d]
    cells = rng.integers(-1, 4, int(np.prod(shape))).astype(np.int32)
    mixed = np.flatnonzero(rng.random(len(cells)) < 0.4)
    cells[mixed] = -2 - rng.permutation(len(mixed))
    blocks = rng.integers(-1, 4, (len(mixed), SPLIT**d)).astype(np.int32)
    blocks[::3] = blocks[::3, :1]
    return CellLabels(np.full(d, 0.3), DELTA, Box((-2, 1, 0)[:d], shape), SPLIT, cells, blocks.reshape(-1))


def by_definition(table: CellLabels, x: np.ndarray) -> int:
    along = (x - table.origin) / table.delta - np.array(table.box.lower) + 0.5
    cell = np.floor(along)
    if not np.isfinite(along).all() or (cell < 0).any() or (cell >= table.box.shape).any():
        return UNKNOWN
    entry = table.cells[np.ravel_multi_index(tuple(cell.astype(int)), table.box.shape)]
    if entry >= UNKNOWN:
        return entry
    d = len(x)
    part = np.floor((along - cell) * SPLIT).astype(int)
    return table.blocks.reshape(-1, *(SPLIT,) * d)[(-2 - entry, *part)]


@pytest.mark.parametrize("d", [1, 2, 3])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("kind", [np.int8, np.int32])
@pytest.mark.parametrize("n_jobs", [1, 3])
def test_labels_are_those_of_the_definition(d, dtype, kind, n_jobs):
    rng = np.random.default_rng(d)
    table = table_of(d)
    X = (rng.uniform(-0.6, 0.6, (5000, d)) * table.box.shape * DELTA * 1.3 + 0.8).astype(dtype)
    X[:4, 0] = np.nan, np.inf, -np.inf, 1e30
    expected = np.array([by_definition(table, x.astype(float)) for x in X])
    assert 0.1 < (expected == UNKNOWN).mean() < 0.9
    for entries in (None, table.uniform(kind)):
        found = np.empty(len(X), kind)
        counts = table.assign(X, found, n_jobs, entries)
        np.testing.assert_array_equal(found, expected)
        np.testing.assert_array_equal(np.r_[counts.unknown, counts.members], np.bincount(expected + 1, minlength=5))


@pytest.mark.parametrize("d", [1, 2, 3])
def test_the_first_row_of_each_sub_cell_is_found(d):
    table = table_of(d)
    X = np.random.default_rng(7).uniform(-0.5, 3.0, (3000, d))
    table.blocks[:] = np.arange(len(table.blocks))  # each sub-cell tells its own index
    table.cells[table.cells >= 0] = UNKNOWN
    own = np.array([by_definition(table, x) for x in X])
    owners, rows = table.first_rows(X)
    expected, first = np.unique(own, return_index=True)
    np.testing.assert_array_equal(owners, expected[expected != UNKNOWN])
    np.testing.assert_array_equal(rows, first[expected != UNKNOWN])


def test_cells_cut_into_parts_of_one_label_count_as_whole():
    table = table_of(2)
    uniform = table.uniform().labels
    parts = table.blocks.reshape(-1, SPLIT**2)
    for cell, entry in zip(table.cells, uniform, strict=True):
        own = parts[-2 - cell] if cell < UNKNOWN else np.array([cell])
        assert entry == (own[0] if (own == own[0]).all() else -2)
