"""What is known of each region: area, centroid, box and mean, tile by tile.

Sums are of integers: those of whole numbers are exact, real ones are rounded to multiples of a power of two that
depends on the largest of them and on how many pixels there are, so that tiles and threads leave no trace.
"""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from modeseek.engines.cpu import regions as kernels
from modeseek.engines.threads import effective_n_jobs, run_chunks
from modeseek.images.parts import power_of_two

if TYPE_CHECKING:
    from modeseek.images.regions import Regions


def table(regions: "Regions", image: NDArray[Any] | None, bandwidth: float) -> dict[str, NDArray[Any]]:
    """Return the columns that `Regions.table` describes."""
    ndim = regions.out.ndim
    low, high, places = _survey(regions)
    area = regions.sizes
    columns: dict[str, NDArray[Any]] = {"label": np.arange(len(regions), dtype=np.int32), "area": area.copy()}
    for k, axis in enumerate(range(3 - ndim, 3)):
        columns[f"centroid-{k}"] = places[:, axis] / area
    boxes = np.concatenate([low[:, 3 - ndim :], high[:, 3 - ndim :]], axis=1)
    columns |= {f"bbox-{k}": boxes[:, k].copy() for k in range(2 * ndim)}
    columns |= {f"filtered_mean-{k}": column * bandwidth for k, column in enumerate(regions.means.T)}
    if image is not None:
        image = np.asanyarray(image)
        if image.shape[:ndim] != regions.out.shape or image.ndim > ndim + 1:
            raise ValueError(f"image has the shape {image.shape}, the labels {regions.out.shape}")
        means = _means(regions, image)
        names = ["intensity_mean"] if image.ndim == ndim else [f"intensity_mean-{k}" for k in range(means.shape[1])]
        columns |= {name: means[:, k].copy() for k, name in enumerate(names)}
    return columns


def _survey(regions: "Regions") -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Return the boxes of regions, [low, high), and the sums of their pixels' places, each of shape (n, 3)."""
    n, workers = len(regions), _workers(regions, 9)
    low = np.full((workers, n, 3), np.iinfo(np.int64).max)
    high, places = np.zeros_like(low), np.zeros_like(low)

    def work(worker: int, start: int, stop: int) -> None:
        for i in range(start, stop):
            tile = regions.tiles[i]
            kernels.survey(tile.read(regions.out), tile.start, low[worker], high[worker], places[worker])

    run_chunks(len(regions.tiles), work, workers, chunk=1)
    return low.min(axis=0), high.max(axis=0), places.sum(axis=0)


def _means(regions: "Regions", image: NDArray[Any]) -> NDArray[np.float64]:
    """Return the mean of the picture in each region, (n, channels)."""
    channels = 1 if image.ndim == regions.out.ndim else image.shape[-1]
    scale = _scale(regions, image)
    workers = _workers(regions, channels)
    sums = np.zeros((workers, len(regions), channels), np.int64)

    def work(worker: int, start: int, stop: int) -> None:
        for i in range(start, stop):
            tile = regions.tiles[i]
            labels = tile.read(regions.out).reshape(-1)
            kernels.add_pixels(labels, _native(tile.read(image)).reshape(-1, channels), scale, sums[worker])

    run_chunks(len(regions.tiles), work, workers, chunk=1)
    return sums.sum(axis=0) / regions.sizes[:, None] / scale


def _native(pixels: NDArray[Any]) -> NDArray[Any]:
    """Return pixels of a type that compiled loops take: in the machine's order of bytes, float32 or float64."""
    if pixels.dtype.kind == "f" and pixels.dtype.itemsize not in (4, 8):
        return pixels.astype(np.float64)
    return pixels.astype(pixels.dtype.newbyteorder("="), copy=False)


def _scale(regions: "Regions", image: NDArray[Any]) -> float:
    """Return what to multiply pixels by before they are rounded: 1 for whole numbers whose sums fit."""
    if image.dtype == bool or (np.issubdtype(image.dtype, np.integer) and image.dtype.itemsize <= 4):
        return 1.0
    largest = np.zeros(len(regions.tiles))

    def work(worker: int, start: int, stop: int) -> None:
        for i in range(start, stop):
            tile = regions.tiles[i]
            pixels = tile.read(image)[tile.read(regions.out) >= 0]
            largest[i] = np.abs(pixels.astype(np.float64)).max(initial=0.0)

    run_chunks(len(regions.tiles), work, regions.n_jobs, chunk=1)
    most = float(largest.max(initial=0.0))
    if not np.isfinite(most):
        raise ValueError("image holds NaN or infinity where it is not masked")
    scale = power_of_two(most, regions.out.size)
    return min(scale, 1.0) if np.issubdtype(image.dtype, np.integer) else scale


def _workers(regions: "Regions", columns: int) -> int:
    """Return how many threads get sums of their own: these may take as much memory as the labels again, no more."""
    affordable = max(regions.out.nbytes, 1 << 25) // (8 * columns * max(1, len(regions)))
    return max(1, min(effective_n_jobs(regions.n_jobs), affordable, len(regions.tiles)))
