"""The blocks of Python on the pages of docs/ run as they stand there, page by page, in the order of the page.

What a reader does not see, in comments of the page: ``<!-- given: CODE -->`` runs before what follows it (data that the
reader has), ``<!-- not run: REASON -->`` leaves out the next block. `np` and `ms` are known everywhere.
"""

import doctest
import re
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

import modeseek as ms
from modeseek.cli.app import app

DOCS = Path(__file__).parents[1] / "docs"
STEP = re.compile(
    r"^<!-- given:\s(?P<given>.*?)-->$|^(?P<skip><!-- not run: [^\n]+ -->\n)?^```python\n(?P<block>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
HOW_TO = [
    "bandwidth",
    "dask",
    "embeddings",
    "explore",
    "geometry",
    "gpu",
    "larger-than-memory",
    "segmentation",
    "streams",
]
HOW_TO += ["command-line", "coming-from-hdbscan", "coming-from-scikit-learn"]
PAGES = {page.stem: page.read_text(encoding="utf-8") for page in sorted(DOCS.glob("*.md"))}
WITH_CODE = [name for name, text in PAGES.items() if "\n```python\n" in text]


def run(text: str, name: str) -> int:
    """Run what a page shows, and return how many blocks."""
    known, count = {"np": np, "ms": ms, "__name__": "page"}, 0
    runner = doctest.DocTestRunner()
    for step in STEP.finditer(text):
        line = text.count("\n", 0, step.start())
        if step["given"]:
            exec(compile("\n" * line + step["given"].strip(), name, "exec"), known)
        if step["block"] is None or step["skip"]:
            continue
        count += 1
        if ">>> " in step["block"]:
            test = doctest.DocTestParser().get_doctest(step["block"], known, name, name, line)
            runner.run(test, clear_globs=False)
            known = test.globs
        else:
            exec(compile("\n" * (line + 1) + step["block"], name, "exec"), known)
    assert runner.summarize(verbose=False).failed == 0
    return count


@pytest.mark.parametrize("name", WITH_CODE)
def test_what_a_page_shows_runs(name, tmp_path, monkeypatch):
    if "torch" in PAGES[name]:
        pytest.importorskip("torch")
    monkeypatch.chdir(tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        shown = run(PAGES[name], f"{name}.md")
    assert shown == PAGES[name].count("\n```python\n") - PAGES[name].count("<!-- not run: ")


# ------------------------------------------------------------------------------------------------ the command line

COMMANDS = [command.callback.__name__ for command in app.registered_commands]
SECTIONS = dict(re.findall(r"^## (\w+)\n(.*?)(?=^## |\Z)", PAGES["command-line"], re.MULTILINE | re.DOTALL))
CONSOLE = re.compile(
    r"^(?P<skip><!-- not run: [^\n]+ -->\n)?^```console\n(?P<lines>.*?)^```$", re.MULTILINE | re.DOTALL
)


def test_every_command_has_an_example_and_a_place_for_its_options():
    assert list(SECTIONS) == COMMANDS
    for name, section in SECTIONS.items():
        assert f"\n<!-- options of {name} -->\n" in section
        assert f"modeseek {name} " in CONSOLE.search(section)["lines"].replace("\n", " \n")


def test_the_examples_of_the_commands_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run(PAGES["command-line"], "command-line.md")  # what is given
    shell = [f'modeseek() {{ "{sys.executable}" -m modeseek.cli "$@"; }}']
    for section in SECTIONS.values():
        shell += [block["lines"] for block in CONSOLE.finditer(section) if not block["skip"]]
    done = subprocess.run(["bash", "-e", "-c", "\n".join(shell)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    outputs = re.findall(r"(?:-o|--plot|--labels) (\S+)", "\n".join(shell))
    assert len(outputs) >= 9
    assert all(Path(name).exists() for name in outputs)


def test_the_site_lists_the_options_of_every_command():
    code = (
        "import runpy; conf = runpy.run_path('docs/conf.py'); page = [open('docs/command-line.md').read()]\n"
        "conf['list_options'](None, 'command-line', page); print(page[0])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=DOCS.parent)
    assert done.returncode == 0, done.stderr
    assert "<!-- options of" not in done.stdout
    for name in COMMANDS:
        told = done.stdout.split(f"\n## {name}\n")[1].split("\n## ")[0]
        assert f"$ modeseek {name} " in told or f"$ modeseek {name}\n" in told
        options = set(re.findall(r"^\* `[^`]*?(--[\w-]+)", told, re.MULTILINE))
        assert "--help" in options
        assert ("--output" in options) == (name in ("cluster", "sketch", "merge", "explore", "segment"))


@pytest.mark.parametrize("name", HOW_TO)
def test_a_page_says_what_it_is_for_before_anything_else(name):
    opening = PAGES[name].split("\n\n")[1]
    assert opening.startswith("You have ")
    assert " want" in opening or " fit" in opening


@pytest.mark.parametrize("text", ["```python\n1 / 0\n```", "```python\n>>> 1 + 1\n3\n\n```", "<!-- given: 1 / 0 -->"])
def test_a_block_that_is_wrong_is_seen(text):
    with pytest.raises((ZeroDivisionError, AssertionError)):
        run(text, "wrong")


def test_given_and_left_out_blocks():
    given, left_out = (
        "<!-- given: x = 2 -->\n```python\ny = x\n```\n\n",
        "<!-- not run: no -->\n```python\n1 / 0\n```\n",
    )
    text = given + left_out + "```python\n>>> y\n2\n\n```"
    assert run(text, "fine") == 2


def test_links_between_pages_and_to_pictures_lead_somewhere():
    broken = []
    for name, text in PAGES.items():
        prose = re.sub(r"^```.*?^```$|`[^`\n]+`", "", text, flags=re.MULTILINE | re.DOTALL)  # code has brackets, too
        for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", prose):
            if "://" not in target and not (DOCS / target).exists():
                broken.append(f"{name}.md -> {target}")
    assert not broken
