"""What exact climbs are thought to cost, before there is a field: by the shape of the density."""

import numpy as np
import pytest

from modeseek import costs
from modeseek.costs import seconds_of_exact_climbs


def estimate(X, h, **options):
    return seconds_of_exact_climbs(X, np.array([X.min(axis=0), X.max(axis=0)]), h, **options)


@pytest.mark.parametrize("d", [1, 2, 3])
def test_a_plateau_costs_far_more_than_one_clear_mode(d):
    """Measured at 10 000 points: 0.14 to 0.4 s around one mode; on a plateau 38 s in one column, over 45 s in more."""
    rng = np.random.default_rng(0)
    clear, flat = rng.normal(size=(10_000, d)), rng.uniform(size=(10_000, d))
    assert estimate(clear, 0.8) < 1.0
    assert 10.0 < estimate(flat, 0.1) < 120.0


def test_shallow_modes_of_noise_cost_hundreds_of_steps():
    """Measured at 10 000 points in one column: 30 s, of which bandwidths alone tell nothing."""
    X = np.random.default_rng(0).normal(size=(10_000, 1))
    assert 3.0 < estimate(X, 0.08) < 100.0


def test_nothing_is_tried_where_the_least_estimate_is_enough(monkeypatch):
    X = np.random.default_rng(0).uniform(size=(50_000, 1))
    exact = estimate(X, 0.1)
    monkeypatch.setattr(costs, "_try_climbs", None)
    assert 1.0 < estimate(X, 0.1, enough=1.0) < exact


def test_the_estimate_does_not_depend_on_units():
    X = np.random.default_rng(0).normal(size=(3000, 2))
    assert estimate(1024.0 * X, 0.5 * 1024.0) == pytest.approx(estimate(X, 0.5))


def test_points_that_all_coincide_cost_little():
    assert estimate(np.ones((2000, 2)), 1.0) < 1.0
