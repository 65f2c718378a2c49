"""Pictures: files in and out, main colours, and the joint mean shift of place and value that filters and segments.

`joint` is the place to start: it holds `filter_image` and `segment`.
"""

from modeseek.images.colors import mean_colors, segment_colors
from modeseek.images.files import check_picture_name, read_image, write_image
from modeseek.images.joint import filter_image, segment

__all__ = [
    "check_picture_name", "filter_image", "mean_colors", "read_image", "segment", "segment_colors", "write_image",
]  # fmt: skip
