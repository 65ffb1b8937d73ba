# Every target sets up what it needs in .venv, once; python3, git, make and a C compiler are all it asks of the machine.

# Shoal is started by many tests, as a process: none of them is to compile everything anew.
unexport PYTHONDONTWRITEBYTECODE

PYTHON ?= python3
BIN := .venv/bin
WORKERS ?= 3
PIP := $(BIN)/python -m pip --disable-pip-version-check

.PHONY: demo test check bench soak run lock format clean

demo: .venv/runtime.stamp ## a fresh database, generated contacts, and segments that change before your eyes
	$(BIN)/python -m api demo

run: .venv/runtime.stamp ## the server; settings come from SHOAL_* variables (docs/settings.md)
	$(BIN)/python -m api serve

test: .venv/dev.stamp
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal

soak: .venv/dev.stamp ## the long tests, for SOAK_MINUTES
	$(BIN)/python -m pytest -m soak

check: .venv/dev.stamp
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m api schema --check

format: .venv/dev.stamp
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

bench: .venv/bench.stamp ## each prints a ratio to its floor, measured in the same run
	@set -e; for script in benchmarks/*.py; do echo "== $$script"; $(BIN)/python $$script; done

# Newer versions only with `make lock LOCK_FLAGS=--upgrade`. The largest set is solved first and bounds the others,
# so that a package has one version in all three.
LOCK := $(BIN)/uv pip compile pyproject.toml --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-emit-find-links --custom-compile-command 'make lock' --all-extras $(LOCK_FLAGS)

lock: .venv/dev.stamp
	$(LOCK) --group bench -o requirements/bench.txt
	$(LOCK) --group dev -c requirements/bench.txt -o requirements/dev.txt
	$(LOCK) --group build -c requirements/bench.txt -o requirements/runtime.txt

clean:
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis

.venv/bin/python:
	$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("Python 3.11 or newer is needed: make PYTHON=...")'
	$(PYTHON) -m venv .venv

.venv/%.stamp: requirements/%.txt pyproject.toml | .venv/bin/python
	$(PIP) install --quiet --require-hashes -r $<
	$(PIP) install --quiet --no-deps --no-build-isolation -e .
	@touch $@
