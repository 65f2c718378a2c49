"""Sketches in files: read back to the bit, merged in any order, and refused when they are damaged or do not fit."""

import contextlib
import os

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import modeseek as ms
from modeseek import streams
from modeseek.engines import archive
from tests.examples import examples
from tests.naive import mixture
from tests.test_cli import assert_one_line, run


def sketch_of(X: np.ndarray, h: float) -> ms.DensitySketch:
    return streams.empty_sketch(h, X.shape[1]).add(X)


@pytest.fixture
def saved(tmp_path):
    X, h = mixture(3000, 2)
    sketch_of(X, h).save(tmp_path / "a.npz")
    return tmp_path / "a.npz"


def changed(path, **arrays):
    """Write the file again with other arrays, and the checksum that they have."""
    content = archive.read(path, "DensitySketch") | arrays
    archive.write(path, {name: value for name, value in content.items() if value is not None})


@examples(20)
@given(st.sampled_from([1, 2, 3]), st.sampled_from([2, 3]), st.integers(0, 300), st.integers(0, 2**32 - 1))
def test_what_was_saved_comes_back(tmp_path_factory, d, degree, n, seed):
    path = tmp_path_factory.mktemp("sketches") / "s.npz"
    sketch = ms.DensitySketch(0.7, spacing=0.3, degree=degree, weight_scale=4.0, origin=np.arange(d) / 3)
    if n:
        sketch.add(np.random.default_rng(seed).normal(size=(n, d)))
    sketch.save(path)
    again = ms.DensitySketch.load(path)
    assert again == sketch
    X = np.ones((3, d))
    assert again.add(X) == sketch.add(X)
    assert repr(again) == repr(sketch)


def test_a_file_has_no_pickle_and_the_usual_rights(saved):
    with np.load(saved, allow_pickle=False) as file:
        assert {file[name].dtype.kind for name in file.files} <= set("ifU")
    fresh = saved.with_name("fresh")
    fresh.touch()
    assert saved.stat().st_mode == fresh.stat().st_mode


def test_sketches_of_other_columns_do_not_merge(saved):
    a, b, c = (ms.DensitySketch.load(saved) for _ in range(3))
    a.columns, b.columns = ("x", "y"), ("x", "z")
    for verb in (a.merge, a.subtract):
        with pytest.raises(ValueError, match=r"sketches of different columns: x, y and x, z\."):
            verb(b)
    a.save(saved)
    again = ms.DensitySketch.load(saved)
    assert again.columns == ("x", "y")
    assert again == a
    assert c.merge(again).columns == ("x", "y")  # what has no names takes any
    assert b.copy().columns == b.trimmed().columns == b.shrunk().columns == ("x", "z")


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 0.999])
def test_a_file_that_was_cut_off_is_refused(saved, share):
    whole = saved.read_bytes()
    saved.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(ValueError, match=r"a\.npz is not a DensitySketch file, or is damaged"):
        ms.DensitySketch.load(saved)


def test_every_changed_byte_is_seen(saved):
    whole, sketch = saved.read_bytes(), ms.DensitySketch.load(saved)
    rng = np.random.default_rng(0)
    refused = 0
    for position in rng.integers(0, len(whole), 200):
        broken = bytearray(whole)
        broken[position] ^= 1 << rng.integers(0, 8)
        saved.write_bytes(broken)
        again = None
        with contextlib.suppress(ValueError):
            again = ms.DensitySketch.load(saved)
        refused += again is None
        assert again is None or again == sketch  # dates and the like in the directory of the archive mean nothing
    assert refused > 100


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"version": 3}, "format version 3, this modeseek reads 1 and 2"),
        ({"version": None}, "is not a DensitySketch file: it holds"),
        ({"masses": None}, "lacks 'masses'"),
        ({"bandwidth": -1.0}, "bandwidth must be a finite number above 0"),
        ({"spacing": 7.0}, "spacing must be at most 1"),
        ({"degree": 5}, "degree must be 2 or 3"),
        ({"origin": np.zeros(3)}, "none of 3 columns"),
        ({"masses": np.ones((4, 4))}, "masses of type float64"),
        ({"masses": -np.ones((4, 4), np.int64)}, "masses of type int64"),
    ],
)
def test_what_is_no_sketch_is_said(saved, arrays, words):
    changed(saved, **arrays)
    with pytest.raises(ValueError, match=words) as caught:
        ms.DensitySketch.load(saved)
    assert str(saved) in str(caught.value)


