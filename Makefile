# Everything a person or CI does here. `make` alone lists it.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:
.SUFFIXES:
MAKEFLAGS += --no-print-directory

VENV := .venv
PY := $(VENV)/bin/python
OUTPUT ?= black-swan.png
PYTEST_ARGS ?=
SECONDS ?= 600
FAULT_TIMES := .darkroom/fault-times.jsonl
# Tests run in so many processes; -n 0 among PYTEST_ARGS runs them in one.
PROCESSES ?= 2
PYTEST = $(PY) -m pytest -n $(PROCESSES) --dist loadgroup

# What is installed, in two sizes: to run the service, and to work on it.
RUN := $(VENV)/.installed-run
DEV := $(VENV)/.installed-dev

# The same with the lowest versions that are allowed.
LOWEST := $(VENV)-lowest/.installed
LOWEST_PY := $(VENV)-lowest/bin/python
packages = $(1) -c 'import sysconfig; print(sysconfig.get_path("purelib"))'

PINS := pyproject.toml constraints.txt
PIP := $(PY) -I -S cli/installing.py $(VENV)/install.log $(PY) -m pip install --retries 10 --timeout 60 --no-input --progress-bar off --constraint constraints.txt
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_USER := 0

# Becomes the command and ends with make, even if make is killed outright.
LEASHED := exec $(PY) -I -S cli/leash.py SIGTERM $$PPID

# A virtual environment whose Python is gone, or that was moved here, is as good as none.
IN_PLACE := [ -x $(PY) ] && head -n 2 $(VENV)/bin/pip 2>/dev/null | grep -qF '$(CURDIR)/$(VENV)/bin/'
$(shell $(IN_PLACE) || rm -f $(RUN) $(DEV))

.PHONY: help setup demo up test test-unit test-integration test-e2e test-faults test-slow coverage docs-test faults
.PHONY: chaos compose-test check lowest format bench gpu-check clean distclean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(DEV) ## create .venv with everything to run, test and develop

demo: $(RUN) ## start everything, draw the documented example into black-swan.png, stop everything
	@$(LEASHED) $(PY) -m cli demo --output '$(OUTPUT)'

up: $(RUN) ## run the service in the foreground until Ctrl-C
	@$(LEASHED) $(PY) -m cli up $(if $(PORT),--port $(PORT)) $(if $(WORKERS),--workers $(WORKERS)) $(if $(GPUS),--gpus $(GPUS))

test: $(DEV) ## every layer, without the tests that are marked slow
	@echo 'make: tests'
	@$(PYTEST) -m 'not slow' $(PYTEST_ARGS)

test-unit test-integration test-e2e test-faults: test-%: $(DEV)
	@echo 'make: tests/$*'
	@$(PYTEST) -m 'not slow' tests/$* $(PYTEST_ARGS)

test-unit: ## one layer of them
test-integration: ## one layer of them
test-e2e: ## one layer of them
test-faults: ## one layer of them

test-slow: $(DEV) ## the tests that are marked slow, of every layer
	@echo 'make: slow tests'
	@$(PYTEST) -m slow $(PYTEST_ARGS)

coverage: $(DEV) ## what the tests of the first two layers reach of the code, and that it is no less than it was
	@echo 'make: coverage'
	@$(PYTEST) tests/unit tests/integration --cov --cov-report=term:skip-covered $(PYTEST_ARGS)

docs-test: $(DEV) ## every command of the documents, on a service of their own
	@echo 'make: the documents'
	@$(PY) -m pytest tests/docs $(PYTEST_ARGS)

faults: $(DEV) ## every fault at its full length, and docs/reliability.md from the times measured
	@mkdir -p .darkroom
	@DARKROOM_LONG_FAULTS=1 DARKROOM_FAULT_TIMES=$(FAULT_TIMES) $(PY) -m pytest tests/faults $(PYTEST_ARGS)
	@$(PY) -m tests.faults.report $(FAULT_TIMES)

chaos: $(DEV) ## break everything at random (SEED=..., SECONDS=600, WORKERS=4) and check what is left
	@$(LEASHED) $(PY) -m tests.faults.chaos --seconds $(SECONDS) $(if $(SEED),--seed $(SEED)) $(if $(WORKERS),--workers $(WORKERS))

compose-test: $(DEV) ## the stack of docker-compose.yml for real: built, healthy, scaled, killed, restarted (many minutes)
	@$(LEASHED) $(PY) -m tests.containers $(foreach folder,$(WHEELS),--wheels '$(folder)')

