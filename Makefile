# Every target sets up .venv by itself, once; all that has to be there is
# Python 3.11 or newer with venv and pip, and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check \
	--constraint .ci/constraints.txt

.PHONY: run test test-cluster bench bench-quick bench-cluster lint check docs-pictures clean
.DEFAULT_GOAL := run

# A stamp an extra: newer than what decides its content means nothing to install.
$(VENV)/.created:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "seqfeat needs Python 3.11 or newer; call make PYTHON=/path/to/it")'
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.run: $(VENV)/.created pyproject.toml .ci/constraints.txt
	@echo "Installing seqfeat into $(VENV), once; PyTorch takes a while ..."
	$(INSTALL) --editable '.[fast,progress,plot,report]'
	@touch $@

$(VENV)/.dev: $(VENV)/.run
	$(INSTALL) --editable '.[dev]'
	@touch $@

$(VENV)/.bench: $(VENV)/.run
	$(INSTALL) --editable '.[bench]'
	@touch $@

run: $(VENV)/.run  ## Train on real data, compare with baselines, save, load in a fresh process
	@$(BIN)/seqfeat train demo:japanese-vowels --report models/run.html -o models/run.joblib
	@$(BIN)/seqfeat evaluate models/run.joblib demo:japanese-vowels:test

test: $(VENV)/.dev  ## The tests
	@$(BIN)/python -m pytest $(PYTEST_ARGS)

test-cluster: $(VENV)/.dev  ## Only those of several processes, real Dask workers and large sets
	@$(BIN)/python -m pytest tests/cluster tests/test_distributed.py tests/test_checkpoints.py \
		tests/test_larger_than_memory.py tests/test_stored.py tests/test_storing.py \
		tests/test_forked_workers.py $(PYTEST_ARGS)

lint: $(VENV)/.dev  ## Style and types
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

check:  ## What CI runs: style, types, tests with coverage, and the main job
	@.ci/run

bench: $(VENV)/.bench  ## Accuracy and speed against the peers; takes less than an hour
	@$(BIN)/python -m tests.benchmarks

bench-quick: $(VENV)/.bench  ## The same in minutes, roughly, into build/bench-quick
	@$(BIN)/python -m tests.benchmarks --quick --output build/bench-quick

bench-cluster: $(VENV)/.bench  ## Search, transform and fit on two processes against one
	@$(BIN)/python -m tests.benchmarks.cluster

docs-pictures: $(VENV)/.run  ## Train the model that ships again, with the README's picture
	@$(BIN)/seqfeat train demo:japanese-vowels --picture models/japanese-vowels.png -o models/japanese-vowels.joblib

clean:  ## Remove what make made
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .coverage *.egg-info pipeline/*.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
