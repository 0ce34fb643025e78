# `make demo` shows gittrack on a real training; `make test` proves this checkout. Both build .venv first.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
# Tests wait for disks, engines and processes half of their time: two for each of the two processors there usually are.
JOBS   ?= 4

# The processor build of torch is taken where pip finds one: the graphics one weighs gigabytes and shows nothing more
# here. Give TORCH_OPTIONS, for example an index, where pip has to be told where to look.
TORCH         ?= torch==2.13.0
TORCH_OPTIONS ?=

.PHONY: help demo test check lint types contracts unit bench docs system clean

help:            ## say what can be made
	@sed -n 's/^\([a-z]*\):.*## /  make \1	/p' $(MAKEFILE_LIST)

demo: $(VENV)/torch   ## train on iris at three learning rates in a scratch repository, and look at the runs
	@PATH="$(CURDIR)/$(BIN):$$PATH" scripts/demo .demo

test: system $(VENV)/test $(VENV)/giftless/installed   ## everything that must hold: style, types, layers, tests
	@$(MAKE) --no-print-directory --keep-going check unit

check: lint types contracts   ## the fast half of `make test`

lint: $(VENV)/test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/test
	$(BIN)/mypy

contracts: $(VENV)/test
	$(BIN)/lint-imports

unit: $(VENV)/test
	@scripts/unit $(BIN)/python $(JOBS)

bench: $(VENV)/test   ## measure, and write docs/benchmarks.md and docs/benchmarks-hosts.md
	$(BIN)/python -m benchmarks

docs: $(VENV)/test   ## write what is generated from the code: command reference, manual page, error codes, recording
	$(BIN)/python scripts/reference.py
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python scripts/recording.py

system:
	@scripts/system-packages

$(VENV)/made:
	@scripts/make-venv "$(PYTHON)" $(VENV)
	@touch $@

$(VENV)/installed: $(VENV)/made pyproject.toml man/git-track.1
	@echo 'installing gittrack and what it needs into $(VENV) ...'
	$(BIN)/python -m pip install --quiet --editable .
	@touch $@

$(VENV)/torch: $(VENV)/installed
	@echo "installing $(TORCH) and scikit-learn into $(VENV): some 200 MB, a minute or two ..."
	$(BIN)/python -m pip install --quiet $(TORCH_OPTIONS) '$(TORCH)+cpu' 2>/dev/null \
	  || $(BIN)/python -m pip install --quiet $(TORCH_OPTIONS) '$(TORCH)'
	$(BIN)/python -m pip install --quiet 'scikit-learn>=1.3'
	@touch $@

$(VENV)/test: $(VENV)/torch
	$(BIN)/python -m pip install --quiet --editable '.[test,lint]'
	@touch $@

$(VENV)/giftless/installed: tests/lfs/giftless.txt $(VENV)/made
	@scripts/lfs-server $(VENV)

clean:           ## remove what was built here
	rm -rf $(VENV) .demo build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .azurite
