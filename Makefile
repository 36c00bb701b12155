# Every target sets up .venv by itself, once; all that has to be there is
# Python 3.11 or newer with venv and pip, and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check \
	--constraint .ci/constraints.txt

.PHONY: run dist test test-oldest test-newest test-quick test-kernels test-fuzz test-valgrind test-cluster bench bench-quick bench-cluster lint check house \
	docs-pictures clean
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

# How many processes share the tests; "auto" is one per core.
PYTEST_WORKERS ?= auto
PYTEST := $(BIN)/python -m pytest --numprocesses $(PYTEST_WORKERS)

test: $(VENV)/.dev  ## All tests, in parallel
	@$(PYTEST) $(PYTEST_ARGS)

test-quick: $(VENV)/.dev  ## The tests for the loop while editing, in less than two minutes
	@$(PYTEST) -m "not slow and not processes and not fuzz and not valgrind" $(PYTEST_ARGS)

# Except for those of this CPU, which `make test` has run.
test-kernels: $(VENV)/.dev  ## Networks run by kernels for each length of vectors, whatever the CPU
	@own=$$($(BIN)/python -c "from seqfeat.nn.kernels.ir import jit; print(jit.compile_kernels().lanes)"); \
	for lanes in 4 8 16; do test $$lanes = "$$own" || SEQFEAT_VECTOR_LANES=$$lanes \
		$(PYTEST) tests/nn tests/inference tests/test_autoencoder.py --ignore tests/nn/kernels/ir \
		--ignore tests/nn/kernels/test_memory.py $(PYTEST_ARGS) || exit 1; done

# Environments of their own. The lower bounds of pyproject.toml are what `make test-oldest` installs;
# what NOT_OLDEST names is left out, as where only a later build of torch can be had:
#     make test-oldest NOT_OLDEST=torch PIP_CONSTRAINT=file-that-names-torch
OTHER_INSTALL = python -m pip install --quiet --disable-pip-version-check --editable

# Old libraries warn about what later ones will do, or about libraries later than they are.
IGNORED := -W ignore::DeprecationWarning -W ignore::FutureWarning

.venv-oldest/.test: pyproject.toml .ci/oldest.py
	$(PYTHON) -m venv .venv-oldest
	.venv-oldest/bin/python .ci/oldest.py $(NOT_OLDEST) > .venv-oldest/constraints.txt
	.venv-oldest/bin/$(OTHER_INSTALL) '.[test,umap,aeon,sktime]' --constraint .venv-oldest/constraints.txt
	@touch $@

test-oldest: .venv-oldest/.test  ## All tests, with the oldest versions that pyproject.toml allows
	@.venv-oldest/bin/python -m pytest --numprocesses $(PYTEST_WORKERS) $(IGNORED) $(PYTEST_ARGS)

test-newest:  ## All tests but those of extras that forbid the newest versions, with those
	@test -d .venv-newest || $(PYTHON) -m venv .venv-newest
	.venv-newest/bin/$(OTHER_INSTALL) '.[test]' --upgrade --upgrade-strategy eager
	@.venv-newest/bin/python -m pytest --numprocesses $(PYTEST_WORKERS) \
		--doctest-ignore-import-errors $(PYTEST_ARGS)

test-fuzz: $(VENV)/.dev  ## Thousands of seeded random inputs and damaged files; takes a while
	@$(PYTEST) -m fuzz $(PYTEST_ARGS)

test-valgrind: $(VENV)/.dev  ## The kernels under valgrind, which has to be installed; takes minutes
	@$(PYTEST) -m valgrind $(PYTEST_ARGS)

test-cluster: $(VENV)/.dev  ## Only those of several processes, real Dask workers and large sets
	@$(PYTEST) -m "processes and not fuzz" $(PYTEST_ARGS)

lint: $(VENV)/.dev  ## Style, types, and the files that describe the project and its CI
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml
	@$(BIN)/validate-pyproject pyproject.toml >/dev/null

dist: $(VENV)/.dev  ## Build sdist and wheel, and try the wheel in an environment without extras
	rm -rf dist build/try-wheel build/lib build/bdist.*
	$(BIN)/validate-pyproject pyproject.toml
	$(BIN)/python -m build --outdir dist .
	$(BIN)/twine check --strict dist/*
	$(BIN)/check-wheel-contents dist/*.whl
	$(PYTHON) -m venv build/try-wheel
	build/try-wheel/bin/python -m pip install --quiet --disable-pip-version-check \
		--constraint .ci/constraints.txt dist/*.whl
	build/try-wheel/bin/python .ci/try_wheel.py README.md
	@ls -l dist

check:  ## What CI runs: style, types, tests with coverage, and the main job
	@.ci/run

bench: $(VENV)/.bench  ## Accuracy and speed against the peers, in an hour; SEQFEAT_ARCHIVE names a folder of data sets
	@$(BIN)/python -m tests.benchmarks

bench-quick: $(VENV)/.bench  ## The same in minutes, roughly, into build/bench-quick
	@$(BIN)/python -m tests.benchmarks --quick --output build/bench-quick

bench-cluster: $(VENV)/.bench  ## Search, transform and fit on two processes against one
	@$(BIN)/python -m tests.benchmarks.cluster

house: $(VENV)/.dev  ## Draw the packages and their imports again
	@$(BIN)/python -m tests.house

docs-pictures: $(VENV)/.dev  ## Train the model that ships again, with the README's picture, and draw those of the pages
	@$(BIN)/seqfeat train demo:japanese-vowels --picture models/japanese-vowels.png -o models/japanese-vowels.joblib
	@$(BIN)/python -m tests.doc_pages

clean:  ## Remove what make made
	rm -rf $(VENV) .venv-oldest .venv-newest build dist .pytest_cache .mypy_cache .ruff_cache .coverage *.egg-info pipeline/*.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
