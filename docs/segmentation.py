"""Draw the picture of docs/segmentation.md: ``python docs/segmentation.py`` (needs ``modeseek[plot,image]``)."""

from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from skimage.segmentation import mark_boundaries
from sklearn.datasets import load_sample_image

import modeseek as ms
from modeseek.images import mean_colors

IMAGES = Path(__file__).parent / "images"


def main():
    """Draw two photographs, filtered, cut into regions, and painted in the regions' mean colours."""
    figure, axes = plt.subplots(2, 4, figsize=(16, 5.5), layout="constrained")
    for row, (name, spatial, color) in zip(axes, (("china.jpg", 8, 8), ("flower.jpg", 8, 12)), strict=True):
        image = load_sample_image(name)
        labels, filtered, regions = ms.segment(image, spatial=spatial, color=color, min_size=100, return_regions=True)
        means = mean_colors(regions)
        panels = {
            name: image,
            f"filtered: spatial {spatial}, color {color}": filtered,
            f"{len(means)} regions": mark_boundaries(image, labels, color=(1, 1, 0)),
            "their mean colours": means[labels],
        }
        for ax, (title, panel) in zip(row, panels.items(), strict=True):
            ax.imshow(panel)
            ax.set_title(title)
            ax.set_axis_off()
    figure.savefig(IMAGES / "segmentation.png", dpi=75)


if __name__ == "__main__":
    main()
