"""The page to explore, in Chromium: what is shown and saved is what Python gives, and nothing is asked of a network."""

import time

import numpy as np
import pandas as pd
import pytest

import modeseek as ms
from tests import browser as browsers

pytestmark = pytest.mark.skipif(bool(browsers.missing()), reason=browsers.missing() or "a browser is here")

NASTY = '<img src=x onerror="document.title=1">&amp;'


def blobs(n, d=2, seed=0):
    rng = np.random.default_rng(seed)
    centres = rng.uniform(-20, 20, (6, d))
    return centres[rng.integers(0, 6, n)] + 2.0 * rng.normal(size=(n, d))


@pytest.fixture(scope="module")
def driver():
    with browsers.browser() as driver:
        yield driver


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    X = pd.DataFrame(blobs(600, 3), columns=["height", NASTY, "width"])
    page = ms.plot.explore(X, title=NASTY)
    page.X, page.file = X, page.save(tmp_path_factory.mktemp("page") / "small.html")
    return page


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    X = blobs(30_000)
    page = ms.plot.explore(X, fidelity="fast")
    page.X, page.file = X, page.save(tmp_path_factory.mktemp("page") / "large.html")
    return page


def move(driver, stop):
    driver.execute_script(
        "const s = document.getElementById('bandwidth'); s.value = arguments[0]; s.dispatchEvent(new Event('input'))",
        stop,
    )


def table(driver):
    rows = "[...document.querySelectorAll('#clusters tbody tr')].map(r => [...r.cells].map(c => c.textContent))"
    return driver.execute_script(f"return {rows}")


def stop_of(driver):
    return int(driver.execute_script("return document.getElementById('bandwidth').value"))


def shown_colors(driver):
    """Return the colours that the plot was given: of points, or of pixels."""
    return driver.execute_script(
        "const at = n => Bokeh.documents.map(d => d.get_model_by_name(n)).find(Boolean);"
        "const p = at('points').data.color;"
        "return Array.from(p.length ? p : new Set(at('image').data.image[0]))"
    )


def test_opens_where_the_bandwidth_was_chosen(driver, small):
    browsers.opened(driver, small.file)
    assert stop_of(driver) == small.start
    assert "(chosen)" in driver.find_element("id", "value").text
    assert driver.title == NASTY
    assert not driver.execute_script("return document.querySelectorAll('img').length")


def test_every_bandwidth_shows_the_clusters_of_mean_shift(driver, small):
    browsers.opened(driver, small.file)
    X = small.X.to_numpy()
    for stop in range(0, len(small.bandwidths), 3):
        move(driver, stop)
        model = ms.MeanShift(small.bandwidths[stop]).fit(X)
        counts = np.bincount(model.labels_)
        rows = table(driver)
        assert [int(row[1].replace(",", "")) for row in rows] == counts[:50].tolist()
        assert driver.find_element("id", "summary").text.startswith(f"{len(counts)} cluster")
        modes = [[float(row[3]), float(row[6])] for row in rows]
        np.testing.assert_allclose(modes, model.cluster_centers_[:50, :2], rtol=1e-4, atol=1e-4)
        first = X[model.labels_ == 0]
        expected = [first[:, 0].mean(), first[:, 0].std(), first[:, 1].mean(), first[:, 1].std()]
        np.testing.assert_allclose([float(rows[0][i]) for i in (4, 5, 7, 8)], expected, rtol=1e-4, atol=1e-4)
        colors = np.array(shown_colors(driver))
        for label in range(min(len(counts), 24)):  # one colour for a cluster
            assert len(np.unique(colors[model.labels_ == label])) == 1


def test_the_path_counts_what_is_shown(driver, large):
    browsers.opened(driver, large.file)
    agree = 0
    for i, h in enumerate(large.path.bandwidths):
        move(driver, int(np.searchsorted(large.bandwidths, h)))
        heavy = sum(int(row[1].replace(",", "")) >= 0.02 * len(large.X) for row in table(driver))
        agree += heavy == large.path.n_modes[i]
    assert agree >= len(large.path.bandwidths) - 3  # where two modes are about to merge, a grid may tell otherwise


