"""Pictures: joint mean shift of place and value against OpenCV: ``python -m benchmarks.images``.

OpenCV's ``pyrMeanShiftFiltering(sp=16, sr=16, maxLevel=0)`` is its mean-shift filter without a pyramid: a flat window
of 33 x 33 pixels, five steps at most. `ms.filter_image(spatial=16, color=16)` sums over a Gaussian of that standard
deviation, ten times as many pixels, until every pixel is at its mode. Both filter the same photographs in one run, in
turn. First the result is compared with the plain iteration over all pixels in reach, in float64, that every benchmark
of agreement here stands on; it shares no code with the library.

The large picture is scikit-learn's photograph of China enlarged to 12 megapixels; a harder one is the photograph as it
is, side by side with mirror images of itself, to 3 megapixels.
"""

import argparse
import sys
from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray
from PIL import Image
from skimage.color import lab2rgb, rgb2lab
from sklearn.datasets import load_sample_images

import modeseek as ms
from benchmarks import harness
from benchmarks.harness import Row, alternate
from benchmarks.mean_shift import bar, collect
from benchmarks.reference import _exp_minus
from modeseek.engines.threads import run_chunks

SPATIAL = COLOR = 16.0
LARGE = (3000, 4000)
VOLUME = 128
STARTS = 1500  # pixels that climb by the definition
REACH = 6.0  # bandwidths of place; beyond, weights are below 1e-7
REST = 1e-6  # bandwidths: steps so short are the last
MOST_STEPS = 20_000
SCALE = 2.55  # of CIELAB, so that black and white are 255 apart


def china() -> NDArray[np.uint8]:
    """Return the photograph, (427, 640, 3)."""
    return np.ascontiguousarray(load_sample_images().images[0])


def enlarged(shape: tuple[int, int]) -> NDArray[np.uint8]:
    """Return the photograph at another size."""
    return np.asarray(Image.fromarray(china()).resize(shape[::-1], Image.Resampling.LANCZOS))


