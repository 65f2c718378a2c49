"""The benchmarks' own instruments: a reference that agrees with the textbook, fair turns, honest tables."""

import numpy as np
import pytest
from benchmarks import (
    audit,
    bandwidth,
    blurring,
    certificate,
    dask_stages,
    data,
    dbscan,
    dropin,
    fidelity,
    figures,
    harness,
    high_dimensions,
    kernels,
    kmeans,
    lsh,
    mean_shift,
    neighbors,
    pages,
    reference,
    scaling,
    tables,
)

import modeseek as ms
from modeseek import textbook
from modeseek.engines.threads import single_threaded_blas

H = 1.5


def three_blobs(n: int = 300, d: int = 2) -> np.ndarray:
    rng = np.random.default_rng(3)
    return rng.normal(size=(n, d)) + 8 * rng.integers(0, 3, (n, 1))


@pytest.mark.parametrize("d", [1, 2, 3, 5])
def test_reference_agrees_with_the_textbook(d):
    X = three_blobs(300, d)
    ends, steps = reference.exact_ends(X, X, H)
    assert np.abs(ends - textbook.climb(X, X, H)).max() < 1e-7
    assert steps.min() >= 1


def test_reference_takes_weights_and_distinct_rows():
    X = np.round(three_blobs())
    merged, counts = reference.distinct(X)
    assert len(merged) < len(X)
    ends, _ = reference.exact_ends(merged, X[:50], H, counts)
    assert np.abs(ends - reference.exact_ends(X, X[:50], H)[0]).max() < 1e-7


def test_reference_survives_a_far_origin_and_more_points_than_a_block():
    X = three_blobs(3 * reference.BLOCK + 7)
    here, _ = reference.exact_ends(X, X[:20], H)
    there, _ = reference.exact_ends(X + 2.0**30, X[:20] + 2.0**30, H)
    assert np.abs(there - 2.0**30 - here).max() < 1e-5


def test_exponential_of_the_reference():
    assert reference.exp_error() < 2e-14


def test_reference_refuses_starts_that_are_no_points_and_light_weights():
    X = three_blobs()
    with pytest.raises(ValueError, match="not one of the points"):
        reference.exact_ends(X, [[100.0, 100.0]], H)
    with pytest.raises(ValueError, match="at least 1"):
        reference.exact_ends(X, X[:1], H, np.full(len(X), 0.5))


def test_agreement_catches_wrong_labels_and_wrong_centres():
    X = three_blobs()
    ends = textbook.climb(X, X, H)
    centers, labels = textbook.modes(ends, H)
    assert reference.agreement(labels, centers, ends, H) == 1.0

    wrong = labels.copy()
    wrong[:30] = (wrong[:30] + 1) % len(centers)
    assert reference.agreement(wrong, centers, ends, H) == pytest.approx(0.9)

    moved = centers.copy()
    moved[0] += 0.1 * H  # still the nearest, but no mode
    share = reference.agreement(labels, moved, ends, H)
    assert share == pytest.approx(np.mean(labels != 0))
    assert reference.agreement(labels, moved, ends, H, within=np.inf) == 1.0


def test_sample_names_rows_of_the_data_and_respects_its_budget():
    X = data.notebook()
    sample = reference.exact_sample(X, 2.5, most=40)
    assert len(set(sample.rows)) == len(sample.ends) == 40
    assert np.abs(sample.ends - textbook.climb(X, X[sample.rows], 2.5)).max() < 1e-7
    assert len(reference.exact_sample(X, 2.5, pairs=1e6).rows) < 100


def test_alternate_takes_turns_after_one_warm_up_each():
    order = []
    calls = {"a": lambda: order.append("a"), "b": lambda: order.append("b")}
    timings = harness.alternate(calls, rounds=3)
    assert order == ["a", "b"] + ["a", "b"] * 3
    assert [len(t.seconds) for t in timings.values()] == [3, 3]


