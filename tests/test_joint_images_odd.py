"""Mean shift over place and value: bad input is named, odd input is no trouble."""

import warnings

import numpy as np
import pytest
from PIL import Image, ImageDraw

import modeseek as ms
from modeseek.engines.cpu import joint_shift
from modeseek.images.chains import FARTHEST, MARGIN

rng = np.random.default_rng(0)
GREY = rng.integers(0, 256, (20, 24)).astype(np.uint8)
COLOUR = rng.integers(0, 256, (20, 24, 3)).astype(np.uint8)
BOTH = [ms.filter_image, ms.segment]


@pytest.fixture(autouse=True)
def _no_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


@pytest.mark.parametrize("run", BOTH)
@pytest.mark.parametrize(
    ("image", "error", "message"),
    [
        (np.zeros((0, 3)), ValueError, "image is empty"),
        (np.zeros(3), ValueError, "image must be a picture"),
        (np.zeros((2,) * 5), ValueError, "image must be a picture"),
        (3.0, ValueError, "image must be a picture"),
        (None, TypeError, "image must hold real numbers"),
        ([["a"]], TypeError, "image must hold real numbers"),
        (np.zeros((3, 3), complex), TypeError, "image must hold real numbers"),
        (np.where(np.eye(3), np.nan, 0), ValueError, r"NaN or infinity, the first at pixel \(0, 0\)"),
        (np.where(np.eye(3)[::-1], np.inf, 0), ValueError, r"NaN or infinity, the first at pixel \(0, 2\)"),
        (np.full((4, 4, 3), 2.0), ValueError, "colours must be uint8"),
        (np.full((4, 4, 3), 9), ValueError, "colours must be uint8"),
        (np.array([[-1.7e308, 1.7e308]]), ValueError, "too far apart"),
    ],
)
def test_what_is_no_picture(run, image, error, message):
    with pytest.raises(error, match=message):
        run(image)


@pytest.mark.parametrize("run", BOTH)
@pytest.mark.parametrize("name", ["spatial", "color"])
@pytest.mark.parametrize("h", [0, -1, np.nan, np.inf, True, "a", 1j, [1], np.array(3.0), (1, 2, 3)])
def test_what_is_no_bandwidth(run, name, h):
    with pytest.raises((ValueError, TypeError), match=rf"^{name} must be"):
        run(GREY, **{name: h})


@pytest.mark.parametrize("run", BOTH)
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"color": 1e-6}, "color=1e-06 is too narrow for values from 0 to 255"),
        ({"spatial": (True, 2)}, "spatial must be a number"),
        ({"tile_size": 0}, "tile_size"),
        ({"tile_size": True}, "tile_size"),
        ({"tile_size": 2.0}, "tile_size"),
        ({"n_jobs": 0}, "n_jobs"),
        ({"out": np.empty((3, 3))}, "out must be a writeable array"),
        ({"out": 3}, "out must be a writeable array"),
        ({"color_space": "hsv"}, "color_space must be one of"),
        ({"color_space": "lab"}, "needs red, green and blue"),
        ({"channel_axis": 5}, "channel_axis must be"),
        ({"channel_axis": "x"}, "channel_axis must be"),
        ({"mask": GREY}, "mask must be boolean"),
        ({"mask": np.ones((3, 3), bool)}, "mask must be boolean"),
    ],
)
def test_options_that_do_not_fit(run, options, message):
    with pytest.raises((ValueError, TypeError), match=message):
        run(GREY, **options)


@pytest.mark.parametrize("name", ["min_size", "merge"])
@pytest.mark.parametrize("value", [-1, np.nan, True, "a", None])
def test_regions_that_cannot_be(name, value):
    with pytest.raises(ValueError, match=f"{name} must be"):
        ms.segment(GREY, **{name: value})


def test_labels_must_not_overwrite_what_is_described():
    image = GREY.astype(np.int32)
    with pytest.raises(ValueError, match="out must not be the picture itself"):
        ms.segment(image, out=image, return_regions=True)


@pytest.mark.parametrize("shape", [(1, 1), (1, 2), (2, 1), (1, 7), (7, 1), (1, 1, 3), (1, 1, 1, 1), (1, 5, 1, 2)])
def test_few_pixels(shape):
    image = rng.integers(0, 256, shape).astype(np.uint8)
    labels, filtered, regions = ms.segment(image, return_regions=True)
    assert filtered.shape == shape
    assert regions["area"].sum() == labels.size == len(labels.ravel())
    if labels.size == 1:
        np.testing.assert_array_equal(filtered, image)


