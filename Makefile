# make demo   see three simulated calls: no key, no phone, no server
# make test   run all tests
# make test-browser   drive the console in the system's Chromium
# make check  formatting, lint, types, import contracts, the image's recipe
# make fix    repair formatting and what the linter can repair
# make bench  measure against a bare server, in one run
# make screenshots    take the pictures in docs/images again
# make chaos  kill and cut off processes, Redis and PostgreSQL under calls (ROUNDS=20 make chaos: more)

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# Half of the time these tests wait for processes and databases: more than two cores would.
WORKERS ?= 3
PURE := tests/sip tests/model tests/routing tests/sessions
COVERED := src/sipagent/sip/*,src/sipagent/model/*,src/sipagent/routing/*,src/sipagent/sessions/machine/*

.PHONY: demo test test-browser check fix bench screenshots chromium chaos clean

demo: $(STAMP)
	@$(BIN)/sipagent demo

test: $(STAMP)
	@rm -f .coverage .coverage.*
	$(BIN)/coverage run -m pytest -q -n 2 $(PURE)
	$(BIN)/coverage combine -q
	$(BIN)/coverage report --include='$(COVERED)' --fail-under=95 --skip-covered
	$(BIN)/python -m pytest -q -n $(WORKERS) --dist worksteal $(addprefix --ignore=,$(PURE) tests/browser)

test-browser: chromium
	$(BIN)/python -m pytest -q -n 0 tests/browser

check: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/hadolint Dockerfile

fix: $(STAMP)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(STAMP)
	$(BIN)/python -m benchmarks

screenshots: chromium
	$(BIN)/python -m tests.browser.screenshots

chromium: $(STAMP)
	@$(BIN)/python -m tests.browser.chromium || \
		{ command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ] && \
		apt-get update -q && apt-get install -q -y --no-install-recommends chromium; } || \
		{ echo "this needs Chromium: apt-get install chromium, or SIPAGENT_TEST_CHROMIUM=/path/of/it"; exit 1; }

chaos: $(STAMP)
	@ROUNDS=$${ROUNDS:-3} $(BIN)/python -m pytest -q -s tests/chaos/test_chaos.py tests/chaos/chaos_replicas.py tests/chaos/chaos_faults.py

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage .coverage.* dist build

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "sipagent needs Python 3.11 or newer: make PYTHON=python3.12 ..."; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@
