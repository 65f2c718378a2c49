"""Files larger than memory: clustered in a few passes, with labels equal, bit for bit, to those of all rows in memory.

    bounds (statistics, or a pass)  ->  sketch (a pass)  ->  modes, proofs  ->  labels (a pass)  ->  files

The routes are those of `modeseek.pipeline`, and so is every sum: a `FileProblem` answers what they ask of all points by
reading the files once more. What is held in memory depends on how large the data are in bandwidths, not on the rows.

What this package refuses to do is mathematics of its own. Routes that need all points at once are taken where the rows
are few, and refused where they are many.
"""

from modeseek.outofcore.cluster import FileClusters, cluster_files
from modeseek.outofcore.passes import Progress

__all__ = ["FileClusters", "Progress", "cluster_files"]
