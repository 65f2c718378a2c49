"""
5. Which bandwidth?
===================

Mean shift needs no number of clusters, they say. It needs a bandwidth instead, and that is a number of clusters in
disguise. So let us look at all of them.
"""

# %%
# A rule of thumb
# ---------------
#
# The notebook suggests a bandwidth whose Gaussian covers a third of the data. For its own points:

import matplotlib.pyplot as plt
import numpy as np

import modeseek as ms

_, X = ms.textbook.make_data()
h = ms.estimate_bandwidth(X, method="third")
print(f"{h:.1f}, and {len(ms.MeanShift(h).fit(X).cluster_centers_)} cluster")

# %%
# A third of the data is two clusters of six: far too wide (and the notebook itself takes 2.5). Rules by the spread of
# the data ask which bandwidth shows the density best, which is not quite the question either.

print("rule            bandwidth  clusters")
for rule in ("third", "quantile", "silverman", "normal", "plugin", "knn", "auto"):
    h = ms.estimate_bandwidth(X, method=rule)
    model = ms.MeanShift(h, min_cluster_size=15).fit(X)
    print(f"{rule:14}  {h:9.2f}  {len(model.cluster_centers_):8}")

# %%
# All bandwidths
# --------------
#
# Since clusters come from a sketch, a whole series of them costs little more than one. :obj:`bandwidth_path
# <modeseek.bandwidth_path>` finds the modes at thirty bandwidths, tells hills from chance, and sees which number of
# clusters lasts:

path = ms.bandwidth_path(X)
print(path)

# %%
# Above, how many clusters there are; in grey all modes, in blue those that chance does not explain. Below, the tree
# of modes: each line is one, and ends where it leads into another.

axes = ms.plot.bandwidths(path)

# %%
# Six clusters last while the bandwidth grows to a multiple. That is structure, and the bandwidth is taken from that
# range. ``MeanShift()`` without a bandwidth does all of this:

model = ms.MeanShift().fit(X)
print(f"bandwidth {model.bandwidth_:.2f}: {len(model.cluster_centers_)} clusters")

# %%
# From fine to coarse
# -------------------
#
# The other ranges are not wrong, they answer another question.

fig, axes = plt.subplots(1, 3, figsize=(12, 3.8), layout="constrained", sharey=True)
for ax, h in zip(axes, (model.bandwidth_, 7.0, 10.0), strict=True):
    wide = ms.MeanShift(h).fit(X)
    ms.plot.clusters(X, wide, ax=ax, legend=False)
    ax.set_title(f"h = {h:.1f}: {len(wide.cluster_centers_)} clusters")

# %%
# More than one number
# --------------------
#
# Columns in different units need different bandwidths: one for each axis, or ``standardize=True``.

stretched = X * np.array([1.0, 100.0])
model = ms.MeanShift(bandwidth=[2.5, 250.0]).fit(stretched)
print(len(model.cluster_centers_), "clusters,", model.bandwidth_)

# %%
# Next: more points. :doc:`6_larger`.
