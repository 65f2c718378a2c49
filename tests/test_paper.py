"""The paper says what was measured: its numbers are in the results, its references are used, and it compiles."""

import re
from pathlib import Path

import pytest
from benchmarks.paper import gaps

from paper import figures, numbers, results

PAPER = Path(figures.__file__).parent
TEXT = (PAPER / "main.typ").read_text(encoding="utf-8")
ALLOWED = {"95 per cent", "float64"}  # what is no measurement


def prose() -> str:
    """Return the text without comments, code, citations, names of numbers and formulas."""
    text = re.sub(r"(?m)^\s*//.*$", "", TEXT[TEXT.index("abstract:") :])
    text = re.sub(r"\$[^$]*\$|@[\w:-]+|<[\w:-]+>", " ", text)
    text = re.sub(r"#block\(.*", " ", text)
    return re.sub(r"#\w+\(\"[^\"]*\"[^)]*\)|#\w+\([^)\"\[]*\)|\(\d, \[|\d\.?\d*em", " ", text)


def test_every_number_that_the_text_names_is_there():
    named = set(re.findall(r"#n\(\"(\w+)\"\)", TEXT))
    found = numbers.all_numbers()
    assert len(named) > 50
    assert named <= found.keys()
    assert all(found.values())


def test_the_text_holds_no_measured_number():
    long = r"[a-z]*\d[\d.,\u202f]*\d(?: per cent)?"
    with_unit = r"\b\d[\s~]*(?:%|per cent|(?:s|ms|ns|seconds|hours|h|times|points|labels|MiB|bytes|cores)\b)"
    typed = re.findall(f"{long}|{with_unit}", prose())
    assert [word for word in typed if word not in ALLOWED] == []


def test_references_are_cited_and_citations_are_listed():
    bibliography = (PAPER / "references.bib").read_text(encoding="utf-8")
    listed = re.findall(r"(?m)^@\w+\{(\w+),", bibliography)
    cited = set(re.findall(r"@([a-z]+\d{0,4}[a-z]*)\b(?!:)", TEXT))
    assert len(listed) == len(set(listed))
    assert cited == set(listed)


def test_every_figure_is_drawn_and_shown():
    assert set(re.findall(r"#figure\(plot\(\"(\w+)\"", TEXT)) == figures.FIGURES.keys()


def test_what_the_words_say_of_the_results_is_still_so():
    assert all(int(row["disagree"]) == 0 for row in results.rows("certificate"))
    assert all(int(row["wrong"]) == 0 for row in results.rows("paper_ablations"))
    assert all(int(row["violations"]) == 0 for row in results.rows("paper_gaps"))
    assert all(int(row["audited"]) == 0 for row in results.rows("paper_pareto"))
    coverage = results.rows("audit_coverage")
    for seen in ("coverage", "exact_coverage"):
        assert all(float(row[seen]) >= float(row["confidence"]) for row in coverage)
    errors = results.rows("fidelity")
    assert all(float(row["error_over_bound"]) < 1.0 for row in errors if row["sketch"] != "centroid")


@pytest.mark.parametrize("name", ["uniform", "corners", "two places"])
def test_bounds_are_compared_with_exact_sums(name):
    X, w = gaps.SETS[name][0](400, 2, 1 / 7)
    found = gaps.quotients(X, w, 1.0, 1 / 7, 200)
    assert found["places"] > 50
    assert found["violations"] == 0
    assert 0.0 < found["step"] < 1.0
    assert 0.0 < found["jacobian"] < 1.0


def test_control_a_table_of_another_bandwidth_violates_its_bounds(monkeypatch):
    X, w = gaps.SETS["corners"][0](400, 2, 1 / 7)
    of = gaps.exact
    monkeypatch.setattr(gaps, "exact", lambda X, w, places: of(X * 1.01, w, places * 1.01))
    assert gaps.quotients(X, w, 1.0, 1 / 7, 200)["violations"] > 0


def test_what_is_missing_is_named():
    with pytest.raises(FileNotFoundError, match=r"nothing\.csv is missing"):
        results.rows("nothing")
    with pytest.raises(LookupError, match="0 rows"):
        results.only("scaling", d=17)
    with pytest.raises(LookupError, match="no constant NOTHING"):
        results.constant("flood", "NOTHING")


@pytest.mark.parametrize(
    ("value", "digits", "text"), [(0.1234, 2, "0.12"), (2.0, 2, "2.0"), (230.4, 3, "230"), (1e-5, 1, "0.00001")]
)
def test_numbers_are_rounded_to_significant_digits(value, digits, text):
    assert numbers.rounded(value, digits) == text


def test_shares_near_one_keep_the_digits_of_what_is_missing():
    assert numbers.percent(0.999716, 3) == "99.972\u00a0%"
    assert numbers.percent(0.9703, 3) == "97.0\u00a0%"
    assert numbers.percent(1.0) == "100\u00a0%"


def test_the_paper_compiles(monkeypatch, tmp_path):
    pytest.importorskip("typst")
    from paper import compile as making

    numbers.main()
    figures.main()
    pdf = making.compiled("pdf")
    assert isinstance(pdf, bytes)
    assert pdf.startswith(b"%PDF")
    pages = making.compiled("png", 20)
    assert 7 <= len(pages) <= 11