@pytest.mark.parametrize("which", ["small", "large"])
def test_saved_labels_are_those_of_python(driver, which, request):
    page = request.getfixturevalue(which)
    browsers.opened(driver, page.file)
    for stop in (0, page.start, len(page.bandwidths) - 1):
        move(driver, stop)
        driver.find_element("id", "export").click()
        deadline = time.monotonic() + 20
        while not (files := list(driver.downloads.glob("*.csv"))) and time.monotonic() < deadline:
            time.sleep(0.05)
        saved = pd.read_csv(files[0])
        files[0].unlink()
        fidelity = "fast" if which == "large" else "certified"
        expected = ms.MeanShift(page.bandwidths[stop], fidelity=fidelity).fit(np.asarray(page.X)).labels_
        np.testing.assert_array_equal(saved["label"], expected)
        np.testing.assert_array_equal(saved["row"], np.arange(len(expected)))


@pytest.mark.parametrize("which", ["small", "large"])
def test_no_network_and_no_complaints(driver, which, request):
    driver.get("about:blank")
    driver.get_log("browser"), browsers.requests(driver)
    page = request.getfixturevalue(which)
    browsers.opened(driver, page.file)
    for stop in (0, len(page.bandwidths) - 1):
        move(driver, stop)
    asked = browsers.requests(driver)
    assert page.file.as_uri() in asked
    assert all(address.startswith(("file:", "data:", "blob:")) for address in asked), asked
    complaints = [entry for entry in driver.get_log("browser") if entry["level"] not in ("INFO", "DEBUG")]
    assert not complaints


def test_keyboard(driver, small):
    from selenium.webdriver.common.keys import Keys

    browsers.opened(driver, small.file)
    body, order = driver.find_element("tag name", "body"), []
    for _ in range(14):
        body.send_keys(Keys.TAB) if not order else driver.switch_to.active_element.send_keys(Keys.TAB)
        order.append(driver.switch_to.active_element.get_attribute("id"))
    reached = [name for name in order if name in ("bandwidth", "x", "y", "export", "all")]
    assert reached[:5] == ["bandwidth", "x", "y", "export", "all"]
    slider = driver.find_element("id", "bandwidth")
    slider.send_keys(Keys.ARROW_RIGHT)
    assert stop_of(driver) == small.start + 1
    assert slider.value_of_css_property("outline-style") == "solid"
    assert f"{small.bandwidths[small.start + 1]:.5g}"[:4] in slider.get_attribute("aria-valuetext")
    slider.send_keys(Keys.HOME)
    assert stop_of(driver) == 0


def test_columns(driver, small):
    from selenium.webdriver.support.ui import Select

    browsers.opened(driver, small.file)
    Select(driver.find_element("id", "x")).select_by_visible_text("width")
    Select(driver.find_element("id", "y")).select_by_visible_text(NASTY)
    headings = driver.execute_script("return [...document.querySelectorAll('#clusters th')].map(c => c.textContent)")
    assert headings[3:5] == ["width", NASTY]
    driver.find_element("id", "all").click()
    assert len(table(driver)[0]) == 3 + 3 * 3
    Select(driver.find_element("id", "y")).select_by_visible_text("number of rows")
    top = driver.execute_script(
        "return Math.max(...Bokeh.documents.map(d => d.get_model_by_name('points')).find(Boolean).data.y)"
    )
    assert top > 0


