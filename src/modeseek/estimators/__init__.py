"""Estimators with scikit-learn's contract: thin, no mathematics."""

from modeseek.estimators.lsh import LSHIndex
from modeseek.estimators.mean_shift import MeanShift, mean_shift

__all__ = ["LSHIndex", "MeanShift", "mean_shift"]
