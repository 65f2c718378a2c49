"""Pictures: every kind of file that a camera or a screen makes, and their main colours."""

import sys

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_sample_images

from modeseek.images import read_image, segment_colors, write_image


@pytest.fixture(scope="module")
def flower() -> np.ndarray:
    return np.ascontiguousarray(load_sample_images().images[1][::4, ::4])  # (107, 160, 3)


def test_there_and_back(flower, tmp_path):
    write_image(tmp_path / "flower.png", flower)
    np.testing.assert_array_equal(read_image(tmp_path / "flower.png"), flower)
    assert [p.name for p in tmp_path.iterdir()] == ["flower.png"]


@pytest.mark.parametrize("mode", ["L", "LA", "1", "P", "RGBA", "CMYK"])
def test_every_mode_becomes_rgb(flower, tmp_path, mode):
    image = Image.fromarray(flower).convert(mode)
    suffix = "tif" if mode == "CMYK" else "png"
    image.save(tmp_path / f"t.{suffix}")
    read = read_image(tmp_path / f"t.{suffix}")
    assert (read.shape, read.dtype) == (flower.shape, np.uint8)
    np.testing.assert_array_equal(read, np.asarray(image.convert("RGB")))
    if mode in ("L", "LA", "1"):
        assert (read[..., 0] == read[..., 1]).all()


def test_transparency_is_dropped(flower, tmp_path):
    alpha = np.zeros((*flower.shape[:2], 1), np.uint8)
    Image.fromarray(np.concatenate([flower, alpha], axis=2)).save(tmp_path / "t.png")
    np.testing.assert_array_equal(read_image(tmp_path / "t.png"), flower)


def test_16_bits_keep_the_upper_8(tmp_path):
    grey = np.arange(0, 65536, 64, dtype=np.uint16).reshape(32, 32)
    Image.fromarray(grey).save(tmp_path / "t.png")
    np.testing.assert_array_equal(read_image(tmp_path / "t.png")[..., 1], grey >> 8)


def test_a_photograph_held_sideways_is_turned(flower, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # orientation: a quarter turn
    Image.fromarray(flower).save(tmp_path / "t.png", exif=exif)
    np.testing.assert_array_equal(read_image(tmp_path / "t.png"), np.rot90(flower, -1))


def test_what_is_no_picture(flower, tmp_path):
    with pytest.raises(ValueError, match=r"none\.png does not exist"):
        read_image(tmp_path / "none.png")
    with pytest.raises(ValueError, match=r"is a directory"):
        read_image(tmp_path)
    (tmp_path / "t.png").write_text("a,b\n1,2\n")
    with pytest.raises(ValueError, match=r"t\.png is not a picture"):
        read_image(tmp_path / "t.png")
    (tmp_path / "e.png").write_text("")
    with pytest.raises(ValueError, match=r"e\.png is not a picture"):
        read_image(tmp_path / "e.png")
    write_image(tmp_path / "cut.jpg", flower)
    (tmp_path / "cut.jpg").write_bytes((tmp_path / "cut.jpg").read_bytes()[:1500])
    with pytest.raises(ValueError, match=r"cut\.jpg cannot be read as a picture: .*truncated"):
        read_image(tmp_path / "cut.jpg")


def test_a_picture_like_a_bomb(flower, tmp_path, monkeypatch):
    write_image(tmp_path / "t.png", flower)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(ValueError, match=r"t\.png cannot be read as a picture: .*exceeds limit"):
        read_image(tmp_path / "t.png")


def test_a_picture_of_floats(tmp_path):
    Image.fromarray(np.ones((4, 4), np.float32)).save(tmp_path / "t.tif")
    with pytest.raises(ValueError, match=r"neither 8 nor 16 bits"):
        read_image(tmp_path / "t.tif")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("t.txt", r"t\.txt ends in '\.txt'"),
        ("t", r"t has no suffix"),
        ("none/t.png", r"there is no directory"),
        ("sub.png", r"sub\.png is a directory"),
    ],
)
def test_names_that_cannot_be_written(flower, tmp_path, name, message):
    (tmp_path / "sub.png").mkdir()
    with pytest.raises(ValueError, match=message):
        write_image(tmp_path / name, flower)
    assert [p.name for p in tmp_path.iterdir()] == ["sub.png"]


def test_pillow_missing(flower, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(ImportError, match=r"pip install 'modeseek\[image\]'"):
        read_image(tmp_path / "t.png")
    with pytest.raises(ImportError, match=r"pip install 'modeseek\[image\]'"):
        write_image(tmp_path / "t.png", flower)


# ------------------------------------------------------------------------------------------------- segments


def test_three_colours_with_noise_are_found():
    rng = np.random.default_rng(0)
    truth = np.array([[200, 40, 40], [30, 120, 60], [240, 230, 90]])
    index = rng.choice(3, size=(60, 80), p=[0.5, 0.3, 0.2])
    image = np.clip(truth[index] + rng.normal(0, 6, (60, 80, 3)), 0, 255).round().astype(np.uint8)
    labels, palette = segment_colors(image, 16)
    np.testing.assert_array_equal(labels, index)  # numbered by decreasing size
    assert (labels.dtype, palette.dtype) == (np.int32, np.uint8)
    assert np.abs(palette.astype(int) - truth).max() <= 2


def test_palette_is_the_mean_of_each_segment(flower):
    labels, palette = segment_colors(flower, 16)
    assert labels.shape == flower.shape[:2]
    for k, colour in enumerate(palette):
        np.testing.assert_array_equal(np.rint(flower[labels == k].mean(axis=0)), colour)


def test_larger_bandwidth_fewer_colours_and_more_error(flower):
    n_colours, errors = [], []
    for bandwidth in (8, 16, 32):
        labels, palette = segment_colors(flower, bandwidth)
        n_colours.append(len(palette))
        errors.append(np.square(palette[labels].astype(float) - flower).mean())
    assert n_colours[0] > n_colours[1] >= n_colours[2] >= 1
    assert errors[0] < errors[1] <= errors[2]


def test_pixels_may_be_shuffled(flower):
    labels, palette = segment_colors(flower, 16)
    order = np.random.default_rng(0).permutation(labels.size)
    shuffled = flower.reshape(-1, 3)[order].reshape(flower.shape)
    labels_2, palette_2 = segment_colors(shuffled, 16)
    np.testing.assert_array_equal(palette_2, palette)
    np.testing.assert_array_equal(labels_2.ravel(), labels.ravel()[order])


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((4, 4), np.uint8),
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((4, 4, 3)),
        np.zeros((0, 4, 3), "u1"),
    ],
)
def test_segment_what_is_no_rgb_picture(image):
    with pytest.raises(ValueError, match=r"image must be uint8 of shape \(H, W, 3\)"):
        segment_colors(image)


def test_options_reach_the_estimator(flower):
    with pytest.raises(ValueError, match="fidelity"):
        segment_colors(flower, 16, fidelity="nonsense")
    with pytest.raises(ValueError, match="bandwidth"):
        segment_colors(flower, 0)
