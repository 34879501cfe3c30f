# chemlearn: `make demo` and `make test` each take a fresh checkout to its end; `make help` lists the rest.

PYTHON ?= python3
VENV   ?= .venv
UPGRADE ?=

# Relative, so that the path of the checkout may contain spaces.
BIN := $(VENV)/bin
REPORT := reports/linker
LOCK_TOOLS := $(VENV)-lock
UV_VERSION := 0.13.9
# What the locks hold beyond pyproject.toml: the build tools, and a bound because libroadrunner 2.11 has no wheel for Python 3.11.
LOCK_ALSO := hatchling>=1.26 editables>=0.5 libroadrunner<2.11

# A Debian python may come without ensurepip; then the pip of $(PYTHON) works on the environment from outside.
# Wheels only, and nothing but what the lock names. -qq leaves pip's errors visible.
PIP_INSTALL = if $(BIN)/python -c 'import pip' 2>/dev/null; then set -- $(BIN)/python -m pip; \
	else set -- $(PYTHON) -m pip --python $(BIN)/python; fi; \
	"$$@" install -qq --no-input --disable-pip-version-check

# Each stamp is newer than what it was installed from; a second call finds nothing to do.
RUNTIME := $(VENV)/.installed-runtime
PACKAGE := $(VENV)/.installed-package
DEV     := $(VENV)/.installed-dev

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:
.SUFFIXES:
.PHONY: help demo test lint lock clean check-python

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-6s %s\n", $$1, $$2 }' Makefile
	@echo '  Another interpreter: make demo PYTHON=python3.12'

demo: $(PACKAGE) ## install what the lock names into .venv, assess the linker synapse, say where the report lies
	$(BIN)/chemlearn assess linker -o $(REPORT)
	@for page in $(REPORT)/*.html; do \
		test -f "$$page" || { echo "no report was written in $(REPORT)" >&2; exit 1; }; \
		printf 'The report lies at %s/%s\n' "$$PWD" "$$page"; \
	done

test: lint ## every check: ruff, mypy, the tests, the notebooks; stops at the first that fails
	$(BIN)/python -m pytest
	$(BIN)/python -m pytest --nbmake --nbmake-timeout=300 notebooks

lint: $(DEV) $(PACKAGE) ## style, formatting and types only
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python -m mypy

# One version of everything for all Pythons (fewest), and the same in both locks (constraint).
lock: check-python ## write both locks anew from pyproject.toml; UPGRADE=--upgrade takes newer versions
	@test -x $(LOCK_TOOLS)/bin/uv || { $(PYTHON) -m venv $(LOCK_TOOLS) && \
		$(LOCK_TOOLS)/bin/python -m pip install -qq --disable-pip-version-check uv==$(UV_VERSION); }
	@compile() { printf '%s\n' $(foreach line,$(LOCK_ALSO),'$(line)') | \
		$(LOCK_TOOLS)/bin/uv pip compile pyproject.toml - --universal --python-version 3.11 --fork-strategy fewest --quiet \
			--no-header --no-annotate --no-emit-index-url "$$@"; }; \
	compile $(UPGRADE) -o requirements.lock && \
	compile $(UPGRADE) --extra dev --constraint requirements.lock -o requirements-dev.lock && \
	wc -l requirements.lock requirements-dev.lock

clean: ## remove the environments, builds and caches; reports stay
	rm -rf $(VENV) $(LOCK_TOOLS) build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name .git -prune -o \( -name __pycache__ -o -name .ipynb_checkpoints \) -type d -prune -exec rm -rf {} +

# Says what is wrong before anything is downloaded. An environment that is already there keeps its Python.
check-python:
	@if test '$(origin PYTHON)' = file && test -x $(BIN)/python; then exit 0; fi; \
	command -v '$(PYTHON)' >/dev/null || \
		{ echo "there is no program '$(PYTHON)'; chemlearn needs Python 3.11, 3.12 or 3.13: make demo PYTHON=python3.11" >&2; exit 1; }; \
	version='import sys; print("%d.%d" % sys.version_info[:2])'; \
	wanted=$$('$(PYTHON)' -c "$$version"); \
	case "$$wanted" in 3.11|3.12|3.13) ;; *) \
		echo "chemlearn needs Python 3.11, 3.12 or 3.13, but '$(PYTHON)' is $$wanted; name another: make demo PYTHON=python3.11" >&2; exit 1;; \
	esac; \
	test -x $(BIN)/python || exit 0; \
	there=$$($(BIN)/python -c "$$version"); \
	test "$$wanted" = "$$there" || \
		{ echo "$(VENV) holds Python $$there, but '$(PYTHON)' is $$wanted; run 'make clean' first" >&2; exit 1; }

$(RUNTIME): requirements.lock | check-python
	@echo "Installing the $$(grep -c == requirements.lock) packages of requirements.lock into $(VENV); this takes a few minutes."
	@test -x $(BIN)/python || "$(PYTHON)" -m venv $(VENV) >/dev/null 2>&1 || "$(PYTHON)" -m venv --clear --without-pip $(VENV)
	@$(PIP_INSTALL) --only-binary :all: -r requirements.lock
	@touch $@

$(DEV): requirements-dev.lock $(RUNTIME)
	@echo "Adding the development tools of requirements-dev.lock."
	@$(PIP_INSTALL) --only-binary :all: -r requirements-dev.lock
	@touch $@

# hatchling is in the lock, so the build needs no environment of its own and downloads nothing.
$(PACKAGE): pyproject.toml $(RUNTIME)
	@$(PIP_INSTALL) --no-deps --no-build-isolation -e .
	@touch $@
