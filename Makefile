# Two commands do everything on a fresh machine with Python 3.11, pip and make:
#   make run    the demo: several labs' exports into ./data
#   make test   checks and the whole test suite
# And make soak for the full counts, make bench for the benchmark (BENCH='--rows 10000000 --repeats 5' for others),
# make lock for a new lock, make clean for a fresh start.

PYTHON ?= python3
BIN := .venv/bin

.PHONY: run test check soak bench lock clean

run: .venv/installed
	@$(BIN)/neurobalance demo

test: check
	@$(BIN)/python -m pytest

check: .venv/installed
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy

# every package with its hash: the lock is whole, so pip has nothing to resolve; the project itself in place
.venv/installed: requirements.txt pyproject.toml
	@$(PYTHON) -m venv .venv
	@echo "Installing the locked packages into .venv (a minute or two, once)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

# the same tests with their full counts (docs/reliability.md); takes hours. TEST=tests/reliability/test_kills.py for one
soak: .venv/installed
	@NEUROBALANCE_SOAK=$${NEUROBALANCE_SOAK:-1} $(BIN)/python -m pytest -o timeout=0 $(TEST)

# this project beside DuckDB and pandas on seeded exports, in build/benchmark
bench: .venv/installed
	@$(BIN)/python -m benchmarks.run $(BENCH)

# anew from pyproject.toml; uv resolves for all platforms and writes no address
lock:
	@$(BIN)/python -m pip install --quiet uv
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
		--no-header --no-annotate --extra dev pyproject.toml -o requirements.txt

clean:
	rm -rf .venv data build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