check: $(DEV) ## lint, format, types, import contracts; containers, alert rules, chart, known vulnerabilities
	@echo 'make: ruff check'
	@$(PY) -m ruff check .
	@echo 'make: ruff format'
	@$(PY) -m ruff format --check .
	@echo 'make: mypy'
	@$(PY) -m mypy
	@echo 'make: import contracts'
	@$(VENV)/bin/lint-imports
	@echo 'make: hadolint'
	@$(VENV)/bin/hadolint deploy/*.Dockerfile
	@echo 'make: compose-lint'
	@$(VENV)/bin/compose-lint check --strict-config --fail-on low --skip-suppressed --quiet docker-compose.yml
	@echo 'make: alert rules'
	@if command -v promtool >/dev/null; then cd deploy/prometheus && promtool check rules alerts.yml && \
		promtool test rules alerts_test.yml && promtool check config --syntax-only prometheus.yml; \
	else echo 'skipped: promtool is not installed (on Debian: apt install prometheus)'; fi
	@echo 'make: Helm chart'
	@$(PY) deploy/helm/validate.py
	@echo 'make: known vulnerabilities'
	@$(PY) .ci/audit.py
	@$(MAKE) lowest

# Torch and what else is the same in both comes from $(VENV), whose packages stand behind its own.
lowest: $(LOWEST) ## the unit tests with the lowest versions that pyproject.toml allows
	@echo 'make: unit tests with the lowest allowed versions'
	@$(LOWEST_PY) -m pytest -n $(PROCESSES) --dist loadgroup -m 'not slow' -q tests/unit/api tests/unit/shared tests/unit/worker $(PYTEST_ARGS)

$(LOWEST): $(DEV) .ci/lowest.py
	@echo 'make: installing the lowest allowed versions into $(VENV)-lowest'
	@$(PY) -m venv --clear $(VENV)-lowest
	@$(PY) .ci/lowest.py >$(VENV)-lowest/lowest.txt
	@$(call packages,$(PY)) >"$$($(call packages,$(LOWEST_PY)))/behind.pth"
	@$(LOWEST_PY) -m pip install -qq --retries 10 --no-input --requirement $(VENV)-lowest/lowest.txt
	@touch $@

format: $(DEV) ## format, and mend what ruff can mend
	@$(PY) -m ruff check --fix .
	@$(PY) -m ruff format .

bench: $(DEV) ## measure what the service adds to a picture, the engine against others, and traffic
	@$(PY) -m benchmarks.overhead
	@$(PY) -m benchmarks.engine
	@$(PY) -m benchmarks.traffic
	@echo 'make: for an hour of mixed traffic: $(PY) -m benchmarks.soak'

gpu-check: $(DEV) ## what only a machine with a GPU can say, in eight minutes: tests, every mode's parity, tables
	@$(PY) -m benchmarks.gpu_check

clean: ## remove caches, and the data and logs of local runs
	@rm -rf .darkroom build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis .coverage
	@find . -path ./$(VENV) -prune -o -type d -name __pycache__ -exec rm -rf {} +

distclean: clean ## remove .venv and .venv-lowest too
	@rm -rf $(VENV) $(VENV)-lowest

$(RUN): $(PINS)
	@$(call environment)
	@echo 'make: installing what the service needs into $(VENV) (a minute or two the first time)'
	@$(call install,.[torch])
	@touch $@

$(DEV): $(PINS)
	@$(call environment)
	@echo 'make: installing what running, testing and developing need into $(VENV) (a minute or two the first time)'
	@$(call install,.[torch$(comma)test$(comma)dev])
	@touch $(RUN) $@

comma := ,

# The first of these that is new enough; PYTHON=... chooses another one.
PYTHONS := $(or $(PYTHON),python3 python3.14 python3.13 python3.12 python3.11)
NEW_ENOUGH := import sys; sys.exit(sys.version_info < (3, 11))

define environment
if ! { $(IN_PLACE) && $(PY) -c 'import pip' 2>/dev/null; }; then \
	for python in $(PYTHONS); do \
		if command -v $$python >/dev/null && $$python -c '$(NEW_ENOUGH)' 2>/dev/null; then found=$$python; break; fi; \
	done; \
	if [ -z "$$found" ]; then \
		echo 'make: Python 3.11 or newer is needed; looked for: $(PYTHONS). Name one: make PYTHON=/path/to/python3' >&2; \
		exit 1; \
	fi; \
	echo "make: creating $(VENV) with $$($$found --version)"; \
	if ! $$found -m venv --clear $(VENV) >$(VENV).log 2>&1; then \
		cat $(VENV).log >&2; rm -rf $(VENV) $(VENV).log; \
		echo "make: $$found cannot create virtual environments; on Debian and Ubuntu: apt install python3-venv" >&2; \
		exit 1; \
	fi; \
	rm -f $(VENV).log; \
fi
endef

define install
$(PIP) --editable '$(1)'
endef
