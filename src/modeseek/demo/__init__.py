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
    "summit belong together. One number decides how much detail the landscape shows, the bandwidth: move it "
    "and see clusters merge."
)
WIDE = "body { max-width: 84rem; padding: 1.2rem 1.2rem 4rem; }"  # the plots stand side by side


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
        If Matplotlib, Pillow or Bokeh is missing.
    """
    directory = Path(directory)
    if directory.exists() and not directory.is_dir():
        raise ValueError(f"{directory} is a file, not a directory")
    try:
        import bokeh  # noqa: F401
        import matplotlib  # noqa: F401
        import PIL  # noqa: F401
        import pyarrow  # noqa: F401
    except ImportError as error:
        raise ImportError(f"the demo needs {error.name}: pip install 'modeseek[cli,plot,image,explore]'") from None
    directory.mkdir(parents=True, exist_ok=True)
    started = time.time()
    index = _write(directory)
    for path in sorted(directory.iterdir()):
        if path.is_file() and path.stat().st_mtime >= started - 1:
            print(f"{path.stat().st_size / 1024:10,.0f} KiB  {path}")
    print(f"{time.time() - started:10.1f} s    in all")
    return index


def _write(directory: Path) -> Path:
    from modeseek import __version__, plot, textbook
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
    print("the page to explore ...", flush=True)
    html = plot.explore(textbook.make_data()[1]).html(
        "Mean shift at work",
        lead=[page.text(LEAD), page.contents(sections)],
        sections=[section.html() for section in sections],
        footer=footer,
        style=page.STYLE + WIDE,
    )
    index.write_text(html, encoding="utf-8")
    return index
