"""Regions: the plain form's labels and table, whatever the tiles, the threads and where the arrays lie."""

import doctest
import heapq
from importlib import import_module
from itertools import product

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from modeseek.images import adjacency
from modeseek.images.regions import find_regions
from modeseek.images.tiles import bands
from tests.examples import examples


def plain(modes, values, merge=0.0, min_size=0):
    """Labels by the definition, pixel by pixel and region by region."""
    pixels = [p for p in np.ndindex(modes.shape) if modes[p] >= 0]
    region = {p: i for i, p in enumerate(pixels)}  # by first pixel, once spread
    links = [(p, q) for p in pixels for q in after(p) if q in region]
    changed = True
    while changed:
        changed = False
        for p, q in links:
            alike = modes[p] == modes[q] or np.linalg.norm(values[modes[p]] - values[modes[q]]) < merge
            if alike and region[p] != region[q]:
                region[p] = region[q] = min(region[p], region[q])
                changed = True
    members = {}
    for p in pixels:
        members.setdefault(region[p], []).append(p)
    join_small(members, region, links, modes, values, min_size)
    labels = np.full(modes.shape, -1)
    for label, first in enumerate(sorted(members, key=lambda r: (-len(members[r]), r))):
        for p in members[first]:
            labels[p] = label
    return labels


def after(p):
    return [tuple(x + (k == axis) for k, x in enumerate(p)) for axis in range(len(p))]


def join_small(members, region, links, modes, values, min_size):
    """Join regions one at a time, looking at all of them each time."""
    alone = set()
    while small := [r for r in members if len(members[r]) < min_size and r not in alone]:
        r = min(small, key=lambda r: (len(members[r]), r))
        near = {region[b] if region[a] == r else region[a] for a, b in links if (region[a] == r) != (region[b] == r)}
        if not near:
            alone.add(r)
            continue

        def mean(r):
            return np.sum([values[modes[p]] for p in members[r]], axis=0) / len(members[r])

        away = {q: sum(float(d) ** 2 for d in mean(q) - mean(r)) for q in near}
        best = min(near, key=lambda q: (away[q], -len(members[q]), q))
        keep, gone = min(r, best), max(r, best)
        members[keep] += members.pop(gone)
        for p in members[keep]:
            region[p] = keep


def split(draw, shape):
    """Cut a box in two, again and again, anywhere."""
    whole = tuple(slice(0, n) for n in shape)
    boxes = [whole]
    for _ in range(draw(st.integers(0, 6))):
        box = boxes.pop(draw(st.integers(0, len(boxes) - 1)))
        axis = draw(st.integers(0, len(shape) - 1))
        at = draw(st.integers(box[axis].start, box[axis].stop))
        first, second = list(box), list(box)
        first[axis], second[axis] = slice(box[axis].start, at), slice(at, box[axis].stop)
        boxes += [tuple(first), tuple(second)]
    return draw(st.permutations(boxes))


@st.composite
def maps(draw):
    """A map of few modes with integer values: many ties, some masked pixels."""
    shape = draw(st.one_of(st.tuples(*[st.integers(1, 9)] * 2), st.tuples(*[st.integers(1, 4)] * 3)))
    n, channels = draw(st.integers(1, 6)), draw(st.integers(1, 3))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    modes = rng.integers(draw(st.sampled_from([-1, 0])), n, shape).astype(np.int32)
    values = rng.integers(0, 4, (n, channels)) / 2
    if draw(st.booleans()):  # regions of many sizes
        modes = np.repeat(modes, rng.integers(1, 8, shape[-1]), axis=-1)
        shape = modes.shape
    return modes, values, split(draw, shape)


@examples(300)
@given(maps(), st.sampled_from([0, 0.5, 0.6, 1.0, 1.2]), st.sampled_from([0, 2, 3, 5, 12, 1000]), st.integers(1, 3))
def test_labels_are_those_of_the_plain_form(case, merge, min_size, n_jobs):
    modes, values, tiles = case
    regions = find_regions(modes, values, tiles, merge=merge, n_jobs=n_jobs)
    regions.join_small(min_size)
    np.testing.assert_array_equal(regions.number(), plain(modes, values, merge, min_size))


