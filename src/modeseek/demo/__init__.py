"""A page that shows mean shift at work on real data: made by ``modeseek demo DIR`` and ``make demo``.

Everything on it is computed while it is made. Nothing is downloaded; the data ship with scikit-learn.
"""

import os
import platform
import time
from pathlib import Path

__all__ = ["write_demo"]

LEAD = (
    "Mean shift finds clusters without being told how many there are. Think of the data as a landscape "
    "that is high where points are dense: every point walks uphill, and the points that reach the same "
    "summit belong together. One number decides how much detail the landscape shows, the bandwidth."
)


def write_demo(directory: str | os.PathLike[str]) -> Path:
    """Compute everything, write it into a directory and list it.

    Parameters
    ----------
    directory : str or path
        Made if missing; files of the same names are replaced.

    Returns
    -------
    Path
        The page, ``index.html``.

    Raises
    ------
    ValueError
        If `directory` is a file.
    ImportError
        If Matplotlib or Pillow is missing.
    """
    directory = Path(directory)
    if directory.exists() and not directory.is_dir():
        raise ValueError(f"{directory} is a file, not a directory")
    try:
        import matplotlib  # noqa: F401
        import PIL  # noqa: F401
        import pyarrow  # noqa: F401
    except ImportError as error:
        raise ImportError(f"the demo needs {error.name}: pip install 'modeseek[cli,plot,image]'") from None
    directory.mkdir(parents=True, exist_ok=True)
    started = time.time()
    index = _write(directory)
    for path in sorted(directory.iterdir()):
        if path.is_file() and path.stat().st_mtime >= started - 1:
            print(f"{path.stat().st_size / 1024:10,.0f} KiB  {path}")
    print(f"{time.time() - started:10.1f} s    in all")
    return index


def _write(directory: Path) -> Path:
    from modeseek import __version__
    from modeseek.demo import page, photos, points, tables

    parts = {
        "points, kernels, animation, timing": points.section,
        "photographs": photos.section,
        "iris, through the command line": tables.iris_section,
        "digits, through the command line": tables.digits_section,
    }
    sections = []
    for name, make in parts.items():
        print(f"{name} ...", flush=True)
        sections.append(make(directory))
    footer = (
        f"modeseek {__version__}, Python {platform.python_version()}, {os.cpu_count()} processors, "
        f"{platform.machine()}. Made {time.strftime('%Y-%m-%d %H:%M')}."
    )
    index = directory / "index.html"
    index.write_text(page.page("Mean shift at work", [page.text(LEAD)], sections, footer), encoding="utf-8")
    return index
