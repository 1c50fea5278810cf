# Every target works in a fresh clone: what it needs is installed into .venv first, with pip.
# `make` alone lists them. PY names the Python that makes .venv (3.11 or newer).
PY ?= python3
JOB ?= quickstart
BIN := .venv/bin/
PIP := $(BIN)python -m pip --disable-pip-version-check install -qq
# Where PYTHONDONTWRITEBYTECODE is set, every start would compile all of it: twice as slow.
COMPILE := $(BIN)python -m compileall -qq -j 0 .venv/lib batcher > /dev/null || true
DATA := jobs/quickstart/HumanEval.jsonl.gz
NEEDED := $(if $(filter quickstart,$(JOB)),$(DATA))
JOBS := $(filter-out jobs/reference.toml,$(wildcard jobs/*.toml))

.PHONY: help setup fmt lint types test test-all scenarios bench check rehearse run clean

help:                      ## this list
	@grep -hE '^[a-z-]+: .*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 16

setup: .venv/.develop      ## .venv with everything; does nothing when pyproject.toml is unchanged

fmt: .venv/.develop        ## rewrite style in place
	$(BIN)ruff check --fix . ; $(BIN)ruff format .

lint: .venv/.develop       ## style and banned names; changes nothing
	$(BIN)ruff check . && $(BIN)ruff format --check .

types: .venv/.develop      ## mypy --strict
	$(BIN)mypy && $(BIN)mypy tests

test: .venv/.develop $(DATA)   ## set up, then all fast tests
	$(BIN)batcher check $(JOBS)
	$(BIN)pytest -q -m 'not slow'

test-all: .venv/.develop .venv/.aws $(DATA)   ## also those that take long: kill and resume, real model, soak
	$(BIN)batcher check $(JOBS)
	$(BIN)pytest -q

scenarios: .venv/.develop  ## the rate controller against simulated providers, on a virtual clock
	$(BIN)python -m tests.scenarios

bench: .venv/.develop      ## CPU per request beside a bare aiohttp loop, cost of a grant, peak memory
	$(BIN)python -m tests.bench

check: lint types test     ## what a commit must pass

rehearse: .venv/.run $(NEEDED)   ## make rehearse JOB=claude: the whole job against the simulator
	$(BIN)batcher rehearse jobs/$(JOB).toml

# batcher ends with 1 when all rows are settled and some have no usable answer. That is an end, not
# a mistake of make's, so make ends with 0 then too; any other code of batcher's fails the target.
run: .venv/.run $(NEEDED)    ## set up what is missing, then run a job: quickstart, or JOB=name
	@code=0; $(BIN)batcher run jobs/$(JOB).toml || code=$$?; \
	case $$code in \
	0) ;; \
	1) echo "batcher ended with 1: every row has its record; failures.jsonl holds those without an answer." ;; \
	*) echo "batcher ended with $$code."; exit $$code ;; \
	esac

clean:                     ## remove .venv and caches; results in runs/ stay
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis

# The stamps say which extras .venv has; both go stale with pyproject.toml.
.venv/.develop: pyproject.toml | .venv/bin/python
	@echo "Installing batcher and its development tools into .venv (about a minute) ..."
	@$(PIP) --editable '.[dev,local,zstd]'
	@$(COMPILE)
	@touch .venv/.run $@

.venv/.aws: pyproject.toml | .venv/.develop
	@echo "Installing a stand-in for AWS into .venv (about a minute) ..."
	@$(PIP) --editable '.[aws-test]'
	@$(COMPILE)
	@touch $@

.venv/.run: pyproject.toml | .venv/bin/python
	@echo "Installing batcher and the local model's server into .venv (about half a minute) ..."
	@$(PIP) --editable '.[local,zstd]'
	@$(COMPILE)
	@touch $@

.venv/bin/python:
	@$(PY) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	{ echo "batcher needs Python 3.11 or newer; name one: make PY=python3.12"; exit 1; }
	@$(PY) -m venv .venv || { rm -rf .venv; \
	echo "$(PY) cannot make environments; on Debian and Ubuntu: apt-get install python3-venv"; exit 1; }

$(DATA): | .venv/bin/python
	@$(BIN)python jobs/quickstart/fetch.py