@pytest.mark.parametrize("h", [1e4, 1e6, 1e12, 1e20, 1e300])
def test_very_wide_bandwidths_give_the_mean(h):
    image = GREY.astype(float)
    np.testing.assert_allclose(ms.filter_image(image, spatial=h, color=h), image.mean(), atol=1e-2)
    assert not ms.segment(image, spatial=h, color=h).any()


@pytest.mark.parametrize("h", [1e6, 1e300])
def test_a_wide_bandwidth_of_values_alone_gives_means(h):
    filtered = ms.filter_image(GREY.astype(float), spatial=8, color=h)
    y, x = np.indices(GREY.shape)
    weights = np.exp(-((y - 9.5) ** 2 + (x - 11.5) ** 2) / 128)  # the mode of place is the middle
    np.testing.assert_allclose(filtered, (weights * GREY).sum() / weights.sum(), atol=1.0)


@pytest.mark.parametrize("h", [1e-6, 1e-300, 5e-324])
def test_very_narrow_bandwidths_change_nothing(h):
    np.testing.assert_array_equal(ms.filter_image(GREY, spatial=h), GREY)
    np.testing.assert_array_equal(ms.filter_image(COLOUR, spatial=h), COLOUR)
    np.testing.assert_array_equal(ms.filter_image(GREY, color=1e-3), GREY)


@pytest.mark.parametrize(
    "image",
    [
        np.full((4, 4), 2**64 - 1, np.uint64),
        np.full((4, 4), 2**63 - 1, np.int64),
        np.full((4, 4), -(2**63), np.int64),
        np.full((4, 4), 1e300),
        np.full((4, 4), 5e-324),
        np.full((4, 4), 65504, np.float16),
    ],
)
def test_the_ends_of_types(image):
    np.testing.assert_array_equal(ms.filter_image(image), image)
    np.testing.assert_array_equal(ms.filter_image(image, color=8), image)


@pytest.mark.parametrize(
    "image", [GREY * 1e298, GREY * 5e-324, GREY.astype(np.uint64) << 56], ids=["1e300", "1e-322", "u8"]
)
def test_values_of_any_size(image):
    expected = ms.filter_image(GREY.astype(float), color=8 / 255 * np.ptp(GREY))
    scale = float(image.max()) / float(GREY.max())
    np.testing.assert_allclose(ms.filter_image(image) / scale, expected, atol=1.0)


def test_an_outlier_is_no_silent_loss():
    image = GREY.astype(np.float32)
    image[3, 3] = -3.4e38  # no data
    with pytest.raises(ValueError, match="leave outliers out with mask="):
        ms.filter_image(image, color=8)
    known = image >= 0
    assert (ms.filter_image(image, color=8, mask=known)[known] >= 0).all()


@pytest.mark.parametrize("image", [GREY, COLOUR, np.full((20, 24), np.nan)])
def test_no_pixel_takes_part(image):
    mask = np.zeros((20, 24), bool)
    labels, filtered, regions = ms.segment(image, mask=mask, return_regions=True)
    assert (labels == -1).all()
    np.testing.assert_array_equal(filtered, image)
    assert all(len(column) == 0 for column in regions.values())


def text():
    image = Image.new("L", (80, 60), 255)
    for i in range(5):
        ImageDraw.Draw(image).text((2, 12 * i), "the quick fox", fill=0)
    return np.asarray(image)


y, x = np.indices((60, 80))
PATTERNS = {
    "checkerboard": ((y + x) % 2 * 255).astype(np.uint8),
    "noise": np.random.default_rng(1).normal(size=(60, 80)),
    "gradient": x * 3.0,
    "steps": (x * 3.2).astype(np.uint8),
    "diagonal": (y + x) * 0.9,
    "text": text(),
}


@pytest.mark.parametrize("name", PATTERNS)
def test_chains_end_and_no_climb_goes_far(name, monkeypatch):
    farthest = [0.0]

    def watched(*arguments, plain=joint_shift.climb):
        scale, x = arguments[5], arguments[7]
        began = x.copy()
        plain(*arguments)
        farthest.append(float(np.linalg.norm((x - began) / scale, axis=1).max(initial=0.0)))

    monkeypatch.setattr(joint_shift, "climb", watched)
    image = PATTERNS[name]
    for spatial, color in ((8, None), (1, 8), (3, 3), (2, 30), (8, 1)):
        filtered = ms.filter_image(image, spatial=spatial, color=color)
        assert image.min() <= filtered.min() + 1e-3
        assert filtered.max() <= image.max() + 1e-3
    assert 0.0 < max(farthest) <= FARTHEST + MARGIN  # what a part sees of its neighbours
    if name == "checkerboard":
        np.testing.assert_array_equal(ms.filter_image(image), image)
