"""Pictures from one process to another through gr-uhd: the loopback driver as a USRP."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("gnuradio")]


def _tests_over_soapy() -> ModuleType:
    """The same through gr-soapy, for how commands are started and what has to come out of them."""
    name = "tx_rx_tests_over_soapy"
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name("test_tx_rx_soapy.py"))
    assert spec is not None
    assert spec.loader is not None
    sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


soapy = _tests_over_soapy()
start = soapy.start


def test_a_picture_arrives_whole_and_counts_are_what_was_injected(
    loopback: Any, start: Any, photos: Path, tmp_path: Path
) -> None:
    impaired = loopback.uhd_radio(
        pace="none", noise=-24, cfo=3000, ppm=25, report="log", overflow=30000, overflow_count=6, overflow_lost=500
    )
    rx = start("rx", "--radio", impaired, *soapy.TUNING, "--count", 1, "--out", tmp_path, "--json")
    # All overflows are over before the picture is sent.
    soapy.statistics(tmp_path, lambda found: found["counts"]["overruns"] == 6)
    air = loopback.uhd_radio(pace="none", seed=1, tail=0.5, report="log", underrun=10000, underrun_count=3)
    tx = start("tx", photos / "coffee.png", *soapy.PICTURE, "--radio", air, *soapy.TUNING, "--json")
    sent, received = soapy.outcome(tx), soapy.outcome(rx)
    soapy.check_same(sent, received, tmp_path)
    assert received["counts"]["overruns"] == 6
    assert sent["counts"]["underruns"] == 3
    assert sent["radio"]["radio"].startswith("uhd:type=soapy,")
    (burst,) = received["bursts"]
    assert burst["cfo_hz"] == pytest.approx(3000, abs=20)
    assert burst["clock_offset_ppm"] == pytest.approx(25, abs=5)
    # −9 dBFS sent, gains and path cancel; 4 samples per symbol.
    assert burst["esn0_db"] == pytest.approx(-9 + 24 + 6, abs=1.0)
