"""The lesson's algorithms in APL (`apl/`), run by two interpreters, against the textbook; and what docs/apl.md shows.

MARPLE runs `meanshift.apl`, BasedPL `meanshift.bpl`. Tests of one that cannot be installed are skipped; a wrong result
fails.
"""

import re
from pathlib import Path

import numpy as np
import pytest
from benchmarks.apl import CENTRES, BasedPL, Marple, blocks, definitions, in_numpy

from modeseek import textbook
from modeseek.textbook import make_data

FILES = Path(__file__).parents[1] / "apl"
HOW = {
    Marple: ("marple.engine", "needs MARPLE: pip install --no-deps marple-lang==0.9.0"),
    BasedPL: ("basedpl", "needs BasedPL, whose wheels are for Linux on x86-64: pip install basedpl==0.1.75"),
}


def loaded(interpreter):
    """Return a session that has read its file of definitions."""
    module, reason = HOW[interpreter]
    pytest.importorskip(module, reason=reason)
    return interpreter()


@pytest.fixture(scope="module")
def X():
    return make_data()[1].astype(float)


@pytest.fixture(scope="module", params=[Marple, BasedPL])
def apl(request, X):
    session = loaded(request.param)
    session.bind("X", X)
    session.bind("C", CENTRES)
    return session


def agree(got, expected):
    assert got.shape == expected.shape
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-6)


def moved_once(X):
    X = X.copy()
    textbook.one_update(X)
    return X


def test_weights(apl):
    d = np.linspace(0.0, 12.0, 41)
    apl.bind("D", d)
    agree(apl.value("2.5 gauss D"), textbook.gaussian(d, 2.5))
    agree(apl.value("8 tri D"), textbook.tri(d, 8))
    agree(apl.value("bell D"), textbook.gaussian(d, 2.5))
    agree(apl.value("tent D"), textbook.tri(d, 8))


def test_distances(apl, X):
    agree(apl.value("C dists X"), textbook.dist_b(X, CENTRES))
    assert apl.value("X dists X").diagonal().max() == 0.0


def test_all_points_at_once(apl, X):
    agree(apl.value("bell shift X"), textbook.meanshift(X, rounds=1, update="simultaneous"))


def test_point_by_point(apl, X):
    name = {"apl": "oneUpdate", "bpl": "one_update"}[apl.suffix]
    agree(apl.value(f"{name} X"), moved_once(X))
    agree(apl.value("loop X"), textbook.meanshift_loop(X))  # all 1500 points, five rounds


def test_batches_of_the_lesson(apl, X):
    agree(apl.value("500 meanshift X"), textbook.meanshift(X, 500))


@pytest.mark.parametrize("size", [1, 5, 70, 250, 299, 300, 1000])
def test_batches_of_any_size(apl, X, size):
    some = X[::5]  # 300 points
    apl.bind("S", some)
    agree(apl.value(f"{size} round S"), textbook.meanshift(some, size, rounds=1))


def test_points_in_space(apl):
    some = np.random.default_rng(0).normal(scale=3.0, size=(60, 3))
    apl.bind("S", some)
    agree(apl.value("loop S"), textbook.meanshift_loop(some))
    agree(apl.value("25 meanshift S"), textbook.meanshift(some, 25))


@pytest.mark.parametrize("rounds", [0, 1, 7])
def test_k_means(apl, X, rounds):
    centres, labels, _ = textbook.kmeans(X, CENTRES, rounds)
    apl.bind("M", apl.value(f"X (lloyd⍣{rounds}) C"))
    agree(apl.value("M"), centres)
    np.testing.assert_array_equal(apl.value("M label X") - apl.first, labels)
    assert (centres[-1] == CENTRES[-1]).all()  # it owns nothing, and stays


def test_nearest_neighbours(apl, X):
    some = X[::10]
    apl.bind("S", some)
    np.testing.assert_array_equal(apl.value("7 nearest S dists X") - apl.first, textbook.k_nearest(some, X, 7)[1])


def test_the_first_of_equally_near_ones_is_the_nearest(apl):
    apl.bind("S", [[0.0], [1.0], [-1.0], [1.0]])
    expected = textbook.k_nearest([[0.0]], [[0.0], [1.0], [-1.0], [1.0]], 4)[1]
    np.testing.assert_array_equal(apl.value("4 nearest S dists S")[0] - apl.first, expected[0])


def test_every_definition_is_read_aloud_above_it():
    for suffix in ("apl", "bpl"):
        lines = (FILES / f"meanshift.{suffix}").read_text(encoding="utf-8").splitlines()
        groups = "\n".join(lines).split("\n\n")[1:]
        assert groups
        for group in groups:
            assert group.startswith(("⍝", "⎕CT")), group


# ------------------------------------------------------------------------------------------------ docs/apl.md


def is_session(block):
    return block.startswith("      ")  # six spaces, as at APL's prompt


@pytest.mark.parametrize("interpreter", [Marple, BasedPL])
def test_the_pages_examples_print_what_it_says(interpreter):
    session = loaded(interpreter)
    shown = [block for block in blocks(session.suffix) if is_session(block)]
    assert shown
    for block in shown:
        for step in re.split(r"^ {6}(?=\S)", block, flags=re.MULTILINE)[1:]:
            line, _, expected = step.partition("\n")
            got = session.printed(line)
            assert [part.rstrip() for part in got.splitlines()] == expected.splitlines(), line


@pytest.mark.parametrize("suffix", ["apl", "bpl"])
def test_the_pages_definitions_are_those_of_the_file(suffix):
    lines = [line for block in blocks(suffix) if not is_session(block) for line in block.splitlines()]
    file = definitions(suffix)
    assert lines
    assert [line for line in lines if line not in file] == []
    if suffix == "apl":
        assert [line for line in file if line not in lines] == []  # none is left unexplained


def test_the_pages_numpy_is_the_textbook(X):
    names = in_numpy()
    some = X[::5]
    agree(names["mean"](names["bell"](names["dists"](some, some)), some), textbook.meanshift(some, 300, rounds=1))
    agree(names["one_update"](some), moved_once(some))
    agree(names["loop"](some), textbook.meanshift_loop(some))
    agree(names["meanshift"](70, some), textbook.meanshift(some, 70))
    agree(names["lloyd"](some, CENTRES), textbook.kmeans(some, CENTRES, 1)[0])
    np.testing.assert_array_equal(names["label"](CENTRES, some), textbook.kmeans(some, CENTRES, 0)[1])
    np.testing.assert_array_equal(names["nearest"](3, names["dists"](some, X)), textbook.k_nearest(some, X, 3)[1])


def test_every_glyph_of_the_file_is_in_the_pages_table():
    page = (FILES.parent / "docs" / "apl.md").read_text(encoding="utf-8")
    explained = set("".join(re.findall(r"^\| `([^`]+)` \|", page, re.MULTILINE)))
    used = {glyph for line in definitions("apl") for glyph in line if ord(glyph) > 127 or glyph in "+-*/=|,[]{}"}
    assert used - explained == set()
