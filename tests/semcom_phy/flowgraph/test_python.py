"""Finding GNU Radio's Python, and what the tests do on a machine without it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from semcom_phy.errors import LinkError
from semcom_phy.flowgraph import python
from semcom_phy.flowgraph.python import GnuRadio, find_gnuradio

ROOT = Path(__file__).parents[3]


@pytest.fixture
def anew(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """What was found before, or will be here, is forgotten."""
    find_gnuradio.cache_clear()
    yield monkeypatch
    find_gnuradio.cache_clear()


def interpreter(folder: Path, name: str, answer: str) -> Path:
    program = folder / name
    program.write_text(f"#!/bin/sh\n{answer}\n")
    program.chmod(0o755)
    return program


def test_a_named_python_is_the_only_one_asked(anew: pytest.MonkeyPatch, tmp_path: Path) -> None:
    named = interpreter(tmp_path, "named", "echo 3.11.0.0")
    anew.setenv(python.VARIABLE, str(named))
    assert find_gnuradio() == GnuRadio(named, "3.11.0.0")
    find_gnuradio.cache_clear()
    anew.setenv(python.VARIABLE, str(interpreter(tmp_path, "bare", "exit 1")))
    with pytest.raises(LinkError, match=r"bare, which SEMCOM_GNURADIO_PYTHON names, has no GNU Radio.*make gnuradio"):
        find_gnuradio()


def test_the_environment_comes_before_the_system(anew: pytest.MonkeyPatch, tmp_path: Path) -> None:
    anew.delenv(python.VARIABLE, raising=False)
    anew.setattr(python, "_ROOT", tmp_path)
    anew.setattr(python, "_SYSTEM", interpreter(tmp_path, "system", "echo system"))
    assert find_gnuradio().version == "system"
    find_gnuradio.cache_clear()
    (tmp_path / python.ENVIRONMENT / "bin").mkdir(parents=True)
    interpreter(tmp_path / python.ENVIRONMENT / "bin", "python", "echo environment")
    assert find_gnuradio().version == "environment"


@pytest.mark.parametrize(("required", "code", "word"), [("", 0, "SKIPPED"), ("1", 1, "ERROR")])
def test_tests_without_gnu_radio(tmp_path: Path, required: str, code: int, word: str) -> None:
    (tmp_path / "test_it.py").write_text("def test_it(gnuradio):\n    assert gnuradio\n")
    arguments = ["-q", "-rsE", "-p", "no:cacheprovider", "-c", os.devnull, "--rootdir", str(tmp_path)]
    command = [sys.executable, "-m", "pytest", *arguments, "-p", "tests.conftest", str(tmp_path)]
    environment = {**os.environ, python.VARIABLE: "/none", "SEMCOM_REQUIRE_GNURADIO": required}
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment, timeout=120)
    assert done.returncode == code, done.stdout
    assert word in done.stdout
    assert "make gnuradio" in done.stdout
