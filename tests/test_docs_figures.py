"""Figures on the pages of docs/, and in the lesson, are measured: they stand between markers, or nowhere.

What else looks like one is a definition, a default or a bound that tests hold: it is listed here with its reason.
"""

import re
from pathlib import Path

import pytest
from benchmarks import pages, sizing

from tests.measured import MEASURED, comments, found, prose

DOCS = Path(__file__).parents[1] / "docs"
INCLUDED = ("architecture", "changelog")  # nothing but a line that includes another file
PAGES = {page.stem: prose(page.read_text(encoding="utf-8")) for page in sorted(DOCS.glob("*.md"))}
LESSON = {page.stem: comments(page.read_text(encoding="utf-8")) for page in sorted((DOCS / "lesson").glob("*.py"))}
TEXTS = {name: " ".join(text.split()) for name, text in (PAGES | LESSON).items()}

ARRAYS = "counted from the types of the arrays that are kept or sent"
SQUARE = "n^2 pairs: of 2 n points four times as many"
DEFAULT = "a constant of the source that the sentence explains"
TASK = "what is asked for, not what was found"
ALLOWED = {  # page: what looks like a measurement, and why it is none
    "apl": {
        "is three times the sum": "what a line of APL says",
        "power: code five times over": "what a glyph means",
        "agree to 1e-6": "the tolerance of the test that runs the page",
        "is a fold": "a function that is applied over and over",
    },
    "bandwidth": {
        "at least 2 % of the points": DEFAULT,
        "bandwidth of 1.4 times their own width": "computed from two normal clusters, not from runs",
        "differ ten times in spread": DEFAULT,
        "at least 1 % is right": "how the benchmark counts clusters",
    },
    "coming-from-scikit-learn": {
        "within 0.3 %": "tests/test_scale_space.py holds the rule to it",
        "half the mean distance": "a definition",
        "about half the radius": "from the variances of two kernels, docs/kernels.md",
    },
    "dask": {
        "one byte a row": ARRAYS,
        "four bytes a row": ARRAYS,
        "up to 128 MiB": DEFAULT,
        "reads the points three times": "the passes of a fit, named in the sentence",
        "12 bytes each": ARRAYS,
        "60 bytes a node": ARRAYS,
        "4 bytes a node": ARRAYS,
        "4 bytes a row": ARRAYS,
        "16 bytes each in the plane": ARRAYS,
        "6 of 128 MiB": "how the benchmark cuts its data",
    },
    "dbscan": {"below 1e-150": "where squares leave float64"},
    "embeddings": {"less than ten minutes": DEFAULT, "two seconds)": DEFAULT},
    "estimator": {
        "right to 1e-8": "tests/test_scores.py holds every route to it",
        "| 1e-8 | 1e-8 | 1e-8 |": "tests/test_scores.py holds every route to it",
        "| 1e-5 | 1e-3 | 1e-2 up to 8h, then 1 % of log f |": "tests/test_scores.py holds every route to it",
        "| 1e-3 | 0.05 | 2 % of log f (7 % in three columns) |": "tests/test_scores.py holds every route to it",
    },
    "explore": {"at least 2 %": DEFAULT},
    "geometry": {"L^-1 x": "an inverse matrix times a vector"},
    "gpu": {
        "about 5e-6 of it": DEFAULT,
        "48 bytes a point": ARRAYS,
        "eight times all before it": "how slabs of points grow",
        "a second threshold": "one more",
        "the bytes a second of": "a rate, of which no number is said",
        "the operations a second of": "a rate, of which no number is said",
    },
    "kernels": {"it takes a second": DEFAULT},
    "kmeans": {
        "below 1e-150": "where squares leave float64",
    },
    "labels": {"within 1e-5 bandwidths": "what is promised; tests/test_blurring.py holds it"},
    "larger-than-memory": {"Every ten seconds": DEFAULT, "one to four bytes a row": ARRAYS},
    "lsh": {
        "recall of 0.9": TASK,
        "recall@10 tuned to 0.9": TASK,
        "recall@10 of 0.9, recall@1 of 0.8 and recall@20 of 0.95": TASK,
    },
    "segmentation": {"half as long again": "the length of a step, by definition"},
    "1_loop": {
        "twice the points are four times the work": SQUARE,
        "four times as long for twice the points": SQUARE,
    },
    "3_closest": {
        "twice the points twice as many are close": "points in a ball grow as all points do",
        "four times as long for twice the points": SQUARE,
    },
}
CLAIMS = [
    "It is 12.3 times faster.",
    "A fit returns in 0.4 s.",
    "The clusters are right, ARI 0.82.",
    "an adjusted Rand index of 0.97",
    "| a table | 95 ms | 1.2 |",
    "it takes eleven minutes",
    "a quarter of a\nsecond",
    "99.4 % are proven",
    "33 bytes a point more",
    "errors stay below 3e-7 bandwidths",
    "none of 40 draws, or 2 of 40, are wrong",
    "5.3 MB of coordinates",
    "twice as fast",
    "`fit` takes `n` points in 18 ms",
    "```console\nmodeseek cluster a.csv  # 3.5 s\n```",
    "<!-- not run: no GPU -->\n```python\nfit(X)  # 250 ms\n```",
]


