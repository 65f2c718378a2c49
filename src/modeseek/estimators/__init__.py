"""Estimators with scikit-learn's contract: thin, no mathematics."""

from modeseek.estimators.dbscan import DBSCAN
from modeseek.estimators.mean_shift import MeanShift, mean_shift

__all__ = ["DBSCAN", "MeanShift", "mean_shift"]
