"""Pictures, commands in processes of their own, ports, and the way in which commands refuse."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from semcom_app.cli import run

Refused = Callable[..., None]
Start = Callable[..., "subprocess.Popen[str]"]

ROOT = Path(__file__).parents[3]
COMMAND = (sys.executable, "-c", "from semcom_app.cli import main; main()")


def free_ports(count: int) -> list[int]:
    """The first ones of `count` sets of four ports that are free now.

    They lie below those that the system deals out to whoever connects.
    """
    found: list[int] = []
    for first in range(20001, 32000, 4):
        try:
            for port in range(first, first + 4):
                with socket.socket() as probe:
                    probe.bind(("127.0.0.1", port))
        except OSError:
            continue
        found.append(first)
        if len(found) == count:
            return found
    pytest.fail(f"no {4 * count} free ports")


def outcome(process: subprocess.Popen[str], code: int = 0) -> dict[str, Any]:
    """What it printed as JSON, once it has ended as expected."""
    printed, errors = process.communicate(timeout=240)
    assert process.returncode == code, errors
    return json.loads(printed)


@pytest.fixture(scope="session")
def picture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A picture of 32×24 with something in it."""
    y, x = np.mgrid[0:24, 0:32]
    pixels = np.stack([8 * x, 10 * y, 255 - 8 * x], axis=-1).clip(0, 255).astype(np.uint8)
    path = tmp_path_factory.mktemp("pictures") / "a.png"
    Image.fromarray(pixels).save(path)
    return path


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str]) -> Refused:
    """Check that a command ends with this exit code and one line on standard error that holds these texts."""

    def check(arguments: list[object], code: int, *expected: str) -> None:
        assert run([str(argument) for argument in arguments]) == code
        captured = capsys.readouterr()
        assert captured.out == ""
        assert captured.err.startswith("semcom: ")
        assert captured.err.count("\n") == 1
        assert "unforeseen" not in captured.err
        for text in expected:
            assert text in captured.err

    return check


@pytest.fixture
def start(popen: Start) -> Start:
    """Start `semcom`; what still runs at the end of the test is killed."""

    def run(*arguments: object) -> subprocess.Popen[str]:
        return popen(
            [*COMMAND, *map(str, arguments)],
            cwd=ROOT,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    return run
