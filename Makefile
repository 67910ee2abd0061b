# Two commands do all set-up on a fresh machine: `make demo` and `make test`. Both create their own .venv.
PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/.installed
OUT ?= demo
CLIPS ?= ../shared/data
PYTEST_ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help install demo test lint types fast lowest weights clean

help: ## what can be made
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

$(INSTALLED): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("ffdv needs Python 3.11 or newer, found %d.%d; name one with: make PYTHON=python3.12" % sys.version_info[:2] if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[train,serve,dev]'
	@touch $@

install: $(INSTALLED) ## create .venv with everything in it

demo: $(INSTALLED) ## the whole road in minutes: on a synthetic corpus, or on real clips with DATA=folder
	$(BIN)/ffdv demo --out '$(OUT)' $(if $(DATA),--data '$(DATA)')
	@echo 'to use ffdv yourself, once a shell: source .venv/bin/activate'

test: $(INSTALLED) lint types ## lint, types, room directions, tests
	$(BIN)/python -m pytest $(PYTEST_ARGS)

fast: $(INSTALLED) ## the tests that take less than about five seconds each
	$(BIN)/python -m pytest -m 'not slow' $(PYTEST_ARGS)

lint: $(INSTALLED) ## ruff: rules and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(INSTALLED) ## mypy strict, and the direction of imports between rooms
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

lowest: ## whether base install and service work with every dependency at its lower bound, in an environment of its own (from the network)
	$(PYTHON) scripts/check_lowest.py

weights: $(INSTALLED) ## train what ships again, from the open clips below CLIPS (../shared/data), in a night; says whether it comes out as stated (VOCODERS=1: our vocoders first, with a GPU or in days)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[train,serve,dev,weights]'
	$(if $(VOCODERS),$(BIN)/python scripts/weights/vocoders.py --data '$(CLIPS)' --work weights-work)
	@failed=; for sense in voice picture agreement fusion; do \
	  $(BIN)/python scripts/weights/$$sense.py --data '$(CLIPS)' --work weights-work --out src/ffdv/detect/weights || failed="$$failed $$sense"; \
	done; [ -z "$$failed" ] || { echo "not as stated:$$failed"; exit 1; }

clean: ## remove what make created
	rm -rf .venv demo .mypy_cache .ruff_cache .pytest_cache
