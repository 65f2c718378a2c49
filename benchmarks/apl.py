"""The lesson in APL against the same lines in NumPy: ``python -m benchmarks.apl``.

MARPLE runs `apl/meanshift.apl`, BasedPL `apl/meanshift.bpl`, Python the blocks of `docs/apl.md`, all on the notebook's
1500 points. All take turns; the fastest of three turns counts, as other work on the machine only ever adds.
Results must agree before anything is timed. Prints the times, and writes apl.csv to benchmarks/results.
"""

import math
import re
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import harness
from benchmarks.harness import Row
from modeseek import textbook
from modeseek.textbook import make_data

ROOT = Path(__file__).parents[1]
CENTRES = np.array([[20.0, 20.0], [-10.0, 30.0], [-8.0, 8.0], [30.0, -20.0], [0.0, 0.0], [500.0, 500.0]])
TURNS = 3
RIVALS = ("marple", "basedpl", "numpy", "textbook")  # columns of the results

CASES = {  # what, in MARPLE, in BasedPL, on the page in NumPy, in the textbook
    "table of distances": ("X dists X", "X dists X", "dists(X, X)", "textbook.dist_b(X, X)"),
    "five rounds, point by point": ("loop X", "loop X", "loop(X)", "textbook.meanshift_loop(X)"),
    "five rounds, batches of 500": (
        "500 meanshift X",
        "500 meanshift X",
        "meanshift(500, X)",
        "textbook.meanshift(X, 500)",
    ),
    "k-means, one round": ("X lloyd C", "X lloyd C", "lloyd(X, C)", "textbook.kmeans(X, C, 1)[0]"),
    "five nearest of all": (
        "5 nearest X dists X",
        "5 nearest X dists X",
        "nearest(5, dists(X, X))",
        "textbook.k_nearest(X, X, 5)[1]",
    ),
}


class Marple:
    """A session of MARPLE that has read its file. Positions count from 1."""

    suffix, first = "apl", 1

    def __init__(self) -> None:
        from marple.engine import Interpreter

        self.engine = Interpreter()
        for line in definitions(self.suffix):
            self.engine.run(line)

    def bind(self, name: str, value: Any) -> None:
        """Give an array a name."""
        from marple.apl_value import NC_ARRAY
        from marple.ports.array import APLArray

        self.engine.env.bind_name(name, APLArray(list(np.shape(value)), np.array(value, dtype=float)), NC_ARRAY)

    def value(self, line: str) -> np.ndarray:
        """Return what a line is worth."""
        return np.asarray(self.engine.run(line).data)

    def printed(self, line: str) -> str:
        """Return what a line prints."""
        return self.engine.execute(line).display_text


class BasedPL:
    """A session of BasedPL that has read its file. Positions count from 0."""

    suffix, first = "bpl", 0

    def __init__(self) -> None:
        from basedpl import bpl

        self.bpl = bpl
        for line in definitions(self.suffix):
            self.bpl(line)

    def bind(self, name: str, value: Any) -> None:
        """Give an array a name."""
        self.bpl[name] = np.array(value, dtype=float)

    def value(self, line: str) -> np.ndarray:
        """Return what a line is worth."""
        return np.asarray(self.bpl(line).np)

    def printed(self, line: str) -> str:
        """Return what a line prints."""
        return "\n".join(self.bpl(line, "repl").output)


def definitions(suffix: str) -> list[str]:
    """Return the lines of a file that are no comments."""
    lines = (ROOT / "apl" / f"meanshift.{suffix}").read_text(encoding="utf-8").splitlines()
    return [line.split("  ⍝")[0] for line in lines if line and not line.startswith("⍝")]


def blocks(language: str) -> list[str]:
    """Return the blocks of code of one language in docs/apl.md."""
    page = (ROOT / "docs" / "apl.md").read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)


def in_numpy() -> dict[str, Any]:
    """Return the functions that the page defines in Python."""
    names: dict[str, Any] = {"np": np, "math": math}
    for block in blocks("python"):
        exec(block, names)
    return names


def seconds(work: Callable[[], Any]) -> float:
    """Return how long a call takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def rows() -> Iterator[Row]:
    """Compare, and time in turn."""
    X = make_data()[1].astype(float)
    sessions: list[Any] = [Marple(), BasedPL()]
    names = in_numpy() | {"X": X, "C": CENTRES, "textbook": textbook}
    for session in sessions:
        session.bind("X", X)
        session.bind("C", CENTRES)
    for what, lines in CASES.items():
        expected = eval(lines[3], names)
        places = [s.first if expected.dtype.kind == "i" else 0 for s in sessions] + [0]
        works = [partial(s.value, line) for s, line in zip(sessions, lines, strict=False)]
        works += [partial(eval, line, names) for line in lines[2:]]
        for work, first in zip(works, places, strict=False):
            np.testing.assert_allclose(work() - first, expected, atol=1e-6)
        best = np.min([[seconds(work) for work in works] for _ in range(TURNS)], axis=0)
        yield {"what": what} | {rival: float(took) for rival, took in zip(RIVALS, best, strict=True)}


def main() -> None:
    """Measure, print and write."""
    print("\n".join(f"{key}: {value}" for key, value in harness.machine().items()), end="\n\n")
    found = list(rows())
    print(harness.table(found))
    harness.write_rows("apl", found)


if __name__ == "__main__":
    main()
