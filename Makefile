# make help lists what there is.
SHELL := /bin/bash -o pipefail
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python -W ignore -m
MODEL ?=
PROFILE ?=
PARAMS ?=
PAGES ?=
JOBS ?=
PORT ?= 8000

.DEFAULT_GOAL := help
.PHONY: help setup execute plan keep book serve lab test check bench clean

help:  ## this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## (.*)/  make \1\t\2/' | expand -t 18
	@echo '  Options of execute: MODEL=llama-3-8b  PROFILE=full  PARAMS="LEARNING_RATE=5e-5 STEPS=20"  PAGES=05,06  JOBS=1'

setup: $(VENV)/.ready  ## make .venv with the pinned packages

$(VENV)/.ready: requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed" if sys.version_info < (3, 11) else 0)'
	@test -x $(VENV)/bin/python || $(PYTHON) -m venv $(VENV)
	@echo "installing packages into $(VENV) (once, some minutes)"
	@$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	@$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps -e .
	@touch $@

execute: setup  ## run every page for a model, and render the book
	@$(RUN) mechlib execute --model "$(MODEL)" --profile "$(PROFILE)" --params "$(PARAMS)" --pages "$(PAGES)" --jobs "$(JOBS)"

plan: setup  ## what execute would run, about how long, and the memory it needs (same options)
	@$(RUN) mechlib plan --model "$(MODEL)" --profile "$(PROFILE)" --params "$(PARAMS)" --pages "$(PAGES)"

keep: setup  ## keep the rows of finished runs with the book, to be committed (same options)
	@$(RUN) mechlib keep --model "$(MODEL)" --profile "$(PROFILE)" --params "$(PARAMS)" --pages "$(PAGES)"

book: setup  ## render the book from the committed pages, in seconds
	@$(RUN) mechlib book

serve: book  ## look at the book in a browser
	@echo "http://localhost:$(PORT)/book/index.html"
	@$(VENV)/bin/python -m http.server $(PORT) --bind 127.0.0.1 --directory _build/html

lab: setup  ## open the pages in JupyterLab
	@$(VENV)/bin/jupyter lab book

test: setup  ## the whole test suite
	@$(VENV)/bin/python -m pytest -n auto --maxprocesses 4 --dist loadfile

check: setup  ## style and types
	@$(VENV)/bin/ruff check . && $(VENV)/bin/pyright

bench: setup  ## time of each stage and of the fast paths, as ratios within one run
	@$(RUN) tests.bench

clean:  ## remove what was built (not the runs)
	@rm -rf _build
