# Everything from a fresh clone, with Python 3.11 or newer and a network:
#   make demo    a page of pictures, in demo-output/
#   make test    the tests
#   make search  random examples for the property tests, many more of them (make search TIMES=100)
#   make lint    style, types, and which module may import which
#   make docs    the documentation, in docs-output/
#   make wheel   the package, built, and used in an environment where nothing else is
#   make bench   mean shift against scikit-learn and the notebook
#   make clean   what these targets made
# Each target makes the virtual environment it needs, and again when pyproject.toml changes. Installs are
# editable: changes of the source take effect at once. `make demo PYTHON=/path/to/python3.12` chooses a Python.

# the first of these that runs and is new enough (a name alone proves nothing: it may be a version manager's stub)
PYTHON ?= $(shell for p in python3 python python3.13 python3.12 python3.11 python3.14; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
TORCH ?= torch==2.13.0
MARPLE ?= marple-lang==0.9.0
DEMO ?= demo-output
DOCS ?= docs-output
TIMES ?= 30
PIP_FLAGS = --quiet --disable-pip-version-check

.DEFAULT_GOAL := help
.PHONY: help demo test search lint docs wheel bench clean

help:
	@sed -n '/^#   make/s/^#  //p' Makefile

demo: .venv/installed
	.venv/bin/modeseek demo $(DEMO)
	@echo
	@echo "Open $(abspath $(DEMO))/index.html"

test: .venv-test/installed .venv-test/browser
	.venv-test/bin/python -m pytest -n auto --maxprocesses 8 --dist worksteal

# for hours when the machine has nothing better to do: niced, and what fails is kept in .hypothesis and tried first
search: .venv-test/installed
	TIMES=$(TIMES) nice -n 19 .venv-test/bin/python -m pytest -m hypothesis -n auto --maxprocesses 8 --dist worksteal \
		--hypothesis-profile=search

lint: .venv-test/installed-lint
	.venv-test/bin/ruff check .
	.venv-test/bin/ruff format --check .
	.venv-test/bin/mypy
	.venv-test/bin/lint-imports

# what was generated is made anew: a page of a name that is gone would stay
docs: .venv-docs/installed
	rm -rf docs/built $(DOCS)
	.venv-docs/bin/python -m sphinx -b html -j auto -q -W --keep-going -d docs/built/.doctrees docs $(DOCS)
	@echo
	@echo "Open $(abspath $(DOCS))/index.html"

wheel:
	rm -rf dist
	$(PYTHON) tests/wheel.py dist

bench: .venv-test/installed-bench
	.venv-test/bin/python -m benchmarks.mean_shift

clean:
	rm -rf .venv .venv-test .venv-docs demo-output docs-output docs/built
	rm -rf .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis build dist
	find src tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/installed: pyproject.toml | .venv/bin/python
	.venv/bin/python -m pip install $(PIP_FLAGS) -e '.[cli,plot,image,explore]'
	@touch $@

.venv-test/installed: pyproject.toml | .venv-test/bin/python
	.venv-test/bin/python -m pip install $(PIP_FLAGS) -e '.[test]' '$(TORCH)'
	.venv-test/bin/python -m pip install $(PIP_FLAGS) --no-deps '$(MARPLE)'  # asks for one release of NumPy; any will do
	@touch $@

.venv-test/browser: tests/browser.sh | .venv-test/bin/python
	sh tests/browser.sh
	@touch $@

.venv-test/installed-lint: .venv-test/installed
	.venv-test/bin/python -m pip install $(PIP_FLAGS) -e '.[lint]'
	@touch $@

.venv-docs/installed: pyproject.toml | .venv-docs/bin/python
	.venv-docs/bin/python -m pip install $(PIP_FLAGS) -e '.[docs]'
	@touch $@

.venv-test/installed-bench: .venv-test/installed
	.venv-test/bin/python -m pip install $(PIP_FLAGS) -e '.[bench]'
	@touch $@

%/bin/python:
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed, and none was found: make PYTHON=/path/to/python" >&2; exit 1; }
	$(PYTHON) -m venv $*
