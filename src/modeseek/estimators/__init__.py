"""Estimators with scikit-learn's contract: thin, no mathematics."""

from modeseek.estimators.kmeans import KMeans
from modeseek.estimators.mean_shift import MeanShift, mean_shift

__all__ = ["KMeans", "MeanShift", "mean_shift"]
