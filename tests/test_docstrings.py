"""What users read: every public name is described in full, and has an example that runs."""

import doctest
import inspect
import warnings

import pytest
from numpydoc.docscrape import NumpyDocString
from numpydoc.validate import validate

import modeseek as ms

# https://numpydoc.readthedocs.io/en/latest/validation.html
CHECKED = {
    *("GL06", "GL07", "GL08"),  # unknown sections, their order, no docstring at all
    *("SS01", "SS03", "SS04"),  # a summary, with a full stop
    *("PR01", "PR02", "PR03", "PR04", "PR07"),  # each parameter: described, with its type, in order, and no other
    *("RT01", "RT03", "YD01"),  # what comes back
}
MODULES = {"plot": ms.plot, "textbook": ms.textbook}
NAMES = [
    *(name for name in ms.__all__ if name != "__version__" and name not in MODULES),
    *(f"{module}.{name}" for module, of in MODULES.items() for name in of.__all__),
]
CLASSES = [name for name in NAMES if inspect.isclass(getattr(ms, name, None))]
INNER = {  # verbs of a sketch that other modules use: told in a line
    "DensitySketch": {"add_masses", "add_placed", "add_scanned", "add_tensor", "emptied", "make_room", "nodes"}
    | {"shrunk", "take_placed", "trimmed"}
}


def public(name):
    """Return the object of a public name."""
    value = ms
    for part in name.split("."):
        value = getattr(value, part)
    return value


def methods(name):
    """Return the public methods that a class has of this library."""
    cls = public(name)
    found = [m for m, f in inspect.getmembers(cls, callable) if not m.startswith("_") and m not in INNER.get(name, ())]
    return [m for m in found if getattr(cls, m).__module__.startswith("modeseek")]


def errors(path):
    return [f"{path}: {code} {what}" for code, what in validate(path)["errors"] if code in CHECKED]


def test_every_module_that_is_public_is_walked():
    modules = {name for name in ms.__all__ if inspect.ismodule(getattr(ms, name))}
    assert modules == set(MODULES)


@pytest.mark.parametrize("name", NAMES)
def test_every_public_name_is_described_in_full(name):
    value = public(name)
    assert errors(f"{value.__module__}.{value.__qualname__}") == []


@pytest.mark.parametrize("name", CLASSES)
def test_every_method_is_described_in_full(name):
    found = methods(name)
    assert found
    cls = public(name)
    for method in found:
        owner = next(c for c in cls.__mro__ if method in vars(c))
        assert errors(f"{owner.__module__}.{owner.__qualname__}.{method}") == []


@pytest.mark.parametrize("name", NAMES)
def test_every_public_name_has_an_example_that_runs(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    value = public(name)
    assert NumpyDocString(inspect.getdoc(value))["Examples"]
    test = doctest.DocTestFinder(recurse=False).find(value, name, globs=dict(vars(inspect.getmodule(value))))[0]
    assert [e for e in test.examples if not e.options.get(doctest.SKIP) and e.want]  # and says what comes of it
    said = []
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Animation was deleted")
        result = doctest.DocTestRunner().run(test, out=said.append)
    assert result.failed == 0, "".join(said)


@pytest.mark.parametrize("name", [name for name in CLASSES if hasattr(public(name), "_parameter_constraints")])
def test_every_choice_is_named_where_the_parameter_is_described(name):
    cls = public(name)
    said = {p.name: f"{p.type} {' '.join(p.desc)}" for p in NumpyDocString(inspect.getdoc(cls))["Parameters"]}
    choices = [(p, c.options) for p, of in cls._parameter_constraints.items() for c in of if hasattr(c, "options")]
    assert [f"{p}: {o!r}" for p, options in choices for o in sorted(options, key=str) if f'"{o}"' not in said[p]] == []


def half(x, y):
    """Halve it

    Parameters
    ----------
    x : float
    """
    return x / y


def test_what_is_missing_would_be_seen():
    codes = {what.split()[1] for what in errors(f"{__name__}.half")}
    assert codes >= {"SS03", "PR01", "PR07", "RT01"}
    assert not NumpyDocString(inspect.getdoc(half))["Examples"]
