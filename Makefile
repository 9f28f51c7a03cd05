# `make` lists the targets.

.DEFAULT_GOAL := help
.PHONY: help demo test up down status logs check bench clean lock format release

# The newest Python that is here; choose another with PYTHON=python3.12.
PYTHON ?= $(shell for p in python3.14 python3.13 python3.12 python3.11 python3 python; do \
	command -v $$p >/dev/null && $$p -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' \
	2>/dev/null && echo $$p && exit; done; command -v python3 || echo python)
# Many processes start from the same modules, which need compiling once.
unexport PYTHONDONTWRITEBYTECODE

RUN := .venv/bin/python
LOCAL := $(RUN) -m deploy.cli

help:  ## Show this list
	@awk 'BEGIN {FS = ":.*## "} /^[a-z]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: runtime  ## Start everything, play one lesson through it, stop it
	@$(LOCAL) demo

test: develop  ## Run the whole test suite
	@$(RUN) -m pytest -n 2 --dist loadfile --no-loadscope-reorder

up: runtime  ## Start the stack and keep it running (PORT=8080)
	@$(LOCAL) up

down: runtime  ## Stop the stack
	@$(LOCAL) down

status: runtime  ## Show what runs
	@$(LOCAL) status

logs: runtime  ## Show what the programs say
	@$(LOCAL) logs

check: develop  ## Check style, types, layers and contracts
	@$(RUN) -m deploy.check

bench: develop  ## Measure speed and memory
	@$(RUN) -m tests.benchmarks

clean: runtime  ## Stop the stack and delete its data, without asking
	@$(LOCAL) clean --yes

format: develop
	@$(RUN) -m ruff check --fix --quiet . ; $(RUN) -m ruff format --quiet .

# Makes the contracts of today the ones that `make check` protects; part of a release.
release: develop
	@$(RUN) -m deploy.check release

.PHONY: runtime develop
runtime:
	@$(PYTHON) deploy/bootstrap.py runtime
develop:
	@$(PYTHON) deploy/bootstrap.py develop

# Locks every dependency with its hashes, for every platform. Needs uv.
OURS := protos chassis identity-service content-service session-service chat-service cli
lock:
	@for kind in runtime develop; do uv pip compile --quiet --universal --python-version 3.11 \
	--generate-hashes --no-header --no-annotate --override requirements/overrides.txt \
	$(OURS:%=--no-emit-package meno-%) requirements/$$kind.in --output-file requirements/$$kind.txt; done
