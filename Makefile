# Two commands set everything up: `make demo` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed-for-tests
NUMPY1 := .venv-numpy1

.PHONY: help venv demo test test-numpy1 fast lint figures fer-curves clean

help:
	@echo "make demo   set up .venv and send a shipped photograph over the NumPy link (out/demo)"
	@echo "make test   set up .venv and send it, then lint, types and the whole test suite"
	@echo "make venv   only set up .venv"
	@echo "make fast   the fast tests"
	@echo "make lint   ruff and mypy"
	@echo "make figures  remake the figures of the documentation"
	@echo "make fer-curves  simulate the error rate curves of tests/refs/turbo again (half an hour)"

venv: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "make: Python 3.11 or later is needed; give it with PYTHON=/path/to/python3.11"; exit 1; }
	@test -x $(BIN)/python && $(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv $(VENV) || \
		{ rm -rf $(VENV); \
		  if test "$$(id -u)" = 0 && command -v apt-get >/dev/null; then \
			apt-get update -q && apt-get install -y -q python3-venv && $(PYTHON) -m venv $(VENV); \
		  else echo "make: no venv module here: install it with 'sudo apt-get install python3-venv'"; exit 1; fi; }
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[test,dev]'
	@touch $@

demo: venv
	$(BIN)/semcom send semcom_app/photos/astronaut.png --codec vcsc-8bit --link numpy --channel awgn --snr 10 --out out/demo

lint: venv
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

fast: venv
	$(BIN)/python -m pytest -q -m "not slow"

test: demo lint test-numpy1
	$(BIN)/python -m pytest -q

# The link must also run on numpy 1, which GNU Radio's Python has.
test-numpy1: $(NUMPY1)/.installed
	PYTHONPATH=. $(NUMPY1)/bin/python -m pytest -q -m "not slow" tests/semcom_phy

$(NUMPY1)/.installed: tests/requirements-numpy1.txt $(STAMP)
	rm -rf $(NUMPY1)
	$(PYTHON) -m venv $(NUMPY1)
	$(NUMPY1)/bin/python -m pip install --quiet --requirement tests/requirements-numpy1.txt
	@touch $@

fer-curves: venv
	$(BIN)/python docs/make_fer_curves.py

figures: venv
	$(BIN)/python docs/make_figures.py

clean:
	rm -rf $(VENV) $(NUMPY1) out build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
