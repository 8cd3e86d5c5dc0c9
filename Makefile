# Every target makes the environment that it needs. Nothing but a Python (3.11 or later) is wanted.

PYTHON ?= $(shell .ci/find-python)
BIN := .venv/bin

.PHONY: demo test lint types tests test-oldest format clean

demo: .venv/.demo
	$(BIN)/jgd demo

test: lint types tests

lint: .venv/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: .venv/.dev
	$(BIN)/mypy

tests: .venv/.dev
	$(BIN)/python -m pytest

# The suite once more on Python 3.11 with the oldest versions that pyproject.toml allows.
test-oldest: .venv-oldest/.installed
	.venv-oldest/bin/python -m pytest

format: .venv/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf .venv .venv-oldest .mypy_cache .pytest_cache .ruff_cache

.venv/bin/python:
	@test -n "$(PYTHON)" || { echo "No Python >= 3.11 found. Install one, or name it: make PYTHON=/path/to/python3.12"; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip

.venv/.demo: pyproject.toml | .venv/bin/python
	$(BIN)/python -m pip install --quiet -e '.[cli,plot,sklearn]'
	@touch $@

.venv/.dev: pyproject.toml | .venv/bin/python
	$(BIN)/python -m pip install --quiet -e '.[dev]'
	@touch $@

.venv-oldest/.installed: pyproject.toml .ci/oldest.txt
	$(shell .ci/find-python 3.11) -m venv --clear .venv-oldest
	.venv-oldest/bin/python -m pip install --quiet --upgrade pip
	.venv-oldest/bin/python -m pip install --quiet -e '.[test]' -c .ci/oldest.txt
	@touch $@
