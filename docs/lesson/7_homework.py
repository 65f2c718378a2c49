"""
7. The homework
===============

The notebook ends with a list: k-means, DBSCAN, locality-sensitive hashing, fast nearest neighbours. Each is here twice:
in its plainest form in ``ms.textbook``, and as an estimator with scikit-learn's parameters and results. First the one,
then whether the other agrees.
"""

# %%
# Data that mean shift does not like: two arcs, each one long ridge.

from time import perf_counter

import matplotlib.pyplot as plt
import numpy as np

import modeseek as ms

rng = np.random.default_rng(0)
angle = rng.random(2_000) * np.pi
arcs = np.column_stack([np.cos(angle), np.sin(angle)])
arcs[1_000:] = [1.0, 0.4] - arcs[1_000:]
X = arcs + rng.normal(0, 0.08, arcs.shape)

# %%
# k-means
# -------
#
# Points go to the nearest centre, centres to the mean of their points. The textbook's rounds and those of
# :obj:`KMeans <modeseek.KMeans>`, from the same start:

start = X[:2]
centers, plain, inertia = ms.textbook.kmeans(X, start, 20)
kmeans = ms.KMeans(n_clusters=2, init=start, n_init=1, max_iter=20, tol=0.0).fit(X)
print(np.array_equal(plain, kmeans.labels_), f"inertia {inertia:.3f} and {kmeans.inertia_:.3f}")

# %%
# DBSCAN
# ------
#
# Points with enough others near them are *core*, and core points near each other are of one cluster.

plain, core = ms.textbook.dbscan(X, eps=0.12, min_samples=8)
dbscan = ms.DBSCAN(eps=0.12, min_samples=8).fit(X)
print(np.array_equal(plain, dbscan.labels_), f"{dbscan.labels_.max() + 1} clusters, {len(core):,} core points")

# %%
# Side by side. k-means cuts space in two with a straight line. DBSCAN follows the arcs. Mean shift finds a row of
# hills along each, unless it is told to join hills that hardly rise above their saddles.

hills = ms.MeanShift(bandwidth=0.12).fit(X)
joined = ms.MeanShift(bandwidth=0.12, merge="persistence", min_persistence=0.5).fit(X)
fig, axes = plt.subplots(1, 4, figsize=(14, 3.2), layout="constrained", sharey=True)
named = {"KMeans": kmeans, "DBSCAN": dbscan, "MeanShift": hills, "persistence": joined}
for ax, (name, found) in zip(axes, named.items(), strict=True):
    ms.plot.clusters(X, found.labels_, ax=ax, legend=False)
    ax.set(title=f"{name}: {found.labels_.max() + 1}", xlabel="", ylabel="")

# %%
# Nearest neighbours
# ------------------
#
# All pairs, or a tree. The answers are the same, rows and distances.

Q = rng.normal(size=(3_000, 3))
begin = perf_counter()
plain_distances, plain_rows = ms.textbook.k_nearest(Q, Q, 5)
plain_seconds = perf_counter() - begin
finder = ms.NearestNeighbors(n_neighbors=5).fit(Q)
finder.kneighbors(Q)  # compiles, if this is the first time
begin = perf_counter()
distances, rows = finder.kneighbors(Q)
seconds = perf_counter() - begin
print(np.array_equal(plain_rows, rows), f"{plain_seconds / seconds:.0f} times faster")

# %%
# Hashing
# -------
#
# In many columns trees do not help. Hashes that send close points to the same bucket do, if one may be missed now and
# then: :obj:`LSHIndex <modeseek.LSHIndex>` is tuned for a share of true neighbours that is found, and measures it.

V = rng.normal(size=(500, 32))[rng.integers(0, 500, 20_000)] + 0.3 * rng.normal(size=(20_000, 32))
index = ms.LSHIndex(random_state=0).fit(V).tune(recall=0.9, k=10)
found_distances, found_rows = index.query(V[:500], 10)
_, true_rows = ms.NearestNeighbors(n_neighbors=10).fit(V).kneighbors(V[:500])
share = np.mean([len(np.intersect1d(a, b)) / 10 for a, b in zip(found_rows, true_rows, strict=True)])
print(f"asked for 0.9, measured when tuned {index.recall_:.3f}, on these queries {share:.3f}")

# %%
# That is the homework. The guide has a page for
# each of these (:doc:`/kmeans`, :doc:`/dbscan`, :doc:`/neighbors`, :doc:`/lsh`), with what they cost and what they
# were measured against.
