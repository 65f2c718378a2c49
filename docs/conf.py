"""Sphinx: how the site is built from these pages, the docstrings and the lesson (``make docs``).

Pages are read as they are, so that they also read well where the repository is shown. What is generated (a page for
each public name, the lesson with its pictures) goes to docs/built; the site itself to docs-output.
"""

import fnmatch
import re
import subprocess
import sys
import warnings
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

from pygments.lexers.special import TextLexer

import modeseek as ms

sys.modules["modeseek.plot"] = ms.plot  # its public name, which is no module that could be imported

HERE = Path(__file__).parent

project, author, copyright = "modeseek", "The modeseek developers", "The modeseek developers"
version = release = ms.__version__
html_title = f"modeseek {release}"

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.githubpages",
    "sphinx.ext.viewcode",
    "numpydoc",
    "myst_parser",
    "sphinx_copybutton",
    "sphinx_gallery.gen_gallery",
]
exclude_patterns = ["lesson"]
templates_path = ["_templates"]
nitpicky = True
nitpick_ignore_regex = [
    (r"py:.*", r"(sklearn|numpy|matplotlib|bokeh|torch|cupy|dask|pandas|polars|pyarrow|scipy|joblib|os|pathlib)\..*"),
    (r"py:obj", r"(n_features_in|total_weight|recall)_|skimage\..*"),  # properties, told in their class's sections
]
suppress_warnings = ["config.cache"]  # sphinx_gallery_conf

# ------------------------------------------------------------------------------------------------------- pages

myst_enable_extensions = ["colon_fence", "dollarmath"]
myst_heading_anchors = 3


def expand_patterns(app, docname, source):
    """Put pages where the guide has patterns, which wait for pages; the last, ``*``, is every page named nowhere else.

    (Sphinx's own patterns warn where nothing matches, and list a page once in each list.)
    """
    if docname != "guide":
        return
    lines = source[0].splitlines()
    left = {page.stem for page in HERE.glob("*.md")} - {"index", "guide", "reference"} - set(lines)
    expanded = []
    for line in lines:
        matching = sorted(fnmatch.filter(left, line)) if re.fullmatch(r"[\w-]*\*", line) else [line]
        expanded += matching
        left -= set(matching)
    source[0] = "\n".join(expanded)


def list_options(app, docname, source):
    """Put what Typer tells of every command where the page on the command line has a place for it."""
    if docname != "command-line":
        return
    asked = [sys.executable, "-m", "typer", "modeseek.cli.app", "utils", "docs", "--name", "modeseek"]
    told = subprocess.run(asked, capture_output=True, text=True, check=True).stdout
    for name, usage in re.findall(
        r"^## `modeseek (\w+)`$.*?^(\*\*Usage\*\*.*?)(?=^## |\Z)", told, re.MULTILINE | re.DOTALL
    ):
        options = re.sub(
            r"(?<=[ (])--[\w-]+(?=[^`]*$)", r"`\g<0>`", usage, flags=re.MULTILINE
        )  # typographers join hyphens
        source[0] = source[0].replace(f"<!-- options of {name} -->", options)


def link_into_site(app, docname, source):
    """Turn links that the repository shows (the lesson's scripts, its root) into links to what Sphinx makes of it.

    Folders are no pages: of links to them the text is left.
    """
    source[0] = re.sub(r"\]\(\.\./(ARCHITECTURE|CHANGELOG)\.md", lambda found: f"]({found[1].lower()}.md", source[0])
    source[0] = re.sub(r"\[([^\]]+)\]\(\.\./[\w/-]+\)", r"\1", source[0])
    source[0] = source[0].replace("](lesson/README.rst)", "](built/lesson/index.rst)")
    source[0] = re.sub(r"\]\(lesson/(\w+)\.py\)", r"](built/lesson/\1.rst)", source[0])


# -------------------------------------------------------------------------------------------------- docstrings

autosummary_generate = True
autodoc_typehints = "none"  # the sections say it in words
default_role = "autolink"
highlight_language = "none"  # blocks of docstrings are formulas; doctests are told by their prompt
numpydoc_show_class_members = False
numpydoc_xref_param_type = False
autosummary_context = {
    # of scikit-learn, the same for every estimator; and what other modules ask of a sketch
    "left_out": [
        *("get_metadata_routing", "get_params", "set_params", "get_feature_names_out", "set_output"),
        *("set_fit_request", "set_partial_fit_request", "set_predict_request", "set_score_request"),
        *("set_transform_request",),
        *("add_masses", "add_placed", "add_scanned", "add_tensor", "emptied", "make_room", "shrunk", "take_placed"),
        *("trimmed", "nodes"),
    ]
}

# ------------------------------------------------------------------------------------------------------ lesson

warnings.filterwarnings("ignore", message=".*FigureCanvasAgg is non-interactive.*")
sphinx_gallery_conf = {
    "examples_dirs": "lesson",
    "gallery_dirs": "built/lesson",
    "filename_pattern": r"/[0-9]_",
    "within_subsection_order": "FileNameSortKey",
    "matplotlib_animations": (True, "jshtml"),
    "abort_on_example_error": True,
    "download_all_examples": False,
    "show_signature": False,
    "show_memory": False,
    "min_reported_time": 3600,  # seconds of a loaded machine say nothing
    "write_computation_times": False,
    "remove_config_comments": True,
    "doc_module": ("modeseek",),
    "backreferences_dir": None,
}


def no_strangers(app, pagename, templatename, context, doctree):
    """Take out what Matplotlib's player would ask a server for: its buttons are in the theme's own font."""
    if "body" in context:
        context["body"] = re.sub(r'<link rel="stylesheet"\s+href="https://maxcdn[^>]*>', "", context["body"])


# -------------------------------------------------------------------------------------------------------- look

html_theme = "pydata_sphinx_theme"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sourcelink = False
html_context = {"default_mode": "auto"}
html_theme_options = {
    "logo": {"text": "modeseek"},
    "navigation_with_keys": False,
    "show_toc_level": 2,
    "show_prev_next": True,
    "footer_start": ["copyright"],
    "footer_end": ["theme-version"],
    "secondary_sidebar_items": ["page-toc"],
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
}
html_sidebars = {"index": []}


def setup(app):
    """Tell Sphinx what is done to pages."""
    app.add_lexer("bpl", TextLexer)  # a dialect of APL that Pygments does not know
    app.connect("source-read", link_into_site)
    app.connect("html-page-context", no_strangers)
    app.connect("source-read", expand_patterns)
    app.connect("source-read", list_options)
