# make help lists the targets. The first one that needs Python makes the virtual environment .venv.
# Variables: topology=NAME|FILE, run=DIRECTORY|FILE|LAB, node=NAME, command="...", args="..." (further options of the command), PYTHON=python3.

PYTHON ?= python3
SHELL := /bin/bash
.DEFAULT_GOAL := help
.SUFFIXES:

bin := .venv/bin
testbed := $(bin)/testbed
lab ?= $(basename $(notdir $(topology)))
run ?= latest

# What a target needs to be told, said before anything is done.
require = $(if $($1),,$(error say $2: make $(MAKECMDGOALS) $3))
ifneq (,$(filter run up check sweep show graph validate shell exec logs capture,$(MAKECMDGOALS)))
$(call require,topology,which,topology=NAME ($(basename $(notdir $(wildcard topologies/*.yml))) or a file))
endif
ifneq (,$(filter down,$(MAKECMDGOALS)))
lab_or_all := $(or $(lab),$(args))
$(call require,lab_or_all,which,topology=NAME (or args=--all for all labs of this machine))
endif
ifneq (,$(filter shell exec capture,$(MAKECMDGOALS)))
$(call require,node,in which node,topology=$(topology) node=NAME)
endif
ifneq (,$(filter exec,$(MAKECMDGOALS)))
$(call require,command,what to run,topology=$(topology) node=$(node) command="ping -c1 server")
endif

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-9s %s\n", $$1, $$2}' Makefile
	@echo '  with topology=NAME (or a file), args="further options"; PYTHON=/usr/bin/python3 chooses the interpreter'

# ---- labs ----------------------------------------------------------------------------------------------------------
.PHONY: run up check sweep show graph validate down ps shell exec logs capture replay export doctor
run: $(bin)/installed nodes-image ## Bring a topology up, run its workloads, take it down: topology=lossy
	@$(testbed) run "$(topology)" $(args)

up: $(bin)/installed nodes-image ## Bring a topology up and leave it: topology=lossy
	@$(testbed) up "$(topology)" $(args)

check: $(bin)/installed nodes-image ## Measure whether the links are as requested: topology=lossy
	@$(testbed) check "$(topology)" $(args)

sweep: $(bin)/installed nodes-image ## Run a topology with many values, several times: topology=mathis args="--repeat 5"
	@$(testbed) sweep "$(topology)" $(args)

show: $(bin)/installed ## Show what a topology resolves to: topology=lossy
	@$(testbed) show "$(topology)" $(args)

graph: $(bin)/installed ## Draw a topology: topology=lossy args="--output lossy.svg"
	@$(testbed) graph "$(topology)" $(args)

validate: $(bin)/installed ## Check a topology file: topology=lossy
	@$(testbed) validate "$(topology)" $(args)

down: $(bin)/installed ## Take a lab down: topology=lossy; or all of them: args=--all
	@$(testbed) down $(if $(lab),"$(lab)") $(args)

ps: $(bin)/installed ## List the labs that are up
	@$(testbed) ps $(args)

shell: $(bin)/installed ## Open a shell in a node: topology=lossy node=client
	@$(testbed) shell "$(lab)" "$(node)" $(args)

exec: $(bin)/installed ## Run a command in a node: topology=lossy node=client command="ping -c1 server"
	@$(testbed) exec "$(lab)" "$(node)" $(args) -- $(command)

logs: $(bin)/installed ## Show what the nodes' own programs wrote: topology=lossy, node=client for one; args=--follow
	@$(testbed) logs "$(lab)" $(if $(node),"$(node)") $(args)

capture: $(bin)/installed ## Capture packets at a node until Ctrl-C: topology=lossy node=client
	@$(testbed) capture "$(lab)" "$(node)" $(args)

replay: $(bin)/installed nodes-image ## Repeat a run and compare: run=results/LAB/TIME-ID, or what export made of it
	@$(testbed) replay "$(run)" $(args)

export: $(bin)/installed ## Make one file of a run, to attach to a ticket: run=results/LAB/TIME-ID
	@$(testbed) export "$(run)" $(args)

doctor: $(bin)/installed ## Say what this machine can do, and what to install for the rest
	@$(testbed) doctor $(args)

# ---- the project -----------------------------------------------------------------------------------------------------
.PHONY: images test soak lint docs bench performance fidelity lock audit sbom clean
images: $(bin)/installed ## Build the testbed's images, its own and the servers' (needs a Docker Engine)
	@PYTHON=$(bin)/python images/build

test: $(bin)/installed-dev ## Run all tests; what this machine can't run is skipped with the reason
	@echo "test     pytest $(args)"
	@$(bin)/pytest $(args)

soak_parts := faults kills cycles disturbed engine hostile grid machines
soak: $(bin)/installed-dev nodes-image ## Faults, hostile input, every kind over every delay: docs/robustness.md. Hours; scale=0.05 is less
	@echo "soak     pytest $(soak_parts:%=tests/soak/%.py) $(args)"
	@SOAK_SCALE=$(scale) $(bin)/pytest $(soak_parts:%=tests/soak/%.py) $(args)

lint: $(bin)/installed-dev ## Check style, types and the layers
	@echo "lint     ruff check"; $(bin)/ruff check .
	@echo "lint     ruff format --check"; $(bin)/ruff format --check .
	@echo "lint     mypy"; $(bin)/mypy
	@echo "lint     lint-imports"; $(bin)/lint-imports

docs: $(bin)/installed-dev ## Build the documentation as a site: build/site
	@$(bin)/python docs/make_reference.py
	@$(bin)/mkdocs build --strict --quiet && echo "docs     build/site/index.html"

bench: $(bin)/installed-dev nodes-image ## Measure the testbed beside its peers: args="bringup filters stream"
	@$(bin)/python -m tests.bench $(args)

performance: $(bin)/installed-dev nodes-image ## Measure what labs cost beside other tools: docs/performance.md. args="netns docker ..." for parts
	@$(bin)/python -m tests.bench.performance $(args)

fidelity: $(bin)/installed-dev ## Measure by independent tools whether links are as requested: docs/fidelity.md. args="here" or "guest" for a part
	@$(bin)/python -m tests.bench.fidelity $(args)

lock: $(bin)/installed-supply-chain ## Choose the versions of the image's Python packages anew: images/requirements.txt, with hashes
	@$(bin)/python -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' || { \
	    echo "make: the image's Python is 3.11, and .venv has $$($(bin)/python --version)" >&2; \
	    echo "  hint: make clean, then make PYTHON=python3.11 lock" >&2; exit 3; }
	@$(bin)/pip-compile --quiet --upgrade --generate-hashes --strip-extras --no-annotate --no-header --no-emit-options \
	    --output-file images/requirements.txt pyproject.toml
	@echo "lock     images/requirements.txt: $$(grep -c '^[a-z]' images/requirements.txt) packages"

audit: $(bin)/installed-supply-chain ## Look for known vulnerabilities of the image's Python packages (needs the network)
	@$(bin)/pip-audit --strict --disable-pip --require-hashes --requirement images/requirements.txt $(args) || { \
	    echo "audit    there are vulnerabilities, or their list at pypi.org was not reached: see above" >&2; exit 1; }

sbom: $(bin)/installed-supply-chain nodes-image ## List all packages of the image testbed: build/testbed.cdx.json (CycloneDX)
	@$(bin)/python images/sbom.py testbed build/testbed.cdx.json

clean: ## Remove the virtual environment, caches and fetched packages; results and labs stay
	@echo "clean    .venv, caches, images/wheels"
	@rm -rf .venv build dist testbed_lab.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	@rm -f images/wheels/*.whl images/wheels/.fetched
	@find testbed tests -name __pycache__ -type d -prune -exec rm -rf {} +

# Where nodes may become containers, their images are there and current: a fraction of a second when nothing changed.
# Of the servers', those that the topology names. Where they can't be built, the testbed takes network namespaces, or says
# why the topology needs containers.
servers = $(filter $(patsubst images/%/Dockerfile,%,$(wildcard images/*/Dockerfile)),$(patsubst testbed-%,%,$(shell \
    grep -oh 'testbed-[a-z0-9-]*' $(wildcard topologies/$(topology).yml $(topology)) /dev/null)))
.PHONY: nodes-image
nodes-image: $(bin)/installed
	@$(if $(findstring netns,$(args)),:,if docker version >/dev/null 2>&1; then \
	    PYTHON=$(bin)/python images/build testbed $(sort $(servers)) \
	        || echo "images   not built; nodes become network namespaces unless they need containers"; fi)

# ---- the virtual environment -------------------------------------------------------------------------------------------
$(bin)/python:
	@echo "venv     .venv with $$($(PYTHON) --version)"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	    echo "make: $(PYTHON) is too old or missing, Python 3.11 or newer is needed" >&2; \
	    echo "  hint: install it, or name it: make PYTHON=python3.12 ..." >&2; exit 3; }
	@if $(PYTHON) -c 'import ensurepip, venv' 2>/dev/null; then $(PYTHON) -m venv .venv; \
	elif command -v virtualenv >/dev/null; then virtualenv --quiet --python "$(PYTHON)" .venv; \
	elif command -v uv >/dev/null; then uv venv --quiet --seed --python "$(PYTHON)" .venv; \
	else echo "make: $(PYTHON) can't make virtual environments" >&2; \
	    echo "  hint: apt-get install python3-venv (or have virtualenv or uv)" >&2; exit 3; fi

$(bin)/installed: pyproject.toml | $(bin)/python
	@echo "venv     installing the package and what it needs"
	@$(bin)/python -m pip install -qq --disable-pip-version-check --editable .
	@touch $@

$(bin)/installed-dev: pyproject.toml | $(bin)/python
	@echo "venv     installing the package, what it needs and the tools for its development"
	@$(bin)/python -m pip install -qq --disable-pip-version-check --editable '.[dev]'
	@touch $(bin)/installed $@

$(bin)/installed-supply-chain: pyproject.toml | $(bin)/python
	@echo "venv     installing the tools for the lock, the audit and the SBOM"
	@$(bin)/python -m pip install -qq --disable-pip-version-check --editable '.[supply-chain]'
	@touch $(bin)/installed $@
