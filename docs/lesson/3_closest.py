"""
3. Only the closest points
==========================

The notebook offers a bonus for a mean shift that gets by with close points, and so escapes the square of their number.
Here is one that does not even look for them.
"""

# %%
# Who counts?
# -----------
#
# A Gaussian weighs a point at 5 bandwidths 4 millionths of one nearby. How many pairs are nearer than that?

from time import perf_counter

import matplotlib.pyplot as plt
import numpy as np

import modeseek as ms

_, X = ms.textbook.make_data()
h = 2.5
distances = ms.textbook.dist_b(X, X)
print(f"{(distances < 5 * h).mean():.0%} of all pairs")

# %%
# All others could be left out, and a search for neighbours would find the rest fast. It would not help enough: of
# twice the points twice as many are close. What helps is that close points need not be told apart. Seen from afar
# (half a bandwidth is afar, for a hill as smooth as this) some points here and some there are as good as masses on a
# grid.
#
# A sketch of the data
# --------------------
#
# :obj:`DensitySketch <modeseek.DensitySketch>` deposits every point on the nodes around it, in shares given by a
# smooth spline. One pass, some additions a point, and the points may go.

sketch = ms.DensitySketch(bandwidth=h).add(X)
print(sketch)

fig, axes = plt.subplots(1, 2, figsize=(11, 4.2), layout="constrained")
lower = (np.array(sketch.box.lower) - 0.5) * sketch.delta
upper = lower + np.array(sketch.masses.shape) * sketch.delta
extent = (lower[0], upper[0], lower[1], upper[1])
axes[0].imshow(sketch.masses.T, origin="lower", extent=extent, cmap="Blues")
axes[0].set_title(f"The sketch: {sketch.masses.size:,} nodes, half a bandwidth apart")
ms.plot.density(sketch, ax=axes[1])
fig.draw_without_rendering()

# %%
# Is that good enough? The density of the sketch, beside the sum over all points:

queries = X[::50].astype(float)
exact = np.exp(-0.5 * (ms.textbook.dist_b(X.astype(float), queries) / h) ** 2).mean(1) / (2 * np.pi * h**2)
error = np.abs(sketch.density(queries) / exact - 1).max()
print(f"off by {error:.1e} of its value at most")

# %%
# Masses are integers, so sketches add exactly. Three parts, in any order, are the whole, to the bit: threads, files
# and machines can share the work.

parts = [ms.DensitySketch(bandwidth=h).add(part) for part in np.array_split(X, 3)]
print(parts[2].merge(parts[0]).merge(parts[1]) == sketch)

# %%
# Climbing on the sketch
# ----------------------
#
# From here on the number of points does not matter. Kernel sums are tabulated on the grid, so a step is one
# interpolation; cells climb, not points; and a point has the label of its cell. The plain form takes four times as
# long for twice the points. And this one?

sizes = np.array([1_500, 6_000, 25_000, 100_000, 400_000])
model = ms.MeanShift(h, fidelity="fast")
model.fit(ms.textbook.make_data(6, 5_000)[1])  # compiles, if this is the first time
times = []
for n in sizes:
    points = ms.textbook.make_data(6, n // 6)[1]
    trials = []
    for _ in range(3):
        begin = perf_counter()
        model.fit(points)
        trials.append(perf_counter() - begin)
    times.append(min(trials))

plain_sizes = sizes[:2]
plain = []
for n in plain_sizes:
    points = ms.textbook.make_data(6, n // 6)[1]
    begin = perf_counter()
    ms.textbook.meanshift(points, rounds=1)
    plain.append(5 * (perf_counter() - begin))

fig, ax = plt.subplots(figsize=(6, 4), layout="constrained")
ax.loglog(sizes, times, "o-", label='MeanShift(2.5, fidelity="fast")')
ax.loglog(plain_sizes, plain, "s-", label="the lesson's batches, five rounds")
ax.set(xlabel="points", ylabel="seconds")
legend = ax.legend()
print(f"{sizes[-1]:,} points: {times[-1]:.3f} seconds")

# %%
# Above some ten thousand points what grows is the pass over the data.
#
# An approximation, then? So far, yes: cells near a watershed may go the wrong way, and nobody would know. The next
# chapter is about knowing: :doc:`4_certificate`.
