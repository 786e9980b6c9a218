# Hagukumi. `make` lists what there is. Everything sets itself up.
SHELL := /bin/bash
.DEFAULT_GOAL := help

# The newest Python of 3.13 to 3.11 that really runs.
PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3; do \
	$$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' >/dev/null 2>&1 && echo $$p && break; done)
DATA ?= .hagukumi
SEED ?= 20260401
SIZE ?= 200
HAGUKUMI_PORT ?= 8000
# How many processes share the tests; each has a broker and a store of its own, one of them the whole platform (conftest.py).
WORKERS ?= 3
ARGS ?=
export HAGUKUMI_PORT

CODE := services shared deploy $(wildcard bench) $(wildcard tests)
PACKAGES := services shared deploy
RUN := .venv/bin/python -m

.PHONY: help setup environment engine run demo test check bench faults contracts lock format clean \
	check-types check-contracts check-security check-layers check-files check-style

help: ## Say what there is
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):[^#]*## (.*)/\1|\2/' | \
		while IFS='|' read -r name words; do printf '  make %-10s %s\n' "$$name" "$$words"; done
	@printf '\n  Settings: PYTHON=%s DATA=%s SEED=%s (0: no town) SIZE=%s HAGUKUMI_PORT=%s WORKERS=%s\n' \
		'$(PYTHON)' '$(DATA)' '$(SEED)' '$(SIZE)' '$(HAGUKUMI_PORT)' '$(WORKERS)'

setup: engine ## Make .venv from the hashed requirements (every other target does it by itself)

environment:
	@if [ -z "$(PYTHON)" ]; then \
		echo 'Python 3.11, 3.12 or 3.13 is needed. On Debian: apt-get install -y python3 python3-venv' >&2; exit 1; fi
	@$(PYTHON) -m deploy.local.environment

engine: environment
	@$(RUN) deploy.engine

run: setup ## Start the whole platform with an invented town; Ctrl-C stops it
	@exec $(RUN) deploy.local.run --data '$(DATA)' --seed '$(SEED)' --size '$(SIZE)'

demo: setup ## Tell one family's story through all five services, on a running platform or one of its own
	@exec $(RUN) deploy.local.run --demo --data '$(DATA)' --seed 0

test: setup ## Run every test; what was skipped is listed with its reason at the end
	@$(RUN) pytest -rs -n '$(WORKERS)' --dist loadfile --no-loadscope-reorder $(ARGS)

# The longest first, for those who let make do two things at once.
check: check-types check-contracts check-security check-layers check-files check-style ## Lint, types, layers, contracts, Kubernetes files, security lint

check-types: environment
	$(RUN) mypy $(CODE)

check-contracts: environment
	$(RUN) shared.contracts --check
	@tools/contracts/parse.sh docs/contracts/asyncapi.json

check-security: environment
	$(RUN) bandit -q -r -c pyproject.toml $(PACKAGES)

check-layers: environment
	.venv/bin/lint-imports

check-files: environment
	.venv/bin/kubernetes-validate --quiet --strict deploy/k8s/base/*.yaml deploy/k8s/overlays/*/*.yaml

check-style: environment
	$(RUN) ruff check $(CODE)
	$(RUN) ruff format --check $(CODE)

bench: setup ## Measure how fast it is
	@exec $(RUN) bench $(ARGS)

faults: setup ## Kill, freeze and cut off processes under load and look what is left (SOAK=seconds; MUTATIONS=1: take each rule away)
	@if [ -n '$(MUTATIONS)' ]; then exec $(RUN) tests.faults.mutations; \
	else FAULTS=long SOAK='$(SOAK)' exec $(RUN) pytest -rs -o timeout=7200 tests/faults $(ARGS); fi

contracts: setup ## Write AsyncAPI, JSON Schema and OpenAPI to docs/contracts
	@exec $(RUN) shared.contracts

lock: setup ## Write the locks of requirements/ anew, with hashes and no index address
	@requirements/lock.sh

format: setup ## Format the code
	@$(RUN) ruff format $(CODE)

clean: ## Remove what setup, builds and checks made; data folders stay
	rm -rf build .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
