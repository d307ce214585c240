# Every target sets itself up: a fresh clone needs Python 3.11-3.13 and make, nothing else.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
AZURITE := tests/workspace/node_modules/.package-lock.json

.PHONY: install quickstart test test-slow lint format golden bench-foundation bench-robust bench-teacher bench-azure bench-engine clean

install: $(VENV)/.installed

# pip is brought up to date first: 23.2.1, which comes with Python 3.11, can't resolve this set. It would compile on one
# core, so that is done on all of them after it, but for the packages' own tests; what is for other Pythons only fails.
$(VENV)/.installed: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --no-compile --constraint constraints.txt --editable '.[azure,local,dev]'
	$(BIN)/python -m compileall -qq -j 0 -x '/tests/' $(VENV)/lib || true
	touch $@

quickstart: install
	$(BIN)/python pipelines/quickstart/generate.py --out pipelines/quickstart/data
	$(BIN)/azdistill run pipelines/quickstart/job.yaml -o runs/quickstart

test: lint $(AZURITE)
	$(BIN)/python -m pytest -n 2 --dist worksteal

# The blob service behind the workspace stand-in; needs Node.js 18 or newer.
$(AZURITE): tests/workspace/package-lock.json
	npm ci --prefix tests/workspace --ignore-scripts --no-audit --no-fund --silent
	touch $@

test-slow: install
	$(BIN)/python -m pytest --with slow -m slow

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: install
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# What is generated and committed: component files, the JSON Schema, golden bundles.
golden: install $(AZURITE)
	$(BIN)/python -m tests.generated
	$(BIN)/python -m tests.workspace.generated

bench-foundation: install
	$(BIN)/python -m benchmarks.foundation

bench-robust: install
	$(BIN)/python -m benchmarks.robust

# Peers are installed under .bench/, each in a virtual environment of its own, the first time.
bench-teacher: install
	$(BIN)/python -m benchmarks.teacher

bench-azure: install $(AZURITE)
	$(BIN)/python -m benchmarks.azure

bench-engine: install
	$(BIN)/python -m benchmarks.engine

clean:
	rm -rf runs .azdistill build dist
