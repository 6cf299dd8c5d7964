# make demo   a small environment, built, packed, moved and proven, from nothing but Python and PyPI
# make test   all tests
# make stress the long forms of the stress tests: 300 kills, 8 processes; a quarter of an hour
# make test-foreign  every project of the wheel matrix on every platform; a quarter of an hour
# make lint   formatting, lint, types
# make docs   the documentation as a site, in site/; a broken link or anchor is an error
# make bench  speed and size against peers, as ratios of one run

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PYTEST := $(BIN)/python -m pytest
# What a shell may have set and must not reach the tests: other indexes, other caches, no bytecode.
CLEAN := env -u PIP_FIND_LINKS -u PIP_EXTRA_INDEX_URL -u PYTHONPATH -u PYTHONHOME

.PHONY: demo test stress test-foreign lint docs bench clean

demo: $(VENV)/.ready
	$(CLEAN) $(BIN)/python demo/demo.py

# in the order of their names: what takes long is begun first
test: $(VENV)/.ready
	$(CLEAN) $(PYTEST) --numprocesses=2 --dist=loadfile --no-loadscope-reorder --durations=15 $(ARGS)

stress: $(VENV)/.ready
	$(CLEAN) $(PYTEST) --numprocesses=2 --dist=loadfile --stress tests/stress $(ARGS)

test-foreign: $(VENV)/.ready
	$(CLEAN) $(PYTEST) --numprocesses=2 --dist=loadfile --stress tests/e2e/wheels $(ARGS)

lint: $(VENV)/.ready
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

docs: $(VENV)/.ready
	$(BIN)/python docs/generate.py --check
	$(BIN)/zensical build --strict --clean

bench: $(VENV)/.ready
	$(CLEAN) $(BIN)/python -m benchmarks $(ARGS)

$(VENV)/.ready: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("pyrunenv needs Python 3.11 or later: make PYTHON=python3.12 …")'
	@$(PYTHON) -c 'import ensurepip, venv' || { echo 'this Python has no venv and pip: install them (Debian: apt-get install python3-venv)'; exit 1; }
	$(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=26.1'
	$(BIN)/python -m pip install --quiet --editable '.[cross]' --group dev
	@touch $@

clean:
	rm -rf $(VENV) .demo site
