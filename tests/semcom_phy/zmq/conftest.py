"""Processes that the tests start, and what they need on the machine."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import NoReturn

import pytest

from semcom_phy.flowgraph.python import GnuRadio

ROOT = Path(__file__).parents[3]
SCRIPTS = Path(__file__).parent / "scripts"
#: Has what the distribution packs, and nothing of ours.
SYSTEM_PYTHON = "/usr/bin/python3"

Spawn = Callable[..., "subprocess.Popen[str]"]


@cache
def _system_python_has(*modules: str) -> bool:
    command = [SYSTEM_PYTHON, "-c", f"import {', '.join(modules)}"]
    try:
        return subprocess.run(command, capture_output=True, timeout=60).returncode == 0
    except OSError:
        return False


@pytest.fixture(scope="session")
def gnuradio_python(gnuradio: GnuRadio) -> str:
    """The Python that imports gnuradio and pmt."""
    return str(gnuradio.python)


@pytest.fixture(scope="session")
def system_python(lacking: Callable[[str], NoReturn]) -> str:
    """The Python of the system with numpy and pyzmq, as GNU Radio's blocks have it."""
    if not _system_python_has("numpy", "zmq"):
        lacking("the system's Python lacks numpy or pyzmq: apt-get install python3-numpy python3-zmq")
    return SYSTEM_PYTHON


@pytest.fixture
def spawn(popen: Callable[..., subprocess.Popen[str]]) -> Spawn:
    """Start a script of this folder; whatever still runs at the end of the test is killed."""

    def start(script: str, *arguments: str, python: str = sys.executable) -> subprocess.Popen[str]:
        return popen(
            [python, str(SCRIPTS / script), *arguments],
            env=dict(os.environ, PYTHONPATH=str(ROOT)),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )

    return start
