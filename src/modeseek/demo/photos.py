"""scikit-learn's two photographs in their main colours."""

import time
from pathlib import Path

import numpy as np
from sklearn.datasets import load_sample_images

from modeseek import images
from modeseek.demo import page

BANDWIDTHS = (16.0, 8.0)


def section(directory: Path) -> page.Section:
    """Segment both at two bandwidths; return the section."""
    pieces = [
        page.text(
            "A pixel is a point too: its red, green and blue are three coordinates. The peaks of the "
            "density of these points are the main colours of the photograph, and every pixel belongs to "
            "one of them. Here each pixel is painted in the mean colour of its cluster. The bandwidth is "
            "the detail: make it smaller, and colours that had counted as one come apart."
        )
    ]
    pictures = load_sample_images()
    images.segment_colors(pictures.images[0], BANDWIDTHS[0])  # compiles: no part of the times below
    for name, image in zip(pictures.filenames, pictures.images, strict=True):
        pieces.append(_segmented(directory, Path(name).stem, image))
    pieces.append(page.text("The same from the command line:"))
    pieces.append(page.terminal("modeseek segment china-original.png -o result.png --bandwidth 16"))
    return page.Section("photographs", "Two photographs", pieces)


def _segmented(directory: Path, name: str, image: np.ndarray) -> str:
    """Write the original and its segmentations; return them side by side."""
    height, width = image.shape[:2]
    images.write_image(directory / f"{name}-original.png", image)
    n_colours = len(np.unique(image.reshape(-1, 3), axis=0))
    caption = f"The original: {width} x {height} pixels, {n_colours:,} colours."
    figures = [page.picture(f"{name}-original.png", caption, f"Photograph: {name}")]
    for bandwidth in BANDWIDTHS:
        start = time.perf_counter()
        labels, palette = images.segment_colors(image, bandwidth)
        seconds = time.perf_counter() - start
        file = f"{name}-{bandwidth:g}.png"
        images.write_image(directory / file, palette[labels])
        caption = f"Bandwidth {bandwidth:g}: {len(palette)} colours, found in {seconds:.2f} s."
        figures.append(page.picture(file, caption, f"The photograph {name} in {len(palette)} colours"))
    return page.side_by_side(*figures)
