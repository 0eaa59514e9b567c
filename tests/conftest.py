"""Settings of all tests, and what several packages' tests need on the machine."""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Generator, Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

import pytest
from hypothesis import HealthCheck, settings

from semcom_phy.errors import LinkError
from semcom_phy.flowgraph.python import GnuRadio, find_gnuradio

# A shell's background job ignores Ctrl-C, and so would the tests that send it.
signal.signal(signal.SIGINT, signal.default_int_handler)

# The receiver's matrices are small: several BLAS threads on one of them wait for each other more than they work.
# The command line sets this, too; it counts only before NumPy is loaded.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

# No deadline and no complaint about slow generation: machines are shared and slow at times. In CI the examples are
# the same at every run; elsewhere each run tries new ones.
settings.register_profile(
    "project",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    derandomize="CI" in os.environ,
    print_blob=True,
)
settings.load_profile("project")


def _plugin() -> ModuleType:
    """The loopback driver's folder is no package, and its fixture is for tests of both packages."""
    name = "soapy_loopback_plugin"
    spec = importlib.util.spec_from_file_location(name, Path(__file__).parent / "soapy_loopback" / "plugin.py")
    assert spec is not None
    assert spec.loader is not None
    sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


_soapy = _plugin()
loopback = _soapy.loopback


@pytest.fixture(scope="session")
def lacking() -> Callable[[str], NoReturn]:
    """Skips a test for want of something, or fails it where SEMCOM_REQUIRE_GNURADIO says that all has to be there."""
    skip: Callable[[str], NoReturn] = _soapy.lacking
    return skip


@pytest.fixture(scope="session")
def gnuradio(lacking: Callable[[str], NoReturn]) -> GnuRadio:
    """GNU Radio and its Python; without it the test is skipped and says which command installs it."""
    try:
        return find_gnuradio()
    except LinkError as error:
        lacking(str(error))


@pytest.fixture
def popen() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """`subprocess.Popen` with pipes of text; whatever still runs at the end of the test is killed."""
    started: list[subprocess.Popen[str]] = []

    def start(command: Sequence[str], **options: Any) -> subprocess.Popen[str]:
        process = subprocess.Popen(command, text=True, **options)
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


#: Tests with GNU Radio or the loopback driver that have passed: `.ci/run` wants to see that they ran.
_PASSED = pytest.StashKey[int]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, Any, Any]:
    report = yield
    needs = getattr(item, "fixturenames", ())
    if report.when == "call" and report.passed and ("gnuradio" in needs or "loopback" in needs):
        item.config.stash[_PASSED] = item.config.stash.get(_PASSED, 0) + 1
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    terminalreporter.write_line(f"{config.stash.get(_PASSED, 0)} tests passed with GNU Radio or SoapySDR")
