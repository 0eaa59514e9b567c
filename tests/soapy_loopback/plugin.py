"""The loopback driver for tests: built once per state of its source, found by SoapySDR for one test.

Test modules load this file by its path and take the fixture `loopback` from it.
"""

from __future__ import annotations

import hashlib
import itertools
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent
MODULE = "libsemcomloop.so"
COMPILE = ("g++", "-std=c++17", "-O2", "-Wall", "-Wextra", "-Wpedantic", "-Wshadow", "-Wconversion", "-Werror", "-fPIC")
INSTALL = "apt-get install g++ libsoapysdr-dev"
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


@pytest.fixture
def loopback(pytestconfig: pytest.Config, monkeypatch: pytest.MonkeyPatch) -> Iterator[Loopback]:
    """The driver, and no other, is there for processes that the test starts."""
    if shutil.which("g++") is None or not Path("/usr/include/SoapySDR").is_dir():
        if os.environ.get("SEMCOM_REQUIRE_GNURADIO"):
            pytest.fail(f"the loopback driver cannot be built: {INSTALL}", pytrace=False)
        pytest.skip(f"the loopback driver cannot be built: {INSTALL}")
    air = Loopback(build(pytestconfig.cache.mkdir("soapy_loopback")))
    monkeypatch.setenv("SOAPY_SDR_PLUGIN_PATH", str(air.folder))
    monkeypatch.setenv("SOAPY_SDR_ROOT", str(air.folder))
    yield air
    # Processes that were killed leave it behind; at the end nobody may.
    for left in _SHARED_MEMORY.glob(f"semcomloop.*.{air.key}"):
        left.unlink()
