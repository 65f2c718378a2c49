"""Build the package and use it where nothing else is: ``make wheel``, or ``python tests/wheel.py`` with any Python.

An sdist is built, a wheel from that sdist, outside any repository; both must hold what they should and nothing else.
The wheel goes into an empty environment: first bare (import, fit, and a command line that names its extra), then
with the extras of the command line (cluster, segment and explore small files). No module of the source tree is on the
path. Needs a network, about a minute, and no more of Python than its standard library.
"""

import os
import subprocess
import sys
import tarfile
import tempfile
import venv
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
EXTRAS = "cli,plot,image,explore"
LEFT_OUT = {"__pycache__", ".hypothesis"}
FIT = """
import sys
import numpy as np
import modeseek as ms

assert "site-packages" in ms.__file__, ms.__file__
X = np.concatenate([np.random.default_rng(0).normal(size=(500, 2)) + 9 * k for k in range(3)])
model = ms.MeanShift(bandwidth=1.0).fit(X)
assert len(model.cluster_centers_) == 3, model.cluster_centers_
assert (model.predict(X) == model.labels_).all()
assert not {"matplotlib", "typer", "bokeh", "pyarrow"} & set(sys.modules)
print(ms.__version__)
"""


def run(*command: str | Path, cwd: Path, fails: bool = False) -> str:
    """Run a command away from the source tree; return what it printed."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "VIRTUAL_ENV"))}
    done = subprocess.run([str(part) for part in command], cwd=cwd, env=environment, capture_output=True, text=True)
    if (done.returncode != 0) != fails:
        sys.exit(f"{' '.join(map(str, command))}: exit code {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout + done.stderr


def environment(place: Path, *packages: str | Path) -> Path:
    """Make a virtual environment that holds these packages; return its folder of programs."""
    venv.create(place, with_pip=True)
    programs = place / ("Scripts" if os.name == "nt" else "bin")
    install(programs, *packages)
    return programs


def install(programs: Path, *packages: str | Path) -> None:
    """Install packages, without the cache that earlier builds may have filled with modeseek."""
    run(programs / "python", "-m", "pip", "install", "-q", "--disable-pip-version-check", *packages, cwd=programs)


def files_under(*folders: str) -> set[str]:
    """Return the files of the source tree under some folders, relative to its root, without those that git ignores."""
    if (ROOT / ".git").exists():
        listed = run("git", "ls-files", "--cached", "--others", "--exclude-standard", "-z", *folders, cwd=ROOT)
        return {name for name in listed.split("\0") if (ROOT / name).is_file()}
    found = (path for folder in folders for path in (ROOT / folder).rglob("*"))
    return {path.relative_to(ROOT).as_posix() for path in found if path.is_file() and not LEFT_OUT & set(path.parts)}


def check_wheel(path: Path) -> None:
    """Check that the wheel holds the package, its data, its license and nothing else, and what PyPI can show."""
    with zipfile.ZipFile(path) as archive:
        names = set(archive.namelist())
        (metadata,) = (archive.read(name).decode() for name in names if name.endswith(".dist-info/METADATA"))
    assert "# modeseek" in metadata
    assert "](docs/" not in metadata
    described = {name for name in names if ".dist-info/" in name}
    expected = {name.removeprefix("src/") for name in files_under("src/modeseek")}
    assert names - described == expected, sorted((names - described) ^ expected)
    assert {"modeseek/py.typed", "modeseek/plotting/explorer/page.js"} <= names
    assert any(name.endswith("licenses/LICENSE") for name in described)


def check_sdist(path: Path) -> None:
    """Check that the sdist holds what is needed to build, to test, to measure and to read."""
    with tarfile.open(path) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    needed = files_under("src/modeseek", "tests", "benchmarks", "docs") | {
        "pyproject.toml", "hatch_build.py", "Makefile", "PKG-INFO", "README.md", "ARCHITECTURE.md", "CHANGELOG.md",
        "CONTRIBUTING.md", "LICENSE", "CITATION.cff",
    }  # fmt: skip
    assert needed <= names, sorted(needed - names)


def use(place: Path, wheel: Path) -> None:
    """Install the wheel in an empty environment; import, fit, and work from a shell."""
    programs = environment(place / "bare", wheel)
    modeseek = programs / "modeseek"
    version = run(programs / "python", "-I", "-c", FIT, cwd=place).strip()
    assert wheel.name.startswith(f"modeseek-{version}-"), (version, wheel.name)
    assert "pip install 'modeseek[cli]'" in run(modeseek, "--version", cwd=place, fails=True)
    install(programs, f"modeseek[{EXTRAS}] @ {wheel.as_uri()}")
    assert run(modeseek, "--version", cwd=place) == f"modeseek {version}\n"
    rows = [f"{x + dx},{y + dy}" for x, y in ((0, 0), (9, 9)) for dx in (0, 0.5, 1) for dy in (0, 0.5, 1)]
    (place / "points.csv").write_text("\n".join(["x,y", *rows, ""]))
    run(modeseek, "cluster", "points.csv", "-o", "labelled.csv", "--bandwidth", "1", "--plot", "plot.png", cwd=place)
    header, *labelled = (place / "labelled.csv").read_text().split()
    labels = [line.rpartition(",")[2] for line in labelled]
    assert header == "x,y,label", header
    assert labels[:9] == labels[:1] * 9 != labels[9:] == labels[9:10] * 9, labels
    run(modeseek, "segment", "plot.png", "-o", "regions.png", cwd=place)
    run(modeseek, "explore", "points.csv", "-o", "page.html", cwd=place)
    assert all((place / name).stat().st_size > 1000 for name in ("plot.png", "regions.png", "page.html"))


def main() -> None:
    """Build, check and use the package; keep what was built where the first argument says."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        built = Path(sys.argv[1]).resolve() if len(sys.argv) > 1 else place / "dist"
        tools = environment(place / "tools", "build", "twine")
        run(tools / "python", "-m", "build", "--outdir", built, ROOT, cwd=place)
        (wheel,), (sdist,) = built.glob("*.whl"), built.glob("*.tar.gz")
        check_wheel(wheel)
        check_sdist(sdist)
        run(tools / "twine", "check", "--strict", wheel, sdist, cwd=place)
        use(place, wheel)
        print(f"{wheel.name}: built, installed and used")


if __name__ == "__main__":
    main()
