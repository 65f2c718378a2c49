"""The algorithms as a textbook would write them: what every fast engine is tested against.

`mean_shift` is the fast.ai notebook and the definition of what the library computes; `neighbors` and `clusters` are the
notebook's homework: nearest neighbours, locality-sensitive hashing, k-means and DBSCAN in their plainest forms. Slow on
purpose: no trees, no truncation, no compiled code. Nothing here imports any other part of the library.
"""

from modeseek.textbook.clusters import dbscan, kmeans
from modeseek.textbook.data import make_data
from modeseek.textbook.mean_shift import (
    climb,
    dist_b,
    gaussian,
    meanshift,
    meanshift_loop,
    modes,
    one_update,
    tri,
)
from modeseek.textbook.neighbors import k_nearest, lsh_candidates, within

__all__ = [
    "climb",
    "dbscan",
    "dist_b",
    "gaussian",
    "k_nearest",
    "kmeans",
    "lsh_candidates",
    "make_data",
    "meanshift",
    "meanshift_loop",
    "modes",
    "one_update",
    "tri",
    "within",
]
