# Everything a person or a gate does with this repository. `make` alone lists it.
# A fresh machine needs Python 3.10 or later, make, and a package index that pip can reach.

PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python
LOWEST := .venv-lowest
PYTEST_ARGS ?=
TEST_PROCESSES ?= 2
IN_PARALLEL = -n $(TEST_PROCESSES) --dist worksteal
LAB_ARGS ?=
SHELL := /bin/bash

.DEFAULT_GOAL := help
.PHONY: help demo test unit chaos compat coverage mutation advisories check cassettes notebooks lab console bench clean

help:  ## Say what there is
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(VENV)/.core  ## Run the main job on a local sandbox and leave demo_output/campaign_audit.csv
	@$(RUN) -m sparkfly_nb.demo

test: $(VENV)/.dev  ## Run the whole suite, in TEST_PROCESSES=2; PYTEST_ARGS="-k words" for some of it
	$(RUN) -m pytest $(IN_PARALLEL) $(PYTEST_ARGS)

unit: $(VENV)/.dev  ## Run the fast part of the suite, in under a minute on two cores
	$(RUN) -m pytest $(IN_PARALLEL) -m 'not chaos and not slow' tests/unit $(PYTEST_ARGS)

chaos: $(VENV)/.dev  ## Run the long tests: faults, kills and a soak; keep their tables in docs/reliability.md
	$(RUN) tools/chaos_report.py $(PYTEST_ARGS)

compat: $(LOWEST)/.dev  ## Run the suite on the oldest versions that pyproject.toml promises
	$(LOWEST)/bin/python -m pytest $(IN_PARALLEL) -W default::DeprecationWarning $(PYTEST_ARGS)

coverage: $(VENV)/.dev  ## Run the suite and say which lines and branches it leaves out; fails under 95 %
	$(RUN) -m coverage erase
	$(RUN) -m coverage run -m pytest $(IN_PARALLEL) $(PYTEST_ARGS)
	$(RUN) -m coverage combine --quiet
	$(RUN) -m coverage report

mutation: $(VENV)/.dev  ## Change the code of ledger, settle and frames in each small way, and see whether a test notices
	$(RUN) -m pip install --quiet 'mutmut>=3.8'
	rm -rf mutants
	CI=1 $(RUN) -m mutmut run --max-children 1 'sparkfly_nb.bulk.engine.reconcile.x_shows*'  # all are made, a few run
	$(RUN) tools/mutation_run.py

advisories: $(VENV)/.dev  ## Ask pip-audit about every installed version; needs the network, and is no part of the gate
	$(PYTHON) -m venv .venv-advisories
	.venv-advisories/bin/python -m pip install --quiet pip-audit
	$(RUN) -m pip freeze --exclude-editable > .venv-advisories/installed.txt
	.venv-advisories/bin/pip-audit --strict --disable-pip --no-deps --requirement .venv-advisories/installed.txt

check: $(VENV)/.dev  ## Lint, check the format, check the types of the package and of tests/typing
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) -m mypy
	$(RUN) tools/check_types.py

cassettes: $(VENV)/.dev  ## Record cassettes/ again, against the sandbox unless SPARKFLY_ENVIRONMENT says otherwise
	$(RUN) tools/record_cassettes.py
	$(RUN) -m pytest -q tests/project/test_cassettes.py

notebooks: $(VENV)/.dev  ## Run the notebooks again and keep their outputs in the files
	$(RUN) tools/notebook_runs.py

lab: $(VENV)/.lab  ## Open JupyterLab with the notebooks
	$(RUN) -m jupyterlab $(LAB_ARGS) notebooks

console: $(VENV)/.lab  ## Serve the forms of notebooks/05_forms.ipynb as a page, to this machine only
	$(RUN) -m voila notebooks/05_forms.ipynb --Voila.ip=127.0.0.1 --Voila.auto_token=True

bench: $(VENV)/.dev  ## Measure against the SDK and write the table of benchmarks/README.md
	$(RUN) benchmarks/run.py

clean:  ## Remove what these commands made, but for cassettes and benchmark tables
	rm -rf $(VENV) $(LOWEST) .venv-advisories demo_output mutants .coverage* .pytest_cache .mypy_cache .ruff_cache .hypothesis

# ---- environments: a file in .venv says what was installed, and is as old as that --------------------------------------

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' \
		|| { echo 'Python 3.10 or later is needed: make PYTHON=/path/to/python3.12 ...' >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) \
		|| { rm -rf $(VENV); echo 'the venv module is missing; on Debian and Ubuntu: apt install python3-venv' >&2; exit 1; }

$(VENV)/.core: pyproject.toml | $(VENV)/bin/python
	$(RUN) -m pip install --quiet --editable .
	@touch $@

$(VENV)/.dev: pyproject.toml | $(VENV)/bin/python
	$(RUN) -m pip install --quiet --editable '.[dev]'
	@touch $@ $(VENV)/.core

$(VENV)/.lab: pyproject.toml | $(VENV)/bin/python
	$(RUN) -m pip install --quiet --editable '.[forms,plot]'
	@touch $@ $(VENV)/.core

# Packages that old use what newer ones of their own dependencies deprecate, so deprecations are shown there, not refused.
$(LOWEST)/.dev: pyproject.toml tools/lower_bounds.py
	$(PYTHON) -m venv --clear $(LOWEST)
	$(LOWEST)/bin/python -m pip install --quiet 'tomli; python_version < "3.11"'
	$(LOWEST)/bin/python tools/lower_bounds.py > $(LOWEST)/constraints.txt
	$(LOWEST)/bin/python -m pip install --quiet --constraint $(LOWEST)/constraints.txt --editable '.[dev]'
	@touch $@
