"""Read what benchmarks wrote, and constants of the library from its source; measure and import nothing.

A file, a row or a constant that is missing is an error that names it: the paper shows what was measured or is not made.
"""

import ast
import csv
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results"
BUILD = Path(__file__).resolve().parent / "build"

Row = dict[str, str]


def rows(name: str) -> list[Row]:
    """Return the rows of benchmarks/results/``name``.csv."""
    return list(csv.DictReader(line for line in _lines(name) if not line.startswith("#")))


def machine(name: str) -> Row:
    """Return what the head of a file says of the machine it was measured on."""
    pairs = (line[1:].partition(":") for line in _lines(name) if line.startswith("#"))
    return {key.strip(): value.strip() for key, _, value in pairs}


def _lines(name: str) -> list[str]:
    path = RESULTS / f"{name}.csv"
    if not path.exists():
        raise FileNotFoundError(f"{path} is missing: run the benchmark that writes it, or take what needs it out.")
    return path.read_text(encoding="utf-8").splitlines()


def only(name: str, **wanted: object) -> Row:
    """Return the one row of a file whose columns are as wanted."""
    found = [row for row in rows(name) if all(row[key] == str(value) for key, value in wanted.items())]
    if len(found) != 1:
        raise LookupError(f"{name}.csv has {len(found)} rows with {wanted}, not one.")
    return found[0]


def bar(name: str, says: str) -> float:
    """Return what was measured for the bar of a file that is called so."""
    return float(only(name, bar=says)["measured"])


def constant(module: str, name: str, package: str = "src/modeseek") -> object:
    """Return a constant of ``package``/``module``.py, read from the source."""
    path = ROOT / package / f"{module}.py"
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign):
            target, value = node.targets[0], node.value
            names = [e.id for e in target.elts] if isinstance(target, ast.Tuple) else [getattr(target, "id", "")]
            if name in names:
                value = value.elts[names.index(name)] if isinstance(target, ast.Tuple) else value
                return _value(value)
    raise LookupError(f"{path} has no constant {name}.")


def _value(node: ast.expr) -> object:
    """Return the value of numbers, their quotients and shifts, and containers of these."""
    text = ast.unparse(node)
    if not re.fullmatch(r"[\d\s.,e+\-*/<(){}:]+", text):
        raise ValueError(f"{text!r} is no plain number.")
    return eval(text)
