"""The demonstration page, by parts: every section on small data, and the page that holds them."""

import functools
import re
import sys
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.datasets import load_sample_images
from sklearn.metrics import adjusted_rand_score
from sklearn.utils import Bunch
from typer.testing import CliRunner

import modeseek as ms
from modeseek import demo
from modeseek.cli.app import app
from modeseek.demo import page, photos, points, tables


class Reader(HTMLParser):
    """Collects links and anchors, and checks that tags are closed in order."""

    VOID = frozenset({"meta", "img", "source", "br", "input"})

    def __init__(self, html: str):
        super().__init__()
        self.open_tags, self.links, self.anchors, self.alts = [], [], set(), []
        self.feed(html)
        self.close()
        assert not self.open_tags

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        self.links += [attributes[key] for key in ("href", "src", "srcset") if key in attributes]
        self.anchors.add(attributes.get("id"))
        if tag == "img":
            self.alts.append(attributes["alt"])
        if tag not in self.VOID:
            self.open_tags.append(tag)

    def handle_endtag(self, tag):
        assert self.open_tags.pop() == tag


def assert_links_lead_somewhere(html: str, directory: Path) -> Reader:
    reader = Reader(html)
    for link in reader.links:
        assert not re.match(r"[a-z]+:|//|/", link), f"{link} is not relative"
        assert link[1:] in reader.anchors if link.startswith("#") else (directory / link).stat().st_size, link
    assert all(reader.alts)
    return reader


# ---------------------------------------------------------------------------------------------------- page


def test_everything_is_escaped():
    nasty = "<b>&\"'$x ${y}"
    pieces = [
        page.text(nasty),
        page.links({nasty: nasty}),
        page.picture(nasty, nasty, nasty, still=nasty),
        page.table([nasty, nasty], [[nasty, nasty]]),
        page.terminal(nasty, nasty),
    ]
    section = page.Section("a", nasty, pieces)
    html = page.contents([section]) + section.html()
    assert "<b>" not in html
    assert html.count("&lt;b&gt;&amp;") == 16
    Reader(html)


def test_contents_lead_to_sections():
    html = page.contents([page.Section("one", "One", [page.text("x")])])
    assert 'href="#one"' in html


def test_terminal_breaks_long_commands_before_options():
    command = "modeseek cluster " + "x" * 80 + " --columns 'a b' --plot p.png"
    shown = unescape(page.terminal(command, "out   \n\n"))
    assert shown.endswith("\nout</pre>")
    assert shown.startswith("<pre>$ modeseek cluster")
    assert " \\\n    --columns 'a b' \\\n    --plot p.png\n" in shown
    assert "\\" not in page.terminal("modeseek info --x")


# ------------------------------------------------------------------------------------------------- sections


def test_points(tmp_path, monkeypatch):
    calls = []
    animate = functools.partial(ms.plot.animate, n_frames=6, interval=450)
    monkeypatch.setattr(ms.plot, "animate", animate)
    monkeypatch.setattr(points, "_median_time", lambda call, runs: calls.append(runs) or 0.001 * len(calls))
    section = points.section(tmp_path)
    assert_links_lead_somewhere(section.html(), tmp_path)
    assert "It finds 6." in section.html()
    assert len(calls) == 5
    assert "5.00 ms" in section.html()
    for name in ("climbing.gif", "blurring.gif"):
        with Image.open(tmp_path / name) as animation:
            assert animation.n_frames > 5
    assert (tmp_path / "climbing.html").stat().st_size > 10_000
    for name in ("clusters.png", "kernels.png"):
        picture = np.asarray(Image.open(tmp_path / name).convert("RGB")).reshape(-1, 3)
        assert len(np.unique(picture, axis=0)) > 50


def test_median_time_warms_up_first():
    calls = []
    assert points._median_time(lambda: calls.append(1), 3) >= 0
    assert len(calls) == 4