@pytest.mark.parametrize("name", ["bandwidth", "masses"])
def test_a_changed_number_with_the_old_checksum_is_seen(saved, name):
    with np.load(saved) as file:
        content = {name: file[name] for name in file.files}
    content[name].reshape(-1)[-1] += 1  # the last of many, too
    np.savez(saved, **content)
    with pytest.raises(ValueError, match=r"a\.npz is damaged: .* checksum"):
        ms.DensitySketch.load(saved)


def test_files_of_the_first_version_are_read(saved):
    sketch, content = ms.DensitySketch.load(saved), archive.read(saved, "DensitySketch")
    del content["rounding"]
    np.savez_compressed(saved, **{**content, "version": 1})
    assert ms.DensitySketch.load(saved) == sketch


def test_other_files_are_no_sketches(tmp_path):
    for name, write in (
        ("a.npy", lambda path: np.save(path, np.ones(3))),
        ("b.npz", lambda path: np.savez(path, x=np.ones(3))),
        ("c.npz", lambda path: path.write_bytes(b"")),
        ("d.npz", lambda path: np.savez(path, version=np.array([{}], object))),
    ):
        write(tmp_path / name)
        with pytest.raises(ValueError, match=f"{name} is not a DensitySketch file"):
            ms.DensitySketch.load(tmp_path / name)
    with pytest.raises(FileNotFoundError):
        ms.DensitySketch.load(tmp_path / "nowhere.npz")


def test_a_failure_leaves_the_old_file_and_nothing_else(saved, monkeypatch):
    before = saved.read_bytes()
    monkeypatch.setattr(os, "replace", lambda *names: (_ for _ in ()).throw(OSError("no space left")))
    with pytest.raises(OSError, match="no space"):
        ms.DensitySketch(1.0).add([[0.0]]).save(saved)
    assert saved.read_bytes() == before
    assert [path.name for path in saved.parent.iterdir()] == ["a.npz"]


# ---- the command line ---------------------------------------------------------------------------------------------


@pytest.fixture
def tables(tmp_path):
    """Three tables of a mixture, in different formats; the whole, and its bandwidth."""
    X, h = mixture(3000, 2)
    frame = pd.DataFrame(X.astype(float), columns=["x", "y"]).assign(w=np.arange(3000) % 3 + 1.0, name="a")
    paths = [tmp_path / "a.csv", tmp_path / "b.parquet", tmp_path / "c.csv"]
    for path, part in zip(paths, (frame[:900], frame[900:1000], frame[1000:]), strict=True):
        part.to_csv(path, index=False) if path.suffix == ".csv" else part.to_parquet(path)
    frame.to_csv(tmp_path / "all.csv", index=False)
    return paths, frame, h


@pytest.mark.parametrize("weights", [False, True])
def test_sketches_made_apart_and_merged_are_one_and_label_rows(tables, tmp_path, weights):
    paths, frame, h = tables
    options = ["-b", h, "--columns", "x,y", *(["--weights", "w"] if weights else [])]
    for k, path in enumerate(paths):
        assert run("sketch", path, "-o", tmp_path / f"{k}.npz", *options).exit_code == 0
    result = run("sketch", *paths, "-o", tmp_path / "all.npz", *options)
    assert result.exit_code == 0, result.stderr
    assert "3,000" in result.stdout
    merged = run("merge", *(tmp_path / f"{k}.npz" for k in (2, 0, 1)), "-o", tmp_path / "merged.npz")
    assert merged.exit_code == 0, merged.stderr
    whole = ms.DensitySketch.load(tmp_path / "merged.npz")
    assert whole == ms.DensitySketch.load(tmp_path / "all.npz")
    X, w = frame[["x", "y"]].to_numpy(), frame["w"].to_numpy() if weights else None
    stream = ms.MeanShift(h).partial_fit(X, sample_weight=w)
    assert whole == stream.sketch_

    out = tmp_path / "out.csv"
    result = run("cluster", tmp_path / "all.csv", "-o", out, "--columns", "x,y", "--sketch", tmp_path / "merged.npz")
    assert result.exit_code == 0, result.stderr
    np.testing.assert_array_equal(pd.read_csv(out)["label"], stream.predict(X))
    assert "merged.npz" in result.stdout


