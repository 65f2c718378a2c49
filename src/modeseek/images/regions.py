r"""From modes to regions: pixels that touch, and whose modes are the same or nearly so.

Two pixels that touch (four neighbours in a picture, six in a volume) belong to one region if they climb to one mode,
or to modes less than ``merge`` apart; and so on from pixel to pixel. Regions of fewer than ``min_size`` pixels are
joined to the neighbour whose mean is nearest. Comaniciu and Meer, IEEE Trans. Pattern Anal. Mach. Intell. 24 (2002)
603-619, section 4.2.

Pictures may be larger than memory: regions are found tile by tile, then united across seams. Any tiling gives the same
labels and the same table to the bit: regions are named by their first pixels, and all sums are of integers
(real numbers are rounded to multiples of a power of two that depends on the picture alone).
How pixels find their modes is not known here.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modeseek.engines.cpu import regions as kernels
from modeseek.engines.threads import run_chunks
from modeseek.images.adjacency import joined
from modeseek.images.parts import Faces, Part, both_sides, find_part, power_of_two
from modeseek.images.properties import table
from modeseek.images.tiles import Seam, Slices, Tile, bands, check_tiles, seams

__all__ = ["Regions", "find_regions"]

MOST = np.iinfo(np.int32).max


def find_regions(
    modes: NDArray[np.integer],
    values: NDArray[np.floating],
    tiles: Sequence[Slices] | None = None,
    *,
    out: NDArray[np.int32] | None = None,
    merge: float = 0.0,
    n_jobs: int | None = None,
) -> "Regions":
    """Find the regions of a map of modes.

    Parameters
    ----------
    modes : int32 array of shape (H, W) or (Z, H, W)
        Number of the mode of each pixel, -1 where it is masked out. May be mapped from a file.
    values : array of shape (n_modes, channels)
        The modes, in bandwidths.
    tiles : sequence of tuples of slices, optional
        Boxes that cover each pixel once, worked on one by one, of which no result depends; bands of rows if left out.
    out : int32 array of the shape of ``modes``, optional
        Where labels will be written by `Regions.number`; scratch until then. May be mapped from a file.
    merge : float, default 0.0
        Modes less than this far apart (Euclidean distance) are taken for one where pixels touch.
    n_jobs : int, optional
        Threads.

    Returns
    -------
    Regions
        Named in the order of their first pixels.

    Examples
    --------
    >>> modes = np.array([[0, 0, 1], [2, 0, 1]])
    >>> values = np.array([[0.0], [0.4], [3.0]])
    >>> regions = find_regions(modes, values, merge=0.5)
    >>> regions.number().tolist()
    [[0, 0, 0], [1, 0, 0]]
    >>> regions.table()["area"].tolist()
    [5, 1]
    """
    modes, values = np.asanyarray(modes), _floats(values)
    if modes.ndim not in (2, 3) or not np.issubdtype(modes.dtype, np.integer):
        raise ValueError(f"modes must be integers of shape (H, W) or (Z, H, W), got {modes.dtype} of {modes.shape}")
    if not merge >= 0:
        raise ValueError(f"merge must be at least 0, got {merge!r}")
    if out is None:
        out = np.empty(modes.shape, np.int32)
    if out.shape != modes.shape or out.dtype != np.int32:
        raise ValueError(f"out must be int32 of shape {modes.shape}, got {out.dtype} of shape {out.shape}")
    boxes = check_tiles(bands(modes.shape) if tiles is None else tiles, modes.shape)
    scale = _scale(values, modes.size)
    merge2 = (
        max(min(float(merge), 1e150) ** 2, np.nextafter(0.0, 1.0)) if merge else 0.0
    )  # equal values are less than any apart
    parts: list[Any] = [None] * len(boxes)

    def work(worker: int, start: int, stop: int) -> None:
        for i in range(start, stop):
            parts[i] = find_part(boxes[i], modes, values, scale, merge2, out)

    run_chunks(len(boxes), work, n_jobs, chunk=1)
    borders = list(seams(boxes))
    offsets = np.cumsum([0] + [len(part.sizes) for part in parts]).tolist()
    numbers = _unite(parts, offsets, borders, values, merge2)
    sizes, sums = _gather(parts, offsets, numbers)
    faces = [part.labels for part in parts]
    return Regions(out, boxes, faces, borders, offsets, numbers, sizes, sums, scale, n_jobs)


def _floats(values: Any) -> NDArray[np.floating]:
    values = np.asarray(values)
    if values.ndim != 2:
        raise ValueError(f"values must have the shape (n_modes, channels), got {values.shape}")
    values = np.ascontiguousarray(values, np.float32 if values.dtype == np.float32 else np.float64)
    if not np.isfinite(values).all():
        raise ValueError("values of modes must be finite")
    return values


def _scale(values: NDArray[Any], n: int) -> float:
    """Return a power of two that leaves room for the sum of n such values, rounded after scaling, in 63 bits."""
    largest = max(abs(float(values.max())), abs(float(values.min()))) if values.size else 0.0
    return power_of_two(largest, n)


def _unite(
    parts: list[Part], offsets: list[int], borders: list[Seam], values: NDArray[Any], merge2: float
) -> NDArray[np.int32]:
    """Return the number of the region of each part of one, tile after tile; how regions are numbered is open."""
    if offsets[-1] > MOST:
        raise ValueError(f"{offsets[-1]} regions are more than an int32 can number")
    parent = np.arange(offsets[-1], dtype=np.int32)
    labels_at, modes_at = [part.labels for part in parts], [part.modes for part in parts]
    for seam in borders:
        labels, modes = both_sides(labels_at, seam), both_sides(modes_at, seam)
        a, b = offsets[seam.before], offsets[seam.after]
        kernels.unite_seam(modes[0], labels[0], a, modes[1], labels[1], b, values, merge2, parent)
    kernels.compact(parent, len(parent))
    return parent


def _gather(
    parts: list[Part], offsets: list[int], numbers: NDArray[np.int32]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Renumber regions in the order of their first pixels, in place; return sizes (n,) and sums (n, channels)."""
    n = int(numbers.max(initial=-1)) + 1
    channels = parts[0].sums.shape[1] if parts else 0
    sizes, firsts = np.zeros(n, np.int64), np.full(n, np.iinfo(np.int64).max)
    sums = np.zeros((n, channels), np.int64)
    for part, a, b in zip(parts, offsets, offsets[1:], strict=False):
        kernels.gather(numbers[a:b], part.sizes, part.firsts, part.sums, sizes, firsts, sums)
    order = np.argsort(firsts, kind="stable")
    rank = np.empty(n, np.int32)
    rank[order] = np.arange(n, dtype=np.int32)
    numbers[:] = rank[numbers]
    return sizes[order], sums[order]


