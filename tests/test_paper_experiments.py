"""The experiments of the paper: their instruments by laws, and each of them whole on little data."""

import numpy as np
import pytest
from benchmarks import data, harness, reference
from benchmarks.paper import ablation, common, coverage, dimensions, growth, pareto, quality, rivals, spacing
from benchmarks.paper.stages import EVERYTHING, Without, stages

import modeseek as ms
from modeseek.flood import cells_around
from modeseek.label import UNKNOWN


@pytest.fixture
def results(monkeypatch, tmp_path):
    monkeypatch.setattr(harness, "RESULTS", tmp_path)
    return lambda name: harness.read_rows(f"paper_{name}-quick")


def numbers(rows: list[dict[str, str]], key: str) -> np.ndarray:
    return np.array([float(row[key]) for row in rows])


# ------------------------------------------------------------------------------------------------- instruments


def test_disagreement_does_not_see_numbers_and_counts_what_is_moved():
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 5, 1000)
    assert common.disagreement(rng.permutation(5)[truth] + 7, truth) == 0.0
    moved = truth.copy()
    moved[:30] = (moved[:30] + 1) % 5
    assert common.disagreement(moved, truth) == pytest.approx(0.03)
    assert common.disagreement(np.zeros(1000, int), truth) == pytest.approx(1.0 - np.bincount(truth).max() / 1000)


def test_stages_settle_what_a_fit_settles_and_leave_parts_out():
    X, h = data.blobs(4000), 2.5
    problem, model = common.problem_of(X, h), ms.MeanShift(h).fit(X)
    found, _ = stages(problem, 1 / 7)
    assert [stage.name for stage in found] == ["flood", "tubes of cells", "tubes of points", "raw points"]
    opened = [stage.open for stage in found]
    assert opened == sorted(opened, reverse=True)
    assert 0.0 < opened[0] < 0.1
    assert opened[-1] == 0.0
    assert common.disagreement(found[-1].labels, model.labels_) == 0.0
    floods = {}
    for name, without in ablation.VARIANTS.items():
        run = stages(problem, 1 / 7, without)[0]
        floods[name] = run[0].open
        known = run[-1].labels != UNKNOWN
        assert common.disagreement(run[-1].labels[known], model.labels_[known]) == 0.0
    assert floods["without traps"] > floods["everything"] == floods["without tubes"]
    assert floods["without cores"] > floods["without traps"]
    assert len(stages(problem, 1 / 7, Without(cells=True, points=True, raw=True))[0]) == 1


def test_leaving_traps_out_changes_nothing_afterwards():
    import modeseek.flood

    X = data.blobs(3000)
    before = stages(common.problem_of(X, 2.5), 1 / 7, EVERYTHING)[0][0].open
    stages(common.problem_of(X, 2.5), 1 / 7, Without(traps=True))
    assert modeseek.flood.cells_around is cells_around
    assert stages(common.problem_of(X, 2.5), 1 / 7, EVERYTHING)[0][0].open == before


def test_exact_flat_mean_shift_is_what_it_says():
    X = np.concatenate([data.blobs(150)[:, :1] * 0.1, 50.0 + data.blobs(90, seed=1)[:, :1] * 0.1]).astype(float)
    X = np.column_stack([X, np.zeros(len(X))])
    labels = rivals.exact_flat(X, 30.0)
    assert len(np.unique(labels)) == 2
    assert common.disagreement(labels, np.arange(240) >= 150) == 0.0
    means, counts = rivals.flat_means(X, X[:5], 1.5)
    for x, mean, count in zip(X[:5], means, counts, strict=True):
        near = np.linalg.norm(X - x, axis=1) <= 1.5
        assert count == near.sum()
        np.testing.assert_allclose(mean, X[near].mean(axis=0))


def test_peers_without_their_source_are_left_out(monkeypatch):
    monkeypatch.delenv(rivals.FOLDER, raising=False)
    X = data.notebook()[::10]
    assert not rivals.available("gridshiftpp")
    assert "GridShift" not in {name for name, _, _ in pareto.systems(X, 2.5)}


def test_flipped_labels_are_as_many_as_asked_and_the_exact_coverage_is_that_of_counting():
    labels = np.arange(100) % 4
    assert (coverage.flipped(labels, 4, 7, np.random.default_rng(0)) != labels).sum() == 7
    n, bad, s = 40, 6, 10
    rng, wrong = np.random.default_rng(1), np.arange(40) < 6
    drawn = [int(wrong[rng.permutation(n)[:s]].sum()) for _ in range(4000)]
    share = np.mean([coverage.upper_bound(k, s, 0.95) >= bad / n for k in drawn])
    assert coverage.exact_coverage(n, bad, s) == pytest.approx(share, abs=0.02)


def test_fast_labels_that_differ_are_counted_by_where_modes_are():
    X = data.mixture(600, 2)
    exact = ms.MeanShift(1.0, fidelity="exact").fit(X)
    assert (coverage.in_order_of(exact, exact) == exact.labels_).all()
    other = ms.MeanShift(1.0, fidelity="exact").fit(X)
    other.cluster_centers_ = other.cluster_centers_[::-1]
    k = len(other.cluster_centers_)
    assert (coverage.in_order_of(other, exact) == k - 1 - exact.labels_).all()
    other.cluster_centers_ = other.cluster_centers_ + 1.0
    assert (coverage.in_order_of(other, exact) == -1).all()


