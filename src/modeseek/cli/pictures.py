"""`modeseek segment`: a photograph cut into regions, or reduced to its main colours."""

from collections.abc import Mapping
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modeseek.cli import summary
from modeseek.cli.stages import Stages
from modeseek.files import check_columns, check_place, replacing, write_columns

BORDER = (1.0, 1.0, 0.0)  # yellow: few photographs have it


class Shown(Enum):
    """What is painted."""

    MEANS = "each region in its mean colour"
    OVERLAY = "the photograph, with the borders of its regions"
    FILTERED = "the photograph, smoothed"

    @classmethod
    def of(cls, overlay: bool, filtered: bool) -> "Shown":
        """Return what two flags ask for."""
        if overlay and filtered:
            raise ValueError("--overlay and --filtered are two pictures: ask for one of them")
        return cls.OVERLAY if overlay else cls.FILTERED if filtered else cls.MEANS


def regions(
    stages: Stages,
    picture: Path,
    output: Path,
    shown: Shown,
    options: Mapping[str, Any],
    labels_file: Path | None,
    table_file: Path | None,
    quiet: bool,
) -> None:
    """Segment a photograph, and write what was asked for. Transparent pixels take no part, and stay transparent."""
    image, alpha = _read(stages, picture, output)
    if labels_file is not None:
        if labels_file.suffix.lower() != ".npy":
            raise ValueError(f"--labels {labels_file}: the name must end in .npy")
        check_place(labels_file)
    if table_file is not None:
        check_columns(table_file)
    from modeseek.images import mean_colors, segment, write_image

    doing = f"segmenting {image.shape[0] * image.shape[1]:,} pixels"
    with stages("fit", doing), stages.watch_compiling(doing):
        mask = None if alpha is None else alpha > 0
        labels, filtered, table = segment(image, mask=mask, return_regions=True, **options)
    means = mean_colors(table)
    with stages("write", f"writing {output}"):
        painted = _painted(shown, image, labels, filtered, means)
        write_image(output, painted if alpha is None else np.dstack([painted, alpha]))
        if labels_file is not None:
            with replacing(labels_file) as temporary, open(temporary, "wb") as file:
                np.save(file, labels)
        if table_file is not None:
            write_columns(table_file, table)
    if quiet:
        return
    facts = {
        "size": _size(image),
        "regions": f"{len(means):,}",
        "painted": shown.value,
        "written": ", ".join(str(path) for path in (output, labels_file, table_file) if path is not None),
    }
    summary.print_facts({**facts, **summary.cost(stages.times)})
    columns = ["colour", "row", "column"]
    cells = [
        [_hex(mean), *(f"{table[f'centroid-{axis}'][k]:.0f}" for axis in range(2))]
        for k, mean in enumerate(means[: summary.LARGEST])
    ]
    summary.print_clusters(table["area"], columns, cells, "pixels")


def main_colors(
    stages: Stages, picture: Path, output: Path, bandwidth: Any, options: Mapping[str, Any], quiet: bool
) -> None:
    """Reduce a photograph to its main colours, and write it."""
    image, alpha = _read(stages, picture, output)
    from modeseek import images

    doing = f"clustering {image.shape[0] * image.shape[1]:,} pixels"
    with stages("fit", doing), stages.watch_compiling(doing):
        labels, palette = images.segment_colors(image, bandwidth, **options)
    with stages("write", f"writing {output}"):
        painted = palette[labels]
        images.write_image(output, painted if alpha is None else np.dstack([painted, alpha]))
    if quiet:
        return
    facts = {
        "size": _size(image),
        "colours": f"{len(np.unique(image.reshape(-1, 3), axis=0)):,} before, {len(palette):,} after",
        "written": str(output),
    }
    summary.print_facts({**facts, **summary.cost(stages.times)})
    cells = [[_hex(colour), *map(str, colour)] for colour in palette[: summary.LARGEST]]
    summary.print_clusters(np.bincount(labels.ravel()), ["colour", "red", "green", "blue"], cells, "pixels")


def _read(stages: Stages, picture: Path, output: Path) -> tuple[NDArray[np.uint8], NDArray[np.uint8] | None]:
    with stages("read", f"reading {picture}"):
        from modeseek.images.files import check_picture_name, read_with_alpha

        image, alpha = read_with_alpha(picture)
        check_picture_name(output)
    with stages("load", "loading the engine"):
        import modeseek.estimators
        import modeseek.images.joint  # noqa: F401  (their time is no part of the clustering)
    return image, alpha


def _painted(
    shown: Shown, image: NDArray[np.uint8], labels: NDArray[np.int32], filtered: NDArray[np.uint8], means: NDArray[Any]
) -> NDArray[np.uint8]:
    if shown is Shown.FILTERED:
        return filtered
    if shown is Shown.OVERLAY:
        from skimage.segmentation import mark_boundaries

        return np.rint(mark_boundaries(image, labels, color=BORDER, mode="inner") * 255).astype(np.uint8)
    painted = image.copy()
    painted[labels >= 0] = means[labels[labels >= 0]]
    return painted


def _size(image: NDArray[np.uint8]) -> str:
    return f"{image.shape[1]} x {image.shape[0]} pixels"


def _hex(colour: NDArray[Any]) -> str:
    return "#" + bytes(colour).hex()