def test_alternate_may_warm_up_otherwise_and_stop_early():
    order = []
    calls = {"a": lambda: order.append("a"), "b": lambda: order.append("b")}
    timings = harness.alternate(calls, rounds=9, limit=0.0, warm_up={"b": lambda: order.append("w")})
    assert order == ["a", "w", "a", "b"]
    assert len(timings["a"].seconds) == 1


def test_timing_compares_round_by_round():
    a, b = harness.Timing([2.0, 40.0, 3.0]), harness.Timing([1.0, 10.0, 1.0])
    assert (a.median, a.min, a.max) == (3.0, 2.0, 40.0)
    assert a.times(b) == 3.0


@pytest.mark.parametrize("n", [3, 1000, 3_000_000])
def test_read_pass_finds_the_extremes(n):
    X = np.random.default_rng(0).normal(-1, 1, (n, 2)).astype(np.float32)
    assert harness.read_pass(X) == harness.memory_pass(X) == (X.min(), X.max())
    assert harness.read_pass(-np.abs(X)) == (-np.abs(X).max(), -np.abs(X).min())


def test_extra_memory_sees_an_array_and_not_what_setup_left():
    setup = "import numpy as np\nbig = np.ones(30_000_000)\nbig[:1000].sum()"
    assert 90e6 < harness.extra_memory(setup, "more = np.ones(12_500_000)") < 130e6


def test_fresh_process_reports_its_error():
    with pytest.raises(RuntimeError, match="no such thing"):
        harness.fresh("raise SystemExit('no such thing')")


def test_csv_begins_with_the_machine_and_reads_back(tmp_path):
    rows = [{"n": 10, "seconds": 0.25}, {"n": 20, "seconds": None, "system": "a, b"}]
    path = harness.write_rows("some", rows, tmp_path)
    lines = path.read_text().splitlines()
    assert {"# cpu", "# cores", "# memory", "# python", "# numpy"} <= {line.partition(":")[0] for line in lines}
    assert lines[-3:] == ["n,seconds,system", "10,0.25,", '20,,"a, b"']
    assert harness.read_rows("some", tmp_path)[1] == {"n": "20", "seconds": "", "system": "a, b"}


def test_table_aligns_numbers_to_the_right():
    text = harness.table([{"name": "a", "value": 1.5}, {"name": "bcd", "value": None}, {"name": "e", "value": 100}])
    assert text.splitlines() == ["name  value", "----  -----", "a       1.5", "bcd", "e       100"]


@pytest.mark.parametrize(
    ("measured", "required", "result"),
    [
        (41.0, ">= 40", "pass"),
        (39.0, ">= 40", "FAIL"),
        (12.0, "<= 12", "pass"),
        (6.0, "< 6", "FAIL"),
        (float("nan"), "< 6", "FAIL"),
        (3.0, "", ""),
    ],
)
def test_bars(measured, required, result):
    assert mean_shift.bar("x", measured, required)["result"] == result


def test_blobs_do_not_depend_on_how_many_follow(monkeypatch):
    monkeypatch.setattr(data, "CHUNK", 1000)
    X = data.blobs(5000)
    assert X.dtype == np.float32
    assert np.array_equal(X[:3000], data.blobs(3000))
    assert not np.array_equal(X[:3000], data.blobs(3000, seed=1))
    centroids = textbook.make_data(n_samples=1)[0]
    nearest = ((X[:, None] - centroids) ** 2).sum(2).min(1)
    assert 8 < nearest.mean() < 10.5  # 2 x variance 5, a little less for those nearer to another


def test_figure_is_drawn_from_rows(tmp_path):
    rows = [{"system": s, "n": "1500", "seconds": "0.1"} for s in figures.STYLES]
    rows += [{"system": "modeseek", "n": "60000", "seconds": "0.2"}]
    figures.scaling(rows, tmp_path / "images" / "scaling.png")
    assert (tmp_path / "images" / "scaling.png").stat().st_size > 10_000


