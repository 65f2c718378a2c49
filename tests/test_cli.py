"""The command line: what it writes, what it prints, and one clear line for everything that can be wrong."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.datasets import load_iris, load_sample_images
from sklearn.preprocessing import StandardScaler
from typer.testing import CliRunner

import modeseek as ms
from modeseek.cli.app import app
from modeseek.cli.stages import COMPILING, Stages

PETALS = ["petal length (cm)", "petal width (cm)"]


@pytest.fixture
def iris(tmp_path) -> Path:
    data = load_iris(as_frame=True)
    path = tmp_path / "iris.csv"
    data.data.assign(species=data.target_names[data.target]).to_csv(path, index=False)
    return path


def run(*args: object):
    return CliRunner().invoke(app, [str(arg) for arg in args], env={"COLUMNS": "120"})


def shell(*args: object, **options):
    command = [sys.executable, "-m", "modeseek.cli", *map(str, args)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, **options)


def assert_one_line(result, message: str) -> None:
    """The command failed with exit code 1 and one line, which says what is wrong."""
    complaints = [line for line in result.stderr.splitlines() if line.startswith("modeseek: error: ")]
    assert len(complaints) == 1
    assert re.search(message, complaints[0])
    assert "Traceback" not in result.stderr
    assert result.stdout == ""
    assert getattr(result, "exit_code", getattr(result, "returncode", None)) == 1


# ------------------------------------------------------------------------------------------------- cluster


def test_labels_are_those_of_the_library(iris, tmp_path):
    result = run("cluster", iris, "-o", tmp_path / "out.csv", "--columns", ",".join(PETALS), "-b", "0.25")
    assert result.exit_code == 0, result.stderr
    before, after = pd.read_csv(iris), pd.read_csv(tmp_path / "out.csv")
    model = ms.MeanShift(0.25).fit(before[PETALS].to_numpy())
    pd.testing.assert_frame_equal(after, before.assign(label=model.labels_), check_dtype=False)
    assert result.stderr.splitlines()[0] == f"reading {iris}"


def test_summary_says_what_was_done(iris, tmp_path):
    result = run("cluster", iris, "-o", tmp_path / "out.csv", "--columns", "2,3", "-b", "0.25")
    printed = result.stdout
    assert re.search(r"rows +150\n", re.sub(r" +\n", "\n", printed))
    assert "petal length (cm), petal width (cm)" in printed
    assert "sepal length (cm), sepal width (cm), species" in printed  # left out
    assert re.search(r"bandwidth +0\.25", printed)
    assert re.search(r"read [\d.]+ s, load [\d.]+ s, fit [\d.]+ s, write [\d.]+ s", printed)
    assert re.search(r"peak memory +[\d,]+ MiB", printed)
    model = ms.MeanShift(0.25).fit(pd.read_csv(iris)[PETALS].to_numpy())
    center, count = model.cluster_centers_[0], np.bincount(model.labels_)[0]
    assert re.search(rf"0 +{count} +{count / 150:.1%} +{center[0]:.5g} +{center[1]:.5g}", printed)


def test_only_the_largest_clusters_are_printed(iris, tmp_path):
    result = run("cluster", iris, "-o", tmp_path / "out.csv", "-b", "0.05")
    k = pd.read_csv(tmp_path / "out.csv")["label"].max() + 1
    assert k > 20
    assert f"and {k - 10} smaller" in result.stdout


def test_automatic_bandwidth_is_named(iris, tmp_path):
    result = run("cluster", iris, "-o", tmp_path / "out.csv")
    assert re.search(r"bandwidth +[\d.]+ \(chosen automatically\)", result.stdout)


def test_standardize(iris, tmp_path):
    result = run("cluster", iris, "-o", tmp_path / "out.csv", "--columns", "2,3", "-b", "0.2", "--standardize")
    X = pd.read_csv(iris)[PETALS].to_numpy()
    scaler = StandardScaler().fit(X)
    model = ms.MeanShift(0.2).fit(scaler.transform(X))
    np.testing.assert_array_equal(pd.read_csv(tmp_path / "out.csv")["label"], model.labels_)
    assert "standard deviations of each column" in result.stdout
    center = scaler.inverse_transform(model.cluster_centers_)[0]
    assert f"{center[0]:.5g}" in result.stdout


def test_exact_and_label_column_and_parquet(iris, tmp_path):
    out = tmp_path / "out.parquet"
    options = ("--fidelity", "exact", "--label-column", "cluster", "-b", "0.3", "-j", "1")
    result = run("cluster", iris, "-o", out, *options)
    assert result.exit_code == 0, result.stderr
    X = pd.read_csv(iris).drop(columns="species").to_numpy()
    labels = ms.MeanShift(0.3, fidelity="exact").fit(X).labels_
    np.testing.assert_array_equal(pd.read_parquet(out)["cluster"], labels)


def test_columns_whose_names_hold_commas_and_brackets(tmp_path):
    frame = pd.DataFrame({"a,b": [0.0, 0.1, 9.0], "[red]": [0.0, 0.1, 9.0], "c": [5.0, 6.0, 7.0]})
    frame.to_csv(tmp_path / "t.csv", index=False)
    result = run("cluster", tmp_path / "t.csv", "-o", tmp_path / "o.csv", "--columns", '"a,b", [red]', "-b", 1)
    assert result.exit_code == 0, result.stderr
    assert "a,b, [red]" in result.stdout
    assert pd.read_csv(tmp_path / "o.csv")["label"].tolist() == [0, 0, 1]


@pytest.mark.parametrize("standardize", [[], ["--standardize"]])
def test_audit_is_part_of_the_summary(iris, tmp_path, standardize):
    command = ["cluster", iris, "-o", tmp_path / "out.csv", "-b", "0.5", *standardize]
    result = run(*command, "--audit", 40)
    assert re.search(
        r"audit +0 of 40 sampled points disagree with exact mean shift: at most 7.3 % of all points do, at 95 %",
        " ".join(result.stdout.split()),
    )
    assert "checking 40 rows against exact mean shift" in result.stderr
    assert "audit" in re.search(r"time +(.*)", result.stdout)[1]
    assert "0 of all 150 points disagree" in run(*command, "--audit", 3000).stdout
    assert "disagree" not in run(*command).stdout


def test_clusters_too_small_are_attached_or_noise(iris, tmp_path):
    X = pd.read_csv(iris)[PETALS].to_numpy()
    command = ["cluster", iris, "-o", tmp_path / "out.csv", "--columns", ",".join(PETALS), "-b", "0.1"]
    for options, cluster_all in (([], True), (["--noise"], False)):
        result = run(*command, "--min-cluster-size", 6, *options)
        assert result.exit_code == 0, result.stderr
        model = ms.MeanShift(0.1, min_cluster_size=6, cluster_all=cluster_all).fit(X)
        np.testing.assert_array_equal(pd.read_csv(tmp_path / "out.csv")["label"], model.labels_)
        n_noise = (model.labels_ < 0).sum()
        assert (n_noise > 0) != cluster_all
        assert (f"{n_noise} rows, labelled -1" in result.stdout) != cluster_all


def test_all_may_be_noise(iris, tmp_path):
    out, picture = tmp_path / "out.csv", tmp_path / "plot.png"
    options = ["--min-cluster-size", 1000, "--noise", "--audit", 10, "--plot", picture, "--standardize"]
    result = run("cluster", iris, "-o", out, "-b", "0.3", *options)
    assert result.exit_code == 0, result.stderr
    assert (pd.read_csv(out)["label"] == -1).all()
    assert "warning: No cluster reaches min_cluster_size=1000" in result.stderr
    assert "150 rows, labelled -1" in result.stdout
    assert "no point was checked" in result.stdout
    assert picture.stat().st_size > 1000


def test_quiet(iris, tmp_path):
    result = run("cluster", iris, "-o", tmp_path / "out.csv", "-q")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "")
    assert (tmp_path / "out.csv").exists()


def test_plot(iris, tmp_path):
    out, plot = tmp_path / "out.csv", tmp_path / "plot.png"
    result = run("cluster", iris, "-o", out, "--columns", "2,3", "--plot", plot)
    assert result.exit_code == 0, result.stderr
    picture = np.asarray(Image.open(plot).convert("RGB"))
    assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 20  # something is drawn
    assert sorted(p.name for p in tmp_path.iterdir()) == ["iris.csv", "out.csv", "plot.png"]


def test_no_header(tmp_path):
    (tmp_path / "t.csv").write_text("0,0\n0,1\n9,9\n")
    assert_one_line(run("cluster", tmp_path / "t.csv", "-o", tmp_path / "o.csv"), "--no-header")
    assert run("cluster", tmp_path / "t.csv", "-o", tmp_path / "o.csv", "--no-header", "-b", 1).exit_code == 0
    assert (tmp_path / "o.csv").read_text() == "0,0,0\n0,1,0\n9,9,1\n"


# ------------------------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["none.csv"], r"none\.csv does not exist"),
        (["."], r"has no suffix"),
        (["iris.xlsx"], r"iris\.xlsx ends in '\.xlsx'"),
        (
            ["iris.csv", "--columns", "petal length"],
            r"no column 'petal length'; did you mean 'petal length \(cm\)'",
        ),
        (
            ["iris.csv", "--columns", "species"],
            r"column 'species' is not numeric: it holds 'setosa' in row 1",
        ),
        (["iris.csv", "--columns", "0,7"], r"no column '7'"),
        (["iris.csv", "--columns", ""], r"no column"),
        (["iris.csv", "--label-column", "species"], r"already has a column 'species'"),
        (["iris.csv", "--bandwidth", "0"], r"bandwidth"),
        (["iris.csv", "--bandwidth", "-1"], r"bandwidth"),
        (["iris.csv", "--bandwidth", "nan"], r"bandwidth"),
        (["iris.csv", "--bandwidth", "1e-300"], r"bandwidth.* too small"),
        (["iris.csv", "--jobs", "0"], r"n_jobs"),
        (["iris.csv", "--plot", "plot.xyz"], r"plot\.xyz ends in '\.xyz'.*\.png"),
        (["iris.csv", "--plot", "none/plot.png"], r"there is no directory"),
        (["hole.csv"], r"hole\.csv: column 'b' has no value in row 2"),
        (["empty.csv"], r"empty\.csv is empty"),
        (["text.csv"], r"text\.csv has no numeric column"),
    ],
)
def test_bad_input_is_one_line_and_leaves_the_output_alone(iris, tmp_path, monkeypatch, args, message):
    monkeypatch.chdir(tmp_path)
    Path("hole.csv").write_text("a,b\n1,2\n3,\n")
    Path("empty.csv").write_text("")
    Path("text.csv").write_text("a\nx\n")
    Path("out.csv").write_text("before")
    names = sorted(p.name for p in tmp_path.iterdir())
    assert_one_line(run("cluster", *args, "-o", "out.csv"), message)
    assert Path("out.csv").read_text() == "before"
    assert sorted(p.name for p in tmp_path.iterdir()) == names


@pytest.mark.parametrize(
    ("output", "message"),
    [
        ("out.txt", r"out\.txt ends in '\.txt'"),
        ("none/out.csv", r"cannot write none/out\.csv: there is no directory none"),
        ("iris.csv", r"is the input itself"),
        ("sub.csv", r"sub\.csv is a directory"),
    ],
)
def test_output_that_cannot_be_is_said_before_the_work(iris, tmp_path, monkeypatch, output, message):
    monkeypatch.chdir(tmp_path)
    Path("sub.csv").mkdir()
    before = iris.read_bytes()
    result = run("cluster", "iris.csv", "-o", output)
    assert_one_line(result, message)
    assert "clustering" not in result.stderr
    assert iris.read_bytes() == before


@pytest.mark.parametrize(
    "args",
    [
        ["cluster"],
        ["cluster", "iris.csv"],
        ["cluster", "iris.csv", "-o", "out.csv", "-b", "wide"],
        ["cluster", "iris.csv", "-o", "out.csv", "--fidelity", "slow"],
        ["cluster", "iris.csv", "-o", "out.csv", "--audit", "0"],
        ["cluster", "iris.csv", "-o", "out.csv", "--audit", "some"],
        ["cluster", "iris.csv", "-o", "out.csv", "--min-cluster-size", "0"],
        ["cluster", "iris.csv", "-o", "out.csv", "--nonsense"],
        ["nonsense"],
    ],
)
def test_wrong_usage_exits_with_2(args):
    result = run(*args)
    assert result.exit_code == 2
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(("error", "code"), [(KeyboardInterrupt, 130), (MemoryError, 1), (OSError("disk full"), 1)])
@pytest.mark.parametrize("where", ["modeseek.estimators.MeanShift.fit", "modeseek.files.write._lengthen_lines"])
def test_stopped_halfway_nothing_is_left(iris, tmp_path, monkeypatch, where, error, code):
    def stop(*args, **options):
        raise error

    monkeypatch.setattr(where, stop)
    (tmp_path / "out.csv").write_text("before")
    result = run("cluster", iris, "-o", tmp_path / "out.csv", "--plot", tmp_path / "plot.png")
    assert result.exit_code == code
    assert "modeseek: stopped: " in result.stderr if code == 130 else "modeseek: error: " in result.stderr
    assert "Traceback" not in result.stderr
    assert (tmp_path / "out.csv").read_text() == "before"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["iris.csv", "out.csv"]


def test_warnings_are_one_line(iris, tmp_path, monkeypatch):
    import warnings

    from modeseek.estimators import MeanShift

    fit = MeanShift.fit

    def fit_and_warn(self, *args, **options):
        warnings.warn("did not come to rest", UserWarning, stacklevel=2)
        return fit(self, *args, **options)

    monkeypatch.setattr(MeanShift, "fit", fit_and_warn)
    result = run("cluster", iris, "-o", tmp_path / "out.csv")
    assert result.exit_code == 0
    assert "modeseek: warning: did not come to rest\n" in result.stderr


# ------------------------------------------------------------------------------------------------- segment


def test_segment(tmp_path):
    flower = load_sample_images().images[1][::8, ::8]
    Image.fromarray(flower).save(tmp_path / "flower.png")
    result = run("segment", tmp_path / "flower.png", "-o", tmp_path / "out.png", "--bandwidth", "20")
    assert result.exit_code == 0, result.stderr
    out = np.asarray(Image.open(tmp_path / "out.png"))
    assert out.shape == flower.shape
    colours = np.unique(out.reshape(-1, 3), axis=0)
    assert 2 <= len(colours) <= 20
    assert f"{len(colours)} after" in result.stdout
    for colour in colours:  # every colour is the mean of the pixels that it replaced
        where = (out == colour).all(axis=2)
        np.testing.assert_allclose(flower[where].mean(axis=0), colour, atol=0.51)


@pytest.fixture
def quarters(tmp_path):
    """Four squares of 20 pixels, in three colours, and noise; the lower left one is transparent."""
    image = np.empty((40, 40, 4))
    image[:20, :20], image[:20, 20:], image[20:] = (200, 40, 40, 255), (40, 60, 200, 255), (230, 220, 60, 255)
    image[20:, :20, 3] = 0
    image[..., :3] += np.random.default_rng(0).normal(0, 3, (40, 40, 3))
    Image.fromarray(image.clip(0, 255).astype(np.uint8)).save(tmp_path / "quarters.png")
    return tmp_path / "quarters.png"


def test_segment_into_regions(quarters, tmp_path):
    result = run("segment", quarters, "-o", tmp_path / "out.png", "--labels", tmp_path / "labels.npy",
                 "--regions", tmp_path / "regions.csv", "--spatial", "5", "--color", "12")  # fmt: skip
    assert result.exit_code == 0, result.stderr
    assert "regions      3" in result.stdout
    labels, image = np.load(tmp_path / "labels.npy"), np.asarray(Image.open(quarters))
    out = np.asarray(Image.open(tmp_path / "out.png"))
    assert (labels[20:, :20] == -1).all()  # what is transparent takes no part
    for part in (np.s_[:20, :20], np.s_[:20, 20:], np.s_[20:, 20:]):
        assert len(np.unique(labels[part])) == 1
    table = pd.read_csv(tmp_path / "regions.csv")
    assert table["area"].tolist() == [400] * 3
    for label, mean in enumerate(table[[f"intensity_mean-{c}" for c in range(3)]].to_numpy()):
        np.testing.assert_allclose(image[labels == label][:, :3].mean(axis=0), mean)
        assert (out[labels == label][:, :3] == np.rint(mean)).all()
    np.testing.assert_array_equal(out[..., 3], image[..., 3])
    np.testing.assert_array_equal(out[labels < 0], image[labels < 0])


def test_segment_overlay_and_filtered(quarters, tmp_path):
    options = ["--spatial", "5", "--color", "12", "-q"]
    for flag in ("--overlay", "--filtered"):
        result = run("segment", quarters, "-o", tmp_path / f"{flag[2:]}.png", flag, *options)
        assert (result.exit_code, result.stdout) == (0, "")
    image = np.asarray(Image.open(quarters)).astype(int)
    overlay = np.asarray(Image.open(tmp_path / "overlay.png"))
    border = (overlay[..., :3] == (255, 255, 0)).all(axis=-1)
    assert border[:19, 19:21].any(axis=1).all()  # between the upper squares
    assert not border[2:18, 2:18].any()
    np.testing.assert_array_equal(overlay[~border], image[~border])
    filtered = np.asarray(Image.open(tmp_path / "filtered.png")).astype(int)
    assert filtered[2:18, 2:18].std(axis=(0, 1)).max() < 1.0 < image[2:18, 2:18, :3].std(axis=(0, 1)).min()
    assert_one_line(run("segment", quarters, "-o", tmp_path / "o.png", "--overlay", "--filtered"), "two pictures")
    assert_one_line(run("segment", quarters, "-o", tmp_path / "o.png", "--labels", tmp_path / "l.txt"), r"\.npy")
    assert_one_line(run("segment", quarters, "-o", tmp_path / "o.png", "--spatial", "0"), "spatial must be")
    assert not (tmp_path / "o.png").exists()


@pytest.mark.parametrize(
    ("picture", "output", "message"),
    [
        ("none.png", "out.png", r"none\.png does not exist"),
        ("iris.csv", "out.png", r"iris\.csv is not a picture"),
        (".", "out.png", r"\. is a directory"),
        ("fine.png", "out.txt", r"out\.txt ends in '\.txt'.*\.png"),
        ("fine.png", "none/out.png", r"there is no directory"),
        ("cut.png", "out.png", r"cut\.png cannot be read as a picture"),
    ],
)
def test_segment_bad_input(iris, tmp_path, monkeypatch, picture, output, message):
    monkeypatch.chdir(tmp_path)
    Image.fromarray(load_sample_images().images[0][::20, ::20]).save("fine.png")
    Path("cut.png").write_bytes(Path("fine.png").read_bytes()[:500])
    Path("out.png").write_text("before")
    assert_one_line(run("segment", picture, "-o", output), message)
    assert Path("out.png").read_text() == "before"


# ------------------------------------------------------------------------------------- info, version, process


def test_info():
    result = run("info")
    assert result.exit_code == 0
    for name in (
        "modeseek",
        "python",
        "numpy",
        "numba",
        "scikit-learn",
        "pyarrow",
        "threads",
        "kernel cache",
    ):
        assert re.search(rf"^{name} +\S", result.stdout, re.MULTILINE), name
    assert re.search(rf"^numpy +{re.escape(np.__version__)}", result.stdout, re.MULTILINE)
    assert re.search(r"^devices +cpu", result.stdout, re.MULTILINE)


def test_version():
    assert run("--version").stdout == f"modeseek {ms.__version__}\n"


def test_compiling_is_announced_once(capsys):
    import numba

    stages = Stages()
    with stages("fit", "fitting"), stages.watch_compiling("fitting"):
        numba.njit(lambda x: x + 1)(1)
        numba.njit(lambda x: x + 2)(1)
    assert capsys.readouterr().err == f"fitting\n{COMPILING}\n"
    with stages("again", "fitting"), stages.watch_compiling("fitting"):
        pass
    assert capsys.readouterr().err == "fitting\n"


def test_a_process_of_its_own(iris, tmp_path):
    result = shell("cluster", iris, "-o", tmp_path / "out.csv", "-b", "0.5")
    assert result.returncode == 0, result.stderr
    assert "peak memory" in result.stdout
    assert_one_line(shell("cluster", "none.csv", "-o", tmp_path / "o.csv"), r"none\.csv does not exist")


@pytest.mark.parametrize("missing", ["typer", "rich"])
def test_without_the_extra(missing):
    code = f"import sys; sys.modules[{missing!r}] = None; from modeseek.cli import main; main()"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert result.stderr == (f"modeseek: error: the command line needs {missing}: pip install 'modeseek[cli]'\n")


@pytest.mark.skipif(os.name == "nt", reason="no SIGINT for a child process")
def test_ctrl_c(tmp_path):
    rng = np.random.default_rng(0)
    np.save(tmp_path / "t.npy", rng.normal(size=(60_000, 6)))  # exact, and far longer than this test waits
    command = [sys.executable, "-m", "modeseek.cli", "cluster", tmp_path / "t.npy", "-o", tmp_path / "o.npy"]
    process = subprocess.Popen([*command, "-b", "0.5"], stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("clustering"):
            break
    time.sleep(1)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "Traceback" not in said
    assert [p.name for p in tmp_path.iterdir()] == ["t.npy"]
