"""What README.md shows runs as it stands there."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pyarrow import parquet

import modeseek as ms
from tests.test_outofcore import blobs, table_of

README = Path(__file__).parents[1] / "README.md"
SECTION = "When your data outgrow memory"


def blocks(section: str) -> list[tuple[str, str]]:
    """Return language and text of the blocks of code under a heading."""
    text = README.read_text(encoding="utf-8")
    (body,) = re.findall(rf"^## {section}\n(.*?)^## ", text, re.MULTILINE | re.DOTALL)
    return re.findall(r"^```(\w*)\n(.*?)^```$", body, re.MULTILINE | re.DOTALL)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Go where the files lie that the lines speak of."""
    days = np.split(blobs(6_000).round(3), 2)
    (tmp_path / "data").mkdir()
    for k, day in enumerate(days, 1):
        parquet.write_table(table_of(day), tmp_path / f"day{k}.parquet")
        parquet.write_table(table_of(day), tmp_path / "data" / f"{k}.parquet")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_lines_for_data_larger_than_memory_run(folder):
    found = blocks(SECTION)
    assert found
    for language, lines in found:
        if language == "python":
            exec(compile(lines, str(README), "exec"), {})
            continue
        shell = f'modeseek() {{ "{sys.executable}" -m modeseek.cli "$@"; }}\n' + lines
        done = subprocess.run(["bash", "-e", "-c", shell], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    written = [Path(name) for _, lines in found for name in re.findall(r" -o (\S+)", lines)]
    assert written
    for path in written:
        assert path.is_file() or list(path.iterdir())
        if path.suffix == ".npz":
            assert ms.DensitySketch.load(path).total_weight_ > 0.0


def test_the_lines_of_python_run():
    import matplotlib

    matplotlib.use("Agg")
    X = blobs(1_000)
    names = {"X": X, "new_points": X[:5]}
    shown = [lines for section in ("Use", "Labels you can trust") for _, lines in blocks(section)]
    assert len(shown) == 2
    for lines in shown:
        exec(compile(lines, str(README), "exec"), names)
    assert names["model"].certificate_.certified == 1.0


def test_the_lines_of_a_shell_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.savetxt("points.csv", blobs(600)[:, :2], delimiter=",", header="x,y", comments="")
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (24, 32, 3), dtype=np.uint8)).save("photo.jpg")
    ((_, lines),) = blocks("From a shell")
    shell = f'modeseek() {{ "{sys.executable}" -m modeseek.cli "$@"; }}\n' + lines
    done = subprocess.run(["bash", "-e", "-c", shell], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for name in ("labelled.csv", "plot.png", "scales.png", "points.html", "segments.png"):
        assert Path(name).stat().st_size > 100