def test_the_readme_is_filled_between_its_markers():
    text = "before\n<!-- figures: begin -->\nold\n<!-- figures: end -->\nafter"
    bars = [
        {"bar": "a", "measured": "43.21", "required": ">= 40", "agreement": "0.9998", "starts": "5000", "times": "t"}
    ]
    scales = [
        {"system": system, "n": "1000000", "seconds": "0.5", "read_passes": "9.87", "agreement": "1.0", "starts": "113",
         "extra_bytes_per_point": "6.7"}
        for system in (tables.OURS, "other")
    ]  # fmt: skip
    filled = pages.fill(text, tables.tables(bars, scales), "figures")
    assert filled.startswith("before\n<!-- figures: begin -->\n| what")
    assert filled.endswith("<!-- figures: end -->\nafter")
    assert "old" not in filled
    assert "| a | 43.2 | >= 40 | 0.9998 of 5,000 | t |" in filled
    assert "| 1,000,000 | 500 ms | 9.87 | 1 of 113 |  |" in filled
    assert filled.count("1,000,000") == 1


def test_coverage_sees_a_bound_that_is_too_low():
    wrong = np.arange(2000) < 20  # 1 %
    for holds in audit.BOUNDS.values():
        exact = audit.exact_coverage(holds, wrong, 300, 0.9)
        assert 0.9 <= exact < 1.0
        seen = [holds(int(k), 300, 0.9, 0.01) for k in audit.drawn(wrong, 300, 500)]
        assert abs(np.mean(seen) - exact) < 0.06
    as_seen = audit.exact_coverage(lambda k, s, confidence, rate: k / s >= rate, wrong, 300, 0.9)
    assert as_seen < 0.7


def test_planted_errors_are_caught_one_by_one():
    X = data.blobs(1500)
    model = ms.MeanShift(audit.H).fit(X)
    labels, rows = audit.planted(model, 0.01)
    assert (labels != model.labels_).sum() == len(rows) == 15
    np.testing.assert_array_equal(np.flatnonzero(audit.verdicts(model, X, labels)), rows)


def test_the_exact_rounds_that_blurring_is_checked_by_are_the_textbooks():
    X = data.blobs(700).astype(np.float64)
    rows = np.arange(0, 700, 9)
    expected = blurring.simultaneous(X, rounds=1)[rows]
    np.testing.assert_allclose(blurring.exact_round(X, rows), expected, atol=1e-10)


def test_the_benchmark_of_blurring_fails_where_a_bar_is_missed(monkeypatch, capsys):
    monkeypatch.setattr(blurring, "uniform", lambda n: data.blobs(600))
    assert blurring.main(["--quick", "--only", "middling"]) == 0
    assert "pass" in capsys.readouterr().out
    monkeypatch.setattr(blurring.ms, "blur", lambda X, h: X + 1e-3)
    assert blurring.main(["--quick", "--only", "middling"]) == 1


@pytest.mark.parametrize("d", [16, 64])
def test_the_batched_rival_of_many_dimensions_ends_at_the_modes(d):
    X, h = high_dimensions.clusters(300, d, high_dimensions.APART)
    X, h = X + np.float32(10.0), 1.5 * h  # so few points need a wider kernel, or climbs are long
    with single_threaded_blas():
        ends = high_dimensions.batched(X, h) * h + X.mean(axis=0)
    exact = textbook.climb(X[::10].astype(float), X[:20].astype(float), h, tol=1e-6)  # another density: a control
    assert np.abs(ends[:20] - exact).max() > 0.1 * h
    exact = textbook.climb(X.astype(float), X[:20].astype(float), h, tol=1e-6)
    assert np.linalg.norm(ends[:20] - exact, axis=1).max() < 0.02 * h