def mirrored(shape: tuple[int, int]) -> NDArray[np.uint8]:
    """Return the photograph and mirror images of it, side by side."""
    image = china()
    tile = np.concatenate([image, image[:, ::-1]], axis=1)
    tile = np.concatenate([tile, tile[::-1]], axis=0)
    repeats = [-(-n // m) for n, m in zip(shape, tile.shape[:2], strict=True)]
    return np.ascontiguousarray(np.tile(tile, (*repeats, 1))[: shape[0], : shape[1]])


def ball(side: int) -> NDArray[np.float32]:
    """Return a volume: a ball with a core, in noise."""
    axes = np.meshgrid(*[np.linspace(-1, 1, side)] * 3, indexing="ij")
    r = np.sqrt(sum(a * a for a in axes))
    volume = np.where(r < 0.35, 180.0, np.where(r < 0.75, 110.0, 40.0))
    return (volume + np.random.default_rng(0).normal(0, 8.0, volume.shape)).astype(np.float32)


# ------------------------------------------------------------------------------------------- by the definition


@njit(nogil=True, cache=True, fastmath=True)
def _sums(values, low, high, left, right, spatial, color, at, sums):
    """Add to sums the weight and the weighted displacements of the pixels of a window; return the weight."""
    total = sy = sx = s0 = s1 = s2 = 0.0
    for r in range(low, high):
        dy = r / spatial - at[0]
        v0, v1, v2 = values[0, r, left:right], values[1, r, left:right], values[2, r, left:right]
        for c in range(right - left):
            dx = (c + left) / spatial - at[1]
            d0, d1, d2 = v0[c] / color - at[2], v1[c] / color - at[3], v2[c] / color - at[4]
            g = _exp_minus(0.5 * (dy * dy + dx * dx + d0 * d0 + d1 * d1 + d2 * d2))
            total += g
            sy += g * dy
            sx += g * dx
            s0 += g * d0
            s1 += g * d1
            s2 += g * d2
    sums[0], sums[1], sums[2], sums[3], sums[4] = sy, sx, s0, s1, s2
    return total


@njit(nogil=True, cache=True)
def _climb(values, spatial, color, z, done):
    """Let rows of z (row, column, values; in bandwidths) take plain steps over all pixels in reach until they rest."""
    _, height, width = values.shape
    sums = np.empty(5)
    for i in range(len(z)):
        for _ in range(MOST_STEPS):
            y, x = z[i, 0] * spatial, z[i, 1] * spatial
            low, high = max(0, int(y - REACH * spatial)), min(height, int(y + REACH * spatial) + 1)
            left, right = max(0, int(x - REACH * spatial)), min(width, int(x + REACH * spatial) + 1)
            total = _sums(values, low, high, left, right, spatial, color, z[i], sums)
            length = 0.0
            for k in range(5):
                z[i, k] += sums[k] / total
                length += (sums[k] / total) ** 2
            if length < REST * REST:
                done[i] = True
                break


def exact(image: NDArray[np.uint8], pixels: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Return the filtered colours of some pixels, by the definition."""
    values = np.ascontiguousarray(np.moveaxis(rgb2lab(image) * SCALE, -1, 0))
    rows, columns = np.divmod(pixels, image.shape[1])
    z = np.column_stack([rows / SPATIAL, columns / SPATIAL, values[:, rows, columns].T / COLOR])
    done = np.zeros(len(z), bool)
    run_chunks(len(z), lambda _, a, b: _climb(values, SPATIAL, COLOR, z[a:b], done[a:b]), None, 4)
    if not done.all():
        raise AssertionError(f"{(~done).sum()} climbs by the definition have not come to rest")
    return np.rint(lab2rgb(z[None, :, 2:] * COLOR / SCALE)[0] * 255).astype(np.uint8)


# ------------------------------------------------------------------------------------------------------- cases


def ours(image: NDArray[Any]) -> NDArray[Any]:
    """Filter by this library."""
    return ms.filter_image(image, spatial=SPATIAL, color=COLOR)


def opencv(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Filter by OpenCV."""
    import cv2

    return cv2.pyrMeanShiftFiltering(image, SPATIAL, COLOR, maxLevel=0)


def agreement(quick: bool) -> Iterator[Row]:
    """Compare with the definition."""
    image = china()[::4, ::4] if quick else china()
    n = image.shape[0] * image.shape[1]
    pixels = np.sort(np.random.default_rng(0).permutation(n)[: 20 if quick else STARTS])
    difference = np.abs(ours(image).reshape(-1, 3)[pixels].astype(float) - exact(image, pixels)).mean(axis=1)
    words = {"times": f"{np.mean(difference > 3):.2%} of {len(pixels)} pixels differ by more than 3"}
    yield bar("china.jpg: grey levels off the exact joint iteration, mean", difference.mean(), "<= 0.5") | words


def against_opencv(name: str, image: NDArray[np.uint8], required: str, rounds: int) -> Iterator[Row]:
    """Time both in turn."""
    small = image[:64, :64].copy()
    calls = {"opencv": partial(opencv, image), "ours": partial(ours, image)}
    times = alternate(calls, rounds, warm_up={"opencv": partial(opencv, small), "ours": partial(ours, small)})
    what = f"{name}: times as fast as OpenCV"
    words = {"times": f"OpenCV {times['opencv']}; ours {times['ours']}"}
    yield bar(what, times["opencv"].times(times["ours"]), required) | words


def small(quick: bool) -> Iterator[Row]:
    """Time the photograph itself."""
    yield from against_opencv("china.jpg", china()[::4, ::4].copy() if quick else china(), ">= 1", 2 if quick else 5)


def large(make: Any, name: str, required: str, quick: bool) -> Iterator[Row]:
    """Time 12 megapixels, and measure the memory that they take."""
    shape = (300, 400) if quick else LARGE if required else (LARGE[0] // 2, LARGE[1] // 2)
    yield from against_opencv(name, make(shape), required, 1)
    if not required:
        return
    setup = f"from benchmarks import images\nimage = images.{make.__name__}({shape})\nimages.ours(image[:64, :64])"
    extra = harness.extra_memory(setup, "images.ours(image)")
    yield bar(f"{name}: GB beside the picture", extra / 1e9, "< 3")


def tiles(quick: bool) -> Iterator[Row]:
    """Compare tiles with the whole."""
    image = china()[::4, ::4] if quick else enlarged((1000, 1500))
    size = 64 if quick else 256
    whole = ms.segment(image, spatial=SPATIAL, color=COLOR, min_size=50)
    tiled = ms.segment(image, spatial=SPATIAL, color=COLOR, min_size=50, tile_size=size)
    what = f"{image.shape[1]} x {image.shape[0]} pixels in tiles of {size}: labels that differ from the whole"
    yield bar(what, int((whole != tiled).sum()), "<= 0") | {"times": f"{whole.max() + 1} regions"}


def volume(quick: bool) -> Iterator[Row]:
    """Time a volume."""
    image = ball(32 if quick else VOLUME)
    ms.segment(image[:8], spatial=8, color=16)
    times = alternate({"ours": partial(ms.segment, image, spatial=8, color=16, min_size=50)}, 1)
    regions = ms.segment(image, spatial=8, color=16, min_size=50).max() + 1
    what = f"volume of {image.shape[0]}^3, spatial 8: seconds to segment"
    yield bar(what, times["ours"].median, "< 30") | {"times": f"{regions} regions"}


CASES = {
    "agreement": agreement,
    "china.jpg": small,
    "12 MP": partial(large, enlarged, "12 megapixels, enlarged", ">= 2"),
    "3 MP mirrored": partial(large, mirrored, "3 megapixels, mirrored", ""),
    "tiles": tiles,
    "volume": volume,
}


def main(argv: list[str] | None = None) -> int:
    """Run the benchmark; return 1 if a bar is missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.images", description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="small pictures")
    quick = parser.parse_args(argv).quick
    try:
        import cv2
    except ImportError:
        print("OpenCV is compared with: pip install opencv-python-headless", file=sys.stderr)
        return 2
    print("\n".join(f"{k}: {v}" for k, v in {**harness.machine(), "opencv": cv2.__version__}.items()), end="\n\n")
    rows: list[Row] = []
    for name, make in CASES.items():
        rows += collect(name, make, quick)
    for row in rows:
        del row["agreement"], row["starts"]
    print(harness.table(rows))
    harness.write_rows("images-quick" if quick else "images", rows)
    return int(any(row["result"] == "FAIL" for row in rows))


if __name__ == "__main__":
    sys.exit(main())
