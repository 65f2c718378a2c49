"""Pictures of mean shift: `clusters`, `density`, `certificate`, `paths`, `bandwidths`, `kernels`, `animate`.

Matplotlib Axes go in and Axes come out. Matplotlib is imported when something is drawn, not before: importing
this package never needs it. Nothing here computes a clustering of its own.
"""

from modeseek.plotting.animation import animate
from modeseek.plotting.hills import density
from modeseek.plotting.proofs import certificate
from modeseek.plotting.scales import bandwidths
from modeseek.plotting.scatter import clusters
from modeseek.plotting.ways import paths
from modeseek.plotting.weights import kernels

__all__ = ["animate", "bandwidths", "certificate", "clusters", "density", "kernels", "paths"]
