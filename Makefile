# Everything runs in .venv, which `make setup` builds once.
PYTHON := .venv/bin/python
# The maintained OpenMMLab packages (onedl, the default), or the original ones (upstream).
LINE ?=
# Where torch comes from and which, such as TORCH_INDEX=cu126 TORCH=2.7.1 (tools/setup.sh); kept by .venv.
export TORCH_INDEX TORCH

.PHONY: help setup quickstart evidence test test-slow test-gpu torture lint format docs docs-links clean

help:  ## show this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

setup:  ## build .venv: torch, the OpenMMLab packages, mmsoco
	@tools/setup.sh $(LINE)

quickstart: setup  ## pretrain on real images, fine-tune, look at it (about 8 minutes on 2 cores)
	@$(PYTHON) -W ignore tools/quickstart.py $(ARGS)

evidence: setup  ## what docs/evidence.md reports: DATA=FOLDER, some 17 hours on 2 cores; goes on where it was stopped
	@$(MAKE) -f tools/evidence/Makefile all

test: setup  ## the core tests (some minutes)
	@echo 'test: the core tests, about 6 minutes on 2 cores'
	@OMP_NUM_THREADS=1 $(PYTHON) -m pytest -m 'not slow' -n auto --dist loadfile $(ARGS)

test-slow: setup  ## the tests that train, in several processes and by the command-line tools
	@echo 'test-slow: tests that train and start processes, about half an hour on 2 cores'
	@OMP_NUM_THREADS=1 $(PYTHON) -m pytest -m slow -n auto --dist loadfile $(ARGS)

test-gpu: setup  ## the tests that need CUDA, on one GPU or two; skipped where there is none
	@$(PYTHON) -m pytest -m 'not slow' tests/cuda $(ARGS)

torture: setup  ## kill a small pretraining 200 times and compare what becomes of it
	@echo 'torture: about 15 minutes on 2 cores'
	@MMSOCO_KILLS=$${MMSOCO_KILLS:-200} $(PYTHON) -m pytest -m slow -s tests/reliability/test_kills.py $(ARGS)

lint: setup  ## what CI checks besides tests
	@$(PYTHON) -m ruff check .
	@$(PYTHON) -m ruff format --check .
	@.venv/bin/codespell

format: setup  ## mend what can be mended automatically
	@$(PYTHON) -m ruff check --fix .
	@$(PYTHON) -m ruff format .

docs: setup  ## build the documentation site into docs/_build/html
	@$(PYTHON) -W ignore -m sphinx -q -W --keep-going -c docs . docs/_build/html
	@echo 'docs: docs/_build/html/index.html'

docs-links: setup  ## follow the links of the site to other ones; needs a network, so CI leaves it out
	@$(PYTHON) -W ignore -m sphinx -q -b linkcheck -c docs . docs/_build/links

clean:  ## remove .venv
	rm -rf .venv
