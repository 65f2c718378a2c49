"""What a picture is: axes of place, channels, which pixels take part, and the values that climbs go over.

Colours are compared in CIELAB, where distances are what an eye sees; its axes are scaled so that black and white are
as far apart as in the picture itself: a bandwidth is always in units of the picture's values.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Tile = tuple[slice, ...]

WHITE = 100.0  # L* of white
FEW = 4  # a last axis as short as that is one of channels, where nothing else is said
SPACES = ("auto", "lab", "raw")


@dataclass(frozen=True)
class Picture:
    """A picture or volume: pixels of shape (*shape, channels), a view of what was given."""

    pixels: NDArray[Any]
    mask: NDArray[np.bool_] | None
    lab: bool
    unit: float  # of values: what black and white are apart
    low: float  # the lowest value, which others are counted from: it may be far from 0
    high: float
    axis: int | None  # that the channels had; None: there were none

    @property
    def shape(self) -> tuple[int, ...]:
        """Axes of place."""
        return self.pixels.shape[:-1]

    @property
    def channels(self) -> int:
        """Number of values of a pixel."""
        return int(self.pixels.shape[-1])

    @property
    def span(self) -> float:
        """How far values are apart at most, as they are compared."""
        return self.unit if self.lab else self.high - self.low

    def as_given(self, pixels: NDArray[Any]) -> NDArray[Any]:
        """Return a view of pixels (*shape, channels) with the axes that the picture came with."""
        return pixels[..., 0] if self.axis is None else np.moveaxis(pixels, -1, self.axis)

    def with_channels(self, image: NDArray[Any]) -> NDArray[Any]:
        """Undo `as_given`."""
        return image[..., None] if self.axis is None else np.moveaxis(image, self.axis, -1)

    def used(self, tile: Tile) -> NDArray[np.bool_]:
        """Return which pixels of a tile take part."""
        pixels = self.pixels[tile]
        return np.ones(pixels.shape[:-1], bool) if self.mask is None else np.array(self.mask[tile])

    def values(self, tile: Tile) -> NDArray[np.float64]:
        """Return what the pixels of a tile are compared by, in the picture's units, from `low` on; 0 under the mask."""
        pixels = self.pixels[tile].astype(np.float64)
        if self.mask is not None:
            pixels[~self.mask[tile]] = self.low
        if not self.lab:
            return pixels - self.low
        return _skimage_colour().rgb2lab(pixels / self.unit) * (self.unit / WHITE)

    def pixels_of(self, values: NDArray[np.float64]) -> NDArray[Any]:
        """Return the pixels (m, channels) that values (m, channels) stand for, in the picture's own type."""
        if self.lab:
            values = _skimage_colour().lab2rgb(values[None] * (WHITE / self.unit))[0] * self.unit
        else:
            values = values + self.low
        kind = self.pixels.dtype
        if kind.kind == "b":
            return values >= 0.5
        if kind.kind in "iu":
            limits, values = np.iinfo(kind), np.rint(values)
            whole = np.clip(values, limits.min, np.nextafter(float(limits.max), 0.0)).astype(kind)
            return np.where(values >= float(limits.max), kind.type(limits.max), whole).astype(kind)
        return values.astype(kind)


def as_picture(image: ArrayLike, channel_axis: int | str | None, color_space: str, mask: Any) -> Picture:
    """Check a picture; say what is wrong with it."""
    array = image if isinstance(image, np.ndarray) else np.asarray(image)
    if array.dtype.kind not in "biuf":
        raise TypeError(f"image must hold real numbers, got {array.dtype}.")
    if array.size == 0:
        raise ValueError(f"image is empty, of shape {array.shape}.")
    pixels, axis = _with_channels(array, channel_axis)
    if color_space not in SPACES:
        raise ValueError(f"color_space must be one of {', '.join(SPACES)}, got {color_space!r}.")
    lab = color_space == "lab" or (color_space == "auto" and pixels.shape[-1] == 3)
    if lab and pixels.shape[-1] != 3:
        raise ValueError(f"color_space='lab' needs red, green and blue; image has {pixels.shape[-1]} channels.")
    chosen = None if mask is None else _as_mask(mask, pixels.shape[:-1])
    low, high = _extremes(pixels, chosen)
    return Picture(pixels, chosen, lab, _unit(pixels.dtype, lab, low, high), low, high, axis)


