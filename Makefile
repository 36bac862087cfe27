# make run [FILMS=folder]   install, then the demo: films in, readings back
# make test                 the tests, with the real peers that are installed (TEST_WORKERS files at once; 0: one test after the other)
# make test-long            the tests that take minutes: kills, bundles changed under traffic, training to its end
# make check                lint, format and types
# make faults SEED=1         every fault and attack, provoked many times (SHARE=0.1: a tenth of the times)
# make soak FILMS=20000     so many films through the whole service, and whether its memory grows
# make docs                 what documents hold of the code: tables, a JSON Schema
# make screenshots         every page of the console, in light and dark (needs Chromium)
# make sbom                 the bill of materials of what is installed, in dist/sbom.cdx.json (CycloneDX)
# make audit                whether anything that is installed has a known hole (asks a service on the network)
# make fuzz SEED=1 CASES=1000 so many wrong conversations with the listener (100,000 if not told)
# make bench FILMS=folder   the benchmarks on a folder of films, quickly (NAME=decode: one of them; FULL=1: at length)
#
# Needs make and Python 3.11, 3.12 or 3.13 (TensorFlow has wheels for these). PYTHON=path names one.

SHELL := /bin/sh
VENV := .venv
BIN := $(VENV)/bin
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt
PYTHON ?=
FILMS ?=
NAME ?=
FULL ?=
PYTEST_ARGS ?=
# Test files that run at once; 0 runs one after the other in this process.
TEST_WORKERS ?= 2
# Moments and order of the fault suite; the share of its repetitions that run.
SEED ?= 1
SHARE ?= 1
# Wrong conversations of `make fuzz`; SEED is theirs too.
CASES ?= 100000

PYTEST = $(BIN)/python -m pytest --numprocesses $(TEST_WORKERS) --dist loadfile --no-loadscope-reorder

.PHONY: run test test-long check docs bench faults fuzz soak sbom audit screenshots
.DELETE_ON_ERROR:

run: $(VENV)/.installed
	@$(BIN)/hilum demo $(if $(FILMS),--films '$(FILMS)')

test: $(VENV)/.installed-dev
	$(PYTEST) -m 'not long' $(PYTEST_ARGS)

test-long: $(VENV)/.installed-dev
	$(PYTEST) -m long $(PYTEST_ARGS)

sbom: $(VENV)/.installed $(VENV)/tools/.installed
	@mkdir -p dist
	@$(VENV)/tools/bin/cyclonedx-py environment --pyproject pyproject.toml --mc-type application \
	    --output-reproducible --output-format JSON --output-file dist/sbom.cdx.json $(BIN)/python
	@echo 'dist/sbom.cdx.json lists what is installed in $(VENV).'

audit: $(VENV)/tools/.installed
	@.ci/audit $(VENV)/tools/bin/pip-audit constraints.txt

faults: $(VENV)/.installed-dev
	HILUM_FAULTS_SEED=$(SEED) HILUM_FAULTS_SHARE=$(SHARE) $(BIN)/python -m pytest -m faults $(PYTEST_ARGS) tests/faults tests/system/test_canary.py

soak: $(VENV)/.installed-dev
	HILUM_FAULTS_SEED=$(SEED) HILUM_SOAK_FILMS=$(or $(FILMS),20000) $(BIN)/python -m pytest $(PYTEST_ARGS) tests/faults/test_fault_soak.py

check: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: $(VENV)/.installed-dev
	$(BIN)/python -m docs.tables

screenshots: $(VENV)/.installed-dev
	$(BIN)/python -m tests.console.screenshots

fuzz: $(VENV)/.installed-dev
	$(BIN)/python -m tests.fuzz.pdus --seed $(SEED) --cases $(CASES)

bench: $(VENV)/.installed-bench
	$(BIN)/python -m bench $(NAME) $(if $(FILMS),--films '$(FILMS)') $(if $(FULL),--full)

$(VENV)/.installed: $(VENV)/bin/python pyproject.toml constraints.txt
	@echo 'Installing Hilum into $(VENV); the first time takes some minutes.'
	@$(INSTALL) --editable .
	@touch $@

# In an environment of their own, so that the bill does not list them.
$(VENV)/tools/.installed: $(VENV)/bin/python constraints.txt
	@$(BIN)/python -m venv $(VENV)/tools
	@$(VENV)/tools/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt cyclonedx-bom pip-audit
	@touch $@

$(VENV)/.installed-dev: $(VENV)/bin/python pyproject.toml constraints.txt
	@echo 'Installing Hilum and its development tools into $(VENV).'
	@$(INSTALL) --editable '.[dev]'
	@touch $(VENV)/.installed $@

# Peers of the benchmarks too, which no test needs.
$(VENV)/.installed-bench: $(VENV)/.installed-dev
	@$(INSTALL) --editable '.[bench,dev]'
	@touch $@

# Takes the first Python that fits; where none does, the first line says what is missing.
$(VENV)/bin/python:
	@unfit=''; bare=''; \
	for python in $(or $(PYTHON),python3.13 python3.12 python3.11 python3 python); do \
	    version=$$("$$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null) || continue; \
	    case "$$version" in 3.11|3.12|3.13) ;; *) unfit="$$unfit $$version"; continue;; esac; \
	    if "$$python" -c 'import ensurepip, venv' 2>/dev/null; then \
	        "$$python" -m venv $(VENV) && exit 0; \
	        echo "Making $(VENV) with $$python failed, see above: remove $(VENV) and try again." >&2; exit 1; \
	    fi; \
	    bare="$${bare:-$$version}"; \
	done; \
	if [ -n "$$bare" ]; then \
	    echo "Python $$bare has no venv module: install it (Debian, Ubuntu: apt install python$$bare-venv), then run make again." >&2; \
	else \
	    echo "Python 3.11, 3.12 or 3.13 is needed, found:$${unfit:- none}. Install one (Debian, Ubuntu: apt install python3.11 python3.11-venv) or name it: make PYTHON=/path/to/python3.12" >&2; \
	fi; exit 1
