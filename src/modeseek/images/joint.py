"""Mean shift over place and value at once: pictures smoothed up to their edges, and cut into regions.

A pixel at place p with value v is the point (p / h_s, v / h_c). It climbs

    z <- sum_i g_i z_i / sum_i g_i,      g_i = exp(-|p - p_i|^2 / 2 h_s^2 - |v - v_i|^2 / 2 h_c^2)

over all pixels, to a mode; the value of the mode is that of the filtered pixel. Comaniciu and Meer, IEEE Trans.
Pattern Anal. Mach. Intell. 24 (2002) 603-619.

Pixels are gathered into cells (`cells`), cells climb along a lattice (`chains`), places of rest are matched (`modes`),
modes of pixels that touch become regions (`regions`).
"""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from modeseek.engines.threads import effective_n_jobs
from modeseek.images.cells import Grid
from modeseek.images.spaces import Picture, Tile, as_picture

LEVELS = 255.0  # steps of grey from black to white that the default colour bandwidth is counted in
DEFAULT = 8.0
MERGE = 1.0  # colour bandwidths
MOST_BANDWIDTHS = 1 << 20  # from the lowest to the highest value: float32 tells a sixteenth of a bandwidth apart
WIDEST_COLOR = 100.0  # times the range of values: weights are above 0.9999 with that, and with any wider bandwidth


def filter_image(
    image: ArrayLike,
    *,
    spatial: float | Sequence[float] = DEFAULT,
    color: float | None = None,
    color_space: str = "auto",
    channel_axis: int | str | None = "auto",
    mask: ArrayLike | None = None,
    out: NDArray[Any] | None = None,
    tile_size: int | None = None,
    n_jobs: int | None = None,
) -> NDArray[Any]:
    r"""Smooth a picture by mean shift over place and value: noise goes, edges stay.

    A pixel at place p with value v is the point z = (p, v), and climbs ::

        z <- sum_i g_i z_i / sum_i g_i,
        g_i = exp(-|p - p_i|^2 / 2 h_s^2 - |v - v_i|^2 / 2 h_c^2)

    over all pixels (p_i, v_i), and takes the value of the mode that it comes to.

    Parameters
    ----------
    image : array-like of shape (rows, columns[, channels]) or (planes, rows, columns[, channels])
        Numbers of any real type; may be mapped from a file that is larger than memory.
    spatial : float or one for each axis, default 8.0
        Standard deviation h_s of the Gaussian of place, in pixels. OpenCV's and EDISON's are radii of a flat window:
        a Gaussian of half as much reaches about as far.
    color : float, optional
        Standard deviation h_c of the Gaussian of values, in units of the picture's values; by default 8 / 255 of what
        black and white are apart: 8 for uint8.
    color_space : {"auto", "lab", "raw"}, default "auto"
        "lab" compares colours in CIELAB, its axes scaled so that black and white are as far apart as in the picture;
        "raw" compares values as they are. "auto" is "lab" for three channels.
    channel_axis : int, None or "auto", default "auto"
        Axis of the channels; None: there is none. "auto": the last one of four, or of three if it is no longer than 4.
    mask : bool array of the shape of the picture, optional
        False where pixels take no part: they stay as they are.
    out : array of the shape and type of the picture, optional
        Where to write the result; may be mapped from a file.
    tile_size : int, optional
        Side of the tiles, in pixels, that are worked on one after another; by default, about four million pixels.
        The result is the same, to the bit, for any; a tile takes about 150 bytes a pixel.
    n_jobs : int, optional
        Threads; None means all cores. The result is the same for any number.

    Returns
    -------
    ndarray
        The filtered picture, of the shape and type of the one given.

    Raises
    ------
    ValueError
        If the picture is empty or not finite, or does not have two or three axes of place; if bandwidths are not
        positive; if a mask or `out` does not fit.
    TypeError
        If the picture does not hold real numbers.
    ImportError
        If colours are compared in CIELAB and scikit-image is not installed.

    Notes
    -----
    Pixels of a small square (half of h_s wide) with values within h_c are taken together, with their mean and variance;
    those of a square twice as wide within a third of h_c climb as one, and climbs that come into one cell of a lattice,
    a quarter of a bandwidth wide, go on as one. ``benchmarks.images`` measures how far the result is from the plain
    iteration: half a grey level on average in a photograph, by few pixels that go to another mode.

    References
    ----------
    D. Comaniciu and P. Meer, "Mean shift: a robust approach toward feature space analysis", IEEE PAMI 24 (2002).

    Examples
    --------
    >>> import modeseek as ms
    >>> rng = np.random.default_rng(0)
    >>> image = np.repeat([60.0, 180.0], 20) + rng.normal(0, 10, (30, 40))  # two halves, and noise
    >>> filtered = ms.filter_image(image, spatial=8, color=20)
    >>> float(filtered[:, :15].std()) < 1.0, bool(abs(filtered[:, 30:].mean() - 180.0) < 3.0)
    (True, True)
    """
    picture, grid = _prepared(image, spatial, color, color_space, channel_axis, mask)
    shape = picture.as_given(picture.pixels).shape
    filtered = np.empty(shape, picture.pixels.dtype) if out is None else _checked_out(out, shape, picture.pixels.dtype)
    _paint(picture, _climb(picture, grid, out, tile_size, n_jobs), picture.with_channels(filtered))
    return filtered


