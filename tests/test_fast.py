"""The fast route: no modes but maxima, however slow the ridge, and the route that costs least."""

import numpy as np
import pytest
from benchmarks import data

import modeseek as ms
from modeseek.climb import polish
from modeseek.costs import neighbours, seconds_of_climbs, seconds_of_table
from modeseek.fields.grid import GridField
from tests.naive import mixture


@pytest.mark.parametrize(("make", "d", "h"), [(data.moons, 2, 0.15), (data.uniform, 1, 0.5), (data.spiral, 2, 0.5)])
def test_every_mode_on_a_ridge_is_a_maximum_of_the_points_density(make, d, h):
    X = make(100_000, d).astype(np.float64)
    model = ms.MeanShift(h, fidelity="fast").fit(X)
    modes, confirmed = polish(GridField(X, [], h), model.cluster_centers_, h)
    assert confirmed.all()
    np.testing.assert_allclose(modes, model.cluster_centers_, atol=1e-3 * h)


def test_a_large_table_is_taken_where_climbs_on_points_would_take_longer():
    X = data.mixture(5000, 3, seed=4)
    model = ms.MeanShift(1.0, fidelity="fast").fit(X)
    assert model.sketch_ is not None
    exact = ms.MeanShift(1.0, fidelity="exact").fit(X)
    assert len(model.cluster_centers_) == len(exact.cluster_centers_)
    assert (model.labels_ == exact.labels_).mean() > 0.999


def test_cells_stand_in_for_points_where_few_are_near_each_other():
    X = data.mixture(2000, 2)
    model = ms.MeanShift(0.05, fidelity="fast").fit(X)
    assert model.sketch_ is None
    exact = ms.MeanShift(0.05, fidelity="exact").fit(X)
    assert len(model.cluster_centers_) == len(exact.cluster_centers_)


@pytest.mark.parametrize("d", [1, 2, 3])
def test_neighbours_are_counted(d):
    X, h = mixture(500, d)
    rows = (2 * np.arange(64) + 1) * 500 // 128  # the middles of 64 parts
    distances = np.sqrt(np.square(X[rows, None].astype(float) - X[None]).sum(axis=2))
    np.testing.assert_array_equal(neighbours(X, h), (distances <= h).sum(axis=1))


def test_the_model_knows_what_is_cheap():
    crowd, far = data.mixture(20_000, 3), data.mixture(20_000, 2) * np.float32(100.0)
    on_points, sparse = seconds_of_climbs(crowd, 3.0, 0.125)
    assert seconds_of_table(20_000, 2_000_000, 3) < on_points < sparse
    on_points, sparse = seconds_of_climbs(far, 3.0, 0.125)
    assert sparse < on_points
    assert sparse < seconds_of_table(20_000, 8_000_000, 2)
