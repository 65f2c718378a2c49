"""Sums on a device of Torch: tensors in, tensors out, on the same device.

Whatever Torch does at the limit of the hardware (products, sorts, scans, top-k) is left to it. Where fusing pays there
is a Triton kernel in `engines.triton`, and here its twin in plain Torch: the same numbers on any device.
"""

from modeseek.engines.gpu.arrays import as_tensor, as_tensor_weights, bounds, check_device, needs_float64, where_it_lies
from modeseek.engines.gpu.memory import room_for

__all__ = ["as_tensor", "as_tensor_weights", "bounds", "check_device", "needs_float64", "room_for", "where_it_lies"]
