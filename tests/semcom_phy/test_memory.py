"""Freed memory is kept: large arrays stop costing page faults."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

from semcom_phy import memory

GLIBC = platform.libc_ver()[0] == "glibc"
#: Page faults of eight arrays of 2 MiB at a time, fifty times, when the first ones have been made.
FAULTS = """
import resource, sys
import numpy as np
from semcom_phy.memory import keep_freed_memory
if sys.argv[1] == "call":
    assert keep_freed_memory()
def arrays():
    for _ in range(50):
        [np.ones(1 << 18) for _ in range(8)]
arrays()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
arrays()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(how: str, **environment: str) -> int:
    own = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
    command = [sys.executable, "-c", FAULTS, how]
    return int(subprocess.run(command, env=own | environment, capture_output=True, check=True, text=True).stdout)


@pytest.mark.skipif(not GLIBC, reason="the settings are those of glibc")
def test_arrays_stay_where_they_are() -> None:
    usual = faults("none")
    assert faults("call") < usual / 10
    assert faults("none", **memory.ENVIRONMENT) < usual / 10


def test_other_libraries_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory.ctypes, "CDLL", lambda name: object())
    assert not memory.keep_freed_memory()
