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
from modeseek.neighbors.on_device.hashed import DeviceHashedPoints
from modeseek.neighbors.on_device.tuning import DeviceHashSearch, measured, tune

__all__ = [
    "DeviceHashSearch",
    "DeviceHashedPoints",
    "DeviceSearch",
    "by_distance",
    "csr",
    "evenly",
    "measured",
    "normalise",
    "pieces",
    "radii_of",
    "roots",
    "tune",
]