def test_intervals_hold_the_mean_and_shrink():
    rng = np.random.default_rng(0)
    few, many = rng.random(10).tolist(), rng.random(200).tolist()
    for values in (few, many):
        mean, low, high = quality.interval(values)
        assert low < mean < high
    assert np.diff(quality.interval(many)[1:]) < np.diff(quality.interval(few)[1:])
    assert quality.interval([0.5, 0.5, 0.5]) == (0.5, 0.5, 0.5)


# ------------------------------------------------------------------------------------------------- whole, on little


def test_the_ablation_is_whole(results, monkeypatch):
    monkeypatch.setattr(ablation, "sets", lambda quick: iter([("blobs", 2.5, data.blobs(2000))]))
    assert ablation.main(["--quick"]) == 0
    assert numbers(results("stages"), "settled").sum() == pytest.approx(2.0)  # two tables
    assert {row["variant"] for row in results("ablations")} == set(ablation.VARIANTS)
    assert not numbers(results("ablations"), "wrong").any()


def test_errors_fall_and_what_is_certified_grows_with_finer_grids(results, monkeypatch):
    monkeypatch.setattr(spacing, "SETS", {"mixture": data.mixture})
    monkeypatch.setattr(spacing, "SPACINGS", {1: (1 / 4, 1 / 8)})
    monkeypatch.setattr(spacing, "TABLES", {2: (1 / 3, 1 / 5, 1 / 10)})
    assert spacing.main(["--quick"]) == 0
    for row in results("slopes"):
        assert abs(float(row["slope_of_typical_error"]) - float(row["order"])) < 1.0
    assert all(float(row["error_over_bound"]) <= 1.0 for row in results("errors") if row["error_over_bound"])
    shares = numbers([row for row in results("certified") if row["data"] == "mixture"], "certified")
    assert (np.diff(shares) >= 0.0).all()
    assert shares[-1] > 0.9


def test_the_pareto_table_knows_its_exact_rows(results, monkeypatch):
    monkeypatch.setattr(pareto, "flat_peer", lambda X, radius, bin_seeding: np.zeros(len(X), int))  # starts processes
    assert pareto.main(["--quick"]) == 0
    rows = {row["system"]: row for row in results("pareto") if not row["side"]}
    assert float(rows["modeseek, exact"]["from_gaussian"]) == float(rows["modeseek, certified"]["from_gaussian"]) == 0.0
    assert float(rows["scikit-learn"]["from_gaussian"]) > 0.5
    assert {row["audited"] for row in rows.values()} == {"0"}


def test_dimensions_agree_with_exact_where_they_must(monkeypatch):
    monkeypatch.setattr(reference, "exact_sample", lambda X, h, **how: _sample(X, h))
    monkeypatch.setattr(dimensions, "SETS", {"close": dimensions.SETS["close"]})
    monkeypatch.setattr(dimensions, "peer", lambda X, truth, h: {"system": "scikit-learn"})
    rows = [row for row in dimensions.columns(True) if row["system"] != "scikit-learn"]
    assert {row["d"] for row in rows} == {1, 3, 8}
    assert {row["route"] for row in rows} >= {"grid", "all points"}
    assert min(row["agreement"] for row in rows if row["system"] != "modeseek, fast") == 1.0


def test_closest_centres_are_as_far_apart_as_it_says():
    X, truth = dimensions.close(60_000, 5, 0, 2)
    means = np.array([X[truth == k].mean(axis=0) for k in range(dimensions.CLUSTERS)])
    apart = np.linalg.norm(means[:, None] - means, axis=2)
    assert apart[apart > 0].min() == pytest.approx(4.0, abs=0.1)
    assert np.abs(means[:, 2:]).max() < 0.1


def _sample(X, h):
    rows = np.arange(0, len(X), 100)
    return reference.Sample(rows, reference.exact_ends(X, X[rows], h, tol=1e-7)[0], h)


def test_coverage_of_planted_errors_is_whole(results, monkeypatch):
    monkeypatch.setattr(coverage, "SETS", {"mixture, h = 1": coverage.SETS["mixture, h = 1"]})
    assert coverage.main(["--quick"]) == 0
    (row,) = results("coverage")
    assert float(row["low"]) <= float(row["coverage"]) <= float(row["high"])
    assert float(row["exact_coverage"]) >= 0.95
    assert len(results("coverage_fast")) == 1


def test_quality_compares_every_system_on_the_same_points(results, monkeypatch):
    monkeypatch.setattr(quality, "KINDS", {"blobs, equal": quality.KINDS["blobs, equal"]})
    assert quality.main(["--quick"]) == 0
    rows = results("quality")
    assert {row["system"] for row in rows} == set(quality.SYSTEMS)
    assert len(rows) == 3 * len(quality.SYSTEMS)
    summed = [row for row in results("quality_intervals") if row["set"] == "blobs, equal"]
    for row in summed:
        here = numbers([one for one in rows if one["system"] == row["system"]], "ari")
        assert float(row["ari"]) == pytest.approx(here.mean(), abs=1e-5)
        assert float(row["ari_low"]) <= float(row["ari"]) <= float(row["ari_high"])


def test_growth_says_what_does_not_fit(monkeypatch):
    monkeypatch.setattr(harness, "fresh", lambda code: [[2.0, 1.0, 3.0], 4000, 6, None])
    rows = list(growth.in_memory(True))
    assert [row["seconds"] for row in rows] == [1.0, 1.0]
    assert rows[0]["ns_per_point"] == pytest.approx(1e4)
    monkeypatch.setattr(growth, "free_memory", lambda: 1e5)
    assert all(row["seconds"] is None and "GiB" in row["left_out"] for row in growth.in_memory(True))
