"""scikit-learn's two photographs: cut into regions, and in their main colours."""

import time
from pathlib import Path

import numpy as np
from sklearn.datasets import load_sample_images

from modeseek import images
from modeseek.demo import page

BANDWIDTH = 8.0  # of place, in pixels, and of colour
SMALLEST = 50  # pixels of a region
MAIN_COLORS = 16.0  # bandwidth of colour where place plays no part


def section(directory: Path) -> page.Section:
    """Segment both in two ways; return the section."""
    pieces = [
        page.text(
            "A pixel is a point too: its place and its colour are coordinates. It climbs to a peak of the "
            "density of pixels that are alike and near each other; pixels that touch and come to nearly the same "
            "colour are a region. Noise goes, edges stay. Where place plays no part, the peaks are the main colours "
            "of the photograph. Every region, and every main colour, is painted in the mean of its pixels."
        )
    ]
    pictures = load_sample_images()
    _regions(pictures.images[0])  # compiles: no part of the times below
    images.segment_colors(pictures.images[0], MAIN_COLORS)
    for name, image in zip(pictures.filenames, pictures.images, strict=True):
        pieces.append(_segmented(directory, Path(name).stem, image))
    pieces.append(page.text("The same from the command line:"))
    pieces.append(page.terminal("modeseek segment china-original.png -o result.png --min-size 50"))
    pieces.append(page.terminal("modeseek segment china-original.png -o result.png --bandwidth 16"))
    return page.Section("photographs", "Two photographs", pieces)


def _segmented(directory: Path, name: str, image: np.ndarray) -> str:
    """Write the original, its regions and its main colours; return them side by side."""
    height, width = image.shape[:2]
    images.write_image(directory / f"{name}-original.png", image)
    n_colours = len(np.unique(image.reshape(-1, 3), axis=0))
    caption = f"The original: {width} x {height} pixels, {n_colours:,} colours."
    figures = [page.picture(f"{name}-original.png", caption, f"Photograph: {name}")]

    start = time.perf_counter()
    painted, k = _regions(image)
    caption = f"{k:,} regions: bandwidths of {BANDWIDTH:g} pixels and {BANDWIDTH:g} steps of colour, {_since(start)}."
    images.write_image(directory / f"{name}-regions.png", painted)
    figures.append(page.picture(f"{name}-regions.png", caption, f"The photograph {name} in {k} regions"))

    start = time.perf_counter()
    labels, palette = images.segment_colors(image, MAIN_COLORS)
    k = len(palette)
    caption = f"{k} main colours: a bandwidth of {MAIN_COLORS:g} steps of colour, {_since(start)}."
    images.write_image(directory / f"{name}-colours.png", palette[labels])
    figures.append(page.picture(f"{name}-colours.png", caption, f"The photograph {name} in {k} colours"))
    return page.side_by_side(*figures)


def _regions(image: np.ndarray) -> tuple[np.ndarray, int]:
    """Return the picture with every region in its mean colour, and how many regions there are."""
    labels, _, table = images.segment(image, spatial=BANDWIDTH, color=BANDWIDTH, min_size=SMALLEST, return_regions=True)
    colors = images.mean_colors(table)
    return colors[labels], len(colors)


def _since(start: float) -> str:
    return f"found in {time.perf_counter() - start:.2f} s"