def few_shapes(monkeypatch, tmp_path) -> None:
    shapes = {"mixture": (data.mixture, (1, 2), data.SIDE), "lattice": (data.lattice, (1,), data.SIDE)}
    monkeypatch.setattr(data, "SHAPES", shapes)
    monkeypatch.setattr(certificate, "FEW", 1000)
    monkeypatch.setattr(harness, "RESULTS", tmp_path)


def test_the_benchmark_of_certificates_checks_every_label(monkeypatch, tmp_path, capsys):
    few_shapes(monkeypatch, tmp_path)
    assert certificate.main(["--quick", "--only", "table"]) == 0
    rows = harness.read_rows("certificate-quick")
    assert {"mixture", "lattice"} <= {row["data"] for row in rows}
    for row in rows:
        known = [float(row[key]) for key in ("interior", "boundary", "climbed", "undecided")]
        assert sum(known) == pytest.approx(1.0)
        assert int(row["checked"]) == round(int(row["n"]) * (1.0 - known[3]))
    assert max(float(row["interior"]) for row in rows) > 0.5
    assert "disagree with exact" in capsys.readouterr().out


@pytest.mark.parametrize("d", [1, 2])
def test_a_certified_label_that_is_wrong_is_caught(d):
    X = data.mixture(900, d)
    model = ms.MeanShift(1.0).fit(X)
    assert not certificate.wrong_rows(X, 1.0, model.labels_, model.cluster_centers_).size
    model.labels_[[5, 77]] = (model.labels_[[5, 77]] + 1) % len(model.cluster_centers_)
    assert certificate.wrong_rows(X, 1.0, model.labels_, model.cluster_centers_).tolist() == [5, 77]
    border = np.flatnonzero(model.labels_ == 1)[:40]  # a whole run on the line
    model.labels_[border] = 0
    assert set(border) - {5, 77} <= set(certificate.wrong_rows(X, 1.0, model.labels_, model.cluster_centers_))


def test_the_bars_of_certificates_fail_where_one_label_is_wrong():
    row = {"data": "mixture", "d": 1, "h": 1.0, "n": 10, "interior": 0.9, "boundary": 0.1, "undecided": 0.0}
    good, bad = row | {"checked": 10, "disagree": 0}, row | {"checked": 10, "disagree": 1}
    quick, wrong, few = (
        [bar["result"] for bar in certificate.soundness(rows, quick)]
        for rows, quick in (([good], True), ([good, bad], True), ([good], False))
    )
    assert (quick[0], wrong[0], few[1]) == ("pass", "FAIL", "FAIL")


def test_the_flood_alone_decides_less_than_the_whole_proof():
    X = data.blobs(20_000)
    found = ms.MeanShift(2.5).fit(X).certificate_
    share = certificate.flood_alone(X, 2.5, found.spacing)
    assert 0.5 < share <= (found.interior + found.boundary) / len(X)


@pytest.mark.parametrize("name", data.SHAPES)
def test_shapes_have_their_size(name):
    make, dimensions, side = data.SHAPES[name]
    for d in dimensions:
        X = make(1000, d)
        assert X.dtype == np.float32
        assert X.shape[1] == d
        assert 900 <= len(X) <= 1100
        assert 0.5 * side < np.ptp(X, axis=0).max() < 2.5 * side
    assert len(np.unique(data.repeated(1000, 2), axis=0)) <= 20


def test_errors_fall_with_the_order_of_the_sketch_and_stay_below_their_bounds(monkeypatch, tmp_path):
    monkeypatch.setattr(harness, "RESULTS", tmp_path)
    assert fidelity.main(["--quick"]) == 0
    numbers = ("spacing", "typical_error", "error_over_bound")
    rows = [row | {key: float(row[key] or "nan") for key in numbers} for row in harness.read_rows("fidelity-quick")]
    for sketch, low, high in (("cubic", 3.5, 4.5), ("centroid", 1.5, 3.0)):
        here = [row for row in rows if (row["data"], row["sketch"]) == ("mixture", sketch)]
        assert low < fidelity.slope(here, "typical_error") < high
    wrong = [row | {"largest_error": 1.0, "error_over_bound": 1.5} for row in rows]
    assert {bar["result"] for bar in fidelity.bars(wrong, True) if "bound" in bar["bar"]} == {"FAIL"}


