"""Mean shift over place and value: close to the plain iteration; laws of tiles, values, axes and masks."""

import numpy as np
import pytest
import skimage.color
import skimage.measure
from scipy import ndimage
from sklearn.datasets import load_sample_images

import modeseek as ms
from tests.naive import filter_values

PHOTOS = dict(zip(("china", "flower"), load_sample_images().images, strict=True))
rng = np.random.default_rng(0)
NOISE = rng.integers(0, 256, (37, 41)).astype(np.uint8)
rows, columns = np.indices((60, 70))
RADIAL = np.hypot(rows - 30, columns - 35) * 2  # long narrow ridges
BLOCKS = rng.normal(0, 8, (10, 12, 14)) + np.kron(rng.integers(0, 4, (2, 3, 2)) * 60, np.ones((5, 4, 7)))
CHINA = np.ascontiguousarray(PHOTOS["china"][100:150, 200:260])
GREY = CHINA[..., 1].copy()


# ------------------------------------------------------------------------------------- the plain iteration


@pytest.fixture(scope="module")
def grey_differences():
    """Of two photographs at three bandwidths, in grey."""
    crops = [photo[100:120, 200:230].mean(axis=2) for photo in PHOTOS.values()]
    found = []
    for crop in crops:
        for h in (4, 8, 16):
            plain = filter_values(crop[..., None], h, h)
            found.append(np.abs(ms.filter_image(crop[..., None], spatial=h, color=h) - plain))
    return found


@pytest.fixture(scope="module")
def colour_differences():
    """Of the same, in colour."""
    found = []
    for photo in PHOTOS.values():
        crop = photo[100:120, 200:230] / 255
        for h in (4, 8, 16):
            plain = filter_values(skimage.color.rgb2lab(crop) * 2.55, h, h)
            filtered = ms.filter_image(crop, spatial=h, color=h / 255)
            found.append(255 * np.abs(filtered - skimage.color.lab2rgb(plain / 2.55)))
    return found


@pytest.mark.parametrize("kind", ["grey", "colour"])
def test_photographs_are_near_the_plain_iteration(kind, request):
    differences = request.getfixturevalue(f"{kind}_differences")
    for d in differences:
        assert np.median(d) < 0.2
    assert np.mean([d.mean() for d in differences]) < 0.5
    assert np.mean([(d.max(axis=-1) > 2).mean() for d in differences]) < 0.02


def test_a_volume_is_near_the_plain_iteration():
    plain = filter_values(BLOCKS[..., None], 3, 20)[..., 0]
    d = np.abs(ms.filter_image(BLOCKS, channel_axis=None, spatial=3, color=20) - plain)
    assert d.mean() < 0.5
    assert (d > 2).mean() < 0.02


@pytest.mark.parametrize("channels", [2, 4, 6])
def test_many_channels_are_near_the_plain_iteration(channels):
    truth = np.kron(rng.integers(0, 3, (3, 3, channels)) * 60, np.ones((8, 10, 1)))
    image = truth + rng.normal(0, 8, truth.shape)
    d = np.abs(ms.filter_image(image, channel_axis=-1, spatial=4, color=20) - filter_values(image, 4, 20))
    assert d.mean() < 0.5
    assert (d.max(axis=-1) > 2).mean() < 0.02


# ----------------------------------------------------------------------------------------- tiles and threads


MASK = np.random.default_rng(1).random((60, 70)) < 0.8
CASES = {
    "colour": (CHINA, {"spatial": 4}),
    "masked": (GREY, {"spatial": 3, "mask": MASK[:50, :60]}),
    "ridges": (RADIAL, {"spatial": 4, "color": 4}),
    "narrow ridges": (RADIAL, {"spatial": 2, "color": 30, "mask": MASK}),
    "unlike axes": (GREY, {"spatial": (2.0, 7.0), "color": 12}),
    "volume": (BLOCKS, {"spatial": 1.5, "color": 15, "channel_axis": None}),
    "slope": (np.indices((16, 18, 20)).sum(axis=0) * 3.5, {"spatial": 3, "color": 3, "channel_axis": None}),
    "tiny": (NOISE, {"spatial": 0.5, "color": 30}),
}


