"""Pages that show results show what the files of results say, and every result has a place on docs/benchmarks.md."""

import re

import pytest
from benchmarks import figures, harness, pages, tables

PAGES = {page.name: page for page in pages.FILLED}


@pytest.mark.parametrize("name", PAGES)
def test_no_page_is_stale(name):
    text = PAGES[name].read_text(encoding="utf-8")
    assert text == pages.filled(PAGES[name]), f"{name} is stale: run python -m benchmarks.figures, and commit it"


@pytest.mark.parametrize("name", PAGES)
def test_no_page_has_a_place_that_nothing_fills(name):
    markers = re.findall(r"<!-- (\w+): begin -->", PAGES[name].read_text(encoding="utf-8"))
    assert sorted(markers) == sorted(pages.FILLED[PAGES[name]])


def test_every_result_has_a_place():
    placed = [name for names in pages.SECTIONS.values() for name in names]
    assert len(placed) == len(set(placed))
    assert {name for name in pages.committed() if not name.startswith("gpu_")} == set(placed)


def test_every_section_says_how_to_repeat_it():
    sections = re.split(r"^## ", pages.BENCHMARKS.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    assert len(sections) == len(pages.SECTIONS) + 1  # and the GPU
    for text in sections:
        (module,) = re.findall(r"^```console\npython -m benchmarks\.(\w+)\n```$", text, re.MULTILINE)
        found = harness.ROOT / "benchmarks" / module
        assert found.with_suffix(".py").is_file() or (found / "__main__.py").is_file(), module


@pytest.fixture
def results(tmp_path, monkeypatch):
    """Let results be read from an empty folder."""
    monkeypatch.setattr(harness, "RESULTS", tmp_path)
    return tmp_path


def test_a_missed_bar_says_so_and_the_machine_stands_below(results):
    row = {"bar": "seconds", "measured": 12345.6, "required": "< 3", "result": "FAIL", "agreement": 0.5, "times": ""}
    harness.write_rows("some", [row, row | {"result": "pass", "required": ""}])
    text = pages.section(("some",))
    assert "| seconds | 12,346 | < 3, missed | 0.5 |" in text
    assert "| seconds | 12,346 |  | 0.5 |" in text
    assert f"numpy {harness.machine()['numpy']}" in text
    assert re.search(r": some\.csv \(load [\d. ]+\)\*$", text)


def test_files_of_one_machine_share_a_line(results):
    row = {"bar": "a", "measured": 1.0, "required": "", "times": ""}
    for name in ("one", "two"):
        harness.write_rows(name, [row])
    other = (results / "two.csv").read_text(encoding="utf-8").replace("# cores: ", "# cores: 9")
    (results / "three.csv").write_text(other, encoding="utf-8")
    lines = pages.measured_on(("one", "two", "three")).split("\n\n")
    assert len(lines) == 2
    assert "one.csv" in lines[0]
    assert "two.csv" in lines[0]
    assert "three.csv" in lines[1]


def test_results_of_a_gpu_are_shown_where_there_are_any(results):
    assert pages.on_gpu(pages.committed(results)) == pages.NO_GPU
    harness.write_rows("gpu_machine", [{"what": "device", "value": "a GPU"}])
    row = {
        "case": "blobs",
        "n": 10,
        "d": 2,
        "seconds": 0.5,
        "limit_seconds": 0.25,
        "required": "<= 3",
        "passed": "pass",
    }
    harness.write_rows("gpu_dbscan", [row | {"agrees": 1.0, "note": ""}])
    harness.write_rows("gpu_dbscan-quick", [row | {"case": "not kept"}])
    text = pages.on_gpu(pages.committed(results))
    assert "| blobs | 10 | 2 | 500 ms | 250 ms | <= 3 | pass | 1 |  |" in text
    assert "| device | a GPU |" in text
    assert "not kept" not in text


def test_a_page_without_a_place_is_refused():
    with pytest.raises(ValueError, match="some: begin"):
        pages.fill("nothing here", "a table", "some")


@pytest.mark.parametrize("known", ["", "1.5"])
def test_the_fit_in_memory_is_shown_where_it_was_measured(known):
    row = {"fidelity": "fast", "writes": "labels", "seconds": "2.5", "scan_seconds": "0.5", "times_scan": "5",
           "peak_mib": "1104.39", "labels_equal": "True", "fit_in_memory": known}  # fmt: skip
    text = pages.on_files([row])
    assert ("fit in memory" in text) == bool(known)
    assert "| 1,104 | to the bit |" in text
    assert "fit in memory" not in pages.on_files([{k: v for k, v in row.items() if k != "fit_in_memory"}])


def test_figures_are_drawn(tmp_path):
    rows = [
        {"d": d, "fidelity": fidelity, "n": str(n), "seconds": str(n * 1e-8)}
        for d, fidelity in figures.GROWTH
        for n in (10**5, 10**6)
    ]
    figures.growth(rows, tmp_path / "growth.png")
    figures.against({"one": [0.5, 2.0], "other": [100.0]}, tmp_path / "peers.png")
    assert all((tmp_path / name).stat().st_size > 10_000 for name in ("growth.png", "peers.png"))


@pytest.mark.parametrize("peer", figures.PEERS)
def test_every_comparison_of_the_figure_is_in_the_results(peer):
    assert figures.quotients(*figures.PEERS[peer])


def test_numbers_are_written_for_readers():
    assert [tables.percent("0.0005"), tables.took("0.0123"), tables.whole("1000000")] == [
        "0.05 %",
        "12.3 ms",
        "1,000,000",
    ]
    assert [write("") for write in (tables.percent, tables.took, tables.whole, tables.counted)] == [""] * 4
