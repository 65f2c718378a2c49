"""Kernels, metrics, bandwidths and weights on the command line: what the library does, or one line that says no."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.cluster import MeanShift as ScikitLearn

import modeseek as ms
from modeseek.bandwidth import METHODS
from modeseek.cli import app, table
from modeseek.kernels import KERNELS
from modeseek.varying import RULES
from tests.test_cli import assert_one_line, run


@pytest.fixture
def points(tmp_path) -> Path:
    """Three clouds of points, stretched along the first column, with whole weights."""
    rng = np.random.default_rng(0)
    X = np.array([[0.0, 0.0], [40.0, 2.0], [20.0, 8.0]])[rng.integers(0, 3, 240)] + rng.normal(size=(240, 2)) * [5, 1]
    path = tmp_path / "points.csv"
    pd.DataFrame({"x": X[:, 0], "name": "p", "count": rng.integers(1, 4, 240), "y": X[:, 1]}).to_csv(path, index=False)
    return path


@pytest.fixture
def places(tmp_path) -> Path:
    """Two groups of places in degrees, one on both sides of the date line."""
    rng = np.random.default_rng(1)
    latitude = np.r_[rng.normal(10, 2, 60), rng.normal(50, 2, 40)]
    longitude = np.r_[180 + rng.normal(0, 3, 60), rng.normal(10, 3, 40)]
    path = tmp_path / "places.csv"
    pd.DataFrame({"lat": latitude, "lon": (longitude + 180) % 360 - 180}).to_csv(path, index=False)
    return path


def cluster(path: Path, *options: object):
    """Return the labels of a table, and what is printed: on one line, where blanks are single."""
    out = path.with_name("out.csv")
    result = run("cluster", path, "-o", out, *options)
    assert result.exit_code == 0, result.stderr
    return pd.read_csv(out)["label"].to_numpy(), " ".join(result.stdout.split())


def xy(path: Path, *columns: str) -> np.ndarray:
    return pd.read_csv(path)[list(columns or ("x", "y"))].to_numpy()


def test_names_are_those_of_the_library():
    assert [kernel.value for kernel in app.Kernel] == list(KERNELS)
    assert table.RULES == RULES
    assert table.METHODS == METHODS
    for name, choices in (("metric", app.Metric), ("assign", app.Assign), ("fidelity", app.Fidelity)):
        (constraint,) = ms.MeanShift._parameter_constraints[name]
        assert {choice.value for choice in choices} == constraint.options


@pytest.mark.parametrize("kernel", KERNELS)
def test_kernels(points, kernel):
    labels, printed = cluster(points, "--columns", "x,y", "-b", 6, "--kernel", kernel)
    np.testing.assert_array_equal(labels, ms.MeanShift(6.0, kernel=kernel).fit(xy(points)).labels_)
    assert "kernel gaussian" not in printed
    assert (f"kernel {kernel} " in printed) == (kernel != "gaussian")


@pytest.mark.parametrize("seeding", [[], ["--bin-seeding"]])
def test_what_scikit_learn_finds(points, seeding):
    options = ["--columns", "x,y", "-b", 8, "--kernel", "flat", "--assign", "nearest"]
    labels, printed = cluster(points, *options, *seeding)
    np.testing.assert_array_equal(labels, ScikitLearn(bandwidth=8.0, bin_seeding=bool(seeding)).fit(xy(points)).labels_)
    assert "kernel flat assign nearest" in printed


def test_a_bandwidth_for_each_column(points):
    labels, printed = cluster(points, "--columns", "x,y", "-b", "5, 1.5")
    np.testing.assert_array_equal(labels, ms.MeanShift([5.0, 1.5]).fit(xy(points)).labels_)
    assert not np.array_equal(labels, ms.MeanShift(5.0).fit(xy(points)).labels_)
    assert re.search(r"bandwidth 5, 1\.5 ", printed)


@pytest.mark.parametrize("rule", RULES)
def test_a_bandwidth_for_each_row_by_a_rule(points, rule):
    labels, printed = cluster(points, "--columns", "x,y", "-b", rule)
    model = ms.MeanShift(rule).fit(xy(points))
    np.testing.assert_array_equal(labels, model.labels_)
    low, high = model.bandwidth_.min(), model.bandwidth_.max()
    assert f"bandwidth {low:.6g} to {high:.6g}, one per row ({rule})" in printed


@pytest.mark.parametrize("columns", [[], ["--columns", "x,y"]])
@pytest.mark.parametrize("weights", ["count", "2"])
def test_weights(points, columns, weights):
    labels, printed = cluster(points, "-b", 3, "--weights", weights, *columns, "--audit", 500)
    counts = pd.read_csv(points)["count"]
    model = ms.MeanShift(3.0).fit(xy(points), sample_weight=counts)
    np.testing.assert_array_equal(labels, model.labels_)
    assert "columns x, y weights count left out name clusters" in printed
    assert "0 of all 240 points disagree" in printed
    assert f"{model.cluster_centers_[0][0]:.5g}" in printed
    assert f"{ms.MeanShift(3.0).fit(xy(points)).cluster_centers_[0][0]:.5g}" not in printed


def test_weights_of_a_npy_table(tmp_path):
    X = np.array([[0.0, 1.0], [0.1, 1.0], [9.0, 5.0]])
    np.save(tmp_path / "t.npy", X)
    run("cluster", tmp_path / "t.npy", "-o", tmp_path / "o.npy", "-b", 1, "--weights", "x1")
    np.testing.assert_array_equal(np.load(tmp_path / "o.npy"), [1, 1, 0])


def test_cosine(points):
    labels, printed = cluster(points, "--columns", "x,y", "-b", 0.3, "--metric", "cosine")
    np.testing.assert_array_equal(labels, ms.MeanShift(0.3, metric="cosine").fit(xy(points)).labels_)
    assert "metric cosine" in printed


def test_degrees_are_radians_there_and_back(places):
    options = ["--metric", "haversine", "--audit", 100]
    labels, printed = cluster(places, *options, "--degrees", "-b", 5)
    model = ms.MeanShift(np.radians(5.0), metric="haversine").fit(np.radians(xy(places, "lat", "lon")))
    np.testing.assert_array_equal(labels, model.labels_)
    assert labels.tolist() == [0] * 60 + [1] * 40
    assert "bandwidth 5 metric haversine units degrees" in printed
    for center in np.degrees(model.cluster_centers_):
        assert f"{center[0]:.5g} {center[1]:.5g}" in printed
    assert "0 of all 100 points disagree" in printed
    pd.DataFrame(np.radians(xy(places, "lat", "lon"))).to_csv(places, index=False, header=["lat", "lon"])
    same, printed = cluster(places, *options, "-b", np.radians(5.0))
    np.testing.assert_array_equal(same, labels)
    assert "units" not in printed


def test_an_automatic_bandwidth_in_degrees(places):
    _, printed = cluster(places, "--metric", "haversine", "--degrees")
    h = np.degrees(ms.MeanShift("auto", metric="haversine").fit(np.radians(xy(places, "lat", "lon"))).bandwidth_)
    assert f"bandwidth {h:.6g} (chosen automatically)" in printed


def test_longitudes_taken_for_latitudes_are_one_line(places, tmp_path):
    options = ["--metric", "haversine", "--degrees", "--columns", "lon,lat"]
    message = r"latitude -?\d+\.?\d* in row 1 of the data .* is not between -90 and 90 degrees \(60 such in all\)"
    assert_one_line(run("cluster", places, "-o", tmp_path / "out.csv", *options), message)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--metric", "haversine", "--standardize"], r"--standardize does not go with --metric haversine"),
        (["--degrees"], r"--degrees is of use with --metric haversine"),
        (["--metric", "haversine"], r"[Ll]atitude .*radians"),
        (["--metric", "haversine", "--columns", "x,y,count"], r"two columns"),
        (["--metric", "cosine", "--kernel", "flat"], r"kernel='flat' works with .*not with angles"),
        (["--assign", "nearest"], r'needs kernel="flat"'),
        (["--bin-seeding"], r'bin_seeding is of use with assign="nearest"'),
        (["--kernel", "flat", "--assign", "nearest", "--min-cluster-size", 3], r"min_cluster_size"),
        (["--kernel", "flat", "--assign", "nearest", "--audit", 10], r"--audit checks .*not --assign nearest"),
        (["-b", "abramson", "--audit", 10], r"--audit checks fits of one bandwidth"),
        (["-b", "abramson", "--kernel", "flat"], r"one bandwidth per point"),
        (["-b", "1,2,3"], r"--bandwidth has 3 numbers, one for each column, but these are 2: x, y"),
        (["-b", "1,-2"], r"bandwidth must be finite and above 0"),
        (["-b", "1,2", "--metric", "cosine"], r"takes one number"),
        (["--weights", "cuont"], r"no column 'cuont'; did you mean 'count'"),
        (["--weights", "name"], r"column 'name' is not numeric"),
        (["--weights", "x"], r"column 'x' cannot be chosen: it has another use"),
    ],
)
def test_what_does_not_go_together_is_one_line(points, tmp_path, options, message):
    columns = [] if "--columns" in options else ["--columns", "x,y"]
    assert_one_line(run("cluster", points, "-o", tmp_path / "out.csv", *columns, *options), message)
    assert not (tmp_path / "out.csv").exists()


def test_bad_weights_are_one_line(tmp_path):
    for weights, message in (([1, -1], "sample_weight must be finite and at least 0"), ([0, 0], "is zero")):
        pd.DataFrame({"x": [1.0, 2.0], "w": weights}).to_csv(tmp_path / "t.csv", index=False)
        assert_one_line(run("cluster", tmp_path / "t.csv", "-o", tmp_path / "o.csv", "--weights", "w"), message)
    pd.DataFrame({"w": [1.0, 2.0], "name": "a"}).to_csv(tmp_path / "t.csv", index=False)
    assert_one_line(run("cluster", tmp_path / "t.csv", "-o", tmp_path / "o.csv", "--weights", "w"), "no other numeric")


@pytest.mark.parametrize(
    "options",
    [["--kernel", "round"], ["--metric", "manhattan"], ["--assign", "farthest"], ["-b", "1,wide"], ["-b", "1,"]],
)
def test_unknown_names_are_wrong_usage(points, tmp_path, options):
    assert run("cluster", points, "-o", tmp_path / "out.csv", *options).exit_code == 2


def test_audits_know_kernels(points):
    _, printed = cluster(points, "--columns", "x,y", "-b", 8, "--kernel", "epanechnikov", "--audit", 300)
    assert "0 of all 240 points disagree with exact mean shift" in printed


# ----------------------------------------------------------------------------------------------------- bandwidth


def test_the_bandwidth_command_says_what_the_path_chooses(points, tmp_path):
    picture = tmp_path / "scales.png"
    result = run("bandwidth", points, "--columns", "x,y", "--plot", picture)
    assert result.exit_code == 0, result.stderr
    path = ms.bandwidth_path(xy(points))
    words = " ".join(result.stdout.split())
    assert f"bandwidth {path.bandwidth:.6g}" in words
    assert "chosen" in words
    assert picture.stat().st_size > 10_000
    quiet = run("bandwidth", points, "--columns", "x,y", "-q")
    assert quiet.stdout.strip() == f"{path.bandwidth:.6g}"
    assert not quiet.stderr
    scaled = run("bandwidth", points, "--columns", "x,y", "-q", "--standardize")
    X = xy(points)
    assert float(scaled.stdout) == pytest.approx(
        ms.bandwidth_path((X - X.mean(axis=0)) / X.std(axis=0)).bandwidth, rel=1e-5
    )


def test_a_rule_by_name(points):
    labels, words = cluster(points, "--columns", "x,y", "-b", "plugin")
    h = ms.estimate_bandwidth(xy(points), method="plugin")
    assert f"bandwidth {h:.6g} (plugin)" in words
    np.testing.assert_array_equal(labels, ms.MeanShift(h).fit(xy(points)).labels_)


def test_the_bandwidth_command_refuses_in_one_line(points, tmp_path):
    assert_one_line(run("bandwidth", tmp_path / "missing.csv"), "missing.csv")
    assert_one_line(run("bandwidth", points, "--columns", "x,z"), "z")
    assert_one_line(run("bandwidth", points, "--columns", "x,y", "--plot", tmp_path / "scales.xyz"), "xyz")


def test_a_device_works_as_the_cpu_does(points, tmp_path):
    torch = pytest.importorskip("torch")
    labels, _ = cluster(points, "--columns", "x,y", "-b", "5")
    there, said = cluster(points, "--columns", "x,y", "-b", "5", "--device", "torch", "--audit", "100")
    np.testing.assert_array_equal(there, labels)
    assert "0 of 100 sampled points disagree" in said
    assert_one_line(run("cluster", points, "-o", tmp_path / "out.csv", "--device", "gpu"), "one of auto, cpu, cuda")
    if not torch.cuda.is_available():
        refused = run("cluster", tmp_path / "not looked for.csv", "-o", tmp_path / "out.csv", "--device", "cuda")
        assert_one_line(refused, "device='cuda' asks for a device that Torch .* does not find")
