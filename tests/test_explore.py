"""The page to explore, without a browser: labels, statistics, colours, packing, and what is refused."""

import base64
import doctest
import json
import re
import sys
import zlib

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

import modeseek as ms
from modeseek.cli.app import app
from modeseek.plotting import explorer
from modeseek.plotting.explorer.census import census, sums_of
from modeseek.plotting.explorer.clusterings import cluster_at_all
from modeseek.plotting.explorer.figures import library
from modeseek.plotting.explorer.packing import packed, quantised, smallest
from modeseek.plotting.explorer.shades import lasting_colors


def blobs(n, d=2, seed=0):
    rng = np.random.default_rng(seed)
    centres = rng.uniform(-20, 20, (6, d))
    return centres[rng.integers(0, 6, n)] + 2.0 * rng.normal(size=(n, d))


def content_of(page):
    text = re.search(r'<script id="content" type="application/json">(.*?)</script>', page, re.DOTALL)[1]
    return json.loads(text)


def unpacked(part):
    dtype = np.dtype(part["type"])
    planes = np.frombuffer(zlib.decompress(base64.b64decode(part["data"])), np.uint8).reshape(dtype.itemsize, -1)
    return np.ascontiguousarray(planes.T).view(dtype).ravel()


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "uint32", "float64"])
def test_packing_comes_back_to_the_bit(dtype):
    values = (np.random.default_rng(0).normal(size=(7, 5)) * 100).astype(np.int64).astype(np.uint64).astype(dtype)
    part = packed(values)
    np.testing.assert_array_equal(unpacked(part), values.ravel())
    assert part["length"] == values.size


def test_smallest_type():
    assert [smallest(np.array([top])).dtype.name for top in (255, 256, 70_000)] == ["uint8", "uint16", "uint32"]


def test_quantised_coordinates_are_half_a_step_off_at_most():
    for column in (
        np.random.default_rng(0).normal(size=500),
        np.array([-1e140, 0.0, 1e140]),
        np.array([1.7e9, 1.7e9 + 1]),
    ):
        q, low, high = quantised(column)
        step = high / 65535 - low / 65535
        assert (np.abs(low + q * step - column) <= 0.5001 * step + np.spacing(np.abs(column).max()) * 4).all()
    q, low, high = quantised(np.full(4, 7.0))
    assert low == high == 7.0
    assert not q.any()


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("standardize", [False, True])
def test_labels_are_those_of_mean_shift(weighted, standardize):
    X = blobs(800) * [1.0, 5.0]
    weights = np.random.default_rng(1).uniform(0.5, 2.0, 800) if weighted else None
    page = ms.plot.explore(X, sample_weight=weights, standardize=standardize)
    assert page.bandwidths[page.start] == page.path.bandwidth
    assert set(page.path.bandwidths) <= set(page.bandwidths)
    for stop in range(0, len(page.bandwidths), 5):
        model = ms.MeanShift(page.bandwidths[stop], standardize=standardize).fit(X, sample_weight=weights)
        np.testing.assert_array_equal(page.labels(stop), model.labels_)


def test_the_page_holds_the_labels():
    X = blobs(700)
    page = ms.plot.explore(X)
    data = content_of(page.html())["data"]
    codes, histories = unpacked(data["codes"]), unpacked(data["histories"]).reshape(len(page.bandwidths), -1)
    for stop in range(len(page.bandwidths)):
        np.testing.assert_array_equal(histories[stop][codes], page.labels(stop))


def test_statistics_are_those_of_numpy():
    X, weights = blobs(900, 3) + 1e6, np.random.default_rng(0).integers(1, 4, 900).astype(float)
    found = cluster_at_all(X, weights, np.array([1.0, 2.0, 6.0]), False, "certified", None, None)
    sums = sums_of(X, weights, found)
    for stop in range(len(found.bandwidths)):
        labels, told = found.labels(stop), census(found, sums, stop, 50)
        np.testing.assert_array_equal(told.counts, np.bincount(labels))
        np.testing.assert_allclose(told.weights, found.weights[stop])
        for k in range(len(told.means)):
            rows = np.repeat(X[labels == k], weights[labels == k].astype(int), axis=0)
            np.testing.assert_allclose(told.means[k], rows.mean(axis=0))
            np.testing.assert_allclose(told.deviations[k], rows.std(axis=0), atol=1e-6)


def test_a_cluster_keeps_its_colour():
    X = blobs(2000)
    found = cluster_at_all(X, None, None, False, "certified", None, None)
    colors = lasting_colors(found, np.bincount(found.codes).astype(float))
    for finer in range(len(colors) - 1):
        here, there = found.labels(finer), found.labels(finer + 1)
        if here.max() == there.max():  # none has merged: all points stay in their colours, but those at borders
            assert (colors[finer][here] == colors[finer + 1][there]).mean() > 0.97
        else:
            survivors = np.isin(colors[finer + 1], colors[finer])
            assert survivors.mean() > 0.9
    for at in colors:
        if len(at) <= 24:
            assert len(np.unique(at)) == len(at)


def test_the_example_runs():
    result = doctest.testmod(explorer)
    assert result.attempted > 3
    assert not result.failed


def test_same_input_same_page():
    X = blobs(300)
    assert ms.plot.explore(X, n_jobs=1).html() == ms.plot.explore(X, n_jobs=2).html()


