"""Pictures of mean shift: `clusters`, `bandwidths`, `kernels`, `animate`; and a page to explore them: `explore`.

Matplotlib Axes go in and Axes come out. Matplotlib is imported when something is drawn, not before: importing
this package never needs it. Nothing here computes a clustering of its own.
"""

from modeseek.plotting.animation import animate
from modeseek.plotting.explore import explore
from modeseek.plotting.scales import bandwidths
from modeseek.plotting.scatter import clusters
from modeseek.plotting.weights import kernels

__all__ = ["animate", "bandwidths", "clusters", "explore", "kernels"]