def segment(
    image: ArrayLike,
    *,
    spatial: float | Sequence[float] = DEFAULT,
    color: float | None = None,
    min_size: int = 0,
    merge: float = MERGE,
    color_space: str = "auto",
    channel_axis: int | str | None = "auto",
    mask: ArrayLike | None = None,
    return_regions: bool = False,
    out: NDArray[np.int32] | None = None,
    tile_size: int | None = None,
    n_jobs: int | None = None,
) -> Any:
    """Cut a picture or a volume into regions: connected pixels that mean shift brings to nearly the same value.

    Every pixel climbs to a mode over place and value, as in `filter_image`. Pixels that touch (edges, not corners) are
    one region if they climb to the same mode, or to modes whose values are less than `merge` colour bandwidths apart.

    Parameters
    ----------
    image : array-like of shape (rows, columns[, channels]) or (planes, rows, columns[, channels])
        As in `filter_image`.
    spatial : float or one for each axis, default 8.0
        Standard deviation of the Gaussian of place, in pixels.
    color : float, optional
        Standard deviation of the Gaussian of values, as in `filter_image`.
    min_size : int, default 0
        Regions of fewer pixels are joined to the neighbour whose mean is nearest, the smallest first.
    merge : float, default 1.0
        In colour bandwidths; 0 keeps every mode apart.
    color_space : {"auto", "lab", "raw"}, default "auto"
        In which colours are compared, as in `filter_image`.
    channel_axis : int, None or "auto", default "auto"
        Axis of the channels, as in `filter_image`.
    mask : bool array of the shape of the picture, optional
        False where pixels take no part: their label is -1.
    return_regions : bool, default False
        Return the filtered picture and a table of the regions too.
    out : int32 array of the picture's axes of place, optional
        Where to write the labels; may be mapped from a file.
    tile_size : int, optional
        Side of the tiles, as in `filter_image`; labels do not depend on it.
    n_jobs : int, optional
        Threads; None means all cores. The result is the same for any number.

    Returns
    -------
    labels : int32 array of the picture's axes of place
        Region of each pixel; 0 is the largest.
    filtered : ndarray
        What `filter_image` returns. Only with `return_regions`.
    regions : dict of arrays
        One row a region, in the names of `skimage.measure.regionprops_table`: ``label``, ``area`` in pixels,
        ``centroid-0`` ..., ``bbox-0`` ..., ``intensity_mean-0`` ... (of the picture; without a number if it has no
        channels) and ``filtered_mean-0`` ... (of the modes, in the space that values are compared in). Only with
        `return_regions`; ``pandas.DataFrame`` takes it.

    Raises
    ------
    ValueError, TypeError, ImportError
        As `filter_image`; and if `min_size` or `merge` are negative.

    References
    ----------
    D. Comaniciu and P. Meer, "Mean shift: a robust approach toward feature space analysis", IEEE PAMI 24 (2002).

    Examples
    --------
    >>> import modeseek as ms
    >>> image = np.zeros((20, 30), np.uint8)
    >>> image[5:15, 5:12] = 200
    >>> labels, _, regions = ms.segment(image, return_regions=True)
    >>> int(labels[0, 0]), int(labels[8, 8]), regions["area"].tolist()
    (0, 1, [530, 70])
    """
    from modeseek.images.regions import find_regions

    if isinstance(min_size, bool) or not isinstance(min_size, Integral) or min_size < 0:
        raise ValueError(f"min_size must be a whole number of pixels, at least 0; got {min_size!r}.")
    if isinstance(merge, bool) or not isinstance(merge, Real) or not 0 <= float(merge) < np.inf:
        raise ValueError(f"merge must be a finite number of colour bandwidths, at least 0; got {merge!r}.")
    picture, grid = _prepared(image, spatial, color, color_space, channel_axis, mask)
    labels = np.empty(picture.shape, np.int32) if out is None else _checked_out(out, picture.shape, np.dtype(np.int32))
    if return_regions and out is not None and np.may_share_memory(picture.pixels, labels):
        raise ValueError(
            "out must not be the picture itself where the regions are to be described: give another array."
        )
    found = _climb(picture, grid, out, tile_size, n_jobs)
    if color is not None:
        merge = float(merge) * (float(color) / grid.color)  # in the bandwidth that was asked for
    regions = find_regions(found.modes, found.values / grid.color, found.tiles, out=labels, merge=merge, n_jobs=n_jobs)
    if min_size > 1:
        regions.join_small(int(min_size))
    regions.number()
    if not return_regions:
        return labels
    filtered = np.empty(picture.pixels.shape, picture.pixels.dtype)
    _paint(picture, found, filtered)
    intensity = picture.pixels[..., 0] if picture.axis is None else picture.pixels
    return labels, picture.as_given(filtered), regions.table(intensity, bandwidth=grid.color)


