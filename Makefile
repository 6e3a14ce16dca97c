# Every target documents itself: `make help`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
RUN ?= my-run
SEED ?= 0

.DEFAULT_GOAL := help
.PHONY: help setup run test test-slow test-gpu bench-verify bench-audit lint report seeds reference tiny-base clean

help:  ## List the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

setup: $(VENV)/ready  ## Make .venv with the pinned stack (once; again only when the pins change)

$(VENV)/ready: $(wildcard requirements*.txt) pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "grpo-math needs Python 3.11 or newer, this is " + sys.version.split()[0] + ": run make with PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -q --disable-pip-version-check $$(grep '^torch==' requirements.txt)
	$(BIN)/pip install -q --disable-pip-version-check -r requirements.txt
	$(BIN)/pip install -q --disable-pip-version-check --no-deps -r requirements-unsloth.txt
	$(BIN)/pip install -q --disable-pip-version-check --no-deps -e .
	@touch $@

run: setup  ## Run the three notebooks in order with the recipe `tiny`; RUN=name picks the folder under results/, SEED=n the seed
	$(BIN)/python scripts/run_notebooks.py --run $(RUN) --seed $(SEED)

report: setup  ## One HTML file on a run (RUN=name), or without RUN on all runs
	$(BIN)/python scripts/report.py $(if $(filter-out file,$(origin RUN)),--run $(RUN))

test: setup  ## Run the tests
	$(BIN)/python -m pytest

test-slow: setup  ## Run the tests that take minutes, the whole pipeline among them
	$(BIN)/python -m pytest -m slow

test-gpu: setup  ## Measure the recipes at full size, with random weights, under a T4's memory; writes results/gpu/ (needs a CUDA card)
	$(BIN)/python -m pytest -m gpu

bench-verify: setup  ## Compare the answer checker with Math-Verify and TRL's accuracy_reward
	$(BIN)/pip install -q --disable-pip-version-check math-verify==0.9.0 antlr4-python3-runtime==4.13.2
	$(BIN)/python bench/bench_verify.py

bench-audit: setup  ## Measure the trace audit on labelled steps and GSM8K's gold solutions; AUDIT_DATA=folder that holds them
	$(BIN)/python bench/bench_audit.py

lint: setup  ## Check style with ruff
	$(BIN)/ruff check .

seeds: setup  ## Train and measure five seeds, with and without unanswerable prompts; writes results/tiny-seeds/ and the README
	$(BIN)/python scripts/seeds.py

reference: setup  ## Run the notebooks into results/tiny/, afresh, and keep their outputs in notebooks/ and the README
	rm -rf results/tiny
	$(BIN)/python scripts/run_notebooks.py --run tiny --keep
	$(BIN)/python scripts/report.py --run tiny --keep

tiny-base: setup  ## Pretrain the tiny base again (data/tiny-base)
	$(BIN)/python scripts/pretrain_tiny.py --out data/tiny-base

clean:  ## Delete the run of `make run` (RUN=name for another)
	@case "$(RUN)" in ""|.*|*/*|*\ *) echo "make clean: RUN = '$(RUN)' is not the name of a run"; exit 1;; esac
	rm -rf "results/$(RUN)"