def test_the_step_that_sketches_are_compared_with_is_the_textbooks():
    X = data.mixture(300, 2).astype(np.float64)
    with pytest.warns(RuntimeWarning, match="not at rest"):
        expected = textbook.climb(X, X[:20], 1.5, max_iter=1)
    moved = fidelity.step(X, np.ones(len(X)), 1.5, X[:20]) + X[:20]
    np.testing.assert_allclose(moved, expected, atol=1e-10)


def test_growth_is_fitted_from_the_seconds(monkeypatch):
    rows = [
        {"d": d, "fidelity": name, "n": n, "seconds": 1e-6 * n**power}
        for d, power in ((2, 1.0), (3, 1.2))
        for name in scaling.FIDELITIES
        for n in (1000, 10_000, 100_000)
    ]
    found = list(scaling.bars(rows, False))
    assert [bar["measured"] for bar in found] == pytest.approx([1.0, 1.0, 1.2, 1.2])
    assert [bar["result"] for bar in found] == ["pass", "pass", "FAIL", "FAIL"]
    monkeypatch.setattr(scaling, "BANDWIDTHS", {2: 2.5})
    measured = list(scaling.growth(True, most=10_000))
    assert [row["fidelity"] for row in measured] == ["certified", "fast"]
    assert measured[0]["undecided"] == 0.0


def test_kernels_have_an_exact_answer_of_their_own():
    X = three_blobs(400).astype(np.float32)
    for name, function in kernels.USERS.items():
        h = 4.0
        sample = kernels.exact_sample(X, h, function, 100)
        model = ms.MeanShift(h, kernel=name).fit(X)
        assert sample.agreement(model.labels_, model.cluster_centers_) == 1.0
        other = ms.MeanShift(0.3 * h, kernel=name).fit(X)
        assert sample.agreement(other.labels_, other.cluster_centers_) < 0.9


def test_benchmark_of_kernels_is_whole(monkeypatch):
    monkeypatch.setattr(kernels, "STARTS", 5)
    rows = [*kernels.against_the_gaussian(3000), *kernels.hard(3000), *kernels.against_the_built_in(1500, "on points")]
    assert len(rows) == 12
    assert {row["result"] for row in rows} <= {"pass", "FAIL", ""}
    assert all(0.0 <= row["agreement"] <= 1.0 for row in rows)


def test_the_replacement_is_compared_with_what_it_replaces():
    X = dropin.blobs(120, 2)
    good = dropin.compare("blobs", X, 2.0, ">= 1")
    assert (good["agreement"], good["result"], good["n_iter"]) == (1.0, "pass", good["n_iter_peer"])
    assert good["centres_differ"] < 1e-12
    assert dropin.compare("blobs", X, 2.0, ">= 1e9")["result"] == "FAIL"
    binned = dropin.compare("blobs", X, 2.0, "", bin_seeding=True)
    assert binned["starts"] < len(X)
    assert binned["seconds_from_every_point"] > 0.0
    rows = [{key: "" if value is None else str(value) for key, value in row.items()} for row in (good, binned)]
    assert "| 100 % |" in tables.replacement(rows)
    other = dropin.replacement(bandwidth=1.0).fit(X)
    assert dropin.labels_equal(other, dropin.replacement(bandwidth=2.0).fit(X)) < 1.0
    assert dropin.centres_differ(other, dropin.replacement(bandwidth=2.0).fit(X)) == np.inf


