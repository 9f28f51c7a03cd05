# `make` lists the targets.

.DEFAULT_GOAL := help
.PHONY: help demo test up down status logs check bench clean format protos docs migration lock release

# The newest Python on this machine; choose another with PYTHON=python3.12.
PYTHON ?= $(shell for p in python3.14 python3.13 python3.12 python3.11 python3 python; do \
	command -v $$p >/dev/null && $$p -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' \
	2>/dev/null && echo $$p && exit; done; command -v python3 || echo python)
# Many processes import the same modules, which should be compiled only once.
unexport PYTHONDONTWRITEBYTECODE

RUN := .venv/bin/python
LOCAL := $(RUN) -m deploy.cli

help:  ## Show this list
	@awk 'BEGIN {FS = ":.*## "} /^[a-z]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: runtime  ## Start the stack, run one lesson end to end, stop the stack
	@$(LOCAL) demo

# TESTS are arguments of pytest: files, directories, or -k and an expression.
test: develop  ## Run all tests, or some: TESTS=tests/gateway, TESTS='session_service -k "watch and not delete"'
	@$(RUN) -m pytest $(if $(TESTS),$(TESTS),-n 3 --dist loadfile --no-loadscope-reorder)

up: runtime  ## Start the stack (PORT=8080)
	@$(LOCAL) up

down: runtime  ## Stop the stack
	@$(LOCAL) down

status: runtime  ## Show the state of the stack
	@$(LOCAL) status || [ $$? = 3 ]

logs: runtime  ## Show the logs of the stack
	@$(LOCAL) logs

check: develop  ## Check style, types, layers, contracts, prose and generated pages
	@$(RUN) -m deploy.check

bench: develop  ## Measure speed and memory
	@$(RUN) -m tests.benchmarks

clean: runtime  ## Stop the stack and delete its data, without asking
	@$(LOCAL) clean --yes

format: develop  ## Format the code and fix what can be fixed automatically
	@$(RUN) -m ruff check --fix --quiet . ; $(RUN) -m ruff format --quiet .

protos: develop  ## Compile the contracts
	@$(RUN) protos/compile.py

docs: develop  ## Regenerate the generated pages of docs/
	@$(RUN) -m deploy.check.pages --update

migration: develop  ## Create a migration (SERVICE=session_service NAME=add_notes)
	@$(RUN) -m deploy.migration $(SERVICE) $(NAME)

release: develop  ## Make the current contracts the baseline that later contracts must not break
	@$(RUN) -m deploy.check release

.PHONY: runtime develop
runtime:
	@$(PYTHON) deploy/bootstrap.py runtime
develop:
	@$(PYTHON) deploy/bootstrap.py develop

OWN_DISTRIBUTIONS := protos chassis identity-service content-service session-service chat-service cli
lock:  ## Lock every dependency with its hashes, for every platform (needs uv)
	@for kind in runtime develop; do uv pip compile --quiet --universal --python-version 3.11 \
	--generate-hashes --no-header --no-annotate --override requirements/overrides.txt \
	$(OWN_DISTRIBUTIONS:%=--no-emit-package meno-%) requirements/$$kind.in --output-file requirements/$$kind.txt; done