def _with_channels(array: NDArray[Any], channel_axis: int | str | None) -> tuple[NDArray[Any], int | None]:
    """Return the picture with its channels last, and the axis that they had."""
    if channel_axis == "auto":
        last = array.ndim == 4 or (array.ndim == 3 and array.shape[-1] <= FEW)
        channel_axis = -1 if last else None
    if channel_axis is None:
        pixels, axis = array[..., None], None
    else:
        if not isinstance(channel_axis, (int, np.integer)) or not -array.ndim <= channel_axis < array.ndim:
            raise ValueError(
                f"channel_axis must be None, 'auto' or an axis of an image of {array.shape}; got {channel_axis!r}."
            )
        axis = int(channel_axis)
        pixels = np.moveaxis(array, axis, -1)
    if pixels.ndim not in (3, 4):
        raise ValueError(
            "image must be a picture (rows, columns) or a volume (planes, rows, columns), with or without an axis of "
            f"channels; got shape {array.shape}, channel_axis={channel_axis}."
        )
    return pixels, axis


def _as_mask(mask: Any, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    array = mask if isinstance(mask, np.ndarray) else np.asarray(mask)
    if array.shape != shape or array.dtype.kind != "b":
        raise ValueError(f"mask must be boolean of shape {shape}, one for each pixel; got {array.dtype} {array.shape}.")
    return array


def _extremes(pixels: NDArray[Any], mask: NDArray[np.bool_] | None) -> tuple[float, float]:
    """Return the lowest and the highest value that takes part; refuse what is not finite."""
    if pixels.dtype.kind in "bu" and pixels.dtype.itemsize <= 2:
        return 0.0, float(np.iinfo(pixels.dtype).max) if pixels.dtype.kind == "u" else 1.0
    low, high = np.inf, -np.inf
    for i in range(len(pixels)):  # a row at a time: pictures may be larger than memory
        row = pixels[i] if mask is None else pixels[i][mask[i]]
        if not row.size:
            continue
        if not np.isfinite(row).all():
            bad = ~np.isfinite(pixels[i]).all(axis=-1) & (True if mask is None else mask[i])
            where = (i, *(int(k) for k in np.argwhere(bad)[0]))
            raise ValueError(
                f"image holds NaN or infinity, the first at pixel {where}: fill it, or leave such pixels out with mask="
            )
        low, high = min(low, float(row.min())), max(high, float(row.max()))
    if not low <= high:
        return 0.0, 1.0
    if not np.isfinite(high - low):
        raise ValueError(f"image holds values from {low:g} to {high:g}, too far apart for float64: scale them.")
    return low, high


def _unit(kind: np.dtype, lab: bool, low: float, high: float) -> float:
    """Return how far black and white are apart: of the type, or of what there is."""
    if not lab:
        return high - low or 1.0
    if kind.kind in "bu" and kind.itemsize <= 2:
        return high
    if kind.kind == "f" and low >= 0.0 and high <= 1.0:
        return 1.0
    raise ValueError(
        f"colours must be uint8, uint16, or floating-point from 0 to 1, got {kind} from {low:g} to {high:g}: scale "
        "them, or compare them as they are with color_space='raw'."
    )


def _skimage_colour() -> Any:
    try:
        import skimage.color
    except ImportError:
        raise ImportError("colours are compared in CIELAB by scikit-image: pip install 'modeseek[image]'") from None
    return skimage.color
