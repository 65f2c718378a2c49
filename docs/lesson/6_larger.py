"""
6. Larger data
==============

A million points, then points that come in batches, then points that do not fit into memory. The algorithm is the same
one: deposit, climb on the sketch, look labels up.
"""

# %%
# A million
# ---------

import tempfile
from pathlib import Path
from time import perf_counter

import numpy as np

import modeseek as ms

_, X = ms.textbook.make_data(n_clusters=12, n_samples=84_000, seed=7)
model = ms.MeanShift(bandwidth=2.5)
model.fit(X[:200_000])  # compiles, if this is the first time
begin = perf_counter()
model.fit(X)
print(f"{len(X):,} points: {perf_counter() - begin:.2f} seconds, {len(model.cluster_centers_)} clusters")
print(model.certificate_)

# %%
# So many points are drawn as an image: each pixel has the colour of the cluster that most of its points belong to.

ax = ms.plot.clusters(X, model)

# %%
# A stream
# --------
#
# ``partial_fit`` adds a batch to the sketch and forgets the points. However the stream is cut, the clusters are the
# same, to the bit.

few, many = ms.MeanShift(bandwidth=2.5), ms.MeanShift(bandwidth=2.5)
for batch in np.array_split(X, 3):
    few.partial_fit(batch)
for batch in np.array_split(X, 17):
    many.partial_fit(batch)
print(np.array_equal(few.cluster_centers_, many.cluster_centers_))

# %%
# New points have labels, too:

print(few.predict(X[:5]))

# %%
# Files
# -----
#
# :obj:`cluster_files <modeseek.cluster_files>` reads files in passes: one adds them to the sketch, one labels the
# rows. Memory holds a piece at a time.

with tempfile.TemporaryDirectory() as folder:
    days = Path(folder)
    for day, rows in enumerate(np.array_split(X, 4)):
        np.save(days / f"day{day}.npy", rows)
    found = ms.cluster_files(str(days / "day*.npy"), str(days / "labelled"), bandwidth=2.5)
    print(f"{found.rows:,} rows of {len(found.files)} files, {len(found.centers)} clusters")
    labels = np.concatenate([np.load(file.output) for file in found.files])

# %%
# The labels are those of all rows in one array:

print(np.array_equal(labels.ravel(), model.labels_))

# %%
# :doc:`/larger-than-memory` tells more, of Parquet and CSV, and of a run that is killed and goes on; :doc:`/dask` of
# clusters of machines; :doc:`/gpu` of GPUs. What is left is the homework: :doc:`7_homework`.
