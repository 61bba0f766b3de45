# Two commands do all on a fresh machine with Python 3.11 or later: `make demo` and `make test`.
PYTHON ?= python3
BIN := .venv/bin

# Containers often forbid Python to keep bytecode: each of the many processes would compile all modules anew.
unexport PYTHONDONTWRITEBYTECODE

PIP := $(BIN)/pip install --quiet --disable-pip-version-check --no-compile --constraint constraints.txt
PYTEST := $(BIN)/pytest -n 2 --dist loadfile --no-loadscope-reorder

.PHONY: demo demo-edge faults-edge test tests test-fast test-slow faults check format bench docs package clean

# The main job: every rule on the paper's world, and a report worth reading.
demo: .venv/base
	$(BIN)/isma compare paper --policies local,stay,nearest,greedy,price,full-information --seeds 3 --out runs/demo
	@echo "open runs/demo/report.html, and runs/demo/replay.html to watch it"

# Three agents, twelve users on recorded trajectories, a stateful service each: what moves, what is lost.
demo-edge: .venv/agent
	$(BIN)/python -m isma.demo --out runs/demo-edge

# Checks beside the tests: what each finds fails the whole.
test: .venv/dev
	$(MAKE) --no-print-directory --jobs 2 tests check

tests: .venv/dev
	$(PYTEST)

# While you write: one policy of each kind, small worlds, what compiles little (tests/helpers/lanes.py).
test-fast: .venv/dev
	$(PYTEST) -m "not slow and not thorough"

# Minutes each: trainings, reduced reproductions, long soaks.
test-slow: .venv/docs
	$(BIN)/pytest -m slow

# Hours on two cores, in parts: kills, flipped bits, mutated inputs, Ctrl-C, two at once; the table of docs/faults.md.
faults: .venv/dev
	PYTHONPATH=src:tests $(BIN)/python -m faults

# The edge agent: 100,000 simulated runs under every fault, and 1,020 kills of real processes.
faults-edge: .venv/dev
	PYTHONPATH=src:tests $(BIN)/python -m agent.simulation --seeds 100000
	PYTHONPATH=src:tests $(BIN)/python -m agent.kills --rounds 30

# Format, lint, types, layers.
check: .venv/dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/basedpyright
	$(BIN)/lint-imports

format: .venv/dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: .venv/base
	$(BIN)/python -m benchmarks simulator

# The documentation as a site in build/site: a broken link or anchor, or a page that is on no shelf, fails it.
docs: .venv/docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

# Wheel and sdist in dist/, and their sizes; the wheel is made from the sdist.
package: .venv/dev
	rm -rf dist
	$(BIN)/python -m build --outdir dist .
	ls -l dist

.venv/bin/pip:
	$(PYTHON) -c 'import sys; sys.exit("isma needs Python 3.11 or later" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv .venv

.venv/base: pyproject.toml constraints.txt | .venv/bin/pip
	$(PIP) --editable .
	touch $@

.venv/agent: pyproject.toml constraints.txt | .venv/bin/pip
	$(PIP) --editable '.[agent]'
	touch .venv/base $@

.venv/dev: pyproject.toml constraints.txt | .venv/bin/pip
	$(PIP) --editable '.[dev]'
	touch .venv/base .venv/agent $@

.venv/docs: pyproject.toml constraints.txt | .venv/bin/pip
	$(PIP) --editable '.[dev,docs]'
	touch .venv/base .venv/agent .venv/dev $@

clean:
	rm -rf .venv runs dist build