def test_everything_is_escaped_and_nothing_leads_out():
    nasty = "</script><b>&\"'${x}"
    X = pd.DataFrame(blobs(50), columns=[nasty, "plain"])
    page = ms.plot.explore(X, [1.0, 4.0], title=nasty).html(footer=nasty, sections=["<p>piece</p>"], style=".a{}")
    page = page.replace(library(), "")
    assert len(page) < 100_000
    assert "<b>" not in page
    assert "<p>piece</p>" in page
    assert ".a{}" in page
    assert content_of(page)["data"]["names"] == [nasty, "plain"]
    assert "default-src 'none'" in page
    assert not re.search(r"<(?:script|img|link|iframe)[^>]*(?:src|href)=", page)


@pytest.mark.parametrize(
    "X",
    [
        np.array([[1.0, 2.0]]),
        blobs(50),
        np.repeat(blobs(5), 20, axis=0),
        np.column_stack([blobs(40), np.full(40, 3.0)]),
        np.full((20, 2), 4.0),
        blobs(60, 1),
        blobs(60, 1).ravel(),
        blobs(80, 7),
        blobs(50).astype(np.float32),
        (blobs(50) * 3).astype(int),
        blobs(50).tolist(),
    ],
    ids=["one row", "few", "repeated", "constant column", "one place", "one column", "flat", "many columns", "float32",
         "integers", "lists"],
)  # fmt: skip
def test_all_kinds_of_data(X):
    page = ms.plot.explore(X)
    data = content_of(page.html())["data"]
    assert data["n"] == len(X)
    assert np.isfinite(unpacked(data["means"])).all()
    assert [int(page.labels(i).max()) + 1 for i in range(len(page.bandwidths))] == data["sizes"]
    assert "iframe" in page._repr_html_()


def test_many_rows_are_drawn_in_part(monkeypatch):
    from modeseek.plotting.explorer import exploration

    monkeypatch.setattr(exploration, "MOST_DRAWN", 500)
    X = blobs(1000)
    page = ms.plot.explore(X, [2.0, 5.0])
    data = content_of(page.html())["data"]
    assert data["drawn"] == 250
    assert len(unpacked(data["codes"])) == 1000
    x = data["lows"][0] + unpacked(data["coordinates"])[:250] * (data["highs"][0] - data["lows"][0]) / 65535
    np.testing.assert_allclose(x, X[2::4, 0], atol=1e-3)
    assert "250 of the 1,000 rows are drawn" in page.html()


@pytest.mark.parametrize(
    ("X", "options", "message"),
    [
        ([[1.0, np.nan], [2.0, 3.0]], {}, "NaN or infinity, the first in row 0, column 1"),
        (np.empty((0, 2)), {}, "empty"),
        (blobs(20), {"names": ["a"]}, "names has 1 names, but X has 2 columns"),
        (blobs(20), {"fidelity": "guessed"}, "certified, fast, exact"),
        (blobs(20), {"bandwidths": [2.0, 1.0]}, "ascending"),
        (blobs(20), {"sample_weight": np.ones(3)}, r"shape \(20,\)"),
    ],
)
def test_what_is_refused(X, options, message):
    with pytest.raises(ValueError, match=message):
        ms.plot.explore(X, **options)


def test_without_bokeh(monkeypatch):
    monkeypatch.setitem(sys.modules, "bokeh", None)
    with pytest.raises(ImportError, match=r"pip install 'modeseek\[explore\]'"):
        ms.plot.explore(blobs(20))


def test_an_import_needs_no_bokeh():
    import subprocess

    code = (
        "import sys, modeseek; modeseek.plot.explore; sys.exit('bokeh' in sys.modules or 'matplotlib' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# ------------------------------------------------------------------------------------------- the command line


def run(*args):
    return CliRunner().invoke(app, [str(arg) for arg in args], env={"COLUMNS": "120"})


def test_command_line(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    frame = pd.DataFrame(blobs(300), columns=["east", "north"]).assign(count=2, name="x")
    frame.to_csv("points.csv", index=False)
    result = run("explore", "points.csv", "--columns", "east,north", "--weights", "count", "--title", "Places")
    assert result.exit_code == 0, result.stderr
    assert "starts at" in result.stdout
    expected = ms.plot.explore(frame[["east", "north"]], sample_weight=frame["count"], title="Places")
    assert (tmp_path / "points.html").read_text(encoding="utf-8") == expected.html()
    assert run("explore", "points.csv", "-o", "b.html", "-q", "--standardize", "--columns", "east").stdout == ""
    assert content_of((tmp_path / "b.html").read_text(encoding="utf-8"))["data"]["names"] == ["east"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["-o", "page.txt"], "must end in .html"),
        (["-o", "none/page.html"], "no directory"),
        (["--columns", "z"], "'z'"),
    ],
)
def test_command_line_refuses(tmp_path, monkeypatch, options, message):
    monkeypatch.chdir(tmp_path)
    pd.DataFrame(blobs(30), columns=["a", "b"]).to_csv("t.csv", index=False)
    result = run("explore", "t.csv", *options)
    assert result.exit_code == 1
    assert message in result.stderr
    assert not list(tmp_path.glob("*.html"))
