# Every target is a few plain commands; see them with `make -n <target>`.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_ROOT_USER_ACTION := ignore

# What a production server would have; no value is used for anything but the checks.
PRODUCTION := DEBUG=false SECRET_KEY="$$($(BIN)/python -c 'import secrets; print(secrets.token_urlsafe(64))')" \
	PUBLIC_URL=https://beckon.example.com ALLOWED_HOSTS=beckon.example.com \
	DATABASE_URL=postgres://beckon:unused@127.0.0.1:1/beckon REDIS_URL=redis://:unused@127.0.0.1:1/0 \
	EMAIL_URL=smtp+tls://user:unused@mail.example.com:587

# Only what is not locked yet is resolved anew; UPGRADE=--upgrade renews everything.
LOCK := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	--no-emit-find-links --no-annotate --no-header $(UPGRADE)

.PHONY: help setup setup-run up demo test check chaos mutants audit lock format bench pages screenshots clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 12

setup: $(VENV)/.installed-dev ## create .venv and install everything, also for tests

setup-run: $(VENV)/.installed

up: setup-run ## run all of Beckon in this terminal (Ctrl-C stops it)
	$(BIN)/python manage.py up

demo: setup-run ## a small shop and two weeks of its events, end to end, on this machine
	$(BIN)/python manage.py demo

bench: setup ## measure throughput and latency against the floor
	$(BIN)/python manage.py bench

pages: setup ## server time of each list of the admin, over a million events
	@home=$$(mktemp -d) && trap 'rm -rf "$$home"' EXIT && \
		BECKON_HOME="$$home" DATABASE_URL= REDIS_URL= $(BIN)/python manage.py bench_pages $(ARGS)

screenshots: setup ## the pictures of the documentation, of a demo made for them
	$(BIN)/python -m tests.screenshots

test: setup ## all tests, on PostgreSQL and Redis of their own
	$(BIN)/python -m pytest -n auto --maxprocesses=4 --dist=loadfile

chaos: setup ## every fault of the matrix at full size, at most 20 minutes (ARGS=--json, ARGS=--with-baseline)
	@$(BIN)/python -m tests.chaos $(ARGS)

mutants: setup ## take one safety away at a time: a named test must fail
	@$(BIN)/python -m tests.chaos.mutants $(ARGS)

check: setup ## lint, format, types, import contracts, security, settings, migrations
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/bandit --quiet --recursive --severity-level high config profiles automation analytics
	$(PRODUCTION) $(BIN)/python manage.py check --deploy --fail-level WARNING
	$(BIN)/python manage.py makemigrations --check --dry-run
	@$(BIN)/python .ci/audit.py

audit: setup ## known vulnerabilities of everything that is locked (also part of check)
	@$(BIN)/python .ci/audit.py

lock: setup ## write the lock files anew, for every platform and Python, after a change of requirements*.txt
	$(LOCK) requirements.txt --output-file requirements.lock
	$(LOCK) requirements-dev.txt --constraint requirements.lock --output-file requirements-dev.lock

format: setup ## let ruff format and mend what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean: ## remove caches and the embedded servers' data (not .venv)
	rm -rf .beckon .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis staticfiles

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Beckon needs Python 3.11 or newer; name one with: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
		{ echo "Python's venv is missing. On Debian and Ubuntu: apt-get install python3-venv"; exit 1; }
	$(PYTHON) -m venv $(VENV)

# The stamps make the second run take no time.
$(VENV)/.installed: requirements.lock | $(BIN)/python
	$(BIN)/python -m pip install --quiet --require-hashes --requirement requirements.lock
	@touch $@

$(VENV)/.installed-dev: requirements-dev.lock | $(BIN)/python
	$(BIN)/python -m pip install --quiet --require-hashes --requirement requirements-dev.lock
	@touch $@ $(VENV)/.installed