def test_photos(tmp_path, monkeypatch):
    real = load_sample_images()
    small = Bunch(filenames=real.filenames, images=[image[::8, ::8] for image in real.images])
    monkeypatch.setattr(photos, "load_sample_images", lambda: small)
    html = photos.section(tmp_path).html()
    assert_links_lead_somewhere(html, tmp_path)
    for name, image in zip(("china", "flower"), small.images, strict=True):
        np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / f"{name}-original.png")), image)
        for kind, words in (("regions", "{} regions: bandwidths of 8 pixels"), ("colours", "{} main colours")):
            result = np.asarray(Image.open(tmp_path / f"{name}-{kind}.png"))
            assert result.shape == image.shape
            told = re.search(words.format(r"([\d,]+)"), html[html.index(f"{name}-{kind}.png") :])
            colours = len(np.unique(result.reshape(-1, 3), axis=0))
            assert 2 <= colours <= int(told[1].replace(",", ""))  # two regions may have one mean


def test_iris_through_the_command_line(tmp_path):
    html = tables.iris_section(tmp_path).html()
    assert_links_lead_somewhere(html, tmp_path)
    for name in ("iris-auto", "iris-narrow"):
        frame = pd.read_csv(tmp_path / f"{name}.csv")
        assert list(frame.columns[4:]) == ["species", "label"]
        score = adjusted_rand_score(frame["species"], frame["label"])
        assert f"Adjusted Rand index against the column species: {score:.3f}." in html
        assert score > 0.5  # two of three species, at least
    assert "$ python -m modeseek.cli cluster iris.csv -o iris-auto.csv" in html
    assert "peak memory" in html
    assert "Traceback" not in html


def test_a_command_that_fails_is_told(tmp_path):
    with pytest.raises(OSError, match=r"cluster none\.csv -o o\.csv failed: .*none\.csv does not exist"):
        tables._Run(tmp_path, "none.csv", "o.csv")


def test_mean_pictures(tmp_path):
    images = np.stack([np.full((8, 8), value) for value in (0, 0, 9)])
    tables._draw_means(tmp_path / "means.png", images, np.array([0, 0, 1]))
    assert np.asarray(Image.open(tmp_path / "means.png").convert("L")).min() == 0


# ------------------------------------------------------------------------------------------------- the whole


def test_the_page_holds_all_sections(tmp_path, monkeypatch, capsys):
    def section(directory):
        (directory / "t.png").write_bytes(b"picture")
        return page.Section("s", "Section", [page.picture("t.png", "caption", "alt")])

    for module, name in [(points, "section"), (photos, "section"), (tables, "iris_section")]:
        monkeypatch.setattr(module, name, section)
    monkeypatch.setattr(tables, "digits_section", section)
    index = demo.write_demo(tmp_path / "new" / "demo")
    assert index == tmp_path / "new" / "demo" / "index.html"
    html = index.read_text(encoding="utf-8")
    assert html.startswith("<!doctype html>")
    assert 'id="bandwidth" type="range"' in html
    assert html.count("<style>") == 1
    reader = assert_links_lead_somewhere(html, index.parent)
    assert reader.alts == ["alt"] * 4
    printed = capsys.readouterr().out
    assert re.search(r"KiB  .*index\.html", printed)
    assert re.search(r"KiB  .*t\.png", printed)


def test_where_the_page_cannot_go(tmp_path):
    (tmp_path / "file").write_text("before")
    result = CliRunner().invoke(app, ["demo", str(tmp_path / "file")])
    assert result.exit_code == 1
    assert "modeseek: error: " in result.stderr
    assert "is a file, not a directory" in result.stderr
    assert (tmp_path / "file").read_text() == "before"


def test_without_matplotlib(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r"pip install 'modeseek\[cli,plot,image,explore\]'"):
        demo.write_demo(tmp_path / "demo")
    assert not (tmp_path / "demo").exists()