def test_sketches_that_do_not_fit_are_named(tables, tmp_path):
    paths, _, h = tables
    plain = {
        "a": ["-b", h, "--columns", "x,y"],
        "b": ["-b", 2 * h, "--columns", "x,y"],
        "c": ["-b", h, "--columns", "x"],
    }
    for name, options in plain.items():
        assert run("sketch", paths[0], "-o", tmp_path / f"{name}.npz", "-q", *options).exit_code == 0
    out = tmp_path / "out.npz"
    for other, words in (("b", "different bandwidth: "), ("c", "different spacing: 0.25 and 0.125")):
        result = run("merge", tmp_path / "a.npz", tmp_path / f"{other}.npz", "-o", out, "-q")
        assert_one_line(result, rf"{other}\.npz does not fit .*a\.npz: Cannot merge sketches of {words}")
    (tmp_path / "b.npz").write_bytes((tmp_path / "b.npz").read_bytes()[:-40])
    assert_one_line(run("merge", tmp_path / "a.npz", tmp_path / "b.npz", "-o", out, "-q"), r"b\.npz is not a Dens")
    assert_one_line(run("merge", tmp_path / "gone.npz", "-o", out, "-q"), r"gone\.npz")
    assert not out.exists()


def test_sketches_know_their_columns(tables, tmp_path):
    paths, frame, h = tables
    np.save(tmp_path / "t.npy", frame[["x", "y"]].to_numpy()[:900])
    for name, path, options in (("xy", paths[0], ["--columns", "x,y"]), ("xw", paths[0], ["--columns", "x,w"]),
                                ("npy", tmp_path / "t.npy", [])):  # fmt: skip
        assert run("sketch", path, "-o", tmp_path / f"{name}.npz", "-b", h, "-q", *options).exit_code == 0
    assert ms.DensitySketch.load(tmp_path / "xy.npz").columns == ("x", "y")
    assert ms.DensitySketch.load(tmp_path / "npy.npz").columns is None
    out = tmp_path / "out.npz"
    result = run("merge", tmp_path / "xy.npz", tmp_path / "xw.npz", "-o", out, "-q")
    assert_one_line(result, r"xw\.npz does not fit .*xy\.npz: .* different columns: x, y and x, w")
    assert not out.exists()
    assert run("merge", tmp_path / "npy.npz", tmp_path / "xy.npz", "-o", out, "-q").exit_code == 0
    rows = ["cluster", paths[0], "-o", tmp_path / "l.csv", "--sketch", out, "-q", "--columns"]
    assert_one_line(run(*rows, "x,w"), r"out\.npz is of the columns x, y, but x, w are chosen: see --columns")
    assert run(*rows, "x,y").exit_code == 0


def test_what_cannot_be_sketched_is_said(tables, tmp_path):
    paths, frame, h = tables
    out = tmp_path / "out.npz"
    assert_one_line(run("sketch", paths[0], "-o", tmp_path / "a.csv", "-b", h, "-q"), "must end in .npz")
    assert_one_line(run("sketch", paths[0], "-o", tmp_path / "no" / "a.npz", "-b", h, "-q"), "no directory")
    assert_one_line(run("sketch", paths[0], "-o", out, "-b", -1, "-q"), "bandwidth must be a finite number above 0")
    assert_one_line(run("sketch", paths[0], "-o", out, "-b", 1e-9, "--columns", "x,y", "-q"), r"a\.csv: .* nodes")
    frame.assign(z=1.0, v=2.0).to_csv(paths[2], index=False)
    assert_one_line(run("sketch", paths[2], "-o", out, "-b", h, "-q"), "up to three columns")
    assert_one_line(
        run("sketch", *paths, "-o", out, "-b", h, "-q"), r"c\.csv has the columns x, y, w, z, v, but .*a\.csv"
    )
    assert not out.exists()
    assert run("sketch", paths[0], "-o", out, "-b", h, "--columns", "x,y", "-q").exit_code == 0
    rows = ["cluster", paths[0], "-o", tmp_path / "l.csv", "--sketch", out, "-q"]
    assert_one_line(run(*rows), r"out\.npz is of 2 columns, but 3 are chosen")
    assert_one_line(run(*rows, "--columns", "x,y", "-b", 77), r"out\.npz: bandwidth=77.0, but the sketch was made for")
    for option in (["--kernel", "flat"], ["--standardize"], ["--audit", 10], ["--weights", "w"]):
        assert_one_line(run(*rows, "--columns", "x,y", *option), f"{option[0]} does not go with --sketch")
