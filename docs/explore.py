"""Take pictures of a page to explore: ``python docs/explore.py`` (needs ``modeseek[explore,test]`` and Chromium).

Two widths side by side: light on a desktop, dark on a phone. Run it from the root of the repository.
"""

import io
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image
from tests.browser import browser, opened

import modeseek as ms

IMAGES = Path(__file__).parent / "images"
VIEWS = {"desktop": (1180, 800, "light", 0), "phone": (400, 800, "dark", -6)}  # size, scheme, slider moved by


def nested(n=100_000, seed=0):
    """Draw three pairs of clusters: three at a coarse scale, six at a fine one."""
    rng = np.random.default_rng(seed)
    centres = np.array([[0.0, 0.0], [3.4, 0.0], [16.0, 3.0], [16.0, 6.4], [6.0, 15.0], [9.4, 15.0]])
    return centres[rng.integers(0, 6, n)] + 0.8 * rng.normal(size=(n, 2))


def views(page):
    """Yield a picture of each view."""
    with browser() as driver:
        for width, height, scheme, by in VIEWS.values():
            size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
            driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
            media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
            driver.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
            opened(driver, page)
            driver.execute_script(
                "const s = document.getElementById('bandwidth'); s.value = Number(s.value) + arguments[0];"
                "s.dispatchEvent(new Event('input'))",
                by,
            )
            time.sleep(0.5)
            yield Image.open(io.BytesIO(driver.get_screenshot_as_png())).convert("RGB")


def main():
    """Write docs/images/explore.png."""
    with tempfile.TemporaryDirectory() as directory:
        page = ms.plot.explore(nested(), title="Clusters within clusters").save(Path(directory) / "page.html")
        pictures = list(views(page))
    gap = 24
    whole = Image.new("RGB", (sum(p.width for p in pictures) + gap, max(p.height for p in pictures)), "white")
    left = 0
    for picture in pictures:
        whole.paste(picture, (left, 0))
        left += picture.width + gap
    IMAGES.mkdir(exist_ok=True)
    whole.quantize(256).save(IMAGES / "explore.png", optimize=True)


if __name__ == "__main__":
    main()