@dataclass(frozen=True)
class _Found:
    """The mode of every pixel, and the values of the modes."""

    modes: NDArray[np.int32]
    values: NDArray[np.float64]
    tiles: list[Tile]


def _prepared(
    image: Any, spatial: Any, color: Any, color_space: str, channel_axis: Any, mask: Any
) -> tuple[Picture, Grid]:
    picture = as_picture(image, channel_axis, color_space, mask)
    ns = len(picture.shape)
    each = tuple(spatial) if isinstance(spatial, (Sequence, np.ndarray)) and np.ndim(spatial) else (spatial,) * ns
    if len(each) != ns:
        raise ValueError(f"spatial must be one number, or one for each of {ns} axes of place; got {spatial!r}.")
    each = tuple(_positive("spatial", h) for h in each)
    bandwidth = DEFAULT / LEVELS * picture.unit or picture.unit if color is None else _positive("color", color)
    if picture.span / bandwidth > MOST_BANDWIDTHS:
        raise ValueError(
            f"color={bandwidth:g} is too narrow for values from {picture.low:g} to {picture.high:g}: at most "
            f"{MOST_BANDWIDTHS} bandwidths can be told apart; widen it, or leave outliers out with mask=."
        )
    return picture, Grid(picture.shape, each, min(bandwidth, WIDEST_COLOR * picture.unit), picture.channels)


def _positive(name: str, h: Any) -> float:
    if isinstance(h, (bool, np.bool_)) or not isinstance(h, Real):
        raise TypeError(f"{name} must be a number, got {h!r}.")
    if not 0 < float(h) < np.inf:
        raise ValueError(f"{name} must be finite and above 0, got {h!r}.")
    return float(h)


def _climb(picture: Picture, grid: Any, out: Any, tile_size: int | None, n_jobs: int | None) -> _Found:
    from modeseek.images.modes import find_modes

    effective_n_jobs(n_jobs)
    if tile_size is not None and (isinstance(tile_size, bool) or not isinstance(tile_size, Integral) or tile_size < 1):
        raise ValueError(f"tile_size must be a whole number of pixels, at least 1; got {tile_size!r}.")
    part = None if tile_size is None else min(int(tile_size), max(picture.shape)) ** len(picture.shape)
    modes = _room(picture.shape, isinstance(picture.pixels, np.memmap) or isinstance(out, np.memmap))
    values, tiles = find_modes(picture, grid, modes, part, n_jobs)
    return _Found(modes, values, tiles)


def _room(shape: tuple[int, ...], on_disk: bool) -> NDArray[np.int32]:
    """Return room for a number a pixel, in a file without a name where the picture is in a file."""
    if not on_disk:
        return np.empty(shape, np.int32)
    return np.memmap(tempfile.TemporaryFile(), np.int32, "w+", shape=shape)  # closed, it is gone


def _paint(picture: Picture, found: _Found, filtered: NDArray[Any]) -> None:
    """Write the value of every pixel's mode; pixels that take no part stay as they are."""
    colors = picture.pixels_of(found.values)
    for tile in found.tiles:
        modes = np.asarray(found.modes[tile])
        if len(colors):
            painted = colors[modes]
            out = modes < 0
            painted[out] = picture.pixels[tile][out]
        else:
            painted = picture.pixels[tile]
        filtered[tile] = painted


def _checked_out(out: NDArray[Any], shape: tuple[int, ...], kind: np.dtype) -> NDArray[Any]:
    if not isinstance(out, np.ndarray) or out.shape != shape or out.dtype != kind or not out.flags.writeable:
        what = f"{out.dtype} of shape {out.shape}" if isinstance(out, np.ndarray) else type(out).__name__
        raise ValueError(f"out must be a writeable array, {kind} of shape {shape}; got {what}.")
    return out