@pytest.mark.parametrize("case", CASES)
def test_tiles_and_threads_leave_no_trace(case):
    image, options = CASES[case]
    filtered = ms.filter_image(image, **options, n_jobs=1)
    labels, _, regions = ms.segment(image, **options, n_jobs=1, return_regions=True)
    for tile_size, n_jobs in ((1, 1), (7, 2), (17, 3), (31, 1), (40, 2), (None, 3)):
        options |= {"tile_size": tile_size, "n_jobs": n_jobs}
        np.testing.assert_array_equal(ms.filter_image(image, **options), filtered)
        again, other, table = ms.segment(image, **options, return_regions=True)
        np.testing.assert_array_equal(again, labels)
        np.testing.assert_array_equal(other, filtered)
        for name, column in regions.items():
            np.testing.assert_array_equal(table[name], column)


# ------------------------------------------------------------------------------------------------- laws


@pytest.mark.parametrize("dtype", ["?", "u1", "i2", "u2", ">u2", "u4", "i8", "u8", "f2", "f4", ">f4", "f8", ">f8"])
@pytest.mark.parametrize("value", [0, 1, 77])
def test_a_constant_picture_stays(dtype, value):
    image = np.full((9, 11), value).astype(dtype)
    filtered = ms.filter_image(image)
    assert filtered.dtype == image.dtype
    np.testing.assert_array_equal(filtered, image)
    labels, _, regions = ms.segment(image, return_regions=True)
    assert not labels.any()
    assert regions["intensity_mean"].tolist() == [float(image[0, 0])]


@pytest.mark.parametrize("dtype", ["u1", "u2"])
def test_a_constant_colour_stays(dtype):
    image = np.full((9, 11, 3), (10, 200, 77), dtype)
    np.testing.assert_array_equal(ms.filter_image(image), image)


@pytest.mark.parametrize("dtype", ["i2", "u2", ">i4", "f4", ">f8"])
def test_types_do_not_matter(dtype):
    expected = ms.filter_image(GREY.astype("f8"), color=8)
    filtered = ms.filter_image(GREY.astype(dtype), color=8)
    np.testing.assert_allclose(filtered, expected, rtol=1e-6, atol=1e-4 if dtype[-2] == "f" else 0.5 + 1e-4)


@pytest.mark.parametrize("factor", [0.25, 1024.0, 2.0**-1000, 2.0**900])
def test_values_may_be_scaled(factor):
    image = GREY.astype(float)
    expected = ms.filter_image(image, color=8) * factor
    np.testing.assert_array_equal(ms.filter_image(image * factor, color=8 * factor), expected)


def test_values_may_be_shifted():
    expected = ms.filter_image(GREY.astype(float), color=8)
    np.testing.assert_allclose(ms.filter_image(GREY + 1e6, color=8) - 1e6, expected, atol=1e-6)


def test_sixteen_bits_are_eight_bits():
    eight = ms.filter_image(CHINA)
    sixteen = ms.filter_image(CHINA.astype(np.uint16) * 257)
    assert np.abs(sixteen / 257 - eight).max() <= 0.51
    np.testing.assert_allclose(ms.filter_image(CHINA / 255) * 257 * 255, sixteen, atol=0.51)


def test_axes_may_be_mirrored_and_exchanged():
    expected = ms.filter_image(GREY.astype(float), spatial=4, color=16)
    for turn in (np.fliplr, np.flipud, np.transpose):
        d = np.abs(turn(ms.filter_image(turn(GREY.astype(float)), spatial=4, color=16)) - expected)
        assert np.median(d) < 0.2
        assert (d > 2).mean() < 0.05


