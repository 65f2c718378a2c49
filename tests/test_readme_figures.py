"""Numbers in README.md are measured: they stand between markers, where they are made of results, or nowhere."""

import re
from pathlib import Path

import pytest
from benchmarks import headlines

from tests.measured import MEASURED, found, outside

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")

ALLOWED = {  # what looks like a measurement: why it is none
    "twice as large": "what the bandwidths of two kernels mean; docs/kernels.md has the formula",
    "twice as wide": "what rounding toward zero does to the cells of others, read in their source",
}


def test_the_headlines_are_what_was_measured():
    (shown,) = re.findall(r"<!-- headlines: begin -->\n(.*?)\n<!-- headlines: end -->", TEXT, re.DOTALL)
    assert shown == headlines.table(), "README.md is stale: run python -m benchmarks.figures, and commit it"


def test_numbers_that_look_measured_are_made_of_results():
    assert not found(outside(TEXT), ALLOWED)


def test_what_is_allowed_is_there_and_has_a_reason():
    for phrase, reason in ALLOWED.items():
        assert phrase in " ".join(outside(TEXT).split())
        assert MEASURED.search(phrase)
        assert len(reason) > 20


@pytest.mark.parametrize(
    "claim",
    [
        "a million points take 0.05 seconds",
        "it takes two to three times the time of `fast`",
        "108 times faster",
        "A million points are 7 MB",
        "a step of the slider takes 18 ms",
        "fifty million points take 33 bytes each",
        "it takes a quarter of a second",
        "99.4 % are proven",
        "about a second",
        "a 40x speedup",
        "twice the speed",
    ],
)
def test_claims_outside_are_found(claim):
    assert found(outside(f"{TEXT}\n{claim}\n"), ALLOWED)


def test_what_stands_between_markers_is_not_taken_for_typed():
    assert "<!-- figures: begin -->" not in outside(TEXT)
    assert len(outside(TEXT)) < len(TEXT)


def test_a_headline_whose_measurement_is_gone_is_an_error(monkeypatch):
    monkeypatch.setattr(headlines.harness, "read_rows", lambda name: [])
    with pytest.raises(ValueError, match="not enough values"):
        headlines.bar("dropin", "2,000 points, d = 2: times faster")


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "SECURITY.md", "docs/labels.md"])
def test_links_lead_somewhere(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    links = re.findall(r"\]\(([^)#]+)[^)]*\)", text) + re.findall(r'src="([^"]+)"', text)
    inside = [link for link in links if not re.match(r"https?://", link)]
    assert not [link for link in inside if not ((ROOT / page).parent / link).exists()]
