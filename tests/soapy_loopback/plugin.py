"""The loopback driver for tests: built once per state of its source, found by SoapySDR for one test.

Test modules load this file by its path and take the fixture `loopback` from it.
"""

from __future__ import annotations

import functools
import hashlib
import itertools
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

import pytest

FOLDER = Path(__file__).parent
MODULE = "libsemcomloop.so"
COMPILE = ("g++", "-std=c++17", "-O2", "-Wall", "-Wextra", "-Wpedantic", "-Wshadow", "-Wconversion", "-Werror", "-fPIC")
INSTALL = "apt-get install g++ libsoapysdr-dev"
INSTALL_UHD = "apt-get install uhd-host uhd-soapysdr"
_SHARED_MEMORY = Path("/dev/shm")
_numbers = itertools.count()


def build(cache: Path) -> Path:
    """Compile the driver into a folder of `cache` that is named after its source, unless it is there; return it."""
    sources = sorted(FOLDER.glob("*.[ch]pp"))
    state = hashlib.sha256("\0".join([*COMPILE, *(path.read_text() for path in sources)]).encode()).hexdigest()[:16]
    folder = cache / state
    if not (folder / MODULE).exists():
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            module = Path(scratch) / MODULE
            units = [str(path) for path in sources if path.suffix == ".cpp"]
            subprocess.run([*COMPILE, "-shared", "-o", str(module), *units, "-lSoapySDR"], check=True, timeout=300)
            os.replace(module, folder / MODULE)
    return folder


def lacking(what: str) -> NoReturn:
    """Skip the test; where everything has to be there, fail it."""
    if os.environ.get("SEMCOM_REQUIRE_GNURADIO"):
        pytest.fail(what, pytrace=False)
    pytest.skip(what)


@functools.cache
def uhd_finds_it(folder: Path) -> bool:
    """Whether UHD has its module for SoapySDR's devices, and finds the driver in this folder through it."""
    try:
        done = subprocess.run(
            ["uhd_find_devices", "--args", "type=soapy,driver=semcomloop"],
            env={**os.environ, "SOAPY_SDR_PLUGIN_PATH": str(folder), "SOAPY_SDR_ROOT": str(folder)},
            capture_output=True,
            text=True,
            timeout=60,
        )
    except FileNotFoundError:
        return False
    return "driver: semcomloop" in done.stdout


@dataclass
class Loopback:
    """One test's air: devices with its `key` hear each other and nobody else."""

    folder: Path
    key: str = field(default_factory=lambda: f"test-{os.getpid()}-{next(_numbers)}")

    def device(self, **arguments: object) -> str:
        """Arguments for SoapySDR."""
        given = {"driver": "semcomloop", "key": self.key, **arguments}
        return ",".join(f"{name}={value}" for name, value in given.items())

    def radio(self, **arguments: object) -> str:
        """The name of a radio."""
        return f"soapy:{self.device(**arguments)}"

    def uhd_device(self, **arguments: object) -> str:
        """Arguments for UHD; without its module for SoapySDR's devices, the test ends here."""
        if not uhd_finds_it(self.folder):
            lacking(f"UHD does not find SoapySDR's devices: {INSTALL_UHD}")
        return f"type=soapy,{self.device(**arguments)}"

    def uhd_radio(self, **arguments: object) -> str:
        """The name of a radio that UHD drives."""
        return f"uhd:{self.uhd_device(**arguments)}"


@pytest.fixture
def loopback(pytestconfig: pytest.Config, monkeypatch: pytest.MonkeyPatch) -> Iterator[Loopback]:
    """The driver, and no other, is there for processes that the test starts."""
    if shutil.which("g++") is None or not Path("/usr/include/SoapySDR").is_dir():
        lacking(f"the loopback driver cannot be built: {INSTALL}")
    air = Loopback(build(pytestconfig.cache.mkdir("soapy_loopback")))
    monkeypatch.setenv("SOAPY_SDR_PLUGIN_PATH", str(air.folder))
    monkeypatch.setenv("SOAPY_SDR_ROOT", str(air.folder))
    yield air
    # Processes that were killed leave it behind; at the end nobody may.
    for left in _SHARED_MEMORY.glob(f"semcomloop.*.{air.key}"):
        left.unlink()