@pytest.mark.parametrize("name", TEXTS)
def test_figures_are_made_of_results(name):
    assert not found(TEXTS[name], ALLOWED.get(name, ())), (
        "make it of a result (benchmarks/pages.py), or say it in words"
    )


@pytest.mark.parametrize("name", ALLOWED)
def test_what_is_allowed_is_there_looks_measured_and_has_a_reason(name):
    for phrase, reason in ALLOWED[name].items():
        assert phrase in TEXTS[name], phrase
        assert MEASURED.search(phrase), phrase
        assert len(reason) > 5


@pytest.mark.parametrize("name", [name for name in PAGES if name not in INCLUDED])
def test_a_figure_typed_into_a_page_is_found(name):
    page = (DOCS / f"{name}.md").read_text(encoding="utf-8")
    for claim in CLAIMS:
        assert found(prose(f"{page}\n{claim}\n"), ALLOWED.get(name, ())), claim
        first, rest = page.split("\n\n", 1)
        assert found(prose(f"{first}\n\n{claim}\n\n{rest}"), ALLOWED.get(name, ())), claim


@pytest.mark.parametrize("name", LESSON)
def test_a_figure_typed_into_the_lesson_is_found(name):
    script = (DOCS / "lesson" / f"{name}.py").read_text(encoding="utf-8")
    for claim in CLAIMS[:3]:
        assert found(comments(f"{script}\n# {claim}\n"), ALLOWED.get(name, ())), claim


def test_what_runs_and_what_is_filled_is_not_taken_for_typed():
    kept = prose(
        "<!-- a: begin -->\n12 times\n<!-- a: end -->\n```python\n>>> 1 / 2  # 50 %\n0.5\n```\n`tune(recall=0.9)`"
    )
    assert not found(kept)


@pytest.mark.parametrize("name", PAGES)
def test_every_marker_is_filled(name):
    text = (DOCS / f"{name}.md").read_text(encoding="utf-8")
    assert sorted(re.findall(r"<!-- (\w+): begin -->", text)) == sorted(pages.FILLED.get(DOCS / f"{name}.md", ()))


# ------------------------------------------------------------------------------------------------ what is computed


def test_sizes_and_times_are_written_with_their_unit():
    sizes = {12: "12 bytes", 2110: "2.1 kB", 9.8e6: "9.8 MB", 19.96e9: "20 GB", 1e12: "1 TB"}
    spans = {39.4: "39 seconds", 119.0: "119 seconds", 937.5: "16 minutes", 9000.0: "2.5 hours"}
    assert {n: sizing.size(n) for n in sizes} == sizes
    assert {seconds: sizing.span(seconds) for seconds in spans} == spans


def test_a_grid_is_none_where_it_would_have_too_many_nodes():
    assert sizing.spacing(3, 1000, "fast") is None
    spacing, nodes = sizing.spacing(1, 10, "fast")
    assert spacing == 1 / 8
    assert 80 <= nodes <= 100


def test_the_projection_follows_the_rates(monkeypatch):
    rows = {
        "dask_stages": [
            {"d": "2", "fidelity": fidelity, "summed_by": "nodes", "open": "0.25", "bounds_ns": "10", "sum_ns": "20",
             "look_up_ns": "30", "labels_ns": "40"} for fidelity in ("fast", "certified")
        ],
        "dask_tasks": [{"what": "task", "seconds": "0.002"}],
    }  # fmt: skip
    monkeypatch.setattr(sizing.harness, "read_rows", rows.__getitem__)
    text = sizing.projection()
    assert "| 1e+02 ns a point on one core | 6.5 minutes |" in text
    assert "| 50,000 tasks, 2 ms each | 100 seconds |" in text
    assert "Reading decides" in text
    assert "25 % of 1e12" in sizing.first_to_break()
    assert "are 4 TB" in sizing.first_to_break()
    rows["dask_tasks"][0]["seconds"] = "1.0"
    assert "Scheduling decides" in sizing.projection()
