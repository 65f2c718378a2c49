"""Pictures in files: read as red, green and blue, written whole or not at all.

Pillow is imported when a file is read or written, and not before.
"""

import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modeseek.files import check_place, replacing


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
    return read_with_alpha(path)[0]


def read_with_alpha(path: str | os.PathLike[str]) -> tuple[NDArray[np.uint8], NDArray[np.uint8] | None]:
    """Read a picture as `read_image` does, and how opaque its pixels are, (H, W); None where all are."""
    pil, path = _pillow(), Path(path)
    if path.is_dir():
        raise ValueError(f"{path} is a directory, not a picture")
    if not path.exists():
        raise ValueError(f"{path} does not exist")
    try:
        with pil.Image.open(path) as image:
            upright = pil.ImageOps.exif_transpose(image)
            return _to_rgb(upright), _alpha(upright)
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


def _alpha(image: Any) -> NDArray[np.uint8] | None:
    if not image.has_transparency_data:
        return None
    alpha = np.array(image.convert("RGBA"))[..., 3]
    return None if (alpha == 255).all() else alpha


def write_image(path: str | os.PathLike[str], image: NDArray[np.uint8]) -> None:
    """Write a picture, whole or not at all.

    Parameters
    ----------
    path : str or path
        The suffix decides the format; .png keeps every pixel as it is.
    image : uint8 array of shape (H, W, 3), (H, W, 4) or (H, W)
        Colours, colours and how opaque they are, or greys.

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


def _pillow() -> Any:
    try:
        import PIL
        import PIL.Image
        import PIL.ImageOps
    except ImportError:
        raise ImportError("pictures need Pillow: pip install 'modeseek[image]'") from None
    return PIL
