"""Nearest neighbours on a device of Torch: the verbs of `modeseek.neighbors.choose`, on tensors."""

from modeseek.neighbors.on_device.exact import (
    DeviceSearch,
    by_distance,
    csr,
    evenly,
    normalise,
    pieces,
    radii_of,
    roots,
)

__all__ = ["DeviceSearch", "by_distance", "csr", "evenly", "normalise", "pieces", "radii_of", "roots"]
