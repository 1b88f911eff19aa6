# One target each; `make demo` and `make test` set up whatever they need.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMPS := $(VENV)/stamps
PIP_INSTALL := $(BIN)/python -m pip install --quiet --quiet --disable-pip-version-check -c constraints.txt
SOURCES := pyproject.toml package.json constraints.txt $(wildcard labextension/src/* labextension/src/*/* labextension/style/* labextension/schema/*)

# Yarn does not read npm's settings; it is told here which registry npm uses.
export YARN_NPM_REGISTRY_SERVER ?= $(shell npm config get registry 2>/dev/null)
ifeq ($(strip $(YARN_NPM_REGISTRY_SERVER)),)
unexport YARN_NPM_REGISTRY_SERVER
endif
export PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD := 1

# Containers often set this; hundreds of processes that are started here would each compile everything again.
unexport PYTHONDONTWRITEBYTECODE

NODE := $(shell command -v node 2>/dev/null)
CHROMIUM_PATH ?= $(shell command -v chromium || command -v chromium-browser || command -v google-chrome)
export CHROMIUM_PATH

.PHONY: help setup dev demo lab test coverage test-python test-front test-browser check format bench screenshot clean

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 16

$(STAMPS)/venv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { echo "Python 3.10 or newer is needed; set PYTHON=…"; exit 1; }
	@echo "· creating $(VENV)"
	@$(PYTHON) -m venv $(VENV)
	@mkdir -p $(STAMPS) && touch $@

$(STAMPS)/demo: $(STAMPS)/venv $(SOURCES)
	@echo "· installing torch and JupyterLab among others: one to five minutes the first time"
	@rm -rf qwen3ft_jupyter/labextension
	@$(PIP_INSTALL) -e '.[demo,qlora,zh]'
	@touch $@

$(STAMPS)/dev: $(STAMPS)/venv $(SOURCES)
	@echo "· installing, with the tools for development"
	@rm -rf qwen3ft_jupyter/labextension
	@$(PIP_INSTALL) -e '.[dev]'
	@touch $@ $(STAMPS)/demo

setup: $(STAMPS)/demo  ## create .venv with everything a user needs

dev: $(STAMPS)/dev  ## create .venv with everything a developer needs

demo: $(STAMPS)/demo  ## from an empty cache to a fine-tuned answer, no network, no GPU
	@$(BIN)/python scripts/demo.py

lab: $(STAMPS)/demo  ## the same in JupyterLab; LAB_OPTIONS="--no-browser --port 8899" for its own options
	@$(BIN)/python scripts/demo.py --lab -- $(LAB_OPTIONS)

# Tests in a browser mostly wait, so those of Python run beside them and are shown when the browser's have ended.
test: $(STAMPS)/dev test-front  ## all tests
	@$(MAKE) --no-print-directory test-python > $(STAMPS)/test-python.log 2>&1 & python=$$!; \
	$(MAKE) --no-print-directory test-browser; browser=$$?; \
	tail -n +1 -f $(STAMPS)/test-python.log & shown=$$!; \
	wait $$python; python=$$?; \
	sleep 2; kill $$shown; \
	exit $$((browser | python))

# A process for each CPU, each with one thread to calculate: more of them would wait for one another.
test-python: $(STAMPS)/dev
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses logical --maxprocesses 8 --dist worksteal $(PYTEST_OPTIONS)

coverage: $(STAMPS)/dev  ## the tests of Python, and which lines they reach
	@$(BIN)/python -m pytest --cov --cov-report=term

ifeq ($(NODE),)
test-front test-browser:
	@echo "· Node.js is not installed: tests of the front end are skipped"
else
node_modules/.yarn-state.yml: package.json yarn.lock $(STAMPS)/dev
	@$(BIN)/jlpm install --immutable > $(STAMPS)/jlpm.log 2>&1 || { cat $(STAMPS)/jlpm.log; exit 1; }
	@touch $@

tests/ui/node_modules/.yarn-state.yml: tests/ui/package.json tests/ui/yarn.lock $(STAMPS)/dev
	@cd tests/ui && ../../$(BIN)/jlpm install --immutable > ../../$(STAMPS)/jlpm-ui.log 2>&1 || { cat ../../$(STAMPS)/jlpm-ui.log; exit 1; }
	@touch $@

test-front: node_modules/.yarn-state.yml
	@$(BIN)/jlpm test

ifeq ($(strip $(CHROMIUM_PATH)),)
test-browser:
	@echo "· chromium is not installed: tests in a browser are skipped"
else
test-browser: tests/ui/node_modules/.yarn-state.yml
	@cd tests/ui && PATH="$(abspath $(BIN)):$$PATH" ../../$(BIN)/jlpm test $(BROWSER_OPTIONS)
endif
endif

check: $(STAMPS)/dev  ## linters and types
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/codespell
ifneq ($(NODE),)
	@$(MAKE) --no-print-directory node_modules/.yarn-state.yml
	@PATH="$(abspath $(BIN)):$$PATH" $(BIN)/jlpm lint:check
endif

format: $(STAMPS)/dev  ## let the formatters have their way
	@$(BIN)/ruff format . && $(BIN)/ruff check --fix .
ifneq ($(NODE),)
	@PATH="$(abspath $(BIN)):$$PATH" $(BIN)/jlpm lint
endif

bench: $(STAMPS)/dev  ## measure side by side; prints ratios
	@$(BIN)/python -m tests.benchmarks

screenshot: $(STAMPS)/dev  ## take the pictures of README and docs
	@PATH="$(abspath $(BIN)):$$PATH" $(BIN)/python scripts/screenshot.py

clean:  ## remove what the other targets made
	rm -rf $(VENV) .demo build dist node_modules tests/ui/node_modules labextension/lib qwen3ft_jupyter/labextension
