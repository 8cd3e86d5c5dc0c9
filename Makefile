# Every target makes the environment that it needs. Nothing but a Python (3.11 or later) is wanted.

PYTHON ?= $(shell .ci/find-python)
BIN := .venv/bin
ISLP = $(BIN)/python -m pip install --quiet --no-deps islp==0.6.0  # for its data; what it wants is heavy
BENCHMARKS := limits stochastic minibatch network full_gradient least_squares batch_sizes \
              sweeps cross_validation halving estimators time_to_accuracy convex scaling start_up \
              command_line
APPLICATIONS := linear_regression logistic_regression support_vector_machine ridge_lasso \
                recommender vision language
# What two tests have in common, and two runs, is compiled once: a tenth less for the first run, two
# thirds less for the next.
CACHE := JAX_COMPILATION_CACHE_DIR=$(CURDIR)/.jax_cache JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS=0 \
         JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES=-1

.PHONY: demo test lint types tests test-oldest bench bench-torch experiments format clean

demo: .venv/.demo
	$(BIN)/jgd demo

test: lint types tests

lint: .venv/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: .venv/.dev
	$(BIN)/mypy

tests: .venv/.dev
	$(CACHE) $(BIN)/python -m pytest

# The suite once more on Python 3.11 with the oldest versions that pyproject.toml allows. It is about
# what they accept, so the compiler may be quick (with its optimisations it took a quarter longer), of
# each parametrized test one case will do, and what is exhaustive is left to `make test`.
test-oldest: .venv-oldest/.installed
	$(CACHE) JAX_DISABLE_MOST_OPTIMIZATIONS=1 .venv-oldest/bin/python -m pytest -m "not exhaustive" --one-case

# Every benchmark, half an hour in all, and docs/benchmarks.md from what they found. Those against
# torch run once more on Python 3.11 with jax 0.10, where there is one.
bench: .venv/.bench
	for name in $(BENCHMARKS); do $(BIN)/python experiments/benchmarks/$$name.py || exit 1; done
	if [ -n "$$(.ci/find-python 3.11)" ]; then $(MAKE) bench-torch; fi
	$(BIN)/python experiments/benchmarks/report.py

bench-torch: .venv-torch/.installed
	for name in minibatch network; do .venv-torch/bin/python experiments/benchmarks/$$name.py || exit 1; done

# Every application of gradient descent on real data, and docs/results.md from what they found.
experiments: .venv/.experiments
	for name in $(APPLICATIONS); do $(BIN)/python experiments/applications/$$name.py || exit 1; done
	$(BIN)/python experiments/variants.py
	$(BIN)/python experiments/applications/results.py

format: .venv/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf .venv .venv-oldest .venv-torch .jax_cache .mypy_cache .pytest_cache .ruff_cache

.venv/bin/python:
	@test -n "$(PYTHON)" || { echo "No Python >= 3.11 found. Install one, or name it: make PYTHON=/path/to/python3.12"; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip

.venv/.demo: pyproject.toml | .venv/bin/python
	$(BIN)/python -m pip install --quiet -e '.[cli,plot,sklearn]'
	@touch $@

.venv/.dev: pyproject.toml | .venv/bin/python
	$(BIN)/python -m pip install --quiet -e '.[dev]'
	$(ISLP)
	@touch $@

.venv/.bench: pyproject.toml | .venv/bin/python
	$(BIN)/python -m pip install --quiet -e '.[bench]'
	$(ISLP)
	@touch $@

.venv/.experiments: pyproject.toml | .venv/bin/python
	$(BIN)/python -m pip install --quiet -e '.[experiments]'
	$(ISLP)
	@touch $@

.venv-torch/.installed: pyproject.toml .ci/oldest.txt
	$(shell .ci/find-python 3.11) -m venv --clear .venv-torch
	.venv-torch/bin/python -m pip install --quiet --upgrade pip
	.venv-torch/bin/python -m pip install --quiet -e '.[bench]' -c .ci/oldest.txt
	@touch $@

.venv-oldest/.installed: pyproject.toml .ci/oldest.txt
	$(shell .ci/find-python 3.11) -m venv --clear .venv-oldest
	.venv-oldest/bin/python -m pip install --quiet --upgrade pip
	.venv-oldest/bin/python -m pip install --quiet -e '.[test]' -c .ci/oldest.txt
	@touch $@
