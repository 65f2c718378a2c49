"""What the library stands on and is measured beside is named where it is thanked."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "thanks.md").read_text(encoding="utf-8").lower()
CALLED = {"torch": "pytorch", "faiss-cpu": "faiss", "opencv-python-headless": "opencv"}


def test_everything_that_runs_with_it_or_is_compared_with_is_named():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    used = {name: needed for name, needed in extras.items() if name not in ("test", "docs", "lint")}
    needed = [*project["dependencies"], *(one for several in used.values() for one in several)]
    names = {re.match(r"[\w-]+", one)[0].lower() for one in needed} - {"modeseek"}
    assert len(names) > 10
    assert [name for name in sorted(names) if f"[{CALLED.get(name, name)}]" not in PAGE] == []
