"""Estimators with scikit-learn's contract: thin, no mathematics."""

from modeseek.estimators.dbscan import DBSCAN
from modeseek.estimators.kmeans import KMeans
from modeseek.estimators.lsh import LSHIndex
from modeseek.estimators.mean_shift import MeanShift, mean_shift
from modeseek.estimators.nearest_neighbors import NearestNeighbors, kneighbors_graph, radius_neighbors_graph

__all__ = [
    "DBSCAN",
    "KMeans",
    "LSHIndex",
    "MeanShift",
    "NearestNeighbors",
    "kneighbors_graph",
    "mean_shift",
    "radius_neighbors_graph",
]
