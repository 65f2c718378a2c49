"""
1. The loop
===========

Each point moves to the weighted mean of the points around it, again and again. That is all of mean shift; here it is as
the fast.ai notebook has it, one point at a time, and then a batch at a time.
"""

# %%
# Points
# ------
#
# Six centres are drawn in a square, and 250 points about each of them. :obj:`make_data <modeseek.textbook.make_data>`
# repeats the notebook's random numbers, so these are its very points.

from time import perf_counter

import matplotlib.pyplot as plt
import numpy as np

import modeseek as ms

centroids, X = ms.textbook.make_data()
drawn_about = np.repeat(np.arange(6), 250)
ax = ms.plot.clusters(X, drawn_about, true_centers=centroids)

# %%
# A clustering sees only this, and is to find the colours:

ax = ms.plot.clusters(X)

# %%
# Weights
# -------
#
# How much a neighbour counts falls with its distance. The Gaussian is smooth and never quite zero, the triangle is
# cheap and ends. The one number to choose is the *bandwidth*: the Gaussian's standard deviation, here 2.5.

fig, ax = plt.subplots(figsize=(6.4, 3.2), layout="constrained")
d = np.linspace(0, 10, 201)
gaussian, triangle = ms.textbook.gaussian(d, bw=2.5), ms.textbook.tri(d, i=8)
ax.plot(d, gaussian / gaussian[0], label="gaussian(d, 2.5)")
ax.plot(d, triangle, label="tri(d, 8)")
ax.set(xlabel="distance", ylabel="weight, of that at 0")
legend = ax.legend()

# %%
# One point
# ---------
#
# Distances of the first point to all, (1500,); their weights, (1500,); the weighted mean, (2,).

x = X[0]
distance = np.sqrt(((x - X) ** 2).sum(1))
weight = ms.textbook.gaussian(distance, 2.5)
mean = (weight[:, None] * X).sum(0) / weight.sum()
print(x, "moves to", mean)

# %%
# It has come nearer to the centre of its cluster, although nobody told where that is: there are simply more points on
# that side.
#
# All points
# ----------
#
# :obj:`one_update <modeseek.textbook.one_update>` does this to every point, in place. Three rounds of it, in the
# colours that we are not supposed to know:

moved = X.copy()
fig, axes = plt.subplots(1, 4, figsize=(12, 3.4), layout="constrained", sharex=True, sharey=True)
for rounds, ax in enumerate(axes):
    if rounds:
        ms.textbook.one_update(moved)
    ms.plot.clusters(moved, drawn_about, ax=ax, legend=False)
    ax.set(title=f"rounds: {rounds}", xlabel="", ylabel="")

# %%
# After five rounds what was a cloud is a dot. Points in one dot are one cluster, and nobody had to say that there are
# six.

begin = perf_counter()
moved = ms.textbook.meanshift_loop(X, rounds=5)
loop_seconds = perf_counter() - begin
clusters, labels = ms.textbook.modes(moved, bandwidth=2.5)
print(f"{len(clusters)} clusters of {np.bincount(labels)} points, in {loop_seconds:.2f} seconds")

# %%
# Moving pictures
# ---------------
#
# The same as an animation; frames between the rounds are interpolated.

fig, ax = plt.subplots(figsize=(5.2, 4.2), dpi=80, layout="constrained")
animation = ms.plot.animate(X, 2.5, blurring=True, n_frames=20, interval=120, ax=ax)

# %%
# A batch at a time
# -----------------
#
# A Python loop over points is slow, whatever is inside it. Five points at once: :obj:`dist_b
# <modeseek.textbook.dist_b>` puts axes of length 1 in, so that (1, 1500, 2) and (5, 1, 2) subtract to (5, 1500, 2).

batch = X[:5]
weight = ms.textbook.gaussian(ms.textbook.dist_b(X, batch), 2.5)
print("weights", weight.shape, "times points", X.shape)

# %%
# The weighted sum can be written in three ways, each more to the point than the one before. The last one is a product
# of matrices, the one thing that computers have been tuned for most.

by_broadcasting = (weight[:, :, None] * X[None]).sum(1)
by_einsum = np.einsum("ij,jk->ik", weight, X)
by_product = weight @ X
print(np.allclose(by_broadcasting, by_einsum), np.allclose(by_einsum, by_product))
print(by_product / weight.sum(1, keepdims=True))

# %%
# :obj:`meanshift <modeseek.textbook.meanshift>` does so for 500 points at a time:

begin = perf_counter()
in_batches = ms.textbook.meanshift(X, bs=500)
seconds = perf_counter() - begin
print(f"{seconds:.3f} seconds, {loop_seconds / seconds:.1f} times faster than the loop")

# %%
# What it costs
# -------------
#
# Every point looks at every point: twice the points are four times the work. On two axes with logarithmic scales that
# is a line of slope 2.

sizes = np.array([500, 1000, 2000, 4000])
times = []
for n in sizes:
    points = ms.textbook.make_data(6, -(-n // 6))[1][:n]
    begin = perf_counter()
    ms.textbook.meanshift(points, rounds=2)
    times.append((perf_counter() - begin) / 2)

fig, ax = plt.subplots(figsize=(5.6, 3.6), layout="constrained")
ax.loglog(sizes, times, "o-", label="one round, measured")
ax.loglog(sizes, times[-1] * (sizes / sizes[-1]) ** 2, "--", color="grey", label="slope 2")
ax.set(xlabel="points", ylabel="seconds")
ax.legend()
million = times[-1] * (1e6 / sizes[-1]) ** 2
print(f"A million points would take {million / 3600:.1f} hours a round.")

# %%
# On a GPU a round is shorter, and still takes four times as long for twice the points. The way out is another one:
# :doc:`3_closest`. But first, which mean shift is this?
