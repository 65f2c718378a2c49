"""The GPU's benchmarks: ``python -m benchmarks.gpu``; one module for each part, `limits` for what the machine can do.

A part is a module with ``run(limits, device, quick)``, which returns rows made by `limits.row`: on a CUDA device the
sizes of the bars, with ``quick`` ones that the CPU does in seconds.
"""
