# Everything a developer or an operator's first hour needs. `make help` lists the targets.
SHELL := /bin/bash
VENV := .venv
BIN := $(VENV)/bin
INTEROP := tests/interop
BROWSER := tests/browser
PYTHON ?= $(firstword $(foreach p,python3 python3.13 python3.12 python3.11,$(shell command -v $(p) >/dev/null 2>&1 && $(p) -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $(p))))

.PHONY: help setup tools demo test interop browser soak check proto bench bench-login lock clean
.DEFAULT_GOAL := help

help: ## List the targets
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 16

setup: $(VENV)/.ready ## Create .venv from the lock (done by every other target when needed)

$(VENV)/.ready: requirements.lock pyproject.toml
	@if [ -z "$(PYTHON)" ]; then echo "Missing: Python 3.11 or newer with venv (on Debian: apt install python3 python3-venv). Or name one: make PYTHON=/path/to/python3.12" >&2; exit 1; fi
	@echo "Setting up $(VENV) with $$($(PYTHON) --version) …"
	@$(PYTHON) -m venv --clear $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock \
	  || { echo "Missing: a package registry that pip can reach (the packages of requirements.lock could not be installed; see above)." >&2; exit 1; }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-build-isolation --no-deps --editable .
	@touch $@

demo: setup ## Start the anchor, four nodes and the simulators; walk one query; stay up until Ctrl-C
	@$(BIN)/yrd demo

tools: setup ## Install what the tests need from the system: SoftHSM, OpenSSL; Node.js, Go, Apache for interop
	@tests/tools.sh test interop

test: check ## Run all checks and all tests
	@tests/tools.sh test
	@$(BIN)/pytest -n 2 --dist loadgroup

interop: setup ## Check anchor, nodes, log, exports and logins against independent implementations (needs Node.js, Go, Apache)
	@tests/tools.sh interop
	@$(MAKE) --no-print-directory $(INTEROP)/node_modules/.package-lock.json $(VENV)/interop/.ready
	@$(BIN)/pytest $(INTEROP)/resolution.py $(INTEROP)/exports.py $(INTEROP)/log.py $(INTEROP)/node_log.py $(INTEROP)/login.py

browser: setup ## Walk the pages of a login in Chromium; pictures of them in tests/browser/screens (needs Chromium, Node.js)
	@tests/tools.sh browser
	@$(MAKE) --no-print-directory $(BROWSER)/node_modules/.package-lock.json
	@$(BIN)/pytest -n 2 --dist load $(BROWSER)/pages.py $(BROWSER)/walk.py

$(VENV)/interop/.ready: $(INTEROP)/requirements.txt
	@$(PYTHON) -m venv --clear $(VENV)/interop
	@$(VENV)/interop/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $(INTEROP)/requirements.txt \
	  || { echo "Missing: a package registry that pip can reach (the packages of $(INTEROP)/requirements.txt could not be installed; see above)." >&2; exit 1; }
	@touch $@

%/node_modules/.package-lock.json: %/package-lock.json
	@npm ci --silent --prefix $* \
	  || { echo "Missing: a package registry that npm can reach (the packages of $*/package-lock.json could not be installed)." >&2; exit 1; }
	@touch $@

soak: setup ## Fuzz every parser and converter with 10,000 examples each; kill all nodes fifty times under load
	@YRD_KILL=both YRD_KILL_ROUNDS=50 $(BIN)/pytest -n 0 -s tests/journeys/test_kill.py
	@$(BIN)/pytest -n 2 -o timeout=3600 --hypothesis-profile=soak tests/mapping/test_fuzz.py tests/mapping/test_nothing_disappears.py tests/mapping/test_between_provinces.py

check: setup ## ruff, mypy strict, import contracts, generated code
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/lint-imports
	@$(BIN)/mypy
	@$(BIN)/python proto/generate.py --check

proto: setup ## Generate the protobuf code from proto/
	@$(BIN)/python proto/generate.py

bench: setup ## Measure the nodes against the bare chain, in one run
	@$(BIN)/python -m tests.bench

bench-login: setup ## Measure whole logins across two provinces against npm's oidc-provider (needs Node.js)
	@tests/tools.sh interop
	@$(MAKE) --no-print-directory $(INTEROP)/node_modules/.package-lock.json
	@$(BIN)/python -m tests.bench.login

lock: ## Write the locks anew from pyproject.toml and tests/interop/requirements.in (needs uv)
	@uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url $(INTEROP)/requirements.in -o $(INTEROP)/requirements.txt
	@uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --group dev pyproject.toml -o requirements.lock

clean: ## Remove what the targets made
	@rm -rf $(VENV) $(INTEROP)/node_modules $(BROWSER)/node_modules $(BROWSER)/screens .demo .mypy_cache .ruff_cache .pytest_cache .hypothesis dist build
