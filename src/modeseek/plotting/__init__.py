"""Pictures of mean shift, and a page to explore clusters at every bandwidth.

`clusters`, `density`, `certificate`, `paths`, `bandwidths`, `kernels`, `animate`: Matplotlib Axes go in and Axes come
out. `explore` writes the page. Matplotlib and Bokeh are imported when something is drawn, not before: importing this
package never needs them. Nothing here computes a clustering of its own.
"""

from modeseek.plotting.animation import animate
from modeseek.plotting.explorer import explore
from modeseek.plotting.hills import density
from modeseek.plotting.proofs import certificate
from modeseek.plotting.scales import bandwidths
from modeseek.plotting.scatter import clusters
from modeseek.plotting.ways import paths
from modeseek.plotting.weights import kernels

__all__ = ["animate", "bandwidths", "certificate", "clusters", "density", "explore", "kernels", "paths"]