def test_a_click_on_the_stability_plot_moves_the_slider(driver, small):
    from selenium.webdriver import ActionChains

    browsers.opened(driver, small.file)
    plot = driver.find_element("id", "stability")
    driver.execute_script("arguments[0].scrollIntoView({block: 'center'})", plot)
    ActionChains(driver).move_to_element_with_offset(plot, plot.size["width"] // 2 - 25, 0).click().perform()
    deadline = time.monotonic() + 5
    while stop_of(driver) == small.start and time.monotonic() < deadline:
        time.sleep(0.05)
    assert stop_of(driver) >= len(small.bandwidths) - 3


@pytest.mark.parametrize("which", ["small", "large"])
def test_the_point_at_the_pointer(driver, which, request):
    from selenium.webdriver import ActionChains

    page = request.getfixturevalue(which)
    browsers.opened(driver, page.file)
    at = driver.execute_script(
        "window.scrollTo(0, 0); const d = Bokeh.documents.find(d => d.get_model_by_name('points')), p = d.roots()[0];"
        "const m = d.get_model_by_name('modes').data, r = p.x_range, s = p.y_range;"
        "const box = document.getElementById('map').getBoundingClientRect();"
        "const v = Bokeh.index.get_one(p) ?? Bokeh.index.get_by_id(p.id), f = v.frame.bbox;"
        "return [box.left + f.left + (m.x[0] - r.start) / (r.end - r.start) * f.width,"
        " box.top + f.bottom - (m.y[0] - s.start) / (s.end - s.start) * f.height]"
    )
    actions = ActionChains(driver)
    actions.w3c_actions.pointer_action.move_to_location(round(at[0]), round(at[1]))
    actions.perform()
    deadline = time.monotonic() + 5
    while not driver.find_element("id", "tip").text and time.monotonic() < deadline:
        time.sleep(0.05)
    first, *values = driver.find_element("id", "tip").text.split("\n")
    row = int(first.split(",")[0].removeprefix("row "))
    assert first == f"row {row}, cluster {page.labels(page.start)[row]}"
    told = [float(line.rpartition(": ")[2]) for line in values]
    np.testing.assert_allclose(told, np.asarray(page.X)[row], atol=2e-3)


def test_dark_and_light(driver, small):
    grounds = []
    for scheme in ("light", "dark"):
        media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
        driver.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
        browsers.opened(driver, small.file)
        ink = driver.execute_script("return Bokeh.documents[0].roots()[0].below[0].axis_label_text_color")
        style = "return [getComputedStyle(document.body).color, getComputedStyle(document.body).backgroundColor]"
        text, ground = driver.execute_script(style)
        assert text == f"rgb({int(ink[1:3], 16)}, {int(ink[3:5], 16)}, {int(ink[5:7], 16)})"
        grounds.append(sum(map(int, ground[4:-1].split(","))))
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
    assert grounds[0] > 600 > 200 > grounds[1]


def test_on_a_phone(driver, large):
    size = {"width": 390, "height": 844, "deviceScaleFactor": 2, "mobile": True}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    try:
        browsers.opened(driver, large.file)
        wide, left, right = driver.execute_script(
            "const x = id => document.getElementById(id).getBoundingClientRect();"
            "return [document.documentElement.scrollWidth, x('map').bottom, x('stability').top]"
        )
    finally:
        driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    assert wide <= 390
    assert right >= left  # one below the other


def test_the_benchmark_measures(tmp_path, monkeypatch):
    from benchmarks import explore, harness

    monkeypatch.setattr(explore, "LOADS", 1)
    monkeypatch.setattr(explore, "CASES", {"few": lambda quick: explore.case(6000, 2, [2.0, 5.0, 9.0])})
    monkeypatch.setattr(harness, "RESULTS", tmp_path)
    explore.main(["--quick"])
    rows = {row["bar"].partition(": ")[2]: float(row["measured"]) for row in harness.read_rows("explore-quick")}
    assert 1.2 < rows["megabytes"] < 2
    assert 0 < rows["ms from navigation to first contentful paint"] < rows["ms from navigation to points drawn"] * 2
    assert 0 < rows["ms of a slider step, median"] <= rows["ms of a slider step, slowest"]
