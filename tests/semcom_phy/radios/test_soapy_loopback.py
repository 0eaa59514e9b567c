"""The loopback driver itself, through SoapySDR's Python module."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import pytest

FOLDER = Path(__file__).parents[2] / "soapy_loopback"
SYSTEM_PYTHON = "/usr/bin/python3"
TIMEOUT, STREAM_ERROR, OVERFLOW, NOT_SUPPORTED, UNDERFLOW = -1, -2, -4, -5, -7


@pytest.fixture(scope="module")
def soapy_python(lacking: Callable[[str], NoReturn]) -> str:
    """The Python that imports SoapySDR."""
    try:
        subprocess.run([SYSTEM_PYTHON, "-c", "import SoapySDR, numpy"], check=True, capture_output=True, timeout=60)
    except (OSError, subprocess.SubprocessError):
        lacking("SoapySDR's Python module is missing: make gnuradio")
    return SYSTEM_PYTHON


@pytest.fixture
def exercise(loopback: Any, soapy_python: str) -> Any:
    """Runs a case of exercise.py and returns what it found."""

    def run(case: str) -> dict[str, Any]:
        command = [soapy_python, str(FOLDER / "exercise.py"), loopback.key, case]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run


def test_what_is_sent_is_received(exercise: Any) -> None:
    assert exercise("identity") == {"equal": True, "errors": []}
    assert exercise("integers") == {"equal": True}


def test_carrier_and_clock_offset(exercise: Any) -> None:
    found = exercise("offsets")
    # Bounded by single precision and by the interpolator's ripple at 0.38 of the rate.
    assert found["compared"] > 100_000
    assert found["worst"] < 2e-4


def test_noise(exercise: Any) -> None:
    found = exercise("noise")
    # Standard deviation of a mean power over n samples: 4.34 dB / sqrt(n).
    assert found["power_db"] == pytest.approx([-20.0, -20.0], abs=5 * 4.34 / 1e5**0.5)
    assert found["mean"] < 5 * 0.1 / 1e5**0.5
    assert found["correlation"] < 5 / 1e5**0.5
    assert found["fourth"] == pytest.approx(2.0, abs=0.1)  # complex Gaussian
    assert found["same"], "the noise of a transmission depends on what came before it"


def test_gains_levels_and_tuning(exercise: Any) -> None:
    found = exercise("gains")
    assert found["quiet"] == pytest.approx(0.5 * 10 ** (-12 / 20), rel=1e-6)
    assert found["loud"] == 1.0  # 0.5 + 30 dB: the converter's limit
    assert found["beside"] == 0.0


def test_injected_overflows_and_underruns(exercise: Any) -> None:
    found = exercise("overflow")
    assert found == {"errors": [[30_000, OVERFLOW], [60_000, OVERFLOW]], "equal": True}
    found = exercise("underrun")
    assert found["returned"] == [UNDERFLOW] * 3
    assert found["equal"]
    assert found["quiet"] == []
    assert found["told"] == [UNDERFLOW] * 4 + [TIMEOUT] * 2


def test_error_codes(exercise: Any) -> None:
    found = exercise("codes")
    assert (found["full"], found["empty"]) == (TIMEOUT, TIMEOUT)
    assert min(found["full_s"], found["empty_s"]) >= 0.05
    assert (found["inactive_write"], found["inactive_read"]) == (STREAM_ERROR, TIMEOUT)
    assert {found[name] for name in ("wrong_read", "wrong_write", "wrong_status")} == {NOT_SUPPORTED}


def test_real_time(exercise: Any) -> None:
    found = exercise("clock")
    assert found["elapsed"] >= 0.499
    assert not found["lost"], "the machine is too slow for one million samples per second"
    assert not found["errors"]
    assert found["equal"]
    assert found["silence"]


def test_too_late_in_real_time(exercise: Any) -> None:
    found = exercise("late")
    assert found["told"] == [UNDERFLOW, TIMEOUT]
    assert found["overflow"] == OVERFLOW
    # All arrived, with one gap between, as far as the reader was not too late itself.
    if not found["errors"]:
        assert (found["heard"], found["gap"]) == (20_000, 1)
    assert found["cut_off"] < 100_000


def test_one_transmitter_and_killed_ones(exercise: Any) -> None:
    found = exercise("one_transmitter")
    assert "another transmitter is active" in found["refused"]
    assert found["before"]
    assert min(found["rest"]) > 0
    assert found["after"] == 1000


def test_settings(exercise: Any) -> None:
    found = exercise("settings")
    assert sorted(found["refused"]) == [
        "antenna",
        "bandwidth",
        "channel",
        "clock",
        "format",
        "frequency",
        "gain",
        "rate",
    ]
    assert "gain 21 is not within -10 to 20" in found["refused"]["gain"]
    assert (found["gain"], found["antenna"]) == (-5.0, "B")


def test_soapysdrutil_probes_it(loopback: Any, lacking: Callable[[str], NoReturn]) -> None:
    try:
        done = subprocess.run(
            ["SoapySDRUtil", f"--probe={loopback.device(gains='3:33')}"], capture_output=True, text=True, timeout=60
        )
    except FileNotFoundError:
        lacking("SoapySDRUtil is missing: apt-get install soapysdr-tools")
    assert done.returncode == 0, done.stdout
    assert "driver=semcomloop" in done.stdout
    assert "Full gain range: [3, 33] dB" in done.stdout


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("nois=3", "unknown argument 'nois'"),
        ("gains=9:1", "gains must be a number from 9"),
        ("ppm=nan", "ppm must be a number"),
        ("pace=slow", "pace must be none or real"),
        ("key=../x", "key must be 1 to 64"),
    ],
)
def test_wrong_arguments(loopback: Any, argument: str, message: str) -> None:
    done = subprocess.run(
        ["SoapySDRUtil", f"--probe=driver=semcomloop,{argument}"], capture_output=True, text=True, timeout=60
    )
    assert message in done.stdout + done.stderr
