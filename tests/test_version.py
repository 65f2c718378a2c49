"""The version is that of the installed package, which has it of the git tag."""

import importlib
import subprocess
import sys
from importlib import metadata

import pytest

import modeseek as ms


@pytest.fixture
def anew():
    """Forget the version that was looked up, before and after."""
    vars(ms).pop("__version__", None)
    yield
    vars(ms).pop("__version__", None)


def test_the_version_is_that_of_the_package(anew, monkeypatch):
    monkeypatch.setattr(metadata, "version", {"modeseek": "1.2.3"}.__getitem__)
    assert ms.__version__ == "1.2.3"
    monkeypatch.undo()
    assert ms.__version__ == "1.2.3"  # looked up once


def test_a_source_tree_that_is_not_installed_has_a_version_too(anew, monkeypatch):
    def missing(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", missing)
    assert ms.__version__ == "0+unknown"


def test_an_import_does_not_look_for_it():
    code = "import sys, modeseek; assert '__version__' not in vars(modeseek); assert '__version__' in dir(modeseek)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_star_import_has_it():
    names = {}
    exec("from modeseek import *", names)
    assert names["__version__"] == importlib.import_module("modeseek").__version__