def test_channels_may_be_anywhere():
    expected = ms.filter_image(CHINA)
    for axis in (0, 1, -2):
        moved = np.moveaxis(CHINA, -1, axis)
        np.testing.assert_array_equal(ms.filter_image(moved, channel_axis=axis), np.moveaxis(expected, -1, axis))
        labels, filtered, _ = ms.segment(moved, channel_axis=axis, return_regions=True)
        np.testing.assert_array_equal(labels, ms.segment(CHINA))
        np.testing.assert_array_equal(filtered, np.moveaxis(expected, -1, axis))
    np.testing.assert_array_equal(ms.filter_image(GREY[..., None])[..., 0], ms.filter_image(GREY))


def test_memory_layout_does_not_matter(tmp_path):
    expected = ms.filter_image(CHINA)
    frozen = CHINA.copy()
    frozen.flags.writeable = False
    np.testing.assert_array_equal(ms.filter_image(frozen), expected)
    np.testing.assert_array_equal(ms.filter_image(np.asfortranarray(CHINA)), expected)
    np.testing.assert_array_equal(ms.filter_image(np.repeat(CHINA, 2, axis=1)[:, ::2]), expected)
    CHINA.tofile(tmp_path / "image")
    mapped = np.memmap(tmp_path / "image", np.uint8, "r", shape=CHINA.shape)
    out = np.memmap(tmp_path / "out", np.uint8, "w+", shape=CHINA.shape)
    assert ms.filter_image(mapped, out=out, tile_size=20) is out
    np.testing.assert_array_equal(out, expected)
    labels = np.memmap(tmp_path / "labels", np.int32, "w+", shape=CHINA.shape[:2])
    assert ms.segment(mapped, out=labels, tile_size=20) is labels
    np.testing.assert_array_equal(labels, ms.segment(CHINA))
    own = CHINA.copy()
    np.testing.assert_array_equal(ms.filter_image(own, out=own), expected)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -1e300, 7.0])
@pytest.mark.parametrize("image", [CHINA / 255, GREY / 255], ids=["colour", "grey"])
def test_what_is_under_the_mask_has_no_influence(image, bad):
    mask = MASK[:50, :60]
    other = image.copy()
    other[~mask] = bad
    options = {"mask": mask, "color": 8 / 255}
    filtered = ms.filter_image(other, **options)
    np.testing.assert_array_equal(filtered[mask], ms.filter_image(image, **options)[mask])
    np.testing.assert_array_equal(filtered[~mask], other[~mask])
    labels, _, regions = ms.segment(other, **options, return_regions=True)
    np.testing.assert_array_equal(labels, ms.segment(image, **options))
    assert (labels[~mask] == -1).all()
    assert (labels[mask] >= 0).all()
    assert regions["area"].sum() == mask.sum()
    assert all(np.isfinite(column).all() for column in regions.values())


# ------------------------------------------------------------------------------------------------ regions


@pytest.mark.parametrize("merge", [0, 0.5, 2.0])
@pytest.mark.parametrize("min_size", [0, 20])
def test_regions_are_connected_and_numbered_by_area(merge, min_size):
    labels, filtered, regions = ms.segment(CHINA, merge=merge, min_size=min_size, return_regions=True)
    areas = np.bincount(labels.ravel())
    assert (np.diff(areas) <= 0).all()
    assert areas.min() >= max(1, min_size)
    for k in range(len(areas)):
        assert ndimage.label(labels == k)[1] == 1
    np.testing.assert_array_equal(filtered, ms.filter_image(CHINA))
    names = ("label", "area", "centroid", "bbox", "intensity_mean")
    expected = skimage.measure.regionprops_table(labels + 1, CHINA, properties=names)
    assert {f"filtered_mean-{k}" for k in range(3)} | set(expected) == set(regions)
    np.testing.assert_array_equal(regions["label"], expected.pop("label") - 1)
    for name, column in expected.items():
        np.testing.assert_allclose(regions[name], column, err_msg=name)