def test_hashing_is_compared_with_exact_search(monkeypatch):
    pytest.importorskip("faiss")
    monkeypatch.setattr(lsh, "BITS", (128,))
    rows = list(lsh.speed(5000, 100, "apart", "sign"))
    assert len(rows) == 2
    assert all(row["agreement"] == 1.0 and row["result"] in ("pass", "FAIL") for row in rows)
    assert all(0.8 < row["recall"] <= 1.0 for row in rows)
    X, Q = lsh.clusters(5000, 100, "apart")
    halves = 0.5 * np.einsum("ij,ij->i", X, X)
    expected = textbook.k_nearest(Q, X, lsh.K)
    found = lsh.tiles(X, Q, halves)
    assert lsh.recall(found, expected[1]) > 0.999
    assert lsh.recall(found[::-1], expected[1]) < 0.1
    assert lsh.distances_differ(X, Q, *expected) < 1e-12
    assert lsh.distances_differ(X, Q, expected[0] * 1.001, expected[1]) > 1e-4


def test_promises_of_recall_are_compared_with_fresh_queries(monkeypatch):
    pytest.importorskip("faiss")
    monkeypatch.setattr(lsh, "DATA", {"apart": lsh.DATA["apart"]})
    monkeypatch.setattr(lsh, "FAMILIES", ("sign",))
    monkeypatch.setattr(lsh, "AIMS", lsh.AIMS[:2])
    rows = list(lsh.promises(1500, 500, 1))
    assert len(rows) == 3
    assert rows[-1]["measured"] == max(abs(row["recall"] - float(row["bar"].split()[-1])) for row in rows[:-1])


def test_the_benchmark_of_neighbors_compares_results_first(monkeypatch):
    X = neighbors.blobs(2500, 3)
    row = neighbors.against("blobs", X, neighbors.ckdtree, ">= 1e-9", rounds=1)
    assert (row["agreement"], row["result"]) == (1.0, "pass")
    assert neighbors.against("blobs", X, neighbors.ckdtree, ">= 1e9", rounds=1)["result"] == "FAIL"
    assert neighbors.against("blobs", X, neighbors.sklearn, ">= 1e-9", rounds=1)["agreement"] == 1.0
    counted = neighbors.counts("uniform", neighbors.uniform(2500, 2), 10, 0.5, ">= 1e-9")
    assert (counted["agreement"], counted["result"]) == (1.0, "pass")
    assert neighbors.counts("uniform", neighbors.uniform(2500, 2), 10, 0.5, ">= 1e9")["result"] == "FAIL"
    distances, rows = neighbors.ours(X)
    monkeypatch.setattr(neighbors, "ours", lambda X: (distances + (rows == 7), np.where(rows == 7, 8, rows)))
    wrong = neighbors.against("blobs", X, neighbors.ckdtree, ">= 1e-9", rounds=1)
    assert wrong["agreement"] < 1.0
    assert wrong["result"] == "FAIL"


