"""Bounds of the data: those of NumPy for any type, order and number of columns; what is not finite is refused."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from modeseek.engines import data

DTYPES = [np.float32, np.float64]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("d", [1, 2, 3, 4, 7, 33])
@pytest.mark.parametrize("n_jobs", [1, 3])
def test_bounds_are_those_of_numpy(d, dtype, n_jobs):
    rng = np.random.default_rng(d)
    X = (rng.normal(size=(300_001, d)) * 10.0 ** rng.integers(-30, 30, (300_001, 1))).astype(dtype)
    X[rng.integers(0, len(X), 1000)] = 0.0
    for points in (X, X[::3], np.asfortranarray(X[:5000]), -np.abs(X), np.abs(X)):
        found = data.bounds(points, n_jobs)
        assert found.dtype == np.float64
        np.testing.assert_array_equal(found, [points.min(axis=0), points.max(axis=0)])


@given(
    st.sampled_from(DTYPES).flatmap(
        lambda dtype: arrays.arrays(
            dtype,
            (1500, 3),
            elements=st.floats(width=8 * np.dtype(dtype).itemsize, allow_nan=False, allow_infinity=False),
        )
    )
)
def test_bounds_hold_numbers_of_any_size(X):
    np.testing.assert_array_equal(data.bounds(X), [X.min(axis=0), X.max(axis=0)])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("d", [1, 2, 3, 5])
@pytest.mark.parametrize("value", [np.nan, -np.nan, np.inf, -np.inf])
def test_one_value_that_is_not_finite_is_found(d, dtype, value):
    X = np.random.default_rng(0).normal(size=(400_000, d)).astype(dtype)
    X[300_123, d - 1] = np.copysign(value, -1.0) if np.signbit(value) else value
    what = "NaN" if np.isnan(value) else "infinity"
    with pytest.raises(ValueError, match=rf"contains {what} \(first at row 300123, column {d - 1}\)"):
        data.bounds(X)
