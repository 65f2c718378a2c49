"""Chromium without a window, for tests and benchmarks of pages; and what it was asked to load."""

import json
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    *("--headless=new", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--no-sandbox"),
)


def missing() -> str:
    """Say what there is no browser for; nothing if there is one."""
    if not any(map(shutil.which, BROWSERS)) or not shutil.which("chromedriver"):
        return "no Chromium with chromedriver: `sh tests/browser.sh` says how to get one"
    try:
        import selenium  # noqa: F401
    except ImportError:
        return "no Selenium: pip install 'modeseek[test]'"
    return ""


@contextmanager
def browser(width: int = 1280, height: int = 900):
    """Yield a driver; what is saved from a page goes to ``driver.downloads``."""
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    with tempfile.TemporaryDirectory() as profile, tempfile.TemporaryDirectory() as downloads:
        options = webdriver.ChromeOptions()
        options.binary_location = next(filter(None, map(shutil.which, BROWSERS)))
        for flag in (*FLAGS, f"--user-data-dir={profile}", f"--window-size={width},{height}"):
            options.add_argument(flag)
        options.add_experimental_option("prefs", {"download.default_directory": downloads})
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        driver = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
        driver.downloads = Path(downloads)
        try:
            yield driver
        finally:
            driver.quit()


def opened(driver, page: Path):
    """Open a page, and wait until its plots are drawn."""
    from selenium.webdriver.support.ui import WebDriverWait

    driver.get(page.as_uri())
    drawn = "return performance.getEntriesByName('explore-drawn').length"
    WebDriverWait(driver, 60, 0.05).until(lambda d: d.execute_script(drawn))
    return driver


def requests(driver) -> list[str]:
    """Return the addresses that were asked for since the last call."""
    messages = (json.loads(entry["message"])["message"] for entry in driver.get_log("performance"))
    return [m["params"]["request"]["url"] for m in messages if m["method"] == "Network.requestWillBeSent"]
