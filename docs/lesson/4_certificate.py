"""
4. Labels with a proof
======================

A fast answer that is nearly always right is a good thing; one that says where it is right is a better one. By default,
modeseek *proves* labels: that they are those of exact mean shift, point by point.
"""

# %%
# Points that overlap
# -------------------
#
# The lesson's clusters stand apart, which is too easy. These do not:

import numpy as np

import modeseek as ms

rng = np.random.default_rng(4)
centres = np.array([[4, 4], [7.2, 5.2], [4.6, 9.2], [10.5, 9.6], [12.6, 4.4], [8.3, 12.3]])
spreads = np.array([1.0, 0.8, 1.2, 1.1, 1.2, 0.8])
which = rng.integers(0, 6, 18_000)
blobs = centres[which] + rng.normal(size=(18_000, 2)) * spreads[which, None]
noise = rng.random((2_000, 2)) * [17, 16]
X = np.vstack([blobs, noise])

model = ms.MeanShift(bandwidth=1.0).fit(X)
ax = ms.plot.clusters(X, model)

# %%
# The certificate
# ---------------
#
# Every number that was left out or rounded (weights far away, the grid, the interpolation) has a bound, and bounds
# are carried along with the sums. Where even the worst error could not turn any path from a cell to another mode, the
# whole cell is proven at once.

print(model.certificate_)

# %%
# *interior*: proven with their cell. *boundary*: proven one by one, by a tube around their path that holds the exact
# one. *climbed*: too close to a watershed for any of that, so they climbed over the points as they lie, in float64.
# *undecided*: not even so; it would be said here.

print(f"{model.certificate_.certified:.2%} of the labels are certain")
ax = ms.plot.certificate(X, model)

# %%
# Around each mode there is a ring, its *trap*: all paths in it end at that mode. Tints show where each place climbs to,
# and dots are points that were proven one by one. Here these are many: with so few points it takes less time to
# look at each than to refine the grid. Of a million (:doc:`6_larger`) hardly any is a dot.
#
# Check it
# --------
#
# :obj:`audit <modeseek.MeanShift.audit>` shares no code with the proof. It lets a random sample of points climb by
# the definition, and says in words what share of all labels can be wrong.

print(model.audit(X, n_samples=500, random_state=0))

# %%
# Or take nobody's word for it, and use the textbook's ``climb``, twenty lines of NumPy, on some of the points that no
# whole cell could vouch for:

hard = np.flatnonzero(model.certificate_.status() > 0)
sample = rng.choice(hard, 40, replace=False)
ends = ms.textbook.climb(X, X[sample], bandwidth=1.0, tol=1e-9)
found = ((ends[:, None] - model.cluster_centers_) ** 2).sum(2).argmin(1)
print(f"{(found == model.labels_[sample]).sum()} of {len(sample)} hard points agree")

# %%
# Small clusters
# --------------
#
# Exact mean shift takes noise at its word: a heap of stray points that is a little higher than what is around it is a
# mode, and a cluster.

print(f"{len(model.cluster_centers_)} clusters, the smallest of {int(model.cluster_weights_[-1])} points")

# %%
# ``min_cluster_size`` hands such over to the cluster that they reach along a wider kernel; with
# ``cluster_all=False`` they are noise, -1.

model = ms.MeanShift(bandwidth=1.0, min_cluster_size=100).fit(X)
ax = ms.plot.clusters(X, model)

# %%
# How the proof works is told in the guide, and in ``ARCHITECTURE.md``. One thing has been taken for granted all
# along: where does the bandwidth come from? :doc:`5_bandwidth`.