def test_without_merging_a_region_has_one_value():
    labels, filtered, _ = ms.segment(GREY, merge=0, return_regions=True)
    for a, b, one, two in (
        (labels[1:], labels[:-1], filtered[1:], filtered[:-1]),
        (labels[:, 1:], labels[:, :-1], filtered[:, 1:], filtered[:, :-1]),
    ):
        assert (one[a == b] == two[a == b]).all()


def test_climbs_along_long_ridges_leave_no_trace_of_tiles():
    rows, columns = np.indices((120, 160))
    image = np.hypot(rows - 60, columns - 80) * 2
    expected = ms.filter_image(image, spatial=4, color=4)
    for tile_size in (17, 64):
        np.testing.assert_array_equal(ms.filter_image(image, spatial=4, color=4, tile_size=tile_size), expected)


def test_a_wide_bandwidth_of_values_blurs():
    image = np.random.default_rng(0).integers(0, 256, (60, 70)).astype(float)
    filtered = ms.filter_image(image, spatial=2, color=1e6)  # far from the border places stay where they are
    inside = np.s_[20:40, 20:50]
    assert np.abs(filtered - ndimage.gaussian_filter(image, 2))[inside].mean() < 4.0  # squares climb as one
    assert np.abs(filtered - image)[inside].mean() > 50.0


def test_merge_counts_the_bandwidth_that_was_asked_for():
    image = np.where(np.arange(40) < 20, 0.0, 1.0) * np.ones((8, 1))
    assert ms.segment(image, color=0.1, merge=9.0).max() == 1
    assert ms.segment(image, color=0.1, merge=11.0).max() == 0
    assert ms.segment(image, spatial=0.1, color=1e6, merge=1e-3).max() == 0  # wider than is of any use
    assert ms.segment(image, spatial=0.1, color=1e6, merge=1e-9).max() == 1


@pytest.mark.parametrize("channels", [1, 3, 4])  # 3 and 5 columns are loops for five, 6 are the loop for any number
def test_sums_are_those_of_the_cells(channels):
    """Density, h grad log f and h H h against NumPy's sums over the cells of all blocks."""
    from modeseek.engines.cpu import joint_shift
    from modeseek.images import cells, chains, spaces

    rng = np.random.default_rng(1)
    picture = spaces.as_picture(rng.normal(100, 20, (40, 50, channels)), -1, "raw", None)
    grid = cells.Grid(picture.shape, (5.0, 7.0), 30.0, channels)
    found = cells.gather(picture, grid, grid.parts(1 << 20)[0], (0, 0), 1)
    d, h = grid.d, grid.scale.astype(float)
    mass, means, inverse = np.split(np.moveaxis(found.blocks.astype(float), 1, 0).reshape(1 + 2 * d, -1), [1, 1 + d])
    room = [np.empty(d, np.float32), np.empty(16 * d, np.float32), np.empty(16 * (1 + d + d * d), np.float32)]
    for z in found.starts[:: len(found.starts) // 5]:
        first, second = np.empty(d), np.empty((d, d))
        f = joint_shift.sums(
            found.blocks, found.boxes, found.begins, found.dims, cells.UNIT, grid.scale, chains.REACH,
            np.float32(np.exp(-0.5 * chains.REACH**2)), z, room[0], True, *room[1:], first, second,
        )  # fmt: skip
        e = (means - z[:, None]) * inverse
        q = 0.5 * ((means - z[:, None]) * e).sum(axis=0)
        g = mass[0] * np.maximum(np.exp(-q) - np.exp(-0.5 * chains.REACH**2), 0.0)
        gradient = (g * e).sum(axis=1) / g.sum()
        hessian = ((g * e) @ e.T - np.diag((g * inverse).sum(axis=1))) / g.sum() - np.outer(gradient, gradient)
        np.testing.assert_allclose(f, g.sum(), rtol=1e-4)
        np.testing.assert_allclose(first, gradient * h, atol=1e-4)
        np.testing.assert_allclose(second, hessian * np.outer(h, h), atol=2e-4)
