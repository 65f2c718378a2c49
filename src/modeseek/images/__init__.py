"""Pictures: reading and writing them, and reducing a photograph to its main colours.

Every pixel is a point in the cube of red, green and blue; mean shift moves it to the nearest peak of the
picture's colour density, and pixels that reach one peak are one segment. Where a pixel lies in the picture
plays no part here. Comaniciu and Meer, IEEE Trans. Pattern Anal. Mach. Intell. 24 (2002) 603-619.

Pillow is imported when a file is read or written, and not before.
"""

import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modeseek.files import check_place, replacing

__all__ = ["check_picture_name", "read_image", "segment_colors", "write_image"]


def read_image(path: str | os.PathLike[str]) -> NDArray[np.uint8]:
    """Read a picture as red, green and blue.

    Parameters
    ----------
    path : str or path
        Any file that Pillow reads; of an animation, the first frame.

    Returns
    -------
    uint8 array of shape (H, W, 3)
        Grey pictures get three equal channels, 16-bit ones keep their upper 8 bits, palettes are looked up.
        Transparency is dropped: a transparent pixel has the colour that is stored for it. A photograph is
        turned upright if its camera noted how it was held.

    Raises
    ------
    ValueError
        If the file does not exist, is no picture, is cut short, or is so large that Pillow takes it for an
        attack (some 180 million pixels).
    """
    pil, path = _pillow(), Path(path)
    if path.is_dir():
        raise ValueError(f"{path} is a directory, not a picture")
    if not path.exists():
        raise ValueError(f"{path} does not exist")
    try:
        with pil.Image.open(path) as image:
            upright = pil.ImageOps.exif_transpose(image)
            return _to_rgb(upright)
    except pil.UnidentifiedImageError:
        raise ValueError(f"{path} is not a picture in a known format") from None
    except (OSError, SyntaxError, ValueError, pil.Image.DecompressionBombError) as error:
        raise ValueError(f"{path} cannot be read as a picture: {error}") from None


def _to_rgb(image: Any) -> NDArray[np.uint8]:
    if image.mode.startswith("I") or image.mode == "F":  # more than 8 bits a pixel: Pillow would clip them
        grey = np.asarray(image)
        if image.mode == "F" or grey.min() < 0 or grey.max() > 65535:
            raise ValueError(f"its pixels are neither 8 nor 16 bits wide (mode {image.mode!r})")
        return np.repeat((grey >> 8).astype(np.uint8)[:, :, None], 3, axis=2)
    return np.array(image.convert("RGB"))


def write_image(path: str | os.PathLike[str], image: NDArray[np.uint8]) -> None:
    """Write a picture, whole or not at all.

    Parameters
    ----------
    path : str or path
        The suffix decides the format; .png keeps every pixel as it is.
    image : uint8 array of shape (H, W, 3) or (H, W)
        Colours, or greys.

    Raises
    ------
    ValueError
        If the suffix is not that of a picture, or there is no such directory.
    """
    path = check_picture_name(path)
    with replacing(path) as temporary:
        _pillow().Image.fromarray(np.ascontiguousarray(image)).save(temporary)


def check_picture_name(path: str | os.PathLike[str]) -> Path:
    """Raise unless a picture can be written under this name."""
    pil, path = _pillow(), Path(path)
    formats = pil.Image.registered_extensions()
    if formats.get(path.suffix.lower()) not in pil.Image.SAVE:
        what = f"ends in {path.suffix!r}" if path.suffix else "has no suffix"
        raise ValueError(f"{path} {what}: the name of a picture must end in .png, .jpg, .webp or the like")
    check_place(path)
    return path


def segment_colors(
    image: NDArray[np.uint8], bandwidth: float | str | None = 16.0, *, fidelity: str = "fast", **options: Any
) -> tuple[NDArray[np.int32], NDArray[np.uint8]]:
    """Cluster the pixels of a picture by colour.

    Parameters
    ----------
    image : uint8 array of shape (H, W, 3)
        Red, green and blue.
    bandwidth : float, "auto" or None, default 16.0
        Bandwidth in steps of colour, of which there are 256 a channel: larger means fewer colours.
    fidelity : {"fast", "certified", "exact"}, default="fast"
        How labels are found; see `MeanShift`. Pictures are looked at: nothing is proven unless asked for.
    **options
        Passed on to `MeanShift`.

    Returns
    -------
    labels : int32 array of shape (H, W)
        Segment of each pixel; 0 is the largest.
    palette : uint8 array of shape (k, 3)
        Mean colour of the pixels of each segment (not the peak of the density): of all pictures with these
        segments, ``palette[labels]`` is the closest to the original.

    Examples
    --------
    >>> image = np.zeros((4, 6, 3), np.uint8)
    >>> image[:, :2] = 200, 30, 30
    >>> labels, palette = segment_colors(image)
    >>> labels[0].tolist(), palette.tolist()
    ([1, 1, 0, 0, 0, 0], [[0, 0, 0], [200, 30, 30]])
    """
    from modeseek.estimators import MeanShift

    image = np.asarray(image)
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or image.size == 0:
        raise ValueError(f"image must be uint8 of shape (H, W, 3), got {image.dtype} of shape {image.shape}")
    pixels = image.reshape(-1, 3)
    labels = MeanShift(bandwidth, fidelity=fidelity, **options).fit(pixels.astype(np.float32)).labels_
    counts = np.bincount(labels)
    sums = np.stack([np.bincount(labels, channel) for channel in pixels.T], axis=1)  # (k, 3)
    palette = np.rint(sums / counts[:, None]).astype(np.uint8)
    return labels.reshape(image.shape[:2]), palette


def _pillow() -> Any:
    try:
        import PIL
        import PIL.Image
        import PIL.ImageOps
    except ImportError:
        raise ImportError("pictures need Pillow: pip install 'modeseek[image]'") from None
    return PIL
