"""Settings of all tests, and what several packages' tests need on the machine."""

from __future__ import annotations

import importlib.util
import os
import signal
import sys
from pathlib import Path
from types import ModuleType

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

#: Where it is set, a machine without GNU Radio fails the tests that need it instead of skipping them.
REQUIRE_GNURADIO = "SEMCOM_REQUIRE_GNURADIO"


@pytest.fixture(scope="session")
def gnuradio() -> GnuRadio:
    """GNU Radio and its Python; without it the test is skipped and says which command installs it."""
    try:
        return find_gnuradio()
    except LinkError as error:
        if os.environ.get(REQUIRE_GNURADIO):
            pytest.fail(f"{error} ({REQUIRE_GNURADIO} is set)", pytrace=False)
        pytest.skip(str(error))


def _plugin() -> ModuleType:
    """The loopback driver's folder is no package, and its fixture is for tests of both packages."""
    name = "soapy_loopback_plugin"
    spec = importlib.util.spec_from_file_location(name, Path(__file__).parent / "soapy_loopback" / "plugin.py")
    assert spec is not None
    assert spec.loader is not None
    sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


loopback = _plugin().loopback