def test_the_benchmark_of_k_means_fails_where_a_result_differs(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(harness, "RESULTS", tmp_path)
    monkeypatch.setattr(kmeans, "SIZES", {"few": (80_000, 2, 5, 8.0)})
    assert kmeans.main(["--quick"]) == 0
    rows = harness.read_rows("kmeans_few-quick")
    assert [float(row["agreement"]) for row in rows] == [1.0] * 3
    assert float(harness.read_rows("kmeans_seeds-quick")[0]["agreement"]) == 1.0
    assert {row["agreement"] for row in harness.read_rows("kmeans_small-quick")} == {"1"}
    assert len(harness.read_rows("kmeans_memory-quick")) == 4
    assert "times faster" in capsys.readouterr().out
    assert kmeans.compare("few", "even", 500, 2, 5, ">= 0")["result"] == "pass"
    assert kmeans.compare("few", "even", 500, 2, 5, ">= 1e9")["result"] == "FAIL"
    real = kmeans.ms.KMeans
    monkeypatch.setattr(kmeans.ms, "KMeans", lambda k, **how: real(k, **how | {"max_iter": 3}))
    assert kmeans.compare("few", "even", 500, 2, 5, ">= 0")["result"] == "FAIL"


def test_draws_without_structure_are_counted(monkeypatch):
    monkeypatch.setattr(bandwidth, "DRAWS", {(300, 2): 3})
    assert list(bandwidth.even(True)) == [{"n": 300, "d": 2, "draws": 3, "more_than_one": 0, "most": 1}]
    real = bandwidth.ms.bandwidth_path
    blobs = bandwidth.textbook.make_data()[1]
    monkeypatch.setattr(bandwidth.ms, "bandwidth_path", lambda X: real(blobs))
    assert list(bandwidth.even(True)) == [{"n": 300, "d": 2, "draws": 3, "more_than_one": 3, "most": 6}]


@pytest.mark.parametrize("fidelity", ["fast", "certified"])
def test_the_stages_of_dask_are_told_by_their_names(fidelity):
    row = dask_stages.stages(2, 100_000, fidelity, 1)
    assert row["summed_by"] == "nodes"
    assert all(row[name] > 0.0 for name in ("bounds_ns", "sum_ns", "look_up_ns", "labels_ns"))
    assert (row["open"] > 0.0) == (fidelity == "certified")


def test_the_benchmark_of_dbscan_compares_labels_with_the_definition(monkeypatch):
    pytest.importorskip("dbscan")
    row, other = (compare("uneven", 3000, 2, "") for compare in (dbscan.compare, dbscan.replace))
    assert (row["wrong"], row["result"]) == (0, "")
    assert (other["differ"], other["result"]) == (0, "")
    honest = ms.DBSCAN.fit

    def spoilt(self, X):
        honest(self, X).labels_[self.core_sample_indices_[:5]] += 1
        return self

    monkeypatch.setattr(ms.DBSCAN, "fit", spoilt)
    for compare in (dbscan.compare, dbscan.replace):
        assert compare("uneven", 3000, 2, "")["result"] == "FAIL"


def test_labels_of_another_numbering_are_translated_and_judged_by_the_definition(monkeypatch):
    X = np.array([[0.0], [1.0], [2.0], [9.0], [10.0], [11.0], [50.0]])
    monkeypatch.setattr(dbscan, "LEAST", 3)
    core, ours = np.array([0, 1, 0, 0, 1, 0, 0], bool), np.array([0, 0, 0, 1, 1, 1, -1])
    theirs = np.array([1, 1, 1, 0, 0, 0, -1])
    np.testing.assert_array_equal(dbscan.translated(theirs, ours, core), ours)
    assert (dbscan.translated(np.zeros(7, int), ours, core) == -2).all()
    every = np.arange(7)
    assert dbscan.unlike_the_definition(X, 1.0, every, ours, core, True) == 0
    assert dbscan.unlike_the_definition(X, 1.0, every, np.where(every == 6, 1, ours), core, True) == 1
    assert dbscan.unlike_the_definition(X, 1.0, every, ours, core | (every == 0), True) == 1


def test_the_homework_is_compared_with_its_plain_form_first(monkeypatch):
    pytest.importorskip("dbscan")
    pytest.importorskip("faiss")
    from benchmarks import homework

    monkeypatch.setattr(homework, "ROUNDS", 1)
    contest = homework.density(600)
    rows = list(contest.rows())
    assert [row["agreement"] for row in rows] == [1.0] * 3
    assert rows[0]["result"] == "pass"
    contest.calls["modeseek"] = lambda: np.zeros(600, np.int64)
    assert {row["result"] for row in contest.rows()} == {"FAIL"}
    np.testing.assert_array_equal(homework.renumbered(np.array([2, -1, 0, 2, 5])), [0, -1, 1, 0, 2])
    assert homework.recall(np.array([[1, 2]]), np.array([[2, 7]])) == 0.5
