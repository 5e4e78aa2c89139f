# Everything a person runs here. `make help` explains each line; all of it works on a fresh machine with Python 3.11+.

# The newest suitable interpreter on the machine, or say `make PYTHON=/path/to/python3 …`.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	command -v $$p >/dev/null 2>&1 && $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; break; }; done)
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready-$(shell cksum < requirements.lock | cut -d' ' -f1)
PYTEST_ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help demo test lint format bench lock clean

help: ## show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-8s %s\n", $$1, $$2}'

demo: $(READY) ## a simulated org with people at work, and every event it causes (no account needed; Ctrl-C ends it)
	@$(BIN)/salesforce-poller demo

test: $(READY) lint ## linters, types, house rules and all tests
	@$(BIN)/pytest $(PYTEST_ARGS)

lint: $(READY) ## what is wrong with the code, without changing it
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/mypy

format: $(READY) ## put the code in order
	@$(BIN)/ruff check --fix --quiet . || true
	@$(BIN)/ruff format .

bench: $(READY) ## measure; prints ratios to something measured in the same run
	@$(BIN)/python -m benchmarks

lock: ## compile both lock files anew: what development needs, and of that what runs in production (needs uv)
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --no-emit-index-url \
		--upgrade --all-extras --group dev pyproject.toml -o requirements.lock
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --no-emit-index-url \
		--upgrade --all-extras --constraints requirements.lock pyproject.toml -o requirements-runtime.lock

clean: ## remove the virtual environment and every cache
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis

# Installed once for each state of the lock: names, versions and hashes come from requirements.lock alone.
$(READY):
	@test -n "$(PYTHON)" || { echo "salesforce-poller needs Python 3.11 or later: install it, or say make PYTHON=/path/to/python3" >&2; exit 1; }
	@echo "Installing into $(VENV) (once) …"
	@$(PYTHON) -m venv --clear $(VENV)
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --no-index --editable .
	@touch $@
