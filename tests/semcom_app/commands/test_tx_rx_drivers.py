"""Pictures from one process to another through gr-soapy or gr-uhd and the loopback driver."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from .conftest import COMMAND, Start, outcome

ROOT = Path(__file__).parents[3]
TUNING = ("--frequency", "433.92e6", "--sample-rate", "1e6", "--gain", "30")
PICTURE = ("--size", "64", "--codec", "vcsc-4bit")

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("gnuradio")]


def statistics(folder: Path, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """The statistics that `rx` writes while it runs, as soon as they are as wanted."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with contextlib.suppress(FileNotFoundError, json.JSONDecodeError):
            found = json.loads((folder / "statistics.json").read_text())
            if wanted(found):
                return found
        threading.Event().wait(0.1)
    raise AssertionError("rx has not come so far within 60 s")


def children(pid: int) -> list[int]:
    found = [int(text) for path in Path(f"/proc/{pid}/task").glob("*/children") for text in path.read_text().split()]
    return found + [deeper for child in found for deeper in children(child)]


def test_a_picture_arrives_whole_and_counts_are_what_was_injected(
    loopback: Any, start: Start, photos: Path, tmp_path: Path
) -> None:
    air = loopback.radio(pace="none")
    arguments = f"{air},noise=-24,cfo=3000,ppm=25,overflow=30000,overflow_count=6,overflow_lost=500"
    rx = start("rx", "--radio", arguments, *TUNING, "--count", 1, "--out", tmp_path, "--json")
    # All overflows are over before the picture is sent.
    statistics(tmp_path, lambda found: found["counts"]["overruns"] == 6)
    arguments = f"{air},seed=1,tail=0.5,underrun=10000,underrun_count=3"
    tx = start("tx", photos / "coffee.png", *PICTURE, "--radio", arguments, *TUNING, "--json")
    sent, received = outcome(tx), outcome(rx)
    check_same(sent, received, tmp_path)
    assert (received["counts"]["overruns"], received["counts"]["lost_samples"]) == (6, None)
    assert sent["counts"]["underruns"] == 3
    (burst,) = received["bursts"]
    assert burst["cfo_hz"] == pytest.approx(3000, abs=20)
    assert burst["clock_offset_ppm"] == pytest.approx(25, abs=5)
    # −9 dBFS sent, gains and path cancel; 4 samples per symbol.
    assert burst["esn0_db"] == pytest.approx(-9 + 24 + 6, abs=1.0)


def test_the_same_with_the_driver_as_a_usrp(loopback: Any, start: Start, photos: Path, tmp_path: Path) -> None:
    """gr-uhd, through UHD's module for SoapySDR's devices."""
    impaired = loopback.uhd_radio(
        pace="none", noise=-24, cfo=3000, ppm=25, report="log", overflow=30000, overflow_count=6, overflow_lost=500
    )
    rx = start("rx", "--radio", impaired, *TUNING, "--count", 1, "--out", tmp_path, "--json")
    # All overflows are over before the picture is sent.
    statistics(tmp_path, lambda found: found["counts"]["overruns"] == 6)
    air = loopback.uhd_radio(pace="none", seed=1, tail=0.5, report="log", underrun=10000, underrun_count=3)
    tx = start("tx", photos / "coffee.png", *PICTURE, "--radio", air, *TUNING, "--json")
    sent, received = outcome(tx), outcome(rx)
    check_same(sent, received, tmp_path)
    assert received["counts"]["overruns"] == 6
    assert sent["counts"]["underruns"] == 3
    assert sent["radio"]["radio"].startswith("uhd:type=soapy,")
    (burst,) = received["bursts"]
    assert burst["cfo_hz"] == pytest.approx(3000, abs=20)
    assert burst["clock_offset_ppm"] == pytest.approx(25, abs=5)
    # −9 dBFS sent, gains and path cancel; 4 samples per symbol.
    assert burst["esn0_db"] == pytest.approx(-9 + 24 + 6, abs=1.0)


def test_a_picture_arrives_whole_in_real_time_and_tuned_beside(
    loopback: Any, start: Start, photos: Path, tmp_path: Path
) -> None:
    arguments = loopback.radio(noise=-30, cfo=-2000, ppm=-15, dc=-12, lo_offset=250e3)
    rx = start("rx", "--radio", arguments, *TUNING, "--count", 1, "--out", tmp_path, "--json")
    statistics(tmp_path, lambda found: found["summary"]["samples"] > 0)
    arguments = loopback.radio(seed=1, tail=0.5, lo_offset=-150e3)
    tx = start("tx", photos / "coffee.png", *PICTURE, "--radio", arguments, *TUNING, "--json")
    check_same(outcome(tx), outcome(rx), tmp_path)


