"""
2. Climbing
===========

In the last chapter the points themselves moved, and each saw the others where they had just gone. That is called
*blurring* mean shift. The standard form leaves the data alone, and lets starts climb over them.
"""

# %%
# A hill to climb
# ---------------
#
# Put a small Gaussian on every point and add them up: a density. The step to the weighted mean is then a step uphill
# (Fukunaga and Hostetler, 1975), and where it is of no length, there is a top: a *mode*.

import matplotlib.pyplot as plt
import numpy as np

import modeseek as ms

_, X = ms.textbook.make_data()
ax = ms.plot.density(X, bandwidth=2.5)

# %%
# Black lines are watersheds. What starts on one side of them climbs to the same mode, and is a cluster: a definition
# that says nothing of algorithms.

ax = ms.plot.paths(X, bandwidth=2.5, n_paths=150)

# %%
# :obj:`climb <modeseek.textbook.climb>` is that definition in NumPy: over all points, in float64, until nothing moves
# any more. :obj:`modes <modeseek.textbook.modes>` says who met whom.

starts = X[::5]
ends = ms.textbook.climb(X, starts, bandwidth=2.5)
modes, mode_of = ms.textbook.modes(ends, bandwidth=2.5)
print(modes.round(3))
print(np.bincount(mode_of), "starts for each")

# %%
# :obj:`MeanShift <modeseek.MeanShift>` finds these very modes, and numbers clusters by their weight:

model = ms.MeanShift(bandwidth=2.5).fit(X)
print(model.cluster_centers_.round(3))
print(model.cluster_weights_.astype(int), "points in each")

# %%
# Every one of our starts has the label of the mode it climbed to:

nearest = ((modes[:, None] - model.cluster_centers_) ** 2).sum(2).argmin(1)
print((nearest[mode_of] == model.labels_[::5]).all())

# %%
# The same as an animation: points go, the data stay.

fig, ax = plt.subplots(figsize=(5.2, 4.2), dpi=80, layout="constrained")
animation = ms.plot.animate(X, model, n_frames=20, interval=120, ax=ax)

# %%
# Why it is not the same
# ----------------------
#
# When points move, the density that they make sharpens, and goes on changing under their feet. Let blurring go on
# until all is at rest, and count clusters of at least 20 points:

print("bandwidth  climbing  blurring")
for h in (1.5, 2.5, 4.0, 5.0):
    climbing = ms.MeanShift(h).fit(X)
    blurring = ms.MeanShift(h, blurring=True).fit(X)
    counts = [int((m.cluster_weights_ >= 20).sum()) for m in (climbing, blurring)]
    print(f"{h:9}  {counts[0]:8}  {counts[1]:8}")

# %%
# With a bandwidth of 5 blurring has merged what climbing still tells apart: clusters that attract each other while
# they shrink. What it returns depends on the rounds that were made, too, and, when points move batch by batch, on the
# size of the batch:

for batch_size in (1500, 100, 5):
    moved = ms.blur(X, 2.5, n_rounds=1, batch_size=batch_size)
    print(f"batches of {batch_size:4}: the last point is at {moved[-1].round(3)}")

# %%
# Climbing has one answer, whatever the order of the points, and a definition to check it by. It is what modeseek
# means by mean shift; ``blurring=True`` is there for those who want the other one. The answer has one more property:
# a start needs the data only where it passes. That is where the time will come from: :doc:`3_closest`.
