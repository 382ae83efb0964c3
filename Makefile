.DEFAULT_GOAL := help
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# How many processes share the tests: one more than two cores, since tests also wait.
JOBS ?= 3
# What mypy reads; folders that are not there yet are left out.
TYPED := $(wildcard src tests examples demo benchmarks)

.PHONY: help setup check format test test-system test-long demo demo-mars demo-compound demo-slurm demo-console \
	million bench bench-console docs \
	fuzz model-check mutation market-days dynamics misreports compound-clients record-slurm slurm-64 trainers constraints clean

help: ## show this list
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

setup: $(STAMP) ## make the virtual environment in .venv

$(STAMP): pyproject.toml constraints.txt tools/make-venv tools/system-packages
	tools/make-venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check \
		--constraint constraints.txt --editable '.[server,sensors,dev]'
	tools/system-packages
	@touch $@
	@echo 'ready: source $(BIN)/activate'

check: $(STAMP) ## lint, format, types, arrows between packages
	! git grep -nE '^(<<<<<<<|>>>>>>>) '
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy $(TYPED)
	$(BIN)/lint-imports --no-logo

format: $(STAMP) ## format the code and mend what the linter can mend
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

test: $(STAMP) ## the tests, less those marked system, slow or gpu
	tools/system-packages
	$(BIN)/pytest -n $(JOBS) -m "not system and not slow and not gpu"

test-system: $(STAMP) ## the tests of whole servers, engines and examples
	tools/system-packages
	tools/get-prometheus >/dev/null || true
	$(BIN)/pytest -n $(JOBS) -m "system and not slow and not gpu"

test-long: $(STAMP) ## every test but those marked gpu, properties at length
	HYPOTHESIS_PROFILE=long $(BIN)/pytest -n $(JOBS) -m "not gpu" --timeout 1800

demo: $(STAMP) ## a day in a small marketplace
	$(BIN)/python -m demo.day

demo-console: $(STAMP) ## a marketplace with people in it, and the console to watch it
	$(BIN)/parkade up --demo

million: $(STAMP) ## one question, a million candidates: 3 to 12 minutes, goes on where it was
	$(BIN)/python -m examples.million.solve build/million --programs 1000000

demo-mars: $(STAMP) ## a GPU falls off the bus: swapped, repaired, returned
	$(BIN)/python -m demo.mars

demo-slurm: $(STAMP) ## the day on a Slurm of 16 nodes and 128 fake GPUs: two minutes
	tools/system-packages
	$(BIN)/python -m demo.slurm

demo-compound: $(STAMP) ## verified best of K on factoring, here and as a preempted workload
	$(BIN)/python examples/factoring_network/demo.py

# How long `make model-check` searches each world, in seconds.
SECONDS_EACH ?= 1800
# Which of them; and of each so many-th state whether it comes to rest.
WORLD ?= all
REST_EVERY ?= 1
# Where `model-check` and `fuzz` keep their results as JSON.
RESULTS ?= build/proof

model-check: $(STAMP) ## every state of the small worlds, for half an hour each
	$(BIN)/parkade sim check --world $(WORLD) --seconds $(SECONDS_EACH) --rest-every $(REST_EVERY) \
		--jobs $(JOBS) --results $(RESULTS)

docs: $(STAMP) ## the documentation as a site, in build/site
	$(BIN)/python tools/site/build.py build/site
	@echo 'open build/site/index.html'

bench: $(STAMP) ## the benchmarks
	$(BIN)/python benchmarks/run.py

# How many nodes of 8 GPUs `bench-console` shows.
NODES ?= 12500

bench-console: $(STAMP) ## the map of 100,000 GPUs in a real browser: three minutes
	$(BIN)/python benchmarks/console_browser.py --nodes $(NODES)

# How many simulated stories `fuzz` plays, from which seed on.
STORIES ?= 2500
FIRST ?= 1

fuzz: $(STAMP) ## a million simulated events over many seeds, each judged: about half an hour
	$(BIN)/parkade sim fuzz --seed $(FIRST) --seeds $(STORIES) --events 400 \
		--jobs $(JOBS) --results $(RESULTS)

# How many mutants of each decider `mutation` tries; 0: all.
MUTANTS ?= 9

mutation: $(STAMP) ## change the deciders a little, one by one: which changes does no test notice?
	$(BIN)/python tools/mutation.py --sample $(MUTANTS)

dynamics: $(STAMP) ## simulated half days at several loads, held against the kept ranges: two minutes
	$(BIN)/parkade sim dynamics --hours 12 --ranges benchmarks/dynamics_ranges.json

market-days: $(STAMP) ## four simulated days beside those of the first version: 3 to 6 minutes
	$(BIN)/python benchmarks/market_days.py --against benchmarks/market_days_before.json

misreports: $(STAMP) ## what a lie about the limit gains in one clearing, by kind of bidder
	$(BIN)/python benchmarks/misreports.py
	$(BIN)/python benchmarks/list_gains.py --markets 1000

record-slurm: $(STAMP) ## what sacct says of a real Slurm under two policies, kept as test data: 40 minutes
	$(BIN)/python -m tests.sim.observe.record

slurm-64: $(STAMP) ## a real Slurm of 64 slurmd: rate of submissions, reclaims, looks at it: 10 minutes
	tools/system-packages
	$(BIN)/python -m benchmarks.slurm_scale
	$(BIN)/python -m benchmarks.slurm_observation

compound-clients: $(STAMP) ## other clients ask a served network, and are measured beside ours
	tools/make-venv build/clients
	tools/make-venv build/curator
	for package in openai aiohttp httpx dspy inspect-ai litellm langchain-openai; do \
		build/clients/bin/python -m pip install --quiet --disable-pip-version-check $$package || \
			echo "left out: $$package cannot be installed"; \
	done
	build/curator/bin/python -m pip install --quiet --disable-pip-version-check bespokelabs-curator || \
		echo "left out: bespokelabs-curator cannot be installed"
	$(BIN)/python tools/clients/check.py build/clients/bin/python
	$(BIN)/python benchmarks/compound_peers.py build/clients/bin/python build/curator/bin/python

# Where a CPU build of torch is to be had, as pip's --index-url; torch is left out without one.
TORCH_INDEX ?=

trainers: $(STAMP) ## real torchrun, JAX, mpirun, uv and others under the local engine
	tools/make-venv build/trainers
	tools/trainers/install build/trainers "$(TORCH_INDEX)"
	PARKADE_TRAINERS=$(CURDIR)/build/trainers $(BIN)/pytest tests/trainers -rs

constraints: ## resolve the dependencies anew into constraints.txt
	tools/make-venv build/resolve
	build/resolve/bin/python -m pip install --quiet --upgrade --upgrade-strategy eager \
		--editable '.[server,sensors,dev]'
	build/resolve/bin/python -m pip freeze --exclude-editable > build/constraints.txt
	mv build/constraints.txt constraints.txt
	rm -rf build/resolve

clean: ## remove the environment, builds and caches
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find src tests -name __pycache__ -type d -prune -exec rm -rf {} +