def picture(seed=0, shape=(90, 110), coarse=4):
    """A map of modes as pictures have them, smooth but for some noise, partly masked; a picture to go with it."""
    rng = np.random.default_rng(seed)
    smooth = ndimage.gaussian_filter(rng.normal(size=(*shape, 3)), (*[1.5] * len(shape), 0))
    codes = np.floor(smooth / smooth.std() * coarse / 2).astype(int) @ [1, 100, 10000]
    _, first, modes = np.unique(codes, return_index=True, return_inverse=True)
    modes = modes.reshape(shape).astype(np.int32)
    modes[tuple(slice(n // 3, n // 2) for n in shape)] = -1
    values = smooth.reshape(-1, 3)[first] * 7.3 / smooth.std()
    return modes, values, smooth


@pytest.mark.parametrize("shape", [(90, 110), (13, 24, 30)])
@pytest.mark.parametrize("merge", [0.0, 2.0])
def test_tiles_threads_and_kind_of_memory_leave_no_trace(shape, merge, tmp_path):
    modes, values, image = picture(shape=shape)
    everything = [tuple(slice(0, n) for n in shape)]
    grid = [tuple(slice(a, a + 11) for a in corner) for corner in product(*[range(0, n, 11) for n in shape])]
    on_file = np.memmap(tmp_path / "modes", np.int32, "w+", shape=shape)
    on_file[:] = modes
    out = np.memmap(tmp_path / "labels", np.int32, "w+", shape=shape)
    results = []
    for tiles, n_jobs, source, target in [
        (everything, 1, modes, None),
        (grid, 1, modes, None),
        (grid[::-1], 3, np.memmap(tmp_path / "modes", np.int32, "r", shape=shape), out),
        (bands(shape, 500), 2, modes[..., ::-1].copy()[..., ::-1], None),
        (None, None, modes.astype(np.int64), None),
    ]:
        regions = find_regions(source, values, tiles, out=target, merge=merge, n_jobs=n_jobs)
        before = len(regions)
        regions.join_small(20)
        labels, table = regions.number(), regions.table(image, 8.0)
        assert before > 2 * len(regions) > 10
        assert target is None or labels is target
        results.append((labels, table))
    labels, table = results[0]
    for others, columns in results[1:]:
        np.testing.assert_array_equal(labels, others)
        assert list(columns) == list(table)
        for name, column in columns.items():
            np.testing.assert_array_equal(column, table[name], err_msg=name)


@pytest.mark.parametrize("shape", [(90, 110), (13, 24, 30)])
def test_regions_of_same_modes_are_those_of_scipy(shape):
    modes, values, _ = picture(shape=shape)
    labels = find_regions(modes, values).number()
    n = 0
    for mode in range(len(values)):
        parts, k = ndimage.label(modes == mode)
        n += k
        for i, box in enumerate(ndimage.find_objects(parts)):
            assert len(np.unique(labels[box][parts[box] == i + 1])) == 1
    assert labels.max() + 1 == n
    assert ((labels < 0) == (modes < 0)).all()


@pytest.mark.parametrize("shape", [(90, 110), (13, 24, 30)])
@pytest.mark.parametrize("kind", [np.uint8, np.float32, np.float64, np.int64, bool])
@pytest.mark.parametrize("channels", [0, 2])
def test_table_describes_the_labels(shape, kind, channels):
    modes, values, image = picture(shape=shape)
    image = image[..., :channels] if channels else image[..., 0]
    image = image > 0 if kind is bool else (image * 300 + (100 if kind is np.uint8 else 0)).astype(kind)
    regions = find_regions(modes, values, bands(shape, 700), merge=2.0)
    regions.join_small(10)
    labels = regions.number()
    table = pd.DataFrame(regions.table(image, 8.0))
    assert table.label.tolist() == list(range(labels.max() + 1))
    assert table.area.is_monotonic_decreasing
    for own in table.to_dict("records"):
        inside = labels == own["label"]
        places = np.argwhere(inside)
        assert own["area"] == inside.sum()
        box = [*places.min(axis=0), *(places.max(axis=0) + 1)]
        assert [own[f"bbox-{k}"] for k in range(2 * len(shape))] == box
        near = {"rtol": 1e-12, "atol": 1e-9}
        centroid = [own[f"centroid-{k}"] for k in range(len(shape))]
        np.testing.assert_allclose(centroid, places.mean(axis=0), **near)
        filtered = [own[f"filtered_mean-{k}"] for k in range(3)]
        np.testing.assert_allclose(filtered, 8 * values[modes[inside]].mean(axis=0), **near)
        names = [f"intensity_mean-{k}" for k in range(channels)] or ["intensity_mean"]
        expected = np.atleast_1d(image[inside].mean(axis=0, dtype=np.float64))
        np.testing.assert_allclose([own[name] for name in names], expected, **near)


def test_table_has_the_names_of_scikit_image():
    measure = pytest.importorskip("skimage.measure")
    modes, values, image = picture()
    regions = find_regions(modes, values, merge=2.0)
    labels = regions.number()
    names = ("area", "centroid", "bbox", "intensity_mean")
    theirs = measure.regionprops_table(labels + 1, image, properties=names)
    ours = regions.table(image)
    for name, column in theirs.items():
        np.testing.assert_allclose(ours[name], column, rtol=1e-9, atol=1e-9, err_msg=name)


@pytest.mark.parametrize("min_size", [2, 9, 40, 10**6])
def test_nothing_small_stays_but_islands(min_size):
    modes, values, _ = picture()
    modes[5:20, 5:20] = -1
    modes[7, 7] = 0  # a pixel without neighbours
    regions = find_regions(modes, values)
    regions.join_small(min_size)
    labels, area = regions.number(), regions.table()["area"]
    connected = find_regions(np.where(modes < 0, -1, 0), np.zeros((1, 1))).number()
    for label in np.flatnonzero(area < min_size):
        assert (connected == connected[labels == label][0]).sum() == area[label]
    assert area[labels[7, 7]] == 1
    for label in range(len(area)):
        assert ndimage.label(labels == label)[1] == 1  # still in one piece


@pytest.mark.parametrize("unit", [1e-280, 1.0, 1e300])
def test_sums_of_any_unit_fit(unit):
    modes, values, image = picture()
    regions = find_regions(modes, values * unit)
    labels = regions.number()
    means = regions.table(image * unit)["intensity_mean-0"]
    for label in range(0, len(regions), 50):
        inside = labels == label
        np.testing.assert_allclose(regions.means[label] / unit, values[modes[inside]].mean(axis=0), rtol=1e-9)
        np.testing.assert_allclose(means[label] / unit, image[inside, 0].mean(), rtol=1e-9)


def test_a_mean_moves_with_what_is_joined():
    modes = np.array([[0, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 3]])
    values = np.array([[0.0], [1.0], [5.0], [-4.0]])
    regions = find_regions(modes, values)
    regions.join_small(4)
    np.testing.assert_array_equal(regions.number(), [[0] * 7 + [1] * 5])
    np.testing.assert_allclose(regions.means, [[22 / 7], [-4]])


@pytest.mark.parametrize(
    ("values", "label"),
    [
        ([[0], [2], [3]], 0),  # the nearer
        ([[0], [3], [2]], 1),
        ([[0], [2], [-2]], 1),  # the larger
    ],
)
def test_which_neighbour_is_joined(values, label):
    modes = np.array([[1, 1, 0, 2, 2, 2]])
    regions = find_regions(modes, np.array(values, float))
    regions.join_small(2)
    labels = regions.number()
    assert labels[0, 2] == labels[0, 0 if label == 0 else 3]
    assert labels[0, 0] != labels[0, 3]


def test_equals_go_to_the_first():
    modes = np.array([[1, 1, 0, 2, 2]])
    regions = find_regions(modes, np.array([[0.0], [1.0], [-1.0]]))
    regions.join_small(2)
    assert regions.number().tolist() == [[0, 0, 0, 1, 1]]


@pytest.mark.parametrize("tiles", [None, [(slice(0, 3), slice(0, 50)), (slice(3, 40), slice(0, 50))]])
def test_a_checkerboard_has_a_region_for_each_pixel(tiles):
    board = np.indices((40, 50)).sum(axis=0) % 2
    values = np.array([[0.0], [1.0]])
    assert (find_regions(board, values, tiles).number() == np.arange(2000).reshape(40, 50)).all()
    assert (find_regions(board, values, tiles, merge=1.0).number() == np.arange(2000).reshape(40, 50)).all()
    assert (find_regions(board, values, tiles, merge=1.001).number() == 0).all()
    joined = find_regions(board, values, tiles)
    joined.join_small(2001)
    assert (joined.number() == 0).all()


def test_all_one_mode_and_all_masked():
    for shape in [(1, 1), (5, 7), (2, 3, 4), (1, 1, 1)]:
        regions = find_regions(np.zeros(shape, int), np.zeros((1, 3)))
        regions.join_small(100)
        assert (regions.number() == 0).all()
        table = regions.table(np.ones(shape))
        assert (table["area"].tolist(), table["intensity_mean"].tolist()) == ([np.prod(shape)], [1.0])
        nothing = find_regions(np.full(shape, -1), np.zeros((0, 3)))
        nothing.join_small(100)
        assert (nothing.number() == -1).all()
        assert len(nothing.table(np.full(shape, np.nan))["area"]) == 0
    assert find_regions(np.zeros((0, 4), int), np.zeros((1, 1))).number().shape == (0, 4)


def test_modes_alike_join_in_chains_but_only_where_they_touch():
    values = np.arange(4)[:, None] * 0.4
    assert find_regions(np.array([[0, 1, 2, 3]]), values, merge=0.5).number().tolist() == [[0, 0, 0, 0]]
    assert find_regions(np.array([[0, 3, 1, 1]]), values, merge=0.5).number().tolist() == [[1, 2, 0, 0]]
    corners = np.array([[0, 3], [3, 0]])
    assert len(np.unique(find_regions(corners, values).number())) == 4


def test_many_rows_of_pairs_at_a_time(monkeypatch):
    modes, values, _ = picture()
    expected = find_regions(modes, values)
    expected.join_small(30)
    monkeypatch.setattr(adjacency, "PIXELS", 200)
    monkeypatch.setattr(adjacency, "SLOTS", 2)
    regions = find_regions(modes, values)
    regions.join_small(30)
    np.testing.assert_array_equal(regions.number(), expected.number())


def test_joins_at_size_follow_the_definition():
    """Thousands of regions of real values: the heap with void entries against one that is searched anew."""
    modes, values, _ = picture(3, (60, 70), coarse=6)
    values = np.rint(values * 16) / 16  # sums are exact, in any order
    first = find_regions(modes, values)
    labels, mean_of, size_of = first.number().copy(), dict(enumerate(first.means)), dict(enumerate(first.sizes))
    assert len(first) > 1000
    begins = {r: int(np.flatnonzero(labels.ravel() == r)[0]) for r in size_of}
    near = {r: set() for r in size_of}
    for a, b in [(labels[1:], labels[:-1]), (labels[:, 1:], labels[:, :-1])]:
        for p, q in zip(a[a != b].tolist(), b[a != b].tolist(), strict=True):
            if min(p, q) >= 0:
                near[p].add(q)
                near[q].add(p)
    heap = [(size_of[r], begins[r], r) for r in size_of]
    heapq.heapify(heap)
    while heap:
        size, begin, r = heapq.heappop(heap)
        if r not in size_of or (size, begin) != (size_of[r], begins[r]) or size >= 25 or not near[r]:
            continue
        away = {q: sum(float(d) ** 2 for d in mean_of[q] - mean_of[r]) for q in near[r]}
        best = min(near[r], key=lambda q: (away[q], -size_of[q], begins[q]))
        total = size_of[best] + size
        mean_of[best] = (mean_of[best] * size_of[best] + mean_of[r] * size) / total
        size_of[best], begins[best] = total, min(begins[best], begin)
        for q in near.pop(r):
            near[q].discard(r)
            if q != best:
                near[q].add(best)
                near[best].add(q)
        del size_of[r]
        labels[labels == r] = best
        heapq.heappush(heap, (total, begins[best], best))
    regions = find_regions(modes, values)
    regions.join_small(25)
    ours = regions.number()
    order = sorted(size_of, key=lambda r: (-size_of[r], begins[r]))
    expected = np.full_like(labels, -1)
    for label, r in enumerate(order):
        expected[labels == r] = label
    np.testing.assert_array_equal(ours, expected)


ONE = np.zeros((2, 3), int)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: find_regions(np.zeros(3, int), [[0.0]]), "shape"),
        (lambda: find_regions(np.zeros((2, 3)), [[0.0]]), "integers"),
        (lambda: find_regions(ONE + 1, [[0.0]]), "only has 1 rows"),
        (lambda: find_regions(ONE, [0.0]), "n_modes, channels"),
        (lambda: find_regions(ONE, [[np.nan]]), "finite"),
        (lambda: find_regions(ONE, [[0.0]], merge=-1), "merge"),
        (lambda: find_regions(ONE, [[0.0]], merge=np.nan), "merge"),
        (lambda: find_regions(ONE, [[0.0]], out=np.empty((2, 3))), "int32"),
        (lambda: find_regions(ONE, [[0.0]], out=np.empty((3, 3), np.int32)), "shape"),
        (lambda: find_regions(ONE, [[0.0]], [(slice(0, 1), slice(0, 3))]), "once"),
        (lambda: find_regions(ONE, [[0.0]], [(slice(0, 2),)]), "each of 2 axes"),
        (lambda: find_regions(ONE, [[0.0]], [(slice(0, 2, 2), slice(0, 3))] * 2), "leave out"),
        (lambda: find_regions(ONE, [[0.0]], [(slice(1, 2), slice(0, 3))] * 2), "once"),
        (lambda: find_regions(ONE, [[0.0]]).table(), "number"),
    ],
)
def test_errors_say_what_is_wrong(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_errors_about_the_picture():
    regions = find_regions(ONE, [[0.0]])
    regions.number()
    with pytest.raises(ValueError, match="numbered already"):
        regions.join_small(3)
    with pytest.raises(ValueError, match="image"):
        regions.table(np.zeros((3, 2)))
    with pytest.raises(ValueError, match="NaN"):
        regions.table(np.full((2, 3), np.nan))


@pytest.mark.parametrize("module", ["regions", "tiles"])
def test_examples(module):
    result = doctest.testmod(import_module(f"modeseek.images.{module}"), extraglobs={"np": np})
    assert result.attempted > 0
    assert result.failed == 0
