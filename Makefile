# make help lists what there is.
SHELL := /bin/bash -o pipefail
PYTHON ?= python3
VENV := .venv
RUNNER := $(VENV)/bin/python -W ignore -m

# What was given on the command line and is no option of every target. Values reach a command through its environment ("$$MODEL"),
# where neither make nor the shell reads them as code.
GIVEN := $(foreach name,$(.VARIABLES),$(if $(filter command,$(origin $(name))),$(filter-out PYTHON VENV RUNNER SHELL,$(name))))
# "$(call only,N SEED)": the options of a target; any other stops make.
only = $(foreach name,$(filter-out $(1),$(GIVEN)),$(error make $@ has no option $(name)$(if $(1),: it has $(1))))
# What execute, plan and keep do not know by name are parameters of pages: make execute STEPS=20 is PARAMS="STEPS=20".
ASKED = --model "$$MODEL" --profile "$$PROFILE" --study "$$STUDY" --pages "$$PAGES" --jobs "$$JOBS" --engine "$$ENGINE" --slurm "$$SLURM" --ray "$$RAY" \
	--params "$$PARAMS$(foreach name,$(filter-out MODEL PROFILE STUDY PAGES JOBS ENGINE SLURM RAY PARAMS,$(GIVEN)), $(name)=$$$(name))"

.DEFAULT_GOAL := help
.PHONY: help setup lock execute plan keep audit store prune export book pdf picture serve lab test test-precisions test-faults check bench mutate clean

help:  ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 24
	@echo '  Options of execute: MODEL=llama-3-8b  PROFILE=full  PARAMS="LEARNING_RATE=5e-5 STEPS=20"  PAGES=05,06  JOBS=1  STUDY=world'
	@echo '                      ENGINE=slurm  SLURM="partition=gpu gpus_per_node=1 time=120"'
	@echo '                      ENGINE=ray    RAY="address=auto num_gpus=1 num_cpus=2"'

setup: $(VENV)/.ready  ## make .venv with the pinned packages

$(VENV)/.ready: requirements.txt requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed" if sys.version_info < (3, 11) else 0)'
	@test -x $(VENV)/bin/python || $(PYTHON) -m venv $(VENV)
	@echo "installing packages into $(VENV) (once, some minutes)"
	@$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check "$$(grep '^torch==' requirements.txt)"
	@$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements.lock
	@$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps -e .
	@touch $@

# No build of torch, and nothing that only torch brings: each kind of machine has its own, so there is no one hash.
lock:  ## write requirements.lock: all that requirements.txt brings, with hashes (needs uv)
	@command -v uv > /dev/null || { echo "make lock needs uv: python -m pip install uv, in an environment that is not $(VENV)"; exit 2; }
	@echo '# Written by "make lock", to be installed without dependencies after torch, which has no one hash: its builds differ.' > requirements.lock
	@grep -v '^torch==' requirements.txt | uv pip compile - --quiet --universal --python-version 3.11 --generate-hashes --no-header \
		--no-annotate --no-emit-index-url --override <(echo "torch ; sys_platform == 'none'") \
		$(addprefix --no-emit-package ,torch sympy mpmath networkx) >> requirements.lock

execute: setup  ## run the profile's pages for a model, and render the book
	@$(RUNNER) mechlib execute $(ASKED)

plan: setup  ## what execute would run, about how long, the memory and disk it needs (same options)
	@$(RUNNER) mechlib plan $(ASKED)

keep: setup  ## keep the rows of finished runs with the book, to be committed (same options)
	@$(RUNNER) mechlib keep $(ASKED)

audit: setup  ## compute a sample of the kept runs again, and keep how far they differ with the book (N=24 SEED=0)
	@$(call only,N SEED JOBS)$(RUNNER) mechlib audit --number "$${N:-24}" --seed "$${SEED:-0}" --jobs "$$JOBS"

store: setup  ## size of stored and kept runs by stage, and what no executed page refers to
	@$(call only)$(RUNNER) mechlib store

prune: setup  ## list the runs that no executed page refers to; YES=1 removes them
	@$(call only,YES)$(if $(filter-out 1,$(YES)),$(error YES=$(YES): give 1, or leave it out))$(RUNNER) mechlib prune $(if $(YES),--yes)

export: setup  ## write the model after a stored edit as a Hugging Face folder (RUN=<id of an edit> TO=<folder>)
	@$(call only,MODEL RUN TO)$(RUNNER) mechlib export --model "$$MODEL" --run "$$RUN" --to "$$TO"

book: setup  ## render the book from the committed pages, in seconds
	@$(call only,PORT)$(RUNNER) mechlib book

serve: book  ## look at the book in a browser
	@[[ "$${PORT:=8000}" =~ ^[0-9]{1,5}$$ ]] || { echo "PORT: give a number, for example 8000" >&2; exit 2; }; \
	echo "http://localhost:$$PORT/index.html"; \
	$(VENV)/bin/python -m http.server "$$PORT" --bind 127.0.0.1 --directory _build/html

lab: setup  ## open a copy of the pages in JupyterLab, in lab/ (PORT=8888  IP=0.0.0.0: from other computers, too)
	@$(call only,PORT IP)$(RUNNER) mechlib lab --port "$$PORT" --ip "$$IP"

pdf: setup  ## the whole book as one PDF (needs Chromium)
	@$(call only)$(RUNNER) mechlib pdf

picture: setup  ## draw the README's picture anew from the executed pages (needs Chromium)
	@$(call only)$(RUNNER) mechlib picture

test: setup  ## the whole test suite
	@$(VENV)/bin/python -m pytest -n auto --maxprocesses 4 --dist loadfile

test-precisions: setup  ## the tests about precision, for a machine whose fast one is bfloat16, and for one where it is float32
	@for precision in $${PRECISIONS:-bfloat16 float32}; do MECHLIB_PRECISION=$$precision $(VENV)/bin/python -m pytest -n auto --maxprocesses 4 --dist loadfile -m precision || exit 1; done

test-faults: setup  ## kill a small study at twenty random moments and let it go on (some minutes)
	@$(VENV)/bin/python -m pytest -n 0 -m faults tests/faults

check: setup  ## style and types
	@$(VENV)/bin/ruff check . && $(VENV)/bin/pyright

bench: setup  ## time of each stage and of the fast paths, as ratios within one run
	@TQDM_DISABLE=1 $(RUNNER) tests.bench

mutate: setup  ## how many small faults in a file the tests find, and which they do not (FILES=mechlib/stats/interval.py  MOST=60  SEED=0)
	@$(call only,FILES MOST SEED)OMP_NUM_THREADS=1 $(RUNNER) tests.mutation $$FILES --most "$${MOST:-60}" --seed "$${SEED:-0}"

clean:  ## remove what was built (not the runs)
	@rm -rf _build