def check_same(sent: dict[str, Any], received: dict[str, Any], folder: Path) -> None:
    (picture,) = received["images"]
    assert picture["intact"]
    assert picture["payload_sha256"] == sent["sent"][0]["payload_sha256"]
    assert (folder / picture["received_file"]).read_bytes().startswith(b"\x89PNG")
    assert sent["radio"]["frequency_hz"] == received["radio"]["frequency_hz"] == 433.92e6


def test_a_killed_worker_ends_the_command_with_one_line(loopback: Any, start: Start, tmp_path: Path) -> None:
    rx = start("rx", "--radio", loopback.radio(), *TUNING, "--out", tmp_path)
    statistics(tmp_path, lambda found: found["summary"]["samples"] > 0)
    guardian, worker = children(rx.pid)
    os.kill(worker, signal.SIGKILL)
    _, errors = rx.communicate(timeout=20)
    assert rx.returncode == 1
    assert "its worker was killed by SIGKILL" in errors
    assert len(errors.strip().splitlines()) == 1, errors
    assert not Path(f"/proc/{guardian}").exists()


def test_receivers_that_are_killed(loopback: Any, start: Start, photos: Path, tmp_path: Path) -> None:
    """The transmitter goes on, nothing is left of them, and the next one receives."""
    air = loopback.radio(pace="none")
    tx = start("tx", photos / "coffee.png", *PICTURE, "--loop", "--radio", f"{air},seed=1", *TUNING, "--json")
    moments = np.random.default_rng(0).uniform(1e4, 2e5, 2)
    for number, samples in enumerate(moments):
        rx = start("rx", "--radio", air, *TUNING, "--out", tmp_path / str(number))
        statistics(tmp_path / str(number), lambda found, least=samples: found["summary"]["samples"] > least)
        left = children(rx.pid)
        rx.kill()
        rx.wait()
        deadline = time.monotonic() + 10
        while any(Path(f"/proc/{pid}").exists() for pid in left):
            assert time.monotonic() < deadline, "the receiver's worker has outlived it"
            threading.Event().wait(0.05)
        assert tx.poll() is None
    rx = start("rx", "--radio", air, *TUNING, "--count", 2, "--out", tmp_path / "last", "--json")
    received = outcome(rx)
    tx.send_signal(signal.SIGTERM)
    sent = outcome(tx)
    intact = [picture["payload_sha256"] for picture in received["images"] if picture["intact"]]
    # The first one may have begun before the receiver was there.
    assert intact
    assert set(intact) == {sent["sent"][0]["payload_sha256"]}


def test_the_guide_without_hardware(loopback: Any, photos: Path, tmp_path: Path) -> None:
    """The commands of docs/first-over-the-air.md, as they stand there."""
    page = (ROOT / "docs" / "first-over-the-air.md").read_text()
    (block,) = re.findall(r"^```bash\n(.*?)^```$", page, re.M | re.S)
    for name in ("semcom_app", "tests"):
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / "bin").mkdir()
    semcom = tmp_path / "bin" / "semcom"
    semcom.write_text(f'#!/bin/sh\nexec {shlex.join(COMMAND)} "$@"\n')
    semcom.chmod(0o755)
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PATH": f"{semcom.parent}:{os.environ['PATH']}"}
    environment["PYTHONPATH"] = str(ROOT)
    done = subprocess.run(
        ["bash", "-eu", "-c", block], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=400
    )
    assert done.returncode == 0, done.stderr
    assert "driver=semcomloop" in done.stdout
    result = json.loads((tmp_path / "out" / "ota" / "result.json").read_text())
    first = result["bursts"][0]
    assert first["cfo_hz"] == pytest.approx(3000, abs=20)
    # −9 dBFS sent, gains of 20 + 20 dB, 60 dB lost; 4 samples per symbol; noise of −40 dBFS.
    assert first["level_dbfs"] == pytest.approx(-29, abs=0.5)
    assert first["esn0_db"] == pytest.approx(-29 + 40 + 6, abs=1.0)