@dataclass
class Regions:
    """Regions of a picture, in the order of their first pixels until `number` orders them by size."""

    out: NDArray[np.int32]
    tiles: list[Tile]
    faces: list[Faces]  # labels at the borders of each tile, numbered within the tile
    seams: list[Seam]
    offsets: list[int]  # where in ``numbers`` each tile begins
    numbers: NDArray[np.int32]  # the region of each part of one, tile after tile
    sizes: NDArray[np.int64]
    sums: NDArray[np.int64]  # of values, times scale
    scale: float
    n_jobs: int | None = None
    numbered: bool = False

    def __len__(self) -> int:
        return len(self.sizes)

    @property
    def means(self) -> NDArray[np.float64]:
        """Mean value of the modes of each region's pixels, in bandwidths, (n, channels)."""
        return self.sums / self.sizes[:, None] / self.scale

    def join_small(self, min_size: int) -> None:
        """Join each region of fewer than ``min_size`` pixels to the neighbour whose mean is nearest.

        The smallest is joined first, of equals the one that begins first in raster order. Of neighbours at the same
        distance it takes the larger, then the one that begins first. The mean of what is joined is that of its pixels.
        A region without neighbours stays as it is.

        Parameters
        ----------
        min_size : int
            In pixels; 0 and 1 change nothing.
        """
        if self.numbered:
            raise ValueError("regions are numbered already: small ones must be joined before")
        to = joined(self, min_size)  # (n,)
        kept, compacted = np.unique(to, return_inverse=True)
        self.sizes, self.sums = self.sizes[kept], self.sums[kept]
        self.numbers = compacted.astype(np.int32)[self.numbers]

    def number(self) -> NDArray[np.int32]:
        """Write labels to ``out`` and return it: 0 is the largest region, of equals the first in raster order."""
        if self.numbered:
            return self.out
        order = np.argsort(-self.sizes, kind="stable")
        rank = np.empty(len(self), np.int32)
        rank[order] = np.arange(len(self), dtype=np.int32)
        numbers = rank[self.numbers]

        def work(worker: int, start: int, stop: int) -> None:
            for i in range(start, stop):
                where = self.tiles[i].where
                labels = np.array(self.out[where], order="C")
                kernels.relabel(labels.reshape(-1), numbers[self.offsets[i] : self.offsets[i + 1]])
                self.out[where] = labels

        run_chunks(len(self.tiles), work, self.n_jobs, chunk=1)
        self.sizes, self.sums, self.numbers = self.sizes[order], self.sums[order], numbers
        self.numbered = True
        return self.out

    def table(self, image: NDArray[Any] | None = None, bandwidth: float = 1.0) -> dict[str, NDArray[Any]]:
        """Describe each region, one row a region, in the names of `skimage.measure.regionprops_table`.

        Parameters
        ----------
        image : array of the shape of the picture, or with channels as a last axis, optional
            The picture itself. May be mapped from a file.
        bandwidth : float, default 1.0
            Unit of the modes' values.

        Returns
        -------
        dict of arrays
            ``label``, ``area`` (pixels), ``centroid-0`` ... (one for each axis), ``bbox-0`` ... (first of each axis,
            then one past the last of each), ``filtered_mean-0`` ... (mean of the modes of its pixels, times
            ``bandwidth``), and ``intensity_mean-0`` ... (mean of the picture; without a number if it has no channels).

        Raises
        ------
        ValueError
            If regions are not numbered yet, or the picture has another shape, or is not finite.
        """
        if not self.numbered:
            raise ValueError("regions have no labels yet: call number() before table()")
        return table(self, image, bandwidth)
