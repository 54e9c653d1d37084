# `make demo` and `make test` work on a fresh clone: all they need is a Python >= 3.11 with pip and venv.
# Another interpreter: `make install PYTHON=python3.12`. Another place for the environment: VENV=...
PYTHON ?= python3
VENV ?= .venv
WORKERS ?= 2
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
MODULES := harness write_results cells meta_learning_cells search_cells optuna_space tables_cells table_orders weight
BENCHMARKS := $(filter-out $(MODULES:%=benchmarks/%.py),$(wildcard benchmarks/*.py))

.PHONY: help install demo test lint types bench docs clean

help:
	@echo "make install   environment in $(VENV), with $(BIN)/metawright"
	@echo "make demo      a model for handwritten digits from 5 drawings a class"
	@echo "make test      lint, format, types, architecture, unit tests and doctests"
	@echo "make lint      only ruff;  make types: only mypy"
	@echo "make bench     all benchmarks (hours; QUICK=1: minutes, results not kept), then docs"
	@echo "make docs      docs/results.md from benchmarks/results/*.json"
	@echo "make clean     removes the environment and caches, keeps runs/"

install: $(STAMP)

# The stamp is written last: an installation that was cut off is done again.
$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python >= 3.11 is needed, but $(PYTHON) is not: make install PYTHON=python3.11"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

demo: install
	$(BIN)/metawright generate digits --shots 5 --budget 20s --out runs/demo

# One thread a process and two processes: two threads each on a busy machine cost many times the CPU time.
test: lint types
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --doctest-modules src tests -n $(WORKERS) --dist loadfile -q

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: install
	$(BIN)/mypy

bench: install
	@missed=; for script in $(BENCHMARKS); do \
		echo "== $$script" >&2; \
		OMP_NUM_THREADS=1 $(BIN)/python $$script $(if $(QUICK),--quick) || missed="$$missed $$script"; \
	done; \
	$(if $(QUICK),,$(BIN)/python benchmarks/write_results.py;) \
	if [ -n "$$missed" ]; then echo "Failed or missed a figure:$$missed" >&2; exit 1; fi

docs: install
	$(BIN)/python benchmarks/write_results.py

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache
