# Every target documents itself: `make help`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
RUN ?= my-run
SEED ?= 0

.DEFAULT_GOAL := help
.PHONY: help setup run test test-slow test-gpu bench-verify bench-audit lint report seeds reference tiny-base clean

help:  ## List the targets
	@awk -F ':.*## ' '/^##@ / {print "\n" substr($$0, 5)} /^[a-z-]+:.*## / {printf "  %-13s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

##@ Use it
setup: $(VENV)/ready  ## Make .venv with the pinned versions (again when pins change)

$(VENV)/ready: $(wildcard requirements*.txt) pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "grpo-math needs Python 3.11 or newer, this is " + sys.version.split()[0] + ": run make with PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -q --disable-pip-version-check $$(grep '^torch==' requirements.txt)
	$(BIN)/pip install -q --disable-pip-version-check -r requirements.txt
	$(BIN)/pip install -q --disable-pip-version-check --no-deps -r requirements-unsloth.txt
	$(BIN)/pip install -q --disable-pip-version-check --no-deps -e .
	@touch $@

run: setup  ## Run the three notebooks with the recipe `tiny` (RUN=, SEED=)
	$(BIN)/python scripts/run_notebooks.py --run $(RUN) --seed $(SEED)

report: setup  ## Write one HTML file on all runs, or on one (RUN=name)
	$(BIN)/python scripts/report.py $(if $(filter-out file,$(origin RUN)),--run $(RUN))

clean:  ## Delete the run of `make run` (RUN=name for another)
	@case "$(RUN)" in ""|.*|*/*|*\ *) echo "make clean: RUN = '$(RUN)' is not the name of a run"; exit 1;; esac
	rm -rf "results/$(RUN)"

##@ Develop it (the last three overwrite what is committed)
test: setup  ## Run the tests
	$(BIN)/python -m pytest

test-slow: setup  ## Run the tests that take minutes, the whole pipeline too
	$(BIN)/python -m pytest -m slow

test-gpu: setup  ## Measure the full shapes under a T4's memory (CUDA card)
	$(BIN)/python -m pytest -m gpu

lint: setup  ## Check style with ruff
	$(BIN)/ruff check .

bench-verify: setup  ## Compare the checker with Math-Verify and TRL's reward
	$(BIN)/pip install -q --disable-pip-version-check math-verify==0.9.0 antlr4-python3-runtime==4.13.2
	$(BIN)/python bench/bench_verify.py

bench-audit: setup  ## Measure the trace audit on labelled steps (AUDIT_DATA=)
	$(BIN)/python bench/bench_audit.py

tiny-base: setup  ## Pretrain the tiny base again; overwrites data/tiny-base/
	$(BIN)/python scripts/pretrain_tiny.py --out data/tiny-base

reference: setup  ## Run `tiny` afresh; overwrites results/tiny/ and the pages
	rm -rf results/tiny
	$(BIN)/python scripts/run_notebooks.py --run tiny --keep
	$(BIN)/python scripts/report.py --run tiny --keep
	$(BIN)/python scripts/hero.py --run tiny

seeds: setup  ## Train and measure five seeds; writes results/tiny-seeds/
	$(BIN)/python scripts/seeds.py
